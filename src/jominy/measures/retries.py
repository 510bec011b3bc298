"""What attempts and retries come to: how often an attempt is right, and what going on does to the answer.

    p_1 = P(attempt 1 right)      p_k|wrong = P(attempt k right | attempt k-1 wrong and retried)      p_k|right likewise
    acc = P(the answer that stands is right)      acc@1 = the same had the first attempt stood
    delta = acc - acc@1 = P(wrong first, right in the end) - P(right first, wrong in the end)         over the same rollouts

Shares of rollouts or attempts are ratios of sums, the prompt being the resampling unit; means of attempts and tokens are a rollout's.
A rollout without an attempt is wrong at first and in the end. Rollouts of a broken form are counted by what is broken and take part as far
as they go. Left out on purpose: pass@k of independent responses (`passk`); what better decisions could make of it (`deciders`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from jominy.measures.attempts import FORCED, RETRY, AttemptTable
from jominy.measures.chain import previous
from jominy.measures.clustered import Label, Ratio
from jominy.measures.summed import Doubles, Summed, summed_average, summed_difference, summed_share
from jominy.records import Bools, Measure

NO_FIRST = "no first attempt can be judged"
NO_ROLLOUT = "no rollout can be judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingMetrics:
    """How often attempts are right.

    Example: sampling_metrics(AttemptTable.of([["wr ca"]]), num_attempts=2).after_wrong.value == 1
    """

    first: Measure
    """p_1."""
    after_wrong: Measure
    """Right attempts among those after a wrong one that was retried, all k together."""
    after_right: Measure
    """The same after a right one."""
    after_wrong_by_attempt: tuple[Measure, ...]
    """[K-1] p_2|wrong, p_3|wrong, ..."""
    after_right_by_attempt: tuple[Measure, ...]
    """[K-1] p_2|right, p_3|right, ..."""
    repeats: Measure
    """Later attempts whose answer an earlier attempt of the same rollout gave; undefined where answers were not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeMetrics:
    """What stands in the end, against the first attempt.

    Example: outcome_metrics(AttemptTable.of([["wr ca", "wa"]])).delta.value == 0.5
    """

    final: Measure
    """acc, over all rollouts that can be judged."""
    first_stands: Measure
    """acc@1: had every first attempt been accepted."""
    delta: Measure
    """acc - acc@1 on the rollouts where both are known."""
    wrong_to_right: Measure
    """Wrong first, right in the end."""
    right_to_wrong: Measure
    """Right first, wrong in the end."""
    attempts: Measure
    """Attempts a rollout."""
    tokens: Measure
    """Tokens a rollout."""
    forced: Measure
    """Rollouts whose answer stands because there could be no other attempt."""
    malformed: Measure
    """Rollouts of a broken form."""
    problems: tuple[tuple[str, int], ...]
    """(what is broken, rollouts), the most frequent first."""


def sampling_metrics(attempts: AttemptTable, *, num_attempts: int) -> SamplingMetrics:
    """How often attempts are right, by what went before.

    Args:
        attempts: A attempts.
        num_attempts: K, the most there may be.
    """
    found = sampling_sums(attempts)
    wrong_A, right_A = _after(attempts)
    return SamplingMetrics(
        first=found["first"].measure,
        after_wrong=found["after_wrong"].measure,
        after_right=found["after_right"].measure,
        after_wrong_by_attempt=tuple(
            _again(attempts, wrong_A & (attempts.index_A == index), "a wrong", f"attempt {index + 1}").measure
            for index in range(1, num_attempts)
        ),
        after_right_by_attempt=tuple(
            _again(attempts, right_A & (attempts.index_A == index), "a right", f"attempt {index + 1}").measure
            for index in range(1, num_attempts)
        ),
        repeats=found["repeats"].measure,
    )


def sampling_sums(attempts: AttemptTable) -> dict[str, Summed]:
    """Measures of attempts of any number with the prompts' parts, by name of the field of `SamplingMetrics`."""
    wrong_A, right_A = _after(attempts)
    first = Label(name="first attempt right", meaning="Share of first attempts that are right.", why_none=NO_FIRST)
    return {
        "first": _share(attempts, attempts.correct_A, attempts.known_A & (attempts.index_A == 0), first),
        "after_wrong": _again(attempts, wrong_A, "a wrong", "a later attempt"),
        "after_right": _again(attempts, right_A, "a right", "a later attempt"),
        "repeats": _repeats(attempts),
    }


def outcome_metrics(attempts: AttemptTable) -> OutcomeMetrics:
    """What stands in the end, against the first attempt."""
    found = outcome_sums(attempts)
    return OutcomeMetrics(
        final=found["final"].measure,
        first_stands=found["first_stands"].measure,
        delta=found["delta"].measure,
        wrong_to_right=found["wrong_to_right"].measure,
        right_to_wrong=found["right_to_wrong"].measure,
        attempts=found["attempts"].measure,
        tokens=found["tokens"].measure,
        forced=found["forced"].measure,
        malformed=found["malformed"].measure,
        problems=tuple(Counter(problem for problem in attempts.problem_R if problem).most_common()),
    )


def outcome_sums(attempts: AttemptTable) -> dict[str, Summed]:
    """Its measures with the prompts' parts, by name of the field of `OutcomeMetrics`."""
    return {**_standing(attempts), **_shape(attempts)}


def _standing(attempts: AttemptTable) -> dict[str, Summed]:
    """What stands at first and in the end."""
    first_right_R, comparable_R = first_attempts(attempts)
    fixed = _over(attempts, ~first_right_R & attempts.final_R, comparable_R)
    broken = _over(attempts, first_right_R & ~attempts.final_R, comparable_R)
    delta = Label(name="gain by retrying", meaning="Final accuracy minus that of the first attempt, same rollouts.", why_none=NO_ROLLOUT)
    found = {
        "final": summed_share(
            _over(attempts, attempts.final_R, attempts.scored_R), _label("final accuracy", "whose standing answer is right")
        ),
        "first_stands": summed_share(
            _over(attempts, first_right_R, comparable_R), _label("accuracy of the first attempt", "whose first attempt is right")
        ),
        "delta": summed_difference(fixed, broken, delta),
        "wrong_to_right": summed_share(fixed, _label("wrong to right", "wrong at first and right in the end")),
        "right_to_wrong": summed_share(broken, _label("right to wrong", "right at first and wrong in the end")),
    }
    return with_unscored(found, attempts)


def _shape(attempts: AttemptTable) -> dict[str, Summed]:
    """How long responses are and how they end."""
    everything_R = np.ones(len(attempts.prompt_R), dtype=bool)
    forced_R = np.zeros(len(everything_R), dtype=bool)
    forced_R[attempts.rollout_A[attempts.decision_A == FORCED]] = True
    malformed_R = np.array([problem != "" for problem in attempts.problem_R], dtype=bool)
    none = "there are no responses"
    return {
        "attempts": summed_average(
            _over(attempts, attempts.num_attempts_R.astype(np.float64), everything_R),
            Label(name="attempts", meaning="Attempts a response.", why_none=none, unit="attempts"),
        ),
        "tokens": summed_average(
            _over(attempts, attempts.num_tokens_R.astype(np.float64), everything_R),
            Label(name="tokens", meaning="Tokens a response.", why_none=none, unit="tokens"),
        ),
        "forced": summed_share(
            _over(attempts, forced_R, attempts.num_attempts_R > 0),
            Label(
                name="forced stops",
                meaning="Share of responses whose answer stands because there could be no other.",
                why_none="no response has an attempt",
            ),
        ),
        "malformed": summed_share(
            _over(attempts, malformed_R, everything_R),
            Label(name="broken form", meaning="Share of responses whose form is broken.", why_none=none),
        ),
    }


def with_unscored(found: dict[str, Summed], attempts: AttemptTable) -> dict[str, Summed]:
    """The same with the number of rollouts that could not be judged."""
    unscored = int(np.count_nonzero(~attempts.scored_R))
    return {name: replace(one, measure=replace(one.measure, num_unscored=unscored)) for name, one in found.items()}


def first_attempts(attempts: AttemptTable) -> tuple[Bools, Bools]:
    """([R] first attempt right, [R] whether that and the final answer are known); a rollout without attempts is wrong at first."""
    right_R = np.zeros(len(attempts.prompt_R), dtype=bool)
    comparable_R = attempts.scored_R.copy()
    first_A = attempts.index_A == 0
    right_R[attempts.rollout_A[first_A]] = attempts.correct_A[first_A]
    comparable_R[attempts.rollout_A[first_A & ~attempts.known_A]] = False
    return right_R, comparable_R


def _after(attempts: AttemptTable) -> tuple[Bools, Bools]:
    """([A] attempts behind a wrong one that was tried again, [A] behind a right one), both truths known."""
    there_A, before = previous(attempts)
    after_A = there_A & attempts.known_A & attempts.known_A[before] & (attempts.decision_A[before] == RETRY)
    was_right_A = attempts.correct_A[before]
    return after_A & ~was_right_A, after_A & was_right_A


def _again(attempts: AttemptTable, among_A: Bools, before: str, which: str) -> Summed:
    label = Label(
        name=f"{which} right after {before} one",
        meaning=f"Share of right answers of {which} where the one before was {before[2:]} and was tried again.",
        why_none=f"no {before[2:]} attempt was tried again there",
    )
    return _share(attempts, attempts.correct_A, among_A, label)


def _repeats(attempts: AttemptTable) -> Summed:
    """Which answers were given before, by sorting (rollout, answer, place)."""
    label = Label(
        name="repeated answers",
        meaning="Share of later attempts that give an answer which an earlier attempt of the same response gave.",
        why_none="no response has two attempts with an answer" if attempts.answer_A is not None else "answers were not compared",
    )
    if attempts.answer_A is None:
        nothing_A = np.zeros(len(attempts.rollout_A), dtype=bool)
        return _share(attempts, nothing_A, nothing_A, label)
    order = np.lexsort((attempts.index_A, attempts.answer_A, attempts.rollout_A))
    same = (np.diff(attempts.rollout_A[order]) == 0) & (np.diff(attempts.answer_A[order]) == 0)
    repeated_A = np.zeros(len(order), dtype=bool)
    repeated_A[order[1:]] = same
    return _share(attempts, repeated_A, (attempts.index_A > 0) & (attempts.answer_A >= 0), label)


def _share(attempts: AttemptTable, hit_A: Bools, among_A: Bools, label: Label) -> Summed:
    return summed_share(Ratio.over(hit_A, among_A, attempts.prompt_A, attempts.num_prompts), label)


def _over(attempts: AttemptTable, values_R: Bools | Doubles, among_R: Bools) -> Ratio:
    return Ratio.over(values_R, among_R, attempts.prompt_R, attempts.num_prompts)


def _label(name: str, which: str) -> Label:
    return Label(name=name, meaning=f"Share of responses {which}.", why_none=NO_ROLLOUT)
