"""Teacher-forced log-probabilities at temperature 1, without ever holding [B, T, V].

    logp_t = z_t[y_t] - log sum_v exp z_t[v],        z_t = W h_t

The head's product is taken for a few hundred positions and a slice of the vocabulary at a time; a running maximum and sum
join the slices. Neighbouring rows with the same prompt compute it once. Causal attention makes right padding exact, so no mask is needed.
Left out: gradients (`passes`) and log-probabilities of words that were not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from transformers import DynamicCache

from jominy.engines.network import Network
from jominy.engines.packed import CHUNK_ELEMENTS, Head
from jominy.records import Floats, Row

FORWARD_TOKENS = 2048
"""Completion tokens, padding included, that go through the model at a time."""
POSITIONS = 256
"""Positions whose logits are taken at a time."""


@torch.inference_mode()
def score(network: Network, rows: Sequence[Row]) -> list[Floats]:
    """[T] float64 nats for each row, in the order of `rows`.

    Args:
        network: the model, refreshed.
        rows: each with at least one prompt token.
    """
    scores: list[Floats] = []
    for _, same_prompt in groupby(rows, key=lambda row: tuple(row.prompt_ids.tolist())):
        for batch in _batches(list(same_prompt)):
            scores.extend(_score_batch(network, batch))
    return scores


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    """Consecutive rows whose padded completions stay within FORWARD_TOKENS (a longer single row stands alone)."""
    batch: list[Row] = []
    width = 0
    for row in rows:
        wider = max(width, len(row.completion_ids))
        if batch and wider * (len(batch) + 1) > FORWARD_TOKENS:
            yield batch
            batch, wider = [], len(row.completion_ids)
        batch.append(row)
        width = wider
    yield batch


def _score_batch(network: Network, rows: list[Row]) -> list[Floats]:
    """Scores rows that share one prompt."""
    lengths = [len(row.completion_ids) for row in rows]
    width = max(lengths)
    if width == 0:
        return [np.zeros(0) for _ in rows]
    targets_BT = torch.zeros(len(rows), width, dtype=torch.int64, device=network.device)
    for number, row in enumerate(rows):
        targets_BT[number, : lengths[number]] = torch.from_numpy(np.asarray(row.completion_ids, dtype=np.int64))
    valid_BT = torch.arange(width, device=network.device) < torch.tensor(lengths, device=network.device)[:, None]
    prompt_1S = torch.from_numpy(np.asarray(rows[0].prompt_ids, dtype=np.int64))[None].to(network.device)
    if network.head_is_plain and network.head is not None:
        flat = _score_hidden(network, network.head, prompt_1S, targets_BT, valid_BT)
    else:
        flat = _score_logits(network, prompt_1S, targets_BT)[valid_BT]
    return [part.cpu().numpy() for part in torch.split(flat, lengths)]


def _score_hidden(network: Network, head: Head, prompt_1S: torch.Tensor, targets_BT: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """[number of valid positions] log-probabilities by way of the last hidden states."""
    cache = DynamicCache(config=network.model.config)
    num_rows, width = targets_BT.shape
    with network.packed:
        hidden_1SH = network.decoder(input_ids=prompt_1S, past_key_values=cache, use_cache=True).last_hidden_state
        before_BTH = hidden_1SH[:, -1:].expand(num_rows, 1, -1)
        if width > 1:
            cache.reorder_cache(torch.zeros(num_rows, dtype=torch.int64, device=network.device))
            later = network.decoder(input_ids=targets_BT[:, :-1], past_key_values=cache, use_cache=True).last_hidden_state
            before_BTH = torch.cat([before_BTH, later], dim=1)
    hidden_NH, targets_N = before_BTH[valid_BT], targets_BT[valid_BT]
    parts = [
        _gather(head, hidden_NH[first : first + POSITIONS], targets_N[first : first + POSITIONS])
        for first in range(0, len(targets_N), POSITIONS)
    ]
    return torch.cat(parts)


def _gather(head: Head, hidden_NH: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """[N] float64 log-probabilities, one slice of the vocabulary after the other."""
    maximum_N = torch.full((len(targets_N),), -torch.inf, dtype=torch.float64, device=hidden_NH.device)
    total_N = torch.zeros_like(maximum_N)
    target_logit_N = torch.zeros_like(maximum_N)
    for first, logits_NW in head.each(hidden_NH):
        inside_N = (targets_N >= first) & (targets_N < first + logits_NW.shape[1])
        local_N = (targets_N - first).clamp(0, logits_NW.shape[1] - 1)
        target_logit_N += torch.where(inside_N, logits_NW.gather(1, local_N[:, None])[:, 0], 0.0).double()
        slice_maximum_N = logits_NW.amax(1)
        higher_N = torch.maximum(maximum_N, slice_maximum_N.double())
        slice_total_N = logits_NW.sub_(slice_maximum_N[:, None]).exp_().sum(1).double() * (slice_maximum_N.double() - higher_N).exp()
        total_N = total_N * (maximum_N - higher_N).exp() + slice_total_N
        maximum_N = higher_N
    return target_logit_N - maximum_N - total_N.log()


def _score_logits(network: Network, prompt_1S: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """[B, T] through the model's own logits, a few positions of one row at a time.

    For models whose logits are not simply head times hidden state.
    """
    step = max(1, CHUNK_ELEMENTS // network.num_words)
    scores_BT = torch.zeros(targets_BT.shape, dtype=torch.float64, device=network.device)
    for row, targets_1T in enumerate(torch.split(targets_BT, 1)):
        cache = DynamicCache(config=network.model.config)
        keep: dict[str, int] = {"logits_to_keep": 1} if network.takes_logits_to_keep else {}
        with network.packed:
            logits = network.model(prompt_1S, past_key_values=cache, use_cache=True, **keep).logits[0, -1:]
        scores_BT[row, :1] = _of_targets(logits, targets_1T[0, :1])
        for first in range(0, targets_1T.shape[1] - 1, step):
            fed_1t = targets_1T[:, first : min(first + step, targets_1T.shape[1] - 1)]
            with network.packed:
                logits = network.model(fed_1t, past_key_values=cache, use_cache=True).logits[0]
            end = first + 1 + fed_1t.shape[1]
            scores_BT[row, first + 1 : end] = _of_targets(logits, targets_1T[0, first + 1 : end])
    return scores_BT


def _of_targets(logits_TV: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """[T] float64 log-softmax of the targets."""
    return torch.log_softmax(logits_TV.float(), -1).gather(1, targets_T[:, None])[:, 0].double()
