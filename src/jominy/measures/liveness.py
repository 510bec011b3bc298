"""How many groups would carry a gradient: with equal rewards in a group, every group-relative advantage is zero.

    live share at G = E[1 - p^G - (1 - p)^G] = mean of 1 - C(c, G)/C(n, G) - C(n - c, G)/C(n, G)            (for n >= G; without bias)

p is a prompt's pass rate, c of n its right answers: the two terms are the chances that G drawn from the n are all right or all wrong.
(2508.21188 states the mechanism; the unbiased form is the same count argument as pass@k, 2107.03374.)
Two effective numbers of prompts: P * live share, the groups that a step of P prompts really trains on; and the participation number
(sum v)^2 / sum v^2 of v = p (1 - p), the number of equally informative prompts that would spread the signal as evenly as these do.
Left out on purpose: which prompts to drop. That is `refine`'s business; `live_P` says how alive each is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.groups import Groups
from jominy.measures.passk import MIRAGE, CountTable, all_drawn_alike, powers_of_two, share_measure, usual_num_scored
from jominy.measures.shares import share_of_rollouts
from jominy.records import Bools, Floats, Ints, Measure, Paper
from jominy.stats import bootstrap_interval, share_interval

DAPO = Paper(arxiv="2503.14476", title="DAPO", where="section 3.2, dynamic sampling")
OURS = Paper(arxiv="", title="our definition; see the module's docstring")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Liveness:
    """Whether the groups can teach anything.

    Example: measure_liveness(groups, rng, group_size=16).live.value      # 0.21: about one group in five would train
    """

    live: Measure
    """Expected share of groups of `group_size` with right and wrong answers."""
    all_right: Measure
    """Expected share of groups of `group_size` with right answers only."""
    all_wrong: Measure
    """Expected share of groups of `group_size` with wrong answers only."""
    group_sizes: tuple[int, ...]
    """Further group sizes G, ascending."""
    live_curve: tuple[Measure, ...]
    """The live share at each of `group_sizes`."""
    observed_live: Measure
    """Share of the sampled groups, at the size they have, with right and wrong answers."""
    observed_all_right: Measure
    """Share of the sampled groups with right answers only."""
    observed_all_wrong: Measure
    """Share of the sampled groups with wrong answers only."""
    gradient: Measure
    """Expected share of groups of `group_size` whose rewards are not all equal: what GRPO can learn from. Equals `live` when rewards are
    0 and 1; differs when they are graded, or when gold and reward disagree."""
    live_prompts: Measure
    """P * live share: how many of the prompts with enough rollouts a step would train on, in prompts."""
    participation: Measure
    """(sum v)^2 / sum v^2 of v = p (1 - p), in prompts; between 1 and P."""
    truncated: Measure
    """Share of the rollouts cut at the token limit; clustered by prompt."""
    repetitive: Measure
    """Share of the rollouts that repeat themselves; clustered by prompt."""
    prompts_V: Ints
    """[V] prompts with at least `group_size` scored rollouts."""
    live_V: Floats
    """[V] their chance of a live group, in [0, 1]."""


def live_chance(num_correct_P: Ints, num_samples_P: Ints, group_size: int) -> NDArray[np.float64]:
    """Chance that a group of G holds right and wrong answers, for each prompt, without bias.

    Args:
        num_correct_P: [P] right answers c, 0 <= c <= n.
        num_samples_P: [P] scored answers n.
        group_size: G, 1 <= G <= min(n).

    Returns:
        [P] in [0, 1].

    >>> live_chance(np.array([1]), np.array([4]), group_size=2)      # of the 6 pairs, 3 hold the right one
    array([0.5])
    """
    right_P = all_drawn_alike(num_correct_P, num_samples_P, group_size)
    wrong_P = all_drawn_alike(num_samples_P - num_correct_P, num_samples_P, group_size)
    return np.clip(1.0 - right_P - wrong_P, 0.0, 1.0)


def measure_liveness(
    groups: Groups, rng: np.random.Generator, *, group_size: int = 16, group_sizes: Sequence[int] | None = None
) -> Liveness:
    """Live, all-right and all-wrong shares, effective numbers of prompts, truncation and repetition, with 95 % intervals.

    Args:
        groups: P prompts; unscored rollouts are ignored and counted.
        rng: source of the bootstrap resamples (for `participation` only; the shares need none).
        group_size: G of the training run that is planned, at least 2.
        group_sizes: sizes for the curve; default 2, 4, 8, ... as far as at least half of the prompts have rollouts.

    Returns:
        Measures whose value is None, with the reason, where too few rollouts exist or a column is missing.

    >>> measure_liveness(Groups.of(rewards=[[1, 0, 0, 0], [0, 0, 0, 0]]), np.random.default_rng(0), group_size=2).live.value
    0.25
    """
    if group_size < 2 or (group_sizes is not None and any(size < 2 for size in group_sizes)):
        raise ValueError("a group needs at least two rollouts to compare; use group sizes of 2 or more")
    if groups.num_prompts == 0:
        raise ValueError("there are no prompts; liveness needs at least one group of rollouts")
    table = CountTable.of(groups)
    sizes = powers_of_two(usual_num_scored(table))[1:] if group_sizes is None else tuple(sorted(set(group_sizes)))
    scored_P = groups.num_scored_P()
    prompts_V = np.flatnonzero(scored_P >= group_size)
    live = _expected(table, group_size, "live", groups.num_unscored)
    return Liveness(
        live=live,
        all_right=_expected(table, group_size, "all-right", groups.num_unscored),
        all_wrong=_expected(table, group_size, "all-wrong", groups.num_unscored),
        group_sizes=sizes,
        live_curve=tuple(_expected(table, size, "live", groups.num_unscored) for size in sizes),
        observed_live=_observed(table, "live", groups.num_unscored),
        observed_all_right=_observed(table, "all-right", groups.num_unscored),
        observed_all_wrong=_observed(table, "all-wrong", groups.num_unscored),
        gradient=_gradient(groups, group_size),
        live_prompts=_live_prompts(live),
        participation=_participation(table, rng, groups.num_unscored),
        truncated=_rollout_share(groups, "truncated", groups.truncated_N, "cut at the token limit"),
        repetitive=_rollout_share(groups, "repetitive", groups.repetitive_N, "that repeat themselves"),
        prompts_V=prompts_V,
        live_V=live_chance(groups.num_correct_P()[prompts_V], scored_P[prompts_V], group_size),
    )


def gradient_chance(groups: Groups, group_size: int) -> NDArray[np.float64]:
    """[P] chance that G of a prompt's scored rewards are not all equal, without bias; NaN for prompts with fewer than G.

    1 - sum over distinct rewards of C(m, G) / C(n, G), m being how often a reward occurs: `live_chance` for any number of values.

    >>> gradient_chance(Groups.of(rewards=[[0.2, 0.2, 0.7, 0.9]]), group_size=2)      # of the 6 pairs, 1 is equal
    array([0.83333333])
    """
    chance_P = np.full(groups.num_prompts, np.nan)
    for block in groups.blocks():
        if block.size < group_size:
            continue
        sorted_Bn = np.sort(block.cut(groups.rewards_N), axis=1)
        last_Bn = np.concatenate([sorted_Bn[:, 1:] != sorted_Bn[:, :-1], np.ones((len(sorted_Bn), 1), dtype=bool)], axis=1)
        group_K, ends_K = np.nonzero(last_Bn)
        starts_K = np.where(np.diff(group_K, prepend=-1) > 0, -1, np.roll(ends_K, 1))
        equal_K = all_drawn_alike(ends_K - starts_K, np.full(len(ends_K), block.size), group_size)
        chance_P[block.prompts_B] = 1.0 - np.bincount(group_K, equal_K, len(sorted_Bn))
    return np.asarray(np.clip(chance_P, 0.0, 1.0), dtype=np.float64)


_KINDS = {
    "live": "hold right and wrong answers",
    "all-right": "hold right answers only",
    "all-wrong": "hold wrong answers only",
}


def _kind_chance(table: CountTable, used_T: Bools, group_size: int, kind: str) -> NDArray[np.float64]:
    scored_T, correct_T = table.num_scored_T[used_T], table.num_correct_T[used_T]
    if kind == "live":
        return live_chance(correct_T, scored_T, group_size)
    return all_drawn_alike(correct_T if kind == "all-right" else scored_T - correct_T, scored_T, group_size)


def _expected(table: CountTable, group_size: int, kind: str, num_unscored: int) -> Measure:
    used_T = table.num_scored_T >= group_size
    return share_measure(
        f"{kind} share at G={group_size}",
        table,
        used_T,
        _kind_chance(table, used_T, group_size, kind),
        why_none=f"no prompt has {group_size} scored rollouts; sample at least {group_size} a prompt or plan a smaller group",
        meaning=f"Expected share of groups of {group_size} that {_KINDS[kind]}.",
        num_unscored=num_unscored,
        paper=MIRAGE,
    )


def _observed(table: CountTable, kind: str, num_unscored: int) -> Measure:
    used_T = table.num_scored_T >= 2
    scored_T, correct_T = table.num_scored_T[used_T], table.num_correct_T[used_T]
    held_T = {"live": (correct_T > 0) & (correct_T < scored_T), "all-right": correct_T == scored_T, "all-wrong": correct_T == 0}[kind]
    return share_measure(
        f"observed {kind} share",
        table,
        used_T,
        held_T.astype(np.float64),
        why_none="no prompt has two scored rollouts",
        meaning=f"Share of the sampled groups that {_KINDS[kind]}.",
        num_unscored=num_unscored,
        paper=DAPO,
    )


def _gradient(groups: Groups, group_size: int) -> Measure:
    """Mean of `gradient_chance`, as a measure."""
    chance_P = gradient_chance(groups, group_size)
    values_V = chance_P[np.isfinite(chance_P)]
    shell = Measure(
        name=f"gradient share at G={group_size}",
        value=None,
        num_prompts=len(values_V),
        num_left_out=groups.num_prompts - len(values_V),
        num_unscored=groups.num_unscored,
        meaning=f"Expected share of groups of {group_size} whose rewards are not all equal: only these move the weights.",
        paper=DAPO,
    )
    if len(values_V) == 0:
        return replace(shell, why_none=f"no prompt has {group_size} scored rollouts; sample at least {group_size} a prompt")
    values_T, counts_T = np.unique(values_V, return_counts=True)
    interval = share_interval(values_T, counts_T)
    return replace(shell, value=float(values_V.mean()), low=interval.low, high=interval.high)


def _live_prompts(live: Measure) -> Measure:
    scale = live.num_prompts
    return replace(
        live,
        name="effective number of live prompts",
        value=None if live.value is None else live.value * scale,
        low=None if live.low is None else live.low * scale,
        high=None if live.high is None else live.high * scale,
        unit="prompts",
        meaning="Prompts whose group is expected to hold right and wrong answers: the live share times the prompts.",
        paper=OURS,
    )


def _participation(table: CountTable, rng: np.random.Generator, num_unscored: int) -> Measure:
    """P * mean(v)^2 / mean(v^2), both means without bias from counts: E[v] from c (n - c) / (n (n - 1)), E[v^2] from pairs of pairs."""
    used_T = table.num_scored_T >= 4
    n, c, counts_T = (
        table.num_scored_T[used_T].astype(np.float64),
        table.num_correct_T[used_T].astype(np.float64),
        table.num_prompts_T[used_T],
    )
    num_used = int(counts_T.sum())
    shell = Measure(
        name="participation number",
        value=None,
        unit="prompts",
        num_prompts=num_used,
        num_left_out=int(table.num_prompts_T.sum()) - num_used,
        num_unscored=num_unscored,
        meaning="How many equally uncertain prompts would spread the signal p (1 - p) as evenly as these prompts do.",
        paper=OURS,
    )
    if num_used == 0:
        return replace(shell, why_none="no prompt has four scored rollouts, which the square of p (1 - p) needs")
    signal_T = c * (n - c) / (n * (n - 1))
    square_T = c * (c - 1) * (n - c) * (n - c - 1) / (n * (n - 1) * (n - 2) * (n - 3))
    if not square_T.any():
        return replace(shell, why_none="no prompt has two right and two wrong answers: too little signal to say how it is spread")

    def spread(means: Floats) -> NDArray[np.float64]:
        defined = means[..., 1] > 0
        ratio = means[..., 0] ** 2 / np.where(defined, means[..., 1], 1.0)
        return np.where(defined, np.minimum(ratio, 1.0), np.nan)

    columns_T2 = np.stack([signal_T, square_T], axis=1)
    interval = bootstrap_interval(columns_T2, spread, rng, counts_T, bounds=(1.0 / num_used, 1.0))
    return replace(
        shell,
        value=num_used * float(spread(counts_T @ columns_T2 / num_used)),
        low=None if interval.low is None else num_used * interval.low,
        high=None if interval.high is None else num_used * interval.high,
    )


def _rollout_share(groups: Groups, name: str, column_N: Bools | None, what: str) -> Measure:
    """A share of rollouts, scored or not."""
    meaning = f"Share of the sampled rollouts {what}."
    if column_N is None:
        return Measure(name=f"{name} share", value=None, why_none=f"the rollouts have no column `{name}`", meaning=meaning)
    every_N = np.ones(groups.num_rollouts, dtype=bool)
    return share_of_rollouts(groups, column_N, every_N, name=f"{name} share", meaning=meaning, why_none="there are no rollouts", paper=OURS)
