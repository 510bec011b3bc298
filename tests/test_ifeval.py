"""IFEval and IFBench: verdicts against the reference's (golden file), hand-made cases, determinism, sources and hostile text.

The golden file holds the verdicts of google-research's checkers on texts of our own; bench/ifeval_agreement.py made it.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("if_verifiable", reason="needs pip install 'jominy[tasks]'")

from jominy.records import Message, Prompt
from jominy.rewards import instructions
from jominy.rewards.instructions import InstructionReward, checker_classes, grade, judge, loose_variants
from jominy.rewards.sentences import split_sentences
from jominy.tasks.ifeval import make_ifbench, make_ifeval

DATA = Path(os.environ.get("JOMINY_DATA", "../shared/data"))
GOLDEN_FILE = Path(__file__).parent / "data" / "ifeval_verdicts.jsonl"
GOLDEN = [json.loads(line) for line in GOLDEN_FILE.read_text(encoding="utf-8").split("\n") if line]
POOL, OWN, PUBLISHED = GOLDEN[0]["texts"], [row for row in GOLDEN if "instruction" in row], [row for row in GOLDEN if "key" in row]

needs_data = pytest.mark.skipif(not (DATA / "ifeval.jsonl").is_file(), reason="no ifeval.jsonl; set JOMINY_DATA to its folder")


def prompt_of(*pairs, content="Say something."):
    info = {"instruction_id_list": [name for name, _ in pairs], "kwargs": [settings for _, settings in pairs]}
    return Prompt(id="a", task="ifeval", messages=(Message(role="user", content=content),), info=info)


def bits(prompt, texts, *, loose, number=0):
    return "".join(str(int(judge("ifeval", prompt, text, loose=loose)[number])) for text in texts)


@pytest.fixture(autouse=True)
def _quiet_and_offline(monkeypatch):
    # The checkers log each text whose language they cannot guess; and no verdict may open a connection.
    monkeypatch.setattr(logging.getLogger(), "disabled", True)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was opened"))


@pytest.mark.parametrize("row", OWN, ids=[f"{row['instruction']}-{number}" for number, row in enumerate(OWN)])
def test_verdicts_of_the_reference_on_settings_of_our_own(row):
    prompt = prompt_of((row["instruction"], row["kwargs"]))
    texts = [*POOL, *row["texts"]]
    assert bits(prompt, texts, loose=False) == row["strict"][0]
    assert bits(prompt, texts, loose=True) == row["loose"][0]
    assert set(row["strict"][0]) == {"0", "1"}  # the texts tell followed from not followed, or this test could not fail


def test_golden_covers_every_type():
    assert {row["instruction"] for row in OWN} >= set(checker_classes("ifeval")) - {
        "detectable_format:constrained_start",
        "startend:constrained_start",
    }


@needs_data
def test_verdicts_of_the_reference_on_the_published_prompts():
    task = make_ifeval(str(DATA / "ifeval.jsonl"))
    by_key = {prompt.info["key"]: prompt for prompt in task.prompts(10_000, 0)}
    assert set(by_key) == {row["key"] for row in PUBLISHED}
    some = random.Random(0).sample(PUBLISHED, 40)  # 40 x 61 texts; bench/ifeval_agreement.py does them all
    for row in some:
        prompt = by_key[row["key"]]
        for number in range(len(row["strict"])):
            if row["strict"][number] != "random":
                assert bits(prompt, POOL, loose=False, number=number) == row["strict"][number], (row["key"], number)
                assert bits(prompt, POOL, loose=True, number=number) == row["loose"][number], (row["key"], number)


def test_a_character_that_is_no_letter_is_counted_as_it_stands():
    prompt = prompt_of(("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}))
    assert bits(prompt, ["##", "# a", "hhhh", "x##y"], loose=False) == "1001"


def test_loose_variants_are_those_of_the_paper():
    # 2311.07911, section 2.2: drop the first line, the last line, both; each with and without asterisks.
    assert set(loose_variants("Sure:\n*a*\nBye")) == {
        "Sure:\n*a*\nBye", "Sure:\na\nBye", "*a*\nBye", "a\nBye", "Sure:\n*a*", "Sure:\na", "*a*", "a",
    }  # fmt: skip


def test_prompt_level_is_all_and_instruction_level_is_each():
    prompt = prompt_of(("punctuation:no_comma", {}), ("detectable_format:title", {}), ("punctuation:no_comma", {}))
    reward = grade(prompt, "<<A>> b, c", benchmark="ifeval", loose=False)
    assert reward.value == 0.0
    assert reward.parts == {"punctuation:no_comma": 0.0, "detectable_format:title": 1.0, "punctuation:no_comma#2": 0.0}
    assert grade(prompt, "<<A>> b c", benchmark="ifeval", loose=False).value == 1.0
    assert grade(prompt, "Well,\n<<A>> b c", benchmark="ifeval", loose=False).value == 0.0
    assert grade(prompt, "Well,\n<<A>> b c", benchmark="ifeval", loose=True).value == 1.0
    assert grade(prompt, "", benchmark="ifeval", loose=True).value == 0.0


def test_sentences_by_hand():
    assert list(split_sentences("Dr. Ames of Acme Inc. paid $3.50 at 5 p.m. on Mon. The end... of it! Why?")) == [
        "Dr. Ames of Acme Inc. paid $3.50 at 5 p.m. on Mon.",
        "The end... of it!",
        "Why?",
    ]
    assert list(split_sentences("")) == []


def test_language_is_guessed_the_same_each_time():
    # A text between two languages: without a seed langdetect names now one, now the other.
    text = "no la es de si o a"
    prompt = prompt_of(("language:response_language", {"language": "es"}))
    assert len({judge("ifeval", prompt, text, loose=False)[0] for _ in range(20)}) == 1


@pytest.mark.parametrize(("make", "benchmark"), [(make_ifeval, "ifeval"), (make_ifbench, "ifbench")])
@needs_data
def test_published_sets_read_whole(make, benchmark):
    count = sum(line.strip() != "" for line in (DATA / f"{benchmark}.jsonl").read_text(encoding="utf-8").split("\n"))
    task = make(f"loose,{DATA / benchmark}.jsonl")
    prompts = task.prompts(10_000, 0)
    assert len({prompt.id for prompt in prompts}) == len(prompts) == count
    assert task.prompts(5, 1) == task.prompts(5, 1) != task.prompts(5, 2)
    assert len(task.prompts(5, 1)) == 5
    types = {name for prompt in prompts for name in prompt.info["types"]}
    assert types <= set(checker_classes(benchmark))
    again = pickle.loads(pickle.dumps(task.reward))
    for prompt in prompts:
        assert prompt.wrong_answer is not None
        if "words:start_verb" not in prompt.info["types"]:
            assert again(prompt, prompt.wrong_answer).value == 0.0
            assert again(prompt, "Yes, a short answer. It is fine!").value in (0.0, 1.0)


@needs_data
def test_ifbench_by_hand():
    prompts = {prompt.info["key"]: prompt for prompt in make_ifbench(str(DATA / "ifbench.jsonl")).prompts(300, 0)}
    by_type = {prompt.info["types"][0]: prompt for prompt in prompts.values() if len(prompt.info["types"]) == 1}
    primes = by_type["words:prime_lengths"]
    assert judge("ifbench", primes, "The cat ran to our house", loose=False) == [True]  # 3 3 3 2 3 5
    assert judge("ifbench", primes, "Four cats", loose=False) == [False]  # 4 4
    title = by_type["format:title_case"]
    assert judge("ifbench", title, "All Words Stand Tall", loose=False) == [True]
    assert judge("ifbench", title, "all words stand small", loose=False) == [False]
    stop_words = by_type["ratio:stop_words"]
    assert judge("ifbench", stop_words, "Quick brown foxes jump high today", loose=False) == [True]  # 0 of 6
    assert judge("ifbench", stop_words, "It is what it is and so it was", loose=False) == [False]  # 9 of 9


def test_a_missing_tagger_is_an_error_that_says_what_to_do(monkeypatch):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    nltk.data.clear_cache()
    prompt = prompt_of(("words:start_verb", {}))
    with pytest.raises(ValueError, match=r"nltk\.downloader averaged_perceptron_tagger_eng"):
        judge("ifbench", prompt, "Go home.", loose=False)


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "if_verifiable.ifeval.instructions_registry", None)
    checker_classes.cache_clear()
    with pytest.raises(ValueError, match=r"pip install 'jominy\[tasks\]'"):
        InstructionReward("ifeval", loose=False)


def test_another_process_loads_the_checkers_before_the_first_response():
    code = "import pickle, sys; pickle.load(sys.stdin.buffer); print('if_verifiable.ifeval.instructions' in sys.modules)"
    pickled = pickle.dumps(InstructionReward("ifeval", loose=True))
    assert subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True).stdout == b"True\n"


def test_sources(tmp_path, monkeypatch):
    row = {"key": 7, "prompt": "Say a.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"unused": None}]}
    file = tmp_path / "ifeval.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    for options in (str(file), f"strict,{file}"):
        assert [prompt.info["key"] for prompt in make_ifeval(options).prompts(9, 0)] == [7]
    monkeypatch.setenv("JOMINY_DATA", str(tmp_path))
    assert make_ifeval().prompts(9, 0)[0].info["kwargs"] == [{}]
    for content, message in (
        ("{", "line 1: not JSON"),
        ("[]", "line 1: an ifeval row needs"),
        ('{"prompt": "a", "instruction_id_list": ["x"], "kwargs": []}', "1 instructions and 0 kwargs"),
        ("\n", "has no prompts"),
    ):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            make_ifeval()
    with pytest.raises(ValueError, match="there is no file"):
        make_ifeval(str(tmp_path / "absent.jsonl"))
    with pytest.raises(ValueError, match="cannot read option 'harsh'"):
        make_ifeval("harsh")


def test_no_source_says_what_was_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=rf"{tmp_path}.*pip install 'jominy\[tasks\]'.*JOMINY_DATA"):
        make_ifeval()


HOSTILE_UNITS = ("<", "[", "\n", " ", "*", "*\n", '"', "word ", "A b. ", ".", '{"a":', "(", ",", "A. ", "p. ", "- ", "<<a>>")


@pytest.mark.parametrize("row", {row["instruction"]: row for row in OWN}.values(), ids=lambda row: row["instruction"])
def test_hostile_text_is_graded_within_a_second(row):
    rng = random.Random(0)
    size = 100_000
    texts = ["", bytes(rng.randrange(256) for _ in range(size)).decode("utf-8", errors="replace"), "\ud800\x00"]
    texts += [unit * (size // len(unit)) for unit in HOSTILE_UNITS]
    prompt = prompt_of((row["instruction"], row["kwargs"]))
    checker_classes("ifeval")
    judge("ifeval", prompt, "warm up", loose=False)
    for text in texts:
        start = time.process_time()
        assert judge("ifeval", prompt, text, loose=False)[0] in (True, False)
        assert time.process_time() - start < 2.0, text[:20]  # half a second on an idle core; other work shares the cores here


def test_rewritten_checkers_equal_the_patterns_they_replace():
    # The patterns as published, run on random strings of the signs they look for.
    import re

    rng = random.Random(0)
    signs = ["[", "]", "<<", ">>", "<", "a", " ", "\n", "*", "**", "-", "P.S.", "p. s.", "P.P.S", "p.p. s", "\t", "\u2028", "\r", "b c"]
    for _ in range(3000):
        text = "".join(rng.choices(signs, k=rng.randrange(1, 20)))
        assert instructions.count_placeholders(text) == len(re.findall(r"\[.*?\]", text))
        assert instructions.has_title(text) == any(t.lstrip("<").rstrip(">").strip() for t in re.findall(r"<<[^\n]+>>", text))
        stars, dashes = (re.findall(pattern, text, re.MULTILINE) for pattern in (r"^\s*\*[^\*].*$", r"^\s*-.*$"))
        assert instructions.count_bullets(text) == len(stars) + len(dashes)
        assert instructions.has_postscript(text, "P.S.") == bool(re.findall(r"\s*p\.\s?s\..*$", text.lower(), re.MULTILINE))
        assert instructions.has_postscript(text, "P.P.S") == bool(re.findall(r"\s*p\.\s?p\.\s?s.*$", text.lower(), re.MULTILINE))
