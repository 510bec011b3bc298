"""Texts that end a row while it is being drawn.

    a row ends with the first token that completes a stop text in what the row has drawn

A stop text may lie across several tokens, and the token that completes it may say more: the row keeps that whole token, since half a
token was never drawn. Cheap: only a token whose own text holds the last character of a stop text can complete one; rows that drew no
such token are not looked at, and of the others the last few tokens are decoded.
Left out: a stop text whose beginning was written before the call (`continue_from`) is not seen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from jominy.engines.pieces import BROKEN
from jominy.records import Bools, Ints


class TextStops:
    """The stop texts of a sampling call."""

    def __init__(self, tokenizer: Any, stops: tuple[str, ...]) -> None:
        """`stops` holds at least one text, none of them empty."""
        assert stops
        assert all(stops)
        self.tokenizer, self.stops = tokenizer, stops
        # a token of a text adds a byte of it or more; one token more, since some tokenizers drop the space at the very front
        self.reach = 1 + max(len(stop.encode()) for stop in stops)
        self.enders = _enders(tokenizer, len(tokenizer), frozenset(stop[-1] for stop in stops))

    def may_end(self, tokens_N: Ints) -> Bools:
        """[N] whether the token could be the one that completes a stop text."""
        return np.isin(tokens_N, self.enders)

    def ended(self, token_ids: Ints) -> bool:
        """Whether the last of [T] drawn tokens, T at least 1, completes a stop text."""
        tail = token_ids[-self.reach :].tolist()
        before, whole = self.tokenizer.decode(tail[:-1]), self.tokenizer.decode(tail)
        known = len(before.rstrip(BROKEN))
        return any(whole.find(stop, max(0, known - len(stop) + 1)) >= 0 for stop in self.stops)


@lru_cache(maxsize=8)
def _enders(tokenizer: Any, num_words: int, last: frozenset[str]) -> Ints:
    """Tokens that could write one of these characters; `num_words` is there for the cache, should the tokenizer grow.

    A space may be the tokenizer's own doing between any two tokens, and a character beyond ASCII may come in several tokens, each of
    which decodes to a replacement character.
    """
    tokens = np.array(sorted(tokenizer.get_vocab().values()), dtype=np.int64)
    assert num_words == len(tokenizer)
    if any(character.isspace() for character in last):
        return tokens
    wanted = last if all(character.isascii() for character in last) else last | {BROKEN}
    alone = tokenizer.batch_decode([[token] for token in tokens.tolist()])
    return tokens[[not wanted.isdisjoint(text) for text in alone]]
