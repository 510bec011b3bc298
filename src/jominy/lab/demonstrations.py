"""What a lab model is shown: prompts of its tasks, each with an answer, in known shares of three kinds.

    right   the task's gold answer, in the format that the prompt asks for or in those of `LabSpec.answers`
    cut     such an answer broken off in the middle
    wrong   the task's known-wrong answer

Shares hold exactly over all demonstrations. A task that is named several times is shown with the same prompts each time, or with others
(`LabSpec.distinct_prompts`). A task with fewer prompts than its part shows them several times, and then one prompt is
shown with answers of different kinds: that is what leaves the model uncertain, instead of sure of the wrong answer on some prompts.
Prompts come from seeds that no person types (`spec.TRAINING_SEED`); a task with few prompts still shows them all, whatever the seed.
Left out: tokens (`characters`) and order of showing (`fitting`).
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jominy.lab.spec import TRAINING_SEED, LabSpec
from jominy.records import Prompt, Task
from jominy.tasks.loading import load_task

Kind = Literal["right", "cut", "wrong"]
SHORTEST_PHRASE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """One prompt with the answer that is imitated.

    Example: Demonstration(prompt=prompt, answer="2 + 3 = 6", kind="wrong")
    """

    prompt: Prompt
    """What is asked."""
    answer: str
    """What the model learns to say."""
    kind: Kind
    """right, cut or wrong; see the top of this file."""


def demonstrate(spec: LabSpec, tasks: Sequence[Task]) -> tuple[list[Demonstration], int]:
    """(demonstrations in random order, distinct prompts left out because their task has no gold answer for them).

    Args:
        spec: how many, which shares, which seed.
        tasks: its tasks, loaded.

    Raises:
        ValueError: a task has no prompt with a gold answer, or label noise is asked for and a prompt has no wrong answer.

    >>> from jominy.tasks.arithmetic import make
    >>> made, _ = demonstrate(LabSpec(tasks=("arithmetic",), demonstrations=40, wrong_share=0.25), [make("")])
    >>> sum(demonstration.kind == "wrong" for demonstration in made)
    10
    """
    rng = random.Random(f"lab {spec.seed}")
    num_each = -(-spec.demonstrations // len(tasks))
    prompts: list[Prompt] = []
    num_left_out = 0
    for task, num_wanted in _portions(tasks, num_each, distinct=spec.distinct_prompts):
        drawn = task.prompts(num_wanted, spec.seed + TRAINING_SEED)
        usable = [prompt for prompt in drawn if prompt.gold_answer]
        if not usable:
            raise ValueError(f"task {task.name} has no gold answers ({len(drawn)} prompts), so there is nothing to learn it from")
        num_left_out += len(drawn) - len(usable)
        prompts += itertools.islice(itertools.cycle(usable), num_wanted)
    rng.shuffle(prompts)
    prompts = prompts[: spec.demonstrations]
    num_wrong, num_cut = round(spec.wrong_share * len(prompts)), round(spec.cut_share * len(prompts))
    num_cut = min(num_cut, len(prompts) - num_wrong)
    shares: tuple[tuple[Kind, int], ...] = (("wrong", num_wrong), ("cut", num_cut), ("right", len(prompts) - num_wrong - num_cut))
    kinds = [kind for kind, count in shares for _ in range(count)]
    formats = itertools.cycle(spec.answers)
    return [_demonstration(prompt, kind, next(formats)) for prompt, kind in zip(prompts, kinds, strict=True)], num_left_out


def shown_prompts(spec: LabSpec) -> frozenset[str]:
    """Ids of the prompts that a model of this order was shown.

    >>> spec = LabSpec(tasks=("arithmetic:digits=1",), demonstrations=20)
    >>> len(shown_prompts(spec))
    20
    """
    shown, _ = demonstrate(spec, [load_task(task) for task in spec.tasks])
    return frozenset(one.prompt.id for one in shown)


def _portions(tasks: Sequence[Task], num_each: int, *, distinct: bool) -> list[tuple[Task, int]]:
    """(task, prompts of it) in the order in which they are drawn."""
    if not distinct:
        return [(task, num_each) for task in tasks]
    return [(task, count * num_each) for task, count in counted_tasks(tasks)]


def counted_tasks(tasks: Sequence[Task]) -> list[tuple[Task, int]]:
    """Each task once with how often it is named, in the order in which they first appear."""
    counts = Counter(task.name for task in tasks)
    first = {task.name: task for task in reversed(tasks)}
    return [(first[name], count) for name, count in counts.items()]


def shared_phrases(tasks_prompts: Sequence[Sequence[Prompt]]) -> list[str]:
    """Openings and endings, of at least SHORTEST_PHRASE characters, that all prompts of a task share, turn by turn; each becomes one token.

    >>> from jominy.tasks.arithmetic import make
    >>> shared_phrases([make("").prompts(50, 0)])
    ['What is ', '? Give the answer as an integer at the end.']
    """
    phrases: list[str] = []
    for prompts in tasks_prompts:
        for turn in range(min(len(prompt.messages) for prompt in prompts)):
            contents = [prompt.messages[turn].content for prompt in prompts]
            opening = _common_opening(contents)
            phrases += [opening, _common_opening([content.removeprefix(opening)[::-1] for content in contents])[::-1]]
    return [phrase for phrase in dict.fromkeys(phrases) if len(phrase) >= SHORTEST_PHRASE]


def _common_opening(texts: Sequence[str]) -> str:
    """What they all begin with; the first and the last in the alphabet differ earliest."""
    first, last = min(texts), max(texts)
    length = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]


def _demonstration(prompt: Prompt, kind: Kind, answer: str) -> Demonstration:
    """The prompt with its answer of this kind, right ones in the format `answer`."""
    if "{target}" in answer and prompt.target is None:
        raise ValueError(f"prompt {prompt.id} of task {prompt.task} has no target to write into the answer format {answer!r}; use {{gold}}")
    gold = answer.replace("{gold}", prompt.gold_answer or "").replace("{target}", prompt.target or "")
    if kind != "wrong":
        return Demonstration(prompt=prompt, answer=gold if kind == "right" else gold[: len(gold) // 2], kind=kind)
    if not prompt.wrong_answer:
        raise ValueError(f"prompt {prompt.id} of task {prompt.task} has no known-wrong answer to show; set wrong_share=0")
    return Demonstration(prompt=prompt, answer=prompt.wrong_answer, kind=kind)
