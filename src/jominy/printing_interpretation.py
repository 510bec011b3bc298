"""What a person reads in the terminal of an interpretation: errors and methods by the sign of S, judge against program; no numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jominy.explanation import signed, signed_interval
from jominy.formatting import brief, interval, number
from jominy.rewards.taxonomy import TAXONOMY

Record = Mapping[str, Any]

COUNTED = "classified / not classifiable"


def print_interpretations(found: Sequence[tuple[str, Record]], console: Console | None = None) -> None:
    """Each interpretation as tables: severities, codes, methods, S < 0 against the others, the judge; then the notes."""
    console = console or Console()
    for name, record in found:
        told_by = "by program" if record["by"] == "program" else f"by {record['source']['judge']}"
        title = f"Errors and methods, {told_by}" + (f", {name}" if name else "")
        source = record["source"]
        console.print(f"[bold]{escape(title)}[/]  [dim]{escape(str(source['policy']))} on {escape(str(source['task']))}[/]")
        console.print(_severities(record))
        console.print(_codes(record))
        console.print(_methods(record))
        console.print(_contrasts(record))
        if record["agreement"] is not None:
            console.print(_agreement(record["agreement"]))
            console.print(_confusion(record["agreement"]))
        for note in record["notes"]:
            console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def _cell(measure: Record) -> str:
    return "–" if measure["value"] is None else f"{number(measure['value'], measure['unit'])} {escape(interval(measure))}"


def _severities(record: Record) -> Table:
    table = _table("Wrong responses: share of each severity, %", "prompts", "high", "mid", "low", COUNTED)
    for errors in record["errors"]:
        counts = f"{errors['num_told']:,} / {errors['num_untold']:,}"
        table.add_row(errors["part"], *(_cell(measure) for measure in errors["severities"]), counts)
    return table


def _codes(record: Record) -> Table:
    parts = record["errors"]
    table = _table("Their errors, in counts", "error", *(errors["part"] for errors in parts))
    for code, kind in TAXONOMY.items():
        counts = [errors["codes"].get(code, 0) for errors in parts]
        if any(counts):
            table.add_row(f"{code} {kind.name} [dim]({kind.severity})[/]", *(f"{count:,}" for count in counts))
    return table


def _methods(record: Record) -> Table:
    columns = "prompts", "distinct-solution ratio, %", "expected for 2 right responses, %", COUNTED
    table = _table("Right responses: methods per response", *columns)
    for methods in record["methods"]:
        counts = f"{methods['num_told']:,} / {methods['num_untold']:,}"
        table.add_row(methods["part"], _cell(methods["ratio"]), _cell(methods["of_two"]), counts)
    return table


def _contrasts(record: Record) -> Table:
    columns = "measure", "difference, points", "95 %", "under permuted labels", "p"
    table = _table("Prompts with S < 0 minus the others", *columns)
    for contrast in record["contrasts"]:
        found = contrast["difference"]
        if found["value"] is None:
            table.add_row(found["name"], "–", escape(found["why_none"]), "", "")
        else:
            band = {"low": contrast["null_low"], "high": contrast["null_high"], "unit": found["unit"]}
            p_value = "–" if contrast["p_value"] is None else brief(contrast["p_value"])
            table.add_row(
                found["name"], signed(found["value"], found["unit"]), escape(signed_interval(found)), escape(signed_interval(band)), p_value
            )
    on_negative, of_all = record["high_on_negative"], record["wrong_on_negative"]
    if on_negative["value"] is not None:
        table.caption = f"On S < 0 lie {_cell(on_negative)} % of the high-severity errors and {_cell(of_all)} % of all errors."
    return table


def _agreement(agreement: Record) -> Table:
    table = _table("The judge against the program, %", "measure", "value", "prompts")
    for measure in agreement["measures"]:
        shown = _cell(measure) if measure["value"] is not None else escape(measure["why_none"])
        table.add_row(measure["name"], shown, f"{measure['num_prompts']:,}")
    return table


def _confusion(agreement: Record) -> Table:
    cells = {(cell["program"], cell["judge"]): cell["count"] for cell in agreement["confusion"]}
    said = sorted({judge for _, judge in cells})
    table = _table("Rows: what the program says; columns: what the judge says", "", *said)
    for program in sorted({program for program, _ in cells}):
        table.add_row(f"{program} {TAXONOMY[program].name}", *(f"{cells.get((program, judge), 0):,}" for judge in said))
    return table
