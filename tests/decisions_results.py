"""A made-up results.json of the study of decisions, with planted gains of attempts and of decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jominy.studies.decisions import design
from jominy.studies.results import read_results

PROMPTS, ROLLOUTS, STATES, START = 16, 50, 32, 0.25
FIRST, ACCEPTS = 0.25, (0.7, 0.4)
"""Of the warm start's own attempts: share of right ones; shares of right and of wrong ones that it accepts."""
Parts = dict[str, tuple[float, float]]
AS_CLAIMED: Parts = {
    # arm -> what its attempts gain, what its decisions gain; RL over SFT is 0.05 + 0.18, four fifths of it by decisions
    "sft": (0.05, 0.02),
    "sft_balanced": (0.05, 0.04),
    "sft_masked": (0.05, 0.03),
    "corrected": (0.05, 0.19),
    "rft": (0.06, 0.02),
    "grpo": (0.10, 0.20),
    "grpo_sampling": (0.08, 0.00),
    "grpo_decision": (0.02, 0.22),
    "kl_loss_weak": (0.10, 0.20),
    "kl_loss_middle": (0.06, 0.18),
    "kl_loss_strong": (0.01, 0.16),
    "kl_reward_weak": (0.10, 0.18),
    "kl_reward_middle": (0.06, 0.15),
    "kl_reward_strong": (0.02, 0.10),
    "kl_sampling": (0.04, 0.16),
    "kl_decision": (0.10, 0.20),
    "kl_balanced": (0.08, 0.10),
}
NATS: Parts = {
    # arm -> nats of attempts, of decisions; a KL in the loss leaves 0.8, 0.5, 0.2 of GRPO's on attempts, 0.9, 0.7, 0.4 on decisions
    "grpo": (4.0, 1.5),
    "kl_loss_weak": (3.2, 1.35),
    "kl_loss_middle": (2.0, 1.05),
    "kl_loss_strong": (0.8, 0.6),
    "kl_reward_weak": (2.2, 1.2),
    "kl_reward_middle": (1.0, 0.7),
    "kl_reward_strong": (0.6, 0.4),
}
UNSPARED: Parts = {**NATS, "kl_loss_weak": (3.6, 1.2), "kl_loss_middle": (2.8, 0.75), "kl_loss_strong": (1.6, 0.3)}
"""The same the other way round."""
OTHER_NATS = (1.0, 0.4)
TOKENS = (40.0, 30.0)
"""Of attempts and decisions, a response."""
CONTRARY: Parts = {
    **AS_CLAIMED,
    "sft": (0.02, 0.02),
    "sft_masked": (0.02, 0.03),
    "sft_balanced": (0.18, 0.06),
    "corrected": (0.03, 0.02),
    "grpo": (0.22, 0.07),
    "grpo_sampling": (0.22, 0.02),
    "grpo_decision": (0.01, 0.04),
    "kl_loss_weak": (0.05, 0.20),
    "kl_loss_strong": (0.20, 0.02),
    "kl_sampling": (0.20, 0.10),
    "kl_decision": (0.04, 0.05),
}


def planted(
    tmp: Path, parts: Parts = AS_CLAIMED, *, stops: float = 0.15, blind: bool = False, contrast: float = 1e-4, nats: Parts = NATS
) -> dict[str, Any]:
    """Results at full scale: the same parts in and out of distribution, in both cells.

    Args:
        tmp: a folder without results.json.
        parts: of each arm.
        stops: how much likelier a KL in the reward accepts.
        blind: whether the warm start accepts right and wrong alike.
        contrast: of GRPO's coefficients.
        nats: of attempts and decisions a response; of arms that are not in it `OTHER_NATS`.
    """
    rng = np.random.default_rng(0)
    results = read_results(tmp, design.design("full")) | {"environments": [{"python": "3.11"}], "runs": []}
    for cell in results["cells"]:
        tests = list(cell["further"])
        further = {name: counts(rng, START) for name in tests}
        cell["base"] = base_of(rng, further, blind, contrast)
        for seed in cell["seeds"]:
            before = counts(rng, START)
            for arm in results["arms"]:
                line = run_of(rng, cell["name"], arm["name"], seed, parts, tests, before, stops)
                line["more"]["kl"] = moved(cell["name"], arm["name"], seed, nats)
                results["runs"].append(line)
    return results


def moved(cell: str, arm: str, seed: int, nats: Parts) -> dict[str, Any]:
    """How far a run went by stage: 5 % more or less than planted."""
    rng = np.random.default_rng([*f"{cell} {arm}".encode(), seed])
    stages = zip(("sampling", "decision"), nats.get(arm, OTHER_NATS), TOKENS, strict=True)
    return {stage: {"nats": planned * rng.normal(1, 0.05), "tokens": tokens} for stage, planned, tokens in stages}


def counts(rng: np.random.Generator, rate: float, accepts: tuple[float, float] = ACCEPTS, first: float = FIRST) -> dict[str, Any]:
    """One attempt each, accepted, or retried and then cut."""
    right_P = rng.binomial(ROLLOUTS, first, size=PROMPTS)
    accepted, missed = rng.binomial(right_P, accepts[0]), rng.binomial(ROLLOUTS - right_P, accepts[1])
    attempts = {
        "1 right accept": accepted,
        "1 right retry": right_P - accepted,
        "1 wrong accept": missed,
        "1 wrong retry": ROLLOUTS - right_P - missed,
    }
    return {
        "num_rollouts": ROLLOUTS,
        "right": rng.binomial(ROLLOUTS, rate, size=PROMPTS).tolist(),
        "attempts": {name: column.tolist() for name, column in attempts.items()},
        "after_right": [[1] * PROMPTS, [4] * PROMPTS],
        "after_wrong": [[2] * PROMPTS, [4] * PROMPTS],
        "broken": [1] * PROMPTS,
        "problems": {"no check": PROMPTS // 2, "cut at the token limit": PROMPTS // 2},
        "tokens": [40 * ROLLOUTS] * PROMPTS,
    }


def square(rng: np.random.Generator, one: tuple[float, float], other: tuple[float, float]) -> dict[str, Any]:
    """What attempts and decisions gain adds up, so that the split is what is planted."""
    rates = [START + sampler[0] + decider[1] for sampler in (one, other) for decider in (one, other)]
    return {"num_rollouts": ROLLOUTS, "right": [rng.binomial(ROLLOUTS, rate, size=PROMPTS).tolist() for rate in rates]}


def bank(rng: np.random.Generator, right: float, wrong: float) -> list[float | None]:
    """Half of the states right; one without a verdict."""
    chances = [*rng.normal(right, 0.03, size=STATES // 2), *rng.normal(wrong, 0.03, size=STATES // 2)]
    return [None, *(float(np.clip(chance, 0, 1)) for chance in chances[1:])]


def base_of(rng: np.random.Generator, further: dict[str, Any], blind: bool, contrast: float) -> dict[str, Any]:
    """A warm start; its coefficients are those of GRPO and SFT, an interval around each contrast that is not 0."""

    def measure(value: float, reach: float = 0.0) -> dict[str, Any]:
        return {"value": value, "low": value - reach if reach else None, "high": value + reach if reach else None, "why_none": ""}

    shared = {"per_token_ratio": measure(1.0), "mass_share": measure(0.4), "token_share": measure(0.4), "on_accept": measure(1e-4)}
    sft = {**shared, **{name: measure(0.0) for name in ("right_contrast", "wrong_contrast", "attempt_contrast")}}
    grpo = {**shared, **{name: measure(contrast, 1e-5) for name in ("right_contrast", "wrong_contrast", "attempt_contrast")}}
    more = {
        "lab": {"name": "lab-1", "reached": True, "num_steps": 100, "num_shown": 480, "pass_at_1": 0.5},
        "num_shown": 4,
        "shown": [place < 4 for place in range(PROMPTS)],
        "counts": counts(rng, START),
        "further": further,
        "room": {name: {"own": 0.4, "oracle": 0.7} for name in ("in distribution", *further)},
        "bank": {
            "correct": [place < STATES // 2 for place in range(STATES)],
            "prompt": list(range(STATES)),
            "num_paired": 0,
            "accept": bank(rng, 0.5, 0.45) if blind else bank(rng, 0.9, 0.1),
        },
        "coefficients": {"grpo": grpo, "sft": sft},
        "credit_share": measure(0.3, 0.1),
    }
    counted = {"num_rollouts": 16, "correct": [4] * PROMPTS, "scored": [16] * PROMPTS, "lenient": None, "in_form": [15] * PROMPTS}
    return {**counted, "advice": {}, "strength": "undecided", "more": more}


def run_of(
    rng: np.random.Generator, cell: str, arm: str, seed: int, parts: Parts, tests: list[str], before: dict[str, Any], stops: float
) -> dict[str, Any]:
    """One line of `runs`; SFT and GRPO tell the counts before training for all."""
    own, names = parts[arm], ("in distribution", *tests)
    push = stops if arm.startswith("kl_reward") else 0.0
    after = counts(rng, START + sum(own), (0.7 + push, 0.4 + push))
    others: dict[str, Any] = {}
    if arm == "grpo":
        others = {f"square_{other}": {name: square(rng, parts[other], own) for name in names} for other in ("sft", "sft_masked")}
        others |= {"why_no_square_sft": "", "why_no_square_sft_masked": ""}
    more = {
        "before": before if arm in ("sft", "grpo") else None,
        "after": after,
        "num_shown": 2,
        "shown": [place < 2 for place in range(PROMPTS)],
        "num_trained_shown": 123,
        "further": {name: counts(rng, START + sum(own), (0.7 + push, 0.4 + push)) for name in tests},
        "bank": bank(rng, 0.7 + push, 0.3 + push),
        "square": {name: square(rng, (0.0, 0.0), own) for name in names},
        **others,
    }
    counted = {
        "before": before["right"],
        "after": after["right"],
        "num_rollouts": ROLLOUTS,
        "unique_prompts": 480,
        "unique_responses": 3_840,
    }
    logged = {"reward": [], "pass_rate": [], "num_live_prompts": [], "unique_live_prompts": 5, "first_live_step": 1, "kl_nats": [0.01]}
    spent = {"seconds": 10.0, "cpu_seconds": 9.0, "environment": 0, "status": "finished", "why": ""}
    tokens = {"passed": 300_000, "responses": 200_000, "trained": 100_000}
    return {"cell": cell, "arm": arm, "seed": seed, **counted, **logged, **spent, "tokens": tokens, "more": more}
