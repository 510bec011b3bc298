"""From rollouts to graded ones: the truth stays gold, groups are judged one by one, and a run under a proxy shows both."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jominy.batches import Batch, Drawer
from jominy.engines.tabular import TabularEngine, Tree
from jominy.grading import Graders
from jominy.preparing import prepare
from jominy.records import GroupReward, Prompt, Reward, Rollout, Sampling
from jominy.rewards.spurious import load_group_reward
from jominy.sampling import load_task_and_rewards, sample, sources_of
from jominy.specs import SampleSpec
from jominy.stepline import reward_accuracy, reward_parts
from jominy.steplog import read_evaluations, read_steps
from jominy.store import RunFolder
from jominy.tasks.loading import load_task
from jominy.training import train
from jominy.watching import Silent
from tests import tiny
from tests.scripted import ScriptedEngine
from tests.training_world import ScriptedTrainer, spec_of, write_world

ANSWERS = """
def answered(prompt, text):
    words = text.split()
    return Reward(value=float(first_number(text) % 4 == 0), answer=words[0] if words else None)

def crash_on_five(prompt, text):
    return {"w4": 1.0, "w6": 0.0}[text]

def starts_with_word(prompt, text):
    return text.startswith("w")

answers = Task(name="answers", summary="", prompts=make_prompts, reward=answered, format=starts_with_word)
crashing = Task(name="crashing", summary="", prompts=make_prompts, reward=crash_on_five)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(2)
    folder = write_world(tmp_path_factory.mktemp("world"))
    with (folder / "tasks.py").open("a") as file:
        file.write(ANSWERS)
    return folder


def drawn(world: Path, reward: str, say: Callable[[int], str], task: str = "answers", **fields: object) -> Batch:
    """The first batch of a training run in which response `index` to every prompt is `say(index)`."""
    engine = ScriptedTrainer(lambda prompt, call, index: say(index))
    with Drawer(prepare(spec_of(world, task=task, reward=reward, **fields)), engine, Silent()) as drawer:
        return drawer.draw(1, 0)


def rewards_of(groups: tuple[tuple[Rollout, ...], ...]) -> list[list[float | None]]:
    return [[None if rollout.reward is None else rollout.reward.value for rollout in group] for group in groups]


def golds_of(groups: tuple[tuple[Rollout, ...], ...]) -> list[list[float | None]]:
    return [[rollout.gold for rollout in group] for group in groups]


def test_the_proxy_pays_and_the_truth_is_gold(world):
    batch = drawn(world, "majority", lambda index: ["w5", "w4", "w5"][index], prompts=2, rollouts=3)
    assert rewards_of(batch.drawn) == [[1, 0, 1]] * 2
    assert golds_of(batch.drawn) == [[0, 1, 0]] * 2
    assert batch.groups.correct_N.tolist() == [False, True, False] * 2
    assert batch.groups.paid_N is not None
    assert batch.groups.paid_N.tolist() == [True, False, True] * 2


def test_two_groups_of_one_prompt_are_judged_one_by_one(world):
    # together it were three against three, and w4, said first, would win everywhere
    texts = ["w4", "w4", "w5", "w5", "w5", "w4"]
    batch = drawn(world, "majority", texts.__getitem__, pool=1, prompts=2, rollouts=3)
    assert rewards_of(batch.drawn) == [[1, 1, 0], [1, 1, 0]]


def test_all_vote_and_the_first_ones_train(world):
    # w5 wins by five votes to three, though w4 leads among the first four, which train
    texts = ["w4", "w4", "w4", "w5", "w5", "w5", "w5", "w5"]
    batch = drawn(world, "majority:trained=4", texts.__getitem__, prompts=2, rollouts=8)
    assert rewards_of(batch.drawn) == [[0, 0, 0, 1, 1, 1, 1, 1]] * 2
    assert rewards_of(batch.trained) == [[0, 0, 0, 1]] * 2
    assert batch.groups.num_rollouts == 8
    # with dynamic sampling a group is live when what trains of it is: here the first three are alike
    dead = drawn(world, "majority:trained=3", texts.__getitem__, prompts=2, rollouts=8, recipe="dapo:fill=two_then_repeat")
    assert (dead.num_live_prompts, dead.trained, len(dead.drawn)) == (0, (), 4)
    live = drawn(world, "majority:trained=4", texts.__getitem__, prompts=2, rollouts=8, recipe="dapo:fill=until_full")
    assert [len(group) for group in live.trained] == [4, 4]


def test_a_truth_that_crashes_leaves_unscored_only_what_needs_it(world):
    texts = ["w4", "w5", "w6"]
    batch = drawn(world, "ground_truth:gate=none", texts.__getitem__, task="crashing", prompts=1, rollouts=3)
    assert rewards_of(batch.drawn) == [[1, None, 0]]
    assert golds_of(batch.drawn) == [[1, None, 0]]
    assert rewards_of(drawn(world, "random:gamma=1", texts.__getitem__, task="crashing", prompts=1, rollouts=3).drawn) == [[1, 1, 1]]


def test_a_base_is_graded_beside_the_truth(world, tmp_path):
    (tmp_path / "mine.py").write_text("def odd(prompt, text):\n    return text == 'w5'\n")
    texts = ["w4", "w5"]
    batch = drawn(world, f"noisy:of={tmp_path / 'mine.py'}:odd", texts.__getitem__, prompts=1, rollouts=2)
    assert rewards_of(batch.drawn) == [[0, 1]]
    assert golds_of(batch.drawn) == [[1, 0]]
    flipped = drawn(world, f"noisy:of={tmp_path / 'mine.py'}:odd,false_accept=1,false_reject=1", texts.__getitem__, prompts=1, rollouts=2)
    assert rewards_of(flipped.drawn) == [[1, 0]]


def test_a_base_in_a_file_belongs_to_the_run(tmp_path):
    (tmp_path / "mine.py").write_text("def odd(prompt, text):\n    return 1.0\n")
    spec = SampleSpec(task="arithmetic", reward=f"noisy:of={tmp_path / 'mine.py'}:odd,false_accept=0.5")
    assert list(sources_of(spec)) == [str(tmp_path / "mine.py")]


def test_the_order_of_groups_does_not_matter():
    task = load_task("arithmetic:digits=1")
    prompts = {prompt.id: prompt for prompt in task.prompts(4, 0)}
    engine = ScriptedEngine()
    groups = list(engine.sample(list(prompts.values()), 6, Sampling(), 3))
    with Graders(load_group_reward("random", task), task.reward, timeout_s=5.0) as graders:
        one = graders.grade(groups, prompts)
        other = graders.grade(groups[::-1], prompts)[::-1]
        alone = [graders.grade([group], prompts)[0] for group in groups]
    keys = [[[(rollout.index, rollout.reward, rollout.gold) for rollout in group] for group in found] for found in (one, other, alone)]
    assert keys[0] == keys[1] == keys[2]
    assert len({rollout.reward.value for group in one for rollout in group if rollout.reward is not None}) == 2


def test_a_judge_of_ours_that_crashes_stops_the_run():
    task = load_task("arithmetic")
    prompt = task.prompts(1, 0)[0]

    def broken(prompt: Prompt, rollouts: object) -> list[Reward]:
        raise KeyError("a bug")

    reward = GroupReward(name="broken", summary="", judge=broken)
    groups = list(ScriptedEngine().sample([prompt], 2, Sampling(), 0))
    with Graders(reward, task.reward, timeout_s=5.0) as graders, pytest.raises(KeyError, match="a bug"):
        graders.grade(groups, {prompt.id: prompt})


ARITHMETIC = SampleSpec(task="arithmetic:digits=1,operators=+", model="scripted", prompts=5, rollouts=4, seed=3)


def sampled(out: Path, reward: str, engine: ScriptedEngine) -> RunFolder:
    return sample(replace(ARITHMETIC, reward=reward), out, load_engine=lambda model, device: engine, quiet=True)


def test_sampling_under_a_vote_keeps_gold(tmp_path):
    table = sampled(tmp_path / "run", "majority", ScriptedEngine(right_every=4)).rollouts()
    assert table["reward"].to_pylist() == [0.0, 1.0, 1.0, 1.0] * 5
    assert table["gold"].to_pylist() == [1.0, 0.0, 0.0, 0.0] * 5
    parts = json.loads(table["reward_parts"][0].as_py())
    assert parts == {"label_right": 0.0, "majority_share": 0.75, "ground_truth_share": 0.25}
    assert None not in table["answer"].to_pylist()


def test_a_coin_falls_the_same_in_a_run_that_goes_on(tmp_path):
    whole = sampled(tmp_path / "whole", "random_format", ScriptedEngine()).rollouts(["prompt_id", "index", "reward", "gold"])
    with pytest.raises(KeyboardInterrupt):
        sampled(tmp_path / "parts", "random_format", ScriptedEngine(stop_after=2))
    parts = sampled(tmp_path / "parts", "random_format", ScriptedEngine())
    assert parts.rollouts(["prompt_id", "index", "reward", "gold"]).equals(whole)
    assert set(whole["reward"].to_pylist()) == {0.0, 1.0}
    assert whole["gold"].to_pylist() == [1.0, 0.0] * 10


def test_an_engine_without_entropies_leaves_the_token_form_unscored(tmp_path):
    folder = sampled(tmp_path / "run", "entropy:form=token", ScriptedEngine())
    assert folder.rollouts()["reward"].null_count == 20
    assert folder.read_run()["grading"]["unscored"] == {"the engine gives no entropies of its tokens": 20}
    assert folder.read_run()["grading"]["gold_unscored"] == 0


def test_more_votes_than_rollouts_are_refused_before_a_model_is_loaded(world, tmp_path):
    def load(*_: object) -> ScriptedEngine:
        raise AssertionError("the model was loaded")

    spec = SampleSpec(task=ARITHMETIC.task, reward="majority:votes=64,trained=32", rollouts=16)
    with pytest.raises(ValueError, match="reward majority:votes=64,trained=32 needs --rollouts of at least 64; got 16"):
        sample(spec, tmp_path / "run", load_engine=load, quiet=True)
    with pytest.raises(ValueError, match="needs --rollouts of at least 9; got 8"):
        prepare(spec_of(world, task="answers", reward="majority:trained=9"))
    with pytest.raises(ValueError, match="compares the rollouts of a prompt"):
        prepare(spec_of(world, task="answers", reward="majority:trained=1"))
    with pytest.raises(ValueError, match="no reward 'majorty'; did you mean majority"):
        load_task_and_rewards(SampleSpec(task=ARITHMETIC.task, reward="majorty"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("reward", ["random_format", "majority:votes=8,trained=4", "entropy:form=token"])
def test_two_steps_of_training_under_a_proxy_keep_the_truth(world, tmp_path, reward):
    spec = spec_of(world, task="answers", reward=reward, eval_every=2, eval_rollouts=4)
    folder = train(spec, tmp_path / "run", quiet=True)
    rows = folder.run.rollouts().to_pylist()
    assert len(rows) == 2 * 4 * 8
    assert [row["gold"] for row in rows] == [float(first_number(row["text"]) % 4 == 0) for row in rows]
    for step, line in enumerate(read_steps(folder.path)):
        here = rows[32 * step : 32 * (step + 1)]
        assert line["gold"] == pytest.approx(np.mean([row["gold"] for row in here]))
        assert line["reward"] == pytest.approx(np.mean([row["reward"] for row in here]))
        if reward.startswith("entropy"):
            assert line["reward_accuracy"] is None
        else:
            assert line["reward_accuracy"] == pytest.approx(np.mean([(row["reward"] >= 1) == (row["gold"] >= 1) for row in here]))
        means = {"random_format": {"format"}, "entropy:form=token": set()}.get(reward)
        assert set(line["reward_parts"]) == (means if means is not None else {"label_right", "majority_share", "ground_truth_share"})
        if "trained" in reward:
            assert line["num_rows"] <= 16
            assert line["reward_parts"]["ground_truth_share"] == pytest.approx(line["gold"])
    for line in read_evaluations(folder.path):
        held_out = RunFolder(folder.path / line["folder"]).rollouts().to_pylist()
        assert line["pass_at_1"]["value"] == pytest.approx(np.mean([row["gold"] for row in held_out]))
        assert [row["gold"] for row in held_out] == [float(first_number(row["text"]) % 4 == 0) for row in held_out]
    if reward == "entropy:form=token":
        # 307 words: the entropy of each token lies between 0 and log 307 = 5.73 nats, and it is no constant
        values = [row["reward"] for row in rows]
        assert -np.log(307) < min(values) < max(values) < 0


def first_number(text: str) -> int:
    """What the tasks of the world look at."""
    words = text.split()
    return int(words[0][1:]) if words and words[0][1:].isdigit() else -1


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.5), (0.0, 1.0)])
def test_entropies_are_those_of_the_full_softmax(kind, temperature, top_p):
    engine = tiny.engine(kind)
    prompts = [tiny.prompt(number, words=3 + number) for number in range(3)]
    settings = Sampling(temperature=temperature, top_p=top_p, max_tokens=6, entropies=True)
    by_id = {prompt.id: prompt for prompt in prompts}
    for group in engine.sample(prompts, 3, settings, 0):
        for rollout in group:
            assert rollout.entropies is not None
            tokens = engine.encode(by_id[rollout.prompt_id]) + rollout.token_ids.tolist()
            with torch.inference_mode():
                logits = engine.model(torch.tensor([tokens])).logits[0, -len(rollout.token_ids) - 1 : -1].double()
            shares = torch.softmax(logits / temperature, dim=1) if temperature else torch.eye(logits.shape[1])[logits.argmax(1)].double()
            expected = torch.distributions.Categorical(probs=shares).entropy()
            assert rollout.entropies.tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    (plain,) = engine.sample(prompts[:1], 1, Sampling(max_tokens=2), 0)
    assert plain[0].entropies is None


def test_the_exact_policy_gives_the_same_entropies():
    # contexts: empty, then "a"; chances (1/2, 1/4, 1/4) have 1.5 bits, (1, 1, 1)/3 have log2 3 bits
    tree = Tree.of(vocabulary_size=3, max_length=2)
    logits = np.zeros((1, len(tree.contexts), 3))
    logits[0, 0] = np.log([0.5, 0.25, 0.25])
    (group,) = TabularEngine(tree, logits).sample([tiny.prompt(0)], 32, Sampling(entropies=True), 0)
    bits = {round(float(value) / np.log(2), 9) for rollout in group if rollout.entropies is not None for value in rollout.entropies[1:]}
    assert {round(float(rollout.entropies[0]) / np.log(2), 9) for rollout in group if rollout.entropies is not None} == {1.5}
    assert bits == {round(float(np.log2(3)), 9)}


def graded(value: float | None, gold: float | None = None, **parts: float) -> Rollout:
    (group,) = ScriptedEngine().sample([tiny.prompt(0)], 1, Sampling(), 0)
    return replace(group[0], reward=Reward(value=value, parts=parts), gold=gold)


def test_reward_accuracy_counts_agreement_about_success():
    # agree, agree, paid though wrong, not paid though right; unscored on either side is left out
    rollouts = [graded(1.0, 1.0), graded(0.4, 0.0), graded(1.0, 0.0), graded(0.0, 1.0), graded(None, 1.0), graded(1.0, None)]
    assert reward_accuracy(rollouts, 1.0) == 0.5
    assert reward_accuracy(rollouts, 0.4) == 0.25
    assert reward_accuracy([graded(1.0), graded(0.0)], 1.0) is None
    # a mean log-probability is no judgement of right and wrong
    assert reward_accuracy([replace(rollout, reward=Reward(value=-0.3)) for rollout in rollouts], 1.0) is None


def test_reward_parts_are_means_over_those_that_have_them():
    rollouts = [graded(1.0, a=1.0, b=0.5), graded(0.0, a=0.0), graded(None, a=1.0, c=1.0)]
    assert reward_parts(rollouts) == {"a": 0.5, "b": 0.5}
    many = [graded(1.0, **{f"part{number:02d}": 1.0 for number in range(number_of, 40)}) for number_of in range(40)]
    kept = reward_parts(many)
    # part k is there in k + 1 of the responses: the 32 most common are 8 to 39
    assert list(kept) == [f"part{number:02d}" for number in range(8, 40)]
