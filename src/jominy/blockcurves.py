"""Curves of block characters: numbers by step in, rows of text out.

    column c of a curve W wide, over N steps, is the mean of the steps c N // W + 1 ... max(c N // W + 1, (c + 1) N // W)

Left out on purpose: colours, labels and where a curve stands (`watching`).
"""

from __future__ import annotations

from collections.abc import Mapping

BLOCKS = " ▁▂▃▄▅▆▇█"


def step_columns(values: Mapping[int, float | None], num_steps: int, width: int) -> list[float | None]:
    """[width] mean of the steps under each column; None where there is none yet.

    >>> step_columns({1: 0.0, 2: 1.0}, num_steps=4, width=8)          # two columns a step, two steps to come
    [0.0, 0.0, 1.0, 1.0, None, None, None, None]
    >>> step_columns({1: 0.0, 2: 1.0, 3: 1.0, 4: None}, num_steps=4, width=2)
    [0.5, 1.0]
    """
    columns: list[float | None] = []
    for column in range(width):
        first = column * num_steps // width + 1
        last = max(first, (column + 1) * num_steps // width)
        here = [value for step in range(first, last + 1) if (value := values.get(step)) is not None]
        columns.append(sum(here) / len(here) if here else None)
    return columns


def evaluation_columns(values: Mapping[int, float | None], num_steps: int, width: int) -> list[float | None]:
    """[width] the last evaluation under each column; step 0 is the left edge, the last step the right one.

    >>> evaluation_columns({0: 0.1, 2: 0.5, 4: 0.9}, num_steps=4, width=8)
    [0.1, None, None, None, 0.5, None, None, 0.9]
    """
    columns: list[float | None] = [None] * width
    for step, value in sorted(values.items()):
        columns[min(step * width // max(num_steps, 1), width - 1)] = value
    return columns


def curve(columns: list[float | None], low: float, high: float, height: int = 2) -> list[str]:
    """[height] rows of block characters, top first, `low` the smallest block and `high` the full height; None is blank.

    >>> curve([0.0, 0.5, 1.0, None], low=0.0, high=1.0, height=2)      # 16 levels: 1, 1 + round(7.5), 16
    [' ▁█ ', '▁██ ']
    """
    steps = 8 * height - 1
    levels = [0 if value is None else 1 + round(steps * (min(max(value, low), high) - low) / (high - low)) for value in columns]
    return ["".join(BLOCKS[min(max(level - 8 * row, 0), 8)] for level in levels) for row in reversed(range(height))]


def scale(values: Mapping[int, float | None]) -> tuple[float, float]:
    """Ends of a curve's axis: 0 to 1, stretched to what lies outside.

    >>> scale({1: 0.2, 2: 0.9}), scale({1: -0.5, 2: 3.0, 3: None})
    ((0.0, 1.0), (-0.5, 3.0))
    """
    there = [value for value in values.values() if value is not None]
    return min([0.0, *there]), max([1.0, *there])
