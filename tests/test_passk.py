"""pass@k against every subset of the answers, and the rules for unequal and unscored groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jominy.groups import Groups
from jominy.measures.passk import all_drawn_alike, chance_at_k, measure_passk, pass_at_k


def share_of_subsets(num_correct: int, num_samples: int, k: int) -> float:
    answers = [True] * num_correct + [False] * (num_samples - num_correct)
    subsets = list(itertools.combinations(answers, k))
    return sum(any(subset) for subset in subsets) / len(subsets)


@pytest.mark.parametrize("num_samples", [1, 2, 5, 8])
def test_every_subset(num_samples: int) -> None:
    for k in range(1, num_samples + 1):
        correct = np.arange(num_samples + 1)
        found = pass_at_k(correct, np.full(num_samples + 1, num_samples), k)
        np.testing.assert_allclose(found, [share_of_subsets(int(c), num_samples, k) for c in correct], atol=1e-12)


def test_large_counts_do_not_overflow() -> None:
    # One right of 20,000 and k = 10,000: it is in the drawn half with chance 1/2.
    assert pass_at_k(np.array([1]), np.array([20_000]), 10_000)[0] == pytest.approx(0.5)
    assert all_drawn_alike(np.array([0]), np.array([10]), 3)[0] == 0.0


def test_the_estimator_is_unbiased() -> None:
    # Enumerate all outcomes of 6 answers with p = 0.3: the mean estimate must be 1 - 0.7^4, which the plug-in misses.
    outcomes = list(itertools.product([0, 1], repeat=6))
    chance = [0.3 ** sum(o) * 0.7 ** (6 - sum(o)) for o in outcomes]
    estimates = pass_at_k(np.array([sum(o) for o in outcomes]), np.full(len(outcomes), 6), 4)
    assert float(np.dot(chance, estimates)) == pytest.approx(1 - 0.7**4, abs=1e-12)


def test_k_beyond_n_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="pass@k needs 1 <= k <= 2"):
        pass_at_k(np.array([0, 1]), np.array([4, 2]), 3)
    with pytest.raises(ValueError, match="at least 1"):
        measure_passk(Groups.of(rewards=[[1]]), group_size=0)
    with pytest.raises(ValueError, match="no prompts"):
        measure_passk(Groups.of(rewards=[]))


def test_curve_by_hand() -> None:
    found = measure_passk(Groups.of(rewards=[[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]), group_size=2)
    assert found.k_K == (1, 2, 4)
    # pass@1: (1/4 + 0 + 2/4)/3; pass@2: (3/6 + 0 + 5/6)/3; pass@4: (1 + 0 + 1)/3
    assert [m.value for m in found.curve] == pytest.approx([0.25, 4 / 9, 2 / 3])
    assert found.at_group_size.value == pytest.approx(4 / 9)
    assert found.at_group_size.name == "pass@2"
    # Two trapezoids of width 1 over a width of 2.
    assert found.area.value == pytest.approx(((0.25 + 4 / 9) / 2 + (4 / 9 + 2 / 3) / 2) / 2)
    assert found.pass_rate_V.tolist() == [0.25, 0.0, 0.5]
    assert all(m.low is not None and m.high is not None and m.low <= m.value <= m.high for m in found.curve if m.value is not None)
    assert found.corrected_curve is None


def test_unequal_groups_are_left_out_and_counted() -> None:
    found = measure_passk(Groups.of(rewards=[[1, 0], [0, 0, 0, 1], [1, 1, 1, 1], [None, None]]), group_size=4)
    assert found.k_K == (1, 2, 4)
    assert [m.num_prompts for m in found.curve] == [3, 3, 2]
    assert [m.num_left_out for m in found.curve] == [1, 1, 2]
    assert {m.num_unscored for m in found.curve} == {2}
    assert found.curve[2].value == 1.0
    assert found.prompts_V.tolist() == [0, 1, 2]


def test_too_few_rollouts_are_undefined_with_a_reason() -> None:
    found = measure_passk(Groups.of(rewards=[[1, 0], [0, 0]]), group_size=16)
    assert found.at_group_size.value is None
    assert "sample at least 16" in found.at_group_size.why_none
    assert found.at_group_size.num_left_out == 2
    lonely = measure_passk(Groups.of(rewards=[[1]]), group_size=1)
    assert lonely.area.value is None
    assert lonely.curve[0].value == 1.0
    assert lonely.curve[0].low is None
    nothing = measure_passk(Groups.of(rewards=[[None], []]))
    assert nothing.k_K == ()
    assert nothing.at_group_size.value is None
    assert nothing.area.value is None


def test_chance_correction() -> None:
    # Yes/no questions guessed blindly: pass@2 of 1 - 1/4 is nothing. Three of four pairs of (1, 0) and (0, 1) ... by hand:
    # two of four right gives pass@2 = 5/6, so (5/6 - 3/4) / (1/4) = 1/3; an open question keeps its 5/6.
    assert chance_at_k(np.array([2, 0, 4]), 2).tolist() == [0.75, 0.0, 0.4375]
    groups = Groups.of(rewards=[[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]])
    with_choices = Groups(
        offsets_P1=groups.offsets_P1,
        rewards_N=groups.rewards_N,
        scored_N=groups.scored_N,
        correct_N=groups.correct_N,
        num_choices_P=np.array([2, 0, 1]),
    )
    found = measure_passk(with_choices, group_size=2)
    assert found.corrected_curve is not None
    corrected = found.corrected_curve[1]
    # The prompt with a single possible answer has no scale and is left out.
    assert corrected.value == pytest.approx((1 / 3 + 5 / 6) / 2)
    assert (corrected.num_prompts, corrected.num_left_out) == (2, 1)
    assert corrected.low is not None
    assert corrected.high is not None
    assert corrected.value is not None
    assert corrected.low < corrected.value < corrected.high <= 1.0
    assert found.curve[1].value == pytest.approx(5 / 6)


def test_order_and_unscored_rollouts_do_not_matter() -> None:
    rewards: list[list[float | None]] = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    mixed: list[list[float | None]] = [[1.0, None, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, None, 0.0, None], [1.0, 0.0, 1.0, 0.0]]
    first, second = measure_passk(Groups.of(rewards=rewards), group_size=4), measure_passk(Groups.of(rewards=mixed), group_size=4)
    for a, b in zip(first.curve, second.curve, strict=True):
        assert (a.value, a.low, a.high, a.num_prompts) == pytest.approx((b.value, b.low, b.high, b.num_prompts))
    assert second.curve[0].num_unscored == 3


def test_chosen_k() -> None:
    found = measure_passk(Groups.of(rewards=[[1, 0, 0]] * 2), ks=[3, 1])
    assert found.k_K == (1, 3)
    assert found.curve[1].value == 1.0
