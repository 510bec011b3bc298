"""The gradient of a training step is that of the textbook loss, on every kind of model, however the rows are laid out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from jominy.engines.learner import Learner
from jominy.engines.scoring import score
from jominy.recipes.loading import load_recipe
from jominy.records import Row, TrainRow
from tests import tiny
from tests.gradients import (
    LOSSES,
    compare,
    divided,
    every_prompt_is_long,
    gradient_of,
    numbers,
    off_policy,
    passes_of,
    rows_of,
    textbook_gradient,
)

ON_FOREST = {"llama", "qwen2", "gpt_neox", "gpt2"}
KINDS = [*sorted(ON_FOREST), "mistral", "gemma2", "granite", "lfm2"]


def odd_rows() -> list[TrainRow]:
    """Unequal prompts, completions of one token, a prompt that comes back later, a token here and there that does not train."""
    rows = rows_of(0, [5, 1, 9], [[4, 1, 13], [1, 7], [12, 3]])
    rows.append(replace(rows[1], completion_ids=np.array([9, 8, 7]), advantages=np.ones(3), inside=np.ones(3, dtype=bool)))
    rows[2].inside[3:6] = False
    rows[5].inside[0] = False
    return rows


@pytest.mark.parametrize("recipe", LOSSES)
@pytest.mark.parametrize("kind", [*KINDS, "llama, long prompts", "gpt_neox, long prompts"])
def test_gradient_is_that_of_the_textbook_loss(kind: str, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind.endswith(", long prompts"):
        kind = kind.removesuffix(", long prompts")
        every_prompt_is_long(monkeypatch)
    temperature = 0.7
    oracle = tiny.model(kind).double()
    loss, divisor = LOSSES[recipe]
    made = load_recipe(recipe)
    rows = off_policy(oracle, divided(odd_rows(), made), temperature)
    model = tiny.model(kind)
    # 30 tokens: the group of the first prompt is split, and so are the others
    passes = passes_of(model, temperature, tokens=30)
    assert passes.on_forest == (kind in ON_FOREST)
    learner = Learner(passes)
    report = learner.gradient(rows, made.weigh, clipped=made.clipped)
    theirs = textbook_gradient(oracle, rows, loss, divisor, temperature)
    angle, length = compare(gradient_of(model), theirs)
    assert angle < 1e-6
    assert length < 1e-4
    assert report.grad_norm == pytest.approx(float(torch.cat([each.flatten() for each in theirs.values()]).norm()), rel=1e-4)
    assert report.seen.clipped is not None
    held_back = np.concatenate(report.seen.clipped)
    assert held_back.any()
    assert not held_back.all()


@pytest.mark.parametrize("kind", ["llama", "mistral", "granite"])
def test_log_probabilities_are_those_of_the_scorer(kind: str) -> None:
    model, rows = tiny.model(kind), odd_rows()
    passes = passes_of(model, tokens=30)
    passes.network.refresh()
    scored = score(passes.network, [Row(prompt_ids=row.prompt_ids, completion_ids=row.completion_ids) for row in rows])
    assert numbers(passes.logprobs(rows)) == pytest.approx(numbers(scored), abs=1e-4)
    seen = Learner(passes).gradient(rows, load_recipe("grpo").weigh).seen
    assert numbers(seen.logprobs) == pytest.approx(numbers(scored), abs=1e-4)
    assert seen.clipped is None, "on policy nothing can be clipped"


class Counted:
    """How often a module ran."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.calls = 0
        module.register_forward_hook(self.count)

    def count(self, *_: Any) -> None:
        """One more."""
        self.calls += 1


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_splitting_a_step_does_not_move_its_gradient(kind: str) -> None:
    # four groups of a prompt of 8 tokens with four completions of 6: 32 tokens each on shared prompts, 56 with whole rows
    rows = off_policy(tiny.model(kind).double(), rows_of(1, [8] * 4, [[6] * 4] * 4), 1.0)
    recipe = load_recipe("grpo")
    group, half = (32, 20) if kind == "llama" else (56, 28)
    gradients = []
    for tokens, splits in ((4 * group, 1), (2 * group, 2), (group, 4), (half, 8)):
        model = tiny.model(kind)
        learner = Learner(passes_of(model, tokens=tokens))
        counted = Counted(model.get_decoder())
        learner.gradient(rows, recipe.weigh)
        assert counted.calls == splits
        gradients.append(gradient_of(model))
    for gradient in gradients[1:]:
        angle, length = compare(gradients[0], gradient)
        assert angle < 1e-10
        assert length < 1e-5


@pytest.mark.parametrize("kind", ["llama", "lfm2"])
def test_order_of_rows_does_not_move_the_gradient(kind: str) -> None:
    rows = odd_rows()
    gradients = []
    for order in (range(len(rows)), [7, 6, 5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 7, 4, 2, 6]):
        model = tiny.model(kind)
        Learner(passes_of(model)).gradient([rows[number] for number in order], load_recipe("grpo").weigh)
        gradients.append(gradient_of(model))
    for gradient in gradients[1:]:
        angle, length = compare(gradients[0], gradient)
        assert angle < 1e-10
        assert length < 1e-5


def test_rows_of_zero_weight_may_be_left_out() -> None:
    """Rows without an advantage add nothing to the gradient, so leaving them out is exact, the divisor being the whole step's."""
    rows = rows_of(2, [4, 6, 3], [[5, 5], [7, 2], [3, 3]], advantages=[1.0, -1.0, 0.0, 0.0, 0.5, 0.0])
    gradients = []
    for kept in (rows, [row for row in rows if row.advantages.any()]):
        model = tiny.model("llama")
        Learner(passes_of(model)).gradient(kept, load_recipe("grpo").weigh)
        gradients.append(gradient_of(model))
    angle, length = compare(*gradients)
    assert angle < 1e-10
    assert length < 1e-5


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "granite"])
def test_recomputed_activations_give_the_same_gradient(kind: str) -> None:
    gradients, calls = [], []
    for recompute in (False, True):
        model = tiny.model(kind)
        learner = Learner(passes_of(model, recompute=recompute))
        counted = Counted([module for module in model.modules() if type(module).__name__.endswith("Attention")][-1])
        learner.gradient(odd_rows(), load_recipe("grpo").weigh)
        gradients.append(gradient_of(model))
        calls.append(counted.calls)
        assert not any(module.training for module in model.modules())
    assert calls[1] == 2 * calls[0]
    angle, length = compare(*gradients)
    assert angle < 1e-10
    assert length < 1e-5


def test_tied_and_untied_heads() -> None:
    """qwen2 is tied here and llama is not: the words that are only fed get a gradient, the head has one of its own or shares it."""
    assert "lm_head.weight" in dict(tiny.model("llama").named_parameters())
    assert "lm_head.weight" not in dict(tiny.model("qwen2").named_parameters())


def head_with_bias(dtype: torch.dtype) -> Any:
    """A llama whose head has a bias."""
    model = tiny.model("llama")
    torch.manual_seed(3)
    head = torch.nn.Linear(32, tiny.NUM_WORDS)
    head.weight = model.lm_head.weight
    model.lm_head = head
    return model.to(dtype).eval()


def test_head_with_a_bias() -> None:
    rows = odd_rows()
    model, oracle = head_with_bias(torch.float32), head_with_bias(torch.float64)
    passes = passes_of(model, 1.3)
    assert passes.on_forest
    Learner(passes).gradient(divided(rows, load_recipe("grpo")), load_recipe("grpo").weigh)
    theirs = textbook_gradient(oracle, rows, LOSSES["grpo"][0], "rows", 1.3)
    assert "lm_head.bias" in theirs
    angle, length = compare(gradient_of(model), theirs)
    assert angle < 1e-6
    assert length < 1e-4
