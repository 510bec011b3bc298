"""A training batch as trees: each prompt once, its completions as branches, all tokens of all trees in one row without padding.

    p_1 ... p_S   a_1 ... a_T   b_1 ... b_U   | next prompt ...         positions: 1..S, S+1..S+T, S+1..S+U

Linear layers and norms see N tokens and nothing else. Attention alone knows the tree: a prompt token sees the prompt before it, a
completion token sees its whole prompt and the completion before it,

    out_t = softmax([q_t K_p^T, q_t K_c^T] * scale) [V_p; V_c],

which is what a plain causal forward over prompt + completion computes, so the result agrees to float tolerance. The last token of a
completion predicts nothing that is trained and is left out.
Left out: sliding windows, recurrent state, soft caps and sinks; such models train on padded whole rows (`forward`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from jominy.engines.packed import can_pack
from jominy.engines.tree_attention import TreeAttention, Trees
from jominy.records import Ints, TrainRow


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forest:
    """Where every token of a batch stands: N tokens, P prompts, R completions, M predictions.

    Example: Forest.of(rows, torch.device("cpu")).tokens_N
    """

    tokens_N: torch.Tensor
    """[N] int64 tokens of prompts and completions."""
    positions_N: torch.Tensor
    """[N] int64 place of each in its own sequence."""
    prompt_tokens_PS: torch.Tensor
    """[P, S] which of the N tokens; unused places point to token 0."""
    row_tokens_RT: torch.Tensor
    """[R, T] which of the N tokens; unused places point to token 0."""
    prompt_of_row_R: torch.Tensor
    """[R] which prompt a completion follows."""
    prompt_lengths_P: torch.Tensor
    """[P] tokens of each prompt."""
    seat_N: torch.Tensor
    """[N] where each token sits among the P * S prompt places followed by the R * T completion places."""
    source_M: torch.Tensor
    """[M] the token after which each trained token is predicted."""
    targets_M: torch.Tensor
    """[M] the trained tokens, row after row."""
    lengths: tuple[int, ...]
    """[R] trained tokens of each row; they sum to M."""
    trees: Trees
    """The same places for `tree_attention`."""
    made: dict[tuple[int, torch.dtype], torch.Tensor]
    """Masks that `bias` has made."""

    @staticmethod
    def of(rows: Sequence[TrainRow], device: torch.device) -> Forest:
        """Lays out rows; neighbours with the same prompt share it."""
        tokens: list[Ints] = []
        positions: list[Ints] = []
        prompts: list[Ints] = []
        branches: list[Ints] = []
        prompt_of_row: list[int] = []
        sources: list[Ints] = []
        end = 0
        for _, same_prompt in groupby(rows, key=lambda row: row.prompt_ids.tobytes()):
            members = list(same_prompt)
            prompt = members[0].prompt_ids
            prompts.append(np.arange(end, end + len(prompt)))
            tokens.append(prompt)
            positions.append(np.arange(len(prompt)))
            last, end = end + len(prompt) - 1, end + len(prompt)
            for row in members:
                fed = row.completion_ids[:-1]
                branches.append(np.arange(end, end + len(fed)))
                tokens.append(fed)
                positions.append(len(prompt) + np.arange(len(fed)))
                sources.append(np.concatenate(([last], branches[-1])))
                prompt_of_row.append(len(prompts) - 1)
                end += len(fed)
        prompt_tokens_PS, row_tokens_RT = _padded(prompts), _padded(branches)
        seat_N = np.empty(end, dtype=np.int64)
        for number, prompt in enumerate(prompts):
            seat_N[prompt] = number * prompt_tokens_PS.shape[1] + np.arange(len(prompt))
        for number, branch in enumerate(branches):
            seat_N[branch] = prompt_tokens_PS.size + number * row_tokens_RT.shape[1] + np.arange(len(branch))
        arrays = {
            "tokens_N": np.concatenate(tokens),
            "positions_N": np.concatenate(positions),
            "prompt_tokens_PS": prompt_tokens_PS,
            "row_tokens_RT": row_tokens_RT,
            "prompt_of_row_R": np.array(prompt_of_row),
            "prompt_lengths_P": np.array([len(prompt) for prompt in prompts]),
            "seat_N": seat_N,
            "source_M": np.concatenate(sources),
            "targets_M": np.concatenate([row.completion_ids for row in rows]),
        }
        tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        used_RT = np.arange(row_tokens_RT.shape[1]) < np.array([len(branch) for branch in branches])[:, None]
        trees = Trees.of(
            [slice(int(prompt[0]), int(prompt[-1]) + 1) for prompt in prompts],
            [*(int(prompt[0]) for prompt in prompts[1:]), end],
            torch.from_numpy(np.concatenate(branches)).to(device),
            torch.from_numpy(np.flatnonzero(used_RT)).to(device),
            row_tokens_RT.shape,
        )
        return Forest(**tensors, lengths=tuple(len(row.completion_ids) for row in rows), trees=trees, made={})

    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float) -> torch.Tensor:
        """[1, N, heads, D] from queries [1, heads, N, D] and keys, values [1, kv_heads, N, D]; the equation at the top."""
        if self.trees.long and can_pack(queries) and values.shape[3] == queries.shape[3]:
            out: torch.Tensor = TreeAttention.apply(queries[0], keys[0], values[0], self.trees, scaling)  # type: ignore[no-untyped-call]
            return out[None]
        return self._padded_attention(queries, keys, values, scaling)

    def _padded_attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float) -> torch.Tensor:
        """The same by torch's kernels, prompts and completions padded."""
        prompt_q, prompt_k, prompt_v = (_placed(each, self.prompt_tokens_PS) for each in (queries, keys, values))
        row_q, row_k, row_v = (_placed(each, self.row_tokens_RT) for each in (queries, keys, values))
        seen_k, seen_v = (
            torch.cat([of_prompts.index_select(0, self.prompt_of_row_R), own], dim=2)
            for of_prompts, own in ((prompt_k, row_k), (prompt_v, row_v))
        )
        attend = torch.nn.functional.scaled_dot_product_attention
        on_prompt = attend(prompt_q, prompt_k, prompt_v, is_causal=True, scale=scaling, enable_gqa=True)
        # query heads that share keys stand one behind the other in the query length: nothing is repeated for them, or kept for backward
        num_rows, kv_heads, _, dim = row_k.shape
        grouped_q = row_q.reshape(num_rows, kv_heads, -1, dim)
        on_row = attend(grouped_q, seen_k, seen_v, attn_mask=self.bias(grouped_q), scale=scaling)
        heads, value_dim = queries.shape[1], values.shape[3]
        places = [
            each.reshape(len(each), heads, -1, value_dim).transpose(1, 2).reshape(-1, heads, value_dim) for each in (on_prompt, on_row)
        ]
        return torch.cat(places).index_select(0, self.seat_N)[None]

    def bias(self, grouped_q: torch.Tensor) -> torch.Tensor:
        """[R, 1, repeats * T, S + T] 0 where a completion token sees a column, -inf elsewhere; kept for the next layer.

        It sees its prompt, not the padding behind it, and the completion up to itself: at least one column, padding places too.
        """
        width, prompt_width, device = self.row_tokens_RT.shape[1], self.prompt_tokens_PS.shape[1], grouped_q.device
        kind = (grouped_q.shape[2] // width, grouped_q.dtype)
        if kind not in self.made:
            of_prompt_RS = torch.arange(prompt_width, device=device) < self.prompt_lengths_P[self.prompt_of_row_R][:, None]
            own_TT = torch.ones(width, width, dtype=torch.bool, device=device).tril()
            sees_RTC = torch.cat([of_prompt_RS[:, None].expand(-1, width, -1), own_TT.expand(len(of_prompt_RS), -1, -1)], dim=2)
            bias_RTC = torch.zeros(sees_RTC.shape, dtype=grouped_q.dtype, device=device).masked_fill_(~sees_RTC, -torch.inf)
            self.made[kind] = bias_RTC.repeat(1, kind[0], 1)[:, None]
        return self.made[kind]


def _placed(each: torch.Tensor, tokens_BW: torch.Tensor) -> torch.Tensor:
    """[B, heads, W, D] the tokens of [1, heads, N, D] in their places."""
    _, heads, _, dim = each.shape
    return each[0].index_select(1, tokens_BW.flatten()).view(heads, *tokens_BW.shape, dim).transpose(0, 1)


def _padded(pieces: Sequence[Ints]) -> Ints:
    """[number of pieces, longest, at least 1] the pieces, zero behind their ends."""
    padded = np.zeros((len(pieces), max(1, *map(len, pieces))), dtype=np.int64)
    for number, piece in enumerate(pieces):
        padded[number, : len(piece)] = piece
    return padded
