"""Squares of the study of decisions: two policies exchanged at the ends of attempts and decisions, right responses by (sampler, decider).

    with the start       start and trained, of the arms in `design.SQUARED`; `Settings.square_prompts` of each test
    with another arm     what that arm left and trained, of the arms of `Arm.against`; `Settings.further_prompts` of each test

One policy in both places of a square draws what it draws alone, so those two cells are taken from responses that are there: of further
tasks, whose draws have the same seed for all, also from what was measured on the other arm's model when it was made.
Left out: the split (`measures.swap.shapley`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jominy.deciding.swap import swap
from jominy.engines import ContinuingEngine
from jominy.engines.local import LocalEngine
from jominy.records import Sampling
from jominy.studies.decisions.design import SQUARED
from jominy.studies.decisions.responding import SEED, Responses, alone, graded, retrying_of
from jominy.studies.decisions.told import IN, square_with
from jominy.studies.design import Settings
from jominy.studies.study import Ended, Left


def squares_with_start(ended: Ended, of_start: Mapping[str, list[int]], trained: Mapping[str, Responses]) -> dict[str, Any]:
    """Test -> square of the warm start and the trained policy; nothing for an arm that is not exchanged with it.

    Args:
        ended: the run.
        of_start: test -> [P] right responses of the warm start alone, at least to the prompts of its square.
        trained: test -> responses of the trained policy alone.
    """
    if ended.arm.name not in SQUARED:
        return {}
    start, size = ended.start(), ended.settings.square_prompts
    few = {name: one.few(size, ended.settings.further_rollouts) for name, one in trained.items()}
    return {
        name: _square(start, ended.trained, of_start[name][: len(one.prompts)], one, ended.settings, seed_of(name, ended))
        for name, one in few.items()
    }


def squares_with_others(ended: Ended, trained: Mapping[str, Responses]) -> dict[str, Any]:
    """For each arm that this one is exchanged with: its squares, or None, and why there are none.

    Args:
        ended: the run.
        trained: test -> responses of the trained policy alone.
    """
    found: dict[str, Any] = {}
    for arm, left in ended.left.items():
        squares: dict[str, Any] | None = None
        if not left.why_none:
            other = LocalEngine.load(str(left.folder))
            squares = {}
            for name, one in trained.items():
                seed = seed_of(name, ended)
                right = _known(left, name, one, ended.settings)
                if right is None:
                    right = alone(other, one.task, list(one.prompts.values()), ended.settings, seed).right()
                squares[name] = _square(other, ended.trained, right, one, ended.settings, seed)
        found |= {square_with(arm): squares, f"why_no_{square_with(arm)}": left.why_none}
    return found


def _known(left: Left, test: str, one: Responses, settings: Settings) -> list[int] | None:
    """[P] right responses that the model of another arm drew to the prompts of a further task; None where they are not known.

    In distribution its counts are of more responses each, so those of the square cannot be told from them.
    """
    counts = None if test == IN or left.more is None else left.more["further"][test]
    if counts is None or (counts["num_rollouts"], len(counts["right"])) != (settings.further_rollouts, len(one.prompts)):
        return None
    right: list[int] = counts["right"]
    return right


def seed_of(test: str, ended: Ended) -> int:
    """With which the responses to the prompts of a test were drawn."""
    return ended.spec.seed if test == IN else SEED


def _square(
    before: ContinuingEngine, after: ContinuingEngine, of_before: list[int], of_after: Responses, settings: Settings, seed: int
) -> dict[str, Any]:
    """Right responses by (sampler, decider), in the order of `measures.swap.NAMES`.

    Args:
        before: the one policy.
        after: the other.
        of_before: [P] right responses of the first alone.
        of_after: responses of the second alone.
        settings: of the cell.
        seed: with which both drew alone.
    """
    task, prompts = of_after.task, list(of_after.prompts.values())
    mixed = []
    for sampler, decider in ((before, after), (after, before)):
        sampling = Sampling(max_tokens=settings.max_tokens)
        groups = swap(sampler, decider, prompts, retrying_of(task), settings.further_rollouts, sampling, seed)
        mixed.append(graded(task, prompts, [rollout for group in groups for rollout in group]).right())
    return {"num_rollouts": settings.further_rollouts, "right": [of_before, mixed[0], mixed[1], of_after.right()]}
