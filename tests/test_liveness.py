"""Live groups against every subset of the answers; shares, effective numbers and what happens where they do not exist."""

from __future__ import annotations

import itertools
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from jominy.groups import Groups
from jominy.measures.liveness import gradient_chance, live_chance, measure_liveness


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("num_samples", [2, 5, 8])
def test_every_subset(num_samples: int) -> None:
    for size in range(2, num_samples + 1):
        for correct in range(num_samples + 1):
            subsets = list(itertools.combinations([1] * correct + [0] * (num_samples - correct), size))
            mixed = sum(0 < sum(subset) < size for subset in subsets) / len(subsets)
            assert live_chance(np.array([correct]), np.array([num_samples]), size)[0] == pytest.approx(mixed, abs=1e-12)


def test_live_share_is_unbiased() -> None:
    # All outcomes of 6 answers with p = 0.2: the mean must be 1 - 0.2^4 - 0.8^4.
    outcomes = list(itertools.product([0, 1], repeat=6))
    chance = [0.2 ** sum(o) * 0.8 ** (6 - sum(o)) for o in outcomes]
    found = live_chance(np.array([sum(o) for o in outcomes]), np.full(len(outcomes), 6), 4)
    assert float(np.dot(chance, found)) == pytest.approx(1 - 0.2**4 - 0.8**4, abs=1e-12)


def test_by_hand() -> None:
    found = measure_liveness(Groups.of(rewards=[[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]), rng(), group_size=2)
    # Of 6 pairs: 3 mixed, 0, 0, 4 mixed; all right 0, 0, 6, 1; all wrong 3, 6, 0, 1.
    assert found.live.value == pytest.approx((3 / 6 + 4 / 6) / 4)
    assert found.all_right.value == pytest.approx((1 + 1 / 6) / 4)
    assert found.all_wrong.value == pytest.approx((3 / 6 + 1 + 1 / 6) / 4)
    assert found.group_sizes == (2, 4)
    assert [m.value for m in found.live_curve] == pytest.approx([7 / 24, 0.5])
    assert found.observed_live.value == 0.5
    assert found.observed_all_right.value == 0.25
    assert found.observed_all_wrong.value == 0.25
    assert found.live_prompts.value == pytest.approx(4 * 7 / 24)
    assert found.live_prompts.unit == "prompts"
    assert found.live_V.tolist() == pytest.approx([0.5, 0.0, 0.0, 4 / 6])


def test_participation_by_pairs_of_pairs() -> None:
    # E[p(1-p)] and E[(p(1-p))^2] by enumerating ordered draws without replacement: (right, wrong) and (right, wrong, right, wrong).
    rewards = [[1, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]

    def share(group: list[int], pattern: tuple[int, ...]) -> float:
        draws = list(itertools.permutations(group, len(pattern)))
        return sum(draw == pattern for draw in draws) / len(draws)

    signal = sum(share(group, (1, 0)) for group in rewards)
    square = sum(share(group, (1, 0, 1, 0)) for group in rewards)
    found = measure_liveness(Groups.of(rewards=rewards), rng(), group_size=2).participation
    assert found.value == pytest.approx(min(signal**2 / square, 4))


def test_participation_of_many_prompts() -> None:
    # 300 of 1,000 prompts at p = 1/2, the others dead: 300 equally informative prompts.
    generator = np.random.default_rng(1)
    right = np.zeros((1000, 64), dtype=bool)
    right[:300] = generator.random((300, 64)) < 0.5
    found = measure_liveness(from_matrix(right), rng(), group_size=16)
    assert found.participation.value == pytest.approx(300, rel=0.02)
    assert found.participation.low is not None
    assert found.participation.high is not None
    assert found.participation.low < 300 < found.participation.high
    assert found.live_prompts.value == pytest.approx(300, rel=0.01)


def from_matrix(right_Pn: np.ndarray) -> Groups:
    num_prompts, size = right_Pn.shape
    return Groups(
        offsets_P1=np.arange(num_prompts + 1) * size,
        rewards_N=right_Pn.ravel().astype(float),
        scored_N=np.ones(right_Pn.size, dtype=bool),
        correct_N=right_Pn.ravel(),
    )


def test_dead_prompts_have_an_honest_upper_bound() -> None:
    found = measure_liveness(Groups.of(rewards=[[0] * 8] * 32), rng(), group_size=8)
    assert found.live.value == 0.0
    assert found.live.low == 0.0
    assert found.live.high is not None
    assert 0.08 < found.live.high < 0.15
    assert found.participation.value is None
    assert "too little signal" in found.participation.why_none


def test_graded_rewards_carry_a_gradient_where_answers_are_all_wrong() -> None:
    groups = Groups.of(rewards=[[0.2, 0.4, None], [0.5, 0.5, 0.5], [1.0, 0.0, 1.0], [0.3, None, None]])
    found = measure_liveness(groups, rng(), group_size=2)
    assert found.gradient.value == pytest.approx((1 + 0 + 2 / 3) / 3)  # of the third group's 3 pairs, 2 differ
    assert found.gradient.num_left_out == 1
    assert found.observed_live.value == pytest.approx(1 / 3)
    assert found.gradient.num_unscored == 3


@pytest.mark.parametrize("group_size", [2, 3, 5])
def test_gradient_chance_is_the_share_of_subsets_with_spread(group_size) -> None:
    rewards = rng().integers(0, 4, size=(12, 6)).astype(float)
    counted = [np.mean([len(set(drawn)) > 1 for drawn in combinations(row, group_size)]) for row in rewards.tolist()]
    assert gradient_chance(Groups.of(rewards=rewards.tolist()), group_size) == pytest.approx(np.array(counted))


def test_gradient_equals_live_for_rewards_of_zero_and_one() -> None:
    groups = Groups.of(rewards=rng().integers(0, 2, size=(20, 9)).tolist())
    found = measure_liveness(groups, rng(), group_size=4)
    assert (found.gradient.value, found.gradient.low, found.gradient.high) == pytest.approx(
        (found.live.value, found.live.low, found.live.high)
    )


def test_truncated_and_repetitive_shares_are_ratios_of_rollouts() -> None:
    groups = Groups.of(rewards=[[1, 0, 0, 0], [0, 0]])
    marked = replace(groups, truncated_N=np.array([True, False, False, False, True, True]), repetitive_N=np.zeros(6, dtype=bool))
    found = measure_liveness(marked, rng(), group_size=2)
    assert found.truncated.value == pytest.approx(3 / 6)
    assert found.truncated.num_prompts == 2
    assert found.repetitive.value == 0.0
    assert found.repetitive.high is not None
    assert found.repetitive.high > 0
    assert measure_liveness(groups, rng(), group_size=2).truncated.value is None
    assert "no column `truncated`" in measure_liveness(groups, rng(), group_size=2).truncated.why_none


def test_undefined_is_none_with_a_reason() -> None:
    found = measure_liveness(Groups.of(rewards=[[1, 0], [None, 1]]), rng(), group_size=16)
    assert found.live.value is None
    assert "plan a smaller group" in found.live.why_none
    assert found.live_prompts.value is None
    assert found.participation.value is None
    nothing = measure_liveness(Groups.of(rewards=[[None], []]), rng())
    assert nothing.observed_live.value is None
    assert nothing.gradient.value is None
    assert nothing.group_sizes == ()


def test_bad_sizes_say_why() -> None:
    with pytest.raises(ValueError, match="at least two rollouts"):
        measure_liveness(Groups.of(rewards=[[1, 0]]), rng(), group_size=1)
    with pytest.raises(ValueError, match="no prompts"):
        measure_liveness(Groups.of(rewards=[]), rng())


def test_order_and_unscored_rollouts_do_not_matter() -> None:
    rewards: list[list[float | None]] = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    mixed: list[list[float | None]] = [[1.0, None, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, None, 0.0, None], [1.0, 0.0, 1.0, 0.0]]
    first = measure_liveness(Groups.of(rewards=rewards), rng(), group_size=4)
    second = measure_liveness(Groups.of(rewards=mixed), rng(), group_size=4)
    for name in ("live", "all_right", "all_wrong", "observed_live", "gradient", "participation"):
        a, b = getattr(first, name), getattr(second, name)
        assert (a.value, a.num_prompts) == pytest.approx((b.value, b.num_prompts))
    assert (first.live.low, first.live.high) == pytest.approx((second.live.low, second.live.high))
