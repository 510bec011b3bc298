"""The pictures of the study of precision: the judge by number of constraints, gains on further prompts, the noise grid, attention.

Left out on purpose: tables (`sections`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jominy.conclusion import Conclusion, Line, Panel, Plot, Point
from jominy.measures.precision import Confusion
from jominy.studies.outcomes import percent
from jominy.studies.points import difference_point
from jominy.studies.precision.design import MATCHED, TRUE
from jominy.studies.precision.grid import grid_cells
from jominy.studies.precision.looking import CONSTRAINT, IRRELEVANT, NEUTRAL, levels_of
from jominy.studies.precision.over_runs import mean_over, with_bounds
from jominy.studies.precision.sections import ATTENTION, FURTHER, GRID, JUDGE, JUDGES_TITLE, grid_arms
from jominy.studies.precision.told import NAMES, conditions, lead_on, mores, on_further, tests_of
from jominy.studies.precision.witnesses import judged
from jominy.studies.reading import StudyRuns
from jominy.studies.sections import gains_plot

NOTHING = "No run of this has finished."
INTERVALS = "95 % interval over seeds and prompts"
KINDS = {
    "accept": "false accepts, no cue",
    "reject": "false rejects",
    MATCHED: "both, as the paper's judge",
    "cue": "false accepts by a cue",
}
HIGHEST = 0.8
"""Of the rates that the grid's picture shows."""
STRETCHES = {CONSTRAINT: "the constraint", NEUTRAL: "neutral sentence", IRRELEVANT: "irrelevant constraint"}


def plots(runs: StudyRuns, found: Conclusion) -> tuple[Plot, ...]:
    """Gains of every study, then its own."""
    return (gains_plot(found), _judge_plot(runs), _further_plot(runs), _grid_plot(runs), _way_plot(runs), _attention_plot(runs))


def _there(points: Sequence[Point | None]) -> tuple[Point, ...]:
    return tuple(point for point in points if point is not None)


def _judge_plot(runs: StudyRuns) -> Plot:
    """Each judge in each way of asking two panels, each cell of its pairs a line."""
    panels = []
    names: dict[str, None] = {}
    for one in judged(runs):
        cells = [*(replace(kind.constraints, name=kind.kind) for kind in one.pairs.by_kind), *one.pairs.by_count]
        names |= dict.fromkeys(cell.name for cell in cells)
        panels += [
            Panel(title=side, subtitle=one.title, points=_there([_recall(cell, side) for cell in cells]), missing=NOTHING)
            for side in ("recall on false", "recall on true")
        ]
    return Plot(
        code=JUDGE,
        section=JUDGE,
        title=JUDGES_TITLE,
        caption="Share of violations that are seen, and of satisfied constraints that are accepted, on minimal pairs, with 95 % intervals",
        kind="dots",
        x_label="constraints",
        y_label="recall, %",
        intervals="95 % interval over prompts",
        categories=tuple(names),
        panels=tuple(panels),
    )


def _recall(cell: Confusion, side: str) -> Point | None:
    measure = cell.recall_false if side == "recall on false" else cell.recall_true
    point = difference_point(cell.name, measure, category=cell.name, group=side)
    return (
        None
        if point is None
        else Point(label=point.label, category=cell.name, y=point.y, low=point.low, high=point.high, side=side, text=percent(measure))
    )


def _further_plot(runs: StudyRuns) -> Plot:
    """Each further task a panel, each condition a line, once as counted and once beyond the bare requests."""
    view = on_further(runs)
    titles = conditions(runs)
    panels = [
        Panel(
            title=name,
            subtitle=gained,
            points=_there(
                [difference_point(title, lead_on(view, {title: 1.0}, [name], gained)[0], category=title, group=gained) for title in titles]
            ),
            missing=NOTHING,
        )
        for name in tests_of(runs)
        for gained in NAMES
    ]
    return Plot(
        code=FURTHER,
        section=FURTHER,
        title="Gains on seen and unseen types",
        caption="Gain in true satisfaction on further prompts by condition, and beyond the bare requests' gain, with 95 % intervals",
        kind="dots",
        x_label="condition",
        y_label="gain on further prompts, points",
        intervals=INTERVALS,
        categories=titles,
        panels=tuple(panels),
    )


def _grid_plot(runs: StudyRuns) -> Plot:
    """Gain over the stated rate; the dashed line is what 1 - FPR - FNR leaves of the true reward's gain."""
    panels = []
    for group, cell in grid_cells(runs).items():
        points = [
            difference_point(runs.title(arm), runs.gain("gain", [cell], {arm: 1.0}), x=rate, group=KINDS[kind])
            for kind, rate, arm in grid_arms(runs, group)
            if runs.has(cell, arm)
        ]
        lines: tuple[Line, ...] = ()
        if runs.has(cell, TRUE):
            full = 100 * runs.mean_of(cell, TRUE)
            lines = (Line(label="1 - FPR - FNR", x=(0.0, HIGHEST), y=(full, (1 - HIGHEST) * full)),)
        panels.append(Panel(title=cell, points=_there(points), lines=lines, missing=NOTHING))
    return Plot(
        code=GRID,
        section=GRID,
        title="Gain by rate of errors",
        caption="Gain on held-out prompts over the stated rate of errors, by kind, with 95 % intervals; the true reward at rate 0",
        kind="line",
        x_label="stated rate",
        y_label="gain, points",
        panels=tuple(panels),
        x_low=0.0,
        x_high=HIGHEST,
    )


def _way_plot(runs: StudyRuns) -> Plot:
    """Reward and truth over steps, of the largest rate that a cue decides and of the same rate without."""
    panels = []
    for group, cell in grid_cells(runs).items():
        arms = grid_arms(runs, group)
        cued = [(rate, arm) for kind, rate, arm in arms if kind == "cue"]
        if not cued:
            continue
        rate = max(at for at, _ in cued)
        shown = [(kind, name) for kind, at, name in arms if kind in ("accept", "cue") and at == rate]
        panels += [
            Panel(title=cell, subtitle=f"{KINDS[kind]}, {rate:g}", points=_ways(runs, cell, name), missing=NOTHING) for kind, name in shown
        ]
    return Plot(
        code="paid-and-true",
        section=GRID,
        title="What was paid and what was true",
        caption="Mean training reward and mean truth of the same rollouts over steps, mean over seeds",
        kind="line",
        x_label="step",
        y_label="mean",
        intervals="95 % interval over seeds",
        panels=tuple(panels),
    )


def _ways(runs: StudyRuns, cell: str, arm: str) -> tuple[Point, ...]:
    found = [more["watch"]["series"] for more in mores(runs, cell, arm).values()]
    points = []
    for name, label in (("paid", "paid"), ("gold", "true")):
        ways = [np.array([np.nan if one is None else one for one in series[name]], dtype=np.float64) for series in found]
        length = min((len(way) for way in ways), default=0)
        if length:
            for step, values in enumerate(np.array([way[:length] for way in ways]).T):
                if np.isfinite(values).all():
                    mean = mean_over(values.tolist(), "")
                    assert mean.value is not None
                    text = with_bounds(mean)
                    points.append(Point(label=label, x=step + 1.0, y=mean.value, low=mean.low, high=mean.high, group=label, text=text))
    return tuple(points)


def _attention_plot(runs: StudyRuns) -> Plot:
    """Each further task a panel: attention to each stretch before and after."""
    panels = []
    for name in tests_of(runs):
        points = []
        for stretch, title in STRETCHES.items():
            for when, level in zip(("before", "after"), levels_of(runs, [name], stretch), strict=True):
                if level.value is not None:
                    label, text = f"{title}, {when}", with_bounds(level)
                    points.append(Point(label=label, category=label, y=level.value, low=level.low, high=level.high, side=when, text=text))
        panels.append(Panel(title=name, points=tuple(points), missing="No run has looked."))
    return Plot(
        code=ATTENTION,
        section=ATTENTION,
        title="Attention before and after training on hard constraints",
        caption="Length-corrected attention to the constraint and to the two controls, before and after training on hard constraints",
        kind="dots",
        x_label="stretch",
        y_label="times an even look",
        intervals=INTERVALS,
        categories=tuple(f"{title}, {when}" for title in STRETCHES.values() for when in ("before", "after")),
        panels=tuple(panels),
    )
