"""A file of prompts that is graded as one of our tasks: what `jominy refine` writes, and how it is read again.

    {"prompt_id": ..., "prompt": [messages], "target": ..., "gold_answer": ..., "wrong_answer": ..., "num_choices": ..., "raw": false,
     "graded_by": "constraints:count=3,rendering=mixed", and every column of the prompt's info}

The task that `graded_by` names gives reward, form, lenient reward, steps and attempts; the file gives the prompts, with their ids, so that
rollouts of the two join. Only names of our table are taken, with their settings and without a path: a file of data runs no code of
anybody's and opens no other file. Of a task that reads prompts from somewhere only its way of grading is made
(`gradings`), and nothing is read.
LIMIT: a prompt that is edited by hand keeps the id that the file says; remove `prompt_id` to have it hashed anew.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jominy.files import Located, read_rows
from jominy.records import Message, Prompt, RewardFunction, Task
from jominy.rewards.loading import load_reward
from jominy.tasks.gradings import GRADING, grading_of, paths_in, without_paths
from jominy.tasks.identity import identify
from jominy.tasks.rewriting import hidden_in

GRADED_BY = "graded_by"
OURS = ("prompt_id", "prompt", "target", "gold_answer", "wrong_answer", "num_choices", "raw", GRADED_BY)
"""Columns that are no part of `Prompt.info`."""


def row_of(prompt: Prompt, graded_by: str) -> dict[str, Any]:
    """A prompt as a row of such a file.

    Raises:
        ValueError: its info has a column that means something else here.
    """
    if taken := sorted(set(prompt.info) & set(OURS)):
        raise ValueError(
            f"prompt {prompt.id} of task {prompt.task!r} has {', '.join(taken)} in its info, which a file of prompts needs itself"
        )
    return {
        "prompt_id": prompt.id,
        "prompt": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "target": prompt.target,
        "gold_answer": prompt.gold_answer,
        "wrong_answer": prompt.wrong_answer,
        "num_choices": prompt.num_choices,
        "raw": prompt.raw,
        GRADED_BY: graded_by,
        **prompt.info,
    }


def graded_by_in(path: Path) -> str | None:
    """The task that the first row of a file names; None where it names none."""
    _, row = next(iter(read_rows(path)))
    found = row.get(GRADED_BY)
    return found if isinstance(found, str) else None


def make_graded(path: Path, rows: Sequence[Located], reward: RewardFunction | str | None) -> Task:
    """The task that such a file is.

    Nothing of a row is opened: a name with an option that could be a path is refused.

    Args:
        path: the file.
        rows: its rows.
        reward: to use in place of the named task's.

    Raises:
        ValueError: rows name no task of ours, different ones, or one with a path; or one has no prompt.
    """
    from jominy.tasks.loading import TASKS, load_task

    names = {row.get(GRADED_BY) for _, row in rows}
    name = names.pop()
    if names or not isinstance(name, str) or name.partition(":")[0] not in TASKS:
        known = ", ".join(TASKS)
        raise ValueError(f"{path}: column {GRADED_BY!r} must name one task of {known} in every row; remove it to grade by target or reward")
    if paths := paths_in(name):
        raise ValueError(
            f"{path}: column {GRADED_BY!r} is {name!r}, where {paths[0]!r} is no setting of that task, and a file of data may name no "
            f"other file to open; write {without_paths(name)!r}, which grades alike, or remove the column to grade by target or reward"
        )
    like = grading_of(name) if name.partition(":")[0] in GRADING else load_task(name)
    prompts = list({prompt.id: prompt for prompt in (_prompt(path, where, row) for where, row in rows)}.values())
    grade = like.reward if reward is None else load_reward(reward) if isinstance(reward, str) else reward
    return replace(
        like,
        name=str(path),
        summary=f"{len(prompts)} prompts from {path.name}, graded as {name}",
        prompts=lambda num_prompts, seed: random.Random(seed).sample(prompts, min(num_prompts, len(prompts))),
        reward=grade,
        lenient=like.lenient if reward is None else None,
    )


def _prompt(path: Path, where: str, row: Mapping[str, Any]) -> Prompt:
    if path.suffix == ".csv":
        raise ValueError(f"{path}: a file with a {GRADED_BY!r} column is .jsonl or .parquet; CSV cells are text")
    turns = row.get("prompt")
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in turns):
        raise ValueError(f"{path}, {where}: prompt must be a list of {{'role': ..., 'content': ...}}, not {str(turns)[:60]!r}")
    messages = tuple(Message(role=turn["role"], content=turn["content"]) for turn in turns)
    info = {name: json.loads(json.dumps(value, default=str)) for name, value in row.items() if name not in OURS}
    target, prompt_id = row.get("target"), row.get("prompt_id")
    constraints = info.get("constraints")
    return Prompt(
        id=prompt_id if isinstance(prompt_id, str) else identify("file", messages, target or hidden_in(constraints or ())),
        task=str(path),
        messages=messages,
        target=target,
        gold_answer=row.get("gold_answer"),
        wrong_answer=row.get("wrong_answer"),
        num_choices=row.get("num_choices"),
        info=info,
        raw=bool(row.get("raw", False)),
    )
