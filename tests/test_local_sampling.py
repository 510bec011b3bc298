"""Does the local engine draw what the model says, and say what it drew? Oracles: the model's plain forward, `generate`, chi-square."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from jominy.engines import local
from jominy.engines.lanes import SharedLanes
from jominy.engines.local import LocalEngine
from jominy.records import Message, Prompt, Rollout, Sampling
from tests import tiny

SHARED = ["llama", "qwen2", "gpt_neox", "gpt2"]
PLAIN = ["mistral", "gemma2", "granite", "lfm2"]


def by_prompt(groups: Sequence[list[Rollout]]) -> dict[str, list[Rollout]]:
    return {group[0].prompt_id: group for group in groups}


def plain_logits(engine: LocalEngine, prompt: Prompt, rollout: Rollout) -> torch.Tensor:
    """[T, V] float64 logits of each drawn position, from one unbatched forward without any cache."""
    prompt_ids = engine.encode(prompt)
    ids = torch.tensor([prompt_ids + rollout.token_ids.tolist()])
    with torch.no_grad():
        logits: torch.Tensor = engine.model(ids, use_cache=False).logits[0].double()
    return logits[len(prompt_ids) - 1 : -1]


@pytest.mark.parametrize("kind", SHARED + PLAIN)
def test_which_models_share_prompts(kind: str) -> None:
    assert tiny.engine(kind).network.shared == (kind in SHARED)


@pytest.mark.parametrize("kind", SHARED + PLAIN)
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.3, 0.8)])
def test_logprobs_are_those_of_a_plain_forward(kind: str, temperature: float, top_p: float) -> None:
    engine = tiny.engine(kind)
    prompts = [tiny.prompt(number, words) for number, words in enumerate([1, 9, 4])]
    groups = by_prompt(list(engine.sample(prompts, 5, Sampling(temperature=temperature, top_p=top_p, max_tokens=12), seed=3)))
    assert len(groups) == 3
    for prompt in prompts:
        group = groups[prompt.id]
        assert [rollout.index for rollout in group] == [0, 1, 2, 3, 4]
        for rollout in group:
            logits = plain_logits(engine, prompt, rollout)
            picked = torch.from_numpy(rollout.token_ids)[:, None]
            at_one = torch.log_softmax(logits, -1).gather(1, picked)[:, 0].numpy()
            at_temperature = torch.log_softmax(logits / temperature, -1).gather(1, picked)[:, 0].numpy()
            assert rollout.logprobs_t1 == pytest.approx(at_one, abs=1e-4)
            assert rollout.logprobs == pytest.approx(at_temperature, abs=1e-4)
            ended = rollout.token_ids[-1] == 1
            assert rollout.stop == ("eos" if ended else "length")
            assert 1 not in rollout.token_ids[:-1]
            assert ended or len(rollout.token_ids) == 12


def test_first_tokens_follow_the_softmax() -> None:
    engine = tiny.engine()
    prompt = tiny.prompt(1)
    (group,) = engine.sample([prompt], 20_000, Sampling(max_tokens=1, temperature=1.5), seed=1)
    with torch.no_grad():
        logits = engine.model(torch.tensor([engine.encode(prompt)])).logits[0, -1].double()
    expected = torch.softmax(logits / 1.5, -1).numpy() * 20_000
    counts = np.bincount([int(rollout.token_ids[0]) for rollout in group], minlength=tiny.NUM_WORDS)
    often = expected >= 5
    observed = np.append(counts[often], counts[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum())
    chi_square = ((observed - wanted) ** 2 / wanted).sum()
    degrees = len(wanted) - 1
    # mean of chi-square is its degrees of freedom, variance twice that; 4 sigma
    assert degrees > 20
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees)


@pytest.mark.parametrize("kind", SHARED + PLAIN)
def test_greedy_is_generate(kind: str) -> None:
    engine = tiny.engine(kind)
    prompts = [tiny.prompt(number, words) for number, words in enumerate([3, 12, 6])]
    groups = by_prompt(list(engine.sample(prompts, 2, Sampling(temperature=0.0, max_tokens=20), seed=0)))
    for prompt in prompts:
        ids = torch.tensor([engine.encode(prompt)])
        with torch.no_grad():
            oracle = tiny.model(kind).generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, pad_token_id=2, eos_token_id=1
            )
        for rollout in groups[prompt.id]:
            assert rollout.token_ids.tolist() == oracle[0, ids.shape[1] :].tolist()
            assert rollout.logprobs is not None
            assert not rollout.logprobs.any()


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_a_seed_is_repeatable_and_company_does_not_matter(kind: str) -> None:
    engine = tiny.engine(kind)
    prompts = [tiny.prompt(number, 2 + number % 5) for number in range(7)]
    sampling = Sampling(max_tokens=10)
    once = by_prompt(list(engine.sample(prompts, 3, sampling, seed=5)))
    again = by_prompt(list(engine.sample(prompts, 3, sampling, seed=5)))
    alone = by_prompt(list(engine.sample(prompts[4:5], 3, sampling, seed=5)))
    other = by_prompt(list(engine.sample(prompts[4:5], 3, sampling, seed=6)))
    for prompt in prompts:
        for first, second in zip(once[prompt.id], again[prompt.id], strict=True):
            assert first.token_ids.tolist() == second.token_ids.tolist()
            assert first.logprobs is not None
            assert second.logprobs is not None
            assert first.logprobs.tobytes() == second.logprobs.tobytes()
    few, many = alone[prompts[4].id], once[prompts[4].id]
    assert [rollout.token_ids.tolist() for rollout in few] == [rollout.token_ids.tolist() for rollout in many]
    assert [rollout.token_ids.tolist() for rollout in few] != [rollout.token_ids.tolist() for rollout in other[prompts[4].id]]
    # fewer rollouts of a prompt are the first of the many
    (two,) = engine.sample(prompts[4:5], 2, sampling, seed=5)
    assert [rollout.token_ids.tolist() for rollout in two] == [rollout.token_ids.tolist() for rollout in many[:2]]


def test_finished_rows_leave_and_others_take_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six prompts of four rollouts on eight lanes: each step feeds the unfinished rows only; same rollouts as in a wide batch."""
    engine = tiny.engine()
    with torch.no_grad():
        engine.model.lm_head.weight[1] += 0.25 * engine.model.lm_head.weight.std()
    prompts = [tiny.prompt(number, 2 + number) for number in range(6)]
    sampling = Sampling(max_tokens=90, temperature=1.8)
    wide = by_prompt(list(engine.sample(prompts, 4, sampling, seed=0)))
    fed: list[int] = []
    step = SharedLanes.step

    def counted(lanes: SharedLanes, tokens_B: torch.Tensor) -> torch.Tensor:
        fed.append(len(tokens_B))
        return step(lanes, tokens_B)

    monkeypatch.setattr(SharedLanes, "step", counted)
    monkeypatch.setattr(local, "MAX_ROWS", 8)
    narrow = by_prompt(list(engine.sample(prompts, 4, sampling, seed=0)))
    lengths = [len(rollout.token_ids) for group in narrow.values() for rollout in group]
    assert len(set(lengths)) > 5
    # the first token of a rollout comes from reading the prompt, each later one from feeding one token
    assert sum(fed) == sum(length - 1 for length in lengths)
    assert max(fed) <= 8
    assert len(fed) < sum(sorted(lengths, reverse=True)[:6]), "rows were refilled, not run one group after the other"
    for prompt in prompts:
        for one, other in zip(wide[prompt.id], narrow[prompt.id], strict=True):
            assert one.token_ids.tolist() == other.token_ids.tolist()
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_groups_larger_than_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.engine()
    (whole,) = engine.sample([tiny.prompt(0)], 7, Sampling(max_tokens=6), seed=0)
    monkeypatch.setattr(local, "MAX_ROWS", 3)
    (portions,) = engine.sample([tiny.prompt(0)], 7, Sampling(max_tokens=6), seed=0)
    assert [rollout.token_ids.tolist() for rollout in portions] == [rollout.token_ids.tolist() for rollout in whole]


def test_each_prompt_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.engine()
    read: list[int] = []
    admit = SharedLanes.admit

    def counted(lanes: SharedLanes, prompts: list[list[int]], *how: Any) -> torch.Tensor:
        read.extend(len(prompt) for prompt in prompts)
        return admit(lanes, prompts, *how)

    monkeypatch.setattr(SharedLanes, "admit", counted)
    prompts = [tiny.prompt(number, number + 1) for number in range(5)]
    list(engine.sample(prompts, 16, Sampling(max_tokens=4), seed=0))
    assert sorted(read) == sorted(len(engine.encode(prompt)) for prompt in prompts)


def test_progress_adds_up() -> None:
    engine = tiny.engine()
    told: list[tuple[int, int]] = []
    groups = list(
        engine.sample([tiny.prompt(0), tiny.prompt(1)], 4, Sampling(max_tokens=9), 0, lambda done, tokens: told.append((done, tokens)))
    )
    assert sum(done for done, _ in told) == 8
    assert sum(tokens for _, tokens in told) == sum(len(rollout.token_ids) for group in groups for rollout in group)
    assert len(told) > 1


def test_closing_midway_leaves_the_engine_usable() -> None:
    engine = tiny.engine()
    prompts = [tiny.prompt(number) for number in range(4)]
    expected = by_prompt(list(engine.sample(prompts, 2, Sampling(max_tokens=5), seed=0)))
    run = engine.sample(prompts, 2, Sampling(max_tokens=5), seed=0)
    next(iter(run))
    run.close()  # type: ignore[attr-defined]
    assert not torch.is_inference_mode_enabled()

    def interrupt(_done: int, _tokens: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.sample(prompts, 2, Sampling(max_tokens=5), 0, interrupt))
    again = by_prompt(list(engine.sample(prompts, 2, Sampling(max_tokens=5), seed=0)))
    assert [r.token_ids.tolist() for r in again["prompt-0"]] == [r.token_ids.tolist() for r in expected["prompt-0"]]


def test_trained_weights_are_noticed() -> None:
    engine = tiny.engine()
    prompt = tiny.prompt(2)
    list(engine.sample([prompt], 2, Sampling(max_tokens=3), seed=0))
    optimizer = torch.optim.SGD(engine.model.parameters(), lr=0.5)
    engine.model(torch.tensor([[5, 6, 7]]), labels=torch.tensor([[5, 6, 7]])).loss.backward()
    optimizer.step()
    (group,) = engine.sample([prompt], 2, Sampling(max_tokens=8), seed=0)
    for rollout in group:
        at_one = torch.log_softmax(plain_logits(engine, prompt, rollout), -1).gather(1, torch.from_numpy(rollout.token_ids)[:, None])[:, 0]
        assert rollout.logprobs == pytest.approx(at_one.numpy(), abs=1e-4)


def test_several_stop_tokens() -> None:
    model, tokenizer = tiny.model("llama"), tiny.tokenizer()
    model.generation_config.eos_token_id = [1, *range(40, 51)]
    engine = LocalEngine.of(model, tokenizer, name="stops")
    assert engine.stop_ids == (1, *range(40, 51))
    (group,) = engine.sample([tiny.prompt(0)], 64, Sampling(max_tokens=40, temperature=3.0), seed=0)
    stopped = [rollout for rollout in group if rollout.stop == "eos"]
    assert len({int(rollout.token_ids[-1]) for rollout in stopped}) > 2
    for rollout in stopped:
        # the text leaves out the stop token and the special tokens 0 to 3
        assert len(rollout.text.split()) == np.count_nonzero(rollout.token_ids[:-1] > 3)
    deaf = dataclasses.replace(engine, stop_ids=())
    (group,) = deaf.sample([tiny.prompt(0)], 8, Sampling(max_tokens=40, temperature=3.0), seed=0)
    assert {rollout.stop for rollout in group} == {"length"}


def test_encoding_with_and_without_a_chat_template() -> None:
    engine = tiny.engine()
    prompt = Prompt(id="x", task="tiny", messages=(Message(role="system", content="w1"), Message(role="user", content="w2 w3")))
    assert engine.encode(prompt) == engine.tokenizer.convert_tokens_to_ids(["[system]", "w1", "[user]", "w2", "w3", "[assistant]"])
    raw = dataclasses.replace(prompt, messages=prompt.messages[1:], raw=True)
    assert engine.encode(raw) == engine.tokenizer.convert_tokens_to_ids(["w2", "w3"])
    engine.tokenizer.chat_template = None
    spaced = Prompt(id="x", task="tiny", messages=(Message(role="user", content="w1 "), Message(role="user", content="w2")))
    assert engine.encode(spaced) == engine.tokenizer.convert_tokens_to_ids(["w1", "w2"])


def test_errors_name_the_cause() -> None:
    engine = tiny.engine()
    prompt = tiny.prompt(0, words=100)
    with pytest.raises(
        ValueError, match=r"prompt-0 of task tiny has 102 tokens; with max_tokens 64 .* context of 128; .* at most 26 tokens"
    ):
        list(engine.sample([prompt], 1, Sampling(max_tokens=64), seed=0))
    engine.tokenizer.chat_template = None
    empty = Prompt(id="nothing", task="tiny", messages=(Message(role="user", content=""),))
    with pytest.raises(ValueError, match="prompt nothing of task tiny has no tokens"):
        list(engine.sample([empty], 1, Sampling(), seed=0))
    for sampling, words in [
        (Sampling(temperature=-1.0), "temperature"),
        (Sampling(temperature=float("nan")), "temperature"),
        (Sampling(top_p=0.0), "top_p"),
        (Sampling(max_tokens=0), "max_tokens"),
    ]:
        with pytest.raises(ValueError, match=words):
            list(engine.sample([tiny.prompt(0)], 1, sampling, seed=0))
    with pytest.raises(ValueError, match="num_rollouts"):
        list(engine.sample([tiny.prompt(0)], 0, Sampling(), seed=0))
    assert list(engine.sample([], 4, Sampling(), seed=0)) == []
    with torch.no_grad():
        engine.model.lm_head.weight[3, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        list(engine.sample([tiny.prompt(0)], 1, Sampling(), seed=0))
    with pytest.raises(ValueError, match="memory_gib"):
        LocalEngine.of(engine.model, engine.tokenizer, name="x", memory_gib=0.0)
