"""The training section: what a training folder holds so far, as plots with their numbers. Works for a run killed at any moment.

    run.json + steps.jsonl + evaluations.jsonl + audits.jsonl  ->  TrainingLog  ->  facts, plots

Every value may be missing: a line that is no JSON is left out and counted, a field that is absent, null or not finite is not drawn.
Left out on purpose: estimates (`explaining`), smoothing, and what a reward paid beside the truth (`overseen`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jominy.formatting import date, flat, hours, number
from jominy.reporting.columns import MAX_POINTS, Columns, absent, finite, plot_of, stride
from jominy.reporting.figures import BLUE, GREY, ORANGE, Figure
from jominy.reporting.series import Floor, Line, draw_stack
from jominy.rewards.metering import spent_over
from jominy.steplog import AUDITS_FILE, EVALUATIONS_FILE, STEPS_FILE, read_audits, read_evaluations, read_lines, read_steps

Record = Mapping[str, Any]

FACTS = {
    "model": "model",
    "task": "task",
    "recipe": "recipe",
    "reward": "reward",
    "prompts": "prompts a step",
    "rollouts": "rollouts a prompt",
    "max_tokens": "max tokens",
    "temperature": "temperature",
    "learning_rate": "learning rate",
    "seed": "seed",
}
"""Settings at the top of the page, wherever in the spec they stand; all of them stand under "How it was run"."""
STATUS_WORDS = {"running": "running, or stopped without a word", "interrupted": "interrupted", "stopped": "stopped by itself"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLog:
    """What a training folder holds so far.

    Example: read_training(Path("runs/train"), run).steps[-1]["reward"]
    """

    run: Record
    """`run.json`."""
    steps: tuple[Record, ...]
    """Lines of steps.jsonl, ascending."""
    evaluations: tuple[Record, ...]
    """Lines of evaluations.jsonl, ascending."""
    num_broken: int
    """Lines of these files that could not be read."""
    audits: tuple[Record, ...] = ()
    """Lines of audits.jsonl, ascending; empty where the truth pays."""


def is_training(run: Record | None) -> bool:
    """Whether `run.json` is of a training run."""
    return run is not None and run.get("verb") == "train"


def read_training(folder: Path, run: Record) -> TrainingLog:
    """Everything but the rollouts."""
    broken = sum(read_lines(folder / name)[1] for name in (STEPS_FILE, EVALUATIONS_FILE, AUDITS_FILE))
    return TrainingLog(
        run=run,
        steps=tuple(read_steps(folder)),
        evaluations=tuple(read_evaluations(folder)),
        num_broken=broken,
        audits=tuple(read_audits(folder)),
    )


def training_facts(log: TrainingLog) -> list[tuple[str, str]]:
    """(label, value) in reading order."""
    spec = {name.rsplit(".", 1)[-1]: text for name, text in reversed(flat(log.run.get("spec") or {}))}
    done = log.steps[-1]["step"] if log.steps else 0
    seconds = sum(finite(step.get("step_s")) or 0.0 for step in log.steps)
    tokens = sum(int(finite(step.get("num_tokens")) or 0) for step in log.steps)
    facts = {
        **{label: spec.get(name, "") for name, label in FACTS.items()},
        "steps": f"{done} of {spec['steps']}" if "steps" in spec else str(done),
        "status": STATUS_WORDS.get(str(log.run.get("status")), str(log.run.get("status"))),
        "device": str(log.run.get("device") or ""),
        "steps took": _duration(seconds),
        "judge": "" if (spent := spent_over(log.steps)) is None else spent.words(),
        "sampled tokens": number(tokens) if tokens else "",
        "started": date(str(log.run.get("created") or "")),
    }
    return [(label, text) for label, text in facts.items() if text]


def training_notes(log: TrainingLog) -> list[str]:
    """What a reader should know before the plots."""
    notes = []
    if not log.steps:
        notes.append("No step is finished yet: the curves appear with the first line of steps.jsonl.")
    if not log.evaluations:
        notes.append("No held-out evaluation is finished yet: what training changed cannot be said.")
    if log.num_broken:
        lines = "line" if log.num_broken == 1 else "lines"
        notes.append(f"{log.num_broken} broken {lines} in the logs left out, as a kill in the middle of a write leaves.")
    unknown = sum(int(count or 0) for count in Columns(lines=log.steps).end("group_weights", "num_unknown"))
    if unknown:
        notes.append(f"{unknown:,} responses without log-probabilities were left out of the weights of their groups.")
    if len(log.steps) > MAX_POINTS:
        notes.append(f"Of {len(log.steps):,} steps one in {stride(len(log.steps))} is drawn; all are in steps.jsonl.")
    return notes


def _duration(seconds: float) -> str:
    return hours(seconds / 3600) if seconds >= 120 else f"{seconds:.0f} s" if seconds else ""


def training_plots(log: TrainingLog) -> list[dict[str, Any]]:
    """The plots of the section in the order of the page, those without a number last."""
    steps = Columns(lines=log.steps[:: stride(len(log.steps)) or 1])
    held_out = Columns(lines=log.evaluations)
    plots = [_held_out(held_out), _reward(steps), _shares(steps), _entropy(steps, held_out), _lengths(steps, held_out)]
    plots += [*_group_weights(steps), _gradient(steps), _seconds(steps), _gap(steps)]
    return sorted(({**plot, "id": f"training-{i}"} for i, plot in enumerate(plots)), key=lambda plot: plot["figure"] is None)


def _held_out(held_out: Columns) -> dict[str, Any]:
    meaning = "Share of right answers on the held-out prompts, with its 95 % band: the curve to believe."
    return plot_of("Held-out pass@1", meaning, [Floor(title="pass@1", lines=(held_out.band("pass_at_1", "held-out pass@1"),), top=1.02)])


def _reward(steps: Columns) -> dict[str, Any]:
    lines = [steps.line("reward", "mean reward")]
    if steps.of("pass_rate") != steps.of("reward"):
        lines.append(steps.line("pass_rate", "pass rate", ORANGE, "dash"))
    lines.append(steps.line("gold", "right by gold", GREY, "dot"))
    meaning = "Of the rollouts that each step drew: other prompts every step, so it jumps."
    return plot_of("Reward in training", meaning, [Floor(title="reward", lines=tuple(lines))])


def _shares(steps: Columns) -> dict[str, Any]:
    title, meaning = "Groups: live, all right, all wrong", "Only live groups carry a gradient; what is missing to 1 is constant in between."
    series = {"live": steps.of("live_share"), "all right": steps.of("all_right_share"), "all wrong": steps.of("all_wrong_share")}
    if not any(value is not None for values in series.values() for value in values):
        return absent(title, meaning)
    rows = [[f"{x:g}", *(number(value) for value in values)] for x, values in zip(steps.x, zip(*series.values(), strict=True), strict=True)]
    figure = draw_stack(steps.x, series, "step", "share of groups", top=1.0)
    return {"title": title, "meaning": meaning, "figure": figure, "header": ["step", *series], "numbers": rows, "missing": []}


def _entropy(steps: Columns, held_out: Columns) -> dict[str, Any]:
    meaning = (
        "Entropy of the sampler a token, and how far the policy is from its start: falling entropy and rising divergence is learning, "
    )
    divergence = (held_out.band("kl_nats", "KL held out", ORANGE), steps.line("kl_nats", "KL in training", GREY, "dot"))
    entropy = Floor(title="entropy, nats", lines=(steps.line("entropy_nats", "entropy"),))
    floors = [entropy, Floor(title="KL, nats", lines=divergence)]
    return plot_of("Entropy and divergence from the start", meaning + "entropy near 0 is collapse.", floors)


def _lengths(steps: Columns, held_out: Columns) -> dict[str, Any]:
    lengths = (steps.line("mean_length", "in training"), held_out.line("mean_length", "held out", ORANGE, "dash"))
    cut = (steps.line("truncated_share", "in training"), held_out.line("truncated_share", "held out", ORANGE, "dash"))
    meaning = "Tokens of a response, and the share cut at the token limit."
    return plot_of("Response length", meaning, [Floor(title="tokens", lines=lengths), Floor(title="cut share", lines=cut)])


def _group_weights(steps: Columns) -> list[dict[str, Any]]:
    """What the groups weighed; no plot where no recipe weighed them."""
    name = "group_weights"
    if not any(isinstance(line.get(name), Mapping) for line in steps.lines):
        return []
    low, high = steps.end(name, "low"), steps.end(name, "high")
    middle = Line(name="median", x=steps.x, y=steps.end(name, "median"), low=low, high=high, colour=BLUE)
    ends = (steps.part(name, "min", "lowest", GREY, "dot"), steps.part(name, "max", "highest", GREY, "dash"))
    meaning = (
        "Factors of the groups that train, with a band that holds 80 % of them: above 1 counts more. Effective: (sum w)² / (n · sum w²), 1 "
        "when all weigh alike. S' < 0: share of groups with right and wrong answers mixed up or inverted, which noise alone often gives."
    )
    floors = [
        Floor(title="weight", lines=(middle, *ends), from_zero=False),
        Floor(title="effective", lines=(steps.part(name, "ess_share", "effective share"),), from_zero=False),
        Floor(title="S' < 0", lines=(steps.part(name, "below_zero_share", "S' < 0", ORANGE, "dash"),), top=1.05),
    ]
    return [plot_of("Weights of the groups", meaning, floors)]


def _gradient(steps: Columns) -> dict[str, Any]:
    floors = [Floor(title="norm", lines=(steps.line("grad_norm", "gradient norm"),))]
    floors.append(Floor(title="rate", lines=(steps.line("learning_rate", "learning rate", ORANGE, "dash"),)))
    return plot_of("Gradient norm and learning rate", "The norm before clipping; a spike that stays is a reason to lower the rate.", floors)


def _seconds(steps: Columns) -> dict[str, Any]:
    title, meaning = "Where the time goes", "Seconds of a step by stage."
    stages = {name: steps.of(f"{name}_s") for name in ("sampling", "update", "grading")}
    if not any(value is not None for values in stages.values() for value in values):
        return absent(title, meaning)
    known = zip(steps.of("step_s"), zip(*stages.values(), strict=True), strict=True)
    rest = [None if whole is None else max(0.0, whole - sum(part or 0.0 for part in parts)) for whole, parts in known]
    series = {**stages, "the rest": rest}
    speeds = {"sampling tokens/s": steps.of("sampling_tokens_per_s"), "update tokens/s": steps.of("update_tokens_per_s")}
    columns = {**series, **speeds}
    rows = [
        [f"{x:g}", *(number(value) for value in values)] for x, values in zip(steps.x, zip(*columns.values(), strict=True), strict=True)
    ]
    figure: Figure = draw_stack(steps.x, series, "step", "seconds", top=None)
    return {"title": title, "meaning": meaning, "figure": figure, "header": ["step", *columns], "numbers": rows, "missing": []}


def _gap(steps: Columns) -> dict[str, Any]:
    gaps = (steps.line("gap_nats", "mean gap"), steps.line("max_gap_nats", "largest gap", GREY, "dot"))
    clip = (steps.line("clip_share", "clipped tokens", ORANGE, "dash"),)
    meaning = "How far the trainer's log-probabilities are from the sampler's, a token; and the tokens that the clip changed, off policy."
    return plot_of("Trainer against sampler", meaning, [Floor(title="nats", lines=gaps), Floor(title="clip share", lines=clip)])
