"""Gradients in parts and the length of logit gradients, against autograd and brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from jominy.engines import TokenFunction, masked
from jominy.engines.learner import Learner
from jominy.engines.masked import CountSketch, Read, end_to_end, gradient_parts, masked_gradients
from jominy.measures.attempts import DECISION, NONE, SAMPLING
from jominy.measures.signal import signal_and_noise
from jominy.recipes.loading import load_recipe
from jominy.records import Floats, Ints, Row, TrainRow
from tests import tiny
from tests.gradients import log_probabilities, off_policy, passes_of, rows_of

GRPO = load_recipe("grpo")


def stages_of(rows: list[TrainRow], seed: int) -> list[Ints]:
    """Random stages."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 3, len(row.completion_ids)) for row in rows]


def batches_of(number: int) -> tuple[list[list[TrainRow]], list[list[Ints]]]:
    """Micro-batches of two prompts."""
    batches = [rows_of(seed, [3, 6], [[7, 5], [6, 1]]) for seed in range(number)]
    return batches, [stages_of(rows, seed) for seed, rows in enumerate(batches)]


def test_stages_have_the_numbers_of_the_measures() -> None:
    assert tuple(range(masked.NUM_PARTS)) == (NONE, SAMPLING, DECISION)


@pytest.mark.parametrize("recipe", ["grpo", "gspo:clip_low=0.5,clip_high=0.5", "grpo:kl=k3,beta=0.1"])
def test_parts_add_up_to_the_whole(recipe: str) -> None:
    """gspo's weight of a token depends on the whole row, so a mask that reached `inside` would change it."""
    model, weigh = tiny.model("llama"), load_recipe(recipe).weigh
    rows = off_policy(model, rows_of(0, [3, 6], [[7, 5], [6, 1]]), temperature=1.0)
    stages = stages_of(rows, 0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    learner = Learner(passes_of(model))
    learner.gradient(rows, weigh)
    whole = end_to_end([master.grad for master in learner.masters if master.grad is not None])
    parts = gradient_parts(learner, rows, stages, weigh)
    assert sorted(parts) == [0, 1, 2]
    assert float((torch.stack(list(parts.values())).sum(0) - whole).norm() / whole.norm()) < 1e-5
    assert min(float(part.norm()) for part in parts.values()) > 0.05 * float(whole.norm())
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_part_is_the_gradient_of_its_tokens() -> None:
    """Autograd of -sum scale * advantage * logp over the decision tokens alone."""
    model = tiny.model("llama")
    rows = rows_of(0, [3, 6], [[7, 5], [6, 1]])
    stages = stages_of(rows, 1)
    part = gradient_parts(Learner(passes_of(model)), rows, stages, GRPO.weigh)[DECISION]
    loss = torch.zeros(())
    for row, stage, logp in zip(rows, stages, log_probabilities(model, rows, 1.0), strict=True):
        loss = loss - (torch.from_numpy(row.scale * row.advantages * (stage == DECISION)) * logp).sum()
    oracle = end_to_end(torch.autograd.grad(loss, list(model.parameters())))
    assert float((part - oracle).norm() / oracle.norm()) < 1e-4


@pytest.mark.parametrize("projection", [None, 64])
def test_sums_are_those_of_stacked_gradients(projection: int | None) -> None:
    learner = Learner(passes_of(tiny.model("llama")))
    batches, stages = batches_of(3)
    # the second micro-batch has no token outside both stages
    stages[1] = [np.maximum(stage, SAMPLING) for stage in stages[1]]
    sums = masked_gradients(learner, batches, stages, GRPO.weigh, projection=projection, seed=5)
    read = end_to_end if projection is None else CountSketch(projection, 5).of
    found = [gradient_parts(learner, rows, stage, GRPO.weigh, read) for rows, stage in zip(batches, stages, strict=True)]
    assert NONE not in found[1]
    length = len(found[0][SAMPLING])
    vectors_M3J = np.stack([[parts.get(part, torch.zeros(length)).double().numpy() for part in range(3)] for parts in found])
    mean_3J = vectors_M3J.mean(0)
    tolerance = 1e-6 * sums.within_33.max()
    assert sums.within_33 == pytest.approx(np.mean([vectors @ vectors.T for vectors in vectors_M3J], axis=0), rel=1e-4, abs=tolerance)
    assert sums.of_means_33 == pytest.approx(mean_3J @ mean_3J.T, rel=1e-4, abs=tolerance)
    assert (sums.num_batches, sums.num_numbers) == (3, length)
    assert sums.num_parameters == sum(parameter.numel() for parameter in learner.parameters)
    assert length == (projection or sums.num_parameters)


def test_a_sketch_keeps_inner_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked, "CHUNK", 100)
    torch.manual_seed(0)
    x = [torch.randn(17, 10), torch.randn(250)]
    y = [0.5 * part + torch.randn(part.shape) for part in x]
    exact = float(torch.dot(end_to_end(x), end_to_end(y)))
    number, size = 400, 40
    pairs = [(CountSketch(size, seed).of(x), CountSketch(size, seed).of(y)) for seed in range(number)]
    products = np.array([float(torch.dot(one, other)) for one, other in pairs])
    spread = float(end_to_end(x).norm() * end_to_end(y).norm())
    # standard deviation of one sketch at most sqrt((|x|^2 |y|^2 + <x,y>^2) / size), and 4 errors of the mean
    assert abs(products.mean() - exact) < 4 * np.sqrt((spread**2 + exact**2) / size / number)
    assert 0.3 < products.std() / np.sqrt((spread**2 + exact**2) / size) < 1.2
    together = CountSketch(size, 0).of([a + b for a, b in zip(x, y, strict=True)])
    assert together.numpy() == pytest.approx((pairs[0][0] + pairs[0][1]).numpy(), abs=1e-4)


def test_a_sketch_draws_once_for_tensors_of_the_same_sizes() -> None:
    torch.manual_seed(0)
    x, other = [torch.randn(4, 3), torch.randn(9)], [torch.randn(3, 4), torch.randn(8)]
    sketch = CountSketch(6, 0)
    first, drawn = sketch.of(x), sketch.drawn
    assert torch.equal(sketch.of(x), first)
    assert sketch.drawn is drawn
    assert {numbers.dtype for numbers in drawn} == {torch.int32}
    # sizes that it has not seen
    assert torch.equal(sketch.of(other), CountSketch(6, 0).of(other))
    assert torch.equal(sketch.of(x), first)


@pytest.mark.parametrize("broken", ["read", "weigh"])
def test_no_gradient_stays_behind_an_error(broken: str) -> None:
    def stumbles(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("no memory left")

    learner = Learner(passes_of(tiny.model("llama")))
    rows = rows_of(0, [3], [[2, 4]])
    # gradients that somebody left
    learner.gradient(rows, GRPO.weigh)
    weigh: TokenFunction = stumbles if broken == "weigh" else GRPO.weigh
    read: Read = stumbles if broken == "read" else end_to_end
    with pytest.raises(RuntimeError, match="no memory left"):
        gradient_parts(learner, rows, stages_of(rows, 0), weigh, read)
    assert all(each.grad is None for each in (*learner.masters, *learner.parameters))


def test_errors_say_what_does_not_fit() -> None:
    learner = Learner(passes_of(tiny.model("llama")))
    rows = rows_of(0, [3], [[2, 4]])
    good = [np.array([1, 2]), np.array([1, 1, 2, 0])]
    for stages, words in [
        (good[:1], "2 rows came with the stages of 1"),
        (good[::-1], r"row 0 has 2 tokens and stages of shape \(4,\)"),
        ([good[0], np.array([1, 1, 3, 0])], "stages of row 1 must be 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            masked_gradients(learner, [rows], [stages], GRPO.weigh)
    with pytest.raises(ValueError, match="at least one micro-batch"):
        masked_gradients(learner, [], [], GRPO.weigh)
    with pytest.raises(ValueError, match="at least one number"):
        masked_gradients(learner, [rows], [good], GRPO.weigh, projection=0)
    with pytest.raises(ValueError, match="at most 1073741824"):
        CountSketch(1 << 31, 0)
    nothing = [replace(row, scale=np.zeros(len(row.scale))) for row in rows]
    assert not masked_gradients(learner, [nothing], [good], GRPO.weigh).within_33.any()


def test_micro_batches_of_unequal_size() -> None:
    """Each prompt has either of two gradients, by a coin: over all eight triples in batches of one and two prompts the estimates average to
    what the coin has, a spread of |a - b|^2 / 4 a prompt and a mean gradient of (a + b) / 2.
    """
    learner = Learner(passes_of(tiny.model("llama")))
    kinds = [rows_of(seed, [4], [[5, 3]], advantages=[1.0, -0.5]) for seed in range(2)]

    def of_stage(rows: list[TrainRow]) -> list[Ints]:
        return [np.full(len(row.completion_ids), SAMPLING) for row in rows]

    a, b = (gradient_parts(learner, rows, of_stage(rows), GRPO.weigh)[SAMPLING].double() for rows in kinds)
    found = []
    for first, second, third in itertools.product(kinds, repeat=3):
        batches = [first, [*second, *third]]
        sums = masked_gradients(learner, batches, map(of_stage, batches), GRPO.weigh, sizes=[1, 2])
        found.append(signal_and_noise(sums.within_33, sums.of_means_33, num_batches=2))
    # one and a half prompts in an average micro-batch
    spread, mean = float((a - b).square().sum()) / 4, (a + b) / 2
    assert np.mean([one.noise_sampling for one in found]) == pytest.approx(1.5 * spread, rel=1e-3)
    assert np.mean([one.signal_sampling for one in found]) == pytest.approx(1.5**2 * float(mean.square().sum()), rel=1e-3)
    with pytest.raises(ValueError, match="needs a size of at least 1"):
        masked_gradients(learner, [kinds[0]], [of_stage(kinds[0])], GRPO.weigh, sizes=[1, 2])


def lengths_by_autograd(model: torch.nn.Module, row: Row, temperature: float) -> Floats:
    """[T] of the gradient of each token's log-probability with respect to the logits before it, in float64."""
    ids = torch.from_numpy(np.concatenate([row.prompt_ids, row.completion_ids]))[None]
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0, len(row.prompt_ids) - 1 : -1].double() / temperature
    logits.requires_grad_()
    torch.log_softmax(logits, -1).gather(1, torch.from_numpy(row.completion_ids)[:, None]).sum().backward()
    assert logits.grad is not None
    lengths: Floats = logits.grad.norm(dim=1).numpy()
    return lengths


@pytest.mark.parametrize(
    ("kind", "scale", "temperature"),
    [("llama", 1.0, 1.0), ("llama", 6.0, 1.0), ("gemma2", 1.0, 1.0), ("llama", 1.0, 0.6), ("gemma2", 1.0, 0.6)],
)
def test_lengths_of_logit_gradients(kind: str, scale: float, temperature: float) -> None:
    """With logits six times as wide many tokens are all but certain, and their lengths go down to 1e-6 and below."""
    engine = tiny.engine(kind)
    with torch.no_grad():
        engine.model.get_output_embeddings().weight *= scale
    rng = np.random.default_rng(0)
    shared = rng.integers(3, tiny.NUM_WORDS, 5)
    rows = [Row(prompt_ids=shared, completion_ids=rng.integers(3, tiny.NUM_WORDS, length)) for length in (9, 4, 0)]
    best = rng.integers(3, tiny.NUM_WORDS, 3)
    asked = torch.from_numpy(best)[None]
    greedy = engine.model.generate(
        asked, attention_mask=torch.ones_like(asked), max_new_tokens=20, do_sample=False, pad_token_id=2, eos_token_id=1
    )
    rows.append(Row(prompt_ids=best, completion_ids=greedy[0, 3:].numpy()))
    found = engine.logit_norms(rows, temperature)
    assert [len(lengths) for lengths in found] == [9, 4, 0, len(rows[3].completion_ids)]
    for row, lengths in zip(rows, found, strict=True):
        if len(lengths):
            assert lengths == pytest.approx(lengths_by_autograd(engine.model, row, temperature), rel=2e-3, abs=1e-12)
    if scale > 1:
        assert min(found[3]) < 1e-3
    with pytest.raises(ValueError, match="row 0 has no prompt tokens"):
        engine.logit_norms([Row(prompt_ids=np.zeros(0, dtype=np.int64), completion_ids=np.array([5]))])
    with pytest.raises(ValueError, match="temperature must be above 0"):
        engine.logit_norms(rows, 0.0)
