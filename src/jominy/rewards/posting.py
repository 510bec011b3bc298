"""One HTTP POST that has an end: its time, its size, and a reply that says it is longer than it came.

The standard library ends each wait on its socket, not the whole: who sends a byte a minute would never be given up. The body is read
piece by piece here, against a deadline. Redirects are not followed: a POST would become a GET, and its key might go to another host.

LIMIT: a server that trickles its headers, or the lines around chunks, is waited for as long as it goes on, `timeout_s` for each piece.
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


class _Unredirected(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other that is no reply."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is asked elsewhere."""


def post(request: urllib.request.Request, timeout_s: float, most_bytes: int) -> Answered:
    """The answer to a request; one that says it is an error is an answer too.

    Args:
        request: with its data and headers.
        timeout_s: longest wait for a connection and for each piece of the answer; from its headers on no piece is begun after it.
        most_bytes: of the body; the rest is not read.

    Raises:
        OSError: no connection, or nothing in time.
        http.client.HTTPException: no HTTP, or a body shorter than it says.
    """
    opener = urllib.request.build_opener(_Unredirected)
    try:
        response: Any = opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        # its status is the answer, whatever comes of its body
        with error:
            return Answered(error.code, error.reason, error.headers, _body_if_whole(error, timeout_s, most_bytes))
    with response:
        return Answered(response.status, response.reason, response.headers, _body(response, timeout_s, most_bytes))


def _body_if_whole(response: Any, timeout_s: float, most_bytes: int) -> bytes:
    try:
        return _body(response, timeout_s, most_bytes)
    except (OSError, http.client.HTTPException):
        return b""


def _body(response: Any, timeout_s: float, most_bytes: int) -> bytes:
    """What comes until the end, the deadline or `most_bytes`.

    Raises:
        TimeoutError: the deadline has passed.
        http.client.IncompleteRead: it ended before the length that it told.
    """
    deadline, body = time.monotonic() + timeout_s, bytearray()
    # length: bytes that are still to come, None where nobody knows
    while len(body) < most_bytes and response.length != 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(body)} bytes of a reply came in {timeout_s:g} s, and not its end")
        # read1 takes one look at the socket; read would wait until it has all it was asked for
        piece = response.read1(min(PIECE_BYTES, most_bytes - len(body)))
        if not piece:
            if response.length:
                raise http.client.IncompleteRead(bytes(body), response.length)
            break
        body += piece
    return bytes(body)
