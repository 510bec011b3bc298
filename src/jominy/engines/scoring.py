"""Teacher-forced log-probabilities at temperature 1, and how long their gradients are at any, without ever holding [B, T, V].

    logp_t = z_t[y_t] - log sum_v exp z_t[v],        z_t = W h_t;  z_t = W h_t / temperature for the lengths
    || d logp_t / d z_t || = || onehot(y_t) - p || = sqrt(1 - 2 p_y + ||p||^2),        p = softmax(z_t)

The head's product is taken for a few hundred positions and a slice of the vocabulary at a time; a running maximum and sum
join the slices. Neighbouring rows with the same prompt compute it once. Causal attention makes right padding exact, so no mask is needed.
The norm is taken as sqrt((1 - p_y)^2 + sum_{v != y} p_v^2): near certainty the form above is a small difference of large numbers.
Left out: gradients themselves (`passes`) and log-probabilities of words that were not drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read off the softmax before each token, by either of two ways to the logits.

    Example: LOGPROBS
    """

    of_hidden: Callable[[Head, torch.Tensor, torch.Tensor], torch.Tensor]
    """(head, hidden states [N, H], tokens [N]) -> [N] float64."""
    of_logits: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """(logits [N, V], tokens [N]) -> [N] float64."""


def score(network: Network, rows: Sequence[Row]) -> list[Floats]:
    """[T] float64 nats for each row, in the order of `rows`.

    Args:
        network: the model, refreshed.
        rows: each with at least one prompt token.
    """
    return _read(network, rows, LOGPROBS)


def logit_norms(network: Network, rows: Sequence[Row], temperature: float = 1.0) -> list[Floats]:
    """[T] float64 in [0, sqrt 2) for each row: the length of d logp / d logits (the module's second formula).

    Times |w_t| it is the length of the loss's gradient with respect to the token's logits: attribution at level 1 (2601.01580). The logits
    are those that the softmax is taken of, already divided by the temperature.

    Args:
        network: the model, refreshed.
        rows: each with at least one prompt token.
        temperature: of the policy, above 0.
    """
    of_hidden, of_logits = partial(_norms_of_hidden, temperature=temperature), partial(_norms_of_logits, temperature=temperature)
    return _read(network, rows, Reading(of_hidden=of_hidden, of_logits=of_logits))


@torch.inference_mode()
def _read(network: Network, rows: Sequence[Row], reading: Reading) -> list[Floats]:
    """[T] of each row."""
    read: list[Floats] = []
    for _, same_prompt in groupby(rows, key=lambda row: tuple(row.prompt_ids.tolist())):
        for batch in _batches(list(same_prompt)):
            read.extend(_read_batch(network, batch, reading))
    return read


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


def _read_batch(network: Network, rows: list[Row], reading: Reading) -> list[Floats]:
    """[T] of rows that share one prompt."""
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
        flat = _by_hidden(network, network.head, prompt_1S, targets_BT, valid_BT, reading)
    else:
        flat = _by_logits(network, prompt_1S, targets_BT, reading)[valid_BT]
    return [part.cpu().numpy() for part in torch.split(flat, lengths)]


def _by_hidden(
    network: Network, head: Head, prompt_1S: torch.Tensor, targets_BT: torch.Tensor, valid_BT: torch.Tensor, reading: Reading
) -> torch.Tensor:
    """[number of valid positions] by way of the last hidden states."""
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
        reading.of_hidden(head, hidden_NH[first : first + POSITIONS], targets_N[first : first + POSITIONS])
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


def _norms_of_hidden(head: Head, hidden_NH: torch.Tensor, targets_N: torch.Tensor, temperature: float) -> torch.Tensor:
    """[N] float64 lengths, one slice of the vocabulary after the other: sums of exp and exp squared over all words but the drawn one."""
    maximum_N = torch.full((len(targets_N),), -torch.inf, dtype=torch.float64, device=hidden_NH.device)
    total_N, squares_N, target_logit_N = torch.zeros_like(maximum_N), torch.zeros_like(maximum_N), torch.zeros_like(maximum_N)
    for first, logits_NW in head.each(hidden_NH):
        logits_NW.div_(temperature)
        rows = ((targets_N >= first) & (targets_N < first + logits_NW.shape[1])).nonzero()[:, 0]
        local = targets_N[rows] - first
        target_logit_N[rows] = logits_NW[rows, local].double()
        higher_N = torch.maximum(maximum_N, logits_NW.amax(1).double())
        chances_NW = logits_NW.sub_(higher_N[:, None].to(logits_NW.dtype)).exp_()
        chances_NW[rows, local] = 0.0
        shrunk_N = (maximum_N - higher_N).exp()
        total_N = total_N * shrunk_N + chances_NW.sum(1).double()
        squares_N = squares_N * shrunk_N**2 + chances_NW.square_().sum(1).double()
        maximum_N = higher_N
    return (total_N**2 + squares_N).sqrt() / (total_N + (target_logit_N - maximum_N).exp())


def _by_logits(network: Network, prompt_1S: torch.Tensor, targets_BT: torch.Tensor, reading: Reading) -> torch.Tensor:
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
        scores_BT[row, :1] = reading.of_logits(logits, targets_1T[0, :1])
        for first in range(0, targets_1T.shape[1] - 1, step):
            fed_1t = targets_1T[:, first : min(first + step, targets_1T.shape[1] - 1)]
            with network.packed:
                logits = network.model(fed_1t, past_key_values=cache, use_cache=True).logits[0]
            end = first + 1 + fed_1t.shape[1]
            scores_BT[row, first + 1 : end] = reading.of_logits(logits, targets_1T[0, first + 1 : end])
    return scores_BT


def _of_targets(logits_TV: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """[T] float64 log-softmax of the targets."""
    return torch.log_softmax(logits_TV.float(), -1).gather(1, targets_T[:, None])[:, 0].double()


def _norms_of_logits(logits_TV: torch.Tensor, targets_T: torch.Tensor, temperature: float) -> torch.Tensor:
    """[T] float64 lengths."""
    others_TV = torch.softmax(logits_TV.float() / temperature, -1).scatter(1, targets_T[:, None], 0.0)
    return (others_TV.sum(1).double() ** 2 + others_TV.square().sum(1).double()).sqrt()


LOGPROBS = Reading(of_hidden=_gather, of_logits=_of_targets)
