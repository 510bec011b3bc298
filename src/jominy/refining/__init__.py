"""refine(): a training set in, the part whose reward can be learned from and trusted out, as a file to train on.          (2601.04954)

    1 learnability   drop what the pilot never saw rewarded                                   off with --pilot none
    2 types          cut constraints of types that the audit finds below a bound              on with --min-precision, --min-recall-false
    3 soft           at most one soft constraint a prompt                                     off with --max-soft None

The paper does 1, then 3. Types go in between, so that the soft constraint which stays is never one of a type that is removed. Each step is
a function of prompts (`refining.simplifying`), and can be used by itself.

    OUT/prompts.jsonl    the refined prompts, a task that `train` takes          OUT/refined.json    what was dropped and why
    OUT/pilot/           the pilot, a run folder                                 OUT/report.html     the page

Left out on purpose: choosing bounds, and weighing prompts instead of dropping them.
LIMIT: dropping prompts changes the population; counts by type stand beside every step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jominy.audited import Audit, audit_in, load_audit
from jominy.measures.trust import TOO_FEW
from jominy.records import Prompt
from jominy.refined import (
    PROMPTS_FILE,
    REFINED_FILE,
    STEPS,
    Change,
    Example,
    Refined,
    StepCount,
    StepName,
    TypeCount,
    TypeStanding,
)
from jominy.refining.filing import checked_prompts, filing_of, train_words
from jominy.refining.piloting import MADE_HERE, PILOT_FOLDER, Loaders, Pilot, pilot_of, sampling_of
from jominy.refining.simplifying import Outcome, constraints_in, count_step, count_types, keep_learnable, limit_soft, remove_types
from jominy.refining.standings import asked_otherwise, below_a_bound, standings, trust_by_type
from jominy.sampling import load_task_and_rewards
from jominy.specs.refining import RefineSpec
from jominy.store import read_json, write_json

EXAMPLES_OF_A_REASON = 3
SHOWN_CHARACTERS = 2000
JUDGED_BEFORE = "learnability is judged on the prompts as they were given; one that nobody solved may be solvable with fewer constraints"
AT_EVEN_ODDS = "precision is that at even odds of right and wrong; recall on false does not depend on them"
WHOLE_RESPONSES = "the audit is of whole responses, and a type in it is what a pair of them differs in"


def refine(spec: RefineSpec, out: Path, *, loaders: Loaders | None = None, overwrite: bool = False, quiet: bool = False) -> Refined:
    """Refine `spec.prompts` prompts of `spec.task` into the folder `out`; the same call on the same folder goes on where it stopped.

    Args:
        spec: what to do.
        out: the folder.
        loaders: how engines of the pilot are made; default those of this machine.
        overwrite: replace a folder that holds another refined set or pilot.
        quiet: no progress.

    Raises:
        ValueError: a mistake in the spec; a pilot or an audit of something else; prompts that cannot be written back; nothing to do, or
            nothing left.
        KeyboardInterrupt: passed on; what the pilot has drawn is kept.
    """
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    spec.check()
    sampling_of(spec).check()
    task, _, _ = load_task_and_rewards(sampling_of(spec))
    prompts = task.prompts(spec.prompts, spec.seed)
    if not prompts:
        raise ValueError(f"task {spec.task!r} gave no prompts")
    filing = filing_of(spec, task)
    audit = None if spec.simplify.audit is None else load_audit(spec.simplify.audit)
    found = _standings(spec, prompts, audit)
    steps_off = _steps_off(spec, prompts)
    if all(steps_off.values()):
        raise ValueError(f"there is nothing to do: {'; '.join(f'{name}: {why}' for name, why in steps_off.items())}")
    _claim(out, spec, overwrite=overwrite)
    pilot = pilot_of(spec, prompts, out, loaders or Loaders(), overwrite=overwrite, quiet=quiet)
    stages, outcomes, steps = _all_steps(spec, prompts, pilot, audit, found, steps_off)
    left = stages[-1]
    if not left:
        kept = "" if pilot is None else "; what the pilot drew is kept"
        raise ValueError(f"nothing is left of {len(prompts)} prompts: {_where_they_went(steps)}. No prompts were written{kept}")
    file = out / PROMPTS_FILE
    refined = Refined(
        spec=_plain(asdict(spec)),
        created=started,
        num_given=len(prompts),
        num_kept=len(left),
        num_rewritten=len({prompt.id for prompt in left} - {prompt.id for prompt in prompts}),
        steps=tuple(steps),
        types=_type_counts(stages),
        pilot=None if pilot is None else pilot.count,
        audit=None if spec.simplify.audit is None else str(audit_in(spec.simplify.audit)),
        standings=found,
        unaudited=() if audit is None else tuple(sorted(_types(prompts) - {standing.type for standing in found})),
        changes=tuple(change for outcome in outcomes for change in outcome.changes),
        examples=_examples(stages, outcomes),
        train_with=train_words(file, spec, filing),
        notes=(*_notes_of_pilot(spec, pilot), *_notes_of_audit(spec, prompts, audit, found)),
        audit_says=_says(audit),
    )
    with checked_prompts(out, left, task, filing) as aside:
        file.unlink(missing_ok=True)  # first: a record never stands beside prompts that it is not about
        write_json(out / REFINED_FILE, refined.to_json())
        os.replace(aside, file)
    return refined


def _all_steps(
    spec: RefineSpec,
    prompts: Sequence[Prompt],
    pilot: Pilot | None,
    audit: Audit | None,
    found: Sequence[TypeStanding],
    steps_off: dict[StepName, str],
) -> tuple[list[tuple[Prompt, ...]], list[Outcome], list[StepCount]]:
    """(prompts before, and behind each step; what each did; in numbers)."""
    stages, outcomes, counts = [tuple(prompts)], [], []
    for name in STEPS:
        given = stages[-1]
        if why := steps_off[name]:
            outcome = Outcome(prompts=given, changes=())
            counts.append(
                StepCount(name=name, why_off=why, num_in=len(given), num_out=len(given), num_rewritten=0, reasons={}, types_gone={})
            )
        else:
            outcome = _step(name, spec, given, pilot, audit, found)
            counts.append(count_step(name, given, outcome))
        outcomes.append(outcome)
        stages.append(outcome.prompts)
    return stages, outcomes, counts


def _step(
    name: StepName, spec: RefineSpec, given: Sequence[Prompt], pilot: Pilot | None, audit: Audit | None, found: Sequence[TypeStanding]
) -> Outcome:
    if name == "learnability":
        assert pilot is not None, "the step is off without one"
        return keep_learnable(given, pilot.seen)
    if name == "types":
        return remove_types(given, below_a_bound(found), _paid_kinds(spec, audit))
    assert spec.simplify.max_soft is not None, "the step is off without it"
    trust = trust_by_type(found) if spec.simplify.keep_soft == "trusted" else None
    return limit_soft(given, spec.simplify.max_soft, seed=spec.seed, trust=trust)


def _steps_off(spec: RefineSpec, prompts: Sequence[Prompt]) -> dict[StepName, str]:
    """Why each step is not done; empty where it is."""
    no_constraints = "" if _types(prompts) else f"the prompts of {spec.task!r} have no constraints"
    bounds = (spec.simplify.min_precision, spec.simplify.min_recall_false)
    no_bounds = "neither --min-precision nor --min-recall-false is given" if bounds == (None, None) else ""
    return {
        "learnability": "--pilot none" if spec.drawing.pilot == "none" else "",
        "types": no_bounds or no_constraints,
        "soft": "--max-soft None" if spec.simplify.max_soft is None else no_constraints,
    }


def _standings(spec: RefineSpec, prompts: Sequence[Prompt], audit: Audit | None) -> tuple[TypeStanding, ...]:
    """How the types stand that whoever was audited pays for; those of the others stay out of it."""
    if audit is None or not _types(prompts):
        return ()
    paid = _paid(spec, prompts, audit)
    if not paid:
        raise ValueError(
            f"the audit is of who pays {' and '.join(_paid_kinds(spec, audit))} constraints, and the prompts of {spec.task!r} have none; "
            "leave --audit out, or say --audited all where it pays the hard ones too"
        )
    return standings(audit, paid, spec.simplify.min_precision, spec.simplify.min_recall_false)


def _paid(spec: RefineSpec, prompts: Sequence[Prompt], audit: Audit) -> dict[str, set[str]]:
    """{type: kinds in which it is asked and paid by who was audited}."""
    paid: dict[str, set[str]] = {}
    for type, kind in count_types(prompts):
        if kind in _paid_kinds(spec, audit):
            paid.setdefault(type, set()).add(kind)
    return paid


def _paid_kinds(spec: RefineSpec, audit: Audit | None) -> tuple[str, ...]:
    named = spec.simplify.audited
    every = named == "all" or (named == "auto" and audit is not None and audit.source.get("reward") is not None)
    return ("hard", "soft") if every else ("soft",)


def _claim(out: Path, spec: RefineSpec, *, overwrite: bool) -> None:
    """Raises ValueError where the folder holds something else, or what is refined."""
    if Path(spec.task).exists() and Path(spec.task).resolve() == (out / PROMPTS_FILE).resolve():
        raise ValueError(f"--out {out} would replace {spec.task}, which is what is refined; choose another folder")
    if overwrite:
        return
    if (out / REFINED_FILE).is_file():
        there, wanted = _flat(read_json(out / REFINED_FILE)["spec"]), _flat(_plain(asdict(spec)))
        different = [name for name in wanted if there.get(name) != wanted[name]]
        if different:
            changes = ", ".join(f"{name} was {there.get(name)!r}, now {wanted[name]!r}" for name in different)
            raise ValueError(
                f"{out} holds another refined set ({changes}). Choose another --out (its pilot can be used again: "
                f"--pilot {out / PILOT_FOLDER}), or replace both with --overwrite"
            )
    elif (out / PROMPTS_FILE).exists():
        raise ValueError(f"{out} holds a {PROMPTS_FILE} that `refine` did not write; choose another --out, or --overwrite")


def _flat(spec: dict[str, Any]) -> dict[str, Any]:
    parts = [value for value in spec.values() if isinstance(value, dict)]
    return {
        **{name: value for name, value in spec.items() if not isinstance(value, dict)},
        **{k: v for part in parts for k, v in part.items()},
    }


def _plain(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec in JSON's types."""
    return {
        name: _plain(value) if isinstance(value, dict) else str(value) if isinstance(value, Path) else value for name, value in spec.items()
    }


def _types(prompts: Sequence[Prompt]) -> set[str]:
    return {type for type, _ in count_types(prompts)}


def _type_counts(stages: Sequence[Sequence[Prompt]]) -> tuple[TypeCount, ...]:
    counts = [count_types(stage) for stage in stages]
    return tuple(
        TypeCount(
            type=type, kind=kind, given=counts[0][type, kind], kept=counts[-1][type, kind], after=tuple(c[type, kind] for c in counts[1:])
        )
        for type, kind in sorted(counts[0])
    )


def _examples(stages: Sequence[Sequence[Prompt]], outcomes: Sequence[Outcome]) -> tuple[Example, ...]:
    """The first few of every reason of every step."""
    examples: list[Example] = []
    for given, outcome in zip(stages, outcomes, strict=False):
        before, after = {prompt.id: prompt for prompt in given}, {prompt.id: prompt for prompt in outcome.prompts}
        shown: dict[str, int] = {}
        for change in outcome.changes:
            shown[change.why] = shown.get(change.why, 0) + 1
            if shown[change.why] <= EXAMPLES_OF_A_REASON:
                examples.append(_example(change, before[change.prompt_id], None if change.became is None else after[change.became]))
    return tuple(examples)


def _example(change: Change, before: Prompt, after: Prompt | None) -> Example:
    left = [] if after is None else [constraint.get("text") for constraint in constraints_in(after)]
    gone = [] if after is None else [text for one in constraints_in(before) if (text := one.get("text")) not in left]
    return Example(
        step=change.step,
        why=change.why,
        before=before.messages[-1].content[:SHOWN_CHARACTERS],
        after=None if after is None else after.messages[-1].content[:SHOWN_CHARACTERS],
        gone=tuple(str(text) for text in gone),
    )


def _notes_of_pilot(spec: RefineSpec, pilot: Pilot | None) -> list[str]:
    if pilot is None:
        return []
    notes, count = [JUDGED_BEFORE], pilot.count
    if spec.drawing.pilot not in MADE_HERE and count.reward != spec.drawing.reward:
        notes.append(f"the pilot was paid by {count.reward or 'the task'}, training will be by {spec.drawing.reward or 'the task'}")
    if count.num_never_right is not None and count.num_never_right > count.num_never:
        notes.append(
            f"of {count.num_prompts:,} prompts the pilot saw {count.num_never:,} never rewarded, but {count.num_never_right:,} never right "
            "by gold: a reward that pays for wrong responses lets prompts pass as learnable"
        )
    return notes


def _notes_of_audit(spec: RefineSpec, prompts: Sequence[Prompt], audit: Audit | None, found: Sequence[TypeStanding]) -> list[str]:
    if audit is None:
        return []
    notes = [] if _says(audit) == "trust" else [f"the audit of {audit.source.get('who', 'it')} says: {_says(audit)}. {audit.trust.rule}"]
    notes += [AT_EVEN_ODDS, *([WHOLE_RESPONSES] if audit.level == "response" else [])]
    for kind, types in asked_otherwise(found, _paid(spec, prompts, audit)).items():
        other = next(name for name in ("hard", "soft") if name != kind)
        notes.append(
            f"the audit asked in {kind} words of {', '.join(types)}, which are paid in {other} ones here too: its numbers are those of "
            f"{kind} words (jominy audit --constraints rendering={other}, or mixed)"
        )
    return notes


def _says(audit: Audit | None) -> str:
    """Its verdict, as people read it."""
    return "" if audit is None else TOO_FEW if audit.trust.too_few else audit.trust.value


def _where_they_went(steps: Sequence[StepCount]) -> str:
    return "; ".join(f"{step.name}: {why} {count}" for step in steps for why, count in step.reasons.items())
