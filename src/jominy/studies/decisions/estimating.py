"""Numbers over seeds and prompts that are no plain means: ratios, and differences and means of ratios, on the resamples of `gains`.

    ratio of means    R = a / b,     R_B = R + ((a_B - a) - R (b_B - b)) / b          to first order, as shares are in `gains`

    verdict           agrees where the whole interval lies above, disagrees where it lies below, from enough seeds in every cell

So a share of a gain, and a rate whose number of cases varies from seed to seed, have intervals of the same kind as the gains, and keep
their pairing: arms of a cell share their draws. Left out on purpose: which numbers (`told`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jominy.conclusion import Agreement
from jominy.records import Measure
from jominy.studies.decisions.paper import FEWEST_SEEDS
from jominy.studies.gains import Doubles, Resampled, stretched, widening

SMALL = 1e-12
AGREEMENTS: Mapping[int, Agreement] = {1: "agrees", -1: "disagrees", 0: "cannot tell"}
"""Side on which a number surely lies -> verdict."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A number with its resamples.

    Example: estimate_of(resampled).value
    """

    value: float
    """The estimate."""
    drawn_B: Doubles
    """[B] the same of each resample."""
    shapes: tuple[tuple[int, int], ...]
    """(seeds, prompts) of each cell behind it."""

    @property
    def num_seeds(self) -> int:
        """The fewest of any cell."""
        return min(seeds for seeds, _ in self.shapes)


def estimate_of(resampled: Resampled) -> Estimate:
    """A mean over seeds and prompts."""
    return Estimate(value=resampled.mean, drawn_B=resampled.drawn_B, shapes=(resampled.shape,))


def mean(parts: Sequence[Estimate]) -> Estimate:
    """Over cells, each counting once; at least one."""
    return Estimate(
        value=float(np.mean([part.value for part in parts])),
        drawn_B=np.mean([part.drawn_B for part in parts], axis=0),
        shapes=tuple(shape for part in parts for shape in part.shapes),
    )


def minus(one: Estimate, other: Estimate) -> Estimate:
    """The difference, paired where they share their draws."""
    return Estimate(value=one.value - other.value, drawn_B=one.drawn_B - other.drawn_B, shapes=one.shapes)


def ratio(part: Estimate, whole: Estimate) -> Estimate | None:
    """Part over whole; None where the whole is 0."""
    if abs(whole.value) < SMALL:
        return None
    value = part.value / whole.value
    moved_B = (part.drawn_B - part.value) - value * (whole.drawn_B - whole.value)
    return Estimate(value=value, drawn_B=value + moved_B / whole.value, shapes=part.shapes)


def measure_of(name: str, estimate: Estimate | None, *, meaning: str, why_none: str, unit: str = "share") -> Measure:
    """The estimate with its interval; none where nothing varies, or one seed has one prompt.

    Args:
        name: of the measure.
        estimate: None is undefined.
        meaning: one sentence for the reader.
        why_none: why it may be undefined.
        unit: of the value.
    """
    if estimate is None:
        return Measure(name=name, value=None, unit=unit, why_none=why_none, meaning=meaning)
    seeds, prompts = [shape[0] for shape in estimate.shapes], [shape[1] for shape in estimate.shapes]
    low: float | None = None
    high: float | None = None
    if np.ptp(estimate.drawn_B) >= SMALL and all(s > 1 or p > 1 for s, p in estimate.shapes):
        low, high = stretched(estimate.value, estimate.drawn_B, widening(seeds, prompts))
    return Measure(name=name, value=estimate.value, low=low, high=high, unit=unit, num_prompts=sum(prompts), meaning=meaning)


def share_measure(name: str, part: Estimate, whole: Estimate, *, meaning: str, of: str) -> Measure:
    """Part over whole where the whole is surely above 0: of what may be nothing there is no share.

    Args:
        name: of the measure.
        part: its numerator.
        whole: its denominator.
        meaning: one sentence for the reader.
        of: what the whole is, in words.
    """
    found = measure_of(of, whole, meaning="", why_none="")
    if found.low is None or found.high is None or found.low <= 0:
        bounds = "no interval" if found.low is None or found.high is None else f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
        return Measure(
            name=name, value=None, why_none=f"{of} is not surely above 0 ({100 * whole.value:.1f} points, {bounds})", meaning=meaning
        )
    return measure_of(name, ratio(part, whole), meaning=meaning, why_none=f"{of} is 0")


def verdict_at(measure: Measure, estimate: Estimate | None, at: float = 0.0) -> Agreement:
    """Agrees where the number surely lies above `at`, disagrees where it surely lies below; `estimate` says from how many seeds."""
    return AGREEMENTS[side(measure, at)] if estimate is not None and estimate.num_seeds >= FEWEST_SEEDS else "cannot tell"


def side(measure: Measure, at: float = 0.0) -> int:
    """1 where the whole interval lies above `at`, -1 where it lies below, else 0."""
    if measure.low is None or measure.high is None:
        return 0
    return 1 if measure.low > at else -1 if measure.high < at else 0
