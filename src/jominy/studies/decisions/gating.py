"""Whether a warm start is one that the study can ask anything; while one is not, no cell has runs: hours would end in `cannot tell`.

    first      share of first attempts that are right, in distribution: something to learn and to decide
    further    share of right responses to each further task
    room       accuracy under decisions that are always right minus that under its own, by the chain, on every test: something to gain
    cut        share of responses that end at the token limit, on every test: there a retry would be punished for its length
    bank       full, half right and half wrong, with a verdict on nearly all
    judging    Youden's J there, right attempts accepted minus wrong ones: at 0 verdicts are drawn without a look at the attempt, and what
               is learned about a blind decider is how often to try again

All but `cut` are at prompts that it was not shown: what it knows by heart tells nothing of what it can.
Left out: what to change; a warm start has many knobs, all in `design`. And whether it reached the pass rate that it was to end at: one
that ended below and has all of this will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jominy.studies.decisions.told import IN, hits_and_cases, unshown
from jominy.studies.reading import Record
from jominy.tasks.retry_form import CUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a warm start has to be, in shares.

    Example: Gate(first=(0.2, 0.65), further=(0.1, 0.8), least_room=0.12, least_room_further=0.06, most_cut=0.02, least_verdicts=0.9,
        least_judging=0.1)
    """

    first: tuple[float, float]
    """First attempts that are right, in distribution: least and most."""
    further: tuple[float, float]
    """Right responses to each further task: least and most."""
    least_room: float
    """In distribution."""
    least_room_further: float
    """Of each further task, where fewer first attempts are right, and so less can be won by deciding."""
    most_cut: float
    """Of every test."""
    least_verdicts: float
    """Of the states of the bank."""
    least_judging: float
    """Youden's J on the bank; -1 asks for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A warm start in the numbers of the gate.

    Example: start_of_study(more).first
    """

    first: float
    """Share of first attempts that are right, in distribution, at prompts that it was not shown."""
    right: Mapping[str, float]
    """Test -> share of right responses at prompts that it was not shown."""
    room: Mapping[str, float | None]
    """Test -> gain there of decisions that are always right; None where it cannot be told."""
    cut: Mapping[str, float]
    """Test -> share of responses that end at the token limit."""
    num_states: int
    """Of the bank."""
    verdicts: float
    """Share of them with a verdict; 0 without any."""
    judging: float | None
    """Mean chance of accepting its right attempts minus that of its wrong ones, where there is a verdict; None where one kind has none."""


def start_of_study(more: Record) -> Start:
    """The numbers of the gate from what `more_of_base` found."""
    counts = {IN: more["counts"], **more["further"]}
    hits_P, cases_P = hits_and_cases(more["counts"], "first")
    keep_P = unshown(more)
    responses = {test: one["num_rollouts"] * len(one["right"]) for test, one in counts.items()}
    right = {test: sum(one["right"]) / responses[test] for test, one in counts.items()}
    right[IN] = int(np.array(more["counts"]["right"])[keep_P].sum()) / max(int(keep_P.sum()) * more["counts"]["num_rollouts"], 1)
    accept = more["bank"]["accept"]
    return Start(
        first=float(hits_P[keep_P].sum() / max(cases_P[keep_P].sum(), 1.0)),
        right=right,
        room={test: _apart(more["room"][test]) for test in counts},
        cut={test: one["problems"].get(CUT, 0) / responses[test] for test, one in counts.items()},
        num_states=len(accept),
        verdicts=sum(chance is not None for chance in accept) / max(len(accept), 1),
        judging=_judging(accept, more["bank"]["correct"]),
    )


def why_unfit(start: Start, gate: Gate, num_states: int) -> list[str]:
    """What is wrong with a warm start, a sentence each; nothing for one that will do.

    Args:
        start: its numbers.
        gate: what they have to be.
        num_states: that the bank is to have.
    """
    found = _outside("of first attempts are right", start.first, gate.first)
    for test, share in start.right.items():
        found += [] if test == IN else _outside(f"of the responses to `{test}` are right", share, gate.further)
    for test, room in start.room.items():
        least = gate.least_room if test == IN else gate.least_room_further
        if room is None or room < least:
            said = "cannot be told" if room is None else f"gain {100 * room:.1f} points"
            found.append(f"decisions that are always right: {said} on `{test}`, {100 * least:g} are asked for")
    for test, share in start.cut.items():
        if share > gate.most_cut:
            found.append(f"{100 * share:.1f} % of the responses to `{test}` end at the token limit, at most {100 * gate.most_cut:g} % may")
    if start.num_states < num_states:
        found.append(
            f"the bank has {start.num_states} states of {num_states}: too few prompts have right, or wrong, attempts to decide about"
        )
    if start.verdicts < gate.least_verdicts:
        found.append(f"{100 * start.verdicts:.0f} % of the bank's states get a verdict, {100 * gate.least_verdicts:g} % are asked for")
    if (-1.0 if start.judging is None else start.judging) < gate.least_judging:
        lead = "by an unknown lead" if start.judging is None else f"by {_points(start.judging)}"
        found.append(f"right attempts are accepted more often than wrong ones {lead}, {_points(gate.least_judging)} are asked for")
    return found


def check_start(cell: str, more: Record, gate: Gate, num_states: int) -> None:
    """Refuses a warm start that the study can ask nothing.

    Args:
        cell: its name.
        more: what `more_of_base` found.
        gate: what its numbers have to be.
        num_states: that the bank is to have.

    Raises:
        ValueError: it is not what the gate asks for; says all of its numbers.
    """
    start = start_of_study(more)
    if unfit := why_unfit(start, gate, num_states):
        raise ValueError(
            f"the warm start of {cell} is no good for the study: {'; '.join(unfit)}. It is: {said(start)}. Change its order in "
            "studies/decisions/design.py; none of its arms was trained"
        )


def said(start: Start) -> str:
    """All of its numbers, for whoever changes the warm start."""
    rooms = ", ".join(f"{test} {'unknown' if room is None else f'{100 * room:.1f}'}" for test, room in start.room.items())
    rights = ", ".join(f"{test} {100 * share:.1f} %" for test, share in start.right.items())
    cuts = ", ".join(f"{test} {100 * share:.1f} %" for test, share in start.cut.items())
    return (
        f"first attempts right {100 * start.first:.1f} %; responses right: {rights}; room for decisions, points: {rooms}; cut: {cuts}; "
        f"bank {start.num_states} states, {100 * start.verdicts:.0f} % with a verdict; "
        f"judging {'unknown' if start.judging is None else _points(start.judging)}"
    )


def _judging(accept: Sequence[float | None], correct: Sequence[bool]) -> float | None:
    right = [chance for chance, is_right in zip(accept, correct, strict=True) if is_right and chance is not None]
    wrong = [chance for chance, is_right in zip(accept, correct, strict=True) if not is_right and chance is not None]
    return float(np.mean(right) - np.mean(wrong)) if right and wrong else None


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _outside(what: str, share: float, bounds: tuple[float, float]) -> list[str]:
    least, most = bounds
    inside = least <= share <= most
    return [] if inside else [f"{100 * share:.1f} % {what}, which should be {100 * least:g} to {100 * most:g} %"]


def _apart(room: Record) -> float | None:
    return None if room["own"] is None or room["oracle"] is None else room["oracle"] - room["own"]
