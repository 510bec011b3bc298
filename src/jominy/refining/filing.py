"""Refined prompts as a file that can be trained on as it is, read back and compared before it is there.

    a task of ours        rows name it in `graded_by`, without a path          train --task FILE
    a file                its own columns, the prompt rewritten                train --task FILE (with its --reward and --target-column)
    a task of a person    prompt, target, answers and info; its reward by path train --task FILE --reward my_tasks.py:fn

Left out on purpose: a reward that has no path (a closure, an object): nothing could load it again, so it is refused before any work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jominy.records import Prompt, RewardFunction, Task
from jominy.refining.simplifying import constraints_in
from jominy.rewards.loading import FILE_MODULE, LoadedReward
from jominy.rewards.spurious import names_reward
from jominy.specs.refining import RefineSpec
from jominy.store import write_bytes
from jominy.tasks.graded import graded_by_in, row_of
from jominy.tasks.gradings import without_paths
from jominy.tasks.loading import FILE_SUFFIXES, TASKS, load_task
from jominy.tasks.rewriting import hidden_in

CHECKED_GOLDS = 256
"""Gold answers that are graded again; of rewritten prompts all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """How prompts of a task are filed.

    Example: Filing(origin="named", graded_by="constraints", reward=None, target_column=None)
    """

    origin: Literal["named", "file", "own"]
    """A task of ours, a file of prompts, or a person's task."""
    graded_by: str | None
    """The task of ours that grades them; None where a target or a reward does."""
    reward: str | None
    """Reward function that the file needs, by path; None where it grades itself."""
    target_column: str | None
    """Column of the target, where it was named."""


def filing_of(spec: RefineSpec, task: Task) -> Filing:
    """How the prompts of this task can be filed.

    Raises:
        ValueError: they cannot: the task's reward has no path.
    """
    override = spec.drawing.reward if spec.drawing.reward is not None and not names_reward(spec.drawing.reward) else None
    if spec.task.partition(":")[0] in TASKS:
        return Filing(origin="named", graded_by=without_paths(spec.task), reward=None, target_column=None)
    if Path(spec.task).suffix in FILE_SUFFIXES:
        graded_by = graded_by_in(Path(spec.task))
        return Filing(origin="file", graded_by=graded_by, reward=None if graded_by else override, target_column=spec.target_column)
    path = override or path_of(task.reward)
    if path is None:
        raise ValueError(
            f"the prompts of {spec.task!r} cannot be written back as a file that can be trained on: its reward is no function of a module, "
            "so nothing can name it; make it one, or give --reward my_rewards.py:fn"
        )
    return Filing(origin="own", graded_by=None, reward=path, target_column=None)


def path_of(reward: RewardFunction) -> str | None:
    """Where a reward can be loaded from again; None for what is no function of a module.

    >>> from jominy.tasks.arithmetic import grade
    >>> path_of(grade)
    'jominy.tasks.arithmetic:grade'
    """
    if isinstance(reward, LoadedReward):
        return reward.source
    for name, module in list(sys.modules.items()):
        if not name.startswith((FILE_MODULE, "jominy.")):
            continue
        found = next((key for key, value in vars(module).items() if value is reward and not key.startswith("_")), None)
        if found is not None:
            return f"{module.__file__ if name.startswith(FILE_MODULE) else name}:{found}"
    return None


def train_words(file: Path, spec: RefineSpec, filing: Filing) -> tuple[str, ...]:
    """The command that trains on the file."""
    reward = spec.drawing.reward or filing.reward
    words = ["jominy", "train", "--task", str(file), "--model", spec.drawing.model]
    words += ["--reward", reward] if reward else []
    return (*words, *(["--target-column", filing.target_column] if filing.target_column else []))


@contextmanager
def checked_prompts(folder: Path, prompts: Sequence[Prompt], task: Task, filing: Filing) -> Iterator[Path]:
    """A file aside that reads as the same prompts with the same grades; whoever opened this renames it, else it goes.

    Raises:
        ValueError: it does not, or a prompt holds what JSON cannot.
    """
    aside = folder / "unchecked.jsonl"
    try:
        try:
            lines = [json.dumps(_row(prompt, filing), allow_nan=False) for prompt in prompts]
            write_bytes(aside, ("\n".join(lines) + "\n").encode("ascii"))
            _check_same(prompts, load_task(str(aside), reward=filing.reward, target_column=filing.target_column), task, filing)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the refined prompts of {task.name!r} cannot be written back as a file: {error}") from error
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _row(prompt: Prompt, filing: Filing) -> dict[str, Any]:
    if filing.graded_by is not None:
        return row_of(prompt, filing.graded_by)
    given = {"target": prompt.target, "gold_answer": prompt.gold_answer, "wrong_answer": prompt.wrong_answer}
    if filing.origin == "file":
        del given["target"]  # it stands in the column that the file has for it
    turns = [{"role": message.role, "content": message.content} for message in prompt.messages]
    return {"prompt": turns, **{name: value for name, value in given.items() if value is not None}, **prompt.info}


Key = tuple[Any, ...]


def _key(prompt: Prompt) -> Key:
    return (prompt.messages, prompt.target, hidden_in(constraints_in(prompt)))


def _check_same(prompts: Sequence[Prompt], again: Task, task: Task, filing: Filing) -> None:
    read = {_key(prompt): prompt for prompt in again.prompts(len(prompts), 0)}
    for place, prompt in enumerate(prompts):
        found = read.get(_key(prompt))
        if found is None:
            raise ValueError(f"prompt {prompt.id} does not read back with the same words and target")
        same_answers = (found.gold_answer, found.wrong_answer) == (prompt.gold_answer, prompt.wrong_answer)
        if not same_answers or list(constraints_in(found)) != list(constraints_in(prompt)):
            raise ValueError(f"prompt {prompt.id} does not read back with the same answers and constraints")
        if filing.origin != "own" and found.id != prompt.id:
            raise ValueError(f"prompt {prompt.id} reads back as {found.id}")
        if filing.reward is None and prompt.gold_answer is not None and (place < CHECKED_GOLDS or "refined_from" in prompt.info):
            before, after = task.reward(prompt, prompt.gold_answer).value, again.reward(found, prompt.gold_answer).value
            if before != after:
                raise ValueError(f"the gold answer of prompt {prompt.id} got {before} and gets {after} from the file")
