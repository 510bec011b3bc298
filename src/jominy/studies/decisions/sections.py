"""What the study of 2601.01580 shows beyond every other: gains beyond the task, decisions, the swap, KL, budgets, coefficients, identities.

Left out on purpose: verdicts (`claims`) and pictures (`plots`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.conclusion import Conclusion, Entry, Section, Table
from jominy.decided import OURS as DEFINITIONS
from jominy.explanation import signed, signed_interval
from jominy.formatting import number
from jominy.records import Measure
from jominy.studies.decisions.claims import gap_closed
from jominy.studies.decisions.design import RL, SFT, STRENGTHS, VARIANTS, kl_arm
from jominy.studies.decisions.estimating import measure_of
from jominy.studies.decisions.exactly import verified
from jominy.studies.decisions.paper import PRIMARY
from jominy.studies.decisions.theory import identities
from jominy.studies.decisions.told import (
    AGAINST_SFT,
    IN,
    START,
    bank_estimate,
    base_more,
    beyond,
    cells_of,
    further_of,
    mores,
    rate_measure,
    split_of,
)
from jominy.studies.reading import Record, StudyRuns
from jominy.studies.sections import leaves_out_0, measured, table_of

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
            text=f"On the held-out prompts after training, and on the fixed bank. {DEFINITIONS}",
            tables=(_start_table(runs), *(_decision_table(runs, cell) for cell in cells_of(runs))),
        ),
        Section(
            code=SWAP,
            title="Whose gain is it?",
            text="One policy writes the attempts, the other decides; Shapley split of the gain between the two, in points. The decisions' "
            "share is undefined where the gain is not surely above 0.",
            tables=tuple(_swap_table(runs, cell) for cell in cells_of(runs)),
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
        text="By strength and kind, in distribution and out of it.",
        tables=tuple(_kl_table(runs, cell) for cell in cells_of(runs)),
    )
    gap = Section(
        code="gap",
        title="What closes the gap between SFT and RL?",
        text="Share of GRPO's lead over SFT out of distribution that a variant of SFT has too, over all cells.",
        tables=(_gap_table(runs),),
    )
    return (*([kl] if runs.knows(kl_arm("loss", "middle")) else []), *([gap] if any(map(runs.knows, VARIANTS)) else []))


def difference(measure: Measure) -> Entry:
    """A difference in points, sure where its interval leaves out 0."""
    if measure.value is None:
        return Entry(text=f"undefined ({measure.why_none})", tone="muted")
    return Entry(text=signed(measure.value, "share"), tone="sure" if leaves_out_0(measure) else "", rest=signed_interval(measure))


def _beyond_table(runs: StudyRuns, cell: str) -> Table:
    """A line an arm, a column a further task."""
    tests = further_of(runs, cell)
    views = [beyond(runs), *(beyond(runs, test) for test in tests)]
    arms = [arm for arm in runs.arms if views[0].has(cell, arm.name)]
    rows: list[list[str | Entry]] = [
        [arm.title, *(difference(view.gain("gain", [cell], {arm.name: 1.0})) for view in views)] for arm in arms
    ]
    return table_of(("arm", "all of them", *tests), rows, caption=f"`{cell}`", note="" if rows else "No run has finished.")


def _start_table(runs: StudyRuns) -> Table:
    """The warm starts: can they verify better than they solve?"""
    rows: list[list[str | Entry]] = []
    for cell in cells_of(runs):
        found, base = verified(runs, cell), base_more(runs, cell)
        credit = None if base is None else base["credit_share"]["value"]
        shown = [Entry(text="no bank", tone="muted")] * 4
        if found is not None:
            shown = [measured(one) for one in (found.first, found.balanced, found.youden, found.easier)]
        rows.append([cell, *shown, "–" if credit is None else f"{number(credit, 'share')} %"])
    header = ("warm start", "first attempts right", "balanced accuracy (bank)", "J (bank)", "J minus first", "decisions' credit share")
    return table_of(header, rows)


def _decision_table(runs: StudyRuns, cell: str) -> Table:
    """A line an arm."""
    rates = ("first", "after_wrong", "accept_right", "accept_wrong")
    rows: list[list[str | Entry]] = []
    for arm in runs.arms:
        found = mores(runs, cell, arm.name)
        if not found:
            continue
        shown = [measured(rate_measure(runs, cell, arm.name, rate)) for rate in rates]
        bank = [bank_estimate(runs, cell, arm.name, tuple(found), correct=correct) for correct in (True, False)]
        shown += [measured(measure_of("bank", one, meaning="", why_none="no bank")) for one in bank]
        rows.append([arm.title, *shown, *_per_response([more["after"] for more in found.values()])])
    header = ("arm", "first right", "right after wrong", "accepts right", "accepts wrong", "right (bank)", "wrong (bank)")
    return table_of((*header, "forced", "broken", "tokens"), rows, caption=f"`{cell}`", note="" if rows else "No run has finished.")


def _per_response(counts: Sequence[Record]) -> list[str]:
    """Share forced to stand, share broken, tokens a response."""
    responses = sum(one["num_rollouts"] * len(one["right"]) for one in counts)
    forced = sum(sum(column) for one in counts for name, column in one["attempts"].items() if name.endswith("forced"))
    broken, tokens = (sum(sum(one[name]) for one in counts) for name in ("broken", "tokens"))
    return [f"{number(forced / responses, 'share')} %", f"{number(broken / responses, 'share')} %", number(tokens / responses)]


def _swap_table(runs: StudyRuns, cell: str) -> Table:
    """Each arm against the warm start, then GRPO against SFT; in and out of distribution."""
    asked = [(arm.title, arm.name, START) for arm in runs.arms]
    asked += [("GRPO over SFT", RL, AGAINST_SFT)] if runs.knows(RL) and runs.knows(SFT) else []
    rows: list[list[str | Entry]] = []
    for title, arm, against in asked:
        for where, tests in (("in", [IN]), ("out", None)):
            split = split_of(runs, [cell], arm, tests, against=against)
            if split is not None:
                parts = [measure_of("part", part, meaning="", why_none="") for part in (split.total, split.sampling, split.decision)]
                rows.append([title, where, *map(difference, parts), measured(split.share("the gain"))])
    header = ("policy after", "distribution", "gain", "by attempts", "by decisions", "decisions' share")
    gone = sorted({more["why_no_square_sft"] for more in mores(runs, cell, RL).values() if more["why_no_square_sft"]})
    note = "; ".join(gone) + "." if gone else "" if rows else "No run has finished."
    return table_of(header, rows, caption=f"`{cell}`", note=note)


def _kl_table(runs: StudyRuns, cell: str) -> Table:
    """GRPO without a KL, then each arm with one: gains and how far each stage moved."""
    out = beyond(runs)
    rows: list[list[str | Entry]] = []
    for arm in runs.arms:
        if arm.name != RL and arm.family not in ("kl", "kl where"):
            continue
        if runs.has(cell, arm.name):
            gains = [difference(view.gain("gain", [cell], {arm.name: 1.0})) for view in (runs, out)]
            rows.append([arm.title, *gains, *_moved(runs, cell, arm.name)])
    header = ("arm", "gain, in", "gain, out", "nats on attempts", "nats on decisions", "tokens of attempts", "tokens of decisions")
    note = f"Strengths: {', '.join(f'{name} {beta:g}' for name, beta in STRENGTHS.items())}. Nats and tokens a response, mean over runs."
    return table_of(header, rows, caption=f"`{cell}`", note=note)


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
    out = beyond(runs)
    why = {
        "sft_balanced": "length of solutions",
        "sft_masked": "imitated errors",
        "corrected": "states of the demonstrations",
        "rft": "answers of others",
    }
    known = [arm for arm in VARIANTS if runs.knows(arm)]
    rows = [(runs.title(arm), why[arm], measured(gap_closed(out, arm))) for arm in known]
    return table_of(("variant", "what would then be the cause", "share of the lead"), rows)


def _budget_table(runs: StudyRuns, cell: str) -> Table:
    """A line an arm."""
    rows: list[list[str | Entry]] = []
    for arm in runs.arms:
        lines = [run for run in runs.results["runs"] if (run["cell"], run["arm"]) == (cell, arm.name) and run.get("tokens")]
        if lines:
            names = ("responses", "trained", "passed")
            tokens = [number(float(np.mean([line["tokens"][name] for line in lines])), "tokens") for name in names]
            rows.append([arm.title, number(float(np.mean([line["unique_prompts"] for line in lines])), "prompts"), *tokens])
    header = ("arm", "unique prompts", "tokens of responses in the optimiser", "of them trained", "tokens passed, prompts too")
    return table_of(header, rows, caption=f"`{cell}`", note="" if rows else "No run has finished.")


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
