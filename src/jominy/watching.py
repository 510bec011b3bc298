"""What a person sees while a run trains: a live panel on a terminal, one plain line a step elsewhere, nothing when quiet.

    time left = steps left x (wall time of the last 20 steps / their number), evaluations and saving between them included

The panel shows what `steps.jsonl` and `evaluations.jsonl` hold and computes nothing else; what is None or not finite is a dash.
Left out on purpose: the numbers themselves (the loop makes them), keys and mouse, and smoothing, which hides what a step did.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from jominy.blockcurves import curve, evaluation_columns, scale, step_columns
from jominy.formatting import brief, clock, number

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.panel import Panel as Frame
    from rich.table import Table

Line = Mapping[str, Any]

REFRESHES_PER_S = 4
PLAIN_SILENCE_S = 30.0
"""Without a terminal, say where a step is when nothing was said for this long."""
STEPS_IN_ESTIMATE = 20
LABEL_WIDTH, LEAST_CURVE_WIDTH, VALUE_WIDTH, CELL_WIDTH = 10, 8, 30, 25
CELLS: tuple[tuple[str, str, str], ...] = (
    *(("live", "live_share", "share"), ("all right", "all_right_share", "share"), ("all wrong", "all_wrong_share", "share")),
    *(("entropy", "entropy_nats", "nats"), ("KL", "kl_nats", "nats"), ("grad norm", "grad_norm", "")),
    *(("length", "mean_length", "tokens"), ("truncated", "truncated_share", "share"), ("unscored", "num_unscored", "")),
    *(("clipped", "clip_share", "share"), ("ESS", "ess", "rows"), ("gap", "gap_nats", "nats")),
    *(("sampling", "sampling_tokens_per_s", "tokens/s"), ("update", "update_tokens_per_s", "tokens/s"), ("memory", "memory_gib", "GiB")),
)
"""(label, key of a steps.jsonl line, unit): the cells under the curves, five rows of three or three rows of five."""
WEIGHT_CELLS = (("weights", "min", "max", ""), ("w ESS", "ess_share", None, "share"), ("S' < 0", "below_zero_share", None, "share"))
"""(label, key of its `group_weights`, key of the other end or None, unit): the row of cells below, where a recipe weighs groups."""

PAY_CELLS = (("false accepts", "false_accepts"), ("echo", "echo"), ("claims", "claims"))
"""(label, key of its `pay`): shares behind the gap, on a line below, where the reward that pays is not the truth."""

PLAIN = (
    *(("reward", "reward"), ("pass", "pass_rate"), ("live", "live_share"), ("length", "mean_length"), ("truncated", "truncated_share")),
    *(("entropy", "entropy_nats"), ("kl", "kl_nats"), ("grad", "grad_norm")),
)
"""(label, key of a steps.jsonl line) of the plain line."""


class Panel(Protocol):
    """What the training loop tells whoever watches."""

    def stage(self, name: str, total: int = 0) -> None:
        """`name` begins: sampling, grading, updating, evaluating, saving; `total` rollouts, 0 when that is not known."""

    def advance(self, finished: int, tokens: int) -> None:
        """So many more rollouts and tokens of the stage are done; a `progress.Advance`."""

    def step(self, line: Line) -> None:
        """A step is over; `line` is its line of steps.jsonl. Lines before `first_step` are history: drawn, not timed, not printed."""

    def evaluated(self, line: Line) -> None:
        """An evaluation is over; `line` is its line of evaluations.jsonl. Those before `first_step - 1` are drawn, not printed."""

    def note(self, text: str) -> None:
        """Something to tell once, e.g. where a checkpoint went."""


@contextmanager
def training_panel(title: str, num_steps: int, first_step: int, *, quiet: bool, console: Console | None = None) -> Iterator[Panel]:
    """Watch a run of `num_steps` steps whose next one is `first_step`; on a terminal the last picture stays when it ends."""
    if quiet:
        yield Silent()
        return
    from rich.console import Console
    from rich.live import Live

    console = console or Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    seen = Watched(title=title, num_steps=num_steps, first_step=first_step, say=say)
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainPanel(seen)
        return
    with Live(get_renderable=lambda: picture(seen, console.width), console=console, refresh_per_second=REFRESHES_PER_S):
        yield seen
        seen.stage("finished")


@dataclass(slots=True, kw_only=True)
class Watched:
    """A panel that remembers what it was told, for `picture` to draw; it grows while the run goes on, so it is not frozen.

    The dictionaries are replaced and never changed in place, because another thread draws them meanwhile.

    Example: Watched(title="smollm2 on constraints, grpo", num_steps=30, first_step=1, say=print)
    """

    title: str
    """Model, task and recipe."""
    num_steps: int
    """Steps of the whole run, those before a resume included."""
    first_step: int
    """The first step that is made while we watch: 1, or where a resumed run goes on."""
    say: Callable[[str], None]
    """Prints a line, above the panel where there is one."""
    now_s: Callable[[], float] = time.monotonic
    """The clock."""
    started_s: float = field(init=False)
    """When watching began."""
    lines: dict[int, Line] = field(default_factory=dict)
    """steps.jsonl by step."""
    evaluations: dict[int, Line] = field(default_factory=dict)
    """evaluations.jsonl by step."""
    marks_s: list[float] = field(default_factory=list)
    """When training began and when each of the last steps ended."""
    stage_name: str = "starting"
    """What is going on now."""
    stage_total: int = 0
    """Rollouts of the stage; 0 when not known."""
    stage_done: int = 0
    """Rollouts of the stage that are done."""
    stage_tokens: int = 0
    """Tokens of the stage so far."""
    stage_started_s: float = field(init=False)
    """When the stage began."""

    def __post_init__(self) -> None:
        self.started_s = self.stage_started_s = self.now_s()
        self.marks_s = [self.started_s]

    def stage(self, name: str, total: int = 0) -> None:
        self.stage_name, self.stage_total, self.stage_done, self.stage_tokens = name, total, 0, 0
        self.stage_started_s = self.now_s()

    def advance(self, finished: int, tokens: int) -> None:
        self.stage_done += finished
        self.stage_tokens += tokens

    def step(self, line: Line) -> None:
        self.lines = {**self.lines, line["step"]: line}
        if line["step"] >= self.first_step:
            self.marks_s = [*self.marks_s, self.now_s()][-STEPS_IN_ESTIMATE - 1 :]

    def evaluated(self, line: Line) -> None:
        self.evaluations = {**self.evaluations, line["step"]: line}
        if line["step"] < self.first_step:  # before training, so no part of a step's time
            self.marks_s = [self.now_s()]

    def note(self, text: str) -> None:
        self.say(text)

    def last_step(self) -> int:
        """The last step that ended; 0 before the first."""
        return max(self.lines, default=self.first_step - 1)

    def left_s(self) -> float | None:
        """Seconds until the last step ends, at the pace of the last ones; None before one step was timed."""
        if len(self.marks_s) < 2:
            return None
        pace_s = (self.marks_s[-1] - self.marks_s[0]) / (len(self.marks_s) - 1)
        return max(pace_s * (self.num_steps - self.last_step()) - (self.now_s() - self.marks_s[-1]), 0.0)


class Silent:
    """A panel that shows nothing."""

    def stage(self, name: str, total: int = 0) -> None: ...
    def advance(self, finished: int, tokens: int) -> None: ...
    def step(self, line: Line) -> None: ...
    def evaluated(self, line: Line) -> None: ...
    def note(self, text: str) -> None: ...


class PlainPanel:
    """Where no terminal is: a line a step, a line an evaluation, and a sign of life in a step of minutes."""

    def __init__(self, seen: Watched) -> None:
        self.seen, self.said_s = seen, seen.started_s
        self.note(f"{seen.title}: steps {seen.first_step} to {seen.num_steps}")

    def stage(self, name: str, total: int = 0) -> None:
        self.seen.stage(name, total)
        self._sign_of_life()

    def advance(self, finished: int, tokens: int) -> None:
        self.seen.advance(finished, tokens)
        self._sign_of_life()

    def step(self, line: Line) -> None:
        self.seen.step(line)
        if line["step"] >= self.seen.first_step:
            self.note(step_text(line, self.seen.num_steps, self.seen.left_s()))

    def evaluated(self, line: Line) -> None:
        self.seen.evaluated(line)
        if line["step"] >= self.seen.first_step - 1:
            self.note(evaluation_text(line))

    def note(self, text: str) -> None:
        self.said_s = self.seen.now_s()
        self.seen.say(text)

    def _sign_of_life(self) -> None:
        if self.seen.now_s() - self.said_s >= PLAIN_SILENCE_S:
            self.note(f"step {min(self.seen.last_step() + 1, self.seen.num_steps)}/{self.seen.num_steps}  {stage_text(self.seen)}")


def step_text(line: Line, num_steps: int, left_s: float | None) -> str:
    """A step on one line: `step 3/30  reward 0.210  pass 0.190  live 0.630  ...  8.1 s, 3:40 left`."""
    parts = [f"step {line['step']}/{num_steps}", *(f"{label} {number(known(line.get(key)))}" for label, key in PLAIN)]
    if line.get("group_weights"):
        low, high, share = (known(line["group_weights"].get(key)) for key in ("min", "max", "ess_share"))
        parts.append(f"weights {number(low)} to {number(high)} ESS {number(share, 'share')} %")
    if line.get("pay"):
        parts.append(f"paid-gold {pay_text(line['pay'])}")
    if line.get("num_unscored"):
        parts.append(f"unscored {line['num_unscored']}")
    seconds = known(line.get("step_s"))
    return "  ".join([*parts, f"{'–' if seconds is None else f'{seconds:.1f}'} s, {clock(left_s)} left"])


def evaluation_text(line: Line) -> str:
    """An evaluation on one line: `held-out at step 10  pass@1 55.2 [44.0, 66.1] %  kl 0.031  ...  12.0 s`."""
    kl_nats = (line.get("kl_nats") or {}).get("value")
    length, truncated, seconds = (number(known(line.get(key))) for key in ("mean_length", "truncated_share", "seconds"))
    return (
        f"held-out at step {line['step']}  pass@1 {estimate_text(line.get('pass_at_1'))}  kl {number(known(kl_nats))}"
        f"  length {length}  truncated {truncated}  {seconds} s"
    )


def estimate_text(estimate: Mapping[str, float | None] | None) -> str:
    """A share with its interval, in per cent; a dash when there is none.

    >>> estimate_text({"value": 0.552, "low": 0.44, "high": 0.661}), estimate_text({"value": 0.5, "low": None, "high": None})
    ('55.2 [44.0, 66.1] %', '50.0 %')
    >>> estimate_text({"value": None, "low": None, "high": None}), estimate_text(None)
    ('–', '–')
    """
    value, low, high = (known((estimate or {}).get(part)) for part in ("value", "low", "high"))
    if value is None:
        return "–"
    between = "" if low is None or high is None else f" [{number(low, 'share')}, {number(high, 'share')}]"
    return f"{number(value, 'share')}{between} %"


def pay_text(pay: Mapping[str, Any]) -> str:
    """What training paid beyond the truth, on one line.

    >>> gap, share = {"value": 0.118, "low": 0.05, "high": 0.19}, {"value": 0.23}
    >>> pay_text({"gap": gap, "false_accepts": share, "echo": {"value": None}})
    '+0.12 [0.05, 0.19]  false accepts 23 %  echo –  claims –'
    """
    gap, low, high = (known((pay.get("gap") or {}).get(part)) for part in ("value", "low", "high"))
    between = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    shares = [(label, known((pay.get(key) or {}).get("value"))) for label, key in PAY_CELLS]
    told = [f"{label} {'–' if share is None else f'{100 * share:.0f} %'}" for label, share in shares]
    return "  ".join(["–" if gap is None else f"{gap:+.2f}{between}", *told]).replace("-", "−")


def stage_text(seen: Watched) -> str:
    """What is going on now: `sampling 24/64 rollouts  412 tokens/s  0:05  (last step 8.1 s)`."""
    elapsed_s = seen.now_s() - seen.stage_started_s
    last_s = known(seen.lines.get(seen.last_step(), {}).get("step_s"))
    parts = [f"{seen.stage_name} {seen.stage_done}/{seen.stage_total} rollouts" if seen.stage_total else seen.stage_name]
    if seen.stage_tokens:
        parts.append(f"{seen.stage_tokens / max(elapsed_s, 1e-9):,.0f} tokens/s")
    if seen.stage_name != "finished":
        parts.append(clock(elapsed_s))
    if last_s is not None:
        parts.append(f"(last step {last_s:.1f} s)")
    return "  ".join(parts)


def known(value: float | None) -> float | None:
    """The value, or None when it is no finite number."""
    return value if value is not None and math.isfinite(value) else None


def picture(seen: Watched, width: int) -> Frame:
    """The panel, `width` columns wide, as it stands now."""
    from rich.console import Group
    from rich.panel import Panel as Frame
    from rich.text import Text

    inside = width - 4
    curve_width = max(inside - LABEL_WIDTH - VALUE_WIDTH - 4, LEAST_CURVE_WIDTH)
    now = Text.assemble((f"{'now':<{LABEL_WIDTH}}  ", "dim"), stage_text(seen), no_wrap=True, overflow="ellipsis")
    last_line = seen.lines.get(seen.last_step(), {})
    parts: list[RenderableType] = [_bar(seen, curve_width), now, _curves(seen, curve_width), Text(), _cells(last_line, inside)]
    if last_line.get("pay"):
        told = ((f"{'paid−gold':<{LABEL_WIDTH}}  ", "dim"), (pay_text(last_line["pay"]), "bold"))
        parts.append(Text.assemble(*told, no_wrap=True, overflow="ellipsis"))
    return Frame(Group(*parts), title=Text(seen.title, style="bold"), title_align="left", width=width, border_style="cyan")


def _grid(curve_width: int) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for width, style in ((LABEL_WIDTH, "dim"), (curve_width, ""), (VALUE_WIDTH, "")):
        table.add_column(width=width, style=style, no_wrap=True, overflow="ellipsis")
    return table


def _bar(seen: Watched, width: int) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    last, table = seen.last_step(), _grid(width)
    done = f"{last}/{seen.num_steps}  {clock(seen.now_s() - seen.started_s)}, {clock(seen.left_s())} left"
    table.add_row("step", ProgressBar(total=max(seen.num_steps, 1), completed=last, width=width), Text(done, style="bold"))
    return table


def _curves(seen: Watched, width: int) -> Table:
    """Reward, pass rate and held-out pass@1 above one another, on the bar's axis of steps."""
    from rich.text import Text

    table = _grid(width)
    for label, key, unit, style in (("reward", "reward", "", "green"), ("pass rate", "pass_rate", "share", "cyan")):
        values = {step: known(line.get(key)) for step, line in seen.lines.items()}
        low, high = scale(values)
        rows = curve(step_columns(values, seen.num_steps, width), low, high)
        axis = f"axis {brief(low)} to {brief(high)}" if unit == "" else f"axis {brief(100 * low)} to {brief(100 * high)} %"
        table.add_row(label, Text(rows[0], style=style), Text(_with_unit(values.get(seen.last_step()), unit), style="bold"))
        table.add_row("", Text(rows[1], style=style), Text(axis, style="dim"))
    held_out = {step: known((line.get("pass_at_1") or {}).get("value")) for step, line in seen.evaluations.items()}
    rows = curve(evaluation_columns(held_out, seen.num_steps, width), 0.0, 1.0)
    texts = {step: f"{estimate_text(seen.evaluations[step].get('pass_at_1'))} at {step}" for step in sorted(held_out)}
    newest, oldest = (texts[max(texts)], texts[min(texts)]) if texts else ("–", "–")
    table.add_row("held-out", Text(rows[0], style="magenta"), Text(newest, style="bold"))
    table.add_row("pass@1", Text(rows[1], style="magenta"), Text(oldest, style="dim"))
    return table


def _with_unit(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "tokens/s":
        return f"{value:,.0f} {unit}" if value < 10_000 else f"{value / 1000:.3g}k {unit}"
    return f"{number(value, unit)} {'%' if unit == 'share' else unit}".rstrip()


def _cells(line: Line, inside: int) -> Table:
    """The last step's other numbers, as many beside one another as fit."""
    from rich.table import Table
    from rich.text import Text

    across = max((inside + 1) // CELL_WIDTH, 1)
    table = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(across):
        table.add_column(width=(inside + 1) // across - 1, no_wrap=True, overflow="ellipsis")
    told = [(label, _with_unit(known(line.get(key)), unit)) for label, key, unit in CELLS]
    weights = line.get("group_weights") or {}
    for label, key, end, unit in WEIGHT_CELLS if weights else ():
        to = "" if end is None else f" to {_with_unit(known(weights.get(end)), unit)}"
        told.append((label, _with_unit(known(weights.get(key)), unit) + to))
    cells = [Text.assemble((f"{label:<9} ", "dim"), (text, "bold")) for label, text in told]
    for first in range(0, len(cells), across):
        table.add_row(*cells[first : first + across])
    return table
