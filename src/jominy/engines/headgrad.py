"""The output head in training: log-probabilities of chosen words and the gradient of their weighted sum, never holding [N, V].

    logp_m = z_m[y_m] - log sum_v exp z_m[v],      z_m = W h_m / temperature
    d(sum_m w_m logp_m) / dz_m = w_m (onehot(y_m) - softmax(z_m))

Two passes over slices of the vocabulary: the first finds logp, so that a recipe can say what each token weighs; the second makes the
logits again and turns them into the gradients of h, W and the bias at once. W's gradient is written once a slice.
Left out: heads that are more than a matrix product (caps, scales); their models go through autograd (`forward`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from jominy.engines.linears import grad_of, product
from jominy.engines.packed import can_pack

WORDS = 3072
"""Words of a slice."""
POSITIONS = 512
"""Positions taken at a time: with WORDS, 6 MiB of float32 logits that stay in the cache between the passes over them."""


def _multiply(x: torch.Tensor, weight: torch.Tensor) -> Callable[..., torch.Tensor]:
    """oneDNN's product where it can, torch's else."""
    return product if can_pack(weight) and x.dtype == torch.float32 else torch.nn.functional.linear


def _tiles(num_positions: int, num_words: int) -> Iterator[tuple[slice, slice]]:
    """Slices of words, and within each the positions."""
    for word in range(0, num_words, WORDS):
        for position in range(0, num_positions, POSITIONS):
            yield slice(word, min(word + WORDS, num_words)), slice(position, min(position + POSITIONS, num_positions))


@torch.no_grad()
def log_probabilities(
    hidden_MH: torch.Tensor, layer: torch.nn.Linear, targets_M: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """([M] logp, [M] log of the normaliser), float64."""
    multiply = _multiply(hidden_MH, layer.weight)
    maximum_M = torch.full((len(targets_M),), -torch.inf, dtype=torch.float64, device=hidden_MH.device)
    total_M, chosen_M = torch.zeros_like(maximum_M), torch.zeros_like(maximum_M)
    for words, at in _tiles(len(targets_M), layer.weight.shape[0]):
        logits = multiply(hidden_MH[at], layer.weight[words], None if layer.bias is None else layer.bias[words]).float()
        logits = logits if temperature == 1.0 else logits / temperature
        local, inside = _inside(targets_M[at], words)
        chosen_M[at] += torch.where(inside, logits.gather(1, local[:, None])[:, 0], 0.0).double()
        highest = logits.amax(1)
        higher = torch.maximum(maximum_M[at], highest.double())
        total = logits.sub_(highest[:, None]).exp_().sum(1).double() * (highest.double() - higher).exp()
        total_M[at] = total_M[at] * (maximum_M[at] - higher).exp() + total
        maximum_M[at] = higher
    normaliser_M = maximum_M + total_M.log()
    return chosen_M - normaliser_M, normaliser_M


@torch.no_grad()
def backward(
    hidden_MH: torch.Tensor,
    layer: torch.nn.Linear,
    targets_M: torch.Tensor,
    normaliser_M: torch.Tensor,
    weights_M: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """[M, H] gradient of sum_m w_m logp_m with respect to hidden; those of the head's own weight and bias are added to their `.grad`."""
    multiply = _multiply(hidden_MH, layer.weight)
    gradient_MH = torch.zeros_like(hidden_MH)
    normaliser, scaled = normaliser_M.float(), (weights_M / temperature).float()
    for words, at in _tiles(len(targets_M), layer.weight.shape[0]):
        weight, bias = layer.weight[words], None if layer.bias is None else layer.bias[words]
        logits = multiply(hidden_MH[at], weight, bias).float()
        logits = logits if temperature == 1.0 else logits / temperature
        logits.sub_(normaliser[at, None]).exp_().mul_(-scaled[at, None])
        local, inside = _inside(targets_M[at], words)
        rows = inside.nonzero()[:, 0]
        logits[rows, local[rows]] += scaled[at][rows]
        logits = logits.to(hidden_MH.dtype)
        gradient_MH[at] += multiply(logits, weight.t())
        if layer.weight.requires_grad:
            grad_of(layer.weight)[words] += multiply(logits.t(), hidden_MH[at].t())
        if layer.bias is not None and layer.bias.requires_grad:
            grad_of(layer.bias)[words] += logits.sum(0)
    return gradient_MH


def _inside(targets: torch.Tensor, words: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """(place within the slice, clamped; whether the target is in it)."""
    inside = (targets >= words.start) & (targets < words.stop)
    return (targets - words.start).clamp(0, words.stop - words.start - 1), inside
