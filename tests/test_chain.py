"""The real chain, from the command to the page, on a tiny model folder: what a run leaves, and what is left when it is cut off."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jominy import sampling
from jominy.cli import EXIT_INTERRUPTED, EXIT_USER_ERROR, main
from jominy.engines.extras import missing_extra, require_local_extra
from jominy.store import RunFolder
from tests import tiny

SPECIAL = {"<s>", "</s>", "<pad>", "<unk>"}
MANY = 80
"""Groups of a run that is to be cut off; one at a time is written, each flushed to disk, which takes a second in all."""
ONE_AT_A_TIME = "import sys; from jominy import cli, sampling; sampling.FLUSH_EVERY_S = 0.0; sys.exit(cli.main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model, its tokenizer and its chat template."""
    return tiny.save("llama", tmp_path_factory.mktemp("chain") / "model")


@pytest.fixture(scope="module")
def whole(model: Path) -> pa.Table:
    """The rollouts of the long run when nothing cuts it off."""
    out = model.parent / "whole"
    assert main(long_run(model, out)) == 0
    return in_order(RunFolder(out).rollouts())


def short_run(model: Path, out: Path) -> list[str]:
    """The main job, as small as it gets."""
    words = ["diagnose", "--model", str(model), "--task", "arithmetic:digits=1", "--prompts", "6", "--rollouts", "4", "--max-tokens", "8"]
    return [*words, "--seed", "0", "--out", str(out)]


def long_run(model: Path, out: Path) -> list[str]:
    """Enough prompts to be cut off in the middle."""
    words = ["sample", "--model", str(model), "--task", "arithmetic:digits=2", "--prompts", str(MANY), "--rollouts", "2"]
    return [*words, "--max-tokens", "8", "--seed", "0", "--quiet", "--out", str(out)]


def in_order(table: pa.Table) -> pa.Table:
    """Rows by prompt and index; a run that was cut off finishes its groups in another order."""
    return table.sort_by([("prompt_id", "ascending"), ("index", "ascending")])


def assert_same_rollouts(found: pa.Table, expected: pa.Table) -> None:
    """Every column alike; log-probabilities up to the float noise of other company in the batch."""
    noisy = ["logprobs", "logprobs_t1"]
    assert found.drop_columns(noisy).equals(expected.drop_columns(noisy))
    for name in noisy:
        for mine, theirs in zip(found[name].to_pylist(), expected[name].to_pylist(), strict=True):
            assert mine == pytest.approx(theirs, abs=1e-5)


def cut_off(command: list[str], out: Path, strike: Callable[[int], None]) -> tuple[int, str]:
    """Runs the command in a group of processes of its own, strikes once two groups are on the disk; (exit code, standard error)."""
    process = subprocess.Popen(
        [sys.executable, "-c", ONE_AT_A_TIME, *command],
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while len(list((out / "rollouts").glob("part-*.parquet"))) < 2:
        assert process.poll() is None, "it ended before it could be cut off"
        time.sleep(0.002)
    strike(process.pid)
    _, error = process.communicate(timeout=20)
    wait_until_gone(process.pid)
    return process.returncode, error


def wait_until_gone(process_group: int) -> None:
    """Nothing that the command started outlives it for long: not the workers that grade either."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(process_group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.killpg(process_group, signal.SIGKILL)
    pytest.fail("a process of the command lives on")


def assert_readable_part(out: Path, status: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Some whole groups and no more are there, and a diagnosis can be made of them; returns the rollouts."""
    folder = RunFolder(out)
    assert folder.read_run()["status"] == status
    assert len(folder.read_prompts()) == MANY
    table = folder.rollouts()
    assert 0 < table.num_rows < 2 * MANY
    assert table.num_rows % 2 == 0
    assert len(set(zip(table["prompt_id"].to_pylist(), table["index"].to_pylist(), strict=True))) == table.num_rows
    capsys.readouterr()
    assert main(["diagnose", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_rollouts"] == table.num_rows
    return int(table.num_rows)


def test_the_main_job_on_a_real_model(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(short_run(model, out)) == 0
    shown = capsys.readouterr().out
    folder = RunFolder(out)
    run = folder.read_run()
    assert (run["status"], run["policy"], run["timing"]["num_groups"]) == ("finished", str(model), 6)
    assert run["rescoring"]["max_gap_nats"] < 1e-4
    rows = folder.rollouts().to_pylist()
    assert sorted((row["prompt_id"], row["index"]) for row in rows) == sorted((p.id, n) for p in folder.read_prompts() for n in range(4))
    for row in rows:
        check_row(row)
    assert any(not SPECIAL & set("".join(row["pieces"]).split()) for row in rows)
    written = json.loads((out / "diagnosis.json").read_text())
    assert (written["num_prompts"], written["num_rollouts"]) == (6, 24)
    assert written["verdict"]["value"] != "go", "a random model cannot add"
    assert written["verdict"]["value"].upper() in shown
    page = (out / "report.html").read_text()
    assert all(row["prompt_id"] in page for row in rows)


def check_row(row: dict[str, Any]) -> None:
    """Log-probabilities are some, pieces join to the text, and the reward was computed."""
    num_tokens = len(row["token_ids"])
    assert 1 <= num_tokens <= 8
    assert len(row["logprobs"]) == len(row["logprobs_t1"]) == len(row["pieces"]) == num_tokens
    assert all(math.isfinite(logp) and logp <= 0 for logp in row["logprobs"])
    assert row["logprobs"] == row["logprobs_t1"], "the temperature is 1"
    assert row["stop"] == ("eos" if row["token_ids"][-1] == 1 else "length")
    joined = "".join(row["pieces"])
    spoken = [word for word in joined.split() if word not in SPECIAL]
    assert spoken == row["text"].split()
    assert joined == row["text"] or SPECIAL & set(joined.split())
    assert row["reward"] in (0.0, 1.0)


def test_the_same_command_draws_the_same_bits(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for name in ("one", "two"):
        assert main([*short_run(model, tmp_path / name), "--json"]) == 0
        printed = capsys.readouterr()
        assert {"schema_version": 1, **json.loads(printed.out)} == json.loads((tmp_path / name / "diagnosis.json").read_text())
        assert printed.err == ""
        tables.append(RunFolder(tmp_path / name).rollouts())
    assert tables[0].equals(tables[1])
    other_seed = ["sample", *short_run(model, tmp_path / "three")[1:], "--seed", "1", "--quiet"]
    assert main(other_seed) == 0
    assert not RunFolder(tmp_path / "three").rollouts().equals(tables[0])


def test_a_killed_run_is_readable_and_the_same_command_completes_it(
    model: Path, whole: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code, _ = cut_off(long_run(model, out), out, lambda pid: os.kill(pid, signal.SIGKILL))
    assert code == -signal.SIGKILL
    assert_readable_part(out, "running", capsys)
    assert main(long_run(model, out)) == 0
    assert RunFolder(out).read_run()["status"] == "finished"
    assert_same_rollouts(in_order(RunFolder(out).rollouts()), whole)


def test_ctrl_c_leaves_a_readable_run_and_the_same_command_completes_it(
    model: Path, whole: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal sends the signal to every process of the command at once."""
    out = tmp_path / "run"
    code, error = cut_off(long_run(model, out), out, lambda pid: os.killpg(pid, signal.SIGINT))
    assert code == EXIT_INTERRUPTED
    assert error == "jominy: interrupted; what was finished is kept, run the same command again (train: with --resume) to go on\n"
    assert_readable_part(out, "interrupted", capsys)
    assert main(long_run(model, out)) == 0
    assert RunFolder(out).read_run()["status"] == "finished"
    assert_same_rollouts(in_order(RunFolder(out).rollouts()), whole)


@pytest.mark.parametrize("writes", [4, 5])
def test_a_full_disk_leaves_a_readable_run_and_says_so(
    model: Path, whole: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], writes: int
) -> None:
    """It fills while rollouts are written, or while run.json is: run.json, prompts, then rollouts and run.json in turn."""
    out, flush = tmp_path / "run", os.fsync
    left = writes

    def fill(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        flush(handle)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(sampling, "FLUSH_EVERY_S", 0.0)
        patch.setattr(os, "fsync", fill)
        assert main(long_run(model, out)) == EXIT_USER_ERROR
    error = capsys.readouterr().err
    assert error.startswith("jominy: [Errno 28] No space left on device")
    assert "run the same command again" in error
    assert "Traceback" not in error
    assert not list(out.rglob("*.tmp"))
    # 4 writes: run.json, prompts, one group, run.json; 5: one group more
    assert assert_readable_part(out, "running", capsys) == 2 * (writes - 3)
    assert main(long_run(model, out)) == 0
    assert_same_rollouts(in_order(RunFolder(out).rollouts()), whole)


@pytest.mark.parametrize(
    ("model", "absent", "message"),
    [
        (
            "smollm2",
            "torch",
            r"model 'smollm2' needs torch, which is not installed: pip install 'jominy\[local\]' \(on a machine without a GPU",
        ),
        ("smollm2", "gguf", r"needs gguf, which is not installed: pip install 'jominy\[local\]'$"),
        ("owner/model", "torch transformers", r"needs torch, transformers, which are not installed"),
        ("owner/model", "gguf accelerate", None),
        ("smollm2", "", None),
    ],
)
def test_absent_packages_get_the_command(monkeypatch: pytest.MonkeyPatch, model: str, absent: str, message: str | None) -> None:
    for name in ("torch", "transformers", "safetensors", "accelerate", "gguf"):
        monkeypatch.setitem(sys.modules, name, None if name in absent.split() else sys)
    if message is None:
        require_local_extra(model)
        assert missing_extra(model) == ""
        return
    with pytest.raises(ValueError, match=message):
        require_local_extra(model)


def test_without_torch_the_command_to_install_it_is_said(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class WithoutTorch(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        return None if name == 'torch' else super().find_spec(name, path, target)\n"
        "sys.meta_path = [WithoutTorch if finder is PathFinder else finder for finder in sys.meta_path]\n"
        "from jominy.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "diagnose", "--task", "arithmetic", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == EXIT_USER_ERROR
    assert "model 'smollm2' needs torch, which is not installed: pip install 'jominy[local]'" in done.stderr
    assert "install the CPU build of torch first" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
