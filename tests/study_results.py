"""A made-up results.json of the alignment study, with planted gains: strong cells where every trick works, weak ones where none does.

`python tests/study_results.py DIR` leaves the folder of a study with its README, figures and page for a look.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jominy.studies.alignment.design import ARMS
from jominy.studies.design import Cell, Design, Settings
from jominy.studies.results import read_results, write_results
from jominy.studies.writing import write_study

PASS_RATES = {
    "adder, sums": 0.45,
    "adder, spelling": 0.01,
    "speller, spelling": 0.4,
    "speller, sums": 0.008,
    "misled, sums": 0.02,
    "smollm2, title": 0.5,
    "smollm2, under_15_words": 0.3,
    "smollm2, highlight": 0.06,
    "smollm2, all_lowercase": 0.01,
}
"""Cell -> pass@1 of its base: cells and settings of our own, so that tuning the study moves no test."""
LAB = Settings(seeds=5, steps=30, prompts=16, rollouts=8, max_tokens=32, learning_rate=1e-4)
SMOLLM2 = Settings(seeds=3, steps=12, prompts=4, rollouts=8, max_tokens=32, learning_rate=3e-5)
TRUE_GAIN = 0.3
SHARES = {
    "ground_truth": (1.0, 1.0),
    "random": (0.5, 0.0),
    "random_no_clip": (0.0, 0.0),
    "random_format": (0.5, 0.1),
    "format": (0.4, 0.0),
    "incorrect_any": (0.55, -0.05),
    "majority": (0.7, 0.0),
    "entropy": (0.6, 0.0),
    "one_shot_max_variance": (0.8, 0.0),
    "one_shot_random": (0.8, 0.0),
    "one_shot_hardest": (0.8, 0.0),
    "positive_only": (0.9, 0.6),
    "positive_only_masked": (0.9, 0.6),
    "negative_only": (0.95, 0.0),
    "negative_only_masked": (0.95, 0.0),
}
"""Arm -> planted share of the true gain in strong cells and in the others."""
NO_EXAMPLE = ("speller, sums", "one_shot_hardest")
ADVICE = {
    "strong": {
        "grpo": "recommended",
        "one_shot": "fits",
        "spurious_reward": "fits",
        "positive_only": "risky",
        "negative_only": "fits",
    },
    "weak": {"grpo": "fits", "one_shot": "futile", "spurious_reward": "futile", "positive_only": "fits", "negative_only": "futile"},
    "undecided": {
        "grpo": "recommended",
        "one_shot": "risky",
        "spurious_reward": "risky",
        "positive_only": "fits",
        "negative_only": "risky",
    },
}


def design(on_smollm2: tuple[str, ...] = ()) -> Design:
    """Five lab cells and four of SmolLM2, with the arms of the study; on SmolLM2 those that are named, or all."""
    groups = {name: "smollm2" if name.startswith("smollm2") else "lab" for name in PASS_RATES}
    cells = tuple(
        Cell(name=name, group=group, model=name.split(", ")[0], task=f"task:{name.split(', ')[1]}", has_answers=group == "lab")
        for name, group in groups.items()
    )
    settings = {"lab": LAB, "smollm2": replace(SMOLLM2, arms=on_smollm2)}
    return Design(study="alignment", scale="full", cells=cells, arms=ARMS, settings=settings)


def planted(
    tmp: Path,
    *,
    seed: int = 0,
    spread: float = 0.01,
    prompts: int = 64,
    rollouts: int = 16,
    shares: dict[str, tuple[float, float]] = SHARES,
    on_smollm2: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The results of a study at full scale, every run finished but one that exploded, one without gradient, and the runs of one arm in one
    cell, which found no example.

    Args:
        tmp: a folder without results.json.
        seed: of everything drawn.
        spread: standard deviation of a run's gain between seeds.
        prompts: held-out prompts.
        rollouts: responses to each.
        shares: arm -> planted share of the true gain in strong cells and in the others.
        on_smollm2: arms that the cells of SmolLM2 run; empty for all.
    """
    rng = np.random.default_rng(seed)
    made = {"environments": [{"python": "3.11.0", "device": "cpu"}], "created": "2026-11-21T20:34:14Z", "runs": []}
    results = read_results(tmp, design(on_smollm2)) | made
    for cell in results["cells"]:
        rate = PASS_RATES[cell["name"]]
        strength = "strong" if rate >= 0.3 else "weak" if rate < 0.03 else "undecided"
        correct = rng.binomial(32, np.clip(rng.normal(rate, rate / 4, size=64), 0, 1))
        cell["base"] = {
            "num_rollouts": 32,
            "correct": correct.tolist(),
            "scored": [32] * 64,
            "lenient": None if cell["group"] == "smollm2" else np.minimum(correct + 4, 32).tolist(),
            "in_form": [24] * 64,
            "advice": ADVICE[strength],
            "strength": strength,
        }
        for run_seed in cell["seeds"]:
            before = rng.binomial(rollouts, rate, size=prompts)
            for arm in results["arms"]:
                if any(pair["cell"] == cell["name"] and pair["arm"] == arm["name"] for pair in results["not_defined"]):
                    continue
                share = shares[arm["name"]][0 if strength == "strong" else 1]
                reached = np.clip(rate + TRUE_GAIN * share + rng.normal(0, spread), 0, 1)
                results["runs"].append(
                    run_of(cell["name"], arm["name"], run_seed, before, rng.binomial(rollouts, reached, size=prompts), rollouts)
                )
    results["runs"][7] |= {"status": "exploded", "why": "the loss is NaN at step 4", "after": None}
    still = next(run for run in results["runs"] if run["cell"] == "speller, sums" and run["arm"] == "one_shot_random")
    still.update(
        status="no gradient", why="every group was alike in 30 steps", after=still["before"], first_live_step=None, unique_live_prompts=0
    )
    for run in results["runs"]:
        if (run["cell"], run["arm"]) == NO_EXAMPLE:
            run |= {"status": "no example", "why": "no base prompt is mixed", "before": [], "after": None, "kl_nats": None}
            run |= {"unique_live_prompts": 0, "first_live_step": None}
    return results


def run_of(cell: str, arm: str, seed: int, before: Any, after: Any, rollouts: int) -> dict[str, Any]:
    """One line of `runs`."""
    return {
        "cell": cell,
        "arm": arm,
        "seed": seed,
        "status": "finished",
        "why": "",
        "num_rollouts": rollouts,
        "before": [int(count) for count in before],
        "after": [int(count) for count in after],
        "reward": [0.1, 0.2],
        "pass_rate": [0.1, 0.2],
        "num_live_prompts": [5, 6],
        "unique_live_prompts": 40,
        "first_live_step": 1,
        "kl_nats": 0.02,
        "environment": 0,
        "seconds": 12.5,
        "cpu_seconds": 20.0,
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    made = planted(folder)
    write_results(folder, made)
    write_study(folder, made)
    print(folder / "report.html")
