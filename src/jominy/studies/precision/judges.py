"""The base model as a judge: does it miss violations, does it tell more when asked one at a time, and less among more constraints?

    recall on false     said to be violated among the violated, on minimal pairs
    told                recall on false + recall on true - 1: 0 for whoever says the same, or anything, whatever is true
    pointwise - batch   of told, on the same constraints of prompts with at least two, a mean over prompts of the paired difference

A judge that refuses everything sees every violation, and one way of asking may only bring out more noes than another. So nothing is said of
misses where verdicts do not go with the truth, and ways of asking are held against each other on both recalls. A single constraint is asked
about in another form than several: numbers of constraints are compared from two on. Left out on purpose: the confusion matrix itself
(`measures.precision`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.measures.clustered import difference_of_shares
from jominy.measures.paired import difference_interval
from jominy.measures.precision import Confusion, ConfusionTable
from jominy.measures.reward_errors import SHRINK
from jominy.papers import PRECISION
from jominy.records import Measure
from jominy.stats import Interval, apart_interval
from jominy.studies.outcomes import percent, points
from jominy.studies.precision.columns import table_of_columns
from jominy.studies.precision.paper import MOST
from jominy.studies.precision.told import Judgement, judged
from jominy.studies.reading import StudyRuns

MISSES_NUMBERS = "Recall on false of Qwen3-32B in one call: 30.6 % of hard, 20.9 % of soft constraints; QwQ-32B 44.1 and 33.1 %."
ASK_ANOTHER = "A judge that tells right from wrong at all: `jominy audit` asks any endpoint the same."


def judge_claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """In the order of the README."""
    told = judged(runs)
    return misses(told), pointwise_sees_more(told), more_is_harder(told)


def misses(told: Mapping[str, Judgement]) -> Claim:
    """Most violations pass."""
    batch = told.get("batch")
    verdict: Agreement = "cannot tell"
    found = "Nobody has judged yet."
    if batch is not None:
        recall, left = batch.pairs.constraints.recall_false, shrink(batch)
        if recall.low is not None and recall.high is not None and left.low is not None and left.low > 0:
            verdict = "agrees" if recall.high < MOST else "disagrees" if recall.low > MOST else "cannot tell"
        found = f"In one call: {said_confusion(batch.pairs.constraints)}. Hard: {_kind(batch, 'hard')}; soft: {_kind(batch, 'soft')}. "
        found += (
            f"Of the advantage its verdicts would leave {percent(left)}. On its own responses: {said_confusion(batch.own.constraints)}."
        )
    return Claim(
        code="judge-misses",
        says="A language model as judge misses most violations.",
        numbers=MISSES_NUMBERS,
        ran=_ran(told),
        found=found,
        verdict=verdict,
        rule=f"agrees when recall on false in one call, on minimal pairs, is surely below {MOST:g}, disagrees when it is surely above; "
        "where recall on true and on false do not surely add up to more than 1, verdicts do not go with the truth, and nothing is told",
        would_take=ASK_ANOTHER,
        paper=PRECISION,
    )


def shrink(told: Judgement, count: int | None = None) -> Measure:
    """1 - FPR - FNR on pairs: what is left of an advantage that it pays; 0 where its verdicts do not go with the truth.

    Args:
        told: by a judge.
        count: only of prompts with so many constraints.
    """
    every = table_of_columns(told.columns)
    table = every if count is None else every.where(every.count_M == count)
    return difference_of_shares(table.accepted_among(table.truth_M), table.accepted_among(~table.truth_M), SHRINK)


def said_confusion(cell: Confusion) -> str:
    """Recalls, precision and what has no verdict, in words."""
    total = cell.num_scored + cell.num_unscored
    return (
        f"recall on false {percent(cell.recall_false)}, on true {percent(cell.recall_true)}, precision {percent(cell.precision)}, "
        f"{cell.num_unscored} of {total} without a verdict"
    )


def _kind(told: Judgement, kind: str) -> str:
    cell = told.kinds.get(kind)
    return "none" if cell is None else f"recall on false {percent(cell.recall_false)}"


def _ran(told: Mapping[str, Judgement]) -> str:
    if not told:
        return "Nothing yet."
    responses = told["batch"].pairs.responses
    number = responses.num_scored + responses.num_unscored
    return f"{number} responses to prompts with 1 to 3 constraints, half of them made to violate one"


def pointwise_sees_more(told: Mapping[str, Judgement]) -> Claim:
    """Asked about one constraint at a time, a judge tells more."""
    lead = Measure(name="lead", value=None, why_none="nobody has judged yet")
    if len(told) > 1:
        lead = told_difference(table_of_columns(told["pointwise"].columns), table_of_columns(told["batch"].columns))
    verdict: Agreement = "cannot tell"
    if lead.low is not None and lead.high is not None:
        verdict = "agrees" if lead.low > 0 else "disagrees" if lead.high < 0 else "cannot tell"
    beside = "".join(f" {mode}: {said_confusion(one.pairs.constraints)}." for mode, one in told.items())
    return Claim(
        code="pointwise-sees-more",
        says="Asked about one constraint at a time, a judge tells violated from satisfied better than asked about all at once.",
        numbers="Recall on false of Qwen3-32B from 30.6 to 59.3 % of hard, from 20.9 to 54.7 % of soft constraints.",
        ran=_ran(told),
        found=f"Both recalls together, one at a time minus all at once, prompts with at least two: {points(lead)}.{beside}",
        verdict=verdict,
        rule="agrees when the paired difference of recall on false + recall on true is surely above 0, disagrees when it is surely below; "
        "recall on false alone also rises where one way of asking only brings out more noes",
        would_take=ASK_ANOTHER,
        paper=PRECISION,
    )


def told_difference(one: ConfusionTable, other: ConfusionTable) -> Measure:
    """Recall on false + recall on true of one minus the other's, of prompts with at least two constraints, where both gave verdicts.

    Args:
        one: verdicts on some items.
        other: on the same, in the same order.
    """
    several_M = one.count_M > 1
    both_M = one.scored_M & other.scored_M & several_M
    moved_M = one.said_M.astype(np.float64) - other.said_M.astype(np.float64)
    prompts, prompt_M = np.unique(one.prompt_M, return_inverse=True)
    sides = [both_M & one.truth_M, both_M & ~one.truth_M]
    counts = [np.bincount(prompt_M[side_M], minlength=len(prompts)) for side_M in sides]
    sums = [np.bincount(prompt_M[side_M], weights=moved_M[side_M], minlength=len(prompts)) for side_M in sides]
    known_P = (counts[0] > 0) & (counts[1] > 0)
    meaning = "Accepted among the satisfied minus accepted among the violated, one way of asking minus the other, by prompt."
    num_left_out = len(np.unique(prompt_M[several_M])) - int(np.count_nonzero(known_P))
    if not known_P.any():
        why = "no prompt with several constraints has verdicts of both kinds of asking on what it satisfies and what it violates"
        return Measure(name="lead", value=None, why_none=why, num_left_out=num_left_out, meaning=meaning)
    value_P = sums[0][known_P] / counts[0][known_P] - sums[1][known_P] / counts[1][known_P]
    half = difference_interval(value_P / 2)  # of values in [-1, 1]
    low, high = (None if end is None else 2 * end for end in (half.low, half.high))
    return Measure(
        name="lead",
        value=float(value_P.mean()),
        low=low,
        high=high,
        num_prompts=len(value_P),
        num_left_out=num_left_out,
        meaning=meaning,
    )


FEWER, MORE = 2, 3
"""Numbers of constraints that are asked about in the same form."""


def more_is_harder(told: Mapping[str, Judgement]) -> Claim:
    """Among more constraints a judge tells less."""
    batch = told.get("batch")
    fall = Measure(name="fall", value=None, why_none="nobody has judged yet")
    beside = ""
    if batch is not None:
        fall = apart(shrink(batch, FEWER), shrink(batch, MORE))
        beside = " With " + "; ".join(f"{cell.name}: {said_confusion(cell)}" for cell in batch.pairs.by_count) + "."
    verdict: Agreement = "cannot tell"
    if fall.low is not None and fall.high is not None:
        verdict = "agrees" if fall.low > 0 else "disagrees" if fall.high < 0 else "cannot tell"
    return Claim(
        code="more-is-harder",
        says="The more constraints a judge is asked about at once, the less it tells violated from satisfied.",
        numbers="Soft constraints, from 1 to 2 a prompt: recall on false falls by 5.6 points, precision by 2.5.",
        ran=_ran(told),
        found=f"Both recalls together, {FEWER} minus {MORE} constraints in one question: {points(fall)}.{beside}",
        verdict=verdict,
        rule=f"agrees when recall on false + recall on true with {FEWER} constraints is surely above that with {MORE}, asked in one call; "
        "disagrees when surely below. A single constraint is asked about in another form, and stays out",
        would_take=ASK_ANOTHER,
        paper=PRECISION,
    )


def apart(one: Measure, other: Measure) -> Measure:
    """The difference of two measures of different prompts."""
    meaning = "What is told of prompts with fewer constraints minus what is told of prompts with more."
    if one.value is None or other.value is None:
        return Measure(name="fall", value=None, why_none=one.why_none or other.why_none, meaning=meaning)
    sides = (Interval(low=one.low, high=one.high), Interval(low=other.low, high=other.high))
    found = apart_interval(one.value, sides[0], other.value, sides[1], 0.0)
    return Measure(name="fall", value=one.value - other.value, low=found.low, high=found.high, meaning=meaning)
