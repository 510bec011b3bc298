"""The weights against autograd of the textbook surrogates, written out here, on NumPy and on torch; clipped tokens included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jominy.recipes.battery import Rows, example_rows
from jominy.recipes.loading import RECIPES, load_recipe

Surrogate = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(logp, old, reference, advantage, inside) -> loss of each token, as the papers write it."""


def clip_loss(low: float, high: float) -> Surrogate:
    """-min(r A, clip(r, 1 - low, 1 + high) A)."""

    def loss(logp, old, reference, advantage, inside):
        ratio = torch.exp(logp - old)
        return -torch.min(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)

    return loss


def dual_clip_loss(low: float, high: float, dual: float) -> Surrogate:
    """For negative advantages -max(min(r A, clip(r) A), dual A)."""

    def loss(logp, old, reference, advantage, inside):
        plain = -clip_loss(low, high)(logp, old, reference, advantage, inside)
        return -torch.where(advantage < 0, torch.max(plain, dual * advantage), plain)

    return loss


def sequence_loss(low: float, high: float) -> Surrogate:
    """|y| times the loss of the response, -min(s A, clip(s) A), spread over its tokens: divide=rows takes the |y| away again."""

    def loss(logp, old, reference, advantage, inside):
        length = inside.sum(dim=1).double()
        s = torch.exp(torch.where(inside, logp - old, torch.zeros_like(logp)).sum(dim=1) / length)
        of_response = -torch.min(s * advantage[:, 0], s.clamp(1 - low, 1 + high) * advantage[:, 0])
        return of_response[:, None] * inside

    return loss


def cispo_loss(cap: float) -> Surrogate:
    """-sg(min(r, cap)) A logp."""

    def loss(logp, old, reference, advantage, inside):
        return -torch.exp(logp - old).clamp(max=cap).detach() * advantage * logp

    return loss


def score_loss(logp, old, reference, advantage, inside):
    """-A logp."""
    return -advantage * logp


def with_k2(loss: Surrogate, beta: float) -> Surrogate:
    return lambda logp, old, reference, advantage, inside: (
        loss(logp, old, reference, advantage, inside) + beta * 0.5 * (logp - reference) ** 2
    )


def with_k3(loss: Surrogate, beta: float) -> Surrogate:
    return lambda logp, old, reference, advantage, inside: (
        loss(logp, old, reference, advantage, inside) + beta * (torch.exp(reference - logp) - (reference - logp) - 1)
    )


def with_k1_reward(loss: Surrogate, beta: float) -> Surrogate:
    """The penalty of every token in the reward, and the return of a token what comes from there on: a plain loop."""

    def penalised(logp, old, reference, advantage, inside):
        returns = advantage.clone()
        for b in range(len(logp)):
            for t in range(logp.shape[1]):
                for later in range(t, logp.shape[1]):
                    if inside[b, later]:
                        returns[b, t] -= beta * (old[b, later] - reference[b, later])
        return loss(logp, old, reference, returns, inside)

    return penalised


CASES: dict[str, Surrogate] = {
    "reinforce": score_loss,
    "rloo": score_loss,
    "rft": score_loss,
    "rloo:ratio=token": clip_loss(0.2, 0.2),
    "reinforce:ratio=token,clip_low=off,clip_high=off": clip_loss(1.0, 1e9),
    "grpo": clip_loss(0.2, 0.2),
    "dr_grpo:clip_low=0.1,clip_high=off": clip_loss(0.1, 1e9),
    "dapo": clip_loss(0.2, 0.28),
    "positive_only": clip_loss(0.2, 0.2),
    "grpo:dual=3": dual_clip_loss(0.2, 0.2, 3.0),
    "dapo:dual=1.4": dual_clip_loss(0.2, 0.28, 1.4),
    "negative_only_masked": dual_clip_loss(0.2, 0.28, 10.0),
    "gspo": sequence_loss(3e-4, 4e-4),
    "gspo:clip_low=0.2,clip_high=0.2": sequence_loss(0.2, 0.2),
    "cispo": cispo_loss(5.0),
    "cispo:clip_high=0.28": cispo_loss(1.28),
    "grpo:kl=k2,beta=0.1": with_k2(clip_loss(0.2, 0.2), 0.1),
    "grpo:kl=k3": with_k3(clip_loss(0.2, 0.2), 0.04),
    "dapo:kl=k1_reward,beta=0.1": with_k1_reward(clip_loss(0.2, 0.28), 0.1),
    "cispo:clip_high=0.28,kl=k1_reward": with_k1_reward(cispo_loss(1.28), 0.04),
}


def as_torch(rows: Rows) -> Rows:
    there = {field.name: getattr(rows, field.name) for field in fields(rows)}
    return Rows(**{name: None if value is None else torch.tensor(value) for name, value in there.items()})


def spread_rows(seed: int, spread: float) -> Rows:
    """Rows whose ratios reach far on both sides when `spread` is large."""
    rows = example_rows(seed)
    rng = np.random.default_rng(seed + 1)
    return Rows(
        logp_BT=rows.old_BT + rng.normal(scale=spread, size=rows.old_BT.shape),
        old_BT=rows.old_BT,
        reference_BT=rows.old_BT + rng.normal(scale=0.5, size=rows.old_BT.shape),
        advantage_BT=np.repeat(rng.normal(size=(len(rows.old_BT), 1)), rows.old_BT.shape[1], axis=1),
        inside_BT=rows.inside_BT,
    )


def autograd_weights(rows: Rows, surrogate: Surrogate) -> np.ndarray:
    tensors = as_torch(rows)
    logp = tensors.logp_BT.clone().requires_grad_(True)
    loss = surrogate(logp, tensors.old_BT, tensors.reference_BT, tensors.advantage_BT, tensors.inside_BT)
    (slope,) = torch.autograd.grad((loss * tensors.inside_BT).sum(), logp)
    return -np.asarray(slope)


@pytest.mark.parametrize("text", CASES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.0, 0.01, 0.3, 1.5]))
def test_weights_are_minus_the_slope_of_the_surrogate(text: str, seed: int, spread: float) -> None:
    rows = spread_rows(seed, spread)
    np.testing.assert_allclose(rows.through(load_recipe(text, 64).weigh), autograd_weights(rows, CASES[text]), atol=1e-6, rtol=1e-9)


@pytest.mark.parametrize("text", [text for text in CASES if load_recipe(text, 64).clipped is not None])
def test_clipped_are_the_tokens_whose_weight_the_clip_changed(text: str) -> None:
    """Against the same recipe with its clips taken off."""
    recipe = load_recipe(text, 64)
    name, _, given_options = text.partition(":")
    kept = [option for option in given_options.split(",") if option and option.partition("=")[0] not in ("clip_low", "clip_high", "dual")]
    off = ["clip_low=off", "clip_high=off"] + ([] if name == "cispo" else ["dual=off"])
    free = load_recipe(f"{name}:{','.join(kept + off)}", 64)
    assert recipe.clipped is not None
    assert free.clipped is None
    num_clipped = 0
    for seed in range(20):
        rows = spread_rows(seed, 1.5)
        changed_BT = ~np.isclose(rows.through(recipe.weigh), rows.through(free.weigh), rtol=1e-12, atol=0)
        np.testing.assert_array_equal(rows.through(recipe.clipped), changed_BT)
        num_clipped += int(changed_BT.sum())
    assert num_clipped > 20


@pytest.mark.parametrize("text", [*RECIPES, *CASES])
def test_numpy_and_torch_give_the_same_weights(text: str) -> None:
    recipe = load_recipe(text, 64)
    rows = spread_rows(11, 0.4)
    weights_BT = as_torch(rows).through(recipe.weigh)
    assert isinstance(weights_BT, torch.Tensor)
    assert weights_BT.dtype == torch.float64
    np.testing.assert_allclose(weights_BT.numpy(), rows.through(recipe.weigh), rtol=1e-12, atol=1e-15)
    if recipe.clipped is not None:
        np.testing.assert_array_equal(as_torch(rows).through(recipe.clipped).numpy(), rows.through(recipe.clipped))


@pytest.mark.parametrize("text", CASES)
def test_single_precision_stays_single_and_finite(text: str) -> None:
    """Log-ratios of 200 nats: exp overflows float32, a weight must not."""
    rows = as_torch(spread_rows(12, 200.0))
    single = Rows(
        logp_BT=rows.logp_BT.float(),
        old_BT=rows.old_BT.float(),
        reference_BT=rows.reference_BT.float(),
        advantage_BT=rows.advantage_BT.float(),
        inside_BT=rows.inside_BT,
    )
    weights_BT = single.through(load_recipe(text, 64).weigh)
    assert weights_BT.dtype == torch.float32
    assert bool(torch.isfinite(weights_BT).all())


def test_on_policy_the_weight_is_the_advantage() -> None:
    rows = spread_rows(13, 0.0)
    for text in ("grpo", "dapo", "gspo", "cispo", "rloo", "w_reinforce", "clarity_weighted"):
        np.testing.assert_array_equal(rows.through(load_recipe(text, 64).weigh), np.where(rows.inside_BT, rows.advantage_BT, 0.0))


def test_the_worked_example_of_a_clip() -> None:
    # Ratios 1.5, 1.5, 0.5, 0.5 with advantages 2, -2, 2, -2, clip 0.2: up at 1.5 and down at 0.5 are flat; 1.5 * -2 = -3, 0.5 * 2 = 1.
    logp = np.log([[1.5, 1.5, 0.5, 0.5]])
    advantage = np.array([[2.0, -2.0, 2.0, -2.0]])
    inside = np.ones((1, 4), dtype=bool)
    np.testing.assert_allclose(load_recipe("grpo").weigh(logp, 0 * logp, None, advantage, inside), [[0, -3, 1, 0]])
    # With dual=1.4 the -3 is flat as well; CISPO at a cap of 1.2 keeps all four: 1.2 * 2, 1.2 * -2, 0.5 * 2, 0.5 * -2.
    np.testing.assert_allclose(load_recipe("grpo:dual=1.4").weigh(logp, 0 * logp, None, advantage, inside), [[0, 0, 1, 0]])
    np.testing.assert_allclose(load_recipe("cispo:clip_high=0.2").weigh(logp, 0 * logp, None, advantage, inside), [[2.4, -2.4, 1, -1]])
