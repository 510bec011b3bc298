"""What a person reads in the terminal of an explanation: the reading, before against after, who moved. Formats; computes nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from jominy.explanation import Change, Explanation, Moves, signed, signed_interval
from jominy.formatting import brief, interval, number, unit_sign
from jominy.oversight import Oversight
from jominy.records import Measure
from jominy.rewards.metering import spent_over
from jominy.steplog import read_steps
from jominy.store import RunFolder

OUTCOME_STYLE = {
    "discovery": "bold green",
    "sharpening": "bold blue",
    "better": "bold green",
    "no change shown": "bold yellow",
    "worse": "bold red",
    "unknown": "bold yellow",
}
SEVERITY_STYLE = {"stop": "bold red", "fix": "yellow", "watch": "cyan", "good": "green"}
MAX_PARTS = 12
"""Parts of the reward that the terminal lists, those that moved most; the page and explanation.json hold all."""


def print_explanation(explanation: Explanation, page: Path | None, console: Console | None = None) -> None:
    """The reading first, then pass@k, prompts gained and lost, format against skill, drift, and where the page is."""
    console = console or Console()
    reading = explanation.reading
    style = OUTCOME_STYLE[reading.value]
    text = f"[{style}]{escape(reading.headline)}[/]\n[dim]Rule: {escape(reading.rule)}[/]"
    source = explanation.source
    sides = [f"step {source[f'{side}_step']}" if f"{side}_step" in source else str(source[side]) for side in ("before", "after")]
    console.print(Panel(text, title=escape(f"{sides[0]} against {sides[1]}"), border_style=style.split()[-1]))
    for caveat in reading.caveats:
        console.print(f"[yellow]Note:[/] {escape(caveat)}")
    console.print(_change_table(_title(explanation), explanation.passk))
    _print_moves(console, explanation.moves)
    _print_format_skill(console, explanation)
    if explanation.parts:
        shown = explanation.parts[:MAX_PARTS]
        more = f", the {len(shown)} of {len(explanation.parts)} that moved most" if len(shown) < len(explanation.parts) else ""
        console.print(_change_table(f"Parts of the reward{more}", shown))
    console.print(_change_table("Drift", (*explanation.drift, *explanation.clarity), explanation.kl))
    if page is not None:
        console.print(f"[bold]Page:[/] {escape(str(page))}", soft_wrap=True)


def _title(explanation: Explanation) -> str:
    left_out = explanation.num_only_before + explanation.num_only_after
    unscored = explanation.num_unscored_before + explanation.num_unscored_after
    text = f"{explanation.num_prompts:,} prompts"
    text += f", {left_out:,} in one folder only left out" if left_out else ""
    return text + (f", {unscored:,} responses unscored" if unscored else "")


def _change_table(title: str, changes: tuple[Change, ...], alone: tuple[Measure, ...] = ()) -> Table:
    """Changes, and measures that exist only afterwards, in the last columns."""
    table = Table(title=title, title_justify="left")
    for name in ("measure", "before", "after", "difference", "95 % paired", "prompts", "left out"):
        table.add_column(name, justify="right" if name in ("before", "after", "difference", "prompts", "left out") else "left")
    for change in changes:
        found = change.difference
        values = [_value(change.before), _value(change.after), signed(found.value, found.unit), signed_interval(found)]
        table.add_row(
            escape(change.name), *(values if found.value is not None else ["–", "–", "–", escape(found.why_none)]), *_counts(found)
        )
    for measure in alone:
        bounds = interval(asdict(measure)) if measure.value is not None else escape(measure.why_none)
        table.add_row(measure.name, "", _value(measure), "", bounds, *_counts(measure))
    return table


def _value(measure: Measure) -> str:
    return f"{number(measure.value, measure.unit)} {unit_sign(measure.unit)}" if measure.value is not None else "–"


def _bounded(measure: Measure) -> str:
    """A value with its interval, where it has one."""
    return _value(measure) if measure.low is None or measure.high is None else f"{_value(measure)} {interval(asdict(measure))}"


def _counts(measure: Measure) -> tuple[str, str]:
    return f"{measure.num_prompts:,}", f"{measure.num_left_out:,}" if measure.num_left_out else ""


def _print_moves(console: Console, moves: Moves) -> None:
    console.print(
        f"[bold]Gained[/] {moves.gained} prompts (never right, then at least once), [bold]lost[/] {moves.lost}, of {moves.num_prompts}; "
        f"drawing alone would give {brief(moves.gained_by_chance)} and {brief(moves.lost_by_chance)}; "
        f"sign test p = {brief(moves.p_value)}. Surely more often right: {moves.surely_up}, less often: {moves.surely_down}"
        " [dim](Fisher, false discovery rate 5 %)[/]"
    )


def _print_format_skill(console: Console, explanation: Explanation) -> None:
    parts = explanation.format_skill
    if parts is None:
        console.print(f"[dim]Format against skill: not told apart; {escape(explanation.why_no_format_skill)}[/]")
        return
    console.print(_change_table("Format against skill", (parts.answered, parts.accuracy)))
    told = [f"{signed(part.value, part.unit)} points {signed_interval(part)}" for part in (parts.format_part, parts.skill_part)]
    console.print(f"Of the pass@1 change, answering at all gives {escape(told[0])}, answering right {escape(told[1])}.")


def print_oversight(oversight: Oversight | None, console: Console | None = None) -> None:
    """What training paid beside the truth: its findings, then every number; nothing where the truth paid."""
    if oversight is None:
        return
    console = console or Console()
    print_held(oversight, console)
    table = Table(title=f"What training paid, over {oversight.num_steps} steps", title_justify="left")
    for name in ("number", "first third", "last third", "difference", "99 %"):
        table.add_column(name, justify="left" if name in ("number", "99 %") else "right", no_wrap=name == "99 %")
    for course in oversight.courses:
        found = course.ends
        table.add_row(
            escape(course.name), _bounded(course.first), _bounded(course.last), signed(found.value, found.unit), signed_interval(found)
        )
    console.print(table)
    if oversight.held_out.value is not None:
        found = oversight.held_out
        console.print(f"Held-out truth goes with what training pays: rank correlation {number(found.value)} {interval(asdict(found))}")


def print_held(oversight: Oversight | None, console: Console | None = None) -> None:
    """Whether the reward is being hacked, as a run ends: its findings, else one line; nothing where the truth paid."""
    if oversight is None:
        return
    console = console or Console()
    for finding in oversight.findings:
        style = SEVERITY_STYLE[finding.severity]
        console.print(f"[{style}]{finding.severity.upper():>5}[/] [bold]{escape(finding.title)}[/] [dim]({finding.code})[/]")
        console.print(f"      {escape(finding.prescription)}")
    word = {"holds": "no hacking shown", "unknown": "cannot tell whether it is hacked"}.get(oversight.held, oversight.held)
    console.print(f"reward {word} [dim]({escape(oversight.rule)})[/]", soft_wrap=True, highlight=False)


def print_judged(folder: Path, console: Console | None = None) -> None:
    """What a judge that paid has cost; nothing where none was asked."""
    spent = spent_over(read_steps(folder))
    if spent is not None:
        (console or Console()).print(f"judge  {spent.words()}", soft_wrap=True, highlight=False)


def print_trained(folder: Path, page: Path | None, console: Console | None = None) -> None:
    """Where the result of a training run is, and how to use it."""
    console = console or Console()
    model = escape(str(folder / "model"))
    console.print(f"model  {model}  [dim](a Hugging Face folder: transformers, vLLM and TRL load it)[/]", soft_wrap=True)
    if page is not None:
        console.print(f"page   {escape(str(page))}", soft_wrap=True)


def print_first_live_step(folder: Path, console: Console | None = None) -> None:
    """When a training run first had rewards to compare, as far as `run.json` knows: a run that learns gold answers compares none."""
    there = RunFolder(folder)
    run = there.read_run() if there.exists() else {}
    if "first_live_step" in run:
        (console or Console()).print(first_live_text(run["first_live_step"]), soft_wrap=True, highlight=False)


def first_live_text(step: int | None) -> str:
    """The line about the first mixed group.

    >>> first_live_text(4)
    'live   from step 4, the first with a group whose rewards differ'
    """
    if step is None:
        return "live   never: in no step did the rewards of a group differ, so comparing them taught nothing"
    return f"live   from step {step}, the first with a group whose rewards differ"
