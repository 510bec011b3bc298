"""Two policies' decisions about one bank of states, compared state by state: what differs is not which attempts they saw.

    accept     a_i = after_i - before_i                     over right states, and over wrong ones
    balanced   v_i = (right_i + 1 - wrong_i) / 2            of pair i of a right and a wrong state;   J_i = 2 v_i - 1
    AUROC      x_i = V_i + W_i - mean V                     V_i share of wrong states below right state i, W_i of right ones above wrong i

A bank has at most one right and one wrong state of a prompt, and both are in one pair wherever there are both: pairs are what could have
been others. The mean of x is the AUROC, and the spread of x that of DeLong (1988) with pairs as clusters. Shares get the interval of
`paired`, the AUROC Student's. Left out on purpose: the calibration error, which is above 0 by chance and so not a plain mean.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jominy.explanation import Change
from jominy.measures.clustered import DECISIONS
from jominy.measures.decisions import BankMetrics
from jominy.measures.paired import paired_change
from jominy.records import Floats, Measure

NO_PAIR = "no pair of states was decided about by both"


def bank_changes(before: BankMetrics, after: BankMetrics, before_2H: Floats, after_2H: Floats) -> tuple[Change, ...]:
    """Accept right, false accept, balanced accuracy, Youden's J and AUROC: both sides as they are shown, and the paired difference.

    Args:
        before: of the first policy on these states.
        after: of the second.
        before_2H: [2, H] its chance of accepting the right and the wrong state of each pair.
        after_2H: [2, H] the second's.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (before_2H, after_2H)]
    assert sides[0].shape == sides[1].shape
    assert sides[0].shape[0] == 2
    balanced = _difference(before.rates.balanced, *((side[0] + 1 - side[1]) / 2 for side in sides))
    doubled = replace(
        balanced,
        name=f"change of {before.rates.youden.name}",
        meaning=before.rates.youden.meaning,
        value=_doubled(balanced.value),
        low=_doubled(balanced.low),
        high=_doubled(balanced.high),
    )
    differences = [
        (before.rates.accept_right, after.rates.accept_right, _difference(before.rates.accept_right, *(side[0] for side in sides))),
        (before.rates.accept_wrong, after.rates.accept_wrong, _difference(before.rates.accept_wrong, *(side[1] for side in sides))),
        (before.rates.balanced, after.rates.balanced, balanced),
        (before.rates.youden, after.rates.youden, doubled),
        (before.auroc, after.auroc, _difference(before.auroc, *map(placements, sides), bounds=(0.0, 1.0))),
    ]
    return tuple(Change(name=one.name, before=one, after=other, difference=moved) for one, other, moved in differences)


def placements(accept_2H: Floats) -> Floats:
    """[H] x, whose mean is the AUROC.

    >>> placements(np.array([[0.9, 0.4], [0.1, 0.6]])).tolist()      # V 1, 1/2;  W 1, 1/2;  mean V 3/4
    [1.25, 0.25]
    """
    right_H, wrong_H = accept_2H
    above_HH = (right_H[:, None] > wrong_H[None, :]) + 0.5 * (right_H[:, None] == wrong_H[None, :])
    found: Floats = above_HH.mean(axis=1) + above_HH.mean(axis=0) - above_HH.mean()
    return found


def _difference(of: Measure, before_H: Floats, after_H: Floats, *, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Measure:
    return paired_change(
        of.name, before_H, after_H, unit=of.unit, meaning=of.meaning, why_none=NO_PAIR, bounds=bounds, paper=DECISIONS
    ).difference


def _doubled(value: float | None) -> float | None:
    return None if value is None else 2 * value
