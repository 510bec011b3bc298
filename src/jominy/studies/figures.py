"""The plots of a study as SVG, one file each: dots with intervals by category, points over x, or points joined by lines.

The same conclusion gives the same bytes: a fixed salt for the ids, no date, text as outlines. matplotlib is imported here alone (the
`study` extra); the page draws its own, with Plotly.
Left out on purpose: any number that is not in the conclusion, and any study.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from jominy.conclusion import Conclusion, Panel, Plot, Point

WEAK, MIDDLE, STRONG = "#c8731a", "#7f8896", "#2563b0"
SCALE = LinearSegmentedColormap.from_list("alignment", [WEAK, MIDDLE, STRONG])
"""Shades from 0 to 1, told apart with most kinds of colour blindness."""
LETTER_INCHES, LETTERS_WITHIN = 0.065, 25
"""Width of a letter beside a panel, and letters of the longest name from which on the figure gets wider, so that panels do not shrink."""
SIDES = {"weak": WEAK, "strong": STRONG, "unknown": "#b8bec8"}
"""Colours of points without a shade; other sides are grey."""
GROUPS = ("#2563b0", "#c8731a", "#2a9d6f", "#8b5fbf", "#b3261e", "#7f8896")
"""Colours of joined points, one a group."""
INK = "#566070"
MARKERS = "osD^v<>P"
"""One a group."""
MARKER_NAMES = ("circles", "squares", "diamonds", "triangles up", "triangles down", "triangles left", "triangles right", "crosses")
LOOK = {
    "svg.hashsalt": "jominy",
    "svg.fonttype": "path",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a94a3",
    "grid.color": "#dfe3e9",
}


def draw_figures(conclusion: Conclusion) -> dict[str, bytes]:
    """File name -> SVG, of those plots that have a point."""
    makers: Mapping[str, Callable[[Plot, Sequence[Panel]], Figure]] = {"dots": _dots, "scatter": _scatter, "line": _lines}
    drawn = {plot.code: (plot, [panel for panel in plot.panels if panel.points]) for plot in conclusion.plots}
    with mpl.rc_context(LOOK):
        return {f"{code}.svg": _svg(makers[plot.kind](plot, panels)) for code, (plot, panels) in drawn.items() if panels}


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white", bbox_inches="tight")
    return file.getvalue()


def _colour(point: Point) -> str | tuple[float, float, float, float]:
    return SIDES.get(point.side, MIDDLE) if point.shade is None else SCALE(point.shade)


def _x(point: Point) -> float:
    assert point.x is not None, f"{point.label} has no place on the axis"
    return point.x


def _reach(point: Point) -> tuple[list[float], list[float]]:
    """Distances below and above the number, as error bars want them."""
    low, high = point.low if point.low is not None else point.y, point.high if point.high is not None else point.y
    return [point.y - low], [high - point.y]


def _grid(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """So many panels; the places that are left over stay empty."""
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    for panel in axes[max(0, count - columns) : count]:
        panel.tick_params(labelbottom=True)
    return figure, axes[:count]


def _dots(plot: Plot, panels: Sequence[Panel]) -> Figure:
    """Each category a line: its number with the interval, single values as strokes below."""
    there = {point.category for panel in panels for point in panel.points}
    categories = [category for category in plot.categories if category in there]
    height = {category: len(categories) - position for position, category in enumerate(categories)}
    columns = min(3, len(panels))
    names = max(0.0, LETTER_INCHES * (max(map(len, categories), default=0) - LETTERS_WITHIN))
    figure, axes = _grid(len(panels), columns, (3.2 + names / columns, 0.6 + 0.19 * len(categories)))
    for place, panel in zip(axes, panels, strict=True):
        place.axvline(0, color=INK, linewidth=0.8)
        place.grid(axis="x", linewidth=0.6)
        for point in panel.points:
            _dot(place, point, height[point.category])
        place.set_title(f"{panel.title}\n{panel.subtitle}", loc="left", color=_colour(panel.points[0]))
        place.set_yticks(list(height.values()), categories)
        place.set_ylim(0.3, len(categories) + 0.7)
    figure.supxlabel(_values(plot), fontsize=8.5)
    if plot.shades:
        figure.colorbar(ScalarMappable(Normalize(0, 1), SCALE), ax=axes, label=plot.shades, shrink=0.5, pad=0.01)
    return figure


def _dot(place: Axes, point: Point, height: float) -> None:
    place.errorbar([point.y], [height], xerr=_reach(point), fmt="o", color=_colour(point), markersize=3.8, linewidth=1.3)
    place.plot(point.singles, [height - 0.28] * len(point.singles), "|", color=_colour(point), markersize=3, alpha=0.6)


def _values(plot: Plot) -> str:
    return f"{plot.y_label}, with {plot.intervals}" if plot.intervals else plot.y_label


def _scatter(plot: Plot, panels: Sequence[Panel]) -> Figure:
    """Each point at its x, with a symbol for its group."""
    groups = list(dict.fromkeys(point.group for panel in panels for point in panel.points))
    figure, axes = _over_x(plot, panels)
    for place, panel in zip(axes, panels, strict=True):
        for point in panel.points:
            marker = MARKERS[groups.index(point.group) % len(MARKERS)]
            place.errorbar([_x(point)], [point.y], yerr=_reach(point), fmt=marker, color=_colour(point), markersize=4, linewidth=1)
    names = [f"{MARKER_NAMES[i % len(MARKER_NAMES)]}: {group}" for i, group in enumerate(groups) if len(groups) > 1]
    _name_axes(figure, f"{plot.x_label} ({', '.join(names)})" if names else plot.x_label, _values(plot))
    if plot.shades:
        figure.colorbar(ScalarMappable(Normalize(0, 1), SCALE), ax=axes, label=plot.shades, shrink=0.5, pad=0.01)
    return figure


def _lines(plot: Plot, panels: Sequence[Panel]) -> Figure:
    """The points of each group joined in the order of x."""
    groups = list(dict.fromkeys(point.group for panel in panels for point in panel.points))
    figure, axes = _over_x(plot, panels)
    for place, panel in zip(axes, panels, strict=True):
        for position, group in enumerate(groups):
            points = sorted((point for point in panel.points if point.group == group), key=_x)
            reach = [[end[0] for end in ends] for ends in zip(*map(_reach, points), strict=True)] if points else None
            colour, style = GROUPS[position % len(GROUPS)], f"-{MARKERS[position % len(MARKERS)]}"
            xs, ys = [_x(point) for point in points], [point.y for point in points]
            place.errorbar(xs, ys, yerr=reach, fmt=style, color=colour, label=group, elinewidth=0.6, markersize=3, linewidth=1)
    _name_axes(figure, plot.x_label, _values(plot))
    if len(groups) > 1:
        labelled = axes[0].get_legend_handles_labels()
        figure.legend(*labelled, loc="outside upper center", ncols=min(len(groups), 6), fontsize=7.5, frameon=False)
    return figure


def _over_x(plot: Plot, panels: Sequence[Panel]) -> tuple[Figure, list[Axes]]:
    """Panels with their titles, axes and lines, without points."""
    figure, axes = _grid(len(panels), min(4, len(panels)), (2.35, 1.95) if len(panels) > 1 else (4.4, 3.2))
    for place, panel in zip(axes, panels, strict=True):
        place.axhline(0, color=INK, linewidth=0.8)
        place.grid(linewidth=0.6)
        for line in panel.lines:
            place.plot(line.x, line.y, "--", color=INK, linewidth=0.8)
            place.annotate(line.label, (line.x[-1], line.y[-1]), fontsize=6.5, color=INK, ha="right", va="bottom")
        place.set_title(f"{panel.title}\n{panel.subtitle}", loc="left")
        if plot.x_low is not None and plot.x_high is not None:
            room = 0.05 * (plot.x_high - plot.x_low)
            place.set_xlim(plot.x_low - room, plot.x_high + room)
    return figure, axes


def _name_axes(figure: Figure, x_label: str, y_label: str) -> None:
    figure.supxlabel(x_label, fontsize=8.5)
    figure.supylabel(y_label, fontsize=8.5)
