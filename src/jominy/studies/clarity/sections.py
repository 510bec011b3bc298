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
from jominy.studies.clarity.design import CONSTRAINED, FAMILIES
from jominy.studies.clarity.failing import told_tables
from jominy.studies.clarity.foretelling import correlated, fixed_columns, said
from jominy.studies.clarity.models import BASE, Models, by_area, models_of, moments_of
from jominy.studies.clarity.paper import PAPER_LEADS, PAPER_OVER, PRIMARY
from jominy.studies.clarity.weighing import of_gain
from jominy.studies.outcomes import bounds
from jominy.studies.reading import Record, StudyRuns
from jominy.studies.sections import gains_plot, leaves_out_0, table_of

PREDICTS, ALONG = "predicts", "along-training"


def sections(runs: StudyRuns, found: Conclusion) -> tuple[Section, ...]:
    """Its own, in the order of the README."""
    text = (
        "Pearson's correlation over models; the interval leaves families out in turn, p is by orders of whole families, `given` names what "
        f"is held fixed. The primary claims are {', '.join(f'`{code}`' for code in PRIMARY)}, on lab models; all others are secondary."
    )
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
            text=leads
            + "of all evaluations behind the start. In brackets the lead as a share of the base recipe's gain, where that is surely above "
            "0; the paper's are 4 (Qwen), 17 (OctoThinker) and 40 % (Llama).",
            tables=(_lead_table(runs),),
        ),
    )


def plots(runs: StudyRuns, found: Conclusion) -> tuple[Plot, ...]:
    """Gains, gain against S and pass rate, and the way along training."""
    return gains_plot(found), _gain_plot(runs, found), _along_plot(runs, found)


def _base_table(runs: StudyRuns) -> Table:
    """A line a measured cell."""
    titles = {
        "coverage": "prompts with both",
        "silhouette": "S",
        "untruncated": "S of whole answers",
        "rectified": "S'",
        "balanced": "balanced S",
        "auroc": "AUROC",
        "null_silhouette": "S of noise",
        "negative": "share S < 0",
        "null_negative": "the same of noise",
        "pooled_z": "pooled z",
    }
    rows: list[list[str | Entry]] = []
    for cell in runs.results["cells"]:
        base = cell["base"]
        model = (base or {}).get("more", {}).get("model")
        rows.append([cell["name"], *((_number(model[name]) for name in titles) if model else ["not measured"] * len(titles))])
    return table_of(("cell", *titles.values()), rows)


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
        none_M0, (rate_M1, bent_M2) = np.zeros((len(models), 0)), fixed_columns(models)
        asked: tuple[tuple[str, Floats, str, Floats], ...] = (
            ("pass rate", models.pass_rate_M, "–", none_M0),
            ("S", models.silhouette_M, "–", none_M0),
            ("S", models.silhouette_M, "pass rate", rate_M1),
            ("S", models.silhouette_M, "pass rate, live share", bent_M2),
            ("balanced S", models.balanced_M, "–", none_M0),
            ("balanced S", models.balanced_M, "pass rate", rate_M1),
            ("balanced S", models.balanced_M, "pass rate, live share", bent_M2),
        )
        for name, score_M, given, fixed_MK in asked:
            rows.append((group, name, given, said(*correlated(models, score_M, fixed_MK)), str(len(models))))
    return table_of(("cells", "gain and", "given", "correlation", "models"), rows)


def _lead_table(runs: StudyRuns) -> Table:
    """A line a weighting: its lead over the base recipe in each cell that has both, at the end and over the whole run; then S' over two."""
    areas = by_area(runs)
    cells = [cell.name for cell in runs.cells if any(runs.together(cell.name, (BASE, arm.name)) for arm in runs.arms if arm.name != BASE)]
    pairs = [(arm.title, arm.name, BASE) for arm in runs.arms if arm.name != BASE]
    pairs += [(f"S', beta 0.2, over {runs.title(arm)}", "clarity", arm) for arm in ("clarity_mean_1", "random") if runs.knows(arm)]
    rows: list[list[str | Entry]] = []
    for title, arm, other in pairs:
        shown = [_lead(of, cell, arm, other) for cell in cells for of in (runs, areas)]
        rows.append([title, *shown, PAPER_LEADS.get(arm, "–") if other == BASE else PAPER_OVER.get(other, "–")])
    header = ["weighting", *(f"{cell}, {when}" for cell in cells for when in ("end", "whole run")), "the paper's"]
    return table_of(header, rows)


def _lead(runs: StudyRuns, cell: str, arm: str, other: str) -> Entry:
    contrast = {arm: 1.0, other: -1.0}
    if not runs.together(cell, tuple(contrast)):
        return Entry(text="–", tone="muted")
    measure = runs.gain("lead", [cell], contrast)
    if measure.value is None:
        return Entry(text=f"undefined: {measure.why_none}", tone="muted")
    relative = of_gain(runs, measure, [cell])
    rest = signed_interval(measure) + (f" ({relative.split(' of ')[0]})" if relative else "")
    return Entry(text=signed(measure.value, "share"), tone="sure" if leaves_out_0(measure) else "", rest=rest)


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
    kind = "smollm2" if group == CONSTRAINED else models.families[place]
    low, high = (None if end is None else 100 * end for end in (gain.low, gain.high))
    return Point(
        label=models.names[place],
        x=x,
        y=100 * float(models.gain_M[place]),
        low=low,
        high=high,
        group=kind,
        side=kind,
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
