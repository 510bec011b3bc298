"""Whether a text follows constraints that code can decide: one checker a constraint type, and the reward that asks all of them.

    reward = 1 if every constraint of the prompt holds, else 0;        parts = {type: 1 or 0}

A constraint stands in `Prompt.info["constraints"]` as {"type": ..., "params": {...}, "text": ..., "kind": ..., "span": ..., "truth": ...}:
`kind` says who pays (hard: code, soft: a judge), `span` is the [start, end) of its text in the characters of the last message (None where
it does not stand there as it is), `truth` whether code can tell if it holds. A soft one with `truth` is decided here all the same, hidden
from the judge; one without needs a judge, and its prompt is unscored here. Without these keys: hard, no span, truth.
Every checker is a plain function of (text, params) and takes time linear in the text. A blank text follows nothing: silence must not be
rewarded.
A word is a stretch without white space that has a letter or a digit in it; letters are matched in any case unless said.
Left out: what the text says. These checkers see form only, so a policy that learns them may answer beside the request.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from jominy.records import Prompt, Reward
from jominy.rewards.aggregating import aggregate

Params = Mapping[str, Any]
Checker = Callable[[str, Params], bool]

BULLET = re.compile(r"^[ \t]*[*•-][ \t]+\S", re.MULTILINE)
NUMBERED = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]+\S", re.MULTILINE)
TITLE = re.compile(r"<<[^<>\n]*[^<>\s][^<>\n]*>>")
HIGHLIGHT = re.compile(r"\*\*[^*\n]+\*\*")
PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
POSTSCRIPT = re.compile(r"^[ \t]*P\.[ \t]?S\.", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*]*\s+")

NEEDS_JUDGE = "a constraint that only a judge can decide; give one: --reward judge:http://HOST/v1,model=NAME"
"""Note of a reward that code alone cannot pay."""


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
    return len(sentences_of(text))


def sentences_of(text: str) -> list[str]:
    """Those pieces.

    >>> sentences_of("Wait! Is it so? - ")
    ['Wait!', 'Is it so?']
    """
    return [piece for piece in SENTENCE_END.split(text) if count_words(piece) > 0]


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


def _last(pattern: str, text: str) -> str | None:
    found = re.findall(pattern, text)
    return found[-1] if found else None


def _in_sentence(text: str, number: int, word: str) -> bool:
    """Whether the word stands in the sentence of that number, counted from 1; not where there is no such sentence."""
    sentences = sentences_of(text)
    return number <= len(sentences) and count_occurrences(sentences[number - 1], word) > 0


BENCHMARK_CHECKERS: Mapping[str, Checker] = {
    "exact_output": lambda text, params: text.strip() == params["target"].strip(),
    "one_of": lambda text, params: text.strip() in params["targets"],
    "lines_among": lambda text, params: all(line.strip() in params["targets"] for line in text.split("\n") if line.strip()),
    "contains": lambda text, params: params["target"] in text,
    "last_option": lambda text, params: _last(r"\([A-Z]\)", text) == params["target"],
    "last_date": lambda text, params: _last(r"\d{2}/\d{2}/\d{4}", text) == params["target"],
    "last_amount": lambda text, params: _last(r"\$\d+", text) == params["target"],
    "exact_words": lambda text, params: count_words(text) == params["count"],
    "under_words": lambda text, params: count_words(text) < params["count"],
    "short_sentences": lambda text, params: all(count_words(piece) < params["count"] for piece in sentences_of(text)),
    "words_by_sentence": lambda text, params: all(_in_sentence(text, at, word) for at, word in enumerate(params["words"], start=1)),
    "sentence_without": lambda text, params: not _in_sentence(text, params["number"], params["word"]),
    "no_stem": lambda text, params: params["stem"] not in text.lower(),
    "punctuation": lambda text, params: sum(character in string.punctuation for character in text) == params["count"],
}
"""The same for what the published benchmarks ask and code can decide (`tasks.followbench`); the constraints task draws none of them."""


def follows(constraint: Mapping[str, Any], text: str) -> bool:
    """Whether the text follows one constraint, given as {"type", "params"}; a blank text follows none.

    Raises:
        ValueError: no checker for the type; says how to mark a constraint that only a judge can decide.

    >>> follows({"type": "no_commas", "params": {}}, "Well, no."), follows({"type": "no_commas", "params": {}}, "  ")
    (False, False)
    """
    checker = CHECKERS.get(constraint["type"]) or BENCHMARK_CHECKERS.get(constraint["type"])
    if checker is None:
        raise ValueError(
            f"unknown constraint type {constraint['type']!r}; there are {', '.join([*CHECKERS, *BENCHMARK_CHECKERS])}; "
            'one that only a judge can decide needs "truth": false'
        )
    return bool(text.strip()) and checker(text, constraint["params"])


def constraints_of(prompt: Prompt) -> Sequence[Mapping[str, Any]]:
    """The constraints of a prompt, at least one.

    Raises:
        ValueError: the prompt has none in its `info`.
    """
    constraints: Sequence[Mapping[str, Any]] | None = prompt.info.get("constraints")
    if not constraints:
        raise ValueError(
            f"prompt {prompt.id} of task {prompt.task!r} has no 'constraints' in its info; this reward grades the constraints task"
        )
    return constraints


def kinds_of(prompt: Prompt) -> list[str]:
    """hard or soft, for each constraint of the prompt; hard where it does not say."""
    return [constraint.get("kind", "hard") for constraint in constraints_of(prompt)]


def truths_of(prompt: Prompt, text: str) -> list[bool | None]:
    """Whether the text follows each constraint of the prompt, by code; None where code cannot tell.

    Raises:
        ValueError: the prompt has no constraints, or code should decide one of an unknown type.
    """
    return [follows(constraint, text) if constraint.get("truth", True) else None for constraint in constraints_of(prompt)]


def part_names(constraints: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names for `Reward.parts`: the types; the second of a type is `type#2`.

    >>> part_names([{"type": "style"}, {"type": "format"}, {"type": "style"}])
    ['style', 'format', 'style#2']
    """
    types = [constraint["type"] for constraint in constraints]
    copies = [types[:at].count(name) for at, name in enumerate(types)]
    return [f"{name}#{count + 1}" if count else name for name, count in zip(types, copies, strict=True)]


def grade(prompt: Prompt, text: str) -> Reward:
    """1 if the text follows every constraint of the prompt, else 0; `parts` has 1 or 0 for each type that code can decide.

    Unscored when code cannot decide all of them: a judge has to pay then.

    Raises:
        ValueError: the prompt has no constraints in its `info`, or one of an unknown type.
    """
    return _graded(prompt, text, "all_pass")


def grade_by_mean(prompt: Prompt, text: str) -> Reward:
    """The share of the constraints that the text follows: `--reward jominy.rewards.constraints:grade_by_mean`. Else as `grade`."""
    return _graded(prompt, text, "mean")


def _graded(prompt: Prompt, text: str, aggregation: str) -> Reward:
    truths = truths_of(prompt, text)
    names = part_names(constraints_of(prompt))
    parts = {name: float(truth) for name, truth in zip(names, truths, strict=True) if truth is not None}
    value = aggregate(aggregation, kinds_of(prompt), [None if truth is None else float(truth) for truth in truths])
    return Reward(value=value, parts=parts, note=NEEDS_JUDGE if value is None else "")


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
