"""From measures to findings: what was seen, how sure, what to do. One small function a check.

A check returns a `Finding` when it has something to say, `Skipped` when it cannot run, None when all is well.
`CHECKS` is the list; adding a check is adding a function to it. The verdict follows from the most severe finding.
Left out on purpose: which recipe fits (`advice`) and every estimate (`measures`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jominy.measures.clarity import Clarity
from jominy.measures.liveness import Liveness
from jominy.measures.passk import PassAtK
from jominy.records import Finding, Measure, Paper, Severity, Skipped
from jominy.results import Verdict
from jominy.thresholds import Thresholds

ALIGNMENT = Paper(arxiv="2508.21188", title="Mirage or Method? How Model-Task Alignment Induces Divergent RL Conclusions")
CLARITY = Paper(arxiv="2601.06911", title="Distributional Clarity: The Hidden Driver of RL-Friendliness")
PRECISION = Paper(arxiv="2601.04954", title="Precision over Diversity: High-Precision Reward Generalizes to Robust Instruction Following")
DAPO = Paper(arxiv="2503.14476", title="DAPO", where="dynamic sampling, overlong filtering")
PASS_AT_K = Paper(arxiv="2107.03374", title="Evaluating Large Language Models Trained on Code", where="eq. 1")

SEVERITY_ORDER: tuple[Severity, ...] = ("stop", "fix", "watch", "good")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Every measure that a check may look at."""

    group_size: int
    """G of the planned run."""
    passk: PassAtK
    """The pass@k curve."""
    liveness: Liveness
    """Which groups carry a gradient."""
    clarity: Clarity | None
    """None when the rollouts have no log-probabilities."""
    unscored: Measure
    """Share of the rollouts without a reward."""
    pass_rate: Measure
    """Mean pass rate, pass@1."""
    alignment: Measure
    """pass@16, or pass@k at the largest k <= 16 that the rollouts allow."""
    right_when_cut: Measure
    """Share of right answers among those cut at the token limit."""
    right_when_finished: Measure
    """Share of right answers among the finished."""
    false_pay: Measure | None
    """Share of wrong answers among the paid ones; None when there is no gold."""
    corrected: Measure | None
    """Chance-corrected pass@1; None when no answer space is known."""
    gap_nats: Measure
    """Largest difference between the sampler's log-probabilities and the scorer's."""


Check = Callable[[Evidence, Thresholds], Finding | Skipped | None]


def percent(measure: Measure) -> str:
    """A share with its interval for a title: `21 % [14, 30]`; `undefined` when it has no value."""
    if measure.value is None:
        return "undefined"
    interval = "" if measure.low is None or measure.high is None else f" [{100 * measure.low:.0f}, {100 * measure.high:.0f}]"
    return f"{100 * measure.value:.0f} %{interval}"


def check_unscored(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Rewards that could not be computed."""
    share = evidence.unscored
    if share.value is None or share.value <= limit["unscored_fix"].value:
        return None
    return Finding(
        code="unscored",
        severity="stop" if share.value > limit["unscored_stop"].value else "fix",
        title=f"{percent(share)} of the rollouts could not be scored",
        evidence=(share,),
        prescription="Mend the reward: the first failure is shown below the findings. Unscored rollouts leave the baseline of their group "
        "and are wasted sampling; if they fail for a reason that depends on the answer, they bias what is learned.",
        reference=PRECISION,
    )


def check_signal(evidence: Evidence, limit: Thresholds) -> Finding | Skipped:
    """Do groups hold right and wrong answers at all?"""
    live, wrong, right = evidence.liveness.live, evidence.liveness.all_wrong, evidence.liveness.all_right
    if live.value is None or right.value is None or wrong.value is None:
        return Skipped(code="signal", missing=live.why_none)
    found = (live, wrong, right, evidence.passk.at_group_size)
    if live.high is not None and live.high < limit["live_stop"].value:
        if right.value > wrong.value:
            return _saturated(evidence, "stop", found)
        return Finding(
            code="no-signal",
            severity="stop",
            title=f"Only {percent(live)} of the groups would carry a gradient; {percent(wrong)} are all wrong",
            evidence=found,
            prescription="RL reinforces what the model sometimes does, and here it never does it. Teach it first: SFT on solved examples, "
            "easier prompts, a few-shot or format prompt, or partial credit in the reward; then diagnose again.",
            reference=ALIGNMENT,
        )
    if right.value > limit["saturated"].value:
        return _saturated(evidence, "fix", found)
    if live.value < limit["live_fix"].value:
        return Finding(
            code="few-live",
            severity="fix",
            title=f"Only {percent(live)} of the groups would carry a gradient at G={evidence.group_size}",
            evidence=found,
            prescription="Drop or replace the prompts that are all right or all wrong (the pass rates are on the page), use dynamic "
            "sampling, "
            "or a larger group: the live share over G is on the page. Otherwise most of the sampling is paid for nothing.",
            reference=DAPO,
        )
    if live.low is not None and live.low >= limit["live_fix"].value:
        return Finding(
            code="live",
            severity="good",
            title=f"{percent(live)} of the groups would carry a gradient at G={evidence.group_size}",
            evidence=found,
            prescription="Nothing to do: right and wrong answers meet in enough groups.",
            reference=ALIGNMENT,
        )
    return Finding(
        code="live-unsure",
        severity="watch",
        title=f"{percent(live)} of the groups would carry a gradient at G={evidence.group_size}, perhaps fewer than "
        f"{100 * limit['live_fix'].value:g} %",
        evidence=found,
        prescription="Diagnose with more --prompts before you spend: the interval reaches below the threshold.",
        reference=ALIGNMENT,
    )


def _saturated(evidence: Evidence, severity: Severity, found: tuple[Measure, ...]) -> Finding:
    return Finding(
        code="saturated",
        severity=severity,
        title=f"{percent(evidence.liveness.all_right)} of the groups are all right: little is left to learn",
        evidence=found,
        prescription="Take harder prompts, or a stricter reward. On these, RL can only sharpen what is already there.",
        reference=DAPO,
    )


def check_graded(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Rewards between wrong and right that separate rollouts where right and wrong do not."""
    varied, live = evidence.liveness.varied, evidence.liveness.observed_live
    if varied.value is None or live.value is None or varied.value - live.value < limit["truncated"].value:
        return None
    return Finding(
        code="partial-credit",
        severity="watch",
        title=f"Rewards differ in {percent(varied)} of the groups, right and wrong answers in {percent(live)}",
        evidence=(varied, live),
        prescription="Partial credit carries most of the signal. Make sure that more of it means closer to right: RL will collect it "
        "either way.",
        reference=PRECISION,
    )


def check_truncated(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Answers cut at the token limit, and whether that costs them."""
    share, cut, finished = evidence.liveness.truncated, evidence.right_when_cut, evidence.right_when_finished
    if share.value is None:
        return Skipped(code="truncated", missing="column `stop` or `truncated`, or `max_tokens` runs sampled by jominy")
    if share.value <= limit["truncated"].value:
        return None
    harmful = (
        cut.high is not None
        and finished.low is not None
        and finished.value is not None
        and cut.high < finished.low
        and (cut.value or 0.0) < limit["truncated_harm"].value * finished.value
    )
    return Finding(
        code="truncated",
        severity="fix" if harmful else "watch",
        title=f"{percent(share)} of the answers are cut at the token limit; "
        f"right: {percent(cut)} of the cut, {percent(finished)} of the finished",
        evidence=(share, cut, finished),
        prescription="Raise --max-tokens and diagnose again: cut answers fail because they are cut, and RL would learn to be short "
        "before it learns to be right."
        if harmful
        else "Raise --max-tokens if training will allow more: being cut does not surely decide the reward here, but the numbers hold "
        "for this limit only.",
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
        reference=CLARITY,
    )


def check_power(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """Is the sample large enough to say anything?"""
    live = evidence.liveness.live
    if live.value is None or (live.low is not None and live.high is not None and live.high - live.low <= limit["wide"].value):
        return None
    return Finding(
        code="underpowered",
        severity="watch",
        title=f"The live share is known only as {percent(live)} from {live.num_prompts} prompts",
        evidence=(live,),
        prescription="Diagnose with more --prompts; prompts narrow the interval, more rollouts a prompt hardly do.",
        reference=PASS_AT_K,
    )


def check_chance(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Is the model better than blind guessing?"""
    corrected = evidence.corrected
    if corrected is None:
        return Skipped(code="chance", missing="the size of the answer space (column `num_choices`), for tasks where a guess can be right")
    if corrected.value is None or corrected.low is None or corrected.low > 0:
        return None
    return Finding(
        code="chance",
        severity="fix",
        title="Answers are no better than blind guesses, as far as can be seen",
        evidence=(corrected, evidence.pass_rate),
        prescription="A right guess is paid like a right thought. Use a task with a larger answer space, or warm up until the model "
        "beats chance.",
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
    found = (auroc, clarity.silhouette, clarity.coverage)
    if auroc.high is not None and auroc.high < 0.5:
        return Finding(
            code="clarity-inverted",
            severity="watch",
            title=f"Wrong answers are likelier than right ones: AUROC {auroc.value:.2f} [{auroc.low:.2f}, {auroc.high:.2f}]",
            evidence=found,
            prescription="RL must first push down what the model is sure of. Look for loops and for answers cut short among the "
            "likeliest wrong ones; "
            "then weigh prompts by clarity.",
            reference=CLARITY,
        )
    if auroc.low is not None and auroc.low > 0.5:
        return Finding(
            code="clear",
            severity="good",
            title=f"Right answers are likelier than wrong ones: AUROC {auroc.value:.2f} [{auroc.low:.2f}, {auroc.high:.2f}]",
            evidence=found,
            prescription="Nothing to do: the model's own probability points the right way.",
            reference=CLARITY,
        )
    return None


def check_reward(evidence: Evidence, limit: Thresholds) -> Finding | Skipped | None:
    """Does the reward pay for wrong answers?"""
    paid = evidence.false_pay
    if paid is None:
        return Skipped(
            code="reward", missing="true correctness beside the reward (column `gold`, or a task with its own reward and `--reward`)"
        )
    if paid.value is None or paid.low is None or paid.low <= limit["false_pay"].value:
        return None
    return Finding(
        code="false-pay",
        severity="fix",
        title=f"{percent(paid)} of the paid answers are wrong",
        evidence=(paid,),
        prescription="RL will find what this reward wrongly accepts. Use a stricter check for the types that it misses, or drop them "
        "from the data.",
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
        title=f"Sampler and scorer disagree by up to {gap.value:.3f} nats on a token",
        evidence=(gap,),
        prescription="What is sampled is not what would be trained. Use one precision and one attention kernel for both, or correct by "
        "importance weights.",
        reference=None,
    )


CHECKS: dict[str, Check] = {
    "unscored": check_unscored,
    "signal": check_signal,
    "partial-credit": check_graded,
    "truncated": check_truncated,
    "repetitive": check_repetitive,
    "underpowered": check_power,
    "chance": check_chance,
    "clarity": check_clarity,
    "reward": check_reward,
    "sampler-gap": check_gap,
}


def run_checks(evidence: Evidence, limit: Thresholds) -> tuple[tuple[Finding, ...], tuple[Skipped, ...]]:
    """All checks; findings most severe first, in the order of `CHECKS` within a severity."""
    results = [check(evidence, limit) for check in CHECKS.values()]
    findings = sorted((r for r in results if isinstance(r, Finding)), key=lambda finding: SEVERITY_ORDER.index(finding.severity))
    return tuple(findings), tuple(r for r in results if isinstance(r, Skipped))


def decide(findings: tuple[Finding, ...], evidence: Evidence) -> Verdict:
    """The verdict: `stop` when a finding says stop, else `fix first` when one says fix, else `go`; never `go` without a live share."""
    by_severity = {severity: [finding for finding in findings if finding.severity == severity] for severity in SEVERITY_ORDER}
    for severity, value in (("stop", "stop"), ("fix", "fix first")):
        if deciding := by_severity[severity]:  # type: ignore[index]
            codes = ", ".join(finding.code for finding in deciding)
            return Verdict(value=value, rule=f"a finding of severity {severity}: {codes}", headline=deciding[0].title + ".")  # type: ignore[arg-type]
    live = evidence.liveness.live
    if live.value is None:
        return Verdict(
            value="fix first", rule="the live share is undefined", headline=f"Nothing can be said about signal: {live.why_none}."
        )
    return Verdict(
        value="go",
        rule="no finding of severity stop or fix",
        headline=f"RL has something to work with: {percent(live)} of the groups would carry a gradient, "
        f"pass@1 is {percent(evidence.pass_rate)}, {evidence.alignment.name} is {percent(evidence.alignment)}.",
    )
