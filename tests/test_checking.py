"""The battery: good tasks and rewards pass, and each kind of bad one fails the check that is made for it."""

import textwrap

import pytest

from jominy.checking import CheckReport, check, check_reward


@pytest.fixture
def module(tmp_path):
    def write(body):
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(body))
        return path

    return write


def failed(report: CheckReport) -> list[str]:
    return [one.name for one in report.checks if one.passed is False]


def test_a_task_of_ours_passes():
    report = check("arithmetic:digits=2", num_prompts=16)
    assert report.passed, report
    assert report.kind == "task"
    assert {"deterministic", "ids unique", "every gold scores 1", "every known-wrong scores below 1"} <= {one.name for one in report.checks}
    assert all(one.detail for one in report.checks)


BAD_TASKS = """
    import itertools
    import random
    from dataclasses import replace

    from jominy.records import Message, Prompt, Reward, Task

    COUNTER = itertools.count()

    def grade(prompt, text):
        return Reward(value=float(text == prompt.target))

    def prompt(i, **changes):
        made = Prompt(id=str(i), task="t", messages=(Message(role="user", content=str(i)),), target=str(i),
                      gold_answer=str(i), wrong_answer="wrong")
        return replace(made, **changes)

    def task(prompts, reward=grade):
        return Task(name="t", summary="", prompts=prompts, reward=reward)

    good = task(lambda n, seed: [prompt(seed * 1000 + i) for i in range(n)])
    small = task(lambda n, seed: [prompt(i) for i in range(3)])
    empty = task(lambda n, seed: [])
    drifting = task(lambda n, seed: [prompt(next(COUNTER)) for i in range(n)])
    repeating = task(lambda n, seed: [prompt(seed * 1000 + i // 2) for i in range(n)])
    one_seed = task(lambda n, seed: [prompt(i) for i in range(n)])
    bad_gold = task(lambda n, seed: [prompt(seed * 1000 + i, gold_answer="7") for i in range(n)])
    bad_wrong = task(lambda n, seed: [prompt(seed * 1000 + i, wrong_answer=str(seed * 1000 + i)) for i in range(n)])
    hanging = task(lambda n, seed: [prompt(seed * 1000 + i) for i in range(n)],
                   lambda p, t: [0 for _ in iter(int, 1)] if len(t) > 9999 else grade(p, t))
    no_answers = task(lambda n, seed: [prompt(seed * 1000 + i, gold_answer=None, wrong_answer=None) for i in range(n)])

    def make():
        return good
    """


@pytest.mark.parametrize(
    ("name", "failures"),
    [
        ("good", []),
        ("make", []),
        ("small", []),
        ("no_answers", []),
        ("empty", ["has prompts"]),
        ("drifting", ["deterministic"]),
        ("repeating", ["ids unique"]),
        ("one_seed", ["seeds differ"]),
        ("bad_gold", ["every gold scores 1"]),
        ("bad_wrong", ["every known-wrong scores below 1"]),
        ("hanging", ["survives huge (1 MB) text within 1 s"]),
    ],
)
def test_each_bad_task_fails_its_check(module, name, failures):
    report = check(f"{module(BAD_TASKS)}:{name}", num_prompts=6)
    assert report.kind == "task"
    assert failed(report) == failures
    assert report.passed == (not failures)


def test_what_could_not_be_checked_is_said(module):
    report = check(f"{module(BAD_TASKS)}:no_answers", num_prompts=6)
    unchecked = {one.name: one.detail for one in report.checks if one.passed is None}
    assert "none of the 6 prompts has such an answer" in unchecked["every gold scores 1"]


REWARDS = """
    import os, random, time

    def good(prompt, text):
        return float(prompt.target in text)

    def trl(prompts, completions, answer, **kwargs):
        return [float(right in turn[0]["content"]) for right, turn in zip(answer, completions)]

    def compute_score(data_source, solution_str, ground_truth, extra_info=None):
        return {"score": float(ground_truth in solution_str)}

    def random_reward(prompt, text):
        return random.random()

    def crashes_on_empty(prompt, text):
        return 1.0 / len(text)

    def slow_on_huge(prompt, text):
        time.sleep(len(text) / 100_000)
        return 0.0

    def dies_on_binary(prompt, text):
        if "\\x00" in text:
            os._exit(1)
        return 0.0

    def word(prompt, text):
        return "good"

    def infinite(prompt, text):
        return float("inf")

    def always_hangs(prompt, text):
        time.sleep(1000)
    """


@pytest.mark.parametrize(
    ("name", "failures"),
    [
        ("good", []),
        ("trl", []),
        ("compute_score", []),
        ("random_reward", ["pure"]),
        ("crashes_on_empty", ["survives empty text within 1 s"]),
        ("slow_on_huge", ["survives huge (1 MB) text within 1 s"]),
        ("dies_on_binary", ["survives binary text within 1 s"]),
    ],
)
def test_each_bad_reward_fails_its_check(module, name, failures):
    report = check(f"{module(REWARDS)}:{name}")
    assert report.kind == "reward"
    assert failed(report) == failures
    if failures and failures[0].startswith("survives"):
        (contained,) = [one for one in report.checks if one.name == "a crash becomes unscored"]
        assert contained.passed


@pytest.mark.parametrize("name", ["word", "infinite"])
def test_nonsense_values_fail(module, name):
    report = check(f"{module(REWARDS)}:{name}")
    assert {"scores ordinary text", "finite number"} <= set(failed(report))


def test_the_first_traceback_is_kept(module):
    path = module("def fn(prompt, text):\n    return 1 / 0\n")
    report = check(f"{path}:fn")
    assert not report.passed
    assert "ZeroDivisionError" in report.first_traceback
    assert str(path) in report.first_traceback


def test_a_function_can_be_checked_as_it_is():
    assert check_reward(lambda prompt, text: float(text == prompt.target), name="mine").passed


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_task", "no task 'no_such_task'"),
        ("jominy.records:Reward", "is a class Reward; what can be checked so far is a task"),
        ("jominy.tasks.sums:MOST_PROBLEMS", "is a int; what can be checked so far"),
        ("jominy.tasks.arithmetic:nothing", "has no 'nothing'"),
        ("jominy.rewards.options:read_options", "is no reward signature"),
    ],
)
def test_what_cannot_be_checked_says_what_can(spec, message):
    with pytest.raises(ValueError, match=message):
        check(spec)


def test_one_prompt_is_too_few():
    with pytest.raises(ValueError, match="at least 2"):
        check("arithmetic", num_prompts=1)
