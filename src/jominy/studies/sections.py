"""What every study shows: base models, gains of arms by cells, how far each arm moved the model; and the entries that tables are made of.

    | arm | adder, sums (strong, 5 seeds) | ...            one table a group of cells

Left out on purpose: a study's own tables (its `sections`), and Markdown and HTML (`writing`, `reporting.study`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from jominy.conclusion import CellBase, Conclusion, Entry, Gain, Panel, Plot, Point, Section, Table
from jominy.explanation import signed, signed_interval
from jominy.formatting import number, unit_sign
from jominy.records import Measure
from jominy.studies.bases import ALIGNMENT_K
from jominy.studies.outcomes import bounds

Row = tuple[Entry, ...]
GAINS = "gains"
"""Code of the section with the gains, and of the plot in it."""
MOST_NAMED = 12
"""So many arms that a group leaves out for one reason are named; of more their number is told."""


def row(*entries: str | Entry) -> Row:
    """A row of a table; plain words need no record.

    >>> row("random", Entry(text="+0.3"))[0].text
    'random'
    """
    return tuple(Entry(text=entry) if isinstance(entry, str) else entry for entry in entries)


def table_of(
    header: Sequence[str], rows: Iterable[Sequence[str | Entry]], *, caption: str = "", note: str = "", folded: bool = False
) -> Table:
    """A table from words and entries."""
    return Table(header=tuple(header), rows=tuple(row(*entries) for entries in rows), caption=caption, note=note, folded=folded)


def measured(measure: Measure) -> Entry:
    """A measure with its interval, or why there is none."""
    if measure.value is None:
        return Entry(text=f"undefined ({measure.why_none})", tone="muted")
    return Entry(text=f"{number(measure.value, measure.unit)} {unit_sign(measure.unit)}".rstrip(), rest=bounds(measure))


def shared_sections(found: Conclusion) -> tuple[Section, ...]:
    """Those of every study.

    Args:
        found: the conclusion as far as it is there: without sections and plots.
    """
    text = "Points of held-out pass@1, after minus before, with 95 % intervals over seeds and prompts; **bold** where they leave out 0."
    moved = "KL to the start behind the last step, in nats a token, mean over the runs that finished; a run without gradient counts as 0."
    return (
        Section(code="base", title="Where it was run: the base models", tables=(_base_table(found),)),
        Section(code=GAINS, title="What each arm gained", text=text, tables=by_group(found, gain_entry)),
        Section(code="moved", title="How far each arm moved the model", text=moved, tables=by_group(found, _moved_entry)),
    )


def _base_table(found: Conclusion) -> Table:
    """A line a cell, before training."""
    names = [measure.name for measure in found.cells[0].measures] if found.cells else []
    rows: list[tuple[str | Entry, ...]] = [
        (cell.name, Entry(text=cell.task, tone="code"), *map(measured, cell.measures), cell.strength, str(_prompts(cell.measures)))
        for cell in found.cells
    ]
    return table_of(("cell", "task", *names, "alignment", "prompts"), rows)


def _prompts(measures: Sequence[Measure]) -> int:
    return max((measure.num_prompts for measure in measures), default=0)


def by_group(found: Conclusion, show: Callable[[Gain, int], Entry]) -> tuple[Table, ...]:
    """A table of arms by cells for each group of cells; an arm that the design leaves out of all of them is named below with the reason.

    Args:
        found: the conclusion as far as it is there.
        show: a pair with runs, and how many runs the design asks for, as an entry.
    """
    gains = {(gain.cell, gain.arm): gain for gain in found.gains}
    left_out = {(cell, one.arm) for one in found.not_planned for cell in one.cells}
    tables = []
    for group in dict.fromkeys(cell.group for cell in found.cells):
        cells = [cell for cell in found.cells if cell.group == group]
        rows: list[list[str | Entry]] = []
        for arm in found.arms:
            keys = [(cell.name, arm.name) for cell in cells]
            if all(key in left_out for key in keys):
                continue
            nothing = {key: Entry(text="not planned" if key in left_out else "not run", tone="muted") for key in keys}
            shown = [nothing[key] if key not in gains else show(gains[key], cell.num_seeds) for key, cell in zip(keys, cells, strict=True)]
            rows.append([arm.title, *shown])
        if not rows:
            continue
        header = ["arm", *(f"{cell.name} ({cell.strength}, {cell.num_seeds} seed{'' if cell.num_seeds == 1 else 's'})" for cell in cells)]
        tables.append(table_of(header, rows, caption=f"Cells of `{group}`", note=_left_out(found, cells)))
    return tuple(tables)


def _left_out(found: Conclusion, cells: Sequence[CellBase]) -> str:
    """Why pairs are not planned; where that is not all cells of the group, which."""
    titles, names = {arm.name: arm.title for arm in found.arms}, [cell.name for cell in cells]
    arms: dict[tuple[str, str], list[str]] = {}
    for one in found.not_planned:
        here = [name for name in names if name in one.cells]
        if here:
            where = "" if len(here) == len(names) else " in " + " and ".join(f"`{name}`" for name in here)
            arms.setdefault((one.why, where), []).append(titles[one.arm])
    said = [
        f"{', '.join(of_why) if len(of_why) <= MOST_NAMED else f'{len(of_why)} other arms'}{where} ({why})"
        for (why, where), of_why in arms.items()
    ]
    return f"Not planned: {'; '.join(said)}." if said else ""


def gain_entry(gain: Gain, num_seeds: int) -> Entry:
    """A gain with its interval, sure where that leaves out 0, and what is missing of it."""
    measure = gain.measure
    notes = [f"{len(gain.seeds)} of {num_seeds} seeds"] if 0 < len(gain.seeds) < num_seeds else []
    notes += [f"{gain.num_no_gradient} without gradient"] if gain.num_no_gradient else []
    notes += [f"{gain.num_stopped} exploded"] if gain.num_stopped else []
    notes += [f"{gain.num_no_example} without example"] if gain.num_no_example else []
    if measure.value is None:
        return Entry(text="; ".join((f"undefined: {measure.why_none}", *notes)), tone="muted")
    rest = signed_interval(measure) + (f"; {', '.join(notes)}" if notes else "")
    return Entry(text=signed(measure.value, "share"), tone="sure" if leaves_out_0(measure) else "", rest=rest)


def leaves_out_0(measure: Measure) -> bool:
    """Whether the whole interval lies on one side of 0."""
    return measure.low is not None and measure.high is not None and (measure.low > 0 or measure.high < 0)


def _moved_entry(gain: Gain, num_seeds: int) -> Entry:
    """KL to the start, in nats."""
    if gain.kl_nats is None:
        return Entry(text="not logged" if gain.seeds else "no finished run", tone="muted")
    return Entry(text=f"{gain.kl_nats:.3g}")


def alignment_of(cell: CellBase) -> float | None:
    """pass@16 of its base model."""
    return next(measure.value for measure in cell.measures if measure.name == f"pass@{ALIGNMENT_K}")


def gain_point(cell: CellBase, gain: Gain, label: str, *, category: str = "", x: float | None = None) -> Point | None:
    """A gain in points, coloured by pass@16 of its cell; None where it is undefined.

    Args:
        cell: the gain's.
        gain: of an arm.
        label: what the point is of.
        category: its place among dots.
        x: its place in a scatter.
    """
    measure = gain.measure
    if measure.value is None:
        return None
    return Point(
        label=label,
        category=category,
        x=x,
        y=100 * measure.value,
        low=None if measure.low is None else 100 * measure.low,
        high=None if measure.high is None else 100 * measure.high,
        group=cell.group,
        side=cell.strength,
        shade=alignment_of(cell),
        text=f"{signed(measure.value, 'share')} {signed_interval(measure)}",
        singles=tuple(100 * one for one in gain.per_seed),
    )


def gains_plot(found: Conclusion) -> Plot:
    """Each cell a panel, each arm a line: the gain with its interval."""
    return Plot(
        code=GAINS,
        section=GAINS,
        title="Gains by cell",
        caption="Gain of each arm in each cell, with 95 % intervals; small strokes are single seeds",
        kind="dots",
        x_label="arm",
        y_label="gain in held-out pass@1, points",
        intervals="95 % interval over seeds and prompts",
        shades=f"pass@{ALIGNMENT_K} of the base model",
        categories=tuple(arm.title for arm in found.arms),
        panels=tuple(_panel_of(found, cell) for cell in found.cells),
    )


def _panel_of(found: Conclusion, cell: CellBase) -> Panel:
    titles, alignment = {arm.name: arm.title for arm in found.arms}, alignment_of(cell)
    points = [gain_point(cell, gain, titles[gain.arm], category=titles[gain.arm]) for gain in found.gains if gain.cell == cell.name]
    shown = f"pass@{ALIGNMENT_K} unknown" if alignment is None else f"pass@{ALIGNMENT_K} {alignment:.2f}"
    return Panel(
        title=cell.name,
        subtitle=f"{shown}, {cell.strength}",
        points=tuple(point for point in points if point is not None),
        missing="No run of this cell has finished.",
    )
