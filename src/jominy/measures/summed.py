"""Measures together with what each prompt adds to them, so that the same measure before and after can be compared prompt by prompt.

    value = f(sum_p x_p)        x_p   hits and number of one ratio, of two, of a table of chances

The module that owns a measure makes both here in one go, so its value and its prompts' parts cannot part. Left out on purpose: what is done
with the parts (`decision_changes`), and intervals (`clustered`, `stats`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jominy.measures.clustered import Label, Ratio, average, complement, difference_of_shares, share
from jominy.records import Floats, Measure

Doubles = NDArray[np.float64]
OfSums = Callable[[Doubles], Doubles]
"""[..., M] sums over prompts -> [...] the value, NaN where undefined."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Summed:
    """One measure with its prompts' parts.

    Example: summed_share(Ratio(sum_P=np.array([1.0, 0.0]), count_P=np.array([2.0, 2.0])), label).measure.value      # 0.25
    """

    measure: Measure
    """Value and interval."""
    sums_PM: Doubles
    """[P, M] what the value is a function of, by prompt; 0 in all columns where a prompt takes no part."""
    value: OfSums
    """That function."""
    reach: float = math.inf
    """Two such values differ by no more than this."""


def summed_share(ratio: Ratio, label: Label) -> Summed:
    """A ratio of values in [0, 1]."""
    return Summed(measure=share(ratio, label), sums_PM=stacked(ratio), value=_first_ratio, reach=1.0)


def summed_complement(ratio: Ratio, label: Label) -> Summed:
    """One minus a share."""
    return Summed(measure=complement(ratio, label), sums_PM=stacked(ratio), value=lambda sums: 1 - ratio_of(sums, 0), reach=1.0)


def summed_average(ratio: Ratio, label: Label) -> Summed:
    """A ratio of any values."""
    return Summed(measure=average(ratio, label), sums_PM=stacked(ratio), value=_first_ratio)


def summed_difference(one: Ratio, other: Ratio, label: Label, *, scale: float = 1.0, shift: float = 0.0) -> Summed:
    """shift + scale * (one - other), both of values in [0, 1]."""
    return Summed(
        measure=difference_of_shares(one, other, label, scale=scale, shift=shift),
        sums_PM=stacked(one, other),
        value=lambda sums: shift + scale * (ratio_of(sums, 0) - ratio_of(sums, 1)),
        reach=2 * scale,
    )


def stacked(*ratios: Ratio) -> Doubles:
    """[P, 2 n] sum, count, sum, count ..."""
    return np.stack([np.asarray(column, dtype=np.float64) for ratio in ratios for column in (ratio.sum_P, ratio.count_P)], axis=1)


def ratio_of(sums: Doubles, place: int) -> Doubles:
    """[...] the place-th ratio of stacked sums, NaN where nothing is counted."""
    return divided(sums[..., 2 * place], sums[..., 2 * place + 1])


def divided(one: Floats, other: Floats) -> Doubles:
    """one / other, NaN where other is not above 0.

    >>> divided(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    found: Doubles = np.where(other > 0, one / np.where(other > 0, other, 1.0), np.nan)
    return found


def _first_ratio(sums: Doubles) -> Doubles:
    return ratio_of(sums, 0)
