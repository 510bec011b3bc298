"""From measures to findings: what was seen, how sure, what to do. One small function a check.

A check returns a `Finding` when it has something to say, `Skipped` when it cannot run, None when all is well.
`CHECKS` is the list; adding a check is adding a function to it. Those of the learning signal stand in `live_checks`, those of the tricks in
`alignment`, all others here.
Left out on purpose: the verdict that follows (`verdict`), which recipe fits (`advice`), what the evidence is (`evidence`) and every
estimate (`measures`).
"""

from __future__ import annotations

from collections.abc import Callable

from jominy.alignment import check_alignment, check_contamination, check_format_gap
from jominy.evidence import Evidence, against, percent
from jominy.live_checks import check_graded, check_power, check_signal, check_success_line
from jominy.papers import ALIGNMENT, CLARITY, DAPO, PRECISION
from jominy.records import Finding, Severity, Skipped
from jominy.thresholds import Thresholds
from jominy.trusting import check_audit

SEVERITY_ORDER: tuple[Severity, ...] = ("stop", "fix", "watch", "good")

Check = Callable[[Evidence, Thresholds], Finding | Skipped | None]


def check_unscored(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Rewards that could not be computed."""
    share = evidence.unscored
    if share.value is None or share.value <= limit["unscored_fix"].value:
        return None
    fatal = share.value > limit["unscored_stop"].value
    return Finding(
        code="unscored",
        severity="stop" if fatal else "fix",
        title=f"{percent(share)} of the rollouts could not be scored",
        evidence=(share,),
        prescription="Mend the reward (where a failure was recorded, the first is shown). Unscored rollouts leave the baseline of their "
        "group and are wasted sampling; if they fail for a reason that depends on the answer, they bias what is learned.",
        rule=against(share, ">", limit, "unscored_stop" if fatal else "unscored_fix"),
        reference=PRECISION,
    )


def check_truncated(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Answers cut at the token limit, and whether that costs them."""
    share, cut, finished = evidence.liveness.truncated, evidence.right_when_cut, evidence.right_when_finished
    if share.value is None:
        return Skipped(code="truncated", missing="how each answer ended (column `stop` or `truncated`)")
    if share.value <= limit["truncated"].value:
        return None
    harmful = (
        cut.high is not None
        and finished.low is not None
        and finished.value is not None
        and cut.high < finished.low
        and (cut.value or 0.0) < limit["truncated_harm"].value * finished.value
    )
    mostly = share.value > limit["truncated_most"].value and (cut.value or 0.0) < limit["truncated_right"].value
    prescription = "Raise --max-tokens and diagnose again: "
    if harmful:
        prescription += "cut answers fail because they are cut, and RL would learn to be short before it learns to be right."
    elif mostly:
        prescription += "nearly every answer is cut and few are right, so this says what the limit allows and not what the model can do."
    else:
        prescription = "Raise --max-tokens if training will allow more: being cut does not surely decide the reward here, but the numbers "
        prescription += "hold for this limit only."
    return Finding(
        code="truncated",
        severity="fix" if harmful or mostly else "watch",
        title=f"{percent(share)} of the answers are cut at the token limit; "
        f"right: {percent(cut)} of the cut, {percent(finished)} of the finished",
        evidence=(share, cut, finished),
        prescription=prescription,
        rule=against(share, ">", limit, "truncated_most" if mostly else "truncated") + ("; cut surely right less often" if harmful else ""),
        reference=DAPO,
    )


def check_repetitive(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Loops."""
    share = evidence.liveness.repetitive
    if share.value is None:
        return Skipped(code="repetitive", missing="column `text` (read for at most 200,000 rollouts)")
    if share.value <= limit["repetitive"].value:
        return None
    return Finding(
        code="repetitive",
        severity="watch",
        title=f"{percent(share)} of the answers repeat themselves",
        evidence=(share,),
        prescription="Read some of them on the page. Loops have high probability and low reward: check the chat template and the stop "
        "tokens first.",
        rule=against(share, ">", limit, "repetitive"),
        reference=CLARITY,
    )


def check_partial_run(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Are there fewer prompts than were asked for?"""
    asked = evidence.num_asked
    present = evidence.unscored.num_prompts
    if asked is None or present >= asked:
        return None
    return Finding(
        code="partial-run",
        severity="watch",
        title=f"{present} of {asked} prompts were sampled",
        evidence=(evidence.unscored,),
        prescription="The run was stopped, or the task has no more prompts. If it was stopped, the same command goes on; until then the "
        "numbers lean on the groups that finished first.",
        rule=f"{present} groups < {asked} asked for",
        reference=None,
    )


def check_chance(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Is the model better than blind guessing?"""
    corrected = evidence.corrected
    if corrected is None:
        return Skipped(code="chance", missing="the size of the answer space (column `num_choices`), for tasks where a guess can be right")
    if corrected.value is None or corrected.low is None or corrected.high is None or corrected.low > 0:
        return None
    sure, below = corrected.high < limit["guess"].value, corrected.high < 0
    if below:
        said, prescription = (
            "surely below blind guessing",
            "Read the rollouts: a model that is right less often than a guess mostly does not ",
        )
        prescription += (
            "answer in the form that is asked for. Show it the form first: a few examples in the prompt, SFT, or a format reward."
        )
    elif sure:
        said, prescription = (
            "no better than guessing",
            "A right guess is paid like a right thought. Use a task with a larger answer space, ",
        )
        prescription += "or warm up until the model beats chance."
    else:
        said, prescription = "not told from guessing yet", "Diagnose with more --prompts; if it stays there, a right guess is paid like a "
        prescription += "right thought."
    return Finding(
        code="chance",
        severity="fix" if sure else "watch",
        title=f"Chance-corrected pass@1 is {percent(corrected)}: {said}",
        evidence=(corrected, evidence.pass_rate),
        prescription=prescription,
        rule=f"lower end {corrected.low:.3g} <= 0" + (f", upper end {corrected.high:.3g} < guess {limit['guess'].value:g}" if sure else ""),
        reference=ALIGNMENT,
    )


def check_clarity(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Does the model's own probability tell right from wrong?"""
    clarity = evidence.clarity
    if clarity is None:
        return Skipped(code="clarity", missing=f"log-probabilities: {evidence.why_no_clarity}")
    auroc = clarity.auroc
    if auroc.value is None:
        return Skipped(code="clarity", missing=auroc.why_none)
    if auroc.low is None or auroc.high is None or auroc.low <= 0.5 <= auroc.high:
        return None
    inverted = auroc.high < 0.5
    return Finding(
        code="clarity-inverted" if inverted else "clear",
        severity="watch" if inverted else "good",
        title=("Wrong answers are likelier than right ones" if inverted else "Right answers are likelier than wrong ones")
        + f": AUROC {auroc.value:.2f} [{auroc.low:.2f}, {auroc.high:.2f}]",
        evidence=(auroc, clarity.silhouette, clarity.excess, clarity.coverage),
        prescription="RL must first push down what the model is sure of. Look for loops and for answers cut short among the likeliest "
        "wrong ones; then weigh prompts by clarity."
        if inverted
        else "Nothing to do: the model's own probability points the right way.",
        rule=f"the interval of AUROC lies {'below' if inverted else 'above'} 0.5",
        reference=CLARITY,
    )


def check_probability(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Is the probability of many rollouts unknown? Then clarity is that of the others."""
    share = None if evidence.clarity is None else evidence.clarity.without_probability
    if share is None or share.value is None or share.value <= limit["no_probability"].value:
        return None
    return Finding(
        code="no-probability",
        severity="watch",
        title=f"{percent(share)} of the scored rollouts have no probability at temperature 1: clarity leaves them out",
        evidence=(share,),
        prescription="Log the log-probabilities of all rollouts, at temperature 1 and of the whole distribution. Where it depends on the "
        "answer which are missing (long ones, say), S of the others says little.",
        rule=against(share, ">", limit, "no_probability"),
        reference=CLARITY,
    )


def check_reward(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Does the reward pay for wrong answers?"""
    paid = evidence.false_pay
    if paid is None:
        return Skipped(
            code="reward", missing="true correctness beside the reward (column `gold`, or a task with its own reward and `--reward`)"
        )
    if paid.value is None:
        return Skipped(code="reward", missing=paid.why_none)
    if paid.low is None or paid.low <= limit["false_pay"].value:
        return None
    return Finding(
        code="false-pay",
        severity="fix",
        title=f"{percent(paid)} of the paid answers are wrong",
        evidence=(paid,),
        prescription="RL will find what this reward wrongly accepts. Use a stricter check for the types that it misses, or drop them from "
        "the data.",
        rule=f"lower end {paid.low:.3g} > false_pay {limit['false_pay'].value:g}",
        reference=PRECISION,
    )


def check_gap(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Do sampler and scorer agree?"""
    gap = evidence.gap_nats
    if gap.value is None:
        return Skipped(code="sampler-gap", missing=gap.why_none)
    if gap.value <= limit["gap_nats"].value:
        return None
    return Finding(
        code="sampler-gap",
        severity="fix",
        title=f"Sampler and scorer disagree by {gap.value:.3f} nats a token on average",
        evidence=(gap, evidence.largest_gap_nats),
        prescription="What is sampled is not what would be trained. Use one precision and one attention kernel for both, or correct by "
        "importance weights.",
        rule=against(gap, ">", limit, "gap_nats"),
        reference=None,
    )


CHECKS: dict[str, Check] = {
    "unscored": check_unscored,
    "success-line": check_success_line,
    "signal": check_signal,
    "partial-credit": check_graded,
    "truncated": check_truncated,
    "repetitive": check_repetitive,
    "underpowered": check_power,
    "partial-run": check_partial_run,
    "alignment": check_alignment,
    "format-gap": check_format_gap,
    "contamination": check_contamination,
    "chance": check_chance,
    "clarity": check_clarity,
    "no-probability": check_probability,
    "reward": check_reward,
    "audit": check_audit,
    "sampler-gap": check_gap,
}
MEANINGLESS_OFF_THE_LINE = ("alignment", "chance", "clarity")
"""Checks that speak of right and wrong only; off the success line they are skipped."""


def run_checks(evidence: Evidence, limit: Thresholds) -> tuple[tuple[Finding, ...], tuple[Skipped, ...]]:
    """All checks; findings most severe first, in the order of `CHECKS` within a severity."""
    results: list[Finding | Skipped | None] = []
    for code, check in CHECKS.items():
        if evidence.off_the_line and code in MEANINGLESS_OFF_THE_LINE:
            results.append(Skipped(code=code, missing="rewards on both sides of --success, which says what is right"))
        else:
            results.append(check(evidence, limit))
    findings = sorted((r for r in results if isinstance(r, Finding)), key=lambda finding: SEVERITY_ORDER.index(finding.severity))
    return tuple(findings), tuple(r for r in results if isinstance(r, Skipped))
