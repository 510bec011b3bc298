"""The page of an audit: the verdict, how often it is right by type and count, probes, what it means for RL, and mistakes to read.

    audit.json  ->  report.html

Left out on purpose: any number that is not in `audit.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jominy.audited import Audit
from jominy.formatting import clock, date, flat, interval, number
from jominy.reporting.bars import Series, draw_bars
from jominy.reporting.checking import check
from jominy.reporting.figures import BLUE, ORANGE, draw_curve
from jominy.reporting.page import fill

Record = Mapping[str, Any]

KIND_OF = {"trust": "good", "trust for these types": "fix", "do not train on it": "stop"}
"""Verdict -> the colour and icon it shares with a severity."""
WORDS = {"trust": "Trust", "trust for these types": "Trust for these types", "do not train on it": "Do not train on it"}
STANDING = {"good": "good", "unsure": "watch", "bad": "stop"}
RATES = {
    "recall_false": "Recall on false",
    "recall_true": "Recall on true",
    "precision": "Precision",
    "even_precision": "Precision at even odds",
    "accuracy": "Accuracy",
    "base_rate": "Base rate",
}
ERRORS = ("shrink", "paid_wrong", "swapped", "crossed", "silenced", "invented")
ROW_PX, EDGE_PX = 34, 110
"""Height of a row of bars, and of what stands around them."""


def audit_page_of(audit: Record) -> str:
    """The page of an audit as one string; the same input gives the same bytes.

    Args:
        audit: an `audited.Audit` as a dictionary.

    Raises:
        ValueError: a field is missing or holds a value of another type; names the field.
    """
    check(audit, Audit, "audit")
    plots = _plots(audit)
    values = {
        "audit": audit,
        "title": f"Audit: {audit['source'].get('who', '')}",
        "kind": "fix" if audit["trust"]["too_few"] else KIND_OF[audit["trust"]["value"]],
        "word": "Too few to tell" if audit["trust"]["too_few"] else WORDS[audit["trust"]["value"]],
        "facts": _facts(audit),
        "plots": plots,
        "RATES": RATES,
        "STANDING": STANDING,
        "levels": _levels(audit),
        "types": _by_recall(audit),
        "kinds": {cell["name"]: _kinds_of(audit, cell["name"]) for cell in audit["precision"]["by_type"]},
        "finer": _finer(audit),
        "standing": {cell["name"]: cell for cell in audit["trust"]["cells"]},
        "errors": [audit["errors"][name] for name in ERRORS],
        "error_names": ERRORS,
        "run_facts": flat({"audit": audit["source"], "spent": audit["spent"] or {}}),
    }
    return fill("audit.html.jinja", values, {"figures": {plot["id"]: plot["figure"] for plot in plots}, "prompts": [], "rollouts": []})


def _by_recall(audit: Record) -> list[Record]:
    """The types, the one that misses most first."""

    def order(cell: Record) -> tuple[bool, float, str]:
        seen = cell["recall_false"]["value"]
        return seen is None, seen or 0.0, cell["name"]

    return sorted(audit["precision"]["by_type"], key=order)


def _kinds_of(audit: Record, name: str) -> list[tuple[str, Record]]:
    """(kind, cell) of a type that was asked in hard and in soft words; nothing where it was asked in one, or nobody knows."""
    found = [(one["kind"], cell) for one in _by_kind(audit) for cell in one["by_type"] if cell["name"] == name]
    return found if len(found) > 1 else []


def _by_kind(audit: Record) -> Sequence[Record]:
    """Empty in an audit from before there were kinds."""
    found: Sequence[Record] = audit["precision"].get("by_kind", ())
    return found


def _levels(audit: Record) -> list[tuple[str, Record]]:
    """Rows of the table of confusion matrices: responses and constraints, of all, by source, by kind, by number of constraints."""
    single = audit["level"] == "constraint"
    rows = _level_rows("", audit["precision"], single=single)
    if len(audit["parts"]) > 1:
        for part in audit["parts"]:
            rows += [] if part["precision"] is None else _level_rows(f"{part['name']}: ", part["precision"], single=single)
    kinds = _by_kind(audit) if single else ()
    rows += [(f"constraints, {one['kind']}", one["constraints"]) for one in kinds if len(kinds) > 1]
    rows += [(f"responses, {cell['name']}", cell) for cell in audit["precision"]["responses_by_count"]]
    return rows + ([(f"constraints, {cell['name']}", cell) for cell in audit["precision"]["by_count"]] if single else [])


def _level_rows(before: str, precision: Record, *, single: bool) -> list[tuple[str, Record]]:
    rows = [(f"{before}responses", precision["responses"])]
    return [*rows, (f"{before}constraints", precision["constraints"])] if single else rows


def _finer(audit: Record) -> list[tuple[str, Sequence[Record]]]:
    """Tables that few open: by type at the level of responses, and by type and number of constraints; those that an audit has."""
    tables = {
        "Whole responses, by the type that they are about": audit.get("responses_by_type", ()),
        "By type and number of constraints": audit.get("by_type_and_count", ()),
    }
    return [(title, cells) for title, cells in tables.items() if cells]


def _plots(audit: Record) -> list[dict[str, Any]]:
    types, counts = _by_recall(audit), audit["precision"]["responses_by_count"]
    plots = [
        _bars(
            "by-type",
            "Violations that are seen, by type",
            "Recall on false: of the violated, how many are said to be. What is missed is what training finds.",
            types,
            {"recall on false": "recall_false", "recall on true": "recall_true"},
        ),
        _bars(
            "by-count",
            "By number of constraints in the prompt",
            "Whole responses: wrong when one constraint is violated.",
            counts,
            {"recall on false": "recall_false", "recall on true": "recall_true"},
        ),
        _bars(
            "probes",
            "Answers that nobody wants",
            "Wrong answers of each kind that are accepted.",
            audit["probes"],
            {"false accept": "false_accept"},
        ),
    ]
    drawn = [plot for plot in [*plots, _paid_wrong(audit)] if plot is not None]
    if sum(not plot["wide"] for plot in drawn) % 2:
        drawn[-1] = {**drawn[-1], "wide": True}
    return drawn


def _bars(key: str, title: str, meaning: str, cells: Sequence[Record], measures: Mapping[str, str]) -> dict[str, Any] | None:
    if not any(cell[field]["value"] is not None for cell in cells for field in measures.values()):
        return None
    looks = ((BLUE, ""), (ORANGE, "/"))
    series = [
        Series(name=name, measures=[cell[field] for cell in cells], colour=colour, pattern=pattern)
        for (name, field), (colour, pattern) in zip(measures.items(), looks, strict=False)
    ]
    rows = [[cell["name"], *(f"{number(cell[f]['value'], 'share')} {interval(cell[f])}" for f in measures.values())] for cell in cells]
    return {
        "id": f"plot-{key}",
        "title": title,
        "meaning": meaning,
        "figure": draw_bars([cell["name"] for cell in cells], series, "share", percent=True),
        "height": EDGE_PX + ROW_PX * len(cells),
        "header": ["", *(f"{name}, %" for name in measures)],
        "numbers": rows,
        "wide": len(cells) > 8,
    }


def _paid_wrong(audit: Record) -> dict[str, Any] | None:
    """Over the pass rate."""
    points = [(at["pass_rate"], at["errors"]["paid_wrong"]) for at in audit["by_pass_rate"]]
    there = [(rate, one) for rate, one in points if one["value"] is not None]
    if not there:
        return None
    curve = {
        "name": "reward paid to wrong answers",
        "x_name": "pass rate",
        "x": [rate for rate, _ in there],
        "value": [one["value"] for _, one in there],
        "low": [one["low"] for _, one in there],
        "high": [one["high"] for _, one in there],
        "num_prompts": [one["num_prompts"] for _, one in there],
    }
    figure = draw_curve(curve)
    figure["layout"]["xaxis"]["type"] = "linear"
    return {
        "id": "plot-paid",
        "title": "Reward paid to wrong answers",
        "meaning": "Where the policy is right at the same rate on every prompt; the less it can do, the more of its reward is false.",
        "figure": figure,
        "height": 340,
        "header": ["pass rate", "paid to wrong answers, %"],
        "numbers": [[f"{rate:g}", f"{number(one['value'], 'share')} {interval(one)}"] for rate, one in there],
        "wide": False,
    }


def _facts(audit: Record) -> list[tuple[str, str]]:
    source, spent = audit["source"], audit["spent"]
    facts = {
        "audited": str(source.get("who", "")),
        "responses": number(audit["num_responses"]),
        "verdicts": number(audit["num_verdicts"])
        + (f", {number(audit['num_unscored'])} missing" if audit["num_unscored"] else ", none missing"),
        "sources": ", ".join(part["name"] for part in audit["parts"]) + (", probes" if audit["probes"] else ""),
        "repeats": str(source.get("repeats", "")),
        "questions asked": "" if spent is None else f"{number(spent['asked'])} in {clock(spent['asking_s'])}",
        "median latency": "" if spent is None or spent["latency_p50_s"] is None else f"{spent['latency_p50_s']:.2g} s",
        "tokens": _tokens(spent),
        "seed": str(source.get("seed", "")),
        "date": date(str(source.get("created", ""))),
    }
    return [(label, text) for label, text in facts.items() if text]


def _tokens(spent: Record | None) -> str:
    if spent is None or spent["prompt_tokens"] is None:
        return ""
    return f"{number(spent['prompt_tokens'])} read, {number(spent['completion_tokens'])} written"
