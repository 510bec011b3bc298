"""On-policy states with an oracle's verdicts: each response of the policy with its first wrong decision put right, and nothing behind it.

    drawn      <attempt>12 + 9 = 20<answer>20</answer></attempt><verdict>ACCEPT</verdict>[stop]
    learned    <attempt>12 + 9 = 20<answer>20</answer></attempt><verdict>RETRY</verdict>

Where all decisions are right the response is learned as it is, cut behind the last of them. A stop token stands behind ACCEPT alone. The
tokens are the policy's own as far as they spell the new text; what is left is tokenised afresh, and all of it where own and fresh tokens
together would spell something else; a stop token that would be one too many is left away, as where a response is cut. Left out, and counted
apart: responses that decide nothing, that the tokenizer cannot spell, or that have become longer than a response may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from jominy.engines import TrainingEngine
from jominy.records import Ints, Prompt, Retrying, Rollout, Stop
from jominy.tracing import mark

Reason = Literal["undecided", "unspelled", "too_long"]
"""Why nothing can be learned from a response: it holds no decision, put right it cannot be tokenised, or has too many tokens."""
REASONS: tuple[Reason, ...] = get_args(Reason)


def corrected_group(
    group: Sequence[Rollout], prompt: Prompt, retrying: Retrying, engine: TrainingEngine, max_tokens: int
) -> tuple[tuple[Rollout, ...], Counter[Reason]]:
    """What there is to learn from a group, and why the others are left out; rewards are those of the responses as they were drawn.

    Args:
        group: graded rollouts of one prompt.
        prompt: it.
        retrying: how responses to it alternate between attempts and decisions.
        engine: whose tokens they are.
        max_tokens: longest response.
    """
    made = [corrected(rollout, prompt, retrying, engine, max_tokens) for rollout in group]
    left_out: Counter[Reason] = Counter(each for each in made if not isinstance(each, Rollout))
    return tuple(each for each in made if isinstance(each, Rollout)), left_out


def corrected(rollout: Rollout, prompt: Prompt, retrying: Retrying, engine: TrainingEngine, max_tokens: int) -> Rollout | Reason:
    """The response with its first wrong decision put right, its spans marked, or why there is none.

    Args:
        rollout: a response of the policy.
        prompt: what it answers.
        retrying: where its decisions are, and what is right.
        engine: whose tokens they are.
        max_tokens: longest response.
    """
    text = retrying.put_right(prompt, rollout.text, rollout.stop)
    if text is None:
        return "undecided"
    accepts = _accepts(prompt, text, retrying)
    if text == rollout.text and accepts and rollout.stop == "eos":
        pieces = engine.pieces(rollout.token_ids) if rollout.pieces is None else tuple(rollout.pieces)
        found: tuple[Ints, tuple[str, ...]] | None = (rollout.token_ids, pieces)
    else:
        found = _spelled(text, rollout.token_ids, rollout.pieces or (), engine, stopped=accepts)
    if found is None:
        return "unspelled"
    tokens, said = found
    stop: Stop = "eos" if accepts else "length"
    if accepts and len(tokens) == max_tokens + 1:
        tokens, said, stop = tokens[:-1], said[:-1], "length"
    if len(tokens) > max_tokens:
        return "too_long"
    made = replace(rollout, text=text, token_ids=tokens, pieces=said, stop=stop, logprobs=None, logprobs_t1=None, entropies=None, spans=())
    return replace(made, spans=mark(made, prompt, retrying.read))


def _accepts(prompt: Prompt, text: str, retrying: Retrying) -> bool:
    """Whether the last decision of a text that is cut behind one is to accept."""
    decisions = [attempt.decision for attempt in retrying.read(prompt, text, "length").attempts]
    return [decision for decision in decisions if decision in ("accept", "retry")][-1:] == ["accept"]


def _spelled(
    text: str, token_ids: Ints, pieces: Sequence[str], engine: TrainingEngine, *, stopped: bool
) -> tuple[Ints, tuple[str, ...]] | None:
    """(tokens, their pieces) of the text, with a stop token where it is `stopped`: own tokens first, else all fresh; None if neither works.

    Args:
        text: what they must spell.
        token_ids: own tokens.
        pieces: what each of them says, as far as known.
        engine: whose tokens they are.
        stopped: whether a stop token stands behind.
    """
    kept = _num_kept(text, pieces)
    for number in dict.fromkeys((kept, 0)):
        fresh = engine.encode_completion(text[len("".join(pieces[:number])) :])
        tokens = np.concatenate([np.asarray(token_ids[:number], dtype=np.int64), fresh if stopped else fresh[:-1]])
        said = engine.pieces(tokens)
        if "".join(said[:-1] if stopped else said) == text:
            return tokens, said
    return None


def _num_kept(text: str, pieces: Sequence[str]) -> int:
    """How many tokens spell the beginning of the text; one that says nothing is kept with the one that finishes its character.

    >>> [_num_kept("12<ACCEPT>", pieces) for pieces in (["12", "<", "RE", "TRY>"], ["12", "<R", "ETRY>"], ["12", "", "?"])]
    [2, 1, 1]
    """
    kept = length = 0
    for place, piece in enumerate(pieces):
        if not text.startswith(piece, length):
            break
        length += len(piece)
        kept = place + 1 if piece else kept
    return kept
