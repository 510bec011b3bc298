"""Advantages, weights of groups, lengths, divisors and masks: arithmetic by hand, NumPy group by group, scikit-learn."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples

from jominy.groups import Groups
from jominy.recipes.loading import load_recipe
from jominy.recipes.masks import layout
from jominy.records import Rollout, Span

ROOT = Path(__file__).parent.parent
reward = st.sampled_from([None, 0.0, 0.1, 0.5, 1.0])
nested = st.lists(st.lists(reward, min_size=2, max_size=6), min_size=1, max_size=8)


def credit(text: str, rewards: list[list[float | None]]) -> np.ndarray:
    return np.asarray(load_recipe(text, 64).credit(Groups.of(rewards=rewards)))


def test_four_readings_of_one_group():
    # Mean 0.25; population std sqrt(0.75 * 0.25) = 0.4330; sample std sqrt(0.75 / 3) = 0.5; mean of the three others 0 and 1/3.
    assert credit("dr_grpo", [[1, 0, 0, 0]]).tolist() == [0.75, -0.25, -0.25, -0.25]
    np.testing.assert_allclose(credit("grpo:epsilon=0", [[1, 0, 0, 0]]), [1.5, -0.5, -0.5, -0.5])
    np.testing.assert_allclose(credit("grpo:epsilon=0,ddof=0", [[1, 0, 0, 0]]), [3**0.5, *([-(3**-0.5)] * 3)])
    np.testing.assert_allclose(credit("rloo", [[1, 0, 0, 0]]), [1, -1 / 3, -1 / 3, -1 / 3])
    assert credit("reinforce", [[1, 0, 0, 0]]).tolist() == [1, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(rewards=nested)
def test_advantages_equal_a_loop_over_groups_without_the_unscored(rewards: list[list[float | None]]) -> None:
    def by_loop(of_group) -> np.ndarray:
        found: list[float] = []
        for group in rewards:
            scored = np.array([one for one in group if one is not None])
            values = iter(of_group(scored) if len(scored) else [])
            found.extend(0.0 if one is None else float(next(values)) for one in group)
        return np.asarray(found)

    def sample_z(scored: np.ndarray) -> np.ndarray:
        if len(set(scored)) < 2:
            return np.zeros(len(scored))
        return np.asarray((scored - np.mean(scored)) / (np.std(scored, ddof=1) + 1e-4))

    def others(scored: np.ndarray) -> np.ndarray:
        if len(scored) < 2:
            return np.zeros(len(scored))
        return np.array([scored[i] - np.mean(np.delete(scored, i)) for i in range(len(scored))])

    all_scored = np.array([one for group in rewards for one in group if one is not None])
    spread = np.std(all_scored, ddof=0) if len(set(all_scored)) > 1 else math.inf
    np.testing.assert_allclose(credit("grpo", rewards), by_loop(sample_z), atol=1e-12)
    np.testing.assert_allclose(credit("rloo", rewards), by_loop(others), atol=1e-12)
    batch = credit("grpo:scale=batch,ddof=0,epsilon=0", rewards)
    np.testing.assert_allclose(batch, by_loop(lambda scored: (scored - np.mean(scored)) / spread), atol=1e-12)


def test_constant_groups_give_exactly_nothing():
    # The mean of three 0.1 is 0.10000000000000002: without care 1e-17 / 1e-6 would be left, or anything at epsilon=0.
    for text in ("grpo", "grpo:epsilon=0", "dapo:overlong=off", "dr_grpo", "rloo", "gspo", "cispo", "positive_only_masked"):
        assert credit(text, [[0.1, 0.1, 0.1], [0, 0], [1, 1, 1, 1, 1]]).tolist() == [0.0] * 10, text
    assert np.mean([0.1] * 3) != 0.1


def test_unscored_rollouts_never_train():
    for text in ("grpo", "reinforce", "negative_only", "w_reinforce", "rft", "sft", "negative_only_masked"):
        recipe = load_recipe(text, 64)
        groups = Groups.of(rewards=[[1, None, 0, None], [None, None]])
        assert not recipe.keep(groups)[~groups.scored_N].any(), text
        assert (recipe.credit(groups)[~groups.scored_N] == 0).all(), text


def test_a_group_of_one_is_refused_but_one_scored_rollout_is_not():
    for text in ("grpo", "rloo", "dr_grpo", "reinforce:scale=group"):
        with pytest.raises(ValueError, match="sample at least two a prompt, or use a recipe without it"):
            credit(text, [[1, 0], [1]])
    assert credit("reinforce", [[1], [0]]).tolist() == [1, 0]
    for text in ("grpo", "rloo"):
        assert credit(text, [[1, None, None]]).tolist() == [0, 0, 0]


def test_signs_of_both_papers():
    rewards: list[list[float | None]] = [[1, 0.5, 0, None]]
    assert load_recipe("positive_only").keep(Groups.of(rewards=rewards)).tolist() == [True, False, False, False]
    assert load_recipe("negative_only").keep(Groups.of(rewards=rewards)).tolist() == [False, True, True, False]
    assert credit("w_reinforce", rewards).tolist() == [0.1, -1, -1, 0]
    assert credit("w_reinforce:success=0.5,lambda=2", rewards).tolist() == [2, 2, -1, 0]
    # z of 1, 0.5, 0 is 1, 0, -1 (std 0.5): what is masked is 0 but stays in the step, and 0.5 is both above 0 and below 1.
    np.testing.assert_allclose(credit("positive_only_masked:epsilon=0", rewards), [1, 0, 0, 0])
    np.testing.assert_allclose(credit("negative_only_masked:epsilon=0", rewards), [0, 0, -1, 0])
    assert load_recipe("negative_only_masked").keep(Groups.of(rewards=rewards)).tolist() == [True, True, True, False]


def test_gold_never_reaches_a_recipe():
    groups = Groups.of(rewards=[[1, 1, 0, 0]], probability=[[0.9, 0.8, 0.2, 0.1]])
    other = replace(groups, correct_N=~groups.correct_N)
    for text in ("positive_only", "negative_only", "w_reinforce", "rft", "clarity_weighted", "dapo:overlong=off"):
        recipe = load_recipe(text)
        np.testing.assert_array_equal(recipe.credit(other), recipe.credit(groups))
        np.testing.assert_array_equal(recipe.keep(other), recipe.keep(groups))


def test_dynamic_sampling_keeps_live_groups_only():
    groups = Groups.of(rewards=[[1, 1], [1, 0], [None, 1], [0, None, 0.5]])
    for text in ("dapo:overlong=off", "grpo:fill=two_then_repeat"):
        assert load_recipe(text).keep(groups).tolist() == [False, False, True, True, False, False, True, False, True]
    assert load_recipe("dapo:overlong=off,fill=off").keep(groups).tolist() == groups.scored_N.tolist()


def test_truncated_responses_can_be_dropped_and_stay_in_the_baseline():
    groups = replace(Groups.of(rewards=[[1, 0, 0, 0]]), truncated_N=np.array([False, True, False, True]))
    recipe = load_recipe("grpo:truncated=drop")
    assert recipe.keep(groups).tolist() == [True, False, True, False]
    np.testing.assert_array_equal(recipe.credit(groups), load_recipe("grpo").credit(groups))
    with pytest.raises(ValueError, match="use truncated=keep"):
        recipe.keep(replace(groups, truncated_N=None))


def test_soft_overlong_is_subtracted_before_the_baseline():
    # L_max 100, buffer 20: up to 80 tokens nothing, 90 tokens -0.5, 100 tokens -1. Rewards 1, 0.5, 0 have mean 0.5 and sample std 0.5.
    groups = replace(Groups.of(rewards=[[1, 1, 1]]), num_tokens_N=np.array([80, 90, 100]))
    recipe = load_recipe("dapo:epsilon=0,fill=off", max_tokens=100)
    np.testing.assert_allclose(recipe.credit(groups), [1, 0, -1], atol=1e-12)
    assert not recipe.constant_is_zero
    assert not load_recipe("dapo", max_tokens=100).keep(groups).any()
    with pytest.raises(ValueError, match="use overlong=off"):
        recipe.credit(replace(groups, num_tokens_N=None))


def test_clarity_weights_are_exp_of_scikit_learns_silhouette():
    rng = np.random.default_rng(2)
    rewards = [[1, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 1, 0, 0, 1]]
    probability = rng.uniform(size=(3, 5))
    probability[0] = [0.9, 0.2, 0.3, 0.8, 0.1]
    probability[2] = [0.9, 0.3, 0.8, 0.7, 0.2]  # wrong answers are the likelier ones: S' = -|S|
    expected = []
    for group, values in zip(rewards, probability, strict=True):
        labels = np.array(group)
        if len(set(group)) < 2:
            expected += [1.0] * 5
            continue
        silhouette = silhouette_samples(values[:, None], labels).mean()
        inverted = values[labels == 1].mean() < values[labels == 0].mean()
        expected += [math.exp(-0.2 * (-abs(silhouette) if inverted else silhouette))] * 5
    groups = Groups.of(rewards=rewards, probability=[list(row) for row in probability])
    plain = load_recipe("dapo:overlong=off").credit(groups)
    np.testing.assert_allclose(load_recipe("clarity_weighted").credit(groups), plain * expected, rtol=1e-9)
    assert min(expected) < 1 < max(expected)
    with pytest.raises(ValueError, match="probability"):
        load_recipe("clarity_weighted").credit(Groups.of(rewards=[[1, 0]]))


def test_fisher_weights_by_hand():
    # Right 0.5, 0.7, wrong 0.2, 0.4: means 0.6 and 0.3, both variances (n - 1) 0.02, F = 0.09 / 0.04 = 2.25, exp(-0.0225) = 0.97775.
    # The second group is its mirror image, so F' = -2.25 and exp(0.0225) = 1.02276. At beta = 1 both hit the bounds. A class of one: 1.
    groups = Groups.of(rewards=[[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]], probability=[[0.5, 0.7, 0.2, 0.4]] * 3)
    plain = load_recipe("grpo").credit(groups)
    np.testing.assert_allclose(
        load_recipe("grpo:weight=fisher").credit(groups) / plain, [0.97775] * 4 + [1.02276] * 4 + [1.0] * 4, rtol=1e-5
    )
    np.testing.assert_allclose(load_recipe("grpo:weight=fisher,weight_beta=1").credit(groups) / plain, [0.95] * 4 + [1.05] * 4 + [1.0] * 4)


def test_divisors_by_hand():
    # Rows of 3, 1 and 0 trained tokens, room for 4; the first has two tokens of stage 1 and one of stage 2, the second one of none.
    inside = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    segment = np.array([[1, 1, 2, 2], [0, 1, 1, 1], [0, 0, 0, 0]])
    by_hand = {
        "grpo:divide=tokens": [1 / 4, 1 / 4, 1 / 4, 1 / 4],
        "grpo": [1 / 9, 1 / 9, 1 / 9, 1 / 3],
        "rloo:divide=sequences": [1 / 3, 1 / 3, 1 / 3, 1 / 3],
        "dr_grpo:max_tokens=4": [1 / 12, 1 / 12, 1 / 12, 1 / 12],
        "grpo:divide=segments": [1 / 12, 1 / 12, 1 / 6, 1 / 3],
    }
    for text, values in by_hand.items():
        scale = load_recipe(text).divide(inside, segment)
        np.testing.assert_allclose(scale[inside], values, err_msg=text)
        assert not scale[~inside].any()
        assert load_recipe(text).divide(inside[:0], segment[:0]).shape == (0, 4)
    # One row alone: the mean over its three tokens, or over its two stages.
    np.testing.assert_allclose(load_recipe("grpo").divide(inside[:1], segment[:1]), [[1 / 3, 1 / 3, 1 / 3, 0]])
    np.testing.assert_allclose(load_recipe("grpo:divide=segments").divide(inside[:1], segment[:1]), [[1 / 4, 1 / 4, 1 / 2, 0]])
    np.testing.assert_allclose(load_recipe("rloo:divide=sequences").divide(inside[:1], segment[:1]), [[1, 1, 1, 0]])


def make_rollout(num_tokens: int, *spans: Span) -> Rollout:
    return Rollout(
        prompt_id="p", index=0, text="", token_ids=np.arange(num_tokens), logprobs=None, logprobs_t1=None, stop="eos", policy="m",
        temperature=1.0, top_p=1.0, seed=0, spans=spans,
    )  # fmt: skip


def test_layout_of_spans():
    rollouts = [
        make_rollout(5, Span(kind="attempt", start=0, end=3), Span(kind="verdict", start=3, end=4)),
        make_rollout(2, Span(kind="verdict", start=1, end=9)),
    ]
    inside, segment = layout(rollouts)
    assert inside.astype(int).tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert segment.tolist() == [[2, 2, 2, 1, 0], [0, 1, 0, 0, 0]]  # decision comes before sampling
    inside, _ = layout(rollouts, load_recipe("grpo:spans=verdict").spans)
    assert inside.astype(int).tolist() == [[0, 0, 0, 1, 0], [0, 1, 0, 0, 0]]
    assert layout([make_rollout(3)], ("verdict",))[0].tolist() == [[False, False, False]]
    assert layout([])[0].shape == (0, 0)


def grpo_table() -> list[list[str]]:
    text = (ROOT / "docs" / "choices.md").read_text().split("<!-- grpo -->")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.strip().splitlines()[2:]]


@pytest.mark.parametrize("row", grpo_table(), ids=lambda row: row[0])
def test_the_table_of_what_is_called_grpo(row):
    _, _, right, wrong, std, epsilon, divisor, clip, recipe = row
    (text,) = re.fullmatch(r"`(\S+)`", recipe.strip(" |")).groups()  # type: ignore[union-attr]
    loaded = load_recipe(text, max_tokens=2)
    np.testing.assert_allclose(loaded.credit(Groups.of(rewards=[[1, 0, 0, 0]])), [float(right), *[float(wrong)] * 3], atol=5.1e-5)
    # Deviations 0.75 and three of 0.25 have squares that sum to 0.75: over 3 a std of 0.5, over 4 one of 0.4330.
    spread = {"sample": 0.5, "population": 0.75**0.5 / 2, "none": None}[std]
    if spread is not None:
        np.testing.assert_allclose(loaded.credit(Groups.of(rewards=[[1, 0, 0, 0]]))[0], 0.75 / (spread + float(epsilon)), rtol=1e-12)
    # Two responses of two and one tokens, two allowed.
    inside = np.array([[True, True], [True, False]])
    of_divisor = {
        "tokens": [1 / 3] * 3,
        "rows": [1 / 4, 1 / 4, 1 / 2],
        "budget": [1 / 4] * 3,
        "sequences": [1 / 2] * 3,
        "none": [1 / 2] * 3,
    }
    if divisor != "-":
        np.testing.assert_allclose(loaded.divide(inside, 0 * inside)[inside], of_divisor[divisor])
    if clip == "-":
        return
    bounds = None if clip == "none" else [float(bound) for bound in clip.split("/")]
    assert (loaded.clipped is None) == (bounds is None)
    if bounds is not None and loaded.clipped is not None:
        low, high = bounds
        logp = np.log([[1 - 1.01 * low, 1 + 1.01 * high, 1 - 0.99 * low, 1 + 0.99 * high]]).T
        advantage, one = np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.ones((4, 1), dtype=bool)
        assert loaded.clipped(logp, 0 * logp, 0 * logp, advantage, one).ravel().tolist() == [True, True, False, False]
