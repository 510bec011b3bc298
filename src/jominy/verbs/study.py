"""`jominy study`: a paper's claim in miniature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Put a paper's claim to the test in miniature; the same command on the same folder goes on where it stopped."""

    name: Positional[str]
    """alignment (2508.21188), clarity (2601.06911), decisions (2601.01580) or precision (2601.04954)."""
    out: Path
    """Folder for results.json, README.md, figures and report.html. Of `precision`, finished audits of further judges that lie in
    OUT/audits/NAME (`jominy audit --judge ... --pairs 3 --constraints rendering=mixed --out OUT/audits/NAME`) are further witnesses."""
    scale: Literal["smoke", "full"] = "smoke"
    """smoke: the machinery in a minute; full: the evidence in hours."""
    seeds: Annotated[int | None, arg(metavar="INT")] = None
    """Run only the first so many seeds now; 0 makes and measures the models that all runs start from, and lets the study refuse them."""
    minutes: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Begin no further run after so many minutes."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing_study import print_study
        from jominy.studies.running import study

        print_study(study(self.name, self.out, scale=self.scale, seeds=self.seeds, minutes=self.minutes, quiet=self.quiet))
        return 0
