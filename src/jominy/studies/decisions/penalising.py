"""What a KL in the loss does to attempts and decisions: two claims, from arms that differ in its strength and in where it acts.

    spares      r_d - r_s, r = nats a token under a KL in the loss / nats a token of GRPO without one, of decisions and of attempts, tested
                as    n_s N_d - n_d N_s    with n of GRPO and N under the KL, mean over the strengths
    where       gain out of distribution with the KL on decisions minus with the KL on attempts, at the middle strength

How the gain against the start falls into parts under each KL is shown with the squares and not judged: there the difference of two shares
would be known to half of a gain.
Left out on purpose: a KL in the reward (`stopping`); what the identities of the KL are worth (`theory`).
"""

from __future__ import annotations

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import DECISIONS
from jominy.records import Measure
from jominy.studies.decisions.design import KL_WHERE, RL, STRENGTHS, kl_arm
from jominy.studies.decisions.distances import KINDS, STAGES, loss_arms, nats_a_token
from jominy.studies.decisions.estimating import Estimate, combine, measure_of, minus, product, ratio, side, told_from, verdict_at
from jominy.studies.decisions.paper import NO_NUMBERS, OURS
from jominy.studies.decisions.stopping import stops
from jominy.studies.decisions.told import beyond, cells_of, everywhere, gain_estimate
from jominy.studies.outcomes import bounds, percent, points, ran
from jominy.studies.reading import StudyRuns

NOT_ALL = "not every cell has finished runs of both"


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
