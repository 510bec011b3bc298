"""What a verb is asked to do, as plain values: the fields are the command line's flags, their docstrings its help.

Kept apart from the verbs so that printing the help imports none of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import Suppress, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSpec:
    """What to sample; two runs with equal specs draw equal rollouts on the same device."""

    task: str = "constraints"
    """Task: a name from `jominy tasks` with its options (`math:gsm8k`), a .jsonl/.parquet/.csv file, or `my_tasks.py:thing`."""
    model: str = "smollm2"
    """Model: an alias from `jominy models`, a local folder, or a hub id."""
    reward: Annotated[str | None, arg(metavar="FILE:FUNCTION")] = None
    """Reward to use instead of the task's own: `my_rewards.py:fn` (native, TRL or verl form). The task's own is then kept as gold."""
    prompts: int = 32
    """Prompts to draw."""
    rollouts: int = 16
    """Responses a prompt: the group size G."""
    max_tokens: int = 64
    """Longest response in tokens."""
    temperature: float = 1.0
    """Softmax temperature; use the one you will train with."""
    top_p: float = 1.0
    """Nucleus; use the one you will train with."""
    seed: int = 0
    """Seed of the prompts and of the draws."""
    reward_timeout: float = 5.0
    """Seconds a reward may take for one response before it counts as unscored."""
    target_column: Annotated[str | None, arg(metavar="NAME")] = None
    """Column that holds the target when the task is a file; default: the first of the usual names, `target`, `answer` and so on."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda or cuda:N."""

    def check(self) -> None:
        """Raises ValueError naming the first field that cannot be."""
        lowest = {"prompts": 1, "rollouts": 1, "max_tokens": 1, "temperature": 0.0}
        for name, low in lowest.items():
            if not low <= getattr(self, name) < math.inf:
                raise ValueError(f"--{name.replace('_', '-')} must be at least {low}; got {getattr(self, name)}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"--top-p must be in (0, 1]; got {self.top_p}")
        if not 0 < self.reward_timeout < math.inf:
            raise ValueError(f"--reward-timeout must be positive; got {self.reward_timeout}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise ValueError(f"--device must be auto, cpu, cuda or cuda:N; got {self.device!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisSpec:
    """How to read the rollouts."""

    group_size: Annotated[int | None, arg(metavar="INT")] = None
    """Group size G of the planned training; default what was sampled, at most 16."""
    success: float = 1.0
    """A response is right when its gold, or else its reward, is at least this."""
    thresholds: Annotated[Mapping[str, float], Suppress] = field(default_factory=dict)
    """Thresholds to set anew, by name (see `thresholds`)."""
    bootstrap_seed: int = 0
    """Seed of the bootstrap and of the permutations behind the intervals."""
    steps: int = 100
    """Optimiser steps of the planned training, for the cost."""
    prompts_per_step: int = 32
    """Prompts a step of the planned training, for the cost."""

    def check(self, num_rollouts: int | None = None) -> None:
        """Raises ValueError naming the first field that cannot be; `num_rollouts` a prompt, when they are still to be sampled."""
        if self.group_size is not None and self.group_size < 2:
            raise ValueError(f"--group-size must be at least 2, for a group compares its rollouts; got {self.group_size}")
        if self.group_size is not None and num_rollouts is not None and self.group_size > num_rollouts:
            raise ValueError(f"--group-size {self.group_size} needs --rollouts of at least {self.group_size}; got {num_rollouts}")
        if not math.isfinite(self.success):
            raise ValueError(f"--success must be a finite reward; got {self.success}")
        if self.bootstrap_seed < 0:
            raise ValueError(f"--bootstrap-seed must be at least 0; got {self.bootstrap_seed}")
        for name in ("steps", "prompts_per_step"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1; got {getattr(self, name)}")
