"""From `results.json` to the arrays that the study of decisions is about: gains beyond the task, squares, rates of decisions.

    beyond      the runs with further tasks in place of the held-out prompts: after minus the warm start's, prompts of all tasks in a row
    square      by prompt, from the rates of the four cells: gain of both, sampling's and decision's part          (`measures.swap.shapley`)
    rates       hits over cases of seeds and prompts

Left out on purpose: claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.measures.swap import shapley
from jominy.records import Measure
from jominy.studies.decisions.estimating import Estimate, estimate_of, mean, measure_of, ratio, share_measure
from jominy.studies.gains import Doubles
from jominy.studies.reading import FINISHED, Contrast, Record, StudyRuns

IN = "in distribution"
START, AGAINST_SFT = "square", "square_sft"
"""Squares: of the warm start and the trained policy, of SFT's and GRPO's."""
RATES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "first": (("1 right",), ("1 right", "1 wrong")),
    "accept_right": (("right accept",), ("right accept", "right retry")),
    "accept_wrong": (("wrong accept",), ("wrong accept", "wrong retry")),
}
"""Rate -> (counts of attempts that are hits, that are cases): what the names of the counts contain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """A gain and its two parts over one or more cells.

    Example: split_of(runs, ["sums"], "grpo", [IN]).total.value
    """

    total: Estimate
    """Accuracy of both after minus of both before."""
    sampling: Estimate
    """What better attempts make of it."""
    decision: Estimate
    """What better decisions make; the two add up."""

    def share(self, of: str) -> Measure:
        """The decision's part, where the total is surely above 0."""
        meaning = "Gain by decisions over the whole gain, Shapley split of the square of sampler and decider."
        return share_measure("decision's share of the gain", self.decision, self.total, meaning=meaning, of=of)


def cells_of(runs: StudyRuns) -> tuple[str, ...]:
    """Names of all cells."""
    return tuple(cell.name for cell in runs.cells)


def mores(runs: StudyRuns, cell: str, arm: str) -> dict[int, Record]:
    """Seed -> what was measured more on its run, of finished runs."""
    lines = [run for run in runs.results["runs"] if (run["cell"], run["arm"]) == (cell, arm) and run["status"] in FINISHED]
    return {run["seed"]: run["more"] for run in lines if run.get("more")}


def base_more(runs: StudyRuns, cell: str) -> Record | None:
    """What was measured more on the warm start; None where it is not measured yet."""
    found = next(one for one in runs.results["cells"] if one["name"] == cell)["base"]
    more: Record | None = None if found is None else found.get("more")
    return more


def further_of(runs: StudyRuns, cell: str) -> tuple[str, ...]:
    """Names of the further tasks of a cell."""
    found: Record = next(one for one in runs.results["cells"] if one["name"] == cell).get("further", {})
    return tuple(found)


def shared_seeds(runs: StudyRuns, cell: str, arms: Sequence[str]) -> tuple[int, ...]:
    """Seeds with more of every one of these arms."""
    found = [set(mores(runs, cell, arm)) for arm in arms]
    return tuple(sorted(set.intersection(*found))) if found else ()


def beyond(runs: StudyRuns, test: str | None = None) -> StudyRuns:
    """The same runs out of distribution.

    Args:
        runs: as they were read.
        test: a further task; None takes all of each cell.
    """
    found: dict[tuple[str, str], dict[int, Doubles]] = {}
    bases = {cell.name: base_more(runs, cell.name) for cell in runs.cells}
    for run in runs.results["runs"]:
        base, key = bases[run["cell"]], (run["cell"], run["arm"])
        tests = [name for name in further_of(runs, run["cell"]) if test in (None, name)]
        if base is None or not run.get("more") or run["seed"] not in runs.differences.get(key, {}) or not tests:
            continue
        gaps = [_rates_of(run["more"]["further"][name]) - _rates_of(base["further"][name]) for name in tests]
        found.setdefault(key, {})[run["seed"]] = np.concatenate(gaps)
    return replace(runs, differences=found, memory={})


def gain_estimate(runs: StudyRuns, cells: Sequence[str], contrast: Contrast, arms: Sequence[str] = ()) -> Estimate | None:
    """A contrast of gains over the cells that have it, on the seeds that `arms` have too; None where no cell has.

    Two of the same runs, cells and arms can be divided by each other.
    """
    found = []
    for cell in cells:
        wanted = dict.fromkeys([*contrast, *arms])
        seeds = sorted(set.intersection(*(set(runs.differences.get((cell, arm), {})) for arm in wanted)))
        if seeds:
            size = min(len(runs.differences[cell, arm][seed]) for arm in wanted for seed in seeds)
            rows = [sum(weight * runs.differences[cell, arm][seed][:size] for arm, weight in contrast.items()) for seed in seeds]
            found.append(estimate_of(runs.resample(cell, np.stack([np.asarray(row, dtype=np.float64) for row in rows]))))
    return mean(found) if found else None


def split_of(
    runs: StudyRuns, cells: Sequence[str], arm: str, tests: Sequence[str] | None, *, against: str = START, arms: Sequence[str] = ()
) -> Split | None:
    """The split over the cells that have squares, each counting once.

    Args:
        runs: as they were read.
        cells: names.
        arm: whose policy is the one after.
        tests: names of tests, `IN` among them; None takes the further tasks of each cell.
        against: which policy is the one before.
        arms: others whose seeds it must share.
    """
    parts = [found for cell in cells if (found := _split_of_cell(runs, cell, arm, tests, against, arms)) is not None]
    if not parts:
        return None
    return Split(
        total=mean([part.total for part in parts]),
        sampling=mean([part.sampling for part in parts]),
        decision=mean([part.decision for part in parts]),
    )


def rate_estimate(runs: StudyRuns, cell: str, arm: str, rate: str, seeds: Sequence[int]) -> Estimate | None:
    """A rate of the trained policy's own attempts on held-out prompts; None without cases.

    Args:
        runs: as they were read.
        cell: name.
        arm: name.
        rate: of `RATES`, or after_wrong, after_right: the next attempt is right.
        seeds: those that enter.
    """
    found = mores(runs, cell, arm)
    pairs = [hits_and_cases(found[seed]["after"], rate) for seed in seeds]
    return _pooled(runs, cell, pairs)


def bank_estimate(runs: StudyRuns, cell: str, arm: str, seeds: Sequence[int], *, correct: bool) -> Estimate | None:
    """Mean chance of accepting the right, or the wrong, states of the bank; states without a verdict are left out."""
    base, found = base_more(runs, cell), mores(runs, cell, arm)
    if base is None or not seeds or not base["bank"]["correct"]:
        return None
    these_B = np.array(base["bank"]["correct"], dtype=bool) == correct
    chances = [np.array([np.nan if one is None else one for one in found[seed]["bank"]], dtype=np.float64)[these_B] for seed in seeds]
    return _pooled(runs, cell, [(np.nan_to_num(chance_B, nan=0.0), np.isfinite(chance_B).astype(np.float64)) for chance_B in chances])


def rate_measure(runs: StudyRuns, cell: str, arm: str, rate: str) -> Measure:
    """`rate_estimate` over all seeds that there are, with its interval."""
    estimate = rate_estimate(runs, cell, arm, rate, tuple(mores(runs, cell, arm)))
    return measure_of(rate, estimate, meaning="", why_none="no cases")


def _split_of_cell(runs: StudyRuns, cell: str, arm: str, tests: Sequence[str] | None, against: str, arms: Sequence[str]) -> Split | None:
    found = mores(runs, cell, arm)
    names = further_of(runs, cell) if tests is None else tests
    seeds = [seed for seed in shared_seeds(runs, cell, [arm, *arms]) if found[seed].get(against)]
    if not seeds or not names:
        return None
    rates = [np.concatenate([_square_rates(found[seed][against][name]) for name in names]) for seed in seeds]
    split_SP3 = shapley(np.stack(rates))
    total, sampling, decision = (estimate_of(runs.resample(cell, split_SP3[:, :, part])) for part in range(3))
    return Split(total=total, sampling=sampling, decision=decision)


def _square_rates(square: Record) -> Doubles:
    """[P, 4] in the order of `measures.swap.NAMES`."""
    rates_P4: Doubles = np.array(square["right"], dtype=np.float64).T / square["num_rollouts"]
    return rates_P4


def _rates_of(counts: Record) -> Doubles:
    """[P] right responses."""
    rates_P: Doubles = np.array(counts["right"], dtype=np.float64) / counts["num_rollouts"]
    return rates_P


def hits_and_cases(counts: Record, rate: str) -> tuple[Doubles, Doubles]:
    """([P] hits, [P] cases)."""
    if rate in ("after_wrong", "after_right"):
        hits, cases = (np.array(column, dtype=np.float64) for column in counts[rate])
        return hits, cases
    sides = []
    for parts in RATES[rate]:
        there = [column for name, column in counts["attempts"].items() if any(part in name for part in parts)]
        sides.append(np.sum(np.array(there, dtype=np.float64), axis=0) if there else np.zeros(len(counts["right"])))
    return sides[0], sides[1]


def _pooled(runs: StudyRuns, cell: str, pairs: Sequence[tuple[Doubles, Doubles]]) -> Estimate | None:
    """Hits over cases of all seeds and prompts."""
    if not pairs:
        return None
    hits, cases = (estimate_of(runs.resample(cell, np.stack([pair[place] for pair in pairs]))) for place in (0, 1))
    return ratio(hits, cases)
