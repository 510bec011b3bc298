"""Changes of attention by hand, permutation tests by counting and by coin, and what a factor common to all spans leaves behind."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jominy.measures.attention import (
    SpanMass,
    beyond_control,
    change_by_layer,
    fall_in_pass,
    heads_moved,
    mass_change,
    mean_by_prompt,
    sign_flip_test,
)
from jominy.records import Floats


def rng() -> np.random.Generator:
    """The same for each test."""
    return np.random.default_rng(0)


def flat(name: str, before_P: list[float], after_P: list[float], share: float = 0.1) -> SpanMass:
    """One layer and head."""
    before, after = (np.array(side)[:, None, None] for side in (before_P, after_P))
    return SpanMass(name=name, before_PLH=before, after_PLH=after, share_P=np.full(len(before), share))


def test_by_hand() -> None:
    """Two prompts, two layers, two heads, and a third prompt without the span."""
    before_PLH = np.array([[[0.1, 0.2], [0.1, 0.1]], [[0.1, 0.2], [0.2, 0.1]], [[np.nan] * 2] * 2])
    after_PLH = np.array([[[0.2, 0.2], [0.1, 0.0]], [[0.2, 0.2], [0.2, 0.0]], [[np.nan] * 2] * 2])
    mass = SpanMass(name="soft", before_PLH=before_PLH, after_PLH=after_PLH, share_P=np.array([0.1, 0.2, np.nan]))
    # corrected before: [[1, 2], [1, 1]] and [[.5, 1], [1, .5]]; after: [[2, 2], [1, 0]] and [[1, 1], [1, 0]]
    change, p_value = mass_change(mass, rng())
    assert change.before.value == pytest.approx((1.25 + 0.75) / 2)
    assert change.after.value == pytest.approx((1.25 + 0.75) / 2)
    assert change.difference.value == pytest.approx(0.0)
    assert (change.difference.num_prompts, change.difference.num_left_out, change.difference.unit) == (2, 1, "times even")
    assert p_value == 1.0
    first, second = change_by_layer(mass)
    # layer 0: +.5 and +.25; layer 1: -.5 and -.25
    assert [first.value, second.value] == pytest.approx([0.375, -0.375])
    assert first.low is not None
    assert first.low < 0.375
    # one head of four doubles, one falls to nothing
    assert [measure.value for measure in heads_moved(mass, rng())] == [0.25, 0.25]
    # 0.75 -> 1.5 is no rise by more than 100 %
    assert [measure.value for measure in heads_moved(mass, rng(), rise=1.0)] == [0.0, 0.25]


def test_without_prompts() -> None:
    nothing = flat("soft", [np.nan], [np.nan])
    change, p_value = mass_change(nothing, rng())
    measures = [
        change.difference,
        *change_by_layer(nothing),
        *heads_moved(nothing, rng()),
        beyond_control(nothing, nothing, rng()).plain.mean,
    ]
    assert p_value is None
    assert all(measure.value is None and measure.why_none for measure in measures)


def test_a_factor_on_the_whole_prompt_is_no_relative_gain() -> None:
    """Attention to all of the prompt grows by half: the well-attended span gains more than the control, but not relative to it."""
    random = np.random.default_rng(1)
    span_P, control_P, factor_P = random.uniform(0.2, 0.3, 20), random.uniform(0.02, 0.05, 20), random.uniform(1.3, 1.7, 20)
    span = flat("soft", span_P.tolist(), (factor_P * span_P).tolist())
    control = flat("neutral", control_P.tolist(), (factor_P * control_P).tolist())
    found = beyond_control(span, control, rng())
    assert found.plain.p_value is not None
    assert found.plain.p_value < 0.001
    assert found.plain.mean.low is not None
    assert found.plain.mean.low > 0
    assert found.relative.mean.value == pytest.approx(0.0, abs=1e-12)
    raised = beyond_control(flat("soft", span_P.tolist(), (2 * factor_P * span_P).tolist()), control, rng())
    assert raised.relative.mean.value == pytest.approx(np.log(2.0))
    assert raised.relative.p_value is not None
    assert raised.relative.p_value < 0.001


def brute(values_P: Floats) -> float:
    """All signs."""
    all_signs = itertools.product((1, -1), repeat=len(values_P))
    values: list[float] = values_P.tolist()
    sums = [abs(sum(sign * value for sign, value in zip(signs, values, strict=True))) for signs in all_signs]
    return sum(total >= abs(sum(values)) - 1e-9 for total in sums) / len(sums)


def test_signs_are_counted() -> None:
    random = np.random.default_rng(2)
    for size in (1, 2, 5, 9):
        values_P = random.normal(0.4, 1.0, size)
        assert sign_flip_test(values_P, rng()) == pytest.approx(brute(values_P))
    # 2^12 are more than 4000, so these are drawn: within 4 standard errors
    values_P = random.normal(0.4, 1.0, 12)
    drawn = sign_flip_test(values_P, rng(), num_permutations=4000)
    exact = brute(values_P)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000) + 1 / 4000)


def test_small_p_values_are_as_rare_as_they_say() -> None:
    """Heavy-tailed symmetric noise over 30 prompts: at most 5 % + 3 standard errors of 300 tests lie below 0.05."""
    random = np.random.default_rng(3)
    below = sum((sign_flip_test(random.standard_cauchy(30), random, num_permutations=400) or 0.0) < 0.05 for _ in range(300))
    assert below <= 300 * 0.05 + 3 * np.sqrt(300 * 0.05 * 0.95)


def test_a_fall_is_paired() -> None:
    change = fall_in_pass("the span", np.array([1.0, 0.5, np.nan]), np.array([0.0, 0.5, 0.0]), (1, 2))
    assert change.difference.value == -0.5
    assert (change.difference.num_prompts, change.difference.num_left_out, change.difference.num_unscored) == (2, 1, 3)


def test_means_by_prompt() -> None:
    means_PLH = mean_by_prompt(np.array([[[1.0, 2.0]], [[3.0, 6.0]], [[5.0, 5.0]]]), np.array([2, 2, 0]), 3)
    assert means_PLH[:, 0].tolist()[0] == [5.0, 5.0]
    assert np.isnan(means_PLH[1]).all()
    assert means_PLH[2, 0].tolist() == [2.0, 4.0]


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="layers, heads"):
        SpanMass(name="soft", before_PLH=np.zeros((2, 1, 1)), after_PLH=np.zeros((2, 1, 2)), share_P=np.ones(2))
    with pytest.raises(ValueError, match="above 0"):
        flat("soft", [0.1], [0.1], share=0.0)
    with pytest.raises(ValueError, match="same prompts"):
        beyond_control(flat("soft", [0.1], [0.1]), flat("neutral", [0.1, 0.1], [0.1, 0.1]), rng())
    with pytest.raises(ValueError, match="at least 0"):
        heads_moved(flat("soft", [0.1], [0.1]), rng(), rise=-0.1)
