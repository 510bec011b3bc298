"""A policy of a few coins whose responses try again, one character a token: everything about it can be worked out by hand.

    r/ or w/        an attempt, right or wrong
    + or -          a check, where there are checks
    a. n. or x.     accept, again, or neither

Behind `a.` and `x.` and behind the K-th attempt it stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from jominy.engines import OnProgress
from jominy.engines.drawing import uniforms
from jominy.records import Floats, Message, Prompt, Retrying, Rollout, Row, Sampling, Stop
from jominy.traces import Attempt, TextSpan, Trace

EOS = 0
DECISIONS: dict[str | None, Literal["accept", "retry", "none"]] = {"a": "accept", "n": "retry", "x": "none", None: "none"}


@dataclass(frozen=True, kw_only=True)
class CoinEngine:
    """The policy."""

    name: str
    right: float = 0.5
    accept_right: float = 0.5
    accept_wrong: float = 0.5
    muddle: float = 0.0
    """Chance of `x.`."""
    quits: float = 0.0
    """Chance of the stop token in place of an attempt."""
    good_check: float | None = None
    """Chance of `+`; it is then followed by `a` with chance accept_right, `-` with chance accept_wrong, whatever the attempt."""
    num_attempts: int = 3
    vocabulary: str = "coins"
    context: int | None = None

    @property
    def device(self) -> str:
        return "a pocket"

    def chances(self, text: str) -> dict[str, float]:
        """Next character -> its chance; the empty one is the stop token."""
        last = text[-1:]
        if not text or text.endswith("n."):
            go = 1 - self.quits
            return {"r": go * self.right, "w": go * (1 - self.right), "": self.quits}
        if last in "rw":
            return {"/": 1.0}
        if last == "/" and text.count("/") == self.num_attempts:
            return {"": 1.0}
        if last == "/" and self.good_check is not None:
            return {"+": self.good_check, "-": 1 - self.good_check}
        if last in "/+-":
            good = text[-2] == "r" if last == "/" else last == "+"
            accept = (1 - self.muddle) * (self.accept_right if good else self.accept_wrong)
            return {"a": accept, "n": 1 - self.muddle - accept, "x": self.muddle}
        return {".": 1.0} if last in "anx" else {"": 1.0}

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        for one in reversed(prompts):
            yield [self._write(said(one, "", index=index), sampling, seed, on_progress) for index in range(num_rollouts)]

    def continue_from(
        self,
        prompts: Sequence[Prompt],
        begun: Sequence[Rollout],
        sampling: Sampling,
        seed: int,
        on_progress: OnProgress | None = None,
        tag: str = "",
    ) -> list[Rollout]:
        assert {rollout.prompt_id for rollout in begun} <= {one.id for one in prompts}
        return [self._write(rollout, sampling, seed, on_progress, tag) for rollout in begun]

    def _write(self, begun: Rollout, sampling: Sampling, seed: int, on_progress: OnProgress | None, tag: str = "") -> Rollout:
        assert begun.stop != "eos"
        assert len(begun.token_ids) < sampling.max_tokens
        text, tokens, logps = begun.text, begun.token_ids.tolist(), [] if begun.logprobs is None else begun.logprobs.tolist()
        stop: Stop = "length"
        uniforms_T = uniforms(seed, begun.prompt_id + tag, begun.index, sampling.max_tokens)
        while len(tokens) < sampling.max_tokens and stop == "length":
            chances = self.chances(text)
            running = np.cumsum(list(chances.values()))
            drawn = list(chances)[int(np.searchsorted(running, uniforms_T[len(tokens)] * running[-1], side="right"))]
            text += drawn
            tokens.append(ord(drawn) if drawn else EOS)
            logps.append(float(np.log(chances[drawn])))
            stop = "eos" if not drawn else "text" if any(map(text.endswith, sampling.stops)) else "length"
        if on_progress is not None:
            on_progress(1, len(tokens) - len(begun.token_ids))
        whole = said(None, text, stop=stop, index=begun.index, identity=begun.prompt_id)
        return replace(whole, logprobs=np.array(logps), policy=self.name, seed=seed)

    def logprobs(self, rows: Sequence[Row]) -> list[Floats]:
        scores: list[Floats] = []
        for row in rows:
            text = "".join(map(chr, row.prompt_ids[1:]))
            score: list[float] = []
            for token in row.completion_ids.tolist():
                score.append(float(np.log(self.chances(text).get(chr(token), 0.0))))
                text += chr(token)
            scores.append(np.array(score))
        return scores

    def encode(self, prompt: Prompt) -> list[int]:
        return [1]

    def encode_text(self, text: str) -> list[int]:
        return [ord(character) for character in text]


def prompt(number: int) -> Prompt:
    """A prompt that nobody reads."""
    return Prompt(id=f"p{number}", task="coins", messages=(Message(role="user", content="toss"),))


def said(one: Prompt | None, text: str, *, stop: Stop = "length", index: int = 0, identity: str = "") -> Rollout:
    """A response with this text."""
    ended = stop == "eos"
    return Rollout(
        prompt_id=identity if one is None else one.id,
        index=index,
        text=text,
        token_ids=np.array([*map(ord, text), *([EOS] if ended else [])], dtype=np.int64),
        logprobs=None if text else np.zeros(0),
        logprobs_t1=None,
        stop=stop,
        policy="by hand",
        temperature=1.0,
        top_p=1.0,
        seed=0,
        pieces=(*text, *(["</s>"] if ended else [])),
    )


def retrying(num_attempts: int = 3) -> Retrying:
    """How the responses alternate."""

    def read(_prompt: Prompt, text: str, _stop: Stop) -> Trace:
        attempts: list[Attempt] = []
        spans: list[TextSpan] = []
        for number, found in enumerate(re.finditer(r"([rw])/([+-]?)(?:([anx])\.)?", text)):
            decision = DECISIONS[found[3]]
            forced = number + 1 == num_attempts
            attempts.append(Attempt(answer=found[1], correct=found[1] == "r", decision="forced" if forced else decision))
            kind = "attempt.right" if found[1] == "r" else "attempt.wrong"
            spans.append(TextSpan(kind=kind, start=found.start(1), end=found.start(1) + 2, index=number))
            if decision != "none":
                spans.append(TextSpan(kind=f"verdict.{decision}", start=found.start(3), end=found.end(), index=number))
        return Trace(attempts=tuple(attempts), spans=tuple(spans), problem="")

    return Retrying(
        num_attempts=num_attempts,
        read=read,
        solution_end="/",
        decision_end=".",
        verdicts=("a", "n"),
        put_right=lambda _prompt, text, _stop: text,
    )
