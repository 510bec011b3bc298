"""What a judge knows of minimal pairs, whatever it says to every question: by pairs, and at a bound that passes what is right.

    win      1[s(satisfied) > s(violated)] + 1/2 1[=],    s = log odds of the one constraint that the edit violates, or its verdict as 0, 1
    share    mean win over pairs: 1/2 for whoever knows nothing, whatever is preferred; of verdicts (recall on true + on false) / 2
    bound    b_f = the largest with  #{satisfied outside fold f: odds >= b_f} >= q #{satisfied outside f};   said in fold f = odds >= b_f

A judge that leans to no is no worse than another that knows as much; the share does not see it lean, and the bound takes it out. The bound
of a fold of prompts comes from the others, so that it is not fitted to what it is counted on. Its own error is not in the intervals.
Left out on purpose: other bounds, and what a run would be paid with them (`measures.reward_errors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jominy.measures.paired import difference_interval
from jominy.measures.precision import ConfusionTable
from jominy.records import Bools, Floats, Ints, Measure
from jominy.stats import Interval, apart_interval, share_interval
from jominy.studies.precision.columns import UNSCORED, table_of_columns

RECALL_TRUE = 0.97
"""Of the paper's judge, by its precision and recall on false (sheet C.2)."""
FOLDS = 5
NO_PAIR = "no pair has a verdict on both sides"
MEANING = "Of pairs, how often the constraint is rated higher where it is satisfied than where it is violated; ties are half."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wins:
    """Pairs of which both sides were rated.

    Example: wins_of(columns).win_P.mean()
    """

    ids: tuple[str, ...]
    """[P] of the prompts; a pair has one of its own."""
    win_P: Floats
    """[P] 0, 1/2 or 1."""
    count_P: Ints
    """[P] constraints of the prompt."""
    soft_P: Bools
    """[P] whether the constraint that is violated is soft."""
    num_left_out: int
    """Pairs with a side that was not rated."""

    def where(self, keep_P: Bools) -> Wins:
        """Some of them."""
        ids = tuple(one for one, keep in zip(self.ids, keep_P, strict=True) if keep)
        return replace(self, ids=ids, win_P=self.win_P[keep_P], count_P=self.count_P[keep_P], soft_P=self.soft_P[keep_P], num_left_out=0)

    def share(self) -> Measure:
        """Mean win with its interval over pairs."""
        if not len(self.win_P):
            return Measure(name="share of pairs", value=None, why_none=NO_PAIR, meaning=MEANING)
        found = share_interval(self.win_P)
        value, num_pairs = float(self.win_P.mean()), len(self.win_P)
        return Measure(
            name="share of pairs",
            value=value,
            low=found.low,
            high=found.high,
            num_prompts=num_pairs,
            num_left_out=self.num_left_out,
            meaning=MEANING,
        )


def wins_of(columns: Mapping[str, Any]) -> Wins:
    """Pair by pair, in the order of the columns.

    Args:
        columns: of pairs, as `columns.columns_of` writes them.
    """
    rating = [_rating(said, odds) for said, odds in zip(columns["said"], columns["odds"], strict=True)]
    keys = list(zip(columns["prompt"], columns["type"], strict=True))
    satisfied = {key: place for place, key in enumerate(keys) if columns["truth"][place] == 1}
    # what is violated in one response of a pair is satisfied in the other, and no type stands twice in a prompt
    sides = [(place, satisfied[key]) for place, key in enumerate(keys) if columns["truth"][place] == 0 and key in satisfied]
    known: list[tuple[int, float]] = []
    for wrong, right in sides:
        low, high = rating[wrong], rating[right]
        if low is not None and high is not None:
            known.append((wrong, 1.0 if high > low else 0.5 if high == low else 0.0))
    return Wins(
        ids=tuple(columns["ids"][columns["prompt"][place]] for place, _ in known),
        win_P=np.array([win for _, win in known], dtype=np.float64),
        count_P=np.array([columns["count"][place] for place, _ in known], dtype=np.int64),
        soft_P=np.array([columns["soft"][place] == 1 for place, _ in known], dtype=bool),
        num_left_out=len(sides) - len(known),
    )


def _rating(said: int, odds: float | None) -> float | None:
    return None if said == UNSCORED else float(said) if odds is None else odds


def surely_knows(share: Measure) -> bool:
    """Whether it is better than a coin."""
    return share.low is not None and share.low > 1 / 2


def paired_lead(one: Wins, other: Wins) -> Measure:
    """Mean win of one way of asking minus another's, over the pairs that both rated."""
    there = dict(zip(other.ids, other.win_P.tolist(), strict=True))
    moved_P = np.array([win - there[key] for key, win in zip(one.ids, one.win_P.tolist(), strict=True) if key in there], dtype=np.float64)
    meaning = "Share of pairs told apart, one way of asking minus the other, on the same pairs."
    if not len(moved_P):
        return Measure(name="lead", value=None, why_none="no pair was rated in both ways of asking", meaning=meaning)
    found = difference_interval(moved_P)
    value, num_left_out = float(moved_P.mean()), len(set(one.ids) | set(other.ids)) - len(moved_P)
    return Measure(
        name="lead", value=value, low=found.low, high=found.high, num_prompts=len(moved_P), num_left_out=num_left_out, meaning=meaning
    )


def fall_between(wins: Wins, fewer: int, more: int) -> Measure:
    """Share of pairs with fewer constraints minus that with more; other prompts, so nothing is paired."""
    one, other = (wins.where(wins.count_P == count).share() for count in (fewer, more))
    meaning = f"Share of pairs told apart with {fewer} constraints in a question minus that with {more}."
    if one.value is None or other.value is None:
        return Measure(name="fall", value=None, why_none=one.why_none or other.why_none, meaning=meaning)
    sides = (Interval(low=one.low, high=one.high), Interval(low=other.low, high=other.high))
    found = apart_interval(one.value, sides[0], other.value, sides[1], 0.0)
    return Measure(name="fall", value=one.value - other.value, low=found.low, high=found.high, meaning=meaning)


def bounded(columns: Mapping[str, Any], recall_true: float = RECALL_TRUE) -> ConfusionTable | None:
    """The table with verdicts by the bound of the top; None where there are no odds to set one on.

    Args:
        columns: of pairs.
        recall_true: q, of the satisfied outside a fold.
    """
    table = table_of_columns(columns)
    odds_M = np.array([np.nan if one is None else one for one in columns["odds"]], dtype=np.float64)
    if np.isnan(odds_M[table.scored_M]).any() or len(columns["ids"]) < FOLDS:
        return None
    said_M = np.zeros(table.num_items, dtype=bool)
    for fold in range(FOLDS):
        inside_M = table.prompt_M % FOLDS == fold
        satisfied = np.sort(odds_M[~inside_M & table.truth_M & table.scored_M])
        if not len(satisfied):
            return None
        said_M |= inside_M & (odds_M >= satisfied[len(satisfied) - int(np.ceil(recall_true * len(satisfied)))])
    return replace(table, said_M=said_M)
