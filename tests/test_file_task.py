"""A person's own prompts from a file: three formats, and every way a file can be wrong."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jominy.records import Message, Reward
from jominy.rewards.boundary import Grader
from jominy.tasks.file import make, read_rows
from jominy.tasks.loading import load_task

DATA = Path(os.environ.get("JOMINY_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
ROWS = [{"prompt": "2 + 3 = ?", "answer": "5", "level": 1}, {"prompt": "Capital of France?", "answer": "Paris", "level": 2}]
CHAT: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 3 = ?"}]


def always(prompt, text):
    return Reward(value=1.0)


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv"])
def test_three_formats_are_one_task(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    if suffix == "jsonl":
        write_jsonl(path, ROWS)
    elif suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text("prompt,answer,level\n2 + 3 = ?,5,1\nCapital of France?,Paris,2\n")
    task = load_task(str(path))
    prompts = sorted(task.prompts(10, 0), key=lambda prompt: str(prompt.target))
    assert [prompt.target for prompt in prompts] == ["5", "Paris"]
    assert prompts[0].messages == (Message(role="user", content="2 + 3 = ?"),)
    assert str(prompts[0].info["level"]) == "1"
    assert prompts[0].info["answer"] == "5"  # a TRL reward asks for the column by its name
    pytest.importorskip("math_verify", reason="the default reward needs math-verify")
    for prompt, right, wrong in [(prompts[0], "so it is 5.0", "6"), (prompts[1], "The answer is paris.", "London")]:
        assert task.reward(prompt, right).value == task.reward(prompt, str(prompt.gold_answer)).value == 1.0
        assert task.reward(prompt, wrong).value == task.reward(prompt, str(prompt.wrong_answer)).value == 0.0


def test_conversations_and_nested_targets_as_verl_has_them(tmp_path):
    row = {"prompt": CHAT, "data_source": "mine", "reward_model": {"ground_truth": "5", "style": "rule"}, "extra_info": {"split": "train"}}
    path = tmp_path / "verl.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    (tmp_path / "score.py").write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
        "    assert (data_source, extra_info) == ('mine', {'split': 'train'})\n"
        "    return float(solution_str == ground_truth)\n"
    )
    task = load_task(str(path), reward=f"{tmp_path / 'score.py'}:compute_score")
    (prompt,) = task.prompts(5, 0)
    assert prompt.messages == tuple(Message(**turn) for turn in CHAT)
    with Grader(task.reward, num_workers=1) as grader:
        assert [one.value for one in grader.grade([(prompt, "5"), (prompt, "6")])] == [1.0, 0.0]
    assert prompt.gold_answer is None  # what form of answer your reward wants is not known
    csv = tmp_path / "chat.csv"
    csv.write_text('prompt,answer\n"' + json.dumps(CHAT).replace('"', '""') + '",5\n')
    assert make(csv).prompts(1, 0)[0].messages == prompt.messages


def test_a_byte_order_mark_and_long_cells_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\n\n{"prompt": "b"}\n')
    assert list(read_rows(tmp_path / "a.jsonl")) == [("line 1", {"prompt": "a"}), ("line 3", {"prompt": "b"})]
    (tmp_path / "a.csv").write_text("prompt,text\na," + "x" * 200_000 + "\n")  # the csv module alone stops at 131,072
    ((where, row),) = read_rows(tmp_path / "a.csv")
    assert (where, len(row["text"])) == ("line 2", 200_000)


def test_columns_chosen_and_answers_brought_along(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"question": "?", "truth": {"value": 7.0}, "answer": "no", "gold_answer": "#### 7"}])
    (prompt,) = make(path, target_column="truth.value").prompts(1, 0)
    assert (prompt.target, str(prompt.gold_answer)) == ("7", "#### 7")
    assert "gold_answer" not in prompt.info
    path = write_jsonl(tmp_path / "b.jsonl", [{"question": "?", "answer": "Two and two.\n#### 4"}])
    assert make(path).prompts(1, 0)[0].target == "4"
    assert make(path, reward=always).prompts(1, 0)[0].target == "Two and two.\n#### 4"  # yours to read


def test_samples_are_seeded_and_repeats_dropped(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"prompt": f"{i % 30} + 1", "target": i % 30 + 1} for i in range(60)])
    task = make(path)
    assert len(task.prompts(100, 0)) == 30
    assert task.prompts(10, 0) == task.prompts(10, 0) != task.prompts(10, 1)


def test_parquet_values_that_json_lacks_become_text(tmp_path):
    import datetime

    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([{"prompt": "?", "answer": "1", "when": datetime.date(2026, 1, 2), "raw": b"x"}]), path)
    (prompt,) = make(path).prompts(1, 0)
    assert prompt.info["when"] == "2026-01-02"
    json.dumps(dict(prompt.info))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", r"a\.jsonl is empty"),
        ("a.jsonl", b"\n\n", r"a\.jsonl is empty"),
        ("a.jsonl", b'{"prompt": "a", "answer": "1"}\n{"prompt": "b", "ans', r"a\.jsonl, line 2: not JSON .*truncated"),
        ("a.jsonl", b'{"prompt": "a", "answer": "1"}\n{"prompt": }\n', r"a\.jsonl, line 2: not JSON \(Expecting value at character 12\)$"),
        ("a.jsonl", b'["a"]\n', r"a\.jsonl, line 1: a row is a JSON object"),
        ("a.jsonl", b"PAR1\x15\x04\xff\xfe\n", r"a\.jsonl, line 1: not (UTF-8|JSON)"),
        ("a.jsonl", b'{"text": "a", "answer": "1"}\n', r"a\.jsonl has no prompt column .*its columns are text, answer"),
        ("a.jsonl", b'{"prompt": "a", "level": 1}\n', r"a\.jsonl has no target column .*prompt, level.*give a reward"),
        ("a.jsonl", b'{"prompt": "a", "answer": "1"}\n{"prompt": "b"}\n', r"a\.jsonl, line 2: no target in column 'answer'"),
        ("a.jsonl", b'{"prompt": "a", "answer": "1"}\n{"answer": "1"}\n', r"a\.jsonl, line 2: a prompt is text or a list"),
        ("a.jsonl", b'{"prompt": " ", "answer": "1"}\n', r"a\.jsonl, line 1: the prompt is empty"),
        ("a.jsonl", b'{"prompt": [{"role": "bot", "content": "x"}], "answer": "1"}\n', r"line 1: a message is .*'bot'"),
        ("a.jsonl", b'{"prompt": "a", "answer": "1"}\n{}\n', r"a\.jsonl, line 2: a prompt is text or a list"),
        ("a.jsonl", b'{"prompt": ' + b"[" * 100_000, r"a\.jsonl, line 1: nested too deeply"),
        ("a.jsonl", b'{"prompt": ' + b"1" * 5000 + b"}", r"a\.jsonl, line 1: cannot be read .*digits"),
        ("a.csv", b"prompt,prompt,answer\na,b,1\n", r"a\.csv, line 1: the column 'prompt' is there more than once"),
        ("a.csv", b"", r"a\.csv is empty"),
        ("a.csv", b"prompt,answer\n", r"a\.csv is empty"),
        ("a.csv", b"prompt,answer\na,1\nb\n", r"a\.csv, line 3: not as many fields as the 2 columns prompt, answer"),
        ("a.csv", b"prompt,answer\na,1,2\n", r"a\.csv, line 2: not as many fields"),
        ("a.csv", b'prompt,answer\na,1\n"b,1', r"a\.csv, line 3"),
        ("a.csv", b"prompt,answer\na,\xff\xfe\n", r"a\.csv, line \d: not CSV in UTF-8"),
        ("a.csv", b'prompt,answer\n"[{""role"": ",1\n', r"a\.csv, line 2: the prompt starts like a list of messages"),
        ("a.parquet", b"", r"a\.parquet: not a whole Parquet file"),
        ("a.parquet", b'{"prompt": "a"}\n', r"a\.parquet: not a whole Parquet file"),
        ("a.txt", b"x", r"a\.txt: cannot read `\.txt` files; give \.jsonl, \.parquet, \.csv"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        make(path)


def test_a_truncated_parquet_file(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"a\.parquet: not a whole Parquet file"):
        list(read_rows(path))


def test_missing_files_columns_and_rewards(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*none\.jsonl"):
        load_task(str(tmp_path / "none.jsonl"))
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(ValueError, match=r"no target column 'anser'; its columns are prompt, answer, level"):
        load_task(str(path), target_column="anser")
    with pytest.raises(ValueError, match="names no object"):
        load_task(str(path), reward="nothing")


@pytest.mark.skipif(not (DATA / "math_train.parquet").is_file(), reason="needs the benchmark files; set JOMINY_DATA to their folder")
def test_a_real_verl_training_set():
    task = make(DATA / "math_train.parquet", reward=always)
    prompts = task.prompts(50, 0)
    assert len(prompts) == 50
    assert all(prompt.target and prompt.messages[-1].role == "user" for prompt in prompts)
    assert len(task.prompts(10**6, 0)) == pytest.approx(7500, rel=0.01)
    assert not math.isnan(len(prompts[0].info))
