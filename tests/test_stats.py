"""Intervals against SciPy, closed forms and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from jominy import stats


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 15, 31, 63, 1000])
def test_student_quantile_against_scipy(degrees: int) -> None:
    assert stats.student_quantile(0.975, degrees) == pytest.approx(scipy_stats.t.ppf(0.975, degrees), rel=2e-3)
    assert stats.student_quantile(0.025, degrees) == pytest.approx(-stats.student_quantile(0.975, degrees), rel=1e-9)


def test_student_quantile_needs_a_degree() -> None:
    with pytest.raises(ValueError, match="degree of freedom"):
        stats.student_quantile(0.975, 0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 32), (1, 7), (16, 32), (50, 50), (3, 1000)])
def test_wilson_against_scipy(successes: int, trials: int) -> None:
    theirs = scipy_stats.binomtest(successes, trials).proportion_ci(method="wilson")
    ours = stats.wilson(successes, trials)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_refuses_impossible_counts() -> None:
    assert stats.wilson(0, 0) == stats.NO_INTERVAL
    with pytest.raises(ValueError, match="successes must lie in"):
        stats.wilson(5, 4)


def test_share_interval_of_zeros_and_ones_is_wilson_with_t() -> None:
    # 0/1 values with m = 1/4: s^2 = m (1-m) P/(P-1), smoothed s^2 = m (1-m) (P+1)/P, so 40 prompts count as 40 * 40/41.
    values = np.array([1.0] * 10 + [0.0] * 30)
    ours = stats.share_interval(values)
    quantile = scipy_stats.t.ppf(0.975, 39)
    effective = 40 * 40 / 41
    expected = stats.wilson(effective / 4, effective, quantile=quantile)
    assert ours.low == pytest.approx(expected.low, rel=1e-6)
    assert ours.high == pytest.approx(expected.high, rel=1e-6)


def test_nothing_of_32_still_has_an_upper_bound() -> None:
    interval = stats.share_interval(np.zeros(32))
    assert interval.low == 0.0
    # Wilson's bound at 0 is z^2 / (P + z^2), here with t of 31 degrees.
    quantile = scipy_stats.t.ppf(0.975, 31)
    assert interval.high == pytest.approx(quantile**2 / (32 + quantile**2), rel=1e-6)
    assert stats.share_interval(np.ones(32)).low == pytest.approx(1 - quantile**2 / (32 + quantile**2), rel=1e-6)


def test_share_interval_of_a_table_equals_that_of_its_prompts() -> None:
    values, counts = np.array([0.0, 0.3, 1.0]), np.array([5, 11, 2])
    table, spelled = stats.share_interval(values, counts), stats.share_interval(np.repeat(values, counts))
    assert (table.low, table.high) == pytest.approx((spelled.low, spelled.high), rel=1e-12)


def test_share_interval_of_many_prompts_is_the_bootstrap_of_the_ratio() -> None:
    rng = np.random.default_rng(0)
    rollouts = rng.integers(1, 20, size=2000)
    values = rng.binomial(rollouts, rng.beta(2, 2, size=2000)) / rollouts
    interval = stats.share_interval(values, weights_T=rollouts)
    drawn = rng.integers(0, 2000, size=(1000, 2000))
    ratios = (values * rollouts)[drawn].sum(axis=1) / rollouts[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert interval.low == pytest.approx(low, abs=0.1 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.1 * (high - low))


def test_equal_weights_change_nothing() -> None:
    values = np.array([0.0, 0.2, 0.9, 1.0])
    weighted, plain = stats.share_interval(values, weights_T=np.full(4, 7.0)), stats.share_interval(values)
    assert (weighted.low, weighted.high) == pytest.approx((plain.low, plain.high))


def test_one_prompt_has_no_interval() -> None:
    assert stats.share_interval(np.array([0.4])) == stats.NO_INTERVAL
    assert stats.mean_interval(np.array([0.4])) == stats.NO_INTERVAL
    assert stats.mean_interval(np.full(9, 0.4)) == stats.NO_INTERVAL
    assert stats.median_interval(np.arange(5.0)) == stats.NO_INTERVAL
    assert stats.bootstrap_interval(np.ones((1, 1)), lambda m: m[..., 0], np.random.default_rng(0)) == stats.NO_INTERVAL


def test_mean_interval_against_scipy() -> None:
    values = np.random.default_rng(1).normal(size=23)
    low, high = scipy_stats.t.interval(0.95, 22, loc=values.mean(), scale=scipy_stats.sem(values))
    ours = stats.mean_interval(values)
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-5)
    assert stats.mean_interval(values, bounds=(-0.01, 0.01)) == stats.Interval(low=-0.01, high=0.01)


@pytest.mark.parametrize("num_prompts", [6, 10, 25, 64, 3001])
def test_median_interval_covers_by_the_binomial(num_prompts: int) -> None:
    values = np.random.default_rng(2).permutation(num_prompts).astype(float)
    interval = stats.median_interval(values)
    assert interval.low is not None
    depth = int(interval.low) + 1
    assert interval.high == num_prompts - depth
    coverage = 1 - 2 * scipy_stats.binom.cdf(depth - 1, num_prompts, 0.5)
    assert coverage >= 0.95 - 2e-3
    assert 1 - 2 * scipy_stats.binom.cdf(depth, num_prompts, 0.5) < 0.95 + 2e-3


def test_bootstrap_interval_against_scipy_bca() -> None:
    rng = np.random.default_rng(3)
    x = rng.gamma(1.0, size=200)
    y = 2 * x + rng.normal(size=200) + 3
    ours = stats.bootstrap_interval(np.stack([x, y], axis=1), lambda m: m[..., 1] / m[..., 0], rng, num_resamples=8000)
    theirs = scipy_stats.bootstrap(
        (x, y), lambda a, b, axis: b.mean(axis) / a.mean(axis), paired=True, vectorized=True, method="BCa", n_resamples=8000, rng=rng
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.08 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.08 * width)


def test_bootstrap_of_a_table_equals_that_of_its_prompts() -> None:
    columns, counts = np.array([[0.0, 1.0], [0.5, 2.0], [1.0, 1.0]]), np.array([40, 30, 20])

    def ratio(means: np.ndarray) -> np.ndarray:
        return np.asarray(means[..., 0] / means[..., 1])

    table = stats.bootstrap_interval(columns, ratio, np.random.default_rng(4), counts, num_resamples=20_000)
    spelled = stats.bootstrap_interval(np.repeat(columns, counts, axis=0), ratio, np.random.default_rng(5), num_resamples=20_000)
    assert table.low == pytest.approx(spelled.low, abs=0.006)
    assert table.high == pytest.approx(spelled.high, abs=0.006)


def test_many_prompts_are_resampled_in_batches_without_bias() -> None:
    # A sorted column, so that batches in the given order would be all alike inside and inflate the interval 16-fold.
    values = np.sort(np.random.default_rng(6).random(1_000_003))
    interval = stats.bootstrap_interval(values[:, None], lambda m: m[..., 0], np.random.default_rng(7))
    half = 1.96 * math.sqrt(1 / 12 / 1_000_003)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.12 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.12 * half)


def test_bootstrap_without_spread_or_definition_has_no_interval() -> None:
    rng = np.random.default_rng(8)
    assert stats.bootstrap_interval(np.ones((20, 1)), lambda m: m[..., 0], rng) == stats.NO_INTERVAL
    assert stats.bootstrap_interval(rng.random((20, 1)), lambda m: np.full(m.shape[:-1], np.nan), rng) == stats.NO_INTERVAL


def test_permuted_labels_are_uniform_and_keep_the_counts() -> None:
    labels = np.array([[True, True, False, False, False], [False, False, False, True, False]])
    shuffled = stats.permuted_labels(labels, 6000, np.random.default_rng(9))
    assert shuffled.shape == (2, 6000, 5)
    assert (shuffled.sum(axis=2) == labels.sum(axis=1)[:, None]).all()
    # Two of five: 10 places, 600 each, standard deviation 23.
    counts: dict[tuple[int, ...], int] = dict.fromkeys(itertools.combinations(range(5), 2), 0)
    for row in shuffled[0]:
        counts[tuple(int(i) for i in np.flatnonzero(row))] += 1
    assert all(abs(count - 600) < 4 * 23.3 for count in counts.values())


def test_z_score_is_undefined_without_spread() -> None:
    found = stats.z_score(np.array([1.0, 1.0]), np.array([0.0, 1.0]), np.array([0.5, 0.0]))
    assert found[0] == 2.0
    assert math.isnan(found[1])


def test_an_interval_of_a_difference_by_hand() -> None:
    one, other = stats.Interval(low=0.3, high=0.9), stats.Interval(low=0.1, high=0.6)
    # arms 0.3 and 0.4 below, 0.3 and 0.1 above; legs of a right angle, one line, and one line folded back
    alone, together, against = (stats.apart_interval(0.6, one, 0.2, other, r) for r in (0.0, 1.0, -1.0))
    assert (alone.low, alone.high) == pytest.approx((0.4 - 0.5, 0.4 + math.sqrt(0.1)))
    assert (together.low, together.high) == pytest.approx((0.4 - 0.1, 0.4 + 0.2))
    assert (against.low, against.high) == pytest.approx((0.4 - 0.7, 0.4 + 0.4))
    assert stats.apart_interval(0.6, one, 0.2, stats.NO_INTERVAL, 0.0) == stats.NO_INTERVAL
