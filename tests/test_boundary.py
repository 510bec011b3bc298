"""The grading boundary under fire: every way a reward can go wrong, for real."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jominy.records import Message, Prompt, Reward
from jominy.rewards.boundary import MAX_LOST_IN_A_ROW, Grader

PROMPT = Prompt(id="p", task="t", messages=(Message(role="user", content="q"),), target="5")


def grade(
    reward: Callable[[Prompt, str], object], texts: list[str], *, num_workers: int = 1, **options: Any
) -> tuple[list[Reward], Grader]:
    with Grader(reward, num_workers=num_workers, **options) as grader:
        return grader.grade([(PROMPT, text) for text in texts]), grader


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that its new parent has not reaped yet is as good as gone.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" if Path("/proc").exists() else True


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_order_is_kept_over_chunks_and_workers():
    def number(prompt, text):
        return float(text)

    rewards, grader = grade(number, [str(i) for i in range(1000)], num_workers=2)
    assert [one.value for one in rewards] == [float(i) for i in range(1000)]
    assert not grader.counts
    assert grader.first_traceback == ""


def test_parts_answer_and_note_come_through():
    def detailed(prompt, text):
        return Reward(value=0.5, parts={"a": 1, "b": 0}, answer=text)

    assert grade(detailed, ["x"])[0] == [Reward(value=0.5, parts={"a": 1.0, "b": 0.0}, answer="x")]


def test_nothing_to_grade():
    assert grade(lambda prompt, text: 1.0, [])[0] == []


@pytest.mark.parametrize(
    ("returned", "value", "note"),
    [
        ("True", 1.0, ""),
        ("0", 0.0, ""),
        ("__import__('numpy').float32(0.5)", 0.5, ""),
        ("None", None, "returned None"),
        ("float('nan')", None, "returned NaN"),
        ("float('-inf')", None, "returned an infinite number"),
        ("'1.0'", None, "returned str instead of a number"),
        ("[1.0]", None, "returned list instead of a number"),
        ("Reward(value=float('nan'))", None, "returned NaN"),
        ("Reward(value=None)", None, "unscored by the reward"),
        ("Reward(value=1.0, parts={'a': float('inf')})", None, "returned a part that is not finite"),
    ],
)
def test_what_a_reward_returns(returned, value, note):
    def reward(prompt, text):
        return eval(text, {"Reward": Reward})

    (one,), grader = grade(reward, [returned])
    assert (one.value, one.note) == (value, note)
    assert sum(grader.counts.values()) == (value is None)


def test_a_crash_is_unscored_with_its_first_traceback():
    def reward(prompt, text):
        return 1 / int(text)

    rewards, grader = grade(reward, ["1", "0", "x", "2"])
    assert [one.value for one in rewards] == [1.0, None, None, 0.5]
    assert rewards[1].note == "raised ZeroDivisionError: division by zero"
    assert "ZeroDivisionError" in grader.first_traceback
    assert "in reward" in grader.first_traceback
    assert grader.counts == {"raised ZeroDivisionError": 1, "raised ValueError": 1}


def test_hangs_and_deaths_cost_one_response_each():
    def hostile(prompt, text):
        import ctypes
        import os
        import sys
        import time

        if text == "sleep":
            time.sleep(1000)
        if text == "power":  # holds the interpreter lock for hours: no signal handler, no thread can end it
            return 10**10**10
        if text == "loop":
            while True:
                pass
        if text == "exit":
            os._exit(3)
        if text == "sysexit":
            sys.exit("bye")
        if text == "segfault":
            ctypes.string_at(0)
        if text == "close":
            os.closerange(3, 100)
        return 1.0

    texts = ["ok", "sleep", "ok", "power", "loop", "exit", "sysexit", "ok", "segfault", "close", "ok"]
    start = time.monotonic()
    rewards, grader = grade(hostile, texts, timeout_s=0.5)
    assert time.monotonic() - start < 15
    assert [one.value for one, text in zip(rewards, texts, strict=True) if text == "ok"] == [1.0] * 4
    notes = {text: one.note for text, one in zip(texts, rewards, strict=True)}
    assert notes["sleep"] == notes["power"] == notes["loop"] == "timed out after 0.5 s"
    assert notes["exit"] == "the worker process died (exit code 3)"
    assert notes["sysexit"] == "raised SystemExit: bye"
    assert notes["segfault"] == "the worker process died (SIGSEGV)"
    assert "the worker process died" in notes["close"]
    assert grader.counts["timed out after 0.5 s"] == 3
    assert "'sleep'" in grader.first_traceback  # the response that hung first, to look at


@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit holds on Linux only")
def test_memory_is_limited():
    def greedy(prompt, text):
        return float(len(bytearray(int(text))))

    rewards, _ = grade(greedy, ["1000", str(3 << 30), "10"], memory_limit_bytes=1 << 30)
    assert [one.value for one in rewards] == [1000.0, None, 10.0]
    assert rewards[1].note == "raised MemoryError"


def test_printing_and_reading_do_not_touch_the_frames():
    def noisy(prompt, text):
        import os
        import subprocess
        import sys

        print("noise" * 10000, flush=True)
        os.write(1, b"\x00" * 100)
        subprocess.run(["echo", "more noise"], check=True)
        return float(len(sys.stdin.read()))

    assert [one.value for one in grade(noisy, ["a", "b"])[0]] == [0.0, 0.0]


def test_any_text_reaches_the_reward():
    def length(prompt, text):
        return float(len(text))

    texts = ["", "x" * 1_000_000, "".join(map(chr, range(256))), "\ud800 lone", "\x00"]
    assert [one.value for one in grade(length, texts)[0]] == [float(len(text)) for text in texts]


def test_what_a_hanging_reward_started_is_ended_too(tmp_path):
    file = tmp_path / "pid"

    def spawning(prompt, text):
        import subprocess
        import time
        from pathlib import Path

        Path(text).write_text(str(subprocess.Popen(["sleep", "1000"]).pid))
        time.sleep(1000)

    rewards, _ = grade(spawning, [str(file)], timeout_s=1)
    assert rewards[0].value is None
    assert gone_within(int(file.read_text()), 5)


def test_a_reward_that_always_hangs_is_given_up():
    def hanging(prompt, text):
        import time

        time.sleep(1000)

    with Grader(hanging, timeout_s=0.05, num_workers=2) as grader:
        rewards = grader.grade([(PROMPT, "x")] * 500)
    assert all(one.value is None for one in rewards)
    tried = sum(one.note == "timed out after 0.05 s" for one in rewards)
    assert MAX_LOST_IN_A_ROW <= tried <= MAX_LOST_IN_A_ROW + 2  # each worker may be busy with one more
    assert grader.counts["not tried"] == 500 - tried


def test_a_slow_reward_is_timed_by_the_response_and_not_by_the_chunk():
    def slow(prompt, text):
        import time

        time.sleep(0.1)
        return 1.0

    rewards, _ = grade(slow, ["x"] * 12, timeout_s=1.0)  # 12 x 0.1 s in chunks of 3; all are below a second each
    assert all(one.value == 1.0 for one in rewards)


def test_loading_is_not_on_the_clock_and_its_failure_is_the_users_mistake(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.6)\ndef reward(prompt, text):\n    return 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import slow_to_import  # type: ignore[import-not-found]

    assert grade(slow_to_import.reward, ["x"], timeout_s=0.4)[0][0].value == 1.0
    (tmp_path / "slow_to_import.py").write_text("raise RuntimeError('only in the worker')\n")
    with pytest.raises(ValueError, match="only in the worker"), Grader(slow_to_import.reward):
        pass


def test_a_reward_that_cannot_be_sent_says_so():
    import threading

    lock = threading.Lock()
    with pytest.raises(ValueError, match=r"cannot be sent to a worker process.*lock"):
        Grader(lambda prompt, text: float(lock.locked()))


def test_options_are_checked():
    with pytest.raises(ValueError, match="timeout_s > 0"):
        Grader(lambda prompt, text: 1.0, timeout_s=0)
    with pytest.raises(ValueError, match="num_workers >= 1"):
        Grader(lambda prompt, text: 1.0, num_workers=0)


def start_parent(tmp_path: Path, reward_body: str) -> tuple[subprocess.Popen[bytes], int]:
    """A program that grades with a reward which writes its process id and then does `reward_body`; its pid file."""
    file = tmp_path / "worker_pid"
    script = f"""
    from jominy.records import Prompt
    from jominy.rewards.boundary import Grader

    def reward(prompt, text):
        import os, time
        from pathlib import Path
        Path(text).write_text(str(os.getpid()))
        {reward_body}
        return 1.0

    grader = Grader(reward, timeout_s=1.5, num_workers=1)
    prompt = Prompt(id="p", task="t", messages=())
    grader.grade([(prompt, {str(file)!r})])
    print("graded", flush=True)
    import time; time.sleep(1000)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return parent, int(file.read_text())


@pytest.mark.parametrize(
    ("how", "reward_body"),
    [(signal.SIGINT, "time.sleep(1000)"), (signal.SIGINT, "pass"), (signal.SIGKILL, "10**10**10"), (signal.SIGKILL, "pass")],
)
def test_no_worker_outlives_its_parent(tmp_path, how, reward_body):
    parent, worker = start_parent(tmp_path, reward_body)
    assert alive(worker)
    parent.send_signal(how)
    parent.communicate(timeout=10)
    assert gone_within(worker, 10)


def test_after_an_interruption_the_grader_still_answers_rightly():
    def reward(prompt, text):
        import time

        time.sleep(0.3 if text == "slow" else 0)
        return float(len(text))

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    with Grader(reward, num_workers=1) as grader:
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        try:
            with pytest.raises(KeyboardInterrupt):
                grader.grade([(PROMPT, "slow")] * 3)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert [one.value for one in grader.grade([(PROMPT, "ab"), (PROMPT, "abc")])] == [2.0, 3.0]


def test_throughput():
    """5,000 trivial rewards a second is the promise; this machine does 40,000, so a third of the promise cannot be noise."""

    def trivial(prompt, text):
        return 1.0

    with Grader(trivial, num_workers=1) as grader:
        start = time.monotonic()
        grader.grade([(PROMPT, "x")] * 10_000)
        assert 10_000 / (time.monotonic() - start) > 1_700
