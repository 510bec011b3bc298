"""Rows as trees: every prompt goes through the model once, and each row sees what it would see alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jominy.engines.forest import Forest
from jominy.engines.forward import hidden_on_forest, hidden_padded
from jominy.engines.network import Network
from tests import tiny
from tests.gradients import every_prompt_is_long, passes_of, rows_of

CPU = torch.device("cpu")
SHAPES = {
    "one row of one token": ([3], [[1]]),
    "only single tokens": ([3, 1], [[1, 1], [1]]),
    "a prompt of one token": ([1], [[4, 2, 1]]),
    "ragged": ([7, 2, 12, 1], [[3, 9], [1], [5, 1, 6, 2], [11]]),
    "alone": ([4, 5, 6], [[2], [3], [4]]),
}


@pytest.mark.parametrize("attention", ["padded", "trees"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt_neox", "gpt2"])
def test_hidden_states_are_those_of_whole_rows(kind: str, shape: str, attention: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if attention == "trees":
        every_prompt_is_long(monkeypatch)
    network = Network(tiny.model(kind))
    rows = rows_of(0, *SHAPES[shape])
    with torch.no_grad():
        ours, theirs = hidden_on_forest(network, rows), hidden_padded(network, rows)
    assert len(ours) == sum(len(row.completion_ids) for row in rows)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_prompt_is_computed_once() -> None:
    # 7 + 2 + 12 + 1 prompt tokens; of the completions all but the last token: 2 + 8 + 0 + 4 + 0 + 5 + 1 + 10
    forest = Forest.of(rows_of(0, *SHAPES["ragged"]), CPU)
    assert forest.tokens_N.shape == (22 + 30,)
    assert forest.targets_M.shape == (38,)
    assert forest.lengths == (3, 9, 1, 5, 1, 6, 2, 11)


def test_a_small_forest_by_hand() -> None:
    first, second, third = rows_of(0, [2, 1], [[3, 1], [2]])
    forest = Forest.of([first, second, third], CPU)
    # p0 p1 a0 a1 | q0 c0: the completion of one token is predicted by the prompt's last and feeds nothing
    expected = np.concatenate([first.prompt_ids, first.completion_ids[:2], third.prompt_ids, third.completion_ids[:1]])
    assert forest.tokens_N.tolist() == expected.tolist()
    assert forest.positions_N.tolist() == [0, 1, 2, 3, 0, 1]
    assert forest.source_M.tolist() == [1, 2, 3, 1, 4, 5]
    assert forest.prompt_of_row_R.tolist() == [0, 0, 1]


def test_other_rows_and_other_prompts_are_out_of_sight() -> None:
    """Changing one completion moves the hidden states of its own row alone, to the last bit."""
    network = Network(tiny.model("llama"))
    rows = rows_of(0, [5, 3], [[4, 4], [4, 4]])
    with torch.no_grad():
        before = hidden_on_forest(network, rows)
        rows[1].completion_ids[0] = (rows[1].completion_ids[0] + 1) % tiny.NUM_WORDS
        after = hidden_on_forest(network, rows)
    changed = (before != after).any(1).tolist()
    # the first token of row 1 is predicted by the prompt, which did not change
    assert changed == [False] * 4 + [False, True, True, True] + [False] * 8


@pytest.mark.parametrize("kind", ["mistral", "gemma2", "lfm2", "granite"])
def test_windows_caps_and_convolutions_stay_on_whole_rows(kind: str) -> None:
    assert not passes_of(tiny.model(kind)).on_forest
