"""diagnose(): groups in, measures, findings, a verdict and the recipe table out.

    groups -> measures (estimates with intervals) -> findings (what they mean) -> verdict and advice (what to do)

This file gathers the evidence and puts the parts together; the estimates are in `measures`, the rules in `findings` and `advice`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from jominy.advice import advise
from jominy.costing import cost_of
from jominy.findings import Evidence, decide, run_checks
from jominy.groups import Groups
from jominy.histograms import histograms_of
from jominy.measures.clarity import Clarity, measure_clarity
from jominy.measures.liveness import Liveness, measure_liveness
from jominy.measures.passk import PassAtK, measure_passk
from jominy.measures.shares import share_among
from jominy.records import Measure, Paper
from jominy.results import Curve, Diagnosis, PromptSummary
from jominy.specs import DiagnosisSpec
from jominy.stats import share_interval
from jominy.store import SCHEMA_VERSION, RunFolder, write_json
from jominy.tables import groups_of, read_rollouts
from jominy.thresholds import thresholds_with

ALIGNMENT_K = 16
MAX_PROMPTS_LISTED = 2000
OURS = Paper(arxiv="", title="our check")


def diagnose_path(path: Path, spec: DiagnosisSpec, columns: Mapping[str, str] | None = None, out: Path | None = None) -> Diagnosis:
    """Diagnose a run folder or a file of rollouts, and write `diagnosis.json` into the run folder (or into `out`).

    Raises:
        ValueError: what cannot be read, naming file, line or column (see `tables.read_rollouts`).
    """
    table = read_rollouts(path, columns)
    run = RunFolder(path).read_run() if path.is_dir() else None
    source = {"path": str(path), **({} if run is None else {**run["spec"], "created": run["created"], "policy": run["policy"]})}
    first_failure = "" if run is None else run["grading"]["first_failure"]
    if not first_failure and "note" in table.column_names:
        first_failure = next((note for note in table["note"].to_pylist() if note), "")
    diagnosis = diagnose(groups_of(table, spec.success), spec, source=source, run=run, first_failure=first_failure)
    folder = out if out is not None else path if path.is_dir() else None
    if folder is not None:
        write_json(RunFolder(folder).diagnosis_file, {"schema_version": SCHEMA_VERSION, **asdict(diagnosis)})
    return diagnosis


def diagnose(
    groups: Groups,
    spec: DiagnosisSpec | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    first_failure: str = "",
) -> Diagnosis:
    """What the rollouts say about RL on these prompts.

    Args:
        groups: P prompts, at least one rollout in all.
        spec: group size, success threshold, thresholds, seeds.
        source: recorded in the result.
        run: `run.json` of a sampled run, for speeds and the sampler-scorer gap; None for a foreign log.
        first_failure: the first traceback of the reward.

    >>> diagnose(Groups.of(rewards=[[0, 0, 0, 0]] * 300)).verdict.value
    'stop'
    """
    spec = spec or DiagnosisSpec()
    if groups.num_rollouts == 0:
        raise ValueError("there are no rollouts to diagnose")
    limit = thresholds_with(spec.thresholds)
    evidence = gather(groups, spec, run)
    findings, skipped = run_checks(evidence, limit)
    return Diagnosis(
        source={**(source or {}), "success": spec.success, "group_size": evidence.group_size},
        verdict=decide(findings, evidence),
        num_prompts=groups.num_prompts,
        num_rollouts=groups.num_rollouts,
        num_unscored=groups.num_unscored,
        first_failure=first_failure,
        findings=findings,
        skipped=skipped,
        advice=advise(evidence, limit),
        measures=_all_measures(evidence),
        curves=_curves(evidence),
        histograms=histograms_of(groups, evidence.clarity),
        prompts=_prompts(groups, evidence.clarity),
        thresholds=tuple(limit.values()),
        cost=None if run is None else cost_of(run, evidence, spec.steps, spec.prompts_per_step),
    )


def gather(groups: Groups, spec: DiagnosisSpec, run: Mapping[str, Any] | None) -> Evidence:
    """Every measure that a check may look at."""
    rng = np.random.default_rng(spec.bootstrap_seed)
    largest = int(groups.num_scored_P().max(initial=0))
    group_size = spec.group_size or max(2, min(ALIGNMENT_K, largest))
    passk = measure_passk(groups, group_size=group_size)
    known_probability = groups.probability_N is not None and bool(np.isfinite(groups.probability_N).any())
    return Evidence(
        group_size=group_size,
        passk=passk,
        liveness=measure_liveness(groups, rng, group_size=group_size),
        clarity=measure_clarity(groups, rng) if known_probability else None,
        unscored=_unscored(groups),
        pass_rate=_at(passk, 1),
        alignment=_at(passk, ALIGNMENT_K),
        right_when_cut=_right_when(groups, cut=True),
        right_when_finished=_right_when(groups, cut=False),
        false_pay=_false_pay(groups),
        corrected=passk.corrected_curve[0] if passk.corrected_curve else None,
        gap_nats=_gap(run),
    )


def _at(passk: PassAtK, k: int) -> Measure:
    """pass@k, or at the largest smaller k that the rollouts allow."""
    usable = [measure for k_of, measure in zip(passk.k_K, passk.curve, strict=True) if k_of <= k]
    return usable[-1] if usable else Measure(name=f"pass@{k}", value=None, why_none="no prompt has a scored rollout")


def _unscored(groups: Groups) -> Measure:
    rollouts_P = np.diff(groups.offsets_P1)
    missing_P = groups.count_P(~groups.scored_N)
    used_P = rollouts_P > 0
    interval = share_interval(missing_P[used_P] / rollouts_P[used_P], weights_T=rollouts_P[used_P])
    return Measure(
        name="unscored share",
        value=groups.num_unscored / groups.num_rollouts,
        low=interval.low,
        high=interval.high,
        num_prompts=int(used_P.sum()),
        meaning="Share of the rollouts whose reward could not be computed.",
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


def _false_pay(groups: Groups) -> Measure | None:
    if groups.paid_N is None:
        return None
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
    meaning = "Largest difference between a token's log-probability when sampled and when scored again by a plain forward pass."
    if again is None:
        why = "rollouts sampled by jominy itself, which are scored again after sampling"
        return Measure(name="sampler-scorer gap", value=None, unit="nats", why_none=why, meaning=meaning, paper=OURS)
    counted = f"{meaning} The largest of {again['num_rollouts']} rollouts, so it has no interval."
    return Measure(
        name="sampler-scorer gap", value=again["max_gap_nats"], unit="nats", num_prompts=again["num_prompts"], meaning=counted, paper=OURS
    )


def _all_measures(evidence: Evidence) -> tuple[Measure, ...]:
    parts: list[object] = [evidence.pass_rate, evidence.alignment, *_measures_in(evidence.passk), *_measures_in(evidence.liveness)]
    parts += [evidence.unscored, evidence.right_when_cut, evidence.right_when_finished, evidence.false_pay, evidence.gap_nats]
    parts += [] if evidence.clarity is None else _measures_in(evidence.clarity)
    unique = {part.name: part for part in parts if isinstance(part, Measure)}
    return tuple(unique.values())


def _measures_in(result: PassAtK | Liveness | Clarity) -> list[Measure]:
    """The measures of a result, tuples of them included, in the order of its fields."""
    found: list[Measure] = []
    for field in fields(result):
        value = getattr(result, field.name)
        found += [value] if isinstance(value, Measure) else [v for v in value if isinstance(v, Measure)] if isinstance(value, tuple) else []
    return found


def _curves(evidence: Evidence) -> tuple[Curve, ...]:
    passk, live = evidence.passk, evidence.liveness
    pass_meaning = "Chance that at least one of k answers is right: how far the model's own samples reach."
    live_meaning = "Share of groups of G that hold right and wrong answers: a larger group is more often alive, and costs more."
    found = [
        _curve("pass@k", "k", passk.k_K, passk.curve, pass_meaning),
        _curve("live share", "G", live.group_sizes, live.live_curve, live_meaning),
    ]
    if passk.corrected_curve:
        found.append(_curve("chance-corrected pass@k", "k", passk.k_K, passk.corrected_curve, "The same with blind guessing at 0."))
    return tuple(curve for curve in found if curve.x)


def _curve(name: str, x_name: str, x: tuple[int, ...], measures: tuple[Measure, ...], meaning: str) -> Curve:
    points = [(x_of, m, m.value) for x_of, m in zip(x, measures, strict=True) if m.value is not None]
    return Curve(
        name=name,
        x_name=x_name,
        x=tuple(x_of for x_of, _, _ in points),
        value=tuple(value for _, _, value in points),
        low=tuple(m.low for _, m, _ in points),
        high=tuple(m.high for _, m, _ in points),
        num_prompts=tuple(m.num_prompts for _, m, _ in points),
        meaning=meaning,
    )


def _prompts(groups: Groups, clarity: Clarity | None) -> tuple[PromptSummary, ...]:
    scored_P, correct_P = groups.num_scored_P(), groups.num_correct_P()
    silhouettes: dict[int, float] = {}
    if clarity is not None:
        silhouettes = dict(zip(clarity.per_prompt.prompts_V.tolist(), clarity.per_prompt.silhouette_V.tolist(), strict=True))
    ids = groups.prompt_ids or tuple(str(p) for p in range(groups.num_prompts))
    return tuple(
        PromptSummary(prompt_id=ids[p], num_scored=int(scored_P[p]), num_correct=int(correct_P[p]), silhouette=silhouettes.get(p))
        for p in range(min(groups.num_prompts, MAX_PROMPTS_LISTED))
    )
