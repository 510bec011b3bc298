"""A judge's work on the responses of a run: the error of each wrong one, the method of each right one.

    methods of a prompt (2601.06911, algorithm 1):   the first response opens a method; each further one joins the method of the
    representative that the judge says it matches, or opens the next. The first response of a method represents it.

The judge sees all representatives in one question. A response with the very words of an earlier one joins it unasked. Prompts go side by
side, so that a round asks one question for each of them. What the judge leaves unclear is told nowhere and represents nothing.
LIMIT: the outcome depends on the order, which is that of the run; responses of a prompt are drawn alike, so no order is better.
Left out on purpose: the words of the questions (`rewards.questions`), endpoints, and who remembers replies (`rewards.judge`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from jominy.engines import Engine
from jominy.records import Prompt, Rollout, Sampling
from jominy.rewards.endpoint import Reply, Usage, cut_off
from jominy.rewards.judge import Answer, Judge
from jominy.rewards.questions import Messages, error_question, method_question, read_error, read_method

OnReply = Callable[[int], None]
"""Called with the number of responses that are told since the last call."""
MOST_TOGETHER, LENGTH_RATIO = 128, 2.0
"""Questions that a model of this machine is asked together, and by how much the longest may be longer than the shortest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a judge says of one response.

    Example: Opinion(value="E3.1")
    Example: Opinion(value=None, note="no line `Code: ...` at the end: 'I cannot tell.'")
    """

    value: str | None
    """Code of the error, or number of the method within its prompt; None when it is unscored, and then `note` says why."""
    note: str = ""
    """Why there is no value."""


def judged_errors(judge: Judge, asked: Sequence[tuple[Prompt, str]], on_reply: OnReply) -> list[Opinion]:
    """The error of each wrong response.

    Args:
        judge: who is asked.
        asked: (prompt, wrong response).
        on_reply: told of progress.

    Raises:
        ValueError: the judge cannot be reached, or refuses every question.
    """
    replies = judge.ask([error_question(prompt, response) for prompt, response in asked], on_reply)
    _refuse_silence(judge, replies)
    opinions = []
    for reply in replies:
        code, why = (None, reply.note) if reply.text is None else read_error(reply.text)
        opinions.append(Opinion(value=code, note=why))
    return opinions


def _refuse_silence(judge: Judge, replies: Sequence[Reply]) -> None:
    if replies and all(reply.text is None for reply in replies):
        raise ValueError(f"judge {judge.name} gave no reply to any of {len(replies)} questions; to the first it said: {replies[0].note}")


@dataclass(slots=True)
class _Sorting:
    """The right responses of one prompt while they are told apart."""

    prompt: Prompt
    responses: Sequence[str]
    representatives: list[str] = field(default_factory=list)
    opinions: list[Opinion] = field(default_factory=list)

    def known(self, response: str) -> Opinion | None:
        """What needs no question: the first response, and words that were told before."""
        if not self.representatives:
            return self.opened(response)
        return next((told for said, told in zip(self.responses, self.opinions, strict=False) if said == response and told.value), None)

    def opened(self, response: str) -> Opinion:
        """The next method."""
        self.representatives.append(response)
        return Opinion(value=str(len(self.representatives)))


def judged_methods(judge: Judge, groups: Sequence[tuple[Prompt, Sequence[str]]], on_reply: OnReply) -> list[list[Opinion]]:
    """The method of each right response, numbered within its prompt.

    Args:
        judge: who is asked.
        groups: (prompt, its right responses in order).
        on_reply: told of progress.

    Raises:
        ValueError: the judge cannot be reached, or refuses every question.
    """
    said: list[Reply] = []
    sortings = [_Sorting(prompt, responses) for prompt, responses in groups]
    for turn in range(max((len(responses) for _, responses in groups), default=0)):
        waiting = []
        for sorting in (one for one in sortings if turn < len(one.responses)):
            known = sorting.known(sorting.responses[turn])
            if known is None:
                waiting.append(sorting)
            else:
                sorting.opinions.append(known)
                on_reply(1)
        questions = [method_question(one.prompt, one.representatives, one.responses[turn]) for one in waiting]
        replies = judge.ask(questions, on_reply)
        said += replies
        for sorting, reply in zip(waiting, replies, strict=True):
            number, why = (None, reply.note) if reply.text is None else read_method(reply.text, len(sorting.representatives))
            opened = sorting.opened(sorting.responses[turn]) if number == 0 else None
            sorting.opinions.append(opened or Opinion(value=None if number is None else str(number), note=why))
    _refuse_silence(judge, said)
    return [sorting.opinions for sorting in sortings]


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
        prompts = [Prompt(id=str(place), task="judge", messages=messages) for place, messages in enumerate(questions)]
        lengths = [len(model.encode(prompt)) for prompt in prompts]
        longest = math.inf if model.context is None else model.context - max_tokens
        for place, length in enumerate(lengths):
            if length > longest:
                note = f"the question has {length} tokens, and the judge's context of {model.context} has room for {longest:.0f}"
                yield place, Reply(text=None, note=note, kind="refused")
        fitting = [place for place, length in enumerate(lengths) if length <= longest]
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        for company in companies(fitting, lengths):
            for group in model.sample([prompts[place] for place in company], 1, sampling, 0):
                place = int(group[0].prompt_id)
                yield place, _reply(group[0], lengths[place], max_tokens)

    return answer


def companies(places: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Questions that are asked together, the short ones first: many, and none much longer than another, since a company needs the memory
    and the time of its longest.

    >>> companies([0, 1, 2, 3], [300, 100, 2400, 150])
    [[1, 3], [0], [2]]
    """
    found: list[list[int]] = []
    for place in sorted(places, key=lambda one: lengths[one]):
        if found and len(found[-1]) < MOST_TOGETHER and lengths[place] <= LENGTH_RATIO * lengths[found[-1][0]]:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def _reply(said: Rollout, num_read: int, max_tokens: int) -> Reply:
    usage = Usage(prompt_tokens=num_read, completion_tokens=len(said.token_ids))
    if said.stop == "length":
        return Reply(text=None, note=cut_off(max_tokens), kind="cut", usage=usage)
    return Reply(text=said.text, usage=usage)
