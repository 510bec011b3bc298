"""The command line: help at once, answers for people and for scripts, mistakes without tracebacks."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from jominy.cli import EXIT_USER_ERROR, main
from jominy.verbs.words import EXIT_VERDICT


@pytest.fixture
def solved(tmp_path):
    """A log in which everything is right."""
    path = tmp_path / "solved.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "reward": 1}) + "\n" for p in range(300) for _ in range(4)))
    return path


@pytest.fixture
def mixed(tmp_path):
    """A log with signal."""
    rng = np.random.default_rng(0)
    path = tmp_path / "mixed.jsonl"
    rows = [{"prompt": p, "score": int(rng.integers(2)), "text": "x"} for p in range(60) for _ in range(16)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_help_names_every_verb_and_imports_nothing_heavy():
    code = (
        "import sys, contextlib, io\n"
        "from jominy.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "heavy = {'numpy', 'pyarrow', 'torch', 'transformers', 'plotly', 'jinja2'} & set(sys.modules)\n"
        "print(sorted(heavy)); print(out.getvalue())\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("[]"), shown.splitlines()[0]
    for verb in ("sample", "diagnose", "report", "check", "models", "tasks", "recipes"):
        assert re.search(rf"• {verb}\b", shown), verb


def test_diagnose_prints_json_that_is_the_diagnosis(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["diagnose", str(mixed), "--columns", "reward=score", "--json", "--out", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((out / "diagnosis.json").read_text())
    assert written == printed
    assert printed["verdict"]["value"] == "go"
    assert (out / "report.html").is_file()


def test_diagnose_prints_verdict_findings_and_recipes(mixed, capsys):
    assert main(["diagnose", str(mixed), "--columns", "reward=score"]) == 0
    shown = capsys.readouterr().out
    for part in ("GO", "live share at G=16", "clarity_weighted", "Not checked", "strong_pass=0.8"):
        assert part in shown


def test_fail_on_gives_an_exit_code(solved, mixed, capsys):
    assert main(["diagnose", str(solved), "--fail-on", "stop"]) == EXIT_VERDICT
    assert main(["diagnose", str(solved)]) == 0
    assert main(["diagnose", str(mixed), "--columns", "reward=score", "--fail-on", "fix"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diagnose", "nowhere.parquet"], "nowhere.parquet does not exist"),
        (["diagnose", "{log}", "--columns", "reward"], "is no pair"),
        (["diagnose", "{log}", "--columns", "reward=score", "--thresholds", "nope=1"], "no threshold 'nope'"),
        (["diagnose", "{log}", "--columns", "reward=score", "--thresholds", "live_fix=much"], "'much' is no number"),
        (["diagnose", "{log}", "--columns", "reward=score", "--thresholds", "live_fix=30"], "must be in [0, 1]"),
        (["diagnose", "{log}", "--columns", "reward=score", "--success", "nan"], "--success must be a finite reward"),
        (["diagnose", "{log}", "--model", "foo"], "leave out --model"),
        (["diagnose", "--task", "arithmetic", "--group-size", "64"], "needs --rollouts of at least 64"),
        (["diagnose", "--task", "arithmetic", "--thresholds", "nope=1"], "no threshold 'nope'"),
        (["diagnose", "{log}", "--columns", "reward=score", "--steps", "0"], "--steps must be at least 1"),
        (["diagnose", "--task", "arithmetik", "--out", "{out}"], "arithmetic"),
        (["report", "{out}"], "diagnosis.json does not exist"),
        (["check", "arithmetik"], "arithmetic"),
    ],
)
def test_mistakes_get_one_message(mixed, tmp_path, capsys, arguments, message):
    filled = [word.format(log=mixed, out=tmp_path / "out") for word in arguments]
    assert main(filled) == EXIT_USER_ERROR
    error = capsys.readouterr().err
    assert error.startswith("jominy: ")
    assert message in error
    assert "Traceback" not in error


def test_listings(capsys):
    assert main(["models"]) == main(["tasks"]) == main(["recipes"]) == 0
    shown = capsys.readouterr().out
    for name in ("smollm2", "constraints", "ifeval", "clarity_weighted"):
        assert name in shown


def test_check_runs_the_battery_on_a_task(capsys):
    assert main(["check", "arithmetic"]) == 0
    assert "pass" in capsys.readouterr().out


def test_check_fails_a_task_whose_gold_is_wrong(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from jominy.records import Reward\n"
        "from jominy.tasks.loading import load_task\n"
        "def task():\n"
        "    return replace(load_task('arithmetic'), name='mine', reward=lambda prompt, text: Reward(value=0.0))\n"
    )
    assert main(["check", f"{tmp_path / 'mine.py'}:task"]) == 1
    assert "FAIL" in capsys.readouterr().out
