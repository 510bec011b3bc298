"""Attempts and decisions of rollouts: from a reader of text to spans of tokens, and to the tables that numbers are computed from.

    text      `Rollout.text`, the very text that is graded: special tokens are not in it
    token     says the characters that its piece has at its place in the text; a special token, or a part of a character, says none
    span      a token belongs to the span that holds most of its characters, of equals the earlier one; a token that says none goes with
              the token behind it, at the end with the one before it
    stop      blanks behind a last acceptance are part of it. The stop token belongs to an acceptance that reaches to the end of the text,
              else to no span: a forced stop is no decision

Readers are `Retrying.read` of a task or come from `readers`; what they return is checked here, for a user may have written them.
Left out on purpose: how a text is read, and numbers about attempts (`measures.attempts` and what stands on it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from jominy.measures.attempts import ACCEPT, DECISION, FORCED, NONE, RETRY, SAMPLING, AttemptTable, TokenTable
from jominy.recipes.masks import proper, stage_of
from jominy.records import Ints, Prompt, Retrying, Rollout, Span, Stop, TraceReader
from jominy.traces import TextSpan, Trace

NUMBER_OF_DECISION = {"none": NONE, "accept": ACCEPT, "retry": RETRY, "forced": FORCED}
NUMBER_OF_STAGE = {"sampling": SAMPLING, "decision": DECISION}
OF_ATTEMPTS = ("attempt", "check", "verdict")
"""Kinds whose index is the number of an attempt."""
REACH = 16
"""So many characters are passed over at most to find a piece again, where the text was decoded otherwise than its tokens one by one."""

Stretch = tuple[int, int]
"""(first character, one past the last)."""


def text_of(rollout: Rollout) -> str:
    """What a reader is given: the text that is graded, so that reward and trace are about the same answer."""
    return rollout.text


def once(read: TraceReader) -> TraceReader:
    """The same reader, which is asked once about each response and keeps what it said."""
    found: dict[tuple[str, str, Stop], Trace] = {}

    def remembered(prompt: Prompt, text: str, stop: Stop) -> Trace:
        key = (prompt.id, text, stop)
        if key not in found:
            found[key] = read(prompt, text, stop)
        return found[key]

    return remembered


def trace_of(rollout: Rollout, prompt: Prompt, read: TraceReader) -> Trace:
    """What was tried and decided in a rollout.

    Raises:
        ValueError: the reader's spans overlap, are empty or backwards, lie outside the text, or name an attempt that is not there.
    """
    text = text_of(rollout)
    trace = read(prompt, text, rollout.stop)
    _check(prompt, text, trace)
    return trace


def stretches_of(rollout: Rollout) -> tuple[Stretch, ...]:
    """[T] which characters of the text each token says, in order and without gaps; () where the rollout has no pieces.

    A stretch is empty where the text does not go on with the piece: of special tokens, of the stop token, of blanks that decoding dropped.
    What decoding put between two tokens goes with the later one; what no piece says at the end of the text is in no stretch.

    Raises:
        ValueError: the rollout has not one piece for each token.
    """
    if rollout.pieces is None:
        return ()
    if len(rollout.pieces) != len(rollout.token_ids):
        raise ValueError(
            f"rollout {rollout.index} of prompt {rollout.prompt_id} has {len(rollout.pieces)} pieces for {len(rollout.token_ids)} tokens; "
            "there must be one for each"
        )
    text = text_of(rollout)
    spoken = rollout.pieces[:-1] if rollout.stop == "eos" else rollout.pieces
    ends = [0]
    for piece in spoken:
        ends.append(_end_of(piece, text, ends[-1]))
    if len(spoken) < len(rollout.pieces):
        ends.append(ends[-1])
    return tuple(pairwise(ends))


def mark(rollout: Rollout, prompt: Prompt, read: TraceReader) -> tuple[Span, ...]:
    """The same spans in tokens, in order; () where the rollout has no pieces. Linear in the text and the tokens.

    Raises:
        ValueError: as `trace_of` and `stretches_of`.
    """
    stretches = stretches_of(rollout)
    if not stretches:
        return ()
    text = text_of(rollout)
    spans = _to_the_end(trace_of(rollout, prompt, read).spans, text)
    owner_T = _owners(spans, stretches)
    if rollout.stop == "eos":
        accepted = bool(spans) and spans[-1].kind == "verdict.accept" and spans[-1].end == len(text)
        owner_T[-1] = len(spans) - 1 if accepted else -1
    tokens: dict[int, list[int]] = {}
    for token, owner in enumerate(owner_T):
        tokens.setdefault(owner, []).append(token)
    return tuple(
        Span(kind=span.kind, start=tokens[number][0], end=tokens[number][-1] + 1, index=span.index)
        for number, span in enumerate(spans)
        if number in tokens
    )


def marked(rollouts: Sequence[Rollout], prompts: Mapping[str, Prompt], retrying: Retrying | None) -> list[Rollout]:
    """The rollouts with their spans; as they are where responses do not alternate."""
    if retrying is None:
        return list(rollouts)
    return [replace(rollout, spans=mark(rollout, prompts[rollout.prompt_id], retrying.read)) for rollout in rollouts]


def attempt_table(rollouts: Sequence[Rollout], prompts: Mapping[str, Prompt], read: TraceReader, success: float = 1.0) -> AttemptTable:
    """The attempts of graded rollouts as columns.

    Args:
        rollouts: [R] in any order; prompts are numbered as they first appear.
        prompts: by id.
        read: of the task, or from `readers.load_reader`.
        success: the final answer is right when the gold, else the reward, reaches this; never where the reward is unscored.

    Raises:
        ValueError: as `trace_of`.
    """
    traces = [trace_of(rollout, prompts[rollout.prompt_id], read) for rollout in rollouts]
    attempts = [(number, place, attempt) for number, trace in enumerate(traces) for place, attempt in enumerate(trace.attempts)]
    scored = [rollout.reward is not None and rollout.reward.value is not None for rollout in rollouts]
    truths = [rollout.gold if rollout.gold is not None or rollout.reward is None else rollout.reward.value for rollout in rollouts]
    final = [known and truth is not None and truth >= success for known, truth in zip(scored, truths, strict=True)]
    return AttemptTable(
        rollout_A=np.array([number for number, _, _ in attempts], dtype=np.int64),
        index_A=np.array([place for _, place, _ in attempts], dtype=np.int64),
        correct_A=np.array([attempt.correct is True for _, _, attempt in attempts], dtype=bool),
        known_A=np.array([attempt.correct is not None for _, _, attempt in attempts], dtype=bool),
        decision_A=np.array([NUMBER_OF_DECISION[attempt.decision] for _, _, attempt in attempts], dtype=np.int8),
        prompt_R=_numbered([rollout.prompt_id for rollout in rollouts]),
        final_R=np.array(final, dtype=bool),
        scored_R=np.array(scored, dtype=bool),
        num_tokens_R=np.array([len(rollout.token_ids) for rollout in rollouts], dtype=np.int64),
        problem_R=tuple(trace.problem for trace in traces),
        num_prompts=len({rollout.prompt_id for rollout in rollouts}),
        answer_A=np.array([number for trace in traces for number in _answers(trace)], dtype=np.int64),
    )


def token_table(rollouts: Sequence[Rollout], prompts: Mapping[str, Prompt], read: TraceReader) -> TokenTable:
    """The tokens of rollouts in a row, each with its stage; all of a rollout without pieces are in none.

    Args:
        rollouts: [R], the same and in the same order as those of the `attempt_table` that it is used with.
        prompts: by id.
        read: of the task, or from `readers.load_reader`.

    Raises:
        ValueError: as `mark`.
    """
    lengths = np.array([len(rollout.token_ids) for rollout in rollouts], dtype=np.int64)
    starts = np.cumsum([0, *lengths])
    stage_M = np.full(starts[-1], NONE, dtype=np.int8)
    verdict_M = np.zeros(starts[-1], dtype=bool)
    attempt_M = np.full(starts[-1], -1, dtype=np.int64)
    for start, rollout in zip(starts.tolist(), rollouts, strict=False):
        for span in mark(rollout, prompts[rollout.prompt_id], read):
            stage = NUMBER_OF_STAGE.get(stage_of(span.kind))
            if stage is not None:
                here = slice(start + span.start, start + span.end)
                stage_M[here], attempt_M[here] = stage, span.index
                verdict_M[here] = proper(span.kind) == "verdict"
    return TokenTable(
        rollout_M=np.repeat(np.arange(len(rollouts)), lengths),
        stage_M=stage_M,
        verdict_M=verdict_M,
        attempt_M=attempt_M,
        prompt_R=_numbered([rollout.prompt_id for rollout in rollouts]),
    )


def _end_of(piece: str, text: str, start: int) -> int:
    """Where what a piece says from `start` on ends in the text; `start` when it says nothing there."""
    if text.startswith(piece, start):
        return start + len(piece)
    word = piece.strip()
    place = text.find(word, start, start + len(word) + REACH) if word else -1
    return start if place < 0 else place + len(word)


def _to_the_end(spans: tuple[TextSpan, ...], text: str) -> tuple[TextSpan, ...]:
    """The spans, a last acceptance stretched over blanks: nothing else comes between it and the stop token."""
    if not spans or spans[-1].kind != "verdict.accept" or text[spans[-1].end :].strip():
        return spans
    return (*spans[:-1], replace(spans[-1], end=len(text)))


def _owners(spans: Sequence[TextSpan], stretches: Sequence[Stretch]) -> list[int]:
    """[T] the number of the span that each token belongs to, -1 for none; see the top of this file."""
    owners: list[int | None] = []
    first = 0
    for start, end in stretches:
        while first < len(spans) and spans[first].end <= start:
            first += 1
        best, most, look = -1, 0, first
        while look < len(spans) and spans[look].start < end:
            held = min(end, spans[look].end) - max(start, spans[look].start)
            best, most = (look, held) if held > most else (best, most)
            look += 1
        owners.append(best if end > start else None)
    last = next((owner for owner in reversed(owners) if owner is not None), -1)
    filled: list[int] = []
    for owner in reversed(owners):
        last = last if owner is None else owner
        filled.append(last)
    return filled[::-1]


def _check(prompt: Prompt, text: str, trace: Trace) -> None:
    """The reader kept what it promises."""
    reached = 0
    for number, span in enumerate(trace.spans):
        wrong = ""
        if span.end < span.start:
            wrong = "ends before it begins"
        elif span.start < 0 or span.end > len(text):
            wrong = f"lies outside the text of {len(text)} characters"
        elif span.end == span.start and proper(span.kind) != "verdict":
            wrong = "is empty; only a verdict that nothing but the stop token says may be"
        elif span.start < reached:
            wrong = f"begins before the span in front of it ends, at {reached}; spans stand in order and do not overlap"
        elif proper(span.kind) in OF_ATTEMPTS and not 0 <= span.index < len(trace.attempts):
            wrong = f"belongs to attempt {span.index}, and the trace has {len(trace.attempts)}"
        if wrong:
            raise ValueError(f"prompt {prompt.id}: span {number} of the trace, {span.kind!r} from {span.start} to {span.end}, {wrong}")
        reached = span.end


def _numbered(names: Sequence[str]) -> Ints:
    """[R] the number of each name, counted as they first appear."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _answers(trace: Trace) -> list[int]:
    """[attempts] equal numbers for equal answers, -1 for none."""
    numbers: dict[str, int] = {}
    return [-1 if attempt.answer is None else numbers.setdefault(attempt.answer, len(numbers)) for attempt in trace.attempts]
