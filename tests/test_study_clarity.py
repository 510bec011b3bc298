"""The study of clarity: planted gains come out as verdicts, and estimates over moments agree with numpy and hand arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.conclusion import Claim
from jominy.recipes.loading import load_recipe
from jominy.store import read_json
from jominy.studies.clarity import claims, design, failing, models, moments, sections
from jominy.studies.concluding import conclude
from jominy.studies.reading import read_runs
from jominy.studies.results import read_results
from jominy.studies.running import study

STEPS = (0, 10, 20, 30)


def planted(
    tmp: Path,
    *,
    slope_s: float = 0.6,
    slope_rate: float = 0.0,
    lead: float = 0.04,
    s_of_rate: float = 0.0,
    along: float = 0.5,
    seed: int = 0,
) -> dict[str, Any]:
    """Results at full scale.

    Args:
        tmp: a folder without results.json.
        slope_s: gain for each unit of S.
        slope_rate: gain for each unit of the pass rate.
        lead: of weighting by S' over the base recipe; the other weightings lead by nothing.
        s_of_rate: how much of S is the pass rate.
        along: rise of S for each unit of the pass rate along training.
    """
    rng = np.random.default_rng(0)
    results = read_results(tmp, design.design("full")) | {"environments": [{"python": "3.11"}], "runs": []}
    skipped = {(pair["cell"], pair["arm"]) for pair in results["not_defined"]}
    for cell in results["cells"]:
        rate = {"low": 0.15, "middle": 0.3, "high": 0.45}.get(cell["name"].rsplit(", ")[-1], 0.3) + rng.uniform(-0.02, 0.02)
        clear = (1 - s_of_rate) * rng.uniform(-0.1, 0.4) + s_of_rate * rate
        cell["base"] = base_of(rng, rate, clear)
        gain = 0.1 + slope_s * clear + slope_rate * rate
        for run_seed in cell["seeds"]:
            before = rng.binomial(16, rate, size=64)
            for arm in results["arms"]:
                if (cell["name"], arm["name"]) in skipped:
                    continue
                reached = rate + gain + (lead if arm["name"] == "clarity" else 0) + rng.normal(0, 0.005)
                ways = [rng.binomial(16, np.clip(rate + (reached - rate) * step / 30, 0, 1), size=64) for step in STEPS[1:]]
                evaluations = [evaluation(step, way, clear, rate, along) for step, way in zip(STEPS, [before, *ways], strict=True)]
                results["runs"].append(run_of(cell["name"], arm["name"], run_seed, evaluations))
    return results


def run_of(cell: str, arm: str, seed: int, evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of `runs`."""
    counted = {"before": evaluations[0]["right"], "after": evaluations[-1]["right"], "num_rollouts": 16}
    logged = {"reward": [], "pass_rate": [], "num_live_prompts": [], "unique_live_prompts": 5, "first_live_step": 1, "kl_nats": [0.01]}
    spent = {"seconds": 10.0, "cpu_seconds": 9.0, "environment": 0, "status": "finished", "why": ""}
    return {"cell": cell, "arm": arm, "seed": seed, **counted, **logged, **spent, "more": {"evaluations": evaluations}}


def base_of(rng: np.random.Generator, rate: float, clear: float) -> dict[str, Any]:
    correct = rng.binomial(64, rate, size=64)
    scores = np.clip(rng.normal(clear, 0.2, size=64), -1, 1)
    model = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("coverage", "rectified", "auroc", "null_silhouette", "negative")}
    model |= {name: {"value": 0.5, "low": 0.3, "high": 0.7} for name in ("null_negative", "pooled_z")}
    model |= {name: {"value": round(clear, 4), "low": clear - 0.1, "high": clear + 0.1} for name in ("silhouette", "balanced")}
    prompts = {name: scores.round(4).tolist() for name in ("silhouette", "rectified", "balanced", "auroc")}
    counts = {"num_rollouts": 64, "correct": correct.tolist(), "scored": [64] * 64, "lenient": None, "in_form": [60] * 64}
    return {**counts, "advice": {}, "strength": "undecided", "more": {"model": model, "prompts": prompts}}


def evaluation(step: int, right: Any, clear: float, rate: float, along: float) -> dict[str, Any]:
    score = clear + along * (float(np.mean(right)) / 16 - rate)
    return {"step": step, "right": [int(one) for one in right], "silhouette": score, "balanced": clear, "rectified": score, "coverage": 0.5}


def verdicts(results: dict[str, Any]) -> dict[str, Claim]:
    return {claim.code: claim for claim in claims.claims(read_runs(results))}


def test_planted_clarity_comes_out(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path))
    expected = ("predicts", "predicts-balanced", "matched", "left-out", "along-training", "weighting", "weighting-area", "over-ablations")
    assert {code: found[code].verdict for code in expected} == dict.fromkeys(expected, "agrees")
    # its balanced S was planted to stand still
    assert found["along-training-balanced"].verdict == "cannot tell"
    assert found["weighting-auroc"].verdict != "agrees"
    assert "18 lab models in 6 families" in found["predicts"].ran


def test_what_the_pass_rate_explains_is_not_clarity(tmp_path: Path) -> None:
    """S is the pass rate: plainly correlated with the gain, and of no use beside it; weighting does harm, S falls along training."""
    found = verdicts(planted(tmp_path, slope_s=0.0, slope_rate=0.8, lead=-0.04, s_of_rate=0.97, along=-0.5))
    assert found["predicts"].found.startswith("S and gain: r 0.9")
    assert found["predicts"].verdict == found["left-out"].verdict == "cannot tell"
    assert {found[code].verdict for code in ("weighting", "weighting-area", "over-ablations", "along-training")} == {"disagrees"}


def test_a_negative_slope_disagrees(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path, slope_s=-0.6))
    assert (found["predicts"].verdict, found["matched"].verdict) == ("disagrees", "disagrees")


def test_any_moment_of_a_study_can_be_concluded(tmp_path: Path) -> None:
    whole = planted(tmp_path)
    for number in (0, 1, 40, len(whole["runs"])):
        found = conclude({**whole, "runs": whole["runs"][:number]})
        assert len(found.claims) == 15
        assert len({claim.code for claim in found.claims}) == 15
    nothing = conclude({**whole, "runs": [], "cells": [{**cell, "base": None} for cell in whole["cells"]]})
    assert {claim.verdict for claim in nothing.claims} == {"cannot tell"}


def test_the_area_is_the_mean_of_the_later_evaluations() -> None:
    """By hand: (2 + 4) / 2 - 1 = 2 of 4 answers on the first prompt, (0 + 2) / 2 - 2 = -1 of 4 on the second."""
    run = {"before": [1, 2], "num_rollouts": 4, "more": {"evaluations": [{"right": [1, 2]}, {"right": [2, 0]}, {"right": [4, 2]}]}}
    assert models._area(run).tolist() == [0.5, -0.25]
    assert models._area({**run, "more": None}).tolist() == [0.0, 0.0]


def told(high: float, noise: float | None, p_value: float | None) -> dict[str, Any]:
    """An interpretation whose contrasts are all alike."""
    difference = {"value": high, "low": high - 0.1, "high": high + 0.1, "why_none": ""}
    names = ("high severity", "distinct-solution ratio at a common number")
    contrasts = [{"difference": {**difference, "name": name}, "null_mean": noise, "p_value": p_value} for name in names]
    share = {"value": 0.4, "low": 0.3, "high": 0.5, "why_none": ""}
    severities = [{**share, "name": f"{name} severity"} for name in ("high", "mid", "low")]
    parts = [{"part": "S < 0", "num_wrong": 9, "codes": {"E3.1": 7, "E1.1": 0}, "severities": severities, "num_right": 5, "ratio": share}]
    return {"parts": parts, "contrasts": contrasts}


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (told(0.3, 0.05, 0.01), told(0.2, 0.0, 0.02), "agrees"),
        # as much as noise gives
        (told(0.3, 0.4, 0.01), told(0.2, 0.0, 0.02), "cannot tell"),
        (told(0.3, 0.05, 0.2), told(0.2, 0.0, 0.02), "cannot tell"),
        (told(-0.3, 0.05, 0.01), told(0.2, 0.0, 0.02), "cannot tell"),
        (told(-0.3, 0.05, 0.01), told(-0.2, 0.0, 0.02), "disagrees"),
        (told(0.3, None, None), told(0.2, 0.0, 0.02), "cannot tell"),
    ],
)
def test_failing_otherwise_is_more_than_noise_in_every_cell(tmp_path: Path, first: Any, second: Any, verdict: str) -> None:
    results = planted(tmp_path)
    for cell in results["cells"]:
        if cell["group"] == "steps":
            cell["base"]["more"]["interpretation"] = first if cell["name"].startswith("early") else second
    found = verdicts(results)
    assert (found["severity"].verdict, found["methods"].verdict) == (verdict, verdict)
    table = failing.told_tables(read_runs(results))[0]
    assert [entry.text for entry in table.rows[0]] == ["S < 0", "9", "0.400", "0.400", "0.400", "E3.1 7", "5", "0.400"]


def test_leads_stand_beside_the_papers(tmp_path: Path) -> None:
    table = sections._lead_table(read_runs(planted(tmp_path)))
    rows = {row[0].text: row for row in table.rows}
    assert "early, middle, weighted, end" in table.header
    assert rows["S', beta 0.2"][1].tone == "sure"
    assert rows["S', beta 0.2"][1].text.startswith("+")
    assert rows["S', beta 0.2"][-1].text.startswith("+2.3")
    assert rows["AUROC"][-1].text == "–"


def test_the_correlation_over_moments_is_numpys() -> None:
    rng = np.random.default_rng(1)
    model_K = np.repeat(np.arange(6), 4)
    rate_K = rng.uniform(size=24)
    score_K = rate_K + model_K + rng.normal(0, 0.1, size=24)
    whole = moments.moment_correlation("r", score_K, rate_K, model_K, rng, within=False)
    assert whole.value == pytest.approx(np.corrcoef(score_K, rate_K)[0, 1])
    inside = moments.moment_correlation("r", score_K, rate_K, model_K, rng, within=True)
    centred = [values - np.array([values[model_K == model].mean() for model in model_K]) for values in (score_K, rate_K)]
    assert inside.value == pytest.approx(np.corrcoef(*centred)[0, 1])
    assert inside.low is not None
    assert inside.high is not None
    assert inside.value is not None
    assert 0.8 < inside.low < inside.value < inside.high <= 1
    few = moments.moment_correlation("r", score_K[:8], rate_K[:8], model_K[:8], rng, within=True)
    assert few.why_none == "it needs 4 models at least, there are 2"
    still = moments.moment_correlation("r", model_K.astype(float), rate_K, model_K, rng, within=True)
    assert still.why_none == "one of the two does not vary"


def test_the_interval_over_moments_covers() -> None:
    """Models with a slope of their own: the correlation of very many models lies in 95 % of the intervals."""

    def world(num_models: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        model_K = np.repeat(np.arange(num_models), 4)
        rate_K = np.tile([0.1, 0.2, 0.3, 0.4], num_models) + rng.normal(0, 0.02, size=4 * num_models)
        slope_K = np.repeat(rng.normal(0.5, 0.5, size=num_models), 4)
        return slope_K * rate_K + rng.normal(0, 0.05, size=4 * num_models), rate_K, model_K

    def correlation(num_models: int, rng: np.random.Generator) -> Any:
        score_K, rate_K, model_K = world(num_models, rng)
        return moments.moment_correlation("r", score_K, rate_K, model_K, rng, within=True, num_resamples=400)

    truth = correlation(20_000, np.random.default_rng(0)).value
    found = [correlation(18, np.random.default_rng([3, number])) for number in range(200)]
    covered = sum(one.low <= truth <= one.high for one in found)
    # percentile intervals of 18 clusters cover a little less than 95 %: 190 expected at best
    assert covered >= 172


def test_a_ratio_of_means() -> None:
    rng = np.random.default_rng(2)
    found = moments.ratio_of_means("ratio", np.full(20, 0.6), np.full(10, 0.2), rng)
    assert (found.value, found.low, found.high) == pytest.approx((3.0, 3.0, 3.0))
    assert moments.ratio_of_means("ratio", np.ones(3), np.ones(9), rng).value is None
    assert moments.ratio_of_means("ratio", np.ones(9), np.zeros(9), rng).why_none == "no prompt of the second side is ever right"
    wide = moments.ratio_of_means("ratio", rng.uniform(size=400), rng.uniform(size=400) / 2, rng)
    # delta method: ratio 2, coefficient of variation of either mean 0.577 / 20
    assert wide.high is not None
    assert wide.low is not None
    assert (wide.high - wide.low) / 2 == pytest.approx(1.96 * 2 * np.sqrt(2) * 0.577 / 20, rel=0.2)


def test_the_full_design_is_what_the_issue_asks_for() -> None:
    full = design.design("full")
    lab = [cell for cell in full.cells if cell.group == "families"]
    assert len(lab) >= 12
    assert len({cell.model for cell in lab}) >= 4
    assert len({cell.lab for cell in lab}) == len(lab)
    assert sum(cell.group == "constraints" for cell in full.cells) >= 8
    assert [full.settings[group].seeds for group in ("weights", "real")] == [8, 5]
    assert sum(cell.group == "weights" for cell in full.cells) == 2
    left = {(cell.group, arm.name) for cell, arm, _ in full.not_defined()}
    assert not any(group == "weights" for group, _ in left)
    assert [arm.name for arm in full.arms if load_recipe(arm.recipe, 32).group_weights is None] == ["base"]


def test_the_smoke_scale_measures_clarity_before_and_along(tmp_path: Path) -> None:
    study("clarity", tmp_path, scale="smoke", quiet=True)
    results = read_json(tmp_path / "results.json")
    assert {(run["cell"], run["arm"]) for run in results["runs"]} == {
        (cell["name"], arm) for cell in results["cells"] for arm in ("base", "clarity", "random")
    }
    for cell in results["cells"]:
        more = cell["base"]["more"]
        mixed = [0 < right < scored for right, scored in zip(cell["base"]["correct"], cell["base"]["scored"], strict=True)]
        # S is there where a prompt has right and wrong answers, and nowhere else
        assert [value is not None for value in more["prompts"]["silhouette"]] == mixed
        assert more["model"]["coverage"]["value"] == pytest.approx(np.mean(mixed), abs=1e-4)
    for run in results["runs"]:
        evaluations = run["more"]["evaluations"]
        if run["status"] == "finished":
            assert [one["step"] for one in evaluations] == [0, 1, 2]
            assert evaluations[-1]["right"] == run["after"]
        assert evaluations[0]["right"] == run["before"]
    assert {"README.md", "report.html", "conclusion.json"} <= {path.name for path in tmp_path.iterdir()}
    assert "## Clarity of the base models" in (tmp_path / "README.md").read_text()
