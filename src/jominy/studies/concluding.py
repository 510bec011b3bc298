"""conclude(): `results.json` in, everything that a study says out.

Gains, shares and counts are made alike for every study; which claims they bear on, and by which rule, is each study's own (`STUDIES`).
Left out on purpose: words around the numbers (`writing`), pictures (`figures`), the page (`reporting.study`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jominy.conclusion import (
    Claim,
    Conclusion,
    Correlation,
    Followed,
    Gain,
    NotPlanned,
    Reported,
    ShareOfTruth,
    Stopped,
    Surroundings,
)
from jominy.papers import ALIGNMENT
from jominy.records import Measure, Paper
from jominy.results import Threshold
from jominy.studies import alignment_claims, alignment_paper, following, ordering, outcomes
from jominy.studies.reading import FINISHED, NO_EXAMPLE, TRUTH, Contrast, Record, StudyRuns, read_runs

SIDES = ("strong", "weak")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is a study's own: its question, its claims, and what stands beside the numbers.

    Example: STUDIES["alignment"].claims(read_runs(results))
    """

    title: str
    """What it asks."""
    paper: Paper
    """Whose claims are tested."""
    claims: Callable[[StudyRuns], tuple[Claim, ...]]
    """Each by its rule."""
    correlations: Callable[[StudyRuns], tuple[Correlation, ...]]
    """Gain against what the paper says decides it."""
    followed: Callable[[StudyRuns], tuple[Followed, ...]]
    """Advice against outcome."""
    reported: tuple[Reported, ...]
    """The paper's numbers."""
    thresholds: tuple[Threshold, ...]
    """Behind the verdicts."""
    limits: tuple[str, ...]
    """What a careful reader should know."""


STUDIES: Mapping[str, Judgement] = {
    "alignment": Judgement(
        title=alignment_paper.TITLE,
        paper=ALIGNMENT,
        claims=alignment_claims.claims,
        correlations=ordering.correlations,
        followed=following.followed,
        reported=alignment_paper.REPORTED,
        thresholds=outcomes.THRESHOLDS,
        limits=alignment_paper.LIMITS,
    )
}
"""Name of a study -> how its results are judged."""


def conclude(results: Record) -> Conclusion:
    """Everything that can be said of the runs so far; the same results give the same conclusion.

    Args:
        results: `results.json`, of a study at any moment.

    Raises:
        ValueError: the study is unknown, or a field is missing.
    """
    name = str(results.get("study"))
    if name not in STUDIES:
        raise ValueError(f"results.json is of the study {name!r}; there are {', '.join(STUDIES)}")
    runs, judgement = read_runs(results), STUDIES[name]
    statuses = [run["status"] for run in results["runs"]]
    return Conclusion(
        study=name,
        title=judgement.title,
        scale=results["scale"],
        created=results.get("created") or "",
        paper=judgement.paper,
        seeds=tuple(sorted({seed for cell in results["cells"] for seed in cell["seeds"]})),
        settings=results["settings"],
        environments=_environments(results),
        num_planned=_planned(results),
        num_finished=sum(status in FINISHED for status in statuses),
        num_no_gradient=statuses.count("no gradient"),
        num_exploded=statuses.count("exploded"),
        num_no_example=statuses.count(NO_EXAMPLE),
        seconds=float(sum(run.get("seconds") or 0.0 for run in results["runs"])),
        cpu_seconds=_sum([run.get("cpu_seconds") for run in results["runs"]]),
        cells=runs.cells,
        arms=runs.arms,
        gains=tuple(_gain_of(runs, cell.name, arm.name) for cell in runs.cells for arm in runs.arms if _runs_of(runs, cell.name, arm.name)),
        shares=_shares(runs),
        reported=judgement.reported,
        correlations=judgement.correlations(runs),
        claims=judgement.claims(runs),
        followed=judgement.followed(runs),
        stopped=_stopped(runs),
        not_planned=_not_planned(results),
        thresholds=judgement.thresholds,
        limits=judgement.limits,
    )


def _planned(results: Record) -> int:
    undefined = {(pair["cell"], pair["arm"]) for pair in results.get("not_defined", [])}
    return sum(len(cell["seeds"]) for cell in results["cells"] for arm in results["arms"] if (cell["name"], arm["name"]) not in undefined)


def _environments(results: Record) -> tuple[Surroundings, ...]:
    places = [run.get("environment") for run in results["runs"]]
    return tuple(
        Surroundings(facts=facts, num_runs=places.count(position)) for position, facts in enumerate(results.get("environments") or [])
    )


def _runs_of(runs: StudyRuns, cell: str, arm: str) -> list[Mapping[str, Any]]:
    return [run for run in runs.results["runs"] if run["cell"] == cell and run["arm"] == arm]


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(sum(known)) if len(known) == len(values) else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _moved(line: Record) -> float | None:
    """KL to the start at the last evaluation, in nats a token; a run without gradient never left the start."""
    if line["status"] == "no gradient":
        return 0.0
    found = line.get("kl_nats")
    return (found[-1] if found else None) if isinstance(found, list) else found


def _gain_of(runs: StudyRuns, cell: str, arm: str) -> Gain:
    lines = _runs_of(runs, cell, arm)
    begun = [line for line in lines if line["status"] != NO_EXAMPLE]
    by_seed = runs.differences.get((cell, arm), {})
    seeds = tuple(sorted(by_seed))
    name = f"gain of {arm}"
    why = "no run found an example to train on" if not begun else "every run exploded: there is no evaluation after training"
    return Gain(
        cell=cell,
        arm=arm,
        measure=runs.gain(name, [cell], {arm: 1.0}) if seeds else Measure(name=name, value=None, why_none=why),
        seeds=seeds,
        per_seed=tuple(float(by_seed[seed].mean()) for seed in seeds),
        num_no_gradient=sum(line["status"] == "no gradient" for line in lines),
        num_stopped=sum(line["status"] == "exploded" for line in lines),
        num_no_example=len(lines) - len(begun),
        kl_nats=_mean([_moved(line) for line in begun if line["status"] in FINISHED]),
        unique_live_prompts=_mean([line.get("unique_live_prompts") for line in begun]),
        first_live_step=_mean([line.get("first_live_step") for line in begun]),
    )


def _shares(runs: StudyRuns) -> tuple[ShareOfTruth, ...]:
    """Of every arm but the true reward: in each cell with runs, then pooled over each side."""
    found = []
    for arm in (one.name for one in runs.arms if one.name != TRUTH):
        places: list[tuple[str, bool, list[str]]] = [(cell.name, False, [cell.name]) for cell in runs.cells if runs.has(cell.name, arm)]
        places += [(side, True, list(runs.names_of(side))) for side in SIDES]
        for where, pooled, cells in places:
            contrasts: dict[str, Contrast] = {cell: {arm: 1.0} for cell in cells if runs.together(cell, (arm, TRUTH))}
            measure, used = runs.share(f"share of the true gain, {arm}", contrasts)
            gain = runs.mean_gain(f"gain of {arm}", contrasts)
            found.append(ShareOfTruth(arm=arm, where=where, pooled=pooled, cells=used, measure=measure, gain=gain))
    return tuple(found)


def _stopped(runs: StudyRuns) -> tuple[Stopped, ...]:
    """A line for each cell, arm, status and reason, in the order of the tables, whatever the order of the runs."""
    places = {cell.name: position for position, cell in enumerate(runs.cells)}
    arms = {arm.name: position for position, arm in enumerate(runs.arms)}
    seeds: dict[tuple[str, str, str, str], list[int]] = {}
    for run in runs.results["runs"]:
        if run["status"] != "finished":
            seeds.setdefault((run["status"], run["cell"], run["arm"], run.get("why") or ""), []).append(run["seed"])
    found = [
        Stopped(cell=cell, arm=arm, seeds=tuple(sorted(of_key)), status=status, why=why)
        for (status, cell, arm, why), of_key in seeds.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.status, places[one.cell], arms[one.arm], one.seeds)))


def _not_planned(results: Record) -> tuple[NotPlanned, ...]:
    cells: dict[tuple[str, str], list[str]] = {}
    for pair in results.get("not_defined", []):
        cells.setdefault((pair["arm"], pair["why"]), []).append(pair["cell"])
    return tuple(NotPlanned(arm=arm, cells=tuple(names), why=why) for (arm, why), names in cells.items())
