"""What a person reads in the terminal when a study ends or stops: how much is done, each claim with its verdict, where to look."""

from __future__ import annotations

from pathlib import Path

from jominy.store import read_json
from jominy.studies.results import RESULTS_FILE
from jominy.studies.writing import claims_of

COLOURS = {"agrees": "green", "disagrees": "red", "cannot tell": "yellow"}


def print_study(folder: Path) -> None:
    """Claims, verdicts and files."""
    from rich.console import Console
    from rich.table import Table

    results = read_json(folder / RESULTS_FILE)
    undefined = {(each["cell"], each["arm"]) for each in results["not_defined"]}
    planned = sum(
        len(cell["seeds"]) for cell in results["cells"] for arm in results["arms"] if (cell["name"], arm["name"]) not in undefined
    )
    console = Console()
    title = f"Study {results['study']}, scale {results['scale']}: {len(results['runs'])} of {planned} runs"
    table = Table(title=title, title_justify="left")
    for name in ("the paper says", "we found", "verdict"):
        table.add_column(name, overflow="fold")
    for claim in claims_of(results):
        table.add_row(claim.says, claim.found, f"[{COLOURS[claim.verdict]}]{claim.verdict}[/]")
    console.print(table)
    console.print(f"{folder / 'README.md'}\n{folder / 'report.html'}")
