"""Decode attention of rows that share prompts: each prompt's keys and values exist once, each row owns only what it wrote.

For row b of prompt p, at its own position t, over the S prompt tokens and its t + 1 own ones,

    out_b = softmax([q_b K_p^T, q_b K_b^T] * scale) [V_p; V_b],

where q_b K_p^T is one matrix product for all rows of a prompt. Grouped queries multiply the keys they share without repeating them.
It plugs into any transformers model whose layers call `past_key_values.update(...)` and then an `AttentionInterface` function with what
came back: the cache returns the layer itself in place of keys and values, and `attend` recognises it; other calls go on to `sdpa`.
Left out: sliding windows, recurrent state, soft-capped or sink attention. Such models decode with transformers' own cache (`lanes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "jominy_shared_prefix"


class UnsupportedAttention(ValueError):
    """The model asks its attention for something that `attend` does not do; the engine then decodes the plain way."""


@dataclass(slots=True, kw_only=True, eq=False)
class Plan:
    """Who sits where in this step; one object, seen by all layers.

    Example: two prompts with two rows each -> rows_of_place = [0, 1, 2, 3], place_of_row = [0, 1, 2, 3], places = 2
    """

    num_rows: int
    """B rows in flight."""
    num_prompts: int
    """P prompts with rows in flight."""
    places: int
    """M, most rows of any prompt."""
    prompt_width: int
    """S, longest prompt in flight."""
    own_width: int
    """W, own tokens of the furthest row, this step's included."""
    rows_of_place: torch.Tensor
    """[P * M] row sitting in each place of each prompt; unused places point to row 0 and nobody reads them."""
    place_of_row: torch.Tensor
    """[B] where in P * M each row sits."""
    positions: torch.Tensor | None
    """[B] where each row writes its own token; None when all write at own_width - 1."""
    bias: torch.Tensor | None
    """[B, 1, 1, S + W] 0 or -inf; None when every column holds a token of every row."""


class SharedPrefixLayer:
    """Keys and values of one layer: [P, heads, S, D] for prompts and [B, heads, T, D] for rows, written in place."""

    is_sliding = False
    is_compileable = False

    def __init__(self, plan: Plan) -> None:
        """Buffers are made by `lanes` when it knows the shapes."""
        self.plan = plan
        empty = torch.empty(0)
        self.prompt_keys, self.prompt_values, self.own_keys, self.own_values = empty, empty, empty, empty

    def get_seq_length(self) -> int:
        """Columns that this step attends to; only models that ask are told, positions come from the caller."""
        return self.plan.prompt_width + self.plan.own_width

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(columns, offset); unused, as the caller passes a ready mask."""
        return self.plan.prompt_width + self.plan.own_width, 0

    def update(self, keys: torch.Tensor, values: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Writes this step's keys and values [B, heads, 1, D] in place and returns itself for `attend` to find."""
        plan = self.plan
        if plan.positions is None:
            self.own_keys[: plan.num_rows, :, plan.own_width - 1] = keys[:, :, 0]
            self.own_values[: plan.num_rows, :, plan.own_width - 1] = values[:, :, 0]
        else:
            rows = torch.arange(plan.num_rows, device=keys.device)
            self.own_keys[rows, :, plan.positions] = keys[:, :, 0]
            self.own_values[rows, :, plan.positions] = values[:, :, 0]
        return self, self

    def attention(self, queries: torch.Tensor, scaling: float) -> torch.Tensor:
        """[B, 1, heads, D] from queries [B, heads, 1, D]; the equation at the top."""
        plan = self.plan
        num_rows, num_heads, _, dim = queries.shape
        kv_heads, value_dim = self.own_keys.shape[1], self.own_values.shape[3]
        repeats = num_heads // kv_heads
        queries = (queries * scaling).reshape(num_rows, kv_heads, repeats, dim)
        own_keys = self.own_keys[:num_rows].flatten(0, 1)[:, : plan.own_width]
        own_values = self.own_values[:num_rows].flatten(0, 1)[:, : plan.own_width]
        prompt_keys = self.prompt_keys[: plan.num_prompts].flatten(0, 1)[:, : plan.prompt_width]
        prompt_values = self.prompt_values[: plan.num_prompts].flatten(0, 1)[:, : plan.prompt_width]
        scores = queries.new_empty(num_rows, kv_heads, repeats, plan.prompt_width + plan.own_width)
        on_prompt = torch.bmm(self._by_prompt(queries), prompt_keys.transpose(1, 2))
        scores[..., : plan.prompt_width] = self._by_row(on_prompt, kv_heads, repeats)
        on_own = torch.bmm(queries.flatten(0, 1), own_keys.transpose(1, 2))
        scores[..., plan.prompt_width :] = on_own.view(num_rows, kv_heads, repeats, plan.own_width)
        if plan.bias is not None:
            scores += plan.bias
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(queries.dtype)
        out = torch.bmm(weights[..., plan.prompt_width :].reshape(num_rows * kv_heads, repeats, plan.own_width), own_values)
        from_prompt = torch.bmm(self._by_prompt(weights[..., : plan.prompt_width]), prompt_values)
        out = out.view(num_rows, kv_heads, repeats, value_dim) + self._by_row(from_prompt, kv_heads, repeats)
        return out.view(num_rows, 1, num_heads, value_dim)

    def _by_prompt(self, rows: torch.Tensor) -> torch.Tensor:
        """[B, heads, repeats, X] -> [P * heads, M * repeats, X]: the rows of a prompt side by side."""
        plan = self.plan
        _, heads, repeats, width = rows.shape
        placed = rows.index_select(0, plan.rows_of_place).view(plan.num_prompts, plan.places, heads, repeats, width)
        return placed.transpose(1, 2).reshape(plan.num_prompts * heads, plan.places * repeats, width)

    def _by_row(self, prompts: torch.Tensor, heads: int, repeats: int) -> torch.Tensor:
        """[P * heads, M * repeats, X] -> [B, heads, repeats, X]: back again."""
        plan = self.plan
        placed = prompts.view(plan.num_prompts, heads, plan.places, repeats, -1).transpose(1, 2)
        return placed.reshape(plan.num_prompts * plan.places, heads, repeats, -1).index_select(0, plan.place_of_row)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: Any,
    value: Any,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The function that transformers calls: shared-prefix attention when the cache is ours, a forest's when one is given, else `sdpa`."""
    forest = kwargs.pop("forest", None)
    if forest is not None:
        _refuse(kwargs)
        return forest.attention(query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling), None
    if not isinstance(key, SharedPrefixLayer):
        out: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out
    _refuse(kwargs)
    return key.attention(query, query.shape[-1] ** -0.5 if scaling is None else scaling), None


def _refuse(asked: dict[str, Any]) -> None:
    """Raises when a layer asks for what shared prompts do not have."""
    names = [name for name in ("s_aux", "softcap", "position_bias", "sliding_window") if asked.get(name) is not None]
    if names:
        raise UnsupportedAttention(f"attention over shared prompts has no {', '.join(names)}")


def register() -> None:
    """Makes `attend` known to transformers under NAME; calling it again changes nothing."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
