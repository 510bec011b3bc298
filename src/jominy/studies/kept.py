"""Models that a study keeps, because the model of another arm is exchanged with them: OUT/models/CELL-ARM-SEED/, beside them two files.

    kept.json    {"status": of the run, "why": ..., "run": how it was made}     written behind the model, so what it stands beside is whole
    more.json    {"more": what the study measured on the model}                 so that nobody measures it again; not there if that failed

An arm that is compared with others (`Arm.against`) finds there the model of an arm with the same cell and seed, or why there is none: it is
gone, its run exploded, or it was made by other settings. Left out: models of any other run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jominy.store import SCHEMA_VERSION, read_json, write_json
from jominy.studies.design import Cell, Design
from jominy.studies.reading import FINISHED

MODELS = "models"
KEPT_FILE, MORE_FILE = "kept.json", "more.json"


def kept_folder(out: Path, cell: Cell, arm: str, seed: int) -> Path:
    """Where the model of a run is kept."""
    return out / MODELS / f"{cell.folder}-{arm}-{seed}"


def is_kept(design: Design, arm: str) -> bool:
    """Whether models of this arm are kept."""
    return any(arm in other.against for other in design.arms)


def keep(folder: Path, made: Mapping[str, Any], status: str, why: str, save: Callable[[Path], None] | None) -> None:
    """Keeps what became of a run, and its model where it has an "after".

    Args:
        folder: of `kept_folder`; replaced.
        made: how the run was made, as plain values.
        status: of the run.
        why: it has that status.
        save: writes the model into a folder; None where there is none.
    """
    if folder.exists():
        shutil.rmtree(folder)
    if status in FINISHED and save is not None:
        save(folder)
    write_json(folder / KEPT_FILE, {"schema_version": SCHEMA_VERSION, "status": status, "why": why, "run": dict(made)})


def keep_more(folder: Path, more: Mapping[str, Any]) -> None:
    """Keeps what was measured on a kept model."""
    write_json(folder / MORE_FILE, {"schema_version": SCHEMA_VERSION, "more": dict(more)})


def read_more(folder: Path) -> dict[str, Any] | None:
    """What was measured on a kept model; None where nothing is there."""
    if not (folder / MORE_FILE).is_file():
        return None
    more: dict[str, Any] = read_json(folder / MORE_FILE)["more"]
    return more


def why_unknown(folder: Path, made: Mapping[str, Any]) -> str:
    """Why nothing is known of such a run's model: it is gone, or what is kept was made otherwise; empty where something is known.

    Args:
        folder: of `kept_folder`.
        made: how the run would be made now.
    """
    if not (folder / KEPT_FILE).is_file():
        return f"the model that it left ({MODELS}/{folder.name}) is gone"
    if read_json(folder / KEPT_FILE)["run"] != made:
        return f"the model that it left ({MODELS}/{folder.name}) was made with other settings"
    return ""


def why_no_model(folder: Path, made: Mapping[str, Any]) -> str:
    """Why such a run's model is not there; empty where it is."""
    if why := why_unknown(folder, made):
        return why
    kept = read_json(folder / KEPT_FILE)
    return "" if kept["status"] in FINISHED else f"its run ended without a model ({kept['status']}: {kept['why']})"
