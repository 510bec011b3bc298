"""From measures to findings: what was seen, how sure, what to do. One small function a check.

A check returns a `Finding` when it has something to say, `Skipped` when it cannot run, None when all is well.
`CHECKS` is the list; adding a check is adding a function to it.
Left out on purpose: the verdict that follows (`verdict`), which recipe fits (`advice`), what the evidence is (`evidence`) and every
estimate (`measures`).
"""

from __future__ import annotations

from collections.abc import Callable

from jominy.alignment import check_alignment, check_contamination, check_format_gap
from jominy.evidence import Evidence, percent
from jominy.papers import ALIGNMENT, CLARITY, DAPO, PASS_AT_K, PRECISION
from jominy.records import Finding, Measure, Severity, Skipped
from jominy.thresholds import Thresholds

SEVERITY_ORDER: tuple[Severity, ...] = ("stop", "fix", "watch", "good")

Check = Callable[[Evidence, Thresholds], Finding | Skipped | None]


def against(measure: Measure, sign: str, limit: Thresholds, name: str) -> str:
    """The comparison that fired, for `Finding.rule`.

    >>> from jominy.thresholds import thresholds_with
    >>> against(Measure(name="live share", value=0.21), "<", thresholds_with(), "live_fix")
    'live share 0.21 < live_fix 0.3'
    """
    return f"{measure.name} {measure.value:.3g} {sign} {name} {limit[name].value:g}"


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


def check_success_line(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Do rewards differ, all on one side of the success threshold? Then right and wrong mean nothing here."""
    if not evidence.off_the_line:
        return None
    side = "reaches" if evidence.reward_high < evidence.success else "stays below"
    return Finding(
        code="success-line",
        severity="watch",
        title=f"No reward {side} --success {evidence.success:g}: they lie between {evidence.reward_low:.3g} and {evidence.reward_high:.3g}",
        evidence=(evidence.liveness.gradient,),
        prescription="Say from which reward on an answer counts as right (--success), or add a gold column. Until then pass@k, clarity "
        "and the advice on the tricks say nothing; the gradient share alone holds.",
        rule=f"rewards [{evidence.reward_low:.3g}, {evidence.reward_high:.3g}] do not reach across success {evidence.success:g}",
        reference=PRECISION,
    )


def check_signal(evidence: Evidence, limit: Thresholds) -> Finding | Skipped:
    """Do rewards differ within groups? Only these groups move the weights."""
    share, wrong, right = evidence.liveness.gradient, evidence.liveness.all_wrong, evidence.liveness.all_right
    if share.value is None or right.value is None or wrong.value is None:
        return Skipped(code="signal", missing=share.why_none)
    found = (share, wrong, right, evidence.passk.at_group_size)
    surely_dead = share.high is not None and share.high < limit["live_stop"].value
    if surely_dead or share.value < limit["live_fix"].value:
        severity: Severity = "stop" if surely_dead else "fix"
        rule = against(share, "<", limit, "live_stop" if surely_dead else "live_fix")
        if right.value > limit["saturated"].value and not evidence.off_the_line:
            return _saturated(evidence, severity, found, f"{rule}; {against(right, '>', limit, 'saturated')}")
        return _no_signal(evidence, found, rule, limit) if surely_dead else _few_live(evidence, found, rule)
    sure = share.low is not None and share.low >= limit["live_fix"].value
    title = f"{percent(share)} of the groups would carry a gradient at G={evidence.group_size}"
    return Finding(
        code="live" if sure else "live-unsure",
        severity="good" if sure else "watch",
        title=title if sure else f"{title}, perhaps fewer than {100 * limit['live_fix'].value:g} %",
        evidence=found,
        prescription="Nothing to do: rewards differ in enough groups."
        if sure
        else "Diagnose with more --prompts before you spend: the interval reaches below the threshold.",
        rule=against(share, ">=", limit, "live_fix"),
        reference=ALIGNMENT,
    )


def _no_signal(evidence: Evidence, found: tuple[Measure, ...], rule: str, limit: Thresholds) -> Finding:
    title = f"Only {percent(evidence.liveness.gradient)} of the groups would carry a gradient"
    live, share = evidence.liveness.live.value or 0.0, evidence.liveness.gradient.value or 0.0
    if evidence.never_right(limit):
        title += f"; {percent(evidence.liveness.all_wrong)} are all wrong"
        prescription = "RL reinforces what the model sometimes does, and here it never does it. Teach it first: SFT on solved examples, "
        prescription += "easier prompts, a few-shot or format prompt, or partial credit in the reward; then diagnose again."
    elif evidence.has_gold and live - share >= limit["graded"].value:
        title += f", although {percent(evidence.liveness.live)} hold right and wrong answers"
        prescription = "The reward is the same for right and wrong answers of a prompt: mend the reward before anything else."
    else:
        title += ": within a prompt, rewards hardly ever differ"
        prescription = "Draw at the temperature you will train with (0 draws one and the same answer), or take prompts in between: these "
        prescription += "are answered always alike."
    return Finding(
        code="no-signal",
        severity="stop",
        title=title,
        evidence=found,
        prescription=prescription,
        rule=rule,
        reference=ALIGNMENT,
    )


def _few_live(evidence: Evidence, found: tuple[Measure, ...], rule: str) -> Finding:
    return Finding(
        code="few-live",
        severity="fix",
        title=f"Only {percent(evidence.liveness.gradient)} of the groups would carry a gradient at G={evidence.group_size}",
        evidence=found,
        prescription="Drop or replace the prompts that are all right or all wrong (the pass rates are on the page), use dynamic "
        "sampling, or a larger group: the live share over G is on the page. Otherwise most of the sampling is paid for nothing.",
        rule=rule,
        reference=DAPO,
    )


def _saturated(evidence: Evidence, severity: Severity, found: tuple[Measure, ...], rule: str) -> Finding:
    return Finding(
        code="saturated",
        severity=severity,
        title=f"{percent(evidence.liveness.all_right)} of the groups are all right: little is left to learn",
        evidence=found,
        prescription="Take harder prompts, or a stricter reward. On these, RL can only sharpen what is already there.",
        rule=rule,
        reference=DAPO,
    )


def check_graded(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Rewards between wrong and right that separate rollouts where right and wrong do not."""
    share, live = evidence.liveness.gradient, evidence.liveness.live
    if evidence.off_the_line or share.value is None or live.value is None or share.value - live.value < limit["graded"].value:
        return None
    return Finding(
        code="partial-credit",
        severity="watch",
        title=f"Rewards differ in {percent(share)} of the groups, right and wrong answers in {percent(live)}",
        evidence=(share, live),
        prescription="Partial credit carries most of the signal. Make sure that more of it means closer to right: RL will collect it "
        "either way.",
        rule=f"{share.value:.3g} - {live.value:.3g} >= graded {limit['graded'].value:g}",
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


def check_power(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Is the sample large enough to say anything? Without a lower end above `live_stop`, not enough to say go."""
    share = evidence.liveness.gradient
    if share.value is None:
        return None
    unsure = share.low is None or (share.low < limit["live_stop"].value <= (1.0 if share.high is None else share.high))
    wide = share.low is None or share.high is None or share.high - share.low > limit["wide"].value
    if not unsure and not wide:
        return None
    width = "no interval" if share.low is None or share.high is None else f"interval {share.high - share.low:.2g} wide"
    return Finding(
        code="underpowered",
        severity="fix" if unsure else "watch",
        title=f"The gradient share is known only as {percent(share)} from {share.num_prompts} prompts",
        evidence=(share,),
        prescription=f"{share.num_left_out} prompts have fewer than {evidence.group_size} scored rollouts: lower --group-size, or mend "
        "the reward."
        if share.num_left_out > share.num_prompts
        else "Diagnose with more --prompts; prompts narrow the interval, more rollouts a prompt hardly do.",
        rule=f"{width}; wide is {limit['wide'].value:g}, and the lower end must reach live_stop {limit['live_stop'].value:g}",
        reference=PASS_AT_K,
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
        return Skipped(code="clarity", missing="log-probabilities at temperature 1 (column `logprobs_t1`, `logprobs` or `mean_logprob`)")
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
