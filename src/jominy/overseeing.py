"""oversee(): from the lines of a training run to whether its reward is being hacked.

    steps.jsonl "pay" + evaluations.jsonl + audits.jsonl  ->  courses, rises, the rule of `measures.hacking`, findings

    rises alone   finding `reward-rises-alone`, fix      what is learned is the reward's mistake
    drifts        finding `reward-gap-grows`, watch      the reward pays ever more beyond the truth, and the truth may take part
    unread        finding `reward-unread`, fix           many responses have no reward, and what is learned comes from the others

It is read from the files each time, so a run that was killed and goes on is neither counted twice nor in part.
Left out on purpose: stopping a run. The rule is for one look, and a look at every step would sooner or later cry wolf.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jominy.formatting import brief, number
from jominy.measures.hacking import GOLD_PART, LEAST_GAP, LEAST_STEPS, SHEET, UNITS, Watch, beyond_of, reward_and_truth, watch_run
from jominy.measures.trend import ends_apart, trend
from jominy.oversight import Course, Oversight, TypeCounts
from jominy.papers import PRECISION
from jominy.paying import COUNTS, matrices_of
from jominy.records import Finding, Measure
from jominy.results import Threshold
from jominy.stats import mean_interval, share_interval
from jominy.steplog import read_audits, read_evaluations, read_steps
from jominy.store import RunFolder

Record = Mapping[str, Any]
Doubles = NDArray[np.float64]

MOST_UNREAD = 0.1
TYPES_NAMED = 3
"""Types that a finding names."""
NAMES = {
    "paid": "train reward",
    "gold": "gold of the same rollouts",
    "gap": "train reward minus gold",
    "excess": "paid beyond the truth",
    "false_accepts": "false-accept share",
    "tokens": "response length",
    "echo": "echo share",
    "claims": "self-claims",
    "partial": "constraints that hold",
}
"""{series of `pay`: what it is called}, in the order of tables."""
MAYBE = ("excess", "partial")
"""Those that not every run has."""
MEANINGS = {
    "paid": "What training paid.",
    "gold": "The truth of the rollouts that it paid for.",
    "gap": "What it paid minus the truth.",
    "excess": "What it paid above the truth of a rollout; less than the truth counts as nothing.",
    "false_accepts": "Wrong responses among those that it rewarded.",
    "tokens": "Length of a response.",
    "echo": "Share of the prompt's 5-grams that a response repeats.",
    "claims": "Responses that say they did what was asked.",
    "partial": "Share of a response's constraints that hold, by code.",
}
AUDITED = {"recall_false": "recall on false", "precision": "precision"}
"""{rate of a count: what it is called}."""
THRESHOLDS = (
    Threshold(name="least_gap", value=LEAST_GAP, meaning="a gap that rose by less does not count, in the reward's unit"),
    Threshold(
        name="gold_part",
        value=GOLD_PART,
        meaning="gold that did not surely rise by less than this part of the reward's rise may take part in it",
    ),
    Threshold(name="least_steps", value=LEAST_STEPS, meaning="fewer steps with reward and gold say nothing"),
    Threshold(name="unread", value=MOST_UNREAD, meaning="at most this share of the training rollouts may be without a reward"),
)


def oversee(folder: Path) -> Oversight | None:
    """The watch over the reward of a training folder, at any moment of the run; None where the truth pays, or no step is finished."""
    store = RunFolder(folder)
    num_pool = store.read_run().get("num_pool") if store.exists() else None
    lines, evaluations, audits = read_steps(folder), read_evaluations(folder), read_audits(folder)
    return oversight_of(lines, evaluations, audits, num_pool if isinstance(num_pool, int) else None)


def oversight_of(
    lines: Sequence[Record], evaluations: Sequence[Record], audits: Sequence[Record], num_pool: int | None = None
) -> Oversight | None:
    """`oversee` of lines that are read already.

    Args:
        lines: of steps.jsonl, ascending by step.
        evaluations: of evaluations.jsonl, ascending by step.
        audits: of audits.jsonl, ascending by step.
        num_pool: prompts that the run draws from, epoch after epoch; None is not known.
    """
    paid = [line for line in lines if isinstance(line.get("pay"), Mapping)]
    if not paid:
        return None
    steps_S = np.array([line["step"] for line in paid], dtype=np.int64)
    series = {name: _column([line["pay"].get(name) for line in paid]) for name in NAMES}
    places = sum(int(line.get("num_places") or 0) for line in paid)
    watch = watch_run(steps_S, series, num_prompts=places if num_pool is None else min(places, num_pool))
    courses = [
        _course(NAMES[name], UNITS.get(name, "reward"), MEANINGS[name], series[name], watch.rises[name], watch.ends[name])
        for name in NAMES
        if name not in MAYBE or bool(np.isfinite(series[name]).any())
    ]
    types = _types(audits)
    known = [line for line in evaluations if isinstance(line.get("pass_at_1"), Mapping)]
    evaluated_E, truth_E = np.array([line["step"] for line in known], dtype=np.int64), _column([line["pass_at_1"] for line in known])
    return Oversight(
        num_steps=len(paid),
        held=watch.held,
        rule=watch.rule,
        courses=(*courses, *_audited(audits)),
        held_out=reward_and_truth(steps_S, series["paid"], evaluated_E, truth_E),
        findings=(*_findings(watch, types, _best(known), int(steps_S[-1])), *_unread(paid)),
        types=types,
        thresholds=THRESHOLDS,
    )


def _column(estimates: Sequence[Any]) -> Doubles:
    """[S] `value` of each, NaN where there is none."""
    values = [estimate.get("value") if isinstance(estimate, Mapping) else None for estimate in estimates]
    return np.array([value if isinstance(value, int | float) and math.isfinite(value) else np.nan for value in values], dtype=np.float64)


def _course(name: str, unit: str, meaning: str, values_S: Doubles, rise: Measure, ends: Measure) -> Course:
    values = values_S[np.isfinite(values_S)]
    count = max(1, len(values) // 3)
    first, last = (_level(name, some, unit, meaning) for some in (values[:count], values[-count:]))
    return Course(name=name, first=first, last=last, ends=ends, rise=rise)


def _level(name: str, values: Doubles, unit: str, meaning: str) -> Measure:
    """Mean of some steps."""
    if not len(values):
        return Measure(name=name, value=None, unit=unit, meaning=meaning, why_none="no step has a value", paper=SHEET)
    interval = share_interval(values) if unit == "share" else mean_interval(values)
    many = "one step" if len(values) == 1 else f"{len(values)} steps, and the interval goes over them"
    told = f"{meaning} The mean of {many}."
    return Measure(name=name, value=float(values.mean()), low=interval.low, high=interval.high, unit=unit, meaning=told, paper=SHEET)


def _audited(audits: Sequence[Record]) -> list[Course]:
    """What was counted of the reward's verdicts: of constraints where it gives them, else of responses."""
    found = matrices_of(audits)
    names = [name for name in found if name != "responses"] or list(found)
    return [_course_of_audits(rate, name, found[name]) for name in names for rate in AUDITED]


def _course_of_audits(rate: str, what: str, rated: Sequence[Record]) -> Course:
    name = f"{AUDITED[rate]}, {what}"
    steps_S, values_S = np.array([line["step"] for line in rated], dtype=np.int64), _column([line.get(rate) for line in rated])
    meaning = {
        "recall_false": f"Violated {what} that the reward sees as violated.",
        "precision": f"Satisfied among the {what} that the reward says are.",
    }[rate]
    rise = trend(name, steps_S, values_S, unit="share", meaning=f"By how much {name} rose, over the counts.")
    ends = ends_apart(name, values_S, unit="share", meaning=f"By how much {name} lies higher at the end than at the start.")
    return _course(name, "share", meaning, values_S, rise, ends)


def _types(audits: Sequence[Record]) -> tuple[TypeCounts, ...]:
    sums: dict[str, Counter[str]] = {}
    for line in audits:
        for name, counts in (line.get("by_type") or {}).items():
            sums.setdefault(name, Counter()).update({count: int(counts.get(count) or 0) for count in COUNTS})
    found = [TypeCounts(name=name, **{count: counted[count] for count in COUNTS}) for name, counted in sums.items()]
    return tuple(sorted(found, key=lambda counts: (-counts.false_accepts, counts.name)))


def _best(evaluations: Sequence[Record]) -> int | None:
    """The step of the best evaluation behind the start, whose model is kept; None where there is none."""
    values = {line["step"]: line["pass_at_1"].get("value") for line in evaluations if line["step"] > 0}
    known = {step: value for step, value in values.items() if isinstance(value, int | float)}
    return max(known, key=lambda step: known[step]) if known else None


def _findings(watch: Watch, types: Sequence[TypeCounts], best: int | None, last: int) -> tuple[Finding, ...]:
    if watch.held not in ("rises alone", "drifts"):
        return ()
    ends, beyond = watch.ends, beyond_of(watch.rises)
    evidence = tuple(ends[name] for name in ("paid", "gold", beyond, *watch.signs))
    seen = [f"{NAMES[name]} is surely up, by {_apart(ends[name])}" for name in watch.signs]
    if types and types[0].false_accepts:
        worst = [f"{counts.name} ({counts.false_accepts})" for counts in types[:TYPES_NAMED] if counts.false_accepts]
        seen.append(f"most false accepts are of {', '.join(worst)}")
    signs = f"What goes with it: {'; '.join(seen)}. " if seen else ""
    kept = f"By held-out truth the best model is that of step {best}, in checkpoints/best. " if best is not None and best < last else ""
    if watch.held == "rises alone":
        return (
            Finding(
                code="reward-rises-alone",
                severity="fix",
                title=f"It is being hacked: reward up by {_apart(ends['paid'])}, truth by {_apart(ends['gold'])}",
                evidence=evidence,
                prescription=f"Do not train on with this reward: what is learned now is its mistake. {signs}{kept}Read responses that were "
                "paid and are wrong, then audit the reward against known truth, drop the constraints or prompts that it cannot see, or "
                "take a reward that code decides; and start again from before the rise.",
                rule=watch.rule,
                reference=PRECISION,
            ),
        )
    return (
        Finding(
            code="reward-gap-grows",
            severity="watch",
            title=f"The reward pays ever more beyond the truth: {NAMES[beyond]} rises by {_apart(ends[beyond])}",
            evidence=evidence,
            prescription=f"Keep an eye on it: part of what is learned is the reward's mistake. {signs}{kept}Judge the run by its held-out "
            "truth, not by its reward, and audit the reward before a longer run.",
            rule=watch.rule,
            reference=PRECISION,
        ),
    )


def _unread(lines: Sequence[Record]) -> tuple[Finding, ...]:
    """Whether too many of the rollouts of these steps have no reward."""
    drawn = [(int(line.get("num_rollouts") or 0), int(line.get("num_unscored") or 0)) for line in lines]
    drawn_S, unread_S = np.array([pair for pair in drawn if pair[0]], dtype=np.float64).reshape(-1, 2).T
    share = float(unread_S.sum() / drawn_S.sum()) if len(drawn_S) else 0.0
    if share <= MOST_UNREAD:
        return ()
    interval = share_interval(unread_S / drawn_S, weights_T=drawn_S)
    unread = Measure(
        name="without a reward",
        value=share,
        low=interval.low,
        high=interval.high,
        num_unscored=int(unread_S.sum()),
        meaning=f"Training rollouts that nobody could score, of all in {len(drawn_S)} steps; the interval goes over them.",
        paper=SHEET,
    )
    return (
        Finding(
            code="reward-unread",
            severity="fix",
            title=f"{number(share, 'share')} % of the training rollouts have no reward: what is learned comes from the others",
            evidence=(unread,),
            prescription="Those that could be scored are no fair draw of all: what makes a verdict unreadable goes with the response. Read "
            "why in the column `note` of rollouts.parquet. Of a judge: let a local model choose among the replies that can be read "
            "(answers=choice), give an endpoint a larger max_tokens=, ask about one constraint at a time (mode=pointwise), or take another "
            "judge; `jominy audit` says beforehand how many it leaves unread.",
            rule=f"without a reward {share:.3g} > unread {MOST_UNREAD:g}",
            reference=PRECISION,
        ),
    )


def _apart(measure: Measure) -> str:
    """A difference with its interval, as a sentence has it."""
    if measure.value is None:
        return "an unknown amount"
    scale, unit = (100, " points") if measure.unit == "share" else (1, " tokens" if measure.unit == "tokens" else "")
    between = "" if measure.low is None or measure.high is None else f" [{_short(scale * measure.low)}, {_short(scale * measure.high)}]"
    return f"{_short(scale * measure.value)}{between}{unit}"


def _short(value: float) -> str:
    """Two digits behind the point for small numbers, none trailing.

    >>> _short(0.3149), _short(-12.34), _short(0.0)
    ('0.31', '−12.3', '0')
    """
    return brief(round(value, 2)).replace("-", "−")
