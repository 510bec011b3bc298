"""The band of noise holds noise, lets signal out, and reaches the page as it was measured."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from jominy.diagnosis import diagnose
from jominy.groups import Groups
from jominy.histograms import clouds_of, histograms_of
from jominy.measures.clarity import Clarity, measure_clarity
from jominy.measures.null_band import NullBand, band_by_pass_rate, band_by_rank, expected_outside, sides_of
from jominy.reporting.checking import check
from jominy.reporting.clarity_plots import clarity_plots, draw_cloud
from jominy.results import Diagnosis


def make_groups(num_prompts: int, size: int, shift: float, seed: int) -> Groups:
    generator = np.random.default_rng(seed)
    right = generator.random((num_prompts, size)) < generator.uniform(0.05, 0.95, size=(num_prompts, 1))
    values = 1 / (1 + np.exp(-generator.normal(size=right.shape) - shift * right))
    return Groups.of(rewards=right.astype(int).tolist(), probability=values.tolist())


def clarity_of(num_prompts: int, size: int, shift: float, seed: int) -> Clarity:
    return measure_clarity(make_groups(num_prompts, size, shift, seed), np.random.default_rng(0))


def outside(values_W: np.ndarray, band: NullBand, x_W: np.ndarray) -> float:
    """Share of the points beyond the band, drawn from point to point as the page draws it."""
    low, high = np.interp(x_W, band.x_B, band.low_B), np.interp(x_W, band.x_B, band.high_B)
    return float(((values_W < low) | (values_W > high)).mean())


def test_noise_lies_in_its_band_and_signal_does_not() -> None:
    for shift, least, most in ((0.0, 0.02, 0.09), (2.0, 0.5, 1.0)):
        found = clarity_of(600, 16, shift, seed=2)
        permuted, rate_W = found.permuted, found.per_prompt.pass_rate_V
        for values_W, null_WR in ((permuted.silhouette_W, permuted.null_WR), (found.per_prompt.balanced_V, permuted.null_balanced_WR)):
            assert least <= outside(values_W, band_by_pass_rate(null_WR, rate_W), rate_W) <= most
            assert least <= (sides_of(values_W, null_WR) != 0).mean() <= most


def test_sorted_noise_lies_in_the_band_by_rank() -> None:
    # At each rank 95 % of 200 worlds of noise; the ranks of one world move together, so the worlds are the unit.
    shares = []
    for world in range(60):
        permuted = clarity_of(40, 8, 0.0, seed=100 + world).permuted
        band = band_by_rank(permuted.null_WR)
        shares.append(outside(np.sort(permuted.silhouette_W), band, band.x_B))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.03)


def test_bands_by_hand() -> None:
    null = np.array([[0.0, 0.2, 0.4, 0.6], [0.1, 0.1, 0.1, 0.1], [-0.5, 0.5, -0.5, 0.5]])
    ranked = band_by_rank(null)
    # Sorted columns: (-.5 0 .1), (.1 .2 .5), (-.5 .1 .4), (.1 .5 .6).
    np.testing.assert_allclose(ranked.mean_B, [-0.2, 0.2, 0.4])
    np.testing.assert_allclose(ranked.high_B[0], 0.1)
    # Rates of 0.5 and 0.51 fall into the bin around 8/16, 0.9 into that around 14/16.
    binned = band_by_pass_rate(null, np.array([0.5, 0.9, 0.51]))
    np.testing.assert_allclose(binned.x_B, [0.505, 0.9])
    np.testing.assert_allclose(binned.mean_B, [0.15, 0.1])
    np.testing.assert_allclose([binned.low_B[1], binned.high_B[1]], [0.1, 0.1])
    assert sides_of(np.array([0.7, 0.1, -0.6]), null).tolist() == [1, 0, -1]


@pytest.mark.parametrize(("num_right", "most"), [(1, 0.0), (8, 0.025)])
def test_noise_expected_outside_is_what_the_labellings_allow(num_right: int, most: float) -> None:
    # One right of 16: 16 labellings. The highest comes 1 time in 16, so it is the band's end, and at most a labelling in 40 lies above it.
    # Eight of 16: 12,870 labellings, and the quantile leaves 5 of 200 on either side.
    values = np.random.default_rng(num_right).uniform(0.2, 0.8, size=(40, 16))
    rewards = [[1] * num_right + [0] * (16 - num_right)] * 40
    found = measure_clarity(Groups.of(rewards=rewards, probability=values.tolist()), np.random.default_rng(0))
    noise = expected_outside(found.permuted.null_WR)
    assert noise.above / 40 == pytest.approx(most, abs=0.002)
    assert noise.num_can_leave == 40 if num_right == 8 else noise.num_can_leave <= 4
    # what was observed is a draw of the same noise
    assert sides_of(found.permuted.silhouette_W, found.permuted.null_WR).tolist().count(1) <= (6 if most else 1)
    (by_rank, *_) = clouds_of(found)
    assert f"noise alone gives about {noise.above:.2g} above and {noise.below:.2g} below" in by_rank.meaning
    assert f"{noise.num_can_leave} of them can lie outside at all" in by_rank.meaning
    assert "pooled permutation z" in by_rank.meaning


def test_clouds_hold_every_permuted_prompt_once() -> None:
    groups = make_groups(50, 8, 1.0, seed=3)
    found = measure_clarity(groups, np.random.default_rng(0), max_prompts=20)
    by_rank, balanced, by_rate, _ = clouds_of(found)
    shown = dict(zip(found.per_prompt.prompts_V.tolist(), found.per_prompt.silhouette_V.round(4).tolist(), strict=True))
    for cloud in (by_rank, by_rate):
        assert sorted(cloud.prompts) == found.permuted.prompts_W.tolist()
        assert [shown[p] for p in cloud.prompts] == list(cloud.y)
    assert list(by_rank.y) == sorted(by_rank.y)
    assert list(balanced.y) == sorted(balanced.y)
    assert dict(zip(by_rank.prompts, by_rank.side, strict=True)) == dict(zip(by_rate.prompts, by_rate.side, strict=True))
    rates = groups.num_correct_P() / groups.num_scored_P()
    np.testing.assert_allclose(by_rate.x, rates[list(by_rate.prompts)], atol=1e-4)
    assert f"{by_rank.side.count('above')} lie above and {by_rank.side.count('below')} below" in by_rank.meaning


def test_no_prompt_with_both_classes_gives_no_cloud() -> None:
    found = measure_clarity(Groups.of(rewards=[[1, 1]], probability=[[0.2, 0.3]]), np.random.default_rng(0))
    assert clouds_of(found) == ()


def test_a_diagnosis_carries_clouds_sizes_and_z_to_the_page() -> None:
    found = diagnose(make_groups(30, 16, 1.0, seed=4))
    record = json.loads(json.dumps(asdict(found)))
    check(record, Diagnosis, "diagnosis")
    plots = clarity_plots(record["clouds"], {curve["name"]: curve for curve in record["curves"]})
    assert [plot["title"] for plot in plots][-1] == "Silhouette by the number of rollouts"
    assert len(plots) == 5
    assert [row[0] for row in plots[-1]["numbers"]] == ["8", "16"]
    for plot in plots:
        assert all(len(row) == len(plot["header"]) for row in plot["numbers"])
    # z of the table is that of the permutation test, and the two silhouettes stand beside it.
    listed = {p: s for p, s in enumerate(found.prompts) if s.z is not None}
    clarity = measure_clarity(make_groups(30, 16, 1.0, seed=4), np.random.default_rng(9), num_permutations=2000)
    assert list(listed) == clarity.permuted.prompts_W.tolist()
    assert [s.balanced for s in listed.values()] == pytest.approx(clarity.per_prompt.balanced_V.tolist())
    # Other permutations, ten times as many: where one answer of 16 is right the null is skewed, and 200 know its deviation to a sixth.
    assert np.corrcoef([s.z or 0.0 for s in listed.values()], clarity.permuted.z_W)[0, 1] > 0.98


def test_a_cloud_is_drawn_as_it_stands() -> None:
    by_rank, _, by_rate, _ = (asdict(cloud) for cloud in clouds_of(clarity_of(60, 16, 1.0, seed=5)))
    for cloud in (by_rank, by_rate):
        band, mean, *marks = draw_cloud(cloud)["data"]
        assert sorted(band["y"]) == sorted([*cloud["band_low"], *cloud["band_high"]])
        assert list(mean["y"]) == list(cloud["band_mean"])
        assert sorted(y for trace in marks for y in trace["y"]) == sorted(cloud["y"])
        assert {trace["name"]: len(trace["y"]) for trace in marks} == {side: cloud["side"].count(side) for side in set(cloud["side"])}
        assert len({trace["marker"]["symbol"] for trace in marks}) == len(marks)  # never colour alone
    named = [f"<id {p}>" + "x" * 100 * (p == by_rank["prompts"][1]) for p in range(max(by_rank["prompts"]))]
    called = {y: name for trace in draw_cloud(by_rank, named)["data"][2:] for y, name in zip(trace["y"], trace["customdata"], strict=True)}
    first, second = by_rank["prompts"][:2]
    assert called[by_rank["y"][0]] == f"&lt;id {first}&gt;"
    assert called[by_rank["y"][1]].startswith(f"&lt;id {second}&gt;xxx")
    assert len(called[by_rank["y"][1]]) < 80
    last = by_rank["prompts"].index(max(by_rank["prompts"]))
    assert called[by_rank["y"][last]] == f"number {by_rank['prompts'][last] + 1}"
    hostile = draw_cloud({**by_rank, "x_name": "<b>x</b>", "y_name": "<i>y</i>"})
    assert "<b>x" not in json.dumps(hostile)
    assert "<i>" not in json.dumps(hostile)


def test_probabilities_are_binned_where_they_are() -> None:
    generator = np.random.default_rng(6)
    values = generator.uniform(0.71, 0.78, size=(20, 16))
    groups = Groups.of(rewards=generator.integers(0, 2, size=(20, 16)).tolist(), probability=values.tolist())
    narrow = histograms_of(groups, None)[1]
    assert narrow.edges[0] == pytest.approx(0.71)
    assert narrow.edges[-1] == pytest.approx(0.78)
    assert len(narrow.edges) == 15  # 0.07 in bins of 0.005
    assert sum(map(sum, narrow.series.values())) == 320
    whole = Groups.of(rewards=[[1, 0, 1, 0]], probability=[[0.0, 1.0, 0.3, 0.31]])
    wide = histograms_of(whole, None)[1]
    assert len(wide.edges) == 41  # the finest that gives at most 40 bins is 0.025
    assert (sum(wide.series["right"]), sum(wide.series["wrong"])) == (2, 2)
    single = Groups.of(rewards=[[1, 0]], probability=[[0.5, 0.5]])
    assert sum(map(sum, histograms_of(single, None)[1].series.values())) == 2
