"""How each arm attempts and decides, as tables: in distribution and out of it, on its own states and on the fixed bank.

    | policy | first right | right after wrong | accepts right | accepts wrong | right (bank) | wrong (bank) | forced | broken | cut | ...

Left out on purpose: how a rate is estimated (`told`).
"""

from __future__ import annotations

from collections.abc import Sequence

from jominy.conclusion import Entry, Table
from jominy.formatting import number
from jominy.studies.decisions.estimating import measure_of
from jominy.studies.decisions.exactly import verified
from jominy.studies.decisions.told import (
    IN,
    bank_estimate,
    base_more,
    cells_of,
    counts_on,
    mores,
    rate_measure,
    start_rate,
    tests_of,
)
from jominy.studies.reading import Record, StudyRuns
from jominy.studies.sections import measured, table_of
from jominy.tasks.retry_form import CUT

SHOWN = ("first", "after_wrong", "accept_right", "accept_wrong")
POLICY = ("policy", "first right", "right after wrong", "accepts right", "accepts wrong")
BANK = ("right (bank)", "wrong (bank)")
PER_RESPONSE = ("forced", "broken", "cut", "tokens")


def start_table(runs: StudyRuns) -> Table:
    """The warm starts: can they verify better than they solve?"""
    rows: list[list[str | Entry]] = []
    for cell in cells_of(runs):
        found, base = verified(runs, cell), base_more(runs, cell)
        credit = None if base is None else base["credit_share"]["value"]
        shown = [Entry(text="no bank", tone="muted")] * 4
        if found is not None:
            shown = [measured(one) for one in (found.first, found.balanced, found.youden, found.easier)]
        rows.append([cell, *shown, "–" if credit is None else f"{number(credit, 'share')} %"])
    header = (
        "warm start",
        "first attempts right, new prompts",
        "balanced accuracy (bank)",
        "J (bank)",
        "J minus first",
        "decisions' credit share",
    )
    return table_of(header, rows)


def decision_tables(runs: StudyRuns, cell: str) -> tuple[Table, Table]:
    """In distribution with the bank, then on the further tasks; the warm start first, then a line an arm."""
    inside = [_start_line(runs, cell, [IN], bank=True), *_arm_lines(runs, cell, [IN], bank=True)]
    outside = [_start_line(runs, cell, None, bank=False), *_arm_lines(runs, cell, None, bank=False)]
    note = "The warm start stands on the prompts of the base." if base_more(runs, cell) is not None else "The warm start is not measured."
    note += _shown_among(runs, cell)
    return (
        table_of((*POLICY, *BANK, *PER_RESPONSE), inside, caption=f"`{cell}`, {IN}", note=note),
        table_of((*POLICY, *PER_RESPONSE), outside, caption=f"`{cell}`, on the further tasks"),
    )


def _shown_among(runs: StudyRuns, cell: str) -> str:
    """How many of the held-out prompts, of all seeds together, the warm start was shown."""
    by_seed = {seed: more["shown"] for arm in runs.arms for seed, more in mores(runs, cell, arm.name).items()}
    shown, asked = sum(map(sum, by_seed.values())), sum(map(len, by_seed.values()))
    return f" It was shown {shown} of the {asked} held-out prompts of {len(by_seed)} seeds, and none of the bank's." if asked else ""


def _start_line(runs: StudyRuns, cell: str, tests: Sequence[str] | None, *, bank: bool) -> list[str | Entry]:
    """Of the policy that every arm begins with."""
    found, base = verified(runs, cell), base_more(runs, cell)
    shown = [measured(start_rate(runs, cell, rate, tests)) for rate in SHOWN]
    if bank:
        shown += (
            [Entry(text="no bank", tone="muted")] * 2 if found is None else [measured(found.accept_right), measured(found.accept_wrong)]
        )
    names = tests_of(runs, cell, tests)
    counts = [] if base is None else [base["counts"] if name == IN else base["further"][name] for name in names]
    return ["warm start", *shown, *_per_response(counts)]


def _arm_lines(runs: StudyRuns, cell: str, tests: Sequence[str] | None, *, bank: bool) -> list[list[str | Entry]]:
    rows: list[list[str | Entry]] = []
    for arm in runs.arms:
        found = mores(runs, cell, arm.name)
        if not found:
            continue
        shown = [measured(rate_measure(runs, cell, arm.name, rate, tests)) for rate in SHOWN]
        if bank:
            chances = [bank_estimate(runs, cell, arm.name, tuple(found), correct=correct) for correct in (True, False)]
            shown += [measured(measure_of("bank", one, why_none="no bank", bounds=(0.0, 1.0))) for one in chances]
        counts = [counts_on(more, name) for more in found.values() for name in tests_of(runs, cell, tests)]
        rows.append([arm.title, *shown, *_per_response(counts)])
    return rows


def _per_response(counts: Sequence[Record]) -> list[str | Entry]:
    """Share forced to stand, share broken, share cut, tokens a response."""
    responses = sum(one["num_rollouts"] * len(one["right"]) for one in counts)
    if not responses:
        return ["–"] * len(PER_RESPONSE)
    forced = sum(sum(column) for one in counts for name, column in one["attempts"].items() if name.endswith("forced"))
    broken, tokens = (sum(sum(one[name]) for one in counts) for name in ("broken", "tokens"))
    cut = sum(one["problems"].get(CUT, 0) for one in counts)
    return [*(f"{number(part / responses, 'share')} %" for part in (forced, broken, cut)), number(tokens / responses)]
