"""explain: small folders by hand, planted changes, what cannot be said, and what the terminal prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from jominy.explaining import explain, explain_path
from jominy.explanation import Change, Explanation
from jominy.outcome import read_outcome
from jominy.printing_training import print_explanation
from jominy.records import Measure, Prompt, Reward
from jominy.reporting.checking import check
from jominy.steplog import append_line, write_start_logprobs
from jominy.store import RunFolder, read_json
from tests.training_fixture import graded, make_prompts, write_run, write_training_folder

PROMPTS = make_prompts(12)
Rewards = Sequence[float | None]


def folder_of(path: Path, rewards: dict[int, Rewards], *, seed: int | None = None, **spec: Any) -> Path:
    """A run folder with these rewards by prompt number; in shuffled order of rows when a seed is given."""
    rollouts = [
        graded(PROMPTS[p], index, Reward(value=value, note="" if value is not None else "crashed"))
        for p, values in rewards.items()
        for index, value in enumerate(values)
    ]
    if seed is not None:
        rollouts = [rollouts[i] for i in np.random.default_rng(seed).permutation(len(rollouts))]
    return write_run(path, [PROMPTS[p] for p in rewards], rollouts, **spec)


def chance_of_any(rewards: Rewards, k: int) -> float:
    """pass@k by going through all ways to draw k of the responses."""
    draws = list(combinations(rewards, k))
    return sum(any(value == 1.0 for value in draw) for draw in draws) / len(draws)


BEFORE: dict[int, Rewards] = {0: [0, 0, 0, 0], 1: [1, 1, 1, 1], 2: [1, 0, 0, 0], 3: [1, 0, 1, 0]}
AFTER: dict[int, Rewards] = {2: [1, 1, 1, 1], 1: [0, 0, 0, 0], 0: [1, 0, 0, 1], 4: [1, 1, 1, 1]}


# ---- numbers by hand


def test_pass_at_k_gained_and_lost_by_enumeration(tmp_path: Path) -> None:
    found = explain(folder_of(tmp_path / "a", BEFORE), folder_of(tmp_path / "b", AFTER))
    assert (found.num_prompts, found.num_only_before, found.num_only_after) == (3, 1, 1)
    assert found.ks == (1, 2, 4)
    for k, change in zip(found.ks, found.passk, strict=True):
        before = [chance_of_any(BEFORE[p], k) for p in (0, 1, 2)]
        after = [chance_of_any(AFTER[p], k) for p in (0, 1, 2)]
        assert change.before.value == pytest.approx(np.mean(before))
        assert change.after.value == pytest.approx(np.mean(after))
        assert change.difference.value == pytest.approx(np.mean(after) - np.mean(before))
    # Prompt 0: never, then 2 of 4; prompt 1: 4 of 4, then never; prompt 2 was right before and after.
    assert (found.moves.gained, found.moves.lost, found.moves.p_value) == (1, 1, 1.0)
    # By chance: prompt 0 has 2 right of 8, both in the second half: C(4,2)/C(8,2) = 6/28; prompt 1 4 right: C(4,4)/C(8,4) = 1/70.
    assert found.moves.gained_by_chance == pytest.approx(6 / 28 + 1 / 70)
    # The largest move first: prompt 1 by 1, prompt 2 by 3/4, prompt 0 by 1/2.
    assert [prompt.prompt_id for prompt in found.prompts] == [PROMPTS[p].id for p in (1, 2, 0)]
    assert found.prompts[0].question == PROMPTS[1].messages[-1].content
    assert found.prompts[0].p_value == pytest.approx(2 / 70)  # Fisher of 4 of 4 against 0 of 4: two of C(8, 4) tables


def test_the_order_of_rows_says_nothing(tmp_path: Path) -> None:
    plain = explain(folder_of(tmp_path / "a", BEFORE), folder_of(tmp_path / "b", AFTER))
    shuffled = explain(folder_of(tmp_path / "c", BEFORE, seed=1), folder_of(tmp_path / "d", AFTER, seed=2))
    assert shuffled.passk == plain.passk
    assert shuffled.moves == plain.moves
    assert {prompt.prompt_id: prompt for prompt in shuffled.prompts} == {prompt.prompt_id: prompt for prompt in plain.prompts}


def test_unscored_responses_are_left_out_and_counted(tmp_path: Path) -> None:
    before: dict[int, Rewards] = {0: [1, None, 0, None], 1: [None, None, None, None], 2: [0, 0, 0, 0]}
    after: dict[int, Rewards] = {0: [1, 1, 1, 1], 1: [1, 1, 1, 1], 2: [0, 0, 0, None]}
    found = explain(folder_of(tmp_path / "a", before), folder_of(tmp_path / "b", after))
    assert (found.num_unscored_before, found.num_unscored_after) == (6, 1)
    # Prompt 1 has no scored response before; of prompt 0 one of two is right.
    assert found.passk[0].difference.value == pytest.approx((0.5 + 0.0) / 2)
    assert found.passk[0].difference.num_left_out == 1
    assert found.moves.num_prompts == 2
    (said,) = [caveat for caveat in found.reading.caveats if "no reward" in caveat]
    assert said.startswith("50.0 % of the responses before have no reward"), "6 of 12; 1 of 12 after is few"


def test_drift_of_length_cuts_and_repetition(tmp_path: Path) -> None:
    def run(path: Path, lengths: list[int], texts: list[str], stop: str) -> Path:
        rollouts = [
            graded(PROMPTS[p], i, Reward(value=0.5), token_ids=np.arange(n), logprobs_t1=np.full(n, -0.25), text=texts[i], stop=stop)
            for p in (0, 1)
            for i, n in enumerate(lengths)
        ]
        return write_run(path, PROMPTS[:2], rollouts)

    loop = "one two three four " * 10
    found = explain(
        run(tmp_path / "a", [2, 4, 6], ["a", "b", "c"], "eos"), run(tmp_path / "b", [8, 8, 8], [loop, loop, "x"], "length"), success=0.5
    )
    change = {change.name: change for change in found.drift}
    assert (change["response length"].before.value, change["response length"].after.value) == (4.0, 8.0)
    assert (change["truncated share"].before.value, change["truncated share"].after.value) == (0.0, 1.0)
    assert change["repetitive share"].difference.value == pytest.approx(2 / 3)
    # Three different texts of three: 1; two different ones: (2 - 1) / (3 - 1).
    assert (change["distinct responses"].before.value, change["distinct responses"].after.value) == (1.0, 0.5)
    assert change["surprisal a token"].after.value == pytest.approx(0.25)
    assert change["mean reward"].difference.value == 0.0
    assert found.passk[0].after.value == 1.0  # the threshold of success is 0.5


def test_divergence_comes_from_the_rescored_responses(tmp_path: Path) -> None:
    before, after = folder_of(tmp_path / "a", BEFORE), folder_of(tmp_path / "b", AFTER)
    rows = [(PROMPTS[p].id, i) for p in (0, 1) for i in range(4)]
    # Drawn at -0.5 a token; under the start -1.0 for prompt 0 and -0.75 for prompt 1: 4 tokens give 2.0 and 1.0 nats.
    write_start_logprobs(
        after, [r[0] for r in rows], [r[1] for r in rows], [np.full(4, -1.0 if r[0] == PROMPTS[0].id else -0.75) for r in rows]
    )
    response, token = explain(before, after).kl
    assert response.value == pytest.approx(1.5)
    assert token.value == pytest.approx(12 / 32)
    assert (response.num_prompts, response.num_left_out) == (2, 1)


def test_parts_of_the_reward_over_the_prompts_that_have_them(tmp_path: Path) -> None:
    def run(path: Path, parts: dict[int, dict[str, float]]) -> Path:
        return write_run(path, PROMPTS[:2], [graded(PROMPTS[p], 0, Reward(value=0.0, parts=found)) for p, found in parts.items()])

    found = explain(
        run(tmp_path / "a", {0: {"commas": 0.0, "length": -3.0}, 1: {"bullets": 1.0}}),
        run(tmp_path / "b", {0: {"commas": 1.0, "length": -1.0}, 1: {"bullets": 1.0}}),
    )
    assert [(part.name, part.difference.value, part.before.unit, part.difference.num_prompts) for part in found.parts] == [
        ("length", 2.0, "reward", 1),
        ("commas", 1.0, "share", 1),
        ("bullets", 0.0, "share", 1),
    ]


def test_format_and_skill_come_from_the_answers(tmp_path: Path) -> None:
    def run(path: Path, answers: list[str | None], target: str) -> Path:
        rollouts = [graded(PROMPTS[0], i, Reward(value=float(a == target), answer=a)) for i, a in enumerate(answers)]
        return write_run(path, PROMPTS[:1], rollouts)

    found = explain(run(tmp_path / "a", [None, None, "5", "6"], "5"), run(tmp_path / "b", ["5", "5", "5", "6"], "5")).format_skill
    assert found is not None
    # f: 1/2 to 1; s: 1/2 to 3/4; format 1/2 * (1/2 + 3/4) / 2 = 0.3125; skill (1/2 + 1) / 2 * 1/4 = 0.1875; together 1/4 to 3/4.
    assert (found.format_part.value, found.skill_part.value) == pytest.approx((0.3125, 0.1875))


# ---- the reading


def draw_folder(path: Path, rates: Sequence[float], seed: int, num_rollouts: int = 8) -> Path:
    generator = np.random.default_rng(seed)
    prompts = make_prompts(len(rates))
    rollouts = [
        graded(prompt, i, Reward(value=float(generator.random() < rate)))
        for prompt, rate in zip(prompts, rates, strict=True)
        for i in range(num_rollouts)
    ]
    return write_run(path, prompts, rollouts)


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ([0.4] * 40, [0.9] * 40, "sharpening"),
        ([0.4] * 20 + [0.0] * 20, [0.5] * 40, "discovery"),
        ([0.4] * 40, [0.4] * 40, "no change shown"),
        ([0.6] * 40, [0.2] * 40, "worse"),
        ([0.5] * 40, [0.95] * 20 + [0.0] * 20, "worse"),
    ],
)
def test_planted_changes_are_read_as_what_they_are(tmp_path: Path, before: list[float], after: list[float], outcome: str) -> None:
    found = explain(draw_folder(tmp_path / "a", before, 1), draw_folder(tmp_path / "b", after, 2))
    assert found.reading.value == outcome, found.reading.headline
    assert found.reading.headline.lower().startswith(outcome)


def change_of(name: str, before: float, low: float, high: float) -> Change:
    sides = Measure(name=name, value=before, low=before - 0.05, high=before + 0.05, num_prompts=40)
    difference = replace(sides, value=(low + high) / 2, low=low, high=high)
    return Change(name=name, before=sides, after=replace(sides, value=before + (low + high) / 2), difference=difference)


UP, FLAT, DOWN = (0.1, 0.2), (-0.05, 0.05), (-0.2, -0.1)


@pytest.mark.parametrize(
    ("one", "most", "outcome"),
    [
        (UP, UP, "discovery"),
        (UP, FLAT, "sharpening"),
        (UP, DOWN, "sharpening"),
        (FLAT, UP, "discovery"),
        (FLAT, FLAT, "no change shown"),
        (FLAT, DOWN, "worse"),
        (DOWN, UP, "worse"),
        (DOWN, FLAT, "worse"),
    ],
)
def test_every_pair_of_intervals_has_its_reading(one: tuple[float, float], most: tuple[float, float], outcome: str) -> None:
    passk = (change_of("pass@1", 0.4, *one), change_of("pass@8", 0.7, *most))
    assert read_outcome((1, 8), passk, (), (), on_one_side=False).value == outcome


def test_caveats_say_what_the_reading_cannot() -> None:
    single = read_outcome((1,), (change_of("pass@1", 0.4, *UP),), (), (), on_one_side=False)
    assert (single.value, "one response a prompt" in single.caveats[0]) == ("better", True)
    full = read_outcome((1, 8), (change_of("pass@1", 0.4, *UP), change_of("pass@8", 0.99, *FLAT)), (), (), on_one_side=False)
    assert "hardly anything left to discover" in full.caveats[0]
    gamed = read_outcome((1,), (change_of("pass@1", 0.4, *FLAT),), (change_of("paid share", 0.4, *UP),), ("x",), on_one_side=False)
    assert gamed.caveats[0] == "x"
    assert "gamed" in gamed.caveats[1]
    assert read_outcome((), (), (), (), on_one_side=False).value == "unknown"
    assert "mean reward" in read_outcome((1,), (change_of("pass@1", 0.0, *FLAT),), (), (), on_one_side=True).headline


def test_gold_decides_and_pay_is_shown_beside_it(tmp_path: Path) -> None:
    def run(path: Path, paid: float) -> Path:
        rollouts = [graded(prompt, i, Reward(value=paid), gold=float(i == 0)) for prompt in PROMPTS for i in range(4)]
        return write_run(path, PROMPTS, rollouts)

    found = explain(run(tmp_path / "a", 0.0), run(tmp_path / "b", 1.0))
    assert (found.passk[0].before.value, found.passk[0].after.value) == (0.25, 0.25)
    assert next(change for change in found.drift if change.name == "paid share").difference.value == 1.0
    assert any("gamed" in caveat for caveat in found.reading.caveats)


def test_graded_rewards_below_the_threshold_are_unknown_not_unchanged(tmp_path: Path) -> None:
    found = explain(folder_of(tmp_path / "a", {0: [0.1, 0.2], 1: [0.3, 0.1]}), folder_of(tmp_path / "b", {0: [0.8, 0.9], 1: [0.9, 0.8]}))
    assert found.reading.value == "unknown"
    assert found.drift[0].difference.value == pytest.approx(0.675)


# ---- what cannot be said


def test_what_is_missing_has_its_reason(tmp_path: Path) -> None:
    found = explain(folder_of(tmp_path / "a", BEFORE), folder_of(tmp_path / "b", AFTER))
    assert [measure.why_none for measure in found.kl] == ["the responses were not scored again under the starting policy"] * 2
    assert found.format_skill is None
    assert "extracts no answer" in found.why_no_format_skill


def test_another_temperature_gives_no_divergence(tmp_path: Path) -> None:
    rollouts = [graded(PROMPTS[0], i, Reward(value=1.0), temperature=0.7) for i in range(2)]
    before, after = write_run(tmp_path / "a", PROMPTS[:1], rollouts), write_run(tmp_path / "b", PROMPTS[:1], rollouts)
    write_start_logprobs(after, [PROMPTS[0].id] * 2, [0, 1], [np.full(4, -1.0)] * 2)
    assert "drawn at temperature 0.7" in explain(before, after).kl[0].why_none


def test_log_probabilities_of_other_responses_are_refused(tmp_path: Path) -> None:
    before, after = folder_of(tmp_path / "a", BEFORE), folder_of(tmp_path / "b", AFTER)
    write_start_logprobs(after, [PROMPTS[0].id], [0], [np.full(9, -1.0)])
    with pytest.raises(ValueError, match="response 0 of prompt sum-000 has 4 tokens and 9 log-probabilities"):
        explain(before, after)


def test_settings_that_differ_are_named(tmp_path: Path) -> None:
    found = explain(folder_of(tmp_path / "a", BEFORE, max_tokens=64), folder_of(tmp_path / "b", AFTER, max_tokens=32))
    assert "`max_tokens` differs: 64 before, 32 after; part of the change is that" in found.reading.caveats


def test_folders_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "a", {0: [1.0]})
    with pytest.raises(ValueError, match="have no prompt in common"):
        explain(one, folder_of(tmp_path / "b", {1: [1.0]}))
    with pytest.raises(ValueError, match="is no run folder"):
        explain(one, tmp_path / "nothing")
    RunFolder(tmp_path / "empty").write_run({"status": "running"})
    with pytest.raises(ValueError, match="holds no rollouts"):
        explain(one, tmp_path / "empty")


# ---- a training folder


def test_first_and_last_evaluation_of_a_training_folder(tmp_path: Path) -> None:
    folder = write_training_folder(tmp_path / "run", num_steps=2, evaluated=(0, 10, 30))
    found = explain_path(folder)
    assert (found.source["before_step"], found.source["after_step"], found.source["after_policy"]) == (0, 30, "lab+step 30")
    stored = read_json(folder / "explanation.json")
    check(stored, Explanation, "explanation")
    assert stored == json.loads(json.dumps(found.to_json()))
    # The fixture subtracts gamma(0.1, 0.8) = 0.08 nats a token on average from every token's log-probability.
    low, high = found.kl[1].low, found.kl[1].high
    assert low is not None
    assert high is not None
    assert low <= 0.08 <= high


def test_the_run_says_what_counts_as_right(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    RunFolder(folder).write_run({"verb": "train", "status": "finished", "spec": {"data": {"success": 0.5}}})
    for step in (0, 1):
        folder_of(folder / f"evaluations/step-{step}", {0: [0.6, 0.4], 1: [0.7, 0.0]})
        append_line(folder / "evaluations.jsonl", {"step": step, "folder": f"evaluations/step-{step}"})
    assert explain_path(folder).passk[0].before.value == 0.5
    assert explain_path(folder, success=0.65).passk[0].before.value == 0.25


def test_fewer_than_two_evaluations_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no evaluation; explain compares two\. Train on with `--resume`"):
        explain_path(write_training_folder(tmp_path / "none", num_steps=1, evaluated=()))
    with pytest.raises(ValueError, match="one evaluation, at step 0"):
        explain_path(write_training_folder(tmp_path / "one", num_steps=1, evaluated=(0,)))
    append_line(tmp_path / "one" / "evaluations.jsonl", {"step": 5})
    with pytest.raises(ValueError, match="line of step 5 has no `folder`"):
        explain_path(tmp_path / "one")


def printed(explanation: Explanation) -> str:
    written = StringIO()
    print_explanation(explanation, Path("runs/x/report.html"), Console(width=160, file=written))
    return written.getvalue()


def test_the_terminal_shows_the_reading_first_and_every_change(tmp_path: Path) -> None:
    found = explain_path(write_training_folder(tmp_path / "run", num_steps=1, evaluated=(0, 30)))
    text = printed(found)
    assert "step 0 against step 30" in text
    assert text.index("Discovery: pass@1 went from") < text.index("pass@16")
    names = [change.name for change in (*found.passk, *found.drift, *found.clarity, *found.parts)] + [measure.name for measure in found.kl]
    assert [name for name in names if name not in text] == []
    assert "answering at all gives +" in text


def test_the_terminal_prints_what_is_undefined(tmp_path: Path) -> None:
    prompt: list[Prompt] = PROMPTS[:1]
    bare = [graded(prompt[0], 0, Reward(value=None, note="[bold]crashed"), logprobs=None, logprobs_t1=None)]
    text = printed(explain(write_run(tmp_path / "a", prompt, bare), write_run(tmp_path / "b", prompt, bare)))
    assert "Nothing to compare: no prompt has scored responses on both sides." in text
    assert "not told apart" in text
