"""The same constraint said hard or soft: in words that code can decide as they stand, or in words that need judgement.

    hard   "Use fewer than 15 words."        soft   "Keep it really short."

A soft wording is OUR construction (choice 4 for 2601.04954, whose own soft constraints have human labels): it asks for what the hard one
asks, and its truth is still the verdict of the hard one's checker, hidden from whoever judges. So the truth is exact, and stricter or
laxer at the border than a reader of the soft words might be: 16 words are short to a reader and too long for the checker.
Every rendering of a seed has the same requests, types, parameters and order (`matched`). Each constraint has one number u in [0, 1) by
seed and prompt, and is soft where u < soft share and it can be said softly: what is soft at a share is soft at every larger one.
`subset` is the literal reading of the paper's hard-only and soft-only sets instead: of a mixed set, only the constraints of that kind stay.
The types in `HARD_ONLY` have no soft wording: softly said, what most readers would accept would fail their checker.
LIMIT: a subset changes the number and the content of the constraints with their kind; compare kinds by matched renderings.
Left out: soft constraints whose truth nobody knows; the benchmarks have them (`tasks.followbench`, `tasks.cfbench`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jominy.records import Message, Prompt
from jominy.rewards.aggregating import KINDS, Kind
from jominy.tasks.constraint_answers import wrong_text
from jominy.tasks.identity import identify

SHARE_OF: Mapping[str, float] = {"hard": 0.0, "soft": 1.0, "mixed": 0.5}
"""{rendering: soft share}; only that of `mixed` can be set."""

SOFT_WORDINGS: Mapping[str, tuple[str, ...]] = {
    "include_word": ("Make sure that {word} comes up.", "Do not forget to bring up {word}."),
    "repeat_word": ("Keep coming back to {word}.", "Let {word} come up again and again."),
    "no_commas": ("Let no sentence pause in the middle.", "Keep the punctuation as plain as can be."),
    "no_digits": ("Keep figures out of it.", "Spell everything out in plain words."),
    "include_digit": ("Be precise and give some figure.", "Back it up with a figure."),
    "question": ("Draw the reader in by asking something.", "Sound curious."),
    "exclamation": ("Sound excited.", "Show a lot of enthusiasm."),
    "under_15_words": ("Keep it really short.", "Answer very briefly."),
    "at_least_words": ("Go into some detail.", "Do not be too brief."),
    "sentences": ("Say it in {vague} sentences.", "Keep it to {vague} sentences."),
    "three_bullets": ("Make it easy to skim, as a few short points.", "Break it down into a handful of quick points."),
    "numbered_list": ("Lay it out as {vague} points in order.", "Walk through it in {vague} steps."),
    "two_paragraphs": ("Split it into two clearly separate parts.", "Let the eye rest once, halfway through."),
    "highlight": ("Make the most telling word stand out.", "Put weight on what matters most."),
    "postscript": ("Close with an afterthought, as in a letter.", "Add a last thought below, as letters do."),
    "all_lowercase": ("Type like someone who never reaches for the shift key.", "Write in a small and unassuming type."),
    "all_capitals": ("Sound as if you were shouting every word.", "Write as loud as letters can be."),
    "quoted": ("Give the whole answer as a quotation.", "Let it all be somebody's spoken words."),
}
"""{type: ways to ask for it that need judgement}; `{vague}` says a count vaguely, other names stand for parameters."""

HARD_ONLY = ("forbid_word", "no_letter", "starts_with", "ends_with", "title", "placeholder", "json")
"""Types that stay hard in every rendering: an exact word, letter, phrase or sign that no vaguer word asks for."""

VAGUE: Mapping[int, str] = {2: "a couple of", 3: "a few", 4: "a handful of"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """Which constraints of a drawn prompt are said softly, and which of them stay.

    Example: Rendering(soft_share=0.5)
    """

    soft_share: float = 0.0
    """Chance that a constraint which has a soft wording is said softly, 0 to 1."""
    subset: Kind | None = None
    """Only constraints of this kind stay, and prompts with at least one; None keeps all."""


HARD = Rendering()


def split_rendering(options: str) -> tuple[Rendering, str]:
    """(how to render, the other options) from the text after `constraints:`.

    Raises:
        ValueError: a rendering, share or subset that does not exist, or two of them that contradict each other.

    >>> split_rendering("title,rendering=mixed,soft_share=0.25,count=1")
    (Rendering(soft_share=0.25, subset=None), 'title,count=1')
    """
    given: dict[str, str] = {}
    rest = []
    for part in (piece.strip() for piece in options.split(",")):
        key, equals, value = (text.strip() for text in part.partition("="))
        if equals and key in ("rendering", "soft_share", "subset"):
            if key in given:
                raise ValueError(f"constraints: {key} is given twice")
            given[key] = value
        elif part:
            rest.append(part)
    subset = _subset(given.get("subset"))
    name = given.get("rendering", "hard" if subset is None else "mixed")
    if name not in SHARE_OF:
        raise ValueError(f"constraints: rendering must be one of {', '.join(SHARE_OF)}; got {name!r}")
    if name != "mixed" and (subset is not None or "soft_share" in given):
        raise ValueError(f"constraints: rendering={name} has one kind of constraint; soft_share and subset need rendering=mixed")
    share = _share(given["soft_share"]) if "soft_share" in given else SHARE_OF[name]
    return Rendering(soft_share=share, subset=subset), ",".join(rest)


def _subset(value: str | None) -> Kind | None:
    if value is None:
        return None
    for kind in KINDS:
        if value == kind:
            return kind
    raise ValueError(f"constraints: subset must be hard or soft; got {value!r}")


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"constraints: soft_share must be a number from 0 to 1; got {value!r}")
    return share


def check_rendering(rendering: Rendering, types: Sequence[str]) -> None:
    """Nothing, when these types can have constraints of the kind that stays.

    Raises:
        ValueError: they cannot, so that there would be no prompts.
    """
    can_be_soft = rendering.soft_share > 0 and any(name in SOFT_WORDINGS for name in types)
    can_be_hard = rendering.soft_share < 1 or any(name not in SOFT_WORDINGS for name in types)
    if not {"soft": can_be_soft, "hard": can_be_hard, None: True}[rendering.subset]:
        raise ValueError(
            f"constraints: no {rendering.subset} constraint among {', '.join(types)} at soft_share={rendering.soft_share:g}; "
            f"only hard are {', '.join(HARD_ONLY)}"
        )


def lay_out(request: str, texts: Sequence[str], is_last: Sequence[bool]) -> tuple[str, list[list[int]]]:
    """(the message, the [start, end) of each text in it): request and texts with a blank between, those that come last at the end.

    >>> lay_out("Hi.", ["A:\\n* b", "C."], [True, False])
    ('Hi. C. A:\\n* b', [[7, 13], [4, 6]])
    """
    message, spans = request, [[0, 0] for _ in texts]
    for place in sorted(range(len(texts)), key=lambda place: is_last[place]):
        start = len(message) + 1
        message = f"{message} {texts[place]}"
        spans[place] = [start, len(message)]
    return message, spans


def with_keys(
    request: str, constraints: Sequence[Mapping[str, Any]], kinds: Sequence[Kind], is_last: Sequence[bool]
) -> tuple[str, list[dict[str, Any]]]:
    """(the message, the constraints with kind, span and truth) from {"type", "params", "text"} each."""
    message, spans = lay_out(request, [constraint["text"] for constraint in constraints], is_last)
    return message, [
        {**constraint, "kind": kind, "span": span, "truth": True} for constraint, kind, span in zip(constraints, kinds, spans, strict=True)
    ]


def render(prompt: Prompt, rendering: Rendering, seed: int) -> Prompt | None:
    """The prompt, drawn hard, in this rendering; itself where nothing changes, None where no constraint stays.

    `info["matched"]` is the id of the hard one, equal over renderings. Different hard wordings may share a soft one, so the id of a
    prompt with soft constraints also hashes what they stand for: two prompts may say the same and have different hidden truths.
    """
    if rendering == HARD:
        return prompt
    rng = random.Random(f"constraints rendering {seed} {prompt.id}")
    hard: list[Mapping[str, Any]] = prompt.info["constraints"]
    kept: list[tuple[Mapping[str, Any], dict[str, Any], Kind]] = []
    for constraint in hard:
        number, softly = rng.random(), _softly(constraint, rng)
        kind: Kind = "soft" if softly is not None and number < rendering.soft_share else "hard"
        text = softly if softly is not None and kind == "soft" else constraint["text"]
        if rendering.subset in (None, kind):
            kept.append((constraint, {"type": constraint["type"], "params": constraint["params"], "text": text}, kind))
    if not kept:
        return None
    meant = [constraint["text"] for constraint, _, _ in kept]
    kinds = [kind for _, _, kind in kept]
    content, constraints = with_keys(prompt.info["base"], [said for _, said, _ in kept], kinds, ["\n" in text for text in meant])
    messages = (Message(role="user", content=content),)
    types = [constraint["type"] for constraint in constraints]
    broken = prompt.info["broken"] if prompt.info["broken"] in types else types[0]
    return replace(
        prompt,
        id=identify("constraints", messages, json.dumps(meant) if "soft" in kinds else None),
        messages=messages,
        wrong_answer=wrong_text(prompt.info["word"], constraints, broken),
        info={**prompt.info, "constraints": constraints, "types": types, "broken": broken, "matched": prompt.id},
    )


def _softly(constraint: Mapping[str, Any], rng: random.Random) -> str | None:
    """Its soft wording; None where the type has none. Takes as much from `rng` for every type."""
    choice = rng.random()
    wordings = SOFT_WORDINGS.get(constraint["type"], ())
    if not wordings:
        return None
    params = constraint["params"]
    return wordings[int(choice * len(wordings))].format(**params, vague=VAGUE.get(params.get("count", 0), "several"))
