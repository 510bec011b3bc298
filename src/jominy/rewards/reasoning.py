"""The verifiers of reasoning-gym: an item made again from its coordinates, and the score of an answer to it.

An item is (dataset, settings, dataset_seed, dataset_size, index), as `Prompt.info` keeps it: a verifier may need what JSON cannot hold, and
items are cheap to make and equal on every machine.
Left out on purpose: making prompts, which `tasks.logic` does.
Importing this module needs `reasoning-gym` (the `tasks` extra) and takes two seconds, on loading and not on the first response.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from typing import Any

import reasoning_gym

from jominy.records import Prompt, Reward
from jominy.rewards.extraction import last_box, last_line, last_phrase, last_tagged

LONGEST_ANSWER = 10_000
Settings = tuple[tuple[str, str], ...]
# What a verifier may raise on an answer that it cannot read; such an answer is wrong, not unscored.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError, ArithmeticError, AssertionError, RecursionError)


def grade(prompt: Prompt, text: str) -> Reward:
    """The verifier's score of the extracted answer, in [0, 1].

    0 where there is no answer, or one that the verifier cannot read, or one of more than 10,000 characters, which is not shown to it.
    """
    return _graded(prompt, extract_answer(text))


def grade_leniently(prompt: Prompt, text: str) -> Reward:
    """The same of what stands in the last answer tags, else in the last box, else behind the last `answer is`, else in the last line."""
    finders = (last_tagged, last_box, last_phrase, last_line)
    return _graded(prompt, next((answer for answer in (find(text) for find in finders) if answer is not None), None))


def _graded(prompt: Prompt, answer: str | None) -> Reward:
    if answer is None or len(answer) > LONGEST_ANSWER:
        return Reward(value=0.0)
    info = prompt.info
    dataset = dataset_of(info["dataset"], tuple(info["settings"].items()), info["dataset_seed"], info["dataset_size"])
    return Reward(value=score(answer, dataset, item_of(dataset, info["index"])), answer=answer)


def extract_answer(text: str) -> str | None:
    """What stands in the last answer tags, else the last line that is not empty; None for an empty text.

    >>> extract_answer("Hm.\\n<answer> 4 + 2 </answer> I hope."), extract_answer("Hm.\\n4 + 2\\n")
    ('4 + 2', '4 + 2')
    """
    tagged = last_tagged(text)
    return last_line(text) if tagged is None else tagged


def score(answer: str, dataset: Any, item: Mapping[str, Any]) -> float:
    """The dataset's own `score_answer`, in [0, 1]; 0 for an answer that it cannot read."""
    try:
        with redirect_stdout(StringIO()):  # some verifiers print
            return float(dataset.score_answer(answer, item))
    except UNREADABLE:
        return 0.0


@lru_cache(maxsize=4096)
def item_of(dataset: Any, index: int) -> dict[str, Any]:
    """Item `index` of a dataset: question, answer, metadata."""
    with redirect_stdout(StringIO()):  # some generators print
        item: dict[str, Any] = dataset[index]
    return item


@lru_cache(maxsize=64)
def dataset_of(name: str, settings: Settings, seed: int, size: int) -> Any:
    """A dataset with its settings as texts.

    Raises:
        ValueError: a setting is out of its range.
    """
    try:
        return reasoning_gym.create_dataset(name, seed=seed, size=size, **{key: _literal(value) for key, value in settings})
    except (AssertionError, ValueError, TypeError) as error:
        given = ", ".join(f"{key}={value}" for key, value in settings) or "the settings"
        raise ValueError(f"logic:{name} does not accept {given}: {error or 'a value is out of its range'}") from error


def configurations() -> dict[str, type[Any]]:
    """The configuration class of every dataset, by name; the mixture `composite` is left out."""
    datasets = reasoning_gym.factory.DATASETS.items()
    return {name: configuration for name, (_, configuration) in datasets if name != "composite"}


def _literal(text: str) -> Any:
    """A setting as Python would read it; a bare word is a text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
