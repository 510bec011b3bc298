"""What an objective would have credited on rollouts that are there: its coefficients c_t by name of the recipe, and where they lie.

    c_t = scale_t * w_t,      w_t = weigh(logp, logp, reference, advantage), so on policy: the first update on these rollouts

`advantage` is the recipe's own credit of the groups and `scale` its divisor over all rollouts that it keeps, as in training. A KL needs
log-probabilities under the start, which an evaluation holds of some responses (usually one a prompt): such an objective is counted on
these alone, its advantages and divisors being those of all; and since its coefficients are mostly the reward's, both are shown apart too:

    KL alone       advantage = 0                  reward alone    reference = old, so that every log-ratio of the KL is 0

On policy the two add up to the whole. All are told in units of the whole objective's mean |c| a token. Demonstrations are no rollouts:
`sft` here is weight 1 on these same responses.
The first level of attribution of 2601.01580 as we read it (the definitions are ours). Left out on purpose: what the coefficients say
(`measures.attribution`), gradients (`gradients`), and log-probabilities after more updates, at which ratios and clips would act.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jominy.crediting import groups_of_rollouts, rows_to_step
from jominy.decided import Credited
from jominy.deciding.columns import Tables
from jominy.deciding.rollouts import groups_of_stored, key_of
from jominy.groups import Groups
from jominy.measures.attempts import NONE
from jominy.measures.attribution import attribute
from jominy.measures.credit import value_share
from jominy.recipes.loading import load_recipe
from jominy.recipes.recipe import Recipe
from jominy.records import Bools, Floats, Measure, Rollout, Skipped, TrainRow

OBJECTIVES = ("grpo", "sft", "rft", "grpo:kl=k3", "grpo:kl=k1_reward")
"""What is asked about where nothing is named: one of each kind."""
NOT_ASKED = "`--gradients` was not asked for"
REWARD_ALONE, KL_ALONE = "reward alone", "KL alone"
NLL = "decision's share of the NLL"
OF_NLL = "Share of the negative log-likelihood of the responses that lies on decision tokens: what SFT on them would spend there."
KL = "decision's share of the KL"
OF_KL = "Share of p_start / p - 1 + log p / p_start, whose mean is the divergence from the start, that lies on decision tokens."
LEAST_KL = 1e-8
"""Nats a token; below it a KL is the rounding of log-probabilities that two passes computed."""
SAME_ROLLOUTS = "weight 1 on these same responses; training with it learns the task's gold answers, which are other texts"
Start = Mapping[tuple[str, int], Floats]
"""(prompt id, index) -> [T] nats under the starting policy at temperature 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The rows that an objective would step on.

    Example: Rows(recipe=load_recipe("grpo"), rows=(...), rollouts=(0, 1, 3), num_kept=4)
    """

    recipe: Recipe
    """Which objective."""
    rows: tuple[TrainRow, ...]
    """Those with a token that trains; with reference log-probabilities where the recipe asks for them."""
    positions: tuple[int, ...]
    """Which of the rollouts each is of, increasing."""
    num_kept: int
    """Rollouts that the recipe trains on, those included whose coefficients are all 0."""


def with_start(rollouts: Sequence[Rollout], start: Start | None) -> tuple[list[Rollout], str]:
    """(the rollouts whose log-probabilities under the start can be compared with the sampler's, why there are none; else empty).

    Raises:
        ValueError: the start's log-probabilities are of other rollouts.
    """
    if start is None:
        return [], "log-probabilities of the responses under the starting policy (start_logprobs.parquet of an evaluation)"
    temperatures = {rollout.temperature for rollout in rollouts}
    if temperatures != {1.0}:
        told = ", ".join(f"{temperature:g}" for temperature in sorted(temperatures))
        return [], f"responses drawn at temperature 1, at which the start's log-probabilities are; these were drawn at {told}"
    found = [rollout for rollout in rollouts if (rollout.prompt_id, rollout.index) in start and rollout.logprobs is not None]
    for rollout in found:
        num_tokens = len(start[rollout.prompt_id, rollout.index])
        if num_tokens != len(rollout.token_ids):
            raise ValueError(
                f"response {rollout.index} of prompt {rollout.prompt_id} has {len(rollout.token_ids)} tokens and {num_tokens} "
                "log-probabilities under the start; start_logprobs.parquet is of other rollouts, delete it or score them again"
            )
    return found, "" if found else "log-probabilities under the starting policy of at least one of these responses"


def rows_of(
    objective: str,
    rollouts: Sequence[Rollout],
    *,
    success: float,
    max_tokens: int,
    start: Start | None,
    prompt_ids: Mapping[str, Sequence[int]] | None = None,
) -> Rows | Skipped:
    """The rows of one step of an objective on rollouts.

    Args:
        objective: a recipe, as `--recipe` takes it.
        rollouts: graded, with spans, those of a prompt side by side.
        success: a response is right from here on.
        max_tokens: longest response of the run.
        start: as `with_start` takes it.
        prompt_ids: prompt tokens by id, for gradients; None where nobody reads them.

    Raises:
        ValueError: there is no such recipe, its options are wrong, or it refuses rollouts that lack nothing we know of.
    """
    recipe = load_recipe(objective, max_tokens)
    if recipe.source == "corrected":
        return Skipped(code=objective, missing="responses cut behind a wrong decision and put right, which are other texts than these")
    scored, why = with_start(rollouts, start) if recipe.needs_reference else (list(rollouts), "")
    if why:
        return Skipped(code=objective, missing=why)
    batch = groups_of_stored(rollouts)
    groups = groups_of_rollouts(batch, success)
    try:
        advantages_N, keep_N = recipe.credit(groups), recipe.keep(groups)
    except ValueError as error:
        lacking = _lacking(groups)
        if not lacking:
            raise
        return Skipped(code=objective, missing=f"{lacking} ({error})")
    encoded: Mapping[str, Sequence[int]] = {rollout.prompt_id: [0] for rollout in rollouts} if prompt_ids is None else prompt_ids
    rows, positions = rows_to_step(recipe, batch, groups, advantages_N, encoded)
    wanted = set(map(key_of, scored))
    place = {key: number for number, key in enumerate(key for key in map(key_of, rollouts) if key in wanted)}
    kept_rows, kept_positions = [], []
    for row, position in zip(rows, positions.tolist(), strict=True):
        key = key_of(rollouts[position])
        if key in place:
            kept_rows.append(_with_reference(row, rollouts[position], start if recipe.needs_reference else None))
            kept_positions.append(place[key])
    num_kept = sum(bool(keep) and key_of(rollout) in wanted for keep, rollout in zip(keep_N, rollouts, strict=True))
    return Rows(recipe=recipe, rows=tuple(kept_rows), positions=tuple(kept_positions), num_kept=num_kept)


def coefficients(rows: Rows, rollouts: Sequence[Rollout]) -> Floats:
    """[M] c_t of all tokens of the rollouts in a row, 0 where the objective does nothing."""
    found = [np.zeros(len(rollout.token_ids)) for rollout in rollouts]
    for row, position in zip(rows.rows, rows.positions, strict=True):
        found[position] = np.asarray(rows.recipe.weigh(*_on_policy(row))[0] * row.scale, dtype=np.float64)
    return np.concatenate(found) if found else np.zeros(0)


def clips(rows: Rows, rollouts: Sequence[Rollout]) -> Bools | None:
    """[M] whether the clip takes the token's coefficient away; None where the recipe has none.

    At the first update the ratio is 1, so a clip of the ratio takes nothing there; one of the user's own may.
    """
    if rows.recipe.clipped is None:
        return None
    found = [np.zeros(len(rollout.token_ids), dtype=bool) for rollout in rollouts]
    for row, position in zip(rows.rows, rows.positions, strict=True):
        found[position] = np.asarray(rows.recipe.clipped(*_on_policy(row))[0], dtype=bool) & row.inside
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def parts_of(rows: Rows) -> tuple[tuple[str, Rows], ...]:
    """(name, the same rows with nothing but this part) of the reward and the KL; () where the recipe has no KL."""
    if not rows.recipe.needs_reference:
        return ()
    paid = tuple(replace(row, reference_logprobs=row.old_logprobs) for row in rows.rows)
    held = tuple(replace(row, advantages=np.zeros(len(row.advantages))) for row in rows.rows)
    return (REWARD_ALONE, replace(rows, rows=paid)), (KL_ALONE, replace(rows, rows=held))


def credited(objective: str, rows: Rows, tables: Tables) -> Credited:
    """Where an objective puts its coefficients; with its parts, where it has a KL.

    Args:
        objective: its name.
        rows: of it, positions being those of `tables.rollouts`.
        tables: the rollouts that are counted.
    """
    notes = [SAME_ROLLOUTS] if rows.recipe.source == "demonstrations" else []
    if rows.recipe.needs_reference:
        notes.append("counted on the responses that were scored under the starting policy, and so are its parts")
    unit = mean_size(rows, tables)
    parts = tuple(replace(_credited(objective, part, tables, unit), part=name) for name, part in parts_of(rows))
    return replace(_credited(objective, rows, tables, unit), notes=tuple(notes), parts=parts)


def mean_size(rows: Rows, tables: Tables) -> float:
    """Mean |c| of a token of a stage, 1 where all are 0: the unit that coefficients are told in, for divisors make them tiny."""
    found_M = np.abs(coefficients(rows, tables.rollouts))[tables.tokens.stage_M != NONE]
    return float(found_M.mean()) or 1.0 if len(found_M) else 1.0


def value_shares(whole: Tables, scored: Tables | None, start: Start | None) -> tuple[Measure, ...]:
    """The decision tokens' part of the NLL of the responses and of their KL; without a value, and with the reason, where unknown.

    Both at temperature 1: SFT knows no other, and the start was scored at it.
    """
    return _nll_share(whole), _kl_share(whole, scored, start)


def _nll_share(whole: Tables) -> Measure:
    known = [found for found in map(_logprobs_t1, whole.rollouts) if found is not None]
    if len(known) < len(whole.rollouts):
        missing = f"{len(whole.rollouts) - len(known):,} of {len(whole.rollouts):,} responses have no log-probabilities at temperature 1"
        return Measure(name=NLL, value=None, why_none=missing, meaning=OF_NLL)
    return value_share(whole.tokens, -np.concatenate([np.zeros(0), *known]), name=NLL, meaning=OF_NLL)


def _kl_share(whole: Tables, scored: Tables | None, start: Start | None) -> Measure:
    """Of k3, which has the mean of log p / p_start and is never below 0: a share of values of both signs may be anything."""
    if scored is None or start is None:
        missing = with_start(whole.rollouts, start)[1]
        return Measure(name=KL, value=None, why_none=f"it needs {missing}", meaning=OF_KL)
    gaps = [np.asarray(rollout.logprobs, dtype=np.float64) - start[key_of(rollout)] for rollout in scored.rollouts]
    gap_M = np.concatenate(gaps)
    kl_M = np.maximum(np.expm1(-gap_M) + gap_M, 0.0)
    if kl_M.sum() < LEAST_KL * max(len(kl_M), 1):
        return Measure(name=KL, value=None, why_none="the policy is still the start, but for rounding", meaning=OF_KL)
    return value_share(scored.tokens, kl_M, name=KL, meaning=OF_KL)


def _credited(objective: str, rows: Rows, tables: Tables, unit: float) -> Credited:
    found_M, clipped_M = coefficients(rows, tables.rollouts) / unit, clips(rows, tables.rollouts)
    return Credited(
        objective=objective,
        num_rollouts=len(tables.rollouts),
        num_kept=rows.num_kept,
        mean_size=unit,
        attribution=attribute(tables.tokens, tables.attempts, found_M, clipped_M),
        logits=None,
        gradient=None,
        why_no_gradient=NOT_ASKED,
        notes=(),
    )


def _on_policy(row: TrainRow) -> tuple[Any, ...]:
    """What `weigh` and `clipped` are given of a row, each [1, T]."""
    # where nothing is compared with a start, only logp - old is looked at, which is 0 on policy
    logp_1T: Floats = np.zeros((1, len(row.completion_ids))) if row.old_logprobs is None else row.old_logprobs[None]
    reference_1T = None if row.reference_logprobs is None else row.reference_logprobs[None]
    factors: tuple[Floats, ...] = () if row.kl_factors is None else (row.kl_factors[None],)
    return logp_1T, logp_1T, reference_1T, row.advantages[None], row.inside[None], *factors


def _lacking(groups: Groups) -> str:
    """What recipes may need and these rollouts have not; empty where nothing is."""
    needs = []
    if np.any(np.diff(groups.offsets_P1) == 1):
        needs.append("at least two responses to each prompt")
    if groups.probability_N is None or not np.any(np.isfinite(groups.probability_N)):
        needs.append("the probability of each response (log-probabilities at temperature 1)")
    return " and ".join(needs)


def _logprobs_t1(rollout: Rollout) -> Floats | None:
    found = rollout.logprobs if rollout.logprobs_t1 is None and rollout.temperature == 1 else rollout.logprobs_t1
    return None if found is None else np.asarray(found, dtype=np.float64)


def _with_reference(row: TrainRow, rollout: Rollout, start: Start | None) -> TrainRow:
    if start is None:
        return row
    assert rollout.logprobs is not None
    return replace(
        row,
        old_logprobs=np.asarray(rollout.logprobs, dtype=np.float64),
        reference_logprobs=np.asarray(start[key_of(rollout)], dtype=np.float64),
    )
