"""conclude(): `results.json` in, everything that a study says out.

Gains and counts are made alike for every study; which claims they bear on, by which rule, and what stands beside them is each study's own.
Left out on purpose: words around the numbers (`writing`), pictures (`figures`), the page (`reporting.study`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jominy.conclusion import Conclusion, Gain, NotPlanned, Stopped, Surroundings
from jominy.records import Measure
from jominy.studies.reading import FINISHED, NO_EXAMPLE, Record, StudyRuns, read_runs
from jominy.studies.sections import shared_sections
from jominy.studies.study import STUDIES, Study, load_study


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
    runs, study = read_runs(results), load_study(name)
    found = _head(study, runs)
    plots = study.plots(runs, found)
    found = replace(found, sections=(*shared_sections(found), *study.sections(runs, found)), plots=plots)
    codes = [section.code for section in found.sections]
    assert len(set(codes)) == len(codes), f"the sections {codes} have names in common"
    assert {plot.section for plot in plots} <= set(codes), f"a plot stands in none of the sections {codes}"
    return found


def _head(study: Study, runs: StudyRuns) -> Conclusion:
    """All but sections and plots."""
    results = runs.results
    statuses = [run["status"] for run in results["runs"]]
    return Conclusion(
        study=study.name,
        title=study.title,
        scale=results["scale"],
        created=results.get("created") or "",
        paper=study.paper,
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
        claims=study.claims(runs),
        stopped=_stopped(runs),
        not_planned=_not_planned(results),
        thresholds=study.thresholds,
        limits=study.limits,
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
