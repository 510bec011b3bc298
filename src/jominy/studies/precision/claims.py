"""The claims of 2601.04954, and ours about them, each a rule from the runs of the study to a verdict.

    primary      hard-over-soft, hard-over-mix, transfers, wording, systematic-loses-more, refined-better
    secondary    all others

These six were named before the full study was run; of the others, some would agree by luck (`paper.LIMITS`). A claim whose arms a design
does not have is not made. Left out on purpose: the rules themselves (`rendering`, `grid`, `refinement`, `judges`, `looking`).
"""

from __future__ import annotations

from jominy.conclusion import Claim
from jominy.studies.precision.grid import grid_claims
from jominy.studies.precision.judges import judge_claims
from jominy.studies.precision.looking import looking_claims
from jominy.studies.precision.refinement import refinement_claims
from jominy.studies.precision.rendering import rendering_claims
from jominy.studies.reading import StudyRuns


def claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Every claim, in the order of the README."""
    return (*judge_claims(runs), *rendering_claims(runs), *grid_claims(runs), *refinement_claims(runs), *looking_claims(runs))
