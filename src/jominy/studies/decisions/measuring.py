"""What the study of decisions measures beyond every study, as counts by prompt, so that every interval can be computed again.

    counts     of responses in and out of distribution                                                                   (`responding`)
    square     right responses by (sampler, decider) of two policies                                                     (`exchanging`)
    bank       the chance of accepting each of the cell's fixed attempts, half of them right; None where no check came to a verdict
    kl         nats and tokens a response, by stage, of log p / p_start on the last evaluation

In distribution the prompts are the run's held-out ones; which of them the warm start was shown is told, and how many of those that the run
trained on. The bank holds attempts at prompts that it was not shown, and the warm start's room is told there.
Left out: what the numbers mean (`told` and what stands on it), and whether a warm start will do (`gating`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jominy.deciding.bank import Bank, decide_on, make_bank, room_of
from jominy.deciding.coefficients import credited, rows_of
from jominy.deciding.columns import tables_of
from jominy.deciding.rollouts import Stored, read_stored
from jominy.engines import ContinuingEngine
from jominy.engines.local import LocalEngine
from jominy.lab.building import LAB_FILE, build
from jominy.measures.attempts import DECISION, SAMPLING
from jominy.measures.credit import credit_share
from jominy.records import Measure, Retrying, Sampling, Skipped, Task
from jominy.steplog import read_evaluations, read_start_logprobs
from jominy.store import read_json
from jominy.studies.decisions.design import RL, SFT
from jominy.studies.decisions.exchanging import squares_with_others, squares_with_start
from jominy.studies.decisions.responding import SEED, Responses, further, retrying_of, shown_to
from jominy.studies.decisions.told import IN
from jominy.studies.design import Cell, Settings
from jominy.studies.folders import base_folder
from jominy.studies.measuring import start_of
from jominy.studies.results import RESULTS_FILE
from jominy.studies.study import Ended
from jominy.tasks.loading import load_task
from jominy.tracing import token_table

OBJECTIVES = ("grpo", "grpo:divide=tokens", "rft", "sft", "sft:divide=segments,spans=sampling+decision")
"""Whose coefficients on the warm start's rollouts are told; a KL has none there, for nothing has moved yet."""
TELL_BEFORE = (SFT, RL)
"""Arms whose runs tell the counts before training, which are the same for all runs of a cell and seed; two, for one may explode."""


def more_of_base(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """Of the warm start.

    Raises:
        ValueError: a further task has too few prompts.
    """
    task, stored = load_task(cell.task), read_stored(folder)
    retrying, shown = retrying_of(task), shown_to(cell)
    engine = LocalEngine.load(start_of(cell))
    responses = Responses(task=task, prompts=stored.prompts, rollouts=stored.rollouts)
    beyond = {name: further(engine, other, shown, settings) for name, other in _further_tasks(cell).items()}
    bank = _bank(engine, stored, cell, retrying, settings)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(state.prompt.id for state in bank.states))}
    credit = credit_share(responses.table(), num_attempts=retrying.num_attempts, rng=np.random.default_rng(SEED))
    return {
        "lab": _lab(cell),
        "num_shown": len(shown & stored.prompts.keys()),
        "shown": [key in shown for key in stored.prompts],
        "counts": responses.counts(),
        "further": {name: one.counts() for name, one in beyond.items()},
        "room": {name: one.room() for name, one in {IN: responses.without(shown), **beyond}.items()},
        "bank": {
            "correct": [state.correct for state in bank.states],
            "prompt": [numbers[state.prompt.id] for state in bank.states],
            "num_paired": bank.num_paired,
            "accept": _judged(engine, bank, retrying, settings),
        },
        "coefficients": _coefficients(stored, retrying, settings),
        "credit_share": _plain(credit.decision),
    }


def more_of_run(ended: Ended) -> dict[str, Any]:
    """Of a trained policy."""
    cell, settings, task, shown = ended.cell, ended.settings, load_task(ended.cell.task), shown_to(ended.cell)
    retrying, base = retrying_of(task), read_stored(base_folder(ended.out, cell))
    steps = [line["step"] for line in read_evaluations(ended.folder.path)]
    sides = [read_stored(ended.folder.evaluation(step).path) for step in (steps[0], steps[-1])]
    before, after = (Responses(task=task, prompts=side.prompts, rollouts=side.rollouts) for side in sides)
    trained = {IN: after.few(settings.further_prompts, settings.further_rollouts)}
    trained |= {name: further(ended.trained, other, shown, settings) for name, other in _further_tasks(cell).items()}
    of_start = {IN: before.few(settings.square_prompts, settings.further_rollouts).right(), **_right_at_start(ended)}
    return {
        "before": before.counts() if ended.arm.name in TELL_BEFORE else None,
        "after": after.counts(),
        "num_shown": len(shown & after.prompts.keys()),
        "shown": [key in shown for key in after.prompts],
        "num_trained_shown": len(shown.intersection(ended.folder.run.rollouts(["prompt_id"])["prompt_id"].to_pylist())),
        "further": {name: one.counts() for name, one in trained.items() if name != IN},
        "bank": _judged(ended.trained, _bank(ended.trained, base, cell, retrying, settings), retrying, settings),
        "square": squares_with_start(ended, of_start, trained),
        **squares_with_others(ended, trained),
        "kl": kl_by_stage(sides[1], retrying),
    }


def _right_at_start(ended: Ended) -> dict[str, list[int]]:
    """Further task -> [P] right responses of the warm start, as the study's file tells them."""
    [found] = [cell for cell in read_json(ended.out / RESULTS_FILE)["cells"] if cell["name"] == ended.cell.name]
    return {name: counts["right"] for name, counts in found["base"]["more"]["further"].items()}


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


def _bank(engine: ContinuingEngine, stored: Stored, cell: Cell, retrying: Retrying, settings: Settings) -> Bank:
    """The same for every policy of a cell: of the warm start's responses to what it was not shown; all have its tokens and its context."""
    shown = shown_to(cell)
    prompts = {key: prompt for key, prompt in stored.prompts.items() if key not in shown}
    rollouts = [rollout for rollout in stored.rollouts if rollout.prompt_id in prompts]
    has_room = room_of(engine, retrying, settings.max_tokens)
    return make_bank(rollouts, list(prompts.values()), retrying, np.random.default_rng(SEED), settings.bank_states, has_room)


def _judged(engine: ContinuingEngine, bank: Bank, retrying: Retrying, settings: Settings) -> list[float | None]:
    """[B] chance of accepting each state, None where no check came to a verdict."""
    if not bank.states:
        return []
    sampling = Sampling(max_tokens=settings.max_tokens)
    decisions = decide_on(engine, bank.states, retrying, num_checks=settings.bank_checks, sampling=sampling, seed=SEED)
    return [None if chance is None else _short(chance) for chance in decisions.by_state()]


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
        "num_shown": made["training"]["num_prompts"],
    }


def _plain(measure: Measure) -> dict[str, Any]:
    """Value, interval and reason, unrounded: a ratio of 1 is to be seen as one."""
    return {"value": measure.value, "low": measure.low, "high": measure.high, "why_none": measure.why_none}


def _short(value: float) -> float:
    return round(value, 4)
