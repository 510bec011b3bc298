"""The runs of the study of decisions: the smoke scale measures what the claims need, goes on in another folder, and its parts by hand."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jominy.engines.local import LocalEngine
from jominy.lab.demonstrations import demonstrate, shown_prompts
from jominy.measures.attempts import AttemptTable
from jominy.measures.chain import Chances, walk
from jominy.preparing import prepare
from jominy.recipes.loading import load_recipe
from jominy.records import Reward, Rollout
from jominy.store import read_json
from jominy.studies.decisions import STUDY, design
from jominy.studies.decisions.chained import columns_of
from jominy.studies.decisions.gating import Gate, Start, said, start_of_study, why_unfit
from jominy.studies.decisions.responding import SEED as FURTHER_SEED
from jominy.studies.decisions.responding import SPARE, Responses, further, shown_to
from jominy.studies.decisions.told import IN, hits_and_cases
from jominy.studies.design import Cell
from jominy.studies.jobs import Bench
from jominy.studies.measuring import BASE_SEED
from jominy.studies.reading import FINISHED
from jominy.studies.running import study
from jominy.tasks.loading import load_task
from jominy.tasks.retry import read

NEW = "a new operator"
TESTS = {IN, NEW}
"""Of the tiny cell."""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke scale: an arm of each kind."""
    return study("decisions", tmp_path_factory.mktemp("study") / "out", scale="smoke", quiet=True)


@pytest.fixture(scope="module")
def results(smoke: Path) -> dict[str, Any]:
    return read_json(smoke / "results.json")


@pytest.fixture(scope="module")
def runs(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {run["arm"]: run for run in results["runs"]}


def base_of(results: dict[str, Any]) -> dict[str, Any]:
    [cell] = results["cells"]
    found: dict[str, Any] = cell["base"]
    return found


def test_an_arm_of_each_kind_runs_and_the_study_is_written(smoke: Path, runs: dict[str, dict[str, Any]]) -> None:
    assert tuple(runs) == design.SMOKE_ARMS
    assert {run["status"] for run in runs.values()} <= {"finished", "no gradient"}
    assert runs["sft"]["status"] == runs["grpo"]["status"] == "finished"
    text = (smoke / "README.md").read_text()
    assert "## Whose gain is it?" in text
    assert "derivations and choices of ours" in text


def test_a_warm_start_is_sometimes_right_and_decides(results: dict[str, Any]) -> None:
    """Else squares and bank would be machinery without anything in it."""
    base = base_of(results)
    more = base["more"]
    # the base is counted in the order in which its groups were finished
    assert sorted(more["counts"]["right"]) == sorted(base["correct"])
    attempts = {name: sum(column) for name, column in more["counts"]["attempts"].items()}
    assert min(attempts[name] for name in ("1 right accept", "1 wrong retry", "2 right forced", "2 wrong forced")) > 5
    assert len(more["bank"]["correct"]) == len(more["bank"]["accept"]) == 4
    assert sum(more["bank"]["correct"]) == 2
    # what it is right in by heart is no room
    new_P = ~np.array(more["shown"])
    own = walk(Chances.of_columns(columns_of(more["counts"])[new_P].sum(axis=0), merged=False), 2).value
    assert more["room"][IN]["own"] == pytest.approx(float(own), abs=1e-4)
    assert more["room"][IN]["oracle"] >= more["room"][IN]["own"] > 0
    for objective in ("grpo", "sft"):
        assert more["coefficients"][objective]["per_token_ratio"]["value"] == pytest.approx(1.0, abs=1e-12)


def test_shown_prompts_are_left_out_or_counted(results: dict[str, Any], smoke: Path) -> None:
    [cell] = design.design("smoke").cells
    assert cell.lab is not None
    shown = shown_prompts(cell.lab)
    # 100 sums of two digits, and two thirds of 120 demonstrations are of as many different ones
    everything = {prompt.id for prompt in load_task(cell.task).prompts(100, 0)}
    assert (len(everything), len(everything & shown)) == (100, 80)
    assert base_of(results)["more"]["num_shown"] == sum(base_of(results)["more"]["shown"]) == 80
    assert len(base_of(results)["more"]["shown"]) == len(base_of(results)["more"]["counts"]["right"])
    # 4 responses to each prompt that was not shown; the bank's are among them, and not more than one of a truth to a prompt
    assert len(set(base_of(results)["more"]["bank"]["prompt"])) >= 2
    assert all(run["more"]["num_shown"] == sum(run["more"]["shown"]) <= len(run["after"]) == 6 for run in results["runs"])
    # and train on the same 8, each of which comes up
    assert cell.lab is not None
    plan = prepare(Bench(design.design("smoke"), smoke, smoke).spec_of(replace(cell, lab=None), design.design("smoke").arms[0], 0))
    pool = {prompt.id for prompt in plan.pool}
    assert len(pool) == 8
    assert {run["more"]["num_trained_shown"] for run in results["runs"]} == {len(pool & shown)}
    # all runs of a seed hold out the same prompts
    assert len({tuple(run["more"]["shown"]) for run in results["runs"]}) == 1


def test_runs_tell_counts_of_both_sides(runs: dict[str, dict[str, Any]], results: dict[str, Any]) -> None:
    states = len(base_of(results)["more"]["bank"]["correct"])
    for name, run in runs.items():
        more = run["more"]
        assert (more["before"] is not None) == (name in ("sft", "grpo"))
        assert more["before"] is None or more["before"]["right"] == run["before"]
        assert more["after"]["right"] == run["after"]
        assert set(more["further"]) == {NEW}
        assert len(more["bank"]) == states
    assert runs["grpo"]["more"]["kl"] is not None
    moved = runs["grpo"]["more"]["kl"]
    # a response holds more tokens of attempts than nothing, and a policy that moved is some nats away
    assert moved["sampling"]["tokens"] > 5
    assert moved["sampling"]["nats"] + moved["decision"]["nats"] != 0


def test_squares_hold_what_each_policy_does_alone(runs: dict[str, dict[str, Any]], results: dict[str, Any]) -> None:
    of_start = base_of(results)["more"]["further"][NEW]["right"]
    for name, run in runs.items():
        square = run["more"]["square"]
        if name not in design.SQUARED:
            assert square == {}
            continue
        assert set(square) == TESTS
        # one policy in both places is that policy alone, on the first 4 of 6 prompts
        assert square[NEW]["right"][0] == of_start[:4]
        assert square[NEW]["right"][3] == run["more"]["further"][NEW]["right"][:4]
        assert all(0 <= right <= 2 for column in square[IN]["right"] for right in column)
    more = runs["grpo"]["more"]
    for arm in design.OPPONENTS:
        against = more[f"square_{arm}"]
        assert set(against) == TESTS
        assert against[NEW]["right"][0] == runs[arm]["more"]["further"][NEW]["right"]
        assert against[NEW]["right"][3] == more["further"][NEW]["right"]
        assert more[f"why_no_square_{arm}"] == ""
    mixed = [column for name in design.OPPONENTS for one in more[f"square_{name}"].values() for column in one["right"]]
    assert sum(map(sum, mixed)) > 0, "else nothing was exchanged that could be right"
    assert all("square_sft" not in run["more"] for name, run in runs.items() if name != "grpo")


def test_budgets_are_counted(runs: dict[str, dict[str, Any]]) -> None:
    # 2 steps of 16 demonstrations each, all of whose tokens train; of 8 prompts, so 8 different ones
    sft = runs["sft"]
    assert sft["tokens"]["responses"] == sft["tokens"]["trained"] > 2 * 16 * 10
    assert sft["tokens"]["passed"] > sft["tokens"]["responses"]
    assert (sft["unique_responses"], sft["unique_live_prompts"]) == (8, 8)
    assert runs["grpo_decision"]["tokens"]["trained"] < runs["grpo"]["tokens"]["trained"]
    # at most 4 responses to each of the prompts that trained
    assert runs["grpo"]["unique_live_prompts"] <= runs["grpo"]["unique_responses"] <= 4 * runs["grpo"]["unique_live_prompts"]


def test_a_study_goes_on_from_its_file_alone(smoke: Path, tmp_path: Path, results: dict[str, Any]) -> None:
    """GRPO is missing and the folder holds no model: both opponents are made again, and their lines replaced, not added."""
    there = {**results, "runs": [run for run in results["runs"] if run["arm"] != "grpo"]}
    (tmp_path / "results.json").write_text(json.dumps(there))
    study("decisions", tmp_path, scale="smoke", quiet=True)
    again = read_json(tmp_path / "results.json")
    # GRPO comes last now, the others where they were
    assert [run["arm"] for run in again["runs"]] == [*(run["arm"] for run in there["runs"]), "grpo"]
    seconds = {"seconds", "cpu_seconds"}
    made = {run["arm"]: {name: value for name, value in run.items() if name not in seconds} for run in again["runs"]}
    for run in results["runs"]:
        assert {name: value for name, value in run.items() if name not in seconds} == made[run["arm"]], "the same bits"
    untouched = [run for run in there["runs"] if run["arm"] not in design.OPPONENTS]
    assert [run for run in again["runs"] if run["arm"] not in (*design.OPPONENTS, "grpo")] == untouched
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["tiny-sft-0", "tiny-sft_masked-0"]
    shutil.rmtree(tmp_path / "models")


UNFIT = Gate(
    first=(0.2, 0.65),
    further=(0.1, 0.8),
    least_room=0.15,
    least_room_further=0.08,
    most_cut=0.02,
    least_verdicts=0.9,
    least_judging=0.1,
)


def bank(right: list[float | None], wrong: list[float | None]) -> dict[str, Any]:
    """Chances of accepting right attempts, and wrong ones."""
    return {"accept": right + wrong, "correct": [True] * len(right) + [False] * len(wrong)}


def counts(right: int, *, first_right: int, cut: int = 0) -> dict[str, Any]:
    """Of 10 responses to each of two prompts."""
    attempts = {"1 right accept": [first_right, 0], "1 wrong retry": [10 - first_right, 10]}
    return {"num_rollouts": 10, "right": [right, 0], "attempts": attempts, "problems": {"cut at the token limit": cut, "no check": 3}}


def told(**changes: Any) -> dict[str, Any]:
    """A warm start that will do: 30 % right at first, 20 points of room."""
    more = {
        "lab": {"reached": True},
        "shown": [False, False],
        "counts": counts(8, first_right=6),
        "further": {NEW: counts(4, first_right=2)},
        "room": {IN: {"own": 0.4, "oracle": 0.6}, NEW: {"own": 0.2, "oracle": 0.4}},
        "bank": bank([0.9] * 5, [0.7] * 4 + [None]),
    }
    return {**more, **changes}


def test_what_a_warm_start_was_shown_tells_nothing_of_it() -> None:
    """The first prompt is known by heart: 6 of 10 right there, none at the other."""
    start = start_of_study(told(shown=[True, False]))
    assert (start.first, start.right) == (0.0, {IN: 0.0, NEW: 0.2})
    start = start_of_study(told(shown=[False, True], counts=counts(8, first_right=6, cut=1)))
    assert (start.first, start.right[IN]) == (0.6, 0.8)
    # the token limit is one for all
    assert start.cut[IN] == 0.05
    assert start_of_study(told(shown=[True, True])).right[IN] == 0.0


def test_a_warm_start_that_will_do() -> None:
    start = start_of_study(told())
    # 6 of 20 first attempts, 8 and 4 of 20 responses, 9 of 10 states
    assert (start.first, start.right, start.verdicts) == (0.3, {IN: 0.4, NEW: 0.2}, 0.9)
    assert start.judging == pytest.approx(0.2)
    assert start.room == pytest.approx({IN: 0.2, NEW: 0.2})
    assert why_unfit(start, UNFIT, 10) == []
    assert "first attempts right 30.0 %" in said(start)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"counts": counts(8, first_right=2)}, "10.0 % of first attempts are right, which should be 20 to 65 %"),
        ({"further": {NEW: counts(1, first_right=1)}}, "5.0 % of the responses to `a new operator` are right, which should be 10 to 80 %"),
        ({"room": {IN: {"own": 0.5, "oracle": 0.6}, NEW: {"own": 0.2, "oracle": 0.4}}}, "gain 10.0 points on `in distribution`, 15 are"),
        ({"room": {IN: {"own": 0.4, "oracle": 0.6}, NEW: {"own": 0.33, "oracle": 0.4}}}, "gain 7.0 points on `a new operator`, 8 are"),
        ({"room": {IN: {"own": 0.4, "oracle": 0.6}, NEW: {"own": 0.2, "oracle": None}}}, "cannot be told on `a new operator`"),
        (
            {"further": {NEW: counts(4, first_right=2, cut=1)}},
            "5.0 % of the responses to `a new operator` end at the token limit, at most 2",
        ),
        ({"bank": bank([0.8] * 4, [0.2] * 4)}, "the bank has 8 states of 10"),
        ({"bank": bank([0.8] * 4 + [None], [0.2] * 4 + [None])}, "80 % of the bank's states get a verdict"),
        ({"bank": bank([0.75] * 5, [0.7] * 5)}, "accepted more often than wrong ones by 5.0 points, 10.0 points are"),
    ],
)
def test_a_warm_start_that_will_not(changes: dict[str, Any], words: str) -> None:
    [found] = why_unfit(start_of_study(told(**changes)), UNFIT, 10)
    assert words in found


@pytest.mark.parametrize("name", design.ORDERS)
def test_a_decider_that_learned_what_it_was_shown_leaves_the_room_that_is_asked_for(name: str) -> None:
    """Counted in its demonstrations: how often a wrong attempt is accepted. Less than that would refuse every warm start."""
    lab = replace(design.ORDERS[name].lab, demonstrations=400)
    task = load_task(lab.tasks[0])
    made, _ = demonstrate(replace(lab, tasks=lab.tasks[:1], checked=()), [task])
    verdicts = Counter[str]()
    for one in made:
        spans = read(one.prompt, one.answer, "eos").spans
        verdicts.update(after.kind for span, after in zip(spans, spans[2:], strict=False) if span.kind == "attempt.wrong")
    accepted = verdicts["verdict.accept"] / (verdicts["verdict.accept"] + verdicts["verdict.retry"])
    assert verdicts["verdict.accept"] == pytest.approx(lab.wrong_share * len(made), abs=1)
    for first, least in ((0.35, design.GATE.least_room), (0.12, design.GATE.least_room_further)):
        own = walk(Chances.alike(first, accept_right=1.0, accept_wrong=accepted), 3).value
        best = walk(Chances.alike(first, accept_right=1.0, accept_wrong=0.0), 3).value
        assert best - own > least


def test_all_of_a_bad_warm_start_is_said() -> None:
    start = Start(first=0.0, right={IN: 0.0, NEW: 0.0}, room={IN: None}, cut={IN: 0.5}, num_states=0, verdicts=0.0, judging=None)
    found = why_unfit(start, UNFIT, 10)
    assert len(found) == 7
    assert "by an unknown lead" in found[-1]


def test_a_bad_warm_start_is_refused_with_all_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    [cell] = design.design("smoke").cells
    bad, settings = told(counts=counts(8, first_right=2)), replace(design.TINY, bank_states=10)
    assert STUDY.check_base is not None
    STUDY.check_base(cell, settings, bad)  # the gate of the tiny cell is wide
    monkeypatch.setattr(design, "GATES", {"tiny": UNFIT})
    with pytest.raises(
        ValueError, match=r"the warm start of tiny is no good .* 10\.0 % of first attempts .* It is: .*bank 10 states, 90 %"
    ):
        STUDY.check_base(cell, settings, bad)


def test_what_a_warm_start_was_measured_to_be_is_kept(smoke: Path, results: dict[str, Any]) -> None:
    assert read_json(smoke / "base" / "tiny" / "start.json")["base"] == base_of(results)
    assert set(STUDY.fixed) <= set(base_of(results)["more"])


def test_every_other_arm_trains_and_is_measured(smoke: Path, tmp_path: Path) -> None:
    """Arms that the smoke scale leaves out, one step each."""
    small = design.design("smoke")
    others = tuple(replace(arm, prompts=arm.prompts and 16) for arm in design.ARMS if arm.name not in design.SMOKE_ARMS)
    assert len(others) + len(design.SMOKE_ARMS) == len(design.ARMS) == 17
    few = replace(design.TINY, steps=1, eval_prompts=4, further_prompts=4, square_prompts=2)
    bench = Bench(replace(small, arms=others, settings={"lab": few}), smoke, tmp_path)
    for arm in others:
        found = bench.run(small.cells[0], arm, 1)
        assert found["status"] in FINISHED, f"{arm.name}: {found['why']}"
        assert set(found["more"]["square"]) == (TESTS if arm.name in design.SQUARED else set())


def test_an_opponent_draws_what_its_run_measured(smoke: Path, runs: dict[str, dict[str, Any]]) -> None:
    """So a square on a further task may take it from there."""
    [cell] = design.design("smoke").cells
    engine = LocalEngine.load(str(smoke / "models" / "tiny-sft-0"))
    drawn = further(engine, load_task(cell.further[NEW]), shown_to(cell), design.TINY).counts()
    assert drawn == runs["sft"]["more"]["further"][NEW], "attempts, decisions and tokens, too"
    assert drawn["right"] == runs["grpo"]["more"]["square_sft"][NEW]["right"][0]
    assert min(drawn["tokens"]) > 0


def test_too_few_prompts_that_were_not_shown() -> None:
    task = load_task("retry:attempts=2,digits=1,operators=+")
    shown = {prompt.id for prompt in task.prompts(100, 0)[:98]}
    engine: Any = SimpleNamespace()
    with pytest.raises(ValueError, match="the warm start was shown all but 2, and the study asks 30"):
        further(engine, task, shown, replace(design.TINY, further_prompts=30))


def test_few_are_the_first_of_each() -> None:
    task = load_task("retry:attempts=2,digits=1,operators=+")
    prompts = {prompt.id: prompt for prompt in task.prompts(3, 0)}
    rollouts = [
        Rollout(
            prompt_id=key,
            index=index,
            text="",
            token_ids=np.array([1]),
            logprobs=None,
            logprobs_t1=None,
            stop="eos",
            policy="p",
            temperature=1.0,
            top_p=1.0,
            seed=0,
            reward=Reward(value=float(index == number)),
        )
        for number, key in enumerate(prompts)
        for index in range(4)
    ]
    responses = Responses(task=task, prompts=prompts, rollouts=rollouts)
    assert responses.right() == [1, 1, 1]
    few = responses.few(2, 1)
    # the first response to the first prompt is right, that to the second is not
    assert (list(few.prompts), few.right()) == (list(prompts)[:2], [1, 0])
    assert responses.few(9, 3).right() == [1, 1, 1]
    first, *others = prompts
    assert [one.prompt_id for one in responses.without({first}).rollouts] == [key for key in others for _ in range(4)]
    assert responses.without(prompts).room() == {"own": None, "oracle": None}


def test_counts_of_attempts_by_hand() -> None:
    from jominy.studies.decisions.responding import counts_of

    table = AttemptTable.of([["wr ca", "ca"], ["wr wf", "w-"]], problems=["", "", "", "no verdict"])
    found = counts_of(table, 2)
    assert found["num_rollouts"] == 2
    assert found["right"] == [2, 0]
    assert found["attempts"] == {
        "1 right accept": [1, 0],
        "1 wrong retry": [1, 1],
        "1 wrong none": [0, 1],
        "2 right accept": [1, 0],
        "2 wrong forced": [0, 1],
    }
    # after the wrong ones that were retried: right once of one, and not of one
    assert (found["after_wrong"], found["after_right"]) == ([[1, 0], [1, 1]], [[0, 0], [0, 0]])
    assert (found["broken"], found["problems"]) == ([0, 1], {"no verdict": 1})
    hits_P, cases_P = hits_and_cases(found, "first")
    assert (hits_P.tolist(), cases_P.tolist()) == ([1.0, 0.0], [2.0, 2.0])


def test_decisions_that_are_always_right_by_hand() -> None:
    from jominy.studies.decisions.responding import with_oracle

    # 1/4 right at first, right ones accepted, 2/3 of the wrong ones retried, 1/2 right then: 1/4 + 3/4 (2/3) 1/2 and 1/4 + 3/4 / 2
    assert with_oracle(AttemptTable.of([["wr ca", "wr wf", "ca", "wa"]]), 2) == {"own": 0.5, "oracle": 0.625}
    # nothing was ever retried, so what would come of it is unknown
    assert with_oracle(AttemptTable.of([["ca", "wa"]]), 2)["oracle"] is None


def test_the_full_design_is_what_the_issue_asks_for() -> None:
    full = design.design("full")
    assert len(full.cells) == 2
    settings = full.settings["lab"]
    assert settings.seeds >= 5
    assert set(design.ORDERS["sums"].further) == {"longer numbers", "a new operator"}
    for cell in full.cells:
        assert cell.lab is not None
        # a wrong attempt is read and not learned; the checks ask what is trained on, and no prompt more often than another
        assert (cell.lab.masked, cell.lab.checked, cell.lab.distinct_prompts) == (("attempt.wrong",), (cell.task,), True)
        cell.lab.check()
        assert cell.name in design.GATES
    recipes = {arm.name: load_recipe(arm.recipe, 64) for arm in full.arms}
    assert recipes["grpo_decision"].credit_spans == ("decision",)
    assert recipes["kl_balanced"].kl_balanced
    assert sum(recipe.needs_reference for recipe in recipes.values()) == 9
    assert settings.pool == settings.steps * settings.prompts
    assert {arm.prompts for arm in full.arms if recipes[arm.name].source == "demonstrations"} == {settings.prompts * settings.rollouts}
    assert settings.further_rollouts <= settings.eval_rollouts
    assert settings.square_prompts <= min(settings.eval_prompts, settings.further_prompts)


@pytest.mark.parametrize("cell", design.CELLS, ids=lambda cell: cell.name)
def test_a_warm_start_leaves_enough_that_it_was_not_shown(cell: Cell, tmp_path: Path) -> None:
    """Else the bank stands on a few prompts, and RL trains on what is known by heart."""
    assert cell.lab is not None
    shown, settings = shown_prompts(cell.lab), design.LAB
    base = load_task(cell.task).prompts(settings.base_prompts, BASE_SEED)
    assert sum(prompt.id not in shown for prompt in base) >= settings.bank_states
    pool = prepare(Bench(design.design("full"), tmp_path, tmp_path).spec_of(replace(cell, lab=None), design.ARMS[0], 0)).pool
    assert len(pool) == settings.pool
    assert sum(prompt.id in shown for prompt in pool) < 0.6 * len(pool)
    for task in cell.further.values():
        drawn = load_task(task).prompts(SPARE * settings.further_prompts, FURTHER_SEED)
        tested = [prompt.messages[-1].content for prompt in drawn if prompt.id not in shown][: settings.further_prompts]
        assert len(tested) == settings.further_prompts
        # countdowns to 50 hold some to 25, and few of those are trained on
        pools = [load_task(cell.task).prompts(settings.pool, seed) for seed in range(settings.seeds)]
        trained = {prompt.messages[-1].content for of_seed in pools for prompt in of_seed}
        assert len(trained.intersection(tested)) <= 0.02 * len(tested)


def test_a_demonstration_accepts_no_wrong_attempt() -> None:
    """As the limits of the study say of what SFT learns: about three in ten have one, and RETRY stands behind it."""
    for cell in design.CELLS:
        spans = [read(prompt, prompt.gold_answer or "", "eos").spans for prompt in load_task(cell.task).prompts(400, 0)]
        behind = [after.kind for of_one in spans for span, after in zip(of_one, of_one[2:], strict=False) if span.kind == "attempt.wrong"]
        assert set(behind) == {"verdict.retry"}
        # 1/4 + 1/16, with a spread of 0.54 / 20
        assert len(behind) / 400 == pytest.approx(0.3125, abs=0.1)


def test_arms_of_a_family_share_rate_and_divisor() -> None:
    arms = {arm.name: arm for arm in design.ARMS}
    of_rl = [arm for arm in design.ARMS if arm.recipe.startswith("grpo")]
    assert {arm.learning_rate for arm in of_rl} == {None}
    assert design.LAB.learning_rate == design.RATES["rl"]
    assert all(arm.recipe.startswith(f"grpo:divide={design.DIVIDE}") for arm in of_rl)
    assert set(design.STRENGTHS) == set(design.REWARD_STRENGTHS) >= {"middle"}
    assert {arms[name].learning_rate for name in ("sft", "sft_balanced", "sft_masked", "rft")} == {design.RATES["sft"]}
    assert arms["corrected"].learning_rate == design.RATES["corrected"]
    names = list(arms)
    assert arms["grpo"].against == ("sft", "sft_masked")
    assert all(names.index(other) < names.index(name) for name, arm in arms.items() for other in arm.against)
    assert "grpo" in design.SQUARED
