"""Attention over long shared prompts: what each whole sequence would give alone, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jominy.engines.forest import Forest
from jominy.engines.tree_attention import LONG, STRETCH, TreeAttention
from tests.gradients import rows_of

CPU = torch.device("cpu")
HEADS, GROUPS, WIDTH = 6, 2, 8
SHAPES = {
    "one long prompt": ([STRETCH + 5], [[3, 9, 1]]),
    "just a stretch": ([STRETCH], [[4, 4]]),
    "two prompts, the second short": ([2 * STRETCH + 1, 3], [[5, 2], [7]]),
    "nothing but prompts": ([LONG, LONG], [[1], [1, 1]]),
}


def states(num_tokens: int, heads: int, seed: int) -> torch.Tensor:
    """[heads, num_tokens, WIDTH] in the memory order of a model's projections."""
    drawn = torch.randn(num_tokens, heads, WIDTH, generator=torch.Generator().manual_seed(seed))
    return (2 * drawn).transpose(0, 1).requires_grad_()


def each_sequence_alone(forest: Forest, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float) -> torch.Tensor:
    """[N, HEADS, WIDTH] by one softmax a query over the tokens of its own sequence before it, in float64."""
    out = torch.zeros(len(forest.tokens_N), HEADS, WIDTH, dtype=torch.float64)
    sequences = [prompt[: int(length)] for prompt, length in zip(forest.prompt_tokens_PS, forest.prompt_lengths_P, strict=True)]
    for row, (length, prompt) in enumerate(zip(forest.lengths, forest.prompt_of_row_R.tolist(), strict=True)):
        sequences.append(torch.cat([sequences[prompt], forest.row_tokens_RT[row, : length - 1]]))
    for sequence in sequences:
        for place, token in enumerate(sequence.tolist()):
            seen = sequence[: place + 1]
            for head in range(HEADS):
                group = head // (HEADS // GROUPS)
                share = torch.softmax(keys[group, seen].double() @ queries[head, token].double() * scale, 0)
                out[token, head] = share @ values[group, seen].double()
    return out


@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_gradients_are_those_of_each_sequence_alone(shape: str) -> None:
    forest = Forest.of(rows_of(0, *SHAPES[shape]), CPU)
    num_tokens = len(forest.tokens_N)
    queries, keys, values = states(num_tokens, HEADS, 0), states(num_tokens, GROUPS, 1), states(num_tokens, GROUPS, 2)
    ours = TreeAttention.apply(queries, keys, values, forest.trees, 0.3)
    theirs = each_sequence_alone(forest, queries, keys, values, 0.3)
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)
    weights = torch.from_numpy(np.random.default_rng(3).standard_normal(ours.shape))
    ours_moved = torch.autograd.grad((ours * weights.float()).sum(), (queries, keys, values))
    theirs_moved = torch.autograd.grad((theirs * weights).sum(), (queries, keys, values))
    for mine, exact in zip(ours_moved, theirs_moved, strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-4, atol=1e-4)


def test_scores_far_apart_do_not_overflow() -> None:
    forest = Forest.of(rows_of(0, [LONG], [[4, 4]]), CPU)
    num_tokens = len(forest.tokens_N)
    queries, keys, values = states(num_tokens, HEADS, 0), states(num_tokens, GROUPS, 1), states(num_tokens, GROUPS, 2)
    # scores of some hundreds: exponentials of differences underflow, those of the scores themselves would overflow
    ours = TreeAttention.apply(queries, keys, values, forest.trees, 40.0)
    torch.testing.assert_close(ours.double(), each_sequence_alone(forest, queries, keys, values, 40.0), rtol=1e-3, atol=1e-3)
    moved = torch.autograd.grad(ours.sum(), (queries, keys, values))
    assert all(torch.isfinite(each).all() for each in moved)


def test_only_long_prompts_take_this_way() -> None:
    assert Forest.of(rows_of(0, [LONG], [[2, 2]]), CPU).trees.long
    assert not Forest.of(rows_of(0, [LONG - 1], [[2, 2]]), CPU).trees.long
    assert not Forest.of(rows_of(0, [LONG, LONG - 1], [[2], [2]]), CPU).trees.long
