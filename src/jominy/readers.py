"""Which reader of attempts and decisions a person means: the task's own, words, tags of their own, or a function of their own.

    task                                            what the task itself reads (`Retrying.read`)
    lexical, lexical:words=wait+let me verify       a word of doubt is the decision to try again; ending by itself is the decision to accept
    markers:attempt=<try>...</try>,verdict=<v>...</v>,accept=YES,retry=NO       tags of another form, check=... and attempts=K if there are
    my_file.py:function                             (prompt, text, stop) -> Trace

`lexical` is how 2601.01580 seems to tell decisions apart (the list of words is ours); it sees doubt that is written, not whether anything
was decided, so it is a stand-in for texts that have no tags. What accepts and what retries is found as a whole word in both: YES is not in
YESTERDAY. In both an attempt is right when the task's own reward gives its text 1, and nobody knows where that reward finds no answer.
Left out on purpose: spans in tokens, and checks of what a function returns; `tracing` does both, for all readers alike.

LIMIT: the task's reward is called in this process and without a time limit, once for each attempt.
"""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jominy.records import Prompt, Stop, Task, TraceReader
from jominy.rewards.loading import load_object
from jominy.rewards.options import did_you_mean, read_options
from jominy.tasks.retry_form import AFTER_ACCEPT, AFTER_LAST, CUT, NO_ATTEMPT, NO_FURTHER_ATTEMPT, NO_VERDICT, UNCLOSED
from jominy.traces import Attempt, TextSpan, Trace

WORDS = ("wait", "recheck", "let me verify", "retry", "try again", "mistake", "actually", "hmm")
"""Words of doubt."""
NO_ATTEMPT_BEFORE = "verdict before an attempt"
BUILT_IN = ("task", "lexical", "markers")
MARKER_OPTIONS = ("attempt", "check", "verdict", "accept", "retry", "attempts")
WORD = re.compile(r"\w")
FAILURES = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What a reward may raise on a piece of a response that it was not made for."""
CRASHES = (*FAILURES, AssertionError, NameError, RuntimeError)
"""What a mistake in a reader of the user's own raises; anything else (a file, the memory) is not the reader's and passes."""

Truth = Callable[[Prompt, str], tuple[str | None, bool | None]]
"""(prompt, text of an attempt) -> (its answer, whether that is right), None where it cannot be told."""


def load_reader(name: str, task: Task) -> TraceReader:
    """The reader that a person means by `name` (see the top of this file).

    Args:
        name: task, lexical, markers or path/to/file.py:function, with options behind a colon.
        task: whose prompts the responses answer.

    Raises:
        ValueError: nothing goes by that name (close matches are named), an option is wrong, the task has no reader of its own, or the
            function takes other arguments.

    >>> from jominy.tasks.arithmetic import make
    >>> read = load_reader("lexical", make("digits=1,operators=+"))
    >>> prompt = make("digits=1,operators=+").prompts(1, 0)[0]             # 9 + 4
    >>> [(one.answer, one.correct, one.decision) for one in read(prompt, "It is 12. Wait, 13.", "eos").attempts]
    [('12', False, 'retry'), ('13', True, 'accept')]
    """
    kind, _, options = name.partition(":")
    if kind == "task":
        if options:
            raise ValueError(f"reader task has no options; got {options!r}")
        if task.retrying is None:
            raise ValueError(
                f"task {task.name!r} says nothing about attempts and decisions; use reader lexical, markers or one of your own"
            )
        return task.retrying.read
    if kind == "lexical":
        given = read_options("reader lexical", options, ["words"])
        words = [word.strip() for word in given["words"].split("+")] if "words" in given else list(WORDS)
        return lexical_reader(words, truth_by(task))
    if kind == "markers":
        return markers_reader(read_markers(options), truth_by(task))
    if ":" in name and (kind.endswith(".py") or "." in kind):
        return own_reader(name)
    raise ValueError(
        f"no reader {name!r}; {did_you_mean(kind, BUILT_IN)}there are {', '.join(BUILT_IN)}, or your own as my_file.py:function"
    )


def limit_of(name: str, task: Task) -> int | None:
    """K, the most attempts a response may have, as the reader says; None where nothing says so (`lexical`, one of your own).

    >>> from jominy.tasks.arithmetic import make
    >>> limit_of("lexical", make("")), limit_of("markers:attempt=<a>...</a>,verdict=<v>...</v>,accept=Y,retry=N,attempts=3", make(""))
    (None, 3)
    """
    kind, _, options = name.partition(":")
    if kind == "task":
        return None if task.retrying is None else task.retrying.num_attempts
    return read_markers(options).num_attempts if kind == "markers" else None


def truth_by(task: Task) -> Truth:
    """What the task's own reward says of an attempt's text: right from 1 on."""

    def truth(prompt: Prompt, text: str) -> tuple[str | None, bool | None]:
        try:
            judged = task.reward(prompt, text)
        except FAILURES:
            return None, None
        if judged.answer is None or judged.value is None:
            return judged.answer, None
        return judged.answer, judged.value >= 1

    return truth


def lexical_reader(words: Sequence[str], truth: Truth) -> TraceReader:
    """A word of doubt ends an attempt and is the decision to retry; the end of a response that ended by itself accepts the last one.

    Words are found whole, in upper or lower case. Several with nothing between them are one decision; before anything is said they are part
    of the first attempt.

    Raises:
        ValueError: no words, or an empty one.
    """
    if not words or not all(words):
        raise ValueError("reader lexical: words are joined by +, none of them empty, e.g. words=wait+let me verify")
    longest_first = sorted(words, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest_first) + r")(?!\w)", re.I)

    def read(prompt: Prompt, text: str, stop: Stop) -> Trace:
        tried: list[tuple[int, int]] = []
        doubts: list[tuple[int, int]] = []
        begin = unsaid_from = 0
        for match in pattern.finditer(text):
            if WORD.search(text, unsaid_from, match.start()):
                tried.append((begin, match.start()))
                doubts.append(match.span())
                begin = match.end()
            elif doubts:
                doubts[-1] = (doubts[-1][0], match.end())
                begin = match.end()
            unsaid_from = match.end()
        if WORD.search(text, unsaid_from):
            tried.append((begin, len(text)))
        attempts, spans = [], []
        for index, (start, end) in enumerate(tried):
            answer, correct = truth(prompt, text[start:end])
            spans.append(_attempt_span(start, end, index, correct))
            if index < len(doubts):
                attempts.append(Attempt(answer=answer, correct=correct, decision="retry"))
                spans.append(TextSpan(kind="verdict.retry", start=doubts[index][0], end=doubts[index][1], index=index))
            else:
                attempts.append(Attempt(answer=answer, correct=correct, decision="accept" if stop == "eos" else "none"))
                if stop == "eos":
                    spans.append(TextSpan(kind="verdict.accept", start=len(text), end=len(text), index=index))
        problem = CUT if stop == "length" else NO_ATTEMPT if not attempts else NO_FURTHER_ATTEMPT if len(doubts) == len(attempts) else ""
        return Trace(attempts=tuple(attempts), spans=tuple(spans), problem=problem)

    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Markers:
    """Tags of somebody's own form.

    Example: Markers(attempt=("<try>", "</try>"), check=None, verdict=("<v>", "</v>"), accept="YES", retry="NO", num_attempts=None)
    """

    attempt: tuple[str, str]
    """What opens and what closes an attempt."""
    check: tuple[str, str] | None
    """The same of a check, where there are checks."""
    verdict: tuple[str, str]
    """The same of a verdict."""
    accept: str
    """What a verdict holds that accepts."""
    retry: str
    """What a verdict holds that tries again."""
    num_attempts: int | None
    """K, so that the K-th attempt counts as forced; None where there is no limit."""


def read_markers(options: str) -> Markers:
    """The tags that stand behind `markers:`.

    Raises:
        ValueError: attempt, verdict, accept or retry is missing, a pair has no `...`, or two texts are the same where they must differ.

    >>> read_markers("attempt=<try>...</try>,verdict=<v>...</v>,accept=YES,retry=NO").attempt
    ('<try>', '</try>')
    """
    given = read_options("reader markers", options, MARKER_OPTIONS)
    missing = [name for name in ("attempt", "verdict", "accept", "retry") if not given.get(name)]
    if missing:
        raise ValueError(
            f"reader markers needs {', '.join(missing)}; e.g. markers:attempt=<try>...</try>,verdict=<v>...</v>,accept=YES,retry=NO"
        )
    pairs: dict[str, tuple[str, str]] = {}
    for name in ("attempt", "check", "verdict"):
        if name in given:
            opening, dots, closing = given[name].partition("...")
            if not (opening and dots and closing):
                raise ValueError(
                    f"reader markers: {name} is what opens it, three dots and what closes it, e.g. <try>...</try>; got {given[name]!r}"
                )
            pairs[name] = (opening, closing)
    if len({opening for opening, _ in pairs.values()}) < len(pairs):
        raise ValueError("reader markers: attempt, check and verdict must open with different texts")
    if given["accept"] == given["retry"]:
        raise ValueError(f"reader markers: accept and retry are both {given['accept']!r}, so no verdict could be told")
    attempts = given.get("attempts")
    if attempts is not None and (not attempts.isascii() or not attempts.isdigit() or int(attempts) < 1):
        raise ValueError(f"reader markers: attempts is a whole number of at least 1; got {attempts!r}")
    return Markers(
        attempt=pairs["attempt"],
        check=pairs.get("check"),
        verdict=pairs["verdict"],
        accept=given["accept"],
        retry=given["retry"],
        num_attempts=None if attempts is None else int(attempts),
    )


def markers_reader(markers: Markers, truth: Truth) -> TraceReader:
    """Reads parts between tags; text outside them is in no span and breaks nothing.

    A part that is not closed ends where the next one opens. A verdict is about the last attempt and holds one of accept and retry, not
    both; nothing is read behind an acceptance or behind the K-th attempt.
    """
    kinds = {markers.attempt[0]: "attempt", markers.verdict[0]: "verdict"}
    if markers.check is not None:
        kinds[markers.check[0]] = "check"
    closes = {"attempt": markers.attempt[1], "verdict": markers.verdict[1], "check": "" if markers.check is None else markers.check[1]}
    tags = sorted({*kinds, *filter(None, closes.values())}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, tags)))

    def read(prompt: Prompt, text: str, stop: Stop) -> Trace:
        attempts: list[Attempt] = []
        spans: list[TextSpan] = []
        problem = ""
        for part in _parts(text, pattern, kinds, closes):
            if attempts and attempts[-1].decision == "accept":
                problem = problem or AFTER_ACCEPT
                break
            if len(attempts) == markers.num_attempts:
                problem = problem or AFTER_LAST
                break
            if not part.is_closed:
                problem = problem or (CUT if stop == "length" and part.end == len(text) else UNCLOSED)
            if part.kind == "attempt":
                if attempts and attempts[-1].decision == "none":
                    problem = problem or NO_VERDICT
                answer, correct = truth(prompt, part.inner)
                spans.append(_attempt_span(part.start, part.end, len(attempts), correct))
                is_last = part.is_closed and len(attempts) + 1 == markers.num_attempts
                attempts.append(Attempt(answer=answer, correct=correct, decision="forced" if is_last else "none"))
            elif not attempts:
                problem = problem or NO_ATTEMPT_BEFORE
            elif part.kind == "check":
                spans.append(TextSpan(kind="check", start=part.start, end=part.end, index=len(attempts) - 1))
            else:
                wrong = _decide(attempts, spans, part, markers)
                problem = problem or wrong
        return Trace(attempts=tuple(attempts), spans=tuple(spans), problem=problem or _ending(attempts, stop))

    return read


def own_reader(source: str) -> TraceReader:
    """A function of the user's own; what it returns is looked at when it is called.

    Raises:
        ValueError: no such function, or one that cannot be called with (prompt, text, stop).
    """
    function = load_object(source)
    if not callable(function):
        raise ValueError(f"{source} is {function!r:.80}; a reader is a function (prompt, text, stop) -> jominy.traces.Trace")
    try:
        inspect.signature(function).bind(None, "", "eos")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} cannot be called with (prompt, text, stop): {error}") from error

    def read(prompt: Prompt, text: str, stop: Stop) -> Trace:
        try:
            found: object = function(prompt, text, stop)
        except CRASHES as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
            raise ValueError(f"{source} failed on a response to prompt {prompt.id}: {what}") from error
        if not isinstance(found, Trace):
            raise ValueError(f"{source} returned {found!r:.80} for prompt {prompt.id}; a reader returns a jominy.traces.Trace")
        return found

    return read


@dataclass(frozen=True, slots=True)
class _Part:
    """A part between tags: kind, characters with and without its tags, whether it is closed."""

    kind: str
    start: int
    end: int
    inner: str
    is_closed: bool


def _parts(text: str, pattern: re.Pattern[str], kinds: dict[str, str], closes: dict[str, str]) -> list[_Part]:
    """The parts of a text in order, in one pass."""
    found: list[_Part] = []
    kind, start, inside = "", 0, 0
    for tag in pattern.finditer(text):
        if kind and tag[0] == closes[kind]:
            found.append(_Part(kind, start, tag.end(), text[inside : tag.start()], True))
            kind = ""
        elif tag[0] in kinds:
            if kind:
                found.append(_Part(kind, start, tag.start(), text[inside : tag.start()], False))
            kind, start, inside = kinds[tag[0]], tag.start(), tag.end()
    if kind:
        found.append(_Part(kind, start, len(text), text[inside:], False))
    return found


def _decide(attempts: list[Attempt], spans: list[TextSpan], part: _Part, markers: Markers) -> str:
    """Writes the verdict into the last attempt; returns what is wrong with it."""
    # the longer text first: "incorrect" is not also "correct"
    longest_first = sorted((markers.accept, markers.retry), key=len, reverse=True)
    said = set(re.findall("|".join(map(_whole, longest_first)), part.inner))
    last, accepts = attempts[-1], said == {markers.accept}
    if not part.is_closed or len(said) != 1 or last.decision != "none":
        return NO_VERDICT
    attempts[-1] = Attempt(answer=last.answer, correct=last.correct, decision="accept" if accepts else "retry")
    kind = "verdict.accept" if accepts else "verdict.retry"
    spans.append(TextSpan(kind=kind, start=part.start, end=part.end, index=len(attempts) - 1))
    return ""


def _whole(marker: str) -> str:
    """A pattern that finds it where no word goes on before or behind it.

    >>> [re.findall(_whole(marker), "YESTERDAY +1, YES") for marker in ("YES", "+")]
    [['YES'], ['+']]
    """
    before = r"(?<!\w)" if WORD.match(marker) else ""
    behind = r"(?!\w)" if WORD.match(marker[-1]) else ""
    return before + re.escape(marker) + behind


def _ending(attempts: list[Attempt], stop: Stop) -> str:
    """What is wrong with how it ends."""
    if stop == "length" and (not attempts or attempts[-1].decision not in ("accept", "forced")):
        return CUT
    if not attempts:
        return NO_ATTEMPT
    return NO_VERDICT if attempts[-1].decision == "none" else ""


def _attempt_span(start: int, end: int, index: int, correct: bool | None) -> TextSpan:
    kind = "attempt" if correct is None else "attempt.right" if correct else "attempt.wrong"
    return TextSpan(kind=kind, start=start, end=end, index=index)
