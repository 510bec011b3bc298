"""A made-up results.json of the alignment study, with planted gains: strong cells where every trick works, weak ones where none does.

`python tests/study_results.py DIR` leaves the folder of a study with its README, figures and page for a look.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from jominy.studies import alignment
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
    "smollm2, all_lowercase": 0.06,
    "smollm2, quoted": 0.01,
}
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
    "one_shot_1": (0.8, 0.0),
    "one_shot_2": (0.8, 0.0),
    "one_shot_3": (0.8, 0.0),
    "positive_only": (0.9, 0.6),
    "positive_only_masked": (0.9, 0.6),
    "negative_only": (0.95, 0.0),
    "negative_only_masked": (0.95, 0.0),
}
"""Arm -> planted share of the true gain in strong cells and in the others."""
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


def planted(
    tmp: Path,
    *,
    seed: int = 0,
    spread: float = 0.01,
    prompts: int = 64,
    rollouts: int = 16,
    shares: dict[str, tuple[float, float]] = SHARES,
) -> dict[str, Any]:
    """The results of a study at full scale, every run finished but one that exploded and one without gradient.

    Args:
        tmp: a folder without results.json.
        seed: of everything drawn.
        spread: standard deviation of a run's gain between seeds.
        prompts: held-out prompts.
        rollouts: responses to each.
        shares: arm -> planted share of the true gain in strong cells and in the others.
    """
    rng = np.random.default_rng(seed)
    made = {"environment": {"python": "3.11.0", "device": "cpu"}, "created": "2026-11-21T20:34:14Z", "runs": []}
    results = read_results(tmp, alignment.design("full")) | made
    for cell in results["cells"]:
        rate = PASS_RATES[cell["name"]]
        strength = "strong" if rate >= 0.3 else "weak" if rate < 0.03 else "undecided"
        correct = rng.binomial(32, np.clip(rng.normal(rate, rate / 4, size=64), 0, 1))
        cell["base"] = {
            "num_rollouts": 32,
            "correct": correct.tolist(),
            "scored": [32] * 64,
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
    still = next(run for run in results["runs"] if run["cell"] == "speller, sums" and run["arm"] == "one_shot_2")
    still.update(
        status="no gradient", why="every group was alike in 30 steps", after=still["before"], first_live_step=None, unique_live_prompts=0
    )
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
        "seconds": 12.5,
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    made = planted(folder)
    write_results(folder, made)
    write_study(folder, made)
    print(folder / "report.html")
