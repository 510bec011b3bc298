"""The optimiser updates of one step: credit over the whole step, then rows, old and reference log-probabilities, and the engine's step.

With several mini-batches the first is on policy and the others are not: their log-probabilities are taken once, before the first update.
The divisor is that of the rows an update sees; the advantages are those of the whole step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jominy.batches import Batch, Drawn
from jominy.crediting import groups_of_rollouts, rows_to_step
from jominy.engines import TrainingEngine
from jominy.preparing import Plan
from jominy.records import Floats, Prompt, Rollout, TrainRow
from jominy.stepline import learned, weighed


def update(
    engine: TrainingEngine, plan: Plan, batch: Batch, learning_rate: float, norm_limit: float, prompt_ids: dict[str, list[int]]
) -> dict[str, Any]:
    """Learns from a batch.

    Args:
        engine: whose weights move.
        plan: recipe and settings.
        batch: graded groups.
        learning_rate: of this step.
        norm_limit: a gradient norm above this is an explosion.
        prompt_ids: prompt tokens by `Prompt.id`.

    Returns:
        what a step's line says of it (`stepline.learned` and `weighed`), `num_credited` and `update_tokens`.

    Raises:
        Explosion: see `TrainingEngine.step`.
    """
    recipe = plan.recipe
    advantages_N = recipe.credit(batch.groups)
    parts = _parts(plan, batch, advantages_N, prompt_ids)
    if recipe.needs_reference:
        for number, (rows, of) in enumerate(parts):
            start = engine.start_logprobs(rows, plan.spec.temperature)
            parts[number] = [replace(row, reference_logprobs=each) for row, each in zip(rows, start, strict=True)], of
    for number, (rows, of) in list(enumerate(parts))[1:]:
        old = engine.logprobs(rows)
        parts[number] = [replace(row, old_logprobs=each) for row, each in zip(rows, old, strict=True)], of
    reports = [engine.step(rows, recipe.weigh, learning_rate, recipe.clipped, norm_limit) for rows, _ in parts]
    rows = [row for part, _ in parts for row in part]
    seen = [each for report in reports for each in report.seen.logprobs]
    logprobs = [each if row.old_logprobs is None else row.old_logprobs for row, each in zip(rows, seen, strict=True)]
    clips = [each for report in reports if report.seen.clipped is not None for each in report.seen.clipped]
    return {
        **learned(
            [rollout for _, of in parts for rollout in of],
            logprobs,
            [each for report in reports for each in report.seen.weights],
            clips or None,
            max(report.grad_norm for report in reports),
        ),
        "num_credited": sum(bool(row.advantages[row.inside].any()) for row in rows),
        "group_weights": None if recipe.group_weights is None else weighed(recipe.group_weights(batch.groups)),
        "update_tokens": sum(report.seen.num_tokens for report in reports),
    }


def kl_to_start(engine: TrainingEngine, batch: Batch, prompts: dict[str, Prompt], num_rollouts: int) -> float | None:
    """Mean over tokens of log p / p_start on the first responses of each group that was drawn; None when there are none.

    Both at the sampling temperature: the responses are drawn from that policy, so the mean is unbiased for its divergence.
    """
    some = [rollout for group in batch.drawn for rollout in group[:num_rollouts] if rollout.logprobs is not None]
    if not some:
        return None
    rows = engine.rows_to_score([prompts[rollout.prompt_id] for rollout in some], [rollout.token_ids for rollout in some])
    before = engine.start_logprobs(rows, some[0].temperature)
    gaps = [np.asarray(rollout.logprobs) - start for rollout, start in zip(some, before, strict=True)]
    return float(np.concatenate(gaps).mean())


def _parts(plan: Plan, batch: Batch, advantages_N: Floats, prompt_ids: dict[str, list[int]]) -> list[tuple[list[TrainRow], list[Rollout]]]:
    """(rows, their rollouts) of each update: the groups in `minibatches` runs of neighbours."""
    ends = np.linspace(0, len(batch.trained), plan.spec.update.minibatches + 1).astype(int)
    offsets = batch.groups.offsets_P1
    parts = []
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        groups: Drawn = batch.trained[first:last]
        columns = groups_of_rollouts(groups, plan.spec.data.success)
        rows, positions = rows_to_step(plan.recipe, groups, columns, advantages_N[offsets[first] : offsets[last]], prompt_ids)
        flat = [rollout for group in groups for rollout in group]
        parts.append((rows, [flat[position] for position in positions.tolist()]))
    return parts
