"""The plots of the page, as Plotly figures: a curve with its band, and histograms.

Colours are legible on light and on dark paper; the script of the page sets the ink of axes and grid to the theme. Plotly reads a few HTML
tags in its labels, so every name is escaped, and no text of a model ever comes here.
Left out on purpose: binning, smoothing, estimating. Points, bands and counts are drawn as the diagnosis gives them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

BLUE, ORANGE, GREY, GREEN = "#3b82d6", "#c8731a", "#7f8896", "#2a9d6f"
BAND = "rgba(59,130,214,0.22)"
COLOURS = {"right": BLUE, "wrong": ORANGE}
PATTERNS = {"wrong": "/"}

Record = Mapping[str, Any]
Figure = dict[str, Any]


def draw_curve(curve: Record) -> Figure:
    """A line with its 95 % band; the axis doubles where x spans a factor of 8 or more.

    Args:
        curve: a `results.Curve` as a dictionary.
    """
    x_name, is_share = escape(curve["x_name"]), all(0 <= value <= 1 for value in curve["value"])
    traces: list[go.Scatter] = [_band(curve, first, last) for first, last in _runs_with_band(curve)]
    bounds = [
        "no interval" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
        for low, high in zip(curve["low"], curve["high"], strict=True)
    ]
    traces.append(
        go.Scatter(
            x=curve["x"],
            y=curve["value"],
            customdata=[[bound, count] for bound, count in zip(bounds, curve["num_prompts"], strict=True)],
            mode="lines+markers",
            line={"color": BLUE, "width": 2.5},
            marker={"size": 7},
            hovertemplate=f"{x_name} = %{{x}}: <b>%{{y:.3f}}</b><br>95 % %{{customdata[0]}}<br>%{{customdata[1]}} prompts<extra></extra>",
        )
    )
    return make_figure(
        traces, _axis_of(curve["x"], x_name), {"title": {"text": escape(curve["name"])}, "range": [0, 1.02] if is_share else None}
    )


def _axis_of(x: Sequence[float], title: str) -> Figure:
    doubles = len(x) > 1 and min(x) > 0 and max(x) >= 8 * min(x)
    ticks = {"tickmode": "array", "tickvals": list(x), "ticktext": [f"{value:g}" for value in x]} if len(x) <= 12 else {}
    return {"title": {"text": title}, "type": "log" if doubles else "linear", **ticks}


def _runs_with_band(curve: Record) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of neighbouring points that have both ends of an interval."""
    first = None
    for position in range(len(curve["x"]) + 1):
        there = position < len(curve["x"]) and curve["low"][position] is not None and curve["high"][position] is not None
        if there and first is None:
            first = position
        elif not there and first is not None:
            yield first, position - 1
            first = None


def _band(curve: Record, first: int, last: int) -> go.Scatter:
    run = slice(first, last + 1)
    return go.Scatter(
        x=[*curve["x"][run], *reversed(curve["x"][run])],
        y=[*curve["low"][run], *reversed(curve["high"][run])],
        fill="toself",
        fillcolor=BAND,
        mode="lines",
        line={"color": BAND, "width": 2 if first == last else 0},
        hoverinfo="skip",
    )


def draw_histogram(histogram: Record) -> Figure:
    """Bars in the given bins; expected series as a stepped line; two or more counted series one above the other, each on its own scale.

    Args:
        histogram: a `results.Histogram` as a dictionary.
    """
    if histogram["name"] == "pass rate":
        return _draw_pass_rates(histogram)
    counted = [name for name in histogram["series"] if "expected" not in name]
    expected = [name for name in histogram["series"] if "expected" in name]
    axis_x = {"title": {"text": _axis_title(histogram)}, "range": [histogram["edges"][0], histogram["edges"][-1]]}
    traces = [_bars(histogram, name, axis="y" if i == 0 else f"y{i + 1}") for i, name in enumerate(counted)]
    traces += [_steps(histogram, name) for name in expected]
    if len(counted) > 1:
        figure = make_figure(traces, {**axis_x, "anchor": "free", "position": 0.0}, {})
        figure["layout"].update(_floors(counted))
    else:
        figure = make_figure(traces, axis_x, {"title": {"text": escape(counted[0]) if counted else "expected"}, "rangemode": "tozero"})
    figure["layout"]["showlegend"] = bool(expected)
    return figure


def _floors(names: Sequence[str]) -> Figure:
    """One y axis a series, stacked from the top, with a gap above all but the first."""
    height, gap = 1.0 / len(names), 0.05
    floors = {}
    for i, name in enumerate(names):
        low, high = 1 - (i + 1) * height, 1 - i * height
        settings = {
            "title": {"text": escape(name)},
            "domain": [max(0.0, low), high - (gap if i else 0)],
            "rangemode": "tozero",
            "nticks": 4,
            "anchor": "x",
        }
        floors["yaxis" if i == 0 else f"yaxis{i + 1}"] = make_axis(settings)
    return floors


def _axis_title(histogram: Record) -> str:
    unit = histogram["unit"]
    return escape(f"{histogram['name']} ({unit})" if unit not in ("", "share", histogram["name"]) else histogram["name"])


def _bars(histogram: Record, name: str, axis: str) -> go.Bar:
    counts, edges = histogram["series"][name], histogram["edges"]
    bins = list(pairwise(edges))
    return go.Bar(
        x=[low for low, _ in bins],
        y=counts,
        width=[high - low for low, high in bins],
        offset=0,
        name=escape(name),
        yaxis=axis,
        customdata=[f"{low:.3g} to {high:.3g}" for low, high in bins],
        marker={"color": COLOURS.get(name, BLUE), "pattern": make_pattern(PATTERNS.get(name, ""))},
        hovertemplate=f"%{{customdata}}: <b>%{{y}}</b> {escape(name)}<extra></extra>",
    )


def make_pattern(shape: str) -> Figure:
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,0.6)", "solidity": 0.2, "size": 7}


def _steps(histogram: Record, name: str) -> go.Scatter:
    counts = histogram["series"][name]
    return go.Scatter(
        x=histogram["edges"],
        y=[*counts, counts[-1]],
        name=escape(name),
        mode="lines",
        meta="ink",
        line={"shape": "hv", "dash": "dash", "width": 2},
        hovertemplate=f"%{{y:.2f}} {escape(name)}<extra></extra>",
    )


def _draw_pass_rates(histogram: Record) -> Figure:
    """Prompts by their share of right answers, the live region strictly between 0 and 1 set apart from the prompts at 0 and at 1.

    Several series are stacked, the first one live. A single series is parted at its bins: those that hold 0 or 1 are not live.
    """
    edges, series = histogram["edges"], histogram["series"]
    if len(series) == 1:
        (name, counts), live = next(iter(series.items())), [low > 0 and high < 1 for low, high in pairwise(edges)]
        between = [count if is_live else 0 for count, is_live in zip(counts, live, strict=True)]
        ends = [0 if is_live else count for count, is_live in zip(counts, live, strict=True)]
        series = {f"{name} strictly between 0 and 1": between, f"{name} at 0 or 1": ends}
    traces = []
    for position, name in enumerate(series):
        bars = _bars({**histogram, "series": series}, name, axis="y")
        look = {"color": BLUE} if position == 0 else {"color": GREY, "pattern": make_pattern("/")}
        traces.append(bars.update(name=escape(name), marker=look))
    axis_x = {"title": {"text": "pass rate"}, "range": [edges[0], edges[-1]]}
    figure = make_figure(traces, axis_x, {"title": {"text": "prompts"}, "rangemode": "tozero"})
    first, last = (0, 1) if len(histogram["series"]) > 1 else _inside(edges)
    note = {
        "text": "live region 0 &lt; p &lt; 1",
        "xref": "x",
        "yref": "paper",
        "x": (first + last) / 2,
        "y": 1,
        "yanchor": "bottom",
        "showarrow": False,
    }
    shade = {"type": "rect", "xref": "x", "yref": "paper", "x0": first, "x1": last, "y0": 0, "y1": 1, "layer": "below"}
    figure["layout"]["shapes"] = [{**shade, "fillcolor": "rgba(59,130,214,0.09)", "line": {"width": 0}}]
    figure["layout"]["annotations"] = [note]
    figure["layout"].update(showlegend=True, barmode="stack", legend={**figure["layout"]["legend"], "y": 1.1, "traceorder": "normal"})
    return figure


def _inside(edges: Sequence[float]) -> tuple[float, float]:
    """First and last edge strictly between 0 and 1; the whole range where there is none."""
    inside = [edge for edge in edges if 0 < edge < 1] or list(edges)
    return inside[0], inside[-1]


def make_axis(settings: Figure) -> Figure:
    title = {**settings.get("title", {}), "font": {"size": 13}}
    return {"zeroline": False, "fixedrange": True, **settings, "title": title}


def make_figure(traces: Sequence[Any], axis_x: Figure, axis_y: Figure) -> Figure:
    """The traces with the layout that all plots share, as plain JSON values without Plotly's template."""
    layout = {
        "margin": {"l": 56, "r": 12, "t": 12, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "xaxis": make_axis(axis_x),
        "yaxis": make_axis(axis_y),
        "bargap": 0,
        "barmode": "overlay",
        "hovermode": "closest",
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    figure: Figure = json.loads(go.Figure(data=list(traces), layout={**layout, "template": "none"}).to_json())
    del figure["layout"]["template"]
    return figure
