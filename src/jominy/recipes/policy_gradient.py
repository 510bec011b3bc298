"""From settings to a recipe: the one place where the blocks are put together.

    A_i = group weight * (r_i - b_i) / (s_i + epsilon)        w_t = ratio and clip of A_i, plus the KL term        0 outside, 0 unscored

Unscored rollouts enter no baseline and never train. Left out on purpose: any formula; each stands in the block it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from array_api_compat import array_namespace

from jominy.engines import TokenFunction
from jominy.groups import Groups
from jominy.recipes import divisors, penalties, ratios
from jominy.recipes.advantages import advantages, live_N
from jominy.recipes.masks import not_truncated
from jominy.recipes.options import read_settings
from jominy.recipes.recipe import Array, GroupWeights, Recipe
from jominy.recipes.settings import Settings
from jominy.recipes.shaping import overlong_penalty
from jominy.recipes.weighting import group_weights
from jominy.records import Bools, Floats, Ints, Paper

NOT_HERE = ("lambda",)
"""Options that a recipe of compared rewards does not have."""

Raw = Callable[[Groups, Floats, Settings], Floats]
"""(groups, shaped rewards, settings) -> [N] advantages before the group weight."""
Choose = Callable[[Groups, Settings], Bools]
"""(groups, settings) -> [N] which rollouts may train at all."""


def compared(groups: Groups, rewards_N: Floats, settings: Settings) -> Floats:
    """The usual advantage: a baseline subtracted, divided by a scale."""
    return advantages(groups, rewards_N, settings.advantage)


def all_scored(groups: Groups, settings: Settings) -> Bools:
    """Every rollout that has a reward."""
    return groups.scored_N


def build(
    name: str,
    summary: str,
    paper: Paper,
    defaults: Settings,
    options: str,
    max_tokens: int | None,
    *,
    without: Collection[str] = NOT_HERE,
    raw: Raw = compared,
    choose: Choose = all_scored,
    constant_is_zero: bool | None = None,
) -> Recipe:
    """The recipe of a paper.

    Args:
        name: as `load_recipe` takes it.
        summary: one line.
        paper: the source.
        defaults: the paper's settings.
        options: what the user wrote behind the colon.
        max_tokens: longest response, None where unknown.
        without: options that make no sense here.
        raw: advantages, where they are not compared ones.
        choose: which rollouts may train, where not all scored ones do.
        constant_is_zero: whether groups of equal rewards train nothing; None: follows from the baseline.
    """
    settings = read_settings(name, options, defaults, max_tokens, without=without)
    if constant_is_zero is None:
        shaped = settings.overlong is not None and settings.fill == "off"
        constant_is_zero = settings.advantage.baseline != "none" and not shaped
    return Recipe(
        name=f"{name}:{options}" if options.strip() else name,
        summary=summary,
        paper=paper,
        keep=_keep(settings, choose),
        credit=_credit(settings, raw),
        group_weights=None if settings.weight.kind == "none" else _group_weights(settings, raw),
        weigh=_weigh(settings),
        clipped=_clipped(settings) if settings.ratio.can_clip else None,
        divide=_divide(settings),
        fill=settings.fill,
        needs_reference=settings.penalty.kl != "none",
        zero_stays_zero=settings.penalty.kl == "none",
        constant_is_zero=constant_is_zero or settings.fill != "off",
        spans=settings.spans,
        credit_spans=settings.advantage.spans,
        kl_spans=settings.penalty.spans,
        kl_balanced=settings.penalty.balanced,
    )


def _keep(settings: Settings, choose: Choose) -> Callable[[Groups], Bools]:
    def keep(groups: Groups) -> Bools:
        kept_N = groups.scored_N & choose(groups, settings)
        if settings.truncated == "drop":
            kept_N = kept_N & not_truncated(groups)
        return kept_N & live_N(groups) if settings.fill != "off" else kept_N

    return keep


def _credit(settings: Settings, raw: Raw) -> Callable[[Groups], Floats]:
    unweighted = _unweighted(settings, raw)
    if settings.weight.kind == "none":
        return unweighted
    weights = _group_weights(settings, raw)

    def credit(groups: Groups) -> Floats:
        weight_N: Floats = np.repeat(weights(groups).weight_P, np.diff(groups.offsets_P1))
        return unweighted(groups) * weight_N

    return credit


def _group_weights(settings: Settings, raw: Raw) -> Callable[[Groups], GroupWeights]:
    unweighted = _unweighted(settings, raw)

    def weights(groups: Groups) -> GroupWeights:
        trains_P = groups.count_P(unweighted(groups) != 0) > 0
        return group_weights(groups, trains_P, settings.weight, settings.success)

    return weights


def _unweighted(settings: Settings, raw: Raw) -> Callable[[Groups], Floats]:
    def unweighted(groups: Groups) -> Floats:
        rewards_N = np.where(groups.scored_N, groups.rewards_N, 0.0).astype(np.float64)
        if settings.overlong is not None:
            assert settings.max_tokens is not None
            rewards_N = rewards_N + overlong_penalty(groups, settings.max_tokens, settings.overlong)
        return np.where(groups.scored_N, raw(groups, rewards_N, settings), 0.0)

    return unweighted


def _with_kl_in_reward(
    settings: Settings, old_BT: Array, reference_BT: Array | None, advantage_BT: Array, inside_BT: Array, kl_factors_BT: Array | None
) -> Array:
    if settings.penalty.kl == "none":
        return advantage_BT
    if reference_BT is None:
        raise ValueError(f"kl={settings.penalty.kl} needs log-probabilities under the starting policy (reference_BT)")
    if settings.penalty.kl != "k1_reward":
        return advantage_BT
    return advantage_BT - settings.penalty.beta * penalties.to_go(old_BT, reference_BT, inside_BT, kl_factors_BT)


def _weigh(settings: Settings) -> TokenFunction:
    def weigh(
        logp_BT: Array,
        old_BT: Array,
        reference_BT: Array | None,
        advantage_BT: Array,
        inside_BT: Array,
        kl_factors_BT: Array | None = None,
        /,
    ) -> Array:
        xp = array_namespace(logp_BT)
        advantage_BT = _with_kl_in_reward(settings, old_BT, reference_BT, advantage_BT, inside_BT, kl_factors_BT)
        weights_BT = ratios.weights(logp_BT, old_BT, advantage_BT, inside_BT, settings.ratio)
        if settings.penalty.kl == "k2":
            weights_BT = weights_BT + settings.penalty.beta * penalties.k2_weights(logp_BT, reference_BT, inside_BT, kl_factors_BT)
        elif settings.penalty.kl == "k3":
            weights_BT = weights_BT + settings.penalty.beta * penalties.k3_weights(logp_BT, reference_BT, inside_BT, kl_factors_BT)
        return xp.where(inside_BT, weights_BT, xp.zeros_like(weights_BT))

    return weigh


def _clipped(settings: Settings) -> TokenFunction:
    def clipped(
        logp_BT: Array,
        old_BT: Array,
        reference_BT: Array | None,
        advantage_BT: Array,
        inside_BT: Array,
        kl_factors_BT: Array | None = None,
        /,
    ) -> Array:
        advantage_BT = _with_kl_in_reward(settings, old_BT, reference_BT, advantage_BT, inside_BT, kl_factors_BT)
        return ratios.clipped(logp_BT, old_BT, advantage_BT, inside_BT, settings.ratio)

    return clipped


def _divide(settings: Settings) -> Callable[[Bools, Ints], Floats]:
    if settings.divide == "budget":
        assert settings.max_tokens is not None
        return divisors.per_budget(settings.max_tokens)
    return DIVIDE[settings.divide]


DIVIDE: dict[str, Callable[[Bools, Ints], Floats]] = {
    "tokens": divisors.per_token,
    "rows": divisors.per_row,
    "sequences": divisors.per_sequence,
    "segments": divisors.per_segment,
}
"""Setting -> divisor, but for the budget, which needs a number."""
