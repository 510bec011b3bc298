"""The claims of 2601.01580, and ours about them, each a rule from the runs of the study to a verdict.

    primary      mainly-decisions, rl-generalises, decision-credit
    secondary    all others

Three claims were named before the full study was run; of the others, some would agree by luck (`paper.LIMITS`). Cells are pooled, each
counting once, and a verdict takes all of them. "More than half of a gain" is tested as part - gain / 2, never as a quotient, which is
printed only. What is held against SFT is held against SFT without wrong attempts too (`OPPONENTS`), and a verdict takes both: plain SFT is
pulled to planted errors that the warm start only read, so a lead over it alone could be no more than not imitating them.
A claim whose arms a design does not have is not made.
Left out on purpose: how a number is estimated (`told`, `estimating`); what a KL does (`penalising`, `stopping`); what
bears on no run (`exactly`).
"""

from __future__ import annotations

from collections.abc import Sequence

from jominy.conclusion import Agreement, Claim
from jominy.papers import DECISIONS
from jominy.records import Measure
from jominy.studies.decisions.chained import chained_split
from jominy.studies.decisions.design import OPPONENTS, RL, RL_DECISION, RL_SAMPLING, SFT, VARIANTS
from jominy.studies.decisions.estimating import (
    Estimate,
    agreed,
    combine,
    measure_of,
    share_measure,
    side,
    told_from,
    verdict_at,
    verdict_of_share,
)
from jominy.studies.decisions.exactly import balanced, exact_theory, verification
from jominy.studies.decisions.paper import HALF, NO_NUMBERS, OURS
from jominy.studies.decisions.penalising import kl_claims
from jominy.studies.decisions.told import IN, Split, beyond, cells_of, gain_estimate, mores, split_of, square_with, unshown_gain
from jominy.studies.outcomes import percent, points, ran
from jominy.studies.reading import StudyRuns

MORE_SEEDS = "More seeds, which decide the width, and more steps, which decide how much there is to split."
NOT_ALL = "not every cell has finished runs of it"
CLOSES = {
    "sft_balanced": (
        "length-closes-gap",
        "Weighing both stages alike closes SFT's gap to RL: the length of solutions is why SFT neglects decisions.",
    ),
    "corrected": (
        "states-close-gap",
        "Learning true verdicts on own attempts closes SFT's gap to RL: SFT neglects decisions because its states are others.",
    ),
}
"""SFT arm -> (code, what it would say if the arm closed the gap)."""


def claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Every claim, in the order of the README."""
    found = [mainly_decisions(runs), rl_generalises(runs)]
    found += [decision_credit(runs)] if runs.knows(RL_DECISION) and runs.knows(RL_SAMPLING) else []
    found += [exact_theory(), balanced(runs), *kl_claims(runs)]
    found += [closes_gap(runs, arm) for arm in CLOSES if runs.knows(arm)]
    return (*found, verification(runs))


def gain_measure(estimate: Estimate | None) -> Measure:
    """A difference of gains with its interval."""
    return measure_of("gain", estimate, meaning="Difference of gains on the same seeds and prompts.", why_none=NOT_ALL)


def opponents_of(runs: StudyRuns) -> list[str]:
    """Arms of SFT that the design has and GRPO is held against."""
    return [arm for arm in OPPONENTS if runs.knows(arm)]


def mainly_decisions(runs: StudyRuns) -> Claim:
    """The gain of RL over SFT out of distribution is mainly the decisions'."""
    cells, opponents = cells_of(runs), opponents_of(runs)
    splits = {arm: split_of(runs, cells, RL, None, against=square_with(arm)) for arm in opponents}
    verdict = agreed([split_verdict(split) for split in splits.values()])
    leads = [None if split is None else split.lead for split in splits.values()]
    return Claim(
        code="mainly-decisions",
        says="The gain of RL over SFT out of distribution comes mainly from better decisions, not from better attempts.",
        numbers=NO_NUMBERS,
        ran=f"{ran(runs, (*opponents, RL))}; the models exchanged at the ends of attempts and decisions, on the further tasks",
        found=" ".join(_against(runs, arm, split) for arm, split in splits.items()) or "No model to exchange GRPO's with.",
        verdict=verdict,
        rule="agrees when the gain is surely above 0 and the decisions' part of it surely larger than the attempts', disagrees when the "
        "gain is surely above 0 and that part surely smaller; both against SFT and against SFT without wrong attempts, which imitates no "
        "planted errors, else nothing can be told",
        would_take=told_from(verdict, leads, "the lead of the decisions' part over the attempts'") + MORE_SEEDS,
        paper=DECISIONS,
    )


def split_verdict(split: Split | None) -> Agreement:
    """Whether decisions make surely more, or surely less, than half of a gain that is surely above 0."""
    return "cannot tell" if split is None else verdict_of_share(split.decision, split.total, HALF)


def _against(runs: StudyRuns, arm: str, split: Split | None) -> str:
    """GRPO against one opponent: pooled, by the chain, and each cell by itself."""
    cells, against = cells_of(runs), square_with(arm)
    title = f"GRPO over {runs.title(arm)} out of distribution"
    singles = [(cell, split_of(runs, [cell], RL, None, against=against)) for cell in cells]
    lacking = [cell for cell, single in singles if single is None]
    if split is None:
        why = sorted({more.get(f"why_no_{against}", "") for cell in lacking for more in mores(runs, cell, RL).values()} - {""})
        return f"{title}: no squares of {', '.join(lacking)}." + (f" {'; '.join(why)}." if why else "")
    if side(gain_measure(split.total)) < 0:
        return f"{title}: {points(gain_measure(split.total))}. GRPO does not lead, so there is nothing to split."
    chain = chained_split(runs, cells, RL, None, against=against)
    text = f"{title}: {said_split(split, split.share('the gain of GRPO'))}."
    if chain is not None:
        text += f" By the chain of measured chances: {said_parts(chain)}."
    if len(cells) > 1:
        text += "".join(f" {cell}: {said_parts(single)}." for cell, single in singles if single is not None)
    missing = sum(not more.get(against) for cell in cells for more in mores(runs, cell, RL).values())
    return text + (f" {missing} runs have no square." if missing else "")


def said_split(split: Split, share: Measure) -> str:
    """A gain, its parts and what they say in a sentence."""
    lead = points(gain_measure(split.lead))
    return f"{said_parts(split)}; decisions lead attempts by {lead}; decisions' share {percent(share)}"


def said_parts(split: Split) -> str:
    """A gain and its parts."""
    total, sampling, decision = (points(gain_measure(part)) for part in (split.total, split.sampling, split.decision))
    return f"{total}; by attempts {sampling}, by decisions {decision}"


def rl_generalises(runs: StudyRuns) -> Claim:
    """RL gains more than SFT out of distribution, and does not only lose less."""
    out, cells, opponents = beyond(runs), cells_of(runs), opponents_of(runs)
    leads = {arm: gain_estimate(runs, cells, {RL: 1.0, arm: -1.0}, None) for arm in opponents}
    own = gain_measure(gain_estimate(runs, cells, {RL: 1.0}, None))
    verdict = agreed([verdict_at(lead) for lead in leads.values()])
    found = f"{runs.title(RL)} gains {points(own)} out of distribution. "
    found += " ".join(_lead_over(runs, arm, lead) for arm, lead in leads.items())
    if verdict == "agrees" and side(own) < 0:
        verdict = "cannot tell"
        found += " But GRPO itself surely lost: it forgot less of what the warm start was shown, which is no generalisation."
    return Claim(
        code="rl-generalises",
        says="RL generalises better than SFT at matched budgets.",
        numbers=NO_NUMBERS,
        ran=f"{ran(out, (*opponents, RL))}; on the further tasks",
        found=found,
        verdict=verdict,
        rule="agrees when GRPO's gain minus SFT's on the further tasks is surely above 0 and GRPO's own gain is not surely below 0, "
        "disagrees when that difference is surely below 0; both against SFT and against SFT without wrong attempts, else nothing can be "
        "told; paired by seed and prompt",
        would_take=told_from(verdict, list(leads.values()), "GRPO's lead") + MORE_SEEDS,
        paper=DECISIONS,
    )


def _lead_over(runs: StudyRuns, arm: str, lead: Estimate | None) -> str:
    """GRPO's lead over an arm of SFT: out of distribution in all cells and in each, and in distribution."""
    cells, contrast = cells_of(runs), {RL: 1.0, arm: -1.0}
    gains = [gain_measure(gain_estimate(runs, cells, {one: 1.0}, None)) for one in (RL, arm)]
    singles = [f"{cell} {points(gain_measure(gain_estimate(runs, [cell], contrast, None)))}" for cell in cells]
    inside, new = gain_estimate(runs, cells, contrast, [IN]), unshown_gain(runs, cells, contrast)
    return (
        f"It leads {runs.title(arm)} (which gains {points(gains[1])}) by {points(gain_measure(lead))}, for {_moves(runs, arm, *gains)}: "
        f"{'; '.join(singles)}. In distribution by {points(gain_measure(inside))}, on held-out prompts that the warm start was not shown "
        f"by {points(gain_measure(new))}."
    )


def _moves(runs: StudyRuns, arm: str, rl: Measure, sft: Measure) -> str:
    """Which of the two makes the difference, in words."""
    words = {1: "rose", 0: "did not surely move", -1: "fell"}
    return f"{runs.title(RL)} {words[side(rl)]} and {runs.title(arm)} {words[side(sft)]}"


def decision_credit(runs: StudyRuns) -> Claim:
    """Crediting decisions alone recovers most of what RL gains out of distribution, and more than crediting attempts alone."""
    out, cells, arms = beyond(runs), cells_of(runs), (RL, RL_DECISION, RL_SAMPLING)
    whole, deciding, lead = (
        gain_estimate(runs, cells, contrast, None, arms=arms)
        for contrast in ({RL: 1.0}, {RL_DECISION: 1.0}, {RL_DECISION: 1.0, RL_SAMPLING: -1.0})
    )
    shares = {arm: _share_of(runs, {arm: 1.0}, {RL: 1.0}, arms, "GRPO's gain out of distribution") for arm in arms[1:]}
    half = beyond_half(deciding, whole)
    verdicts = (verdict_of_share(deciding, whole, HALF), verdict_at(lead))
    verdict: Agreement = "cannot tell"
    # Of no gain nothing is recovered, whoever leads.
    if verdict_at(whole) == "agrees":
        verdict = "disagrees" if "disagrees" in verdicts else agreed(verdicts)
    return Claim(
        code="decision-credit",
        says="Crediting decisions alone recovers most of RL's gain out of distribution, crediting attempts alone does not.",
        numbers="None: a test of ours (the advantage on the tokens of one stage alone).",
        ran=f"{ran(out, arms)}; on the further tasks",
        found=f"GRPO gains {points(gain_measure(whole))}; credit for decisions alone {percent(shares[RL_DECISION])} of that, credit for "
        f"attempts alone {percent(shares[RL_SAMPLING])}; decisions reach half of it and {points(gain_measure(half))}, and lead attempts by "
        f"{points(gain_measure(lead))}.",
        verdict=verdict,
        rule="only where GRPO's gain is surely above 0: agrees when that of credit for decisions is surely more than half of it (their "
        "difference, no quotient) and its lead over credit for attempts surely above 0; disagrees when either is surely below",
        would_take=told_from(verdict, [half, lead], "its gain minus half of GRPO's, or its lead,") + MORE_SEEDS,
        paper=OURS,
    )


def beyond_half(part: Estimate | None, whole: Estimate | None) -> Estimate | None:
    """A part minus half of the whole."""
    return None if part is None or whole is None else combine([(1.0, part), (-HALF, whole)])


def closes_gap(runs: StudyRuns, arm: str) -> Claim:
    """A variant of SFT closes the gap to RL out of distribution, that of plain SFT and that of SFT without wrong attempts."""
    over, known = opponents_of(runs), [one for one in VARIANTS if runs.knows(one)]
    pairs = {one: part_and_gap(runs, arm, one) for one in over}
    verdict = agreed([verdict_of_share(part, gap, HALF) for part, gap in pairs.values()])
    halves = [beyond_half(part, gap) for part, gap in pairs.values()]
    found = " ".join(
        f"Of GRPO's lead over {runs.title(one)} out of distribution ({points(gain_measure(gap))}) it closes "
        f"{percent(gap_closed(runs, arm, one))}; its lead minus half of GRPO's is {points(gain_measure(half))}."
        for (one, (_, gap)), half in zip(pairs.items(), halves, strict=True)
    )
    others = [f"{runs.title(one)} {percent(gap_closed(runs, one, SFT))}" for one in known if one != arm]
    found += f" Of that over {runs.title(SFT)} others close: {'; '.join(others)}." if others else ""
    if {verdict_of_share(*part_and_gap(runs, one, SFT), HALF) for one in known} == {"disagrees"}:
        found += " None closes half of it, which leaves the contrast of outcomes that only RL has."
    code, says = CLOSES[arm]
    return Claim(
        code=code,
        says=says,
        numbers=NO_NUMBERS,
        ran=f"{ran(beyond(runs), (SFT, *known, RL))}; on the further tasks",
        found=found,
        verdict=verdict,
        rule="agrees when the lead of GRPO over SFT is surely above 0 and the arm's own lead over SFT surely more than half of it (their "
        "difference, no quotient), disagrees when it is surely less; both for SFT and for SFT without wrong attempts, else nothing can be "
        "told: an arm that learns no planted errors closes some of the first gap by that alone",
        would_take=told_from(verdict, halves, "the arm's lead minus half of GRPO's") + "A sure gap between SFT and RL, which there may "
        "not be here.",
        paper=DECISIONS if arm == "sft_balanced" else OURS,
    )


def part_and_gap(runs: StudyRuns, arm: str, over: str) -> tuple[Estimate | None, Estimate | None]:
    """(an arm's lead over an arm of SFT, GRPO's lead over it) out of distribution, on the same seeds."""
    part, gap = (gain_estimate(runs, cells_of(runs), _lead(one, over), None, arms=(arm, RL, over)) for one in (arm, RL))
    return part, gap


def gap_closed(runs: StudyRuns, arm: str, over: str) -> Measure:
    """Share of GRPO's lead over an arm of SFT that another arm has too, out of distribution."""
    return _share_of(runs, _lead(arm, over), _lead(RL, over), (arm, RL, over), f"the lead of GRPO over {runs.title(over)}")


def _lead(arm: str, over: str) -> dict[str, float]:
    """The contrast of two arms; of one with itself it is nothing."""
    return {arm: 0.0} if arm == over else {arm: 1.0, over: -1.0}


def _share_of(runs: StudyRuns, part: dict[str, float], whole: dict[str, float], arms: Sequence[str], of: str) -> Measure:
    """One contrast over another, out of distribution, over all cells."""
    above, below = (gain_estimate(runs, cells_of(runs), contrast, None, arms=arms) for contrast in (part, whole))
    meaning = "A gain as a share of another one, on the same seeds and prompts."
    if above is None or below is None:
        return Measure(name="share", value=None, why_none=NOT_ALL, meaning=meaning)
    return share_measure("share", above, below, meaning=meaning, of=of)
