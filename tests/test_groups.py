"""The columnar view: every kept rollout lands in exactly one block, at its own prompt, whatever the shape of the groups."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jominy.groups import Groups

reward = st.sampled_from([None, 0.0, 0.5, 1.0])
nested = st.lists(st.lists(reward, max_size=6), max_size=12)


@settings(max_examples=150, deadline=None)
@given(rewards=nested, budget=st.integers(1, 20))
def test_blocks_hold_every_scored_rollout_once(rewards: list[list[float | None]], budget: int) -> None:
    groups = Groups.of(rewards=rewards)
    row_N = np.arange(groups.num_rollouts)
    owner = {row: p for p, (a, b) in enumerate(zip(groups.offsets_P1[:-1], groups.offsets_P1[1:], strict=True)) for row in range(a, b)}
    seen: list[int] = []
    for block in groups.blocks(max_elements=budget):
        rows_Bn = block.cut(row_N)
        assert rows_Bn.shape == (len(block.prompts_B), block.size)
        assert rows_Bn.size <= max(budget, block.size)
        for prompt, rows in zip(block.prompts_B, rows_Bn, strict=True):
            assert all(owner[int(row)] == prompt for row in rows)
            seen.extend(int(row) for row in rows)
    assert sorted(seen) == [row for row in range(groups.num_rollouts) if groups.scored_N[row]]
    assert len(seen) == len(set(seen))


@settings(max_examples=100, deadline=None)
@given(rewards=nested, data=st.data())
def test_blocks_and_only_agree_on_any_mask(rewards: list[list[float | None]], data: st.DataObject) -> None:
    groups = Groups.of(rewards=rewards)
    mask = data.draw(st.lists(st.booleans(), min_size=groups.num_rollouts, max_size=groups.num_rollouts))
    keep_N = groups.scored_N & np.array(mask, dtype=bool)
    values_N = np.arange(groups.num_rollouts, dtype=float)
    direct = {int(p): row.tolist() for block in groups.blocks(keep_N) for p, row in zip(block.prompts_B, block.cut(values_N), strict=True)}
    kept = groups.only(keep_N)
    short_K = values_N[keep_N]
    through = {int(p): row.tolist() for block in kept.blocks() for p, row in zip(block.prompts_B, block.cut(short_K), strict=True)}
    plain = {
        p: [float(row) for row in range(a, b) if keep_N[row]]
        for p, (a, b) in enumerate(zip(groups.offsets_P1, groups.offsets_P1[1:], strict=False))
    }
    assert direct == through == {p: rows for p, rows in plain.items() if rows}


@settings(max_examples=100, deadline=None)
@given(rewards=nested)
def test_counts_equal_a_plain_loop(rewards: list[list[float | None]]) -> None:
    groups = Groups.of(rewards=rewards, success=0.5)
    assert groups.num_scored_P().tolist() == [sum(r is not None for r in group) for group in rewards]
    assert groups.num_correct_P().tolist() == [sum(r is not None and r >= 0.5 for r in group) for group in rewards]
    assert groups.num_unscored == sum(r is None for group in rewards for r in group)


def test_only_keeps_every_column() -> None:
    groups = Groups(
        offsets_P1=np.array([0, 2, 3]),
        rewards_N=np.array([1.0, 0.0, 0.5]),
        scored_N=np.array([True, True, False]),
        correct_N=np.array([True, False, False]),
        probability_N=np.array([0.1, 0.2, 0.3]),
        truncated_N=np.array([False, True, True]),
        num_tokens_N=np.array([5, 6, 7]),
        repetitive_N=np.array([True, False, True]),
        prompt_ids=("a", "b"),
        num_choices_P=np.array([2, 0]),
    )
    kept = groups.only(np.array([False, True, True]))
    assert kept.offsets_P1.tolist() == [0, 1, 2]
    assert kept.prompt_ids == ("a", "b")
    assert kept.num_tokens_N is not None
    assert kept.num_tokens_N.tolist() == [6, 7]
    assert kept.probability_N is not None
    assert kept.probability_N.tolist() == [0.2, 0.3]
    assert kept.truncated_N is not None
    assert kept.truncated_N.tolist() == [True, True]
    assert kept.repetitive_N is not None
    assert kept.repetitive_N.tolist() == [False, True]


def test_a_prompt_is_never_split() -> None:
    groups = Groups.of(rewards=[[1.0] * 10, [0.0] * 3])
    sizes = {int(p): block.size for block in groups.blocks(max_elements=4) for p in block.prompts_B}
    assert sizes == {0: 10, 1: 3}


def test_columns_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="offsets_P1 must start at 0"):
        Groups(offsets_P1=np.array([0, 2]), rewards_N=np.zeros(3), scored_N=np.ones(3, bool), correct_N=np.zeros(3, bool))
    with pytest.raises(ValueError, match="must not decrease"):
        Groups(offsets_P1=np.array([0, 3, 2, 3]), rewards_N=np.zeros(3), scored_N=np.ones(3, bool), correct_N=np.zeros(3, bool))
    with pytest.raises(ValueError, match="probability_N has 2"):
        Groups.of(rewards=[[1.0, 0.0, 0.0]], probability=[[0.5, 0.5]])


def test_only_keeps_every_column_in_step() -> None:
    every = np.array([True, True, False, True])
    whole = Groups(
        offsets_P1=np.array([0, 2, 4]),
        rewards_N=np.arange(4.0),
        scored_N=every,
        correct_N=every,
        paid_N=every,
        probability_N=np.arange(4.0),
        truncated_N=every,
        num_tokens_N=np.arange(4),
        repetitive_N=every,
    )
    kept = whole.only(every)
    for field in fields(Groups):
        if field.name.endswith("_N"):
            assert getattr(kept, field.name).tolist() == getattr(whole, field.name)[every].tolist(), field.name
