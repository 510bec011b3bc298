"""Lying bars with their 95 % intervals: a row a name, in each row one bar a series.

    row i, series s of S:   y = -i + (S - 1 - 2 s) thickness / 2          the first row and the first series on top

A bar with an interval, or of length 0, ends in a mark, so that it is seen too. An undefined measure has no bar, and a
row of them says so.
Left out on purpose: any number that is not in a measure, and the table below the plot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from jominy.formatting import interval, number
from jominy.reporting.figures import BLUE, GREY, Figure, make_figure, make_pattern

Record = Mapping[str, Any]

ROOM = 0.76
"""Of a row that its bars fill."""
LONGEST = 24
"""Characters of a row's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One measure over all rows.

    Example: Series(name="share of coefficients", measures=(measure, measure))
    """

    name: str
    """As the legend calls it."""
    measures: Sequence[Record]
    """[N] `Measure`s as dictionaries, one a row."""
    colour: str = BLUE
    """Of the bars."""
    pattern: str = ""
    """Of the bars: never colour alone."""


def draw_bars(rows: Sequence[str], series: Sequence[Series], x_title: str, *, guide: float = 0.0, percent: bool = False) -> Figure:
    """The bars; None is never drawn, so at least one value must be defined.

    Args:
        rows: [N] names, the first on top.
        series: each with N measures.
        x_title: of the common axis.
        guide: where a dotted line stands, the value that means "no difference".
        percent: whether the axis counts in per cent.
    """
    thickness = ROOM / len(series)
    traces: list[Any] = []
    for position, one in enumerate(series):
        offset = thickness * (len(series) - 1 - 2 * position) / 2
        there = [row for row, measure in enumerate(one.measures) if measure["value"] is not None]
        places = [offset - row for row in there]
        traces += _bars(one, [rows[row] for row in there], [one.measures[row] for row in there], places, thickness)
    empty = [row for row in range(len(rows)) if all(one.measures[row]["value"] is None for one in series)]
    traces += [_undefined(empty, guide)] if empty else []
    figure = make_figure(
        traces,
        {
            "title": {"text": escape(x_title)},
            "zeroline": True,
            "zerolinecolor": GREY,
            "nticks": 6,
            **({"tickformat": ".0%"} if percent else {}),
        },
        {
            "tickmode": "array",
            "tickvals": [-row for row in range(len(rows))],
            "ticktext": [_short(name) for name in rows],
            "range": [-(len(rows) - 1) - 0.6, 0.6],
            "automargin": True,
        },
    )
    line = {"type": "line", "xref": "x", "yref": "paper", "x0": guide, "x1": guide, "y0": 0, "y1": 1}
    figure["layout"]["shapes"] = [{**line, "line": {"color": GREY, "width": 1.5, "dash": "dot"}}]
    figure["layout"]["showlegend"] = len(series) > 1
    return figure


def _bars(one: Series, names: Sequence[str], measures: Sequence[Record], places: Sequence[float], thickness: float) -> list[Any]:
    values = [measure["value"] for measure in measures]
    told = [[escape(name), f"{number(m['value'], m['unit'])} {interval(m)}"] for name, m in zip(names, measures, strict=True)]
    bars = go.Bar(
        orientation="h",
        x=values,
        y=places,
        width=0.92 * thickness,
        name=escape(one.name),
        marker={"color": one.colour, "pattern": make_pattern(one.pattern)},
        customdata=told,
        hovertemplate=f"%{{customdata[0]}}<br>{escape(one.name)} <b>%{{customdata[1]}}</b><extra></extra>",
    )
    ends = go.Scatter(
        x=values,
        y=places,
        mode="markers",
        meta="ink",
        marker={"size": [5 if measure["low"] is not None or not measure["value"] else 0 for measure in measures]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [0.0 if m["high"] is None else max(m["high"] - m["value"], 0.0) for m in measures],
            "arrayminus": [0.0 if m["low"] is None else max(m["value"] - m["low"], 0.0) for m in measures],
            "thickness": 1.4,
            "width": 3,
        },
        hoverinfo="skip",
        showlegend=False,
    )
    return [bars, ends]


def _undefined(rows: Sequence[int], guide: float) -> go.Scatter:
    """A word in each row that has no bar at all; why stands in the table."""
    return go.Scatter(
        x=[guide] * len(rows),
        y=[-row for row in rows],
        text=["undefined"] * len(rows),
        mode="text",
        textposition="middle right",
        hoverinfo="skip",
        showlegend=False,
    )


def _short(name: str) -> str:
    return escape(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…")
