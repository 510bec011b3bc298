"""The text that each token contributes, so that a page can shade a response token by token.

Joined, the pieces are the decoded response with its special tokens. A character spread over several tokens belongs to the last of them.
"""

from __future__ import annotations

from typing import Any

from jominy.records import Ints

BROKEN = "\N{REPLACEMENT CHARACTER}"


def pieces_of(tokenizer: Any, token_ids: Ints) -> tuple[str, ...]:
    """[T] strings; most tokenizers decode token by token as they decode the whole, the others prefix by prefix.

    Args:
        tokenizer: of transformers.
        token_ids: [T] tokens of one response.
    """
    ids = [int(token) for token in token_ids]
    whole = tokenizer.decode(ids)
    alone = tuple(tokenizer.batch_decode([[token] for token in ids]))
    return alone if "".join(alone) == whole else _prefix_by_prefix(tokenizer, ids, whole)


def _prefix_by_prefix(tokenizer: Any, ids: list[int], whole: str) -> tuple[str, ...]:
    """What each longer prefix adds; nothing while a character is unfinished."""
    pieces, shown = [], ""
    for end in range(1, len(ids) + 1):
        prefix = whole if end == len(ids) else tokenizer.decode(ids[:end])
        grown = prefix.startswith(shown) and (end == len(ids) or not prefix.endswith(BROKEN))
        pieces.append(prefix[len(shown) :] if grown else "")
        shown = prefix if grown else shown
    return tuple(pieces)
