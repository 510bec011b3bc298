"""What a judge is asked about a response, and how its reply is read: which error, which method, whether it meets constraints.

    error_question  -> ... "Code: E3.1"        read_error  -> "E3.1", or why the reply says nothing
    method_question -> ... "Method: 2"         read_method -> 2, or 0 for a new one, or why
    constraint_question  -> "yes"             read_verdict  -> True, or why          Form(num_constraints=1, numbered=False)
    constraints_question -> "1: yes" ...      read_verdicts -> [True, ...], or why   Form(num_constraints=m, numbered=True)

The words are ours (`prompts/*.txt`): the paper's are not known. Reading is strict: the last line of the reply, in that form and of the
choices that were given, and no other line of the form; of constraints, the verdicts and nothing else. Anything else is unscored; nothing
is guessed. What a model thinks aloud in <think> is not part of its reply. A `Form` knows every reply that can be read, for who is made to
choose among them.
Question and responses stand between lines with a word that none of them contains, so that none can end its own part.
LIMIT: a text longer than its share of MOST_CHARACTERS loses its middle, and the judge is told so; an error that stands there goes unseen.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from jominy.records import Message, Prompt
from jominy.rewards.taxonomy import TAXONOMY

Messages = tuple[Message, ...]

MOST_CHARACTERS = 12_000
"""Of all the responses in one question."""
NEW_METHOD = re.compile(r"new", re.IGNORECASE)
THOUGHT = "</think>"
VERDICT = re.compile(r"(yes|no)\.?", re.IGNORECASE)
NUMBERED_VERDICT = re.compile(r"(\d{1,4})[:.)]\s*(yes|no)\.?", re.IGNORECASE)
FENCE_CHARACTERS = 10
SPELLINGS = (("yes", "no"), ("Yes", "No"))
"""Ways to write the same verdict that differ in their first token; a reply has one of them throughout."""
MOST_TOGETHER = 4
"""Constraints whose verdicts are chosen together: 2^4 replies; of more, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Which replies tell of constraints, and can be read.

    Example: Form(num_constraints=2, numbered=True)         # a line `1: yes` or `1: no`, and one `2: yes` or `2: no`
    """

    num_constraints: int
    """How many are asked about."""
    numbered: bool
    """`1: yes` a line, or `yes` alone, of a single one."""

    def __post_init__(self) -> None:
        assert self.num_constraints == 1 or (self.numbered and self.num_constraints > 1), "several verdicts are numbered"

    def reply(self, verdicts: Sequence[bool], words: tuple[str, str] = SPELLINGS[0]) -> str:
        """The reply that says so, or its first lines.

        >>> Form(num_constraints=2, numbered=True).reply((True, False)), Form(num_constraints=1, numbered=False).reply((True,))
        ('1: yes\\n2: no', 'yes')
        """
        said = [words[0] if verdict else words[1] for verdict in verdicts]
        return "\n".join(f"{number}: {word}" for number, word in enumerate(said, start=1)) if self.numbered else said[0]

    def going_on(self, known: Sequence[bool] = ()) -> list[tuple[bool, ...]]:
        """What can be said next, with what is said already: of few constraints all verdicts at once, of many those on the next one.

        >>> Form(num_constraints=2, numbered=True).going_on()
        [(True, True), (True, False), (False, True), (False, False)]
        >>> Form(num_constraints=9, numbered=True).going_on((False,))
        [(False, True), (False, False)]
        """
        num_next = self.num_constraints if self.num_constraints <= MOST_TOGETHER else 1
        return [(*known, *said) for said in itertools.product((True, False), repeat=num_next)]

    def read(self, reply: str) -> tuple[list[bool] | None, str]:
        """(whether each constraint is met, "") or (None, why the reply does not say)."""
        if self.numbered:
            return read_verdicts(reply, self.num_constraints)
        verdict, why = read_verdict(reply)
        return (None if verdict is None else [verdict]), why


def error_question(prompt: Prompt, response: str) -> Messages:
    """Ask which of the ten errors makes a wrong response wrong."""
    kinds = "\n".join(f"{kind.code} {kind.name} ({kind.severity} severity): {kind.meaning}" for kind in TAXONOMY.values())
    question, answer, wrong = _conversation(prompt), prompt.target or "(not known)", shortened(response, MOST_CHARACTERS)
    return _asked("error.txt", fence=fence_of(question, answer, wrong), kinds=kinds, question=question, answer=answer, response=wrong)


def method_question(prompt: Prompt, representatives: Sequence[str], response: str) -> Messages:
    """Ask whether a right response uses the method of one of the representatives (2601.06911, algorithm 1)."""
    share = MOST_CHARACTERS // (len(representatives) + 1)
    question, new, known = _conversation(prompt), shortened(response, share), [shortened(text, share) for text in representatives]
    fence = fence_of(question, new, *known)
    methods = "".join(f"===== {fence} RESPONSE {number}\n{text}\n" for number, text in enumerate(known, start=1))
    return _asked("method.txt", fence=fence, question=question, methods=methods, response=new)


def constraint_question(prompt: Prompt, response: str, constraint: str) -> Messages:
    """Ask whether a response meets one constraint; the shared part comes first, so that an endpoint may keep it."""
    question, said = _conversation(prompt), shortened(response, MOST_CHARACTERS)
    return _asked("constraint.txt", fence=fence_of(question, said, constraint), question=question, response=said, constraints=constraint)


def constraints_question(prompt: Prompt, response: str, constraints: Sequence[str]) -> Messages:
    """Ask which of several constraints a response meets, all in one."""
    question, said = _conversation(prompt), shortened(response, MOST_CHARACTERS)
    fence = fence_of(question, said, *constraints)
    listed = "\n".join(f"===== {fence} CONSTRAINT {number}\n{text}" for number, text in enumerate(constraints, start=1))
    count = str(len(constraints))
    return _asked("constraints.txt", fence=fence, question=question, response=said, constraints=listed, count=count)


def words_asked() -> str:
    """Stands for the words in which constraints are asked about: verdicts on other words are another judge's.

    >>> len(words_asked())
    12
    """
    words = "".join(_template(name) for name in ("constraint.txt", "constraints.txt"))
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def fence_of(*contents: str) -> str:
    """A short word that none of the texts contains; the same for the same texts, so that the question is the same.

    >>> fence_of("one", "two") == fence_of("one", "two") != fence_of("one", "three")
    True
    """
    number = 0
    while True:
        fence = hashlib.sha256(json.dumps([number, *contents]).encode()).hexdigest()[:FENCE_CHARACTERS]
        if not any(fence in text for text in contents):
            return fence
        number += 1


def read_error(reply: str) -> tuple[str | None, str]:
    """(code, "") or (None, why the reply names none).

    >>> read_error("It adds 7 and 5 wrongly.\\nCode: E3.1")
    ('E3.1', '')
    >>> read_error("Code: E3.1 or E3.2")[0] is None
    True
    """
    found, why = _last_line(reply, "Code")
    if found is None:
        return None, why
    return (found, "") if found in TAXONOMY else (None, f"no code of the list: {found[:40]!r}")


def read_method(reply: str, num_methods: int) -> tuple[int | None, str]:
    """(number of the method from 1, or 0 for a new one, "") or (None, why the reply names none).

    >>> read_method("It counts on.\\nMethod: new", 2), read_method("Method: 2", 2), read_method("Method: 3", 2)
    ((0, ''), (2, ''), (None, "no method of the list: '3'"))
    """
    found, why = _last_line(reply, "Method")
    if found is None:
        return None, why
    if NEW_METHOD.fullmatch(found):
        return 0, ""
    number = int(found) if found.isascii() and found.isdigit() and len(found) < 9 else 0
    return (number, "") if 1 <= number <= num_methods else (None, f"no method of the list: {found[:40]!r}")


def read_verdict(reply: str) -> tuple[bool | None, str]:
    """(whether the constraint is met, "") or (None, why the reply does not say).

    >>> read_verdict("Yes."), read_verdict("<think>yes?</think> no")
    ((True, ''), (False, ''))
    >>> read_verdict("Yes, I think so")
    (None, 'the reply is neither yes nor no')
    """
    said = VERDICT.fullmatch(reply.rpartition(THOUGHT)[2].strip())
    return (None, "the reply is neither yes nor no") if said is None else (said[1].lower() == "yes", "")


def read_verdicts(reply: str, num_constraints: int) -> tuple[list[bool] | None, str]:
    """(whether each constraint is met, "") or (None, why the reply does not say): one line for each, in order, and nothing else.

    >>> read_verdicts("1: yes\\n2: no", 2), read_verdicts("1: yes", 2)
    (([True, False], ''), (None, '1 verdicts for 2 constraints'))
    """
    lines = [line.strip() for line in reply.rpartition(THOUGHT)[2].splitlines() if line.strip()]
    said = [NUMBERED_VERDICT.fullmatch(line) for line in lines]
    found = [one for one in said if one is not None]
    if len(found) < len(said) or not said:
        return None, "the reply is not one line `number: yes` or `number: no` a constraint"
    if len(found) != num_constraints:
        return None, f"{len(found)} verdicts for {num_constraints} constraints"
    if [int(one[1]) for one in found] != list(range(1, num_constraints + 1)):
        return None, "the verdicts are not numbered 1, 2, ... in order"
    return [one[2].lower() == "yes" for one in found], ""


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and its end with a note of how much is missing between.

    >>> shortened("abcdefgh", 4)
    'ab\\n[... 4 characters left out ...]\\ngh'
    """
    if len(text) <= most:
        return text
    half = max(most // 2, 1)
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _last_line(reply: str, name: str) -> tuple[str | None, str]:
    """What stands behind `name: ` in the last line, if no other line begins so."""
    lines = [line.strip() for line in reply.rpartition(THOUGHT)[2].splitlines() if line.strip()]
    if not lines:
        return None, "empty reply"
    named = [line for line in lines if line.startswith(f"{name}:")]
    if len(named) != 1 or named[0] != lines[-1]:
        return None, f"{len(named)} lines with `{name}:`" if named else f"no line `{name}: ...` at the end: {lines[-1][:60]!r}"
    return named[0].removeprefix(f"{name}:").strip(), ""


def _conversation(prompt: Prompt) -> str:
    """The prompt as text; who speaks is named where there is more than one turn."""
    if len(prompt.messages) == 1:
        return prompt.messages[0].content
    return "\n".join(f"[{message.role}] {message.content}" for message in prompt.messages)


def _template(name: str) -> str:
    return resources.files("jominy.rewards").joinpath("prompts", name).read_text(encoding="utf-8")


def _asked(
    name: str,
    *,
    fence: str,
    question: str,
    response: str,
    kinds: str = "",
    answer: str = "",
    methods: str = "",
    constraints: str = "",
    count: str = "",
) -> Messages:
    template = Template(_template(name))
    given = {"kinds": kinds, "answer": answer, "methods": methods, "constraints": constraints, "count": count}
    filled = template.substitute(given, fence=fence, question=question, response=response)
    return (Message(role="user", content=filled),)
