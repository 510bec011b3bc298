"""The task retry: every broken form by hand, demonstrations against Python's own arithmetic, checks, verdicts put right, countdowns."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jominy.checking import check
from jominy.records import Prompt, Stop
from jominy.tasks import arithmetic
from jominy.tasks.countdown import any_expression, draw_problems, parse, reaches, slip, steps_of, value_of, write
from jominy.tasks.loading import TASKS, load_task
from jominy.tasks.retry import grade, grade_leniently, has_form, make, put_right, read
from jominy.tasks.retry_form import MARKERS, PROBLEMS, read_form, write_attempt, write_decision

YES, NO, CHECKED = "<verdict>ACCEPT</verdict>", "<verdict>RETRY</verdict>", "<check>3 + 7 = 1</check>"
RIGHT = "<attempt>12 + 34 = 46<answer>46</answer></attempt>"
WRONG = "<attempt>12 + 34 = 47<answer>47</answer></attempt>"
PART = re.compile(r"<attempt>(.*?)<answer>(.*?)</answer></attempt>(?:<check>(.*?)</check><verdict>(\w+)</verdict>)?")


def prompt_of(num_attempts: int, **fields: Any) -> Prompt:
    """12 + 34 = ?"""
    known: dict[str, Any] = {"target": "46", "info": {"attempts": num_attempts}, **fields}
    return Prompt(id="p", task="retry", messages=(), **known)


# text, how it ended, the problem, decisions, reward; at most two attempts
FORMS: list[tuple[str, Stop, str, str, float]] = [
    (RIGHT + CHECKED + YES, "eos", "", "accept", 1.0),
    (f" {RIGHT}\n{CHECKED}\n {YES}\n", "eos", "", "accept", 1.0),
    (WRONG + CHECKED + YES, "eos", "", "accept", 0.0),
    (WRONG + CHECKED + NO + RIGHT, "eos", "", "retry forced", 1.0),
    (WRONG + CHECKED + NO + RIGHT, "length", "", "retry forced", 1.0),
    (RIGHT + CHECKED + NO + WRONG, "eos", "", "retry forced", 0.0),
    ("<attempt>46? <answer>47</answer> no: <answer>46</answer>.</attempt>" + CHECKED + YES, "eos", "", "accept", 1.0),
    ("<attempt><answer>1,046.0</answer></attempt><check></check>" + YES, "eos", "", "accept", 0.0),
    ("<attempt><answer> 046 </answer></attempt><check></check>" + YES, "eos", "", "accept", 1.0),
    ("<attempt><answer>46 or 47</answer></attempt><check></check>" + YES, "eos", "", "accept", 0.0),
    ("<attempt><answer>46</answer></answer></attempt><check></check>" + YES, "eos", "", "accept", 1.0),
    ("<attempt><answer>47<answer>46</answer><answer>48</attempt><check></check>" + YES, "eos", "", "accept", 1.0),
    ("<attempt><ANSWER>46</ANSWER></attempt><check></check>" + YES, "eos", "attempt without answer", "none", 0.0),
    ("", "eos", "no attempt", "", 0.0),
    ("46", "eos", "no attempt", "", 0.0),
    ("<att", "eos", "no attempt", "", 0.0),
    (CHECKED + RIGHT, "eos", "no attempt", "", 0.0),
    ("It is 46. " + RIGHT + CHECKED + YES, "eos", "text outside the tags", "", 0.0),
    (RIGHT + " so " + CHECKED + YES, "eos", "text outside the tags", "none", 0.0),
    (RIGHT + CHECKED + "fine", "eos", "text outside the tags", "none", 0.0),
    (RIGHT + "<che", "eos", "text outside the tags", "none", 0.0),
    (RIGHT, "eos", "no check", "none", 0.0),
    (RIGHT + YES, "eos", "no check", "none", 0.0),
    (RIGHT + CHECKED, "eos", "no verdict", "none", 0.0),
    (RIGHT + CHECKED + "<verdict>MAYBE</verdict>", "eos", "no verdict", "none", 0.0),
    (RIGHT + CHECKED + RIGHT, "eos", "no verdict", "none", 0.0),
    (WRONG + CHECKED + NO, "eos", "no attempt after RETRY", "retry", 0.0),
    (WRONG + CHECKED + NO + CHECKED, "eos", "no attempt after RETRY", "retry", 0.0),
    ("<attempt>46</attempt>" + CHECKED + YES, "eos", "attempt without answer", "none", 0.0),
    ("<attempt><answer> </answer></attempt>" + CHECKED + YES, "eos", "attempt without answer", "none", 0.0),
    (WRONG + CHECKED + NO + "<attempt>46</attempt>", "eos", "attempt without answer", "retry none", 0.0),
    ("<attempt><answer>46</answer>" + CHECKED + YES, "eos", "unclosed tag", "none", 0.0),
    ("<attempt><answer>46</answer>", "eos", "unclosed tag", "none", 0.0),
    (RIGHT + "<check>3 +" + YES, "eos", "unclosed tag", "none", 0.0),
    (RIGHT + "<check><answer>46</answer></check>" + YES, "length", "unclosed tag", "none", 0.0),
    (RIGHT + CHECKED + YES + " and so on", "eos", "goes on after ACCEPT", "accept", 1.0),
    (RIGHT + CHECKED + YES + WRONG + CHECKED + YES, "length", "goes on after ACCEPT", "accept", 1.0),
    (WRONG + CHECKED + NO + RIGHT + CHECKED + NO, "eos", "goes on after the last attempt", "retry forced", 1.0),
    ("", "length", "cut at the token limit", "", 0.0),
    ("<att", "length", "cut at the token limit", "", 0.0),
    ("<attempt>12 + 34", "length", "cut at the token limit", "none", 0.0),
    ("<attempt><answer>46</answer>", "length", "cut at the token limit", "none", 0.0),
    (RIGHT + "<che", "length", "cut at the token limit", "none", 0.0),
    (RIGHT + "<check>3 +", "length", "cut at the token limit", "none", 0.0),
    (RIGHT + CHECKED + "<verdict>ACC", "length", "cut at the token limit", "none", 0.0),
    (WRONG + CHECKED + NO, "length", "cut at the token limit", "retry", 0.0),
]


@pytest.mark.parametrize(("text", "stop", "problem", "decisions", "value"), FORMS)
def test_forms_by_hand(text, stop, problem, decisions, value):
    trace = read(prompt_of(2), text, stop)
    assert (trace.problem, " ".join(one.decision for one in trace.attempts)) == (problem, decisions)
    reward = grade(prompt_of(2), text)
    assert reward.value == value
    assert reward.parts["attempts"] == len(trace.attempts)
    if stop == "eos":
        assert has_form(prompt_of(2), text) == (problem == "")
    reached = 0
    for span in trace.spans:
        assert reached <= span.start < span.end <= len(text)
        reached = span.end


def test_every_problem_has_a_form():
    assert {problem for _, _, problem, _, _ in FORMS} == {"", *PROBLEMS}


def test_spans_of_a_broken_form_reach_as_far_as_it_holds():
    text = WRONG + CHECKED + NO + "<attempt><answer>46</answer>"
    trace = read(prompt_of(3), text, "length")
    assert [(span.kind, text[span.start : span.end], span.index) for span in trace.spans] == [
        ("attempt.wrong", WRONG, 0),
        ("check", CHECKED, 0),
        ("verdict.retry", NO, 0),
        ("attempt.right", "<attempt><answer>46</answer>", 1),
    ]
    assert [(one.answer, one.correct) for one in trace.attempts] == [("47", False), ("46", True)]
    assert read(prompt_of(3), "<attempt>I do not know</attempt>", "eos").attempts[0].correct is None
    assert [span.kind for span in read(prompt_of(3), RIGHT + "<check>3", "length").spans] == ["attempt.right", "check"]


def test_one_attempt_stands_without_a_decision():
    task = make("attempts=1")
    for prompt in task.prompts(20, 0):
        trace = read(prompt, str(prompt.gold_answer), "eos")
        assert (trace.problem, [one.decision for one in trace.attempts], len(trace.spans)) == ("", ["forced"], 1)
        assert put_right(prompt, str(prompt.gold_answer), "eos") is None
        asked = prompt.messages[0].content
        assert "<attempt>" in asked
        assert not any(word in asked for word in ("verdict", "check", "ACCEPT", "RETRY", "again", "times"))
    assert read(prompt_of(1), RIGHT + CHECKED, "eos").problem == "goes on after the last attempt"


def test_first_attempts_are_a_part_of_the_reward():
    assert grade(prompt_of(2), RIGHT + CHECKED + NO + WRONG).parts == {"attempts": 2.0, "first attempt right": 1.0}
    assert grade(prompt_of(2), WRONG + CHECKED + NO + RIGHT).parts == {"attempts": 2.0, "first attempt right": 0.0}
    assert grade(prompt_of(2), "").parts == {"attempts": 0.0, "first attempt right": 0.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RIGHT + CHECKED + YES, RIGHT + CHECKED + YES),
        (WRONG + CHECKED + YES, WRONG + CHECKED + NO),
        (RIGHT + CHECKED + NO + WRONG + CHECKED + YES, RIGHT + CHECKED + YES),
        (WRONG + CHECKED + NO + RIGHT + CHECKED + NO + WRONG, WRONG + CHECKED + NO + RIGHT + CHECKED + YES),
        (WRONG + CHECKED + NO + "<attempt>12", WRONG + CHECKED + NO),
        (WRONG + CHECKED + NO + WRONG + CHECKED + NO + RIGHT, WRONG + CHECKED + NO + WRONG + CHECKED + NO),  # the third is forced
        (RIGHT + CHECKED + YES + "\n and on", RIGHT + CHECKED + YES),
        (RIGHT + CHECKED, None),
        ("46", None),
    ],
)
def test_the_first_wrong_verdict_is_put_right(text, expected):
    assert put_right(prompt_of(3), text, "eos") == expected


@pytest.mark.parametrize(("options", "operators"), [("", "+-*"), ("digits=3,operators=-,terms=3,attempts=4", "-"), ("digits=1", "+-*")])
def test_demonstrations_of_sums_are_true(options, operators):
    task = make(options)
    for prompt in task.prompts(60, 1):
        expression = prompt.info["expression"]
        assert prompt.messages[0].content.startswith(f"What is {expression}? Try at most {prompt.info['attempts']} times")
        parts = PART.findall(str(prompt.gold_answer))
        for number, (work, answer, checked, verdict) in enumerate(parts):
            assert work == f"{expression} = {answer}"
            is_right = int(answer) == eval(expression)
            assert is_right == (number == len(parts) - 1)
            if number + 1 == prompt.info["attempts"]:
                assert (checked, verdict) == ("", "")
                continue
            assert verdict == ("ACCEPT" if is_right else "RETRY")
            cast, left_over, found, told = checked.split(", ")
            left, _, value = cast.partition(" = ")
            assert [int(n) for n in re.findall(r"\d+", left)] == [int(n) % 9 for n in re.findall(r"\d+", expression)]
            assert int(value) == eval(left)
            rest = int(value) % 9
            assert left_over == f"{value} is {rest}"
            assert found == f"{answer} is {int(answer) % 9}"
            assert told == (f"{int(answer) % 9} is {rest}" if is_right else f"{int(answer) % 9} is not {rest}")
            assert (rest == int(answer) % 9) == is_right  # slips are no multiples of 9
        assert "".join(m.group() for m in PART.finditer(str(prompt.gold_answer))) == prompt.gold_answer
        assert read(prompt, str(prompt.gold_answer), "eos").problem == ""
        assert read(prompt, str(prompt.wrong_answer), "eos").attempts[0].decision == "accept"


def test_wrong_attempts_come_as_often_as_stated():
    num_prompts = 4000
    counts = Counter(len(PART.findall(str(prompt.gold_answer))) - 1 for prompt in make("wrong=0.3").prompts(num_prompts, 0))
    # 0.7, 0.3 * 0.7, 0.3 ** 2; four standard deviations of a share are at most 4 * sqrt(0.25 / 4000) = 0.032
    for num_wrong, share in enumerate((0.7, 0.21, 0.09)):
        assert counts[num_wrong] / num_prompts == pytest.approx(share, abs=0.032)
    assert set(counts) == {0, 1, 2}
    for wrong, lengths in (("0", {1}), ("1", {3})):
        assert {len(PART.findall(str(prompt.gold_answer))) for prompt in make(f"wrong={wrong}").prompts(50, 0)} == lengths


def test_wrong_attempts_of_one_demonstration_differ():
    for prompt in make("wrong=1,attempts=4").prompts(100, 0):
        answers = [answer for _, answer, _, _ in PART.findall(str(prompt.gold_answer))]
        assert len(set(answers)) == 4


def test_demonstrations_of_countdowns_are_true():
    for prompt in make("problem=countdown,numbers=4,largest=9").prompts(60, 2):
        target, numbers = int(str(prompt.target)), prompt.info["numbers"]
        parts = PART.findall(str(prompt.gold_answer))
        for number, (work, answer, checked, verdict) in enumerate(parts):
            assert work == ""
            assert sorted(map(int, re.findall(r"\d+", answer))) == numbers
            is_right = eval(answer) == target
            assert is_right == (number == len(parts) - 1)
            if number + 1 < prompt.info["attempts"]:
                assert verdict == ("ACCEPT" if is_right else "RETRY")
                *steps, last = checked.split(", ")
                assert all(eval(step.replace("=", "==")) for step in steps)
                assert last == f"{eval(answer)} is {'' if is_right else 'not '}{target}"
        assert grade(prompt, str(prompt.gold_answer)).value == 1.0
        assert grade(prompt, str(prompt.wrong_answer)).value == 0.0


@pytest.mark.parametrize("spec", ["retry", "retry:attempts=1,digits=3", "retry:problem=countdown,numbers=4"])
def test_the_battery_of_tasks(spec):
    report = check(spec, num_prompts=8)
    assert report.passed, [one for one in report.checks if one.passed is False]


def test_sums_are_those_of_arithmetic():
    options = "digits=3,operators=+*,terms=3"
    mine, theirs = (task.prompts(30, 4) for task in (make(options), arithmetic.make(options)))
    assert [(p.info["expression"], p.target) for p in mine] == [(p.info["expression"], p.target) for p in theirs]
    assert not {prompt.id for prompt in mine} & {prompt.id for prompt in theirs}


@pytest.mark.parametrize(
    ("one", "other"), [("", "digits=4,attempts=5"), ("problem=countdown", "problem=countdown,numbers=3,largest=99,attempts=2")]
)
def test_prompts_of_other_settings_read_the_same_but_for_the_numbers(one, other):
    def forms(options: str) -> set[str]:
        texts = (prompt.messages[0].content for prompt in make(options).prompts(40, 0))
        return {re.sub("# [-+*] #", "# ? #", re.sub("[0-9]+", "#", text)) for text in texts}

    assert forms(one) == forms(other)
    assert len(forms(one)) == 1


def test_lenient_takes_the_last_answer_wherever_it_stands():
    sums = prompt_of(3)
    countdown = prompt_of(3, target="22", info={"attempts": 3, "numbers": [3, 5, 9]})
    for prompt, text, value in (
        (sums, "I try: " + RIGHT, 1.0),
        (sums, RIGHT + CHECKED + YES + WRONG, 0.0),
        (sums, "The answer is 46, I think.", 1.0),
        (sums, "no idea", 0.0),
        (countdown, "so <answer>9*3 - 5</answer>", 1.0),
        (countdown, "Well,\n9 * 3 - 5 = 22", 1.0),
        (countdown, "22", 0.0),
        (countdown, "", 0.0),
    ):
        assert grade_leniently(prompt, text).value == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("attempts=0", "retry: attempts is a whole number of at least 1"),
        ("attempts=65", "attempts is at most 64"),
        ("wrong=often", "wrong is a chance from 0 to 1, e.g. wrong=0.5; got 'often'"),
        ("wrong=nan", "wrong is a chance"),
        ("wrong=1.5", "wrong is a chance"),
        ("problem=algebra", "problem is arithmetic or countdown; got 'algebra'"),
        ("numbers=4", "numbers belongs to problem=countdown, and this is problem=arithmetic"),
        ("problem=countdown,digits=4", "digits belongs to problem=arithmetic"),
        ("problem=countdown,numbers=1", "numbers is a whole number of at least 2"),
        ("problem=countdown,numbers=7", "numbers is at most 6 and largest at most 99"),
        ("operators=/", "retry: operators are taken from"),
        ("attempt=3", r"no option 'attempt'; did you mean attempts\?"),
    ],
)
def test_wrong_options_say_what_to_do(options, message):
    with pytest.raises(ValueError, match=message):
        make(options)


def test_the_record_says_how_responses_alternate():
    task = load_task("retry:attempts=4")
    assert "retry" in TASKS
    assert task.retrying is not None
    assert (task.retrying.num_attempts, task.retrying.verdicts) == (4, ("ACCEPT", "RETRY"))
    gold = str(load_task("retry:wrong=1").prompts(1, 0)[0].gold_answer)
    assert all(marker in gold for marker in MARKERS if marker != "ACCEPT")
    assert gold.count(task.retrying.solution_end) == 3
    assert gold.count(task.retrying.decision_end) == 2


def test_a_small_countdown_gives_each_problem_once():
    prompts = make("problem=countdown,numbers=2,largest=3").prompts(500, 0)
    found = {(tuple(p.info["numbers"]), int(str(p.target))) for p in prompts}
    every = {((a, b), t) for a in range(1, 4) for b in range(a, 4) for t in (a + b, a * b, b - a) if t > 0}
    assert len(prompts) == len(found)
    assert found == every


WORK = st.text(alphabet="0123456789 +-*=<>aé\n", max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORK, st.integers(-99, 99), WORK), min_size=1, max_size=4), st.booleans(), st.integers(0, 3))
def test_what_is_written_is_read_back(parts, accept_last, extra):
    accept_last = accept_last and extra > 0  # the K-th attempt is forced
    num_attempts = len(parts) + extra if accept_last else len(parts)
    text, stretches = "", []
    for number, (work, answer, checked) in enumerate(parts):
        attempt = write_attempt(work, str(answer))
        is_last = number == len(parts) - 1
        decision = "" if is_last and not accept_last else write_decision(checked, accept=is_last)
        stretches.append((text + attempt, text + attempt + decision))
        text += attempt + decision
    form = read_form(text, num_attempts, is_cut=False)
    assert form.problem == ""
    assert [tried.answer for tried in form.tries] == [str(answer) for _, answer, _ in parts]
    assert [tried.decision for tried in form.tries] == ["retry"] * (len(parts) - 1) + ["accept" if accept_last else "forced"]
    for tried, (to_attempt, to_decision) in zip(form.tries, stretches, strict=True):
        assert text[: tried.attempt[1]] == to_attempt
        assert tried.verdict is None or text[: tried.verdict[1]] == to_decision
    assert form.standing == str(parts[-1][1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*MARKERS[:6], NO, YES, WRONG, RIGHT + CHECKED, CHECKED, "7", " "]), max_size=14).map("".join))
@example(WRONG + CHECKED + NO + RIGHT)
@example(RIGHT + CHECKED + YES)
@example(RIGHT + CHECKED + NO + WRONG)
def test_any_text_is_read_without_a_crash(text):
    trace = read(prompt_of(2), text, "length")
    assert trace.problem in ("", *PROBLEMS)
    assert len(trace.attempts) <= 2
    stands = bool(trace.attempts) and trace.attempts[-1].decision in ("accept", "forced")
    assert (grade(prompt_of(2), text).value == 1.0) == (stands and trace.attempts[-1].correct is True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_expressions_are_written_and_read_back(numbers, rng):
    expression = any_expression(numbers, rng)
    text = write(expression)
    again = parse(text)
    assert again is not None
    assert value_of(expression) == value_of(again) == eval(text)
    assert reaches(text, numbers, eval(text))
    assert not reaches(text, numbers, eval(text) + 1)
    assert not reaches(text, [*numbers, 1], eval(text))
    assert len(steps_of(text)) == len(numbers) - 1


@pytest.mark.parametrize(
    "text", ["", "(", ")", "()", "3 5", "3 +", "* 3", "3 ** 5", "3 // 5", "3 - -5", "(3 + 5", "3 + 5)", "3 + 5 = 8", "٣ + 5"]
)
def test_what_is_no_expression(text):
    assert parse(text) is None


def test_hostile_expressions_are_not_read():
    assert parse("(" * 100_000) is None
    assert parse("9*" * 5_000 + "9") is None


def test_slips_of_countdowns_miss():
    problems = [*draw_problems(2, 3, 50, 0), *draw_problems(3, 9, 50, 0)]
    for number, problem in enumerate(problems):
        missed = slip(problem, random.Random(number))
        assert sorted(map(int, re.findall(r"\d+", missed))) == list(problem.numbers)
        assert eval(missed) != problem.target
