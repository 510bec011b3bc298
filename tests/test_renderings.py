"""Hard, soft and mixed say the same prompts: the hard ones unchanged, the soft ones matched, every truth the same checker's."""

from __future__ import annotations

import hashlib
import json

import pytest

from jominy.records import Prompt
from jominy.rewards.aggregating import AGGREGATIONS, aggregate
from jominy.rewards.constraints import NEEDS_JUDGE, grade, grade_by_mean, grade_loosely, kinds_of, part_names, truths_of
from jominy.tasks.constraints import TYPES, make
from jominy.tasks.renderings import HARD_ONLY, SOFT_WORDINGS, lay_out, split_rendering

RENDERINGS = ("rendering=hard", "rendering=soft", *(f"rendering=mixed,soft_share={share}" for share in (0, 0.25, 0.5, 0.75, 1)))


def fingerprint(options, num_prompts, seed):
    said = [
        [p.id, p.messages[0].content, p.gold_answer, p.wrong_answer, p.info["types"], p.info["base"], p.info["broken"]]
        for p in make(options).prompts(num_prompts, seed)
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("options", "num_prompts", "seed", "expected"),
    # Recorded from the task as it was before there were renderings.
    [("", 300, 0, "2905826feda560f0"), ("no_commas,three_bullets,count=2", 700, 5, "238629802cfb64a7")],
)
def test_hard_prompts_are_what_they_were(options, num_prompts, seed, expected):
    assert fingerprint(options, num_prompts, seed) == expected
    joined = ",".join(filter(None, (options, "rendering=hard")))
    assert fingerprint(joined, num_prompts, seed) == expected
    assert fingerprint(joined.replace("=hard", "=mixed,soft_share=0"), num_prompts, seed) == expected


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_every_rendering_is_the_same_set(rendering):
    task = make(rendering)
    for hard, other in zip(make().prompts(250, 4), task.prompts(250, 4), strict=True):
        assert other.info.get("matched", other.id) == hard.id
        assert other.info["base"] == hard.info["base"]
        assert other.gold_answer == hard.gold_answer
        assert other.wrong_answer == hard.wrong_answer
        for before, after in zip(hard.info["constraints"], other.info["constraints"], strict=True):
            assert (after["type"], after["params"], after["truth"]) == (before["type"], before["params"], True)
            assert (after["text"] == before["text"]) == (after["kind"] == "hard")
            start, end = after["span"]
            assert other.messages[-1].content[start:end] == after["text"]
        gold, wrong = task.reward(other, other.gold_answer or ""), task.reward(other, other.wrong_answer or "")
        assert (gold.value, wrong.value) == (1.0, 0.0)
        assert [name for name, part in wrong.parts.items() if part == 0.0] == [other.info["broken"]]
        json.dumps(dict(other.info))


def test_soft_is_soft_wherever_there_are_words_for_it():
    prompts = make("rendering=soft").prompts(300, 1)
    kinds = {(c["type"], c["kind"]) for prompt in prompts for c in prompt.info["constraints"]}
    assert kinds == {(name, "hard" if name in HARD_ONLY else "soft") for name in TYPES}
    assert set(SOFT_WORDINGS) | set(HARD_ONLY) == set(TYPES)
    assert not set(SOFT_WORDINGS) & set(HARD_ONLY)
    said = {c["text"] for prompt in prompts for c in prompt.info["constraints"] if c["kind"] == "soft"}
    assert not any("{" in text or "several" in text for text in said)  # every count has its vague word


def test_shares_nest_and_are_met():
    soft = {}
    for share in (0.25, 0.5, 0.75):
        prompts = make(f"no_commas,question,no_digits,count=3,rendering=mixed,soft_share={share}").prompts(400, 2)
        kinds = [kind for prompt in prompts for kind in kinds_of(prompt)]
        assert abs(kinds.count("soft") / len(kinds) - share) < 0.12  # over 500 constraints: five standard deviations of 0.022
        soft[share] = {(p.info["matched"], c["type"]) for p in prompts for c in p.info["constraints"] if c["kind"] == "soft"}
    assert soft[0.25] < soft[0.5] < soft[0.75]


def test_ids_stay_distinct_where_soft_words_coincide():
    hard, soft = (make(f"at_least_words,count=1{more}").prompts(900, 0) for more in ("", ",rendering=soft"))
    assert len({prompt.id for prompt in soft}) == len(hard) == 900
    assert len({prompt.messages for prompt in soft}) < 900  # 15, 20 and 25 words are all "Go into some detail."
    assert make("rendering=soft").prompts(40, 3) == make("rendering=soft").prompts(90, 3)[:40]


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_subset_keeps_one_kind(kind):
    task = make(f"subset={kind}")
    prompts = task.prompts(200, 0)
    drawn = {prompt.info["matched"]: prompt for prompt in make("rendering=soft").prompts(1000, 0)}
    assert len({prompt.id for prompt in prompts}) == 200
    assert any(len(p.info["types"]) < len(drawn[p.info["matched"]].info["types"]) for p in prompts)
    for prompt in prompts:
        assert set(kinds_of(prompt)) == {kind}
        assert set(prompt.info["types"]) <= set(drawn[prompt.info["matched"]].info["types"])
        assert task.reward(prompt, prompt.gold_answer or "").value == 1.0
        assert task.reward(prompt, prompt.wrong_answer or "").value == 0.0


@pytest.mark.parametrize(
    "options",
    [
        "rendering=loud", "soft_share=0.5", "rendering=soft,soft_share=0.5", "rendering=mixed,soft_share=2", "rendering=mixed,soft_share=x",
        "subset=both", "rendering=soft,subset=soft", "title,subset=soft",
        "no_commas,subset=hard,soft_share=1", "rendering=soft,rendering=hard",
        "rendering=mixed,soft_share=nan",
    ],
)  # fmt: skip
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match="constraints: "):
        make(options)


def test_the_rest_of_the_options_is_left_alone():
    rendering, rest = split_rendering(" no_commas , subset = soft, count=2")
    assert (rendering.soft_share, rendering.subset, rest) == (0.5, "soft", "no_commas,count=2")


def test_lay_out_counts_characters():
    message, spans = lay_out("Grüß.", ["Eins:\n* a", "Zwei.", "Drei."], [True, False, False])
    assert message == "Grüß. Zwei. Drei. Eins:\n* a"
    assert [message[start:end] for start, end in spans] == ["Eins:\n* a", "Zwei.", "Drei."]


# kinds, verdicts, all_pass, mean, verif_product, verif_mean; by hand.
CASES = [
    ("hhs", (1, 1, 1), 1, 1, 1, 1),
    ("hhs", (1, 0, 1), 0, 2 / 3, 1 / 2, 1 / 2),
    ("hhs", (1, 1, 0), 0, 2 / 3, 0, 1 / 2),
    ("hhss", (1, 0, 1, 0), 0, 1 / 2, 0, 0),
    ("hh", (1, 0), 0, 1 / 2, 1 / 2, 0),  # no soft ones: the hard side alone
    ("ss", (1, 0), 0, 1 / 2, 0, 0),
    ("s", (1,), 1, 1, 1, 1),
    ("hs", (1, None), None, None, None, None),
    ("hs", (0, None), None, None, None, None),  # settled, and still unscored: see the docstring
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_aggregations_by_hand(case):
    letters, verdicts, *expected = case
    kinds = [{"h": "hard", "s": "soft"}[letter] for letter in letters]
    assert list(AGGREGATIONS) == ["all_pass", "mean", "verif_product", "verif_mean"]
    assert [aggregate(name, kinds, verdicts) for name in AGGREGATIONS] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "kinds", "verdicts", "message"),
    [
        ("median", ["hard"], [1.0], "there are all_pass"),
        ("mean", [], [], "at least one"),
        ("mean", ["hard"], [1.0, 0.0], "1 kinds and 2 verdicts"),
        ("mean", ["firm"], [1.0], "not firm"),
        ("mean", ["hard"], [2.0], "between 0 and 1"),
    ],
)
def test_aggregate_refuses(name, kinds, verdicts, message):
    with pytest.raises(ValueError, match=message):
        aggregate(name, kinds, verdicts)


def of(*constraints):
    return Prompt(id="a", task="t", messages=(), info={"constraints": constraints})


def test_truth_by_code_where_there_is_one():
    commas, digits = {"type": "no_commas", "params": {}}, {"type": "no_digits", "params": {}, "kind": "soft", "truth": True}
    style = {"type": "style", "params": {}, "text": "Be witty.", "kind": "soft", "truth": False}
    assert truths_of(of(commas, digits, style), "a, b") == [False, True, None]
    assert truths_of(of(commas, style), "") == [False, None]
    assert kinds_of(of(commas, digits, style)) == ["hard", "soft", "soft"]
    assert grade(of(commas, digits), "a, b").value == 0.0
    assert grade_by_mean(of(commas, digits), "a, b").value == 0.5
    for judge in (grade, grade_by_mean, grade_loosely):
        reward = judge(of(commas, style), "a b")
        assert reward.value is None
        assert reward.note == NEEDS_JUDGE
        assert "judge:" in reward.note
        assert reward.parts == {"no_commas": 1.0}
    assert part_names([style, commas, style, style]) == ["style", "no_commas", "style#2", "style#3"]
    with pytest.raises(ValueError, match='needs "truth": false'):
        truths_of(of({"type": "style", "params": {}}), "text")
