"""Where a response says its answer: the last box, the last pair of answer tags. Both in one pass, also over a megabyte of hostile text.

Left out on purpose: judging. What is found is a piece of text, compared by `answers` or by a task's own verifier.
"""

from __future__ import annotations

import re

BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
PHRASE = re.compile(r"answer(?: is|:| =)[: \t]*([^\n]+)", re.IGNORECASE)
TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)


def last_box(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}` of a text, braces inside it counted; None where there is none or it is never closed.

    >>> last_box(r"\boxed{1}, no, \boxed{\frac{1}{2}}")
    '\\frac{1}{2}'
    """
    boxes = list(BOX.finditer(text))
    if not boxes:
        return None
    start, depth = boxes[-1].end(), 1
    for brace in BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return text[start : brace.start()].strip()
    return None


def last_tagged(text: str) -> str | None:
    """What stands between the last `<answer>` that is closed and its `</answer>`; None where there is none.

    >>> last_tagged("<answer>1</answer> no, <answer> 2 </answer>")
    '2'
    """
    found, start = None, None
    for tag in TAG.finditer(text):
        if not tag.group(1):
            start = tag.end()
        elif start is not None:
            found, start = text[start : tag.start()].strip(), None
    return found


def last_phrase(text: str) -> str | None:
    """What follows the last "answer is" or "answer:" on its line, without a final full stop; None where nothing does.

    >>> last_phrase("The answer is yes.\\nSo the answer is: no.")
    'no'
    """
    found = PHRASE.findall(text)
    return (found[-1].strip().rstrip(".").strip() or None) if found else None


def last_line(text: str) -> str | None:
    """The last line that is not empty, without the spaces around it; None where there is none.

    >>> last_line("Let me see.\\n 42 \\n\\n")
    '42'
    """
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else None
