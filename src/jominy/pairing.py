"""Two run folders as one comparison: the rollouts of both on the prompts that they share, in the same order.

    folder, folder  ->  Side, Side, (prompts that only the first has, prompts that only the second has)

Left out on purpose: matching responses one to one. Two policies that start from the same seed drift apart at the first different token;
what is paired is the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jominy.groups import Groups
from jominy.records import Bools, Floats
from jominy.store import RunFolder
from jominy.tables import groups_of

COLUMNS = "prompt_id prompt index text answer logprobs_t1 stop reward reward_parts gold policy temperature top_p".split()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """The rollouts of one folder on the common prompts, in their order.

    Example: Side(folder=Path("runs/a/evaluations/step-00000"), table=..., groups=...)
    """

    folder: Path
    """Where they are from."""
    table: pa.Table
    """[N] rows of `COLUMNS`, in the order of `groups`."""
    groups: Groups
    """The same as columns; P common prompts."""

    def mean_P(self, values_N: Floats | Bools, among_N: Bools) -> Floats:
        """[P] mean of a column over the chosen rollouts of each prompt; NaN where there are none."""
        prompt_N = np.repeat(np.arange(self.groups.num_prompts), np.diff(self.groups.offsets_P1))[among_N]
        counts_P = np.bincount(prompt_N, minlength=self.groups.num_prompts)
        sums_P = np.bincount(prompt_N, weights=values_N[among_N], minlength=self.groups.num_prompts)
        return np.where(counts_P > 0, sums_P / np.maximum(counts_P, 1), np.nan)

    def all_N(self) -> Bools:
        """[N] every rollout."""
        return np.ones(self.groups.num_rollouts, dtype=bool)

    def list(self, name: str) -> list[Any]:
        """[N] a column as Python values."""
        return list(self.table[name].to_pylist())


def pair_folders(before: Path, after: Path, success: float) -> tuple[Side, Side, tuple[int, int]]:
    """Both folders on their common prompts, in the order of the first, and how many prompts each has alone.

    Raises:
        ValueError: one is no run folder or holds no rollouts, or they have no prompt in common.
    """
    tables = [_rollouts_of(folder) for folder in (before, after)]
    ids = [list(dict.fromkeys(table["prompt_id"].to_pylist())) for table in tables]
    there = set(ids[1])
    common = [prompt_id for prompt_id in ids[0] if prompt_id in there]
    if not common:
        raise ValueError(f"{before} and {after} have no prompt in common; explain compares two policies on the same prompts")
    sides = []
    for folder, table in zip((before, after), tables, strict=True):
        place = pc.index_in(table["prompt_id"], value_set=pa.array(common, type=pa.string()))
        table = table.append_column("place", place).filter(pc.is_valid(place)).sort_by([("place", "ascending"), ("index", "ascending")])
        sides.append(Side(folder=folder, table=table, groups=groups_of(table, success, path=folder)))
    return sides[0], sides[1], (len(ids[0]) - len(common), len(ids[1]) - len(common))


def _rollouts_of(path: Path) -> pa.Table:
    folder = RunFolder(path)
    if not folder.exists():
        raise ValueError(f"{path} is no run folder (it has no run.json); explain takes two run folders, or a training folder")
    table = folder.rollouts(COLUMNS)
    if table.num_rows == 0:
        raise ValueError(f"{path} holds no rollouts; run the command that made it again to go on from there")
    return table
