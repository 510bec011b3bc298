"""Which rollouts become rows, and with which weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jominy.packing import rows_to_score, rows_to_train
from jominy.records import Reward, Rollout

BASE = Rollout(
    prompt_id="p",
    index=0,
    text="5",
    token_ids=np.array([44, 45, 2]),
    logprobs=None,
    logprobs_t1=None,
    stop="eos",
    policy="m",
    temperature=1.0,
    top_p=1.0,
    seed=0,
    reward=Reward(value=1.0),
)


def test_unscored_and_zero_rows_are_left_out_and_the_stop_token_trains():
    rollouts = [BASE, replace(BASE, reward=Reward(value=None, note="crash")), BASE, replace(BASE, stop="length")]
    rows, positions = rows_to_train({"p": [1, 9]}, rollouts, np.array([0.5, 3.0, 0.0, -0.5]))
    assert positions.tolist() == [0, 3]
    assert [row.weights.tolist() for row in rows if row.weights is not None] == [[0.5, 0.5, 0.5], [-0.5, -0.5, -0.5]]
    assert rows[0].prompt_ids.tolist() == [1, 9]
    assert rows[0].completion_ids.tolist() == [44, 45, 2]
    _, kept = rows_to_train({"p": [1, 9]}, rollouts, np.array([0.5, 3.0, 0.0, -0.5]), keep_truncated=False)
    assert kept.tolist() == [0]


def test_advantages_must_match():
    with pytest.raises(ValueError, match="2 entries for 1 rollouts"):
        rows_to_train({"p": [1]}, [BASE], np.zeros(2))


def test_rows_to_score_have_no_weights():
    (row,) = rows_to_score({"p": [1]}, [("p", [44, 2])])
    assert row.weights is None
    assert row.completion_ids.tolist() == [44, 2]
