"""Do prompts of low S fail otherwise? What a program told of the base models that write their steps down, and the two claims about it.

    S < 0 minus S >= 0      of the share of high severity among wrong responses,
                            of the distinct-solution ratio of two right ones: (1 + chance that they differ in method) / 2

Each with its interval over prompts, and its chance when as many prompts are below 0 by the odds that permuted labels give them: S < 0 goes
with a low pass rate by itself, so zero is not what to hold it against.
Left out on purpose: how errors, methods and the null are told (`interpreting`, `measures.interpretation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jominy.conclusion import Agreement, Claim, Entry, Table
from jominy.formatting import number
from jominy.papers import CLARITY
from jominy.rewards.taxonomy import TAXONOMY
from jominy.studies.clarity.paper import P_SURE
from jominy.studies.reading import Record, StudyRuns
from jominy.studies.sections import table_of

HIGH, RATIO = "high severity", "distinct-solution ratio of two"
"""Names of the contrasts that the claims are about."""
BELOW, ABOVE = "S < 0", "S >= 0"
"""Parts of an interpretation."""
STEPS = "steps"
"""Group of the cells that write their steps down."""


def told_cells(runs: StudyRuns) -> dict[str, Record]:
    """Cell -> its interpretation, of those that have one."""
    bases = {cell["name"]: (cell["base"] or {}).get("more") or {} for cell in runs.results["cells"]}
    return {name: more["interpretation"] for name, more in bases.items() if "interpretation" in more}


def planned_cells(runs: StudyRuns) -> tuple[str, ...]:
    """Cells whose errors a program is to tell."""
    return tuple(cell.name for cell in runs.cells if cell.group == STEPS)


def fails_otherwise(runs: StudyRuns) -> tuple[Claim, ...]:
    """Severity and methods by the sign of S."""
    severity = _claim(
        runs,
        HIGH,
        code="severity",
        says="Errors on prompts with S below 0 are more often fundamental.",
        numbers="62.2 % of Llama's fundamental errors lie on prompts with S below 0; low severity leans to S above 0.",
        would_take="A task with more kinds of fundamental errors than misread numbers and lost plans.",
    )
    methods = _claim(
        runs,
        RATIO,
        code="methods",
        says="Right answers to prompts with S below 0 take more different methods.",
        numbers="A figure without numbers: queries with S of 0 or more have a low distinct-solution ratio, those below a high one.",
        would_take="More right answers to prompts of low S, and models that choose their methods themselves.",
    )
    return severity, methods


def _claim(runs: StudyRuns, name: str, *, code: str, says: str, numbers: str, would_take: str) -> Claim:
    """Agrees when the contrast is surely above the null in every planned cell; disagrees the other way round."""
    cells, planned = told_cells(runs), planned_cells(runs)
    lines = {cell: next(one for one in told["contrasts"] if one["difference"]["name"] == name) for cell, told in cells.items()}
    sides = [_side(lines[cell]) if cell in lines else 0 for cell in planned]
    verdict: Agreement = "cannot tell"
    if sides and set(sides) == {1}:
        verdict = "agrees"
    elif sides and set(sides) == {-1}:
        verdict = "disagrees"
    lying = {cell: f" ({where})" if name == HIGH and (where := _on_negative(told)) else "" for cell, told in cells.items()}
    return Claim(
        code=code,
        says=says,
        numbers=numbers,
        ran=f"{len(cells)} of {len(planned)} lab models that write their steps down, told by program",
        found="; ".join(f"{cell}: {_said(line)}{lying[cell]}" for cell, line in lines.items()) + "."
        if lines
        else "No base model was told.",
        verdict=verdict,
        rule="agrees when the difference, S below 0 minus the others, lies above what noise gives with "
        f"p < {P_SURE:g} in every planned cell; disagrees when it lies below in the same way",
        would_take=would_take,
        paper=CLARITY,
    )


def _side(line: Record) -> int:
    """1 where the difference is surely above the null, -1 where below, else 0."""
    value, null = line["difference"]["value"], line["null_mean"]
    if value is None or null is None or line["p_value"] is None or line["p_value"] >= P_SURE:
        return 0
    return 1 if value > null else -1


def _on_negative(told: Record) -> str:
    """Which share of the fundamental errors, and of all, lies on prompts of S below 0, in words; empty where there are none."""
    codes = {part["part"]: part["codes"] for part in told["parts"]}
    sides = [codes.get(BELOW, {}), codes.get(ABOVE, {})]
    high = [sum(count for code, count in side.items() if TAXONOMY[code].severity == "high") for side in sides]
    everything = [sum(side.values()) for side in sides]
    if not sum(high):
        return ""
    return (
        f"{number(high[0] / sum(high), 'share')} % of the fundamental errors and {number(everything[0] / sum(everything), 'share')} % of "
        "all lie on S below 0"
    )


def _said(line: Record) -> str:
    difference = line["difference"]
    if difference["value"] is None:
        return f"undefined ({difference['why_none']})"
    noise = "" if line["null_mean"] is None else f", noise alone {number(line['null_mean'])}, p {line['p_value']:.2g}"
    return f"{number(difference['value'])} {_between(difference)}{noise}"


def _between(measure: Mapping[str, Any]) -> str:
    return "" if measure["low"] is None else f"[{number(measure['low'])}, {number(measure['high'])}]"


def told_tables(runs: StudyRuns) -> tuple[Table, ...]:
    """Severities and methods by the sign of S, a table a cell."""
    return tuple(_told_table(cell, told) for cell, told in told_cells(runs).items())


def _told_table(cell: str, told: Record) -> Table:
    rows: list[Sequence[str | Entry]] = []
    for part in told["parts"]:
        shown = [_entry(measure) for measure in (*part["severities"], part["ratio"])]
        codes = ", ".join(f"{code} {count}" for code, count in part["codes"].items() if count)
        rows.append([part["part"], str(part["num_wrong"]), *shown[:3], codes or "–", str(part["num_right"]), shown[3]])
    names = [measure["name"] for measure in told["parts"][0]["severities"]] if told["parts"] else ["high", "mid", "low"]
    header = ("prompts", "wrong responses", *names, "codes", "right responses", RATIO)
    notes = [f"{line['difference']['name']}: {_said(line)}" for line in told["contrasts"]]
    return table_of(header, rows, caption=f"`{cell}`", note="S below 0 minus the others. " + "; ".join(notes) + ".")


def _entry(measure: Mapping[str, Any]) -> Entry:
    if measure["value"] is None:
        return Entry(text="undefined", tone="muted", rest=measure["why_none"])
    return Entry(text=number(measure["value"]), rest=_between(measure))
