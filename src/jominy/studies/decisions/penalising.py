"""What a KL to the start does to attempts and decisions: three claims, from arms that differ in strength, place and kind of the KL.

    spares      the decisions' share of the gain against the warm start, strong minus weak KL in the loss, in distribution
    stops       chance of accepting the states of the bank, KL in the reward minus a KL in the loss of its strength, right and wrong apart
    where       gain out of distribution with the KL on decisions minus with the KL on attempts, at the middle strength

Left out on purpose: what the identities of the KL are worth (`theory`).
"""

from __future__ import annotations

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import DECISIONS
from jominy.records import Measure
from jominy.studies.decisions.design import KL_WHERE, RL, STRENGTHS, kl_arm
from jominy.studies.decisions.estimating import Estimate, combine, measure_of, minus, ratio, side, verdict_at
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
    split_of,
)
from jominy.studies.outcomes import percent, points, ran
from jominy.studies.reading import StudyRuns

KINDS = ("loss", "reward")
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
    """A KL in the loss takes more of the attempts' part of the gain than of the decisions'."""
    cells, arms = cells_of(runs), (RL, *(kl_arm("loss", strength) for strength in STRENGTHS))
    splits = {arm: split_of(runs, cells, arm, [IN], arms=arms) for arm in arms}
    shares = {arm: None if split is None else split.share("its gain") for arm, split in splits.items()}
    # With one strength alone it is held against no KL.
    first, last = arms[1] if len(STRENGTHS) > 1 else RL, arms[-1]
    weak, strong = splits[first], splits[last]
    trend: Estimate | None = None
    defined = [share for share in (shares[first], shares[last]) if share is not None and share.value is not None]
    if weak is not None and strong is not None and len(defined) == 2:
        high, low = ratio(strong.decision, strong.total), ratio(weak.decision, weak.total)
        trend = None if high is None or low is None else minus(high, low)
    measure = measure_of("trend", trend, why_none="a share is undefined, for one of the gains is not surely above 0")
    texts = []
    for arm, split in splits.items():
        share = shares[arm]
        if split is not None and share is not None:
            parts = [points(measure_of("part", part)) for part in (split.sampling, split.decision)]
            texts.append(f"{runs.title(arm)}: by attempts {parts[0]}, by decisions {parts[1]}, decisions' share {percent(share)}")
    ends = f"from `{runs.title(first)}` to `{runs.title(last)}`"
    return Claim(
        code="kl-spares-decisions",
        says="A KL to the start constrains attempts more than decisions: from the weak to the strong one, more of the gain becomes the "
        "decisions'.",
        numbers=NO_NUMBERS,
        ran=f"{ran(runs, arms)}; in distribution, exchanged with the warm start",
        found=("; ".join(texts) or "No finished runs") + f". The share moves by {percent(measure)} {ends}.",
        verdict=verdict_at(trend),
        rule="agrees when the decisions' share of the gain is surely larger under the strong KL than under the weak one, disagrees when "
        "it is surely smaller; strengths between them are shown and not judged; undefined where one of the two gains is not surely above 0",
        would_take="Strengths between those that do nothing and those that leave no gain to split, and more seeds.",
        paper=DECISIONS,
    )


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
    found += "; ".join(_by_strength(runs, strength) for strength in STRENGTHS) + "."
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
        f"surely lower; mean over the strengths; only where every one of these arms comes to a verdict on {HEARD:g} of the bank",
        would_take="A stronger KL, longer attempts, or more steps: the push is the KL of one attempt.",
        paper=OURS,
    )


def _by_strength(runs: StudyRuns, strength: str) -> str:
    """Both kinds at one strength: chances of accepting right and wrong attempts of the bank, and nats a response, mean over the cells."""
    texts = []
    for kind in KINDS:
        arm = kl_arm(kind, strength)
        found = [
            everywhere([bank_estimate(runs, cell, arm, tuple(mores(runs, cell, arm)), correct=correct) for cell in cells_of(runs)])
            for correct in (True, False)
        ]
        right, wrong = ("–" if one is None else f"{number(one.value, 'share')} %" for one in found)
        texts.append(f"{runs.title(arm)}: accepts right {right}, wrong {wrong}{_nats(runs, arm)}")
    return "; ".join(texts)


def _nats(runs: StudyRuns, arm: str) -> str:
    """How far an arm moved, so that strengths can be paired by what they did and not by their names."""
    kl = [more["kl"] for cell in cells_of(runs) for more in mores(runs, cell, arm).values() if more.get("kl")]
    return f", {number(float(np.mean([sum(stage['nats'] for stage in one.values()) for one in kl])))} nats a response" if kl else ""


def _least_heard(runs: StudyRuns) -> float:
    """Smallest share of the bank's states with a verdict, over cells and arms with a KL; 0 where one has no runs."""
    arms = [kl_arm(kind, strength) for kind in KINDS for strength in STRENGTHS]
    return min(bank_heard(runs, cell, arm, tuple(mores(runs, cell, arm))) for cell in cells_of(runs) for arm in arms)


def _chance(estimate: Estimate | None) -> Measure:
    return measure_of("chance", estimate, why_none=NOT_ALL)


def _more_accepted(runs: StudyRuns, truth: str, *, own: bool) -> Estimate | None:
    """Chance of accepting under KL in the reward minus under KL in the loss, mean over the strengths of a cell, then over cells."""
    return everywhere([_mean_of_strengths(runs, cell, truth, own=own) for cell in cells_of(runs)])


def _mean_of_strengths(runs: StudyRuns, cell: str, truth: str, *, own: bool) -> Estimate | None:
    """On the seeds that all strengths have; None where one has no runs, or no cases."""
    correct, rate = PAIRS[truth]
    seeds = shared_seeds(runs, cell, [kl_arm(kind, strength) for kind in KINDS for strength in STRENGTHS])
    found: list[tuple[float, Estimate]] = []
    for strength in STRENGTHS:
        arms = [kl_arm(kind, strength) for kind in ("reward", "loss")]
        reward, loss = (
            rate_estimate(runs, cell, arm, rate, seeds, [IN]) if own else bank_estimate(runs, cell, arm, seeds, correct=correct)
            for arm in arms
        )
        if reward is None or loss is None:
            return None
        found += [(1 / len(STRENGTHS), reward), (-1 / len(STRENGTHS), loss)]
    return combine(found)


def where(runs: StudyRuns) -> Claim:
    """A KL on attempts costs more than one on decisions."""
    out, cells = beyond(runs), cells_of(runs)
    lead = gain_estimate(runs, cells, {"kl_decision": 1.0, "kl_sampling": -1.0}, None)
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
        verdict=verdict_at(lead),
        rule="agrees when the gain with the KL on decisions is surely larger than with it on attempts, disagrees when it is surely smaller",
        would_take="A KL that costs enough to be told apart.",
        paper=OURS,
    )
