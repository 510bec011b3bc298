"""Where the files of a published set are: the path that a person gives, the folder that JOMINY_DATA names, or `../shared/data`.

Owns the search and the errors of reading JSON, JSON Lines and CSV; what a row has to have is the task's own business.
Left out: the hub, which only `multiif` needs.
"""

from __future__ import annotations

import csv
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jominy.records import Prompt

LARGEST_FIELD = 10_000_000
"""Characters that a CSV field may have; Python's own bound is too small for a conversation."""


def candidates(name: str) -> list[Path]:
    """Where a file or folder of this name may lie, first choice first."""
    return [Path(folder) / name for folder in (os.environ.get("JOMINY_DATA", ""), "../shared/data") if folder]


def find(task: str, names: Sequence[str], given: Path | None) -> Path | None:
    """The path given, or the first of these names that exists; None when none does.

    Raises:
        ValueError: a path is given and nothing is there.
    """
    if given is not None and not given.exists():
        raise ValueError(f"{task}: there is nothing at {given}")
    if given is not None:
        return given
    return next((path for name in names for path in candidates(name) if path.exists()), None)


def missing(task: str, name: str, source: str) -> ValueError:
    """What to raise when a set is nowhere: says where was looked and where the set comes from."""
    looked = ", ".join(str(path) for path in candidates(name))
    return ValueError(f"{task}: nothing at {looked}; get {name} from {source}, then set JOMINY_DATA to its folder or give it: {task}:PATH")


def read_json_rows(path: Path, needed: dict[str, type]) -> list[dict[str, Any]]:
    """The objects of a JSON list, each with these keys of these types.

    Raises:
        ValueError: not JSON, not a list, or a row without a key; says which.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path}: there must be a JSON list with at least one row")
    for number, row in enumerate(rows):
        check_row(f"{path}, row {number}", row, needed)
    return rows


def read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, row) of a .csv with a header or of a JSON Lines file.

    Raises:
        ValueError: a line is not JSON.
    """
    with path.open(encoding="utf-8", newline="") as lines:
        if path.suffix == ".csv":
            csv.field_size_limit(LARGEST_FIELD)
            yield from ((f"{path}, row {number}", row) for number, row in enumerate(csv.DictReader(lines)))
            return
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield f"{path}, line {number}", json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error}); each line must be one JSON object") from error


def check_row(where: str, row: Any, needed: dict[str, type]) -> None:
    """Nothing, when the row has these keys of these types; else a ValueError that names the first it lacks."""
    for key, kind in needed.items():
        if not isinstance(row, dict) or not isinstance(row.get(key), kind):
            raise ValueError(f"{where}: needs {key!r} ({kind.__name__}), as in the published files")


def sample(name: str, prompts: Sequence[Prompt], num_prompts: int, seed: int) -> list[Prompt]:
    """A seeded sample without repetition; all of them, shuffled, when more are asked for."""
    return random.Random(f"{name} {seed}").sample(prompts, min(num_prompts, len(prompts)))
