"""`jominy study`: a paper's claim in miniature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Put a paper's claim to the test in miniature; the same command on the same folder goes on where it stopped."""

    name: Positional[str]
    """alignment (2508.21188), clarity (2601.06911), decisions (2601.01580) or precision (2601.04954)."""
    out: Path
    """Folder for results.json, README.md, figures and report.html."""
    scale: Literal["smoke", "full"] = "smoke"
    """smoke: the machinery in a minute; full: the evidence in hours."""
    seeds: Annotated[int | None, arg(metavar="INT")] = None
    """Run only the first so many seeds now; 0 makes and measures the models that all runs start from, and lets the study refuse them."""
    minutes: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Begin no further run after so many minutes."""
    judge: Annotated[str | None, arg(metavar="JUDGE")] = None
    """Of `precision`: ask this judge, too, as `audit` takes it (http://HOST/v1,model=NAME), about the same pairs, in one call and one each;
    it is a further witness of the claims about judges. Once is enough: what it said stays in OUT/audits."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing_study import print_study
        from jominy.studies.running import study

        out = study(self.name, self.out, scale=self.scale, seeds=self.seeds, minutes=self.minutes, judge=self.judge, quiet=self.quiet)
        print_study(out)
        return 0
