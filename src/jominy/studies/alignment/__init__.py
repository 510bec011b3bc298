"""The study of 2508.21188: does pass@k of the base model decide whether the cheap tricks work?"""

from __future__ import annotations

from jominy.papers import ALIGNMENT
from jominy.studies import outcomes
from jominy.studies.alignment import claims, design, paper, sections
from jominy.studies.study import Study

STUDY = Study(
    name="alignment",
    title=paper.TITLE,
    paper=ALIGNMENT,
    design=design.design,
    claims=claims.claims,
    sections=sections.sections,
    plots=sections.plots,
    thresholds=outcomes.THRESHOLDS,
    limits=paper.LIMITS,
)
