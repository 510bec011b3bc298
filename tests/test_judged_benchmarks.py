"""FollowBench, CFBench and Multi-IF as tasks: made-up files in the published form, and the published ones where they are."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import pytest

from jominy.rewards.constraints import NEEDS_JUDGE, follows, kinds_of, truths_of
from jominy.tasks.followbench import ANSWER_CHECKS, CATEGORIES, RULES, added_sentence
from jominy.tasks.loading import load_task

DATA = Path(os.environ.get("JOMINY_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))


def row(level, instruction, *, source="oasst", category="style", target="", example=1):
    return {
        "example_id": example, "category": category, "source": source, "level": level, "instruction": instruction, "target": target,
    }  # fmt: skip


STYLE = [row(0, "Tell a joke."), row(1, "Tell a joke. Sound like a pirate."), row(2, "Tell a pirate joke. Be sad.")]
SITUATION = [
    row(level, f"Who is first of {level}?", source="BBH_logical", category="situation", target=target)
    for level, target in enumerate(["(A)", "(B)", "(C)"])
]
MIXED = [
    row(0, "Summarize this.", source="gigaword", category="mixed"),
    row(1, "Write a 8-word summary.", source="gigaword", category="format"),
    row(2, "Write a 8-word summary. Do not use any punctuation.", source="gigaword", category="format, format"),
    *(row(0, "Name one.", source="CONLL2003", category="mixed", target="", example=2),),
    row(1, "Name one person.", source="CONLL2003", category="content", target="['Ann Lee', 'Bo']", example=2),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "followbench").mkdir()
    for name, rows in {"style": STYLE, "situation": SITUATION, "mixed": MIXED}.items():
        (tmp_path / "followbench" / f"{name}_constraints.json").write_text(json.dumps(rows))
    return tmp_path


def by_key(task):
    return {prompt.info["key"]: prompt for prompt in task.prompts(10_000, 0)}


def test_followbench_levels_are_constraints_for_a_judge(folder):
    task = load_task("followbench:style")
    prompts = by_key(task)
    assert set(prompts) == {"style-1-1", "style-1-2"}  # level 0 is no prompt
    (first,) = prompts["style-1-1"].info["constraints"]
    assert (first["text"], first["kind"], first["truth"], first["type"]) == ("Sound like a pirate.", "soft", False, "style")
    assert prompts["style-1-1"].messages[0].content[slice(*first["span"])] == "Sound like a pirate."
    again, second = prompts["style-1-2"].info["constraints"]
    assert again["text"] == first["text"]
    assert again["span"] is None  # the level was rewritten as a whole
    assert "First: Tell a joke. Sound like a pirate.\nSecond: Tell a pirate joke. Be sad." in second["text"]
    reward = task.reward(prompts["style-1-2"], "Arr.")
    assert (reward.value, reward.note) == (None, NEEDS_JUDGE)


def test_followbench_by_code(folder):
    task = load_task("followbench:situation,mixed,code")
    prompts = by_key(task)
    assert set(prompts) == {"situation-1-1", "situation-1-2", "mixed-1-1", "mixed-1-2", "mixed-2-1"}
    for prompt in prompts.values():
        assert set(kinds_of(prompt)) == {"hard"}
        assert task.reward(prompt, prompt.wrong_answer or "").value == 0.0
        if prompt.gold_answer is not None:
            assert task.reward(prompt, prompt.gold_answer).value == 1.0
    puzzle = prompts["situation-1-2"]
    assert [task.reward(puzzle, text).value for text in ("(B) no, (C)", "(C) no, (B)", "C")] == [1.0, 0.0, 0.0]
    summary = prompts["mixed-1-2"]
    assert truths_of(summary, "one two three four five six seven eight.") == [True, False]
    assert truths_of(summary, "one two three four") == [False, True]
    named = prompts["mixed-2-1"]
    assert [task.reward(named, text).value for text in ("Ann Lee", " Bo\n", "Ann", "Bo and Ann Lee")] == [1.0, 1.0, 0.0, 0.0]
    assert load_task("followbench:situation,level=2").prompts(9, 0)[0].info["level"] == 2


# (type, params, follows, does not): the rules of FollowBench in words.
CHECKS = [
    ("exact_output", {"target": "a[b]"}, " a[b]\n", "a[b] c"),
    ("one_of", {"targets": ["a", "b"]}, "b", "a b"),
    ("lines_among", {"targets": ["a b", "c"]}, "c\n\na b", "c\nd"),
    ("contains", {"target": "20th floor"}, "On the 20th floor.", "On the 2th floor."),
    ("last_option", {"target": "(A)"}, "(B)? No: (A).", "(A)? No: (B)."),
    ("last_date", {"target": "12/29/1937"}, "After 12/24/1937 it is 12/29/1937", "29.12.1937"),
    ("last_amount", {"target": "$14"}, "$10 + $4 = $14.", "$14 or $15"),
    ("exact_words", {"count": 2}, "two - words", "not two words"),
    ("under_words", {"count": 3}, "two words", "here are three"),
    ("short_sentences", {"count": 3}, "One two. Three four.", "One two three. Four."),
    ("words_by_sentence", {"words": ["a", "b"]}, "An a. The B!", "The b. An a."),
    ("sentence_without", {"number": 2, "word": "a"}, "An a. The b.", "The b. An a."),
    ("no_stem", {"stem": "procrast"}, "Do it now", "No Procrastination"),
    ("punctuation", {"count": 1}, "Only one.", "Two, here."),
]


@pytest.mark.parametrize(("name", "params", "good", "bad"), CHECKS, ids=[check[0] for check in CHECKS])
def test_benchmark_checks_by_hand(name, params, good, bad):
    assert follows({"type": name, "params": params}, good)
    assert not follows({"type": name, "params": params}, bad)
    assert not follows({"type": name, "params": params}, " ")


def test_every_rule_has_a_check():
    from jominy.rewards.constraints import BENCHMARK_CHECKERS

    assert set(BENCHMARK_CHECKERS) == {check[0] for check in CHECKS}
    assert set(ANSWER_CHECKS.values()) <= set(BENCHMARK_CHECKERS)
    for rules in RULES.values():
        for rule in rules:
            assert rule is None or follows({"type": rule[0], "params": rule[1]}, "We") in (True, False)


def test_added_sentence():
    assert added_sentence("A. C.", "A. B now. C.") == "B now."
    assert added_sentence("A", "A, but be sad.") is None
    assert added_sentence("Same.", "Same.") is None
    assert added_sentence("Tell it.", "Tell it. tell it.") is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"example_id": 1}], "row 0: needs 'category'"),
        ({}, "JSON list"),
        ([row(0, "a"), row(2, "b")], "levels"),
        ([row(0, "a", source="CONLL2003"), row(1, "b", source="CONLL2003", target="nobody")], "must be a list"),
    ],
)
def test_followbench_says_what_is_wrong_with_a_file(folder, rows, message):
    (folder / "followbench" / "style_constraints.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=message):
        load_task("followbench:style")


def test_missing_sets_say_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    for name, message in (("followbench", "YJiangcm/FollowBench"), ("cfbench", "CFBench"), ("multiif", "needs the package 'datasets'")):
        with pytest.raises(ValueError, match=rf"{tmp_path}.*{message}"):
            load_task(name)
        with pytest.raises(ValueError, match="cannot read option 'harsh'"):
            load_task(f"{name}:harsh")
    with pytest.raises(ValueError, match="there is nothing at"):
        load_task("multiif:absent.csv")


def test_cfbench(folder):
    rows = [
        {
            "prompt": "写诗。不用逗号。",
            "split": "easy",
            "criteria": [["不用逗号", "主需", "否定约束", "否定约束"], ["押韵", "次需", "", ""]],
        },
        {"prompt": "写信。", "split": "hard", "criteria": [["是一封信", "主需", "风格约束", "形式文体约束"]]},
    ]
    (folder / "cfbench.json").write_text(json.dumps(rows))
    task = load_task("cfbench:easy")
    (prompt,) = task.prompts(9, 0)
    first, second = prompt.info["constraints"]
    assert first == {
        "type": "inverse", "params": {"priority": "primary", "subclass": "否定约束"}, "text": "不用逗号", "kind": "soft", "span": [3, 7],
        "truth": False,
    }  # fmt: skip
    assert (second["type"], second["span"], second["params"]["priority"]) == ("unnamed", None, "secondary")
    assert task.reward(prompt, "诗").note == NEEDS_JUDGE
    assert len(load_task("cfbench").prompts(9, 0)) == 2
    (folder / "cfbench.json").write_text(json.dumps([{**rows[0], "criteria": [["a"]]}]))
    with pytest.raises(ValueError, match="each criterion must be"):
        load_task("cfbench")


def turn(k, text, instructions, kwargs):
    return {
        f"turn_{k}_prompt": json.dumps({"role": "user", "content": text}),
        f"turn_{k}_instruction_id_list": json.dumps(instructions),
        f"turn_{k}_kwargs": json.dumps([json.dumps(each) for each in kwargs]),
    }


def test_multiif(folder):
    pytest.importorskip("if_verifiable", reason="needs if-verifiable (the tasks extra)")
    comma, title = "punctuation:no_comma", "detectable_format:title"
    english = {
        "key": "1:en",
        "language": "English",
        **turn(1, "Say a.", [comma], [{}]),
        **turn(2, "Add a title.", [comma, title], [{}, {}]),
    }
    french = {"key": "1:fr", "language": "French", **turn(1, "Dis a.", [comma], [{"unused": None}]), **turn(2, "", [], [])}
    broken = {**french, "language": "Hindi", "turn_1_kwargs": "{"}
    with (folder / "multiif.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, english)
        writer.writeheader()
        writer.writerows([english, french, broken])
    task = load_task("multiif")
    (prompt,) = task.prompts(9, 0)
    assert prompt.messages[0].content == "Say a."
    assert [task.reward(prompt, text).value for text in ("a b", "a, b", prompt.wrong_answer or "")] == [1.0, 0.0, 0.0]
    second = load_task("multiif:turns=2")
    (both,) = second.prompts(9, 0)
    assert both.messages[0].content == "Say a.\n\nAdd a title."
    assert [second.reward(both, text).value for text in ("a b", "<<T>> a b")] == [0.0, 1.0]
    assert [p.info["language"] for p in load_task("multiif:language=French").prompts(9, 0)] == ["French"]
    with pytest.raises(ValueError, match="there are English, French, Hindi"):
        load_task("multiif:language=German")
    with pytest.raises(ValueError, match="not in the published form"):
        load_task("multiif:language=Hindi")
    with pytest.raises(ValueError, match="0 instructions and 0 kwargs"):
        load_task("multiif:language=French,turns=2")
    with pytest.raises(ValueError, match="needs 'turn_3_prompt'"):
        load_task("multiif:turns=3")


def test_multiif_of_the_hub(folder, monkeypatch):
    """The same rows as the hub gives them, by split; and a hub that cannot be reached."""
    pytest.importorskip("if_verifiable", reason="needs if-verifiable (the tasks extra)")
    datasets = pytest.importorskip("datasets", reason="needs datasets (the tasks extra)")
    row = {"key": "1:en", "language": "English", **turn(1, "Say a.", ["punctuation:no_comma"], [{}])}
    row |= turn(2, "Add b.", ["punctuation:no_comma"], [{}])
    asked: list[str] = []

    def hub(name):
        asked.append(name)
        return datasets.DatasetDict({"train": datasets.Dataset.from_list([row])})

    monkeypatch.setattr(datasets, "load_dataset", hub)
    task = load_task("multiif:turns=2")
    assert asked == ["facebook/Multi-IF"]
    (prompt,) = task.prompts(9, 0)
    assert (prompt.messages[0].content, task.reward(prompt, "a, b").value) == ("Say a.\n\nAdd b.", 0.0)
    assert "2 requests in one message" in task.summary
    row["turn_1_kwargs"] = "{"
    with pytest.raises(ValueError, match=r"facebook/Multi-IF, train row 0: turn 1 is not in the published form"):
        load_task("multiif")

    def offline(name):
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(ValueError, match=r"facebook/Multi-IF cannot be read from the hub \(no route\); put multiif.csv in a folder"):
        load_task("multiif")


@pytest.mark.skipif(not (DATA / "followbench").is_dir(), reason="needs the published FollowBench")
def test_published_followbench(monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(DATA))
    task = load_task("followbench")
    prompts = task.prompts(10_000, 0)
    # 25 + 30 + 17 + 22 + 30 examples of five levels; equal levels of one example fall together
    assert 600 <= len(prompts) <= 620
    assert {prompt.info["category"] for prompt in prompts} == set(CATEGORIES)
    decided = [prompt for prompt in prompts if prompt.wrong_answer is not None]
    assert {prompt.info["source"] for prompt in decided} == {*ANSWER_CHECKS, *RULES}
    for prompt in prompts:
        if prompt.gold_answer is not None:
            assert task.reward(prompt, prompt.gold_answer).value == 1.0, prompt.info["key"]
        if prompt.wrong_answer is not None:
            assert task.reward(prompt, prompt.wrong_answer).value == 0.0
        else:
            assert task.reward(prompt, "text").value is None
            assert len(prompt.info["constraints"]) == prompt.info["level"]
        for constraint in prompt.info["constraints"]:
            assert constraint["span"] is None or prompt.messages[0].content[slice(*constraint["span"])] == constraint["text"]


@pytest.mark.skipif(not (DATA / "cfbench.json").is_file(), reason="needs the published CFBench")
def test_published_cfbench(monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(DATA))
    prompts = load_task("cfbench").prompts(10_000, 0)
    assert sum(len(prompt.info["constraints"]) for prompt in prompts) <= 4237
    assert len(prompts) > 950
    assert {name.isascii() for prompt in prompts for name in prompt.info["types"]} == {True}
