"""`jominy check`: the battery that jominy's own tasks and rewards must pass, run on yours.

    task      deterministic; ids unique; seeds differ; every gold scores 1; every known-wrong scores below 1 - without a model
    recipe    zero where it says so; padding, order and splits change nothing; the unscored play no part (`recipes.battery`)
    reward    pure; a finite number; survives empty, huge and binary text within a second; what it cannot survive becomes unscored

Owns `CheckReport`. Everything runs behind the grading boundary, so a reward that hangs or kills its process fails a check and nothing else.
Left out on purpose: printing, which the command does, and measures and engines: they have batteries of their own to come.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jominy.recipes.battery import check_recipe
from jominy.recipes.loading import RECIPES, load_recipe
from jominy.recipes.recipe import Recipe
from jominy.records import Message, Prompt, Reward, Task
from jominy.rewards.boundary import Grader
from jominy.rewards.loading import load_object, load_reward
from jominy.tasks.loading import FILE_SUFFIXES, TASKS, load_task

NUM_PROMPTS = 64
MAX_TOKENS = 64
"""Of a recipe that needs a length."""
TEXT_LIMIT_S = 1.0
HUGE = "The answer is 42. " * 58_000
BINARY = "".join(map(chr, range(256))) * 16 + "\ud800\udfff\ufffe"
PROBE = Prompt(
    id="check",
    task="check",
    messages=(Message(role="user", content="What is 2 + 3?"),),
    target="5",
    gold_answer="The answer is \\boxed{5}.",
    wrong_answer="The answer is \\boxed{6}.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked.

    Example: Check(name="every gold scores 1", passed=False, detail="63 of 64; prompt 9f2c... scored 0.0: 'The answer is 7'")
    """

    name: str
    """What must hold."""
    passed: bool | None
    """Whether it does; None when it could not be checked, and then `detail` says why."""
    detail: str
    """The evidence, with the first counterexample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a battery found.

    Example: CheckReport(name="my_rewards.py:fn", kind="reward", checks=(check,), first_traceback="")
    """

    name: str
    """What was checked, as it was asked for."""
    kind: Literal["task", "reward", "recipe"]
    """Which battery ran."""
    checks: tuple[Check, ...]
    """In the order they ran."""
    first_traceback: str = ""
    """Of the first crash behind the boundary; empty when there was none."""

    @property
    def passed(self) -> bool:
        """Whether no check failed and at least one could be made."""
        return all(check.passed is not False for check in self.checks) and any(check.passed for check in self.checks)


def check(spec: str, *, num_prompts: int = NUM_PROMPTS) -> CheckReport:
    """Run the battery on what `spec` names: a task or recipe by name, or a task, recipe or reward as `my_module.py:thing`.

    Args:
        spec: `arithmetic:digits=3`, `questions.jsonl`, `dapo:clip_high=0.3`, `my_tasks.py:make`, `my_rewards.py:fn` ...
        num_prompts: prompts of a task to check, >= 2.

    Raises:
        ValueError: nothing goes by that name, or it is neither a task nor a recipe nor a reward.

    >>> report = check("arithmetic:digits=1", num_prompts=8)
    >>> report.kind, report.passed
    ('task', True)
    """
    if num_prompts < 2:
        raise ValueError(f"a check needs at least 2 prompts; got {num_prompts}")
    name = spec.partition(":")[0]
    if name in RECIPES:
        return check_of_recipe(load_recipe(spec, MAX_TOKENS), name=spec)
    if name in TASKS or ":" not in spec or spec.endswith(FILE_SUFFIXES):
        return check_task(load_task(spec), name=spec, num_prompts=num_prompts)
    thing = load_object(spec)
    if isinstance(thing, Task):
        return check_task(thing, name=spec, num_prompts=num_prompts)
    if isinstance(thing, Recipe):
        return check_of_recipe(thing, name=spec)
    if isinstance(thing, type) or not callable(thing):
        kind = f"class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
        raise ValueError(
            f"{spec} is a {kind}; what can be checked so far is a task, a recipe, a function that returns one, or a reward function"
        )
    if _takes_nothing(thing):
        made = thing()
        if isinstance(made, Recipe):
            return check_of_recipe(made, name=spec)
        return check_task(load_task(spec), name=spec, num_prompts=num_prompts)
    return check_reward(load_reward(spec), name=spec)


def check_of_recipe(recipe: Recipe, *, name: str) -> CheckReport:
    """The battery of a recipe, on made-up groups."""
    checks = tuple(Check(name=one.name, passed=one.passed, detail=one.detail) for one in check_recipe(recipe))
    return CheckReport(name=name, kind="recipe", checks=checks)


def check_task(task: Task, *, name: str, num_prompts: int = NUM_PROMPTS) -> CheckReport:
    """The battery of a task, on `num_prompts` of its prompts."""
    first, again, other = task.prompts(num_prompts, 0), task.prompts(num_prompts, 0), task.prompts(num_prompts, 1)
    ids = [prompt.id for prompt in first]
    num_repeated = len(ids) - len(set(ids))
    same_order = [prompt.id for prompt in other] == ids
    checks = [
        Check(name="has prompts", passed=bool(first), detail=f"{len(first)} of {num_prompts} asked for"),
        Check(name="deterministic", passed=first == again, detail="two calls with the same seed compared"),
        Check(name="ids unique", passed=num_repeated == 0, detail=f"{num_repeated} repeated among {len(ids)}"),
        Check(
            name="seeds differ",
            passed=not same_order if len(first) >= num_prompts else None,
            detail="prompts of seeds 0 and 1 compared" if len(first) >= num_prompts else "the task is smaller than the sample",
        ),
    ]
    with Grader(task.reward, num_workers=1) as grader:
        checks.append(_check_answers(grader, "every gold scores 1", first, lambda p: p.gold_answer, lambda value: value == 1.0))
        checks.append(
            _check_answers(grader, "every known-wrong scores below 1", first, lambda p: p.wrong_answer, lambda value: value < 1.0)
        )
        probe = first[0] if first else PROBE
        checks.extend(_check_survival(task.reward, probe))
        return CheckReport(name=name, kind="task", checks=tuple(checks), first_traceback=grader.first_traceback)


def check_reward(reward: Callable[[Prompt, str], object], *, name: str) -> CheckReport:
    """The battery of a reward function, on one made-up prompt (`What is 2 + 3?`, target 5)."""
    texts = [text for text in (PROBE.gold_answer, PROBE.wrong_answer, "5", "I do not know.") if text]
    with Grader(reward, num_workers=1) as grader:
        first = grader.grade([(PROBE, text) for text in texts])
        again = grader.grade([(PROBE, text) for text in reversed(texts)])[::-1]
        first_traceback = grader.first_traceback
    scored = [one for one in first if one.value is not None]
    values = sorted({one.value for one in scored if one.value is not None})
    unpure = next((text for text, one, two in zip(texts, first, again, strict=True) if one != two), None)
    checks = [
        Check(
            name="scores ordinary text",
            passed=bool(scored) and all(one.value is not None or one.note == "returned None" for one in first),
            detail=f"{len(scored)} of {len(texts)} scored" + _why_unscored(first),
        ),
        Check(
            name="pure",
            passed=unpure is None if scored else None,
            detail="graded twice, in two orders" if unpure is None else f"two calls differ on {unpure!r}",
        ),
        Check(
            name="finite number",
            passed=all("NaN" not in one.note and "infinite" not in one.note and "instead of a number" not in one.note for one in first),
            detail=f"values seen: {', '.join(f'{value:g}' for value in values) or 'none'}",
        ),
    ]
    checks.extend(_check_survival(reward, PROBE))
    return CheckReport(name=name, kind="reward", checks=tuple(checks), first_traceback=first_traceback)


def _check_survival(reward: Callable[[Prompt, str], object], prompt: Prompt) -> list[Check]:
    """Empty, huge and binary text, each with a second: a reward is not to crash on what a model may write."""
    hostile = {"empty": "", "huge (1 MB)": HUGE, "binary": BINARY}
    with Grader(reward, timeout_s=TEXT_LIMIT_S, num_workers=1) as grader:
        rewards = grader.grade([(prompt, text) for text in hostile.values()])
        after = grader.grade([(prompt, prompt.gold_answer or "ordinary")])[0]
    checks = [
        Check(
            name=f"survives {kind} text within {TEXT_LIMIT_S:g} s",
            passed=one.value is not None or one.note == "returned None",
            detail=f"scored {one.value:g}" if one.value is not None else f"unscored: {one.note}",
        )
        for kind, one in zip(hostile, rewards, strict=True)
    ]
    lost = [one for one in rewards if one.value is None]
    detail = f"{len(lost)} unscored and counted; the next response was {'scored' if after.value is not None else 'unscored: ' + after.note}"
    return [*checks, Check(name="a crash becomes unscored", passed=after.value is not None if lost else None, detail=detail)]


def _check_answers(
    grader: Grader, name: str, prompts: list[Prompt], answer: Callable[[Prompt], str | None], holds: Callable[[float], bool]
) -> Check:
    pairs = [(prompt, text) for prompt in prompts if (text := answer(prompt)) is not None]
    missing = len(prompts) - len(pairs)
    if not pairs:
        return Check(name=name, passed=None, detail=f"none of the {len(prompts)} prompts has such an answer")
    rewards = grader.grade(pairs)
    failures = [(pair, one) for pair, one in zip(pairs, rewards, strict=True) if one.value is None or not holds(one.value)]
    detail = f"{len(pairs) - len(failures)} of {len(pairs)}" + (f"; {missing} prompts have no such answer" if missing else "")
    if failures:
        (prompt, text), one = failures[0]
        scored = f"unscored ({one.note})" if one.value is None else f"{one.value:g}"
        detail += f"; prompt {prompt.id}: {text[:120]!r} is {scored}"
    return Check(name=name, passed=not failures, detail=detail)


def _why_unscored(rewards: list[Reward]) -> str:
    return next((f"; unscored: {one.note}" for one in rewards if one.value is None), "")


def _takes_nothing(function: Callable[..., object]) -> bool:
    """Whether it can be called without arguments, as a function that makes a task can."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):  # it wants arguments, or Python knows no signature of it
        return False
    return True
