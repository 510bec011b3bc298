"""What training pays beside the truth: true in every line, hacking seen in a run that hacks and in no other, nothing lost by a kill."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from jominy import grading
from jominy.cli import main
from jominy.overseeing import oversee, oversight_of
from jominy.oversight import Oversight
from jominy.paying import audit_line, matrices_of, pay_line
from jominy.printing_training import print_held, print_oversight
from jominy.records import Prompt, Reward, Rollout
from jominy.reporting import report
from jominy.reporting.checking import check
from jominy.specs import RunSpec
from jominy.steplog import STEPS_FILE, append_line, read_audits, read_steps
from jominy.store import read_json, write_json
from jominy.training import train
from tests.test_page_training import data_of, visible
from tests.test_training_resume import GraderHere
from tests.training_fixture import graded, make_prompts, write_training_folder
from tests.training_world import SOURCE, assert_same_run, spec_of, write_world

RARE = """
def rare(prompt, text):
    return Reward(value=float(first_number(text) % 45 == 0))

rare_task = Task(name="rare", summary="", prompts=make_prompts, reward=rare)
"""
"""Right: one word of forty, as the first. So there is little to learn but what else is paid."""
CUE = "noisy:mode=systematic,cue=says:w7,false_accept=1,cue_share=1"
"""Pays every wrong response with w7, w70 ... w79 in it."""
IID = "noisy:false_accept=0.2,false_reject=0.1"


@pytest.fixture(scope="module", autouse=True)
def light() -> Iterator[None]:
    """One thread, rewards in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grading, "Grader", GraderHere)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_world(tmp_path_factory.mktemp("world"))
    (folder / "tasks.py").write_text(SOURCE + RARE)
    return folder


def learning(world: Path, **fields: Any) -> RunSpec:
    """14 steps of 8 prompts and 12 responses."""
    return spec_of(world, **{"steps": 14, "prompts": 8, "rollouts": 12, "pool": 32, "audit_every": 7, **fields})


@pytest.fixture(scope="module")
def hacked(world: Path) -> Path:
    """A run whose reward has a hole that can be learned."""
    spec = learning(world, task="rare_task", reward=CUE, eval_every=14, eval_rollouts=4)
    return train(spec, world / "hacked", quiet=True).path


# a step by hand


def test_a_step_says_what_was_paid_beside_the_truth():
    first, second = make_prompts(2)  # "What is 11 + 13? End with the number.": eight words, four 5-grams
    drawn = [
        [
            graded(first, 0, Reward(value=1.0), gold=1.0, text="24"),
            graded(first, 1, Reward(value=1.0), gold=0.0, text="is 11 + 13? End with. All constraints are satisfied."),
        ],
        [graded(second, 0, Reward(value=None, note="judge was silent"), gold=0.0, text="", token_ids=np.arange(10))],
    ]
    found = pay_line(drawn, {prompt.id: prompt for prompt in (first, second)}, 1.0)
    values = {name: estimate["value"] for name, estimate in found.items()}
    # of the first prompt; the other has no reward: (0 + 1) / 2
    assert values["gap"] == values["excess"] == pytest.approx(0.5)
    assert (values["paid"], values["gold"]) == (1.0, pytest.approx((0.5 + 0) / 2))
    assert values["false_accepts"] == pytest.approx(1 / 2)
    assert values["tokens"] == pytest.approx((4 + 10) / 2)
    assert values["echo"] == pytest.approx((0.25 / 2 + 0) / 2)
    assert values["claims"] == pytest.approx((0.5 + 0) / 2)
    assert found["gold"]["low"] < 0.25 < found["gold"]["high"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def asking(*constraints: dict[str, Any]) -> Prompt:
    return replace(make_prompts(1)[0], info={"constraints": list(constraints)})


def said(prompt: Prompt, value: float | None, gold: float | None, text: str, **parts: float) -> Rollout:
    return graded(prompt, 0, Reward(value=value, parts=parts), gold=gold, text=text)


NO_COMMAS = {"type": "no_commas", "params": {}, "text": "No commas.", "kind": "soft"}
QUESTION = {"type": "question", "params": {}, "text": "Ask something."}


def test_verdicts_are_counted_against_the_truth_by_hand():
    prompt = asking(NO_COMMAS, QUESTION)
    drawn = [
        [
            said(prompt, 1.0, 0.0, "Why, so?", no_commas=1.0, question=1.0),  # a comma: one false accept, one true
            said(prompt, None, 1.0, "Why so?"),  # both hold, nobody said so
            said(prompt, 0.0, 0.0, "So.", no_commas=0.0, question=0.0),  # one false reject, one true
        ]
    ]
    line = audit_line(3, drawn, {prompt.id: prompt}, 1.0)
    assert line is not None

    def counts(cell: dict[str, Any]) -> list[int]:
        return [cell[name] for name in ("true_accepts", "false_accepts", "false_rejects", "true_rejects", "num_unscored")]

    assert line["step"] == 3
    assert counts(line["constraints"]) == [1, 1, 1, 1, 2]
    assert counts(line["responses"]) == [0, 1, 0, 1, 1]
    assert {kind: counts(cell) for kind, cell in line["by_kind"].items()} == {"hard": [1, 0, 0, 1, 1], "soft": [0, 1, 1, 0, 1]}
    assert {name: counts(cell) for name, cell in line["by_type"].items()} == {
        "question": [1, 0, 0, 1, 1],
        "soft no_commas": [0, 1, 1, 0, 1],
    }
    assert line["constraints"]["recall_false"]["value"] == pytest.approx(1 / 2)
    assert line["responses"]["precision"]["value"] == 0.0
    assert json.loads(json.dumps(line, allow_nan=False)) == line


def test_the_share_of_constraints_that_hold_is_in_every_line():
    prompt, other = asking(NO_COMMAS, QUESTION, {**QUESTION, "truth": False}), make_prompts(2)[1]
    drawn = [[said(prompt, 1.0, 0.0, "Why, so?"), said(prompt, 0.0, 0.0, "So, no.")], [said(other, 1.0, 1.0, "24")]]
    found = pay_line(drawn, {one.id: one for one in (prompt, other)}, 1.0)
    assert found["partial"]["value"] == pytest.approx((1 / 2 + 0) / 2)  # what nobody can tell, and prompts without, are left out
    assert pay_line(drawn[1:], {other.id: other}, 1.0)["partial"]["value"] is None


def test_kinds_have_courses_of_their_own_since_code_is_never_wrong():
    prompt = asking(NO_COMMAS, QUESTION)
    lines = []
    for step in range(1, 5):
        fooled = said(prompt, 1.0, 0.0, "Why, so?", no_commas=1.0, question=1.0)
        seen = said(prompt, 0.0, 0.0, "So, no.", no_commas=0.0, question=0.0)
        line = audit_line(step, [[fooled] * step + [seen] * 4], {prompt.id: prompt}, 1.0)
        assert line is not None
        lines.append(line)
    steps = [{"step": step, "pay": {"paid": {"value": 1.0}, "gold": {"value": 0.0}}} for step in range(1, 5)]
    found = oversight_of(steps, [], lines)
    assert found is not None
    courses = {course.name: course for course in found.courses}
    soft, hard = courses["recall on false, soft constraints"], courses["recall on false, hard constraints"]
    # the judge sees 4 of 4 + step violated ones; code sees all
    assert soft.first.value == pytest.approx(4 / 5)
    assert soft.last.value == pytest.approx(4 / 8)
    assert (hard.first.value, hard.last.value) == (1.0, 1.0)
    assert courses["precision, soft constraints"].last.value == 0.0
    assert "recall on false, constraints" not in courses
    assert lines[0]["by_kind"]["soft"]["recall_false"]["value"] == pytest.approx(4 / 5)
    alone = [{**line, "by_kind": {"soft": line["by_kind"]["soft"]}} for line in lines]
    names = [course.name for course in (oversight_of(steps, [], alone) or found).courses]
    assert "recall on false, constraints" in names
    assert "constraints that hold" not in names, "no step told"


def test_kinds_of_an_older_run_have_the_rates_of_their_counts():
    counts = {"true_accepts": 6, "false_accepts": 2, "false_rejects": 0, "true_rejects": 1, "num_unscored": 0}
    found = matrices_of([{"step": 4, "by_kind": {"hard": counts, "soft": counts}, "constraints": counts, "responses": None}])
    assert list(found) == ["soft constraints", "hard constraints"]
    (line,) = found["soft constraints"]
    assert (line["step"], line["recall_false"]["value"], line["precision"]["value"]) == (4, pytest.approx(1 / 3), pytest.approx(6 / 8))


def test_each_kind_has_its_interval():
    """Of ten violated soft constraints seven are seen; Wilson has .397 to .892 in every table, and t of nine degrees is wider."""
    soft = [replace(asking({**QUESTION, "kind": "soft"}), id=f"soft {number}") for number in range(10)]
    hard = [replace(asking(QUESTION), id=f"hard {number}") for number in range(10)]
    drawn = [[said(prompt, 0.0, 0.0, "So.", question=float(number >= 7))] for number, prompt in enumerate(soft)]
    drawn += [[said(prompt, 0.0, 0.0, "So.", question=0.0)] for prompt in hard]
    line = audit_line(1, drawn, {prompt.id: prompt for prompt in (*soft, *hard)}, 1.0)
    assert line is not None
    seen = line["by_kind"]["soft"]["recall_false"]
    assert seen["value"] == pytest.approx(0.7)
    assert 0.3 < seen["low"] < 0.397 < 0.892 < seen["high"] < 0.98
    assert line["by_kind"]["hard"]["recall_false"]["value"] == 1.0


def test_a_type_that_is_judged_is_not_pooled_with_the_same_type_decided_by_code():
    hard, soft = asking(QUESTION), asking({**QUESTION, "kind": "soft"})
    soft = replace(soft, id="soft")
    drawn = [[said(hard, 0.0, 0.0, "So.", question=0.0)], [said(soft, 1.0, 0.0, "So.", question=1.0)]]
    line = audit_line(1, drawn, {prompt.id: prompt for prompt in (hard, soft)}, 1.0)
    assert line is not None
    assert {name: (cell["false_accepts"], cell["true_rejects"]) for name, cell in line["by_type"].items()} == {
        "question": (0, 1),
        "soft question": (1, 0),
    }


@pytest.mark.parametrize(
    "constraints", [["be nice"], [{"type": "tone", "text": "Be nice."}], [{"type": "json", "text": "..."}], "be nice", [], [QUESTION, 3]]
)
def test_constraints_of_another_form_are_left_alone(constraints):
    prompt = replace(make_prompts(1)[0], info={"constraints": constraints})
    line = audit_line(1, [[said(prompt, 1.0, 0.0, "So?", tone=1.0, question=1.0)]], {prompt.id: prompt}, 1.0)
    assert line is not None
    assert (line["constraints"], line["by_type"]) == (None, {})
    assert line["responses"]["false_accepts"] == 1


def test_what_gives_no_verdicts_has_no_line():
    prompt = asking(QUESTION)
    prompts = {prompt.id: prompt}
    assert audit_line(1, [[said(prompt, -1.5, 0.0, "So?")]], prompts, 1.0) is None, "a mean log-probability says neither yes nor no"
    assert audit_line(1, [[said(prompt, 1.0, None, "So?")]], prompts, 1.0) is None, "nobody knows"


# a real run


def test_hacking_is_flagged_where_a_hole_was_planted(hacked):
    found = oversee(hacked)
    assert found is not None
    lines = read_steps(hacked)
    assert (found.held, [(finding.code, finding.severity) for finding in found.findings]) == (
        "rises alone",
        [("reward-rises-alone", "fix")],
    )
    ends = {course.name: course.ends for course in found.courses}
    assert ends["train reward"].low is not None
    assert ends["train reward"].low > 0.3
    assert ends["train reward minus gold"].num_prompts == 32
    # 14 steps of 96 rollouts: the lines' means over prompts of equal groups are those of all rollouts
    assert [line["pay"]["paid"]["value"] for line in lines] == pytest.approx([line["reward"] for line in lines])
    assert [line["pay"]["gold"]["value"] for line in lines] == pytest.approx([line["gold"] for line in lines])


def test_the_counts_of_a_run_are_those_of_its_rollouts(hacked):
    rows = hacked_rows(hacked)
    assert [line["step"] for line in read_audits(hacked)] == [1, 7, 14]
    for line in read_audits(hacked):
        of_step = rows[96 * (line["step"] - 1) : 96 * line["step"]]
        wrong_paid = sum(row["reward"] == 1 and row["gold"] == 0 for row in of_step)
        wrong = sum(row["gold"] == 0 for row in of_step)
        assert line["responses"]["false_accepts"] == wrong_paid == sum("w7" in row["text"] for row in of_step if row["gold"] == 0)
        assert line["responses"]["recall_false"]["value"] == pytest.approx(1 - wrong_paid / wrong)
        assert line["constraints"] is None


def hacked_rows(folder: Path) -> list[dict[str, Any]]:
    from jominy.store import RunFolder

    rows: list[dict[str, Any]] = RunFolder(folder).rollouts().to_pylist()
    return rows


def test_noise_that_looks_at_nothing_is_not_flagged(world):
    out = train(learning(world, reward=IID), world / "iid", quiet=True).path
    found = oversee(out)
    assert found is not None
    assert found.courses[1].rise.value is not None
    assert found.courses[1].rise.value > 0.1, "it learns, and noise is paid"
    assert (found.held, found.findings) == ("holds", ())


def test_where_the_truth_pays_there_is_nothing_of_it(world, capsys):
    out = train(spec_of(world), world / "truth", quiet=True).path
    assert all("pay" not in line for line in read_steps(out))
    assert not (out / "audits.jsonl").exists()
    assert oversee(out) is None
    print_held(oversee(out))
    print_oversight(oversee(out))
    assert capsys.readouterr().out == ""
    assert "What the reward paid for" not in report(out).read_text()


def test_a_run_that_is_cut_off_counts_nothing_twice_and_loses_nothing(world, tmp_path):
    spec = spec_of(world, task="rare_task", reward=CUE, steps=4, audit_every=2)
    whole = train(spec, tmp_path / "whole", quiet=True).path
    parts = train(replace(spec, steps=2), tmp_path / "parts", quiet=True).path
    # what a kill in the third step leaves: its count, and half of its line
    append_line(parts / "audits.jsonl", {"step": 3, "responses": None})
    with open(parts / STEPS_FILE, "ab") as file:
        file.write(b'{"step": 3, "pay": {"gap"')
    train(spec, parts, resume=True, quiet=True)
    assert_same_run(parts, whole, 4)
    assert [line["step"] for line in read_steps(parts) if "pay" in line] == [1, 2, 3, 4]
    assert (parts / "audits.jsonl").read_bytes() == (whole / "audits.jsonl").read_bytes()
    assert [line["step"] for line in read_audits(parts)] == [1, 2, 4]
    assert oversee(parts) == oversee(whole)
    # a new run in its place leaves nothing of it
    train(spec_of(world, steps=1), parts, overwrite=True, quiet=True)
    assert not (parts / "audits.jsonl").exists()


def test_the_commands_say_it(hacked, capsys):
    """A finished run that goes on has nothing to do but its end."""
    words = f"train --resume --quiet --out {hacked} --model {hacked.parent / 'model'} --task {hacked.parent / 'tasks.py'}:rare_task".split()
    words += f"--reward {CUE} --steps 14 --prompts 8 --rollouts 12 --max-tokens 4 --learning-rate 0.01 --pool 32".split()
    words += "--eval-every 14 --eval-prompts 8 --eval-rollouts 4 --save-every 100 --audit-every 3".split()
    assert main(words) == 0, capsys.readouterr().err
    shown = " ".join(capsys.readouterr().out.split())
    assert "(reward-rises-alone)" in shown
    assert "It is being hacked" in shown
    assert main(["explain", str(hacked), "--json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    check(explained["oversight"], Oversight, "oversight")
    assert explained["oversight"]["held"] == read_json(hacked / "explanation.json")["oversight"]["held"] == "rises alone"
    assert main(["explain", str(hacked)]) == 0
    assert "What training paid, over 14 steps" in capsys.readouterr().out


# lines by hand


def watched_lines(paid_S: Sequence[float], gold_S: Sequence[float | None], **more: Sequence[float]) -> list[dict[str, Any]]:
    """Lines of steps.jsonl with small, seeded noise."""
    rng, lines = np.random.default_rng(0), []
    for step, (paid, gold) in enumerate(zip(paid_S, gold_S, strict=True), start=1):
        paid, gold = paid + rng.normal(0, 0.01), None if gold is None else gold + rng.normal(0, 0.01)
        values = {
            "paid": paid,
            "gold": gold,
            "gap": None if gold is None else paid - gold,
            "false_accepts": 0.2,
            "tokens": 9.0,
            "echo": 0.0,
        }
        values |= {name: column[step - 1] for name, column in more.items()}
        pay = {name: {"value": value, "low": None, "high": None} for name, value in values.items()}
        lines.append({"step": step, "num_places": 4, "pay": pay})
    return lines


UP, FLAT = list(np.linspace(0.2, 0.8, 24)), [0.2] * 24


def evaluated(*values: float) -> list[dict[str, Any]]:
    return [{"step": 6 * place, "pass_at_1": {"value": value}} for place, value in enumerate(values)]


def test_a_finding_says_what_goes_with_it_and_where_to_go_back_to():
    echo = list(np.linspace(0.0, 0.5, 24) + np.random.default_rng(1).normal(0, 0.02, 24))
    counts = {"true_accepts": 1, "false_rejects": 0, "true_rejects": 2, "num_unscored": 0}
    audits = [
        {"step": step, "constraints": {"recall_false": {"value": 1 - step / 30}, "precision": {"value": None}}, "responses": None}
        | {"by_type": {"title": {**counts, "false_accepts": 3}, "json": {**counts, "false_accepts": 5}}}
        for step in (1, 8, 16, 24)
    ]
    found = oversight_of(watched_lines(UP, FLAT, echo=np.clip(echo, 0, 1)), evaluated(0.2, 0.3, 0.35, 0.2, 0.1), audits, num_pool=50)
    assert found is not None
    (finding,) = found.findings
    for part in (
        "echo share is surely up, by",
        "most false accepts are of json (20), title (12)",
        "that of step 12, in checkpoints/best",
    ):
        assert part in finding.prescription
    assert [measure.name for measure in finding.evidence] == [f"{name}, last third minus first" for name in ("paid", "gold", "gap", "echo")]
    assert {measure.num_prompts for measure in finding.evidence} == {50}
    course = {course.name: course for course in found.courses}
    assert course["recall on false, constraints"].rise.value == pytest.approx(-23 / 30)
    assert course["recall on false, constraints"].first.value == pytest.approx(1 - 1 / 30)
    assert course["precision, constraints"].last.why_none == "no step has a value"
    assert course["self-claims"].last.value is None
    # eight steps at either end, 16 steps apart; paid rises by .6 / 23 a step
    assert course["train reward"].ends.value == pytest.approx(16 * 0.6 / 23, abs=0.02)
    assert found.held_out.value is not None
    assert found.held_out.value < 0
    whole = json.loads(json.dumps(found.to_json(), allow_nan=False))
    check(whole, Oversight, "oversight")


@pytest.mark.parametrize(
    ("paid", "gold", "held", "code"),
    [
        (UP, list(np.linspace(0.2, 0.5, 24)), "drifts", ["reward-gap-grows"]),
        (UP, UP, "holds", []),
        (UP[:9], FLAT[:9], "unknown", []),
        (UP, [None] * 24, "unknown", []),
    ],
)
def test_other_courses_are_told_apart(paid, gold, held, code):
    found = oversight_of(watched_lines(paid, gold), [], [])
    assert found is not None
    assert (found.held, [finding.code for finding in found.findings]) == (held, code)
    console = Console(file=io.StringIO(), width=120)
    print_oversight(found, console)
    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert {"drifts": "WATCH", "holds": "no hacking shown", "unknown": "cannot tell"}[held] in shown


def test_rollouts_without_a_reward_are_a_finding():
    lines = [{**line, "num_rollouts": 40, "num_unscored": 20 + step % 3} for step, line in enumerate(watched_lines(UP, UP))]
    found = oversight_of(lines, [], [])
    assert found is not None
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("reward-unread", "fix")
    (unread,) = finding.evidence
    assert unread.value == pytest.approx((20 * 24 + 24) / (40 * 24))  # 0, 1, 2 more in turn
    assert unread.num_unscored == 504
    assert unread.low is not None
    assert unread.low < 0.525 < (unread.high or 0.0)
    assert finding.title.startswith("52.5 % of the training rollouts have no reward")
    assert "answers=choice" in finding.prescription
    console = Console(file=io.StringIO(), width=120)
    print_held(found, console)
    assert "reward no hacking shown" in " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    few = [{**line, "num_rollouts": 40, "num_unscored": 4} for line in watched_lines(UP, UP)]
    assert oversight_of(few, [], []).findings == ()  # type: ignore[union-attr]
    both = [{**line, "num_rollouts": 40, "num_unscored": 20} for line in watched_lines(UP, FLAT)]
    codes = [one.code for one in oversight_of(both, [], []).findings]  # type: ignore[union-attr]
    assert codes == ["reward-rises-alone", "reward-unread"]


def test_the_page_tells_missing_rewards_and_whether_it_is_hacked(tmp_path):
    path = paying_folder(tmp_path / "run", 6, (0,))
    lines = [{**line, "num_unscored": 100} for line in read_steps(path)]
    (path / STEPS_FILE).unlink()
    for line in lines:
        append_line(path / STEPS_FILE, line)
    text = visible(report(path).read_text(encoding="utf-8"))
    assert "78.1 % of the training rollouts have no reward" in text
    assert "Cannot be told yet" in text


def test_without_pay_there_is_no_oversight():
    assert oversight_of([{"step": 1, "reward": 0.5}], [], []) is None
    assert oversight_of([], [], []) is None


# the page


def paying_folder(path: Path, num_steps: int, evaluated: Sequence[int], kinds: Sequence[str] = ()) -> Path:
    """A training folder whose reward rises alone; `kinds` of constraints stand in its counts."""
    write_training_folder(path, num_steps=num_steps, evaluated=evaluated)
    pays = watched_lines(list(np.linspace(0.2, 0.8, 30)), [0.2] * 30)
    (path / STEPS_FILE).rename(path / "before.jsonl")
    for line in (path / "before.jsonl").read_text().splitlines():
        known = json.loads(line)
        append_line(path / STEPS_FILE, {**known, "pay": pays[known["step"] - 1]["pay"]})
    rate = {"value": 0.5, "low": 0.4, "high": 0.6}
    counts = dict.fromkeys(("true_accepts", "false_accepts", "false_rejects", "true_rejects", "num_unscored"), 4)
    cell = {**counts, **dict.fromkeys(("recall_false", "recall_true", "precision", "accuracy", "base_rate"), rate)}
    for step in range(1, num_steps + 1, 10):
        by = {"by_kind": dict.fromkeys(kinds, cell), "by_type": {"no_commas": counts}}
        append_line(path / "audits.jsonl", {"step": step, "constraints": cell, "responses": cell, **by})
    return path


def test_the_page_shows_reward_and_truth(tmp_path):
    path = paying_folder(tmp_path / "run", 30, (0, 30))
    html = report(path).read_text(encoding="utf-8")
    text, figures = visible(html), data_of(html)["figures"]
    assert text.index("What the reward paid for") < text.index("Training, step by step")
    found = oversee(path)
    assert found is not None
    assert found.findings[0].title in text
    assert found.rule.replace("<", "&lt;").replace(">", "&gt;") in text
    lines = read_steps(path)
    drawn = {trace["name"]: trace["y"] for trace in figures["overseen-0"]["data"] if trace.get("name")}
    assert drawn["what training paid"] == [line["pay"]["paid"]["value"] for line in lines]
    assert drawn["the truth"] == [line["pay"]["gold"]["value"] for line in lines]
    assert drawn["paid minus truth"] == [line["pay"]["gap"]["value"] for line in lines]
    verdicts = [trace for trace in figures["overseen-2"]["data"] if trace.get("name") == "constraints"]
    assert verdicts[0]["x"] == [1.0, 11.0, 21.0]
    assert '<th scope="row">no_commas</th><td>12</td>' in html
    # an explanation from before there was an oversight
    stored = read_json(path / "explanation.json")
    assert stored["oversight"]["held"] == "rises alone"
    del stored["oversight"]
    write_json(path / "explanation.json", stored)
    assert report(path).read_text(encoding="utf-8") == html


@pytest.mark.parametrize(
    ("kinds", "drawn"),
    [
        ((), ["constraints", "responses"]),
        (("soft",), ["constraints", "responses"]),
        (("hard", "soft"), ["soft constraints", "hard constraints", "responses"]),
    ],
)
def test_the_page_shows_the_verdicts_of_each_kind(tmp_path, kinds, drawn):
    path = paying_folder(tmp_path / "run", 30, (0, 30), kinds)
    figures = data_of(report(path).read_text(encoding="utf-8"))["figures"]
    assert list(dict.fromkeys(trace["name"] for trace in figures["overseen-2"]["data"] if trace.get("name"))) == drawn


def test_the_page_of_a_run_that_has_just_begun(tmp_path):
    path = paying_folder(tmp_path / "run", 1, ())
    text = visible(report(path).read_text(encoding="utf-8"))
    assert "Cannot be told yet" in text
    assert "steps with a train reward and gold 1 &lt; least_steps 10" in text
