"""Which responses are shown taken apart, and what each objective would put on their tokens.

    right accepted, right retried, wrong accepted, wrong retried:  in turn the next response with such a decision, at most 12 in all

Of those that fit first the ones on which most objectives do something, then prompts of which nothing is shown yet, then the order of the
folder. Chosen to show, not drawn: nothing may be counted on them. Without any decision the first few responses with an attempt are shown.
Left out on purpose: any number but the coefficients, and what they say about a stage (`measures.attribution`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.decided import Exhibit
from jominy.deciding.coefficients import Rows, coefficients, mean_size
from jominy.deciding.columns import Tables
from jominy.deciding.rollouts import Key, key_of
from jominy.measures.attempts import ACCEPT, AttemptTable
from jominy.records import Floats, Ints, Prompt, Rollout, Span, TraceReader
from jominy.tracing import text_of, trace_of

CELLS = ("right accepted", "right retried", "wrong accepted", "wrong retried")
MOST = 12
"""Responses shown, three of each cell where there are as many."""
MOST_UNDECIDED = 3
"""Responses shown where nothing was decided."""
MOST_PIECES = 1000
"""Pieces shown of each."""
MOST_QUESTION = 200
DIGITS = 4
"""Of a coefficient."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """An objective with the rows it would step on.

    Example: Asked(objective="grpo", rows=rows, tables=tables)
    """

    objective: str
    """Its name."""
    rows: Rows
    """Positions are those of `tables.rollouts`."""
    tables: Tables
    """The rollouts that it is counted on."""


def exhibits_of(tables: Tables, prompts: Mapping[str, Prompt], read: TraceReader, objectives: Sequence[Asked]) -> tuple[Exhibit, ...]:
    """The responses that are shown, those of the first cell and the most objectives first.

    Args:
        tables: all responses.
        prompts: by id.
        read: of the task or the user; spans of responses without token texts are read with it.
        objectives: in the order of the page; none where no token has a stage.
    """
    numbers = {key_of(rollout): number for number, rollout in enumerate(tables.rollouts)}
    interest_R = np.zeros(len(tables.rollouts), dtype=np.int64)
    for asked in objectives:
        interest_R[[numbers[key_of(asked.tables.rollouts[position])] for position in asked.rows.positions]] += 1
    chosen = choose(tables.attempts, interest_R)
    keys = [key_of(tables.rollouts[number]) for number in chosen]
    by_objective = {asked.objective: _coefficients(asked, keys) for asked in objectives}
    cells = _cells(tables.attempts)
    exhibits = []
    for number, key in zip(chosen, keys, strict=True):
        rollout, prompt = tables.rollouts[number], prompts[key[0]]
        pieces, spans = _taken_apart(rollout, prompt, read)
        are_tokens = rollout.pieces is not None
        exhibits.append(
            Exhibit(
                prompt_id=rollout.prompt_id,
                index=rollout.index,
                question=prompt.messages[-1].content[:MOST_QUESTION] if prompt.messages else "",
                cells=tuple(name for name, rollouts in zip(CELLS, cells, strict=True) if number in rollouts),
                right=bool(tables.attempts.final_R[number]) if tables.attempts.scored_R[number] else None,
                stop=rollout.stop,
                problem=tables.attempts.problem_R[number],
                pieces=pieces[:MOST_PIECES],
                num_pieces=len(pieces),
                are_tokens=are_tokens,
                spans=tuple(replace(span, end=min(span.end, MOST_PIECES)) for span in spans if span.start < MOST_PIECES),
                coefficients={name: _rounded(found[key]) for name, found in by_objective.items() if key in found} if are_tokens else {},
            )
        )
    return tuple(exhibits)


def choose(attempts: AttemptTable, interest_R: Ints, most: int = MOST) -> list[int]:
    """The rollouts that are shown, in the order in which the cells took them.

    Args:
        attempts: of all of them.
        interest_R: [R] those with more are taken first.
        most: so many at most.

    >>> choose(AttemptTable.of([["wr ca", "ca"], ["wa"]]), np.zeros(3, dtype=np.int64))     # right accepted, wrong accepted, right accepted
    [0, 2, 1]
    """
    cells = _cells(attempts)
    if not any(cells):
        return sorted(set(attempts.rollout_A.tolist()))[:MOST_UNDECIDED]
    taken: list[int] = []
    shown: set[int] = set()
    while len(taken) < most and any(not cell <= set(taken) for cell in cells):
        for cell in cells:
            left = sorted(cell - set(taken))
            if left and len(taken) < most:
                best = min(left, key=lambda number: (-int(interest_R[number]), int(attempts.prompt_R[number]) in shown, number))
                taken.append(best)
                shown.add(int(attempts.prompt_R[best]))
    return taken


def _cells(attempts: AttemptTable) -> list[set[int]]:
    """The rollouts with a decision of each kind, in the order of `CELLS`."""
    accepted_A, decided_A = attempts.decision_A == ACCEPT, attempts.decided_A
    return [
        set(attempts.rollout_A[decided_A & (attempts.correct_A == right) & (accepted_A == accepted)].tolist())
        for right in (True, False)
        for accepted in (True, False)
    ]


def _coefficients(asked: Asked, keys: Sequence[Key]) -> dict[Key, Floats]:
    """[T] coefficients of those of the responses that the objective is counted on, in units of its `mean_size`."""
    wanted = set(keys)
    places = [number for number, rollout in enumerate(asked.tables.rollouts) if key_of(rollout) in wanted]
    number_of = {place: number for number, place in enumerate(places)}
    pairs = [(row, number_of[p]) for row, p in zip(asked.rows.rows, asked.rows.positions, strict=True) if p in number_of]
    some = replace(asked.rows, rows=tuple(row for row, _ in pairs), positions=tuple(number for _, number in pairs))
    rollouts = [asked.tables.rollouts[place] for place in places]
    ends = np.cumsum([len(rollout.token_ids) for rollout in rollouts])
    unit = mean_size(asked.rows, asked.tables)
    parts = np.split(coefficients(some, rollouts) / unit, ends[:-1])
    return {key_of(rollout): part for rollout, part in zip(rollouts, parts, strict=False)}


def _taken_apart(rollout: Rollout, prompt: Prompt, read: TraceReader) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    """(pieces, spans counted in them); where tokens have no text, a piece is a span or what stands between two."""
    if rollout.pieces is not None:
        return rollout.pieces, rollout.spans
    text, reached = text_of(rollout), 0
    pieces: list[str] = []
    spans: list[Span] = []
    for span in trace_of(rollout, prompt, read).spans:
        if span.start > reached:
            pieces.append(text[reached : span.start])
        spans.append(Span(kind=span.kind, start=len(pieces), end=len(pieces) + 1, index=span.index))
        pieces.append(text[span.start : span.end])
        reached = span.end
    return (*pieces, *([text[reached:]] if reached < len(text) else [])), tuple(spans)


def _rounded(coefficients_T: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in coefficients_T[:MOST_PIECES].tolist())
