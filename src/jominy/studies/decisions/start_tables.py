"""How the warm starts came about, and how they stand in the gate of the study, as tables.

    | warm start | steps | reached its pass rate | shown prompts among those of the base | bank, with a verdict |
    | warm start | test | responses right | room for decisions, points | cut |

Left out on purpose: what is asked of a warm start (`gating`; one that is not that has no runs).
"""

from __future__ import annotations

from jominy.conclusion import Entry, Table
from jominy.formatting import number
from jominy.studies.decisions.gating import start_of_study
from jominy.studies.decisions.told import base_more, cells_of
from jominy.studies.reading import StudyRuns
from jominy.studies.sections import table_of

MADE = ("warm start", "model", "steps", "reached its pass rate", "prompts it was shown", "of the base's prompts", "bank", "with a verdict")
STANDS = ("warm start", "test", "responses right", "room for decisions, points", "cut at the token limit")
REACHED = {True: "yes", False: "no", None: "took all steps"}


def made_table(runs: StudyRuns) -> Table:
    """A line a cell."""
    rows: list[list[str | Entry]] = []
    for cell in cells_of(runs):
        more = base_more(runs, cell)
        if more is None or more["lab"] is None:
            continue
        start, lab = start_of_study(more), more["lab"]
        shown = [str(lab["num_steps"]), REACHED[lab["reached"]], number(float(lab["num_shown"]), "prompts")]
        told = [f"{more['num_shown']} of {len(more['counts']['right'])}", f"{start.num_states} states", _share(start.verdicts)]
        rows.append([cell, Entry(text=lab["name"], tone="code"), *shown, *told])
    return table_of(MADE, rows, note="" if rows else "No warm start is measured.")


def stands_table(runs: StudyRuns) -> Table:
    """A line a cell and test."""
    rows: list[list[str | Entry]] = []
    for cell in cells_of(runs):
        more = base_more(runs, cell)
        if more is None:
            continue
        start = start_of_study(more)
        for test, right in start.right.items():
            room = start.room[test]
            rows.append([cell, test, _share(right), "unknown" if room is None else number(100 * room), _share(start.cut[test])])
    note = (
        "At prompts that it was not shown, but for what was cut. Room: by how much decisions that are always right would raise the share "
        "of right responses, by the chain of attempts."
    )
    return table_of(STANDS, rows, note=note if rows else "No warm start is measured.")


def _share(value: float) -> str:
    return f"{number(value, 'share')} %"
