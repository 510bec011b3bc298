"""Any log becomes groups, or a message that says where it is wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jominy.records import Message, Prompt, Reward, Rollout
from jominy.store import ROLLOUT_SCHEMA, RunFolder, write_parquet
from jominy.tables import groups_of, read_rollouts, repetition


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
    assert groups.scored_N.tolist() == [True, True, True]
    assert groups.correct_N.tolist() == [False, True, True]  # the third has no gold: its reward says what is right
    assert groups.paid_N is not None
    assert groups.paid_N.tolist() == [True, False, False]  # and it stays out of the false pay share


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
    found = groups_of(read_rollouts(jsonl(tmp_path, all_cold))).probability_N
    assert found is not None
    assert np.isnan(found).all()


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


def test_a_sum_of_logprobs_needs_the_number_of_tokens(tmp_path):
    rows = [{"prompt": "a", "reward": 1, "logprob": 4 * math.log(0.5), "num_tokens": 4}, {"prompt": "a", "reward": 0, "num_tokens": 0}]
    path = jsonl(tmp_path, [*rows, {"prompt": "a", "reward": 0, "logprob": 2 * math.log(0.5), "num_tokens": 2, "temperature": 0.7}])
    probability_N = groups_of(read_rollouts(path)).probability_N
    assert probability_N is not None
    assert probability_N[0] == pytest.approx(0.5)  # four tokens of 1/2 each
    assert np.isnan(probability_N[1:]).all()
    path = jsonl(tmp_path, [{"prompt": "a", "reward": 1, "logprob": -3.0, "lp": -3.0}])
    assert groups_of(read_rollouts(path)).probability_N is None
    with pytest.raises(ValueError, match=r"sum over tokens and needs their number.*`mean_logprob=lp`"):
        read_rollouts(path, {"logprob": "lp"})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mean_logprob", [-1.0, 1e-7, 0.25]),
        ("logprob", [-1.0, None, 0.25]),
        ("logprobs", [[-1.0, 0.0], [], [-1.0, 0.25]]),
        ("logprobs_t1", [[-1.0], None, [0.25, -0.5]]),
    ],
)
def test_a_logprob_above_zero_is_named_with_its_row(tmp_path, name, values):
    table = pa.table({"prompt": ["b", "a", "b"], "reward": [1, 0, 1], "num_tokens": [1, 1, 1], name: values})
    path = tmp_path / "log.parquet"
    pq.write_table(table, path)
    with pytest.raises(ValueError, match=rf"log\.parquet: column `{name}`, row 3: 0\.25 is no log-probability"):
        groups_of(read_rollouts(path), path=path)
    # the same in many pieces, so that rows are counted over all of them
    with pytest.raises(ValueError, match=rf"^column `{name}`, row 3: 0\.25"):
        groups_of(pa.concat_tables([table.slice(i, 1) for i in range(3)]))


def test_true_false_and_fractions_are_numbers_however_far_apart(tmp_path, monkeypatch):
    rows = [{"prompt": "a", "reward": reward} for reward in (True, False, True, 0.5, None, 1)]
    path = jsonl(tmp_path, rows)
    for rows_at_a_time in (1, 2, 4, 100):
        monkeypatch.setattr("jominy.files.ROWS_AT_A_TIME", rows_at_a_time)
        groups = groups_of(read_rollouts(path))
        assert groups.rewards_N[groups.scored_N].tolist() == [1.0, 0.0, 1.0, 0.5, 1.0]
        assert groups.scored_N.tolist() == [True, True, True, True, False, True]


def test_kinds_that_change_between_pieces_name_file_and_column(tmp_path, monkeypatch):
    monkeypatch.setattr("jominy.files.ROWS_AT_A_TIME", 1)
    path = jsonl(tmp_path, [{"prompt": "a", "reward": 1}, {"prompt": "a", "reward": "high"}])
    with pytest.raises(ValueError, match=r"log\.jsonl: a column mixes types .*reward"):
        read_rollouts(path)


def test_rows_with_different_columns_line_up_over_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("jominy.files.ROWS_AT_A_TIME", 2)
    rows = [{"prompt": "a", "reward": 1}] * 3 + [{"prompt": "a", "reward": 0, "mean_logprob": -1.0}, {"other": 1}]
    table = read_rollouts(jsonl(tmp_path, rows))
    assert table["mean_logprob"].to_pylist() == [None, None, None, -1.0, None]
    assert "other" not in table.column_names
    with pytest.raises(ValueError, match="column `prompt`: 1 rows are empty, the first is row 5"):
        groups_of(table)


def test_only_the_columns_that_count_are_read(tmp_path):
    rows = {"prompt_id": ["a", "b", "a"], "prompt": ["A", "B", "A"], "reward": [1.0, 0.0, 1.0], "huge": ["x"] * 3, "note": ["", "why", ""]}
    lists = {"logprobs_t1": [[-1.0], [-2.0, -2.0], [-3.0]], "logprobs": [[-9.0]] * 3, "token_ids": [[1]] * 3}
    pq.write_table(pa.table({**rows, **lists}), tmp_path / "whole.parquet")
    table = read_rollouts(tmp_path / "whole.parquet")
    assert set(table.column_names) == {"prompt_id", "reward", "note", "logprobs_t1"}
    assert table["note"].to_pylist() == ["", "why", ""]
    groups = groups_of(table)
    assert groups.num_tokens_N is not None
    assert groups.num_tokens_N.tolist() == [1, 1, 2]  # a, a, b
    pq.write_table(pa.table({**rows, **lists, "logprobs_t1": [None, [-2.0], None]}), tmp_path / "holes.parquet")
    assert {"logprobs_t1", "logprobs"} <= set(read_rollouts(tmp_path / "holes.parquet").column_names)


def test_order_of_appearance_does_not_depend_on_how_a_file_stores_its_text():
    ids = ["c", "a", "c", "b", "a"]
    plain = groups_of(pa.table({"prompt_id": ids, "reward": [1, 2, 3, 4, 5]}))
    codes = pa.DictionaryArray.from_arrays(pa.array([2, 0, 2, 1, 0]), pa.array(["a", "b", "c", "unused"]))
    coded = groups_of(pa.table({"prompt_id": codes, "reward": [1, 2, 3, 4, 5]}))
    pieces = pa.chunked_array([codes.slice(0, 2), pa.DictionaryArray.from_arrays(pa.array([1, 0, 2]), pa.array(["b", "c", "a"]))])
    split = groups_of(pa.table({"prompt_id": pieces, "reward": [1, 2, 3, 4, 5]}))
    for groups in (plain, coded, split):
        assert groups.prompt_ids == ("c", "a", "b")
        assert groups.rewards_N.tolist() == [1, 3, 2, 5, 4]
        assert groups.offsets_P1.tolist() == [0, 2, 4, 5]


def run_folder(path, prompts, rewards):
    folder = RunFolder(path)
    folder.write_run({"status": "finished"})
    folder.write_prompts(prompts)
    drawn = [
        Rollout(
            prompt_id=prompt.id, index=0, text="yes", token_ids=np.array([1, 2]), logprobs=None, logprobs_t1=None,
            stop="eos", policy="m", temperature=1.0, top_p=1.0, seed=0, reward=Reward(value=reward),
        )
        for prompt, reward in zip(prompts, rewards, strict=True)
    ]  # fmt: skip
    for rollout in drawn:
        folder.append_rollouts([rollout], {prompt.id: prompt for prompt in prompts})
    return folder


def prompt_of(prompt_id, num_choices):
    return Prompt(id=prompt_id, task="t", messages=(Message(role="user", content=prompt_id),), num_choices=num_choices)


def test_a_run_folder_brings_the_choices_of_its_prompts(tmp_path):
    run_folder(tmp_path / "run", [prompt_of("a", 2), prompt_of("b", None), prompt_of("c", 5)], [1.0, 0.0, 1.0])
    table = read_rollouts(tmp_path / "run")
    assert table["num_choices"].to_pylist() == [2, None, 5]
    groups = groups_of(table)
    assert groups.num_choices_P is not None
    assert groups.num_choices_P.tolist() == [2, 0, 5]
    assert groups.num_tokens_N is not None
    assert groups.num_tokens_N.tolist() == [2, 2, 2]  # no log-probabilities, so the tokens themselves are counted
    with pytest.raises(ValueError, match="is a run folder, whose columns have our names already"):
        read_rollouts(tmp_path / "run", {"reward": "gold"})


def test_a_run_folder_without_choices_or_prompts(tmp_path):
    folder = run_folder(tmp_path / "run", [prompt_of("a", None)], [1.0])
    assert groups_of(read_rollouts(tmp_path / "run")).num_choices_P is None
    (folder.path / "prompts.parquet").unlink()
    assert groups_of(read_rollouts(tmp_path / "run")).num_choices_P is None


def test_a_run_folder_of_another_tool_needs_few_columns(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_run({"status": "finished"})
    schema = pa.schema([("prompt_id", pa.string()), ("reward", pa.float64()), ("mine", pa.int8())], metadata=ROLLOUT_SCHEMA.metadata)
    write_parquet(tmp_path / "rollouts" / "part-0.parquet", pa.table({"prompt_id": ["a"], "reward": [1.0], "mine": [1]}, schema=schema))
    assert groups_of(read_rollouts(tmp_path)).num_correct_P().tolist() == [1]


def test_a_part_given_by_itself_is_checked_for_its_schema(tmp_path):
    folder = run_folder(tmp_path / "run", [prompt_of("a", None)], [1.0])
    assert groups_of(read_rollouts(folder.parts()[0])).num_prompts == 1
    newer = ROLLOUT_SCHEMA.with_metadata({"jominy_schema_version": "99"})
    pq.write_table(newer.empty_table(), tmp_path / "new.parquet")
    with pytest.raises(ValueError, match=r"new\.parquet has `schema_version` 99.*pip install --upgrade jominy"):
        read_rollouts(tmp_path / "new.parquet")


def test_csv_keeps_identities_as_text_and_reads_true_and_false(tmp_path):
    (tmp_path / "log.csv").write_text("prompt_id,reward,num_choices\n01,True,4\n1,false,NaN\n01,true,4\n")
    groups = groups_of(read_rollouts(tmp_path / "log.csv"))
    assert groups.prompt_ids == ("01", "1")
    assert groups.num_correct_P().tolist() == [2, 0]
    assert groups.num_choices_P is not None
    assert groups.num_choices_P.tolist() == [4, 0]
    (tmp_path / "cut.csv").write_text("prompt_id,reward\na,1\nb\n")
    with pytest.raises(ValueError, match=r"cut\.csv, line 3: not as many fields"):
        read_rollouts(tmp_path / "cut.csv")


def test_one_column_may_serve_twice(tmp_path):
    rows = pa.table({"prompt": ["a", "a"], "score": [1.0, 0.0]})
    pq.write_table(rows, tmp_path / "log.parquet")
    (tmp_path / "log.csv").write_text("prompt,score\na,1\na,0\n")
    for name in ("log.parquet", "log.csv"):
        groups = groups_of(read_rollouts(tmp_path / name, {"reward": "score", "gold": "score"}))
        assert groups.correct_N.tolist() == [True, False]
        assert groups.paid_N is not None
    with pytest.raises(ValueError, match="`rewards` is none of our columns"):
        read_rollouts(tmp_path / "log.csv", {"rewards": "score"})


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
        ("\n\n", "is empty: it has no rows"),
        ('{"prompt": "a", "reward": 1}\n{"prompt": "a", "rew', "line 2: not JSON"),
        ('{"prompt": "a", "reward": 1}\n[1]\n', "line 2: a row is a JSON object"),
        ('{"prompt": "a", "score": 1}\n', "no column `reward`.*--columns reward=YOURS"),
        ('{"question": "a", "reward": 1}\n', "neither `prompt_id` nor `prompt`"),
        ('{"prompt": "a", "reward": 1}\n{"prompt": "a", "reward": "high"}\n', "line 2: column `reward` mixes types: 'high'"),
        ('{"prompt": "a", "reward": true}\n{"prompt": "a", "reward": 0.5}\n\n{"prompt": "a", "reward": []}\n', r"line 4: .*`reward` mixes"),
        ('{"prompt": "a", "reward": 1}\n{"prompt": "a", "reward": ' + "9" * 400 + "}\n", "line 2: column `reward`"),
        ('{"prompt": "\\ud800", "reward": 1}\n', "line 1: column `prompt`"),
        ('{"prompt": "a", "reward": 1}\n' + "[" * 100_000, "line 2: nested too deeply"),
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
    with pytest.raises(ValueError, match=r"log\.jsonl: column `reward` is string, expected numbers or true/false; row 1 holds 'high'"):
        groups_of(read_rollouts(path), path=path)
    (tmp_path / "log.csv").write_text("prompt,reward\na,1\na,\na,good\n")
    with pytest.raises(ValueError, match=r"`reward` is string, .* row 3 holds 'good'"):
        groups_of(read_rollouts(tmp_path / "log.csv"))


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
