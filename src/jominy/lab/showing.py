"""What a person sees while a lab model is made: one bar over steps with the pass rate so far, on standard error.

On a terminal the bar is live; elsewhere a plain line is printed every few seconds. The twin of `progress.rollout_bar`, for steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jominy.progress import PLAIN_LINE_EVERY_S


@contextmanager
def showing(title: str, num_steps: int, *, quiet: bool = False) -> Iterator[Callable[[int, float | None], None]]:
    """A bar over at most `num_steps` steps; yields the function that is told (steps done, pass rate or None)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if quiet:
        yield lambda done, pass_rate: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(console.print, title, num_steps)
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps at most  {task.fields[able]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(title, total=num_steps, able="")
        yield lambda done, pass_rate: progress.update(bar, completed=done, able=_able(pass_rate))


def _plain(print_line: Callable[[str], None], title: str, num_steps: int) -> Callable[[int, float | None], None]:
    """The first step and then one every few seconds get a line."""
    last = -PLAIN_LINE_EVERY_S

    def on_step(done: int, pass_rate: float | None) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_LINE_EVERY_S:
            last = time.monotonic()
            print_line(f"{title}: step {done} of at most {num_steps}{', ' * (pass_rate is not None)}{_able(pass_rate)}")

    return on_step


def _able(pass_rate: float | None) -> str:
    return "" if pass_rate is None else f"pass rate {pass_rate:.2f}"
