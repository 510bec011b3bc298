"""Which stage earns the outcome, measured from rollouts; and which stage a token-additive objective spends itself on.

    credit share   E delta_d^2 / Var(R)                          from a value table V(k, z) (`chain`): no numbers of tokens in it
    value share    sum_{decision} x_t / sum_{both} x_t           x = -log pi (NLL) or a KL a token: grows with the decision's tokens

A value share needs a whole to be a share of. Where no x is below 0 there is one as soon as something is above 0. Else (log p / p_start of
single tokens) the whole may be nothing but noise, and where the interval of its mean holds 0 the share cannot be told.

The table is that of a Markov chain whose chances are counted over all prompts and pooled over k: with few attempts at late k, cells by k
would be empty where it matters. A cell with 1 to 29 samples makes the share undefined; where retries after a right attempt are that few,
they are taken together with those after a wrong one, and `merged` says so. Left out on purpose: a table a prompt (a group is too small for
it), so what differs between prompts counts as sampling: an attempt tells how hard the prompt is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.measures.attempts import DECISION, NONE, AttemptTable, TokenTable
from jominy.measures.chain import Chances, counted, walk
from jominy.measures.clustered import Label, Ratio, average, measured, share
from jominy.records import Floats, Measure
from jominy.stats import NO_INTERVAL, bootstrap_interval

LEAST_SAMPLES = 30
NO_WHOLE = "cannot tell: the interval of the sum over both stages holds 0 or is not known"
CREDIT = Label(
    name="decision's credit share",
    meaning="Share of the outcome's variance that decisions make; the rest is made by attempts.",
    why_none="the outcome is certain, so nothing earned it",
)
CELLS = ("first attempts", "attempts after a right one", "attempts after a wrong one", "decisions about right", "decisions about wrong")
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditShare:
    """Credit of the two stages from a value table.

    Example: credit_share(table, num_attempts=3, rng=np.random.default_rng(0)).decision.value
    """

    decision: Measure
    """Share of the variance of the outcome that decisions make."""
    samples: tuple[tuple[str, int], ...]
    """(cell, samples) of the five chances."""
    merged: bool
    """Whether attempts after a right and after a wrong one are one cell."""
    right_K: tuple[float, ...]
    """[K] V(k, right), before the decision; empty where the share is undefined."""
    wrong_K: tuple[float, ...]
    """[K] V(k, wrong)."""
    num_broken_off: int
    """Rollouts that end without a decision; their attempts count as far as they go, and the table is as if nothing broke off."""


def credit_share(attempts: AttemptTable, *, num_attempts: int, rng: np.random.Generator, least_samples: int = LEAST_SAMPLES) -> CreditShare:
    """The decisions' share of the credit, interval by resampling prompts.

    Args:
        attempts: A attempts of any number of prompts.
        num_attempts: K.
        rng: source of the resamples.
        least_samples: a cell with fewer makes the share undefined.
    """
    columns_P = counted(attempts)
    base = columns_P[:, 1::2].sum(axis=0).astype(np.int64)
    merged = bool(np.any((base[1:3] > 0) & (base[1:3] < least_samples)))
    used = int(np.count_nonzero(columns_P[:, 1]))
    shell = CreditShare(
        decision=measured(CREDIT, None, NO_INTERVAL, used, attempts.num_prompts),
        samples=tuple(zip(CELLS, base.tolist(), strict=True)),
        merged=merged,
        right_K=(),
        wrong_K=(),
        num_broken_off=_num_broken_off(attempts),
    )
    why = _why_none(base, merged, num_attempts, least_samples)
    if why:
        return replace(shell, decision=replace(shell.decision, why_none=why))
    walked = walk(Chances.of_columns(columns_P.sum(axis=0), merged=merged), num_attempts)
    value = float(walked.decision_share)
    if np.isnan(walked.value):
        return replace(shell, decision=replace(shell.decision, why_none="responses break off where the value table needs decisions"))
    if np.isnan(value):
        return shell

    def statistic(columns: Doubles) -> Doubles:
        return walk(Chances.of_columns(columns, merged=merged), num_attempts).decision_share

    interval = bootstrap_interval(columns_P, statistic, rng, bounds=(0.0, 1.0))
    return replace(
        shell,
        decision=measured(CREDIT, value, interval, used, attempts.num_prompts),
        right_K=tuple(walked.right_K.tolist()),
        wrong_K=tuple(walked.wrong_K.tolist()),
    )


def value_share(tokens: TokenTable, value_M: Floats, *, name: str, meaning: str) -> Measure:
    """The decision tokens' part of a sum over the tokens of both stages; tokens in no stage have no part in it.

    Args:
        tokens: M tokens.
        value_M: [M] what each adds to the objective: -log pi for the NLL, a KL in nats for a penalty; best one that is never below 0,
            such as k3.
        name: e.g. `decision's share of the NLL`.
        meaning: one sentence for the reader.
    """
    if value_M.shape != tokens.stage_M.shape:
        raise ValueError(f"value_M has {len(value_M)} entries for {len(tokens.stage_M)} tokens")
    num_prompts = 1 + int(tokens.prompt_R.max(initial=-1))
    inside_M = tokens.stage_M != NONE
    if not np.all(np.isfinite(value_M[inside_M])):
        raise ValueError("value_M must be finite on the tokens of both stages")
    prompt_M = tokens.prompt_R[tokens.rollout_M]
    both = Ratio.over(value_M, inside_M, prompt_M, num_prompts)
    of_decision = Ratio.over(value_M, tokens.stage_M == DECISION, prompt_M, num_prompts)
    label = Label(name=name, meaning=meaning, why_none="the sum over the tokens of both stages is not above 0")
    if float(both.sum_P.sum()) <= 0:
        return measured(label, None, NO_INTERVAL, both.num_used, num_prompts)
    of_whole = Ratio(sum_P=of_decision.sum_P, count_P=both.sum_P)
    if np.all(value_M[inside_M] >= 0):
        return share(of_whole, label)
    whole = average(both, label)
    if whole.low is None or whole.low <= 0:
        return measured(replace(label, why_none=NO_WHOLE), None, NO_INTERVAL, both.num_used, num_prompts)
    return average(of_whole, label)


def _why_none(base: NDArray[np.int64], merged: bool, num_attempts: int, least_samples: int) -> str:
    """Why the table cannot be filled; empty where it can."""
    if num_attempts == 1:
        return "with one attempt at most there are no decisions"
    sizes = dict(zip(CELLS, base.tolist(), strict=True))
    if merged:
        after = sizes.pop(CELLS[1]) + sizes.pop(CELLS[2])
        sizes["attempts after another one"] = after
    for cell, size in sizes.items():
        if 0 < size < least_samples or (size == 0 and cell == CELLS[0]):
            return f"only {size} samples of {cell}; the value table needs {least_samples}"
    return ""


def _num_broken_off(attempts: AttemptTable) -> int:
    """Rollouts whose last attempt was not decided about, and those without any."""
    last_A = np.diff(attempts.rollout_A, append=-1) != 0
    undecided = np.count_nonzero(last_A & (attempts.decision_A == NONE))
    return int(undecided + np.count_nonzero(attempts.num_attempts_R == 0))
