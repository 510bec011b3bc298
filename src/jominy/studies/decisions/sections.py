"""What the study of 2601.01580 shows beyond every other: gains beyond the task, decisions, the swap, KL, budgets, coefficients, identities.

Left out on purpose: verdicts (`claims`), pictures (`plots`), tables of decisions and of the swap (`decision_tables`, `swap_tables`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.conclusion import Conclusion, Entry, Section, Table
from jominy.decided import OURS as DEFINITIONS
from jominy.formatting import number
from jominy.studies.decisions.claims import beyond_half, gain_measure, gap_closed, opponents_of, part_and_gap
from jominy.studies.decisions.decision_tables import decision_tables, start_table
from jominy.studies.decisions.design import RL, VARIANTS, kl_arm
from jominy.studies.decisions.paper import PRIMARY
from jominy.studies.decisions.start_tables import made_table, stands_table
from jominy.studies.decisions.swap_tables import difference, swap_tables
from jominy.studies.decisions.theory import identities
from jominy.studies.decisions.told import IN, base_more, beyond, cell_of, cells_of, further_of, gain_estimate, mores
from jominy.studies.reading import Record, StudyRuns
from jominy.studies.sections import measured, table_of

BEYOND, SWAP, KL = "beyond", "swap", "kl"
"""Codes of sections with a plot."""
COEFFICIENTS = {
    "per_token_ratio": "decision / attempt, a token",
    "mass_share": "decisions' mass",
    "token_share": "decisions' tokens",
    "right_contrast": "contrast on right",
    "wrong_contrast": "contrast on wrong",
    "attempt_contrast": "contrast of attempts",
}
"""Measure -> the head of its column."""


def sections(runs: StudyRuns, found: Conclusion) -> tuple[Section, ...]:
    """Its own, in the order of the README."""
    primary = ", ".join(f"`{code}`" for code in PRIMARY)
    return (
        Section(
            code=BEYOND,
            title="Out of distribution",
            text="Points gained against the warm start on tasks that no arm trains on, with 95 % intervals over seeds and prompts; "
            f"**bold** where they leave out 0. The primary claims are {primary}; all others are secondary.",
            tables=tuple(_beyond_table(runs, cell) for cell in cells_of(runs)),
        ),
        Section(
            code="decisions",
            title="How each arm attempts and decides",
            text="The warm starts; then after training, on the held-out prompts and the fixed bank, and on the further tasks. "
            + DEFINITIONS,
            tables=(
                made_table(runs),
                stands_table(runs),
                start_table(runs),
                *(table for cell in cells_of(runs) for table in decision_tables(runs, cell)),
            ),
        ),
        Section(
            code=SWAP,
            title="Whose gain is it?",
            text="One policy writes the attempts, the other decides; Shapley split of the gain between the two, in points. Verdicts are "
            "made of the lead of the decisions' part over the attempts'; the share is undefined where the gain is not surely above 0. The "
            "chain is what the measured chances of the two policies alone make of it, prompts taken to be alike.",
            tables=tuple(table for cell in cells_of(runs) for table in swap_tables(runs, cell)),
        ),
        *_of_interventions(runs),
        Section(
            code="budgets",
            title="Budgets",
            text="Mean over runs. Unique prompts are matched; tokens of the optimiser as far as the numbers agree: an arm that passes over "
            "groups, or learns a part of what it draws, spends fewer, and that is not made up for.",
            tables=tuple(_budget_table(runs, cell) for cell in cells_of(runs)),
        ),
        Section(
            code="coefficients",
            title="Coefficients on the warm start's rollouts",
            text="What each objective would put on a token, before any training (level 0 of the attribution).",
            tables=tuple(_coefficient_table(runs, cell) for cell in cells_of(runs)),
        ),
        Section(code="identities", title="Closed forms, exactly", tables=(_identity_table(),)),
    )


def _of_interventions(runs: StudyRuns) -> tuple[Section, ...]:
    """Those whose arms the design has."""
    kl = Section(
        code=KL,
        title="What a KL to the start does",
        text="By strength and kind, in and out of distribution. Strengths of the two kinds are not of one scale: claims pair them by nats.",
        tables=tuple(_kl_table(runs, cell) for cell in cells_of(runs)),
    )
    gap = Section(
        code="gap",
        title="What closes the gap between SFT and RL?",
        text="Share of GRPO's lead out of distribution that a variant of SFT has too, over all cells: of its lead over plain SFT, which "
        "learns planted errors too, and of that over SFT without wrong attempts.",
        tables=(_gap_table(runs),),
    )
    return (*([kl] if runs.knows(kl_arm("loss", "middle")) else []), *([gap] if any(map(runs.knows, VARIANTS)) else []))


def _beyond_table(runs: StudyRuns, cell: str) -> Table:
    """A line an arm, a column a further task."""
    tests, out = further_of(runs, cell), beyond(runs)
    asked: list[Sequence[str] | None] = [None, *([test] for test in tests)]
    rows: list[list[str | Entry]] = [
        [arm.title, *(difference(gain_measure(gain_estimate(runs, [cell], {arm.name: 1.0}, one))) for one in asked)]
        for arm in runs.arms
        if out.has(cell, arm.name)
    ]
    return table_of(("arm", "all of them", *tests), rows, caption=f"`{cell}`", note="" if rows else "No run has finished.")


def _kl_table(runs: StudyRuns, cell: str) -> Table:
    """GRPO without a KL, then each arm with one: gains and how far each stage moved."""
    rows: list[list[str | Entry]] = []
    for arm in runs.arms:
        if arm.name != RL and arm.family not in ("kl", "kl where"):
            continue
        if runs.has(cell, arm.name):
            gains = [difference(gain_measure(gain_estimate(runs, [cell], {arm.name: 1.0}, tests))) for tests in ([IN], None)]
            rows.append([arm.title, *gains, *_moved(runs, cell, arm.name)])
    header = ("arm", "gain, in", "gain, out", "nats on attempts", "nats on decisions", "tokens of attempts", "tokens of decisions")
    return table_of(
        header, rows, caption=f"`{cell}`", note="Nats and tokens a response, mean over runs." if rows else "No run has finished."
    )


def _moved(runs: StudyRuns, cell: str, arm: str) -> list[str]:
    """Nats and tokens a response by stage; dashes where no run was scored under the start."""
    found = [more["kl"] for more in mores(runs, cell, arm).values() if more["kl"]]
    if not found:
        return ["–"] * 4
    return [
        number(float(np.mean([one[stage][what] for one in found]))) for what in ("nats", "tokens") for stage in ("sampling", "decision")
    ]


def _gap_table(runs: StudyRuns) -> Table:
    """A line a variant."""
    why = {
        "sft_balanced": "length of solutions",
        "sft_masked": "imitated errors",
        "corrected": "states of the demonstrations",
        "rft": "answers of others",
    }
    rows: list[list[str | Entry]] = []
    for over in opponents_of(runs):
        for arm in VARIANTS:
            if runs.knows(arm) and arm != over:
                half = gain_measure(beyond_half(*part_and_gap(runs, arm, over)))
                rows.append([runs.title(over), runs.title(arm), why[arm], measured(gap_closed(runs, arm, over)), difference(half)])
    return table_of(("lead over", "variant", "what would then be the cause", "share of the lead", "its lead minus half of GRPO's"), rows)


def _budget_table(runs: StudyRuns, cell: str) -> Table:
    """A line an arm."""
    rows: list[list[str | Entry]] = []
    for arm in runs.arms:
        lines = [run for run in runs.results["runs"] if (run["cell"], run["arm"]) == (cell, arm.name) and run.get("tokens")]
        if lines:
            names = ("responses", "trained", "passed")
            tokens = [number(float(np.mean([line["tokens"][name] for line in lines])), "tokens") for name in names]
            shown = _mean([line["more"] for line in lines if line.get("more")], "num_trained_shown", "prompts")
            different = [_mean(lines, "unique_prompts", "prompts"), shown, _mean(lines, "unique_responses", "rollouts")]
            rows.append([arm.title, f"{_rate_of(runs, cell, arm.name):g}", *different, *tokens])
    header = (
        "arm",
        "learning rate",
        "unique prompts",
        "of them shown to the warm start",
        "unique responses trained",
        "tokens of responses in the optimiser",
        "of them trained",
        "tokens passed, prompts too",
    )
    return table_of(header, rows, caption=f"`{cell}`", note="" if rows else "No run has finished.")


def _rate_of(runs: StudyRuns, cell: str, arm: str) -> float:
    """Learning rate of an arm: its own, else that of the cell's settings."""
    own = next(one for one in runs.results["arms"] if one["name"] == arm).get("learning_rate")
    return float(runs.results["settings"][cell_of(runs, cell)["group"]]["learning_rate"] if own is None else own)


def _mean(lines: Sequence[Record], name: str, unit: str) -> str:
    """Over the runs that tell it; a dash where none does."""
    found = [line[name] for line in lines if line.get(name) is not None]
    return number(float(np.mean(found)), unit) if found else "–"


def _coefficient_table(runs: StudyRuns, cell: str) -> Table:
    """A line an objective."""
    base = base_more(runs, cell)
    rows: list[list[str | Entry]] = []
    for objective, told in ({} if base is None else base["coefficients"]).items():
        shown = [
            Entry(text="undefined", tone="muted")
            if told[name]["value"] is None
            else Entry(
                text=number(told[name]["value"]),
                rest="" if told[name]["low"] is None else f"[{number(told[name]['low'])}, {number(told[name]['high'])}]",
            )
            for name in COEFFICIENTS
        ]
        rows.append([Entry(text=objective, tone="code"), *shown])
    return table_of(
        ("objective", *COEFFICIENTS.values()), rows, caption=f"`{cell}`", note="" if rows else "The warm start is not measured."
    )


def _identity_table() -> Table:
    """A line an identity."""
    rows = [
        (
            one.says,
            Entry(text=f"{one.difference:.1g}", tone="" if one.holds else "stop"),
            f"{one.allowed:g}",
            "holds" if one.holds else "broken",
        )
        for one in identities()
    ]
    return table_of(("identity", "largest difference", "allowed", ""), rows)
