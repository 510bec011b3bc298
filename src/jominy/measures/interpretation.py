"""Numbers about errors and methods, split by the sign of the prompt's silhouette S (2601.06911, stage 3).

    share of a severity    = sum_p errors of it / sum_p errors that could be told           a ratio of sums over prompts
    distinct-solution ratio = methods / right responses, of a prompt with two right ones     mean over prompts (the paper names none)
    at a common n          = sum_c (1 - C(N - N_c, n) / C(N, n)) / n                         expected ratio of n of the N right responses

The ratio is 1/N at least, so a prompt with fewer right responses has a higher one for that alone, and S < 0 goes with few: the second form
compares like with like. It is exact sub-sampling without replacement (rarefaction, Hurlbert 1971), with the methods found among all N.

S < 0 happens to most noise, and more where one class is rare, so a contrast between signs has its own null: each prompt's sign is drawn
with the chance that permuted labels give it. That keeps class sizes and probabilities and takes away what the labels know.
Left out on purpose: who tells errors and methods (a program or a judge), and texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.records import Bools, Floats, Ints, Measure, Paper
from jominy.stats import bootstrap_interval, share_interval

ERRORS = Paper(arxiv="2601.06911", title="Distributional Clarity", where="table 3, figure 5")
METHODS = Paper(arxiv="2601.06911", title="Distributional Clarity", where="algorithm 1, figure 6")
OURS = Paper(arxiv="", title="our control of 2601.06911")
NUM_NULL_DRAWS = 4000
SLICE_ELEMENTS = 1 << 22

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NullBand:
    """Where a contrast lies when the sign of S knows nothing.

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


def distinct_ratios(methods_P: Sequence[Sequence[str]], num_drawn: int | None = None) -> Floats:
    """[P] distinct-solution ratio of each prompt, of all its right responses or expected for `num_drawn` of them; NaN for too few.

    Args:
        methods_P: [P] the method of each right response of a prompt.
        num_drawn: n, at least 2; None takes all, and leaves out prompts with fewer than two.

    >>> distinct_ratios([["a", "a", "b", "c"], ["a"]])
    array([0.75,  nan])
    >>> distinct_ratios([["a", "a", "b"]], num_drawn=2)      # of the pairs aa, ab, ab two are distinct: (1 + 2 + 2) / 3 / 2
    array([0.83333333])
    """
    if num_drawn is not None and num_drawn < 2:
        raise ValueError(f"a distinct-solution ratio needs at least two right responses; got num_drawn={num_drawn}")
    ratios_P = np.full(len(methods_P), np.nan)
    for prompt, methods in enumerate(methods_P):
        size = len(methods)
        if size >= (num_drawn or 2):
            sizes = [methods.count(method) for method in dict.fromkeys(methods)]
            drawn = num_drawn or size
            missed = sum(math.comb(size - count, drawn) for count in sizes) / math.comb(size, drawn)
            ratios_P[prompt] = (len(sizes) - missed) / drawn
    return ratios_P


def common_number(methods_P: Sequence[Sequence[str]]) -> int | None:
    """The number of right responses that three quarters of the prompts with two have: the n to compare at; None without such prompts.

    >>> common_number([["a"] * 2, ["a"] * 4, ["a"] * 5, ["a"] * 8, ["a"]])
    4
    """
    sizes = sorted(len(methods) for methods in methods_P if len(methods) >= 2)
    return sizes[len(sizes) // 4] if sizes else None


def sign_contrast(
    values_P: Floats, weights_P: Floats | Ints, negative_P: Bools, defined_P: Bools, rng: np.random.Generator, *, name: str, meaning: str
) -> Measure:
    """Weighted mean of the values on S < 0 minus that on S >= 0, with a bootstrap interval over prompts.

    Args:
        values_P: [P] values in [0, 1], one a prompt; NaN is left out.
        weights_P: [P] 1 for a mean over prompts, the number of responses for a ratio of sums; 0 leaves out.
        negative_P: [P] whether S < 0.
        defined_P: [P] whether S is defined.
        rng: source of the resamples.
        name: of the measure.
        meaning: one sentence for the reader.
    """
    used_P = _usable(values_P, weights_P, defined_P)
    negative, values, weights = negative_P[used_P], values_P[used_P], np.asarray(weights_P, dtype=np.float64)[used_P]
    shell = Measure(name=name, value=None, num_prompts=len(values), meaning=meaning, paper=OURS)
    if negative.all() or not negative.any():
        side = "S >= 0" if negative.all() else "S < 0"
        return replace(shell, why_none=f"no prompt with {side} has any of it")
    columns_4P = np.stack([values * weights * negative, weights * negative, values * weights * ~negative, weights * ~negative])
    interval = bootstrap_interval(columns_4P.T, _difference, rng, bounds=(-1.0, 1.0))
    return replace(shell, value=float(_difference(columns_4P.mean(axis=1))), low=interval.low, high=interval.high)


def null_of_contrast(
    observed: float, values_P: Floats, weights_P: Floats | Ints, null_negative_P: Floats, rng: np.random.Generator
) -> NullBand | None:
    """The same contrast with signs drawn as permuted labels give them; None when they seldom leave two sides.

    Args:
        observed: the contrast as it is.
        values_P: [P] as for the contrast.
        weights_P: [P] as for the contrast.
        null_negative_P: [P] chance of S < 0 under permuted labels; NaN where S is undefined.
        rng: source of the signs.
    """
    used_P = _usable(values_P, weights_P, np.isfinite(null_negative_P))
    weights, chance = np.asarray(weights_P, dtype=np.float64)[used_P], null_negative_P[used_P]
    sums = np.stack([values_P[used_P] * weights, weights], axis=1)
    drawn: list[Doubles] = []
    step = max(1, SLICE_ELEMENTS // max(len(chance), 1))
    for first in range(0, NUM_NULL_DRAWS, step):
        negative_RP = rng.random((min(step, NUM_NULL_DRAWS - first), len(chance))) < chance
        below = negative_RP @ sums
        drawn.append(_difference(np.concatenate([below, sums.sum(axis=0) - below], axis=1)))
    null_R = np.concatenate(drawn)
    null_R = null_R[np.isfinite(null_R)]
    if len(null_R) < NUM_NULL_DRAWS / 2:
        return None
    tails = [(1 + np.count_nonzero(side)) / (1 + len(null_R)) for side in (null_R <= observed + 1e-12, null_R >= observed - 1e-12)]
    low, high = np.quantile(null_R, [0.025, 0.975])
    return NullBand(mean=float(null_R.mean()), low=float(low), high=float(high), p_value=min(1.0, 2 * float(min(tails))))


def agreeing_pairs(one: Sequence[str], other: Sequence[str], texts: Sequence[str]) -> tuple[int, int]:
    """(pairs of responses that both call the same or both call different, all pairs); two responses of the same words are no pair.

    >>> agreeing_pairs(["x", "x", "y"], ["1", "2", "3"], ["a", "b", "c"])
    (2, 3)
    """
    pairs = [(i, j) for i in range(len(one)) for j in range(i) if texts[i] != texts[j]]
    return sum((one[i] == one[j]) == (other[i] == other[j]) for i, j in pairs), len(pairs)


def _usable(values_P: Floats, weights_P: Floats | Ints, defined_P: Bools) -> Bools:
    return defined_P & np.isfinite(values_P) & (np.asarray(weights_P) > 0)


def _difference(means_R4: Doubles) -> Doubles:
    """[..., 4] (sum, weight) below and not below -> difference of the two means; NaN where a side is empty."""
    below, weight_below, above, weight_above = np.moveaxis(means_R4, -1, 0)
    there = (weight_below > 1e-12) & (weight_above > 1e-12)
    found: Doubles = np.where(there, below / np.where(there, weight_below, 1.0) - above / np.where(there, weight_above, 1.0), np.nan)
    return found
