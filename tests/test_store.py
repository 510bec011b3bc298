"""The run folder keeps what it was given, and says which file and column is wrong when something is."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jominy.records import Message, Prompt, Reward, Rollout, Span
from jominy.store import PROMPT_SCHEMA, ROLLOUT_SCHEMA, RunFolder, read_parquet, write_bytes, write_json, write_parquet

PROMPT = Prompt(
    id="p1", task="t", messages=(Message(role="user", content='"hej" & </script> ∑'),), target="5", num_choices=2, info={"level": 3}
)


def rollout(index: int, reward: Reward | None = None) -> Rollout:
    return Rollout(
        prompt_id="p1",
        index=index,
        text="5",
        token_ids=np.array([44, 2]),
        logprobs=np.array([-0.5, -0.25], dtype=np.float32),
        logprobs_t1=None,
        stop="eos",
        policy="m@1",
        temperature=0.7,
        top_p=0.9,
        seed=3,
        pieces=("5", ""),
        spans=(Span(kind="attempt", start=0, end=1),),
        reward=reward,
        gold=1.0,
    )


def test_rollouts_and_prompts_come_back(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.write_run({"status": "running"})
    folder.write_prompts([PROMPT])
    folder.append_rollouts([rollout(0, Reward(value=1.0, parts={"a": 0.5}, answer="5"))], {"p1": PROMPT})
    folder.append_rollouts([rollout(1, Reward(value=None, note="timed out"))], {"p1": PROMPT})
    assert folder.read_prompts() == [PROMPT]
    first, second = folder.rollouts().to_pylist()
    assert first["token_ids"] == [44, 2]
    assert first["logprobs"] == [-0.5, -0.25]
    assert first["logprobs_t1"] is None
    assert first["pieces"] == ["5", ""]
    assert first["spans"] == [{"kind": "attempt", "start": 0, "end": 1, "index": 0}]
    assert json.loads(first["reward_parts"]) == {"a": 0.5}
    assert (first["reward"], first["answer"], first["gold"], first["temperature"]) == (1.0, "5", 1.0, 0.7)
    assert (second["reward"], second["note"], second["index"]) == (None, "timed out", 1)
    names = sorted(file.name for file in (tmp_path / "run" / "rollouts").iterdir())
    assert [re.sub("-[0-9a-f]{8}.parquet", "", name) for name in names] == ["part-00000", "part-00001"]
    assert folder.num_choices() == {"p1": 2}


def test_two_processes_that_pick_the_same_number_keep_both_parts(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    monkeypatch.setattr(RunFolder, "parts", lambda self: [])  # both looked before either wrote
    folder.append_rollouts([rollout(0)], {"p1": PROMPT})
    folder.append_rollouts([rollout(1)], {"p1": PROMPT})
    monkeypatch.undo()
    assert len(folder.parts()) == 2
    assert sorted(folder.rollouts(["index"])["index"].to_pylist()) == [0, 1]


def test_parts_are_in_the_order_of_their_numbers_old_names_included(tmp_path):
    (tmp_path / "rollouts").mkdir()
    names = ["part-99999-ffffffff.parquet", "part-100000-00000000.parquet", "part-00002.parquet", "part-00010-aaaaaaaa.parquet"]
    for name in [*names, "part-foreign.parquet"]:
        (tmp_path / "rollouts" / name).touch()
    found = [file.name for file in RunFolder(tmp_path).parts()]
    assert found == ["part-foreign.parquet", names[2], names[3], names[0], names[1]]


def test_clear_removes_the_run_and_nothing_else(tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    folder.write_run({})
    folder.append_rollouts([rollout(0)], {"p1": PROMPT})
    folder.clear()
    assert not folder.exists()
    assert folder.rollouts().num_rows == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    target = tmp_path / "run.json"
    write_bytes(target, b"old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jominy.store.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(target, b"new and longer")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_half_written_part_is_never_read(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_rollouts([rollout(0)], {"p1": PROMPT})
    whole = folder.parts()[0].read_bytes()
    (tmp_path / "rollouts" / ".part-00001.parquet.99.tmp").write_bytes(whole[: len(whole) // 2])  # what a kill leaves
    assert folder.rollouts().num_rows == 1


def test_errors_name_file_column_and_remedy(tmp_path):
    path = tmp_path / "part.parquet"
    write_parquet(path, pa.table({"prompt_id": ["a"]}, schema=pa.schema([("prompt_id", pa.string())], metadata=ROLLOUT_SCHEMA.metadata)))
    with pytest.raises(ValueError, match=r"part\.parquet has no column `prompt`"):
        read_parquet(path, ROLLOUT_SCHEMA)
    with pytest.raises(ValueError, match=r"gone\.parquet does not exist"):
        read_parquet(tmp_path / "gone.parquet", PROMPT_SCHEMA)
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"cut\.parquet is not a readable Parquet file"):
        read_parquet(tmp_path / "cut.parquet", ROLLOUT_SCHEMA)
    wrong = pa.schema([("prompt_id", pa.int64())], metadata=ROLLOUT_SCHEMA.metadata)
    write_parquet(tmp_path / "type.parquet", pa.table({"prompt_id": [1]}, schema=wrong))
    with pytest.raises(ValueError, match="column `prompt_id` is int64, expected string"):
        read_parquet(tmp_path / "type.parquet", pa.schema([("prompt_id", pa.string())]))


def test_a_newer_schema_says_upgrade(tmp_path):
    newer = ROLLOUT_SCHEMA.with_metadata({"jominy_schema_version": "99"})
    pq.write_table(newer.empty_table(), tmp_path / "new.parquet")
    with pytest.raises(ValueError, match=r"`schema_version` 99.*pip install --upgrade jominy"):
        read_parquet(tmp_path / "new.parquet", ROLLOUT_SCHEMA)
    folder = RunFolder(tmp_path)
    write_json(folder.run_file, {"schema_version": 99})
    with pytest.raises(ValueError, match=r"run\.json has `schema_version` 99"):
        folder.read_run()
    folder.run_file.write_text('{"schema_version": 1, "status"')
    with pytest.raises(ValueError, match=r"run\.json is not readable JSON"):
        folder.read_run()


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_a_minimal_run_of_another_tool_gets_defaults(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_run({"status": "finished", "timing": {"num_tokens": 7}, "mine": [1]})
    run = folder.read_run()
    assert run["timing"] == {"sampling_s": 0.0, "grading_s": 0.0, "num_tokens": 7, "num_groups": 0, "num_rollouts": 0}
    assert run["grading"] == {"unscored": {}, "first_failure": ""}
    assert (run["spec"], run["created"], run["policy"], run["rescoring"], run["mine"]) == ({}, "", None, None, [1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "has no `status`, expected text"),
        ({"status": 3}, "`status` is int '3', expected text"),
        ({"status": "x", "spec": []}, r"`spec` is list '\[\]', expected an object"),
        ({"status": "x", "spec": {"rollouts": "8"}}, "`spec.rollouts` is str '8', expected a whole number"),
        ({"status": "x", "spec": {"rollouts": 0}}, "`spec.rollouts` is 0, expected the rollouts of each prompt"),
        ({"status": "x", "created": None}, "`created` is NoneType 'None', expected text"),
        ({"status": "x", "policy": 1}, "`policy` is int '1', expected text or null"),
        ({"status": "x", "timing": {"sampling_s": "fast"}}, "`timing.sampling_s` is str 'fast', expected a number"),
        ({"status": "x", "timing": {"num_groups": True}}, "`timing.num_groups` is bool 'True', expected a number"),
        ({"status": "x", "timing": {"num_groups": 3}}, "has no `spec.rollouts`"),
        ({"status": "x", "grading": {"first_failure": None}}, "`grading.first_failure` is NoneType"),
        ({"status": "x", "rescoring": {"num_prompts": 1}}, "has no `rescoring.num_rollouts`"),
    ],
)
def test_a_wrong_run_file_is_named_with_its_field(tmp_path, fields, message):
    folder = RunFolder(tmp_path)
    folder.write_run(fields)
    with pytest.raises(ValueError, match=rf"run\.json.*{message}"):
        folder.read_run()
