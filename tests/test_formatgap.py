"""The format gap: pass@k by form worked by hand, its reasons when undefined, and intervals that cover planted gaps."""

from __future__ import annotations

import numpy as np
import pytest

from jominy.measures.formatgap import Counts, FormatGap, measure_format_gap
from jominy.records import Ints, Measure


def counts(num_scored: list[int], num_right: list[int]) -> Counts:
    return Counts(num_scored_P=np.array(num_scored), num_right_P=np.array(num_right))


def gap_of(strict: Counts, lenient: Counts | None, few_shot: Counts | None, ks: tuple[int, ...] = (1, 2)) -> FormatGap:
    return measure_format_gap(ks, strict, lenient, few_shot, why_no_lenient="no grader", why_no_few_shot="not sampled")


def test_gaps_by_hand():
    # Three prompts of four responses: strictly right 1, 0, 4; leniently 2, 0, 4; behind examples 0, 2, 4.
    found = gap_of(counts([4] * 3, [1, 0, 4]), counts([4] * 3, [2, 0, 4]), counts([4] * 3, [0, 2, 4]))
    values = [[one.value for one in column] for column in (found.strict, found.lenient, found.gap, found.few_shot, found.gain)]
    # pass@2 of 1, 2, 4 of 4 is 1 - C(3,2)/C(4,2) = 1/2, 1 - C(2,2)/C(4,2) = 5/6, 1.
    strict, lenient, few_shot = (5 / 12, 1.5 / 3), (6 / 12, (5 / 6 + 1) / 3), (6 / 12, (5 / 6 + 1) / 3)
    assert values[0] == pytest.approx(strict)
    assert values[1] == pytest.approx(lenient)
    assert values[2] == pytest.approx((1 / 12, (5 / 6 - 1 / 2) / 3))
    assert values[3] == pytest.approx(few_shot)
    assert values[4] == pytest.approx((1 / 12, (5 / 6 - 1 / 2) / 3))
    assert found.gap[0].low is not None
    assert found.gain[0].low is not None
    assert found.gap[0].low > 0 > found.gain[0].low  # what is strictly right is leniently right; examples also do harm


def test_what_cannot_be_said_says_why():
    found = gap_of(counts([4, 4], [1, 2]), None, None)
    assert [one.why_none for one in (*found.gap, *found.gain)] == ["no grader", "no grader", "not sampled", "not sampled"]
    assert {one.name for one in found.measures()} == {"strict pass@1", "strict pass@2"}
    few = gap_of(counts([4, 4], [1, 2]), None, counts([4, 0], [1, 0]))
    assert (few.gain[0].num_prompts, few.gain[0].num_left_out) == (1, 1)
    assert few.gain[0].value == 0.0
    assert few.gain[0].low is None  # one prompt says nothing about prompts


def test_lenient_cannot_be_less_than_strict():
    with pytest.raises(ValueError, match="what is strictly right is leniently right"):
        gap_of(counts([4], [2]), counts([4], [1]), None)


def covers(measure: Measure, truth: float) -> bool:
    assert measure.low is not None
    assert measure.high is not None
    return measure.low <= truth <= measure.high


def draw(rng: np.random.Generator, rates_P: np.ndarray, num_rollouts: int) -> Ints:
    return rng.binomial(num_rollouts, rates_P)


@pytest.mark.parametrize("k", [1, 16])
def test_the_intervals_cover_planted_gaps(k):
    """Pass rates p strictly, p + (1 - p) f leniently with f the share of the rest that is right in the wrong form; few-shot shifts p."""
    rng = np.random.default_rng(k)
    size, num_prompts, num_runs = 16, 48, 300
    many = rng.beta(0.4, 1.2, 200_000)
    lost = np.where(rng.random(200_000) < 0.5, 0.15, 0.0)
    reached = lambda rates: 1 - (1 - rates) ** k  # noqa: E731
    shifted = lambda rates: np.clip(rates + 0.1 - 0.3 * (rates > 0.8), 0, 1)  # noqa: E731
    true_gap = float(np.mean(reached(many + (1 - many) * lost) - reached(many)))
    true_gain = float(np.mean(reached(shifted(many)) - reached(many)))
    hits = np.zeros(2)
    for _ in range(num_runs):
        rates_P, lost_P = rng.beta(0.4, 1.2, num_prompts), np.where(rng.random(num_prompts) < 0.5, 0.15, 0.0)
        scored = np.full(num_prompts, size)
        strict_P = draw(rng, rates_P, size)
        lenient_P = strict_P + rng.binomial(size - strict_P, lost_P)
        few_P = draw(rng, shifted(rates_P), size)
        strict, lenient, few_shot = (Counts(num_scored_P=scored, num_right_P=right) for right in (strict_P, lenient_P, few_P))
        found = gap_of(strict, lenient, few_shot, (k,))
        hits += covers(found.gap[0], true_gap), covers(found.gain[0], true_gain)
    assert np.all(hits / num_runs > 0.93), hits / num_runs
