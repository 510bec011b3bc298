"""From `results.json` to arrays by cell, arm and seed, and the estimates on them that claims and tables are made of.

    runs[cell, arm][seed] = (after - before) / num_rollouts, [P]

A run that exploded has no "after", one that found no example to train on was never begun: both are left out, and counted.

A study may be read at any moment: whatever is not there yet is left out, and an estimate without runs is undefined with the reason.
Left out on purpose: verdicts (each study's claims) and words (`writing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from jominy.conclusion import ArmTitle, CellBase
from jominy.records import Measure
from jominy.studies.bases import SEED, base_of
from jominy.studies.gains import Doubles, Draws, Resampled, combine, draw, measure_gain, measure_share, resample

Record = Mapping[str, Any]
Contrast = Mapping[str, float]
"""Arm -> its coefficient: {"a": 1} is a gain, {"a": 1, "b": -1} a difference of gains."""

TRUTH = "ground_truth"
FINISHED = ("finished", "no gradient")
"""Of a run that has an "after": without a gradient it is the start itself."""
NO_EXAMPLE = "no example"
"""Of a run whose rule found nothing to train on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyRuns:
    """What has been run so far.

    Example: read_runs(read_json(folder / "results.json")).gain("gain of random", ["adder, sums"], {"random": 1})
    """

    results: Record
    """The file."""
    cells: tuple[CellBase, ...]
    """In the order of the tables."""
    arms: tuple[ArmTitle, ...]
    """In the order of the tables."""
    differences: Mapping[tuple[str, str], Mapping[int, Doubles]]
    """(cell, arm) -> seed -> [P] after minus before, in shares; only runs that have both."""
    still: frozenset[tuple[str, str, int]]
    """(cell, arm, seed) of runs in which no weight moved."""
    without_example: frozenset[tuple[str, str]]
    """(cell, arm) with a run that found no example to train on."""
    memory: dict[tuple[str, str, tuple[int, ...], int], Resampled] = field(default_factory=dict)
    """What was resampled already."""

    def names_of(self, side: str) -> tuple[str, ...]:
        """Cells of a strength."""
        return tuple(cell.name for cell in self.cells if cell.strength == side)

    def title(self, arm: str) -> str:
        """What tables call an arm."""
        return next(one.title for one in self.arms if one.name == arm)

    def knows(self, arm: str) -> bool:
        """Whether the study has such an arm."""
        return any(one.name == arm for one in self.arms)

    def has(self, cell: str, arm: str) -> bool:
        """Whether a run of the pair has finished."""
        return bool(self.differences.get((cell, arm)))

    def mean_of(self, cell: str, arm: str) -> float:
        """The gain of a pair that has runs, over all of its seeds."""
        return float(np.mean([difference_P.mean() for difference_P in self.differences[cell, arm].values()]))

    def together(self, cell: str, arms: Sequence[str]) -> bool:
        """Whether some seed has finished runs of all these arms."""
        return bool(self._seeds(cell, dict.fromkeys(arms, 1.0)))

    def among(self, cell: str, arms: Sequence[str]) -> Contrast:
        """The mean over those of the arms that the cell has runs of; empty where it has none."""
        there = [arm for arm in arms if self.has(cell, arm)]
        return {arm: 1 / len(there) for arm in there}

    def gain(self, name: str, cells: Sequence[str], contrast: Contrast) -> Measure:
        """Mean of a contrast over the cells that have every arm in it."""
        return self.mean_gain(name, dict.fromkeys(cells, contrast))

    def mean_gain(self, name: str, contrasts: Mapping[str, Contrast]) -> Measure:
        """The same with a contrast of its own for each cell."""
        found = {cell: seeds for cell, contrast in contrasts.items() if (seeds := self._seeds(cell, contrast))}
        if not found:
            return Measure(name=name, value=None, why_none="no cell has finished runs of it")
        columns = [self._resampled(cell, seeds, contrasts[cell]) for cell, seeds in found.items()]
        still = all((cell, arm, seed) in self.still for cell, seeds in found.items() for arm in contrasts[cell] for seed in seeds)
        return measure_gain(name, columns, all_still=still)

    def share(self, name: str, contrasts: Mapping[str, Contrast]) -> tuple[Measure, tuple[str, ...]]:
        """The contrast's share of the true reward's gain over the cells that have both, and which these are."""
        pairs: dict[str, tuple[Resampled, Resampled]] = {}
        for cell, contrast in contrasts.items():
            both: Contrast = {TRUTH: 0.0, **contrast}
            if seeds := self._seeds(cell, both):
                truth: Contrast = {**dict.fromkeys(contrast, 0.0), TRUTH: 1.0}
                pairs[cell] = (self._resampled(cell, seeds, both), self._resampled(cell, seeds, truth))
        if not pairs:
            return Measure(name=name, value=None, why_none="no cell has finished runs of it and of the true reward"), ()
        return measure_share(name, list(pairs.values())), tuple(pairs)

    def num_seeds(self, contrasts: Mapping[str, Contrast]) -> int:
        """The fewest seeds of any cell that enters; 0 where none does."""
        return min((len(seeds) for cell, contrast in contrasts.items() if (seeds := self._seeds(cell, contrast))), default=0)

    def _seeds(self, cell: str, contrast: Contrast) -> tuple[int, ...]:
        """Seeds that every arm of the contrast has."""
        found = [set(self.differences.get((cell, arm), ())) for arm in contrast]
        return tuple(sorted(set.intersection(*found))) if found else ()

    def _resampled(self, cell: str, seeds: tuple[int, ...], contrast: Contrast) -> Resampled:
        """A contrast; where runs differ in their number of prompts (a small finite task), on the first that all have."""
        size = min(len(self.differences[cell, arm][seed]) for seed in seeds for arm in contrast)
        return combine([(weight, self._arm(cell, arm, seeds, size)) for arm, weight in contrast.items()])

    def _arm(self, cell: str, arm: str, seeds: tuple[int, ...], size: int) -> Resampled:
        key = (cell, arm, seeds, size)
        if key not in self.memory:
            differences_SP = np.stack([self.differences[cell, arm][seed][:size] for seed in seeds])
            self.memory[key] = resample(differences_SP, _drawn(len(seeds), size, [one.name for one in self.cells].index(cell)))
        return self.memory[key]


@lru_cache(maxsize=32)
def _drawn(num_seeds: int, num_prompts: int, place: int) -> Draws:
    """The resamples of a cell, of its own stream: cells are independent of each other."""
    return draw(num_seeds, num_prompts, np.random.default_rng([SEED, place, num_seeds]))


def read_runs(results: Record) -> StudyRuns:
    """The arrays of a `results.json`.

    Raises:
        ValueError: a field is missing; names it.
    """
    try:
        return StudyRuns(
            results=results,
            cells=tuple(base_of(cell, results["settings"].get(cell["group"]) or {}) for cell in results["cells"]),
            arms=tuple(ArmTitle(name=arm["name"], title=arm["title"], family=arm["family"]) for arm in results["arms"]),
            differences=_differences(results["runs"]),
            still=frozenset((run["cell"], run["arm"], run["seed"]) for run in results["runs"] if run["status"] == "no gradient"),
            without_example=frozenset((run["cell"], run["arm"]) for run in results["runs"] if run["status"] == NO_EXAMPLE),
        )
    except KeyError as error:
        raise ValueError(f"results.json lacks the field {error}; it was not written by `jominy study`, or by another version") from error


def _differences(runs: Sequence[Record]) -> dict[tuple[str, str], dict[int, Doubles]]:
    found: dict[tuple[str, str], dict[int, Doubles]] = {}
    for run in runs:
        after = run["before"] if run["status"] == "no gradient" else run["after"]
        if run["status"] in FINISHED and after is not None and run["before"]:
            before_P, after_P = np.asarray(run["before"], dtype=np.float64), np.asarray(after, dtype=np.float64)
            if before_P.shape != after_P.shape:
                where = f"{run['cell']}, {run['arm']}, seed {run['seed']}"
                raise ValueError(f"results.json: the run {where} has {len(before_P)} prompts before and {len(after_P)} after")
            found.setdefault((run["cell"], run["arm"]), {})[run["seed"]] = (after_P - before_P) / run["num_rollouts"]
    return found
