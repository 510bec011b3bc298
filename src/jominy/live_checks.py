"""Checks of the learning signal: do rewards differ within groups, by right and wrong, and is that known well enough?

    share of groups whose rewards differ     below live_stop surely: stop     below live_fix: fix     else good, as far as its interval says

Left out on purpose: every other check and the list of them (`findings`), and how the shares are estimated (`measures.liveness`).
"""

from __future__ import annotations

from jominy.evidence import Evidence, against, percent
from jominy.papers import ALIGNMENT, DAPO, PASS_AT_K, PRECISION
from jominy.records import Finding, Measure, Severity, Skipped
from jominy.thresholds import Thresholds


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
