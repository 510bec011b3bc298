"""What a person reads in the terminal when a study ends or stops: how much is done, each claim with its verdict, where to look."""

from __future__ import annotations

from pathlib import Path

from jominy.store import read_json
from jominy.studies.concluding import conclude
from jominy.studies.results import RESULTS_FILE

COLOURS = {"agrees": "green", "disagrees": "red", "cannot tell": "yellow"}


def print_study(folder: Path) -> None:
    """Claims, verdicts and files."""
    from rich.console import Console
    from rich.table import Table

    found = conclude(read_json(folder / RESULTS_FILE))
    console = Console()
    title = f"Study {found.study}, scale {found.scale}: {found.num_finished} of {found.num_planned} runs finished"
    title += f", {found.num_exploded} exploded" if found.num_exploded else ""
    title += f", {found.num_no_example} without an example to train on" if found.num_no_example else ""
    table = Table(title=title, title_justify="left")
    for name in ("the paper says", "we found", "verdict"):
        table.add_column(name, overflow="fold")
    for claim in found.claims:
        table.add_row(claim.says, claim.found, f"[{COLOURS[claim.verdict]}]{claim.verdict}[/]")
    console.print(table)
    console.print(f"{folder / 'README.md'}\n{folder / 'report.html'}")
