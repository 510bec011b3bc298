"""The tables of a diagnosis task by task, as rows of cells for the template.

A cell is a measure as a dictionary, or None for a k beyond the task's samples.
Left out on purpose: any number that is not in the diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

REST = {
    "silhouette": "S",
    "null_silhouette": "S of permuted labels",
    "balanced": "Balanced S",
    "coverage": "Coverage",
    "truncated": "Truncated",
    "unscored": "Unscored",
}
"""Fields of a task that make the second table, and their headings."""


def by_task_tables(by_task: Record) -> list[dict[str, Any]]:
    """Pass rates with their mean over the tasks, then the rest; a `results.ByTask` as a dictionary in.

    Returns:
        Two tables, each `columns` (headings of the cells) and `rows` of `name`, `size` ("30 × 256", problems by samples) and `cells`.
    """
    names = {measure["name"] for task in by_task["tasks"] for measure in task["passk"]} - {"pass@1"}
    ks = sorted(names, key=lambda name: int(name.removeprefix("pass@")))
    rates, rest = [], []
    for task in by_task["tasks"]:
        there = {measure["name"]: measure for measure in task["passk"]}
        row = {"name": task["task"], "size": f"{task['num_problems']:,} × {task['num_samples']}"}
        rates.append({**row, "cells": [task["pass_rate"], *(there.get(name) for name in ks)]})
        rest.append({**row, "cells": [task.get(field) for field in REST]})
    first, *others = by_task["average"]
    means = {measure["name"]: measure for measure in others}
    cells = [first, *(means.get(f"mean of {name} over tasks") for name in ks)]
    rates.append({"name": "Mean over tasks", "size": "", "cells": cells})
    return [{"columns": ["avg@K", *ks], "rows": rates}, {"columns": list(REST.values()), "rows": rest}]
