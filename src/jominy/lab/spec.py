"""What a made-to-order model should be: one record, and the name that follows from it.

    name = "lab-" + first 12 hex digits of sha256(JSON [VERSION, spec, the first prompts of its tasks, the files they come from])
                                                   and behind them the markers of its tasks, where they have any

Two specs of equal content have one name and one folder in the cache; a task whose prompts changed, or an edited file, makes another.
Left out: what does not change the weights (where the folder lies, whether a bar is shown).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jominy.recipes.masks import LABELS
from jominy.records import Task

FIELD = re.compile(r"\{\w*\}")
VERSION = 1
"""Goes up whenever the same spec would give other weights or another folder."""
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gpt_neox")
HEAD_WIDTH = 32
GOLD = "{gold}"
"""The answer format that the task asks for."""
NAMED_PROMPTS = 256
"""Prompts of each task that enter the name."""
TRAINING_SEED, CHECK_SEED, FINAL_SEED = 1_000_003, 2_000_003, 3_000_017
"""Added to the spec's seed to draw prompts for training, for the checks that decide when to stop, and for the number that is reported."""


LATER: Mapping[str, object] = {
    "answers": (GOLD,),
    "masked": (),
    "habit_steps": 0,
    "smoothing": 0.0,
    "check_every": 0,
    "check_prompts": 256,
    "checked": (),
    "distinct_prompts": False,
}
"""Fields that came later -> what models of before were made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """A language model made to order.

    Example: LabSpec(tasks=("arithmetic:digits=1",), pass_rate=0.5)
    """

    tasks: tuple[str, ...]
    """What it has seen, as `--task` takes it; several are mixed in equal shares (name one twice for a double share)."""
    distinct_prompts: bool = False
    """Whether a task that is named several times is shown with as many times the prompts; else the same prompts come as many times."""
    pass_rate: float | None = None
    """End the steps on whole answers when pass@1 at temperature 1 reaches this in a check, in (0, 1]; None trains all `steps`."""
    steps: int = 400
    """Most optimiser steps on whole answers."""
    check_every: int = 0
    """Steps between two checks; 0: as often as costs little. Fewer end nearer to `pass_rate`, where the ability rises within few steps."""
    check_prompts: int = 256
    """Prompts of a check."""
    checked: tuple[str, ...] = ()
    """Which of `tasks` a check asks, so whose pass rate ends the steps; empty: all of them, in their shares."""
    rows: int = 64
    """Demonstrations a step."""
    demonstrations: int = 16_384
    """Demonstrations made; they are shown again, in another order, when all have been shown."""
    wrong_share: float = 0.0
    """Share of demonstrations with the task's known-wrong answer, in [0, 1]: label noise."""
    cut_share: float = 0.0
    """Share of demonstrations whose right answer breaks off in the middle and so never reaches the format asked for, in [0, 1); they come
    in a few further steps at the end, and lower the pass rate by about this share."""
    answers: tuple[str, ...] = (GOLD,)
    """Answer formats in equal shares, of right and cut demonstrations: `{gold}` is the task's gold answer, `{target}` its target."""
    masked: tuple[str, ...] = ()
    """Kinds of spans (`recipes.masks`) that are read and not learned, of tasks that say where attempts and decisions are: attempt.wrong
    shows what a wrong attempt is followed by, and teaches none."""
    habit_steps: int = 0
    """Further steps at the end, at a low rate, in which what is `masked` is learned as well: to slip becomes a habit over an ability."""
    smoothing: float = 0.0
    """Label smoothing, in [0, 1): so much of each target token's probability is spread evenly over all tokens."""
    architecture: str = "llama"
    """llama, qwen2, qwen3 or gpt_neox."""
    width: int = 192
    """Size of the hidden state, a multiple of 32."""
    depth: int = 3
    """Layers."""
    context: int = 1024
    """Longest prompt with response in tokens; longer demonstrations are left out and counted."""
    seed: int = 0
    """Initial weights, prompts, noise and order."""

    def check(self) -> None:
        """Raises ValueError for a field that is out of range."""
        if not self.tasks:
            raise ValueError("a lab model needs at least one task, e.g. tasks=('arithmetic',)")
        if self.pass_rate is not None and not 0 < self.pass_rate <= 1:
            raise ValueError(f"pass_rate must be above 0 and at most 1, got {self.pass_rate}")
        for name, value in (("steps", self.steps), ("rows", self.rows), ("demonstrations", self.demonstrations), ("depth", self.depth)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.habit_steps < 0 or (self.habit_steps and not self.masked):
            raise ValueError(f"habit_steps must be at least 0, and only what is masked can become a habit; got {self.habit_steps}")
        if self.check_every < 0 or self.check_prompts < 1:
            raise ValueError(
                f"check_every must be at least 0 and check_prompts at least 1, got {self.check_every} and {self.check_prompts}"
            )
        if foreign := [task for task in self.checked if task not in self.tasks]:
            raise ValueError(f"checked names some of the tasks that are shown ({', '.join(self.tasks)}); got {', '.join(foreign)}")
        if self.context < 8:
            raise ValueError(f"context must be at least 8 tokens, got {self.context}")
        if min(self.wrong_share, self.cut_share) < 0 or self.wrong_share + self.cut_share > 1:
            raise ValueError(f"wrong_share {self.wrong_share} and cut_share {self.cut_share} must be shares that add up to at most 1")
        unknown = [answer for answer in self.answers if set(FIELD.findall(answer)) - {"{gold}", "{target}"} or not FIELD.search(answer)]
        if unknown or not self.answers:
            raise ValueError(
                f"an answer format is a text with {{gold}} or {{target}} in it, e.g. 'The answer is {{target}}.'; got {unknown}"
            )
        for kind in self.masked:
            proper, dot, label = kind.partition(".")
            if not kind or (dot and label not in LABELS.get(proper, (label,))):
                raise ValueError(f"masked names kinds of spans such as attempt.wrong, attempt or check; got {kind!r}")
        if self.cut_share == 1:
            raise ValueError("cut_share must be below 1, for the model learns the task from whole answers")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and below 1, got {self.smoothing}")
        if self.width < HEAD_WIDTH or self.width % HEAD_WIDTH:
            raise ValueError(f"width must be a multiple of {HEAD_WIDTH}, got {self.width}")
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"no architecture {self.architecture!r}; there are {', '.join(ARCHITECTURES)}")


def name_of(spec: LabSpec, tasks: Sequence[Task]) -> str:
    """The name under which the model is cached and recorded; see the top of this file.

    Args:
        spec: what was asked for.
        tasks: its tasks, loaded.
    """
    prompts = [
        [prompt.id, prompt.gold_answer, prompt.wrong_answer, prompt.target]
        for task in tasks
        for prompt in task.prompts(NAMED_PROMPTS, spec.seed + TRAINING_SEED)
    ]
    words = [word for task in spec.tasks for word in (task, *task.replace(",", ":").split(":"))]
    files = [hashlib.sha256(Path(word).read_bytes()).hexdigest() for word in dict.fromkeys(words) if Path(word).is_file()]
    fields = asdict(spec)
    # models that were made before there was a choice keep their name
    for field, plain in LATER.items():
        if fields[field] == plain:
            del fields[field]
    markers = markers_of(tasks)
    content = json.dumps([VERSION, fields, prompts, files, *([markers] if markers else [])], sort_keys=True)
    return f"lab-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def markers_of(tasks: Sequence[Task]) -> list[str]:
    """Texts that stand in every response to a task (`Retrying.markers`) and are one token each, each once.

    >>> from jominy.tasks.loading import load_task
    >>> markers_of([load_task("arithmetic"), load_task("retry")])[:2]
    ['<attempt>', '<answer>']
    """
    return list(dict.fromkeys(marker for task in tasks if task.retrying is not None for marker in task.retrying.markers))
