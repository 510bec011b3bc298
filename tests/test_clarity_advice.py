"""What `diagnose` says of clarity weighting: on signal of either sign, on noise, and where S only follows the pass rate."""

from __future__ import annotations

import numpy as np
import pytest

from jominy.diagnosis import diagnose
from jominy.groups import Groups
from jominy.recipes.loading import load_recipe
from jominy.results import Advice


def advice_on(shift: float, *, num_prompts: int = 64, widths: tuple[float, float] = (0.02, 0.02), spread: bool = False) -> Advice:
    """On right and wrong answers of normal probabilities around 0.5, the right ones `shift` higher; `widths` of right and wrong."""
    rng = np.random.default_rng(5)
    rate_P = rng.uniform(0.1, 0.9, num_prompts) if spread else np.full(num_prompts, 0.5)
    right = rng.random((num_prompts, 16)) < rate_P[:, None]
    noise = rng.normal(size=right.shape) * np.where(right, *widths)
    probability = np.clip(0.5 + shift * right + noise, 1e-6, 1)
    groups = Groups.of(rewards=[[float(one) for one in row] for row in right], probability=[list(row) for row in probability])
    (found,) = [advice for advice in diagnose(groups).advice if advice.recipe == "clarity_weighted"]
    return found


def test_inverted_is_the_case_it_is_for_and_clear_leaves_less_to_gain():
    assert advice_on(-0.05).fit == "recommended"
    clear = advice_on(0.05)
    assert clear.fit == "fits"
    assert "not surely below 0" in clear.because


def test_noise_is_not_mistaken_for_the_case_it_is_for():
    # S' of pure noise is surely below 0, for |S| is turned negative in half of the groups: that alone recommends nothing.
    found = advice_on(0.0)
    assert "mean S' is -0." in found.because
    assert found.fit == "risky"
    assert "no more than noise" in found.because
    assert "beyond 2" in found.would_change


@pytest.mark.parametrize(("spread", "variant"), [(True, "weight=balanced"), (False, "weight_beta=0.5")])
def test_the_line_says_what_to_type(spread, variant):
    # Compact right and diffuse wrong answers with pass rates all over: S rises with the pass rate by class sizes alone. Classes of one
    # width and one pass rate: it does not.
    found = advice_on(0.02, widths=(0.02, 0.08) if spread else (0.02, 0.02), spread=spread, num_prompts=256 if spread else 64)
    assert "--recipe clarity_weighted" in found.because
    assert variant in found.because
    for text in ("clarity_weighted", "grpo:weight=clarity", f"grpo:weight=clarity,{variant}" if "beta" in variant else f"grpo:{variant}"):
        load_recipe(text)
