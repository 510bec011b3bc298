"""The form of a response that may try again: how it is written, and what can be read of one that somebody else wrote.

    <attempt>12 + 34 = 47<answer>47</answer></attempt><check>3 + 7 = 10, 10 is 1, 47 is 2, 2 is not 1</check><verdict>RETRY</verdict>
    <attempt>12 + 34 = 46<answer>46</answer></attempt><check>3 + 7 = 10, 10 is 1, 46 is 1, 1 is 1</check><verdict>ACCEPT</verdict>

At most K attempts (here on two lines, in a response in one). The K-th ends the response behind `</attempt>`: nothing is left to decide, so
it has neither check nor verdict. Blanks between the parts say nothing. The answer of an attempt stands between the last `<answer>` that is
closed and the first `</answer>` behind it, as everywhere (`rewards.extraction.last_tagged`), but all tags are in lower case here.

A response is read from the start to the first thing that breaks the form, which `problem` names; what stands behind that is not read.
Left out on purpose: whether an answer is right; `retry` knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jominy.traces import Decision

ATTEMPT, ATTEMPT_END = "<attempt>", "</attempt>"
ANSWER, ANSWER_END = "<answer>", "</answer>"
CHECK, CHECK_END = "<check>", "</check>"
VERDICT, VERDICT_END = "<verdict>", "</verdict>"
ACCEPT, RETRY = "ACCEPT", "RETRY"
MARKERS = (ATTEMPT, ANSWER, ANSWER_END, ATTEMPT_END, CHECK, CHECK_END, VERDICT, VERDICT_END, ACCEPT, RETRY)

NO_ATTEMPT = "no attempt"
NO_FURTHER_ATTEMPT = "no attempt after RETRY"
NO_ANSWER = "attempt without answer"
NO_CHECK = "no check"
NO_VERDICT = "no verdict"
UNCLOSED = "unclosed tag"
OUTSIDE = "text outside the tags"
AFTER_ACCEPT = "goes on after ACCEPT"
AFTER_LAST = "goes on after the last attempt"
CUT = "cut at the token limit"
PROBLEMS = (NO_ATTEMPT, NO_FURTHER_ATTEMPT, NO_ANSWER, NO_CHECK, NO_VERDICT, UNCLOSED, OUTSIDE, AFTER_ACCEPT, AFTER_LAST, CUT)
"""All that can be wrong with the form."""

TAG = re.compile(r"</?(?:attempt|answer|check|verdict)>")
WRITTEN_VERDICT = re.compile(f"{VERDICT}({ACCEPT}|{RETRY}){VERDICT_END}")
BLANKS = re.compile(r"\s*")

Stretch = tuple[int, int]
"""(first character, one past the last)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt as it stands in the text.

    Example: Tried(attempt=(0, 50), answer="46", check=(50, 83), verdict=(83, 108), decision="accept")
    """

    attempt: Stretch
    """With its tags; to where it breaks off when it is not closed."""
    answer: str | None
    """What stands in its answer tags; None where there are none, or nothing in them."""
    check: Stretch | None = None
    """With its tags, or to where it breaks off."""
    verdict: Stretch | None = None
    """With its tags; only one that is whole."""
    decision: Decision = "none"
    """forced: the K-th, whole and with an answer; none: the form broke before a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A response taken apart.

    Example: Form(tries=(Tried(attempt=(0, 50), answer="46"),), problem="no check")
    """

    tries: tuple[Tried, ...]
    """In order; all but the last end in RETRY."""
    problem: str
    """One of PROBLEMS; empty when the form is whole."""

    @property
    def standing(self) -> str | None:
        """The answer that stands: of the first ACCEPT or of the K-th attempt; None where the form broke before."""
        return self.tries[-1].answer if self.tries and self.tries[-1].decision in ("accept", "forced") else None


def write_attempt(work: str, answer: str) -> str:
    """An attempt with its tags.

    >>> write_attempt("2 + 3 = 5", "5")
    '<attempt>2 + 3 = 5<answer>5</answer></attempt>'
    """
    return f"{ATTEMPT}{work}{ANSWER}{answer}{ANSWER_END}{ATTEMPT_END}"


def write_verdict(*, accept: bool) -> str:
    """A verdict with its tags.

    >>> write_verdict(accept=False)
    '<verdict>RETRY</verdict>'
    """
    return f"{VERDICT}{ACCEPT if accept else RETRY}{VERDICT_END}"


def write_decision(check: str, *, accept: bool) -> str:
    """A check and a verdict with their tags."""
    return f"{CHECK}{check}{CHECK_END}{write_verdict(accept=accept)}"


def read_form(text: str, num_attempts: int, *, is_cut: bool) -> Form:
    """A response taken apart, in one pass.

    Args:
        text: without the stop token.
        num_attempts: K.
        is_cut: whether it ends at the token limit.

    >>> read_form("<attempt><answer>5</answer></attempt><che", 2, is_cut=True).problem
    'cut at the token limit'
    """
    tries: list[Tried] = []
    place = 0
    while True:
        tried, place, problem = _read_one(text, place, is_last=len(tries) + 1 == num_attempts, is_cut=is_cut)
        if tried is None:
            if problem == NO_ATTEMPT and tries:
                problem = NO_FURTHER_ATTEMPT
            elif problem == OUTSIDE and not tries and ATTEMPT not in text:
                problem = NO_ATTEMPT
            break
        tries.append(tried)
        if problem or tried.decision != "retry":
            break
    if not problem and text[place:].strip():
        problem = AFTER_ACCEPT if tries[-1].decision == "accept" else AFTER_LAST
    return Form(tries=tuple(tries), problem=problem)


def _read_one(text: str, place: int, *, is_last: bool, is_cut: bool) -> tuple[Tried | None, int, str]:
    """(one attempt with its decision, where it ends, what broke the form)."""
    start = _past_blanks(text, place)
    if not text.startswith(ATTEMPT, start):
        return None, start, _missing(text, start, (ATTEMPT,), NO_ATTEMPT, is_cut=is_cut)
    end, is_closed = _end_of(text, start, ATTEMPT, ATTEMPT_END)
    attempt, answer = (start, end), _last_answer(text[start:end])
    if not is_closed:
        return Tried(attempt=attempt, answer=answer), end, CUT if is_cut and end == len(text) else UNCLOSED
    if answer is None:
        return Tried(attempt=attempt, answer=None), end, NO_ANSWER
    if is_last:
        return Tried(attempt=attempt, answer=answer, decision="forced"), end, ""
    start = _past_blanks(text, end)
    if not text.startswith(CHECK, start):
        return Tried(attempt=attempt, answer=answer), start, _missing(text, start, (CHECK,), NO_CHECK, is_cut=is_cut)
    end, is_closed = _end_of(text, start, CHECK, CHECK_END)
    check = (start, end)
    if not is_closed:
        return Tried(attempt=attempt, answer=answer, check=check), end, CUT if is_cut and end == len(text) else UNCLOSED
    start = _past_blanks(text, end)
    found = WRITTEN_VERDICT.match(text, start)
    if found is None:
        expected = (write_verdict(accept=True), write_verdict(accept=False))
        return Tried(attempt=attempt, answer=answer, check=check), start, _missing(text, start, expected, NO_VERDICT, is_cut=is_cut)
    decision: Decision = "accept" if found[1] == ACCEPT else "retry"
    return Tried(attempt=attempt, answer=answer, check=check, verdict=found.span(), decision=decision), found.end(), ""


def _past_blanks(text: str, place: int) -> int:
    found = BLANKS.match(text, place)
    assert found is not None
    return found.end()


def _end_of(text: str, start: int, opening: str, closing: str) -> tuple[int, bool]:
    """(one past the part that begins at `start`, whether it is closed); an answer may stand in an attempt, no other tag anywhere."""
    for tag in TAG.finditer(text, start + len(opening)):
        if tag[0] == closing:
            return tag.end(), True
        if opening != ATTEMPT or tag[0] not in (ANSWER, ANSWER_END):
            return tag.start(), False
    return len(text), False


def _last_answer(part: str) -> str | None:
    found, start = "", None
    for tag in TAG.finditer(part):
        if tag[0] == ANSWER:
            start = tag.end()
        elif tag[0] == ANSWER_END and start is not None:
            found, start = part[start : tag.start()].strip(), None
    return found or None


def _missing(text: str, start: int, expected: tuple[str, ...], problem: str, *, is_cut: bool) -> str:
    """Why none of `expected` stands at `start`."""
    rest = len(text) - start
    if is_cut and any(len(one) > rest and one.startswith(text[start:]) for one in expected):
        return CUT
    return problem if rest == 0 or TAG.match(text, start) else OUTSIDE
