"""Ctrl-C in the middle of a step: the step is finished and saved first; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def finish_step_first(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether somebody has asked to stop (SIGINT or SIGTERM); outside the main thread nobody can."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        say("stopping after this step, once it is saved; press Ctrl-C again to stop at once")

    before = {kind: signal.signal(kind, ask) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
