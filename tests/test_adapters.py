"""LoRA: the factors train and nothing else does; with them off the model is the one it was; merged it is a plain model."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from jominy.engines.adapters import Adapters, add_adapters
from jominy.engines.checkpoints import load_trainer, save_checkpoint, save_model
from jominy.engines.learner import Learner
from jominy.engines.local import LocalEngine
from jominy.engines.models import quiet_transformers
from jominy.recipes.loading import load_recipe
from jominy.records import Sampling
from tests import tiny
from tests.gradients import LOSSES, compare, divided, gradient_of, off_policy, passes_of, rows_of, same, textbook_gradient

pytest.importorskip("peft", reason="peft is not installed")
KINDS = ["llama", "qwen2", "gpt_neox", "gpt2", "mistral", "granite", "lfm2"]
ON_FOREST = {"llama", "qwen2", "gpt_neox", "gpt2"}
RANK = 3


def adapted(kind: str, seed: int = 0) -> tuple[Any, Adapters]:
    """A model with adapters, both factors away from zero."""
    model = tiny.model(kind)
    adapters = add_adapters(model, RANK, seed)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in adapters.weights.values():
            weight.normal_(0.0, 0.1)
    return model, adapters


def step(model: Any, number: int = 1) -> None:
    """Some steps of training."""
    learner = Learner(passes_of(model))
    for seed in range(number):
        learner.step(rows_of(seed, [3], [[4, 2]], advantages=[1.0, -1.0]), load_recipe("grpo").weigh, 1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_that_of_the_textbook_loss(kind: str) -> None:
    oracle, model = adapted(kind)[0].double(), adapted(kind)[0]
    recipe = load_recipe("grpo:kl=k3,beta=0.1")
    rows = off_policy(oracle, divided(rows_of(0, [5, 9], [[4, 1, 8], [3, 6]]), recipe), 0.8)
    passes = passes_of(model, 0.8, tokens=20)
    assert passes.on_forest == (kind in ON_FOREST)
    Learner(passes).gradient(rows, recipe.weigh)
    loss, divisor = LOSSES["grpo:kl=k3,beta=0.1"]
    theirs = textbook_gradient(oracle, rows, loss, divisor, 0.8)
    assert theirs
    assert all("lora" in name for name in theirs)
    angle, length = compare(gradient_of(model), theirs)
    assert angle < 1e-6
    assert length < 1e-4


@pytest.mark.parametrize("recompute", [False, True])
def test_only_the_factors_move(recompute: bool) -> None:
    plain, model = tiny.model("llama"), tiny.model("llama")
    adapters = add_adapters(model, RANK)
    before = {name: weight.detach().clone() for name, weight in adapters.weights.items()}
    Learner(passes_of(model, recompute=recompute)).step(rows_of(0, [3], [[4, 2]], advantages=[1.0, -1.0]), load_recipe("grpo").weigh, 1e-2)
    # B is zero at first, so A has no gradient yet and B has one
    moved = {name for name, weight in adapters.weights.items() if not same(weight.detach(), before[name])}
    assert moved == {name for name in before if "lora_B" in name}
    for name, parameter in plain.named_parameters():
        ours = dict(model.named_parameters())
        place = name if name in ours else name.replace(".weight", ".base_layer.weight")
        assert same(parameter.detach(), ours[place].detach())
        assert not ours[place].requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_without_adapters_it_is_the_starting_policy(kind: str) -> None:
    rows = rows_of(0, [5, 9], [[4, 1, 8], [3, 6]])
    expected = passes_of(tiny.model(kind)).logprobs(rows)
    model = tiny.model(kind)
    adapters = add_adapters(model, RANK)
    passes = passes_of(model)
    for start, own in zip(expected, passes.logprobs(rows), strict=True):
        assert np.array_equal(start, own), "B is zero, so nothing has changed yet"
    step(model)
    with adapters.off():
        reference = passes.logprobs(rows)
    for start, own, again in zip(expected, reference, passes.logprobs(rows), strict=True):
        assert np.array_equal(start, own)
        assert not np.allclose(start, again, atol=1e-3)
    assert all(weight.requires_grad for weight in adapters.weights.values())


@pytest.mark.parametrize("kind", KINDS)
def test_merged_it_is_a_plain_model(kind: str, tmp_path: Path) -> None:
    model, adapters = adapted(kind)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    rows = rows_of(0, [5, 9], [[4, 1, 8], [3, 6]])
    expected = passes_of(model).logprobs(rows)
    save_model(adapters.merged(), tiny.tokenizer(), tmp_path / "model")
    with quiet_transformers():
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert type(merged) is type(model)
    assert merged.state_dict().keys() == tiny.model(kind).state_dict().keys()
    for ours, theirs in zip(passes_of(merged).logprobs(rows), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)
    assert all(same(value, state[name]) for name, value in model.state_dict().items())


def test_sampling_with_adapters_is_sampling_from_the_merged_model() -> None:
    model, adapters = adapted("llama")
    prompts, sampling = [tiny.prompt(0), tiny.prompt(1, 5)], Sampling(max_tokens=12)
    pairs = [
        {group[0].prompt_id: group for group in LocalEngine.of(each, tiny.tokenizer(), name="m").sample(prompts, 3, sampling, seed=0)}
        for each in (model, adapters.merged())
    ]
    for prompt in prompts:
        for ours, theirs in zip(pairs[0][prompt.id], pairs[1][prompt.id], strict=True):
            assert ours.token_ids.tolist() == theirs.token_ids.tolist()
            assert ours.logprobs_t1 == pytest.approx(theirs.logprobs_t1, abs=1e-4)


def test_sampling_sees_the_last_step() -> None:
    """The engine packs weights for sampling; after a step it must pack the factors anew."""
    model = tiny.model("llama")
    adapters = add_adapters(model, RANK)
    engine = LocalEngine.of(model, tiny.tokenizer(), name="m")
    list(engine.sample([tiny.prompt(0)], 2, Sampling(max_tokens=4), seed=0))
    step(model, 5)
    groups = list(engine.sample([tiny.prompt(0)], 4, Sampling(max_tokens=10), seed=0))
    plain = LocalEngine.of(adapters.merged(), tiny.tokenizer(), name="m")
    merged = list(plain.sample([tiny.prompt(0)], 4, Sampling(max_tokens=10), seed=0))
    for ours, theirs in zip(groups[0], merged[0], strict=True):
        assert ours.token_ids.tolist() == theirs.token_ids.tolist()
        assert ours.logprobs_t1 == pytest.approx(theirs.logprobs_t1, abs=1e-4)


def test_a_run_that_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    weigh = load_recipe("grpo").weigh
    model = tiny.model("llama")
    adapters, learner = add_adapters(model, RANK), Learner(passes_of(model))
    learner.step(rows_of(0, [3], [[4, 2]]), weigh, 1e-2)
    trainer = {"learner": learner.state(), "adapters": adapters.state()}
    save_checkpoint(adapters.merged(), tiny.tokenizer(), trainer, {"step": 1}, tmp_path / "step-00001")
    learner.step(rows_of(1, [3], [[4, 2]]), weigh, 1e-2)

    later = tiny.model("llama")
    again, restored = add_adapters(later, RANK, seed=5), Learner(passes_of(later))
    state = load_trainer(tmp_path / "step-00001")
    restored.restore(state["learner"])
    again.load_state(state["adapters"])
    restored.step(rows_of(1, [3], [[4, 2]]), weigh, 1e-2)
    for name, weight in adapters.weights.items():
        assert same(weight.detach(), again.weights[name].detach())


def test_the_seed_decides_the_factors() -> None:
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    one, same_seed, other = (add_adapters(tiny.model("llama"), RANK, seed).state() for seed in (0, 0, 1))
    assert all(same(one[name], same_seed[name]) for name in one)
    assert any(not same(one[name], other[name]) for name in one)
    torch.manual_seed(7)
    add_adapters_to = tiny.model("llama")
    torch.random.set_rng_state(state)
    add_adapters(add_adapters_to, RANK)
    assert same(torch.random.get_rng_state(), state), "the caller's random numbers go on as if nothing had been drawn"


def test_alpha_is_twice_the_rank() -> None:
    """With A and B of ones and rank 3 every entry of the merged weight grows by 2 * 3: alpha / rank times the sum over the rank."""
    model = tiny.model("llama")
    adapters = add_adapters(model, RANK)
    before = model.model.layers[0].mlp.up_proj.base_layer.weight.detach().clone()
    with torch.no_grad():
        for weight in adapters.weights.values():
            weight.fill_(1.0)
    grown = adapters.merged().model.layers[0].mlp.up_proj.weight.detach() - before
    torch.testing.assert_close(grown, torch.full_like(grown, 6.0), rtol=0, atol=1e-5)


def test_errors_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        add_adapters(tiny.model("llama"), 0)
    small, large = (add_adapters(tiny.model("llama"), rank) for rank in (2, 4))
    with pytest.raises(ValueError, match="the LoRA rank that the run began with"):
        large.load_state(small.state())
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else real(name, *rest))
    with pytest.raises(ValueError, match=r"pip install 'jominy\[lora\]'"):
        add_adapters(tiny.model("llama"), 2)
