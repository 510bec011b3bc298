"""Drawing one word a row from logits, at the price of a few passes over them.

Inverse transform with one uniform u a row and word: the first word whose running weight exceeds u times the total,

    token = min { v : sum_{w <= v} exp(z_w / T) > u * sum_w exp(z_w / T) },

found in two steps: among sums of 256 words (their running total in float64), then inside one such block (float64 again).
`softmax` + `multinomial` would draw one random number for each word of the vocabulary and cost as much as a small model.
Uniforms are counter-based: a function of (seed, prompt id, rollout index, position) alone, so a rollout does not depend on its company.
Left out: top-k, min-p and penalties. They change the policy that training later assumes; top-p is here because published numbers use it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jominy.records import Sampling

BLOCK_WORDS = 256
CHUNK_ELEMENTS = 1 << 20
"""Logits handled at a time: 4 MiB, so that the passes over a chunk find it in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """N drawn words.

    Example: Drawn(tokens_N=torch.tensor([7]), logprobs_N=torch.tensor([-0.1]), logprobs_t1_N=torch.tensor([-0.2]))
    """

    tokens_N: torch.Tensor
    """[N] int64."""
    logprobs_N: torch.Tensor
    """[N] float64 nats under the full softmax at the sampling temperature; 0 when greedy (temperature 0 is certain)."""
    logprobs_t1_N: torch.Tensor
    """[N] float64 nats under the full softmax at temperature 1."""
    entropies_N: torch.Tensor | None = None
    """[N] float64 nats, entropy of the full softmax at the sampling temperature; None unless asked for, 0 when greedy."""


def uniforms(seed: int, prompt_id: str, index: int, count: int) -> NDArray[np.float64]:
    """[count] numbers in [0, 1) for positions 0, 1, ... of one rollout: Philox (Salmon et al. 2011) keyed by who the rollout is.

    A longer request starts with the same numbers.

    >>> uniforms(0, "9f2c", 3, 4)[:2].tolist() == uniforms(0, "9f2c", 3, 2).tolist()
    True
    """
    identity = hashlib.sha256(f"{seed}|{index}|{prompt_id}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(identity[:16], "little"))).random(count)


def draw(logits_BV: torch.Tensor, source_N: torch.Tensor, uniforms_N: torch.Tensor, sampling: Sampling) -> Drawn:
    """Draws N words; draw n reads row source_N[n], so that a group's first words come from one row of logits.

    Args:
        logits_BV: [B, V] float32, finite. OVERWRITTEN: a copy would cost as much as the drawing.
        source_N: [N] int64 rows of logits_BV.
        uniforms_N: [N] float64 in [0, 1); ignored when greedy.
        sampling: temperature, top_p, and whether to keep entropies.

    Raises:
        ValueError: the logits are not finite.
    """
    greedy = sampling.temperature == 0
    best_B = logits_BV.argmax(1) if greedy else None
    log_total_t1_B = _exponentiate(logits_BV, 1.0 if greedy else sampling.temperature)
    weights_BV = logits_BV
    blocks_BK = _block_sums(weights_BV)
    total_B = blocks_BK.sum(1)
    if not bool(torch.isfinite(total_B).all()):
        raise ValueError("the model returned logits that are not finite numbers; check its weights and precision")
    if best_B is not None:
        tokens_N = best_B[source_N]
    elif sampling.top_p < 1:
        tokens_N = _search_nucleus(weights_BV, total_B, source_N, uniforms_N, sampling.top_p)
    else:
        tokens_N = _search(weights_BV, blocks_BK, source_N, uniforms_N)
    score_N = weights_BV[source_N, tokens_N].double().log()
    logprobs_N = score_N - total_B.log()[source_N]
    if best_B is not None:
        certain_N = torch.zeros_like(score_N)
        return Drawn(
            tokens_N=tokens_N, logprobs_N=certain_N, logprobs_t1_N=logprobs_N, entropies_N=certain_N if sampling.entropies else None
        )
    return Drawn(
        tokens_N=tokens_N,
        logprobs_N=logprobs_N,
        logprobs_t1_N=logprobs_N if log_total_t1_B is None else score_N * sampling.temperature - log_total_t1_B[source_N],
        entropies_N=_entropies(weights_BV, total_B)[source_N] if sampling.entropies else None,
    )


def _entropies(weights_BV: torch.Tensor, total_B: torch.Tensor) -> torch.Tensor:
    """[B] nats of the softmax w / W with W = sum w: log W - sum_v w_v log w_v / W, where a word of weight 0 adds nothing."""
    step = max(1, CHUNK_ELEMENTS // weights_BV.shape[1])
    sums = [torch.special.entr(part).sum(1, dtype=torch.float64) for part in torch.split(weights_BV, step)]
    return total_B.log() + torch.cat(sums) / total_B


def _exponentiate(logits_BV: torch.Tensor, temperature: float) -> torch.Tensor | None:
    """In place z -> exp((z - max z) / T); returns [B] log sum exp(z - max z), or None at T = 1 where the caller has the sum anyway."""
    num_rows, num_words = logits_BV.shape
    step = max(1, CHUNK_ELEMENTS // num_words)
    log_totals = []
    for first in range(0, num_rows, step):
        part = logits_BV[first : first + step]
        part.sub_(part.amax(1, keepdim=True))
        if temperature != 1.0:
            log_totals.append(part.exp().sum(1, dtype=torch.float64).log())
            part.div_(temperature)
        part.exp_()
    return torch.cat(log_totals) if log_totals else None


def _block_sums(weights_BV: torch.Tensor) -> torch.Tensor:
    """[B, ceil(V / 256)] float64 sums of consecutive words."""
    num_rows, num_words = weights_BV.shape
    whole = num_words // BLOCK_WORDS * BLOCK_WORDS
    sums_BK = weights_BV[:, :whole].view(num_rows, whole // BLOCK_WORDS, BLOCK_WORDS).sum(-1).double()
    if whole == num_words:
        return sums_BK
    return torch.cat([sums_BK, weights_BV[:, whole:].sum(1, keepdim=True).double()], dim=1)


def _search(weights_BV: torch.Tensor, blocks_BK: torch.Tensor, source_N: torch.Tensor, uniforms_N: torch.Tensor) -> torch.Tensor:
    """[N] words by inverse transform: the block first, then the word inside it; what is left of u is carried on as a fraction."""
    running_NK = blocks_BK.cumsum(1)[source_N]
    target_N = uniforms_N * running_NK[:, -1]
    block_N = _first_above(running_NK, target_N)
    mass_N = blocks_BK[source_N, block_N]
    before_N = running_NK.gather(1, block_N[:, None])[:, 0] - mass_N
    fraction_N = ((target_N - before_N) / mass_N).clamp(0.0, 1.0)
    num_words = weights_BV.shape[1]
    words_NW = block_N[:, None] * BLOCK_WORDS + torch.arange(BLOCK_WORDS, device=weights_BV.device)
    inside_NW = weights_BV[source_N[:, None], words_NW.clamp(max=num_words - 1)].double()
    inside_NW.masked_fill_(words_NW >= num_words, 0.0)
    running_NW = inside_NW.cumsum(1)
    return block_N * BLOCK_WORDS + _first_above(running_NW, fraction_N * running_NW[:, -1])


def _first_above(running_NK: torch.Tensor, target_N: torch.Tensor) -> torch.Tensor:
    """[N] first column whose running total exceeds the target; the last column that adds anything where rounding left none."""
    column_N = torch.searchsorted(running_NK, target_N[:, None], right=True)[:, 0]
    last_N = torch.searchsorted(running_NK, running_NK[:, -1:].contiguous(), right=False)[:, 0]
    return torch.minimum(column_N, last_N)


def _search_nucleus(
    weights_BV: torch.Tensor, total_B: torch.Tensor, source_N: torch.Tensor, uniforms_N: torch.Tensor, top_p: float
) -> torch.Tensor:
    """[N] words from the smallest set whose probability reaches top_p, without sorting the vocabulary.

    Draw from all words; a word belongs to the set when the words ranked above it weigh less than top_p (equal words rank by number).
    Where it does not, neither does any word ranked below it: remove those and draw again. What is accepted is distributed as the
    weights restricted to the set, exactly; at least a share top_p of the rows is done after each round.
    """
    tokens_N = torch.empty_like(source_N)
    word_V = torch.arange(weights_BV.shape[1], device=weights_BV.device)
    step = max(1, CHUNK_ELEMENTS // weights_BV.shape[1])
    for first in range(0, len(source_N), step):
        here = torch.arange(first, min(first + step, len(source_N)), device=source_N.device)
        left_nV = weights_BV[source_N[here]]
        uniforms_n = uniforms_N[here]
        while len(here):
            row_n = torch.arange(len(here), device=here.device)
            token_n = _search(left_nV, _block_sums(left_nV), row_n, uniforms_n)
            weight_n1 = left_nV[row_n, token_n][:, None]
            above_nV = (left_nV > weight_n1) | ((left_nV == weight_n1) & (word_V < token_n[:, None]))
            ahead_n = torch.where(above_nV, left_nV, 0.0).sum(1, dtype=torch.float64)
            inside_n = ahead_n < top_p * total_B[source_N[here]]
            tokens_N[here[inside_n]] = token_n[inside_n]
            again_n = ~inside_n
            here, uniforms_n = here[again_n], _next_uniforms(uniforms_n[again_n])
            left_nV = torch.where(above_nV[again_n], left_nV[again_n], 0.0)
    return tokens_N


def _next_uniforms(uniforms_N: torch.Tensor) -> torch.Tensor:
    """[N] a fresh uniform for each old one: its 53 random bits through the finaliser of SplitMix64 (Steele et al. 2014)."""
    bits_N = (uniforms_N.cpu().numpy() * 2.0**53).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    bits_N = (bits_N ^ (bits_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits_N = (bits_N ^ (bits_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits_N = bits_N ^ (bits_N >> np.uint64(31))
    return torch.from_numpy((bits_N >> np.uint64(11)).astype(np.float64) * 2.0**-53).to(uniforms_N.device)
