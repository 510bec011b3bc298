"""Who has judged, and in which ways: the base model, and every judge whose finished audit lies in the study's folder.

    OUT/audits/NAME/    an audit's folder with pairs, of any judge: a further row of the table, and a further witness of the claims

A witness is a judge asked in one call, pointwise, or both: two folders of one judge are one witness. A model of this machine that answers
in its own words stands in the table, beside what it chooses, and is no witness of its own. Kept is the model's name, so that no address
of a network and no path of a machine stands in a file that is shared; two endpoints with one model name are one judge.
Left out on purpose: the claims (`judges`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jominy.audited import AUDIT_FILE, BEFORE_CHOICES
from jominy.measures.precision import Confusion, Precision, measure_precision
from jominy.store import read_json
from jominy.studies.precision.columns import table_of_columns, told_in
from jominy.studies.precision.knowing import Wins, wins_of
from jominy.studies.reading import Record, StudyRuns

AUDITS_FOLDER = "audits"
OWN = "SmolLM2"
"""What tables call the study's own judge."""
SAID_OF_JUDGES = ("named", "mode")
"""What an audit has to say of its judge."""
MODE_NAMES = {"numbered": "one call", "batch": "one call", "pointwise": "pointwise"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge said, asked in one mode.

    Example: judged(runs)[0].pairs.constraints.recall_false.value
    """

    who: str
    """Its name."""
    mode: str
    """numbered, batch or pointwise."""
    answers: str
    """choice or free."""
    folder: str
    """Of the audit, within OUT/audits; empty of the study's own."""
    pairs: Precision
    """On minimal pairs, by constraint type, and hard and soft."""
    wins: Wins
    """Pair by pair, whether it tells violated from satisfied."""
    own: Precision | None
    """On a policy's own responses; None where it was not asked."""
    probes: Confusion | None
    """On answers that nobody wants: whole responses."""
    columns: Record
    """The verdicts on pairs themselves."""
    notes: Mapping[str, int]
    """Why there is no verdict -> constraints."""

    @property
    def is_beside(self) -> bool:
        """The study's own judge in its own words: beside what it chooses, in the table alone."""
        return not self.folder and self.answers == "free"

    @property
    def title(self) -> str:
        """As tables call it."""
        how = "" if self.folder else {"choice": ", chosen", "free": ", in its own words"}[self.answers]
        return f"{self.who}, {MODE_NAMES[self.mode]}{how}"


@dataclass(slots=True, kw_only=True)
class Witness:
    """One judge, in the ways in which it was asked.

    Example: Witness(who="SmolLM2", ways={"one call": judgement})
    """

    who: str
    """Its name."""
    ways: dict[str, Judgement] = field(default_factory=dict)
    """`one call`, `pointwise` -> what it said."""


def judged(runs: StudyRuns) -> list[Judgement]:
    """The study's own, then what lies in its folder; empty before anybody was asked."""
    found = [_judgement(told, "") for told in asked(runs).get("told", ())]
    return found + [_judgement(told, told["folder"]) for told in runs.results.get("more", {}).get("audits", ()) if "sources" in told]


def asked(runs: StudyRuns) -> Record:
    """What was measured of the study's own judge."""
    bases = [(one["base"] or {}).get("more") or {} for one in runs.results["cells"]]
    return next((more["judges"] for more in bases if "judges" in more), {})


def not_taken(runs: StudyRuns) -> dict[str, str]:
    """Folder -> why what lies in it is no further judge."""
    return {told["folder"]: told["why"] for told in runs.results.get("more", {}).get("audits", ()) if "why" in told}


def witnesses(told: Sequence[Judgement]) -> list[Witness]:
    """Those that claims are about; of two folders with the same judge and way, the first (`surplus` has the others)."""
    found: dict[tuple[str, str, bool], Witness] = {}
    for one in told:
        if one.is_beside:
            continue
        witness = found.setdefault((one.who, one.answers, bool(one.folder)), Witness(who=one.who))
        witness.ways.setdefault(MODE_NAMES[one.mode], one)
    return list(found.values())


def surplus(told: Sequence[Judgement]) -> dict[str, str]:
    """Folder -> the folder before it that asks the same judge in the same way, so that it decides no claim."""
    first: dict[tuple[str, str, str], str] = {}
    found = {}
    for one in told:
        if one.folder:
            asked_as = one.who, one.answers, MODE_NAMES[one.mode]
            if first.setdefault(asked_as, one.folder) != one.folder:
                found[one.folder] = f"`{AUDITS_FOLDER}/{first[asked_as]}`"
    return found


def _judgement(told: Record, folder: str) -> Judgement:
    sources = told["sources"]
    own, probes = ((measure_precision(table_of_columns(sources[name])) if name in sources else None) for name in ("run", "probe"))
    return Judgement(
        who=told["judge"],
        mode=told["mode"],
        answers=told["answers"],
        folder=folder,
        pairs=measure_precision(table_of_columns(sources["pairs"])),
        wins=wins_of(sources["pairs"]),
        own=own,
        probes=None if probes is None else probes.responses,
        columns=sources["pairs"],
        notes=told["notes"],
    )


def more_of_folder(out: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """`audits`: what the finished audits in the study's folder say, those that are known and no longer there included."""
    audits = {told["folder"]: told for told in known.get("audits", ())}
    for file in sorted((out / AUDITS_FOLDER).glob(f"*/{AUDIT_FILE}")):
        audits[file.parent.name] = _told(file.parent)
    return {**known, "audits": [audits[name] for name in sorted(audits)]} if audits else dict(known)


def _told(folder: Path) -> dict[str, Any]:
    """One audit; a folder that cannot be used says why, and stops nobody."""
    try:
        auditee = {**BEFORE_CHOICES, **read_json(folder / AUDIT_FILE).get("source", {}).get("auditee", {})}
        if "judge" not in auditee:
            raise ValueError(f"{folder} is an audit of a reward; audit a judge: --judge")
        if lacks := [name for name in SAID_OF_JUDGES if name not in auditee]:
            raise ValueError(f"{folder / AUDIT_FILE} does not say {' and '.join(lacks)} of its judge; audit once more, --overwrite")
        told = told_in(folder)
        if "pairs" not in told["sources"]:
            raise ValueError(f"{folder} has no pairs, which is what judges are compared on; audit with --pairs")
    except (ValueError, OSError) as error:
        return {"folder": folder.name, "why": str(error).replace(str(folder), folder.name)}
    except KeyError as error:
        return {"folder": folder.name, "why": f"what it holds lacks the field {error}; audit once more, --overwrite"}
    who = Path(auditee["named"]).name if Path(auditee["named"]).is_absolute() else auditee["named"]
    notes = {_nowhere(note, auditee["judge"]): count for note, count in told["notes"].items()}
    how = {"mode": auditee["mode"], "answers": auditee["answers"]}
    return {"folder": folder.name, "judge": who, **how, **told, "notes": notes}


def _nowhere(text: str, address: str) -> str:
    """The text without the host of an endpoint.

    >>> _nowhere("HTTP 400: node7:8000 says no", "http://node7:8000/v1"), _nowhere("no", "local")
    ('HTTP 400: (its host) says no', 'no')
    """
    host = urlsplit(address).hostname
    return text if host is None else re.sub(rf"\b{re.escape(host)}\b(:\d+)?", "(its host)", text, flags=re.IGNORECASE)
