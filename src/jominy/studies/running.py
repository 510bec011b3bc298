"""study(): a paper's claim in miniature: every arm in every cell, seed after seed, into results.json, a README, figures and a page.

Whatever is in results.json is not run again, so a study that is killed goes on, also in another folder that holds a copy of the file; but
for bases and kept models that the folder lacks and a missing run needs, which are made again and replace what was found of them. Seeds are
the outermost loop: a study that is stopped early has some seeds of everything, not everything of some cells. Jobs run in processes of their
own (`worker`), several side by side where models are small; a run's bits do not depend on how many there are. A job that fails is passed
over and named at the end; MOST_FAILURES end the study, and so does any where bases are measured.

    OUT/results.json   OUT/base/CELL/   OUT/models/CELL-ARM-SEED/   OUT/runs/PID-.../
        what was found; rollouts of base models; models that other arms need (`kept`); where processes work
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from jominy.progress import job_bar
from jominy.store import RunFolder
from jominy.studies.design import Arm, Cell, Design, Settings
from jominy.studies.folders import base_folder, remove_scratch, remove_stale
from jominy.studies.kept import kept_folder, why_unknown
from jominy.studies.results import made_as, read_results, write_results
from jominy.studies.study import load_study
from jominy.studies.surroundings import place_of

SCALES = ("smoke", "full")
MOST_FAILURES = 3
"""Jobs that may fail before no further one is begun."""

Job = dict[str, Any]

PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait for each other sleep: spinning ones of several workers take the cores from those that they wait for."""


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
    name: str, out: Path, *, scale: str = "smoke", seeds: int | None = None, minutes: float | None = None, quiet: bool = False
) -> Path:
    """Run what is missing of a study, and write what it says.

    Args:
        name: of `study.STUDIES`.
        out: the folder; a results.json in it is gone on with.
        scale: `smoke` (seconds: the machinery) or `full` (hours: the evidence).
        seeds: run only the first so many seeds now.
        minutes: begin no further job after so many.
        quiet: no progress.

    Raises:
        ValueError: an unknown name, or a folder that holds another study.
        StudyFailed: jobs failed, or too many of a group; said behind the last group, which the others do not keep from being run.
        KeyboardInterrupt: passed on; what was finished is kept and written.
    """
    design = load_design(name, scale)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    with RunFolder(out).lock():
        results = read_results(out, design)
        remove_stale(out)
        write_results(out, results)
        failed: list[str] = []
        try:
            for group, settings in design.settings.items():
                limited = settings if seeds is None else replace(settings, seeds=min(seeds, settings.seeds))
                try:
                    _work_off(design, group, settings, _bases(design, group, results, out), results, out, deadline, quiet=quiet)
                    _work_off(design, group, settings, _runs(design, group, limited, results, out), results, out, deadline, quiet=quiet)
                except StudyFailed as error:
                    failed.append(str(error))
        finally:
            from jominy.studies.writing import write_study

            write_study(out, results)
    if failed:
        raise StudyFailed("\n".join(failed))
    return out


def _bases(design: Design, group: str, results: dict[str, Any], out: Path) -> list[list[Job]]:
    """Base models to measure: those that no result knows, and those whose rollouts a run needs and the folder lacks."""
    known = {cell["name"] for cell in results["cells"] if cell["base"] is not None}
    wanted = [cell for cell in design.cells if cell.group == group]
    there = {cell.name for cell in wanted if RunFolder(base_folder(out, cell)).exists()}
    return [[{"kind": "base", "cell": cell.name}] for cell in wanted if cell.name not in known & there]


def _runs(design: Design, group: str, settings: Settings, results: dict[str, Any], out: Path) -> list[list[Job]]:
    """Runs that are missing: a block holds the arms of a cell with one seed, which share their first draws."""
    done = {(run["cell"], run["arm"], run["seed"]) for run in results["runs"]}
    undefined = {(cell.name, arm.name) for cell, arm, _ in design.not_defined()}
    blocks = []
    for seed in range(settings.seeds):
        for cell in (cell for cell in design.cells if cell.group == group):
            arms = [arm for arm in design.arms if (cell.name, arm.name) not in undefined]
            missing = {arm.name for arm in arms if (cell.name, arm.name, seed) not in done}
            missing |= _lost(design, cell, arms, missing, seed, out)
            block = [{"kind": "run", "cell": cell.name, "arm": arm.name, "seed": seed} for arm in arms if arm.name in missing]
            blocks += [block] if block else []
    return blocks


def _lost(design: Design, cell: Cell, arms: Sequence[Arm], missing: Collection[str], seed: int, out: Path) -> set[str]:
    """Arms whose models the missing ones need and the folder lacks."""
    needed = {name for arm in arms if arm.name in missing for name in arm.against}
    return {name for name in needed if why_unknown(kept_folder(out, cell, name, seed), made_as(design, cell, design.arm(name)))}


def _work_off(
    design: Design,
    group: str,
    settings: Settings,
    blocks: list[list[Job]],
    results: dict[str, Any],
    out: Path,
    deadline: float | None,
    *,
    quiet: bool,
) -> None:
    """Hands blocks to processes and takes in what comes back.

    Raises:
        StudyFailed: some failed, which is said when the others are done, or when MOST_FAILURES have.
    """
    if not blocks:
        return
    failures: list[str] = []
    queue: Queue[list[Job]] = Queue()
    for block in blocks:
        queue.put(block)
    answers: Queue[Job | None] = Queue()
    number = min(settings.workers, len(blocks))
    workers = [_Worker(design, out, settings.threads, queue, answers, deadline) for _ in range(number)]
    try:
        with job_bar(f"{design.study}, {group}", sum(map(len, blocks)), quiet=quiet) as advance:
            for answer in _until_all_end(answers, number):
                if "failed" in answer:
                    failures.append(f"{_said(answer)} failed: {answer['failed']}\n{answer['traceback']}")
                    if len(failures) == MOST_FAILURES:
                        break
                    continue
                _take_in(answer, results)
                write_results(out, results)
                advance(_said(answer))
    finally:
        for worker in workers:
            worker.end()
    if failures:
        raise StudyFailed("\n".join(failures))


def _until_all_end(answers: Queue[Job | None], number: int) -> Iterator[Job]:
    """Answers until each worker has said that it has nothing left; wakes up now and then, so that Ctrl-C is heard."""
    while number:
        try:
            answer = answers.get(timeout=1.0)
        except Empty:
            continue
        if answer is None:
            number -= 1
        else:
            yield answer


def _take_in(answer: Job, results: dict[str, Any]) -> None:
    """Puts an answer where it belongs; a run that was made again takes the place of what was known of it."""
    if answer["kind"] == "run":
        line = {name: value for name, value in answer.items() if name != "kind"}
        line["environment"] = place_of(answer["environment"], results["environments"])
        places = [place for place, run in enumerate(results["runs"]) if all(run[name] == line[name] for name in ("cell", "arm", "seed"))]
        if places:
            results["runs"][places[0]] = line
        else:
            results["runs"].append(line)
        return
    for cell in results["cells"]:
        if cell["name"] == answer["cell"]:
            cell["base"] = answer["base"]


def _said(answer: Job) -> str:
    """A job in a few words."""
    if answer["kind"] == "base":
        return f"{answer['cell']}: base"
    return f"{answer['cell']}: {answer['arm']}, seed {answer['seed']}"


class _Worker:
    """A process and the thread that talks to it."""

    def __init__(
        self, design: Design, out: Path, threads: int, queue: Queue[list[Job]], answers: Queue[Job | None], deadline: float | None
    ) -> None:
        command = "from jominy.studies.worker import main; main()"
        words = [sys.executable, "-W", "ignore", "-c", command, design.study, design.scale, str(out), str(threads)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, env=PATIENT | os.environ
        )
        self.queue, self.answers, self.deadline, self.out = queue, answers, deadline, out
        self.is_gone = False
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _talk(self) -> None:
        """Block after block, until there are none or the process is gone, which its last answer says."""
        while not self._late() and not self.is_gone:
            try:
                block = self.queue.get_nowait()
            except Empty:
                break
            for job in block:
                if not self._late() and not self.is_gone:
                    self.answers.put(self._ask(job))
        self.answers.put(None)

    def _ask(self, job: Job) -> Job:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            answer: Job = json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            self.is_gone = True
            code = self.process.wait()
            hint = "a negative code is the signal that killed it; 9 is often memory"
            return {**job, "failed": f"the process ended ({code})", "traceback": hint}
        return answer

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def end(self) -> None:
        """Ends the process, which has nothing that is worth keeping."""
        self.process.kill()
        self.process.wait()
        self.thread.join()
        remove_scratch(self.out, self.process.pid)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
