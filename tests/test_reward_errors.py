"""What a reward's errors do to groups, against every pattern of truth and pay; and the verdict of an audit."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest

from jominy.measures.precision import ConfusionTable, measure_confusion, measure_precision
from jominy.measures.reward_errors import group_fates, measure_reward_errors
from jominy.measures.trust import chance_of_good, decide_trust, trust_thresholds
from tests.measured import low_value_high


def judged(accepted_right: int, num_right: int, accepted_wrong: int, num_wrong: int, types=1, unscored=0) -> ConfusionTable:
    """Every response with a prompt of its own; the same numbers for every type."""
    one = [(True, place < accepted_right, True) for place in range(num_right)]
    one += [(False, place < accepted_wrong, True) for place in range(num_wrong)]
    one += [(True, False, False)] * unscored
    rows = [(*row, place) for place in range(types) for row in one]
    truth, said, scored, kinds = (np.array(column) for column in zip(*rows, strict=True))
    places = np.arange(len(rows))
    return ConfusionTable(
        truth_M=truth, said_M=said, scored_M=scored, type_M=kinds, count_M=np.ones(len(rows), dtype=int),
        prompt_M=places, response_M=places, type_names=tuple(f"type {place}" for place in range(types)),
    )  # fmt: skip


def joined(*tables: ConfusionTable) -> ConfusionTable:
    """Tables one behind the other, each with a type of its own."""
    names = ("truth_M", "said_M", "scored_M", "count_M")
    columns: dict[str, Any] = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
    sizes = [table.num_items for table in tables]
    places = np.arange(sum(sizes))
    return ConfusionTable(
        **columns, type_M=np.repeat(np.arange(len(tables)), sizes), prompt_M=places, response_M=places,
        type_names=tuple("abcdef"[: len(tables)]),
    )  # fmt: skip


def by_patterns(truth, accept_right, accept_wrong):
    """[4] chances of swapped, crossed, silenced, invented, over all patterns of pay."""
    chances = np.zeros(4)
    for paid in product((False, True), repeat=len(truth)):
        chance = prod(
            (rate if pay else 1 - rate) for pay, right in zip(paid, truth, strict=True) for rate in [(accept_wrong, accept_right)[right]]
        )
        rights = [pay for pay, right in zip(paid, truth, strict=True) if right]
        wrongs = [pay for pay, right in zip(paid, truth, strict=True) if not right]
        alike = len(set(paid)) == 1
        if not rights or not wrongs:
            chances[3] += chance * (not alike)
            continue
        chances[0] += chance * (Fraction(sum(rights), len(rights)) < Fraction(sum(wrongs), len(wrongs)))
        chances[1] += chance * (any(wrongs) and not all(rights))
        chances[2] += chance * alike
    return chances


@pytest.mark.parametrize(("accept_right", "accept_wrong"), [(0.8, 0.3), (0.4, 0.6), (1.0, 0.0), (0.0, 1.0)])
def test_fates_of_a_group_against_every_pattern(accept_right, accept_wrong):
    expected = [by_patterns([True] * right + [False] * (5 - right), accept_right, accept_wrong) for right in range(6)]
    np.testing.assert_allclose(group_fates(accept_right, accept_wrong, 5), expected, atol=1e-12)


def test_what_errors_mean_against_every_pattern_and_by_hand():
    found = measure_reward_errors(judged(16, 20, 6, 20), np.array([0.1, 0.7, 0.7]), group_size=4)
    totals, mixed = np.zeros(4), 0.0
    for rate in (0.1, 0.7, 0.7):
        for truth in product((False, True), repeat=4):
            weight = prod(rate if right else 1 - rate for right in truth)
            totals += weight * by_patterns(truth, 0.8, 0.3)
            mixed += weight * (len(set(truth)) == 2)
    expected = totals / [mixed, mixed, mixed, 3 - mixed]
    assert [found.swapped.value, found.crossed.value, found.silenced.value, found.invented.value] == pytest.approx(expected.tolist())
    assert found.shrink.value == pytest.approx(0.8 - 0.3)
    assert found.pass_rate == pytest.approx(0.5)
    # Half of the answers are right: .3 * .5 of .3 * .5 + .8 * .5.
    assert found.paid_wrong.value == pytest.approx(0.15 / 0.55)
    for measure in (found.shrink, found.paid_wrong, found.swapped, found.crossed, found.silenced, found.invented):
        low, value, high = low_value_high(measure)
        assert low < value < high


def test_paid_wrong_at_the_audits_own_base_rate_is_one_minus_precision():
    table = judged(9, 12, 5, 24)
    found = measure_reward_errors(table, np.array([12 / 36]), group_size=8)
    assert found.paid_wrong.value == pytest.approx(1 - low_value_high(measure_confusion(table, "").precision)[1])


def test_perfect_reward_is_not_certain_and_a_reversed_one_points_the_wrong_way():
    perfect = measure_reward_errors(judged(30, 30, 0, 30), np.array([0.5]), group_size=8)
    assert (perfect.shrink.value, perfect.swapped.value, perfect.paid_wrong.value) == (1.0, 0.0, 0.0)
    assert low_value_high(perfect.paid_wrong)[2] > 0.05
    reversed_ = measure_reward_errors(judged(0, 30, 30, 30), np.array([0.5]), group_size=8)
    assert (reversed_.shrink.value, reversed_.swapped.value, reversed_.paid_wrong.value) == (-1.0, 1.0, 1.0)


def test_undefined_says_why():
    no_wrong = measure_reward_errors(judged(5, 9, 0, 0), np.array([0.5]), group_size=4)
    assert no_wrong.swapped.value is None
    assert "violated" in no_wrong.swapped.why_none
    assert no_wrong.shrink.value is None
    never = measure_reward_errors(judged(0, 9, 0, 9), np.array([0.5]), group_size=4)
    assert (never.paid_wrong.value, never.paid_wrong.why_none) == (None, "nothing is paid")
    assert never.silenced.value == 1.0
    dead = measure_reward_errors(judged(8, 9, 1, 9), np.array([0.0]), group_size=4)
    assert dead.swapped.value is None
    assert "no group" in dead.swapped.why_none
    assert low_value_high(dead.invented)[1] > 0
    with pytest.raises(ValueError, match="group_size"):
        measure_reward_errors(judged(8, 9, 1, 9), np.array([0.5]), group_size=1)
    with pytest.raises(ValueError, match="pass_rates_P"):
        measure_reward_errors(judged(8, 9, 1, 9), np.array([1.5]), group_size=4)


def test_trust_goes_by_what_is_sure():
    good, bad, few = judged(38, 40, 1, 40), judged(39, 40, 24, 40), judged(3, 3, 0, 3)
    assert decide_trust(measure_precision(good)).value == "trust"
    assert decide_trust(measure_precision(bad)).value == "do not train on it"
    assert "recall on false is 40%" in decide_trust(measure_precision(bad)).rule
    mixed = decide_trust(measure_precision(joined(good, bad, few)))
    assert (mixed.value, mixed.types) == ("trust for these types", ("a",))
    assert [cell.standing for cell in mixed.cells] == ["good", "bad", "unsure"]
    # All three of three are right, and that is not enough to say so.
    unsure = decide_trust(measure_precision(few))
    assert (unsure.value, unsure.cells[0].standing, unsure.types) == ("do not train on it", "unsure", ())


def test_a_perfect_judge_with_few_labels_is_told_so_and_how_many_more():
    few = decide_trust(measure_precision(judged(10, 10, 0, 10)))
    assert (few.value, few.too_few) == ("do not train on it", True)
    # the score interval of 10 of 10 with 9 degrees: 10 / (10 + 2.262^2) = .66, and 3 * 2.262^2 = 15.3 would give .75
    assert few.rule.startswith("too few to tell; ")
    assert "recall on false is 100% [66%, 100%], the bound is 75%; about 6 more prompts like these would tell" in few.rule
    assert decide_trust(measure_precision(judged(16, 16, 0, 16))).value == "trust"
    assert decide_trust(measure_precision(judged(12, 12, 0, 12))).too_few
    some = decide_trust(measure_precision(judged(30, 30, 6, 30)))
    assert (some.too_few, some.responses.below) == (True, False)
    told = re.search(r"about ([0-9]+) more prompts", some.rule)
    assert told is not None
    enough = 30 + 5 * (int(told[1]) // 5 + 1)
    cells = [measure_precision(judged(size, size, size // 5, size)) for size in (enough // 10 * 5, enough)]
    assert [decide_trust(cell).responses.standing for cell in cells] == ["unsure", "good"]
    low = decide_trust(measure_precision(judged(30, 30, 9, 30)))
    assert (low.too_few, low.responses.below) == (True, True)
    assert "more like these would not reach it" in low.rule
    assert not decide_trust(measure_precision(judged(39, 40, 24, 40))).too_few
    assert not decide_trust(measure_precision(judged(38, 40, 1, 40))).too_few
    one_prompt = replace(judged(10, 10, 0, 10), prompt_M=np.zeros(20, dtype=int))
    assert "it takes more prompts to tell" in decide_trust(measure_precision(one_prompt)).rule


def test_who_says_yes_to_everything_passes_no_bound_on_precision():
    # three of four are satisfied, as of single constraints of pairs
    cell = measure_confusion(judged(60, 60, 20, 20), "all")
    assert (cell.precision.value, cell.even_precision.value) == (0.75, 0.5)
    lax = trust_thresholds({"recall_false": 0.0, "precision": 0.7})
    assert decide_trust(measure_precision(judged(60, 60, 20, 20)), thresholds=lax).constraints.standing == "bad"
    # a = 45 / 60, f = 5 / 20: .75 / (.75 + .25)
    assert measure_confusion(judged(45, 60, 5, 20), "").even_precision.value == pytest.approx(0.75)
    assert measure_confusion(judged(9, 10, 0, 0), "").even_precision.why_none == "no violated item was scored"


def test_precision_at_even_odds_covers_the_truth():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(300):
        low, _, high = low_value_high(measure_confusion(judged(rng.binomial(40, 0.8), 40, rng.binomial(30, 0.3), 30), "").even_precision)
        inside += low <= 0.8 / 1.1 <= high
    assert inside >= 276  # 92 %: two standard errors below 95 %


@pytest.mark.parametrize("num_violated", [6, 18, 36, 60])
def test_how_often_a_good_type_is_called_so(num_violated):
    from scipy.stats import binom

    standing = [measure_confusion(judged(0, 0, num_violated - seen, num_violated), "").recall_false.low for seen in range(num_violated + 1)]
    expected = sum(binom.pmf(seen, num_violated, 0.95) for seen, low in enumerate(standing) if low is not None and low >= 0.75)
    assert chance_of_good(num_violated, 0.75) == pytest.approx(expected)


def test_trust_needs_verdicts_violations_and_no_probe_that_fools():
    silent = decide_trust(measure_precision(judged(38, 40, 1, 40, unscored=20)))
    assert (silent.value, "20% have no verdict" in silent.rule) == ("do not train on it", True)
    easy = decide_trust(measure_precision(judged(40, 40, 0, 0)))
    assert (easy.value, "recall on false is unknown" in easy.rule) == ("do not train on it", True)
    good = measure_precision(judged(38, 40, 1, 40))
    fooled = decide_trust(good, [measure_confusion(judged(0, 0, 18, 20), "echo"), measure_confusion(judged(0, 0, 1, 20), "empty")])
    assert (fooled.value, [cell.name for cell in fooled.fooled_by], fooled.types) == ("do not train on it", ["echo"], ())
    # 5 of 12 are surely more than a tenth, 3 of 12 are not
    paid = [decide_trust(good, [measure_confusion(judged(0, 0, number, 12), "echo")]) for number in (3, 5)]
    assert [(one.value, one.too_few) for one in paid] == [("trust", False), ("do not train on it", False)]
    assert "echo: false accept is 42% [17%, 72%], the bound is 10%" in paid[1].rule


def test_a_rule_says_each_reason_once_and_stays_short():
    silent = decide_trust(measure_precision(judged(0, 0, 0, 0, types=9, unscored=5)))
    assert silent.rule.count("100% have no verdict") == 2  # of the whole, and of the types
    assert "type 0, type 1, type 2, type 3, type 4, type 5 and 3 more: 100% have no verdict" in silent.rule
    several = decide_trust(measure_precision(joined(*(judged(30, 30, false, 30) for false in (30, 29, 28, 27, 26, 25)))))
    assert several.rule.endswith("; and 2 more types")
    assert [cell.standing for cell in several.cells] == ["bad"] * 6


def test_thresholds_can_be_set():
    precision = measure_precision(judged(38, 40, 12, 40))
    assert decide_trust(precision).value == "do not train on it"
    lax = trust_thresholds({"recall_false": 0.5, "precision": 0.6})
    assert decide_trust(precision, thresholds=lax).value == "trust"
    with pytest.raises(ValueError, match="recall_false"):
        trust_thresholds({"recall": 0.5})
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        trust_thresholds({"precision": 1.5})
