"""Rollouts with their tokens and attempts as columns, and some of the rollouts by themselves.

    part_of(tables_of(all), some) == tables_of(some)

Left out on purpose: what the columns mean (`measures.attempts`) and how texts become attempts (`tracing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.deciding.rollouts import key_of
from jominy.measures.attempts import AttemptTable, TokenTable
from jominy.records import Ints, Prompt, Rollout, TraceReader
from jominy.tracing import attempt_table, token_table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """Rollouts with their tokens and attempts as columns.

    Example: tables_of(rollouts, prompts, read, 1.0).attempts.num_prompts
    """

    rollouts: tuple[Rollout, ...]
    """With spans."""
    tokens: TokenTable
    """Their tokens."""
    attempts: AttemptTable
    """Their attempts."""


def tables_of(rollouts: Sequence[Rollout], prompts: Mapping[str, Prompt], read: TraceReader, success: float) -> Tables:
    """Both tables of the same rollouts."""
    tokens, attempts = token_table(rollouts, prompts, read), attempt_table(rollouts, prompts, read, success)
    return Tables(rollouts=tuple(rollouts), tokens=tokens, attempts=attempts)


def part_of(tables: Tables, rollouts: Sequence[Rollout]) -> Tables:
    """The tables of some of the rollouts, in the order of all: what `tables_of` makes of them, by selecting rows.

    Args:
        tables: of all.
        rollouts: those wanted; each must be one of `tables.rollouts`.
    """
    wanted = set(map(key_of, rollouts))
    kept_R = np.array([key_of(rollout) in wanted for rollout in tables.rollouts], dtype=bool)
    assert np.count_nonzero(kept_R) == len(wanted)
    number_R = np.cumsum(kept_R) - 1
    tokens, attempts = tables.tokens, tables.attempts
    kept_M, kept_A = kept_R[tokens.rollout_M], kept_R[attempts.rollout_A]
    prompt_R = _renumbered(attempts.prompt_R[kept_R])
    kept = np.flatnonzero(kept_R).tolist()
    return Tables(
        rollouts=tuple(tables.rollouts[place] for place in kept),
        tokens=replace(
            tokens,
            rollout_M=number_R[tokens.rollout_M[kept_M]],
            stage_M=tokens.stage_M[kept_M],
            verdict_M=tokens.verdict_M[kept_M],
            attempt_M=tokens.attempt_M[kept_M],
            prompt_R=prompt_R,
        ),
        attempts=replace(
            attempts,
            rollout_A=number_R[attempts.rollout_A[kept_A]],
            index_A=attempts.index_A[kept_A],
            correct_A=attempts.correct_A[kept_A],
            known_A=attempts.known_A[kept_A],
            decision_A=attempts.decision_A[kept_A],
            prompt_R=prompt_R,
            final_R=attempts.final_R[kept_R],
            scored_R=attempts.scored_R[kept_R],
            num_tokens_R=attempts.num_tokens_R[kept_R],
            problem_R=tuple(attempts.problem_R[place] for place in kept),
            num_prompts=int(prompt_R.max(initial=-1)) + 1,
            answer_A=None if attempts.answer_A is None else attempts.answer_A[kept_A],
        ),
    )


def _renumbered(prompt_R: Ints) -> Ints:
    """[R] the same prompts numbered from 0 on as they first appear."""
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt_R.tolist()))}
    return np.array([numbers[prompt] for prompt in prompt_R.tolist()], dtype=np.int64)
