"""How much a number rose over the steps of a run, with an interval that allows for steps that resemble their neighbours.

    rise = b (last - first),   b the least squares of y on the step,   se(b) that of independent steps times sqrt(f)
    f    = (1 + rho) / (1 - rho),   rho = (r + 2/S) / (1 - 4/S) in [0, 0.9],   r the correlation of neighbouring residuals

The quantile is Student's with S/f - 2 degrees, as S neighbours correlated at rho know as much of a mean as S/f independent steps; the
correction of r undoes what fitting a line takes from it (Kendall 1954). Measured, 2,000 worlds a cell, correlation 0, 0.3, 0.5, 0.8: 12
steps cover 0.98, 0.94, 0.92, 0.88; 40 steps 0.96, 0.95, 0.94, 0.92; 120 steps 0.96, 0.95, 0.94, 0.94. Without f, 40 steps cover 0.95,
0.86, 0.75, 0.48, and with a block bootstrap of 1.5 S^(1/3) steps in closed form 0.95, 0.89, 0.83, 0.65.

    ends = mean of the last third of the steps - mean of the first third,   Welch's interval, se times sqrt(f)      (`ends_apart`)

A curve that rises and stays is no line, and what bends then passes for noise of neighbours: of a run that went from 0.1 to 1 in 14 steps
the line says 1.15 -+ 2.28, the ends 0.86 -+ 0.08. f is that of the residuals of both thirds about their means; a third in which the
curve still climbs has a large one, and leaves the sure word to the line. The quantile is that of 99 % of independent steps; of 2,000 worlds
that go nowhere, at correlation 0, 0.3, 0.5, 0.8, the ends are surely up (0.005 is meant) in 0.001, 0.005, 0.014, 0.031 of those with 12
steps, in 0.006, 0.007, 0.016, 0.028 with 40 and, of 1,000, in 0.004, 0.004, 0.007, 0.014 with 120. One of the two, line or ends, sharing a
chance of 0.025 (`surely_up`), is surely up in 0.014, 0.030, 0.044, 0.083 with 12 steps, in 0.012, 0.026, 0.037, 0.055 with 40 and, of 600,
in 0.018, 0.020, 0.027, 0.035 with 120; as one of four numbers that share it, in 0.004, 0.012, 0.018, 0.054 with 12 and 0.003, 0.009, 0.016,
0.030 with 40.
Left out on purpose: Theil-Sen, whose interval needs independent steps; a model of the curve. The rise is the line's, whatever the curve is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jominy.records import Floats, Ints, Measure, Paper
from jominy.stats import LEVEL, NO_INTERVAL, Interval, normal_quantile, student_quantile

MIN_STEPS = 4
MOST_CORRELATED = 0.9
ENDS_LEVEL = 0.99
SURE = 0.025
"""Chance that `surely_up` is wrong of what goes nowhere, were steps independent."""
OURS = Paper(arxiv="", title="our trend over steps")

Doubles = NDArray[np.float64]


def rise_over_steps(steps_S: Ints, values_S: Floats, level: float = LEVEL) -> tuple[float | None, Interval]:
    """The rise by the formula at the top, and its interval.

    Args:
        steps_S: [S] in order; they need not be equally far apart.
        values_S: [S] NaN where undefined; these steps are left out.
        level: of the interval.

    Returns:
        No rise with fewer than four steps; no interval where the line fits to the last digit.

    >>> rise_over_steps(np.arange(5), np.array([0.0, 1.0, 2.0, 3.0, 4.0]))[0]
    4.0
    """
    if len(steps_S) != len(values_S):
        raise ValueError(f"steps_S has {len(steps_S)} steps and values_S {len(values_S)}")
    if len(steps_S) > 1 and np.diff(steps_S).min() <= 0:
        raise ValueError("steps_S must rise from one to the next")
    known_S = np.isfinite(values_S)
    steps, values = steps_S[known_S].astype(np.float64), values_S[known_S].astype(np.float64)
    if len(steps) < MIN_STEPS:
        return None, NO_INTERVAL
    centred, reach = steps - steps.mean(), float(steps[-1] - steps[0])
    weights = centred / float(centred @ centred)
    slope = float(weights @ values)
    residuals = values - values.mean() - slope * centred
    squares = float(residuals @ residuals)
    smallest = 1e-12 * max(float(np.abs(values).max()), 1e-300)
    if math.sqrt(squares) <= smallest:
        return (0.0 if abs(slope * reach) <= smallest else slope * reach), NO_INTERVAL
    fewer = _neighbours([residuals])
    error = math.sqrt(fewer * squares / (len(steps) - 2) * float(weights @ weights))
    half = student_quantile(0.5 + level / 2, max(round(len(steps) / fewer) - 2, 2)) * error * reach
    return slope * reach, Interval(low=slope * reach - half, high=slope * reach + half)


def _neighbours(stretches: Sequence[Doubles]) -> float:
    """f: how many steps know as much as one independent step, from the residuals of stretches of steps."""
    num_steps = sum(len(residuals_S) for residuals_S in stretches)
    if num_steps <= MIN_STEPS:
        return 1.0  # four residuals say nothing of their neighbours
    squares = sum(float(residuals_S @ residuals_S) for residuals_S in stretches)
    found = sum(float(residuals_S[1:] @ residuals_S[:-1]) for residuals_S in stretches) / squares
    rho = min(max((found + 2 / num_steps) / (1 - 4 / num_steps), 0.0), MOST_CORRELATED)
    return (1 + rho) / (1 - rho)


def trend(name: str, steps_S: Ints, values_S: Floats, *, unit: str, meaning: str, num_prompts: int = 0) -> Measure:
    """`rise_over_steps` as a measure: by how much `name` rose from the first step to the last.

    Args:
        name: of what rises.
        steps_S: [S] in order.
        values_S: [S] NaN where undefined.
        unit: of the values.
        meaning: one sentence for the reader; the number of steps is added.
        num_prompts: distinct prompts behind the values. The interval goes over steps, not over these.
    """
    rise, interval = rise_over_steps(steps_S, values_S)
    num_steps = int(np.isfinite(values_S).sum())
    shell = Measure(
        name=f"rise of {name}",
        value=rise,
        unit=unit,
        num_prompts=num_prompts,
        meaning=f"{meaning} A line through {num_steps} steps.",
        paper=OURS,
    )
    if rise is None:
        return replace(shell, why_none=f"a line needs {MIN_STEPS} steps with a value; there are {num_steps}")
    return replace(shell, low=interval.low, high=interval.high)


def ends_apart(name: str, values_S: Floats, *, unit: str, meaning: str, num_prompts: int = 0, level: float = ENDS_LEVEL) -> Measure:
    """By how much the last third of the steps lies above the first: asks for no line.

    Args:
        name: of what is compared.
        values_S: [S] in order of the steps, NaN where undefined.
        unit: of the values.
        meaning: one sentence for the reader.
        num_prompts: distinct prompts behind the values. The interval goes over steps, not over these.
        level: of the interval.

    Returns:
        Undefined with fewer than six steps; no interval where no third has a spread.
    """
    values = values_S[np.isfinite(values_S)].astype(np.float64)
    count = len(values) // 3
    shell = Measure(
        name=f"{name}, last third minus first",
        value=None,
        unit=unit,
        num_prompts=num_prompts,
        meaning=f"{meaning} {count} steps on either side; a 99 % interval if neighbours were alike only by as much as these seem to be.",
        paper=OURS,
    )
    if count < 2:
        return replace(shell, why_none=f"thirds of two steps need six steps with a value; there are {len(values)}")
    first, last = values[:count], values[-count:]
    value = float(last.mean() - first.mean())
    parts = [float(third.var(ddof=1)) / count for third in (first, last)]
    if sum(parts) <= 0:
        return replace(shell, value=value)
    fewer = _neighbours([third - third.mean() for third in (first, last)])
    degrees = sum(parts) ** 2 / sum(part**2 / (count - 1) for part in parts) / fewer
    half = student_quantile(0.5 + level / 2, max(int(degrees), 1)) * math.sqrt(fewer * sum(parts))
    widest = 1.0 if unit == "share" else math.inf  # two shares are no further apart
    return replace(shell, value=value, low=max(value - half, -widest), high=min(value + half, widest))


def surely_up(steps_S: Ints, values_S: Floats, looks: int = 1) -> float | None:
    """A lower end of how much it rose: the larger one of line and ends, which share one chance to be wrong (Bonferroni).

        line at  1 - 2 (SURE - e) / looks,   ends at  1 - 2 e / looks,   e = (1 - ENDS_LEVEL) / 2

    Args:
        steps_S: [S] in order.
        values_S: [S] NaN where undefined.
        looks: of how many numbers the one that is surely up will be told; they share the chance.

    LIMIT: steps that resemble their neighbours, and are few, are said to rise more often; see the top.

    Returns:
        Above 0 where it surely rose; None where neither has a lower end.

    >>> surely_up(np.arange(12), np.array([0, 1, 0, 1, 0, 1, 9, 8, 9, 8, 9, 8.0])) > 0
    True
    """
    of_ends = (1 - ENDS_LEVEL) / 2
    _, line = rise_over_steps(steps_S, values_S, 1 - 2 * (SURE - of_ends) / looks)
    ends = ends_apart("", values_S, unit="", meaning="", level=1 - 2 * of_ends / looks)
    return max((low for low in (line.low, ends.low) if low is not None), default=None)


def average_ranks(values_E: Floats) -> Doubles:
    """[E] ranks from 1 on; equal values share the mean of their ranks.

    >>> average_ranks(np.array([0.5, 0.1, 0.5]))
    array([2.5, 1. , 2.5])
    """
    _, which_E, counts = np.unique(values_E, return_inverse=True, return_counts=True)
    ranks: Doubles = (np.cumsum(counts) - (counts - 1) / 2)[which_E.reshape(-1)]
    return ranks


def rank_correlation(first_E: Floats, second_E: Floats) -> tuple[float | None, Interval]:
    """Spearman's correlation, and atanh(r) -+ 1.96 sqrt((1 + r^2/2) / (E - 3)) turned back (Bonett & Wright 2000).

    LIMIT: the interval takes the points for independent; those of a run follow each other, so it describes this run and is too narrow
    for the next.

    Args:
        first_E: [E] NaN where undefined; such points are left out.
        second_E: [E] the same.

    Returns:
        Nothing for fewer than four points or where one side does not move; no interval at -1 and 1.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 9.0]))[0]         # 1 - 6 * 2 / (4 * 15)
    0.8
    """
    known_E = np.isfinite(first_E) & np.isfinite(second_E)
    if known_E.sum() < 4:
        return None, NO_INTERVAL
    one, other = (average_ranks(values[known_E]) for values in (first_E, second_E))
    one, other = one - one.mean(), other - other.mean()
    spread = math.sqrt(float(one @ one) * float(other @ other))
    if spread == 0:
        return None, NO_INTERVAL
    value = min(max(float(one @ other) / spread, -1.0), 1.0)
    if abs(value) > 1 - 1e-9:
        return value, NO_INTERVAL
    half = normal_quantile(0.5 + LEVEL / 2) * math.sqrt((1 + value**2 / 2) / (int(known_E.sum()) - 3))
    return value, Interval(low=math.tanh(math.atanh(value) - half), high=math.tanh(math.atanh(value) + half))


def between_evaluations(steps_S: Ints, values_S: Floats, evaluated_E: Ints) -> Doubles:
    """[E] mean of the steps' values since the evaluation before, NaN where there is none: what training paid on the way to a truth.

    Args:
        steps_S: [S] training steps, counted from 1; the evaluation at step e comes behind it.
        values_S: [S] NaN where undefined.
        evaluated_E: [E] steps of the evaluations, in order.

    >>> between_evaluations(np.array([1, 2, 3]), np.array([0.0, 1.0, 5.0]), np.array([0, 2, 3]))
    array([nan, 0.5, 5. ])
    """
    means_E = np.full(len(evaluated_E), np.nan)
    before = -math.inf
    for e, step in enumerate(evaluated_E):
        inside = (steps_S > before) & (steps_S <= step) & np.isfinite(values_S)
        if inside.any():
            means_E[e] = values_S[inside].mean()
        before = float(step)
    return means_E
