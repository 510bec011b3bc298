"""How good decisions are: which right attempts are accepted, and which wrong ones.

    s_c = P(accept | right)      s_i = P(accept | wrong), false accept      1 - s_c false reject
    balanced accuracy = (s_c + 1 - s_i) / 2      J = s_c - s_i      d' = z(s_c) - z(s_i)      raw accuracy = P(accept = right)

over decisions of the model: a forced stop is none, and attempts of unknown truth are left out and counted. Raw accuracy rises with the
share of right attempts alone (accepting everything has just that), so the two stand together. On a model's own attempts a better sampler
also changes which states are decided about; a fixed bank of states, half of them right, does not (`bank_metrics`).
The definitions are those of signal detection, chosen by us: the tables of 2601.01580 were not at hand. d' adds half an accept and half a
reject to both sides (Hautus 1995), so it is finite:

    q = (hits + 1/2) / (n + 1),     d' -+ t * sqrt(e_c^2 + e_i^2 - 2 cov),     e^2 = (sum_p u_p^2 + q (1 - q) / P^2) / density(z(q))^2

u is what a prompt adds to the error of a share (`clustered`), q (1 - q) / P^2 one pseudo-prompt of 0/1 spread as in `stats.share_interval`,
and t has one degree less than the side with the fewest prompts. Left out on purpose: what decisions do to the final answer (`retries`,
`deciders`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from jominy.measures.attempts import ACCEPT, FORCED, NONE, RETRY, AttemptTable
from jominy.measures.calibration import auroc, calibration_error, check_probabilities
from jominy.measures.clustered import Label, Ratio, measured, of_two_sides, student_interval
from jominy.measures.summed import Doubles, Summed, stacked, summed_complement, summed_difference, summed_share
from jominy.records import Bools, Floats, Ints, Measure
from jominy.stats import NO_INTERVAL, normal_quantile

NO_RIGHT = "no right attempt was decided about"
NO_WRONG = "no wrong attempt was decided about"
NO_BOTH = "it needs decisions about right and about wrong attempts"
NO_DECISION = "nothing was decided: with one attempt at most, every answer stands"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRates:
    """Decisions against the truth.

    Example: decision_rates(np.array([1.0, 0.0]), np.array([True, False]), np.array([0, 1]), 2).youden.value == 1
    """

    accept_right: Measure
    """s_c."""
    accept_wrong: Measure
    """s_i, false accept."""
    reject_right: Measure
    """1 - s_c, false reject."""
    balanced: Measure
    """(s_c + 1 - s_i) / 2."""
    youden: Measure
    """J = s_c - s_i."""
    d_prime: Measure
    """z(s_c) - z(s_i)."""
    accuracy: Measure
    """Raw: accepted and right, or not accepted and wrong."""
    base_rate: Measure
    """Right among those decided about: the raw accuracy of accepting everything."""
    num_decisions: int
    """Decisions that are counted."""

    def measures(self) -> tuple[Measure, ...]:
        """All of them, in the order of the fields."""
        return (
            self.accept_right,
            self.accept_wrong,
            self.reject_right,
            self.balanced,
            self.youden,
            self.d_prime,
            self.accuracy,
            self.base_rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMetrics:
    """Decisions of a model on its own attempts.

    Example: own_decisions(AttemptTable.of([["wr ca"]]), num_attempts=2).rates.accept_wrong.value == 0
    """

    rates: DecisionRates
    """All decisions."""
    by_attempt: tuple[DecisionRates, ...]
    """[K-1] those about the first attempt, the second, ...; empty for K = 1."""
    accept_rate: Measure
    """Accepted, right or wrong or unknown."""
    num_forced: int
    """Attempts whose answer stood because there could be no other."""
    num_undecided: int
    """Attempts after which the response broke off."""
    num_unknown: int
    """Decisions about attempts of unknown truth, left out of the rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankMetrics:
    """Decisions of a model about states that were given to it.

    Example: bank_metrics(np.array([True, False]), np.array([0.9, 0.2]), np.array([0, 0])).auroc.value == 1
    """

    rates: DecisionRates
    """With the chance of accepting in place of a drawn decision."""
    auroc: Measure
    """Whether the chance ranks right above wrong."""
    calibration_error: Measure
    """Whether it is the chance of being right."""


def own_decisions(attempts: AttemptTable, *, num_attempts: int) -> DecisionMetrics:
    """Decisions of a model on the attempts that it made.

    Args:
        attempts: A attempts.
        num_attempts: K, the most there may be.

    Raises:
        ValueError: a rollout has more than K attempts.
    """
    check_attempts(attempts, num_attempts)
    any_decision_A = (attempts.decision_A == ACCEPT) | (attempts.decision_A == RETRY)
    decided_A = attempts.decided_A
    return DecisionMetrics(
        rates=_rates(own_sums(attempts, decided_A), int(np.count_nonzero(decided_A))),
        by_attempt=tuple(
            _rates(own_sums(attempts, here_A), int(np.count_nonzero(here_A)))
            for here_A in (decided_A & (attempts.index_A == index) for index in range(num_attempts - 1))
        ),
        accept_rate=accept_rate_sums(attempts).measure,
        num_forced=int(np.count_nonzero(attempts.decision_A == FORCED)),
        num_undecided=int(np.count_nonzero(attempts.decision_A == NONE)),
        num_unknown=int(np.count_nonzero(any_decision_A & ~attempts.known_A)),
    )


def check_attempts(attempts: AttemptTable, num_attempts: int) -> None:
    """No rollout has more than K attempts."""
    if np.any(attempts.index_A >= num_attempts):
        raise ValueError(f"a rollout has {int(attempts.index_A.max()) + 1} attempts, but num_attempts is {num_attempts}")


def own_sums(attempts: AttemptTable, among_A: Bools) -> dict[str, Summed]:
    """`rate_sums` of some of the attempts that a model decided about, whose truth is known."""
    accept_D = (attempts.decision_A[among_A] == ACCEPT).astype(np.float64)
    return rate_sums(accept_D, attempts.correct_A[among_A], attempts.prompt_A[among_A], attempts.num_prompts)


def accept_rate_sums(attempts: AttemptTable) -> Summed:
    """How many decisions accept, right, wrong or unknown."""
    accepted_A = attempts.decision_A == ACCEPT
    label = Label(name="accept rate", meaning="Share of decisions that accept, whatever the truth.", why_none=NO_DECISION)
    return summed_share(Ratio.over(accepted_A, accepted_A | (attempts.decision_A == RETRY), attempts.prompt_A, attempts.num_prompts), label)


def bank_metrics(correct_B: Bools, accept_probability_B: Floats, prompt_B: Ints) -> BankMetrics:
    """Decisions about a fixed bank of states, the same for every model that is compared.

    Args:
        correct_B: [B] whether the attempt of the state is right; half of them, or `base_rate` says how many.
        accept_probability_B: [B] the model's chance of accepting it, in [0, 1].
        prompt_B: [B] which prompt, any numbers from 0; the resampling unit.
    """
    check_probabilities(accept_probability_B, correct_B, prompt_B)
    names, number_B = np.unique(prompt_B, return_inverse=True)
    number_B = number_B.reshape(-1)
    return BankMetrics(
        rates=decision_rates(accept_probability_B, correct_B, number_B, len(names)),
        auroc=auroc(accept_probability_B, correct_B, number_B, len(names)),
        calibration_error=calibration_error(accept_probability_B, correct_B, number_B, len(names)),
    )


def decision_rates(accept_D: Floats, correct_D: Bools, prompt_D: Ints, num_prompts: int) -> DecisionRates:
    """Rates of D decisions.

    Args:
        accept_D: [D] 1 accepted, 0 not; or the chance of accepting.
        correct_D: [D] the truth.
        prompt_D: [D] the resampling unit.
        num_prompts: P.
    """
    return _rates(rate_sums(accept_D, correct_D, prompt_D, num_prompts), len(correct_D))


def rate_sums(accept_D: Floats, correct_D: Bools, prompt_D: Ints, num_prompts: int) -> dict[str, Summed]:
    """The same with the prompts' parts, by name of the field of `DecisionRates`, in the order of `measures`."""
    check_probabilities(accept_D, correct_D, prompt_D)
    of_right = Ratio.over(accept_D, correct_D, prompt_D, num_prompts)
    of_wrong = Ratio.over(accept_D, ~correct_D, prompt_D, num_prompts)
    everything = np.ones(len(correct_D), dtype=bool)
    agrees = Ratio.over(np.where(correct_D, accept_D, 1 - accept_D), everything, prompt_D, num_prompts)
    return {
        "accept_right": summed_share(of_right, _label("accept right", "Share of right attempts that are accepted.", NO_RIGHT)),
        "accept_wrong": summed_share(of_wrong, _label("false accept", "Share of wrong attempts that are accepted.", NO_WRONG)),
        "reject_right": summed_complement(of_right, _label("false reject", "Share of right attempts that are tried again.", NO_RIGHT)),
        "balanced": summed_difference(
            of_right,
            of_wrong,
            _label("balanced decision accuracy", "Mean of the shares decided well among right and wrong.", NO_BOTH),
            scale=0.5,
            shift=0.5,
        ),
        "youden": summed_difference(
            of_right,
            of_wrong,
            _label("Youden's J", "How much likelier a right attempt is accepted than a wrong one; 0 is blind.", NO_BOTH),
        ),
        "d_prime": _d_prime(of_right, of_wrong),
        "accuracy": summed_share(agrees, _label("decision accuracy", "Share of decisions that fit the truth.", NO_DECISION)),
        "base_rate": summed_share(
            Ratio.over(correct_D, everything, prompt_D, num_prompts),
            _label(
                "right among decided",
                "Share of right attempts among those decided about: what accepting everything would score.",
                NO_DECISION,
            ),
        ),
    }


def _rates(sums: dict[str, Summed], num_decisions: int) -> DecisionRates:
    return DecisionRates(
        accept_right=sums["accept_right"].measure,
        accept_wrong=sums["accept_wrong"].measure,
        reject_right=sums["reject_right"].measure,
        balanced=sums["balanced"].measure,
        youden=sums["youden"].measure,
        d_prime=sums["d_prime"].measure,
        accuracy=sums["accuracy"].measure,
        base_rate=sums["base_rate"].measure,
        num_decisions=num_decisions,
    )


def _d_prime(of_right: Ratio, of_wrong: Ratio) -> Summed:
    """By the formula at the top."""
    label = Label(
        name="d'",
        meaning="Distance between right and wrong attempts in standard deviations of the inner evidence, if that is normal; 0 is blind.",
        why_none=NO_BOTH,
        unit="standard deviations",
    )
    sums_PM, num_prompts = stacked(of_right, of_wrong), len(of_right.count_P)
    num_used = int(np.count_nonzero(of_right.used_P | of_wrong.used_P))
    if of_right.value is None or of_wrong.value is None:
        return Summed(measure=measured(label, None, NO_INTERVAL, num_used, num_prompts), sums_PM=sums_PM, value=_distance)
    normal, errors, variance = NormalDist(), [], 0.0
    for ratio in (of_right, of_wrong):
        total = math.fsum(ratio.count_P)
        chance = (math.fsum(ratio.sum_P) + 0.5) / (total + 1)
        density = normal.pdf(normal.inv_cdf(chance))
        errors.append(ratio.errors_P * (total / (total + 1)) / density)
        variance += chance * (1 - chance) / (ratio.num_used * density) ** 2
    variance += math.fsum((errors[0] - errors[1]) ** 2)
    value = float(_distance(sums_PM.sum(axis=0)))
    interval = student_interval(value, math.sqrt(variance), min(of_right.num_used, of_wrong.num_used))
    measure = measured(of_two_sides(label, of_right.num_used, of_wrong.num_used), value, interval, num_used, num_prompts)
    return Summed(measure=measure, sums_PM=sums_PM, value=_distance)


def _distance(sums: Doubles) -> Doubles:
    """[...] d' of stacked sums of right and wrong ones, NaN where one side is empty."""
    return _score(sums[..., 0], sums[..., 1]) - _score(sums[..., 2], sums[..., 3])


def _score(hits: Doubles, counts: Doubles) -> Doubles:
    """Normal score of a share with half a hit and half a miss more."""
    flat = [
        normal_quantile((hit + 0.5) / (count + 1.0)) if count > 0 else math.nan
        for hit, count in zip(np.ravel(hits).tolist(), np.ravel(counts).tolist(), strict=True)
    ]
    return np.array(flat, dtype=np.float64).reshape(np.shape(hits))


def _label(name: str, meaning: str, why_none: str) -> Label:
    return Label(name=name, meaning=meaning, why_none=why_none)
