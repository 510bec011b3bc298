"""Binned distributions for the page: pass rates, probabilities of right and wrong answers, silhouettes beside their null."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jominy.groups import Groups
from jominy.measures.clarity import Clarity
from jominy.records import Floats
from jominy.results import Histogram

NUM_BINS = 20
NUM_RATE_BINS = 11


def histograms_of(groups: Groups, clarity: Clarity | None) -> tuple[Histogram, ...]:
    """Those distributions that the columns allow."""
    found = [_pass_rates(groups)]
    if groups.probability_N is not None and np.isfinite(groups.probability_N).any():
        found.append(_probabilities(groups, groups.probability_N))
    if clarity is not None and len(clarity.per_prompt.silhouette_V):
        found.append(_silhouettes(clarity))
    return tuple(found)


def _histogram(name: str, unit: str, low: float, high: float, series: Mapping[str, Floats], meaning: str) -> Histogram:
    """Each series of values in equal bins."""
    edges = np.linspace(low, high, NUM_BINS + 1)
    counts = {key: tuple(np.histogram(values, edges)[0].tolist()) for key, values in series.items()}
    return Histogram(name=name, unit=unit, edges=tuple(edges.tolist()), series=counts, meaning=meaning)


def _pass_rates(groups: Groups) -> Histogram:
    scored_P = groups.num_scored_P()
    rates = groups.num_correct_P()[scored_P > 0] / scored_P[scored_P > 0]
    meaning = "Prompts by pass rate. Where rewards are right or wrong only, those at exactly 0 or 1 carried no gradient in this sample."
    dead = (rates == 0) | (rates == 1)
    edges = np.linspace(-0.05, 1.05, NUM_RATE_BINS + 1)  # centred on 0, 0.1, ... 1, so that the dead ends stand apart
    series = {
        "mixed": tuple(np.histogram(rates[~dead], edges)[0].tolist()),
        "all wrong or all right": tuple(np.histogram(rates[dead], edges)[0].tolist()),
    }
    return Histogram(name="pass rate", unit="share", edges=tuple(edges.tolist()), series=series, meaning=meaning)


def _probabilities(groups: Groups, probability_N: Floats) -> Histogram:
    known_N = np.isfinite(probability_N) & groups.scored_N
    right, wrong = probability_N[known_N & groups.correct_N], probability_N[known_N & ~groups.correct_N]
    meaning = "Rollouts by geometric-mean token probability at temperature 1. The further apart, the better the model knows what is right."
    return _histogram("probability", "probability", 0.0, 1.0, {"right": right, "wrong": wrong}, meaning)


def _silhouettes(clarity: Clarity) -> Histogram:
    """Observed S, and what permuted labels give, scaled to as many prompts."""
    observed, null_H = clarity.per_prompt.silhouette_V, clarity.permuted.null_counts_H
    edges = np.linspace(-1.0, 1.0, len(null_H) + 1)
    expected_H = null_H * (len(observed) / max(null_H.sum(), 1.0))
    series = {
        "prompts": tuple(np.histogram(observed, edges)[0].tolist()),
        "expected if labels were random": tuple(expected_H.round(3).tolist()),
    }
    meaning = "Prompts by silhouette S of right and wrong answers in probability, beside what noise gives: mass to its right is signal."
    return Histogram(name="silhouette", unit="S", edges=tuple(edges.tolist()), series=series, meaning=meaning)
