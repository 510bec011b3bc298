"""probe(): further rollouts of the same model, which say what its pass@k is made of.

    OUT/probes/few_shot                 the run's prompts behind solved examples of the task, judged strictly     form
    OUT/probes/contamination-60         beginnings of the prompts, continued by the most likely words (also 40, 80) memory
    OUT/probes/contamination-60-fresh   the same of prompts that nobody can have seen
    OUT/probes/eval                     prompts of another task, drawn as the run was                             transfer

Each is a run folder drawn by `sample` itself, so a probe that is killed goes on where it stopped, and nothing is drawn twice.
The papers name no number of examples: four, drawn for each prompt anew from other prompts, gold answers as the assistant's turns.
Left out: reading them (`probed`), and judging texts again, which needs no rollouts.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from jominy.engines import Engine
from jominy.measures.contamination import PERCENTS, cut, without_common_ending
from jominy.probed import EVAL, FEW_SHOT, FOLLOWS, PROBE_OF, contamination_folder
from jominy.progress import note
from jominy.records import Message, Prompt, RewardFunction, Task
from jominy.rewards.forms import Forms, no_answer
from jominy.sampling import LoadEngine, load_local_engine, load_task_and_rewards, resolve_model, sample
from jominy.specs import ProbeName, SampleSpec
from jominy.store import RunFolder
from jominy.tasks.arithmetic import grade_leniently
from jominy.tasks.fresh import word_problems
from jominy.tasks.identity import identify
from jominy.tasks.loading import FILE_SUFFIXES
from jominy.tasks.samples import parse_samples

NUM_EXAMPLES = 4
SPARE_PROMPTS = 64
"""Prompts beyond the run's own that examples are taken from, where the task has so many."""
EXAMPLE_SEED, FRESH_SEED = 4_000_037, 5_000_011
"""Added to the run's seed."""
MADE_BY_SEED = ("arithmetic", "constraints", "logic")
"""Tasks that are made by seed, so that another seed gives prompts as fresh as any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One run folder to draw.

    Example: Probe(name="few_shot", spec=spec, task=task)
    """

    name: str
    """Of the folder in `probes/`."""
    spec: SampleSpec
    """What to draw."""
    task: Task | None
    """Prompts and judgement; None takes what `spec` names."""


def probe(
    out: Path,
    probes: Sequence[ProbeName],
    eval_task: str | None,
    *,
    load_engine: LoadEngine = load_local_engine,
    quiet: bool = False,
) -> None:
    """Draw the probes of a run folder into `out/probes/`, going on where an earlier call stopped.

    Args:
        out: a run folder of `sample`; model, sampling and seed are those in its `run.json`.
        probes: which; none draws only `eval_task`.
        eval_task: task whose prompts are drawn as the run's were; None draws none.
        load_engine: called at most once, and only when something is left to draw.
        quiet: no progress bar.

    Raises:
        ValueError: no such run folder, a model that is another now, a task that has no solved examples, a probe of another run.
    """
    folder = RunFolder(out)
    run = folder.read_run()
    known = {field.name for field in fields(SampleSpec)}
    if "task" not in run["spec"] or "recipe" in run["spec"]:
        raise ValueError(f"{out} is no run folder of `jominy sample`; probe the run folder of an evaluation, evaluations/step-...")
    asked = SampleSpec(**{name: value for name, value in run["spec"].items() if name in known})
    spec = replace(asked, model=resolve_model(asked.model, asked.task))
    task = load_task_and_rewards(spec)[0]
    load = functools.cache(functools.partial(_same_policy, load_engine, run["policy"], out))
    planned = _planned(folder, spec, task, probes, eval_task, functools.partial(load, spec.model, spec.device))
    _say_cost(planned, folder, run, quiet=quiet)
    for one in planned:
        note(f"probe {one.name}", quiet=quiet)
        sample(one.spec, folder.probe(one.name).path, task=one.task, load_engine=load, quiet=quiet)


def _same_policy(load_engine: LoadEngine, policy: str | None, out: Path, model: str, device: str) -> Engine:
    engine = load_engine(model, device)
    if engine.name != policy:
        raise ValueError(f"{out} was drawn by {policy}, and {model} is {engine.name}; a probe must be drawn by the model of the run")
    return engine


def _planned(
    folder: RunFolder, spec: SampleSpec, task: Task, probes: Sequence[ProbeName], eval_task: str | None, load: Callable[[], Engine]
) -> list[Probe]:
    """The folders to draw, in order; the engine is loaded when the length of continuations is not known yet."""
    prompts = folder.read_prompts()
    planned: list[Probe] = []
    if eval_task is not None:
        of_file = spec.target_column if Path(eval_task).suffix in FILE_SUFFIXES else None
        planned.append(Probe(name=EVAL, spec=replace(spec, task=eval_task, target_column=of_file, samples=None), task=None))
    if "few_shot" in probes:
        shown = few_shot_prompts(task, prompts, spec.seed)
        planned.append(_fixed(FEW_SHOT, spec, shown, task.name, Forms.of(task)))
    if "contamination" in probes:
        planned += _contamination(folder, replace(spec, temperature=0.0, top_p=1.0, rollouts=1, samples=None), task, prompts, load)
    return planned


def _fixed(name: str, spec: SampleSpec, prompts: Sequence[Prompt], task_name: str, reward: RewardFunction) -> Probe:
    """A probe of these very prompts. Its judgement is its own, so the run's reward stays out of its spec."""
    task = Task(name=task_name, summary=name, prompts=lambda num_prompts, seed: list(prompts), reward=reward)
    return Probe(name=name, spec=replace(spec, reward=None, prompts=len(prompts)), task=task)


def _say_cost(planned: Sequence[Probe], folder: RunFolder, run: dict[str, Any], *, quiet: bool) -> None:
    left = [one for one in planned if not _finished(folder.probe(one.name))]
    counts = {one.name: _num_rollouts(one) for one in left}
    num_rollouts, timing = sum(counts.values()), run["timing"]
    seconds = timing["sampling_s"] / max(1, timing["num_rollouts"]) * num_rollouts
    names = ", ".join(f"{name} {count}" for name, count in counts.items())
    if left:
        long = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
        note(f"probes: {num_rollouts} further rollouts ({names}), about {long} at the speed of the run", quiet=quiet)


def _num_rollouts(one: Probe) -> int:
    if one.task is None:
        return one.spec.prompts * one.spec.rollouts
    return sum(map(parse_samples(one.spec.samples, one.spec.rollouts).of, one.task.prompts(one.spec.prompts, one.spec.seed)))


def _finished(folder: RunFolder) -> bool:
    return folder.exists() and folder.read_run()["status"] == "finished"


def few_shot_prompts(task: Task, prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    """Each prompt behind `NUM_EXAMPLES` others of the task with their gold answers, as turns of user and assistant.

    Examples come from prompts that are not in the run where the task has enough of them; a prompt is never its own example.

    Raises:
        ValueError: the task has no other prompt with a gold answer.
    """
    there = {prompt.id for prompt in prompts}
    solved = [one for one in task.prompts(len(prompts) + SPARE_PROMPTS, seed + EXAMPLE_SEED) if one.gold_answer is not None]
    others = [one for one in solved if one.id not in there]
    pool = others if len(others) >= NUM_EXAMPLES else solved
    shown = []
    for prompt in prompts:
        usable = [one for one in pool if one.id != prompt.id]
        if not usable:
            raise ValueError(f"--probe few_shot shows solved examples, and {task.name} has no other prompt with a gold answer")
        chosen = random.Random(f"few_shot {seed} {prompt.id}").sample(usable, min(NUM_EXAMPLES, len(usable)))
        shown.append(_behind_examples(prompt, chosen))
    return shown


def _behind_examples(prompt: Prompt, examples: Sequence[Prompt]) -> Prompt:
    """The prompt's own system message first; those of the examples are left out, for templates take one at the start only."""
    turns = [message for message in prompt.messages if message.role == "system"]
    for example in examples:
        assert example.gold_answer is not None
        turns += [message for message in example.messages if message.role != "system"]
        turns.append(Message(role="assistant", content=example.gold_answer))
    turns += [message for message in prompt.messages if message.role != "system"]
    messages = tuple(turns)
    info = {**prompt.info, PROBE_OF: prompt.id}
    return replace(prompt, id=identify(FEW_SHOT, messages, prompt.target), messages=messages, info=info)


def _contamination(folder: RunFolder, spec: SampleSpec, task: Task, prompts: Sequence[Prompt], load: Callable[[], Engine]) -> list[Probe]:
    """Two folders for each share of the prompts: of their beginnings, and of fresh ones."""
    fresh, fresh_grader = _fresh(spec, task, prompts)
    own_grader = _answer_grader(task, prompts)
    sets = ((prompts, own_grader, False), (fresh, fresh_grader, True))
    planned = []
    for percent in PERCENTS:
        for asked, grader, is_fresh in sets:
            begun = beginnings(asked, percent)
            if not begun:
                continue
            name = contamination_folder(percent, fresh=is_fresh)
            there = folder.probe(name)
            longest = there.read_run()["spec"]["max_tokens"] if there.exists() else spec.max_tokens + _longest(begun, load())
            planned.append(_fixed(name, replace(spec, max_tokens=longest), begun, asked[0].task, grader))
    return planned


def _fresh(spec: SampleSpec, task: Task, prompts: Sequence[Prompt]) -> tuple[list[Prompt], RewardFunction]:
    """As many prompts that nobody can have seen, and what finds their answers."""
    if spec.task.partition(":")[0] in MADE_BY_SEED:
        there = {prompt.id for prompt in prompts}
        drawn = [one for one in task.prompts(2 * len(prompts), spec.seed + FRESH_SEED) if one.id not in there][: len(prompts)]
        return drawn, _answer_grader(task, drawn)
    lengths = [len(text.split()) for text in without_common_ending([question_of(prompt) for prompt in prompts])]
    return word_problems(lengths, spec.seed + FRESH_SEED), grade_leniently


def _answer_grader(task: Task, prompts: Sequence[Prompt]) -> RewardFunction:
    """What finds the right answer in a continuation; nothing can where the prompts have no target."""
    if all(prompt.target is None for prompt in prompts):
        return no_answer
    return task.reward if task.lenient is None else task.lenient


def question_of(prompt: Prompt) -> str:
    """The last thing that the user says; empty where the user says nothing."""
    return next((message.content for message in reversed(prompt.messages) if message.role == "user"), "")


def beginnings(prompts: Sequence[Prompt], percent: int) -> list[Prompt]:
    """The beginning of each question as a raw prompt, the rest in its `info`; questions of one word are left out."""
    made = []
    for prompt, question in zip(prompts, without_common_ending([question_of(prompt) for prompt in prompts]), strict=True):
        parts = cut(question, percent)
        if parts is None:
            continue
        messages = (Message(role="user", content=parts[0]),)
        # Two questions may begin alike, so the identity is that of the whole prompt.
        key = identify(f"contamination-{percent}", messages, prompt.id)
        info = {**prompt.info, PROBE_OF: prompt.id, FOLLOWS: parts[1]}
        made.append(replace(prompt, id=key, messages=messages, gold_answer=None, wrong_answer=None, info=info, raw=True))
    return made


def _longest(begun: Sequence[Prompt], engine: Engine) -> int:
    """Tokens of the longest rest."""
    rests = [replace(one, messages=(Message(role="user", content=str(one.info[FOLLOWS])),)) for one in begun]
    return max(len(engine.encode(rest)) for rest in rests)
