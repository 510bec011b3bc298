"""Numbers over seeds and prompts with their intervals: means, contrasts, ratios, and what a formula makes of means.

    estimate       a value, and how each seed and prompt moves it:    value - truth = sum over cells of mean_sp moved_sp, to first order
    ratio a / b    moved = (moved_a - R moved_b) / b             formula f(m)    moved = sum_c df/dm_c (x_spc - m_c)
    product a b    moved = b moved_a + a moved_b
    interval       value -+ t_nu sqrt(V),     V = sum over cells of V_c,     nu = V^2 / sum V_c^2 / nu_c              (Satterthwaite 1946)
      each seed has prompts of its own    V_c = M_s / (S P),    nu_c = S - 1                                a Student interval over seeds
      all seeds share the prompts         V_c = [M_e + max(M_s - M_e, 0) + max(M_p - M_e, 0)] / (S P)

M_s, M_p, M_e are the mean squares of seeds, prompts and the rest of a two-way table (Cornfield & Tukey 1956). With one seed the spread of
prompts stands for V, and says nothing of other seeds.

Not the bootstrap of `gains`: where seeds share prompts, drawing other prompts within each seed divides the spread of prompts by S, and
drawing the same ones for all counts the noise of a single response three times; both are then stretched for the few seeds. Measured with
two cells of 5 seeds and 48 shared prompts, 4 responses each (noise 0.35 a prompt, half-width by a known spread 3.1 points): 4.0 points at
a coverage of 0.98 here, 5.4 and 6.6 points at 1.00 there; over effects of seed from none to 16 times the noise, of prompt from none to
as large, 0.93 to 0.98 are covered by 3 seeds in one cell, 0.95 to 0.98 by 5 seeds or two cells. Of splits planted in counts of four
responses, half of their prompts nearly always right or wrong, at most 4 % of the verdicts were wrong (1,000 worlds each: a share of a half
with totals of 0, 3 and 10 points, shares of 0 and 1). The gains that every study shows (`concluding`) stay the bootstrap's.
Left out on purpose: which numbers (`told`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jominy.conclusion import Agreement
from jominy.records import Floats, Measure
from jominy.stats import LEVEL, student_quantile
from jominy.studies.decisions.paper import FEWEST_SEEDS
from jominy.studies.gains import Doubles

SMALL = 1e-12
STEP = 1e-5
"""Of a derivative, relative to the mean in whose direction it is taken."""
AGREEMENTS: Mapping[int, Agreement] = {1: "agrees", -1: "disagrees", 0: "cannot tell"}
"""Side on which a number surely lies -> verdict."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What one cell adds to the uncertainty of an estimate.

    Example: Part(moved_SP=values_SP - values_SP.mean(), shared=True)
    """

    moved_SP: Doubles
    """[S, P] by how much each moves the estimate; its mean is 0."""
    shared: bool
    """Whether all seeds have the same prompts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A number and what moves it.

    Example: estimate_of(values_SP, shared=False).value
    """

    value: float
    """The estimate."""
    parts: tuple[Part, ...]
    """One a cell; cells are independent of each other."""

    @property
    def num_seeds(self) -> int:
        """The fewest of any cell."""
        return min(len(part.moved_SP) for part in self.parts)

    @property
    def num_prompts(self) -> int:
        """Of all cells together."""
        return sum(part.moved_SP.shape[1] for part in self.parts)


def estimate_of(values_SP: Floats, *, shared: bool) -> Estimate:
    """The mean over the seeds and prompts of a cell.

    Args:
        values_SP: [S, P] a number of each.
        shared: whether all seeds have the same prompts.
    """
    values = np.asarray(values_SP, dtype=np.float64)
    value = float(values.mean())
    return Estimate(value=value, parts=(Part(moved_SP=values - value, shared=shared),))


def formula(columns_SPC: Floats, of: Callable[[Doubles], Doubles], *, shared: bool) -> Estimate:
    """What a formula makes of the means of columns; its derivatives are taken numerically.

    Args:
        columns_SPC: [S, P, C] numbers of at least 0.
        of: [..., C] means to [...] a number; smooth where they are.
        shared: whether all seeds have the same prompts.
    """
    columns = np.asarray(columns_SPC, dtype=np.float64)
    mean_C = columns.mean(axis=(0, 1))
    # A column of nothing but 0 moves nothing.
    steps_CC = np.diag(STEP * mean_C)
    twice_C = 2 * STEP * mean_C
    slope_C = np.where(mean_C > 0, of(mean_C + steps_CC) - of(mean_C - steps_CC), 0.0) / np.where(mean_C > 0, twice_C, 1.0)
    return Estimate(value=float(of(mean_C)), parts=(Part(moved_SP=(columns - mean_C) @ slope_C, shared=shared),))


def combine(terms: Sequence[tuple[float, Estimate]]) -> Estimate:
    """A weighted sum of estimates on the same seeds and prompts of the same cells, where they stay paired; at least one."""
    weights, found = zip(*terms, strict=True)
    parts = []
    for same in zip(*(one.parts for one in found), strict=True):
        assert len({(part.moved_SP.shape, part.shared) for part in same}) == 1, "a contrast needs the same seeds and prompts"
        moved_SP = np.sum([weight * part.moved_SP for weight, part in zip(weights, same, strict=True)], axis=0)
        parts.append(Part(moved_SP=moved_SP, shared=same[0].shared))
    return Estimate(value=float(sum(weight * one.value for weight, one in terms)), parts=tuple(parts))


def minus(one: Estimate, other: Estimate) -> Estimate:
    """The difference, paired."""
    return combine([(1.0, one), (-1.0, other)])


def beside(tests: Sequence[Estimate]) -> Estimate:
    """Over tests of one cell with the same seeds, each prompt counting once; that tests differ from each other is no uncertainty."""
    parts = [part for test in tests for part in test.parts]
    assert len(parts) == len(tests), "tests are of one cell"
    assert len({(len(part.moved_SP), part.shared) for part in parts}) == 1, "tests have the same seeds"
    value = float(np.average([test.value for test in tests], weights=[test.num_prompts for test in tests]))
    return Estimate(value=value, parts=(Part(moved_SP=np.concatenate([part.moved_SP for part in parts], axis=1), shared=parts[0].shared),))


def over_cells(cells: Sequence[Estimate]) -> Estimate:
    """The mean over cells, each counting once; at least one."""
    share = 1 / len(cells)
    parts = tuple(Part(moved_SP=share * part.moved_SP, shared=part.shared) for cell in cells for part in cell.parts)
    return Estimate(value=float(np.mean([cell.value for cell in cells])), parts=parts)


def ratio(part: Estimate, whole: Estimate) -> Estimate | None:
    """Part over whole on the same seeds and prompts, to first order; None where the whole is 0."""
    if abs(whole.value) < SMALL:
        return None
    value = part.value / whole.value
    apart = combine([(1 / whole.value, part), (-value / whole.value, whole)])
    return Estimate(value=value, parts=apart.parts)


def product(one: Estimate, other: Estimate) -> Estimate:
    """One times the other on the same seeds and prompts, to first order."""
    return Estimate(value=one.value * other.value, parts=combine([(other.value, one), (one.value, other)]).parts)


def spread(estimate: Estimate) -> tuple[float, float] | None:
    """(variance, degrees of freedom), as the equations at the top; None where nothing varies, or a cell has one seed with one prompt."""
    if any(part.moved_SP.size < 2 for part in estimate.parts):
        return None
    found = [_spread_of(part) for part in estimate.parts]
    variance = sum(one for one, _ in found)
    if not variance > SMALL**2:
        return None
    return variance, variance**2 / sum(one**2 / degrees for one, degrees in found)


def _spread_of(part: Part) -> tuple[float, float]:
    """(variance, degrees of freedom) of a cell."""
    moved = part.moved_SP
    num_seeds, num_prompts = moved.shape
    if num_seeds == 1:
        return float(moved.var(ddof=1)) / num_prompts, num_prompts - 1
    by_seed, by_prompt = moved.mean(axis=1), moved.mean(axis=0)
    of_seeds = num_prompts * float(by_seed.var(ddof=1))
    if not part.shared or num_prompts == 1:
        return of_seeds / moved.size, num_seeds - 1
    of_prompts = num_seeds * float(by_prompt.var(ddof=1))
    degrees = ((num_seeds - 1), (num_prompts - 1), (num_seeds - 1) * (num_prompts - 1))
    left = moved - by_seed[:, None] - by_prompt + moved.mean()
    rest = float((left**2).sum()) / degrees[2]
    # What is below the rest has no spread of its own that could be seen, and its mean square is not used.
    uses = (float(of_seeds > rest), float(of_prompts > rest))
    squares = (uses[0] * of_seeds, uses[1] * of_prompts, (1 - sum(uses)) * rest)
    total = sum(squares)
    parts = sum(square**2 / free for square, free in zip(squares, degrees, strict=True))
    return total / moved.size, total**2 / parts if parts > 0 else 1.0


def measure_of(
    name: str,
    estimate: Estimate | None,
    *,
    meaning: str = "",
    why_none: str = "",
    unit: str = "share",
    bounds: tuple[float, float] | None = None,
) -> Measure:
    """The estimate with its interval; none where nothing varies, or one seed has one prompt.

    Args:
        name: of the measure.
        estimate: None, or one of no number, is undefined.
        meaning: one sentence for the reader.
        why_none: why it may be undefined.
        unit: of the value.
        bounds: between which the truth must lie.
    """
    if estimate is None or not math.isfinite(estimate.value):
        return Measure(name=name, value=None, unit=unit, why_none=why_none, meaning=meaning)
    found = spread(estimate)
    low: float | None = None
    high: float | None = None
    if found is not None:
        reach = student_quantile(0.5 + LEVEL / 2, max(1, math.floor(found[1]))) * math.sqrt(found[0])
        least, most = (-math.inf, math.inf) if bounds is None else bounds
        low, high = max(estimate.value - reach, least), min(estimate.value + reach, most)
    return Measure(name=name, value=estimate.value, low=low, high=high, unit=unit, num_prompts=estimate.num_prompts, meaning=meaning)


def share_measure(name: str, part: Estimate, whole: Estimate, *, meaning: str, of: str) -> Measure:
    """Part over whole where the whole is surely above 0: of what may be nothing there is no share.

    Args:
        name: of the measure.
        part: its numerator.
        whole: its denominator.
        meaning: one sentence for the reader.
        of: what the whole is, in words.
    """
    found = measure_of(of, whole)
    if side(found) <= 0:
        bounds = "no interval" if found.low is None or found.high is None else f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
        why = f"{of} is not surely above 0 ({100 * whole.value:.1f} points, {bounds})"
        return Measure(name=name, value=None, why_none=why, meaning=meaning)
    return measure_of(name, ratio(part, whole), meaning=meaning, why_none=f"{of} is 0")


def verdict_at(estimate: Estimate | None, at: float = 0.0) -> Agreement:
    """Agrees where the number surely lies above `at`, disagrees where it surely lies below; from enough seeds in every cell."""
    if estimate is None or estimate.num_seeds < FEWEST_SEEDS:
        return "cannot tell"
    return AGREEMENTS[side(measure_of("", estimate), at)]


def verdict_of_share(part: Estimate | None, whole: Estimate | None, at: float) -> Agreement:
    """Whether a part is surely more, or surely less, than the share `at` of a whole that is surely above 0.

    The test is that of part - at * whole, which needs no division and keeps its level however small the whole is.
    """
    if part is None or whole is None or verdict_at(whole) != "agrees":
        return "cannot tell"
    return verdict_at(combine([(1.0, part), (-at, whole)]))


def agreed(verdicts: Sequence[Agreement]) -> Agreement:
    """The verdict that all of them are; where they differ, or there is none, nothing can be told."""
    return verdicts[0] if len(set(verdicts)) == 1 else "cannot tell"


def told_from(verdict: Agreement, estimates: Sequence[Estimate | None], what: str) -> str:
    """How large an effect would have been seen, where the verdict is open; of several numbers, by the one that is known worst.

    Args:
        verdict: of the claim.
        estimates: numbers that it was held against 0 by.
        what: they are, in words.
    """
    wide = [width for estimate in estimates if (width := reach(measure_of(what, estimate))) is not None]
    if verdict != "cannot tell" or not wide:
        return ""
    return f"As it was run, {what} is known to {100 * max(wide):.1f} points on either side: a smaller effect is not told from none. "


def side(measure: Measure, at: float = 0.0) -> int:
    """1 where the whole interval lies above `at`, -1 where it lies below, else 0."""
    if measure.low is None or measure.high is None:
        return 0
    return 1 if measure.low > at else -1 if measure.high < at else 0


def reach(measure: Measure) -> float | None:
    """How far an interval goes to either side: an effect smaller than this would mostly not have been told from 0."""
    return None if measure.low is None or measure.high is None else (measure.high - measure.low) / 2
