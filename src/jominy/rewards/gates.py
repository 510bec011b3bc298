r"""What spurious rewards multiply: F, whether a response has the asked form, and C, whether it is right. Both are 0 or 1.

    gate            F                                                                                C
    task            the task's own form; where it has none, not empty and ended by a stop token     truth >= 1
    think           <think> ... </think> <answer> ... </answer>, line breaks allowed inside          truth >= 1
    think_literal   the same as 2508.21188 released it: a line break in the thought makes F = 0      first <answer> == target, to the letter
    none            1                                                                                truth >= 1

The truth is what the task's own reward says; a graded one (0.01 for a wrong answer in good form) is wrong until it is 1.
Left out on purpose: partial credit for half a form. No paper pays it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from jominy.records import Prompt, Reward, Rollout, Task

GATES = ("task", "think", "think_literal", "none")
PATTERN = r"^<think>.*?</think>\s*<answer>.*?</answer>$"
THINK = re.compile(PATTERN, re.DOTALL)
THINK_LITERAL = re.compile(PATTERN)
ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """F and C of a response.

    Example: gate_of("format", "think", task, ("task", "think")).has_form(prompt, rollout)
    """

    name: str
    """One of `GATES`."""
    has_form: Callable[[Prompt, Rollout], bool]
    """F."""
    is_right: Callable[[Prompt, Rollout], bool | None]
    """C; None where it is not known."""


def gate_of(reward: str, name: str, task: Task, allowed: tuple[str, ...] = GATES) -> Gate:
    """The gate of that name on a task.

    Raises:
        ValueError: no such gate for this reward, or one that compares with a target on a task that has none.
    """
    if name not in allowed:
        raise ValueError(f"{reward}: gate is one of {', '.join(allowed)}; got {name!r}")
    if name == "think_literal" and any(prompt.target is None for prompt in task.prompts(1, 0)):
        raise ValueError(
            f"{reward}: gate=think_literal compares with the target, and the prompts of task {task.name!r} have none; use think"
        )
    forms: dict[str, Callable[[Prompt, Rollout], bool]] = {
        "task": _form_of(task),
        "think": lambda prompt, rollout: THINK.match(rollout.text) is not None,
        "think_literal": lambda prompt, rollout: THINK_LITERAL.match(rollout.text) is not None,
        "none": lambda prompt, rollout: True,
    }
    return Gate(name=name, has_form=forms[name], is_right=_equals_target if name == "think_literal" else truth_of)


def truth_of(prompt: Prompt, rollout: Rollout) -> bool | None:
    """C: whether the grade that the rollout brings is at least 1; None where it is unscored."""
    assert rollout.reward is not None, "a group reward judges what is graded"
    return None if rollout.reward.value is None else rollout.reward.value >= 1


def paid(rollout: Rollout, value: float, **parts: float) -> Reward:
    """A reward with named parts, which keeps the answer that was found."""
    assert rollout.reward is not None
    numbers = {name: float(part) for name, part in parts.items()}  # a verdict may be a bool, and is stored as a number
    return Reward(value=float(value), parts=numbers, answer=rollout.reward.answer)


def unscored(rollout: Rollout, why: str = "") -> Reward:
    """No reward; `why` not, or because there is no truth to go by."""
    assert rollout.reward is not None
    return Reward(value=None, note=why or f"no truth to go by: {rollout.reward.note or 'the prompt has no target'}")


def _form_of(task: Task) -> Callable[[Prompt, Rollout], bool]:
    form = task.format
    if form is None:
        return lambda prompt, rollout: bool(rollout.text.strip()) and rollout.stop == "eos"
    return lambda prompt, rollout: form(prompt, rollout.text)


def _equals_target(prompt: Prompt, rollout: Rollout) -> bool | None:
    found = ANSWER.search(rollout.text)
    return None if prompt.target is None else found is not None and found.group(1) == prompt.target
