"""The nouns of a response that tries and decides: what was tried in it, what was decided about it, and where in its text.

    text  ->  Trace(attempts, spans)          by a `records.TraceReader`: that of a task (`Task.retrying`), or a user's own (`readers`)

Left out on purpose: how a text is read (`readers`, `tasks.retry`), and the same in tokens (`tracing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decision = Literal["accept", "retry", "forced", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSpan:
    """A named stretch of a response's characters; `Span` is the same in tokens.

    Example: TextSpan(kind="attempt.wrong", start=0, end=41, index=0)
    """

    kind: str
    """attempt.right, attempt.wrong, attempt (nobody knows), check, verdict.accept, verdict.retry; or a name of the user's own."""
    start: int
    """First character."""
    end: int
    """One past the last character; equal to `start` for a decision that only the stop token says."""
    index: int = 0
    """Which attempt it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at the answer, and what was decided about it.

    Example: Attempt(answer="46", correct=False, decision="retry")
    """

    answer: str | None
    """What it answers; None when no answer can be read."""
    correct: bool | None
    """Whether that is right; None where nobody can tell."""
    decision: Decision
    """accept or retry: what the model decided; forced: the last attempt there may be, so nothing was decided; none: it broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A response as attempts and decisions about them.

    Example: Trace(attempts=(Attempt(answer="46", correct=True, decision="accept"),), spans=(TextSpan(...), ...), problem="")
    """

    attempts: tuple[Attempt, ...]
    """In order; empty when the response holds none."""
    spans: tuple[TextSpan, ...]
    """Their stretches of the text, in order, none overlapping another."""
    problem: str
    """Why the form is broken, one of few short texts that can be counted; empty when it is not."""
