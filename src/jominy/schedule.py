"""What a training run does when: which prompts stand at which place, which seed draws, how fast it learns. Functions of the spec alone.

    place n of epoch e holds prompt order_e[n mod P],     order_e a permutation seeded by (seed, e)
    learning rate of step s = learning_rate * min(1, s / warmup)

So a run that goes on from a checkpoint needs no stored random state: the number of places used so far is its data position.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from jominy.records import Prompt


def prompts_at(pool: Sequence[Prompt], first: int, count: int, seed: int) -> list[Prompt]:
    """The prompts at `count` places from `first` on; every epoch holds each prompt once, in an order of its own.

    >>> pool = [Prompt(id=name, task="t", messages=()) for name in "abc"]
    >>> sorted(prompt.id for prompt in prompts_at(pool, 3, 3, seed=0))
    ['a', 'b', 'c']
    """
    places = np.arange(first, first + count)
    orders = {epoch: np.random.default_rng([seed, epoch]).permutation(len(pool)) for epoch in np.unique(places // len(pool)).tolist()}
    return [pool[orders[place // len(pool)][place % len(pool)]] for place in places.tolist()]


def split_held_out(prompts: Sequence[Prompt], num_held_out: int, num_pool: int) -> tuple[list[Prompt], list[Prompt]]:
    """(pool, held out): the first `num_held_out` are kept out of the pool; where there are not enough for both, at most a fifth of all.

    Raises:
        ValueError: there are fewer than two prompts to split.
    """
    if len(prompts) < 2:
        raise ValueError(f"the task has {len(prompts)} prompt(s); holding some out needs two (give --eval-task, or --eval-every 0)")
    enough = len(prompts) >= num_held_out + num_pool
    number = num_held_out if enough else max(1, min(num_held_out, len(prompts) // 5))
    return list(prompts[number:]), list(prompts[:number])


def draw_seed(seed: int, step: int, batch: int) -> int:
    """Seed of the draws of one batch: another one for each step and batch, so that a prompt that comes again draws other words.

    >>> draw_seed(0, 1, 0) == draw_seed(0, 1, 0), draw_seed(0, 1, 0) == draw_seed(0, 2, 0)
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"{seed}|{step}|{batch}".encode()).digest()[:6], "big")


def learning_rate_at(step: int, learning_rate: float, warmup: int) -> float:
    """Of step 1, 2, ...; rises over `warmup` steps and stays.

    >>> [learning_rate_at(step, 4.0, 2) for step in (1, 2, 3)]
    [2.0, 4.0, 4.0]
    """
    return learning_rate * min(1.0, step / max(1, warmup))
