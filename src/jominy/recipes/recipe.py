"""A recipe: how the rewards of groups become a weight for every token. Owns the records `Recipe` and `GroupWeights`.

    objective of a step = sum_{i,t} scale_it * w_it * logp_it,     w_it = -d loss_it / d logp_it, held constant            (ascent)
    keep -> which rollouts train;  credit -> A_i;  weigh -> w_it;  divide -> scale_it

Every policy-gradient surrogate has a gradient of this form, so an engine that can step on a weighted log-likelihood can run them all.
Left out on purpose: value networks and an entropy bonus, which are not of this form, and drawing: `fill` only says what the loop does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jominy.engines import TokenFunction
from jominy.groups import Groups
from jominy.records import Bools, Floats, Ints, Paper

Array = Any
"""A NumPy array or a torch tensor: `weigh` and `clipped` are written against the array API and return what they were given."""

Fill = Literal["off", "until_full", "two_then_repeat"]
Source = Literal["rollouts", "demonstrations", "corrected"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupWeights:
    """What a recipe multiplied the advantages of each group by, for whoever wants to see it.

    Example: GroupWeights(weight_P=[0.82, 1.0], plain_P=[0.82, 1.0], trains_P=[True, False], defined_P=[True, False], ...)
    """

    weight_P: Floats
    """[P] the factor, above 0."""
    plain_P: Floats
    """[P] the same before it was divided by a mean; 1 where right or wrong answers are missing."""
    trains_P: Bools
    """[P] groups with an advantage other than 0."""
    defined_P: Bools
    """[P] groups with right and wrong answers of known probability."""
    below_zero_P: Bools
    """[P] groups whose S' is below 0."""
    num_unknown: int
    """Scored rollouts without a probability, which are left out of S'."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recipe:
    """A way of training.

    Example: load_recipe("grpo").credit(Groups.of(rewards=[[1, 0, 0, 0]])).round(2)      # [1.5, -0.5, -0.5, -0.5]
    """

    name: str
    """Under which `load_recipe` makes it again, options included: `dapo:clip_high=0.3`."""
    summary: str
    """One line for the listing."""
    paper: Paper
    """Where the formula comes from."""
    keep: Callable[[Groups], Bools]
    """[N] which rollouts train, a subset of the scored ones; those with an advantage of 0 may be among them, for `divide` counts them."""
    credit: Callable[[Groups], Floats]
    """[N] advantages; 0 where unscored."""
    weigh: TokenFunction
    """[B, T] `w_t`, 0 outside; depends on the log-probabilities through logp - old, logp - reference and old - reference alone."""
    divide: Callable[[Bools, Ints], Floats]
    """(inside_NT, segment_NT) of all kept rollouts of a step -> scale_NT, 0 outside; computed once, before any backward pass."""
    clipped: TokenFunction | None = None
    """[B, T] tokens whose weight the clip changed; None when there is no clip."""
    group_weights: Callable[[Groups], GroupWeights] | None = None
    """The factors that `credit` has put in, of the same groups; None when it weighs no group."""
    fill: Fill = "off"
    """until_full: draw until enough groups keep a rollout; two_then_repeat: draw twice, then repeat those that do; off: take what comes."""
    source: Source = "rollouts"
    """demonstrations: the gold answers of the prompts stand in for drawn responses; corrected: each drawn response, cut behind its first
    wrong decision and that put right."""
    needs_reference: bool = False
    """Whether `weigh` needs log-probabilities under the starting policy."""
    zero_stays_zero: bool = True
    """An advantage of 0 gives weights of 0, so such rows need no computing; False with a KL term."""
    constant_is_zero: bool = False
    """Rollouts of a group whose rewards are all equal are not kept or have an advantage of exactly 0."""
    spans: tuple[str, ...] = ()
    """Train only tokens inside spans of these kinds or stages; () is all tokens."""
    credit_spans: tuple[str, ...] = ()
    """Put the advantage only on tokens inside these, 0 on the others; () is all tokens."""
    kl_spans: tuple[str, ...] = ()
    """Put the KL term only on tokens inside these; () is all tokens."""
    kl_balanced: bool = False
    """Whether the KL term of each response weighs sampling and decision alike (`penalties.balanced_factors`)."""
