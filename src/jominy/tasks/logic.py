"""Any dataset of reasoning-gym with its own verifier: `logic:knights_knaves`, `logic:countdown,max_numbers=4`.

The answer is what stands in the last `<answer>...</answer>`, else the last line that is not empty; the prompt asks for the tags.
The reward is reasoning-gym's `score_answer`, in [0, 1]: many verifiers give 0.01, or a share of the way, for a wrong answer in good form.
Left out on purpose: `composite` (a mixture of datasets; run them one by one) and curricula.

LIMIT: boxnet and rush_hour carry no reference answer, so their prompts have no gold answer to check the verifier with.
LIMIT: game_of_life_halting takes every answer for right (reasoning-gym 0.1.25 compares `bool("False")`); `jominy check` fails it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from jominy.records import Message, Prompt, Task
from jominy.rewards.extraction import last_tagged
from jominy.rewards.options import did_you_mean, read_options
from jominy.tasks.file import as_text
from jominy.tasks.identity import identify

INSTRUCTION = "Put the final answer, and nothing else, between <answer> and </answer>."
EXAMPLE_KEYS = ("possible_answer", "example_answer", "example_correct_answer")
WRONG_ANSWERS = ("I do not know", "no", "0", "yes", "1", "True", "False")
YES_OR_NO = frozenset({"circuit_logic", "course_schedule", "game_of_life_halting", "isomorphic_strings", "ransom_note", "syllogism"})


def make(options: str) -> Task:
    """The task of a dataset; `options` is its name and, behind commas, fields of its configuration.

    Raises:
        ValueError: the `tasks` extra is missing, no such dataset (close matches are named), or a setting is unknown or out of range.
    """
    reasoning = _reasoning()
    name, _, rest = options.partition(",")
    known = reasoning.configurations()
    if name not in known:
        said = f"no dataset {name!r}; {did_you_mean(name, known)}" if name else "which dataset? "
        raise ValueError(f"logic: {said}reasoning-gym has {len(known)}: {', '.join(sorted(known))}")
    fields = [field.name for field in dataclasses.fields(known[name]) if field.name not in ("seed", "size")]
    settings = read_options(f"logic:{name}", rest, fields)
    reasoning.dataset_of(name, tuple(settings.items()), 0, 1)

    def prompts(num_prompts: int, seed: int) -> list[Prompt]:
        """Distinct items of the dataset, scattered by seed."""
        # reasoning-gym seeds item i with seed + i: neighbouring seeds would share all but one item.
        scattered = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big") >> 1
        size = 2 * num_prompts + 20
        made: dict[str, Prompt] = {}
        for index in range(size):
            if len(made) >= num_prompts:
                break
            prompt = _prompt(reasoning, f"logic:{options}", name, settings, scattered, size, index)
            made.setdefault(prompt.id, prompt)
        return list(made.values())

    return Task(
        name=f"logic:{options}",
        summary=f"reasoning-gym's {name}",
        prompts=prompts,
        reward=reasoning.grade,
        format=has_closed_answer,
        lenient=reasoning.grade_leniently,
    )


def has_closed_answer(prompt: Prompt, text: str) -> bool:
    """Whether the text has the answer tags that the prompt asks for, closed."""
    return last_tagged(text) is not None


def _prompt(reasoning: ModuleType, task: str, name: str, settings: Mapping[str, str], seed: int, size: int, index: int) -> Prompt:
    dataset = reasoning.dataset_of(name, tuple(settings.items()), seed, size)
    item = reasoning.item_of(dataset, index)
    examples = [item["metadata"][key] for key in EXAMPLE_KEYS if item["metadata"].get(key)]
    answers = [as_text(answer) for answer in (item["answer"], *examples) if answer]
    target = next((answer for answer in answers if reasoning.score(answer, dataset, item) == 1), None)
    other = reasoning.item_of(dataset, (index + 1) % size)["answer"]
    # Where the verifier accepts them all it is broken; the first one stays, so that `jominy check` shows it.
    wrong = next((text for text in (other, *WRONG_ANSWERS) if text and reasoning.score(text, dataset, item) < 1), WRONG_ANSWERS[0])
    messages = (Message(role="user", content=f"{item['question']}\n\n{INSTRUCTION}"),)
    return Prompt(
        id=identify("logic", messages, target),
        task=task,
        messages=messages,
        target=target,
        gold_answer=None if target is None else f"<answer>{target}</answer>",
        wrong_answer=f"<answer>{wrong}</answer>",
        num_choices=_num_choices(name, dataset.config),
        info={"dataset": name, "settings": dict(settings), "dataset_seed": seed, "dataset_size": size, "index": index},
    )


def _num_choices(name: str, configuration: Any) -> int | None:
    """Answers a blind guess draws from, where they can be counted."""
    if name == "knights_knaves":
        return 1 << int(configuration.n_people)
    return 2 if name in YES_OR_NO else None


def _reasoning() -> ModuleType:
    try:
        from jominy.rewards import reasoning
    except ModuleNotFoundError as error:
        raise ValueError(f"logic needs {error.name}: pip install 'jominy[tasks]'") from error
    return reasoning
