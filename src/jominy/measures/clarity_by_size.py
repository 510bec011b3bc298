"""How the silhouette depends on the number of rollouts a prompt: the same prompts with K of their rollouts.

    S(K) = sum_p sum_d S_pd / sum_p sum_d [S_pd is defined]          d: draws of K of the prompt's rollouts, without replacement

With few rollouts S is noisy, is pulled below zero by small classes, and exists on fewer prompts: an S at K = 16 is not an S at K = 256,
and two models are compared at one K. The draws are nested (the first 8 of a shuffled group, its first 16 ...), so that neighbouring sizes
differ by what more rollouts bring and not by luck; every size has the same prompts. The paper takes K = 256, 32 or 16 by benchmark.
Left out on purpose: a correction to K without end, which would need a model of the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.groups import Groups
from jominy.measures.silhouette import CACHE_ELEMENTS, NO_PROBABILITY, Doubles, block_clarity, checked_probability, only_prompts
from jominy.records import Ints, Measure, Paper
from jominy.stats import Interval, mean_interval, share_interval

SIZES = (8, 16, 32, 64, 128, 256)
"""Rollouts a prompt that are tried; those that most prompts do not have are left out."""
PAPER = Paper(arxiv="", title="our control of 2601.06911")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarityBySize:
    """The clarity measures at several numbers of rollouts a prompt, all on the same prompts.

    Example: ClarityBySize(sizes=(16, 64), silhouette=(Measure(name="silhouette at K=16", value=0.05), ...), ...)
    """

    sizes: tuple[int, ...]
    """[K] rollouts a prompt, ascending; empty when fewer than half of the prompts have the smallest number."""
    silhouette: tuple[Measure, ...]
    """[K] mean S."""
    balanced: tuple[Measure, ...]
    """[K] mean class-balanced S."""
    negative: tuple[Measure, ...]
    """[K] share with S < 0."""
    coverage: tuple[Measure, ...]
    """[K] share of groups of this size that have right and wrong answers."""


def clarity_by_size(
    groups: Groups,
    sizes: Sequence[int],
    rng: np.random.Generator,
    *,
    num_draws: int = 8,
    max_prompts: int = 1024,
    min_class_size: int = 1,
) -> ClarityBySize:
    """S, balanced S, share of S < 0 and coverage on sub-samples of the rollouts, with 95 % intervals over prompts.

    Args:
        groups: P prompts with `probability_N`; rollouts that are unscored or lack a probability are ignored.
        sizes: rollouts a prompt, ascending, each at least 2; a size that fewer than half of the prompts reach is left out.
        rng: source of the draws, and of the choice of prompts when there are more than `max_prompts`.
        num_draws: sub-samples of each prompt, at least 1; their mean enters.
        max_prompts: at most so many prompts, drawn at random among those with the largest size left.
        min_class_size: as in `measure_clarity`.

    Raises:
        ValueError: there is no column of probabilities, or the sizes do not ascend.

    >>> groups = Groups.of(rewards=[[1, 1, 0, 0]] * 3, probability=[[0.9, 0.9, 0.1, 0.1]] * 3)
    >>> found = clarity_by_size(groups, [3, 4, 8], np.random.default_rng(0))
    >>> found.sizes, [round(measure.value, 3) for measure in found.silhouette]       # of 3, one class has one answer, whose s_i is 0
    ((3, 4), [0.667, 1.0])
    """
    if groups.probability_N is None:
        raise ValueError(NO_PROBABILITY)
    if list(sizes) != sorted(set(sizes)) or min(sizes, default=0) < 2 or num_draws < 1 or max_prompts < 1:
        raise ValueError(f"clarity by size needs ascending sizes from 2 up, a draw and a prompt at least; got {list(sizes)}, {num_draws}")
    keep_N = groups.scored_N & np.isfinite(groups.probability_N)
    kept_P = groups.count_P(keep_N)
    there = tuple(size for size in sizes if 2 * np.count_nonzero(kept_P >= size) >= max(len(kept_P), 1))
    prompts_W = np.flatnonzero(kept_P >= there[-1]) if there else np.zeros(0, dtype=np.int64)
    if len(prompts_W) > max_prompts:
        prompts_W = np.sort(rng.choice(prompts_W, size=max_prompts, replace=False))
    found_4WK = _means_of_draws(only_prompts(groups, keep_N, prompts_W), prompts_W, there, rng, num_draws, min_class_size)
    maker = _Maker(num_all=groups.num_prompts, num_unscored=groups.num_unscored)
    columns = [(size, *found_4WK[:, :, k]) for k, size in enumerate(there)]
    return ClarityBySize(
        sizes=there,
        silhouette=tuple(maker.mean(f"silhouette at K={size}", defined_W, sum_W) for size, defined_W, sum_W, _, _ in columns),
        balanced=tuple(maker.mean(f"balanced silhouette at K={size}", defined_W, sum_W) for size, defined_W, _, sum_W, _ in columns),
        negative=tuple(maker.share(f"share with S < 0 at K={size}", defined_W, sum_W) for size, defined_W, _, _, sum_W in columns),
        coverage=tuple(maker.share(f"clarity coverage at K={size}", np.ones_like(defined_W), defined_W) for size, defined_W, *_ in columns),
    )


def _means_of_draws(
    wanted: Groups, prompts_W: Ints, sizes: Sequence[int], rng: np.random.Generator, num_draws: int, min_class_size: int
) -> Doubles:
    """[4, W, K] means over the draws of: S is defined, S, balanced S, S < 0; the last three count 0 where it is undefined."""
    found_4WK = np.zeros((4, len(prompts_W), len(sizes)))
    probability_N = checked_probability(wanted)
    for block in wanted.blocks(max_elements=CACHE_ELEMENTS):
        values_Bn, right_Bn = block.cut(probability_N).astype(np.float64), block.cut(wanted.correct_N)
        rows_B = np.searchsorted(prompts_W, block.prompts_B)
        places_Bn = np.tile(np.arange(block.size), (len(rows_B), 1))
        for _ in range(num_draws):
            order_Bn = rng.permuted(places_Bn, axis=1)
            shuffled_Bn, labels_Bn = np.take_along_axis(values_Bn, order_Bn, axis=1), np.take_along_axis(right_Bn, order_Bn, axis=1)
            for k, size in enumerate(sizes):
                num_right_B = np.count_nonzero(labels_Bn[:, :size], axis=1)
                mixed_B = (num_right_B >= min_class_size) & (size - num_right_B >= min_class_size)
                if mixed_B.any():
                    _, silhouette_V, _, balanced_V, *_ = block_clarity(shuffled_Bn[mixed_B, :size], labels_Bn[mixed_B, :size])
                    found_4WK[:, rows_B[mixed_B], k] += np.ones_like(silhouette_V), silhouette_V, balanced_V, silhouette_V < 0
    return found_4WK / num_draws


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Makes the measures of one prompt set, so that all of them count alike."""

    num_all: int
    num_unscored: int

    def mean(self, name: str, defined_W: Doubles, sums_W: Doubles) -> Measure:
        """sum of sums / sum of defined, a ratio whose interval is that of its linear part."""
        shell, total = self._shell(name, "S", defined_W), float(defined_W.sum())
        if total <= 0:
            return replace(shell, why_none="no group of this size has right and wrong answers")
        ratio = float(sums_W.sum()) / total
        interval = mean_interval(ratio + (sums_W - ratio * defined_W) * (len(defined_W) / total), bounds=(-1.0, 1.0))
        return _filled(shell, ratio, interval)

    def share(self, name: str, defined_W: Doubles, sums_W: Doubles) -> Measure:
        """The same of what is a share."""
        shell, used_W = self._shell(name, "share", defined_W), defined_W > 0
        if not used_W.any():
            return replace(shell, why_none="no group of this size has right and wrong answers")
        values_U, weights_U = sums_W[used_W] / defined_W[used_W], defined_W[used_W]
        return _filled(shell, float(sums_W.sum() / weights_U.sum()), share_interval(values_U, weights_T=weights_U))

    def _shell(self, name: str, unit: str, defined_W: Doubles) -> Measure:
        num_used = int(np.count_nonzero(defined_W))
        return Measure(
            name=name,
            value=None,
            unit=unit,
            num_prompts=num_used,
            num_unscored=self.num_unscored,
            num_left_out=self.num_all - num_used,
            meaning="The mean over sub-samples of this many rollouts a prompt, the same prompts at every size.",
            paper=PAPER,
        )


def _filled(shell: Measure, value: float, interval: Interval) -> Measure:
    return replace(shell, value=value, low=interval.low, high=interval.high)
