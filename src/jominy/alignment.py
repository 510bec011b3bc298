"""What pass@k says about the cheap tricks, and what it may be made of: strength, form, memory.

    alignment = pass@16, a number from 0 to 1;   strong or weak only where its whole 95 % interval lies on one side of a threshold of ours

The paper (2508.21188) shows that the tricks work for strong alignment and fail for weak, and gives no threshold. Two things make pass@k
say less than it seems: it counts right answers in the wrong form as wrong (the format gap), and a model may know the prompts by heart
(contamination, 2507.10532). Each is a finding here, and `advice` reads both.
Left out: how any of it is measured (`measures`) and drawn (`probing`).
"""

from __future__ import annotations

from typing import Literal

from jominy.evidence import ALIGNMENT_K, Evidence, percent
from jominy.measures.contamination import DECIDING, MEMORY
from jominy.papers import ALIGNMENT
from jominy.records import Finding, Measure, Skipped
from jominy.thresholds import Thresholds

Strength = Literal["strong", "weak", "undecided", "unknown"]


def strength(evidence: Evidence, limit: Thresholds) -> Strength:
    """Which side of our thresholds the whole interval of pass@16 lies on.

    With fewer than 16 rollouts a prompt, pass@k of a smaller k stands in: a lower bound, so it can show strong alignment and never weak.
    """
    alignment = evidence.alignment
    if evidence.off_the_line or alignment.value is None or alignment.low is None or alignment.high is None:
        return "unknown"
    if alignment.low >= limit["strong_pass"].value:
        return "strong"
    return "weak" if alignment.high <= limit["weak_pass"].value and evidence.alignment_k == ALIGNMENT_K else "undecided"


def bins(evidence: Evidence, limit: Thresholds) -> str:
    """Our bin in words, with its threshold."""
    strong, weak = limit["strong_pass"].value, limit["weak_pass"].value
    short = evidence.alignment_k < ALIGNMENT_K
    return {
        "strong": f"strong alignment (at or above {strong:g}, our threshold)",
        "weak": f"weak alignment (at or below {weak:g}, our threshold)",
        "undecided": f"undecided against our thresholds {weak:g} and {strong:g}" + (", which are for k = 16" if short else ""),
        "unknown": "not enough to tell strong from weak alignment",
    }[strength(evidence, limit)]


def loses_by_form(evidence: Evidence, limit: Thresholds) -> Measure | None:
    """The format gap at pass@1, or else the few-shot gain, where it surely exceeds its threshold; None where it does not."""
    gap = evidence.probed.format_gap
    if gap is None:
        return None
    sure = [one for one in (gap.gap[0], gap.gain[0]) if one.low is not None and one.low > limit["format_gap"].value]
    return sure[0] if sure else None


def may_be_known(evidence: Evidence, limit: Thresholds) -> str:
    """The comparisons that suggest that the model knows the prompts by heart; empty where none does."""
    found = evidence.probed.contamination
    if found is None:
        return ""
    exact, excess = found.exact, found.excess
    fired: list[str] = []
    if exact.value is not None and exact.value > limit["contamination_exact"].value:
        fired.append(f"{exact.name} {exact.value:.3g} > contamination_exact {limit['contamination_exact'].value:g}")
    if excess.value is not None and excess.value > limit["contamination_errors"].value:
        fired.append(f"{excess.name} {excess.value:.3g} > contamination_errors {limit['contamination_errors'].value:g}")
    return "; ".join(fired)


def check_alignment(evidence: Evidence, limit: Thresholds) -> Finding | Skipped:
    """Do the cheap tricks have a chance here?"""
    alignment = evidence.alignment
    if alignment.value is None:
        return Skipped(code="alignment", missing=alignment.why_none)
    side = strength(evidence, limit)
    known = tuple(one for one in (alignment, evidence.pass_rate, evidence.passk.area, evidence.corrected) if one is not None)
    there = evidence.evaluation
    elsewhere = "" if there is None else f" On {there.task} {there.alignment.name} is {percent(there.alignment)}."
    return Finding(
        code="alignment",
        severity="good" if side == "strong" else "watch",
        title=f"Alignment: {alignment.name} is {percent(alignment)}, {bins(evidence, limit)}",
        evidence=tuple({one.name: one for one in known}.values()),
        prescription={
            "strong": "The cheap tricks may work here; each line of the recipe table says how far the paper got with it.",
            "weak": "Do not rely on the cheap tricks (one example, spurious or negative-only reward); the true reward worked everywhere.",
            "undecided": "Read the number, not the bin: the higher it is, the more the cheap tricks may give. More --prompts narrow it.",
            "unknown": "More prompts give it an interval.",
        }[side]
        + elsewhere,
        rule=f"{alignment.name} {alignment.value:.3g} against strong_pass {limit['strong_pass'].value:g} and weak_pass "
        f"{limit['weak_pass'].value:g}: {side}",
        reference=ALIGNMENT,
    )


def check_format_gap(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Are right answers lost by their form?"""
    gap = evidence.probed.format_gap
    if gap is None:
        return Skipped(code="format-gap", missing=evidence.probed.missing["format-gap"])
    sure = loses_by_form(evidence, limit)
    if sure is None:
        return None
    by_form = sure is gap.gap[0]
    title = (
        f"{percent(sure)} of the responses are right in the wrong form: strict pass@1 {percent(gap.strict[0])}, lenient "
        f"{percent(gap.lenient[0])}"
        if by_form
        else f"Solved examples in front raise strict pass@1 by {percent(sure)}, to {percent(gap.few_shot[0])}"
    )
    return Finding(
        code="format-gap",
        severity="watch",
        title=title,
        evidence=tuple(one for one in (sure, gap.strict[0], gap.lenient[0], gap.few_shot[0], gap.strict[-1]) if one.value is not None),
        prescription="The first thing RL will learn here is the form, and any reward that asks for it teaches that, even a random one (our "
        "inference). Fix the form first (solved examples in the prompt, a few steps of SFT), or keep lenient beside strict pass@k when you "
        "judge a gain.",
        rule=f"lower end of {sure.name} {sure.low:.3g} > format_gap {limit['format_gap'].value:g}",
        reference=ALIGNMENT,
    )


def check_contamination(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Does the model know the prompts by heart?"""
    found = evidence.probed.contamination
    if found is None:
        return Skipped(code="contamination", missing=evidence.probed.missing["contamination"])
    fired = may_be_known(evidence, limit)
    if not fired:
        return None
    fresh = {one.name: one for one in found.measures}
    if found.same_source:
        advice = "These prompts are made by seed, and the control is the same task under another seed: what both show is wording that is "
        advice += "easy to guess, not memory. Only a difference between the two would be."
    else:
        advice = "Gains on these prompts may be memory that RL brings back, also under a spurious reward. Judge by prompts that are newer "
        advice += f"than the model, or made by seed (--eval-task). The control is {found.fresh}."
    return Finding(
        code="contamination",
        severity="watch",
        title=f"Contamination is possible: from {DECIDING} % of a prompt the model says the rest word for word in {percent(found.exact)}, "
        f"and its right answer in {percent(found.answers)}",
        evidence=(
            found.exact,
            fresh[f"fresh exact match at {DECIDING} %"],
            found.answers,
            fresh[f"fresh answer accuracy at {DECIDING} %"],
            found.excess,
        ),
        prescription=advice,
        rule=fired,
        reference=MEMORY,
    )
