"""interpret(): a run folder in; which errors its wrong responses make and how many methods its right ones take out, by the sign of S.

    rollouts/ + a program that reads written steps, or a judge  ->  interpretation.json

Where the task has written steps (`Task.read_steps`), a program tells every response exactly; a judge that is named as well is then measured
against it. Else the judge tells, the first so many right and wrong responses of each prompt. S is that of all the prompt's responses.
Of a training folder, the first and the last evaluation are interpreted. Only tasks of the table are loaded: a folder runs no code.
Left out on purpose: the numbers (`measures.interpretation`), asking (`judging`), telling by program (`tasks.steps`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jominy.explaining import success_of
from jominy.groups import Groups
from jominy.interpretation import Interpretation, Told, folders_to_interpret
from jominy.judging import Opinion, judged_errors, judged_methods
from jominy.measures.silhouette import permuted_negative, prompt_clarity
from jominy.progress import rollout_bar
from jominy.records import Floats, Ints, Prompt, Task, Working
from jominy.rewards.judge import Judge, read_judge
from jominy.sampling import LoadJudge, load_local_engine, open_judge
from jominy.store import RunFolder, write_json
from jominy.tables import groups_of
from jominy.tallying import MOST_LISTED, Signs, Sorted, interpretation_of
from jominy.tasks.loading import TASKS, load_task

COLUMNS = "prompt_id index text logprobs_t1 stop reward gold policy temperature".split()
RESPONSES = 8
"""Right ones and wrong ones of each prompt that a judge is asked about."""
NUM_PERMUTATIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    """A run folder, read."""

    path: Path
    prompts: list[Prompt]
    """[P] in the order of the groups."""
    table: pa.Table
    """[N] rows of COLUMNS, sorted by prompt and index."""
    groups: Groups
    task: str
    policy: str


def interpret_path(
    folder: Path,
    *,
    judge: str | None = None,
    responses: int = RESPONSES,
    success: float | None = None,
    seed: int = 0,
    load_engine: LoadJudge = load_local_engine,
    quiet: bool = False,
) -> list[tuple[str, Interpretation]]:
    """Interpret a run folder, or the first and the last evaluation of a training folder, and write `interpretation.json` into each.

    Args:
        folder: as `sample`, `diagnose` or `train` leaves it.
        judge: as `--judge` takes it (`rewards.judge`); None leaves it to the task's program.
        responses: right ones and wrong ones of each prompt that a judge is asked about, at least 2.
        success: a response is right when its gold, or else its reward, is at least this; None takes what the run was trained with, else 1.
        seed: of bootstrap and null.
        load_engine: called for a local judge.
        quiet: no progress bar.

    Returns:
        (what it is of: "", or "step 30"; the interpretation).

    Raises:
        ValueError: no run, no texts, nobody who can tell errors, or a judge that does not answer; says what to do.
    """
    if responses < 2:
        raise ValueError(f"--responses must be at least 2, got {responses}: methods are compared with each other")
    if judge is not None:
        read_judge(judge)  # a mistake in it is told before anything is read
    load = functools.cache(load_engine)
    found = []
    for name, one in folders_to_interpret(folder):
        run = _read(one, success_of(RunFolder(folder)) if success is None else success)
        asked = None if judge is None else open_judge(judge, run.task, run.path / "judge", load)
        interpretation = _interpret(run, asked, responses, seed, quiet=quiet)
        write_json(RunFolder(one).interpretation_file, interpretation.to_json())
        found.append((name, interpretation))
    return found


def _read(path: Path, success: float) -> _Run:
    folder = RunFolder(path)
    if not folder.exists():
        raise ValueError(f"{path} is no run folder (it has no run.json); interpret takes a folder of `sample`, `diagnose` or `train`")
    run = folder.read_run()
    table = folder.rollouts(COLUMNS)
    if table.num_rows == 0:
        raise ValueError(f"{path} holds no rollouts; run the command that made it again to go on from there")
    if not pc.any(pc.greater(pc.binary_length(table["text"]), 0)).as_py():
        raise ValueError(f"{path} holds no texts: the column `text` is empty, and errors are read in texts; draw the rollouts with jominy")
    ids = table["prompt_id"].unique().to_pylist()
    by_id = {prompt.id: prompt for prompt in folder.read_prompts()}
    missing = [prompt_id for prompt_id in ids if prompt_id not in by_id]
    if missing:
        raise ValueError(f"{path}: prompts.parquet lacks {len(missing)} prompts of the rollouts, e.g. {missing[0]}; restore the file")
    place = pc.index_in(table["prompt_id"], value_set=pa.array(ids, type=pa.string()))
    table = table.append_column("place", place).sort_by([("place", "ascending"), ("index", "ascending")])
    return _Run(
        path=path,
        prompts=[by_id[prompt_id] for prompt_id in ids],
        table=table,
        groups=groups_of(table, success, path=path),
        task=str(run["spec"].get("task", "")),
        policy=str(run["policy"] or table["policy"][0].as_py()),
    )


def _program_of(run: _Run) -> Task | None:
    """The task, when a program can read its steps."""
    task = load_task(run.task) if run.task.partition(":")[0] in TASKS else None
    return task if task is not None and task.read_steps is not None else None


def _interpret(run: _Run, judge: Judge | None, responses: int, seed: int, *, quiet: bool) -> Interpretation:
    task = _program_of(run)
    if task is None and judge is None:
        raise ValueError(
            f"no program can tell the errors of task {run.task!r}; name a judge: --judge http://localhost:8000/v1,model=NAME, or "
            "--judge local:MODEL. (`arithmetic:operators=+,steps=yes` is told by program)"
        )
    texts = [text or "" for text in run.table["text"].to_pylist()]
    prompt_N = np.repeat(np.arange(run.groups.num_prompts), np.diff(run.groups.offsets_P1))
    right, wrong = (np.flatnonzero(run.groups.scored_N & (run.groups.correct_N == value)) for value in (True, False))
    workings = {} if task is None else _told_by_program(task, run, texts, prompt_N, np.concatenate([right, wrong]))
    opinions: dict[int, Opinion] = {}
    if judge is not None:
        few = [_first_of_each(rows, prompt_N, responses) for rows in (right, wrong)]
        opinions = _told_by_judge(judge, run, texts, prompt_N, few[0], few[1], quiet=quiet)
    told = Sorted(
        prompt_N=prompt_N,
        texts=texts,
        right=[int(row) for row in right],
        wrong=[int(row) for row in wrong],
        program=None if task is None else workings,
        judge=None if judge is None else opinions,
    )
    rng = np.random.default_rng(seed)
    signs, why_no_signs = _signs(run.groups, rng)
    source = {
        "path": str(run.path),
        "policy": run.policy,
        "task": run.task,
        "judge": None if judge is None else judge.name,
        "judged_responses": None if judge is None else responses,
        "seed": seed,
    }
    return interpretation_of(told, signs, why_no_signs, run.groups.num_unscored, source, _listed(told, run.table), rng)


def _told_by_program(task: Task, run: _Run, texts: Sequence[str], prompt_N: Ints, rows: Ints) -> dict[int, Working]:
    assert task.read_steps is not None
    stops = run.table["stop"].to_pylist()
    return {int(row): task.read_steps(run.prompts[prompt_N[row]], texts[row], stops[row]) for row in rows}


def _first_of_each(rows: Ints, prompt_N: Ints, most: int) -> list[int]:
    """The first rows of each prompt."""
    taken: dict[int, int] = {}
    kept = []
    for row in rows:
        prompt = int(prompt_N[row])
        taken[prompt] = taken.get(prompt, 0) + 1
        if taken[prompt] <= most:
            kept.append(int(row))
    return kept


def _told_by_judge(
    judge: Judge, run: _Run, texts: Sequence[str], prompt_N: Ints, right: list[int], wrong: list[int], *, quiet: bool
) -> dict[int, Opinion]:
    """Errors of the wrong rows, methods of the right ones."""
    groups: dict[int, list[int]] = {}
    for row in right:
        groups.setdefault(int(prompt_N[row]), []).append(row)
    with rollout_bar(f"asking {judge.name}", len(right) + len(wrong), quiet=quiet, what="responses") as advance:
        errors = judged_errors(judge, [(run.prompts[prompt_N[row]], texts[row]) for row in wrong], lambda done: advance(done, 0))
        sortings = [(run.prompts[prompt], [texts[row] for row in rows]) for prompt, rows in groups.items()]
        methods = judged_methods(judge, sortings, lambda done: advance(done, 0))
    opinions = dict(zip(wrong, errors, strict=True))
    for rows, found in zip(groups.values(), methods, strict=True):
        opinions.update(zip(rows, found, strict=True))
    return opinions


def _signs(groups: Groups, rng: np.random.Generator) -> tuple[Signs, str]:
    """S of each prompt and the chance of S < 0 under permuted labels; or why there is no S."""
    silhouette_P: Floats = np.full(groups.num_prompts, np.nan)
    null_negative_P: Floats = np.full(groups.num_prompts, np.nan)
    if groups.probability_N is None or not np.isfinite(groups.probability_N).any():
        return Signs(silhouette_P=silhouette_P, null_negative_P=null_negative_P), "the rollouts have no log-probabilities at temperature 1"
    keep_N = groups.scored_N & np.isfinite(groups.probability_N)
    found = prompt_clarity(groups, keep_N)
    silhouette_P[found.prompts_V] = found.silhouette_V
    if len(found.prompts_V) == 0:
        return Signs(silhouette_P=silhouette_P, null_negative_P=null_negative_P), "no prompt has right and wrong responses"
    null_negative_P[found.prompts_V] = permuted_negative(groups, keep_N, found.prompts_V, rng, num_permutations=NUM_PERMUTATIONS)
    return Signs(silhouette_P=silhouette_P, null_negative_P=null_negative_P), ""


def _listed(told: Sorted, table: pa.Table) -> list[Told]:
    """The first responses one by one, in the order of the run."""
    rows = sorted((*told.right, *told.wrong))[:MOST_LISTED]
    names = table.select(["prompt_id", "index"]).take(pa.array(rows, type=pa.int64())).to_pylist()
    right = set(told.right)
    listed = []
    for row, name in zip(rows, names, strict=True):
        working = None if told.program is None else told.program[row]
        opinion = None if told.judge is None else told.judge.get(row)
        program = None if working is None else working.method if row in right else working.error
        notes = [said.note for said in (working, opinion) if said is not None and said.note]
        value = None if opinion is None else opinion.value
        listed.append(
            Told(
                prompt_id=name["prompt_id"],
                index=name["index"],
                right=row in right,
                program=program,
                judge=value,
                note="; judge: ".join(notes),
            )
        )
    return listed
