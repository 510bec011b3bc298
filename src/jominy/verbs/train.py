"""`jominy train`: train with a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, arg

from jominy.specs import DecisionSpec, RunSpec

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Train a model on a task with a recipe; the run folder's model/ is the result, its page shows the run."""

    out: Path
    """Run folder to write."""
    spec: OmitArgPrefixes[RunSpec] = field(default_factory=RunSpec)
    """What to run."""
    config: Annotated[Path | None, arg(metavar="FILE")] = None
    """A .toml file with fields of the run, or my_run.py:spec; flags win over it."""
    resume: bool = False
    """Go on from the last checkpoint of the same run; with a larger --steps it goes further."""
    overwrite: bool = False
    """Replace what is in the folder."""
    track: Literal["tensorboard", "wandb", "trackio"] | None = None
    """Send the same numbers to a tracker."""
    quiet: bool = False
    """No panel."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.deciding.explain import explain_decisions
        from jominy.overseeing import oversee
        from jominy.printing_decisions import print_decisions
        from jominy.printing_training import print_explanation, print_first_live_step, print_held, print_judged, print_trained
        from jominy.reporting import report
        from jominy.training import train

        folder = train(self.spec, self.out, resume=self.resume, overwrite=self.overwrite, quiet=self.quiet, track=self.track)
        told = explain_decisions(folder.path, None, None, DecisionSpec(), drawing=False) if folder.has_before_and_after() else None
        page = report(folder.path)
        if told is not None and told.explanation is not None:
            print_explanation(told.explanation, page)
            if told.decisions is not None:
                print_decisions(told.decisions, told.why)
        print_held(oversee(folder.path))
        print_judged(folder.path)
        print_first_live_step(folder.path)
        print_trained(folder.path, page)
        return 0
