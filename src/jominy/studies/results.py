"""results.json: everything that a study found, and all that it needs to go on: cells with their base, arms, environments, runs.

A run's line holds the right answers of each held-out prompt before and after, so that every interval can be computed again from the file.
Lists of numbers stand on one line, so that a change shows as the runs it adds. A field that a file lacks is at its default: a file of an
earlier version is gone on with, in its own words. Left out: rollouts and models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from jominy.lab.spec import LabSpec
from jominy.store import SCHEMA_VERSION, read_json, write_bytes
from jominy.studies.design import Arm, Cell, Design, Settings
from jominy.studies.surroundings import place_of

RESULTS_FILE = "results.json"
UNSAID = (
    "why_arms",
    "eval_every",
    "pool",
    "further_prompts",
    "further_rollouts",
    "bank_states",
    "bank_checks",
    "square_prompts",
    "audit_pairs",
    "attention_prompts",
    "pilot_prompts",
    "pilot_rollouts",
)
"""Settings that are written down only where they are not at their default, as they stand in no file of before there were any."""
NOT_OF_BASES = (
    "seeds",
    "steps",
    "learning_rate",
    "minibatches",
    "eval_prompts",
    "eval_rollouts",
    "eval_every",
    "workers",
    "threads",
    "arms",
    "why_arms",
    "square_prompts",
)
"""Settings that nothing in a base depends on: they may change in a group while no run of it is made."""
OF_RUNS = ("steps", "prompts", "rollouts", "max_tokens", "learning_rate", "minibatches", "pool")
"""Settings that decide what a run ends with; the others decide what is measured."""
Row = dict[str, Any]


def read_results(folder: Path, design: Design) -> dict[str, Any]:
    """What the folder holds of this study, else a beginning.

    Raises:
        ValueError: the folder holds another study, another scale, or runs that were made with other settings.
    """
    asked = _described(design)
    if not (folder / RESULTS_FILE).is_file():
        return {"schema_version": SCHEMA_VERSION, **asked, "environments": [], "runs": []}
    there = read_json(folder / RESULTS_FILE)
    if "environments" not in there:
        raise ValueError(f"{folder} holds a study of an earlier version, which wrote other things down; choose another --out")
    for name in ("study", "scale"):
        if there[name] != asked[name]:
            raise ValueError(f"{folder} holds a study with another {name} ({there[name]!r}, now {asked[name]!r}); choose another --out")
    groups = {cell["name"]: cell["group"] for cell in there["cells"]}
    begun = {groups[cell["name"]] for cell in there["cells"] if cell["base"] is not None}
    running = {groups[run["cell"]] for run in there["runs"]}
    if differs := _differing(there["settings"], asked["settings"], begun, running):
        raise ValueError(f"{folder} holds a study with other settings: {'; '.join(differs)}; choose another --out")
    known = {cell["name"]: cell for cell in there["cells"]}
    pairs = [(known.get(cell["name"], {**cell, "base": None}), cell) for cell in asked["cells"]]
    changed = [cell["name"] for old, cell in pairs if old["base"] is not None and not _same_cell(old, cell)]
    ran = {run["arm"] for run in there["runs"]}
    arms = {arm["name"]: arm for arm in there["arms"] if arm["name"] in ran}
    changed += [arm["name"] for arm in asked["arms"] if arm["name"] in ran and not _alike(arms[arm["name"]], arm, Arm)]
    if changed:
        raise ValueError(f"{folder} holds runs of another {', '.join(changed)}; choose another --out")
    cells = [{**cell, "lab": old["lab"] if _same_cell(old, cell) else cell["lab"], "base": old["base"]} for old, cell in pairs]
    settings = {group: _kept_words(there["settings"].get(group), new) for group, new in asked["settings"].items()}
    return {**there, **asked, "settings": settings, "cells": cells}


def _differing(there: Row, asked: Row, begun: set[str], running: set[str]) -> list[str]:
    """What is set otherwise where it decides what is there already, a field a line.

    Args:
        there: group -> its settings in the file.
        asked: the same in the design.
        begun: groups with a base.
        running: groups with a run, of which all settings have to be the same.
    """
    found = []
    for group in sorted(begun | running):
        if group not in asked:
            found.append(f"{group} is no group any more")
            continue
        found += [
            f"{name} of {group} was {old!r}, now {new!r}"
            for name, old, new in _changed(there[group], asked[group])
            if group in running or name not in NOT_OF_BASES
        ]
    return found


def _changed(there: Row, asked: Row) -> list[tuple[str, Any, Any]]:
    """(name, old, new) of settings that differ, a field that one side lacks being at its default."""
    defaults = _defaults(Settings)
    old, new = {**defaults, **there}, {**defaults, **asked}
    return [(name, old.get(name), new.get(name)) for name in {**old, **new} if old.get(name) != new.get(name)]


def _kept_words(there: Row | None, asked: Row) -> Row:
    """The settings of a group as the file says them, where the design says the same."""
    return asked if there is None or _changed(there, asked) else there


def _alike(there: Row | None, asked: Row | None, kind: type[LabSpec | Arm]) -> bool:
    """Whether two records say the same, a field that one lacks being at its default."""
    if there is None or asked is None:
        return there is asked
    defaults = _defaults(kind)
    return {**defaults, **there} == {**defaults, **asked}


def _same_cell(there: Row, asked: Row) -> bool:
    same = all(there[name] == asked[name] for name in ("task", "model_title"))
    same = same and there.get("further", {}) == asked.get("further", {})
    return same and _alike(there["lab"], asked["lab"], LabSpec)


def _defaults(kind: type[Settings | LabSpec | Arm]) -> Row:
    """The fields of a record that have one, as JSON would give them back."""
    return _plain({field.name: field.default for field in fields(kind) if field.default is not MISSING})


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Replaces the file, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / RESULTS_FILE, (_pretty(results) + "\n").encode())


def take_in(answer: Row, results: Row) -> None:
    """Puts an answer of a job where it belongs; a run that was made again takes the place of what was known of it.

    Args:
        answer: the job, with what came of it.
        results: changed.
    """
    if answer["kind"] == "base":
        _cell_of(answer, results)["base"] = answer["base"]
        return
    line = {name: value for name, value in answer.items() if name != "kind"}
    line["environment"] = place_of(answer["environment"], results["environments"])
    places = [place for place, run in enumerate(results["runs"]) if all(run[name] == line[name] for name in ("cell", "arm", "seed"))]
    if places:
        results["runs"][places[0]] = line
    else:
        results["runs"].append(line)


def why_another_base(answer: Row, results: Row, fixed: tuple[str, ...]) -> str:
    """Why a base that was measured again cannot take the place of the one that runs refer to; empty where it can, or is none.

    Args:
        answer: of a job.
        results: that know the old one.
        fixed: of `Study.fixed`.
    """
    if answer["kind"] != "base" or not fixed or (old := _cell_of(answer, results)["base"]) is None:
        return ""
    num_runs = sum(run["cell"] == answer["cell"] for run in results["runs"])
    other = [name for name in fixed if old["more"].get(name) != answer["base"]["more"].get(name)]
    if not (num_runs and other):
        return ""
    return (
        f"its base is another one than that of its {num_runs} runs ({', '.join(other)} differ): it was measured again because the folder "
        "lacks its rollouts, on another machine or with other versions; restore the folder's base, or choose another --out"
    )


def _cell_of(answer: Row, results: Row) -> Row:
    return next(cell for cell in results["cells"] if cell["name"] == answer["cell"])


def _pretty(results: dict[str, Any]) -> str:
    """JSON with one line for each cell, arm and run."""
    parts = []
    for name, value in results.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines = ",\n  ".join(json.dumps(each, ensure_ascii=False, allow_nan=False) for each in value)
            parts.append(f"{json.dumps(name)}: [\n  {lines}\n ]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}")
    return "{\n " + ",\n ".join(parts) + "\n}"


def _described(design: Design) -> dict[str, Any]:
    """The design as plain values."""
    return {
        "study": design.study,
        "scale": design.scale,
        "settings": {group: _said(settings) for group, settings in design.settings.items()},
        "cells": [{**_cell(cell), "seeds": list(range(design.settings[cell.group].seeds)), "base": None} for cell in design.cells],
        "arms": [_arm(arm) for arm in design.arms],
        "not_defined": [{"cell": cell.name, "arm": arm.name, "why": why} for cell, arm, why in design.not_defined()],
    }


def made_as(design: Design, cell: Cell, arm: Arm) -> Row:
    """How runs of an arm in a cell are made, as plain values: equal where nothing that decides a run differs."""
    settings = _plain(asdict(design.settings[cell.group]))
    decide = {name: value for name, value in settings.items() if name in OF_RUNS}
    return _plain({"study": design.study, "scale": design.scale, "cell": _cell(cell), "arm": _arm(arm), "settings": decide})


def measured_as(design: Design, cell: Cell) -> Row:
    """How the base of a cell is measured, as plain values: equal where nothing that decides it differs, but for code."""
    settings = _plain(asdict(design.settings[cell.group]))
    decide = {name: value for name, value in settings.items() if name not in NOT_OF_BASES}
    return _plain({"study": design.study, "scale": design.scale, "cell": _cell(cell), "settings": decide})


def _cell(cell: Cell) -> Row:
    return {
        "name": cell.name,
        "group": cell.group,
        "model_title": cell.model,
        "task": cell.task,
        "lab": None if cell.lab is None else _plain(asdict(cell.lab)),
        **({"further": dict(cell.further)} if cell.further else {}),
    }


def _arm(arm: Arm) -> Row:
    later = {
        "prompts": arm.prompts,
        "pool": arm.pool,
        "learning_rate": arm.learning_rate,
        "against": list(arm.against) or None,
        "prompts_file": arm.prompts_file,
        "rewards": list(arm.rewards) or None,
    }
    return {
        "name": arm.name,
        "title": arm.title,
        "family": arm.family,
        "recipe": arm.recipe,
        "reward": arm.reward,
        "select": arm.select,
        **{name: value for name, value in later.items() if value is not None},
    }


def _said(settings: Settings) -> Row:
    """Settings as they are written down."""
    defaults = _defaults(Settings)
    return {name: value for name, value in _plain(asdict(settings)).items() if name not in UNSAID or value != defaults[name]}


def _plain(values: Mapping[str, Any]) -> Row:
    """Values as JSON would give them back."""
    plain: Row = json.loads(json.dumps(values))
    return plain
