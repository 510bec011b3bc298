"""The nouns of a refined training set: which prompts were dropped or rewritten, why, and what is left.

`refined.json` is a `Refined` as JSON; the page and the terminal show it and compute nothing.
Left out on purpose: how it is decided and the pilot behind it (`refining`), and the prompts themselves (`prompts.jsonl`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

SCHEMA_VERSION = 1
"""Of `refined.json`."""
REFINED_FILE = "refined.json"
PROMPTS_FILE = "prompts.jsonl"

StepName = Literal["learnability", "types", "soft"]
STEPS: tuple[StepName, ...] = ("learnability", "types", "soft")
"""In the order in which they are done: types that are not trusted go before one soft constraint is chosen, so that none of them is it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a step did with a prompt, where it is not simply kept.

    Example: Change(step="soft", prompt_id="9f2c...", became="a01b...", why="cut", types=("short",))
    """

    step: StepName
    """Which one."""
    prompt_id: str
    """Of the prompt as the step found it."""
    became: str | None
    """Its id behind the step: another one when it was rewritten, None when it was dropped."""
    why: str
    """One of few texts that can be counted."""
    types: tuple[str, ...]
    """Types of the constraints that went with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCount:
    """A step in numbers.

    Example: StepCount(name="learnability", why_off="", num_in=64, num_out=50, num_rewritten=0, reasons={"never rewarded": 14},
                       types_gone={"title": 9, "json": 5})
    """

    name: StepName
    """Which one."""
    why_off: str
    """Why it was not done; empty when it was."""
    num_in: int
    """Prompts that it found."""
    num_out: int
    """Prompts that it left."""
    num_rewritten: int
    """Of these, the ones that say less than before."""
    reasons: Mapping[str, int]
    """Why -> prompts, of all that were dropped, rewritten, or kept although the step could not tell or not do it."""
    types_gone: Mapping[str, int]
    """Type -> constraints that went, with their prompt or out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCount:
    """The constraints of one type and kind.

    Example: TypeCount(type="title", kind="soft", given=20, kept=6, after=(18, 18, 6))
    """

    type: str
    """Constraint type."""
    kind: str
    """hard or soft."""
    given: int
    """Before the first step."""
    kept: int
    """Behind the last."""
    after: tuple[int, ...]
    """Behind each of `STEPS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotCount:
    """The pilot in numbers.

    Example: PilotCount(kind="static", folder="runs/refined/pilot", policy="smollm2", reward=None, num_rollouts=1024, num_unscored=0,
                        num_rewarded=310, num_prompts=64, seconds={"drawing": 80.2, "grading": 1.1})
    """

    kind: Literal["static", "train", "given"]
    """static: samples of one policy; train: the rollouts of a training run; given: a folder that was there."""
    folder: str
    """Its run folder."""
    policy: str | None
    """Whose rollouts they are, or that training began from."""
    reward: str | None
    """What paid; None for the task's own."""
    num_prompts: int
    """Of the prompts that are refined, how many it has rollouts of."""
    num_rollouts: int
    """Of these prompts."""
    num_unscored: int
    """Of these, without a reward."""
    num_rewarded: int
    """Of these, with a reward above 0."""
    seconds: Mapping[str, float]
    """Drawing, grading and updating, as the run wrote them down; loading the model is not in it."""
    num_never: int = 0
    """Of these prompts, scored and never rewarded."""
    num_never_right: int | None = None
    """Of these prompts, never right by gold: what would go if the truth paid. None where the truth did pay, or nobody knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeStanding:
    """What the audit says of a type.

    Example: TypeStanding(type="title", precision=0.8, precision_low=0.7, recall_false=0.4, recall_false_low=0.3, removed_for="...")
    """

    type: str
    """Constraint type."""
    precision: float | None
    """Satisfied among those said to be, were half of all so; None where the audit could not tell."""
    precision_low: float | None
    """Lower end of its 95 % interval."""
    recall_false: float | None
    """Said to be violated among the violated; None likewise."""
    recall_false_low: float | None
    """Lower end of its 95 % interval."""
    removed_for: str
    """The bound that it is below, with numbers; empty where it stays."""
    recall_true: float | None = None
    """Said to be satisfied among the satisfied; None likewise."""
    num_items: int = 0
    """What was asked of it."""
    num_unread: int = 0
    """Of these, without a verdict."""
    asked_as: str = ""
    """In which words: hard, soft, or both together; empty where the audit does not say."""
    no_trust_for: str = ""
    """Why it is never the type that is trusted most, whatever its recall on false; empty where it may be."""
    precision_high: float | None = None
    """Upper end of its interval."""
    recall_false_high: float | None = None
    """Likewise."""
    recall_true_low: float | None = None
    """Lower end of its interval."""
    recall_true_high: float | None = None
    """Upper end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A prompt to read.

    Example: Example(step="soft", why="cut", before="Name a bee. Be brief. Sing.", after="Name a bee. Sing.", gone=("Be brief.",))
    """

    step: StepName
    """What happened to it where."""
    why: str
    """As its `Change` says."""
    before: str
    """The last message as the step found it."""
    after: str | None
    """As the step left it; None when it was dropped."""
    gone: tuple[str, ...]
    """Texts of the constraints that were cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """Everything that `refine` did.

    Example: see `jominy refine --help`.
    """

    spec: Mapping[str, Any]
    """What was asked for, seeds included."""
    created: str
    """When, UTC."""
    num_given: int
    """Prompts before the first step."""
    num_kept: int
    """Prompts in the file."""
    num_rewritten: int
    """Of these, the ones that say less than before."""
    steps: tuple[StepCount, ...]
    """In their order."""
    types: tuple[TypeCount, ...]
    """By type, hard before soft; empty for a task without constraints."""
    pilot: PilotCount | None
    """None where no pilot was used."""
    audit: str | None
    """The audit's file; None where none was used."""
    standings: tuple[TypeStanding, ...]
    """What it says of the types of these prompts."""
    unaudited: tuple[str, ...]
    """Types of these prompts that it says nothing of; they stay."""
    changes: tuple[Change, ...]
    """All, in the order in which they were made."""
    examples: tuple[Example, ...]
    """Some of them, to read."""
    train_with: tuple[str, ...]
    """Words of the command line that trains on the file."""
    notes: tuple[str, ...]
    """What a careful reader should know."""
    audit_says: str = ""
    """The audit's own verdict, a `measures.trust.TrustValue` or `too few to tell`; empty where none was used."""

    def to_json(self) -> dict[str, Any]:
        """The content of `refined.json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}
