"""From graded groups and a recipe to the rows of an optimiser step. Here reward, advantage and weight meet.

    keep -> which rollouts train;  credit -> A_i;  divide -> scale_it over all kept rollouts;  rows with A = 0 are not computed
    A_it = A_i inside the recipe's credit_spans, 0 outside;      f_it, what the KL is multiplied by, from its kl_spans

The divisor counts all tokens that train (`spans`), with credit or without. Not computing rows is exact for recipes that say
`zero_stays_zero`: a zero weight contributes a zero gradient. They still count in `divide`. Where no rollout has a token in a wanted span
there are no rows, and the step moves nothing.
Left out on purpose: old and reference log-probabilities; who owns the engine adds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jominy.groups import Groups
from jominy.recipes.masks import DECISION, SAMPLING, layout, lying_in
from jominy.recipes.penalties import balanced_factors
from jominy.recipes.recipe import Recipe
from jominy.records import Bools, Floats, Ints, Rollout, TrainRow


def groups_of_rollouts(batch: Sequence[Sequence[Rollout]], success: float) -> Groups:
    """Graded groups as columns; right is gold where it is known, else a reward at or above `success`."""
    flat = [rollout for group in batch for rollout in group]
    values = [None if rollout.reward is None else rollout.reward.value for rollout in flat]
    rewards_N = np.array([0.0 if value is None else value for value in values])
    scored_N = np.array([value is not None for value in values], dtype=bool)
    truth_N = np.array([reward if rollout.gold is None else rollout.gold for rollout, reward in zip(flat, rewards_N, strict=True)])
    has_gold = any(rollout.gold is not None for rollout in flat)
    return Groups(
        offsets_P1=np.cumsum([0, *map(len, batch)]),
        rewards_N=rewards_N,
        scored_N=scored_N,
        correct_N=scored_N & (truth_N >= success),
        paid_N=scored_N & (rewards_N >= success) if has_gold else None,
        probability_N=np.array([_probability(rollout.logprobs_t1) for rollout in flat]),
        truncated_N=np.array([rollout.stop == "length" for rollout in flat], dtype=bool),
        num_tokens_N=np.array([len(rollout.token_ids) for rollout in flat], dtype=np.int64),
        prompt_ids=tuple(group[0].prompt_id if group else "" for group in batch),
    )


def _probability(logprobs: Floats | None) -> float:
    return float("nan") if logprobs is None or not len(logprobs) else float(np.exp(np.mean(logprobs)))


def live_groups(keep_N: Bools, groups: Groups) -> Bools:
    """[P] groups of which something is kept: what dynamic sampling fills its batch with."""
    return groups.count_P(keep_N) > 0


def rows_to_step(
    recipe: Recipe, batch: Sequence[Sequence[Rollout]], groups: Groups, advantages_N: Floats, prompt_ids: Mapping[str, Sequence[int]]
) -> tuple[list[TrainRow], Ints]:
    """The rows of one optimiser step, and which rollouts they are.

    Args:
        recipe: what to learn from them.
        batch: the graded groups.
        groups: the same as columns.
        advantages_N: [N] `recipe.credit` of the step.
        prompt_ids: prompt tokens by `Prompt.id`.

    Returns:
        rows, none where nothing trains, and the [R] positions among the rollouts they belong to, increasing.
    """
    flat = [rollout for group in batch for rollout in group]
    keep_N = recipe.keep(groups) & groups.scored_N & (np.asarray(groups.num_tokens_N) > 0)
    kept = np.flatnonzero(keep_N)
    rollouts = [flat[position] for position in kept.tolist()]
    inside_KT, segment_KT = layout(rollouts, recipe.spans)
    scale_KT = recipe.divide(inside_KT, segment_KT)
    credited_KT = lying_in(rollouts, recipe.credit_spans) if recipe.credit_spans else np.ones_like(inside_KT)
    factors_KT = _kl_factors(recipe, rollouts, inside_KT)
    rows, positions = [], []
    for number, position in enumerate(kept.tolist()):
        length = len(flat[position].token_ids)
        inside, scale = inside_KT[number, :length], scale_KT[number, :length]
        advantages = np.where(credited_KT[number, :length], float(advantages_N[position]), 0.0)
        if not inside.any() or (recipe.zero_stays_zero and not advantages[inside].any()):
            continue
        row = TrainRow(
            prompt_ids=np.asarray(prompt_ids[flat[position].prompt_id], dtype=np.int64),
            completion_ids=np.asarray(flat[position].token_ids, dtype=np.int64),
            advantages=advantages,
            inside=inside,
            scale=scale,
            kl_factors=None if factors_KT is None else factors_KT[number, :length],
        )
        rows.append(row)
        positions.append(position)
    return rows, np.array(positions, dtype=np.int64)


def _kl_factors(recipe: Recipe, rollouts: Sequence[Rollout], inside_KT: Bools) -> Floats | None:
    """[K, T] what the KL term of each token is multiplied by; None is 1 everywhere."""
    if recipe.kl_balanced:
        sampling_KT, decision_KT = (lying_in(rollouts, (stage,)) & inside_KT for stage in (SAMPLING, DECISION))
        return balanced_factors(sampling_KT, decision_KT)
    return lying_in(rollouts, recipe.kl_spans).astype(np.float64) if recipe.kl_spans else None
