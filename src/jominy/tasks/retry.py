"""Solving and deciding in one response: attempts, each checked and accepted or retried, at most K of them: `retry:attempts=3,digits=2`.

    reward = 1 when the answer that stands is right, else 0          stands: that of the first ACCEPT, or of the K-th attempt

Nobody tells the model whether it was right: the reward comes at the end, once, for the answer alone. A response whose form breaks before
an answer stands gets 0; what stands behind an ACCEPT changes nothing. `read` drops no broken form, it labels it (`retry_form.PROBLEMS`).
For 2601.01580, whose own task is not known: problems, form and checks are choices of ours.

A demonstration's attempts before the last possible one are wrong with chance q (`wrong`), each by itself, by a hash of the prompt, until
one is right; the K-th is right for sure. So with w wrong attempts before the right one

    P(w) = q^w (1 - q) for w < K - 1          P(K - 1) = q^(K - 1)

Checks are worked out truly and verdicts follow the truth: a wrong attempt is always followed by RETRY, a right one by ACCEPT.
Left out on purpose: what a reward for deciding alone would be; `--recipe ...:credit_spans=decision` asks for that.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from jominy.records import Message, Prompt, Retrying, Reward, Stop, Task
from jominy.rewards.extraction import last_line, last_tagged
from jominy.rewards.options import read_options
from jominy.tasks import arithmetic
from jominy.tasks.identity import identify
from jominy.tasks.retry_form import (
    ACCEPT,
    ATTEMPT_END,
    MARKERS,
    RETRY,
    VERDICT_END,
    Form,
    Tried,
    read_form,
    write_attempt,
    write_decision,
    write_verdict,
)
from jominy.tasks.retry_problems import Problem, countdown_problems, is_right, sum_problems
from jominy.tasks.sums import DEFAULTS as OF_SUMS
from jominy.tasks.sums import read_sums, read_whole
from jominy.traces import Attempt, TextSpan, Trace

INSTRUCTION = (
    "Try at most {attempts} times: write <attempt>work<answer>result</answer></attempt>, then <check>a short check</check> and "
    "<verdict>ACCEPT</verdict> to end or <verdict>RETRY</verdict> to try again. Attempt {attempts} stands without check and verdict."
)
INSTRUCTION_FOR_ONE = "Try once: write <attempt>work<answer>result</answer></attempt>."
"""Where K = 1 there is nothing to decide, so nothing is said of deciding."""
OF_COUNTDOWN = {"numbers": "3", "largest": "20"}
DEFAULTS = {"problem": "arithmetic", "attempts": "3", "wrong": "0.5", **OF_SUMS, **OF_COUNTDOWN}
MOST_ATTEMPTS, MOST_NUMBERS, MOST_LARGEST = 64, 6, 99
DRAWS_OF_A_SLIP = 8
"""So often another slip is drawn when one was made before in the same demonstration."""

DrawProblems = Callable[[int, int], list[Problem]]
"""(number of problems, seed) -> at most so many, all distinct."""


def make(options: str) -> Task:
    """Problems to be tried at most `attempts` times (default 3), `problem` being arithmetic or countdown.

    `problem=arithmetic` takes `digits`, `operators` and `terms` as the task arithmetic does; `problem=countdown` takes `numbers` (3) of 1
    to `largest` (20). `wrong` (0.5) is the chance q at the top of this file. Prompts of other settings read the same but for the
    numbers; only those of `attempts=1` say nothing of checks and verdicts.

    >>> task = make("digits=1,operators=+,wrong=0")
    >>> prompt = task.prompts(1, 0)[0]
    >>> prompt.gold_answer
    '<attempt>9 + 4 = 13<answer>13</answer></attempt><check>0 + 4 = 4, 4 is 4, 13 is 4, 4 is 4</check><verdict>ACCEPT</verdict>'
    >>> task.reward(prompt, "<attempt><answer>13</answer></attempt><check></check><verdict>RETRY</verdict>").value
    0.0
    """
    given = read_options("retry", options, DEFAULTS)
    settings = DEFAULTS | given
    num_attempts = read_whole("retry", "attempts", settings["attempts"], least=1)
    if num_attempts > MOST_ATTEMPTS:
        raise ValueError(f"retry: attempts is at most {MOST_ATTEMPTS}; got {num_attempts}")
    chance_wrong = _read_chance(settings["wrong"])
    draw, summary = _problems(settings, given)
    name = f"retry:{options}" if options else "retry"

    def prompts(num_prompts: int, seed: int) -> list[Prompt]:
        return [_prompt(name, problem, num_attempts, chance_wrong) for problem in draw(num_prompts, seed)]

    return Task(
        name=name,
        summary=f"{summary}, tried at most {num_attempts} time{'s' * (num_attempts > 1)}",
        prompts=prompts,
        reward=grade,
        format=has_form,
        lenient=grade_leniently,
        retrying=Retrying(
            num_attempts=num_attempts,
            read=read,
            solution_end=ATTEMPT_END,
            decision_end=VERDICT_END,
            verdicts=(ACCEPT, RETRY),
            put_right=put_right,
            markers=MARKERS,
        ),
    )


def grade(prompt: Prompt, text: str) -> Reward:
    """1 when the answer that stands is right, else 0; parts: how many attempts were made, and whether the first one was right."""
    form = _form(prompt, text)
    answer = None if form.standing is None else _normal(prompt, form.standing)
    first = form.tries[0] if form.tries else None
    return Reward(
        value=float(answer is not None and _is_right(prompt, answer)),
        answer=answer,
        parts={"attempts": float(len(form.tries)), "first attempt right": float(first is not None and _correct(prompt, first) is True)},
    )


def grade_leniently(prompt: Prompt, text: str) -> Reward:
    """The same of the last answer in tags, whatever form is around it and whatever was decided; else of the answer in plain words.

    In plain words an answer to a sum is found as in `arithmetic`, and one to a countdown is the last line up to the first `=`.
    """
    answer = last_tagged(text)
    if answer is None and "numbers" not in prompt.info:
        return arithmetic.grade_leniently(prompt, text)
    if answer is None:
        answer = (last_line(text) or "").partition("=")[0]
    answer = _normal(prompt, answer)
    return Reward(value=float(_is_right(prompt, answer)), answer=answer or None)


def has_form(prompt: Prompt, text: str) -> bool:
    """Whether the response has the form that the prompt asks for, right or wrong."""
    return not _form(prompt, text).problem


def read(prompt: Prompt, text: str, stop: Stop) -> Trace:
    """What was tried and decided in a response to a prompt of this task, up to where its form breaks.

    >>> prompt = make("digits=1,operators=+,wrong=0").prompts(1, 0)[0]
    >>> [(span.kind, span.start, span.end) for span in read(prompt, prompt.gold_answer, "eos").spans]
    [('attempt.right', 0, 48), ('check', 48, 97), ('verdict.accept', 97, 122)]
    """
    form = _form(prompt, text, stop)
    attempts, spans = [], []
    for index, tried in enumerate(form.tries):
        correct = _correct(prompt, tried)
        answer = None if tried.answer is None else _normal(prompt, tried.answer)
        attempts.append(Attempt(answer=answer, correct=correct, decision=tried.decision))
        kind = "attempt" if correct is None else "attempt.right" if correct else "attempt.wrong"
        spans.append(TextSpan(kind=kind, start=tried.attempt[0], end=tried.attempt[1], index=index))
        if tried.check is not None:
            spans.append(TextSpan(kind="check", start=tried.check[0], end=tried.check[1], index=index))
        if tried.verdict is not None:
            spans.append(TextSpan(kind=f"verdict.{tried.decision}", start=tried.verdict[0], end=tried.verdict[1], index=index))
    return Trace(attempts=tuple(attempts), spans=tuple(spans), problem=form.problem)


def put_right(prompt: Prompt, text: str, stop: Stop) -> str | None:
    """The response with its first wrong verdict replaced by the right one and cut behind it, its check left as it was written.

    When all verdicts are right, the response cut behind the last; None without any. A forced stop is none.
    """
    found: str | None = None
    for tried in _form(prompt, text, stop).tries:
        if tried.verdict is None:
            break
        should_accept = _correct(prompt, tried) is True
        if should_accept != (tried.decision == "accept"):
            return text[: tried.verdict[0]] + write_verdict(accept=should_accept)
        found = text[: tried.verdict[1]]
    return found


def _form(prompt: Prompt, text: str, stop: Stop = "eos") -> Form:
    return read_form(text, prompt.info["attempts"], is_cut=stop == "length")


def _correct(prompt: Prompt, tried: Tried) -> bool | None:
    """Whether an attempt is right; None where it answers nothing."""
    return None if tried.answer is None else _is_right(prompt, _normal(prompt, tried.answer))


def _is_right(prompt: Prompt, answer: str) -> bool:
    assert prompt.target is not None
    return is_right(prompt.target, prompt.info, answer)


def _normal(prompt: Prompt, answer: str) -> str:
    """An answer as it is compared: a number as `arithmetic` writes it, anything else without the blanks around it."""
    answer = answer.strip()
    if "numbers" in prompt.info or not arithmetic.NUMBER.fullmatch(answer):
        return answer
    return arithmetic.last_number(answer) or answer


def _problems(settings: dict[str, str], given: dict[str, str]) -> tuple[DrawProblems, str]:
    """How problems are drawn, and what they are in words."""
    kind = settings["problem"]
    if kind not in ("arithmetic", "countdown"):
        raise ValueError(f"retry: problem is arithmetic or countdown; got {kind!r}")
    other, others = ("countdown", OF_COUNTDOWN) if kind == "arithmetic" else ("arithmetic", OF_SUMS)
    foreign = [name for name in given if name in others]
    if foreign:
        raise ValueError(f"retry: {', '.join(foreign)} belongs to problem={other}, and this is problem={kind}; leave it out")
    if kind == "arithmetic":
        sums = read_sums("retry", settings)
        return lambda num_problems, seed: sum_problems(sums, num_problems, seed), sums.summary
    num_numbers = read_whole("retry", "numbers", settings["numbers"], least=2)
    largest = read_whole("retry", "largest", settings["largest"], least=2)
    if num_numbers > MOST_NUMBERS or largest > MOST_LARGEST:
        raise ValueError(f"retry: numbers is at most {MOST_NUMBERS} and largest at most {MOST_LARGEST}; got {num_numbers} and {largest}")
    summary = f"countdown with {num_numbers} numbers of 1 to {largest}"
    return lambda num_problems, seed: countdown_problems(num_numbers, largest, num_problems, seed), summary


def _read_chance(text: str) -> float:
    try:
        chance = float(text)
    except ValueError as error:
        raise ValueError(f"retry: wrong is a chance from 0 to 1, e.g. wrong=0.5; got {text!r}") from error
    if not 0 <= chance <= 1:
        raise ValueError(f"retry: wrong is a chance from 0 to 1; got {text}")
    return chance


def _prompt(task: str, problem: Problem, num_attempts: int, chance_wrong: float) -> Prompt:
    instruction = INSTRUCTION.format(attempts=num_attempts) if num_attempts > 1 else INSTRUCTION_FOR_ONE
    messages = (Message(role="user", content=f"{problem.question} {instruction}"),)
    identity = identify("retry", messages, problem.target)
    return Prompt(
        id=identity,
        task=task,
        messages=messages,
        target=problem.target,
        gold_answer=_demonstration(problem, num_attempts, chance_wrong, random.Random(f"right {identity}")),
        wrong_answer=_false_acceptance(problem, num_attempts, random.Random(f"wrong {identity}")),
        info={**problem.info, "attempts": num_attempts},
    )


def _demonstration(problem: Problem, num_attempts: int, chance_wrong: float, rng: random.Random) -> str:
    """Wrong attempts, each retried, then the right one; see the top of this file."""
    said: list[str] = []
    while len(said) < num_attempts - 1 and rng.random() < chance_wrong:
        answer = problem.slip(rng)
        for _ in range(DRAWS_OF_A_SLIP):
            answer = problem.slip(rng) if answer in said else answer
        said.append(answer)
    wrong = [write_attempt(problem.work(one), one) + write_decision(problem.check(one), accept=False) for one in said]
    right = write_attempt(problem.work(problem.solution), problem.solution)
    if len(said) < num_attempts - 1:
        right += write_decision(problem.check(problem.solution), accept=True)
    return "".join([*wrong, right])


def _false_acceptance(problem: Problem, num_attempts: int, rng: random.Random) -> str:
    """A wrong attempt that is accepted, against its own check; with K = 1 it stands anyway."""
    answer = problem.slip(rng)
    attempt = write_attempt(problem.work(answer), answer)
    return attempt + write_decision(problem.check(answer), accept=True) if num_attempts > 1 else attempt
