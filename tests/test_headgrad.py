"""The head in slices and the layers on oneDNN give what autograd gives through whole logits and torch's own products."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jominy.engines import headgrad
from jominy.engines.linears import TrainingLinears

NUM_WORDS, WIDTH, POSITIONS = 23, 8, 13


def make_head(bias: bool, scale: float = 1.0) -> tuple[torch.nn.Linear, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(layer, hidden [M, H], targets [M] that visit every slice, weights [M] of both signs and a zero)."""
    torch.manual_seed(0)
    weights = torch.randn(POSITIONS, dtype=torch.float64)
    weights[3] = 0.0
    layer = torch.nn.Linear(WIDTH, NUM_WORDS, bias=bias)
    return layer, scale * torch.randn(POSITIONS, WIDTH), (5 * torch.arange(POSITIONS)) % NUM_WORDS, weights


@pytest.mark.parametrize("words", [1, 7, 22, 23, 100])
@pytest.mark.parametrize("positions", [1, 5, 100])
@pytest.mark.parametrize(("bias", "temperature", "scale"), [(True, 1.0, 1.0), (False, 0.6, 1.0), (True, 1.7, 20.0)])
def test_head_in_slices(words: int, positions: int, bias: bool, temperature: float, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headgrad, "WORDS", words)
    monkeypatch.setattr(headgrad, "POSITIONS", positions)
    layer, hidden, targets, weights = make_head(bias, scale)
    exact = torch.nn.Linear(WIDTH, NUM_WORDS, bias=bias).double()
    exact.load_state_dict(layer.double().state_dict())
    layer.float()
    exact_hidden = hidden.double().requires_grad_()
    oracle = torch.log_softmax(exact(exact_hidden) / temperature, -1).gather(1, targets[:, None])[:, 0]
    (weights * oracle).sum().backward()

    logp, normaliser = headgrad.log_probabilities(hidden, layer, targets, temperature)
    gradient = headgrad.backward(hidden, layer, targets, normaliser, weights, temperature)
    assert exact_hidden.grad is not None
    assert exact.weight.grad is not None
    assert layer.weight.grad is not None
    tolerance = 3e-5 * scale
    torch.testing.assert_close(logp, oracle.detach(), rtol=0, atol=tolerance)
    torch.testing.assert_close(gradient.double(), exact_hidden.grad, rtol=0, atol=tolerance)
    torch.testing.assert_close(layer.weight.grad.double(), exact.weight.grad, rtol=0, atol=tolerance)
    if bias:
        assert exact.bias.grad is not None
        assert layer.bias.grad is not None
        torch.testing.assert_close(layer.bias.grad.double(), exact.bias.grad, rtol=0, atol=tolerance)


def test_gradients_of_the_head_add_up() -> None:
    layer, hidden, targets, weights = make_head(bias=True)
    _, normaliser = headgrad.log_probabilities(hidden, layer, targets, 1.0)
    headgrad.backward(hidden, layer, targets, normaliser, weights, 1.0)
    assert layer.weight.grad is not None
    once = layer.weight.grad.clone()
    headgrad.backward(hidden, layer, targets, normaliser, weights, 1.0)
    torch.testing.assert_close(layer.weight.grad, 2 * once)


def test_a_frozen_head_passes_gradients_through_and_gets_none() -> None:
    layer, hidden, targets, weights = make_head(bias=True)
    _, normaliser = headgrad.log_probabilities(hidden, layer, targets, 1.0)
    trained = headgrad.backward(hidden, layer, targets, normaliser, weights, 1.0)
    layer.zero_grad()
    layer.requires_grad_(False)
    frozen = headgrad.backward(hidden, layer, targets, normaliser, weights, 1.0)
    torch.testing.assert_close(frozen, trained, rtol=0, atol=0)
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_a_head_in_bfloat16() -> None:
    layer, hidden, targets, weights = make_head(bias=False)
    expected = torch.log_softmax(hidden @ layer.weight.t(), -1).gather(1, targets[:, None])[:, 0].detach()
    logp, normaliser = headgrad.log_probabilities(hidden.bfloat16(), layer.bfloat16(), targets, 1.0)
    gradient = headgrad.backward(hidden.bfloat16(), layer, targets, normaliser, weights, 1.0)
    # eight bits of mantissa: logits of size 2 are off by 2^-8 or so
    torch.testing.assert_close(logp.float(), expected, rtol=0, atol=0.05)
    assert gradient.dtype == torch.bfloat16
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.bfloat16


CASES = {
    "rows": lambda: torch.randn(5, 6),
    "batch": lambda: torch.randn(2, 3, 6),
    "one row": lambda: torch.randn(1, 6),
    "transposed": lambda: torch.randn(6, 5).t(),
    "every second column": lambda: torch.randn(4, 3, 12)[..., ::2],
    "swapped batch": lambda: torch.randn(3, 2, 6).transpose(0, 1),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_products_are_those_of_torch(case: str, bias: bool, frozen: bool) -> None:
    torch.manual_seed(1)
    layer = torch.nn.Linear(6, 4, bias=bias)
    layer.weight.requires_grad_(not frozen)
    found = []
    made = CASES[case]()
    for mode in (False, True):
        layer.zero_grad()
        x = made.detach().requires_grad_()
        assert x.is_contiguous() == made.is_contiguous()
        with TrainingLinears() if mode else torch.enable_grad():
            y = layer(x)
            # the gradient that comes back is not contiguous either
            y.transpose(0, -1).square().sum().backward()
        found.append([y.detach(), x.grad, layer.weight.grad, layer.bias.grad if bias else None])
        assert type(y.grad_fn).__name__.startswith("_Linear") == mode
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"padding_idx": 2}, {"scale_grad_by_freq": True}, {"max_norm": 0.5}])
def test_embeddings_are_those_of_torch(settings: dict[str, Any]) -> None:
    """A word that is fed three times, the padding word, and a gradient that was there before."""
    ids = torch.tensor([[5, 1, 5, 2], [0, 2, 5, 6]])
    found = []
    for mode in (False, True):
        torch.manual_seed(2)
        layer = torch.nn.Embedding(7, 4, **settings)
        layer.weight.grad = torch.ones(7, 4)
        with TrainingLinears() if mode else torch.enable_grad():
            y = layer(ids)
            (y * torch.arange(32.0).view(2, 4, 4)).sum().backward()
        found.append((y.detach(), layer.weight.grad.clone()))
        assert type(y.grad_fn).__name__.startswith("_Embedding") == (mode and (not settings or "padding_idx" in settings))
    for ours, theirs in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_other_products_pass_through() -> None:
    """float64, frozen words, and weights that are no matrix."""
    with TrainingLinears():
        double = torch.nn.Linear(6, 4).double()(torch.randn(5, 6, dtype=torch.float64))
        dot = torch.nn.functional.linear(torch.arange(3.0), torch.arange(3.0))
        frozen = torch.nn.Embedding(3, 2).requires_grad_(False)(torch.tensor([1]))
    assert not frozen.requires_grad
    assert double.dtype == torch.float64
    assert dot.item() == 0 + 1 + 4
