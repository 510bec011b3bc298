"""Which tokens an objective credits: the coefficients c_t of its gradient sum_t c_t grad log pi_t, by stage, decision and truth.

    per-token ratio   mean over rollouts of (mean |c| of its decision tokens) / (mean |c| of its sampling tokens)
    mass share        mean over rollouts of sum_{decision} |c| / sum_{both stages} |c|,     beside it n_d / (n_s + n_d) of the same rollouts
    cells             mean c by (attempt right or wrong, accepted or retried), one value a decision: its mean over the verdict's tokens
    contrasts         C_c = right: accept - retry      C_i = wrong: retry - accept      C_s = attempts: right - wrong (sampling tokens)

Ratio and mass share are a rollout's own, then averaged. One advantage times one divisor in a rollout then gives a ratio of exactly 1 and a
mass share of exactly n_d / T, for GRPO as for SFT. Sums over all rollouts would not: long rollouts are those with retries, whose
advantage and divisor (1 / T) are other ones, so a ratio of sums mixes who decides with who gets credit. That is why coefficients alone
cannot carry the claim of 2601.01580 that surrogates are balanced and SFT is not; the contrasts tell them apart (SFT: 0). The definitions
are ours, its own wording was not at hand.
Rollouts whose coefficients are all 0 say nothing and are left out and counted. Left out on purpose: how a coefficient becomes a gradient
(`signal`), and which stage earns the outcome (`credit`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.measures.attempts import ACCEPT, DECISION, NONE, RETRY, SAMPLING, AttemptTable, TokenTable
from jominy.measures.clustered import Label, Ratio, average, difference_of_averages, share
from jominy.records import Bools, Floats, Ints, Measure

Doubles = NDArray[np.float64]
NO_CLIP = "the objective has no clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Masses:
    """How a non-negative size a token is spread over the two stages.

    Example: masses(TokenTable.of([["sssd"]]), np.ones(4)).mass_share.value == 0.25
    """

    sampling: Measure
    """Mean size of a sampling token, over all of them."""
    decision: Measure
    """Mean size of a decision token."""
    verdict: Measure
    """Mean size of a token of the verdict proper."""
    per_token_ratio: Measure
    """Decision over sampling, a token, each rollout against itself; over rollouts with both stages and some size on sampling."""
    mass_share: Measure
    """Decision tokens' part of a rollout's size."""
    verdict_share: Measure
    """The verdict's part of it."""
    token_share: Measure
    """Decision tokens' part of the same rollouts' tokens in both stages, n_d / (n_s + n_d)."""
    num_empty: int
    """Rollouts without a token in a stage, left out."""
    num_zero: int
    """Rollouts whose tokens all have size 0, left out of the shares and the ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Where an objective puts its coefficients.

    Example: attribute(tokens, table, np.ones(num_tokens)).right_contrast.value == 0      # SFT
    """

    masses: Masses
    """|c| by stage."""
    on_accept: Measure
    """Mean |c| of an accepting verdict."""
    on_retry: Measure
    """Mean |c| of a retrying verdict."""
    right_accept: Measure
    """Mean c of the verdict on a right attempt that accepts."""
    right_retry: Measure
    """On a right attempt, retries."""
    wrong_accept: Measure
    """On a wrong attempt, accepts."""
    wrong_retry: Measure
    """On a wrong attempt, retries."""
    right_contrast: Measure
    """C_c = right_accept - right_retry; above 0 teaches to accept what is right."""
    wrong_contrast: Measure
    """C_i = wrong_retry - wrong_accept; above 0 teaches to try again what is wrong."""
    attempt_contrast: Measure
    """C_s, mean c of the sampling tokens of right minus of wrong attempts; above 0 teaches to be right."""
    clipped_sampling: Measure
    """Share of sampling tokens whose coefficient the clip took away."""
    clipped_decision: Measure
    """Share of decision tokens."""
    num_without_verdict: int
    """Decisions that no token of a verdict says, left out of the cells."""


def attribute(tokens: TokenTable, attempts: AttemptTable, coefficient_M: Floats, clipped_M: Bools | None = None) -> Attribution:
    """Coefficients by stage, decision and truth, intervals clustered by prompt.

    Args:
        tokens: M tokens of the rollouts of `attempts`.
        attempts: their attempts.
        coefficient_M: [M] c_t = divisor's scale times w_t, in the ascent convention.
        clipped_M: [M] whether the objective's clip took the token's coefficient away; None where it has no clip.

    Raises:
        ValueError: the two tables are of different rollouts, or a coefficient of a stage is not finite.
    """
    if not np.array_equal(tokens.prompt_R, attempts.prompt_R):
        raise ValueError("tokens and attempts must be tables of the same rollouts in the same order")
    _check(tokens, coefficient_M, "coefficient_M")
    row_M = attempt_rows(tokens, attempts)
    # In units of the largest, equal coefficients add up without rounding: a contrast of 0 is 0.
    scale = float(np.abs(coefficient_M[tokens.stage_M != NONE]).max(initial=0.0)) or 1.0
    relative_M = np.where(tokens.stage_M != NONE, coefficient_M, 0.0) / scale
    verdict_A, num_verdict_A = _mean_by_row(relative_M, row_M, tokens.verdict_M, len(attempts.rollout_A))
    size_A, _ = _mean_by_row(np.abs(relative_M), row_M, tokens.verdict_M, len(attempts.rollout_A))
    accepted_A, retried_A = attempts.decision_A == ACCEPT, attempts.decision_A == RETRY
    said_A = num_verdict_A > 0
    known_A, correct_A = attempts.known_A & said_A, attempts.correct_A
    cells = [_over(attempts, verdict_A, known_A & which_A) for which_A in _cells(correct_A, accepted_A, retried_A)]
    accepts, retries = (_over(attempts, size_A, said_A & which_A) for which_A in (accepted_A, retried_A))
    clipped = [_clipped(tokens, clipped_M, stage) for stage in (SAMPLING, DECISION)]
    return Attribution(
        masses=masses(tokens, np.abs(coefficient_M)),
        on_accept=_scaled(average(accepts, _mean_label("size on accepting verdicts", "|c| of", "accepts")), scale),
        on_retry=_scaled(average(retries, _mean_label("size on retrying verdicts", "|c| of", "retries")), scale),
        right_accept=_scaled(average(cells[0], _mean_label("right, accepted", "c of", "accepts a right attempt")), scale),
        right_retry=_scaled(average(cells[1], _mean_label("right, retried", "c of", "retries a right attempt")), scale),
        wrong_accept=_scaled(average(cells[2], _mean_label("wrong, accepted", "c of", "accepts a wrong attempt")), scale),
        wrong_retry=_scaled(average(cells[3], _mean_label("wrong, retried", "c of", "retries a wrong attempt")), scale),
        right_contrast=_scaled(difference_of_averages(cells[0], cells[1], _contrast_label("right", "accepting over retrying")), scale),
        wrong_contrast=_scaled(difference_of_averages(cells[3], cells[2], _contrast_label("wrong", "retrying over accepting")), scale),
        attempt_contrast=_scaled(_attempt_contrast(tokens, attempts, relative_M, row_M), scale),
        clipped_sampling=clipped[0],
        clipped_decision=clipped[1],
        num_without_verdict=int(np.count_nonzero((accepted_A | retried_A) & ~said_A)),
    )


def logit_attribution(tokens: TokenTable, coefficient_M: Floats, logit_norm_M: Floats) -> Masses:
    """The same spread of what reaches the logits: u_t = |c_t| sqrt(1 - 2 pi_a + ||pi||^2), the norm of the loss's gradient there.

    Args:
        tokens: M tokens.
        coefficient_M: [M] c_t.
        logit_norm_M: [M] sqrt(1 - 2 pi_a + ||pi||^2) of the drawn token a, in [0, sqrt(2)].
    """
    _check(tokens, logit_norm_M, "logit_norm_M")
    return masses(tokens, np.abs(coefficient_M) * logit_norm_M)


def masses(tokens: TokenTable, size_M: Floats) -> Masses:
    """How a size a token is spread over the stages.

    Args:
        tokens: M tokens; those in no stage have no part in it.
        size_M: [M] not below 0.

    >>> masses(TokenTable.of([["sssd"]]), np.array([1.0, 1.0, 1.0, 2.0])).per_token_ratio.value
    2.0
    """
    _check(tokens, size_M, "size_M")
    if np.any(size_M[tokens.stage_M != NONE] < 0):
        raise ValueError("size_M must not be below 0 on a token of a stage")
    num_prompts = 1 + int(tokens.prompt_R.max(initial=-1))
    prompt_M = tokens.prompt_R[tokens.rollout_M]
    parts = [tokens.stage_M == SAMPLING, tokens.stage_M == DECISION, tokens.verdict_M]
    per_token = [Ratio.over(size_M, part_M, prompt_M, num_prompts) for part_M in parts]
    sums_3R, counts_3R, largest_R = _by_rollout(tokens, size_M, parts)
    both_R, there_R = sums_3R[0] + sums_3R[1], largest_R > 0
    num_tokens_R = counts_3R[0] + counts_3R[1]
    ratio_R = _divided(_divided(sums_3R[1], counts_3R[1]), _divided(sums_3R[0], counts_3R[0]))
    with_both_R = there_R & (counts_3R[1] > 0) & (sums_3R[0] > 0)

    def over(values_R: Doubles, among_R: Bools) -> Ratio:
        return Ratio.over(values_R, among_R, tokens.prompt_R, num_prompts)

    return Masses(
        sampling=average(per_token[0], _size_label("a sampling token")),
        decision=average(per_token[1], _size_label("a decision token")),
        verdict=average(per_token[2], _size_label("a token of the verdict")),
        per_token_ratio=average(
            over(ratio_R, with_both_R),
            Label(
                name="per-token ratio",
                meaning="Mean size of a decision token over that of a sampling token, each response against itself.",
                why_none="no response has both stages and some size on sampling",
                unit="ratio",
            ),
        ),
        mass_share=share(over(_divided(sums_3R[1], both_R), there_R), _share_label("mass share", "size on decision tokens")),
        verdict_share=share(over(_divided(sums_3R[2], both_R), there_R), _share_label("verdict's mass share", "size on the verdict")),
        token_share=share(over(_divided(counts_3R[1], num_tokens_R), there_R), _share_label("token share", "tokens that decide")),
        num_empty=int(np.count_nonzero(num_tokens_R == 0)),
        num_zero=int(np.count_nonzero((num_tokens_R > 0) & ~there_R)),
    )


def attempt_rows(tokens: TokenTable, attempts: AttemptTable) -> Ints:
    """[M] row of each token's attempt in the table of attempts; -1 outside, and where the table has no such attempt."""
    num_attempts_R = attempts.num_attempts_R
    first_R = np.cumsum(num_attempts_R) - num_attempts_R
    there_M = (tokens.attempt_M >= 0) & (tokens.attempt_M < num_attempts_R[tokens.rollout_M])
    rows: Ints = np.where(there_M, first_R[tokens.rollout_M] + tokens.attempt_M, -1)
    return rows


def _by_rollout(tokens: TokenTable, size_M: Floats, parts: list[Bools]) -> tuple[list[Doubles], list[Doubles], Doubles]:
    """Sums and counts of each part by rollout, and its largest size; the sums in units of that, so that equal sizes add up exactly."""
    num_rollouts = len(tokens.prompt_R)
    inside_M = tokens.stage_M != NONE
    largest_R = np.zeros(num_rollouts)
    np.maximum.at(largest_R, tokens.rollout_M[inside_M], size_M[inside_M])
    of_rollout_M = largest_R[tokens.rollout_M]
    relative_M = np.where(inside_M & (of_rollout_M > 0), size_M, 0.0) / np.where(of_rollout_M > 0, of_rollout_M, 1.0)
    sums = [
        np.bincount(tokens.rollout_M[part_M], weights=relative_M[part_M], minlength=num_rollouts).astype(np.float64) for part_M in parts
    ]
    counts = [np.bincount(tokens.rollout_M[part_M], minlength=num_rollouts).astype(np.float64) for part_M in parts]
    return sums, counts, largest_R


def _mean_by_row(values_M: Floats, row_M: Ints, among_M: Bools, num_rows: int) -> tuple[Doubles, Ints]:
    """([A] mean of the values of an attempt's tokens, [A] how many those are)."""
    used_M = among_M & (row_M >= 0)
    sums_A = np.bincount(row_M[used_M], weights=values_M[used_M], minlength=num_rows)
    counts_A = np.bincount(row_M[used_M], minlength=num_rows)
    return sums_A / np.maximum(counts_A, 1), counts_A


def _cells(correct_A: Bools, accepted_A: Bools, retried_A: Bools) -> tuple[Bools, Bools, Bools, Bools]:
    return correct_A & accepted_A, correct_A & retried_A, ~correct_A & accepted_A, ~correct_A & retried_A


def _attempt_contrast(tokens: TokenTable, attempts: AttemptTable, relative_M: Doubles, row_M: Ints) -> Measure:
    mean_A, num_tokens_A = _mean_by_row(relative_M, row_M, tokens.stage_M == SAMPLING, len(attempts.rollout_A))
    written_A = attempts.known_A & (num_tokens_A > 0)
    right, wrong = (_over(attempts, mean_A, written_A & which_A) for which_A in (attempts.correct_A, ~attempts.correct_A))
    label = Label(
        name="contrast of attempts",
        meaning="Mean coefficient of the tokens of right attempts minus of wrong ones; 0 knows no outcome.",
        why_none="it needs right and wrong attempts with tokens",
        unit="coefficient",
    )
    return difference_of_averages(right, wrong, label)


def _clipped(tokens: TokenTable, clipped_M: Bools | None, stage: int) -> Measure:
    among_M = tokens.stage_M == stage
    hit_M = np.zeros(len(among_M), dtype=bool) if clipped_M is None else clipped_M
    if hit_M.shape != among_M.shape:
        raise ValueError(f"clipped_M has {len(hit_M)} entries for {len(among_M)} tokens")
    name = "sampling" if stage == SAMPLING else "decision"
    why = NO_CLIP if clipped_M is None else f"there are no {name} tokens"
    label = Label(name=f"clipped {name} tokens", meaning=f"Share of {name} tokens whose coefficient the clip took away.", why_none=why)
    counted_M = among_M & (clipped_M is not None)
    return share(Ratio.over(hit_M, counted_M, tokens.prompt_R[tokens.rollout_M], 1 + int(tokens.prompt_R.max(initial=-1))), label)


def _over(attempts: AttemptTable, values_A: Doubles, among_A: Bools) -> Ratio:
    return Ratio.over(values_A, among_A, attempts.prompt_A, attempts.num_prompts)


def _divided(one: Doubles, other: Doubles) -> Doubles:
    """one / other, 0 where there is nothing to divide by."""
    found: Doubles = np.where(other > 0, one, 0.0) / np.where(other > 0, other, 1.0)
    return found


def _scaled(measure: Measure, scale: float) -> Measure:
    def times(number: float | None) -> float | None:
        return None if number is None else number * scale

    return replace(measure, value=times(measure.value), low=times(measure.low), high=times(measure.high))


def _check(tokens: TokenTable, column_M: Floats, name: str) -> None:
    if column_M.shape != tokens.stage_M.shape:
        raise ValueError(f"{name} has {len(column_M)} entries for {len(tokens.stage_M)} tokens")
    if not np.all(np.isfinite(column_M[tokens.stage_M != NONE])):
        raise ValueError(f"{name} must be finite on every token of a stage")


def _size_label(of: str) -> Label:
    return Label(name=f"size of {of}", meaning=f"Mean size of {of}.", why_none=f"there is not {of}", unit="coefficient")


def _share_label(name: str, what: str) -> Label:
    return Label(name=name, meaning=f"Mean over responses of the share of {what}.", why_none="no response has a size above 0")


def _mean_label(name: str, what: str, verdict: str) -> Label:
    return Label(
        name=name,
        meaning=f"Mean {what} the tokens of a verdict that {verdict}.",
        why_none=f"no verdict {verdict}",
        unit="coefficient",
    )


def _contrast_label(truth: str, which: str) -> Label:
    return Label(
        name=f"contrast on {truth} attempts",
        meaning=f"Mean coefficient of {which} where the attempt is {truth}; above 0 teaches the right decision, 0 knows no outcome.",
        why_none=f"it needs both decisions about {truth} attempts",
        unit="coefficient",
    )
