"""Whose gain is it: the split of each arm's gain between attempts and decisions as tables, measured, and by the chain.

    | policy after | over | distribution | gain | by attempts | by decisions | decisions' lead | share | chain: by attempts | by decisions |

Left out on purpose: how a gain is split (`told`, `chained`).
"""

from __future__ import annotations

from collections.abc import Sequence

from jominy.conclusion import Entry, Table
from jominy.explanation import signed, signed_interval
from jominy.records import Measure
from jominy.studies.decisions.chained import chained_split
from jominy.studies.decisions.claims import gain_measure
from jominy.studies.decisions.design import OPPONENTS, RL
from jominy.studies.decisions.told import IN, START, Split, further_of, mores, split_of, square_with
from jominy.studies.reading import StudyRuns
from jominy.studies.sections import leaves_out_0, measured, table_of

HEADER = ("policy after", "before", "test", "gain", "by attempts", "by decisions", "decisions' lead", "decisions' share")
CHAIN = ("by attempts (chain)", "by decisions (chain)")
NO_SQUARES = "No run has squares."
Row = list[str | Entry]


def difference(measure: Measure) -> Entry:
    """A difference in points, sure where its interval leaves out 0."""
    if measure.value is None:
        return Entry(text=f"undefined ({measure.why_none})", tone="muted")
    return Entry(text=signed(measure.value, "share"), tone="sure" if leaves_out_0(measure) else "", rest=signed_interval(measure))


def swap_tables(runs: StudyRuns, cell: str) -> tuple[Table, Table]:
    """GRPO against the models of SFT, each further task apart; then, folded, every arm against the warm start."""
    opponents = [(runs.title(arm), square_with(arm)) for arm in OPPONENTS if runs.knows(arm) and runs.knows(RL)]
    against_sft = [line for title, against in opponents for line in _lines(runs, cell, RL, title, against)]
    against_start = [line for arm in runs.arms for line in _lines(runs, cell, arm.name, "warm start", START)]
    reasons = {more.get(f"why_no_{against}", "") for _, against in opponents for more in mores(runs, cell, RL).values()} - {""}
    note = "; ".join(sorted(reasons)) + "." if reasons else "" if against_sft else NO_SQUARES
    header = (*HEADER, *CHAIN)
    start = table_of(
        header, against_start, caption=f"`{cell}`, over the warm start", note="" if against_start else NO_SQUARES, folded=bool(against_sft)
    )
    return table_of(header, against_sft, caption=f"`{cell}`, GRPO over SFT", note=note), start


def _lines(runs: StudyRuns, cell: str, arm: str, before: str, against: str) -> list[Row]:
    """In distribution, out of it, and where there are several further tasks each of them."""
    further = further_of(runs, cell)
    asked: list[tuple[str, Sequence[str] | None]] = [(IN, [IN]), ("out of distribution", None)]
    asked += [(name, [name]) for name in further] if len(further) > 1 else []
    lines: list[Row] = []
    for where, tests in asked:
        split = split_of(runs, [cell], arm, tests, against=against)
        if split is not None:
            chain = chained_split(runs, [cell], arm, tests, against=against)
            lines.append([runs.title(arm), before, where, *_parts(split), *_chained(chain)])
    return lines


def _parts(split: Split) -> list[Entry]:
    parts = (split.total, split.sampling, split.decision, split.lead)
    return [*(difference(gain_measure(part)) for part in parts), measured(split.share("the gain"))]


def _chained(split: Split | None) -> list[Entry]:
    if split is None:
        return [Entry(text="–", tone="muted")] * len(CHAIN)
    return [difference(gain_measure(part)) for part in (split.sampling, split.decision)]
