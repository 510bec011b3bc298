"""The verdicts of an audit on disk: one row a constraint (or response) and repeat, with prompt, response, truth and what was said.

    OUT/verdicts.parquet    rows, and in its metadata who gave them and what asking has cost so far
    OUT/judge/              the replies of a judge (`rewards.judge`)
    OUT/audit.json          what follows from them

The file is replaced as a whole every few seconds, so an audit that is killed keeps what it had and the same command goes on from there.
A verdict is known again by prompt, response and repeat, so a larger audit of the same auditee asks only what is new. What is unscored is
asked again.
Left out on purpose: numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jominy.audited import BEFORE_CHOICES, Level
from jominy.auditing.asking import Said
from jominy.auditing.sources import Source
from jominy.confusion import AuditItem
from jominy.rewards.judged import Judged
from jominy.rewards.metering import Spent
from jominy.store import messages_to_json, read_parquet, write_parquet

VERDICTS_FILE = "verdicts.parquet"
SCHEMA_VERSION = 1
AUDITEE, SPENT = b"jominy_auditee", b"jominy_spent"

VERDICT_SCHEMA = pa.schema(
    [
        ("item", pa.int32()),
        ("source", pa.string()),
        ("kind", pa.string()),
        ("about", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("repeat", pa.int32()),
        ("constraint", pa.int32()),
        ("type", pa.string()),
        ("constraint_text", pa.string()),
        ("count", pa.int32()),
        ("truth", pa.bool_()),
        ("said", pa.bool_()),
        ("note", pa.string()),
        ("reply", pa.string()),
        ("log_odds", pa.float64()),
        ("constraint_kind", pa.string()),
    ],
    metadata={"jominy_schema_version": str(SCHEMA_VERSION)},
)
"""`item` numbers the responses. `constraint` is its place in the prompt, null with `constraint_text` where a verdict is on the whole
response; `count` is how many the prompt has. `truth` is null where nobody knows, `said` where there is no verdict; `reply` is the
beginning of what could not be read; `log_odds` of yes, in nats, is null of a free answer. `constraint_kind` is hard or soft."""
LATER = ("log_odds", "constraint_kind")
"""Columns that files of earlier versions lack; there they are null."""

Key = tuple[str, str, int]
"""(prompt id, response, repeat)."""


class Verdicts:
    """What has been said so far of the responses of an audit.

    Args:
        file: where it lies.
        identity: of whom; a file of somebody else's verdicts is refused.
        level: what one verdict is about.
        overwrite: begin anew whatever is there.

    Raises:
        ValueError: the file holds another auditee's verdicts, or is broken.
    """

    def __init__(self, file: Path, identity: Mapping[str, Any], level: Level, *, overwrite: bool = False) -> None:
        self.file = file
        self.identity = dict(identity)
        self.level = level
        self.spent: Spent | None = None
        self._said: dict[Key, Said] = {}
        if file.is_file() and not overwrite:
            self._read()

    def of(self, item: AuditItem, repeat: int) -> Said | None:
        """What was said of a response; None where it was never asked, or a verdict is missing."""
        said = self._said.get(_key(item, repeat))
        return None if said is None or any(one.verdict is None for one in said) else said

    def told(self, item: AuditItem, repeat: int) -> Said | None:
        """The same with missing verdicts; None where it was never asked."""
        return self._said.get(_key(item, repeat))

    def add(self, items: Sequence[AuditItem], repeat: int, said: Sequence[Said]) -> None:
        """More of it."""
        self._said.update({_key(item, repeat): one for item, one in zip(items, said, strict=True)})

    def spend(self, spent: Spent | None) -> None:
        """It has cost something."""
        if spent is not None:
            self.spent = spent if self.spent is None else self.spent.plus(spent)

    def write(self, sources: Sequence[Source], repeats: int) -> None:
        """Replace the file by all that is known of these responses."""
        every = [(source.name, item) for source in sources for item in source.items]
        rows = [
            {"item": number, "source": name, "repeat": repeat, **row}
            for number, (name, item) in enumerate(every)
            for repeat in range(repeats)
            if (said := self.told(item, repeat)) is not None
            for row in _rows_of(self.level, item, said)
        ]
        spent = None if self.spent is None else self.spent.to_json()
        metadata = {**VERDICT_SCHEMA.metadata, AUDITEE: json.dumps(self.identity, sort_keys=True), SPENT: json.dumps(spent)}
        write_parquet(self.file, pa.Table.from_pylist(rows, schema=VERDICT_SCHEMA.with_metadata(metadata)))

    def _read(self) -> None:
        table = read_rows_of(self.file)
        metadata = pq.read_schema(self.file).metadata
        there = json.loads(metadata.get(AUDITEE, b"{}"))
        there = {**BEFORE_CHOICES, **there} if "judge" in there else there
        if table.num_rows and there != json.loads(json.dumps(self.identity)):
            names = [name for name in {**there, **self.identity} if there.get(name) != self.identity.get(name)]
            changes = ", ".join(f"{name} was {there.get(name)!r}, now {self.identity.get(name)!r}" for name in names)
            raise ValueError(f"{self.file.parent} holds another audit ({changes}). Choose another --out, or replace it with --overwrite")
        # of somebody who never answered nothing is known, not even a price
        spent = json.loads(metadata.get(SPENT, b"null")) if table.num_rows else None
        self.spent = None if spent is None else Spent.of_json(spent)
        columns = [table[name].to_pylist() for name in ("item", "repeat", "prompt_id", "response", "said", "note", "reply", "log_odds")]
        found: dict[tuple[int, int], tuple[Key, list[Judged]]] = {}
        for number, repeat, prompt_id, response, said, note, reply, odds in zip(*columns, strict=True):
            _, verdicts = found.setdefault((number, repeat), ((prompt_id, response, repeat), []))
            verdicts.append(Judged(verdict=said, note=note, said=reply, log_odds=odds))
        self._said = {key: tuple(verdicts) for key, verdicts in found.values()}


def read_rows_of(file: Path) -> pa.Table:
    """The rows of an audit's file.

    Raises:
        ValueError: no such file, or it is broken; names it.
    """
    read_parquet(file, pa.schema([VERDICT_SCHEMA.field("item")], VERDICT_SCHEMA.metadata))
    lacks = [name for name in LATER if name not in pq.read_schema(file).names]
    table = read_parquet(file, pa.schema([field for field in VERDICT_SCHEMA if field.name not in lacks], VERDICT_SCHEMA.metadata))
    for name in lacks:
        table = table.append_column(VERDICT_SCHEMA.field(name), pa.nulls(table.num_rows, VERDICT_SCHEMA.field(name).type))
    return table


def _key(item: AuditItem, repeat: int) -> Key:
    return item.prompt.id, item.text, repeat


def _rows_of(level: Level, item: AuditItem, said: Said) -> list[dict[str, Any]]:
    constraints = item.prompt.info["constraints"]
    common = {
        "kind": item.kind,
        "about": item.about,
        "prompt_id": item.prompt.id,
        "prompt": messages_to_json(item.prompt.messages),
        "response": item.text,
        "count": len(constraints),
    }
    if level == "response":
        (one,) = said
        whole = {"constraint": None, "type": item.about, "constraint_text": None, "truth": item.truth}
        return [{**common, **whole, **_said_of(one)}]
    return [
        {
            **common,
            "constraint": place,
            "type": constraint["type"],
            "constraint_text": constraint["text"],
            "constraint_kind": constraint.get("kind", "hard"),
            "truth": truth,
            **_said_of(one),
        }
        for place, (constraint, truth, one) in enumerate(zip(constraints, item.truths, said, strict=True))
    ]


def _said_of(one: Judged) -> dict[str, Any]:
    return {"said": one.verdict, "note": one.note, "reply": one.said, "log_odds": one.log_odds}
