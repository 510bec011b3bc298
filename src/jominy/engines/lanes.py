"""Rows in flight: where their keys and values lie, and one decode step for all of them.

A lane is a row of the batch. `admit` reads prompts once each and appends rows that share them, `step` feeds one token a row and returns
the next logits, `leave` takes finished rows out. Two ways to do it: `SharedLanes` (ours, attention.py) and `PlainLanes` (transformers'
own cache, one prompt at a time).
Leaving fills holes from the end: each row that leaves moves at most one other row, and nothing is ever concatenated.
Left out: what to admit and when (decoding.py), what to draw (drawing.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Cache, DynamicCache

from jominy.engines.attention import Plan, SharedPrefixLayer
from jominy.records import Bools, Ints

if TYPE_CHECKING:
    from jominy.engines.network import Network

PREFILL_TOKENS = 2048
"""Prompt tokens, padding included, that go through the model at a time."""
FIRST_COLUMNS = 64
"""Own tokens a row has room for at first; doubled when a row outgrows it."""


class Lanes(Protocol):
    """Rows in flight."""

    one_prompt_at_a_time: bool
    """Whether `admit` takes a single prompt and only when no row is in flight."""

    def admit(self, prompts: list[list[int]], num_rows: list[int], positions: list[list[int]] | None = None) -> torch.Tensor:
        """Appends num_rows[i] rows for prompt i; returns [prompts, V] float32 logits of the token after each prompt, free to overwrite.

        `positions` says where each token stands when some were left out before it, increasing; None is 0, 1, 2, ...
        """
        ...

    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """Feeds one token to each row; returns [B, V] float32 logits of the next, free to overwrite and valid until the next call."""
        ...

    def leave(self, gone_B: Bools) -> Ints:
        """Takes rows out; row i is from now on what row order[i] was."""
        ...


class SharedLanes:
    """Lanes on shared prompts: for models that `Network` found to agree."""

    one_prompt_at_a_time = False

    def __init__(self, network: Network, capacity: int, max_tokens: int) -> None:
        """Room for `capacity` rows of `max_tokens` own tokens; the last one drawn is never fed, so max_tokens - 1 columns do."""
        self.network = network
        self.capacity = capacity
        self.max_columns = max(1, max_tokens - 1)
        self.prompt_of_row_B: Ints = np.zeros(0, dtype=np.int64)
        self.own_length_B: Ints = np.zeros(0, dtype=np.int64)
        self.prompt_length_P: Ints = np.zeros(0, dtype=np.int64)
        self.left_out_P: Ints = np.zeros(0, dtype=np.int64)
        none = torch.zeros(0, dtype=torch.int64, device=network.device)
        self.plan = Plan(
            num_rows=0,
            num_prompts=0,
            places=0,
            prompt_width=0,
            own_width=0,
            rows_of_place=none,
            place_of_row=none,
            positions=None,
            bias=None,
        )
        self.layers: list[SharedPrefixLayer] = []
        self.cache = Cache(layers=self.layers)
        self.logits_BV = torch.empty(capacity, network.num_words, device=network.device)
        self.seated = False

    @torch.inference_mode()
    def admit(self, prompts: list[list[int]], num_rows: list[int], positions: list[list[int]] | None = None) -> torch.Tensor:
        """See `Lanes`; prompts are read together in right-padded batches, which causal attention makes exact."""
        logits_PV = torch.empty(len(prompts), self.network.num_words, device=self.network.device)
        widest = max(len(prompt) for prompt in prompts)
        step = max(1, PREFILL_TOKENS // widest)
        for first in range(0, len(prompts), step):
            places = None if positions is None else positions[first : first + step]
            self._read(prompts[first : first + step], places, logits_PV[first : first + step])
        numbers = np.arange(len(self.prompt_length_P) - len(prompts), len(self.prompt_length_P))
        self.prompt_of_row_B = np.concatenate([self.prompt_of_row_B, np.repeat(numbers, num_rows)])
        self.own_length_B = np.concatenate([self.own_length_B, np.zeros(sum(num_rows), dtype=np.int64)])
        self.seated = False
        return logits_PV

    @torch.inference_mode()
    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """See `Lanes`."""
        device = self.network.device
        self._plan_step()
        positions_B = torch.from_numpy((self.prompt_length_P + self.left_out_P)[self.prompt_of_row_B] + self.own_length_B).to(device)
        seen = torch.empty(0, device=device)[None, None, None]
        with self.network.packed:
            hidden_BH = self.network.decoder(
                input_ids=tokens_B[:, None],
                position_ids=positions_B[:, None],
                attention_mask=seen,
                past_key_values=self.cache,
                use_cache=True,
            ).last_hidden_state[:, 0]
        logits_BV = self.logits_BV[: len(tokens_B)]
        assert self.network.head is not None
        self.network.head.write(hidden_BH, logits_BV)
        self.own_length_B += 1
        return logits_BV

    @torch.inference_mode()
    def leave(self, gone_B: Bools) -> Ints:
        """See `Lanes`; prompts without rows leave too."""
        order_B, holes, movers = _fill_holes(~gone_B)
        width = int(self.own_length_B.max(initial=0))
        for layer in self.layers:
            _move(layer.own_keys, layer.own_values, holes, movers, width)
        self.prompt_of_row_B, self.own_length_B = self.prompt_of_row_B[order_B], self.own_length_B[order_B]
        order_P, holes, movers = _fill_holes(np.isin(np.arange(len(self.prompt_length_P)), self.prompt_of_row_B))
        width = int(self.prompt_length_P.max(initial=0))
        for layer in self.layers:
            _move(layer.prompt_keys, layer.prompt_values, holes, movers, width)
        number_P = np.zeros(len(self.prompt_length_P), dtype=np.int64)
        number_P[order_P] = np.arange(len(order_P))
        self.prompt_of_row_B, self.prompt_length_P = number_P[self.prompt_of_row_B], self.prompt_length_P[order_P]
        self.left_out_P = self.left_out_P[order_P]
        self.seated = False
        return order_B

    def _read(self, prompts: list[list[int]], positions: list[list[int]] | None, logits_PV: torch.Tensor) -> None:
        """Computes some prompts, keeps their keys and values, writes the logits that follow them."""
        network = self.network
        width = max(len(prompt) for prompt in prompts)
        tokens_PS = torch.tensor([prompt + [0] * (width - len(prompt)) for prompt in prompts], device=network.device)
        cache = DynamicCache(config=network.model.config)
        with network.packed:
            if positions is None:
                hidden_PSH = network.decoder(input_ids=tokens_PS, past_key_values=cache, use_cache=True).last_hidden_state
            else:
                hidden_PSH = network.decoder(
                    input_ids=tokens_PS,
                    position_ids=torch.tensor([place + [0] * (width - len(place)) for place in positions], device=network.device),
                    # a ready mask: from positions with gaps, transformers would take one row for several packed sequences
                    attention_mask=causal_mask(width, network.device, network.model.dtype),
                    past_key_values=cache,
                    use_cache=True,
                ).last_hidden_state
        last_P = torch.tensor([len(prompt) - 1 for prompt in prompts], device=network.device)
        assert network.head is not None
        network.head.write(hidden_PSH[torch.arange(len(prompts), device=network.device), last_P], logits_PV)
        if not self.layers:
            self.layers.extend(SharedPrefixLayer(self.plan) for _ in cache.layers)
        first, last = len(self.prompt_length_P), len(self.prompt_length_P) + len(prompts)
        for layer, read in zip(self.layers, cache.layers, strict=True):
            self._make_room(layer, read, last, width)
            layer.prompt_keys[first:last, :, :width] = read.keys
            layer.prompt_values[first:last, :, :width] = read.values
        self.prompt_length_P = np.concatenate([self.prompt_length_P, [len(prompt) for prompt in prompts]])
        left_out = [0] * len(prompts) if positions is None else [place[-1] + 1 - len(place) for place in positions]
        self.left_out_P = np.concatenate([self.left_out_P, np.array(left_out, dtype=np.int64)])

    def _make_room(self, layer: SharedPrefixLayer, read: Any, num_prompts: int, width: int) -> None:
        """Buffers for `num_prompts` prompts of `width` tokens and for the rows."""
        layer.prompt_keys = _grown(layer.prompt_keys, read.keys, num_prompts, width)
        layer.prompt_values = _grown(layer.prompt_values, read.values, num_prompts, width)
        columns = min(FIRST_COLUMNS, self.max_columns)
        layer.own_keys = _grown(layer.own_keys, read.keys, self.capacity, columns)
        layer.own_values = _grown(layer.own_values, read.values, self.capacity, columns)

    def _plan_step(self) -> None:
        """Brings `plan` up to date: seats where membership changed, widths and bias always."""
        plan, device = self.plan, self.network.device
        plan.num_rows, plan.num_prompts = len(self.own_length_B), len(self.prompt_length_P)
        plan.prompt_width, plan.own_width = int(self.prompt_length_P.max()), int(self.own_length_B.max()) + 1
        if not self.seated:
            rows_of_place, place_of_row = _seats(self.prompt_of_row_B, plan.num_prompts)
            plan.places = len(rows_of_place) // plan.num_prompts
            plan.rows_of_place, plan.place_of_row = torch.from_numpy(rows_of_place).to(device), torch.from_numpy(place_of_row).to(device)
            self.seated = True
        even = bool((self.own_length_B == self.own_length_B[0]).all())
        plan.positions = None if even else torch.from_numpy(self.own_length_B).to(device)
        if even and bool((self.prompt_length_P == plan.prompt_width).all()):
            plan.bias = None
        else:
            filled_BC = np.concatenate(
                [
                    np.arange(plan.prompt_width) < self.prompt_length_P[self.prompt_of_row_B][:, None],
                    np.arange(plan.own_width) <= self.own_length_B[:, None],
                ],
                axis=1,
            )
            bias_BC = torch.from_numpy(np.where(filled_BC, np.float32(0), np.float32(-np.inf)))
            plan.bias = bias_BC[:, None, None].to(device, self.network.model.dtype)
        if plan.own_width > self.layers[0].own_keys.shape[2]:
            columns = min(2 * self.layers[0].own_keys.shape[2], self.max_columns)
            for layer in self.layers:
                layer.own_keys = _grown(layer.own_keys, layer.own_keys, self.capacity, columns)
                layer.own_values = _grown(layer.own_values, layer.own_values, self.capacity, columns)


class PlainLanes:
    """Lanes on transformers' own cache: any decoder-only model, one prompt at a time, its state copied to each row."""

    one_prompt_at_a_time = True

    def __init__(self, network: Network) -> None:
        """The cache is made with the first prompt."""
        self.network = network
        self.cache = DynamicCache(config=network.model.config)

    @torch.inference_mode()
    def admit(self, prompts: list[list[int]], num_rows: list[int], positions: list[list[int]] | None = None) -> torch.Tensor:
        """See `Lanes`; without `positions`, since windows and states count the tokens that they see."""
        assert positions is None
        (prompt,), (count,) = prompts, num_rows
        device = self.network.device
        self.cache = DynamicCache(config=self.network.model.config)
        keep: dict[str, int] = {"logits_to_keep": 1} if self.network.takes_logits_to_keep else {}
        with self.network.packed:
            out = self.network.model(torch.tensor([prompt], device=device), past_key_values=self.cache, use_cache=True, **keep)
        self.cache.reorder_cache(torch.zeros(count, dtype=torch.int64, device=device))
        logits: torch.Tensor = out.logits[:, -1].float().clone()
        return logits

    @torch.inference_mode()
    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """See `Lanes`."""
        with self.network.packed:
            out = self.network.model(tokens_B[:, None], past_key_values=self.cache, use_cache=True)
        logits: torch.Tensor = out.logits[:, -1].float()
        return logits

    @torch.inference_mode()
    def leave(self, gone_B: Bools) -> Ints:
        """See `Lanes`; the order of the others stays."""
        order_B = np.flatnonzero(~gone_B)
        if len(order_B):
            self.cache.reorder_cache(torch.from_numpy(order_B).to(self.network.device))
        return order_B


def causal_mask(width: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """[1, 1, width, width] 0 where a token may look, the lowest number behind it."""
    return torch.full((width, width), torch.finfo(dtype).min, device=device, dtype=dtype).triu(1)[None, None]


def _seats(prompt_of_row_B: Ints, num_prompts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows_of_place [P * M], place_of_row [B]) of `Plan`.

    >>> _seats(np.array([0, 1, 1]), 2)
    (array([0, 0, 1, 2]), array([0, 2, 3]))
    """
    by_prompt = np.argsort(prompt_of_row_B, kind="stable")
    counts_P = np.bincount(prompt_of_row_B, minlength=num_prompts)
    starts_P = np.cumsum(counts_P) - counts_P
    places = int(counts_P.max())
    place_of_row = np.empty(len(prompt_of_row_B), dtype=np.int64)
    prompts = prompt_of_row_B[by_prompt]
    place_of_row[by_prompt] = prompts * places + np.arange(len(by_prompt)) - starts_P[prompts]
    rows_of_place = np.zeros(num_prompts * places, dtype=np.int64)
    rows_of_place[place_of_row] = np.arange(len(prompt_of_row_B))
    return rows_of_place, place_of_row


def _fill_holes(keep: Bools) -> tuple[Ints, Ints, Ints]:
    """(order, holes, movers): the kept ones from beyond the new end move into the holes before it.

    >>> _fill_holes(np.array([True, False, True, True]))
    (array([0, 3, 2]), array([1]), array([3]))
    """
    num_kept = int(np.count_nonzero(keep))
    holes = np.flatnonzero(~keep[:num_kept])
    movers = num_kept + np.flatnonzero(keep[num_kept:])
    order = np.arange(num_kept)
    order[holes] = movers
    return order, holes, movers


def _move(keys: torch.Tensor, values: torch.Tensor, holes: Ints, movers: Ints, width: int) -> None:
    """Copies the first `width` columns of rows `movers` over rows `holes`."""
    for hole, mover in zip(holes.tolist(), movers.tolist(), strict=True):
        keys[hole, :, :width] = keys[mover, :, :width]
        values[hole, :, :width] = values[mover, :, :width]


def _grown(buffer: torch.Tensor, like: torch.Tensor, num_rows: int, columns: int) -> torch.Tensor:
    """The buffer, or a larger zeroed one [rows, heads, columns, D] with its contents; zeros, since masked columns are multiplied by 0."""
    old_rows, old_columns = (buffer.shape[0], buffer.shape[2]) if buffer.numel() else (0, 0)
    if old_rows >= num_rows and old_columns >= columns:
        return buffer
    rows = max(num_rows, old_rows) if old_rows >= num_rows or not old_rows else max(num_rows, 2 * old_rows)
    larger = torch.zeros(rows, like.shape[1], max(columns, old_columns), like.shape[3], dtype=like.dtype, device=like.device)
    if old_rows:
        larger[:old_rows, :, :old_columns] = buffer
    return larger
