"""The two figures of a study as SVG: gains by arm in each cell, and gain against pass@16 for each arm.

The same conclusion gives the same bytes: a fixed salt for the ids, no date, text as outlines. matplotlib is imported here alone (the
`study` extra); the page draws its own, with Plotly.
Left out on purpose: any number that is not in the conclusion.
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

from jominy.conclusion import Conclusion, Gain
from jominy.records import Measure

WEAK, MIDDLE, STRONG = "#c8731a", "#7f8896", "#2563b0"
SCALE = LinearSegmentedColormap.from_list("alignment", [WEAK, MIDDLE, STRONG])
"""pass@16 from 0 to 1, told apart with most kinds of colour blindness."""
UNKNOWN = "#b8bec8"
MARKERS = "osD^v<>P"
"""One a group of cells."""
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
    """File name -> SVG; empty where no run has finished."""
    if not any(gain.measure.value is not None for gain in conclusion.gains):
        return {}
    makers: Mapping[str, Callable[[Conclusion], Figure]] = {"gains.svg": _gains, "alignment.svg": _against_alignment}
    with mpl.rc_context(LOOK):
        return {name: _svg(make(conclusion)) for name, make in makers.items()}


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white", bbox_inches="tight")
    return file.getvalue()


def _alignment_of(conclusion: Conclusion) -> dict[str, float | None]:
    return {cell.name: cell.measures[1].value for cell in conclusion.cells}


def _colour(value: float | None) -> str | tuple[float, float, float, float]:
    return UNKNOWN if value is None else SCALE(value)


def _reach(measure: Measure) -> tuple[list[float], list[float]]:
    """Distances below and above the estimate, in points, as error bars want them."""
    value = measure.value or 0.0
    low, high = measure.low if measure.low is not None else value, measure.high if measure.high is not None else value
    return [100 * (value - low)], [100 * (high - value)]


def _grid(count: int, columns: int, size: tuple[float, float], *, share_y: bool) -> tuple[Figure, list[Axes]]:
    """So many panels; the places that are left over stay empty."""
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=share_y, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    for panel in axes[max(0, count - columns) : count]:
        panel.tick_params(labelbottom=True)
    return figure, axes[:count]


def _gains(conclusion: Conclusion) -> Figure:
    """Each cell a panel, each arm a line: the gain with its interval, coloured by the cell's pass@16."""
    known = _alignment_of(conclusion)
    measured = [gain for gain in conclusion.gains if gain.measure.value is not None]
    cells = [cell for cell in conclusion.cells if any(gain.cell == cell.name for gain in measured)]
    there = {gain.arm for gain in measured}
    arms = [arm for arm in conclusion.arms if arm.name in there]
    height = {arm.name: len(arms) - position for position, arm in enumerate(arms)}
    figure, axes = _grid(len(cells), min(3, len(cells)), (3.2, 0.6 + 0.19 * len(arms)), share_y=True)
    for panel, cell in zip(axes, cells, strict=True):
        alignment = known[cell.name]
        panel.axvline(0, color="#566070", linewidth=0.8)
        panel.grid(axis="x", linewidth=0.6)
        for gain in (one for one in measured if one.cell == cell.name):
            _dot(panel, gain, height[gain.arm], _colour(alignment))
        shown = "pass@16 unknown" if alignment is None else f"pass@16 {alignment:.2f}"
        panel.set_title(f"{cell.name}\n{shown}, {cell.strength}", loc="left", color=_colour(alignment))
        panel.set_yticks(list(height.values()), [arm.title for arm in arms])
        panel.set_ylim(0.3, len(arms) + 0.7)
    figure.supxlabel("gain in held-out pass@1, points, with 95 % interval over seeds and prompts", fontsize=8.5)
    figure.colorbar(ScalarMappable(Normalize(0, 1), SCALE), ax=axes, label="pass@16 of the base model", shrink=0.5, pad=0.01)
    return figure


def _dot(panel: Axes, gain: Gain, height: float, colour: object) -> None:
    value = 100 * (gain.measure.value or 0.0)
    panel.errorbar([value], [height], xerr=_reach(gain.measure), fmt="o", color=colour, markersize=3.8, linewidth=1.3)
    seeds = [100 * one for one in gain.per_seed]
    panel.plot(seeds, [height - 0.28] * len(seeds), "|", color=colour, markersize=3, alpha=0.6)


def _against_alignment(conclusion: Conclusion) -> Figure:
    """Each arm a panel, each cell a dot: gain against pass@16, with the rank correlation."""
    known = _alignment_of(conclusion)
    groups = list(dict.fromkeys(cell.group for cell in conclusion.cells))
    group_of = {cell.name: cell.group for cell in conclusion.cells}
    there = {gain.arm for gain in conclusion.gains if known[gain.cell] is not None and gain.measure.value is not None}
    arms = [arm for arm in conclusion.arms if arm.name in there]
    figure, axes = _grid(max(len(arms), 1), min(4, max(len(arms), 1)), (2.35, 1.95), share_y=True)
    said = {one.arm: _rho(one.measure, one.p_value) for one in conclusion.correlations}
    for panel, arm in zip(axes, arms, strict=False):
        panel.axhline(0, color="#566070", linewidth=0.8)
        panel.grid(linewidth=0.6)
        for gain in (one for one in conclusion.gains if one.arm == arm.name and one.measure.value is not None):
            alignment = known[gain.cell]
            if alignment is not None:
                marker, colour = MARKERS[groups.index(group_of[gain.cell]) % len(MARKERS)], _colour(alignment)
                value = 100 * (gain.measure.value or 0.0)
                panel.errorbar([alignment], [value], yerr=_reach(gain.measure), fmt=marker, color=colour, markersize=4, linewidth=1)
        panel.set_title(f"{arm.title}\n{said.get(arm.name, '')}", loc="left")
        panel.set_xlim(-0.05, 1.05)
    figure.supxlabel("pass@16 of the base model (" + _legend(groups) + ")", fontsize=8.5)
    figure.supylabel("gain, points", fontsize=8.5)
    return figure


def _rho(measure: Measure, p_value: float | None) -> str:
    return "" if measure.value is None else f"rho {measure.value:.2f}, p {p_value:.2g}"


def _legend(groups: Sequence[str]) -> str:
    names = {"o": "circles", "s": "squares", "D": "diamonds", "^": "triangles up", "v": "triangles down", "<": "triangles left"}
    return ", ".join(f"{names.get(MARKERS[i % len(MARKERS)], MARKERS[i % len(MARKERS)])}: {group}" for i, group in enumerate(groups))
