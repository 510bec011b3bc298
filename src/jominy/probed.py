"""What a run folder says beyond its rewards: its texts judged strictly and leniently, and the probes that lie in it.

    RUN + its task                    ->  strict and lenient right answers of each prompt
    RUN/probes/few_shot               ->  strict right answers behind solved examples
    RUN/probes/contamination-40 ...   ->  continuations of the prompts' beginnings, and of fresh ones
    RUN/probes/eval                   ->  groups of another task

Whatever is not there is named with what it takes. A task of somebody's own code is imported only when the caller asked for it by name:
reading a folder must not run what the folder names.
LIMIT: at most 20,000 texts are judged again, whole prompts from the first on; prompts are drawn in random order, so these are a sample.
Left out: drawing the probes (`probing`), and what they mean (`alignment`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jominy.evidence import ALIGNMENT_K, NOT_PROBED, Probed
from jominy.groups import Groups
from jominy.measures.contamination import PERCENTS, Contamination, Continued, measure_contamination
from jominy.measures.formatgap import Counts, FormatGap, measure_format_gap
from jominy.measures.passk import powers_of_two
from jominy.progress import stage
from jominy.records import Prompt, Reward, Task
from jominy.rewards.boundary import Grader
from jominy.rewards.forms import LENIENT, Forms
from jominy.rewards.spurious import names_reward
from jominy.store import RunFolder
from jominy.tables import groups_of, read_rollouts
from jominy.tasks.loading import FILE_SUFFIXES, TASKS, load_task

MOST_JUDGED = 20_000
FEW_SHOT, EVAL, PROBE_OF, FOLLOWS = "few_shot", "eval", "probe_of", "probe_follows"
"""Names of folders, and of what their prompts' `info` says: the id of the prompt behind it, and the words that really follow."""
NO_FEW_SHOT = "`jominy diagnose --probe few_shot`, which samples the prompts behind solved examples"


def contamination_folder(percent: int, *, fresh: bool) -> str:
    """The name of a probe's folder.

    >>> contamination_folder(60, fresh=True)
    'contamination-60-fresh'
    """
    return f"contamination-{percent}{'-fresh' * fresh}"


def read_probes(path: Path, run: Mapping[str, Any], success: float, *, own_code: bool = False, quiet: bool = True) -> Probed:
    """The evidence beyond the rewards of a run folder.

    Args:
        path: the run folder.
        run: its `run.json`.
        success: from which reward on a response is right.
        own_code: whether a task or reward of somebody's own code may be imported; True where the user has just named it.
        quiet: no line that says what goes on.

    Raises:
        ValueError: a probe's folder is broken; names the file.
    """
    folder = RunFolder(path)
    missing: dict[str, str] = {}
    contamination = read_contamination(folder)
    if contamination is None:
        missing["contamination"] = NOT_PROBED["contamination"]
    task, why = task_of(run["spec"], own_code=own_code)
    gap = None
    if task is None:
        missing["format-gap"] = why
    else:
        with stage("judging the texts again, strictly and leniently", quiet=quiet):
            gap = read_format_gap(folder, task, success)
        if gap is None:
            missing["format-gap"] = f"a task with a lenient grader (`Task.lenient`), which {task.name} has not, or {NO_FEW_SHOT}"
    evaluation = folder.probe(EVAL)
    has_evaluation = bool(evaluation.exists() and evaluation.parts())
    return Probed(
        format_gap=gap,
        contamination=contamination,
        evaluation=_groups_in(evaluation, success) if has_evaluation else None,
        evaluation_task=str(evaluation.read_run()["spec"].get("task", "")) if has_evaluation else "",
        missing=missing,
    )


def _groups_in(folder: RunFolder, success: float) -> Groups:
    return groups_of(read_rollouts(folder.path), success, path=folder.path)


def task_of(spec: Mapping[str, Any], *, own_code: bool) -> tuple[Task | None, str]:
    """The task that a run was drawn from, or None and what is missing."""
    named, reward = spec.get("task"), spec.get("reward")
    if not isinstance(named, str) or "recipe" in spec:
        return None, NOT_PROBED["format-gap"]
    is_file = Path(named).suffix in FILE_SUFFIXES and named.partition(":")[0] not in TASKS
    # The reward of a file of prompts is its truth, unless the reward is one of ours that asks the task for the truth.
    of_file = reward if is_file and isinstance(reward, str) and not names_reward(reward) else None
    if not own_code and (of_file is not None or (not is_file and named.partition(":")[0] not in TASKS)):
        return None, f"the task {named}, whose code is imported only when the same command samples with --task"
    try:
        return load_task(named, reward=of_file, target_column=spec.get("target_column")), ""
    except ValueError as error:
        return None, f"the task {named}, which cannot be loaded here: {str(error).splitlines()[0]}"


def read_format_gap(folder: RunFolder, task: Task, success: float) -> FormatGap | None:
    """pass@k by form; None where the task has no lenient grader and no few-shot probe was drawn."""
    few_shot = folder.probe(FEW_SHOT)
    if task.lenient is None and not few_shot.parts():
        return None
    prompts = [prompt for prompt in folder.read_prompts() if not prompt.raw]
    ids, rewards = _judged_again(folder, task, prompts)
    if not ids:
        return None
    order = list(dict.fromkeys(ids))
    strict_N = [reward.value is not None and reward.value >= success for reward in rewards]
    lenient_N = [reward.parts.get(LENIENT, 0.0) >= success for reward in rewards]
    scored_N = [reward.value is not None for reward in rewards]
    strict = Counts(num_scored_P=_count(ids, scored_N, order), num_right_P=_count(ids, strict_N, order))
    lenient = Counts(num_scored_P=strict.num_scored_P, num_right_P=_count(ids, lenient_N, order))
    largest = powers_of_two(min(ALIGNMENT_K, max(1, int(np.median(strict.num_scored_P)))))[-1]
    return measure_format_gap(
        (1, largest) if largest > 1 else (1,),
        strict,
        None if task.lenient is None else lenient,
        _few_shot_counts(few_shot, order, success) if few_shot.parts() else None,
        why_no_lenient=f"the task {task.name} has no lenient grader",
        why_no_few_shot=f"it needs {NO_FEW_SHOT}",
    )


def _judged_again(folder: RunFolder, task: Task, prompts: Sequence[Prompt]) -> tuple[list[str], list[Reward]]:
    """[N] prompt ids and judgements of at most `MOST_JUDGED` texts, whole prompts in the order of the run."""
    table = folder.rollouts(["prompt_id", "text"])
    a_prompt = max(1, table.num_rows // max(1, len(prompts)))
    chosen = {prompt.id: prompt for prompt in prompts[: max(1, MOST_JUDGED // a_prompt)]}
    table = table.filter(pc.is_in(table["prompt_id"], value_set=pa.array(list(chosen), type=pa.string())))
    ids = table["prompt_id"].to_pylist()
    if not ids:
        return [], []
    with Grader(Forms.of(task)) as grader:
        return ids, grader.grade([(chosen[key], text) for key, text in zip(ids, table["text"].to_pylist(), strict=True)])


def _few_shot_counts(folder: RunFolder, order: Sequence[str], success: float) -> Counts:
    """Of each prompt in `order`, through the prompt that shows it behind examples."""
    behind = {prompt.id: str(prompt.info.get(PROBE_OF)) for prompt in folder.read_prompts()}
    table = folder.rollouts(["prompt_id", "reward"])
    ids = [behind.get(key, "") for key in table["prompt_id"].to_pylist()]
    rewards = table["reward"].to_pylist()
    known = set(order)
    kept = [(key, reward) for key, reward in zip(ids, rewards, strict=True) if key in known]
    keys = [key for key, _ in kept]
    return Counts(
        num_scored_P=_count(keys, [reward is not None for _, reward in kept], order),
        num_right_P=_count(keys, [reward is not None and reward >= success for _, reward in kept], order),
    )


def _count(ids: Sequence[str], hits: Sequence[bool], order: Sequence[str]) -> Any:
    """[P] hits of each id of `order`, all of which `ids` are among."""
    place = {key: position for position, key in enumerate(order)}
    places_N = np.array([place[key] for key in ids], dtype=np.int64)
    return np.bincount(places_N[np.array(hits, dtype=bool)], minlength=len(order))


def read_contamination(folder: RunFolder) -> Contamination | None:
    """What the continuations show; None where none were drawn."""
    own, control = ({p: _continued(folder.probe(contamination_folder(p, fresh=fresh))) for p in PERCENTS} for fresh in (False, True))
    if not any(continued.said for continued in own.values()):
        return None
    tasks = [{prompt.task for percent in PERCENTS for prompt in _prompts_of(folder, percent, fresh=fresh)} for fresh in (False, True)]
    same_source = tasks[0] == tasks[1]
    fresh = "the same task under another seed" if same_source else "word problems made here, of about the same length"
    return measure_contamination(own, control, fresh=fresh, same_source=same_source)


def _prompts_of(folder: RunFolder, percent: int, *, fresh: bool) -> list[Prompt]:
    probe = folder.probe(contamination_folder(percent, fresh=fresh))
    return probe.read_prompts() if probe.parts() else []


def _continued(folder: RunFolder) -> Continued:
    if not folder.parts():
        return Continued(said=(), follows=(), right=())
    follows = {prompt.id: str(prompt.info[FOLLOWS]) for prompt in folder.read_prompts()}
    table = folder.rollouts(["prompt_id", "text", "reward"])
    rewards = table["reward"].to_pylist()
    return Continued(
        said=table["text"].to_pylist(),
        follows=[follows[key] for key in table["prompt_id"].to_pylist()],
        right=[None if reward is None else reward >= 1.0 for reward in rewards],
    )
