"""What changes rewards before the baseline: the length penalty of DAPO; and what counts as right where a recipe asks.

    soft overlong   r_i + min(-(|y_i| - (L_max - B)) / B, 0)                                    (2503.14476; their B = 0.2 L_max)
    right           the *training reward*, without the penalty, reaches `success`; what gold says plays no part

Left out on purpose: the weights of groups, which act after the baseline (`weighting`).
"""

from __future__ import annotations

import numpy as np

from jominy.groups import Groups
from jominy.records import Bools, Floats


def overlong_penalty(groups: Groups, max_tokens: int, buffer: float) -> Floats:
    """[N] in [-1, 0]: how far a response reaches into the last `buffer` share of `max_tokens`.

    Raises:
        ValueError: the lengths are not known.

    >>> from dataclasses import replace
    >>> groups = replace(Groups.of(rewards=[[1, 1, 1]]), num_tokens_N=np.array([80, 90, 100]))
    >>> overlong_penalty(groups, 100, 0.2)
    array([ 0. , -0.5, -1. ])
    """
    if groups.num_tokens_N is None:
        raise ValueError("the overlong penalty needs the number of tokens of each response; use overlong=off")
    buffer_tokens = buffer * max_tokens
    # The maximum with 0 inside, not a minimum outside, so that nothing becomes -0.
    penalty_N: Floats = 0.0 - np.maximum(groups.num_tokens_N - (max_tokens - buffer_tokens), 0.0) / buffer_tokens
    return penalty_N


def right(groups: Groups, success: float) -> Bools:
    """[N] scored rollouts whose training reward reaches `success`."""
    right_N: Bools = groups.scored_N & (groups.rewards_N >= success)
    return right_N
