"""A study that loses things: numbers that are NaN, models and bases that are gone or were made otherwise."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jominy.lab import LabSpec
from jominy.store import RunFolder
from jominy.studies import jobs
from jominy.studies.design import Arm, Cell, Design, Settings
from jominy.studies.folders import base_folder
from jominy.studies.jobs import Bench
from jominy.studies.kept import is_kept, keep, keep_more, kept_folder, read_more, why_no_model, why_unknown
from jominy.studies.missing import bases, pending, runs
from jominy.studies.results import made_as, read_results, take_in, why_another_base, write_results
from jominy.studies.study import BaseRefused
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
    return {"kind": "run", "cell": CELL.name, "arm": name, "seed": seed, "environment": {"python": "3.11"}, "number": seed, "seconds": 1.0}


def base_there(out: Path, results: dict[str, Any]) -> dict[str, Any]:
    """The base is known, and its rollouts are in the folder."""
    take_in({"kind": "base", "cell": CELL.name, "base": {"correct": [1]}}, results)
    RunFolder(base_folder(out, CELL)).write_run({"status": "finished"})
    return results


def blocks(results: dict[str, Any], out: Path, failed: set[tuple[str, str, int]] | None = None) -> list[list[tuple[str, int]]]:
    """Of both kinds, with the base there."""
    found = runs(DESIGN, [CELL], SETTINGS, base_there(out, results), out, failed or set())
    return [[(job["arm"], job["seed"]) for job in block] for kind in found for block in kind]


def with_runs(out: Path, *pairs: tuple[str, int]) -> dict[str, Any]:
    results = read_results(out, DESIGN)
    for name, seed in pairs:
        take_in(answered(name, seed), results)
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
    take_in({**answered("first", 0), "number": 7}, results)
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
    # it may have another one while no run of it is there
    write_results(tmp_path, with_runs(tmp_path, ("first", 0)))
    changed = replace(DESIGN, arms=(DESIGN.arms[0], replace(DESIGN.arms[1], learning_rate=1e-4), DESIGN.arms[2]))
    assert [one.get("learning_rate") for one in read_results(tmp_path, changed)["arms"]] == [None, 1e-4, None]
    write_results(tmp_path, with_runs(tmp_path, ("first", 0), ("other", 0)))
    with pytest.raises(ValueError, match="runs of another other"):
        read_results(tmp_path, changed)


def with_settings(**changes: Any) -> Design:
    return replace(DESIGN, settings={"lab": replace(SETTINGS, **changes)})


def test_what_no_base_depends_on_may_change_while_no_run_is_made(tmp_path: Path) -> None:
    """A learning rate is chosen behind the bases, which took long; what they were measured with stays."""
    write_results(tmp_path, base_there(tmp_path, read_results(tmp_path, DESIGN)))
    there = read_results(tmp_path, with_settings(learning_rate=3e-4, steps=9, seeds=5))
    assert [there["settings"]["lab"][name] for name in ("learning_rate", "steps", "seeds", "max_tokens")] == [3e-4, 9, 5, 4]
    assert there["cells"][0]["base"] == {"correct": [1]}
    with pytest.raises(ValueError, match=r"other settings: max_tokens of lab was 4, now 8; choose"):
        read_results(tmp_path, with_settings(learning_rate=3e-4, max_tokens=8))
    # a run of any arm was made with all of them
    write_results(tmp_path, base_there(tmp_path, with_runs(tmp_path, ("other", 0))))
    with pytest.raises(ValueError, match=r"other settings: learning_rate of lab was 0\.001, now 0\.0003; choose"):
        read_results(tmp_path, with_settings(learning_rate=3e-4))
    assert read_results(tmp_path, DESIGN)["settings"]["lab"]["learning_rate"] == 1e-3


class Failing:
    """A bench whose jobs end in what they are told."""

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        if job["ends"] == "refused":
            raise BaseRefused("the warm start is no good")
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
    # what is said to a person is said alone
    answers = io.StringIO()
    work(bench, ['{"ends": "refused"}'], answers)
    assert json.loads(answers.getvalue()) == {"ends": "refused", "failed": "the warm start is no good", "traceback": ""}


def test_what_failed_comes_last_with_what_needs_it(tmp_path: Path) -> None:
    nothing = read_results(tmp_path, DESIGN)
    seeds = (0, 1)
    # other is on its own; with one seed it may have failed by chance, so only that one waits
    assert blocks(nothing, tmp_path, {(CELL.name, "other", 0)}) == [
        [("first", 0), ("second", 0)],
        [("first", 1), ("other", 1), ("second", 1)],
        [("other", 0)],
    ]
    # with two it waits with all seeds, also with those that it was not tried with
    assert blocks(nothing, tmp_path, {(CELL.name, "other", seed) for seed in (0, 2)}) == [
        *([("first", seed), ("second", seed)] for seed in seeds),
        *([("other", seed)] for seed in seeds),
    ]
    assert blocks(nothing, tmp_path, {("another cell", "other", seed) for seed in (0, 2)})[0] == [
        (name, 0) for name in ("first", "other", "second")
    ]
    # second needs the model of first
    assert blocks(nothing, tmp_path, {(CELL.name, "first", seed) for seed in seeds}) == [
        *([("other", seed)] for seed in seeds),
        *([("first", seed), ("second", seed)] for seed in seeds),
    ]
    # the model of first is there, so second does not wait
    keep(kept_folder(tmp_path, CELL, "first", 0), MADE, "finished", "", lambda path: path.mkdir(parents=True))
    results = with_runs(tmp_path, ("first", 0), ("other", 0), ("first", 1), ("other", 1), ("second", 1))
    assert blocks(results, tmp_path, {(CELL.name, "first", 0)}) == [[("second", 0)]]


def test_a_base_is_measured_where_a_missing_run_needs_it(tmp_path: Path) -> None:
    results = read_results(tmp_path, DESIGN)
    assert pending(DESIGN, "lab", SETTINGS, results) == [CELL]
    assert bases([CELL], results, tmp_path) == [[{"kind": "base", "cell": CELL.name}]]
    # known, but its rollouts are gone
    take_in({"kind": "base", "cell": CELL.name, "base": {"correct": [1]}}, results)
    assert bases([CELL], results, tmp_path) == [[{"kind": "base", "cell": CELL.name}]]
    assert runs(DESIGN, [CELL], SETTINGS, results, tmp_path, set()) == ([], []), "no run without a base"
    assert bases([CELL], base_there(tmp_path, results), tmp_path) == []
    # all runs are there, so nobody needs the base or a model
    done = with_runs(tmp_path, *((one.name, seed) for one in DESIGN.arms for seed in (0, 1)))
    assert pending(DESIGN, "lab", SETTINGS, base_there(tmp_path, done)) == []
    assert pending(DESIGN, "lab", replace(SETTINGS, seeds=3), done) == [CELL]


def test_another_base_than_that_of_the_runs(tmp_path: Path) -> None:
    results = with_runs(tmp_path, ("first", 0))

    def base(states: list[bool], credit: float) -> dict[str, Any]:
        return {"kind": "base", "cell": CELL.name, "base": {"correct": [1], "more": {"bank": states, "credit": credit}}}

    assert why_another_base(base([True], 0.5), results, ("bank",)) == "", "there was none"
    take_in(base([True, False], 0.5), results)
    assert why_another_base(base([True, False], 0.4), results, ("bank",)) == "", "no run refers to what differs"
    assert why_another_base(base([False, True], 0.5), results, ()) == ""
    why = why_another_base(base([False, True], 0.5), results, ("bank",))
    assert why.startswith("its base is another one than that of its 1 runs (bank differ)")
    assert why_another_base(base([True, False], 0.5), results, ("bank", "what this cell has not")) == ""
    without = {**results, "runs": []}
    assert why_another_base(base([False, True], 0.5), without, ("bank",)) == ""


def test_a_base_that_is_refused_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    least = 3

    def measure_base(cell: Cell, settings: Settings, scratch: Path, folder: Path) -> dict[str, Any]:
        measured.append(cell.name)
        RunFolder(folder).write_run({"status": "finished"})
        return {"correct": [1]}

    def check(cell: Cell, settings: Settings, more: Any) -> None:
        if more["room"] < least:
            raise ValueError(f"{cell.name} has room {more['room']} of {least}")

    monkeypatch.setattr(jobs, "measure_base", measure_base)
    bench = Bench(DESIGN, tmp_path, tmp_path)
    bench.study = replace(bench.study, more_of_base=lambda folder, cell, settings: {"room": settings.max_tokens / 2}, check_base=check)
    for _ in range(2):
        with pytest.raises(BaseRefused, match=r"one, cell has room 2\.0 of 3"):
            bench.base(CELL)
    assert measured == [CELL.name]
    # nothing about the base changed, but what it has to be, and how long runs are
    least = 1
    bench.design = replace(DESIGN, settings={"lab": replace(SETTINGS, steps=9)})
    assert bench.base(CELL) == {"correct": [1], "more": {"room": 2.0}}
    assert len(measured) == 1
    bench.design = replace(DESIGN, settings={"lab": replace(SETTINGS, max_tokens=8)})
    assert bench.base(CELL)["more"] == {"room": 4.0}
    bench.design = DESIGN
    assert bench.base(replace(CELL, task="arithmetic:digits=1"))["more"] == {"room": 2.0}
    assert len(measured) == 3


def test_what_was_measured_on_a_kept_model_goes_with_it(tmp_path: Path) -> None:
    folder = kept_folder(tmp_path, CELL, "first", 0)
    keep(folder, MADE, "finished", "", lambda path: path.mkdir(parents=True))
    assert read_more(folder) is None
    keep_more(folder, {"further": {"far": [1, 2]}})
    bench = Bench(DESIGN, tmp_path, tmp_path)
    left = bench._left(CELL, "first", 0)
    assert (left.why_none, left.more) == ("", {"further": {"far": [1, 2]}})
    longer = replace(DESIGN, settings={"lab": replace(SETTINGS, steps=3)})
    assert Bench(longer, tmp_path, tmp_path)._left(CELL, "first", 0).more is None, "it is that of another run"
    keep(folder, MADE, "finished", "", lambda path: path.mkdir(parents=True))
    assert read_more(folder) is None
