"""May a reward be trained on: the verdict of an audit, from the confusion matrix, for each type and for all.

    good     every bound of THRESHOLDS surely holds: the lower end of the 95 % interval reaches it
    bad      one of them surely does not: the upper end stays below it
    unsure   neither: more items would tell, about  n B (1 - B) (v - low)^2 / (low (1 - low) (v - B)^2)  in place of n, if they go on like
             the n that gave v and low; that is the score interval turned round for a lower end at the bound B

    trust                   whole responses and single constraints are good, no type is bad, no probe fools it
    trust for these types   else, where some types are good, and no probe fools it
    do not train on it      else; `too_few` where nothing is bad and no probe fools it: nobody can tell yet

Recall on false counts for more than recall on true: a false reject costs signal, a false accept is what a policy finds and keeps. A probe
(an empty answer, an echo ...) that surely gets paid now and then needs no training to be found, so one is enough, and a low bound.
Precision is that at even odds: at the audit's own base rate, 3/4 of the single constraints of pairs, who says yes to all would pass.
No paper gives the bounds: they are ours, are printed, and can be set.
Left out on purpose: what the errors cost at a policy's pass rate (`reward_errors`), which the verdict stands beside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from jominy.measures.precision import Confusion, Precision
from jominy.records import Measure
from jominy.results import Threshold
from jominy.stats import share_interval

Standing = Literal["good", "bad", "unsure"]
TrustValue = Literal["trust", "trust for these types", "do not train on it"]

THRESHOLDS: tuple[Threshold, ...] = (
    Threshold(name="recall_false", value=0.75, meaning="of the violated, at least this share must surely be seen"),
    Threshold(name="recall_true", value=0.5, meaning="of the satisfied, at least this share must surely be accepted"),
    Threshold(name="precision", value=0.75, meaning="of the accepted, at least this share must surely be satisfied, were half of all so"),
    Threshold(name="probe", value=0.1, meaning="no probe may surely be paid in more than this share of its wrong answers"),
    Threshold(name="unscored", value=0.1, meaning="at most this share of the items may be without a verdict"),
)
TOO_FEW = "too few to tell"
USUAL_RATE = 0.95
"""Recall of a type that deserves its trust, for `chance_of_good`."""
NAMED, REASONS = 6, 4
"""A rule names so many of those that fail for one reason, and so many reasons; the tables have all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTrust:
    """How one cell stands.

    Example: CellTrust(name="title", standing="bad", why="recall on false is 30 % [20 %, 42 %], the bound is 75 %")
    """

    name: str
    """Type, probe, or all."""
    standing: Standing
    """good, bad, or unsure."""
    why: str
    """The numbers that decided."""
    below: bool = False
    """Whether a rate itself lies below its bound, surely or not."""
    unread: bool = False
    """Whether it is bad for its missing verdicts, whatever the others say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The verdict.

    Example: Trust(value="trust for these types", types=("no_commas", "title"), rule="...", cells=(...), fooled_by=())
    """

    value: TrustValue
    """Whether to train on it."""
    types: tuple[str, ...]
    """Types that are good; all may be trained on where the value is `trust`, none where it is `do not train on it`."""
    rule: str
    """Why, in a sentence with the numbers."""
    constraints: CellTrust
    """All constraints together."""
    responses: CellTrust
    """Whole responses."""
    cells: tuple[CellTrust, ...]
    """One a type."""
    fooled_by: tuple[CellTrust, ...]
    """Probes that surely get paid wrongly."""
    too_few: bool
    """Whether it is `do not train on it` for want of items alone: nothing is surely bad."""
    unread: bool = False
    """Whether it is `do not train on it` because verdicts are missing: what the others say of right and wrong decided nothing."""


def trust_thresholds(changes: Mapping[str, float] | None = None) -> dict[str, Threshold]:
    """The bounds by name, some of them set anew.

    Raises:
        ValueError: an unknown name, or a value outside [0, 1].

    >>> trust_thresholds({"recall_false": 0.9})["recall_false"].value
    0.9
    """
    known = {threshold.name: threshold for threshold in THRESHOLDS}
    for name, value in (changes or {}).items():
        if name not in known:
            raise ValueError(f"no threshold {name!r} of an audit; there are {', '.join(known)}")
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"threshold {name} must be in [0, 1]; got {value:g}")
        known[name] = replace(known[name], value=value)
    return known


def decide_trust(precision: Precision, probes: Sequence[Confusion] = (), thresholds: Mapping[str, Threshold] | None = None) -> Trust:
    """The verdict of an audit.

    Args:
        precision: what was counted.
        probes: one cell a kind of probe, whole responses.
        thresholds: as `trust_thresholds` gives them; default ours.
    """
    bounds = {name: threshold.value for name, threshold in (thresholds or trust_thresholds()).items()}
    constraints, responses = stand(precision.constraints, bounds), stand(precision.responses, bounds)
    cells = tuple(stand(cell, bounds) for cell in precision.by_type)
    fooled_by = tuple(found for cell in probes if (found := _fooled(cell, bounds)) is not None)
    good = tuple(cell.name for cell in cells if cell.standing == "good")
    value, rule = _verdict(constraints, responses, cells, fooled_by)
    nothing_bad = not fooled_by and all(cell.standing != "bad" for cell in (constraints, responses, *cells))
    return Trust(
        value=value,
        types=() if value == "do not train on it" else good,
        rule=rule,
        constraints=constraints,
        responses=responses,
        cells=cells,
        fooled_by=fooled_by,
        too_few=value == "do not train on it" and nothing_bad,
        unread=value == "do not train on it" and not fooled_by and (constraints.unread or responses.unread),
    )


def _verdict(
    constraints: CellTrust, responses: CellTrust, cells: Sequence[CellTrust], fooled_by: Sequence[CellTrust]
) -> tuple[TrustValue, str]:
    if fooled_by:
        return "do not train on it", "wrong answers are paid: " + _told([(cell.name, cell.why) for cell in fooled_by], "probes")
    wholes = (("whole responses", responses), ("single constraints", constraints))
    bad = [cell for cell in cells if cell.standing == "bad"]
    weak = [(name, cell.why) for name, cell in wholes if cell.standing != "good"]
    if not weak and not bad:
        return "trust", f"every bound surely holds; whole responses: {responses.why}"
    told = "; ".join(words for words in (_told(weak, "levels"), _told([(cell.name, cell.why) for cell in bad], "types")) if words)
    if any(cell.standing == "good" for cell in cells):
        return "trust for these types", told
    return "do not train on it", f"{'no type surely holds every bound' if bad or _surely_bad(wholes) else TOO_FEW}; {told}"


def _told(named: Sequence[tuple[str, str]], what: str) -> str:
    """Names with what is wrong with them, those of one reason together, and no more than a person reads.

    >>> _told([("json", "nothing is paid"), ("title", "nothing is paid")], "types")
    'json, title: nothing is paid'
    """
    names: dict[str, list[str]] = {}
    for name, why in named:
        names.setdefault(why, []).append(name)
    shown = [
        f"{', '.join(alike[:NAMED])}{f' and {len(alike) - NAMED} more' if len(alike) > NAMED else ''}: {why}"
        for why, alike in names.items()
    ]
    left = sum(len(alike) for alike in list(names.values())[REASONS:])
    return "; ".join(shown[:REASONS] + ([f"and {left} more {what}"] if left else []))


def stand(cell: Confusion, bounds: Mapping[str, float]) -> CellTrust:
    """How a cell stands against the bounds (`THRESHOLDS` by name)."""
    num_items = cell.num_scored + cell.num_unscored
    unscored = cell.num_unscored / num_items if num_items else 0.0
    if unscored > bounds["unscored"]:
        why = f"{unscored:.0%} have no verdict, the bound is {bounds['unscored']:.0%}"
        return CellTrust(name=cell.name, standing="bad", why=why, unread=True)
    kept = ((cell.recall_false, "recall_false"), (cell.recall_true, "recall_true"), (cell.even_precision, "precision"))
    rates = [(measure, bounds[name]) for measure, name in kept]
    below = any(measure.value is not None and measure.value < bound for measure, bound in rates)
    for standing in ("bad", "unsure"):
        for measure, bound in rates:
            if _reach(measure, bound) == standing:
                more = "" if standing == "bad" else _more(measure, bound)
                return CellTrust(name=cell.name, standing=_reach(measure, bound), why=_why(measure, bound) + more, below=below)
    return CellTrust(name=cell.name, standing="good", why="; ".join(_why(measure, bound) for measure, bound in rates))


def chance_of_good(num_violated: int, bound: float, rate: float = USUAL_RATE) -> float:
    """In how many audits a type surely reaches the bound of recall on false, where its true recall is `rate`.

    Args:
        num_violated: violated items, each of a prompt of its own.
        bound: on recall on false.
        rate: the truth.

    >>> round(chance_of_good(18, 0.75), 2)          # all 18 must be seen: .95 ** 18
    0.4
    """
    seen = range(num_violated + 1)
    good = [number for number in seen if _low(number, num_violated) >= bound]
    return sum(math.comb(num_violated, number) * rate**number * (1 - rate) ** (num_violated - number) for number in good)


def _low(number: int, count: int) -> float:
    low = share_interval((np.arange(count) < number).astype(np.float64)).low
    return 0.0 if low is None else low


def _surely_bad(wholes: Sequence[tuple[str, CellTrust]]) -> bool:
    return any(cell.standing == "bad" for _, cell in wholes)


def _fooled(cell: Confusion, bounds: Mapping[str, float]) -> CellTrust | None:
    paid, bound = cell.false_accept, bounds["probe"]
    if paid.low is None or paid.low <= bound:
        return None
    return CellTrust(name=cell.name, standing="bad", why=_why(paid, bound), below=True)


def _more(measure: Measure, bound: float) -> str:
    """How many more prompts would tell, in words; nothing where no number is known."""
    value, low = measure.value, measure.low
    if value is None:
        return ""
    if low is None or not 0 < low < value:
        return "; it takes more prompts to tell"
    if value <= bound:
        return "; more like these would not reach it"
    needed = bound * (1 - bound) * (value - low) ** 2 / (low * (1 - low) * (value - bound) ** 2)
    more = max(math.ceil(measure.num_prompts * (needed - 1)), 1)
    return f"; about {more:,} more prompt{'s' if more > 1 else ''} like these would tell"


def _reach(measure: Measure, bound: float) -> Standing:
    if measure.low is None or measure.high is None:
        return "unsure"
    return "good" if measure.low >= bound else "bad" if measure.high < bound else "unsure"


def _why(measure: Measure, bound: float) -> str:
    if measure.value is None:
        return f"{measure.name} is unknown: {measure.why_none}"
    between = "" if measure.low is None or measure.high is None else f" [{measure.low:.0%}, {measure.high:.0%}]"
    return f"{measure.name} is {measure.value:.0%}{between}, the bound is {bound:.0%}"
