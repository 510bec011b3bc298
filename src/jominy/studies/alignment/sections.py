"""What the study of 2508.21188 shows beyond every other: shares beside the paper's, the order of cells, live prompts, advice and outcome.

    share of the true gain = gain(arm) / gain(true reward)          in a cell, or over the cells of a side

Left out on purpose: verdicts (`claims`) and how a share is estimated (`gains`).
"""

from __future__ import annotations

from dataclasses import dataclass

from jominy.conclusion import Conclusion, Entry, Gain, Panel, Plot, Section, Table, Tone
from jominy.formatting import number
from jominy.records import Measure
from jominy.studies.alignment.following import Followed, Judged, followed
from jominy.studies.alignment.ordering import Correlation, correlations
from jominy.studies.alignment.paper import REPORTED
from jominy.studies.bases import ALIGNMENT_K
from jominy.studies.outcomes import bounds
from jominy.studies.reading import TRUTH, Contrast, StudyRuns
from jominy.studies.sections import alignment_of, by_group, gain_point, gains_plot, measured, row, table_of

SIDES = ("strong", "weak")
ALIGNMENT = "alignment"
"""Code of the section on the order of cells, and of the plot in it."""
TONES: dict[Judged, Tone] = {"right": "good", "wrong": "stop", "open": "watch", "not judged": ""}
HAPPENED = {"worked": "it worked", "did not": "it did not work", "open": "it is open"}
SHARES_TEXT = "(after - base) / (true reward - base). Ours pooled over cells of a side; the paper's computed from its accuracies."
ORDER_TEXT = (
    "Spearman's rank correlation over cells with its interval (Bonett & Wright) and a permutation p-value. Cells share models, so they are "
    "not independent."
)
LIVE_TEXT = (
    "Different prompts that a run trained on (weight other than 0), mean over runs (first step with a gradient, where not the first)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareOfTruth:
    """How much of the true reward's gain an arm reaches, in a cell or pooled over the cells of a side.

    Example: ShareOfTruth(arm="random", where="strong", pooled=True, cells=("adder, sums",), measure=..., gain=...)
    """

    arm: str
    """Name of the arm."""
    where: str
    """Name of the cell, or the side: strong or weak."""
    pooled: bool
    """Whether `where` is a side."""
    cells: tuple[str, ...]
    """Cells that entered: those where both arms have runs."""
    measure: Measure
    """Ratio of the mean gains; undefined where the true reward's gain is not surely above 0."""
    gain: Measure
    """The arm's mean gain over the same cells."""


def shares(runs: StudyRuns) -> tuple[ShareOfTruth, ...]:
    """Of every arm but the true reward: in each cell with runs, then pooled over each side."""
    found = []
    for arm in (one.name for one in runs.arms if one.name != TRUTH):
        places: list[tuple[str, bool, list[str]]] = [(cell.name, False, [cell.name]) for cell in runs.cells if runs.has(cell.name, arm)]
        places += [(side, True, list(runs.names_of(side))) for side in SIDES]
        for where, pooled, cells in places:
            contrasts: dict[str, Contrast] = {cell: {arm: 1.0} for cell in cells if runs.together(cell, (arm, TRUTH))}
            measure, used = runs.share(f"share of the true gain, {arm}", contrasts)
            gain = runs.mean_gain(f"gain of {arm}", contrasts)
            found.append(ShareOfTruth(arm=arm, where=where, pooled=pooled, cells=used, measure=measure, gain=gain))
    return tuple(found)


def sections(runs: StudyRuns, found: Conclusion) -> tuple[Section, ...]:
    """Its own, in the order of the README."""
    lines = followed(runs)
    nothing = "" if lines else "No base model is measured, or no run of an advised arm has finished."
    return (
        Section(code="shares", title="Share of the true reward's gain, beside the paper", text=SHARES_TEXT, tables=(_share_table(runs),)),
        Section(
            code=ALIGNMENT,
            title=f"Does pass@{ALIGNMENT_K} order the gains?",
            text=ORDER_TEXT,
            tables=(_correlation_table(runs, correlations(runs)),),
        ),
        Section(code="live", title="Prompts that ever carried a gradient", text=LIVE_TEXT, tables=by_group(found, _live_entry)),
        Section(
            code="advice",
            title="Was following `jominy diagnose` right?",
            text=nothing,
            tables=(_advice_table(runs, lines), _lines_table(runs, lines)) if lines else (),
        ),
    )


def plots(runs: StudyRuns, found: Conclusion) -> tuple[Plot, ...]:
    """Gains by cell, and gain against pass@16 by arm."""
    return gains_plot(found), _against_alignment(found, correlations(runs))


def _against_alignment(found: Conclusion, correlated: tuple[Correlation, ...]) -> Plot:
    """Each arm a panel, each cell a dot: gain against pass@16, with the rank correlation."""
    said = {one.arm: _rho(one.measure, one.p_value) for one in correlated}
    cells = {cell.name: cell for cell in found.cells}
    panels = []
    for arm in found.arms:
        pairs = [(cells[gain.cell], gain) for gain in found.gains if gain.arm == arm.name]
        points = [gain_point(cell, gain, cell.name, x=x) for cell, gain in pairs if (x := alignment_of(cell)) is not None]
        panels.append(
            Panel(
                title=arm.title,
                subtitle=said[arm.name],
                points=tuple(point for point in points if point is not None),
                missing="No cell has both a measured base and a finished run.",
            )
        )
    return Plot(
        code=ALIGNMENT,
        section=ALIGNMENT,
        title="Gain against alignment",
        caption=f"Gain against pass@{ALIGNMENT_K} of the base model, one panel an arm",
        kind="scatter",
        x_label=f"pass@{ALIGNMENT_K} of the base model",
        y_label="gain, points",
        panels=tuple(panels),
        x_low=0.0,
        x_high=1.0,
    )


def _rho(measure: Measure, p_value: float | None) -> str:
    return "" if measure.value is None else f"rho {measure.value:.2f}, p {p_value:.2g}"


def _share_table(runs: StudyRuns) -> Table:
    """A line an arm: ours beside the paper's."""
    ours = {(share.arm, share.where): share for share in shares(runs) if share.pooled and share.cells}
    rows = []
    for arm in runs.arms:
        if arm.name == TRUTH:
            continue
        shown: list[str | Entry] = [arm.title]
        for side in SIDES:
            share = ours.get((arm.name, side))
            shown.append("–" if share is None else _share_entry(share))
            reported = [one for one in REPORTED if one.arm == arm.name and one.side == side]
            shown.append("; ".join(f"{number(one.share, 'share')} % ({one.setting})" for one in reported) or "–")
        rows.append(shown)
    return table_of(("arm", "strong, ours", "strong, paper", "weak, ours", "weak, paper"), rows)


def _share_entry(share: ShareOfTruth) -> Entry:
    entry = measured(share.measure)
    return Entry(text=entry.text, tone=entry.tone, rest=f"{entry.rest} ({len(share.cells)} cells)".strip())


def _correlation_table(runs: StudyRuns, found: tuple[Correlation, ...]) -> Table:
    """A line an arm, and one for the mean over the tricks."""
    rows = []
    for one in found:
        title = runs.title(one.arm) if runs.knows(one.arm) else f"mean over the {len(one.arms)} tricks that all cells have"
        measure = one.measure
        value = Entry(text=f"undefined: {measure.why_none}", tone="muted") if measure.value is None else Entry(text=number(measure.value))
        chance = "–" if one.p_value is None else f"{one.p_value:.3g}"
        rows.append((title, value, bounds(measure), chance, str(len(one.cells))))
    return table_of(("arm", "rho", "95 %", "p", "cells"), rows)


def _live_entry(gain: Gain, num_seeds: int) -> Entry:
    """Prompts that ever carried a gradient, and since when."""
    if gain.unique_live_prompts is None:
        return Entry(text="not logged" if gain.seeds or gain.num_stopped else "no example", tone="muted")
    late = "" if gain.first_live_step is None or gain.first_live_step <= 1 else f"(from step {gain.first_live_step:.3g})"
    return Entry(text=f"{gain.unique_live_prompts:.3g}", rest=late)


def _advice_table(runs: StudyRuns, lines: tuple[Followed, ...]) -> Table:
    """Counts by trick and advice, then the lines that were wrong."""
    rows = []
    for trick, advice in sorted({(line.trick, line.advice) for line in lines}):
        judged = [line.judged for line in lines if (line.trick, line.advice) == (trick, advice)]
        rows.append(row(trick.replace("_", " "), advice, *(str(judged.count(word)) for word in TONES)))
    wrong = [
        f"{runs.title(line.arm)} in {line.cell}: `{line.advice}`, but {HAPPENED[line.outcome]} ({line.why})"
        for line in lines
        if line.judged == "wrong"
    ]
    header = ("recipe table", "advice", *TONES)
    return Table(header=header, rows=tuple(rows), note="Wrong:" if wrong else "", items=tuple(wrong))


def _lines_table(runs: StudyRuns, lines: tuple[Followed, ...]) -> Table:
    """Each line of the recipe table in each cell."""
    rows = [
        (line.cell, runs.title(line.arm), line.advice, line.outcome, Entry(text=line.judged, tone=TONES[line.judged]), line.why)
        for line in lines
    ]
    caption = f"All {len(lines)} lines: every arm in every cell with advice"
    return table_of(("cell", "arm", "advice", "outcome", "judged", "numbers"), rows, caption=caption, folded=True)
