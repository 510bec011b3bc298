"""The page itself: a checked diagnosis or training section, rollouts and a run in; one string of HTML out.

    Content-Security-Policy: default-src 'none'; script-src <hashes>; style-src 'unsafe-inline'

Three walls keep model text from running: Jinja escapes it, the data block escapes `<`, `>`, `&`, and the script builds text nodes only;
behind them the policy runs no script but the two whose hashes it names, and loads nothing. (Plotly adds styles of its own, so styles are
allowed: they can colour, not run, and not fetch.) Plotly itself is inlined from its Python package, 4.8 MB: no network, no npm.
Left out on purpose: any number that is not in its inputs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import pairwise
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from jominy.decided import Decided
from jominy.explanation import Explanation, signed, signed_interval
from jominy.formatting import arxiv_address, brief, date, flat, hours, interval, number, plain, spaced, unit_sign
from jominy.oversight import Oversight
from jominy.reporting.bytask import by_task_tables
from jominy.reporting.changes import direction, training_section
from jominy.reporting.checking import check
from jominy.reporting.clarity_plots import BY_SIZE, clarity_plots
from jominy.reporting.decisions import decisions_section, exhibit_rows
from jominy.reporting.figures import draw_curve, draw_histogram
from jominy.reporting.interpreted import interpretation_sections
from jominy.reporting.reading import Row, rollout_of, turns_of
from jominy.reporting.training import TrainingLog
from jominy.results import Diagnosis

Record = Mapping[str, Any]

PLOTS = ("pass@k", "live share", "pass rate", "probability", "silhouette")
"""Plots that a full diagnosis has, in the order of the page; further ones follow."""
PLOT_TITLES = {
    "pass@k": "pass@k: what repeated sampling reaches",
    "evaluation pass@k": "pass@k on the evaluation task",
    "live share": "Live share: groups with right and wrong answers",
    "pass rate": "Pass rates of the prompts",
    "probability": "Probability of right and wrong answers",
    "silhouette": "Silhouette: does probability tell right from wrong?",
}
PLOT_CHECKS = {
    "pass@k": ("pass",),
    "live share": ("live",),
    "pass rate": ("pass", "live"),
    "probability": ("clarity", "probab", "silhouette"),
    "silhouette": ("clarity", "probab", "silhouette"),
}
"""Words in the code of a skipped check that explain why a plot is missing."""
VERDICT_WORDS = {"go": "Go", "fix first": "Fix first", "stop": "Stop"}
SEVERITY_WORDS = {"stop": "Stop", "fix": "Fix first", "watch": "Watch", "good": "Good"}
KIND_OF = {"go": "good", "fix first": "fix", "stop": "stop", "recommended": "good", "fits": "fits", "risky": "fix", "futile": "stop"}
"""Verdict or fit -> the colour and icon it shares with a severity."""
SAMPLING_WORDS = {"temperature": "temperature", "top_p": "top-p", "max_tokens": "max tokens"}
"""Settings of the sampler, as the page calls them."""


def page_of(diagnosis: Record, rows: Sequence[Row], run: Record | None, interpretations: Sequence[tuple[str, Record]] = ()) -> str:
    """The page of a diagnosis as one string; the same input gives the same bytes.

    Args:
        diagnosis: a `results.Diagnosis` as a dictionary (`dataclasses.asdict`, or read from `diagnosis.json`).
        rows: rollouts to read, as `reading.read_rows` gives them (rollout columns, `target` optional); none for a foreign file.
        run: `run.json`, or None.
        interpretations: `interpretation.json` as `stored_interpretations` reads it, where there is one.

    Raises:
        ValueError: the diagnosis lacks a field or holds a value of another type; names the field.
    """
    return _render(diagnosis, None, rows, max(diagnosis.get("num_rollouts", 0), len(rows)), run, interpretations)


def training_page_of(
    log: TrainingLog,
    explanation: Record | None,
    why_no_explanation: str,
    diagnosis: Record | None,
    rows: Sequence[Row],
    num_stored: int,
    interpretations: Sequence[tuple[str, Record]] = (),
    oversight: Record | None = None,
) -> str:
    """The page of a training folder as one string; the same input gives the same bytes.

    Args:
        log: what the folder holds so far.
        explanation: an `explanation.Explanation` as a dictionary, or None.
        why_no_explanation: then, why, in a sentence.
        diagnosis: `diagnosis.json`, where the folder has one.
        rows: rollouts to read, of the evaluations.
        num_stored: how many these are chosen from.
        interpretations: `interpretation.json` of the first and the last evaluation, where they have one.
        oversight: an `oversight.Oversight` as a dictionary, where the truth did not pay.

    Raises:
        ValueError: the explanation or the diagnosis lacks a field or holds a value of another type; names the field.
    """
    if explanation is not None:
        check(explanation, Explanation, "explanation")
        if explanation.get("decisions") is not None:
            check(explanation["decisions"], Decided, "explanation.decisions")
    if oversight is not None:
        check(oversight, Oversight, "oversight")
    section = training_section(log, explanation, why_no_explanation, oversight)
    return _render(diagnosis, section, rows, num_stored, log.run, interpretations)


def _render(
    diagnosis: Record | None,
    training: Record | None,
    rows: Sequence[Row],
    num_stored: int,
    run: Record | None,
    interpretations: Sequence[tuple[str, Record]],
) -> str:
    if diagnosis is not None:
        check(diagnosis, Diagnosis, "diagnosis")
        _check_lengths(diagnosis)
    plots = [] if diagnosis is None else _plots_of(diagnosis)
    decided = None if training is None or training["explanation"] is None else training["explanation"].get("decisions")
    decisions = None if decided is None else decisions_section(decided)
    drawn = [*plots, *(() if training is None else (*training["changes"], *training["plots"]))]
    drawn += [] if decisions is None else decisions["plots"]
    overseen = None if training is None else training["overseen"]
    drawn += [] if overseen is None else overseen["plots"]
    data = {"figures": {plot["id"]: plot["figure"] for plot in drawn if plot["figure"]}, **_reading_of(diagnosis, training, rows)}
    data["exhibits"] = [] if decided is None else exhibit_rows(decided)
    values = {
        "diagnosis": diagnosis,
        "training": training,
        "decisions": decisions,
        "overseen": overseen,
        "title": _title_of(diagnosis, training),
        "facts": [] if diagnosis is None else _facts_of(diagnosis, run),
        "plots": plots,
        "interpretations": interpretation_sections(interpretations),
        "num_read": len(rows),
        "num_stored": num_stored,
        "evaluation": {} if diagnosis is None else {measure["name"]: measure for measure in diagnosis.get("evaluation", ())},
        "by_task": None if diagnosis is None or diagnosis.get("by_task") is None else by_task_tables(diagnosis["by_task"]),
        "policies": list(dict.fromkeys(row["policy"] for row in rows if row.get("policy"))),
        "run_facts": flat({**(run or {}), **({} if diagnosis is None else {"diagnosis": diagnosis["source"]})}),
    }
    return fill("page.html.jinja", values, data)


def fill(template: str, values: Record, data: Record) -> str:
    """A template of this package as a whole page: with its style, its script and Plotly inside, and the policy that lets nothing else run.

    Args:
        template: file name.
        values: what it prints, among them `title`.
        data: what its script draws and lists: `figures`, `prompts`, `rollouts`.
    """
    style, script, plotly = _asset("page.css"), _asset("page.js"), get_plotlyjs()
    shell = {
        "policy": _policy_of([script, plotly]),
        "style": Markup(style),
        "script": Markup(script),
        "plotly": Markup(plotly),
        "data": Markup(_embed(data)),
    }
    return _environment().get_template(template).render({**values, **shell})


def _title_of(diagnosis: Record | None, training: Record | None) -> str:
    if training is not None:
        return f"{training['word']}: {dict(training['facts']).get('model', 'training')}"
    assert diagnosis is not None
    source = diagnosis["source"]
    return f"{VERDICT_WORDS[diagnosis['verdict']['value']]}: {source.get('model') or source.get('path') or 'diagnosis'}"


def _environment() -> Environment:
    loader = FunctionLoader(_asset)
    environment = Environment(autoescape=True, loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        number=number, interval=interval, arxiv=arxiv_address, spaced=spaced, brief=brief, hours=hours, unit_sign=unit_sign
    )
    environment.filters.update(signed=signed, signed_interval=signed_interval, direction=direction)
    environment.globals.update(VERDICT_WORDS=VERDICT_WORDS, SEVERITY_WORDS=SEVERITY_WORDS, KIND_OF=KIND_OF)
    return environment


def _asset(name: str) -> str:
    return resources.files("jominy.reporting").joinpath(name).read_text(encoding="utf-8")


def _policy_of(scripts: Sequence[str]) -> str:
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def _embed(value: Any) -> str:
    """JSON that cannot leave its script element: no `<`, `>`, `&` and no line separators that a script would read as line ends."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _check_lengths(diagnosis: Record) -> None:
    for i, curve in enumerate(diagnosis["curves"]):
        for column in ("value", "low", "high", "num_prompts"):
            if len(curve[column]) != len(curve["x"]):
                raise ValueError(f"diagnosis.curves[{i}].{column} has {len(curve[column])} values for {len(curve['x'])} points in x")
    for i, cloud in enumerate(diagnosis.get("clouds", ())):
        for first, columns in (("x", ("prompts", "y", "side")), ("band_x", ("band_mean", "band_low", "band_high"))):
            for column in columns:
                if len(cloud[column]) != len(cloud[first]):
                    raise ValueError(f"diagnosis.clouds[{i}].{column} has {len(cloud[column])} values for {len(cloud[first])} in {first}")
    for i, histogram in enumerate(diagnosis["histograms"]):
        for name, counts in histogram["series"].items():
            if len(counts) != len(histogram["edges"]) - 1 or not counts:
                raise ValueError(f"diagnosis.histograms[{i}].series.{name} has {len(counts)} bins for {len(histogram['edges'])} edges")


def _plots_of(diagnosis: Record) -> list[dict[str, Any]]:
    """Every plot of the page: those that are drawn, then those that are not, with the reason."""
    curves = {curve["name"]: curve for curve in diagnosis["curves"] if curve["x"]}
    histograms = {histogram["name"]: histogram for histogram in diagnosis["histograms"]}
    names = [*PLOTS, *(name for name in [*curves, *histograms] if name not in PLOTS and name not in BY_SIZE)]
    plots = []
    for name in names:
        record = curves.get(name) or histograms.get(name)
        figure = draw_curve(curves[name]) if name in curves else draw_histogram(histograms[name]) if name in histograms else None
        plots.append(
            {
                "title": PLOT_TITLES.get(name, name),
                "meaning": record.get("meaning", "") if record else "",
                "figure": figure,
                "header": _numbers_of(record)[0] if record else [],
                "numbers": _numbers_of(record)[1] if record else [],
                "missing": [] if record else _why_missing(name, diagnosis["skipped"]),
            }
        )
    plots += clarity_plots(diagnosis.get("clouds", ()), curves, [summary["prompt_id"] for summary in diagnosis["prompts"]])
    ordered = sorted(plots, key=lambda plot: plot["figure"] is None)
    return [{"id": f"plot-{position}", **plot} for position, plot in enumerate(ordered)]


def _numbers_of(record: Record) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of the numbers behind a plot, for those who cannot or would rather not see it."""
    if "x" in record:
        points = zip(record["x"], record["value"], record["low"], record["high"], record["num_prompts"], strict=True)
        rows = [[f"{x:g}", number(y), interval({"low": low, "high": high}), number(count)] for x, y, low, high, count in points]
        return [record["x_name"], record["name"], "95 % interval", "prompts"], rows
    edges = [f"{edge:.3g}" for edge in record["edges"]]
    series = record["series"]
    bins = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [record["name"], *series], [[label, *(f"{counts[b]:.4g}" for counts in series.values())] for b, label in enumerate(bins)]


def _why_missing(name: str, skipped: Sequence[Record]) -> list[str]:
    words = PLOT_CHECKS.get(name, ())
    return [f"{check['code']}: needs {check['missing']}" for check in skipped if any(word in check["code"] for word in words)]


def _reading_of(diagnosis: Record | None, training: Record | None, rows: Sequence[Row]) -> dict[str, Any]:
    """The prompts and the rollouts that the page's script lists."""
    explanation = None if training is None else training["explanation"]
    success = _success_of(diagnosis["source"] if diagnosis is not None else explanation["source"] if explanation is not None else {})
    summaries = [] if diagnosis is None else diagnosis["prompts"]
    ids = list(dict.fromkeys([summary["prompt_id"] for summary in summaries] + [row["prompt_id"] for row in rows]))
    place = {prompt_id: position for position, prompt_id in enumerate(ids)}
    prompts: list[dict[str, Any]] = [
        {"id": prompt_id, "scored": None, "correct": None, "silhouette": None, "balanced": None, "z": None} for prompt_id in ids
    ]
    for summary in summaries:
        prompts[place[summary["prompt_id"]]].update(
            scored=summary["num_scored"],
            correct=summary["num_correct"],
            **{name: summary.get(name) for name in ("silhouette", "balanced", "z")},
        )
    for row in rows:
        prompt = prompts[place[row["prompt_id"]]]
        if "turns" not in prompt:
            prompt.update(turns=turns_of(row), target=row.get("target"))
    return {"prompts": prompts, "rollouts": [rollout_of(row, place[row["prompt_id"]], success) for row in rows]}


def _success_of(source: Record) -> float:
    success = source.get("success", 1.0)
    if not isinstance(success, int | float):
        raise ValueError(f"source.success is {success!r}, expected a number")
    return float(success)


def _facts_of(diagnosis: Record, run: Record | None) -> list[tuple[str, str]]:
    """(label, value) of what was diagnosed, in reading order; what the source says besides stands under "How it was run"."""
    source, unscored = diagnosis["source"], diagnosis["num_unscored"]
    settings = [f"{word} {plain(source[name])}" for name, word in SAMPLING_WORDS.items() if source.get(name) is not None]
    facts = {
        "model": source.get("model"),
        "task": source.get("task"),
        "evaluation task": source.get("evaluation_task"),
        "reward": source.get("reward"),
        "prompts": number(diagnosis["num_prompts"]),
        "rollouts": number(diagnosis["num_rollouts"]) + (f", {number(unscored)} unscored" if unscored else ", all scored"),
        "sampling": ", ".join(settings),
        "samples": source.get("samples"),
        "seed": source.get("seed"),
        "group size": source.get("group_size"),
        "right at reward": f"{plain(source['success'])} or more" if "success" in source else None,
        "date": date(str(source.get("created") or (run or {}).get("created") or "")),
        "path": source.get("path"),
    }
    return [(label, plain(value)) for label, value in facts.items() if value not in (None, "")]
