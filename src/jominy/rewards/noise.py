"""Chance that can be drawn again, and a reward with stated flip rates.

    u = uniform(name, prompt, seed, index)      noisy:  r = 1[u >= false_reject] if C else 1[u < false_accept]

u is a hash of who the rollout is, so a run that goes on, or is drawn again, tosses the same. It does not look at the text: what a coin pays
must not be learnable. C is what the clean reward says, read as 0 or 1 (right from 1 on); the task's truth stays as gold.
Left out on purpose: errors that depend on the text, which a policy can learn to use; write those as a reward of your own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from jominy.records import GroupReward, Prompt, Reward, Rollout, Task
from jominy.rewards.gates import paid, truth_of, unscored
from jominy.rewards.loading import load_reward


def uniform(name: str, prompt_id: str, seed: int, index: int) -> float:
    """A number in [0, 1) that belongs to one rollout under one name: the first 53 bits of a SHA-256.

    >>> uniform("random", "9f2c", 0, 3) == uniform("random", "9f2c", 0, 3) != uniform("random", "9f2c", 0, 4)
    True
    """
    digest = hashlib.sha256(f"{name}|{seed}|{index}|{prompt_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def toss(name: str, rollout: Rollout) -> float:
    """The rollout's `uniform` under this name."""
    return uniform(name, rollout.prompt_id, rollout.seed, rollout.index)


def share_in(reward: str, name: str, text: str) -> float:
    """An option that is a probability.

    Raises:
        ValueError: it is no number in [0, 1].

    >>> share_in("random", "gamma", "0.25")
    0.25
    """
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{reward}: {name} is a probability from 0 to 1; got {text!r}")
    return share


def make_noisy(settings: Mapping[str, str], task: Task) -> GroupReward:
    """The task's own reward, or the one at `of` (FILE:FUNCTION), flipped at the two rates.

    LIMIT: a file of prompts needs a target column even with `of`, since the gold is compared with it.
    """
    accepts = share_in("noisy", "false_accept", settings["false_accept"])
    rejects = share_in("noisy", "false_reject", settings["false_reject"])

    def judge(prompt: Prompt, rollouts: Sequence[Rollout]) -> list[Reward]:
        return [_flipped(rollout, truth_of(prompt, rollout), accepts, rejects) for rollout in rollouts]

    return GroupReward(
        name="noisy",
        summary=f"{settings['of'] or 'the task reward'}; wrong answers pay with chance {accepts:g}, right ones fail with {rejects:g}",
        judge=judge,
        base=load_reward(settings["of"]) if settings["of"] else None,
    )


def _flipped(rollout: Rollout, right: bool | None, accepts: float, rejects: float) -> Reward:
    if right is None:
        return unscored(rollout)
    chance = toss("noisy", rollout)
    return paid(rollout, chance >= rejects if right else chance < accepts, clean=right)
