"""build(): a spec in, a transformers folder out, made once. half_able(): the spec that `--model lab` stands for.

The folder holds the model, its tokenizer with a chat template, `generation_config.json`, and `lab.json`: what it was trained on, how able
it became (with an interval), what was left out, and the seconds it took. Its name is the policy's name in every run folder.
Left out: training of models that are there already, and sharing models between machines (the same spec gives the same model on the same
machine with the same torch; elsewhere the last bits differ, and what is drawn with them).
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jominy.engines.extras import require_local_extra
from jominy.engines.models import cache_folder, make_once
from jominy.lab.demonstrations import Demonstration, demonstrate, shared_phrases
from jominy.lab.showing import showing
from jominy.lab.spec import LabSpec, markers_of, name_of
from jominy.records import Prompt, Task
from jominy.stats import wilson
from jominy.store import SCHEMA_VERSION, write_json
from jominy.tasks.loading import load_task

LAB_FILE = "lab.json"
OLDEST_TORCH = (2, 9)
HALF_ABILITY, HALF_CUT_SHARE = 0.65, 0.35
"""A half-able model learns until it would pass this often, and then the habit to break off this often: 0.65 * (1 - 0.35) = 0.42 at least,
for it goes on learning meanwhile."""
TOO_WEAK = 0.1
"""Below this pass rate a group of eight is all wrong more often than not, and the model is refused."""
HALF_STEPS, HALF_TOKENS = 640, 900_000
"""A half-able model is trained in at most so many steps and on about so many tokens, whichever comes first."""
TOKENS_A_STEP, FEWEST_ROWS = 2_048, 8
"""A half-able model sees about so many tokens a step, in at least FEWEST_ROWS and at most 64 rows."""
SAMPLED_PROMPTS = 64


def build(spec: LabSpec, *, quiet: bool = False) -> Path:
    """The folder of the model that `spec` describes: from the cache, or trained now (about a minute on two cores for the defaults).

    Args:
        spec: what it has seen, how much, with which noise, in which architecture.
        quiet: no progress bar.

    Returns:
        a transformers folder named `lab-HASH` under `cache_folder() / "lab"`; the name is the policy's name.

    Raises:
        ValueError: a field of the spec is out of range, a task is unknown or has no gold answers, or a package is absent.
    """
    return _made(spec, 0.0, quiet)


def half_able(task: str, *, quiet: bool = False) -> Path:
    """The folder of a small model that is about half able at a task, which is where RL has most to work with.

    It learns the task's gold answers until it gives most of them, unsure still, and then the habit to break off in the middle of an answer.
    So it fails in two ways that stand beside successes in one group: it draws an answer near the right one, and it breaks off where it
    could have gone on. The second is on every prompt alike, and RL can remove it everywhere at once. Steps are limited: an easy task
    takes seconds, a hard one ends below half.

    Args:
        task: as `--task` takes it; it needs gold answers.
        quiet: no progress bar.

    Raises:
        ValueError: the task cannot be learned to TOO_WEAK in HALF_STEPS steps (nothing is kept), or as `build`.
    """
    return _made(half_able_spec(task), TOO_WEAK, quiet)


def half_able_spec(task: str) -> LabSpec:
    """What `half_able` builds: fewer rows a step, and fewer steps, where the task's texts are longer, so that the time stays the same."""
    spec = LabSpec(tasks=(task,), pass_rate=HALF_ABILITY, steps=HALF_STEPS, cut_share=HALF_CUT_SHARE)
    loaded = load_task(task)
    prompts = [prompt for prompt in loaded.prompts(SAMPLED_PROMPTS, 0) if prompt.gold_answer]
    if not prompts:
        raise ValueError(f"task {task!r} has no gold answers, so no lab model can be trained for it; give --model a model or a folder")
    num_tokens = _num_tokens(prompts, markers_of([loaded])) / len(prompts)
    rows = max(FEWEST_ROWS, min(spec.rows, int(TOKENS_A_STEP / num_tokens)))
    return replace(spec, rows=rows, steps=max(1, min(HALF_STEPS, int(HALF_TOKENS / (rows * num_tokens)))))


def _num_tokens(prompts: Sequence[Prompt], markers: Sequence[str]) -> int:
    """Tokens of the prompts with their gold answers, roughly: a character each, and shared stretches for nothing."""
    texts = [text for prompt in prompts for text in (prompt.gold_answer or "", *(message.content for message in prompt.messages))]
    for phrase in shared_phrases([prompts]):
        texts = [text.replace(phrase, "") for text in texts]
    num_markers = 0
    for marker in markers:
        num_markers += sum(text.count(marker) for text in texts)
        texts = [text.replace(marker, "") for text in texts]
    return sum(map(len, texts)) + num_markers


def _made(spec: LabSpec, least: float, quiet: bool) -> Path:
    """The spec's folder, made unless it is there."""
    spec.check()
    require_local_extra("lab")
    if tuple(int(part) for part in version("torch").split(".")[:2]) < OLDEST_TORCH:
        raise ValueError(f"lab models need torch 2.9 or newer (torch.optim.Muon); this is {version('torch')}: pip install --upgrade torch")
    tasks = [load_task(task) for task in spec.tasks]
    folder = cache_folder() / "lab" / name_of(spec, tasks)
    return make_once(folder, lambda aside: _make(aside, folder.name, spec, tasks, least, quiet))


def _make(aside: Path, name: str, spec: LabSpec, tasks: Sequence[Task], least: float, quiet: bool) -> None:
    """Trains and writes everything into the folder `aside`."""
    import torch

    from jominy.engines.local import LocalEngine
    from jominy.lab.architectures import make_model
    from jominy.lab.characters import make_tokenizer
    from jominy.lab.fitting import fit

    started = time.monotonic()
    shown, num_without_gold = demonstrate(spec, tasks)
    texts = [text for one in shown for text in (one.answer, *(message.content for message in one.prompt.messages))]
    phrases = dict.fromkeys([*shared_phrases(_by_task(shown)), *markers_of(tasks)])
    tokenizer = make_tokenizer(texts, list(phrases), spec.context)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = make_model(spec, tokenizer)
    engine = LocalEngine.of(model, tokenizer, name=name)
    with showing(f"{name} learns {', '.join(spec.tasks)}", spec.steps, quiet=quiet) as on_step:
        fitted = fit(engine, spec, tasks, shown, on_step)
    final = fitted.final
    if final.pass_rate < least:
        raise ValueError(
            f"a lab model of {spec.depth} layers of width {spec.width} passes {final.pass_rate:.3f} of {', '.join(spec.tasks)} "
            f"in {fitted.num_steps} steps, and RL needs some right answers to start from, {least} at least; choose an easier setting "
            "of the task or another --model, or train longer with jominy.lab.build(LabSpec(tasks=..., steps=...)) and give its folder "
            "to --model"
        )
    _save(model, tokenizer, aside)
    interval = wilson(final.num_right, final.num_drawn) if final.num_drawn else None
    write_json(
        aside / LAB_FILE,
        {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "spec": asdict(spec),
            "ability": {
                "pass_at_1": final.pass_rate if final.num_drawn else None,
                "low": None if interval is None else interval.low,
                "high": None if interval is None else interval.high,
                **asdict(final),
                "by_task": {name: asdict(part) for name, part in fitted.by_task.items()},
            },
            "reached": None if spec.pass_rate is None else bool(fitted.checks and fitted.checks[-1][1] >= spec.pass_rate),
            "training": _account(fitted, shown, num_without_gold, model, time.monotonic() - started),
            "environment": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "transformers")}},
        },
    )


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Both as transformers writes them, without its bar."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    finally:
        if bars:
            logging.enable_progress_bar()


def _by_task(shown: Sequence[Demonstration]) -> list[list[Any]]:
    """The prompts, task by task, in the order in which tasks first appear."""
    found: dict[str, list[Any]] = {}
    for one in shown:
        found.setdefault(one.prompt.task, []).append(one.prompt)
    return list(found.values())


def _account(fitted: Any, shown: Sequence[Demonstration], num_without_gold: int, model: Any, elapsed_s: float) -> dict[str, Any]:
    """The training part of lab.json."""
    kinds = [one.kind for one in shown]
    return {
        "num_parameters": sum(weight.numel() for weight in model.parameters()),
        "num_steps": fitted.num_steps,
        "num_tokens": fitted.num_tokens,
        "num_prompts": len({one.prompt.id for one in shown}),
        "num_demonstrations": {kind: kinds.count(kind) for kind in ("right", "cut", "wrong")},
        "num_prompts_without_gold": num_without_gold,
        "num_too_long": fitted.num_too_long,
        "max_answer_tokens": fitted.max_answer_tokens,
        "checks": [list(check) for check in fitted.checks],
        "training_s": fitted.seconds,
        "tokens_per_s": fitted.num_tokens / max(fitted.seconds, 1e-9),
        "elapsed_s": elapsed_s,
    }
