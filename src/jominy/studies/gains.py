"""How much training gained on held-out prompts, over seeds and prompts; how much of the true reward's gain; and in which order of cells.

    d_sp = (after_sp - before_sp) / n_sp,        gain = mean over seeds s of the mean over prompts p of d_sp
    share of the true gain = gain(arm) / gain(true reward), both on the same seeds and prompts

Intervals are a two-level bootstrap: seeds are drawn with replacement, and within each drawn seed its prompts. Its deviations from the
estimate are widened by sqrt(S / (S - 1)) * t_{S-1} / z: with few seeds the variance between them is divided by S in the bootstrap world
and not by S - 1 (at S = 3 a third is lost), and is itself known badly, which is what Student's t is for (Hesterberg 2015). Measured with
64 prompts and six mixes of Gaussian effects of seed, prompt and both, prompts shared by the seeds or not (600 runs each): with the square
root alone 0.78-0.99 of the planted gains are covered at S = 5 and 0.82-0.99 at S = 3; with t, 0.90-1.00 and 0.97-1.00. Where each seed has
its own prompts that is 0.99 and 1.00, up to a quarter wider than Student's interval over seeds, which covers less where they share them.

Arms and cells enter as differences d_sp alone, so a contrast of arms (one minus another, the mean of three) is one more array.
Left out on purpose: a mixed model (it would be tighter, and would have to be believed); files and the words of a claim.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from jominy.measures.paired import difference_interval
from jominy.records import Floats, Ints, Measure
from jominy.stats import LEVEL, NUM_RESAMPLES, normal_quantile, student_quantile

Doubles = NDArray[np.float64]

EXACT_CELLS = 8
"""Up to so many cells every order is tried; 8! = 40,320."""
NUM_PERMUTATIONS = 10_000
"""Random orders beyond that."""
FEWEST_CELLS = 4
"""Below, three cells fall into a given order once in six times: no rank correlation says anything."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """Which seeds and prompts each resample holds; the same for all arms of a cell, so that their gains stay paired.

    Example: draw(5, 64, np.random.default_rng(0)).slots_BS.shape == (2000, 5)
    """

    slots_BS: Ints
    """[B, S] the seed that stands at each place of a resample."""
    weights_SBP: Doubles
    """[S, B, P] share of each prompt among the P drawn for that place, sums to 1."""


def draw(num_seeds: int, num_prompts: int, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES) -> Draws:
    """Resamples of seeds, then of prompts within each.

    Args:
        num_seeds: S >= 1; with one seed prompts alone are drawn.
        num_prompts: P >= 1.
        rng: source of the draws.
        num_resamples: B.
    """
    counts_SBP = rng.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=(num_seeds, num_resamples))
    return Draws(slots_BS=rng.integers(num_seeds, size=(num_resamples, num_seeds)), weights_SBP=counts_SBP / num_prompts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampled:
    """The gain of an arm, or of a contrast of arms, in one cell: the differences, and the mean difference of each resample.

    Example: resample(differences_SP, draws).drawn_B.mean()         # close to differences_SP.mean()
    """

    differences_SP: Doubles
    """[S, P] after minus before."""
    drawn_B: Doubles
    """[B] mean difference of each resample."""

    @property
    def mean(self) -> float:
        """The estimate."""
        return float(self.differences_SP.mean())

    @property
    def shape(self) -> tuple[int, int]:
        """(S, P)."""
        return self.differences_SP.shape[0], self.differences_SP.shape[1]


def resample(differences_SP: Floats, draws: Draws) -> Resampled:
    """The mean difference of each resample."""
    means_SBS = draws.weights_SBP @ differences_SP.T
    places_S = np.arange(differences_SP.shape[0])
    drawn_B = means_SBS[places_S, np.arange(len(draws.slots_BS))[:, None], draws.slots_BS].mean(axis=1)
    return Resampled(differences_SP=np.asarray(differences_SP, dtype=np.float64), drawn_B=drawn_B)


def combine(parts: Sequence[tuple[float, Resampled]]) -> Resampled:
    """A contrast of arms on the same draws; the bootstrap of a sum is the sum of the bootstraps.

    Args:
        parts: (coefficient, arm) of each, with equal shapes.
    """
    return Resampled(
        differences_SP=np.sum([weight * part.differences_SP for weight, part in parts], axis=0),
        drawn_B=np.sum([weight * part.drawn_B for weight, part in parts], axis=0),
    )


def widening(num_seeds: Sequence[int], num_prompts: Sequence[int]) -> float:
    """By how much deviations of the bootstrap are stretched: sqrt(S / (S - 1)) * t / z with the smallest S, and t of the degrees of all.

    Cells with one seed have no spread between seeds; there prompts take the place of seeds. Degrees of independent cells add up, as they do
    where their spreads are alike.

    Args:
        num_seeds: seeds of each cell that enters; one entry for a single cell.
        num_prompts: prompts of each cell, at least 2 where it has one seed.

    >>> round(widening([5], [64]), 2)       # sqrt(5/4) * 2.776 / 1.960
    1.58
    """
    units = [seeds if seeds > 1 else prompts for seeds, prompts in zip(num_seeds, num_prompts, strict=True)]
    fewest, degrees = min(units), sum(unit - 1 for unit in units)
    assert fewest > 1, "one seed with one prompt has no interval"
    return math.sqrt(fewest / (fewest - 1)) * student_quantile(0.5 + LEVEL / 2, degrees) / normal_quantile(0.5 + LEVEL / 2)


def stretched(value: float, drawn_B: Doubles, factor: float) -> tuple[float, float]:
    """The 95 % interval of an estimate: the central quantiles of the resamples, their distance from it stretched."""
    low, high = np.quantile(drawn_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return value + factor * min(float(low) - value, 0.0), value + factor * max(float(high) - value, 0.0)


def measure_gain(name: str, cells: Sequence[Resampled], *, all_still: bool = False) -> Measure:
    """The mean gain of a contrast over one or more cells; cells weigh alike and are resampled each by itself.

    Args:
        name: of the measure.
        cells: at least one.
        all_still: whether no run moved a weight: the gain is then 0, and surely so.

    Returns:
        No interval where one seed has one prompt. Without any spread, the interval for prompts that did not move (`difference_interval`).
    """
    value = float(np.mean([cell.mean for cell in cells]))
    seeds, prompts = [cell.shape[0] for cell in cells], [cell.shape[1] for cell in cells]
    meaning = "Mean of right answers after minus before, on held-out prompts, over seeds and prompts."
    if min(seeds) == 1:
        meaning += " One seed only: the interval is over prompts and says nothing of other seeds."
    low: float | None
    high: float | None
    low, high = None, None
    if all_still:
        low, high = 0.0, 0.0
        meaning += " No run had a gradient, so no weight moved."
    elif all(s > 1 or p > 1 for s, p in zip(seeds, prompts, strict=True)):
        drawn_B = np.mean([cell.drawn_B for cell in cells], axis=0)
        if np.ptp(drawn_B) < 1e-12:
            # All cells and seeds gained the same on every prompt; equal differences are no proof that others would not differ.
            between = difference_interval(np.concatenate([cell.differences_SP.ravel() for cell in cells]))
            low, high = between.low, between.high
        else:
            low, high = stretched(value, drawn_B, widening(seeds, prompts))
    bounds = (None, None) if low is None or high is None else (max(low, -1.0), min(high, 1.0))
    return Measure(name=name, value=value, low=bounds[0], high=bounds[1], num_prompts=sum(prompts), meaning=meaning)


def measure_share(name: str, pairs: Sequence[tuple[Resampled, Resampled]]) -> Measure:
    """The arm's mean gain over the true reward's, over one or more cells, on the same resamples.

    Undefined where the true reward's own gain is not surely above 0: nothing to take a share of.

    Args:
        name: of the measure.
        pairs: (the arm, the true reward) in each cell, on the same seeds, prompts and draws; at least one.
    """
    truth = measure_gain("gain of the true reward", [one for _, one in pairs])
    meaning = "Gain as a share of what the true reward gained on the same seeds and prompts; below 0 it did harm."
    num_prompts = sum(arm.shape[1] for arm, _ in pairs)
    if truth.value is None or truth.low is None or truth.low <= 0:
        bounds = "no interval" if truth.low is None or truth.high is None else f"[{100 * truth.low:.1f}, {100 * truth.high:.1f}]"
        why = f"the true reward's own gain is not surely above 0 ({100 * (truth.value or 0):.1f} points, {bounds})"
        return Measure(name=name, value=None, why_none=why, num_prompts=num_prompts, meaning=meaning)
    gain = float(np.mean([arm.mean for arm, _ in pairs]))
    value = gain / truth.value
    gain_B, truth_B = np.mean([arm.drawn_B for arm, _ in pairs], axis=0), np.mean([one.drawn_B for _, one in pairs], axis=0)
    # A ratio's deviations, to first order: resampled ratios would have poles where a resample's true gain is near 0.
    drawn_B = value + ((gain_B - gain) - value * (truth_B - truth.value)) / truth.value
    low, high = stretched(value, drawn_B, widening([arm.shape[0] for arm, _ in pairs], [arm.shape[1] for arm, _ in pairs]))
    return Measure(name=name, value=value, low=low, high=high, num_prompts=num_prompts, meaning=meaning)


def ranks(values_C: Floats) -> Doubles:
    """[C] ranks from 1; equal values share the mean of theirs.

    >>> ranks(np.array([0.3, 0.1, 0.3]))
    array([2.5, 1. , 2.5])
    """
    _, which_C, counts = np.unique(values_C, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which_C], dtype=np.float64)


@lru_cache(maxsize=8)
def _orders(num_cells: int) -> Ints:
    """[C!, C] every order of the cells."""
    return np.array(list(itertools.permutations(range(num_cells))), dtype=np.int8)


def rank_correlation(name: str, first_C: Floats, second_C: Floats, rng: np.random.Generator) -> tuple[Measure, float | None]:
    """Spearman's correlation over cells with its interval, and the two-sided chance of one at least so large when order means nothing.

    rho = Pearson's correlation of the ranks; interval tanh(atanh(rho) -+ z sqrt((1 + rho^2 / 2) / (C - 3)))   (Bonett & Wright 2000)

    Args:
        name: of the measure.
        first_C: [C] one value a cell.
        second_C: [C] the other.
        rng: source of the orders beyond `EXACT_CELLS` cells.

    Returns:
        Undefined below four cells, or where all cells are alike; no interval for a perfect order, whose standard error is unknown.
    """
    num_cells = len(first_C)
    meaning = "Rank correlation of gain with pass@16 over cells: 1 where the higher always gains more. Cells are counted, not prompts."
    if num_cells < FEWEST_CELLS:
        why = f"a rank correlation needs {FEWEST_CELLS} cells at least, there are {num_cells}"
        return Measure(name=name, value=None, unit="correlation", why_none=why, meaning=meaning), None
    a_C, b_C = ranks(first_C) - (num_cells + 1) / 2, ranks(second_C) - (num_cells + 1) / 2
    norm = math.sqrt(float(a_C @ a_C) * float(b_C @ b_C))
    if norm == 0:
        return Measure(name=name, value=None, unit="correlation", why_none="all cells are alike", meaning=meaning), None
    rho = min(max(float(a_C @ b_C) / norm, -1.0), 1.0)
    low, high = None, None
    if abs(rho) < 1 - 1e-12:
        reach = normal_quantile(0.5 + LEVEL / 2) * math.sqrt((1 + rho**2 / 2) / (num_cells - 3))
        low, high = math.tanh(math.atanh(rho) - reach), math.tanh(math.atanh(rho) + reach)
    measure = Measure(name=name, value=rho, low=low, high=high, unit="correlation", meaning=meaning)
    exact = num_cells <= EXACT_CELLS
    order_RC = _orders(num_cells) if exact else rng.permuted(np.tile(np.arange(num_cells), (NUM_PERMUTATIONS, 1)), axis=1)
    as_large = int(np.count_nonzero(np.abs(b_C[order_RC] @ a_C) >= abs(rho) * norm - 1e-9))
    # A random sample of orders counts the order seen as one of its own, so that no p-value is 0.
    return measure, as_large / len(order_RC) if exact else (as_large + 1) / (len(order_RC) + 1)
