"""The line-by-line files of a training run, and the starting policy's log-probabilities beside an evaluation.

    steps.jsonl                                     one JSON object a line, one line an optimiser step, key `step` (1 = first)
    evaluations.jsonl                               one line an evaluation, key `step` (0 = before training), key `folder`
    audits.jsonl                                    one line a count of the reward's verdicts, key `step` (`paying`)
    evaluations/step-00030/start_logprobs.parquet   prompt_id, index, logprobs_start: each response scored again under the start, T = 1

A line is one write, flushed to disk, so a kill leaves at most one broken line, at the end; the next line starts anew behind it. Readers
leave broken lines out and count them.
Left out on purpose: what the numbers mean (`reporting.training`) and the rollouts (`store`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jominy.records import Floats
from jominy.store import SCHEMA_VERSION, read_parquet, write_bytes, write_parquet

STEPS_FILE = "steps.jsonl"
EVALUATIONS_FILE = "evaluations.jsonl"
AUDITS_FILE = "audits.jsonl"
EXPLANATION_FILE = "explanation.json"
START_LOGPROBS_FILE = "start_logprobs.parquet"

START_LOGPROBS_SCHEMA = pa.schema(
    [("prompt_id", pa.string()), ("index", pa.int32()), ("logprobs_start", pa.list_(pa.float32()))],
    metadata={"jominy_schema_version": str(SCHEMA_VERSION)},
)


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one object to a file of lines, made if it is not there; on disk when this returns.

    A file that ends in half a line (a kill in the middle of a write) gets a line end first, so that the new line stays whole.

    Raises:
        ValueError: the object holds NaN or infinity, which no file of ours may.
    """
    text = json.dumps(dict(line), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            text = text if file.read(1) == b"\n" else b"\n" + text
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a file of lines in order, and how many lines are no JSON object with a whole number `step`; no file is no lines."""
    if not path.is_file():
        return [], 0
    lines = [_object_in(raw) for raw in path.read_bytes().split(b"\n") if raw.strip()]
    return [line for line in lines if line is not None], sum(line is None for line in lines)


def _object_in(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    whole = isinstance(value, dict) and isinstance(value.get("step"), int) and not isinstance(value["step"], bool)
    return value if whole else None


def truncate_after(path: Path, step: int) -> None:
    """Drop the lines of later steps, and broken ones, in one atomic replacement; a file that is not there stays away."""
    if path.is_file():
        kept = [line for line in read_lines(path)[0] if line["step"] <= step]
        write_bytes(path, b"".join(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for line in kept))


def read_steps(folder: Path) -> list[dict[str, Any]]:
    """The steps of a training folder, ascending; of a step that was written twice (a resumed run) the later line."""
    return _by_step(read_lines(folder / STEPS_FILE)[0])


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """The evaluations of a training folder, ascending by step; of a step that was evaluated twice the later line."""
    return _by_step(read_lines(folder / EVALUATIONS_FILE)[0])


def read_audits(folder: Path) -> list[dict[str, Any]]:
    """The counts of the reward's verdicts in a training folder, ascending by step; none where the truth pays."""
    return _by_step(read_lines(folder / AUDITS_FILE)[0])


def first_live_step(lines: Sequence[Mapping[str, Any]]) -> int | None:
    """The first step that drew a mixed group, one whose rewards are not all equal; None when none did.

    >>> first_live_step([{"step": 1, "live_share": 0.0}, {"step": 2, "live_share": None}, {"step": 3, "live_share": 0.25}])
    3
    """
    return next((line["step"] for line in lines if line.get("live_share")), None)


def _by_step(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = {line["step"]: line for line in lines}
    return [last[step] for step in sorted(last)]


def write_start_logprobs(folder: Path, prompt_ids: Sequence[str], indices: Sequence[int], logprobs: Sequence[Floats]) -> None:
    """Write what the starting policy gives each token of the responses in the run folder `folder`.

    Args:
        folder: of the evaluation, where its `rollouts/` are.
        prompt_ids: [N] of the responses.
        indices: [N] each response's number within its prompt.
        logprobs: [N] of [T] nats at temperature 1.
    """
    columns = {"prompt_id": list(prompt_ids), "index": list(indices), "logprobs_start": [np.asarray(row, np.float32) for row in logprobs]}
    write_parquet(folder / START_LOGPROBS_FILE, pa.table(columns, schema=START_LOGPROBS_SCHEMA))


def read_start_logprobs(folder: Path) -> dict[tuple[str, int], Floats] | None:
    """(prompt_id, index) -> [T] nats under the start; None when the file is not there."""
    file = folder / START_LOGPROBS_FILE
    if not file.is_file():
        return None
    rows = read_parquet(file, START_LOGPROBS_SCHEMA).to_pylist()
    return {(row["prompt_id"], row["index"]): np.array(row["logprobs_start"], dtype=np.float64) for row in rows}
