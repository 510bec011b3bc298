"""Words of the command line as values, for all verbs."""

from __future__ import annotations

from collections.abc import Sequence

EXIT_VERDICT = 3
"""The verdict is as bad as --fail-on says."""


def pairs_in(words: Sequence[str]) -> dict[str, str]:
    """`a=b` words as a dictionary.

    >>> pairs_in(["reward=score"])
    {'reward': 'score'}
    """
    for word in words:
        if "=" not in word:
            raise ValueError(f"{word!r} is no pair; write name=value")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def number_in(word: str) -> float:
    """A word as a number, or a message that says which word is none."""
    try:
        return float(word)
    except ValueError as error:
        raise ValueError(f"{word!r} is no number") from error
