"""Sums made here, as hard as you like: `arithmetic:digits=3,operators=+*,terms=4`, or with written steps: `operators=+,steps=yes`.

The rule of grading: the answer is the last number in the text, thousands commas dropped; it is right when it is the exact integer
(`1,234` and `1234.0` are 1234; `12.5` is no integer and so never right). For tests, for small models and for tasks of known difficulty.
Left out on purpose: division (its rounding would need a rule of its own) and any dependency.
"""

from __future__ import annotations

import hashlib
import re

from jominy.records import Message, Prompt, Reward, Stop, Task, Working
from jominy.rewards.options import read_options
from jominy.tasks.identity import identify
from jominy.tasks.steps import METHODS, num_steps, read_sum, write_steps
from jominy.tasks.sums import DEFAULTS as OF_SUMS
from jominy.tasks.sums import evaluate, read_sums, write_sum

NUMBER = re.compile(r"(?<![0-9])[-\u2212]?[0-9][0-9,]*(?:\.[0-9]+)?")
INSTRUCTION = "Give the answer as an integer at the end."
STEPS_INSTRUCTION = "Write every step as a sum such as 2 + 3 = 5, with semicolons between, and the answer as an integer at the end."
STEPS = ("no", "yes", *METHODS)
DEFAULTS = {**OF_SUMS, "steps": "no"}


def make(options: str) -> Task:
    """Arithmetic with `digits` a number (default 2), `terms` numbers (2) and `operators` out of `+-*` (`+-*`).

    Numbers of one digit are 0 to 9, of more digits have no leading zero. The usual precedence holds.
    With `steps` the prompt asks for written steps, and a program tells methods and errors apart (`tasks.steps`): `yes` has gold answers by
    all methods, by no rule that could be learned from the prompt; a method's name has them by that one. The prompts are the same.
    A setting with fewer different problems than asked for returns each of them once.

    >>> task = make("digits=1,operators=+")
    >>> prompt = task.prompts(1, 0)[0]
    >>> prompt.messages[0].content, prompt.target
    ('What is 9 + 4? Give the answer as an integer at the end.', '13')
    >>> task.reward(prompt, "That is 13.").value
    1.0
    """
    settings = DEFAULTS | read_options("arithmetic", options, DEFAULTS)
    sums = read_sums("arithmetic", settings)
    name = f"arithmetic:{options}" if options else "arithmetic"
    steps = _steps_option(settings["steps"], sums.digits, sums.operators, sums.terms)

    def prompts(num_prompts: int, seed: int) -> list[Prompt]:
        problems = sums.draw(num_prompts, seed)
        return [_prompt(name, *problem) if steps == "no" else _prompt_with_steps(name, problem[0], steps) for problem in problems]

    return Task(
        name=name,
        summary=sums.summary + ", with steps" * (steps != "no"),
        prompts=prompts,
        reward=grade,
        format=ends_with_integer,
        lenient=grade_leniently,
        read_steps=None if steps == "no" else read_steps,
    )


def grade(prompt: Prompt, text: str) -> Reward:
    """1 when the last number in the text is the target, else 0; `answer` is that number."""
    answer = last_number(text)
    return Reward(value=float(answer is not None and answer == prompt.target), answer=answer)


def grade_leniently(prompt: Prompt, text: str) -> Reward:
    """The same with the first number after the last `answer` as the answer, else the first one after the last `=`, else the last number.

    One number is read, so a list of guesses earns nothing more.

    >>> [grade_leniently(make("").prompts(1, 0)[0], text).answer for text in ("The answer is 7, for 3 + 4 = 7.", "2 + 3 = 5, not 6", "5")]
    ['7', '5', '5']
    """
    lowered = text.lower()
    for mark in ("answer", "="):
        behind = lowered.rpartition(mark)[2] if mark in lowered else ""
        first = NUMBER.search(behind)
        if first is not None:
            answer = last_number(first.group())
            return Reward(value=float(answer == prompt.target), answer=answer)
    return grade(prompt, text)


def read_steps(prompt: Prompt, text: str, stop: Stop) -> Working:
    """What a program sees in the steps of a response to a prompt of `steps=...`: its method and its error (`tasks.steps`).

    >>> read_steps(make("operators=+,steps=yes").prompts(1, 0)[0], "", "eos").error
    'E5.2'
    """
    first, _, second = prompt.info["expression"].partition(" + ")
    return read_sum(int(first), int(second), text, is_right=last_number(text) == prompt.target, is_cut=stop == "length")


def ends_with_integer(prompt: Prompt, text: str) -> bool:
    """Whether the text ends as the prompt asks: with an integer, one full stop behind it allowed.

    >>> [ends_with_integer(make("").prompts(1, 0)[0], text) for text in ("2 + 3 = 5", "It is -1,234.", "5 apples", "2.5", "")]
    [True, True, False, False, False]
    """
    said = text.rstrip().removesuffix(".")
    numbers = list(NUMBER.finditer(said))
    return bool(numbers) and numbers[-1].end() == len(said) and "." not in str(last_number(said))


def last_number(text: str) -> str | None:
    """The last number in a text: commas, a leading plus or zeros and trailing `.0` dropped; None where there is none.

    A hyphen directly after a digit is a minus between two numbers, not a sign: the last number of `7-3` is 3.

    >>> last_number("1,200 + 34 = 1,234.0"), last_number("so it is -5."), last_number("none")
    ('1234', '-5', None)
    """
    numbers = NUMBER.findall(text)
    if not numbers:
        return None
    number = numbers[-1].replace(",", "").replace("\u2212", "-")
    whole, _, fraction = number.removeprefix("-").partition(".")
    fraction = fraction.rstrip("0")
    unsigned = (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")
    return "-" + unsigned if number.startswith("-") and unsigned != "0" else unsigned


def _prompt(task: str, values: list[int], signs: str) -> Prompt:
    expression, result = write_sum(values, signs), evaluate(values, signs)
    messages = (Message(role="user", content=f"What is {expression}? {INSTRUCTION}"),)
    return Prompt(
        id=identify("arithmetic", messages, str(result)),
        task=task,
        messages=messages,
        target=str(result),
        gold_answer=f"{expression} = {result}",
        wrong_answer=f"{expression} = {result + 1}",
        info={"expression": expression},
    )


def _steps_option(steps: str, digits: int, operators: str, terms: int) -> str:
    if steps not in STEPS:
        raise ValueError(f"arithmetic: steps is one of {', '.join(STEPS)}; got {steps!r}")
    if steps != "no" and (operators != "+" or terms != 2 or not 2 <= digits <= 12):
        raise ValueError(f"arithmetic: steps={steps} writes sums of two numbers of 2 to 12 digits; add operators=+ and leave terms at 2")
    return steps


def _prompt_with_steps(task: str, values: list[int], steps: str) -> Prompt:
    """The gold answer by the method asked for, or by one that only a hash of the problem knows; the wrong one has a slip in a step."""
    first, second = values
    total, expression = str(first + second), f"{first} + {second}"
    chance = int.from_bytes(hashlib.sha256(expression.encode()).digest()[:4])
    method = METHODS[chance % len(METHODS)] if steps == "yes" else steps
    messages = (Message(role="user", content=f"What is {expression}? {STEPS_INSTRUCTION}"),)
    return Prompt(
        id=identify("arithmetic", messages, total),
        task=task,
        messages=messages,
        target=total,
        gold_answer=write_steps(first, second, method),
        wrong_answer=write_steps(first, second, method, slip_at=chance // len(METHODS) % num_steps(first, second, method)),
        info={"expression": expression, "method": method},
    )
