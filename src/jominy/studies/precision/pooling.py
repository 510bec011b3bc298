"""The prompts that one arm trains on as they are and another as `jominy refine` leaves them, with a pilot of the start.

    OUT/base/CELL/full_mix.jsonl    `pilot_prompts` prompts of the cell's task          OUT/base/CELL/refined/    what `refine` made of them

The pilot is paid as training pays: by the simulated judge, which lets most violations pass, so that few prompts go for not being learnable;
how many would have gone had code paid is kept beside.
Left out on purpose: an audit that says which soft constraint to trust; the simulated judge trusts all types alike, so the one that stays
is drawn.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from jominy.refined import Refined
from jominy.refining import refine
from jominy.refining.filing import checked_prompts, filing_of
from jominy.refining.piloting import PILOT_FOLDER
from jominy.specs.refining import PilotSpec, RefineSpec, SimplifySpec
from jominy.store import RunFolder
from jominy.studies.design import Cell, Settings
from jominy.studies.measuring import start_of
from jominy.studies.precision.design import BATCH, FULL_MIX, REFINED
from jominy.studies.precision.watched import asked_in
from jominy.tasks.loading import load_task

SEED = 7_000_037
"""Of the pool and of the pilot's draws."""
MOST_SOFT = 1


def make_pool(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """Writes both files; says what went and what the pilot took.

    Args:
        folder: of the cell's base.
        cell: model and task.
        settings: how many prompts, and responses each in the pilot.

    Raises:
        ValueError: nothing is left.
    """
    spec = RefineSpec(
        task=cell.task,
        prompts=settings.pilot_prompts,
        seed=SEED,
        drawing=PilotSpec(
            model=start_of(cell), reward=BATCH.reward("soft"), epochs=1, rollouts=settings.pilot_rollouts, max_tokens=settings.max_tokens
        ),
        simplify=SimplifySpec(max_soft=MOST_SOFT),
    )
    refined = refine(spec, folder / REFINED, quiet=True)
    task = load_task(cell.task)
    with checked_prompts(folder, task.prompts(spec.prompts, spec.seed), task, filing_of(spec, task)) as aside:
        os.replace(aside, folder / f"{FULL_MIX}.jsonl")
    return counts_of(refined, asked_in(RunFolder(folder / REFINED / PILOT_FOLDER)))


def counts_of(refined: Refined, asked: dict[str, int]) -> dict[str, Any]:
    """What results.json keeps of a refined set.

    Args:
        refined: as `refine` tells it.
        asked: of the pilot, as `asked_in` counts.
    """
    assert refined.pilot is not None, "it had one"
    learnability = next(step for step in refined.steps if step.name == "learnability")
    given, kept = Counter[str](), Counter[str]()
    for one in refined.types:
        given[one.kind] += one.given
        kept[one.kind] += one.kept
    return {
        "num_prompts": refined.num_given,
        "num_learnable": learnability.num_out,
        "num_refined": refined.num_kept,
        "why": {f"{step.name}: {why}": count for step in refined.steps for why, count in step.reasons.items()},
        "constraints": {FULL_MIX: dict(given), REFINED: dict(kept)},
        "pilot": {
            "seconds": {name: round(seconds, 3) for name, seconds in refined.pilot.seconds.items()},
            "num_responses": refined.pilot.num_rollouts,
            "num_never_right": refined.pilot.num_never_right,
            "asked": asked,
        },
    }
