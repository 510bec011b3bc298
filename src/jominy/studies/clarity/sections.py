"""What the study of 2601.06911 shows beyond every other: the models side by side, what predicts the gain, weightings beside the paper's.

Left out on purpose: verdicts (`claims`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.conclusion import Conclusion, Entry, Panel, Plot, Point, Section, Table
from jominy.explanation import signed, signed_interval
from jominy.formatting import number
from jominy.records import Floats, Measure
from jominy.studies.bases import SEED
from jominy.studies.clarity.claims import said
from jominy.studies.clarity.design import CONSTRAINED, FAMILIES
from jominy.studies.clarity.failing import told_tables
from jominy.studies.clarity.models import BASE, Models, by_area, models_of, moments_of
from jominy.studies.clarity.paper import PAPER_LEADS
from jominy.studies.outcomes import bounds
from jominy.studies.predicting import partial_correlation
from jominy.studies.reading import Record, StudyRuns
from jominy.studies.sections import gains_plot, leaves_out_0, table_of

PREDICTS, ALONG = "predicts", "along-training"


def sections(runs: StudyRuns, found: Conclusion) -> tuple[Section, ...]:
    """Its own, in the order of the README."""
    text = "Pearson's correlation over models with its interval (Fisher) and a permutation p-value; `given` names what is held fixed."
    leads = (
        "Points of held-out pass@1 that a weighting leads the base recipe by, on the same seeds and prompts; over the whole run: the mean "
    )
    return (
        Section(code="clarity", title="Clarity of the base models", tables=(_base_table(runs),)),
        Section(code=PREDICTS, title="What goes with the gain?", text=text, tables=(_prediction_table(runs),)),
        Section(
            code=ALONG,
            title="Clarity along training",
            text="Mean S and pass rate on held-out prompts at each evaluation of the base recipe, mean over seeds.",
        ),
        Section(
            code="failing",
            title="Do prompts of low S fail otherwise?",
            text="Wrong responses by severity and right ones by method, told by a program from written steps.",
            tables=told_tables(runs),
        ),
        Section(
            code="weightings",
            title="Weightings beside the paper's",
            text=leads + "of all evaluations behind the start.",
            tables=(_lead_table(runs),),
        ),
    )


def plots(runs: StudyRuns, found: Conclusion) -> tuple[Plot, ...]:
    """Gains, gain against S and pass rate, and the way along training."""
    return gains_plot(found), _gain_plot(runs, found), _along_plot(runs, found)


def _base_table(runs: StudyRuns) -> Table:
    """A line a measured cell."""
    names = ("coverage", "silhouette", "rectified", "balanced", "auroc", "null_silhouette", "negative", "null_negative", "pooled_z")
    rows: list[list[str | Entry]] = []
    for cell in runs.results["cells"]:
        base = cell["base"]
        model = (base or {}).get("more", {}).get("model")
        rows.append([cell["name"], *((_number(model[name]) for name in names) if model else ["not measured"] * len(names))])
    header = ("cell", "prompts with both", "S", "S'", "balanced S", "AUROC", "S of noise", "share S < 0", "the same of noise", "pooled z")
    return table_of(header, rows)


def _number(value: Record) -> Entry:
    if value["value"] is None:
        return Entry(text="undefined", tone="muted")
    between = "" if value["low"] is None else f"[{number(value['low'])}, {number(value['high'])}]"
    return Entry(text=number(value["value"]), rest=between)


def _prediction_table(runs: StudyRuns) -> Table:
    """Correlations with the gain, of lab models and of SmolLM2's constraints."""
    rows: list[Sequence[str]] = []
    for group in (FAMILIES, CONSTRAINED):
        models = models_of(runs, group)
        if not any(cell.group == group for cell in runs.cells):
            continue
        none_M0, rate_M1 = np.zeros((len(models), 0)), models.pass_rate_M[:, None]
        asked: tuple[tuple[str, Floats, str, Floats], ...] = (
            ("pass rate", models.pass_rate_M, "–", none_M0),
            ("S", models.silhouette_M, "–", none_M0),
            ("S", models.silhouette_M, "pass rate", rate_M1),
            ("balanced S", models.balanced_M, "–", none_M0),
            ("balanced S", models.balanced_M, "pass rate", rate_M1),
        )
        for name, score_M, given, fixed_MK in asked:
            measure, chance = partial_correlation(name, score_M, models.gain_M, fixed_MK, np.random.default_rng(SEED))
            rows.append((group, name, given, said(measure, chance), str(len(models))))
    return table_of(("cells", "gain and", "given", "correlation", "models"), rows)


def _lead_table(runs: StudyRuns) -> Table:
    """A line a weighting: its lead over the base recipe in each cell that has both, at the end and over the whole run."""
    areas = by_area(runs)
    cells = [cell.name for cell in runs.cells if any(runs.together(cell.name, (BASE, arm.name)) for arm in runs.arms if arm.name != BASE)]
    rows: list[list[str | Entry]] = []
    for arm in runs.arms:
        if arm.name == BASE:
            continue
        contrast = {arm.name: 1.0, BASE: -1.0}
        shown = [
            _lead(of.gain("lead", [cell], contrast)) if of.together(cell, tuple(contrast)) else Entry(text="–", tone="muted")
            for cell in cells
            for of in (runs, areas)
        ]
        rows.append([arm.title, *shown, PAPER_LEADS.get(arm.name, "–")])
    header = ["weighting", *(f"{cell}, {when}" for cell in cells for when in ("end", "whole run")), "the paper's"]
    return table_of(header, rows)


def _lead(measure: Measure) -> Entry:
    if measure.value is None:
        return Entry(text=f"undefined: {measure.why_none}", tone="muted")
    return Entry(text=signed(measure.value, "share"), tone="sure" if leaves_out_0(measure) else "", rest=signed_interval(measure))


def _gain_plot(runs: StudyRuns, found: Conclusion) -> Plot:
    """Gain against S, balanced S and pass rate of the base model, a dot a model."""
    panels = []
    gains = {gain.cell: gain.measure for gain in found.gains if gain.arm == BASE}
    pairs = [(group, models_of(runs, group)) for group in (FAMILIES, CONSTRAINED)]
    for title, pick in (("S", "silhouette"), ("balanced S", "balanced"), ("pass rate", "rate")):
        points = [
            _model_point(models, place, group, gains[models.names[place]], value)
            for group, models in pairs
            for place, value in enumerate(_picked(models, pick).tolist())
        ]
        panels.append(Panel(title=title, points=tuple(points), missing="No model has both a measured base and a finished run."))
    return Plot(
        code="predicts",
        section=PREDICTS,
        title="Gain of the base recipe",
        caption="Gain of the base recipe against S, balanced S and pass rate of the base model, a dot a model",
        kind="scatter",
        x_label="of the base model",
        y_label="gain, points",
        panels=tuple(panels),
        intervals="95 % over seeds and prompts",
    )


def _picked(models: Models, pick: str) -> Floats:
    return {"silhouette": models.silhouette_M, "balanced": models.balanced_M, "rate": models.pass_rate_M}[pick]


def _model_point(models: Models, place: int, group: str, gain: Measure, x: float) -> Point:
    low, high = (None if end is None else 100 * end for end in (gain.low, gain.high))
    return Point(
        label=models.names[place],
        x=x,
        y=100 * float(models.gain_M[place]),
        low=low,
        high=high,
        group=models.families[place],
        side=models.families[place],
        text=f"{signed(float(models.gain_M[place]), 'share')} {bounds(gain)}",
    )


def _along_plot(runs: StudyRuns, found: Conclusion) -> Plot:
    """S against pass rate, the moments of a model joined."""
    panels = []
    for group, title in ((FAMILIES, "lab models"), (CONSTRAINED, "SmolLM2")):
        moments = moments_of(runs, group)
        names = [cell.name for cell in found.cells if cell.group == group]
        for score, values_K in (("S", moments.silhouette_K), ("balanced S", moments.balanced_K)):
            points = [
                Point(label=names[model], x=rate, y=value, group=names[model], text=f"S {value:.2f}, pass rate {rate:.2f}")
                for model, rate, value in zip(moments.model_K, moments.pass_rate_K.tolist(), values_K.tolist(), strict=True)
            ]
            if names:
                panels.append(Panel(title=f"{title}: {score}", points=tuple(points), missing="No evaluation has right and wrong answers."))
    return Plot(
        code="along",
        section=ALONG,
        title="Clarity and pass rate along training",
        caption="S and balanced S against pass rate on held-out prompts at each evaluation, the moments of a model joined",
        kind="line",
        x_label="pass rate",
        y_label="S",
        panels=tuple(panels),
    )
