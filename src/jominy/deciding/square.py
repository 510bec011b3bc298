"""The square of two policies on disk: four run folders that a second call reads and a killed one goes on with, and a bank that both judge.

    SWAP/KEY/before-after/     a run folder: attempts by the policy before, decisions by the one after; KEY as in `keeping`
    SWAP/KEY/bank-64-4.json    how likely each policy is to accept each of 64 states, mean over 4 checks

More prompts, or more responses to each, are drawn to what is there; anything else that changes is another KEY, so nothing is mixed.
Left out on purpose: whose turn it is (`swap`), what the square says (`measures.swap`), and which states there are (`bank`).

LIMIT: to add responses to a prompt, its first ones are drawn again and thrown away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np

from jominy.decided import BankDecided, Swapped
from jominy.deciding.bank import Bank, BankDecisions, HasRoom, decide_on, make_bank, room_of
from jominy.deciding.keeping import SWAP, Pair, digest_of
from jominy.deciding.stored import read_stored
from jominy.deciding.swap import swap
from jominy.engines import ContinuingEngine
from jominy.grading import Graders
from jominy.measures.bank_changes import bank_changes
from jominy.measures.decisions import bank_metrics
from jominy.measures.swap import analytic_swap, measure_swap
from jominy.progress import Advance, rollout_bar, stage
from jominy.records import Floats, Ints, Prompt, Retrying, Rollout, Task
from jominy.sampling import load_task_and_rewards, start_run
from jominy.specs import SampleSpec
from jominy.store import SCHEMA_VERSION, RunFolder, read_json, write_json
from jominy.tracing import attempt_table

SIDES = ("before", "after")
RESPONSES_AT_A_TIME = 512
"""Drawn between two writes."""
NUM_CHECKS = 4
"""Checks that each policy writes to each state of the bank."""

LoadContinuing = Callable[[str, str], ContinuingEngine]
"""(model, device) -> engine."""


def load_continuing(model: str, device: str) -> ContinuingEngine:
    """The engine of this machine; ValueError when the extra or the model is missing."""
    from jominy.engines.extras import require_local_extra

    require_local_extra(model)
    from jominy.engines.local import LocalEngine

    return LocalEngine.load(model, device)


class Engines:
    """Both policies, each loaded when it is first asked for."""

    def __init__(self, pair: Pair, load: LoadContinuing, *, quiet: bool, why_not: str = "") -> None:
        """`load` is called at most once a model, and never where `why_not` says why nothing is to be drawn."""
        self.pair, self.load, self.quiet, self.why_not = pair, load, quiet, why_not
        self.there: dict[str, ContinuingEngine] = {}

    def check_allowed(self) -> None:
        """Raises ValueError where nothing is to be drawn."""
        if self.why_not:
            raise ValueError(self.why_not)

    def of(self, side: str) -> ContinuingEngine:
        """The policy before or after."""
        self.check_allowed()
        model = self.pair.before if side == "before" else self.pair.after
        if model not in self.there:
            with stage(f"loading {model}", quiet=self.quiet):
                self.there[model] = self.load(model, self.pair.spec.device)
        return self.there[model]


def swapped(
    pair: Pair,
    prompts: Sequence[Prompt],
    retrying: Retrying,
    success: float,
    engines: Engines,
    rng: np.random.Generator,
    which: str,
) -> Swapped:
    """The square on these prompts, drawn as far as it is not there.

    Args:
        pair: the policies and where the square is kept.
        prompts: of the task of `pair.spec`.
        retrying: of that task.
        success: an answer is right from here on.
        engines: of `pair`.
        rng: of the intervals.
        which: which prompts these are, for the reader.

    Raises:
        ValueError: the two have different vocabularies, a model cannot be loaded, something is to be drawn and must not be, or another
            process draws into the folder.
    """
    if _rest(pair, prompts):
        engines.check_allowed()
        with RunFolder(pair.folder).lock():
            _draw(pair, _rest(pair, prompts), prompts, retrying, engines)
    ids = [prompt.id for prompt in prompts]
    by_id = {prompt.id: prompt for prompt in prompts}
    cells = {(s, d): _first(read_stored(pair.cell(s, d).path).only(ids).rollouts, pair.spec.rollouts) for s in SIDES for d in SIDES}
    counts = [[_right_and_scored(cells[s, d], ids, success) for d in SIDES] for s in SIDES]
    right_22P, num_22P = (np.array([[counts[s][d][which] for d in (0, 1)] for s in (0, 1)]) for which in (0, 1))
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


def bank_decided(
    pair: Pair,
    rollouts: Sequence[Rollout],
    prompts: Sequence[Prompt],
    retrying: Retrying,
    num_states: int,
    engines: Engines,
    seed: int,
) -> BankDecided:
    """Both policies on one bank of attempts.

    Args:
        pair: the policies and where the answers are kept.
        rollouts: of both, whose attempts fill the bank.
        prompts: those that they answer.
        retrying: of the task.
        num_states: wanted, even.
        engines: of `pair`.
        seed: of the bank.

    Raises:
        ValueError: there are no right or no wrong attempts to decide about, no state has a verdict, or something is to be drawn and must
            not be.
    """

    def with_room(has_room: HasRoom | None) -> Bank:
        return make_bank(rollouts, prompts, retrying, np.random.default_rng(seed), num_states, has_room)

    bank, chances = _judged(pair, with_room, retrying, num_states, engines)
    half = len(bank.states) // 2
    known_B = np.isfinite(chances[0]) & np.isfinite(chances[1])
    # in pairs, so that the bank stays half and half
    kept_H = known_B[:half] & known_B[half:]
    if not kept_H.any():
        raise ValueError("no check of both policies came to a verdict on any pair of states")
    kept_B = np.tile(kept_H, 2)
    correct_B = np.array([state.correct for state in bank.states])
    numbers = {key: number for number, key in enumerate(dict.fromkeys(state.prompt.id for state in bank.states))}
    prompt_B = np.array([numbers[state.prompt.id] for state in bank.states])
    metrics = [bank_metrics(correct_B[kept_B], chance_B[kept_B], prompt_B[kept_B]) for chance_B in chances]
    return BankDecided(
        num_states=len(bank.states),
        num_paired=int(np.count_nonzero(kept_H[: bank.num_paired])),
        missing_right=bank.missing_right,
        missing_wrong=bank.missing_wrong,
        num_checks=NUM_CHECKS,
        num_silent_before=int(np.count_nonzero(~np.isfinite(chances[0]))),
        num_silent_after=int(np.count_nonzero(~np.isfinite(chances[1]))),
        num_used=int(np.count_nonzero(kept_B)),
        num_without_room=len(bank.without_room),
        before=metrics[0],
        after=metrics[1],
        changes=bank_changes(metrics[0], metrics[1], *(chance_B[kept_B].reshape(2, -1) for chance_B in chances)),
    )


def task_of(spec: SampleSpec, name: str) -> tuple[Task, SampleSpec]:
    """Another task to swap on, and how it is drawn."""
    other = replace(spec, task=name, target_column=None, samples=None)
    return load_task_and_rewards(other)[0], other


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


def _draw(pair: Pair, rest: Sequence[Prompt], prompts: Sequence[Prompt], retrying: Retrying, engines: Engines) -> None:
    """What is missing, some prompts at a time in all four cells, so that a killed run leaves whole squares."""
    spec, by_id = pair.spec, {prompt.id: prompt for prompt in prompts}
    _, reward, gold = load_task_and_rewards(spec)
    _open(pair, prompts, engines)
    status, at_a_time = "interrupted", max(1, RESPONSES_AT_A_TIME // spec.rollouts)
    try:
        with (
            Graders(reward, gold, timeout_s=spec.reward_timeout) as graders,
            rollout_bar(f"swapping sampler and decider on {spec.task}", 4 * len(rest) * spec.rollouts, quiet=engines.quiet) as advance,
        ):
            for first in range(0, len(rest), at_a_time):
                some = rest[first : first + at_a_time]
                for sampler in SIDES:
                    for decider in SIDES:
                        _draw_cell(pair, (sampler, decider), some, by_id, retrying, engines, graders, advance)
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
    engines: Engines,
    graders: Graders,
    advance: Advance,
) -> None:
    """Some prompts of one combination, whole or not at all."""
    folder = pair.cell(*cell)
    there = _counts(folder)
    left = [prompt for prompt in prompts if there[prompt.id] < pair.spec.rollouts]
    advance((len(prompts) - len(left)) * pair.spec.rollouts, 0)
    if left:
        sampler, decider = engines.of(cell[0]), engines.of(cell[1])
        groups = swap(sampler, decider, left, retrying, pair.spec.rollouts, pair.sampling, pair.spec.seed, advance)
        new = [[rollout for rollout in group if rollout.index >= there[rollout.prompt_id]] for group in groups]
        folder.append_rollouts([rollout for group in graders.grade(new, by_id) for rollout in group], by_id)


def _open(pair: Pair, prompts: Sequence[Prompt], engines: Engines) -> None:
    """The four folders, with all prompts that they will hold."""
    names = {side: engines.of(side).name for side in SIDES}
    models = dict(zip(SIDES, (pair.before, pair.after), strict=True))
    for sampler in SIDES:
        for decider in SIDES:
            folder = pair.cell(sampler, decider)
            there = {prompt.id: prompt for prompt in folder.read_prompts()} if folder.exists() else {}
            held = list((there | {prompt.id: prompt for prompt in prompts}).values())
            spec = replace(pair.spec, model=models[sampler], prompts=len(held))
            if there:
                folder.write_prompts(held)
            run = folder.read_run() if there else start_run(folder, spec, engines.of(sampler), held)
            run |= {"status": "running", "verb": SWAP, "spec": asdict(spec), "policy": f"{names[sampler]}|{names[decider]}"}
            folder.write_run({**run, "decider_model": models[decider]})


def _right_and_scored(rollouts: Sequence[Rollout], ids: Sequence[str], success: float) -> tuple[Ints, Ints]:
    """([P] right, [P] scored) of each prompt."""
    place = {key: number for number, key in enumerate(ids)}
    right_P, scored_P = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
    for rollout in rollouts:
        if rollout.reward is None or rollout.reward.value is None:
            continue
        truth = rollout.reward.value if rollout.gold is None else rollout.gold
        scored_P[place[rollout.prompt_id]] += 1
        right_P[place[rollout.prompt_id]] += truth >= success
    return right_P, scored_P


def _judged(
    pair: Pair, with_room: Callable[[HasRoom | None], Bank], retrying: Retrying, num_states: int, engines: Engines
) -> tuple[Bank, list[Floats]]:
    """(the bank, [2] of [B] chance of accepting before and after, NaN where no check came to a verdict); kept in a file.

    Raises:
        ValueError: the bank is empty, or nothing is kept and nothing is to be drawn.
    """
    file = pair.folder / f"bank-{num_states}-{NUM_CHECKS}.json"
    kept = read_json(file) if file.is_file() else {}
    # which attempts have room is kept too, for only a model can tell
    full = {(key, text) for key, text in kept.get("without_room", ())}
    bank = with_room((lambda prompt, text: (prompt.id, text) not in full) if full else None)
    if not bank.states and not full:
        raise ValueError("the responses hold no right attempt, or no wrong one, that was to be decided about")
    if bank.states and kept.get("bank") == _name_of(bank):
        return bank, [np.array([np.nan if chance is None else chance for chance in kept[side]]) for side in SIDES]
    rooms = [room_of(engines.of(side), retrying, pair.spec.max_tokens) for side in SIDES]
    bank = with_room(lambda prompt, text: all(has_room(prompt, text) for has_room in rooms))
    if not bank.states:
        raise ValueError(f"behind {len(bank.without_room):,} attempts no check fits; draw with a larger --max-tokens")
    states = bank.states
    found = []
    with rollout_bar("deciding on a bank of attempts", 2 * len(states) * NUM_CHECKS, quiet=engines.quiet, what="checks") as advance:
        for side in SIDES:
            decisions = decide_on(
                engines.of(side),
                states,
                retrying,
                num_checks=NUM_CHECKS,
                sampling=pair.sampling,
                seed=pair.spec.seed,
                on_progress=advance,
            )
            found.append(_spread(decisions))
    chances = {side: [None if np.isnan(chance) else float(chance) for chance in each] for side, each in zip(SIDES, found, strict=True)}
    told = {"bank": _name_of(bank), "without_room": [list(one) for one in bank.without_room]}
    write_json(file, {"schema_version": SCHEMA_VERSION, **told, **chances})
    return bank, found


def _name_of(bank: Bank) -> str:
    return digest_of([[state.prompt.id, state.text, state.correct] for state in bank.states])


def _spread(decisions: BankDecisions) -> Floats:
    chances_B = np.full(decisions.num_states, np.nan)
    chances_B[decisions.state_D] = decisions.accept_probability_D
    return chances_B
