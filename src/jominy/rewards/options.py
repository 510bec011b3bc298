"""The options of a task or a reward, as they stand behind its name: `digits=3,operators=+-` becomes a table of texts.

A comma starts a new option only where `name=` follows, so `operators=(1,2)` is one value.
Left out on purpose: types. Each task or reward reads its own values, because only it can say what is wrong with them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

SEPARATOR = re.compile(r",(?=\s*\w+\s*=)")


def read_options(task: str, options: str, known: Collection[str]) -> dict[str, str]:
    """The options that are given.

    Args:
        task: for the error message.
        options: what stands behind the colon; may be empty.
        known: the names of all options there are.

    Raises:
        ValueError: an option has no `=`, is unknown (close matches are named) or is given twice.

    >>> read_options("arithmetic", "digits=3,operators=+-", ["digits", "operators", "terms"])
    {'digits': '3', 'operators': '+-'}
    """
    given: dict[str, str] = {}
    for pair in SEPARATOR.split(options) if options.strip() else []:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ValueError(
                f"{task}: option {pair!r} has no value; write name=value, where a name is {', '.join(known) or '(there is none)'}"
            )
        if name not in known:
            raise ValueError(f"{task}: no option {name!r}; {did_you_mean(name, known)}there are {', '.join(known) or 'none'}")
        if name in given:
            raise ValueError(f"{task}: option {name!r} is given twice")
        given[name] = value
    return given


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Half a sentence with the close matches, or nothing.

    >>> did_you_mean("digit", ["digits", "terms"])
    'did you mean digits? '
    """
    close = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(close)}? " if close else ""


def one_of(reward: str, name: str, value: str, known: Collection[str]) -> None:
    """Raises ValueError where an option has none of its values.

    >>> one_of("judge", "mode", "batch", ("batch", "pointwise"))
    """
    if value not in known:
        raise ValueError(f"{reward}: {name} is one of {', '.join(known)}; got {value!r}")
