"""What the study of decisions measures beyond every study, as counts by prompt, so that every interval can be computed again.

    counts     right responses, attempts by (number, truth, decision), what came after a right and a wrong one, broken forms, tokens
    bank       the chance of accepting each of the cell's fixed attempts, half of them right; None where no check came to a verdict
    square     right responses by (sampler, decider) of two policies: start and trained, for GRPO also trained by SFT and by GRPO
    kl         nats and tokens a response, by stage, of log p / p_start on the last evaluation

In distribution the prompts are the run's held-out ones, out of distribution those of the cell's further tasks, the same for every run. One
policy in both places of a square draws what it draws alone, so those two cells are taken from responses that are there.
Left out: what the numbers mean (`told` and what stands on it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jominy.deciding.bank import Bank, decide_on, make_bank
from jominy.deciding.credit import credited, rows_of, tables_of
from jominy.deciding.stored import Stored, read_stored
from jominy.deciding.swap import swap
from jominy.engines import ContinuingEngine
from jominy.engines.local import LocalEngine
from jominy.lab.building import LAB_FILE, build
from jominy.measures.attempts import ACCEPT, DECISION, FORCED, NONE, RETRY, SAMPLING, AttemptTable
from jominy.measures.chain import counted
from jominy.measures.credit import credit_share
from jominy.records import Bools, Floats, Measure, Prompt, Retrying, Rollout, Sampling, Skipped, Task
from jominy.steplog import read_evaluations, read_start_logprobs
from jominy.store import SCHEMA_VERSION, read_json, write_json
from jominy.studies.decisions.design import RL, SFT
from jominy.studies.design import Cell, Settings
from jominy.studies.folders import base_folder
from jominy.studies.measuring import start_of
from jominy.studies.study import Ended
from jominy.tasks.loading import load_task
from jominy.tracing import attempt_table, token_table

MORE_FILE = "more.json"
"""In the folder of a base: what `more_of_base` found, for the runs of its cell."""
MODELS = "models"
"""In the study's folder: what SFT left, for the square of RL against SFT."""
SEED = 7_000_019
"""Of further prompts, their draws, the bank and its checks: the same for every policy."""
IN = "in distribution"
DECISION_NAMES = {ACCEPT: "accept", RETRY: "retry", FORCED: "forced", NONE: "none"}
OBJECTIVES = ("grpo", "grpo:divide=tokens", "rft", "sft", "sft:divide=segments,spans=sampling+decision")
"""Whose coefficients on the warm start's rollouts are told; a KL has none there, for nothing has moved yet."""
BANK_ROOM = 2
"""A check may end after so many times `max_tokens`: the attempt before it may have taken all of them."""


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

    def counts(self) -> dict[str, Any]:
        """As `counts_of` tells them."""
        retrying = retrying_of(self.task)
        return counts_of(attempt_table(self.rollouts, self.prompts, retrying.read), retrying.num_attempts)

    def right(self) -> list[int]:
        """[P] right responses."""
        found = dict.fromkeys(self.prompts, 0)
        for rollout in self.rollouts:
            assert rollout.reward is not None
            truth = rollout.reward.value if rollout.gold is None else rollout.gold
            found[rollout.prompt_id] += truth is not None and truth >= 1
        return list(found.values())

    def few(self, settings: Settings) -> Responses:
        """As many prompts and responses as a square has, the first of each."""
        ids = list(self.prompts)[: settings.further_prompts]
        prompts = {key: self.prompts[key] for key in ids}
        kept = [rollout for rollout in self.rollouts if rollout.prompt_id in prompts and rollout.index < settings.further_rollouts]
        return Responses(task=self.task, prompts=prompts, rollouts=kept)


def more_of_base(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """Of the warm start; also left in the folder, for the runs."""
    task, stored = load_task(cell.task), read_stored(folder)
    retrying = retrying_of(task)
    engine = LocalEngine.load(start_of(cell))
    table = attempt_table(stored.rollouts, stored.prompts, retrying.read)
    bank = _bank(stored, retrying, settings)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(state.prompt.id for state in bank.states))}
    found = {
        "lab": _lab(cell),
        "counts": counts_of(table, retrying.num_attempts),
        "further": {name: _further(engine, other, settings).counts() for name, other in _further_tasks(cell).items()},
        "bank": {
            "correct": [state.correct for state in bank.states],
            "prompt": [numbers[state.prompt.id] for state in bank.states],
            "num_paired": bank.num_paired,
            "accept": _judged(engine, bank, retrying, settings),
        },
        "coefficients": _coefficients(stored, retrying, settings),
        "credit_share": _plain(credit_share(table, num_attempts=retrying.num_attempts, rng=np.random.default_rng(SEED)).decision),
    }
    write_json(folder / MORE_FILE, {"schema_version": SCHEMA_VERSION, **found})
    return found


def more_of_run(ended: Ended) -> dict[str, Any]:
    """Of a trained policy; SFT leaves its model for the square with GRPO of the same cell and seed."""
    cell, settings, task = ended.cell, ended.settings, load_task(ended.cell.task)
    base, retrying = base_folder(ended.out, cell), retrying_of(task)
    steps = [line["step"] for line in read_evaluations(ended.folder.path)]
    before, after = (read_stored(ended.folder.evaluation(step).path) for step in (steps[0], steps[-1]))
    held_out = [Responses(task=task, prompts=side.prompts, rollouts=side.rollouts) for side in (before, after)]
    trained = {IN: held_out[1].few(settings)}
    trained |= {name: _further(ended.trained, other, settings) for name, other in _further_tasks(cell).items()}
    told = read_json(base / MORE_FILE)["further"]
    of_start = {name: held_out[0].few(settings).right() if name == IN else told[name]["right"] for name in trained}
    start = ended.start()
    squares = {name: _square(start, ended.trained, of_start[name], one, settings, _seed(name, ended)) for name, one in trained.items()}
    if ended.arm.name == SFT:
        ended.save(_model_folder(ended))
    against, why = _against_sft(ended, trained)
    return {
        "before": held_out[0].counts(),
        "after": held_out[1].counts(),
        "further": {name: one.counts() for name, one in trained.items() if name != IN},
        "bank": _judged(ended.trained, _bank(read_stored(base), retrying, settings), retrying, settings),
        "square": squares,
        "square_sft": against,
        "why_no_square_sft": why,
        "kl": kl_by_stage(after, retrying),
    }


def retrying_of(task: Task) -> Retrying:
    """How its responses alternate."""
    assert task.retrying is not None, f"{task.name} is no task of the study of decisions"
    return task.retrying


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


def kl_by_stage(stored: Stored, retrying: Retrying) -> dict[str, Any] | None:
    """{stage: nats and tokens a response} of the responses that were scored under the start; None where none were."""
    start = read_start_logprobs(stored.folder)
    some = [one for one in stored.rollouts if start is not None and (one.prompt_id, one.index) in start and one.logprobs_t1 is not None]
    if start is None or not some:
        return None
    tokens = token_table(some, stored.prompts, retrying.read)
    gap_M = np.concatenate([np.asarray(one.logprobs_t1, dtype=np.float64) - start[one.prompt_id, one.index] for one in some])
    parts = {"sampling": tokens.stage_M == SAMPLING, "decision": tokens.stage_M == DECISION}
    return {
        name: {"nats": _short(float(gap_M[part_M].sum()) / len(some)), "tokens": _short(float(np.count_nonzero(part_M)) / len(some))}
        for name, part_M in parts.items()
    }


def _further_tasks(cell: Cell) -> dict[str, Task]:
    return {name: load_task(task) for name, task in cell.further.items()}


def _further(engine: ContinuingEngine, task: Task, settings: Settings) -> Responses:
    """Responses to the further prompts of a task."""
    return _alone(engine, task, task.prompts(settings.further_prompts, SEED), settings, SEED)


def _alone(engine: ContinuingEngine, task: Task, prompts: Sequence[Prompt], settings: Settings, seed: int) -> Responses:
    """Graded responses of one policy."""
    groups = engine.sample(prompts, settings.further_rollouts, Sampling(max_tokens=settings.max_tokens), seed)
    return _graded(task, prompts, [rollout for group in groups for rollout in group])


def _graded(task: Task, prompts: Sequence[Prompt], rollouts: Sequence[Rollout]) -> Responses:
    """In the order of the prompts; a reward of ours needs no boundary."""
    place = {prompt.id: number for number, prompt in enumerate(prompts)}
    ordered = sorted(rollouts, key=lambda rollout: (place[rollout.prompt_id], rollout.index))
    by_id = {prompt.id: prompt for prompt in prompts}
    graded = [replace(rollout, reward=task.reward(by_id[rollout.prompt_id], rollout.text)) for rollout in ordered]
    return Responses(task=task, prompts=by_id, rollouts=graded)


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
        mixed.append(_graded(task, prompts, [rollout for group in groups for rollout in group]).right())
    return {"num_rollouts": settings.further_rollouts, "right": [of_before, mixed[0], mixed[1], of_after.right()]}


def _against_sft(ended: Ended, trained: Mapping[str, Responses]) -> tuple[dict[str, Any] | None, str]:
    """The squares of GRPO with SFT, or None and, where there should be one, why there is none."""
    if ended.arm.name != RL:
        return None, ""
    folder = _model_folder(ended)
    if not folder.is_dir():
        return None, f"the model that SFT left ({MODELS}/{folder.name}) is gone"
    sft = LocalEngine.load(str(folder))
    squares = {}
    for name, one in trained.items():
        seed = _seed(name, ended)
        alone = _alone(sft, one.task, list(one.prompts.values()), ended.settings, seed)
        squares[name] = _square(sft, ended.trained, alone.right(), one, ended.settings, seed)
    return squares, ""


def _seed(name: str, ended: Ended) -> int:
    """With which the responses to these prompts were drawn."""
    return ended.spec.seed if name == IN else SEED


def _model_folder(ended: Ended) -> Path:
    return ended.out / MODELS / f"{ended.cell.folder}-{ended.spec.seed}"


def _bank(stored: Stored, retrying: Retrying, settings: Settings) -> Bank:
    """The same for every policy of a cell: of the warm start's responses."""
    return make_bank(stored.rollouts, list(stored.prompts.values()), retrying, np.random.default_rng(SEED), settings.bank_states)


def _judged(engine: ContinuingEngine, bank: Bank, retrying: Retrying, settings: Settings) -> list[float | None]:
    """[B] chance of accepting each state, None where no check came to a verdict."""
    found: list[float | None] = [None] * len(bank.states)
    if bank.states:
        sampling = Sampling(max_tokens=BANK_ROOM * settings.max_tokens)
        decisions = decide_on(engine, bank.states, retrying, num_checks=settings.bank_checks, sampling=sampling, seed=SEED)
        for state, chance in zip(decisions.state_D.tolist(), decisions.accept_probability_D.tolist(), strict=True):
            found[state] = _short(chance)
    return found


def _coefficients(stored: Stored, retrying: Retrying, settings: Settings) -> dict[str, Any]:
    """Objective -> where it would put its coefficients on groups as large as those of the runs."""
    rollouts = [rollout for rollout in stored.rollouts if rollout.index < settings.rollouts]
    tables = tables_of(rollouts, stored.prompts, retrying.read, 1.0)
    found = {}
    for objective in OBJECTIVES:
        rows = rows_of(objective, rollouts, success=1.0, max_tokens=settings.max_tokens, start=None)
        assert not isinstance(rows, Skipped), f"{objective} needs nothing that a base lacks"
        told = credited(objective, rows, tables).attribution
        measures = {
            "per_token_ratio": told.masses.per_token_ratio,
            "mass_share": told.masses.mass_share,
            "token_share": told.masses.token_share,
            "right_contrast": told.right_contrast,
            "wrong_contrast": told.wrong_contrast,
            "attempt_contrast": told.attempt_contrast,
            "on_accept": told.on_accept,
        }
        found[objective] = {name: _plain(measure) for name, measure in measures.items()}
    return found


def _lab(cell: Cell) -> dict[str, Any] | None:
    """How the warm start came about."""
    if cell.lab is None:
        return None
    made = read_json(build(cell.lab, quiet=True) / LAB_FILE)
    return {
        "name": made["name"],
        "reached": made["reached"],
        "num_steps": made["training"]["num_steps"],
        "pass_at_1": made["ability"]["pass_at_1"],
    }


def _plain(measure: Measure) -> dict[str, Any]:
    """Value, interval and reason, unrounded: a ratio of 1 is to be seen as one."""
    return {"value": measure.value, "low": measure.low, "high": measure.high, "why_none": measure.why_none}


def _short(value: float) -> float:
    return round(value, 4)
