"""Weights of groups: every kind by hand, what keeps a base recipe as it is, permuting, normalising, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from jominy.groups import Groups
from jominy.recipes.loading import load_recipe
from jominy.recipes.recipe import GroupWeights
from jominy.recipes.weighting import SCORES
from jominy.records import Floats
from jominy.stepline import weighed

BASES = (
    "grpo",
    "rloo",
    "dr_grpo:max_tokens=8",
    "dapo:overlong=off",
    "gspo",
    "cispo",
    "reinforce",
    "w_reinforce",
    "negative_only_masked",
    "rft",
)

# Mean answers of 0.4 below a lone right one of 0.8. s of right 0.8: alone, 0. Wrong 0.6: a = (0.4 + 0.2) / 2 = 0.3, b = 0.2, s = -1/3.
# Wrong 0.2: a = (0.4 + 0.2) / 2 = 0.3, b = 0.6, s = 1/2. Wrong 0.4: a = 0.2, b = 0.4, s = 1/2. S = (2/3) / 4 = 1/6;
# by class 0 and (2/3) / 3 = 2/9, so balanced 1/9; separation (0.8 - 0.4) / (0.8 - 0.2) = 2/3; rho = 1/4; all wrong ones lie below: AUROC 1.
LONE = ([1, 0, 0, 0], [0.8, 0.6, 0.2, 0.4])
# The same turned over (P -> 1 - P): distances stay, the right answer is now the least probable one.
LONE_INVERTED = ([1, 0, 0, 0], [0.2, 0.4, 0.8, 0.6])
APART, INVERTED = ([1, 1, 0, 0], [0.9, 0.9, 0.1, 0.1]), ([0, 0, 1, 1], [0.9, 0.9, 0.1, 0.1])
EQUAL, ONE_CLASS, PAIR = ([1, 0, 0, 1], [0.5] * 4), ([1, 1, 1, 1], [0.9, 0.8, 0.1, 0.2]), ([0, 1], [0.9, 0.1])
CASES = (APART, INVERTED, EQUAL, ONE_CLASS, PAIR, LONE, LONE_INVERTED)

BY_HAND = {
    "clarity": (1, -1, 0, 0, 0, 1 / 6, -1 / 6),
    "separation": (1, -1, 0, 0, -1, 2 / 3, -2 / 3),
    "pass_rate": (0, 0, 0, 0, 0, -1 / 2, -1 / 2),
    "balanced": (1, -1, 0, 0, 0, 1 / 9, -1 / 9),
    "auroc": (1, -1, 0, 0, -1, 1, -1),
}
"""Kind -> x of each case; 0 where it is undefined or tied, which weighs 1."""


def groups_of(cases: Sequence[tuple[list[int], list[float]]]) -> Groups:
    return Groups.of(rewards=[rewards for rewards, _ in cases], probability=[values for _, values in cases])


def many(num_groups: int = 24, seed: int = 0, size: int = 8) -> Groups:
    """Groups whose answers have nothing to do with their probabilities; some are of one class."""
    rng = np.random.default_rng(seed)
    rewards = rng.random((num_groups, size)) < rng.random((num_groups, 1))
    return Groups.of(
        rewards=[[float(one) for one in row] for row in rewards], probability=[list(row) for row in rng.random((num_groups, size))]
    )


def weights_of(text: str, groups: Groups) -> GroupWeights:
    recipe = load_recipe(text)
    assert recipe.group_weights is not None
    return recipe.group_weights(groups)


@pytest.mark.parametrize("kind", BY_HAND)
@pytest.mark.parametrize("beta", [0.1, 0.2, 0.5])
def test_the_weights_of_the_paper_and_ours_by_hand(kind, beta):
    groups = groups_of(CASES)
    expected = [math.exp(-beta * x) for x in BY_HAND[kind]]
    found = weights_of(f"grpo:weight={kind},weight_beta={beta}", groups)
    np.testing.assert_allclose(found.weight_P, expected, rtol=1e-12)
    plain, weighted = (load_recipe(text).credit(groups) for text in ("grpo", f"grpo:weight={kind},weight_beta={beta}"))
    np.testing.assert_allclose(weighted, plain * np.repeat(expected, [len(rewards) for rewards, _ in CASES]), rtol=1e-12)
    assert found.trains_P.tolist() == [True, True, True, False, True, True, True]
    assert found.defined_P.tolist() == [True, True, True, False, True, True, True]
    assert found.below_zero_P.tolist() == [False, True, False, False, False, False, True], "of S', whatever the kind"


def test_the_paper_s_own_numbers():
    # exp(-0.2) = 0.8187, exp(0.2) = 1.2214: the ends of what w can be.
    weight_P = weights_of("clarity_weighted", groups_of([APART, INVERTED])).weight_P
    assert weight_P.round(4).tolist() == [0.8187, 1.2214]


def test_fisher_without_spread_and_beyond_all_bounds():
    # Lone and equal answers: undefined, 1. Classes 1e-9 wide and 0.8 apart: F about 1e18, and exp of it would overflow.
    tight = [0.9, 0.9 - 1e-9, 0.1, 0.1 + 1e-9]
    groups = groups_of([APART, LONE, EQUAL, ([1, 1, 0, 0], tight), ([0, 0, 1, 1], tight)])
    np.testing.assert_allclose(weights_of("grpo:weight=fisher", groups).weight_P, [1, 1, 1, 0.95, 1.05])


@pytest.mark.parametrize("base", BASES)
def test_beta_zero_is_the_base_to_the_bit_and_no_weight_turns_a_sign(base):
    groups, recipe = many(), load_recipe(base, 64)
    plain = recipe.credit(groups)
    assert recipe.group_weights is None
    assert np.any(plain != 0)
    for kind in SCORES:
        for norm in ("none", "mean_1"):
            text = f"{base}{',' if ':' in base else ':'}weight={kind},w_norm={norm}"
            none, some = load_recipe(f"{text},weight_beta=0", 64), load_recipe(text, 64)
            np.testing.assert_array_equal(none.credit(groups), plain, err_msg=text)
            np.testing.assert_array_equal(none.keep(groups), recipe.keep(groups))
            credit = some.credit(groups)
            np.testing.assert_array_equal(np.sign(credit), np.sign(plain), err_msg=text)
            assert np.any(credit != plain), text


def test_random_permutes_the_weights_of_the_batch():
    groups = many(64)
    clarity, permuted = (weights_of(f"grpo:weight={kind}", groups) for kind in ("clarity", "random"))
    assert permuted.weight_P[~clarity.defined_P].tolist() == [1.0] * int(np.sum(~clarity.defined_P))
    np.testing.assert_array_equal(np.sort(permuted.weight_P), np.sort(clarity.weight_P))
    of_both = clarity.defined_P
    assert np.sum(of_both) > 40
    assert np.mean(permuted.weight_P[of_both] == clarity.weight_P[of_both]) < 0.15, "a permutation leaves one in place on average"
    # 50 values or so: a chance correlation has a standard deviation of 1 / 7.
    assert abs(np.corrcoef(permuted.weight_P[of_both], clarity.weight_P[of_both])[0, 1]) < 0.5


def ranks(values: Floats) -> list[int]:
    """Which place each weight takes among the weights."""
    return [int(rank) for rank in np.argsort(np.argsort(values))]


def test_random_is_the_same_for_the_same_batch_in_any_order_and_another_for_another():
    groups = many(16, size=6)
    weight_P = weights_of("grpo:weight=random", groups).weight_P
    np.testing.assert_array_equal(weights_of("grpo:weight=random", groups).weight_P, weight_P)
    assert groups.probability_N is not None
    turned = replace(
        groups,
        rewards_N=groups.rewards_N[::-1].copy(),
        correct_N=groups.correct_N[::-1].copy(),
        probability_N=groups.probability_N[::-1].copy(),
    )
    np.testing.assert_allclose(weights_of("grpo:weight=random", turned).weight_P, weight_P[::-1], rtol=1e-12)
    # One probability moves by a millionth: the silhouettes stay in order, and the permutation is another.
    moved_N = groups.probability_N.copy()
    moved_N[0] += 1e-6
    moved = weights_of("grpo:weight=random", replace(groups, probability_N=moved_N)).weight_P
    assert ranks(moved) != ranks(weight_P)


def test_mean_1_divides_by_the_mean_of_the_groups_that_train():
    # x = 1 and -1, and a group of one class that trains nothing: w = e^-0.2 and e^0.2, mean cosh(0.2).
    groups = groups_of([APART, INVERTED, ONE_CLASS])
    found = weights_of("grpo:weight=clarity,w_norm=mean_1", groups)
    mean = math.cosh(0.2)
    np.testing.assert_allclose(found.weight_P, [math.exp(-0.2) / mean, math.exp(0.2) / mean, 1 / mean], rtol=1e-12)
    np.testing.assert_allclose(found.plain_P, [math.exp(-0.2), math.exp(0.2), 1.0], rtol=1e-12)
    # Of positive_only the group of one class trains, and its weight of 1 counts.
    found = weights_of("positive_only:weight=clarity,w_norm=mean_1", groups)
    np.testing.assert_allclose(found.weight_P.mean(), 1.0, rtol=1e-12)
    # Where nothing trains there is nothing to divide by.
    assert weights_of("grpo:weight=clarity,w_norm=mean_1", groups_of([ONE_CLASS])).weight_P.tolist() == [1.0]


def test_right_is_the_reward_before_the_length_penalty_and_not_gold():
    # The penalty leaves the right answers 0.1 and 0.5 (buffer of all 10 tokens: -0.9, -0.5); S' = 1 all the same. Gold says the opposite.
    groups = replace(groups_of([APART]), num_tokens_N=np.array([9, 5, 1, 1]), correct_N=np.array([False, False, True, True]))
    plain = load_recipe("dapo:overlong=1,fill=off", 10).credit(groups)
    assert not np.allclose(plain, load_recipe("dapo:overlong=off").credit(groups))
    weighted = load_recipe("clarity_weighted:overlong=1,fill=off", 10).credit(groups)
    np.testing.assert_allclose(weighted, plain * math.exp(-0.2), rtol=1e-12)


def test_responses_without_log_probabilities_are_left_out_and_counted():
    nan = float("nan")
    # Without its fifth and sixth answers the first group is APART; the second is left with right answers alone.
    groups = Groups.of(rewards=[[1, 1, 0, 0, 1, None], [1, 1, 0]], probability=[[0.9, 0.9, 0.1, 0.1, nan, nan], [0.9, 0.1, nan]])
    found = weights_of("grpo:weight=clarity", groups)
    np.testing.assert_allclose(found.weight_P, [math.exp(-0.2), 1.0])
    assert found.num_unknown == 2, "the unscored one is no loss"
    assert found.defined_P.tolist() == [True, False]
    for probability_N in (None, np.full(9, nan)):
        with pytest.raises(ValueError, match=r"no response has one; let the engine return `logprobs_t1`.*weight=none"):
            load_recipe("grpo:weight=auroc").credit(replace(groups, probability_N=probability_N))
    assert load_recipe("grpo:weight=clarity").credit(Groups.of(rewards=[[None, None]])).tolist() == [0, 0]


def test_what_a_step_tells_of_its_weights_by_hand():
    # Of the groups that train: 0.5, 1, 1, 1.5. ESS (4)^2 / (4 * (0.25 + 1 + 1 + 2.25)) = 16 / 18. Quantile 0.1 of four: 0.3 of the way
    # from 0.5 to 1. Of three with an S' one is below 0.
    weights = GroupWeights(
        weight_P=np.array([1.5, 9.0, 0.5, 1.0, 1.0]),
        plain_P=np.array([1.5, 9.0, 0.5, 1.0, 1.0]),
        trains_P=np.array([True, False, True, True, True]),
        defined_P=np.array([True, True, True, True, False]),
        below_zero_P=np.array([True, True, False, False, False]),
        num_unknown=3,
    )
    told = weighed(weights)
    assert told.pop("ess_share") == pytest.approx(16 / 18)
    assert told.pop("below_zero_share") == pytest.approx(1 / 3)
    assert [told.pop(name) for name in ("min", "low", "median", "high", "max")] == pytest.approx([0.5, 0.65, 1.0, 1.35, 1.5])
    assert told == {"num_groups": 4, "num_weighed": 2, "num_unknown": 3}
    nothing = weighed(replace(weights, trains_P=np.zeros(5, dtype=bool)))
    assert (nothing["min"], nothing["ess_share"], nothing["below_zero_share"], nothing["num_groups"]) == (None, None, None, 0)
