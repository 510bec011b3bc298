"""Lines of a training run survive kills: half a line is left out, counted, and harms no later line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.steplog import (
    append_line,
    read_evaluations,
    read_lines,
    read_start_logprobs,
    read_steps,
    truncate_after,
    write_start_logprobs,
)


def test_every_cut_of_the_file_loses_the_last_line_at_most(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    lines: list[dict[str, Any]] = [{"step": 1, "reward": 0.5}, {"step": 2, "policy": "é"}, {"step": 3, "spec": {"a": [1]}}]
    for line in lines:
        append_line(file, line)
    whole = file.read_bytes()
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        found, broken = read_lines(file)
        finished = whole[:cut].count(b"\n")
        assert found[:finished] == lines[:finished]
        assert len(found) <= finished + 1
        assert broken <= 1
        append_line(file, {"step": 9})
        after, still_broken = read_lines(file)
        assert after == [*found, {"step": 9}]
        assert still_broken == broken


def test_lines_that_are_no_steps_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    file.write_bytes(b'{"step": 1}\n[1]\n\n{"step": "2"}\n{"step": true}\n{"reward": 1}\n\xff\xfe\n{"step": 2}\n')
    assert read_lines(file) == ([{"step": 1}, {"step": 2}], 5)
    assert read_lines(tmp_path / "none.jsonl") == ([], 0)


def test_truncation_keeps_the_lines_up_to_the_step(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    for step in (1, 2, 3):
        append_line(file, {"step": step})
    file.write_bytes(file.read_bytes() + b'{"step": 4, "re')
    truncate_after(file, 2)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"step": 1}, {"step": 2}]
    truncate_after(tmp_path / "none.jsonl", 2)
    assert not (tmp_path / "none.jsonl").exists()


def test_of_a_step_taken_twice_the_later_line_counts(tmp_path: Path) -> None:
    for step, reward in ((1, 0.1), (2, 0.2), (2, 0.3)):
        append_line(tmp_path / "steps.jsonl", {"step": step, "reward": reward})
        append_line(tmp_path / "evaluations.jsonl", {"step": 10 - step, "reward": reward})
    assert [line["reward"] for line in read_steps(tmp_path)] == [0.1, 0.3]
    assert [line["step"] for line in read_evaluations(tmp_path)] == [8, 9]


def test_nan_is_refused_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    append_line(file, {"step": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_line(file, {"step": 2, "grad_norm": float("nan")})
    assert read_lines(file) == ([{"step": 1}], 0)


def test_start_logprobs_come_back(tmp_path: Path) -> None:
    assert read_start_logprobs(tmp_path) is None
    write_start_logprobs(tmp_path, ["a", "b"], [0, 3], [np.array([-0.5, -1.0]), np.array([])])
    found = read_start_logprobs(tmp_path)
    assert found is not None
    assert {key: value.tolist() for key, value in found.items()} == {("a", 0): [-0.5, -1.0], ("b", 3): []}
