"""What the study of precision measures beyond every study; which part of it a cell gets is in its settings and its group.

    of a base    judges      verdicts of the model on constraints whose truth code knows, and its price      (`judging`)
                 further     right responses to each further prompt before training, and their constraint types
                 unasked     the same without the constraint said: how often it is met by whoever does not know of it
                 pool        which prompts were refined away, and what the pilot took                        (`pooling`)
                 trained_on  arm -> a hash of its prompts, so that no other prompts take their place unseen
    of a run     watch       what was paid beside the truth, step by step, and the rule of hacking           (`watched`)
                 further, unasked    the same after training
                 spent       seconds by what they went into, and what a judge would have been asked
                 evaluations right responses to each held-out prompt along training
                 attention   where responses look, before and after                                          (`attending`)

    OUT/base/further-HASH.json    right responses of one start to one set of further prompts, once for all cells that share them

Responses to further prompts are drawn with one seed for all policies and graded by code. Left out: what the numbers mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jominy.engines import ContinuingEngine
from jominy.engines.local import LocalEngine
from jominy.records import Message, Prompt, Sampling
from jominy.steplog import read_evaluations, read_steps
from jominy.store import SCHEMA_VERSION, read_json, write_json
from jominy.studies.design import Cell, Settings
from jominy.studies.measuring import start_of
from jominy.studies.precision.attending import attention_of, hiding_of
from jominy.studies.precision.design import CUES, FILES, JUDGE_ALL, TRUE
from jominy.studies.precision.judging import judge_of
from jominy.studies.precision.pooling import make_pool
from jominy.studies.precision.watched import asked_in, cue_shares, watch_of
from jominy.studies.study import Ended
from jominy.tables import groups_of
from jominy.tasks.loading import load_task
from jominy.trainfolder import TrainFolder

FURTHER_SEED = 7_000_029
"""Of further prompts and the draws on them: the same for every policy, and no run's."""
LOOKED_AT = (TRUE, JUDGE_ALL)
"""Arms whose attention is looked at: the one that the paper speaks of, and training that is like it but for what pays."""
HIDDEN_FROM = TRUE
"""The arm from whose policies stretches are hidden; no claim asks it of the other one."""


def more_of_base(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """What is measured before anybody is trained."""
    found: dict[str, Any] = {}
    if settings.audit_pairs:
        found["judges"] = judge_of(folder, cell, settings)
    if cell.further:
        found |= further_of_start(folder.parent, start_of(cell), cell.further, settings)
        found["types"] = {name: [prompt.info["types"][0] for prompt in prompts_of(task, settings)] for name, task in cell.further.items()}
    if settings.pilot_prompts:
        found["pool"] = make_pool(folder, cell, settings)
        found["trained_on"] = {arm: _hash_of(folder / file) for arm, file in FILES.items()}
    return found


def _hash_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def more_of_run(ended: Ended) -> dict[str, Any]:
    """What is measured on a trained policy and on the way to it."""
    cell, settings = ended.cell, ended.settings
    cue = CUES.get(cell.group)
    found: dict[str, Any] = {
        "watch": watch_of(ended.folder),
        "cue": None if cue is None else cue_shares(ended.folder, cue.cue),
        **further_of(ended.trained, cell.further, settings),
        "spent": spent_of(ended.folder),
        "evaluations": evaluations_of(ended.folder),
    }
    if settings.attention_prompts and ended.arm.name in LOOKED_AT:
        found["attention"] = attention_of(start_of(cell), ended.trained, cell.further, settings)
        if ended.arm.name == HIDDEN_FROM:
            for name, passes in hiding_of(start_of(cell), ended.trained, cell.further, settings).items():
                found["attention"][name]["passes"] = passes
    return found


def further_of_start(bases: Path, model: str, further: Mapping[str, str], settings: Settings) -> dict[str, dict[str, list[int]]]:
    """`further_of` of a policy that nobody has trained, drawn once for all cells that start from it and share the further prompts.

    Args:
        bases: the folder of all bases.
        model: the start.
        further: name -> task.
        settings: how much to draw.
    """
    asked = {
        "model": model,
        "further": dict(further),
        "prompts": settings.further_prompts,
        "rollouts": settings.further_rollouts,
        "max_tokens": settings.max_tokens,
        "seed": FURTHER_SEED,
    }
    file = bases / f"further-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]}.json"
    if file.is_file():
        known: dict[str, dict[str, list[int]]] = read_json(file)["found"]
        return known
    found = further_of(LocalEngine.load(model), further, settings)
    write_json(file, {"schema_version": SCHEMA_VERSION, "asked": asked, "found": found})
    return found


def further_of(engine: ContinuingEngine, further: Mapping[str, str], settings: Settings) -> dict[str, dict[str, list[int]]]:
    """`further`: name -> [P] right responses of `further_rollouts` to each prompt; `unasked`: the same to the bare requests.

    Names are of the form `types, words`, and the bare requests do not depend on the words: they are drawn once for all of them.
    """
    asked, unasked, bare = {}, {}, dict[str, list[int]]()
    for name, task in further.items():
        prompts, types = prompts_of(task, settings), name.partition(",")[0]
        asked[name] = _right(engine, task, prompts, prompts, settings)
        if types not in bare:
            bare[types] = _right(engine, task, prompts, [unsaid(prompt) for prompt in prompts], settings)
        unasked[name] = bare[types]
    return {"further": asked, "unasked": unasked}


def prompts_of(task: str, settings: Settings) -> list[Prompt]:
    """The further prompts of a task."""
    return load_task(task).prompts(settings.further_prompts, FURTHER_SEED)


def unsaid(prompt: Prompt) -> Prompt:
    """The request without its constraints."""
    return replace(prompt, messages=(Message(role="user", content=prompt.info["base"]),))


def _right(engine: ContinuingEngine, task_name: str, prompts: Sequence[Prompt], shown: Sequence[Prompt], settings: Settings) -> list[int]:
    """[P] responses to what is shown that are right by what the prompts ask."""
    task, by_id = load_task(task_name), {prompt.id: prompt for prompt in prompts}
    right = dict.fromkeys(by_id, 0)
    for group in engine.sample(shown, settings.further_rollouts, Sampling(max_tokens=settings.max_tokens), FURTHER_SEED):
        for rollout in group:
            value = task.reward(by_id[rollout.prompt_id], rollout.text).value
            right[rollout.prompt_id] += value is not None and value >= 1
    return list(right.values())


def spent_of(folder: TrainFolder) -> dict[str, Any]:
    """Seconds of all steps, and the questions about soft constraints of all responses that were drawn."""
    lines = read_steps(folder.path)
    seconds = {name: round(sum(line[f"{name}_s"] for line in lines), 3) for name in ("sampling", "grading", "update")}
    return {"seconds": seconds, "asked": asked_in(folder.run)}


def evaluations_of(folder: TrainFolder) -> list[dict[str, Any]]:
    """Each evaluation, the start's first."""
    found = []
    for line in read_evaluations(folder.path):
        evaluation = folder.evaluation(line["step"])
        groups = groups_of(evaluation.rollouts())
        right = dict(zip(groups.prompt_ids or (), groups.num_correct_P().tolist(), strict=True))
        found.append({"step": line["step"], "right": [right[prompt.id] for prompt in evaluation.read_prompts()]})
    return found
