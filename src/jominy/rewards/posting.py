"""One HTTP POST, of which everything has an end: its time, its size, and a reply that says it is longer than it came.

The standard library ends each wait on its socket, not the whole: who sends a byte a minute would never be given up. The body is read
piece by piece here, against a deadline.

LIMIT: a server that trickles its headers is waited for as long as it goes on; it takes a piece of `timeout_s` each.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from email.message import Message
from typing import Any, NamedTuple

PIECE_BYTES = 1 << 16


class Answered(NamedTuple):
    """What a server answered.

    Example: Answered(status=503, reason="Service Unavailable", headers=headers, body=b"later")
    """

    status: int
    """200, 429 ..."""
    reason: str
    """The words beside it."""
    headers: Message
    """Name -> value, whatever the letters' case."""
    body: bytes
    """At most `most_bytes` of it; of an error that breaks off, nothing."""


def post(request: urllib.request.Request, timeout_s: float, most_bytes: int) -> Answered:
    """The answer to a request; one that says it is an error is an answer too.

    Args:
        request: with its data and headers.
        timeout_s: longest wait for a connection, for the headers and for each piece of the body; no piece is begun after it.
        most_bytes: of the body; the rest is not read.

    Raises:
        OSError: no connection, or nothing in time.
        http.client.HTTPException: no HTTP, or a body shorter than it says.
    """
    deadline = time.monotonic() + timeout_s
    try:
        response: Any = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        # its status is the answer, whatever comes of its body
        with error:
            return Answered(error.code, error.reason, error.headers, _body_if_whole(error, deadline, timeout_s, most_bytes))
    with response:
        return Answered(response.status, response.reason, response.headers, _body(response, deadline, timeout_s, most_bytes))


def _body_if_whole(response: Any, deadline: float, timeout_s: float, most_bytes: int) -> bytes:
    try:
        return _body(response, deadline, timeout_s, most_bytes)
    except (OSError, http.client.HTTPException):
        return b""


def _body(response: Any, deadline: float, timeout_s: float, most_bytes: int) -> bytes:
    """What comes until the end, the deadline or `most_bytes`.

    Raises:
        TimeoutError: the deadline has passed.
        http.client.IncompleteRead: it ended before the length that it told.
    """
    body = bytearray()
    while len(body) < most_bytes:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(body)} bytes of a reply came in {timeout_s:g} s, and not its end")
        # read1 takes one look at the socket; read would wait until it has all it was asked for
        piece = response.read1(min(PIECE_BYTES, most_bytes - len(body)))
        if not piece:
            _check_whole(response.headers, bytes(body))
            break
        body += piece
    return bytes(body)


def _check_whole(headers: Message, body: bytes) -> None:
    """The library tells of a broken chunk, but not of a length that is not reached when it is read in pieces."""
    told = headers.get("Content-Length", "")
    if told.isascii() and told.isdigit() and len(body) < int(told):
        raise http.client.IncompleteRead(body, int(told) - len(body))
