"""How often a reward or a judge is right: the full confusion matrix against a known truth, by type, by number of constraints, by response.

                     says satisfied     says violated
    is satisfied     true accept        false reject         recall on true  = true accepts / satisfied
    is violated      false accept       true reject          recall on false = true rejects / violated

    precision = true accepts / said satisfied      accuracy = (true accepts + true rejects) / scored      base rate = satisfied / scored
    precision at even odds = a / (a + f),  a = recall on true,  f = false accept      what it would be if half were satisfied

An item is one constraint of one response. A response is satisfied when all its constraints are, is said to be when all are said to be, and
is unscored when one of them is. "Precision" names several of these in the literature, and readers of 2601.04954 differ, so all stand here.
Precision and accuracy move with the base rate, the two recalls and the precision at even odds do not: a response that violates one of
three constraints satisfies two, so who says yes to everything has a high precision of single constraints. Hold judges against each other
on the recalls.
A table has two splits, by type and by kind (hard: in words that code decides; soft: in words that take a judge). A type asked in both
kinds is two things to a judge, so each kind has its cells by type.
Intervals are the score intervals of `clustered`: items of one prompt go together, and where each has a prompt of its own they are Wilson's.
Left out on purpose: what the errors do to training (`reward_errors`), repeats (`agreement`), the verdict (`trust`), asking anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from jominy.measures.carried import Carried, paid_wrong
from jominy.measures.clustered import Label, Ratio, share
from jominy.records import Bools, Ints, Measure, Paper

PRECISION = Paper(arxiv="2601.04954", title="Precision over Diversity", where="reliability of judges; the intervals are ours")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConfusionTable:
    """M judged items with their truth.

    Example: ConfusionTable(truth_M=np.array([True, False]), said_M=np.array([True, True]), scored_M=np.array([True, True]),
                            type_M=np.array([0, 0]), count_M=np.array([1, 1]), prompt_M=np.array([7, 7]), response_M=np.array([0, 1]),
                            type_names=("no_commas",))
    """

    truth_M: Bools
    """[M] whether the constraint is satisfied."""
    said_M: Bools
    """[M] whether it is said to be; meaningless where unscored."""
    scored_M: Bools
    """[M] whether there is a verdict."""
    type_M: Ints
    """[M] place in `type_names`; constraint types, or any other split: kinds, judges, probes."""
    count_M: Ints
    """[M] constraints that the prompt has."""
    prompt_M: Ints
    """[M] whose it is, any numbers: the unit that could have been another one."""
    response_M: Ints
    """[M] which response, any numbers; a response has one prompt."""
    type_names: tuple[str, ...]
    """What the types are called."""
    kind_M: Ints | None = None
    """[M] place in `kind_names`, -1 where it is of none; None where nothing is known of kinds."""
    kind_names: tuple[str, ...] = ()
    """What the kinds are called."""

    def __post_init__(self) -> None:
        columns = [self.truth_M, self.said_M, self.scored_M, self.type_M, self.count_M, self.prompt_M, self.response_M]
        columns += [] if self.kind_M is None else [self.kind_M]
        if len({column.shape for column in columns}) != 1 or self.truth_M.ndim != 1:
            raise ValueError(f"the columns of a confusion table must have one length M, got {[column.shape for column in columns]}")
        if self.num_items and not (self.type_M.min() >= 0 and self.type_M.max() < len(self.type_names)):
            raise ValueError(f"type_M must lie in 0..{len(self.type_names) - 1}, the places in type_names")
        if self.kind_M is not None and self.num_items and not (self.kind_M.min() >= -1 and self.kind_M.max() < len(self.kind_names)):
            raise ValueError(f"kind_M must lie in -1..{len(self.kind_names) - 1}, the places in kind_names")

    @property
    def num_items(self) -> int:
        """M."""
        return len(self.truth_M)

    def where(self, keep_M: Bools) -> ConfusionTable:
        """Some of the items."""
        return replace(
            self,
            truth_M=self.truth_M[keep_M],
            said_M=self.said_M[keep_M],
            scored_M=self.scored_M[keep_M],
            type_M=self.type_M[keep_M],
            count_M=self.count_M[keep_M],
            prompt_M=self.prompt_M[keep_M],
            response_M=self.response_M[keep_M],
            kind_M=None if self.kind_M is None else self.kind_M[keep_M],
        )

    def of_kind(self, place: int) -> ConfusionTable:
        """The items of one kind, the place in `kind_names`."""
        assert self.kind_M is not None, "the table knows of kinds"
        return self.where(self.kind_M == place)

    def responses(self) -> ConfusionTable:
        """One item a response: all its constraints at once, as an all-or-nothing reward sees it. It has one type, `all constraints`, and
        no kind.
        """
        _, first_R, response_M = np.unique(self.response_M, return_index=True, return_inverse=True)
        num_responses = len(first_R)

        def all_of(holds_M: Bools) -> Bools:
            every: Bools = np.bincount(response_M[~holds_M], minlength=num_responses) == 0
            return every

        return ConfusionTable(
            truth_M=all_of(self.truth_M),
            said_M=all_of(self.said_M),
            scored_M=all_of(self.scored_M),
            type_M=np.zeros(num_responses, dtype=np.int64),
            count_M=self.count_M[first_R],
            prompt_M=self.prompt_M[first_R],
            response_M=self.response_M[first_R],
            type_names=("all constraints",),
        )

    def accepted_among(self, among_M: Bools) -> Ratio:
        """The scored items of `among_M` that are said to be satisfied, as a ratio over all prompts of the table."""
        prompts, prompt_M = np.unique(self.prompt_M, return_inverse=True)
        return Ratio.over(self.said_M, self.scored_M & among_M, prompt_M, len(prompts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The confusion matrix alone, without intervals: what can be added up.

    Example: Counts(true_accepts=40, false_accepts=22, false_rejects=1, true_rejects=8, num_unscored=0).recall_false == 8 / 30
    """

    true_accepts: int
    """Satisfied, and said to be."""
    false_accepts: int
    """Violated, and said to be satisfied."""
    false_rejects: int
    """Satisfied, and said to be violated."""
    true_rejects: int
    """Violated, and said to be."""
    num_unscored: int
    """Without a verdict; in none of the four."""

    @staticmethod
    def of(table: ConfusionTable) -> Counts:
        """Those of all items of a table."""
        truth_M, said_M, scored_M = table.truth_M, table.said_M, table.scored_M
        cells = (truth_M & said_M, ~truth_M & said_M, truth_M & ~said_M, ~truth_M & ~said_M)
        matrix = [int(np.count_nonzero(scored_M & cell_M)) for cell_M in cells]
        return Counts(
            true_accepts=matrix[0],
            false_accepts=matrix[1],
            false_rejects=matrix[2],
            true_rejects=matrix[3],
            num_unscored=int(np.count_nonzero(~scored_M)),
        )

    @property
    def recall_false(self) -> float | None:
        """Said to be violated among the violated; None without one."""
        return _over(self.true_rejects, self.false_accepts)

    @property
    def precision(self) -> float | None:
        """Satisfied among those said to be; None where nothing is."""
        return _over(self.true_accepts, self.false_accepts)


def _over(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """The confusion matrix of one cell and its rates.

    Example: measure_confusion(table, "no_commas").recall_false.value
    """

    name: str
    """Which cell: a type, a number of constraints, all."""
    true_accepts: int
    """Satisfied, and said to be."""
    false_accepts: int
    """Violated, and said to be satisfied: what training learns to use."""
    false_rejects: int
    """Satisfied, and said to be violated."""
    true_rejects: int
    """Violated, and said to be."""
    num_unscored: int
    """Items without a verdict; in none of the four."""
    precision: Measure
    """Satisfied among those said to be."""
    even_precision: Measure
    """The same if half of all were satisfied."""
    accuracy: Measure
    """Right verdicts among all."""
    recall_true: Measure
    """Said to be satisfied among the satisfied."""
    recall_false: Measure
    """Said to be violated among the violated."""
    base_rate: Measure
    """Satisfied among all."""
    false_accept: Measure
    """Said to be satisfied among the violated: 1 - recall on false."""
    false_reject: Measure
    """Said to be violated among the satisfied: 1 - recall on true."""

    @property
    def num_scored(self) -> int:
        """Items with a verdict."""
        return self.true_accepts + self.false_accepts + self.false_rejects + self.true_rejects


@dataclass(frozen=True, slots=True, kw_only=True)
class OfKind:
    """The constraints of one kind.

    Example: OfKind(kind="soft", constraints=Confusion(name="soft", ...), by_type=(Confusion(name="no_commas", ...),))
    """

    kind: str
    """hard or soft."""
    constraints: Confusion
    """All of them."""
    by_type: tuple[Confusion, ...]
    """One cell a type that occurs in this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Everything that an audit counts.

    Example: measure_precision(table).responses.recall_false
    """

    constraints: Confusion
    """All constraints of all responses."""
    responses: Confusion
    """Whole responses: satisfied when all constraints are."""
    by_type: tuple[Confusion, ...]
    """Constraints, one cell a type that occurs, in the order of the names."""
    by_count: tuple[Confusion, ...]
    """Constraints, by how many their prompt has."""
    responses_by_count: tuple[Confusion, ...]
    """Whole responses, by how many constraints their prompt has."""
    by_kind: tuple[OfKind, ...] = ()
    """Constraints, hard and soft apart, those kinds that occur; empty where the table knows of none."""


def measure_precision(table: ConfusionTable) -> Precision:
    """The confusion matrices at constraint and response level.

    For a split that is neither by type nor by kind (one call and one call each), give the table with that split as `type_M`.

    Raises:
        ValueError: the table is empty.
    """
    if table.num_items == 0:
        raise ValueError("nothing was judged: a confusion table needs at least one item")
    responses = table.responses()
    return Precision(
        constraints=measure_confusion(table, "all"),
        responses=measure_confusion(responses, "all"),
        by_type=_by_type(table),
        by_count=_by_count(table),
        responses_by_count=_by_count(responses),
        by_kind=_by_kind(table),
    )


def measure_confusion(table: ConfusionTable, name: str) -> Confusion:
    """One confusion matrix and its rates, with 95 % intervals clustered by prompt.

    Args:
        table: the items of the cell.
        name: of the cell.

    Returns:
        A rate is undefined, with the reason, where nothing is in its denominator.
    """
    prompts, prompt_M = np.unique(table.prompt_M, return_inverse=True)
    truth_M, said_M, scored_M = table.truth_M, table.said_M, table.scored_M
    counts = Counts.of(table)

    def rate(hit_M: Bools, among_M: Bools, label: Label) -> Measure:
        measure = share(Ratio.over(hit_M, scored_M & among_M, prompt_M, len(prompts)), label)
        return replace(measure, num_unscored=counts.num_unscored, paper=PRECISION)

    def even(rates: tuple[float, float]) -> float | None:
        wrong = paid_wrong(*rates, 0.5)
        return None if wrong is None else 1 - wrong

    right, wrong = (Ratio.over(said_M, scored_M & among_M, prompt_M, len(prompts)) for among_M in (truth_M, ~truth_M))
    carried = Carried.of(right, wrong, NO_TRUE, NO_FALSE)

    every_M = np.ones(table.num_items, dtype=bool)
    return Confusion(
        name=name,
        true_accepts=counts.true_accepts,
        false_accepts=counts.false_accepts,
        false_rejects=counts.false_rejects,
        true_rejects=counts.true_rejects,
        num_unscored=counts.num_unscored,
        precision=rate(truth_M, said_M, LABELS["precision"]),
        even_precision=replace(carried.measure(even, LABELS["even_precision"]), num_unscored=counts.num_unscored, paper=PRECISION),
        accuracy=rate(truth_M == said_M, every_M, LABELS["accuracy"]),
        recall_true=rate(said_M, truth_M, LABELS["recall_true"]),
        recall_false=rate(~said_M, ~truth_M, LABELS["recall_false"]),
        base_rate=rate(truth_M, every_M, LABELS["base_rate"]),
        false_accept=rate(said_M, ~truth_M, LABELS["false_accept"]),
        false_reject=rate(~said_M, truth_M, LABELS["false_reject"]),
    )


def measure_cells(table: ConfusionTable) -> tuple[Confusion, ...]:
    """One matrix a type and number of constraints that occur together, named `no_commas, 2 constraints`."""
    cells = np.unique(np.stack((table.type_M, table.count_M), axis=1), axis=0).tolist()
    return tuple(
        measure_confusion(
            table.where((table.type_M == place) & (table.count_M == count)), f"{table.type_names[place]}, {_of_constraints(count)}"
        )
        for place, count in cells
    )


NO_TRUE = "no satisfied item was scored"
NO_FALSE = "no violated item was scored"
NO_SCORED = "no item was scored"
LABELS: Mapping[str, Label] = {
    "precision": Label(
        name="precision", meaning="Of those said to be satisfied, how many are.", why_none="nothing was said to be satisfied"
    ),
    "even_precision": Label(
        name="precision at even odds",
        meaning="Of those said to be satisfied, how many would be if half of all were.",
        why_none="nothing was said to be satisfied",
    ),
    "accuracy": Label(name="accuracy", meaning="How many verdicts are right.", why_none=NO_SCORED),
    "recall_true": Label(name="recall on true", meaning="Of the satisfied, how many are said to be.", why_none=NO_TRUE),
    "recall_false": Label(name="recall on false", meaning="Of the violated, how many are said to be.", why_none=NO_FALSE),
    "base_rate": Label(name="base rate", meaning="How many are satisfied, among those that were scored.", why_none=NO_SCORED),
    "false_accept": Label(name="false accept", meaning="Of the violated, how many are said to be satisfied.", why_none=NO_FALSE),
    "false_reject": Label(name="false reject", meaning="Of the satisfied, how many are said to be violated.", why_none=NO_TRUE),
}


def flip_rates(precision: Precision) -> dict[str, object]:
    """The error rates as plain values, for noise that is matched to an audit.

    Returns:
        {"types": {name: rates}, "all": rates, "responses": rates}, rates = {"false_accept", "false_reject"}, None where undefined. "types"
        and "all" are of single constraints, "responses" of whole responses.
    """
    return {
        "types": {cell.name: _rates(cell) for cell in precision.by_type},
        "all": _rates(precision.constraints),
        "responses": _rates(precision.responses),
    }


def _rates(cell: Confusion) -> dict[str, float | None]:
    return {"false_accept": cell.false_accept.value, "false_reject": cell.false_reject.value}


def _by_type(table: ConfusionTable) -> tuple[Confusion, ...]:
    places = np.unique(table.type_M).tolist()
    return tuple(measure_confusion(table.where(table.type_M == place), table.type_names[place]) for place in places)


def _by_kind(table: ConfusionTable) -> tuple[OfKind, ...]:
    if table.kind_M is None:
        return ()
    found = [(kind, table.of_kind(place)) for place, kind in enumerate(table.kind_names)]
    return tuple(
        OfKind(kind=kind, constraints=measure_confusion(part, kind), by_type=_by_type(part)) for kind, part in found if part.num_items
    )


def _by_count(table: ConfusionTable) -> tuple[Confusion, ...]:
    counts = np.unique(table.count_M).tolist()
    return tuple(measure_confusion(table.where(table.count_M == count), _of_constraints(count)) for count in counts)


def _of_constraints(count: int) -> str:
    return "1 constraint" if count == 1 else f"{count} constraints"
