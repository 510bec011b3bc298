"""The page of a refined training set: what was dropped and why, types before and after, prompts to read.

    refined.json  ->  report.html

Left out on purpose: any number that is not in `refined.json`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from jominy.formatting import clock, date, flat, number, plain
from jominy.refined import Refined, TypeStanding
from jominy.reporting.bars import Series, draw_bars
from jominy.reporting.checking import check
from jominy.reporting.figures import BLUE, GREY, Figure
from jominy.reporting.page import fill

Record = Mapping[str, Any]

ROW_PX, EDGE_PX = 30, 90
"""Height of a row of bars, and of what is around them."""
FEW = 6
"""Counts up to this have a tick each."""
TITLES = {
    "learnability": "Learnability: keep what was ever rewarded",
    "types": "Types: cut what the audit does not trust",
    "soft": "Soft constraints: at most so many a prompt",
}


def refined_page_of(refined: Record) -> str:
    """The page as one string; the same input gives the same bytes.

    Args:
        refined: a `refined.Refined` as a dictionary.

    Raises:
        ValueError: a field is missing or holds a value of another type; names the field.
    """
    check(refined, Refined, "refined")
    refined = {**_defaults(Refined), **refined, "standings": [{**_defaults(TypeStanding), **one} for one in refined["standings"]]}
    plots = [plot for plot in (_steps_plot(refined), _types_plot(refined)) if plot is not None]
    plots = [{"id": f"plot-{place}", "meaning": "", **plot} for place, plot in enumerate(plots)]
    spec = flat({"asked for": refined["spec"]})
    values = {
        "refined": refined,
        "title": f"Refined: {refined['spec'].get('task')}",
        "titles": TITLES,
        "facts": _facts(refined),
        "plots": plots,
        "share_kept": refined["num_kept"] / max(refined["num_given"], 1),
        "command": shlex.join(refined["train_with"]) + " --out RUN",
        "run_facts": spec,
        "diagnosis": None,
        "training": None,
    }
    return fill("refining.html.jinja", values, {"figures": {plot["id"]: plot["figure"] for plot in plots}, "prompts": [], "rollouts": []})


def _defaults(record: type[Refined] | type[TypeStanding]) -> Record:
    """Fields that a file from before they were there lacks."""
    return {field.name: field.default for field in fields(record) if field.default is not MISSING}


def _count(value: int, unit: str) -> Record:
    """A count as bars take it: no interval, for nothing was estimated."""
    return {"name": unit, "value": value, "low": None, "high": None, "unit": unit}


def _never(pilot: Record) -> str:
    """Prompts that the filter for learnability drops, and what it would have dropped by gold."""
    right = pilot.get("num_never_right")
    by_gold = "" if right is None else f"; {number(right)} never right by gold"
    return f"{number(pilot['num_never'])} prompts{by_gold}" if "num_never" in pilot else ""


def _steps_plot(refined: Record) -> dict[str, Any]:
    done = [step for step in refined["steps"] if not step["why_off"]]
    names = ["given", *(f"after {step['name']}" for step in done)]
    counts = [refined["num_given"], *(step["num_out"] for step in done)]
    series = Series(name="prompts", measures=[_count(count, "prompts") for count in counts])
    return {
        "title": "Prompts, step by step",
        "figure": _draw_counts(names, [series], "prompts"),
        "height": EDGE_PX + ROW_PX * len(names),
        "wide": False,
        "header": ["", "prompts"],
        "numbers": [[name, number(count)] for name, count in zip(names, counts, strict=True)],
    }


def _types_plot(refined: Record) -> dict[str, Any] | None:
    rows = refined["types"]
    if not rows:
        return None
    names = [f"{row['type']} ({row['kind']})" for row in rows]
    given = Series(name="given", measures=[_count(row["given"], "constraints") for row in rows], colour=GREY, pattern="/")
    kept = Series(name="kept", measures=[_count(row["kept"], "constraints") for row in rows], colour=BLUE)
    return {
        "title": "Constraints by type, before and after",
        "meaning": "Types that shrink more than others are what the pilot never saw followed, or what is not trusted: the refined set is "
        "another population than the given one.",
        "figure": _draw_counts(names, [given, kept], "constraints"),
        "height": EDGE_PX + ROW_PX * len(names),
        "wide": len(names) > 8,
        "header": ["type", "given", *(f"after {step['name']}" for step in refined["steps"])],
        "numbers": [[name, number(row["given"]), *map(number, row["after"])] for name, row in zip(names, rows, strict=True)],
    }


def _draw_counts(names: Sequence[str], series: Sequence[Series], unit: str) -> Figure:
    """Bars of whole numbers, and no tick between two of them."""
    figure = draw_bars(names, series, unit)
    if max(measure["value"] for one in series for measure in one.measures) <= FEW:
        figure["layout"]["xaxis"]["dtick"] = 1
    return figure


def _facts(refined: Record) -> list[tuple[str, str]]:
    spec, pilot = refined["spec"], refined["pilot"]
    facts: dict[str, Any] = {"task": spec.get("task"), "seed": spec.get("seed"), "date": date(refined["created"])}
    if pilot is not None:
        facts["pilot"] = {"static": "samples of one policy", "train": "a short training", "given": pilot["folder"]}[pilot["kind"]]
        facts["policy"] = pilot["policy"]
        facts["paid by"] = pilot["reward"] or "the task's own reward"
        facts["pilot rollouts"] = (
            f"{number(pilot['num_rollouts'])} of {number(pilot['num_prompts'])} prompts, {number(pilot['num_rewarded'])} rewarded, "
            f"{number(pilot['num_unscored'])} unscored"
        )
        facts["pilot time"] = ", ".join(f"{name} {clock(seconds)}" for name, seconds in pilot["seconds"].items())
        facts["never rewarded"] = _never(pilot)
    facts["audit"] = refined["audit"]
    return [(label, plain(value)) for label, value in facts.items() if value not in (None, "")]
