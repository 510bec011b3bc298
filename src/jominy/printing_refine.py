"""What a person reads in the terminal of a refined set: what is left, what each step did, the types before and after; no numbers."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jominy.formatting import clock, interval, number
from jominy.refined import Refined

STEP_WORDS = {
    "learnability": "1 learnability: ever rewarded in the pilot",
    "types": "2 types: not below a bound of the audit",
    "soft": "3 soft: at most so many soft constraints",
}


def print_refined(refined: Refined, page: Path | None, console: Console | None = None) -> None:
    """How many are left, then the steps, the types, the pilot's price, and how to train on it."""
    console = console or Console()
    rewritten = f", {number(refined.num_rewritten)} of them rewritten" if refined.num_rewritten else ""
    console.print(f"[bold]{number(refined.num_kept)} of {number(refined.num_given)} prompts are left[/]{rewritten}")
    console.print(_steps(refined))
    if refined.types:
        console.print(_types(refined))
    if refined.audit_says:
        style = {"trust": "bold green", "trust for these types": "bold yellow", "do not train on it": "bold red"}
        console.print(f"The audit says: [{style.get(refined.audit_says, 'bold cyan')}]{escape(refined.audit_says)}[/]")
    if refined.standings:
        console.print(_standings(refined))
    if refined.unaudited:
        console.print(f"Types of which the audit says nothing stay: {escape(', '.join(refined.unaudited))}", soft_wrap=True)
    if refined.pilot is not None:
        pilot = refined.pilot
        parts = ", ".join(f"{name} {clock(seconds)}" for name, seconds in pilot.seconds.items())
        console.print(
            f"Pilot {escape(pilot.folder)}: {number(pilot.num_rollouts)} rollouts of {number(pilot.num_prompts)} prompts, "
            f"{number(pilot.num_rewarded)} rewarded, {number(pilot.num_unscored)} unscored; {clock(sum(pilot.seconds.values()))} ({parts})",
            soft_wrap=True,
        )
    for note in refined.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    console.print(f"[bold]Train on it:[/] {escape(shlex.join(refined.train_with))} --out RUN", soft_wrap=True)
    if page is not None:
        console.print(f"[bold]Page:[/] {escape(str(page))}", soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def _steps(refined: Refined) -> Table:
    table = _table("Prompts, step by step", "step", "found", "left", "rewritten")
    for step in refined.steps:
        if step.why_off:
            table.add_row(f"{STEP_WORDS[step.name]}\n[dim]   off: {escape(step.why_off)}[/]", "", "", "")
            continue
        table.add_row(STEP_WORDS[step.name], number(step.num_in), number(step.num_out), number(step.num_rewritten))
        for why, count in step.reasons.items():
            table.add_row(f"[dim]   {escape(why)}[/]", "", f"[dim]{number(count)}[/]", "")
    return table


def _types(refined: Refined) -> Table:
    table = _table("Constraints by type", "type", "kind", "given", *(step.name for step in refined.steps))
    for row in refined.types:
        table.add_row(escape(row.type), row.kind, number(row.given), *(number(count) for count in row.after))
    return table


def _share(value: float | None, low: float | None, high: float | None) -> str:
    bounds = "" if low is None or high is None else f" {interval({'low': low, 'high': high, 'unit': 'share'})}"
    return number(value, "share") + bounds


def _standings(refined: Refined) -> Table:
    columns = ("asked as", "precision at even odds", "recall on false", "recall on true", "unread", "what follows")
    table = _table(f"What the audit says, % ({refined.audit})", "type", *columns)
    for found in refined.standings:
        shares = (
            _share(found.precision, found.precision_low, found.precision_high),
            _share(found.recall_false, found.recall_false_low, found.recall_false_high),
            _share(found.recall_true, found.recall_true_low, found.recall_true_high),
        )
        follows = "; ".join(filter(None, (found.removed_for and f"removed: {found.removed_for}", found.no_trust_for)))
        unread = f"{number(found.num_unread)} of {number(found.num_items)}"
        table.add_row(escape(found.type), escape(found.asked_as), *shares, unread, escape(follows))
    return table
