"""Attempts and decisions before against after, on the same prompts: what of it moved, with intervals that know that prompts are shared.

    d = after - before,     its interval from those of both sides and r (`stats.apart_interval`)
    r = correlation over prompts of what leaving a prompt out does to a and to b

Each side's own interval says how far off it may be; prompts that are hard before are mostly hard after, so the two err together, and r
takes that back. Values, intervals and the prompts' parts of the sides are those of `retries`, `decisions` and `deciders`.
LIMIT: a side counts the states that its policy came into, so a rate can move because the states did: a false accept rate falls when a
better sampler leaves no easy wrong attempts. A fixed bank of states (`decisions.bank_metrics`) does not have that.
Left out on purpose: matching responses one to one, and a model of how prompts differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from jominy.explanation import Change
from jominy.measures.attempts import AttemptTable
from jominy.measures.clustered import DECISIONS, correlation
from jominy.measures.deciders import decider_sums
from jominy.measures.decisions import accept_rate_sums, check_attempts, own_sums
from jominy.measures.retries import outcome_sums, sampling_sums
from jominy.measures.summed import Summed
from jominy.records import Bools, Measure
from jominy.stats import NO_INTERVAL, Interval, apart_interval

ONE_FOLDER = "only one folder is read"
MOST_ATTEMPTS_SHOWN = 6
"""Attempts whose decisions are shown by themselves."""

Kinds = tuple[tuple[str, tuple[Change, ...]], ...]
"""(sampling, decision, transitions, optimality, attempt 1 ...; its changes)."""


def decision_changes(before: AttemptTable | None, after: AttemptTable, *, num_attempts: int, rng: np.random.Generator) -> Kinds:
    """Everything about attempts and decisions, before and after.

    Args:
        before: attempts of the first policy; None where there is one side only.
        after: those of the second, on the same prompts in the same order.
        num_attempts: K; with 1 `decision` and `optimality` are empty, for nothing is decided.
        rng: source of the resamples; each side has a stream of its own, so the numbers of one do not hang on the other.

    Raises:
        ValueError: the two are of different numbers of prompts, or have more than K attempts.
    """
    if before is not None and before.num_prompts != after.num_prompts:
        raise ValueError(f"both sides need the same prompts; got {before.num_prompts} before and {after.num_prompts} after")
    streams = rng.spawn(2)
    old = None if before is None else kinds_of(before, num_attempts, streams[0])
    new = kinds_of(after, num_attempts, streams[1])
    return tuple(
        (kind, tuple(change_between(None if old is None else old[kind][place], one) for place, one in enumerate(found)))
        for kind, found in new.items()
    )


def kinds_of(attempts: AttemptTable, num_attempts: int, rng: np.random.Generator) -> dict[str, tuple[Summed, ...]]:
    """The measures of one side in the order in which they are shown; both sides have the same."""
    check_attempts(attempts, num_attempts)
    decided = num_attempts > 1
    kinds: dict[str, Iterable[Summed]] = {
        "sampling": sampling_sums(attempts).values(),
        "decision": (*own_sums(attempts, attempts.decided_A).values(), accept_rate_sums(attempts)) if decided else (),
        "transitions": outcome_sums(attempts).values(),
        "optimality": decider_sums(attempts, num_attempts=num_attempts, rng=rng).values() if decided else (),
    }
    for index in range(min(num_attempts - 1, MOST_ATTEMPTS_SHOWN)):
        rates = own_sums(attempts, attempts.decided_A & (attempts.index_A == index))
        kinds[f"attempt {index + 1}"] = (rates["accept_right"], rates["accept_wrong"])
    return {kind: tuple(found) for kind, found in kinds.items()}


def change_between(before: Summed | None, after: Summed) -> Change:
    """The two, and the difference where both are defined.

    Args:
        before: None where there is one side only.
        after: the same measure of the same prompts in the same order.
    """
    new = after.measure
    blank = Measure(name=new.name, value=None, unit=new.unit, meaning=new.meaning, why_none=ONE_FOLDER, paper=DECISIONS)
    if before is None:
        return Change(name=new.name, before=blank, after=new, difference=blank)
    old = before.measure
    used_P = _takes_part(before) | _takes_part(after)
    num_used = int(np.count_nonzero(used_P))
    shell = replace(
        blank,
        why_none=old.why_none or new.why_none,
        num_prompts=num_used,
        num_left_out=len(used_P) - num_used,
        num_unscored=old.num_unscored + new.num_unscored,
        meaning=_with_counts(new.meaning, before, after),
    )
    if old.value is None or new.value is None:
        return Change(name=new.name, before=old, after=new, difference=shell)
    interval = _interval(before, after)
    difference = replace(shell, value=new.value - old.value, low=interval.low, high=interval.high, why_none="")
    return Change(name=new.name, before=old, after=new, difference=difference)


def _with_counts(meaning: str, before: Summed, after: Summed) -> str:
    """The sentence, and where the sides are not of the same prompts, of how many each is."""
    old_P, new_P = _takes_part(before), _takes_part(after)
    if np.array_equal(old_P, new_P):
        return meaning
    both = int(np.count_nonzero(old_P & new_P))
    return f"{meaning} From {np.count_nonzero(old_P)} prompts before and {np.count_nonzero(new_P)} after, {both} of them the same."


def _takes_part(side: Summed) -> Bools:
    taking: Bools = np.any(side.sums_PM != 0, axis=1)
    return taking


def _interval(before: Summed, after: Summed) -> Interval:
    """Of after minus before; none where one side has none."""
    old, new = before.measure, after.measure
    assert old.value is not None
    assert new.value is not None
    sides = [Interval(low=measure.low, high=measure.high) for measure in (new, old)]
    found = apart_interval(new.value, sides[0], old.value, sides[1], _together(before, after))
    if found.low is None or found.high is None:
        return NO_INTERVAL
    return Interval(low=max(found.low, -after.reach), high=min(found.high, after.reach))


def _together(before: Summed, after: Summed) -> float:
    """Correlation of the two values when one prompt at a time is left out of both; 0 where one of them does not vary."""
    pairs = [side.value(side.sums_PM.sum(axis=0) - side.sums_PM) for side in (before, after)]
    known_P: Bools = np.isfinite(pairs[0]) & np.isfinite(pairs[1])
    if np.count_nonzero(known_P) < 2:
        return 0.0
    one, other = (pair[known_P] - pair[known_P].mean() for pair in pairs)
    return correlation(one, other)
