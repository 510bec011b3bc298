"""What training changed, for the page: pass@k before and after with its paired difference, the prompts that moved, and the words above.

Left out on purpose: any number that is not in `explanation.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jominy.explanation import signed, signed_interval
from jominy.formatting import interval, number
from jominy.reporting.figures import BLUE, GREY
from jominy.reporting.overseen import overseen_section
from jominy.reporting.series import Floor, Line, draw_floors, draw_moves
from jominy.reporting.training import TrainingLog, training_facts, training_notes, training_plots

Record = Mapping[str, Any]


def explanation_plots(explanation: Record) -> list[dict[str, Any]]:
    """The plots of the section, in the order of the page."""
    plots = [_pass_curves(explanation), _moved(explanation)]
    return [{**plot, "id": f"change-{position}"} for position, plot in enumerate(plots)]


def _pass_curves(explanation: Record) -> dict[str, Any]:
    changes, ks = explanation["passk"], explanation["ks"]
    meaning = (
        "Above: before and after, each with its own band. Below: the paired difference, which is what decides. A difference that shrinks "
        "to 0 at large k is sharpening; one that stays is discovery."
    )
    shell: dict[str, Any] = {
        "title": "pass@k before and after",
        "meaning": meaning,
        "figure": None,
        "header": [],
        "numbers": [],
        "missing": [],
    }
    if not changes:
        return {**shell, "missing": ["No prompt has scored responses on both sides"]}
    lines = (_line("after", ks, changes, "after", BLUE, "solid"), _line("before", ks, changes, "before", GREY, "dash"))
    difference = _line("difference", ks, changes, "difference", BLUE, "solid")
    floors = [Floor(title="pass@k", lines=lines, top=1.02), Floor(title="difference", lines=(difference,))]
    rows = [
        [
            str(k),
            *(f"{number(change[side]['value'], 'share')} {interval(change[side])}" for side in ("before", "after")),
            f"{signed(change['difference']['value'], 'share')} {signed_interval(change['difference'])}",
            number(change["difference"]["num_prompts"]),
        ]
        for k, change in zip(ks, changes, strict=True)
    ]
    header = ["k", "before, %", "after, %", "difference, points", "prompts"]
    return {**shell, "figure": draw_floors(floors, "k", doubles=len(ks) > 1), "header": header, "numbers": rows}


def _line(name: str, ks: Sequence[int], changes: Sequence[Record], side: str, colour: str, dash: str) -> Line:
    measures = [change[side] for change in changes]
    return Line(
        name=name,
        x=list(ks),
        y=[measure["value"] for measure in measures],
        low=[measure["low"] for measure in measures],
        high=[measure["high"] for measure in measures],
        colour=colour,
        dash=dash,
    )


def _moved(explanation: Record) -> dict[str, Any]:
    prompts = explanation["prompts"]
    meaning = "Each prompt's share of right answers before and after; above the dotted line it rose. Larger marks are more prompts."
    shell: dict[str, Any] = {
        "title": "Prompts before and after",
        "meaning": meaning,
        "figure": None,
        "header": [],
        "numbers": [],
        "missing": [],
    }
    if not prompts:
        return {**shell, "missing": ["No prompt has scored responses on both sides"]}
    counts = Counter(
        (prompt["before_right"] / prompt["before_scored"], prompt["after_right"] / prompt["after_scored"]) for prompt in prompts
    )
    rows = [[f"{before:.3f}", f"{after:.3f}", str(count)] for (before, after), count in sorted(counts.items())]
    figure = draw_moves(counts, "right before", "right after")
    return {**shell, "figure": figure, "header": ["right before", "right after", "prompts"], "numbers": rows}


OUTCOME_WORDS = {
    "discovery": ("Discovery", "good"),
    "sharpening": ("Sharpening", "fits"),
    "better": ("Better", "good"),
    "no change shown": ("No change shown", "watch"),
    "worse": ("Worse", "stop"),
    "unknown": ("Unknown", "watch"),
}
"""Reading -> how it is headed, and the colour and icon it shares with a severity."""
MAX_MOVERS = 20


def training_section(
    log: TrainingLog, explanation: Record | None, why_no_explanation: str, oversight: Record | None = None
) -> dict[str, Any]:
    """What the template needs of a training run.

    Args:
        log: what the folder holds so far.
        explanation: `explanation.json`, or None.
        why_no_explanation: then, why.
        oversight: what training paid beside the truth, an `oversight.Oversight` as a dictionary, or None.
    """
    shared = {"facts": training_facts(log), "notes": training_notes(log), "plots": training_plots(log), "explanation": explanation}
    shared["overseen"] = overseen_section(log, oversight)
    if explanation is None:
        nothing = {"word": _progress(log), "tone": "watch", "headline": why_no_explanation}
        return {**shared, **nothing, "compared": "", "changes": [], "movers": []}
    word, tone = OUTCOME_WORDS[explanation["reading"]["value"]]
    return {
        **shared,
        "word": word,
        "tone": tone,
        "headline": explanation["reading"]["headline"].removeprefix(f"{word}: ").removeprefix(f"{word}. "),
        "compared": _compared(explanation),
        "changes": explanation_plots(explanation),
        "movers": explanation["prompts"][:MAX_MOVERS],
    }


def _progress(log: TrainingLog) -> str:
    if not log.steps:
        return "Nothing yet"
    done = log.steps[-1]["step"]
    return f"{done:,} step{'' if done == 1 else 's'} done"


def _compared(explanation: Record) -> str:
    """What was compared and what was left out, in a sentence."""
    source = explanation["source"]
    sides = [f"step {source[f'{side}_step']}" if f"{side}_step" in source else str(source.get(side)) for side in ("before", "after")]
    text = (
        f"{sides[0]} against {sides[1]}, {explanation['num_prompts']:,} held-out prompts, {source.get('rollouts_a_prompt')} responses each"
    )
    for name, what in (("num_only_before", "prompts only before"), ("num_only_after", "prompts only after")):
        text += f"; {explanation[name]:,} {what} left out" if explanation[name] else ""
    unscored = explanation["num_unscored_before"] + explanation["num_unscored_after"]
    return text[0].upper() + text[1:] + (f"; {unscored:,} responses unscored." if unscored else ".")


def direction(measure: Record) -> str:
    """How a difference is set: `sure` when its interval leaves 0 out, else nothing."""
    low, high = measure.get("low"), measure.get("high")
    return "sure" if low is not None and high is not None and (low > 0 or high < 0) else ""
