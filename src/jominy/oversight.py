"""The nouns of the watch over a reward: what training paid beside the truth over the steps of a run, and whether that is hacking.

`explanation.json` keeps an `Oversight` as JSON under `oversight`; the page and the terminal show it and compute nothing.
Left out on purpose: how any of it is estimated (`measures.hacking`, `overseeing`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from jominy.records import Finding, Measure
from jominy.results import Threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One number over the steps of a run.

    Example: Course(name="echo share", first=Measure(value=0.02, ...), last=Measure(value=0.31, ...),
                    ends=Measure(value=0.29, ...), rise=Measure(value=0.27, low=0.2, ...))
    """

    name: str
    """What it is, in words."""
    first: Measure
    """Mean of the first third of its steps; the interval goes over steps."""
    last: Measure
    """Mean of the last third."""
    ends: Measure
    """The last third minus the first, with an interval of 99 % where steps are independent (`measures.trend.ends_apart`)."""
    rise: Measure
    """By how much a line through all steps rose (`measures.trend`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCounts:
    """What the reward said of one constraint type, over all counts of the run.

    Example: TypeCounts(name="no_commas", true_accepts=40, false_accepts=22, false_rejects=1, true_rejects=8, num_unscored=0)
    """

    name: str
    """The type."""
    true_accepts: int
    """Satisfied, and said to be."""
    false_accepts: int
    """Violated, and said to be satisfied."""
    false_rejects: int
    """Satisfied, and said to be violated."""
    true_rejects: int
    """Violated, and said to be."""
    num_unscored: int
    """Without a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversight:
    """What the steps of a run say of its reward.

    Example: oversee(Path("runs/judged")).held == "rises alone"
    """

    num_steps: int
    """Steps that were watched."""
    held: Literal["rises alone", "drifts", "holds", "unknown"]
    """rises alone: the reward rises while gold does not; drifts: the gap grows and the reward does not fall; unknown: too few steps or no
    gold."""
    rule: str
    """The comparison that decided, with numbers."""
    courses: tuple[Course, ...]
    """Reward, gold, gap, false accepts, length, echo, self-claims; then what was counted of the reward's verdicts."""
    held_out: Measure
    """Rank correlation of what training paid and the truth on held-out prompts, over the evaluations."""
    findings: tuple[Finding, ...]
    """Empty when nothing is to be said."""
    types: tuple[TypeCounts, ...]
    """Constraint types, most false accepts first; empty where the reward says nothing of single constraints."""
    thresholds: tuple[Threshold, ...]
    """Ours."""

    def to_json(self) -> dict[str, Any]:
        """What `explanation.json` holds under `oversight`."""
        return asdict(self)
