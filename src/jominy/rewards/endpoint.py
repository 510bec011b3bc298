"""One question to an OpenAI-compatible endpoint: `POST {url}/chat/completions`, the most likely words, tried again when it is busy.

    408, 5xx, no connection, no whole reply     tried again, 1, 2, 4 ... seconds later; after that "failed": no text, and why; the last two
    within the time                             once only while nothing has ever answered there, so that a wrong address is told soon
    429                                         the same for about two minutes, or when `Retry-After` says
    403                                         "failed" at once: some hosts refuse a single question so
    401, 404                                    ValueError: the key, the address or the model is wrong, and so would every question be
    a reply cut at max_tokens                   "cut": no text; asked again it would be cut again
    400, 422 that name `max_completion_tokens`  asked again with that field; where that helps, so is every question from then on
    any other refusal, a reply without text     "refused": no text, and why; the next question may fare better

The key is in no message and in no repr, not even where an endpoint repeats it, as it is or escaped as JSON does: it is taken out of all
that was said before anything is cut short.

Left out on purpose: streaming, tools, and anything that a chat completion has besides its text.
LIMIT: models that refuse `temperature` 0 cannot be asked: what they say twice of one response would differ, and what is remembered of them
would be one draw. What they say of it is in the note, and the run ends after a few questions.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jominy.rewards.posting import Answered, post
from jominy.rewards.questions import Messages

BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
TOO_MANY = 429
FORBIDDEN = 403
MISUNDERSTOOD = frozenset({400, 422})
WRONG = {401: "the key is missing or wrong", 404: "there is no such address or model"}
LONGEST_WAIT_S = 60.0
JITTER = 0.25
"""A wait is up to this much longer, so that workers who were refused together do not come back together."""
STOPPED = "stopped before there was an answer"
REPLY_BYTES = 1 << 23
"""Bytes of a reply that are read: some hundred times the longest that a judge has to say."""
ERROR_BYTES, SHOWN_OF_ERROR, SHOWN_OF_BODY = 4096, 200, 80
"""Bytes of an error that are looked at, and characters of it and of what is no completion that are shown."""
LENGTH, LENGTH_OF_LATE = "max_tokens", "max_completion_tokens"
"""The field for the longest reply: of the protocol as nearly all speak it, and of hosts that have put it away."""
ESCAPED = 6
"""Characters that JSON may write one character with."""
Kind = Literal["said", "cut", "refused", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one reply has cost.

    Example: Usage(attempts=2, seconds=3.4, prompt_tokens=812, completion_tokens=3)
    """

    attempts: int = 1
    """Calls that were made for it."""
    seconds: float | None = None
    """From the question to the reply, waits and further attempts included; None where questions are not answered one by one."""
    prompt_tokens: int | None = None
    """As the endpoint counts them; None where it does not say."""
    completion_tokens: int | None = None
    """The same of the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a judge said.

    Example: Reply(text="Code: E3.1")
    Example: Reply(text=None, note="HTTP 400: maximum context length is 4096 tokens", kind="refused")
    """

    text: str | None
    """Its words; None when there are none, and then `note` says why."""
    note: str = ""
    """Why there is no text."""
    kind: Kind = "said"
    """said: there is a text. cut: it reached max_tokens, and would again. refused: the endpoint answered, but not with words. failed:
    nobody answered."""
    usage: Usage = field(default=Usage(), compare=False, repr=False)
    """What it has cost; not part of what was said."""
    log_odds: tuple[float, ...] | None = None
    """Of yes against no, in nats, on each constraint, where the reply was chosen among those that can be read; None where it was free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is served.

    Example: Endpoint(url="http://localhost:8000/v1", model="Qwen/Qwen3-32B", key="", key_name="OPENAI_API_KEY")
    """

    url: str
    """Address up to and without `/chat/completions`."""
    model: str
    """As the endpoint calls it."""
    key: str = field(repr=False)
    """Sent as a bearer token; empty sends none."""
    key_name: str
    """Environment variable that the key is from, for messages."""
    max_tokens: int = 4096
    """Longest reply."""
    timeout_s: float = 120.0
    """Of one attempt: until it begins to answer, and again until its answer has come."""
    attempts: int = 5
    """Before a question counts as failed."""
    attempts_unheard: int = 2
    """The same while nobody has ever answered there, be it with an error: each may take `timeout_s`, and nobody knows whether one will."""
    attempts_when_too_many: int = 8
    """The same while the answer is 429: the waits before them are 1, 2 ... 32, 60 seconds."""
    first_wait_s: float = 1.0
    """Before the second attempt; doubled from there on."""
    heard: threading.Event = field(default_factory=threading.Event, init=False, repr=False, compare=False)
    """Set once anything has answered there, whoever asked."""
    late: threading.Event = field(default_factory=threading.Event, init=False, repr=False, compare=False)
    """Set once it has answered a question that names the length `max_completion_tokens`, after it had refused the other name."""

    def __post_init__(self) -> None:
        """Refuses what cannot stand in a header, without showing it: `http.client` would."""
        if not self.key.isascii() or not self.key.isprintable():
            raise ValueError(f"${self.key_name} holds characters that no key has (not ASCII, or not printable); set it anew, on one line")

    def ask(self, messages: Messages, stop: threading.Event | None = None) -> Reply:
        """The reply to one conversation.

        Args:
            messages: the conversation.
            stop: when it is set, no further attempt is made and no wait goes on.

        Raises:
            ValueError: key, address or model are wrong; says what to do.
        """
        started = time.monotonic()
        reply, attempts = self._reply_to(messages, stop or threading.Event())
        return replace(reply, usage=replace(reply.usage, attempts=attempts, seconds=time.monotonic() - started))

    def _reply_to(self, messages: Messages, stop: threading.Event) -> tuple[Reply, int]:
        """The reply and how many attempts it took."""
        attempt, why = 0, STOPPED
        length = LENGTH_OF_LATE if self.late.is_set() else LENGTH
        while not stop.is_set():
            attempt += 1
            most, wait_s = self.attempts, self.first_wait_s * 2 ** (attempt - 1)
            try:
                answered = self._post(messages, length)
            except (OSError, http.client.HTTPException) as error:
                why = " ".join(self._without_key(str(error) or type(error).__name__).split())[:SHOWN_OF_ERROR]
                most = most if self.heard.is_set() else min(most, self.attempts_unheard)
            else:
                self.heard.set()
                if answered.status < 300:
                    if length == LENGTH_OF_LATE:
                        self.late.set()
                    return self._text_of(answered.body), attempt
                why = f"HTTP {answered.status}: {self._said(answered)}"
                if answered.status in WRONG:
                    raise ValueError(self.complaint(f"{why} ({WRONG[answered.status]})"))
                if length == LENGTH and answered.status in MISUNDERSTOOD and LENGTH_OF_LATE.encode() in answered.body[:ERROR_BYTES]:
                    length = LENGTH_OF_LATE
                    continue
                if answered.status not in BUSY:
                    return Reply(text=None, note=why, kind="failed" if answered.status == FORBIDDEN else "refused"), attempt
                most = self.attempts_when_too_many if answered.status == TOO_MANY else most
                wait_s = _asked_for(answered, wait_s)
            if attempt >= most:
                why = f"no answer after {attempt} attempts, the last one: {why}"
                break
            stop.wait(min(wait_s, LONGEST_WAIT_S) * (1.0 + JITTER * random.random()))
        return Reply(text=None, note=why, kind="failed"), attempt

    def _post(self, messages: Messages, length: str) -> Answered:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        body = json.dumps({"model": self.model, "messages": turns, "temperature": 0, length: self.max_tokens}).encode()
        request = urllib.request.Request(f"{self.url}/chat/completions", data=body, headers={"Content-Type": "application/json"})
        if self.key:
            request.add_unredirected_header("Authorization", f"Bearer {self.key}")
        return post(request, self.timeout_s, REPLY_BYTES)

    def complaint(self, why: str) -> str:
        """What is wrong, where, and what to do."""
        key = f"the key is from ${self.key_name}" if self.key else f"no key was sent: {self._why_no_key()}"
        return f"judge {self.model} at {self.url}: {why}; check address, model and key ({key}). Replies so far are kept"

    def _why_no_key(self) -> str:
        if takes_default_key(self.url):
            return f"${self.key_name} is not set"
        return "to an address that is neither https nor of this machine it takes key=VARIABLE"

    def _without_key(self, text: str) -> str:
        """The text without the key, in plain letters or as JSON escapes them."""
        if not self.key:
            return text
        pattern = "".join(rf"(?:{re.escape(letter)}|\\{re.escape(letter)}|(?i:\\u{ord(letter):04x}))" for letter in self.key)
        return re.sub(pattern, lambda _: f"(${self.key_name})", text)

    def _said(self, error: Answered) -> str:
        """The message of an error reply, in short."""
        raw = error.body[:ERROR_BYTES]
        body = raw.decode("utf-8", "replace")
        if len(raw) == ERROR_BYTES:
            body = body[: len(body) - ESCAPED * len(self.key)]  # where it was cut, half a key may stand
        try:
            found = json.loads(body)
            inner = found.get("error", found) if isinstance(found, Mapping) else found
            body = str(inner.get("message", inner)) if isinstance(inner, Mapping) else str(inner)
        except (ValueError, RecursionError):
            pass  # no JSON, or brackets without end: the body as it is
        return " ".join(self._without_key(body).split())[:SHOWN_OF_ERROR] or self._without_key(str(error.reason))

    def _text_of(self, body: bytes) -> Reply:
        try:
            completion: Any = json.loads(body)
            choice = completion["choices"][0]
            text, finish = choice["message"]["content"], choice.get("finish_reason")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            shown = self._without_key(body.decode("utf-8", "replace"))[:SHOWN_OF_BODY]
            return Reply(text=None, note=f"the endpoint sent no chat completion: {shown!r}", kind="refused")
        usage = _tokens_told(completion)
        if finish == "length":
            return Reply(text=None, note=cut_off(self.max_tokens), kind="cut", usage=usage)
        if not isinstance(text, str):
            return Reply(text=None, note="the endpoint sent a completion without text", kind="refused", usage=usage)
        return Reply(text=self._without_key(text), usage=usage)


def cut_off(max_tokens: int) -> str:
    """What is said of a reply that reached its longest: its last line is not the one that was asked for."""
    return f"cut off at {max_tokens} tokens; write a larger max_tokens= behind the judge"


def takes_default_key(url: str) -> bool:
    """Whether a key that nobody named may go there: https, or this machine.

    >>> takes_default_key("https://h/v1"), takes_default_key("http://localhost:8000/v1"), takes_default_key("http://10.0.0.5:8000/v1")
    (True, True, False)
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def _tokens_told(completion: Mapping[str, Any]) -> Usage:
    """The tokens that a completion says it took; what is no count is not told."""
    told = completion.get("usage")
    counts = [told.get(name) if isinstance(told, Mapping) else None for name in ("prompt_tokens", "completion_tokens")]
    prompt, reply = (count if type(count) is int and count >= 0 else None for count in counts)
    return Usage(prompt_tokens=prompt, completion_tokens=reply)


def _asked_for(error: Answered, otherwise_s: float) -> float:
    """Seconds that `Retry-After` asks for; a date there is not read."""
    said = error.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else otherwise_s
