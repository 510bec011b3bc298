"""Rows that end at a text, and responses that go on: against the same response drawn at once, and against reading every prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from jominy.engines.pieces import BROKEN, pieces_of
from jominy.engines.stopping import TextStops
from jominy.records import Prompt, Rollout, Sampling
from tests import tiny


def first_end(tokenizer: Any, tokens: Sequence[int], stops: Sequence[str]) -> int | None:
    """Tokens until a stop text stands in the text, by decoding every prefix; None where it never does."""
    ends = (end for end in range(1, len(tokens) + 1) if any(stop in tokenizer.decode(list(tokens[:end])) for stop in stops))
    return next(ends, None)


def byte_pairs() -> PreTrainedTokenizerFast:
    """Tokens that hold an end and more, and a character of two tokens (bytes C3 A9 of é)."""
    vocabulary = ["<", "/", "a", ">", "x", "</", "a>", "a>x", "Ã", "©"]
    core = Tokenizer(
        BPE(vocab={word: number for number, word in enumerate(vocabulary)}, merges=[("<", "/"), ("a", ">"), ("a>", "x")], unk_token=None)
    )
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("stops", [("</a>",), ("é",), ("</a>x", "xé"), (">", "//")])
def test_stop_texts_across_tokens(stops: tuple[str, ...]) -> None:
    tokenizer = byte_pairs()
    ends = TextStops(tokenizer, stops)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        tokens = rng.choice(10, 14, p=np.array([2, 2, 2, 2, 1, 3, 3, 2, 3, 3]) / 23)
        ours = next((end for end in range(1, 15) if ends.may_end(tokens[end - 1 : end])[0] and ends.ended(tokens[:end])), None)
        assert ours == first_end(tokenizer, tokens.tolist(), stops)
        found.append(ours)
    assert len(set(found)) > 3


def test_few_tokens_can_end() -> None:
    ends = TextStops(byte_pairs(), ("</a>",))
    # those with a `>`: alone, a> and a>x
    assert ends.may_end(np.arange(10)).nonzero()[0].tolist() == [3, 6, 7]


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_rows_end_with_the_token_that_completes_a_text(kind: str) -> None:
    """`5 w` lies across two words; `77` stands in a word, or not at its end."""
    engine = tiny.engine(kind)
    prompts = [tiny.prompt(number, 2 + 3 * number) for number in range(3)]
    sampling, stops = Sampling(max_tokens=30, temperature=1.5), ("5 w", "77")
    whole = {group[0].prompt_id: group for group in engine.sample(prompts, 8, sampling, seed=4)}
    ends = set()
    for group in engine.sample(prompts, 8, replace(sampling, stops=stops), seed=4):
        for ours, theirs in zip(group, whole[group[0].prompt_id], strict=True):
            end = first_end(engine.tokenizer, theirs.token_ids.tolist(), stops)
            assert ours.token_ids.tolist() == theirs.token_ids[:end].tolist()
            assert ours.stop == (theirs.stop if end is None else "text")
            if end is not None:
                assert any(stop in ours.text for stop in stops)
                ends.add(end)
    assert len(ends) > 5


def cut(rollout: Rollout, length: int) -> Rollout:
    """The first tokens of a response; of every second one with their pieces."""
    assert rollout.pieces is not None
    assert rollout.logprobs is not None
    assert rollout.logprobs_t1 is not None
    return replace(
        rollout,
        token_ids=rollout.token_ids[:length],
        logprobs=rollout.logprobs[:length],
        logprobs_t1=rollout.logprobs_t1[:length],
        stop="length",
        text="",
        pieces=None if rollout.index % 2 else rollout.pieces[:length],
    )


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_a_response_in_pieces_is_the_response_at_once(kind: str, temperature: float) -> None:
    engine = tiny.engine(kind)
    prompts = [tiny.prompt(number, 2 + 3 * number) for number in range(3)]
    sampling = Sampling(max_tokens=20, temperature=temperature)
    whole = [rollout for group in engine.sample(prompts, 4, sampling, seed=7) for rollout in group]
    lengths = [(3 * number) % len(rollout.token_ids) for number, rollout in enumerate(whole)]
    assert 0 in lengths
    begun = [cut(rollout, length) for rollout, length in zip(whole, lengths, strict=True)]
    for ours, theirs in zip(engine.continue_from(prompts, begun, sampling, seed=7), whole, strict=True):
        assert (ours.prompt_id, ours.index, ours.stop, ours.text, ours.pieces) == (
            theirs.prompt_id,
            theirs.index,
            theirs.stop,
            theirs.text,
            theirs.pieces,
        )
        assert ours.token_ids.tolist() == theirs.token_ids.tolist()
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
        assert ours.logprobs_t1 == pytest.approx(theirs.logprobs_t1, abs=1e-4)
    other = engine.continue_from(prompts, begun, sampling, seed=7, tag="|other")
    differ = [a.token_ids.tolist() != b.token_ids.tolist() for a, b in zip(other, whole, strict=True)]
    assert any(differ) == (temperature > 0)


class Watched:
    """A tokenizer that counts the tokens it decodes one by one."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.num_alone = tokenizer, 0

    def decode(self, ids: list[int]) -> Any:
        return self.tokenizer.decode(ids)

    def batch_decode(self, rows: list[list[int]]) -> Any:
        self.num_alone += len(rows)
        return self.tokenizer.batch_decode(rows)


@pytest.mark.parametrize(
    ("known", "num_alone"),
    [
        # the whole is a, é (two tokens), x, </
        (("a", "", "é"), 2),
        (("a", "", "é", "x", "</"), 0),
        # cut in the middle of the character, which was written as a broken one: nothing fits, and prefixes are decoded
        (("a", BROKEN), 8),
        (("b",), 9),
        ((), 5),
    ],
)
def test_only_new_tokens_are_decoded(known: tuple[str, ...], num_alone: int) -> None:
    tokenizer = byte_pairs()
    ids = np.array([2, 8, 9, 4, 5])
    assert pieces_of(tokenizer, ids) == ("a", "", "é", "x", "</")
    if BROKEN in known:
        assert pieces_of(tokenizer, ids[:2]) == known
    watched = Watched(tokenizer)
    assert pieces_of(watched, ids, known) == ("a", "", "é", "x", "</")
    assert watched.num_alone == num_alone


def test_what_cannot_go_on() -> None:
    engine = tiny.engine()
    prompt = tiny.prompt(0)
    ((rollout,),) = engine.sample([prompt], 1, Sampling(max_tokens=4), seed=0)
    unknown = replace(rollout, stop="length", logprobs=None)
    (longer,) = engine.continue_from([prompt], [unknown], Sampling(max_tokens=6), seed=0)
    assert longer.logprobs is None
    assert longer.logprobs_t1 is not None
    assert engine.continue_from([prompt], [], Sampling(max_tokens=6), seed=0) == []
    cases: list[tuple[list[Prompt], Rollout, int, str]] = [
        ([], unknown, 6, "cannot be continued without its prompt"),
        ([prompt], replace(rollout, stop="eos"), 6, "rollout 0 of prompt prompt-0 ended by itself"),
        ([prompt], unknown, 4, "has 4 tokens already and max_tokens is 4"),
    ]
    for prompts, begun, max_tokens, words in cases:
        with pytest.raises(ValueError, match=words):
            engine.continue_from(prompts, [begun], Sampling(max_tokens=max_tokens), seed=0)
    with pytest.raises(ValueError, match="a text to stop at is empty"):
        list(engine.sample([prompt], 1, Sampling(stops=("x", "")), seed=0))
