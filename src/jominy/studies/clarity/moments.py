"""Correlation over moments of training: each a model at an evaluation, and models come in families.

    r over moments      all of them, or within models (each model's means taken off)
    interval            on the scale of atanh r, by leaving families out in turn, with Student's t (`families`)

Left out on purpose: p-values; moments of a model follow each other, and no order of them is as likely as another.
"""

from __future__ import annotations

import math

import numpy as np

from jominy.records import Bools, Floats, Ints, Measure
from jominy.studies.families import leave_out_interval
from jominy.studies.gains import Doubles

FEWEST_FAMILIES = 4
SMALL = 1e-9


def moment_correlation(name: str, first_K: Floats, second_K: Floats, model_K: Ints, *, family_K: Ints, within: bool) -> Measure:
    """Pearson's correlation over moments; the family is the unit.

    Args:
        name: of the measure.
        first_K: [K] one number a moment.
        second_K: [K] the other.
        model_K: [K] whose moment it is.
        family_K: [K] which models were made alike.
        within: take each model's means off first.

    Returns:
        Undefined below four families, or where one of the two does not vary.
    """
    meaning = "Correlation over moments of training" + (", each model's means taken off." if within else ".")
    num_families = len(np.unique(family_K))
    if num_families < FEWEST_FAMILIES:
        why = f"it needs {FEWEST_FAMILIES} families at least, there are {num_families}"
        return Measure(name=name, value=None, unit="correlation", why_none=why, meaning=meaning)
    pair_K2: Doubles = np.column_stack([first_K, second_K]).astype(np.float64)
    if within:
        for model in np.unique(model_K):
            pair_K2[model_K == model] -= pair_K2[model_K == model].mean(axis=0)

    def on_its_scale(keep_K: Bools) -> float | None:
        spread_2 = pair_K2[keep_K].std(axis=0)
        if spread_2.min() < SMALL:
            return None
        value = float(np.corrcoef(*pair_K2[keep_K].T)[0, 1])
        return math.atanh(value) if abs(value) < 1 - SMALL else math.copysign(math.inf, value)

    value = on_its_scale(np.ones(len(pair_K2), dtype=bool))
    if value is None:
        return Measure(name=name, value=None, unit="correlation", why_none="one of the two does not vary", meaning=meaning)
    found = leave_out_interval(lambda keep_K: _finite(on_its_scale(keep_K)), family_K)
    low, high = (None if end is None else math.tanh(end) for end in (found.low, found.high))
    return Measure(name=name, value=math.tanh(value), low=low, high=high, unit="correlation", meaning=meaning)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
