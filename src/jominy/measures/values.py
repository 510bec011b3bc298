"""What a retrying policy is worth in closed form, how its value moves with its three chances, and what a KL penalty lets move.

    p = P(attempt right), s_c = P(accept | right), s_i = P(accept | wrong), at most K attempts, the K-th stands:
    V_K = p,  v_c = s_c + (1 - s_c) V_{k+1},  v_i = (1 - s_i) V_{k+1},  V_k = p v_c + (1 - p) v_i
    reach_1 = 1,  reach_{k+1} = reach_k (p (1 - s_c) + (1 - p) (1 - s_i))
    dV_1 / dlogit p   =  sum_k reach_k p (1 - p) (v_c - v_i)                       v_c = 1, v_i = 0 at K
    dV_1 / dlogit s_c =  sum_{k<K} reach_k p s_c (1 - s_c) (1 - V_{k+1})           never below 0
    dV_1 / dlogit s_i = -sum_{k<K} reach_k (1 - p) s_i (1 - s_i) V_{k+1}           never above 0

So the gradient of the reward moves both decisions the right way, by amounts that know no numbers of tokens. A KL penalty does:

    max_x  gain x - beta n F x^2 / 2   at   x = gain / (beta n F)          n tokens of a stage, F their Fisher information a token

the move of the decision (few tokens) over that of sampling (many) is (gain_d / gain_s) (n_s F_s) / (n_d F_d). These are derivations of ours
on the setting of 2601.01580, whose theorems were not at hand. Left out on purpose: chances estimated from rollouts (`credit`, `swap`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jominy.measures.chain import Chances, walk

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RetryTheory:
    """A policy of which every attempt and every decision is like the others.

    Example: round(retry_theory(0.4, accept_right=0.6, accept_wrong=0.6, num_attempts=4).decision_share, 3) == 0.374
    """

    value: float
    """V_1, chance that the answer that stands is right."""
    value_K: Doubles
    """[K] V_k, the same from attempt k on."""
    right_K: Doubles
    """[K] v_c behind attempt k, before its decision."""
    wrong_K: Doubles
    """[K] v_i."""
    reach_K: Doubles
    """[K] chance that attempt k is made."""
    gradient_right: float
    """dV_1 / dlogit p."""
    gradient_accept_right: float
    """dV_1 / dlogit s_c."""
    gradient_accept_wrong: float
    """dV_1 / dlogit s_i."""
    sampling_credit: float
    """Variance of the outcome that attempts make."""
    decision_credit: float
    """Variance of the outcome that decisions make."""
    decision_share: float | None
    """The decisions' part of both; None where the outcome is certain."""
    oracle: float
    """1 - (1 - p)^K, the value under decisions that are always right."""


def retry_theory(right: float, *, accept_right: float, accept_wrong: float, num_attempts: int) -> RetryTheory:
    """The closed forms.

    Args:
        right: p in [0, 1].
        accept_right: s_c in [0, 1].
        accept_wrong: s_i in [0, 1].
        num_attempts: K >= 1.

    >>> retry_theory(0.5, accept_right=1.0, accept_wrong=0.0, num_attempts=2).value      # 1 - 0.5^2
    0.75
    """
    for name, chance in (("right", right), ("accept_right", accept_right), ("accept_wrong", accept_wrong)):
        if not 0 <= chance <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {chance}")
    walked = walk(Chances.alike(right, accept_right=accept_right, accept_wrong=accept_wrong), num_attempts)
    value_K = right * walked.right_K + (1 - right) * walked.wrong_K
    reach_K = walked.reach_right_K + walked.reach_wrong_K
    decided_K, next_K = reach_K[:-1], value_K[1:]
    share = float(walked.decision_share)
    return RetryTheory(
        value=float(walked.value),
        value_K=value_K,
        right_K=walked.right_K,
        wrong_K=walked.wrong_K,
        reach_K=reach_K,
        gradient_right=float(np.sum(reach_K * right * (1 - right) * (walked.right_K - walked.wrong_K))),
        gradient_accept_right=float(np.sum(decided_K * right * accept_right * (1 - accept_right) * (1 - next_K))),
        gradient_accept_wrong=-float(np.sum(decided_K * (1 - right) * accept_wrong * (1 - accept_wrong) * next_K)),
        sampling_credit=float(walked.sampling_credit),
        decision_credit=float(walked.decision_credit),
        decision_share=None if np.isnan(share) else share,
        oracle=1 - (1 - right) ** num_attempts,
    )


def regularised_move(gain: float, *, beta: float, num_tokens: float, fisher: float) -> float:
    """How far a stage moves under a KL penalty, near the reference: gain / (beta n F).

    Args:
        gain: slope of the expected reward along the move.
        beta: weight of the penalty, above 0.
        num_tokens: n, tokens of the stage in a response.
        fisher: F, Fisher information a token along the move; KL = n F x^2 / 2.

    >>> regularised_move(0.5, beta=0.5, num_tokens=4, fisher=0.25)
    1.0
    """
    if beta <= 0 or num_tokens <= 0 or fisher <= 0:
        raise ValueError("beta, num_tokens and fisher must be above 0: without a penalty nothing bounds the move")
    return gain / (beta * num_tokens * fisher)


def move_ratio(gain_sampling: float, gain_decision: float, num_sampling: float, num_decision: float, fishers: tuple[float, float]) -> float:
    """Move of the decision over that of sampling under one KL penalty, whatever its weight and whatever common length it is divided by.

    A penalty that is a mean a token in each stage (segment-balanced) has num_sampling = num_decision.

    Args:
        gain_sampling: slope of the expected reward; other than 0.
        gain_decision: the same.
        num_sampling: tokens of the stage in a response.
        num_decision: the same.
        fishers: Fisher information a token (sampling, decision).

    >>> move_ratio(1.0, 1.0, 60, 3, (0.25, 0.25))
    20.0
    """
    if gain_sampling == 0:
        raise ValueError("gain_sampling is 0: sampling does not move, so there is no ratio to it")
    moves = [
        regularised_move(gain, beta=1.0, num_tokens=number, fisher=fisher)
        for gain, number, fisher in zip((gain_sampling, gain_decision), (num_sampling, num_decision), fishers, strict=True)
    ]
    return moves[1] / moves[0]
