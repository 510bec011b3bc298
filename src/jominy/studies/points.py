"""Points of a study's plots from measures.

Left out on purpose: panels and plots, which each study puts together for itself.
"""

from __future__ import annotations

from jominy.conclusion import Point
from jominy.explanation import signed, signed_interval
from jominy.records import Measure


def difference_point(label: str, measure: Measure, *, category: str = "", x: float | None = None, group: str = "") -> Point | None:
    """A difference of shares, in points; None where it is undefined.

    Args:
        label: what it is of.
        measure: the difference, as a share.
        category: its place in a plot of kind dots.
        x: its place in a plot of kind scatter or line.
        group: what it shares symbol and colour with.
    """
    if measure.value is None:
        return None
    low, high = (None if end is None else 100 * end for end in (measure.low, measure.high))
    text = f"{signed(measure.value, 'share')} {signed_interval(measure)}"
    return Point(label=label, category=category, x=x, y=100 * measure.value, low=low, high=high, group=group, side=group, text=text)
