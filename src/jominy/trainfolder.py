"""The folder of a training run: where things are, whether the run in it is the one that is asked for, and how a run goes on.

    run.json steps.jsonl evaluations.jsonl prompts.parquet        what was run, and how it went
    audits.jsonl                                                  the verdicts of a reward that is not the truth, counted now and then
    rollouts/part-00012-*.parquet                                 the rollouts of step 12
    evaluations/step-00010/                                       run folders of the held-out prompts
    checkpoints/step-00010/ checkpoints/best/ model/              Hugging Face folders
    stopped/step-00012/                                           the batch of the step that exploded
    swap/ gradients/                                              what `explain` let two policies write together, and its gradients

A run goes on from its last whole checkpoint: what was written after it is taken back, so that the steps come again bit for bit.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jominy.specs import RunSpec
from jominy.steplog import AUDITS_FILE, EVALUATIONS_FILE, EXPLANATION_FILE, STEPS_FILE, read_evaluations, truncate_after
from jominy.store import SCHEMA_VERSION, RunFolder, read_json, write_json

FOLDERS = ("evaluations", "checkpoints", "stopped", "model", "swap", "gradients")
"""What a run makes beside `rollouts`."""

BEST_NOTE = "best.json"

FREE_TO_CHANGE = {"steps", "keep", "save_every", "microbatch", "recompute", "patience", "audit_every"}
"""Fields that may differ when a run goes on: they say how long and how, or what is counted besides, not what is trained."""


@dataclass(frozen=True, slots=True)
class TrainFolder:
    """A training run on disk.

    Example: TrainFolder(Path("runs/demo")).last_checkpoint()
    """

    path: Path
    """The folder; it need not exist yet."""

    @property
    def run(self) -> RunFolder:
        """Prompts, rollouts and run.json, as every verb reads them."""
        return RunFolder(self.path)

    @property
    def steps_file(self) -> Path:
        """`steps.jsonl`."""
        return self.path / STEPS_FILE

    @property
    def evaluations_file(self) -> Path:
        """`evaluations.jsonl`."""
        return self.path / EVALUATIONS_FILE

    @property
    def audits_file(self) -> Path:
        """`audits.jsonl`; not there where the truth pays."""
        return self.path / AUDITS_FILE

    @property
    def model(self) -> Path:
        """The result."""
        return self.path / "model"

    @property
    def best(self) -> Path:
        """The model of the best evaluation."""
        return self.path / "checkpoints" / "best"

    def checkpoint(self, step: int) -> Path:
        """Of one step."""
        return self.path / "checkpoints" / f"step-{step:05d}"

    def evaluation(self, step: int) -> RunFolder:
        """The rollouts of an evaluation."""
        return RunFolder(self.path / "evaluations" / f"step-{step:05d}")

    def stopped(self, step: int) -> RunFolder:
        """The batch of a step that could not be made."""
        return RunFolder(self.path / "stopped" / f"step-{step:05d}")

    def has_before_and_after(self) -> bool:
        """Whether `explain` has two evaluations to compare."""
        return len(read_evaluations(self.path)) > 1

    def checkpoints(self) -> list[int]:
        """Steps of the whole checkpoints, ascending."""
        return sorted(int(found.name[5:]) for found in (self.path / "checkpoints").glob("step-*") if (found / "state.json").is_file())

    def take_back(self, step: int) -> None:
        """Removes what was written after `step`, so that the run can go on from there."""
        truncate_after(self.steps_file, step)
        truncate_after(self.evaluations_file, step)
        truncate_after(self.audits_file, step)
        (self.path / EXPLANATION_FILE).unlink(missing_ok=True)
        for part in self.run.parts():
            if int(part.name.split("-")[1]) > step:
                part.unlink()
        for kind in ("evaluations", "stopped"):
            for folder in (self.path / kind).glob("step-*"):
                if int(folder.name[5:]) > step:
                    shutil.rmtree(folder)
        note = self.path / "checkpoints" / BEST_NOTE
        if note.is_file() and read_json(note)["step"] > step:
            note.unlink()
            shutil.rmtree(self.best, ignore_errors=True)
        for pattern in (".gone-*", ".step-*"):
            for folder in (self.path / "checkpoints").glob(pattern):
                shutil.rmtree(folder)

    def note_best(self, step: int) -> None:
        """Writes down of which step `checkpoints/best` is."""
        write_json(self.path / "checkpoints" / BEST_NOTE, {"schema_version": SCHEMA_VERSION, "step": step})

    def drop_checkpoints(self, keep: int) -> None:
        """Removes all but the latest `keep`: out of sight first, so that a kill leaves none that is half there (`take_back` ends it)."""
        for step in self.checkpoints()[:-keep]:
            gone = self.path / "checkpoints" / f".gone-{step:05d}"
            self.checkpoint(step).rename(gone)
            shutil.rmtree(gone)

    def clear(self) -> None:
        """Removes what a run wrote here, `run.json` first, and nothing else."""
        self.run.clear()
        for file in (self.steps_file, self.evaluations_file, self.audits_file, self.path / EXPLANATION_FILE):
            file.unlink(missing_ok=True)
        for name in ("tracking_id",):
            (self.path / name).unlink(missing_ok=True)
        for name in (*FOLDERS, "tensorboard"):
            shutil.rmtree(self.path / name, ignore_errors=True)


def check_spared(folder: TrainFolder, sources: Iterable[str]) -> None:
    """Nothing that the run is made from lies in what `clear` removes.

    Raises:
        ValueError: the starting model, or a file of the task, reward or recipe, does.
    """
    removed = [(folder.path / name).resolve() for name in FOLDERS]
    for source in sources:
        path = Path(source)
        if path.exists() and any(path.resolve().is_relative_to(one) for one in removed):
            raise ValueError(
                f"{source} lies in {folder.path}, where the new run would replace it; choose another --out, or move it away first"
            )


def check_vacant(folder: TrainFolder) -> None:
    """Nothing that `clear` would remove lies in a folder in which no run began.

    Raises:
        ValueError: something does; it may be anybody's.
    """
    found = [name for name in (*FOLDERS, "rollouts", STEPS_FILE, EVALUATIONS_FILE, AUDITS_FILE) if (folder.path / name).exists()]
    if found:
        raise ValueError(f"{folder.path} holds {', '.join(found)} but no run.json; choose another --out, or let --overwrite remove them")


def flat_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """A RunSpec's fields with its parts' fields among them."""
    parts = {name: value for name, value in spec.items() if isinstance(value, dict)}
    return {
        **{name: value for name, value in spec.items() if name not in parts},
        **{k: v for part in parts.values() for k, v in part.items()},
    }


def check_same_run(folder: TrainFolder, spec: RunSpec, sources: dict[str, str]) -> None:
    """The run in the folder is this one, up to what may change.

    Raises:
        ValueError: it is another run; the differences are named.
    """
    run = folder.run.read_run()
    if run.get("verb") != "train":
        raise ValueError(f"{folder.path} holds rollouts that were sampled, not a training run; choose another --out")
    there, wanted = {**flat_spec(run["spec"]), "sources": run.get("sources", {})}, {**flat_spec(asdict(spec)), "sources": sources}
    different = [name for name in wanted if name not in FREE_TO_CHANGE and there.get(name) != wanted[name]]
    if different:
        changes = ", ".join(f"{name} was {there.get(name)!r}, now {wanted[name]!r}" for name in different)
        raise ValueError(f"{folder.path} holds another run ({changes}). Choose another --out, or replace it with --overwrite")
