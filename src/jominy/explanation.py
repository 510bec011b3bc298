"""The nouns of an explanation: what was before, what is after, the difference, and what it amounts to.

`explanation.json` is an `Explanation` as JSON; the page and the terminal show it and compute nothing.
Left out on purpose: how any of it is estimated (`measures.paired`, `measures.drift`, `measures.decision_changes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jominy.formatting import number
from jominy.records import Measure
from jominy.results import Threshold

SCHEMA_VERSION = 1
"""Of `explanation.json`."""

Outcome = Literal["discovery", "sharpening", "better", "no change shown", "worse", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One measure before and after, on the same prompts.

    What is a mean of the prompts' own values (`measures.paired`) is over the prompts on which both sides are defined. What counts states
    that a policy got itself into, such as its wrong attempts (`measures.decision_changes`), is over each side's own states: they may come
    from other prompts, of which `num_prompts` of `before` and of `after` say how many, and their mix may be what moved.

    Example: Change(name="pass@1", before=Measure(name="pass@1", value=0.12, ...), after=..., difference=Measure(value=0.71, low=0.62, ...))
    """

    name: str
    """The measure."""
    before: Measure
    """Of the first policy."""
    after: Measure
    """Of the second policy."""
    difference: Measure
    """After minus before. Prompts are the resampling unit, and what makes both sides err together on a prompt is taken out of the interval.
    `num_prompts` take part on at least one side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the changes amount to.

    Example: Reading(value="sharpening", headline="...", rule="pass@1 surely up, pass@16 not surely up", caveats=())
    """

    value: Outcome
    """discovery: reaches prompts that it did not; sharpening: is right more often where it already could be; better: pass@1 up and nothing
    to tell the two apart; no change shown; worse; unknown: nothing to compare."""
    headline: str
    """A sentence with the deciding numbers."""
    rule: str
    """The rule that fired; ours."""
    caveats: tuple[str, ...] = ()
    """What a careful reader should know before believing it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMove:
    """One prompt before and after.

    Example: PromptMove(prompt_id="9f2c...", question="2 + 3 = ?", before_right=0, before_scored=16, after_right=9, after_scored=16,
                        p_value=0.0008, surely="up")
    """

    prompt_id: str
    """`Prompt.id`."""
    question: str
    """The start of its last message."""
    before_right: int
    before_scored: int
    after_right: int
    after_scored: int
    p_value: float
    """Fisher's exact test that right answers are equally frequent before and after."""
    surely: Literal["up", "down", ""]
    """Whether it surely moved, with all prompts tested at once (Benjamini-Hochberg)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Which prompts moved, in counts.

    Example: Moves(num_prompts=64, gained=21, lost=1, gained_by_chance=3.2, lost_by_chance=3.2, p_value=1.1e-05, surely_up=30,
                   surely_down=0)
    """

    num_prompts: int
    """Prompts with scored responses on both sides."""
    gained: int
    """Never right before, right at least once after."""
    lost: int
    """Right at least once before, never after."""
    gained_by_chance: float
    """Gained prompts that drawing alone would give if no prompt had changed: there is always some coming and going."""
    lost_by_chance: float
    """The same of lost ones."""
    p_value: float
    """Exact sign test of gained against lost prompts; for equally many responses before and after."""
    surely_up: int
    """Prompts whose own right answers surely became more frequent."""
    surely_down: int
    """Surely less frequent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSkill:
    """How much of the gain is saying an answer at all (format), how much is the answer being right (skill).

        p = f * s,   delta p = delta f * (s0 + s1) / 2 + (f0 + f1) / 2 * delta s            exact

    Example: FormatSkill(answered=Change(name="with an answer", ...), accuracy=..., format_part=Measure(value=0.21, ...), skill_part=...)
    """

    answered: Change
    """f: share of the responses from which an answer could be extracted."""
    accuracy: Change
    """s: share of right ones among these."""
    format_part: Measure
    """The part of the pass@1 gain that comes with f."""
    skill_part: Measure
    """The part that comes with s; the two add up to the gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything `explain` found.

    Example: see `jominy explain --help`.
    """

    source: Mapping[str, Any]
    """What was compared: folders, policies, steps, task, success threshold, seed."""
    reading: Reading
    """The answer."""
    num_prompts: int
    """Prompts in both folders."""
    num_only_before: int
    """Prompts of the first folder alone, left out."""
    num_only_after: int
    """Prompts of the second folder alone, left out."""
    num_unscored_before: int
    """Responses without a reward, left out of all that needs one."""
    num_unscored_after: int
    ks: tuple[int, ...]
    """[K] powers of two, ascending."""
    passk: tuple[Change, ...]
    """[K] pass@k for each of `ks`."""
    moves: Moves
    """Prompts gained and lost."""
    clarity: tuple[Change, ...]
    """Silhouettes; over prompts with right and wrong answers on both sides."""
    drift: tuple[Change, ...]
    """Reward, length, truncation, repetition, diversity."""
    kl: tuple[Measure, ...]
    """Divergence from the start, per response and per token."""
    parts: tuple[Change, ...]
    """Named parts of the reward, the one that moved most first."""
    format_skill: FormatSkill | None
    """None when nothing tells format from skill."""
    why_no_format_skill: str
    """Then, why; else empty."""
    prompts: tuple[PromptMove, ...]
    """At most 2,000, those that moved most first."""
    thresholds: tuple[Threshold, ...]
    """Ours."""
    decisions: Mapping[str, Any] | None = None
    """Whether solving or deciding changed, a `decided.Decided` as JSON; None where responses do not try again or nobody has looked."""
    why_no_decisions: str = ""
    """Then, why, where somebody has looked; else empty."""
    oversight: Mapping[str, Any] | None = None
    """What training paid beside the truth, and whether that is hacking: an `oversight.Oversight` as JSON; None where the truth paid, where
    two run folders are compared, and in an explanation from before there was one."""

    def to_json(self) -> dict[str, Any]:
        """The content of `explanation.json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def signed(value: float | None, unit: str = "") -> str:
    """A difference with its sign, shares in points of per cent.

    >>> signed(0.071, "share"), signed(-12.0, "tokens"), signed(None)
    ('+7.1', '−12', '–')
    """
    return "–" if value is None else f"+{number(value, unit)}" if value > 0 else number(value, unit).replace("-", "−")


def signed_interval(measure: Measure | Mapping[str, Any]) -> str:
    """`[+3.1, +9.8]` of a difference, or a dash where no interval exists."""
    found = asdict(measure) if isinstance(measure, Measure) else measure
    low, high, unit = found.get("low"), found.get("high"), found.get("unit", "")
    return "–" if low is None or high is None else f"[{signed(low, unit)}, {signed(high, unit)}]"
