"""Everything of a training run that can be known, and can be wrong, before a model is loaded: recipe, task, rewards, prompts, folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from jominy.grading import check_group_size, trained_of
from jominy.groups import Groups
from jominy.recipes.loading import load_recipe
from jominy.recipes.masks import DECISION, stage_of
from jominy.recipes.recipe import Recipe
from jominy.records import AnyReward, Prompt, Retrying, RewardFunction, Task
from jominy.sampling import environment, load_task_and_rewards, model_path_of, sources_of
from jominy.schedule import split_held_out
from jominy.selecting import Selection, select
from jominy.specs import RunSpec, SampleSpec
from jominy.tasks.loading import FILE_SUFFIXES
from jominy.trainfolder import TrainFolder, check_same_run, check_vacant


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A run that could begin.

    Example: prepare(RunSpec(task="arithmetic", recipe="grpo")).pool[0]
    """

    spec: RunSpec
    """What is asked for."""
    recipe: Recipe
    """How reward becomes gradient."""
    reward: AnyReward
    """What pays."""
    gold: RewardFunction | None
    """What tells the truth, where that is another function."""
    pool: tuple[Prompt, ...]
    """Prompts that training draws from."""
    held_out: tuple[Prompt, ...]
    """Prompts of the evaluations, none of them in the pool; empty when there are no evaluations."""
    eval_rewards: tuple[AnyReward, RewardFunction | None]
    """(what pays, what tells the truth where that is another function) on held-out prompts, which may be of another task."""
    sources: dict[str, str]
    """Hashes of the user's files: tasks, reward, recipe, model."""
    selection: Selection | None = None
    """Why the pool is what it is, where `--select` chose it."""
    retrying: Retrying | None = None
    """How responses to the pool alternate between attempts and decisions, so that they get their spans; None where they do not."""
    eval_retrying: Retrying | None = None
    """The same of the held-out prompts."""


def prepare(spec: RunSpec, chosen: Selection | None = None) -> Plan:
    """Reads what the spec names.

    Args:
        spec: what is asked for.
        chosen: what an earlier part of the same run chose by `--select`; None chooses now.

    Raises:
        ValueError: a field out of range, an unknown name, a group too small for the recipe, a task without prompts or gold answers.
    """
    spec.check()
    recipe = load_recipe(spec.recipe, spec.max_tokens)
    sampling = spec.sampling(spec.task, spec.prompts, spec.rollouts)
    task, reward, gold = load_task_and_rewards(sampling)
    _check_spans(recipe, task)
    check_group_size(reward, spec.rollouts)
    _check_group(recipe, 1 if recipe.source == "demonstrations" else trained_of(reward) or spec.rollouts)
    evaluating, own = spec.evaluate.eval_every > 0, spec.evaluate.eval_task is None
    wanted = spec.data.pool + (spec.evaluate.eval_prompts if evaluating and own else 0)
    pool = task.prompts(wanted, spec.seed)
    held_out: list[Prompt] = []
    if evaluating and own:
        pool, held_out = split_held_out(pool, spec.evaluate.eval_prompts, spec.data.pool)
    eval_rewards, eval_retrying = (reward, gold), task.retrying
    sources = sources_of(sampling) | sources_of_recipe(spec.recipe)
    if evaluating and not own:
        other = _eval_sampling(spec)
        eval_task, pays, tells = load_task_and_rewards(other)
        held_out, eval_rewards, eval_retrying = eval_task.prompts(other.prompts, spec.seed), (pays, tells), eval_task.retrying
        sources |= sources_of(other)
        if not held_out:
            raise ValueError(f"--eval-task {spec.evaluate.eval_task!r} gave no prompts")
    trained, kept_out, chosen = _trained_on(spec, recipe, pool, held_out, chosen)
    return Plan(
        spec=spec,
        recipe=recipe,
        reward=reward,
        gold=gold,
        pool=trained,
        held_out=kept_out,
        eval_rewards=eval_rewards,
        sources=sources,
        selection=chosen,
        retrying=task.retrying,
        eval_retrying=eval_retrying,
    )


def _check_spans(recipe: Recipe, task: Task) -> None:
    """A recipe that asks for spans needs a task whose responses have some, one that asks for decisions a task that leaves some.

    It is read off what the recipe does, so recipes of the user's own are checked too.
    """
    named = {"spans": recipe.spans, "credit_spans": recipe.credit_spans, "kl_spans": recipe.kl_spans}
    asked = {f"{option}={'+'.join(names)}": names for option, names in named.items() if names}
    if recipe.kl_balanced:
        asked["kl_spans=balanced"] = (DECISION,)
    if recipe.source == "corrected":
        asked = {"decisions put right": (DECISION,)}
    if task.retrying is not None and task.retrying.num_attempts > 1:
        return
    idle = list(asked) if task.retrying is None else [what for what, names in asked.items() if set(map(stage_of, names)) == {DECISION}]
    if not idle:
        return
    way_out = "take another recipe" if recipe.source == "corrected" else "leave that out"
    if task.retrying is None:
        lacks, remedy = f"responses to task {task.name!r} have no spans", "use task retry or one of yours whose Task says `retrying`"
    else:
        lacks, remedy = f"one attempt, as in task {task.name!r}, leaves nothing to decide", "give it attempts=2 or more"
    raise ValueError(f"recipe {recipe.name} asks for {', '.join(idle)}, and {lacks}; {way_out}, or {remedy}")


def _eval_sampling(spec: RunSpec) -> SampleSpec:
    """What is drawn in an evaluation on another task; the training task's target column stays with it unless both are files."""
    task = str(spec.evaluate.eval_task)
    sampling = spec.sampling(task, spec.evaluate.eval_prompts, spec.evaluate.eval_rollouts)
    return sampling if Path(task).suffix in FILE_SUFFIXES else replace(sampling, target_column=None)


def _trained_on(
    spec: RunSpec, recipe: Recipe, prompts: Sequence[Prompt], held_out: Sequence[Prompt], chosen: Selection | None
) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...], Selection | None]:
    """(pool, held out, selection): a chosen prompt that was held out is so no longer, and another one takes its place."""
    pool = _pool_of(spec, recipe, prompts, held_out)
    if spec.data.select is None:
        return pool, tuple(held_out), None
    own = spec.evaluate.eval_task is None
    if chosen is None:
        chosen = select(spec.data.select, pool, held_out if own else [], seed=spec.seed, success=spec.data.success)
    ids = {prompt.id for prompt in chosen.prompts}
    spare = iter([prompt for prompt in pool if prompt.id not in ids] if own else [])
    # In place, so that runs which differ in the selection alone hold the other prompts in the same order.
    in_place = [next(spare, None) if prompt.id in ids else prompt for prompt in held_out]
    left = [prompt for prompt in in_place if prompt is not None]
    if held_out and not left:
        raise ValueError(f"--select {spec.data.select} leaves no prompt to hold out; choose fewer, give --eval-task, or --eval-every 0")
    if recipe.source == "demonstrations" and any(prompt.gold_answer is None for prompt in chosen.prompts):
        raise ValueError(f"recipe {recipe.name} learns gold answers, and not every prompt of --select {spec.data.select} has one")
    return chosen.prompts, tuple(left), chosen


def _pool_of(spec: RunSpec, recipe: Recipe, prompts: Sequence[Prompt], held_out: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """What is left to train on: not held out, and with a gold answer where that is what is learned."""
    kept_out = {prompt.id for prompt in held_out}
    pool = [prompt for prompt in prompts if prompt.id not in kept_out][: spec.data.pool]
    if not pool:
        raise ValueError(f"task {spec.task!r} gave no prompts to train on" + (" that are not held out" if kept_out else ""))
    if recipe.source == "demonstrations":
        pool = [prompt for prompt in pool if prompt.gold_answer is not None]
    if not pool:
        raise ValueError(f"recipe {recipe.name} learns gold answers, and task {spec.task!r} has none; use rft, or a task with gold answers")
    return tuple(pool)


def where_it_stands(folder: TrainFolder, plan: Plan, stack: ExitStack, *, resume: bool, overwrite: bool) -> int:
    """Takes the folder for this run and returns the step of the checkpoint to go on from, 0 for the start; nothing is written yet.

    Raises:
        ValueError: it holds another run, or this one and neither `resume` nor `overwrite` is said, or what no run wrote; another process
            writes into it.
    """
    there = folder.run.exists() and not overwrite
    if there:
        check_same_run(folder, plan.spec, plan.sources)
        if not resume:
            raise ValueError(f"{folder.path} holds this run; go on with --resume, replace it with --overwrite, or choose another --out")
    elif not overwrite:
        check_vacant(folder)
    stack.enter_context(folder.run.lock())
    first = max(folder.checkpoints(), default=0) if there else 0
    if first > plan.spec.steps:
        raise ValueError(f"{folder.path} has {first} steps already; --steps {plan.spec.steps} would be fewer")
    return first


def begin(folder: TrainFolder, plan: Plan, first: int, *, overwrite: bool) -> None:
    """Writes what is known before the first step; takes back what stands behind the checkpoint of step `first`."""
    if folder.run.exists() and not overwrite:
        folder.take_back(first)
        run = folder.run.read_run()
        run.pop("why", None)
        if (run.get("first_live_step") or 0) > first:
            del run["first_live_step"]
    else:
        folder.clear()
        folder.run.write_prompts(plan.pool)
        run = {"verb": "train", "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "environment": environment()}
    run |= {"status": "running", "spec": asdict(plan.spec), "sources": plan.sources, "model_path": model_path_of(plan.spec.model)}
    if plan.selection is not None:
        run["selected"] = plan.selection.to_json()
    folder.run.write_run(run | {"num_pool": len(plan.pool), "num_held_out": len(plan.held_out)})


def sources_of_recipe(recipe: str) -> dict[str, str]:
    """The hash of the file that a recipe of the user's own comes from."""
    file = Path(recipe.partition(":")[0])
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest()[:16]} if file.suffix == ".py" and file.is_file() else {}


def _check_group(recipe: Recipe, num_rollouts: int) -> None:
    """Credits a made-up group of this size, so that a group that is too small is refused before anything is loaded."""
    rewards = (np.arange(num_rollouts) % 2).astype(np.float64)
    made_up = Groups(
        offsets_P1=np.array([0, num_rollouts]),
        rewards_N=rewards,
        scored_N=np.ones(num_rollouts, dtype=bool),
        correct_N=rewards > 0,
        probability_N=np.full(num_rollouts, 0.5),
        truncated_N=np.zeros(num_rollouts, dtype=bool),
        num_tokens_N=np.ones(num_rollouts, dtype=np.int64),
    )
    recipe.keep(made_up)
    recipe.credit(made_up)
