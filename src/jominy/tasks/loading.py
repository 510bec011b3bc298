"""From what a person types behind `--task` to a Task: a name, a name with options, a file of prompts, or an object of their own.

Owns the table of tasks. Its entries are paths, imported when asked for, so that listing the tasks costs nothing.

    arithmetic                    a task of the table
    logic:countdown,max_numbers=4 the same with options behind the colon
    questions.jsonl               a file of prompts (.jsonl, .parquet, .csv)
    my_tasks.py:make              a Task, or a function without arguments that returns one
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jominy.records import RewardFunction, Task
from jominy.rewards.loading import load_object

FILE_SUFFIXES = (".jsonl", ".parquet", ".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry:
    """A line of the table of tasks.

    Example: TaskEntry(make="jominy.tasks.arithmetic:make", summary="sums made here", options="digits=2,operators=+-*,terms=2")
    """

    make: str
    """Path of a function from the options to a Task."""
    summary: str
    """One line for the listing."""
    options: str = ""
    """What may stand behind the colon."""


TASKS: dict[str, TaskEntry] = {
    "constraints": TaskEntry(
        make="jominy.tasks.constraints:make",
        summary="follow one to three code-checkable constraints; made here, without end",
        options="types such as no_commas,three_bullets (all in docs/constraints.md), count=1, 2 or 3 a prompt, "
        "rendering=hard, soft or mixed, soft_share=0.5, subset=hard or soft",
    ),
    "ifeval": TaskEntry(
        make="jominy.tasks.ifeval:make_ifeval",
        summary="IFEval, prompts with verifiable instructions (2311.07911)",
        options="strict or loose, and a .jsonl file",
    ),
    "ifbench": TaskEntry(
        make="jominy.tasks.ifeval:make_ifbench",
        summary="IFBench, prompts with unseen constraints (2507.02833)",
        options="strict or loose, and a .jsonl file",
    ),
    "multiif": TaskEntry(
        make="jominy.tasks.multiif:make",
        summary="Multi-IF, IFEval's checks over turns and languages (2410.15553), from the hub",
        options="turns=1, 2 or 3 in one message, language=English or all, strict or loose, and a .csv or .jsonl file",
    ),
    "followbench": TaskEntry(
        make="jominy.tasks.followbench:make",
        summary="FollowBench, one to five constraints (2310.20410); most of them need a judge",
        options="content, format, mixed, situation, style, level=1 to 5, code (only what code decides), and a folder",
    ),
    "cfbench": TaskEntry(
        make="jominy.tasks.cfbench:make",
        summary="CFBench, Chinese prompts with their criteria (2408.01122); needs a judge",
        options="easy or hard, and a .json file",
    ),
    "math": TaskEntry(
        make="jominy.tasks.math:make",
        summary="competition and school mathematics, answers compared by math-verify",
        options="aime24, aime25, amc23, math500, minerva, olympiadbench, gsm8k or a .jsonl file, joined by commas",
    ),
    "logic": TaskEntry(
        make="jominy.tasks.logic:make",
        summary="any reasoning-gym dataset with its own verifier",
        options="the dataset, then its settings, e.g. countdown,max_numbers=4",
    ),
    "arithmetic": TaskEntry(
        make="jominy.tasks.arithmetic:make",
        summary="sums of any difficulty; made here, without end",
        options="digits=2,operators=+-*,terms=2, and steps=yes for sums of two numbers with written steps",
    ),
    "retry": TaskEntry(
        make="jominy.tasks.retry:make",
        summary="sums or countdowns tried several times, the model deciding when to stop (2601.01580)",
        options="attempts=3,wrong=0.5 with digits=2,operators=+-*,terms=2 or with problem=countdown,numbers=3,largest=20",
    ),
}


def load_task(spec: str, *, reward: RewardFunction | str | None = None, target_column: str | None = None) -> Task:
    """The task that a person means by `spec` (see the top of this file).

    `reward` and `target_column` belong to a file of prompts: that reward becomes the task's own. Every other task brings its reward
    along and is returned as it is; a verb that trains on another reward keeps `task.reward` as the gold.

    Raises:
        ValueError: nothing goes by that name (near misses and everything that exists are listed), an option is wrong, an extra is missing.

    >>> load_task("arithmetic:digits=1,operators=+").summary
    '2 numbers of 1 digit, +'
    """
    name, _, options = spec.partition(":")
    is_file = Path(spec).suffix in FILE_SUFFIXES and name not in TASKS
    if target_column is not None and not is_file:
        raise ValueError(f"a target column belongs to a file of prompts ({', '.join(FILE_SUFFIXES)}); {spec!r} is none")
    if is_file:
        from jominy.tasks.file import make as make_from_file

        return make_from_file(spec, target_column=target_column, reward=reward)
    if name in TASKS:
        make: Callable[[str], Task] = load_object(TASKS[name].make)
        task: Task = make(options)
        return task
    if ":" in spec and (name.endswith(".py") or "." in name):
        return _own_task(spec)
    raise ValueError(_unknown(spec, name))


def _own_task(source: str) -> Task:
    thing = load_object(source)
    task = thing if isinstance(thing, Task) or not callable(thing) else thing()
    if not isinstance(task, Task):
        raise ValueError(f"{source} is a {type(task).__name__}; a task is a jominy.records.Task or a function that returns one")
    return task


def _unknown(spec: str, name: str) -> str:
    close = difflib.get_close_matches(name, TASKS, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    known = "\n".join(f"  {task:12} {entry.summary}" for task, entry in TASKS.items())
    return f"no task {spec!r}{hint}\nThere are\n{known}\nor a file of prompts ({', '.join(FILE_SUFFIXES)}), or your own as my_tasks.py:make"
