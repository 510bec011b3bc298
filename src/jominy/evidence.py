"""The evidence of a diagnosis: every measure that a check or a piece of advice may look at, gathered once.

Left out on purpose: what the measures mean (`findings`, `advice`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jominy.audited import Audit
from jominy.groups import Groups
from jominy.measures.clarity import Clarity, measure_clarity
from jominy.measures.clarity_by_size import SIZES, ClarityBySize, clarity_by_size
from jominy.measures.contamination import Contamination
from jominy.measures.formatgap import FormatGap
from jominy.measures.liveness import Liveness, measure_liveness
from jominy.measures.passk import CountTable, PassAtK, measure_passk, usual_num_scored
from jominy.measures.shares import share_among, share_of_rollouts
from jominy.records import Measure, Paper
from jominy.specs import DiagnosisSpec
from jominy.stats import mean_interval
from jominy.thresholds import Thresholds

ALIGNMENT_K = 16
OURS = Paper(arxiv="", title="our check")
NOT_PROBED: Mapping[str, str] = {
    "format-gap": "a run folder of `jominy sample` or `jominy diagnose`, whose texts are judged again by its task",
    "contamination": "`jominy diagnose --probe contamination`, which has the prompts' beginnings continued",
}
"""Code of a check -> what it would take, of rollouts that are no run folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What is known beyond the rewards of the rollouts; nothing, for a foreign log.

    Example: Probed().missing["contamination"]
    """

    format_gap: FormatGap | None = None
    """pass@k strictly, leniently and behind solved examples."""
    contamination: Contamination | None = None
    """Continuations of the prompts' beginnings."""
    evaluation: Groups | None = None
    """Groups of another task, drawn alike."""
    evaluation_task: str = ""
    """Its name."""
    audit: Audit | None = None
    """What an audit found of a reward; None without one."""
    paid_by: str = ""
    """What pays in the run, where that is not who was audited; empty where it is, or nobody knows."""
    missing: Mapping[str, str] = field(default_factory=lambda: dict(NOT_PROBED))
    """Code of a check -> what it would take, for those that cannot run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Whether the prompts that will be evaluated on are like those that will be trained on.

    Example: Evaluation(task="math:math500", passk=measure_passk(groups), liveness=...)
    """

    task: str
    """Where they are from."""
    alignment: Measure
    """pass@16, or of the largest smaller k that the rollouts allow."""
    passk: PassAtK
    """Their pass@k."""
    liveness: Liveness
    """Which of their groups would carry a gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Every measure that a check may look at.

    Example: gather(groups, DiagnosisSpec(), None).liveness.gradient
    """

    group_size: int
    """G of the planned run."""
    alignment_k: int
    """The k of `alignment`: 16, or fewer when there are not as many rollouts."""
    success: float
    """From which reward on an answer is right, where no gold says so."""
    reward_low: float
    """Smallest scored reward; 0 when nothing is scored."""
    reward_high: float
    """Largest scored reward."""
    has_gold: bool
    """Whether gold, not the reward, says what is right."""
    num_asked: int | None
    """Prompts that the run was asked to sample; None for a foreign log."""
    passk: PassAtK
    """The pass@k curve."""
    liveness: Liveness
    """Which groups carry a gradient."""
    clarity: Clarity | None
    """None when the rollouts have no log-probabilities."""
    why_no_clarity: str
    """Why `clarity` is None; empty where it is not."""
    clarity_by_size: ClarityBySize | None
    """The same on fewer rollouts a prompt; None likewise."""
    unscored: Measure
    """Share of the rollouts without a reward."""
    pass_rate: Measure
    """Mean pass rate, pass@1."""
    alignment: Measure
    """pass@k at `alignment_k`."""
    right_when_cut: Measure
    """Share of right answers among those cut at the token limit."""
    right_when_finished: Measure
    """Share of right answers among the finished."""
    false_pay: Measure | None
    """Share of wrong answers among the paid ones; None when there is no gold."""
    corrected: Measure | None
    """Chance-corrected pass@1; None when no answer space is known."""
    gap_nats: Measure
    """Mean absolute difference between the sampler's log-probabilities and the scorer's, a token."""
    largest_gap_nats: Measure
    """The largest of these differences."""
    probed: Probed
    """What is known beyond the rewards."""
    evaluation: Evaluation | None
    """The prompts of `--eval-task`; None where none were sampled."""

    @property
    def off_the_line(self) -> bool:
        """Whether rewards differ but all lie on one side of `success`, so that right and wrong mean nothing."""
        return not self.has_gold and self.reward_low < self.reward_high and not self.reward_low < self.success <= self.reward_high

    def never_right(self, limit: Thresholds) -> bool:
        """Whether next to no answer is right, so that there is nothing to reinforce."""
        return not self.off_the_line and self.pass_rate.high is not None and self.pass_rate.high < limit["live_stop"].value


def percent(measure: Measure) -> str:
    """A share with its interval for a title: `21 % [14, 30]`; `undefined` when it has no value.

    >>> percent(Measure(name="live share", value=0.213, low=0.14, high=0.3))
    '21 % [14, 30]'
    """
    if measure.value is None:
        return "undefined"
    interval = "" if measure.low is None or measure.high is None else f" [{100 * measure.low:.0f}, {100 * measure.high:.0f}]"
    return f"{100 * measure.value:.0f} %{interval}"


def against(measure: Measure, sign: str, limit: Thresholds, name: str) -> str:
    """The comparison that fired, for `Finding.rule`.

    >>> from jominy.thresholds import thresholds_with
    >>> against(Measure(name="live share", value=0.21), "<", thresholds_with(), "live_fix")
    'live share 0.21 < live_fix 0.3'
    """
    return f"{measure.name} {measure.value:.3g} {sign} {name} {limit[name].value:g}"


def gather(groups: Groups, spec: DiagnosisSpec, run: Mapping[str, Any] | None, probed: Probed | None = None) -> Evidence:
    """Every measure that a check may look at."""
    probed = probed or Probed()
    rng = np.random.default_rng(spec.bootstrap_seed)
    scored = groups.rewards_N[groups.scored_N]
    usual = usual_num_scored(CountTable.of(groups)) if groups.num_prompts else 0
    group_size = spec.group_size or max(2, min(ALIGNMENT_K, usual))
    passk = measure_passk(groups, group_size=group_size)
    why_no_clarity = _why_no_clarity(groups)
    return Evidence(
        group_size=group_size,
        alignment_k=max((k for k in passk.k_K if k <= ALIGNMENT_K), default=ALIGNMENT_K),
        success=spec.success,
        reward_low=float(scored.min()) if len(scored) else 0.0,
        reward_high=float(scored.max()) if len(scored) else 0.0,
        has_gold=groups.paid_N is not None,
        num_asked=None if run is None else run["spec"].get("prompts"),
        passk=passk,
        liveness=measure_liveness(groups, rng, group_size=group_size),
        clarity=measure_clarity(groups, rng) if not why_no_clarity else None,
        why_no_clarity=why_no_clarity,
        clarity_by_size=clarity_by_size(groups, SIZES, rng) if not why_no_clarity else None,
        unscored=_unscored(groups),
        pass_rate=_at(passk, 1),
        alignment=_at(passk, ALIGNMENT_K),
        right_when_cut=_right_when(groups, cut=True),
        right_when_finished=_right_when(groups, cut=False),
        false_pay=_false_pay(groups, spec.success),
        corrected=passk.corrected_curve[0] if passk.corrected_curve else None,
        gap_nats=_gap(run),
        largest_gap_nats=_largest_gap(run),
        probed=probed,
        evaluation=_evaluation(probed, group_size, spec.bootstrap_seed),
    )


def _why_no_clarity(groups: Groups) -> str:
    """Why the model's own probability is unknown of every rollout; empty where it is known of one."""
    if groups.probability_N is None:
        return "no log-probabilities were recorded (columns `logprobs_t1`, `logprobs`, `mean_logprob`)"
    if not np.isfinite(groups.probability_N).any():
        return (
            "no rollout has log-probabilities at temperature 1 and of the whole distribution: say them in `logprobs_t1`, for `logprobs` "
            "are those of the row's `temperature` and `top_p`"
        )
    return ""


def _evaluation(probed: Probed, group_size: int, seed: int) -> Evaluation | None:
    if probed.evaluation is None:
        return None
    passk = measure_passk(probed.evaluation, group_size=group_size)
    return Evaluation(
        task=probed.evaluation_task,
        alignment=_at(passk, ALIGNMENT_K),
        passk=passk,
        liveness=measure_liveness(probed.evaluation, np.random.default_rng(seed), group_size=group_size),
    )


def _at(passk: PassAtK, k: int) -> Measure:
    """pass@k, or at the largest smaller k that the rollouts allow."""
    usable = [measure for k_of, measure in zip(passk.k_K, passk.curve, strict=True) if k_of <= k]
    return usable[-1] if usable else Measure(name=f"pass@{k}", value=None, why_none="no prompt has a scored rollout")


def _unscored(groups: Groups) -> Measure:
    return share_of_rollouts(
        groups,
        ~groups.scored_N,
        np.ones(groups.num_rollouts, dtype=bool),
        name="unscored share",
        meaning="Share of the rollouts whose reward could not be computed.",
        why_none="there are no rollouts",
        paper=OURS,
    )


def _right_when(groups: Groups, *, cut: bool) -> Measure:
    which = "cut" if cut else "finished"
    among_N = groups.scored_N & False if groups.truncated_N is None else groups.truncated_N == cut
    return share_among(
        groups,
        groups.correct_N,
        among_N,
        name=f"right among {which}",
        meaning=f"Share of right answers among those {'cut at the token limit' if cut else 'that ended by themselves'}.",
        why_none=f"no scored rollout is known to be {which}",
        paper=OURS,
    )


def _false_pay(groups: Groups, success: float) -> Measure | None:
    if groups.paid_N is None:
        return None
    scored = groups.rewards_N[groups.scored_N]
    if len(scored) and scored.min() < scored.max() and not scored.min() < success <= scored.max():
        why = f"all rewards lie on one side of --success {success:g}, which says from which reward on an answer is paid"
        return Measure(name="false pay share", value=None, why_none=why, meaning="Share of wrong answers among the paid ones.", paper=OURS)
    return share_among(
        groups,
        ~groups.correct_N,
        groups.paid_N,
        name="false pay share",
        meaning="Share of wrong answers (by gold) among those that the reward pays in full.",
        why_none="no rollout is paid in full",
        paper=Paper(arxiv="2601.04954", title="Precision over Diversity", where="reward precision"),
    )


def _gap(run: Mapping[str, Any] | None) -> Measure:
    again = None if run is None else run.get("rescoring")
    meaning = "Mean absolute difference between a token's log-probability when sampled and when scored again by a plain forward pass."
    shell = Measure(name="sampler-scorer gap", value=None, unit="nats", meaning=meaning, paper=OURS)
    if again is None:
        return replace(shell, why_none="rollouts sampled by jominy itself, which are scored again after sampling")
    gaps_P = np.array(again["mean_gap_nats_by_prompt"])
    interval = mean_interval(gaps_P, bounds=(0.0, np.inf))
    return replace(shell, value=float(gaps_P.mean()), low=interval.low, high=interval.high, num_prompts=len(gaps_P))


def _largest_gap(run: Mapping[str, Any] | None) -> Measure:
    again = None if run is None else run.get("rescoring")
    shell = Measure(name="largest sampler-scorer gap", value=None, unit="nats", paper=OURS)
    if again is None:
        return replace(shell, meaning="Largest such difference.", why_none="rollouts sampled by jominy itself")
    counted = f"The largest such difference in {again['num_rollouts']} rollouts; it grows with their number, so it has no interval."
    return replace(shell, value=again["max_gap_nats"], num_prompts=again["num_prompts"], meaning=counted)
