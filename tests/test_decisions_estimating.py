"""Estimates of the study of decisions: hand arithmetic, and intervals that cover planted contrasts of what seeds share and do not share."""

from __future__ import annotations

import numpy as np
import pytest

from jominy.studies.decisions import estimating
from jominy.studies.decisions.estimating import Estimate, combine, estimate_of, measure_of, minus, over_cells, spread, verdict_of_share

TABLE = np.array([[0.0, 1.0, 2.0, 5.0], [1.0, 2.0, 4.0, 5.0], [2.0, 0.0, 3.0, 7.0]])
"""Three seeds, four prompts."""


def both_ends(estimate: Estimate) -> tuple[float, float]:
    measure = measure_of("x", estimate)
    assert measure.low is not None
    assert measure.high is not None
    return measure.low, measure.high


def test_the_spread_of_shared_prompts_by_hand() -> None:
    # grand mean 32/12 = 8/3. Seeds: means 2, 3, 3 -> M_s = 4 * ((2/3)^2 + 2 (1/3)^2) / 2 = 4/3.
    # Prompts: means 1, 1, 3, 17/3 -> deviations -5/3, -5/3, 1/3, 3 -> M_p = 3 * (25 + 25 + 1 + 81)/9 / 3 = 132/9 = 44/3.
    # All: sum of squares 138 - 12 * 64/9 = 158/3; less seeds 2 * 4/3 = 8/3 and prompts 3 * 44/3 = 44 -> 6 left, M_e = 6/6 = 1.
    found = spread(estimate_of(TABLE, shared=True))
    assert found is not None
    variance, degrees = found
    # V = (4/3 + 44/3 - 1) / 12 = 15/12; degrees = 15^2 / ((4/3)^2/2 + (44/3)^2/3 + 1/6)
    assert variance == pytest.approx(15 / 12)
    assert degrees == pytest.approx(225 / (8 / 9 + 1936 / 27 + 1 / 6))


def test_the_spread_of_own_prompts_is_students_over_seeds() -> None:
    low, high = both_ends(estimate_of(TABLE, shared=False))
    # means 2, 3, 3: standard deviation sqrt(1/3), over sqrt(3); t_2(0.975) = 4.30265
    assert (low, high) == pytest.approx((8 / 3 - 4.30265 / 3, 8 / 3 + 4.30265 / 3), rel=1e-4)


def test_what_has_no_spread_of_its_own_is_not_counted() -> None:
    """Seeds and prompts that average out: the rest alone is the spread, with all its degrees."""
    found = spread(estimate_of(np.array([[1.0, -1.0], [-1.0, 1.0]]), shared=True))
    # M_e = 4 / 1, over 4 numbers
    assert found == pytest.approx((1.0, 1.0))
    assert spread(estimate_of(np.full((3, 4), 0.5), shared=True)) is None
    assert spread(estimate_of(np.array([[0.5]]), shared=True)) is None
    one_seed = spread(estimate_of(TABLE[:1], shared=True))
    # 0, 1, 2, 5: variance (4 + 1 + 0 + 9) / 3, over 4
    assert one_seed == pytest.approx((14 / 12, 3))


def test_cells_add_their_spreads() -> None:
    one, other = estimate_of(TABLE, shared=True), estimate_of(3 * TABLE, shared=False)
    both, first, second = (spread(each) for each in (over_cells([one, other]), one, other))
    assert both is not None
    assert first is not None
    assert second is not None
    parts = (first[0] / 4, second[0] / 4)
    assert both[0] == pytest.approx(sum(parts))
    assert both[1] == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / first[1] + parts[1] ** 2 / second[1]))


def test_a_ratio_of_means_by_hand() -> None:
    flat, twice = (estimate_of(np.full((3, 4), value), shared=True) for value in (0.1, 0.2))
    half = estimating.ratio(flat, twice)
    assert half is not None
    assert half.value == pytest.approx(0.5)
    varied = estimate_of(np.random.default_rng(1).uniform(0.5, 1.0, size=(3, 4)), shared=True)
    one = estimating.ratio(varied, varied)
    assert one is not None
    # a ratio with itself is 1, whatever is drawn
    assert one.value == pytest.approx(1.0)
    assert np.abs(one.parts[0].moved_SP).max() < 1e-12
    assert estimating.ratio(varied, minus(varied, varied)) is None
    part = estimating.share_measure("share", varied, minus(flat, twice), meaning="", of="the gain")
    assert part.value is None
    assert "the gain is not surely above 0" in part.why_none


def test_a_formula_moves_as_its_derivative() -> None:
    """A product of two means is moved by each as the other one; a ratio written as a formula is the ratio."""
    rng = np.random.default_rng(2)
    columns_SPC = rng.uniform(0.5, 1.5, size=(3, 4, 2))
    product = estimating.formula(columns_SPC, lambda means: means[..., 0] * means[..., 1], shared=True)
    means = columns_SPC.mean(axis=(0, 1))
    assert product.value == pytest.approx(means[0] * means[1])
    by_hand = (columns_SPC[..., 0] - means[0]) * means[1] + (columns_SPC[..., 1] - means[1]) * means[0]
    np.testing.assert_allclose(product.parts[0].moved_SP, by_hand, atol=1e-9)
    quotient = estimating.formula(columns_SPC, lambda means: means[..., 0] / means[..., 1], shared=True)
    same = estimating.ratio(*(estimate_of(columns_SPC[..., place], shared=True) for place in (0, 1)))
    assert same is not None
    np.testing.assert_allclose(quotient.parts[0].moved_SP, same.parts[0].moved_SP, atol=1e-8)


def test_tests_beside_each_other_are_no_spread() -> None:
    """Two tests with a gain of 0 and of 1 on every prompt: how far tests lie apart is not how badly their mean is known."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.01, size=(3, 8))
    tests = [estimate_of(noise[:, :4], shared=True), estimate_of(1 + noise[:, 4:], shared=True)]
    together = estimating.beside(tests)
    assert together.value == pytest.approx(0.5 + noise.mean())
    low, high = both_ends(together)
    assert high - low < 0.1


def test_more_than_half_is_tested_without_a_quotient() -> None:
    whole = estimate_of(0.2 + 0.001 * TABLE, shared=True)
    most, least = (combine([(share, whole)]) for share in (0.8, 0.2))
    assert [verdict_of_share(part, whole, 0.5) for part in (most, least)] == ["agrees", "disagrees"]
    assert verdict_of_share(most, minus(most, whole), 0.5) == "cannot tell"
    assert verdict_of_share(None, whole, 0.5) == "cannot tell"


def test_a_contrast_needs_the_same_seeds_and_prompts() -> None:
    with pytest.raises(AssertionError, match="same seeds and prompts"):
        minus(estimate_of(TABLE, shared=True), estimate_of(TABLE, shared=False))


@pytest.mark.parametrize(
    ("shared", "effects", "least"),
    [
        (True, (0.0, 0.0, 0.35), 0.95),
        (True, (0.03, 0.1, 0.35), 0.93),
        (True, (0.05, 0.2, 0.2), 0.92),
        (True, (0.1, 0.05, 0.2), 0.93),
        (False, (0.05, 0.1, 0.35), 0.93),
        (False, (0.0, 0.0, 0.35), 0.93),
    ],
)
def test_intervals_cover_a_planted_contrast(shared: bool, effects: tuple[float, float, float], least: float) -> None:
    """Delta_d - Delta_s of two cells with 5 seeds: effects of seed, prompt, both; the noise of 4 responses is about 0.35 a prompt."""
    rng = np.random.default_rng(4)
    by_seed, by_prompt, by_both = effects
    covered, wide, num_trials = 0, [], 600
    for _ in range(num_trials):
        cells = []
        for truth in (0.10, 0.04):
            prompts = rng.normal(0, by_prompt, size=(1 if shared else 5, 48))
            lead = truth + rng.normal(0, by_seed, size=(5, 1)) + prompts + rng.normal(0, by_both, size=(5, 48))
            # what decisions and attempts gain moves with the prompt alike, which their difference must not count
            common = rng.normal(0, 0.5, size=(5, 48))
            cells.append(minus(estimate_of(common + lead / 2, shared=shared), estimate_of(common - lead / 2, shared=shared)))
        low, high = both_ends(over_cells(cells))
        covered += low <= 0.07 <= high
        wide.append((high - low) / 2)
    assert least <= covered / num_trials <= 0.995
    # an interval that covers by being wide would be no help: by a known spread it reaches 1.96 sigma
    prompts_behind = 48 if shared else 5 * 48
    known = 1.96 * np.sqrt((by_seed**2 / 5 + by_prompt**2 / prompts_behind + by_both**2 / (5 * 48)) / 2)
    assert np.mean(wide) < 1.4 * known
