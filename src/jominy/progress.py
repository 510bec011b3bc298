"""What a person sees while something takes longer than two seconds: one bar on standard error.

On a terminal the bar is live; elsewhere (a log, CI) a plain line is printed every few seconds, so nothing looks hung.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Advance = Callable[[int, int], None]
"""(finished items, drawn tokens) since the last call."""

PLAIN_LINE_EVERY_S = 15.0
PLAIN_SIGN_EVERY_S = 60.0
"""The same of a sign that a job is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBar:
    """What moves a bar over jobs.

    Example: bar.end("smollm2, hard: judge_all, seed 0")
    """

    end: Callable[[str], None]
    """A job has ended; which, and what came of it."""
    say: Callable[[str], None]
    """How far those in hand are, in words; the bar stays where it is."""


@contextmanager
def stage(title: str, *, quiet: bool = False) -> Iterator[None]:
    """Something of unknown length is going on: a spinner on a terminal, one line elsewhere."""
    from rich.console import Console

    if quiet:
        yield
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{title} ...")
        yield
        return
    with console.status(f"{title} ..."):
        yield


@contextmanager
def rollout_bar(title: str, num_rollouts: int, *, quiet: bool = False, what: str = "rollouts") -> Iterator[Advance]:
    """A bar over rollouts (or `what`) with tokens a second and the time left; yields the function that moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    if quiet:
        yield lambda finished, tokens: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(console.print, title, num_rollouts, what)
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what + "{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        bar = progress.add_task(title, total=num_rollouts, speed="")
        started, drawn = time.monotonic(), 0

        def advance(finished: int, tokens: int) -> None:
            nonlocal drawn
            drawn += tokens
            progress.update(bar, advance=finished, speed=_speed("  ", drawn, started))

        yield advance


def _speed(before: str, drawn: int, started: float) -> str:
    """Tokens a second, where tokens are counted."""
    return f"{before}{drawn / max(time.monotonic() - started, 1e-9):.0f} tokens/s" if drawn else ""


def _plain(print_line: Callable[[str], None], title: str, num_rollouts: int, what: str) -> Advance:
    started = last = time.monotonic()
    done = drawn = 0

    def advance(finished: int, tokens: int) -> None:
        nonlocal last, done, drawn
        done, drawn, now = done + finished, drawn + tokens, time.monotonic()
        if now - last >= PLAIN_LINE_EVERY_S or done == num_rollouts > done - finished:
            last = now
            print_line(f"{title}: {done}/{num_rollouts} {what}{_speed(', ', drawn, started)}")

    return advance


def note(text: str, *, quiet: bool = False) -> None:
    """One line that stays."""
    from rich.console import Console

    if not quiet:
        Console(stderr=True).print(text, markup=False, highlight=False)


@contextmanager
def job_bar(title: str, num_jobs: int, *, quiet: bool = False) -> Iterator[JobBar]:
    """A bar over jobs with the time left. Elsewhere one line a job, and now and then one on those in hand."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    if quiet:
        yield JobBar(end=lambda said: None, say=lambda said: None)
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_jobs(console.print, title, num_jobs)
        return
    words = TextColumn("{task.fields[said]}")
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), words, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(title, total=num_jobs, said="")
        yield JobBar(
            end=lambda said: progress.update(bar, advance=1, said=said),
            say=lambda said: progress.update(bar, said=said),
        )


def _plain_jobs(print_line: Callable[[str], None], title: str, num_jobs: int) -> JobBar:
    done, started = 0, time.monotonic()
    last, shown = started, ""

    def end(said: str) -> None:
        nonlocal done, last
        done, last = done + 1, time.monotonic()
        left = (last - started) / done * (num_jobs - done)
        print_line(f"{title} {done}/{num_jobs}, {left / 60:.0f} min left: {said}")

    def say(said: str) -> None:
        nonlocal last, shown
        now = time.monotonic()
        if said != shown and now - last >= PLAIN_SIGN_EVERY_S:
            last, shown = now, said
            print_line(f"{title} {done}/{num_jobs}: {said}")

    return JobBar(end=end, say=say)
