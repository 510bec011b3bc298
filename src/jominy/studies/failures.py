"""Jobs of a study that failed: an arm that failed with two seeds is passed over in its cell for the rest of the start, and three different
arms end the group.

    OUT/failed.json    {"failed": [{"cell", "arm", "seed", "failed", "traceback"}, ...]}     runs whose last try failed

So a failure that passes costs one run and those that need its model, one that stays two runs a cell, and a machine on which nothing works
is left after three. The next start tries again what failed, behind everything else (`missing`). A run whose opponents left no model is
passed over, too, for done without them it would count as done for good. A job in hand when the study is ended has not failed.
Left out: bases, in the file; they are tried again before any run.
"""

from __future__ import annotations

import threading
from pathlib import Path

from jominy.store import SCHEMA_VERSION, read_json, write_json
from jominy.studies.design import Design
from jominy.studies.missing import LASTING, Job, RunKey, key_of, lacks_model

FAILED_FILE = "failed.json"
MOST_FAILURES = 3
"""Different arms, or bases, that fail before no further job of a group is begun; those in hand are done."""


class Failures:
    """Of one start and one group; several threads may tell and ask."""

    def __init__(self, design: Design, out: Path) -> None:
        """Reads what failed in earlier starts."""
        self.design, self.out, self.lock = design, out, threading.Lock()
        self.known: dict[RunKey, Job] = {}
        if (out / FAILED_FILE).is_file():
            self.known = {key_of(job): job for job in read_json(out / FAILED_FILE)["failed"]}
        self.before = frozenset(self.known)
        self.now: list[Job] = []
        self.passed_over: list[str] = []

    def add(self, answer: Job) -> None:
        """A job that failed."""
        with self.lock:
            self.now.append(answer)
            if answer["kind"] == "run":
                self.known[key_of(answer)] = {name: answer[name] for name in ("cell", "arm", "seed", "failed", "traceback")}
                self._write()

    def forget(self, answer: Job) -> None:
        """A job that was done: what failed in an earlier start works again."""
        if answer["kind"] != "run":
            return
        with self.lock:
            if self.known.pop(key_of(answer), None) is not None:
                self._write()

    def pass_over(self, job: Job, why: str) -> None:
        """A job that was not begun."""
        self.passed_over.append(f"{said_of(job)} ({why})")

    def why_not(self, job: Job) -> str:
        """Why a job is passed over; empty where it is to be done."""
        if job["kind"] == "base":
            return ""
        if (num_seeds := self._num_seeds(job)) >= LASTING:
            return f"failed with {num_seeds} seeds in this start"
        cell = self.design.cell(job["cell"])
        needed = [self.design.arm(name) for name in self.design.arm(job["arm"]).against]
        whys = {arm.name: lacks_model(self.design, cell, arm, job["seed"], self.out) for arm in needed}
        return "; ".join(f"it needs {name}: {why}" for name, why in whys.items() if why)

    @property
    def too_many(self) -> bool:
        """Whether no further job is to be begun."""
        return len({job["arm"] if job["kind"] == "run" else job["cell"] for job in tuple(self.now)}) >= MOST_FAILURES

    def said(self) -> str:
        """All of it for a person; empty where nothing failed."""
        lines = [f"{said_of(job)} failed: {job['failed']}\n{job['traceback']}" for job in self.now]
        if self.passed_over:
            lines.append(f"passed over, and tried again by the next start: {', '.join(self.passed_over)}")
        return "\n".join(lines)

    def _num_seeds(self, job: Job) -> int:
        """With how many the arm of a run failed in its cell, in this start."""
        failed = [key_of(one) for one in tuple(self.now) if one["kind"] == "run"]
        return len({seed for cell, arm, seed in failed if (cell, arm) == (job["cell"], job["arm"])})

    def _write(self) -> None:
        write_json(self.out / FAILED_FILE, {"schema_version": SCHEMA_VERSION, "failed": list(self.known.values())})


def said_of(job: Job) -> str:
    """A job in a few words."""
    return f"{job['cell']}: base" if job["kind"] == "base" else f"{job['cell']}: {job['arm']}, seed {job['seed']}"
