"""Whether the chance of accepting tells right attempts from wrong ones: AUROC and calibration error of the verdict.

    AUROC = P(chance of a right one > chance of a wrong one) + P(equal) / 2         over all pairs of decisions, of any prompts
    ECE   = sum_b |sum_{i in b} (chance_i - right_i)| / N                           ten bins of equal width over [0, 1]

The interval of the AUROC is the score interval with the variance of the placements, clustered by prompt (DeLong 1988, Obuchowski 1997): a
right one's placement is the share of wrong ones below it. How well that variance is known is up to the class with the fewest prompts; a
class from one prompt leaves no interval. LIMIT: the ECE is not below 0 in any bin, so with few decisions it is above 0 for
a perfectly calibrated model too (by about sqrt(2 / (pi n)) * 0.5 in a bin of n): compare models on the same number of states only.
Left out on purpose: who computes the chances.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jominy.measures.clustered import Label, Ratio, linear_interval, measured, of_two_sides
from jominy.records import Bools, Floats, Ints, Measure
from jominy.stats import LEVEL, NO_INTERVAL, Interval, student_quantile, wilson

NUM_BINS = 10
AUROC = Label(
    name="AUROC of the verdict",
    meaning="Chance that a right attempt has a higher chance of being accepted than a wrong one; 0.5 is blind.",
    why_none="it needs right and wrong attempts",
    unit="probability",
)
ECE = Label(
    name="calibration error of the verdict",
    meaning="Mean distance between the chance of accepting and how often such attempts are right, in ten bins; above 0 by chance alone.",
    why_none="no decision has a chance of accepting",
)
Doubles = NDArray[np.float64]


def auroc(accept_probability_D: Floats, correct_D: Bools, prompt_D: Ints, num_prompts: int) -> Measure:
    """How well the chance of accepting ranks right above wrong attempts.

    Args:
        accept_probability_D: [D] in [0, 1].
        correct_D: [D] the truth.
        prompt_D: [D] the resampling unit.
        num_prompts: P.

    >>> auroc(np.array([0.9, 0.4, 0.4]), np.array([True, True, False]), np.array([0, 0, 1]), 2).value      # (1 + 1/2) / 2
    0.75
    """
    check_probabilities(accept_probability_D, correct_D, prompt_D)
    num_used = len(np.unique(prompt_D))
    right, wrong = accept_probability_D[correct_D], accept_probability_D[~correct_D]
    if len(right) == 0 or len(wrong) == 0:
        return measured(AUROC, None, NO_INTERVAL, num_used, num_prompts)
    of_right, of_wrong = _share_below(right, wrong), 1 - _share_below(wrong, right)
    value = float(of_right.mean())
    errors_P = np.bincount(prompt_D[correct_D], weights=(of_right - value) / len(right), minlength=num_prompts).astype(np.float64)
    errors_P += np.bincount(prompt_D[~correct_D], weights=(of_wrong - value) / len(wrong), minlength=num_prompts)
    sides = [len(np.unique(prompt_D[which_D])) for which_D in (correct_D, ~correct_D)]
    return measured(of_two_sides(AUROC, *sides), value, _score_interval(value, errors_P, min(sides)), num_used, num_prompts)


def calibration_error(accept_probability_D: Floats, correct_D: Bools, prompt_D: Ints, num_prompts: int) -> Measure:
    """How far the chance of accepting is from the chance of being right.

    >>> calibration_error(np.array([0.75, 0.75]), np.array([True, False]), np.array([0, 1]), 2).value      # |0.75 - 1 / 2|
    0.25
    """
    check_probabilities(accept_probability_D, correct_D, prompt_D)
    ones = np.ones(len(correct_D), dtype=bool)
    if not ones.any():
        return measured(ECE, None, NO_INTERVAL, 0, num_prompts)
    bin_D = np.minimum((accept_probability_D * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    gap_D = accept_probability_D - correct_D
    sign_b = np.sign(np.bincount(bin_D, weights=gap_D, minlength=NUM_BINS))
    ratio = Ratio.over(sign_b[bin_D] * gap_D, ones, prompt_D, num_prompts)
    value = ratio.value
    assert value is not None
    interval = linear_interval(value, ratio.errors_P, ratio.num_used)
    if interval.low is not None and interval.high is not None:
        interval = Interval(low=max(interval.low, 0.0), high=min(interval.high, 1.0))
    return measured(ECE, value, interval, ratio.num_used, num_prompts)


def check_probabilities(accept_probability_D: Floats, correct_D: Bools, prompt_D: Ints) -> None:
    """Same lengths and values that are probabilities."""
    if len({len(accept_probability_D), len(correct_D), len(prompt_D)}) > 1:
        sizes = f"{len(accept_probability_D)}, {len(correct_D)} and {len(prompt_D)}"
        raise ValueError(f"each decision needs a chance of accepting, a truth and a prompt; got {sizes} of them")
    if not np.all((accept_probability_D >= 0) & (accept_probability_D <= 1)):
        raise ValueError("chances of accepting must lie in [0, 1]")


def _share_below(values: Floats, others: Floats) -> Doubles:
    """Of each value: the share of the others below it, those equal by half."""
    ordered = np.sort(others)
    below: Doubles = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(others))
    return below


def _score_interval(value: float, errors_P: Floats, num_used: int) -> Interval:
    """As `stats.share_interval`, from errors instead of values: one pseudo-prompt of 0/1 spread keeps an AUROC of 1 from being certain.

    Args:
        value: the AUROC.
        errors_P: [P] what each prompt adds to its error.
        num_used: prompts of the class with the fewest.
    """
    if num_used < 2:
        return NO_INTERVAL
    binary = value * (1 - value)
    variance = math.fsum(errors_P**2) * num_used**2
    effective = num_used if binary <= 0 else num_used * num_used * binary / (variance + binary)
    return wilson(value * effective, effective, quantile=student_quantile(0.5 + LEVEL / 2, num_used - 1))
