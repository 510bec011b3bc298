"""`jominy explain`: what did training change?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from jominy.specs import DecisionSpec

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """What did training change? Reads a training folder's evaluations, or two run folders of the same prompts.

    Where responses try, decide and try again (task `retry`, or --spans): also whether it changed the solving or the deciding, which tokens
    each objective would credit, and, with both policies at hand, whose gain it is. A run folder alone is shown as it is.
    """

    folder: Positional[Path]
    """A training folder, or a run folder: the one before with AFTER, else the one after."""
    after: Positional[Annotated[Path | None, arg(metavar="AFTER")]] = None
    """The run folder after, when `folder` is the one before."""
    against: Annotated[Path | None, arg(metavar="RUN2")] = None
    """Compare with what this training or run folder ended with, in place of the start: e.g. the SFT run against the RL run."""
    deciding: OmitArgPrefixes[DecisionSpec] = field(default_factory=DecisionSpec)
    """Attempts and decisions."""
    json: bool = False
    """Print explanation.json on standard output instead of tables."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.deciding.explain import explain_decisions
        from jominy.printing_decisions import print_decisions
        from jominy.printing_training import print_explanation
        from jominy.reporting import can_report, report

        told = explain_decisions(self.folder, self.after, self.against, self.deciding, quiet=self.quiet or self.json)
        page = report(self.folder) if self.after is None and can_report(self.folder) else None
        explanation = told.explanation
        if self.json:
            shown = {"decisions": told.decisions, "why_no_decisions": told.why} if explanation is None else explanation.to_json()
            print(json.dumps(shown, ensure_ascii=False, allow_nan=False))
            return 0
        if explanation is not None:
            print_explanation(explanation, page)
        print_decisions(told.decisions, told.why)
        self._print_rest()
        return 0

    def _print_rest(self) -> None:
        from jominy.explaining import awaits_interpretation
        from jominy.interpretation import stored_interpretations
        from jominy.overseeing import oversee
        from jominy.printing_interpretation import print_interpretations
        from jominy.printing_training import print_first_live_step, print_judged, print_oversight

        if self.after is None:
            print_oversight(oversee(self.folder))
            print_judged(self.folder)
        folders = (self.folder,) if self.after is None else (self.folder, self.after)
        print_interpretations([(name or str(folder), found) for folder in folders for name, found in stored_interpretations(folder)])
        for folder in folders:
            if awaits_interpretation(folder):
                print(f"Which errors, and how many methods: jominy interpret {folder}")
        if self.after is None:
            print_first_live_step(self.folder)
