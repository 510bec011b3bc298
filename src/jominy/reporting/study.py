"""The page of a study: verdicts claim by claim, gains, shares beside the paper's, gain against alignment, runs that stopped.

    conclusion.json  ->  report.html

Left out on purpose: any number that is not in `conclusion.json`; the README and its figures, which `studies.writing` makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from jominy.conclusion import Conclusion
from jominy.explanation import signed, signed_interval
from jominy.formatting import date, flat, hours, number
from jominy.reporting.checking import check
from jominy.reporting.figures import BLUE, GREY, ORANGE, Figure, make_figure
from jominy.reporting.page import fill

Record = Mapping[str, Any]

CONCLUSION_FILE = "conclusion.json"
AGREEMENT = {"agrees": "good", "disagrees": "stop", "cannot tell": "watch"}
JUDGED = {"right": "good", "wrong": "stop", "open": "watch", "not judged": "fits"}
"""Verdict -> the colour and icon it shares with a severity."""
COLOURS = {"strong": BLUE, "weak": ORANGE}
"""Strength of a cell -> colour of its dots; the others are grey."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
"""One a group of cells."""
SIDES = ("strong", "weak")


def study_page_of(conclusion: Record) -> str:
    """The page of a study as one string; the same input gives the same bytes.

    Args:
        conclusion: a `conclusion.Conclusion` as a dictionary.

    Raises:
        ValueError: a field is missing or holds a value of another type; names the field.
    """
    check(conclusion, Conclusion, "conclusion")
    gain_plots, alignment_plots = _gain_plots(conclusion), _alignment_plots(conclusion)
    counts = {word: sum(claim["verdict"] == word for claim in conclusion["claims"]) for word in AGREEMENT}
    values = {
        "study": conclusion,
        "title": f"Study: {conclusion['title']}",
        "tone": "watch" if conclusion["scale"] == "smoke" or not conclusion["num_finished"] else "fits",
        "headline": f"Of {len(conclusion['claims'])} claims our runs agree with {counts['agrees']}, disagree with {counts['disagrees']}, "
        f"and cannot tell {counts['cannot tell']}.",
        "facts": _facts(conclusion),
        "notes": _notes(conclusion),
        "gain_plots": gain_plots,
        "alignment_plots": alignment_plots,
        "groups": _groups(conclusion),
        "shares": _shares(conclusion),
        "titles": _titles(conclusion),
        "run_facts": flat({"settings": conclusion["settings"]}) + _environment_facts(conclusion["environments"]),
        "AGREEMENT": AGREEMENT,
        "JUDGED": JUDGED,
    }
    figures = {plot["id"]: plot["figure"] for plot in (*gain_plots, *alignment_plots) if plot["figure"]}
    return fill("study.html.jinja", values, {"figures": figures, "prompts": [], "rollouts": []})


def _titles(conclusion: Record) -> dict[str, str]:
    num_tricks = next((len(one["arms"]) for one in conclusion["correlations"] if one["arm"] == "tricks"), 0)
    return {arm["name"]: arm["title"] for arm in conclusion["arms"]} | {"tricks": f"mean over the {num_tricks} tricks that all cells have"}


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


def _gains_in(conclusion: Record, key: str, name: str) -> list[Record]:
    return [gain for gain in conclusion["gains"] if gain[key] == name and gain["measure"]["value"] is not None]


def _reach(measures: Sequence[Record]) -> Figure:
    """Error bars, in points; none where there is no interval."""
    values = [100 * measure["value"] for measure in measures]
    above = [0.0 if m["high"] is None else 100 * m["high"] - value for m, value in zip(measures, values, strict=True)]
    below = [0.0 if m["low"] is None else value - 100 * m["low"] for m, value in zip(measures, values, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.6, "width": 3, "color": GREY}


def _words(measure: Record) -> str:
    return f"{signed(measure['value'], 'share')} {signed_interval(measure)}"


def _gain_plots(conclusion: Record) -> list[dict[str, Any]]:
    """A plot a cell: each arm's gain with its interval, on one scale for all cells."""
    titles, plots = _titles(conclusion), []
    measured = [gain["measure"] for gain in conclusion["gains"]]
    ends = [0.0, *(100 * measure[end] for measure in measured for end in ("low", "value", "high") if measure[end] is not None)]
    span = [min(ends) - 3, max(ends) + 3]
    for position, cell in enumerate(conclusion["cells"]):
        gains = _gains_in(conclusion, "cell", cell["name"])
        names = [titles[gain["arm"]] for gain in gains]
        measures = [gain["measure"] for gain in gains]
        trace = go.Scatter(
            x=[100 * measure["value"] for measure in measures],
            y=names,
            error_x=_reach(measures),
            customdata=[_words(measure) for measure in measures],
            mode="markers",
            marker={"size": 8, "color": COLOURS.get(cell["strength"], GREY)},
            hovertemplate="%{y}: <b>%{customdata}</b> points<extra></extra>",
        )
        axis_y = {"autorange": "reversed", "automargin": True, "type": "category", "dtick": 1}
        figure = make_figure([trace], {"title": {"text": "gain, points"}, "range": span, "zeroline": True, "zerolinecolor": GREY}, axis_y)
        alignment = cell["measures"][1]["value"]
        plots.append(
            {
                "id": f"gain-{position}",
                "title": cell["name"],
                "meaning": f"{cell['strength']} alignment, pass@16 {'unknown' if alignment is None else number(alignment)}",
                "figure": figure if gains else None,
                "header": ["arm", "gain, points", "seeds"],
                "numbers": [[name, _words(gain["measure"]), str(len(gain["seeds"]))] for name, gain in zip(names, gains, strict=True)],
                "missing": [],
            }
        )
    return plots


def _alignment_plots(conclusion: Record) -> list[dict[str, Any]]:
    """A plot an arm: each cell's gain against its pass@16."""
    cells = {cell["name"]: cell for cell in conclusion["cells"] if cell["measures"][1]["value"] is not None}
    groups = list(dict.fromkeys(cell["group"] for cell in conclusion["cells"]))
    said = {one["arm"]: one for one in conclusion["correlations"]}
    plots = []
    for position, arm in enumerate(conclusion["arms"]):
        gains = [gain for gain in _gains_in(conclusion, "arm", arm["name"]) if gain["cell"] in cells]
        measures, bases = [gain["measure"] for gain in gains], [cells[gain["cell"]] for gain in gains]
        trace = go.Scatter(
            x=[base["measures"][1]["value"] for base in bases],
            y=[100 * measure["value"] for measure in measures],
            error_y=_reach(measures),
            customdata=[[base["name"], _words(measure)] for base, measure in zip(bases, measures, strict=True)],
            mode="markers",
            marker={
                "size": 9,
                "color": [COLOURS.get(base["strength"], GREY) for base in bases],
                "symbol": [SYMBOLS[groups.index(base["group"]) % len(SYMBOLS)] for base in bases],
            },
            hovertemplate="%{customdata[0]}<br>pass@16 %{x:.3f}<br><b>%{customdata[1]}</b> points<extra></extra>",
        )
        axis_x = {"title": {"text": "pass@16 of the base model"}, "range": [-0.04, 1.04]}
        figure = make_figure([trace], axis_x, {"title": {"text": "gain, points"}, "zeroline": True, "zerolinecolor": GREY})
        one = said.get(arm["name"])
        rho = "" if one is None or one["measure"]["value"] is None else f"rho {number(one['measure']['value'])}, p = {one['p_value']:.3g}"
        rows = [
            [base["name"], number(base["measures"][1]["value"]), _words(measure)] for base, measure in zip(bases, measures, strict=True)
        ]
        plots.append(
            {
                "id": f"alignment-{position}",
                "title": arm["title"],
                "meaning": rho,
                "figure": figure if gains else None,
                "header": ["cell", "pass@16", "gain, points"],
                "numbers": rows,
                "missing": [],
            }
        )
    return plots


def _groups(conclusion: Record) -> list[dict[str, Any]]:
    """Arms by cells, one table a group of cells; an arm that no cell of the group plans is named below it."""
    found = {(gain["cell"], gain["arm"]): gain for gain in conclusion["gains"]}
    left_out = {(cell, one["arm"]) for one in conclusion["not_planned"] for cell in one["cells"]}
    groups = []
    for name in dict.fromkeys(cell["group"] for cell in conclusion["cells"]):
        cells = [cell for cell in conclusion["cells"] if cell["group"] == name]
        rows = [
            {"title": arm["title"], "entries": [_entry(cell, arm["name"], found, left_out) for cell in cells]}
            for arm in conclusion["arms"]
            if any((cell["name"], arm["name"]) not in left_out for cell in cells)
        ]
        groups.append({"name": name, "cells": cells, "rows": rows, "left_out": _left_out(conclusion, [cell["name"] for cell in cells])})
    return groups


def _left_out(conclusion: Record, names: Sequence[str]) -> list[str]:
    """Which arms are not planned in these cells, and why."""
    titles, found = _titles(conclusion), []
    for one in conclusion["not_planned"]:
        here = [name for name in names if name in one["cells"]]
        where = "" if len(here) == len(names) else f" in {'; '.join(here)}"
        found += [f"{titles[one['arm']]}{where} ({one['why']})"] if here else []
    return found


def _entry(cell: Record, arm: str, found: Mapping[tuple[str, str], Record], left_out: set[tuple[str, str]]) -> dict[str, Any]:
    key = (cell["name"], arm)
    if key not in found:
        return {"gain": None, "note": "not planned" if key in left_out else "not run"}
    gain = found[key]
    notes = [f"{len(gain['seeds'])} of {cell['num_seeds']} seeds"] if 0 < len(gain["seeds"]) < cell["num_seeds"] else []
    notes += [f"{gain['num_no_gradient']} without gradient"] if gain["num_no_gradient"] else []
    notes += [f"{gain['num_stopped']} exploded"] if gain["num_stopped"] else []
    notes += [f"{gain['num_no_example']} without example"] if gain["num_no_example"] else []
    live = gain["unique_live_prompts"]
    notes += [] if live is None else [f"{live:.3g} live prompts"]
    return {"gain": gain, "note": ", ".join(notes)}


def _shares(conclusion: Record) -> list[dict[str, Any]]:
    """Ours pooled over each side beside the paper's, a row an arm."""
    ours = {(share["arm"], share["where"]): share for share in conclusion["shares"] if share["pooled"] and share["cells"]}
    return [
        {
            "title": arm["title"],
            "sides": [
                {
                    "name": side,
                    "share": ours.get((arm["name"], side)),
                    "reported": [one for one in conclusion["reported"] if one["arm"] == arm["name"] and one["side"] == side],
                }
                for side in SIDES
            ],
        }
        for arm in conclusion["arms"]
        if arm["family"] != "true"
    ]
