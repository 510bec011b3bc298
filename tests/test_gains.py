"""Gains over seeds and prompts: hand arithmetic, every resample enumerated, and intervals that cover planted gains."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from jominy.studies.gains import combine, draw, measure_gain, measure_share, rank_correlation, ranks, resample, stretched, widening

TWO_BY_TWO = np.array([[0.5, 0.0], [0.25, 0.75]])


def gain_of(differences: np.ndarray, seed: int = 0):
    draws = draw(differences.shape[0], differences.shape[1], np.random.default_rng(seed))
    return resample(differences, draws)


def test_the_gain_is_the_mean_over_seeds_and_prompts():
    # seed 0: (0.5 + 0) / 2 = 0.25; seed 1: (0.25 + 0.75) / 2 = 0.5; both: 0.375
    assert measure_gain("gain", [gain_of(TWO_BY_TWO)]).value == pytest.approx(0.375)


def test_resamples_are_those_that_enumeration_gives():
    """All 4 choices of two seeds, each with all 16 choices of two prompts in both places, are equally likely."""
    means = [
        np.mean([[TWO_BY_TWO[seed, p] for p in places] for seed, places in zip(seeds, prompts, strict=True)])
        for seeds in itertools.product(range(2), repeat=2)
        for prompts in itertools.product(itertools.product(range(2), repeat=2), repeat=2)
    ]
    drawn = resample(TWO_BY_TWO, draw(2, 2, np.random.default_rng(1), num_resamples=40_000)).drawn_B
    assert len(means) == 64
    assert drawn.mean() == pytest.approx(np.mean(means), abs=0.005)
    for value in np.unique(means):
        assert np.mean(np.isclose(drawn, value)) == pytest.approx(np.mean(np.isclose(means, value)), abs=0.012)


def test_a_contrast_is_resampled_as_its_parts():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(3, 8)), rng.normal(size=(3, 8))
    draws = draw(3, 8, rng)
    whole = resample(2 * first - second, draws)
    joined = combine([(2.0, resample(first, draws)), (-1.0, resample(second, draws))])
    np.testing.assert_allclose(joined.drawn_B, whole.drawn_B, atol=1e-12)
    np.testing.assert_allclose(joined.differences_SP, whole.differences_SP)


def test_widening_by_hand():
    # sqrt(2/1) * t_1(0.975) / z = 1.41421 * 12.7062 / 1.95996
    assert widening([2], [64]) == pytest.approx(9.1683, rel=1e-3)
    # one seed: prompts take its place. sqrt(64/63) * t_63(0.975) / z = 1.00791 * 1.99834 / 1.95996
    assert widening([1], [64]) == pytest.approx(1.02765, rel=1e-3)
    # two cells of 5 and 3 seeds: the smallest for the root, 4 + 2 degrees for t. sqrt(3/2) * 2.44691 / 1.95996
    assert widening([5, 3], [64, 64]) == pytest.approx(1.52902, rel=3e-3)


def test_an_interval_is_stretched_about_the_estimate():
    drawn = np.linspace(0.0, 1.0, 1001)
    # quantiles 0.025 and 0.975: 0.4 - 2 * 0.375 and 0.4 + 2 * 0.575
    assert list(stretched(0.4, drawn, 2.0)) == pytest.approx([-0.35, 1.55])


def test_one_seed_is_an_interval_over_prompts_and_says_so():
    measure = measure_gain("gain", [gain_of(TWO_BY_TWO[:1])])
    assert measure.low is not None
    assert "One seed only" in measure.meaning
    assert measure_gain("gain", [gain_of(np.array([[0.5]]))]).low is None


def test_runs_that_never_moved_gained_nothing_surely():
    still = measure_gain("gain", [gain_of(np.zeros((3, 16)))], all_still=True)
    assert (still.value, still.low, still.high) == (0.0, 0.0, 0.0)
    moved = measure_gain("gain", [gain_of(np.zeros((3, 16)))])
    assert moved.low is not None
    assert moved.high is not None
    assert moved.low < 0 < moved.high


@pytest.mark.parametrize(
    ("num_seeds", "effects", "same_prompts", "expected"),
    [
        (5, (0.05, 0.20, 0.10), False, (0.94, 1.00)),
        (5, (0.10, 0.02, 0.10), False, (0.92, 0.98)),
        (5, (0.05, 0.20, 0.10), True, (0.90, 0.98)),
        (3, (0.05, 0.20, 0.10), False, (0.96, 1.00)),
        (3, (0.10, 0.02, 0.10), False, (0.92, 1.00)),
    ],
)
def test_intervals_cover_planted_gains(num_seeds, effects, same_prompts, expected):
    """Gains that vary by seed, by prompt and by both, 300 studies each; prompts may be the same for all seeds or not."""
    rng = np.random.default_rng(3)
    draws = draw(num_seeds, 32, rng, num_resamples=500)
    by_seed, by_prompt, by_both = effects
    covered = 0
    for _ in range(300):
        prompts = rng.normal(0, by_prompt, (1 if same_prompts else num_seeds, 32))
        planted = 0.1 + rng.normal(0, by_seed, (num_seeds, 1)) + prompts + rng.normal(0, by_both, (num_seeds, 32))
        measure = measure_gain("gain", [resample(planted, draws)])
        assert measure.low is not None
        assert measure.high is not None
        covered += measure.low <= 0.1 <= measure.high
    assert expected[0] <= covered / 300 <= expected[1]


def test_a_share_is_a_ratio_on_the_same_runs():
    rng = np.random.default_rng(4)
    truth = 0.3 + rng.normal(0, 0.1, (4, 16))
    draws = draw(4, 16, rng)
    half = measure_share("share", [(resample(truth / 2, draws), resample(truth, draws))])
    # exactly half on every prompt: whatever is drawn, the ratio is 1/2
    assert [half.value, half.low, half.high] == pytest.approx([0.5, 0.5, 0.5])
    shifted = measure_share("share", [(resample(truth + rng.normal(0, 0.1, (4, 16)), draws), resample(truth, draws))])
    assert shifted.low is not None
    assert shifted.high is not None
    assert shifted.low < (shifted.value or 0) < shifted.high


def test_shares_cover_a_planted_share():
    rng = np.random.default_rng(5)
    draws = draw(5, 32, rng, num_resamples=500)
    covered = 0
    for _ in range(200):
        common = rng.normal(0, 0.03, (5, 1))
        truth = 0.3 + common + rng.normal(0, 0.15, (5, 32))
        arm = 0.12 + rng.normal(0, 0.03, (5, 1)) + rng.normal(0, 0.15, (5, 32))
        share = measure_share("share", [(resample(arm, draws), resample(truth, draws))])
        assert share.low is not None
        assert share.high is not None
        covered += share.low <= 0.4 <= share.high
    assert 0.93 <= covered / 200 <= 1.0


def test_a_share_of_nothing_is_undefined():
    rng = np.random.default_rng(6)
    nothing = rng.normal(0, 0.1, (4, 16))
    draws = draw(4, 16, rng)
    share = measure_share("share", [(resample(nothing + 0.5, draws), resample(nothing - nothing.mean(), draws))])
    assert share.value is None
    assert "not surely above 0" in share.why_none
    harmful = measure_share("share", [(resample(nothing + 0.5, draws), resample(nothing - 0.5, draws))])
    assert harmful.value is None


def test_cells_weigh_alike_in_a_pooled_gain():
    small, large = gain_of(np.full((3, 4), 0.1)), gain_of(np.full((3, 40), 0.5))
    assert measure_gain("gain", [small, large]).value == pytest.approx(0.3)


def test_ranks_by_counting():
    values = np.array([0.3, 0.1, 0.3, 0.9, 0.3, -1.0])
    counted = [1 + sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values]
    np.testing.assert_allclose(ranks(values), counted)


def by_differences(first, second):
    """Spearman without ties: 1 - 6 sum d^2 / (n (n^2 - 1))."""
    order = {value: position for position, value in enumerate(sorted(first))}
    other = {value: position for position, value in enumerate(sorted(second))}
    squares = sum((order[a] - other[b]) ** 2 for a, b in zip(first, second, strict=True))
    return 1 - 6 * squares / (len(first) * (len(first) ** 2 - 1))


def test_rank_correlation_and_its_p_value_by_brute_force():
    first, second = [0.1, 0.9, 0.4, 0.7, 0.2, 0.5], [3.0, 9.0, 1.0, 5.0, 2.0, 8.0]
    rho = by_differences(first, second)
    as_large = [abs(by_differences(first, order)) >= abs(rho) - 1e-12 for order in itertools.permutations(second)]
    measure, p_value = rank_correlation("rho", np.array(first), np.array(second), np.random.default_rng(0))
    assert measure.value == pytest.approx(rho)
    assert p_value == pytest.approx(sum(as_large) / math.factorial(6))
    # Bonett and Wright: atanh(rho) -+ 1.96 sqrt((1 + rho^2 / 2) / 3)
    assert measure.high is not None
    assert measure.low is not None
    assert math.atanh(measure.high) + math.atanh(measure.low) == pytest.approx(2 * math.atanh(rho))
    assert (math.atanh(measure.high) - math.atanh(rho)) ** 2 == pytest.approx(1.95996**2 * (1 + rho**2 / 2) / 3, rel=1e-4)


def test_a_perfect_order_has_a_p_value_and_no_interval():
    # of the 24 orders of four cells, the same and the opposite one are as large
    measure, p_value = rank_correlation("rho", np.arange(4.0), np.array([1.0, 2.0, 5.0, 9.0]), np.random.default_rng(0))
    assert [measure.value, p_value] == pytest.approx([1.0, 2 / 24])
    assert measure.low is None


def test_too_few_or_equal_cells_have_no_rank_correlation():
    three, p_three = rank_correlation("rho", np.arange(3.0), np.arange(3.0), np.random.default_rng(0))
    assert (three.value, p_three) == (None, None)
    assert "4 cells" in three.why_none
    alike, _ = rank_correlation("rho", np.arange(5.0), np.zeros(5), np.random.default_rng(0))
    assert alike.value is None


def test_many_cells_are_permuted_at_random():
    rng = np.random.default_rng(7)
    first, second = np.arange(10.0), np.array([0.0, 2.0, 1.0, 3.0, 9.0, 4.0, 8.0, 5.0, 7.0, 6.0])
    measure, p_value = rank_correlation("rho", first, second, rng)
    rho = by_differences(first.tolist(), second.tolist())
    assert measure.value == pytest.approx(rho)
    # Student's t with 8 degrees is close to the permutation law at ten cells: rho = 0.745 lies between its 1 % and 2.5 % points
    assert p_value is not None
    assert 0.008 < p_value < 0.03
