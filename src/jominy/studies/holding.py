"""An engine that serves many short runs from one starting model: loaded once, reset between runs, never written to disk.

    reset()                           the weights are the starting ones again, the optimiser is new
    sampler before the first step     what a call drew is remembered: arms with one seed share their first evaluation and first batch

`tokens` counts since `reset` what went through the optimiser: `passed` (prompts too), `responses`, and of these `trained` (a weight other
than 0). Prompts and responses with an advantage other than 0 are counted once each, however often they came. Same bits as a fresh engine:
draws are a function of weights, prompts and seed. Left out: checkpoints, so a run that is stopped is run anew.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jominy.engines import Engine, OnProgress, StepReport, TokenFunction
from jominy.engines.learner import Learner
from jominy.engines.local import LocalEngine
from jominy.engines.trainer import LocalTrainer
from jominy.records import Floats, Ints, Prompt, Rollout, Row, Sampling, TrainRow
from jominy.specs import UpdateSpec

REMEMBERED = 4
"""Calls whose draws are kept."""


class HeldTrainer:
    """A `TrainingEngine` for run after run."""

    def __init__(self, start: str, temperature: float, settings: UpdateSpec) -> None:
        """Loads the model."""
        self.trainer = LocalTrainer(start, checkpoint=None, temperature=temperature, settings=settings)
        self.policy = self.trainer.policy
        self.start = [weight.detach().clone() for weight in self.trainer.learner.parameters]
        self.memory: OrderedDict[tuple[Any, ...], list[list[Rollout]]] = OrderedDict()
        self.at_start = True
        self.trained: set[bytes] = set()
        self.learned: set[tuple[bytes, bytes]] = set()
        self.tokens: Counter[str] = Counter()
        self.started: LocalEngine | None = None

    def reset(self, settings: UpdateSpec) -> None:
        """Goes back to the start, with the optimiser that `settings` asks for."""
        with torch.no_grad():
            for weight, before in zip(self.trainer.learner.parameters, self.start, strict=True):
                weight.copy_(before)
        self.trainer.learner = Learner(self.trainer.passes, weight_decay=settings.weight_decay, max_grad_norm=settings.max_grad_norm)
        self.at_start = True
        self.trained, self.learned = set(), set()
        self.tokens = Counter()

    def sampler(self, step: int) -> Engine:
        """The engine as it stands; at the start one that remembers."""
        engine = self.trainer.sampler(step)
        return Remembering(engine, self.memory) if self.at_start else engine

    def step(
        self, rows: Sequence[TrainRow], weigh: TokenFunction, learning_rate: float, clipped: TokenFunction | None, norm_limit: float
    ) -> StepReport:
        """One optimiser step; without rows nothing moves."""
        self.at_start = self.at_start and not rows
        report = self.trainer.step(rows, weigh, learning_rate, clipped, norm_limit)
        live = [row for row in rows if row.advantages.any()]
        self.trained |= {row.prompt_ids.tobytes() for row in live}
        self.learned |= {(row.prompt_ids.tobytes(), row.completion_ids.tobytes()) for row in live}
        self.tokens["passed"] += report.seen.num_tokens
        self.tokens["responses"] += sum(len(row.completion_ids) for row in rows)
        self.tokens["trained"] += sum(int(np.count_nonzero(weights)) for weights in report.seen.weights)
        return report

    def start_engine(self) -> LocalEngine:
        """The starting policy beside the one under training; loaded once."""
        if self.started is None:
            self.started = LocalEngine.load(self.trainer.start, self.trainer.device)
        return self.started

    def keep_model(self, folder: Path) -> None:
        """Writes the present model where a study wants to have it; `save_model` keeps nothing."""
        self.trainer.save_model(folder)

    @property
    def num_trained_prompts(self) -> int:
        """Distinct prompts, as the model reads them, with a row whose advantage was not 0 in a step since `reset`."""
        return len(self.trained)

    @property
    def num_trained_responses(self) -> int:
        """Distinct responses, each with its prompt, of which the same is true."""
        return len(self.learned)

    def check(self, prompts: Sequence[Prompt], max_tokens: int) -> None:
        """See `TrainingEngine`."""
        self.trainer.check(prompts, max_tokens)

    def rows_to_score(self, prompts: Sequence[Prompt], completions: Sequence[Sequence[int] | Ints]) -> list[TrainRow]:
        """See `TrainingEngine`."""
        return self.trainer.rows_to_score(prompts, completions)

    def logprobs(self, rows: Sequence[TrainRow]) -> list[Floats]:
        """See `TrainingEngine`."""
        return self.trainer.logprobs(rows)

    def start_logprobs(self, rows: Sequence[TrainRow], temperature: float) -> list[Floats]:
        """See `TrainingEngine`; the second copy of the weights stays from run to run."""
        return self.trainer.start_logprobs(rows, temperature)

    def encode_completion(self, text: str) -> Ints:
        """See `TrainingEngine`."""
        return self.trainer.encode_completion(text)

    def pieces(self, token_ids: Ints) -> tuple[str, ...]:
        """See `TrainingEngine`."""
        return self.trainer.pieces(token_ids)

    def save_checkpoint(self, folder: Path, state: dict[str, Any]) -> None:
        """Nothing is kept."""

    def save_model(self, folder: Path) -> None:
        """Nothing is kept."""

    def link(self, checkpoint: Path, folder: Path) -> None:
        """Nothing is kept."""


class Remembering:
    """An engine whose weights stand still; a call that was made before is answered from memory."""

    def __init__(self, engine: Engine, memory: OrderedDict[tuple[Any, ...], list[list[Rollout]]]) -> None:
        """`memory` outlives this object."""
        self.engine, self.memory = engine, memory

    @property
    def name(self) -> str:
        """See `Engine`."""
        return self.engine.name

    @property
    def device(self) -> str:
        """See `Engine`."""
        return self.engine.device

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        """See `Engine`."""
        key = (tuple(prompt.id for prompt in prompts), num_rollouts, sampling, seed)
        if key not in self.memory:
            self.memory[key] = list(self.engine.sample(prompts, num_rollouts, sampling, seed, on_progress))
        self.memory.move_to_end(key)
        while len(self.memory) > REMEMBERED:
            self.memory.popitem(last=False)
        for group in self.memory[key]:
            yield [replace(rollout, policy=self.engine.name) for rollout in group]

    @property
    def context(self) -> int | None:
        """See `Engine`."""
        return self.engine.context

    def logprobs(self, rows: Sequence[Row]) -> list[Floats]:
        """See `Engine`."""
        return self.engine.logprobs(rows)

    def encode(self, prompt: Prompt) -> list[int]:
        """See `Engine`."""
        return self.engine.encode(prompt)
