"""A study: every arm in every cell, killed and gone on with, the same bits from a held engine as from a fresh one."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jominy.engines.trainer import LocalTrainer
from jominy.specs import EvaluateSpec, RunSpec, UpdateSpec
from jominy.steplog import read_steps
from jominy.studies import alignment
from jominy.studies.design import Design
from jominy.studies.holding import HeldTrainer
from jominy.studies.jobs import Bench
from jominy.studies.results import RESULTS_FILE, read_results, write_results
from jominy.studies.running import load_design, study
from jominy.training import train
from tests import tiny

TIMES = {"sampling_s", "grading_s", "update_s", "step_s", "sampling_tokens_per_s", "update_tokens_per_s", "memory_gib"}


def results_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RESULTS_FILE).read_text())
    return found


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke scale, its first seed alone, as a study that was stopped early."""
    out = tmp_path_factory.mktemp("study") / "alignment"
    study("alignment", out, scale="smoke", seeds=1, quiet=True)
    return out


def test_a_study_that_was_stopped_goes_on_and_keeps_what_it_had(smoke: Path) -> None:
    first = results_in(smoke)
    design = load_design("alignment", "smoke")
    pairs = {(cell.name, arm.name) for cell in design.cells for arm in design.arms}
    assert {(run["cell"], run["arm"]) for run in first["runs"]} == pairs
    assert {run["seed"] for run in first["runs"]} == {0}
    study("alignment", smoke, scale="smoke", quiet=True)
    whole = results_in(smoke)
    assert whole["runs"][: len(first["runs"])] == first["runs"]
    assert {(run["cell"], run["arm"], run["seed"]) for run in whole["runs"]} == {(*pair, seed) for pair in pairs for seed in (0, 1)}
    assert all(cell["base"]["num_rollouts"] == 8 for cell in whole["cells"])
    assert {"README.md", "report.html"} <= {path.name for path in smoke.iterdir()}


def test_arms_of_a_seed_start_from_the_same_held_out_answers(smoke: Path) -> None:
    found: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    for run in results_in(smoke)["runs"]:
        found.setdefault((run["cell"], run["seed"]), set()).add(tuple(run["before"]))
        assert run["after"] is not None
        assert len(run["before"]) == len(run["after"])
        assert all(0 <= right <= run["num_rollouts"] for right in run["before"] + run["after"])
    assert all(len(before) == 1 for before in found.values())


def test_one_shot_trains_on_one_prompt(smoke: Path) -> None:
    runs = results_in(smoke)["runs"]
    assert {run["unique_prompts"] for run in runs if run["arm"] == "one_shot_1" and run["reward"]} == {1}
    assert all(run["unique_prompts"] > 1 for run in runs if run["arm"] == "random")
    assert all(run["unique_live_prompts"] <= run["unique_prompts"] for run in runs)


def test_a_held_engine_gives_the_bits_of_a_fresh_one(tmp_path: Path) -> None:
    """Twice in a row on one held engine, another recipe in between: the second time is the first, and is what `train` alone does."""
    start = tiny.save("llama", tmp_path / "start")
    spec = RunSpec(
        task="arithmetic:digits=1",
        model=str(start),
        steps=2,
        prompts=2,
        rollouts=4,
        max_tokens=6,
        data=replace(RunSpec().data, reward="random"),
        update=UpdateSpec(learning_rate=1e-2),
        evaluate=EvaluateSpec(eval_every=2, eval_prompts=4, eval_rollouts=2),
    )
    held = HeldTrainer(str(start), spec.temperature, spec.update)

    def again(run: RunSpec, name: str) -> list[dict[str, Any]]:
        held.reset(run.update)
        train(run, tmp_path / name, quiet=True, load_trainer=lambda *_: held)
        return lines_of(tmp_path / name)

    def load(run: RunSpec, model: str, checkpoint: Path | None) -> LocalTrainer:
        return LocalTrainer(model, checkpoint=checkpoint, temperature=run.temperature, settings=run.update)

    train(spec, tmp_path / "fresh", quiet=True, load_trainer=load)
    fresh = lines_of(tmp_path / "fresh")
    assert again(spec, "first") == fresh
    assert again(replace(spec, recipe="reinforce"), "other") != fresh
    assert again(spec, "second") == fresh
    assert not (tmp_path / "second" / "model").exists()


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Steps without their seconds, and the right answers of both evaluations."""
    steps = [{name: value for name, value in line.items() if name not in TIMES} for line in read_steps(folder)]
    evaluations = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    return [*steps, *({"pass_at_1": line["pass_at_1"], "length": line["mean_length"]} for line in evaluations)]


def test_a_run_without_a_gradient_ends_where_it_began(tmp_path: Path) -> None:
    model = str(tiny.save("llama", tmp_path / "m"))
    cell = replace(alignment.LAB_CELLS[0], lab=None, model=model)
    arm = replace(alignment.ARMS[1], recipe="grpo", reward="random:gamma=0")
    bench = Bench(replace(load_design("alignment", "smoke"), cells=(cell,), arms=(arm,)), tmp_path)
    found = bench.run(cell, arm, 0)
    assert found["status"] == "no gradient"
    assert found["after"] == found["before"]
    assert len(found["before"]) == 8
    assert found["first_live_step"] is None
    assert "carried a gradient" in found["why"]


def test_the_full_design_is_what_the_issue_asks_for() -> None:
    design = load_design("alignment", "full")
    models = {cell.model for cell in design.cells}
    assert models == {"adder", "speller", "misled", "smollm2"}
    assert sum(cell.model == "smollm2" for cell in design.cells) >= 4
    assert len({arm.name for arm in design.arms}) == len(design.arms) == 15
    assert design.settings["lab"].seeds == 5
    assert design.settings["smollm2"].seeds == 3
    assert {(cell.group, arm.name) for cell, arm, _ in design.not_defined()} == {("smollm2", "majority")}


def test_another_study_in_the_folder_is_refused(tmp_path: Path) -> None:
    design = load_design("alignment", "smoke")
    write_results(tmp_path, read_results(tmp_path, design))
    assert read_results(tmp_path, design)["runs"] == []
    longer = {"lab": replace(design.settings["lab"], steps=99)}
    other: list[tuple[Design, str]] = [
        (load_design("alignment", "full"), "another scale"),
        (replace(design, settings=longer), "another settings"),
    ]
    for changed, message in other:
        with pytest.raises(ValueError, match=message):
            read_results(tmp_path, changed)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="no study 'alignmnt'; there are alignment"):
        load_design("alignmnt", "smoke")
    with pytest.raises(ValueError, match="no scale 'huge'; there are smoke, full"):
        load_design("alignment", "huge")


def test_memory_is_bounded(tmp_path: Path) -> None:
    from jominy.records import Sampling
    from jominy.studies.holding import REMEMBERED, Remembering
    from jominy.tasks.loading import load_task

    trainer = LocalTrainer(str(tiny.save("llama", tmp_path / "m")), checkpoint=None, temperature=1.0, settings=UpdateSpec())
    memory: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
    engine = Remembering(trainer.sampler(0), memory)
    prompts = load_task("arithmetic:digits=1").prompts(2, 0)

    def texts(seed: int) -> list[list[str]]:
        return [[rollout.text for rollout in group] for group in engine.sample(prompts, 2, Sampling(max_tokens=3), seed)]

    drawn = [texts(seed) for seed in range(REMEMBERED + 2)]
    assert len(memory) == REMEMBERED
    assert texts(REMEMBERED + 1) == drawn[-1]
    # forgotten, and drawn again
    assert texts(0) == drawn[0]


def test_a_process_that_dies_is_said_and_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the processes end at once: they cannot import what they run
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ValueError, match="base failed: the process ended"):
        study("alignment", tmp_path, scale="smoke", quiet=True)
