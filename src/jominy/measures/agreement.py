"""Whether a judge says the same again: R verdicts on each of M items, some of them missing.

    unanimous = share of the items with two or more verdicts whose verdicts are all the same
    alpha     = 1 - (n - 1) sum_m no_m yes_m / (v_m - 1) / (no * yes)      Krippendorff's, of yes and no; v_m = no_m + yes_m, n = no + yes

alpha is 1 when all agree, 0 when they agree as often as chance would have it, and below 0 when less; it takes items with missing verdicts.
Unanimity looks good where nearly all is accepted, alpha does not: both stand side by side. A greedy judge behind a cache repeats itself for
free, so repeats must be drawn, or worded anew, to say anything. Left out on purpose: agreement between judges, which is the same arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jominy.measures.clustered import Label, Ratio, share
from jominy.records import Bools, Floats, Ints, Measure, Paper
from jominy.stats import NO_INTERVAL, bootstrap_interval

ALPHA = Paper(arxiv="", title="Krippendorff, Content Analysis", where="alpha for nominal data")
UNANIMOUS = Label(
    name="unanimous",
    meaning="Of the items with two or more verdicts, how many got the same each time.",
    why_none="no item has two verdicts",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How steady verdicts are.

    Example: measure_agreement(said_MR, scored_MR, prompt_M, rng).alpha.value
    """

    unanimous: Measure
    """Share of items whose verdicts are all the same."""
    alpha: Measure
    """Krippendorff's alpha."""
    num_items: int
    """Items with two or more verdicts."""
    num_left_out: int
    """Items with fewer."""
    num_unscored: int
    """Verdicts that are missing."""


def measure_agreement(said_MR: Bools, scored_MR: Bools, prompt_M: Ints, rng: np.random.Generator) -> Agreement:
    """Unanimity and alpha over repeats, with 95 % intervals clustered by prompt.

    Args:
        said_MR: [M, R] whether the item is said to be satisfied.
        scored_MR: [M, R] whether there is a verdict.
        prompt_M: [M] whose the item is.
        rng: source of the bootstrap of alpha.

    Returns:
        alpha is undefined where all verdicts are the same: nothing could have been confused.
    """
    if said_MR.ndim != 2 or said_MR.shape != scored_MR.shape or len(prompt_M) != len(said_MR):
        raise ValueError(
            f"said_MR and scored_MR must be [M, R] with prompt_M [M], got {said_MR.shape}, {scored_MR.shape}, {prompt_M.shape}"
        )
    yes_M = np.count_nonzero(said_MR & scored_MR, axis=1)
    verdicts_M = np.count_nonzero(scored_MR, axis=1)
    pairable_M = verdicts_M >= 2
    num_unscored = int(np.count_nonzero(~scored_MR))
    prompts, place_M = np.unique(prompt_M, return_inverse=True)
    same_M = (yes_M == 0) | (yes_M == verdicts_M)
    return Agreement(
        unanimous=share(Ratio.over(same_M, pairable_M, place_M, len(prompts)), UNANIMOUS),
        alpha=_alpha(yes_M[pairable_M], verdicts_M[pairable_M], place_M[pairable_M], len(prompts), num_unscored, rng),
        num_items=int(np.count_nonzero(pairable_M)),
        num_left_out=int(np.count_nonzero(~pairable_M)),
        num_unscored=num_unscored,
    )


def _alpha(yes_M: Ints, verdicts_M: Ints, place_M: Ints, num_prompts: int, num_unscored: int, rng: np.random.Generator) -> Measure:
    """Alpha of items with two or more verdicts each."""
    no_M = verdicts_M - yes_M
    columns = (no_M * yes_M / (verdicts_M - 1), no_M, yes_M)
    sums_P3 = np.stack([np.bincount(place_M, weights=column, minlength=num_prompts) for column in columns], axis=1)
    used_P3 = sums_P3[np.unique(place_M)].astype(np.float64)
    num_used = len(used_P3)

    def statistic(means_3: Floats) -> NDArray[np.float64]:
        mixed, no, yes = (num_used * means_3[..., column] for column in range(3))
        with np.errstate(divide="ignore", invalid="ignore"):
            alpha: NDArray[np.float64] = np.where(no * yes > 0, 1 - (no + yes - 1) * mixed / (no * yes), math.nan)
        return alpha

    value = float(statistic(used_P3.mean(axis=0))) if num_used else math.nan
    defined = math.isfinite(value)
    interval = bootstrap_interval(used_P3, statistic, rng, bounds=(-1.0, 1.0)) if defined else NO_INTERVAL
    return Measure(
        name="Krippendorff's alpha",
        value=value if defined else None,
        low=interval.low,
        high=interval.high,
        unit="alpha",
        num_prompts=num_used,
        num_unscored=num_unscored,
        num_left_out=num_prompts - num_used,
        why_none="" if defined else ("all verdicts are the same" if num_used else UNANIMOUS.why_none),
        meaning="Agreement beyond chance between repeats: 1 is perfect, 0 is chance.",
        paper=ALPHA,
    )
