"""Sign-only recipes in the loop: what a batch without the answers that they learn from gives, and training without a clip.

What each form computes is tested with the other recipes (`test_recipe_gradients`, `test_recipe_surrogates`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.batches import Batch, Drawer
from jominy.preparing import prepare
from jominy.recipes.loading import list_recipes, load_recipe
from jominy.steplog import read_steps
from jominy.training import train
from jominy.updating import update
from jominy.watching import Silent
from tests.training_world import ScriptedTrainer, lines_of, spec_of, write_world

SIGNS = ("positive_only", "negative_only", "w_reinforce", "positive_only_masked", "negative_only_masked")
ROWS = {
    # of two groups of four: (all wrong, all right, two right in each)
    "positive_only": (0, 8, 4),
    "negative_only": (8, 0, 4),
    "w_reinforce": (8, 8, 8),
    "positive_only_masked": (0, 0, 4),  # z-scores of equal rewards are 0, and such groups are drawn again
    "negative_only_masked": (0, 0, 4),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"))


def learned(world: Path, recipe: str, num_right: int) -> tuple[Batch, ScriptedTrainer, dict[str, Any]]:
    """A step on two groups of four responses, so many of each right."""
    engine = ScriptedTrainer(lambda prompt, call, index: "w4" if index < num_right else "w5")
    plan = prepare(spec_of(world, recipe=recipe, prompts=2, rollouts=4))
    with Drawer(plan, engine, Silent()) as drawer:
        batch = drawer.draw(1, 0)
    return batch, engine, update(engine, plan, batch, 0.1, math.inf, {prompt.id: [1, 5] for prompt in plan.pool})


@pytest.mark.parametrize("recipe", SIGNS)
def test_a_step_says_how_many_rows_trained(world, recipe):
    for num_right, expected in zip((0, 4, 2), ROWS[recipe], strict=True):
        batch, engine, seen = learned(world, recipe, num_right)
        assert seen["num_rows"] == len(engine.steps[0]) == expected
        # the masked forms draw a second time where the first batch teaches nothing
        assert batch.num_batches == (2 if recipe.endswith("masked") and num_right != 2 else 1)
        if not expected:
            assert (seen["ess"], seen["gap_nats"]) == (None, None)


def test_advantages_of_a_batch_of_one_kind_have_the_one_sign(world):
    for recipe, num_right, advantage in (("positive_only", 4, 1.0), ("negative_only", 0, -1.0), ("w_reinforce", 4, 0.1)):
        _, engine, _ = learned(world, recipe, num_right)
        assert {float(row.advantages[0]) for row in engine.steps[0]} == {advantage}


def test_a_batch_without_right_answers_leaves_the_weights_under_positive_only(world, tmp_path):
    # a task whose reward is 0.5 everywhere has no right answer; ten such steps stop a run, which says so
    spec = spec_of(world, task="constant_task", recipe="positive_only", steps=2)
    with pytest.raises(ValueError, match=r"no response of the first 2 steps carried a gradient"):
        train(spec, tmp_path / "out", quiet=True)
    lines = read_steps(tmp_path / "out")
    assert [line["num_rows"] for line in lines] == [0, 0]
    assert [line["grad_norm"] for line in lines] == [0.0, 0.0]
    assert abs(lines[1]["kl_nats"]) < 1e-5, "the policy is where it was, up to the sampler's rounding"


def test_the_two_forms_are_told_apart_in_the_listing():
    summaries = {recipe.name: recipe.summary for recipe in list_recipes()}
    assert summaries["positive_only"] == "right answers with weight 1, the others left out"
    assert summaries["positive_only_masked"] == "GRPO's z-scores, those of wrong answers set to 0"
    assert summaries["negative_only"] == "wrong answers with weight -1, the others left out"
    assert summaries["negative_only_masked"] == "GRPO's z-scores, those of right answers set to 0"


@pytest.mark.parametrize("recipe", ["grpo", "dapo", *SIGNS])
def test_a_clip_can_be_taken_off(recipe):
    options = "clip_low=off,clip_high=off" + (",dual=off" if recipe.endswith("masked") else "")
    clipped, free = load_recipe(recipe, 64), load_recipe(f"{recipe}:{options}", 64)
    # ratios 20 and 1/20 with advantages 2 and -2: r A is 40, -40, 0.1, -0.1
    logp = np.log([[20.0, 20.0, 0.05, 0.05]])
    advantage, inside = np.array([[2.0, -2.0, 2.0, -2.0]]), np.ones((1, 4), dtype=bool)
    np.testing.assert_allclose(free.weigh(logp, 0 * logp, None, advantage, inside), [[40, -40, 0.1, -0.1]])
    assert free.clipped is None
    assert float(clipped.weigh(logp, 0 * logp, None, advantage, inside)[0, 0]) == 0


def test_several_updates_a_step_with_and_without_a_clip(world, tmp_path):
    """A learning rate that throws the policy far in one update: the second one clips, unless the clip is off."""
    lines = {}
    for name, options in (("clip", ""), ("free", ":clip_low=off,clip_high=off")):
        spec = spec_of(world, recipe=f"grpo{options}", steps=1, minibatches=2, pool=1, rollouts=16, learning_rate=0.05)
        lines[name] = lines_of(train(spec, tmp_path / name, quiet=True).path)[0]
    assert lines["clip"]["clip_share"] > 0.1
    assert lines["free"]["clip_share"] is None
    same = ("reward", "num_rows", "num_tokens", "gap_nats")
    assert [lines["clip"][key] for key in same] == [lines["free"][key] for key in same]
    assert lines["clip"]["ess"] != lines["free"]["ess"]
