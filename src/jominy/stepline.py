"""One line of steps.jsonl: what a step drew, what it learned from, how it went. Pure: numbers in, numbers out.

    entropy_nats   mean of -log p(drawn token) under the sampler: unbiased for its entropy a token (top-p 1)
    ess            (sum_i m_i)^2 / sum_i m_i^2 with m_i = sum_t |w_it|: rows that carry the step, out of num_rows
    num_credited   rows with an advantage other than 0 on a token that trains; a KL alone moves the others
    gap_nats       mean |trainer - sampler| log-probability of the tokens that were trained, before the step
    kl_nats        mean over tokens of log p / p_start on responses of the present policy: unbiased for the KL a token
    reward_accuracy   share of the scored responses with gold of which reward and gold say the same, right or wrong          (2504.16084)
    reward_parts      mean of each named part of the reward, over the scored responses that have it
    group_weights     of the groups that train, where a recipe weighs groups: quantiles of w, and (sum w)^2 / (n sum w^2) as `ess_share`

What was not measured is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from jominy.crediting import groups_of_rollouts
from jominy.groups import Groups
from jominy.recipes.recipe import GroupWeights
from jominy.records import Bools, Floats, Rollout

MOST_PARTS = 32
"""Parts of the reward that a line names, the most common ones: a reward may make up a name for every prompt."""
QUANTILES = {"min": 0.0, "low": 0.1, "median": 0.5, "high": 0.9, "max": 1.0}
"""What is told of the weights of groups."""


def drawn(batch: Sequence[Sequence[Rollout]], success: float) -> dict[str, Any]:
    """What was drawn: rewards, shares, lengths."""
    groups = groups_of_rollouts(batch, success)
    flat = [rollout for group in batch for rollout in group]
    scored_P, right_P = groups.num_scored_P(), groups.num_correct_P()
    rewards = groups.rewards_N[groups.scored_N]
    golds = [rollout.gold for rollout in flat if rollout.gold is not None]
    surprisal = [-rollout.logprobs for rollout in flat if rollout.logprobs is not None]
    usable_P = scored_P > 0
    tokens = [len(rollout.token_ids) for rollout in flat]
    return {
        "num_prompts": len(batch),
        "num_rollouts": len(flat),
        "num_unscored": groups.num_unscored,
        "reward": _mean(rewards),
        "gold": _mean(golds),
        "reward_accuracy": reward_accuracy(flat, success),
        "reward_parts": reward_parts(flat),
        "pass_rate": _mean(groups.correct_N[groups.scored_N]),
        "live_share": _mean(_differ(groups)[usable_P]),
        "all_right_share": _mean((right_P == scored_P)[usable_P]),
        "all_wrong_share": _mean((right_P == 0)[usable_P]),
        "mean_length": _mean(tokens),
        "truncated_share": _mean([rollout.stop == "length" for rollout in flat]),
        "entropy_nats": _mean(np.concatenate(surprisal)) if surprisal else None,
        "num_tokens": sum(tokens),
    }


def reward_accuracy(rollouts: Sequence[Rollout], success: float) -> float | None:
    """Share on which the reward that pays and the truth agree about success; None without gold, or where rewards leave [0, 1]: a mean
    log-probability says nothing about right and wrong.
    """
    known = [
        (rollout.reward.value, rollout.gold)
        for rollout in rollouts
        if rollout.reward is not None and rollout.reward.value is not None and rollout.gold is not None
    ]
    if any(not 0 <= value <= 1 for value, _ in known):
        return None
    return _mean([(value >= success) == (gold >= success) for value, gold in known])


def reward_parts(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """{part: mean}, by name; a part stands for the responses that have it."""
    scored = [rollout.reward.parts for rollout in rollouts if rollout.reward is not None and rollout.reward.value is not None]
    counts = Counter(name for parts in scored for name in parts)
    common = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_PARTS]
    return {name: float(np.mean([parts[name] for parts in scored if name in parts])) for name in sorted(common)}


def _differ(groups: Groups) -> Bools:
    """[P] whether a group's scored rewards are not all equal."""
    differ_P = np.zeros(groups.num_prompts, dtype=bool)
    for block in groups.blocks():
        rewards_Bn = block.cut(groups.rewards_N)
        differ_P[block.prompts_B] = rewards_Bn.min(axis=1) < rewards_Bn.max(axis=1)
    return differ_P


def learned(
    rows: Sequence[Rollout], logprobs: Sequence[Floats], weights: Sequence[Floats], clipped: Sequence[Bools] | None, grad_norm: float
) -> dict[str, Any]:
    """What was learned from.

    Args:
        rows: [R] the rollouts that were trained on.
        logprobs: [R] of [T] trainer's log-probabilities before the step.
        weights: [R] of [T] token weights.
        clipped: [R] of [T] or None.
        grad_norm: before it was scaled down.
    """
    mass_R = np.array([np.abs(each).sum() for each in weights])
    gaps = [np.abs(ours - row.logprobs) for ours, row in zip(logprobs, rows, strict=True) if row.logprobs is not None]
    gap = np.concatenate(gaps) if gaps else None
    return {
        "num_rows": len(rows),
        "clip_share": None if clipped is None else _mean(np.concatenate(list(clipped))),
        "ess": float(mass_R.sum() ** 2 / (mass_R**2).sum()) if mass_R.any() else None,
        "grad_norm": grad_norm,
        "gap_nats": None if gap is None else float(gap.mean()),
        "max_gap_nats": None if gap is None else float(gap.max()),
    }


def weighed(weights: GroupWeights) -> dict[str, Any]:
    """How a step weighed its groups.

    Returns:
        `min`, `low`, `median`, `high`, `max` (quantiles 0, 0.1, 0.5, 0.9, 1) and `ess_share` of the weights of the groups that train,
        `num_groups` of them, `num_weighed` with a weight other than 1 before it was normalised, `below_zero_share` with S' < 0 of those
        that have an S', and `num_unknown` responses without log-probabilities. Noise alone often gives S' < 0.

    >>> all_true = np.array([True, True])
    >>> of = GroupWeights(weight_P=np.array([0.8, 1.2]), plain_P=np.array([0.8, 1.2]), trains_P=all_true, defined_P=all_true,
    ...                   below_zero_P=np.array([False, True]), num_unknown=0)
    >>> round(weighed(of)["ess_share"], 4), weighed(of)["below_zero_share"]      # (0.8 + 1.2)^2 / (2 (0.64 + 1.44)) = 4 / 4.16
    (0.9615, 0.5)
    """
    weight_L = weights.weight_P[weights.trains_P]
    known = len(weight_L) > 0
    quantiles = {name: float(np.quantile(weight_L, at)) if known else None for name, at in QUANTILES.items()}
    return {
        **quantiles,
        "ess_share": float(weight_L.sum() ** 2 / (len(weight_L) * (weight_L**2).sum())) if known else None,
        "num_groups": len(weight_L),
        "num_weighed": int(np.count_nonzero(weights.plain_P[weights.trains_P] != 1)),
        "below_zero_share": _mean(weights.below_zero_P[weights.trains_P & weights.defined_P]),
        "num_unknown": weights.num_unknown,
    }


def _mean(values: Any) -> float | None:
    """Mean, None of nothing."""
    return float(np.mean(values)) if len(values) else None
