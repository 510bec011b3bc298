"""Constructed truth: every pair differs in one constraint, every probe is judged by code, and a labelled file is read or refused."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from jominy.auditing.labels import UNTYPED, read_label, read_labelled
from jominy.auditing.pairs import CLAIM, LONG, PROBES, make_pair, make_pairs, make_probes
from jominy.confusion import all_said, constraint_table, response_table
from jominy.measures.precision import measure_precision
from jominy.measures.trust import decide_trust
from jominy.rewards.constraints import follows, grade
from jominy.tasks.constraints import TYPES, make


@pytest.fixture(scope="module")
def pairs():
    return make_pairs(0, pairs_per_cell=2)


def test_every_type_is_broken_equally_often_at_every_count(pairs):
    broken = [item for item in pairs if item.kind == "violated"]
    assert Counter((item.about, len(item.truths)) for item in broken) == {(name, count): 2 for name in TYPES for count in (1, 2, 3)}
    assert len(pairs) == 2 * len(broken)
    assert len({item.prompt.id for item in pairs}) == len(broken)


def test_a_pair_differs_in_exactly_one_constraint(pairs):
    for satisfied, violated in zip(pairs[::2], pairs[1::2], strict=True):
        assert satisfied.prompt is violated.prompt
        assert grade(satisfied.prompt, satisfied.text).value == 1.0
        assert (satisfied.kind, satisfied.truth, violated.kind, violated.truth) == ("satisfied", True, "violated", False)
        constraints = violated.prompt.info["constraints"]
        assert [c["type"] for c in constraints if not follows(c, violated.text)] == [violated.about]
        assert [c["type"] for c, truth in zip(constraints, violated.truths, strict=True) if not truth] == [violated.about]


def test_same_seed_same_pairs(pairs):
    assert make_pairs(0, pairs_per_cell=2, counts=(1,)) == [item for item in pairs if len(item.truths) == 1]
    assert make_pairs(1, pairs_per_cell=1, counts=(1,)) != make_pairs(0, pairs_per_cell=1, counts=(1,))


def test_a_selection_without_pairs_of_a_count_has_none():
    found = make_pairs(0, pairs_per_cell=1, options="title,json")  # the two exclude each other
    assert Counter(len(item.truths) for item in found) == {1: 4}
    for mistake in ({"options": "count=2"}, {"pairs_per_cell": 0}, {"counts": (4,)}):
        with pytest.raises(ValueError, match=r"count|pairs"):
            make_pairs(0, **mistake)


def test_probes_are_what_they_say_and_code_decides_them():
    prompts = make("no_commas,include_digit,count=1").prompts(20, 0)
    items = {(item.prompt.id, item.about): item for item in make_probes(prompts)}
    assert len(items) == 20 * len(PROBES)
    for prompt in prompts:
        texts = {name: items[prompt.id, name].text for name in PROBES}
        assert texts["empty"] == ""
        assert items[prompt.id, "empty"].truth is False
        assert texts["echo"] == prompt.messages[-1].content
        assert prompt.wrong_answer is not None
        assert texts["false claim"].startswith(prompt.wrong_answer)
        assert texts["false claim"].endswith(CLAIM)
        assert json.loads(texts["json"])["answer"] == prompt.wrong_answer
        assert LONG <= len(texts["repetition"]) <= LONG + 1000
        for name, text in texts.items():
            assert items[prompt.id, name].truths == tuple(follows(c, text) for c in prompt.info["constraints"])
    # "Do not use commas." has none itself, and "All constraints are satisfied." has no digit.
    assert any(items[prompt.id, "echo"].truth for prompt in prompts)
    assert {items[p.id, "claim"].truth for p in prompts if p.info["types"] == ["include_digit"]} == {False}
    with pytest.raises(ValueError, match="no probe 'shout'; there are empty"):
        make_probes(prompts, ["shout"])
    with pytest.raises(ValueError, match="no wrong answer"):
        make_probes([replace(prompts[0], wrong_answer=None)])


def test_a_judge_that_sees_all_but_one_type_is_found_out(pairs):
    blind = "title"

    def verdicts(item):
        return [truth or c["type"] == blind for c, truth in zip(item.prompt.info["constraints"], item.truths, strict=True)]

    said = [verdicts(item) for item in pairs]
    found = measure_precision(constraint_table(pairs, said))
    recall = {cell.name: cell.recall_false.value for cell in found.by_type}
    assert recall == {name: float(name != blind) for name in TYPES}
    # Six of 150 violated responses break the title; response tables built either way agree on them.
    assert (found.responses.false_accepts, found.responses.true_rejects) == (6, 144)
    whole = measure_precision(response_table(pairs, all_said(said)))
    assert (whole.responses.false_accepts, whole.responses.true_rejects) == (6, 144)
    assert {cell.name: cell.recall_false.value for cell in whole.by_type} == recall


def test_the_default_number_of_pairs_is_enough_to_trust_a_perfect_judge():
    items = make_pairs(3)
    trust = decide_trust(measure_precision(constraint_table(items, [item.truths for item in items])))
    assert (trust.value, set(trust.types)) == ("trust", set(TYPES))


def test_unscored_and_unknown_are_told_apart():
    prompts = make("no_commas,title,count=2").prompts(40, 0)
    prompt = next(p for p in prompts if len(p.info["constraints"]) == 2)
    satisfied, violated = make_pair(prompt, "title")
    unknown = replace(satisfied, truths=(None, True))
    table = constraint_table([satisfied, violated, unknown], [[True, None], [True, False], [True, True]])
    assert (table.num_items, int(np.count_nonzero(~table.scored_M))) == (5, 1)
    assert response_table([satisfied, violated, unknown], [None, True, True]).num_items == 2
    assert replace(violated, truths=(None, False)).truth is False
    with pytest.raises(ValueError, match="2 constraints, 2 truths and 1 verdicts"):
        constraint_table([satisfied], [[True]])
    with pytest.raises(ValueError, match="1 verdicts for 2"):
        response_table([satisfied, violated], [True])


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_labelled_file(tmp_path):
    rows = [
        {"prompt": "Say hi.", "response": "hi", "label": True, "type": "tone"},
        {"prompt": "Say hi.", "response": "", "label": "violated"},
        {"prompt": [{"role": "user", "content": "Count."}], "response": "1 2 3", "label": 1, "type": "tone"},
    ]
    items = read_labelled(write(tmp_path / "mine.jsonl", rows))
    assert [(item.text, item.truth, item.about) for item in items] == [("hi", True, "tone"), ("", False, UNTYPED), ("1 2 3", True, "tone")]
    assert items[0].prompt.id == items[1].prompt.id != items[2].prompt.id
    assert items[2].prompt.info["constraints"][0]["text"] == "Count."
    found = measure_precision(constraint_table(items, [[True], [True], [None]]))
    assert (found.constraints.true_accepts, found.constraints.false_accepts, found.constraints.num_unscored) == (1, 1, 1)
    table = tmp_path / "mine.csv"
    table.write_text('prompt,response,label\nSay hi.,hi,pass\n"[{""role"": ""user"", ""content"": ""Count.""}]",4,no\n')
    assert [(item.prompt.messages[-1].content, item.truth) for item in read_labelled(table)] == [("Say hi.", True), ("Count.", False)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a", "response": "b"}, r"mine.jsonl has no column 'label'; its columns are prompt, response"),
        ({"question": "a", "text": "b", "label": 1}, r"no column 'prompt', 'response'; its columns are question, text, label"),
        ({"prompt": "a", "response": "b", "label": "maybe"}, r"line 1: cannot read label 'maybe'; right is one of true, yes"),
        ({"prompt": "a", "response": "b", "label": None}, r"line 1: cannot read label None"),
        ({"prompt": "a", "response": "b", "label": 0.5}, r"line 1: cannot read label 0.5"),
        ({"prompt": "a", "response": None, "label": 1}, r"line 1: the response must be text"),
        ({"prompt": "  ", "response": "b", "label": 1}, r"line 1: the prompt is empty"),
        ({"prompt": "a", "response": "b", "label": 1, "type": 3}, r"line 1: the type must be a name"),
    ],
)
def test_labelled_file_mistakes_name_file_and_line(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_labelled(write(tmp_path / "mine.jsonl", [row]))


def test_labels_in_every_wording():
    assert all(read_label(value, "") for value in (True, 1, 1.0, " Yes", "PASS", "satisfied"))
    assert not any(read_label(value, "") for value in (False, 0, 0.0, "no ", "Fail", "violated"))
