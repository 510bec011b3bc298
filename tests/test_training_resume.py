"""A run that is cut off - killed, interrupted, out of disk - leaves a folder that every verb reads, and goes on to the same bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from jominy.diagnosis import diagnose_path
from jominy.engines import TrainingEngine
from jominy.explaining import explain_path
from jominy.reporting import report
from jominy.specs import DiagnosisSpec, RunSpec
from jominy.steplog import read_steps
from jominy.store import RunFolder
from jominy.trainfolder import TrainFolder
from jominy.training import LoadTrainer, Run, load_local_trainer, train
from tests.training_world import assert_same_run, spec_of, write_world

STEPS = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(2)
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def whole(world: Path) -> Path:
    """Ten steps that nothing cuts off."""
    return train(ten_steps(world), world / "whole", quiet=True).path


def ten_steps(world: Path) -> RunSpec:
    """Evaluations and checkpoints every five steps."""
    return spec_of(world, steps=STEPS, eval_every=5, save_every=5)


def command(world: Path, out: Path, *more: str) -> list[str]:
    """The same run as words."""
    words = ["train", "--model", str(world / "model"), "--task", f"{world / 'tasks.py'}:task", "--out", str(out), "--quiet"]
    words += f"--steps {STEPS} --prompts 4 --rollouts 8 --max-tokens 4 --learning-rate 0.01 --pool 8".split()
    return [*words, *"--eval-every 5 --eval-prompts 8 --eval-rollouts 8 --save-every 5".split(), *more]


SLOWLY = "import sys, time; from jominy import cli, training; step = training.Run.step; "
SLOWLY += "training.Run.step = lambda run, number: (time.sleep(0.15), step(run, number))[1]; sys.exit(cli.main(sys.argv[1:]))"
"""The command line with steps that take a sixth of a second, so that a signal falls into one."""


def cut_off(words: list[str], out: Path, lines: int, strike: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    """Runs the command, strikes once steps.jsonl has so many lines; (exit code, standard error)."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *words],
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    while len(read_steps(out)) < lines:
        assert process.poll() is None, f"it ended before it could be cut off: {process.communicate()[1]}"
        time.sleep(0.005)
    strike(process)
    _, error = process.communicate(timeout=30)
    return process.returncode, error


def read_by_every_verb(out: Path, num_evaluations: int | None = None) -> None:
    """Each verb works, or says in one line why it cannot yet."""
    verbs: list[Callable[[], object]] = [lambda: report(out), lambda: diagnose_path(out, DiagnosisSpec()), lambda: explain_path(out)]
    for why in filter(None, map(refusal_of, verbs)):
        assert str(out) in why
        assert " holds " in why
        assert "\n" not in why
    if num_evaluations is not None:
        found = sorted(path.name for path in (out / "evaluations").glob("step-*"))
        assert len(found) == num_evaluations
        for name in found:
            assert diagnose_path(out / "evaluations" / name, DiagnosisSpec()).num_rollouts == 64


def refusal_of(verb: Callable[[], object]) -> str:
    """What a verb says when it cannot; empty when it can."""
    try:
        verb()
    except ValueError as error:
        return str(error)
    return ""


def test_a_killed_run_goes_on_to_the_same_bits(world, whole, tmp_path):
    out = tmp_path / "killed"
    wait = random.random() * 0.3

    def kill(process: subprocess.Popen[str]) -> None:
        time.sleep(wait)
        process.kill()

    code, _ = cut_off(command(world, out), out, 6, kill)
    assert code == -signal.SIGKILL
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    assert TrainFolder(out).checkpoints() == [5]
    read_by_every_verb(out, num_evaluations=2)
    train(ten_steps(world), out, resume=True, quiet=True)
    assert_same_run(out, whole, STEPS)


def test_ctrl_c_finishes_the_step_and_saves_it(world, whole, tmp_path):
    """A terminal sends the signal to every process at once, those of the rewards too."""
    out = tmp_path / "interrupted"
    code, error = cut_off(command(world, out), out, 2, lambda process: os.killpg(process.pid, signal.SIGINT))
    assert code == 130
    assert error == "jominy: interrupted; what was finished is kept, run the same command again (train: with --resume) to go on\n"
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    stopped = len(read_steps(out))
    assert TrainFolder(out).checkpoints() == [stopped]
    assert 3 <= stopped < 5
    read_by_every_verb(out, num_evaluations=1)
    train(ten_steps(world), out, resume=True, quiet=True)
    assert_same_run(out, whole, STEPS)


def interrupting(times: int) -> LoadTrainer:
    """An engine in whose second step somebody presses Ctrl-C so many times."""

    def load(spec: RunSpec, start: str, checkpoint: Path | None) -> TrainingEngine:
        engine: Any = load_local_trainer(spec, start, checkpoint)
        step, calls = engine.step, []

        def press(*arguments: Any) -> Any:
            calls.append(arguments)
            for _ in range(times if len(calls) == 2 else 0):
                signal.raise_signal(signal.SIGINT)
            return step(*arguments)

        engine.step = press
        return cast(TrainingEngine, engine)

    return load


@pytest.mark.parametrize(("times", "steps_made"), [(1, 2), (2, 1)])
def test_a_second_ctrl_c_stops_at_once(world, tmp_path, times, steps_made):
    spec = spec_of(world, steps=4)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(spec, tmp_path / "out", quiet=True, load_trainer=interrupting(times))
    assert signal.getsignal(signal.SIGINT) is before
    assert len(read_steps(tmp_path / "out")) == steps_made
    assert TrainFolder(tmp_path / "out").checkpoints() == ([2] if times == 1 else [])
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "interrupted"


def test_a_finished_run_goes_further(world, whole, tmp_path):
    out = tmp_path / "further"
    train(replace(ten_steps(world), steps=5), out, quiet=True)
    with pytest.raises(ValueError, match=r"has 5 steps already; --steps 4 would be fewer"):
        train(replace(ten_steps(world), steps=4), out, resume=True, quiet=True)
    train(ten_steps(world), out, resume=True, quiet=True)
    assert_same_run(out, whole, STEPS)


@pytest.mark.parametrize("fields", [{"lora_rank": 4}, {"recipe": "grpo:kl=k3,beta=0.5", "minibatches": 2}, {"recipe": "dapo"}])
def test_every_way_of_training_goes_on_to_the_same_bits(world, tmp_path, fields):
    spec = spec_of(world, steps=4, prompts=6, **fields)
    train(spec, tmp_path / "whole", quiet=True)
    train(replace(spec, steps=2), tmp_path / "parts", quiet=True)
    train(spec, tmp_path / "parts", resume=True, quiet=True)
    assert_same_run(tmp_path / "parts", tmp_path / "whole", 4)


class Killed(BaseException):
    """Nothing handles it."""


RMTREE = shutil.rmtree
STAGES = {
    "before anything": (".prompts.parquet", 0),
    "in the first evaluation": ("evaluations/step-00000/rollouts", 0),
    "between rollouts and their line": ("rollouts/.part-00001", 0),
    "between a line and its evaluation": ("evaluations/step-00002/.prompts", 2),
    "between an evaluation and its line": ("start_logprobs", 2),
    "in a checkpoint": ("step-00002.aside/model", 2),
    "between a checkpoint and the best": (".best.aside/model", 2),
    "in the last checkpoint": ("step-00003.aside/trainer", 3),
    "in the result": (".model.aside/model", 3),
}
"""When -> what is on its way to the disk, and the lines of steps.jsonl that are there."""


def killed_at(spec: RunSpec, out: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs until a file with this in its path is about to reach the disk, and no further."""
    killed = False
    fsync, say_status = os.fsync, Run.say_status

    def flush(handle: int) -> None:
        nonlocal killed
        killed = killed or name in os.path.relpath(os.readlink(f"/proc/self/fd/{handle}"), out)
        if killed:
            raise Killed
        fsync(handle)

    def unless_killed(run: Run, status: str, **more: object) -> None:
        if not killed:
            say_status(run, status, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", flush)
        patch.setattr(Run, "say_status", unless_killed)
        # a kill leaves what was written aside where it is
        patch.setattr(shutil, "rmtree", lambda path, **how: None if killed else RMTREE(path, **how))
        with pytest.raises(Killed):
            train(spec, out, quiet=True)


@pytest.fixture(scope="module")
def short(world: Path) -> RunSpec:
    """Three steps with an evaluation and a checkpoint behind the second and the third."""
    return spec_of(world, steps=3, prompts=2, eval_every=2, eval_prompts=2, eval_rollouts=2, save_every=2)


@pytest.fixture(scope="module")
def short_whole(world: Path, short: RunSpec) -> Path:
    return train(short, world / "short", quiet=True).path


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_at_any_stage_is_readable_and_goes_on(stage, short, short_whole, tmp_path, monkeypatch):
    out, (name, num_lines) = tmp_path / "out", STAGES[stage]
    killed_at(short, out, name, monkeypatch)
    if RunFolder(out).exists():
        assert json.loads((out / "run.json").read_text())["status"] == "running"
        read_by_every_verb(out)
    assert len(read_steps(out)) == num_lines
    train(short, out, resume=True, quiet=True)
    assert_same_run(out, short_whole, 3)
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["best", "best.json", "step-00003"]
    mine, theirs = ((folder / "checkpoints" / "best" / "model.safetensors").read_bytes() for folder in (out, short_whole))
    assert mine == theirs
