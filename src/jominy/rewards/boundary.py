"""The grading boundary: a reward that crashes, hangs or returns nonsense becomes *unscored*, and the run goes on.

Owns `Grader`. Rewards run in worker processes (`worker`), which are killed, with everything they started, when a response takes longer than
the limit; that one response is unscored and a new worker takes the rest. Workers are plain subprocesses fed by pipes: `multiprocessing`
would either import the user's `__main__` again (spawn) or copy torch's threads half (fork).
Left out on purpose: retries. A reward is pure, so a second try would end like the first.

LIMIT: POSIX only (process groups, polled pipes). The memory limit holds on Linux only; elsewhere a reward can use all memory.
LIMIT: a reward is called one response at a time; a reward model that wants batches is slow here.
LIMIT: a response whose worker is killed costs the limit plus a worker's start-up (about 0.3 s, more where the reward imports more).
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType

import cloudpickle

from jominy.records import Prompt, Reward
from jominy.rewards.loading import files_by_path
from jominy.rewards.worker import LENGTH, Graded, Hello, Loaded, pack

LOAD_TIMEOUT_S = 60.0
LARGEST_CHUNK = 64
MAX_LOST_IN_A_ROW = 16
GIGABYTE = 1 << 30


class Grader:
    """A reward behind the boundary; use it as a context manager, so that no worker is left behind.

    Workers start when there is work for them; entering the context starts the first, so a reward that cannot be loaded says so before
    any sampling. When `MAX_LOST_IN_A_ROW` responses in a row have cost a worker and none was graded in between, the reward is given up:
    the rest is unscored without being tried, because sixteen hangs cost a minute and a thousand would cost hours.

    Args:
        reward: called as reward(prompt, text) in the workers, to which cloudpickle sends it once; may return a Reward or a number.
        timeout_s: seconds one response may take, > 0; loading the reward is not counted.
        num_workers: processes at most, >= 1; None is one a core, four at most.
        memory_limit_bytes: address space of a worker (Linux); None sets no limit, e.g. for rewards that use CUDA.

    Raises:
        ValueError: the reward cannot be pickled, or a worker cannot load it.

    >>> prompt = Prompt(id="a", task="t", messages=())
    >>> with Grader(lambda prompt, text: 1 / len(text), num_workers=1) as grader:
    ...     [(reward.value, reward.note) for reward in grader.grade([(prompt, "four"), (prompt, "")])]
    [(0.25, ''), (None, 'raised ZeroDivisionError: division by zero')]
    """

    def __init__(
        self,
        reward: Callable[[Prompt, str], object],
        *,
        timeout_s: float = 5.0,
        num_workers: int | None = None,
        memory_limit_bytes: int | None = 4 * GIGABYTE,
    ) -> None:
        if not timeout_s > 0 or (num_workers is not None and num_workers < 1):
            raise ValueError(f"a grader needs timeout_s > 0 and num_workers >= 1; got {timeout_s} and {num_workers}")
        self.timeout_s = timeout_s
        self.num_workers = num_workers or min(4, os.cpu_count() or 1)
        self.counts: Counter[str] = Counter()
        """Unscored responses by reason: the note up to its first colon."""
        self.first_traceback = ""
        """Where the first crash happened, or which response the first lost worker was busy with; empty while all is well."""
        self._hello = _hello(reward, timeout_s, memory_limit_bytes)
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._lost_in_a_row = 0
        weakref.finalize(self, _end, self._workers, self._selector)

    def __enter__(self) -> Grader:
        """Starts the first worker and waits until it has loaded the reward."""
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.close)
            self._start()
            while not self._workers[0].is_loaded:
                self._wait([], _Progress(0))
            on_failure.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the workers."""
        self.close()

    def close(self) -> None:
        """Ends the workers; a later `grade` starts new ones."""
        while self._workers:
            self._remove(self._workers[-1])

    def grade(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Reward]:
        """The reward of each (prompt, text), in order; unscored ones have `value=None` and a note.

        Raises:
            ValueError: a worker cannot load the reward.
        """
        progress = _Progress(len(pairs))
        chunk_size = max(1, min(LARGEST_CHUNK, math.ceil(len(pairs) / (4 * self.num_workers))))
        progress.queue.extend(list(range(first, min(first + chunk_size, len(pairs)))) for first in range(0, len(pairs), chunk_size))
        try:
            while progress.num_open:
                if self._lost_in_a_row >= MAX_LOST_IN_A_ROW:
                    self._give_up(progress)
                    break
                self._feed(pairs, progress)
                self._wait(pairs, progress)
        finally:  # after Ctrl-C nobody waits for the answers that are still to come
            for worker in [worker for worker in self._workers if worker.busy_with]:
                self._remove(worker)
        return [reward for reward in progress.rewards if reward is not None]

    def _feed(self, pairs: Sequence[tuple[Prompt, str]], progress: _Progress) -> None:
        """Give every idle worker a chunk; start workers while chunks are left over."""
        for worker in self._workers:
            if progress.queue and worker.is_loaded and not worker.busy_with:
                worker.send(progress.queue.popleft(), pairs, self.timeout_s)
        num_loading = sum(not worker.is_loaded for worker in self._workers)
        for _ in range(min(len(progress.queue) - num_loading, self.num_workers - len(self._workers))):
            self._start()

    def _wait(self, pairs: Sequence[tuple[Prompt, str]], progress: _Progress) -> None:
        """Take in what the workers have to say, then end those that are past their deadline."""
        soonest = min(worker.deadline for worker in self._workers)
        for key, _ in self._selector.select(max(0.0, soonest - time.monotonic())):
            self._receive(key.data, pairs, progress)
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.deadline <= now]:
            self._remove(worker)
            self._lose(worker, f"timed out after {self.timeout_s:g} s", pairs, progress)

    def _receive(self, worker: _Worker, pairs: Sequence[tuple[Prompt, str]], progress: _Progress) -> None:
        messages, ended = worker.receive()
        for message in messages:
            if isinstance(message, Loaded):
                if message.error:
                    raise ValueError(f"the reward cannot be loaded in a worker process; fix what this traceback shows:\n{message.error}")
                worker.is_loaded, worker.deadline = True, math.inf
            else:
                self._lost_in_a_row = 0
                self._note(progress, worker.busy_with.popleft(), message.reward, message.traceback)
                worker.deadline = time.monotonic() + self.timeout_s if worker.busy_with else math.inf
        if ended:
            self._remove(worker)
            self._lose(worker, f"the worker process died ({worker.how_it_ended()})", pairs, progress)

    def _lose(self, worker: _Worker, why: str, pairs: Sequence[tuple[Prompt, str]], progress: _Progress) -> None:
        """A worker is gone: the response it was busy with is unscored, the ones behind it go back into the queue."""
        if not worker.is_loaded:
            raise ValueError(f"the reward cannot be loaded in a worker process: {why}; try to import it in a plain Python session")
        if not worker.busy_with:
            return
        index = worker.busy_with.popleft()
        self._lost_in_a_row += 1
        prompt, text = pairs[index]
        self._note(progress, index, Reward(value=None, note=why), f"{why}\n  prompt {prompt.id}\n  {len(text)} characters: {text[:200]!r}")
        if worker.busy_with:
            progress.queue.appendleft(list(worker.busy_with))

    def _give_up(self, progress: _Progress) -> None:
        reward = Reward(value=None, note=f"not tried: {MAX_LOST_IN_A_ROW} responses in a row hung or killed their worker")
        for index in [index for index, known in enumerate(progress.rewards) if known is None]:
            self._note(progress, index, reward, "")

    def _note(self, progress: _Progress, index: int, reward: Reward, trace: str) -> None:
        progress.rewards[index] = reward
        progress.num_open -= 1
        if reward.value is None:
            self.counts[reward.note.split(":")[0]] += 1
            self.first_traceback = self.first_traceback or trace

    def _start(self) -> None:
        worker = _Worker(self._hello)
        self._workers.append(worker)
        self._selector.register(worker.frames_out, selectors.EVENT_READ, worker)

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.frames_out)
        worker.kill()


class _Progress:
    """What one call of `grade` has got so far."""

    def __init__(self, num_pairs: int) -> None:
        self.rewards: list[Reward | None] = [None] * num_pairs
        self.num_open = num_pairs
        self.queue: deque[list[int]] = deque()


class _Worker:
    """One process as its parent sees it: loading, idle, or busy with responses in a known order."""

    def __init__(self, hello: bytes) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from jominy.rewards.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.frames_in, self.frames_out = self.process.stdin, self.process.stdout
        self.is_loaded = False
        self.busy_with: deque[int] = deque()
        self.deadline = time.monotonic() + LOAD_TIMEOUT_S
        self._buffer = bytearray()
        self._write(hello)

    def send(self, chunk: list[int], pairs: Sequence[tuple[Prompt, str]], timeout_s: float) -> None:
        """Hand over a chunk; the worker is idle and therefore reading, so this does not block for long."""
        self.busy_with.extend(chunk)
        self._write(pack([pairs[index] for index in chunk]))
        self.deadline = time.monotonic() + timeout_s

    def receive(self) -> tuple[list[Loaded | Graded], bool]:
        """The whole frames that have come, and whether the process has ended."""
        data = os.read(self.frames_out.fileno(), 1 << 20)
        self._buffer += data
        messages: list[Loaded | Graded] = []
        start = 0
        while len(self._buffer) - start >= LENGTH.size:
            end = start + LENGTH.size + LENGTH.unpack_from(self._buffer, start)[0]
            if end > len(self._buffer):
                break
            messages.append(pickle.loads(memoryview(self._buffer)[start + LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return messages, not data

    def how_it_ended(self) -> str:
        """Exit code or signal, for the note; the process has been reaped."""
        code = self.process.returncode
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End the process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.frames_out.close()
        with contextlib.suppress(BrokenPipeError):
            self.frames_in.close()

    def _write(self, frame: bytes) -> None:
        # A worker that has just died is noticed when its output ends; a broken pipe says nothing more.
        with contextlib.suppress(BrokenPipeError):
            self.frames_in.write(frame)
            self.frames_in.flush()


def _hello(reward: Callable[[Prompt, str], object], timeout_s: float, memory_limit_bytes: int | None) -> bytes:
    try:
        reward_pickle: bytes = cloudpickle.dumps(reward)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"the reward cannot be sent to a worker process ({error}); define it as a function of a .py file, without open files or locks"
        ) from error
    return pack(
        Hello(
            import_path=tuple(sys.path),
            files=files_by_path(),
            timeout_s=timeout_s,
            memory_limit_bytes=memory_limit_bytes,
            reward_pickle=reward_pickle,
        )
    )


def _end(workers: list[_Worker], selector: selectors.BaseSelector) -> None:
    """For a grader that nobody closed: at garbage collection or when Python exits."""
    selector.close()
    for worker in workers:
        worker.kill()
