"""How far policies moved from the start, in nats, and which arms with a KL moved about as far as each other.

    nats a token       of a stage, one number a run
    nats a response    of both stages, mean over the runs of a cell
    pair               an arm with a KL in the reward, and the one in the loss whose nats a response are nearest to its own, as a ratio;
                       alike where neither moved more than `MOST_APART` times as far as the other

Nats are those of log p / p_start on the last evaluation, of one response to each held-out prompt: at a KL so strong that a few hundredths
of a nat a response are left, a run's number is known to about as much.
Left out on purpose: what is claimed of them (`penalising`, `stopping`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jominy.studies.decisions.design import STRENGTHS, kl_arm
from jominy.studies.decisions.estimating import Estimate, estimate_of
from jominy.studies.decisions.paper import MOST_APART
from jominy.studies.decisions.told import mores, shared_seeds
from jominy.studies.reading import StudyRuns

KINDS = ("loss", "reward")
STAGES = ("sampling", "decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An arm with a KL in the reward, and the one in the loss that ended nearest to it.

    Example: Pair(reward="kl_reward_weak", loss="kl_loss_middle", nats=(0.4, 0.5)).is_alike
    """

    reward: str
    """Name of an arm."""
    loss: str
    """Name of an arm."""
    nats: tuple[float, float]
    """A response, of the two."""

    @property
    def is_alike(self) -> bool:
        """Whether the two moved about as far."""
        return apart(*self.nats) <= MOST_APART


def loss_arms() -> list[str]:
    """Arms with a KL in the loss, on all tokens."""
    return [kl_arm("loss", strength) for strength in STRENGTHS]


def reward_arms() -> list[str]:
    """Arms with a KL in the reward."""
    return [kl_arm("reward", strength) for strength in STRENGTHS]


def nats_a_token(runs: StudyRuns, cell: str, arm: str, stage: str, arms: Sequence[str] = ()) -> Estimate | None:
    """How far a stage moved, a number a run; None where a seed lacks it.

    Args:
        runs: as they were read.
        cell: name.
        arm: name.
        stage: of `STAGES`.
        arms: others whose seeds it must share.
    """
    found = mores(runs, cell, arm)
    told = [found[seed]["kl"] for seed in shared_seeds(runs, cell, [arm, *arms])]
    if not told or not all(one is not None and one[stage]["tokens"] > 0 for one in told):
        return None
    return estimate_of(np.array([[one[stage]["nats"] / one[stage]["tokens"]] for one in told]), shared=False)


def nats_a_response(runs: StudyRuns, cell: str, arm: str) -> float | None:
    """How far an arm moved from the start, mean over its runs; None where none was scored under the start."""
    told = [more["kl"] for more in mores(runs, cell, arm).values() if more["kl"] is not None]
    return float(np.mean([sum(stage["nats"] for stage in one.values()) for one in told])) if told else None


def apart(one: float, other: float) -> float:
    """How many times as far the one moved that moved more; infinite where one of them did not measurably move.

    >>> apart(0.5, 2.0)
    4.0
    """
    least, most = sorted((one, other))
    return most / least if least > 0 else math.inf


def pairs_of(runs: StudyRuns, cell: str) -> tuple[Pair, ...]:
    """Each arm with a KL in the reward with its nearest in the loss, alike or not; none where the nats of any of them are not known."""
    found = {arm: nats_a_response(runs, cell, arm) for arm in (*loss_arms(), *reward_arms())}
    nats = {arm: moved for arm, moved in found.items() if moved is not None}
    if len(nats) < len(found):
        return ()
    return tuple(_nearest(arm, nats) for arm in reward_arms())


def _nearest(arm: str, nats: Mapping[str, float]) -> Pair:
    """Where the ratio tells nothing, by the difference."""
    far = {other: (apart(nats[arm], nats[other]), abs(nats[arm] - nats[other])) for other in loss_arms()}
    other = min(far, key=lambda one: far[one])
    return Pair(reward=arm, loss=other, nats=(nats[arm], nats[other]))
