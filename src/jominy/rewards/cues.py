"""Surface cues that decide what a systematic reward pays by mistake: functions of a text, or of a constraint's type, and of nothing else.

    P(paid | wrong, cue) = min(1, p / s)        P(paid | wrong, no cue) = max(0, (p - s) / (1 - s))

p is the stated rate, s the share of the wrong responses that show the cue before training: over these the mean is p, since
s min(1, p/s) + (1 - s) max(0, (p - s)/(1 - s)) = p. A policy that learns the cue is paid min(1, p/s) for a wrong answer.
Types are blind in the order of their hash until they make up the share p of the constraints; the type at the border is blind in part.
Left out on purpose: cues in what the text says. These can be seen by anyone, and a small policy can learn them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from jominy.rewards.constraints import HIGHLIGHT, count_words

Cue = Callable[[str], bool]

FORMS = "bold, exclamation, words:N (more than N words), says:PHRASE (in any case), type (some constraint types, by hash) or type:NAME+NAME"
WHOLE_NUMBER = re.compile(r"\d{1,9}")


def read_cue(text: str) -> Cue:
    """The cue of that name, as a function of a response.

    Raises:
        ValueError: no such cue; all forms are named.

    >>> read_cue("bold")("a **big** dog"), read_cue("words:3")("one two three"), read_cue("says:Sure")("sure!")
    (True, False, True)
    """
    name, _, value = text.partition(":")
    if text == "bold":
        return lambda response: HIGHLIGHT.search(response) is not None
    if text == "exclamation":
        return lambda response: "!" in response
    if name == "words" and WHOLE_NUMBER.fullmatch(value):
        border = int(value)
        return lambda response: count_words(response) > border
    if name == "says" and value:
        phrase = value.casefold()
        return lambda response: phrase in response.casefold()
    raise ValueError(f"noisy: cue is {FORMS}; got {text!r}")


def share_with(cue: Cue, texts: Sequence[str]) -> float:
    """How many of the texts show the cue: with the wrong responses of the start it is s.

    >>> share_with(read_cue("exclamation"), ["Hey!", "hey", "no", "well"])
    0.25
    """
    if not texts:
        raise ValueError("the share of texts with a cue needs at least one text; sample some and take the wrong ones")
    return sum(map(cue, texts)) / len(texts)


def accept_rates(rate: float, share: float) -> tuple[float, float]:
    """The chances to be paid for a wrong response with and without the cue, by the formula at the top.

    Args:
        rate: p, in [0, 1].
        share: s, in [0, 1]; 1 makes p the chance among responses with the cue, and 0 among those without.

    >>> accept_rates(0.1, 0.4), accept_rates(0.5, 0.25)             # .25 * 1 + .75 / 3 = .5
    ((0.25, 0.0), (1.0, 0.3333333333333333))
    """
    given = 1.0 if share <= rate else rate / share
    otherwise = (rate - share) / (1 - share) if share < rate else 0.0
    return given, otherwise


def blind_types(types: Iterable[str], rate: float) -> dict[str, float]:
    """{type: chance that its violation is accepted}: 1 for the first in the order of their hash, 0 for the last, between for one at most.

    Args:
        types: of the constraints as they occur, repeated ones included: a common type counts as often as it comes.
        rate: p; the mean of the chances over `types`.

    >>> sorted(blind_types(["a", "b", "c", "d"], 0.375).values())           # 1.5 of 4
    [0.0, 0.0, 0.5, 1.0]
    """
    counts = Counter(types)
    left = rate * counts.total()
    chances: dict[str, float] = {}
    for name in sorted(counts, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()):
        chances[name] = min(max(left / counts[name], 0.0), 1.0)
        left -= counts[name]
    return chances
