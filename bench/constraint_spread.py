"""How often a model follows each constraint type of the `constraints` task: the table in docs/constraints.md.

    python bench/constraint_spread.py [--model smollm2] [--prompts 16] [--rollouts 4] [--tokens 64] [--types no_commas,title] [--texts FILE]
    python bench/constraint_spread.py --threads 1       # on a machine whose cores are busy

Prompts with one constraint, temperature 1, the full distribution. The interval is a clustered bootstrap over prompts (95 %),
because rollouts of one prompt are alike. With --texts the responses are kept as JSON Lines.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from jominy.engines.local import LocalEngine
from jominy.records import Sampling
from jominy.tasks.constraints import TYPES, make


def interval(shares_P: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """2.5 % and 97.5 % quantiles of the mean over prompts drawn anew 2,000 times."""
    means = shares_P[rng.integers(len(shares_P), size=(2000, len(shares_P)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Parses the command line, samples and prints one row a type."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--rollouts", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, help="torch threads; all cores when left out")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--texts", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    engine = LocalEngine.load(arguments.model)
    kept: list[str] = []
    print("| type | followed | 95 % interval | prompts with both |\n|---|---|---|---|")
    for name in arguments.types.split(","):
        task = make(f"{name},count=1")
        prompts = {prompt.id: prompt for prompt in task.prompts(arguments.prompts, 0)}
        shares = []
        for group in engine.sample(list(prompts.values()), arguments.rollouts, Sampling(max_tokens=arguments.tokens), seed=0):
            texts = [rollout.text for rollout in group]
            prompt = prompts[group[0].prompt_id]
            rewards = [task.reward(prompt, text).value for text in texts]
            shares.append(sum(value or 0.0 for value in rewards) / len(rewards))
            for text, value in zip(texts, rewards, strict=True):
                kept.append(json.dumps({"type": name, "prompt": prompt.messages[0].content, "text": text, "reward": value}))
        low, high = interval(np.array(shares), np.random.default_rng(0))
        mixed = sum(0 < share < 1 for share in shares)
        print(f"| {name} | {np.mean(shares):.2f} | {low:.2f} to {high:.2f} | {mixed} of {len(shares)} |", flush=True)
    if arguments.texts:
        arguments.texts.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


if __name__ == "__main__":
    main()
