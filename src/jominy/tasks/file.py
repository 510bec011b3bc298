"""A person's own prompts: a Parquet, JSONL or CSV file with a prompt column, and how responses to them are graded.

    prompt    the question: text, or a conversation as a list of {"role": ..., "content": ...} (in CSV as JSON text)
    target    what the reward compares with: the named column, else the first there is of TARGET_COLUMNS

Every other column is kept in `Prompt.info`, where TRL- and verl-style rewards find it by its name. With a reward that one grades; without
one a target is needed and `rewards.answers.grade` compares (numbers and formulas by value, words by spelling) with the answer in it, where
it is a whole solution (`... #### 7`, `... \\boxed{7}`). Without a target, prompts that all have `constraints` are graded by those.
The gold answer is the target in a box, so `jominy check` can test the default reward; a reward of your own may want another form of
answer, so then a file may bring its own `gold_answer` and `wrong_answer` columns. A file with a `graded_by` column, as `jominy refine`
writes one, is graded as that task is (`tasks.graded`).
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jominy.files import read_rows as read_rows
from jominy.records import Message, Prompt, RewardFunction, Task
from jominy.rewards.constraints import grade as grade_constraints
from jominy.rewards.constraints import grade_loosely
from jominy.rewards.extraction import last_box
from jominy.rewards.loading import load_reward
from jominy.tasks.graded import GRADED_BY, make_graded
from jominy.tasks.identity import identify
from jominy.tasks.rewriting import hidden_in

PROMPT_COLUMNS = ("prompt", "messages", "question", "problem", "input")
TARGET_COLUMNS = ("target", "answer", "ground_truth", "solution", "label", "reward_model.ground_truth")
RESERVED = ("gold_answer", "wrong_answer")
GROUPED_NUMBER = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+")
WRONG_NUMBERS = ("12345", "54321")


def make(path: str | Path, *, target_column: str | None = None, reward: RewardFunction | str | None = None) -> Task:
    """A task from a file.

    Args:
        path: .jsonl, .parquet or .csv.
        target_column: the column that the reward compares with; `a.b` is key b of column a; None takes the first of TARGET_COLUMNS.
        reward: a function, or where it is (`my_rewards.py:fn`); None compares with the target.

    Raises:
        ValueError: the file is missing, empty, truncated or of another kind (its name, line and columns are given), it has no prompt
            column, the target column does not exist, or there is neither a reward nor a target.
    """
    path = Path(path)
    rows = list(read_rows(path))
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    if GRADED_BY in columns:
        return make_graded(path, rows, reward)
    prompt_column = _prompt_column(path, columns)
    if target_column is None:
        target_column = next((name for name in TARGET_COLUMNS if value_of(rows[0][1], name) is not None), None)
    elif all(value_of(row, target_column) is None for _, row in rows):
        raise ValueError(f"{path} has no target column {target_column!r}; its columns are {', '.join(columns)}")
    by_constraints = reward is None and target_column is None and all(_has_constraints(row) for _, row in rows)
    if by_constraints:
        grade: RewardFunction = grade_constraints
    elif reward is None:
        if target_column is None:
            raise ValueError(
                f"{path} has no target column ({', '.join(TARGET_COLUMNS)}) but {', '.join(columns)}, so nothing can be graded; "
                "name the target column, or give a reward as my_rewards.py:fn"
            )
        grade = default_reward()
    else:
        grade = load_reward(reward) if isinstance(reward, str) else reward
    by_target = reward is None and not by_constraints
    prompts = [_prompt(path, where, row, prompt_column, target_column, with_answers=by_target) for where, row in rows]
    distinct = list({prompt.id: prompt for prompt in prompts}.values())

    def sample(num_prompts: int, seed: int) -> list[Prompt]:
        return random.Random(seed).sample(distinct, min(num_prompts, len(distinct)))

    return Task(
        name=str(path),
        summary=f"{len(distinct)} prompts from {path.name}",
        prompts=sample,
        reward=grade,
        format=has_closed_box if by_target else None,
        lenient=grade_loosely if by_constraints else grade if by_target else None,
    )


def default_reward() -> RewardFunction:
    """`rewards.answers.grade`, or the way to install what it needs."""
    try:
        from jominy.rewards.answers import grade
    except ModuleNotFoundError as error:
        raise ValueError(
            f"comparing answers needs {error.name}: pip install 'jominy[tasks]', or give a reward as my_rewards.py:fn"
        ) from error
    return grade


def as_messages(value: object, where: str) -> tuple[Message, ...]:
    """A prompt as the file gives it, text or a conversation, as messages.

    >>> as_messages("2 + 2 = ?", "line 1")
    (Message(role='user', content='2 + 2 = ?'),)
    """
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"{where}: the prompt is empty")
        return (Message(role="user", content=value),)
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where}: a prompt is text or a list of messages, not {type(value).__name__} {str(value)[:60]!r}")
    messages = []
    for turn in value:
        if (
            not isinstance(turn, dict)
            or turn.get("role") not in ("system", "user", "assistant")
            or not isinstance(turn.get("content"), str)
        ):
            raise ValueError(f"{where}: a message is {{'role': 'system', 'user' or 'assistant', 'content': text}}, not {str(turn)[:120]}")
        messages.append(Message(role=turn["role"], content=turn["content"]))
    return tuple(messages)


def _prompt_column(path: Path, columns: list[str]) -> str:
    for name in PROMPT_COLUMNS:
        if name in columns:
            return name
    raise ValueError(f"{path} has no prompt column ({', '.join(PROMPT_COLUMNS)}); its columns are {', '.join(columns)}")


def _has_constraints(row: Mapping[str, Any]) -> bool:
    found = row.get("constraints")
    return isinstance(found, list) and bool(found) and all(isinstance(one, dict) and isinstance(one.get("type"), str) for one in found)


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """`row[column]`, where `a.b` is key b of column a; None where there is nothing."""
    if column in row:
        return row[column]
    outer, _, inner = column.partition(".")
    nested = row.get(outer)
    return nested.get(inner) if isinstance(nested, dict) else None


def _prompt(path: Path, where: str, row: Mapping[str, Any], prompt_column: str, target_column: str | None, *, with_answers: bool) -> Prompt:
    value = row.get(prompt_column)
    if path.suffix == ".csv" and isinstance(value, str) and value.startswith("[{"):
        value = _conversation(f"{path}, {where}", value)
    messages = as_messages(value, f"{path}, {where}")
    raw_target = None if target_column is None else value_of(row, target_column)
    if with_answers and (raw_target is None or not str(raw_target).strip()):
        raise ValueError(f"{path}, {where}: no target in column {target_column!r}")
    target = None if raw_target is None else as_text(raw_target)
    if with_answers and target is not None:
        target = reference_answer(target)
    info = {name: plain(item) for name, item in row.items() if name != prompt_column and name not in RESERVED}
    gold, wrong = (row.get(name) for name in RESERVED)
    if with_answers and target is not None:
        gold, wrong = gold or boxed(target), wrong or boxed(different(target))
    return Prompt(
        id=identify("file", messages, target or hidden_in(row["constraints"] if _has_constraints(row) else ())),
        task=str(path),
        messages=messages,
        target=target,
        gold_answer=None if gold is None else str(gold),
        wrong_answer=None if wrong is None else str(wrong),
        info=info,
    )


def reference_answer(text: str) -> str:
    r"""The answer in a reference solution: behind `####`, else in the last box, else all of it; without dollar signs.

    >>> reference_answer("3 + 4 = 7\n#### 7"), reference_answer(r"So $x = \boxed{5}$."), reference_answer("$12$")
    ('7', '5', '12')
    """
    if "####" in text:
        text = text.rpartition("####")[2]
    else:
        text = last_box(text) or text
    answer = text.replace("$", "").strip()
    return answer.replace(",", "") if GROUPED_NUMBER.fullmatch(answer) else answer


def boxed(answer: str) -> str:
    """A response that consists of one answer, in the form that prompts ask for."""
    return f"The final answer is $\\boxed{{{answer}}}$."


def has_closed_box(prompt: Prompt, text: str) -> bool:
    r"""Whether the text has a \boxed{} that is closed, the last one that it opens."""
    return last_box(text) is not None


def different(answer: str) -> str:
    """An answer that is not this one: the next integer, else a number nobody asked for.

    >>> different("41"), different("\\\\frac{1}{2}")
    ('42', '12345')
    """
    digits = answer.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 1000:
        return str(int(answer) + 1)
    return next(number for number in WRONG_NUMBERS if number not in answer.replace(",", "") or number == WRONG_NUMBERS[-1])


def as_text(value: object) -> str:
    """A target as text: whole floats lose their `.0`, lists and objects become JSON.

    >>> as_text(27.0), as_text(0.5), as_text(["a"])
    ('27', '0.5', '["a"]')
    """
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _conversation(where: str, text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: the prompt starts like a list of messages but is not JSON ({error.msg})") from error


def plain(value: Any) -> Any:
    """A column's value in JSON's types (Parquet has dates, decimals and bytes too)."""
    return json.loads(json.dumps(value, default=str))
