"""What a study is made of: cells (a model on a task), arms (a way of training), and how much of each scale is run.

Every arm runs in every cell with the same seeds, steps and batches, so that arms are compared on the same held-out prompts and first draws.
Left out: what the numbers mean (`gains` and each study's claims).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jominy.lab.spec import LabSpec

OneExample = Literal["max_variance", "random", "hardest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A model on a task.

    Example: Cell(name="smollm2, title", group="smollm2", model="smollm2", task="constraints:title,count=1")
    """

    name: str
    """What tables call it."""
    group: str
    """Cells of a group share their settings."""
    model: str
    """What tables call the model; without `lab`, also what is loaded."""
    task: str
    """As `--task` takes it."""
    lab: LabSpec | None = None
    """The model is made to this order."""
    has_answers: bool = True
    """Whether the task extracts an answer, which can be voted on."""
    further: Mapping[str, str] = field(default_factory=dict)
    """Name -> task that nobody trains on here, drawn from before and after; of studies that look beyond the task."""

    @property
    def folder(self) -> str:
        """Its name as a folder's."""
        return self.name.replace(", ", "-").replace(" ", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way of training.

    Example: Arm(name="random", title="random reward", family="spurious", recipe="grpo", reward="random")
    """

    name: str
    """Of results and tables."""
    title: str
    """As a person would say it."""
    family: str
    """Which claim it belongs to, in words of the study; `true` is the arm that others are held against."""
    recipe: str
    """As `--recipe` takes it."""
    reward: str
    """As `--reward` takes it."""
    select: OneExample | None = None
    """Train on one prompt: by p (1 - p) or by difficulty in the cell's base rollouts, or by the run's seed; None trains on all."""
    needs_answers: bool = False
    """Whether responses must have an answer that is extracted."""
    prompts: int | None = None
    """Prompts a step; None is the settings' number."""
    pool: int | None = None
    """Different prompts to train on; None is the settings' number."""
    learning_rate: float | None = None
    """AdamW's; None is the settings'."""
    against: tuple[str, ...] = ()
    """Arms that stand before this one and whose models of the same cell and seed are kept for it (`kept`)."""
    prompts_file: str | None = None
    """Train on the prompts of this file in the folder of the cell's base, where the study's `more_of_base` left it, and hold out prompts of
    the cell's task; None trains on the task's."""
    rewards: tuple[str, ...] = ()
    """Rewards of seeds 0, 1, 2 ... in turn, where the arm has several that differ by seed; empty: `reward` for all."""

    def reward_of(self, seed: int) -> str:
        """What pays in the run with this seed.

        >>> Arm(name="a", title="a", family="a", recipe="grpo", reward="x", rewards=("x", "y")).reward_of(3)
        'y'
        """
        return self.rewards[seed % len(self.rewards)] if self.rewards else self.reward


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much is run in the cells of a group.

    Example: Settings(seeds=5, steps=30, prompts=16, rollouts=8, max_tokens=24, learning_rate=1e-4)
    """

    seeds: int
    """Runs of each arm in each cell, seeds 0, 1, ..."""
    steps: int
    """Steps of each run."""
    prompts: int
    """Prompts a step."""
    rollouts: int
    """Responses a prompt."""
    max_tokens: int
    """Longest response."""
    learning_rate: float
    """AdamW's."""
    minibatches: int = 2
    """Optimiser updates a step, as in the paper: only behind the first can a clip act."""
    eval_prompts: int = 64
    """Held-out prompts, before and after."""
    eval_rollouts: int = 16
    """Responses a held-out prompt."""
    base_prompts: int = 64
    """Prompts on which the base model is measured."""
    base_rollouts: int = 32
    """Responses each."""
    workers: int = 1
    """Processes side by side."""
    threads: int = 2
    """Threads of each."""
    arms: tuple[str, ...] = ()
    """Arms that are run in this group, where not all are."""
    why_arms: str = "it would take too long"
    """Why the others are not."""
    eval_every: int = 0
    """Steps between two evaluations on the held-out prompts; 0: only before and after."""
    pool: int = 0
    """Different prompts to train on; 0: as many as `train` takes where nothing is said."""
    further_prompts: int = 0
    """Prompts of each further task, and of each square of sampler and decider of two arms."""
    further_rollouts: int = 0
    """Responses each; at most `eval_rollouts`."""
    bank_states: int = 0
    """Attempts that every policy decides about, half of them right."""
    bank_checks: int = 0
    """Checks that it writes to each."""
    square_prompts: int = 0
    """Prompts of each square of sampler and decider with the start; `further_prompts` is of those with another arm."""
    audit_pairs: int = 0
    """Minimal pairs of each constraint type and number of constraints that a judge is asked about; 0: nobody judges."""
    attention_prompts: int = 0
    """Prompts of each further task on which attention is looked at before and after."""
    pilot_prompts: int = 0
    """Prompts that are refined."""
    pilot_rollouts: int = 0
    """Responses each, by which a prompt is found to be learnable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A study at a scale.

    Example: load_study("alignment").design("smoke").arms[0].name
    """

    study: str
    """Name of the study."""
    scale: str
    """smoke or full."""
    cells: tuple[Cell, ...]
    """In the order of the tables."""
    arms: tuple[Arm, ...]
    """In the order of the tables."""
    settings: Mapping[str, Settings]
    """By group of cells; groups are run in this order."""

    def cell(self, name: str) -> Cell:
        """By name."""
        return next(cell for cell in self.cells if cell.name == name)

    def arm(self, name: str) -> Arm:
        """By name."""
        return next(arm for arm in self.arms if arm.name == name)

    def not_defined(self) -> list[tuple[Cell, Arm, str]]:
        """Pairs that are not run, and why."""
        pairs = [(cell, arm, self._why_not(cell, arm)) for cell in self.cells for arm in self.arms]
        return [(cell, arm, why) for cell, arm, why in pairs if why]

    def _why_not(self, cell: Cell, arm: Arm) -> str:
        """Empty for a pair that is run."""
        if arm.needs_answers and not cell.has_answers:
            return "the task extracts no answer that could be voted on"
        settings = self.settings[cell.group]
        return f"not run on {cell.group}: {settings.why_arms}" if settings.arms and arm.name not in settings.arms else ""
