"""Verdicts as `results.json` keeps them: plain columns, and the confusion tables that they are made into.

    truth, said (-1 without a verdict), odds (null of a free answer), type, count, prompt, response, soft: one entry a constraint
    types, ids: names of types and prompts, whose places stand in the columns

Left out on purpose: asking for verdicts (`judging`), which needs a model; results are read without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jominy.auditing.store import VERDICTS_FILE, read_rows_of
from jominy.measures.precision import ConfusionTable
from jominy.rewards.aggregating import KINDS

COLUMNS = ("truth", "said", "type", "count", "prompt", "response", "soft")
UNSCORED = -1
SOURCES = ("pairs", "run", "probe")
MOST_NOTES = 3


def table_of_columns(columns: Mapping[str, Any]) -> ConfusionTable:
    """What `columns_of` wrote, split by constraint type, and into hard and soft."""
    truth_M, said_M, type_M, count_M, prompt_M, response_M, soft_M = (np.array(columns[name], dtype=np.int64) for name in COLUMNS)
    return ConfusionTable(
        truth_M=truth_M == 1,
        said_M=said_M == 1,
        scored_M=said_M != UNSCORED,
        type_M=type_M,
        count_M=count_M,
        prompt_M=prompt_M,
        response_M=response_M,
        type_names=tuple(columns["types"]),
        kind_M=np.where(soft_M == 1, KINDS.index("soft"), KINDS.index("hard")),
        kind_names=KINDS,
    )


def told_in(out: Path) -> dict[str, Any]:
    """`sources`: the verdicts of an audit's folder as columns, of those of SOURCES that it has; `notes`: why some are missing.

    Raises:
        ValueError: no verdicts on constraints are there, or they do not say which constraint is soft; says what to do.
    """
    rows = [row for row in read_rows_of(out / VERDICTS_FILE).to_pylist() if row["repeat"] == 0]
    known = [row for row in rows if row["truth"] is not None]
    if any(row["constraint"] is None for row in known):
        raise ValueError(f"{out} holds verdicts on whole responses, of a reward; audit a judge: --judge")
    if any(row["constraint_kind"] is None for row in known):
        raise ValueError(f"{out} was written by an earlier version, which did not keep what is hard and soft; audit once more, --overwrite")
    notes = Counter(row["note"] for row in rows if row["said"] is None)
    of = {name: [row for row in known if row["source"] == name] for name in SOURCES}
    return {"sources": {name: columns_of(some) for name, some in of.items() if some}, "notes": dict(notes.most_common(MOST_NOTES))}


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """One entry a constraint."""
    types = sorted({row["type"] for row in rows})
    prompts = {key: place for place, key in enumerate(dict.fromkeys(row["prompt_id"] for row in rows))}
    return {
        "truth": [int(row["truth"]) for row in rows],
        "said": [UNSCORED if row["said"] is None else int(row["said"]) for row in rows],
        "odds": [None if row["log_odds"] is None else round(row["log_odds"], 4) for row in rows],
        "type": [types.index(row["type"]) for row in rows],
        "count": [row["count"] for row in rows],
        "prompt": [prompts[row["prompt_id"]] for row in rows],
        "response": [row["item"] for row in rows],
        "soft": [int(row["constraint_kind"] == "soft") for row in rows],
        "types": types,
        "ids": list(prompts),
    }
