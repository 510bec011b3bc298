"""Dynamic sampling on answers that are written down: how many batches are drawn, which groups train, what a small pool gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jominy.batches import Batch, Drawer
from jominy.preparing import Plan, prepare
from jominy.records import Reward
from jominy.schedule import draw_seed, learning_rate_at, prompts_at, split_held_out
from jominy.updating import update
from jominy.watching import Silent
from tests.training_world import ScriptedTrainer, spec_of, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"))


def drawn(world: Path, recipe: str, say: Callable[[str, int, int], str], **fields: Any) -> tuple[Batch, ScriptedTrainer, Plan]:
    """The first batch of two prompts with two responses each."""
    engine = ScriptedTrainer(say)
    plan = prepare(spec_of(world, recipe=recipe, **({"prompts": 2, "rollouts": 2} | fields)))
    with Drawer(plan, engine, Silent()) as drawer:
        return drawer.draw(1, 0), engine, plan


def in_calls(*live: int) -> Callable[[str, int, int], str]:
    """One right answer of two in these calls, else none."""
    return lambda prompt, call, index: "w4" if call in live and index == 0 else "w5"


def ids(groups: tuple[tuple[object, ...], ...]) -> list[str]:
    return [group[0].prompt_id for group in groups]  # type: ignore[attr-defined]


def test_off_takes_what_comes(world):
    batch, engine, plan = drawn(world, "grpo", in_calls())
    assert (batch.num_batches, batch.num_places, batch.num_live_prompts) == (1, 2, 2)  # grpo keeps constant groups: they count in divide
    assert batch.trained == batch.drawn
    assert ids(batch.drawn) == [prompt.id for prompt in prompts_at(plan.pool, 0, 2, 0)], "in the order asked for, not in that of finishing"
    assert [rollout.reward for group in batch.drawn for rollout in group] == [Reward(value=0.0)] * 4
    assert {rollout.seed for group in batch.drawn for rollout in group} == {draw_seed(0, 1, 0)}
    assert engine.asked == [[(prompt, 2) for prompt in ids(batch.drawn)]]


def test_until_full_draws_until_enough_groups_are_live(world):
    # batches 0 and 1 hold nothing, batch 2 two live groups
    batch, _, plan = drawn(world, "dapo:fill=until_full", in_calls(2))
    assert (batch.num_batches, batch.num_places, batch.num_live_prompts) == (3, 6, 2)
    assert len(batch.drawn) == 6
    assert batch.trained == batch.drawn[4:]
    assert [rollout.seed for group in batch.drawn for rollout in group[:1]] == [draw_seed(0, 1, number // 2) for number in range(6)]
    places = [prompt.id for prompt in prompts_at(plan.pool, 0, 6, 0)]
    assert ids(batch.drawn) == places, "the schedule goes on from batch to batch"


def test_until_full_keeps_a_full_batch_and_no_more(world):
    # one live group in the first batch (its first prompt), two in the second: three in all, two are wanted
    first = prompts_at(prepare(spec_of(world, prompts=2, rollouts=2)).pool, 0, 1, 0)[0].id
    say = lambda prompt, call, index: "w4" if index == 0 and (call == 1 or prompt == first) else "w5"  # noqa: E731
    batch, _, _ = drawn(world, "dapo:fill=until_full", say)
    assert (batch.num_batches, batch.num_live_prompts) == (2, 3)
    assert batch.trained == (batch.drawn[0], batch.drawn[2])


def test_until_full_gives_up_after_ten_batches_and_the_step_is_empty(world):
    batch, engine, plan = drawn(world, "dapo:fill=until_full", in_calls())
    assert (batch.num_batches, batch.num_places, batch.num_live_prompts, batch.trained) == (10, 20, 0, ())
    assert len(batch.drawn) == 20
    seen = update(engine, plan, batch, 0.1, float("inf"), {})
    assert engine.steps == [[]]
    assert (seen["num_rows"], seen["grad_norm"], seen["ess"], seen["gap_nats"], seen["update_tokens"]) == (0, 0.0, None, None, 0)


def test_two_then_repeat_fills_with_copies(world):
    # one live group in two batches of two: it stands at both places
    first = prompts_at(prepare(spec_of(world, prompts=2, rollouts=2)).pool, 0, 1, 0)[0].id
    say = lambda prompt, call, index: "w4" if index == 0 and prompt == first else "w5"  # noqa: E731
    batch, engine, plan = drawn(world, "dapo:fill=two_then_repeat", say)
    assert (batch.num_batches, batch.num_places, batch.num_live_prompts) == (2, 4, 1)
    assert batch.trained == (batch.drawn[0], batch.drawn[0])
    update(engine, plan, batch, 0.1, float("inf"), {first: [1, 5]})
    assert len(engine.steps[0]) == 4
    # two of the first four are live, and nothing of the next four: each stands at two of the four places, side by side
    two = [prompt.id for prompt in prompts_at(plan.pool, 0, 2, 0)]
    say = lambda prompt, call, index: "w4" if index == 0 and prompt in two else "w5"  # noqa: E731
    half, _, _ = drawn(world, "dapo:fill=two_then_repeat", say, prompts=4)
    assert half.trained == (half.drawn[0], half.drawn[0], half.drawn[1], half.drawn[1])
    full, _, _ = drawn(world, "dapo:fill=two_then_repeat", in_calls(0, 1))
    assert (full.num_batches, full.trained) == (1, full.drawn)
    nothing, _, _ = drawn(world, "dapo:fill=two_then_repeat", in_calls())
    assert (nothing.num_batches, nothing.trained) == (2, ())


def test_a_pool_of_one_fills_the_batch_with_groups_that_differ_in_their_draws(world):
    batch, engine, plan = drawn(world, "grpo", lambda prompt, call, index: f"w{index}", pool=1, prompts=3)
    assert len(plan.pool) == 1
    assert engine.asked == [[(plan.pool[0].id, 6)]], "one call, so that no response is drawn twice"
    assert [[rollout.index for rollout in group] for group in batch.drawn] == [[0, 1], [2, 3], [4, 5]]
    assert [rollout.text for group in batch.drawn for rollout in group] == [f"w{index}" for index in range(6)]
    assert batch.num_live_prompts == 1


def test_a_prompt_at_the_seam_of_two_epochs_is_drawn_once_for_both_places(world):
    # a pool of three at four places: one prompt stands twice
    batch, engine, plan = drawn(world, "grpo", lambda prompt, call, index: f"w{index}", pool=3, prompts=4)
    places = [prompt.id for prompt in prompts_at(plan.pool, 0, 4, 0)]
    twice = max(places, key=places.count)
    assert places.count(twice) == 2
    assert ids(batch.drawn) == places
    assert sorted(engine.asked) == sorted([[(key, 2) for key in dict.fromkeys(places) if key != twice], [(twice, 4)]])
    assert sorted(rollout.index for group in batch.drawn for rollout in group if rollout.prompt_id == twice) == [0, 1, 2, 3]


def test_demonstrations_are_the_gold_answers(world):
    batch, engine, plan = drawn(world, "sft", in_calls())
    assert engine.asked == []
    assert [group[0].text for group in batch.drawn] == [prompt.gold_answer for prompt in prompts_at(plan.pool, 0, 2, 0)]
    assert all(rollout.reward == Reward(value=1.0) and rollout.logprobs is None for group in batch.drawn for rollout in group)


def test_every_epoch_holds_each_prompt_once_in_an_order_of_its_own(world):
    pool = prepare(spec_of(world, pool=8)).pool
    epochs = [[prompt.id for prompt in prompts_at(pool, 8 * epoch, 8, 3)] for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(prompt.id for prompt in pool)] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [prompt.id for prompt in prompts_at(pool, 5, 6, 3)] == [*epochs[0][5:], *epochs[1][:3]]


def test_prompts_are_held_out_in_full_where_there_are_enough_and_a_fifth_else(world):
    prompts = list(prepare(spec_of(world, pool=30)).pool)
    assert [len(part) for part in split_held_out(prompts, 10, 20)] == [20, 10]
    assert [len(part) for part in split_held_out(prompts, 10, 25)] == [24, 6]  # 30 / 5
    assert [len(part) for part in split_held_out(prompts[:3], 10, 25)] == [2, 1]
    assert [len(part) for part in split_held_out(prompts[:9], 8, 1)] == [1, 8]
    with pytest.raises(ValueError, match=r"has 1 prompt\(s\); holding some out needs two"):
        split_held_out(prompts[:1], 1, 1)


def test_the_learning_rate_rises_and_stays():
    # thirds of 6 over three steps
    assert [learning_rate_at(step, 6.0, 3) for step in range(1, 6)] == [2.0, 4.0, 6.0, 6.0, 6.0]
    assert learning_rate_at(1, 6.0, 0) == 6.0
