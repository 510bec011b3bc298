"""Whose gain is it: one policy writes the attempts, the other decides, and the gain is split between solving and deciding.

    Acc(s, d)    accuracy with sampler s and decider d, each before or after training
    Delta_d = 1/2 [(Acc(b, a) - Acc(b, b)) + (Acc(a, a) - Acc(a, b))]        b before, a after
    Delta_s = 1/2 [(Acc(a, b) - Acc(b, b)) + (Acc(a, a) - Acc(b, a))]
    Delta_s + Delta_d = Acc(a, a) - Acc(b, b)                                the Shapley split of two players

The decision's share of the gain is Delta_d over the total, with a bootstrap interval over prompts that all four cells share; where the
interval of the total holds 0 it is undefined, because a share of what may be nothing can be anything. A share can lie outside [0, 1]: one
of the two may have become worse.
Beside it the analytic split: the same with Acc = V_1 of the chain (`chain`) from measured chances

    first, after_right, after_wrong    of the sampler: the first attempt is right; the next one is, where a right or wrong one was retried
    accept_right, accept_wrong         of the decider

A sampler's chances after a retry are known only where its own decider retried. Where it never retried right ones (or wrong ones), those
after a wrong one (a right one) stand for both; where it never retried at all, what the other policy met there does. It takes prompts to be
alike but for what attempts tell, and no response to break its form, so it is a check on the mechanism, not a second measurement: where
many responses break off, its cells lie above the measured ones.
The design is ours (2601.01580 claims the gain is mainly the decision's; how it measured that was not at hand). Left out on purpose:
running the four combinations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jominy.measures.attempts import AttemptTable
from jominy.measures.chain import NUM_COLUMNS, Chances, counted, walk
from jominy.measures.clustered import Label, measured
from jominy.measures.paired import difference_interval
from jominy.records import Ints, Measure
from jominy.stats import NO_INTERVAL, NUM_RESAMPLES, Statistic, bootstrap_interval, share_interval

NAMES = ("before, before", "before, after", "after, before", "after, after")
"""(sampler, decider) of the four cells, in the order of their columns."""
CANNOT_TELL = "cannot tell: the interval of the total gain holds 0"
NO_TOTAL = "cannot tell: the total gain has no interval"
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The four combinations and the split of the gain.

    Example: measure_swap(right_22P, num_22P, rng=np.random.default_rng(0)).decision_share.value
    """

    cells: tuple[Measure, Measure, Measure, Measure]
    """Accuracy with (sampler, decider) before-before, before-after, after-before, after-after."""
    total: Measure
    """Gain of both."""
    sampling: Measure
    """Delta_s."""
    decision: Measure
    """Delta_d; the two add up to the total."""
    decision_share: Measure
    """Delta_d / total; undefined where the total may be 0."""


def measure_swap(right_22P: Ints, num_22P: Ints, *, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES) -> Swap:
    """The split of the measured gain.

    Args:
        right_22P: [2, 2, P] right answers of each prompt; first axis the sampler before and after, second the decider.
        num_22P: [2, 2, P] scored answers; a prompt with none in a cell is left out of all and counted.
        rng: source of the resamples.
        num_resamples: bootstrap samples.
    """
    if right_22P.ndim != 3 or right_22P.shape[:2] != (2, 2) or right_22P.shape != num_22P.shape:
        raise ValueError(f"right_22P and num_22P must both be [2, 2, P], got {right_22P.shape} and {num_22P.shape}")
    if np.any((right_22P < 0) | (right_22P > num_22P)):
        raise ValueError("right answers must lie between 0 and the scored ones")
    used_P = np.all(num_22P > 0, axis=(0, 1))
    rates_P4: Doubles = (right_22P[:, :, used_P] / num_22P[:, :, used_P]).reshape(4, -1).T
    num_used, num_prompts = len(rates_P4), len(used_P)
    labels = _labels("no prompt has an answer in every cell")
    if num_used == 0:
        return _swap([measured(label, None, NO_INTERVAL, 0, num_prompts) for label in labels])
    columns = _with_split(rates_P4).T
    intervals = [share_interval(column) for column in columns[:4]] + [difference_interval(column) for column in columns[4:]]
    found = [
        measured(label, float(column.mean()), interval, num_used, num_prompts)
        for label, column, interval in zip(labels[:7], columns, intervals, strict=True)
    ]
    share = _share_of_gain(found, rates_P4, _with_split, labels[7], rng, num_resamples)
    return _swap([*found, share])


def analytic_swap(
    before: AttemptTable, after: AttemptTable, *, num_attempts: int, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> Swap:
    """The split of what the chain makes of measured chances.

    Args:
        before: attempts of the policy before training.
        after: attempts after it, on the same prompts in the same order.
        num_attempts: K.
        rng: source of the resamples, which draw prompts with what both policies did on them.
        num_resamples: bootstrap samples.
    """
    if before.num_prompts != after.num_prompts:
        raise ValueError(f"both policies need the same prompts; got {before.num_prompts} before and {after.num_prompts} after")
    columns_P = np.concatenate([counted(before), counted(after)], axis=1)

    def cells_and_split(columns: Doubles) -> Doubles:
        return _with_split(analytic_cells(columns, num_attempts))

    num_used = int(np.count_nonzero(columns_P.sum(axis=1)))
    labels = _labels("it needs first attempts, decisions about right and about wrong ones, and what came of retries, before and after")
    values = cells_and_split(columns_P.sum(axis=0))
    if not np.all(np.isfinite(values)):
        return _swap([measured(label, None, NO_INTERVAL, num_used, before.num_prompts) for label in labels])
    found = []
    for position, (label, value) in enumerate(zip(labels[:7], values, strict=True)):
        bounds = (0.0, 1.0) if position < 4 else (-1.0, 1.0)
        statistic = partial(_column_of, cells_and_split, position)
        interval = bootstrap_interval(columns_P, statistic, rng, num_resamples=num_resamples, bounds=bounds)
        found.append(measured(label, float(value), interval, num_used, before.num_prompts))
    return _swap([*found, _share_of_gain(found, columns_P, cells_and_split, labels[7], rng, num_resamples)])


def shapley(cells: Doubles) -> Doubles:
    """[..., 3] total, sampling's and decision's part of it, from [..., 4] cells in the order of `NAMES`.

    >>> shapley(np.array([0.25, 0.5, 0.375, 0.75]))      # decision: ((0.5 - 0.25) + (0.75 - 0.375)) / 2
    array([0.5   , 0.1875, 0.3125])
    """
    none, decider, sampler, both = np.moveaxis(cells, -1, 0)
    split: Doubles = np.stack([both - none, (sampler - none + both - decider) / 2, (decider - none + both - sampler) / 2], axis=-1)
    return split


def analytic_cells(columns: Doubles, num_attempts: int) -> Doubles:
    """[..., 4] V_1 of each combination, from [..., 20] (sums of) `counted` columns before and after."""
    before, after = columns[..., :NUM_COLUMNS], columns[..., NUM_COLUMNS:]
    samplers = (_with_retries_of(before, after), _with_retries_of(after, before))
    values = [
        walk(replace(sampler, accept_right=decider.accept_right, accept_wrong=decider.accept_wrong), num_attempts).value
        for sampler in samplers
        for decider in samplers
    ]
    return np.stack(values, axis=-1)


def _with_retries_of(own: Doubles, other: Doubles) -> Chances:
    """A policy's chances; what it never met after a retry from what it met most like it, then from the other policy."""
    known = [Chances.of_columns(columns, merged=merged) for columns in (own, other) for merged in (False, True)]
    return replace(
        known[0],
        after_right=_first_known([chances.after_right for chances in known]),
        after_wrong=_first_known([chances.after_wrong for chances in known]),
    )


def _first_known(columns: Sequence[Doubles]) -> Doubles:
    found = columns[0]
    for column in columns[1:]:
        found = np.where(np.isnan(found), column, found)
    return found


def _with_split(cells: Doubles) -> Doubles:
    """[..., 7] the four cells, total, sampling, decision."""
    return np.concatenate([cells, shapley(cells)], axis=-1)


def _column_of(function: Statistic, position: int, columns: Doubles) -> Doubles:
    return np.asarray(function(columns)[..., position], dtype=np.float64)


def _share_of_gain(
    found: Sequence[Measure], columns_P: Doubles, cells_and_split: Statistic, label: Label, rng: np.random.Generator, num_resamples: int
) -> Measure:
    """Decision over total, where the total is surely not 0."""
    total, decision = found[4], found[6]
    assert total.value is not None
    assert decision.value is not None
    num_prompts = total.num_prompts + total.num_left_out
    if total.low is None or total.high is None or total.low <= 0 <= total.high:
        why = NO_TOTAL if total.low is None else CANNOT_TELL
        return measured(replace(label, why_none=why), None, NO_INTERVAL, total.num_prompts, num_prompts)

    def statistic(columns: Doubles) -> Doubles:
        parts = cells_and_split(columns)
        there = np.abs(parts[..., 4]) > 1e-12
        return np.where(there, parts[..., 6] / np.where(there, parts[..., 4], 1.0), np.nan)

    interval = bootstrap_interval(columns_P, statistic, rng, num_resamples=num_resamples)
    return measured(label, decision.value / total.value, interval, total.num_prompts, num_prompts)


def _labels(why_none: str) -> list[Label]:
    """Of the four cells, the total, both parts, and the share."""
    return [
        *(
            Label(name=f"accuracy ({name})", meaning=f"Accuracy with sampler, decider {name} training.", why_none=why_none)
            for name in NAMES
        ),
        Label(name="total gain", meaning="Accuracy of both after minus of both before training.", why_none=why_none),
        Label(name="gain by sampling", meaning="Part of the total gain that better attempts make.", why_none=why_none),
        Label(name="gain by decisions", meaning="Part of the total gain that better decisions make.", why_none=why_none),
        Label(name="decision's share of the gain", meaning="Gain by decisions over the total gain.", why_none=why_none),
    ]


def _swap(measures: Sequence[Measure]) -> Swap:
    one, two, three, four, total, sampling, decision, decision_share = measures
    return Swap(cells=(one, two, three, four), total=total, sampling=sampling, decision=decision, decision_share=decision_share)
