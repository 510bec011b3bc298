"""Correlations over models with others held fixed, and families left out: hand arithmetic, scipy and statistics of planted worlds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats as oracle

from jominy.studies.predicting import left_over, levels, partial_correlation, predict_left_out, skill_added

NONE = np.zeros((8, 0))


def test_a_plain_correlation_is_scipys() -> None:
    rng = np.random.default_rng(3)
    first_M, second_M = rng.normal(size=8), rng.normal(size=8)
    found, _ = partial_correlation("r", first_M, second_M, NONE, rng)
    other = oracle.pearsonr(first_M, second_M)
    interval = other.confidence_interval(0.95)
    assert found.value == pytest.approx(other.statistic)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-6)


def test_the_chance_is_that_of_all_orders() -> None:
    rng = np.random.default_rng(3)
    first_M, second_M = rng.normal(size=7), rng.normal(size=7)
    found, chance = partial_correlation("r", first_M, second_M, NONE[:7], rng)
    assert found.value is not None
    all_orders = [abs(float(np.corrcoef(order, second_M)[0, 1])) for order in itertools.permutations(first_M)]
    assert chance == pytest.approx(np.mean(np.array(all_orders) >= abs(found.value) - 1e-9), abs=0.015)


def test_a_partial_correlation_by_its_other_formula() -> None:
    """r(xy|z) = (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)), which knows nothing of fits."""
    rng = np.random.default_rng(4)
    third_M = rng.normal(size=12)
    first_M, second_M = third_M + rng.normal(size=12), rng.normal(size=12) - third_M
    xy, xz, yz = (float(np.corrcoef(a, b)[0, 1]) for a, b in ((first_M, second_M), (first_M, third_M), (second_M, third_M)))
    found, _ = partial_correlation("r", first_M, second_M, third_M[:, None], rng)
    assert found.value == pytest.approx((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)))
    assert found.value is not None
    assert found.low is not None
    # 12 models, one column: atanh(r) - 1.96 / sqrt(8)
    assert math.atanh(found.low) == pytest.approx(math.atanh(found.value) - 1.959964 / math.sqrt(8), abs=1e-5)


def test_within_strata_their_levels_do_not_count() -> None:
    """By hand: 1 2 3 | 11 12 13 against 3 2 1 | 13 12 11 correlates 0.95 in all and -1 within."""
    first_M = np.array([1.0, 2, 3, 11, 12, 13])
    second_M = np.array([3.0, 2, 1, 13, 12, 11])
    stratum_M = np.array([0, 0, 0, 1, 1, 1])
    rng = np.random.default_rng(0)
    found, chance = partial_correlation("r", first_M, second_M, np.zeros((6, 0)), rng, stratum_M=stratum_M)
    assert found.value == pytest.approx(-1.0)
    assert found.low is None
    # of 6 * 6 orders within the strata, two give +-1 in both: 2 / 36
    assert chance == pytest.approx(2 / 36, abs=0.01)


def test_levels_take_each_stratums_mean_off() -> None:
    stratum_M = np.array([1, 1, 4, 4, 4])
    values_M = np.array([1.0, 3, 10, 20, 30])
    assert left_over(values_M, levels(stratum_M)) == pytest.approx([-1, 1, -10, 0, 10])


def test_nothing_to_tell() -> None:
    rng = np.random.default_rng(0)
    few, chance = partial_correlation("r", np.arange(4.0), np.arange(4.0), np.zeros((4, 0)), rng)
    assert (few.value, chance) == (None, None)
    assert few.why_none == "it needs 5 models at least, there are 4"
    same, _ = partial_correlation("r", np.arange(8.0), 2 * np.arange(8.0) + 1, np.arange(8.0)[:, None], rng)
    assert same.why_none == "nothing is left to correlate"


def test_permutations_are_right_about_noise() -> None:
    """Where first and second hang on the third alone, p is about uniform: 5 % below 0.05."""
    below, num_worlds = 0, 200
    for world in range(num_worlds):
        rng = np.random.default_rng([7, world])
        third_M = rng.normal(size=14)
        _, chance = partial_correlation("r", third_M + rng.normal(size=14), 2 * third_M + rng.normal(size=14), third_M[:, None], rng)
        assert chance is not None
        below += chance < 0.05
    # binomial(200, 0.05): 10 +- 3.1
    assert 2 <= below <= 20


def test_families_are_predicted_from_the_others() -> None:
    """By hand: the other family's two points lie on y = 2 x + 1, or on y = x."""
    values_M, feature_M = np.array([1.0, 3.0, 5.0, 6.0]), np.array([0.0, 1.0, 5.0, 6.0])
    family_M = np.array([0, 0, 1, 1])
    assert predict_left_out(values_M, feature_M[:, None], family_M) == pytest.approx([0, 1, 11, 13])


def test_skill_that_is_there_and_skill_that_is_not() -> None:
    rng = np.random.default_rng(5)
    family_M = np.repeat(np.arange(6), 3)
    # in every family the second number varies as much as the first, and apart from it
    rate_M, clear_M = np.tile([-1.0, 2.0, -1.0], 6), np.tile([-1.7, 0.0, 1.7], 6)
    there = skill_added("s", rate_M + clear_M + 0.1 * rng.normal(size=18), [rate_M], [clear_M], family_M)
    assert there.low is not None
    assert there.low > 0
    # variances 2 and 1.9: the second number's part of the error is 1.9 / 3.9
    assert there.value == pytest.approx(0.49, abs=0.08)
    absent = skill_added("s", rate_M + 0.1 * rng.normal(size=18), [rate_M], [clear_M], family_M)
    assert absent.value == pytest.approx(0.0, abs=0.01)
    few = skill_added("s", rate_M[:6], [rate_M[:6]], [clear_M[:6]], family_M[:6])
    assert few.value is None
    assert "three families" in few.why_none


def test_the_interval_of_the_skill_is_students() -> None:
    """Six families, error falls d_f: scipy's interval of their mean."""
    rng = np.random.default_rng(6)
    family_M = np.repeat(np.arange(6), 3)
    rate_M, clear_M, noise_M = rng.normal(size=(3, 18))
    values_M = rate_M + 0.5 * clear_M + noise_M
    found = skill_added("s", values_M, [rate_M], [clear_M], family_M)
    plain_M = (values_M - predict_left_out(values_M, rate_M[:, None], family_M)) ** 2
    both_M = (values_M - predict_left_out(values_M, np.column_stack([rate_M, clear_M]), family_M)) ** 2
    others = np.array([values_M[family_M != family].mean() for family in family_M])
    falls = [float((plain_M - both_M)[family_M == family].mean() / ((values_M - others) ** 2).mean()) for family in range(6)]
    low, high = oracle.t.interval(0.95, 5, loc=np.mean(falls), scale=oracle.sem(falls))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(falls), low, high), rel=1e-3)
