"""The study of 2601.06911: does clarity say what RL gains, and does weighting by it help?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jominy.papers import CLARITY
from jominy.studies.clarity import claims, design, paper, sections
from jominy.studies.design import Cell, Settings
from jominy.studies.study import Ended, Study


def more_of_base(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """Clarity of the base model's answers; see `measuring`."""
    from jominy.studies.clarity import measuring

    return measuring.more_of_base(folder, cell, settings)


def more_of_run(ended: Ended) -> dict[str, Any]:
    """Pass rate and clarity at each evaluation; see `measuring`."""
    from jominy.studies.clarity import measuring

    return measuring.more_of_run(ended.folder, ended.spec)


STUDY = Study(
    name="clarity",
    title=paper.TITLE,
    paper=CLARITY,
    design=design.design,
    claims=claims.claims,
    sections=sections.sections,
    plots=sections.plots,
    thresholds=paper.THRESHOLDS,
    limits=paper.LIMITS,
    more_of_base=more_of_base,
    more_of_run=more_of_run,
)
