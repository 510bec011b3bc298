"""Made-up results of the study of precision at full scale, with planted gains, errors, looks and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jominy.studies.precision import design, judging, measuring
from jominy.studies.precision.attending import CONSTRAINT, IRRELEVANT_ONE, NEUTRAL
from jominy.studies.precision.design import (
    CONDITIONS,
    FULL_MIX,
    HARD_BLIND,
    HARD_CODE,
    HARD_JUDGE,
    LAB_GROUPS,
    MIX_FULL,
    MIX_REFINED,
    MIXED_JUDGE,
    REFINED,
    SOFT_CODE,
    SOFT_JUDGE,
    TRUE,
)
from jominy.studies.results import read_results

START = 0.3
PRICES = {"1": [0.09, 0.11, 0.1, 0.1, 0.1], "2": [0.2, 0.21, 0.19, 0.2, 0.2], "3": [0.4, 0.4, 0.38, 0.42, 0.4]}
"""Seconds a question in five rounds: 0.1, 0.2 and 0.4, and a spread."""
ASKED = {FULL_MIX: {"0": 40, "1": 260, "2": 240, "3": 100}, REFINED: {"0": 40, "1": 600}}
"""Of a run's 20 x 4 x 8 responses, by how many constraints a judge is asked about."""
AS_CLAIMED: Mapping[str, float] = {
    HARD_CODE: 0.40,
    HARD_JUDGE: 0.15,
    HARD_BLIND: 0.0,
    MIXED_JUDGE: 0.15,
    SOFT_CODE: 0.20,
    SOFT_JUDGE: 0.0,
    MIX_FULL: 0.15,
    MIX_REFINED: 0.40,
}
CONTRARY: Mapping[str, float] = {
    HARD_CODE: -0.25,
    HARD_JUDGE: 0.1,
    HARD_BLIND: 0.3,
    MIXED_JUDGE: 0.15,
    SOFT_CODE: 0.1,
    SOFT_JUDGE: 0.3,
    MIX_FULL: 0.25,
    MIX_REFINED: 0.05,
}


@dataclass(frozen=True)
class Planted:
    """What the made-up results say."""

    further: Mapping[str, float] = field(default_factory=lambda: AS_CLAIMED)
    anyway: float = 0.0
    """Part of a gain on further prompts that the bare requests gain as well."""
    full_gain: float = 0.5
    cue_cost: float = 0.3
    """By which false accepts by a cue gain less than others at their rate."""
    reject_lead: float = 0.15
    held: tuple[str, str] = ("holds", "rises alone")
    """Of runs without a cue and with one."""
    seconds: tuple[float, float] = (200.0, 60.0)
    """Of a run on all prompts, and on refined ones."""
    look: float = 0.4
    """By how much attention to the constraint rises more than to the controls, where code pays."""
    look_anyway: float = 0.1
    """The same where the judge pays."""
    cue_end: float = 0.5
    """Share of the responses that show the cue at the end; at the start it is 0.1."""
    hidden: float = 0.8
    """Passes of the trained policy that hiding the constraint costs."""
    misses: float = 0.8
    """Violations that the judge lets pass in one call."""
    sees: float = 0.6
    """Of those, seen when asked one at a time."""
    refuses: float = 0.0
    """Prompts of which everything is refused when asked one at a time."""
    harder: bool = True
    """Whether no violation is seen among three."""
    lean: float = 0.0
    """Nats by which everything is said to be violated: what the judge knows stays as it is."""


def planted(tmp: Path, how: Planted | None = None) -> dict[str, Any]:
    """Results at full scale."""
    how, rng = how or Planted(), np.random.default_rng(0)
    full = design.design("full")
    results = read_results(tmp, full) | {"environments": [{"python": "3.11"}], "runs": []}
    skipped = {(pair["cell"], pair["arm"]) for pair in results["not_defined"]}
    titles = {(one.group, one.arm): one.title for one in CONDITIONS}
    for cell in results["cells"]:
        settings = full.settings[cell["group"]]
        cell["base"] = base_of(rng, cell, settings, how)
        for seed in cell["seeds"]:
            before = rng.binomial(settings.eval_rollouts, START, size=settings.eval_prompts)
            for arm in results["arms"]:
                if (cell["name"], arm["name"]) not in skipped:
                    title = titles.get((cell["group"], arm["name"]))
                    gain = grid_gain(arm["name"], how) if title is None else how.further[title]
                    results["runs"].append(run_of(rng, cell, arm["name"], seed, settings, before, gain, how))
    return results


def grid_gain(arm: str, how: Planted) -> float:
    """By hand: the factor 1 - rate of the full gain; a cue costs on top."""
    if arm == TRUE:
        return how.full_gain
    if arm == design.MATCHED:
        return 0.18 * how.full_gain
    kind, rate = arm.split("_")[:2]
    gain = how.full_gain * (1 - int(rate) / 100)
    return gain - how.cue_cost if kind == "cue" else gain + how.reject_lead if kind == "reject" else gain


def base_of(rng: np.random.Generator, cell: Any, settings: Any, how: Planted) -> dict[str, Any]:
    counts = {"num_rollouts": 8, "correct": rng.binomial(8, START, size=16).tolist(), "scored": [8] * 16}
    more: dict[str, Any] = {}
    if cell["group"] == "judges":
        told = [judged(mode, answers, how) for mode, answers in judging.WAYS]
        more["judges"] = {"told": told, "prices": PRICES}
    if cell.get("further"):
        size = settings.further_prompts
        for what in ("further", "unasked"):
            more[what] = {name: [round(settings.further_rollouts * START)] * size for name in cell["further"]}
        types = {name: design.SEEN if name.startswith("seen") else design.UNSEEN for name in cell["further"]}
        more["types"] = {name: list(of) * (size // len(of)) for name, of in types.items()}
    if cell["group"] == "refine":
        pilot = {
            "seconds": {"drawing": 18.0, "grading": 2.0},
            "num_responses": 256,
            "num_never_right": 9,
            "asked": {"0": 16, "1": 120, "2": 80, "3": 40},
        }
        kinds = {FULL_MIX: {"soft": 100, "hard": 40}, REFINED: {"soft": 60, "hard": 38}}
        more["pool"] = {"num_prompts": 64, "num_learnable": 62, "num_refined": 60, "why": {"cut": 40}, "constraints": kinds, "pilot": pilot}
    return {**counts, "lenient": None, "in_form": [8] * 16, "advice": {}, "strength": "undecided", "more": more}


def judged(mode: str, answers: str, how: Planted) -> dict[str, Any]:
    """A satisfied and a violated response to each of 120 prompts with two constraints, and of 60 with one and with three.

    Chosen, everything is read; in its own words, every second prompt is unread. Own responses are right and accepted, probes refused.
    """
    counts = [2] * 120 + [1] * 60 + [3] * 60
    rows = []
    for prompt, count in enumerate(counts):
        passes = (prompt % 10) < round(10 * how.misses)
        if count == 3 and how.harder:
            passes = True
        if passes and count > 1 and mode == "pointwise":
            passes = (prompt // 10 % 10) >= round(10 * how.sees)
        for violated in (False, True):
            response = 2 * prompt + violated
            for place in range(count):
                wrong = violated and place == 0
                refused = mode == "pointwise" and prompt % 20 < round(20 * how.refuses)
                odds = -2.0 if refused or (wrong and not passes) else 2.0
                rows.append(entry(wrong, odds - how.lean, answers, place, count, prompt, response))
    own = [entry(False, 2.0, answers, place, 2, prompt, prompt) for prompt in range(16) for place in range(2)]
    probes = [entry(True, -2.0, answers, 0, 1, prompt, prompt) for prompt in range(20)]
    sources = {"pairs": columns(rows), **({"run": columns(own), "probe": columns(probes)} if answers == "choice" else {})}
    return {"judge": "SmolLM2", "mode": mode, "answers": answers, "sources": sources, "notes": {}}


def entry(wrong: bool, odds: float, answers: str, place: int, count: int, prompt: int, response: int) -> tuple[Any, ...]:
    said, kept = int(odds >= 0), odds
    if answers == "free":
        return (int(not wrong), -1 if prompt % 2 else said, None, place, count, prompt, response, prompt % 2)
    return (int(not wrong), said, kept, place, count, prompt, response, prompt % 2)


def columns(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    names = ("truth", "said", "odds", "type", "count", "prompt", "response", "soft")
    found = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return {**found, "types": ["title", "question", "no_commas"], "ids": [f"prompt {prompt}" for prompt in range(max(found["prompt"]) + 1)]}


def run_of(
    rng: np.random.Generator, cell: Any, arm: str, seed: int, settings: Any, before: Any, gain: float, how: Planted
) -> dict[str, Any]:
    reached = float(np.clip(START + gain + rng.normal(0, 0.005), 0, 1))
    ways = [rng.binomial(settings.eval_rollouts, START + (reached - START) * part, size=settings.eval_prompts) for part in (0.5, 1.0)]
    evaluations: list[dict[str, Any]] = [
        {"step": step, "right": way.tolist()} for step, way in zip((0, 10, 20), (before, *ways), strict=True)
    ]
    rises = {"paid": [0.3, 0.2, 0.4], "gold": [0.0, -0.1, 0.1], "gap": [0.3, 0.2, 0.4]}
    watch: dict[str, Any] = {
        "held": how.held[arm.startswith("cue")],
        "rule": "",
        "rises": rises,
        "series": {"paid": [0.3, 0.5], "gold": [0.3, 0.3]},
        # true accepts, false accepts, false rejects, true rejects, unscored
        "met": [[1, 30, 10, 0, 88, 0], [10, 30, 40, 0, 58, 0]],
    }
    seconds = how.seconds[arm == REFINED] * (1 + 0.01 * seed)
    spent = {"seconds": {"sampling": seconds, "grading": 0.0, "update": 0.0}, "asked": ASKED.get(arm, {"0": 640})}
    more: dict[str, Any] = {"watch": watch, "spent": spent, "evaluations": evaluations}
    more["cue"] = [0.1, how.cue_end + 0.01 * seed] if cell["group"] in LAB_GROUPS else None
    size = settings.further_prompts
    bare = START + (reached - START) * how.anyway
    for what, rate in (("further", reached), ("unasked", bare)):
        more[what] = {name: rng.binomial(settings.further_rollouts, rate, size=size).tolist() for name in cell.get("further", {})}
    if cell["group"] == "hard" and arm in measuring.LOOKED_AT:
        looks = how.look if arm == TRUE else how.look_anyway
        more["attention"] = {name: look_of(rng, settings.attention_prompts, looks, how.hidden) for name in cell["further"]}
        if arm != measuring.HIDDEN_FROM:
            for look in more["attention"].values():
                del look["passes"]
    counted = {"before": before.tolist(), "after": ways[-1].tolist(), "num_rollouts": settings.eval_rollouts, "kl_nats": [0.01]}
    logged = {"reward": [], "pass_rate": [], "num_live_prompts": [], "unique_live_prompts": 5, "first_live_step": 1}
    place = {"seconds": 10.0, "cpu_seconds": 9.0, "environment": 0, "status": "finished", "why": ""}
    return {"cell": cell["name"], "arm": arm, "seed": seed, **counted, **logged, **place, "more": more}


def look_of(rng: np.random.Generator, num_prompts: int, look: float, hidden_share: float) -> dict[str, Any]:
    before = rng.uniform(0.8, 1.2, size=(3, num_prompts))
    after = before + rng.normal(0.1, 0.02, size=before.shape)
    after[0] += look
    corrected = {name: [before[at].tolist(), after[at].tolist()] for at, name in enumerate((CONSTRAINT, NEUTRAL, IRRELEVANT_ONE))}
    open_P = [1.0] * num_prompts
    hidden = [0.0 if place < hidden_share * num_prompts else 1.0 for place in range(num_prompts)]
    passes = {
        "start": {"open": open_P, CONSTRAINT: open_P, NEUTRAL: open_P},
        "trained": {"open": open_P, CONSTRAINT: hidden, NEUTRAL: open_P},
    }
    return {"corrected": corrected, "heads": {CONSTRAINT: [0.2, 0.1]}, "passes": passes}
