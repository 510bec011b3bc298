"""From `results.json` to the arrays that the study of decisions is about: gains beyond the task, squares, rates of decisions.

    beyond      the runs with further tasks in place of the held-out prompts: after minus the warm start's, prompts of all tasks in a row
    square      by prompt, from the rates of the four cells: gain of both, sampling's and decision's part          (`measures.swap.shapley`)
    rates       hits over cases of seeds and prompts
    unshown     the same on prompts in distribution that the warm start was not shown

An estimate over cells takes all of them: one that lacks its runs would let the verdict stand on another without saying so.
In distribution each seed has held-out prompts of its own; prompts of further tasks and states of the bank are the same for all.
Left out on purpose: claims, and the split by the chain (`chained`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.measures.swap import shapley
from jominy.records import Bools, Measure
from jominy.studies.decisions.estimating import Estimate, beside, estimate_of, measure_of, minus, over_cells, ratio, share_measure
from jominy.studies.gains import Doubles
from jominy.studies.reading import FINISHED, Contrast, Record, StudyRuns

IN = "in distribution"
START = "square"
"""Of the warm start and the trained policy."""
AFTER = ("after_right", "after_wrong")
RATES = ("first", *AFTER, "accept_right", "accept_wrong")
"""First attempts right; the next attempt right where a right, a wrong one was retried; right, wrong ones accepted."""


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

    @property
    def lead(self) -> Estimate:
        """Decision's part minus sampling's: above 0 where decisions make more than half of a gain."""
        return minus(self.decision, self.sampling)

    def share(self, of: str) -> Measure:
        """The decision's part, where the total is surely above 0."""
        meaning = "Gain by decisions over the whole gain, Shapley split of the square of sampler and decider."
        return share_measure("decision's share of the gain", self.decision, self.total, meaning=meaning, of=of)


def square_with(arm: str) -> str:
    """Name of the squares of the policy that this arm left and GRPO's."""
    return f"square_{arm}"


def cells_of(runs: StudyRuns) -> tuple[str, ...]:
    """Names of all cells."""
    return tuple(cell.name for cell in runs.cells)


def mores(runs: StudyRuns, cell: str, arm: str) -> dict[int, Record]:
    """Seed -> what was measured more on its run, of finished runs."""
    lines = [run for run in runs.results["runs"] if (run["cell"], run["arm"]) == (cell, arm) and run["status"] in FINISHED]
    return {run["seed"]: run["more"] for run in lines if run.get("more")}


def base_more(runs: StudyRuns, cell: str) -> Record | None:
    """What was measured more on the warm start; None where it is not measured yet."""
    found = cell_of(runs, cell)["base"]
    more: Record | None = None if found is None else found.get("more")
    return more


def further_of(runs: StudyRuns, cell: str) -> tuple[str, ...]:
    """Names of the further tasks of a cell."""
    found: Record = cell_of(runs, cell).get("further", {})
    return tuple(found)


def cell_of(runs: StudyRuns, cell: str) -> Record:
    """A cell's line in the file."""
    found: Record = next(one for one in runs.results["cells"] if one["name"] == cell)
    return found


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


def gain_estimate(
    runs: StudyRuns, cells: Sequence[str], contrast: Contrast, tests: Sequence[str] | None, *, arms: Sequence[str] = ()
) -> Estimate | None:
    """A contrast of gains, each cell counting once; None where a cell lacks finished runs of it.

    Two of the same runs, cells, tests and arms can be held against each other.

    Args:
        runs: as they were read.
        cells: names.
        contrast: of arms.
        tests: `IN`, or names of further tasks; None takes the further tasks of each cell.
        arms: others whose seeds it must share.
    """
    return everywhere([_gain_of_cell(runs, cell, contrast, tests, arms) for cell in cells])


def unshown_gain(runs: StudyRuns, cells: Sequence[str], contrast: Contrast) -> Estimate | None:
    """A contrast of gains in distribution on prompts that the warm start was not shown; None where a cell lacks runs or such prompts."""
    return everywhere([_unshown_gain_of(runs, cell, contrast) for cell in cells])


def unshown(more: Record) -> Bools:
    """[P] whether the warm start was not shown a prompt in distribution, of a warm start or of a run."""
    return ~np.array(more["shown"], dtype=bool)


def split_of(
    runs: StudyRuns, cells: Sequence[str], arm: str, tests: Sequence[str] | None, *, against: str = START, arms: Sequence[str] = ()
) -> Split | None:
    """The split, each cell counting once; None where a cell lacks squares.

    Args:
        runs: as they were read.
        cells: names.
        arm: whose policy is the one after.
        tests: as `gain_estimate` takes them.
        against: name of the squares, which says the policy before.
        arms: others whose seeds it must share.
    """
    parts = [_split_of_cell(runs, cell, arm, tests, against, arms) for cell in cells]
    return whole_split([[None if part is None else part[place] for part in parts] for place in range(3)])


def whole_split(parts: Sequence[Sequence[Estimate | None]]) -> Split | None:
    """From [total, sampling, decision] of each cell; None where a cell has none."""
    total, sampling, decision = map(everywhere, parts)
    if total is None or sampling is None or decision is None:
        return None
    return Split(total=total, sampling=sampling, decision=decision)


def everywhere(found: Sequence[Estimate | None]) -> Estimate | None:
    """The mean over cells where every one has it."""
    there = [one for one in found if one is not None]
    return over_cells(there) if there and len(there) == len(found) else None


def tests_of(runs: StudyRuns, cell: str, tests: Sequence[str] | None) -> tuple[str, ...]:
    """Names of tests; None is the further tasks of the cell."""
    return further_of(runs, cell) if tests is None else tuple(tests)


def rate_estimate(runs: StudyRuns, cell: str, arm: str, rate: str, seeds: Sequence[int], tests: Sequence[str] | None) -> Estimate | None:
    """A rate of the trained policy's own attempts; None without cases.

    Args:
        runs: as they were read.
        cell: name.
        arm: name.
        rate: of `RATES`.
        seeds: those that enter.
        tests: as `gain_estimate` takes them.
    """
    found = mores(runs, cell, arm)
    counts = {test: [counts_on(found[seed], test) for seed in seeds] for test in tests_of(runs, cell, tests)}
    return _rate(counts, rate)


def start_rate(runs: StudyRuns, cell: str, rate: str, tests: Sequence[str] | None) -> Measure:
    """The same of the warm start; in distribution on the prompts of the base."""
    base = base_more(runs, cell)
    names = tests_of(runs, cell, tests)
    counts = {} if base is None else {test: [base["counts"] if test == IN else base["further"][test]] for test in names}
    return measure_of(rate, _rate(counts, rate), why_none="no cases", bounds=(0.0, 1.0))


def rate_measure(runs: StudyRuns, cell: str, arm: str, rate: str, tests: Sequence[str] | None) -> Measure:
    """`rate_estimate` over all seeds that there are, with its interval."""
    estimate = rate_estimate(runs, cell, arm, rate, tuple(mores(runs, cell, arm)), tests)
    return measure_of(rate, estimate, why_none="no cases", bounds=(0.0, 1.0))


def bank_estimate(runs: StudyRuns, cell: str, arm: str, seeds: Sequence[int], *, correct: bool) -> Estimate | None:
    """Mean chance of accepting the right, or the wrong, states of the bank; states without a verdict are left out."""
    base, found = base_more(runs, cell), mores(runs, cell, arm)
    if base is None or not seeds or not base["bank"]["correct"]:
        return None
    these_B = np.array(base["bank"]["correct"], dtype=bool) == correct
    chance_SB = np.stack([_chances(found[seed]["bank"])[these_B] for seed in seeds])
    if not these_B.any():
        return None
    hits, cases = np.nan_to_num(chance_SB, nan=0.0), np.isfinite(chance_SB).astype(np.float64)
    return ratio(estimate_of(hits, shared=True), estimate_of(cases, shared=True))


def bank_heard(runs: StudyRuns, cell: str, arm: str, seeds: Sequence[int]) -> float:
    """Share of the bank's states on which a check came to a verdict; 0 without a bank."""
    found = mores(runs, cell, arm)
    chances = [chance for seed in seeds for chance in found[seed]["bank"]]
    return float(np.mean([chance is not None for chance in chances])) if chances else 0.0


def counts_on(more: Record, test: str) -> Record:
    """Counts of a trained policy on a test."""
    found: Record = more["after"] if test == IN else more["further"][test]
    return found


def hits_and_cases(counts: Record, rate: str) -> tuple[Doubles, Doubles]:
    """([P] hits, [P] cases) of one of `RATES`."""
    if rate in AFTER:
        hits, cases = (np.array(column, dtype=np.float64) for column in counts[rate])
        return hits, cases
    found = np.zeros((2, len(counts["right"])))
    for name, column in counts["attempts"].items():
        number, truth, decision = name.split()
        if rate == "first" and number == "1":
            found += np.array([[truth == "right"], [True]]) * np.array(column, dtype=np.float64)
        elif rate == f"accept_{truth}" and decision in ("accept", "retry"):
            found += np.array([[decision == "accept"], [True]]) * np.array(column, dtype=np.float64)
    return found[0], found[1]


def _gain_of_cell(runs: StudyRuns, cell: str, contrast: Contrast, tests: Sequence[str] | None, arms: Sequence[str]) -> Estimate | None:
    wanted, found = tuple(dict.fromkeys([*contrast, *arms])), []
    for test in tests_of(runs, cell, tests):
        differences = (runs if test == IN else beyond(runs, test)).differences
        seeds = sorted(set.intersection(*(set(differences.get((cell, arm), {})) for arm in wanted)))
        if not seeds:
            return None
        size = min(len(differences[cell, arm][seed]) for arm in wanted for seed in seeds)
        rows = [np.sum([weight * differences[cell, arm][seed][:size] for arm, weight in contrast.items()], axis=0) for seed in seeds]
        found.append(estimate_of(np.stack(rows), shared=test != IN))
    return beside(found) if found else None


def _unshown_gain_of(runs: StudyRuns, cell: str, contrast: Contrast) -> Estimate | None:
    """Seeds differ in how many such prompts they hold, so it is a ratio: differences on them, over how many they are."""
    arms = tuple(contrast)
    found = {arm: runs.differences.get((cell, arm), {}) for arm in arms}
    seeds = [seed for seed in shared_seeds(runs, cell, arms) if all(seed in of_arm for of_arm in found.values())]
    if not seeds:
        return None
    size = min(len(found[arm][seed]) for arm in arms for seed in seeds)
    # All runs of a seed hold out the same prompts.
    kept_SP = np.stack([unshown(mores(runs, cell, arms[0])[seed])[:size] for seed in seeds]).astype(np.float64)
    gaps_SP = np.stack([np.sum([contrast[arm] * found[arm][seed][:size] for arm in arms], axis=0) for seed in seeds])
    return ratio(estimate_of(gaps_SP * kept_SP, shared=False), estimate_of(kept_SP, shared=False))


def _split_of_cell(
    runs: StudyRuns, cell: str, arm: str, tests: Sequence[str] | None, against: str, arms: Sequence[str]
) -> tuple[Estimate, Estimate, Estimate] | None:
    """Total, sampling's and decision's part."""
    found, names = mores(runs, cell, arm), tests_of(runs, cell, tests)
    seeds = [seed for seed in shared_seeds(runs, cell, [arm, *arms]) if _has_squares(found[seed], against, names)]
    if not seeds or not names:
        return None
    splits = {test: shapley(np.stack([_square_rates(found[seed][against][test]) for seed in seeds])) for test in names}
    total, sampling, decision = (
        beside([estimate_of(split_SP3[:, :, part], shared=test != IN) for test, split_SP3 in splits.items()]) for part in range(3)
    )
    return total, sampling, decision


def _has_squares(more: Record, against: str, tests: Sequence[str]) -> bool:
    squares = more.get(against) or {}
    return all(test in squares for test in tests)


def _square_rates(square: Record) -> Doubles:
    """[P, 4] in the order of `measures.swap.NAMES`."""
    rates_P4: Doubles = np.array(square["right"], dtype=np.float64).T / square["num_rollouts"]
    return rates_P4


def _rates_of(counts: Record) -> Doubles:
    """[P] right responses."""
    rates_P: Doubles = np.array(counts["right"], dtype=np.float64) / counts["num_rollouts"]
    return rates_P


def _chances(bank: Sequence[float | None]) -> Doubles:
    """[B] chances of accepting, NaN without a verdict."""
    return np.array([np.nan if one is None else one for one in bank], dtype=np.float64)


def _rate(counts: dict[str, list[Record]], rate: str) -> Estimate | None:
    """Hits over cases of all seeds, prompts and tests, from counts by test and seed."""
    sides = []
    for place in (0, 1):
        tests = [
            estimate_of(np.stack([hits_and_cases(of_seed, rate)[place] for of_seed in of_test]), shared=test != IN)
            for test, of_test in counts.items()
            if of_test
        ]
        if not tests:
            return None
        sides.append(beside(tests))
    return ratio(*sides)
