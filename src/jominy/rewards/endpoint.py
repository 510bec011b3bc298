"""One question to an OpenAI-compatible endpoint: `POST {url}/chat/completions`, the most likely words, tried again when it is busy.

    429, 408, 5xx, no connection, a time-out    tried again, 1, 2, 4 ... seconds later or when `Retry-After` says
    401, 403, 404                               ValueError: the key, the address or the model is wrong, and so would every question be
    any other refusal, a reply without text     no text, and why; the next question may fare better

Left out on purpose: streaming, tools, and anything that a chat completion has besides its text.
LIMIT: endpoints that know `max_completion_tokens` only refuse; what they say is in the note.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jominy.rewards.questions import Messages

BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
WRONG = {401: "the key is missing or wrong", 403: "the key may not do this", 404: "there is no such address or model"}
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a judge said.

    Example: Reply(text="Code: E3.1")
    Example: Reply(text=None, note="HTTP 400: maximum context length is 4096 tokens")
    """

    text: str | None
    """Its words; None when there are none, and then `note` says why."""
    note: str = ""
    """Why there is no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is served.

    Example: Endpoint(url="http://localhost:8000/v1", model="Qwen/Qwen3-32B", key="", key_name="OPENAI_API_KEY")
    """

    url: str
    """Address up to and without `/chat/completions`."""
    model: str
    """As the endpoint calls it."""
    key: str
    """Sent as a bearer token; empty sends none."""
    key_name: str
    """Environment variable that the key is from, for messages."""
    max_tokens: int = 1024
    """Longest reply."""
    timeout_s: float = 120.0
    """Of one attempt."""
    attempts: int = 5
    """Before it counts as unreachable."""
    first_wait_s: float = 1.0
    """Before the second attempt; doubled from there on."""

    def ask(self, messages: Messages) -> Reply:
        """The reply to one conversation.

        Raises:
            ValueError: nobody answers after all attempts, or key, address or model are wrong; says what to do.
        """
        why = ""
        for attempt in range(self.attempts):
            wait_s = self.first_wait_s * 2**attempt
            try:
                return _text_of(self._post(messages))
            except urllib.error.HTTPError as error:
                why = f"HTTP {error.code}: {_said(error)}"
                if error.code in WRONG:
                    raise ValueError(self._complaint(f"{why} ({WRONG[error.code]})")) from error
                if error.code not in BUSY:
                    return Reply(text=None, note=why)
                wait_s = _asked_for(error, wait_s)
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
            if attempt < self.attempts - 1:
                time.sleep(min(wait_s, LONGEST_WAIT_S))
        raise ValueError(self._complaint(f"no answer after {self.attempts} attempts, the last one: {why}"))

    def _post(self, messages: Messages) -> bytes:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        body = json.dumps({"model": self.model, "messages": turns, "temperature": 0, "max_tokens": self.max_tokens}).encode()
        request = urllib.request.Request(f"{self.url}/chat/completions", data=body, headers={"Content-Type": "application/json"})
        if self.key:
            # unredirected: another host that the endpoint points at is not shown the key
            request.add_unredirected_header("Authorization", f"Bearer {self.key}")
        with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
            found: bytes = response.read()
            return found

    def _complaint(self, why: str) -> str:
        key = f"the key is from ${self.key_name}" if self.key else f"no key was sent: ${self.key_name} is not set"
        return f"judge {self.model} at {self.url}: {why}; check address, model and key ({key}). Replies so far are kept"


def _text_of(body: bytes) -> Reply:
    try:
        text: Any = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        return Reply(text=None, note=f"the endpoint sent no chat completion: {body[:80]!r}")
    return Reply(text=text) if isinstance(text, str) else Reply(text=None, note="the endpoint sent a completion without text")


def _said(error: urllib.error.HTTPError) -> str:
    """The message of an error reply, in short."""
    body = error.read(4096).decode("utf-8", "replace")
    try:
        found = json.loads(body)
        inner = found.get("error", found) if isinstance(found, Mapping) else found
        body = str(inner.get("message", inner)) if isinstance(inner, Mapping) else str(inner)
    except ValueError:
        pass  # not JSON: the body as it is
    return " ".join(body.split())[:200] or str(error.reason)


def _asked_for(error: urllib.error.HTTPError, otherwise_s: float) -> float:
    """Seconds that `Retry-After` asks for; a date there is not read."""
    said = error.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else otherwise_s
