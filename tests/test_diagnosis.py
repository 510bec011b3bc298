"""diagnose(): planted situations give the finding, verdict and advice they should, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from jominy.advice import RECIPES
from jominy.diagnosis import diagnose, diagnose_path
from jominy.findings import CHECKS
from jominy.groups import Groups
from jominy.results import Diagnosis
from jominy.specs import DiagnosisSpec
from tests.scripted import ScriptedEngine


def coins(pass_rates: list[float], num_rollouts: int = 16, seed: int = 0) -> list[list[int]]:
    """Rewards of prompts with these pass rates."""
    rng = np.random.default_rng(seed)
    return [rng.binomial(1, rate, num_rollouts).tolist() for rate in pass_rates]


def with_unscored(rewards: list[list[int]], num_unscored: int) -> list[list[float | None]]:
    """The same, with so many unscored rollouts before them in each group."""
    return [[None for _ in range(num_unscored)] + [float(reward) for reward in row] for row in rewards]


def codes(diagnosis: Diagnosis) -> set[str]:
    return {finding.code for finding in diagnosis.findings}


def fits(diagnosis: Diagnosis) -> dict[str, str]:
    return {advice.recipe: advice.fit for advice in diagnosis.advice}


def test_mixed_groups_say_go():
    found = diagnose(Groups.of(rewards=coins([0.5] * 64)))
    assert found.verdict.value == "go"
    assert "live" in codes(found)
    assert fits(found)["grpo"] == "recommended"
    assert list(fits(found)) == list(RECIPES)


def test_a_task_that_is_never_solved_says_stop_and_teach_first():
    found = diagnose(Groups.of(rewards=[[0] * 16] * 400))
    assert found.verdict.value == "stop"
    assert "no-signal" in codes(found)
    assert fits(found)["sft_warm_start"] == "recommended"
    assert {fits(found)[name] for name in ("grpo", "one_shot", "positive_only", "negative_only", "clarity_weighted")} == {"futile"}


def test_no_success_in_a_few_prompts_is_not_proof_of_none():
    found = diagnose(Groups.of(rewards=[[0] * 16] * 8))
    assert found.verdict.value == "fix first"
    assert {"few-live", "underpowered"} <= codes(found)


def test_a_solved_task_says_stop():
    found = diagnose(Groups.of(rewards=[[1] * 16] * 400))
    assert found.verdict.value == "stop"
    assert "saturated" in codes(found)
    assert fits(found)["sft_warm_start"] == "futile"


def test_few_live_groups_say_fix_first():
    found = diagnose(Groups.of(rewards=coins([0.5] * 10 + [0.0] * 90)))
    assert found.verdict.value == "fix first"
    assert "few-live" in codes(found)
    assert fits(found)["grpo"] == "risky"


def test_a_live_share_that_may_be_too_small_is_not_called_good():
    found = diagnose(Groups.of(rewards=coins([0.5] * 4 + [0.0] * 6)))  # 4 of 10: above 0.3, but who knows
    assert "live-unsure" in codes(found)
    assert "live" not in codes(found)
    assert fits(found)["grpo"] == "fits"


def test_alignment_decides_the_tricks():
    strong = fits(diagnose(Groups.of(rewards=coins([0.5] * 100))))
    weak = fits(diagnose(Groups.of(rewards=coins([0.5] * 15 + [0.0] * 85))))
    between = fits(diagnose(Groups.of(rewards=coins([0.5] * 60 + [0.0] * 40))))
    assert [strong[name] for name in ("one_shot", "spurious_reward", "negative_only", "positive_only")] == [
        "fits",
        "risky",
        "fits",
        "risky",
    ]
    assert [weak[name] for name in ("one_shot", "spurious_reward", "negative_only", "positive_only")] == [
        "risky",
        "futile",
        "futile",
        "fits",
    ]
    assert {between[name] for name in ("one_shot", "spurious_reward", "negative_only")} == {"risky"}


def test_thresholds_move_the_advice_and_are_printed():
    groups = Groups.of(rewards=coins([0.5] * 60 + [0.0] * 40))
    moved = diagnose(groups, DiagnosisSpec(thresholds={"strong_pass": 0.4, "weak_pass": 0.1}))
    assert fits(moved)["one_shot"] == "fits"
    assert {"strong_pass": 0.4, "weak_pass": 0.1}.items() <= {t.name: t.value for t in moved.thresholds}.items()
    with pytest.raises(ValueError, match=r"no threshold 'strongpass'; there are .*strong_pass"):
        diagnose(groups, DiagnosisSpec(thresholds={"strongpass": 0.4}))


def test_unscored_rollouts_are_counted_and_judged():
    found = diagnose(Groups.of(rewards=with_unscored(coins([0.5] * 40, 8), 8)), first_failure="Traceback ...")
    assert found.num_unscored == 320
    assert next(f for f in found.findings if f.code == "unscored").severity == "fix"
    assert found.first_failure == "Traceback ..."
    mostly = diagnose(Groups.of(rewards=with_unscored(coins([0.5] * 40, 4), 12)))
    assert mostly.verdict.value == "stop"


def test_nothing_scored_at_all_is_a_stop_and_not_a_crash():
    found = diagnose(Groups.of(rewards=[[None, None], [None, None]]))
    assert found.verdict.value == "stop"
    assert "signal" in {skipped.code for skipped in found.skipped}


def with_columns(rewards: list[list[int]], **columns: object) -> Groups:
    return replace(Groups.of(rewards=rewards), **columns)  # type: ignore[arg-type]


def test_truncation_that_costs_the_reward_says_fix_and_harmless_truncation_says_watch():
    rewards = coins([0.5] * 60)
    flat = np.array(rewards).ravel()
    cut_when_wrong = diagnose(with_columns(rewards, truncated_N=flat == 0))
    assert next(f for f in cut_when_wrong.findings if f.code == "truncated").severity == "fix"
    cut_at_random = diagnose(with_columns(rewards, truncated_N=np.arange(len(flat)) % 2 == 0))
    assert next(f for f in cut_at_random.findings if f.code == "truncated").severity == "watch"
    assert "truncated" not in codes(diagnose(with_columns(rewards, truncated_N=np.zeros(len(flat), dtype=bool))))


def test_nearly_all_cut_and_nearly_none_right_says_fix():
    rewards = coins([0.1] * 60)
    cut = np.ones(960, dtype=bool)
    assert next(f for f in diagnose(with_columns(rewards, truncated_N=cut)).findings if f.code == "truncated").severity == "fix"
    right_though_cut = with_columns(coins([0.5] * 60), truncated_N=cut)
    assert next(f for f in diagnose(right_though_cut).findings if f.code == "truncated").severity == "watch"


def test_worse_than_guessing_points_at_the_form():
    found = diagnose(with_columns(coins([0.02] * 100), num_choices_P=np.full(100, 4)))
    finding = next(f for f in found.findings if f.code == "chance")
    assert finding.severity == "fix"
    assert "below blind guessing" in finding.title


def test_a_reward_that_pays_wrong_answers_says_fix():
    gold = np.array(coins([0.5] * 60)).ravel().astype(bool)
    groups = with_columns([[1] * 16] * 60, correct_N=gold, paid_N=np.ones(960, dtype=bool))
    found = diagnose(groups)
    assert next(f for f in found.findings if f.code == "false-pay").severity == "fix"
    measure = next(m for m in found.measures if m.name == "false pay share")
    assert measure.value == pytest.approx(1 - gold.mean())
    honest = with_columns([[1] * 16] * 60, correct_N=gold, paid_N=gold)
    assert "false-pay" not in codes(diagnose(honest))


def test_rewards_off_the_success_line_are_not_called_dead_or_solved():
    rng = np.random.default_rng(0)
    for rewards in (rng.uniform(0, 0.9, size=(400, 16)), rng.uniform(1, 10, size=(400, 16))):  # never right, always right
        found = diagnose(Groups.of(rewards=rewards.tolist()))
        assert found.verdict.value == "go"
        assert "success-line" in codes(found)
        assert not codes(found) & {"no-signal", "saturated", "few-live", "partial-credit"}
        assert {fits(found)[name] for name in ("one_shot", "spurious_reward", "negative_only")} == {"risky"}
        assert fits(found)["grpo"] == "recommended"


def test_partial_credit_is_noticed():
    rng = np.random.default_rng(0)
    rewards = rng.uniform(0, 0.9, size=(40, 8))
    rewards[0, 0] = 1.0  # one right answer: the success line is real, and nearly all signal is below it
    assert "partial-credit" in codes(diagnose(Groups.of(rewards=rewards.tolist())))


def test_identical_draws_are_not_called_never_right():
    found = diagnose(Groups.of(rewards=[[0] * 16] * 240 + [[1] * 16] * 160))  # what temperature 0 gives
    finding = next(f for f in found.findings if f.code == "no-signal")
    assert "temperature" in finding.prescription
    assert "never" not in finding.prescription
    assert fits(found)["sft_warm_start"] != "recommended"


def test_a_reward_that_does_not_tell_right_from_wrong_is_named():
    gold = np.array(coins([0.5] * 300)).ravel().astype(bool)
    found = diagnose(with_columns([[1] * 16] * 300, correct_N=gold, paid_N=np.ones(4800, dtype=bool)))
    finding = next(f for f in found.findings if f.code == "no-signal")
    assert "mend the reward" in finding.prescription


def test_a_few_unscored_rollouts_do_not_cost_most_prompts():
    rewards = [[None, *map(float, row[1:])] if p < 58 else [float(r) for r in row] for p, row in enumerate(coins([0.5] * 60))]
    found = diagnose(Groups.of(rewards=rewards))
    share = next(m for m in found.measures if m.name.startswith("gradient share"))
    assert share.name == "gradient share at G=15"
    assert share.num_prompts == 60


def test_gold_of_a_part_and_rewards_on_another_scale_are_no_false_alarm(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for prompt in range(40):
        for _ in range(16):
            right = int(rng.integers(2))
            rows.append({"prompt": prompt, "reward": right, "ten": 1 + 10 * right, "gold": right if prompt < 4 else None})
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert diagnose_path(path, DiagnosisSpec()).verdict.value == "go"
    scaled = diagnose_path(path, DiagnosisSpec(), {"reward": "ten"})
    assert "false-pay" not in codes(scaled)
    assert "reward" in {skipped.code for skipped in scaled.skipped}


def test_a_diagnosis_never_lands_in_another_run(tmp_path):
    from jominy.sampling import sample
    from jominy.specs import SampleSpec

    for name in ("x", "y"):
        spec = SampleSpec(task="arithmetic", model="scripted", prompts=4, rollouts=4)
        sample(spec, tmp_path / name, load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    with pytest.raises(ValueError, match="holds a run of its own"):
        diagnose_path(tmp_path / "x", DiagnosisSpec(), out=tmp_path / "y")


def test_one_prompt_is_no_evidence():
    found = diagnose(Groups.of(rewards=[[1, 0] * 8]))
    assert found.verdict.value == "fix first"
    assert "underpowered" in codes(found)
    assert {fits(found)[name] for name in ("one_shot", "spurious_reward", "negative_only", "positive_only")} == {"risky"}


def test_few_rollouts_can_show_strong_alignment_but_not_weak():
    weak = diagnose(Groups.of(rewards=coins([0.5] * 30 + [0.0] * 370, num_rollouts=4)))
    strong = diagnose(Groups.of(rewards=coins([0.9] * 200, num_rollouts=4)))
    assert fits(weak)["one_shot"] == "risky"
    assert "at least 16 rollouts" in next(a.would_change for a in weak.advice if a.recipe == "one_shot")
    assert fits(strong)["one_shot"] == "fits"


def test_every_finding_names_the_rule_that_fired():
    for groups in (Groups.of(rewards=coins([0.5] * 64)), Groups.of(rewards=[[0] * 16] * 400), Groups.of(rewards=coins([0.1] * 20))):
        found = diagnose(groups)
        assert all(finding.rule for finding in found.findings)
        assert any(character.isdigit() for character in found.verdict.rule)


def test_an_unfinished_run_says_so(tmp_path):
    from jominy.sampling import sample
    from jominy.specs import SampleSpec

    spec = SampleSpec(task="arithmetic", model="scripted", prompts=12, rollouts=8)
    with pytest.raises(KeyboardInterrupt):
        sample(spec, tmp_path, load_engine=lambda model, device: ScriptedEngine(stop_after=5), quiet=True)
    found = diagnose_path(tmp_path, DiagnosisSpec())
    assert next(f.title for f in found.findings if f.code == "partial-run") == "5 of 12 prompts were sampled"
    assert "cost" in {skipped.code for skipped in found.skipped}


@pytest.mark.parametrize(("shift", "code"), [(0.3, "clear"), (-0.3, "clarity-inverted")])
def test_clarity_has_a_sign(shift, code):
    rng = np.random.default_rng(0)
    rewards = coins([0.5] * 60)
    probability = 0.5 + shift * (np.array(rewards) - 0.5) + 0.1 * rng.uniform(-1, 1, size=(60, 16))
    found = diagnose(Groups.of(rewards=rewards, probability=probability.tolist()))
    assert code in codes(found)
    noise = diagnose(Groups.of(rewards=rewards, probability=rng.uniform(0.2, 0.8, size=(60, 16)).tolist()))
    assert not codes(noise) & {"clear", "clarity-inverted"}


def test_guessing_is_told_from_knowing():
    guess = diagnose(with_columns(coins([0.5] * 400), num_choices_P=np.full(400, 2)))
    know = diagnose(with_columns(coins([0.9] * 60), num_choices_P=np.full(60, 2)))
    few = diagnose(with_columns(coins([0.5] * 6), num_choices_P=np.full(6, 2)))
    assert next(f.severity for f in guess.findings if f.code == "chance") == "fix"
    assert next(f.severity for f in few.findings if f.code == "chance") == "watch"
    assert "chance" not in codes(know)


def test_checks_that_cannot_run_are_named():
    found = diagnose(Groups.of(rewards=coins([0.5] * 20)))
    of_rollouts = {"truncated", "repetitive", "chance", "clarity", "reward", "sampler-gap", "cost"}
    assert {skipped.code for skipped in found.skipped} == of_rollouts | {"format-gap", "contamination"}  # these two need a run folder
    assert all(skipped.missing for skipped in found.skipped)
    assert {skipped.code for skipped in found.skipped} < set(CHECKS) | {"cost"}


def test_every_number_has_an_interval_or_a_reason():
    rng = np.random.default_rng(0)
    found = diagnose(Groups.of(rewards=coins([0.3] * 40), probability=rng.uniform(0.2, 0.8, size=(40, 16)).tolist()))
    for measure in found.measures:
        assert measure.value is not None or measure.why_none, measure.name
        assert measure.meaning, measure.name
        if measure.value is not None and measure.low is not None and measure.high is not None:
            assert measure.low - 1e-9 <= measure.value <= measure.high + 1e-9, measure.name


def test_a_run_folder_gives_cost_and_gap(tmp_path):
    from jominy.sampling import sample
    from jominy.specs import SampleSpec

    spec = SampleSpec(task="arithmetic", model="scripted", prompts=12, rollouts=8)
    sample(spec, tmp_path, load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    found = diagnose_path(tmp_path, DiagnosisSpec(steps=10, prompts_per_step=4))
    assert found.cost is not None
    assert found.cost.num_tokens == 10 * 4 * 8 * 3  # steps, prompts, rollouts, tokens of a scripted answer
    assert found.cost.num_live_prompts == pytest.approx(4.0)  # every group is mixed
    assert found.source["task"] == "arithmetic"
    written = json.loads((tmp_path / "diagnosis.json").read_text())
    assert written == json.loads(json.dumps(found.to_json()))


def test_the_same_rollouts_give_the_same_diagnosis():
    rng = np.random.default_rng(0)
    groups = Groups.of(rewards=coins([0.3] * 40), probability=rng.uniform(0.2, 0.8, size=(40, 16)).tolist())
    assert diagnose(groups) == diagnose(groups)
