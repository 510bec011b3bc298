"""results.json: everything that a study found, and all that it needs to go on: cells with their base, arms, environments, runs.

A run's line holds the right answers of each held-out prompt before and after, so that every interval can be computed again from the file.
Lists of numbers stand on one line, so that a change shows as the runs it adds. Left out: rollouts and models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jominy.store import SCHEMA_VERSION, read_json, write_bytes
from jominy.studies.design import Design

RESULTS_FILE = "results.json"
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
    for name in ("study", "scale", "settings"):
        if there[name] != asked[name]:
            raise ValueError(f"{folder} holds a study with another {name} ({there[name]!r}, now {asked[name]!r}); choose another --out")
    bases = {cell["name"]: cell for cell in there["cells"] if cell["base"] is not None}
    known = ("task", "lab", "model_title")
    changed = [cell["name"] for cell in asked["cells"] if any(bases.get(cell["name"], cell)[name] != cell[name] for name in known)]
    changed += [arm["name"] for arm in asked["arms"] for old in there["arms"] if old["name"] == arm["name"] and old != arm]
    if changed:
        raise ValueError(f"{folder} holds runs of another {', '.join(changed)}; choose another --out")
    cells = [{**cell, "base": bases[cell["name"]]["base"]} if cell["name"] in bases else cell for cell in asked["cells"]]
    return {**there, **asked, "cells": cells}


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Replaces the file, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / RESULTS_FILE, (_pretty(results) + "\n").encode())


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
        "settings": {group: _fields(settings) for group, settings in design.settings.items()},
        "cells": [
            {
                "name": cell.name,
                "group": cell.group,
                "model_title": cell.model,
                "task": cell.task,
                "lab": None if cell.lab is None else _fields(cell.lab),
                "seeds": list(range(design.settings[cell.group].seeds)),
                "base": None,
            }
            for cell in design.cells
        ],
        "arms": [
            {
                "name": arm.name,
                "title": arm.title,
                "family": arm.family,
                "recipe": arm.recipe,
                "reward": arm.reward,
                "select": arm.select,
            }
            for arm in design.arms
        ],
        "not_defined": [{"cell": cell.name, "arm": arm.name, "why": why} for cell, arm, why in design.not_defined()],
    }


def _fields(value: Any) -> dict[str, Any]:
    """A frozen record as JSON would give it back."""
    from dataclasses import asdict

    plain: dict[str, Any] = json.loads(json.dumps(asdict(value)))
    return plain
