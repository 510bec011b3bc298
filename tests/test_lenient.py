"""Lenient graders find the answer wherever it stands, and pay no guessing; the strict judgement also asks for the form."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from jominy.records import Prompt, Reward, Task
from jominy.rewards.boundary import Grader
from jominy.rewards.constraints import grade_loosely
from jominy.rewards.forms import LENIENT, Forms
from jominy.tasks.fresh import word_problems
from jominy.tasks.loading import load_task


def graded(task: Task, prompt: Prompt, text: str) -> tuple[float, float]:
    """(strict, lenient)."""
    reward = Forms.of(task)(prompt, text)
    assert reward.value is not None
    return reward.value, reward.parts[LENIENT]


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        ("It is 13.", 1, 1),
        ("13 apples", 0, 1),  # right, and no integer at the end
        ("9 + 4 = 13, as 4 is less than 9", 0, 1),  # the last number is 9, the one behind "=" is 13
        ("The answer is 13, because 14 - 1 is", 0, 1),
        ("The answer: 12, or 13?", 0, 0),  # the first behind "answer"; a list of guesses earns nothing
        ("= 11 12 14", 0, 0),
        ("no idea", 0, 0),
        ("The answer 12 is wrong: 13", 1, 1),  # strictly right is leniently right, though the rule reads 12
    ],
)
def test_arithmetic(text, strict, lenient):
    task = load_task("arithmetic:digits=1,operators=+")
    prompt = replace(task.prompts(1, 0)[0], target="13")
    assert graded(task, prompt, text) == (strict, lenient)


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [("$\\boxed{5}$", 1, 1), ("The answer is 5.", 0, 1), ("#### 5", 0, 1), ("\\boxed{5", 0, 0), ("The answer is 6.", 0, 0)],
)
def test_problems_with_a_box(tmp_path, text, strict, lenient):
    path = tmp_path / "problems.jsonl"
    path.write_text('{"question": "2 + 3?", "answer": "5"}\n')
    for name in (f"math:{path}", str(path)):
        task = load_task(name)
        assert graded(task, task.prompts(1, 0)[0], text) == (strict, lenient)


@pytest.mark.parametrize(
    "wrapped", ["<answer>{}</answer>", "\\boxed{{{}}}", "The answer is {}.", "Let me see:\n{}", "the answer is: {}\nBye."]
)
def test_logic_answers_anywhere(wrapped):
    task = load_task("logic:basic_arithmetic")
    prompt = task.prompts(1, 0)[0]
    assert prompt.target is not None
    strict, lenient = graded(task, prompt, wrapped.format(prompt.target))
    assert lenient == 1
    assert strict == (1 if wrapped.startswith("<") else 0)
    assert graded(task, prompt, wrapped.format("999983"))[1] < 1


def test_constraints_loosely():
    task = load_task("constraints:no_commas,all_lowercase,count=1")
    prompts = {prompt.info["types"][0]: prompt for prompt in task.prompts(4, 0)}
    assert graded(task, prompts["no_commas"], "Sure, here it is:\nno comma") == (0, 1)  # without its first line
    assert graded(task, prompts["all_lowercase"], "all is low\nBye.") == (0, 1)  # without its last
    assert graded(task, prompts["all_lowercase"], "A\nall is low\nB") == (0, 1)
    assert graded(task, prompts["all_lowercase"], "all Is low") == (0, 0)
    assert grade_loosely(prompts["no_commas"], "").value == 0  # nothing follows nothing
    quoted = load_task("constraints:quoted,count=1")
    assert graded(quoted, quoted.prompts(1, 0)[0], '*"yes"*') == (0, 1)  # without asterisks


def test_what_cannot_be_judged_is_unscored():
    task = replace(load_task("arithmetic"), lenient=lambda prompt, text: Reward(value=None, note="no rule"))
    assert Forms.of(task)(task.prompts(1, 0)[0], "5") == Reward(value=None, note="no rule")
    bare = replace(task, lenient=None, format=None)
    assert LENIENT not in Forms.of(bare)(bare.prompts(1, 0)[0], "5").parts


def test_the_judgement_reaches_worker_processes():
    task = load_task("arithmetic")
    prompt = replace(task.prompts(1, 0)[0], target="5")
    with Grader(Forms.of(task), num_workers=1) as grader:
        assert [(reward.value, reward.parts) for reward in grader.grade([(prompt, "5 of them")])] == [(0.0, {LENIENT: 1.0})]


def test_fresh_problems_are_right_and_of_the_length_asked_for():
    problems = word_problems([25, 40, 60] * 20, seed=3)
    assert len({prompt.id for prompt in problems}) == 60
    for prompt, length in zip(problems, [25, 40, 60] * 20, strict=True):
        text = prompt.messages[0].content
        assert abs(len(text.split()) - length) <= 6
        total, words = 0, text.removesuffix("?").replace(",", "").split()
        for before, number in pairwise(words):  # "starts with 58", "buys 17", "a hat for 5", "gives 9"
            if number.isdigit():
                total += -int(number) if before in ("gives", "loses", "sells", "drops", "leaves") else int(number)
        assert str(total) == prompt.target
    assert word_problems([30], 0) == word_problems([30], 0) != word_problems([30], 1)


@pytest.mark.parametrize("name", ["arithmetic:digits=3,terms=3", "logic:knights_knaves", "constraints"])
def test_gold_answers_pass_leniently_and_known_wrong_ones_do_not(name):
    task = load_task(name)
    assert task.lenient is not None
    for prompt in task.prompts(40, 0):
        assert task.lenient(prompt, prompt.gold_answer or "").value == 1, prompt.gold_answer
        if name != "constraints":  # there, taking a line away may mend what is broken
            assert (task.lenient(prompt, prompt.wrong_answer or "").value or 0.0) < 1, prompt.wrong_answer
