"""Graded responses of a policy in the study of decisions, and what is counted in them, by prompt.

    counts     right responses, attempts by (number, truth, decision), what came after a right and a wrong one, broken forms, tokens
    room       accuracy by the chain of attempts with the policy's own decisions, and with decisions that are always right

Out of distribution the prompts are those of the cell's further tasks, the same for every run, without those that the warm start was shown.
Left out: what the numbers mean (`told` and what stands on it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from jominy.crediting import groups_of_rollouts
from jominy.deciding.rollouts import groups_of_stored
from jominy.engines import ContinuingEngine
from jominy.lab.demonstrations import shown_prompts
from jominy.lab.spec import LabSpec
from jominy.measures.attempts import ACCEPT, FORCED, NONE, RETRY, AttemptTable
from jominy.measures.chain import Chances, counted, walk
from jominy.records import Bools, Floats, Prompt, Retrying, Rollout, Sampling, Task
from jominy.studies.design import Cell, Settings
from jominy.tracing import attempt_table

SEED = 7_000_019
"""Of further prompts, their draws, the bank and its checks: the same for every policy."""
DECISION_NAMES = {ACCEPT: "accept", RETRY: "retry", FORCED: "forced", NONE: "none"}
SPARE = 4
"""So many times the further prompts are drawn, in order to leave out what the warm start was shown."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Responses:
    """Graded responses of one policy, prompts in their order, equally many to each.

    Example: Responses(task=task, prompts={prompt.id: prompt}, rollouts=(rollout,))
    """

    task: Task
    """Of the prompts."""
    prompts: Mapping[str, Prompt]
    """By id."""
    rollouts: Sequence[Rollout]
    """In the order of the prompts."""

    def table(self) -> AttemptTable:
        """Their attempts as columns."""
        return attempt_table(self.rollouts, self.prompts, retrying_of(self.task).read)

    def counts(self) -> dict[str, Any]:
        """As `counts_of` tells them."""
        return counts_of(self.table(), retrying_of(self.task).num_attempts)

    def room(self) -> dict[str, float | None]:
        """As `with_oracle` tells it."""
        return with_oracle(self.table(), retrying_of(self.task).num_attempts)

    def right(self) -> list[int]:
        """[P] right responses."""
        right_P: list[int] = groups_of_rollouts(groups_of_stored(self.rollouts), 1.0).num_correct_P().tolist()
        return right_P

    def without(self, shown: Collection[str]) -> Responses:
        """Those to other prompts than these, by id."""
        prompts = {key: prompt for key, prompt in self.prompts.items() if key not in shown}
        return Responses(task=self.task, prompts=prompts, rollouts=[one for one in self.rollouts if one.prompt_id in prompts])

    def few(self, num_prompts: int, num_rollouts: int) -> Responses:
        """The first prompts, and the first responses to each."""
        ids = list(self.prompts)[:num_prompts]
        prompts = {key: self.prompts[key] for key in ids}
        kept = [rollout for rollout in self.rollouts if rollout.prompt_id in prompts and rollout.index < num_rollouts]
        return Responses(task=self.task, prompts=prompts, rollouts=kept)


def retrying_of(task: Task) -> Retrying:
    """How its responses alternate."""
    assert task.retrying is not None, f"{task.name} is no task of the study of decisions"
    return task.retrying


@lru_cache(maxsize=8)
def _shown(lab: LabSpec) -> frozenset[str]:
    return shown_prompts(lab)


def shown_to(cell: Cell) -> frozenset[str]:
    """Ids of the prompts that the warm start of a cell was shown."""
    return frozenset() if cell.lab is None else _shown(cell.lab)


def further(engine: ContinuingEngine, task: Task, shown: Collection[str], settings: Settings) -> Responses:
    """Responses to the further prompts of a task.

    Args:
        engine: the policy.
        task: that nobody trains on.
        shown: ids of prompts that are left out.
        settings: of the cell.

    Raises:
        ValueError: the task has too few others.
    """
    wanted = settings.further_prompts
    prompts = [prompt for prompt in task.prompts(SPARE * wanted, SEED) if prompt.id not in shown][:wanted]
    if len(prompts) < wanted:
        raise ValueError(
            f"of {SPARE * wanted} prompts of {task.name} the warm start was shown all but {len(prompts)}, and the study asks {wanted}; "
            "choose a task with more prompts, or fewer demonstrations"
        )
    return alone(engine, task, prompts, settings, SEED)


def alone(engine: ContinuingEngine, task: Task, prompts: Sequence[Prompt], settings: Settings, seed: int) -> Responses:
    """Graded responses of one policy to these prompts."""
    groups = engine.sample(prompts, settings.further_rollouts, Sampling(max_tokens=settings.max_tokens), seed)
    return graded(task, prompts, [rollout for group in groups for rollout in group])


def graded(task: Task, prompts: Sequence[Prompt], rollouts: Sequence[Rollout]) -> Responses:
    """In the order of the prompts; a reward of ours needs no boundary."""
    place = {prompt.id: number for number, prompt in enumerate(prompts)}
    ordered = sorted(rollouts, key=lambda rollout: (place[rollout.prompt_id], rollout.index))
    by_id = {prompt.id: prompt for prompt in prompts}
    judged = [replace(rollout, reward=task.reward(by_id[rollout.prompt_id], rollout.text)) for rollout in ordered]
    return Responses(task=task, prompts=by_id, rollouts=judged)


def counts_of(table: AttemptTable, num_attempts: int) -> dict[str, Any]:
    """Counts by prompt; [P] each.

    Args:
        table: attempts of equally many responses to each prompt.
        num_attempts: K.
    """
    num_prompts = table.num_prompts

    def by_attempt(among_A: Bools) -> list[int]:
        counted_P: list[int] = np.bincount(table.prompt_A[among_A], minlength=num_prompts).tolist()
        return counted_P

    def by_rollout(values_R: Floats) -> list[int]:
        summed_P: list[int] = np.bincount(table.prompt_R, weights=values_R, minlength=num_prompts).astype(np.int64).tolist()
        return summed_P

    cells = {}
    for index in range(num_attempts):
        for truth in (True, False):
            for decision, name in DECISION_NAMES.items():
                here_A = (table.index_A == index) & table.known_A & (table.correct_A == truth) & (table.decision_A == decision)
                if here_A.any():
                    cells[f"{index + 1} {'right' if truth else 'wrong'} {name}"] = by_attempt(here_A)
    columns_P = counted(table).astype(np.int64)
    broken_R = np.array([problem != "" for problem in table.problem_R], dtype=np.float64)
    return {
        "num_rollouts": len(table.prompt_R) // max(num_prompts, 1),
        "right": by_rollout(table.final_R.astype(np.float64)),
        "attempts": cells,
        "after_right": [columns_P[:, 2].tolist(), columns_P[:, 3].tolist()],
        "after_wrong": [columns_P[:, 4].tolist(), columns_P[:, 5].tolist()],
        "broken": by_rollout(broken_R),
        "problems": dict(Counter(problem for problem in table.problem_R if problem)),
        "tokens": by_rollout(table.num_tokens_R.astype(np.float64)),
    }


def with_oracle(table: AttemptTable, num_attempts: int) -> dict[str, float | None]:
    """{own: ..., oracle: ...}; None where no chance is known of what is needed.

    Args:
        table: attempts of a policy.
        num_attempts: K.

    >>> with_oracle(AttemptTable.of([["wr ca", "wr wf", "ca", "wa"]]), 2)       # one of 4 is right at first; 2 of 3 wrong ones are retried
    {'own': 0.5, 'oracle': 0.625}
    """
    own = Chances.of_columns(counted(table).sum(axis=0), merged=False)
    oracle = replace(own, accept_right=np.ones(()), accept_wrong=np.zeros(()))
    values = {"own": float(walk(own, num_attempts).value), "oracle": float(walk(oracle, num_attempts).value)}
    return {name: round(value, 4) if np.isfinite(value) else None for name, value in values.items()}
