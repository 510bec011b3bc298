"""What a reward's errors do to training, from its acceptance of right answers a, of wrong ones f, and the policy's own pass rates.

    shrink      a - f = 1 - FPR - FNR       E[reward | truth] = f + (a - f) truth: independent errors leave this much of the advantage
    paid wrong  f (1 - p) / (f (1 - p) + a p),   p = mean pass rate            at the audit's own base rate this is 1 - precision
    groups      K ~ Bin(G, p) right answers, A ~ Bin(K, a) of them paid, F ~ Bin(G - K, f) wrong ones paid; of those with 0 < K < G
        swapped   A / K < F / (G - K)       wrong answers are paid more often than right ones: the step goes the wrong way
        crossed   A < K and F > 0           a wrong answer is best-paid and a right one worst-paid, whatever the others say
        silenced  A + F in {0, G}           all are paid alike: the step is lost
      and of those with K in {0, G}
        invented  0 < A + F < G             pay differs where the truth does not: a step out of nothing

Exact, by enumeration of (K, A, F). Intervals carry those of a and f through each function (`carried`); the pass rates count as known.
LIMIT: errors are taken as independent within a group. Errors that go by a cue of the text come together and can be learned: then the share
of reward paid to wrong answers is where a policy starts, not where it ends.
Left out on purpose: rewards with partial credit, for which best and worst are not two classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.measures.carried import Carried, paid_wrong
from jominy.measures.clustered import Label, difference_of_shares
from jominy.measures.precision import NO_FALSE, NO_TRUE, PRECISION, ConfusionTable
from jominy.records import Floats, Measure, Paper

LARGEST_GROUP = 512
OURS = Paper(arxiv="", title="our definition", where="docstring of measures/reward_errors.py")

SHRINK = Label(
    name="shrink of the advantage",
    meaning="What independent errors of this size leave of the advantage: 1 - false accepts - false rejects.",
    why_none="it takes right and wrong answers",
)
PAID_WRONG = Label(
    name="reward paid to wrong answers", meaning="Of the reward that is paid, how much goes to wrong answers.", why_none="nothing is paid"
)
_NO_MIXED = "at these pass rates no group holds right and wrong answers"
_NO_ALIKE = "at these pass rates every group holds right and wrong answers"
FATES: tuple[Label, ...] = (
    Label(
        name="groups swapped",
        meaning="Of the groups with right and wrong answers, how many pay the wrong ones more often than the right ones.",
        why_none=_NO_MIXED,
    ),
    Label(
        name="groups crossed",
        meaning="Of the groups with right and wrong answers, how many pay a wrong one and refuse a right one.",
        why_none=_NO_MIXED,
    ),
    Label(
        name="groups silenced",
        meaning="Of the groups with right and wrong answers, how many pay all alike, so that nothing is learned.",
        why_none=_NO_MIXED,
    ),
    Label(
        name="groups invented",
        meaning="Of the groups whose answers are all right or all wrong, how many are paid unequally.",
        why_none=_NO_ALIKE,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardErrors:
    """What the errors mean for RL.

    Example: measure_reward_errors(table.responses(), pass_rates_P, group_size=8).swapped
    """

    shrink: Measure
    """What is left of the advantage; below 0 the reward points the wrong way."""
    paid_wrong: Measure
    """Share of the reward that wrong answers get."""
    swapped: Measure
    """Share of mixed groups whose wrong answers are paid more often."""
    crossed: Measure
    """Share of mixed groups with a paid wrong answer beside a refused right one."""
    silenced: Measure
    """Share of mixed groups that are paid alike."""
    invented: Measure
    """Share of the other groups that are paid unequally."""
    pass_rate: float
    """The policy's mean pass rate, at which all this holds."""
    group_size: int
    """G."""


def measure_reward_errors(responses: ConfusionTable, pass_rates_P: Floats, group_size: int) -> RewardErrors:
    """What the errors of an audit mean for a policy with these pass rates.

    Args:
        responses: one item a response (`ConfusionTable.responses`): what the reward pays or refuses.
        pass_rates_P: [P] true pass rates of the policy's prompts, in [0, 1]; one value where only their mean is known.
        group_size: G, rollouts a prompt, 2 to LARGEST_GROUP.

    Returns:
        Undefined, with the reason, where the audit holds no right or no wrong answer.

    Raises:
        ValueError: a pass rate or the group size is out of range.
    """
    if len(pass_rates_P) == 0 or not bool(np.all((pass_rates_P >= 0) & (pass_rates_P <= 1))):
        raise ValueError("pass_rates_P must hold at least one pass rate, all of them in [0, 1]")
    if not 2 <= group_size <= LARGEST_GROUP:
        raise ValueError(f"group_size must lie in 2..{LARGEST_GROUP}, got {group_size}: a group of one has no best and worst")
    right, wrong = responses.accepted_among(responses.truth_M), responses.accepted_among(~responses.truth_M)
    num_unscored = int(np.count_nonzero(~responses.scored_M))
    mean = float(np.mean(pass_rates_P))
    carried = Carried.of(right, wrong, NO_TRUE, NO_FALSE)

    def signed(measure: Measure, paper: Paper) -> Measure:
        return replace(measure, num_unscored=num_unscored, paper=paper)

    fates = [_fate(carried, label, place, pass_rates_P, group_size) for place, label in enumerate(FATES)]
    swapped, crossed, silenced, invented = (signed(fate, OURS) for fate in fates)
    return RewardErrors(
        shrink=signed(difference_of_shares(right, wrong, SHRINK), PRECISION),
        paid_wrong=signed(carried.measure(lambda rates: paid_wrong(*rates, mean), PAID_WRONG), OURS),
        swapped=swapped,
        crossed=crossed,
        silenced=silenced,
        invented=invented,
        pass_rate=mean,
        group_size=group_size,
    )


def group_fates(accept_right: float, accept_wrong: float, group_size: int) -> NDArray[np.float64]:
    """Chances of a group with K right answers.

    Returns:
        [G + 1, 4]: row K = 0..G; swapped, crossed, silenced (all 0 for K = 0 and G) and invented (0 for the others).

    >>> group_fates(0.5, 0.5, 2)[1].tolist()      # one right, one wrong: A and F are coins
    [0.25, 0.25, 0.5, 0.0]
    """
    fates = np.zeros((group_size + 1, 4))
    for num_right in range(group_size + 1):
        num_wrong = group_size - num_right
        chance_AF = np.outer(binomial(num_right, accept_right), binomial(num_wrong, accept_wrong))
        paid_right_A1, paid_wrong_F = np.arange(num_right + 1)[:, None], np.arange(num_wrong + 1)[None, :]
        alike_AF = (paid_right_A1 + paid_wrong_F == 0) | (paid_right_A1 + paid_wrong_F == group_size)
        if num_right in (0, group_size):
            fates[num_right, 3] = chance_AF[~alike_AF].sum()
            continue
        # whole numbers: A / K < F / (G - K) without rounding
        swapped_AF = paid_right_A1 * num_wrong < paid_wrong_F * num_right
        crossed_AF = (paid_right_A1 < num_right) & (paid_wrong_F > 0)
        fates[num_right, :3] = [chance_AF[kind].sum() for kind in (swapped_AF, crossed_AF, alike_AF)]
    return fates


def binomial(trials: int, chance: float) -> NDArray[np.float64]:
    """[trials + 1] chances of 0 to all successes; up to LARGEST_GROUP trials.

    >>> binomial(2, 0.5).tolist()
    [0.25, 0.5, 0.25]
    """
    successes = np.arange(trials + 1)
    ways = np.array([float(math.comb(trials, count)) for count in range(trials + 1)])
    chances: NDArray[np.float64] = ways * np.power(chance, successes) * np.power(1.0 - chance, trials - successes)
    return chances


def _fate(carried: Carried, label: Label, place: int, pass_rates_P: Floats, group_size: int) -> Measure:
    """One of the four fates over the groups that can have it."""
    rates_T, counts_T = np.unique(pass_rates_P.astype(np.float64), return_counts=True)
    weights_K = counts_T @ np.stack([binomial(group_size, float(rate)) for rate in rates_T])
    has_both_K = (np.arange(group_size + 1) > 0) & (np.arange(group_size + 1) < group_size)
    weights_K = np.where(has_both_K if place < 3 else ~has_both_K, weights_K, 0.0)
    total = float(weights_K.sum())
    return carried.measure(
        lambda rates: None if total <= 0 else float(weights_K @ group_fates(*rates, group_size)[:, place]) / total, label
    )
