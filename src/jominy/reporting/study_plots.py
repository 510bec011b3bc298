"""The plots of a study on its page, with Plotly: a card for each panel, with its numbers in a table below.

    {"id": "gains-0", "title": "adder, sums", "meaning": "pass@16 0.93, strong", "figure": {...}, "header": [...], "numbers": [[...]]}

Names are data: Plotly reads some HTML in texts, so every name is escaped.
Left out on purpose: any number that is not in the conclusion, and any study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from jominy.formatting import number
from jominy.reporting.figures import BLUE, GREEN, GREY, ORANGE, Figure, make_figure

Record = Mapping[str, Any]

COLOURS = {"strong": BLUE, "weak": ORANGE}
"""Side of a point -> its colour; the others are grey."""
GROUPS = (BLUE, ORANGE, GREEN, "#8b5fbf", "#b3261e", GREY)
"""Colours of joined points, one a group."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
"""One a group."""


def cards_of(plot: Record) -> list[dict[str, Any]]:
    """A card a panel, as the template shows it.

    Args:
        plot: a `conclusion.Plot` as a dictionary.
    """
    groups = list(dict.fromkeys(point["group"] for panel in plot["panels"] for point in panel["points"]))
    draw = _draw_dots if plot["kind"] == "dots" else _draw_over_x
    return [
        {
            "id": f"{plot['code']}-{position}",
            "title": panel["title"],
            "meaning": panel["subtitle"],
            "figure": draw(plot, panel, groups) if panel["points"] else None,
            "header": _header(plot),
            "numbers": [_numbers(plot, point) for point in panel["points"]],
            "missing": [panel["missing"].rstrip(".")] if panel["missing"] else [],
        }
        for position, panel in enumerate(plot["panels"])
    ]


def _header(plot: Record) -> list[str]:
    return [plot["x_label"], plot["y_label"]] if plot["kind"] == "dots" else ["", plot["x_label"], plot["y_label"]]


def _numbers(plot: Record, point: Record) -> list[str]:
    shown = point["text"] or number(point["y"])
    return [point["category"], shown] if plot["kind"] == "dots" else [point["label"], number(point["x"]), shown]


def _reach(points: Sequence[Record]) -> Figure:
    """Error bars; none where there is no interval."""
    above = [0.0 if point["high"] is None else point["high"] - point["y"] for point in points]
    below = [0.0 if point["low"] is None else point["y"] - point["low"] for point in points]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.6, "width": 3, "color": GREY}


def _colours(points: Sequence[Record]) -> list[str]:
    return [COLOURS.get(point["side"], GREY) for point in points]


def _draw_dots(plot: Record, panel: Record, groups: Sequence[str]) -> Figure:
    """A line a category, on one scale for all panels."""
    points = panel["points"]
    trace = go.Scatter(
        x=[point["y"] for point in points],
        y=[escape(point["category"]) for point in points],
        error_x=_reach(points),
        customdata=[escape(point["text"]) for point in points],
        mode="markers",
        marker={"size": 8, "color": _colours(points)},
        hovertemplate="%{y}: <b>%{customdata}</b><extra></extra>",
    )
    singles = [(value, point) for point in points for value in point["singles"]]
    strokes = go.Scatter(
        x=[value for value, _ in singles],
        y=[escape(point["category"]) for _, point in singles],
        mode="markers",
        marker={"size": 7, "symbol": "line-ns-open", "color": _colours([point for _, point in singles]), "opacity": 0.55},
        hoverinfo="skip",
    )
    order = [escape(name) for name in reversed(plot["categories"]) if any(point["category"] == name for point in points)]
    axis_y = {"categoryorder": "array", "categoryarray": order, "automargin": True, "type": "category", "dtick": 1}
    axis_x = {"title": {"text": escape(plot["y_label"])}, "range": _span(plot), "zeroline": True, "zerolinecolor": GREY}
    return make_figure([trace, strokes], axis_x, axis_y)


def _span(plot: Record) -> list[float]:
    """From the lowest to the highest end of any interval and 0, with some room."""
    ends = [point[end] for panel in plot["panels"] for point in panel["points"] for end in ("low", "y", "high") if point[end] is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.05 * (high - low) or 1.0
    return [low - room, high + room]


def _draw_over_x(plot: Record, panel: Record, groups: Sequence[str]) -> Figure:
    """Points over x: each with the symbol of its group, or joined within it."""
    joined = plot["kind"] == "line"
    traces = [_line(line) for line in panel["lines"]]
    for position, group in enumerate(groups):
        points = sorted((point for point in panel["points"] if point["group"] == group), key=lambda point: point["x"])
        if points:
            colours: Any = GROUPS[position % len(GROUPS)] if joined else _colours(points)
            traces.append(_points(plot, points, SYMBOLS[position % len(SYMBOLS)], colours, joined=joined))
    axis_x: Figure = {"title": {"text": escape(plot["x_label"])}}
    if plot["x_low"] is not None and plot["x_high"] is not None:
        room = 0.04 * (plot["x_high"] - plot["x_low"])
        axis_x["range"] = [plot["x_low"] - room, plot["x_high"] + room]
    figure = make_figure(traces, axis_x, {"title": {"text": escape(plot["y_label"])}, "zeroline": True, "zerolinecolor": GREY})
    figure["layout"]["showlegend"] = joined and len(groups) > 1
    return figure


def _points(plot: Record, points: Sequence[Record], symbol: str, colours: Any, *, joined: bool) -> go.Scatter:
    return go.Scatter(
        x=[point["x"] for point in points],
        y=[point["y"] for point in points],
        error_y={**_reach(points), **({"color": colours} if joined else {})},
        name=escape(points[0]["group"]),
        customdata=[[escape(point["label"]), escape(point["text"])] for point in points],
        mode="lines+markers" if joined else "markers",
        marker={"size": 7 if joined else 9, "color": colours, "symbol": symbol},
        hovertemplate=f"%{{customdata[0]}}<br>{escape(plot['x_label'])} %{{x:.3~g}}<br><b>%{{customdata[1]}}</b><extra></extra>",
    )


def _line(line: Record) -> go.Scatter:
    return go.Scatter(
        x=line["x"],
        y=line["y"],
        name=escape(line["label"]),
        mode="lines",
        meta="ink",
        line={"dash": "dash", "width": 1.2},
        showlegend=False,
        hovertemplate=f"{escape(line['label'])}<extra></extra>",
    )
