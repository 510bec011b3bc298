"""Attempts, decisions, deciders and credit: arithmetic by hand, planted policies, and intervals that hold what they promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jominy.measures.attempts import AttemptTable, TokenTable
from jominy.measures.calibration import auroc, calibration_error
from jominy.measures.clustered import Label, Ratio, average, difference_of_averages, difference_of_shares
from jominy.measures.credit import credit_share, value_share
from jominy.measures.deciders import decider_metrics
from jominy.measures.decisions import bank_metrics, decision_rates, own_decisions
from jominy.measures.retries import outcome_metrics, sampling_metrics
from jominy.measures.values import retry_theory
from jominy.records import Measure
from tests.measured import numbers

SMALL = [["wr ca", "ca"], ["wa", "cr wf"], ["wr wr cf"]]
"""Five responses to three prompts."""


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def simulated(right, accept_right, accept_wrong, num_attempts, *, prompts=100, group=20, seed=0) -> AttemptTable:
    """Responses of a policy whose attempts and decisions are all alike, drawn one by one."""
    draw = np.random.default_rng(seed)

    def trace() -> str:
        words = []
        for k in range(num_attempts):
            letter = "c" if draw.random() < right else "w"
            if k == num_attempts - 1:
                words.append(letter + "f")
            elif draw.random() < (accept_right if letter == "c" else accept_wrong):
                return " ".join([*words, letter + "a"])
            else:
                words.append(letter + "r")
        return " ".join(words)

    return AttemptTable.of([[trace() for _ in range(group)] for _ in range(prompts)])


def inside(measure: Measure, truth: float) -> bool:
    assert measure.low is not None
    assert measure.high is not None
    return measure.low <= truth <= measure.high


# Decisions -----------------------------------------------------------------------------------------------------------------------------


def test_decisions_by_hand():
    # Right: accepted, accepted, retried. Wrong: retried, accepted, retried, retried. Two forced stops are no decisions.
    found = own_decisions(AttemptTable.of(SMALL), num_attempts=3)
    values = [measure.value for measure in found.rates.measures()]
    # z(5/8) = 0.3186 and z(3/10) = -0.5244 from a table: half a count more on each side
    np.testing.assert_allclose(numbers(values), [2 / 3, 1 / 4, 1 / 3, 17 / 24, 5 / 12, 0.8430, 5 / 7, 3 / 7], atol=1e-4)
    assert (found.rates.num_decisions, found.num_forced, found.num_undecided, found.num_unknown) == (7, 2, 0, 0)
    assert found.accept_rate.value == pytest.approx(3 / 7)
    first, second = found.by_attempt
    assert (first.accept_right.value, first.accept_wrong.value) == pytest.approx((1 / 2, 1 / 3))
    assert (second.accept_right.value, second.accept_wrong.value) == (1.0, 0.0)
    assert found.rates.accept_right.num_left_out == 1  # the third prompt has no right attempt that was decided about


def test_unknown_truth_and_broken_responses_are_counted_and_left_out():
    found = own_decisions(AttemptTable.of([["?a", "w-", "ca"], ["", "?r wa"]]), num_attempts=2)
    assert (found.num_unknown, found.num_undecided, found.rates.num_decisions) == (2, 1, 2)
    assert found.accept_rate.value == pytest.approx(3 / 4)
    assert (found.rates.accept_right.value, found.rates.accept_wrong.value) == (1.0, 1.0)


def test_with_one_attempt_nothing_is_decided():
    table = AttemptTable.of([["wf", "cf"], ["cf", "cf"]])
    found = own_decisions(table, num_attempts=1)
    assert found.by_attempt == ()
    assert all(measure.value is None and measure.why_none for measure in found.rates.measures())
    assert "every answer stands" in found.rates.accuracy.why_none
    assert outcome_metrics(table).forced.value == 1.0
    deciders = decider_metrics(table, num_attempts=1, rng=rng())
    assert deciders.made.value == deciders.analytic.value == deciders.independent.value == 0.75
    assert (deciders.efficiency.value, deciders.random.value) == (None, None)
    assert "one attempt" in deciders.random.why_none
    assert "one attempt" in credit_share(table, num_attempts=1, rng=rng()).decision.why_none
    with pytest.raises(ValueError, match="a rollout has 2 attempts, but num_attempts is 1"):
        own_decisions(AttemptTable.of([["wr ca"]]), num_attempts=1)


def test_one_sided_decisions_say_what_is_missing():
    rates = own_decisions(AttemptTable.of([["ca"], ["cr ca"]]), num_attempts=2).rates
    assert rates.accept_right.value == pytest.approx(2 / 3)
    assert (rates.accept_wrong.value, rates.accept_wrong.why_none) == (None, "no wrong attempt was decided about")
    assert (rates.balanced.value, rates.youden.value, rates.d_prime.value) == (None, None, None)


def test_perfect_decisions_are_not_certain():
    rates = own_decisions(AttemptTable.of([["wr ca", "ca"]] * 20), num_attempts=2).rates
    assert (rates.youden.value, rates.balanced.value, rates.accept_wrong.value) == (1.0, 1.0, 0.0)
    for measure in (rates.youden, rates.balanced, rates.accept_right):
        assert measure.low is not None
        assert 0.5 < measure.low < 1.0
        assert measure.high == 1.0


def test_a_bank_counts_chances():
    # Right states .9 and .6, wrong ones .6 and .1: of four pairs three are won and one is tied.
    found = bank_metrics(np.array([True, True, False, False]), np.array([0.9, 0.6, 0.6, 0.1]), np.array([7, 8, 7, 8]))
    assert found.rates.accept_right.value == pytest.approx(0.75)
    assert found.rates.accept_wrong.value == pytest.approx(0.35)
    assert found.rates.base_rate.value == 0.5
    assert found.auroc.value == pytest.approx(3.5 / 4)
    assert found.auroc.num_prompts == 2
    # bins .9: |.9 - 1|; .6: |1.2 - 1|; .1: |.1 - 0|; over four states
    assert found.calibration_error.value == pytest.approx((0.1 + 0.2 + 0.1) / 4)
    with pytest.raises(ValueError, match="chances of accepting must lie in"):
        bank_metrics(np.array([True]), np.array([1.2]), np.array([0]))
    with pytest.raises(ValueError, match="got 2, 1 and 1 of them"):
        bank_metrics(np.array([True]), np.array([0.5, 0.5]), np.array([0]))


def test_auroc_against_all_pairs():
    draw = rng()
    chance, truth, prompt = np.round(draw.random(60), 1), draw.random(60) < 0.4, draw.integers(0, 12, 60)
    pairs = [(chance[i] > chance[j]) + (chance[i] == chance[j]) / 2 for i in np.flatnonzero(truth) for j in np.flatnonzero(~truth)]
    assert auroc(chance, truth, prompt, 12).value == pytest.approx(np.mean(pairs))
    assert auroc(chance, np.ones(60, dtype=bool), prompt, 12).value is None
    # Leaving one prompt out at a time: the same spread of the AUROC as its errors say.
    without = np.array([auroc(chance[prompt != p], truth[prompt != p], prompt[prompt != p], 12).value for p in range(12)])
    jackknife = np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
    measure = auroc(chance, truth, prompt, 12)
    assert measure.low is not None
    assert measure.high is not None
    assert (measure.high - measure.low) / 2 == pytest.approx(2.201 * jackknife, rel=0.3)  # t of 11 degrees


def test_calibration_error_against_loops():
    draw = rng()
    chance, truth = draw.random(200), draw.random(200) < 0.5
    total = 0.0
    for number in range(10):
        here = (chance >= number / 10) & (chance < (number + 1) / 10)
        total += here.sum() / 200 * abs(chance[here].mean() - truth[here].mean())
    assert calibration_error(chance, truth, np.arange(200), 200).value == pytest.approx(total)
    assert calibration_error(np.empty(0), np.empty(0, dtype=bool), np.empty(0, dtype=int), 3).value is None


# Attempts and what stands --------------------------------------------------------------------------------------------------------------


def test_attempts_by_hand():
    found = sampling_metrics(AttemptTable.of(SMALL), num_attempts=3)
    assert found.first.value == pytest.approx(2 / 5)
    assert found.after_wrong.value == pytest.approx(2 / 3)  # right, wrong, right
    assert found.after_right.value == 0.0
    assert [measure.value for measure in found.after_wrong_by_attempt] == [0.5, 1.0]
    assert [measure.value for measure in found.after_right_by_attempt] == [0.0, None]
    assert found.after_right_by_attempt[1].why_none == "no right attempt was tried again there"
    assert (found.repeats.value, found.repeats.why_none) == (None, "answers were not compared")


def test_repeated_answers_are_those_of_the_same_response():
    # Answers by response: 0 1 | 0 | 0 | 0 0 | 0 1 0: of four later ones two were given before; without an answer nothing repeats.
    table = replace(AttemptTable.of(SMALL), answer_A=np.array([0, 1, 0, 0, 0, 0, 0, 1, 0]))
    assert sampling_metrics(table, num_attempts=3).repeats.value == 0.5
    table = replace(table, answer_A=np.array([0, 1, 0, 0, -1, -1, 0, 1, 0]))
    assert sampling_metrics(table, num_attempts=3).repeats.value == pytest.approx(1 / 3)


def test_outcomes_by_hand():
    found = outcome_metrics(AttemptTable.of(SMALL, problems=["", "no verdict", "", "no verdict", "no attempt"]))
    values = (found.final, found.first_stands, found.delta, found.wrong_to_right, found.right_to_wrong, found.attempts, found.forced)
    np.testing.assert_allclose(numbers([measure.value for measure in values]), [3 / 5, 2 / 5, 1 / 5, 2 / 5, 1 / 5, 9 / 5, 2 / 5])
    assert found.malformed.value == pytest.approx(3 / 5)
    assert found.problems == (("no verdict", 2), ("no attempt", 1))


def test_unscored_responses_are_in_no_accuracy():
    found = outcome_metrics(AttemptTable.of([["ca", "wa"], ["ca", "?a"]], scored=[False, True, True, True]))
    assert found.final.value == pytest.approx(1 / 3)
    assert found.final.num_unscored == 1
    assert found.first_stands.value == 0.5  # what is not known at first is in neither side of the difference
    assert found.delta.value == 0.0


def test_a_response_without_an_attempt_is_wrong_at_first():
    assert outcome_metrics(AttemptTable.of([["", "ca"]])).first_stands.value == 0.5


def test_deciders_by_hand():
    found = decider_metrics(AttemptTable.of(SMALL), num_attempts=3, rng=rng())
    assert found.made.value == pytest.approx(4 / 5)
    assert found.efficiency.value == pytest.approx((3 / 5 - 2 / 5) / (4 / 5 - 2 / 5))
    assert found.analytic.value == pytest.approx(1 - 0.6**3)
    assert (found.independent.value, found.independent.why_none) == (None, "no prompt has 3 first attempts")
    # First attempts are right in .4, later ones in 2 of 4, whatever went before; 3 of 7 decisions accept: 3/7 * .4 + 4/7 * .5
    assert found.random.value == pytest.approx(3.2 / 7)
    assert "taken together: there are 1 and 3." in found.random.meaning
    # With thirty and ninety of them the two stay apart: after a wrong one 2/3, after a right one none, .6 * 2/3 = .4 again
    apart = decider_metrics(AttemptTable.of(SMALL * 30), num_attempts=3, rng=rng()).random
    assert apart.value == pytest.approx(0.4)
    assert "together" not in apart.meaning
    of_two = decider_metrics(AttemptTable.of(SMALL), num_attempts=2, rng=rng())
    assert of_two.independent.value == 1.0  # one of two first attempts is right on both prompts that have two
    assert of_two.efficiency_independent.value == pytest.approx(0.0)  # both prompts: half right at first; in the end all and none
    assert of_two.independent.num_left_out == 1


def test_a_decider_that_is_always_right_leaves_a_random_one_to_compare_with():
    # Right ones are never retried, so what follows them is not known: it is taken to be what follows wrong ones, which is right.
    found = decider_metrics(AttemptTable.of([["ca", "ca", "wr cf", "wr cf"]] * 20), num_attempts=2, rng=rng()).random
    assert found.value == pytest.approx(0.5 * 0.5 + 0.5 * 1.0)
    assert "there are 0 and 40." in found.meaning
    never = decider_metrics(AttemptTable.of([["ca", "wa", "wa"]] * 20), num_attempts=2, rng=rng()).random
    assert never.value == pytest.approx(1 / 3)  # who never retries needs no chance of what follows
    broken = decider_metrics(AttemptTable.of([["cr", "wr", "wa"]] * 20), num_attempts=2, rng=rng()).random
    assert (broken.value, "after retries" in broken.why_none) == (None, True)


def test_a_planted_policy_is_found():
    table = simulated(0.4, 0.8, 0.3, 3)
    rates = own_decisions(table, num_attempts=3).rates
    assert inside(rates.accept_right, 0.8)
    assert inside(rates.accept_wrong, 0.3)
    assert inside(rates.youden, 0.5)
    assert inside(rates.balanced, 0.75)
    assert inside(rates.d_prime, 0.8416 + 0.5244)  # z(.8) - z(.3) from a table
    theory = retry_theory(0.4, accept_right=0.8, accept_wrong=0.3, num_attempts=3)
    assert inside(outcome_metrics(table).final, theory.value)
    deciders = decider_metrics(table, num_attempts=3, rng=rng())
    assert inside(deciders.random, 0.4)
    assert inside(deciders.independent, 1 - 0.6**3)
    assert inside(deciders.efficiency_independent, (theory.value - 0.4) / (1 - 0.6**3 - 0.4))


# Credit --------------------------------------------------------------------------------------------------------------------------------


def test_the_credit_share_of_a_planted_policy():
    found = credit_share(simulated(0.4, 0.6, 0.6, 4, prompts=150), num_attempts=4, rng=rng())
    assert found.decision.value == pytest.approx(0.374, abs=0.03)
    assert inside(found.decision, 0.374)
    theory = retry_theory(0.4, accept_right=0.6, accept_wrong=0.6, num_attempts=4)
    np.testing.assert_allclose(found.right_K, theory.right_K, atol=0.04)
    np.testing.assert_allclose(found.wrong_K, theory.wrong_K, atol=0.04)
    assert not found.merged
    assert (dict(found.samples)["first attempts"], found.num_broken_off) == (3000, 0)


def test_thin_cells_are_merged_or_make_it_undefined():
    rare = [["ca"] * 30 + ["wr cf"] * 25 + ["wr wf"] * 10 + ["cr cf"] * 3]
    found = credit_share(AttemptTable.of(rare * 2), num_attempts=2, rng=rng())
    assert found.merged
    assert dict(found.samples)["attempts after a right one"] == 6
    # p = 66/136, after any 56/76, s_c = 60/66, s_i = 0: R - E[R] by attempt and decision, written out
    first, again, accept = 66 / 136, 56 / 76, 60 / 66
    value = accept + (1 - accept) * again
    sampling = first * (1 - first) * (value - again) ** 2 + (first * (1 - accept) + 1 - first) * again * (1 - again)
    decision = first * accept * (1 - accept) * (1 - again) ** 2
    assert found.decision.value == pytest.approx(decision / (sampling + decision))
    few = credit_share(AttemptTable.of(SMALL), num_attempts=3, rng=rng())
    assert (few.decision.value, few.decision.why_none) == (None, "only 5 samples of first attempts; the value table needs 30")
    certain = credit_share(AttemptTable.of([["ca"] * 40]), num_attempts=3, rng=rng())
    assert "certain" in certain.decision.why_none
    broken = credit_share(AttemptTable.of([["ca"] * 40 + ["w-", ""]]), num_attempts=3, rng=rng())
    assert broken.num_broken_off == 2


def test_a_value_share_grows_with_tokens():
    tokens = TokenTable.of([["sssdv-"], ["sv"]])
    nll = np.array([1.0, 2.0, 1.0, 0.5, 0.5, 9.0, 2.0, 1.0])
    measure = value_share(tokens, nll, name="NLL", meaning="")
    assert measure.value == pytest.approx(2 / 8)  # the token in no stage has no part in it
    assert measure.num_prompts == 2
    assert value_share(tokens, -nll, name="KL", meaning="").value is None
    assert measure.low is not None
    assert measure.low >= 0
    with pytest.raises(ValueError, match="value_M has 2 entries for 8 tokens"):
        value_share(tokens, nll[:2], name="", meaning="")
    with pytest.raises(ValueError, match="finite"):
        value_share(tokens, np.full(8, np.nan), name="", meaning="")


def test_a_share_of_a_sum_that_may_be_nothing_cannot_be_told():
    tokens = TokenTable.of([["sv"]] * 20)
    # Prompts add up to .5 and -.4 by turns: the whole is 1 and could as well be 0.
    noise = value_share(tokens, np.tile([1.0, -0.5, -1.0, 0.6], 10), name="KL", meaning="")
    assert (noise.value, noise.why_none[:11]) == (None, "cannot tell")
    # 0.9 and 2.2 by turns: surely something, and a token below 0 is no harm.
    told = value_share(tokens, np.tile([1.0, -0.1, 2.0, 0.2], 10), name="KL", meaning="")
    assert told.value == pytest.approx(1 / 31)
    # The same whole where nothing is below 0, as with k3: it is there for sure.
    kept = value_share(tokens, np.tile([0.0, 0.0, 0.4, 0.1], 10), name="KL", meaning="")
    assert kept.value == pytest.approx(0.2)


# Tables, order, intervals ----------------------------------------------------------------------------------------------------------------


def test_broken_tables_are_refused():
    table = AttemptTable.of(SMALL)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"index_A": table.index_A + 1}, "index_A must count"),
        ({"rollout_A": table.rollout_A[::-1]}, "never decrease"),
        ({"correct_A": table.correct_A[:-1]}, "entries of rollout_A"),
        ({"problem_R": ()}, "entries of prompt_R"),
        ({"num_prompts": 2}, "prompt_R must lie in"),
        ({"decision_A": table.decision_A + 4}, "decision_A must be"),
        ({"known_A": np.zeros(9, dtype=bool)}, "correct_A must be False"),
    ]
    for change, match in changes:
        with pytest.raises(ValueError, match=match):
            replace(table, **change)
    tokens = TokenTable.of([["ssv"]])
    changes = [
        ({"stage_M": tokens.stage_M + 2}, "stage_M must be"),
        ({"verdict_M": np.ones(3, dtype=bool)}, "verdict_M can be True"),
        ({"attempt_M": tokens.attempt_M - 2}, "attempt_M must be"),
        ({"rollout_M": tokens.rollout_M + 1}, "rollout_M must lie in"),
        ({"attempt_M": tokens.attempt_M[:1]}, "entries of rollout_M"),
    ]
    for change, match in changes:
        with pytest.raises(ValueError, match=match):
            replace(tokens, **change)
    assert len(AttemptTable.of([]).rollout_A) == 0
    assert outcome_metrics(AttemptTable.of([])).final.value is None


def test_the_order_of_prompts_and_responses_does_not_matter():
    draw = rng()
    groups = SMALL * 15
    shuffled = [[group[i] for i in draw.permutation(len(group))] for group in groups]
    shuffled = [shuffled[i] for i in draw.permutation(len(groups))]

    def values(prompts: list[list[str]]) -> list[float | None]:
        table = AttemptTable.of(prompts)
        rates, attempts, outcomes = (
            own_decisions(table, num_attempts=3).rates,
            sampling_metrics(table, num_attempts=3),
            outcome_metrics(table),
        )
        deciders = decider_metrics(table, num_attempts=3, rng=rng())
        exact = [*rates.measures(), attempts.after_wrong, outcomes.final, outcomes.delta, outcomes.attempts, deciders.made]
        drawn = [deciders.efficiency, deciders.random, credit_share(table, num_attempts=3, rng=rng()).decision]
        return [number for m in exact for number in (m.value, m.low, m.high)] + [m.value for m in drawn]

    assert values(groups) == pytest.approx(values(shuffled))


def test_linear_intervals_are_those_of_leaving_one_prompt_out():
    draw = rng()
    prompt, kind = draw.integers(0, 30, 400), draw.random(400) < 0.5
    values = draw.normal(size=400) + 0.5 * prompt / 30 * np.where(kind, 1, -1)
    label = Label(name="", meaning="", why_none="")

    def both(keep: np.ndarray) -> tuple[Ratio, Ratio]:
        one, other = (Ratio.over(values, keep & which, prompt, 30) for which in (kind, ~kind))
        return one, other

    everyone = np.ones(400, dtype=bool)
    for statistic in (lambda a, b: average(a, label), lambda a, b: difference_of_averages(a, b, label)):
        without = np.array([statistic(*both(prompt != p)).value for p in range(30)])
        jackknife = np.sqrt(29 / 30 * ((without - without.mean()) ** 2).sum())
        measure = statistic(*both(everyone))
        assert measure.low is not None
        assert measure.high is not None
        assert (measure.high - measure.low) / 2 == pytest.approx(2.045 * jackknife, rel=0.03)  # t of 29 degrees


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_of_shares_knows_that_its_sides_go_together(sign):
    draw, num_prompts = np.random.default_rng(7), 60
    lean_P = draw.normal(0, 0.25, num_prompts)
    prompt, kind = np.repeat(np.arange(num_prompts), 20), np.tile([True, False], 600)
    hit = draw.random(1200) < np.clip(0.5 + lean_P[prompt] * np.where(kind, 1, sign), 0, 1)
    label = Label(name="", meaning="", why_none="")

    def youden(keep: np.ndarray) -> Measure:
        one, other = (Ratio.over(hit, keep & which, prompt, num_prompts) for which in (kind, ~kind))
        return difference_of_shares(one, other, label)

    without = np.array([youden(prompt != p).value for p in range(num_prompts)])
    jackknife = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    measure = youden(np.ones(1200, dtype=bool))
    assert measure.low is not None
    assert measure.high is not None
    assert (measure.high - measure.low) / 2 == pytest.approx(2.001 * jackknife, rel=0.12)  # t of 59 degrees


def test_the_intervals_of_false_accept_and_youden_cover():
    draw, worlds, prompts = np.random.default_rng(11), 200, 40
    hits = {"false accept": 0, "J": 0, "d'": 0}
    for _ in range(worlds):
        # A prompt has its own rates, accepting right and wrong going together; so many decisions of each as it happens.
        lenient_P = draw.beta(2, 2, prompts)
        number_P2 = draw.integers(1, 8, size=(prompts, 2))
        accepted = draw.binomial(number_P2, np.stack([0.6 + 0.4 * lenient_P, 0.2 + 0.4 * lenient_P], axis=1))
        correct_D = np.concatenate([np.repeat([True, False], number) for number in number_P2])
        accept_D = np.concatenate([np.arange(number) < hit for number, hit in zip(number_P2.ravel(), accepted.ravel(), strict=True)])
        rates = decision_rates(accept_D.astype(float), correct_D, np.repeat(np.arange(prompts), number_P2.sum(axis=1)), prompts)
        hits["false accept"] += inside(rates.accept_wrong, 0.4)
        hits["J"] += inside(rates.youden, 0.4)
        hits["d'"] += inside(rates.d_prime, 0.8416 + 0.2533)  # z(.8) - z(.4) from a table
    # 190 expected of 200, standard deviation 3.1
    assert all(180 <= count <= 199 for count in hits.values()), hits


@pytest.mark.parametrize("thin", [2, 3])
def test_a_side_of_few_prompts_is_only_as_sure_as_these(thin):
    draw, worlds, held = np.random.default_rng(thin), 400, 0
    label = Label(name="", meaning="", why_none="")
    for _ in range(worlds):
        # 40 prompts have one to three states in the full cell; few have one in the thin cell, whose values differ more. Means 1 and -1.5.
        prompt = np.concatenate([np.repeat(np.arange(40), draw.integers(1, 4, 40)), np.arange(thin)])
        full = np.arange(len(prompt)) < len(prompt) - thin
        values = np.where(full, 1 + 0.1 * draw.normal(size=40)[prompt], -1.5 + draw.normal(size=len(prompt)))
        one, other = (Ratio.over(values, which, prompt, 40) for which in (full, ~full))
        held += inside(difference_of_averages(one, other, label), 2.5)
    # 380 expected of 400, standard deviation 4.4; counting 40 prompts on both sides would hold 245 and 290
    assert 366 <= held <= 394


def test_a_side_of_one_prompt_has_no_interval_and_says_so():
    draw, label = rng(), Label(name="", meaning="What it is.", why_none="")
    full = Ratio.over(draw.random(40), np.ones(40, dtype=bool), np.arange(40), 40)
    single = Ratio.over(draw.random(40), np.arange(40) == 5, np.arange(40), 40)
    for one, other in ((full, single), (single, full)):
        for measure in (difference_of_averages(one, other, label), difference_of_shares(one, other, label)):
            assert measure.value is not None
            assert (measure.low, measure.high) == (None, None)
            assert measure.meaning == "What it is. No interval: one of the two sides rests on a single prompt."
    truth, prompt = np.arange(40) >= 5, np.where(np.arange(40) < 5, 0, np.arange(40))
    found = bank_metrics(truth, draw.random(40), prompt)
    for measure in (found.auroc, found.rates.d_prime, found.rates.youden):
        assert measure.value is not None
        assert measure.low is None
        assert "rests on a single prompt" in measure.meaning
    assert "single" not in bank_metrics(np.tile([True, False], 20), draw.random(40), np.arange(40)).auroc.meaning


def test_the_auroc_covers_with_three_prompts_of_wrong_attempts():
    draw, worlds, held = np.random.default_rng(13), 200, 0
    for _ in range(worlds):
        # Right ones are one standard deviation above wrong ones, half of which is the prompt's: P(above) = Phi(1 / sqrt 2) = 0.7602
        prompt, truth = np.concatenate([np.repeat(np.arange(30), 2), np.repeat(np.arange(30, 33), 6)]), np.arange(78) < 60
        evidence = truth + np.sqrt(0.5) * (draw.normal(size=33)[prompt] + draw.normal(size=78))
        held += inside(auroc(1 / (1 + np.exp(-evidence)), truth, prompt, 33), 0.7602)
    # 190 or more expected, for the pseudo-prompt is worth a third of the class; counting all prompts as one sample would hold 164
    assert held >= 186
