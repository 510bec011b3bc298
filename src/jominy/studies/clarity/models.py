"""The models of the study side by side: what the base model's answers looked like, and what the base recipe gained.

    gain_m = mean over seeds and held-out prompts of after minus before;    area_m: the same of the mean of all evaluations behind the start

A lab model that two orders led to (one name, one number of steps) counts once.
Left out on purpose: what follows from it (`claims`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.conclusion import CellBase
from jominy.records import Ints
from jominy.studies.bases import NAMES
from jominy.studies.clarity.design import CONSTRAINED
from jominy.studies.clarity.signs import Signs
from jominy.studies.gains import Doubles
from jominy.studies.reading import Record, StudyRuns

BASE = "base"
LIVE = "live share"
"""Of the measures of a cell: the share of groups of the runs' size that hold right and wrong answers, without bias."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """Models that have a measured base with a silhouette and finished runs of the base recipe.

    Example: models_of(runs, FAMILIES).silhouette_M
    """

    group: str
    """Of their cells."""
    names: tuple[str, ...]
    """[M] of their cells."""
    families: tuple[str, ...]
    """[M] models that were trained alike; of SmolLM2 the constraint, which each has to itself."""
    levels: tuple[str, ...]
    """[M] what stands behind the family in the name of the cell: models of one level have about one pass rate."""
    pass_rate_M: Doubles
    """[M] pass@1 of the base model."""
    live_M: Doubles
    """[M] live share of the base model at the group size of the runs: mean of 1 - p^G - (1 - p)^G over prompts."""
    silhouette_M: Doubles
    """[M] mean S of the base model."""
    balanced_M: Doubles
    """[M] mean class-balanced S."""
    gain_M: Doubles
    """[M] of the base recipe."""
    left_out: tuple[str, ...]
    """Measured models with finished runs that do not count, each with the reason."""

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
    found: list[tuple[CellBase, Record, float]] = []
    left_out: list[str] = []
    made: dict[tuple[str, int], str] = {}
    for cell in runs.cells:
        if cell.group != group or cell.name not in measured or not runs.has(cell.name, BASE):
            continue
        more = measured[cell.name]["more"]
        live = dict(zip(NAMES, cell.measures, strict=True))[LIVE].value
        lab = more.get("lab")
        key = (cell.name, 0) if lab is None else (lab["name"], lab["num_steps"])
        if key in made:
            left_out.append(f"{cell.name}: the same model as {made[key]}")
        elif more["model"]["silhouette"]["value"] is None or live is None:
            left_out.append(f"{cell.name}: {'S' if live is not None else 'the live share'} is undefined")
        else:
            found.append((cell, more["model"], live))
            made[key] = cell.name
    return Models(
        group=group,
        names=tuple(cell.name for cell, _, _ in found),
        families=tuple(family_of(cell) for cell, _, _ in found),
        levels=tuple("" if group == CONSTRAINED else cell.name.removeprefix(f"{cell.model}, ") for cell, _, _ in found),
        pass_rate_M=np.array([sum(measured[cell.name]["correct"]) / sum(measured[cell.name]["scored"]) for cell, _, _ in found]),
        live_M=np.array([live for _, _, live in found], dtype=np.float64),
        silhouette_M=np.array([model["silhouette"]["value"] for _, model, _ in found], dtype=np.float64),
        balanced_M=np.array([model["balanced"]["value"] for _, model, _ in found], dtype=np.float64),
        gain_M=np.array([runs.mean_of(cell.name, BASE) for cell, _, _ in found]),
        left_out=tuple(left_out),
    )


def family_of(cell: CellBase) -> str:
    """Whose models change places together: a lab model's way of training, or SmolLM2's constraint."""
    return cell.name.removeprefix(f"{cell.model}, ") if cell.group == CONSTRAINED else cell.model


def only(runs: StudyRuns, cells: Collection[str]) -> StudyRuns:
    """The finished runs of these cells alone."""
    return replace(runs, differences={key: seeds for key, seeds in runs.differences.items() if key[0] in cells}, memory={})


def by_area(runs: StudyRuns) -> StudyRuns:
    """The same runs with the mean of all evaluations behind the start in the place of the last; without those that have no evaluations."""
    found: dict[tuple[str, str], dict[int, Doubles]] = {}
    for run in runs.results["runs"]:
        key = (run["cell"], run["arm"])
        area_P = _area(run) if run["seed"] in runs.differences.get(key, {}) else None
        if area_P is not None:
            found.setdefault(key, {})[run["seed"]] = area_P
    return replace(runs, differences=found, memory={})


def without_area(runs: StudyRuns, arms: Sequence[str]) -> int:
    """Finished runs of these arms that have no evaluation behind the start."""
    lines = [run for run in runs.results["runs"] if run["arm"] in arms]
    return sum(run["seed"] in runs.differences.get((run["cell"], run["arm"]), {}) and _area(run) is None for run in lines)


def _area(run: Record) -> Doubles | None:
    """[P]; a run without a gradient stays where it was, one that was not evaluated on the way has none."""
    if run["status"] == "no gradient":
        return np.zeros(len(run["before"]))
    right_EP = np.array([one["right"] for one in evaluations(run)], dtype=np.float64)
    if len(right_EP) < 2:
        return None
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
    family_K: Ints
    """[K] number of its family."""
    pass_rate_K: Doubles
    """[K] on held-out prompts."""
    silhouette_K: Doubles
    """[K] mean S of the same answers."""
    balanced_K: Doubles
    """[K] mean class-balanced S."""
    null_K: Doubles
    """[K] mean S under permuted labels, of the same answers; NaN where it was not measured."""


def moments_of(runs: StudyRuns, group: str) -> Moments:
    """Every evaluation of every model of a group at which S was defined in some seed."""
    rows: list[tuple[float, ...]] = []
    cells = [cell for cell in runs.cells if cell.group == group]
    families = sorted({family_of(cell) for cell in cells})
    for number, cell in enumerate(cells):
        lines = [run for run in runs.results["runs"] if run["cell"] == cell.name and run["arm"] == BASE]
        for step in sorted({one["step"] for run in lines for one in evaluations(run)}):
            at = [(one, run["num_rollouts"]) for run in lines for one in evaluations(run) if one["step"] == step]
            clear = [one for one, _ in at if one["silhouette"] is not None]
            if clear:
                rate = float(np.mean([np.mean(one["right"]) / num for one, num in at]))
                scores = [_mean(clear, name) for name in ("silhouette", "balanced", "null_silhouette")]
                rows.append((number, families.index(family_of(cell)), rate, *scores))
    table_K6 = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Moments(
        model_K=table_K6[:, 0].astype(np.int64),
        family_K=table_K6[:, 1].astype(np.int64),
        pass_rate_K=table_K6[:, 2],
        silhouette_K=table_K6[:, 3],
        balanced_K=table_K6[:, 4],
        null_K=table_K6[:, 5],
    )


def _mean(lines: Sequence[Record], name: str) -> float:
    """Over the lines that have it; NaN where none has."""
    found = [line[name] for line in lines if line.get(name) is not None]
    return float(np.mean(found)) if found else float("nan")


def signs_of(runs: StudyRuns, group: str) -> tuple[Signs, ...]:
    """The prompts of each measured base model of a group that have right and wrong answers, and a chance of S < 0 under permuted labels."""
    by_name = {cell.name: cell for cell in runs.cells}
    found = []
    for cell in runs.results["cells"]:
        base = cell["base"]
        prompts = {} if base is None or not base.get("more") or cell["group"] != group else base["more"]["prompts"]
        if "null_negative" not in prompts:
            continue
        lines = zip(prompts["silhouette"], prompts["null_negative"], base["correct"], base["scored"], strict=True)
        kept = [(s, chance, right / scored) for s, chance, right, scored in lines if s is not None and chance is not None]
        table_P3 = np.array(kept, dtype=np.float64).reshape(-1, 3)
        found.append(
            Signs(family=family_of(by_name[cell["name"]]), below_P=table_P3[:, 0] < 0, chance_P=table_P3[:, 1], rates_P=table_P3[:, 2])
        )
    return tuple(found)
