"""The rows of a person's Parquet, JSONL or CSV file, read once for rollouts (`tables`) and for prompts (`tasks.file`).

    read_rows(path)             one dictionary a row, each with where it stands, for error messages
    read_columns(path, names)   the named columns as an Arrow table, without keeping what else the rows hold

Both go through the same JSONL and CSV reader, so a broken line reads the same everywhere: file, line, what is wrong.
A CSV cell is text until somebody asks for numbers: `read_columns` makes a column numbers or true/false when every cell is one or empty.
Left out on purpose: what the columns mean, and the run folder's own files (`store`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from jominy.records import Ints

ROWS_AT_A_TIME = 65_536
LONGEST_CSV_CELL = 1 << 30
"""The csv module stops at 131,072 characters unless told, and a long response in a log is longer."""

Located = tuple[str, dict[str, Any]]
"""Where a row stands (`line 3` of a text file, `row 3` of a Parquet file), and the row."""


def read_rows(path: str | Path) -> Iterator[Located]:
    """The rows of a .jsonl, .parquet or .csv file, each with where it stands; CSV cells are text.

    Raises:
        ValueError: no such file, another suffix, no rows, or a row that cannot be read; names file and line.
    """
    path = Path(path)
    _check_kind(path)
    row = None
    for row in READERS[path.suffix](path):
        yield row
    if row is None:
        raise ValueError(f"{path} is empty: it has no rows")


def read_columns(path: Path, names: Collection[str], text_names: Collection[str] = ()) -> tuple[pa.Table, list[str]]:
    """Some columns of a .jsonl, .parquet or .csv file.

    Args:
        path: the file.
        names: columns to keep, where they are there.
        text_names: those that are text in a JSONL or CSV file whatever they look like, e.g. identities: `7` is "7", a list is its JSON.

    Returns:
        The table, and the names of all columns of the file.

    Raises:
        ValueError: as `read_rows`, or a column whose rows hold different kinds of values; names file, column and line.
    """
    if path.suffix == ".parquet":
        _check_kind(path)
        there = parquet_schema(path).names
        return read_parquet_columns(path, [name for name in there if name in names]), there
    import pyarrow as pa

    everything: dict[str, None] = {}
    chunks: list[pa.Table] = []
    rows = read_rows(path)
    while chunk := list(islice(rows, ROWS_AT_A_TIME)):
        found = dict.fromkeys(name for _, row in chunk for name in row)
        everything |= found
        as_text = set(names) if path.suffix == ".csv" else set(text_names)
        kept = {
            name: _column(path, name, chunk, as_text=name in as_text) if name in found else pa.nulls(len(chunk))
            for name in dict.fromkeys(names)
        }
        chunks.append(pa.table(kept))
    table = _joined(path, chunks).select([name for name in everything if name in names])
    if path.suffix == ".csv":
        typed = {name: table[name] if name in text_names else _typed(table[name]) for name in table.column_names}
        table = pa.table(typed)
    return table, list(everything)


def parquet_schema(path: Path) -> pa.Schema:
    """Names, types and metadata of a Parquet file; ValueError when it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise _not_parquet(path, error) from error


def read_parquet_columns(path: Path, names: Sequence[str], repetitive: Collection[str] = ()) -> pa.Table:
    """The named columns of a Parquet file and nothing else.

    Args:
        path: the file.
        names: columns it has; a name given twice comes twice.
        repetitive: text columns to keep as codes into their distinct values, which takes four bytes a row.

    Raises:
        ValueError: the file is damaged or no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, read_dictionary=list(repetitive), pre_buffer=False) as file:
            return file.read(columns=list(dict.fromkeys(names))).select(list(names))
    except (pa.ArrowException, OSError) as error:
        raise _not_parquet(path, error) from error


def words_at(table: pa.Table, name: str, rows_P: Ints) -> tuple[Ints | None, tuple[str, ...]]:
    """The values of a column at some rows as codes into the distinct ones, which are in order of their names.

    (None, ()) where the table has no such column, or one of lists or objects; an empty cell is called `none`.

    >>> import numpy as np, pyarrow as pa
    >>> words_at(pa.table({"task": ["b", "a", "b", None]}), "task", np.array([0, 1, 3]))
    (array([1, 0, 2]), ('a', 'b', 'none'))
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in table.column_names or pa.types.is_nested(table[name].type) or table[name].null_count == table.num_rows:
        return None, ()
    words = pc.fill_null(table[name].take(pa.array(rows_P)).cast(pa.string()), "none").combine_chunks()
    distinct = sorted(words.unique().to_pylist())
    codes_P = pc.index_in(words, value_set=pa.array(distinct, pa.string())).to_numpy(zero_copy_only=False)
    return codes_P.astype(np.int64), tuple(distinct)


def _not_parquet(path: Path, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ValueError(f"{path}: not a whole Parquet file ({reason}); it may be truncated or of another kind")


def _check_kind(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"no file {path}")
    if path.suffix not in READERS:
        raise ValueError(f"{path}: cannot read `{path.suffix}` files; give {', '.join(READERS)}")


def _read_jsonl(path: Path) -> Iterator[Located]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if not text.strip():
                    continue
                row = json.loads(text)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}, {where}: not UTF-8 text ({error.reason} at byte {error.start}); is this a .jsonl file?"
                ) from error
            except json.JSONDecodeError as error:
                cut = "" if line.endswith(b"\n") else "; the file ends in the middle of it, as a truncated file does"
                raise ValueError(f"{path}, {where}: not JSON ({error.msg} at character {error.pos + 1}){cut}") from error
            except RecursionError as error:
                raise ValueError(f"{path}, {where}: nested too deeply to read; a row is a flat JSON object") from error
            except ValueError as error:  # a number with thousands of digits
                raise ValueError(f"{path}, {where}: cannot be read ({error})") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, {where}: a row is a JSON object such as {{'prompt': ...}}, not {type(row).__name__}")
            yield where, row


def _read_parquet(path: Path) -> Iterator[Located]:
    table = read_parquet_columns(path, parquet_schema(path).names)
    number = 0
    for batch in table.to_batches(max_chunksize=ROWS_AT_A_TIME):
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


def _read_csv(path: Path) -> Iterator[Located]:
    csv.field_size_limit(LONGEST_CSV_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            names = reader.fieldnames or ()
            repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if repeated:
                raise ValueError(f"{path}, line 1: the column {repeated[0]!r} is there more than once; rename one of them")
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"{path}, line {reader.line_num}: not as many fields as the {len(names)} columns {', '.join(names)}")
                yield f"line {reader.line_num}", row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {reader.line_num + 1}: not CSV in UTF-8 ({error})") from error


READERS: dict[str, Callable[[Path], Iterator[Located]]] = {".jsonl": _read_jsonl, ".parquet": _read_parquet, ".csv": _read_csv}
"""What can be read, by suffix."""


def _column(path: Path, name: str, chunk: list[Located], *, as_text: bool) -> pa.Array:
    """One column of some rows; true and false among numbers are 1 and 0, and any fraction makes all of them floats."""
    import pyarrow as pa

    values = [row.get(name) for _, row in chunk]
    if as_text:
        values = [value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True) for value in values]
    kinds = {type(value) for value in values} - {type(None)}
    try:
        if len(kinds) > 1 and kinds <= {bool, int, float}:
            values = [None if value is None else float(value) for value in values]
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        odd = _first_odd(values)
        where, value = chunk[odd][0], repr(values[odd])[:60]
        raise ValueError(f"{path}, {where}: column `{name}` mixes types: {value} does not fit the rows before it ({error})") from error


def _first_odd(values: list[Any]) -> int:
    """Position of the first value that Arrow cannot put behind those before it."""
    import pyarrow as pa

    values = [float(value) if isinstance(value, bool) else value for value in values]
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pa.array(values[:middle])
            low = middle
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            high = middle
    return high - 1


def _joined(path: Path, chunks: list[pa.Table]) -> pa.Table:
    """Chunks with different columns as one table: what is absent is empty, true and false among numbers are 1 and 0."""
    import pyarrow as pa

    for name in dict.fromkeys(name for chunk in chunks for name in chunk.column_names):
        kinds = {chunk.schema.field(name).type for chunk in chunks if name in chunk.column_names} - {pa.null()}
        if len(kinds) > 1 and kinds <= {pa.bool_(), pa.int64(), pa.float64()}:
            chunks = [_as_floats(chunk, name) for chunk in chunks]
    try:
        return pa.concat_tables(chunks, promote_options="permissive")
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"{path}: a column mixes types ({error}); every row must hold the same kind of value") from error


def _as_floats(chunk: pa.Table, name: str) -> pa.Table:
    import pyarrow as pa

    if name not in chunk.column_names or pa.types.is_null(chunk[name].type):
        return chunk
    column = chunk[name].cast(pa.int8()) if pa.types.is_boolean(chunk[name].type) else chunk[name]
    return chunk.set_column(chunk.column_names.index(name), name, column.cast(pa.float64(), safe=False))


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A CSV column as numbers or as true/false when every cell is one or empty, else as it is; `nan` and `NA` are empty, as in pandas."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv

    if pa.types.is_null(column.type):
        return column
    empty = pc.is_in(column, value_set=pa.array(pyarrow.csv.ConvertOptions().null_values))
    filled = pc.if_else(empty, pa.scalar(None, pa.string()), pc.utf8_trim_whitespace(column))
    for kind in (pa.float64(), pa.bool_()):
        try:
            return filled.cast(kind)
        except pa.ArrowInvalid:
            continue
    return column
