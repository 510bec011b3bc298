"""What a step's sum of weighted log-probabilities is divided by: `scale_NT` for the kept rollouts of the whole step.

    tokens      1 / (tokens of the step)                          a long response weighs more           (2503.14476, DAPO)
    rows        1 / (N * tokens of the row)                       every response weighs the same        (2402.03300, GRPO)
    budget      1 / (N * max_tokens)                              a constant, so no bias by length      (2503.20783, Dr. GRPO)
    sequences   1 / N                                             budget without the constant           (2402.14740, RLOO)
    segments    1 / (N * stages in the row * tokens of this one)  sampling and decision in a row weigh the same

Computed once for the step: splitting it in micro-batches moves nothing. With budget and sequences the mean over draws is the gradient of a
fixed objective; rows divides each response by its own length, and tokens by a number that depends on all of them. Decided here: a kept row
without a trained token still counts in N (as in TRL; verl leaves it out). A segment is a stage (`masks.stage_of`): sampling is the
attempts, decision the checks and verdicts. Tokens in no span that train are a stage of their own, however few: with segments they are best
left out (`spans=sampling+decision`), and decision then has exactly half of each row that has both. Without any spans it is rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jominy.records import Bools, Floats, Ints


def per_token(inside_NT: Bools, segment_NT: Ints) -> Floats:
    """Every token of the step alike."""
    return inside_NT / max(int(inside_NT.sum()), 1)


def per_row(inside_NT: Bools, segment_NT: Ints) -> Floats:
    """The mean in a row, then over rows.

    >>> per_row(np.array([[True, True], [True, False]]), np.zeros((2, 2), dtype=int))
    array([[0.25, 0.25],
           [0.5 , 0.  ]])
    """
    num_tokens_N1 = np.maximum(inside_NT.sum(axis=1, keepdims=True), 1)
    scale_NT: Floats = inside_NT / (num_tokens_N1 * max(len(inside_NT), 1))
    return scale_NT


def per_sequence(inside_NT: Bools, segment_NT: Ints) -> Floats:
    """The sum in a row, then the mean over rows."""
    scale_NT: Floats = inside_NT / max(len(inside_NT), 1)
    return scale_NT


def per_budget(max_tokens: int) -> Callable[[Bools, Ints], Floats]:
    """The sum over all tokens divided by what could have been drawn."""

    def divide(inside_NT: Bools, segment_NT: Ints) -> Floats:
        return inside_NT / (max(len(inside_NT), 1) * max_tokens)

    return divide


def per_segment(inside_NT: Bools, segment_NT: Ints) -> Floats:
    """The mean in each stage of a row, then over the stages that the row has, then over rows.

    >>> per_segment(np.ones((1, 4), dtype=bool), np.array([[1, 1, 1, 2]])).round(3)       # three tokens share 1/2, one has it alone
    array([[0.167, 0.167, 0.167, 0.5  ]])
    """
    scale_NT = np.zeros(inside_NT.shape)
    num_stages_N1 = np.zeros((len(inside_NT), 1))
    for stage in np.unique(segment_NT[inside_NT]):
        of_stage_NT = inside_NT & (segment_NT == stage)
        num_tokens_N1 = of_stage_NT.sum(axis=1, keepdims=True)
        num_stages_N1 += num_tokens_N1 > 0
        scale_NT += of_stage_NT / np.maximum(num_tokens_N1, 1)
    divided_NT: Floats = scale_NT / (np.maximum(num_stages_N1, 1) * max(len(inside_NT), 1))
    return divided_NT
