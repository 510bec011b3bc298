"""What `refine` is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotSpec:
    """Where the rollouts come from that say which prompts can be learned."""

    pilot: Annotated[str, arg(metavar="static|train|none|RUN")] = "static"
    """static samples every prompt; train runs a short training on them, in which a prompt may become solvable (2601.04954's way); none
    leaves the step out; RUN is a folder of `sample`, `diagnose` or `train` on the same task, of which all rollouts over all steps count."""
    model: str = "smollm2"
    """Model of the pilot: an alias from `jominy models`, a local folder, or a hub id."""
    reward: Annotated[str | None, arg(metavar="NAME|FILE:FUNCTION")] = None
    """Reward that will pay in training, where it is not the task's own: it decides what counts as rewarded (above 0)."""
    epochs: int = 2
    """Times that the pilot draws every prompt."""
    rollouts: int = 8
    """Responses a prompt in each epoch."""
    max_tokens: int = 64
    """Longest response in tokens."""
    temperature: float = 1.0
    """Softmax temperature; use the one you will train with."""
    steps: Annotated[int | None, arg(metavar="INT")] = None
    """Steps of a training pilot; default as many as its epochs take."""
    prompts_per_step: int = 8
    """Prompts a step of a training pilot."""
    recipe: str = "grpo"
    """Recipe of a training pilot."""
    learning_rate: float = 1e-5
    """AdamW's, in a training pilot."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda or cuda:N."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimplifySpec:
    """Which constraints stay in a prompt."""

    max_soft: Annotated[int | None, arg(metavar="INT|None")] = 1
    """Soft constraints that a prompt may have at most; None leaves the step out."""
    keep_soft: Literal["random", "trusted"] = "random"
    """Which of them stay: drawn by seed, or those of the type with the highest lower bound of recall on false in the audit, of those that
    it could read and that are not refused whatever they say."""
    audit: Annotated[Path | None, arg(metavar="FOLDER|FILE")] = None
    """What `jominy audit` wrote about the reward that will pay: its folder or its audit.json."""
    min_precision: Annotated[float | None, arg(metavar="SHARE")] = None
    """Remove the types whose precision in the audit, were half of all satisfied, is below this."""
    min_recall_false: Annotated[float | None, arg(metavar="SHARE")] = None
    """Remove the types whose recall on false in the audit is below this."""
    audited: Literal["auto", "soft", "all"] = "auto"
    """Constraints that are paid by who was audited, and whose types may be removed: the soft ones, as in the reward `judge`, or all. auto:
    soft where a judge was audited, all where a reward was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineSpec:
    """What to refine, and how."""

    task: str = "constraints"
    """Task: a name from `jominy tasks` with its options, a .jsonl/.parquet/.csv file, or `my_tasks.py:thing`."""
    prompts: int = 1024
    """Prompts to refine; of a finite task with fewer, all."""
    seed: int = 0
    """Seed of the prompts, of the pilot, and of which soft constraint stays."""
    target_column: Annotated[str | None, arg(metavar="NAME")] = None
    """Column that holds the target when the task is a file; default: the first of the usual names, `target`, `answer` and so on."""
    reward_timeout: float = 5.0
    """Seconds a reward may take for one response before it counts as unscored."""
    drawing: OmitArgPrefixes[PilotSpec] = field(default_factory=PilotSpec)
    """The pilot."""
    simplify: OmitArgPrefixes[SimplifySpec] = field(default_factory=SimplifySpec)
    """Which constraints stay."""

    def check(self) -> None:
        """Raises ValueError naming the first field that cannot be; what the pilot's own verb checks is left to it."""
        lowest = {"prompts": self.prompts, "epochs": self.drawing.epochs, "rollouts": self.drawing.rollouts, "steps": self.drawing.steps}
        for name, value in {**lowest, "prompts-per-step": self.drawing.prompts_per_step}.items():
            if value is not None and value < 1:
                raise ValueError(f"--{name} must be at least 1; got {value}")
        if self.simplify.max_soft is not None and self.simplify.max_soft < 0:
            raise ValueError(f"--max-soft must be at least 0, or None for no limit; got {self.simplify.max_soft}")
        for name, bound in {"min-precision": self.simplify.min_precision, "min-recall-false": self.simplify.min_recall_false}.items():
            if bound is not None and not (math.isfinite(bound) and 0 <= bound <= 1):
                raise ValueError(f"--{name} is a share from 0 to 1; got {bound}")
        if self.simplify.audit is None:
            for option, wanted in {
                "--keep-soft trusted": self.simplify.keep_soft == "trusted",
                "--min-precision": self.simplify.min_precision is not None,
                "--min-recall-false": self.simplify.min_recall_false is not None,
            }.items():
                if wanted:
                    raise ValueError(f"{option} needs --audit, the folder that `jominy audit` wrote")
