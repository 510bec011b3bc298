"""Instruction following by seed, without end: 200 plain requests, each with 1 to 3 of 25 constraints that code can check.

The k-th prompt of a seed takes its first constraint type and its request from shuffled decks, so that a set of any size is
balanced over types (counts differ by at most one) and over requests; further constraints are drawn from those that do not
conflict with the ones already there. A shorter set is the beginning of a longer one of the same seed. When a selection of
types has used up its plain prompts, the further ones name a reader to write for, four million times as many.
The gold answer is built from the constraints, the wrong one breaks exactly one of them (`constraint_answers`).
Each prompt can be said hard, soft or mixed with everything else the same (`renderings`); hard is the default.
How often SmolLM2-135M-Instruct follows each type stands in `docs/constraints.md`, with the command that measured it.
Left out: two constraints one of which decides the other (a numbered list has digits); they are in `CONFLICTS` too.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from jominy.records import Message, Prompt, Task
from jominy.rewards.aggregating import Kind
from jominy.rewards.constraints import grade, grade_loosely
from jominy.tasks.base_requests import BASE_REQUESTS
from jominy.tasks.constraint_answers import gold_text, wrong_text
from jominy.tasks.identity import identify
from jominy.tasks.renderings import Rendering, check_rendering, render, split_rendering, with_keys

Item = TypeVar("Item")

MAX_CONSTRAINTS = 3
MAX_TRIES = 20
"""Draws in a row that only repeat prompts before a type counts as used up; its further prompts name a reader."""

SHARE_BY_COUNT = (0.7, 0.2, 0.1)
"""Shares of prompts with 1, 2 and 3 constraints where three are allowed: mostly one, so that a small model can spread."""

FORBIDDEN_WORDS = ("very", "important", "many", "really", "great", "also", "people", "and")
RARE_LETTERS = ("q", "x", "z", "j")
OPENINGS = ("Sure", "Of course", "Here is")
CLOSINGS = ("That is all.", "The end.", "Hope this helps.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintType:
    """One kind of constraint: how it is said, and which parameters it can have.

    Example: ConstraintType(wordings=("Use at least {count} words.",), choices=lambda word: [{"count": 20}, {"count": 30}])
    """

    wordings: tuple[str, ...]
    """Ways to say it; `{name}` stands for a parameter."""
    choices: Callable[[str], Sequence[Mapping[str, Any]]] = lambda word: ({},)
    """(word of the request) -> the parameters to choose from; never empty."""


def _counts(*counts: int) -> Callable[[str], Sequence[Mapping[str, Any]]]:
    return lambda word: tuple({"count": count} for count in counts)


def _phrases(phrases: Sequence[str]) -> Callable[[str], Sequence[Mapping[str, Any]]]:
    return lambda word: tuple({"phrase": phrase} for phrase in phrases)


TYPES: Mapping[str, ConstraintType] = {
    "include_word": ConstraintType(
        wordings=('Include the word "{word}".', 'Use the word "{word}" at least once.'), choices=lambda word: ({"word": word},)
    ),
    "repeat_word": ConstraintType(
        wordings=('Use the word "{word}" at least {count} times.',), choices=lambda word: tuple({"word": word, "count": n} for n in (2, 3))
    ),
    "forbid_word": ConstraintType(
        wordings=('Do not use the word "{word}".', 'Avoid the word "{word}".'),
        choices=lambda word: tuple({"word": forbidden} for forbidden in FORBIDDEN_WORDS),
    ),
    "no_letter": ConstraintType(
        wordings=('Do not use the letter "{letter}" anywhere.',),
        choices=lambda word: tuple({"letter": letter} for letter in RARE_LETTERS if letter not in word),
    ),
    "no_commas": ConstraintType(wordings=("Do not use commas.", "Use only short sentences. Do not use commas.")),
    "no_digits": ConstraintType(wordings=("Do not use any digits.", "Your answer must not contain any digit.")),
    "include_digit": ConstraintType(wordings=("Include at least one number written in digits.",)),
    "question": ConstraintType(wordings=("Include at least one question.", "Ask at least one question in your answer.")),
    "exclamation": ConstraintType(wordings=("Use at least one exclamation mark.",)),
    "starts_with": ConstraintType(
        wordings=('Start your answer with "{phrase}".', 'Begin with the words "{phrase}".'), choices=_phrases(OPENINGS)
    ),
    "ends_with": ConstraintType(
        wordings=('End your answer with "{phrase}"', 'The last words of your answer must be "{phrase}"'), choices=_phrases(CLOSINGS)
    ),
    "under_15_words": ConstraintType(wordings=("Use fewer than 15 words.", "Answer in less than 15 words.")),
    "at_least_words": ConstraintType(wordings=("Use at least {count} words.",), choices=_counts(15, 20, 25)),
    "sentences": ConstraintType(wordings=("Write exactly {count} sentences.",), choices=_counts(2, 3)),
    "three_bullets": ConstraintType(
        wordings=("Answer with exactly three short bullet points, such as:\n* first\n* second\n* third",),
    ),
    "numbered_list": ConstraintType(wordings=("Answer with a numbered list of exactly {count} items.",), choices=_counts(3, 4)),
    "two_paragraphs": ConstraintType(wordings=("Write exactly two paragraphs with a blank line between them.",)),
    "title": ConstraintType(wordings=("Give your answer a title wrapped in double angular brackets, such as <<title>>.",)),
    "highlight": ConstraintType(wordings=("Highlight at least one word in bold, such as **word**.",)),
    "placeholder": ConstraintType(wordings=("Include at least one placeholder in square brackets, such as [name].",)),
    "postscript": ConstraintType(wordings=("Add a postscript that starts with P.S. at the end.",)),
    "all_lowercase": ConstraintType(wordings=("Write in lowercase letters only.", "Use only lowercase letters, no capital letters.")),
    "all_capitals": ConstraintType(wordings=("WRITE IN CAPITAL LETTERS ONLY.", "Use capital letters only.")),
    "quoted": ConstraintType(wordings=("Wrap your entire answer in double quotation marks.",)),
    "json": ConstraintType(wordings=("Answer with one JSON object and nothing else.",)),
}

_CONFLICTS_OF: Mapping[str, tuple[str, ...]] = {
    "json": (
        "starts_with", "ends_with", "sentences", "three_bullets", "numbered_list", "two_paragraphs",
        "title", "highlight", "postscript", "quoted",
    ),
    "quoted": ("starts_with", "ends_with"),
    "all_lowercase": ("all_capitals", "starts_with", "ends_with", "postscript"),
    "all_capitals": ("starts_with", "ends_with"),
    "sentences": (
        "question", "exclamation", "ends_with", "three_bullets", "numbered_list", "two_paragraphs", "title", "postscript",
    ),
    "three_bullets": ("numbered_list", "two_paragraphs"),
    "numbered_list": ("two_paragraphs", "include_digit", "no_digits"),
    "two_paragraphs": ("title", "postscript"),
    "postscript": ("ends_with",),
    "under_15_words": ("at_least_words",),
    "include_digit": ("no_digits",),
    "include_word": ("repeat_word",),
}  # fmt: skip
CONFLICTS: frozenset[frozenset[str]] = frozenset(frozenset((first, second)) for first, others in _CONFLICTS_OF.items() for second in others)
"""Pairs of types that no prompt has both of: they contradict each other, one decides the other, or their layouts compete."""

READERS = (
    "Ada",
    "Ben",
    "Cleo",
    "Dan",
    "Eva",
    "Finn",
    "Gita",
    "Hugo",
    "Ines",
    "Kofi",
    "Lena",
    "Milo",
    "Nora",
    "Omar",
    "Pia",
    "Rosa",
    "Sami",
    "Tara",
    "Vera",
    "Yara",
)
PLACES = (
    "in a small town",
    "in a big city",
    "on a farm",
    "on an island",
    "in a village",
    "on a hill",
    "by a harbor",
    "in a forest",
    "in a valley",
    "on a boat",
)
LIKES = (
    "chess",
    "tennis",
    "old films",
    "cooking",
    "gardens",
    "puzzles",
    "maps",
    "trains",
    "poems",
    "dancing",
    "stars",
    "dogs",
    "birds",
    "drums",
    "tea",
    "hats",
)


def compatible(types: Sequence[str]) -> bool:
    """Whether a prompt may have all these types: no type twice and no pair in `CONFLICTS`.

    >>> compatible(["no_commas", "title"]), compatible(["json", "title"]), compatible(["title", "title"])
    (True, False, False)
    """
    return all(
        first != second and frozenset((first, second)) not in CONFLICTS for at, first in enumerate(types) for second in types[at + 1 :]
    )


def make(options: str = "") -> Task:
    """The task, all types or a selection of them.

    Args:
        options: comma-separated; `name` selects a type (none selected: all), `count=N` allows up to N constraints a prompt,
            1 to 3 (default 3), `least=N` asks for no fewer (default 1). `rendering=hard` (default), `soft` or `mixed` says the same
            prompts so, `soft_share=X` from 0 to 1 (default 0.5) how many of a mixed set's constraints are soft, `subset=hard` or
            `soft` keeps only those of a mixed set. Example: "no_commas,three_bullets,count=1,rendering=soft".

    Raises:
        ValueError: an unknown type or key, a count outside 1 to 3, a type that goes with too few others for `least`, or a rendering without
            prompts.

    >>> task = make("no_commas,title,count=1")
    >>> sorted(prompt.info["types"] for prompt in task.prompts(4, 0))
    [['no_commas'], ['no_commas'], ['title'], ['title']]
    """
    rendering, others = split_rendering(options)
    least, others = _split_least(others)
    types, max_constraints = parse_options(others)
    check_rendering(rendering, types)
    _check_least(types, least, max_constraints)
    counts = range(least, max_constraints + 1)
    name = f"constraints:{options}" if options else "constraints"
    return Task(
        name=name,
        summary=f"instruction following, {len(types)} constraint types, up to {max_constraints} a prompt, by seed without end",
        prompts=lambda num_prompts, seed: _draw_prompts(name, types, counts, rendering, num_prompts, seed),
        reward=grade,
        lenient=grade_loosely,
    )


def parse_options(options: str) -> tuple[tuple[str, ...], int]:
    """(selected types, most constraints a prompt) from the text after `constraints:`, the rendering taken out; see `make`.

    >>> parse_options("title, count=1")
    (('title',), 1)
    """
    selected: list[str] = []
    max_constraints = MAX_CONSTRAINTS
    for part in (piece.strip() for piece in options.split(",")):
        key, equals, value = part.partition("=")
        if equals and key.strip() == "count" and value.strip() in ("1", "2", "3"):
            max_constraints = int(value)
        elif part in TYPES and part not in selected:
            selected.append(part)
        elif part and part not in selected:
            raise ValueError(
                f"constraints: cannot read option {part!r}; give count=1, 2 or 3, least=1, 2 or 3, rendering=hard, soft or mixed, "
                f"soft_share=0.5, subset=hard or soft, or types out of {', '.join(TYPES)}"
            )
    return tuple(selected) or tuple(TYPES), max_constraints


def _split_least(options: str) -> tuple[int, str]:
    """(fewest constraints a prompt, the other options)."""
    parts = [piece.strip() for piece in options.split(",")]
    given = [part for part in parts if part.partition("=")[0].strip() == "least"]
    values = {part.partition("=")[2].strip() for part in given}
    if len(given) > 1 or not values <= {"1", "2", "3"}:
        raise ValueError(f"constraints: least is given once, as 1, 2 or 3; got {', '.join(given)}")
    return int(values.pop()) if values else 1, ",".join(part for part in parts if part not in given)


def _check_least(types: Sequence[str], least: int, max_constraints: int) -> None:
    """Nothing, when every type goes with enough others."""
    if least > max_constraints:
        raise ValueError(f"constraints: least={least} is more than count={max_constraints}")
    enough = {name for chosen in itertools.combinations(types, least) if compatible(chosen) for name in chosen}
    if alone := [name for name in types if name not in enough]:
        raise ValueError(f"constraints: {', '.join(alone)} cannot be one of {least} constraints with others of {', '.join(types)}")


def _draw_prompts(task: str, types: Sequence[str], counts: range, rendering: Rendering, num_prompts: int, seed: int) -> list[Prompt]:
    """At most `num_prompts` prompts with distinct ids; fewer only when the selection has no more."""
    prompts: dict[str, Prompt] = {}
    if num_prompts > 0:
        for drawn in _hard_prompts(task, types, counts, seed):
            prompt = render(drawn, rendering, seed)
            if prompt is not None:
                prompts.setdefault(prompt.id, prompt)
            if len(prompts) == num_prompts:
                break
    return list(prompts.values())


def _hard_prompts(task: str, types: Sequence[str], counts: range, seed: int) -> Iterator[Prompt]:
    """Prompts with distinct ids, said hard, in the order in which every rendering takes them."""
    rng = random.Random(f"constraints {seed}")
    type_deck, request_deck = _shuffled_for_ever(types, rng), _shuffled_for_ever(BASE_REQUESTS, rng)
    seen: set[str] = set()
    used_up: set[str] = set()
    while True:
        first = next(type_deck)
        for _ in range(MAX_TRIES):
            request, word = next(request_deck)
            if first in used_up:
                request = f"{request} {_draw_reader(rng)}"
            chosen = _draw_types(first, types, counts, rng)
            prompt = _make_prompt(task, request, word, chosen, rng)
            if prompt.id not in seen and len(chosen) >= counts[0]:
                seen.add(prompt.id)
                yield prompt
                break
        else:
            if first in used_up:
                return
            used_up.add(first)


def _shuffled_for_ever(items: Sequence[Item], rng: random.Random) -> Iterator[Item]:
    while True:
        yield from rng.sample(items, len(items))


def _draw_types(first: str, types: Sequence[str], counts: range, rng: random.Random) -> list[str]:
    """The first type and, by `SHARE_BY_COUNT`, further ones that do not conflict with it or with each other, as far as there are any."""
    count = rng.choices(counts, weights=[SHARE_BY_COUNT[number - 1] for number in counts])[0]
    chosen = [first]
    while len(chosen) < count:
        candidates = [name for name in types if compatible([*chosen, name])]
        if not candidates:
            break
        chosen.append(rng.choice(candidates))
    return chosen


def _draw_reader(rng: random.Random) -> str:
    first, second = rng.sample(LIKES, 2)
    return f"Write for {rng.choice(READERS)}, who is {rng.randint(7, 86)}, lives {rng.choice(PLACES)} and likes {first} and {second}."


def _make_prompt(task: str, request: str, word: str, types: Sequence[str], rng: random.Random) -> Prompt:
    constraints: list[dict[str, Any]] = []
    for name in types:
        params = dict(rng.choice(TYPES[name].choices(word)))
        constraints.append({"type": name, "params": params, "text": rng.choice(TYPES[name].wordings).format(**params)})
    examples = ["\n" in constraint["text"] for constraint in constraints]  # an example goes to the end
    kinds: list[Kind] = ["hard" for _ in constraints]
    content, constraints = with_keys(request, constraints, kinds, examples)
    messages = (Message(role="user", content=content),)
    broken = rng.choice(types)
    return Prompt(
        id=identify("constraints", messages, None),
        task=task,
        messages=messages,
        gold_answer=gold_text(word, constraints),
        wrong_answer=wrong_text(word, constraints, broken),
        info={"constraints": constraints, "types": list(types), "base": request, "word": word, "broken": broken},
    )
