"""What a user can get wrong in training has an answer, before anything is loaded or written where that can be known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from jominy.diagnosis import diagnose_path
from jominy.engines import Explosion, TrainingEngine
from jominy.sampling import sample
from jominy.specs import DiagnosisSpec, RunSpec, SampleSpec
from jominy.steplog import read_steps
from jominy.store import RunFolder
from jominy.tables import groups_of, read_rollouts
from jominy.trainfolder import TrainFolder
from jominy.training import load_local_trainer, train
from tests.scripted import ScriptedEngine
from tests.training_world import ScriptedTrainer, spec_of, weights_of, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(2)
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def there(world: Path) -> Path:
    """A finished run."""
    return train(spec_of(world), world / "there", quiet=True).path


def refused(spec: RunSpec, out: Path, message: str, **how: Any) -> None:
    """The run is refused before its model is loaded."""

    def load(*_: object) -> TrainingEngine:
        raise AssertionError("the model was loaded")

    with pytest.raises(ValueError, match=message):
        train(spec, out, quiet=True, load_trainer=load, **how)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"recipe": "grp"}, "no recipe 'grp'; did you mean grpo"),
        ({"recipe": "grpo:clip=0.2"}, "no option 'clip'"),
        ({"rollouts": 1, "recipe": "grpo"}, "compares the rollouts of a prompt.*sample at least two a prompt"),
        ({"rollouts": 1, "recipe": "rloo"}, "compares the rollouts of a prompt.*sample at least two a prompt"),
        ({"temperature": 0.0}, "--temperature must be above 0"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"explosion": 0.5}, "--explosion must be at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"minibatches": 5}, "--minibatches 5 needs as many prompts a step; --prompts is 4"),
        ({"recipe": "sft", "task": "no_gold_task"}, "recipe sft learns gold answers, and task .* has none"),
        ({"task": "one_task", "eval_every": 1}, "holding some out needs two"),
        ({"task": "empty_task"}, "gave no prompts to train on"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_before_the_model_is_loaded(world, tmp_path, fields, message):
    refused(spec_of(world, **fields), tmp_path / "out", message)
    assert not (tmp_path / "out").exists()


def test_an_evaluation_task_without_prompts_is_refused(world, tmp_path):
    spec = spec_of(world, eval_every=1, eval_task=f"{world / 'tasks.py'}:empty_task")
    refused(spec, tmp_path / "out", "--eval-task .* gave no prompts")
    inside = spec_of(world, eval_every=1, eval_task=f"{world / 'tasks.py'}:task", eval_prompts=40)
    refused(inside, tmp_path / "out", "gave no prompts to train on that are not held out")


def test_a_group_of_one_trains_where_nothing_is_compared(world, tmp_path):
    folder = train(spec_of(world, recipe="reinforce", rollouts=1, prompts=8, steps=1), tmp_path / "out", quiet=True)
    line = read_steps(folder.path)[0]
    assert line["num_rows"] == round(8 * line["reward"]) > 0


def test_a_prompt_longer_than_the_context_is_named_before_the_first_step(world, tmp_path):
    # 200 words and the template's two; the model's context is 128
    with pytest.raises(ValueError, match=r"prompt the-long-one of task fourth has 202 tokens; .* context of 128"):
        train(spec_of(world, task="long_task"), tmp_path / "out", quiet=True)
    with pytest.raises(ValueError, match=r"sft learns gold answers whole, and one has 201 tokens: prompt prompt-0-\d+ .* context of 128"):
        train(spec_of(world, task="long_gold_task", recipe="sft"), tmp_path / "out", quiet=True)
    assert not RunFolder(tmp_path / "out").exists()


def test_sft_leaves_out_prompts_without_a_gold_answer(world, tmp_path):
    folder = train(spec_of(world, task="half_gold_task", recipe="sft", rollouts=1), tmp_path / "out", quiet=True)
    assert {int(prompt.id.split("-")[2]) % 2 for prompt in folder.run.read_prompts()} == {1}
    assert [line["num_rows"] for line in read_steps(folder.path)] == [4, 4]


def test_a_folder_that_holds_the_run_is_kept_unless_told(world, there):
    before = contents(there)
    refused(spec_of(world), there, "holds this run; go on with --resume, replace it with --overwrite, or choose another --out")
    changed = spec_of(world, learning_rate=0.02, seed=1, save_every=7, keep=3, steps=9)
    refused(changed, there, r"another run \(seed was 0, now 1, learning_rate was 0.01, now 0.02\). Choose another --out", resume=True)
    bad = replace(spec_of(world), model="no/such/model")
    with pytest.raises(ValueError, match="no model"):
        train(bad, there, quiet=True, overwrite=True, load_trainer=unknown_model)
    assert contents(there) == before


def unknown_model(*_: object) -> TrainingEngine:
    raise ValueError("no model of this name")


def test_an_edited_task_is_another_run(world, tmp_path):
    task = tmp_path / "tasks.py"
    task.write_text((world / "tasks.py").read_text())
    spec = replace(spec_of(world, steps=1), task=f"{task}:task")
    train(spec, tmp_path / "out", quiet=True)
    task.write_text(task.read_text() + "\n")
    refused(spec, tmp_path / "out", r"holds another run \(sources was ", resume=True)


def test_folders_of_others_are_left_alone(world, tmp_path):
    sampled = tmp_path / "sampled"
    sampling = SampleSpec(task="arithmetic", prompts=2, rollouts=2)
    sample(sampling, sampled, load_engine=lambda *_: ScriptedEngine(), quiet=True)
    refused(spec_of(world), sampled, "holds rollouts that were sampled, not a training run; choose another --out", resume=True)
    models = tmp_path / "models"
    (models / "model").mkdir(parents=True)
    (models / "model" / "weights").write_text("years of work")
    refused(spec_of(world), models, r"holds model but no run.json; choose another --out, or let --overwrite remove them")
    assert (models / "model" / "weights").read_text() == "years of work"


def test_what_a_run_is_made_from_is_spared(world, tmp_path):
    out = train(spec_of(world), tmp_path / "out", quiet=True).path
    refused(replace(spec_of(world), model=str(out / "model")), out, "lies in .*out, where the new run would replace it", overwrite=True)
    refused(spec_of(world), out, "give one of them", overwrite=True, resume=True)


def test_two_processes_do_not_write_into_one_folder(world, tmp_path):
    with RunFolder(tmp_path / "out").lock():
        refused(spec_of(world), tmp_path / "out", "another process is drawing into")


def test_overwriting_leaves_nothing_of_the_old_run(world, tmp_path):
    out = tmp_path / "out"
    train(spec_of(world, steps=3, eval_every=1, save_every=1, keep=3), out, quiet=True)
    (out / "notes.txt").write_text("mine")
    train(spec_of(world, steps=2, seed=1), out, overwrite=True, quiet=True)
    assert [line["step"] for line in read_steps(out)] == [1, 2]
    assert len(RunFolder(out).parts()) == 2
    assert not (out / "evaluations").exists()
    assert TrainFolder(out).checkpoints() == [2]
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("recipe", ["grpo", "dapo", "grpo:kl=k3,beta=0.1"])
def test_a_constant_reward_is_told_after_ten_steps(world, tmp_path, recipe):
    spec = spec_of(world, task="constant_task", steps=30, recipe=recipe, prompts=2, rollouts=2, save_every=4)
    with pytest.raises(ValueError, match=r"no response of the first 10 steps carried a gradient .* mean reward was 0.5"):
        train(spec, tmp_path / "out", quiet=True)
    run = RunFolder(tmp_path / "out").read_run()
    assert run["status"] == "stopped"
    assert "a reward that is constant" in run["why"]
    assert len(read_steps(tmp_path / "out")) == 10
    if "kl" not in recipe:
        before, after = weights_of(world / "model"), weights_of(TrainFolder(tmp_path / "out").checkpoint(8))
        assert all(torch.equal(before[name], after[name]) for name in before), "constant groups move no bit"


def test_patience_can_be_shorter_or_none(world, tmp_path):
    spec = spec_of(world, task="constant_task", steps=12, prompts=2, rollouts=2, save_every=12)
    with pytest.raises(ValueError, match=r"no response of the first 3 steps carried a gradient"):
        train(replace(spec, update=replace(spec.update, patience=3)), tmp_path / "out", quiet=True)
    # a run that was stopped may go on without it: patience says how long, not what
    train(replace(spec, update=replace(spec.update, patience=0)), tmp_path / "out", resume=True, quiet=True)
    assert len(read_steps(tmp_path / "out")) == 12
    assert RunFolder(tmp_path / "out").read_run()["status"] == "finished"


def test_a_reward_that_always_crashes_is_told_with_its_reason(world, tmp_path):
    with pytest.raises(ValueError, match=r"first 10 steps could be graded; the last ones: raised KeyError: 'no such thing'"):
        train(spec_of(world, task="crash_task", steps=30, prompts=2, rollouts=2), tmp_path / "out", quiet=True)
    line = read_steps(tmp_path / "out")[0]
    assert (line["num_unscored"], line["reward"], line["pass_rate"], line["live_share"]) == (4, None, None, None)


def spoiled(at: int, keep: list[Any]) -> Callable[[RunSpec, str, Path | None], TrainingEngine]:
    """An engine whose recipe weighs NaN at one step."""

    def load(spec: RunSpec, start: str, checkpoint: Path | None) -> TrainingEngine:
        engine: Any = load_local_trainer(spec, start, checkpoint)
        step = engine.step
        keep.append(engine)

        def spoil(rows: Any, weigh: Any, *more: Any) -> Any:
            keep.append({name: weight.clone() for name, weight in engine.engine.model.state_dict().items()})
            return step(rows, (lambda *columns: math.nan * weigh(*columns)) if len(keep) == at + 1 else weigh, *more)

        engine.step = spoil
        return cast(TrainingEngine, engine)

    return load


def test_a_gradient_that_is_not_finite_stops_with_its_batch(world, tmp_path):
    out = tmp_path / "out"
    kept: list[Any] = []
    with pytest.raises(Explosion, match=r"step 3: the gradient is not finite .* batch is in .*stopped/step-00003, .*step-00002") as e:
        train(spec_of(world, steps=5, save_every=2), out, quiet=True, load_trainer=spoiled(3, kept))
    assert str(out / "checkpoints" / "step-00002") in str(e.value)
    engine, before = kept[0], kept[-1]
    after = engine.engine.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(kept) == 4
    run = RunFolder(out).read_run()
    assert (run["status"], "not finite" in run["why"]) == ("stopped", True)
    assert [line["step"] for line in read_steps(out)] == [1, 2]
    stopped = out / "stopped" / "step-00003"
    groups = groups_of(read_rollouts(stopped))
    assert (groups.num_prompts, groups.num_rollouts) == (4, 32)
    assert set(read_policies(stopped)) == {f"{world / 'model'}+step 2"}
    assert diagnose_path(stopped, DiagnosisSpec()).num_rollouts == 32
    # without the NaN the run goes on, and the folder of the stopped step goes
    train(spec_of(world, steps=5, save_every=2), out, resume=True, quiet=True)
    assert not stopped.exists()
    assert "why" not in RunFolder(out).read_run()
    assert len(read_steps(out)) == 5


def read_policies(folder: Path) -> list[str]:
    return list(RunFolder(folder).rollouts(["policy"])["policy"].to_pylist())


def test_a_gradient_far_larger_than_before_stops(world, tmp_path):
    """With an allowed factor of 1 the first step after the fifth with a norm above the median stops the run."""
    with pytest.raises(Explosion, match=r"the gradient's norm is [\d.]+, above the limit of [\d.]+"):
        train(spec_of(world, steps=30, explosion=1.0), tmp_path / "out", quiet=True)
    norms = [line["grad_norm"] for line in read_steps(tmp_path / "out") if line["num_rows"]]
    assert len(norms) >= 5
    assert all(norm <= sorted(norms[:place])[place // 2] for place, norm in list(enumerate(norms))[5:] if place % 2)


def test_a_learning_rate_that_ruins_the_model_stops_with_its_reason(world, tmp_path):
    with pytest.raises((Explosion, ValueError)):
        train(spec_of(world, steps=30, learning_rate=1e30, eval_every=2), tmp_path / "out", quiet=True)


def test_a_scripted_engine_needs_no_model(world, tmp_path):
    """The loop asks an engine for nothing but the protocol: sampled words, steps, folders."""
    engine = ScriptedTrainer(lambda prompt, call, index: f"w{index}")

    class Saving(ScriptedTrainer):
        def save_checkpoint(self, folder: Path, state: dict[str, Any]) -> None:
            folder.mkdir(parents=True)
            (folder / "state.json").write_text(json.dumps(state))

    folder = train(
        spec_of(world, kl_rollouts=0, learning_rate=0.5, warmup=4),
        tmp_path / "out",
        quiet=True,
        load_trainer=lambda *_: Saving(engine.say),
    )
    lines = read_steps(folder.path)
    assert [line["learning_rate"] for line in lines] == [0.125, 0.25]
    assert [line["kl_nats"] for line in lines] == [None, None]
    assert [line["reward"] for line in lines] == [0.25, 0.25]  # of words 0 to 7, four divides 0 and 4
