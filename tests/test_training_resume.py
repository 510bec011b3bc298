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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from jominy import grading
from jominy.diagnosis import diagnose_path
from jominy.engines import TrainingEngine
from jominy.explaining import explain_path
from jominy.records import Prompt, Reward, RewardFunction
from jominy.reporting import report
from jominy.specs import DiagnosisSpec, RunSpec
from jominy.steplog import read_steps
from jominy.store import RunFolder
from jominy.trainfolder import TrainFolder
from jominy.training import LoadTrainer, Run, load_local_trainer, train
from tests.training_world import assert_same_run, spec_of, write_world

DEADLINE_S = 300.0
"""Nothing here takes so long, however busy the machine is."""
HELD_RUN = Path(__file__).parent / "held_run.py"


class GraderHere:
    """The boundary without its processes, of which these runs would start two hundred; `held` runs have the real one."""

    def __init__(self, reward: RewardFunction, *, timeout_s: float) -> None:
        self.reward, self.first_traceback = reward, ""

    def __enter__(self) -> GraderHere:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def grade(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        return [self.reward(prompt, text) for prompt, text in pairs]


@pytest.fixture(scope="module", autouse=True)
def light() -> Iterator[None]:
    """One thread, for nothing here is large enough for two, which wait for each other beside a busy process; rewards in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grading, "Grader", GraderHere)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def short(world: Path) -> RunSpec:
    """Three steps with an evaluation and a checkpoint behind the second and the third."""
    return spec_of(world, steps=3, prompts=2, eval_every=2, eval_prompts=2, eval_rollouts=2, save_every=2)


@pytest.fixture(scope="module")
def whole(world: Path, short: RunSpec) -> Path:
    """The run that nothing cuts off."""
    out = train(short, world / "whole", quiet=True).path
    assert all(line["num_rows"] for line in read_steps(out)), "every step moves the weights, or equal weights would say nothing"
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The same run as `short` in a process of its own, which waits before a step."""

    process: subprocess.Popen[bytes]
    """The leader of its group."""
    folder: Path
    """With `out`, the run, and what it says on standard error."""

    @property
    def out(self) -> Path:
        """The run."""
        return self.folder / "out"

    @property
    def error(self) -> str:
        """What it said so far."""
        return (self.folder / "error").read_text()

    def wait(self) -> None:
        """Returns when it stands before its step."""
        last = time.monotonic() + DEADLINE_S
        while not (self.folder / "here").exists():
            assert self.process.poll() is None, f"it ended before it could be cut off: {self.error}"
            assert time.monotonic() < last, f"it did not reach its step: {self.error}"
            time.sleep(0.01)

    def go(self) -> None:
        """Lets it go on."""
        (self.folder / "go").touch()


def start_held(world: Path, folder: Path, step: int) -> Held:
    """Starts it."""
    words = ["train", "--model", str(world / "model"), "--task", f"{world / 'tasks.py'}:task", "--out", str(folder / "out"), "--quiet"]
    words += "--steps 3 --prompts 2 --rollouts 8 --max-tokens 4 --learning-rate 0.01 --pool 8".split()
    words += "--eval-every 2 --eval-prompts 2 --eval-rollouts 2 --save-every 2".split()
    with open(folder / "error", "wb") as error:
        process = subprocess.Popen(
            [sys.executable, str(HELD_RUN), str(folder), str(step), *words],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=error,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    return Held(process=process, folder=folder)


@pytest.fixture(scope="module", autouse=True)
def held(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Held]]:
    """Runs that wait before step 1 and before step 3; they import torch while the other tests run."""
    started = {step: start_held(world, tmp_path_factory.mktemp("held"), step) for step in (1, 3)}
    yield started
    for each in started.values():
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait(DEADLINE_S)


def read_by_every_verb(out: Path, evaluated: Sequence[int] = ()) -> None:
    """Each verb works, or says in one line why it cannot yet; these evaluations are whole."""
    verbs: list[Callable[[], object]] = [lambda: report(out), lambda: diagnose_path(out, DiagnosisSpec()), lambda: explain_path(out)]
    for why in filter(None, map(refusal_of, verbs)):
        assert str(out) in why
        assert " holds " in why
        assert "\n" not in why
    for step in evaluated:
        assert diagnose_path(TrainFolder(out).evaluation(step).path, DiagnosisSpec()).num_rollouts == 4


def refusal_of(verb: Callable[[], object]) -> str:
    """What a verb says when it cannot; empty when it can."""
    try:
        verb()
    except ValueError as error:
        return str(error)
    return ""


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


def test_a_finished_run_goes_further(short, whole, tmp_path):
    out = tmp_path / "further"
    train(replace(short, steps=2), out, quiet=True)
    with pytest.raises(ValueError, match=r"has 2 steps already; --steps 1 would be fewer"):
        train(replace(short, steps=1), out, resume=True, quiet=True)
    train(short, out, resume=True, quiet=True)
    assert_same_run(out, whole, 3)


@pytest.mark.parametrize("fields", [{"lora_rank": 4}, {"recipe": "grpo:kl=k3,beta=0.5", "minibatches": 2}, {"recipe": "dapo"}])
def test_every_way_of_training_goes_on_to_the_same_bits(world, tmp_path, fields):
    spec = spec_of(world, **fields)
    train(spec, tmp_path / "whole", quiet=True)
    assert all(line["num_rows"] for line in read_steps(tmp_path / "whole"))
    train(replace(spec, steps=1), tmp_path / "parts", quiet=True)
    train(spec, tmp_path / "parts", resume=True, quiet=True)
    assert_same_run(tmp_path / "parts", tmp_path / "whole", 2)


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


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_at_any_stage_is_readable_and_goes_on(stage, short, whole, tmp_path, monkeypatch):
    out, (name, num_lines) = tmp_path / "out", STAGES[stage]
    killed_at(short, out, name, monkeypatch)
    if RunFolder(out).exists():
        assert json.loads((out / "run.json").read_text())["status"] == "running"
        read_by_every_verb(out)
    assert len(read_steps(out)) == num_lines
    train(short, out, resume=True, quiet=True)
    assert_same_run(out, whole, 3)
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["best", "best.json", "step-00003"]
    mine, theirs = ((folder / "checkpoints" / "best" / "model.safetensors").read_bytes() for folder in (out, whole))
    assert mine == theirs


def test_a_killed_run_goes_on_to_the_same_bits(short, whole, held):
    """By the system, at any moment of the last step, its evaluation or its checkpoint: the stages above choose the moment."""
    run, wait = held[3], random.random() * 0.3
    run.wait()
    run.go()
    time.sleep(wait)
    run.process.kill()
    assert run.process.wait(DEADLINE_S) == -signal.SIGKILL, f"struck after {wait} s: {run.error}"
    assert json.loads((run.out / "run.json").read_text())["status"] == "running"
    assert max(TrainFolder(run.out).checkpoints()) in (2, 3)
    read_by_every_verb(run.out, evaluated=(0, 2))
    train(short, run.out, resume=True, quiet=True)
    assert_same_run(run.out, whole, 3)


def test_ctrl_c_finishes_the_step_and_saves_it(short, whole, held):
    """A terminal sends the signal to every process of the group at once."""
    run = held[1]
    run.wait()
    os.killpg(run.process.pid, signal.SIGINT)
    run.go()
    assert run.process.wait(DEADLINE_S) == 130
    assert run.error == "jominy: interrupted; what was finished is kept, run the same command again (train: with --resume) to go on\n"
    assert json.loads((run.out / "run.json").read_text())["status"] == "interrupted"
    assert len(read_steps(run.out)) == 1
    assert TrainFolder(run.out).checkpoints() == [1]
    read_by_every_verb(run.out, evaluated=(0,))
    train(short, run.out, resume=True, quiet=True)
    assert_same_run(run.out, whole, 3)
