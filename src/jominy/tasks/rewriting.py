"""A prompt without some of its constraints: their sentences are cut out, every other character and span stays exact.

    can be cut     a constraint whose span holds its text, as whole sentences or as an item of a list, and no text of another one
    is cut         the span and one of the gaps around it: the one with fewer line ends, else the one before; of an item its mark, too

A text that is part of a sentence ("a poem of 3 lines") cannot be cut: what is left would still ask for it, or ask for nothing. Nor can an
item of a numbered list, for the numbers behind it would be wrong.
The gold answer follows all constraints, so it follows those that stay. The wrong answer is made anew where the prompt has what it takes
(`tasks.constraints`), stays where code sees that it still breaks one, and else goes.
Left out on purpose: saying the rest in other words; a model could, and then nobody knows what the prompt asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from jominy.records import Prompt
from jominy.rewards.constraints import CHECKERS, constraints_of, truths_of
from jominy.tasks.constraint_answers import wrong_text
from jominy.tasks.identity import identify

SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
UNSPACED_ENDS = ("。", "！", "？")
"""Ends that need no blank behind them."""
CLOSERS = "\"'”’»)]}」』）*_`"
ITEM_MARK = re.compile(r"[ \t]*[-*•][ \t]+")
NUMBER_MARK = re.compile(r"[ \t]*\d{1,3}[.)][ \t]+")

NO_SPAN = "no span"
OTHER_TEXT = "the span does not hold its text"
PART = "not whole sentences"
SHARED = "shares its text with another constraint"
NOTHING_LEFT = "nothing else is said"
REASONS = (NO_SPAN, OTHER_TEXT, PART, SHARED, NOTHING_LEFT)
"""Why a constraint cannot be cut."""

Span = tuple[int, int]


class CannotCut(ValueError):
    """A constraint cannot be cut out of its prompt; the message is one of `REASONS`."""


def without(prompt: Prompt, places: Collection[int]) -> Prompt:
    """The prompt without some of its constraints; `info["refined_from"]` is the id of the one that was first cut.

    Args:
        prompt: with constraints in its info.
        places: which to cut, counted from 0; at least one stays.

    Raises:
        CannotCut: one of them cannot be; nothing is cut then.
        ValueError: the prompt has no constraints.

    >>> from jominy.tasks.constraints import make
    >>> prompt = next(prompt for prompt in make("no_commas,title").prompts(20, 0) if len(prompt.info["types"]) == 2)
    >>> without(prompt, [0]).info["types"] == prompt.info["types"][1:]
    True
    """
    constraints = constraints_of(prompt)
    assert 0 < len(set(places)) < len(constraints), "some are cut and one stays"
    message = prompt.messages[-1]
    text, spans = message.content, [_span_of(constraint) for constraint in constraints]
    for place in sorted(set(places)):
        text, spans = _without_one(text, spans, place, constraints[place])
    kept = [
        {**constraint, "span": None if span is None else list(span)}
        for place, (constraint, span) in enumerate(zip(constraints, spans, strict=True))
        if place not in places
    ]
    messages = (*prompt.messages[:-1], replace(message, content=text))
    info = {**prompt.info, "constraints": kept, "refined_from": prompt.info.get("refined_from", prompt.id)}
    if "types" in prompt.info:
        info["types"] = [constraint["type"] for constraint in kept]
    rewritten = replace(
        prompt, id=identify(family_of(prompt.task), messages, prompt.target or hidden_in(kept)), messages=messages, info=info
    )
    return _with_wrong_answer(rewritten)


def hidden_in(constraints: Sequence[Mapping[str, Any]]) -> str | None:
    """What two prompts of the same words may differ in: what soft constraints stand for; None where all are hard.

    >>> hidden_in([{"type": "no_commas", "params": {}}]) is None
    True
    """
    if all(constraint.get("kind", "hard") == "hard" for constraint in constraints):
        return None
    return json.dumps([[constraint["type"], constraint.get("params", {})] for constraint in constraints], sort_keys=True, default=str)


def family_of(task: str) -> str:
    """What `identify` calls a task: its name without options, `file` for a file of prompts.

    >>> family_of("constraints:count=1"), family_of("runs/refined/prompts.jsonl")
    ('constraints', 'file')
    """
    return "file" if PurePath(task).suffix in (".jsonl", ".parquet", ".csv") else task.partition(":")[0]


def _span_of(constraint: Mapping[str, Any]) -> Span | None:
    span = constraint.get("span")
    if not isinstance(span, list | tuple) or len(span) != 2 or not all(isinstance(end, int) for end in span):
        return None
    return span[0], span[1]


def _without_one(text: str, spans: Sequence[Span | None], place: int, constraint: Mapping[str, Any]) -> tuple[str, list[Span | None]]:
    """The text without one constraint, and where all others stand in it."""
    span = spans[place]
    if span is None:
        raise CannotCut(NO_SPAN)
    start, end = span
    if not 0 <= start < end <= len(text) or text[start:end] != constraint.get("text"):
        raise CannotCut(OTHER_TEXT)
    first, last = _cut(text, start, end)
    others = [None if at == place else other for at, other in enumerate(spans)]
    if any(other is not None and other[0] < last and first < other[1] for other in others):
        raise CannotCut(SHARED)
    left = text[:first] + text[last:]
    if not left.strip():
        raise CannotCut(NOTHING_LEFT)
    gone = last - first
    moved = [other if other is None or other[0] < last else (other[0] - gone, other[1] - gone) for other in others]
    return left, moved


def _cut(text: str, start: int, end: int) -> Span:
    """What to cut so that the rest reads as if this had never stood there."""
    line = text[:start].rpartition("\n")[2]
    mark = ITEM_MARK.fullmatch(line)
    if NUMBER_MARK.fullmatch(line):
        raise CannotCut(PART)
    if mark is None and not (_begins_sentence(text[:start]) and _ends_sentence(text[start:end], text[end:])):
        raise CannotCut(PART)
    before, after = text[:start], text[end:]
    gap_after = after[: len(after) - len(after.lstrip())]
    if mark is not None:
        if not _ends_line(after):
            if not _ends_sentence(text[start:end], after):
                raise CannotCut(PART)
            return start, end + len(gap_after)  # the item says something else besides
        start -= len(mark[0])
        before = text[:start]
    gap_before = before[len(before.rstrip()) :]
    if not after.strip():
        return start - len(gap_before), end
    if not before.strip() or gap_before.count("\n") > gap_after.count("\n"):
        return start, end + len(gap_after)
    return start - len(gap_before), end


def _begins_sentence(before: str) -> bool:
    said = before.rstrip()
    if not said:
        return True
    gap = before[len(said) :]
    if not gap:
        return said.endswith(UNSPACED_ENDS)
    return "\n" in gap or said.rstrip(CLOSERS).endswith(SENTENCE_ENDS)


def _ends_sentence(said: str, after: str) -> bool:
    if _ends_line(after):
        return True
    return said.rstrip(CLOSERS).endswith(SENTENCE_ENDS) and (after[0].isspace() or said.endswith(UNSPACED_ENDS))


def _ends_line(after: str) -> bool:
    return not after.partition("\n")[0].strip()


def _with_wrong_answer(prompt: Prompt) -> Prompt:
    """With an answer that breaks one of the constraints that it has now, where there is one."""
    if not prompt.wrong_answer:  # nothing to keep, or the blank answer, which follows none
        return prompt
    constraints, info = constraints_of(prompt), prompt.info
    types = [constraint["type"] for constraint in constraints]
    if isinstance(info.get("word"), str) and "broken" in info and len(set(types)) == len(types) and set(types) <= CHECKERS.keys():
        broken = info["broken"] if info["broken"] in types else types[0]
        return replace(prompt, wrong_answer=wrong_text(info["word"], constraints, broken), info={**info, "broken": broken})
    if any(truth is False for truth in truths_of(prompt, prompt.wrong_answer)):
        return prompt
    return replace(prompt, wrong_answer=None)
