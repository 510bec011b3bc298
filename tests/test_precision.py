"""The confusion matrix of an audit against counts by hand, and its intervals against planted error rates."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from jominy.measures.agreement import measure_agreement
from jominy.measures.precision import ConfusionTable, flip_rates, measure_cells, measure_confusion, measure_precision
from jominy.measures.reward_errors import group_fates, measure_reward_errors
from jominy.records import Measure
from tests.measured import covers, low_value_high

NUM_WORLDS = 300
# With 300 worlds the observed share has a standard error of 1.3 %; the seeds are fixed, so the bounds hold or do not.
LOWEST, HIGHEST = 0.92, 0.985


def table_of(rows, type_names=("title", "json")) -> ConfusionTable:
    """Rows of (truth, said or None, type, count, prompt, response)."""
    truth, said, types, count, prompt, response = zip(*rows, strict=True)
    return ConfusionTable(
        truth_M=np.array(truth, dtype=bool),
        said_M=np.array([verdict is True for verdict in said]),
        scored_M=np.array([verdict is not None for verdict in said]),
        type_M=np.array(types),
        count_M=np.array(count),
        prompt_M=np.array(prompt),
        response_M=np.array(response),
        type_names=type_names,
    )


# Prompt 5 has two constraints, prompts 8 and 9 one. Response 3 is the only one that is satisfied and said to be.
BY_HAND = (
    (True, True, 0, 2, 5, 0),
    (False, True, 1, 2, 5, 0),
    (True, True, 0, 2, 5, 1),
    (True, False, 1, 2, 5, 1),
    (False, True, 0, 1, 8, 2),
    (True, True, 0, 1, 9, 3),
    (False, False, 0, 1, 9, 4),
    (False, None, 0, 1, 9, 5),
)


def test_counts_and_rates_by_hand():
    found = measure_precision(table_of(BY_HAND))
    cell = found.constraints
    assert (cell.true_accepts, cell.false_accepts, cell.false_rejects, cell.true_rejects, cell.num_unscored) == (3, 2, 1, 1, 1)
    values = [cell.precision, cell.accuracy, cell.recall_true, cell.recall_false, cell.base_rate, cell.false_accept, cell.false_reject]
    assert [measure.value for measure in values] == pytest.approx([3 / 5, 4 / 7, 3 / 4, 1 / 3, 4 / 7, 2 / 3, 1 / 4])
    assert {measure.num_unscored for measure in values} == {1}
    assert all(low < value < high for low, value, high in map(low_value_high, values))
    # Responses: 0 is violated and accepted, 1 satisfied and rejected, 2 violated and accepted, 3 right, 4 rightly rejected, 5 unscored.
    whole = found.responses
    assert (whole.true_accepts, whole.false_accepts, whole.false_rejects, whole.true_rejects, whole.num_unscored) == (1, 2, 1, 1, 1)
    assert [(cell.name, cell.num_scored) for cell in found.by_type] == [("title", 5), ("json", 2)]
    assert [(cell.name, cell.num_scored) for cell in found.by_count] == [("1 constraint", 3), ("2 constraints", 4)]
    assert [(cell.name, cell.num_scored) for cell in found.responses_by_count] == [("1 constraint", 3), ("2 constraints", 2)]
    title, json = found.by_type
    assert title.recall_false.value == pytest.approx(1 / 2)
    assert json.recall_false.value == 0.0
    rates = flip_rates(found)
    assert rates["all"] == pytest.approx({"false_accept": 2 / 3, "false_reject": 1 / 4})
    assert rates["responses"] == pytest.approx({"false_accept": 2 / 3, "false_reject": 1 / 2})
    types = rates["types"]
    assert isinstance(types, dict)
    assert set(types) == {"title", "json"}


def test_types_are_split_by_the_number_of_constraints():
    found = {
        cell.name: (cell.true_accepts, cell.false_accepts, cell.false_rejects, cell.true_rejects, cell.num_unscored)
        for cell in measure_cells(table_of(BY_HAND))
    }
    assert found == {
        "title, 1 constraint": (1, 1, 0, 1, 1),
        "title, 2 constraints": (2, 0, 0, 0, 0),
        "json, 2 constraints": (0, 1, 1, 0, 0),
    }


def test_order_does_not_matter_and_a_broken_response_needs_one_violation():
    table = table_of(BY_HAND)
    order = np.random.default_rng(0).permutation(table.num_items)
    shuffled = table_of([BY_HAND[place] for place in order])
    assert measure_precision(shuffled) == measure_precision(table)
    assert Counter(table.responses().truth_M.tolist()) == {True: 2, False: 4}


def test_undefined_says_why_and_unscored_is_counted():
    nothing_false = measure_confusion(table_of([(True, True, 0, 1, 0, 0), (True, None, 0, 1, 1, 1)]), "all")
    assert nothing_false.recall_false.value is None
    assert "violated" in nothing_false.recall_false.why_none
    assert nothing_false.recall_true.value == 1.0
    never = measure_confusion(table_of([(True, False, 0, 1, 0, 0), (False, None, 0, 1, 1, 1)]), "all")
    assert never.precision.value is None
    assert (never.num_scored, never.num_unscored) == (1, 1)


def test_items_of_one_prompt_are_not_independent():
    rng = np.random.default_rng(3)
    said = rng.random(40) < 0.7
    once = [(False, bool(verdict), 0, 1, place, place) for place, verdict in enumerate(said)]
    tenfold = [(False, bool(verdict), 0, 1, place, 10 * place + copy) for place, verdict in enumerate(said) for copy in range(10)]
    apart = [(*row[:4], place, place) for place, row in enumerate(tenfold)]
    found = [low_value_high(measure_confusion(table_of(rows), "").recall_false) for rows in (once, tenfold, apart)]
    widths = [high - low for low, _, high in found]
    assert widths[1] == pytest.approx(widths[0])
    # 400 independent items instead of 40: the interval shrinks by about the root of ten, 3.2.
    assert widths[2] < widths[0] / 2.5
    # Wilson 1927 for 7 of 10, 95 %: [0.397, 0.892] (as every table has it); t of 9 degrees is wider than 1.96.
    ten = measure_confusion(table_of([(False, place >= 7, 0, 1, place, place) for place in range(10)]), "").recall_false
    low, _, high = low_value_high(ten)
    assert low < 0.397 < 0.7 < 0.892 < high


def test_shapes_and_names_are_checked():
    with pytest.raises(ValueError, match="type_names"):
        table_of([(True, True, 2, 1, 0, 0)])
    with pytest.raises(ValueError, match="one length"):
        ConfusionTable(
            truth_M=np.ones(2, dtype=bool), said_M=np.ones(3, dtype=bool), scored_M=np.ones(2, dtype=bool), type_M=np.zeros(2, dtype=int),
            count_M=np.ones(2, dtype=int), prompt_M=np.zeros(2, dtype=int), response_M=np.zeros(2, dtype=int), type_names=("a",),
        )  # fmt: skip
    with pytest.raises(ValueError, match="nothing was judged"):
        measure_precision(table_of(BY_HAND).where(np.zeros(len(BY_HAND), dtype=bool)))


Shape = tuple[float, float]


def planted_world(rng: np.random.Generator, num_prompts: int, accepts: Shape, rejects: Shape) -> ConfusionTable:
    """Pairs of 1 to 3 constraints; the judge's rates of false accepts and false rejects are Beta by prompt."""
    counts_P = rng.integers(1, 4, num_prompts)
    items_P = 2 * counts_P
    prompt_M = np.repeat(np.arange(num_prompts), items_P)
    within_M = np.arange(items_P.sum()) - np.repeat(np.cumsum(items_P) - items_P, items_P)
    truth_M = within_M != counts_P[prompt_M]  # the second response begins with the constraint that it violates
    accepts_M, rejects_M = rng.beta(*accepts, num_prompts)[prompt_M], rng.beta(*rejects, num_prompts)[prompt_M]
    return ConfusionTable(
        truth_M=truth_M,
        said_M=rng.random(len(truth_M)) < np.where(truth_M, 1 - rejects_M, accepts_M),
        scored_M=np.ones(len(truth_M), dtype=bool),
        type_M=prompt_M % 3,
        count_M=counts_P[prompt_M],
        prompt_M=prompt_M,
        response_M=2 * prompt_M + (within_M >= counts_P[prompt_M]),
        type_names=("a", "b", "c"),
    )


def planted_truths(false_accept: float, passing: tuple[float, float, float]) -> dict[str, float]:
    """What the measures estimate; `passing` are the chances that 1, 2 and 3 satisfied constraints of a prompt all pass."""
    accept = passing[0]
    # A prompt has 3 satisfied items on average (1, 3 or 5) and one violated. A wrong response has c - 1 satisfied constraints beside.
    right, wrong = sum(passing) / 3, false_accept * (1 + passing[0] + passing[1]) / 3
    # Of groups of 4 at p = 1/4, weights of K = 1, 2, 3: 4 * 27, 6 * 9, 4 * 3.
    swapped = float(np.array([108, 54, 12]) @ group_fates(right, wrong, 4)[1:4, 0] / 174)
    return {
        "recall on false": 1 - false_accept, "recall on true": accept, "precision": 3 * accept / (3 * accept + false_accept),
        "accuracy": (3 * accept + 1 - false_accept) / 4, "base rate": 0.75, "type": 1 - false_accept, "response true": right,
        "response false": 1 - wrong, "shrink": right - wrong, "paid wrong": wrong * 3 / (wrong * 3 + right), "swapped": swapped,
    }  # fmt: skip


# A sloppy judge: false accepts Beta(1.5, 3.5), mean .3; 1 - false rejects Beta(9, 1), whose c-th moment is 9 / (9 + c). A careful one:
# false accepts Beta(.5, 9.5), mean .05; 1 - false rejects Beta(19, 1), moments 19 / (19 + c). Half of the careful one's prompts err almost
# never, where coverage jumps (LIMIT of `share_interval`): held to a wider band.
@pytest.mark.parametrize(
    ("accepts", "rejects", "false_accept", "passing", "lowest", "highest"),
    [
        ((1.5, 3.5), (1, 9), 0.3, (9 / 10, 9 / 11, 9 / 12), LOWEST, HIGHEST),
        ((0.5, 9.5), (1, 19), 0.05, (19 / 20, 19 / 21, 19 / 22), 0.9, 1.0),
    ],
    ids=["sloppy", "careful"],
)
def test_planted_error_rates_are_recovered(accepts, rejects, false_accept, passing, lowest, highest):
    truths = planted_truths(false_accept, passing)
    hits: Counter[str] = Counter()
    rng = np.random.default_rng(21)
    for _ in range(NUM_WORLDS):
        found = measured_in(planted_world(rng, 60, accepts, rejects))
        for name, measure in found.items():
            hits[name] += covers(measure, truths[name])
    shares = {name: round(hits[name] / NUM_WORLDS, 3) for name in truths}
    # The base rate of pairs varies less than that of any 0/1 sample, and an interval that keeps Wilson's at no spread covers it too often.
    assert shares.pop("base rate") >= lowest
    assert all(lowest <= share <= highest for share in shares.values()), shares


def measured_in(table: ConfusionTable) -> dict[str, Measure]:
    cell, responses = measure_confusion(table, ""), table.responses()
    whole, errors = measure_confusion(responses, ""), measure_reward_errors(responses, np.array([0.25]), 4)
    found = {measure.name: measure for measure in (cell.recall_false, cell.recall_true, cell.precision, cell.accuracy, cell.base_rate)}
    found |= {"type": measure_confusion(table.where(table.type_M == 0), "").recall_false, "response true": whole.recall_true}
    return found | {
        "response false": whole.recall_false, "shrink": errors.shrink, "paid wrong": errors.paid_wrong, "swapped": errors.swapped,
    }  # fmt: skip


def test_agreement_by_hand():
    # Krippendorff's own example of nominal data, two observers, ten units: alpha = 0.095; they differ on four of ten.
    said = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], dtype=bool).T
    found = measure_agreement(said, np.ones_like(said), np.arange(10), np.random.default_rng(0))
    assert found.alpha.value == pytest.approx(0.095, abs=0.0005)
    assert found.unanimous.value == pytest.approx(0.6)
    assert covers(found.alpha, 0.095)


def test_agreement_with_missing_verdicts_counts_pairs():
    rng = np.random.default_rng(5)
    said, scored = rng.random((30, 4)) < 0.6, rng.random((30, 4)) < 0.7
    # Every ordered pair of verdicts within an item weighs 1 / (its verdicts - 1); expected: pairs of all verdicts, without repetition.
    observed, pooled = 0.0, []
    for verdicts in (row[there].tolist() for row, there in zip(said, scored, strict=True)):
        if len(verdicts) >= 2:
            pooled += verdicts
            observed += sum(a != b for i, a in enumerate(verdicts) for j, b in enumerate(verdicts) if i != j) / (len(verdicts) - 1)
    expected = sum(a != b for i, a in enumerate(pooled) for j, b in enumerate(pooled) if i != j) / (len(pooled) - 1)
    found = measure_agreement(said, scored, np.arange(30), rng)
    assert found.alpha.value == pytest.approx(1 - observed / expected)
    assert found.num_unscored == np.count_nonzero(~scored)
    assert found.num_items + found.num_left_out == 30


def test_agreement_without_a_second_kind_of_verdict_is_undefined():
    ones = np.ones((5, 2), dtype=bool)
    found = measure_agreement(ones, ones, np.arange(5), np.random.default_rng(0))
    assert (found.alpha.value, found.alpha.why_none, found.unanimous.value) == (None, "all verdicts are the same", 1.0)
    alone = measure_agreement(ones[:, :1], ones[:, :1], np.arange(5), np.random.default_rng(0))
    assert (alone.alpha.value, alone.unanimous.value, alone.num_left_out) == (None, None, 5)


def test_planted_agreement_is_recovered():
    # Chance of yes uniform by item: E 2 p (1 - p) = 1/3 against 2 * 1/4 of strangers, so alpha = 1 - (1/3) / (1/2) = 1/3.
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(100):
        said = rng.random((60, 3)) < rng.random((60, 1))
        found = measure_agreement(said, np.ones_like(said), np.arange(60), rng).alpha
        hits += covers(found, 1 / 3)
    assert 90 <= hits <= 99, hits
