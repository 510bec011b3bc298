"""The gradient of a step the long way: each row alone through the whole model in float64, a textbook loss, and autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from jominy.engines import tree_attention
from jominy.engines.network import Network
from jominy.engines.passes import Passes
from jominy.recipes.recipe import Recipe
from jominy.records import Floats, TrainRow
from tests import tiny

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(logp, old, reference, advantage), each [T], -> [T] loss of each token."""


def clip_loss(low: float, high: float) -> Loss:
    """PPO's pessimistic surrogate."""
    return lambda logp, old, _, a: -torch.minimum((logp - old).exp() * a, (logp - old).exp().clamp(1 - low, 1 + high) * a)


def k3_loss(logp: torch.Tensor, old: torch.Tensor, reference: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """The same plus 0.1 of Schulman's third estimator."""
    return clip_loss(0.2, 0.2)(logp, old, reference, a) + 0.1 * ((reference - logp).exp() - (reference - logp) - 1)


def gspo_loss(logp: torch.Tensor, old: torch.Tensor, _: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """The ratio is the row's; clipped at 0.1 here, so that some rows are and some are not."""
    ratio = (logp - old).mean().exp()
    return -torch.minimum(ratio * a, ratio.clamp(0.9, 1.1) * a)


def cispo_loss(logp: torch.Tensor, old: torch.Tensor, _: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """The ratio is capped and held constant."""
    return -(logp - old).exp().clamp(max=1.2).detach() * a * logp


LOSSES: dict[str, tuple[Loss, str]] = {
    "grpo": (clip_loss(0.2, 0.2), "rows"),
    "dapo:fill=off,overlong=off": (clip_loss(0.2, 0.28), "tokens"),
    "gspo:clip_low=0.1,clip_high=0.1": (gspo_loss, "rows"),
    "cispo:clip_high=0.2": (cispo_loss, "tokens"),
    "grpo:kl=k3,beta=0.1": (k3_loss, "rows"),
}
"""Recipe -> its loss as the papers write it, and what the sum is divided by."""


def rows_of(
    seed: int, prompts: Sequence[int], completions: Sequence[Sequence[int]], advantages: Sequence[float] | None = None
) -> list[TrainRow]:
    """Random rows: prompts of these lengths, each with completions of these lengths; scale is that of `rows`."""
    rng = np.random.default_rng(seed)
    number = sum(map(len, completions))
    rows: list[TrainRow] = []
    for length, lengths in zip(prompts, completions, strict=True):
        prompt = rng.integers(3, tiny.NUM_WORDS, length)
        for tokens in lengths:
            advantage = rng.normal() if advantages is None else advantages[len(rows)]
            rows.append(
                TrainRow(
                    prompt_ids=prompt,
                    completion_ids=rng.integers(3, tiny.NUM_WORDS, tokens),
                    advantages=np.full(tokens, advantage),
                    inside=np.ones(tokens, dtype=bool),
                    scale=np.full(tokens, 1 / (number * tokens)),
                )
            )
    return rows


def divided(rows: Sequence[TrainRow], recipe: Recipe) -> list[TrainRow]:
    """The rows with the recipe's own scale."""
    width = max(len(row.inside) for row in rows)
    inside_NT = np.array([np.pad(row.inside, (0, width - len(row.inside))) for row in rows])
    scale_NT = recipe.divide(inside_NT, np.zeros(inside_NT.shape, dtype=np.int64))
    return [replace(row, scale=scale[: len(row.inside)]) for row, scale in zip(rows, scale_NT, strict=True)]


def off_policy(model: Any, rows: Sequence[TrainRow], temperature: float, seed: int = 0) -> list[TrainRow]:
    """The rows with old and reference log-probabilities about 0.3 nats from the present ones."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        present = [logp.numpy() for logp in log_probabilities(model, rows, temperature)]
    return [
        replace(row, old_logprobs=logp + rng.normal(0, 0.3, len(logp)), reference_logprobs=logp + rng.normal(0, 0.3, len(logp)))
        for row, logp in zip(rows, present, strict=True)
    ]


def log_probabilities(model: Any, rows: Sequence[TrainRow], temperature: float) -> Iterator[torch.Tensor]:
    """[T] of each row: one row, one forward, all logits."""
    for row in rows:
        ids = torch.from_numpy(np.concatenate([row.prompt_ids, row.completion_ids]))[None]
        logits = model(ids, use_cache=False).logits[0, len(row.prompt_ids) - 1 : -1] / temperature
        yield torch.log_softmax(logits, -1).gather(1, torch.from_numpy(row.completion_ids)[:, None])[:, 0]


def textbook_gradient(model: Any, rows: Sequence[TrainRow], loss: Loss, divisor: str, temperature: float) -> dict[str, torch.Tensor]:
    """Name -> gradient of the loss in float64, by autograd; tokens outside `inside` have no part in it."""
    total = torch.zeros((), dtype=torch.float64)
    num_tokens = sum(int(row.inside.sum()) for row in rows)
    for row, logp in zip(rows, log_probabilities(model, rows, temperature), strict=True):
        old = logp.detach() if row.old_logprobs is None else torch.from_numpy(row.old_logprobs)
        reference = logp.detach() if row.reference_logprobs is None else torch.from_numpy(row.reference_logprobs)
        kept = torch.from_numpy(row.inside)
        of_tokens = loss(logp[kept], old[kept], reference[kept], torch.from_numpy(row.advantages)[kept])
        total = total + (of_tokens.sum() / num_tokens if divisor == "tokens" else of_tokens.mean() / len(rows))
    model.zero_grad()
    total.backward()
    return gradient_of(model)


def gradient_of(model: Any) -> dict[str, torch.Tensor]:
    """Name -> float64 gradient of each parameter that has one."""
    return {name: parameter.grad.double().clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def compare(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> tuple[float, float]:
    """(1 - cosine, relative difference of the norms) of two whole gradients."""
    assert ours.keys() == theirs.keys()
    one, other = (torch.cat([gradient.flatten() for gradient in each.values()]) for each in (ours, theirs))
    return 1 - float(torch.nn.functional.cosine_similarity(one, other, dim=0)), abs(float(one.norm() / other.norm()) - 1)


def passes_of(model: Any, temperature: float = 1.0, tokens: int = 0, recompute: bool = False) -> Passes:
    """The engine's way through a model."""
    return Passes(Network(model), temperature=temperature, tokens=tokens, recompute=recompute)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal bit for bit."""
    return one.dtype == other.dtype and bool(torch.equal(one, other))


def numbers(values: Sequence[Floats]) -> Floats:
    """All in one row."""
    return np.concatenate(values)


def every_prompt_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts of any length go through `tree_attention`, in stretches of two tokens."""
    monkeypatch.setattr(tree_attention, "LONG", 0)
    monkeypatch.setattr(tree_attention, "STRETCH", 2)
