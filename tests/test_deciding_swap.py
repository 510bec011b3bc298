"""Two policies write one response: whose turn it is, how it ends, and that a policy with itself is the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from jominy.deciding.swap import swap
from jominy.engines.local import LocalEngine
from jominy.records import Prompt, Retrying, Rollout, Row, Sampling, Stop
from jominy.traces import Attempt, Trace
from tests import tiny
from tests.coins import CoinEngine, prompt, retrying

ONE = CoinEngine(name="one", right=0.4, accept_right=0.5, accept_wrong=0.7)
OTHER = CoinEngine(name="other", right=0.7, accept_right=0.6, accept_wrong=0.1)
LONG = Sampling(max_tokens=40)


def all_of(groups: Sequence[Sequence[Rollout]]) -> list[Rollout]:
    """In a row."""
    return [rollout for group in groups for rollout in group]


def test_a_policy_with_itself_is_the_policy() -> None:
    prompts = [prompt(number) for number in range(3)]
    swapped = swap(ONE, ONE, prompts, retrying(), 40, LONG, seed=3)
    plain = {group[0].prompt_id: group for group in ONE.sample(prompts, 40, LONG, seed=3)}
    assert [group[0].prompt_id for group in swapped] == ["p0", "p1", "p2"]
    # accepted at once, at the second attempt, and the forced third
    assert {len(rollout.token_ids) for rollout in all_of(swapped)} == {5, 9, 11}
    for group in swapped:
        for ours, theirs in zip(group, plain[group[0].prompt_id], strict=True):
            assert (ours.index, ours.text, ours.stop, ours.pieces) == (theirs.index, theirs.text, theirs.stop, theirs.pieces)
            assert ours.token_ids.tolist() == theirs.token_ids.tolist()
            assert ours.logprobs is not None
            assert ours.logprobs.tolist() == pytest.approx(theirs.logprobs)
            assert ours.policy == "one|one"


def value(right: float, accept_right: float, accept_wrong: float, num_attempts: int) -> float:
    """Chance that the answer that stands is right: V_K = p, V_k = p (s_c + (1 - s_c) V_k+1) + (1 - p) (1 - s_i) V_k+1."""
    chance = right
    for _ in range(num_attempts - 1):
        chance = right * (accept_right + (1 - accept_right) * chance) + (1 - right) * (1 - accept_wrong) * chance
    return chance


@pytest.mark.parametrize(("sampler", "decider"), [(ONE, OTHER), (OTHER, ONE)])
def test_the_sampler_solves_and_the_decider_decides(sampler: CoinEngine, decider: CoinEngine) -> None:
    number = 3000
    rollouts = all_of(swap(sampler, decider, [prompt(0)], retrying(), number, LONG, seed=1))
    # the last attempt is the one that was accepted, or the third
    right = sum(rollout.text.rfind("r") > rollout.text.rfind("w") for rollout in rollouts) / number
    expected = value(sampler.right, decider.accept_right, decider.accept_wrong, 3)
    unswapped = value(sampler.right, sampler.accept_right, sampler.accept_wrong, 3)
    error = np.sqrt(expected * (1 - expected) / number)
    assert abs(right - expected) < 4 * error < abs(unswapped - expected)
    log = {"r": sampler.right, "w": 1 - sampler.right}
    for rollout in rollouts[:100]:
        assert rollout.logprobs is not None
        for place, (token, logp) in enumerate(zip(rollout.text, rollout.logprobs, strict=False)):
            accept = decider.accept_right if place and rollout.text[place - 2] == "r" else decider.accept_wrong
            chance = {**log, "a": accept, "n": 1 - accept}.get(token, 1.0)
            assert np.exp(logp) == pytest.approx(chance)


def test_spans_are_marked_and_the_stop_token_is_the_acceptances() -> None:
    always = replace(OTHER, accept_right=1.0, accept_wrong=0.0)
    rollouts = all_of(swap(ONE, always, [prompt(0)], retrying(), 60, LONG, seed=0))
    assert {rollout.text[:4] for rollout in rollouts} == {"r/a.", "w/n."}
    for rollout in rollouts:
        kinds = [span.kind for span in rollout.spans]
        assert kinds.count("attempt.right") == rollout.text.count("r")
        assert rollout.stop == "eos"
        last = rollout.spans[-1]
        # w/n.w/n.w/ is forced: its stop token is nobody's
        assert last.end == len(rollout.token_ids) - (0 if rollout.text.endswith("a.") else 1)


def test_one_attempt_leaves_nothing_to_decide() -> None:
    sampler, decider = replace(ONE, num_attempts=1), replace(OTHER, accept_right=0.0, accept_wrong=0.0)
    rollouts = all_of(swap(sampler, decider, [prompt(0)], retrying(1), 30, LONG, seed=0))
    assert {rollout.text for rollout in rollouts} == {"r/", "w/"}
    assert {rollout.stop for rollout in rollouts} == {"eos"}


@pytest.mark.parametrize(
    ("sampler", "decider", "max_tokens", "texts", "stop"),
    [
        # cut in the middle of a decision; cut exactly where it would be the decider's turn, and the sampler's
        (ONE, replace(OTHER, accept_right=1.0, accept_wrong=1.0), 3, {"r/a", "w/a"}, "length"),
        (ONE, OTHER, 2, {"r/", "w/"}, "length"),
        (ONE, replace(OTHER, accept_right=0.0, accept_wrong=0.0), 4, {"r/n.", "w/n."}, "length"),
        # the sampler stops at once, and in place of its second attempt
        (replace(ONE, quits=1.0), OTHER, 40, {""}, "eos"),
        # no verdict: the decider writes on to the end, the sampler is not asked again
        (ONE, replace(OTHER, muddle=1.0), 40, {"r/x.", "w/x."}, "eos"),
        # never accepted: the third attempt is forced
        (replace(ONE, right=1.0), replace(OTHER, accept_right=0.0), 40, {"r/n.r/n.r/"}, "eos"),
    ],
)
def test_endings(sampler: CoinEngine, decider: CoinEngine, max_tokens: int, texts: set[str], stop: Stop) -> None:
    rollouts = all_of(swap(sampler, decider, [prompt(0), prompt(1)], retrying(), 25, Sampling(max_tokens=max_tokens), seed=0))
    assert len(rollouts) == 50
    assert {rollout.text for rollout in rollouts} == texts
    assert {rollout.stop for rollout in rollouts} == {stop}


def test_progress_adds_up() -> None:
    told: list[tuple[int, int]] = []
    rollouts = all_of(swap(ONE, OTHER, [prompt(0)], retrying(), 30, LONG, 0, lambda done, tokens: told.append((done, tokens))))
    assert sum(done for done, _ in told) == 30
    assert sum(tokens for _, tokens in told) == sum(len(rollout.token_ids) for rollout in rollouts)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"one and other cannot write one response: their tokenizers differ \(coins and notes\)"):
        swap(ONE, replace(OTHER, vocabulary="notes"), [prompt(0)], retrying(), 1, LONG, 0)
    with pytest.raises(ValueError, match=r"leave `Sampling\.stops` empty"):
        swap(ONE, OTHER, [prompt(0)], retrying(), 1, replace(LONG, stops=("/",)), 0)


def words() -> Retrying:
    """For random models: a `1` ends an attempt and a `2` a decision; every second length of the text so far means to try again."""

    def read(_prompt: Prompt, text: str, _stop: Stop) -> Trace:
        return Trace(
            attempts=(Attempt(answer=None, correct=None, decision="retry" if len(text) % 2 else "accept"),) * 4, spans=(), problem=""
        )

    return Retrying(
        num_attempts=4, read=read, solution_end="1", decision_end="2", verdicts=("a", "n"), put_right=lambda _prompt, text, _stop: text
    )


def test_local_engines() -> None:
    engine, other = tiny.engine(), tiny.engine()
    with torch.no_grad():
        other.model.lm_head.weight += torch.randn(other.model.lm_head.weight.shape)
    other = LocalEngine.of(other.model, other.tokenizer, name="other")
    prompts, sampling = [tiny.prompt(number, 2 + number) for number in range(3)], Sampling(max_tokens=24)
    plain = {group[0].prompt_id: group for group in engine.sample(prompts, 6, sampling, seed=2)}
    for group in swap(engine, engine, prompts, words(), 6, sampling, seed=2):
        for ours, theirs in zip(group, plain[group[0].prompt_id], strict=True):
            assert ours.token_ids.tolist() == theirs.token_ids.tolist()
            assert (ours.text, ours.stop, ours.pieces) == (theirs.text, theirs.stop, theirs.pieces)
            assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
    rollouts = all_of(swap(engine, other, prompts, words(), 6, sampling, seed=2))
    asked = {one.id: np.array(engine.encode(one)) for one in prompts}
    rows = [Row(prompt_ids=asked[rollout.prompt_id], completion_ids=rollout.token_ids) for rollout in rollouts]
    whose = []
    for rollout, by_one, by_other in zip(rollouts, engine.logprobs(rows), other.logprobs(rows), strict=True):
        assert rollout.logprobs is not None
        sampled_T, decided_T = np.isclose(rollout.logprobs, by_one, atol=1e-4), np.isclose(rollout.logprobs, by_other, atol=1e-4)
        assert (sampled_T | decided_T).all()
        assert sampled_T[0]
        whose.append("".join("s" if sampled else "d" for sampled in sampled_T))
    assert any("sd" in turns for turns in whose)
    assert any("ds" in turns for turns in whose), "the sampler had a second turn"


def test_local_engines_with_other_words() -> None:
    engine, other = tiny.engine(), tiny.engine()
    other.tokenizer.add_tokens(["one more"])
    assert engine.vocabulary.startswith("307 tokens (")
    with pytest.raises(ValueError, match=r"their tokenizers differ \(307 tokens .* and 308 tokens"):
        swap(engine, other, [tiny.prompt(0)], words(), 1, Sampling(), 0)
