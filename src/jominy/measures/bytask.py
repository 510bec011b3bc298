"""The same rollouts task by task: what a paper's table of benchmarks shows, for any mix of tasks.

    avg@K     mean over the problems of a task of (right / scored), K samples a problem: pass@1 under its usual name
    average   (1 / T) sum over the T tasks of avg@K, every task counting the same       (the column Avg of 2601.06911, Table 1)

The resampling unit is the problem, and the tasks are fixed: the interval of the average is that of other problems, not of other benchmarks.
All is computed from counts of each prompt, and S is taken from where it has been measured, so T tasks cost no more than one.
S of different K is not comparable as it stands: S of permuted labels says what each task would have at its class sizes by noise alone.
Left out on purpose: the mean over all problems, which is pass@1 of the whole, and drawing permutations, which `clarity` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jominy.groups import Groups
from jominy.measures.passk import CountTable, pass_measure, powers_of_two, usual_num_scored
from jominy.measures.silhouette import PermutedClarity, PromptClarity
from jominy.records import Bools, Floats, Ints, Measure, Paper
from jominy.results import ByTask, TaskSummary
from jominy.stats import Interval, average_interval, mean_interval, share_interval

MOST_TASKS = 50
"""More are no table that anybody reads."""
FIRST_K = 8
"""pass@k is shown at 1 and from here on, doubling."""
TABLE = Paper(arxiv="2601.06911", title="Distributional Clarity", where="Table 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Counts:
    """What is counted of each prompt; NaN in S where it is undefined.

    Example: _Counts.of(groups, None).right_P
    """

    drawn_P: Ints
    scored_P: Ints
    right_P: Ints
    cut_P: Ints | None
    silhouette_P: Floats | None
    balanced_P: Floats | None
    null_P: Floats | None

    @staticmethod
    def of(groups: Groups, clarity: PromptClarity | None, permuted: PermutedClarity | None = None) -> _Counts:
        """Of all prompts."""
        return _Counts(
            drawn_P=np.diff(groups.offsets_P1),
            scored_P=groups.num_scored_P(),
            right_P=groups.num_correct_P(),
            cut_P=None if groups.truncated_N is None else groups.count_P(groups.truncated_N),
            silhouette_P=None if clarity is None else _spread(clarity.prompts_V, clarity.silhouette_V, groups.num_prompts),
            balanced_P=None if clarity is None else _spread(clarity.prompts_V, clarity.balanced_V, groups.num_prompts),
            null_P=None if permuted is None else _spread(permuted.prompts_W, permuted.null_mean_W, groups.num_prompts),
        )

    def at(self, which_P: Bools) -> _Counts:
        """Of some prompts."""
        return _Counts(
            drawn_P=self.drawn_P[which_P],
            scored_P=self.scored_P[which_P],
            right_P=self.right_P[which_P],
            cut_P=None if self.cut_P is None else self.cut_P[which_P],
            silhouette_P=None if self.silhouette_P is None else self.silhouette_P[which_P],
            balanced_P=None if self.balanced_P is None else self.balanced_P[which_P],
            null_P=None if self.null_P is None else self.null_P[which_P],
        )


def measure_by_task(groups: Groups, clarity: PromptClarity | None, permuted: PermutedClarity | None = None) -> ByTask | None:
    """Pass rates, S and what was left out, for each task.

    Args:
        groups: P prompts; None comes back unless they are of 2 to `MOST_TASKS` tasks.
        clarity: S of each prompt, at temperature 1; None where no probabilities are known.
        permuted: the same under permuted labels.

    >>> groups = Groups.of(rewards=[[1, 1], [0, 1], [0, 0]], tasks=["easy", "hard", "hard"])
    >>> found = measure_by_task(groups, None)
    >>> [(one.task, one.pass_rate.name, one.pass_rate.value) for one in found.tasks], found.average[0].value      # (1 + 1/4) / 2
    ([('easy', 'avg@2', 1.0), ('hard', 'avg@2', 0.25)], 0.625)
    """
    if groups.task_P is None or not 2 <= len(groups.tasks) <= MOST_TASKS:
        return None
    counts = _Counts.of(groups, clarity, permuted)
    order = sorted(range(len(groups.tasks)), key=lambda t: groups.tasks[t])
    tasks = tuple(_summary(groups.tasks[t], counts.at(groups.task_P == t)) for t in order)
    return ByTask(tasks=tasks, average=_averages(tasks))


def shown_ks(num_samples: int) -> tuple[int, ...]:
    """1 and the powers of two from 8 to `num_samples`; below 8, 1 and the largest.

    >>> shown_ks(48), shown_ks(5), shown_ks(1)
    ((1, 8, 16, 32), (1, 4), (1,))
    """
    ks = powers_of_two(num_samples)
    return tuple(k for k in ks if k == 1 or k >= min(FIRST_K, ks[-1]))


def _summary(task: str, counts: _Counts) -> TaskSummary:
    num_problems = len(counts.drawn_P)
    num_samples = int(np.sort(counts.drawn_P)[::-1][(num_problems - 1) // 2]) if num_problems else 0
    num_unscored = int((counts.drawn_P - counts.scored_P).sum())
    table = CountTable.of_counts(counts.scored_P, counts.right_P)
    meaning = f"Share of right answers among {num_samples} samples a problem, averaged over the problems."
    return TaskSummary(
        task=task,
        num_problems=num_problems,
        num_samples=num_samples,
        pass_rate=replace(pass_measure(table, 1, num_unscored), name=f"avg@{num_samples}", meaning=meaning, paper=TABLE),
        passk=tuple(pass_measure(table, k, num_unscored) for k in shown_ks(max(1, usual_num_scored(table)))),
        coverage=_coverage(counts.silhouette_P, num_unscored),
        silhouette=_mean("silhouette", counts.silhouette_P, num_problems, num_unscored),
        null_silhouette=_mean("silhouette of permuted labels", counts.null_P, num_problems, num_unscored),
        balanced=_mean("balanced silhouette", counts.balanced_P, num_problems, num_unscored),
        truncated=_share("truncated share", counts.cut_P, counts.drawn_P, "the rollouts do not say whether they were cut"),
        unscored=_share("unscored share", counts.drawn_P - counts.scored_P, counts.drawn_P, ""),
    )


NO_PROBABILITY = "the rollouts have no log-probabilities at temperature 1"


def _coverage(silhouette_P: Floats | None, num_unscored: int) -> Measure:
    shell = Measure(name="clarity coverage", value=None, num_unscored=num_unscored, why_none=NO_PROBABILITY)
    if silhouette_P is None:
        return replace(shell, num_left_out=0)
    defined_P = np.isfinite(silhouette_P).astype(np.float64)
    return _filled(shell, float(defined_P.mean()), share_interval(defined_P), len(defined_P))


def _mean(name: str, values_P: Floats | None, num_problems: int, num_unscored: int) -> Measure:
    """The mean of S over the problems that have one."""
    shell = Measure(name=name, value=None, unit="S", num_left_out=num_problems, num_unscored=num_unscored, why_none=NO_PROBABILITY)
    if values_P is None:
        return shell
    defined_V = values_P[np.isfinite(values_P)]
    if len(defined_V) == 0:
        return replace(shell, why_none="no problem has right and wrong answers with known probabilities")
    filled = _filled(shell, float(defined_V.mean()), mean_interval(defined_V, bounds=(-1.0, 1.0)), len(defined_V))
    return replace(filled, num_left_out=num_problems - len(defined_V))


def _share(name: str, hits_P: Ints | None, drawn_P: Ints, why_none: str) -> Measure:
    """A share of rollouts, clustered by problem."""
    shell = Measure(name=name, value=None, why_none=why_none)
    if hits_P is None:
        return shell
    used_P = drawn_P > 0
    interval = share_interval(hits_P[used_P] / drawn_P[used_P], weights_T=drawn_P[used_P])
    return _filled(shell, float(hits_P.sum() / drawn_P.sum()), interval, int(np.count_nonzero(used_P)))


def _filled(shell: Measure, value: float, interval: Interval, num_prompts: int) -> Measure:
    return replace(shell, value=value, low=interval.low, high=interval.high, num_prompts=num_prompts, why_none="")


def _averages(tasks: tuple[TaskSummary, ...]) -> tuple[Measure, ...]:
    sizes = {one.num_samples for one in tasks}
    name = f"avg@{sizes.pop()}" if len(sizes) == 1 else "avg@K"
    found = [_average(f"mean of {name} over tasks", [(one.task, one.pass_rate) for one in tasks])]
    for first in tasks[0].passk:
        of_tasks = [(one.task, measure) for one in tasks for measure in one.passk if measure.name == first.name]
        if len(of_tasks) == len(tasks):
            found.append(_average(f"mean of {first.name} over tasks", of_tasks))
    return tuple(found)


def _average(name: str, of_tasks: list[tuple[str, Measure]]) -> Measure:
    measures = [measure for _, measure in of_tasks]
    values = [measure.value for measure in measures if measure.value is not None]
    shell = Measure(
        name=name,
        value=None,
        num_prompts=sum(measure.num_prompts for measure in measures),
        num_left_out=sum(measure.num_left_out for measure in measures),
        num_unscored=sum(measure.num_unscored for measure in measures),
        meaning="Every task counts the same, however many problems it has; other problems would move it, other tasks are not considered.",
        paper=TABLE,
    )
    if len(values) < len(measures):
        undefined = next((task, measure.why_none) for task, measure in of_tasks if measure.value is None)
        return replace(shell, why_none=f"{undefined[0]} has no value: {undefined[1]}")
    interval = average_interval(values, [Interval(low=measure.low, high=measure.high) for measure in measures])
    return replace(shell, value=float(np.mean(values)), low=interval.low, high=interval.high)


def _spread(prompts_V: Ints, values_V: Floats, num_prompts: int) -> Floats:
    """[P] the values of some prompts, NaN elsewhere."""
    values_P = np.full(num_prompts, np.nan)
    values_P[prompts_V] = values_V
    return values_P
