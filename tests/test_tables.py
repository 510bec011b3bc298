"""Any log becomes groups, or a message that says where it is wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jominy.tables import groups_of, read_rollouts, repetition, spread_rows


def jsonl(tmp_path, rows):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_interleaved_rows_become_groups_in_order_of_appearance(tmp_path):
    rows = [
        {"prompt": "b", "reward": 1},
        {"prompt": "a", "reward": 0},
        {"prompt": "b", "reward": None},
        {"prompt": "a", "reward": 1.0},
        {"prompt": "b", "reward": 0.5},
    ]
    groups = groups_of(read_rollouts(jsonl(tmp_path, rows)))
    assert groups.prompt_ids == ("b", "a")
    assert groups.offsets_P1.tolist() == [0, 3, 5]
    assert groups.scored_N.tolist() == [True, False, True, True, True]
    assert groups.num_correct_P().tolist() == [1, 1]
    assert groups.num_unscored == 1
    assert groups.paid_N is None
    assert groups.probability_N is None


def test_gold_decides_what_is_right_and_reward_what_is_paid(tmp_path):
    rows = [
        {"prompt": "a", "reward": 1, "gold": 0},
        {"prompt": "a", "reward": 0, "gold": 1},
        {"prompt": "a", "reward": 1, "gold": None},
    ]
    groups = groups_of(read_rollouts(jsonl(tmp_path, rows)))
    assert groups.correct_N.tolist() == [False, True, True]
    assert groups.paid_N is not None
    assert groups.paid_N.tolist() == [True, False, False]


def test_probability_is_the_geometric_mean(tmp_path):
    rows = [
        {"prompt": "a", "reward": 1, "logprobs": [math.log(0.5), math.log(0.125)]},  # sqrt(1/16) = 1/4
        {"prompt": "a", "reward": 0, "logprobs": []},
        {"prompt": "a", "reward": 0, "logprobs": None},
        {"prompt": "a", "reward": 0, "logprobs": [math.log(0.3)]},
    ]
    groups = groups_of(read_rollouts(jsonl(tmp_path, rows)))
    assert groups.probability_N is not None
    assert groups.probability_N[[0, 3]] == pytest.approx([0.25, 0.3])
    assert np.isnan(groups.probability_N[[1, 2]]).all()


def test_logprobs_at_another_temperature_are_not_taken_for_temperature_one(tmp_path):
    rows = [{"prompt": "a", "reward": 1, "logprobs": [-1.0], "temperature": t} for t in (1.0, 0.6)]
    groups = groups_of(read_rollouts(jsonl(tmp_path, rows)))
    assert groups.probability_N is not None
    assert np.isnan(groups.probability_N).tolist() == [False, True]
    all_cold = [{"prompt": "a", "reward": 1, "logprobs": [-1.0], "temperature": 0.6}]
    assert groups_of(read_rollouts(jsonl(tmp_path, all_cold))).probability_N is None


def test_mean_logprob_stop_and_choices(tmp_path):
    rows = [
        {"prompt_id": i // 2, "reward": i % 2 == 0, "mean_logprob": -i, "stop": "length" if i else "eos", "num_choices": 4}
        for i in range(4)
    ]
    groups = groups_of(read_rollouts(jsonl(tmp_path, rows)))
    assert groups.probability_N == pytest.approx(np.exp([0, -1, -2, -3]))
    assert groups.truncated_N is not None
    assert groups.truncated_N.tolist() == [False, True, True, True]
    assert groups.num_choices_P is not None
    assert groups.num_choices_P.tolist() == [4, 4]
    assert groups.correct_N.tolist() == [True, False, True, False]


def test_chat_prompts_and_renamed_columns(tmp_path):
    rows = [{"input": [{"role": "user", "content": "hi"}], "score": 1.0, "reward": "ignored"}] * 2
    groups = groups_of(read_rollouts(jsonl(tmp_path, rows), {"prompt": "input", "reward": "score"}))
    assert groups.num_prompts == 1
    assert groups.num_correct_P().tolist() == [2]


def test_csv_and_parquet_read_the_same(tmp_path):
    table = pa.table({"prompt": ["a", "a", "b"], "reward": [1.0, None, 0.0], "text": ["x\ny", "", "z"]})
    pq.write_table(table, tmp_path / "log.parquet")
    (tmp_path / "log.csv").write_text('prompt,reward,text\na,1.0,"x\ny"\na,,\nb,0.0,z\n')
    for name in ("log.parquet", "log.csv"):
        groups = groups_of(read_rollouts(tmp_path / name))
        assert groups.offsets_P1.tolist() == [0, 2, 3]
        assert groups.num_unscored == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "holds no rows"),
        ('{"prompt": "a", "reward": 1}\n{"prompt": "a", "rew', "line 2: not JSON"),
        ('{"prompt": "a", "reward": 1}\n[1]\n', "line 2: holds list"),
        ('{"prompt": "a", "score": 1}\n', "no column `reward`.*--columns reward=YOURS"),
        ('{"question": "a", "reward": 1}\n', "neither `prompt_id` nor `prompt`"),
        ('{"prompt": "a", "reward": 1}\n{"prompt": "a", "reward": "high"}\n', "column `reward` mixes types"),
    ],
)
def test_a_bad_jsonl_is_named_with_its_line_or_column(tmp_path, content, message):
    path = tmp_path / "log.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_rollouts(path)
    assert "log.jsonl" in str(caught.value)


def test_rewards_that_are_words_are_named(tmp_path):
    path = jsonl(tmp_path, [{"prompt": "a", "reward": "high"}])
    with pytest.raises(ValueError, match="column `reward` is string, expected numbers"):
        groups_of(read_rollouts(path))


def test_other_files_say_what_can_be_read(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_rollouts(tmp_path / "none.parquet")
    (tmp_path / "x.bin").write_bytes(b"\0\1")
    with pytest.raises(ValueError, match=r"cannot read `\.bin` files"):
        read_rollouts(tmp_path / "x.bin")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match="not a whole Parquet file"):
        read_rollouts(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="no run folder"):
        read_rollouts(tmp_path)
    with pytest.raises(ValueError, match="no column `nope`"):
        read_rollouts(jsonl(tmp_path, [{"prompt": "a", "reward": 1}]), {"reward": "nope"})


def test_repetition_counts_repeated_four_grams():
    assert repetition("one two three") == 0.0
    assert repetition(" ".join(str(i) for i in range(50))) == 0.0
    # 40 words "a": 37 four-grams, one distinct: 1 - 1/37
    assert repetition("a " * 40) == pytest.approx(36 / 37)


def test_spread_rows_covers_the_table():
    assert spread_rows(3, 10).to_pylist() == [0, 1, 2]
    assert spread_rows(100, 4).to_pylist() == [0, 25, 50, 75]
    assert spread_rows(0, 4).to_pylist() == []
