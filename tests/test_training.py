"""The loop on a real, tiny model: it learns, what it writes is true, and every recipe's path through it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from jominy.cli import main
from jominy.diagnosis import diagnose_path
from jominy.engines import StepReport
from jominy.engines.local import LocalEngine
from jominy.packing import rows_to_score
from jominy.preparing import prepare
from jominy.records import Floats, Row, TrainRow
from jominy.schedule import draw_seed
from jominy.specs import DiagnosisSpec, RunSpec
from jominy.steplog import read_evaluations, read_start_logprobs, read_steps
from jominy.tables import groups_of, read_rollouts
from jominy.trainfolder import TrainFolder
from jominy.training import load_local_trainer, train
from tests import tiny
from tests.training_world import learning, lines_of, spec_of, weights_of, write_world

KEYS = set(
    "step policy num_prompts num_rollouts num_unscored num_batches num_places num_live_prompts left_out reward gold "
    "reward_accuracy reward_parts pass_rate live_share "
    "all_right_share all_wrong_share mean_length truncated_share entropy_nats kl_nats clip_share ess num_rows num_credited num_tokens "
    "update_tokens grad_norm learning_rate gap_nats max_gap_nats sampling_s grading_s update_s step_s sampling_tokens_per_s "
    "update_tokens_per_s memory_gib group_weights".split()
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(2)
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def learned(world: Path) -> TrainFolder:
    """The run that learns, with everything on."""
    return trained(world, "learned", learning(world, save_every=5))


def trained(world: Path, name: str, spec: RunSpec, **how: Any) -> TrainFolder:
    """A finished run."""
    return train(spec, world / name, quiet=True, **how)


def rows_by_step(folder: TrainFolder) -> list[list[dict[str, Any]]]:
    """The rollouts of each step."""
    parts = folder.run.parts()
    assert [int(part.name.split("-")[1]) for part in parts] == list(range(1, len(parts) + 1))
    rows = folder.run.rollouts().to_pylist()
    sizes = [line["num_rollouts"] for line in read_steps(folder.path)]
    ends = np.cumsum([0, *sizes])
    assert ends[-1] == len(rows)
    return [rows[first:last] for first, last in pairwise(ends)]


def test_the_loop_learns(learned):
    before, _, after = read_evaluations(learned.path)
    assert after["pass_at_1"]["low"] > before["pass_at_1"]["high"]
    assert after["pass_at_1"]["value"] - before["pass_at_1"]["value"] > 0.3
    assert json.loads(learned.run.run_file.read_text())["status"] == "finished"


def test_every_line_says_what_its_rollouts_say(world, learned):
    lines = read_steps(learned.path)
    assert [line["step"] for line in lines] == list(range(1, 11))
    for line, rows in zip(lines, rows_by_step(learned), strict=True):
        assert set(line) == KEYS
        step, rewards = line["step"], np.array([row["reward"] for row in rows]).reshape(8, 16)
        policy = str(world / "model") + (f"+step {step - 1}" if step > 1 else "")
        assert {row["policy"] for row in rows} == {policy} == {line["policy"]}
        assert {row["seed"] for row in rows} == {draw_seed(0, step, 0)}
        assert (line["num_prompts"], line["num_rollouts"], line["num_unscored"], line["gold"]) == (8, 128, 0, None)
        assert line["reward"] == pytest.approx(rewards.mean())
        assert line["pass_rate"] == pytest.approx((rewards == 1).mean())
        sums = rewards.sum(axis=1)
        shares = [np.mean((sums > 0) & (sums < 16)), np.mean(sums == 16), np.mean(sums == 0)]
        assert [line["live_share"], line["all_right_share"], line["all_wrong_share"]] == pytest.approx(shares)
        assert line["num_rows"] == 16 * np.sum((sums > 0) & (sums < 16)), "constant groups are not computed"
        lengths = [len(row["token_ids"]) for row in rows]
        assert (line["num_tokens"], line["mean_length"]) == (sum(lengths), pytest.approx(np.mean(lengths)))
        assert line["truncated_share"] == pytest.approx(np.mean([row["stop"] == "length" for row in rows]))
        assert line["entropy_nats"] == pytest.approx(-np.mean(np.concatenate([row["logprobs"] for row in rows])), rel=1e-6)
        assert line["ess"] == pytest.approx(effective_rows(rewards, lengths), rel=1e-3)
        assert 0 <= line["gap_nats"] <= line["max_gap_nats"] < 1e-4
        assert line["clip_share"] is None
        assert line["learning_rate"] == 0.01
        assert line["grad_norm"] > 0
        assert line["step_s"] >= line["sampling_s"] + line["grading_s"] + line["update_s"] > 0
        assert line["memory_gib"] > 0.05
    assert lines[0]["kl_nats"] == 0.0
    assert lines[-1]["kl_nats"] > 0.1


def effective_rows(rewards: Floats, lengths: list[int]) -> float:
    """(sum m)^2 / sum m^2: grpo gives a row |advantage| in all, whatever its length, for each of its tokens gets one over that."""
    deviation = rewards - rewards.mean(axis=1, keepdims=True)
    spread = rewards.std(axis=1, ddof=1, keepdims=True)
    mass = np.abs(deviation / np.where(spread > 0, spread, 1.0)).ravel()
    return float(mass.sum() ** 2 / (mass**2).sum())


def test_held_out_prompts_are_never_trained_and_the_same_at_every_evaluation(learned):
    trained_ids = set(learned.run.rollouts(["prompt_id"])["prompt_id"].to_pylist())
    folders = [learned.evaluation(step) for step in (0, 5, 10)]
    ids = [[prompt.id for prompt in folder.read_prompts()] for folder in folders]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 8
    assert not set(ids[0]) & trained_ids
    assert trained_ids == {prompt.id for prompt in learned.run.read_prompts()}
    assert len(trained_ids) == 32
    for folder, line in zip(folders, read_evaluations(learned.path), strict=True):
        rows = folder.rollouts().to_pylist()
        assert Counter(row["prompt_id"] for row in rows) == dict.fromkeys(ids[0], 8)
        assert {row["seed"] for row in rows} == {0}
        assert line["pass_at_1"]["value"] == pytest.approx(np.mean([row["reward"] for row in rows]))
        assert line["folder"] == f"evaluations/{folder.path.name}"
        assert (line["num_prompts"], line["num_rollouts"]) == (8, 64)


def test_kl_of_an_evaluation_is_that_of_the_two_models(world, learned):
    """The starting folder scores the first responses again, and so does the trained one, by the plain forward pass of `sample`."""
    folder = learned.evaluation(10)
    start = read_start_logprobs(folder.path)
    assert start is not None
    rows = [row for row in folder.rollouts().to_pylist() if row["index"] == 0]
    prompts = {prompt.id: prompt for prompt in folder.read_prompts()}
    scored = []
    for model in (world / "model", learned.model):
        engine = LocalEngine.load(str(model), "cpu")
        encoded = {key: engine.encode(prompt) for key, prompt in prompts.items()}
        scored.append(engine.logprobs(rows_to_score(encoded, [(row["prompt_id"], row["token_ids"]) for row in rows])))
    for row, before, after in zip(rows, *scored, strict=True):
        assert start[row["prompt_id"], 0] == pytest.approx(before, abs=1e-4)
        assert row["logprobs_t1"] == pytest.approx(after, abs=1e-4)
    line = read_evaluations(learned.path)[-1]
    assert line["kl_nats"]["value"] == pytest.approx(np.concatenate(scored[1]).mean() - np.concatenate(scored[0]).mean(), abs=1e-4)
    assert read_evaluations(learned.path)[0]["kl_nats"] is None


def test_the_result_is_a_folder_that_transformers_loads(world, learned):
    model = AutoModelForCausalLM.from_pretrained(learned.model)
    tokenizer = AutoTokenizer.from_pretrained(learned.model)
    assert tokenizer.chat_template == tiny.TEMPLATE
    ours = LocalEngine.load(str(learned.checkpoint(10)), "cpu").model
    tokens = torch.arange(3, 60)[None]
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, ours(tokens).logits)
    before = weights_of(world / "model")
    assert any(not torch.equal(before[name], weight) for name, weight in weights_of(learned.model).items())


def test_the_last_and_the_best_checkpoint_are_kept(learned):
    assert learned.checkpoints() == [10]
    best = max(read_evaluations(learned.path)[1:], key=lambda line: line["pass_at_1"]["value"])
    assert best["step"] == 10
    assert sorted(found.name for found in (learned.path / "checkpoints").iterdir()) == ["best", "best.json", "step-00010"]
    assert not (learned.best / "trainer.pt").exists()
    assert (learned.best / "model.safetensors").read_bytes() == (learned.model / "model.safetensors").read_bytes()


def test_the_best_evaluation_is_kept_though_no_checkpoint_falls_on_it(world):
    """A learning rate that ruins the model after a good start: evaluations at 2, 4, ..., checkpoints at 5 and 8."""
    folder = trained(world, "best", learning(world, steps=8, learning_rate=0.05, eval_every=1, save_every=5, keep=2))
    assert folder.checkpoints() == [5, 8]
    values = {line["step"]: line["pass_at_1"]["value"] for line in read_evaluations(folder.path) if line["step"]}
    best = max(values, key=lambda step: values[step])
    assert best not in (5, 8)
    # the model of the best step draws what its evaluation drew
    engine = LocalEngine.load(str(folder.best), "cpu")
    rows = folder.evaluation(best).rollouts().to_pylist()
    encoded = {prompt.id: engine.encode(prompt) for prompt in folder.evaluation(best).read_prompts()}
    again = engine.logprobs(rows_to_score(encoded, [(row["prompt_id"], row["token_ids"]) for row in rows]))
    for row, scored in zip(rows, again, strict=True):
        assert row["logprobs_t1"] == pytest.approx(scored, abs=1e-3)


def test_equal_seeds_give_equal_bits_and_other_seeds_others(world):
    folders = [trained(world, f"seed-{name}", spec_of(world, seed=seed)) for name, seed in (("a", 5), ("b", 5), ("c", 6))]
    weights = [weights_of(folder.model) for folder in folders]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert lines_of(folders[0].path) == lines_of(folders[1].path)
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_a_model_without_a_chat_template_trains(world):
    tiny.model("llama").save_pretrained(world / "plain")
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(world / "plain")
    folder = trained(world, "no-template", replace(spec_of(world), model=str(world / "plain")))
    assert [line["num_rows"] > 0 for line in read_steps(folder.path)] == [True, True]


def test_a_reward_of_ones_own_pays_and_the_task_tells_the_truth(world):
    reward = f"{world / 'tasks.py'}:even"
    folder = trained(world, "gold", spec_of(world, reward=reward, eval_every=2))
    for line, rows in zip(read_steps(folder.path), rows_by_step(folder), strict=True):
        golds = [row["gold"] for row in rows]
        assert (line["gold"], line["pass_rate"]) == (pytest.approx(np.mean(golds)), pytest.approx(np.mean(golds)))
        assert line["reward"] == pytest.approx(np.mean([row["reward"] for row in rows]))
        assert line["reward"] > line["gold"]
        assert all(row["reward"] == 1 for row in rows if row["gold"] == 1), "what four divides is even"
    rows = folder.evaluation(2).rollouts().to_pylist()
    assert read_evaluations(folder.path)[-1]["pass_at_1"]["value"] == pytest.approx(np.mean([row["gold"] for row in rows]))


def test_held_out_prompts_of_another_task_are_graded_by_that_task(world):
    spec = spec_of(world, steps=1, eval_every=1, eval_task=f"{world / 'tasks.py'}:other_task")
    folder = trained(world, "other-task", spec)
    assert len(folder.run.read_prompts()) == 8, "nothing is taken from the pool"
    rows = folder.evaluation(1).rollouts().to_pylist()
    numbers = [int(words[0][1:]) if (words := row["text"].split()) and words[0][0] == "w" else 1 for row in rows]
    assert [row["reward"] for row in rows] == [float(number % 2 == 0) for number in numbers]
    assert 0 < np.mean([row["reward"] for row in rows]) < 1
    assert {row["prompt_id"].split("-")[1] for row in rows} == {"1000"}


def test_one_shot_training_draws_other_words_for_its_one_prompt(world):
    folder = trained(world, "one-shot", spec_of(world, pool=1, eval_every=2))
    rows = folder.run.rollouts(["prompt_id", "index", "seed", "text"]).to_pylist()
    assert len({row["prompt_id"] for row in rows}) == 1
    assert len({(row["index"], row["seed"]) for row in rows}) == len(rows) == 64
    assert len({row["text"] for row in rows}) > 40
    assert len(folder.evaluation(2).read_prompts()) == 8, "a pool of one leaves the held-out prompts as many as they are"


def test_sft_learns_the_gold_answers(world):
    spec = spec_of(world, recipe="sft", steps=12, pool=8, prompts=8, rollouts=1, eval_every=12)
    folder = trained(world, "sft", spec)
    plan = prepare(spec)
    likelihoods = []
    for model in (world / "model", folder.model):
        engine = LocalEngine.load(str(model), "cpu")
        encoded = {prompt.id: engine.encode(prompt) for prompt in plan.pool}
        answers = [(prompt.id, [*engine.tokenizer(prompt.gold_answer)["input_ids"], engine.tokenizer.eos_token_id]) for prompt in plan.pool]
        likelihoods.append(np.mean(np.concatenate(engine.logprobs(rows_to_score(encoded, answers)))))
    assert likelihoods[1] > likelihoods[0] + 3
    assert np.exp(likelihoods[1]) > 0.5
    for line in read_steps(folder.path):
        assert (line["reward"], line["num_rows"], line["policy"]) == (1.0, 8, "demonstration")
        assert {line[key] for key in ("entropy_nats", "kl_nats", "gap_nats", "clip_share", "sampling_tokens_per_s")} == {None}
    first = folder.run.rollouts().to_pylist()[0]
    number = int(first["prompt_id"].split("-")[2])
    assert (first["text"], len(first["token_ids"]), first["logprobs"]) == (f"w{4 * (number % 5)} w1 w2", 4, None)


def test_rft_trains_on_right_answers_alone(world):
    folder = trained(world, "rft", spec_of(world, recipe="rft"))
    for line, rows in zip(read_steps(folder.path), rows_by_step(folder), strict=True):
        assert line["num_rows"] == sum(row["reward"] == 1.0 for row in rows) > 0


def test_minibatches_are_off_policy_from_the_second_on(world):
    """Old log-probabilities are those of the policy that drew: the starting folder's, by the plain forward pass of `sample`."""
    parts: list[list[TrainRow]] = []

    def load(spec: RunSpec, start: str, checkpoint: Path | None) -> Any:
        engine: Any = load_local_trainer(spec, start, checkpoint)
        step = engine.step

        def spying(rows: Any, *more: Any) -> StepReport:
            parts.append(rows)
            report: StepReport = step(rows, *more)
            return report

        engine.step = spying
        return engine

    spec = spec_of(world, steps=1, prompts=8, learning_rate=0.05)
    folder = trained(world, "minibatches", replace(spec, update=replace(spec.update, minibatches=2)), load_trainer=load)
    line, plain = read_steps(folder.path)[0], read_steps(trained(world, "one-batch", spec).path)[0]
    first, second = parts
    assert len(first) > 8
    assert {row.old_logprobs is None for row in first} == {True}
    drew = LocalEngine.load(str(world / "model"), "cpu").logprobs(
        [Row(prompt_ids=row.prompt_ids, completion_ids=row.completion_ids) for row in second]
    )
    assert np.concatenate([row.old_logprobs for row in second]) == pytest.approx(np.concatenate(drew), abs=1e-4)
    assert 0 < line["clip_share"] < 1
    assert line["num_rows"] == plain["num_rows"] == len(first) + len(second)
    assert line["max_gap_nats"] < 1e-4, "before the step, not after its first half"


def test_a_kl_is_taken_to_the_starting_policy(world):
    """At the start the policies are one, so the first step is that of the recipe without a KL; a strong pull then holds the model back."""
    free, held = (
        trained(world, f"kl-{name}", spec_of(world, steps=6, recipe=recipe, kl_rollouts=8))
        for name, recipe in (("free", "grpo"), ("held", "grpo:kl=k2,beta=3"))
    )
    lines = [read_steps(folder.path) for folder in (free, held)]
    assert lines[1][0]["grad_norm"] == pytest.approx(lines[0][0]["grad_norm"], rel=1e-3)
    assert all(line["num_rows"] == 32 for line in lines[1]), "with a KL in the loss constant groups are computed too"
    # kl_nats is the mean of log p - log p_start over the step's tokens: here from its rollouts and the starting folder
    engine = LocalEngine.load(str(world / "model"), "cpu")
    encoded = {prompt.id: engine.encode(prompt) for prompt in held.run.read_prompts()}
    last = rows_by_step(held)[-1]
    reference = engine.logprobs(rows_to_score(encoded, [(row["prompt_id"], row["token_ids"]) for row in last]))
    mine = np.concatenate([row["logprobs"] for row in last]).mean()
    assert lines[1][-1]["kl_nats"] == pytest.approx(mine - np.concatenate(reference).mean(), abs=1e-4)
    assert lines[1][-1]["kl_nats"] < lines[0][-1]["kl_nats"]


def test_lora_leaves_the_base_as_it_is_and_saves_the_merged_model(world):
    engines: list[Any] = []

    def load(spec: RunSpec, start: str, checkpoint: Path | None) -> Any:
        engines.append(load_local_trainer(spec, start, checkpoint))
        return engines[-1]

    folder = trained(world, "lora", spec_of(world, lora_rank=4, steps=3), load_trainer=load)
    base, trainer = weights_of(world / "model"), engines[0]
    under = {name.replace(".base_layer", ""): weight for name, weight in trainer.engine.model.state_dict().items() if "lora" not in name}
    assert all(torch.equal(under[name], base[name]) for name in base)
    merged = weights_of(folder.model)
    assert merged.keys() == base.keys()
    assert any(not torch.equal(merged[name], base[name]) for name in base)
    tokens = torch.arange(3, 60)[None]
    with torch.no_grad():
        loaded = AutoModelForCausalLM.from_pretrained(folder.model)(tokens).logits
        assert torch.allclose(loaded, trainer.engine.model(tokens).logits, atol=1e-4)


def test_training_rollouts_are_diagnosed_by_prompt_and_step(learned):
    """Ten steps of eight prompts out of 32: eighty groups, though a prompt comes again in later steps."""
    groups = groups_of(read_rollouts(learned.path))
    assert (groups.num_prompts, groups.num_rollouts) == (80, 1280)
    assert set(np.diff(groups.offsets_P1)) == {16}
    assert groups.prompt_ids is not None
    assert len(set(groups.prompt_ids)) == 80
    rows = learned.run.rollouts().to_pylist()
    rewards = [[row["reward"] for row in rows[first : first + 16]] for first in range(0, 1280, 16)]
    assert groups.rewards_N.tolist() == [reward for group in rewards for reward in group]
    names = [rows[first]["prompt_id"] for first in range(0, 1280, 16)]
    times = [names[: place + 1].count(name) for place, name in enumerate(names)]
    assert groups.prompt_ids == tuple(name if n == 1 else f"{name} ({n})" for name, n in zip(names, times, strict=True))
    assert diagnose_path(learned.path, DiagnosisSpec()).num_prompts == 80
    one = groups_of(read_rollouts(learned.evaluation(0).path))
    assert (one.num_prompts, one.num_rollouts) == (8, 64)


def test_the_commands_from_training_to_the_page(world, capsys):
    out = world / "chain"
    words = "train --recipe grpo --steps 4 --prompts 4 --rollouts 8 --max-tokens 4 --learning-rate 0.01 --pool 8 --eval-every 2".split()
    words += ["--eval-prompts", "8", "--eval-rollouts", "4", "--out", str(out)]
    words += ["--model", str(world / "model"), "--task", f"{world / 'tasks.py'}:task"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert str(out / "model") in shown.out
    assert str(out / "report.html") in shown.out
    assert "pass@1" in shown.out
    assert (out / "report.html").read_text().count("step") > 5
    assert main(["explain", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"]["after_step"] == 4
    for folder in (out, out / "evaluations" / "step-00000"):
        capsys.readouterr()
        assert main(["diagnose", str(folder), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["num_rollouts"] == (128 if folder == out else 32)
        assert main(["report", str(folder)]) == 0
    assert main([*words, "--resume"]) == 0, "a finished run is finished"
    assert main(words) == 2
    assert "holds this run; go on with --resume" in capsys.readouterr().err
