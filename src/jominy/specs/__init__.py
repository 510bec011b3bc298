"""What a verb is asked to do, as plain values: the fields are the command line's flags, their docstrings its help.

Kept apart from the verbs so that printing the help imports none of them. What `audit` and `refine` are asked stands beside,
in `auditing` and `refining`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Suppress, UseAppendAction, arg

ProbeName = Literal["few_shot", "contamination"]
"""What `diagnose` can sample beyond the run, as `--probe` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSpec:
    """What to sample; two runs with equal specs draw equal rollouts on the same device."""

    task: str = "constraints"
    """Task: a name from `jominy tasks` with its options (`math:gsm8k`), a .jsonl/.parquet/.csv file, or `my_tasks.py:thing`."""
    model: str = "smollm2"
    """Model: an alias from `jominy models`, a local folder, or a hub id."""
    reward: Annotated[str | None, arg(metavar="NAME|FILE:FUNCTION")] = None
    """Reward to use instead of the task's own: a name from `jominy rewards` with its options (`random:gamma=0.3`), or `my_rewards.py:fn`
    (native, TRL or verl form). The task's own is then kept as gold."""
    prompts: int = 32
    """Prompts to draw; of a finite task with fewer, all."""
    rollouts: int = 16
    """Responses a prompt: the group size G."""
    samples: Annotated[str | None, arg(metavar="avg@K|TASK=K,...|paper")] = None
    """Responses a prompt where --rollouts will not do: avg@32 (everywhere), aime24=256,math500=32 (by task; --rollouts for the others), or
    paper (the numbers of 2601.06911 for its six benchmarks; also pass --temperature 0.6 --top-p 0.95, as it does)."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSpec:
    """What `explain` says about attempts and decisions."""

    spans: Annotated[str | None, arg(metavar="READER")] = None
    """Who tells attempts from decisions: task (the task's own, the default where it has one), lexical or lexical:words=wait+hmm (words of
    doubt), markers:attempt=<try>...</try>,verdict=<v>...</v>,accept=YES,retry=NO, or my_file.py:function."""
    credit: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="RECIPE")] = ()
    """An objective to ask what it would have credited on these responses, e.g. grpo:kl=k3; can be given several times. Default: grpo, sft,
    rft, grpo:kl=k3, grpo:kl=k1_reward."""
    gradients: bool = False
    """Also how far the credit reaches: the gradients at logits and parameters by stage; needs the model and takes a while."""
    no_swap: bool = False
    """Do not let the two policies write responses together: nothing is drawn; what an earlier call drew is shown."""
    swap_prompts: int = 48
    """Held-out prompts of the swap."""
    swap_rollouts: int = 8
    """Responses a prompt in each of its four combinations."""
    swap_task: Annotated[str | None, arg(metavar="TASK")] = None
    """Swap on prompts of this task, e.g. retry:digits=4 for longer numbers; default: on the held-out prompts."""
    bank: int = 64
    """Attempts, half of them right, that both policies decide about; 0: none."""

    def check(self) -> None:
        """Raises ValueError naming the first field that cannot be."""
        for name in ("swap_prompts", "swap_rollouts"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1; got {getattr(self, name)}")
        if self.bank < 0 or self.bank % 2:
            raise ValueError(f"--bank must be an even number, half of them right attempts and half wrong, or 0; got {self.bank}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """What is trained on, and who judges it."""

    reward: Annotated[str | None, arg(metavar="NAME|FILE:FUNCTION")] = None
    """Reward to train on instead of the task's own: a name from `jominy rewards` with its options (`random:gamma=0.3`), or
    `my_rewards.py:fn` (native, TRL or verl form). The task's own is then kept as gold."""
    pool: int = 1024
    """Prompts that training draws from, epoch after epoch; 1 is one-shot training. Held-out prompts are never among them."""
    select: Annotated[str | None, arg(metavar="RULE")] = None
    """Train on one prompt (or `,count=N`, from the `,rank=K`-th best) by history:RUN, max_variance:RUN, hardest:RUN, random or id:9f2c.
    RUN is a run folder of the same task."""
    reward_timeout: float = 5.0
    """Seconds a reward may take for one response before it counts as unscored."""
    target_column: Annotated[str | None, arg(metavar="NAME")] = None
    """Column that holds the target when the task is a file; default: the first of the usual names, `target`, `answer` and so on."""
    success: float = 1.0
    """A response counts as right in the curves when its gold, or else its reward, is at least this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSpec:
    """How a step moves the weights."""

    learning_rate: float = 1e-5
    """AdamW's."""
    warmup: int = 0
    """Steps over which the learning rate rises to its value, which it then keeps."""
    weight_decay: float = 0.0
    """AdamW's, a step times the learning rate."""
    max_grad_norm: float = 1.0
    """The gradient is scaled down to this norm."""
    explosion: float = 100.0
    """Stop when the gradient's norm is more than this times the median of the steps before."""
    patience: int = 10
    """Stop when so many first steps, or all where there are fewer, carry no gradient from the reward; 0: go on to the last step."""
    minibatches: int = 1
    """Optimiser updates a step: the groups are cut into that many parts; from the second on they are off policy."""
    lora_rank: int = 0
    """Rank of LoRA adapters on all linear layers; 0 trains all weights."""
    microbatch: int = 0
    """Tokens that go through the model at a time; does not change the result; 0 chooses by device."""
    recompute: bool = False
    """Activation checkpointing: less memory, a third more time."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda or cuda:N."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSpec:
    """What is measured on held-out prompts, and what is kept."""

    eval_every: int = 15
    """Steps between two evaluations on held-out prompts; there is one before the first step and one after the last; 0: none at all."""
    eval_prompts: int = 48
    """Held-out prompts, the same at every evaluation; at most a fifth of what a finite task has."""
    eval_rollouts: int = 8
    """Responses a held-out prompt; pass@k of a larger k needs more."""
    eval_task: Annotated[str | None, arg(metavar="TASK")] = None
    """Task of the held-out prompts; default: prompts of the training task that are kept out of the pool."""
    save_every: int = 15
    """Steps between two checkpoints; there is one after the last step."""
    keep: int = 1
    """Latest checkpoints that are kept, beside the best one."""
    kl_rollouts: int = 1
    """Responses a group on which each step measures the KL to the starting policy; 0: none."""
    audit_every: int = 10
    """Steps between two counts of the right and wrong verdicts of a reward that pays in place of the truth, on the responses of the step;
    nobody is asked again; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """A training run; equal specs on the same device give equal bits."""

    task: str = "constraints"
    """Task: a name from `jominy tasks` with its options (`math:gsm8k`), a .jsonl/.parquet/.csv file, or `my_tasks.py:thing`."""
    model: str = "smollm2"
    """Model: an alias from `jominy models`, a local folder, or a hub id; `lab` is a small one made for the task."""
    recipe: str = "grpo"
    """Recipe from `jominy recipes` with its options (`dapo:clip_high=0.3`), or `my_recipes.py:thing`."""
    steps: int = 30
    """Steps: each draws, grades and learns from one batch."""
    prompts: int = 8
    """Prompts a step."""
    rollouts: int = 8
    """Responses a prompt: the group size G."""
    max_tokens: int = 64
    """Longest response in tokens."""
    temperature: float = 1.0
    """Softmax temperature of drawing and training."""
    seed: int = 0
    """Seed of the prompts and of the draws."""
    data: OmitArgPrefixes[DataSpec] = field(default_factory=DataSpec)
    """What is trained on, and who judges it."""
    update: OmitArgPrefixes[UpdateSpec] = field(default_factory=UpdateSpec)
    """How a step moves the weights."""
    evaluate: OmitArgPrefixes[EvaluateSpec] = field(default_factory=EvaluateSpec)
    """What is measured on held-out prompts, and what is kept."""

    def check(self) -> None:
        """Raises ValueError naming the first field that cannot be."""
        self.sampling(self.task, self.prompts, self.rollouts).check()
        for part in (self, self.data, self.update, self.evaluate):
            for name, low in LOWEST.items():
                if name in part.__slots__ and not low <= getattr(part, name) < math.inf:
                    raise ValueError(f"--{name.replace('_', '-')} must be at least {low}; got {getattr(part, name)}")
        if self.temperature == 0:
            raise ValueError("--temperature must be above 0 in training: the most likely token alone teaches nothing")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self.update, name) > 0:
                raise ValueError(f"--{name.replace('_', '-')} must be above 0; got {getattr(self.update, name)}")
        if self.update.minibatches > self.prompts:
            raise ValueError(f"--minibatches {self.update.minibatches} needs as many prompts a step; --prompts is {self.prompts}")

    def sampling(self, task: str, prompts: int, rollouts: int) -> SampleSpec:
        """The same model, reward and way of drawing, for `sample`."""
        return SampleSpec(
            task=task,
            model=self.model,
            reward=self.data.reward,
            prompts=prompts,
            rollouts=rollouts,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=self.seed,
            reward_timeout=self.data.reward_timeout,
            target_column=self.data.target_column,
            device=self.update.device,
        )


LOWEST: dict[str, float] = {
    "steps": 1,
    "pool": 1,
    "success": -1e300,
    "learning_rate": 0.0,
    "warmup": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 0.0,
    "explosion": 1.0,
    "patience": 0,
    "minibatches": 1,
    "lora_rank": 0,
    "microbatch": 0,
    "eval_every": 0,
    "eval_prompts": 1,
    "eval_rollouts": 1,
    "save_every": 1,
    "keep": 1,
    "kl_rollouts": 0,
    "audit_every": 0,
}
"""Lowest value of each number of a RunSpec and its parts."""
