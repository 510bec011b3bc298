"""The split of a gain by the chain of attempts: what measured chances make of each combination of sampler and decider.

    Acc(s, d) = V_1 of the chain with the first attempts and retries of s and the decisions of d          (`measures.swap.analytic_cells`)

It costs no response beyond those that each policy drew alone, and has less noise than the measured square; but it takes prompts to be
alike and no response to break its form, so it is a check on the mechanism. Each test is a chain of its own, for its chances are others.
Left out on purpose: the chain itself (`measures.chain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np

from jominy.measures.swap import analytic_cells, shapley
from jominy.studies.decisions.estimating import Estimate, beside, formula
from jominy.studies.decisions.told import (
    IN,
    RATES,
    START,
    Split,
    base_more,
    cell_of,
    counts_on,
    hits_and_cases,
    mores,
    square_with,
    tests_of,
    whole_split,
)
from jominy.studies.gains import Doubles
from jominy.studies.reading import Record, StudyRuns
from jominy.tasks.loading import load_task


def chained_split(runs: StudyRuns, cells: Sequence[str], arm: str, tests: Sequence[str] | None, *, against: str = START) -> Split | None:
    """What `told.split_of` finds in squares, by the chain; None where a cell lacks the counts, or chances that the chain needs.

    Args:
        runs: as they were read.
        cells: names.
        arm: whose policy is the one after.
        tests: `IN`, or names of further tasks; None takes the further tasks of each cell.
        against: name of the squares beside which it stands.
    """
    named: dict[str, str | None] = {START: None, **{square_with(one.name): one.name for one in runs.arms}}
    before = named[against]
    parts = [_of_cell(runs, cell, arm, tests, before) for cell in cells]
    return whole_split([[None if part is None else part[place] for part in parts] for place in range(3)])


def columns_of(counts: Record) -> Doubles:
    """[P, 10] as `measures.chain.counted` makes them of a table: hits and cases of each rate."""
    pairs = [hits_and_cases(counts, rate) for rate in RATES]
    return np.stack([column for pair in pairs for column in pair], axis=1)


def _of_cell(runs: StudyRuns, cell: str, arm: str, tests: Sequence[str] | None, before: str | None) -> list[Estimate] | None:
    """Total, sampling's and decision's part; `before` is the arm whose policy is the one before, None the warm start."""
    after, num_attempts = mores(runs, cell, arm), attempts_of(cell_of(runs, cell)["task"])
    found = []
    for test in tests_of(runs, cell, tests):
        sides = {seed: _before(runs, cell, seed, test, before) for seed in sorted(after)}
        rows = [
            np.concatenate([columns_of(side), columns_of(counts_on(after[seed], test))], axis=1)
            for seed, side in sides.items()
            if side is not None
        ]
        if not rows:
            return None
        columns_SPC = np.stack(rows)
        found.append([formula(columns_SPC, partial(_part, num_attempts, part), shared=test != IN) for part in range(3)])
    parts = [beside([one[part] for one in found]) for part in range(3)] if found else []
    return parts if parts and all(np.isfinite(part.value) for part in parts) else None


def _part(num_attempts: int, part: int, columns: Doubles) -> Doubles:
    """One of `shapley`."""
    split: Doubles = shapley(analytic_cells(columns, num_attempts))[..., part]
    return split


def _before(runs: StudyRuns, cell: str, seed: int, test: str, before: str | None) -> Record | None:
    """Counts of the policy before; None where there are none."""
    if before is not None:
        more = mores(runs, cell, before).get(seed)
        return None if more is None else counts_on(more, test)
    if test != IN:
        base = base_more(runs, cell)
        found: Record | None = None if base is None else base["further"][test]
        return found
    # All runs of a seed begin with the same responses, which one of them may have told for all.
    lines = [run["more"] for run in runs.results["runs"] if (run["cell"], run["seed"]) == (cell, seed) and run.get("more")]
    return next((more["before"] for more in lines if more.get("before")), None)


@lru_cache(maxsize=32)
def attempts_of(task: str) -> int:
    """K of a task of the study."""
    retrying = load_task(task).retrying
    assert retrying is not None, f"{task} is no task of the study of decisions"
    return retrying.num_attempts
