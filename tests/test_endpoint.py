"""How long somebody waits for an endpoint of which nobody has heard anything; replies that break off, trickle, or never end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jominy.rewards.endpoint import REPLY_BYTES, Endpoint
from jominy.rewards.judge import FIRST_FAILURES, EndpointJudge, Judge
from tests.test_judge import always, asks, endpoint_at, said, served


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def impatient(url: str, attempts: int = 4) -> Endpoint:
    return replace(endpoint_at(url, attempts), timeout_s=0.02)


def test_who_has_never_answered_is_given_two_attempts(silent):
    endpoint = impatient(silent)
    reply = endpoint.ask(asks("a")[0])
    assert (reply.kind, reply.usage.attempts, endpoint.heard.is_set()) == ("failed", 2, False)
    assert reply.note.startswith("no answer after 2 attempts, the last one: ")
    only = replace(endpoint, attempts=1)
    assert only.ask(asks("a")[0]).usage.attempts == 1


def test_so_a_judge_that_hangs_is_told_after_two(silent):
    judge = EndpointJudge(endpoint=impatient(silent, attempts=50), workers=4)
    with pytest.raises(ValueError, match=r"first 8 questions all failed, the last one: no answer after 2 attempts"):
        list(judge.answer(asks(*map(str, range(30)))))


@pytest.mark.parametrize(("status", "content"), [(200, said("yes")), (400, "no")])
def test_who_has_answered_once_is_given_all_even_if_it_was_an_error(status, content):
    with served(always(content, status)) as (url, _):
        endpoint = impatient(url)
        heard = replace(endpoint, timeout_s=5.0)
        assert not heard.heard.is_set()
        heard.ask(asks("a")[0])
        assert heard.heard.is_set()
        assert not endpoint.heard.is_set(), "a copy has its own"
    assert heard.ask(asks("b")[0]).usage.attempts == 4  # nobody is there any more


@contextmanager
def wire(talk: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """Somebody who says what `talk` sends to everyone who calls. Yields the address and what was heard first from each."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller = listening.accept()[0]
                    with suppress(OSError):  # who called has hung up
                        heard.append(request_from(caller))
                        talk(caller)
                    caller.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", heard
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=30)


def request_from(caller: socket.socket) -> bytes:
    """All of it, so that nothing of it is left when the call is ended: that would be no end, but a reset."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += caller.recv(1 << 16)
    head, _, body = heard.partition(b"\r\n\r\n")
    length = int(next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")))
    while len(body) < length:
        body += caller.recv(1 << 16)
    return head + body


WHOLE = b'{"choices": [{"message": {"content": "yes"}}]}'


def reply(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    told = f"Content-Length: {len(body) if length is None else length}\r\n"
    return f"HTTP/1.1 {status}\r\n{told}\r\n".encode() + body


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (reply(WHOLE, length=len(WHOLE) + 7), "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + WHOLE[:20], "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n" + WHOLE, "IncompleteRead"),
        (b"HTTP/1.1 what\r\n\r\n", "what"),
        (b"", "closed connection without response"),
    ],
    ids=["a short body", "a broken chunk", "no chunk", "no status", "nothing"],
)
def test_a_reply_that_breaks_off_is_asked_for_again(sent, why):
    with wire(lambda caller: caller.sendall(sent)) as (url, heard):
        endpoint = endpoint_at(url)
        endpoint.heard.set()
        found = endpoint.ask(asks("a")[0])
    assert (found.kind, found.text, len(heard)) == ("failed", None, 3)
    assert found.note.startswith("no answer after 3 attempts, the last one: ")
    assert why in found.note


@pytest.mark.parametrize(("status", "kind", "calls"), [("503 Busy", "failed", 3), ("400 Bad", "refused", 1)])
@pytest.mark.parametrize("body", [b"", b'{"err'], ids=["nothing", "half"])
def test_an_error_whose_words_never_come_is_that_error(status, kind, calls, body):
    """It says that 99 bytes follow, and then nothing, until the caller hangs up."""

    def talk(caller: socket.socket) -> None:
        caller.sendall(reply(body, status, 99))
        caller.recv(1)

    with wire(talk) as (url, heard):
        found = replace(endpoint_at(url), timeout_s=0.5).ask(asks("a")[0])
    assert (found.kind, len(heard)) == (kind, calls)
    assert f"HTTP {status[:3]}: {status[4:]}" in found.note


def test_who_trickles_is_given_up_in_time():
    """A byte every 20 ms, each well within the time; a whole reply would take hours."""

    def talk(caller: socket.socket) -> None:
        caller.sendall(reply(b"", length=1 << 20))
        while True:
            caller.sendall(b" ")
            time.sleep(0.02)

    with wire(talk) as (url, _):
        found = replace(endpoint_at(url, attempts=1), timeout_s=0.3).ask(asks("a")[0])
    assert found.kind == "failed"
    assert "bytes of a reply came in 0.3 s, and not its end" in found.note


def test_no_more_is_read_than_a_reply_can_have():
    sent = 0

    def talk(caller: socket.socket) -> None:
        nonlocal sent
        caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += caller.send(b" " * (1 << 20))

    with wire(talk) as (url, heard):
        found = endpoint_at(url).ask(asks("a")[0])
    assert (found.kind, len(heard)) == ("refused", 1)
    assert "no chat completion" in found.note
    assert REPLY_BYTES <= sent < 4 * REPLY_BYTES


@pytest.mark.parametrize("status", [200, 400, 503])
def test_brackets_without_end_are_no_reply(status):
    with served(always("[" * 200_000, status)) as (url, _):
        found = endpoint_at(url).ask(asks("a")[0])
    assert (found.kind, found.text) == ("failed" if status == 503 else "refused", None)
    assert "[[[[" in found.note


def test_who_wants_the_other_name_of_the_length_is_asked_with_it_from_then_on():
    wants = {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}
    with served(lambda body: (400, wants, {}) if "max_tokens" in body else (200, said("yes"), {})) as (url, seen):
        endpoint = endpoint_at(url)
        first, second = (endpoint.ask(asks(text)[0]) for text in "ab")
    assert (first.text, first.usage.attempts, second.text, second.usage.attempts) == ("yes", 2, "yes", 1)
    assert [sorted({"max_tokens", "max_completion_tokens"} & set(body)) for body in seen] == [
        ["max_tokens"],
        ["max_completion_tokens"],
        ["max_completion_tokens"],
    ]
    with served(always(wants, 400)) as (url, seen):
        assert endpoint_at(url).ask(asks("a")[0]).kind == "refused"
        assert len(seen) == 2, "who wants neither is not asked for ever"


def judge_of(url: str, folder: Path) -> Judge:
    answer = EndpointJudge(endpoint=endpoint_at(url), workers=1).answer
    return Judge(name=f"{url},model=m", model="m", max_tokens=64, answer=answer, folder=folder)


def test_who_refuses_every_question_alike_is_told_after_a_few(tmp_path):
    """Also when they are asked one by one, as a small training step does."""
    no = {"error": {"message": "temperature 0 is not supported"}}
    told = r"refused each of the first 8 questions: HTTP 400: temperature 0 is not supported; what"
    with served(always(no, 400)) as (url, seen):
        with pytest.raises(ValueError, match=told):
            judge_of(url, tmp_path).ask(asks(*map(str, range(30))))
        assert FIRST_FAILURES <= len(seen) <= FIRST_FAILURES + 1
        judge = judge_of(url, tmp_path)
        for number in range(FIRST_FAILURES - 1):
            assert judge.ask(asks(str(number)))[0].kind == "refused"
        with pytest.raises(ValueError, match=told):
            judge.ask(asks("last"))


def test_but_not_who_has_said_something_or_refuses_each_for_a_reason_of_its_own(tmp_path):
    def answer(body):
        text = body["messages"][0]["content"]
        return (200, said("yes"), {}) if text == "good" else (400, {"error": text if text.startswith("own") else "no"}, {})

    alike = asks(*map(str, range(9)))
    with served(answer) as (url, _):
        judge = judge_of(url, tmp_path / "own")
        assert {found.kind for found in judge.ask(asks(*(f"own {number}" for number in range(9))))} == {"refused"}
        judge = judge_of(url, tmp_path)
        assert [found.kind for found in judge.ask(asks("good"))] == ["said"]
        assert {found.kind for found in judge.ask(alike)} == {"refused"}
        # the next run asks what was refused once more, and first
        assert {found.kind for found in judge_of(url, tmp_path).ask(alike)} == {"refused"}
        with pytest.raises(ValueError, match="refused each of the first 8"):
            judge_of(url, tmp_path / "another").ask(alike)


def test_a_redirect_is_an_answer_and_nothing_is_sent_elsewhere():
    elsewhere = {"Location": "http://127.0.0.1:1/v1/chat/completions"}  # where nobody is: to go there would be a failure
    with served(lambda body: (302, "", elsewhere)) as (url, seen):
        found = endpoint_at(url).ask(asks("a")[0])
    assert (found.kind, len(seen)) == ("refused", 1)
    assert "HTTP 302" in found.note


def test_who_names_the_other_length_without_meaning_it_is_asked_as_before():
    def answer(body):
        if body["messages"][0]["content"] == "long":
            return 400, {"error": {"message": "'max_tokens' or 'max_completion_tokens' is too large"}}, {}
        return 200, said("yes"), {}

    with served(answer) as (url, seen):
        endpoint = endpoint_at(url)
        assert endpoint.ask(asks("long")[0]).kind == "refused"
        assert endpoint.ask(asks("short")[0]).text == "yes"
    assert ["max_tokens" in body for body in seen] == [True, False, True]


@pytest.mark.parametrize("head", ["Content-Length: 9999", "Content-Length: " + "9" * 5000])
def test_a_length_beside_chunks_counts_nothing(head):
    size = f"{len(WHOLE):x}".encode()
    sent = f"HTTP/1.1 200 OK\r\n{head}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + size + b"\r\n" + WHOLE + b"\r\n0\r\n\r\n"
    with wire(lambda caller: caller.sendall(sent)) as (url, _):
        assert endpoint_at(url).ask(asks("a")[0]).text == "yes"
