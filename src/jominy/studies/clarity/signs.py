"""Do prompts of S above 0 pass more often than S's own noise makes them? S below 0 goes with a low pass rate by itself.

    ratio of a model     R = mean pass rate of the prompts with S >= 0 / mean pass rate of those with S < 0
    its null             sign_p ~ Bernoulli(expit(logit q_p + c)),  q_p: chance of S < 0 under permuted labels of the prompt,
                         c such that as many are below 0 as were seen, on average
    beyond noise         exp(mean over models of log R - mean log R of the null), its interval by leaving families out in turn

Lab models share their prompts, so prompts are compared within a model, and families are what could have been others (`families`).
Left out on purpose: the balanced silhouette, whose sign under permuted labels is not measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jominy.measures.interpretation import tilted
from jominy.records import Bools, Floats, Ints, Measure
from jominy.studies.families import leave_out_interval

FEWEST_PROMPTS = 4
"""On either side of a model's prompts."""
NUM_DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signs:
    """The prompts of one base model that have right and wrong answers.

    Example: Signs(family="early", rates_P=np.array([0.2, 0.7]), below_P=np.array([True, False]), chance_P=np.array([0.7, 0.5]))
    """

    family: str
    """Models that were made alike."""
    rates_P: Floats
    """[P] pass rate, above 0."""
    below_P: Bools
    """[P] whether S < 0."""
    chance_P: Floats
    """[P] of S < 0 under permuted labels."""

    @property
    def told(self) -> bool:
        """Whether both sides have enough prompts for a ratio."""
        num_below = int(np.count_nonzero(self.below_P))
        return min(num_below, len(self.below_P) - num_below) >= FEWEST_PROMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRatio:
    """Pass rates by the sign of S, mean over models.

    Example: by_signs(signs, rng).beyond.value      # 1.02: nothing but what noise gives
    """

    seen: float | None
    """Geometric mean over models of the ratio; None where no model has both sides."""
    noise: float | None
    """The same of the null."""
    beyond: Measure
    """Their ratio."""
    num_models: int
    """That entered."""


def log_ratios(signs: Signs, rng: np.random.Generator) -> tuple[float, float]:
    """(log R, mean log R of the null) of one model that is told."""
    below_P = signs.below_P
    seen = math.log(float(signs.rates_P[~below_P].mean() / signs.rates_P[below_P].mean()))
    assert 0 < np.count_nonzero(below_P) < len(below_P), "with all on one side there is nothing to draw"
    below_RP = rng.random((NUM_DRAWS, len(below_P))) < tilted(signs.chance_P, int(np.count_nonzero(below_P)))
    num_R = below_RP.sum(axis=1)
    # The mean of very few varies more than that of as many as were seen: such draws do not compare with it.
    below_RP = below_RP[(num_R >= FEWEST_PROMPTS) & (num_R <= len(below_P) - FEWEST_PROMPTS)]
    above_RP = ~below_RP
    means_R = (above_RP @ signs.rates_P / above_RP.sum(axis=1)) / (below_RP @ signs.rates_P / below_RP.sum(axis=1))
    return seen, float(np.log(means_R).mean())


def by_signs(models: Sequence[Signs], rng: np.random.Generator) -> SignRatio:
    """Ratio of pass rates by the sign of S over models, what noise gives, and what is beyond it."""
    meaning = "Ratio of pass rates by the sign of S over what the signs of permuted labels give, mean over models."
    told = [model for model in models if model.told]
    if not told:
        why = f"no model has {FEWEST_PROMPTS} prompts on either side"
        return SignRatio(seen=None, noise=None, num_models=0, beyond=Measure(name="beyond", value=None, why_none=why, meaning=meaning))
    seen_M, noise_M = np.array([log_ratios(model, rng) for model in told]).T
    family_M: Ints = np.unique([model.family for model in told], return_inverse=True)[1]
    beyond_M = seen_M - noise_M
    found = leave_out_interval(lambda keep_M: float(beyond_M[keep_M].mean()), family_M)
    low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
    return SignRatio(
        seen=math.exp(float(seen_M.mean())),
        noise=math.exp(float(noise_M.mean())),
        num_models=len(told),
        beyond=Measure(name="beyond", value=math.exp(float(beyond_M.mean())), low=low, high=high, unit="ratio", meaning=meaning),
    )
