"""The plots of clarity: prompts before the band of noise, and the silhouette at several numbers of rollouts.

    Cloud   ->  one mark a prompt: above, within or below the noise of its own labels; behind them mean and 95 % of noise
    Curves  ->  S and balanced S on one floor, the share below zero and the coverage on another, over K

Left out on purpose: deciding what is noise; sides and bands are drawn as the diagnosis gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from jominy.formatting import interval, number
from jominy.reporting.figures import BLUE, GREEN, GREY, ORANGE, Figure, Record, make_figure
from jominy.reporting.series import BANDS, Floor, Line, draw_floors

SIDES = {
    "above": ("above", BLUE, "circle"),
    "within": ("within", GREY, "circle-open"),
    "below": ("below", ORANGE, "diamond"),
}
"""Side -> legend, colour and mark: never colour alone."""
BY_SIZE = {
    "silhouette at K": ("S", BLUE, "solid"),
    "balanced silhouette at K": ("balanced S", ORANGE, "dash"),
    "clarity coverage at K": ("coverage", GREEN, "solid"),
    "share with S < 0 at K": ("share with S < 0", GREY, "dash"),
}
"""Curves that are drawn together -> what the legend says, colour and dash."""
BY_SIZE_TITLE = "Silhouette by the number of rollouts"
BY_SIZE_MEANING = (
    "The same prompts with K of their rollouts, averaged over draws, with 95 % over prompts: compare models at one K, and trust no S that "
    "still moves with K."
)
LONGEST_ID = 60
CLOUD_TITLES = {
    "silhouette by prompt": "Silhouette by prompt",
    "balanced silhouette by prompt": "Balanced silhouette by prompt",
    "silhouette and pass rate": "Silhouette against pass rate",
    "balanced silhouette and pass rate": "Balanced silhouette against pass rate",
}


def clarity_plots(clouds: Sequence[Record], curves: Mapping[str, Record], prompt_ids: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What the page shows of them, as its template takes it; `id` is left to the page.

    Args:
        clouds: `results.Cloud`s as dictionaries.
        curves: `results.Curve`s as dictionaries by name; those in `BY_SIZE` are drawn.
        prompt_ids: of the prompts that the table lists, in its order.
    """
    found = [
        {
            "title": CLOUD_TITLES.get(cloud["name"], cloud["name"]),
            "meaning": cloud.get("meaning", ""),
            "figure": draw_cloud(cloud, prompt_ids),
            **_numbers_of_cloud(cloud),
            "missing": [],
        }
        for cloud in clouds
    ]
    there = [curves[name] for name in BY_SIZE if name in curves]
    if there:
        numbers = _numbers_by_size(there)
        found.append({"title": BY_SIZE_TITLE, "meaning": BY_SIZE_MEANING, "figure": draw_by_size(there), **numbers, "missing": []})
    return found


def draw_cloud(cloud: Record, prompt_ids: Sequence[str] = ()) -> Figure:
    """A mark for each prompt before the band of noise.

    Args:
        cloud: a `results.Cloud` as a dictionary.
        prompt_ids: what its `prompts` are called; one beyond them is called by its number.
    """
    x_name, y_name = escape(cloud["x_name"]), escape(cloud["y_name"])
    traces = [*_noise(cloud), *(trace for side in SIDES if (trace := _marks(cloud, side, prompt_ids)) is not None)]
    axis_x = {"title": {"text": x_name}, **({"range": [0, 1]} if cloud["x_name"] == "pass rate" else {})}
    figure = make_figure(traces, axis_x, {"title": {"text": y_name}, "zeroline": True})
    figure["layout"]["showlegend"] = True
    return figure


def _noise(cloud: Record) -> list[go.Scatter]:
    band = go.Scatter(
        x=[*cloud["band_x"], *reversed(cloud["band_x"])],
        y=[*cloud["band_low"], *reversed(cloud["band_high"])],
        name="noise, 95 %",
        fill="toself",
        fillcolor=BANDS[GREY],
        mode="lines",
        # A band of a single prompt has no area: its outline still shows.
        line={"color": BANDS[GREY], "width": 4 if len(cloud["band_x"]) == 1 else 0},
        hoverinfo="skip",
        legendgroup="noise",
    )
    mean = go.Scatter(
        x=cloud["band_x"],
        y=cloud["band_mean"],
        mode="lines",
        meta="ink",
        line={"dash": "dot", "width": 1.2},
        hoverinfo="skip",
        showlegend=False,
        legendgroup="noise",
    )
    return [band, mean]


def _marks(cloud: Record, side: str, prompt_ids: Sequence[str]) -> go.Scatter | None:
    """The prompts on one side of noise; None without any."""
    name, colour, symbol = SIDES[side]
    chosen = [i for i, here in enumerate(cloud["side"]) if here == side]
    if not chosen:
        return None
    x_name, y_name = escape(cloud["x_name"].split(",")[0]), escape(cloud["y_name"])
    return go.Scatter(
        x=[cloud["x"][i] for i in chosen],
        y=[cloud["y"][i] for i in chosen],
        customdata=[_called(cloud["prompts"][i], prompt_ids) for i in chosen],
        name=name,
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.75},
        hovertemplate=f"prompt %{{customdata}}<br>{x_name} %{{x}}: {y_name} <b>%{{y:.3f}}</b>, {name} noise<extra></extra>",
    )


def _called(prompt: int, prompt_ids: Sequence[str]) -> str:
    """The id that the table shows, which a log may have made of a whole question."""
    if prompt >= len(prompt_ids):
        return f"number {prompt + 1}"
    name = prompt_ids[prompt]
    return escape(name if len(name) <= LONGEST_ID else f"{name[: LONGEST_ID - 1]}…")


def _numbers_of_cloud(cloud: Record) -> dict[str, Any]:
    """The band row by row, with the values of the prompts where each has a place of its own in it."""
    own_place = list(cloud["x"]) == list(cloud["band_x"])
    header = [cloud["x_name"], *([cloud["y_name"]] if own_place else []), "mean of noise", "95 % of noise"]
    rows = []
    for i, x in enumerate(cloud["band_x"]):
        band = interval({"low": cloud["band_low"][i], "high": cloud["band_high"][i]})
        rows.append([f"{x:g}", *([number(cloud["y"][i], "S")] if own_place else []), number(cloud["band_mean"][i], "S"), band])
    return {"header": header, "numbers": rows}


def draw_by_size(curves: Sequence[Record]) -> Figure:
    """The curves of `BY_SIZE`: silhouettes above, shares below.

    Args:
        curves: `results.Curve`s as dictionaries, at least one.
    """
    lines = [(curve["name"], _line(curve)) for curve in curves]
    high = tuple(line for name, line in lines if "silhouette" in name)
    low = tuple(line for name, line in lines if "silhouette" not in name)
    floors = [Floor(title="S", lines=high), Floor(title="share of prompts", lines=low, top=1.02)]
    return draw_floors([floor for floor in floors if floor.lines], "K, rollouts a prompt", doubles=len(curves[0]["x"]) > 1)


def _line(curve: Record) -> Line:
    name, colour, dash = BY_SIZE[curve["name"]]
    return Line(name=name, x=curve["x"], y=curve["value"], low=curve["low"], high=curve["high"], colour=colour, dash=dash)


def _numbers_by_size(curves: Sequence[Record]) -> dict[str, Any]:
    rows = []
    for k in sorted({x for curve in curves for x in curve["x"]}):
        cells = []
        for curve in curves:
            at = list(curve["x"]).index(k) if k in curve["x"] else None
            bounds = {} if at is None else {"low": curve["low"][at], "high": curve["high"][at]}
            cells += ["", ""] if at is None else [f"{curve['value'][at]:.3f}".replace("-", "−"), interval(bounds)]
        rows.append([f"{k:g}", *cells])
    return {"header": ["K", *(name for curve in curves for name in (BY_SIZE[curve["name"]][0], "95 % interval"))], "numbers": rows}
