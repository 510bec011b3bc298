"""The nouns of an audit: who was audited, on what, how often it was right, and whether to train on it.

`audit.json` is an `Audit` as JSON. Its `types`, `all` and `responses` are error rates as `rewards.noise` reads them (mode=matched:FILE);
`precision.by_type` has the confusion matrix of each type with intervals. The page and the terminal show the file and compute nothing.
Left out on purpose: the single verdicts, which lie beside it in `verdicts.parquet`, and how any number is estimated (`measures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jominy.measures.agreement import Agreement
from jominy.measures.precision import Confusion, Precision
from jominy.measures.reward_errors import RewardErrors
from jominy.measures.trust import Trust
from jominy.results import Threshold
from jominy.store import read_json

SCHEMA_VERSION = 1
"""Of `audit.json`."""
AUDIT_FILE, AUDIT_FOLDER = "audit.json", "audit"

SourceName = Literal["pairs", "labelled", "run"]
Level = Literal["constraint", "response"]
BEFORE_CHOICES = {"answers": "free"}
"""What audits of earlier versions do not say of a judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipRates:
    """How often a verdict errs; None where the audit holds nothing of that truth.

    Example: FlipRates(false_accept=0.69, false_reject=0.03)
    """

    false_accept: float | None
    """Of the violated, how many are said to be satisfied."""
    false_reject: float | None
    """Of the satisfied, how many are said to be violated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one source of truth shows by itself.

    Example: Part(name="run", what="runs/demo", num_responses=256, num_unknown=12, precision=..., trust=...)
    """

    name: SourceName
    """pairs: constructed. labelled: a person's file. run: a model's own responses."""
    what: str
    """Options, file or folder."""
    num_responses: int
    """Responses that were judged."""
    num_unknown: int
    """Constraints of theirs whose truth nobody knows; judged with the others, and in no number."""
    precision: Precision | None
    """None where no truth is known at all."""
    trust: Trust | None
    """The verdict if there were only this; None likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtPassRate:
    """What the errors mean for RL at one pass rate of all prompts.

    Example: AtPassRate(pass_rate=0.1, errors=...)
    """

    pass_rate: float
    """Of every prompt."""
    errors: RewardErrors
    """What they do there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A response of which the wrong thing was said, for reading.

    Example: Mistake(kind="missed", source="pairs", type="no_commas", count=2, prompt="Describe the sea. Do not use commas.",
                     constraint="Do not use commas.", response="Waves, and wind.")
    """

    kind: Literal["missed", "refused"]
    """missed: violated, and said to be satisfied. refused: the other way round."""
    source: str
    """pairs, labelled, run, or probe."""
    type: str
    """Of the constraint; of a whole response what it is about."""
    count: int
    """Constraints that the prompt has."""
    prompt: str
    """The last message."""
    constraint: str
    """Its words; empty where the whole response was judged."""
    response: str
    """Shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Everything that an audit found.

    Example: see `jominy audit --json`.
    """

    source: Mapping[str, Any]
    """Who was audited (`judge` and `mode`, or `reward` and `success`), `who` in short, options, seed, repeats, versions."""
    level: Level
    """constraint: a verdict on each. response: one on the whole; types are then what a pair differs in."""
    types: Mapping[str, FlipRates]
    """Error rates by type."""
    all: FlipRates
    """Of all items together."""
    responses: FlipRates
    """Of whole responses."""
    num_responses: int
    """Responses that were judged, probes included."""
    num_verdicts: int
    """Verdicts on what has a known truth, probes included; of the first repeat."""
    num_unscored: int
    """Those of them that are missing."""
    first_failure: str
    """Why the first of them is; empty when none is."""
    failures: Mapping[str, int]
    """The most frequent reasons, and how often; of all verdicts of the first repeat."""
    precision: Precision
    """All sources together, without the probes."""
    parts: tuple[Part, ...]
    """The same source by source."""
    probes: tuple[Confusion, ...]
    """One cell a kind of probe, whole responses."""
    agreement: Agreement | None
    """Over the repeats; None where there is one."""
    errors: RewardErrors
    """What it means for RL."""
    errors_at: str
    """At which pass rates, in words."""
    by_pass_rate: tuple[AtPassRate, ...]
    """The same at other ones."""
    trust: Trust
    """The verdict."""
    thresholds: tuple[Threshold, ...]
    """Ours, as they were set."""
    spent: Mapping[str, Any] | None
    """What asking has cost, over all calls of the verb (`rewards.metering`); None of a reward that counts nothing."""
    mistakes: tuple[Mistake, ...]
    """A few, spread over the types."""
    notes: tuple[str, ...]
    """What a careful reader should know."""
    responses_by_type: tuple[Confusion, ...] = ()
    """Whole responses, by the type that they are about; empty where the level is response: `precision.by_type` has them."""
    by_type_and_count: tuple[Confusion, ...] = ()
    """`precision.by_type`, split by the number of constraints that the prompt has."""

    def to_json(self) -> dict[str, Any]:
        """The content of `audit.json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Audit:
        """What `to_json` wrote.

        Raises:
            ValueError: a field is missing or of another kind; names it.
        """
        audit = _built(Audit, found, "audit")
        assert isinstance(audit, Audit)
        return audit


def audit_in(path: Path) -> Path | None:
    """The `audit.json` that a person means by a file, an audit's folder or a run folder; None where there is none."""
    files = (path,) if path.is_file() else (path / AUDIT_FILE, path / AUDIT_FOLDER / AUDIT_FILE)
    return next((file for file in files if file.is_file()), None)


def load_audit(path: Path) -> Audit:
    """The audit at a file, an audit's folder or a run folder.

    Raises:
        ValueError: there is none, or it is broken; says what to do.
    """
    file = audit_in(path)
    if file is None:
        raise ValueError(f"{path} holds no {AUDIT_FILE}; `jominy audit` writes one")
    try:
        return Audit.from_json(read_json(file))
    except ValueError as error:
        raise ValueError(f"{file}: {error}. Run `jominy audit` again to make it anew") from error


def _built(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as the type says: a record, a tuple, a mapping, an optional one of these, or as it is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _record(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} is no list")
        return tuple(_built(arguments[0], item, f"{where}[{place}]") for place, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is no object")
        return {name: _built(arguments[1], item, f"{where}.{name}") for name, item in value.items()}
    if origin in (Union, UnionType) and NoneType in arguments:
        return None if value is None else _built(next(one for one in arguments if one is not NoneType), value, where)
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is no object")
    hints = get_type_hints(kind)
    given = {one.name: _built(hints[one.name], value[one.name], f"{where}.{one.name}") for one in fields(kind) if one.name in value}
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"{where} lacks a field ({error})") from error
