"""How much of what decisions could make of the attempts they do make: the model's decisions between accepting always and an oracle.

    always accept        acc@1, the accuracy of first attempts (`retries`)
    oracle, as made      P(any attempt that was made is right): accept the first right one. Attempts that were never made, behind a wrong
                         accept, are unknown and count as wrong, so this is the least an oracle could reach
    oracle, independent  mean over prompts of unbiased pass@K of first attempts: K fresh attempts, whatever was decided (2107.03374, eq. 1)
    oracle, analytic     1 - (1 - p)^K with p = acc@1: every prompt alike. Above the one before where prompts differ in difficulty
    random               accepts with the model's own rate whatever the truth; its attempts are those of the chain (`chain`). It tries
                         right ones again too, which a good model hardly shows: fewer than 30 attempts after a right or a wrong one
                         are taken together with the others, and the measure says so

    efficiency = (acc - acc@1) / (acc_oracle - acc@1)            0 as good as accepting always, 1 the oracle; below 0 it does harm

Against the oracle on the attempts made, a model that accepts wrong attempts looks better than it is, because it hides what the next
attempt would have been; against the independent one it does not. Left out on purpose: oracles that see more than right and wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.measures.attempts import AttemptTable
from jominy.measures.chain import Chances, counted, walk
from jominy.measures.clustered import Label, Ratio, measured, share
from jominy.measures.credit import LEAST_SAMPLES
from jominy.measures.passk import pass_at_k
from jominy.measures.retries import NO_ROLLOUT, first_attempts, with_unscored
from jominy.measures.summed import Summed, divided, ratio_of, stacked, summed_share
from jominy.records import Bools, Measure
from jominy.stats import NO_INTERVAL, bootstrap_interval

Doubles = NDArray[np.float64]
NO_ROOM = "an oracle would be no better than accepting every first attempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeciderMetrics:
    """The model's decisions against other deciders on the same attempts.

    Example: decider_metrics(AttemptTable.of([["wr ca"], ["wa"]]), num_attempts=2, rng=np.random.default_rng(0)).made.value == 0.5
    """

    made: Measure
    """Oracle on the attempts that were made."""
    independent: Measure
    """Oracle on K fresh attempts: pass@K of first attempts."""
    analytic: Measure
    """1 - (1 - p)^K."""
    random: Measure
    """Accepting by the model's rate, blind to the truth."""
    efficiency: Measure
    """Against the oracle on the attempts made."""
    efficiency_independent: Measure
    """Against the oracle on K fresh attempts, over the prompts with K of them."""


def decider_metrics(attempts: AttemptTable, *, num_attempts: int, rng: np.random.Generator) -> DeciderMetrics:
    """What other deciders would reach.

    Args:
        attempts: A attempts.
        num_attempts: K, the most there may be.
        rng: source of the resamples.
    """
    found = decider_sums(attempts, num_attempts=num_attempts, rng=rng)
    return DeciderMetrics(
        made=found["made"].measure,
        independent=found["independent"].measure,
        analytic=found["analytic"].measure,
        random=found["random"].measure,
        efficiency=found["efficiency"].measure,
        efficiency_independent=found["efficiency_independent"].measure,
    )


def decider_sums(attempts: AttemptTable, *, num_attempts: int, rng: np.random.Generator) -> dict[str, Summed]:
    """The same with the prompts' parts, by name of the field of `DeciderMetrics`."""
    first_right_R, comparable_R = first_attempts(attempts)
    any_right_R = attempts.final_R.copy()
    any_right_R[attempts.rollout_A[attempts.correct_A]] = True
    made = _over(attempts, any_right_R, comparable_R)
    first = _over(attempts, first_right_R, comparable_R)
    final = _over(attempts, attempts.final_R, comparable_R)
    enough_P = first.count_P >= num_attempts
    fresh = Ratio(sum_P=_pass_at(first, enough_P, num_attempts), count_P=enough_P.astype(np.float64))
    first_alike, final_alike = (_by_prompt(ratio, enough_P) for ratio in (first, final))
    found = {
        "made": summed_share(
            made, _label("oracle on the attempts made", "Share of responses with a right attempt among those made.", NO_ROLLOUT)
        ),
        "independent": summed_share(
            fresh,
            _label(
                "oracle on fresh attempts",
                f"Chance that one of {num_attempts} independent first attempts is right, mean over prompts.",
                f"no prompt has {num_attempts} first attempts",
            ),
        ),
        "analytic": _analytic(first, num_attempts),
        "random": _random(attempts, num_attempts, rng),
        "efficiency": _efficiency(first, final, made, "decision efficiency", rng),
        "efficiency_independent": _efficiency(first_alike, final_alike, fresh, "decision efficiency on fresh attempts", rng),
    }
    return with_unscored(found, attempts)


def _analytic(first: Ratio, num_attempts: int) -> Summed:
    """The interval of p, carried over: the function only rises."""
    label = _label("oracle, all prompts alike", f"1 - (1 - p)^{num_attempts} with p the accuracy of first attempts.", NO_ROLLOUT)
    of_first = share(first, label)

    def carried(chance: float | None) -> float | None:
        return None if chance is None else 1 - (1 - chance) ** num_attempts

    def of_sums(sums: Doubles) -> Doubles:
        found: Doubles = 1 - (1 - ratio_of(sums, 0)) ** num_attempts
        return found

    measure = replace(of_first, value=carried(of_first.value), low=carried(of_first.low), high=carried(of_first.high))
    return Summed(measure=measure, sums_PM=stacked(first), value=of_sums, reach=1.0)


def _random(attempts: AttemptTable, num_attempts: int, rng: np.random.Generator) -> Summed:
    """The chain with one chance of accepting for right and wrong."""
    columns_P = counted(attempts)
    after_right, after_wrong = columns_P[:, 3].sum(), columns_P[:, 5].sum()
    merged = bool(min(after_right, after_wrong) < LEAST_SAMPLES)
    told = f" Attempts after right and after wrong ones are taken together: there are {after_right:.0f} and {after_wrong:.0f}."
    label = _label(
        "random decider",
        "Accuracy of accepting as often as the model does, whatever the truth." + (told if merged else ""),
        "with one attempt at most there are no decisions"
        if num_attempts == 1
        else "it needs first attempts, decisions, and attempts after retries that can be judged",
    )
    used = int(np.count_nonzero(columns_P[:, 1]))

    def statistic(columns: Doubles) -> Doubles:
        chances = Chances.of_columns(columns, merged=merged)
        accept = divided(columns[..., 6] + columns[..., 8], columns[..., 7] + columns[..., 9])
        return walk(replace(chances, accept_right=accept, accept_wrong=accept), num_attempts).value

    value = np.nan if num_attempts == 1 else float(statistic(columns_P.sum(axis=0)))
    measure = measured(label, None, NO_INTERVAL, used, attempts.num_prompts)
    if np.isfinite(value):
        measure = measured(label, value, bootstrap_interval(columns_P, statistic, rng, bounds=(0.0, 1.0)), used, attempts.num_prompts)
    return Summed(measure=measure, sums_PM=columns_P, value=statistic, reach=1.0)


def _efficiency(first: Ratio, final: Ratio, oracle: Ratio, name: str, rng: np.random.Generator) -> Summed:
    """All three over the same prompts."""
    label = _label(name, "Share of what an oracle gains over accepting every first attempt that the model's decisions gain.", NO_ROOM)
    sums_PM = np.where(oracle.used_P[:, None], stacked(first, final, oracle), 0.0)
    num_used = oracle.num_used

    def statistic(sums: Doubles) -> Doubles:
        at_first, in_the_end, best = (ratio_of(sums, place) for place in range(3))
        room = best - at_first
        return divided(in_the_end - at_first, np.where(room > 1e-12, room, 0.0))

    value = float(statistic(sums_PM.sum(axis=0)))
    measure = measured(label, None, NO_INTERVAL, num_used, len(oracle.count_P))
    if np.isfinite(value):
        measure = measured(label, value, bootstrap_interval(sums_PM[oracle.used_P], statistic, rng), num_used, len(oracle.count_P))
    return Summed(measure=measure, sums_PM=sums_PM, value=statistic)


def _pass_at(first: Ratio, enough_P: Bools, k: int) -> Doubles:
    """[P] pass@k of prompts with enough first attempts, 0 elsewhere."""
    passed_P = np.zeros(len(enough_P))
    if enough_P.any():
        passed_P[enough_P] = pass_at_k(first.sum_P[enough_P].astype(np.int64), first.count_P[enough_P].astype(np.int64), k)
    return passed_P


def _by_prompt(ratio: Ratio, among_P: Bools) -> Ratio:
    """Every prompt alike, whatever its rollouts."""
    mean_P = np.where(among_P, ratio.sum_P / np.maximum(ratio.count_P, 1.0), 0.0)
    return Ratio(sum_P=mean_P, count_P=among_P.astype(np.float64))


def _over(attempts: AttemptTable, hit_R: Bools, among_R: Bools) -> Ratio:
    return Ratio.over(hit_R, among_R, attempts.prompt_R, attempts.num_prompts)


def _label(name: str, meaning: str, why_none: str) -> Label:
    return Label(name=name, meaning=meaning, why_none=why_none)
