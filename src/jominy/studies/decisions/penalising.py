"""What a KL to the start does to attempts and decisions: three claims, from arms that differ in strength, place and kind of the KL.

    spares      the decisions' share of the gain against the warm start, strong minus weak KL in the loss, in distribution
    stops       chance of accepting the states of the bank, KL in the reward minus as strong a KL in the loss, right and wrong apart
    where       gain out of distribution with the KL on decisions minus with the KL on attempts, at the middle strength

Left out on purpose: what the identities of the KL are worth (`theory`).
"""

from __future__ import annotations

from collections.abc import Sequence

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import DECISIONS
from jominy.records import Measure
from jominy.studies.decisions.design import KL_WHERE, RL, STRENGTHS, kl_arm
from jominy.studies.decisions.estimating import Estimate, mean, measure_of, minus, ratio, side, verdict_at
from jominy.studies.decisions.paper import FEWEST_SEEDS, NO_NUMBERS, OURS
from jominy.studies.decisions.told import IN, bank_estimate, beyond, cells_of, gain_estimate, rate_estimate, shared_seeds, split_of
from jominy.studies.outcomes import percent, points, ran
from jominy.studies.reading import StudyRuns

KINDS = ("loss", "reward")
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
    cells, arms = cells_of(runs), [kl_arm("loss", strength) for strength in STRENGTHS]
    splits = {arm: split_of(runs, cells, arm, [IN], arms=(RL, *arms)) for arm in (RL, *arms)}
    shares = {arm: None if split is None else split.share("its gain") for arm, split in splits.items()}
    weak, strong = splits[arms[0]], splits[arms[-1]]
    trend: Estimate | None = None
    defined = [share for share in (shares[arms[0]], shares[arms[-1]]) if share is not None and share.value is not None]
    if weak is not None and strong is not None and len(defined) == 2:
        high, low = ratio(strong.decision, strong.total), ratio(weak.decision, weak.total)
        trend = None if high is None or low is None else minus(high, low)
    measure = measure_of("trend", trend, meaning="", why_none="a share is undefined, for one of the gains is not surely above 0")
    texts = []
    for arm, split in splits.items():
        share = shares[arm]
        if split is not None and share is not None:
            parts = [points(measure_of("part", part, meaning="", why_none="")) for part in (split.sampling, split.decision)]
            texts.append(f"{runs.title(arm)}: by attempts {parts[0]}, by decisions {parts[1]}, decisions' share {percent(share)}")
    return Claim(
        code="kl-spares-decisions",
        says="A KL to the start constrains attempts more than decisions: the stronger it is, the more of the gain is the decisions'.",
        numbers=NO_NUMBERS,
        ran=f"{ran(runs, (RL, *arms))}; in distribution, exchanged with the warm start",
        found=("; ".join(texts) or "No finished runs") + f". The share moves by {percent(measure)} from the weak to the strong KL.",
        verdict=verdict_at(measure, trend),
        rule="agrees when the decisions' share of the gain is surely larger under the strong KL than under the weak one, disagrees when "
        "it is surely smaller; undefined where one of the gains is not surely above 0",
        would_take="Strengths between those that do nothing and those that leave no gain to split, and more seeds.",
        paper=DECISIONS,
    )


def stops(runs: StudyRuns) -> Claim:
    """A KL in the reward makes the policy accept more, right or wrong."""
    on_bank = {truth: _more_accepted(runs, truth, own=False) for truth in PAIRS}
    on_own = {truth: _more_accepted(runs, truth, own=True) for truth in PAIRS}
    measures = {truth: _chance(estimate) for truth, estimate in on_bank.items()}
    sides = [side(measure) for measure in measures.values()]
    enough = all(estimate is not None and estimate.num_seeds >= FEWEST_SEEDS for estimate in on_bank.values())
    verdict: Agreement = "cannot tell"
    if enough and -1 in sides:
        verdict = "disagrees"
    elif enough and sides == [1, 1]:
        verdict = "agrees"
    said = [f"{truth} attempts {points(measure)} (own attempts {points(_chance(on_own[truth]))})" for truth, measure in measures.items()]
    return Claim(
        code="kl-reward-stops",
        says="A KL in the reward biases decisions towards stopping: it accepts more, right and wrong, than as strong a KL in the loss.",
        numbers="None: it follows from the whole gradient of the KL, in which a retry pays for the attempt that it opens.",
        ran=f"{ran(runs, [kl_arm(kind, strength) for kind in KINDS for strength in STRENGTHS])}; accepting the bank's attempts",
        found=f"In the reward minus in the loss, mean over {len(STRENGTHS)} strengths, of the chance of accepting: {'; '.join(said)}.",
        verdict=verdict,
        rule="agrees when the chances of accepting the bank's right and wrong attempts are both surely higher, disagrees when either is "
        "surely lower; mean over the strengths",
        would_take="A stronger KL, longer attempts, or more steps: the push is the KL of one attempt.",
        paper=OURS,
    )


def _chance(estimate: Estimate | None) -> Measure:
    return measure_of("chance", estimate, meaning="", why_none="no runs of both")


def _more_accepted(runs: StudyRuns, truth: str, *, own: bool) -> Estimate | None:
    """Chance of accepting under KL in the reward minus under KL in the loss, mean over the strengths of a cell, then over cells."""
    found = [_mean_of_strengths(pairs) for cell in cells_of(runs) if (pairs := _pairs(runs, cell, truth, own=own))]
    return mean(found) if found else None


def _pairs(runs: StudyRuns, cell: str, truth: str, *, own: bool) -> list[Estimate]:
    """The difference at each strength that has runs of both."""
    correct, rate = PAIRS[truth]
    found = []
    for strength in STRENGTHS:
        arms = [kl_arm(kind, strength) for kind in ("reward", "loss")]
        seeds = shared_seeds(runs, cell, arms)
        if own:
            reward, loss = (rate_estimate(runs, cell, arm, rate, seeds) for arm in arms)
        else:
            reward, loss = (bank_estimate(runs, cell, arm, seeds, correct=correct) for arm in arms)
        if reward is not None and loss is not None:
            found.append(minus(reward, loss))
    return found


def _mean_of_strengths(found: Sequence[Estimate]) -> Estimate:
    """They share seeds and prompts, which count once; those of the strength with the fewest seeds."""
    merged = mean(found)
    return Estimate(value=merged.value, drawn_B=merged.drawn_B, shapes=(min(merged.shapes),))


def where(runs: StudyRuns) -> Claim:
    """A KL on attempts costs more than one on decisions."""
    out, cells = beyond(runs), cells_of(runs)
    lead = gain_estimate(out, cells, {"kl_decision": 1.0, "kl_sampling": -1.0})
    measure = measure_of("lead", lead, meaning="", why_none="no cell has finished runs of both")
    arms = (RL, kl_arm("loss", "middle"), *KL_WHERE)
    gains = [(arm, measure_of("gain", gain_estimate(out, cells, {arm: 1.0}), meaning="", why_none="no finished runs")) for arm in arms]
    return Claim(
        code="kl-where",
        says="It is the KL on attempts that costs: with a KL on decisions alone RL gains more out of distribution.",
        numbers="None: a test of ours (the KL on the tokens of one stage alone).",
        ran=f"{ran(out, arms)}; on the further tasks, beta {number(STRENGTHS['middle'])}",
        found=f"With the KL on decisions {points(measure)} more than with it on attempts. Gains: "
        + "; ".join(f"{runs.title(arm)} {points(gain)}" for arm, gain in gains)
        + ".",
        verdict=verdict_at(measure, lead),
        rule="agrees when the gain with the KL on decisions is surely larger than with it on attempts, disagrees when it is surely smaller",
        would_take="A KL that costs enough to be told apart.",
        paper=OURS,
    )
