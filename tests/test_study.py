"""A study: every arm in every cell, killed and gone on with, the same bits from a held engine as from a fresh one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.engines import Explosion
from jominy.engines.trainer import LocalTrainer
from jominy.records import Reward, Rollout
from jominy.specs import DataSpec, EvaluateSpec, RunSpec, UpdateSpec
from jominy.steplog import read_evaluations, read_steps
from jominy.store import RunFolder
from jominy.studies.alignment import STUDY
from jominy.studies.alignment.design import LAB_CELLS
from jominy.studies.design import Arm, Cell, OneExample
from jominy.studies.folders import own_scratch, remove_stale
from jominy.studies.holding import HeldTrainer
from jominy.studies.jobs import Bench
from jominy.studies.measuring import by_form, start_of
from jominy.studies.results import RESULTS_FILE, read_results, write_results
from jominy.studies.running import load_design, study
from jominy.studies.surroundings import commit_of
from jominy.tasks.loading import load_task
from jominy.trainfolder import TrainFolder
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
    assert list((smoke / "runs").iterdir()) == [], "processes leave nothing behind"
    assert {cell.folder for cell in design.cells} == {path.name for path in (smoke / "base").iterdir()}


def test_a_run_says_what_it_cost_and_where_it_was_made(smoke: Path) -> None:
    found = results_in(smoke)
    (environment,) = found["environments"]
    assert set(environment) == {"python", "platform", "versions", "device", "commit"}
    assert {run["environment"] for run in found["runs"]} == {0}
    assert all(run["cpu_seconds"] > 0 for run in found["runs"])
    for run in found["runs"]:
        # one evaluation behind the start; random reward at a learning rate of 1e-3 moves any policy
        assert len(run["kl_nats"]) == (run["status"] == "finished")
        assert run["arm"] != "random" or abs(run["kl_nats"][-1]) > 1e-6


def test_a_base_is_counted_in_three_ways(smoke: Path) -> None:
    for cell in results_in(smoke)["cells"]:
        base = cell["base"]
        assert len(base["correct"]) == len(base["lenient"]) == len(base["in_form"]) == 8
        assert all(0 <= count <= 8 for name in ("lenient", "in_form") for count in base[name])


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
    assert {run["unique_prompts"] for run in runs if run["arm"] == "one_shot_max_variance" and run["reward"]} == {1}
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


def bench_of(tmp_path: Path, arm: Arm, **settings: Any) -> tuple[Bench, Cell]:
    """Two cells of sums with one untrained model, which is never right about three digits."""
    model = str(tiny.save("llama", tmp_path / "m"))
    cell = replace(LAB_CELLS[0], lab=None, model=model, task="arithmetic:digits=3")
    design = load_design("alignment", "smoke")
    small = replace(design.settings["lab"], **settings)
    (tmp_path / "scratch").mkdir(exist_ok=True)
    design = replace(design, cells=(cell,), arms=(arm,), settings={"lab": small})
    return Bench(design, tmp_path, tmp_path / "scratch"), cell


def task_of_words(tmp_path: Path) -> str:
    """Prompts that the untrained model's tokenizer tells apart."""
    file = tmp_path / "words.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"w{number}", "target": "w9"}) + "\n" for number in range(20, 70)))
    return str(file)


def test_a_study_may_measure_more(tmp_path: Path) -> None:
    """In a run whose rewards are random, with an evaluation every other step, and in one that exploded or had nothing to train on."""
    arm = arm_of("grpo", "random")
    bench, cell = bench_of(tmp_path, arm, steps=3, prompts=2, rollouts=4, max_tokens=3, base_prompts=2, base_rollouts=2, eval_every=2)
    assert "more" not in bench.do({"kind": "base", "cell": cell.name})["base"]
    bench.study = replace(
        STUDY,
        more_of_base=lambda folder, cell, settings: {
            "drawn": len(RunFolder(folder).rollouts()),
            "task": cell.task,
            "of": settings.base_prompts,
        },
        more_of_run=lambda ended: {
            "steps": [line["step"] for line in read_evaluations(ended.folder.path)],
            "seed": ended.spec.seed,
        },
    )
    # 2 prompts with 2 responses each
    assert bench.do({"kind": "base", "cell": cell.name})["base"]["more"] == {"drawn": 4, "task": cell.task, "of": 2}
    found = bench.run(cell, arm, 5)
    assert (found["status"], found["more"]) == ("finished", {"steps": [0, 2, 3], "seed": 5})
    assert len(found["kl_nats"]) == 2
    hardest = replace(arm, select="hardest")
    assert bench.run(cell, hardest, 0)["more"] is None, "the base is never right, so there is no example"


def arm_of(recipe: str, reward: str, **more: Any) -> Arm:
    return Arm(name="arm", title="an arm", family="spurious", recipe=recipe, reward=reward, **more)


def test_a_run_without_a_gradient_has_all_its_steps_and_ends_where_it_began(tmp_path: Path) -> None:
    arm = arm_of("grpo", "random:gamma=0")
    bench, cell = bench_of(tmp_path, arm, steps=12, prompts=2, rollouts=2, max_tokens=3)
    found = bench.run(cell, arm, 0)
    assert found["status"] == "no gradient"
    assert found["after"] == found["before"]
    assert len(found["before"]) == 8
    assert found["first_live_step"] is None
    assert "of the first 12 steps carried a gradient" in found["why"]
    assert len(found["reward"]) == 12
    assert (found["unique_live_prompts"], found["kl_nats"]) == (0, [])


def test_a_run_that_explodes_says_at_which_step_and_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, step = list[int](), HeldTrainer.step

    def third_explodes(trainer: HeldTrainer, *args: Any) -> Any:
        taken.append(len(taken))
        if len(taken) == 3:
            raise Explosion("the gradient's norm is 9, above the limit of 1")
        return step(trainer, *args)

    monkeypatch.setattr(HeldTrainer, "step", third_explodes)
    arm = arm_of("grpo", "random")
    bench, cell = bench_of(tmp_path, arm, steps=5, prompts=2, rollouts=4, max_tokens=3)
    found = bench.run(cell, arm, 0)
    assert (found["status"], found["after"], len(found["reward"])) == ("exploded", None, 1), "two updates a step"
    assert found["why"] == "step 2: the gradient's norm is 9, above the limit of 1"


@pytest.mark.parametrize("select", ["max_variance", "hardest"])
def test_a_base_that_is_never_right_has_no_example(tmp_path: Path, select: OneExample) -> None:
    arm = arm_of("grpo", "ground_truth:gate=none", select=select)
    bench, cell = bench_of(tmp_path, arm, base_prompts=2, base_rollouts=2, max_tokens=3)
    assert sum(bench.do({"kind": "base", "cell": cell.name})["base"]["correct"]) == 0
    found = bench.run(cell, arm, 0)
    assert (found["status"], found["before"], found["after"]) == ("no example", [], None)
    assert f"--select {select}: no prompt of" in found["why"]
    assert (found["unique_prompts"], found["unique_live_prompts"], found["reward"]) == (0, 0, [])


def test_other_mistakes_of_a_run_are_not_passed_over(tmp_path: Path) -> None:
    arm = arm_of("grpo", "ground_truth:gate=none", select="max_variance")
    bench, cell = bench_of(tmp_path, arm)
    with pytest.raises(ValueError, match="is no run folder"):
        bench.run(cell, arm, 0)
    with pytest.raises(ValueError, match="no recipe 'grop'"):
        bench.run(cell, replace(arm, recipe="grop", select=None), 0)


def trained_on(tmp_path: Path, recipe: str, reward: str) -> tuple[TrainFolder, HeldTrainer]:
    """Two steps of 4 prompts out of 16, and the engine behind them."""
    start = tiny.save("llama", tmp_path / "start")
    spec = RunSpec(
        task=task_of_words(tmp_path),
        model=str(start),
        recipe=recipe,
        steps=2,
        prompts=4,
        rollouts=2,
        max_tokens=3,
        data=DataSpec(reward=reward, pool=16),
        update=UpdateSpec(patience=0),
        evaluate=EvaluateSpec(eval_every=0, kl_rollouts=0),
    )
    held = HeldTrainer(str(start), spec.temperature, spec.update)
    return train(spec, tmp_path / recipe, quiet=True, load_trainer=lambda *_: held), held


def test_constant_groups_count_where_they_train(tmp_path: Path) -> None:
    """Every response is paid, so every group is alike: nothing for negative_only, everything for positive_only."""
    assert trained_on(tmp_path, "positive_only", "random:gamma=1")[1].num_trained_prompts == 8
    assert trained_on(tmp_path, "negative_only", "random:gamma=1")[1].num_trained_prompts == 0


def test_prompts_that_trained_are_those_of_mixed_groups(tmp_path: Path) -> None:
    folder, held = trained_on(tmp_path, "grpo", "random")
    paid: dict[tuple[str, str], set[float]] = {}
    for row in folder.run.rollouts(["prompt_id", "policy", "reward"]).to_pylist():
        paid.setdefault((row["prompt_id"], row["policy"]), set()).add(row["reward"])
    mixed = {prompt for (prompt, _), rewards in paid.items() if len(rewards) == 2}
    assert 0 < len(mixed) < 8, "else this shows nothing"
    assert held.num_trained_prompts == len(mixed)
    held.reset(UpdateSpec())
    assert held.num_trained_prompts == 0


def test_forms_are_counted_by_prompt(tmp_path: Path) -> None:
    task = load_task("arithmetic:digits=1,operators=+")
    first, second = task.prompts(2, 0)
    said = (
        # right in form; right with words behind it; wrong in form; nothing
        (first, (f"{first.target}", f"The answer is {first.target}, I think", "99", "")),
        # right answer, then another number: lenient reads the one behind `answer`; wrong both ways
        (second, (f"The answer is {second.target} of 50", "The answer is 98.")),
    )
    rollouts = [
        Rollout(
            prompt_id=prompt.id,
            index=index,
            text=text,
            token_ids=np.array([1]),
            logprobs=None,
            logprobs_t1=None,
            stop="eos",
            policy="p",
            temperature=1.0,
            top_p=1.0,
            seed=0,
            reward=Reward(value=0.0),
        )
        for prompt, texts in said
        for index, text in enumerate(texts)
    ]
    folder = RunFolder(tmp_path / "run")
    folder.write_prompts([first, second])
    folder.append_rollouts(rollouts, {prompt.id: prompt for prompt, _ in said})
    found = by_form(folder, task, [second.id, first.id])
    # in form is what ends with an integer, perhaps a dot behind it
    assert found == {"lenient": [1, 2], "in_form": [2, 2]}
    assert by_form(folder, replace(task, lenient=None), [second.id]) == {"lenient": None, "in_form": [2]}


def test_processes_work_in_folders_of_their_own(tmp_path: Path) -> None:
    remove_stale(tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    with own_scratch(tmp_path) as own, own_scratch(tmp_path) as other:
        assert own != other
        for name in (f"{ended.pid}-abc", "adder-sums-random-0"):
            (tmp_path / "runs" / name / "rollouts").mkdir(parents=True)
        remove_stale(tmp_path)
        assert {str(path) for path in (tmp_path / "runs").iterdir()} == {own, other}
    assert list((tmp_path / "runs").iterdir()) == []


NOISY = """
import ctypes, os, sys
import jominy.studies.jobs as jobs

class Noisy:
    def __init__(self, design, out, scratch):
        self.scratch = scratch

    def do(self, job):
        print("from Python")
        os.write(1, b"from C\\n")
        if job["number"]:
            raise ValueError("no such number")
        return {**job, "scratch": self.scratch.is_dir(), "pid": self.scratch.name.startswith(f"{os.getpid()}-")}

jobs.Bench = Noisy
from jominy.studies.worker import main
main()
"""


def test_a_worker_answers_alone_and_ends_with_its_input(tmp_path: Path) -> None:
    words = [sys.executable, "-c", NOISY, "alignment", "smoke", str(tmp_path), "1"]
    done = subprocess.run(words, input='{"number": 0}\n{"number": 1}\n', capture_output=True, text=True, check=True)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == {"number": 0, "scratch": True, "pid": True}
    assert second["failed"] == "ValueError: no such number"
    assert done.stderr.count("from Python") == done.stderr.count("from C") == 2
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_in_use_is_not_read(tmp_path: Path) -> None:
    (tmp_path / RESULTS_FILE).write_text("half of a fi")
    with RunFolder(tmp_path).lock(), pytest.raises(ValueError, match="another process"):
        study("alignment", tmp_path, scale="smoke", quiet=True)


def git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *named, "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_of_the_code(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    assert commit_of(code) is None
    git(tmp_path, "init")
    (code / "a.py").write_text("1")
    assert commit_of(code) is None, "git knows the folder, but no file in it"
    git(tmp_path, "add", "code")
    git(tmp_path, "commit", "-m", "code")
    commit = git(tmp_path, "rev-parse", "--short", "HEAD")
    (tmp_path / "notes").write_text("other files do not count")
    git(tmp_path, "add", "notes")
    git(tmp_path, "commit", "-m", "notes")
    assert commit_of(code) == commit
    (code / "a.py").write_text("2")
    assert commit_of(code) == commit + "+"


def test_the_full_design_is_what_the_issue_asks_for() -> None:
    design = load_design("alignment", "full")
    models = {cell.model for cell in design.cells}
    assert models == {"adder", "speller", "misled", "smollm2"}
    assert sum(cell.model == "smollm2" for cell in design.cells) >= 4
    assert len({arm.name for arm in design.arms}) == len(design.arms) == 15
    assert design.settings["lab"].seeds == 5
    assert design.settings["smollm2"].seeds == 3
    left = {(cell.group, arm.name) for cell, arm, _ in design.not_defined()}
    assert {group for group, _ in left} == {"smollm2"}
    assert {arm.name for arm in design.arms} - {name for _, name in left} == set(design.settings["smollm2"].arms)
    whys = {arm.name: why for _, arm, why in design.not_defined()}
    assert "could be voted on" in whys["majority"]
    assert "too long" in whys["random_no_clip"]


def test_another_study_in_the_folder_is_refused(tmp_path: Path) -> None:
    design = load_design("alignment", "smoke")
    write_results(tmp_path, read_results(tmp_path, design))
    assert read_results(tmp_path, design)["runs"] == []
    with pytest.raises(ValueError, match="another scale"):
        read_results(tmp_path, load_design("alignment", "full"))
    earlier = {name: value for name, value in results_in(tmp_path).items() if name != "environments"}
    write_results(tmp_path, earlier)
    with pytest.raises(ValueError, match="an earlier version"):
        read_results(tmp_path, design)


def test_settings_change_only_where_nothing_was_measured(tmp_path: Path) -> None:
    design = load_design("alignment", "smoke")
    longer = replace(design, settings={"lab": replace(design.settings["lab"], steps=99)})
    found = read_results(tmp_path, design)
    write_results(tmp_path, found)
    assert read_results(tmp_path, longer)["settings"]["lab"]["steps"] == 99
    found["cells"][0]["base"] = {"correct": []}
    write_results(tmp_path, found)
    wider = replace(design, settings={"lab": replace(design.settings["lab"], rollouts=99)})
    with pytest.raises(ValueError, match=r"other settings: rollouts of lab was \d+, now 99; choose another --out"):
        read_results(tmp_path, wider)
    # no base depends on it
    assert read_results(tmp_path, longer)["settings"]["lab"]["steps"] == 99
    found["runs"] = [{"cell": found["cells"][0]["name"], "arm": design.arms[0].name, "seed": 0}]
    write_results(tmp_path, found)
    with pytest.raises(ValueError, match=r"other settings: steps of lab was 2, now 99; choose another --out"):
        read_results(tmp_path, longer)
    assert read_results(tmp_path, design)["settings"]["lab"]["steps"] == 2


def test_a_field_that_a_file_lacks_is_at_its_default(tmp_path: Path) -> None:
    """A folder of before there was a setting goes on, and its file stays as it is."""
    design = load_design("alignment", "smoke")
    found = read_results(tmp_path, design)
    del found["settings"]["lab"]["threads"]
    found["cells"] = [{**cell, "base": {"correct": []}} for cell in found["cells"]]
    for cell in found["cells"]:
        del cell["lab"]["answers"]
    write_results(tmp_path, found)
    before = (tmp_path / RESULTS_FILE).read_bytes()
    write_results(tmp_path, read_results(tmp_path, design))
    assert (tmp_path / RESULTS_FILE).read_bytes() == before
    write_results(tmp_path, {**found, "runs": [{"cell": found["cells"][0]["name"], "arm": design.arms[0].name, "seed": 0}]})
    single = replace(design.settings["lab"], threads=1)
    with pytest.raises(ValueError, match="threads of lab was 2, now 1"):
        read_results(tmp_path, replace(design, settings={"lab": single}))
    assert design.cells[0].lab is not None
    other = replace(design.cells[0], lab=replace(design.cells[0].lab, answers=("{target}",)))
    with pytest.raises(ValueError, match=f"runs of another {other.name}"):
        read_results(tmp_path, replace(design, cells=(other, *design.cells[1:])))


def test_later_settings_are_written_where_they_are_used(tmp_path: Path) -> None:
    design = load_design("alignment", "smoke")
    assert {"why_arms", "eval_every"}.isdisjoint(read_results(tmp_path, design)["settings"]["lab"])
    settings = replace(design.settings["lab"], arms=("random",), why_arms="one is enough", eval_every=5)
    found = read_results(tmp_path, replace(design, settings={"lab": settings}))
    assert (found["settings"]["lab"]["why_arms"], found["settings"]["lab"]["eval_every"]) == ("one is enough", 5)
    assert {pair["why"] for pair in found["not_defined"]} == {"not run on lab: one is enough"}
    found["cells"][0]["base"] = {"correct": []}
    found["runs"] = [{"cell": found["cells"][0]["name"], "arm": "random", "seed": 0}]
    write_results(tmp_path, found)
    with pytest.raises(ValueError, match=r"arms of lab was \['random'\], now \[\]; why_arms of lab was 'one is enough'"):
        read_results(tmp_path, design)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="no study 'alignmnt'; there are alignment"):
        load_design("alignmnt", "smoke")
    with pytest.raises(ValueError, match="no scale 'huge'; there are smoke, full"):
        load_design("alignment", "huge")


def test_memory_is_bounded(tmp_path: Path) -> None:
    from jominy.records import Sampling
    from jominy.studies.holding import REMEMBERED, Remembering

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
    # models are made by this process; the others end at once: they cannot import what they run
    for cell in load_design("alignment", "smoke").cells:
        start_of(cell)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ValueError, match="base failed: the process ended"):
        study("alignment", tmp_path, scale="smoke", quiet=True)
