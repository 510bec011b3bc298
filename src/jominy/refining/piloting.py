"""The pilot of `refine`: rollouts that say which prompts were ever rewarded, drawn here or read from a folder that is there.

    static    `sample`: epochs x rollouts responses a prompt of the policy as it is: pass@(epochs * rollouts) > 0
    train     `train`: the rollouts of all steps, while the policy learns (2601.04954)
    RUN       either, drawn before

The pilot is a run folder of its own in the folder of the refined set, so it goes on where it was stopped and every verb can read it.
Left out on purpose: what follows from the rollouts (`simplifying`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jominy.preparing import prepare
from jominy.records import Prompt
from jominy.refined import PilotCount
from jominy.refining.simplifying import Seen, seen_in
from jominy.sampling import LoadEngine, load_local_engine, sample
from jominy.specs import DataSpec, EvaluateSpec, RunSpec, SampleSpec, UpdateSpec
from jominy.specs.refining import RefineSpec
from jominy.steplog import read_steps
from jominy.store import RunFolder
from jominy.trainfolder import TrainFolder, check_same_run, flat_spec
from jominy.training import LoadTrainer, load_local_trainer, train

PILOT_FOLDER = "pilot"
MADE_HERE = ("static", "train", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What a pilot saw.

    Example: Pilot(seen={"9f2c...": Seen(num_rollouts=16, num_scored=16, num_rewarded=3)}, count=PilotCount(...))
    """

    seen: Mapping[str, Seen]
    """By prompt id; of the prompts that are refined."""
    count: PilotCount
    """The same in numbers, and what it cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaders:
    """How engines are made.

    Example: Loaders()
    """

    engine: LoadEngine = load_local_engine
    """For a static pilot."""
    trainer: LoadTrainer = load_local_trainer
    """For one that trains."""


def sampling_of(spec: RefineSpec) -> SampleSpec:
    """The sample run that a static pilot is."""
    drawing = spec.drawing
    return SampleSpec(
        task=spec.task,
        model=drawing.model,
        reward=drawing.reward,
        prompts=spec.prompts,
        rollouts=drawing.epochs * drawing.rollouts,
        max_tokens=drawing.max_tokens,
        temperature=drawing.temperature,
        seed=spec.seed,
        reward_timeout=spec.reward_timeout,
        target_column=spec.target_column,
        device=drawing.device,
    )


def training_of(spec: RefineSpec, num_prompts: int) -> RunSpec:
    """The training run that a pilot with updates is: on all prompts, without evaluations, to its end even when nothing is rewarded."""
    drawing = spec.drawing
    a_step = min(drawing.prompts_per_step, num_prompts)
    return RunSpec(
        task=spec.task,
        model=drawing.model,
        recipe=drawing.recipe,
        steps=drawing.steps or -(-drawing.epochs * num_prompts // a_step),
        prompts=a_step,
        rollouts=drawing.rollouts,
        max_tokens=drawing.max_tokens,
        temperature=drawing.temperature,
        seed=spec.seed,
        data=DataSpec(reward=drawing.reward, pool=spec.prompts, reward_timeout=spec.reward_timeout, target_column=spec.target_column),
        update=UpdateSpec(learning_rate=drawing.learning_rate, patience=0, device=drawing.device),
        evaluate=EvaluateSpec(eval_every=0, kl_rollouts=0),
    )


def pilot_of(spec: RefineSpec, prompts: Sequence[Prompt], out: Path, loaders: Loaders, *, overwrite: bool, quiet: bool) -> Pilot | None:
    """Runs the pilot, goes on with it, or reads the one that is named; None without one.

    Raises:
        ValueError: the folder holds another pilot, or the one that is named has no rollouts of any of these prompts.
    """
    kind, folder = spec.drawing.pilot, out / PILOT_FOLDER
    if kind == "none":
        return None
    if kind == "static":
        sample(sampling_of(spec), folder, load_engine=loaders.engine, overwrite=overwrite, quiet=quiet)
        return read_pilot(folder, prompts, "static")
    if kind == "train":
        _train(training_of(spec, len(prompts)), folder, loaders.trainer, overwrite=overwrite, quiet=quiet)
        return read_pilot(folder, prompts, "train")
    return read_pilot(Path(kind), prompts, "given")


def read_pilot(folder: Path, prompts: Sequence[Prompt], kind: Literal["static", "train", "given"]) -> Pilot:
    """What a run folder, or the steps of a training folder, saw of these prompts.

    Raises:
        ValueError: no such folder, or it has no rollouts of any of them.
    """
    store = RunFolder(folder)
    run = store.read_run()
    table = store.rollouts(["prompt_id", "reward", "gold"])
    wanted = {prompt.id for prompt in prompts}
    rows = zip(*(table[name].to_pylist() for name in ("prompt_id", "reward", "gold")), strict=True)
    mine = [row for row in rows if row[0] in wanted]
    if not mine:
        other = run["spec"].get("task")
        raise ValueError(
            f"the pilot {folder} has no rollouts of any of these {len(prompts)} prompts (it has {table.num_rows} of task {other!r}); give "
            "the --task, --prompts and --seed that it was drawn with, or let --pilot static draw one"
        )
    ids, rewards, golds = ([row[column] for row in mine] for column in range(3))
    seen, right = seen_in(ids, rewards), seen_in(ids, golds)
    count = PilotCount(
        kind=kind,
        folder=str(folder),
        policy=run["policy"],
        reward=flat_spec(run["spec"]).get("reward"),
        num_prompts=len(seen),
        num_rollouts=len(mine),
        num_unscored=sum(found.num_rollouts - found.num_scored for found in seen.values()),
        num_rewarded=sum(found.num_rewarded for found in seen.values()),
        seconds=_seconds(folder, run),
        num_never=sum(found.never for found in seen.values()),
        num_never_right=None if all(gold is None for gold in golds) else sum(found.never for found in right.values()),
    )
    return Pilot(seen=seen, count=count)


def _train(spec: RunSpec, folder: Path, load_trainer: LoadTrainer, *, overwrite: bool, quiet: bool) -> None:
    """Trains, goes on, or leaves a run alone that is finished: loading a model to do nothing would take longer than all else here."""
    there = TrainFolder(folder)
    going_on = there.run.exists() and not overwrite
    if going_on and there.run.read_run()["status"] == "finished":
        check_same_run(there, spec, prepare(spec).sources)
        if len(read_steps(folder)) == spec.steps:
            return
    train(spec, folder, resume=going_on, overwrite=overwrite, quiet=quiet, load_trainer=load_trainer)


def _seconds(folder: Path, run: Mapping[str, Any]) -> dict[str, float]:
    """What the run says of itself."""
    lines = read_steps(folder) if (folder / TrainFolder(folder).steps_file.name).is_file() else []
    if lines:
        names = {"drawing": "sampling_s", "grading": "grading_s", "updating": "update_s"}
        return {name: float(sum(line.get(key) or 0.0 for line in lines)) for name, key in names.items()}
    return {"drawing": float(run["timing"]["sampling_s"]), "grading": float(run["timing"]["grading_s"])}
