"""The command line, held before one of its steps until it is told to go on, and before its end for good: for tests that cut a run off.

`python tests/held_run.py FOLDER STEP train --model ...` makes FOLDER/here before STEP and waits for FOLDER/go, so that a test strikes at a
known place however busy the machine is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from unittest import mock

from jominy import cli, training

LONGEST_WAIT_S = 600.0
"""A held run ends by itself when its test is gone."""


def wait_for(file: Path) -> None:
    """Returns when the file is there."""
    last = time.monotonic() + LONGEST_WAIT_S
    while not file.exists():
        if time.monotonic() > last:
            sys.exit(f"nobody made {file}")
        time.sleep(0.01)


def main(folder: Path, number: int, words: list[str]) -> int:
    """Runs the command; returns its exit code."""
    step = training.Run.step

    def held(run: training.Run, at: int) -> None:
        if at == number:
            (folder / "here").touch()
            wait_for(folder / "go")
        step(run, at)

    def finish(run: training.Run) -> None:
        wait_for(folder / "never")

    with mock.patch.object(training.Run, "step", held), mock.patch.object(training.Run, "finish", finish):
        return cli.main(words)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
