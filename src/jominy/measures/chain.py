"""Attempts and decisions as a Markov chain: five chances say what a retrying policy is worth, and which stage earns it.

    first = P(attempt 1 right)     after_z = P(next attempt right | retried after z)     accept_z = P(accept | z)      z right or wrong
    V(K, right) = 1,  V(K, wrong) = 0,      Q(k, z) = after_z V(k+1, right) + (1 - after_z) V(k+1, wrong)              value of a retry
    V(k, right) = accept_right + (1 - accept_right) Q(k, right),          V(k, wrong) = (1 - accept_wrong) Q(k, wrong)

The outcome R minus its mean is a sum of steps with mean 0 that are uncorrelated, one an attempt and one a decision, so Var(R) = V (1 - V)
falls into what attempts and what decisions contribute, whatever their numbers of tokens:

    sampling   first (1 - first) d_1^2 + sum_{k>1, z} retried(k-1, z) after_z (1 - after_z) d_k^2          d_k = V(k, right) - V(k, wrong)
    decision   sum_{k<K, z} reach(k, z) accept_z (1 - accept_z) (1[z right] - Q(k, z))^2

With after_right = after_wrong = first these are the closed forms of a policy whose attempts are all alike (`values`). What has chance 0
needs no value: a cell that is never reached may be NaN. Left out on purpose: chances that change with k or with the prompt. What is told
apart here is the average policy on the average prompt, so finding out that a prompt is easy counts as sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jominy.measures.attempts import ACCEPT, RETRY, AttemptTable
from jominy.measures.clustered import Ratio
from jominy.records import Floats

Doubles = NDArray[np.float64]
NUM_COLUMNS = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chances:
    """The five chances; arrays of one shape, for many policies at once.

    Example: Chances.alike(0.4, accept_right=0.6, accept_wrong=0.6)
    """

    first: Doubles
    """[...] P(attempt 1 right)."""
    after_right: Doubles
    """[...] P(next right | retried after a right one)."""
    after_wrong: Doubles
    """[...] P(next right | retried after a wrong one)."""
    accept_right: Doubles
    """[...] s_c = P(accept | right)."""
    accept_wrong: Doubles
    """[...] s_i = P(accept | wrong)."""

    @staticmethod
    def alike(right: float | Doubles, *, accept_right: float | Doubles, accept_wrong: float | Doubles) -> Chances:
        """Every attempt is right with the same chance."""
        right_, accept_right_, accept_wrong_ = np.broadcast_arrays(
            np.asarray(right, dtype=np.float64),
            np.asarray(accept_right, dtype=np.float64),
            np.asarray(accept_wrong, dtype=np.float64),
        )
        return Chances(first=right_, after_right=right_, after_wrong=right_, accept_right=accept_right_, accept_wrong=accept_wrong_)

    @staticmethod
    def of_columns(columns: Doubles, *, merged: bool) -> Chances:
        """From (sums of) the columns of `counted`.

        Args:
            columns: [..., 10] as `counted` makes them.
            merged: whether attempts after a right and after a wrong one are taken together.
        """
        hits, base = columns[..., 0::2], columns[..., 1::2]
        if merged:
            hits, base = hits.copy(), base.copy()
            hits[..., 1:3] = hits[..., 1:3].sum(axis=-1, keepdims=True)
            base[..., 1:3] = base[..., 1:3].sum(axis=-1, keepdims=True)
        chance = np.where(base > 0, hits / np.where(base > 0, base, 1.0), np.nan)
        return Chances(
            first=chance[..., 0],
            after_right=chance[..., 1],
            after_wrong=chance[..., 2],
            accept_right=chance[..., 3],
            accept_wrong=chance[..., 4],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """What K attempts with these chances are worth.

    Example: walk(Chances.alike(0.4, accept_right=1.0, accept_wrong=0.0), 2).value      # 1 - 0.6^2
    """

    value: Doubles
    """[...] P(the answer that stands is right)."""
    right_K: Doubles
    """[K, ...] V(k, right)."""
    wrong_K: Doubles
    """[K, ...] V(k, wrong)."""
    reach_right_K: Doubles
    """[K, ...] chance that attempt k is made and right."""
    reach_wrong_K: Doubles
    """[K, ...] chance that attempt k is made and wrong."""
    sampling_credit: Doubles
    """[...] variance of the outcome that attempts make."""
    decision_credit: Doubles
    """[...] variance of the outcome that decisions make; the two add up to value * (1 - value)."""

    @property
    def decision_share(self) -> Doubles:
        """[...] the decisions' part of the variance; NaN where the outcome has none."""
        total = self.sampling_credit + self.decision_credit
        found: Doubles = np.where(total > 1e-15, self.decision_credit / np.where(total > 1e-15, total, 1.0), np.nan)
        return found


def walk(chances: Chances, num_attempts: int) -> Walk:
    """Values backward, chances to get there forward.

    Args:
        chances: [...] each.
        num_attempts: K >= 1.
    """
    if num_attempts < 1:
        raise ValueError(f"num_attempts must be at least 1, got {num_attempts}")
    right_K, wrong_K, again_right_K, again_wrong_K = _values(chances, num_attempts)
    reach_right_K, reach_wrong_K = [chances.first], [1 - chances.first]
    sampling = _times(chances.first * (1 - chances.first), (right_K[0] - wrong_K[0]) ** 2)
    decision = np.zeros_like(chances.first)
    for k in range(num_attempts - 1):
        accept_right, accept_wrong = chances.accept_right, chances.accept_wrong
        decision = decision + _times(reach_right_K[k], _times(accept_right * (1 - accept_right), (1 - again_right_K[k]) ** 2))
        decision = decision + _times(reach_wrong_K[k], _times(accept_wrong * (1 - accept_wrong), again_wrong_K[k] ** 2))
        after_right = _times(reach_right_K[k], 1 - accept_right)
        after_wrong = _times(reach_wrong_K[k], 1 - accept_wrong)
        apart = (right_K[k + 1] - wrong_K[k + 1]) ** 2
        sampling = sampling + _times(after_right, chances.after_right * (1 - chances.after_right) * apart)
        sampling = sampling + _times(after_wrong, chances.after_wrong * (1 - chances.after_wrong) * apart)
        reach_right_K.append(_times(after_right, chances.after_right) + _times(after_wrong, chances.after_wrong))
        reach_wrong_K.append(_times(after_right, 1 - chances.after_right) + _times(after_wrong, 1 - chances.after_wrong))
    return Walk(
        value=_times(chances.first, right_K[0]) + _times(1 - chances.first, wrong_K[0]),
        right_K=np.stack(right_K),
        wrong_K=np.stack(wrong_K),
        reach_right_K=np.stack(reach_right_K),
        reach_wrong_K=np.stack(reach_wrong_K),
        sampling_credit=sampling,
        decision_credit=decision,
    )


def counted(attempts: AttemptTable) -> Doubles:
    """[P, 10] hits and base of the five chances for each prompt, in the order of `Chances`.

    Attempts of unknown truth are in none, and a response that broke off counts as far as it went.
    """
    known_A, correct_A = attempts.known_A, attempts.correct_A
    after_A, before = previous(attempts)
    after_A = after_A & known_A & known_A[before] & (attempts.decision_A[before] == RETRY)
    decided_A, accepted_A = attempts.decided_A, attempts.decision_A == ACCEPT
    cells = (
        (correct_A, known_A & (attempts.index_A == 0)),
        (correct_A, after_A & correct_A[before]),
        (correct_A, after_A & ~correct_A[before]),
        (accepted_A, decided_A & correct_A),
        (accepted_A, decided_A & ~correct_A),
    )
    ratios = [Ratio.over(hit_A, among_A, attempts.prompt_A, attempts.num_prompts) for hit_A, among_A in cells]
    return np.stack([column for ratio in ratios for column in (ratio.sum_P, ratio.count_P)], axis=1).astype(np.float64)


def previous(attempts: AttemptTable) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """([A] whether an attempt comes after another one, [A] where that one stands; itself where there is none)."""
    there_A: NDArray[np.bool_] = attempts.index_A > 0
    before_A: NDArray[np.int64] = np.arange(len(there_A)) - there_A
    return there_A, before_A


def _values(chances: Chances, num_attempts: int) -> tuple[list[Doubles], list[Doubles], list[Doubles], list[Doubles]]:
    """V(k, right), V(k, wrong) for k = 1 .. K, and Q(k, right), Q(k, wrong) for k < K."""
    right: list[Doubles] = [np.ones_like(chances.first)]
    wrong: list[Doubles] = [np.zeros_like(chances.first)]
    again_right: list[Doubles] = []
    again_wrong: list[Doubles] = []
    for _ in range(num_attempts - 1):
        again_right.insert(0, _times(chances.after_right, right[0]) + _times(1 - chances.after_right, wrong[0]))
        again_wrong.insert(0, _times(chances.after_wrong, right[0]) + _times(1 - chances.after_wrong, wrong[0]))
        next_right = chances.accept_right + _times(1 - chances.accept_right, again_right[0])
        next_wrong = _times(1 - chances.accept_wrong, again_wrong[0])
        right.insert(0, next_right)
        wrong.insert(0, next_wrong)
    return right, wrong, again_right, again_wrong


def _times(chance: Floats, value: Floats) -> Doubles:
    """chance * value, and 0 where the chance is 0, whatever the value."""
    product: Doubles = np.where(chance == 0, 0.0, chance * np.where(chance == 0, 0.0, value))
    return product
