"""What was tried and decided, as columns: the two records that every number about attempts and decisions is computed from.

    AttemptTable   A attempts of R rollouts of P prompts: right or wrong, and what was decided about it
    TokenTable     M tokens of the same rollouts: which stage each belongs to (2601.01580: sampling writes a solution, decision accepts
                   it or tries again), and which attempt

A forced stop (the last attempt there may be) is no decision: it has a row here and is in no measure of decisions.
Left out on purpose: text, and how a text is read; `tracing` makes these tables from rollouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jominy.records import Bools, Ints

NONE = 0
"""Of a decision: it broke off before one. Of a token: in no stage."""
ACCEPT, RETRY, FORCED = 1, 2, 3
"""Decisions: the answer stands; another try; the last attempt, so nothing was decided."""
SAMPLING, DECISION = 1, 2
"""Stages of a token: inside an attempt; inside a check or a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttemptTable:
    """Attempts in order of their rollout, and the rollouts in order of nothing in particular.

    Example: AttemptTable.of([["wr ca", "ca"], ["wr wf"]])      # w wrong, c correct, ? unknown; a accept, r retry, f forced, - none
    """

    rollout_A: Ints
    """[A] which rollout, 0 <= rollout < R, never decreasing."""
    index_A: Ints
    """[A] which attempt of its rollout: 0, 1, 2 ..."""
    correct_A: Bools
    """[A] whether its answer is right; False where unknown."""
    known_A: Bools
    """[A] whether anybody can tell."""
    decision_A: Ints
    """[A] int8: NONE, ACCEPT, RETRY or FORCED."""
    prompt_R: Ints
    """[R] which prompt, 0 <= prompt < P."""
    final_R: Bools
    """[R] whether the answer that stands in the end is right; False where none stands or unscored."""
    scored_R: Bools
    """[R] whether that could be judged."""
    num_tokens_R: Ints
    """[R] tokens of the whole rollout."""
    problem_R: tuple[str, ...]
    """[R] why the form is broken; empty where it is not."""
    num_prompts: int
    """P."""
    answer_A: Ints | None = None
    """[A] equal numbers for equal answers of the same rollout, -1 without an answer; None where answers were not compared."""

    def __post_init__(self) -> None:
        num_attempts, num_rollouts = len(self.rollout_A), len(self.prompt_R)
        of_attempts = (self.index_A, self.correct_A, self.known_A, self.decision_A, *(() if self.answer_A is None else (self.answer_A,)))
        if any(column.shape != (num_attempts,) for column in of_attempts):
            raise ValueError(f"every column of attempts must have the {num_attempts} entries of rollout_A")
        of_rollouts = (len(self.final_R), len(self.scored_R), len(self.num_tokens_R), len(self.problem_R))
        if any(length != num_rollouts for length in of_rollouts):
            raise ValueError(f"every column of rollouts must have the {num_rollouts} entries of prompt_R")
        if np.any((self.prompt_R < 0) | (self.prompt_R >= self.num_prompts)):
            raise ValueError(f"prompt_R must lie in [0, {self.num_prompts})")
        if np.any((self.rollout_A < 0) | (self.rollout_A >= num_rollouts)) or np.any(np.diff(self.rollout_A) < 0):
            raise ValueError(f"rollout_A must lie in [0, {num_rollouts}) and never decrease: attempts stand in the order of their rollouts")
        if np.any(self.index_A != places(self.rollout_A)):
            raise ValueError("index_A must count the attempts of each rollout: 0, 1, 2 ...")
        if np.any((self.decision_A < NONE) | (self.decision_A > FORCED)):
            raise ValueError("decision_A must be NONE, ACCEPT, RETRY or FORCED")
        if np.any(self.correct_A & ~self.known_A):
            raise ValueError("correct_A must be False where known_A is")

    @staticmethod
    def of(
        prompts: Sequence[Sequence[str]], *, scored: Sequence[bool] | None = None, problems: Sequence[str] | None = None
    ) -> AttemptTable:
        """A table from a shorthand, one inner list a prompt, one text a rollout. For tests, docs and notebooks.

        Args:
            prompts: `wr ca` is a rollout that was wrong and tried again, then right and accepted; see the class for the letters. What
                stands in the end is the last attempt if accepted or forced.
            scored: [R] default all.
            problems: [R] default none.

        >>> AttemptTable.of([["wr ca"], ["wr wf"]]).final_R
        array([ True, False])
        """
        traces = [text.split() for group in prompts for text in group]
        words = [word for trace in traces for word in trace]
        final = [bool(trace) and trace[-1] in ("ca", "cf") for trace in traces]
        scored_R = np.ones(len(traces), dtype=bool) if scored is None else np.array(scored, dtype=bool)
        return AttemptTable(
            rollout_A=repeated([len(trace) for trace in traces]),
            index_A=np.array([k for trace in traces for k in range(len(trace))], dtype=np.int64),
            correct_A=np.array([word[0] == "c" for word in words], dtype=bool),
            known_A=np.array([word[0] != "?" for word in words], dtype=bool),
            decision_A=np.array(["-arf".index(word[1]) for word in words], dtype=np.int8),
            prompt_R=repeated([len(group) for group in prompts]),
            final_R=np.array(final, dtype=bool) & scored_R,
            scored_R=scored_R,
            num_tokens_R=np.array([2 * len(trace) for trace in traces], dtype=np.int64),
            problem_R=("",) * len(traces) if problems is None else tuple(problems),
            num_prompts=len(prompts),
        )

    @property
    def prompt_A(self) -> Ints:
        """[A] the prompt of each attempt."""
        prompts_A: Ints = self.prompt_R[self.rollout_A]
        return prompts_A

    @property
    def num_attempts_R(self) -> Ints:
        """[R] attempts of each rollout."""
        return np.bincount(self.rollout_A, minlength=len(self.prompt_R))

    @property
    def decided_A(self) -> Bools:
        """[A] whether the model decided about it, the truth being known: what measures of decisions count."""
        decided: Bools = self.known_A & ((self.decision_A == ACCEPT) | (self.decision_A == RETRY))
        return decided


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenTable:
    """The tokens of R rollouts in a row, each with its stage. The rollouts are those of the AttemptTable it is used with.

    Example: TokenTable(rollout_M=np.array([0, 0, 0]), stage_M=np.array([1, 1, 2]), verdict_M=np.array([False, False, True]),
                        attempt_M=np.array([0, 0, 0]), prompt_R=np.array([0]))
    """

    rollout_M: Ints
    """[M] which rollout, never decreasing."""
    stage_M: Ints
    """[M] int8: NONE, SAMPLING or DECISION."""
    verdict_M: Bools
    """[M] whether it belongs to the verdict proper; only where the stage is DECISION."""
    attempt_M: Ints
    """[M] which attempt of its rollout it writes, checks or decides about: 0, 1 ...; -1 outside."""
    prompt_R: Ints
    """[R] which prompt."""

    def __post_init__(self) -> None:
        num_tokens, num_rollouts = len(self.rollout_M), len(self.prompt_R)
        if any(column.shape != (num_tokens,) for column in (self.stage_M, self.verdict_M, self.attempt_M)):
            raise ValueError(f"every column of tokens must have the {num_tokens} entries of rollout_M")
        if np.any((self.rollout_M < 0) | (self.rollout_M >= num_rollouts)) or np.any(np.diff(self.rollout_M) < 0):
            raise ValueError(f"rollout_M must lie in [0, {num_rollouts}) and never decrease: tokens stand in the order of their rollouts")
        if np.any((self.stage_M < NONE) | (self.stage_M > DECISION)):
            raise ValueError("stage_M must be NONE, SAMPLING or DECISION")
        if np.any(self.verdict_M & (self.stage_M != DECISION)):
            raise ValueError("verdict_M can be True on tokens of the decision stage only")
        if np.any(self.attempt_M < -1):
            raise ValueError("attempt_M must be the number of an attempt, or -1 outside")

    @staticmethod
    def of(prompts: Sequence[Sequence[str]]) -> TokenTable:
        """A table from a shorthand, one inner list a prompt, one letter a token: s sampling, d decision, v verdict, - none. For tests.

        A new attempt begins where an `s` follows a `d` or `v`.

        >>> TokenTable.of([["ssdvs-"]]).attempt_M
        array([ 0,  0,  0,  0,  1, -1])
        """
        texts = [text for group in prompts for text in group]
        letters = "".join(texts)
        attempts: list[int] = []
        for text in texts:
            current = 0
            for position, letter in enumerate(text):
                current += letter == "s" and position > 0 and text[position - 1] in "dv"
                attempts.append(-1 if letter == "-" else current)
        return TokenTable(
            rollout_M=repeated([len(text) for text in texts]),
            stage_M=np.array([{"-": NONE, "s": SAMPLING, "d": DECISION, "v": DECISION}[letter] for letter in letters], dtype=np.int8),
            verdict_M=np.array([letter == "v" for letter in letters], dtype=bool),
            attempt_M=np.array(attempts, dtype=np.int64),
            prompt_R=repeated([len(group) for group in prompts]),
        )


def repeated(sizes: Sequence[int]) -> Ints:
    """[N] the number of each owner as often as it owns something.

    >>> repeated([2, 0, 1])
    array([0, 0, 2])
    """
    owners: Ints = np.repeat(np.arange(len(sizes)), np.array(sizes, dtype=np.int64))
    return owners


def places(owner_N: Ints) -> Ints:
    """[N] place of each entry among those of its owner, owners never decreasing.

    >>> places(np.array([0, 0, 2, 2, 2]))
    array([0, 1, 0, 1, 2])
    """
    positions = np.arange(len(owner_N))
    starts = np.flatnonzero(np.diff(owner_N, prepend=-1))
    counted: Ints = positions - np.repeat(starts, np.diff(starts, append=len(owner_N)))
    return counted
