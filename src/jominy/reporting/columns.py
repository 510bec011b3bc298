"""Columns of a log, and plots of them with their numbers: what the sections of a training run are drawn with.

    Columns(lines=log.steps).line("reward", "mean reward")  ->  Line,   floors of lines  ->  figure + table

Every value may be missing: a field that is absent, null or not finite is not drawn.
Left out on purpose: which columns there are (`training`, `overseen`) and how a figure looks (`series`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jominy.formatting import number
from jominy.reporting.figures import BLUE
from jominy.reporting.series import Floor, Line, draw_floors

Record = Mapping[str, Any]

MAX_POINTS = 500
"""Steps drawn at most; of longer runs every n-th."""


def stride(count: int) -> int:
    """Every how many steps one is drawn."""
    return -(-count // MAX_POINTS)


def finite(value: Any) -> float | None:
    """The number, or None when it is none."""
    number_like = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number_like else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The drawn lines of a log, by column.

    Example: Columns(lines=({"step": 1, "reward": 0.2},)).of("reward")      # [0.2]
    """

    lines: Sequence[Record]
    """Each with its `step`, ascending."""

    @property
    def x(self) -> list[float]:
        """[K] steps."""
        return [float(line["step"]) for line in self.lines]

    def of(self, name: str) -> list[float | None]:
        """[K] a column; None where it is missing."""
        return [finite(line.get(name)) for line in self.lines]

    def end(self, name: str, end: str) -> list[float | None]:
        """[K] `value`, `low` or `high` of a column of estimates."""
        return [finite(line[name].get(end)) if isinstance(line.get(name), Mapping) else None for line in self.lines]

    def part(self, name: str, part: str, label: str, colour: str = BLUE, dash: str = "solid") -> Line:
        """One part of a column of objects as a line."""
        return Line(name=label, x=self.x, y=self.end(name, part), colour=colour, dash=dash)

    def line(self, name: str, label: str, colour: str = BLUE, dash: str = "solid") -> Line:
        """A column as a line."""
        return Line(name=label, x=self.x, y=self.of(name), colour=colour, dash=dash)

    def band(self, name: str, label: str, colour: str = BLUE) -> Line:
        """A column of estimates as a line with its band."""
        low, high = self.end(name, "low"), self.end(name, "high")
        return Line(name=label, x=self.x, y=self.end(name, "value"), low=low, high=high, colour=colour)


def plot_of(title: str, meaning: str, floors: Sequence[Floor]) -> dict[str, Any]:
    """A plot of floors with its numbers; lines without a number are not drawn, floors without a line neither."""
    kept = []
    for floor in floors:
        lines = tuple(line for line in floor.lines if any(value is not None for value in line.y))
        kept += [replace(floor, lines=lines)] if lines else []
    if not kept:
        return absent(title, meaning)
    return {"title": title, "meaning": meaning, "figure": draw_floors(kept, "step"), **_numbers(kept), "missing": []}


def absent(title: str, meaning: str) -> dict[str, Any]:
    """A plot that cannot be drawn yet."""
    return {
        "title": title,
        "meaning": meaning,
        "figure": None,
        "header": [],
        "numbers": [],
        "missing": ["The log holds no such number yet"],
    }


def _numbers(floors: Sequence[Floor]) -> dict[str, Any]:
    """The lines as a table, one row a step; an interval stands behind its value."""
    lines = [line for floor in floors for line in floor.lines]
    cells: dict[float, dict[int, str]] = {}
    for position, line in enumerate(lines):
        lows, highs = line.low or [None] * len(line.x), line.high or [None] * len(line.x)
        for x, value, low, high in zip(line.x, line.y, lows, highs, strict=True):
            bounds = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
            cells.setdefault(x, {})[position] = number(value) + bounds
    rows = [[f"{x:g}", *(cells[x].get(position, "–") for position in range(len(lines)))] for x in sorted(cells)]
    named = [(floor, line) for floor in floors for line in floor.lines]
    twice = {line.name for line in lines if sum(line.name == other.name for other in lines) > 1}
    return {
        "header": ["step", *(f"{line.name}, {floor.title}" if line.name in twice else line.name for floor, line in named)],
        "numbers": rows,
    }
