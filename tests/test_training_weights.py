"""Weights of groups in a run on a real, tiny model: computed at temperature 1 whatever the run draws at, over the groups that train."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_samples

from jominy.engines.local import LocalEngine
from jominy.packing import rows_to_score
from jominy.records import Floats
from jominy.reporting import report
from jominy.steplog import append_line, read_steps
from jominy.tracking import flat_numbers
from jominy.trainfolder import TrainFolder
from jominy.training import train
from tests.training_fixture import write_training_folder
from tests.training_world import spec_of, write_world

BETA = 0.5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(2)
    return write_world(tmp_path_factory.mktemp("world"))


def groups_by_step(folder: TrainFolder) -> list[list[list[dict[str, Any]]]]:
    """The rollouts of each group of each step, as drawn."""
    rows, found = folder.run.rollouts().to_pylist(), []
    for line in read_steps(folder.path):
        drawn, rows = rows[: line["num_rollouts"]], rows[line["num_rollouts"] :]
        found.append([drawn[first : first + 8] for first in range(0, len(drawn), 8)])
    return found


def expected_weight(group: list[dict[str, Any]], column: str) -> float:
    """exp(-beta S') by scikit-learn, of the probabilities that a column of log-probabilities gives."""
    probability = np.array([np.exp(np.mean(row[column])) for row in group])
    right = np.array([row["reward"] for row in group]) == 1
    silhouette = float(silhouette_samples(probability[:, None], right).mean())
    inverted = probability[right].mean() < probability[~right].mean()
    return float(np.exp(-BETA * (-abs(silhouette) if inverted else silhouette)))


def is_live(group: list[dict[str, Any]]) -> bool:
    return len({row["reward"] for row in group}) > 1


def assert_told(line: dict[str, Any], expected: list[float]) -> None:
    weight_L: Floats = np.array(expected)
    told = line["group_weights"]
    assert told["num_groups"] == len(expected)
    ends = [told[name] for name in ("min", "median", "max")]
    assert ends == pytest.approx([weight_L.min(), np.median(weight_L), weight_L.max()], rel=1e-5)
    assert told["ess_share"] == pytest.approx(weight_L.sum() ** 2 / len(expected) / (weight_L**2).sum(), rel=1e-5)
    assert told["below_zero_share"] == pytest.approx(np.mean(weight_L > 1))
    assert told["num_unknown"] == 0


def test_weights_are_those_at_temperature_one(world):
    spec = spec_of(world, recipe=f"grpo:weight=clarity,weight_beta={BETA}", temperature=0.5, steps=2)
    folder = train(spec, world / "cool", quiet=True)
    differ = []
    for line, groups in zip(read_steps(folder.path), groups_by_step(folder), strict=True):
        live = [group for group in groups if is_live(group)]
        assert_told(line, [expected_weight(group, "logprobs_t1") for group in live])
        differ += [abs(expected_weight(group, "logprobs_t1") - expected_weight(group, "logprobs")) for group in live]
    assert max(differ) > 1e-3, "at the temperature of the run the weights would be others"
    # What the sampler calls log-probabilities at temperature 1 are the model's.
    engine, first = LocalEngine.load(str(world / "model"), "cpu"), groups_by_step(folder)[0][0]
    encoded = {prompt.id: engine.encode(prompt) for prompt in folder.run.read_prompts()}
    rows = rows_to_score(encoded, [(row["prompt_id"], row["token_ids"]) for row in first])
    for ours, row in zip(engine.logprobs(rows), first, strict=True):
        np.testing.assert_allclose(ours, row["logprobs_t1"], atol=1e-4)


def test_groups_drawn_in_surplus_play_no_part(world):
    spec = spec_of(world, recipe=f"clarity_weighted:weight_beta={BETA},w_norm=mean_1", prompts=3, steps=3)
    folder = train(spec, world / "dynamic", quiet=True)
    surplus = 0
    for line, groups in zip(read_steps(folder.path), groups_by_step(folder), strict=True):
        live = [group for group in groups if is_live(group)]
        surplus += len(live) - 3
        plain = np.array([expected_weight(group, "logprobs_t1") for group in live[:3]])
        told = line["group_weights"]
        assert [told["min"], told["max"]] == pytest.approx([plain.min() / plain.mean(), plain.max() / plain.mean()], rel=1e-5)
        assert told["num_groups"] == 3
        assert flat_numbers(line)["train/group_weights_ess_share"] == told["ess_share"]
    assert surplus > 0


def test_the_page_shows_weights_where_there_are_any(tmp_path):
    without = write_training_folder(tmp_path / "without", num_steps=2, evaluated=())
    assert "Weights of the groups" not in report(without).read_text()
    folder = write_training_folder(tmp_path / "with", num_steps=2, evaluated=())
    names = ("min", "low", "median", "high", "max")
    for step in (3, 4):
        told = dict(zip(names, (0.8187, 0.9125, 1.0125, 1.1125, 1.2214), strict=True)) | {"ess_share": 0.9615, "below_zero_share": 0.375}
        append_line(
            folder / "steps.jsonl", {"step": step, "group_weights": {**told, "num_groups": 8, "num_weighed": 8, "num_unknown": step}}
        )
    append_line(
        folder / "steps.jsonl", {"step": 5, "group_weights": dict.fromkeys((*names, "ess_share", "below_zero_share", "num_unknown"))}
    )
    text = re.sub(r"<[^>]+>", " ", report(folder).read_text())
    assert "Weights of the groups" in text
    for shown in ("1.012 [0.912, 1.113]", "0.819", "1.221", "0.962", "0.375"):
        assert shown in text, shown
    assert "7 responses without log-probabilities were left out" in text
