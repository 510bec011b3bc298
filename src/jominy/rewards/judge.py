"""A judge answers questions: conversations in, texts out, each asked once and then remembered on disk.

    --judge http://localhost:8000/v1,model=NAME      an OpenAI-compatible endpoint, several questions at a time
    --judge local:smollm2                            a model in this process: the likeliest of the verdicts that can be read
    --judge local:smollm2,answers=free               the same, the most likely words, as an endpoint is asked

    key = sha256(JSON [VERSION, address, model, temperature 0, max_tokens, answers, messages])   ->   FOLDER/ab/abcdef....json
          (of a chosen reply without max_tokens, which choosing does not look at)

A reply is written aside and renamed as soon as it is there, so a run that is cut off asks only what is left, and a second run asks nothing.
A question without an answer is unscored for this run and asked anew by the next. A reply is kept as it came: how it is read is `questions`.
Free replies that version 2 remembered are read; chosen ones there were none. A question that is not about constraints has no form to choose
from, and is answered freely by everybody.
$OPENAI_API_KEY goes unasked to https addresses and to this machine only; elsewhere a key has to be named, key=VARIABLE.
What asking costs is counted (`metering`).
Left out on purpose: sampling several replies and voting; a judge here is greedy. Loading a local model, which the verb does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

from jominy.rewards.endpoint import Endpoint, Reply, takes_default_key
from jominy.rewards.metering import Meter
from jominy.rewards.options import one_of, read_options
from jominy.rewards.questions import Form, Messages

VERSION, FREE_VERSION = 3, 2
"""Of keys, and of those of the last version before there were other than free answers, without `answers`."""
LOCAL = "local"
DEFAULT_KEY = "OPENAI_API_KEY"
ENDPOINT_OPTIONS = {"model": "", "key": DEFAULT_KEY, "max_tokens": "4096", "timeout": "120", "workers": "8"}
ANSWERS = ("choice", "free")
LOCAL_OPTIONS = {"max_tokens": "256", "answers": ANSWERS[0]}
FIRST_FAILURES = 8
"""When so many questions fail before any is answered, or are refused for one reason, it is not the questions."""
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""Names that are shown in messages; anything else behind key= may be the key itself."""
FORMS = "http://localhost:8000/v1,model=NAME for an endpoint, or local:smollm2 for a model on this machine"

Answer = Callable[[Sequence[Messages]], Iterator[tuple[int, Reply]]]
"""Conversations -> (place of one of them, its reply), each as soon as it is there, in any order."""
Choose = Callable[[Sequence[Messages], Sequence[Form]], Iterator[tuple[int, Reply]]]
"""(conversations, what can be read of a reply to each) -> the same, replies of that form alone."""
Answers = Literal["choice", "free"]


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
    choose: Choose | None = None
    """Chooses among the replies of a form; None asks freely whatever the form."""
    unanswered: dict[str, Reply] = field(default_factory=dict, repr=False)
    """Replies without text of this run, by key: a question that failed once is not asked again until the next run."""
    meter: Meter = field(default_factory=Meter, repr=False, compare=False)
    """Counts what asking costs."""

    @property
    def answers(self) -> Answers:
        """How it tells of constraints."""
        return "free" if self.choose is None else "choice"

    def ask(
        self,
        questions: Sequence[Messages],
        on_reply: Callable[[int], None] = lambda finished: None,
        forms: Sequence[Form] | None = None,
    ) -> list[Reply]:
        """The replies, in the order of the questions; equal questions are asked once.

        Args:
            questions: conversations.
            on_reply: called with the number of questions that are answered since the last call.
            forms: of each question what can be read of a reply, for a judge that chooses; None asks freely.

        Raises:
            ValueError: the judge cannot be reached, cannot choose, or refused the first `FIRST_FAILURES` questions of all for one and the
                same reason: a field that it does not take, say. Says what to do.
        """
        answers = self.answers if forms is not None else "free"
        keys = [self.key(messages, answers) for messages in questions]
        replies = self._known(dict(zip(keys, questions, strict=True)), answers)
        times = Counter(keys)
        on_reply(sum(times[key] for key in replies))
        places = {key: place for place, key in enumerate(keys) if key not in replies}
        order = list(places)
        self.meter.count(len(questions))
        started = time.monotonic()
        for place, reply in self._answers([questions[at] for at in places.values()], forms and [forms[at] for at in places.values()]):
            key = order[place]
            self.meter.add(reply)
            self._check_refusals()
            if reply.text is None:
                self.unanswered[key] = reply
            if reply.kind in ("said", "cut"):
                self._remember(key, questions[places[key]], answers, reply)
            replies[key] = reply
            on_reply(times[key])
        self.meter.wait(time.monotonic() - started)
        return [replies[key] for key in keys]

    def _check_refusals(self) -> None:
        """Ends what would be refused for ever."""
        why = self.meter.refused
        if len(why) == FIRST_FAILURES and len(set(why)) == 1 and not self._remembers_words():
            raise ValueError(
                f"judge {self.name} refused each of the first {FIRST_FAILURES} questions: {why[0]}; what it asks for has to be changed "
                "there, or take another judge"
            )

    def _remembers_words(self) -> bool:
        """Whether it has said anything in an earlier run: of such a run the questions that it refused are asked first."""
        ours = (address_of(self.name), self.model)
        for file in self.folder.glob("*/*.json"):
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(found, dict) and isinstance(found.get("text"), str) and (found.get("address"), found.get("model")) == ours:
                return True
        return False

    def key(self, messages: Messages, answers: Answers = "free") -> str:
        """What a reply is remembered under."""
        return self._key(VERSION, [answers], messages)

    def _key(self, version: int, more: list[str], messages: Messages) -> str:
        turns = [[message.role, message.content] for message in messages]
        longest = None if "choice" in more else self.max_tokens
        content = [version, address_of(self.name), self.model, 0.0, longest, *more, turns]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _answers(self, questions: Sequence[Messages], forms: Sequence[Form] | None) -> Iterator[tuple[int, Reply]]:
        return self.answer(questions) if self.choose is None or forms is None else self.choose(questions, forms)

    def _known(self, questions: Mapping[str, Messages], answers: Answers) -> dict[str, Reply]:
        """Key -> what needs not be asked."""
        found = {}
        for key, messages in questions.items():
            reply = self.unanswered.get(key) or self._remembered(key, answers)
            if reply is None and answers == "free":
                reply = self._remembered(self._key(FREE_VERSION, [], messages), answers)
            if reply is not None:
                found[key] = reply
        return found

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _remembered(self, key: str, answers: Answers) -> Reply | None:
        try:
            found = json.loads(self._file(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None  # a damaged file is asked for anew, and replaced
        if not isinstance(found, dict):
            return None
        text, note, odds = found.get("text"), found.get("note"), found.get("log_odds")
        if answers == "choice":
            if not (isinstance(text, str) and isinstance(odds, list) and all(isinstance(one, float) for one in odds)):
                return None
            return Reply(text=text, log_odds=tuple(odds))
        if isinstance(text, str):
            return Reply(text=text)
        return Reply(text=None, note=note, kind="cut") if isinstance(note, str) and note else None

    def _remember(self, key: str, messages: Messages, answers: Answers, reply: Reply) -> None:
        """The question stands beside the reply, so that a person can read what was judged."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        settings = {"address": address_of(self.name), "model": self.model, "temperature": 0.0, "max_tokens": self.max_tokens}
        content = {**settings, "answers": answers, "messages": turns, "text": reply.text, "note": reply.note, "log_odds": reply.log_odds}
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

    Example: LocalJudge(model="smollm2", max_tokens=256, answers="choice")
    """

    model: str
    """As `--model` takes it."""
    max_tokens: int
    """Longest free reply."""
    answers: Answers = "choice"
    """choice: the likeliest of the replies that can be read, by their probabilities; nothing is sampled, and none is unread. free: its most
    likely words, read as an endpoint's are."""


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
        """Replies as they come; an error ends it, and what was not begun is not asked.

        Raises:
            ValueError: key, address or model are wrong, the first `FIRST_FAILURES` questions failed all, or as many in a row had no answer
                after every attempt: then each further one would take as long.
        """
        waiting: SimpleQueue[int] = SimpleQueue()
        for place in range(len(questions)):
            waiting.put(place)
        done: SimpleQueue[tuple[int, Reply | ValueError] | None] = SimpleQueue()
        stop = threading.Event()
        num_workers = min(self.workers, len(questions))
        for _ in range(num_workers):
            # daemons: an interrupted run ends without waiting for what is on its way
            threading.Thread(target=self._work, args=(questions, waiting, done, stop), daemon=True).start()
        try:
            yield from self._collected(done, num_workers)
        finally:
            stop.set()

    def _work(
        self,
        questions: Sequence[Messages],
        waiting: SimpleQueue[int],
        done: SimpleQueue[tuple[int, Reply | ValueError] | None],
        stop: threading.Event,
    ) -> None:
        """Asks until nothing is left; None says that it has ended, come what may."""
        try:
            while not stop.is_set():
                place = waiting.get_nowait()
                try:
                    done.put((place, self.endpoint.ask(questions[place], stop)))
                except ValueError as error:
                    done.put((place, error))
        except Empty:
            pass
        finally:
            done.put(None)

    def _collected(self, done: SimpleQueue[tuple[int, Reply | ValueError] | None], num_workers: int) -> Iterator[tuple[int, Reply]]:
        num_failed, answered, silent = 0, False, 0
        while num_workers:
            found = done.get()
            if found is None:
                num_workers -= 1
                continue
            place, reply = found
            if isinstance(reply, ValueError):
                raise reply
            answered = answered or reply.kind != "failed"
            num_failed += 1
            if not answered and num_failed == FIRST_FAILURES:
                raise ValueError(self.endpoint.complaint(f"the first {num_failed} questions all failed, the last one: {reply.note}"))
            # a question that is refused fails at once; who hangs takes all attempts, and minutes, for each
            silent = silent + 1 if reply.kind == "failed" and reply.usage.attempts >= self.endpoint.attempts else 0
            if silent == FIRST_FAILURES:
                raise ValueError(self.endpoint.complaint(f"{silent} questions in a row had no answer, the last one: {reply.note}"))
            yield place, reply


def read_judge(spec: str, environment: Mapping[str, str] = os.environ) -> EndpointJudge | LocalJudge:
    """The judge that a person means by `--judge`.

    Args:
        spec: see the top of this file. An endpoint has the options model, key (an environment variable), max_tokens, timeout (seconds) and
            workers; a local model has max_tokens and answers.
        environment: where the key is looked up.

    Raises:
        ValueError: it is of neither form, has no model, or names a variable that is not set or holds no key.

    >>> read_judge("local:smollm2").model
    'smollm2'
    """
    where, _, rest = spec.partition(",")
    if address_of(spec):
        if "@" in where or "?" in where:
            what = "a password" if "@" in where else "a query"
            raise ValueError(f"judge: {what} in the address would be written into results; put it in a variable, and write key=VARIABLE")
        given = read_options("judge", rest, ENDPOINT_OPTIONS)
        options = ENDPOINT_OPTIONS | given
        if not options["model"]:
            raise ValueError(f"judge at {where} names no model; write {where},model=NAME")
        # a file or a shell may have left a line end on it
        key = environment.get(options["key"], "").strip()
        if not key and "key" in given:
            shown = f"${options['key']}" if VARIABLE.fullmatch(options["key"]) else "what stands behind key= (it may be a key: not shown)"
            raise ValueError(f"judge at {where} takes its key from {shown}, which is not set; name a variable that holds it")
        if "key" not in given and not takes_default_key(where):
            key = ""
        endpoint = Endpoint(
            url=address_of(spec),
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
        one_of("judge", "answers", options["answers"], ANSWERS)
        answers: Answers = "free" if options["answers"] == "free" else "choice"
        return LocalJudge(model=model, max_tokens=_whole("max_tokens", options["max_tokens"]), answers=answers)
    raise ValueError(f"no judge {where!r}; write {FORMS}")


def address_of(spec: str) -> str:
    """The address of the endpoint that `--judge` names; empty of a local model.

    >>> address_of("http://localhost:8000/v1/,model=m"), address_of("local:smollm2")
    ('http://localhost:8000/v1', '')
    """
    where = spec.partition(",")[0]
    return where.rstrip("/") if where.startswith(("http://", "https://")) else ""


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"judge: {name} is a whole number of at least 1; got {text!r}")
    return int(text)
