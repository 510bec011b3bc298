"""Does the model know these prompts by heart? What it makes of their beginnings, against what really follows.

    EM        share of continuations whose first words are exactly the words that follow, n of them where n follow
    ROUGE-L   F = 2 LCS / (words said + words that follow),  LCS the longest common subsequence of words (Lin 2004)
    accuracy  share of continuations that hold the right answer, which stands nowhere in the beginning

of 40, 60 and 80 % of a prompt, continued by the most likely words without a chat template (2507.10532, as 2508.21188 uses it). The share is
counted in characters and cut at the last end of a word at or before it, one word at least on either side. What all prompts of a task end
with is its instruction, not the question: it is taken off first. The continuation is compared up to as many words as follow.

None of the papers says from where on a number means contamination. Ours: EM at 60 % above 5 %, or accuracy at 60 % above that of fresh
prompts, which nobody can have seen, by more than three standard errors.
Left out: the papers' evaluation of pass@1 on older and newer benchmarks, which needs both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.records import Bools, Floats, Measure, Paper
from jominy.stats import share_interval, wilson

PERCENTS = (40, 60, 80)
DECIDING = 60
"""The beginning that a finding rests on, in per cent."""
WORD = re.compile(r"[^\W_]+")
MEMORY = Paper(arxiv="2507.10532", title="Reasoning or Memorization?", where="partial-prompt completion and answer accuracy")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Continued:
    """What the model made of the beginnings of some prompts.

    Example: Continued(said=(" 9 + 4? 13",), follows=("9 + 4?",), right=(True,))
    """

    said: Sequence[str]
    """[P] continuations."""
    follows: Sequence[str]
    """[P] what really follows."""
    right: Sequence[bool | None]
    """[P] whether the continuation holds the right answer; None where the prompt has none, or it could not be graded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """What the probe shows.

    Example: measure_contamination({60: own}, {60: fresh}, fresh="...", same_source=False).exact.value
    """

    measures: tuple[Measure, ...]
    """Every number, by share of the prompt, then of the control."""
    exact: Measure
    """EM at 60 %."""
    answers: Measure
    """Accuracy at 60 %."""
    excess: Measure
    """Accuracy at 60 % above the control's, in standard errors."""
    fresh: str
    """What the control is, for a person."""
    same_source: bool
    """Whether the control is made as the prompts themselves are: by seed, so that neither can have been seen."""


def without_common_ending(texts: Sequence[str]) -> list[str]:
    """The texts without the words that all of them end with, which are an instruction; all of them where there are fewer than two.

    >>> without_common_ending(["What is 2? Say it.", "And 3? Say it."])
    ['What is 2?', 'And 3?']
    """
    distinct = {tuple(text.split()) for text in texts}
    if len(distinct) < 2:
        return list(texts)
    ends = [words[::-1] for words in distinct]
    shared = 0
    while all(len(end) > shared + 1 and end[shared] == ends[0][shared] for end in ends):
        shared += 1
    return [_without_words(text, shared) for text in texts]


def _without_words(text: str, num_words: int) -> str:
    starts = [found.start() for found in re.finditer(r"\S+", text)]
    return text[: starts[len(starts) - num_words]].rstrip() if num_words else text.rstrip()


def cut(text: str, percent: int) -> tuple[str, str] | None:
    """A text as (beginning, what follows), cut as the top of this file says; None for a text of one word.

    >>> cut("What is 9 + 4?", 60)               # 8.4 of 14 characters: "What is" ends at 7, "What is 9" at 9
    ('What is', '9 + 4?')
    """
    ends = [found.end() for found in re.finditer(r"\S+", text)]
    if len(ends) < 2:
        return None
    end = max((end for end in ends[:-1] if 100 * end <= percent * len(text)), default=ends[0])
    return text[:end], text[end:].strip()


def says_exactly(said: str, follows: str) -> bool:
    """Whether the first words of a continuation are the words that follow, letter for letter; white space between them may differ.

    >>> says_exactly(" 9 + 4? It is 13.", "9 + 4?"), says_exactly("9 + 5?", "9 + 4?")
    (True, False)
    """
    words = follows.split()
    return said.split()[: len(words)] == words


def rouge_l(said: str, reference: str) -> float:
    """F-measure of the longest common subsequence of words (letters and digits, in any case); 0 where one has no words.

    >>> round(rouge_l("the cat sat", "The cat is sitting"), 3)          # LCS 2: precision 2/3, recall 2/4
    0.571
    """
    first, second = (WORD.findall(text.casefold()) for text in (said, reference))
    common = common_words(first, second)
    return 2 * common / (len(first) + len(second)) if common else 0.0


def common_words(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of two lists of words, a row of the table at a time."""
    numbers: dict[str, int] = {}
    second_T = np.array([numbers.setdefault(word, len(numbers)) for word in second], dtype=np.int64)
    longest_T1 = np.zeros(len(second) + 1, dtype=np.int64)
    for word in first:
        diagonal_T = longest_T1[:-1] + (second_T == numbers.get(word, -1))
        longest_T1[1:] = np.maximum.accumulate(np.maximum(longest_T1[1:], diagonal_T))
    return int(longest_T1[-1])


def measure_contamination(
    own: Mapping[int, Continued], control: Mapping[int, Continued], *, fresh: str, same_source: bool
) -> Contamination:
    """Exact matches, ROUGE-L and answer accuracy of both sets, and how far the answers exceed the control's.

    Args:
        own: per cent of the prompt -> continuations of the task's prompts.
        control: the same of fresh prompts.
        fresh: what these are.
        same_source: whether they are made as the task's prompts are.
    """
    found: dict[tuple[int, str], tuple[Measure, Measure, Measure]] = {}
    nothing = Continued(said=(), follows=(), right=())
    for percent in PERCENTS:
        found[percent, ""] = _measures_of(own.get(percent, nothing), percent, "")
        found[percent, "fresh"] = _measures_of(control.get(percent, nothing), percent, "fresh ")
    exact, _, answers = found[DECIDING, ""]
    excess = _excess(own.get(DECIDING, nothing), control.get(DECIDING, nothing))
    measures = (*(measure for three in found.values() for measure in three), excess)
    return Contamination(measures=measures, exact=exact, answers=answers, excess=excess, fresh=fresh, same_source=same_source)


def _measures_of(continued: Continued, percent: int, which: str) -> tuple[Measure, Measure, Measure]:
    pairs = list(zip(continued.said, continued.follows, strict=True))
    exact_P = np.array([says_exactly(said, follows) for said, follows in pairs], dtype=bool)
    rouge_P = np.array([rouge_l(" ".join(said.split()[: len(follows.split())]), follows) for said, follows in pairs])
    right_V = np.array([right for right in continued.right if right is not None], dtype=bool)
    prompts = "of the fresh prompts" if which else "of the prompts"
    begun = f"from {percent} % {prompts}, continued by the most likely words"
    return (
        _share(f"{which}exact match at {percent} %", exact_P, 0, f"The rest word for word, {begun}."),
        _rouge(f"{which}ROUGE-L at {percent} %", rouge_P, f"Words of the rest in their order, {begun}."),
        _share(
            f"{which}answer accuracy at {percent} %",
            right_V,
            len(continued.right) - len(right_V),
            f"The right answer to a question of which only a part was shown, {begun}.",
        ),
    )


def _share(name: str, hits_P: Bools, num_left_out: int, meaning: str) -> Measure:
    num_prompts = len(hits_P)
    interval = wilson(int(hits_P.sum()), num_prompts)
    return Measure(
        name=name,
        value=float(hits_P.mean()) if num_prompts else None,
        low=interval.low,
        high=interval.high,
        num_prompts=num_prompts,
        num_left_out=num_left_out,
        why_none="" if num_prompts else "no continuation could be judged so",
        meaning=meaning,
        paper=MEMORY,
    )


def _rouge(name: str, rouge_P: Floats, meaning: str) -> Measure:
    interval = share_interval(rouge_P)
    return Measure(
        name=name,
        value=float(rouge_P.mean()) if len(rouge_P) else None,
        low=interval.low,
        high=interval.high,
        num_prompts=len(rouge_P),
        why_none="" if len(rouge_P) else "there is no continuation",
        meaning=meaning,
        paper=MEMORY,
    )


def _excess(own: Continued, control: Continued) -> Measure:
    """(p1 - p2) / se, the error from shares with one right and one wrong answer added (Agresti & Caffo 2000): 0 of n has an error too."""
    sides = [[right for right in side.right if right is not None] for side in (own, control)]
    shell = Measure(
        name=f"answer accuracy at {DECIDING} % above fresh prompts",
        value=None,
        unit="z",
        meaning="By how many standard errors the right answer comes more often than with fresh prompts; a count of errors has no interval.",
        paper=MEMORY,
    )
    if not all(sides):
        return replace(shell, why_none="the prompts, or the fresh ones, have no answer that could be graded")
    shares = [sum(side) / len(side) for side in sides]
    smoothed = [(sum(side) + 1) / (len(side) + 2) for side in sides]
    error = math.sqrt(sum(share * (1 - share) / (len(side) + 2) for share, side in zip(smoothed, sides, strict=True)))
    return replace(shell, value=(shares[0] - shares[1]) / error, num_prompts=len(sides[0]))
