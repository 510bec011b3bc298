"""How far an objective's coefficients reach: the logits (level 1) and the parameters (level 2) of the policy that drew the rollouts.

    level 1   |c_t| sqrt(1 - 2 pi_a + ||pi||^2), the length of the gradient at the logits            (`LocalEngine.logit_norms`)
    level 2   gradients of sampling and of decision tokens over M micro-batches of prompts, signal and noise apart    (`engines.masked`)

A micro-batch is the rows of some prompts with the divisors of the whole, so that their mean is the whole gradient over M; where they do not
hold equally many prompts, `masked` weighs them. Both levels are those of the policy at the temperature it drew at; greedy responses have
none. Where a model has more than 20 million parameters, gradients are compared through a CountSketch of 65,536 numbers. An objective with a
KL has both levels for reward and KL alone, too. Levels of 2601.01580 as we read it. Left out on purpose: anything that needs a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jominy.decided import Credited
from jominy.deciding.coefficients import Rows, coefficients, parts_of
from jominy.deciding.columns import Tables
from jominy.engines.learner import Learner
from jominy.engines.local import LocalEngine
from jominy.engines.masked import masked_gradients
from jominy.engines.passes import Passes
from jominy.measures.attribution import logit_attribution
from jominy.measures.signal import signal_and_noise
from jominy.records import Floats, Ints, Row, TrainRow

MOST_BATCHES = 16
PROJECT_ABOVE = 20_000_000
PROJECTION = 1 << 16


def why_no_gradients(tables: Tables) -> str:
    """Why neither level can be said of these rollouts; empty where both can."""
    temperatures = sorted({rollout.temperature for rollout in tables.rollouts})
    if len(temperatures) > 1:
        told = ", ".join(f"{temperature:g}" for temperature in temperatures)
        return f"the responses were drawn at several temperatures ({told}), so by several policies"
    return "greedy responses (temperature 0) are drawn from no distribution that has a gradient" if 0.0 in temperatures else ""


def logit_norms_of(engine: LocalEngine, tables: Tables, prompt_ids: Mapping[str, Sequence[int]]) -> Floats | None:
    """[M] of all tokens of the rollouts in a row, at the temperature they were drawn at; None where `why_no_gradients` says why."""
    if why_no_gradients(tables):
        return None
    rows = [
        Row(prompt_ids=np.asarray(prompt_ids[rollout.prompt_id], dtype=np.int64), completion_ids=rollout.token_ids)
        for rollout in tables.rollouts
        if len(rollout.token_ids)
    ]
    norms = engine.logit_norms(rows, tables.rollouts[0].temperature) if rows else []
    return np.concatenate([np.zeros(0), *norms])


def learner_of(engine: LocalEngine, temperature: float) -> Learner:
    """The model with its gradients; nothing is ever stepped."""
    return Learner(Passes(engine.network, temperature=temperature))


def with_gradients(found: Credited, rows: Rows, tables: Tables, logit_norm_M: Floats | None, learner: Learner, seed: int) -> Credited:
    """The same with both levels, and so its parts.

    Args:
        found: level 0.
        rows: of the objective, with prompt tokens.
        tables: the rollouts that are counted.
        logit_norm_M: of their tokens; None where there are none to be had.
        learner: of the policy that drew them, at their temperature.
        seed: of the sketch.
    """
    parts = [
        _with_levels(part, part_rows, tables, logit_norm_M, learner, seed)
        for part, (_, part_rows) in zip(found.parts, parts_of(rows), strict=True)
    ]
    return replace(_with_levels(found, rows, tables, logit_norm_M, learner, seed), parts=tuple(parts))


def _with_levels(found: Credited, rows: Rows, tables: Tables, logit_norm_M: Floats | None, learner: Learner, seed: int) -> Credited:
    """With both levels of these rows."""
    if logit_norm_M is None:
        return replace(found, gradient_asked=True, why_no_gradient=why_no_gradients(tables))
    logits = logit_attribution(tables.tokens, coefficients(rows, tables.rollouts) / found.mean_size, logit_norm_M)
    batches, stages, sizes = _micro_batches(rows, tables)
    if len(batches) < 2:
        why = "signal and noise need responses to at least two prompts"
        return replace(found, logits=logits, gradient_asked=True, why_no_gradient=why)
    num_parameters = sum(master.numel() for master in learner.masters)
    projection = PROJECTION if num_parameters > PROJECT_ABOVE else None
    sums = masked_gradients(learner, batches, stages, rows.recipe.weigh, sizes=sizes, projection=projection, seed=seed)
    sketched = () if projection is None else (f"gradients of {num_parameters:,} parameters compared through {projection:,} numbers",)
    gradient = signal_and_noise(sums.within_33, sums.of_means_33, num_batches=sums.num_batches)
    notes = (*found.notes, *sketched)
    return replace(found, logits=logits, gradient=gradient, gradient_asked=True, why_no_gradient="", notes=notes)


def _micro_batches(rows: Rows, tables: Tables) -> tuple[list[list[TrainRow]], list[list[Ints]], list[int]]:
    """(rows, their stages, number of prompts) of runs of neighbouring prompts, at most 16 of about one size; one may have no rows."""
    lengths = [len(rollout.token_ids) for rollout in tables.rollouts]
    starts = np.cumsum([0, *lengths])
    prompts = list(dict.fromkeys(rollout.prompt_id for rollout in tables.rollouts))
    num_batches = min(MOST_BATCHES, len(prompts))
    batch_of = {key: number * num_batches // len(prompts) for number, key in enumerate(prompts)}
    batches: list[list[TrainRow]] = [[] for _ in range(num_batches)]
    stages: list[list[Ints]] = [[] for _ in range(num_batches)]
    for row, position in zip(rows.rows, rows.positions, strict=True):
        batch = batch_of[tables.rollouts[position].prompt_id]
        batches[batch].append(row)
        stages[batch].append(tables.tokens.stage_M[starts[position] : starts[position + 1]])
    return batches, stages, np.bincount(list(batch_of.values()), minlength=num_batches).tolist()
