"""Distributions for the page: pass rates, probabilities of right and wrong answers, silhouettes beside and before their null.

A `Histogram` counts in bins; a `Cloud` has a point a prompt before the band of permuted labels.
Left out on purpose: the bands themselves, which `measures.null_band` owns, and drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from jominy.groups import Groups
from jominy.measures.clarity import Clarity
from jominy.measures.null_band import NullBand, band_by_pass_rate, band_by_rank, expected_outside, sides_of
from jominy.measures.silhouette import Doubles
from jominy.records import Floats, Ints
from jominy.results import Cloud, Histogram, Side

BIN_WIDTHS = (0.005, 0.01, 0.02, 0.025, 0.05)
"""Of probabilities: the finest that gives at most `MAX_BINS`, since most models live in a small part of [0, 1]."""
MAX_BINS = 40
NUM_RATE_BINS = 11


def histograms_of(groups: Groups, clarity: Clarity | None) -> tuple[Histogram, ...]:
    """Those distributions that the columns allow."""
    found = [_pass_rates(groups)]
    if groups.probability_N is not None and np.isfinite(groups.probability_N).any():
        found.append(_probabilities(groups, groups.probability_N))
    if clarity is not None and len(clarity.per_prompt.silhouette_V):
        found.append(_silhouettes(clarity))
    return tuple(found)


def clouds_of(clarity: Clarity) -> tuple[Cloud, ...]:
    """S and balanced S of the permuted prompts, in order and against their pass rate; none where no prompt has both classes."""
    permuted, there = clarity.permuted, clarity.per_prompt
    if len(permuted.prompts_W) == 0:
        return ()
    place_W = np.searchsorted(there.prompts_V, permuted.prompts_W)
    plain = _Values(
        name="silhouette",
        letter="S",
        prompts_W=permuted.prompts_W,
        pass_rate_W=there.pass_rate_V[place_W],
        values_W=permuted.silhouette_W,
        null_WR=permuted.null_WR,
    )
    balanced_W, null_WR = there.balanced_V[place_W], permuted.null_balanced_WR
    balanced = replace(plain, name="balanced silhouette", letter="balanced S", values_W=balanced_W, null_WR=null_WR)
    return _by_rank(plain), _by_rank(balanced), _by_pass_rate(plain), _by_pass_rate(balanced)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Values:
    """S or balanced S of the permuted prompts: what both kinds of cloud are made of."""

    name: str
    """silhouette or balanced silhouette."""
    letter: str
    """S or balanced S."""
    prompts_W: Ints
    """[W] positions of the prompts."""
    pass_rate_W: Doubles
    """[W] their pass rates."""
    values_W: Doubles
    """[W] as observed."""
    null_WR: Doubles
    """[W, R] under permuted labels."""


def _by_rank(values: _Values) -> Cloud:
    order_W = np.argsort(values.values_W, kind="stable")
    ranked = replace(values, prompts_W=values.prompts_W[order_W], values_W=values.values_W[order_W], null_WR=values.null_WR[order_W])
    sides_W, band = sides_of(values.values_W, values.null_WR), band_by_rank(values.null_WR)
    noise = expected_outside(values.null_WR)
    above, below = np.count_nonzero(sides_W > 0), np.count_nonzero(sides_W < 0)
    meaning = (
        f"Prompts in the order of their {values.letter}; the band is what permuted labels give at each place, so what rises out of it is "
        f"signal. Of {len(sides_W)} prompts {above} lie above and {below} below the 95 % of their own permuted labels; noise alone gives "
        f"about {noise.above:.2g} above and {noise.below:.2g} below. {noise.num_can_leave} of them can lie outside at all: where few "
        "answers are right, or few wrong, even the clearest labelling is common. All prompts together: the pooled permutation z."
    )
    return _cloud(ranked, f"{values.name} by prompt", "prompts, lowest first", band.x_B, band, meaning)


def _by_pass_rate(values: _Values) -> Cloud:
    meaning = (
        "Prompts by their share of right answers; the band is where 95 % of single prompts would lie if labels were random: even then "
        f"{values.letter} depends on the class sizes. "
    )
    meaning += (
        "S weighs the larger class more, so it follows the pass rate where the classes differ in spread: compare with balanced S."
        if values.letter == "S"
        else "The classes weigh the same here: what still follows the pass rate is no matter of which class is the larger."
    )
    band = band_by_pass_rate(values.null_WR, values.pass_rate_W)
    return _cloud(values, f"{values.name} and pass rate", "pass rate", values.pass_rate_W, band, meaning)


def _cloud(values: _Values, name: str, x_name: str, x_W: Doubles, band: NullBand, meaning: str) -> Cloud:
    words: tuple[Side, ...] = ("below", "within", "above")
    return Cloud(
        name=name,
        x_name=x_name,
        y_name=values.letter,
        prompts=tuple(values.prompts_W.tolist()),
        x=_rounded(x_W),
        y=_rounded(values.values_W),
        side=tuple(words[side + 1] for side in sides_of(values.values_W, values.null_WR)),
        band_x=_rounded(band.x_B),
        band_mean=_rounded(band.mean_B),
        band_low=_rounded(band.low_B),
        band_high=_rounded(band.high_B),
        meaning=meaning,
    )


def _rounded(values: Doubles) -> tuple[float, ...]:
    """Four digits: more than can be seen, and a third of the file."""
    return tuple(values.round(4).tolist())


def _histogram(name: str, unit: str, edges: Floats, series: Mapping[str, Floats], meaning: str) -> Histogram:
    """Each series of values in the same bins."""
    counts = {key: tuple(np.histogram(values, edges)[0].tolist()) for key, values in series.items()}
    return Histogram(name=name, unit=unit, edges=tuple(edges.tolist()), series=counts, meaning=meaning)


def _edges_around(values: Floats) -> Floats:
    """Equal bins of a round width that hold all of the values in [0, 1]."""
    low, high = float(values.min()), float(values.max())
    for width in BIN_WIDTHS:
        first, last = int(np.floor(low / width + 1e-9)), int(np.ceil(high / width - 1e-9))
        if last - first <= MAX_BINS:
            break
    edges: Floats = np.arange(first, max(last, first + 1) + 1) * width
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    return edges


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
    meaning = "Rollouts by geometric-mean token probability at temperature 1. The further apart, the better the model knows what is right; "
    meaning += "but easy prompts may lie elsewhere than hard ones, so the silhouette compares within prompts."
    edges = _edges_around(probability_N[known_N]) if known_N.any() else np.linspace(0.0, 1.0, 21)
    return _histogram("probability", "probability", edges, {"right": right, "wrong": wrong}, meaning)


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
