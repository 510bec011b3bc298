"""A step of the optimiser: what moves, what must not, and what survives a stop."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jominy.crediting import groups_of_rollouts, rows_to_step
from jominy.engines import Explosion
from jominy.engines.checkpoints import load_trainer, save_checkpoint
from jominy.engines.learner import Learner
from jominy.engines.models import load_model
from jominy.recipes.loading import load_recipe
from jominy.records import Reward, Rollout, TrainRow
from tests import tiny
from tests.gradients import passes_of, rows_of, same

WEIGH = load_recipe("grpo").weigh


def learner_of(model: Any, **settings: float) -> Learner:
    """A learner on a tiny model."""
    return Learner(passes_of(model), **settings)


def some_rows(seed: int = 0) -> list[TrainRow]:
    """Two groups of two."""
    return rows_of(seed, [3, 6], [[4, 2], [5, 1]], advantages=[1.0, -1.0, 0.5, -0.5])


def weights_of(model: Any) -> list[torch.Tensor]:
    """Copies of all parameters."""
    return [parameter.detach().clone() for parameter in model.parameters()]


def moments_of(learner: Learner) -> list[torch.Tensor]:
    """Copies of all that the optimiser remembers."""
    return [value.clone() for state in learner.optimizer.state.values() for value in state.values()]


def all_same(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    """Bit for bit."""
    return len(ones) == len(others) > 0 and all(map(same, ones, others))


def test_first_step_is_adams() -> None:
    """Adam's first step is the learning rate against the sign of the gradient, wherever that is far above its epsilon of 1e-8."""
    model = tiny.model("llama")
    learner = learner_of(model, max_grad_norm=1e9)
    before = weights_of(model)
    learner.gradient(some_rows(), WEIGH)
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    learner.step(some_rows(), WEIGH, 1e-3)
    for old, new, gradient in zip(before, model.parameters(), gradients, strict=True):
        large = gradient.abs() > 1e-4
        assert (old - new.detach())[large].numpy() == pytest.approx(1e-3 * gradient.sign()[large].numpy(), abs=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_step_raises_what_was_rewarded() -> None:
    learner = learner_of(tiny.model("llama"))
    good, bad = some_rows()[:2]
    before = [logp.sum() for logp in learner.passes.logprobs([good, bad])]
    learner.step([good, bad], WEIGH, 1e-3)
    after = [logp.sum() for logp in learner.passes.logprobs([good, bad])]
    assert after[0] > before[0] + 0.01
    assert after[1] < before[1] - 0.01


def test_long_gradients_are_cut_and_reported_whole() -> None:
    """Adam does not see a factor on all gradients, so the cut is seen in its first moment, which is 1 - 0.9 of the gradient."""
    model = tiny.model("llama")
    learner = learner_of(model, max_grad_norm=0.01)
    report = learner.step(some_rows(), WEIGH, 1e-3)
    moments = torch.cat([state["exp_avg"].flatten() for state in learner.optimizer.state.values()])
    assert report.grad_norm > 0.1
    assert float(moments.norm()) == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_weight_decay_is_taken_from_the_weights() -> None:
    """A decay of 0.5 at a rate of 0.01 takes half a per cent from each weight, beside the step that both models make."""
    models = [tiny.model("llama"), tiny.model("llama")]
    before = weights_of(models[0])
    for model, decay in zip(models, (0.0, 0.5), strict=True):
        learner_of(model, weight_decay=decay).step(some_rows(), WEIGH, 0.01)
    for old, free, decayed in zip(before, *map(weights_of, models), strict=True):
        assert (free - decayed).numpy() == pytest.approx(0.005 * old.numpy(), abs=1e-6)


def rollout(prompt: str, index: int, reward: float) -> Rollout:
    """A graded response of two tokens."""
    return Rollout(
        prompt_id=prompt,
        index=index,
        text="",
        token_ids=np.array([5, 6]),
        logprobs=None,
        logprobs_t1=None,
        stop="eos",
        policy="m",
        temperature=1.0,
        top_p=1.0,
        seed=0,
        reward=Reward(value=reward),
    )


def test_constant_groups_run_nothing_and_change_no_bit() -> None:
    """Two groups, one all right and one all wrong: no row is left, and neither weights nor the optimiser's moments move."""
    model = tiny.model("llama")
    learner = learner_of(model, weight_decay=0.1)
    learner.step(some_rows(), WEIGH, 1e-3)
    batch = [[rollout("one", 0, 1.0), rollout("one", 1, 1.0)], [rollout("other", 0, 0.0), rollout("other", 1, 0.0)]]
    recipe = load_recipe("grpo")
    groups = groups_of_rollouts(batch, success=1.0)
    rows, positions = rows_to_step(recipe, batch, groups, recipe.credit(groups), {"one": [3, 4], "other": [7]})
    assert rows == []
    assert len(positions) == 0
    weights, moments = weights_of(model), moments_of(learner)
    calls: list[Any] = []
    for module in model.modules():
        module.register_forward_hook(lambda *arguments: calls.append(arguments))
    report = learner.step(rows, recipe.weigh, 1e-3, clipped=recipe.clipped)
    assert not calls
    assert report.grad_norm == 0
    assert report.seen.num_tokens == 0
    assert all_same(weights, weights_of(model))
    assert all_same(moments, moments_of(learner))


def test_explosions_leave_the_weights() -> None:
    model = tiny.model("llama")
    learner = learner_of(model)
    learner.step(some_rows(), WEIGH, 1e-3)
    weights, moments = weights_of(model), moments_of(learner)
    infinite = some_rows()
    infinite[2].advantages[1] = np.inf
    with pytest.raises(Explosion, match=r"not finite \(rows with log-probabilities that are not finite: none\)"):
        learner.step(infinite, WEIGH, 1e-3)
    with pytest.raises(Explosion, match=r"above the limit of 0\.001"):
        learner.step(some_rows(), WEIGH, 1e-3, norm_limit=0.001)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all_same(weights, weights_of(model))
    assert all_same(moments, moments_of(learner))


def test_a_weight_that_is_not_a_number_is_found() -> None:
    """Word 9 is fed in the second group alone, so the rows of the first are healthy and the message names the others."""
    model = tiny.model("llama")
    learner = learner_of(model)
    rows = [replace(row, prompt_ids=row.prompt_ids % 8, completion_ids=row.completion_ids % 8) for row in some_rows()]
    rows[2].prompt_ids[:] = rows[3].prompt_ids[:] = 9
    with torch.no_grad():
        model.model.embed_tokens.weight[9] = torch.nan
    weights = weights_of(model)
    with pytest.raises(Explosion, match=r"\[2, 3\]"):
        learner.step(rows, WEIGH, 1e-3)
    assert all(parameter.grad is None for parameter in model.parameters())
    for old, new in zip(weights, model.parameters(), strict=True):
        assert torch.equal(old.nan_to_num(7.0), new.detach().nan_to_num(7.0))


def test_small_steps_of_bfloat16_weights_are_not_lost() -> None:
    """A weight of 0.5 has a neighbour 0.002 away in bfloat16, and a step of 1e-6 rounds to nothing; a hundred of them are 1e-4."""
    model = tiny.model("llama").bfloat16()
    learner = learner_of(model, max_grad_norm=1e9)
    before = weights_of(model)
    for _ in range(100):
        learner.step(some_rows(), WEIGH, 1e-6)
    moved = torch.cat([(master - old.float()).abs().flatten() for master, old in zip(learner.masters, before, strict=True)])
    # the gradient hardly changes in a hundred such steps, so nearly all weights that have one go the same way
    assert float(moved[moved > 0].median()) == pytest.approx(1e-4, rel=0.05)
    for master, parameter in zip(learner.masters, model.parameters(), strict=True):
        assert master.dtype == torch.float32
        assert same(parameter.detach(), master.bfloat16())


def test_bfloat16_gradients_point_where_float32_ones_do() -> None:
    gradients = []
    for model in (tiny.model("llama"), tiny.model("llama").bfloat16()):
        learner = learner_of(model)
        learner.gradient(some_rows(), WEIGH)
        gradients.append(torch.cat([master.grad.flatten() for master in learner.masters if master.grad is not None]))
    # eight bits of mantissa through two layers
    assert float(torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0)) > 0.99


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_run_that_stopped_goes_on_to_the_same_bits(dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny.model("llama").to(dtype)
    learner = learner_of(model, weight_decay=0.01)
    for seed in range(2):
        learner.step(some_rows(seed), WEIGH, 1e-3)
    save_checkpoint(model, tiny.tokenizer(), {"learner": learner.state()}, {"step": 2}, tmp_path / "step-00002")
    learner.step(some_rows(2), WEIGH, 1e-3)

    later = load_model(str(tmp_path / "step-00002"), "cpu")[0].to(dtype)
    restored = learner_of(later, weight_decay=0.01)
    restored.restore(load_trainer(tmp_path / "step-00002")["learner"])
    restored.step(some_rows(2), WEIGH, 1e-3)
    assert all_same(weights_of(model), weights_of(later))
    assert all_same(moments_of(learner), moments_of(restored))
    assert all_same(learner.masters, restored.masters)
    forgetful = learner_of(load_model(str(tmp_path / "step-00002"), "cpu")[0].to(dtype), weight_decay=0.01)
    forgetful.step(some_rows(2), WEIGH, 1e-3)
    assert not all_same(learner.masters, forgetful.masters), "without its moments the step would be another"


def test_state_is_a_view_of_no_later_step() -> None:
    """What is written to disk must be what was there when it was asked for, so a copy of it is compared after another step."""
    learner = learner_of(tiny.model("llama").bfloat16())
    learner.step(some_rows(), WEIGH, 1e-3)
    state = copy.deepcopy(learner.state())
    weights = [master.detach().clone() for master in learner.masters]
    learner.step(some_rows(1), WEIGH, 1e-3)
    learner.restore(state)
    assert all_same(weights, learner.masters)


def test_gradients_of_bfloat16_weights_add_up_in_float32() -> None:
    """300 micro-batches of one gradient are 300 of it; a sum in bfloat16 would stand still at 256, where one more rounds to nothing."""
    model = tiny.model("llama").bfloat16()
    row = rows_of(0, [3], [[4]])[0]
    learner = Learner(passes_of(model, tokens=1))
    once = learner.gradient([row], WEIGH).grad_norm
    assert learner.gradient([row] * 300, WEIGH).grad_norm == pytest.approx(300 * once, rel=1e-3)
    assert all(parameter.grad is None for parameter in model.parameters())
