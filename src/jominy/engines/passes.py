"""Forward and backward passes of a training step: log-probabilities of rows, and the gradient of their weighted sum.

    -d/dtheta sum_{i,t} scale_it * w_it * logp_it,      w_it = weigh(logp, old, reference, advantage), held constant

Micro-batches hold whole rows up to a budget of tokens; `scale` was computed over the whole step, so the split does not move the gradient.
Nothing of size [rows, tokens, vocabulary] exists: the head goes in slices (`headgrad`).
LIMIT: where the head is more than a matrix product, the logits of one row at a time exist, with their graph.
Left out: the optimiser (`learner`), several devices, and any objective that is not a weighted log-likelihood.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from jominy.engines import Seen, TokenFunction, attention, headgrad
from jominy.engines.forward import hidden_on_forest, hidden_padded, logits_of_row, targets_of
from jominy.engines.linears import TrainingLinears
from jominy.engines.network import Network
from jominy.records import Floats, TrainRow

TOKENS_CPU = 512
"""Tokens of a micro-batch on a CPU: products are at full speed from there on, and activations take 1.6 MB a token in SmolLM2."""
TOKENS_GPU = 16384


class Passes:
    """A network with the way its rows go through it."""

    def __init__(self, network: Network, *, temperature: float = 1.0, tokens: int = 0, recompute: bool = False) -> None:
        """Tries once whether the model can train on shared prompts (three rows of a few tokens).

        Args:
            network: the model.
            temperature: of the policy, above 0: the one it is sampled with.
            tokens: of a micro-batch, prompts counted once; 0 takes 512 on a CPU and 16,384 on a GPU.
            recompute: activation checkpointing: layer inputs are kept and the rest computed again in the backward pass.
        """
        self.network, self.temperature, self.recompute = network, temperature, recompute
        if recompute and not self._layers():
            raise ValueError(f"{type(network.model).__name__} has no layers that transformers can recompute; train it without recompute")
        self.on_forest = network.shared and self._forest_agrees()
        self.tokens = tokens or (TOKENS_CPU if network.device.type == "cpu" else TOKENS_GPU)

    @torch.no_grad()
    def logprobs(self, rows: Sequence[TrainRow]) -> list[Floats]:
        """[T] nats of each row's tokens at the training temperature, by the same forward pass as a step's."""
        scored: list[Floats] = []
        for batch in self._batches(rows):
            with self._ready():
                if self.network.head_is_plain:
                    logp_M = headgrad.log_probabilities(self._hidden(batch), self._head(), *self._targets(batch))[0]
                else:
                    logp_M = torch.cat([self._of_logits(row) for row in batch])
            scored += _rows_of(logp_M, batch)
        return scored

    def backward(
        self, rows: Sequence[TrainRow], weigh: TokenFunction, clipped: TokenFunction | None = None, after: Callable[[], None] | None = None
    ) -> Seen:
        """Adds the gradient at the top to every parameter's `.grad`, and calls `after` when a micro-batch has done so."""
        parts = []
        for batch in self._batches(rows):
            parts.append(self._micro_batch(batch, weigh, clipped))
            if after is not None:
                after()
        held_back = [part.clipped for part in parts if part.clipped is not None]
        return Seen(
            logprobs=tuple(row for part in parts for row in part.logprobs),
            weights=tuple(row for part in parts for row in part.weights),
            clipped=tuple(row for part in held_back for row in part) if len(held_back) == len(parts) else None,
            num_tokens=sum(part.num_tokens for part in parts),
        )

    def _micro_batch(self, rows: list[TrainRow], weigh: TokenFunction, clipped: TokenFunction | None) -> Seen:
        """Adds the gradient of some rows."""
        with self._ready():
            if self.network.head_is_plain:
                hidden_MH = self._hidden(rows)
                targets_M, temperature = self._targets(rows)
                held_MH = hidden_MH.detach()
                logp_M, normaliser_M = headgrad.log_probabilities(held_MH, self._head(), targets_M, temperature)
                weights_M, report = _weigh(rows, logp_M, weigh, clipped)
                gradient_MH = headgrad.backward(held_MH, self._head(), targets_M, normaliser_M, -weights_M, temperature)
                torch.autograd.backward(hidden_MH, gradient_MH)
            else:
                logp_M = torch.cat([self._of_logits(row) for row in rows])
                weights_M, report = _weigh(rows, logp_M.detach(), weigh, clipped)
                torch.autograd.backward(logp_M, -weights_M)
        return report

    def _hidden(self, rows: list[TrainRow]) -> torch.Tensor:
        """[M, H] hidden states before each trained token, the way this model can."""
        return hidden_on_forest(self.network, rows) if self.on_forest else hidden_padded(self.network, rows)

    def _head(self) -> torch.nn.Linear:
        """The output layer."""
        layer: torch.nn.Linear = self.network.model.get_output_embeddings()
        return layer

    def _targets(self, rows: list[TrainRow]) -> tuple[torch.Tensor, float]:
        """([M] trained tokens, temperature)."""
        return targets_of(rows, self.network.device), self.temperature

    def _of_logits(self, row: TrainRow) -> torch.Tensor:
        """[T] float64 log-probabilities of one row through the model's own logits."""
        logits_TV = logits_of_row(self.network, row) / self.temperature
        return torch.log_softmax(logits_TV, -1).gather(1, targets_of([row], self.network.device)[:, None])[:, 0].double()

    def _batches(self, rows: Sequence[TrainRow]) -> Iterator[list[TrainRow]]:
        """Consecutive rows within the budget of tokens; a longer single row stands alone.

        A row whose prompt is in the batch already joins while the completions fit, however long the prompt: cutting a group in two would
        read the prompt twice.
        """
        batch: list[TrainRow] = []
        num_prompt = num_completion = 0
        for row in rows:
            shares = self.on_forest and batch and np.array_equal(batch[-1].prompt_ids, row.prompt_ids)
            prompt, completion = 0 if shares else len(row.prompt_ids), len(row.completion_ids)
            used = num_completion + completion + (0 if shares else num_prompt + prompt)
            if batch and (used > self.tokens or not self.network.head_is_plain):
                yield batch
                batch, num_prompt, num_completion, prompt = [], 0, 0, len(row.prompt_ids)
            batch.append(row)
            num_prompt, num_completion = num_prompt + prompt, num_completion + completion
        if batch:
            yield batch

    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        """Fast products, and activation checkpointing when asked: transformers looks at `training` of the layer, dropout at its own.

        The layers are set by hand since the model's own switch has two names and leaves a hook on the embeddings.
        """
        layers = self._layers() if self.recompute else []
        for layer in layers:
            layer.gradient_checkpointing = layer.training = True
            layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False, context_fn=_first_and_again)
        try:
            with TrainingLinears():
                yield
        finally:
            for layer in layers:
                layer.gradient_checkpointing = layer.training = False

    def _layers(self) -> list[Any]:
        """Those whose activations can be computed again."""
        return [layer for layer in self.network.model.modules() if isinstance(layer, GradientCheckpointingLayer)]

    @torch.no_grad()
    def _forest_agrees(self) -> bool:
        """Whether two trees give the hidden states of the padded rows."""
        tokens = np.array([1, 3, 2, 5, 4]) % self.network.num_words
        ones, yes = np.ones(3), np.ones(3, dtype=bool)
        rows = [
            TrainRow(prompt_ids=tokens[:length], completion_ids=tokens[at : at + 3], advantages=ones, inside=yes, scale=ones)
            for length, at in ((2, 0), (2, 2), (3, 1))
        ]
        try:
            ours, theirs = hidden_on_forest(self.network, rows), hidden_padded(self.network, rows)
        except (attention.UnsupportedAttention, TypeError, RuntimeError, ValueError):
            # a layer takes no further arguments, or does more to its scores than `Forest.attention` does
            return False
        return self.network.close(ours.float(), theirs.float())


def _first_and_again() -> tuple[contextlib.AbstractContextManager[None], TrainingLinears]:
    """Contexts of a layer's first run, which stands in `_ready`, and of the one from inside the backward pass, which sees no mode."""
    return contextlib.nullcontext(), TrainingLinears()


def _weigh(rows: list[TrainRow], logp_M: torch.Tensor, weigh: TokenFunction, clipped: TokenFunction | None) -> tuple[torch.Tensor, Seen]:
    """([M] weights times scale, what the report says about these rows)."""
    logp_BT, old_BT, reference_BT, advantage_BT, inside_BT, scale_BT, factors_BT = _padded(rows, logp_M)
    arguments: tuple[Any, ...] = (logp_BT, logp_BT if old_BT is None else old_BT, reference_BT, advantage_BT, inside_BT)
    if factors_BT is not None:
        arguments = (*arguments, factors_BT)
    weights_BT = torch.where(inside_BT, weigh(*arguments), 0.0) * scale_BT
    lengths = [len(row.completion_ids) for row in rows]
    filled_BT = torch.arange(weights_BT.shape[1], device=logp_M.device) < torch.tensor(lengths, device=logp_M.device)[:, None]
    weights_M = weights_BT[filled_BT]
    held_back = None if clipped is None or old_BT is None else _rows_of((clipped(*arguments) & inside_BT)[filled_BT], rows)
    prompts = {row.prompt_ids.tobytes(): len(row.prompt_ids) for row in rows}
    return weights_M, Seen(
        logprobs=tuple(_rows_of(logp_M, rows)),
        weights=tuple(_rows_of(weights_M, rows)),
        clipped=None if held_back is None else tuple(held_back),
        num_tokens=sum(lengths) + sum(prompts.values()),
    )


def _padded(rows: list[TrainRow], logp_M: torch.Tensor) -> tuple[Any, ...]:
    """(logp, old or None, reference or None, advantage, inside, scale, KL factors or None), each [B, T] float64 on the device; zeros behind
    a row's end.
    """
    width = max(len(row.completion_ids) for row in rows)

    def column(pieces: list[Any]) -> torch.Tensor:
        padded = np.zeros((len(rows), width), dtype=pieces[0].dtype)
        for number, piece in enumerate(pieces):
            padded[number, : len(piece)] = piece
        return torch.from_numpy(padded).to(logp_M.device)

    def column_or_none(pieces: list[Any]) -> torch.Tensor | None:
        return None if any(piece is None for piece in pieces) else column([np.asarray(piece, dtype=np.float64) for piece in pieces])

    return (
        column(_rows_of(logp_M, rows)),
        column_or_none([row.old_logprobs for row in rows]),
        column_or_none([row.reference_logprobs for row in rows]),
        column([row.advantages.astype(np.float64) for row in rows]),
        column([row.inside for row in rows]),
        column([row.scale.astype(np.float64) for row in rows]),
        None if all(row.kl_factors is None for row in rows) else column([_kl_factors(row) for row in rows]),
    )


def _kl_factors(row: TrainRow) -> Floats:
    """[T] 1 where the row has none."""
    return np.ones(len(row.completion_ids)) if row.kl_factors is None else row.kl_factors.astype(np.float64)


def _rows_of(flat_M: torch.Tensor, rows: list[TrainRow]) -> list[Any]:
    """[T] of each row."""
    ends = np.cumsum([len(row.completion_ids) for row in rows])[:-1]
    return np.split(flat_M.cpu().numpy(), ends)
