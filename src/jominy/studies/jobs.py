"""The two kinds of work in a study: measure the base model of a cell, and train it by an arm.

    base    rollouts of the untrained model, diagnosed: pass@k, and what `diagnose` advises          (`measuring`)
    run     `train` with the arm's recipe and reward; right answers of each held-out prompt before and after

    status  finished
            no gradient   no step of the whole run carried one; the weights are the starting ones, so its after is its before
            exploded      `train` stopped it; it has no after
            no example    no base prompt is one that the arm could train on; nothing was run

`kl_nats` holds, of each evaluation behind the start, the KL to the starting policy a token, measured on its responses. `tokens` counts
what went through the optimiser, and `unique_responses` the different responses among it (`holding`). What a study measures beyond that (its
`more_of_base` and `more_of_run`) stands under `more`, which is not there where a study measures nothing more.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from jominy.engines import Explosion
from jominy.selecting import NothingToSelect
from jominy.specs import DataSpec, EvaluateSpec, RunSpec, UpdateSpec
from jominy.steplog import first_live_step, read_evaluations, read_steps
from jominy.store import RunFolder
from jominy.studies.design import Arm, Cell, Design
from jominy.studies.folders import base_folder
from jominy.studies.holding import HeldTrainer
from jominy.studies.kept import is_kept, keep, keep_more, kept_folder, read_more, why_no_model
from jominy.studies.measuring import keep_start, measure_base, read_start, start_of
from jominy.studies.reading import FINISHED, NO_EXAMPLE
from jominy.studies.results import made_as, measured_as
from jominy.studies.study import BaseRefused, Ended, Left, load_study
from jominy.studies.surroundings import surroundings
from jominy.tables import groups_of
from jominy.trainfolder import TrainFolder
from jominy.training import train


class Bench:
    """What a process keeps between jobs: the last model."""

    def __init__(self, design: Design, out: Path, scratch: Path) -> None:
        """Nothing is loaded yet; `out` is the study's folder, `scratch` this process's own."""
        self.design, self.out, self.scratch = design, out, scratch
        self.study = load_study(design.study)
        self.held: dict[str, HeldTrainer] = {}
        self.surroundings = surroundings()

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job as `running` sends it, with what came of it."""
        cell = self.design.cell(job["cell"])
        if job["kind"] == "base":
            return {**job, "base": self.base(cell)}
        return {**job, **self.run(cell, self.design.arm(job["arm"]), job["seed"]), "environment": self.surroundings}

    def base(self, cell: Cell) -> dict[str, Any]:
        """What the untrained model of a cell can do.

        Raises:
            BaseRefused: the study does; what was measured stays where the next check finds it.
        """
        check = self.study.check_base
        if check is None:
            return self._measured(cell)
        folder, machine = base_folder(self.out, cell), {name: value for name, value in self.surroundings.items() if name != "commit"}
        asked = {**measured_as(self.design, cell), "machine": machine}
        found = read_start(folder, asked)
        if found is None:
            found = self._measured(cell)
            keep_start(folder, asked, found)
        try:
            check(cell, self.design.settings[cell.group], found["more"])
        except ValueError as error:
            raise BaseRefused(str(error)) from error
        return found

    def _measured(self, cell: Cell) -> dict[str, Any]:
        """With what the study measures beyond every other."""
        settings, folder = self.design.settings[cell.group], base_folder(self.out, cell)
        found = measure_base(cell, settings, self.scratch, folder)
        if self.study.more_of_base is None:
            return found
        return {**found, "more": self.study.more_of_base(folder, cell, settings)}

    def run(self, cell: Cell, arm: Arm, seed: int) -> dict[str, Any]:
        """One training run."""
        started, processor_s = time.monotonic(), _processor_s()
        spec = self.spec_of(cell, arm, seed)
        out = self.scratch / f"{cell.folder}-{arm.name}-{seed}"
        status, why = "finished", ""
        try:
            train(spec, out, overwrite=out.exists(), quiet=True, load_trainer=self._trainer)
        except Explosion:
            # not the error's own words: they name a folder that goes with the scratch, and how a person would go on
            folder = TrainFolder(out)
            status, why = "exploded", f"step {len(read_steps(folder.path)) + 1}: {folder.run.read_run()['why']}"
        except NothingToSelect as error:
            status, why = NO_EXAMPLE, str(error)
        except ValueError as error:
            if not out.exists() or TrainFolder(out).run.read_run()["status"] != "stopped":
                raise
            status, why = "no gradient", str(error)
        held = None if status == NO_EXAMPLE else next(iter(self.held.values()))
        found = {**_counts(TrainFolder(out), spec, status), "unique_live_prompts": 0 if held is None else held.num_trained_prompts}
        found["tokens"] = None if held is None else {name: held.tokens[name] for name in ("passed", "responses", "trained")}
        found["unique_responses"] = 0 if held is None else held.num_trained_responses
        kept = kept_folder(self.out, cell, arm.name, seed) if is_kept(self.design, arm.name) else None
        if kept is not None:
            keep(kept, made_as(self.design, cell, arm), status, why, None if held is None else held.keep_model)
        if self.study.more_of_run is not None:
            found["more"] = None
            if held is not None and status in FINISHED:
                found["more"] = self.study.more_of_run(self._ended(cell, arm, spec, out, held))
                if kept is not None:
                    keep_more(kept, found["more"])
        if out.exists():
            shutil.rmtree(out)
        seconds = {"seconds": round(time.monotonic() - started, 2), "cpu_seconds": round(_processor_s() - processor_s, 2)}
        return {"status": status, "why": why, **found, **seconds}

    def spec_of(self, cell: Cell, arm: Arm, seed: int) -> RunSpec:
        """The run as `jominy train` would take it."""
        settings = self.design.settings[cell.group]
        rule = f"{arm.select}:{base_folder(self.out, cell)}" if arm.select in ("max_variance", "hardest") else arm.select
        file = arm.prompts_file and base_folder(self.out, cell) / arm.prompts_file
        return RunSpec(
            task=str(file or cell.task),
            model=start_of(cell),
            recipe=arm.recipe,
            steps=settings.steps,
            prompts=arm.prompts or settings.prompts,
            rollouts=settings.rollouts,
            max_tokens=settings.max_tokens,
            seed=seed,
            data=DataSpec(reward=arm.reward_of(seed), select=rule, pool=arm.pool or settings.pool or DataSpec().pool),
            update=UpdateSpec(
                learning_rate=settings.learning_rate if arm.learning_rate is None else arm.learning_rate,
                minibatches=settings.minibatches,
                patience=settings.steps,
            ),
            evaluate=EvaluateSpec(
                eval_every=settings.eval_every or settings.steps,
                eval_prompts=settings.eval_prompts,
                eval_rollouts=settings.eval_rollouts,
                eval_task=cell.task if file else None,
                save_every=settings.steps,
                kl_rollouts=0,
            ),
        )

    def _ended(self, cell: Cell, arm: Arm, spec: RunSpec, out: Path, held: HeldTrainer) -> Ended:
        """The run as `more_of_run` takes it."""
        return Ended(
            folder=TrainFolder(out),
            spec=spec,
            cell=cell,
            arm=arm,
            settings=self.design.settings[cell.group],
            out=self.out,
            trained=held.trainer.sampler(spec.steps),
            start=held.start_engine,
            left={name: self._left(cell, name, spec.seed) for name in arm.against},
        )

    def _left(self, cell: Cell, arm: str, seed: int) -> Left:
        """What another arm left for this one."""
        folder = kept_folder(self.out, cell, arm, seed)
        why = why_no_model(folder, made_as(self.design, cell, self.design.arm(arm)))
        return Left(folder=folder, why_none=why, more=None if why else read_more(folder))

    def _trainer(self, spec: RunSpec, start: str, checkpoint: Path | None) -> HeldTrainer:
        """The held model, at its start."""
        assert checkpoint is None, "a run of a study is made in one piece"
        if start not in self.held:
            self.held = {start: HeldTrainer(start, spec.temperature, spec.update)}
        self.held[start].reset(spec.update)
        return self.held[start]


def _counts(folder: TrainFolder, spec: RunSpec, status: str) -> dict[str, Any]:
    """What results.json keeps of a run."""
    steps = read_steps(folder.path)
    before = [] if status == NO_EXAMPLE else _right(folder.evaluation(0))
    finished = status == "finished"
    after = _right(folder.evaluation(spec.steps)) if finished else before if status == "no gradient" else None
    rollouts = folder.run.rollouts(["prompt_id"]) if steps else None
    return {
        "num_rollouts": spec.evaluate.eval_rollouts,
        "before": before,
        "after": after,
        "reward": [_short(line["reward"]) for line in steps],
        "pass_rate": [_short(line["pass_rate"]) for line in steps],
        "kl_nats": [_measured(line["kl_nats"]) for line in read_evaluations(folder.path) if line["step"] > 0],
        "num_live_prompts": [line["num_live_prompts"] for line in steps],
        "unique_prompts": 0 if rollouts is None else len(set(rollouts["prompt_id"].to_pylist())),
        "first_live_step": first_live_step(steps),
    }


def _right(folder: RunFolder) -> list[int]:
    """Right answers of each held-out prompt, in the order of `prompts.parquet`."""
    groups = groups_of(folder.rollouts())
    by_id = dict(zip(groups.prompt_ids or (), groups.num_correct_P().tolist(), strict=True))
    return [by_id[prompt.id] for prompt in folder.read_prompts()]


def _short(value: float | None) -> float | None:
    """Four digits are enough for a curve."""
    return None if value is None else round(value, 4)


def _measured(estimate: dict[str, Any] | None) -> float | None:
    """The value of an estimate, to three digits: a KL may be small."""
    return None if estimate is None or estimate["value"] is None else float(f"{estimate['value']:.3g}")


def _processor_s() -> float:
    """Seconds on processors so far, of this process and of those that it started and that have ended: rewards are graded in such."""
    return sum(os.times()[:4])
