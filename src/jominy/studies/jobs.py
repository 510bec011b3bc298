"""The two kinds of work in a study: measure the base model of a cell, and train it by an arm.

    base    rollouts of the untrained model, diagnosed: pass@k, and what `diagnose` advises
    run     `train` with the arm's recipe and reward; right answers of each held-out prompt before and after

A run whose reward never told two responses apart is stopped by `train`; its weights are the starting ones, so its after is its before.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from jominy.alignment import strength
from jominy.diagnosis import diagnose_path
from jominy.engines import Explosion
from jominy.evidence import gather
from jominy.lab import build
from jominy.sampling import sample
from jominy.specs import DataSpec, DiagnosisSpec, EvaluateSpec, RunSpec, SampleSpec, UpdateSpec
from jominy.steplog import first_live_step, read_steps
from jominy.store import RunFolder
from jominy.studies.design import Arm, Cell, Design
from jominy.studies.holding import HeldTrainer
from jominy.tables import groups_of
from jominy.thresholds import thresholds_with
from jominy.trainfolder import TrainFolder
from jominy.training import train

BASE_SEED = 7_000_003
"""Of the prompts on which base models are measured: no run draws with it."""


class Bench:
    """What a process keeps between jobs: the last model."""

    def __init__(self, design: Design, out: Path) -> None:
        """Nothing is loaded yet."""
        self.design, self.out = design, out
        self.held: dict[str, HeldTrainer] = {}

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job as `running` sends it, with what came of it."""
        cell = self.design.cell(job["cell"])
        if job["kind"] == "base":
            return {**job, "base": self.measure_base(cell)}
        return {**job, **self.run(cell, self.design.arm(job["arm"]), job["seed"])}

    def measure_base(self, cell: Cell) -> dict[str, Any]:
        """Right and scored responses of each prompt, and the advice."""
        settings = self.design.settings[cell.group]
        folder = self.base_folder(cell)
        spec = SampleSpec(
            task=cell.task,
            model=start_of(cell),
            prompts=settings.base_prompts,
            rollouts=settings.base_rollouts,
            max_tokens=settings.max_tokens,
            seed=BASE_SEED,
        )
        sample(spec, folder, quiet=True)
        diagnosis = diagnose_path(folder, DiagnosisSpec(group_size=settings.rollouts))
        groups = groups_of(RunFolder(folder).rollouts())
        return {
            "device": RunFolder(folder).read_run()["device"],
            "num_rollouts": settings.base_rollouts,
            "correct": groups.num_correct_P().tolist(),
            "scored": groups.num_scored_P().tolist(),
            "advice": {advice.recipe: advice.fit for advice in diagnosis.advice},
            "strength": strength(gather(groups, DiagnosisSpec(group_size=settings.rollouts), None), thresholds_with({})),
        }

    def run(self, cell: Cell, arm: Arm, seed: int) -> dict[str, Any]:
        """One training run."""
        started = time.monotonic()
        spec = self.spec_of(cell, arm, seed)
        out = self.out / "runs" / f"{_slug(cell.name)}-{arm.name}-{seed}"
        status, why = "finished", ""
        try:
            train(spec, out, overwrite=out.exists(), quiet=True, load_trainer=self._trainer)
        except Explosion as error:
            status, why = "exploded", str(error)
        except ValueError as error:
            if TrainFolder(out).run.read_run()["status"] != "stopped":
                raise
            status, why = "no gradient", str(error)
        found = _counts(TrainFolder(out), spec, status)
        shutil.rmtree(out)
        return {"status": status, "why": why, **found, "seconds": round(time.monotonic() - started, 2)}

    def spec_of(self, cell: Cell, arm: Arm, seed: int) -> RunSpec:
        """The run as `jominy train` would take it."""
        settings = self.design.settings[cell.group]
        rule = None if arm.rank is None else f"max_variance:{self.base_folder(cell)},rank={arm.rank}"
        return RunSpec(
            task=cell.task,
            model=start_of(cell),
            recipe=arm.recipe,
            steps=settings.steps,
            prompts=settings.prompts,
            rollouts=settings.rollouts,
            max_tokens=settings.max_tokens,
            seed=seed,
            data=DataSpec(reward=arm.reward, select=rule),
            update=UpdateSpec(learning_rate=settings.learning_rate, minibatches=settings.minibatches),
            evaluate=EvaluateSpec(
                eval_every=settings.steps,
                eval_prompts=settings.eval_prompts,
                eval_rollouts=settings.eval_rollouts,
                save_every=settings.steps,
                kl_rollouts=0,
            ),
        )

    def base_folder(self, cell: Cell) -> Path:
        """The rollouts of the base model."""
        return self.out / "base" / _slug(cell.name)

    def _trainer(self, spec: RunSpec, start: str, checkpoint: Path | None) -> HeldTrainer:
        """The held model, at its start."""
        assert checkpoint is None, "a run of a study is made in one piece"
        if start not in self.held:
            self.held = {start: HeldTrainer(start, spec.temperature, spec.update)}
        self.held[start].reset(spec.update)
        return self.held[start]


def start_of(cell: Cell) -> str:
    """What is loaded: a name, or the folder of a lab model, which is made when it is not there."""
    return cell.model if cell.lab is None else str(build(cell.lab, quiet=True))


def _counts(folder: TrainFolder, spec: RunSpec, status: str) -> dict[str, Any]:
    """What results.json keeps of a run."""
    steps = read_steps(folder.path)
    before = _right(folder.evaluation(0))
    finished = status == "finished"
    after = _right(folder.evaluation(spec.steps)) if finished else before if status == "no gradient" else None
    rollouts = folder.run.rollouts(["prompt_id"]) if steps else None
    return {
        "num_rollouts": spec.evaluate.eval_rollouts,
        "before": before,
        "after": after,
        "reward": [_short(line["reward"]) for line in steps],
        "pass_rate": [_short(line["pass_rate"]) for line in steps],
        "num_live_prompts": [line["num_live_prompts"] for line in steps],
        "unique_prompts": 0 if rollouts is None else len(set(rollouts["prompt_id"].to_pylist())),
        "unique_live_prompts": _unique_live(folder),
        "first_live_step": first_live_step(steps),
    }


def _right(folder: RunFolder) -> list[int]:
    """Right answers of each held-out prompt, in the order of `prompts.parquet`."""
    groups = groups_of(folder.rollouts())
    by_id = dict(zip(groups.prompt_ids or (), groups.num_correct_P().tolist(), strict=True))
    return [by_id[prompt.id] for prompt in folder.read_prompts()]


def _unique_live(folder: TrainFolder) -> int:
    """Distinct prompts with a group whose rewards were not all equal."""
    table = folder.run.rollouts(["prompt_id", "seed", "index", "reward"])
    rewards: dict[tuple[str, int, int], set[float | None]] = {}
    size = folder.run.read_run()["spec"]["rollouts"]
    for row in table.to_pylist():
        rewards.setdefault((row["prompt_id"], row["seed"], row["index"] // size), set()).add(row["reward"])
    return len({key[0] for key, values in rewards.items() if len(values - {None}) > 1})


def _short(value: float | None) -> float | None:
    """Four digits are enough for a curve."""
    return None if value is None else round(value, 4)


def _slug(name: str) -> str:
    """A name as a folder's."""
    return name.replace(", ", "-").replace(" ", "_")
