"""The draw itself: inverse transform against a brute-force search, nucleus against sorting, uniforms that depend on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jominy.engines import attention, drawing, lanes, memory
from jominy.engines.drawing import draw, uniforms
from jominy.records import Sampling


@pytest.mark.parametrize("num_words", [1, 5, 255, 256, 257, 1000, 1024])
def test_the_draw_inverts_the_running_sum(num_words: int) -> None:
    rng = np.random.default_rng(num_words)
    logits = rng.normal(0, 3, (6, num_words)).astype(np.float32)
    source = rng.integers(0, 6, 400)
    chosen = rng.random(400)
    chosen[:3] = [0.0, np.nextafter(1.0, 0.0), 0.5]
    drawn = draw(torch.from_numpy(logits.copy()), torch.from_numpy(source), torch.from_numpy(chosen), Sampling())
    for number in range(400):
        weights = np.exp(logits[source[number]].astype(np.float64))
        running = np.cumsum(weights) / weights.sum()
        token = int(drawn.tokens_N[number])
        # float32 weights may move a boundary by 1e-6
        assert running[token] > chosen[number] - 1e-6
        assert token == 0 or running[token - 1] <= chosen[number] + 1e-6
        assert float(drawn.logprobs_N[number]) == pytest.approx(np.log(weights[token] / weights.sum()), abs=1e-5)


def test_impossible_words_are_never_drawn() -> None:
    """Words 0-9 and everything from 600 on have probability 0; a uniform of 0 or just below 1 must not land there."""
    logits = torch.full((1, 1000), -torch.inf)
    logits[0, 10:600] = 0.0
    ends = torch.tensor([0.0, float(np.nextafter(1.0, 0.0)), 0.5], dtype=torch.float64)
    tokens = draw(logits, torch.zeros(3, dtype=torch.int64), ends, Sampling()).tokens_N.tolist()
    # the middle of 590 equal words is the 295th of them
    assert tokens == [10, 599, 305]


def test_temperature_reports_both_logprobs() -> None:
    """Two words with logits log 9 and 0: at T = 1 p = 0.9, at T = 2 odds sqrt(9) = 3 : 1, p = 0.75."""
    logits = torch.tensor([[np.log(9.0), 0.0]], dtype=torch.float32)
    drawn = draw(logits, torch.tensor([0, 0]), torch.tensor([0.74, 0.76], dtype=torch.float64), Sampling(temperature=2.0))
    assert drawn.tokens_N.tolist() == [0, 1]
    assert drawn.logprobs_N.tolist() == pytest.approx(np.log([0.75, 0.25]).tolist(), abs=1e-6)
    assert drawn.logprobs_t1_N.tolist() == pytest.approx(np.log([0.9, 0.1]).tolist(), abs=1e-6)


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
def test_the_nucleus_is_the_sorted_one(top_p: float) -> None:
    """Support and frequencies against sorting; one group of equal words sits across the boundary for top_p = 0.5."""
    torch.manual_seed(0)
    logits = torch.randn(700) * 2
    logits[100:130] = logits.max()
    weights = torch.softmax(logits.double(), 0)
    order = torch.argsort(weights, descending=True, stable=True)
    size = int((weights[order].cumsum(0) < top_p).sum()) + 1
    nucleus = order[:size]
    count = 20_000
    chosen = torch.from_numpy(np.random.default_rng(0).random(count))
    drawn = draw(logits[None].repeat(2, 1), torch.arange(count) % 2, chosen, Sampling(top_p=top_p))
    counts = torch.bincount(drawn.tokens_N, minlength=700)
    assert set(torch.nonzero(counts)[:, 0].tolist()) <= set(nucleus.tolist())
    expected = weights[nucleus] / weights[nucleus].sum() * count
    often = expected >= 5
    observed = torch.cat([counts[nucleus][often], counts[nucleus][~often].sum()[None]]).double()
    wanted = torch.cat([expected[often], expected[~often].sum()[None]]).clamp(min=1e-9)
    chi_square = float(((observed - wanted) ** 2 / wanted)[wanted > 1e-6].sum())
    degrees = max(1, int((wanted > 1e-6).sum()) - 1)
    assert abs(chi_square - degrees) < 4.5 * np.sqrt(2 * degrees)
    # the log-probability is that of the full softmax, before the nucleus is cut out
    assert drawn.logprobs_N.numpy() == pytest.approx(weights[drawn.tokens_N].log().numpy(), abs=1e-5)


def test_uniforms_are_uniform_and_depend_on_who_asks() -> None:
    many = np.concatenate([uniforms(0, f"prompt {number}", index, 50) for number in range(20) for index in range(20)])
    counts, _ = np.histogram(many, bins=50, range=(0, 1))
    # 400 expected in each of 50 bins; 49 degrees of freedom
    assert ((counts - 400.0) ** 2 / 400.0).sum() < 49 + 4 * np.sqrt(98)
    assert len(np.unique(many)) == len(many)
    assert uniforms(1, "a", 0, 3).tolist() != uniforms(2, "a", 0, 3).tolist()
    assert uniforms(1, "a", 0, 9)[:3].tolist() == uniforms(1, "a", 0, 3).tolist()
    again = drawing._next_uniforms(torch.from_numpy(many)).numpy()
    counts, _ = np.histogram(again, bins=50, range=(0, 1))
    assert ((counts - 400.0) ** 2 / 400.0).sum() < 49 + 4 * np.sqrt(98)
    # 20,000 independent pairs: correlation 0 within 4 / sqrt(20,000)
    assert abs(np.corrcoef(many, again)[0, 1]) < 4 / np.sqrt(20_000)


def test_holes_are_filled_from_the_end() -> None:
    rng = np.random.default_rng(0)
    for size in range(8):
        for _ in range(20):
            keep = rng.random(size) < 0.5
            order, holes, movers = lanes._fill_holes(keep)
            assert sorted(order.tolist()) == np.flatnonzero(keep).tolist()
            rows = np.arange(size)
            rows[holes] = rows[movers]
            assert rows[: len(order)].tolist() == order.tolist()
            assert len(movers) <= np.count_nonzero(~keep)


def test_seats_take_every_row_once() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        prompt_of_row = rng.integers(0, 4, 9)
        prompt_of_row[:4] = [0, 1, 2, 3]
        rows_of_place, place_of_row = lanes._seats(prompt_of_row, 4)
        assert rows_of_place[place_of_row].tolist() == list(range(9))
        assert (place_of_row // (len(rows_of_place) // 4)).tolist() == prompt_of_row.tolist()


def test_rows_that_fit_respects_the_budget() -> None:
    common = {"bytes_per_position": 1000, "num_words": 100, "max_tokens": 10, "prompt_tokens": 20, "num_rollouts": 4}
    # a row: (10 + 20 / 4) * 1000 + 8 * 100 = 15,800 bytes
    assert memory.rows_that_fit(**common, budget_bytes=15_799, most=64) == 1
    assert memory.rows_that_fit(**common, budget_bytes=3 * 15_800, most=64) == 3
    assert memory.rows_that_fit(**common, budget_bytes=10**12, most=64) == 64
    free = memory.available_bytes(torch.device("cpu"))
    assert 2**20 < free < 2**50
    assert memory.budget_bytes(torch.device("cpu"), 1.5) == 3 * 2**29


def test_attention_refuses_what_it_cannot_do() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    plan = attention.Plan(
        num_rows=0, num_prompts=0, places=0, prompt_width=0, own_width=0, rows_of_place=none, place_of_row=none, positions=None, bias=None
    )
    layer = attention.SharedPrefixLayer(plan)
    with pytest.raises(attention.UnsupportedAttention, match="softcap"):
        attention.attend(torch.nn.Identity(), torch.zeros(1, 1, 1, 4), layer, layer, None, softcap=30.0)
