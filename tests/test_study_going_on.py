"""A study that loses things: jobs that fail, numbers that are NaN, models that are gone or were made otherwise."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from jominy.lab import LabSpec
from jominy.studies import running
from jominy.studies.design import Arm, Cell, Design, Settings
from jominy.studies.jobs import Bench
from jominy.studies.kept import is_kept, keep, kept_folder, why_no_model, why_unknown
from jominy.studies.results import made_as, read_results, write_results
from jominy.studies.worker import work

CELL = Cell(name="one, cell", group="lab", model="m", task="arithmetic", lab=LabSpec(tasks=("arithmetic",)))
SETTINGS = Settings(seeds=2, steps=2, prompts=2, rollouts=2, max_tokens=4, learning_rate=1e-3)


def arm(name: str, **more: Any) -> Arm:
    return Arm(name=name, title=name, family="f", recipe="grpo", reward="random", **more)


DESIGN = Design(
    study="alignment",
    scale="smoke",
    cells=(CELL,),
    arms=(arm("first"), arm("other", learning_rate=1e-2), arm("second", against=("first",))),
    settings={"lab": SETTINGS},
)
MADE = made_as(DESIGN, CELL, DESIGN.arm("first"))


def answered(name: str, seed: int) -> dict[str, Any]:
    """A job that was done."""
    return {"kind": "run", "cell": CELL.name, "arm": name, "seed": seed, "environment": {"python": "3.11"}, "number": seed}


def blocks(results: dict[str, Any], out: Path) -> list[list[tuple[str, int]]]:
    found = running._runs(DESIGN, "lab", SETTINGS, results, out)
    return [[(job["arm"], job["seed"]) for job in block] for block in found]


def with_runs(out: Path, *pairs: tuple[str, int]) -> dict[str, Any]:
    results = read_results(out, DESIGN)
    for name, seed in pairs:
        running._take_in(answered(name, seed), results)
    return results


def test_a_model_that_is_gone_is_made_again_while_it_is_needed(tmp_path: Path) -> None:
    assert is_kept(DESIGN, "first")
    assert not is_kept(DESIGN, "other")
    results = with_runs(tmp_path, ("first", 0), ("other", 0), ("first", 1), ("second", 1), ("other", 1))
    assert blocks(results, tmp_path) == [[("first", 0), ("second", 0)]]
    folder = kept_folder(tmp_path, CELL, "first", 0)
    keep(folder, MADE, "finished", "", lambda path: (path / "weights").mkdir(parents=True))
    assert (folder.name, why_no_model(folder, MADE)) == ("one-cell-first-0", "")
    assert (folder / "weights").is_dir()
    assert blocks(results, tmp_path) == [[("second", 0)]]
    # the arm that needed it is done, so nothing is missing
    assert blocks(with_runs(tmp_path, ("first", 0), ("other", 0), ("second", 0)), tmp_path / "empty")[0] == [
        (name, 1) for name in ("first", "other", "second")
    ]


def test_a_model_of_other_settings_is_none(tmp_path: Path) -> None:
    folder = kept_folder(tmp_path, CELL, "first", 0)
    keep(folder, MADE, "finished", "", lambda path: path.mkdir(parents=True))
    longer = replace(DESIGN, settings={"lab": replace(SETTINGS, steps=3)})
    assert "was made with other settings" in why_unknown(folder, made_as(longer, CELL, DESIGN.arm("first")))
    faster = replace(DESIGN.arm("first"), learning_rate=0.5)
    assert "was made with other settings" in why_no_model(folder, made_as(DESIGN, CELL, faster))
    # how much is measured decides nothing about a model
    more = replace(DESIGN, settings={"lab": replace(SETTINGS, eval_prompts=99)})
    assert why_no_model(folder, made_as(more, CELL, DESIGN.arm("first"))) == ""


def test_a_run_that_exploded_is_not_called_gone(tmp_path: Path) -> None:
    folder = kept_folder(tmp_path, CELL, "first", 0)
    assert "(models/one-cell-first-0) is gone" in why_no_model(folder, MADE)
    keep(folder, MADE, "exploded", "the loss is NaN", lambda path: path.mkdir(parents=True))
    assert why_no_model(folder, MADE) == "its run ended without a model (exploded: the loss is NaN)"
    assert why_unknown(folder, MADE) == "", "to run it again would end the same way"
    assert [path.name for path in folder.iterdir()] == ["kept.json"]
    # killed between the model and the file beside it
    (folder / "kept.json").unlink()
    assert why_unknown(folder, MADE)


def test_a_run_that_is_made_again_takes_the_place_of_the_old(tmp_path: Path) -> None:
    results = with_runs(tmp_path, ("first", 0), ("other", 0))
    running._take_in({**answered("first", 0), "number": 7}, results)
    assert [(run["arm"], run["number"]) for run in results["runs"]] == [("first", 7), ("other", 0)]


def test_an_arm_may_have_a_learning_rate_of_its_own(tmp_path: Path) -> None:
    design = replace(DESIGN, cells=(replace(CELL, lab=None),))
    bench = Bench(design, tmp_path, tmp_path)
    rates = [bench.spec_of(design.cells[0], one, 0).update.learning_rate for one in design.arms]
    assert rates == [1e-3, 1e-2, 1e-3]
    described = {one["name"]: one for one in read_results(tmp_path, design)["arms"]}
    assert described["other"]["learning_rate"] == 1e-2
    assert described["second"]["against"] == ["first"]
    assert {"learning_rate", "against"}.isdisjoint(described["first"]), "files of before there were any stay as they are"
    write_results(tmp_path, with_runs(tmp_path, ("first", 0)))
    changed = replace(DESIGN, arms=(DESIGN.arms[0], replace(DESIGN.arms[1], learning_rate=1e-4), DESIGN.arms[2]))
    with pytest.raises(ValueError, match="runs of another other"):
        read_results(tmp_path, changed)


class Failing:
    """A bench whose jobs end in what they are told."""

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        raised = {"assertion": AssertionError("two prompts are one"), "key": KeyError("more"), "zero": ZeroDivisionError("no tokens")}
        if job["ends"] in raised:
            raise raised[job["ends"]]
        return {**job, "found": float("nan") if job["ends"] == "nan" else 1.0}


def test_our_own_mistakes_and_nan_are_answered_with_their_job() -> None:
    answers = io.StringIO()
    bench: Any = Failing()
    ends = ("assertion", "key", "zero", "nan", "well")
    work(bench, [json.dumps({"ends": end}) for end in ends], answers)
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [one["ends"] for one in found] == list(ends)
    said = ["AssertionError: two prompts are one", "KeyError: 'more'", "ZeroDivisionError: no tokens", "ValueError: Out of range float"]
    assert all(one["failed"].startswith(words) for one, words in zip(found, said, strict=False))
    assert all("Traceback" in one["traceback"] for one in found[:4])
    assert found[4] == {"ends": "well", "found": 1.0}


class Answering:
    """A worker without a process: some jobs fail."""

    failing: tuple[tuple[str, int], ...] = ()

    def __init__(self, design: Design, out: Path, threads: int, queue: Queue[Any], answers: Queue[Any], deadline: float | None) -> None:
        while not queue.empty():
            for job in queue.get():
                failed = (job["arm"], job["seed"]) in self.failing
                answers.put({**job, "failed": "ValueError: no", "traceback": "there"} if failed else answered(job["arm"], job["seed"]))
        answers.put(None)

    def end(self) -> None:
        """Nothing to end."""


@pytest.mark.parametrize(
    ("failing", "done"),
    [
        ((("first", 0), ("other", 1)), [("other", 0), ("second", 0), ("first", 1), ("second", 1)]),
        # the third failure ends it
        ((("first", 0), ("second", 0), ("first", 1)), [("other", 0)]),
    ],
)
def test_a_job_that_fails_does_not_keep_the_others_from_being_done(
    failing: tuple[tuple[str, int], ...], done: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "failing", failing)
    monkeypatch.setattr(running, "_Worker", Answering)
    results = read_results(tmp_path, DESIGN)
    wanted = running._runs(DESIGN, "lab", SETTINGS, results, tmp_path)
    with pytest.raises(running.StudyFailed) as caught:
        running._work_off(DESIGN, "lab", SETTINGS, wanted, results, tmp_path, None, quiet=True)
    assert [(run["arm"], run["seed"]) for run in results["runs"]] == done
    assert all(f"one, cell: {name}, seed {seed} failed: ValueError: no" in str(caught.value) for name, seed in failing)
    # what failed is missing, so it is tried again
    assert {pair for block in blocks(results, tmp_path) for pair in block} >= set(failing)


def test_a_group_that_fails_does_not_keep_the_next_from_being_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def work_off(design: Design, group: str, *given: Any, **how: Any) -> None:
        begun.append(group)
        if group != "third":
            raise running.StudyFailed(f"{group} is broken")

    design = replace(DESIGN, settings={"lab": SETTINGS, "second": SETTINGS, "third": SETTINGS})
    monkeypatch.setattr(running, "load_design", lambda name, scale: design)
    monkeypatch.setattr(running, "_work_off", work_off)
    written: list[Path] = []
    monkeypatch.setattr("jominy.studies.writing.write_study", lambda out, results: written.append(out))
    with pytest.raises(running.StudyFailed, match=r"^lab is broken\nsecond is broken$"):
        running.study(DESIGN.study, tmp_path, quiet=True)
    # a group whose base models fail has no runs
    assert begun == ["lab", "second", "third", "third"]
    assert written == [tmp_path]
