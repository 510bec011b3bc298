"""A study: its design, what it measures beyond every other, its claims, and what stands beside the numbers.

    STUDIES = {"alignment": "jominy.studies.alignment:STUDY"}         name -> where its record is, loaded only when it is asked for

A study is a package with this record; to run, measure, conclude, write and draw is the same for all. The package is loaded to judge
results, too, so it imports no torch.
Left out on purpose: how any of it is run (`running`), concluded (`concluding`) and shown (`writing`, `figures`, `reporting.study`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jominy.conclusion import Claim, Conclusion, Plot, Section
from jominy.engines import ContinuingEngine
from jominy.records import Paper
from jominy.results import Threshold
from jominy.rewards.loading import load_object
from jominy.specs import RunSpec
from jominy.studies.design import Arm, Cell, Design, Settings
from jominy.studies.reading import StudyRuns
from jominy.trainfolder import TrainFolder

STUDIES = {
    "alignment": "jominy.studies.alignment:STUDY",
    "clarity": "jominy.studies.clarity:STUDY",
    "decisions": "jominy.studies.decisions:STUDY",
    "precision": "jominy.studies.precision:STUDY",
}
"""Name -> path of its record."""


class BaseRefused(ValueError):
    """A base from which the study begins no run; says what it is and what is asked, and where it was raised tells nobody more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The model that another arm left in the same cell with the same seed.

    Example: Left(folder=Path("out/models/sums-sft-0"))
    """

    folder: Path
    """Where it is."""
    why_none: str = ""
    """Why it is not there; empty where it is."""
    more: Mapping[str, Any] | None = None
    """What `more_of_run` measured on it; None where it came to no end."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ended:
    """A run that has an "after", with its folder still there and its policy still in memory.

    Example: Ended(folder=TrainFolder(own), spec=spec, cell=cell, arm=arm, settings=settings, out=out, trained=engine, start=..., left={})
    """

    folder: TrainFolder
    """Of the run; removed afterwards."""
    spec: RunSpec
    """What was asked of it."""
    cell: Cell
    """Where it ran."""
    arm: Arm
    """How it was trained."""
    settings: Settings
    """Of its group of cells."""
    out: Path
    """The study's folder."""
    trained: ContinuingEngine
    """The policy behind the last step."""
    start: Callable[[], ContinuingEngine]
    """The policy before the first; loaded when it is asked for."""
    left: Mapping[str, Left]
    """Arm of `Arm.against` -> its model."""


MoreOfBase = Callable[[Path, Cell, Settings], dict[str, Any]]
"""Folder with the rollouts of a base model, its cell and the settings there -> plain values."""
CheckBase = Callable[[Cell, Settings, Mapping[str, Any]], None]
"""A cell, the settings there and what `more_of_base` found -> ValueError where no run is to start from it."""
MoreOfRun = Callable[[Ended], dict[str, Any]]
"""A run that has an "after" -> plain values."""
UnderWay = Callable[[Path, Cell], str]
"""Folder of a base that is being measured, and its cell -> how far it is in words, from what lies there; empty where nobody can tell."""
AskJudge = Callable[[str, Path, Design, bool], None]
"""A judge as `--judge` names it, the study's folder, what is run, whether to be quiet: leaves what it said where `MoreOfFolder` reads."""
MoreOfFolder = Callable[[Path, Mapping[str, Any]], dict[str, Any]]
"""The study's folder, and what was known of this -> plain values, the same where the folder has nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is a study's own.

    Example: load_study("alignment").design("smoke").arms[0].name
    """

    name: str
    """As `jominy study` takes it."""
    title: str
    """What it asks."""
    paper: Paper
    """Whose claims are tested."""
    design: Callable[[str], Design]
    """From the scale to what is run."""
    claims: Callable[[StudyRuns], tuple[Claim, ...]]
    """Each by its rule, in the order of the README."""
    sections: Callable[[StudyRuns, Conclusion], tuple[Section, ...]]
    """Its own tables, which stand behind those of every study; from the runs, and the conclusion as far as it is there: all but sections
    and plots."""
    plots: Callable[[StudyRuns, Conclusion], tuple[Plot, ...]]
    """Its pictures, from the same."""
    thresholds: tuple[Threshold, ...]
    """Behind the verdicts."""
    limits: tuple[str, ...]
    """What a careful reader should know."""
    more_of_base: MoreOfBase | None = None
    """Measures more on the rollouts of a base model, in the process that drew them; kept as `cells[i]["base"]["more"]`."""
    under_way: UnderWay | None = None
    """Tells of a base that takes long; asked every few seconds while it is measured."""
    check_base: CheckBase | None = None
    """Refuses bases; what was measured of one that is refused is kept beside its rollouts, and not measured again for the next check."""
    needs_all: bool = False
    """Verdicts take all cells of a group together: while the base of one is refused, or fails, no run of the group is begun."""
    fixed: tuple[str, ...] = ()
    """Parts of `cells[i]["base"]["more"]` that runs refer to: a base that is measured again and differs in them is refused."""
    more_of_run: MoreOfRun | None = None
    """Measures more on a run, in the process that made it; kept as `runs[i]["more"]`, which is None for a run without an "after"."""
    more_of_folder: MoreOfFolder | None = None
    """Reads what a person has put into the study's folder, whenever the study is written; kept as `more`, which is not there without."""
    ask_judge: AskJudge | None = None
    """Asks a further judge; None where no claim is about judges."""


def load_study(name: str) -> Study:
    """The record of a study.

    Raises:
        ValueError: there is no such study.
    """
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}; there are {', '.join(STUDIES)}")
    found: Study = load_object(STUDIES[name])
    return found
