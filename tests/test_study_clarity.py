"""The study of clarity: planted gains come out as verdicts, and estimates over moments agree with numpy and hand arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.conclusion import Claim
from jominy.recipes.loading import load_recipe
from jominy.store import read_json
from jominy.studies.clarity import claims, design, failing, foretelling, models, paper, sections, weighing
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
    leaders: tuple[str, ...] = ("clarity",),
) -> dict[str, Any]:
    """Results at full scale.

    Args:
        tmp: a folder without results.json.
        slope_s: gain for each unit of S.
        slope_rate: gain for each unit of the pass rate.
        lead: of `leaders` over the base recipe; the other weightings lead by nothing.
        s_of_rate: how much of S is the pass rate.
        along: rise of S for each unit of the pass rate along training.
        leaders: weightings that lead.
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
                reached = rate + gain + (lead if arm["name"] in leaders else 0) + rng.normal(0, 0.005)
                ways = [rng.binomial(16, np.clip(rate + (reached - rate) * step / 30, 0, 1), size=64) for step in STEPS[1:]]
                evaluations = [evaluation(step, way, clear, rate, along) for step, way in zip(STEPS, [before, *ways], strict=True)]
                results["runs"].append(run_of(cell["name"], arm["name"], run_seed, evaluations))
    return results


def run_of(cell: str, arm: str, seed: int, evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of `runs`."""
    counted = {"before": evaluations[0]["right"], "after": evaluations[-1]["right"], "num_rollouts": 16}
    logged = {"reward": [], "pass_rate": [], "num_live_prompts": [], "unique_live_prompts": 5, "first_live_step": 1, "kl_nats": [0.01]}
    spent = {"seconds": 10.0, "cpu_seconds": 9.0, "environment": 0, "status": "finished", "why": ""}
    # weights of which 1 / 1.01 are in effect vary by 0.1 of their mean
    steps = [{"group_weights": {"ess_share": 1 / 1.01}, "clip_share": 0.1, "grad_norm": 1.0}] if arm != "base" else []
    more = {"evaluations": evaluations, "steps": steps}
    return {"cell": cell, "arm": arm, "seed": seed, **counted, **logged, **spent, "more": more}


def base_of(rng: np.random.Generator, rate: float, clear: float) -> dict[str, Any]:
    correct = rng.binomial(64, rate, size=64)
    scores = np.clip(rng.normal(clear, 0.2, size=64), -1, 1)
    model = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("coverage", "rectified", "auroc", "null_silhouette", "negative")}
    model |= {name: {"value": 0.5, "low": 0.3, "high": 0.7} for name in ("null_negative", "pooled_z")}
    model |= {
        name: {"value": round(clear, 4), "low": clear - 0.1, "high": clear + 0.1} for name in ("silhouette", "untruncated", "balanced")
    }
    prompts = {name: scores.round(4).tolist() for name in ("silhouette", "rectified", "balanced", "auroc")}
    prompts["null_negative"] = [0.6] * 64
    counts = {"num_rollouts": 64, "correct": correct.tolist(), "scored": [64] * 64, "lenient": None, "in_form": [60] * 64}
    return {**counts, "advice": {}, "strength": "undecided", "more": {"model": model, "prompts": prompts}}


def evaluation(step: int, right: Any, clear: float, rate: float, along: float) -> dict[str, Any]:
    # a stream of its own: S is no line in the pass rate, and nothing else changes with it
    noise = np.random.default_rng([step, *np.asarray(right).tolist()]).normal(0, 0.003)
    score = clear + along * (float(np.mean(right)) / 16 - rate) + float(noise)
    return {
        "step": step,
        "right": [int(one) for one in right],
        "silhouette": score,
        "balanced": clear,
        "rectified": score,
        "null_silhouette": 0.0,
    }


def verdicts(results: dict[str, Any]) -> dict[str, Claim]:
    return {claim.code: claim for claim in claims.claims(read_runs(results))}


def test_planted_clarity_comes_out(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path))
    expected: tuple[str, ...] = ("predicts", "predicts-balanced", "matched", "left-out", "predicts-smollm2", "left-out-smollm2")
    expected += ("along-training-within", "along-training-beyond-noise", "weighting", "weighting-area", "over-ablations", "raises-clarity")
    assert {code: found[code].verdict for code in expected} == dict.fromkeys(expected, "agrees")
    # its balanced S was planted to stand still
    assert found["along-training-balanced"].verdict == "cannot tell"
    assert found["weighting-auroc"].verdict != "agrees"
    assert "18 models (lab models) in 6 families" in found["predicts"].ran
    assert "8 models (SmolLM2 on constraints, each a family) in 8 families" in found["predicts-smollm2"].ran
    assert "Dose, median of 16 steps: weights vary by 0.100 of their mean, 99.0 % of the groups in effect." in found["weighting"].found
    assert set(paper.PRIMARY) <= set(found)
    # 18 cells of three seeds; two cells, two arms, eight seeds
    assert "54 runs in 18 cells" in found["predicts"].ran
    assert "32 runs in 2 cells" in found["weighting"].ran
    # lab models and SmolLM2 are judged apart
    assert "smollm2" not in found["weighting"].found
    assert found["weighting-smollm2"].found.count("smollm2, four together") == 1
    assert "over 1 cell: " in found["weighting-smollm2"].found


def test_what_the_pass_rate_explains_is_not_clarity(tmp_path: Path) -> None:
    """S is the pass rate: plainly correlated with the gain, and of no use beside it; weighting does harm, S falls along training."""
    found = verdicts(planted(tmp_path, slope_s=0.0, slope_rate=0.8, lead=-0.04, s_of_rate=0.97, along=-0.5))
    assert found["predicts"].found.startswith("S and gain: r 0.9")
    assert found["predicts"].verdict == found["left-out"].verdict == "cannot tell"
    assert {found[code].verdict for code in ("weighting", "weighting-area", "over-ablations", "along-training-within")} == {"disagrees"}


def test_a_lead_has_to_be_over_each_ablation(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path, leaders=("clarity", "random")))
    assert found["weighting"].verdict == "agrees"
    assert found["over-ablations"].verdict != "agrees"
    assert "% of the base recipe's gain" in found["weighting"].found


def test_what_the_bend_of_the_pass_rate_explains_is_not_clarity(tmp_path: Path) -> None:
    """S and gain both follow the live share, which bends with the pass rate: a straight line leaves them tied, the bend does not."""
    rng = np.random.default_rng(1)
    rate_M = np.linspace(0.05, 0.95, 12)
    live_M = 1 - rate_M**8 - (1 - rate_M) ** 8
    names = tuple(f"smollm2, {place}" for place in range(12))
    score_M, gain_M = (live_M + 0.01 * rng.normal(size=12) for _ in range(2))
    bent = models.Models(
        group="constraints",
        names=names,
        families=names,
        levels=("",) * 12,
        pass_rate_M=rate_M,
        live_M=live_M,
        silhouette_M=score_M,
        balanced_M=score_M,
        gain_M=gain_M,
        left_out=(),
    )
    straight_M1, bent_M2 = foretelling.fixed_columns(bent)
    assert foretelling._side(*foretelling.correlated(bent, score_M, straight_M1)) == 1
    assert foretelling._side(*foretelling.correlated(bent, score_M, bent_M2)) == 0
    runs = read_runs(read_results(tmp_path, design.design("full")) | {"environments": [], "runs": []})
    assert foretelling.predicts(runs, bent, "silhouette", "").verdict == "cannot tell"


def test_models_that_do_not_count_are_named(tmp_path: Path) -> None:
    results = planted(tmp_path)
    bases = {cell["name"]: cell["base"] for cell in results["cells"]}
    for name in ("early, low", "few, low"):
        bases[name]["more"]["lab"] = {"name": "lab-1", "num_steps": 60}
    bases["few, high"]["more"]["lab"] = {"name": "lab-1", "num_steps": 64}
    bases["smollm2, title"]["more"]["model"]["silhouette"]["value"] = None
    found = verdicts(results)
    assert "17 models (lab models) in 6 families" in found["predicts"].ran
    assert found["predicts"].ran.endswith("Left out 1: few, low: the same model as early, low.")
    assert found["predicts-smollm2"].ran.endswith("Left out 1: smollm2, title: S is undefined.")


def test_a_matched_verdict_needs_pairs(tmp_path: Path) -> None:
    """Every model of a level at a pass rate of its own: the levels still correlate, and no two models are alike."""
    results = planted(tmp_path)
    for place, cell in enumerate(results["cells"]):
        cell["base"]["correct"] = [place * 2 + 2] * 64
    found = verdicts(results)["matched"]
    assert "0 pairs" in found.found
    assert found.verdict == "cannot tell"


def test_a_negative_slope_disagrees(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path, slope_s=-0.6))
    assert (found["predicts"].verdict, found["matched"].verdict) == ("disagrees", "disagrees")


def test_any_moment_of_a_study_can_be_concluded(tmp_path: Path) -> None:
    whole = planted(tmp_path)
    codes = [
        [claim.code for claim in conclude({**whole, "runs": whole["runs"][:number]}).claims] for number in (0, 1, 40, len(whole["runs"]))
    ]
    assert all(some == codes[0] for some in codes)
    assert len(set(codes[0])) == len(codes[0])
    nothing = conclude({**whole, "runs": [], "cells": [{**cell, "base": None} for cell in whole["cells"]]})
    assert {claim.verdict for claim in nothing.claims} == {"cannot tell"}


def test_the_area_is_the_mean_of_the_later_evaluations() -> None:
    """By hand: (2 + 4) / 2 - 1 = 2 of 4 answers on the first prompt, (0 + 2) / 2 - 2 = -1 of 4 on the second."""
    run = {"before": [1, 2], "num_rollouts": 4, "more": {"evaluations": [{"right": [1, 2]}, {"right": [2, 0]}, {"right": [4, 2]}]}}
    finished = {**run, "status": "finished"}
    area_P = models._area(finished)
    assert area_P is not None
    assert area_P.tolist() == [0.5, -0.25]
    assert models._area({**finished, "more": None}) is None
    still_P = models._area({**run, "status": "no gradient", "more": None})
    assert still_P is not None
    assert still_P.tolist() == [0.0, 0.0]


def test_runs_without_evaluations_are_counted(tmp_path: Path) -> None:
    results = planted(tmp_path)
    lost = [run for run in results["runs"] if run["cell"] == "early, middle, weighted" and run["arm"] == "clarity"][:2]
    for run in lost:
        run["more"] = None
    found = verdicts(results)
    assert found["weighting-area"].found.endswith("2 finished runs without evaluations are left out.")
    assert "left out" not in found["weighting"].found


def test_the_rise_of_s_is_paired_by_seed() -> None:
    """By hand: cells 1 3 and 4 6, means 2 and 5; error sqrt(2 / 2 + 2 / 2) / 2 = 0.7071, t_2 = 4.3027."""
    found = weighing.mean_rise([[1.0, 3.0], [4.0, 6.0]])
    assert found.value == pytest.approx(3.5)
    assert found.high == pytest.approx(3.5 + 4.3027 * 0.7071, rel=1e-3)
    assert weighing.mean_rise([[1.0], [2.0, 3.0]]).low is None


def told(high: float, noise: float | None, p_value: float | None) -> dict[str, Any]:
    """An interpretation whose contrasts are all alike."""
    difference = {"value": high, "low": high - 0.1, "high": high + 0.1, "why_none": ""}
    names = ("high severity", "distinct-solution ratio of two")
    contrasts = [{"difference": {**difference, "name": name}, "null_mean": noise, "p_value": p_value} for name in names]
    share = {"value": 0.4, "low": 0.3, "high": 0.5, "why_none": ""}
    severities = [{**share, "name": f"{name} severity"} for name in ("high", "mid", "low")]
    parts = [{"part": "S < 0", "num_wrong": 9, "codes": {"E3.1": 7, "E1.1": 0}, "severities": severities, "num_right": 5, "ratio": share}]
    return {"parts": parts, "contrasts": contrasts}


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (told(0.3, 0.05, 0.01), told(0.2, 0.0, 0.02), "agrees"),
        # the interval holds 0, and noise alone would lie below
        (told(0.05, -0.1, 0.01), told(0.2, 0.0, 0.02), "agrees"),
        # less than noise gives
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


def test_every_planned_cell_has_to_be_told(tmp_path: Path) -> None:
    results = planted(tmp_path)
    for cell in results["cells"]:
        if cell["group"] == "steps" and not cell["name"].startswith("noise"):
            cell["base"]["more"]["interpretation"] = told(0.3, 0.05, 0.01)
    found = verdicts(results)["severity"]
    assert found.verdict == "cannot tell"
    assert found.ran.startswith("2 of 3 lab models")


def test_where_the_fundamental_errors_lie() -> None:
    """By hand: 6 of 8 fundamental errors, 10 of 20 errors in all."""
    parts = [{"part": "S < 0", "codes": {"E1.1": 6, "E3.1": 4}}, {"part": "S >= 0", "codes": {"E2.2": 2, "E4.1": 8}}]
    assert failing._on_negative({"parts": parts}) == "75.0 % of the fundamental errors and 50.0 % of all lie on S below 0"
    assert failing._on_negative({"parts": parts[:0]}) == ""


def test_leads_stand_beside_the_papers(tmp_path: Path) -> None:
    table = sections._lead_table(read_runs(planted(tmp_path)))
    rows = {row[0].text: row for row in table.rows}
    assert "early, middle, weighted, end" in table.header
    assert rows["S', beta 0.2"][1].tone == "sure"
    assert rows["S', beta 0.2"][1].text.startswith("+")
    assert rows["S', beta 0.2"][-1].text.startswith("+2.3")
    assert rows["AUROC"][-1].text == "–"
    assert rows["S', beta 0.2, over S' of other groups"][-1].text == "+2.6"
    assert rows["S', beta 0.2, over S', beta 0.2, mean 1"][1].tone == "sure"


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
