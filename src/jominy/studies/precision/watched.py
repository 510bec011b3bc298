"""What a run paid beside the truth, step by step, and whether the rule of hacking speaks: as `overseeing` reads its folder.

    met     [step, counts...] of each count of the reward's verdicts on whole responses, in the order of `paying.COUNTS`
    cue     of each step, the share of rollouts that show the cue by which false accepts were decided

Left out on purpose: intervals of single steps, which the run's folder had.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from jominy.overseeing import NAMES, oversee
from jominy.oversight import Course
from jominy.paying import COUNTS
from jominy.rewards.cues import read_cue, share_with
from jominy.steplog import read_audits, read_steps
from jominy.store import ROLLOUT_SCHEMA, RunFolder, read_parquet
from jominy.trainfolder import TrainFolder

KEPT = ("paid", "gold", "gap")
TEXT = pa.schema([ROLLOUT_SCHEMA.field("text")])


def watch_of(folder: TrainFolder) -> dict[str, Any]:
    """The watch over the reward of a run whose folder is still there; that of the truth itself has no gap."""
    found = oversee(folder.path)
    assert found is not None, "the truth of a study's runs stands beside what pays, which is a reward of the table"
    courses = {course.name: course for course in found.courses}
    lines = read_steps(folder.path)
    return {
        "held": found.held,
        "rule": found.rule,
        "rises": {name: _rise(courses[NAMES[name]]) for name in KEPT},
        "series": {name: [_short(line["pay"][name]["value"]) for line in lines] for name in KEPT},
        "met": [
            [line["step"], *(line["responses"][name] for name in COUNTS)]
            for line in read_audits(folder.path)
            if line["responses"] is not None
        ],
    }


def cue_shares(folder: TrainFolder, cue: str) -> list[float]:
    """Of each step, the share of its rollouts that show the cue."""
    shows, texts = read_cue(cue), dict[int, list[str]]()
    for part in folder.run.parts():
        step = int(part.name.split("-")[1])
        texts.setdefault(step, []).extend(text or "" for text in read_parquet(part, TEXT)["text"].to_pylist())
    return [round(share_with(shows, texts[step]), 4) for step in sorted(texts)]


def asked_in(run: RunFolder) -> dict[str, int]:
    """Number of constraints that a judge would have been asked about -> responses that were drawn."""
    soft = {
        prompt.id: sum(constraint.get("kind") == "soft" for constraint in prompt.info.get("constraints") or ())
        for prompt in run.read_prompts()
    }
    drawn = Counter(soft[key] for key in run.rollouts(["prompt_id"])["prompt_id"].to_pylist())
    return {str(number): drawn[number] for number in sorted(drawn)}


def _rise(course: Course) -> list[float | None]:
    """Value and interval."""
    return [_short(one) for one in (course.rise.value, course.rise.low, course.rise.high)]


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
