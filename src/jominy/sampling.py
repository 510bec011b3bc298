"""sample(): prompts and an engine in, graded rollouts in a run folder out.

A group is graded and written as soon as the engine has finished it, so a run that is killed keeps what it had, and the
same call on the same folder goes on from there. When all is drawn, some rollouts are scored again by a plain forward pass:
that times the machine and shows how far the sampler's log-probabilities are from the scorer's.
Left out on purpose: numbers about the rollouts (`diagnosis`) and how tokens are drawn (`engines`).
"""

from __future__ import annotations

import functools
import hashlib
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jominy.engines import ContinuingEngine, Engine
from jominy.grading import Graders, check_group_size, needs_entropies
from jominy.localjudge import JudgingEngine, answers_of, choices_of
from jominy.packing import rows_to_score
from jominy.progress import Advance, rollout_bar, stage
from jominy.records import AnyReward, Prompt, Retrying, RewardFunction, Rollout, Sampling, Task
from jominy.rewards.metering import Spent
from jominy.specs import SampleSpec
from jominy.store import RunFolder
from jominy.tasks.samples import Samples, parse_samples
from jominy.tracing import marked

if TYPE_CHECKING:
    from jominy.rewards.judge import Judge

FLUSH_EVERY_S = 5.0
RESCORED_GROUPS = 4
RESCORED_OF_A_GROUP = 16
PACKAGES = ("jominy", "numpy", "pyarrow", "torch", "transformers")


LoadEngine = Callable[[str, str], Engine]
"""(model, device) -> engine."""
LoadJudge = Callable[[str, str], JudgingEngine]
"""The same of an engine that can judge."""


def resolve_model(model: str, task: str) -> str:
    """What the engine loads: `lab` is a small model that is half able at the task, built when it is not in the cache."""
    if model != "lab":
        return model
    from jominy.engines.extras import require_local_extra

    require_local_extra(model)
    from jominy.lab import half_able

    return str(half_able(task))


def load_local_engine(model: str, device: str) -> ContinuingEngine:
    """The engine of this machine, with the model loaded; ValueError when the extra or the model is missing."""
    from jominy.engines.extras import require_local_extra

    require_local_extra(model)
    from jominy.engines.local import LocalEngine

    return LocalEngine.load(model, device)


def sample(
    spec: SampleSpec,
    out: Path,
    *,
    task: Task | None = None,
    load_engine: LoadEngine = load_local_engine,
    overwrite: bool = False,
    quiet: bool = False,
) -> RunFolder:
    """Draw and grade `spec.prompts` groups into the run folder `out`, going on where an earlier call stopped.

    The folder is made once the model is there, so that a mistyped name leaves nothing behind.

    Args:
        spec: what to draw.
        out: the run folder; made when absent.
        task: prompts and reward to use in place of what `spec` names, for a probe; None loads what it names.
        load_engine: called with `spec.model` and `spec.device` only when something is left to draw.
        overwrite: replace a folder that holds another run.
        quiet: no progress bar.

    Raises:
        ValueError: unknown task, model or reward; a folder that holds another run.
        KeyboardInterrupt: passed on, after what was finished has been written.
    """
    spec.check()
    task, reward, gold = load_task_and_rewards(spec) if task is None else (task, task.reward, None)
    samples = parse_samples(spec.samples, spec.rollouts)
    check_group_size(reward, samples.fewest)
    folder = RunFolder(out)
    prompts = task.prompts(spec.prompts, spec.seed)
    if not prompts:
        raise ValueError(f"task {spec.task!r} gave no prompts")
    samples.check(prompts)
    run, rest = _where_it_stands(folder, spec, prompts, overwrite)
    if run is not None and not rest and run["status"] == "finished":
        with stage(f"{out} is finished already; nothing is drawn", quiet=quiet):
            return folder
    model = resolve_model(spec.model, spec.task)
    with stage(f"loading {spec.model}", quiet=quiet):
        engine = load_engine(model, spec.device)
    with folder.lock():
        run, rest = _where_it_stands(folder, spec, prompts, overwrite)  # again: another process may have drawn in the meantime
        run = _continued(run, engine, out) if run is not None else start_run(folder, spec, engine, prompts)
        with rollout_bar(f"{spec.model} on {spec.task}", sum(map(samples.of, rest)), quiet=quiet) as advance:
            try:
                draw(engine, spec, folder, run, rest, reward, gold, advance, task.retrying)
            except KeyboardInterrupt:
                folder.write_run({**run, "status": "interrupted"})
                raise
        with stage("scoring some rollouts again by a plain forward pass", quiet=quiet):
            run["rescoring"] = rescore(engine, prompts, folder)
        folder.write_run({**run, "status": "finished"})
    return folder


def _where_it_stands(
    folder: RunFolder, spec: SampleSpec, prompts: list[Prompt], overwrite: bool
) -> tuple[dict[str, Any] | None, list[Prompt]]:
    """The run to go on with, or None for a new one, and the prompts that are left."""
    run = None if overwrite else _run_to_continue(folder, spec)
    return run, prompts if run is None else _unfinished(folder, prompts, parse_samples(spec.samples, spec.rollouts))


def _continued(run: dict[str, Any], engine: Engine, out: Path) -> dict[str, Any]:
    """The run, if this engine drew what is there."""
    if run["policy"] != engine.name:
        raise ValueError(f"{out} was drawn by {run['policy']}, this is {engine.name}. Choose another --out, or replace it with --overwrite")
    return run


def load_task_and_rewards(spec: SampleSpec) -> tuple[Task, AnyReward, RewardFunction | None]:
    """The task, the reward that pays, and the reward that tells the truth where the two differ.

    Raises:
        ValueError: `spec.reward` is neither a name from `jominy rewards` nor a function, or does not fit the task.
    """
    from jominy.rewards.loading import load_reward
    from jominy.rewards.spurious import load_group_reward, names_reward
    from jominy.tasks.loading import load_task

    if spec.reward is not None and names_reward(spec.reward):
        task = load_task(spec.task, target_column=spec.target_column)
        return task, load_group_reward(spec.reward, task, open_judge), task.reward
    override = None if spec.reward is None else load_reward(spec.reward)
    task = load_task(spec.task, reward=override, target_column=spec.target_column)
    if override is None:
        return task, task.reward, None
    return task, override, None if task.reward is override else task.reward


def open_judge(judge: str, task: str, folder: Path | None = None, load: LoadJudge | None = None) -> Judge:
    """The judge that a person means, with its memory.

    Args:
        judge: as `--judge` takes it (`rewards.judge`).
        task: what a `lab` model is made for.
        folder: where replies are remembered; None is the user's cache, so that runs share what they have asked.
        load: loads a model of this machine when it is first asked; None keeps the last one for whoever asks next.

    Raises:
        ValueError: nobody by that name, or no key where one is named.
    """
    from jominy.engines.models import cache_folder
    from jominy.rewards.judge import EndpointJudge, Judge, read_judge

    wanted = read_judge(judge)
    folder = folder or cache_folder() / "judge"
    if isinstance(wanted, EndpointJudge):
        endpoint = wanted.endpoint
        return Judge(name=judge, model=endpoint.model, max_tokens=endpoint.max_tokens, answer=wanted.answer, folder=folder)
    model = resolve_model(wanted.model, task)
    # a checkpoint that was written over is another judge
    known_as = " ".join(["local", model, *sources_of(SampleSpec(model=model)).values()])
    engine = functools.partial(load or _kept_engine, model, "auto")
    return Judge(
        name=judge,
        model=known_as,
        max_tokens=wanted.max_tokens,
        answer=answers_of(engine, wanted.max_tokens),
        choose=choices_of(engine) if wanted.answers == "choice" else None,
        folder=folder,
    )


@functools.lru_cache(maxsize=1)
def _kept_engine(model: str, device: str) -> JudgingEngine:
    """The engine of a local judge: training and evaluating ask the same one."""
    return load_local_engine(model, device)


def _run_to_continue(folder: RunFolder, spec: SampleSpec) -> dict[str, Any] | None:
    """The run in the folder when it is this very run; None when nothing was drawn there; ValueError when it is another."""
    if not folder.exists():
        return None
    run = folder.read_run()
    if not folder.parts():
        return None
    wanted = {**asdict(spec), "sources": sources_of(spec)}
    there = {**run["spec"], "sources": run.get("sources", {})}
    different = [name for name, value in wanted.items() if there.get(name) != value]
    if different:
        changes = ", ".join(f"{name} was {there.get(name)!r}, now {wanted[name]!r}" for name in different)
        raise ValueError(f"{folder.path} holds another run ({changes}). Choose another --out, or replace it with --overwrite")
    return run


def start_run(folder: RunFolder, spec: SampleSpec, engine: Engine, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """An empty run; `run.json` comes last, so that a folder which has one has its prompts too."""
    folder.clear()
    folder.write_prompts(prompts)
    run = {
        "status": "running",
        "spec": asdict(spec),
        "sources": sources_of(spec),
        "model_path": model_path_of(spec.model),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": environment(),
        "policy": engine.name,
        "device": engine.device,
        "timing": {"sampling_s": 0.0, "grading_s": 0.0, "num_tokens": 0, "num_groups": 0, "num_rollouts": 0},
        "grading": {"unscored": {}, "gold_unscored": 0, "first_failure": ""},
    }
    folder.write_run(run)
    return run


def model_path_of(model: str) -> str | None:
    """Where a model that was named by its folder lies, so that it is found from any working directory; None for any other name."""
    folder = Path(model)
    return str(folder.resolve()) if (folder / "config.json").is_file() else None


def sources_of(spec: SampleSpec) -> dict[str, str]:
    """Hashes of the files that task, reward and model come from, so that an edited file or a new checkpoint is another run."""
    named = [word for text in (spec.task, spec.reward or "") for word in (text, *re.split("[:,=]", text))]
    files = [Path(word) for word in dict.fromkeys(named) if word and Path(word).is_file()]
    hashes = {str(file): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}
    if (model := Path(spec.model)).is_dir():
        # weights are large: name, size and time tell a checkpoint that was written over
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(model.iterdir()) if file.is_file()]
        hashes[spec.model] = hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]
    return hashes


def environment() -> dict[str, Any]:
    """Versions and machine, for `run.json`."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {"python": platform.python_version(), "platform": platform.platform(), "versions": versions}


def _unfinished(folder: RunFolder, prompts: Sequence[Prompt], samples: Samples) -> list[Prompt]:
    ids, counts = np.unique(np.array(folder.rollouts(["prompt_id"])["prompt_id"].to_pylist(), dtype=str), return_counts=True)
    done = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    return [prompt for prompt in prompts if done.get(prompt.id, 0) < samples.of(prompt)]


def draw(
    engine: Engine,
    spec: SampleSpec,
    folder: RunFolder,
    run: dict[str, Any],
    prompts: Sequence[Prompt],
    reward: AnyReward,
    gold: RewardFunction | None,
    advance: Advance,
    retrying: Retrying | None = None,
) -> None:
    """Draw, grade, mark and write group by group; what is finished when anything stops it has been written.

    With `retrying` every rollout gets its spans; without it none has any.
    """
    by_id = {prompt.id: prompt for prompt in prompts}
    settings = Sampling(temperature=spec.temperature, top_p=spec.top_p, max_tokens=spec.max_tokens, entropies=needs_entropies(reward))
    waiting: list[Rollout] = []
    timing = run["timing"]
    last_flush = time.monotonic()
    with Graders(reward, gold, timeout_s=spec.reward_timeout) as graders:
        try:
            for group, seconds in _timed(_groups_of_all_sizes(engine, spec, prompts, settings, advance)):
                started = time.monotonic()
                waiting += marked(graders.grade([group], by_id)[0], by_id, retrying)
                timing["sampling_s"] += seconds
                timing["grading_s"] += time.monotonic() - started
                timing["num_tokens"] += sum(len(rollout.token_ids) for rollout in group)
                timing["num_groups"] += 1
                timing["num_rollouts"] += len(group)
                if time.monotonic() - last_flush > FLUSH_EVERY_S:
                    _flush(folder, run, waiting, by_id, graders)
                    last_flush = time.monotonic()
        finally:
            _flush(folder, run, waiting, by_id, graders)


def _groups_of_all_sizes(
    engine: Engine, spec: SampleSpec, prompts: Sequence[Prompt], settings: Sampling, advance: Advance
) -> Iterator[list[Rollout]]:
    """The group of every prompt, prompts that get equally many responses together."""
    samples = parse_samples(spec.samples, spec.rollouts)
    for size in dict.fromkeys(map(samples.of, prompts)):
        yield from engine.sample([prompt for prompt in prompts if samples.of(prompt) == size], size, settings, spec.seed, advance)


def _timed(groups: Iterator[list[Rollout]]) -> Iterator[tuple[list[Rollout], float]]:
    """Each group with the seconds the engine needed for it."""
    while True:
        started = time.monotonic()
        group = next(groups, None)
        if group is None:
            return
        yield group, time.monotonic() - started


def _flush(folder: RunFolder, run: dict[str, Any], waiting: list[Rollout], prompts: dict[str, Prompt], graders: Graders) -> None:
    """Write what is waiting, then what it says about the graders."""
    if not waiting:
        return
    batch = list(waiting)
    waiting.clear()  # first: a Ctrl-C behind the write must not write them again; one before it loses a batch, which is drawn again
    folder.append_rollouts(batch, prompts)
    grading = run["grading"]
    for rollout in batch:
        if rollout.reward is not None and rollout.reward.value is None:
            grading["unscored"][rollout.reward.note] = grading["unscored"].get(rollout.reward.note, 0) + 1
        grading["gold_unscored"] += int(graders.has_gold and rollout.gold is None)
    grading["first_failure"] = grading["first_failure"] or graders.first_failure
    if (spent := graders.spent()) is not None:
        before = Spent.of_json(grading["judge"]) if "judge" in grading else Spent()
        grading["judge"] = before.plus(Spent.of_json(spent)).to_json()
    folder.write_run(run)


def rescore(engine: Engine, prompts: Sequence[Prompt], folder: RunFolder) -> dict[str, Any] | None:
    """Score some rollouts again by a plain forward pass: whole groups, as a training step would.

    Returns:
        `num_prompts`, `num_rollouts`, `num_tokens` (prompt and completion), `seconds`, `tokens_per_s`, and `max_gap_nats`, the largest
        absolute difference between the sampler's log-probability at temperature 1 and the scorer's, and
        `mean_gap_nats_by_prompt`, its mean over the tokens of each prompt; None without rollouts.
    """
    table = folder.rollouts(["prompt_id", "index", "token_ids", "logprobs_t1"])
    num_groups = min(RESCORED_GROUPS, len(prompts))
    chosen = {prompts[p * len(prompts) // num_groups].id for p in range(num_groups)}
    by_id = {prompt.id: prompt for prompt in prompts}
    of_chosen = [row for row in table.to_pylist() if row["prompt_id"] in chosen and row["index"] < RESCORED_OF_A_GROUP]
    kept = [row for row in of_chosen if row["token_ids"] and row["logprobs_t1"]]
    if not kept:
        return None
    encoded = {row["prompt_id"]: engine.encode(by_id[row["prompt_id"]]) for row in kept}
    rows = rows_to_score(encoded, [(row["prompt_id"], row["token_ids"]) for row in kept])
    started = time.monotonic()
    scored = engine.logprobs(rows)
    seconds = time.monotonic() - started
    gaps = [np.abs(np.asarray(again) - np.array(row["logprobs_t1"])) for again, row in zip(scored, kept, strict=True)]
    of_prompt = {key: [gap for gap, row in zip(gaps, kept, strict=True) if row["prompt_id"] == key] for key in encoded}
    num_tokens = sum(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    return {
        "num_prompts": len(encoded),
        "num_rollouts": len(rows),
        "num_tokens": num_tokens,
        "seconds": seconds,
        "tokens_per_s": num_tokens / max(seconds, 1e-9),
        "max_gap_nats": float(np.concatenate(gaps).max()),
        "mean_gap_nats_by_prompt": [float(np.concatenate(parts).mean()) for parts in of_prompt.values()],
    }
