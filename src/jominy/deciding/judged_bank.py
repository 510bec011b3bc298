"""Two policies on one bank of attempts, judged once and kept beside their square.

    SWAP/KEY/bank-64-4.json    how likely each policy is to accept each of 64 states, mean over 4 checks; KEY as in `cache`

A state counts together with its partner of the other class, where both policies came to a verdict on both, so that the bank stays half and
half. Left out on purpose: which states there are and how one policy is asked (`bank`), and what the chances say (`measures.decisions`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jominy.decided import BankDecided
from jominy.deciding.bank import Bank, HasRoom, decide_on, make_bank, room_of
from jominy.deciding.cache import Pair, digest_of
from jominy.deciding.policies import SIDES, Policies
from jominy.measures.bank_changes import bank_changes
from jominy.measures.decisions import bank_metrics
from jominy.progress import rollout_bar
from jominy.records import Prompt, Retrying, Rollout
from jominy.store import SCHEMA_VERSION, read_json, write_json

NUM_CHECKS = 4
"""Checks that each policy writes to each state of the bank."""

Chances = list[float | None]
"""[B] of accepting each state, None where no check came to a verdict."""


def bank_decided(
    pair: Pair,
    rollouts: Sequence[Rollout],
    prompts: Sequence[Prompt],
    retrying: Retrying,
    num_states: int,
    policies: Policies,
    seed: int,
) -> BankDecided:
    """Both policies on one bank of attempts.

    Args:
        pair: the policies and where the answers are kept.
        rollouts: of both, whose attempts fill the bank.
        prompts: those that they answer.
        retrying: of the task.
        num_states: wanted, even.
        policies: those of `pair`.
        seed: of the bank.

    Raises:
        ValueError: there are no right or no wrong attempts to decide about, no state has a verdict, or something is to be drawn and must
            not be.
    """

    def with_room(has_room: HasRoom | None) -> Bank:
        return make_bank(rollouts, prompts, retrying, np.random.default_rng(seed), num_states, has_room)

    bank, told = _judged(pair, with_room, retrying, num_states, policies)
    # None, where no check came to a verdict, becomes NaN
    chances = [np.array(each, dtype=np.float64) for each in told]
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


def _judged(
    pair: Pair, with_room: Callable[[HasRoom | None], Bank], retrying: Retrying, num_states: int, policies: Policies
) -> tuple[Bank, list[Chances]]:
    """(the bank, [2] of [B] chance of accepting before and after); kept in a file.

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
        return bank, [kept[side] for side in SIDES]
    rooms = [room_of(policies.of(side), retrying, pair.spec.max_tokens) for side in SIDES]
    bank = with_room(lambda prompt, text: all(has_room(prompt, text) for has_room in rooms))
    if not bank.states:
        raise ValueError(f"behind {len(bank.without_room):,} attempts no check fits; draw with a larger --max-tokens")
    states = bank.states
    found = []
    with rollout_bar("deciding on a bank of attempts", 2 * len(states) * NUM_CHECKS, quiet=policies.quiet, what="checks") as advance:
        for side in SIDES:
            decisions = decide_on(
                policies.of(side),
                states,
                retrying,
                num_checks=NUM_CHECKS,
                sampling=pair.sampling,
                seed=pair.spec.seed,
                on_progress=advance,
            )
            found.append(decisions.by_state())
    told = {"bank": _name_of(bank), "without_room": [list(one) for one in bank.without_room]}
    write_json(file, {"schema_version": SCHEMA_VERSION, **told, **dict(zip(SIDES, found, strict=True))})
    return bank, found


def _name_of(bank: Bank) -> str:
    return digest_of([[state.prompt.id, state.text, state.correct] for state in bank.states])
