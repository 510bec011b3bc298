"""From a table of rollouts - ours or anybody's - to `Groups`.

Documented columns (only `reward` and one of `prompt_id`, `prompt` are needed):

    prompt_id | prompt   which group a row belongs to
    reward               number, true/false, or empty for unscored
    gold                 true correctness in [0, 1], where the reward may differ from it
    logprobs_t1          list of token log-probabilities in nats at temperature 1
    logprobs             the same at the sampling temperature; used where `temperature` and `top_p` are 1 or absent
    mean_logprob         their mean at temperature 1, for logs that keep no lists
    logprob              their sum, divided by the number of tokens; used where `temperature` and `top_p` are 1 or absent
    temperature | top_p  how it was sampled, for the two columns that depend on it
    stop | truncated     `length` or true when the answer was cut at the token limit
    num_tokens           tokens in the answer, for logs that keep no lists
    token_ids            list of the answer's tokens; only counted
    text                 the answer; read for repetition only, up to 200,000 rows
    note                 why there is no reward
    num_choices          size of the answer space when a blind guess can be right
    task                 where the prompt is from; a table of several tasks is measured task by task as well

Other names are mapped on the way in: `read_rollouts(path, {"reward": "score"})`. Nothing else is read.

- Of several columns with log-probabilities the first in this list counts. No log-probability is above 0.
- `logprob` without a number of tokens is left out, for its mean cannot be known; when it was mapped on purpose that is an error.
  A column that is a mean already is `mean_logprob`.
- In the folder of a training run a prompt comes again in later steps, drawn anew by another policy under another seed: each time is a group
  of its own, called `9f2c`, `9f2c (2)` and so on. Its column `seed` tells them apart; nobody else's does.
- In a table with gold somewhere, a row without gold is right when its reward says so, and stays out of the false pay share.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jominy.files import parquet_schema, read_columns, read_parquet_columns, words_at
from jominy.groups import Groups
from jominy.records import Bools, Floats, Ints
from jominy.store import ROLLOUT_SCHEMA, RunFolder, check_version

MAX_TEXTS_FOR_REPETITION = 200_000
REPETITIVE_AT = 0.5
LARGEST_LOGPROB = 1e-6
"""Nats; a log-probability of float32 may end this far above 0."""
LISTS = ("logprobs_t1", "logprobs", "token_ids")
NAMES = ("prompt_id", "prompt", "task", "stop", "text", "note")
NUMBERS = ("reward", "gold", "mean_logprob", "logprob", "temperature", "top_p", "truncated", "num_tokens", "num_choices")
COLUMNS = (*NAMES, *NUMBERS, *LISTS)
REPETITIVE_TEXT = ("prompt_id", "prompt", "task", "stop", "note")


def read_rollouts(path: Path, columns: Mapping[str, str] | None = None) -> pa.Table:
    """The documented columns of the rollouts of a run folder, or of a Parquet, JSONL or CSV file, under our names.

    Args:
        path: where they are.
        columns: our name -> the file's name, where they differ, e.g. `{"reward": "score", "prompt": "input"}`.

    Raises:
        ValueError: nothing there, an empty, broken or foreign file, a missing column; names file, line or column and what to do.
    """
    if path.is_dir():
        if columns:
            raise ValueError(f"{path} is a run folder, whose columns have our names already; leave `--columns` away")
        return _rows_of_folder(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give a run folder or a .parquet, .jsonl or .csv file of rollouts")
    table = _rows_of_parquet(path, columns or {}) if path.suffix == ".parquet" else _rows_of_text(path, columns or {})
    if table.num_rows == 0:
        raise ValueError(f"{path} is empty: it has no rows; is the run that writes it finished?")
    return table


def _rows_of_folder(path: Path) -> pa.Table:
    folder = RunFolder(path)
    if not folder.exists():
        raise ValueError(f"{path} is no run folder (it has no run.json); give a run folder or a .parquet, .jsonl or .csv file of rollouts")
    parts = folder.parts()
    there = [name for name in parquet_schema(parts[0]).names if name in ROLLOUT_SCHEMA.names] if parts else []
    table = _lean(_source_of(there, {}, path), folder.rollouts) if parts else ROLLOUT_SCHEMA.empty_table()
    if table.num_rows == 0:
        raise ValueError(f"{path} holds no rollouts yet; run the command that made it again to go on from there")
    if folder.read_run().get("verb") == "train":
        table = table.append_column("seed", folder.rollouts(["seed"]).column(0))
    choices = folder.num_choices()
    if not choices:
        return table
    which = pc.index_in(table["prompt_id"], value_set=pa.array(list(choices), type=pa.string()))
    return table.append_column("num_choices", pa.array(list(choices.values()), type=pa.int64()).take(which))


def _rows_of_parquet(path: Path, columns: Mapping[str, str]) -> pa.Table:
    schema = parquet_schema(path)
    version = (schema.metadata or {}).get(b"jominy_schema_version")
    if version is not None:
        check_version(path, version.decode())
    source = _source_of(schema.names, columns, path)
    coded = [source[name] for name in REPETITIVE_TEXT if name in source and pa.types.is_string(schema.field(source[name]).type)]
    return _lean(source, lambda names: read_parquet_columns(path, names, coded))


def _rows_of_text(path: Path, columns: Mapping[str, str]) -> pa.Table:
    taken = {*columns.values(), *(name for name in COLUMNS if name not in columns)}
    table, everything = read_columns(path, taken, {columns.get(name, name) for name in NAMES})
    source = _source_of(everything, columns, path)
    return table.select(list(source.values())).rename_columns(list(source))


def _source_of(there: Sequence[str], columns: Mapping[str, str], path: Path) -> dict[str, str]:
    """Our name -> the file's name, of the documented columns that a file with the columns `there` has."""
    listed = ", ".join(there)
    for ours, theirs in columns.items():
        if theirs not in there:
            raise ValueError(f"{path} has no column `{theirs}` (asked for as `{ours}`); it holds {listed}")
        if ours not in COLUMNS:
            raise ValueError(f"`{ours}` is none of our columns, so `{ours}={theirs}` means nothing; ours are {', '.join(COLUMNS)}")
    source = {name: name for name in COLUMNS if name in there and name not in columns.values()} | dict(columns)
    if "reward" not in source:
        raise ValueError(f"{path} has no column `reward`; it holds {listed}. Name yours with `--columns reward=YOURS`")
    if "prompt_id" not in source and "prompt" not in source:
        raise ValueError(f"{path} has neither `prompt_id` nor `prompt`; it holds {listed}. Name yours with `--columns prompt=YOURS`")
    if "logprob" in columns and not {"num_tokens", *LISTS} & set(source):
        raise ValueError(
            f"{path}: `logprob` is a sum over tokens and needs their number; name it with `--columns num_tokens=YOURS`, "
            f"or, where `{columns['logprob']}` is a mean already, give `mean_logprob={columns['logprob']}`"
        )
    return source


def _lean(source: Mapping[str, str], load: Callable[[list[str]], pa.Table]) -> pa.Table:
    """The columns of `source` that say something new: no prompt beside its id, no more lists beside complete ones, no text of big logs."""
    later = ("text", "logprobs", "token_ids")
    first = [name for name in source if name not in later and not (name == "prompt" and "prompt_id" in source)]
    table = load([source[name] for name in first]).rename_columns(first)
    for name in later:
        complete = any(table[one].null_count == 0 for one in LISTS if one in table.column_names)
        if name in source and (table.num_rows <= MAX_TEXTS_FOR_REPETITION if name == "text" else not complete):
            table = table.append_column(name, load([source[name]]).column(0))
    return table


def groups_of(table: pa.Table, success: float = 1.0, *, path: Path | None = None) -> Groups:
    """The columns a measure needs, grouped by prompt; groups keep the order in which they first appear.

    Args:
        table: as `read_rollouts` gives it.
        success: a response is right when its gold, or else its reward, is at least this; gold lies in [0, 1], so 1 is enough for it.
        path: where the table is from, for messages.

    Raises:
        ValueError: a column that is no number or a log-probability above 0, naming file, column and row.

    >>> groups_of(pa.table({"prompt": ["b", "a", "b"], "reward": [1, 0, None]})).offsets_P1
    array([0, 2, 3])
    """
    try:
        return _groups_of(table, success)
    except ValueError as error:
        raise ValueError(f"{error}" if path is None else f"{path}: {error}") from error


def _groups_of(table: pa.Table, success: float) -> Groups:
    codes_N, prompt_ids = _codes(table)
    if "seed" in table.column_names:
        codes_N, prompt_ids = _by_draw(codes_N, _numbers(table, "seed")[0], prompt_ids)
    # None where the rows of a group stand together already: most logs, and then no column is copied.
    order_N = None if bool(np.all(codes_N[1:] >= codes_N[:-1])) else np.argsort(codes_N, kind="stable")
    offsets_P1 = np.concatenate(([0], np.cumsum(np.bincount(codes_N, minlength=len(prompt_ids)))))
    rewards_N, scored_N = _numbers(table, "reward")
    right_N, paid_N = rewards_N >= success, None
    gold_N, has_gold_N = _numbers(table, "gold")
    if has_gold_N.any():
        paid_N = has_gold_N & scored_N & right_N
        right_N = np.where(has_gold_N, gold_N >= min(success, 1.0), right_N)
    num_tokens_N = _num_tokens(table)
    choices_N = _whole_numbers(table, "num_choices") if "num_choices" in table.column_names else None
    first_P = offsets_P1[:-1] if order_N is None else order_N[offsets_P1[:-1]]
    task_P, tasks = words_at(table, "task", first_P)
    return Groups(
        offsets_P1=offsets_P1,
        rewards_N=_in_order(rewards_N, order_N),
        scored_N=_in_order(scored_N, order_N),
        correct_N=_in_order(scored_N & right_N, order_N),
        paid_N=_in_order(paid_N, order_N),
        probability_N=_in_order(_probabilities(table, num_tokens_N), order_N),
        truncated_N=_in_order(_truncated(table), order_N),
        num_tokens_N=_in_order(num_tokens_N, order_N),
        repetitive_N=_in_order(_repetitive(table), order_N),
        prompt_ids=prompt_ids,
        num_choices_P=None if choices_N is None else choices_N[first_P],
        task_P=task_P,
        tasks=tasks,
    )


def _in_order(column_N: NDArray[Any] | None, order_N: Ints | None) -> Any:
    return column_N if column_N is None or order_N is None else column_N[order_N]


def _codes(table: pa.Table) -> tuple[Ints, tuple[str, ...]]:
    """[N] which group each row belongs to, numbered by first appearance, and the [P] identities."""
    name = "prompt_id" if "prompt_id" in table.column_names else "prompt"
    keys = table[name]
    if pa.types.is_nested(keys.type):
        keys = pa.chunked_array([[None if value is None else json.dumps(value, sort_keys=True) for value in keys.to_pylist()]], pa.string())
    encoded = (keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()).unify_dictionaries()
    if encoded.num_chunks == 0:
        return np.zeros(0, dtype=np.int64), ()
    missing = np.concatenate([chunk.is_null().to_numpy(zero_copy_only=False) for chunk in encoded.chunks])
    if missing.any():
        raise ValueError(
            f"column `{name}`: {np.count_nonzero(missing)} rows are empty, the first is row {int(missing.argmax()) + 1}; "
            "every rollout must say which group it belongs to"
        )
    codes_N = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks])
    values = encoded.chunk(0).dictionary
    # Of equal indices NumPy keeps the last that is assigned, so from behind it is the first appearance.
    first_V = np.full(len(values), len(codes_N), dtype=np.int64)
    first_V[codes_N[::-1]] = np.arange(len(codes_N) - 1, -1, -1)
    ranked_V = np.argsort(first_V, kind="stable")[: np.count_nonzero(first_V < len(codes_N))]
    rank_V = np.zeros(len(values), dtype=np.int32 if len(values) < 2**31 else np.int64)
    rank_V[ranked_V] = np.arange(len(ranked_V))
    return rank_V[codes_N], tuple(str(key) for key in values.take(pa.array(ranked_V)).to_pylist())


def _by_draw(codes_N: Ints, seeds_N: Floats, prompt_ids: tuple[str, ...]) -> tuple[Ints, tuple[str, ...]]:
    """Groups cut where a prompt was drawn under several seeds, numbered by first appearance, and their names.

    >>> _by_draw(np.array([0, 0, 1, 0]), np.array([5.0, 5.0, 5.0, 6.0]), ("a", "b"))
    (array([0, 0, 1, 2]), ('a', 'b', 'a (2)'))
    """
    _, seed_N = np.unique(seeds_N, return_inverse=True)
    if not seed_N.any():
        return codes_N, prompt_ids
    keys_N = codes_N.astype(np.int64) * (int(seed_N.max()) + 1) + seed_N
    _, first_V, value_N = np.unique(keys_N, return_index=True, return_inverse=True)
    ranked_V = np.argsort(first_V, kind="stable")
    rank_V = np.empty_like(ranked_V)
    rank_V[ranked_V] = np.arange(len(ranked_V))
    times: Counter[int] = Counter()
    names = []
    for code in codes_N[first_V[ranked_V]].tolist():
        times[code] += 1
        names.append(prompt_ids[code] if times[code] == 1 else f"{prompt_ids[code]} ({times[code]})")
    return rank_V[value_N], tuple(names)


def _numbers(table: pa.Table, name: str) -> tuple[Floats, Bools]:
    """[N] values and which of them are there; an absent column is all missing, NaN and infinity count as missing."""
    if name not in table.column_names:
        return np.zeros(table.num_rows), np.zeros(table.num_rows, dtype=bool)
    column = table[name]
    try:
        values = (column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column).cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row, value = _first_word(column)
        raise ValueError(
            f"column `{name}` is {column.type}, expected numbers or true/false; row {row} holds {str(value)[:60]!r} ({error})"
        ) from error
    numbers = values.fill_null(np.nan).to_numpy()
    there = np.isfinite(numbers)
    return numbers if there.all() else np.where(there, numbers, 0.0), there


def _first_word(column: pa.ChunkedArray) -> tuple[int, object]:
    """Row (from 1) and value of the first that is no number."""
    values = column.to_pylist()
    for row, value in enumerate(values, start=1):
        try:
            float(value or 0)
        except (TypeError, ValueError):
            return row, value
    return 1, values[0]


def _probabilities(table: pa.Table, num_tokens_N: Ints | None) -> Floats | None:
    """[N] geometric-mean token probability at temperature 1 (2601.06911, eq. 1); None when no column gives it."""
    names = [name for name in table.column_names if table[name].null_count < table.num_rows]
    if "logprobs_t1" in names:
        return np.exp(_mean_of_lists(table, "logprobs_t1"))
    if "logprobs" in names:
        return _at_temperature_one(table, _mean_of_lists(table, "logprobs"))
    if "mean_logprob" in names:
        means_N, known_N = _logprobs(table, "mean_logprob")
        return np.where(known_N, np.exp(means_N), np.nan)
    if "logprob" in names and num_tokens_N is not None:
        sums_N, known_N = _logprobs(table, "logprob")
        means_N = np.where(known_N & (num_tokens_N > 0), sums_N / np.maximum(num_tokens_N, 1), np.nan)
        return _at_temperature_one(table, means_N)
    return None


def _at_temperature_one(table: pa.Table, means_N: Floats) -> Floats:
    """[N] probabilities; NaN in rows that were drawn otherwise than at temperature 1 from the whole distribution."""
    (temperature_N, known_N), (top_p_N, cut_N) = _numbers(table, "temperature"), _numbers(table, "top_p")
    usable_N = (~known_N | (temperature_N == 1.0)) & (~cut_N | (top_p_N == 1.0))
    return np.where(usable_N, np.exp(means_N), np.nan)


def _logprobs(table: pa.Table, name: str) -> tuple[Floats, Bools]:
    """[N] log-probabilities of whole rows, and which are there."""
    values_N, known_N = _numbers(table, name)
    if bool((values_N > LARGEST_LOGPROB).any()):
        row = int((values_N > LARGEST_LOGPROB).argmax())
        raise _above_zero(name, row, float(values_N[row]))
    return values_N, known_N


def _above_zero(name: str, row: int, value: float) -> ValueError:
    return ValueError(
        f"column `{name}`, row {row + 1}: {value:g} is no log-probability in nats, which is at most 0; is it a probability or its negative?"
    )


def _mean_of_lists(table: pa.Table, name: str) -> Floats:
    """[N] mean of each row's list; NaN where the list is missing, empty or holds anything but finite numbers."""
    kind = table[name].type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise ValueError(f"column `{name}` is {kind}, expected a list of token log-probabilities a row")
    means = np.full(table.num_rows, np.nan)
    first = 0
    for lists in (chunk for chunk in table[name].chunks if len(chunk)):
        means[first : first + len(lists)] = _means_of_chunk(lists, name, first)
        first += len(lists)
    return means


def _means_of_chunk(lists: pa.Array, name: str, first_row: int) -> Floats:
    offsets = lists.offsets.to_numpy()
    try:
        flat = lists.values[offsets[0] : offsets[-1]].cast(pa.float64()).fill_null(np.nan)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column `{name}` is {lists.type}, expected a list of numbers a row ({error})") from error
    values, offsets = flat.to_numpy(zero_copy_only=False), offsets - offsets[0]
    if bool((values > LARGEST_LOGPROB).any()):
        where = int((values > LARGEST_LOGPROB).argmax())
        raise _above_zero(name, first_row + int(np.searchsorted(offsets, where, side="right")) - 1, float(values[where]))
    finite = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    lengths = np.diff(offsets)
    whole = (lengths > 0) & (counts[offsets[1:]] - counts[offsets[:-1]] == lengths) & lists.is_valid().to_numpy(zero_copy_only=False)
    means = np.full(len(lists), np.nan)
    np.divide(sums[offsets[1:]] - sums[offsets[:-1]], lengths, out=means, where=whole)
    return means


def _num_tokens(table: pa.Table) -> Ints | None:
    for name in ("token_ids", "logprobs_t1", "logprobs"):
        if name in table.column_names and table[name].null_count == 0 and pa.types.is_nested(table[name].type):
            return np.asarray(pc.list_value_length(table[name]).to_numpy(), dtype=np.int64)
    return _whole_numbers(table, "num_tokens") if "num_tokens" in table.column_names else None


def _whole_numbers(table: pa.Table, name: str) -> Ints:
    """[N] whole numbers from 0 up; 0 where missing."""
    values_N = _numbers(table, name)[0]
    bad_N = (values_N < 0) | (values_N > 2**53) | (values_N != np.floor(values_N))
    if bad_N.any():
        row = int(bad_N.argmax())
        raise ValueError(f"column `{name}`, row {row + 1}: {values_N[row]:g} is no whole number from 0 up")
    return values_N.astype(np.int64)


def _truncated(table: pa.Table) -> Bools | None:
    if "stop" in table.column_names:
        cut = pc.fill_null(pc.equal(table["stop"].cast(pa.string()), "length"), False)
        return np.asarray(cut.to_numpy(), dtype=bool)
    if "truncated" in table.column_names:
        values, there = _numbers(table, "truncated")
        return np.asarray(there & (values != 0), dtype=bool)
    return None


def _repetitive(table: pa.Table) -> Bools | None:
    if "text" not in table.column_names or table.num_rows > MAX_TEXTS_FOR_REPETITION:
        return None
    return np.array([repetition(text or "") >= REPETITIVE_AT for text in table["text"].cast(pa.string()).to_pylist()], dtype=bool)


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
