"""Attention over long shared prompts in training, on oneDNN: no score is kept, no key or value copied for a completion.

Tokens stand as in `forest`: a prompt, then its completions. A prompt's token sees the prompt up to itself, a completion's the whole prompt
and its own completion up to itself:

    s_n = [q_n K_prompt^T, q_n K_own^T] * scale,     o_n = exp(s_n - lse_n) [V_prompt; V_own]
    ds_n = exp(s_n - lse_n) * (do_n V^T - do_n o_n^T)

The prompt's part is one product for all its completions and all heads that share keys, and one for each stretch of the prompt itself; the
own part is padded and batched over completions. Backward makes s again from lse, as flash attention does (2205.14135); -lse and -do o^T
enter the products as biases. torch's flash kernel needs the prompt's keys once for each completion and takes longer (bench/README.md).
Left out: short prompts, where one padded call for all trees has less to do (`Forest.attention`), GPUs, and other floats than float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from jominy.engines.linears import product as matmul

LONG = 256
"""Prompts of at least this mean length are worth it."""
STRETCH = 192
"""Tokens of a prompt that ask at a time, so that few of the scores lie behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Queries that see a stretch of keys of their prompt.

    Example: Part(queries=slice(128, 256), keys=slice(0, 256), causal=True)
    """

    queries: slice
    """Which of the N tokens ask."""
    keys: slice
    """Which of the N tokens are seen."""
    causal: bool
    """Whether the queries are the last of the keys, so that none sees those behind it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trees:
    """Where the trees of a flat batch stand.

    Example: Trees.of([slice(0, 3)], ends=[5], tokens_F=torch.tensor([3, 4]), places_F=torch.tensor([0, 1]), shape=(1, 2)).parts
    """

    parts: tuple[Part, ...]
    """Prompts on themselves, a stretch at a time, and completions on their prompt."""
    tokens_F: torch.Tensor
    """[F] which of the N tokens are in completions, in order."""
    places_F: torch.Tensor
    """[F] where they stand among the R * T places of padded completions."""
    shape: tuple[int, int]
    """(R, T)."""
    long: bool
    """Whether the prompts are long enough."""

    @staticmethod
    def of(prompts: Sequence[slice], ends: Sequence[int], tokens_F: torch.Tensor, places_F: torch.Tensor, shape: tuple[int, int]) -> Trees:
        """Prompts and the ends of their trees, among the N tokens."""
        parts = []
        for prompt, end in zip(prompts, ends, strict=True):
            for start in range(prompt.start, prompt.stop, STRETCH):
                stop = min(start + STRETCH, prompt.stop)
                parts.append(Part(queries=slice(start, stop), keys=slice(prompt.start, stop), causal=True))
            if prompt.stop < end:
                parts.append(Part(queries=slice(prompt.stop, end), keys=prompt, causal=False))
        long = sum(prompt.stop - prompt.start for prompt in prompts) >= LONG * len(prompts)
        return Trees(parts=tuple(parts), tokens_F=tokens_F, places_F=places_F, shape=shape, long=long)


class TreeAttention(torch.autograd.Function):
    """[N, H, D] from queries [H, N, D], keys and values [G, N, D]; H is a multiple of G, and E = H / G queries share a key."""

    @staticmethod
    def forward(ctx: Any, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, trees: Trees, scale: float) -> torch.Tensor:
        """o; lse is kept for the way back."""
        q_GNED, k_GND, v_GND = _grouped(queries, len(keys)), (keys * scale).contiguous(), values.contiguous()
        own, later = _own_scores(q_GNED, k_GND, trees)
        highest_GNE = torch.full_like(q_GNED[..., 0], -torch.inf)
        highest_GNE[:, trees.tokens_F] = _flat(own.masked_fill_(later, -torch.inf).amax(-1), trees)
        total_GNE, out_GNED = torch.empty_like(highest_GNE), torch.empty_like(q_GNED)
        for group, part in product(range(len(keys)), trees.parts):
            at, seen = (group, part.queries), (group, part.keys)
            scores_QS = matmul(q_GNED[at].flatten(0, 1), k_GND[seen])
            ahead, hidden = _ahead(scores_QS, part, q_GNED.shape[2])
            ahead.masked_fill_(hidden, -torch.inf)
            highest_Q = torch.maximum(highest_GNE[at].flatten(), scores_QS.amax(1))
            scores_QS.sub_(highest_Q[:, None])
            ahead.masked_fill_(hidden, 0.0)
            scores_QS.exp_()
            ahead.masked_fill_(hidden, 0.0)
            highest_GNE[at] = highest_Q.view_as(highest_GNE[at])
            total_GNE[at] = scores_QS.sum(1).view_as(highest_GNE[at])
            out_GNED[at] = matmul(scores_QS, v_GND[seen].t()).view_as(out_GNED[at])
        own = _exp(own.sub_(_padded(highest_GNE[..., None], trees, 0.0)), later)
        total_GNE.index_add_(1, trees.tokens_F, _flat(own.sum(-1), trees))
        out_GNED.index_add_(1, trees.tokens_F, _flat(own @ _own(v_GND, trees), trees))
        out_GNED /= total_GNE[..., None]
        out_NHD = out_GNED.transpose(0, 1).flatten(1, 2)
        # the layer behind keeps the same memory for its own gradient, which `out_GNED` would not be
        ctx.save_for_backward(q_GNED, k_GND, v_GND, out_NHD, highest_GNE + total_GNE.log())
        ctx.trees, ctx.scale = trees, scale
        return out_NHD

    @staticmethod
    def backward(ctx: Any, dout_NHD: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of queries, keys and values; the scores are made again."""
        q_GNED, k_GND, v_GND, out_NHD, lse_GNE = ctx.saved_tensors
        trees: Trees = ctx.trees
        dout_GNED = _grouped(dout_NHD.transpose(0, 1), len(k_GND))
        inner_GNE = _grouped((dout_NHD * out_NHD).sum(-1, keepdim=True).transpose(0, 1), len(k_GND))[..., 0]
        dq_GNED, dk_GND, dv_GND = torch.empty_like(q_GNED), torch.zeros_like(k_GND), torch.zeros_like(v_GND)
        for group, part in product(range(len(k_GND)), trees.parts):
            at, seen = (group, part.queries), (group, part.keys)
            q_QD, dout_QD = q_GNED[at].flatten(0, 1), dout_GNED[at].flatten(0, 1)
            shares_SQ = matmul(k_GND[seen], q_QD, -lse_GNE[at].flatten())
            ahead, hidden = _ahead(shares_SQ.t(), part, q_GNED.shape[2])
            ahead.masked_fill_(hidden, 0.0)
            shares_SQ.exp_()
            ahead.masked_fill_(hidden, 0.0)
            dv_GND[seen] += matmul(shares_SQ, dout_QD.t())
            dscores_SQ = matmul(v_GND[seen], dout_QD, -inner_GNE[at].flatten()).mul_(shares_SQ)
            dq_GNED[at] = matmul(dscores_SQ.t(), k_GND[seen].t()).view_as(dq_GNED[at])
            dk_GND[seen] += matmul(dscores_SQ, q_QD.t())
        _add_own(trees, (q_GNED, k_GND, v_GND, dout_GNED, lse_GNE, inner_GNE), (dq_GNED, dk_GND, dv_GND))
        return dq_GNED.permute(0, 2, 1, 3).flatten(0, 1), dk_GND * ctx.scale, dv_GND, None, None


def _add_own(trees: Trees, saved: tuple[torch.Tensor, ...], gradients: tuple[torch.Tensor, ...]) -> None:
    """Adds what comes from the completions' attention to themselves; unused places weigh nothing, for their share is exp(-inf)."""
    q_GNED, k_GND, v_GND, dout_GNED, lse_GNE, inner_GNE = saved
    dq_GNED, dk_GND, dv_GND = gradients
    scores, later = _own_scores(q_GNED, k_GND, trees)
    shares = _exp(scores.sub_(_padded(lse_GNE[..., None], trees, torch.inf)), later)
    dout, q = _padded(dout_GNED, trees, 0.0), _padded(q_GNED, trees, 0.0)
    dscores = (dout @ _own(v_GND, trees).mT).sub_(_padded(inner_GNE[..., None], trees, 0.0)).mul_(shares)
    dq_GNED.index_add_(1, trees.tokens_F, _flat(dscores @ _own(k_GND, trees), trees))
    dk_GND.index_add_(1, trees.tokens_F, _flat(dscores.mT @ q, trees)[:, :, 0])
    dv_GND.index_add_(1, trees.tokens_F, _flat(shares.mT @ dout, trees)[:, :, 0])


def _own_scores(q_GNED: torch.Tensor, k_GND: torch.Tensor, trees: Trees) -> tuple[torch.Tensor, torch.Tensor]:
    """([G, R, T * E, T] of each completion on itself, [T * E, T] which of them look ahead)."""
    width = trees.shape[1]
    later_TT = torch.ones(width, width, dtype=torch.bool).triu_(1)
    return _padded(q_GNED, trees, 0.0) @ _own(k_GND, trees).mT, later_TT.repeat_interleave(q_GNED.shape[2], 0)


def _ahead(each_QS: torch.Tensor, part: Part, repeats: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(the keys that some query of the part must not see all of, which of them each query must not see): nothing where all are seen."""
    width = part.queries.stop - part.queries.start if part.causal else 0
    later_WW = torch.ones(width, width, dtype=torch.bool).triu_(1)
    block = each_QS[:, each_QS.shape[1] - width :]
    return block, later_WW.repeat_interleave(repeats, 0) if part.causal else torch.zeros_like(block, dtype=torch.bool)


def _exp(scores: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """exp in place, 0 where hidden; the processor is slow at the exponential of what underflows."""
    return scores.masked_fill_(hidden, 0.0).exp_().masked_fill_(hidden, 0.0)


def _grouped(each_HND: torch.Tensor, num_groups: int) -> torch.Tensor:
    """[G, N, E, D] contiguous: a token's queries that share a key stand side by side."""
    heads, num_tokens, dim = each_HND.shape
    return each_HND.reshape(num_groups, heads // num_groups, num_tokens, dim).transpose(1, 2).contiguous()


def _own(each_GND: torch.Tensor, trees: Trees) -> torch.Tensor:
    """[G, R, T, D] keys or values of each completion, padded."""
    return _padded(each_GND[:, :, None], trees, 0.0)


def _padded(each_GNED: torch.Tensor, trees: Trees, value: float) -> torch.Tensor:
    """[G, R, T * E, D] the tokens of each completion, `value` in unused places."""
    num_groups, _, repeats, dim = each_GNED.shape
    num_rows, width = trees.shape
    padded = each_GNED.new_full((num_groups, num_rows * width, repeats, dim), value)
    padded.index_copy_(1, trees.places_F, each_GNED.index_select(1, trees.tokens_F))
    return padded.view(num_groups, num_rows, width * repeats, dim)


def _flat(own: torch.Tensor, trees: Trees) -> torch.Tensor:
    """[G, F, E, ...] what [G, R, T * E, ...] says of each token of a completion."""
    num_groups, (num_rows, width) = len(own), trees.shape
    by_place = own.reshape(num_groups, num_rows * width, own.shape[2] // width, *own.shape[3:])
    return by_place.index_select(1, trees.places_F)
