"""Task by task: hand arithmetic, each task alone as the oracle, and an average whose interval keeps its promise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from jominy import Groups, diagnose
from jominy.cli import main
from jominy.formatting import number
from jominy.measures.bytask import MOST_TASKS, measure_by_task
from jominy.measures.clarity import measure_clarity
from jominy.measures.passk import measure_passk
from jominy.printing import clarity_by_task, rates_by_task
from jominy.records import Measure
from jominy.reporting.bytask import by_task_tables
from jominy.stats import Interval, average_interval, share_interval


def ones(right: int, drawn: int) -> list[float | None]:
    return [float(i < right) for i in range(drawn)]


MIX = [ones(4, 16), ones(0, 16), ones(8, 8), ones(2, 8), ones(0, 8)]
OF_MIX = ["b", "b", "a", "a", "a"]


def test_averages_by_hand():
    found = measure_by_task(Groups.of(rewards=MIX, tasks=OF_MIX), None)
    assert found is not None
    a, b = found.tasks
    assert (a.task, a.num_problems, a.num_samples, a.pass_rate.name) == ("a", 3, 8, "avg@8")
    assert (b.task, b.num_problems, b.num_samples, b.pass_rate.name) == ("b", 2, 16, "avg@16")
    assert a.pass_rate.value == pytest.approx((1 + 2 / 8 + 0) / 3)
    assert b.pass_rate.value == pytest.approx((4 / 16 + 0) / 2)
    assert {m.name: m.value for m in a.passk} == pytest.approx({"pass@1": 10 / 24, "pass@8": 2 / 3})
    # 4 right of 16, 8 drawn: all wrong with C(12, 8) / C(16, 8) = 495 / 12870
    assert {m.name: m.value for m in b.passk} == pytest.approx({"pass@1": 2 / 16, "pass@8": (1 - 495 / 12870) / 2, "pass@16": 1 / 2})
    means = {m.name: m.value for m in found.average}
    assert means == pytest.approx(
        {
            "mean of avg@K over tasks": (10 / 24 + 2 / 16) / 2,
            "mean of pass@1 over tasks": (10 / 24 + 2 / 16) / 2,
            "mean of pass@8 over tasks": (2 / 3 + (1 - 495 / 12870) / 2) / 2,
        }
    ), "and none of pass@16, which task a has not"


def test_each_task_is_as_if_it_were_alone():
    rng = np.random.default_rng(3)
    rates = rng.uniform(0, 1, 40)
    rewards = (rng.random((40, 16)) < rates[:, None]).astype(float)
    probability = rng.uniform(0.2, 0.9, (40, 16)) + 0.1 * rewards
    names = [("x", "y", "z")[p % 3] for p in range(40)]
    groups = Groups.of(rewards=rewards.tolist(), probability=probability.tolist(), tasks=names)
    shared = measure_clarity(groups, rng, num_permutations=2, max_prompts=30)
    found = measure_by_task(groups, shared.per_prompt, shared.permuted)
    assert found is not None
    for one in found.tasks:
        mine = [p for p in range(40) if names[p] == one.task]
        alone = Groups.of(rewards=rewards[mine].tolist(), probability=probability[mine].tolist())
        curve = {m.name: m for m in measure_passk(alone).curve}
        for measure in one.passk:
            assert measure == curve[measure.name]
        assert (one.pass_rate.low, one.pass_rate.high) == (curve["pass@1"].low, curve["pass@1"].high)
        null = [value for p, value in zip(shared.permuted.prompts_W, shared.permuted.null_mean_W, strict=True) if p in mine]
        assert one.null_silhouette is not None
        assert one.null_silhouette.value == pytest.approx(sum(null) / len(null))
        assert (one.null_silhouette.num_prompts, one.null_silhouette.num_left_out) == (len(null), len(mine) - len(null))
        clarity = measure_clarity(alone, rng, num_permutations=2)
        for ours, theirs in ((one.coverage, clarity.coverage), (one.silhouette, clarity.silhouette), (one.balanced, clarity.balanced)):
            assert (ours.name, ours.num_prompts, ours.num_left_out) == (theirs.name, theirs.num_prompts, theirs.num_left_out)
            assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high))


def test_the_order_of_prompts_does_not_matter():
    order = [3, 0, 4, 1, 2]
    one = measure_by_task(Groups.of(rewards=MIX, tasks=OF_MIX), None)
    other = measure_by_task(Groups.of(rewards=[MIX[p] for p in order], tasks=[OF_MIX[p] for p in order]), None)
    assert one == other


def test_the_unscored_are_left_out_and_counted_and_the_truncated_counted():
    lost: list[float | None] = [None] * 4
    groups = Groups.of(rewards=[[1.0, None, 0.0, 0.0], lost, ones(1, 4), ones(3, 4)], tasks=["a", "a", "b", "b"])
    groups = replace(groups, truncated_N=np.array([0, 1, 0, 0] + [1] * 4 + [0] * 8, dtype=bool))
    found = measure_by_task(groups, None)
    assert found is not None
    a, b = found.tasks
    # one of the three scored answers of the only problem that has any
    assert a.pass_rate.value == pytest.approx(1 / 3)
    assert (a.pass_rate.num_prompts, a.pass_rate.num_left_out) == (1, 1)
    assert (a.unscored.value, a.truncated.value) == (5 / 8, 5 / 8)
    assert a.pass_rate.num_unscored == 5
    assert (b.unscored.value, b.truncated.value) == (0.0, 0.0)
    # the third of three scored answers would be pass@3; powers of two that half of the problems have end at 2: 1 - C(2, 2) / C(3, 2)
    assert {one.name: one.value for one in a.passk} == pytest.approx({"pass@1": 1 / 3, "pass@2": 2 / 3})
    assert a.silhouette.value is None
    assert "log-probabilities" in a.silhouette.why_none
    assert (found.average[0].low, found.average[0].high) == (None, None), "one problem says nothing about problems"


def test_a_task_in_which_nothing_is_scored_has_no_rate_and_the_mean_says_so():
    lost: list[float | None] = [None] * 4
    found = measure_by_task(Groups.of(rewards=[lost, lost, ones(1, 4), ones(3, 4)], tasks=["a", "a", "b", "b"]), None)
    assert found is not None
    assert (found.tasks[0].pass_rate.value, found.tasks[0].unscored.value, found.tasks[0].num_samples) == (None, 1.0, 4)
    assert found.average[0].value is None
    assert found.average[0].why_none.startswith("a has no value: no prompt has 1 scored rollouts")
    assert found.tasks[1].pass_rate.value == 0.5


@pytest.mark.parametrize("num_tasks", [1, MOST_TASKS + 1])
def test_one_task_or_a_crowd_of_them_is_no_table(num_tasks):
    found = diagnose(Groups.of(rewards=[ones(1, 2)] * 60, tasks=[str(p % num_tasks) for p in range(60)]))
    assert found.by_task is None
    said = [check.missing for check in found.skipped if check.code == "by-task"]
    assert said == ([] if num_tasks == 1 else [f"at most {MOST_TASKS} tasks; column `task` names {num_tasks}"])


def test_the_interval_of_an_average_by_hand_and_where_it_does_not_exist():
    # m = 0.3; below sqrt(.1^2 + .2^2) / 2 = .1118, above sqrt(.3^2 + .4^2) / 2 = .25
    found = average_interval([0.2, 0.4], [Interval(low=0.1, high=0.5), Interval(low=0.2, high=0.8)])
    assert found.low == pytest.approx(0.3 - 0.05**0.5 / 2)
    assert found.high == pytest.approx(0.55)
    assert average_interval([0.2, 0.4], [Interval(low=0.1, high=0.5), Interval(low=None, high=None)]).low is None
    assert average_interval([], []).high is None


def test_the_interval_of_an_average_covers_the_truth():
    """Three tasks of 30 problems, one nearly hopeless, 16 samples each: 1,000 runs with planted pass rates; 0.95 -+ 0.02."""
    rng = np.random.default_rng(0)
    shapes, runs, problems = ((0.2, 3.0), (1.0, 1.0), (4.0, 2.0)), 1000, 30
    truth = np.mean([a / (a + b) for a, b in shapes])
    hits = 0
    for _ in range(runs):
        shares = [rng.binomial(16, rng.beta(a, b, problems)) / 16 for a, b in shapes]
        found = average_interval([float(share.mean()) for share in shares], [share_interval(share) for share in shares])
        assert found.low is not None
        assert found.high is not None
        hits += int(found.low <= truth <= found.high)
    assert 0.93 <= hits / runs <= 0.97


def test_none_of_thirty_is_no_certainty():
    found = measure_by_task(Groups.of(rewards=[ones(0, 8)] * 60, tasks=["a"] * 30 + ["b"] * 30), None)
    assert found is not None
    assert found.average[0].value == 0.0
    assert found.average[0].high is not None
    assert found.average[0].high > 0.05


@pytest.fixture
def log(tmp_path):
    """Somebody's log: two sources of prompts, log-probabilities at a nucleus for one of them."""
    rng = np.random.default_rng(1)
    rows = [
        {
            "prompt": p,
            "score": int(rng.random() < (0.2 if p % 3 else 0.8)),
            "data_source": "hard" if p % 3 else "easy",
            "mean_logprob": -0.3,
        }
        for p in range(30)
        for _ in range(16)
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_any_log_with_a_column_of_tasks_has_the_table(log, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["diagnose", str(log), "--columns", "reward=score", "task=data_source", "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)["by_task"]
    assert [(task["task"], task["num_problems"], task["num_samples"]) for task in found["tasks"]] == [("easy", 10, 16), ("hard", 20, 16)]
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    easy, hard = ([row["score"] for row in rows if row["data_source"] == name] for name in ("easy", "hard"))
    mean = found["average"][0]
    assert mean["name"] == "mean of avg@16 over tasks"
    assert mean["value"] == pytest.approx((sum(easy) / 160 + sum(hard) / 320) / 2)
    assert mean["low"] < mean["value"] < mean["high"]
    page = (out / "report.html").read_text()
    section = page.split('id="by-task"')[1].split("</section>")[0]
    assert "given only for k that every task has" in section
    assert all(task["null_silhouette"]["value"] is not None for task in found["tasks"])
    assert number(mean["value"], "share") in section
    assert section.count("<tr>") == 4 + 3, "headings, two tasks, their mean; headings, two tasks"


def test_the_terminal_has_a_row_a_task_and_the_mean():
    found = measure_by_task(Groups.of(rewards=MIX, tasks=OF_MIX), None)
    assert found is not None
    table = rates_by_task(found)
    cells = [list(column.cells) for column in table.columns]
    assert [str(column.header) for column in table.columns] == ["task", "problems", "avg@K", "@8", "@16"]
    assert cells[0] == ["a", "b", "[bold]mean over tasks[/]"]
    assert cells[1] == ["3 x 8", "2 x 16", ""]
    assert [str(cell).split(" [")[0] for cell in cells[2]] == ["41.7", "12.5", "27.1"]
    assert cells[4] == ["–", "50.0", "–"]
    assert [list(column.cells) for column in clarity_by_task(found).columns][-1] == ["0.0", "0.0"]


def test_the_page_leaves_a_cell_empty_where_a_task_has_no_such_k():
    measure = {"name": "pass@1", "value": 0.5}
    task = dict.fromkeys(("pass_rate", "coverage", "silhouette", "balanced", "truncated", "unscored"), measure)
    long = {**task, "task": "b", "num_problems": 1, "num_samples": 8, "passk": [measure, {"name": "pass@8", "value": 1.0}]}
    short = {**task, "task": "a", "num_problems": 1, "num_samples": 1, "passk": [measure]}
    rates, rest = by_task_tables({"tasks": [short, long], "average": [measure]})
    assert rates["columns"] == ["avg@K", "pass@8"]
    assert [row["cells"][1] for row in rates["rows"]] == [None, {"name": "pass@8", "value": 1.0}, None]
    assert [(row["name"], row["size"]) for row in rates["rows"]] == [("a", "1 × 1"), ("b", "1 × 8"), ("Mean over tasks", "")]
    # a diagnosis from before there was S of permuted labels leaves its cell empty
    assert rest["columns"][:2] == ["S", "S of permuted labels"]
    assert [row["cells"] for row in rest["rows"]] == [[measure, None, *[measure] * 4]] * 2


def test_a_prompt_without_a_task_is_refused_by_name():
    with pytest.raises(ValueError, match="task_P has 1 entries for 2 prompts"):
        replace(Groups.of(rewards=[[1], [0]]), task_P=np.array([0]), tasks=("a",))


def test_measures_of_a_task_say_what_is_shown():
    found = measure_by_task(Groups.of(rewards=MIX, tasks=OF_MIX), None)
    assert found is not None
    for one in found.tasks:
        for measure in (one.pass_rate, *one.passk, one.coverage, one.silhouette, one.balanced, one.truncated, one.unscored):
            assert isinstance(measure, Measure)
            assert (measure.value is None) == bool(measure.why_none), measure.name
