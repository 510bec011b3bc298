"""What a KL to the start does to attempts and decisions: three claims, from arms that differ in strength, place and kind of the KL.

    spares      r_d - r_s, r = nats a token under a KL in the loss / nats a token of GRPO without one, of decisions and of attempts, tested
                as    n_s N_d - n_d N_s    with n of GRPO and N under the KL, mean over the strengths
    stops       chance of accepting the states of the bank, KL in the reward minus that KL in the loss under which the policy moved about
                as far, right and wrong apart; mean over the strengths in the reward
    where       gain out of distribution with the KL on decisions minus with the KL on attempts, at the middle strength

Nats are those of log p / p_start on the last evaluation, one number a run. How the gain against the start falls into parts under each KL
is shown with the squares and not judged: there the difference of two shares would be known to half of a gain.
Left out on purpose: what the identities of the KL are worth (`theory`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import DECISIONS
from jominy.records import Measure
from jominy.studies.decisions.design import KL_WHERE, RL, STRENGTHS, kl_arm
from jominy.studies.decisions.estimating import (
    Estimate,
    combine,
    estimate_of,
    measure_of,
    minus,
    product,
    ratio,
    side,
    told_from,
    verdict_at,
)
from jominy.studies.decisions.paper import FEWEST_SEEDS, HEARD, NO_NUMBERS, OURS
from jominy.studies.decisions.told import (
    IN,
    bank_estimate,
    bank_heard,
    beyond,
    cells_of,
    everywhere,
    gain_estimate,
    mores,
    rate_estimate,
    shared_seeds,
)
from jominy.studies.outcomes import bounds, percent, points, ran
from jominy.studies.reading import StudyRuns

KINDS = ("loss", "reward")
STAGES = ("sampling", "decision")
NOT_ALL = "not every cell has finished runs of both"
PAIRS = {
    "right": (True, "accept_right"),
    "wrong": (False, "accept_wrong"),
}
"""Truth of a state -> (as the bank has it, the rate on own attempts)."""


def kl_claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Those whose arms the design has."""
    found = []
    if all(runs.knows(kl_arm("loss", strength)) for strength in STRENGTHS):
        found.append(spares(runs))
    if all(runs.knows(kl_arm(kind, strength)) for kind in KINDS for strength in STRENGTHS):
        found.append(stops(runs))
    return (*found, *([where(runs)] if all(map(runs.knows, KL_WHERE)) else []))


def spares(runs: StudyRuns) -> Claim:
    """A KL in the loss takes more of how far attempts move than of how far decisions do."""
    cells, held = cells_of(runs), loss_arms()
    free = {stage: [nats_a_token(runs, cell, RL, stage) for cell in cells] for stage in STAGES}
    apart = everywhere([_spared(runs, cell) for cell in cells])
    # What RL itself does not move a KL cannot hold back.
    moved = all(one is not None and side(_nats_measure(one)) > 0 for of_stage in free.values() for one in of_stage)
    verdict: Agreement = verdict_at(apart) if moved else "cannot tell"
    kept = {arm: {stage: everywhere([_kept(runs, cell, arm, stage) for cell in cells]) for stage in STAGES} for arm in held}
    texts = [
        f"`{runs.title(arm)}` {percent(_share(of['sampling']))} on attempts and {percent(_share(of['decision']))} on decisions"
        for arm, of in kept.items()
    ]
    ends = [
        f"{cell} {_nats_text(free['sampling'][at])} on attempts, {_nats_text(free['decision'][at])} on decisions"
        for at, cell in enumerate(cells)
    ]
    return Claim(
        code="kl-spares-decisions",
        says="A KL to the start constrains attempts more than decisions: it leaves a larger share of what RL moves decisions by.",
        numbers=NO_NUMBERS,
        ran=f"{ran(runs, (RL, *held))}; nats a token to the start, on held-out prompts",
        found=f"GRPO without a KL moves by nats a token: {'; '.join(ends)}. Of that remain: {'; '.join(texts)}. The share that remains of "
        f"decisions minus that of attempts, mean over {len(held)} strengths: {points(_share(apart))}.",
        verdict=verdict,
        rule="agrees when, mean over the strengths, the share that remains of the decisions' nats is surely larger than that of the "
        "attempts', disagrees when it is surely smaller (a difference of products, no quotient; runs are the unit); only where GRPO "
        "itself surely moves both stages in every cell",
        would_take=told_from(verdict, [apart], "the difference of the two shares") + "More seeds: each run is one number here.",
        paper=DECISIONS,
    )


def loss_arms() -> list[str]:
    """Arms with a KL in the loss, on all tokens."""
    return [kl_arm("loss", strength) for strength in STRENGTHS]


def nats_a_token(runs: StudyRuns, cell: str, arm: str, stage: str, arms: Sequence[str] = ()) -> Estimate | None:
    """How far a stage moved, a number a run; None where a seed lacks it.

    Args:
        runs: as they were read.
        cell: name.
        arm: name.
        stage: of `STAGES`.
        arms: others whose seeds it must share.
    """
    found = mores(runs, cell, arm)
    told = [found[seed]["kl"] for seed in shared_seeds(runs, cell, [arm, *arms])]
    if not told or not all(one is not None and one[stage]["tokens"] > 0 for one in told):
        return None
    return estimate_of(np.array([[one[stage]["nats"] / one[stage]["tokens"]] for one in told]), shared=False)


def _spared(runs: StudyRuns, cell: str) -> Estimate | None:
    """r_d - r_s of a cell, mean over the strengths, moved by the difference of the products."""
    arms = (RL, *loss_arms())
    found = {(arm, stage): nats_a_token(runs, cell, arm, stage, arms) for arm in arms for stage in STAGES}
    there = {key: one for key, one in found.items() if one is not None}
    if len(there) < len(found):
        return None
    free_s, free_d = (there[RL, stage] for stage in STAGES)
    scale = free_s.value * free_d.value * len(arms[1:])
    if not scale > 0:
        return None
    pairs = [minus(product(free_s, there[arm, "decision"]), product(free_d, there[arm, "sampling"])) for arm in arms[1:]]
    return combine([(1 / scale, pair) for pair in pairs])


def _kept(runs: StudyRuns, cell: str, arm: str, stage: str) -> Estimate | None:
    """Share of GRPO's nats a token that remains under a KL."""
    held, free = nats_a_token(runs, cell, arm, stage, [RL]), nats_a_token(runs, cell, RL, stage, [arm])
    return None if held is None or free is None else ratio(held, free)


def _share(estimate: Estimate | None) -> Measure:
    return measure_of("share", estimate, why_none=NOT_ALL)


def _nats_measure(estimate: Estimate) -> Measure:
    return measure_of("nats a token", estimate, unit="nats")


def _nats_text(estimate: Estimate | None) -> str:
    """With the interval."""
    if estimate is None:
        return "–"
    found = _nats_measure(estimate)
    return f"{number(found.value)} {bounds(found)}"


def stops(runs: StudyRuns) -> Claim:
    """A KL in the reward makes the policy accept more, right or wrong."""
    on_bank = {truth: _more_accepted(runs, truth, own=False) for truth in PAIRS}
    on_own = {truth: _more_accepted(runs, truth, own=True) for truth in PAIRS}
    measures = {truth: _chance(estimate) for truth, estimate in on_bank.items()}
    sides, heard = [side(measure) for measure in measures.values()], _least_heard(runs)
    enough = heard >= HEARD and all(estimate is not None and estimate.num_seeds >= FEWEST_SEEDS for estimate in on_bank.values())
    verdict: Agreement = "cannot tell"
    if enough and -1 in sides:
        verdict = "disagrees"
    elif enough and sides == [1, 1]:
        verdict = "agrees"
    said = [f"{truth} attempts {points(measure)} (own attempts {points(_chance(on_own[truth]))})" for truth, measure in measures.items()]
    found = f"In the reward minus in the loss, mean over {len(STRENGTHS)} strengths, of the chance of accepting: {'; '.join(said)}. "
    found += f"{'; '.join(_accepts(runs, kl_arm(kind, strength)) for strength in STRENGTHS for kind in KINDS)}. {_paired(runs)}"
    if heard < HEARD:
        found += f" In one of these arms checks came to a verdict on {number(heard, 'share')} % of the bank only: its form broke."
    return Claim(
        code="kl-reward-stops",
        says="A KL in the reward biases decisions towards stopping: it accepts more, right and wrong, than a KL in the loss.",
        numbers="None: it follows from the whole gradient of the KL, in which a retry pays for the attempt that it opens.",
        ran=f"{ran(runs, [kl_arm(kind, strength) for kind in KINDS for strength in STRENGTHS])}; accepting the bank's attempts",
        found=found,
        verdict=verdict,
        rule="agrees when the chances of accepting the bank's right and wrong attempts are both surely higher, disagrees when either is "
        "surely lower; mean over the strengths in the reward, each held against the KL in the loss that ended nearest in nats a response, "
        f"for strengths of the two are not of one scale; only where every one of these arms comes to a verdict on {HEARD:g} of the bank",
        would_take=told_from(verdict, list(on_bank.values()), "the difference in the chance of accepting")
        + "A stronger KL, longer attempts, or more steps: the push is the KL of one attempt.",
        paper=OURS,
    )


def _accepts(runs: StudyRuns, arm: str) -> str:
    """Chances of accepting right and wrong attempts of the bank, mean over the cells."""
    found = [
        everywhere([bank_estimate(runs, cell, arm, tuple(mores(runs, cell, arm)), correct=correct) for cell in cells_of(runs)])
        for correct in (True, False)
    ]
    right, wrong = ("–" if one is None else f"{number(one.value, 'share')} %" for one in found)
    return f"{runs.title(arm)}: accepts right {right}, wrong {wrong}"


def _paired(runs: StudyRuns) -> str:
    """Which arms are held against each other in each cell, and how far each moved."""
    texts = []
    for cell in cells_of(runs):
        pairs = [(arm, partner(runs, cell, arm)) for arm in (kl_arm("reward", strength) for strength in STRENGTHS)]
        named = [f"{_with_nats(runs, cell, arm)} with {_with_nats(runs, cell, other)}" for arm, other in pairs if other is not None]
        texts += [f"{cell}: {', '.join(named)}"] if named else []
    return f"Paired by nats a response, {'; '.join(texts)}." if texts else "No arms to pair: nats are not known."


def _with_nats(runs: StudyRuns, cell: str, arm: str) -> str:
    nats = nats_a_response(runs, cell, arm)
    return f"`{runs.title(arm)}`" if nats is None else f"`{runs.title(arm)}` ({number(nats)})"


def nats_a_response(runs: StudyRuns, cell: str, arm: str) -> float | None:
    """How far an arm moved from the start, mean over its runs; None where none was scored under the start."""
    told = [more["kl"] for more in mores(runs, cell, arm).values() if more["kl"] is not None]
    return float(np.mean([sum(stage["nats"] for stage in one.values()) for one in told])) if told else None


def partner(runs: StudyRuns, cell: str, arm: str) -> str | None:
    """The arm with a KL in the loss that ended nearest to an arm in nats a response; None where one of them is not known."""
    nats, others = nats_a_response(runs, cell, arm), {one: nats_a_response(runs, cell, one) for one in loss_arms()}
    known = {one: moved for one, moved in others.items() if moved is not None}
    if nats is None or len(known) < len(others):
        return None
    return min(known, key=lambda one: abs(known[one] - nats))


def _least_heard(runs: StudyRuns) -> float:
    """Smallest share of the bank's states with a verdict, over cells and arms with a KL; 0 where one has no runs."""
    arms = [kl_arm(kind, strength) for kind in KINDS for strength in STRENGTHS]
    return min(bank_heard(runs, cell, arm, tuple(mores(runs, cell, arm))) for cell in cells_of(runs) for arm in arms)


def _chance(estimate: Estimate | None) -> Measure:
    return measure_of("chance", estimate, why_none=NOT_ALL)


def _more_accepted(runs: StudyRuns, truth: str, *, own: bool) -> Estimate | None:
    """Chance of accepting under KL in the reward minus under KL in the loss, mean over the pairs of a cell, then over cells."""
    return everywhere([_mean_of_pairs(runs, cell, truth, own=own) for cell in cells_of(runs)])


def _mean_of_pairs(runs: StudyRuns, cell: str, truth: str, *, own: bool) -> Estimate | None:
    """On the seeds that all arms have; None where one has no runs, or no cases, or is not known in nats."""
    correct, rate = PAIRS[truth]
    arms = [kl_arm("reward", strength) for strength in STRENGTHS]
    seeds = shared_seeds(runs, cell, [*arms, *loss_arms()])
    found: list[tuple[float, Estimate]] = []
    for arm in arms:
        for weight, one in ((1 / len(arms), arm), (-1 / len(arms), partner(runs, cell, arm))):
            if one is None:
                return None
            accepts = rate_estimate(runs, cell, one, rate, seeds, [IN]) if own else bank_estimate(runs, cell, one, seeds, correct=correct)
            if accepts is None:
                return None
            found.append((weight, accepts))
    return combine(found)


def where(runs: StudyRuns) -> Claim:
    """A KL on attempts costs more than one on decisions."""
    out, cells = beyond(runs), cells_of(runs)
    lead = gain_estimate(runs, cells, {"kl_decision": 1.0, "kl_sampling": -1.0}, None)
    verdict = verdict_at(lead)
    arms = [arm for arm in (RL, kl_arm("loss", "middle"), *KL_WHERE) if runs.knows(arm)]
    gains = [(arm, measure_of("gain", gain_estimate(runs, cells, {arm: 1.0}, None), why_none="not in every cell")) for arm in arms]
    return Claim(
        code="kl-where",
        says="It is the KL on attempts that costs: with a KL on decisions alone RL gains more out of distribution.",
        numbers="None: a test of ours (the KL on the tokens of one stage alone).",
        ran=f"{ran(out, arms)}; on the further tasks",
        found=f"With the KL on decisions {points(measure_of('lead', lead, why_none=NOT_ALL))} more than with it on attempts. Gains: "
        + "; ".join(f"{runs.title(arm)} {points(gain)}" for arm, gain in gains)
        + ".",
        verdict=verdict,
        rule="agrees when the gain with the KL on decisions is surely larger than with it on attempts, disagrees when it is surely smaller",
        would_take=told_from(verdict, [lead], "that difference") + "A KL that costs enough to be told apart.",
        paper=OURS,
    )
