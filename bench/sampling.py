"""Sampling speed of `LocalEngine` against transformers `generate`: same process, same model object, same precision, in turn.

    python bench/sampling.py                    # 16 prompts x 16 rollouts x 64 new tokens, three alternations
    python bench/sampling.py --clock cpu        # process time on one thread: repeatable on a machine that is busy with other work

Both draw from the full distribution at temperature 1 (no top-k, no top-p) and both are kept from stopping, so each makes exactly the
same number of tokens. `generate` runs in the batching that a short trial finds fastest for it. jominy also keeps two log-probabilities
a token; `generate` keeps none. The machine's matrix rate is measured with the library that torch uses by itself (MKL) and with packed
weights (oneDNN), on a product of the model's own shape.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from jominy.engines import attention, models
from jominy.engines.local import LocalEngine
from jominy.engines.packed import pack
from jominy.records import Message, Prompt, Sampling

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
INSTRUCTIONS = (
    "Write a short poem about the sea.",
    "List three fruits and say how each tastes.",
    "Explain what a bicycle is to a child.",
    "Give me a recipe for vegetable soup.",
    "Describe a cat that is about to jump.",
    "What is the capital of France, and what is it known for?",
    "Tell a story about a robot that learns to paint.",
    "Name five colours.",
    "Write an email that asks for a day off.",
    "Why is the sky blue?",
    "Give three tips for sleeping well.",
    "Describe the taste of coffee without using the word bitter.",
    "Write a slogan for a small bakery in a mountain village.",
    "How do I change a bicycle tyre? Answer in steps.",
    "Summarise the story of Little Red Riding Hood in two sentences.",
    "What should I pack for a weekend at the lake?",
)


def main() -> None:
    """Runs the comparison and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rollouts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--alternations", type=int, default=3)
    parser.add_argument("--batching", type=int, default=0, help="prompts a call for generate; 0 tries several and takes the fastest")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: process time on one thread, for a machine busy with other work"
    )
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    if options.clock == "cpu":
        torch.set_num_threads(1)
    model, tokenizer = models.load_model(options.model, "cpu")
    engine = dataclasses.replace(LocalEngine.of(model, tokenizer, name=options.model), stop_ids=())
    prompts = [Prompt(id=str(n), task="bench", messages=(Message(role="user", content=text),)) for n, text in enumerate(INSTRUCTIONS)]
    gigaflop_per_token = 2e-9 * sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    batching = options.batching or fastest_batching(engine, prompts, options.rollouts, clock)
    print(f"generate: {batching} prompts a call ({batching * options.rollouts} rows)", flush=True)
    ratios = []
    for number in range(options.alternations):
        mkl, onednn = matrix_rate(model, clock)
        theirs = rate(lambda: run_generate(engine, prompts, options.rollouts, options.tokens, batching), clock)
        ours = rate(functools.partial(run_jominy, engine, prompts, options.rollouts, options.tokens, number), clock)
        ratios.append(ours / theirs)
        print(
            f"{number}: generate {theirs:6.0f} tokens/s, jominy {ours:6.0f} tokens/s, ratio {ratios[-1]:.2f}; "
            f"matrix rate MKL {mkl:.0f}, oneDNN {onednn:.0f} GFLOP/s; of oneDNN's: generate {theirs * gigaflop_per_token / onednn:.0%}, "
            f"jominy {ours * gigaflop_per_token / onednn:.0%}",
            flush=True,
        )
    print(
        f"ratio {statistics.median(ratios):.2f} (median of {len(ratios)} pairs, {torch.get_num_threads()} threads, {options.clock} clock)"
    )


def rate(work: Callable[[], int], clock: Callable[[], float]) -> float:
    """Tokens a second."""
    start = clock()
    tokens = work()
    return tokens / (clock() - start)


def run_jominy(engine: LocalEngine, prompts: list[Prompt], num_rollouts: int, max_tokens: int, seed: int) -> int:
    """Tokens drawn."""
    engine.model.set_attn_implementation(attention.NAME)
    groups = engine.sample(prompts, num_rollouts, Sampling(max_tokens=max_tokens), seed)
    return sum(len(rollout.token_ids) for group in groups for rollout in group)


def run_generate(engine: LocalEngine, prompts: list[Prompt], num_rollouts: int, max_tokens: int, batching: int) -> int:
    """Tokens drawn; left-padded batches of `batching` prompts, sdpa attention, dynamic cache: what a user of `generate` gets."""
    model: Any = engine.model
    model.set_attn_implementation("sdpa")
    model.generation_config.eos_token_id = None
    encoded = [engine.encode(prompt) for prompt in prompts]
    tokens = 0
    for first in range(0, len(encoded), batching):
        batch = encoded[first : first + batching]
        width = max(map(len, batch))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in batch])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        made = model.generate(
            ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            num_return_sequences=num_rollouts, max_new_tokens=max_tokens, pad_token_id=0,
        )  # fmt: skip
        tokens += made.shape[0] * (made.shape[1] - width)
    return tokens


def fastest_batching(engine: LocalEngine, prompts: list[Prompt], num_rollouts: int, clock: Callable[[], float]) -> int:
    """Prompts a call at which `generate` is fastest, by a trial of 8 tokens each."""
    rates = {size: rate(functools.partial(run_generate, engine, prompts, num_rollouts, 8, size), clock) for size in (1, 4, 8, 16)}
    print(
        "generate, tokens/s by prompts a call (8 tokens): " + ", ".join(f"{size}: {value:.0f}" for size, value in rates.items()), flush=True
    )
    return max(rates, key=lambda size: rates[size])


def matrix_rate(model: Any, clock: Callable[[], float]) -> tuple[float, float]:
    """(MKL, oneDNN with packed weight) GFLOP/s of 256 rows times the model's widest inner layer, best of ten."""
    linears = [layer.weight for layer in model.get_decoder().modules() if isinstance(layer, torch.nn.Linear)]
    weight = max(linears, key=lambda candidate: candidate.shape[0])
    rows = torch.randn(256, weight.shape[1])
    gigaflop = 2e-9 * rows.shape[0] * weight.numel()
    with torch.inference_mode():
        packed = pack(weight)
        plain = [_seconds(lambda: torch.nn.functional.linear(rows, weight), clock) for _ in range(10)]
        fast = [_seconds(lambda: torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], None), clock) for _ in range(10)]
    return gigaflop / min(plain), gigaflop / min(fast)


def _seconds(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Seconds of one call."""
    start = clock()
    work()
    return clock() - start


if __name__ == "__main__":
    main()
