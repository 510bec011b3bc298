"""The study of 2601.04954: can the reward be trusted, and what to train on when it can't?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jominy.papers import PRECISION
from jominy.studies.design import Cell, Design, Settings
from jominy.studies.precision import claims, design, paper, plots, sections
from jominy.studies.study import Ended, Study


def more_of_base(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """A judge's verdicts, further prompts, prompts to refine; see `measuring`."""
    from jominy.studies.precision import measuring

    return measuring.more_of_base(folder, cell, settings)


def under_way(folder: Path, cell: Cell) -> str:
    """How many questions a judge has answered; see `judging`."""
    from jominy.studies.precision import judging

    return judging.under_way(folder, cell)


def more_of_run(ended: Ended) -> dict[str, Any]:
    """What was paid beside the truth, further prompts, time, attention; see `measuring`."""
    from jominy.studies.precision import measuring

    return measuring.more_of_run(ended)


def ask_judge(judge: str, out: Path, design: Design, quiet: bool) -> None:
    """Audits a further judge into OUT/audits; see `judging`."""
    from jominy.studies.precision import judging

    judging.ask_further(judge, out, design, quiet=quiet)


def more_of_folder(out: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Finished audits of further judges, in OUT/audits/NAME; see `witnesses`."""
    from jominy.studies.precision import witnesses

    return witnesses.more_of_folder(out, known)


STUDY = Study(
    name="precision",
    title=paper.TITLE,
    paper=PRECISION,
    design=design.design,
    claims=claims.claims,
    sections=sections.sections,
    plots=plots.plots,
    thresholds=paper.THRESHOLDS,
    limits=paper.LIMITS,
    more_of_base=more_of_base,
    under_way=under_way,
    more_of_run=more_of_run,
    more_of_folder=more_of_folder,
    ask_judge=ask_judge,
    fixed=("further", "unasked", "trained_on"),
)
