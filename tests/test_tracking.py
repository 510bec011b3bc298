"""The numbers reach the tracker at the right steps, under the right names, and a missing package says what to install.

tensorboard, wandb and trackio are no dependencies, so these tests talk to small stand-ins that record the calls: they hold our side of
the contract (which call, with what, in which order) and cannot notice when a library changes its own.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType

import pytest

from jominy.tracking import TRACKERS, flat_numbers, open_tracker, tracking_id

SPEC = {"model": "lab", "recipe": "grpo", "sampling": {"temperature": 1.0}}


class FakeWriter:
    """Stands in for torch.utils.tensorboard.SummaryWriter."""

    made: list[FakeWriter]

    def __init__(self, log_dir, purge_step):
        self.log_dir, self.purge_step, self.scalars, self.texts, self.calls = log_dir, purge_step, [], [], []
        FakeWriter.made.append(self)

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars.append((tag, scalar_value, global_step))

    def add_text(self, tag, text_string, global_step):
        self.texts.append((tag, text_string, global_step))

    def flush(self):
        self.calls.append("flush")

    def close(self):
        self.calls.append("close")


class FakeRun:
    """Stands in for the run that wandb.init and trackio.init return."""

    def __init__(self):
        self.calls = []

    def define_metric(self, name, step_metric=None):
        self.calls.append(("define_metric", name, step_metric))

    def log(self, numbers, step=None):
        self.calls.append(("log", numbers, step))

    def finish(self):
        print("run finished")
        self.calls.append(("finish",))


class FakeError(Exception):
    """Stands in for wandb.Error."""


@pytest.fixture
def writers(monkeypatch):
    """The writers that were made."""
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    FakeWriter.made = []
    return FakeWriter.made


@pytest.fixture
def inits(monkeypatch):
    """(arguments, run) of every call of wandb.init or trackio.init."""
    calls = []

    def init(**arguments):
        print("hello from the library")
        calls.append((arguments, FakeRun()))
        return calls[-1][1]

    for name in ("wandb", "trackio"):
        module = ModuleType(name)
        module.init = init  # type: ignore[attr-defined]
        module.Error = FakeError  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def opened(name, folder):
    return open_tracker(name, project="jominy", run_name="first-try", spec=SPEC, folder=folder)


def test_a_step_line_is_numbers_under_train():
    line = {"step": 12, "policy": "lab+step 11", "num_rows": 64, "reward": 0.25, "gold": None, "kl_nats": 0.5, "clip_share": None}
    assert flat_numbers(line) == {"train/num_rows": 64.0, "train/reward": 0.25, "train/kl_nats": 0.5}
    assert all(type(number) is float for number in flat_numbers(line).values())


def test_an_evaluation_line_is_numbers_under_eval_with_its_interval():
    line = {"step": 10, "folder": "evaluations/step-00010", "pass_at_1": {"value": 0.5, "low": 0.4, "high": 0.6}, "mean_length": 30.5}
    line |= {"kl_nats": {"value": 0.03, "low": None, "high": None}}
    assert flat_numbers(line) == {
        "eval/pass_at_1": 0.5,
        "eval/pass_at_1_low": 0.4,
        "eval/pass_at_1_high": 0.6,
        "eval/mean_length": 30.5,
        "eval/kl_nats": 0.03,
    }


def test_an_evaluation_of_which_nothing_is_known_is_no_number():
    assert flat_numbers({"step": 0, "pass_at_1": {"value": None, "low": None, "high": None}, "kl_nats": None}) == {}


def test_no_tracker_leaves_no_trace(tmp_path, capsys):
    tracker = opened(None, tmp_path)
    tracker.log(1, {"train/reward": 0.5})
    tracker.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_an_unknown_tracker_names_those_that_exist(tmp_path):
    with pytest.raises(ValueError, match=r"no tracker 'mlflow'.*tensorboard, wandb, trackio"):
        opened("mlflow", tmp_path)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_says_what_to_install(name, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, name, None)  # what Python itself takes for "cannot be imported", also where it is installed
    with pytest.raises(ValueError, match=rf"--track {name} needs the package {name} .*pip install {name}$"):
        opened(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_every_number_at_its_step(tmp_path, writers):
    tracker = opened("tensorboard", tmp_path)
    tracker.log(0, {"eval/pass_at_1": 0.125})
    tracker.log(1, {"train/reward": 0.25, "train/kl_nats": 0.5})
    tracker.close()
    (writer,) = writers
    assert writer.log_dir == str(tmp_path / "tensorboard")
    assert writer.scalars == [("eval/pass_at_1", 0.125, 0), ("train/reward", 0.25, 1), ("train/kl_nats", 0.5, 1)]
    assert writer.calls == ["flush", "flush", "close"], "a killed run leaves what it logged"
    ((name, text, _),) = writer.texts
    assert name == "spec"
    assert json.loads(text.strip("`\n")) == SPEC


def test_tensorboard_forgets_what_a_killed_run_logged_beyond_its_checkpoint(tmp_path, writers):
    for first in (1, 21):
        tracker = opened("tensorboard", tmp_path)
        tracker.log(first, {"train/reward": 0.5})
        tracker.log(first + 1, {"train/reward": 0.5})
        tracker.close()
    assert [writer.purge_step for writer in writers] == [1, 21]


def test_tensorboard_that_was_never_logged_to_closes(tmp_path, writers):
    opened("tensorboard", tmp_path).close()
    assert writers == []


def test_wandb_gets_the_step_as_its_axis(tmp_path, inits):
    tracker = opened("wandb", tmp_path)
    tracker.log(7, {"train/reward": 0.25})
    tracker.close()
    ((arguments, run),) = inits
    settings = arguments.pop("settings")
    assert arguments == {
        **{"project": "jominy", "name": "first-try", "config": SPEC, "dir": str(tmp_path)},
        **{"id": tracking_id(tmp_path), "resume": "allow", "allow_val_change": True},
    }
    assert settings == {"console": "off"}
    assert run.calls == [
        ("define_metric", "step", None),
        ("define_metric", "*", "step"),
        ("log", {"step": 7, "train/reward": 0.25}, None),
        ("finish",),
    ]


def test_wandb_that_refuses_says_what_to_do(tmp_path, inits, monkeypatch):
    def refuse(**arguments):
        raise FakeError("api_key not configured")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(ValueError, match=r"api_key not configured; run `wandb login`, or set WANDB_MODE=offline"):
        opened("wandb", tmp_path)


def test_trackio_gets_the_step_and_leaves_standard_output_alone(tmp_path, inits, capsys):
    tracker = opened("trackio", tmp_path)
    tracker.log(7, {"train/reward": 0.25})
    tracker.close()
    ((arguments, run),) = inits
    assert arguments == {"project": "jominy", "name": f"first-try-{tracking_id(tmp_path)}", "config": SPEC, "resume": "allow"}
    assert run.calls == [("log", {"train/reward": 0.25}, 7), ("finish",)]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "hello from the library" in printed.err


@pytest.mark.parametrize(("name", "key"), [("wandb", "id"), ("trackio", "name")])
def test_a_resumed_run_goes_on_in_the_same_run_and_another_folder_does_not(name, key, tmp_path, inits):
    first, other = tmp_path / "one" / "run", tmp_path / "two" / "run"
    first.mkdir(parents=True)
    other.mkdir(parents=True)
    opened(name, first)
    opened(name, first)
    opened(name, other)
    moved = first.rename(tmp_path / "moved")
    opened(name, moved)
    once, again, elsewhere, after_move = (arguments[key] for arguments, _ in inits)
    assert once == again == after_move
    assert once != elsewhere


def test_an_id_that_was_cut_off_is_made_again(tmp_path):
    (tmp_path / "tracking_id").write_text("")
    made = tracking_id(tmp_path)
    assert len(made) == 8
    assert tracking_id(tmp_path) == made
