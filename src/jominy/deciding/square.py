"""The square of two policies on disk: four run folders that a second call reads and a killed one goes on with.

    SWAP/KEY/before-after/     a run folder: attempts by the policy before, decisions by the one after; KEY as in `cache`

More prompts, or more responses to each, are drawn to what is there; anything else that changes is another KEY, so nothing is mixed.
Left out on purpose: whose turn it is (`swap`), what the square says (`measures.swap`), and when there is none (`exchange`).

LIMIT: to add responses to a prompt, its first ones are drawn again and thrown away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from jominy.crediting import groups_of_rollouts
from jominy.decided import Swapped
from jominy.deciding.cache import SWAP, Pair
from jominy.deciding.policies import SIDES, Policies
from jominy.deciding.rollouts import groups_of_stored, read_stored
from jominy.deciding.swap import swap
from jominy.grading import Graders
from jominy.measures.swap import analytic_swap, measure_swap
from jominy.progress import Advance, rollout_bar
from jominy.records import Prompt, Retrying, Rollout
from jominy.sampling import load_task_and_rewards, start_run
from jominy.store import RunFolder
from jominy.tracing import attempt_table

RESPONSES_AT_A_TIME = 512
"""Drawn between two writes."""


def swapped(
    pair: Pair,
    prompts: Sequence[Prompt],
    retrying: Retrying,
    success: float,
    policies: Policies,
    rng: np.random.Generator,
    which: str,
) -> Swapped:
    """The square on these prompts, drawn as far as it is not there.

    Args:
        pair: the policies and where the square is kept.
        prompts: of the task of `pair.spec`.
        retrying: of that task.
        success: an answer is right from here on.
        policies: those of `pair`.
        rng: of the intervals.
        which: which prompts these are, for the reader.

    Raises:
        ValueError: the two have different vocabularies, a model cannot be loaded, something is to be drawn and must not be, or another
            process draws into the folder.
    """
    if _rest(pair, prompts):
        policies.check_allowed()
        with RunFolder(pair.folder).lock():
            _draw(pair, _rest(pair, prompts), prompts, retrying, policies)
    ids = [prompt.id for prompt in prompts]
    by_id = {prompt.id: prompt for prompt in prompts}
    cells = {(s, d): _first(read_stored(pair.cell(s, d).path).only(ids).rollouts, pair.spec.rollouts) for s in SIDES for d in SIDES}
    groups = {cell: groups_of_rollouts(groups_of_stored(rollouts), success) for cell, rollouts in cells.items()}
    right_22P = np.array([[groups[s, d].num_correct_P() for d in SIDES] for s in SIDES])
    num_22P = np.array([[groups[s, d].num_scored_P() for d in SIDES] for s in SIDES])
    tables = [attempt_table(cells[side, side], by_id, retrying.read, success) for side in SIDES]
    names = [rollouts[0].policy.partition("|")[0] for rollouts in (cells["before", "before"], cells["after", "after"])]
    return Swapped(
        before=names[0],
        after=names[1],
        num_prompts=len(prompts),
        num_rollouts=pair.spec.rollouts,
        measured=measure_swap(right_22P, num_22P, rng=rng),
        analytic=analytic_swap(tables[0], tables[1], num_attempts=retrying.num_attempts, rng=rng),
        prompts=which,
        prompt_ids=tuple(ids),
    )


def _rest(pair: Pair, prompts: Sequence[Prompt]) -> list[Prompt]:
    """Prompts that have not all their responses in all four cells."""
    there = [_counts(pair.cell(s, d)) for s in SIDES for d in SIDES]
    return [prompt for prompt in prompts if any(cell[prompt.id] < pair.spec.rollouts for cell in there)]


def _counts(folder: RunFolder) -> Counter[str]:
    """Responses of each prompt."""
    return Counter(folder.rollouts(["prompt_id"])["prompt_id"].to_pylist())


def _first(rollouts: Sequence[Rollout], number: int) -> list[Rollout]:
    """The first so many of each prompt; a call before may have asked for more."""
    return [rollout for rollout in rollouts if rollout.index < number]


def _draw(pair: Pair, rest: Sequence[Prompt], prompts: Sequence[Prompt], retrying: Retrying, policies: Policies) -> None:
    """What is missing, some prompts at a time in all four cells, so that a killed run leaves whole squares."""
    spec, by_id = pair.spec, {prompt.id: prompt for prompt in prompts}
    _, reward, gold = load_task_and_rewards(spec)
    _open(pair, prompts, policies)
    status, at_a_time = "interrupted", max(1, RESPONSES_AT_A_TIME // spec.rollouts)
    try:
        with (
            Graders(reward, gold, timeout_s=spec.reward_timeout) as graders,
            rollout_bar(f"swapping sampler and decider on {spec.task}", 4 * len(rest) * spec.rollouts, quiet=policies.quiet) as advance,
        ):
            for first in range(0, len(rest), at_a_time):
                some = rest[first : first + at_a_time]
                for sampler in SIDES:
                    for decider in SIDES:
                        _draw_cell(pair, (sampler, decider), some, by_id, retrying, policies, graders, advance)
        status = "finished"
    finally:
        for sampler in SIDES:
            for decider in SIDES:
                folder = pair.cell(sampler, decider)
                folder.write_run({**folder.read_run(), "status": status})


def _draw_cell(
    pair: Pair,
    cell: tuple[str, str],
    prompts: Sequence[Prompt],
    by_id: dict[str, Prompt],
    retrying: Retrying,
    policies: Policies,
    graders: Graders,
    advance: Advance,
) -> None:
    """Some prompts of one combination, whole or not at all."""
    folder = pair.cell(*cell)
    there = _counts(folder)
    left = [prompt for prompt in prompts if there[prompt.id] < pair.spec.rollouts]
    advance((len(prompts) - len(left)) * pair.spec.rollouts, 0)
    if left:
        sampler, decider = policies.of(cell[0]), policies.of(cell[1])
        groups = swap(sampler, decider, left, retrying, pair.spec.rollouts, pair.sampling, pair.spec.seed, advance)
        new = [[rollout for rollout in group if rollout.index >= there[rollout.prompt_id]] for group in groups]
        folder.append_rollouts([rollout for group in graders.grade(new, by_id) for rollout in group], by_id)


def _open(pair: Pair, prompts: Sequence[Prompt], policies: Policies) -> None:
    """The four folders, with all prompts that they will hold."""
    names = {side: policies.of(side).name for side in SIDES}
    models = dict(zip(SIDES, (pair.before, pair.after), strict=True))
    for sampler in SIDES:
        for decider in SIDES:
            folder = pair.cell(sampler, decider)
            there = {prompt.id: prompt for prompt in folder.read_prompts()} if folder.exists() else {}
            held = list((there | {prompt.id: prompt for prompt in prompts}).values())
            spec = replace(pair.spec, model=models[sampler], prompts=len(held))
            if there:
                folder.write_prompts(held)
            run = folder.read_run() if there else start_run(folder, spec, policies.of(sampler), held)
            run |= {"status": "running", "verb": SWAP, "spec": asdict(spec), "policy": f"{names[sampler]}|{names[decider]}"}
            folder.write_run({**run, "decider_model": models[decider]})
