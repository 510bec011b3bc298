"""Which rollouts become rows, with which credit and divisor; arithmetic in comments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jominy.crediting import groups_of_rollouts, rows_to_step
from jominy.recipes.loading import load_recipe
from jominy.records import Reward, Rollout, Span

PROMPTS = {"p": [7, 8], "q": [9]}


def rollout(prompt: str, reward: float | None, length: int = 2, **more: object) -> Rollout:
    made = Rollout(
        prompt_id=prompt,
        index=0,
        text="",
        token_ids=np.arange(length),
        logprobs=np.full(length, -1.0),
        logprobs_t1=np.full(length, -1.0),
        stop="eos",
        policy="m",
        temperature=1.0,
        top_p=1.0,
        seed=0,
        reward=Reward(value=reward, note="" if reward is not None else "crash"),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def rows_of(recipe: str, batch: list[list[Rollout]]):
    loaded = load_recipe(recipe, 4)
    groups = groups_of_rollouts(batch, 1.0)
    return rows_to_step(loaded, batch, groups, loaded.credit(groups), PROMPTS)


def test_columns_of_a_batch():
    batch = [[rollout("p", 1.0), rollout("p", None)], [rollout("q", 0.5, 4, stop="length", gold=1.0)]]
    groups = groups_of_rollouts(batch, 1.0)
    assert groups.offsets_P1.tolist() == [0, 2, 3]
    assert groups.scored_N.tolist() == [True, False, True]
    assert groups.correct_N.tolist() == [True, False, True]  # the last by its gold, though its reward is 0.5
    assert groups.paid_N is not None
    assert groups.paid_N.tolist() == [True, False, False]
    assert groups.truncated_N is not None
    assert groups.truncated_N.tolist() == [False, False, True]
    assert groups.prompt_ids == ("p", "q")
    assert groups.probability_N is not None
    assert groups.probability_N == pytest.approx(np.full(3, np.exp(-1.0)))


def test_zero_advantages_and_unscored_are_not_computed_but_zeros_count_in_the_divisor():
    batch = [[rollout("p", 1.0), rollout("p", 0.0, 4), rollout("p", None)], [rollout("q", 1.0), rollout("q", 1.0)]]
    rows, positions = rows_of("grpo:scale=none,divide=tokens", batch)
    assert positions.tolist() == [0, 1]
    assert [row.advantages.tolist() for row in rows] == [[0.5, 0.5], [-0.5] * 4]  # mean of 1 and 0 is 0.5
    # four scored rollouts are kept: 2 + 4 + 2 + 2 = 10 tokens
    assert rows[0].scale.tolist() == [0.1, 0.1]
    assert rows[0].prompt_ids.tolist() == [7, 8]
    assert rows[0].completion_ids.tolist() == [0, 1]


def test_a_recipe_with_a_kl_computes_rows_without_advantage():
    batch = [[rollout("q", 1.0), rollout("q", 1.0)]]
    assert len(rows_of("grpo", batch)[0]) == 0
    assert len(rows_of("grpo:kl=k3,beta=0.1", batch)[0]) == 2


def test_dropped_truncated_rollouts_stay_in_the_baseline():
    batch = [[rollout("p", 1.0), rollout("p", 0.0, stop="length")]]
    rows, positions = rows_of("grpo:scale=none,truncated=drop", batch)
    assert positions.tolist() == [0]
    assert rows[0].advantages.tolist() == [0.5, 0.5]


def test_only_tokens_of_the_wanted_spans_train():
    spans = (Span(kind="attempt", start=0, end=3), Span(kind="verdict", start=3, end=4))
    batch = [[rollout("p", 1.0, 4, spans=spans), rollout("p", 0.0, 4, spans=spans), rollout("p", 0.0, 4)]]
    rows, positions = rows_of("grpo:spans=verdict,divide=tokens", batch)
    assert positions.tolist() == [0, 1]  # the third has no verdict
    assert rows[0].inside.tolist() == [False, False, False, True]
    assert rows[0].scale.tolist() == [0.0, 0.0, 0.0, 0.5]
