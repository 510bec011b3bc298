"""Does a number of the base model say what RL gains, and does it say more than the pass rate does? Over models, which are few.

    r(x, y | z) = Pearson's correlation of what is left of x and of y when the columns of z have been fitted to each by least squares
    interval      tanh(atanh(r) -+ t_{F-1} times the error of leaving families out in turn)
    p             share of the orders of whole families in which |r| is at least as large, the left-over x permuted and fitted again
                  (Freedman & Lane 1983; the order seen is one of them, so p is never 0)
    pairs         models of different families, alike in one number and apart in another: mean value of the higher minus the other
    left out      each family of models is predicted by least squares on the others; error = (y - prediction)^2

A constant is always among the columns. What a second number adds is the fall of the error, as a share of the error of predicting the mean
of the other families; its interval is Student's over families, for models of a family are alike (`families`).
Left out on purpose: ridge, splines and everything else that a dozen models cannot bear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jominy.records import Bools, Floats, Ints, Measure
from jominy.stats import LEVEL, student_quantile
from jominy.studies.families import family_orders, leave_out_interval

Doubles = NDArray[np.float64]

SMALL = 1e-12
"""Below this spread, relative to the values, nothing is left."""


def left_over(values_M: Floats, others_MK: Floats) -> Doubles:
    """[M] what a least-squares fit on a constant and the columns of `others_MK` leaves of the values; [M, R] values are R fits at once.

    >>> left_over(np.array([1.0, 2.0, 4.0, 5.0]), np.zeros((4, 0)))
    array([-2., -1.,  1.,  2.])
    """
    design_MK = np.column_stack([np.ones(len(values_M)), others_MK])
    fitted, *_ = np.linalg.lstsq(design_MK, values_M, rcond=None)
    rest_M: Doubles = values_M - design_MK @ fitted
    return rest_M


def levels(stratum_M: Ints) -> Doubles:
    """[M, strata - 1] a column for each stratum but the first: fitted, they take each stratum's mean off.

    >>> levels(np.array([7, 7, 9]))
    array([[0.],
           [0.],
           [1.]])
    """
    return np.asarray(stratum_M[:, None] == np.unique(stratum_M)[None, 1:], dtype=np.float64)


def partial_correlation(
    name: str,
    first_M: Floats,
    second_M: Floats,
    others_MK: Floats,
    rng: np.random.Generator,
    *,
    family_M: Ints,
    member_M: Ints | None = None,
) -> tuple[Measure, float | None]:
    """Correlation over models with other numbers held fixed, and the two-sided chance of one at least so large; the family is the unit.

    Args:
        name: of the measure.
        first_M: [M] one number a model.
        second_M: [M] the other.
        others_MK: [M, K] what is held fixed; K may be 0.
        rng: source of the orders beyond 5,040.
        family_M: [M] which models are alike: they change places together.
        member_M: [M] the place of a model in its family, which it keeps; None where each model is a family of its own.

    Returns:
        Undefined below K + 5 models, or where one of the two has nothing left. No interval below three families, or for a perfect one.
    """
    num_models, num_fixed = len(first_M), others_MK.shape[1]
    meaning = "Pearson's correlation over models" + (" with the other numbers held fixed." if num_fixed else ".")
    if num_models < num_fixed + 5:
        why = f"it needs {num_fixed + 5} models at least, there are {num_models}"
        return Measure(name=name, value=None, unit="correlation", why_none=why, meaning=meaning), None
    value = _correlation(first_M, second_M, others_MK)
    if value is None:
        return Measure(name=name, value=None, unit="correlation", why_none="nothing is left to correlate", meaning=meaning), None

    def on_its_scale(keep_M: Bools) -> float | None:
        found = _correlation(first_M[keep_M], second_M[keep_M], others_MK[keep_M])
        return None if found is None or abs(found) >= 1 - SMALL else math.atanh(found)

    found = leave_out_interval(on_its_scale, family_M)
    low, high = (None if end is None else math.tanh(end) for end in (found.low, found.high))
    measure = Measure(name=name, value=value, low=low, high=high, unit="correlation", meaning=meaning)
    order_RM, every = family_orders(family_M, np.zeros(num_models, dtype=np.int64) if member_M is None else member_M, rng)
    rest_M, other_M = left_over(first_M, others_MK), left_over(second_M, others_MK)
    # A permuted residual is no longer free of the other columns: they are fitted again, as the residual itself was.
    shuffled_RM = left_over(rest_M[order_RM].T, others_MK).T
    norm_R = np.sqrt((shuffled_RM**2).sum(axis=1) * float(other_M @ other_M))
    drawn_R = (shuffled_RM @ other_M) / np.where(norm_R > 0, norm_R, np.inf)
    as_large = int(np.count_nonzero(np.abs(drawn_R) >= abs(value) - 1e-9))
    # All orders hold the one that was seen; a sample of them counts it as one of its own, so that no p-value is 0.
    return measure, as_large / len(order_RM) if every else (as_large + 1) / (len(order_RM) + 1)


def _correlation(first_M: Floats, second_M: Floats, others_MK: Floats) -> float | None:
    """Of what the columns leave; None where they leave nothing."""
    rest_M, other_M = left_over(first_M, others_MK), left_over(second_M, others_MK)
    for left_M, all_M in ((rest_M, first_M), (other_M, second_M)):
        if len(all_M) == 0 or np.abs(left_M).max() < SMALL * max(1.0, np.abs(all_M).max()):
            return None
    norm = math.sqrt(float(rest_M @ rest_M) * float(other_M @ other_M))
    return min(max(float(rest_M @ other_M) / norm, -1.0), 1.0)


def pairs_apart(near_M: Floats, apart_M: Floats, family_M: Ints, *, nearest: float, furthest: float) -> Ints:
    """[Q, 2] models of different families that are alike in one number and apart in another, the higher of the other first.

    Args:
        near_M: [M] in which they differ by `nearest` at most.
        apart_M: [M] in which they differ by `furthest` at least.
        family_M: [M] which models are alike.
        nearest: the most, included.
        furthest: the least, included.

    >>> pairs_apart(np.array([0.3, 0.31, 0.5]), np.array([0.1, 0.4, 0.9]), np.arange(3), nearest=0.03, furthest=0.1).tolist()
    [[1, 0]]
    """
    near_MM = np.abs(near_M[:, None] - near_M[None, :]) <= nearest + SMALL
    higher_MM = apart_M[:, None] - apart_M[None, :] >= furthest - SMALL
    return np.argwhere(near_MM & higher_MM & (family_M[:, None] != family_M[None, :]))


def lead_of_pairs(name: str, values_M: Floats, pair_Q2: Ints, family_M: Ints) -> Measure:
    """Mean over pairs of the first one's value minus the other's; a family is left out with all pairs that it is in.

    Undefined without pairs; no interval below three families, or where one family is in every pair.
    """
    meaning = "Value of the higher of a pair of models minus the other's, mean over pairs."
    if len(pair_Q2) == 0:
        return Measure(name=name, value=None, why_none="there is no such pair", meaning=meaning)
    lead_Q = values_M[pair_Q2[:, 0]] - values_M[pair_Q2[:, 1]]
    there = np.unique(pair_Q2)

    def mean_of(keep_N: Bools) -> float | None:
        kept_Q = np.isin(pair_Q2, there[keep_N]).all(axis=1)
        return float(lead_Q[kept_Q].mean()) if kept_Q.any() else None

    found = leave_out_interval(mean_of, family_M[there])
    return Measure(name=name, value=float(lead_Q.mean()), low=found.low, high=found.high, meaning=meaning)


def predict_left_out(values_M: Floats, features_MK: Floats, family_M: Ints) -> Doubles:
    """[M] each model's value by least squares, on a constant and the features, over the models of the other families.

    Raises:
        ValueError: there are fewer than two families.
    """
    if len(np.unique(family_M)) < 2:
        raise ValueError("leaving a family out needs two families at least")
    predicted_M = np.empty(len(values_M))
    for family in np.unique(family_M):
        out_M = family_M == family
        design_MK = np.column_stack([np.ones(len(values_M)), features_MK])
        fitted, *_ = np.linalg.lstsq(design_MK[~out_M], values_M[~out_M], rcond=None)
        predicted_M[out_M] = design_MK[out_M] @ fitted
    return predicted_M


def skill_added(name: str, values_M: Floats, features: Sequence[Floats], more: Sequence[Floats], family_M: Ints) -> Measure:
    """By how much further numbers lower the error of predicting families that were left out.

    added = mean over families of (error with `features` - error with `more` besides) / mean error of predicting the others' mean

    Args:
        name: of the measure.
        values_M: [M] what is predicted.
        features: [M] each, used in both.
        more: [M] each, used in the second only.
        family_M: [M] which models are alike.

    Returns:
        1 where the error falls from that of the mean to 0; below 0 where the further numbers mislead. Undefined below three families, or
        where some fit has fewer than two models more than it has columns.
    """
    meaning = "Fall of the squared error on families left out, as a share of the error of predicting the mean of the others."
    families, num_models = np.unique(family_M), len(values_M)
    columns = len(features) + len(more) + 1
    fewest = num_models - max((int(np.count_nonzero(family_M == family)) for family in families), default=0)
    if len(families) < 3 or fewest < columns + 2:
        why = f"it needs three families and {columns + 2} models besides each, there are {len(families)} families of {num_models} models"
        return Measure(name=name, value=None, unit="share", why_none=why, meaning=meaning)
    empty_M0 = np.zeros((num_models, 0))
    plain_MK = np.column_stack([empty_M0, *features])
    errors = [
        (values_M - predict_left_out(values_M, each_MK, family_M)) ** 2
        for each_MK in (empty_M0, plain_MK, np.column_stack([plain_MK, *more]))
    ]
    mean_error = float(errors[0].mean())
    if mean_error < SMALL**2:
        return Measure(name=name, value=None, unit="share", why_none="all models gained the same", meaning=meaning)
    fall_F = np.array([(errors[1] - errors[2])[family_M == family].mean() for family in families]) / mean_error
    value = float(fall_F.mean())
    reach = student_quantile(0.5 + LEVEL / 2, len(families) - 1) * float(fall_F.std(ddof=1)) / math.sqrt(len(families))
    return Measure(name=name, value=value, low=value - reach, high=value + reach, unit="share", meaning=meaning)
