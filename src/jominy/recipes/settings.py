"""The choices that make a policy-gradient recipe, as plain values: `options` reads them, `policy_gradient` makes functions of them.

    A = weight * (reward - baseline) / (scale + epsilon);     w = clip(ratio) A - beta KL;     scale by divide

Left out on purpose: what each choice computes. That is said where it is computed: `advantages`, `ratios`, `penalties`, `divisors`,
`shaping`, `weighting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jominy.recipes.recipe import Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantage:
    """How a reward is compared.

    Example: Advantage(baseline="mean", scale="group", ddof=1, epsilon=1e-4)      # TRL 1.16
    """

    baseline: Literal["none", "mean", "leave_one_out"]
    """What is subtracted: nothing, the mean of the group, or the mean of the others in it."""
    scale: Literal["none", "group", "batch"]
    """What it is divided by: nothing, or the std of the rewards of the group or of the step."""
    ddof: int = 1
    """1: sample std, n - 1 in the denominator; 0: population std."""
    epsilon: float = 1e-4
    """Added to the std, >= 0."""
    spans: tuple[str, ...] = ()
    """Kinds or stages of spans whose tokens get it, 0 elsewhere; () is all tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How far the policy may have moved from the one that drew.

    Example: Ratio(kind="token", clip_low=0.2, clip_high=0.28)      # DAPO
    """

    kind: Literal["none", "token", "sequence", "capped"]
    """No ratio; of each token; of the response (GSPO); of each token, capped instead of clipped (CISPO)."""
    clip_low: float | None = 0.2
    """Ratios below 1 - clip_low are clipped; None: no lower bound."""
    clip_high: float | None = 0.2
    """Ratios above 1 + clip_high are clipped; None: no upper bound."""
    dual: float | None = None
    """With a negative advantage, ratios above this are clipped too (dual clip); None: no such bound."""

    @property
    def can_clip(self) -> bool:
        """Whether any bound is set."""
        return self.kind != "none" and (self.clip_low, self.clip_high, self.dual) != (None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """What staying near the starting policy is worth.

    Example: Penalty(kl="k3", beta=0.04)      # the GRPO paper
    """

    kl: Literal["none", "k1_reward", "k2", "k3"] = "none"
    """Which estimator, and whether it sits in the reward or in the loss."""
    beta: float = 0.04
    """Strength per nat."""
    spans: tuple[str, ...] = ()
    """Kinds or stages of spans that it acts on; () is all tokens."""
    balanced: bool = False
    """Whether sampling and decision weigh the same in each response, however long either is; `spans` is () then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWeight:
    """How much a group weighs beside the others.

    Example: GroupWeight(kind="clarity", strength=0.2)
    """

    kind: Literal["none", "clarity", "fisher", "separation", "pass_rate", "random", "balanced", "auroc"] = "none"
    """All alike, or by which x of the group; see `weighting`."""
    strength: float = 0.2
    """beta of exp(-beta x), at least 0."""
    norm: Literal["none", "mean_1"] = "none"
    """What the weights are divided by: nothing, or their mean over the groups that train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A policy-gradient recipe.

    Example: Settings(advantage=Advantage(baseline="mean", scale="group"), ratio=Ratio(kind="token"), divide="rows")
    """

    advantage: Advantage
    """From rewards to advantages."""
    ratio: Ratio
    """From advantages to weights."""
    penalty: Penalty = Penalty()
    """The KL term."""
    weight: GroupWeight = GroupWeight()
    """The factor of each group."""
    divide: Literal["tokens", "rows", "budget", "sequences", "segments"]
    """What the step's sum is divided by."""
    max_tokens: int | None = None
    """Longest response; needed by divide=budget and by the overlong penalty."""
    overlong: float | None = None
    """Share of max_tokens at the end in which length is penalised; None: no penalty."""
    truncated: Literal["keep", "drop"] = "keep"
    """Whether responses cut at the token limit train; they stay in the baseline either way."""
    fill: Fill = "off"
    """Dynamic sampling; unless off, groups whose rewards are all equal are not kept."""
    spans: tuple[str, ...] = ()
    """Kinds or stages of spans that train; () is all tokens."""
    success: float = 1.0
    """Training rewards at or above this are right, where a recipe tells right from wrong."""
    right_weight: float = 1.0
    """Advantage of a right response in the recipes whose advantages are constants."""
