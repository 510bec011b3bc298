"""Whether a text follows constraints that code can decide: one checker a constraint type, and the reward that asks all of them.

    reward = 1 if every constraint of the prompt holds, else 0;        parts = {type: 1 or 0}

A constraint stands in `Prompt.info["constraints"]` as {"type": ..., "params": {...}, "text": ...}. Every checker is a plain
function of (text, params) and takes time linear in the text. A blank text follows nothing: silence must not be rewarded.
A word is a stretch without white space that has a letter or a digit in it; letters are matched in any case unless said.
Left out: what the text says. These checkers see form only, so a policy that learns them may answer beside the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

from jominy.records import Prompt, Reward

Params = Mapping[str, Any]
Checker = Callable[[str, Params], bool]

BULLET = re.compile(r"^[ \t]*[*•-][ \t]+\S", re.MULTILINE)
NUMBERED = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]+\S", re.MULTILINE)
TITLE = re.compile(r"<<[^<>\n]*[^<>\s][^<>\n]*>>")
HIGHLIGHT = re.compile(r"\*\*[^*\n]+\*\*")
PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
POSTSCRIPT = re.compile(r"^[ \t]*P\.[ \t]?S\.", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*]*\s+")


def count_words(text: str) -> int:
    """Stretches without white space that have a letter or a digit: a bullet sign alone is no word.

    >>> count_words("* Don't stop - go!")
    3
    """
    return sum(any(character.isalnum() for character in piece) for piece in text.split())


def count_sentences(text: str) -> int:
    """Pieces between a sentence end (. ! ? and white space) and the next that have a letter or a digit.

    >>> count_sentences("Wait! Is it so? It is")
    3
    """
    return sum(count_words(piece) > 0 for piece in SENTENCE_END.split(text))


def count_occurrences(text: str, word: str) -> int:
    """How often the whole word stands in the text, in any case.

    >>> count_occurrences("Sea, seas and SEA.", "sea")
    2
    """
    return len(re.findall(rf"\b{re.escape(word)}\b", text, re.IGNORECASE))


def count_paragraphs(text: str) -> int:
    """Runs of lines that are not blank.

    >>> count_paragraphs("one\\nstill one\\n\\ntwo")
    2
    """
    return sum(not blank for blank, _ in groupby(text.split("\n"), key=lambda line: not line.strip()))


def is_json_object(text: str) -> bool:
    """Whether the whole text is one JSON object, a markdown code fence around it allowed.

    >>> is_json_object('{"answer": "yes"}'), is_json_object('Here: {"answer": "yes"}')
    (True, False)
    """
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


CHECKERS: Mapping[str, Checker] = {
    "include_word": lambda text, params: count_occurrences(text, params["word"]) >= 1,
    "repeat_word": lambda text, params: count_occurrences(text, params["word"]) >= params["count"],
    "forbid_word": lambda text, params: count_occurrences(text, params["word"]) == 0,
    "no_letter": lambda text, params: params["letter"] not in text.lower(),
    "no_commas": lambda text, params: "," not in text,
    "no_digits": lambda text, params: not any(character.isdigit() for character in text),
    "include_digit": lambda text, params: any(character.isdigit() for character in text),
    "question": lambda text, params: "?" in text,
    "exclamation": lambda text, params: "!" in text,
    "starts_with": lambda text, params: text.lstrip().startswith(params["phrase"]),
    "ends_with": lambda text, params: text.rstrip().endswith(params["phrase"]),
    "under_15_words": lambda text, params: count_words(text) < 15,
    "at_least_words": lambda text, params: count_words(text) >= params["count"],
    "sentences": lambda text, params: count_sentences(text) == params["count"],
    "three_bullets": lambda text, params: len(BULLET.findall(text)) == 3,
    "numbered_list": lambda text, params: len(NUMBERED.findall(text)) == params["count"],
    "two_paragraphs": lambda text, params: count_paragraphs(text) == 2,
    "title": lambda text, params: TITLE.search(text) is not None,
    "highlight": lambda text, params: HIGHLIGHT.search(text) is not None,
    "placeholder": lambda text, params: PLACEHOLDER.search(text) is not None,
    "postscript": lambda text, params: POSTSCRIPT.search(text) is not None,
    "all_lowercase": lambda text, params: text.islower(),
    "all_capitals": lambda text, params: text.isupper(),
    "quoted": lambda text, params: len(text.strip()) > 2 and text.strip()[0] == '"' and text.strip()[-1] == '"',
    "json": lambda text, params: is_json_object(text),
}
"""{type: (text, params) -> whether it holds}, for a text that is not blank. The text is the response as it was decoded."""


def follows(constraint: Mapping[str, Any], text: str) -> bool:
    """Whether the text follows one constraint, given as {"type", "params"}; a blank text follows none.

    >>> follows({"type": "no_commas", "params": {}}, "Well, no."), follows({"type": "no_commas", "params": {}}, "  ")
    (False, False)
    """
    checker = CHECKERS.get(constraint["type"])
    if checker is None:
        raise ValueError(f"unknown constraint type {constraint['type']!r}; there are {', '.join(CHECKERS)}")
    return bool(text.strip()) and checker(text, constraint["params"])


def grade(prompt: Prompt, text: str) -> Reward:
    """1 if the text follows every constraint of the prompt, else 0; `parts` has 1 or 0 for each type.

    Raises:
        ValueError: the prompt has no constraints in its `info`, or one of an unknown type.
    """
    constraints = prompt.info.get("constraints")
    if not constraints:
        raise ValueError(
            f"prompt {prompt.id} of task {prompt.task!r} has no 'constraints' in its info; this reward grades the constraints task"
        )
    parts = {constraint["type"]: float(follows(constraint, text)) for constraint in constraints}
    return Reward(value=min(parts.values()), parts=parts)


def grade_loosely(prompt: Prompt, text: str) -> Reward:
    """`grade` of the best of eight variants: without its first line, its last line, both, each also without asterisks.

    As IFEval's loose judgement (2311.07911): an opening or closing phrase and markdown do not count against a response.

    Raises:
        ValueError: as `grade`.
    """
    return max((grade(prompt, variant) for variant in loose_variants(text)), key=lambda reward: reward.value or 0.0)


def loose_variants(text: str) -> list[str]:
    """The text itself first, then what is left of it.

    >>> loose_variants("Sure!\\n*Yes*")
    ['Sure!\\n*Yes*', '*Yes*', 'Sure!', '', 'Sure!\\nYes', 'Yes', 'Sure!', '']
    """
    lines = text.split("\n")
    cuts = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    plain = [text, *cuts]
    return [*plain, *(variant.replace("*", "") for variant in plain)]
