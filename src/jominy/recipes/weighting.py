"""Weights of groups: how much a group's advantages count beside the others', by what the probabilities of its answers say (2601.06911).

    w = exp(-beta x)             one x in [-1, 1] a group, beta = 0.2, and 0.1 and 0.5 in the paper's table 2 (`weight_beta`)

    clarity      x = S', the rectified silhouette                            the paper, eq. 5-8
    fisher       x = F' = +-(mean_right - mean_wrong)^2 / (var_right + var_wrong), beta = 0.01, w clipped to [0.95, 1.05]       app. C.3
    separation   x = (mean_right - mean_wrong) / (max P - min P)             its ablation; the formula is our choice
    pass_rate    x = 2 rho - 1, rho the share of right answers               its ablation; the formula is our choice
    random       x = S' of another group of the batch                        its ablation; that it permutes is our choice
    balanced     x = class-balanced S, rectified like S' (-|.| if inverted)  ours: S without the class sizes in it
    auroc        x = 2 AUROC - 1                                             ours: order alone, so no unit of P plays a part

w_norm=mean_1 divides all weights by their mean over the groups that train, those with an advantage other than 0, so that weighting does not
change the learning rate; none, the paper's, does not divide. P is at temperature 1 under the policy that drew, whatever the sampling
temperature; right means that the *training reward* reaches `success`, before any penalty on length and whatever gold says.

Ours, where the paper is silent: groups without right and wrong answers weigh 1, before the division; a class of one has s_i = 0, and so do
ties; F, whose variances have n - 1, needs two of each and spread, else 1. Rollouts without log-probabilities are left out of x and counted.
`random` is pure: its generator is seeded by a hash of rewards and probabilities of the batch, which no two steps share, and the order in
which groups stand plays no part. It keeps the weights of the batch exactly and gives them to the wrong groups.
Left out on purpose: S itself, which `measures.silhouette` owns, and weights of single responses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jominy.groups import Groups
from jominy.measures.silhouette import PromptClarity, prompt_clarity
from jominy.recipes.recipe import GroupWeights
from jominy.recipes.settings import GroupWeight
from jominy.recipes.shaping import right
from jominy.records import Bools, Floats

FISHER_LOW, FISHER_HIGH = 0.95, 1.05
"""Bounds of the Fisher weight (2601.06911, appendix C.3)."""

Score = Callable[[PromptClarity, Groups], Floats]
"""(clarity, the rollouts that entered it) -> [V] x of the groups with right and wrong answers; NaN where undefined."""


def group_weights(groups: Groups, trains_P: Bools, how: GroupWeight, success: float) -> GroupWeights:
    """The weight of each group.

    Args:
        groups: those of a step, with `probability_N`.
        trains_P: [P] groups with an advantage other than 0.
        how: which x, beta, and what the weights are divided by; its kind is not none.
        success: training rewards at or above this are right.

    Raises:
        ValueError: no response has a probability.

    >>> groups = Groups.of(rewards=[[1, 1, 0, 0], [1, 0, 0, 1]], probability=[[0.9, 0.9, 0.1, 0.1], [0.1, 0.9, 0.9, 0.1]])     # S' = 1, -1
    >>> group_weights(groups, np.array([True, True]), GroupWeight(kind="clarity"), 1.0).weight_P.round(4)
    array([0.8187, 1.2214])
    """
    entered = _entered(groups, how.kind, success)
    clarity = prompt_clarity(entered, entered.scored_N)
    plain_P, defined_P, below_zero_P = np.ones(groups.num_prompts), np.zeros(len(trains_P), dtype=bool), np.zeros(len(trains_P), dtype=bool)
    plain_P[clarity.prompts_V] = _weights(SCORES[how.kind](clarity, entered), how)
    defined_P[clarity.prompts_V] = True
    below_zero_P[clarity.prompts_V] = clarity.rectified_V < 0
    divisor = plain_P[trains_P].mean() if how.norm == "mean_1" and trains_P.any() else 1.0
    return GroupWeights(
        weight_P=plain_P / divisor,
        plain_P=plain_P,
        trains_P=trains_P,
        defined_P=defined_P,
        below_zero_P=below_zero_P,
        num_unknown=int(np.count_nonzero(groups.scored_N)) - entered.num_rollouts,
    )


def _entered(groups: Groups, kind: str, success: float) -> Groups:
    """The scored rollouts whose probability is known, right by their training reward."""
    known_N = np.zeros(groups.num_rollouts, dtype=bool) if groups.probability_N is None else np.isfinite(groups.probability_N)
    if groups.scored_N.any() and not (groups.scored_N & known_N).any():
        raise ValueError(
            f"weight={kind} needs the probability of each response (log-probabilities at temperature 1), and no response has one; let the "
            "engine return `logprobs_t1` of each rollout, or train with weight=none"
        )
    probability_N = np.ones(groups.num_rollouts) if groups.probability_N is None else groups.probability_N
    return replace(groups, correct_N=right(groups, success), probability_N=probability_N).only(groups.scored_N & known_N)


def _weights(score_V: Floats, how: GroupWeight) -> Floats:
    """[V] exp(-beta x), within the bounds of its kind; 1 where x is undefined."""
    exponent_V = -how.strength * np.where(np.isfinite(score_V), score_V, 0.0)
    if how.kind != "fisher":
        return np.asarray(np.exp(exponent_V))
    # F' has no bound, so exp would overflow before the clip; e and 1 / e lie far outside the clip.
    return np.clip(np.exp(np.clip(exponent_V, -1.0, 1.0)), FISHER_LOW, FISHER_HIGH)


def _silhouette(clarity: PromptClarity, entered: Groups) -> Floats:
    return clarity.rectified_V


def _fisher(clarity: PromptClarity, entered: Groups) -> Floats:
    # d' = (mean_right - mean_wrong) / sqrt((var_right + var_wrong) / 2), so F = d'^2 / 2, and d' has the sign.
    return np.sign(clarity.dprime_V) * clarity.dprime_V**2 / 2


def _separation(clarity: PromptClarity, entered: Groups) -> Floats:
    span_V = np.array([np.ptp(values) for values in _of_groups(entered.probability_N, clarity, entered)])
    return np.where(span_V > 0, clarity.separation_V / np.where(span_V > 0, span_V, 1.0), 0.0)


def _pass_rate(clarity: PromptClarity, entered: Groups) -> Floats:
    return 2 * clarity.pass_rate_V - 1


def _balanced(clarity: PromptClarity, entered: Groups) -> Floats:
    return np.where(clarity.separation_V >= 0, clarity.balanced_V, -np.abs(clarity.balanced_V))


def _auroc(clarity: PromptClarity, entered: Groups) -> Floats:
    return 2 * clarity.auroc_V - 1


def _random(clarity: PromptClarity, entered: Groups) -> Floats:
    """S' of the groups, permuted among them; groups of the same content, which have the same S', may swap what they get."""
    pairs = zip(_of_groups(entered.rewards_N, clarity, entered), _of_groups(entered.probability_N, clarity, entered), strict=True)
    digests = [_digest(np.asarray(rewards_n), np.asarray(probability_n)) for rewards_n, probability_n in pairs]
    order_V = np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)
    seed = hashlib.blake2b(b"".join(sorted(digests)), digest_size=16).digest()
    permuted_V = np.empty(len(digests))
    permuted_V[order_V] = np.random.default_rng(int.from_bytes(seed, "little")).permutation(clarity.rectified_V[order_V])
    return permuted_V


def _digest(rewards_n: Floats, probability_n: Floats) -> bytes:
    """Of a group's rewards and probabilities, in whatever order its rollouts stand."""
    rows_n2 = np.stack([rewards_n, probability_n], axis=1).astype("<f8")
    return hashlib.blake2b(rows_n2[np.lexsort(rows_n2.T)].tobytes(), digest_size=16).digest()


def _of_groups(column_N: Floats | None, clarity: PromptClarity, entered: Groups) -> list[Floats]:
    """[V] of [n] the column's values in each group with right and wrong answers."""
    assert column_N is not None
    offsets = entered.offsets_P1
    return [column_N[offsets[prompt] : offsets[prompt + 1]] for prompt in clarity.prompts_V.tolist()]


SCORES: dict[str, Score] = {
    "clarity": _silhouette,
    "fisher": _fisher,
    "separation": _separation,
    "pass_rate": _pass_rate,
    "random": _random,
    "balanced": _balanced,
    "auroc": _auroc,
}
"""Kind -> the x of its groups."""
