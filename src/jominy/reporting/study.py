"""The page of a study: verdicts claim by claim, its sections with their tables and plots, runs that stopped, limits.

    conclusion.json  ->  report.html

Sections are shown as they come; no study is known here.
Left out on purpose: any number that is not in `conclusion.json`; the README and its figures, which `studies.writing` makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from jominy.conclusion import Conclusion
from jominy.formatting import date, flat, hours
from jominy.reporting.checking import check
from jominy.reporting.page import fill
from jominy.reporting.study_plots import cards_of

Record = Mapping[str, Any]

CONCLUSION_FILE = "conclusion.json"
AGREEMENT = {"agrees": "good", "disagrees": "stop", "cannot tell": "watch"}
"""Verdict -> the colour and icon it shares with a severity."""
ABBREVIATED = {"kl": "KL"}
"""Code of a section -> what the navigation calls it, where that is no word."""
FIGURE = re.compile(r"[+−-]?\d[\d.,e−-]*( %)?|–")
"""What is set flush right."""


def study_page_of(conclusion: Record) -> str:
    """The page of a study as one string; the same input gives the same bytes.

    Args:
        conclusion: a `conclusion.Conclusion` as a dictionary.

    Raises:
        ValueError: a field is missing or holds a value of another type; names the field.
    """
    check(conclusion, Conclusion, "conclusion")
    sections = [_section_of(section, conclusion["plots"]) for section in conclusion["sections"]]
    evidence = [claim for claim in conclusion["claims"] if not claim.get("check", False)]
    checks = [claim for claim in conclusion["claims"] if claim.get("check", False)]
    counts = {word: sum(claim["verdict"] == word for claim in evidence) for word in AGREEMENT}
    values = {
        "study": conclusion,
        "title": f"Study: {conclusion['title']}",
        "tone": "watch" if conclusion["scale"] == "smoke" or not conclusion["num_finished"] else "fits",
        "headline": f"Of {len(evidence)} claims our runs agree with {counts['agrees']}, disagree with {counts['disagrees']}, "
        f"and cannot tell {counts['cannot tell']}."
        + (f" Of {len(checks)} checks {sum(claim['verdict'] == 'agrees' for claim in checks)} hold." if checks else ""),
        "facts": _facts(conclusion),
        "notes": _notes(conclusion),
        "parts": sections,
        "titles": {arm["name"]: arm["title"] for arm in conclusion["arms"]},
        "run_facts": flat({"settings": conclusion["settings"]}) + _environment_facts(conclusion["environments"]),
        "AGREEMENT": AGREEMENT,
        "marked": marked,
        "unbroken": unbroken,
    }
    figures = {card["id"]: card["figure"] for section in sections for plot in section["plots"] for card in plot["cards"] if card["figure"]}
    return fill("study.html.jinja", values, {"figures": figures, "prompts": [], "rollouts": []})


def marked(text: str) -> Markup:
    """Text with `code` and **bold** as HTML; all else in it is data.

    >>> marked("a `<b>` is **bold**")
    Markup('a <code>&lt;b&gt;</code> is <b>bold</b>')
    """
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", coded))


def unbroken(text: str) -> str:
    """Text whose intervals and short brackets stay on one line.

    >>> unbroken("[1.0, 2.0] (4 cells)") == "[1.0,\\u00a02.0] (4\\u00a0cells)"
    True
    """
    return re.sub(r"\[[^\]]*\]|\([^)]{1,12}\)", lambda found: found.group().replace(" ", "\u00a0"), text)


def _section_of(section: Record, plots: Sequence[Record]) -> dict[str, Any]:
    """A section as the template shows it: with its plots, and which columns of its tables are numbers."""
    here = [plot for plot in plots if plot["section"] == section["code"]]
    return {
        **section,
        "name": ABBREVIATED.get(section["code"], section["code"].replace("-", " ").capitalize()),
        "plots": [{"title": plot["title"], "caption": plot["caption"], "cards": cards_of(plot)} for plot in here],
        "tables": [{**table, "numeric": _numeric(table)} for table in section["tables"]],
    }


def _numeric(table: Record) -> list[bool]:
    """Which columns hold numbers, as far as they hold anything; the first says what a row is of."""
    columns = list(zip(*table["rows"], strict=True)) or [()] * len(table["header"])
    texts = [[entry["text"] for entry in column if entry["tone"] != "muted"] for column in columns]
    return [place > 0 and _are_numbers(of_column) for place, of_column in enumerate(texts)]


def _are_numbers(texts: Sequence[str]) -> bool:
    return bool(texts) and all(FIGURE.fullmatch(text) for text in texts)


def _environment_facts(environments: Sequence[Record]) -> list[tuple[str, str]]:
    """Each on its own where there are several."""
    if len(environments) < 2:
        return [pair for one in environments for pair in flat({"environment": one["facts"]})]
    named = {f"environment {position}": {"runs": one["num_runs"], **one["facts"]} for position, one in enumerate(environments, start=1)}
    return flat(named)


def _facts(conclusion: Record) -> list[tuple[str, str]]:
    rare = {"without gradient": "num_no_gradient", "exploded": "num_exploded", "without example": "num_no_example"}
    facts = {
        "study": conclusion["study"],
        "scale": conclusion["scale"],
        "cells": str(len(conclusion["cells"])),
        "arms": str(len(conclusion["arms"])),
        "seeds": ", ".join(map(str, conclusion["seeds"])),
        "runs finished": f"{conclusion['num_finished']} of {conclusion['num_planned']}",
        **{label: str(conclusion[name]) if conclusion[name] else "" for label, name in rare.items()},
        "run time": hours(conclusion["seconds"] / 3600),
        "CPU time": "" if conclusion["cpu_seconds"] is None else hours(conclusion["cpu_seconds"] / 3600),
        "environments": str(len(conclusion["environments"])) if len(conclusion["environments"]) > 1 else "",
        "started": date(conclusion["created"]),
    }
    return [(label, text) for label, text in facts.items() if text]


def _notes(conclusion: Record) -> list[str]:
    notes = []
    if conclusion["scale"] == "smoke":
        notes.append("The smoke scale shows that the machinery works. It is no evidence for or against anything.")
    missing = conclusion["num_planned"] - conclusion["num_finished"] - conclusion["num_exploded"] - conclusion["num_no_example"]
    if missing > 0:
        notes.append(f"{missing} of {conclusion['num_planned']} planned runs are missing: the study is not finished.")
    return notes
