"""Errors and methods by the sign of S, for the page: what the template needs of each `interpretation.json`.

Left out on purpose: any number that is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jominy.interpretation import Interpretation
from jominy.reporting.checking import check
from jominy.rewards.taxonomy import TAXONOMY

Record = Mapping[str, Any]


def interpretation_sections(found: Sequence[tuple[str, Record]]) -> list[dict[str, Any]]:
    """One section an interpretation.

    Args:
        found: (what it is of, `interpretation.json`).

    Raises:
        ValueError: a field is missing or of another type; names it.
    """
    for _, record in found:
        check(record, Interpretation, "interpretation")
    return [_section(name, record) for name, record in found]


def _section(name: str, record: Record) -> dict[str, Any]:
    agreement = record["agreement"]
    return {
        "name": name,
        "by": "by program" if record["by"] == "program" else f"by {record['source'].get('judge')}",
        "record": record,
        "codes": _codes(record),
        "confusion": None if agreement is None else _confusion(agreement),
    }


def _codes(record: Record) -> list[tuple[str, str, list[int]]]:
    """(error, severity, count in each part) of the errors that occur."""
    rows = [(kind, [part["codes"].get(code, 0) for part in record["errors"]]) for code, kind in TAXONOMY.items()]
    return [(f"{kind.code} {kind.name}", kind.severity, counts) for kind, counts in rows if any(counts)]


def _confusion(agreement: Record) -> dict[str, Any]:
    """Columns and rows of the table of judge against program."""
    cells = {(cell["program"], cell["judge"]): cell["count"] for cell in agreement["confusion"]}
    said, programs = sorted({judge for _, judge in cells}), sorted({program for program, _ in cells})
    names = {program: f"{program} {TAXONOMY[program].name}" if program in TAXONOMY else program for program in programs}
    return {"said": said, "rows": [(names[program], [cells.get((program, judge), 0) for judge in said]) for program in programs]}
