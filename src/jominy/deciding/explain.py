"""explain's part about decisions: two run folders and a reader of attempts in, what changed in solving and deciding out.

    texts  ->  attempts and decisions before and after            always                         (`measures.decision_changes`)
    tokens ->  credit by objective on the responses after         where the tokens are known     (`coefficients`)
    models ->  the square of sampler and decider, the bank        where both can be loaded       (`exchange`)
    models ->  gradients by objective                             with `--gradients`             (`gradients`)

Square, bank and gradients are dear: they are kept beside the run, and a call that may not make them shows those that are kept (`cache`).
What cannot be had is left out with its reason; only a mistake in what was asked for is an error. Left out on purpose: any formula, which
folders there are (`folders`), and the rest of an explanation (`explaining`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jominy.decided import Credited, Decided, Exhibit, Problem, Section
from jominy.deciding.coefficients import OBJECTIVES, Rows, Start, credited, rows_of, value_shares, with_start
from jominy.deciding.columns import Tables, part_of, tables_of
from jominy.deciding.exchange import exchanged
from jominy.deciding.exhibits import Asked, exhibits_of
from jominy.deciding.folders import HOW, Compared, Sides, compared_in, read_sides
from jominy.deciding.kept_gradients import kept_gradients_of
from jominy.deciding.policies import LoadContinuing, load_continuing
from jominy.deciding.rollouts import sample_spec_of
from jominy.explaining import explain, explain_training, success_of
from jominy.explanation import Change, Explanation
from jominy.measures.attempts import NONE, AttemptTable
from jominy.measures.credit import CreditShare, credit_share
from jominy.measures.decision_changes import decision_changes
from jominy.measures.decisions import NO_DECISION
from jominy.progress import rollout_bar
from jominy.readers import limit_of
from jominy.records import Measure, Skipped
from jominy.specs import DecisionSpec
from jominy.steplog import EXPLANATION_FILE, read_evaluations, read_start_logprobs
from jominy.store import RunFolder, write_json

NO_SWAP = "`--no-swap` was said"
NO_LIMIT = "this reader has no limit of attempts"
OF_THE_LIMIT = ("oracle on fresh attempts", "oracle, all prompts alike", "random decider", "decision efficiency on fresh attempts")
"""Measures of `deciders` that K stands in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a call of `explain` has to say.

    Example: Told(explanation=None, decisions=None, why="nothing says where responses to task 'math' try and decide; ...")
    """

    explanation: Explanation | None
    """With its part about decisions; None for a run folder alone."""
    decisions: Mapping[str, Any] | None
    """That part, a `Decided` as JSON; None where nothing can be said."""
    why: str
    """Then, why; else empty."""


def explain_decisions(
    folder: Path,
    after: Path | None,
    against: Path | None,
    spec: DecisionSpec,
    *,
    seed: int = 0,
    load_engine: LoadContinuing = load_continuing,
    drawing: bool = True,
    quiet: bool = False,
) -> Told:
    """`explain` with its part about decisions.

    A training folder keeps the result in its `explanation.json`, which is written once, when all is there. With `against` that file goes on
    to say what training changed since its own start, but its decisions are those against the other policy (`decisions.source.before`).

    Args:
        folder: as `compared_in` takes it, and `after` and `against` too.
        after: see there.
        against: see there.
        spec: what to say about decisions.
        seed: of bootstraps and bank.
        load_engine: makes the policies of the square.
        drawing: False is how `train` ends: nothing is drawn, and what cannot be said about decisions is a reason and no error.
        quiet: no progress bar.

    Raises:
        ValueError: see `explain_training`, `explain` and `decide`.
    """
    own = after is None and bool(read_evaluations(folder))
    kept = explain_training(folder, seed=seed) if own and (against is None or len(read_evaluations(folder)) > 1) else None
    asked = compared_in(folder, after, against)
    found: Decided | None = None
    try:
        why_not = "" if drawing else f"not drawn yet: `jominy explain {folder}`"
        found, why = decide(asked, spec, seed=seed, load_engine=load_engine, why_not=why_not, quiet=quiet)
    except ValueError as error:
        if drawing:
            raise
        why = str(error)
    if found is None and asked.before is None:
        raise ValueError(f"{folder} is one run folder and explain compares two: `jominy explain BEFORE AFTER`. Of one alone, {why}")
    decisions = None if found is None else found.to_json()
    shown = kept
    if asked.before is not None and (kept is None or against is not None):
        shown = explain(asked.before, asked.after, success=success_of(RunFolder(asked.root)), seed=seed)
    if kept is not None:
        kept = replace(kept, decisions=decisions, why_no_decisions=why)
        write_json(folder / EXPLANATION_FILE, kept.to_json())
    told = None if shown is None else replace(shown, decisions=decisions, why_no_decisions=why)
    return Told(explanation=told, decisions=decisions, why=why)


def decide(
    asked: Compared,
    spec: DecisionSpec,
    *,
    seed: int = 0,
    load_engine: LoadContinuing = load_continuing,
    why_not: str = "",
    quiet: bool = False,
) -> tuple[Decided | None, str]:
    """What changed in solving and deciding, or None and why nothing can be said.

    A response is right when its gold, or else its reward, is at least what `asked.root` was trained with (`success_of`).

    Args:
        asked: folders and models.
        spec: reader, objectives, swap.
        seed: of bank and intervals.
        load_engine: makes the policies of the square.
        why_not: why square and bank are not to be drawn, where they are not; those that are kept are shown.
        quiet: no progress bar.

    Raises:
        ValueError: a folder cannot be read, or reader, objective or task are not what they should be.
    """
    spec.check()
    sides, why = read_sides(asked, spec.spans, success_of(RunFolder(asked.root)))
    if sides is None:
        return None, why
    tables = tables_of(sides.after.rollouts, sides.prompts, sides.read, sides.success)
    before = None if sides.before is None else tables_of(sides.before.rollouts, sides.prompts, sides.read, sides.success)
    if not any(len(side.attempts.rollout_A) for side in (before, tables) if side is not None):
        return None, f"reader {spec.spans or 'task'} finds no attempt in any response of {asked.after}; {HOW}"
    limit = limit_of(spec.spans or "task", sides.task)
    num_attempts = _seen([side.attempts for side in (before, tables) if side is not None]) + 1 if limit is None else limit
    # a generator for each part, so that leaving one out moves no interval of the others
    of_changes, of_credit, of_swap = (np.random.default_rng([seed, part]) for part in range(3))
    kinds = decision_changes(None if before is None else before.attempts, tables.attempts, num_attempts=num_attempts, rng=of_changes)
    credits, skipped, shares, exhibits = _credits(asked, sides, tables, spec, seed, quiet=quiet)
    share = None if limit == 1 else _credit_share(tables.attempts, limit, of_credit)
    why_not = why_not or (NO_SWAP if spec.no_swap else "")
    exchange = exchanged(asked, sides, spec, seed, of_swap, load_engine, why_not, quiet=quiet)
    return Decided(
        source=_source(asked, sides, exchange.spec, seed),
        num_attempts=num_attempts,
        why_no_decisions=NO_DECISION if limit == 1 else "",
        why_no_limit=NO_LIMIT if limit is None else "",
        num_prompts=len(sides.prompts),
        num_only_before=sides.num_only_before,
        num_only_after=sides.num_only_after,
        num_rollouts_before=None if sides.before is None else len(sides.before.rollouts),
        num_rollouts_after=len(sides.after.rollouts),
        sections=tuple(Section(name=name, changes=changes if limit is not None else _unlimited(changes)) for name, changes in kinds),
        problems=_problems(before, tables),
        credits=credits,
        skipped=skipped,
        value_shares=shares,
        credit_share=share,
        swap=exchange.square,
        why_no_swap=exchange.why_no_swap,
        bank=exchange.bank,
        why_no_bank=exchange.why_no_bank,
        notes=_notes(sides, spec, before, tables),
        exhibits=exhibits,
    ), ""


def _seen(tables: Sequence[AttemptTable]) -> int:
    """Attempts of the response with the most."""
    return max(int(table.num_attempts_R.max(initial=1)) for table in tables)


def _unlimited(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Without the values of what depends on K."""
    return tuple(
        replace(
            change, before=_without_value(change.before), after=_without_value(change.after), difference=_without_value(change.difference)
        )
        if change.name in OF_THE_LIMIT
        else change
        for change in changes
    )


def _credit_share(attempts: AttemptTable, limit: int | None, rng: np.random.Generator) -> CreditShare:
    """Of the value table of K attempts; where K is unknown, how many decisions it would be made from, and no value."""
    found = credit_share(attempts, num_attempts=limit or 2, rng=rng)
    return found if limit is not None else replace(found, decision=_without_value(found.decision), right_K=(), wrong_K=())


def _without_value(measure: Measure) -> Measure:
    return replace(measure, value=None, low=None, high=None, why_none=NO_LIMIT)


def _credits(
    asked: Compared, sides: Sides, tables: Tables, spec: DecisionSpec, seed: int, *, quiet: bool
) -> tuple[tuple[Credited, ...], tuple[Skipped, ...], tuple[Measure, ...], tuple[Exhibit, ...]]:
    """(by objective, those that could not be, value shares, responses to look at)."""
    if not np.any(tables.tokens.stage_M != NONE):
        missing = "the text of each token (column `pieces`), to know which tokens try and which decide"
        unknown = tuple(Skipped(code=objective, missing=missing) for objective in spec.credit or OBJECTIVES)
        return (), unknown, (), exhibits_of(tables, sides.prompts, sides.read, ())
    start = read_start_logprobs(sides.after.folder)
    some, _ = with_start(sides.after.rollouts, start)
    scored = part_of(tables, some) if some else None
    shares = value_shares(tables, scored, start)
    gradients = kept_gradients_of(asked, sides, seed, may_compute=spec.gradients)
    found, skipped, counted_rows = [], [], []
    objectives = spec.credit or OBJECTIVES
    with rollout_bar("gradients", len(objectives), quiet=quiet or not spec.gradients, what="objectives") as advance:
        for objective in objectives:
            rows = _rows(objective, tables, sides, start, None)
            if isinstance(rows, Skipped):
                skipped.append(rows)
            else:
                counted = scored if rows.recipe.needs_reference else tables
                assert counted is not None
                counted_rows.append(Asked(objective=objective, rows=rows, tables=counted))
                one = credited(objective, rows, counted)
                rows_with = partial(_rows, objective, tables, sides, start)
                found.append(one if gradients is None else gradients.of(one, rows, counted, rows_with))
            advance(1, 0)
    return tuple(found), tuple(skipped), shares, exhibits_of(tables, sides.prompts, sides.read, counted_rows)


def _rows(
    objective: str, tables: Tables, sides: Sides, start: Start | None, prompt_ids: Mapping[str, Sequence[int]] | None
) -> Rows | Skipped:
    """The rows of an objective, with the tokens of the prompts where they are known."""
    max_tokens = sample_spec_of(sides.after.run).max_tokens
    return rows_of(objective, tables.rollouts, success=sides.success, max_tokens=max_tokens, start=start, prompt_ids=prompt_ids)


def _problems(before: Tables | None, after: Tables) -> tuple[Problem, ...]:
    """What is broken and how often, unbroken ones first."""
    counts = [[] if side is None else list(side.attempts.problem_R) for side in (before, after)]
    names = dict.fromkeys([*counts[1], *counts[0]])
    ordered = sorted(names, key=lambda name: (name != "", -counts[1].count(name), -counts[0].count(name), name))
    return tuple(
        Problem(name=name, before=None if before is None else counts[0].count(name), after=counts[1].count(name)) for name in ordered
    )


def _notes(sides: Sides, spec: DecisionSpec, before: Tables | None, tables: Tables) -> tuple[str, ...]:
    """What a careful reader should know."""
    notes = []
    if spec.spans is not None and spec.spans.partition(":")[0] == "lexical":
        notes.append("attempts and decisions are told by words of doubt: what is written, not whether anything was decided")
    if sides.num_only_before or sides.num_only_after:
        notes.append(
            f"left out: {sides.num_only_before:,} prompts of the folder before alone and {sides.num_only_after:,} of that after alone"
        )
    for when, side in (("before", before), ("after", tables)):
        bare = 0 if side is None else sum(rollout.pieces is None for rollout in side.rollouts)
        if side is not None and bare:
            lacking = "attempts and no credit" if when == "after" else "attempts only"
            notes.append(f"{bare:,} of {len(side.rollouts):,} responses {when} have no text of single tokens: they have {lacking}")
        unknown = 0 if side is None else int(np.count_nonzero(~side.attempts.known_A))
        if unknown:
            notes.append(f"nobody knows of {unknown:,} attempts {when} whether they are right; they are in no share of right ones")
    temperatures = [None if side is None else side.rollouts[0].temperature for side in (sides.before, sides.after)]
    if temperatures[0] is not None and temperatures[0] != temperatures[1]:
        notes.append(f"drawn at temperature {temperatures[0]:g} before and {temperatures[1]:g} after; part of the change is that")
    return tuple(notes)


def _source(asked: Compared, sides: Sides, spec: DecisionSpec, seed: int) -> Mapping[str, object]:
    return {
        "reader": spec.spans or "task",
        "task": sides.after.task,
        "before": None if asked.before is None else str(asked.before),
        "after": str(asked.after),
        "before_policy": None if sides.before is None else sides.before.policy,
        "after_policy": sides.after.policy,
        "success": sides.success,
        "seed": seed,
        "temperature": sides.after.rollouts[0].temperature,
        "swap_task": spec.swap_task,
    }
