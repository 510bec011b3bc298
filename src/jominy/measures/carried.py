"""A function of two acceptance rates, of right answers a and of wrong ones f, with an interval that carries theirs through it.

    low  = g - sqrt(d_a^2 + d_f^2 + 2 r d_a d_f)       d: what one rate alone can do downwards, at the end of its own interval
    high = g + the same of what it can do upwards      r: correlation of the two rates over prompts, signed by which way each has to go

That is Newcombe's square-and-add (1998) for any function that rises or falls in each rate, with the correlation of `clustered`.
    paid wrong       f (1 - p) / (f (1 - p) + a p)     share of what is accepted that is wrong, where a share p is right
Left out on purpose: functions that turn around between the ends of a rate's interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from jominy.measures.clustered import Label, Ratio, correlation, measured, share
from jominy.records import Measure
from jominy.stats import NO_INTERVAL, Interval

Rates = tuple[float, float]
"""(a, f): acceptance of right and of wrong answers."""
ACCEPTED = Label(name="accepted", meaning="Share that is accepted.", why_none="there is nothing to accept")


def paid_wrong(accept_right: float, accept_wrong: float, pass_rate: float) -> float | None:
    """Share of the reward that goes to wrong answers; None where nothing is paid.

    >>> paid_wrong(0.75, 0.25, 0.25)      # .1875 / (.1875 + .1875)
    0.5
    """
    to_wrong, to_right = accept_wrong * (1 - pass_rate), accept_right * pass_rate
    return None if to_wrong + to_right <= 0 else to_wrong / (to_wrong + to_right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The two acceptance rates, ready to be put through a function of both.

    Example: Carried.of(right, wrong, "no right answer", "no wrong answer").measure(lambda rates: rates[0] - rates[1], label)
    """

    rates: Rates | None
    """None where one of them is undefined."""
    intervals: tuple[Interval, Interval]
    """Theirs, 95 %."""
    correlation: float
    """Of their errors, over prompts."""
    num_used: int
    """Prompts that take part in one of them."""
    num_prompts: int
    """All of them."""
    why_none: str
    """Why there are no rates."""

    @staticmethod
    def of(right: Ratio, wrong: Ratio, no_right: str, no_wrong: str) -> Carried:
        """From what is accepted of the right and of the wrong, and why one of these is undefined where it is."""
        a, f = right.value, wrong.value
        defined = a is not None and f is not None
        measures = [share(ratio, ACCEPTED) for ratio in (right, wrong)]
        return Carried(
            rates=(a, f) if a is not None and f is not None else None,
            intervals=(Interval(low=measures[0].low, high=measures[0].high), Interval(low=measures[1].low, high=measures[1].high)),
            correlation=correlation(right.errors_P, wrong.errors_P) if defined else 0.0,
            num_used=int(np.count_nonzero(right.used_P | wrong.used_P)),
            num_prompts=len(right.count_P),
            why_none=no_right if a is None else no_wrong,
        )

    def measure(self, function: Callable[[Rates], float | None], label: Label) -> Measure:
        """function(a, f), a share, with its interval."""
        if self.rates is None:
            return measured(replace(label, why_none=self.why_none), None, NO_INTERVAL, self.num_used, self.num_prompts)
        value = function(self.rates)
        interval = NO_INTERVAL if value is None else self._interval(function, self.rates, value)
        return measured(label, value, interval, self.num_used, self.num_prompts)

    def _interval(self, function: Callable[[Rates], float | None], rates: Rates, value: float) -> Interval:
        """What each rate alone can do upwards and downwards, and which way it has to go for it."""
        ups, downs = [], []
        for place, interval in enumerate(self.intervals):
            if interval.low is None or interval.high is None:
                return NO_INTERVAL
            moves = []
            for sign, end in ((-1.0, interval.low), (1.0, interval.high)):
                moved = function((end, rates[1]) if place == 0 else (rates[0], end))
                moves.append((0.0 if moved is None else moved - value, sign))
            ups.append(max(max(moves), (0.0, 1.0)))
            downs.append(min(min(moves), (0.0, 1.0)))
        return Interval(low=max(value - self._together(downs), 0.0), high=min(value + self._together(ups), 1.0))

    def _together(self, moves: list[tuple[float, float]]) -> float:
        (first, first_sign), (second, second_sign) = moves
        both = 2 * self.correlation * first_sign * second_sign * first * second
        return math.sqrt(max(first**2 + second**2 + both, 0.0))
