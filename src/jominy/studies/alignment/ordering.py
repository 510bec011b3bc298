"""Does pass@16 of the base model order the gains over cells: for each arm, and for the mean over the tricks.

    tricks(cell) = mean of the gains of those tricks that every cell has which has any,        rho = Spearman(pass@16, tricks)

A mean over other tricks in each cell would order cells by which tricks they lack; who is left out is said.
Left out on purpose: the correlation itself (`gains`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import ALIGNMENT
from jominy.records import Measure
from jominy.studies.alignment.following import ONE_SHOT, SPURIOUS
from jominy.studies.bases import ALIGNMENT_K, SEED
from jominy.studies.gains import rank_correlation
from jominy.studies.outcomes import P_SURE, bounds, ran
from jominy.studies.reading import TRUTH, StudyRuns

TRICKS = (*SPURIOUS, *ONE_SHOT, "negative_only", "negative_only_masked")
"""Arms that the paper expects to hang on alignment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Whether cells with a higher pass@16 gain more, for one arm.

    Example: Correlation(arm="random", measure=Measure(value=0.9, ...), p_value=0.03, cells=("adder, sums", ...), arms=("random",))
    """

    arm: str
    """Name of the arm, or `tricks`: the mean over them."""
    measure: Measure
    """Spearman's rank correlation over cells; undefined below four."""
    p_value: float | None
    """Two-sided, by permuting cells; None where the correlation is undefined."""
    cells: tuple[str, ...]
    """Cells that entered."""
    arms: tuple[str, ...]
    """Arms that entered: the arm itself, or those tricks that all of the cells have."""


def correlations(runs: StudyRuns) -> tuple[Correlation, ...]:
    """Gain against pass@16 over cells, for each arm and for the mean over the tricks."""
    found = [_correlation(runs, arm.name, (arm.name,)) for arm in runs.arms]
    return (*found, _correlation(runs, "tricks", TRICKS))


def _correlation(runs: StudyRuns, name: str, arms: Sequence[str]) -> Correlation:
    """Over the cells with a pass@16 that have any of the arms, of the mean over those arms that all these cells have."""
    known = {cell.name: value for cell in runs.cells if (value := cell.measures[1].value) is not None}
    cells = [cell for cell in known if any(runs.has(cell, arm) for arm in arms)]
    common = [arm for arm in arms if cells and all(runs.has(cell, arm) for cell in cells)]
    title = f"gain of {name} with pass@{ALIGNMENT_K}"
    if cells and not common:
        nothing = Measure(name=title, value=None, unit="correlation", why_none=f"none of them has runs in all {len(cells)} cells")
        return Correlation(arm=name, measure=nothing, p_value=None, cells=(), arms=())
    gains_C = [np.mean([runs.mean_of(cell, arm) for arm in common]) for cell in cells]
    measure, p_value = rank_correlation(
        title,
        np.array([known[cell] for cell in cells], dtype=np.float64),
        np.array(gains_C, dtype=np.float64),
        np.random.default_rng(SEED),
    )
    return Correlation(arm=name, measure=measure, p_value=p_value, cells=tuple(cells), arms=tuple(common))


def order_of_cells(runs: StudyRuns) -> Claim:
    """pass@16 orders the gains of the tricks."""
    tricks, truth = _correlation(runs, "tricks", TRICKS), _correlation(runs, TRUTH, (TRUTH,))
    planned = [arm for arm in TRICKS if runs.knows(arm)]
    single = [_correlation(runs, arm, (arm,)) for arm in planned]
    defined = [one for one in single if one.measure.value is not None]
    sure = [runs.title(one.arm) for one in defined if (one.measure.value or 0) > 0 and (one.p_value or 1) < P_SURE]
    verdict: Agreement = "cannot tell"
    if tricks.measure.value is not None and tricks.p_value is not None and tricks.p_value < P_SURE:
        verdict = "agrees" if tricks.measure.value > 0 else "disagrees"
    left_out = [runs.title(arm) for arm in planned if arm not in tricks.arms]
    found = f"Mean gain of {len(tricks.arms)} tricks with pass@{ALIGNMENT_K} over {len(tricks.cells)} cells: {_rho(tricks)}. "
    found += f"Left out of the mean, as not every cell has it: {'; '.join(left_out)}. " if left_out else ""
    found += f"By itself surely positive for {len(sure)} of {len(defined)} tricks" + (f" ({'; '.join(sure)})" if sure else "") + ". "
    found += f"The true reward, for comparison: {_rho(truth)}."
    return Claim(
        code="order-of-cells",
        says="Alignment, measured as pass@k of the base model, decides how well the tricks work "
        f"(here: pass@{ALIGNMENT_K} orders their gains).",
        numbers="Two bins and no number: strong cells gain, weak ones do not. A reviewer asked for the continuous plot.",
        ran=ran(runs, planned),
        found=found,
        verdict=verdict,
        rule="agrees when the rank correlation of the mean gain, over the tricks that all cells have, is positive with "
        f"p < {P_SURE:g}, disagrees when negative with p < {P_SURE:g}",
        would_take="More cells, between the extremes above all: with nine cells only a correlation beyond about 0.68 is sure.",
        paper=ALIGNMENT,
    )


def _rho(correlation: Correlation) -> str:
    measure = correlation.measure
    if measure.value is None:
        return f"undefined ({measure.why_none})"
    between = "" if measure.low is None else f" {bounds(measure)}"
    return f"rho {number(measure.value)}{between}, p = {correlation.p_value:.3g}"
