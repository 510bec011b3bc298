"""Estimates of the study of clarity over moments and by the sign of S: numpy, hand arithmetic, and statistics of planted worlds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jominy.measures.interpretation import tilted
from jominy.studies.clarity.moments import moment_correlation
from jominy.studies.clarity.signs import Signs, by_signs, log_ratios


def test_the_correlation_over_moments_is_numpys() -> None:
    rng = np.random.default_rng(1)
    model_K = np.repeat(np.arange(6), 4)
    rate_K = rng.uniform(size=24)
    score_K = rate_K + model_K + rng.normal(0, 0.1, size=24)
    whole = moment_correlation("r", score_K, rate_K, model_K, family_K=model_K, within=False)
    assert whole.value == pytest.approx(np.corrcoef(score_K, rate_K)[0, 1])
    inside = moment_correlation("r", score_K, rate_K, model_K, family_K=model_K, within=True)
    centred = [values - np.array([values[model_K == model].mean() for model in model_K]) for values in (score_K, rate_K)]
    assert inside.value == pytest.approx(np.corrcoef(*centred)[0, 1])
    assert inside.low is not None
    assert inside.high is not None
    assert inside.value is not None
    assert 0.8 < inside.low < inside.value < inside.high <= 1
    few = moment_correlation("r", score_K, rate_K, model_K, family_K=model_K // 2, within=True)
    assert few.why_none == "it needs 4 families at least, there are 3"
    still = moment_correlation("r", model_K.astype(float), rate_K, model_K, family_K=model_K, within=True)
    assert still.why_none == "one of the two does not vary"


def test_the_interval_over_moments_covers() -> None:
    """Families with a slope of their own, six of them: the correlation of very many families lies in about 95 % of the intervals."""

    def world(num_families: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        model_K = np.repeat(np.arange(3 * num_families), 4)
        rate_K = np.tile([0.1, 0.2, 0.3, 0.4], 3 * num_families) + rng.normal(0, 0.02, size=12 * num_families)
        slope_K = np.repeat(rng.normal(0.5, 0.5, size=num_families), 12)
        return slope_K * rate_K + rng.normal(0, 0.05, size=12 * num_families), rate_K, model_K

    def correlation(num_families: int, rng: np.random.Generator) -> Any:
        score_K, rate_K, model_K = world(num_families, rng)
        return moment_correlation("r", score_K, rate_K, model_K, family_K=model_K // 3, within=True)

    score_K, rate_K, _ = world(20_000, np.random.default_rng(0))
    centred = [values.reshape(-1, 4) - values.reshape(-1, 4).mean(axis=1, keepdims=True) for values in (score_K, rate_K)]
    truth = float(np.corrcoef(centred[0].ravel(), centred[1].ravel())[0, 1])
    found = [correlation(6, np.random.default_rng([3, number])) for number in range(200)]
    covered = sum(one.low <= truth <= one.high for one in found)
    # 190 +- 3.1; a correlation of six families is skewed even on its scale
    assert covered >= 176


def test_the_tilt_keeps_odds_ratios_and_the_count() -> None:
    chance_P = np.array([0.2, 0.5, 0.6, 0.9, 0.97])
    found_P = tilted(chance_P, 2)
    assert found_P.sum() == pytest.approx(2)
    factors_P = (found_P / (1 - found_P)) / (chance_P / (1 - chance_P))
    assert factors_P == pytest.approx(np.full(5, factors_P[0]))


def signs_world(rng: np.random.Generator, pull: float) -> tuple[Signs, ...]:
    """Six families of three; rare right answers make S < 0 likely by themselves, and `pull` makes it likelier than that."""
    models = []
    for place in range(18):
        rates_P = rng.uniform(0.05, 0.9, size=64)
        chance_P = 0.9 - 0.7 * rates_P
        odds_P = chance_P / (1 - chance_P) * np.exp(-1 - pull * (rates_P - 0.5))
        below_P = rng.random(64) < odds_P / (1 + odds_P)
        models.append(Signs(family=f"{place // 3}", rates_P=rates_P, below_P=below_P, chance_P=chance_P))
    return tuple(models)


def test_signs_of_noise_are_not_clarity() -> None:
    """Pass rates differ by sign, as noise has it: the ratio is surely above 1, and beyond noise it is 1 in about 95 of 100 worlds."""
    covered, seen = 0, []
    for number in range(60):
        rng = np.random.default_rng([13, number])
        found = by_signs(signs_world(rng, 0.0), rng)
        assert found.beyond.low is not None
        assert found.beyond.high is not None
        assert found.seen is not None
        covered += found.beyond.low <= 1 <= found.beyond.high
        seen.append(found.seen)
    assert min(seen) > 1.1
    # binomial(60, 0.95): 57 +- 1.7
    assert covered >= 52


def test_signs_that_know_more_than_noise() -> None:
    rng = np.random.default_rng(3)
    found = by_signs(signs_world(rng, 5.0), rng)
    assert found.beyond.low is not None
    assert found.beyond.low > 1.2
    assert found.num_models == 18


def test_the_ratio_of_one_model_by_hand() -> None:
    """0.6 against 0.2 is 3; with one chance for all prompts, noise gives about 1."""
    below_P = np.arange(40) % 2 == 0
    signs = Signs(family="a", rates_P=np.where(below_P, 0.2, 0.6), below_P=below_P, chance_P=np.full(40, 0.7))
    seen, noise = log_ratios(signs, np.random.default_rng(0))
    assert np.exp(seen) == pytest.approx(3.0)
    assert noise == pytest.approx(0.0, abs=0.03)
    few = Signs(family="a", rates_P=np.full(9, 0.5), below_P=np.arange(9) < 3, chance_P=np.full(9, 0.5))
    assert by_signs([few], np.random.default_rng(0)).beyond.why_none == "no model has 4 prompts on either side"
