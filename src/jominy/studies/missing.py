"""What is missing of a study: bases that are not measured, runs that are not made, models that are gone; as blocks of jobs for one process.

    block    one base; or the missing arms of a cell with one seed, in the order of the arms, which share their first draws

Seeds are the outermost loop: a study that is stopped early has some seeds of everything, not everything of some cells. A base or a kept
model that the folder lacks is missing only where a missing run needs it. A cell without a base has no runs yet. What failed in an earlier
start comes behind all else: a run that did, and once an arm failed in a cell with `LASTING` seeds, that arm with all of them.
Left out: which of several blocks goes first (`working_off`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from jominy.store import RunFolder
from jominy.studies.design import Arm, Cell, Design, Settings
from jominy.studies.folders import base_folder
from jominy.studies.kept import kept_folder, why_unknown
from jominy.studies.results import made_as

Job = dict[str, Any]
Block = list[Job]
RunKey = tuple[str, str, int]
"""Names of a cell and an arm, and a seed."""
LASTING = 2
"""Seeds with which an arm failed in a cell from which on the failure is not taken for a passing one."""


def key_of(job: Job) -> RunKey:
    """Which run a job is, or a line of results."""
    return job["cell"], job["arm"], job["seed"]


def pending(design: Design, group: str, settings: Settings, results: dict[str, Any]) -> list[Cell]:
    """Cells of a group whose base is not known or that lack a run of the first `settings.seeds`."""
    done, known = _done(results), _known(results)
    cells = [cell for cell in design.cells if cell.group == group]
    return [cell for cell in cells if cell.name not in known or any(_arms(design, cell, seed, done) for seed in range(settings.seeds))]


def bases(cells: Iterable[Cell], results: dict[str, Any], out: Path) -> list[Block]:
    """Bases to measure: those that no result knows, and those whose rollouts the folder lacks.

    Args:
        cells: that are `pending`.
        results: so far.
        out: the study's folder.
    """
    known = _known(results)
    return [[{"kind": "base", "cell": cell.name}] for cell in cells if not (cell.name in known and _is_there(cell, out))]


def runs(
    design: Design, cells: Sequence[Cell], settings: Settings, results: dict[str, Any], out: Path, failed: Collection[RunKey]
) -> tuple[list[Block], list[Block]]:
    """Blocks of runs, and those that are to come after all of them: of what failed in an earlier start, and of what needs its models."""
    done, known = _done(results), _known(results)
    ready = [cell for cell in cells if cell.name in known and _is_there(cell, out)]
    first, last = [], []
    for seed in range(settings.seeds):
        for cell in ready:
            missing = _arms(design, cell, seed, done)
            missing |= _lost(design, cell, missing, seed, out)
            block = [{"kind": "run", "cell": cell.name, "arm": arm.name, "seed": seed} for arm in design.arms if arm.name in missing]
            late = _late(design, block, failed)
            first.append([job for job in block if job["arm"] not in late])
            last.append([job for job in block if job["arm"] in late])
    return [block for block in first if block], [block for block in last if block]


def _done(results: dict[str, Any]) -> set[RunKey]:
    return {key_of(run) for run in results["runs"]}


def _known(results: dict[str, Any]) -> set[str]:
    """Cells with a base."""
    return {cell["name"] for cell in results["cells"] if cell["base"] is not None}


def _is_there(cell: Cell, out: Path) -> bool:
    """Whether the folder holds the rollouts of its base."""
    return RunFolder(base_folder(out, cell)).exists()


def _arms(design: Design, cell: Cell, seed: int, done: Collection[RunKey]) -> set[str]:
    """Arms that are to be run in a cell and are not done with this seed."""
    undefined = {arm.name for other, arm, _ in design.not_defined() if other.name == cell.name}
    return {arm.name for arm in design.arms if arm.name not in undefined and (cell.name, arm.name, seed) not in done}


def _lost(design: Design, cell: Cell, missing: Collection[str], seed: int, out: Path) -> set[str]:
    """Arms whose models the missing ones need and the folder lacks."""
    needed = {name for arm in missing for name in design.arm(arm).against}
    return {name for name in needed if lacks_model(design, cell, design.arm(name), seed, out)}


def lacks_model(design: Design, cell: Cell, arm: Arm, seed: int, out: Path) -> str:
    """Why nothing is known of the model that this run should have left; empty where something is."""
    return why_unknown(kept_folder(out, cell, arm.name, seed), made_as(design, cell, arm))


def _late(design: Design, block: Block, failed: Collection[RunKey]) -> set[str]:
    """Arms of a block that failed before, and those that need the model of one of them; what is needed stands before what needs it."""
    late: set[str] = set()
    for job in block:
        if _failed_before(job, failed) or late & set(design.arm(job["arm"]).against):
            late.add(job["arm"])
    return late


def _failed_before(job: Job, failed: Collection[RunKey]) -> bool:
    """Whether it did itself, or its arm with so many seeds in this cell that it will again."""
    seeds = {seed for cell, arm, seed in failed if (cell, arm) == (job["cell"], job["arm"])}
    return job["seed"] in seeds or len(seeds) >= LASTING
