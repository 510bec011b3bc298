"""Where noise alone would put the silhouettes of a prompt set: bands of permuted labels, to be drawn behind what was observed.

    by rank         the r-th smallest of W permuted silhouettes, one of each prompt: its mean and its 2.5 % and 97.5 % quantiles
    by pass rate    a single permuted silhouette of the prompts with about this pass rate: the same three
    side            a prompt is above noise when its S exceeds 97.5 % of its own permuted S, below when less than 2.5 % lie under it
    expected        prompts that noise alone puts on either side: sum over prompts of the share of its permuted S on that side

Where labels can be dealt in few ways the last is less than 2.5 %: one right of 16 has 16 labellings, the highest S comes with a chance of
1/16, so it is the end of the band and nothing lies above. Such a prompt says nothing alone; the pooled permutation z counts it as well.

S depends on how many answers are right even when probability says nothing, so the band is what to hold S against, and not zero.
Left out on purpose: a correction for looking at many prompts at once; at most about a twentieth of pure noise lies outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jominy.measures.silhouette import Doubles
from jominy.records import Ints

LOW, HIGH = 0.025, 0.975
NUM_BINS = 16
"""Pass rates are pooled in bins around 0, 1/16, ... 1: single pass rates where there are 16 rollouts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NullBand:
    """Mean and 95 % of noise along an axis.

    Example: NullBand(x_B=[0.1, 0.5], mean_B=[-0.1, 0.0], low_B=[-0.4, -0.1], high_B=[0.4, 0.2])
    """

    x_B: Doubles
    """[B] positions, ascending."""
    mean_B: Doubles
    """[B] mean."""
    low_B: Doubles
    """[B] 2.5 % quantile."""
    high_B: Doubles
    """[B] 97.5 % quantile."""


def band_by_rank(null_WR: Doubles) -> NullBand:
    """Each permutation's silhouettes sorted, then summed up rank by rank.

    Args:
        null_WR: [W, R] permuted silhouettes, prompts by permutations.

    >>> band_by_rank(np.array([[0.3, 0.1], [-0.3, 0.2]])).mean_B          # sorted: -0.3 0.3 and 0.1 0.2
    array([-0.1 ,  0.25])
    """
    sorted_WR = np.sort(null_WR, axis=0)
    low_W, high_W = np.quantile(sorted_WR, [LOW, HIGH], axis=1)
    return NullBand(x_B=np.arange(1.0, len(null_WR) + 1), mean_B=sorted_WR.mean(axis=1), low_B=low_W, high_B=high_W)


def band_by_pass_rate(null_WR: Doubles, pass_rate_W: Doubles) -> NullBand:
    """The permuted silhouettes of all prompts in a bin of pass rates together, at the mean pass rate of the bin.

    Args:
        null_WR: [W, R] permuted silhouettes.
        pass_rate_W: [W] in (0, 1).
    """
    bins_W = np.floor(pass_rate_W * NUM_BINS + 0.5).astype(np.int64)
    found = [_summed_up(pass_rate_W[bins_W == which], null_WR[bins_W == which]) for which in np.unique(bins_W)]
    x_B, mean_B, low_B, high_B = np.array(found).reshape(-1, 4).T
    return NullBand(x_B=x_B, mean_B=mean_B, low_B=low_B, high_B=high_B)


def _summed_up(pass_rate_M: Doubles, null_MR: Doubles) -> tuple[float, float, float, float]:
    low, high = np.quantile(null_MR, [LOW, HIGH])
    return float(pass_rate_M.mean()), float(null_MR.mean()), float(low), float(high)


def sides_of(values_W: Doubles, null_WR: Doubles) -> Ints:
    """[W] 1 above, 0 within and -1 below the 95 % of the prompt's own permuted labels.

    >>> sides_of(np.array([0.9, 0.0]), np.array([[-0.1, 0.1], [-0.1, 0.1]]))
    array([1, 0])
    """
    low_W, high_W = _ends(null_WR)
    sides_W: Ints = (values_W > high_W).astype(np.int64) - (values_W < low_W)
    return sides_W


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutside:
    """How many prompts noise alone puts outside their bands.

    Example: ExpectedOutside(above=0.4, below=1.1, num_can_leave=44)
    """

    above: float
    """Expected number above."""
    below: float
    """Expected number below."""
    num_can_leave: int
    """Prompts of which some labelling lies outside."""


def expected_outside(null_WR: Doubles) -> ExpectedOutside:
    """From the permuted values themselves, each prompt against its own.

    >>> expected_outside(np.array([[0.1] * 100, [-0.5] + [0.1] * 98 + [0.9]]))        # the second: 1 of 100 on either side
    ExpectedOutside(above=0.01, below=0.01, num_can_leave=1)
    """
    low_W, high_W = _ends(null_WR)
    above_W, below_W = (null_WR > high_W[:, None]).mean(axis=1), (null_WR < low_W[:, None]).mean(axis=1)
    can_leave = int(np.count_nonzero(above_W + below_W))
    return ExpectedOutside(above=float(above_W.sum()), below=float(below_W.sum()), num_can_leave=can_leave)


def _ends(null_WR: Doubles) -> tuple[Doubles, Doubles]:
    """[W], [W] of the bands. Without spread both are the value itself, give or take a rounding error."""
    low_W, high_W = np.quantile(null_WR, [LOW, HIGH], axis=1)
    return low_W - 1e-12, high_W + 1e-12
