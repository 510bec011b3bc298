"""Two estimates over units that come in clusters: a correlation over moments of models, and a ratio of mean pass rates.

    r over moments      all of them, or within models (each model's means taken off); models are drawn with replacement
    ratio               mean of one list over mean of another, each drawn by itself

Left out on purpose: p-values; moments of a model follow each other, and no order of them is as likely as another.
"""

from __future__ import annotations

import numpy as np

from jominy.records import Floats, Ints, Measure
from jominy.stats import LEVEL, NUM_RESAMPLES
from jominy.studies.gains import Doubles

FEWEST_MODELS = 4
FEWEST_PROMPTS = 8


def moment_correlation(
    name: str,
    first_K: Floats,
    second_K: Floats,
    model_K: Ints,
    rng: np.random.Generator,
    *,
    within: bool,
    num_resamples: int = NUM_RESAMPLES,
) -> Measure:
    """Pearson's correlation over moments, its interval by drawing models.

    Args:
        name: of the measure.
        first_K: [K] one number a moment.
        second_K: [K] the other.
        model_K: [K] whose moment it is.
        rng: source of the resamples.
        within: take each model's means off first.
        num_resamples: how many.

    Returns:
        Undefined below four models, or where one of the two does not vary.
    """
    meaning = "Correlation over moments of training" + (", each model's means taken off." if within else ".")
    models = np.unique(model_K)
    if len(models) < FEWEST_MODELS:
        why = f"it needs {FEWEST_MODELS} models at least, there are {len(models)}"
        return Measure(name=name, value=None, unit="correlation", why_none=why, meaning=meaning)
    pair_K2 = np.column_stack([first_K, second_K]).astype(np.float64)
    if within:
        for model in models:
            pair_K2[model_K == model] -= pair_K2[model_K == model].mean(axis=0)
    # n, sums and sums of products a model: a resample of models is a sum of their rows.
    products_K6 = np.column_stack([np.ones(len(pair_K2)), pair_K2, pair_K2**2, pair_K2[:, :1] * pair_K2[:, 1:]])
    sums_M6 = np.stack([products_K6[model_K == model].sum(axis=0) for model in models])
    value = _correlation(sums_M6.sum(axis=0)[None])[0]
    if not np.isfinite(value):
        return Measure(name=name, value=None, unit="correlation", why_none="one of the two does not vary", meaning=meaning)
    counts_BM = rng.multinomial(len(models), np.full(len(models), 1 / len(models)), size=num_resamples)
    drawn_B = _correlation(counts_BM @ sums_M6)
    low, high = np.quantile(drawn_B[np.isfinite(drawn_B)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Measure(name=name, value=float(value), low=float(low), high=float(high), unit="correlation", meaning=meaning)


def _correlation(sums_B6: Doubles) -> Doubles:
    """[B] from n, sums, sums of squares and of products; NaN where one does not vary."""
    n, x, y, xx, yy, xy = sums_B6.T
    spread_B = (xx - x * x / n) * (yy - y * y / n)
    enough_B = spread_B > 1e-18
    found_B: Doubles = np.where(enough_B, (xy - x * y / n) / np.sqrt(np.where(enough_B, spread_B, 1.0)), np.nan)
    return found_B


def ratio_of_means(name: str, above_A: Floats, below_B: Floats, rng: np.random.Generator, *, num_resamples: int = NUM_RESAMPLES) -> Measure:
    """mean(above) / mean(below), its interval by drawing both.

    Undefined below eight values of either, or where the second mean is 0.
    """
    meaning = "Mean of the first over mean of the second."
    if min(len(above_A), len(below_B)) < FEWEST_PROMPTS:
        why = f"it needs {FEWEST_PROMPTS} prompts on either side, there are {len(above_A)} and {len(below_B)}"
        return Measure(name=name, value=None, unit="ratio", why_none=why, meaning=meaning)
    if below_B.mean() == 0:
        return Measure(name=name, value=None, unit="ratio", why_none="no prompt of the second side is ever right", meaning=meaning)
    drawn = [values[rng.integers(len(values), size=(num_resamples, len(values)))].mean(axis=1) for values in (above_A, below_B)]
    ratio_B = drawn[0] / np.where(drawn[1] > 0, drawn[1], np.nan)
    low, high = np.nanquantile(ratio_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(above_A.mean() / below_B.mean())
    return Measure(
        name=name, value=value, low=float(low), high=float(high), unit="ratio", num_prompts=len(above_A) + len(below_B), meaning=meaning
    )
