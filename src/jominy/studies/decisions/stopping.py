"""Whether a KL in the reward makes a policy stop: one claim, from arms with a KL in the reward and in the loss that moved about as far.

    stops    chance of accepting the states of the bank, KL in the reward minus KL in the loss, right and wrong attempts apart;
             mean over the pairs of a cell that are alike (`distances`), then over cells

The verdict is on wrong attempts, and right ones may only speak against it: a warm start accepts nearly all of those, so there is hardly
room for more. Of two that moved differently the one that moved less keeps more of what the warm start accepted, which looks like a push to
stop: so pairs that are not alike are left out. What is left of such a difference within a pair is in no interval.
Left out on purpose: claims on a KL in the loss alone (`penalising`).
"""

from __future__ import annotations

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.records import Measure
from jominy.studies.decisions.design import STRENGTHS, kl_arm
from jominy.studies.decisions.distances import KINDS, Pair, loss_arms, pairs_of, reward_arms
from jominy.studies.decisions.estimating import AGREEMENTS, Estimate, combine, measure_of, side, told_from
from jominy.studies.decisions.paper import FEWEST_SEEDS, HEARD, MOST_APART, OURS
from jominy.studies.decisions.told import IN, bank_estimate, bank_heard, cells_of, everywhere, mores, rate_estimate, shared_seeds
from jominy.studies.outcomes import points, ran
from jominy.studies.reading import StudyRuns

NO_PAIRS = "not every cell has a pair of arms that moved about as far"
TRUTHS = {
    "right": (True, "accept_right"),
    "wrong": (False, "accept_wrong"),
}
"""Truth of a state -> (as the bank has it, the rate on own attempts)."""


def stops(runs: StudyRuns) -> Claim:
    """A KL in the reward makes the policy accept more."""
    on_bank = {truth: _more_accepted(runs, truth, own=False) for truth in TRUTHS}
    on_own = {truth: _more_accepted(runs, truth, own=True) for truth in TRUTHS}
    heard = _least_heard(runs)
    verdict = _verdict(on_bank) if heard >= HEARD else "cannot tell"
    said = [f"{truth} attempts {points(_chance(on_bank[truth]))} (own attempts {points(_chance(on_own[truth]))})" for truth in TRUTHS]
    found = f"In the reward minus in the loss, mean over pairs, of the chance of accepting: {'; '.join(said)}. "
    found += f"{'; '.join(_accepts(runs, kl_arm(kind, strength)) for strength in STRENGTHS for kind in KINDS)}. {_paired(runs)}"
    if heard < HEARD:
        found += f" In one of these arms checks came to a verdict on {number(heard, 'share')} % of the bank only: its form broke."
    return Claim(
        code="kl-reward-stops",
        says="A KL in the reward biases decisions towards stopping: it accepts more wrong attempts, and no fewer right ones, than a KL in "
        "the loss.",
        numbers="None: it follows from the whole gradient of the KL, in which a retry pays for the attempt that it opens.",
        ran=f"{ran(runs, [kl_arm(kind, strength) for kind in KINDS for strength in STRENGTHS])}; accepting the bank's attempts",
        found=found,
        verdict=verdict,
        rule="agrees when the chance of accepting the bank's wrong attempts is surely higher and that of its right ones not surely lower, "
        "disagrees when that of wrong ones is surely lower and that of right ones not surely higher (nearly all right ones are accepted "
        "from the start, so they can hardly rise); mean over the strengths in the reward, each held against the KL in the loss that ended "
        "nearest in nats a response, for strengths of the two are not of one scale, and left out where one of the two moved more than "
        f"{MOST_APART:g} times as far; only where every one of these arms comes to a verdict on {HEARD:g} of the bank",
        would_take=told_from(verdict, [on_bank["wrong"]], "the difference in the chance of accepting wrong attempts")
        + "A stronger KL, longer attempts, or more steps: the push is the KL of one attempt. Or strengths of the two kinds that end nearer "
        "to each other.",
        paper=OURS,
    )


def _verdict(on_bank: dict[str, Estimate | None]) -> Agreement:
    """By the rule; with enough seeds in every cell."""
    known = [one for one in on_bank.values() if one is not None and one.num_seeds >= FEWEST_SEEDS]
    if len(known) < len(on_bank):
        return "cannot tell"
    right, wrong = (side(_chance(on_bank[truth])) for truth in TRUTHS)
    return AGREEMENTS[0 if right == -wrong else wrong]


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
        pairs = pairs_of(runs, cell)
        near, far = ([_named(runs, pair) for pair in pairs if pair.is_alike is alike] for alike in (True, False))
        named = [", ".join(near) or "none", *([f"left out {', '.join(far)}"] if far else [])]
        texts += [f"{cell}: {'; '.join(named)}"] if pairs else []
    return f"Paired by nats a response, {'. '.join(texts)}." if texts else "No arms to pair: nats are not known."


def _named(runs: StudyRuns, pair: Pair) -> str:
    """Both arms, with nats a response."""
    one, other = (f"`{runs.title(arm)}` ({number(nats)})" for arm, nats in zip((pair.reward, pair.loss), pair.nats, strict=True))
    return f"{one} with {other}"


def _least_heard(runs: StudyRuns) -> float:
    """Smallest share of the bank's states with a verdict, over cells and arms with a KL; 0 where one has no runs."""
    arms = [kl_arm(kind, strength) for kind in KINDS for strength in STRENGTHS]
    return min(bank_heard(runs, cell, arm, tuple(mores(runs, cell, arm))) for cell in cells_of(runs) for arm in arms)


def _chance(estimate: Estimate | None) -> Measure:
    return measure_of("chance", estimate, why_none=NO_PAIRS)


def _more_accepted(runs: StudyRuns, truth: str, *, own: bool) -> Estimate | None:
    """Chance of accepting under KL in the reward minus under KL in the loss, mean over the pairs of a cell, then over cells."""
    return everywhere([_mean_of_pairs(runs, cell, truth, own=own) for cell in cells_of(runs)])


def _mean_of_pairs(runs: StudyRuns, cell: str, truth: str, *, own: bool) -> Estimate | None:
    """On the seeds that all arms have; None where no pair is alike, or one of them has no cases."""
    correct, rate = TRUTHS[truth]
    seeds = shared_seeds(runs, cell, [*reward_arms(), *loss_arms()])
    pairs = [pair for pair in pairs_of(runs, cell) if pair.is_alike]
    found: list[tuple[float, Estimate]] = []
    for pair in pairs:
        for weight, one in ((1 / len(pairs), pair.reward), (-1 / len(pairs), pair.loss)):
            accepts = rate_estimate(runs, cell, one, rate, seeds, [IN]) if own else bank_estimate(runs, cell, one, seeds, correct=correct)
            if accepts is None:
                return None
            found.append((weight, accepts))
    return combine(found) if found else None
