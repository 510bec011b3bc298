"""From a table of rollouts - ours or anybody's - to `Groups`.

Documented columns (only `reward` and one of `prompt_id`, `prompt` are needed):

    prompt_id | prompt   which group a row belongs to
    reward               number, true/false, or empty for unscored
    gold                 true correctness in [0, 1], where the reward may differ from it
    logprobs_t1          list of token log-probabilities in nats at temperature 1
    logprobs             the same at the sampling temperature; used when `temperature` is 1 or absent
    mean_logprob         their mean, for logs that keep no lists
    stop | truncated     `length` or true when the answer was cut at the token limit
    num_tokens           tokens in the answer, for logs that keep no lists
    text                 the answer; read for repetition only
    num_choices          size of the answer space when a blind guess can be right

Other names are mapped on the way in: `read_rollouts(path, {"reward": "score"})`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from jominy.groups import Groups
from jominy.records import Bools, Floats, Ints
from jominy.store import RunFolder

MAX_TEXTS_FOR_REPETITION = 200_000
REPETITIVE_AT = 0.5


def read_rollouts(path: Path, columns: Mapping[str, str] | None = None) -> pa.Table:
    """The rollouts of a run folder, or of a Parquet, JSONL or CSV file.

    Args:
        path: where they are.
        columns: our name -> the file's name, where they differ, e.g. `{"reward": "score", "prompt": "input"}`.

    Raises:
        ValueError: nothing there, an empty, broken or foreign file, a missing column; names file, line or column and what to do.
    """
    if path.is_dir():
        return _rows_of_folder(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give a run folder or a .parquet, .jsonl or .csv file of rollouts")
    table = _rename(_read_file(path), columns or {}, path)
    if table.num_rows == 0:
        raise ValueError(f"{path} holds no rows; is the run that writes it finished?")
    _require_columns(table, path)
    return table


def _rows_of_folder(path: Path) -> pa.Table:
    folder = RunFolder(path)
    if not folder.exists():
        raise ValueError(f"{path} is no run folder (it has no run.json); give a run folder or a .parquet, .jsonl or .csv file of rollouts")
    table = folder.rollouts()
    if table.num_rows == 0:
        raise ValueError(f"{path} holds no rollouts yet; run the command that made it again to go on from there")
    return table


def _read_file(path: Path) -> pa.Table:
    readers = {".parquet": _read_parquet, ".jsonl": _read_jsonl, ".csv": _read_csv}
    if path.suffix not in readers:
        raise ValueError(f"{path}: cannot read `{path.suffix}` files; give .parquet, .jsonl or .csv")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes)")
    return readers[path.suffix](path)


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a whole Parquet file ({error}); copy or write it again") from error


def _read_csv(path: Path) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable CSV file ({error})") from error


def _read_jsonl(path: Path) -> pa.Table:
    rows: list[dict[str, Any]] = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error}); the file may be cut off or of another kind") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: holds {type(row).__name__}, expected an object with one rollout")
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no rows; is the run that writes it finished?")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _column_of(name, [row.get(name) for row in rows], path) for name in names})


def _column_of(name: str, values: list[Any], path: Path) -> pa.Array:
    if any(isinstance(value, dict) for value in values) or name in ("prompt", "prompt_id"):
        values = [value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True) for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{path}: column `{name}` mixes types ({error}); every row must hold the same kind of value") from error


def _rename(table: pa.Table, columns: Mapping[str, str], path: Path) -> pa.Table:
    for ours, theirs in columns.items():
        if theirs not in table.column_names:
            raise ValueError(f"{path} has no column `{theirs}` (asked for as `{ours}`); it holds {', '.join(table.column_names)}")
        if ours in table.column_names and ours != theirs:
            table = table.drop_columns([ours])
    back = {theirs: ours for ours, theirs in columns.items()}
    return table.rename_columns([back.get(name, name) for name in table.column_names])


def _require_columns(table: pa.Table, path: Path) -> None:
    names = table.column_names
    if "reward" not in names:
        raise ValueError(f"{path} has no column `reward`; it holds {', '.join(names)}. Name yours with `--columns reward=YOURS`")
    if "prompt_id" not in names and "prompt" not in names:
        raise ValueError(
            f"{path} has neither `prompt_id` nor `prompt`; it holds {', '.join(names)}. Name yours with `--columns prompt=YOURS`"
        )


def groups_of(table: pa.Table, success: float = 1.0) -> Groups:
    """The columns a measure needs, grouped by prompt; groups keep the order in which they first appear.

    Args:
        table: as `read_rollouts` gives it.
        success: a response is right when its gold, or else its reward, is at least this.

    Raises:
        ValueError: a column that is no number, naming it and the first value that is none.
    """
    keys = table["prompt_id" if "prompt_id" in table.column_names else "prompt"]
    if pa.types.is_nested(keys.type):
        keys = pa.array([json.dumps(value, sort_keys=True) for value in keys.to_pylist()])
    if keys.null_count:
        raise ValueError(f"{keys.null_count} rows have no prompt_id or prompt; every rollout must say which group it belongs to")
    encoded = pc.dictionary_encode(keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes_N = encoded.indices.to_numpy(zero_copy_only=False)
    in_order = bool(np.all(np.diff(codes_N) >= 0))
    order_N = None if in_order else np.argsort(codes_N, kind="stable")
    arranged = table if order_N is None else table.take(pa.array(order_N))
    num_prompts = len(encoded.dictionary)
    offsets_P1 = np.concatenate(([0], np.cumsum(np.bincount(codes_N, minlength=num_prompts))))
    rewards_N, scored_N = _numbers(arranged, "reward")
    gold_N, has_gold_N = _numbers(arranged, "gold")
    correct_N = np.where(has_gold_N, gold_N, rewards_N) >= success
    choices_N, _ = _numbers(arranged, "num_choices")
    return Groups(
        offsets_P1=offsets_P1,
        rewards_N=rewards_N,
        scored_N=scored_N,
        correct_N=scored_N & correct_N,
        paid_N=has_gold_N & scored_N & (rewards_N >= success) if has_gold_N.any() else None,
        probability_N=_probabilities(arranged),
        truncated_N=_truncated(arranged),
        num_tokens_N=_num_tokens(arranged),
        repetitive_N=_repetitive(arranged),
        prompt_ids=tuple(str(key) for key in encoded.dictionary.to_pylist()),
        num_choices_P=choices_N[offsets_P1[:-1]].astype(np.int64) if "num_choices" in table.column_names else None,
    )


def _numbers(table: pa.Table, name: str) -> tuple[Floats, Bools]:
    """[N] values and which of them are there; an absent column is all missing, NaN and infinity count as missing."""
    if name not in table.column_names:
        return np.zeros(table.num_rows), np.zeros(table.num_rows, dtype=bool)
    column = table[name]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    try:
        values = column.cast(pa.float64()).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column `{name}` is {column.type}, expected numbers or true/false ({error})") from error
    numbers = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    there = np.isfinite(numbers)
    return np.where(there, numbers, 0.0), there


def _probabilities(table: pa.Table) -> Floats | None:
    """[N] geometric-mean token probability at temperature 1 (2601.06911, eq. 1); None when no column gives it."""
    names = table.column_names
    if "logprobs_t1" in names and table["logprobs_t1"].null_count < table.num_rows:
        return np.exp(_mean_of_lists(table["logprobs_t1"]))
    if "logprobs" in names and table["logprobs"].null_count < table.num_rows:
        temperature_N, known_N = _numbers(table, "temperature")
        usable_N = ~known_N | (temperature_N == 1.0)
        return np.where(usable_N, np.exp(_mean_of_lists(table["logprobs"])), np.nan) if usable_N.any() else None
    if "mean_logprob" in names:
        means_N, known_N = _numbers(table, "mean_logprob")
        return np.where(known_N, np.exp(means_N), np.nan)
    return None


def _lists(column: pa.ChunkedArray) -> pa.Array:
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise ValueError(f"a column of log-probabilities is {column.type}, expected a list of numbers a row")
    return column.combine_chunks()


def _mean_of_lists(column: pa.ChunkedArray) -> Floats:
    lists = _lists(column)
    values = lists.values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    offsets = lists.offsets.to_numpy()
    finite = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    lengths = np.diff(offsets)
    whole = (lengths > 0) & (counts[offsets[1:]] - counts[offsets[:-1]] == lengths)
    means = np.full(len(lists), np.nan)
    np.divide(sums[offsets[1:]] - sums[offsets[:-1]], lengths, out=means, where=whole)
    return means


def _num_tokens(table: pa.Table) -> Ints | None:
    for name in ("token_ids", "logprobs_t1", "logprobs"):
        if name in table.column_names and table[name].null_count == 0:
            return np.asarray(pc.list_value_length(table[name]).to_numpy(), dtype=np.int64)
    if "num_tokens" in table.column_names:
        return _numbers(table, "num_tokens")[0].astype(np.int64)
    return None


def _truncated(table: pa.Table) -> Bools | None:
    if "stop" in table.column_names:
        cut_N: Bools = np.asarray(pc.fill_null(pc.equal(table["stop"].cast(pa.string()), "length"), False).to_numpy(), dtype=bool)
        return cut_N
    if "truncated" in table.column_names:
        values, there = _numbers(table, "truncated")
        return np.asarray(there & (values != 0), dtype=bool)
    return None


def _repetitive(table: pa.Table) -> Bools | None:
    if "text" not in table.column_names or table.num_rows > MAX_TEXTS_FOR_REPETITION:
        return None
    return np.array([repetition(text or "") >= REPETITIVE_AT for text in table["text"].cast(pa.string()).to_pylist()], dtype=bool)


def spread_rows(num_rows: int, at_most: int) -> pa.Array:
    """At most `at_most` row numbers, spread evenly over the table.

    >>> spread_rows(10, 3).to_pylist()
    [0, 3, 6]
    """
    return pa.array(np.arange(min(num_rows, at_most)) * num_rows // max(min(num_rows, at_most), 1))


def repetition(text: str) -> float:
    """Share of a text's word 4-grams that occurred before in it, in [0, 1); 0 for texts under 20 words.

    >>> repetition("the cat sat on " * 10)
    0.8918918918918919
    """
    words = text.split()
    if len(words) < 20:
        return 0.0
    grams = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return 1.0 - len(set(grams)) / len(grams)
