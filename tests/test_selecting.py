"""Which prompts a one-shot run trains on: each rule by hand, on made-up runs, and in two steps of training."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jominy.cli import parse
from jominy.preparing import Plan, begin, prepare
from jominy.printing_training import print_first_live_step
from jominy.records import Prompt, Reward
from jominy.selecting import (
    RULES,
    history_scores,
    ids_that_start,
    in_order,
    pass_rates,
    read_rule,
    shuffled,
    variance_scores,
    visits_of,
)
from jominy.steplog import read_steps
from jominy.store import RunFolder
from jominy.tasks.loading import load_task
from jominy.trainfolder import TrainFolder
from jominy.training import train
from tests.training_fixture import graded, write_run
from tests.training_world import ScriptedTrainer, assert_same_run, spec_of, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"))


def prompts_of(world: Path, seed: int = 7, number: int = 6) -> list[Prompt]:
    """Prompts of the world's task that no run of seed 0 draws: prompt-7-0, prompt-7-1, ..."""
    return load_task(f"{world / 'tasks.py'}:task").prompts(number, seed)


def sampled(world: Path, path: Path, rewards: Sequence[Sequence[float | None]], **fields: Any) -> Path:
    """A run of `jominy sample` with these rewards, a list a prompt."""
    prompts = [replace(prompt, **fields) for prompt in prompts_of(world, number=len(rewards))]
    pairs = [(prompt, index, value) for prompt, values in zip(prompts, rewards, strict=True) for index, value in enumerate(values)]
    return write_run(path, prompts, [graded(prompt, index, Reward(value=value)) for prompt, index, value in pairs])


def trained_before(world: Path, path: Path, steps: Sequence[Mapping[int, Sequence[float | None]]]) -> Path:
    """A training run whose steps drew these rewards of the prompts with these numbers."""
    prompts, folder = prompts_of(world), RunFolder(path)
    folder.write_run({"verb": "train", "status": "finished"})
    folder.write_prompts(prompts)
    for number, step in enumerate(steps, start=1):
        policy = "tiny" if number == 1 else f"tiny+step {number - 1}"
        drawn = [
            graded(prompts[key], i, Reward(value=value), policy=policy) for key, values in step.items() for i, value in enumerate(values)
        ]
        folder.append_rollouts(drawn, {prompt.id: prompt for prompt in prompts}, number=number)
    return path


def chosen(world: Path, rule: str, **fields: Any) -> list[str]:
    plan = prepare(spec_of(world, select=rule, **fields))
    assert plan.selection is not None
    assert plan.selection.prompts == plan.pool
    return [prompt.id for prompt in plan.pool]


def scores_of(plan: Plan) -> list[float | None]:
    assert plan.selection is not None
    return list(plan.selection.scores)


def test_historical_variance_by_hand():
    visits = {
        "far": [(0, 4), (2, 4), (4, 4)],  # rates 0, 1/2, 1, mean 1/2: (1/4 + 0 + 1/4) / 3 = 1/6
        "near": [(1, 4), (3, 4)],  # 1/4, 3/4, mean 1/2: 1/16
        "other sizes": [(1, 2), (3, 3)],  # 1/2, 1, mean 3/4: 1/16, a tie with near
        "still": [(1, 3), (1, 3), (1, 3)],  # 0 and not 1e-33
        "half unscored": [(0, 0), (1, 2), (1, 1)],  # 1/2, 1
        "once": [(1, 2), (0, 0)],
        "never": [],
    }
    scores = history_scores(visits)
    assert scores == {"far": 1 / 6, "near": 1 / 16, "other sizes": 1 / 16, "still": 0.0, "half unscored": 1 / 16}
    assert in_order(scores, lowest_first=False) == ["far", "half unscored", "near", "other sizes"]


def test_variance_of_a_response_is_unbiased():
    # mean over c ~ Binomial(5, 0.3) of the estimate is 0.3 * 0.7
    estimates = variance_scores({str(right): (right, 5) for right in range(6)})
    assert estimates["1"] == 1 * 4 / 20
    mean = sum(comb(5, right) * 0.3**right * 0.7 ** (5 - right) * estimates[str(right)] for right in range(6))
    assert mean == pytest.approx(0.21, abs=1e-12)
    assert variance_scores({"one": (1, 1), "none": (0, 0)}) == {}
    assert pass_rates({"a": (1, 4), "none": (0, 0)}) == {"a": 0.25}


def test_order_is_by_score_then_id_and_leaves_zeros_out():
    scores = {"d": 0.5, "b": 0.2, "c": 0.2, "a": 0.0}
    assert in_order(scores, lowest_first=False) == ["d", "b", "c"]
    assert in_order(scores, lowest_first=True) == ["b", "c", "d"]


def test_the_random_order_depends_on_the_seed_alone():
    ids = [f"p{number}" for number in range(20)]
    assert shuffled(ids, 3) == shuffled(reversed(ids), 3)
    assert sorted(shuffled(ids, 3)) == sorted(ids)
    assert len({tuple(shuffled(ids, seed)) for seed in range(5)}) == 5


def test_starts_of_ids():
    ids = ["prompt-1", "prompt-10", "question-2"]
    assert ids_that_start(["q", "prompt-1"], ids, "these") == ["question-2", "prompt-1"], "a whole id goes before the start of another"
    assert ids_that_start(["q", "question-2"], ids, "these") == ["question-2"]
    with pytest.raises(ValueError, match="2 prompts start with 'prompt', prompt-1, prompt-10 among them; write more of the id"):
        ids_that_start(["prompt"], ids, "these")
    with pytest.raises(ValueError, match=r"no prompt 'prompt-7' among these; did you mean .*prompt-1"):
        ids_that_start(["prompt-7"], ids, "these")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("hard:runs/d", "no rule 'hard'; did you mean hardest"),
        ("best", "no rule 'best'\nThere are\n  history:RUN"),
        ("history", "history needs a run folder: history:runs/NAME"),
        ("max_variance:,count=2", "max_variance needs a run folder"),
        ("id", "needs prompt ids"),
        ("id:a++b", "needs prompt ids"),
        ("id:a,count=2", "takes the prompts that it names; leave count=2 out"),
        ("random:3", "takes no '3'"),
        ("random,seed=3", "no option 'seed'; there are count, rank"),
        ("random,count=0", "count is a number, at least 1; got '0'"),
        ("random,rank=1.5", "rank is a whole number; got '1.5'"),
        ("random,count=2,count=3", "'count' is given twice"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(world, rule, message):
    with pytest.raises(ValueError, match=message):
        prepare(spec_of(world, select=rule))


def test_every_rule_is_listed_as_it_is_written():
    assert [line.partition(" ")[0].partition(":")[0] for line in RULES.values()] == list(RULES)
    assert read_rule("history:my runs/a=b,count=3,rank=2").argument == "my runs/a=b"


def test_max_variance_and_hardest_of_a_sampled_run(world, tmp_path):
    # right of four: 0, 1, 2, 3, 4 and 2; c (4 - c) / 12 is 0, 1/4, 1/3, 1/4, 0, 1/3
    run = sampled(world, tmp_path / "run", [[1.0] * right + [0.0] * (4 - right) for right in (0, 1, 2, 3, 4, 2)])
    assert chosen(world, f"max_variance:{run}") == ["prompt-7-2"]
    assert chosen(world, f"max_variance:{run},count=4") == ["prompt-7-2", "prompt-7-5", "prompt-7-1", "prompt-7-3"]
    assert chosen(world, f"max_variance:{run},rank=3") == ["prompt-7-1"]
    assert chosen(world, f"hardest:{run},count=3") == ["prompt-7-1", "prompt-7-2", "prompt-7-5"]
    assert scores_of(prepare(spec_of(world, select=f"hardest:{run},count=2,rank=3"))) == [0.5, 0.75]
    assert scores_of(prepare(spec_of(world, select=f"max_variance:{run},rank=2"))) == pytest.approx([1 / 3])
    with pytest.raises(ValueError, match=r"rank=5 reaches place 5, and 4 prompts of .*run qualify"):
        prepare(spec_of(world, select=f"max_variance:{run},rank=5"))
    with pytest.raises(ValueError, match="rank=4,count=3 reaches place 6, and 5 prompts"):
        prepare(spec_of(world, select=f"hardest:{run},count=3,rank=4"))


def test_right_is_gold_where_it_is_known_and_the_unscored_count_for_nothing(world, tmp_path):
    prompts = prompts_of(world, number=2)
    rewards: list[list[float | None]] = [[1.0, 1.0, 0.0, 0.0], [1.0, None, None, 0.0]]
    golds: list[list[float | None]] = [[0.0, 0.0, 0.0, 1.0], [None] * 4]
    responses = [
        graded(prompt, index, Reward(value=value), gold=gold)
        for prompt, values, truths in zip(prompts, rewards, golds, strict=True)
        for index, (value, gold) in enumerate(zip(values, truths, strict=True))
    ]
    run = write_run(tmp_path / "run", prompts, responses)
    # one of four by gold: 1 * 3 / 12; one of two: 1 * 1 / 2
    plan = prepare(spec_of(world, select=f"max_variance:{run},count=2"))
    assert [prompt.id for prompt in plan.pool] == ["prompt-7-1", "prompt-7-0"]
    assert scores_of(plan) == [0.5, 0.25]
    # at a success of 0.3 a reward of 0.4 is right
    partly = sampled(world, tmp_path / "partly", [[0.4, 0.0], [0.0, 0.0]])
    assert chosen(world, f"hardest:{partly}", success=0.3) == ["prompt-7-0"]


def test_history_of_a_training_run(world, tmp_path):
    steps: list[Mapping[int, Sequence[float | None]]] = [
        {0: [1, 0], 1: [0, 0], 2: [1, 1]},
        {3: [1, 0], 0: [1, 0, 0, 1, 1, 1]},  # the same prompt at several places of a step is one visit: 4 of 6
        {1: [0, 1], 2: [1, None], 3: [None, None]},
        {0: [1, 1], 1: [1, 1], 2: [1, 1], 4: [0, 1]},
    ]
    run = trained_before(world, tmp_path / "run", steps)
    visits = visits_of(RunFolder(run), success=1.0)
    assert visits == {
        "prompt-7-0": [(1, 2), (4, 6), (2, 2)],  # 1/2, 2/3, 1: mean 13/18, (16 + 1 + 25) / 324 / 3 = 7/162
        "prompt-7-1": [(0, 2), (1, 2), (2, 2)],  # 1/6
        "prompt-7-2": [(2, 2), (1, 1), (2, 2)],  # always right: 0
        "prompt-7-3": [(1, 2), (0, 0)],  # one visit that counts
        "prompt-7-4": [(1, 2)],
    }
    plan = prepare(spec_of(world, select=f"history:{run},count=2"))
    assert [prompt.id for prompt in plan.pool] == ["prompt-7-1", "prompt-7-0"]
    assert scores_of(plan) == pytest.approx([1 / 6, 7 / 162])
    with pytest.raises(ValueError, match="rank=3 reaches place 3, and 2 prompts"):
        prepare(spec_of(world, select=f"history:{run},rank=3"))


def test_runs_that_say_nothing_are_refused(world, tmp_path):
    def refused(rule: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            prepare(spec_of(world, select=rule))

    trained, wrong = trained_before(world, tmp_path / "trained", [{0: [1, 0]}, {1: [1, 0]}]), sampled(world, tmp_path / "w", [[0.0, 0.0]])
    refused(f"max_variance:{tmp_path / 'none'}", "none is no run folder")
    refused(f"history:{wrong}", f"{wrong} was sampled once; use max_variance:{wrong}")
    refused(f"hardest:{trained}", f"{trained} is a training run, whose policy moved; use history:{trained}")
    refused(f"history:{trained}", "no prompt of .* was visited at two steps with different pass rates: train RUN for more epochs")
    refused(f"hardest:{wrong}", "no prompt of .* was ever answered right, so RL on any of them would never get a gradient")
    refused(f"max_variance:{wrong}", "no prompt of .* has right and wrong answers, so RL on any of them would never get a gradient")
    other = sampled(world, tmp_path / "other", [[1.0, 0.0]], task="arithmetic")
    refused(f"max_variance:{other}", "holds prompts of arithmetic, this run trains on fourth")
    shutil.rmtree(other / "rollouts")
    RunFolder(other).write_prompts(prompts_of(world))
    refused(f"max_variance:{other}", "holds no rollouts yet")
    refused("id:prompt-9-1", r"no prompt 'prompt-9-1' among the 8 prompts of the task")
    refused("id:prompt-0", r"8 prompts start with 'prompt-0'")
    refused("random,count=9", "reaches place 9, and 8 prompts of the pool qualify")


def test_chosen_prompts_are_not_held_out(world):
    plain = prepare(spec_of(world, eval_every=1))
    assert [prompt.id for prompt in plain.held_out] == [f"prompt-0-{number}" for number in range(8)]
    plan = prepare(spec_of(world, eval_every=1, select="id:prompt-0-3+prompt-0-12"))
    assert [prompt.id for prompt in plan.pool] == ["prompt-0-3", "prompt-0-12"]
    assert [prompt.id for prompt in plan.held_out] == [f"prompt-0-{number}" for number in (0, 1, 2, 8, 4, 5, 6, 7)], "as many, in place"
    for seed in range(3):
        other = prepare(spec_of(world, eval_every=1, select="random,count=3", seed=seed))
        assert other.held_out == prepare(spec_of(world, eval_every=1, seed=seed)).held_out
        assert not {prompt.id for prompt in other.pool} & {prompt.id for prompt in other.held_out}
    with pytest.raises(ValueError, match="leaves no prompt to hold out"):
        prepare(spec_of(world, eval_every=1, eval_prompts=1, pool=1, select="id:prompt-0-0+prompt-0-1"))
    with pytest.raises(ValueError, match="recipe sft learns gold answers, and not every prompt of --select"):
        prepare(spec_of(world, eval_every=1, recipe="sft", task="half_gold_task", select="id:prompt-0-2"))


def test_held_out_prompts_of_another_task_stay_but_for_the_chosen_ones(world, tmp_path):
    run = sampled(world, tmp_path / "run", [[1.0, 0.0]])
    again = f"{world / 'tasks.py'}:task"
    plan = prepare(spec_of(world, seed=7, eval_every=1, eval_task=again, eval_prompts=4, select=f"max_variance:{run}", pool=20))
    assert [prompt.id for prompt in plan.pool] == ["prompt-7-0"]
    assert [prompt.id for prompt in plan.held_out] == ["prompt-7-1", "prompt-7-2", "prompt-7-3"]


@pytest.mark.parametrize("task", ["constraints", "arithmetic"])
def test_a_prompt_read_from_a_run_is_the_prompt(tmp_path, task):
    made = load_task(task)
    prompts = made.prompts(60, 3)
    RunFolder(tmp_path).write_prompts(prompts)
    for prompt, found in zip(prompts, RunFolder(tmp_path).read_prompts(), strict=True):
        assert found == prompt
        assert found.gold_answer is not None
        assert made.reward(found, found.gold_answer).value == 1.0


def test_training_on_one_prompt_by_id(world, tmp_path, capsys):
    words = f"train --model {world / 'model'} --task {world / 'tasks.py'}:task --out {tmp_path / 'out'} --select id:prompt-0-2"
    words += " --steps 2 --prompts 3 --rollouts 4 --max-tokens 4 --pool 8 --eval-every 2 --eval-prompts 4 --eval-rollouts 2"
    command = parse(words.split())
    assert command.run() == 0
    folder = TrainFolder(tmp_path / "out")
    rows = folder.run.rollouts(["prompt_id", "index", "seed"]).to_pylist()
    assert len(rows) == 24
    assert {row["prompt_id"] for row in rows} == {"prompt-0-2"}
    assert len({(row["index"], row["seed"]) for row in rows}) == 24
    held_out = [prompt.id for prompt in folder.evaluation(2).read_prompts()]
    assert held_out == ["prompt-0-0", "prompt-0-1", "prompt-0-4", "prompt-0-3"]
    run = folder.run.read_run()
    assert run["selected"] == {"rule": "id:prompt-0-2", "ids": ["prompt-0-2"], "scores": [None], "num_candidates": 12}
    printed = capsys.readouterr()
    assert "training on 1 of 12 prompts, --select id:prompt-0-2: prompt-0-2\n" in printed.err
    mixed = [line["step"] for line in read_steps(folder.path) if line["live_share"] > 0]
    assert run["first_live_step"] == mixed[0]
    assert f"live   from step {mixed[0]}, the first with a group whose rewards differ\n" in printed.out
    assert parse(["explain", str(folder.path)]).run() == 0
    assert f"live   from step {mixed[0]}," in capsys.readouterr().out


def test_a_run_goes_on_with_what_it_chose_when_the_other_run_is_gone(world, tmp_path):
    other = sampled(world, tmp_path / "other", [[0.0, 1.0], [1.0, 1.0]])
    spec = spec_of(world, steps=2, select=f"max_variance:{other}", eval_every=1, eval_prompts=2, eval_rollouts=2)
    train(spec, tmp_path / "whole", quiet=True)
    train(replace(spec, steps=1), tmp_path / "out", quiet=True)
    shutil.rmtree(other)
    train(spec, tmp_path / "out", resume=True, quiet=True)
    assert_same_run(tmp_path / "out", tmp_path / "whole", 2)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["selected"]["scores"] == [0.5]
    with pytest.raises(ValueError, match="other is no run folder"):
        train(spec, tmp_path / "new", resume=True, quiet=True)
    with pytest.raises(ValueError, match=r"another run \(select was 'max_variance:.*', now 'random'\)"):
        train(replace(spec, data=replace(spec.data, select="random")), tmp_path / "out", resume=True, quiet=True)


def first_live(world: Path, out: Path, live_call: int | None) -> str:
    """What is told of a run of four steps, of which one holds a mixed group."""
    engine = ScriptedTrainer(lambda prompt, call, index: "w4" if index == 0 and call == live_call else "w5")
    spec = spec_of(world, steps=4, recipe="negative_only", kl_rollouts=0)
    train(spec, out, quiet=True, load_trainer=lambda *_: engine)
    console = Console(file=io.StringIO(), width=200)
    print_first_live_step(out, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_first_step_with_a_mixed_group_is_told(world, tmp_path):
    assert first_live(world, tmp_path / "third", 2) == "live   from step 3, the first with a group whose rewards differ\n"
    assert json.loads((tmp_path / "third" / "run.json").read_text())["first_live_step"] == 3
    never = "live   never: in no step did the rewards of a group differ, so comparing them taught nothing\n"
    assert first_live(world, tmp_path / "never", None) == never
    assert json.loads((tmp_path / "never" / "run.json").read_text())["first_live_step"] is None


def test_a_run_that_goes_on_forgets_a_first_mixed_group_that_comes_again(world, tmp_path):
    first_live(world, tmp_path / "out", 2)
    folder = TrainFolder(tmp_path / "out")
    plan = prepare(spec_of(world, steps=4, recipe="negative_only", kl_rollouts=0))
    begin(folder, plan, 3, overwrite=False)
    assert folder.run.read_run()["first_live_step"] == 3
    begin(folder, plan, 2, overwrite=False)
    assert "first_live_step" not in folder.run.read_run()
    console = Console(file=io.StringIO())
    print_first_live_step(folder.path, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""
