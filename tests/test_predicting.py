"""Correlations over models with others held fixed, pairs, families left out: hand arithmetic, scipy and statistics of planted worlds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats as oracle

from jominy.records import Floats, Ints
from jominy.studies.families import family_orders, leave_out_interval
from jominy.studies.predicting import (
    lead_of_pairs,
    left_over,
    levels,
    pairs_apart,
    partial_correlation,
    predict_left_out,
    skill_added,
)

NONE = np.zeros((8, 0))
FAMILY_M, LEVEL_M = np.repeat(np.arange(6), 3), np.tile(np.arange(3), 6)


def test_a_plain_correlation_is_scipys() -> None:
    rng = np.random.default_rng(3)
    first_M, second_M = rng.normal(size=8), rng.normal(size=8)
    found, _ = partial_correlation("r", first_M, second_M, NONE, rng, family_M=np.arange(8))
    assert found.value == pytest.approx(oracle.pearsonr(first_M, second_M).statistic)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert -1 < found.low < found.value < found.high < 1


def test_the_chance_is_that_of_all_orders() -> None:
    rng = np.random.default_rng(3)
    first_M, second_M = rng.normal(size=7), rng.normal(size=7)
    found, chance = partial_correlation("r", first_M, second_M, NONE[:7], rng, family_M=np.arange(7))
    assert found.value is not None
    all_orders = [abs(float(np.corrcoef(order, second_M)[0, 1])) for order in itertools.permutations(first_M)]
    assert chance == pytest.approx(np.mean(np.array(all_orders) >= abs(found.value) - 1e-9))


def test_families_change_places_with_their_profile() -> None:
    """Three families of low and high, one that lacks high: by hand 3! orders, in which the incomplete one stays."""
    family_M, member_M = np.array([5, 5, 7, 7, 9, 9, 2]), np.array([0, 1, 1, 0, 0, 1, 0])
    orders, every = family_orders(family_M, member_M, np.random.default_rng(0))
    assert every
    assert len({tuple(order) for order in orders.tolist()}) == 6
    for order in orders:
        assert order[6] == 6
        assert (member_M[order] == member_M).all()
        # models of one family come to one place
        assert family_M[order[0]] == family_M[order[1]]
    many, whole = family_orders(np.arange(9), np.zeros(9, dtype=int), np.random.default_rng(0))
    assert not whole
    assert (np.sort(many, axis=1) == np.arange(9)).all()


def test_leaving_units_out_is_students_interval_for_a_mean() -> None:
    values = np.random.default_rng(2).normal(size=7)
    found = leave_out_interval(lambda keep_M: float(values[keep_M].mean()), np.arange(7))
    # our t is an expansion, within 0.2 %
    assert (found.low, found.high) == pytest.approx(oracle.t.interval(0.95, 6, loc=values.mean(), scale=oracle.sem(values)), rel=5e-3)
    assert leave_out_interval(lambda keep_M: 1.0, np.array([0, 0, 1])).low is None
    assert leave_out_interval(lambda keep_M: 1.0 if keep_M[0] else None, np.arange(4)).low is None


def test_a_partial_correlation_by_its_other_formula() -> None:
    """r(xy|z) = (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)), which knows nothing of fits."""
    rng = np.random.default_rng(4)
    third_M = rng.normal(size=12)
    first_M, second_M = third_M + rng.normal(size=12), rng.normal(size=12) - third_M
    xy, xz, yz = (float(np.corrcoef(a, b)[0, 1]) for a, b in ((first_M, second_M), (first_M, third_M), (second_M, third_M)))
    found, _ = partial_correlation("r", first_M, second_M, third_M[:, None], rng, family_M=np.arange(12))
    assert found.value == pytest.approx((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)))


def test_within_levels_their_means_do_not_count() -> None:
    """By hand: 1 2 3 | 11 12 13 against 3 2 1 | 13 12 11 correlates 0.95 in all and -1 within."""
    first_M, second_M = np.array([1.0, 2, 3, 11, 12, 13]), np.array([3.0, 2, 1, 13, 12, 11])
    level_M, family_M = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2])
    rng = np.random.default_rng(0)
    found, chance = partial_correlation("r", first_M, second_M, levels(level_M), rng, family_M=family_M, member_M=level_M)
    assert found.value == pytest.approx(-1.0)
    assert found.low is None
    # of 3! orders of the families, one gives -1 and its mirror 1
    assert chance == pytest.approx(2 / 6)


def test_levels_take_each_stratums_mean_off() -> None:
    stratum_M = np.array([1, 1, 4, 4, 4])
    values_M = np.array([1.0, 3, 10, 20, 30])
    assert left_over(values_M, levels(stratum_M)) == pytest.approx([-1, 1, -10, 0, 10])


def test_nothing_to_tell() -> None:
    rng = np.random.default_rng(0)
    few, chance = partial_correlation("r", np.arange(4.0), np.arange(4.0), np.zeros((4, 0)), rng, family_M=np.arange(4))
    assert (few.value, chance) == (None, None)
    assert few.why_none == "it needs 5 models at least, there are 4"
    line_M = np.arange(8.0)
    same, _ = partial_correlation("r", line_M, 2 * line_M + 1, line_M[:, None], rng, family_M=np.arange(8))
    assert same.why_none == "nothing is left to correlate"


def test_permutations_are_right_about_noise() -> None:
    """Where first and second hang on the third alone, p is about uniform: 5 % below 0.05."""
    below, num_worlds = 0, 200
    for world in range(num_worlds):
        rng = np.random.default_rng([7, world])
        third_M = rng.normal(size=6)
        first_M, second_M = third_M + rng.normal(size=6), 2 * third_M + rng.normal(size=6)
        _, chance = partial_correlation("r", first_M, second_M, third_M[:, None], rng, family_M=np.arange(6))
        assert chance is not None
        below += chance < 0.05
    # binomial(200, 0.05): 10 +- 3.1
    assert 2 <= below <= 20


def families_world(rng: np.random.Generator, alike: float) -> tuple[Floats, Floats, Floats]:
    """(S, gain, pass rate) of 18 models in 6 families, S and gain alike within one, unconnected; gain hangs on the rate."""
    rate_M = np.array([0.15, 0.3, 0.5])[LEVEL_M] + rng.uniform(-0.02, 0.02, size=18)
    score_M, gain_M = (math.sqrt(alike) * rng.normal(size=6)[FAMILY_M] + math.sqrt(1 - alike) * rng.normal(size=18) for _ in range(2))
    return score_M + rate_M, gain_M + 4 * rate_M, rate_M


@pytest.mark.parametrize("held", ["rate", "rate and its bend", "level and rate"])
def test_families_that_share_s_and_gain_are_no_eighteen_models(held: str) -> None:
    """S and gain correlate 0.95 within a family: as 18 models they would be sure far more often than in 5 of 100 worlds."""
    num_worlds, below, as_models = 200, 0, 0
    for world in range(num_worlds):
        rng = np.random.default_rng([11, world])
        score_M, gain_M, rate_M = families_world(rng, 0.95)
        columns = {"rate": [rate_M], "rate and its bend": [rate_M, rate_M * (1 - rate_M)], "level and rate": [levels(LEVEL_M), rate_M]}
        fixed_MK = np.column_stack(columns[held])
        _, chance = partial_correlation("r", score_M, gain_M, fixed_MK, rng, family_M=FAMILY_M, member_M=LEVEL_M)
        assert chance is not None
        below += chance < 0.05
        left = left_over(score_M, fixed_MK), left_over(gain_M, fixed_MK)
        as_models += oracle.pearsonr(*left).pvalue < 0.05
    # binomial(200, 0.05): 10 +- 3.1
    assert 2 <= below <= 20
    assert as_models > 40


def test_the_interval_over_families_covers() -> None:
    """S and gain share a part of their family's: the correlation of very many families lies in about 95 % of the intervals."""

    def world(num_families: int, rng: np.random.Generator) -> tuple[Floats, Floats, Ints]:
        shared_F = rng.normal(size=num_families)
        family_M = np.repeat(np.arange(num_families), 3)
        score_M, gain_M = ((shared_F + rng.normal(size=num_families))[family_M] + 0.5 * rng.normal(size=len(family_M)) for _ in range(2))
        return score_M, gain_M, family_M

    # shared 1, own 1, noise 1/4: 1 / 2.25
    truth, covered = 1 / 2.25, 0
    for number in range(200):
        rng = np.random.default_rng([5, number])
        score_M, gain_M, family_M = world(6, rng)
        found, _ = partial_correlation("r", score_M, gain_M, np.zeros((18, 0)), rng, family_M=family_M, member_M=LEVEL_M)
        covered += found.low is not None and found.high is not None and found.low <= truth <= found.high
    # six families: a jackknife of so few covers a little less or more than 190 +- 3.1
    assert 174 <= covered <= 199


def test_pairs_of_one_pass_rate() -> None:
    """By hand: of four models, 0 and 1 are of one family, 3 passes too often, so 0-2 and 1-2 are left, and S of 1 and 2 is too close."""
    rate_M, score_M = np.array([0.30, 0.31, 0.33, 0.50]), np.array([0.1, 0.25, 0.3, 0.9])
    family_M, gain_M = np.array([0, 0, 1, 2]), np.array([0.05, 0.1, 0.2, 0.9])
    pair_Q2 = pairs_apart(rate_M, score_M, family_M, nearest=0.03, furthest=0.1)
    assert pair_Q2.tolist() == [[2, 0]]
    lead = lead_of_pairs("lead", gain_M, pair_Q2, family_M)
    assert lead.value == pytest.approx(0.15)
    assert lead.low is None
    assert lead_of_pairs("lead", gain_M, pair_Q2[:0], family_M).why_none == "there is no such pair"


def test_the_lead_of_pairs_leaves_families_out_with_all_their_pairs() -> None:
    """Three families, pairs 1-0, 2-0, 2-1 with leads 1, 3, 2: by hand the mean is 2, and without each family 2, 3 and 1."""
    pair_Q2 = np.array([[1, 0], [2, 0], [2, 1]])
    lead = lead_of_pairs("lead", np.array([0.0, 1.0, 3.0]), pair_Q2, np.arange(3))
    assert lead.value == pytest.approx(2.0)
    # jackknife of (2, 3, 1): error sqrt(2/3 * 2) = 1.1547, t_2 = 4.3027
    assert (lead.low, lead.high) == pytest.approx((2 - 4.3027 * 1.1547, 2 + 4.3027 * 1.1547), rel=1e-3)


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
