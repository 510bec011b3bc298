"""The study of 2601.01580: does RL improve the solving or the deciding?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jominy.papers import DECISIONS
from jominy.studies.decisions import claims, design, gating, paper, plots, sections
from jominy.studies.design import Cell, Settings
from jominy.studies.study import Ended, Study


def more_of_base(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """Attempts and decisions of the warm start; see `measuring`."""
    from jominy.studies.decisions import measuring

    return measuring.more_of_base(folder, cell, settings)


def check_base(cell: Cell, settings: Settings, more: Mapping[str, Any]) -> None:
    """Refuses a warm start of which the study can ask nothing; see `gating`."""
    gating.check_start(cell.name, more, design.GATES[cell.name], settings.bank_states)


def more_of_run(ended: Ended) -> dict[str, Any]:
    """Attempts, decisions, further tasks, bank and squares of a trained policy; see `measuring`."""
    from jominy.studies.decisions import measuring

    return measuring.more_of_run(ended)


STUDY = Study(
    name="decisions",
    title=paper.TITLE,
    paper=DECISIONS,
    design=design.design,
    claims=claims.claims,
    sections=sections.sections,
    plots=plots.plots,
    thresholds=paper.THRESHOLDS,
    limits=paper.LIMITS,
    more_of_base=more_of_base,
    check_base=check_base,
    needs_all=True,
    fixed=("bank", "further"),
    more_of_run=more_of_run,
)
