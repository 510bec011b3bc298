"""Shares of rollouts among rollouts: right among the truncated, wrong among the paid, and the like.

    share = sum_p hits_p / sum_p rollouts_p            a ratio of sums over prompts, the prompt being the resampling unit

Left out on purpose: shares of prompts or groups, which are means over prompts (`liveness`, `passk`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jominy.groups import Groups
from jominy.records import Bools, Measure, Paper
from jominy.stats import share_interval


def share_among(
    groups: Groups, hit_N: Bools, among_N: Bools, *, name: str, meaning: str, why_none: str, paper: Paper | None = None
) -> Measure:
    """How many of the scored rollouts in `among_N` are in `hit_N`, with a clustered 95 % interval.

    Args:
        groups: P prompts; unscored rollouts are left out and counted.
        hit_N: [N] what is counted.
        among_N: [N] what it is counted in.
        name: of the measure.
        meaning: one sentence for the reader.
        why_none: what to say when no scored rollout is in `among_N`.
        paper: source of the claim behind the measure.

    >>> groups = Groups.of(rewards=[[1, 1, 0, 0]])
    >>> share_among(groups, groups.correct_N, np.array([True, True, True, False]), name="", meaning="", why_none="").value
    0.6666666666666666
    """
    measure = share_of_rollouts(groups, hit_N, among_N & groups.scored_N, name=name, meaning=meaning, why_none=why_none, paper=paper)
    return replace(measure, num_unscored=groups.num_unscored)


def share_of_rollouts(
    groups: Groups, hit_N: Bools, base_N: Bools, *, name: str, meaning: str, why_none: str, paper: Paper | None = None
) -> Measure:
    """The same among any rollouts, scored or not."""
    base_P, hits_P = groups.count_P(base_N), groups.count_P(hit_N & base_N)
    used_P = base_P > 0
    num_used = int(np.count_nonzero(used_P))
    shell = Measure(name=name, value=None, num_prompts=num_used, num_left_out=groups.num_prompts - num_used, meaning=meaning, paper=paper)
    if num_used == 0:
        return replace(shell, why_none=why_none)
    interval = share_interval(hits_P[used_P] / base_P[used_P], weights_T=base_P[used_P])
    return replace(shell, value=float(hits_P.sum() / base_P.sum()), low=interval.low, high=interval.high)
