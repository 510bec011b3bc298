"""The rollouts that a person reads: which ones, and what the page needs of each.

    chosen = round-robin over the prompts until the cap: first one rollout of every prompt, then a second ...

With more prompts than the cap, evenly spaced prompts give one rollout each. The choice looks at nothing else, so what is shown is a fair
sample. Files are read one at a time: a run of any size costs the memory of its largest part.
Left out on purpose: sorting and filtering, which the page does, and any judgement beyond right, wrong, unscored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jominy.store import ROLLOUT_SCHEMA, RunFolder, messages_from_json, read_parquet

MAX_ROLLOUTS = 600
"""Rollouts on the page."""
MAX_CHARACTERS = 20_000
"""Longest text shown; the page says where it was cut."""
MAX_TOTAL = 3_000_000
"""Characters of all texts together; with longer responses fewer rollouts are shown, as evenly. Keeps the file below about 20 MB."""

Row = Mapping[str, Any]

COLUMNS = (
    "prompt_id prompt task index text answer pieces logprobs_t1 stop reward reward_parts note gold policy".split()
)  # what the page shows of `ROLLOUT_SCHEMA`


def choose(prompt_ids: Sequence[str], most: int) -> list[int]:
    """Positions of at most `most` rollouts, spread evenly over the prompts, grouped by prompt in order of first appearance.

    >>> choose(["a", "a", "a", "b", "b"], 4)
    [0, 1, 3, 4]
    """
    groups: dict[str, list[int]] = {}
    for position, prompt_id in enumerate(prompt_ids):
        groups.setdefault(prompt_id, []).append(position)
    members = list(groups.values())
    if len(members) > most:
        members = [members[i * len(members) // most][:1] for i in range(most)]
    taken, left = [0] * len(members), most
    for turn in range(max(map(len, members), default=0)):
        for which, group in enumerate(members):
            if turn < len(group) and left:
                taken[which], left = turn + 1, left - 1
    return [position for group, count in zip(members, taken, strict=True) for position in group[:count]]


def read_rows(store: RunFolder, most: int) -> list[dict[str, Any]]:
    """At most `most` rollouts of a run as dictionaries with the columns of the page, and `target` where the prompts are stored.

    Raises:
        ValueError: a file is broken; names it.
    """
    files = store.parts()
    ids = [read_parquet(file, _schema(["prompt_id"]))["prompt_id"].to_pylist() for file in files]
    wanted = choose([prompt_id for part in ids for prompt_id in part], most)
    rank = {position: order for order, position in enumerate(wanted)}
    ranked: list[tuple[int, dict[str, Any]]] = []
    first = 0
    for file, part in zip(files, ids, strict=True):
        here = [position for position in range(first, first + len(part)) if position in rank]
        if here:
            rows = read_parquet(file, _schema(COLUMNS)).take([position - first for position in here]).to_pylist()
            ranked += zip((rank[position] for position in here), rows, strict=True)
        first += len(part)
    targets = _targets(store.path / "prompts.parquet", store)
    return [{**row, "target": targets.get(row["prompt_id"])} for row in thin([row for _, row in sorted(ranked, key=lambda pair: pair[0])])]


def read_rows_of(stores: Sequence[RunFolder], most: int) -> tuple[list[dict[str, Any]], int]:
    """Rollouts of several runs of the same prompts, those of one prompt and number side by side, and how many are stored in all."""
    rows = [row for store in stores for row in read_rows(store, most // len(stores))]
    place = {prompt_id: position for position, prompt_id in enumerate(dict.fromkeys(row["prompt_id"] for row in rows))}
    num_stored = sum(pq.read_metadata(file).num_rows for store in stores for file in store.parts())
    return sorted(rows, key=lambda row: (place[row["prompt_id"]], row["index"])), num_stored


def thin(rows: list[dict[str, Any]], most: int = MAX_TOTAL) -> list[dict[str, Any]]:
    """Fewer rollouts, still spread evenly, when their texts are longer than `most` characters together.

    >>> [row["text"] for row in thin([{"prompt_id": "a", "text": "xxxx"}, {"prompt_id": "a", "text": "y"}], most=3)]
    ['xxxx']
    """
    total = sum(min(len(row["text"] or ""), MAX_CHARACTERS) for row in rows)
    if total <= most:
        return rows
    return [rows[position] for position in choose([row["prompt_id"] for row in rows], max(1, len(rows) * most // total))]


def _schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([ROLLOUT_SCHEMA.field(name) for name in names])


def _targets(file: Path, store: RunFolder) -> dict[str, str | None]:
    return {prompt.id: prompt.target for prompt in store.read_prompts()} if file.is_file() else {}


def outcome(row: Row, success: float) -> str:
    """`right`, `wrong` or `unscored`, by the rule of the diagnosis: gold where known, else the reward, at or above `success`.

    >>> outcome({"reward": 1.0, "gold": 0.0}, success=1.0)
    'wrong'
    """
    reward, gold = row.get("reward"), row.get("gold")
    if reward is None or not math.isfinite(reward):
        return "unscored"
    return "right" if (reward if gold is None else gold) >= success else "wrong"


def rollout_of(row: Row, prompt: int, success: float) -> dict[str, Any]:
    """What the page holds of one rollout, JSON-serialisable.

    Tokens are shaded only where every token has its piece of text and its log-probability and the whole text is shown.

    Args:
        row: a row of the rollouts table.
        prompt: position of its prompt in the page's list.
        success: rewards at or above this are right.
    """
    text = row.get("text") or ""
    pieces, logprobs = row.get("pieces"), row.get("logprobs_t1")
    shaded = pieces is not None and logprobs is not None and len(pieces) == len(logprobs) and len(text) <= MAX_CHARACTERS
    return {
        "prompt": prompt,
        "index": row.get("index"),
        "outcome": outcome(row, success),
        "reward": _finite(row.get("reward")),
        "gold": _finite(row.get("gold")),
        "parts": _parts(row),
        "answer": row.get("answer"),
        "note": row.get("note") or "",
        "stop": row.get("stop"),
        "policy": row.get("policy"),
        "text": text[:MAX_CHARACTERS],
        "characters": len(text),
        "tokens": None if logprobs is None else len(logprobs),
        "pieces": list(pieces) if shaded and pieces is not None else None,
        "logprobs": [_rounded(value) for value in logprobs] if shaded and logprobs is not None else None,
    }


def turns_of(row: Row) -> list[dict[str, str]]:
    """The conversation that a rollout answers, as [{role, content}]; ValueError naming the prompt when the column is no such JSON."""
    try:
        return [{"role": _text(turn.role), "content": _text(turn.content)} for turn in messages_from_json(row["prompt"])]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"rollouts of prompt {row['prompt_id']}: column `prompt` is no JSON list of {{role, content}} ({error!r})"
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text should be")
    return value


def _parts(row: Row) -> dict[str, float]:
    text = row.get("reward_parts")
    try:
        parts = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"rollouts of prompt {row['prompt_id']}: column `reward_parts` is no JSON object ({error})") from error
    if not isinstance(parts, dict):
        raise ValueError(f"rollouts of prompt {row['prompt_id']}: column `reward_parts` is {str(text)[:60]!r}, expected a JSON object")
    return {str(name): float(value) for name, value in parts.items() if isinstance(value, int | float) and math.isfinite(value)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)
