"""Numbers about errors and methods, split by the sign of the prompt's silhouette S (2601.06911, stage 3).

    share of a severity    = sum_p errors of it / sum_p errors that could be told           a ratio of sums over prompts
    distinct-solution ratio = methods / right responses, of a prompt with two right ones     mean over prompts (the paper names none)
    the ratio of two       = (1 + chance that two of the N right responses differ in method) / 2

The ratio is 1/N at least, so a prompt with fewer right responses has a higher one for that alone, and S < 0 goes with few: the second form
compares like with like, and every prompt that has a ratio has it (rarefaction to two, Hurlbert 1971, with the methods found among all N).

S < 0 happens to most noise, and more where one class is rare, so a contrast between signs has its own null: which prompts are below 0.

    sign_p ~ Bernoulli(q_p / (1 - q_p) * e^c),   given that as many prompts are below 0 as there are      q_p: under permuted labels

The count is part of what is given because S carries signal: 6 of 10 permuted prompts lie below 0 where 1 of 20 real ones does, and a mean
over a twentieth of the prompts varies more than one over half of them. Given the count, c cancels; it only centres the arithmetic.
Left out on purpose: who tells errors and methods (a program or a judge), and texts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.records import Bools, Floats, Ints, Measure, Paper
from jominy.stats import NO_INTERVAL, Interval, share_interval

ERRORS = Paper(arxiv="2601.06911", title="Distributional Clarity", where="table 3, figure 5")
METHODS = Paper(arxiv="2601.06911", title="Distributional Clarity", where="algorithm 1, figure 6")
OURS = Paper(arxiv="", title="our control of 2601.06911")
NUM_NULL_DRAWS = 4000
LEAST_CHANCE = 1 / 201
"""200 permutations without a sign do not show that it cannot come: chances are kept so far from 0 and from 1."""
MOST_STATES = 1 << 23
"""Prompts times negatives of the exact null, 64 MiB; beyond, negatives are many, and signs drawn one by one give nearly their count."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NullBand:
    """Where a contrast lies when the sign of S knows nothing but what permuted labels give it.

    Example: NullBand(mean=0.02, low=-0.11, high=0.15, p_value=0.003)
    """

    mean: float
    """Its mean; not 0 where class sizes alone tie S to what is compared."""
    low: float
    """2.5 % quantile."""
    high: float
    """97.5 % quantile."""
    p_value: float
    """Two-sided chance of a contrast as far out as the observed one."""


def share_of(hits_P: Ints, base_P: Ints, among_P: Bools, *, name: str, meaning: str, why_none: str, paper: Paper | None = None) -> Measure:
    """sum hits / sum base over the prompts of `among_P`, with a 95 % interval clustered by prompt.

    Args:
        hits_P: [P] what is counted.
        base_P: [P] what it is counted in; prompts with 0 are left out and counted.
        among_P: [P] prompts of this part.
        name: of the measure.
        meaning: one sentence for the reader.
        why_none: what to say where nothing is left.
        paper: source.

    >>> share_of(np.array([1, 3]), np.array([2, 4]), np.array([True, True]), name="", meaning="", why_none="").value
    0.6666666666666666
    """
    used_P = among_P & (base_P > 0)
    num_used = int(np.count_nonzero(used_P))
    shell = Measure(
        name=name, value=None, num_prompts=num_used, num_left_out=int(np.count_nonzero(among_P)) - num_used, meaning=meaning, paper=paper
    )
    if num_used == 0:
        return replace(shell, why_none=why_none)
    interval = share_interval(hits_P[used_P] / base_P[used_P], weights_T=base_P[used_P])
    return replace(shell, value=float(hits_P[used_P].sum() / base_P[used_P].sum()), low=interval.low, high=interval.high)


def mean_share(values_P: Floats, among_P: Bools, *, name: str, meaning: str, why_none: str, paper: Paper | None = None) -> Measure:
    """Mean over prompts of values in [0, 1]; NaN is undefined, left out and counted."""
    used_P = among_P & np.isfinite(values_P)
    num_used = int(np.count_nonzero(used_P))
    shell = Measure(
        name=name, value=None, num_prompts=num_used, num_left_out=int(np.count_nonzero(among_P)) - num_used, meaning=meaning, paper=paper
    )
    if num_used == 0:
        return replace(shell, why_none=why_none)
    interval = share_interval(values_P[used_P])
    return replace(shell, value=float(values_P[used_P].mean()), low=interval.low, high=interval.high)


def distinct_ratios(methods_P: Sequence[Sequence[str]]) -> Floats:
    """[P] methods / right responses of each prompt, in (0, 1]; NaN for fewer than two right responses.

    Args:
        methods_P: [P] the method of each right response of a prompt.

    >>> distinct_ratios([["a", "a", "b", "c"], ["a"]])
    array([0.75,  nan])
    """
    return np.array([len(set(methods)) / len(methods) if len(methods) >= 2 else np.nan for methods in methods_P], dtype=np.float64)


def ratios_of_two(methods_P: Sequence[Sequence[str]]) -> Floats:
    """[P] the ratio expected of two of a prompt's right responses, in [1/2, 1]: (1 + chance that they differ in method) / 2.

    >>> ratios_of_two([["a", "a", "b"], ["a"]])      # of the pairs aa, ab, ab two differ: (1 + 2/3) / 2
    array([0.83333333,        nan])
    """
    ratios_P = np.full(len(methods_P), np.nan)
    for prompt, methods in enumerate(methods_P):
        if len(methods) >= 2:
            alike = sum(math.comb(size, 2) for size in Counter(methods).values())
            ratios_P[prompt] = 1 - alike / math.comb(len(methods), 2) / 2
    return ratios_P


def sign_contrast(values_P: Floats, weights_P: Floats | Ints, negative_P: Bools, defined_P: Bools, *, name: str, meaning: str) -> Measure:
    """Weighted mean of the values on S < 0 minus that on S >= 0, with an interval put together from those of the two sides (MOVER).

        low = d - sqrt((a - a_low)^2 + (b_high - b)^2),   high = d + sqrt((a_high - a)^2 + (b - b_low)^2)       (Zou & Donner 2008)

    Why not a bootstrap over prompts: of 4 prompts below 0 it draws the same few again and again, and covered 59 truths of 100.

    Args:
        values_P: [P] values in [0, 1], one a prompt; NaN is left out.
        weights_P: [P] 1 for a mean over prompts, the number of responses for a ratio of sums; 0 leaves out.
        negative_P: [P] whether S < 0.
        defined_P: [P] whether S is defined.
        name: of the measure.
        meaning: one sentence for the reader.

    Returns:
        No interval where a side has one prompt only.
    """
    used_P = _usable(values_P, weights_P, defined_P)
    shell = Measure(name=name, value=None, num_prompts=int(np.count_nonzero(used_P)), meaning=meaning, paper=OURS)
    below_P, above_P = used_P & negative_P, used_P & ~negative_P
    if not below_P.any() or not above_P.any():
        return replace(shell, why_none=f"no prompt with {'S < 0' if above_P.any() else 'S >= 0'} has any of it")
    weights = np.asarray(weights_P, dtype=np.float64)
    (below, of_below), (above, of_above) = (
        (float(np.average(values_P[side_P], weights=weights[side_P])), share_interval(values_P[side_P], weights_T=weights[side_P]))
        for side_P in (below_P, above_P)
    )
    interval = _interval_of_difference(below, of_below, above, of_above)
    return replace(shell, value=below - above, low=interval.low, high=interval.high)


def null_of_contrast(
    observed: float,
    values_P: Floats,
    weights_P: Floats | Ints,
    negative_P: Bools,
    null_negative_P: Floats,
    rng: np.random.Generator,
) -> NullBand | None:
    """The same contrast when as many prompts are below 0, drawn with the odds that permuted labels give each; None without two sides.

    Args:
        observed: the contrast as it is.
        values_P: [P] as for the contrast.
        weights_P: [P] as for the contrast.
        negative_P: [P] whether S < 0.
        null_negative_P: [P] chance of S < 0 under permuted labels; NaN where S is undefined.
        rng: source of the signs.
    """
    used_P = _usable(values_P, weights_P, np.isfinite(null_negative_P))
    num_negative = int(np.count_nonzero(negative_P[used_P]))
    if num_negative in (0, int(np.count_nonzero(used_P))):
        return None
    weights = np.asarray(weights_P, dtype=np.float64)[used_P]
    sums_P2 = np.stack([values_P[used_P] * weights, weights], axis=1)
    below_R2 = _sums_below(sums_P2, tilted(null_negative_P[used_P], num_negative), num_negative, rng)
    null_R = _difference(np.concatenate([below_R2, sums_P2.sum(axis=0) - below_R2], axis=1))
    null_R = null_R[np.isfinite(null_R)]
    tails = [(1 + np.count_nonzero(side)) / (1 + len(null_R)) for side in (null_R <= observed + 1e-12, null_R >= observed - 1e-12)]
    low, high = np.quantile(null_R, [0.025, 0.975])
    return NullBand(mean=float(null_R.mean()), low=float(low), high=float(high), p_value=min(1.0, 2 * float(min(tails))))


def tilted(chance_P: Floats, num_expected: int) -> Floats:
    """[P] chances with the odds of the given ones, all times the same e^c, that add up to the expected number (c by bisection).

    >>> tilted(np.array([0.5, 0.8]), 1).round(3)      # odds 1 and 4, times 1/2: 1/3 and 2/3
    array([0.333, 0.667])
    """
    chance = np.clip(chance_P, LEAST_CHANCE, 1 - LEAST_CHANCE)
    odds_P = np.log(chance / (1 - chance))
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        too_many = float((1 / (1 + np.exp(-odds_P - middle))).sum()) > num_expected
        low, high = (low, middle) if too_many else (middle, high)
    found: Doubles = 1 / (1 + np.exp(-odds_P - low))
    return found


def agreeing_pairs(one: Sequence[str], other: Sequence[str], texts: Sequence[str]) -> tuple[int, int]:
    """(pairs of responses that both call the same or both call different, all pairs); two responses of the same words are no pair.

    >>> agreeing_pairs(["x", "x", "y"], ["1", "2", "3"], ["a", "b", "c"])
    (2, 3)
    """
    pairs = [(i, j) for i in range(len(one)) for j in range(i) if texts[i] != texts[j]]
    return sum((one[i] == one[j]) == (other[i] == other[j]) for i, j in pairs), len(pairs)


def _interval_of_difference(one: float, of_one: Interval, other: float, of_other: Interval) -> Interval:
    """Of one minus other, from the intervals of the two."""
    if of_one.low is None or of_one.high is None or of_other.low is None or of_other.high is None:
        return NO_INTERVAL
    difference = one - other
    return Interval(
        low=difference - math.hypot(one - of_one.low, of_other.high - other),
        high=difference + math.hypot(of_one.high - one, other - of_other.low),
    )


def _sums_below(sums_P2: Doubles, chance_P: Floats, num_negative: int, rng: np.random.Generator) -> Doubles:
    """[R, 2] sums over the prompts below 0, in each draw of the signs.

    Exact: one prompt after the other, with the chance that it is below 0 given how many of the rest have to be.
    """
    num_prompts = len(chance_P)
    below_R2 = np.zeros((NUM_NULL_DRAWS, 2))
    exact = num_prompts * (num_negative + 1) <= MOST_STATES
    left_R = np.full(NUM_NULL_DRAWS, num_negative)
    rest_PK = _chances_of_the_rest(chance_P, num_negative) if exact else np.empty((0, 0))
    for prompt, chance in enumerate(chance_P):
        chance_R = np.full(NUM_NULL_DRAWS, chance)
        if exact:
            chance_R = chance * np.where(left_R > 0, rest_PK[prompt + 1, left_R - 1], 0.0) / rest_PK[prompt, left_R]
        negative_R = rng.random(NUM_NULL_DRAWS) < chance_R
        left_R -= negative_R
        below_R2 += negative_R[:, None] * sums_P2[prompt]
    return below_R2


def _chances_of_the_rest(chance_P: Floats, num_negative: int) -> Doubles:
    """[P + 1, K + 1] chance that k of the prompts from p on are below 0, each drawn alone."""
    rest_PK = np.zeros((len(chance_P) + 1, num_negative + 1))
    rest_PK[-1, 0] = 1.0
    for prompt in range(len(chance_P) - 1, -1, -1):
        rest_PK[prompt] = (1 - chance_P[prompt]) * rest_PK[prompt + 1]
        rest_PK[prompt, 1:] += chance_P[prompt] * rest_PK[prompt + 1, :-1]
    return rest_PK


def _usable(values_P: Floats, weights_P: Floats | Ints, defined_P: Bools) -> Bools:
    return defined_P & np.isfinite(values_P) & (np.asarray(weights_P) > 0)


def _difference(means_R4: Doubles) -> Doubles:
    """[..., 4] (sum, weight) below and not below -> difference of the two means; NaN where a side is empty."""
    below, weight_below, above, weight_above = np.moveaxis(means_R4, -1, 0)
    there = (weight_below > 1e-12) & (weight_above > 1e-12)
    found: Doubles = np.where(there, below / np.where(there, weight_below, 1.0) - above / np.where(there, weight_above, 1.0), np.nan)
    return found
