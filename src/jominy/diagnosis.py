"""diagnose(): groups in, measures, findings, a verdict and the recipe table out.

    groups -> measures (estimates with intervals) -> findings (what they mean) -> verdict and advice (what to do)

This file puts the parts together; the estimates are in `measures` and `evidence`, the rules in `findings`, `verdict` and `advice`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from jominy.advice import advise
from jominy.audited import audit_in, load_audit
from jominy.costing import cost_of
from jominy.evidence import Evidence, Probed, gather
from jominy.findings import run_checks
from jominy.groups import Groups
from jominy.histograms import clouds_of, histograms_of
from jominy.measures.bytask import MOST_TASKS, measure_by_task
from jominy.measures.clarity import Clarity
from jominy.measures.clarity_by_size import ClarityBySize
from jominy.measures.liveness import Liveness
from jominy.measures.passk import PassAtK
from jominy.probed import read_probes
from jominy.records import Measure, Skipped
from jominy.results import ByTask, Curve, Diagnosis, PromptSummary
from jominy.specs import DiagnosisSpec
from jominy.store import RunFolder, write_json
from jominy.tables import groups_of, read_rollouts
from jominy.thresholds import thresholds_with
from jominy.trusting import paid_by_another
from jominy.verdict import decide

MAX_PROMPTS_LISTED = 2000


def diagnose_path(
    path: Path,
    spec: DiagnosisSpec,
    columns: Mapping[str, str] | None = None,
    out: Path | None = None,
    *,
    own_code: bool = False,
    quiet: bool = True,
    audit: Path | None = None,
) -> Diagnosis:
    """Diagnose a run folder or a file of rollouts, and write `diagnosis.json` into the run folder (or into `out`).

    The texts of a run folder are judged again, strictly and leniently, and the probes that lie in it are read (see `probed`).

    Args:
        path: the run folder, or a file.
        spec: how to read it.
        columns: our names -> the file's.
        out: where to write; None writes into the run folder.
        own_code: whether the run's task may be somebody's own code; True where the user has just named it.
        quiet: no line that says what takes time.
        audit: folder or file of what `audit` found of the reward that will pay; None takes the one in the run folder, where there is one.

    Raises:
        ValueError: what cannot be read, naming file, line or column (see `tables.read_rollouts`).
    """
    spec.check()
    if path.is_dir() and columns:
        raise ValueError(f"{path} is a run folder, whose columns have their own names; --columns is for a file of yours")
    if out is not None and out.resolve() != path.resolve() and RunFolder(out).exists():
        raise ValueError(f"{out} holds a run of its own, whose diagnosis this would replace; choose another --out")
    table = read_rollouts(path, columns)
    run = RunFolder(path).read_run() if path.is_dir() else None
    source = {"path": str(path), **({} if run is None else {**run["spec"], "created": run["created"], "policy": run["policy"]})}
    first_failure = "" if run is None else run["grading"]["first_failure"]
    if not first_failure and "note" in table.column_names:
        notes = pc.drop_null(table["note"])
        first_failure = next((note for note in notes.filter(pc.not_equal(notes, "")).slice(0, 1).to_pylist()), "")
    groups = groups_of(table, spec.success, path=path)
    probed = None if run is None else read_probes(path, run, spec.success, own_code=own_code, quiet=quiet)
    if audit is not None or (path.is_dir() and audit_in(path) is not None):
        found = load_audit(audit or path)
        other = "" if run is None or audit is not None else paid_by_another(found, run["spec"].get("reward"))
        probed = replace(probed or Probed(), audit=found, paid_by=other)
    diagnosis = diagnose(groups, spec, source=source, run=run, first_failure=first_failure, probed=probed)
    folder = out if out is not None else path if path.is_dir() else None
    if folder is not None:
        write_json(RunFolder(folder).diagnosis_file, diagnosis.to_json())
    return diagnosis


def diagnose(
    groups: Groups,
    spec: DiagnosisSpec | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    first_failure: str = "",
    probed: Probed | None = None,
) -> Diagnosis:
    """What the rollouts say about RL on these prompts.

    Args:
        groups: P prompts, at least one rollout in all.
        spec: group size, success threshold, thresholds, seeds.
        source: recorded in the result.
        run: `run.json` of a sampled run, for speeds and the sampler-scorer gap; None for a foreign log.
        first_failure: the first traceback of the reward.
        probed: what is known beyond the rewards; None of a foreign log.

    >>> diagnose(Groups.of(rewards=[[0, 0, 0, 0]] * 300)).verdict.value
    'stop'
    """
    spec = spec or DiagnosisSpec()
    if groups.num_rollouts == 0:
        raise ValueError("there are no rollouts to diagnose")
    limit = thresholds_with(spec.thresholds)
    evidence = gather(groups, spec, run, probed)
    findings, skipped = run_checks(evidence, limit)
    cost = None if run is None else cost_of(run, evidence, spec.steps, spec.prompts_per_step)
    if cost is None:
        skipped += (Skipped(code="cost", missing="a run that jominy sampled to its end on this machine, which gives the speeds"),)
    if len(groups.tasks) > MOST_TASKS:
        skipped += (Skipped(code="by-task", missing=f"at most {MOST_TASKS} tasks; column `task` names {len(groups.tasks):,}"),)
    return Diagnosis(
        source={**(source or {}), "success": spec.success, "group_size": evidence.group_size, **_evaluated(evidence)},
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
        clouds=() if evidence.clarity is None else clouds_of(evidence.clarity),
        prompts=_prompts(groups, evidence.clarity),
        thresholds=tuple(limit.values()),
        cost=cost,
        evaluation=() if evidence.evaluation is None else _of_groups(evidence.evaluation.passk, evidence.evaluation.liveness),
        by_task=_by_task(groups, evidence.clarity),
    )


def _by_task(groups: Groups, clarity: Clarity | None) -> ByTask | None:
    return measure_by_task(groups, None) if clarity is None else measure_by_task(groups, clarity.per_prompt, clarity.permuted)


def _evaluated(evidence: Evidence) -> dict[str, str]:
    return {} if evidence.evaluation is None else {"evaluation_task": evidence.evaluation.task}


def _of_groups(passk: PassAtK, liveness: Liveness) -> tuple[Measure, ...]:
    return tuple({measure.name: measure for measure in (*_measures_in(passk), *_measures_in(liveness))}.values())


def _all_measures(evidence: Evidence) -> tuple[Measure, ...]:
    gap, contamination = evidence.probed.format_gap, evidence.probed.contamination
    parts: list[object] = [*_measures_in(evidence.passk), *(() if gap is None else gap.measures()), *_measures_in(evidence.liveness)]
    parts += [evidence.unscored, evidence.right_when_cut, evidence.right_when_finished, evidence.false_pay]
    parts += [evidence.corrected, evidence.gap_nats, evidence.largest_gap_nats]
    parts += () if contamination is None else contamination.measures
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
    found += _curves_by_size(evidence.clarity_by_size)
    if evidence.evaluation is not None:
        there = evidence.evaluation.passk
        meaning = f"The same on the prompts of {evidence.evaluation.task}, which training would be judged by."
        found.append(_curve("evaluation pass@k", "k", there.k_K, there.curve, meaning))
    return tuple(curve for curve in found if curve.x)


def _curves_by_size(by_size: ClarityBySize | None) -> list[Curve]:
    if by_size is None or len(by_size.sizes) < 2:
        return []
    named = {
        "silhouette at K": (by_size.silhouette, "Mean S with K rollouts a prompt: compare models at one K."),
        "balanced silhouette at K": (by_size.balanced, "Mean class-balanced S with K rollouts a prompt."),
        "share with S < 0 at K": (by_size.negative, "Share of S below zero with K rollouts a prompt: most of noise is, at any K."),
        "clarity coverage at K": (by_size.coverage, "Share of groups of K rollouts with right and wrong answers, on which S exists."),
    }
    return [_curve(name, "K, rollouts a prompt", by_size.sizes, measures, meaning) for name, (measures, meaning) in named.items()]


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
    balanced: dict[int, float] = {}
    scores: dict[int, float] = {}
    if clarity is not None:
        there, permuted = clarity.per_prompt, clarity.permuted
        silhouettes = dict(zip(there.prompts_V.tolist(), there.silhouette_V.tolist(), strict=True))
        balanced = dict(zip(there.prompts_V.tolist(), there.balanced_V.tolist(), strict=True))
        scores = {p: z for p, z in zip(permuted.prompts_W.tolist(), permuted.z_W.tolist(), strict=True) if math.isfinite(z)}
    ids = groups.prompt_ids or tuple(str(p) for p in range(groups.num_prompts))
    return tuple(
        PromptSummary(
            prompt_id=ids[p],
            num_scored=int(scored_P[p]),
            num_correct=int(correct_P[p]),
            silhouette=silhouettes.get(p),
            balanced=balanced.get(p),
            z=scores.get(p),
        )
        for p in range(min(groups.num_prompts, MAX_PROMPTS_LISTED))
    )
