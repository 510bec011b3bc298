"""What a person reads in the terminal: the verdict, the findings, the recipe table, the listings. Formats; computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from jominy.formatting import hours, interval, number
from jominy.records import Finding, Measure
from jominy.results import Advice, ByTask, Cost, Diagnosis
from jominy.store import RunFolder

if TYPE_CHECKING:
    from jominy.checking import CheckReport

VERDICT_STYLE = {"go": "bold green", "fix first": "bold yellow", "stop": "bold red"}
SEVERITY_STYLE = {"stop": "bold red", "fix": "yellow", "watch": "cyan", "good": "green"}
FIT_STYLE = {"recommended": "bold green", "fits": "green", "risky": "yellow", "futile": "red"}
SHOWN = (
    "pass@1",
    "pass@4",
    "pass@16",
    "strict pass@1",
    "lenient pass@1",
    "format gap at pass@1",
    "few-shot pass@1",
    "few-shot gain at pass@1",
    "exact match at 60 %",
    "fresh exact match at 60 %",
    "answer accuracy at 60 %",
    "fresh answer accuracy at 60 %",
    "gradient share at G={G}",
    "live share at G={G}",
    "all-right share at G={G}",
    "all-wrong share at G={G}",
    "effective number of live prompts",
    "silhouette",
    "rectified silhouette",
    "silhouette, two of each class",
    "silhouette above permuted labels",
    "AUROC",
    "truncated share",
    "repetitive share",
    "unscored share",
    "share without a probability",
    "false pay share",
    "sampler-scorer gap",
)
"""Measures of the terminal's table, G the planned group size; the page and diagnosis.json hold all."""
ABOVE_ZERO = ("share without a probability",)
"""Those of them that say nothing at 0."""


def print_diagnosis(diagnosis: Diagnosis, page: Path | None, console: Console | None = None) -> None:
    """Verdict first, then findings, numbers, recipes, cost, and where the page is."""
    console = console or Console()
    verdict = diagnosis.verdict
    style = VERDICT_STYLE[verdict.value]
    source = diagnosis.source
    title = f"{source['model']} on {source['task']}" if "model" in source else str(source.get("path", "rollouts"))
    text = f"[{style}]{verdict.value.upper()}[/]  {escape(verdict.headline)}\n[dim]Rule: {escape(verdict.rule)}[/]"
    console.print(Panel(text, title=escape(title), border_style=style.split()[-1]))
    for finding in diagnosis.findings:
        _print_finding(console, finding)
    if diagnosis.first_failure:
        last_line = diagnosis.first_failure.strip().splitlines()[-1]
        console.print(f"[red]First unscored rollout:[/] {escape(last_line)} [dim](whole text in run.json and diagnosis.json)[/]")
    console.print(_measure_table(diagnosis))
    if diagnosis.by_task is not None:
        console.print(rates_by_task(diagnosis.by_task))
        console.print(clarity_by_task(diagnosis.by_task))
    console.print(_advice_table(diagnosis.advice))
    if diagnosis.cost is not None:
        _print_cost(console, diagnosis.cost)
    if diagnosis.skipped:
        console.print("[bold]Not checked[/]")
        for skipped in diagnosis.skipped:
            console.print(f"  [dim]{escape(skipped.code)}: needs {escape(skipped.missing)}[/]")
    console.print(
        "[dim]Thresholds are ours, not the papers': "
        + escape(", ".join(f"{threshold.name}={threshold.value:g}" for threshold in diagnosis.thresholds))
        + "; set them with --thresholds[/]"
    )
    if page is not None:
        console.print(f"[bold]Page:[/] {escape(str(page))}", soft_wrap=True)


def _print_finding(console: Console, finding: Finding) -> None:
    style = SEVERITY_STYLE[finding.severity]
    console.print(f"[{style}]{finding.severity.upper():>5}[/] [bold]{escape(finding.title)}[/] [dim]({finding.code})[/]")
    if finding.severity != "good":
        source = f" [dim]({finding.reference.arxiv})[/]" if finding.reference is not None and finding.reference.arxiv else ""
        console.print(f"      {escape(finding.prescription)}{source}")


def _measure_table(diagnosis: Diagnosis) -> Table:
    left_out = f", {diagnosis.num_unscored} unscored" if diagnosis.num_unscored else ""
    paid = f", scored by {escape(str(diagnosis.source['reward']))}" if diagnosis.source.get("reward") else ""
    table = Table(title=f"{diagnosis.num_prompts:,} prompts, {diagnosis.num_rollouts:,} rollouts{left_out}{paid}", title_justify="left")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("95 % interval")
    table.add_column("prompts", justify="right")
    table.add_column("left out", justify="right")
    there = {measure.name: measure for measure in diagnosis.evaluation}
    if there:
        table.add_column(f"on {escape(str(diagnosis.source.get('evaluation_task', 'evaluation')))}")
    shown = [name.format(G=diagnosis.source["group_size"]) for name in SHOWN]
    for measure in sorted((m for m in diagnosis.measures if m.name in shown), key=lambda measure: shown.index(measure.name)):
        if measure.value is not None and (measure.value > 0 or measure.name not in ABOVE_ZERO):
            table.add_row(
                measure.name,
                f"{number(measure.value, measure.unit)} {'%' if measure.unit == 'share' else ''}",
                interval(asdict(measure)),
                f"{measure.num_prompts:,}" if measure.num_prompts else "",
                f"{measure.num_left_out:,}" if measure.num_left_out else "",
                *([_beside(there.get(measure.name))] if there else []),
            )
    return table


def _beside(measure: Measure | None) -> str:
    """A measure of the evaluation prompts in one cell."""
    if measure is None or measure.value is None:
        return ""
    return f"{number(measure.value, measure.unit)} {'%' if measure.unit == 'share' else ''} {interval(asdict(measure))}"


def rates_by_task(by_task: ByTask) -> Table:
    """avg@K and pass@k, a row a task, then their unweighted mean. The intervals of pass@k are on the page and in diagnosis.json."""
    names = list(dict.fromkeys(measure.name for one in by_task.tasks for measure in one.passk if measure.name != "pass@1"))
    names.sort(key=lambda name: int(name.removeprefix("pass@")))
    headings = [name.removeprefix("pass") for name in names]
    table = _narrow_table("By task, in %: avg@K with its 95 % interval, then pass@k", ("problems", "avg@K", *headings))
    for one in by_task.tasks:
        there = {measure.name: measure for measure in one.passk}
        cells = [_short(there.get(name)) for name in names]
        table.add_row(escape(one.task), f"{one.num_problems:,} x {one.num_samples}", _with_interval(one.pass_rate), *cells)
    first, *others = by_task.average
    means = {measure.name: measure for measure in others}
    table.add_row(
        "[bold]mean over tasks[/]", "", _with_interval(first), *(_short(means.get(f"mean of {name} over tasks")) for name in names)
    )
    return table


def clarity_by_task(by_task: ByTask) -> Table:
    """S, S of permuted labels and what was left out, a row a task."""
    table = _narrow_table("By task: S, and shares in %", ("S", "permuted", "balanced S", "coverage", "truncated", "unscored"))
    for one in by_task.tasks:
        measures = (one.silhouette, one.null_silhouette, one.balanced, one.coverage, one.truncated, one.unscored)
        table.add_row(escape(one.task), *map(_short, measures))
    return table


def _narrow_table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("task", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _short(measure: Measure | None) -> str:
    return "–" if measure is None else number(measure.value, measure.unit)


def _with_interval(measure: Measure) -> str:
    return "–" if measure.value is None else f"{number(measure.value, measure.unit)} {interval(asdict(measure))}"


def _advice_table(advice: tuple[Advice, ...]) -> Table:
    table = Table(title="Which recipe fits", title_justify="left")
    table.add_column("recipe")
    table.add_column("fit")
    table.add_column("because")
    for row in advice:
        source = f" [dim]({row.paper.arxiv})[/]" if row.paper is not None and row.paper.arxiv else ""
        table.add_row(
            row.recipe,
            f"[{FIT_STYLE[row.fit]}]{row.fit}[/]",
            f"{escape(row.because)}{source}\n[dim]Would change: {escape(row.would_change)}[/]",
        )
    return table


def _print_cost(console: Console, cost: Cost) -> None:
    live = f"{cost.num_live_prompts:.1f}"
    if cost.num_live_prompts_low is not None and cost.num_live_prompts_high is not None:
        live += f" [{cost.num_live_prompts_low:.1f}, {cost.num_live_prompts_high:.1f}]"
    console.print(
        f"[bold]Cost here:[/] {cost.num_steps} steps of {cost.prompts_per_step} prompts x {cost.rollouts_per_prompt} rollouts: "
        f"about {hours(cost.hours)} and {cost.num_tokens:,.0f} sampled tokens; {escape(live)} prompts a step carry a gradient."
    )
    console.print(f"[dim]Extrapolated, without an interval: {escape(cost.assumption)}[/]")


def print_sampled(folder: RunFolder, console: Console | None = None) -> None:
    """What a finished `sample` left."""
    console = console or Console()
    run = folder.read_run()
    table = folder.rollouts(["reward"])
    unscored = table["reward"].null_count
    speed = run["timing"]["num_tokens"] / max(run["timing"]["sampling_s"], 1e-9)
    console.print(
        f"{table.num_rows} rollouts ({unscored} unscored), {run['timing']['num_tokens']:,} tokens at {speed:.0f} tokens/s in {folder.path}"
    )
    console.print(f"Next: jominy diagnose {folder.path}", highlight=False)


def print_check(report: CheckReport, console: Console | None = None) -> bool:
    """The battery line by line; returns whether all passed."""
    console = console or Console()
    table = Table(title=f"{report.kind} {report.name}", title_justify="left")
    table.add_column("check")
    table.add_column("")
    table.add_column("detail")
    marks = {True: "[green]pass[/]", False: "[bold red]FAIL[/]", None: "[dim]not checked[/]"}
    for row in report.checks:
        table.add_row(row.name, marks[row.passed], escape(row.detail))
    console.print(table)
    if report.first_traceback:
        console.print(f"[dim]{escape(report.first_traceback)}[/]")
    return report.passed


def print_models() -> None:
    """The aliases and what they stand for."""
    from jominy.engines.models import MODELS

    table = Table(title="Models (any hub id or local path works as well)", title_justify="left")
    table.add_column("alias")
    table.add_column("what")
    for name, entry in MODELS.items():
        table.add_row(name, escape(entry.summary))
    table.add_row("lab", "a small model made for the task at hand, about half able at it; built in a minute or two, then cached")
    Console().print(table)


def print_tasks() -> None:
    """The tasks and their options."""
    from jominy.tasks.loading import TASKS

    table = Table(title="Tasks (or a file of prompts, or your own as my_tasks.py:make)", title_justify="left")
    table.add_column("task")
    table.add_column("what")
    table.add_column("options, after a colon")
    for name, entry in TASKS.items():
        table.add_row(name, escape(entry.summary), escape(entry.options))
    Console().print(table)


def print_rewards() -> None:
    """The rewards of `--reward NAME` and their options."""
    from jominy.rewards.gates import GATES
    from jominy.rewards.spurious import REWARDS

    title = "Rewards: --reward NAME, or NAME:option=value,option=value (or your own as my_rewards.py:fn); the task's own is kept as gold"
    table = Table(title=title, title_justify="left")
    for column in ("reward", "what", "options and defaults", "source"):
        table.add_column(column)
    for name, entry in REWARDS.items():
        options = ", ".join(f"{option}={value}" for option, value in entry.defaults.items())
        table.add_row(name, escape(entry.summary), escape(options), entry.paper.arxiv if entry.paper is not None else "")
    table.caption = f"gate, the form that is asked for: {', '.join(GATES)} (docs/choices.md)"
    Console().print(table)


def print_recipes() -> None:
    """The recipes that `train` runs, then the advice of a diagnosis that is a way to use one."""
    from jominy.advice import RECIPES
    from jominy.recipes.loading import USES, list_recipes

    table = Table(title="Recipes: jominy train --recipe NAME, or NAME:option=value,option=value", title_justify="left")
    for column in ("recipe", "what", "source"):
        table.add_column(column)
    for recipe in list_recipes():
        table.add_row(recipe.name, escape(recipe.summary), recipe.paper.arxiv)
    Console().print(table)
    ways = Table(title="Advice of a diagnosis that is a way to use one", title_justify="left")
    for column in ("advice", "what", "how"):
        ways.add_column(column)
    for name, rule in RECIPES.items():
        if name in USES:
            ways.add_row(name, escape((rule.__doc__ or "").strip()), escape(USES[name].removeprefix(f"{name} is ")))
    Console().print(ways)
