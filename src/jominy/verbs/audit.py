"""`jominy audit`: can this reward or judge be trained on?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, arg

from jominy.specs.auditing import AuditSpec
from jominy.verbs.words import EXIT_VERDICT, number_in, pairs_in

LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Can a reward or a judge be trained on? Asks it about responses whose truth is known: pairs that differ in one constraint, answers
    that nobody wants, a labelled file of yours, or a model's own responses (--run).

    The same command on the same folder goes on where it stopped, and a larger one asks only what is new.
    """

    spec: OmitArgPrefixes[AuditSpec] = field(default_factory=AuditSpec)
    """Who, against what, for which run."""
    out: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder to write; default RUN/audit with --run, else runs/audit-NAME."""
    thresholds: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE")] = ()
    """Bounds to set anew, e.g. recall_false=0.9; all are printed with every result."""
    fail_on: Literal["never", "types", "distrust"] = "never"
    """Exit with code 3, for CI: types where not every type may be trained on, distrust where none may, or it is too few to tell."""
    json: bool = False
    """Print audit.json on standard output instead of tables."""
    overwrite: bool = False
    """Replace what the folder holds; what a judge has said is remembered all the same."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.auditing import audit
        from jominy.printing_audit import print_audit
        from jominy.reporting import report

        bounds = {name: number_in(value) for name, value in pairs_in(self.thresholds).items()}
        spec = replace(self.spec, thresholds=bounds)
        out = self.out or default_folder(spec)
        found = audit(spec, out, overwrite=self.overwrite, quiet=self.quiet or self.json)
        page = report(out)
        if self.json:
            print(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
        else:
            print_audit(found, page)
        worst = {"never": (), "types": ("trust for these types", "do not train on it"), "distrust": ("do not train on it",)}[self.fail_on]
        return EXIT_VERDICT if found.trust.value in worst else 0


def default_folder(spec: AuditSpec) -> Path:
    """RUN/audit, or a folder that is named after who is audited.

    >>> default_folder(AuditSpec(judge="local:smollm2"))
    PosixPath('runs/audit-local-smollm2-batch')
    """
    if spec.truth.run is not None:
        return spec.truth.run / "audit"
    who = f"{spec.judge}-{spec.mode}" if spec.judge is not None else str(spec.reward)
    name = "".join(character if character.isalnum() or character in "._" else "-" for character in who)
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(who.encode()).hexdigest()[:8]}"
    return Path("runs") / f"audit-{name}"
