"""The tables of a study's README as Markdown: claims, base models, arms by cells, shares beside the paper's, correlations, advice.

    | arm | adder, sums (strong, 5 seeds) | ...

Left out on purpose: numbers that are not in the conclusion, and the text between the tables (`writing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from jominy.conclusion import CellBase, Conclusion, Gain
from jominy.explanation import signed, signed_interval
from jominy.formatting import number
from jominy.records import Measure
from jominy.studies.concluding import SIDES
from jominy.studies.outcomes import bounds, percent
from jominy.studies.reading import TRUTH


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def claims_table(conclusion: Conclusion) -> str:
    """A line a claim."""
    rows = [(claim.says, claim.ran, claim.found, f"**{claim.verdict}**") for claim in conclusion.claims]
    return table(("the paper says", "we ran", "we found", "agree?"), rows)


def base_table(conclusion: Conclusion) -> str:
    """A line a cell, before training."""
    names = [measure.name for measure in conclusion.cells[0].measures] if conclusion.cells else []
    rows = [
        (cell.name, f"`{cell.task}`", *(percent(measure) for measure in cell.measures), cell.strength, str(_prompts(cell.measures)))
        for cell in conclusion.cells
    ]
    return table(("cell", "task", *names, "alignment", "prompts"), rows)


def _prompts(measures: Sequence[Measure]) -> int:
    return max((measure.num_prompts for measure in measures), default=0)


def by_group(conclusion: Conclusion, show: Callable[[Gain, int], str]) -> list[str]:
    """A table of arms by cells for each group of cells; an arm that the design leaves out of all of them is named below with the reason.

    Args:
        conclusion: what the study says.
        show: a pair with runs, and how many runs the design asks for, as text.
    """
    found = {(gain.cell, gain.arm): gain for gain in conclusion.gains}
    left_out = {(cell, one.arm) for one in conclusion.not_planned for cell in one.cells}
    tables = []
    for group in dict.fromkeys(cell.group for cell in conclusion.cells):
        cells = [cell for cell in conclusion.cells if cell.group == group]
        planned = [arm for arm in conclusion.arms if any((cell.name, arm.name) not in left_out for cell in cells)]
        rows = []
        for arm in planned:
            gains = [found.get((cell.name, arm.name)) for cell in cells]
            nothing = ["not planned" if (cell.name, arm.name) in left_out else "not run" for cell in cells]
            shown = [word if gain is None else show(gain, cell.num_seeds) for word, gain, cell in zip(nothing, gains, cells, strict=True)]
            rows.append((arm.title, *shown))
        header = [f"{cell.name} ({cell.strength}, {cell.num_seeds} seeds)" for cell in cells]
        tables.append(f"Cells of `{group}`:\n\n" + table(("arm", *header), rows) + _left_out(conclusion, cells))
    return tables


def _left_out(conclusion: Conclusion, cells: Sequence[CellBase]) -> str:
    """Why pairs are not planned; where that is not all cells of the group, which."""
    titles, names = {arm.name: arm.title for arm in conclusion.arms}, [cell.name for cell in cells]
    arms: dict[tuple[str, str], list[str]] = {}
    for one in conclusion.not_planned:
        here = [name for name in names if name in one.cells]
        if here:
            where = "" if len(here) == len(names) else " in " + " and ".join(f"`{name}`" for name in here)
            arms.setdefault((one.why, where), []).append(titles[one.arm])
    said = [f"{', '.join(of_why)}{where} ({why})" for (why, where), of_why in arms.items()]
    return f"\n\nNot planned: {'; '.join(said)}." if said else ""


def gain_cell(gain: Gain, num_seeds: int) -> str:
    """A gain with its interval, bold where that leaves out 0, and what is missing of it."""
    measure = gain.measure
    notes = [f"{len(gain.seeds)} of {num_seeds} seeds"] if 0 < len(gain.seeds) < num_seeds else []
    notes += [f"{gain.num_no_gradient} without gradient"] if gain.num_no_gradient else []
    notes += [f"{gain.num_stopped} exploded"] if gain.num_stopped else []
    notes += [f"{gain.num_no_example} without example"] if gain.num_no_example else []
    if measure.value is None:
        return "; ".join((f"undefined: {measure.why_none}", *notes))
    sure = measure.low is not None and measure.high is not None and (measure.low > 0 or measure.high < 0)
    text = signed(measure.value, "share")
    return f"{f'**{text}**' if sure else text} {signed_interval(measure)}" + (f"; {', '.join(notes)}" if notes else "")


def live_cell(gain: Gain) -> str:
    """Prompts that ever carried a gradient, and since when."""
    if gain.unique_live_prompts is None:
        return "not logged" if gain.seeds or gain.num_stopped else "no example"
    late = "" if gain.first_live_step is None or gain.first_live_step <= 1 else f" (from step {gain.first_live_step:.3g})"
    return f"{gain.unique_live_prompts:.3g}{late}"


def moved_cell(gain: Gain) -> str:
    """KL to the start, in nats."""
    if gain.kl_nats is None:
        return "not logged" if gain.seeds else "no finished run"
    return f"{gain.kl_nats:.3g}"


def share_table(conclusion: Conclusion) -> str:
    """A line an arm: ours beside the paper's."""
    ours = {(share.arm, share.where): share for share in conclusion.shares if share.pooled}
    rows = []
    for arm in conclusion.arms:
        if arm.name == TRUTH:
            continue
        shown = []
        for side in SIDES:
            share = ours.get((arm.name, side))
            shown.append("–" if share is None or not share.cells else f"{percent(share.measure)} ({len(share.cells)} cells)")
            found = [one for one in conclusion.reported if one.arm == arm.name and one.side == side]
            shown.append("; ".join(f"{number(one.share, 'share')} % ({one.setting})" for one in found) or "–")
        rows.append((arm.title, *shown))
    text = "(after - base) / (true reward - base). Ours pooled over cells of a side; the paper's computed from its accuracies.\n\n"
    return text + table(("arm", "strong, ours", "strong, paper", "weak, ours", "weak, paper"), rows)


def correlation_table(conclusion: Conclusion) -> str:
    """A line an arm, and one for the mean over the tricks."""
    titles = {arm.name: arm.title for arm in conclusion.arms}
    rows = []
    for one in conclusion.correlations:
        title = titles.get(one.arm, f"mean over the {len(one.arms)} tricks that all cells have")
        measure = one.measure
        value = f"undefined: {measure.why_none}" if measure.value is None else number(measure.value)
        chance = "–" if one.p_value is None else f"{one.p_value:.3g}"
        rows.append((title, value, bounds(measure), chance, str(len(one.cells))))
    text = "Spearman's rank correlation over cells with its interval (Bonett & Wright) and a permutation p-value. Cells share models, so "
    return text + "they are not independent.\n\n" + table(("arm", "rho", "95 %", "p", "cells"), rows)


def advice_table(conclusion: Conclusion) -> str:
    """Counts by trick and advice, then the lines that were wrong."""
    if not conclusion.followed:
        return "No base model is measured, or no run of an advised arm has finished."
    words = ("right", "wrong", "open", "not judged")
    keys = dict.fromkeys((line.trick, line.advice) for line in conclusion.followed)
    rows = []
    for trick, advice in sorted(keys):
        lines = [line for line in conclusion.followed if (line.trick, line.advice) == (trick, advice)]
        rows.append((trick.replace("_", " "), advice, *(str(sum(line.judged == word for line in lines)) for word in words)))
    titles = {arm.name: arm.title for arm in conclusion.arms}
    happened = {"worked": "it worked", "did not": "it did not work", "open": "it is open"}
    wrong = [
        f"- {titles[line.arm]} in {line.cell}: `{line.advice}`, but {happened[line.outcome]} ({line.why})"
        for line in conclusion.followed
        if line.judged == "wrong"
    ]
    return table(("recipe table", "advice", *words), rows) + ("\n\nWrong:\n\n" + "\n".join(wrong) if wrong else "")
