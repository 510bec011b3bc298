"""Values of measures as an array, for comparisons that know no `None`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.records import Floats


def numbers(values: Sequence[float | None]) -> Floats:
    """[N] the values, each of which must be there."""
    there = [value for value in values if value is not None]
    assert len(there) == len(values), f"a value is missing: {values}"
    return np.array(there, dtype=np.float64)
