"""The pictures of the study of 2601.01580: gains in and out of distribution, the split of the swap, gain by strength of the KL.

Left out on purpose: tables (`sections`).
"""

from __future__ import annotations

from jominy.conclusion import Conclusion, Panel, Plot
from jominy.studies.decisions.claims import gain_measure
from jominy.studies.decisions.design import RL, STRENGTHS, kl_arm
from jominy.studies.decisions.distances import KINDS
from jominy.studies.decisions.sections import BEYOND, KL, SWAP
from jominy.studies.decisions.told import IN, beyond, cells_of, gain_estimate, split_of
from jominy.studies.points import difference_point
from jominy.studies.reading import StudyRuns
from jominy.studies.sections import gains_plot

NOTHING = "No run of this cell has finished."


def plots(runs: StudyRuns, found: Conclusion) -> tuple[Plot, ...]:
    """Gains of every study, then its own."""
    own = (_beyond_plot(runs), _swap_plot(runs))
    return (gains_plot(found), *own, *([_kl_plot(runs)] if runs.knows(kl_arm("loss", "middle")) else []))


def _beyond_plot(runs: StudyRuns) -> Plot:
    """Each cell a panel, each arm a line."""
    out = beyond(runs)
    panels = []
    for cell in cells_of(runs):
        there = [arm for arm in runs.arms if out.has(cell, arm.name)]
        gains = [(arm.title, gain_measure(gain_estimate(runs, [cell], {arm.name: 1.0}, None))) for arm in there]
        points = [difference_point(title, gain, category=title) for title, gain in gains]
        panels.append(Panel(title=cell, points=tuple(point for point in points if point is not None), missing=NOTHING))
    return Plot(
        code=BEYOND,
        section=BEYOND,
        title="Gains out of distribution",
        caption="Gain of each arm against the warm start on the further tasks, with 95 % intervals",
        kind="dots",
        x_label="arm",
        y_label="gain on further tasks, points",
        intervals="95 % interval over seeds and prompts",
        categories=tuple(arm.title for arm in runs.arms),
        panels=tuple(panels),
    )


def _swap_plot(runs: StudyRuns) -> Plot:
    """Each cell and part a panel, each arm a line."""
    panels = []
    for cell in cells_of(runs):
        for where, tests in ((IN, [IN]), ("out of distribution", None)):
            splits = [(arm.title, split_of(runs, [cell], arm.name, tests)) for arm in runs.arms]
            there = [(title, split) for title, split in splits if split is not None]
            for part in ("attempts", "decisions"):
                measures = [(title, gain_measure(split.sampling if part == "attempts" else split.decision)) for title, split in there]
                points = [difference_point(title, measure, category=title, group=part) for title, measure in measures]
                kept = tuple(point for point in points if point is not None)
                panels.append(Panel(title=f"{cell}: by {part}", subtitle=where, points=kept, missing=NOTHING))
    return Plot(
        code=SWAP,
        section=SWAP,
        title="Gain by attempts and by decisions",
        caption="Parts of each arm's gain against the warm start that better attempts and better decisions make, with 95 % intervals",
        kind="dots",
        x_label="arm",
        y_label="part of the gain, points",
        intervals="95 % interval over seeds and prompts",
        categories=tuple(arm.title for arm in runs.arms),
        panels=tuple(panels),
    )


def _kl_plot(runs: StudyRuns) -> Plot:
    """Gain against the strength, in the loss and in the reward, which are not of one scale: strengths stand by their order."""
    panels = []
    for cell in cells_of(runs):
        for where, tests in ((IN, [IN]), ("out of distribution", None)):
            points = []
            for kind in KINDS:
                arms = enumerate((RL, *(kl_arm(kind, name) for name in STRENGTHS)))
                for place, arm in ((place, arm) for place, arm in arms if runs.knows(arm)):
                    gain = gain_measure(gain_estimate(runs, [cell], {arm: 1.0}, tests))
                    points.append(difference_point(runs.title(arm), gain, x=float(place), group=f"in the {kind}"))
            kept = tuple(point for point in points if point is not None)
            panels.append(Panel(title=cell, subtitle=where, points=kept, missing=NOTHING))
    return Plot(
        code=KL,
        section=KL,
        title="Gain by strength of the KL",
        caption="Gain against the strength of the KL, in the loss and in the reward; the leftmost point has none",
        kind="line",
        x_label=f"strength of the KL: 0 none, {', '.join(f'{place} {name}' for place, name in enumerate(STRENGTHS, start=1))}",
        y_label="gain, points",
        intervals="95 % interval over seeds and prompts",
        panels=tuple(panels),
    )
