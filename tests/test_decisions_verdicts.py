"""How often the study of decisions is wrong: worlds with a planted split of the gain, made of counts of four responses as runs make them.

    rate of sampler i and decider j    p + (1 - p) (i a_s + j a_d) + p (1 - p) (i b_s + j b_d),    a planted, b an effect of mean 0

Half of the prompts of one test are hard (p near 0.1) and half easy (near 0.9), so most of its counts are 0 or 4; those of the other are
near 0.5 and spread three times as wide. Since E(1 - p) = 1/2 on both, the gain by decisions is exactly a_d / 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache, partial

import numpy as np
import pytest

from jominy.measures.swap import analytic_cells, shapley
from jominy.measures.values import retry_theory
from jominy.records import Floats
from jominy.studies.decisions.estimating import (
    Estimate,
    beside,
    estimate_of,
    formula,
    measure_of,
    over_cells,
    ratio,
    side,
    verdict_at,
    verdict_of_share,
)
from jominy.studies.gains import Doubles

WORLDS, CELLS, SEEDS, RESPONSES = 500, 2, 5, 4
HARD, EASY, EVEN = (1.5, 13.5), (13.5, 1.5), (10.0, 10.0)
"""Beta distributions of the rates of prompts."""
TESTS = ((HARD, EASY), (EVEN, EVEN))
PROMPTS = (64, 48)
"""Of each test."""
EFFECTS = (0.2, 0.1, 0.1)
"""Half-widths of b: of the seed, of the prompt, of both. A seed moves a test by 1 and by 3 points."""


def rates_of(rng: np.random.Generator, halves: tuple[tuple[float, float], ...], num_prompts: int) -> Floats:
    """[W, C, 1, P] what the policy before does."""
    shape = (WORLDS, CELLS, 1, num_prompts // 2)
    return np.concatenate([rng.beta(*half, size=shape) for half in halves], axis=-1)


def effect(rng: np.random.Generator, num_prompts: int) -> Floats:
    """[W, C, S, P] of mean 0."""
    shapes = ((SEEDS, 1), (1, num_prompts), (SEEDS, num_prompts))
    drawn = [rng.uniform(-wide, wide, size=(WORLDS, CELLS, *shape)) for wide, shape in zip(EFFECTS, shapes, strict=True)]
    return np.asarray(drawn[0] + drawn[1] + drawn[2])


@lru_cache(maxsize=8)
def worlds(share: float, total: float) -> tuple[Floats, ...]:
    """[W, C, S, P, 3] total, sampling's and decision's part on each test."""
    rng = np.random.default_rng([round(100 * share), round(1000 * total)])
    found = []
    for halves, num_prompts in zip(TESTS, PROMPTS, strict=True):
        p = rates_of(rng, halves, num_prompts)
        parts = [(1 - p) * 2 * planted + p * (1 - p) * effect(rng, num_prompts) for planted in ((1 - share) * total, share * total)]
        rates = np.stack([p + i * parts[0] + j * parts[1] for i in (0, 1) for j in (0, 1)], axis=-1)
        assert rates.min() >= 0
        assert rates.max() <= 1
        found.append(shapley(rng.binomial(RESPONSES, rates) / RESPONSES))
    return tuple(found)


def pooled(tests: tuple[Floats, ...], world: int, part: int, num_seeds: int, num_cells: int) -> Estimate:
    """As `told.split_of` makes it of squares."""
    cells = [beside([estimate_of(split[world, cell, :num_seeds, :, part], shared=True) for split in tests]) for cell in range(num_cells)]
    return over_cells(cells)


@pytest.mark.parametrize(("num_seeds", "num_cells"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize(("share", "total"), [(0.5, 0.0), (0.5, 0.03), (0.5, 0.1), (1.0, 0.03), (1.0, 0.1), (0.0, 0.1)])
def test_verdicts_are_wrong_in_one_of_twenty_worlds_at_most(share: float, total: float, num_seeds: int, num_cells: int) -> None:
    tests, shares = worlds(share, total), Counter[str]()
    for world in range(WORLDS):
        whole, deciding = (pooled(tests, world, part, num_seeds, num_cells) for part in (0, 2))
        shares[verdict_of_share(deciding, whole, 0.5)] += 1
    truth = {0.5: "cannot tell", 1.0: "agrees", 0.0: "disagrees"}[share]
    wrong = {verdict: number / WORLDS for verdict, number in shares.items() if verdict not in (truth, "cannot tell")}
    assert sum(wrong.values()) <= 0.05
    assert max(wrong.values(), default=0.0) <= 0.03
    # and where there is something to see, enough runs see it
    if total == 0.1 and share != 0.5 and num_seeds == SEEDS and num_cells == CELLS:
        assert shares[truth] >= 0.95 * WORLDS


@pytest.mark.parametrize(("num_seeds", "num_cells"), [(3, 1), (5, 2)])
def test_no_gain_is_called_one_as_rarely(num_seeds: int, num_cells: int) -> None:
    tests = worlds(0.5, 0.0)
    verdicts = Counter(verdict_at(pooled(tests, world, 0, num_seeds, num_cells)) for world in range(WORLDS))
    assert WORLDS - verdicts["cannot tell"] <= 0.05 * WORLDS


def covered(estimates: Iterable[Estimate | None], truth: float) -> float:
    """Share of intervals that hold the truth."""
    found = [measure_of("x", estimate) for estimate in estimates]
    return float(np.mean([side(one, truth) == 0 and one.low is not None for one in found]))


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_a_rate_of_decisions_is_covered(num_seeds: int) -> None:
    """Wrong attempts accepted: of four responses to a prompt from none to four are wrong, and hard prompts are accepted less often."""
    rng = np.random.default_rng(5)
    p = rates_of(rng, TESTS[0], PROMPTS[0])
    accepts = 0.5 + 0.3 * (p - 0.5) + effect(rng, PROMPTS[0]) / 4
    cases = rng.binomial(RESPONSES, 1 - p, size=accepts.shape)
    found = (np.asarray(rng.binomial(cases, accepts), dtype=np.float64), np.asarray(cases, dtype=np.float64))
    # E (1 - p) accepts / E (1 - p) = 0.5 - 0.3 Var p / 0.5, and Var p = 0.4^2 + 0.1 * 0.9 / (1.5 + 13.5 + 1) = 0.165625
    estimates = [ratio(*(estimate_of(counts[world, 0, :num_seeds], shared=True) for counts in found)) for world in range(WORLDS)]
    assert 0.93 <= covered(estimates, 0.400625) <= 0.995


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_the_chain_of_counts_is_covered(num_seeds: int) -> None:
    """Every attempt is right with the chance of its prompt, 1/2 on average; training changes decisions alone."""
    rng = np.random.default_rng(6)
    before, after = (0.6, 0.6), (0.9, 0.2)
    columns = np.concatenate([chain_columns(rng, *before), chain_columns(rng, *after)], axis=-1)
    part = partial(_decisions_part, 3)
    estimates = [formula(columns[world, :num_seeds], part, shared=True) for world in range(WORLDS // 2)]
    values = [retry_theory(0.5, accept_right=right, accept_wrong=wrong, num_attempts=3).value for right, wrong in (before, after)]
    # attempts are as before, so all of the gain is the decisions'
    assert 0.92 <= covered(estimates, values[1] - values[0]) <= 0.995


def _decisions_part(num_attempts: int, columns: Floats) -> Doubles:
    return np.asarray(shapley(analytic_cells(np.asarray(columns, dtype=np.float64), num_attempts))[..., 2])


def chain_columns(rng: np.random.Generator, accept_right: float, accept_wrong: float) -> Floats:
    """[W, S, P, 10] hits and cases of each of `told.RATES`, for first attempts that are retried at most once."""
    num_prompts = PROMPTS[1]
    p = rates_of(rng, TESTS[1], num_prompts)[:, 0]
    moved = effect(rng, num_prompts)[:, 0] / 4
    right = rng.binomial(RESPONSES, p, size=moved.shape)
    accepted, missed = rng.binomial(right, accept_right + moved), rng.binomial(RESPONSES - right, accept_wrong + moved)
    retried = (right - accepted, RESPONSES - right - missed)
    # a retry is right by a chance of its own, so that those after right and after wrong ones have the same
    again = [rng.binomial(number, 0.5) for number in retried]
    pairs = ((right, np.full_like(right, RESPONSES)), *zip(again, retried, strict=True), (accepted, right), (missed, RESPONSES - right))
    return np.stack([column for pair in pairs for column in pair], axis=-1).astype(np.float64)
