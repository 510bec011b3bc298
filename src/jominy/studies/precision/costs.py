"""What a run costs in seconds, a judge's included, and by how much less another one does.

    cost_r       seconds of drawing, grading and updating + sum over numbers of constraints of questions x price_r       r: round of pricing
    reduction    1 - exp(mean over rounds and seeds of log(cost of the second / cost of the first))
    variance     Var(means of rounds) / R + Var(means of seeds) / S,  t of Welch's degrees

Prices are of one machine in one hour, and the same for all seeds: what they are off by does not shrink with seeds, so their spread over
rounds is in the interval beside that of the seeds. Both hold some of the other's chance, which makes it a little too wide.
Left out on purpose: what is behind a price (`judging.prices_of`), and claims (`refinement`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from jominy.records import Floats, Measure
from jominy.stats import LEVEL, NO_INTERVAL, Interval, student_quantile
from jominy.studies.precision.design import FULL_MIX, REFINE, REFINED
from jominy.studies.precision.told import cell_of, mores
from jominy.studies.precision.witnesses import asked
from jominy.studies.reading import Record, StudyRuns

Prices = Mapping[str, Floats]
"""Number of constraints in a question -> [R] seconds, in each round."""


def prices(runs: StudyRuns) -> Prices:
    """What SmolLM2 takes; empty before it was asked."""
    return {number: np.array(rounds, dtype=np.float64) for number, rounds in asked(runs).get("prices", {}).items()}


def cost_of(spent: Record, known: Prices) -> Floats | None:
    """[R] seconds of a run's `spent`, or of a pilot: its own, and a judge's, one question a response that has something to judge.

    Args:
        spent: `seconds` by what they went into, `asked`: constraints to judge -> responses.
        known: prices.

    Returns:
        None where a price is not known.

    >>> spent = {"seconds": {"sampling": 2.0, "update": 3.0}, "asked": {"0": 7, "1": 10, "2": 4}}
    >>> cost_of(spent, {"1": np.array([0.5, 0.6]), "2": np.array([1.0, 1.0])})
    array([14., 15.])
    """
    questions = {number: times for number, times in spent["asked"].items() if number != "0"}
    if not known or not questions.keys() <= known.keys():
        return None
    num_rounds = len(next(iter(known.values())))
    judging_R = sum((times * known[number] for number, times in questions.items()), np.zeros(num_rounds))
    total: Floats = math.fsum(spent["seconds"].values()) + judging_R
    return total


def paired_costs(runs: StudyRuns) -> dict[int, tuple[Record, Record]]:
    """Seed -> what was measured more on the runs of (all prompts, refined)."""
    cell = cell_of(runs, REFINE)
    whole, refined = mores(runs, cell, FULL_MIX), mores(runs, cell, REFINED)
    return {seed: (whole[seed], refined[seed]) for seed in sorted(set(whole) & set(refined))}


def reduction(name: str, pairs: Sequence[tuple[Floats, Floats]]) -> Measure:
    """1 - geometric mean of second over first, by the formulas at the top.

    Args:
        name: of the measure.
        pairs: [S] of ([R], [R]) seconds of the first and of the second.

    >>> rounds = np.ones(5)
    >>> round(reduction("x", [(10.0 * rounds, 5.0 * rounds), (20.0 * rounds, 10.0 * rounds)]).value, 3)
    0.5
    """
    meaning = "By how much less the second took than the first, mean over seeds and rounds of pricing."
    if not pairs:
        return Measure(name=name, value=None, why_none="no seed has both", meaning=meaning)
    logs_SR = np.log(np.stack([second / first for first, second in pairs]))
    found = crossed_interval(logs_SR)
    low, high = (None if end is None else 1 - math.exp(end) for end in (found.high, found.low))
    return Measure(name=name, value=1 - math.exp(float(logs_SR.mean())), low=low, high=high, unit="share", meaning=meaning)


def crossed_interval(values_SR: Floats) -> Interval:
    """Of the mean of values that seeds and rounds both move, by the variance at the top.

    Returns:
        No interval for fewer than two seeds or rounds, or without any spread.
    """
    if min(values_SR.shape) < 2:
        return NO_INTERVAL
    parts = []
    for axis in (1, 0):
        means = values_SR.mean(axis=axis)
        parts.append((float(means.var(ddof=1)) / len(means), len(means) - 1))
    total, mean = sum(part for part, _ in parts), float(values_SR.mean())
    if total <= 1e-24 * max(mean * mean, 1e-300):
        return NO_INTERVAL
    degrees = total**2 / sum(part**2 / degrees for part, degrees in parts)
    half = student_quantile(0.5 + LEVEL / 2, max(int(degrees), 1)) * math.sqrt(total)
    return Interval(low=mean - half, high=mean + half)


def step_of_score(evaluations: Sequence[Record], score: float) -> float | None:
    """The first step at which right responses reach `score`, between two evaluations on a straight line; None where they never do.

    >>> step_of_score([{"step": 0, "right": [0, 2]}, {"step": 10, "right": [2, 4]}], 2.0)
    5.0
    """
    ways = [(one["step"], float(np.mean(one["right"]))) for one in evaluations]
    if ways and ways[0][1] >= score:
        return float(ways[0][0])
    for (before, low), (after, high) in itertools.pairwise(ways):
        if high >= score > low:
            return float(before + (after - before) * (score - low) / (high - low))
    return None
