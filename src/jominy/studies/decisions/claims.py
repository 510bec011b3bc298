"""The claims of 2601.01580, and ours about them, each a rule from the runs of the study to a verdict.

    primary      mainly-decisions, rl-generalises, decision-credit
    secondary    all others

Three claims were named before the full study was run; of the others, some would agree by luck (`paper.LIMITS`). Cells are pooled, each
counting once. A claim whose arms a design does not have is not made.
Left out on purpose: how a number is estimated (`told`, `estimating`); what a KL does (`penalising`), and what bears on no run (`exactly`).
"""

from __future__ import annotations

from collections.abc import Sequence

from jominy.conclusion import Agreement, Claim
from jominy.papers import DECISIONS
from jominy.records import Measure
from jominy.studies.decisions.design import RL, RL_DECISION, RL_SAMPLING, SFT, VARIANTS
from jominy.studies.decisions.estimating import Estimate, measure_of, share_measure, side, verdict_at
from jominy.studies.decisions.exactly import balanced, exact_theory, verification
from jominy.studies.decisions.paper import HALF, NO_NUMBERS, OURS
from jominy.studies.decisions.penalising import kl_claims
from jominy.studies.decisions.told import AGAINST_SFT, Split, beyond, cells_of, gain_estimate, mores, split_of
from jominy.studies.outcomes import percent, points, ran
from jominy.studies.reading import StudyRuns

MORE_SEEDS = "More seeds, which decide the width, and more steps, which decide how much there is to split."
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
    return measure_of(
        "gain", estimate, meaning="Difference of gains on the same seeds and prompts.", why_none="no cell has finished runs of it"
    )


def mainly_decisions(runs: StudyRuns) -> Claim:
    """The gain of RL over SFT out of distribution is mainly the decisions'."""
    cells = cells_of(runs)
    split = split_of(runs, cells, RL, None, against=AGAINST_SFT)
    share = Measure(name="share", value=None, why_none="no run has the square of SFT and GRPO")
    found = "No run of GRPO has the square with the model of SFT."
    if split is not None:
        share = split.share("the gain of GRPO over SFT")
        singles = [(cell, split_of(runs, [cell], RL, None, against=AGAINST_SFT)) for cell in cells]
        found = f"GRPO over SFT out of distribution: {said_split(split, share)}"
        found += "".join(
            f" {cell}: {said_split(one, one.share('the gain'))}" for cell, one in singles if one is not None and len(cells) > 1
        )
    gone = sum(bool(more["why_no_square_sft"]) for cell in cells for more in mores(runs, cell, RL).values())
    found += f" {gone} runs have no square, for the model that SFT left is gone." if gone else ""
    return Claim(
        code="mainly-decisions",
        says="The gain of RL over SFT out of distribution comes mainly from better decisions, not from better attempts.",
        numbers=NO_NUMBERS,
        ran=f"{ran(runs, (SFT, RL))}; the two models exchanged at the ends of attempts and decisions, on the further tasks",
        found=found,
        verdict=verdict_at(share, None if split is None else split.total, HALF),
        rule=f"agrees when the decisions' Shapley share of the gain is surely above {HALF:g}, disagrees when it is surely below; there is "
        "no share where the gain itself is not surely above 0",
        would_take=MORE_SEEDS,
        paper=DECISIONS,
    )


def said_split(split: Split, share: Measure) -> str:
    """A gain and its parts in a sentence."""
    parts = [measure_of("part", part, meaning="", why_none="") for part in (split.total, split.sampling, split.decision)]
    total, sampling, decision = map(points, parts)
    return f"{total}; by attempts {sampling}, by decisions {decision}; decisions' share {percent(share)}."


def rl_generalises(runs: StudyRuns) -> Claim:
    """RL gains more than SFT out of distribution."""
    out, cells = beyond(runs), cells_of(runs)
    lead = gain_estimate(out, cells, {RL: 1.0, SFT: -1.0})
    measure = gain_measure(lead)
    inside = gain_measure(gain_estimate(runs, cells, {RL: 1.0, SFT: -1.0}))
    each = [(runs.title(arm), gain_measure(gain_estimate(out, cells, {arm: 1.0}))) for arm in (SFT, RL)]
    singles = [(cell, gain_measure(gain_estimate(out, [cell], {RL: 1.0, SFT: -1.0}))) for cell in cells]
    found = f"GRPO leads SFT by {points(measure)} out of distribution ({'; '.join(f'{title} {points(one)}' for title, one in each)})"
    found += f", by {points(inside)} in distribution. " + "; ".join(f"{cell} {points(one)}" for cell, one in singles) + "."
    return Claim(
        code="rl-generalises",
        says="RL generalises better than SFT at matched budgets.",
        numbers=NO_NUMBERS,
        ran=f"{ran(out, (SFT, RL))}; on the further tasks",
        found=found,
        verdict=verdict_at(measure, lead),
        rule="agrees when GRPO's gain minus SFT's on the further tasks is surely above 0, disagrees when it is surely below; paired by "
        "seed and prompt",
        would_take=MORE_SEEDS,
        paper=DECISIONS,
    )


def decision_credit(runs: StudyRuns) -> Claim:
    """Crediting decisions alone recovers most of what RL gains out of distribution, and more than crediting attempts alone."""
    out, cells, arms = beyond(runs), cells_of(runs), (RL, RL_DECISION, RL_SAMPLING)
    whole, lead = (gain_estimate(out, cells, contrast, arms) for contrast in ({RL: 1.0}, {RL_DECISION: 1.0, RL_SAMPLING: -1.0}))
    shares = {arm: _share_of(out, cells, {arm: 1.0}, {RL: 1.0}, arms, "GRPO's gain out of distribution") for arm in arms[1:]}
    ahead = gain_measure(lead)
    verdicts = (verdict_at(shares[RL_DECISION], whole, HALF), verdict_at(ahead, lead))
    verdict: Agreement = "cannot tell"
    if "disagrees" in verdicts:
        verdict = "disagrees"
    elif set(verdicts) == {"agrees"}:
        verdict = "agrees"
    return Claim(
        code="decision-credit",
        says="Crediting decisions alone recovers most of RL's gain out of distribution, crediting attempts alone does not.",
        numbers="None: a test of ours (the advantage on the tokens of one stage alone).",
        ran=f"{ran(out, arms)}; on the further tasks",
        found=f"GRPO gains {points(gain_measure(whole))}; credit for decisions alone {percent(shares[RL_DECISION])} of that, credit for "
        f"attempts alone {percent(shares[RL_SAMPLING])}; decisions lead attempts by {points(ahead)}.",
        verdict=verdict,
        rule=f"agrees when the share of credit for decisions is surely above {HALF:g} and its lead over credit for attempts surely above "
        "0; disagrees when either is surely below",
        would_take=MORE_SEEDS,
        paper=OURS,
    )


def closes_gap(runs: StudyRuns, arm: str) -> Claim:
    """A variant of SFT closes its gap to RL out of distribution."""
    out, cells = beyond(runs), cells_of(runs)
    shares = {one: gap_closed(out, one) for one in VARIANTS if runs.knows(one)}
    gap = gain_estimate(out, cells, {RL: 1.0, SFT: -1.0}, (arm,))
    closing = [one for one, share in shares.items() if side(share, HALF) > 0]
    not_closing = [one for one, share in shares.items() if side(share, HALF) < 0]
    found = f"Of GRPO's lead over SFT out of distribution ({points(gain_measure(gap))}), "
    found += "; ".join(f"{runs.title(one)} closes {percent(share)}" for one, share in shares.items()) + "."
    if len(not_closing) == len(shares):
        found += " None closes half of it, which leaves the contrast of outcomes that only RL has."
    elif closing:
        found += f" At least half of it is surely closed by: {', '.join(map(runs.title, closing))}."
    code, says = CLOSES[arm]
    return Claim(
        code=code,
        says=says,
        numbers=NO_NUMBERS,
        ran=f"{ran(out, (SFT, *shares, RL))}; on the further tasks",
        found=found,
        verdict=verdict_at(shares[arm], gap, HALF),
        rule=f"agrees when it surely closes more than {HALF:g} of the lead of GRPO over SFT, disagrees when it surely closes less; there "
        "is no share where that lead is not surely above 0",
        would_take="A sure gap between SFT and RL, which there may not be here.",
        paper=DECISIONS if arm == "sft_balanced" else OURS,
    )


def gap_closed(out: StudyRuns, arm: str) -> Measure:
    """Share of GRPO's lead over SFT that an arm has too, out of distribution."""
    return _share_of(out, cells_of(out), {arm: 1.0, SFT: -1.0}, {RL: 1.0, SFT: -1.0}, (arm, RL, SFT), "the lead of GRPO over SFT")


def _share_of(
    runs: StudyRuns, cells: Sequence[str], part: dict[str, float], whole: dict[str, float], arms: Sequence[str], of: str
) -> Measure:
    """One contrast over another on the same cells and seeds."""
    above, below = (gain_estimate(runs, cells, contrast, arms) for contrast in (part, whole))
    meaning = "A gain as a share of another one, on the same seeds and prompts."
    if above is None or below is None:
        return Measure(name="share", value=None, why_none="no cell has finished runs of it", meaning=meaning)
    return share_measure("share", above, below, meaning=meaning, of=of)
