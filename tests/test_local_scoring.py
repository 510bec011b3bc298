"""Teacher-forced log-probabilities: equal to a plain forward's, and never a [B, T, V] tensor on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jominy.engines import packed, scoring
from jominy.engines.local import LocalEngine
from jominy.records import Row, Sampling
from tests import tiny

KINDS = ["llama", "qwen2", "gpt_neox", "gpt2", "mistral", "gemma2", "granite", "lfm2"]


def make_rows(seed: int, lengths: list[tuple[int, int]]) -> list[Row]:
    """Random rows of (prompt, completion) lengths; rows with the same prompt length share the prompt."""
    rng = np.random.default_rng(seed)
    prompts = {length: rng.integers(3, tiny.NUM_WORDS, length) for length, _ in lengths}
    return [Row(prompt_ids=prompts[prompt], completion_ids=rng.integers(3, tiny.NUM_WORDS, length)) for prompt, length in lengths]


def plain(engine: LocalEngine, row: Row) -> np.ndarray[Any, Any]:
    """One row, one forward, float64 log-softmax."""
    ids = torch.from_numpy(np.concatenate([row.prompt_ids, row.completion_ids]))[None]
    with torch.no_grad():
        logits = engine.model(ids, use_cache=False).logits[0].double()
    before = logits[len(row.prompt_ids) - 1 : len(row.prompt_ids) + len(row.completion_ids) - 1]
    return np.asarray(torch.log_softmax(before, -1).gather(1, torch.from_numpy(row.completion_ids)[:, None])[:, 0].numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_a_plain_forward(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "FORWARD_TOKENS", 40)
    monkeypatch.setattr(scoring, "POSITIONS", 7)
    monkeypatch.setattr(scoring, "CHUNK_ELEMENTS", 3 * tiny.NUM_WORDS)
    engine = tiny.engine(kind)
    rows = make_rows(0, [(1, 5), (9, 1), (9, 30), (9, 12), (9, 0), (4, 17), (1, 5), (20, 60)])
    scores = engine.logprobs(rows)
    assert [len(score) for score in scores] == [5, 1, 30, 12, 0, 17, 5, 60]
    for row, score in zip(rows, scores, strict=True):
        assert score == pytest.approx(plain(engine, row), abs=1e-4)


def test_slices_of_the_vocabulary_join() -> None:
    """Many uneven slices, with the largest logit in the first, the middle and the last, and words that are almost impossible."""
    torch.manual_seed(0)
    for scale in (1.0, 40.0):
        layer = torch.nn.Linear(8, 103)
        hidden = scale * torch.randn(50, 8)
        targets = torch.arange(50) * 2
        oracle = torch.log_softmax(layer.double()(hidden.double()), -1).gather(1, targets[:, None])[:, 0]
        for words in (1, 10, 102, 103, 500):
            for pack in (True, False):
                with torch.inference_mode():
                    ours = scoring._gather(packed.Head.of(layer.float(), pack, words), hidden, targets)
                assert ours.numpy() == pytest.approx(oracle.detach().numpy(), abs=1e-4)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
def test_scores_equal_the_sampled_ones(kind: str) -> None:
    engine = tiny.engine(kind)
    prompts = [tiny.prompt(number, 1 + 3 * number) for number in range(3)]
    by_id = {prompt.id: np.array(engine.encode(prompt)) for prompt in prompts}
    rollouts = [
        rollout for group in engine.sample(prompts, 4, Sampling(temperature=0.8, top_p=0.9, max_tokens=15), seed=1) for rollout in group
    ]
    rows = [Row(prompt_ids=by_id[rollout.prompt_id], completion_ids=rollout.token_ids) for rollout in rollouts]
    for rollout, score in zip(rollouts, engine.logprobs(rows), strict=True):
        assert rollout.logprobs_t1 == pytest.approx(score, abs=1e-4)


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.layout == torch.strided:
            self.elements = max(self.elements, out.numel())
        return out


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_no_logits_of_all_positions(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "POSITIONS", 8)
    monkeypatch.setattr(scoring, "CHUNK_ELEMENTS", 8 * tiny.NUM_WORDS)
    engine = tiny.engine(kind)
    rows = make_rows(0, [(4, 100)] * 12)
    with LargestTensor() as largest:
        engine.logprobs(rows)
    # all logits: 12 rows x 100 positions x 307 words = 368,400 elements; hidden states: 12 x 100 x 48 = 57,600
    with LargestTensor() as whole:
        engine.model(torch.from_numpy(np.stack([row.completion_ids for row in rows])), use_cache=False)
    assert whole.elements >= 12 * 100 * tiny.NUM_WORDS
    assert largest.elements < 12 * 100 * tiny.NUM_WORDS


def test_errors_name_the_row() -> None:
    engine = tiny.engine()
    good = Row(prompt_ids=np.array([5]), completion_ids=np.array([6, 7]))
    with pytest.raises(ValueError, match="row 1 has no prompt tokens"):
        engine.logprobs([good, Row(prompt_ids=np.array([], dtype=np.int64), completion_ids=np.array([6]))])
    with pytest.raises(ValueError, match="row 0 has 150 tokens and the model's context is 128"):
        engine.logprobs([Row(prompt_ids=np.full(50, 5), completion_ids=np.full(100, 5))])
    assert engine.logprobs([]) == []
