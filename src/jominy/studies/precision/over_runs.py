"""Means over runs, or over prompts, with intervals over these: what tables say beside the numbers of claims.

    mean    Student's interval: a run, which is a seed, could have been another one
    share   the score interval of values in [0, 1]
    rate    hits of all runs over trials of all runs, each tossed by itself as simulated errors are; Wilson's interval

Left out on purpose: runs and prompts as two sources of chance at once (`gains`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from jominy.formatting import interval, number
from jominy.records import Floats, Measure
from jominy.stats import Interval, mean_interval, share_interval, wilson

NONE = "nothing has it"
NO_BREAK = "\N{NO-BREAK SPACE}"


def mean_over(values: Sequence[float | None], unit: str = "share") -> Measure:
    """Of those that are known."""
    return _mean_over(values, unit, mean_interval)


def share_over(values: Sequence[float | None]) -> Measure:
    """The same of shares, whose interval stays in [0, 1]."""
    return _mean_over(values, "share", share_interval)


def _mean_over(values: Sequence[float | None], unit: str, interval_of: Callable[[Floats], Interval]) -> Measure:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return Measure(name="mean", value=None, unit=unit, why_none=NONE)
    found = interval_of(known)
    return Measure(name="mean", value=float(known.mean()), low=found.low, high=found.high, unit=unit)


def rate_over(hits: Sequence[float], others: Sequence[float]) -> Measure:
    """Hits among all, a pair of counts for each run.

    >>> rate_over([3, 1], [1, 3]).value
    0.5
    """
    num_hits, num_all = float(sum(hits)), float(sum(hits) + sum(others))
    if not num_all:
        return Measure(name="rate", value=None, why_none=NONE)
    found = wilson(num_hits, num_all)
    return Measure(name="rate", value=num_hits / num_all, low=found.low, high=found.high)


def with_bounds(measure: Measure) -> str:
    """In its unit, with its interval, within which no line is broken, where it has one; a dash where it is undefined.

    >>> with_bounds(Measure(name="x", value=0.5, low=0.25, high=0.75)).split()
    ['50.0', '[25.0,', '75.0]']
    """
    if measure.value is None:
        return "–"
    if measure.low is None or measure.high is None:
        return number(measure.value, measure.unit)
    return f"{number(measure.value, measure.unit)} {interval(asdict(measure)).replace(' ', NO_BREAK)}"
