"""How the tasks grade that read their prompts from a file, a folder or the hub: known by name and settings, without reading anything.

    math:mine.jsonl,gsm8k   ->   math:gsm8k   ->   reward, lenient reward and form of the task, and no prompts

A file of data names such a task in `graded_by` (`graded`). It may name no path: who opens a file of data expects that file opened, and no
other. Each entry has what the task's own `make` gives it; a test holds the two together.
Left out on purpose: tasks that are made here, which `load_task` makes as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from jominy.records import Prompt, RewardFunction, Task
from jominy.rewards.constraints import grade
from jominy.rewards.instructions import Benchmark, InstructionReward

_MODES = "strict|loose"
SETTINGS = {
    "math": re.compile(r"\w+"),
    "ifeval": re.compile(_MODES),
    "ifbench": re.compile(_MODES),
    "multiif": re.compile(rf"{_MODES}|turns=[123]|language=[\w-]+"),
    "followbench": re.compile(r"content|format|mixed|situation|style|level=[1-5]|code"),
    "cfbench": re.compile("easy|hard"),
}
"""{task that may be given a path: options that are none}; the same tasks as in `GRADING`."""

Grading = tuple[RewardFunction, RewardFunction | None, Callable[[Prompt, str], bool] | None]
"""(reward, lenient reward, form), as the task itself has them."""


def _by_answer(loose: bool) -> Grading:
    from jominy.tasks.file import default_reward, has_closed_box

    reward = default_reward()
    return reward, reward, has_closed_box


def _by_constraints(loose: bool) -> Grading:
    return grade, None, None


def _by_instructions(benchmark: Benchmark) -> Callable[[bool], Grading]:
    return lambda loose: (InstructionReward(benchmark, loose=loose), InstructionReward(benchmark, loose=True), None)


GRADING: Mapping[str, Callable[[bool], Grading]] = {
    "math": _by_answer,
    "ifeval": _by_instructions("ifeval"),
    "ifbench": _by_instructions("ifbench"),
    "multiif": _by_instructions("ifeval"),
    "followbench": _by_constraints,
    "cfbench": _by_constraints,
}
"""{task that reads its prompts from somewhere: (whether it is loose) -> how it grades}."""


def without_paths(name: str) -> str:
    """A task of our table with its settings alone: what could be the path of a file or folder is taken out.

    >>> without_paths("math:gsm8k,../secret.jsonl"), without_paths("ifbench:/tmp/x.jsonl,loose"), without_paths("arithmetic:digits=2")
    ('math:gsm8k', 'ifbench:loose', 'arithmetic:digits=2')
    """
    if not (paths := paths_in(name)):
        return name
    kept = [option for option in _options_of(name) if option not in paths]
    return ":".join([name.partition(":")[0], *([",".join(kept)] if kept else [])])


def paths_in(name: str) -> list[str]:
    """The options that are none of the settings of a task that reads files."""
    known = SETTINGS.get(name.partition(":")[0])
    return [] if known is None else [option for option in _options_of(name) if not known.fullmatch(option)]


def _options_of(name: str) -> list[str]:
    return [option for part in name.partition(":")[2].split(",") if (option := part.strip())]


def grading_of(name: str) -> Task:
    """A task that grades like this one, and has no prompts."""
    task = name.partition(":")[0]
    reward, lenient, shape = GRADING[task]("loose" in _options_of(name))
    return Task(name=name, summary="", prompts=lambda num_prompts, seed: [], reward=reward, format=shape, lenient=lenient)
