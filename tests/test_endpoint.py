"""How long somebody waits for an endpoint of which nobody has heard anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from jominy.rewards.endpoint import Endpoint
from jominy.rewards.judge import EndpointJudge
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
