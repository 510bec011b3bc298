"""What a person reads in the terminal of an audit: the verdict, how often it is right by type and count, probes, what it means for RL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from jominy.audited import Audit
from jominy.formatting import interval, number, unit_sign
from jominy.measures.precision import Confusion, Precision
from jominy.measures.trust import TOO_FEW
from jominy.records import Measure
from jominy.rewards.metering import Spent

STYLE = {"trust": "bold green", "trust for these types": "bold yellow", "do not train on it": "bold red"}
STANDING_STYLE = {"good": "green", "unsure": "cyan", "bad": "red"}


def print_audit(audit: Audit, page: Path | None, console: Console | None = None) -> None:
    """Verdict first, then the tables, what it cost, and where the page is."""
    console = console or Console()
    style = "bold cyan" if audit.trust.too_few else STYLE[audit.trust.value]
    word = TOO_FEW if audit.trust.too_few else audit.trust.value
    text = f"[{style}]{word.upper()}[/]  {escape(audit.trust.rule)}"
    if audit.trust.value == "trust for these types":
        text += f"\nTypes: {escape(', '.join(audit.trust.types))}"
    console.print(Panel(text, title=escape(str(audit.source["who"])), border_style=style.split()[-1]))
    console.print(_level("Whole responses", audit, "responses"))
    if audit.level == "constraint":
        console.print(_level("Single constraints", audit, "constraints"))
    console.print(_types(audit))
    if audit.probes:
        console.print(_probes(audit.probes))
    console.print(_errors(audit))
    if audit.agreement is not None:
        alpha = audit.agreement.alpha
        told = alpha.why_none if alpha.value is None else f"{number(alpha.value)} {interval(asdict(alpha))}"
        alike = f"{_cell(audit.agreement.unanimous)} % say the same each time; Krippendorff's alpha: {escape(told)}"
        console.print(f"Over {audit.source['repeats']} repeats {alike}", soft_wrap=True)
    _print_unscored(console, audit)
    if audit.spent is not None:
        console.print(Spent.of_json(audit.spent).words(), soft_wrap=True)
    for note in audit.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    bounds = ", ".join(f"{threshold.name}={threshold.value:g}" for threshold in audit.thresholds)
    console.print(f"[dim]Thresholds are ours, no paper's: {escape(bounds)}; set them with --thresholds[/]")
    if page is not None:
        console.print(f"[bold]Page:[/] {escape(str(page))}", soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    """The first column names what the row is about, and is never cut."""
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=place == 0)
    return table


def _cell(measure: Measure) -> str:
    """In whole per cent; one decimal more stands on the page."""
    if measure.value is None:
        return "–"
    between = "" if measure.low is None or measure.high is None else f" [{100 * measure.low:.0f}, {100 * measure.high:.0f}]"
    return escape(f"{100 * measure.value:.0f}{between}")


def _rates(cell: Confusion) -> list[str]:
    return [_cell(one) for one in (cell.recall_false, cell.recall_true, cell.even_precision)]


def _counts(cell: Confusion) -> str:
    return f"{cell.num_scored:,}" + (f"\n[red]{cell.num_unscored:,} not[/]" if cell.num_unscored else "")


RATES = ("recall on false", "recall on true", "precision, even odds")
"""Precision as its bound takes it: were half of all satisfied. As it stands, which goes with the base rate, it is told once a level."""
COUNT = "scored"


def _level(title: str, audit: Audit, level: Literal["responses", "constraints"]) -> Table:
    """Whole responses or single constraints: all, by source, by kind, by number of constraints."""
    table = _table(f"{title}, in %; 95 % intervals", "of", *RATES, COUNT)
    by_count = audit.precision.responses_by_count if level == "responses" else audit.precision.by_count
    rows = [("all", _of(audit.precision, level))]
    if len(audit.parts) > 1:
        rows += [(part.name, _of(part.precision, level)) for part in audit.parts if part.precision is not None]
    rows += [(one.kind, one.constraints) for one in audit.precision.by_kind if level == "constraints" and len(audit.precision.by_kind) > 1]
    rows += [(cell.name, cell) for cell in by_count]
    for name, cell in rows:
        table.add_row(escape(name), *_rates(cell), _counts(cell))
    whole = _of(audit.precision, level)
    table.caption = f"At a base rate of {_cell(whole.base_rate)}: precision {_cell(whole.precision)}, accuracy {_cell(whole.accuracy)}."
    table.caption_justify = "left"
    return table


def _of(precision: Precision, level: Literal["responses", "constraints"]) -> Confusion:
    return precision.responses if level == "responses" else precision.constraints


def _types(audit: Audit) -> Table:
    """By type, the one that misses most first; where it was asked in hard and in soft words, each of them below."""
    table = _table("By type, fewest violations seen first", "type", "stands", *RATES, COUNT)
    standing = {cell.name: cell.standing for cell in audit.trust.cells}
    for cell in sorted(audit.precision.by_type, key=lambda one: (one.recall_false.value is None, one.recall_false.value or 0.0, one.name)):
        stands = standing[cell.name]
        table.add_row(escape(cell.name), f"[{STANDING_STYLE[stands]}]{stands}[/]", *_rates(cell), _counts(cell))
        kinds = [(one.kind, part) for one in audit.precision.by_kind for part in one.by_type if part.name == cell.name]
        for kind, part in kinds if len(kinds) > 1 else ():
            table.add_row(f"  {kind}", "", *_rates(part), _counts(part))
    return table


def _probes(probes: Sequence[Confusion]) -> Table:
    table = _table("Answers that nobody wants", "probe", "wrong accepted, %", "right refused, %", COUNT)
    for cell in probes:
        table.add_row(escape(cell.name), _cell(cell.false_accept), _cell(cell.false_reject), _counts(cell))
    return table


def _errors(audit: Audit) -> Table:
    errors = audit.errors
    table = _table(f"What it means for RL, groups of {errors.group_size}", "", "value", "95 %")
    table.caption = escape(f"At {audit.errors_at}.")
    table.caption_justify = "left"
    for one in (errors.shrink, errors.paid_wrong, errors.swapped, errors.crossed, errors.silenced, errors.invented):
        if one.value is None:
            table.add_row(one.name, "–", escape(one.why_none))
        else:
            table.add_row(one.name, f"{number(one.value, one.unit)} {unit_sign(one.unit)}", escape(interval(asdict(one))))
    return table


def _print_unscored(console: Console, audit: Audit) -> None:
    if audit.num_unscored:
        console.print(
            f"[red]{audit.num_unscored:,} of {audit.num_verdicts:,} verdicts are missing.[/] The first: {escape(audit.first_failure)}",
            soft_wrap=True,
        )
