"""Attention of a training step over a shared prompt: torch's kernel on padded rows and jominy's products over whole trees, in turn.

    python bench/attention.py                        # a prompt of 435 tokens, 8 completions of 40 to 60
    python bench/attention.py --prompt-tokens 150 --prompts 2

One layer of SmolLM2's shape (9 query heads, 3 key heads, 64 wide), forward and backward, float32; milliseconds are medians of the rounds,
the ratio is of neighbours. The largest difference of the two gradients is printed, for the two must agree.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from jominy.engines.forest import Forest
from jominy.engines.tree_attention import TreeAttention
from jominy.records import TrainRow

HEADS, GROUPS, WIDTH = 9, 3, 64


def main() -> None:
    """Times both ways and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--prompt-tokens", type=int, default=435)
    parser.add_argument("--completions", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    forest = Forest.of(rows_of(options), torch.device("cpu"))
    num_tokens = len(forest.tokens_N)
    queries, keys, values = (torch.randn(1, num_tokens, heads, WIDTH).transpose(1, 2).requires_grad_() for heads in (HEADS, GROUPS, GROUPS))
    dout, scale = torch.randn(1, num_tokens, HEADS, WIDTH), WIDTH**-0.5

    def padded() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(forest._padded_attention(queries, keys, values, scale), (queries, keys, values), dout)

    def trees() -> tuple[torch.Tensor, ...]:
        out = TreeAttention.apply(queries[0], keys[0], values[0], forest.trees, scale)  # type: ignore[no-untyped-call]
        return torch.autograd.grad(out[None], (queries, keys, values), dout)

    gap = max(float((one - other).abs().max()) for one, other in zip(padded(), trees(), strict=True))
    pairs = [(seconds(padded), seconds(trees)) for _ in range(options.rounds)]
    ratios = [one / other for one, other in pairs]
    print(f"{num_tokens} tokens, forward and backward of one layer; largest difference of gradients {gap:.1e}")
    print(f"torch's kernel on padded rows  {1e3 * statistics.median(one for one, _ in pairs):6.1f} ms")
    print(f"products over whole trees      {1e3 * statistics.median(other for _, other in pairs):6.1f} ms")
    print(f"ratio                          {statistics.median(ratios):6.2f} (min {min(ratios):.2f}, max {max(ratios):.2f})")


def rows_of(options: argparse.Namespace) -> list[TrainRow]:
    """Prompts with their completions."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(options.prompts):
        prompt = rng.integers(1, 100, options.prompt_tokens)
        for length in rng.integers(40, 61, options.completions).tolist():
            ones, yes = np.ones(length), np.ones(length, dtype=bool)
            rows.append(TrainRow(prompt_ids=prompt, completion_ids=rng.integers(1, 100, length), advantages=ones, inside=yes, scale=ones))
    return rows


def seconds(action: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
