"""What objectives credit on responses by hand: reward and KL apart, shares of NLL and KL, what is missing, and a part of the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jominy.deciding.coefficients import Rows, Start, coefficients, credited, parts_of, rows_of, value_shares, with_start
from jominy.deciding.columns import Tables, part_of, tables_of
from jominy.deciding.explain import decide
from jominy.deciding.folders import compared_in, read_sides
from jominy.measures.attempts import DECISION, SAMPLING
from jominy.printing_decisions import print_decisions
from jominy.records import Floats, Prompt, Reward, Rollout, Skipped, Stop
from jominy.specs import DecisionSpec
from jominy.steplog import write_start_logprobs
from jominy.traces import Trace
from jominy.tracing import marked, once
from tests.coin_task import task
from tests.coins import prompt as coin_prompt
from tests.coins import retrying, said
from tests.training_fixture import write_run

TEXTS = (("w/n.r/a.", 1.0), ("w/a.", 0.0), ("r/n.w/n.w/", 0.0), ("r/a.", 1.0))
ALIKE = (("w/n.r/a.", 1.0), ("r/n.w/a.", 0.0))
"""Equally long, with every decision once."""
PROMPTS = {one.id: one for one in (coin_prompt(number) for number in range(3))}


def responses(texts: tuple[tuple[str, float], ...] = TEXTS, prompts: tuple[Prompt, ...] = tuple(PROMPTS.values())) -> list[Rollout]:
    """One token a character and the stop token, with log-probabilities."""
    rng = np.random.default_rng(0)
    found = []
    for one in prompts:
        for index, (text, value) in enumerate(texts):
            logprobs = -rng.gamma(1.0, 1.0, len(text) + 1)
            rollout = said(one, text, stop="eos", index=index)
            found.append(replace(rollout, logprobs=logprobs, logprobs_t1=logprobs, reward=Reward(value=value)))
    return marked(found, PROMPTS, retrying())


def tables(rollouts: list[Rollout]) -> Tables:
    """Of these."""
    return tables_of(rollouts, PROMPTS, retrying().read, 1.0)


def started(rollouts: list[Rollout], gaps: list[Floats]) -> Start:
    """log p / p_start of each token."""
    return {(one.prompt_id, one.index): np.asarray(one.logprobs) - gap for one, gap in zip(rollouts, gaps, strict=True)}


def found_rows(objective: str, rollouts: list[Rollout], start: Start | None = None) -> Rows:
    """That there are."""
    rows = rows_of(objective, rollouts, success=1.0, max_tokens=20, start=start)
    assert not isinstance(rows, Skipped)
    return rows


# ---- reward and KL


@pytest.mark.parametrize("kl", ["k1_reward", "k2", "k3"])
def test_reward_and_kl_add_up(kl: str) -> None:
    rollouts, rng = responses(), np.random.default_rng(1)
    some = [one for one in rollouts if one.index in (0, 2)]
    gaps: list[Floats] = [rng.normal(0, 0.4, len(one.token_ids)) for one in some]
    rows = found_rows(f"grpo:kl={kl},beta=0.5", rollouts, started(some, gaps))
    whole = tables(rollouts)
    scored = part_of(whole, some)
    (_, reward), (_, held) = parts_of(rows)
    reward_M, held_M = (coefficients(part, scored.rollouts) for part in (reward, held))
    assert coefficients(rows, scored.rollouts) == pytest.approx(reward_M + held_M)
    # the reward's part is GRPO itself on these responses, its divisors being those of all
    grpo = found_rows("grpo", rollouts)
    in_some_M = np.repeat([one.index in (0, 2) for one in rollouts], [len(one.token_ids) for one in rollouts])
    assert reward_M == pytest.approx(coefficients(grpo, rollouts)[in_some_M])
    # the KL's, with 12 responses of T tokens each as divisor, from the table of objectives
    pushes: dict[str, Callable[[Floats], Floats]] = {
        "k1_reward": lambda gap: np.cumsum(gap[::-1])[::-1],
        "k2": lambda gap: gap,
        "k3": lambda gap: 1 - np.exp(-gap),
    }
    assert held_M == pytest.approx(np.concatenate([-0.5 * pushes[kl](gap) / (12 * len(gap)) for gap in gaps]))
    found = credited("kl", rows, scored)
    assert [(one.part, one.num_rollouts) for one in found.parts] == [("reward alone", 6), ("KL alone", 6)]
    assert credited("grpo", grpo, whole).parts == ()


def test_a_kl_alone_knows_no_outcome() -> None:
    """Responses alike in length and divergence: what the whole knows of outcomes is the reward's."""
    rollouts = responses(ALIKE)
    start = started(rollouts, [np.full(len(one.token_ids), 0.3) for one in rollouts])
    rows = found_rows("grpo:kl=k3", rollouts, start)
    found = credited("kl", rows, tables(rollouts))
    reward, held = (part.attribution for part in found.parts)
    for contrast in ("right_contrast", "wrong_contrast"):
        whole, paid, kept = (getattr(one, contrast).value for one in (found.attribution, reward, held))
        assert paid > 0
        assert whole == pytest.approx(paid)
        assert kept == pytest.approx(0.0, abs=1e-12)


def test_both_are_printed_apart_with_reasons(tmp_path: Path) -> None:
    rollouts = responses()
    path = write_run(tmp_path / "b", list(PROMPTS.values()), rollouts, task=task.name, rollouts=4, max_tokens=20)
    some = [one for one in rollouts if one.index == 0]
    start = started(some, [np.full(len(one.token_ids), 0.3) for one in some])
    write_start_logprobs(path, [one.prompt_id for one in some], [0] * len(some), list(start.values()))
    found, _ = decide(compared_in(path), DecisionSpec(spans="task", credit=("grpo:kl=k3", "sft"), no_swap=True), quiet=True)
    assert found is not None
    out = StringIO()
    print_decisions(json.loads(json.dumps(found.to_json(), allow_nan=False)), "", Console(file=out, width=200))
    assert out.getvalue().count("KL alone") > 2
    # of the first responses all right attempts are accepted
    assert "contrast on right attempts of grpo:kl=k3, grpo:kl=k3 (reward alone), grpo:kl=k3 (KL alone)" in out.getvalue()
    # why there is no gradient is told where one was asked for
    assert "gradient of" not in out.getvalue()
    told = found.to_json()
    told["credits"] = [{**one, "gradient_asked": True, "why_no_gradient": "greedy"} for one in told["credits"]]
    print_decisions(json.loads(json.dumps(told)), "", Console(file=out, width=200))
    assert "gradient of grpo:kl=k3, sft: greedy" in out.getvalue()


# ---- shares of what is added up over tokens


def test_share_of_the_kl_where_the_divergences_cancel() -> None:
    """log p / p_start is 0.3 on decisions and -0.3 on attempts: its sum may be anything, k3 is above 0 on both."""
    rollouts = responses()
    whole = tables(rollouts)
    stage_M = whole.tokens.stage_M
    num_sampling, num_decision = np.sum(stage_M == SAMPLING), np.sum(stage_M == DECISION)
    gap_M = np.where(stage_M == DECISION, 0.3, -0.3)
    start = started(rollouts, np.split(gap_M, np.cumsum([len(one.token_ids) for one in rollouts])[:-1]))
    _, kl = value_shares(whole, whole, start)
    # e^-0.3 - 1 + 0.3 = 0.040818 and e^0.3 - 1 - 0.3 = 0.049859
    assert kl.value == pytest.approx(0.040818 * num_decision / (0.040818 * num_decision + 0.049859 * num_sampling), rel=1e-4)
    still = started(rollouts, [np.full(len(one.token_ids), 1e-6) for one in rollouts])
    assert "still the start" in value_shares(whole, whole, still)[1].why_none


def test_share_of_the_nll_is_at_temperature_1() -> None:
    rollouts = responses()
    stage_M = tables(rollouts).tokens.stage_M
    ends = np.cumsum([len(one.token_ids) for one in rollouts])[:-1]
    at_one = np.split(np.where(stage_M == DECISION, -3.0, -1.0), ends)
    colder = [replace(one, temperature=0.7, logprobs_t1=logprobs) for one, logprobs in zip(rollouts, at_one, strict=True)]
    num_sampling, num_decision = np.sum(stage_M == SAMPLING), np.sum(stage_M == DECISION)
    nll, kl = value_shares(tables(colder), None, started(colder, at_one))
    assert nll.value == pytest.approx(3 * num_decision / (3 * num_decision + num_sampling))
    assert "drawn at 0.7" in kl.why_none
    nll, kl = value_shares(tables([replace(one, logprobs_t1=None) for one in colder]), None, None)
    assert (nll.value, nll.why_none) == (None, "12 of 12 responses have no log-probabilities at temperature 1")
    assert "start_logprobs.parquet" in kl.why_none
    # drawn at temperature 1 the sampler's own will do
    assert value_shares(tables([replace(one, logprobs_t1=None) for one in rollouts]), None, None)[0].value is not None


# ---- what objectives need, and clips


def test_known_needs_are_told_and_mistakes_get_out(tmp_path: Path) -> None:
    alone = [one for one in responses() if one.index == 0]
    found = rows_of("grpo", alone, success=1.0, max_tokens=20, start=None)
    assert isinstance(found, Skipped)
    assert found.missing.startswith("at least two responses to each prompt (")
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import replace\n"
        "from jominy.recipes.loading import load_recipe\n"
        "def refuses(groups):\n"
        "    raise ValueError('my own mistake')\n"
        "mine = replace(load_recipe('grpo'), credit=refuses)\n"
        "clips = replace(load_recipe('grpo'), clipped=lambda logp, old, reference, advantage, inside: advantage < 0)\n"
    )
    with pytest.raises(ValueError, match="my own mistake"):
        rows_of(f"{own}:mine", responses(), success=1.0, max_tokens=20, start=None)
    # a clip of what has a negative advantage takes the second and third response of each prompt
    rollouts = responses()
    whole = tables(rollouts)
    of_negative = np.isin(whole.tokens.rollout_M % 4, (1, 2))
    for stage, name in ((SAMPLING, "clipped_sampling"), (DECISION, "clipped_decision")):
        here = whole.tokens.stage_M == stage
        found_share = getattr(credited("clips", found_rows(f"{own}:clips", rollouts), whole).attribution, name)
        assert found_share.value == pytest.approx(np.sum(here & of_negative) / np.sum(here))
    # at the first update the ratio is 1
    assert credited("grpo", found_rows("grpo", rollouts), whole).attribution.clipped_decision.value == 0.0
    assert credited("sft", found_rows("sft", rollouts), whole).attribution.clipped_decision.value is None


# ---- tables


def test_a_part_of_the_tables_is_the_tables_of_the_part() -> None:
    rollouts = responses()
    some = [one for one in rollouts if one.prompt_id != "p0" and one.index != 1]
    ours, theirs = part_of(tables(rollouts), some), tables(some)
    assert [(one.prompt_id, one.index) for one in ours.rollouts] == [(one.prompt_id, one.index) for one in some]
    assert ours.attempts.num_prompts == 2
    for column in ("rollout_M", "stage_M", "verdict_M", "attempt_M", "prompt_R"):
        assert np.array_equal(getattr(ours.tokens, column), getattr(theirs.tokens, column))
    for column in (
        "rollout_A",
        "index_A",
        "correct_A",
        "known_A",
        "decision_A",
        "answer_A",
        "prompt_R",
        "final_R",
        "scored_R",
        "num_tokens_R",
    ):
        assert np.array_equal(getattr(ours.attempts, column), getattr(theirs.attempts, column))
    assert ours.attempts.problem_R == theirs.attempts.problem_R
    assert with_start(rollouts, None)[0] == []


def test_a_response_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders with one common prompt of three: its four responses are the same texts on both sides."""
    asked: list[str] = []

    def counting(one: Prompt, text: str, stop: Stop) -> Trace:
        asked.append(text)
        return retrying().read(one, text, stop)

    monkeypatch.setattr("jominy.deciding.folders.load_reader", lambda spans, of_task: counting)
    prompts = tuple(PROMPTS.values())
    for name, kept in (("a", prompts[:2]), ("b", prompts[1:])):
        write_run(tmp_path / name, list(kept), responses(prompts=kept), task=task.name, rollouts=4, max_tokens=20)
    sides, _ = read_sides(compared_in(tmp_path / "a", tmp_path / "b"), "task", 1.0)
    assert sides is not None
    assert (sides.num_only_before, sides.num_only_after, list(sides.prompts)) == (1, 1, [prompts[1].id])
    assert sides.before is not None
    found = [tables_of(side.rollouts, sides.prompts, sides.read, 1.0) for side in (sides.before, sides.after)]
    assert sorted(asked) == sorted(text for text, _ in TEXTS)
    assert np.array_equal(found[0].tokens.stage_M, tables(responses(prompts=prompts[:1])).tokens.stage_M)
    # another stop is another response
    read = once(counting)
    read(prompts[0], "w/a.", "eos")
    read(prompts[0], "w/a.", "length")
    assert len(asked) == 6


def test_coefficients_are_told_in_units_of_their_mean_size() -> None:
    rollouts = responses()
    whole = tables(rollouts)
    rows = found_rows("grpo", rollouts)
    found = credited("grpo", rows, whole)
    size_M = np.abs(coefficients(rows, rollouts))[whole.tokens.stage_M != 0]
    assert found.mean_size == pytest.approx(np.mean(size_M))
    # sampling and decision tokens together have a mean size of 1
    numbers = [np.count_nonzero(whole.tokens.stage_M == stage) for stage in (1, 2)]
    sizes = [found.attribution.masses.sampling.value, found.attribution.masses.decision.value]
    assert None not in sizes
    assert np.average(np.array(sizes, dtype=float), weights=numbers) == pytest.approx(1.0)
