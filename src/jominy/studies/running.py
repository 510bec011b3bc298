"""study(): a paper's claim in miniature: every arm in every cell, seed after seed, into results.json, a README, figures and a page.

Whatever is in results.json is not run again, so a study that is killed goes on, also in another folder that holds a copy of the file; but
for bases and kept models that the folder lacks and a missing run needs (`missing`), which are made again and replace what was found of
them. Lab models are made first, one after the other with all threads: two that are made side by side take far more than twice as long.
A job that fails is passed over and named at the end (`failures`). A cell whose model or base fails has no runs; the others of its group
have theirs, but where the study's claims take all cells together (`Study.needs_all`), for then hours of runs would end in no verdict.
README, figures and page are written at the end of a start: after one that was killed, `minutes=0` writes them of what there is.

    OUT/results.json   OUT/base/CELL/   OUT/models/CELL-ARM-SEED/   OUT/runs/PID-.../   OUT/failed.json
        what was found; rollouts of base models; models that other arms need (`kept`); where processes work; what failed at its last try
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jominy.lab import build
from jominy.store import RunFolder
from jominy.studies.design import Cell, Design
from jominy.studies.failures import Failures
from jominy.studies.folders import remove_stale
from jominy.studies.missing import bases, pending, runs
from jominy.studies.results import read_results, write_results
from jominy.studies.study import load_study
from jominy.studies.worker import FAILURES
from jominy.studies.working_off import Launch, work_off

SCALES = ("smoke", "full")


class StudyFailed(ValueError):
    """Jobs ended in errors; what was finished is kept."""


def load_design(study: str, scale: str) -> Design:
    """What is run of a study at a scale.

    Raises:
        ValueError: no such study or scale.
    """
    found = load_study(study)
    if scale not in SCALES:
        raise ValueError(f"no scale {scale!r}; there are {', '.join(SCALES)}")
    return found.design(scale)


def study(
    name: str,
    out: Path,
    *,
    scale: str = "smoke",
    seeds: int | None = None,
    minutes: float | None = None,
    judge: str | None = None,
    quiet: bool = False,
) -> Path:
    """Run what is missing of a study, and write what it says.

    Args:
        name: of `study.STUDIES`.
        out: the folder; a results.json in it is gone on with.
        scale: `smoke` (seconds: the machinery) or `full` (hours: the evidence).
        seeds: run only the first so many seeds now; 0 makes and measures what all runs start from, has it checked, and runs nothing.
        minutes: begin no further job after so many.
        judge: asked first, where the study has claims about judges; what it has answered is not asked again.
        quiet: no progress.

    Raises:
        ValueError: an unknown name, a negative number of seeds, a folder that holds another study, or a judge that the study does not ask
            or that cannot be asked.
        StudyFailed: jobs failed; said behind the last group, which the others do not keep from being run.
        KeyboardInterrupt: passed on; what was finished is kept and written.
    """
    design = load_design(name, scale)
    if seeds is not None and seeds < 0:
        raise ValueError(f"seeds is how many of the first are run, 0 or more; got {seeds}")
    ask = load_study(name).ask_judge
    if judge is not None and ask is None:
        raise ValueError(f"the study {name} makes no claim about judges; leave --judge out, or take `jominy study precision`")
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    with RunFolder(out).lock():
        results = read_results(out, design)
        remove_stale(out)
        write_results(out, results)
        if judge is not None and ask is not None:
            ask(judge, out, design, quiet)
        launch = Launch(design=design, out=out, results=results, deadline=deadline, quiet=quiet)
        failed: list[str] = []
        try:
            failed.extend(said for group in design.settings if (said := run_group(launch, group, seeds)))
        finally:
            from jominy.studies.writing import write_study

            try:
                _read_folder(name, out, results)
            finally:  # whatever a person has put there, the runs are written
                write_study(out, results)
    if failed:
        raise StudyFailed("\n".join(failed))
    return out


def run_group(launch: Launch, group: str, seeds: int | None) -> str:
    """Runs what is missing of a group of cells; returns what failed, empty where nothing did.

    Args:
        launch: this start of the study.
        group: of cells.
        seeds: only the first so many; None runs all.
    """
    design, results, out = launch.design, launch.results, launch.out
    settings = design.settings[group]
    limited = settings if seeds is None else replace(settings, seeds=min(seeds, settings.seeds))
    failures = Failures(design, out)
    cells = make_models(launch, pending(design, group, limited, results), failures)
    work_off(launch, group, bases(cells, results, out), failures)
    if failures.now and load_study(design.study).needs_all:
        return f"{failures.said().rstrip()}\nno run of group {group} was begun: the claims of this study take all of its cells together"
    first, last = runs(design, cells, limited, results, out, failures.before)
    for blocks in (first, last):
        work_off(launch, group, blocks, failures)
    return failures.said()


def make_models(launch: Launch, cells: Iterable[Cell], failures: Failures) -> list[Cell]:
    """The cells whose models are there: lab models that the cache lacks are made now; one that cannot be made is a failure of its cell."""
    ready = []
    for cell in cells:
        if launch.is_late() or failures.too_many:
            break
        try:
            if cell.lab is not None:
                build(cell.lab, quiet=launch.quiet)
            ready.append(cell)
        except FAILURES as error:
            said = f"its lab model cannot be made: {type(error).__name__}: {error}"
            failures.add({"kind": "base", "cell": cell.name, "failed": said, "traceback": traceback.format_exc()})
    return ready


def _read_folder(name: str, out: Path, results: dict[str, Any]) -> None:
    """What a person has put beside the runs."""
    read, known = load_study(name).more_of_folder, results.get("more", {})
    if read is not None and (more := read(out, known)) != known:
        results["more"] = more
        write_results(out, results)
