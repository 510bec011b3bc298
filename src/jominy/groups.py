"""Groups as columns: N rollouts in arrays, P prompts as offsets into them. The only place that knows offsets.

A group is the rollouts of one prompt. Row i belongs to prompt p when offsets_P1[p] <= i < offsets_P1[p+1].
Measures never loop over prompts: they ask for `blocks`, dense [B, n] views of groups with equally many scored rollouts,
which keeps 64 million rollouts to a few array passes in bounded memory.
Left out on purpose: text and tokens. They stay in the Arrow table (`store`); a measure needs numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jominy.records import Bools, Floats, Ints

BLOCK_ELEMENTS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """Rollouts of P prompts, N in all, as parallel columns.

    Example: Groups.of(rewards=[[1, 0, 0, 1], [0, 0, 0, 0]])
    """

    offsets_P1: Ints
    """[P+1] int64, offsets_P1[0] = 0, non-decreasing, offsets_P1[P] = N."""
    rewards_N: Floats
    """[N] rewards; the value where `scored_N` is False is meaningless."""
    scored_N: Bools
    """[N] whether the reward could be computed."""
    correct_N: Bools
    """[N] whether the response is right (gold where known, else reward at or above the success threshold); False where unscored."""
    paid_N: Bools | None = None
    """[N] whether the reward reached the success threshold although gold decides `correct_N`; False where no gold is known;
    None where the reward itself decides everywhere."""
    probability_N: Floats | None = None
    """[N] in (0, 1], geometric mean of the token probabilities at temperature 1; NaN where unknown."""
    truncated_N: Bools | None = None
    """[N] whether the response was cut at the token limit."""
    num_tokens_N: Ints | None = None
    """[N] tokens in the response."""
    repetitive_N: Bools | None = None
    """[N] whether the response repeats itself."""
    prompt_ids: tuple[str, ...] | None = None
    """[P] identities, in the order of the offsets."""
    num_choices_P: Ints | None = None
    """[P] size of the answer space, 0 where guessing is hopeless."""
    task_P: Ints | None = None
    """[P] position in `tasks` of the task that each prompt is from; None where nothing says."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks, distinct."""

    def __post_init__(self) -> None:
        num_rollouts = len(self.rewards_N)
        if len(self.offsets_P1) < 1 or self.offsets_P1[0] != 0 or self.offsets_P1[-1] != num_rollouts:
            raise ValueError(f"offsets_P1 must start at 0 and end at the {num_rollouts} rollouts")
        if np.any(np.diff(self.offsets_P1) < 0):
            raise ValueError("offsets_P1 must not decrease")
        for name in ("scored_N", "correct_N", "paid_N", "probability_N", "truncated_N", "num_tokens_N", "repetitive_N"):
            column = getattr(self, name)
            if column is not None and len(column) != num_rollouts:
                raise ValueError(f"{name} has {len(column)} entries for {num_rollouts} rollouts")
        if self.task_P is not None and len(self.task_P) != self.num_prompts:
            raise ValueError(f"task_P has {len(self.task_P)} entries for {self.num_prompts} prompts")

    @staticmethod
    def of(
        *,
        rewards: Sequence[Sequence[float | None]],
        probability: Sequence[Sequence[float]] | None = None,
        success: float = 1.0,
        tasks: Sequence[str] | None = None,
    ) -> Groups:
        """Groups from nested lists, one inner list and one of `tasks` a prompt; None is unscored. For tests, docs and notebooks."""
        flat = [reward for group in rewards for reward in group]
        scored_N = np.array([reward is not None for reward in flat], dtype=bool)
        rewards_N = np.array([0.0 if reward is None else reward for reward in flat], dtype=np.float64)
        probability_N = None if probability is None else np.array([p for group in probability for p in group], dtype=np.float64)
        names = tuple(dict.fromkeys(tasks or ()))
        return Groups(
            offsets_P1=np.cumsum([0] + [len(group) for group in rewards]),
            rewards_N=rewards_N,
            scored_N=scored_N,
            correct_N=scored_N & (rewards_N >= success),
            probability_N=probability_N,
            task_P=None if tasks is None else np.array([names.index(task) for task in tasks], dtype=np.int64),
            tasks=names,
        )

    @property
    def num_prompts(self) -> int:
        """P."""
        return len(self.offsets_P1) - 1

    @property
    def num_rollouts(self) -> int:
        """N."""
        return len(self.rewards_N)

    @property
    def num_unscored(self) -> int:
        """Rollouts without a reward."""
        return int(self.num_rollouts - np.count_nonzero(self.scored_N))

    def count_P(self, column_N: Bools) -> Ints:
        """[P] how many rollouts of each prompt have the column set."""
        counts_P: Ints = np.zeros(self.num_prompts, dtype=np.int64)
        filled = np.flatnonzero(np.diff(self.offsets_P1))
        if len(filled) > 0:
            # Between the starts of non-empty groups lies exactly one group; 20 times faster than differences of a running sum.
            counts_P[filled] = np.add.reduceat(column_N.view(np.uint8), self.offsets_P1[filled], dtype=np.int32)
        return counts_P

    def only(self, keep_N: Bools) -> Groups:
        """The same prompts with the kept rollouts alone, in the same order; a prompt may be left with none.

        >>> Groups.of(rewards=[[1, None, 0], [None]]).only(np.array([True, False, True, False])).offsets_P1
        array([0, 2, 2])
        """
        if bool(keep_N.all()):
            return self
        return replace(
            self,
            offsets_P1=np.concatenate(([0], np.cumsum(self.count_P(keep_N)))),
            rewards_N=self.rewards_N[keep_N],
            scored_N=self.scored_N[keep_N],
            correct_N=self.correct_N[keep_N],
            paid_N=None if self.paid_N is None else self.paid_N[keep_N],
            probability_N=None if self.probability_N is None else self.probability_N[keep_N],
            truncated_N=None if self.truncated_N is None else self.truncated_N[keep_N],
            num_tokens_N=None if self.num_tokens_N is None else self.num_tokens_N[keep_N],
            repetitive_N=None if self.repetitive_N is None else self.repetitive_N[keep_N],
        )

    def num_scored_P(self) -> Ints:
        """[P] scored rollouts n of each prompt."""
        return self.count_P(self.scored_N)

    def num_correct_P(self) -> Ints:
        """[P] right answers c among the scored ones."""
        return self.count_P(self.correct_N & self.scored_N)

    def blocks(self, keep_N: Bools | None = None, max_elements: int = BLOCK_ELEMENTS) -> Iterator[Block]:
        """Dense pieces that together hold every kept rollout once; a prompt is never split.

        Args:
            keep_N: [N] rollouts that enter; default: the scored ones.
            max_elements: upper bound on B * n (a single larger group is still one block).
        """
        keep_N = self.scored_N if keep_N is None else keep_N
        sizes_P = self.count_P(keep_N)
        kept = None if bool(keep_N.all()) else np.flatnonzero(keep_N)
        starts_P = np.concatenate(([0], np.cumsum(sizes_P)))[:-1]
        for size in np.unique(sizes_P):
            if size == 0:
                continue
            members = np.flatnonzero(sizes_P == size)
            step = max(1, max_elements // int(size))
            for first in range(0, len(members), step):
                prompts_B = members[first : first + step]
                yield Block(prompts_B=prompts_B, starts_B=starts_P[prompts_B], size=int(size), kept=kept)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """B groups of n kept rollouts each, as a recipe to cut any column into [B, n]."""

    prompts_B: Ints
    """[B] which prompts these are."""
    starts_B: Ints
    """[B] first kept rollout of each."""
    size: int
    """n."""
    kept: Ints | None
    """Row numbers of the kept rollouts; None when all are kept."""

    def cut(self, column_N: NDArray[Any]) -> NDArray[Any]:
        """[B, n] the column's values of this block; a view where the rows are contiguous."""
        first, last = int(self.starts_B[0]), int(self.starts_B[-1]) + self.size
        contiguous = last - first == len(self.starts_B) * self.size
        if contiguous:
            rows = column_N[first:last] if self.kept is None else column_N[self.kept[first:last]]
            return rows.reshape(len(self.starts_B), self.size)
        if self.kept is None:
            # Row starts into a strided view copy whole rows; an index for each element costs five times as much.
            windows: NDArray[Any] = np.lib.stride_tricks.sliding_window_view(column_N, self.size)
            return windows[self.starts_B]
        rows_Bn: NDArray[Any] = column_N[self.kept[self.starts_B[:, None] + np.arange(self.size)]]
        return rows_Bn
