"""How sure a number is: intervals with the prompt as the unit that could have been another one.

The rollouts of one prompt resemble each other, so a prompt's whole group is resampled, never a single rollout. With m the mean of P
per-prompt values in [0, 1] and s^2 their variance, the bootstrap distribution of m over prompts has variance s^2/P in closed form, and

    share_interval   { q : |m - q| <= t * sqrt(q (1 - q) / P_eff) },   P_eff = m (1 - m) / (s^2 / P)      score interval
    mean_interval    m -+ t * s / sqrt(P)                                                                  for S and other wide values
    bootstrap_interval   BCa, widened for small P, for functions of means (ratios, correlations)           (Efron 1987; Hesterberg 2015)

Why not the plain percentile bootstrap for shares: 0 of 32 prompts would give [0, 0]. Measured with 32 prompts of 16 rollouts, pass@1, 4, 16
and live share at 8, over five populations of pass rates (1,000 runs each; from 95 % dead prompts to uniform): percentile covers
0.67-0.95 of planted truths, Student's t 0.68-0.96, studentised bootstrap 0.76-0.98, BCa 0.70-0.97, the score interval 0.92-0.97.
`tests/test_coverage.py` holds the promise.

Left out on purpose: model-based intervals (a beta prior over pass rates would be tighter, and would have to be believed); SciPy, which the
core does without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jominy.records import Bools, Floats, Ints

LEVEL = 0.95
NUM_RESAMPLES = 2000
MAX_UNITS = 4096
"""More prompts than this are resampled as so many random batches: memory stays bounded, the standard error keeps 1/sqrt(2 * 4096) = 1 %."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""[..., M] column means -> [...] values; NaN where undefined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where the truth lies with 95 % confidence.

    Example: Interval(low=0.55, high=0.69)
    Example: Interval(low=None, high=None)        # one prompt says nothing about prompts
    """

    low: float | None
    """Lower end, in the unit of the estimate; None when no interval exists."""
    high: float | None
    """Upper end."""


NO_INTERVAL = Interval(low=None, high=None)


def normal_quantile(share: float) -> float:
    """The value below which a standard normal falls with this chance.

    >>> round(normal_quantile(0.975), 2)
    1.96
    """
    return NormalDist().inv_cdf(share)


def student_quantile(share: float, degrees: int) -> float:
    """The value below which Student's t falls with this chance.

    Exact for one and two degrees of freedom; else the expansion in 1/degrees around the normal quantile (Abramowitz & Stegun 26.7.5),
    within 0.2 % of the truth at 0.975.

    Args:
        share: in (0, 1).
        degrees: degrees of freedom, at least 1.
    """
    if degrees < 1:
        raise ValueError(f"Student's t needs at least one degree of freedom, got {degrees}")
    if degrees == 1:
        return math.tan(math.pi * (share - 0.5))
    if degrees == 2:
        return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
    z = normal_quantile(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / degrees + second / degrees**2 + third / degrees**3 + fourth / degrees**4


def wilson(successes: float, trials: float, *, quantile: float | None = None) -> Interval:
    """Score interval of a proportion of independent trials (Wilson 1927).

    Args:
        successes: 0 <= successes <= trials; fractions are welcome (an effective count).
        trials: more than 0; with 0 there is no interval.
        quantile: standard errors on each side; default 1.96 (95 %).

    >>> interval = wilson(0, 32)
    >>> round(interval.high, 3)             # none of 32 is no proof of never: 1.96^2 / (32 + 1.96^2)
    0.107
    """
    if trials <= 0:
        return NO_INTERVAL
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in [0, {trials}], got {successes}")
    z = normal_quantile(0.5 + LEVEL / 2) if quantile is None else quantile
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == trials else min(centre + half, 1.0)
    return Interval(low=low, high=high)


def share_interval(values_T: Floats, counts_T: Ints | None = None, *, weights_T: Floats | Ints | None = None) -> Interval:
    """Interval of a mean of per-prompt values in [0, 1], or of a ratio of sums, clustered by prompt.

    The score interval of the module's docstring, with the t quantile of P - 1 degrees and one pseudo-prompt of 0/1 spread in s^2, so that
    samples without spread stay honest: 0 of 32 live prompts gives the Wilson bound of 0 of 32, not [0, 0].

    LIMIT: where nearly every value is exactly 0 or exactly 1 and the truth is a little off (pass@4 = 0.996 on very easy prompts), it covers
    between 0.79 and 1.00 instead of 0.95, because coverage jumps from sample to sample; all other intervals we tried cover less.

    Args:
        values_T: [T] values in [0, 1], one a prompt; or one for each distinct kind of prompt.
        counts_T: [T] how many prompts have this value; default 1 each.
        weights_T: [T] positive weight of a prompt, e.g. its rollouts: the estimate is then sum(weight * value) / sum(weight), a ratio of
            sums whose variance is linearised. Default: every prompt alike.

    Returns:
        No interval for fewer than two prompts.

    >>> share_interval(np.array([0.0, 1.0]), np.array([16, 16])).low > 0.3
    True
    """
    counts = np.ones(len(values_T)) if counts_T is None else counts_T.astype(np.float64)
    num_prompts = float(counts.sum())
    if num_prompts < 2:
        return NO_INTERVAL
    weights = np.ones(len(values_T)) if weights_T is None else weights_T.astype(np.float64)
    total = float(counts @ weights)
    if total <= 0:
        return NO_INTERVAL
    mean = min(max(float((counts * weights) @ values_T) / total, 0.0), 1.0)
    residuals_T = weights * (values_T - mean) * (num_prompts / total)
    variance = float(counts @ residuals_T**2) / (num_prompts - 1)
    binary = mean * (1 - mean)
    smoothed = ((num_prompts - 1) * variance + binary) / num_prompts
    effective = num_prompts if binary <= 0 else num_prompts * binary / smoothed
    return wilson(mean * effective, effective, quantile=student_quantile(0.5 + LEVEL / 2, round(num_prompts) - 1))


def mean_interval(values_P: Floats, *, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
    """Student's interval of the mean of per-prompt values.

    Args:
        values_P: [P] one value a prompt, finite.
        bounds: where the mean can lie at all; the interval is cut there.

    Returns:
        No interval for fewer than two prompts, or when all values are equal: without spread nothing says how far off the mean may be.

    >>> mean_interval(np.array([0.2, 0.2]))
    Interval(low=None, high=None)
    """
    if len(values_P) < 2:
        return NO_INTERVAL
    deviation = float(np.std(values_P, ddof=1, dtype=np.float64))
    mean = float(np.mean(values_P, dtype=np.float64))
    if deviation <= 1e-12 * max(abs(mean), 1e-300):
        return NO_INTERVAL
    half = student_quantile(0.5 + LEVEL / 2, len(values_P) - 1) * deviation / math.sqrt(len(values_P))
    return Interval(low=max(mean - half, bounds[0]), high=min(mean + half, bounds[1]))


def average_interval(values_T: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """Interval of the plain mean of T independent estimates from their own intervals (MOVER; Zou, Huang & Zhang 2009).

        low  = m - sqrt(sum_t (value_t - low_t)^2) / T          high = m + sqrt(sum_t (high_t - value_t)^2) / T

    The estimates are fixed, each varies on its own: benchmarks, whose problems could have been others. It keeps what the single intervals
    know, so an estimate of 0 of 30 does not count as certain, which a sum of variances would make of it.

    Args:
        values_T: [T] the estimates.
        intervals: [T] their 95 % intervals.

    Returns:
        No interval without estimates, or when one of them has none.

    >>> average_interval([0.5, 0.5], [Interval(low=0.2, high=0.8), Interval(low=0.1, high=0.9)])      # 0.5 -+ sqrt(.09 + .16) / 2
    Interval(low=0.25, high=0.75)
    """
    below, above = 0.0, 0.0
    for value, interval in zip(values_T, intervals, strict=True):
        if interval.low is None or interval.high is None:
            return NO_INTERVAL
        below += (value - interval.low) ** 2
        above += (interval.high - value) ** 2
    if len(values_T) == 0:
        return NO_INTERVAL
    mean = math.fsum(values_T) / len(values_T)
    return Interval(low=mean - math.sqrt(below) / len(values_T), high=mean + math.sqrt(above) / len(values_T))


def apart_interval(one: float, of_one: Interval, other: float, of_other: Interval, correlation: float) -> Interval:
    """Interval of one - other, from the intervals of the two and the correlation r of their errors (MOVER; Zou & Donner 2008).

        low  = d - sqrt((one - one_low)^2  + (other_high - other)^2 - 2 r (one - one_low) (other_high - other))
        high = d + sqrt((one_high - one)^2 + (other - other_low)^2  - 2 r (one_high - one) (other - other_low))

    It keeps what each side knows where nothing varies: 0 of 40 is not surely 0.

    Returns:
        No interval where one of the two has none.

    >>> apart_interval(0.75, Interval(low=0.375, high=1.0), 0.5, Interval(low=0.25, high=1.0), 0.0)      # .25 - sqrt(.375^2 + .5^2)
    Interval(low=-0.375, high=0.6035533905932737)
    """
    if of_one.low is None or of_one.high is None or of_other.low is None or of_other.high is None:
        return NO_INTERVAL
    difference = one - other
    below = _joined(one - of_one.low, of_other.high - other, correlation)
    above = _joined(of_one.high - one, other - of_other.low, correlation)
    return Interval(low=difference - below, high=difference + above)


def _joined(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(first**2 + second**2 - 2 * correlation * first * second, 0.0))


def median_interval(values_P: Floats) -> Interval:
    """Distribution-free interval of the median: the order statistics that Binomial(P, 1/2) allows.

    The d-th smallest and d-th largest value with the largest d such that P(Binomial(P, 1/2) < d) <= 0.025: it covers at least 95 %.
    Fewer than six prompts have no such interval (2 * 0.5^5 > 0.05).
    """
    num_prompts = len(values_P)
    if num_prompts < 6:
        return NO_INTERVAL
    depth = _binomial_half_depth(num_prompts)
    picked = np.partition(values_P, [depth - 1, num_prompts - depth])
    return Interval(low=float(picked[depth - 1]), high=float(picked[num_prompts - depth]))


def _binomial_half_depth(num_prompts: int) -> int:
    """Largest d with P(Binomial(P, 1/2) <= d - 1) <= 2.5 %; exact up to 1,000 prompts, then the normal limit."""
    if num_prompts > 1000:
        return math.floor(num_prompts / 2 - normal_quantile(0.5 + LEVEL / 2) * math.sqrt(num_prompts) / 2)
    tail, depth, limit = 0, 0, (1 - LEVEL) / 2
    while (tail + math.comb(num_prompts, depth)) / 2**num_prompts <= limit:
        tail += math.comb(num_prompts, depth)
        depth += 1
    return depth


def bootstrap_interval(
    columns_TM: Floats,
    statistic: Statistic,
    rng: np.random.Generator,
    counts_T: Ints | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Clustered bootstrap of a function of column means: prompts are drawn with replacement, each with all it has.

    Bias-corrected and accelerated (BCa, Efron 1987), the normal quantiles widened to sqrt(P/(P-1)) * t for small P (Hesterberg 2015).
    Where many prompts share a row, the table of distinct rows is resampled by its multinomial: the same bootstrap, at the cost of T rows.

    Args:
        columns_TM: [T, M] one row a prompt (or a distinct kind of prompt), finite.
        statistic: [..., M] means of the columns over the prompts -> [...] values, NaN where undefined.
        rng: source of the resamples.
        counts_T: [T] prompts that have this row; default 1 each.
        num_resamples: bootstrap samples.
        bounds: where the statistic can lie at all; the interval is cut there.

    Returns:
        No interval for fewer than two prompts, without spread, or when over a tenth of the resamples leave the statistic undefined.
    """
    num_prompts = len(columns_TM) if counts_T is None else int(counts_T.sum())
    if num_prompts < 2:
        return NO_INTERVAL
    units_UM, sizes_U, counts_U = _resampling_units(columns_TM, counts_T, rng)
    drawn_B = statistic(_resample(units_UM, sizes_U, counts_U, rng, num_resamples))
    drawn_B = np.sort(drawn_B[np.isfinite(drawn_B)])
    total_M, size = counts_U @ units_UM, float(counts_U @ sizes_U)
    observed = float(statistic(total_M / size))
    if len(drawn_B) < 0.9 * num_resamples or not math.isfinite(observed) or drawn_B[0] == drawn_B[-1]:
        return NO_INTERVAL
    without_U = statistic((total_M - units_UM) / (size - sizes_U)[:, None])
    low, high = _bca(drawn_B, observed, without_U, counts_U, num_prompts)
    return Interval(low=max(low, bounds[0]), high=min(high, bounds[1]))


def _resampling_units(
    columns_TM: Floats, counts_T: Ints | None, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows to draw from, [U, M] sums, [U] prompts in each, [U] how often it occurs; at most MAX_UNITS of them."""
    if len(columns_TM) <= MAX_UNITS:
        counts = np.ones(len(columns_TM)) if counts_T is None else counts_T.astype(np.float64)
        return columns_TM.astype(np.float64), np.ones(len(columns_TM)), counts
    prompts = np.arange(len(columns_TM)) if counts_T is None else np.repeat(np.arange(len(columns_TM)), counts_T)
    rng.shuffle(prompts)
    starts_U = np.linspace(0, len(prompts), MAX_UNITS, endpoint=False).astype(np.int64)
    sums_UM = np.stack([np.add.reduceat(columns_TM[prompts, m].astype(np.float64), starts_U) for m in range(columns_TM.shape[1])], axis=1)
    return sums_UM, np.diff(starts_U, append=len(prompts)).astype(np.float64), np.ones(MAX_UNITS)


def _resample(units_UM: Floats, sizes_U: Floats, counts_U: Floats, rng: np.random.Generator, num_resamples: int) -> NDArray[np.float64]:
    """[B, M] column means of so many bootstrap samples, drawn in slices of bounded memory."""
    step = max(1, (1 << 20) // max(len(counts_U), min(int(counts_U.sum()), MAX_UNITS)))
    means = []
    for first in range(0, num_resamples, step):
        weights_BU = _draw_counts(counts_U, rng, min(step, num_resamples - first))
        means.append((weights_BU @ units_UM) / (weights_BU @ sizes_U)[:, None])
    return np.concatenate(means)


def _draw_counts(counts_U: Floats, rng: np.random.Generator, num_resamples: int) -> NDArray[np.float64]:
    """[B, U] how often each unit is drawn: one by one while draws are few, else from the multinomial (the same law at another cost)."""
    num_units, num_draws = len(counts_U), int(counts_U.sum())
    if num_draws > MAX_UNITS:
        return rng.multinomial(num_draws, counts_U / num_draws, size=num_resamples).astype(np.float64)
    unit_of_draw = np.repeat(np.arange(num_units), counts_U.astype(np.int64))
    drawn_BD = unit_of_draw[rng.integers(num_draws, size=(num_resamples, num_draws))]
    drawn_BD += np.arange(num_resamples)[:, None] * num_units
    return np.bincount(drawn_BD.ravel(), minlength=num_resamples * num_units).reshape(num_resamples, num_units).astype(np.float64)


def _bca(drawn_B: Floats, observed: float, without_U: Floats, counts_U: Floats, num_prompts: int) -> tuple[float, float]:
    """The two quantiles of the sorted resamples that BCa picks."""
    below = (np.searchsorted(drawn_B, observed, "left") + np.searchsorted(drawn_B, observed, "right")) / 2
    bias = normal_quantile(min(max(below / len(drawn_B), 1e-3), 1 - 1e-3))
    known = np.isfinite(without_U)
    influence_U = np.average(without_U[known], weights=counts_U[known]) - without_U[known]
    spread = float(counts_U[known] @ influence_U**2)
    acceleration = 0.0 if spread <= 0 else float(counts_U[known] @ influence_U**3) / (6 * spread**1.5)
    reach = math.sqrt(num_prompts / (num_prompts - 1)) * student_quantile(0.5 + LEVEL / 2, num_prompts - 1)
    ends = []
    for side in (-reach, reach):
        slack = 1 - acceleration * (bias + side)
        shifted = bias + (bias + side) / slack if slack > 0 else side
        ends.append(float(np.quantile(drawn_B, NormalDist().cdf(shifted))))
    return ends[0], ends[1]


def permuted_labels(labels_Bn: Bools, num_permutations: int, rng: np.random.Generator) -> Bools:
    """[B, R, n] the labels of each row in R random orders: what they would be if they had nothing to do with the values."""
    repeated = np.repeat(labels_Bn[:, None, :], num_permutations, axis=1)
    shuffled: Bools = rng.permuted(repeated, axis=2)
    return shuffled


def z_score(observed: Floats, null_mean: Floats, null_deviation: Floats) -> NDArray[Any]:
    """(observed - mean) / deviation; NaN where the null has no spread."""
    defined = null_deviation > 0
    return np.where(defined, (observed - null_mean) / np.where(defined, null_deviation, 1.0), np.nan)
