"""The swap of sampler and decider: the split by hand, where it cannot be told, and an interval that covers."""

from __future__ import annotations

import numpy as np
import pytest

from jominy.measures.attempts import AttemptTable
from jominy.measures.retries import outcome_metrics
from jominy.measures.swap import Swap, analytic_swap, measure_swap, shapley
from tests.measured import numbers


def counts(rates_P4: list[list[int]], num: int) -> tuple[np.ndarray, np.ndarray]:
    """[2, 2, P] right and scored answers from rows (bb, ba, ab, aa) of a prompt."""
    right = np.array(rates_P4).T.reshape(2, 2, -1)
    return right, np.full(right.shape, num)


def values(swap: Swap) -> list[float | None]:
    return [measure.value for measure in (*swap.cells, swap.total, swap.sampling, swap.decision, swap.decision_share)]


def test_the_split_by_hand():
    # Prompts of 10 answers each: sampler first. Means: bb .2, ba .5, ab .3, aa .8; decision (.3 + .5) / 2, sampling (.1 + .3) / 2
    right, num = counts([[1, 4, 2, 7], [3, 6, 4, 9]] * 10, 10)
    swap = measure_swap(right, num, rng=np.random.default_rng(0))
    np.testing.assert_allclose(numbers(values(swap)[:7]), [0.2, 0.5, 0.3, 0.8, 0.6, 0.2, 0.4])
    assert swap.decision_share.value == pytest.approx(2 / 3)
    assert swap.total.num_prompts == 20


def test_the_parts_add_up_whatever_the_cells():
    split = shapley(np.random.default_rng(1).random((50, 4)))
    np.testing.assert_allclose(split[:, 1] + split[:, 2], split[:, 0], atol=1e-15)
    # Not touched by what the other player is called: swapping the roles swaps the parts.
    other = shapley(np.array([0.1, 0.6, 0.3, 0.9]))
    np.testing.assert_allclose(shapley(np.array([0.1, 0.3, 0.6, 0.9])), other[[0, 2, 1]])


def test_a_share_of_nothing_cannot_be_told():
    draw = np.random.default_rng(2)
    right = draw.binomial(8, 0.5, size=(2, 2, 30))
    swap = measure_swap(right, np.full(right.shape, 8), rng=draw)
    assert swap.total.value is not None
    assert (swap.decision_share.value, swap.decision_share.why_none) == (None, "cannot tell: the interval of the total gain holds 0")


def test_prompts_without_answers_in_a_cell_are_left_out():
    right, num = counts([[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], 1)
    num[0, 1, 2] = right[0, 1, 2] = 0
    swap = measure_swap(right, num, rng=np.random.default_rng(0))
    assert (swap.total.num_prompts, swap.total.num_left_out, swap.total.value) == (2, 1, 0.5)
    empty = measure_swap(right * 0, num * 0, rng=np.random.default_rng(0))
    assert (empty.total.value, empty.decision_share.why_none) == (None, "no prompt has an answer in every cell")
    with pytest.raises(ValueError, match=r"must both be \[2, 2, P\]"):
        measure_swap(right[0], num[0], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="right answers must lie between"):
        measure_swap(right + 5, num, rng=np.random.default_rng(0))


def test_the_analytic_split_by_hand():
    # Before: half right, all accepted. After: half right, right accepted, wrong retried, which was always right: all by deciding.
    before, after = AttemptTable.of([["ca", "wa"]] * 20), AttemptTable.of([["ca", "wr cf"]] * 20)
    swap = analytic_swap(before, after, num_attempts=2, rng=np.random.default_rng(0))
    np.testing.assert_allclose(numbers(values(swap)[:7]), [0.5, 1.0, 0.5, 1.0, 0.5, 0.0, 0.5])
    assert "no interval" in swap.decision_share.why_none  # every prompt says the same, so nothing says how sure that is
    one_sided = analytic_swap(AttemptTable.of([["ca"]]), AttemptTable.of([["wa"]]), num_attempts=2, rng=np.random.default_rng(0))
    assert one_sided.total.value is None
    assert "decisions about right and about wrong" in one_sided.total.why_none
    with pytest.raises(ValueError, match="the same prompts; got 20 before and 1 after"):
        analytic_swap(before, AttemptTable.of([["ca"]]), num_attempts=2, rng=np.random.default_rng(0))


def test_prompts_that_nobody_can_do_are_not_gained_by_retrying():
    # Half the prompts are always right, half never. To retry wrong ones, always and only, gains nothing: no retry was ever right.
    before = AttemptTable.of([["ca"] * 4, ["wa"] * 4] * 10)
    after = AttemptTable.of([["ca"] * 4, ["wr wf"] * 4] * 10)
    swap = analytic_swap(before, after, num_attempts=2, rng=np.random.default_rng(0))
    assert values(swap)[:7] == [0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0]


def test_what_a_sampler_never_met_is_what_it_met_most_like_it():
    # Before never retried a right one: behind it comes what came behind wrong ones, right in 1 of 2, not the 2 of 2 of the other policy.
    before = AttemptTable.of([["ca", "ca", "wr cf", "wr wf"]] * 10)
    after = AttemptTable.of([["cr cf", "cr cf", "wr cf", "wr wf"]] * 10)
    swap = analytic_swap(before, after, num_attempts=2, rng=np.random.default_rng(0))
    assert values(swap)[:4] == [0.75, 0.5, 0.75, 0.75]


def test_the_analytic_split_by_the_counts_of_each_combination():
    draw = np.random.default_rng(3)

    def drawn(right: float, again_right: float, accept_right: float, accept_wrong: float) -> tuple[AttemptTable, list[float]]:
        """Responses of two attempts, and the chances that were in fact drawn."""
        truth = draw.random((60, 10)) < right
        again = draw.random((60, 10)) < np.where(truth, again_right, right / 2)
        accept = draw.random((60, 10)) < np.where(truth, accept_right, accept_wrong)
        texts = [
            [f"{'c' if t else 'w'}a" if a else f"{'c' if t else 'w'}r {'c' if g else 'w'}f" for t, g, a in zip(*rows, strict=True)]
            for rows in zip(truth, again, accept, strict=True)
        ]
        cells = (truth, again[truth & ~accept], again[~truth & ~accept], accept[truth], accept[~truth])
        return AttemptTable.of(texts), [float(cell.mean()) for cell in cells]

    (before, old), (after, new) = drawn(0.4, 0.8, 0.7, 0.6), drawn(0.5, 0.7, 0.9, 0.2)
    swap = analytic_swap(before, after, num_attempts=2, rng=draw, num_resamples=400)
    expected = [
        s[0] * (d[3] + (1 - d[3]) * s[1]) + (1 - s[0]) * (1 - d[4]) * s[2]  # right and kept or right again; wrong and put right
        for s in (old, new)
        for d in (old, new)
    ]
    np.testing.assert_allclose(numbers(values(swap)[:4]), expected)
    # With two attempts the chances say all there is: each policy by itself is worth what it scored.
    scored = [outcome_metrics(table).final.value for table in (before, after)]
    np.testing.assert_allclose(numbers([swap.cells[0].value, swap.cells[3].value]), numbers(scored))
    share = swap.decision_share
    assert share.value is not None
    assert share.low is not None
    assert share.high is not None
    assert share.low < share.value < share.high


def test_the_interval_of_the_share_covers():
    draw, hits, told, worlds = np.random.default_rng(5), 0, 0, 150
    for _ in range(worlds):
        # Means: decision .2, sampling .1, each prompt with gains and a difficulty of its own: the decision has two thirds.
        start_P, decision_P, sampling_P = 0.1 + 0.3 * draw.random(48), 0.4 * draw.random(48), 0.2 * draw.random(48)
        rates = np.stack([start_P, start_P + decision_P, start_P + sampling_P, start_P + decision_P + sampling_P])
        right = draw.binomial(8, rates).reshape(2, 2, 48)
        share = measure_swap(right, np.full(right.shape, 8), rng=draw, num_resamples=300).decision_share
        if share.low is not None and share.high is not None:
            told += 1
            hits += share.low <= 2 / 3 <= share.high
    assert told >= 148
    # 95 % expected, standard deviation 2.7; 300 resamples are a little short of it
    assert hits >= 0.89 * told
