"""A study whose jobs fail: what is passed over, when it ends, what the next start does first, and processes that end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jominy.lab import LabSpec
from jominy.store import RunFolder
from jominy.studies import running, working_off
from jominy.studies.design import Arm, Cell, Design, Settings
from jominy.studies.failures import FAILED_FILE, Failures
from jominy.studies.folders import base_folder
from jominy.studies.kept import keep, kept_folder
from jominy.studies.missing import runs
from jominy.studies.results import RESULTS_FILE, made_as, read_results, take_in
from jominy.studies.study import STUDIES, load_study
from jominy.studies.working_off import Launch, Waiting, Worker, work_off

SETTINGS = Settings(seeds=2, steps=2, prompts=2, rollouts=2, max_tokens=4, learning_rate=1e-3)
CELLS = tuple(
    Cell(name=name, group="lab", model="m", task="arithmetic", lab=LabSpec(tasks=("arithmetic",), seed=number))
    for number, name in enumerate(("one", "two"))
)
ARMS = tuple(
    Arm(name=name, title=name, family="f", recipe="grpo", reward="random", against=("a",) if name == "needs a" else ())
    for name in ("a", "b", "c", "d", "needs a")
)
DESIGN = Design(study="alignment", scale="smoke", cells=CELLS, arms=ARMS, settings={"lab": SETTINGS})

PROCESS = """
import json, os, sys, time
fails, dies, hangs, marker = (json.loads(word) for word in sys.argv[1:])
for line in sys.stdin:
    job = json.loads(line)
    names = [job["cell"], job.get("arm")], [job["cell"], job.get("arm"), job.get("seed")]
    if any(name in dies for name in names):
        os._exit(7)
    if any(name in hangs for name in names):
        open(marker, "w").close()
        time.sleep(600)
    failed = {"failed": "ValueError: no", "traceback": "there"}
    found = {"environment": {}, "seconds": 1.0, "base": {"more": {}}}
    print(json.dumps({**job, **(failed if any(name in fails for name in names) else found)}), flush=True)
"""
"""Answers at once, but for cells and arms, with one seed or with all, that fail, that end it, or that it hangs in behind its marker."""


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """A study with both bases and the models of `a`, and no run."""
    results = read_results(tmp_path, DESIGN)
    for cell in CELLS:
        take_in({"kind": "base", "cell": cell.name, "base": {"correct": [1]}}, results)
        RunFolder(base_folder(tmp_path, cell)).write_run({"status": "finished"})
    return Launch(design=DESIGN, out=tmp_path, results=results, deadline=None, quiet=True)


def keep_models(out: Path, *names: str) -> None:
    """As the runs of `a` would."""
    for cell in (cell for cell in CELLS if cell.name in names):
        for seed in range(3):
            keep(kept_folder(out, cell, "a", seed), made_as(DESIGN, cell, ARMS[0]), "exploded", "", None)


def processes(
    monkeypatch: pytest.MonkeyPatch,
    *,
    fails: list[Any] | None = None,
    dies: list[Any] | None = None,
    hangs: list[Any] | None = None,
    marker: Path = Path("nowhere"),
) -> list[Any]:
    """Small ones in place of those that load models; returns the list of those that were begun."""
    begun: list[subprocess.Popen[str]] = []

    def begin(worker: Worker) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", PROCESS, *map(json.dumps, (fails or [], dies or [], hangs or [], str(marker)))]
        begun.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    monkeypatch.setattr(Worker, "_begin", begin)
    return begun


def missing(launch: Launch, failures: Failures, settings: Settings = SETTINGS) -> tuple[list[Any], list[Any]]:
    return runs(launch.design, launch.design.cells, settings, launch.results, launch.out, failures.before)


def done(launch: Launch) -> list[tuple[str, str, int]]:
    return [(run["cell"], run["arm"], run["seed"]) for run in launch.results["runs"]]


def test_an_arm_that_fails_twice_is_passed_over_in_its_cell(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_models(launch.out, "one", "two")
    processes(monkeypatch, fails=[["one", "b"], ["two", "b"], ["one", "c"]])
    failures = Failures(DESIGN, launch.out)
    work_off(launch, "lab", missing(launch, failures, replace(SETTINGS, seeds=3))[0], failures)
    # two arms failed, one of them in both cells: nothing ends, and each failed with two seeds
    assert not failures.too_many
    left = [("one", "b"), ("one", "c"), ("two", "b")]
    assert sorted((job["cell"], job["arm"], job["seed"]) for job in failures.now) == [(*pair, seed) for pair in left for seed in (0, 1)]
    assert set(done(launch)) == {
        (cell.name, arm.name, seed) for cell in CELLS for arm in ARMS for seed in (0, 1, 2) if (cell.name, arm.name) not in left
    }
    said = failures.said()
    assert "one: b, seed 0 failed: ValueError: no\nthere" in said
    assert "one: b, seed 2 (failed with 2 seeds in this start)" in said
    assert said.count("(failed with 2 seeds in this start)") == 3


def test_a_failure_that_passes_costs_one_seed(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory was short once: the next seed of the arm is run, and what needs its model."""
    keep(kept_folder(launch.out, CELLS[0], "a", 1), made_as(DESIGN, CELLS[0], ARMS[0]), "exploded", "", None)
    keep_models(launch.out, "two")
    processes(monkeypatch, fails=[["one", "a", 0]])
    failures = Failures(DESIGN, launch.out)
    work_off(launch, "lab", missing(launch, failures)[0], failures)
    everything = {(cell.name, arm.name, seed) for cell in CELLS for arm in ARMS for seed in (0, 1)}
    assert everything - set(done(launch)) == {("one", "a", 0), ("one", "needs a", 0)}
    # it is all that the next start has to do, and that is not forgotten by what another seed did
    assert Failures(DESIGN, launch.out).before == {("one", "a", 0)}


def test_what_was_in_hand_at_the_end_has_not_failed(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, with a run of each of two processes in hand."""
    keep_models(launch.out, "one", "two")
    marker = launch.out / "hangs"
    begun = processes(monkeypatch, hangs=[["two", "a", 0]], marker=marker)

    def interrupted(*_: Any) -> str:
        deadline = time.monotonic() + 30
        while not marker.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(working_off, "_settle", interrupted)
    design = replace(DESIGN, settings={"lab": replace(SETTINGS, workers=2)})
    two, failures = replace(launch, design=design), Failures(design, launch.out)
    with pytest.raises(KeyboardInterrupt):
        work_off(two, "lab", missing(two, failures)[0], failures)
    assert marker.exists(), "else nothing was in hand"
    assert len(begun) == 2
    assert all(process.poll() is not None for process in begun)
    assert failures.said() == ""
    assert not (launch.out / FAILED_FILE).exists()
    # and the next start begins where this one would have gone on
    first, last = missing(two, Failures(design, launch.out))
    assert ([len(block) for block in first], last) == ([5] * 4, [])


def test_three_different_arms_end_it_and_come_last_in_the_next_start(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_models(launch.out, "one", "two")
    fails = [["one", name] for name in ("a", "b", "c")]
    processes(monkeypatch, fails=fails)
    failures = Failures(DESIGN, launch.out)
    work_off(launch, "lab", missing(launch, failures)[0], failures)
    assert failures.too_many
    assert done(launch) == [], "the first three jobs failed"
    work_off(launch, "lab", missing(launch, failures)[0], failures)
    assert done(launch) == [], "nothing is begun any more"
    # it may have been the seed: those runs come last, and the next seed is tried in its turn
    again = Failures(DESIGN, launch.out)
    assert again.before == {("one", name, 0) for name in ("a", "b", "c")}
    first, last = missing(launch, again)
    assert ([len(block) for block in first], [len(block) for block in last]) == ([1, 5, 5, 5], [4])
    for blocks in (first, last):
        work_off(launch, "lab", blocks, again)
    # which of the two cells was first with the next seed hangs on how soon the answers were read
    assert {("one", "d", 0), *(("two", arm.name, 0) for arm in ARMS)} <= set(done(launch))
    assert ("one", "d", 1) not in done(launch)
    assert again.too_many
    # it was not: the same three fail again, behind all that does not
    last_of_all = Failures(DESIGN, launch.out)
    first, last = missing(launch, last_of_all)
    assert {job["arm"] for block in first for job in block if job["cell"] == "one"} == {"d"}
    assert [[job["arm"] for job in block] for block in last] == [["a", "b", "c", "needs a"]] * 2
    for blocks in (first, last):
        work_off(launch, "lab", blocks, last_of_all)
    assert len(done(launch)) == 12
    assert last_of_all.too_many
    # mended: all is done, and nothing is known of what failed
    processes(monkeypatch)
    mended = Failures(DESIGN, launch.out)
    for blocks in missing(launch, mended):
        work_off(launch, "lab", blocks, mended)
    assert len(done(launch)) == 20
    assert (mended.said(), Failures(DESIGN, launch.out).before) == ("", frozenset())
    assert json.loads((launch.out / FAILED_FILE).read_text())["failed"] == []


def test_a_run_waits_for_the_model_of_one_that_failed(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_models(launch.out, "two")
    processes(monkeypatch, fails=[["one", "a"]])
    failures = Failures(DESIGN, launch.out)
    work_off(launch, "lab", missing(launch, failures)[0], failures)
    assert ("one", "needs a") not in {run[:2] for run in done(launch)}
    assert ("two", "needs a", 1) in done(launch)
    assert "one: needs a, seed 0 (it needs a: the model that it left (models/one-a-0) is gone)" in failures.said()
    # it is missing, so the next start makes it when the model is there
    keep_models(launch.out, "one")
    processes(monkeypatch)
    again = Failures(DESIGN, launch.out)
    for blocks in missing(launch, again):
        work_off(launch, "lab", blocks, again)
    assert {("one", "needs a", 0), ("one", "needs a", 1), ("one", "a", 0)} <= set(done(launch))


def test_a_process_that_ends_is_replaced_once(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_models(launch.out, "one", "two")
    begun = processes(monkeypatch, dies=[["one", "b"], ["two", "b"]])
    failures = Failures(DESIGN, launch.out)
    work_off(launch, "lab", missing(launch, failures)[0], failures)
    # it dies in the first cell, and again in the second, which is the end of it
    assert [process.returncode for process in begun] == [7, 7]
    assert done(launch) == [("one", name, 0) for name in ("a", "c", "d", "needs a")] + [("two", "a", 0)]
    assert [job["failed"] for job in failures.now] == ["the process ended (7)"] * 2


def test_another_base_is_refused_and_removed(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    processes(monkeypatch)
    take_in({"kind": "run", "cell": "one", "arm": "b", "seed": 0, "environment": {}}, launch.results)
    monkeypatch.setattr(working_off, "why_another_base", lambda answer, results, fixed: "" if answer["cell"] == "two" else "other bits")
    failures = Failures(DESIGN, launch.out)
    work_off(launch, "lab", [[{"kind": "base", "cell": cell.name}] for cell in CELLS], failures)
    assert failures.said() == "one: base failed: other bits\n"
    assert [cell["base"] for cell in launch.results["cells"]] == [{"correct": [1]}, {"more": {}}]
    assert [base_folder(launch.out, cell).exists() for cell in CELLS] == [False, True]
    first, _ = missing(launch, failures)
    assert {job["cell"] for block in first for job in block} == {"two"}


def test_the_longest_goes_first() -> None:
    def block(cell: str, seed: int, *arms: str) -> list[dict[str, Any]]:
        return [{"kind": "run", "cell": cell, "arm": arm, "seed": seed} for arm in arms]

    done: list[dict[str, Any]] = []
    waiting = Waiting([block(cell, seed, "a", "b") for seed in (0, 1, 2) for cell in ("short", "long", "new")], done)

    def take() -> str:
        taken = waiting.take()
        assert taken is not None
        return f"{taken[0]['cell']} {taken[0]['seed']}"

    # nothing is known: in their order
    assert [take(), take(), take()] == ["short 0", "long 0", "new 0"]
    done += [{"cell": "short", "arm": "a", "seconds": 5.0}, {"cell": "short", "arm": "b", "seconds": 1.0}]
    # b of `long` is not known, so as long as a: 8 against 5 + 1; and what is not known at all goes first
    done += [{"cell": "long", "arm": "a", "seconds": 3.0}, {"cell": "long", "arm": "a", "seconds": 5.0}]
    assert [take(), take(), take()] == ["new 1", "long 1", "short 1"]
    done += [{"cell": "new", "arm": "a", "seconds": 3.5}]
    assert [take(), take(), take()] == ["long 2", "new 2", "short 2"]
    assert waiting.take() is None


def test_models_are_made_one_after_the_other_and_one_that_fails_is_passed_over(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def build(spec: LabSpec, *, quiet: bool) -> Path:
        made.append(spec.seed)
        if spec.seed == 0:
            raise RuntimeError("no gold answers")
        return Path("lab")

    monkeypatch.setattr(running, "build", build)
    failures = Failures(DESIGN, launch.out)
    without = replace(CELLS[0], name="three", lab=None)
    assert running.make_models(launch, [*CELLS, without], failures) == [CELLS[1], without]
    assert made == [0, 1]
    assert "one: base failed: its lab model cannot be made: RuntimeError: no gold answers\nTraceback" in failures.said()


THIRD = replace(CELLS[0], name="third", group="next", lab=None)
TWO_GROUPS = replace(DESIGN, cells=(*CELLS, THIRD), arms=ARMS[1:3], settings={"lab": SETTINGS, "next": SETTINGS})


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A study of two groups, whose models are there: where it was written."""
    monkeypatch.setattr(running, "load_design", lambda name, scale: TWO_GROUPS)
    monkeypatch.setattr(running, "build", lambda spec, *, quiet: Path("lab"))
    found: list[Path] = []
    monkeypatch.setattr("jominy.studies.writing.write_study", lambda out, results: found.append(out))
    for cell in TWO_GROUPS.cells[1:]:
        RunFolder(base_folder(tmp_path, cell)).write_run({"status": "finished"})
    return found


def ran(out: Path) -> set[tuple[str, str, int]]:
    return {(run["cell"], run["arm"], run["seed"]) for run in json.loads((out / RESULTS_FILE).read_text())["runs"]}


def all_runs(*cells: str) -> set[tuple[str, str, int]]:
    return {(cell, arm, seed) for cell in cells for arm in ("b", "c") for seed in (0, 1)}


def test_a_cell_that_fails_does_not_keep_the_others_from_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Path]
) -> None:
    """The base of one cell fails; the other one has its runs, and so has the next group."""
    processes(monkeypatch, fails=[["one", None]])
    with pytest.raises(running.StudyFailed, match=r"^one: base failed: ValueError: no\nthere$"):
        running.study(DESIGN.study, tmp_path, quiet=True)
    assert ran(tmp_path) == all_runs("two", "third")
    assert written == [tmp_path]


def test_claims_that_need_all_cells_have_no_runs_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Path]) -> None:
    """The base of one cell fails: no run of its group, but those of the next; then it does not, and all are made."""
    needs_all = replace(load_study(DESIGN.study), needs_all=True)
    monkeypatch.setattr(running, "load_study", lambda name: needs_all)
    processes(monkeypatch, fails=[["one", None]])
    with pytest.raises(running.StudyFailed, match=r"^one: base failed: ValueError: no\nthere\nno run of group lab was begun: the claims"):
        running.study(DESIGN.study, tmp_path, quiet=True)
    assert ran(tmp_path) == all_runs("third")
    assert written == [tmp_path], "what is there is shown"
    RunFolder(base_folder(tmp_path, CELLS[0])).write_run({"status": "finished"})
    processes(monkeypatch)
    running.study(DESIGN.study, tmp_path, quiet=True)
    assert ran(tmp_path) == all_runs("one", "two", "third")


def test_no_seeds_measure_bases_and_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Path]) -> None:
    """The last look before a night: every base is measured, and refused if it is to be."""
    made: list[int] = []
    monkeypatch.setattr(running, "build", lambda spec, *, quiet: made.append(spec.seed))
    processes(monkeypatch, fails=[["two", None]])
    with pytest.raises(running.StudyFailed, match=r"^two: base failed"):
        running.study(DESIGN.study, tmp_path, seeds=0, quiet=True)
    begun = processes(monkeypatch)
    running.study(DESIGN.study, tmp_path, seeds=0, quiet=True)
    cells = json.loads((tmp_path / RESULTS_FILE).read_text())["cells"]
    assert [cell["base"] for cell in cells] == [{"more": {}}] * 3
    assert ran(tmp_path) == set()
    # both models, then that of the base that lacked; and then there is nothing left to look at
    assert (made, len(begun)) == ([0, 1, 1], 1)
    running.study(DESIGN.study, tmp_path, seeds=0, quiet=True)
    assert (made, len(begun)) == ([0, 1, 1], 1)
    assert written == [tmp_path] * 3
    with pytest.raises(ValueError, match="0 or more; got -1"):
        running.study(DESIGN.study, tmp_path, seeds=-1, quiet=True)


def test_which_studies_need_all_cells() -> None:
    assert [name for name in STUDIES if load_study(name).needs_all] == ["decisions"]
