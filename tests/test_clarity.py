"""The silhouette against scikit-learn, a plain double loop and the hand cases; its null against the sheet's table."""

from __future__ import annotations

import io
import warnings
from dataclasses import fields, replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score
from sklearn.metrics import silhouette_samples as sklearn_samples

from jominy.diagnosis import diagnose
from jominy.groups import Groups
from jominy.measures.clarity import Clarity, measure_clarity, pearson
from jominy.measures.silhouette import prompt_clarity, silhouette_samples, sort_together
from jominy.printing import print_diagnosis
from jominy.records import Measure


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def measures_of(clarity: Clarity) -> dict[str, Measure]:
    return {f.name: value for f in fields(clarity) if isinstance(value := getattr(clarity, f.name), Measure)}


def double_loop(values: list[float], right: list[bool]) -> list[float]:
    """Equations 2-4 as they are written."""
    found = []
    for i, own in enumerate(right):
        same = [abs(values[i] - values[j]) for j in range(len(values)) if right[j] == own and j != i]
        other = [abs(values[i] - values[j]) for j in range(len(values)) if right[j] != own]
        if not same:
            found.append(0.0)
            continue
        a, b = sum(same) / len(same), sum(other) / len(other)
        found.append((b - a) / max(a, b) if max(a, b) > 0 else 0.0)
    return found


def one_group(values: list[float], right: list[int]) -> Clarity:
    return measure_clarity(Groups.of(rewards=[right], probability=[values]), rng())


def test_hand_cases_of_the_sheet() -> None:
    apart = one_group([0.9, 0.9, 0.1, 0.1], [1, 1, 0, 0])
    assert apart.silhouette.value == pytest.approx(1.0, abs=1e-12)
    assert apart.rectified.value == pytest.approx(1.0, abs=1e-12)
    assert apart.auroc.value == 1.0
    assert apart.separation.value == pytest.approx(0.8)
    swapped = one_group([0.9, 0.9, 0.1, 0.1], [0, 0, 1, 1])
    assert swapped.silhouette.value == pytest.approx(1.0, abs=1e-12)
    assert swapped.rectified.value == pytest.approx(-1.0, abs=1e-12)
    assert swapped.auroc.value == 0.0
    same = one_group([0.4, 0.4, 0.4, 0.4], [1, 0, 0, 1])
    assert (same.silhouette.value, same.rectified.value, same.separation.value, same.auroc.value) == (0.0, 0.0, 0.0, 0.5)
    assert same.pooled_z.value is None
    assert same.dprime.value is None


def test_a_group_by_hand() -> None:
    # right .9 .7, wrong .2 .1 .6. s(.9): a=.2, b=(.7+.8+.3)/3=.6 -> 2/3. s(.7): a=.2, b=(.5+.6+.1)/3=.4 -> 1/2.
    # s(.2): a=(.1+.4)/2=.25, b=(.7+.5)/2=.6 -> .35/.6. s(.1): a=(.1+.5)/2=.3, b=.7 -> .4/.7. s(.6): a=(.4+.5)/2=.45, b=.2 -> -.25/.45.
    s = [2 / 3, 1 / 2, 0.35 / 0.6, 0.4 / 0.7, -0.25 / 0.45]
    found = one_group([0.9, 0.7, 0.2, 0.1, 0.6], [1, 1, 0, 0, 0])
    assert found.silhouette.value == pytest.approx(sum(s) / 5)
    assert found.balanced.value == pytest.approx((sum(s[:2]) / 2 + sum(s[2:]) / 3) / 2)
    assert found.separation.value == pytest.approx(0.8 - 0.3)
    # variances (n-1): right .02, wrong (.01 + .04 + .09)/2 = .07; d' = .5 / sqrt(.045)
    assert found.dprime.value == pytest.approx(0.5 / 0.045**0.5)
    assert found.per_prompt.pass_rate_V.tolist() == [0.4]
    # compactness: the one pair of right answers is .2 apart, the pairs of wrong ones .1, .4 and .5
    assert found.spread_right.value == pytest.approx(0.2)
    assert found.spread_wrong.value == pytest.approx(1.0 / 3)


def test_a_class_of_one_has_no_spread_and_says_so() -> None:
    found = one_group([0.9, 0.2, 0.1], [1, 0, 0])
    assert found.spread_right.value is None
    assert found.spread_right.why_none == "no prompt with right and wrong answers has two right ones"
    assert found.spread_wrong.value == pytest.approx(0.1)
    both = measure_clarity(Groups.of(rewards=[[1, 0, 0], [1, 1, 0]], probability=[[0.9, 0.2, 0.1], [0.7, 0.3, 0.1]]), rng())
    assert (both.spread_right.num_prompts, both.spread_right.num_left_out) == (1, 1)
    assert both.spread_right.value == pytest.approx(0.4)


def test_a_silhouette_far_above_noise_lies_inside_its_own_interval() -> None:
    # Two right answers of 16, far from the others: S is near 1, permuted labels give about -0.25, and the difference is above 1.
    generator = rng()
    values = [np.concatenate([0.9 + 0.05 * generator.random(2), 0.1 + 0.05 * generator.random(14)]).tolist() for _ in range(12)]
    excess = measure_clarity(Groups.of(rewards=[[1] * 2 + [0] * 14] * 12, probability=values), rng()).excess
    assert excess.value is not None
    assert excess.low is not None
    assert excess.high is not None
    assert 1.0 < excess.low < excess.value < excess.high


@settings(max_examples=200, deadline=None)
@given(
    data=st.lists(st.tuples(st.sampled_from([0.1, 0.1 + 1e-9, 0.25, 0.5, 0.5000001, 0.93, 1.0]), st.booleans()), min_size=2, max_size=14)
)
def test_double_loop_and_scikit_learn(data: list[tuple[float, bool]]) -> None:
    values, right = [v for v, _ in data], [r for _, r in data]
    if all(right) or not any(right):
        with pytest.raises(ValueError, match="one class only"):
            silhouette_samples(np.array(values), np.array(right))
        return
    found = silhouette_samples(np.array(values), np.array(right))
    # Differences of 1e-9 cancel in the sums: they cost nine of sixteen digits.
    np.testing.assert_allclose(found, double_loop(values, right), atol=1e-6)
    whole = one_group(values, [int(r) for r in right])
    assert whole.silhouette.value == pytest.approx(float(found.mean()), abs=1e-6)
    assert whole.auroc.value == pytest.approx(roc_auc_score(right, values), abs=1e-12)
    for spread, wanted in ((whole.spread_right, True), (whole.spread_wrong, False)):
        own = [v for v, r in zip(values, right, strict=True) if r == wanted]
        gaps = [abs(x - y) for x, y in combinations(own, 2)]
        assert spread.value == (pytest.approx(sum(gaps) / len(gaps), abs=1e-9) if gaps else None)


def test_scikit_learn_on_a_large_group() -> None:
    generator = rng()
    right = generator.random(1500) < 0.3
    values = np.round(np.exp(-np.abs(generator.normal(1, 0.4, size=1500) - 0.3 * right)), 3)
    theirs = sklearn_samples(values[:, None], right, metric="manhattan")
    np.testing.assert_allclose(silhouette_samples(values, right), theirs, atol=1e-10)
    found = measure_clarity(Groups.of(rewards=[right.astype(int).tolist()], probability=[values.tolist()]), rng(), num_permutations=20)
    assert found.silhouette.value == pytest.approx(float(theirs.mean()), abs=1e-10)
    assert found.balanced.value == pytest.approx((theirs[right].mean() + theirs[~right].mean()) / 2, abs=1e-10)
    assert found.auroc.value == pytest.approx(roc_auc_score(right, values), abs=1e-12)
    pooled = (values[right].var(ddof=1) + values[~right].var(ddof=1)) / 2
    assert found.dprime.value == pytest.approx((values[right].mean() - values[~right].mean()) / pooled**0.5, rel=1e-9)


@pytest.mark.parametrize(("num_right", "mean", "deviation"), [(1, -0.12, 0.25), (2, -0.04, 0.19), (4, -0.01, 0.12), (8, 0.00, 0.08)])
def test_null_table_of_the_sheet(num_right: int, mean: float, deviation: float) -> None:
    # A.5 does not say which P: a normal one gives its figures (its -0.12 is -0.114 here, the most that its own noise explains), a uniform
    # one a deviation of 0.19 for 1 of 16, a lognormal one (sigma 0.3) -0.124 and 0.255. Printed to two digits: half a digit, and ours is
    # known to 0.002.
    values = np.clip(0.5 + 0.1 * np.random.default_rng(num_right).normal(size=(2000, 16)), 0, 1)
    rewards = [[1] * num_right + [0] * (16 - num_right)] * 2000
    groups = Groups.of(rewards=rewards, probability=values.tolist())
    found = measure_clarity(groups, rng(), num_permutations=60, max_prompts=2000)
    assert found.null_silhouette.value == pytest.approx(mean, abs=0.01)
    assert found.permuted.null_WR.std() == pytest.approx(deviation, abs=0.01)
    # Labels are unrelated as they stand, so what is observed is a draw of the null: 2,000 of them are known to 0.25 / sqrt(2000) = 0.006.
    assert found.silhouette.value == pytest.approx(mean, abs=0.02)
    assert found.null_negative.value is not None
    assert 0.55 < found.null_negative.value < 0.75


def test_sorting_keeps_labels_with_values() -> None:
    values = np.array([[0.5, 0.0, 0.5, 1.0, -0.0]])
    right = np.array([[True, False, False, True, True]])
    sorted_values, sorted_right = sort_together(values, right)
    np.testing.assert_allclose(sorted_values, [[0.0, 0.0, 0.5, 0.5, 1.0]], atol=1e-15)
    assert sorted_right.tolist() == [[False, True, False, True, True]]
    assert values.tolist() == [[0.5, 0.0, 0.5, 1.0, -0.0]]


def make_groups(num_prompts: int, size: int, shift: float, seed: int) -> Groups:
    generator = np.random.default_rng(seed)
    right = generator.random((num_prompts, size)) < generator.beta(0.7, 1.0, size=num_prompts)[:, None]
    values = 1 / (1 + np.exp(-(generator.normal(size=right.shape) + shift * right)))
    return Groups.of(rewards=right.astype(int).tolist(), probability=values.tolist())


def test_permutation_null_sees_signal_and_only_signal() -> None:
    nothing, clear = measure_clarity(make_groups(200, 16, 0.0, 1), rng()), measure_clarity(make_groups(200, 16, 1.5, 2), rng())
    assert nothing.pooled_z.value is not None
    assert abs(nothing.pooled_z.value) < 3
    assert clear.pooled_z.value is not None
    assert clear.pooled_z.value > 10
    assert nothing.negative.value is not None
    assert nothing.null_negative.value is not None
    assert nothing.negative.value == pytest.approx(nothing.null_negative.value, abs=0.12)
    assert nothing.excess.low is not None
    assert nothing.excess.high is not None
    assert nothing.excess.low < 0 < nothing.excess.high
    # z of unrelated labels has mean 0 and deviation 1.
    assert np.nanmean(nothing.permuted.z_W) == pytest.approx(0, abs=0.25)
    assert np.nanstd(nothing.permuted.z_W) == pytest.approx(1, abs=0.2)


def test_permutation_z_of_one_prompt_against_all_orders() -> None:
    # Eight answers, two right: 28 equally likely labellings, gone through one by one.
    values = [0.9, 0.8, 0.35, 0.3, 0.5, 0.2, 0.1, 0.55]
    every = [double_loop(values, [k in (i, j) for k in range(8)]) for i in range(8) for j in range(i)]
    means = np.array([np.mean(s) for s in every])
    groups = Groups.of(rewards=[[1, 1, 0, 0, 0, 0, 0, 0]], probability=[values])
    found = measure_clarity(groups, rng(), num_permutations=20_000).permuted
    assert found.null_mean_W[0] == pytest.approx(means.mean(), abs=4 * means.std() / 20_000**0.5)
    assert found.null_deviation_W[0] == pytest.approx(means.std(), rel=0.03)
    assert found.null_negative_W[0] == pytest.approx((means < 0).mean(), abs=0.02)
    labels = [[k in (i, j) for k in range(8)] for i in range(8) for j in range(i)]
    halves = np.array([(np.mean(np.array(s)[r]) + np.mean(np.array(s)[~np.array(r)])) / 2 for s, r in zip(every, labels, strict=True)])
    assert found.null_balanced_WR.mean() == pytest.approx(halves.mean(), abs=4 * halves.std() / 20_000**0.5)
    assert sorted(set(found.null_balanced_WR[0].round(9))) == pytest.approx(sorted(set(halves.round(9))), abs=1e-8)
    observed = np.mean(double_loop(values, [True, True] + [False] * 6))
    assert found.z_W[0] == pytest.approx((observed - means.mean()) / means.std(), rel=0.05)


def test_permutations_use_a_sample_of_many_prompts() -> None:
    found = measure_clarity(make_groups(100, 8, 0.5, 3), rng(), max_prompts=10, num_permutations=30)
    assert found.pooled_z.num_prompts == 10
    assert len(found.permuted.prompts_W) == 10
    assert found.pooled_z.num_left_out == 90
    shown = dict(zip(found.per_prompt.prompts_V.tolist(), found.per_prompt.silhouette_V.tolist(), strict=True))
    assert [shown[p] for p in found.permuted.prompts_W.tolist()] == found.permuted.silhouette_W.tolist()


def test_coverage_counts_what_is_undefined() -> None:
    groups = Groups.of(rewards=[[1, 1, 1], [0, 0, 0], [1, 0, 0], [1, None, None]], probability=[[0.5, 0.6, 0.7]] * 4)
    found = measure_clarity(groups, rng())
    assert found.coverage.value == 0.25
    assert (found.silhouette.num_prompts, found.silhouette.num_left_out, found.silhouette.num_unscored) == (1, 3, 2)
    assert found.silhouette.low is None
    strict = measure_clarity(groups, rng(), min_class_size=2)
    assert strict.silhouette.value is None
    assert "2 right and 2 wrong" in strict.silhouette.why_none
    for measure in measures_of(strict).values():
        assert (measure.value is None) == bool(measure.why_none)


def test_rollouts_without_probability_are_left_out_and_counted() -> None:
    groups = Groups.of(rewards=[[1, 1, 0, 0, 0, None]], probability=[[0.9, 0.9, 0.1, 0.1, float("nan"), float("nan")]])
    found = measure_clarity(groups, rng())
    assert found.silhouette.value == 1.0
    assert found.num_without_probability == 1
    assert found.without_probability.value == 1 / 5
    assert found.silhouette.num_unscored == 1


def test_classes_of_one_can_be_left_out() -> None:
    # The first prompt has one right answer: its s_i is 0 by convention, and it drags the mean; the second has S = 1.
    # In the third all are equally probable: 0.
    probability = [[0.9, 0.1, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1], [0.5] * 4]
    groups = Groups.of(rewards=[[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], probability=probability)
    found = measure_clarity(groups, rng())
    assert found.silhouette.value == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert (found.two_of_each.value, found.two_of_each.num_prompts, found.two_of_each.num_left_out) == (1.0, 1, 2)
    none = measure_clarity(Groups.of(rewards=[[1, 0]], probability=[[0.3, 0.2]]), rng()).two_of_each
    assert (none.value, none.why_none) == (None, "no prompt has two right and two wrong answers")


@pytest.mark.parametrize(("num_missing", "warned", "shown"), [(0, False, False), (1, False, True), (4, True, True)])
def test_rollouts_that_clarity_leaves_out_are_told_to_the_reader(num_missing: int, warned: bool, shown: bool) -> None:
    values = np.random.default_rng(3).uniform(0.2, 0.9, 64)
    values[:num_missing] = np.nan  # of 64: 1 is 1.6 %, 4 are 6.3 %
    found = diagnose(Groups.of(rewards=[[1, 0] * 4] * 8, probability=values.reshape(8, 8).tolist()))
    findings = [finding for finding in found.findings if finding.code == "no-probability"]
    assert [finding.severity for finding in findings] == (["watch"] if warned else [])
    console = Console(width=200, record=True, file=io.StringIO())
    print_diagnosis(found, None, console)
    assert ("share without a probability" in console.export_text()) == shown
    if warned:
        assert findings[0].title.startswith("6 %")
        assert "> no_probability 0.05" in findings[0].rule


def test_truncated_rollouts_can_invert_a_group() -> None:
    groups = Groups.of(rewards=[[1, 1, 0, 0, 0]], probability=[[0.5, 0.52, 0.1, 0.12, 0.99]])
    marked = replace(groups, truncated_N=np.array([False, False, False, False, True]))
    found = measure_clarity(marked, rng())
    assert found.untruncated.value == pytest.approx(np.mean(double_loop([0.5, 0.52, 0.1, 0.12], [True, True, False, False])))
    assert found.silhouette.value is not None
    assert found.untruncated.value is not None
    assert found.silhouette.value < found.untruncated.value
    assert measure_clarity(groups, rng()).untruncated.value is None


@pytest.mark.parametrize(("size", "leak", "balanced_at_most"), [(16, 0.75, 0.32), (64, 0.94, 0.2)])
def test_class_balance_leaks_into_s_and_less_into_the_control(size: int, leak: float, balanced_at_most: float) -> None:
    # A.5: right answers compact (sd .5), wrong ones diffuse (sd 2), shift .5; only the pass rate varies. Its figures, 0.75 and 0.94, are
    # those of the pass rates that prompts were drawn from, uniform in (0, 1); the observed pass rate shares its sample with S and
    # correlates more (0.81 at 16). 3,000 prompts know a correlation of 0.75 to (1 - 0.75^2) / sqrt(3000) = 0.008.
    generator = np.random.default_rng(4)
    rate_P = generator.random(3000)
    right = generator.random((3000, size)) < rate_P[:, None]
    raw = np.where(right, generator.normal(0.5, 0.5, size=right.shape), generator.normal(0, 2, size=right.shape))
    groups = Groups.of(rewards=right.astype(int).tolist(), probability=((raw + 12) / 24).tolist())
    found = measure_clarity(groups, rng(), num_permutations=2, max_prompts=1)
    prompts = found.per_prompt
    drawn_from = rate_P[prompts.prompts_V]
    assert pearsonr(prompts.silhouette_V, drawn_from).statistic == pytest.approx(leak, abs=0.03)
    assert 0.05 < pearsonr(prompts.balanced_V, drawn_from).statistic < balanced_at_most
    assert found.pass_rate_correlation.value == pytest.approx(pearsonr(prompts.silhouette_V, prompts.pass_rate_V).statistic)
    assert found.balanced_correlation.value == pytest.approx(pearsonr(prompts.balanced_V, prompts.pass_rate_V).statistic)
    if size == 16:  # and the sheet's 8-fold gap in little: .63 against .26
        assert prompts.pass_rate_V[prompts.silhouette_V > 0].mean() == pytest.approx(0.63, abs=0.03)
        assert prompts.pass_rate_V[prompts.silhouette_V < 0].mean() == pytest.approx(0.26, abs=0.03)


def test_pearson_is_undefined_without_spread() -> None:
    assert np.isnan(pearson(np.array([0.5, 0.5, 0.25, 0.5, 0.25])))


def test_order_does_not_matter() -> None:
    groups = make_groups(30, 12, 0.7, 5)
    size = 12
    order = np.random.default_rng(6).permuted(np.arange(30 * size).reshape(30, size), axis=1)[::-1].ravel()
    assert groups.probability_N is not None
    shuffled = Groups(
        offsets_P1=groups.offsets_P1,
        rewards_N=groups.rewards_N[order],
        scored_N=groups.scored_N[order],
        correct_N=groups.correct_N[order],
        probability_N=groups.probability_N[order],
    )
    first, second = measure_clarity(groups, rng()), measure_clarity(shuffled, rng())
    # Permutations are drawn in another order of prompts; with 200 of them a null mean is known to 0.07 of its deviation.
    tolerance = {"null_silhouette": 0.05, "null_negative": 0.05, "excess": 0.05, "pooled_z": 0.4}
    for name, measure in measures_of(first).items():
        other = measures_of(second)[name]
        assert measure.num_prompts == other.num_prompts
        if measure.value is None:
            assert other.value is None
        else:
            assert other.value == pytest.approx(measure.value, abs=tolerance.get(name, 1e-9))


def test_order_inside_a_group_changes_nothing_at_all() -> None:
    groups = make_groups(20, 10, 0.7, 9)
    order = (np.arange(200).reshape(20, 10)[:, ::-1]).ravel()
    assert groups.probability_N is not None
    turned = replace(
        groups, rewards_N=groups.rewards_N[order], correct_N=groups.correct_N[order], probability_N=groups.probability_N[order]
    )
    assert measures_of(measure_clarity(groups, rng())) == measures_of(measure_clarity(turned, rng()))


def test_unequal_groups_agree_with_one_by_one() -> None:
    generator = np.random.default_rng(7)
    rewards = [generator.integers(0, 2, size=int(n)).tolist() for n in generator.integers(2, 9, size=40)]
    values = [generator.random(len(group)).tolist() for group in rewards]
    found = prompt_clarity(groups := Groups.of(rewards=rewards, probability=values), groups.scored_N)
    expected = {p: float(np.mean(double_loop(values[p], [bool(r) for r in g]))) for p, g in enumerate(rewards) if 0 < sum(g) < len(g)}
    assert found.prompts_V.tolist() == list(expected)
    np.testing.assert_allclose(found.silhouette_V, list(expected.values()), atol=1e-12)


def test_same_seed_same_numbers() -> None:
    groups = make_groups(20, 8, 0.3, 8)
    assert measures_of(measure_clarity(groups, rng())) == measures_of(measure_clarity(groups, rng()))


def test_bad_input_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="clarity needs the probability"):
        measure_clarity(Groups.of(rewards=[[1, 0]]), rng())
    with pytest.raises(ValueError, match="log-probabilities where probabilities belong"):
        measure_clarity(Groups.of(rewards=[[1, 0]], probability=[[-0.3, -0.2]]), rng())
    with pytest.raises(ValueError, match="min_class_size"):
        measure_clarity(Groups.of(rewards=[[1, 0]], probability=[[0.3, 0.2]]), rng(), min_class_size=0)
    with pytest.raises(ValueError, match="two permutations"):
        measure_clarity(Groups.of(rewards=[[1, 0]], probability=[[0.3, 0.2]]), rng(), num_permutations=1)


def test_extreme_probabilities_raise_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = one_group([0.0, 1e-300, 1.0, 1.0, 5e-324], [1, 0, 1, 0, 0])
    assert found.silhouette.value == pytest.approx(np.mean(double_loop([0.0, 1e-300, 1.0, 1.0, 5e-324], [True, False, True, False, False])))
