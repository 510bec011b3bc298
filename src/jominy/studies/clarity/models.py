"""The models of the study side by side: what the base model's answers looked like, and what the base recipe gained.

    gain_m = mean over seeds and held-out prompts of after minus before;    area_m: the same of the mean of all evaluations behind the start

Left out on purpose: what follows from it (`claims`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.records import Floats, Ints
from jominy.studies.clarity.design import CONSTRAINED, FAMILIES
from jominy.studies.gains import Doubles
from jominy.studies.reading import Record, StudyRuns

BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """Models that have a measured base with a silhouette and finished runs of the base recipe.

    Example: models_of(runs, FAMILIES).silhouette_M
    """

    names: tuple[str, ...]
    """[M] of their cells."""
    families: tuple[str, ...]
    """[M] models that were trained alike."""
    levels: tuple[str, ...]
    """[M] what stands behind the family in the name of the cell: models of one level have about one pass rate."""
    pass_rate_M: Doubles
    """[M] pass@1 of the base model."""
    silhouette_M: Doubles
    """[M] mean S of the base model."""
    balanced_M: Doubles
    """[M] mean class-balanced S."""
    gain_M: Doubles
    """[M] of the base recipe."""

    @property
    def family_M(self) -> Ints:
        """[M] numbers of the families."""
        return np.unique(self.families, return_inverse=True)[1]

    @property
    def level_M(self) -> Ints:
        """[M] numbers of the levels."""
        return np.unique(self.levels, return_inverse=True)[1]

    def __len__(self) -> int:
        return len(self.names)


def models_of(runs: StudyRuns, group: str) -> Models:
    """Those of a group of cells, in the order of the tables."""
    measured = {cell["name"]: cell["base"] for cell in runs.results["cells"] if cell["base"] is not None and cell["base"].get("more")}
    cells = [cell for cell in runs.cells if cell.group == group and cell.name in measured and runs.has(cell.name, BASE)]
    found = [(cell, measured[cell.name]["more"]["model"]) for cell in cells]
    found = [(cell, model) for cell, model in found if model["silhouette"]["value"] is not None]
    return Models(
        names=tuple(cell.name for cell, _ in found),
        families=tuple(cell.model for cell, _ in found),
        levels=tuple(cell.name.removeprefix(f"{cell.model}, ") for cell, _ in found),
        pass_rate_M=np.array([sum(measured[cell.name]["correct"]) / sum(measured[cell.name]["scored"]) for cell, _ in found]),
        silhouette_M=np.array([model["silhouette"]["value"] for _, model in found], dtype=np.float64),
        balanced_M=np.array([model["balanced"]["value"] for _, model in found], dtype=np.float64),
        gain_M=np.array([runs.mean_of(cell.name, BASE) for cell, _ in found]),
    )


def by_area(runs: StudyRuns) -> StudyRuns:
    """The same runs with the mean of all evaluations behind the start in the place of the last."""
    found: dict[tuple[str, str], dict[int, Doubles]] = {}
    for run in runs.results["runs"]:
        key = (run["cell"], run["arm"])
        if run["seed"] in runs.differences.get(key, {}):
            found.setdefault(key, {})[run["seed"]] = _area(run)
    return replace(runs, differences=found, memory={})


def _area(run: Record) -> Doubles:
    """[P]; a run without a gradient stays where it was."""
    right_EP = np.array([one["right"] for one in evaluations(run)], dtype=np.float64)
    if len(right_EP) < 2:
        return np.zeros(len(run["before"]))
    area_P: Doubles = (right_EP[1:].mean(axis=0) - right_EP[0]) / run["num_rollouts"]
    return area_P


def evaluations(run: Record) -> Sequence[Record]:
    """Of a run, the start's first; empty where it has none."""
    found: Sequence[Record] = (run.get("more") or {}).get("evaluations", [])
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Models at moments along their training by the base recipe, each an average over seeds.

    Example: moments_of(runs, FAMILIES).pass_rate_K
    """

    model_K: Ints
    """[K] number of the model."""
    pass_rate_K: Doubles
    """[K] on held-out prompts."""
    silhouette_K: Doubles
    """[K] mean S of the same answers."""
    balanced_K: Doubles
    """[K] mean class-balanced S."""


def moments_of(runs: StudyRuns, group: str) -> Moments:
    """Every evaluation of every model of a group at which S was defined in some seed."""
    rows: list[tuple[float, ...]] = []
    names = [cell.name for cell in runs.cells if cell.group == group]
    for number, name in enumerate(names):
        lines = [run for run in runs.results["runs"] if run["cell"] == name and run["arm"] == BASE]
        for step in sorted({one["step"] for run in lines for one in evaluations(run)}):
            at = [(one, run["num_rollouts"]) for run in lines for one in evaluations(run) if one["step"] == step]
            clear = [one for one, _ in at if one["silhouette"] is not None]
            if clear:
                rate = float(np.mean([np.mean(one["right"]) / num for one, num in at]))
                rows.append((number, rate, _mean(clear, "silhouette"), _mean(clear, "balanced")))
    table_K4 = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Moments(
        model_K=table_K4[:, 0].astype(np.int64), pass_rate_K=table_K4[:, 1], silhouette_K=table_K4[:, 2], balanced_K=table_K4[:, 3]
    )


def _mean(lines: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([line[name] for line in lines]))


def of_sign(runs: StudyRuns, score: str) -> tuple[Floats, Floats]:
    """Pass rates of the base models' prompts with right and wrong answers: (where the score is above 0, where it is below).

    Args:
        runs: the study.
        score: silhouette or balanced.
    """
    above: list[float] = []
    below: list[float] = []
    for cell in runs.results["cells"]:
        base = cell["base"]
        if base is None or not base.get("more") or cell["group"] not in (FAMILIES, CONSTRAINED):
            continue
        for value, right, scored in zip(base["more"]["prompts"][score], base["correct"], base["scored"], strict=True):
            if value is not None and value != 0:
                (above if value > 0 else below).append(right / scored)
    return np.array(above), np.array(below)
