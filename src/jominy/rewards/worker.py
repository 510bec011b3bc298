"""The process that runs a reward where it can do no harm; `boundary` starts it and talks to it.

Owns the wire format: a frame is eight bytes of length (big endian) and a pickle. Frames in, on standard input:

    Hello, then lists of (Prompt, text)

Frames out, on what was standard output: one `Loaded`, then one `Graded` for each pair, written as soon as it is known, so that the
parent can tell which response a dead worker was busy with. Whatever the reward prints is thrown away; it can neither read the frames
nor write between them. The two broad `except`s of the house are here.
Left out on purpose: the time limit. A reward that holds the interpreter lock cannot be interrupted from inside, so `boundary` kills
the process from outside.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any, BinaryIO, SupportsFloat

from jominy.records import Prompt, Reward, RewardFunction

LENGTH = struct.Struct(">Q")
ORPHAN_GRACE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a worker is told once.

    Example: Hello(import_path=("/home/me",), files={}, timeout_s=5.0, memory_limit_bytes=None, reward_pickle=cloudpickle.dumps(reward))
    """

    import_path: tuple[str, ...]
    """`sys.path` of the parent, so that the reward's modules are found here too."""
    files: Mapping[str, str]
    """Modules that the parent has loaded from a file by path: name and file."""
    timeout_s: float
    """Seconds a response may take; the worker only uses it to end itself when its parent is gone."""
    memory_limit_bytes: int | None
    """Largest address space; None sets no limit."""
    reward_pickle: bytes
    """The reward function, by cloudpickle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """First frame out.

    Example: Loaded(error="")
    """

    error: str
    """Traceback of why the reward could not be loaded; empty when it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """The judgement of one response.

    Example: Graded(reward=Reward(value=1.0), traceback="")
    """

    reward: Reward
    """The reward, or unscored with the reason."""
    traceback: str
    """Where the reward crashed; empty when it did not."""


def pack(message: object) -> bytes:
    """The frame of one message."""
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(payload)) + payload


def to_reward(value: object) -> Reward:
    """What a reward function returned, as a Reward: a finite number (True is 1), None or a Reward; anything else is unscored.

    >>> to_reward(True)
    Reward(value=1.0, parts={}, answer=None, note='')
    >>> to_reward("yes").note
    'returned str instead of a number'
    """
    if isinstance(value, Reward):
        return _checked(value)
    if value is None:
        return Reward(value=None, note="returned None")
    if isinstance(value, SupportsFloat):
        return _checked(Reward(value=float(value)))
    return Reward(value=None, note=f"returned {type(value).__name__} instead of a number")


def grade_one(reward: Callable[[Prompt, str], object], prompt: Prompt, text: str) -> Graded:
    """One response graded; whatever the reward raises, even `SystemExit`, becomes unscored.

    >>> prompt = Prompt(id="a", task="t", messages=())
    >>> grade_one(lambda prompt, text: 1 / len(text), prompt, "").reward.note
    'raised ZeroDivisionError: division by zero'
    """
    try:
        return Graded(reward=to_reward(reward(prompt, text)), traceback="")
    except BaseException as error:  # the grading boundary
        what = traceback.format_exception_only(error)[-1].strip()[:300]
        return Graded(reward=Reward(value=None, note=f"raised {what}"), traceback=traceback.format_exc())


def main() -> None:
    """Load the reward, then grade until standard input ends."""
    frames_in, frames_out = _take_pipes()
    hello: Hello = _read(frames_in)
    sys.path[:] = hello.import_path
    sys.meta_path.append(_FilesByPath(hello.files))
    _limit(hello.memory_limit_bytes)
    reward, error = _load(hello.reward_pickle)
    _write(frames_out, Loaded(error=error))
    if reward is None:
        return
    while True:
        pairs: list[tuple[Prompt, str]] = _read(frames_in)
        for prompt, text in pairs:
            # SIGALRM ends the process from the kernel, lock or no lock: a hanging worker outlives a killed parent only this long.
            signal.setitimer(signal.ITIMER_REAL, hello.timeout_s + ORPHAN_GRACE_S)
            _write(frames_out, grade_one(reward, prompt, text))
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _checked(reward: Reward) -> Reward:
    """The reward in plain types, or unscored when a number in it is not finite or a field has the wrong type."""
    if reward.value is None:
        return Reward(value=None, parts=dict(reward.parts), answer=reward.answer, note=str(reward.note) or "unscored by the reward")
    answer = None if reward.answer is None else str(reward.answer)
    value, parts = float(reward.value), {str(name): float(part) for name, part in reward.parts.items()}
    if not math.isfinite(value):
        return Reward(value=None, note="returned NaN" if math.isnan(value) else "returned an infinite number")
    if not all(math.isfinite(part) for part in parts.values()):
        return Reward(value=None, note="returned a part that is not finite")
    return Reward(value=value, parts=parts, answer=answer, note=str(reward.note))


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes on private descriptors; 0 and 1 go nowhere, so that a reward that reads or prints cannot touch the frames."""
    frames_in, frames_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return frames_in, frames_out


class _FilesByPath:
    """Finds the modules that have no place on `sys.path`, so that what the reward refers to in them can be unpickled."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """As `importlib` asks every finder."""
        return spec_from_file_location(name, self.files[name]) if name in self.files else None


def _limit(memory_limit_bytes: int | None) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_limit_bytes is not None and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit_bytes, memory_limit_bytes))


def _load(reward_pickle: bytes) -> tuple[RewardFunction | None, str]:
    try:
        reward: RewardFunction = pickle.loads(reward_pickle)
        return reward, ""
    except BaseException:  # the grading boundary: a user's module may raise anything when imported
        return None, traceback.format_exc()


def _read(file: BinaryIO) -> Any:
    header = file.read(LENGTH.size)
    if len(header) < LENGTH.size:
        sys.exit(0)
    return pickle.loads(file.read(LENGTH.unpack(header)[0]))


def _write(file: BinaryIO, message: object) -> None:
    file.write(pack(message))
    file.flush()
