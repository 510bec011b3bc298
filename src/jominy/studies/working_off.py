"""work_off(): hands blocks of jobs to processes of their own, several side by side where models are small, and takes in what comes back.

A run's bits do not depend on how many processes there are. Of the blocks with the lowest seed the longest goes first, by the seconds of
finished runs, so that no process is left with a long one at the end; what is not known yet goes before that, in the order of the cells.
A process that ends fails its job (`failures`) and is replaced, once; one that is ended, by Ctrl-C or an error of ours, does not.
LIMIT: no job has a time limit, so one that hangs keeps its process from the rest until a person ends the study; it is missing then.
Left out: which jobs there are (`missing`).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from jominy.progress import job_bar
from jominy.studies.design import Design, Settings
from jominy.studies.failures import Failures, said_of
from jominy.studies.folders import base_folder, remove_scratch
from jominy.studies.missing import Block, Job
from jominy.studies.results import take_in, why_another_base, write_results
from jominy.studies.study import load_study

MOST_DEATHS = 2
"""Processes of a worker that may end before it is left."""
LOOK_EVERY_S = 5.0
"""How often it is looked how far jobs in hand are."""
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait for each other sleep: spinning ones of several workers take the cores from those that they wait for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Launch:
    """One start of a study.

    Example: Launch(design=design, out=out, results=read_results(out, design), deadline=None, quiet=False)
    """

    design: Design
    """What is run."""
    out: Path
    """The study's folder."""
    results: dict[str, Any]
    """What was found so far; grows."""
    deadline: float | None
    """No job is begun after it, by `time.monotonic`."""
    quiet: bool
    """No progress."""

    def is_late(self) -> bool:
        """Whether no further job is to be begun."""
        return self.deadline is not None and time.monotonic() > self.deadline


def work_off(launch: Launch, group: str, blocks: Sequence[Block], failures: Failures) -> None:
    """Does all jobs that it may; nothing where there are none, or too many failed already."""
    if not blocks or failures.too_many:
        return
    settings = launch.design.settings[group]
    waiting, answers = Waiting(blocks, launch.results["runs"]), Queue[Job | None]()
    number = min(settings.workers, len(blocks))
    workers = [Worker(launch, settings, waiting, failures, answers) for _ in range(number)]
    try:
        with job_bar(f"{launch.design.study}, {group}", sum(map(len, blocks)), quiet=launch.quiet) as bar:
            looked = time.monotonic()
            for answer in _until_all_end(answers, number):
                if answer is not None:
                    bar.end(_settle(launch, failures, answer))
                elif time.monotonic() - looked > LOOK_EVERY_S:
                    looked = time.monotonic()
                    bar.say(_under_way(launch, workers))
    finally:
        for worker in workers:
            worker.end()


def _under_way(launch: Launch, workers: Sequence[Worker]) -> str:
    """What the workers have in hand, and how far bases are."""
    tell = load_study(launch.design.study).under_way
    said = []
    for job in [worker.doing for worker in workers]:
        if job is not None:
            cell = launch.design.cell(job["cell"])
            far = tell(base_folder(launch.out, cell), cell) if tell is not None and job["kind"] == "base" else ""
            said.append(f"{said_of(job)}{far and f', {far}'}")
    return "; ".join(said)


def _until_all_end(answers: Queue[Job | None], number: int) -> Iterator[Job | None]:
    """Answers until each worker has said that it has nothing left; None now and then in between, so that Ctrl-C is heard."""
    while number:
        try:
            answer = answers.get(timeout=1.0)
        except Empty:
            yield None
            continue
        if answer is None:
            number -= 1
        else:
            yield answer


def _settle(launch: Launch, failures: Failures, answer: Job) -> str:
    """Puts an answer where it belongs; returns what became of the job. What failed or was passed over is told already."""
    if "why_not" in answer:
        return f"{said_of(answer)} passed over: {answer['why_not']}"
    if "failed" in answer:
        return f"{said_of(answer)} failed: {answer['failed']}"
    if why := why_another_base(answer, launch.results, load_study(launch.design.study).fixed):
        # left where it is, the next start would take it for the one that the runs know
        shutil.rmtree(base_folder(launch.out, launch.design.cell(answer["cell"])))
        failures.add({"kind": "base", "cell": answer["cell"], "failed": why, "traceback": ""})
        return f"{said_of(answer)} failed: {why}"
    take_in(answer, launch.results)
    write_results(launch.out, launch.results)
    failures.forget(answer)
    return said_of(answer)


class Waiting:
    """Blocks that nobody has begun, lowest seed first."""

    def __init__(self, blocks: Sequence[Block], runs: Sequence[Job]) -> None:
        """`runs` are those that are finished, and grow meanwhile."""
        self.blocks, self.runs = list(blocks), runs
        self.lock = threading.Lock()

    def take(self) -> Block | None:
        """The longest with the lowest seed; None where none is left."""
        with self.lock:
            if not self.blocks:
                return None
            seed = self.blocks[0][0].get("seed")
            chosen = max((block for block in self.blocks if block[0].get("seed") == seed), key=self._seconds)
            self.blocks.remove(chosen)
            return chosen

    def _seconds(self, block: Block) -> float:
        """As finished runs of its cell and arms took; an arm without any is like the cell's others, and infinite where there are none."""
        of_cell = [run for run in self.runs if run["cell"] == block[0]["cell"]]
        if block[0]["kind"] == "base" or not of_cell:
            return math.inf
        usual = _mean([run["seconds"] for run in of_cell])
        known = {job["arm"]: [run["seconds"] for run in of_cell if run["arm"] == job["arm"]] for job in block}
        return sum(_mean(seconds) if seconds else usual for seconds in known.values())


def _mean(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds)


class Worker:
    """A process and the thread that talks to it."""

    def __init__(self, launch: Launch, settings: Settings, waiting: Waiting, failures: Failures, answers: Queue[Job | None]) -> None:
        """Begins at once; `answers` gets an answer a job, and None at the end."""
        self.launch, self.threads, self.waiting, self.failures, self.answers = launch, settings.threads, waiting, failures, answers
        self.lock, self.ended, self.deaths = threading.Lock(), False, 0
        self.doing: Job | None = None
        self.process = self._begin()
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _begin(self) -> subprocess.Popen[str]:
        design = self.launch.design
        command = "from jominy.studies.worker import main; main()"
        words = [sys.executable, "-W", "ignore", "-c", command, design.study, design.scale, str(self.launch.out), str(self.threads)]
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, env=PATIENT | os.environ
        )

    def _talk(self) -> None:
        """Block after block, until there are none or it is over."""
        try:
            while not self._is_over() and (block := self.waiting.take()) is not None:
                for job in block:
                    if self._is_over():
                        break
                    self.doing = job
                    self.answers.put(self._done(job))
                    self.doing = None
        finally:
            self.answers.put(None)

    def _is_over(self) -> bool:
        return self.ended or self.deaths == MOST_DEATHS or self.failures.too_many or self.launch.is_late()

    def _done(self, job: Job) -> Job:
        """The job's answer; failures are told here, before the next job is looked at."""
        if why := self.failures.why_not(job):
            self.failures.pass_over(job, why)
            return {**job, "why_not": why}
        answer = self._ask(job)
        # what was in hand when the study was ended is missing in the next start like all else
        if "failed" in answer and not self.ended:
            self.failures.add(answer)
        return answer

    def _ask(self, job: Job) -> Job:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            answer: Job = json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            hint = "a negative code is the signal that killed it; 9 is often memory"
            return {**job, "failed": f"the process ended ({self._replace()})", "traceback": hint}
        return answer

    def _replace(self) -> int:
        """Begins a process in place of one that ended, unless that was the last one; returns its code."""
        code = self.process.wait()
        with self.lock:
            self.deaths += 1
            if not self.ended and self.deaths < MOST_DEATHS:
                self._clear()
                self.process = self._begin()
        return code

    def end(self) -> None:
        """Ends the process, which has nothing that is worth keeping."""
        with self.lock:
            self.ended = True
            self.process.kill()
        self.process.wait()
        self.thread.join()
        self._clear()

    def _clear(self) -> None:
        """Removes what an ended process left."""
        remove_scratch(self.launch.out, self.process.pid)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
