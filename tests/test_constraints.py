"""The constraints task: every admissible combination has an answer, golds pass, wrongs fail by one, and any number is distinct."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from jominy.records import Message, Prompt
from jominy.rewards.constraints import CHECKERS, count_occurrences, follows, grade
from jominy.tasks.base_requests import BASE_REQUESTS
from jominy.tasks.constraint_answers import gold_text, wrong_text
from jominy.tasks.constraints import CONFLICTS, FORBIDDEN_WORDS, TYPES, compatible, make, parse_options
from jominy.tasks.identity import identify

# (type, params, a text that follows, a text that does not), written by hand from what the words of the constraint say.
CASES: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("include_word", {"word": "sea"}, "By the Sea.", "By the seaside."),
    ("repeat_word", {"word": "sea", "count": 2}, "sea, Sea", "sea seas"),
    ("forbid_word", {"word": "and"}, "a band", "this And that"),
    ("no_letter", {"letter": "z"}, "a b c", "Zoo"),
    ("no_commas", {}, "one; two", "one, two"),
    ("no_digits", {}, "seven", "7"),
    ("include_digit", {}, "room 5", "room five"),
    ("question", {}, "Is it?", "It is."),
    ("exclamation", {}, "Yes!", "Yes."),
    ("starts_with", {"phrase": "Of course"}, "  Of course it is", "It is. Of course"),
    ("ends_with", {"phrase": "The end."}, "So. The end.\n", "The end. So."),
    ("under_15_words", {}, "a b c d e f g h i j k l m n", "a b c d e f g h i j k l m n o"),  # 14 and 15 words
    ("at_least_words", {"count": 3}, "- one two three", "- one two"),  # the dash is no word
    ("sentences", {"count": 2}, "One. Two", "One. Two? Three."),
    ("three_bullets", {}, "* a\n* b\n- c", "* a\n* b\n**c**"),
    ("numbered_list", {"count": 2}, "1. a\n2) b", "1. a\n2. b\n3. c"),
    ("two_paragraphs", {}, "a\nb\n \nc\n", "a\nb"),
    ("title", {}, "<<On bees>>\ntext", "<<  >>"),
    ("highlight", {}, "a **b** c", "a *b* c ** "),
    ("placeholder", {}, "Dear [name]", "Dear []"),
    ("postscript", {}, "Bye.\nP.S. More.", "Bye. PS. More."),
    ("all_lowercase", {}, "it is 5 o'clock.", "it is I."),
    ("all_capitals", {}, "IT IS 5.", "IT IS 5pm."),
    ("quoted", {}, ' "yes" \n', '"yes" he said'),
    ("json", {}, '```json\n{"a": 1}\n```', "[1]"),
)


def admissible(size: int):
    return (types for types in itertools.combinations(TYPES, size) if compatible(types))


def with_params(types, word):
    for chosen in itertools.product(*(TYPES[name].choices(word) for name in types)):
        yield [{"type": name, "params": dict(params)} for name, params in zip(types, chosen, strict=True)]


@pytest.mark.parametrize(("name", "params", "good", "bad"), CASES, ids=[case[0] for case in CASES])
def test_checker_by_hand(name, params, good, bad):
    assert follows({"type": name, "params": params}, good)
    assert not follows({"type": name, "params": params}, bad)
    assert not follows({"type": name, "params": params}, " \n")


def test_every_type_has_a_checker_and_a_case():
    assert set(TYPES) == set(CHECKERS) == {case[0] for case in CASES}
    assert len(TYPES) >= 14
    assert {"no_commas", "three_bullets", "under_15_words", "title", "all_lowercase"} <= set(TYPES)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_admissible_combination_has_a_gold_answer_and_breaks_one_by_one(size):
    # Exhaustive over types and parameters: nothing that `make` can draw is contradictory.
    for types in admissible(size):
        for constraints in with_params(types, "honey"):
            gold = gold_text("honey", constraints)
            assert [c["type"] for c in constraints if not follows(c, gold)] == [], (constraints, gold)
            for broken in types:
                wrong = wrong_text("honey", constraints, broken)
                assert [c["type"] for c in constraints if not follows(c, wrong)] == [broken], (constraints, wrong)


def test_conflicts_name_types_that_exist_and_pairs_only():
    assert all(len(pair) == 2 and pair <= set(TYPES) for pair in CONFLICTS)
    assert not compatible(["all_lowercase", "all_capitals"])
    assert not compatible(["under_15_words", "title", "at_least_words"])


def test_base_requests_are_distinct_and_their_word_stands_in_them():
    requests = [request for request, _ in BASE_REQUESTS]
    assert len(BASE_REQUESTS) == 200
    assert len(set(requests)) == len(requests)
    for request, word in BASE_REQUESTS:
        assert count_occurrences(request, word) >= 1, request
        assert word.isalpha()
        assert word.islower()
        assert word not in FORBIDDEN_WORDS
        assert len(TYPES["no_letter"].choices(word)) >= 1


def test_drawn_prompts_are_graded_right():
    task = make()
    prompts = task.prompts(600, 3)
    for prompt in prompts:
        assert prompt.gold_answer is not None
        assert prompt.wrong_answer is not None
        gold, wrong = task.reward(prompt, prompt.gold_answer), task.reward(prompt, prompt.wrong_answer)
        assert gold.value == 1.0
        assert set(gold.parts) == set(prompt.info["types"])
        assert wrong.value == 0.0
        assert [name for name, part in wrong.parts.items() if part == 0.0] == [prompt.info["broken"]]
        said = prompt.messages[0].content
        assert said.startswith(prompt.info["base"] + " ")
        assert all(c["text"] in said for c in prompt.info["constraints"])
        assert "* third" not in said or said.endswith("* third")  # nothing runs into the example
        json.dumps(dict(prompt.info))


def test_prompts_are_balanced_distinct_and_a_shorter_set_begins_a_longer_one():
    task = make()
    prompts = task.prompts(1000, 0)
    assert len({prompt.id for prompt in prompts}) == 1000
    assert len({prompt.messages for prompt in prompts}) == 1000
    first_types = Counter(prompt.info["types"][0] for prompt in prompts)
    assert set(first_types.values()) == {40}  # 1000 prompts over 25 types
    shares = Counter(len(prompt.info["types"]) for prompt in prompts)
    assert 600 < shares[1] < 800  # 0.7 of 1000, six standard deviations (14.5) on either side
    assert set(shares) == {1, 2, 3}
    assert task.prompts(100, 0) == prompts[:100]
    assert task.prompts(100, 1) != prompts[:100]


def test_one_type_alone_goes_on_without_end():
    prompts = make("no_commas,count=1").prompts(3000, 0)  # 200 requests x 2 wordings are used up long before
    assert len({prompt.id for prompt in prompts}) == 3000
    assert all(prompt.info["types"] == ["no_commas"] for prompt in prompts)
    assert not any("Write for" in prompt.messages[0].content for prompt in prompts[:200])


def test_same_seed_same_prompts_in_another_process():
    code = "from jominy.tasks.constraints import make; print([p.id for p in make('title,json').prompts(20, 7)])"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == str([prompt.id for prompt in make("title,json").prompts(20, 7)]) + "\n"


def test_prompts_with_no_fewer_constraints():
    """Four types of which the first two, and the last two, exclude each other: each goes with two others, and no three go together."""
    types = ("under_15_words", "at_least_words", "include_digit", "no_digits")
    prompts = make(f"{','.join(types)},count=2,least=2").prompts(400, 1)
    pairs = Counter(frozenset(prompt.info["types"]) for prompt in prompts)
    assert set(pairs) == {frozenset((one, other)) for one in types[:2] for other in types[2:]}
    assert all(prompt.messages[0].content.count(constraint["text"]) for prompt in prompts for constraint in prompt.info["constraints"])
    several = [len(prompt.info["types"]) for prompt in make("count=3,least=2").prompts(600, 0)]
    assert set(several) == {2, 3}
    assert 340 < several.count(2) < 460  # 2 of 3 of 600, five standard deviations (11.5) on either side
    assert [prompt.id for prompt in make("least=1").prompts(50, 4)] == [prompt.id for prompt in make().prompts(50, 4)]
    for options, why in {
        f"{','.join(types)},least=3": "cannot be one of 3 constraints",
        "include_digit,no_digits,title,least=3": "cannot be one of 3",
        "title,least=2": "title cannot be one of 2",
        "count=1,least=2": "more than count=1",
        "least=4": "least is given once",
        "least=1,least=2": "least is given once",
    }.items():
        with pytest.raises(ValueError, match=why):
            make(options)


def test_options():
    assert parse_options("no_commas, three_bullets,count=2") == (("no_commas", "three_bullets"), 2)
    assert parse_options("") == (tuple(TYPES), 3)
    assert make("no_commas,title").name == "constraints:no_commas,title"
    for options in ("no_comma", "count=4", "count=x", "sizes=2"):
        with pytest.raises(ValueError, match="cannot read option"):
            make(options)


def test_equal_prompts_of_other_options_keep_their_id():
    message = (Message(role="user", content="Tell me about glass. Do not use commas."),)
    every = {prompt.id for prompt in make("no_commas,count=1").prompts(400, 0)}
    assert identify("constraints", message, None) in every


def test_identify_is_the_hash_it_says():
    content = '["t",[["user","Gr\\u00fc\\u00dfe"]],"5"]'  # written out by hand from the docstring
    expected = hashlib.sha256(content.encode()).hexdigest()[:16]
    assert identify("t", (Message(role="user", content="Grüße"),), "5") == expected
    assert identify("t", (Message(role="user", content="Grüße"),), None) != expected
    assert identify("t", (Message(role="system", content="Grüße"),), "5") != expected


def test_grade_says_what_is_missing():
    prompt = Prompt(id="a", task="t", messages=())
    with pytest.raises(ValueError, match="no 'constraints' in its info"):
        grade(prompt, "text")
    with pytest.raises(ValueError, match="unknown constraint type 'haiku'"):
        follows({"type": "haiku", "params": {}}, "text")


@pytest.mark.parametrize("name", TYPES)
def test_hostile_text_is_graded_within_a_second(name):
    size = 100_000
    rng = random.Random(0)
    binary = bytes(rng.randrange(256) for _ in range(size))
    texts = [
        unit * (size // len(unit)) for unit in ("<", "[", "\n", " ", "*", '"', "a ", ". ", "**", '{"a":', "(", "1", "P.", "\n* ", "!\"'")
    ]
    texts += ["", binary.decode("latin-1"), binary.decode("utf-8", errors="replace"), "\x00" * size, "\ud800" * 10]
    constraints = [{"type": name, "params": dict(TYPES[name].choices("sea")[0])}]
    prompt = Prompt(id="a", task="constraints", messages=(), info={"constraints": constraints})
    for text in texts:
        start = time.process_time()
        assert grade(prompt, text).value in (0.0, 1.0)
        assert time.process_time() - start < 1.0, text[:20]
