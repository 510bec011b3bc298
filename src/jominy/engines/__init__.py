"""Engines hold the weights: they sample, score and (from the training work on) step. They know nothing of rewards or recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from jominy.records import Floats, Prompt, Rollout, Row, Sampling

OnProgress = Callable[[int, int], None]
"""(finished rollouts, drawn tokens) since the last call."""


class Engine(Protocol):
    """What a verb asks of an engine."""

    @property
    def name(self) -> str:
        """Model and revision, as recorded in `Rollout.policy`."""
        ...

    @property
    def device(self) -> str:
        """Where and how it computes, e.g. `cpu, float32, 2 threads`, as recorded in run.json."""
        ...

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        """Groups of `num_rollouts` ungraded rollouts, one group a prompt, each yielded as soon as it is finished, in any order.

        Same seed, same device: same rollouts, whatever other prompts are in the call.
        """
        ...

    def logprobs(self, rows: Sequence[Row]) -> list[Floats]:
        """[T] log-probability in nats of each row's completion tokens at temperature 1, teacher-forced."""
        ...

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt as the model sees it: chat template where there is one, and the opening of the assistant's turn."""
        ...
