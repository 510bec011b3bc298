"""The plots of a training run: lines on floors over one axis, stacked shares, stacked seconds, and prompts before against after.

    Floor = one y axis with its lines; floors stand one above the other over a common x axis, each on its own scale

Left out on purpose: smoothing. A line goes from one number of the log to the next, past steps at which it was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import plotly.graph_objects as go

from jominy.reporting.figures import BLUE, GREEN, GREY, ORANGE, Figure, make_figure, make_pattern

BANDS = {BLUE: "rgba(59,130,214,0.22)", ORANGE: "rgba(200,115,26,0.20)", GREEN: "rgba(42,157,111,0.20)", GREY: "rgba(127,136,150,0.25)"}
FLOOR_GAP = 0.09
MARKED = 60
"""Up to so many points are marked one by one."""
FEW_STEPS = 8
"""An axis no longer than this has a tick at every step, so that none stands between two."""
TINY = 0.01
"""Values below this are written as 5e-6."""
BIGGEST_BUBBLE = 30
MARGIN = {"l": 68, "r": 12, "t": 12, "b": 48}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a floor.

    Example: Line(name="held-out pass@1", x=(0, 10), y=(0.1, 0.5), low=(0.05, 0.4), high=(0.2, 0.6))
    """

    name: str
    """As the legend calls it."""
    x: Sequence[float]
    """[K] positions."""
    y: Sequence[float | None]
    """[K] values; None where it was not measured."""
    low: Sequence[float | None] = ()
    """[K] lower ends of the 95 % intervals, or empty."""
    high: Sequence[float | None] = ()
    """[K] upper ends, or empty."""
    colour: str = BLUE
    """One of `BANDS`."""
    dash: str = "solid"
    """A second line on a floor is dashed, for those who see no colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One y axis with its lines.

    Example: Floor(title="nats", lines=(line,))
    """

    title: str
    """Of the axis."""
    lines: tuple[Line, ...]
    """Drawn in this order."""
    top: float | None = None
    """Where the axis ends; None lets it follow the lines."""
    from_zero: bool = True
    """Whether the axis starts at 0; numbers around 1 would lie flat on top of one another."""


def draw_floors(floors: Sequence[Floor], x_title: str, *, doubles: bool = False) -> Figure:
    """Lines with their bands, one floor above the other.

    Args:
        floors: from the top down; at least one.
        x_title: of the common axis.
        doubles: whether the x axis doubles from tick to tick (the k of pass@k) or is plain.
    """
    traces: list[go.Scatter] = []
    named: set[str] = set()
    for position, floor in enumerate(floors):
        axis = "y" if position == 0 else f"y{position + 1}"
        for line in floor.lines:
            # A line alone on its floor is named by the axis; one that looks and reads like another floor's is named once.
            listed = len(floor.lines) > 1 and line.name not in named
            named |= {line.name} if listed else set()
            traces += [*_bands(line, axis), _line(line, axis, listed)]
    x = sorted({value for floor in floors for line in floor.lines for value in line.x})
    few = doubles or x[-1] - x[0] <= FEW_STEPS
    ticks = {"tickmode": "array", "tickvals": x, "ticktext": [f"{value:g}" for value in x]} if few else {"nticks": 8}
    axis_x = {"title": {"text": escape(x_title)}, "type": "log" if doubles else "linear", **ticks}
    lowest = "y" if len(floors) == 1 else f"y{len(floors)}"
    figure = make_figure(traces, {**axis_x, "anchor": lowest}, {})
    for position, floor in enumerate(floors):
        name = "yaxis" if position == 0 else f"yaxis{position + 1}"
        figure["layout"][name] = _floor_axis(floor, position, len(floors))
    figure["layout"].update(showlegend=bool(named), margin=MARGIN)
    return figure


def _floor_axis(floor: Floor, position: int, count: int) -> Figure:
    height = 1.0 / count
    low, high = 1 - (position + 1) * height, 1 - position * height
    scale: Figure = {"rangemode": "tozero" if floor.from_zero else "normal"} if floor.top is None else {"range": [0, floor.top]}
    domain = [max(0.0, low), high - (FLOOR_GAP if position else 0.0)]
    title = {"text": escape(floor.title), "font": {"size": 13}, "standoff": 10}
    largest = max((abs(value) for line in floor.lines for value in line.y if value is not None), default=1.0)
    ticks: Figure = {"nticks": 3, "tickformat": ".0e"} if 0 < largest < TINY else {"nticks": 5}
    return {"zeroline": False, "fixedrange": True, "title": title, "domain": domain, "anchor": "x", **ticks, **scale}


def _line(line: Line, axis: str, listed: bool) -> go.Scatter:
    bounds = [
        "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
        for low, high in zip(line.low or [None] * len(line.x), line.high or [None] * len(line.x), strict=True)
    ]
    there = [position for position, value in enumerate(line.y) if value is not None]
    return go.Scatter(
        x=[line.x[position] for position in there],
        y=[line.y[position] for position in there],
        name=escape(line.name),
        yaxis=axis,
        showlegend=listed,
        mode="lines+markers" if len(there) <= MARKED else "lines",
        line={"color": line.colour, "width": 2.2 if len(there) <= MARKED else 1.4, "dash": line.dash},
        marker={"size": 6 if line.low else 4},
        customdata=[bounds[position] for position in there],
        hovertemplate=f"%{{x}}: <b>%{{y:.4g}}</b>%{{customdata}} {escape(line.name)}<extra></extra>",
    )


def _bands(line: Line, axis: str) -> list[go.Scatter]:
    """One filled band for each run of neighbouring points that have both ends."""
    found: list[go.Scatter] = []
    run: list[tuple[float, float, float]] = []
    for x, low, high in zip([*line.x, 0.0], [*line.low, None], [*line.high, None], strict=bool(line.low)):
        if low is not None and high is not None:
            run.append((x, low, high))
        elif run:
            found.append(_band(run, line.colour, axis))
            run = []
    return found


def _band(run: Sequence[tuple[float, float, float]], colour: str, axis: str) -> go.Scatter:
    xs, lows, highs = zip(*run, strict=True)
    return go.Scatter(
        x=[*xs, *reversed(xs)],
        y=[*lows, *reversed(highs)],
        yaxis=axis,
        fill="toself",
        fillcolor=BANDS[colour],
        mode="lines",
        line={"color": BANDS[colour], "width": 2 if len(run) == 1 else 0},
        hoverinfo="skip",
        showlegend=False,
    )


LOOKS = ((BLUE, ""), (GREEN, "."), (GREY, "/"), (ORANGE, "x"))
"""Colour and pattern of stacked series: never colour alone."""


def draw_stack(
    x: Sequence[float], series: Mapping[str, Sequence[float | None]], x_title: str, y_title: str, *, top: float | None
) -> Figure:
    """Bars of one step, series upon series, without gaps between the steps.

    Args:
        x: [K] steps.
        series: name -> [K] values from 0 up; None counts as nothing there.
        x_title: of the x axis.
        y_title: of the y axis.
        top: where the y axis ends; None lets it follow the bars.
    """
    width = min((b - a for a, b in pairwise(x)), default=1.0)
    traces = [
        go.Bar(
            x=list(x),
            y=list(values),
            width=width,
            name=escape(name),
            marker={"color": colour, "pattern": make_pattern(pattern), "line": {"width": 0}},
            hovertemplate=f"step %{{x}}: <b>%{{y:.3g}}</b> {escape(name)}<extra></extra>",
        )
        for (name, values), (colour, pattern) in zip(series.items(), LOOKS, strict=False)
    ]
    axis_x: Figure = {"title": {"text": escape(x_title)}, "nticks": 8}
    if x and x[-1] - x[0] <= FEW_STEPS:
        axis_x |= {"tickmode": "array", "tickvals": list(x)}
    if x:
        axis_x["range"] = [min(x) - width / 2, max(x) + width / 2]
    axis_y = {"title": {"text": escape(y_title)}, **({"rangemode": "tozero"} if top is None else {"range": [0, top]})}
    figure = make_figure(traces, axis_x, axis_y)
    figure["layout"].update(barmode="stack", showlegend=True, margin=MARGIN)
    figure["layout"]["legend"]["traceorder"] = "normal"
    return figure


def draw_moves(counts: Mapping[tuple[float, float], int], x_title: str, y_title: str) -> Figure:
    """Prompts by their share of right answers before (x) and after (y); the area of a disc is how many are there.

    Args:
        counts: (before, after) in [0, 1] -> prompts.
        x_title: of the x axis.
        y_title: of the y axis.
    """
    points = sorted(counts)
    most = max(counts.values(), default=1)
    diagonal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", meta="ink", line={"dash": "dot", "width": 1}, hoverinfo="skip")
    discs = go.Scatter(
        x=[before for before, _ in points],
        y=[after for _, after in points],
        mode="markers",
        marker={
            "size": [max(7.0, BIGGEST_BUBBLE * (counts[point] / max(most, 4)) ** 0.5) for point in points],
            "color": [BLUE if after > before else ORANGE if after < before else GREY for before, after in points],
            "symbol": ["circle" if after > before else "diamond" if after < before else "square" for before, after in points],
            "opacity": 0.75,
            "line": {"width": 0},
        },
        customdata=[counts[point] for point in points],
        hovertemplate="before %{x:.0%}, after %{y:.0%}: <b>%{customdata}</b> prompts<extra></extra>",
    )
    ends = {"range": [-0.1, 1.12], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
    return make_figure([diagonal, discs], {"title": {"text": escape(x_title)}, **ends}, {"title": {"text": escape(y_title)}, **ends})
