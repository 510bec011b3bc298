"""The nouns of the decisions part of an explanation: did training change the solving or the deciding, and which tokens got the credit?

`explanation.json` keeps a `Decided` as JSON under `decisions`; the page and the terminal show it and compute nothing.
Left out on purpose: how any of it is estimated (`measures`), and how rollouts become attempts and decisions (`tracing`, `readers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jominy.explanation import Change
from jominy.measures.attribution import Attribution, Masses
from jominy.measures.credit import CreditShare
from jominy.measures.decisions import BankMetrics
from jominy.measures.signal import SignalAndNoise
from jominy.measures.swap import Swap
from jominy.records import Measure, Skipped, Span

SCHEMA_VERSION = 1
"""Of the record under `decisions`."""

OURS = (
    "2601.01580 claims that RL improves deciding more than solving; its theorems, task and tables were not at hand, so the definitions of "
    "attempts, decisions, credit and swap, and every formula behind these numbers, are derivations and choices of ours. One advantage for "
    "all tokens does not make the gradients of both stages equally large."
)
"""Stands beside every table and figure about decisions."""

TITLES = {
    "sampling": "Sampling: are attempts right?",
    "decision": "Decision: are right ones accepted, wrong ones tried again?",
    "transitions": "What retrying does to the answer",
    "optimality": "What other decisions would reach",
}
"""Section -> how it is headed; those of single attempts say which."""
SECTIONS = tuple(TITLES)
"""Names of `Decided.sections`, in order; those of single attempts (`attempt 1`, ...) follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Measures of one kind before and after.

    Example: Section(name="decision", changes=(Change(name="false accept", before=..., after=..., difference=...),))
    """

    name: str
    """sampling, decision, transitions, optimality; or `attempt 1` for the decisions about first attempts."""
    changes: tuple[Change, ...]
    """`before` and `difference` have no value, with the reason, where only one folder is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """How many responses break the form in one way.

    Example: Problem(name="no verdict", before=12, after=0)
    """

    name: str
    """What is broken; empty: nothing is."""
    before: int | None
    """Responses; None where only one folder is read."""
    after: int
    """Responses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """Where one objective would put its coefficients on the rollouts of `after`.

    Example: Credited(objective="grpo:kl=k3", num_rollouts=384, num_kept=384, attribution=..., logits=None, gradient=None, notes=())
    """

    objective: str
    """Recipe, as `--recipe` takes it."""
    num_rollouts: int
    """Rollouts whose coefficients are counted."""
    num_kept: int
    """Those that the recipe trains on; the others have coefficients of 0."""
    mean_size: float
    """Mean |c| of a token of a stage, of the whole objective where this is a part: the unit that all coefficients are told in."""
    attribution: Attribution
    """Coefficients by stage, decision and truth, in units of `mean_size`."""
    logits: Masses | None
    """What of them reaches the logits; None without `--gradients`."""
    gradient: SignalAndNoise | None
    """Gradients of the parameters by stage; None without `--gradients`."""
    why_no_gradient: str
    """Then, why; else empty."""
    notes: tuple[str, ...]
    """What a careful reader should know of this objective."""
    gradient_asked: bool = False
    """Whether `--gradients` was said, in this call or in one whose gradients were kept; where not, there is nothing to explain."""
    part: str = ""
    """Empty: the whole objective; else which part of it, on the same rollouts: `reward alone` or `KL alone`."""
    parts: tuple[Credited, ...] = ()
    """Reward and KL apart, where the objective has a KL. On policy their coefficients add up to the whole's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """The square of two policies, each as sampler and as decider.

    Example: Swapped(before="lab", after="lab+step 30", num_prompts=48, num_rollouts=8, measured=Swap(...), analytic=Swap(...))
    """

    before: str
    """Name of the one policy."""
    after: str
    """Name of the other."""
    num_prompts: int
    """Held-out prompts that were drawn on."""
    num_rollouts: int
    """Responses a prompt and cell."""
    measured: Swap
    """Drawn: cells (before, before), (before, after), (after, before), (after, after), each (sampler, decider), and the split."""
    analytic: Swap
    """The same from measured chances and a closed form."""
    prompts: str
    """Which prompts these are, e.g. `48 of the prompts of both folders, none of them trained on`."""
    prompt_ids: tuple[str, ...]
    """`Prompt.id` of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankDecided:
    """Both policies on the same attempts, half of them right.

    Example: BankDecided(num_states=64, num_paired=28, missing_right=0, missing_wrong=0, num_checks=4, num_silent_before=1, ...)
    """

    num_states: int
    """States in the bank."""
    num_paired: int
    """Prompts that give a right and a wrong one that count; with the others goes what is easy about a prompt."""
    missing_right: int
    """Right attempts that were asked for and not there."""
    missing_wrong: int
    """Wrong attempts that were asked for and not there."""
    num_checks: int
    """Checks that each policy wrote to each state."""
    num_silent_before: int
    """States behind which no check of the first policy came to a verdict; left out of both."""
    num_silent_after: int
    """The same of the second policy."""
    num_used: int
    """States that are counted: those of pairs of a right and a wrong one on which both policies came to a verdict."""
    num_without_room: int
    """Attempts of the responses that could not be states, for no check fits behind them."""
    before: BankMetrics
    """The first policy's decisions."""
    after: BankMetrics
    """The second policy's."""
    changes: tuple[Change, ...]
    """accept right, false accept, balanced decision accuracy, Youden's J and AUROC: after minus before on the same states, paired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One response taken apart, with what each objective would put on its tokens; chosen to show a decision, not drawn.

    Example: Exhibit(prompt_id="9f2c...", index=3, question="7 + 8 = ?", cells=("wrong retried", "right accepted"), right=True, ...)
    """

    prompt_id: str
    """`Prompt.id`."""
    index: int
    """`Rollout.index`."""
    question: str
    """The start of the prompt's last message."""
    cells: tuple[str, ...]
    """Which of right accepted, right retried, wrong accepted, wrong retried its decisions are; empty where nothing was decided."""
    right: bool | None
    """Whether the answer that stands is right; None where nobody could judge it."""
    stop: str
    """How it ended, as `Rollout.stop`."""
    problem: str
    """What is broken of its form; empty where nothing is."""
    pieces: tuple[str, ...]
    """The start of the response: the text of each token, or of each span where tokens have no text."""
    num_pieces: int
    """How many pieces the whole response has."""
    are_tokens: bool
    """Whether each piece is a token."""
    spans: tuple[Span, ...]
    """Attempts, checks and verdicts, counted in `pieces`, in order."""
    coefficients: Mapping[str, tuple[float, ...]]
    """Objective -> coefficient of each piece, to four digits; without the objectives that are not counted on this response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Everything that `explain` found about attempts and decisions.

    Example: see `jominy explain --help`.
    """

    source: Mapping[str, Any]
    """What was read: reader, task, before, after (folders, before None where one is read alone), before_policy, after_policy, success,
    seed, temperature."""
    num_attempts: int
    """K, the most attempts a response may have; where the reader states no limit, one more than were seen."""
    why_no_decisions: str
    """Why there are no decisions to measure (K = 1); else empty."""
    why_no_limit: str
    """Why what depends on K is left out (the reader states none); else empty."""
    num_prompts: int
    """Prompts in both folders."""
    num_only_before: int
    """Prompts that only the first folder has, left out; 0 where only one is read."""
    num_only_after: int
    """Prompts that only the second has, left out."""
    num_rollouts_before: int | None
    """Responses read; None where only one folder is."""
    num_rollouts_after: int
    """Responses read."""
    sections: tuple[Section, ...]
    """sampling, decision, transitions, optimality, then the decisions about first, second ... attempts; empty `decision` for K = 1."""
    problems: tuple[Problem, ...]
    """Broken forms, the most frequent after training first."""
    credits: tuple[Credited, ...]
    """By objective, in the order asked for; empty where no token has a stage."""
    skipped: tuple[Skipped, ...]
    """Objectives (`code`) that could not be computed, and what they need."""
    value_shares: tuple[Measure, ...]
    """The decision tokens' part of the NLL and, where the start's log-probabilities are known, of the KL."""
    credit_share: CreditShare | None
    """The decisions' part of the outcome's variance, after training; None for K = 1."""
    swap: Swapped | None
    """Whose gain it is."""
    why_no_swap: str
    """Why `swap` is None; else empty."""
    bank: BankDecided | None
    """Decisions on one bank of states."""
    why_no_bank: str
    """Why `bank` is None; else empty."""
    notes: tuple[str, ...]
    """What a careful reader should know."""
    exhibits: tuple[Exhibit, ...] = ()
    """Responses of `after` to look at, of every kind of decision that there is."""
    definitions: str = OURS
    """Whose definitions these are; shown beside everything."""

    def to_json(self) -> dict[str, Any]:
        """What `explanation.json` holds under `decisions`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}
