"""What the model of a cell can do before any arm: rollouts on prompts that no run trains on by seed, and what follows from them.

    correct_p, scored_p    right and judged responses, as the runs are judged
    lenient_p              right ones wherever the answer stands (`rewards.forms`); None where the task has no lenient grader
    in_form_p              responses that the reward `format` would pay
    advice, strength       what `diagnose` says of the same rollouts

    start.json             all of that, of a base that a study checks: a check that refuses it costs no second measurement

The rollouts appear in their folder whole or not at all: one-example runs choose from them.
LIMIT: start.json knows settings and machine and not the code; where what is measured changes, a folder with bases is to be left.
Left out: what the numbers mean.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jominy.alignment import strength
from jominy.diagnosis import diagnose_path
from jominy.evidence import gather
from jominy.lab import build
from jominy.records import Prompt, Rollout, Task
from jominy.rewards.boundary import Grader
from jominy.rewards.forms import LENIENT, Forms
from jominy.rewards.gates import gate_of
from jominy.sampling import sample
from jominy.specs import DiagnosisSpec, SampleSpec
from jominy.store import SCHEMA_VERSION, RunFolder, read_json, write_json
from jominy.studies.design import Cell, Settings
from jominy.tables import groups_of
from jominy.tasks.loading import load_task
from jominy.thresholds import thresholds_with

BASE_SEED = 7_000_003
"""Of the prompts on which base models are measured: no run draws with it."""
START_FILE = "start.json"


def start_of(cell: Cell) -> str:
    """What is loaded: a name, or the folder of a lab model, which is made when it is not there."""
    return cell.model if cell.lab is None else str(build(cell.lab, quiet=True))


def measure_base(cell: Cell, settings: Settings, scratch: Path, folder: Path) -> dict[str, Any]:
    """Right and judged responses of each prompt, and the advice.

    Args:
        cell: model and task.
        settings: how much to draw.
        scratch: a folder to work in.
        folder: where the rollouts are kept; replaced.
    """
    drawn = RunFolder(scratch / f"base-{cell.folder}")
    spec = SampleSpec(
        task=cell.task,
        model=start_of(cell),
        prompts=settings.base_prompts,
        rollouts=settings.base_rollouts,
        max_tokens=settings.max_tokens,
        seed=BASE_SEED,
    )
    sample(spec, drawn.path, quiet=True)
    reading = DiagnosisSpec(group_size=settings.rollouts)
    diagnosis = diagnose_path(drawn.path, reading)
    groups = groups_of(drawn.rollouts())
    found = {
        "device": drawn.read_run()["device"],
        "num_rollouts": settings.base_rollouts,
        "correct": groups.num_correct_P().tolist(),
        "scored": groups.num_scored_P().tolist(),
        **by_form(drawn, load_task(cell.task), groups.prompt_ids or ()),
        "advice": {advice.recipe: advice.fit for advice in diagnosis.advice},
        "strength": strength(gather(groups, reading, None), thresholds_with({})),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    drawn.path.rename(folder)
    return found


def keep_start(folder: Path, asked: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Keeps what was measured beside its rollouts, and goes with them.

    Args:
        folder: with the rollouts of a base.
        asked: what was to be measured, as plain values.
        found: what came of it.
    """
    write_json(folder / START_FILE, {"schema_version": SCHEMA_VERSION, "asked": dict(asked), "base": dict(found)})


def read_start(folder: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was kept; None where nothing was, or other things were asked."""
    if not (folder / START_FILE).is_file():
        return None
    there = read_json(folder / START_FILE)
    base: dict[str, Any] = there["base"]
    return base if there["asked"] == asked else None


def by_form(folder: RunFolder, task: Task, order: Sequence[str]) -> dict[str, list[int] | None]:
    """`lenient` and `in_form`: responses of each prompt in `order`, those of `folder` judged again."""
    prompts = {prompt.id: prompt for prompt in folder.read_prompts()}
    pairs = [(prompts[rollout.prompt_id], rollout) for rollout in _rollouts(folder)]
    has_form = gate_of("format", "task", task).has_form
    in_form = Counter(prompt.id for prompt, rollout in pairs if has_form(prompt, rollout))
    return {"lenient": _lenient(task, pairs, order), "in_form": [in_form[key] for key in order]}


def _lenient(task: Task, pairs: Sequence[tuple[Prompt, Rollout]], order: Sequence[str]) -> list[int] | None:
    if task.lenient is None:
        return None
    with Grader(Forms.of(task)) as grader:
        rewards = grader.grade([(prompt, rollout.text) for prompt, rollout in pairs])
    right = Counter(prompt.id for (prompt, _), reward in zip(pairs, rewards, strict=True) if reward.parts.get(LENIENT, 0.0) >= 1)
    return [right[key] for key in order]


def _rollouts(folder: RunFolder) -> list[Rollout]:
    """As far as a form looks at them: without tokens."""
    columns = ["prompt_id", "index", "text", "stop", "policy", "temperature", "top_p", "seed"]
    return [
        Rollout(**row, token_ids=np.zeros(0, dtype=np.int64), logprobs=None, logprobs_t1=None)
        for row in folder.rollouts(columns).to_pylist()
    ]
