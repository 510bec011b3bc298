"""How a model of this machine answers for a judge: by its most likely words, or by the likeliest of the replies that can be read.

    free      greedy decoding; whether its words can be read is seen afterwards
    choice    score_r = log sum over spellings of p(r | question),     reply = argmax_r score_r              r: "yes", "no" or "1: yes ..."
              log odds of verdict c = lse(score_r: r says yes of c) - lse(score_r: r says no of c)               in nats

A choice is the model's own distribution, given that the reply can be read: teacher-forced log-probabilities of every reply, nothing is
sampled and nothing unread. All replies to a question have as many lines, and the token that would end the turn stays out. Of more than
`questions.MOST_TOGETHER` constraints each is chosen given those before, so that its odds are conditional on them.
LIMIT: a verdict is brought out of a model that might have given none, which is not what an endpoint pays with.
LIMIT: choices are scored one question at a time, each with its own prompt: a GPU is handed small batches, and pointwise questions about one
response read it again for every constraint.
Left out on purpose: a correction for what it says to any question; odds leave that to who reads them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from jominy.engines import Engine
from jominy.records import Floats, Prompt, Rollout, Row, Sampling
from jominy.rewards.endpoint import Reply, Usage, cut_off
from jominy.rewards.judge import Answer, Choose
from jominy.rewards.questions import SPELLINGS, Form, Messages

MOST_IN_COMPANY, LENGTH_RATIO = 128, 2.0
"""Questions that are answered freely together, and by how much the longest may be longer than the shortest."""
ANCHOR = "\n"
"""What replies are taken to stand behind when they are cut into tokens: the end of a line, as at the end of most chat templates."""


class JudgingEngine(Engine, Protocol):
    """An engine that says how likely words are that it did not draw."""

    def encode_text(self, text: str) -> list[int]:
        """The tokens of a stretch of a response: no special tokens around it."""
        ...


def answers_of(engine: Callable[[], Engine], max_tokens: int) -> Answer:
    """A model of this machine that answers for a judge, by its most likely words.

    Args:
        engine: called when something is asked.
        max_tokens: longest reply.
    """

    def answer(questions: Sequence[Messages]) -> Iterator[tuple[int, Reply]]:
        if not questions:
            return
        model = engine()
        prompts = [_prompt(place, messages) for place, messages in enumerate(questions)]
        lengths = [len(model.encode(prompt)) for prompt in prompts]
        longest = math.inf if model.context is None else model.context - max_tokens
        for place, length in enumerate(lengths):
            if length > longest:
                yield place, _too_long(length, model.context, longest)
        fitting = [place for place, length in enumerate(lengths) if length <= longest]
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        for company in companies(fitting, lengths):
            for group in model.sample([prompts[place] for place in company], 1, sampling, 0):
                place = int(group[0].prompt_id)
                yield place, _reply(group[0], lengths[place], max_tokens)

    return answer


def choices_of(engine: Callable[[], JudgingEngine]) -> Choose:
    """A model of this machine that chooses among the replies of a form.

    Args:
        engine: called when something is asked.
    """

    def choose(questions: Sequence[Messages], forms: Sequence[Form]) -> Iterator[tuple[int, Reply]]:
        if not questions:
            return
        model = engine()
        tokens = functools.cache(functools.partial(tokens_of, model))
        for place, (messages, form) in enumerate(zip(questions, forms, strict=True)):
            yield place, _chosen(model, model.encode(_prompt(place, messages)), form, tokens)

    return choose


def tokens_of(engine: JudgingEngine, text: str) -> tuple[int, ...]:
    """The tokens of a reply behind a line's end: a tokenizer that puts a space before every text puts it before that.

    LIMIT: behind a chat template that ends otherwise, a tokenizer that joins its end to the reply would cut it another way.
    """
    before, whole = engine.encode_text(ANCHOR), engine.encode_text(ANCHOR + text)
    return tuple(whole[len(before) :] if whole[: len(before)] == before else engine.encode_text(text))


def _chosen(model: JudgingEngine, prompt_ids: list[int], form: Form, tokens: Callable[[str], tuple[int, ...]]) -> Reply:
    """The likeliest reply to one question, and the odds of its verdicts."""
    known: tuple[bool, ...] = ()
    odds: list[float] = []
    while len(known) < form.num_constraints:
        replies = form.going_on(known)
        ids = [tokens(form.reply(verdicts, words)) for verdicts in replies for words in SPELLINGS]
        _refuse_what_is_alike(ids, model.name)
        longest = max(map(len, ids))
        if model.context is not None and len(prompt_ids) + longest > model.context:
            return _too_long(len(prompt_ids), model.context, model.context - longest)
        rows = [Row(prompt_ids=np.array(prompt_ids), completion_ids=np.array(one, dtype=np.int64)) for one in ids]
        logp_R = np.array([logps.sum() for logps in model.logprobs(rows)], dtype=np.float64)
        score_C = np.logaddexp.reduce(logp_R.reshape(len(replies), len(SPELLINGS)), axis=1)
        odds += log_odds(score_C, np.array(replies)[:, len(known) :])
        known = replies[int(score_C.argmax())]
    text = form.reply(known)
    return Reply(text=text, log_odds=tuple(odds), usage=Usage(prompt_tokens=len(prompt_ids), completion_tokens=len(tokens(text))))


def log_odds(score_C: Floats, says_yes_CM: np.ndarray) -> list[float]:
    """[M] log odds of yes from the log-probabilities of every reply, by the formula at the top.

    Args:
        score_C: [C] nats.
        says_yes_CM: [C, M] whether the reply says yes of a constraint.

    >>> [round(one, 3) for one in log_odds(np.log([0.3, 0.1, 0.05, 0.05]), np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=bool))]
    [1.386, 0.847]
    """
    return [float(np.logaddexp.reduce(score_C[yes_C]) - np.logaddexp.reduce(score_C[~yes_C])) for yes_C in says_yes_CM.T]


def _refuse_what_is_alike(ids: Sequence[tuple[int, ...]], who: str) -> None:
    """Raises ValueError where the tokenizer does not tell two replies apart."""
    if len(set(ids)) < len(ids) or not all(ids):
        raise ValueError(
            f"judge: {who} writes different verdicts in the same tokens (it knows no yes and no), so that none can be chosen; ask another "
            "model, or let it answer in its own words: answers=free"
        )


def _prompt(place: int, messages: Messages) -> Prompt:
    return Prompt(id=str(place), task="judge", messages=messages)


def _too_long(length: int, context: int | None, room: float) -> Reply:
    note = f"the question has {length} tokens, and the judge's context of {context} has room for {room:.0f}"
    return Reply(text=None, note=note, kind="refused")


def companies(places: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Questions that are asked together, the short ones first: many, and none much longer than another, since a company needs the memory
    and the time of its longest.

    >>> companies([0, 1, 2, 3], [300, 100, 2400, 150])
    [[1, 3], [0], [2]]
    """
    found: list[list[int]] = []
    for place in sorted(places, key=lambda one: lengths[one]):
        if found and len(found[-1]) < MOST_IN_COMPANY and lengths[place] <= LENGTH_RATIO * lengths[found[-1][0]]:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def _reply(said: Rollout, num_read: int, max_tokens: int) -> Reply:
    usage = Usage(prompt_tokens=num_read, completion_tokens=len(said.token_ids))
    if said.stop == "length":
        return Reply(text=None, note=cut_off(max_tokens), kind="cut", usage=usage)
    return Reply(text=said.text, usage=usage)
