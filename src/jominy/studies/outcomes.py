"""When we say that a way of training worked: one rule for claims and for advice, with its thresholds, all ours.

    worked    gain surely above 0, and at least `enough` of what the true reward gained
    did not   share surely below that; or gain surely not above 0; or surely below SMALL_GAIN, where the true reward has no sure gain
    open      all else

"Surely": the whole 95 % interval, from at least FEWEST_SEEDS seeds in every cell that enters; one seed says nothing of another.
Left out on purpose: which arms and cells a claim is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from jominy.explanation import signed, signed_interval
from jominy.formatting import interval, number
from jominy.records import Measure
from jominy.results import Threshold
from jominy.studies.reading import StudyRuns

Outcome = Literal["worked", "did not", "open"]

WORTHWHILE = 0.25
HALF = 0.5
KEEPS_UP = 0.75
SMALL_GAIN = 0.02
NO_BETTER = 0.05
P_SURE = 0.05
MOSTLY_RIGHT = 0.8
MOSTLY_WRONG = 0.5
FEWEST_JUDGED = 4
FEWEST_SEEDS = 2
THRESHOLDS = (
    Threshold(name="worthwhile", value=WORTHWHILE, meaning="a trick works where it surely gains, and at least this share of the true gain"),
    Threshold(
        name="half",
        value=HALF,
        meaning="advice that a way fits promises a sure gain of at least this share of the true gain; futile denies it",
    ),
    Threshold(name="keeps_up", value=KEEPS_UP, meaning="negative-only keeps up where it surely gains at least this share of the true gain"),
    Threshold(name="small_gain", value=SMALL_GAIN, meaning="a gain surely below this is none, where there is no true gain to compare with"),
    Threshold(name="no_better", value=NO_BETTER, meaning="an example is no better than another when its lead is surely below this"),
    Threshold(name="p_sure", value=P_SURE, meaning="a rank correlation is sure below this p-value"),
    Threshold(
        name="mostly_right",
        value=MOSTLY_RIGHT,
        meaning="advice is right from this share of the judged lines on, of those that promise and of those that deny",
    ),
    Threshold(name="mostly_wrong", value=MOSTLY_WRONG, meaning="advice is wrong below this share of the judged lines of either kind"),
    Threshold(name="fewest_seeds", value=FEWEST_SEEDS, meaning="finished seeds in every cell that a verdict takes"),
    Threshold(name="fewest_judged", value=FEWEST_JUDGED, meaning="judged lines of each kind that a verdict on the advice takes"),
)


def bounds(measure: Measure) -> str:
    """The interval of a measure, or a dash."""
    return interval(asdict(measure))


def points(measure: Measure) -> str:
    """A gain in words: `+21.4 points [+12.0, +30.1]`, or why there is none."""
    if measure.value is None:
        return f"undefined ({measure.why_none})"
    return f"{signed(measure.value, 'share')} points {signed_interval(measure)}"


def percent(measure: Measure) -> str:
    """A share in words: `47.0 % [21.0, 71.2]`, or why there is none."""
    return f"undefined ({measure.why_none})" if measure.value is None else f"{number(measure.value, 'share')} % {bounds(measure)}"


def ran(runs: StudyRuns, arms: Sequence[str]) -> str:
    """Cells and runs behind a claim, in words."""
    pairs = {key: seeds for key, seeds in runs.differences.items() if key[1] in arms}
    cells = {cell for cell, _ in pairs}
    return f"{sum(len(seeds) for seeds in pairs.values())} runs in {len(cells)} cell{'' if len(cells) == 1 else 's'}: " + "; ".join(
        runs.title(arm) for arm in arms if any(key[1] == arm for key in pairs)
    )


def outcome_of(gain: Measure, share: Measure, num_seeds: int, enough: float) -> Outcome:
    """Whether an arm worked, by the rule at the top.

    Args:
        gain: of the arm.
        share: of the true reward's gain.
        num_seeds: the fewest of any cell behind them.
        enough: share that counts as working.
    """
    if gain.low is None or gain.high is None or num_seeds < FEWEST_SEEDS:
        return "open"
    if gain.low > 0 and share.value is not None and share.value >= enough:
        return "worked"
    if gain.high <= 0 or (share.high is not None and share.high < enough) or (share.value is None and gain.high < SMALL_GAIN):
        return "did not"
    return "open"
