"""A held-out evaluation in the middle of training: a run folder like any other, so that every verb reads it, and one line about it.

The same prompts and the same seed at every evaluation, so that before and after are paired. One response a prompt is scored again under
the starting policy: the mean of log p / p_start over them is an unbiased estimate of the KL that training has spent.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow.compute as pc

from jominy.engines import TrainingEngine
from jominy.measures.drift import kl_to_start
from jominy.measures.passk import measure_passk
from jominy.records import AnyReward, Measure, Prompt, Retrying, RewardFunction
from jominy.sampling import draw, start_run
from jominy.specs import RunSpec
from jominy.steplog import write_start_logprobs
from jominy.store import RunFolder
from jominy.tables import groups_of
from jominy.watching import Panel


def evaluate(
    engine: TrainingEngine,
    spec: RunSpec,
    prompts: Sequence[Prompt],
    rewards: tuple[AnyReward, RewardFunction | None],
    folder: RunFolder,
    step: int,
    panel: Panel,
    retrying: Retrying | None = None,
) -> dict[str, Any]:
    """Draws and grades the held-out prompts into `folder`; a folder that an earlier call finished is read, not drawn again.

    With `retrying`, that of the task which the prompts are of, the rollouts get their spans.

    Returns:
        the line of evaluations.jsonl.
    """
    started = time.monotonic()
    if not (folder.exists() and folder.read_run()["status"] == "finished"):
        _draw(engine, spec, prompts, rewards, folder, step, panel, retrying)
    kl = None if step == 0 or spec.temperature != 1 else _kl(engine, prompts, folder)
    groups = groups_of(folder.rollouts(), spec.data.success)
    return {
        "step": step,
        "folder": f"{folder.path.parent.name}/{folder.path.name}",
        "pass_at_1": _estimate(measure_passk(groups, ks=(1,)).curve[0]),
        "kl_nats": None if kl is None else _estimate(kl),
        "mean_length": None if groups.num_tokens_N is None else float(np.mean(groups.num_tokens_N)),
        "truncated_share": None if groups.truncated_N is None else float(np.mean(groups.truncated_N)),
        "num_prompts": groups.num_prompts,
        "num_rollouts": groups.num_rollouts,
        "num_unscored": groups.num_unscored,
        "seconds": time.monotonic() - started,
    }


def _draw(
    engine: TrainingEngine,
    spec: RunSpec,
    prompts: Sequence[Prompt],
    rewards: tuple[AnyReward, RewardFunction | None],
    folder: RunFolder,
    step: int,
    panel: Panel,
    retrying: Retrying | None,
) -> None:
    sampler = engine.sampler(step)
    sampling = spec.sampling(spec.evaluate.eval_task or spec.task, len(prompts), spec.evaluate.eval_rollouts)
    run = start_run(folder, sampling, sampler, prompts)
    panel.stage("evaluating", len(prompts) * sampling.rollouts)
    draw(sampler, sampling, folder, run, prompts, *rewards, panel.advance, retrying)
    folder.write_run({**run, "status": "finished", "spec": asdict(sampling)})


def _kl(engine: TrainingEngine, prompts: Sequence[Prompt], folder: RunFolder) -> Measure:
    """KL to the start a token, on the first response to each prompt."""
    table = folder.rollouts(["prompt_id", "index", "token_ids", "logprobs_t1"])
    first = table.filter(pc.equal(table["index"], 0)).to_pylist()
    rows = {row["prompt_id"]: row for row in first if row["token_ids"]}
    with_one = [prompt for prompt in prompts if prompt.id in rows]
    kept = [rows[prompt.id] for prompt in with_one]
    start = engine.start_logprobs(engine.rows_to_score(with_one, [row["token_ids"] for row in kept]), 1.0)
    write_start_logprobs(folder.path, [row["prompt_id"] for row in kept], [0] * len(kept), start)
    gaps_P = np.array([np.sum(row["logprobs_t1"]) - np.sum(before) for row, before in zip(kept, start, strict=True)])
    tokens_P = np.array([len(row["token_ids"]) for row in kept], dtype=float)
    return kl_to_start(gaps_P, tokens_P, np.ones(len(kept)), np.random.default_rng(0))[1]


def _estimate(measure: Measure) -> dict[str, float | None]:
    return {"value": measure.value, "low": measure.low, "high": measure.high}
