"""From rollouts to graded rollouts: the truth first, then what pays.

    a function        reward = f(prompt, text)                      gold = truth(prompt, text) where the truth is another function
    a group reward    reward = judge(prompt, graded group)[i]       gold = truth(prompt, text)

Functions run behind the boundary (`rewards.boundary`), where they may crash. A group reward runs here, one group at a time, on rollouts
that carry the grade it starts from: the truth, or what its `base` says.
Left out on purpose: drawing and writing; who calls `Graders.grade` decides what a group is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any

from jominy.records import AnyReward, GroupReward, Prompt, Reward, RewardFunction, Rollout
from jominy.rewards.boundary import Grader


class Graders:
    """A reward and the truth beside it; a context manager, since functions run in processes of their own.

    Args:
        reward: what pays.
        gold: what tells the truth; None where that is what pays. A group reward needs one.
        timeout_s: seconds a function may take for one response.

    Raises:
        ValueError: a function cannot be loaded in its process.

    >>> from jominy.tasks.arithmetic import make
    >>> with Graders(make("").reward, None, timeout_s=5.0) as graders:
    ...     graders.grade([], {})
    []
    """

    def __init__(self, reward: AnyReward, gold: RewardFunction | None, *, timeout_s: float) -> None:
        assert gold is not None or not isinstance(reward, GroupReward), "a group reward is judged beside the truth"
        self.group_reward = reward if isinstance(reward, GroupReward) else None
        self.has_gold = gold is not None
        first = reward if not isinstance(reward, GroupReward) else reward.base or gold
        assert first is not None
        self.grader = Grader(first, timeout_s=timeout_s)
        self.gold_grader = None if gold is None or gold is first else Grader(gold, timeout_s=timeout_s)
        self.stack = ExitStack()

    def __enter__(self) -> Graders:
        """Starts the first processes."""
        with ExitStack() as stack:
            stack.enter_context(self.grader)
            if self.gold_grader is not None:
                stack.enter_context(self.gold_grader)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends them."""
        self.stack.close()

    def grade(self, groups: Sequence[Sequence[Rollout]], prompts: Mapping[str, Prompt]) -> list[list[Rollout]]:
        """The groups with their rewards and, where the truth is another thing, their gold.

        Args:
            groups: ungraded rollouts of one prompt each, in order of their index; a prompt may have several groups, judged one by one.
            prompts: by id.
        """
        pairs = [(prompts[rollout.prompt_id], rollout.text) for group in groups for rollout in group]
        rewards = self.grader.grade(pairs)
        golds: Sequence[Reward | None] = [None] * len(pairs)
        if self.has_gold:
            golds = rewards if self.gold_grader is None else self.gold_grader.grade(pairs)
        graded = iter(zip(rewards, golds, strict=True))
        done = [[_graded(rollout, *next(graded)) for rollout in group] for group in groups]
        if self.group_reward is None:
            return done
        if self.group_reward.judge_all is not None:
            return _judged_together(self.group_reward.judge_all, prompts, done)
        return [_judged(self.group_reward, prompts, group) for group in done]

    def spent(self) -> Mapping[str, Any] | None:
        """What judging has cost since the last call; None where nobody counts."""
        return None if self.group_reward is None or self.group_reward.spent is None else self.group_reward.spent()

    @property
    def first_failure(self) -> str:
        """Where the first crash of a function happened; empty while all is well."""
        return self.grader.first_traceback or ("" if self.gold_grader is None else self.gold_grader.first_traceback)


def check_group_size(reward: AnyReward, num_rollouts: int) -> None:
    """Raises ValueError when the group is smaller than the reward's votes or its trained part."""
    if isinstance(reward, GroupReward) and num_rollouts < reward.smallest_group:
        raise ValueError(f"reward {reward.name} needs --rollouts of at least {reward.smallest_group}; got {num_rollouts}")


def needs_entropies(reward: AnyReward) -> bool:
    """Whether the sampler must keep the entropy behind each token."""
    return isinstance(reward, GroupReward) and reward.needs_entropies


def trained_of(reward: AnyReward) -> int | None:
    """Rollouts of a group that train, the first ones; None for all."""
    return reward.trained if isinstance(reward, GroupReward) else None


def _graded(rollout: Rollout, reward: Reward, gold: Reward | None) -> Rollout:
    return replace(rollout, reward=reward, gold=None if gold is None else gold.value)


def _judged(group_reward: GroupReward, prompts: Mapping[str, Prompt], group: Sequence[Rollout]) -> list[Rollout]:
    """The group with what the group reward pays."""
    if not group:
        return []
    rewards = group_reward.judge(prompts[group[0].prompt_id], group)
    return [replace(rollout, reward=reward) for rollout, reward in zip(group, rewards, strict=True)]


def _judged_together(
    judge_all: Callable[[Sequence[tuple[Prompt, Sequence[Rollout]]]], list[list[Reward]]],
    prompts: Mapping[str, Prompt],
    groups: Sequence[list[Rollout]],
) -> list[list[Rollout]]:
    """The groups with what the reward pays, which sees all of them at once."""
    rewards = iter(judge_all([(prompts[group[0].prompt_id], group) for group in groups if group]))
    return [
        [replace(rollout, reward=reward) for rollout, reward in zip(group, next(rewards), strict=True)] if group else [] for group in groups
    ]
