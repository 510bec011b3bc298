"""Ratios of sums over prompts and differences of two of them, with the prompt as the unit that could have been another one.

    R = sum_p y_p / sum_p n_p,        u_p = (y_p - R n_p) / sum n          what prompt p adds to the error of R (linearised)
    any value    R -+ t * sqrt(P / (P - 1) * sum_p u_p^2)                  t of P - 1 degrees
    shares       the score interval of `stats.share_interval`
    a - b        any value: d -+ t * sqrt(sum_p e_p^2),  e_p = sqrt(P_a / (P_a - 1)) u_a,p - sqrt(P_b / (P_b - 1)) u_b,p,
                 t of min(P_a, P_b) - 1 degrees;   shares: put together from the two score intervals (`stats.apart_interval`) with
                 r = sum u_a u_b / sqrt(sum u_a^2 sum u_b^2)

Both ratios of a difference come from the same prompts, so their errors go together; leaving that out would make an interval too wide or too
narrow. But a prompt may take part in one side only, and the side with the fewest prompts decides how well the spread is known: a cell that
two prompts came into has two prompts' worth of certainty, however many fill the other, and one prompt has none: then there is no interval.
Left out on purpose: functions of more than two ratios, which the bootstrap of `stats` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.records import Bools, Floats, Ints, Measure, Paper
from jominy.stats import LEVEL, NO_INTERVAL, Interval, apart_interval, share_interval, student_quantile

DECISIONS = Paper(arxiv="2601.01580", title="The Two-Stage Decision-Sampling Hypothesis", where="the definition is ours")
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a measure says of itself.

    Example: Label(name="false accept", meaning="Share of wrong attempts that were accepted.", why_none="no wrong attempt")
    """

    name: str
    """The field's own term."""
    meaning: str
    """One sentence for a reader."""
    why_none: str
    """What to say where there is nothing to count."""
    unit: str = "share"
    """share, attempts, tokens ..."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ratio:
    """sum_p y_p / sum_p n_p.

    Example: Ratio(sum_P=np.array([1.0, 3.0]), count_P=np.array([2.0, 4.0])).value      # 4 / 6
    """

    sum_P: Floats
    """[P] y, what is added up."""
    count_P: Floats
    """[P] n, what it is divided by; 0 leaves the prompt out."""

    @staticmethod
    def over(values_N: Floats | Bools, among_N: Bools, prompt_N: Ints, num_prompts: int) -> Ratio:
        """The mean of the values of those in `among_N`.

        Args:
            values_N: [N] what is averaged; meaningless outside `among_N`.
            among_N: [N] what counts.
            prompt_N: [N] whose it is.
            num_prompts: P.

        >>> Ratio.over(np.array([1.0, 0.0, 5.0]), np.array([True, True, False]), np.array([0, 1, 1]), 2).value
        0.5
        """
        chosen = prompt_N[among_N]
        return Ratio(
            sum_P=np.bincount(chosen, weights=values_N[among_N].astype(np.float64), minlength=num_prompts).astype(np.float64),
            count_P=np.bincount(chosen, minlength=num_prompts).astype(np.float64),
        )

    @property
    def value(self) -> float | None:
        """R; None where nothing is counted."""
        total = math.fsum(self.count_P)
        return None if total == 0 else math.fsum(self.sum_P) / total

    @property
    def used_P(self) -> Bools:
        """[P] prompts that take part."""
        used: Bools = self.count_P != 0
        return used

    @property
    def num_used(self) -> int:
        """How many."""
        return int(np.count_nonzero(self.used_P))

    @property
    def errors_P(self) -> Doubles:
        """[P] u."""
        value = self.value
        assert value is not None
        errors: Doubles = (self.sum_P - value * self.count_P) / math.fsum(self.count_P)
        return errors


def share(ratio: Ratio, label: Label) -> Measure:
    """A ratio of values in [0, 1]."""
    value = ratio.value
    return measured(label, value, NO_INTERVAL if value is None else _share_interval(ratio), ratio.num_used, len(ratio.count_P))


def complement(ratio: Ratio, label: Label) -> Measure:
    """One minus a share."""
    return share(Ratio(sum_P=ratio.count_P - ratio.sum_P, count_P=ratio.count_P), label)


def average(ratio: Ratio, label: Label) -> Measure:
    """A ratio of any values."""
    value = ratio.value
    interval = NO_INTERVAL if value is None else linear_interval(value, ratio.errors_P, ratio.num_used)
    return measured(label, value, interval, ratio.num_used, len(ratio.count_P))


def difference_of_shares(one: Ratio, other: Ratio, label: Label, *, scale: float = 1.0, shift: float = 0.0) -> Measure:
    """shift + scale * (one - other), both of values in [0, 1], from the same prompts."""
    num_used = int(np.count_nonzero(one.used_P | other.used_P))
    first, second = one.value, other.value
    if first is None or second is None:
        return measured(label, None, NO_INTERVAL, num_used, len(one.count_P))
    between = apart_interval(first, _share_interval(one), second, _share_interval(other), correlation(one.errors_P, other.errors_P))
    interval = NO_INTERVAL
    if between.low is not None and between.high is not None:
        interval = Interval(low=shift + scale * max(between.low, -1.0), high=shift + scale * min(between.high, 1.0))
    label = of_two_sides(label, one.num_used, other.num_used)
    return measured(label, shift + scale * (first - second), interval, num_used, len(one.count_P))


def difference_of_averages(one: Ratio, other: Ratio, label: Label) -> Measure:
    """one - other, of any values, from the same prompts."""
    num_used = int(np.count_nonzero(one.used_P | other.used_P))
    first, second = one.value, other.value
    if first is None or second is None:
        return measured(label, None, NO_INTERVAL, num_used, len(one.count_P))
    fewest, interval = min(one.num_used, other.num_used), NO_INTERVAL
    if fewest >= 2:
        ours, theirs = (ratio.errors_P * math.sqrt(ratio.num_used / (ratio.num_used - 1)) for ratio in (one, other))
        interval = student_interval(first - second, math.sqrt(math.fsum((ours - theirs) ** 2)), fewest)
    return measured(of_two_sides(label, one.num_used, other.num_used), first - second, interval, num_used, len(one.count_P))


def linear_interval(value: float, errors_P: Floats, num_used: int) -> Interval:
    """value -+ t * sqrt(P / (P - 1) * sum u^2); none for fewer than two prompts, or when all say the same."""
    if num_used < 2:
        return NO_INTERVAL
    return student_interval(value, math.sqrt(math.fsum(errors_P**2) * num_used / (num_used - 1)), num_used)


def student_interval(value: float, error: float, num_used: int) -> Interval:
    """value -+ t * error, with t of P - 1 degrees.

    Returns:
        No interval for fewer than two prompts, or without an error: without spread nothing says how far off the value may be.
    """
    if num_used < 2 or error <= 1e-12 * max(abs(value), 1e-300):
        return NO_INTERVAL
    half = student_quantile(0.5 + LEVEL / 2, num_used - 1) * error
    return Interval(low=value - half, high=value + half)


def of_two_sides(label: Label, num_one: int, num_other: int) -> Label:
    """The label of a difference, which says so where one side is too thin for an interval: the prompts of both do not show it."""
    if min(num_one, num_other) != 1:
        return label
    return replace(label, meaning=f"{label.meaning} No interval: one of the two sides rests on a single prompt.")


def correlation(one_P: Floats, other_P: Floats) -> float:
    """Of two columns of errors with mean 0; 0 where one does not vary."""
    spread = math.sqrt(float(one_P @ one_P) * float(other_P @ other_P))
    return 0.0 if spread <= 1e-24 else max(min(float(one_P @ other_P) / spread, 1.0), -1.0)


def measured(label: Label, value: float | None, interval: Interval, num_used: int, num_prompts: int) -> Measure:
    """The measure of a label."""
    return Measure(
        name=label.name,
        value=value,
        low=None if value is None else interval.low,
        high=None if value is None else interval.high,
        unit=label.unit,
        num_prompts=num_used,
        num_left_out=num_prompts - num_used,
        why_none=label.why_none if value is None else "",
        meaning=label.meaning,
        paper=DECISIONS,
    )


def _share_interval(ratio: Ratio) -> Interval:
    used_P = ratio.used_P
    return share_interval(ratio.sum_P[used_P] / ratio.count_P[used_P], weights_T=ratio.count_P[used_P])
