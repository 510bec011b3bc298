"""A judge answers questions: conversations in, texts out, each asked once and then remembered on disk.

    --judge http://localhost:8000/v1,model=NAME      an OpenAI-compatible endpoint, several questions at a time
    --judge local:smollm2                            a model in this process, the most likely words

    key = sha256(JSON [VERSION, model, temperature 0, max_tokens, messages])   ->   FOLDER/ab/abcdef....json

A reply is written aside and renamed as soon as it is there, so a run that is cut off asks only what is left, and a second run asks nothing.
What has no text (a refusal) is not remembered. A reply is kept as it came: how it is read is `questions`.
Left out on purpose: sampling several replies and voting; a judge here is greedy. Loading a local model, which the verb does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from jominy.rewards.endpoint import Endpoint, Reply
from jominy.rewards.options import read_options
from jominy.rewards.questions import Messages

VERSION = 1
LOCAL = "local"
DEFAULT_KEY = "OPENAI_API_KEY"
ENDPOINT_OPTIONS = {"model": "", "key": DEFAULT_KEY, "max_tokens": "1024", "timeout": "120", "workers": "8"}
LOCAL_OPTIONS = {"max_tokens": "256"}
FORMS = "http://localhost:8000/v1,model=NAME for an endpoint, or local:smollm2 for a model on this machine"

Answer = Callable[[Sequence[Messages]], Iterator[tuple[int, Reply]]]
"""Conversations -> (place of one of them, its reply), each as soon as it is there, in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Somebody who answers questions, with a memory.

    Example: Judge(name="local:smollm2", model="smollm2", max_tokens=256, answer=answer, folder=Path("runs/demo/judge"))
    """

    name: str
    """As `--judge` takes it."""
    model: str
    """Who answers, whatever the address: part of what replies are remembered under."""
    max_tokens: int
    """Longest reply; part of the same."""
    answer: Answer
    """Asks; called with what is not remembered."""
    folder: Path
    """Where replies are remembered."""

    def ask(self, questions: Sequence[Messages], on_reply: Callable[[int], None] = lambda finished: None) -> list[Reply]:
        """The replies, in the order of the questions; equal questions are asked once.

        Args:
            questions: conversations.
            on_reply: called with the number of questions that are answered since the last call.

        Raises:
            ValueError: the judge cannot be reached; says what to do.
        """
        keys = [self.key(messages) for messages in questions]
        replies = {key: reply for key in dict.fromkeys(keys) if (reply := self._remembered(key)) is not None}
        times = Counter(keys)
        on_reply(sum(times[key] for key in replies))
        left = {key: messages for key, messages in zip(keys, questions, strict=True) if key not in replies}
        order = list(left)
        for place, reply in self.answer(list(left.values())):
            key = order[place]
            if reply.text is not None:
                self._remember(key, left[key], reply.text)
            replies[key] = reply
            on_reply(times[key])
        return [replies[key] for key in keys]

    def key(self, messages: Messages) -> str:
        """What a reply is remembered under."""
        content = [VERSION, self.model, 0.0, self.max_tokens, [[message.role, message.content] for message in messages]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _remembered(self, key: str) -> Reply | None:
        try:
            found = json.loads(self._file(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None  # a damaged file is asked for anew, and replaced
        text = found.get("text") if isinstance(found, dict) else None
        return Reply(text=text) if isinstance(text, str) else None

    def _remember(self, key: str, messages: Messages, text: str) -> None:
        """The question stands beside the reply, so that a person can read what was judged."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        content = {"model": self.model, "temperature": 0.0, "max_tokens": self.max_tokens, "messages": turns, "text": text}
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            aside.write_bytes(json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
            os.replace(aside, file)
        finally:
            aside.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalJudge:
    """A model of this machine that is asked to judge.

    Example: LocalJudge(model="smollm2", max_tokens=256)
    """

    model: str
    """As `--model` takes it."""
    max_tokens: int
    """Longest reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointJudge:
    """An endpoint and how many questions it is asked at a time.

    Example: EndpointJudge(endpoint=endpoint, workers=8)
    """

    endpoint: Endpoint
    """Where."""
    workers: int
    """Questions at a time."""

    def answer(self, questions: Sequence[Messages]) -> Iterator[tuple[int, Reply]]:
        """Replies as they come; the first error ends it, and what was not begun is not asked."""
        pool = ThreadPoolExecutor(max_workers=self.workers)
        try:
            places = {pool.submit(self.endpoint.ask, messages): place for place, messages in enumerate(questions)}
            for done in as_completed(places):
                yield places[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read_judge(spec: str, environment: Mapping[str, str] = os.environ) -> EndpointJudge | LocalJudge:
    """The judge that a person means by `--judge`.

    Args:
        spec: see the top of this file. An endpoint has the options model, key (an environment variable), max_tokens, timeout (seconds) and
            workers; a local model has max_tokens.
        environment: where the key is looked up.

    Raises:
        ValueError: it is of neither form, has no model, or names a variable that is not set.

    >>> read_judge("local:smollm2").model
    'smollm2'
    """
    where, _, rest = spec.partition(",")
    if where.startswith(("http://", "https://")):
        options = ENDPOINT_OPTIONS | read_options("judge", rest, ENDPOINT_OPTIONS)
        if not options["model"]:
            raise ValueError(f"judge {spec!r} names no model; write {where},model=NAME")
        key = environment.get(options["key"], "")
        if not key and options["key"] != DEFAULT_KEY:
            raise ValueError(f"judge {spec!r} takes its key from ${options['key']}, which is not set; set it, or name another with key=")
        endpoint = Endpoint(
            url=where.rstrip("/"),
            model=options["model"],
            key=key,
            key_name=options["key"],
            max_tokens=_whole("max_tokens", options["max_tokens"]),
            timeout_s=_whole("timeout", options["timeout"]),
        )
        return EndpointJudge(endpoint=endpoint, workers=_whole("workers", options["workers"]))
    kind, _, model = where.partition(":")
    if kind == LOCAL and model:
        options = LOCAL_OPTIONS | read_options("judge", rest, LOCAL_OPTIONS)
        return LocalJudge(model=model, max_tokens=_whole("max_tokens", options["max_tokens"]))
    raise ValueError(f"no judge {spec!r}; write {FORMS}")


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"judge: {name} is a whole number of at least 1; got {text!r}")
    return int(text)
