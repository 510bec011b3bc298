"""Tables of the study of precision: the judge beside the paper's, gains on further prompts, the noise grid, refinement, attention.

Left out on purpose: pictures (`plots`) and claims.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.conclusion import Conclusion, Entry, Section, Table
from jominy.explanation import signed, signed_interval
from jominy.formatting import number
from jominy.measures.precision import Confusion
from jominy.paying import COUNTS
from jominy.records import Measure
from jominy.studies.gains import Doubles
from jominy.studies.outcomes import percent
from jominy.studies.precision.design import ACCEPTS, BATCH, CONDITIONS, CUED, MATCHED, REFINE, REJECTS, TRUE, noise_arm
from jominy.studies.precision.grid import factor_of, grid_cells, held_of
from jominy.studies.precision.judges import at_the_bound
from jominy.studies.precision.knowing import RECALL_TRUE
from jominy.studies.precision.looking import CONSTRAINT, IRRELEVANT, NEUTRAL, TIMES_EVEN, alone_of, beyond, fall_of, levels_of, looks
from jominy.studies.precision.over_runs import mean_over, rate_over, share_over, with_bounds
from jominy.studies.precision.paper import PAPER_JUDGES
from jominy.studies.precision.refinement import pays_after, price_words, refined_words, score_reductions, time_reductions
from jominy.studies.precision.told import (
    HACKED,
    NAMES,
    Further,
    Gained,
    among,
    base_more,
    cell_of,
    conditions,
    lead_on,
    mores,
    on_further,
    tests_of,
)
from jominy.studies.precision.witnesses import Judgement, judged, not_taken, surplus
from jominy.studies.reading import Record, StudyRuns
from jominy.studies.sections import leaves_out_0, measured, table_of

JUDGE, FURTHER, GRID, REFINEMENT, ATTENTION = "judge", "further", "grid", "refinement", "attention"
JUDGES_TITLE = "Language models as judges"


def sections(runs: StudyRuns, found: Conclusion) -> tuple[Section, ...]:
    """Its own, in the order of the claims."""
    return (_judge_section(runs), _further_section(runs), _grid_section(runs), _refinement_section(runs), _attention_section(runs))


def difference(measure: Measure) -> Entry:
    """A gain or a lead in points, bold where it leaves out 0."""
    if measure.value is None:
        return Entry(text="–", tone="muted")
    return Entry(text=signed(measure.value, "share"), tone="sure" if leaves_out_0(measure) else "", rest=signed_interval(measure))


def _judge_section(runs: StudyRuns) -> Section:
    told = judged(runs)
    text = (
        "Each judge is asked whether a response meets a constraint, and is not told what code knows. Pairs are a response that satisfies "
        "all constraints and an edit that violates exactly one; half of what can be said softly is. `Told apart` is the share of pairs "
        "whose violated constraint is rated below the satisfied one, by log odds where verdicts are chosen: 50 is a coin, however much a "
        "judge leans to yes or no. Recall on false is the share of violations that are seen, as verdicts stand and, of chosen ones, at a "
        f"bound of the odds that passes {100 * RECALL_TRUE:g} % of what is satisfied, as the paper's judge does. In its own words SmolLM2 "
        "was asked about fewer pairs. The paper's numbers are of other judges, other texts and human labels: they stand beside ours, not "
        "against them."
    )
    if not told:
        return Section(code=JUDGE, title=JUDGES_TITLE, text=f"{text} Nobody has judged yet.")
    by_judge: dict[str, list[Judgement]] = {}
    for one in told:
        by_judge.setdefault(one.who, []).append(one)
    tables = [_judge_table(told), *(_by_type_table(who, some) for who, some in by_judge.items())]
    notes = [f"{one.title}: {count} x {note}" for one in told for note, count in one.notes.items()]
    reasons = f" Why constraints have no verdict: {'; '.join(notes)}." if notes else ""
    reasons += "".join(f" `audits/{folder}` is no further judge: {why}." for folder, why in not_taken(runs).items())
    reasons += "".join(f" `audits/{folder}` asks as {other} does, so it decides no claim." for folder, other in surplus(told).items())
    return Section(code=JUDGE, title=JUDGES_TITLE, text=text + reasons, tables=tuple(tables))


def _judge_table(told: Sequence[Judgement]) -> Table:
    rows: list[Sequence[str | Entry]] = [row for one in told for row in _rows_of(one)]
    for judge, (hard_precision, hard_recall, soft_precision, soft_recall) in PAPER_JUDGES.items():
        rows.append((f"the paper's {judge}: hard", "–", hard_precision, hard_recall, "–", "–", "–"))
        rows.append((f"the paper's {judge}: soft", "–", soft_precision, soft_recall, "–", "–", "–"))
    header = ("judge", "told apart, %", "precision, %", "recall on false, %", "recall on true, %", "base rate, %", "without a verdict")
    return table_of(header, rows)


def _rows_of(one: Judgement) -> list[tuple[str | Entry, ...]]:
    """Pairs as verdicts stand, split, and at the bound; own responses; probes. Of what is beside, pairs alone."""
    wins, bound = one.wins, at_the_bound(one)
    by_kind = {kind.kind: kind.constraints for kind in one.pairs.by_kind}
    rows = [_confusion_row(f"{one.title}: pairs", one.pairs.constraints, wins.share())]
    rows += [] if bound is None else [_confusion_row(f"{one.title}: pairs, at {bound.name}", bound)]
    sides = {"hard": ~wins.soft_P, "soft": wins.soft_P}
    rows += [_confusion_row(f"{one.title}: pairs, {kind}", cell, wins.where(sides[kind]).share()) for kind, cell in by_kind.items()]
    if one.is_beside:
        return rows
    for cell, count in zip(one.pairs.by_count, sorted(set(one.columns["count"])), strict=True):
        rows.append(_confusion_row(f"{one.title}: pairs, {cell.name}", cell, wins.where(wins.count_P == count).share()))
    rows.append(_confusion_row(f"{one.title}: pairs, whole responses", one.pairs.responses))
    rows += [] if one.own is None else [_confusion_row(f"{one.title}: own responses", one.own.constraints)]
    rows += [] if one.probes is None else [_confusion_row(f"{one.title}: probes", one.probes)]
    return rows


def _confusion_row(name: str, cell: Confusion, told_apart: Measure | None = None) -> tuple[str | Entry, ...]:
    rates = (cell.precision, cell.recall_false, cell.recall_true, cell.base_rate)
    unread = f"{cell.num_unscored} of {cell.num_scored + cell.num_unscored}"
    return (name, "–" if told_apart is None else measured(told_apart), *map(measured, rates), unread)


def _by_type_table(who: str, told: Sequence[Judgement]) -> Table:
    """Of one judge."""
    cells = [{cell.name: cell for cell in one.pairs.by_type} for one in told]
    rows: list[tuple[str | Entry, ...]] = [
        (name, *(entry for of in cells for entry in _recalls(of.get(name)))) for name in dict.fromkeys(name for of in cells for name in of)
    ]
    header = ("constraint type", *(f"{one.title}: recall on {side}" for one in told for side in ("false", "true")))
    return table_of(header, rows, caption=f"{who} by constraint type, pairs", folded=True)


def _recalls(cell: Confusion | None) -> tuple[str | Entry, ...]:
    return ("–", "–") if cell is None else (measured(cell.recall_false), measured(cell.recall_true))


def _further_section(runs: StudyRuns) -> Section:
    view, tests = on_further(runs), tests_of(runs)
    text = (
        "Points of true satisfaction (by code) on prompts that nobody trained on, after minus before, with 95 % intervals over seeds and "
        "prompts; **bold** where they leave out 0. `Satisfied` counts responses to the prompts as they are; `followed` takes off what the "
        "same requests gained without the constraint said. Conditions share seeds, requests, order and steps."
    )
    tables = [_gains_table(runs, view, tests, gained) for gained in NAMES]
    tables += [_types_table(runs, view, gained) for gained in NAMES]
    tables.append(_paid_table(runs))
    return Section(code=FURTHER, title="Gains on seen and unseen types", text=text, tables=tuple(tables))


def _gains_table(runs: StudyRuns, view: Further, tests: Sequence[str], gained: Gained) -> Table:
    rows: list[tuple[str | Entry, ...]] = [
        (title, *(difference(lead_on(view, {title: 1.0}, of, gained)[0]) for of in (*([name] for name in tests), tests)))
        for title in conditions(runs)
    ]
    return table_of(("condition", *tests, "all four"), rows, caption=f"Gain in {NAMES[gained]}")


def _types_table(runs: StudyRuns, view: Further, gained: Gained) -> Table:
    """Of prompts that are said hard."""
    rows: list[tuple[str | Entry, ...]] = []
    for name in among(runs, "hard"):
        types = np.array(view.types.get(name, ()))
        for one in dict.fromkeys(types.tolist()):
            start = [with_bounds(share_over(side_P[types == one].tolist())) for side_P in view.before[name]]
            gains = [difference(lead_on(view, {title: 1.0}, [name], gained, one)[0]) for title in conditions(runs)]
            rows.append((f"{name}: {one}", " / ".join(start), *gains))
    header = ("further task: type", "start, asked / unasked, %", *conditions(runs))
    return table_of(header, rows, caption=f"Gain in {NAMES[gained]} by constraint type, said hard; at the start, over prompts", folded=True)


def _paid_table(runs: StudyRuns) -> Table:
    """Whether what was paid went away from the truth on the way."""
    known = set(conditions(runs))
    rows: list[tuple[str | Entry, ...]] = [
        (one.title, *_paid_entries(runs, cell, one.arm))
        for one in CONDITIONS
        if one.title in known and (cell := cell_of(runs, one.group)) is not None
    ]
    return table_of(("condition", *PAID_HEADER), rows, caption="What was paid on the training prompts, and what was true", folded=True)


PAID_HEADER = (
    "false accepts / rejects, %, first step",
    "the same, all steps",
    "reward rose, points",
    "gold rose, points",
    "flagged",
)


def _paid_entries(runs: StudyRuns, cell: str, arm: str) -> tuple[str, str, Entry, Entry, str]:
    """Under `PAID_HEADER`."""
    watches, held = [more["watch"] for more in mores(runs, cell, arm).values()], held_of(runs, cell, arm)
    reward, gold = (difference(mean_over([watch["rises"][name][0] for watch in watches])) for name in ("paid", "gold"))
    return *_met(watches), reward, gold, f"{sum(one in HACKED for one in held)} of {len(held)}"


def _grid_section(runs: StudyRuns) -> Section:
    text = (
        "`factor` is 1 - FPR - FNR, what independent errors leave of the expected advantage; false accepts and false rejects were counted "
        "over the first step's rollouts, before anything is learned, and over all steps that count; `cue` is the share of rollouts that "
        "show it, first and last step; `flagged` counts runs whose reward goes away from the truth, by the rule of `measures.hacking`. "
        "Intervals of gains and shares are over seeds and prompts, those of errors over the responses that "
        "they were tossed for, those of cue and rises over runs."
    )
    tables = [_grid_table(runs, group, cell) for group, cell in grid_cells(runs).items()]
    return Section(code=GRID, title="The noise grid", text=text, tables=tuple(tables))


def grid_arms(runs: StudyRuns, group: str) -> list[tuple[str, float, str]]:
    """(kind, rate, arm) of a group's arms in the order of the table; the true reward is a false accept at rate 0."""
    arms = [("accept", 0.0, TRUE), *(("accept", rate, noise_arm("accept", rate)) for rate in ACCEPTS)]
    arms += [("reject", rate, noise_arm("reject", rate)) for rate in REJECTS]
    arms += [(MATCHED, BATCH.false_accept, MATCHED)]
    arms += [("cue", rate, noise_arm("cue", rate, group)) for rate in CUED]
    return [(kind, rate, arm) for kind, rate, arm in arms if runs.knows(arm)]


def _grid_table(runs: StudyRuns, group: str, cell: str) -> Table:
    rows: list[Sequence[str | Entry]] = []
    for kind, rate, arm in grid_arms(runs, group):
        if not runs.has(cell, arm):
            continue
        share = runs.share("share", {cell: {arm: 1.0}})[0]
        first, every, reward, gold, flagged = _paid_entries(runs, cell, arm)
        rows.append(
            (
                runs.title(arm),
                number(factor_of(kind, rate), "share"),
                difference(runs.gain("gain", [cell], {arm: 1.0})),
                "–" if share.value is None else percent(share),
                first,
                every,
                _cue_way(list(mores(runs, cell, arm).values())),
                reward,
                gold,
                flagged,
            )
        )
    header = ("reward", "factor, %", "gain, points", "share of the true gain", *PAID_HEADER[:2], "cue, %", *PAID_HEADER[2:])
    return table_of(header, rows, caption=f"`{cell}`")


def _met(watches: Sequence[Record]) -> tuple[str, str]:
    """False accepts among the wrong and false rejects among the right: of the first step, and of all that were counted."""
    counts = [np.array(watch["met"], dtype=np.float64)[:, 1:] for watch in watches if watch["met"]]
    return _errors_met([one[0] for one in counts]), _errors_met([one.sum(axis=0) for one in counts])


def _errors_met(counts: Sequence[Doubles]) -> str:
    """Of one row of counts a run."""
    of = [dict(zip(COUNTS, one.tolist(), strict=True)) for one in counts]
    accepted = rate_over([one["false_accepts"] for one in of], [one["true_rejects"] for one in of])
    rejected = rate_over([one["false_rejects"] for one in of], [one["true_accepts"] for one in of])
    return f"{with_bounds(accepted)} / {with_bounds(rejected)}" if of else "–"


def _cue_way(found: Sequence[Record]) -> str:
    ways = [more["cue"] for more in found if more["cue"]]
    return " to ".join(with_bounds(share_over([way[end] for way in ways])) for end in (0, -1)) if ways else "–"


def _refinement_section(runs: StudyRuns) -> Section:
    base = base_more(runs, REFINE)
    if cell_of(runs, REFINE) is None or base is None:
        return Section(code=REFINEMENT, title="Refinement", text="No prompts were refined yet.")
    pool = base["pool"]
    why = "; ".join(f"{count} {reason}" for reason, count in pool["why"].items())
    text = (
        f"{refined_words(runs)} What was done: {why or 'nothing'}. The pilot drew {pool['pilot']['num_responses']} responses in "
        f"{sum(pool['pilot']['seconds'].values()):.0f} s, once.{pays_after(runs)} "
        f"Times are with {price_words(runs)}; the simulated needs none."
    )
    times, (scores, reached, num_seeds) = time_reductions(runs), score_reductions(runs)
    rows = [(f"a run of as many steps, {how}", percent(measure)) for how, measure in times.items()]
    rows += [(f"to equal score, {how} ({reached} of {num_seeds} seeds reach it)", percent(measure)) for how, measure in scores.items()]
    return Section(code=REFINEMENT, title="Refinement", text=text, tables=(table_of(("time saved", "refined against all prompts"), rows),))


def _attention_section(runs: StudyRuns) -> Section:
    text = (
        "Length-corrected attention of the start's own responses, mean over layers and heads: 1 is an even look over the prompt. The "
        "controls stand in the same prompts. Falls are of the most likely response, when attention to a stretch is masked out."
    )
    if not looks(runs):
        return Section(code=ATTENTION, title="Attention", text=f"{text} No run has looked yet.")
    tests = tests_of(runs)
    rows: list[tuple[str | Entry, ...]] = [
        (
            name,
            *(_way(runs, [name], stretch) for stretch in (CONSTRAINT, NEUTRAL, IRRELEVANT)),
            _look_entry(beyond(runs, [name], NEUTRAL).plain),
            _look_entry(beyond(runs, [name], IRRELEVANT).plain),
            _heads(runs, name),
            difference(fall_of(runs, [name], "start")),
            difference(fall_of(runs, [name], "trained")),
        )
        for name in tests
    ]
    looked = ("constraint, before to after", "neutral", "irrelevant", "change beyond neutral", "beyond irrelevant")
    header = ("further task", *looked, "heads that rose / fell, %", "fall by hiding, start, points", "trained, points")
    return Section(code=ATTENTION, title="Attention", text=text, tables=(table_of(header, rows, note=_alone(runs, tests)),))


def _alone(runs: StudyRuns, tests: Sequence[str]) -> str:
    measure = alone_of(runs, tests)
    return (
        ""
        if measure.value is None
        else f"Change of attention to the constraint, all tasks: {signed(measure.value)} {signed_interval(measure)} {TIMES_EVEN}."
    )


def _way(runs: StudyRuns, tests: Sequence[str], stretch: str) -> str:
    sides = levels_of(runs, tests, stretch)
    return "–" if sides[0].value is None else " to ".join(with_bounds(side) for side in sides)


def _look_entry(measure: Measure) -> Entry:
    if measure.value is None:
        return Entry(text="–", tone="muted")
    return Entry(text=signed(measure.value), tone="sure" if leaves_out_0(measure) else "", rest=signed_interval(measure))


def _heads(runs: StudyRuns, name: str) -> str:
    """Shares of heads that moved by more than a tenth, over seeds."""
    pairs = [found[name]["heads"].get(CONSTRAINT) for found in looks(runs).values()]
    known = [pair for pair in pairs if pair is not None]
    return " / ".join(with_bounds(share_over([pair[side] for pair in known])) for side in (0, 1)) if known else "–"
