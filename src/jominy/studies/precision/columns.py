"""Verdicts as `results.json` keeps them: plain columns, and the confusion tables that they are made into.

    truth, said (-1 without a verdict), type, count, prompt, response, soft: one entry a constraint;  types: names

Left out on purpose: asking for verdicts (`judging`), which needs a model; results are read without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jominy.measures.precision import ConfusionTable

COLUMNS = ("truth", "said", "type", "count", "prompt", "response")
UNSCORED = -1


def table_of_columns(columns: Mapping[str, Any]) -> ConfusionTable:
    """What `judging.told_in` wrote, split by constraint type."""
    truth_M, said_M, type_M, count_M, prompt_M, response_M = (np.array(columns[name], dtype=np.int64) for name in COLUMNS)
    return ConfusionTable(
        truth_M=truth_M == 1,
        said_M=said_M == 1,
        scored_M=said_M != UNSCORED,
        type_M=type_M,
        count_M=count_M,
        prompt_M=prompt_M,
        response_M=response_M,
        type_names=tuple(columns["types"]),
    )


def table_by_kind(columns: Mapping[str, Any]) -> ConfusionTable:
    """The same, split by hard and soft in place of types."""
    return replace(table_of_columns(columns), type_M=np.array(columns["soft"], dtype=np.int64), type_names=("hard", "soft"))
