"""Each reward that does not know the answer, by hand: who is paid in a group that is written down, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from jominy.cli import main
from jominy.records import GroupReward, Message, Prompt, Reward, Rollout, Task
from jominy.rewards.noise import uniform
from jominy.rewards.spurious import REWARDS, load_group_reward, names_reward
from jominy.tasks.loading import load_task

PROMPT = Prompt(id="p", task="sums", messages=(Message(role="user", content="2 + 3 = ?"),), target="5", gold_answer="5")


def says_five(prompt: Prompt, text: str) -> Reward:
    return Reward(value=float(text == "5"), answer=text or None)


def short(prompt: Prompt, text: str) -> bool:
    return len(text) == 1


TASK = Task(name="sums", summary="", prompts=lambda num_prompts, seed: [PROMPT][:num_prompts], reward=says_five, format=short)
FORMLESS = replace(TASK, format=None)


def response(text: str, index: int = 0, truth: Reward | None = None, **changes: Any) -> Rollout:
    """Graded by `says_five` unless told otherwise."""
    fields: dict[str, Any] = {"logprobs": np.full(2, -1.0), "logprobs_t1": None, "stop": "eos", "policy": "m", "seed": 0}
    fields |= {"temperature": 1.0, "top_p": 1.0, "token_ids": np.array([7, 1]), **changes}
    reward = says_five(PROMPT, text) if truth is None else truth
    return Rollout(prompt_id=PROMPT.id, index=index, text=text, reward=reward, **fields)


@cache
def loaded(spec: str, task: Task) -> GroupReward:
    """Votes ask the task in a process of its own, which costs a third of a second."""
    return load_group_reward(spec, task)


def pays(spec: str, rollouts: Sequence[Rollout], task: Task = TASK) -> list[Reward]:
    return loaded(spec, task).judge(PROMPT, rollouts)


def values(spec: str, *texts: str, task: Task = TASK, **changes: Any) -> list[float | None]:
    return [reward.value for reward in pays(spec, [response(text, index, **changes) for index, text in enumerate(texts)], task)]


UNSCORED = Reward(value=None, note="timed out after 5 s")


def test_truth_and_form_multiply():
    # "5" is right and in form, "6" in form only; "55" is neither
    assert values("ground_truth", "5", "6", "55") == [1, 0, 0]
    assert values("format", "5", "6", "55") == [1, 1, 0]
    assert values("incorrect_any", "5", "6", "55") == [0, 1, 0]
    right_out_of_form = response("five", truth=Reward(value=1.0, answer="5"))
    assert [pays(spec, [right_out_of_form])[0].value for spec in ("ground_truth", "ground_truth:gate=none", "incorrect_any")] == [0, 1, 0]
    assert pays("ground_truth", [right_out_of_form])[0] == Reward(value=0.0, parts={"format": 0.0}, answer="5")
    wrong_out_of_form = response("sixty", truth=Reward(value=0.0))
    assert pays("incorrect_any:gate=none", [wrong_out_of_form])[0].value == 1


def test_a_graded_truth_is_wrong_until_it_is_one():
    good_form = response("6", truth=Reward(value=0.99))
    assert pays("ground_truth", [good_form])[0].value == 0
    assert pays("incorrect_any", [good_form])[0].value == 1


def test_without_a_form_a_response_must_be_there_and_end():
    assert values("format", "a long answer", "", " \n", task=FORMLESS) == [1, 0, 0]
    assert values("format", "a long answer", task=FORMLESS, stop="length") == [0]


THOUGHT = "<think>2 and 3</think> <answer>5</answer>"
LONG_THOUGHT = "<think>2\nand 3</think>\n<answer>5</answer>"


def test_the_released_form_fails_at_a_line_break_in_the_thought():
    right = Reward(value=1.0, answer="5")
    for text, ours, literal in (
        (THOUGHT, 1, 1),
        (LONG_THOUGHT, 1, 0),
        ("<think>2 and 3</think>\n\n<answer>5</answer>", 1, 1),  # a break between the two parts is allowed in both
        ("I say " + THOUGHT, 0, 0),
        (THOUGHT + " indeed", 0, 0),
        ("<answer>5</answer>", 0, 0),
    ):
        for reward in ("format", "ground_truth"):
            found = [pays(f"{reward}:gate={gate}", [response(text, truth=right)])[0].value for gate in ("think", "think_literal")]
            assert found == [ours, literal], (reward, text)


def test_the_released_truth_is_the_first_answer_to_the_letter():
    spaced = response("<think>a</think><answer> 5</answer>", truth=Reward(value=1.0))
    twice = response("<think><answer>6</answer></think><answer>5</answer>", truth=Reward(value=1.0))
    turned = response("<think><answer>5</answer></think><answer>6</answer>", truth=Reward(value=0.0))
    group = [spaced, twice, turned]
    assert [reward.value for reward in pays("ground_truth:gate=think", group)] == [1, 1, 0]
    assert [reward.value for reward in pays("ground_truth:gate=think_literal", group)] == [0, 0, 1]
    assert [reward.value for reward in pays("incorrect_any:gate=think_literal", group)] == [1, 1, 0]


def test_incorrect_as_released_for_mathematics_pays_right_answers():
    assert values("incorrect_any:released=yes", "5", "6", "55") == values("ground_truth", "5", "6", "55") == [1, 0, 0]


def test_what_needs_the_truth_is_unscored_without_it():
    lost = response("7", truth=UNSCORED)
    for spec in ("ground_truth", "incorrect_any", "majority", "incorrect_label", "noisy:false_accept=1"):
        (reward,) = pays(spec, [lost])
        assert reward.value is None
        assert "timed out after 5 s" in reward.note
    assert pays("format", [lost])[0].value == 1
    assert pays("random:gamma=1", [lost])[0].value == 1
    assert pays("entropy", [lost])[0].value == -1


def test_the_most_common_answer_wins():
    # 6 three times, 5 twice, 7 once: the label is wrong, half of the votes are its, a third of the responses is right
    (first, *_) = rewards = pays("majority", [response(text, index) for index, text in enumerate("665576")])
    assert [reward.value for reward in rewards] == [1, 1, 0, 0, 0, 1]
    assert [reward.answer for reward in rewards] == list("665576")
    parts = {"label_right": 0.0, "majority_share": 0.5, "ground_truth_share": 1 / 3}
    assert all(reward.parts == pytest.approx(parts) for reward in rewards)
    assert values("incorrect_label", *"665576") == [1, 1, 0, 0, 0, 1]
    assert "ground_truth_share" not in pays("incorrect_label", [response("6")])[0].parts
    assert first.note == ""


def test_a_group_whose_majority_is_right_earns_nothing_for_an_incorrect_label():
    assert values("majority", *"5565") == [1, 1, 0, 1]
    assert values("incorrect_label", *"5565") == [0, 0, 0, 0]
    assert pays("incorrect_label", [response("5")])[0].parts == {"label_right": 1.0, "majority_share": 1.0}


def test_of_equally_common_answers_the_first_wins():
    assert values("majority", *"7665") == [0, 1, 1, 0]
    assert values("majority", *"6565") == [1, 0, 1, 0]
    assert values("majority", *"5656") == [1, 0, 1, 0]
    assert values("majority", *"7689") == [1, 0, 0, 0], "all different: the first"
    assert values("majority", *"6666") == [1, 1, 1, 1]


def test_who_gives_no_answer_cannot_win_and_who_could_not_be_graded_does_not_vote():
    # of four graded voters one says 6; three say nothing, though they are more
    group = [response("", 0), response("", 1), response("6", 2), response("", 3), response("5", 4, truth=UNSCORED)]
    rewards = pays("majority", group)
    assert [reward.value for reward in rewards] == [0, 0, 1, 0, None]
    assert rewards[0].parts == {"label_right": 0.0, "majority_share": 0.25, "ground_truth_share": 0.0}
    silent = pays("majority", [response(""), response("", 1)])
    assert [reward.value for reward in silent] == [0, 0]
    assert silent[0].parts["majority_share"] == 0
    assert values("majority:gate=task", "66", "66", "5") == [0, 0, 0], "the label is out of form"


def test_the_first_votes_vote_and_all_are_judged():
    assert values("majority:votes=3", *"6655555") == [1, 1, 0, 0, 0, 0, 0]
    assert values("majority:votes=64,trained=32", *"655") == [0, 1, 1], "a smaller group votes whole"
    reward = load_group_reward("majority:votes=64,trained=32", TASK)
    assert (reward.name, reward.smallest_group, reward.trained) == ("majority:votes=64,trained=32", 64, 32)
    assert load_group_reward("majority", TASK).trained is None


def test_entropy_is_the_mean_over_tokens():
    # (-1 - 3) / 2 = -2;  -(0.5 + 1 + 0) / 3 = -0.5
    sure = response("5", logprobs=np.array([-1.0, -3.0]), entropies=np.array([0.5, 1.0, 0.0]))
    assert pays("entropy", [sure])[0].value == pytest.approx(-2.0)
    assert pays("entropy:form=token", [sure])[0].value == pytest.approx(-0.5)
    assert load_group_reward("entropy:form=token", TASK).needs_entropies
    assert not load_group_reward("entropy", TASK).needs_entropies
    for spec, changes, note in (
        ("entropy", {"logprobs": None}, "no log-probabilities"),
        ("entropy:form=token", {}, "no entropies"),
        ("entropy", {"logprobs": np.zeros(0)}, "without tokens"),
    ):
        (reward,) = pays(spec, [response("5", **changes)])
        assert reward.value is None
        assert note in reward.note


def coins(spec: str, count: int = 4000, text: str = "5", **changes: Any) -> list[float | None]:
    return [reward.value for reward in pays(spec, [response(text, index, **changes) for index in range(count)])]


@pytest.mark.parametrize("spec", ["random", "random_format"])
def test_coins_fall_as_often_as_said(spec):
    assert set(coins(f"{spec}:gamma=0", 200)) == {0.0}
    assert set(coins(f"{spec}:gamma=1", 200)) == {1.0}
    # 4000 coins at 0.3: standard error 0.0072
    assert np.mean(coins(f"{spec}:gamma=0.3")) == pytest.approx(0.3, abs=0.03)  # type: ignore[arg-type]
    assert np.mean(coins(spec)) == pytest.approx(0.5, abs=0.03)  # type: ignore[arg-type]


def test_only_random_format_looks_at_the_form():
    assert set(coins("random_format:gamma=1", 50, text="55")) == {0.0}
    assert set(coins("random:gamma=1", 50, text="55")) == {1.0}


def test_a_coin_belongs_to_prompt_seed_and_index_and_to_nothing_else():
    alone = coins("random", 64)
    assert [pays("random", [response("6", index)])[0].value for index in reversed(range(64))] == alone[::-1], "neither company nor text"
    assert coins("random", 64, seed=1) != alone
    assert coins("random_format", 64) != alone
    other = [uniform("random", "q", 0, index) for index in range(64)]
    assert other != [uniform("random", "p", 0, index) for index in range(64)]
    # one coin more often than not falls alike at a higher gamma: what pays at 0.3 pays at 0.5
    assert all(low <= high for low, high in zip(coins("random:gamma=0.3", 64), alone, strict=True))  # type: ignore[operator]


def test_noise_flips_at_the_stated_rates():
    wrong = coins("noisy:false_accept=0.2,false_reject=0.1", text="6")
    right = coins("noisy:false_accept=0.2,false_reject=0.1", text="5")
    # standard errors 0.0063 and 0.0047
    assert np.mean(wrong) == pytest.approx(0.2, abs=0.03)  # type: ignore[arg-type]
    assert np.mean(right) == pytest.approx(0.9, abs=0.03)  # type: ignore[arg-type]
    assert values("noisy", "5", "6") == [1, 0]
    assert values("noisy:false_accept=1,false_reject=1", "5", "6") == [0, 1]
    assert [reward.parts for reward in pays("noisy:false_reject=1", [response("5"), response("6")])] == [{"clean": 1.0}, {"clean": 0.0}]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("random:gama=1", "no option 'gama'; did you mean gamma"),
        ("random:gamma=2", "gamma is a probability from 0 to 1; got '2'"),
        ("random:gamma=nan", "gamma is a probability"),
        ("random_format:gamma=half", "gamma is a probability"),
        ("noisy:false_accept=-0.1", "false_accept is a probability"),
        ("noisy:of=nowhere.py:fn", "no file .*nowhere.py"),
        ("format:gate=none", "gate is one of task, think, think_literal; got 'none'"),
        ("ground_truth:gate=box", "gate is one of task, think, think_literal, none; got 'box'"),
        ("incorrect_any:released=perhaps", "released is yes or no"),
        ("majority:votes=0", "votes is a whole number of at least 1"),
        ("majority:trained=many", "trained is a whole number"),
        ("entropy:form=word", "form is sequence or token; got 'word'"),
        ("random:gamma", "has no value; write name=value"),
    ],
)
def test_a_wrong_option_is_named(spec, message):
    with pytest.raises(ValueError, match=message):
        load_group_reward(spec, TASK)


def test_unknown_names_get_near_misses_and_the_list():
    with pytest.raises(ValueError, match=r"no reward 'majorty'; did you mean majority\?\nThere are\n(.*\n)+.*my_rewards.py:fn"):
        names_reward("majorty")
    with pytest.raises(ValueError, match="did you mean random"):
        names_reward("randm:gamma=0.3")
    assert names_reward("random:gamma=0.3")
    assert not names_reward("my_rewards.py:fn")


def test_tasks_that_lack_what_a_reward_needs_are_refused():
    constraints = load_task("constraints")
    for name in ("majority", "incorrect_label"):
        with pytest.raises(ValueError, match=f"{name} counts answers, and the reward of task 'constraints' extracts none"):
            load_group_reward(name, constraints)
    with pytest.raises(ValueError, match="gate=think_literal compares with the target, and the prompts of task 'constraints' have none"):
        load_group_reward("ground_truth:gate=think_literal", constraints)
    load_group_reward("majority", load_task("arithmetic"))


def test_every_name_loads_and_brings_its_source(capsys):
    for name, entry in REWARDS.items():
        if name == "judge":
            continue  # nothing without somebody to ask: test_judged
        reward = loaded(name, TASK)
        assert reward.name == name
        assert reward.paper == entry.paper
        assert pays(name, []) == []
    assert main(["rewards"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in REWARDS)


@pytest.mark.parametrize(
    ("task", "good", "bad"),
    [
        ("arithmetic", ["5", "2 + 3 = 5.", "It is -1,234\n", "5.0"], ["", "5 apples", "2.5", "five", "5.."]),
        ("math:aime24", [r"So \boxed{5}.", r"\boxed{\frac{1}{2}}"], ["5", r"\boxed{5", ""]),
        ("logic:knights_knaves", ["<answer>x</answer>"], ["x", "<answer>x", ""]),
    ],
)
def test_the_form_a_task_asks_for(task, good, bad, monkeypatch, tmp_path):
    (tmp_path / "aime24.jsonl").write_text('{"problem": "2 + 3?", "answer": "5"}\n')
    monkeypatch.setenv("JOMINY_DATA", str(tmp_path))
    form = load_task(task).format
    assert form is not None
    assert [form(PROMPT, text) for text in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_gold_answers_are_in_form_and_constraints_have_none(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "2 + 3?", "answer": "5"}\n')
    for name in ("arithmetic:digits=3", "logic:countdown", str(tmp_path / "mine.jsonl")):
        task = load_task(name)
        assert task.format is not None
        assert all(task.format(prompt, str(prompt.gold_answer)) for prompt in task.prompts(8, 0))
    assert load_task("constraints").format is None
    assert load_task(str(tmp_path / "mine.jsonl"), reward=says_five).format is None, "a reward of one's own may want another form"
