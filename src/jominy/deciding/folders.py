"""Which two policies a call of `explain` is about, and their rollouts with attempts and decisions marked by one reader.

    TRAINING                first and last evaluation              RUN --against RUN2     what RUN2 ended with, what RUN ended with
    BEFORE AFTER            two run folders                        SAMPLED                one run folder: nothing to compare with

A folder runs no code: a task that is somebody's own program is read when `--spans` asks for it. Left out on purpose: any number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from jominy.deciding.rollouts import Stored, pair_stored, read_stored, sample_spec_of
from jominy.readers import load_reader
from jominy.records import Prompt, Task, TraceReader
from jominy.sampling import resolve_model
from jominy.steplog import read_evaluations
from jominy.store import RunFolder, read_json
from jominy.tasks.loading import TASKS, load_task
from jominy.tracing import mark, once
from jominy.trainfolder import BEST_NOTE, TrainFolder

HOW = "`--spans lexical` reads words of doubt, `--spans markers:...` tags of yours, `--spans my_file.py:function` anything"
ALTERNATING = ("retry",)
"""Tasks of the table whose responses try again; others are not loaded to find out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """What is read.

    Example: Compared(before=None, after=Path("runs/demo"), root=Path("runs/demo"))
    """

    before: Path | None
    """Run folder of the first policy; None where there is one side."""
    after: Path
    """Run folder of the second."""
    root: Path
    """The folder that was named: whose threshold counts, and under which a square is kept."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sides:
    """Both sides read.

    Example: read_sides(compared_in(Path("runs/rl")), None, 1.0)
    """

    task: Task
    """Of the prompts."""
    read: TraceReader
    """The reader; it reads a response once, however often it is asked."""
    before: Stored | None
    """With spans, on the common prompts."""
    after: Stored
    """The same of the other policy."""
    success: float
    """Right from here on."""
    num_only_before: int = 0
    """Prompts that only the first folder has; nothing of them is read."""
    num_only_after: int = 0
    """Prompts that only the second has."""

    @property
    def prompts(self) -> Mapping[str, Prompt]:
        """By id."""
        return self.after.prompts


def compared_in(folder: Path, after: Path | None = None, against: Path | None = None) -> Compared:
    """Which folders a call of `explain` is about.

    Args:
        folder: a training folder, or a run folder: the one before with `after`, else the one after.
        after: a run folder.
        against: a training or run folder whose policy is the one to compare with; it takes the place of `folder`'s start.

    Raises:
        ValueError: a training folder has no evaluation, there is no run, or both `after` and `against` are given.
    """
    if after is not None and against is not None:
        raise ValueError("name the other policy once: BEFORE AFTER, or RUN --against RUN2")
    if after is not None:
        return Compared(before=folder, after=after, root=after)
    ends = _ends(folder)
    if against is not None:
        return Compared(before=_ends(against)[-1], after=ends[-1], root=folder)
    return Compared(before=ends[0] if len(ends) > 1 else None, after=ends[-1], root=folder)


def read_sides(asked: Compared, spans: str | None, success: float) -> tuple[Sides | None, str]:
    """Both sides with their spans, or None and why nothing is to be read.

    Args:
        asked: which.
        spans: the reader, as `--spans` takes it; None is the task's own, where it has one.
        success: right from here on.

    Raises:
        ValueError: a folder cannot be read, the task cannot be loaded, or the reader is wrong or returns what no reader may.
    """
    run = RunFolder(asked.after).read_run()
    name = str(run["spec"].get("task") or "")
    if spans is None and name.partition(":")[0] not in ALTERNATING and not _has_spans(asked.after):
        return None, f"nothing says where responses to task {name!r} try and decide; {HOW}"
    if spans is None and name.partition(":")[0] not in TASKS:
        return None, f"task {name!r} is code of your own and a folder runs none; `--spans task` lets explain run it"
    if not name:
        raise ValueError(f"{asked.after / 'run.json'} names no task, and a reader needs its prompts and reward; add `spec.task`")
    task = load_task(name, target_column=sample_spec_of(run).target_column)
    read = once(load_reader(spans or "task", task))
    after = read_stored(asked.after)
    if asked.before is None:
        return Sides(task=task, read=read, before=None, after=_with_spans(after, read), success=success), ""
    whole = (read_stored(asked.before), after)
    before, after = pair_stored(*whole)
    return Sides(
        task=task,
        read=read,
        before=_with_spans(before, read),
        after=_with_spans(after, read),
        success=success,
        num_only_before=len(whole[0].prompts) - len(before.prompts),
        num_only_after=len(whole[1].prompts) - len(after.prompts),
    ), ""


def model_of(folder: Path) -> str:
    """What is loaded for the policy that drew a run folder.

    Raises:
        ValueError: it was not kept; says what was.
    """
    folder = folder.resolve()  # a square that is kept is found again from any working directory
    parent = TrainFolder(folder.parent.parent)
    if folder.parent.name == "evaluations" and parent.run.exists() and folder.name.startswith("step-"):
        step = int(folder.name.removeprefix("step-"))
        return _trained(parent, step) if step else _named(parent.path)
    return _named(folder)


def trained_on(asked: Compared) -> set[str]:
    """Ids of the prompts that the training runs trained on whose evaluations are compared; empty where no training folder is around."""
    named = [folder.resolve() for folder in (asked.root, asked.after, asked.before) if folder is not None]
    runs = {RunFolder(place) for folder in named for place in (folder, folder.parent.parent)}
    trained = [run for run in runs if run.exists() and run.read_run().get("verb") == "train" and (run.path / "prompts.parquet").is_file()]
    return {prompt.id for run in trained for prompt in run.read_prompts()}


def _ends(folder: Path) -> list[Path]:
    """The first and the last evaluation of a training folder; a run folder itself."""
    store = RunFolder(folder)
    if not store.exists():
        raise ValueError(f"{folder} is no run folder (it has no run.json); explain takes what `jominy train` or `jominy sample` made")
    lines = [line for line in read_evaluations(folder) if isinstance(line.get("folder"), str)]
    if not lines and store.read_run().get("verb") == "train":
        raise ValueError(f"{folder} holds no evaluation; train on with `--resume`, and with `--eval-every` above 0")
    named = [folder / line["folder"] for line in lines]
    return [named[0], named[-1]] if len(named) > 1 else named or [folder]


def _has_spans(folder: Path) -> bool:
    """Whether any rollout was marked when it was drawn; looks at that column alone."""
    parts = RunFolder(folder).parts()
    there = [file for file in parts if "spans" in pq.read_schema(file).names]
    return any(pc.max(pc.list_value_length(pq.read_table(file, columns=["spans"])["spans"])).as_py() for file in there)


def _with_spans(side: Stored, read: TraceReader) -> Stored:
    marked = tuple(replace(rollout, spans=mark(rollout, side.prompts[rollout.prompt_id], read)) for rollout in side.rollouts)
    return replace(side, rollouts=marked)


def _named(folder: Path) -> str:
    """The model that `run.json` names."""
    run = RunFolder(folder).read_run()
    spec = run["spec"]
    if "+step " in (run["policy"] or ""):
        raise ValueError(f"{folder} was drawn by {run['policy']}, in the middle of a training run, and does not lie in its folder any more")
    if not spec.get("model"):
        raise ValueError(f"{folder / 'run.json'} does not say which model drew it, so it cannot be loaded")
    return _folder_named(run, folder) or resolve_model(str(spec["model"]), str(spec.get("task") or ""))


def _folder_named(run: Mapping[str, Any], folder: Path) -> str | None:
    """The folder that the model's name means, whatever the working directory: as it was recorded, else seen from where the run lies."""
    recorded = run.get("model_path")
    places = [Path(recorded)] if isinstance(recorded, str) else []
    places += [parent / run["spec"]["model"] for parent in folder.parents]
    return next((str(place) for place in places if (place / "config.json").is_file()), None)


def _trained(folder: TrainFolder, step: int) -> str:
    """The model of an evaluation after so many steps."""
    if step in folder.checkpoints():
        return str(folder.checkpoint(step))
    run, best = folder.run.read_run(), folder.path / "checkpoints" / BEST_NOTE
    # while a run goes on to more steps, model/ is still that of fewer
    if folder.model.is_dir() and run["status"] == "finished" and run["spec"].get("steps") == step:
        return str(folder.model)
    if folder.best.is_dir() and best.is_file() and read_json(best).get("step") == step:
        return str(folder.best)
    kept = ", ".join(map(str, folder.checkpoints())) or "none"
    raise ValueError(
        f"{folder.path} did not keep the model of step {step} (checkpoints: {kept}; model/ is that of the last step of a finished run)"
    )
