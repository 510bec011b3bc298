"""How often at least one of k answers is right: the pass@k curve, its area, and what blind guessing would reach.

    pass@k = 1 - C(n - c, k) / C(n, k)            for a prompt with c right answers among n scored ones (2107.03374, eq. 1)

The estimate for a prompt set is the mean over its prompts with n >= k; the others are counted as left out. A prompt enters through (n, c)
alone, so all is computed on the table of distinct pairs: a million prompts with 64 rollouts are at most 65 rows.
Left out on purpose: the plug-in 1 - (1 - c/n)^k, which is biased low, and fits that extrapolate beyond n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jominy.groups import Groups
from jominy.records import Bools, Floats, Ints, Measure, Paper
from jominy.stats import share_interval

CODEX = Paper(arxiv="2107.03374", title="Evaluating Large Language Models Trained on Code", where="eq. 1")
MIRAGE = Paper(arxiv="2508.21188", title="Mirage or Method?", where="pass@k as model-task alignment")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountTable:
    """Prompts that look alike to every measure of counts, as one row.

    Example: two prompts with 3 of 8 right and one with 0 of 8: num_scored_T=[8, 8], num_correct_T=[0, 3], num_prompts_T=[1, 2]
    """

    num_scored_T: Ints
    """[T] scored rollouts n of each such prompt."""
    num_correct_T: Ints
    """[T] right ones c, 0 <= c <= n."""
    num_choices_T: Ints
    """[T] size of the answer space; 0 where guessing is hopeless or unknown."""
    num_prompts_T: Ints
    """[T] how many prompts look like this."""

    @staticmethod
    def of(groups: Groups) -> CountTable:
        """The distinct (n, c, choices) of the groups, in that order."""
        return CountTable.of_counts(groups.num_scored_P(), groups.num_correct_P(), groups.num_choices_P)

    @staticmethod
    def of_counts(scored_P: Ints, correct_P: Ints, num_choices_P: Ints | None = None) -> CountTable:
        """The same from the [P] counts of each prompt."""
        choices_P = np.zeros(len(scored_P), dtype=np.int64) if num_choices_P is None else num_choices_P.astype(np.int64)
        answers, choices_P = np.unique(choices_P, return_inverse=True)
        base = int(scored_P.max(initial=0)) + 1
        codes, counts_T = np.unique((choices_P * base + scored_P) * base + correct_P, return_counts=True)
        pairs, correct_T = np.divmod(codes, base)
        which, scored_T = np.divmod(pairs, base)
        return CountTable(num_scored_T=scored_T, num_correct_T=correct_T, num_choices_T=answers[which], num_prompts_T=counts_T)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassAtK:
    """What repeated sampling reaches.

    Example: measure_passk(groups, group_size=16).curve[0].name == "pass@1"
    """

    k_K: tuple[int, ...]
    """Powers of two, ascending; empty when no prompt has a scored rollout."""
    curve: tuple[Measure, ...]
    """[K] pass@k for each of `k_K`; intervals are pointwise."""
    area: Measure
    """Area under the curve over log2 k, divided by its width: 0 never, 1 always; over the prompts that have all k."""
    at_group_size: Measure
    """pass@G: the share of groups with at least one right answer."""
    corrected_curve: tuple[Measure, ...] | None
    """[K] the curve with chance at 0 and certainty at 1; None when no prompt has a known answer space."""
    prompts_V: Ints
    """[V] prompts with at least one scored rollout."""
    pass_rate_V: Floats
    """[V] c / n of each, in [0, 1]."""


def all_drawn_alike(alike: Ints, total: Ints, num_drawn: int) -> NDArray[np.float64]:
    """Chance that `num_drawn` draws without replacement from `total` all fall among the `alike`: C(alike, k) / C(total, k).

    A running product, so nothing overflows: prod_{j=0}^{k-1} (alike - j) / (total - j), which is 0 as soon as alike < k.

    >>> float(all_drawn_alike(np.array([3]), np.array([4]), 2)[0])      # 3/4 * 2/3
    0.5
    """
    if num_drawn < 1 or np.any(total < num_drawn):
        raise ValueError(
            f"drawing {num_drawn} without replacement needs 1 <= {num_drawn} <= {total.min(initial=num_drawn)}, the fewest rollouts"
        )
    chance = np.ones(len(alike))
    for j in range(num_drawn):
        chance *= np.maximum(alike - j, 0) / (total - j)
        if not chance.any():
            break
    return chance


def pass_at_k(num_correct_P: Ints, num_samples_P: Ints, k: int) -> NDArray[np.float64]:
    """Chance that at least one of k answers is right, for each prompt, without bias (2107.03374, eq. 1).

    Args:
        num_correct_P: [P] right answers c, 0 <= c <= n.
        num_samples_P: [P] scored answers n.
        k: answers drawn, 1 <= k <= min(n).

    Returns:
        [P] in [0, 1].

    Raises:
        ValueError: k is larger than the smallest n (no unbiased estimate exists; sample more or lower k).

    >>> pass_at_k(np.array([1]), np.array([4]), k=2)      # 1 - C(3,2)/C(4,2) = 1 - 3/6
    array([0.5])
    """
    if k < 1 or np.any(num_samples_P < k):
        raise ValueError(f"pass@k needs 1 <= k <= {num_samples_P.min()}, the fewest scored answers of any prompt; got k={k}")
    return 1.0 - all_drawn_alike(num_samples_P - num_correct_P, num_samples_P, k)


def chance_at_k(num_choices_P: Ints, k: int) -> NDArray[np.float64]:
    """Chance that one of k blind guesses among m answers is right: 1 - (1 - 1/m)^k; 0 where m is 0 (guessing is hopeless).

    >>> float(chance_at_k(np.array([2]), 2)[0])
    0.75
    """
    guess_P = np.where(num_choices_P > 0, 1.0 / np.maximum(num_choices_P, 1), 0.0)
    return np.asarray(1.0 - (1.0 - guess_P) ** k, dtype=np.float64)


def powers_of_two(largest: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to `largest`.

    >>> powers_of_two(20)
    (1, 2, 4, 8, 16)
    """
    return tuple(1 << power for power in range(max(largest, 0).bit_length()))


def usual_num_scored(table: CountTable) -> int:
    """The scored rollouts that at least half of the prompts have: where curves end unless the caller says otherwise.

    Not the smallest n: one prompt that lost its rewards would cut the curve of all others short.
    """
    running_T = np.cumsum(table.num_prompts_T[np.argsort(-table.num_scored_T, kind="stable")])
    half = np.searchsorted(running_T, (table.num_prompts_T.sum() + 1) // 2)
    return int(np.sort(table.num_scored_T)[::-1][half])


def measure_passk(groups: Groups, *, group_size: int = 16, ks: Sequence[int] | None = None) -> PassAtK:
    """The pass@k curve of a prompt set with 95 % intervals, its area over log2 k, and pass@G.

    Args:
        groups: P prompts; unscored rollouts are ignored and counted.
        group_size: G of the training run that is planned.
        ks: which k; default the powers of two that at least half of the prompts have rollouts for (all have, when n is equal).

    Returns:
        Measures whose value is None, with the reason, where too few rollouts exist.

    >>> measure_passk(Groups.of(rewards=[[1, 0, 0, 0], [0, 0, 0, 0]]), group_size=2).at_group_size.value      # (1/2 + 0) / 2
    0.25
    """
    if group_size < 1 or (ks is not None and any(k < 1 for k in ks)):
        raise ValueError("group_size and every k of pass@k must be at least 1")
    if groups.num_prompts == 0:
        raise ValueError("there are no prompts; pass@k needs at least one group of rollouts")
    table = CountTable.of(groups)
    chosen = powers_of_two(usual_num_scored(table)) if ks is None else tuple(sorted(set(ks)))
    scored_P = groups.num_scored_P()
    prompts_V = np.flatnonzero(scored_P > 0)
    return PassAtK(
        k_K=chosen,
        curve=tuple(pass_measure(table, k, groups.num_unscored) for k in chosen),
        area=_area_measure(table, chosen, groups.num_unscored),
        at_group_size=pass_measure(table, group_size, groups.num_unscored),
        corrected_curve=None
        if not np.any(table.num_choices_T > 1)
        else tuple(_corrected_measure(table, k, groups.num_unscored) for k in chosen),
        prompts_V=prompts_V,
        pass_rate_V=groups.num_correct_P()[prompts_V] / scored_P[prompts_V],
    )


def share_measure(
    name: str,
    table: CountTable,
    used_T: Bools,
    values_T: Floats,
    *,
    why_none: str,
    meaning: str,
    num_unscored: int,
    paper: Paper,
) -> Measure:
    """The mean over prompts of values in [0, 1] on the used rows of the table, with its interval and what was left out."""
    counts_T = table.num_prompts_T[used_T]
    num_used, num_all = int(counts_T.sum()), int(table.num_prompts_T.sum())
    if num_used == 0:
        return Measure(
            name=name, value=None, num_left_out=num_all, num_unscored=num_unscored, why_none=why_none, meaning=meaning, paper=paper
        )
    interval = share_interval(values_T, counts_T)
    return Measure(
        name=name,
        value=float(counts_T @ values_T) / num_used,
        low=interval.low,
        high=interval.high,
        num_prompts=num_used,
        num_left_out=num_all - num_used,
        num_unscored=num_unscored,
        meaning=meaning,
        paper=paper,
    )


def pass_measure(table: CountTable, k: int, num_unscored: int) -> Measure:
    """pass@k over the prompts with at least k scored rollouts, with its interval; the others are counted as left out."""
    used_T = table.num_scored_T >= k
    return share_measure(
        f"pass@{k}",
        table,
        used_T,
        pass_at_k(table.num_correct_T[used_T], table.num_scored_T[used_T], k) if used_T.any() else np.empty(0),
        why_none=f"no prompt has {k} scored rollouts; sample at least {k} a prompt",
        meaning=f"Chance that at least one of {k} sampled answers is right, averaged over the prompts.",
        num_unscored=num_unscored,
        paper=CODEX,
    )


def _corrected_measure(table: CountTable, k: int, num_unscored: int) -> Measure:
    """Mean of (pass@k - chance@k) / (1 - chance@k), a ratio of bounded parts; below 0 means worse than guessing."""
    used_T = (table.num_scored_T >= k) & (table.num_choices_T != 1)
    name, meaning = f"chance-corrected pass@{k}", f"pass@{k} on a scale where blind guessing is 0 and certainty is 1."
    counts_T = table.num_prompts_T[used_T]
    num_used, num_all = int(counts_T.sum()), int(table.num_prompts_T.sum())
    if num_used == 0:
        why = f"no prompt with a choice of answers has {k} scored rollouts; sample at least {k} a prompt"
        return Measure(name=name, value=None, num_left_out=num_all, num_unscored=num_unscored, why_none=why, meaning=meaning, paper=MIRAGE)
    passed_T = pass_at_k(table.num_correct_T[used_T], table.num_scored_T[used_T], k)
    chance_T = chance_at_k(table.num_choices_T[used_T], k)
    corrected_T = (passed_T - chance_T) / (1.0 - chance_T)
    # The interval is found on a scale from the worst value there is (pass@k = 0 at the most generous chance) to 1.
    floor = float(np.min(-chance_T / (1.0 - chance_T)))
    interval = share_interval((corrected_T - floor) / (1.0 - floor), counts_T)
    return Measure(
        name=name,
        value=float(counts_T @ corrected_T) / num_used,
        low=None if interval.low is None else floor + (1.0 - floor) * interval.low,
        high=None if interval.high is None else floor + (1.0 - floor) * interval.high,
        num_prompts=num_used,
        num_left_out=num_all - num_used,
        num_unscored=num_unscored,
        meaning=meaning,
        paper=MIRAGE,
    )


def _area_measure(table: CountTable, ks: tuple[int, ...], num_unscored: int) -> Measure:
    """Trapezoids over log2 k, a weighted mean of pass@k for each prompt, so it has a prompt-level interval like any other share."""
    used_T = table.num_scored_T >= (ks[-1] if ks else 1)
    used_T = used_T if len(ks) > 1 else np.zeros(len(used_T), dtype=bool)
    curves_KT = [pass_at_k(table.num_correct_T[used_T], table.num_scored_T[used_T], k) for k in ks] if used_T.any() else [np.empty(0)]
    log2_K = np.log2(ks) if len(ks) > 1 else np.array([0.0, 1.0])
    area_T = np.trapezoid(np.stack(curves_KT), log2_K, axis=0) / (log2_K[-1] - log2_K[0]) if used_T.any() else np.empty(0)
    return share_measure(
        f"area under pass@1..{ks[-1]}" if ks else "area under pass@k",
        table,
        used_T,
        area_T,
        why_none="an area needs pass@k at two k at least; sample more rollouts a prompt",
        meaning="Mean height of the pass@k curve over log2 k: 0 when nothing is ever solved, 1 when all is solved at once.",
        num_unscored=num_unscored,
        paper=MIRAGE,
    )
