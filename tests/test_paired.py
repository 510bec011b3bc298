"""Paired differences: hand arithmetic, other libraries, brute force, and intervals that cover planted changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jominy.measures.drift import format_and_skill, kl_to_start
from jominy.measures.paired import difference_interval, fisher_exact_P, gained_by_chance, paired_change, sign_test, surely_moved
from jominy.measures.passk import pass_at_k
from jominy.stats import Interval, mean_interval

ROLLOUTS = 16
Change = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


# ---- the interval


def test_nothing_moved_and_everything_moved_by_hand() -> None:
    # t(31 degrees, 97.5 %) = 2.03951; Wilson's bound of 0 of 32 with t for z is t^2 / (32 + t^2) = 4.15961 / 36.15961 = 0.115035.
    low, high = ends(difference_interval(np.zeros(32)))
    assert (low, high) == pytest.approx((-0.115035, 0.115035), abs=2e-5)
    # All gained: 1 - gain_low = loss_high = 0.115035 and no correlation, so low = 1 - sqrt(2) * 0.115035 = 0.837316.
    assert ends(difference_interval(np.ones(32))) == pytest.approx((0.837316, 1.0), abs=3e-5)


def test_as_many_gained_as_lost_by_hand() -> None:
    # 16 prompts gain 1, 16 lose 1: gain = loss = 1/2, correlation -1, so the two half widths add up. Each is that of 16 of 32 with one
    # pseudo-prompt: P_eff = 32 * 0.25 / ((8 + 0.25) / 32) = 31.0303; t^2 / P_eff = 0.134050;
    # 2.03951 / 1.134050 * sqrt(0.25 / 31.0303 + 4.15961 / (4 * 31.0303^2)) = 0.171904.
    low, high = ends(difference_interval(np.array([1.0, -1.0] * 16)))
    assert (low, high) == pytest.approx((-0.343808, 0.343808), abs=5e-5)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40))
def test_it_holds_the_mean_and_turns_over_with_its_sign(differences: list[float]) -> None:
    values = np.array(differences)
    low, high = ends(difference_interval(values))
    assert -1 <= low <= values.mean() + 1e-12
    assert values.mean() - 1e-12 <= high <= 1
    assert ends(difference_interval(-values)) == pytest.approx((-high, -low), abs=1e-12)


def test_one_prompt_says_nothing_about_prompts() -> None:
    assert difference_interval(np.array([0.5])) == Interval(low=None, high=None)


def moved(p: np.ndarray, shift: np.ndarray | float) -> np.ndarray:
    """Pass rates whose odds are multiplied by exp(shift)."""
    odds = np.clip(p, 1e-9, 1 - 1e-9) / (1 - np.clip(p, 1e-9, 1 - 1e-9)) * np.exp(shift)
    return np.asarray(odds / (1 + odds))


def no_change(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    p = generator.beta(0.3, 1.0, count)
    return p, p


def shifted(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    p = generator.beta(0.3, 1.0, count)
    return p, moved(p, 1 + generator.normal(size=count))


def woken(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    p = np.where(generator.random(count) < 0.8, 0.0, generator.beta(1.0, 2.0, count))
    return p, np.where((p == 0) & (generator.random(count) < 0.2), generator.random(count), p)


def rare_jump(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    p = (generator.random(count) < 0.5).astype(float)
    return p, np.where((p == 0) & (generator.random(count) < 0.1), generator.beta(2.0, 1.0, count), p)


@pytest.mark.parametrize("change", [no_change, shifted, woken, rare_jump])
@pytest.mark.parametrize("k", [1, 16])
def test_it_covers_planted_changes(change: Change, k: int) -> None:
    generator, num_worlds, num_prompts = np.random.default_rng(5), 400, 48
    p, q = change(generator, 400_000)
    truth = float(((1 - p) ** k - (1 - q) ** k).mean())
    hits = 0
    for _ in range(num_worlds):
        p, q = change(generator, num_prompts)
        counts = generator.binomial(ROLLOUTS, p), generator.binomial(ROLLOUTS, q)
        before, after = (pass_at_k(count, np.full(num_prompts, ROLLOUTS), k) for count in counts)
        low, high = ends(difference_interval(after - before))
        hits += low <= truth <= high
    # 400 worlds have a standard error of 1.1 %; it errs to the wide side where few prompts move.
    assert hits / num_worlds >= 0.925, hits / num_worlds


def test_pairing_is_what_makes_it_narrow() -> None:
    # Prompts differ by far more (0 to 1) than the change (0.1 each): comparing each with itself must see it, bands of the two must not.
    generator = np.random.default_rng(3)
    before = generator.uniform(0.1, 0.8, 64)
    after = np.clip(before + generator.normal(0.1, 0.15, 64), 0, 1)
    change = paired_change("x", before, after, unit="share", meaning="", why_none="")
    low, _ = ends(Interval(low=change.difference.low, high=change.difference.high))
    assert low > 0
    assert change.before.high is not None
    assert change.after.low is not None
    assert change.before.high > change.after.low


def test_prompts_undefined_on_one_side_are_left_out_of_all_three() -> None:
    before, after = np.array([0.0, 0.5, np.nan, 1.0]), np.array([1.0, np.nan, 1.0, 1.0])
    change = paired_change("x", before, after, unit="share", meaning="m", why_none="w", num_unscored=(2, 3))
    assert (change.before.value, change.after.value, change.difference.value) == (0.5, 1.0, 0.5)
    assert {m.num_left_out for m in (change.before, change.after, change.difference)} == {2}
    assert [m.num_unscored for m in (change.before, change.after, change.difference)] == [2, 3, 5]
    nothing = paired_change("x", np.array([np.nan]), np.array([1.0]), unit="share", meaning="m", why_none="w")
    assert (nothing.difference.value, nothing.difference.why_none) == (None, "w")


def test_other_units_get_students_interval_of_the_differences() -> None:
    before, after = np.array([10.0, 20.0, 30.0]), np.array([12.0, 21.0, 39.0])
    change = paired_change("length", before, after, unit="tokens", meaning="", why_none="", bounds=(0.0, np.inf))
    expected = mean_interval(np.array([2.0, 1.0, 9.0]))
    assert (change.difference.value, change.difference.low, change.difference.high) == (4.0, expected.low, expected.high)


# ---- prompts that moved


def test_fisher_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    n0, n1 = generator.integers(1, 20, 60), generator.integers(1, 20, 60)
    c0, c1 = generator.integers(0, n0 + 1), generator.integers(0, n1 + 1)
    theirs = [stats.fisher_exact([[a, m - a], [b, n - b]]).pvalue for a, m, b, n in zip(c0, n0, c1, n1, strict=True)]
    assert fisher_exact_P(c0, n0, c1, n1) == pytest.approx(theirs)


def test_sign_test_and_false_discovery_rate_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for up, down in ((0, 0), (3, 0), (7, 2), (2, 7), (30, 30)):
        assert sign_test(up, down) == pytest.approx(stats.binomtest(up, up + down).pvalue if up + down else 1.0)
    generator = np.random.default_rng(1)
    for _ in range(20):
        p_values = generator.random(30) ** 4
        assert surely_moved(p_values).tolist() == (stats.false_discovery_control(p_values) <= 0.05).tolist()


def test_nobody_surely_moves_among_none() -> None:
    assert surely_moved(np.empty(0)).tolist() == []
    assert fisher_exact_P(*(np.empty(0, dtype=np.int64) for _ in range(4))).tolist() == []


@pytest.mark.parametrize(("right", "before", "after"), [(0, 3, 3), (1, 2, 4), (2, 4, 4), (3, 4, 2), (3, 2, 5)])
def test_chance_to_look_gained_by_counting_all_draws(right: int, before: int, after: int) -> None:
    # Which of all responses are the right ones: every choice is equally likely when nothing changed.
    choices = list(combinations(range(before + after), right))
    gained = sum(right > 0 and min(choice) >= before for choice in choices)
    found = gained_by_chance(np.array([right]), np.array([before]), np.array([after]))
    assert found[0] == pytest.approx(gained / len(choices))


# ---- divergence


def test_divergence_by_hand() -> None:
    # Prompt 1: two responses, 3 nats, 4 tokens; prompt 2: one response, 1 nat, 6 tokens; prompt 3: none scored again.
    response, token = kl_to_start(np.array([3.0, 1.0, 0.0]), np.array([4.0, 6.0, 0.0]), np.array([2.0, 1.0, 0.0]), np.random.default_rng(0))
    assert response.value == pytest.approx((3 / 2 + 1) / 2)
    assert token.value == pytest.approx(4 / 10)
    assert (response.num_prompts, response.num_left_out, token.num_left_out) == (2, 1, 1)


def test_divergence_covers_that_of_two_known_coins() -> None:
    # Responses of 8 tokens from Bernoulli(0.7), start Bernoulli(0.5): KL a token = 0.7 ln 1.4 + 0.3 ln 0.6 = 0.082283 nats.
    generator, truth, hits = np.random.default_rng(2), 0.082283, 0
    for _ in range(200):
        heads: np.ndarray = generator.random((32, 4, 8)) < 0.7
        gaps = np.asarray(np.where(heads, np.log(1.4), np.log(0.6)), dtype=np.float64)
        _, token = kl_to_start(gaps.sum(axis=(1, 2)), np.full(32, 32.0), np.full(32, 4.0), generator)
        assert token.low is not None
        assert token.high is not None
        hits += token.low <= truth <= token.high
    assert 0.9 <= hits / 200 <= 0.99


# ---- format and skill


def draw_shares(generator: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    answered = generator.uniform(0.1, 1, (2, count))
    right = answered * generator.random((2, count))
    return answered[0], right[0], answered[1], right[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_two_parts_add_up_to_the_gain_exactly(seed: int) -> None:
    f0, p0, f1, p1 = draw_shares(np.random.default_rng(seed), 20)
    found = format_and_skill(f0, p0, f1, p1, np.random.default_rng(0))
    assert found.format_part.value is not None
    assert found.skill_part.value is not None
    assert found.format_part.value + found.skill_part.value == pytest.approx(p1.mean() - p0.mean(), abs=1e-14)
    back = format_and_skill(f1, p1, f0, p0, np.random.default_rng(0))
    assert back.format_part.value == pytest.approx(-found.format_part.value, abs=1e-14)
    # The same policy that only answers more often gains by format alone, one that is only right more often by skill alone.
    half = format_and_skill(f0 / 2, p0 / 2, f0, p0, np.random.default_rng(0))
    assert half.skill_part.value == pytest.approx(0.0, abs=1e-14)
    same = format_and_skill(f0, p0 / 2, f0, p0, np.random.default_rng(0))
    assert same.format_part.value == 0.0


def test_accuracy_counts_answers_not_prompts() -> None:
    # 3 of 4 answered and 1 right; 1 of 4 answered and 1 right: 2 right of 4 answered, and one prompt without answers left out.
    f0, p0 = np.array([0.75, 0.25, 0.0]), np.array([0.25, 0.25, 0.0])
    found = format_and_skill(f0, p0, np.ones(3), np.ones(3), np.random.default_rng(0))
    assert found.accuracy.before.value == pytest.approx(0.5)
    assert found.accuracy.before.num_left_out == 1
    assert found.answered.before.value == pytest.approx(1 / 3)


def test_it_says_when_it_cannot_part_them() -> None:
    zeros, ones = np.zeros(3), np.ones(3)
    with pytest.raises(ValueError, match="without an answer is right"):
        format_and_skill(ones / 2, ones, ones, ones, np.random.default_rng(0))
    with pytest.raises(ValueError, match="on one side no response holds an answer"):
        format_and_skill(zeros, zeros, ones, ones, np.random.default_rng(0))
