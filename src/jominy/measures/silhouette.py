"""Silhouettes of right and wrong answers on the line, for single groups and for millions of them.

    a_i = sum_own(i) / (n_own - 1),   b_i = sum_opp(i) / n_opp,   s_i = (b_i - a_i) / max(a_i, b_i)          (2601.06911, eq. 2-4)

With values sorted, and counts and sums running along them, the sum of distances to a class is
x_i * (2 * count_i - count) + sum - 2 * sum_i: O(n log n) for the sort, then a few passes over [B, n] blocks, where distances need O(n^2).
The blocks are independent, so threads share them (NumPy releases the interpreter lock); the result does not depend on how.
Left out on purpose: more dimensions, where none of this works, and everything about prompts together, which is `clarity`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.groups import Block, Groups
from jominy.records import Bools, Floats, Ints
from jominy.stats import permuted_labels, z_score

NULL_BINS = 20
"""Bins of the histogram of permuted silhouettes, from -1 to 1."""

CACHE_ELEMENTS = 1 << 16
"""Elements of a block: its dozen temporaries then stay in the processor's cache, which is worth a factor of two."""

NO_PROBABILITY = "clarity needs the probability of each rollout (log-probabilities in the rollouts table); sample with jominy or add them"

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptClarity:
    """What the probabilities of one prompt's answers say, for each prompt with both classes.

    Example: prompts_V=[0, 3], silhouette_V=[0.61, -0.08], ...: prompts 1 and 2 had only right or only wrong answers
    """

    prompts_V: Ints
    """[V] numbers of the prompts, ascending."""
    pass_rate_V: Doubles
    """[V] share of right answers among those that entered."""
    silhouette_V: Doubles
    """[V] S in [-1, 1]."""
    rectified_V: Doubles
    """[V] S': S, or -|S| where wrong answers have the higher mean probability."""
    balanced_V: Doubles
    """[V] mean of the two class means of s_i, in [-1, 1]: what S would be with as many right as wrong answers."""
    separation_V: Doubles
    """[V] mean probability of right minus of wrong answers, in [-1, 1]."""
    auroc_V: Doubles
    """[V] chance that a right answer is more probable than a wrong one, ties counting half, in [0, 1]."""
    dprime_V: Doubles
    """[V] separation / sqrt((var_right + var_wrong) / 2), n - 1 variances; NaN where a class has one answer or neither has spread."""
    spread_right_V: Doubles
    """[V] mean |P_i - P_j| over pairs of right answers, which is the mean of their a_i, in [0, 1]; NaN where there is one only."""
    spread_wrong_V: Doubles
    """[V] the same of wrong answers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PermutedClarity:
    """What S would be if right and wrong had nothing to do with the probabilities.

    Example: prompts_W=[0, 3], null_mean_W=[-0.02, -0.12], null_deviation_W=[0.08, 0.25], null_negative_W=[0.55, 0.66], ...
    """

    prompts_W: Ints
    """[W] numbers of the prompts whose labels were permuted, ascending."""
    silhouette_W: Doubles
    """[W] their S as observed."""
    null_mean_W: Doubles
    """[W] mean S under permuted labels."""
    null_deviation_W: Doubles
    """[W] standard deviation of S under permuted labels."""
    null_negative_W: Doubles
    """[W] share of the permutations with S < 0."""
    z_W: Doubles
    """[W] (S - null mean) / null deviation; NaN where permuting changes nothing."""
    null_counts_H: Doubles
    """[H] permuted S in H equal bins from -1 to 1, each permutation counting 1 / permutations, so that they add up to W."""
    null_WR: Doubles
    """[W, R] S under each permutation."""
    null_balanced_WR: Doubles
    """[W, R] class-balanced S under the same permutations."""


def silhouette_samples(values_n: Floats, right_n: Bools) -> Doubles:
    """s_i of each answer of one prompt, in the order given.

    Args:
        values_n: [n] finite, any scale.
        right_n: [n] the two classes.

    Returns:
        [n] in [-1, 1].

    Raises:
        ValueError: only one class, where a silhouette is undefined.

    >>> silhouette_samples(np.array([0.9, 0.8, 0.1]), np.array([True, True, False])).round(3)      # 0.9: a = .1, b = .8; a class of one: 0
    array([0.875, 0.857, 0.   ])
    """
    values, right = np.asarray(values_n, dtype=np.float64), np.asarray(right_n, dtype=bool)
    if values.ndim != 1 or values.shape != right.shape:
        raise ValueError(f"values_n and right_n must be [n] alike, got {values.shape} and {right.shape}")
    if right.all() or not right.any():
        raise ValueError("a silhouette needs right and wrong answers; this group has one class only")
    order = np.argsort(values)
    samples = np.empty(len(values))
    samples[order] = sorted_silhouettes(values[order] - values[order[0]], right[order])
    return samples


def sorted_silhouettes(values: Doubles, right: Bools) -> Doubles:
    """s_i along the last axis of values that ascend from 0; leading axes broadcast (many labellings of the same values)."""
    return _samples_and_own(values, right)[0]


def _samples_and_own(values: Doubles, right: Bools) -> tuple[Doubles, Doubles]:
    """s_i and a_i along the last axis of values that ascend from 0; in a class of one both are 0.

    Values start at 0 so that equal values give sums that are exactly 0, and s_i = 0 as it must.
    """
    num_answers = values.shape[-1]
    is_right = right.astype(np.float64)
    is_wrong = 1.0 - is_right
    num_right = is_right.sum(axis=-1, keepdims=True)
    num_wrong = num_answers - num_right
    running_right = np.cumsum(values * is_right, axis=-1)
    to_right = values * (2.0 * np.cumsum(is_right, axis=-1) - num_right)
    to_right += running_right[..., -1:]
    to_right -= 2.0 * running_right
    running_all = np.cumsum(values, axis=-1)
    to_all = values * (2.0 * np.arange(1, num_answers + 1) - num_answers) + running_all[..., -1:] - 2.0 * running_all
    to_wrong = to_all - to_right
    # Multiplying by 0 and 1 picks as np.where does, five times faster: labels are random, so its branches are mispredicted.
    own = is_right * (to_right / np.maximum(num_right - 1.0, 1.0)) + is_wrong * (to_wrong / np.maximum(num_wrong - 1.0, 1.0))
    opposite = is_right * (to_wrong / num_wrong) + is_wrong * (to_right / num_right)
    largest = np.maximum(own, opposite)
    largest += largest <= 0.0
    samples: Doubles = (opposite - own) / largest
    np.clip(samples, -1.0, 1.0, out=samples)
    samples *= is_right * (num_right > 1) + is_wrong * (num_wrong > 1)
    return samples, own


def sort_together(values_Bn: Doubles, right_Bn: Bools) -> tuple[Doubles, Bools]:
    """Each row ascending, wrong before right among equal values.

    A non-negative double sorts like its bits read as an integer, so the label travels in the lowest bit: one plain sort, no index array.
    It costs the last of 53 bits of precision (2e-16), for all values alike, so ties stay ties.
    """
    bits_Bn = (values_Bn + 0.0).view(np.int64)
    bits_Bn &= ~1
    bits_Bn |= right_Bn
    bits_Bn.sort(axis=1)
    sorted_right_Bn = (bits_Bn & 1).astype(bool)
    bits_Bn &= ~1
    return bits_Bn.view(np.float64), sorted_right_Bn


def prompt_clarity(groups: Groups, keep_N: Bools, *, min_class_size: int = 1) -> PromptClarity:
    """The clarity of every prompt that has at least `min_class_size` right and wrong answers.

    Args:
        groups: with `probability_N` in [0, 1] wherever kept.
        keep_N: [N] rollouts that enter.
        min_class_size: smallest class that counts, at least 1.
    """
    # Only what is used is copied.
    kept = replace(groups, truncated_N=None, num_tokens_N=None, repetitive_N=None).only(keep_N)
    probability_K = checked_probability(kept)
    found_9P = np.full((9, groups.num_prompts), np.nan)

    def work(block: Block) -> None:
        """Write the numbers of one block into its prompts' columns."""
        right_Bn = block.cut(kept.correct_N)
        num_right_B = np.count_nonzero(right_Bn, axis=1)
        rows = np.flatnonzero((num_right_B >= min_class_size) & (block.size - num_right_B >= min_class_size))
        if len(rows) > 0:
            values_Bn = block.cut(probability_K)[rows].astype(np.float64)
            found_9P[:, block.prompts_B[rows]] = block_clarity(values_Bn, right_Bn[rows])

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in pool.map(work, kept.blocks(max_elements=CACHE_ELEMENTS)):
            pass
    prompts_V = np.flatnonzero(np.isfinite(found_9P[0]))
    pass_rate, silhouette, rectified, balanced, separation, auroc, dprime, spread_right, spread_wrong = found_9P[:, prompts_V]
    return PromptClarity(
        prompts_V=prompts_V,
        pass_rate_V=pass_rate,
        silhouette_V=silhouette,
        rectified_V=rectified,
        balanced_V=balanced,
        separation_V=separation,
        auroc_V=auroc,
        dprime_V=dprime,
        spread_right_V=spread_right,
        spread_wrong_V=spread_wrong,
    )


def checked_probability(groups: Groups) -> Floats:
    """[N] the probabilities; raises ValueError where there are none, or one outside [0, 1]."""
    if groups.probability_N is None:
        raise ValueError(NO_PROBABILITY)
    outside = int(np.count_nonzero(~((groups.probability_N >= 0) & (groups.probability_N <= 1))))
    if outside:
        raise ValueError(f"probability_N must lie in [0, 1]; {outside} rollouts do not (log-probabilities where probabilities belong?)")
    return groups.probability_N


def block_clarity(values_Bn: Doubles, right_Bn: Bools) -> Doubles:
    """[9, B] the columns of `PromptClarity` from pass rate on, in its order, of rows that hold both classes; any order of answers."""
    values_Bn, right_Bn = sort_together(values_Bn, right_Bn)
    auroc_B = _auroc_sorted(values_Bn, right_Bn)
    values_Bn = values_Bn - values_Bn[:, :1]
    samples_Bn, own_Bn = _samples_and_own(values_Bn, right_Bn)
    size = values_Bn.shape[1]
    is_right_Bn = right_Bn.astype(np.float64)
    num_right_B = np.count_nonzero(right_Bn, axis=1)
    num_wrong_B = size - num_right_B
    sum_B, right_sum_B = samples_Bn.sum(axis=1), (samples_Bn * is_right_Bn).sum(axis=1)
    silhouette_B = sum_B / size
    balanced_B = (right_sum_B / num_right_B + (sum_B - right_sum_B) / num_wrong_B) / 2
    right_total_B = (values_Bn * is_right_Bn).sum(axis=1)
    mean_right_B = right_total_B / num_right_B
    mean_wrong_B = (values_Bn.sum(axis=1) - right_total_B) / num_wrong_B
    separation_B = mean_right_B - mean_wrong_B
    # Equal classes may differ by a rounding error; then they count as equal, which the sheet resolves to "not inverted".
    separation_B[np.abs(separation_B) <= 1e-15] = 0.0
    rectified_B = np.where(separation_B >= 0, silhouette_B, -np.abs(silhouette_B))
    squared_Bn = (values_Bn - mean_wrong_B[:, None] - is_right_Bn * separation_B[:, None]) ** 2
    right_square_B = (squared_Bn * is_right_Bn).sum(axis=1)
    wrong_square_B = squared_Bn.sum(axis=1) - right_square_B
    pooled_B = (right_square_B / np.maximum(num_right_B - 1, 1) + np.maximum(wrong_square_B, 0.0) / np.maximum(num_wrong_B - 1, 1)) / 2
    defined_B = (num_right_B > 1) & (num_wrong_B > 1) & (pooled_B > 1e-30)
    dprime_B = np.where(defined_B, separation_B / np.sqrt(np.where(defined_B, pooled_B, 1.0)), np.nan)
    own_right_B = (own_Bn * is_right_Bn).sum(axis=1)
    spread_right_B = np.where(num_right_B > 1, own_right_B / num_right_B, np.nan)
    spread_wrong_B = np.where(num_wrong_B > 1, np.maximum(own_Bn.sum(axis=1) - own_right_B, 0.0) / num_wrong_B, np.nan)
    first_six = [num_right_B / size, silhouette_B, rectified_B, balanced_B, separation_B, auroc_B]
    return np.stack([*first_six, dprime_B, spread_right_B, spread_wrong_B])


def _auroc_sorted(values_Bn: Doubles, right_Bn: Bools) -> Doubles:
    """[B] Mann-Whitney: the mean share of wrong answers below a right one; rows with ties are counted in both orders and averaged."""
    num_right_B = np.count_nonzero(right_Bn, axis=1)
    pairs_B = num_right_B * (right_Bn.shape[1] - num_right_B)
    won_B = _wrong_below_right(right_Bn).astype(np.float64)
    tied_B = ((values_Bn[:, 1:] == values_Bn[:, :-1]) & (right_Bn[:, 1:] != right_Bn[:, :-1])).any(axis=1)
    if tied_B.any():
        _, wrong_Bn = sort_together(values_Bn[tied_B], ~right_Bn[tied_B])
        won_B[tied_B] = (won_B[tied_B] + _wrong_below_right(~wrong_Bn)) / 2
    auroc_B: Doubles = won_B / pairs_B
    return auroc_B


def _wrong_below_right(right_Bn: Bools) -> Ints:
    """[B] pairs of a right answer and a wrong one before it."""
    wrong_before_Bn = np.cumsum(~right_Bn, axis=1, dtype=np.int64)
    pairs_B: Ints = (wrong_before_Bn * right_Bn).sum(axis=1)
    return pairs_B


def permuted_clarity(
    groups: Groups,
    keep_N: Bools,
    observed: PromptClarity,
    rng: np.random.Generator,
    *,
    num_permutations: int = 200,
    max_prompts: int = 1024,
) -> PermutedClarity:
    """S under labels permuted within each prompt, so that class sizes and probabilities stay as they are.

    Args:
        groups: the groups that `observed` was computed on, with the same `keep_N`.
        keep_N: [N] rollouts that enter.
        observed: `prompt_clarity` of them.
        rng: source of the permutations, and of the choice of prompts when there are more than `max_prompts`.
        num_permutations: for each prompt, at least 2.
        max_prompts: at most so many prompts, drawn at random.
    """
    if num_permutations < 2 or max_prompts < 1:
        raise ValueError(f"the permutation test needs two permutations and one prompt at least, got {num_permutations} and {max_prompts}")
    chosen_W = np.arange(len(observed.prompts_V))
    if len(chosen_W) > max_prompts:
        chosen_W = np.sort(rng.choice(len(chosen_W), size=max_prompts, replace=False))
    prompts_W = observed.prompts_V[chosen_W]
    null_2WR = np.empty((2, len(prompts_W), num_permutations))
    for rows_B, null_2BR in _permuted_blocks(groups, keep_N, prompts_W, rng, num_permutations):
        null_2WR[:, rows_B] = null_2BR
    null_WR, null_balanced_WR = null_2WR
    mean_W, deviation_W = null_WR.mean(axis=1), null_WR.std(axis=1, ddof=1)
    deviation_W[deviation_W < 1e-12] = 0.0
    observed_W = observed.silhouette_V[chosen_W]
    return PermutedClarity(
        prompts_W=prompts_W,
        silhouette_W=observed_W,
        null_mean_W=mean_W,
        null_deviation_W=deviation_W,
        null_negative_W=(null_WR < 0).mean(axis=1),
        z_W=z_score(observed_W, mean_W, deviation_W),
        null_counts_H=np.histogram(null_WR, NULL_BINS, (-1.0, 1.0))[0] / num_permutations,
        null_WR=null_WR,
        null_balanced_WR=null_balanced_WR,
    )


def permuted_negative(groups: Groups, keep_N: Bools, prompts_W: Ints, rng: np.random.Generator, *, num_permutations: int = 200) -> Doubles:
    """[W] share of the permutations with S < 0 of each prompt, as `permuted_clarity` gives it, without keeping any permuted S.

    Args:
        groups: the groups.
        keep_N: [N] rollouts that enter.
        prompts_W: [W] numbers of prompts with both classes, ascending.
        rng: source of the permutations.
        num_permutations: for each prompt, at least 1.
    """
    negative_W = np.empty(len(prompts_W))
    for rows_B, null_2BR in _permuted_blocks(groups, keep_N, prompts_W, rng, num_permutations):
        negative_W[rows_B] = (null_2BR[0] < 0).mean(axis=1)
    return negative_W


def _permuted_blocks(
    groups: Groups, keep_N: Bools, prompts_W: Ints, rng: np.random.Generator, num_permutations: int
) -> Iterator[tuple[Ints, Doubles]]:
    """([B] places in `prompts_W`, [2, B, R] S and balanced S under permuted labels), in blocks of bounded memory."""
    wanted = only_prompts(groups, keep_N, prompts_W)
    probability_K = checked_probability(wanted)
    for block in wanted.blocks(max_elements=max(1, (CACHE_ELEMENTS << 2) // num_permutations)):
        values_Bn, right_Bn = sort_together(block.cut(probability_K).astype(np.float64), block.cut(wanted.correct_N))
        rows_B = np.searchsorted(prompts_W, block.prompts_B)
        yield rows_B, _null_silhouettes(values_Bn - values_Bn[:, :1], right_Bn, num_permutations, rng)


def only_prompts(groups: Groups, keep_N: Bools, prompts_W: Ints) -> Groups:
    """The kept rollouts of the chosen prompts; all other prompts are left with none."""
    wanted_P = np.zeros(groups.num_prompts, dtype=bool)
    wanted_P[prompts_W] = True
    return groups.only(keep_N & np.repeat(wanted_P, np.diff(groups.offsets_P1)))


def _null_silhouettes(values_Bn: Doubles, right_Bn: Bools, num_permutations: int, rng: np.random.Generator) -> Doubles:
    """[2, B, R] S and balanced S under permuted labels, in slices of bounded memory."""
    step = max(1, (1 << 22) // values_Bn.size)
    num_right_B1 = np.count_nonzero(right_Bn, axis=1)[:, None]
    num_wrong_B1 = right_Bn.shape[1] - num_right_B1
    slices = []
    for first in range(0, num_permutations, step):
        shuffled_BRn = permuted_labels(right_Bn, min(step, num_permutations - first), rng)
        samples_BRn = sorted_silhouettes(values_Bn[:, None, :], shuffled_BRn)
        sum_BR, right_sum_BR = samples_BRn.sum(axis=2), np.einsum("brn,brn->br", samples_BRn, shuffled_BRn)
        balanced_BR = (right_sum_BR / num_right_B1 + (sum_BR - right_sum_BR) / num_wrong_B1) / 2
        slices.append(np.stack([sum_BR / right_Bn.shape[1], balanced_BR]))
    return np.concatenate(slices, axis=2)
