"""Values of measures as numbers, for comparisons that know no `None`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.records import Floats, Measure


def numbers(values: Sequence[float | None]) -> Floats:
    """[N] the values, each of which must be there."""
    there = [value for value in values if value is not None]
    assert len(there) == len(values), f"a value is missing: {values}"
    return np.array(there, dtype=np.float64)


def low_value_high(measure: Measure) -> tuple[float, float, float]:
    """The value between the ends of its interval; all three must be there."""
    low, value, high = numbers([measure.low, measure.value, measure.high]).tolist()
    return low, value, high


def covers(measure: Measure, truth: float) -> bool:
    """Whether its interval, which must be there, holds the truth."""
    low, _, high = low_value_high(measure)
    return low <= truth <= high
