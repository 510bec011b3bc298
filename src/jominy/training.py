"""train(): the loop. Draw prompts, sample, grade, keep, credit, step, write; evaluate and save now and then.

    for each step:  batch = draw(prompts)   ->   A = credit(batch)   ->   rows = keep, divide   ->   theta += AdamW(sum scale * w * logp)

The science is the recipe's (`recipes`), the arithmetic the engine's (`engines`), the folder is `trainfolder`. What a step does is a
function of the spec, the step and the weights alone, so a run that was killed goes on from its last checkpoint and makes the same bits on
a CPU.
Left out on purpose: several machines, value networks, curricula; engines that others own do these.
LIMIT: how many rows are drawn at a time, and whether weights are packed, depends on free memory; a machine that is short of it when the
run goes on draws other last bits.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from jominy.batches import Batch, Drawer
from jominy.engines import Explosion, TrainingEngine
from jominy.evaluating import evaluate
from jominy.interrupting import finish_step_first
from jominy.paying import audit_line, pay_line
from jominy.preparing import Plan, begin, prepare, where_it_stands
from jominy.progress import stage
from jominy.recipes.recipe import Recipe
from jominy.rewards.metering import Spent
from jominy.sampling import resolve_model
from jominy.schedule import learning_rate_at
from jominy.selecting import kept_selection
from jominy.specs import RunSpec
from jominy.stepline import drawn
from jominy.steplog import append_line, first_live_step, read_evaluations, read_steps
from jominy.tracking import Tracker, flat_numbers, open_tracker, require_tracker
from jominy.trainfolder import TrainFolder, check_spared
from jominy.updating import kl_to_start, update
from jominy.watching import Panel, training_panel

NORMS_FOR_EXPLOSION = 5
"""Norms of earlier steps before one may count as exploding."""

LoadTrainer = Callable[[RunSpec, str, Path | None], TrainingEngine]
"""(spec, starting model, checkpoint or None) -> engine."""


def load_local_trainer(spec: RunSpec, start: str, checkpoint: Path | None) -> TrainingEngine:
    """The engine of this machine."""
    from jominy.engines.extras import require_local_extra

    require_local_extra(start)
    from jominy.engines.trainer import LocalTrainer

    return LocalTrainer(start, checkpoint=checkpoint, temperature=spec.temperature, settings=spec.update)


def train(
    spec: RunSpec,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    track: str | None = None,
    load_trainer: LoadTrainer = load_local_trainer,
) -> TrainFolder:
    """Train `spec.model` on `spec.task` with `spec.recipe` into the run folder `out`; its `model/` is the result.

    Args:
        spec: what to run.
        out: the run folder.
        resume: go on from the last checkpoint of the same run, or begin when there is none.
        overwrite: replace what is in the folder.
        quiet: no panel.
        track: tensorboard, wandb or trackio, beside steps.jsonl.
        load_trainer: makes the engine.

    Raises:
        ValueError: a mistake in the spec; a folder that holds another run; a reward that tells nothing apart.
        Explosion: a gradient that is not finite or far too large; its batch is saved under `stopped/`.
        KeyboardInterrupt: passed on, after the step is finished and saved.
    """
    if resume and overwrite:
        raise ValueError("--resume goes on with what is there and --overwrite removes it; give one of them")
    folder = TrainFolder(out)
    plan = prepare(spec, kept_selection(folder, spec.data.select) if resume else None)
    require_tracker(track)
    with ExitStack() as stack:
        first = where_it_stands(folder, plan, stack, resume=resume, overwrite=overwrite)
        start = resolve_model(spec.model, spec.task)
        if first == 0:
            check_spared(folder, [start, *plan.sources])
        with stage(f"loading {spec.model}", quiet=quiet):
            engine = load_trainer(spec, start, folder.checkpoint(first) if first else None)
        check_room(engine, plan)
        begin(folder, plan, first, overwrite=overwrite)
        run = stack.enter_context(Run(plan, folder, engine, first, quiet=quiet, track=track))
        asked_to_stop = stack.enter_context(finish_step_first(run.panel.note))
        if first == 0:
            run.evaluate(0)
        run.keep(first)
        for step in range(first + 1, spec.steps + 1):
            run.step(step)
            last = step == spec.steps
            if spec.evaluate.eval_every and (last or step % spec.evaluate.eval_every == 0):
                run.evaluate(step)
            stop = asked_to_stop()
            if last or stop or step % spec.evaluate.save_every == 0:
                run.save(step)
            run.keep(step)
            if stop and not last:
                raise KeyboardInterrupt
        run.finish()
    return folder


def check_room(engine: TrainingEngine, plan: Plan) -> None:
    """Raises ValueError when a prompt with its response, or with the gold answer that is learned, does not fit into the model's context."""
    engine.check(plan.held_out, plan.spec.max_tokens)
    if plan.recipe.source != "demonstrations":
        engine.check(plan.pool, plan.spec.max_tokens)
        return
    for prompt in plan.pool:
        assert prompt.gold_answer is not None
        num_tokens = len(engine.encode_completion(prompt.gold_answer))
        try:
            engine.check([prompt], num_tokens)
        except ValueError as error:
            raise ValueError(f"{plan.recipe.name} learns gold answers whole, and one has {num_tokens} tokens: {error}") from error


class Run:
    """A run in progress: where it writes, and what the steps so far have left behind."""

    def __init__(self, plan: Plan, folder: TrainFolder, engine: TrainingEngine, first: int, *, quiet: bool, track: str | None) -> None:
        """`first` is the step of the checkpoint that the run goes on from; what the steps up to it left is read from the folder."""
        self.plan, self.spec, self.folder, self.engine, self.first = plan, plan.spec, folder, engine, first
        self.quiet, self.track, self.stack = quiet, track, ExitStack()
        self.prompts = {prompt.id: prompt for prompt in plan.pool}
        self.lines = read_steps(folder.path)
        self.panel: Panel
        self.tracker: Tracker

    def __enter__(self) -> Run:
        """Opens panel and tracker, starts the rewards."""
        spec, out = self.spec, self.folder.path
        self.say_status("running", policy=self.engine.policy, device=self.engine.sampler(0).device)
        with ExitStack() as stack:
            self.tracker = open_tracker(self.track, project="jominy", run_name=out.name, spec=asdict(spec), folder=out)
            stack.callback(self.tracker.close)
            title = f"{spec.model} on {spec.task}, {spec.recipe}"
            self.panel = stack.enter_context(training_panel(title, spec.steps, self.first + 1, quiet=self.quiet))
            self.drawer = stack.enter_context(Drawer(self.plan, self.engine, self.panel))
            if self.plan.selection is not None:
                self.panel.note(self.plan.selection.text())
            for line in self.lines:
                self.panel.step(line)
            for line in read_evaluations(out):
                self.panel.evaluated(line)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes them."""
        if isinstance(error, KeyboardInterrupt):
            self.say_status("interrupted")
        elif error is not None and self.folder.run.read_run()["status"] == "running":
            self.say_status("failed", why=f"{type(error).__name__}: {error}")
        self.stack.close()

    def step(self, step: int) -> None:
        """Draws, learns and writes one step."""
        started = time.monotonic()
        spec = self.spec
        batch = self.drawer.draw(step, sum(line["num_places"] for line in self.lines))
        self.panel.stage("updating")
        updating = time.monotonic()
        rate = learning_rate_at(step, spec.update.learning_rate, spec.update.warmup)
        encoded = {key: self.engine.sampler(0).encode(self.prompts[key]) for key in {group[0].prompt_id for group in batch.trained}}
        try:
            seen = update(self.engine, self.plan, batch, rate, self._norm_limit(), encoded)
        except Explosion as error:
            raise Explosion(self._stopped(step, batch, str(error))) from error
        update_s = time.monotonic() - updating
        seen["kl_nats"] = None
        if spec.evaluate.kl_rollouts and self.plan.recipe.source != "demonstrations":
            seen["kl_nats"] = 0.0 if step == 1 else kl_to_start(self.engine, batch, self.prompts, spec.evaluate.kl_rollouts)
        line = {"step": step, "policy": batch.drawn[0][0].policy, **drawn(batch.drawn, spec.data.success), **seen}
        line |= {"learning_rate": rate, "num_batches": batch.num_batches, "num_places": batch.num_places}
        line |= {
            "num_live_prompts": batch.num_live_prompts,
            "left_out": batch.left_out,
            "sampling_s": batch.sampling_s,
            "grading_s": batch.grading_s,
        }
        if self._proxy_pays():
            line["pay"] = pay_line(batch.drawn, self.prompts, spec.data.success)
        if (spent := self.drawer.graders.spent()) is not None:
            line["judge"] = Spent.of_json(spent).line()
        line |= {"update_s": update_s, "sampling_tokens_per_s": speed(line["num_tokens"], batch.sampling_s)}
        line |= {"update_tokens_per_s": speed(seen["update_tokens"], update_s), "memory_gib": peak_memory_gib()}
        self._write(step, batch, {**line, "step_s": time.monotonic() - started})

    def _write(self, step: int, batch: Batch, line: dict[str, Any]) -> None:
        """Rollouts first, then the line that says they are whole."""
        self.folder.run.append_rollouts([rollout for group in batch.drawn for rollout in group], self.prompts, number=step)
        self._audit(step, batch)
        append_line(self.folder.steps_file, line)
        self.lines.append(line)
        if line["live_share"] and first_live_step(self.lines) == step:
            self.say_status("running", first_live_step=step)
        self.panel.step(line)
        self.tracker.log(step, flat_numbers(line))
        if len(self.lines) == min(self.spec.update.patience, self.spec.steps) and not any(map(self._teaches, self.lines)):
            why = nothing_to_learn(self.plan.recipe, batch, self.lines)
            self.say_status("stopped", why=why)
            raise ValueError(why)

    def _proxy_pays(self) -> bool:
        """Whether what pays is another thing than the truth."""
        return self.plan.gold is not None and self.plan.recipe.source != "demonstrations"

    def _audit(self, step: int, batch: Batch) -> None:
        """Counts the reward's verdicts at the first step, which the start drew, and every so often."""
        every = self.spec.evaluate.audit_every
        if every and (step == 1 or step % every == 0) and self._proxy_pays():
            counted = audit_line(step, batch.drawn, self.prompts, self.spec.data.success)
            if counted is not None:
                append_line(self.folder.audits_file, counted)

    def _teaches(self, line: dict[str, Any]) -> bool:
        """Whether a reward moved the weights: a KL term moves them too, also where no token may be credited."""
        return credited_rows(line) > 0 and (line["live_share"] or not self.plan.recipe.constant_is_zero)

    def evaluate(self, step: int) -> None:
        """Measures the held-out prompts, when there are any and a killed run has not done so."""
        if not self.plan.held_out or step in {line["step"] for line in read_evaluations(self.folder.path)}:
            return
        folder = self.folder.evaluation(step)
        prompts, rewards, retrying = self.plan.held_out, self.plan.eval_rewards, self.plan.eval_retrying
        line = evaluate(self.engine, self.spec, prompts, rewards, folder, step, self.panel, retrying)
        append_line(self.folder.evaluations_file, line)
        self.panel.evaluated(line)
        self.tracker.log(step, flat_numbers(line))

    def save(self, step: int) -> None:
        """Writes a checkpoint."""
        self.panel.stage("saving")
        self.engine.save_checkpoint(self.folder.checkpoint(step), {"step": step})

    def keep(self, step: int) -> None:
        """Keeps the model of this step when its evaluation is the best so far, and drops older checkpoints."""
        known = [line for line in read_evaluations(self.folder.path) if line["pass_at_1"]["value"] is not None and line["step"] > 0]
        if known and max(known, key=lambda line: line["pass_at_1"]["value"])["step"] == step:
            if self.folder.checkpoint(step).is_dir():
                self.engine.link(self.folder.checkpoint(step), self.folder.best)
            else:
                self.engine.save_model(self.folder.best)
            self.folder.note_best(step)
        self.folder.drop_checkpoints(self.spec.evaluate.keep)

    def finish(self) -> None:
        """The result: the model of the last checkpoint under its own name."""
        self.engine.link(self.folder.checkpoint(self.spec.steps), self.folder.model)
        live = {"first_live_step": first_live_step(self.lines)} if self.plan.recipe.source == "rollouts" else {}
        self.say_status("finished", **live)

    def say_status(self, status: str, **more: Any) -> None:
        """Writes it into run.json."""
        self.folder.run.write_run({**self.folder.run.read_run(), "status": status, **more})

    def _norm_limit(self) -> float:
        """What the gradient's norm may be at most, from the steps so far."""
        norms = [line["grad_norm"] for line in self.lines if self._teaches(line)]
        if len(norms) < NORMS_FOR_EXPLOSION:
            return float("inf")
        return max(self.spec.update.max_grad_norm, self.spec.update.explosion * float(np.median(norms)))

    def _stopped(self, step: int, batch: Batch, why: str) -> str:
        """Saves the batch that could not be learned from; returns what to tell."""
        folder = self.folder.stopped(step)
        folder.clear()
        flat = [rollout for group in batch.trained for rollout in group]
        folder.write_prompts([self.prompts[key] for key in dict.fromkeys(rollout.prompt_id for rollout in flat)])
        folder.append_rollouts(flat, self.prompts)
        folder.write_run({"verb": "stopped step", "status": "stopped", "spec": {"rollouts": self.spec.rollouts}, "why": why, "step": step})
        self.say_status("stopped", why=why)
        last = max(self.folder.checkpoints(), default=None)
        model = self.spec.model if last is None else str(self.folder.checkpoint(last))
        return (
            f"step {step}: {why}. Its batch is in {folder.path}, and nothing of the step was saved. Go on with --model {model} and another "
            "--out, a lower --learning-rate, more --warmup or a smaller --max-grad-norm"
        )


def credited_rows(line: dict[str, Any]) -> int:
    """Rows of a step whose reward moved the weights; a line from before they were counted says how many were stepped on."""
    count: int = line.get("num_credited", line["num_rows"])
    return count


def nothing_to_learn(recipe: Recipe, batch: Batch, lines: Sequence[dict[str, Any]]) -> str:
    """Why a run is given up after its first steps, the last of which drew `batch`."""
    known = [line["reward"] for line in lines if line["reward"] is not None]
    if not known:
        notes = [rollout.reward.note for group in batch.drawn for rollout in group if rollout.reward is not None]
        return f"no response of the first {len(lines)} steps could be graded; the last ones: {notes[0]}"
    spans = "+".join(recipe.credit_spans or recipe.spans)
    drawn_anything = batch.groups.num_rollouts > 0
    paid = drawn_anything and bool((recipe.keep(batch.groups) & (recipe.credit(batch.groups) != 0)).any())
    if not any(map(credited_rows, lines)) and spans and (paid or not drawn_anything):
        return (
            f"no response of the first {len(lines)} steps had anything in the spans that recipe {recipe.name} trains ({spans}); train the "
            "model on the form first (recipe sft), raise --max-tokens, or name spans that there are"
        )
    return (
        f"no response of the first {len(lines)} steps carried a gradient from its reward: the last mean reward was {known[-1]:.4g}, and "
        "equal rewards teach nothing. `jominy diagnose` on the same task says why: too hard, too easy, or a reward that is constant"
    )


def speed(num_tokens: int, seconds: float) -> float | None:
    """Tokens a second; None where nothing went through."""
    return num_tokens / seconds if num_tokens and seconds > 0 else None


def peak_memory_gib() -> float:
    """The most memory this process has had, GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
