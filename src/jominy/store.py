"""The run folder: what a run left on disk, written so that a kill at any moment leaves it readable.

    run.json                  what was run: spec, versions, environment, status, timing
    prompts.parquet           the prompts with targets
    rollouts/part-*.parquet   one row a rollout, schema below, one file a flush
    diagnosis.json            what `diagnose` found
    interpretation.json       what `interpret` found; judge/ holds the replies it rests on
    audit/                    what `audit` found of who rewards it (`auditing`)
    report.html               the page
    probes/NAME/              further run folders of the same model and task: few_shot, eval, contamination-60 ...

Every file is written aside in the same folder, flushed to disk and renamed, so a reader sees the old file, the new one or
none. Parts are named `part-NUMBER-RANDOM.parquet`, so two processes that write into one folder never replace each other's.

Another tool may write the folder: `run.json` needs `schema_version` and `status`, all else has a default (`runfile`);
a part needs the columns of `ROLLOUT_SCHEMA` that a reader asks for, and `jominy_schema_version` in its metadata.
Left out on purpose: what the columns mean for a measure (`tables` turns them into `Groups`) and checkpoints.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jominy.records import Message, Prompt, Rollout
from jominy.runfile import complete_run

SCHEMA_VERSION = 1
PART_NAME = re.compile(r"part-(\d+)")
PROBES = "probes"

ROLLOUT_SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("task", pa.string()),
        ("index", pa.int32()),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("pieces", pa.list_(pa.string())),
        ("logprobs", pa.list_(pa.float32())),
        ("logprobs_t1", pa.list_(pa.float32())),
        ("spans", pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("index", pa.int32())]))),
        ("stop", pa.string()),
        ("reward", pa.float64()),
        ("reward_parts", pa.string()),
        ("note", pa.string()),
        ("gold", pa.float64()),
        ("policy", pa.string()),
        ("temperature", pa.float64()),
        ("top_p", pa.float64()),
        ("seed", pa.int64()),
        ("schema_version", pa.int32()),
    ],
    metadata={"jominy_schema_version": str(SCHEMA_VERSION)},
)

PROMPT_SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("task", pa.string()),
        ("prompt", pa.string()),
        ("target", pa.string()),
        ("gold_answer", pa.string()),
        ("wrong_answer", pa.string()),
        ("num_choices", pa.int64()),
        ("info", pa.string()),
        ("raw", pa.bool_()),
    ],
    metadata={"jominy_schema_version": str(SCHEMA_VERSION)},
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run on disk.

    Example: RunFolder(Path("runs/demo")).rollouts()
    """

    path: Path
    """The folder; it need not exist yet."""

    @property
    def run_file(self) -> Path:
        """`run.json`."""
        return self.path / "run.json"

    @property
    def diagnosis_file(self) -> Path:
        """`diagnosis.json`."""
        return self.path / "diagnosis.json"

    @property
    def interpretation_file(self) -> Path:
        """`interpretation.json`."""
        return self.path / "interpretation.json"

    @property
    def report_file(self) -> Path:
        """`report.html`."""
        return self.path / "report.html"

    def exists(self) -> bool:
        """Whether a run was ever started here."""
        return self.run_file.is_file()

    def clear(self) -> None:
        """Remove what a run and its probes wrote here, `run.json` first, and nothing else; a folder that does not exist is fine."""
        for file in (self.run_file, self.diagnosis_file, self.interpretation_file, self.report_file, self.path / "prompts.parquet"):
            file.unlink(missing_ok=True)
        for file in (self.path / "rollouts").glob("part-*.parquet"):
            file.unlink()
        for run_file in (self.path / PROBES).glob("*/run.json"):
            RunFolder(run_file.parent).clear()

    def probe(self, name: str) -> RunFolder:
        """The run folder of a probe, `probes/NAME`; it need not exist."""
        return RunFolder(self.path / PROBES / name)

    def read_run(self) -> dict[str, Any]:
        """What `run.json` says, every key that a verb reads present and of its type (`runfile`).

        Raises:
            ValueError: the file is missing, broken, of a newer schema, or a field is missing or of another type; names file and field.
        """
        hint = "a run folder holds one; was this folder made by `jominy sample` or `jominy diagnose`?"
        return complete_run(self.run_file, read_json(self.run_file, hint))

    def write_run(self, run: dict[str, Any]) -> None:
        """Replace `run.json`."""
        write_json(self.run_file, {"schema_version": SCHEMA_VERSION, **run})

    def write_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Replace `prompts.parquet`."""
        columns = {
            "prompt_id": [prompt.id for prompt in prompts],
            "task": [prompt.task for prompt in prompts],
            "prompt": [messages_to_json(prompt.messages) for prompt in prompts],
            "target": [prompt.target for prompt in prompts],
            "gold_answer": [prompt.gold_answer for prompt in prompts],
            "wrong_answer": [prompt.wrong_answer for prompt in prompts],
            "num_choices": [prompt.num_choices for prompt in prompts],
            "info": [json.dumps(dict(prompt.info), ensure_ascii=False, default=str) for prompt in prompts],
            "raw": [prompt.raw for prompt in prompts],
        }
        write_parquet(self.path / "prompts.parquet", pa.table(columns, schema=PROMPT_SCHEMA))

    def read_prompts(self) -> list[Prompt]:
        """The prompts of the run, in the order they were drawn; in a folder from before there was `raw`, none is."""
        table = read_parquet(self.path / "prompts.parquet", PROMPT_SCHEMA, optional="raw")
        return [_prompt_of({"raw": False, **row}) for row in table.to_pylist()]

    def num_choices(self) -> dict[str, int]:
        """Size of the answer space by prompt id, of the prompts that have one; empty when the prompts were not stored."""
        file = self.path / "prompts.parquet"
        if not file.is_file():
            return {}
        table = read_parquet(file, _part_of(PROMPT_SCHEMA, ["prompt_id", "num_choices"]))
        pairs = zip(table["prompt_id"].to_pylist(), table["num_choices"].to_pylist(), strict=True)
        return {prompt_id: number for prompt_id, number in pairs if number is not None}

    def append_rollouts(self, rollouts: Sequence[Rollout], prompts: dict[str, Prompt], number: int | None = None) -> None:
        """Write one more file of rollouts; it appears whole or not at all. Its number is the next one, or that of a training step."""
        number = max(map(_part_number, self.parts()), default=-1) + 1 if number is None else number
        file = self.path / "rollouts" / f"part-{number:05d}-{secrets.token_hex(4)}.parquet"
        write_parquet(file, rollouts_to_table(rollouts, prompts))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while a process draws into the folder; the system lets it go when the process ends, however it ends.

        Raises:
            ValueError: another process holds it; two would draw the same rollouts twice.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(f"another process is drawing into {self.path}; wait for it, or choose another --out") from error
            yield

    def parts(self) -> list[Path]:
        """The files of rollouts written so far, by number, then name."""
        return sorted((self.path / "rollouts").glob("part-*.parquet"), key=lambda file: (_part_number(file), file.name))

    def rollouts(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rollouts written so far, or some columns of them; a run without any gives an empty table."""
        schema = ROLLOUT_SCHEMA if columns is None else _part_of(ROLLOUT_SCHEMA, columns)
        return pa.concat_tables([schema.empty_table(), *(read_parquet(file, schema) for file in self.parts())])


def _part_number(file: Path) -> int:
    """3 of `part-00003-9f2c01aa.parquet`; -1 of a name without number, which another tool may have given."""
    found = PART_NAME.match(file.name)
    return -1 if found is None else int(found[1])


def _part_of(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in names])


def rollouts_to_table(rollouts: Iterable[Rollout], prompts: dict[str, Prompt]) -> pa.Table:
    """Rollouts as rows of `ROLLOUT_SCHEMA`.

    Args:
        rollouts: graded or not; an ungraded one has neither reward nor note.
        prompts: by id; every rollout's prompt must be among them.
    """
    rows = [_row_of(rollout, prompts[rollout.prompt_id]) for rollout in rollouts]
    return pa.Table.from_pylist(rows, schema=ROLLOUT_SCHEMA)


def _row_of(rollout: Rollout, prompt: Prompt) -> dict[str, Any]:
    reward = rollout.reward
    return {
        "prompt_id": rollout.prompt_id,
        "prompt": messages_to_json(prompt.messages),
        "task": prompt.task,
        "index": rollout.index,
        "text": rollout.text,
        "answer": None if reward is None else reward.answer,
        "token_ids": np.asarray(rollout.token_ids, dtype=np.int32),
        "pieces": None if rollout.pieces is None else list(rollout.pieces),
        "logprobs": None if rollout.logprobs is None else np.asarray(rollout.logprobs, dtype=np.float32),
        "logprobs_t1": None if rollout.logprobs_t1 is None else np.asarray(rollout.logprobs_t1, dtype=np.float32),
        "spans": [asdict(span) for span in rollout.spans],
        "stop": rollout.stop,
        "reward": None if reward is None else reward.value,
        "reward_parts": None if reward is None else json.dumps(dict(reward.parts)),
        "note": "" if reward is None else reward.note,
        "gold": rollout.gold,
        "policy": rollout.policy,
        "temperature": rollout.temperature,
        "top_p": rollout.top_p,
        "seed": rollout.seed,
        "schema_version": SCHEMA_VERSION,
    }


def _prompt_of(row: dict[str, Any]) -> Prompt:
    return Prompt(
        id=row["prompt_id"],
        task=row["task"],
        messages=messages_from_json(row["prompt"]),
        target=row["target"],
        gold_answer=row["gold_answer"],
        wrong_answer=row["wrong_answer"],
        num_choices=row["num_choices"],
        info=json.loads(row["info"]),
        raw=bool(row["raw"]),
    )


def messages_to_json(messages: Sequence[Message]) -> str:
    """A conversation as the JSON list of {role, content} that chat templates take."""
    return json.dumps([{"role": message.role, "content": message.content} for message in messages], ensure_ascii=False)


def messages_from_json(text: str) -> tuple[Message, ...]:
    """The inverse of `messages_to_json`."""
    return tuple(Message(role=turn["role"], content=turn["content"]) for turn in json.loads(text))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; NaN and infinity are refused, for no result of ours may hold them."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace"))


def read_json(path: Path, hint: str = "") -> dict[str, Any]:
    """Read a JSON object of ours.

    Raises:
        ValueError: the file is missing, is no JSON object, or was written by a newer jominy; names the file and what to do.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist{'; ' + hint if hint else ''}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable JSON ({error}); delete it or restore it, then run the command again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds {type(value).__name__}, not an object; it was not written by jominy")
    check_version(path, value.get("schema_version"))
    return value


def check_version(path: Path, found: Any) -> None:
    """Raise ValueError when a file of ours names no schema version or one that this jominy cannot read.

    Args:
        path: for the message.
        found: what the file says, a number or its text; None when it says nothing.
    """
    if found is None:
        raise ValueError(f"{path} has no `schema_version`; it was not written by jominy")
    if not str(found).isdigit() or int(found) > SCHEMA_VERSION:
        raise ValueError(
            f"{path} has `schema_version` {found}; this jominy reads up to {SCHEMA_VERSION}. Upgrade with `pip install --upgrade jominy`"
        )


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue())


def read_parquet(path: Path, schema: pa.Schema, optional: str | None = None) -> pa.Table:
    """Read a Parquet file of ours, checked against `schema`; the column `optional` may be absent, and then it is in the table too.

    Raises:
        ValueError: not a Parquet file, a newer schema version, a missing column or one of another type; names file and column.
    """
    try:
        found = pq.read_schema(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; the run folder is incomplete, run the command that made it again") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file ({error}); delete it and run again to make it anew") from error
    check_version(path, (found.metadata or {}).get(b"jominy_schema_version", b"").decode() or None)
    if optional not in found.names:
        schema = pa.schema([field for field in schema if field.name != optional], schema.metadata)
    for field in schema:
        if field.name not in found.names:
            raise ValueError(f"{path} has no column `{field.name}`; it holds {', '.join(found.names)}")
        if found.field(field.name).type != field.type:
            raise ValueError(f"{path}: column `{field.name}` is {found.field(field.name).type}, expected {field.type}")
    try:
        return pq.read_table(path, columns=schema.names).select(schema.names).cast(schema)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run again to make it anew") from error


def write_bytes(path: Path, data: Any) -> None:
    """Write a file atomically: aside in the same folder, flushed to disk, renamed. A full disk leaves the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
