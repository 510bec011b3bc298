r"""Is the answer in this text equal to the target? Formulas and numbers by value (math-verify), words by spelling.

Owns two rules. Where the answer stands, the first of these that the text has, and of several the last:

    \boxed{...}     <answer>...</answer>     #### ...     "answer is ..." or "answer: ..."     the last line that is not empty

In the last two, which are prose, it is the last number or formula that math-verify finds there, or the words themselves when it finds
none. And when it is right: it is spelled like the target once spaces, case, dollar signs and LaTeX's spacing are dropped, or
`math_verify.verify` finds the two equal, target first as that comparison is not symmetric. A target of words (three letters or more)
must be spelled: as formulas, `eve` and `vee` are the same product.
Left out on purpose: the time limit. math-verify's own works by signal and in the main thread only; hostile answers (`10**10**10`) are
ended by the grading boundary, which kills the process.
Importing this module needs `math-verify` (the `tasks` extra) and takes half a second, on loading and not on the first response.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

import math_verify

from jominy.records import Prompt, Reward
from jominy.rewards.extraction import PHRASE, last_box, last_line, last_tagged

LONGEST_ANSWER = 2000
MARK = re.compile(r"####[ \t]*([^\n]+)")
SENTENCE_END = re.compile(r"\.\s")
WORDS = re.compile(r"[^\W\d_]{3,}(?:[ -][^\W\d_]+)*")
SPACING = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\[,;:! ]|\\displaystyle|\\?\$|~|\s+")
WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|mathbf|operatorname)\s*\{([^{}]*)\}")
SCIENTIFIC = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)[eE]([+-]?\d+)(?!\w)")

# It warns that its time limits are off; that is the design.
logging.getLogger("math_verify").setLevel(logging.ERROR)


def grade(prompt: Prompt, text: str) -> Reward:
    r"""1 when the answer in the text equals `prompt.target`, else 0; `answer` is what was found.

    An answer of more than 2,000 characters is wrong without being read.

    Raises:
        ValueError: the prompt has no target.

    >>> prompt = Prompt(id="a", task="math", messages=(), target=r"\frac{1}{2}")
    >>> grade(prompt, r"So it is $\boxed{0.5}$.")
    Reward(value=1.0, parts={}, answer='0.5', note='')
    """
    if prompt.target is None:
        raise ValueError(f"prompt {prompt.id} has no target to compare with")
    answer = extract_answer(text)
    return Reward(value=float(answer is not None and equal(prompt.target, answer)), answer=answer)


def extract_answer(text: str) -> str | None:
    r"""The answer by the rule at the top of this file; None where the text is empty or a box is never closed.

    >>> extract_answer(r"First \boxed{1}, no: \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    >>> extract_answer("I think\nthe answer is 12.")
    '12'
    """
    if "\\boxed" in text or "\\fbox" in text:
        return last_box(text)
    tagged = last_tagged(text)
    if tagged is not None:
        return tagged
    marked = MARK.findall(text)
    if marked:
        return _trimmed(marked[-1])
    phrases = PHRASE.findall(text)
    prose = phrases[-1] if phrases else last_line(text)
    return None if prose is None else _from_prose(prose)


def equal(target: str, answer: str) -> bool:
    """Whether an answer equals the target, by spelling or by value.

    >>> equal("0.5", "1/2"), equal("Paris", "  paris"), equal("2", "3")
    (True, True, False)
    """
    if len(answer) > LONGEST_ANSWER:
        return False
    if spelling(target) == spelling(answer):
        return True
    if WORDS.fullmatch(WRAPPED.sub(r"\1", target).strip()):
        return False
    return bool(math_verify.verify(list(_parsed(target)), list(_parsed(answer)), timeout_seconds=0))


def spelling(text: str) -> str:
    r"""A text without spaces, case, dollar signs, a final full stop and LaTeX's spacing and font commands.

    >>> spelling(r"$\left( 3, \tfrac12 \right)$.")
    '(3,\\frac12)'
    """
    bare = WRAPPED.sub(r"\1", text)
    return SPACING.sub("", bare).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").rstrip(".").casefold()


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    formula = SCIENTIFIC.sub(r"\1 \\times 10^{\2}", text.replace("\\$", "").replace("$", ""))
    return tuple(math_verify.parse(f"${formula}$", parsing_timeout=0))


def _trimmed(text: str) -> str | None:
    return text.strip().rstrip(".").strip() or None


def _from_prose(line: str) -> str | None:
    """The last number or formula of a sentence, as it is written there; else the sentence."""
    sentence = SENTENCE_END.split(line.strip(), maxsplit=1)[0][-LONGEST_ANSWER:]
    found = [part for part in math_verify.parse(sentence, parsing_timeout=0) if isinstance(part, str)]
    return _trimmed(found[-1] if found else sentence)
