"""What the study of clarity measures beyond every study: clarity of the base model's answers, and pass rate and clarity along training.

    of a base    S, S', balanced S and AUROC of each prompt, None where it has not right and wrong answers, their null, and the model's;
                 the probabilities themselves; how a lab model came about
                 where a program reads its steps, errors and methods by the sign of S (`interpreting`)
    of a run     right answers of each held-out prompt, and the model's clarity, at each evaluation; the weights of each step

Probabilities are those of the policy that drew, at temperature 1. Left out: what the numbers mean.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from jominy.groups import Groups
from jominy.interpreting import interpret_path
from jominy.lab.building import LAB_FILE, build
from jominy.measures.clarity import Clarity, measure_clarity
from jominy.records import Floats, Ints, Measure
from jominy.specs import RunSpec
from jominy.steplog import read_evaluations, read_steps
from jominy.store import RunFolder, read_json
from jominy.studies.design import Cell, Settings
from jominy.tables import groups_of
from jominy.tasks.loading import load_task
from jominy.trainfolder import TrainFolder

SEED = 2601
"""Of the permutation null."""
NUM_PERMUTATIONS = 100


def more_of_base(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """Clarity of the model and of each prompt, in the order of the base's counts."""
    groups = groups_of(RunFolder(folder).rollouts())
    clarity = _clarity_of(groups)
    prompts = clarity.per_prompt
    columns = {
        "silhouette": prompts.silhouette_V,
        "rectified": prompts.rectified_V,
        "balanced": prompts.balanced_V,
        "auroc": prompts.auroc_V,
    }
    null = clarity.permuted
    nulls = {"null_mean": null.null_mean_W, "null_deviation": null.null_deviation_W, "null_negative": null.null_negative_W}
    told = {"interpretation": _told(folder)} if load_task(cell.task).read_steps else {}
    spread = {name: _spread(values_V, prompts.prompts_V, groups.num_prompts) for name, values_V in columns.items()}
    return {
        **told,
        "lab": None if cell.lab is None else _lab(cell),
        "model": {name: _plain(measure) for name, measure in {**_measures(clarity), "untruncated": clarity.untruncated}.items()},
        "prompts": spread | {name: _spread(values_W, null.prompts_W, groups.num_prompts) for name, values_W in nulls.items()},
        "probabilities": _probabilities(groups),
    }


def _lab(cell: Cell) -> dict[str, Any]:
    """How the cell's lab model came about: two orders that ended in one model would show."""
    assert cell.lab is not None
    made = read_json(build(cell.lab, quiet=True) / LAB_FILE)
    return {"name": made["name"], "reached": made["reached"], "pass_at_1": made["ability"]["pass_at_1"]} | {
        name: made["training"][name] for name in ("num_steps", "checks", "num_prompts")
    }


def _probabilities(groups: Groups) -> list[dict[str, list[float]]]:
    """P of each prompt's scored answers, ascending, right and wrong ones apart: S at fewer answers, and its null, follow from it."""
    assert groups.probability_N is not None
    bounds = zip(groups.offsets_P1[:-1], groups.offsets_P1[1:], strict=True)
    sides = {"right": groups.correct_N, "wrong": ~groups.correct_N}
    keep_N = groups.scored_N & np.isfinite(groups.probability_N)
    return [
        {
            name: np.sort(groups.probability_N[low:high][keep_N[low:high] & side_N[low:high]]).round(4).tolist()
            for name, side_N in sides.items()
        }
        for low, high in bounds
    ]


def _told(folder: Path) -> dict[str, Any]:
    """Severities and methods by the sign of S, and how far the signs differ."""
    [(_, found)] = interpret_path(folder, quiet=True)
    return {
        "parts": [
            {
                "part": errors.part,
                "num_wrong": errors.num_told,
                "codes": dict(errors.codes),
                "severities": [asdict(measure) for measure in errors.severities],
                "num_right": methods.num_told,
                "ratio": asdict(methods.of_two),
            }
            for errors, methods in zip(found.errors, found.methods, strict=True)
        ],
        "contrasts": [asdict(contrast) for contrast in found.contrasts],
        "high_on_negative": asdict(found.high_on_negative),
        "wrong_on_negative": asdict(found.wrong_on_negative),
        "notes": list(found.notes),
    }


def more_of_run(folder: TrainFolder, spec: RunSpec) -> dict[str, Any]:
    """Each evaluation, the start's first, and what the weights did in each step."""
    at = [line["step"] for line in read_evaluations(folder.path)]
    steps = [{name: _rounded(line[name]) for name in ("group_weights", "clip_share", "grad_norm")} for line in read_steps(folder.path)]
    return {"evaluations": [{"step": step, **_evaluation(folder.evaluation(step))} for step in at], "steps": steps}


def _rounded(value: Any) -> Any:
    """A number, or a record of numbers, to four digits."""
    return {name: _rounded(part) for name, part in value.items()} if isinstance(value, dict) else _short(value)


def _evaluation(folder: RunFolder) -> dict[str, Any]:
    groups = groups_of(folder.rollouts())
    places = {key: place for place, key in enumerate(groups.prompt_ids or ())}
    right_P = groups.num_correct_P()
    clarity = _clarity_of(groups)
    return {
        "right": [int(right_P[places[prompt.id]]) for prompt in folder.read_prompts()],
        **{name: _short(measure.value) for name, measure in _measures(clarity).items()},
    }


def _clarity_of(groups: Groups) -> Clarity:
    return measure_clarity(groups, np.random.default_rng(SEED), num_permutations=NUM_PERMUTATIONS)


def _measures(clarity: Clarity) -> dict[str, Measure]:
    """What is kept of a model."""
    return {
        "coverage": clarity.coverage,
        "silhouette": clarity.silhouette,
        "rectified": clarity.rectified,
        "balanced": clarity.balanced,
        "auroc": clarity.auroc,
        "null_silhouette": clarity.null_silhouette,
        "negative": clarity.negative,
        "null_negative": clarity.null_negative,
        "pooled_z": clarity.pooled_z,
    }


def _plain(measure: Measure) -> dict[str, float | None]:
    """Value and interval, to four digits."""
    return {name: _short(value) for name, value in (("value", measure.value), ("low", measure.low), ("high", measure.high))}


def _spread(values_V: Floats, prompts_V: Ints, num_prompts: int) -> list[float | None]:
    """[P] the values at their prompts, None elsewhere."""
    found: list[float | None] = [None] * num_prompts
    for place, value in zip(prompts_V.tolist(), values_V.tolist(), strict=True):
        found[place] = _short(value)
    return found


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
