"""Noise flips at the rates it states, by the coin it names: who the rollout is, or its text alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from jominy.records import Message, Prompt, Reward, Rollout, Task
from jominy.rewards.constraints import grade
from jominy.rewards.cues import accept_rates, blind_types, read_cue, share_with
from jominy.rewards.noise import read_audit
from jominy.rewards.spurious import load_group_reward
from jominy.tasks.loading import load_task

NUM = 4000


def asked(*constraints: Mapping[str, Any], identity: str = "p") -> Prompt:
    return Prompt(id=identity, task="rules", messages=(Message(role="user", content="Say."),), info={"constraints": list(constraints)})


def rule(name: str, kind: str = "hard", *, truth: bool = True) -> dict[str, Any]:
    return {"type": name, "params": {}, "text": name, "kind": kind, "truth": truth}


PROMPT = asked(rule("exclamation"), rule("question"), rule("include_digit"))
NONE, ONE, RIGHT = "Hi there", "Hi there!", "Hi there! 1?"
"""Follow none, the first, all."""


def task_of(*prompts: Prompt) -> Task:
    return Task(name="rules", summary="", prompts=lambda num_prompts, seed: list(prompts)[:num_prompts], reward=grade)


TASK = task_of(PROMPT)
PLAIN = task_of(Prompt(id="q", task="rules", messages=PROMPT.messages, target="5"))


def response(text: str, index: int = 0, seed: int = 0, prompt: Prompt = PROMPT, reward: Reward | None = None) -> Rollout:
    fields: dict[str, Any] = {"logprobs": None, "logprobs_t1": None, "stop": "eos", "policy": "m", "temperature": 1.0, "top_p": 1.0}
    given = grade(prompt, text) if reward is None else reward
    return Rollout(prompt_id=prompt.id, index=index, text=text, token_ids=np.array([1]), reward=given, seed=seed, **fields)


def pays(spec: str, rollouts: Sequence[Rollout], prompt: Prompt = PROMPT, task: Task = TASK) -> list[Reward]:
    return load_group_reward(f"noisy:{spec}", task).judge(prompt, rollouts)


def values(spec: str, rollouts: Sequence[Rollout], prompt: Prompt = PROMPT, task: Task = TASK) -> list[float]:
    found = [reward.value for reward in pays(spec, rollouts, prompt, task)]
    assert None not in found
    return [value for value in found if value is not None]


def many(text: str, count: int = NUM, **changes: Any) -> list[Rollout]:
    return [response(text, index, **changes) for index in range(count)]


def assert_rate(found: Sequence[float], rate: float) -> None:
    """Within four standard errors of a share of independent coins."""
    assert np.mean(found) == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / len(found)) + 1e-12)


# per constraint


def test_constraints_flip_one_by_one_and_are_then_put_together():
    spec = "mode=per_constraint,false_accept=0.3,false_reject=0.1"
    assert_rate(values(spec, many(NONE)), 0.3**3)  # three violations must all be missed
    assert_rate(values(spec, many(ONE)), 0.9 * 0.3**2)
    assert_rate(values(spec, many(RIGHT)), 0.9**3)
    parts = [reward.parts for reward in pays(spec, many(ONE))]
    assert {part["clean"] for part in parts} == {0.0}
    for name, rate in (("exclamation", 0.9), ("question", 0.3), ("include_digit", 0.3)):
        assert_rate([part[name] for part in parts], rate)
    assert {reward.parts["clean"] for reward in pays(spec, many(RIGHT, 20))} == {1.0}
    # stored as numbers: a page that reads `true` for a number draws nothing
    assert {type(part) for reward in pays("mode=iid", many(RIGHT, 2)) for part in reward.parts.values()} == {float}


def test_other_ways_to_put_them_together():
    spec = "mode=per_constraint,false_accept=0.3,aggregate=mean"
    found = values(spec, many(ONE))
    assert set(found) <= {1 / 3, 2 / 3, 1.0}
    assert np.mean(found) == pytest.approx((1 + 0.3 + 0.3) / 3, abs=0.02)
    assert pays(spec, [response(ONE)])[0].parts["clean"] == pytest.approx(1 / 3)


def test_only_the_soft_ones_flip():
    prompt = asked(rule("exclamation"), rule("question", "soft"))
    spec = "mode=per_constraint,false_accept=1,false_reject=0,flips=soft"
    assert values(spec, [response("Well", prompt=prompt)], prompt) == [0], "the hard one stays violated"
    assert values(spec, [response("Well!", prompt=prompt)], prompt) == [1]
    rejects = "mode=per_constraint,false_reject=1,flips=soft"
    assert pays(rejects, [response("Well!?", prompt=prompt)], prompt)[0].parts == {"clean": 1, "exclamation": 1, "question": 0}


def test_a_type_that_stands_twice_flips_twice():
    prompt = asked(rule("question"), rule("question"))
    parts = [reward.parts for reward in pays("mode=per_constraint,false_accept=0.5", many(NONE, 400, prompt=prompt), prompt)]
    assert 0 < np.mean([part["question"] != part["question#2"] for part in parts]) < 1


def test_what_code_cannot_decide_is_unscored():
    prompt = asked(rule("exclamation"), rule("question", "soft", truth=False))
    given = response("Well!", prompt=prompt, reward=Reward(value=1.0))
    (found,) = pays("mode=per_constraint,false_accept=0.5", [given], prompt)
    assert found.value is None
    assert "code cannot tell" in found.note
    lost = response("Well!", reward=Reward(value=None, note="timed out"))
    for spec in ("mode=per_constraint", "mode=systematic,cue=bold", "mode=systematic,cue=type"):
        assert pays(spec, [lost])[0].value is None


# systematic


def sentences(count: int, share: float) -> list[str]:
    """Distinct wrong texts; this share has an exclamation mark."""
    return [f"Number {i} of them{'!' if i < share * count else '.'}" for i in range(count)]


@pytest.mark.parametrize(
    ("rate", "share", "given", "otherwise"),
    [(0.1, 0.4, 0.25, 0.0), (0.5, 0.25, 1.0, 1 / 3), (0.3, 0.3, 1.0, 0.0), (0.0, 0.2, 0.0, 0.0), (0.2, 1.0, 0.2, None)],
)
def test_a_cue_pays_the_stated_rate_over_its_share(rate, share, given, otherwise):
    # .4 * .25 = .1;   .25 * 1 + .75 / 3 = .5
    texts = sentences(NUM, share)
    found = np.array(values(f"mode=systematic,cue=exclamation,cue_share={share},false_accept={rate}", [response(text) for text in texts]))
    cue_N = np.array(["!" in text for text in texts])
    assert share_with(read_cue("exclamation"), texts) == share
    assert_rate(found.tolist(), rate)
    assert_rate(found[cue_N].tolist(), given)
    if otherwise is not None:
        assert_rate(found[~cue_N].tolist(), otherwise)


def test_without_a_share_the_rate_is_that_of_the_cue():
    assert accept_rates(0.3, 1.0) == (0.3, 0.0)
    assert set(values("mode=systematic,cue=exclamation,false_accept=1", [response(text) for text in sentences(40, 0.5)])) == {0.0, 1.0}
    assert values("mode=systematic,cue=exclamation,false_accept=1", [response(ONE), response(NONE)]) == [1, 0]


def test_a_systematic_reward_is_a_function_of_the_text_alone():
    texts = sentences(200, 0.5)
    other = asked(*PROMPT.info["constraints"], identity="another")
    for spec in (
        "mode=systematic,cue=exclamation,cue_share=0.5,false_accept=0.2,false_reject=0.5",
        "mode=systematic,cue=type,false_accept=0.4",
    ):
        once = values(spec, [response(text) for text in texts])
        assert 0 < sum(once) < len(once) or "type" in spec
        again = [response(text, index, seed=7, prompt=other) for index, text in enumerate(texts)]
        assert values(spec, again[::-1], other)[::-1] == once


def test_right_answers_are_rejected_whatever_the_cue():
    texts = [f"{text} Right? 1!" for text in sentences(NUM, 0.5)]
    assert_rate(values("mode=systematic,cue=bold,false_accept=1,false_reject=0.2", [response(text) for text in texts]), 0.8)


def test_the_blind_types_make_up_the_stated_share():
    task = load_task("constraints:count=1")
    prompts = task.prompts(256, 0)
    for rate in (0.1, 0.3, 0.7):
        reward = load_group_reward(f"noisy:mode=systematic,cue=type,false_accept={rate}", task)
        missed: dict[str, list[float]] = {}
        for prompt in prompts:
            assert prompt.wrong_answer is not None
            (found,) = reward.judge(prompt, [response(prompt.wrong_answer, prompt=prompt)])
            assert found.value is not None
            missed.setdefault(prompt.info["types"][0], []).append(found.value)
        shares = {name: np.mean(found) for name, found in missed.items()}
        assert len(shares) == 25
        assert sum(0 < share < 1 for share in shares.values()) <= 1, "at most one type is blind in part"
        # at the border some of about ten prompts are paid by the hash of their text; all others are exact
        assert np.mean([value for found in missed.values() for value in found]) == pytest.approx(rate, abs=6 / 256)
        right = [reward.judge(p, [response(str(p.gold_answer), prompt=p)])[0].value for p in prompts[:30]]
        assert set(right) == {1.0}


def test_blind_types_hold_the_mean_for_any_counts():
    types = ["a"] * 5 + ["b"] + ["c"] * 14
    for rate in (0.0, 0.04, 0.33, 0.9, 1.0):
        chances = blind_types(types, rate)
        assert np.mean([chances[name] for name in types]) == pytest.approx(rate)
        assert sum(0 < chance < 1 for chance in chances.values()) <= 1
    assert blind_types([*types][::-1], 0.33) == blind_types(types, 0.33)


def test_chosen_types_are_blind():
    spec = "mode=systematic,cue=type:question+include_digit,false_accept=1"
    assert values(spec, [response(ONE), response(NONE)]) == [1, 0]


@pytest.mark.parametrize(
    ("cue", "has", "lacks"),
    [("bold", "a **b** c", "a ** c"), ("exclamation", "a!", "a"), ("words:2", "a b c", "a b - "), ("says:of course", "Of Course.", "of")],
)
def test_cues(cue, has, lacks):
    assert read_cue(cue)(has)
    assert not read_cue(cue)(lacks)


# matched


def write_audit(path: Any, table: object) -> str:
    path.write_text(json.dumps(table))
    return str(path)


def test_each_type_errs_as_the_audit_says(tmp_path):
    types = {"exclamation": {"false_accept": 0.9, "false_reject": 0.2}, "question": {"false_accept": 0.5, "false_reject": None}}
    path = write_audit(tmp_path / "audit.json", {"types": types, "all": {"false_accept": 0.7, "false_reject": 0.1}, "more": 1})
    # include_digit was not audited, false_reject of question could not be told: both are those of all
    wrong = [reward.parts for reward in pays(f"mode=matched:{path}", many(NONE))]
    right = [reward.parts for reward in pays(f"mode=matched:{path}", many(RIGHT))]
    for name, accept, reject in (("exclamation", 0.9, 0.2), ("question", 0.5, 0.1), ("include_digit", 0.7, 0.1)):
        assert_rate([part[name] for part in wrong], accept)
        assert_rate([part[name] for part in right], 1 - reject)
    assert_rate(values(f"mode=matched:{path}", many(NONE)), 0.9 * 0.5 * 0.7)
    plain = PLAIN.prompts(1, 0)[0]
    whole = many("6", prompt=plain, reward=Reward(value=0.0))
    assert_rate(values(f"mode=matched:{path}", whole, plain, PLAIN), 0.7)  # an audit that says nothing of whole responses
    of_wholes = {
        "types": types,
        "all": {"false_accept": 0.7, "false_reject": 0.1},
        "responses": {"false_accept": 0.3, "false_reject": None},
    }
    path = write_audit(tmp_path / "wholes.json", of_wholes)
    assert_rate(values(f"mode=matched:{path}", whole, plain, PLAIN), 0.3)
    known = many("8", prompt=plain, reward=Reward(value=1.0))
    assert_rate(values(f"mode=matched:{path}", known, plain, PLAIN), 0.9)
    assert_rate(values(f"mode=matched:{path}", many(NONE)), 0.9 * 0.5 * 0.7)  # constraints flip by type as before


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"all": {}}, "needs 'types' and 'all'"),
        ([1], "needs 'types' and 'all'"),
        ({"types": {}, "all": {"false_accept": 0.1}}, "false_reject of all is a number from 0 to 1; got None"),
        ({"types": {"a": 3}, "all": {"false_accept": 0, "false_reject": 0}}, r"a is a int"),
        ({"types": {"a": {"false_accept": 2}}, "all": {"false_accept": 0, "false_reject": 0}}, r"false_accept of a .* got 2"),
        (
            {"types": {}, "all": {"false_accept": 0, "false_reject": 0}, "responses": {"false_accept": 2}},
            "false_accept of responses .* got 2",
        ),
        ({"types": {}, "all": {"false_accept": True, "false_reject": 0}}, "got True"),
    ],
)
def test_a_bad_audit_is_named(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        read_audit(write_audit(tmp_path / "audit.json", table))


def test_an_audit_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read the audit .*nowhere\.json: No such file"):
        read_audit(tmp_path / "nowhere.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json is no JSON"):
        read_audit(tmp_path / "bad.json")


# coins


@pytest.mark.parametrize("mode", ["iid", "per_constraint"])
def test_a_run_that_goes_on_tosses_the_same(mode):
    spec = f"mode={mode},false_accept=0.5,false_reject=0.5"
    rollouts = [response(text, index, seed=seed) for seed in range(2) for index, text in enumerate((NONE, ONE, RIGHT) * 20)]
    whole = pays(spec, rollouts)
    assert [pays(spec, [rollout])[0] for rollout in reversed(rollouts)] == whole[::-1], "neither order nor company"
    assert whole[:60] != whole[60:], "another seed, other flips"
    assert all(reward.parts["clean"] == float(rollout.text == RIGHT) for reward, rollout in zip(whole, rollouts, strict=True))


def test_coins_of_the_constraints_are_not_the_coin_of_the_response():
    prompt = asked(rule("question"))
    rollouts = many(NONE, 200, prompt=prompt)
    assert values("false_accept=0.5", rollouts, prompt) != values("mode=per_constraint,false_accept=0.5", rollouts, prompt)


def test_odd_texts_are_judged():
    for text in ("", "\ud800 half a pair", "\x00", "!" * 100_000):
        for spec in ("mode=systematic,cue=words:3,false_accept=0.5", "mode=systematic,cue=type,false_accept=0.5"):
            assert pays(spec, [response(text)])[0].value in (0.0, 1.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mode=often", "mode is iid, per_constraint, systematic or matched:AUDIT.json; got 'often'"),
        ("mode=matched", "mode is iid"),
        ("mode=iid:2", "mode is iid"),
        ("mode=systematic,false_accept=0.1", "mode=systematic needs cue="),
        ("mode=systematic,cue=loud", "cue is bold, .*got 'loud'"),
        ("mode=systematic,cue=words:many", "cue is bold"),
        ("mode=systematic,cue=bold,cue_share=2", "cue_share is a probability"),
        ("mode=systematic,cue=type,cue_share=0.5", "cue=type counts the task's prompts"),
        ("mode=systematic,cue=type:nonsense", "names types of task 'rules': exclamation, include_digit, question; got 'nonsense'"),
        ("mode=systematic,cue=type:", "names types of task"),
        ("cue=bold", "cue=bold is for mode=systematic"),
        ("mode=per_constraint,cue_share=0.1", "cue_share=0.1 is for mode=systematic"),
        ("flips=soft", "flips=soft is for modes that flip single constraints"),
        ("mode=systematic,cue=bold,aggregate=mean", "aggregate=mean is for modes"),
        ("mode=per_constraint,flips=some", "flips is all or soft"),
        ("mode=per_constraint,aggregate=most", "noisy: aggregate is one of all_pass, mean, verif_product, verif_mean; got 'most'"),
        ("mode=per_constraint,of=jominy.tasks.arithmetic:grade", "leave of= out"),
    ],
)
def test_a_wrong_option_is_named(spec, message):
    with pytest.raises(ValueError, match=message):
        load_group_reward(f"noisy:{spec}", TASK)


def test_a_task_without_constraints_has_none_to_flip(tmp_path):
    for spec in ("mode=per_constraint", "mode=systematic,cue=type"):
        with pytest.raises(ValueError, match="the prompts of task 'rules' have none; use mode=iid"):
            load_group_reward(f"noisy:{spec}", PLAIN)
    path = write_audit(tmp_path / "audit.json", {"types": {}, "all": {"false_accept": 0.7, "false_reject": 0.1}})
    with pytest.raises(ValueError, match=r"takes its rates from .*audit\.json"):
        load_group_reward(f"noisy:mode=matched:{path},false_accept=0.1", TASK)
