"""`jominy refine`: which prompts of a training set can be learned from, and trusted?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from jominy.specs.refining import RefineSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Refine:
    """Refine a training set: drop prompts that a pilot never saw rewarded, constraints of types that an audit does not trust, and all but
    one soft constraint a prompt (2601.04954).

    OUT/prompts.jsonl is then a task for `train`; the page says what was dropped and why. The same command goes on with its pilot.
    """

    out: Path
    """Folder to write."""
    spec: OmitArgPrefixes[RefineSpec] = field(default_factory=RefineSpec)
    """What to refine, and how."""
    json: bool = False
    """Print refined.json on standard output instead of tables."""
    overwrite: bool = False
    """Replace a folder that holds another refined set, its pilot included."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing_refine import print_refined
        from jominy.refining import refine
        from jominy.reporting import report

        refined = refine(self.spec, self.out, overwrite=self.overwrite, quiet=self.quiet or self.json)
        page = report(self.out)
        if self.json:
            print(json.dumps(refined.to_json(), ensure_ascii=False, allow_nan=False))
        else:
            print_refined(refined, page)
        return 0
