"""A file of data names a task that grades it, never a file to open; and what it names grades as the task itself does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jominy.refining import refine
from jominy.specs.refining import PilotSpec, RefineSpec
from jominy.tasks.gradings import GRADING, SETTINGS, grading_of, paths_in, without_paths
from jominy.tasks.loading import TASKS, load_task
from tests.test_judged_benchmarks import STYLE, turn

IFEVAL = {"key": 7, "prompt": "Say a.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
MULTIIF = {"key": "1", "language": "English", **turn(1, "Say a.", ["punctuation:no_comma"], [{}])}
CFBENCH = [{"prompt": "写信。", "split": "hard", "criteria": [["是一封信", "主需", "风格约束", "形式文体约束"]]}]


@pytest.fixture
def own(tmp_path: Path) -> dict[str, str]:
    """{task: its name with a file or folder of a person's}."""
    files = {"math": {"problem": "1 + 1", "answer": "2"}, "ifeval": IFEVAL, "ifbench": {**IFEVAL, "instruction_id_list": ["count:numbers"]}}
    for name, row in {**files, "multiif": MULTIIF}.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "cfbench.json").write_text(json.dumps(CFBENCH))
    (tmp_path / "followbench").mkdir()
    (tmp_path / "followbench" / "style_constraints.json").write_text(json.dumps(STYLE))
    named = {name: f"{name}:{tmp_path / name}.jsonl" for name in (*files, "multiif")}
    return {**named, "cfbench": f"cfbench:{tmp_path / 'cfbench.json'}", "followbench": f"followbench:style,{tmp_path / 'followbench'}"}


@pytest.mark.parametrize("task", sorted(GRADING))
def test_what_is_named_grades_as_the_task_does_and_reads_nothing(task, own, tmp_path, monkeypatch):
    for package in ("if_verifiable", "math_verify"):
        pytest.importorskip(package, reason=f"needs {package} (the tasks extra)")
    for loose in ("", "loose") if task in ("ifeval", "ifbench", "multiif") else ("",):
        name = f"{own[task]},{loose}" if loose else own[task]
        made = load_task(name)
        with monkeypatch.context() as patch:
            patch.setenv("JOMINY_DATA", str(tmp_path / "nowhere"))
            patch.chdir(tmp_path.parent)
            found = grading_of(without_paths(name))
        assert (found.reward, found.lenient, found.format) == (made.reward, made.lenient, made.format)
        assert found.prompts(9, 0) == []


def test_settings_are_known_from_paths():
    assert set(SETTINGS) == set(GRADING) <= set(TASKS)
    assert without_paths("followbench:style,level=2,data") == "followbench:style,level=2", "data may be a folder"
    assert without_paths("multiif: turns=2 ,/etc/passwd") == "multiif:turns=2"
    assert without_paths("math:../x.jsonl") == "math"
    assert paths_in("ifbench: loose ") == []
    for name in ("constraints:count=3,rendering=mixed", "logic:countdown,max_numbers=4", "multiif:language=French,loose", "cfbench"):
        assert without_paths(name) == name


@pytest.mark.parametrize(
    ("named", "path", "instead"),
    [
        ("math:secret.jsonl", "secret.jsonl", "math"),
        ("ifeval:loose,/etc/x.jsonl", "/etc/x.jsonl", "ifeval:loose"),
        ("followbench:.", ".", "followbench"),
        ("cfbench:~/all.json", "~/all.json", "cfbench"),
    ],
)
def test_a_data_file_may_name_no_path(tmp_path, named, path, instead):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"prompt": [{"role": "user", "content": "Hi."}], "graded_by": named}) + "\n")
    with pytest.raises(ValueError, match="no other file to open") as error:
        load_task(str(file))
    for part in (str(file), repr(named), f"{path!r} is no setting", f"write {instead!r}", "remove the column"):
        assert part in str(error.value)


def test_refining_a_file_of_problems_leaves_its_path_behind(own, tmp_path):
    pytest.importorskip("math_verify", reason="needs math-verify (the tasks extra)")
    given = load_task(own["math"]).prompts(9, 0)
    (tmp_path / "pilot").mkdir()
    from jominy.sampling import sample
    from jominy.specs import SampleSpec
    from tests.scripted import ScriptedEngine

    drawn = SampleSpec(task=own["math"], prompts=9, rollouts=2)
    sample(drawn, tmp_path / "pilot", load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    spec = RefineSpec(task=own["math"], prompts=9, drawing=PilotSpec(pilot=str(tmp_path / "pilot")))
    refine(spec, tmp_path / "out", quiet=True)
    (row,) = map(json.loads, (tmp_path / "out" / "prompts.jsonl").read_text().splitlines())
    assert row["graded_by"] == "math"
    (tmp_path / "math.jsonl").unlink()  # the file that it came from is not needed any more
    again = load_task(str(tmp_path / "out" / "prompts.jsonl"))
    (prompt,) = again.prompts(9, 0)
    assert prompt.id == given[0].id
    assert [again.reward(prompt, text).value for text in (prompt.gold_answer or "", prompt.wrong_answer or "")] == [1.0, 0.0]
