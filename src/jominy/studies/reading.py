"""From `results.json` to arrays by cell, arm and seed, and the estimates on them that claims and tables are made of.

    runs[cell, arm][seed] = (after - before) / num_rollouts, [P];       a run that exploded has no "after" and is left out, and counted

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
from jominy.groups import Groups
from jominy.measures.liveness import measure_liveness
from jominy.measures.passk import measure_passk
from jominy.records import Measure
from jominy.studies.gains import Doubles, Draws, Resampled, combine, draw, measure_gain, measure_share, resample

Record = Mapping[str, Any]
Contrast = Mapping[str, float]
"""Arm -> its coefficient: {"a": 1} is a gain, {"a": 1, "b": -1} a difference of gains."""

TRUTH = "ground_truth"
ALIGNMENT_K = 16
SEED = 20250821
"""Of every resample, so that the same results give the same page."""


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
    memory: dict[tuple[str, str, tuple[int, ...], int], Resampled] = field(default_factory=dict)
    """What was resampled already."""

    def names_of(self, side: str) -> tuple[str, ...]:
        """Cells of a strength."""
        return tuple(cell.name for cell in self.cells if cell.strength == side)

    def title(self, arm: str) -> str:
        """What tables call an arm."""
        return next(one.title for one in self.arms if one.name == arm)

    def has(self, cell: str, arm: str) -> bool:
        """Whether a run of the pair has finished."""
        return bool(self.differences.get((cell, arm)))

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
            cells=tuple(_base_of(cell, results["settings"].get(cell["group"]) or {}) for cell in results["cells"]),
            arms=tuple(ArmTitle(name=arm["name"], title=arm["title"], family=arm["family"]) for arm in results["arms"]),
            differences=_differences(results["runs"]),
            still=frozenset((run["cell"], run["arm"], run["seed"]) for run in results["runs"] if run["status"] == "no gradient"),
        )
    except KeyError as error:
        raise ValueError(f"results.json lacks the field {error}; it was not written by `jominy study`, or by another version") from error


def _differences(runs: Sequence[Record]) -> dict[tuple[str, str], dict[int, Doubles]]:
    found: dict[tuple[str, str], dict[int, Doubles]] = {}
    for run in runs:
        after = run["before"] if run["status"] == "no gradient" else run["after"]
        if run["status"] != "exploded" and after is not None and run["before"]:
            before_P, after_P = np.asarray(run["before"], dtype=np.float64), np.asarray(after, dtype=np.float64)
            if before_P.shape != after_P.shape:
                where = f"{run['cell']}, {run['arm']}, seed {run['seed']}"
                raise ValueError(f"results.json: the run {where} has {len(before_P)} prompts before and {len(after_P)} after")
            found.setdefault((run["cell"], run["arm"]), {})[run["seed"]] = (after_P - before_P) / run["num_rollouts"]
    return found


def _base_of(cell: Record, settings: Record) -> CellBase:
    base = cell.get("base")
    return CellBase(
        name=cell["name"],
        group=cell["group"],
        model=cell["model_title"],
        task=cell["task"],
        num_seeds=len(cell["seeds"]),
        strength="unknown" if base is None else base["strength"],
        measures=_undefined() if base is None else _measures_of(base, int(settings.get("rollouts", 2))),
        advice={} if base is None else base["advice"],
    )


def _undefined() -> tuple[Measure, ...]:
    why = "the base model is not measured yet"
    return tuple(Measure(name=name, value=None, why_none=why) for name in ("pass@1", f"pass@{ALIGNMENT_K}", "live share"))


def _measures_of(base: Record, group_size: int) -> tuple[Measure, ...]:
    """pass@1, pass@16 and the live share at the group size of the runs, from the counts of the base model."""
    scored_P, correct_P = np.asarray(base["scored"], dtype=np.int64), np.asarray(base["correct"], dtype=np.int64)
    offsets_P1 = np.concatenate(([0], np.cumsum(scored_P)))
    right_N = np.arange(offsets_P1[-1]) - np.repeat(offsets_P1[:-1], scored_P) < np.repeat(correct_P, scored_P)
    groups = Groups(
        offsets_P1=offsets_P1, rewards_N=right_N.astype(np.float64), scored_N=np.ones(len(right_N), dtype=bool), correct_N=right_N
    )
    passk = measure_passk(groups, ks=(1, ALIGNMENT_K)).curve
    return (*passk, measure_liveness(groups, np.random.default_rng(SEED), group_size=max(group_size, 2)).live)
