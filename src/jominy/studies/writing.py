"""A study's folder for its reader: `conclusion.json`, README.md, figures, report.html, all made from `results.json` alone.

    write_study(folder, results)

The same results give the same files. Each file is replaced whole, so a reader never sees half of one. A plot stands in its section, below
the tables.
Left out on purpose: numbers, and which sections a study has. They are in the conclusion; here they are set in Markdown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jominy.conclusion import Conclusion, Entry, Section, Surroundings, Table
from jominy.formatting import arxiv_address, date, flat, hours
from jominy.records import Paper
from jominy.reporting import report
from jominy.reporting.study import CONCLUSION_FILE
from jominy.store import write_bytes, write_json
from jominy.studies.concluding import conclude
from jominy.studies.sections import GAINS

README_FILE = "README.md"
FIGURES_FOLDER = "figures"
BOLD = ("sure", "good", "stop", "watch")
"""Tones that a README sets in bold."""


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
    write_bytes(folder / README_FILE, readme_of(conclusion, figures).encode())
    report(folder)


def readme_of(conclusion: Conclusion, figures: Collection[str]) -> str:
    """The README of a study as Markdown.

    Args:
        conclusion: what the study says.
        figures: names of the files that there are.
    """
    parts = [
        f"# {conclusion.title} The study `{conclusion.study}`, scale `{conclusion.scale}`",
        _opening(conclusion),
        "## Claim by claim",
        _claims_table(conclusion),
        _claim_text(conclusion),
        *(part for section in conclusion.sections for part in _section_parts(conclusion, section, figures)),
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


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _section_parts(conclusion: Conclusion, section: Section, figures: Collection[str]) -> list[str]:
    """Heading, text, tables, figures."""
    tables = [_table_text(table) for table in section.tables if not table.folded]
    names = {f"{plot.code}.svg": plot.caption for plot in conclusion.plots if plot.section == section.code}
    drawn = [f"![{caption}]({FIGURES_FOLDER}/{name})" for name, caption in names.items() if name in figures]
    if not figures and section.code == GAINS:
        drawn = ["No figures: they need matplotlib (`pip install 'jominy[study]'`) and a finished run. `report.html` draws its own."]
    return [f"## {section.title}", section.text, *tables, *drawn]


def _table_text(table: Table) -> str:
    rows = [[_entry_text(entry) for entry in entries] for entries in table.rows]
    parts = [f"{table.caption}:" if table.caption else "", markdown_table(table.header, rows), table.note]
    return "\n\n".join(part for part in (*parts, "\n".join(f"- {item}" for item in table.items)) if part)


def _entry_text(entry: Entry) -> str:
    text = f"**{entry.text}**" if entry.tone in BOLD else f"`{entry.text}`" if entry.tone == "code" else entry.text
    return f"{text} {entry.rest}" if entry.rest else text


def _claims_table(conclusion: Conclusion) -> str:
    """A line a claim."""
    rows = [(claim.says, claim.ran, claim.found, f"**{claim.verdict}**") for claim in conclusion.claims]
    return markdown_table(("the paper says", "we ran", "we found", "agree?"), rows)


def _opening(conclusion: Conclusion) -> str:
    words = {"agrees": "agree", "disagrees": "disagree", "cannot tell": "cannot be told"}
    evidence = [claim for claim in conclusion.claims if not claim.check]
    checks = [claim for claim in conclusion.claims if claim.check]
    counts = [f"{sum(claim.verdict == verdict for claim in evidence)} {word}" for verdict, word in words.items()]
    missing = conclusion.num_planned - conclusion.num_finished - conclusion.num_exploded - conclusion.num_no_example
    text = f"Tests {_cited(conclusion.paper)} in miniature: {len(conclusion.cells)} cells (a model on a task), {len(conclusion.arms)} "
    text += f"arms, {conclusion.num_finished} of {conclusion.num_planned} planned runs finished"
    text += f", {conclusion.num_no_gradient} of them without any gradient" if conclusion.num_no_gradient else ""
    text += f", {conclusion.num_exploded} exploded" if conclusion.num_exploded else ""
    text += f", {conclusion.num_no_example} without an example to train on" if conclusion.num_no_example else ""
    text += f", **{missing} still missing**" if missing else ""
    text += f". Of {len(evidence)} claims, by rule: {', '.join(counts)}."
    text += f" Of {len(checks)} checks, {sum(claim.verdict == 'agrees' for claim in checks)} hold." if checks else ""
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


def _settings_text(conclusion: Conclusion) -> str:
    command = f"`jominy study {conclusion.study} --scale {conclusion.scale} --out DIR`; the same command goes on where it was stopped."
    facts = [("seeds", ", ".join(map(str, conclusion.seeds))), ("run time of all runs", hours(conclusion.seconds / 3600))]
    facts += [] if conclusion.cpu_seconds is None else [("CPU time of all runs", hours(conclusion.cpu_seconds / 3600))]
    facts += [("started", date(conclusion.created))] if conclusion.created else []
    facts += [(f"{group}.{name}", value) for group, settings in conclusion.settings.items() for name, value in flat(settings)]
    facts += environment_facts(conclusion.environments)
    return command + f"{_several(conclusion)}\n\n" + markdown_table(("setting", "value"), facts)


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
    return "Runs that did not finish as planned:\n\n" + markdown_table(("status", "cell", "arm", "seeds", "why"), rows)
