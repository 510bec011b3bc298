"""The folders in that of a study: rollouts of base models, which stay, and where its processes work before anything is kept.

    OUT/base/CELL/          rollouts of the base model of a cell, whole or not there
    OUT/runs/1234-k3j2/     of process 1234 alone, gone when it ends

A study that was killed may leave processes behind, which end the jobs in hand before they hear of it, beside those of the study that goes
on: scratch folders are each process's own. LIMIT: OUT/base and OUT/models are not; such a process and the next start may both replace the
same base or kept model, with the same bits on one machine with one code, and whoever comes second may fail its job by it.
Left out: other machines that work in the same folder; the lock of the study keeps them away.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from jominy.studies.design import Cell

RUNS = "runs"


def base_folder(out: Path, cell: Cell) -> Path:
    """The rollouts of a base model."""
    return out / "base" / cell.folder


def own_scratch(out: Path) -> AbstractContextManager[str]:
    """A folder of this process, gone at the end."""
    runs = out / RUNS
    runs.mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(prefix=f"{os.getpid()}-", dir=runs)


def remove_scratch(out: Path, process_id: int) -> None:
    """Removes what an ended process left."""
    for folder in (out / RUNS).glob(f"{process_id}-*"):
        shutil.rmtree(folder)


def remove_stale(out: Path) -> None:
    """Removes what no living process works in."""
    for folder in (out / RUNS).glob("*/"):
        name = folder.name.partition("-")[0]
        if not (name.isdigit() and _lives(int(name))):
            shutil.rmtree(folder)


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
