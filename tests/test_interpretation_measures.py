"""Shares, ratios and contrasts of an interpretation: by hand, by brute force, and against sign-flipping done the long way."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jominy.groups import Groups
from jominy.measures.interpretation import (
    agreeing_pairs,
    common_number,
    distinct_ratios,
    mean_share,
    null_of_contrast,
    share_of,
    sign_contrast,
)
from jominy.measures.silhouette import permuted_clarity, prompt_clarity

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


@given(methods=st.lists(st.sampled_from("abcd"), min_size=2, max_size=7), data=st.data())
def test_the_ratio_of_a_few_is_the_mean_over_all_subsets(methods, data):
    size = data.draw(st.integers(2, len(methods)))
    brute = np.mean([len(set(chosen)) / size for chosen in combinations(methods, size)])
    assert distinct_ratios([methods], size)[0] == pytest.approx(brute)


def test_fewer_responses_have_a_higher_ratio_and_the_common_number_takes_that_away():
    # half a, half b: 2 of 2 or 2 of 8; two of the eight are distinct with chance 16/28, so (1 + 16/28) / 2
    groups = [list("ab"), list("aaaabbbb")]
    np.testing.assert_allclose(distinct_ratios(groups), [1.0, 0.25])
    np.testing.assert_allclose(distinct_ratios(groups, 2), [1.0, (1 + 16 / 28) / 2])
    assert np.isnan(distinct_ratios(groups, 3)[0])
    with pytest.raises(ValueError, match="at least two right responses"):
        distinct_ratios(groups, 1)


def test_three_quarters_of_the_prompts_have_the_common_number():
    groups = [["a"] * size for size in (0, 1, 2, 3, 5, 6, 6, 7, 8, 9)]
    common = common_number(groups)
    assert common == 5  # of 2 3 5 6 6 7 8 9
    assert sum(len(group) >= common for group in groups) >= 0.75 * sum(len(group) >= 2 for group in groups)
    assert common_number([["a"]]) is None


def test_a_contrast_by_hand():
    # below 0: 3 of 4 and 0 of 2, together 1/2; above: 1 of 5
    values_P, weights_P = np.array([0.75, 0.0, 0.2, 1.0]), np.array([4, 2, 5, 9])
    negative_P, defined_P = np.array([True, True, False, False]), np.array([True, True, True, False])
    measure = sign_contrast(values_P, weights_P, negative_P, defined_P, np.random.default_rng(0), name="x", meaning="")
    assert measure.value == pytest.approx(0.3)
    assert measure.num_prompts == 3
    one_sided = sign_contrast(values_P, weights_P, ~negative_P | True, defined_P, np.random.default_rng(0), name="x", meaning="")
    assert (one_sided.value, one_sided.why_none) == (None, "no prompt with S >= 0 has any of it")


def test_the_interval_of_a_contrast_covers():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        negative_P = np.arange(60) < 25
        rate_P = np.clip(rng.normal(np.where(negative_P, 0.6, 0.4), 0.15), 0, 1)
        weights_P = rng.integers(1, 9, size=60)
        values_P = rng.binomial(weights_P, rate_P) / weights_P
        measure = sign_contrast(values_P, weights_P, negative_P, np.ones(60, dtype=bool), rng, name="x", meaning="")
        assert measure.low is not None
        assert measure.high is not None
        hits += measure.low <= 0.2 <= measure.high
    assert 181 <= hits <= 199  # 190 expected, standard deviation 3.1


def test_the_null_is_that_of_permuted_labels():
    rng = np.random.default_rng(1)
    rewards = [[1.0] * (1 + prompt % 6) + [0.0] * (7 - prompt % 6) for prompt in range(24)]
    groups = Groups.of(rewards=rewards, probability=rng.random((24, 8)).tolist())
    values_P = np.array([prompt % 6 / 5 for prompt in range(24)])  # tied to the class sizes, so the null is not centred
    weights_P = np.ones(24)
    observed = prompt_clarity(groups, groups.scored_N)
    null = permuted_clarity(groups, groups.scored_N, observed, rng, num_permutations=2000)
    band = null_of_contrast(0.0, values_P, weights_P, null.null_negative_W, rng)
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


def test_a_contrast_that_only_labels_give_is_beyond_its_null():
    chance_P, values_P = np.full(40, 0.5), (np.arange(40) < 20).astype(float)
    far = null_of_contrast(1.0, values_P, np.ones(40), chance_P, np.random.default_rng(0))
    assert far is not None
    assert far.p_value < 0.001
    near = null_of_contrast(0.0, values_P, np.ones(40), chance_P, np.random.default_rng(0))
    assert near is not None
    assert near.p_value > 0.5
    assert null_of_contrast(0.5, values_P, np.ones(40), np.full(40, np.nan), np.random.default_rng(0)) is None
    assert null_of_contrast(0.5, values_P, np.ones(40), np.ones(40), np.random.default_rng(0)) is None


def test_pairs_are_told_alike_whatever_the_methods_are_called():
    assert agreeing_pairs(list("aabb"), list("2211"), list("1234")) == (6, 6)
    assert agreeing_pairs(list("aab"), list("111"), list("123")) == (1, 3)
    assert agreeing_pairs(list("aab"), list("111"), list("112")) == (0, 2)  # the pair that agrees is of the same words
    assert agreeing_pairs(["a"], ["1"], ["1"]) == (0, 0)
