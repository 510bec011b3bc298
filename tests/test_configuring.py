"""A run from a file: fields, their types, what is unknown, and flags that win over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jominy.cli import main, parse
from jominy.configuring import load_run_spec, run_spec_of
from jominy.specs import DataSpec, EvaluateSpec, RunSpec, UpdateSpec

EXPECTED = RunSpec(
    steps=5,
    model="lab",
    data=DataSpec(pool=7, reward="r.py:fn"),
    update=UpdateSpec(learning_rate=2.0, recompute=True),
    evaluate=EvaluateSpec(eval_every=0, eval_task="logic"),
)


def written(tmp_path: Path, text: str, name: str = "run.toml") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_fields_stand_flat_or_under_their_part(tmp_path):
    flat = 'steps = 5\nmodel = "lab"\npool = 7\nreward = "r.py:fn"\nlearning_rate = 2\nrecompute = true\neval_every = 0\n'
    assert load_run_spec(written(tmp_path, flat + 'eval_task = "logic"\n')) == EXPECTED
    parts = 'steps = 5\nmodel = "lab"\n[data]\npool = 7\nreward = "r.py:fn"\n[update]\nlearning_rate = 2.0\nrecompute = true\n'
    assert load_run_spec(written(tmp_path, parts + '[evaluate]\neval_every = 0\neval_task = "logic"\n')) == EXPECTED
    assert load_run_spec(written(tmp_path, "")) == RunSpec()


def test_a_python_file_holds_a_run(tmp_path):
    text = "from dataclasses import replace\nfrom jominy.specs import RunSpec\nspec = RunSpec(steps=5)\nlonger = replace(spec, steps=9)\n"
    file = written(tmp_path, text + "other = 3\n", "run.py")
    assert load_run_spec(file).steps == 5
    assert load_run_spec(f"{file}:longer").steps == 9
    with pytest.raises(ValueError, match=r"run.py has no `shorter`; it has spec, longer$"):
        load_run_spec(f"{file}:shorter")
    with pytest.raises(ValueError, match=r"run.py:other is int, expected a jominy.RunSpec"):
        load_run_spec(f"{file}:other")
    with pytest.raises(ValueError, match=r"bad.py cannot be imported: SyntaxError"):
        load_run_spec(written(tmp_path, "spec = (", "bad.py"))
    with pytest.raises(ValueError, match=r"worse.py cannot be imported: TypeError: .*'stepps'"):
        load_run_spec(written(tmp_path, "from jominy.specs import RunSpec\nspec = RunSpec(stepps=5)", "worse.py"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepps = 5", "run.toml: no field `stepps`; there are task, model, recipe, steps"),
        ("[update]\nlearning_rat = 1", "no field `learning_rat`"),
        ("steps = 5.0", "run.toml: `steps` is float 5.0, expected int"),
        ("steps = true", "`steps` is bool True, expected int"),
        ("learning_rate = true", "`learning_rate` is bool True, expected float"),
        ('learning_rate = "1e-5"', "`learning_rate` is str '1e-5', expected float"),
        ("recompute = 1", "`recompute` is int 1, expected bool"),
        ("reward = 3", "`reward` is int 3, expected str"),
        ("update = 3", "`update` is int 3, expected UpdateSpec"),
        ("pool = 3\n[data]\npool = 4", "`pool` is given twice"),
        ("steps = ", "run.toml is not readable TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_run_spec(written(tmp_path, text))


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"--config .*absent.toml: there is no file"):
        load_run_spec(str(tmp_path / "absent.toml"))
    with pytest.raises(ValueError, match=r"give a .toml file, or my_run.py:spec"):
        load_run_spec(written(tmp_path, "{}", "run.json"))
    with pytest.raises(ValueError, match="the table: no field `x`"):
        run_spec_of({"x": 1})


def test_flags_win_over_the_file(tmp_path):
    file = written(tmp_path, 'steps = 5\nmodel = "lab"\n[update]\nlearning_rate = 2\n')
    command = parse(["train", "--config", file, "--steps", "3", "--pool", "9", "--out", str(tmp_path / "out")])
    assert parse(["train", f"--config={file}", "--steps=3", "--pool=9", "--out", str(tmp_path / "out")]).spec == command.spec
    assert (command.spec.steps, command.spec.model, command.out) == (3, "lab", tmp_path / "out")
    assert (command.spec.update.learning_rate, command.spec.data.pool) == (2.0, 9)
    assert parse(["train", "--out", "x"]).spec == RunSpec()


def test_the_command_line_says_what_is_wrong_in_the_file(tmp_path, capsys):
    assert main(["train", "--config", written(tmp_path, "stepps = 5"), "--out", str(tmp_path / "out")]) == 2
    assert "no field `stepps`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
