"""How many responses each prompt gets, where tasks of a mix differ in it.

    avg@32                       32 everywhere
    aime24=256,math500=32        by task, `aime24` or `math:aime24`; a task that is not named gets --rollouts
    paper                        as in 2601.06911: 256 for AIME24 and AIME25, 32 for MATH-500, 16 for AMC23, Minerva and OlympiadBench

Left out on purpose: numbers that depend on what has been drawn already, such as more samples where few were right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jominy.records import Prompt
from jominy.tasks.math import BENCHMARKS

FORMS = "write avg@32, aime24=256,math500=32 or paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Responses a prompt, by the task that it is from.

    Example: Samples(default=16, of_task={"aime24": 256})
    """

    default: int | None
    """Of tasks that are not named; None: every task must be named."""
    of_task: Mapping[str, int] = field(default_factory=dict)
    """Task, in full or what stands behind its first colon -> responses a prompt."""
    all_named_exist: bool = True
    """Whether a named task without a prompt is a mistake."""

    @property
    def fewest(self) -> int:
        """The smallest number that a prompt may get."""
        numbers: list[int] = list(self.of_task.values())
        return min(numbers if self.default is None else [*numbers, self.default])

    def of(self, prompt: Prompt) -> int:
        """Of one prompt, of a run that `check` has passed."""
        named = _named(self.of_task, prompt.task)
        number = self.default if named is None else self.of_task[named]
        assert number is not None
        return number

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raises ValueError for a named task that no prompt is from, or a task that has no number."""
        there = sorted({prompt.task for prompt in prompts})
        used = {task: _named(self.of_task, task) for task in there}
        unused = [name for name in self.of_task if name not in used.values()]
        if self.all_named_exist and unused:
            raise ValueError(
                f"--samples names {unused[0]!r}, and none of the {len(prompts)} prompts is from it; they are from {', '.join(there)}. "
                "Correct the name, or draw more --prompts"
            )
        without = [task for task, named in used.items() if named is None]
        if self.default is None and without:
            raise ValueError(f"--samples paper has no number for {without[0]}; it has one for {', '.join(self.of_task)}")


def parse_samples(text: str | None, rollouts: int) -> Samples:
    """What `--samples` says; without it, `rollouts` everywhere.

    Raises:
        ValueError: it is none of the three forms, or a number is below 1.

    >>> parse_samples("avg@32", 16).default, dict(parse_samples("aime24=256", 16).of_task)
    (32, {'aime24': 256})
    """
    if text is None:
        return Samples(default=rollouts)
    if text == "paper":
        known = {name: benchmark.samples for name, benchmark in BENCHMARKS.items() if benchmark.samples is not None}
        return Samples(default=None, of_task=known, all_named_exist=False)
    everywhere = re.fullmatch(r"avg@(\d+)", text)
    if everywhere:
        return Samples(default=_at_least_one(text, everywhere[1]))
    of_task: dict[str, int] = {}
    for word in text.split(","):
        name, _, number = (part.strip() for part in word.rpartition("="))
        if not name or not number.isdecimal() or name in of_task:
            raise ValueError(f"--samples {text!r}: {word.strip()!r} is not understood{' twice' if name in of_task else ''}; {FORMS}")
        of_task[name] = _at_least_one(text, number)
    return Samples(default=rollouts, of_task=of_task)


def _at_least_one(text: str, number: str) -> int:
    if int(number) < 1:
        raise ValueError(f"--samples {text!r}: a prompt gets at least 1 response; got {number}")
    return int(number)


def _named(of_task: Mapping[str, int], task: str) -> str | None:
    """Under which name a task has its number; None where it has none."""
    return next((name for name in (task, task.partition(":")[2]) if name in of_task), None)
