"""From rewards to advantages: a baseline to subtract and a scale to divide by.

    A_i = (r_i - b_i) / (s_i + epsilon)
    b: 0 | mean of the group | mean of the others in the group            s: nothing | std of the group | std of the step

Over the n scored rollouts of a group; the std has n - ddof in its denominator (ddof = 1: sample, 0: population).
Decided here: a group whose rewards are all equal gets exactly 0 wherever a baseline is subtracted, not a rounding error divided by epsilon,
and where there is no spread the scaled advantage is 0; a group with one scored rollout has nothing to compare with and gets 0, while a
group that was *drawn* as one is the user's mistake.
Left out on purpose: length shaping and group weights (`shaping`), which act before and after.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jominy.groups import Groups
from jominy.recipes.settings import Advantage
from jominy.records import Bools, Floats

Doubles = NDArray[np.float64]


def advantages(groups: Groups, rewards_N: Floats, how: Advantage) -> Doubles:
    """[N] advantages of scored rollouts, 0 elsewhere.

    Args:
        groups: who belongs together and who is scored.
        rewards_N: [N] rewards, shaped or not; ignored where unscored.
        how: baseline, scale, ddof and epsilon.

    Raises:
        ValueError: a group of one rollout, where the baseline or the scale has nothing to compare with.

    >>> advantages(Groups.of(rewards=[[1, 0, 0, 0]]), np.array([1.0, 0, 0, 0]), Advantage(baseline="leave_one_out", scale="none"))
    array([ 1.        , -0.33333333, -0.33333333, -0.33333333])
    """
    if how.baseline != "none" or how.scale == "group":
        _refuse_groups_of_one(groups, how)
    centred_N = by_group(groups, rewards_N, CENTRE[how.baseline])
    if how.scale == "none":
        return centred_N
    if how.scale == "group":
        spread_N = by_group(groups, rewards_N, lambda rewards_Bn: _std(rewards_Bn, how.ddof))
    else:
        spread_N = np.full(len(rewards_N), _std(rewards_N[groups.scored_N][None, :].astype(np.float64), how.ddof).item())
    has_spread_N = spread_N > 0
    scaled_N: Doubles = np.where(has_spread_N, centred_N / (np.where(has_spread_N, spread_N, 1.0) + how.epsilon), 0.0)
    return scaled_N


def by_group(groups: Groups, values_N: Floats, function: Callable[[Doubles], Doubles]) -> Doubles:
    """[N] a function of the [B, n] scored values of groups of n, put back in place; 0 where unscored."""
    found_N = np.zeros(groups.num_rollouts)
    row_N = np.arange(groups.num_rollouts)
    for block in groups.blocks():
        found_N[block.cut(row_N)] = function(block.cut(values_N).astype(np.float64))
    return found_N


def live_N(groups: Groups) -> Bools:
    """[N] scored rollouts of groups whose rewards are not all equal: the ones that dynamic sampling keeps (2503.14476)."""
    live: Bools = by_group(groups, groups.rewards_N, lambda rewards_Bn: (~_constant(rewards_Bn)).astype(np.float64)) > 0
    return live


def _constant(rewards_Bn: Doubles) -> Bools:
    """[B, 1] whether all rewards of a group are equal."""
    same: Bools = rewards_Bn.min(axis=1, keepdims=True) == rewards_Bn.max(axis=1, keepdims=True)
    return same


def _minus_mean(rewards_Bn: Doubles) -> Doubles:
    return np.where(_constant(rewards_Bn), 0.0, rewards_Bn - rewards_Bn.mean(axis=1, keepdims=True))


def _minus_mean_of_others(rewards_Bn: Doubles) -> Doubles:
    size = rewards_Bn.shape[1]
    minus_others_Bn: Doubles = _minus_mean(rewards_Bn) * (size / max(size - 1, 1))
    return minus_others_Bn


def _std(rewards_Bn: Doubles, ddof: int) -> Doubles:
    """[B, 1] standard deviations, exactly 0 where all rewards are equal."""
    if rewards_Bn.size == 0:
        return np.zeros((len(rewards_Bn), 1))
    square_B1 = ((rewards_Bn - rewards_Bn.mean(axis=1, keepdims=True)) ** 2).sum(axis=1, keepdims=True)
    return np.where(_constant(rewards_Bn), 0.0, np.sqrt(square_B1 / max(rewards_Bn.shape[1] - ddof, 1)))


def _refuse_groups_of_one(groups: Groups, how: Advantage) -> None:
    alone_P = np.flatnonzero(np.diff(groups.offsets_P1) == 1)
    if len(alone_P) > 0:
        compares = f"baseline={how.baseline}" if how.baseline != "none" else f"scale={how.scale}"
        raise ValueError(
            f"{compares} compares the rollouts of a prompt, but {len(alone_P)} of {groups.num_prompts} prompts have a single rollout (the "
            f"first is number {alone_P[0]}); sample at least two a prompt, or use a recipe without it, such as 'reinforce'"
        )


CENTRE: dict[str, Callable[[Doubles], Doubles]] = {
    "none": lambda rewards_Bn: rewards_Bn,
    "mean": _minus_mean,
    "leave_one_out": _minus_mean_of_others,
}
"""Baseline -> rewards minus it, for [B, n] rewards."""
