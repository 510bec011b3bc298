"""The ten kinds of error of 2601.06911 in three severities: one table, for judges, programs and readers alike.

    high   fundamental    E1.1 E1.2 E2.1 E2.2 E5.1 E5.2
    mid    execution      E3.1 E3.2
    low    presentation   E4.1 E4.2                                                              (2601.06911, table 3)

The codes, names and severities are the paper's; the sentences that tell them apart are ours, for its judge's prompt is not known.
Left out on purpose: counting (`measures.interpretation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["high", "mid", "low"]
SEVERITIES: tuple[Severity, ...] = ("high", "mid", "low")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """One kind of error.

    Example: TAXONOMY["E3.1"].name      # "calculation error"
    """

    code: str
    """As the paper numbers it."""
    severity: Severity
    """high: the approach is wrong; mid: the approach is right and a step is not; low: only the presentation is wrong."""
    name: str
    """The paper's words."""
    meaning: str
    """A sentence that tells it from the others; ours."""


_ROWS: tuple[tuple[str, Severity, str, str], ...] = (
    ("E1.1", "high", "misunderstanding the question", "answers another question than the one asked, for example with other numbers"),
    ("E1.2", "high", "constraint violation", "understands the question and ignores a condition that it states"),
    ("E2.1", "high", "knowledge error", "uses a wrong formula, theorem or fact"),
    ("E2.2", "high", "planning or method error", "a way of solving that cannot lead to the answer, though its facts are right"),
    ("E3.1", "mid", "calculation error", "the approach is right and the result of a calculation or rearrangement is wrong"),
    ("E3.2", "mid", "step hallucination", "a number, fact or result appears that neither the question nor an earlier step gives"),
    ("E4.1", "low", "format error", "reaches the right answer and does not give it in the form that is asked for"),
    ("E4.2", "low", "premature stop", "is right as far as it goes and ends before the answer"),
    ("E5.1", "high", "repetition loop", "says the same over and over"),
    ("E5.2", "high", "irrelevant or incoherent", "is no attempt at the question, or cannot be understood"),
)
TAXONOMY: dict[str, ErrorKind] = {
    code: ErrorKind(code=code, severity=severity, name=name, meaning=meaning) for code, severity, name, meaning in _ROWS
}
"""Code -> kind, in the order of the codes."""
