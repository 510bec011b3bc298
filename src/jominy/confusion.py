"""Responses with their truth, for an audit, and what somebody said of them as a confusion table.

    truth of a response = all its constraints are satisfied; unknown where none is violated and code cannot tell one of them
    constraint_table    one item a constraint whose truth is known, split by constraint type, and into hard and soft
    response_table      one item a response whose truth is known, split by what it is about: the type that an edit breaks, or the probe;
                        its kind is that of the constraint which it is about, and none where it is about no single one

A verdict is True, False, or None for unscored. A judge of constraints gives one for each constraint, a reward one for each response.
Left out on purpose: where responses come from (`auditing.pairs`, `auditing.labels`), asking, and the numbers (`measures.precision`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jominy.measures.precision import ConfusionTable
from jominy.records import Prompt
from jominy.rewards.aggregating import KINDS

Verdict = bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditItem:
    """A response with what is true of it.

    Example: AuditItem(prompt=prompt, text="Bees, and flowers.", truths=(False, True), kind="violated", about="no_commas")
    """

    prompt: Prompt
    """What was asked, with its constraints in `info`."""
    text: str
    """The response."""
    truths: tuple[bool | None, ...]
    """Whether each constraint of the prompt is satisfied, in their order; None where nobody knows."""
    kind: str
    """satisfied, violated, probe or labelled."""
    about: str
    """Which cell of a table of responses: the type that the pair is about, the name of the probe, the type that a file gives."""

    @property
    def truth(self) -> bool | None:
        """Of the whole response."""
        if any(truth is False for truth in self.truths):
            return False
        return None if None in self.truths else True


def constraint_table(items: Sequence[AuditItem], verdicts: Sequence[Sequence[Verdict]]) -> ConfusionTable:
    """Verdicts by constraint, as a table by constraint type.

    Its `responses()` sees those constraints of a response whose truth is known.

    Args:
        items: what was judged.
        verdicts: for each item one verdict a constraint, in the order of the prompt's.

    Raises:
        ValueError: an item has another number of verdicts than constraints.
    """
    if len(items) != len(verdicts):
        raise ValueError(f"{len(verdicts)} lists of verdicts for {len(items)} responses; there is one list a response")
    rows: list[_Row] = []
    for place, (item, said) in enumerate(zip(items, verdicts, strict=True)):
        constraints = item.prompt.info["constraints"]
        if len(said) != len(constraints) or len(item.truths) != len(constraints):
            raise ValueError(f"response {place} has {len(constraints)} constraints, {len(item.truths)} truths and {len(said)} verdicts")
        rows += [
            _Row(
                truth=truth,
                said=verdict,
                type=constraint["type"],
                kind=constraint.get("kind", "hard"),
                count=len(constraints),
                prompt=item.prompt.id,
                response=place,
            )
            for constraint, truth, verdict in zip(constraints, item.truths, said, strict=True)
            if truth is not None
        ]
    return _table(rows)


def response_table(items: Sequence[AuditItem], verdicts: Sequence[Verdict]) -> ConfusionTable:
    """Verdicts by response, as a table by what the responses are about.

    Args:
        items: what was judged.
        verdicts: one for each item; of a reward, whether it pays.
    """
    if len(items) != len(verdicts):
        raise ValueError(f"{len(verdicts)} verdicts for {len(items)} responses; there is one verdict a response")
    return _table(
        [
            _Row(
                truth=truth,
                said=said,
                type=item.about,
                kind=_kind_about(item),
                count=len(item.truths),
                prompt=item.prompt.id,
                response=place,
            )
            for place, (item, said) in enumerate(zip(items, verdicts, strict=True))
            if (truth := item.truth) is not None
        ]
    )


def all_said(verdicts: Sequence[Sequence[Verdict]]) -> list[Verdict]:
    """One verdict a response out of those of its constraints: all hold; unscored where one of them is.

    >>> all_said([[True, True], [True, False], [False, None]])
    [True, False, None]
    """
    return [None if None in said else all(said) for said in verdicts]


def _kind_about(item: AuditItem) -> str:
    """Kind of the one constraint that a response is about; empty where it is about none, or about several."""
    constraints = item.prompt.info.get("constraints")  # of anybody's form: a whole response is judged whatever they are
    among = constraints if isinstance(constraints, list | tuple) else ()
    kinds = [one.get("kind", "hard") for one in among if isinstance(one, Mapping) and one.get("type") == item.about]
    return kinds[0] if len(kinds) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    truth: bool
    said: Verdict
    type: str
    kind: str
    count: int
    prompt: str
    response: int


def _table(rows: Sequence[_Row]) -> ConfusionTable:
    type_names = tuple(sorted({row.type for row in rows}))
    prompts = {prompt: place for place, prompt in enumerate(dict.fromkeys(row.prompt for row in rows))}

    def column(values: list[Any], kind: type) -> Any:
        return np.array(values, dtype=kind)

    return ConfusionTable(
        truth_M=column([row.truth for row in rows], np.bool_),
        said_M=column([row.said is True for row in rows], np.bool_),
        scored_M=column([row.said is not None for row in rows], np.bool_),
        type_M=column([type_names.index(row.type) for row in rows], np.int64),
        count_M=column([row.count for row in rows], np.int64),
        prompt_M=column([prompts[row.prompt] for row in rows], np.int64),
        response_M=column([row.response for row in rows], np.int64),
        type_names=type_names,
        kind_M=column([KINDS.index(row.kind) if row.kind in KINDS else -1 for row in rows], np.int64),
        kind_names=KINDS,
    )
