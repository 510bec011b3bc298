"""The steps of `refine`: prompts in, prompts out, and what happened to each that is not simply kept.

    learnability   D' = {x in D : r(x, y) > 0 for some rollout y of the pilot}                                (2601.04954, eq. 1)
    types          a constraint of a type that is not trusted is cut; a prompt that has no other is dropped    (ours, after its precision)
    soft           at most m soft constraints a prompt, m = 1 in the paper; hard ones stay                    (2601.04954, simplification)

What cannot be told is kept and counted: a prompt without rollouts, or without a scored one. A prompt whose constraints cannot be cut
(`tasks.rewriting`) stays as it is, whole, and is counted. Two prompts that become the same are one.
Which soft constraint stays is drawn by (seed, prompt), whatever else is in the set, or is the one whose type is trusted most; the paper
does not say which.
Left out on purpose: where rollouts and trust come from (`piloting`, `standings`).
LIMIT: learnability is judged on the prompt as it is given; one that nobody solved may be solvable with fewer constraints.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jominy.records import Prompt
from jominy.refined import Change, StepCount, StepName
from jominy.tasks.rewriting import CannotCut, without

NEVER = "never rewarded"
NO_ROLLOUTS = "kept: no rollouts of it in the pilot"
NO_SCORES = "kept: none of its rollouts could be scored"
CUT = "cut"
CUT_UNAUDITED = "cut; the audit trusts none of its soft types, or knows none, so one was drawn"
NONE_LEFT = "no other constraint left"
TWIN = "same as another prompt when cut"
UNCUT = "kept whole, cannot be cut: "

Constraint = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The rollouts of one prompt in a pilot.

    Example: Seen(num_rollouts=16, num_scored=16, num_rewarded=3)
    """

    num_rollouts: int
    """Drawn."""
    num_scored: int
    """With a reward."""
    num_rewarded: int
    """With a reward above 0."""

    @property
    def never(self) -> bool:
        """Whether it was scored, and never rewarded."""
        return self.num_scored > 0 and not self.num_rewarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step left.

    Example: Outcome(prompts=(prompt,), changes=(Change(...),))
    """

    prompts: tuple[Prompt, ...]
    """In the order in which they came, ids distinct."""
    changes: tuple[Change, ...]
    """One a prompt that was not simply kept."""


def seen_in(prompt_ids: Iterable[str], rewards: Iterable[float | None]) -> dict[str, Seen]:
    """What a pilot saw of each prompt, from its rollouts.

    Args:
        prompt_ids: [N] whose rollout.
        rewards: [N] its reward, None when unscored.

    >>> seen_in(["a", "a", "b"], [0.0, 0.5, None])["a"]
    Seen(num_rollouts=2, num_scored=2, num_rewarded=1)
    """
    drawn: Counter[str] = Counter()
    scored: Counter[str] = Counter()
    rewarded: Counter[str] = Counter()
    for prompt_id, reward in zip(prompt_ids, rewards, strict=True):
        drawn[prompt_id] += 1
        scored[prompt_id] += reward is not None
        rewarded[prompt_id] += reward is not None and reward > 0
    return {key: Seen(num_rollouts=drawn[key], num_scored=scored[key], num_rewarded=rewarded[key]) for key in drawn}


def keep_learnable(prompts: Sequence[Prompt], seen: Mapping[str, Seen]) -> Outcome:
    """The prompts that were ever rewarded, and those of which nobody knows.

    Args:
        prompts: distinct ids.
        seen: by prompt id, as `seen_in` gives it.
    """
    kept: list[Prompt] = []
    changes: list[Change] = []
    for prompt in prompts:
        found = seen.get(prompt.id)
        unknown = NO_ROLLOUTS if found is None else NO_SCORES if not found.num_scored else ""
        if unknown:
            changes.append(Change(step="learnability", prompt_id=prompt.id, became=prompt.id, why=unknown, types=()))
        elif found is not None and found.never:
            changes.append(Change(step="learnability", prompt_id=prompt.id, became=None, why=NEVER, types=types_of(prompt)))
            continue
        kept.append(prompt)
    return Outcome(prompts=tuple(kept), changes=tuple(changes))


def remove_types(prompts: Sequence[Prompt], types: Collection[str], kinds: Collection[str] = ("soft",)) -> Outcome:
    """The prompts without constraints of these types; a prompt that has no other is dropped.

    Args:
        prompts: with or without constraints.
        types: which are not trusted.
        kinds: of which kinds: those that are paid by who was audited.
    """
    work = _Work(step="types")
    for prompt in prompts:
        constraints = constraints_in(prompt)
        places = [
            place for place, constraint in enumerate(constraints) if constraint["type"] in types and constraint.get("kind", "hard") in kinds
        ]
        if places and len(places) == len(constraints):
            work.drop(prompt, NONE_LEFT, types_of(prompt))
        else:
            work.cut(prompt, places, CUT)
    return work.outcome()


def limit_soft(prompts: Sequence[Prompt], most: int, *, seed: int, trust: Mapping[str, float] | None = None) -> Outcome:
    """The prompts with at most so many soft constraints each.

    Args:
        prompts: with or without constraints.
        most: 0 or more; with 0 a prompt that has soft constraints only is dropped.
        seed: of the draw.
        trust: type -> how far it is trusted; then the most trusted stay, ties as they stand in the prompt. None draws.
    """
    if most < 0:
        raise ValueError(f"a prompt can have no fewer than 0 soft constraints; got {most}")
    work = _Work(step="soft")
    for prompt in prompts:
        constraints = constraints_in(prompt)
        soft = [place for place, constraint in enumerate(constraints) if constraint.get("kind", "hard") == "soft"]
        if len(soft) <= most:
            work.cut(prompt, [], CUT)
        elif most == 0 and len(soft) == len(constraints):
            work.drop(prompt, NONE_LEFT, types_of(prompt))
        else:
            staying, drawn = _staying(prompt.id, constraints, soft, most, seed, trust)
            work.cut(prompt, [place for place in soft if place not in staying], CUT_UNAUDITED if drawn and trust is not None else CUT)
    return work.outcome()


def _staying(
    prompt_id: str, constraints: Sequence[Constraint], soft: Sequence[int], most: int, seed: int, trust: Mapping[str, float] | None
) -> tuple[list[int], bool]:
    """(places of the soft constraints that stay, whether they were drawn)."""
    known = [] if trust is None else [place for place in soft if constraints[place]["type"] in trust]
    if trust is None or not known:
        return random.Random(f"refine {seed} {prompt_id}").sample(soft, most), True
    unknown = [place for place in soft if place not in known]
    return [*sorted(known, key=lambda place: -trust[constraints[place]["type"]]), *unknown][:most], False


class _Work:
    """A step in progress."""

    def __init__(self, step: StepName) -> None:
        self.step = step
        self.kept: dict[str, Prompt] = {}
        self.changes: list[Change] = []

    def drop(self, prompt: Prompt, why: str, types: tuple[str, ...]) -> None:
        """It goes."""
        self.changes.append(Change(step=self.step, prompt_id=prompt.id, became=None, why=why, types=types))

    def cut(self, prompt: Prompt, places: Sequence[int], why: str) -> None:
        """It stays without these constraints, or whole where they cannot be cut."""
        if not places:
            self._keep(prompt, prompt, "", ())
            return
        types = tuple(constraints_in(prompt)[place]["type"] for place in places)
        try:
            self._keep(prompt, without(prompt, places), why, types)
        except CannotCut as reason:
            self._keep(prompt, prompt, f"{UNCUT}{reason}", ())

    def _keep(self, given: Prompt, left: Prompt, why: str, types: tuple[str, ...]) -> None:
        if left.id in self.kept:
            self.drop(given, TWIN, types_of(given))
            return
        self.kept[left.id] = left
        if why:
            self.changes.append(Change(step=self.step, prompt_id=given.id, became=left.id, why=why, types=types))

    def outcome(self) -> Outcome:
        """What it left."""
        return Outcome(prompts=tuple(self.kept.values()), changes=tuple(self.changes))


def count_step(name: StepName, given: Sequence[Prompt], outcome: Outcome) -> StepCount:
    """A step that was done, in numbers."""
    reasons = Counter(change.why for change in outcome.changes)
    gone = Counter(type for change in outcome.changes for type in change.types)
    rewritten = sum(change.became not in (None, change.prompt_id) for change in outcome.changes)
    return StepCount(
        name=name,
        why_off="",
        num_in=len(given),
        num_out=len(outcome.prompts),
        num_rewritten=rewritten,
        reasons=dict(reasons.most_common()),
        types_gone=dict(sorted(gone.items())),
    )


def constraints_in(prompt: Prompt) -> Sequence[Constraint]:
    """The constraints of a prompt; empty where it has none."""
    found = prompt.info.get("constraints")
    return found if isinstance(found, list | tuple) else ()


def types_of(prompt: Prompt) -> tuple[str, ...]:
    """The types of its constraints."""
    return tuple(constraint["type"] for constraint in constraints_in(prompt))


def count_types(prompts: Iterable[Prompt]) -> Counter[tuple[str, str]]:
    """(type, kind) -> constraints."""
    return Counter((constraint["type"], constraint.get("kind", "hard")) for prompt in prompts for constraint in constraints_in(prompt))
