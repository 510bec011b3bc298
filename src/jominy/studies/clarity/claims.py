"""The claims of 2601.06911, and ours about them, each a rule from the runs of the study to a verdict.

    primary      predicts, matched       does S of lab models say what RL gains, beyond the pass rate, among models of one pass rate?
                 weighting               does weighting by S' help lab models?
    secondary    all others

Three claims were named before the full study was run; of the others, some would agree by luck (`paper.LIMITS`).
Left out on purpose: the rules themselves (`foretelling`, `rising`, `weighing`, `failing`).
"""

from __future__ import annotations

from jominy.conclusion import Claim
from jominy.studies.clarity.failing import fails_otherwise
from jominy.studies.clarity.foretelling import foretells
from jominy.studies.clarity.rising import rises
from jominy.studies.clarity.weighing import weighs
from jominy.studies.reading import StudyRuns


def claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Every claim, in the order of the README."""
    return (*foretells(runs), *rises(runs), *weighs(runs), *fails_otherwise(runs))
