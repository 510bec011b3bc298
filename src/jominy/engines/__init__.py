"""Engines hold the weights: they sample, score and step. They know nothing of rewards or recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jominy.records import Bools, Floats, Ints, Prompt, Rollout, Row, Sampling, TrainRow

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

    @property
    def context(self) -> int | None:
        """Longest sequence of prompt and response in tokens; None where nobody knows of a limit."""
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


class ContinuingEngine(Engine, Protocol):
    """An engine that can go on with what another one wrote."""

    @property
    def vocabulary(self) -> str:
        """Size and fingerprint of the vocabulary; two engines that agree in it read and write the same tokens."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """The tokens of a stretch of a response: no special tokens around it."""
        ...

    def continue_from(
        self,
        prompts: Sequence[Prompt],
        begun: Sequence[Rollout],
        sampling: Sampling,
        seed: int,
        on_progress: OnProgress | None = None,
        tag: str = "",
    ) -> list[Rollout]:
        """Each of `begun`, in order, with more tokens: whole responses again.

        A token depends on (seed, prompt id + tag, index, its place in the response) and on what stands before it, so with one engine,
        one seed and no tag a response drawn in pieces is the response that `sample` draws at once, up to float noise.

        Args:
            prompts: at least those that `begun` answer, distinct ids.
            begun: responses without a stop token, shorter than `sampling.max_tokens`; without tokens is allowed.
            sampling: `max_tokens` counts the whole response; `stops` looks at what is drawn here.
            seed: as in `sample`.
            on_progress: as in `sample`.
            tag: makes other draws for the same seed, prompt and index.
        """
        ...


class TokenFunction(Protocol):
    """A function of the log-probabilities and advantages of B rows, all [B, T] in nats, tokens outside `inside_BT` meaningless.

    The last argument multiplies the KL term of each token; None is 1 everywhere, and then it is left out of the call.
    """

    def __call__(
        self,
        logp_BT: Any,
        old_BT: Any,
        reference_BT: Any | None,
        advantage_BT: Any,
        inside_BT: Any,
        kl_factors_BT: Any | None = None,
        /,
    ) -> Any: ...  # pragma: no cover - a signature only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What a pass over rows saw.

    Example: Seen(logprobs=(np.array([-0.1, -0.3]),), weights=(np.array([0.2, 0.2]),), clipped=None, num_tokens=57)
    """

    logprobs: tuple[Floats, ...]
    """[T] of each row, nats, before the step, at the training temperature."""
    weights: tuple[Floats, ...]
    """[T] of each row, as the recipe weighed them, times their scale."""
    clipped: tuple[Bools, ...] | None
    """[T] of each row, tokens whose weight the clip changed; None on policy or without a clip."""
    num_tokens: int
    """Tokens that went through the model, prompts counted once for each micro-batch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepReport:
    """What a step saw.

    Example: StepReport(grad_norm=0.8, seen=Seen(logprobs=(...), weights=(...), clipped=None, num_tokens=1800))
    """

    grad_norm: float
    """Norm of the whole gradient before it is scaled down; 0 without rows."""
    seen: Seen
    """Log-probabilities, weights and clipped tokens of each row."""


class Explosion(ArithmeticError):
    """The gradient is not finite, or far larger than before; the weights are as they were."""


class TrainingEngine(Protocol):
    """What the training loop asks of an engine."""

    policy: str
    """The starting model, as recorded in `Rollout.policy`."""

    def sampler(self, step: int) -> Engine:
        """The engine as it stands after `step` steps, named so."""
        ...

    def check(self, prompts: Sequence[Prompt], max_tokens: int) -> None:
        """Raises ValueError when a prompt has no tokens or leaves no room for `max_tokens`."""
        ...

    def rows_to_score(self, prompts: Sequence[Prompt], completions: Sequence[Sequence[int] | Ints]) -> list[TrainRow]:
        """Rows without weights, one completion for each of `prompts`."""
        ...

    def step(
        self, rows: Sequence[TrainRow], weigh: TokenFunction, learning_rate: float, clipped: TokenFunction | None, norm_limit: float
    ) -> StepReport:
        """One optimiser step up sum scale * w * logp; raises Explosion and leaves the weights when the gradient is out of bounds."""
        ...

    def logprobs(self, rows: Sequence[TrainRow]) -> list[Floats]:
        """[T] nats of each row under the present policy, at the training temperature."""
        ...

    def start_logprobs(self, rows: Sequence[TrainRow], temperature: float) -> list[Floats]:
        """[T] nats of each row under the policy that training started from."""
        ...

    def encode_completion(self, text: str) -> Ints:
        """[T] tokens of a response with the token that ends it."""
        ...

    def pieces(self, token_ids: Ints) -> tuple[str, ...]:
        """[T] the text that each token of a response contributes, as in `Rollout.pieces`."""
        ...

    def save_checkpoint(self, folder: Path, state: dict[str, Any]) -> None:
        """All that the next step depends on, and `state`, whole or not at all."""
        ...

    def save_model(self, folder: Path) -> None:
        """The model alone, as others load it."""
        ...

    def link(self, checkpoint: Path, folder: Path) -> None:
        """The model of a checkpoint under another name."""
        ...
