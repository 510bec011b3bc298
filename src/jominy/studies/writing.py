"""A study's folder for its reader: `conclusion.json`, README.md, figures, report.html, all made from `results.json` alone.

    write_study(folder, results)

The same results give the same files. Each file is replaced whole, so a reader never sees half of one.
Left out on purpose: numbers. They are in the conclusion; here they are set in Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jominy.conclusion import Conclusion, Surroundings
from jominy.formatting import arxiv_address, date, flat, hours
from jominy.records import Paper
from jominy.reporting import report
from jominy.reporting.study import CONCLUSION_FILE
from jominy.store import write_bytes, write_json
from jominy.studies.concluding import conclude
from jominy.studies.readme_tables import (
    advice_table,
    base_table,
    by_group,
    claims_table,
    correlation_table,
    gain_cell,
    live_cell,
    moved_cell,
    share_table,
    table,
)

README_FILE = "README.md"
FIGURES_FOLDER = "figures"
FIGURES = {
    "gains.svg": "Gain of each arm in each cell, with 95 % intervals; small strokes are single seeds",
    "alignment.svg": "Gain against pass@16 of the base model, one panel an arm",
}


def write_study(folder: Path, results: dict[str, Any]) -> None:
    """Write `conclusion.json`, `README.md`, `figures/*.svg` and `report.html` into the folder of a study.

    Args:
        folder: of the study.
        results: its `results.json`, at any moment.

    Without matplotlib (`pip install 'jominy[study]'`) the figures are left out, and the README says so.
    """
    conclusion = conclude(results)
    figures: dict[str, bytes] = {}
    if find_spec("matplotlib") is not None:
        from jominy.studies.figures import draw_figures

        figures = draw_figures(conclusion)
    for name, data in figures.items():
        write_bytes(folder / FIGURES_FOLDER / name, data)
    write_json(folder / CONCLUSION_FILE, conclusion.to_json())
    write_bytes(folder / README_FILE, readme_of(conclusion, tuple(figures)).encode())
    report(folder)


def readme_of(conclusion: Conclusion, figures: Sequence[str]) -> str:
    """The README of a study as Markdown.

    Args:
        conclusion: what the study says.
        figures: files that there are, of `FIGURES`.
    """
    parts = [
        f"# {conclusion.title} The study `{conclusion.study}`, scale `{conclusion.scale}`",
        _opening(conclusion),
        "## Claim by claim",
        claims_table(conclusion),
        _claim_text(conclusion),
        "## Where it was run: the base models",
        base_table(conclusion),
        "## What each arm gained",
        "Points of held-out pass@1, after minus before, with 95 % intervals over seeds and prompts; **bold** where they leave out 0.",
        *by_group(conclusion, gain_cell),
        _figures_text(figures),
        "## How far each arm moved the model",
        "KL to the start behind the last step, in nats a token, mean over the runs that finished; a run without gradient counts as 0.",
        *by_group(conclusion, lambda gain, _: moved_cell(gain)),
        "## Share of the true reward's gain, beside the paper",
        share_table(conclusion),
        "## Does pass@16 order the gains?",
        correlation_table(conclusion),
        "## Prompts that ever carried a gradient",
        "Different prompts that a run trained on (weight other than 0), mean over runs (first step with a gradient, where not the first).",
        *by_group(conclusion, lambda gain, _: live_cell(gain)),
        "## Was following `jominy diagnose` right?",
        advice_table(conclusion),
        "## How it was run",
        _settings_text(conclusion),
        _stopped_text(conclusion),
        "## Limits",
        "\n".join(f"- {limit}" for limit in conclusion.limits),
        "Thresholds behind the verdicts, all ours: "
        + "; ".join(f"`{one.name}` {one.value:g} ({one.meaning})" for one in conclusion.thresholds)
        + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(conclusion: Conclusion) -> str:
    words = {"agrees": "agree", "disagrees": "disagree", "cannot tell": "cannot be told"}
    counts = [f"{sum(claim.verdict == verdict for claim in conclusion.claims)} {word}" for verdict, word in words.items()]
    missing = conclusion.num_planned - conclusion.num_finished - conclusion.num_exploded - conclusion.num_no_example
    text = f"Tests {_cited(conclusion.paper)} in miniature: {len(conclusion.cells)} cells (a model on a task), {len(conclusion.arms)} "
    text += f"arms, {conclusion.num_finished} of {conclusion.num_planned} planned runs finished"
    text += f", {conclusion.num_no_gradient} of them without any gradient" if conclusion.num_no_gradient else ""
    text += f", {conclusion.num_exploded} exploded" if conclusion.num_exploded else ""
    text += f", {conclusion.num_no_example} without an example to train on" if conclusion.num_no_example else ""
    text += f", **{missing} still missing**" if missing else ""
    text += f". Of {len(conclusion.claims)} claims, by rule: {', '.join(counts)}."
    if conclusion.scale == "smoke":
        text += " **This is the smoke scale: it shows that the machinery works, and is no evidence for or against anything.**"
    return text


def _cited(paper: Paper) -> str:
    address = arxiv_address({"arxiv": paper.arxiv})
    return f"[{paper.title}]({address})" if address else paper.title


def _claim_text(conclusion: Conclusion) -> str:
    """What stands behind each verdict: the paper's numbers, the rule, what would decide it."""
    lines = [
        f"- **{claim.code}** ({_cited(claim.paper)}). The paper's numbers: {claim.numbers} Rule: {claim.rule}. To decide it, or to see the "
        f"effect: {claim.would_take}"
        for claim in conclusion.claims
    ]
    return "Behind the verdicts:\n\n" + "\n".join(lines)


def _figures_text(figures: Sequence[str]) -> str:
    if not figures:
        return "No figures: they need matplotlib (`pip install 'jominy[study]'`) and a finished run. `report.html` draws its own."
    return "\n\n".join(f"![{FIGURES[name]}]({FIGURES_FOLDER}/{name})" for name in figures)


def _settings_text(conclusion: Conclusion) -> str:
    command = f"`jominy study {conclusion.study} --scale {conclusion.scale} --out DIR`; the same command goes on where it was stopped."
    facts = [("seeds", ", ".join(map(str, conclusion.seeds))), ("run time of all runs", hours(conclusion.seconds / 3600))]
    facts += [] if conclusion.cpu_seconds is None else [("CPU time of all runs", hours(conclusion.cpu_seconds / 3600))]
    facts += [("started", date(conclusion.created))] if conclusion.created else []
    facts += [(f"{group}.{name}", value) for group, settings in conclusion.settings.items() for name, value in flat(settings)]
    return command + f"{_several(conclusion)}\n\n" + table(("setting", "value"), facts + environment_facts(conclusion.environments))


def _several(conclusion: Conclusion) -> str:
    """A sentence where runs were made on several machines or versions."""
    number_of = len(conclusion.environments)
    if number_of < 2:
        return ""
    return f" The runs were made in {number_of} environments (machines or versions); of all but the first, what differs is shown."


def environment_facts(environments: Sequence[Surroundings]) -> list[tuple[str, str]]:
    """(name, value) pairs of the only environment; of several, the first whole, of the others what differs, each with its runs."""
    if len(environments) < 2:
        return [pair for one in environments for pair in flat(one.facts)]
    first = flat(environments[0].facts)
    facts = []
    for position, one in enumerate(environments, start=1):
        pairs = [pair for pair in flat(one.facts) if position == 1 or pair not in first]
        facts += [(f"environment {position}: {name}", value) for name, value in (("runs", str(one.num_runs)), *pairs)]
    return facts


def _stopped_text(conclusion: Conclusion) -> str:
    if not conclusion.stopped:
        return "Every run that was begun finished."
    titles = {arm.name: arm.title for arm in conclusion.arms}
    rows = [(one.status, one.cell, titles[one.arm], ", ".join(map(str, one.seeds)), one.why or "–") for one in conclusion.stopped]
    return "Runs that did not finish as planned:\n\n" + table(("status", "cell", "arm", "seeds", "why"), rows)
