"""Shares, ratios and contrasts of an interpretation: by hand, by brute force, and against sign-flipping done the long way."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jominy.groups import Groups
from jominy.measures import interpretation
from jominy.measures.interpretation import (
    agreeing_pairs,
    distinct_ratios,
    mean_share,
    null_of_contrast,
    ratios_of_two,
    share_of,
    sign_contrast,
    tilted,
)
from jominy.measures.silhouette import permuted_clarity, permuted_negative, prompt_clarity

ALL = np.array([True, True, True])


def test_a_share_is_a_ratio_of_sums_over_prompts_with_a_base():
    measure = share_of(np.array([3, 0, 0]), np.array([4, 2, 0]), ALL, name="x", meaning="", why_none="none")
    assert measure.value == 0.5  # 3 of 6, not the mean of 3/4 and 0
    assert (measure.num_prompts, measure.num_left_out) == (2, 1)
    assert measure.low is not None
    assert measure.high is not None
    assert measure.low < 0.5 < measure.high


def test_an_empty_share_says_why():
    measure = share_of(np.array([0, 1, 0]), np.array([0, 1, 0]), np.array([True, False, True]), name="x", meaning="", why_none="none here")
    assert (measure.value, measure.why_none, measure.num_left_out) == (None, "none here", 2)
    measure = mean_share(np.array([np.nan, 0.5, 1.0]), np.array([True, False, False]), name="x", meaning="", why_none="none here")
    assert (measure.value, measure.why_none) == (None, "none here")


def test_distinct_ratios_by_hand():
    # aabc: 3 methods of 4; one response: undefined; aaaa: 1 of 4
    ratios_P = distinct_ratios([list("aabc"), list("a"), list("aaaa"), []])
    np.testing.assert_array_equal(ratios_P, [0.75, np.nan, 0.25, np.nan])


@given(methods=st.lists(st.sampled_from("abcd"), min_size=2, max_size=7))
def test_the_ratio_of_two_is_the_mean_over_all_pairs(methods):
    brute = np.mean([len(set(chosen)) / 2 for chosen in combinations(methods, 2)])
    assert ratios_of_two([methods])[0] == pytest.approx(brute)


def test_fewer_responses_have_a_higher_ratio_and_two_of_them_do_not():
    # half a, half b: 2 of 2 or 2 of 8; two of the eight differ with chance 16/28, so (1 + 16/28) / 2
    groups = [list("ab"), list("aaaabbbb"), ["a"], []]
    np.testing.assert_allclose(distinct_ratios(groups), [1.0, 0.25, np.nan, np.nan])
    np.testing.assert_allclose(ratios_of_two(groups), [1.0, (1 + 16 / 28) / 2, np.nan, np.nan])


def test_a_contrast_by_hand():
    # below 0: 3 of 4 and 0 of 2, together 1/2; above: 1 of 5
    values_P, weights_P = np.array([0.75, 0.0, 0.2, 1.0]), np.array([4, 2, 5, 9])
    negative_P, defined_P = np.array([True, True, False, False]), np.array([True, True, True, False])
    measure = sign_contrast(values_P, weights_P, negative_P, defined_P, name="x", meaning="")
    assert measure.value == pytest.approx(0.3)
    assert measure.num_prompts == 3
    one_sided = sign_contrast(values_P, weights_P, ~negative_P | True, defined_P, name="x", meaning="")
    assert (one_sided.value, one_sided.why_none) == (None, "no prompt with S >= 0 has any of it")


@pytest.mark.parametrize("num_negative", [4, 6, 25])
@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_the_interval_of_a_contrast_covers(num_negative, all_or_nothing):
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        negative_P = np.arange(60) < num_negative
        mean_P = np.where(negative_P, 0.6, 0.4)
        rate_P = rng.beta(mean_P, 1 - mean_P) if all_or_nothing else np.clip(rng.normal(mean_P, 0.15), 0, 1)
        weights_P = rng.integers(1, 9, size=60)
        values_P = rng.binomial(weights_P, rate_P) / weights_P
        measure = sign_contrast(values_P, weights_P, negative_P, np.ones(60, dtype=bool), name="x", meaning="")
        assert measure.low is not None
        assert measure.high is not None
        hits += measure.low <= 0.2 <= measure.high
    # 285 expected, standard deviation 3.8; a few prompts that are alike count as if they might differ, so their interval covers more
    assert 274 <= hits <= (297 if num_negative == 25 or all_or_nothing else 300)


def test_one_prompt_on_a_side_has_no_interval():
    values_P, negative_P = np.array([0.5, 0.2, 0.4]), np.array([True, False, False])
    measure = sign_contrast(values_P, np.ones(3), negative_P, ALL, name="x", meaning="")
    assert measure.value == pytest.approx(0.2)
    assert (measure.low, measure.high) == (None, None)


def test_the_null_is_that_of_permuted_labels():
    rng = np.random.default_rng(1)
    rewards = [[1.0] * (1 + prompt % 6) + [0.0] * (7 - prompt % 6) for prompt in range(24)]
    groups = Groups.of(rewards=rewards, probability=rng.random((24, 8)).tolist())
    values_P = np.array([prompt % 6 / 5 for prompt in range(24)])  # tied to the class sizes, so the null is not centred
    weights_P = np.ones(24)
    observed = prompt_clarity(groups, groups.scored_N)
    null = permuted_clarity(groups, groups.scored_N, observed, rng, num_permutations=2000)
    band = null_of_contrast(0.0, values_P, weights_P, observed.silhouette_V < 0, null.null_negative_W, rng)
    contrasts = []
    for _ in range(600):  # the long way: permute labels, take S and its sign, take the contrast
        shuffled = [list(rng.permutation(group)) for group in rewards]
        again = Groups(
            offsets_P1=groups.offsets_P1,
            rewards_N=np.concatenate(shuffled),
            scored_N=groups.scored_N,
            correct_N=np.concatenate(shuffled) >= 1,
            probability_N=groups.probability_N,
        )
        below_P = prompt_clarity(again, groups.scored_N).silhouette_V < 0
        contrasts.append(values_P[below_P].mean() - values_P[~below_P].mean())
    assert band is not None
    assert band.mean == pytest.approx(np.mean(contrasts), abs=0.03)  # standard error of the long way: 0.14 / sqrt(600)
    assert band.low == pytest.approx(np.quantile(contrasts, 0.025), abs=0.06)
    assert band.high == pytest.approx(np.quantile(contrasts, 0.975), abs=0.06)
    assert abs(band.mean) > 0.04


def test_tilting_keeps_odds_and_hits_the_count():
    chance_P = np.array([0.6, 0.7, 0.8, 0.5, 0.0, 1.0])
    found_P = tilted(chance_P, 2)
    assert found_P.sum() == pytest.approx(2)
    odds_P = found_P / (1 - found_P)
    # odds 3/2, 7/3 and 4 to 1; 0 and 1 of 200 permutations stand for odds of 1/200 and 200
    np.testing.assert_allclose(odds_P / odds_P[3], [1.5, 7 / 3, 4, 1, 1 / 200, 200])


def test_the_null_given_the_count_by_brute_force():
    # values 0 1 1 1/2, odds 1 2 3 1, two below 0: each pair comes as often as the product of its odds
    values_P, chance_P = np.array([0.0, 1.0, 1.0, 0.5]), np.array([1 / 2, 2 / 3, 3 / 4, 1 / 2])
    odds, pairs = [1, 2, 3, 1], list(combinations(range(4), 2))
    likely = np.array([odds[i] * odds[j] for i, j in pairs]) / sum(odds[i] * odds[j] for i, j in pairs)
    contrasts = np.array([values_P[[i, j]].mean() - values_P[[k for k in range(4) if k not in (i, j)]].mean() for i, j in pairs])
    negative_P = np.array([True, True, False, False])
    band = null_of_contrast(0.75, values_P, np.ones(4), negative_P, chance_P, np.random.default_rng(0))
    assert band is not None
    assert band.mean == pytest.approx(likely @ contrasts, abs=0.03)  # 4000 draws of a deviation below 0.6: 4 standard errors are 0.038
    assert band.p_value == pytest.approx(2 * likely[contrasts >= 0.75].sum(), abs=0.06)


@pytest.mark.parametrize("shift", [0.28, 0.22])
def test_the_null_holds_when_s_carries_signal(shift):
    """Right answers are more probable, so S < 0 is rare, and under permuted labels it is not; severity has nothing to do with it."""
    rng = np.random.default_rng(8)
    low, shares = 0, []
    for _ in range(6):
        right_P = rng.integers(2, 11, size=60)
        rewards = [[1.0] * right + [0.0] * (12 - right) for right in right_P]
        probability = [np.clip(rng.normal(0.3 + shift * np.array(group), 0.15), 0, 1).tolist() for group in rewards]
        groups = Groups.of(rewards=rewards, probability=probability)
        negative_P = prompt_clarity(groups, groups.scored_N).silhouette_V < 0
        chance_P = permuted_negative(groups, groups.scored_N, np.arange(60), rng, num_permutations=100)
        shares.append(negative_P.mean())
        for _ in range(40):
            values_P = rng.binomial(12 - right_P, rng.beta(2, 2, size=60)) / (12 - right_P)
            difference = sign_contrast(values_P, 12 - right_P, negative_P, np.ones(60, dtype=bool), name="x", meaning="").value
            assert difference is not None
            band = null_of_contrast(difference, values_P, 12 - right_P, negative_P, chance_P, rng)
            assert band is not None
            low += band.p_value < 0.05
    assert 0.03 < np.mean(shares) < 0.13
    # 240 worlds: 12 expected, standard deviation 3.4
    assert 3 <= low <= 22


def test_counts_too_large_for_the_exact_null_are_met_nearly(monkeypatch):
    rng = np.random.default_rng(2)
    values_P, negative_P, chance_P = rng.random(300), np.arange(300) < 90, rng.uniform(0.4, 0.8, size=300)
    exact = null_of_contrast(0.02, values_P, np.ones(300), negative_P, chance_P, rng)
    monkeypatch.setattr(interpretation, "MOST_STATES", 0)
    alone = null_of_contrast(0.02, values_P, np.ones(300), negative_P, chance_P, rng)
    assert exact is not None
    assert alone is not None
    # deviation of a contrast: 0.29 * sqrt(1/90 + 1/210) = 0.036
    assert (alone.mean, alone.low, alone.high) == pytest.approx((exact.mean, exact.low, exact.high), abs=0.01)


def test_a_contrast_that_only_labels_give_is_beyond_its_null():
    chance_P, negative_P, rng = np.full(40, 0.5), np.arange(40) < 20, np.random.default_rng(0)
    values_P = negative_P.astype(float)
    far = null_of_contrast(1.0, values_P, np.ones(40), negative_P, chance_P, rng)
    assert far is not None
    assert far.p_value < 0.001
    near = null_of_contrast(0.0, values_P, np.ones(40), negative_P, chance_P, rng)
    assert near is not None
    assert near.p_value > 0.5
    assert null_of_contrast(0.5, values_P, np.ones(40), negative_P, np.full(40, np.nan), rng) is None
    assert null_of_contrast(0.5, values_P, np.ones(40), np.ones(40, dtype=bool), chance_P, rng) is None


def test_the_share_of_permutations_below_0_is_that_of_the_whole_null():
    rewards = [[1.0] * (1 + prompt % 6) + [0.0] * (7 - prompt % 6) for prompt in range(40)]
    groups = Groups.of(rewards=rewards, probability=np.random.default_rng(3).random((40, 8)).tolist())
    observed = prompt_clarity(groups, groups.scored_N)
    whole = permuted_clarity(groups, groups.scored_N, observed, np.random.default_rng(4), num_permutations=50)
    shares_W = permuted_negative(groups, groups.scored_N, observed.prompts_V, np.random.default_rng(4), num_permutations=50)
    np.testing.assert_array_equal(shares_W, whole.null_negative_W)


def test_pairs_are_told_alike_whatever_the_methods_are_called():
    assert agreeing_pairs(list("aabb"), list("2211"), list("1234")) == (6, 6)
    assert agreeing_pairs(list("aab"), list("111"), list("123")) == (1, 3)
    assert agreeing_pairs(list("aab"), list("111"), list("112")) == (0, 2)  # the pair that agrees is of the same words
    assert agreeing_pairs(["a"], ["1"], ["1"]) == (0, 0)
