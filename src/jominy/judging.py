"""A judge's work on the responses of a run: the error of each wrong one, the method of each right one.

    methods of a prompt (2601.06911, algorithm 1):   the first response opens a method; each further one joins the method of the
    representative that the judge says it matches, or opens the next. The first response of a method represents it.

The judge sees all representatives in one question. A response with the very words of an earlier one joins it unasked. Prompts go side by
side, so that a round asks one question for each of them. What the judge leaves unclear is told nowhere and represents nothing.
LIMIT: the outcome depends on the order, which is that of the run; responses of a prompt are drawn alike, so no order is better.
Left out on purpose: the words of the questions (`rewards.questions`), endpoints, who remembers replies (`rewards.judge`), and how a model
of this machine answers (`localjudge`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jominy.records import Prompt
from jominy.rewards.endpoint import Reply
from jominy.rewards.judge import Judge
from jominy.rewards.questions import error_question, method_question, read_error, read_method

OnReply = Callable[[int], None]
"""Called with the number of responses that are told since the last call."""


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
