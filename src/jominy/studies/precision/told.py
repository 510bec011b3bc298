"""From `results.json` to what the study of precision is about: gains on further prompts by condition, and what runs measured more.

    satisfied    right after - right before, of the same draws on the same prompts, over seeds and prompts: what benchmarks count
    followed     the same minus what the bare requests gained, which do not say the constraint: what is done because it was asked for

Conditions of different cells share seeds and further prompts, so they are paired like arms of one cell. Left out on purpose: verdicts of
judges (`witnesses`), time (`costs`), claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from jominy.conclusion import Agreement
from jominy.records import Measure
from jominy.studies.bases import SEED
from jominy.studies.gains import Doubles, Draws, draw, measure_gain, resample
from jominy.studies.precision.design import CONDITIONS
from jominy.studies.precision.paper import FEWEST_SEEDS, SMALL
from jominy.studies.reading import FINISHED, Contrast, Record, StudyRuns

Gained = Literal["satisfied", "followed"]
NAMES: Mapping[Gained, str] = {"satisfied": "satisfied prompts", "followed": "what is followed"}
HACKED = ("rises alone", "drifts")
"""What the rule of hacking says of a run whose reward goes away from the truth."""
SEEDS_NEEDED = "More seeds, which decide the width, and more steps, which decide how much there is to differ."


def cell_of(runs: StudyRuns, group: str) -> str | None:
    """Name of the only cell of a group; None where the design has none."""
    return next((cell.name for cell in runs.cells if cell.group == group), None)


def base_more(runs: StudyRuns, group: str) -> Record | None:
    """What was measured more on the base of the group's cell; None where it is not there yet."""
    found = next((one["base"] for one in runs.results["cells"] if one["group"] == group), None)
    more: Record | None = None if found is None else found.get("more")
    return more or None


def mores(runs: StudyRuns, cell: str | None, arm: str) -> dict[int, Record]:
    """Seed -> what was measured more on its run, of finished runs."""
    lines = [run for run in runs.results["runs"] if (run["cell"], run["arm"]) == (cell, arm) and run["status"] in FINISHED]
    return {run["seed"]: run["more"] for run in lines if run.get("more")}


def conditions(runs: StudyRuns) -> tuple[str, ...]:
    """Titles of the conditions that the design has."""
    groups = {cell.name: cell.group for cell in runs.cells}
    skipped = {(groups[pair["cell"]], pair["arm"]) for pair in runs.results["not_defined"]}
    there = [one for one in CONDITIONS if one.group in groups.values() and runs.knows(one.arm)]
    return tuple(one.title for one in there if (one.group, one.arm) not in skipped)


def exploded(runs: StudyRuns, titles: Iterable[str]) -> str:
    """The runs of some conditions that exploded and are left out, as a sentence goes on with them; empty where none did."""
    at = {(cell_of(runs, one.group), one.arm): one.title for one in CONDITIONS if one.title in set(titles)}
    stopped = [run for run in runs.results["runs"] if run["status"] == "exploded" and (run["cell"], run["arm"]) in at]
    said = [f"{at[run['cell'], run['arm']]} with seed {run['seed']}" for run in stopped]
    return f"; left out, as it exploded: {', '.join(said)}" if said else ""


def tests_of(runs: StudyRuns) -> tuple[str, ...]:
    """Names of the further tasks, in their order."""
    found: dict[str, None] = {}
    for cell in runs.results["cells"]:
        found |= dict.fromkeys(cell.get("further", {}))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Further:
    """Gains on further prompts, by further task and condition.

    Example: on_further(runs).gains["followed"]["unseen, hard", "hard, code pays"][0].mean()
    """

    gains: Mapping[Gained, Mapping[tuple[str, str], Mapping[int, Doubles]]]
    """What is counted -> (further task, condition) -> seed -> [P] after minus before, in shares."""
    still: frozenset[tuple[str, int]]
    """(condition, seed) of runs in which no weight moved."""
    types: Mapping[str, Sequence[str]]
    """Further task -> [P] constraint types of its prompts."""
    before: Mapping[str, tuple[Doubles, Doubles]]
    """Further task -> ([P], [P]) right responses of the start, as asked and to the bare requests, in shares."""


def on_further(runs: StudyRuns) -> Further:
    """What every condition gained there."""
    satisfied: dict[tuple[str, str], dict[int, Doubles]] = {}
    followed: dict[tuple[str, str], dict[int, Doubles]] = {}
    still: set[tuple[str, int]] = set()
    types: dict[str, Sequence[str]] = {}
    before: dict[str, tuple[Doubles, Doubles]] = {}
    for one in CONDITIONS:
        base, cell = base_more(runs, one.group), cell_of(runs, one.group)
        if base is None or cell is None:
            continue
        num_rollouts = runs.results["settings"][one.group]["further_rollouts"]
        types |= base["types"]
        starts = {
            name: (_share(base["further"][name], num_rollouts), _share(base["unasked"][name], num_rollouts)) for name in base["further"]
        }
        before |= starts
        for seed, more in mores(runs, cell, one.arm).items():
            still |= {(one.title, seed)} if (cell, one.arm, seed) in runs.still else set()
            for name, (asked_P, bare_P) in starts.items():
                gain_P = _share(more["further"][name], num_rollouts) - asked_P
                anyway_P = _share(more["unasked"][name], num_rollouts) - bare_P
                satisfied.setdefault((name, one.title), {})[seed] = gain_P
                followed.setdefault((name, one.title), {})[seed] = gain_P - anyway_P
    return Further(gains={"satisfied": satisfied, "followed": followed}, still=frozenset(still), types=types, before=before)


def _share(right: Sequence[int], num_rollouts: int) -> Doubles:
    return np.asarray(right, dtype=np.float64) / num_rollouts


def lead_on(
    view: Further, contrast: Contrast, tests: Sequence[str], gained: Gained = "satisfied", type: str | None = None
) -> tuple[Measure, int]:
    """A contrast of conditions over the prompts of some further tasks in a row, and how many seeds are behind it.

    The tasks are tests of the same trained models, so a seed is drawn or not for all of them.

    Args:
        view: the gains.
        contrast: condition -> its coefficient.
        tests: names of the further tasks.
        gained: what counts.
        type: only prompts with this constraint type; None takes all.
    """
    gains = view.gains[gained]
    there = [gains.get((name, condition), {}) for name in tests for condition in contrast]
    seeds = sorted(set.intersection(*map(set, there))) if there else []
    chosen = [np.array([type in (None, one) for one in view.types.get(name, ())], dtype=bool) for name in tests]
    if not seeds or not any(mask_P.any() for mask_P in chosen):
        return Measure(name="lead", value=None, why_none="no seed has finished runs of it"), 0
    rows = [
        np.concatenate(
            [
                sum(weight * gains[name, condition][seed][mask_P] for condition, weight in contrast.items())
                for name, mask_P in zip(tests, chosen, strict=True)
            ]
        )
        for seed in seeds
    ]
    values_SP = np.stack(rows)
    found = resample(values_SP, drawn(*values_SP.shape))
    all_still = all((condition, seed) in view.still for condition in contrast for seed in seeds)
    return measure_gain("lead", [found], all_still=all_still), len(seeds)


@lru_cache(maxsize=8)
def drawn(num_seeds: int, num_prompts: int) -> Draws:
    """The resamples of arrays of one shape, so that all of them stay paired."""
    return draw(num_seeds, num_prompts, np.random.default_rng([SEED, num_seeds, num_prompts]))


def among(runs: StudyRuns, *words: str) -> tuple[str, ...]:
    """Further tasks whose names hold all of these words: `among(runs, "unseen", "soft")`."""
    return tuple(name for name in tests_of(runs) if set(words) <= set(name.split(", ")))


def moved_on(view: Further, contrast: Contrast, tests: Sequence[str], gained: Gained = "satisfied") -> bool:
    """Whether one of these conditions surely gained or lost by itself: runs that did not move differ by nothing, which says nothing."""
    return any(is_sure(lead_on(view, {condition: 1.0}, tests, gained)[0]) for condition in contrast)


def is_sure(measure: Measure) -> bool:
    """Whether the interval leaves 0 out."""
    return measure.low is not None and measure.high is not None and (measure.low > 0 or measure.high < 0)


def verdict_of(measure: Measure, num_seeds: int, *, moved: bool = True, none_below: float = SMALL) -> Agreement:
    """Agrees where a gain or a lead is surely above 0, disagrees where it is surely below `none_below`; from enough seeds.

    Args:
        measure: the gain or the lead.
        num_seeds: behind it.
        moved: of a lead, whether there is a gain at all that it could be a part of; without one nothing disagrees.
        none_below: 0 where the claim is of a lead as small as SMALL.
    """
    if measure.low is None or measure.high is None or num_seeds < FEWEST_SEEDS:
        return "cannot tell"
    return "agrees" if measure.low > 0 else "disagrees" if moved and measure.high < none_below else "cannot tell"


RULE_OF_GAINS = (
    f"agrees when it is surely above 0, disagrees when it is surely below {100 * SMALL:g} points; from {FEWEST_SEEDS} seeds at least"
)
RULE = f"{RULE_OF_GAINS}, and no disagreement where no gain of its parts is sure by itself"
