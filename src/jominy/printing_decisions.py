"""What a person reads in the terminal about attempts and decisions: before against after, credit by objective, the square. No numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jominy.decided import TITLES
from jominy.explanation import signed, signed_interval
from jominy.formatting import interval, number, unit_sign

Record = Mapping[str, Any]
OF_RATES = ("accept_right", "accept_wrong", "balanced", "youden")
"""Fields of `DecisionRates` that a bank shows."""

MASSES = ("per_token_ratio", "mass_share", "token_share")
SIZES = ("on_accept", "on_retry")
CONTRASTS = ("right_contrast", "wrong_contrast", "attempt_contrast")
OF_GRADIENT = ("share_decision", "cosine", "snr_sampling", "snr_decision")
"""What the tables of credit show."""


def print_decisions(decisions: Record | None, why: str, console: Console | None = None) -> None:
    """Decision tables before and after, credit by objective, the square, the bank, and whose definitions these are.

    Args:
        decisions: a `Decided` as JSON; None where nothing can be said.
        why: then, why.
        console: where to.
    """
    console = console or Console()
    if decisions is None:
        if why:
            console.print(f"[dim]Solving and deciding: {escape(why)}[/]", soft_wrap=True)
        return
    source = decisions["source"]
    sides = escape(str(source["after_policy"]))
    if source["before_policy"] is not None:
        sides = f"{escape(str(source['before_policy']))} against {sides}"
    console.print(
        f"\n[bold]Solving and deciding[/]  [dim]{sides}, {escape(str(source['task']))}, reader {escape(str(source['reader']))}[/]"
    )
    if decisions["why_no_decisions"]:
        console.print(f"[yellow]Note:[/] {escape(decisions['why_no_decisions'])}", soft_wrap=True)
    for section in decisions["sections"]:
        if section["changes"]:
            console.print(_section(section, alone=source["before_policy"] is None))
    _print_problems(console, decisions["problems"], alone=source["before_policy"] is None)
    _print_credit(console, decisions)
    _print_swap(console, decisions)
    _print_bank(console, decisions)
    for note in decisions["notes"]:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    console.print(f"[dim]{escape(decisions['definitions'])}[/]", soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def _section(section: Record, *, alone: bool) -> Table:
    """Before, after and the paired difference; of one side its value and interval."""
    title = TITLES.get(section["name"], f"Decisions about {section['name']}")
    if alone:
        table = _table(title, "measure", "value", "95 %", "prompts")
        for change in section["changes"]:
            after = change["after"]
            table.add_row(escape(after["name"]), _value(after), escape(_bounds(after)), f"{after['num_prompts']:,}")
        return table
    table = _table(title, "measure", "before", "after", "difference", "95 % paired", "prompts")
    for change in section["changes"]:
        found = change["difference"]
        bounds = signed_interval(found) if found["value"] is not None else found["why_none"]
        table.add_row(
            escape(change["name"]),
            _value(change["before"]),
            _value(change["after"]),
            signed(found["value"], found["unit"]),
            escape(bounds),
            f"{found['num_prompts']:,}",
        )
    return table


def _print_problems(console: Console, problems: list[Record], *, alone: bool) -> None:
    broken = [problem for problem in problems if problem["name"]]
    if not broken:
        console.print("[dim]Every response keeps the form.[/]")
        return
    told = [
        f"{escape(problem['name'])} {problem['after']:,}"
        if alone
        else f"{escape(problem['name'])} {problem['before']:,} → {problem['after']:,}"
        for problem in broken
    ]
    console.print(f"Broken forms, in responses: {'; '.join(told)}", soft_wrap=True)


def _print_credit(console: Console, decisions: Record) -> None:
    """What each objective would credit."""
    lines = _lines(decisions["credits"])
    if lines:
        console.print(_masses(lines))
        console.print(_contrasts(lines))
        if any(one["gradient"] is not None or one["logits"] is not None for _, one in lines):
            console.print(_gradients(lines))
        _print_reasons(console, lines)
    for one in decisions["credits"]:
        for note in one["notes"]:
            console.print(f"[yellow]Note:[/] {escape(one['objective'])}: {escape(note)}", soft_wrap=True)
    for skipped in decisions["skipped"]:
        console.print(f"[dim]{escape(skipped['code'])}: needs {escape(skipped['missing'])}[/]", soft_wrap=True)
    shares = [*decisions["value_shares"], *([decisions["credit_share"]["decision"]] if decisions["credit_share"] is not None else [])]
    for share in shares:
        shown = f"{_value(share)} {escape(_bounds(share))}" if share["value"] is not None else f"– ({escape(share['why_none'])})"
        console.print(f"[bold]{escape(share['name'])}[/] {shown}  [dim]{escape(share['meaning'])}[/]", soft_wrap=True)


def _lines(credits: list[Record]) -> list[tuple[str, Record]]:
    """(name, what is known) of each objective, each followed by its parts."""
    lines = []
    for one in credits:
        lines.append((one["objective"], one))
        lines += [(f"  {part['part']}", part) for part in one["parts"]]
    return lines


def _print_reasons(console: Console, lines: list[tuple[str, Record]]) -> None:
    """Why cells are empty, each reason once."""
    told: dict[tuple[str, str], list[str]] = {}
    objective = ""
    for name, one in lines:
        objective, label = (name, name) if not one["part"] else (objective, f"{objective} ({one['part']})")
        attribution = one["attribution"]
        shown = [attribution["masses"][cell] for cell in MASSES] + [attribution[cell] for cell in (*SIZES, *CONTRASTS)]
        if one["logits"] is not None:
            shown.append({**one["logits"]["mass_share"], "name": "share at the logits"})
        empty = [(measure["name"], measure["why_none"]) for measure in shown if measure["value"] is None]
        if one["gradient"] is None and one["gradient_asked"]:
            empty.append(("gradient", one["why_no_gradient"]))
        elif one["gradient"] is not None and any(one["gradient"][cell] is None for cell in OF_GRADIENT):
            empty.append(("gradient", "one of its parts is 0, or does not vary"))
        for reason in empty:
            told.setdefault(reason, []).append(label)
    for (measure, why), objectives in told.items():
        console.print(f"[dim]– {escape(measure)} of {escape(', '.join(objectives))}: {escape(why)}[/]", soft_wrap=True)


def _masses(lines: list[tuple[str, Record]]) -> Table:
    columns = "objective", "per-token ratio", "mass share, %", "of tokens, %", "|c| on ACCEPT / RETRY", "responses"
    table = _table("Credit by objective: decision tokens against sampling tokens; |c| in units of its mean", *columns)
    for name, one in lines:
        attribution = one["attribution"]
        masses = attribution["masses"]
        sizes = " / ".join(number(attribution[cell]["value"]) for cell in SIZES)
        values = [number(masses[cell]["value"], masses[cell]["unit"]) for cell in MASSES]
        table.add_row(escape(name), *values, sizes, f"{one['num_rollouts']:,}")
    return table


def _contrasts(lines: list[tuple[str, Record]]) -> Table:
    columns = "objective", "right: accept − retry", "wrong: retry − accept", "attempts: right − wrong"
    table = _table("Contrast by outcome, in units of the mean |c|: above 0 teaches the right decision, 0 knows no outcome", *columns)
    for name, one in lines:
        table.add_row(escape(name), *(_contrast(one["attribution"][cell]) for cell in CONTRASTS))
    return table


def _contrast(measure: Record) -> str:
    return f"{number(measure['value'])} {escape(_bounds(measure))}" if measure["value"] is not None else "–"


def _gradients(lines: list[tuple[str, Record]]) -> Table:
    columns = "objective", "logits: share, %", "share of gradient, %", "cosine", "signal / noise: sampling", "decision"
    table = _table("How far it reaches: the decision's part of gradients", *columns)
    for name, one in lines:
        logits, gradient = one["logits"], one["gradient"]
        at_logits = "–" if logits is None else number(logits["mass_share"]["value"], "share")
        if gradient is None:
            table.add_row(escape(name), at_logits, *["–"] * len(OF_GRADIENT))
        else:
            units = ["share", "", "", ""]
            values = [number(gradient[cell], unit) for cell, unit in zip(OF_GRADIENT, units, strict=True)]
            table.add_row(escape(name), at_logits, *values)
    return table


def _print_swap(console: Console, decisions: Record) -> None:
    """The square, and the split of the gain, measured and by the closed form."""
    swap = decisions["swap"]
    if swap is None:
        console.print(f"[dim]Swap of sampler and decider: {escape(decisions['why_no_swap'])}[/]", soft_wrap=True)
        return
    task = decisions["source"].get("swap_task")
    where = f" on {task}" if task else ""
    title = f"Who writes the attempts, who decides: accuracy, %{where} ({swap['num_prompts']:,} prompts, {swap['num_rollouts']:,} each)"
    square = _table(escape(title), "attempts by", "decisions: before", "decisions: after")
    cells = [f"{_value(cell)} {escape(_bounds(cell))}" for cell in swap["measured"]["cells"]]
    square.add_row(f"before: {escape(swap['before'])}", *cells[:2])
    square.add_row(f"after: {escape(swap['after'])}", *cells[2:])
    console.print(square)
    console.print(f"[dim]Prompts: {escape(swap['prompts'])}.[/]", soft_wrap=True)
    split = _table("Whose gain it is, points", "part", "measured", "95 %", "by closed form", "95 %")
    for name in ("total", "sampling", "decision", "decision_share"):
        row = []
        for found in (swap["measured"][name], swap["analytic"][name]):
            gain = name != "decision_share"
            value = signed(found["value"], found["unit"]) if gain else number(found["value"], found["unit"])
            bounds = signed_interval(found) if gain else interval(found)
            row += [value, escape(bounds if found["value"] is not None else found["why_none"])]
        split.add_row(escape(swap["measured"][name]["name"]), *row)
    console.print(split)


def _print_bank(console: Console, decisions: Record) -> None:
    bank = decisions["bank"]
    if bank is None:
        if decisions["why_no_bank"] != decisions["why_no_swap"]:
            console.print(f"[dim]Bank of attempts: {escape(decisions['why_no_bank'])}[/]", soft_wrap=True)
        return
    title = f"Decisions about the same {bank['num_states']:,} attempts, half of them right ({bank['num_checks']} checks each)"
    moved = {change["name"]: change["difference"] for change in bank["changes"]}
    table = _table(title, "measure", "before", "after", "difference", "95 % paired")
    pairs = [(bank["before"]["rates"][name], bank["after"]["rates"][name]) for name in OF_RATES]
    pairs += [(bank["before"][name], bank["after"][name]) for name in ("auroc", "calibration_error")]
    for before, after in pairs:
        found = moved.get(before["name"])
        change = ("–", "–") if found is None else (signed(found["value"], found["unit"]), escape(signed_interval(found)))
        table.add_row(escape(before["name"]), *(f"{_value(one)} {escape(_bounds(one))}" for one in (before, after)), *change)
    console.print(table)
    missing = bank["missing_right"] + bank["missing_wrong"]
    silent = bank["num_silent_before"] + bank["num_silent_after"]
    if missing or silent or bank["num_without_room"]:
        told = (
            f"{bank['num_used']:,} of {bank['num_states']:,} states count, in pairs of a right and a wrong one: {silent:,} times no check "
            f"came to a verdict. {missing:,} attempts asked for were not there; behind {bank['num_without_room']:,} no check fits."
        )
        console.print(f"[dim]{told}[/]", soft_wrap=True)


def _value(measure: Record) -> str:
    return f"{number(measure['value'], measure['unit'])} {unit_sign(measure['unit'])}" if measure["value"] is not None else "–"


def _bounds(measure: Record) -> str:
    return interval(measure) if measure["value"] is not None else str(measure["why_none"])
