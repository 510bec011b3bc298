"""A study's folder for its reader: `conclusion.json`, README.md, figures, report.html, all made from `results.json` alone.

    write_study(folder, results)

The same results give the same files. Each file is replaced whole, so a reader never sees half of one.
Left out on purpose: numbers. They are in the conclusion; here they are set in Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jominy.conclusion import Claim, Conclusion, Gain
from jominy.explanation import signed, signed_interval
from jominy.formatting import arxiv_address, date, flat, hours, number
from jominy.records import Measure, Paper
from jominy.reporting import report
from jominy.reporting.study import CONCLUSION_FILE
from jominy.store import write_bytes, write_json
from jominy.studies.concluding import SIDES, conclude
from jominy.studies.outcomes import bounds, percent
from jominy.studies.reading import TRUTH

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


def claims_of(results: dict[str, Any]) -> tuple[Claim, ...]:
    """The claims with their verdicts, of a `results.json` at any moment."""
    return conclude(results).claims


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
        _claims_table(conclusion),
        _claim_text(conclusion),
        "## Where it was run: the base models",
        _base_table(conclusion),
        "## What each arm gained",
        "Points of held-out pass@1, after minus before, with 95 % intervals over seeds and prompts; **bold** where they leave out 0.",
        *_by_group(conclusion, _gain_cell),
        _figures_text(figures),
        "## Share of the true reward's gain, beside the paper",
        _share_table(conclusion),
        "## Does pass@16 order the gains?",
        _correlation_table(conclusion),
        "## Prompts that ever carried a gradient",
        "Different prompts with a live group in a run, mean over the runs (first step with one, where not the first).",
        *_by_group(conclusion, lambda gain, _: _live_cell(gain)),
        "## Was following `jominy diagnose` right?",
        _advice_table(conclusion),
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
    missing = conclusion.num_planned - conclusion.num_finished - conclusion.num_exploded
    text = f"Tests {_cited(conclusion.paper)} in miniature: {len(conclusion.cells)} cells (a model on a task), {len(conclusion.arms)} "
    text += f"arms, {conclusion.num_finished} of {conclusion.num_planned} planned runs finished"
    text += f", {conclusion.num_no_gradient} of them without any gradient" if conclusion.num_no_gradient else ""
    text += f", {conclusion.num_exploded} exploded" if conclusion.num_exploded else ""
    text += f", **{missing} still missing**" if missing else ""
    text += f". Of {len(conclusion.claims)} claims, by rule: {', '.join(counts)}."
    if conclusion.scale == "smoke":
        text += " **This is the smoke scale: it shows that the machinery works, and is no evidence for or against anything.**"
    return text


def _cited(paper: Paper) -> str:
    address = arxiv_address({"arxiv": paper.arxiv})
    return f"[{paper.title}]({address})" if address else paper.title


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _claims_table(conclusion: Conclusion) -> str:
    rows = [(claim.says, claim.ran, claim.found, f"**{claim.verdict}**") for claim in conclusion.claims]
    return _table(("the paper says", "we ran", "we found", "agree?"), rows)


def _claim_text(conclusion: Conclusion) -> str:
    """What stands behind each verdict: the paper's numbers, the rule, what would decide it."""
    lines = [
        f"- **{claim.code}** ({_cited(claim.paper)}). The paper's numbers: {claim.numbers} Rule: {claim.rule}. To decide it, or to see the "
        f"effect: {claim.would_take}"
        for claim in conclusion.claims
    ]
    return "Behind the verdicts:\n\n" + "\n".join(lines)


def _base_table(conclusion: Conclusion) -> str:
    names = [measure.name for measure in conclusion.cells[0].measures] if conclusion.cells else []
    rows = [
        (cell.name, f"`{cell.task}`", *(percent(measure) for measure in cell.measures), cell.strength, str(_prompts(cell.measures)))
        for cell in conclusion.cells
    ]
    return _table(("cell", "task", *names, "alignment", "prompts"), rows)


def _prompts(measures: Sequence[Measure]) -> int:
    return max((measure.num_prompts for measure in measures), default=0)


def _by_group(conclusion: Conclusion, show: Callable[[Gain, int], str]) -> list[str]:
    """A table of arms by cells for each group of cells."""
    found = {(gain.cell, gain.arm): gain for gain in conclusion.gains}
    undefined = {(one.cell, one.arm) for one in conclusion.stopped if one.seed is None}
    tables = []
    for group in dict.fromkeys(cell.group for cell in conclusion.cells):
        cells = [cell for cell in conclusion.cells if cell.group == group]
        rows = []
        for arm in conclusion.arms:
            shown = [
                show(found[cell.name, arm.name], cell.num_seeds)
                if (cell.name, arm.name) in found
                else "not defined"
                if (cell.name, arm.name) in undefined
                else "not run"
                for cell in cells
            ]
            rows.append((arm.title, *shown))
        header = [f"{cell.name} ({cell.strength}, {cell.num_seeds} seeds)" for cell in cells]
        tables.append(f"Cells of `{group}`:\n\n" + _table(("arm", *header), rows))
    return tables


def _gain_cell(gain: Gain, num_seeds: int) -> str:
    measure = gain.measure
    if measure.value is None:
        return measure.why_none
    sure = measure.low is not None and measure.high is not None and (measure.low > 0 or measure.high < 0)
    text = signed(measure.value, "share")
    notes = [f"{len(gain.seeds)} of {num_seeds} seeds"] if len(gain.seeds) < num_seeds else []
    notes += [f"{gain.num_no_gradient} without gradient"] if gain.num_no_gradient else []
    notes += [f"{gain.num_stopped} exploded"] if gain.num_stopped else []
    return f"{f'**{text}**' if sure else text} {signed_interval(measure)}" + (f"; {', '.join(notes)}" if notes else "")


def _live_cell(gain: Gain) -> str:
    if gain.unique_live_prompts is None:
        return "not logged"
    late = "" if gain.first_live_step is None or gain.first_live_step <= 1 else f" (from step {gain.first_live_step:.3g})"
    return f"{gain.unique_live_prompts:.3g}{late}"


def _figures_text(figures: Sequence[str]) -> str:
    if not figures:
        return "No figures: they need matplotlib (`pip install 'jominy[study]'`) and a finished run. `report.html` draws its own."
    return "\n\n".join(f"![{FIGURES[name]}]({FIGURES_FOLDER}/{name})" for name in figures)


def _share_table(conclusion: Conclusion) -> str:
    ours = {(share.arm, share.where): share for share in conclusion.shares if share.pooled}
    rows = []
    for arm in conclusion.arms:
        if arm.name == TRUTH:
            continue
        shown = []
        for side in SIDES:
            share = ours.get((arm.name, side))
            shown.append("–" if share is None or not share.cells else f"{percent(share.measure)} ({len(share.cells)} cells)")
            found = [one for one in conclusion.reported if one.arm == arm.name and one.side == side]
            shown.append("; ".join(f"{100 * one.share:.0f} % ({one.setting})" for one in found) or "–")
        rows.append((arm.title, *shown))
    text = "(after - base) / (true reward - base). Ours pooled over cells of a side; the paper's computed from its accuracies.\n\n"
    return text + _table(("arm", "strong, ours", "strong, paper", "weak, ours", "weak, paper"), rows)


def _correlation_table(conclusion: Conclusion) -> str:
    titles = {arm.name: arm.title for arm in conclusion.arms} | {"tricks": "mean over the tricks"}
    rows = []
    for one in conclusion.correlations:
        measure = one.measure
        value = f"undefined: {measure.why_none}" if measure.value is None else number(measure.value)
        chance = "–" if one.p_value is None else f"{one.p_value:.3g}"
        rows.append((titles[one.arm], value, bounds(measure), chance, str(len(one.cells))))
    text = "Spearman's rank correlation over cells with its interval (Bonett & Wright) and a permutation p-value. Cells share models, so "
    return text + "they are not independent.\n\n" + _table(("arm", "rho", "95 %", "p", "cells"), rows)


def _advice_table(conclusion: Conclusion) -> str:
    """Counts by trick and advice, then the lines that were wrong."""
    if not conclusion.followed:
        return "No base model is measured, or no run of an advised arm has finished."
    words = ("right", "wrong", "open", "not judged")
    keys = dict.fromkeys((line.trick, line.advice) for line in conclusion.followed)
    rows = []
    for trick, advice in sorted(keys):
        lines = [line for line in conclusion.followed if (line.trick, line.advice) == (trick, advice)]
        rows.append((trick.replace("_", " "), advice, *(str(sum(line.judged == word for line in lines)) for word in words)))
    titles = {arm.name: arm.title for arm in conclusion.arms}
    happened = {"worked": "it worked", "did not": "it did not work", "open": "it is open"}
    wrong = [
        f"- {titles[line.arm]} in {line.cell}: `{line.advice}`, but {happened[line.outcome]} ({line.why})"
        for line in conclusion.followed
        if line.judged == "wrong"
    ]
    return _table(("recipe table", "advice", *words), rows) + ("\n\nWrong:\n\n" + "\n".join(wrong) if wrong else "")


def _settings_text(conclusion: Conclusion) -> str:
    lines = [f"`jominy study {conclusion.study} --scale {conclusion.scale} --out DIR`; the same command goes on where it was stopped."]
    facts = [("seeds", ", ".join(map(str, conclusion.seeds))), ("run time of all runs", hours(conclusion.seconds / 3600))]
    facts += [("started", date(conclusion.created))] if conclusion.created else []
    facts += [(f"{group}.{name}", value) for group, settings in conclusion.settings.items() for name, value in flat(settings)]
    facts += flat(conclusion.environment)
    return lines[0] + "\n\n" + _table(("setting", "value"), facts)


def _stopped_text(conclusion: Conclusion) -> str:
    if not conclusion.stopped:
        return "Every run finished."
    rows = [(one.status, one.cell, one.arm, "all" if one.seed is None else str(one.seed), one.why or "–") for one in conclusion.stopped]
    return "Runs that did not finish as planned, and pairs that cannot be run:\n\n" + _table(("status", "cell", "arm", "seed", "why"), rows)
