"""The text that each token contributes, so that a page can shade a response token by token.

Joined, the pieces are the decoded response with its special tokens. A character spread over several tokens belongs to the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jominy.records import Ints

BROKEN = "\N{REPLACEMENT CHARACTER}"


def pieces_of(tokenizer: Any, token_ids: Ints, known: Sequence[str] = ()) -> tuple[str, ...]:
    """[T] strings; most tokenizers decode token by token as they decode the whole, the others prefix by prefix.

    Args:
        tokenizer: of transformers.
        token_ids: [T] tokens of one response.
        known: pieces of the first of them; kept where those of the others, each by itself, make up the whole behind them.
    """
    ids = [int(token) for token in token_ids]
    whole = tokenizer.decode(ids)
    for first in dict.fromkeys((tuple(known), ())):
        new = [[token] for token in ids[len(first) :]]
        # of an empty list some tokenizers make one text
        alone = (*first, *(tokenizer.batch_decode(new) if new else ()))
        if "".join(alone) == whole:
            return alone
    return _prefix_by_prefix(tokenizer, ids, whole)


def _prefix_by_prefix(tokenizer: Any, ids: list[int], whole: str) -> tuple[str, ...]:
    """What each longer prefix adds; nothing while a character is unfinished."""
    pieces, shown = [], ""
    for end in range(1, len(ids) + 1):
        prefix = whole if end == len(ids) else tokenizer.decode(ids[:end])
        grown = prefix.startswith(shown) and (end == len(ids) or not prefix.endswith(BROKEN))
        pieces.append(prefix[len(shown) :] if grown else "")
        shown = prefix if grown else shown
    return tuple(pieces)
