"""The numbers of a training run in a tracker of the user's choice: TensorBoard, Weights & Biases or Trackio.

    one line of steps.jsonl       ->  {"train/reward": 0.21, "train/live_share": 0.63, ...} at the line's step
    one line of evaluations.jsonl ->  {"eval/pass_at_1": 0.55, "eval/pass_at_1_low": 0.44, ...} at the line's step

A tracker gets what the files hold, through its own library and with its own settings (WANDB_MODE, TRACKIO_SPACE_ID ...).
A resumed run goes on in the tracker's same run, which the file `tracking_id` in the run folder identifies: a moved folder keeps it,
a new run in a path used before gets a new one.
Left out on purpose: texts, histograms and models, which the run folder has; and retries, which the libraries do.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

ID_FILE = "tracking_id"


class Tracker(Protocol):
    """Where the numbers go."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """`numbers` as they were at optimiser step `step`; 0 is before training. Steps may come twice after a resume."""

    def close(self) -> None:
        """Send what is left."""


def open_tracker(name: str | None, *, project: str, run_name: str, spec: Mapping[str, Any], folder: Path) -> Tracker:
    """The tracker `name`: None (keeps nothing), tensorboard, wandb or trackio.

    Args:
        name: one of `TRACKERS`, or None.
        project: the tracker's project, e.g. `jominy`.
        run_name: how a person calls the run; need not be unique.
        spec: the run's spec, JSON-serialisable; the tracker shows it beside the numbers.
        folder: the run folder, which exists; TensorBoard and wandb write below it.

    Raises:
        ValueError: no such tracker, its package is missing, or wandb refuses to start.
    """
    if name is None:
        return NoTracker()
    if name not in TRACKERS:
        raise ValueError(f"no tracker {name!r}; --track takes {', '.join(TRACKERS)}")
    return TRACKERS[name](project, run_name, spec, folder)


def require_tracker(name: str | None) -> None:
    """Raises ValueError when the tracker's package is missing, before anything is written."""
    if name is not None:
        _library({"tensorboard": "torch.utils.tensorboard"}.get(name, name), name)


def flat_numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """A line of steps.jsonl or evaluations.jsonl as the numbers a tracker takes; texts, None and the step itself are left out.

    >>> flat_numbers({"step": 3, "policy": "lab+step 2", "reward": 0.25, "gold": None, "num_rows": 64})
    {'train/reward': 0.25, 'train/num_rows': 64.0}
    >>> flat_numbers({"step": 0, "folder": "evaluations/step-00000", "pass_at_1": {"value": 0.5, "low": 0.4, "high": 0.6}, "kl_nats": None})
    {'eval/pass_at_1': 0.5, 'eval/pass_at_1_low': 0.4, 'eval/pass_at_1_high': 0.6}
    >>> flat_numbers({"step": 3, "pay": {"gap": {"value": 0.1, "low": None, "high": 0.2}}})
    {'train/pay_gap': 0.1, 'train/pay_gap_high': 0.2}
    """
    prefix = "eval" if "pass_at_1" in line else "train"
    numbers: dict[str, float] = {}
    for name, value in line.items():
        if name != "step":
            numbers |= _numbers_in(f"{prefix}/{name}", value)
    return numbers


def _numbers_in(name: str, value: Any) -> dict[str, float]:
    """Every number of a value under its path; `value` of an estimate has the estimate's own name."""
    if isinstance(value, Mapping):
        parts = (_numbers_in(name if part == "value" else f"{name}_{part}", inner) for part, inner in value.items())
        return {path: number for found in parts for path, number in found.items()}
    return {name: float(value)} if isinstance(value, int | float) else {}


class NoTracker:
    """Keeps nothing."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


class TensorBoardTracker:
    """Event files in `tensorboard/` of the run folder: `tensorboard --logdir DIR`."""

    def __init__(self, project: str, run_name: str, spec: Mapping[str, Any], folder: Path) -> None:
        self.make_writer = _library("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self.folder, self.spec = folder / "tensorboard", spec
        self.writer: Any = None

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Opens the file at the first call: a resumed run takes back the steps that the killed one logged beyond its checkpoint."""
        if self.writer is None:
            self.writer = self.make_writer(log_dir=str(self.folder), purge_step=step)
            self.writer.add_text("spec", "```\n" + json.dumps(self.spec, indent=2, default=str) + "\n```", global_step=step)
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, global_step=step)
        self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class WandbTracker:
    """A run on Weights & Biases, or in `wandb/` of the run folder with WANDB_MODE=offline."""

    def __init__(self, project: str, run_name: str, spec: Mapping[str, Any], folder: Path) -> None:
        wandb = _library("wandb", "wandb")
        try:
            self.run = wandb.init(
                project=project,
                name=run_name,
                config=dict(spec),
                dir=str(folder),
                id=tracking_id(folder),
                resume="allow",
                allow_val_change=True,  # a resumed run may have more steps
                settings={"console": "off"},  # a live panel, repainted four times a second, is no log
            )
        except wandb.Error as error:
            raise ValueError(f"wandb does not start: {error}; run `wandb login`, or set WANDB_MODE=offline") from error
        # wandb drops what is logged at a step behind its own counter, as the first steps after a resume may be; an axis of our own is free.
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.run.log({"step": step, **numbers})

    def close(self) -> None:
        self.run.finish()


class TrackioTracker:
    """A run in Trackio's local database: `trackio show --project NAME`; a resumed run is found by its name, so the name ends in the id."""

    def __init__(self, project: str, run_name: str, spec: Mapping[str, Any], folder: Path) -> None:
        trackio = _library("trackio", "trackio")
        with redirect_stdout(sys.stderr):  # it prints a greeting, and our standard output may be JSON
            self.run = trackio.init(project=project, name=f"{run_name}-{tracking_id(folder)}", config=dict(spec), resume="allow")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.run.log(dict(numbers), step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self.run.finish()


TRACKERS: dict[str, Callable[[str, str, Mapping[str, Any], Path], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "trackio": TrackioTracker,
}
"""Name to (project, run name, spec, folder) -> Tracker."""


def tracking_id(folder: Path) -> str:
    """What the run in `folder` is called in every tracker: made at the first call, read from the folder ever after."""
    path = folder / ID_FILE
    known = path.read_text().strip() if path.exists() else ""
    if not known:
        known = uuid.uuid4().hex[:8]
        path.write_text(known + "\n")
    return known


def _library(module: str, package: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(f"--track {package} needs the package {package} ({error}); pip install {package}") from error
