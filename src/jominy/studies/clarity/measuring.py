"""What the study of clarity measures beyond every study: clarity of the base model's answers, and pass rate and clarity along training.

    of a base    S, S', balanced S and AUROC of each prompt, None where it has not right and wrong answers, and the model's
                 where a program reads its steps, errors and methods by the sign of S (`interpreting`)
    of a run     right answers of each held-out prompt, and the model's clarity, at each evaluation

Probabilities are those of the policy that drew, at temperature 1. Left out: what the numbers mean.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from jominy.groups import Groups
from jominy.interpreting import interpret_path
from jominy.measures.clarity import Clarity, measure_clarity
from jominy.records import Floats, Ints, Measure
from jominy.specs import RunSpec
from jominy.steplog import read_evaluations
from jominy.store import RunFolder
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
    told = {"interpretation": _told(folder)} if load_task(cell.task).read_steps else {}
    return {
        **told,
        "model": {name: _plain(measure) for name, measure in _measures(clarity).items()},
        "prompts": {name: _spread(values_V, prompts.prompts_V, groups.num_prompts) for name, values_V in columns.items()},
    }


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
                "ratio": asdict(methods.at_common_number),
            }
            for errors, methods in zip(found.errors, found.methods, strict=True)
        ],
        "contrasts": [asdict(contrast) for contrast in found.contrasts],
    }


def more_of_run(folder: TrainFolder, spec: RunSpec) -> dict[str, Any]:
    """One entry for each evaluation, the start's first."""
    steps = [line["step"] for line in read_evaluations(folder.path)]
    return {"evaluations": [{"step": step, **_evaluation(folder.evaluation(step))} for step in steps]}


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
