"""What changes rewards before the baseline and advantages after it: the length penalty of DAPO and the group weights of 2601.06911.

    soft overlong   r_i + min(-(|y_i| - (L_max - B)) / B, 0)                                    (2503.14476; their B = 0.2 L_max)
    clarity         A_i * exp(-beta S')              S' the rectified silhouette of the group   (2601.06911, eq. 5-8; their beta = 0.2)
    fisher          A_i * clip(exp(-beta F'), 0.95, 1.05),   F = (mean_right - mean_wrong)^2 / (var_right + var_wrong), their beta = 0.01

Groups without right and wrong answers, or without the spread that F needs, weigh 1. Where the paper is silent (ours): F' is F with the sign
of mean_right - mean_wrong, the variances have n - 1, and right means that the *training reward* reaches `success`, never that gold says so.
Left out on purpose: S itself, which `measures.silhouette` owns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jominy.groups import Groups
from jominy.measures.silhouette import PromptClarity, prompt_clarity
from jominy.recipes.settings import GroupWeight
from jominy.records import Bools, Floats

FISHER_LOW, FISHER_HIGH = 0.95, 1.05
"""Bounds of the Fisher weight (2601.06911, appendix C.3)."""


def overlong_penalty(groups: Groups, max_tokens: int, buffer: float) -> Floats:
    """[N] in [-1, 0]: how far a response reaches into the last `buffer` share of `max_tokens`.

    Raises:
        ValueError: the lengths are not known.

    >>> groups = replace(Groups.of(rewards=[[1, 1, 1]]), num_tokens_N=np.array([80, 90, 100]))
    >>> overlong_penalty(groups, 100, 0.2)
    array([ 0. , -0.5, -1. ])
    """
    if groups.num_tokens_N is None:
        raise ValueError("the overlong penalty needs the number of tokens of each response; use overlong=off")
    buffer_tokens = buffer * max_tokens
    # The maximum with 0 inside, not a minimum outside, so that nothing becomes -0.
    penalty_N: Floats = 0.0 - np.maximum(groups.num_tokens_N - (max_tokens - buffer_tokens), 0.0) / buffer_tokens
    return penalty_N


def group_weights(groups: Groups, how: GroupWeight, success: float) -> Floats:
    """[N] the weight of each rollout's group, 1 where it is undefined.

    Raises:
        ValueError: there are no probabilities of the responses.
    """
    weight_P = np.ones(groups.num_prompts)
    if how.kind != "none":
        clarity = _clarity(groups, success)
        weight_P[clarity.prompts_V] = WEIGHT[how.kind](clarity, how.strength)
    weight_N: Floats = np.repeat(weight_P, np.diff(groups.offsets_P1))
    return weight_N


def right(groups: Groups, success: float) -> Bools:
    """[N] scored rollouts whose training reward reaches `success`."""
    right_N: Bools = groups.scored_N & (groups.rewards_N >= success)
    return right_N


def _clarity(groups: Groups, success: float) -> PromptClarity:
    known_N = groups.scored_N if groups.probability_N is None else groups.scored_N & np.isfinite(groups.probability_N)
    return prompt_clarity(replace(groups, correct_N=right(groups, success)), known_N)


def _clarity_weights(clarity: PromptClarity, strength: float) -> Floats:
    weight_V: Floats = np.exp(-strength * clarity.rectified_V)
    return weight_V


def _fisher_weights(clarity: PromptClarity, strength: float) -> Floats:
    # d' = (mean_right - mean_wrong) / sqrt((var_right + var_wrong) / 2), so F = d'^2 / 2, and d' has the sign.
    defined_V = np.isfinite(clarity.dprime_V)
    dprime_V = np.where(defined_V, clarity.dprime_V, 0.0)
    weight_V: Floats = np.clip(np.exp(-strength * np.sign(dprime_V) * dprime_V**2 / 2), FISHER_LOW, FISHER_HIGH)
    return np.where(defined_V, weight_V, 1.0)


WEIGHT: dict[str, Callable[[PromptClarity, float], Floats]] = {"clarity": _clarity_weights, "fisher": _fisher_weights}
"""Kind -> [V] weights of the groups with right and wrong answers."""
