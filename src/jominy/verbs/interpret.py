"""`jominy interpret`: how right and wrong responses differ, by the sign of S."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpret:
    """Which errors do wrong responses make, how many methods do right ones take, and does the sign of S go with it?

    A program tells where the task has written steps (`arithmetic:operators=+,steps=yes`), else a judge; with both, the judge is measured.
    Replies of a judge are kept in the folder, so the same command asks nothing twice.
    """

    folder: Positional[Path]
    """A run folder, or a training folder, of which the first and the last evaluation are read."""
    judge: Annotated[str | None, arg(metavar="JUDGE")] = None
    """http://localhost:8000/v1,model=NAME (an OpenAI-compatible endpoint; its key from $OPENAI_API_KEY or key=VARIABLE), or local:MODEL."""
    responses: int = 8
    """Right and wrong responses of each prompt that a judge is asked about."""
    success: float | None = None
    """A response is right when its gold, or else its reward, is at least this; default what the run was trained with, else 1."""
    seed: int = 0
    """Of bootstrap and null."""
    json: bool = False
    """Print the interpretations as JSON on standard output instead of tables."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.interpreting import interpret_path
        from jominy.printing_interpretation import print_interpretations
        from jominy.reporting import can_report, report

        found = interpret_path(
            self.folder,
            judge=self.judge,
            responses=self.responses,
            success=self.success,
            seed=self.seed,
            quiet=self.quiet or self.json,
        )
        page = report(self.folder) if can_report(self.folder) else None
        records = [(name, interpretation.to_json()) for name, interpretation in found]
        if self.json:
            print(json.dumps([{"of": name, **record} for name, record in records], ensure_ascii=False, allow_nan=False))
        else:
            print_interpretations(records)
            if page is not None:
                print(f"Page: {page}")
        return 0
