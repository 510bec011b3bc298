"""The silhouette on sub-samples: against every subset of a small group, and against the whole where the sub-sample is the whole."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from jominy.groups import Groups
from jominy.measures.clarity import measure_clarity
from jominy.measures.clarity_by_size import clarity_by_size


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def make_groups(num_prompts: int, size: int, seed: int = 1) -> Groups:
    generator = np.random.default_rng(seed)
    right = generator.random((num_prompts, size)) < generator.uniform(0.1, 0.9, size=(num_prompts, 1))
    values = 1 / (1 + np.exp(-generator.normal(size=right.shape) - right))
    return Groups.of(rewards=right.astype(int).tolist(), probability=values.tolist())


def every_subset(values: list[float], right: list[int], size: int) -> list[tuple[float, float]]:
    """(S, balanced S) of each subset with both classes, by scikit-learn."""
    found = []
    for chosen in combinations(range(len(values)), size):
        labels = np.array([right[i] for i in chosen])
        if 0 < labels.sum() < size:
            if size == 2:  # scikit-learn wants three; two classes of one have s_i = 0
                found.append((0.0, 0.0))
                continue
            samples = silhouette_samples(np.array([[values[i]] for i in chosen]), labels, metric="manhattan")
            found.append((samples.mean(), (samples[labels == 1].mean() + samples[labels == 0].mean()) / 2))
    return found


@pytest.mark.parametrize("size", [2, 4])
def test_the_mean_over_draws_is_the_mean_over_all_subsets(size: int) -> None:
    groups = [([0.9, 0.7, 0.35, 0.3, 0.5, 0.2], [1, 1, 0, 0, 0, 1]), ([0.8, 0.4, 0.6, 0.1, 0.3, 0.25], [0, 0, 0, 0, 1, 0])]
    subsets = [every_subset(values, right, size) for values, right in groups]
    found = clarity_by_size(
        Groups.of(rewards=[right for _, right in groups], probability=[values for values, _ in groups]), [size], rng(), num_draws=5000
    )
    both = np.array([pair for these in subsets for pair in these])
    num_subsets = len(list(combinations(range(6), size)))
    # Both prompts draw as often, so a defined subset of either counts alike: the ratio of sums is the plain mean over all of them.
    assert found.silhouette[0].value == pytest.approx(both[:, 0].mean(), abs=0.015)
    assert found.balanced[0].value == pytest.approx(both[:, 1].mean(), abs=0.015)
    assert found.negative[0].value == pytest.approx((both[:, 0] < 0).mean(), abs=0.02)
    assert found.coverage[0].value == pytest.approx(len(both) / (2 * num_subsets), abs=0.01)


def test_all_rollouts_give_what_the_whole_gives() -> None:
    groups = make_groups(60, 16)
    whole, found = measure_clarity(groups, rng()), clarity_by_size(groups, [4, 16], rng())
    pairs = ((found.silhouette, whole.silhouette), (found.balanced, whole.balanced), (found.negative, whole.negative))
    for by_size, measure in (*pairs, (found.coverage, whole.coverage)):
        assert by_size[1].value == pytest.approx(measure.value, abs=1e-12)
        assert by_size[1].low == pytest.approx(measure.low, abs=0.01)
        assert by_size[1].high == pytest.approx(measure.high, abs=0.01)
    assert found.coverage[0].value is not None
    assert found.coverage[1].value is not None
    assert found.coverage[0].value < found.coverage[1].value


def test_sizes_that_are_not_there_are_left_out_and_all_sizes_have_the_same_prompts() -> None:
    # Two of three prompts have 8 rollouts with a reward and a probability, the third has 5.
    rewards: list[list[float | None]] = [[1, 0] * 4, [1, 0] * 4, [1, 0, 1, 0, 1, 0, None, 1]]
    values = [[0.9, 0.1] * 4, [0.8, 0.2] * 4, [0.7, 0.3, 0.7, 0.3, 0.7, 0.3, 0.5, float("nan")]]
    found = clarity_by_size(Groups.of(rewards=rewards, probability=values), [4, 8, 16], rng())
    assert found.sizes == (4, 8)
    assert [measure.num_prompts for measure in found.coverage] == [2, 2]
    assert [measure.num_left_out for measure in found.coverage] == [1, 1]
    few = clarity_by_size(Groups.of(rewards=rewards, probability=values), [16], rng())
    assert (few.sizes, few.silhouette) == ((), ())


def test_where_no_sub_sample_has_both_classes_it_says_so() -> None:
    found = clarity_by_size(Groups.of(rewards=[[1] * 8] * 3, probability=[[0.5] * 8] * 3), [4, 8], rng())
    assert [measure.value for measure in found.coverage] == [0.0, 0.0]
    for measure in (*found.silhouette, *found.balanced, *found.negative):
        assert measure.value is None
        assert measure.why_none


def test_many_prompts_are_sampled_and_the_same_seed_gives_the_same() -> None:
    groups = make_groups(100, 8)
    found = clarity_by_size(groups, [4, 8], rng(), max_prompts=20)
    assert found.coverage[0].num_prompts == 20
    assert found.coverage[0].num_left_out == 80
    assert found == clarity_by_size(groups, [4, 8], rng(), max_prompts=20)


def test_bad_input_says_what_to_do() -> None:
    groups = make_groups(3, 8)
    for sizes in ([], [1, 4], [8, 4], [4, 4]):
        with pytest.raises(ValueError, match="ascending sizes from 2 up"):
            clarity_by_size(groups, sizes, rng())
    with pytest.raises(ValueError, match="clarity needs the probability"):
        clarity_by_size(Groups.of(rewards=[[1, 0]]), [2], rng())
