"""`jominy sample`: rollouts into a run folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import OmitArgPrefixes

from jominy.specs import SampleSpec

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Draw and grade rollouts into a run folder; the same command on the same folder goes on where it stopped."""

    out: Path
    """Run folder to write."""
    spec: OmitArgPrefixes[SampleSpec] = field(default_factory=SampleSpec)
    """What to sample."""
    overwrite: bool = False
    """Replace a folder that holds another run."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing import print_sampled
        from jominy.sampling import sample

        print_sampled(sample(self.spec, self.out, overwrite=self.overwrite, quiet=self.quiet))
        return 0
