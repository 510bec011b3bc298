"""The recipe table: which way of training fits this model and task, and which evidence decides it (2508.21188, 2601.06911).

Alignment is pass@16 (or the largest k that the rollouts allow) held against two thresholds of ours (`alignment`). It counts as strong or
weak only when its whole 95 % interval lies on that side; else it is undecided, and so is the advice that hangs on it. Where the prompts may
be known by heart, or answers are lost by form, the tricks' lines say so, for then pass@16 says less than it seems.
What the papers found, beside what we infer from it, is said in each row. Numbers of 2508.21188 are those of its method sheet's table D.1.5.
Two rows follow our own study where it met the paper (docs/studies/alignment, `jominy study alignment --scale full`): no spurious reward is
more than risky, and one example is nowhere futile. They are fitted to that study, which therefore cannot test them: it judges the table as
it was when it ran.
Left out on purpose: doing it. `train` runs the recipe; the names here are the names there.
"""

from __future__ import annotations

from collections.abc import Callable

from jominy.alignment import Strength, bins, loses_by_form, may_be_known, strength
from jominy.evidence import ALIGNMENT_K, Evidence, percent
from jominy.measures.clarity import Clarity
from jominy.papers import ALIGNMENT, CLARITY, DECOMPOSED
from jominy.records import Measure, Paper
from jominy.results import Advice, Fit
from jominy.thresholds import Thresholds


def advise(evidence: Evidence, limit: Thresholds) -> tuple[Advice, ...]:
    """One line for each recipe, in the order of `RECIPES`."""
    return tuple(row(evidence, limit) for row in RECIPES.values())


def _alignment(evidence: Evidence, limit: Thresholds) -> str:
    return f"{evidence.alignment.name} is {percent(evidence.alignment)}: {bins(evidence, limit)}"


def _decided(evidence: Evidence, limit: Thresholds) -> str:
    if evidence.off_the_line:
        return "a --success line, or gold, that says which answers are right"
    if evidence.alignment_k < ALIGNMENT_K:
        return f"at least {ALIGNMENT_K} rollouts a prompt: the thresholds are for pass@{ALIGNMENT_K}"
    name, strong, weak = evidence.alignment.name, limit["strong_pass"].value, limit["weak_pass"].value
    return f"{name} surely at or above {strong:g}, or surely at or below {weak:g}; more prompts narrow it"


def _no_signal(evidence: Evidence, limit: Thresholds) -> bool:
    share = evidence.liveness.gradient
    return share.high is not None and share.high < limit["live_stop"].value


def _dead(recipe: str, evidence: Evidence, limit: Thresholds, paper: Paper) -> Advice:
    return Advice(
        recipe=recipe,
        fit="futile",
        because=f"gradient share {percent(evidence.liveness.gradient)}: next to no group carries a gradient (below "
        f"{limit['live_stop'].value:g}, our threshold)",
        would_change="prompts of which the model sometimes gets one right and one wrong",
        paper=paper,
    )


def advise_grpo(evidence: Evidence, limit: Thresholds) -> Advice:
    """The standard: group-relative advantages with the true reward."""
    live = evidence.liveness.gradient
    if live.value is None:
        return Advice(recipe="grpo", fit="risky", because=live.why_none, would_change="enough scored rollouts a prompt", paper=ALIGNMENT)
    if _no_signal(evidence, limit):
        return _dead("grpo", evidence, limit, ALIGNMENT)
    enough, sure = live.value >= limit["live_fix"].value, (live.low or 0.0) >= limit["live_fix"].value
    fit: Fit = "recommended" if sure else "fits" if enough else "risky"
    return Advice(
        recipe="grpo",
        fit=fit,
        because=f"gradient share {percent(live)} at G={evidence.group_size} against {limit['live_fix'].value:g} (our threshold); "
        "in the paper the true reward worked for every model and task",
        would_change="a gradient share surely above the threshold (recommended) or below it (risky): other prompts, a larger group",
        paper=ALIGNMENT,
    )


def advise_clarity_weighted(evidence: Evidence, limit: Thresholds) -> Advice:
    """DAPO with prompts of low silhouette weighing more, where that is more than noise."""
    clarity = evidence.clarity
    name, would = "clarity_weighted", "right and wrong answers, with log-probabilities, on more prompts"
    if _no_signal(evidence, limit):
        return _dead(name, evidence, limit, CLARITY)
    if clarity is None or clarity.rectified.value is None or clarity.coverage.value is None:
        why = evidence.why_no_clarity if clarity is None else clarity.rectified.why_none
        return Advice(recipe=name, fit="risky", because=f"clarity is unknown: {why}", would_change=would, paper=CLARITY)
    rectified, coverage = clarity.rectified, clarity.coverage
    if coverage.value is not None and coverage.value < limit["coverage"].value:
        because = (
            f"only {percent(coverage)} of the prompts have right and wrong answers (below {limit['coverage'].value:g}, our threshold): "
            "few weights differ from 1"
        )
        return Advice(recipe=name, fit="risky", because=because, would_change=would, paper=CLARITY)
    low, z = rectified.high is not None and rectified.high < 0, clarity.pooled_z.value
    found = "right and wrong answers are mixed up, the case the weighting is for" if low else "not surely below 0, so there is less to gain"
    change = (
        f"mean S' surely below 0 (recommended); few prompts with right and wrong answers, or a pooled z within {NOISE_Z:g} of 0 (risky)"
    )
    fit: Fit = "recommended" if low else "fits"
    if z is None or abs(z) < NOISE_Z:
        fit, change = (
            "risky",
            f"a pooled permutation z beyond {NOISE_Z:g} on either side, from more rollouts a prompt or more prompts (fits)",
        )
        found = "permuting labels changes nothing" if z is None else f"the pooled permutation z is {z:.1f}, within {NOISE_Z:g} of 0"
        found += (
            ": no more than noise, which puts S' below 0 too. The weights would be near random ones, which gained nothing in the paper "
        )
        found += "(27.5 points against 27.8 without)"
    because = f"mean S' is {_estimate(rectified)} on {percent(coverage)} of the prompts: {found}. The paper gained 0.9 to 2.3 points over "
    because += f"DAPO on average, and lost on single benchmarks. {_clarity_to_type(clarity)}"
    return Advice(recipe=name, fit=fit, because=because, would_change=change, paper=CLARITY)


NOISE_Z = 2.0
"""Within this many standard deviations of permuted labels the silhouettes together are noise."""


def _estimate(measure: Measure) -> str:
    bounds = "" if measure.low is None or measure.high is None else f" [{measure.low:.2f}, {measure.high:.2f}]"
    return f"{measure.value:.2f}{bounds}"


def _clarity_to_type(clarity: Clarity) -> str:
    """The command and the variant: class-balanced where S follows the pass rate surely more than balanced S does."""
    text = "To type: --recipe clarity_weighted (on DAPO), or grpo:weight=clarity on any base"
    with_rate, balanced = clarity.pass_rate_correlation, clarity.balanced_correlation
    if with_rate.low is not None and balanced.high is not None and with_rate.low > max(balanced.high, 0.0):
        return (
            f"{text}. S follows the pass rate here ({_estimate(with_rate)}), class-balanced S much less ({_estimate(balanced)}): "
            "weight=balanced (ours) leaves class sizes out"
        )
    return f"{text}; weight_beta=0.5 did better than 0.2 on average in the paper's ablation (30.8 against 30.1), worse on AIME24"


def _other_side(evidence: Evidence, limit: Thresholds, side: Strength, fits: dict[Strength, Fit]) -> str:
    name, strong, weak = evidence.alignment.name, limit["strong_pass"].value, limit["weak_pass"].value
    above, below = f"at or above {strong:g}", f"at or below {weak:g}"
    if side == "strong":
        return f"{name} no longer surely {above} ({fits['undecided']}), or surely {below} ({fits['weak']})"
    return f"{name} no longer surely {below} ({fits['undecided']}), or surely {above} ({fits['strong']})"


def _trick(
    recipe: str, evidence: Evidence, limit: Thresholds, paper: Paper, fits: dict[Strength, Fit], found: dict[Strength, str], how: str
) -> Advice:
    if _no_signal(evidence, limit) and recipe != "spurious_reward":
        return _dead(recipe, evidence, limit, paper)
    side = strength(evidence, limit)
    memory = evidence.probed.contamination
    known = side == "strong" and memory is not None and not memory.same_source and bool(may_be_known(evidence, limit))
    caveat = "Contamination is possible, so this strength may be memory, which a trick brings back and does not learn (our inference). "
    change = _decided(evidence, limit) if side in ("undecided", "unknown") else _other_side(evidence, limit, side, fits)
    return Advice(
        recipe=recipe,
        fit="risky" if known and fits[side] == "fits" else fits[side],
        because=f"{_alignment(evidence, limit)}. {caveat * known}{found[side]} {how}",
        would_change=change + (", or prompts that the model cannot have seen" if known else ""),
        paper=paper,
    )


UNDECIDED = "In the paper such tricks worked for strong alignment and failed for weak; here neither can be said."


def advise_one_shot(evidence: Evidence, limit: Thresholds) -> Advice:
    """RL on one example."""
    fits: dict[Strength, Fit] = {"strong": "fits", "weak": "risky", "undecided": "risky", "unknown": "risky"}
    found: dict[Strength, str] = {
        "strong": "One example reached 65.2 of the 71.0 points of the full set in the paper's strong case; take one with both right and "
        "wrong answers.",
        "weak": "One example gained nothing in the paper's weak cases; in our study it gained in some, as much as the full set in one, and "
        "next to nothing in others.",
        "undecided": UNDECIDED,
        "unknown": UNDECIDED,
    }
    how = "To type: --select max_variance:RUN, history:RUN, hardest:RUN, random or id:ID; try several with ,rank=2 (the paper found a "
    how += "selected example no better than a random one)."
    return _trick("one_shot", evidence, limit, ALIGNMENT, fits, found, how)


def advise_spurious(evidence: Evidence, limit: Thresholds) -> Advice:
    """RL with a reward that does not know the answer: random, format, incorrect, majority."""
    fits: dict[Strength, Fit] = {"strong": "risky", "weak": "futile", "undecided": "risky", "unknown": "risky"}
    found: dict[Strength, str] = {
        "strong": "Random reward reached 57.5 of 71.0 points in the paper's strong case; in our study a coin gained nowhere, and rewards "
        "for wrong answers, for the majority or for being sure lost tens of points in some strong cells: a control, not a recipe.",
        "weak": "Random reward left the paper's weak cases where they were, or below.",
        "undecided": UNDECIDED,
        "unknown": UNDECIDED,
    }
    by_form = loses_by_form(evidence, limit)
    how = "To type: --reward random, random_format, format, incorrect_any, majority or entropy (`jominy rewards`)."
    if by_form is not None:
        how += (
            f" {by_form.name} is {percent(by_form)}: a reward gated by form (random_format, format) may gain by form alone, whatever the "
        )
        how += "alignment (our inference); run random beside it."
    return _trick("spurious_reward", evidence, limit, ALIGNMENT, fits, found, how)


def advise_positive_only(evidence: Evidence, limit: Thresholds) -> Advice:
    """Reinforce right answers, ignore wrong ones."""
    fits: dict[Strength, Fit] = {"strong": "risky", "weak": "fits", "undecided": "fits", "unknown": "risky"}
    found: dict[Strength, str] = {
        "strong": "It narrows what the model does: pass@256 fell from 96.9 to 91.2 on MATH in 2506.01347.",
        "weak": "In the paper's weak case it reached 24.8 where negative-only stayed at 1.5.",
        "undecided": "It does not depend on strong alignment; watch pass@k for narrowing.",
        "unknown": "It does not hang on strong alignment, but too little is known of this task to recommend it.",
    }
    how = "To type: --recipe positive_only (constant +1), or positive_only_masked (the group's z-scores, as 2508.21188 releases it)."
    return _trick("positive_only", evidence, limit, DECOMPOSED, fits, found, how)


def advise_negative_only(evidence: Evidence, limit: Thresholds) -> Advice:
    """Push down wrong answers, ignore right ones."""
    fits: dict[Strength, Fit] = {"strong": "fits", "weak": "futile", "undecided": "risky", "unknown": "risky"}
    found: dict[Strength, str] = {
        "strong": "It reached 68.7 of 71.0 points in the paper's strong case and keeps answers diverse.",
        "weak": "In the paper's weak case it stayed at 1.5: pushing down wrong answers does not find right ones.",
        "undecided": UNDECIDED,
        "unknown": UNDECIDED,
    }
    how = "To type: --recipe negative_only (constant -1), or negative_only_masked (the group's z-scores, as 2508.21188 releases it)."
    return _trick("negative_only", evidence, limit, ALIGNMENT, fits, found, how)


def advise_warm_start(evidence: Evidence, limit: Thresholds) -> Advice:
    """SFT on solved examples before RL."""
    side = strength(evidence, limit)
    all_wrong = evidence.liveness.all_wrong
    dead = _no_signal(evidence, limit) and evidence.never_right(limit)
    fits: dict[Strength, Fit] = {"strong": "futile", "weak": "fits", "undecided": "risky", "unknown": "risky"}
    text: dict[Strength, str] = {
        "strong": "The model finds right answers by itself; SFT would rather replace its own way than help.",
        "weak": "Examples raise the pass rate of the prompts that are all wrong now, which RL alone cannot.",
        "undecided": f"{percent(all_wrong)} of the groups are all wrong: it helps those, if the examples are close to how the model "
        f"writes.",
        "unknown": "What counts as right is not known." if evidence.off_the_line else "Too little is known to say.",
    }
    return Advice(
        recipe="sft_warm_start",
        fit="recommended" if dead else fits[side],
        because="nothing is ever right, so there is nothing to reinforce: teach first"
        if dead
        else f"{_alignment(evidence, limit)}. {text[side]} (Our inference from where signal comes from, not a result of the paper.)",
        would_change="prompts that the model sometimes gets right" if dead else _decided(evidence, limit),
        paper=ALIGNMENT,
    )


RECIPES: dict[str, Callable[[Evidence, Thresholds], Advice]] = {
    "grpo": advise_grpo,
    "clarity_weighted": advise_clarity_weighted,
    "one_shot": advise_one_shot,
    "spurious_reward": advise_spurious,
    "positive_only": advise_positive_only,
    "negative_only": advise_negative_only,
    "sft_warm_start": advise_warm_start,
}
"""Recipe -> the rule that judges how well it fits; the order of the table."""
