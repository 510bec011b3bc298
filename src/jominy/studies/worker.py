"""A process that works off jobs of a study: one JSON object a line in, one out. Started by `running`.

Whatever a job prints, a C library's words too, goes to standard error: answers have a file descriptor of their own. The process ends when
its input does, so it does not outlive a killed study by more than the job in hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from jominy.studies.study import BaseRefused

if TYPE_CHECKING:
    from jominy.studies.jobs import Bench


FAILURES = (
    ValueError,
    OSError,
    RuntimeError,
    AssertionError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    ImportError,
    MemoryError,
)
"""A job that ends in one of these is answered, ours and the user's mistakes alike: hours of other jobs wait behind it."""


def main() -> None:
    """Arguments: study, scale, folder, threads."""
    descriptor = os.dup(1)
    os.dup2(2, 1)

    import torch

    from jominy.studies.folders import own_scratch
    from jominy.studies.jobs import Bench
    from jominy.studies.running import load_design

    study, scale, out, threads = sys.argv[1:5]
    torch.set_num_threads(int(threads))
    # nobody reads an answer any more when the study was killed
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError), os.fdopen(descriptor, "w") as answers, own_scratch(Path(out)) as own:
        work(Bench(load_design(study, scale), Path(out), Path(own)), sys.stdin, answers)


def work(bench: Bench, jobs: Iterable[str], answers: TextIO) -> None:
    """Answers job after job; one that fails is answered with its error, and so is one that found NaN, which no result may hold."""
    for line in jobs:
        job = json.loads(line)
        try:
            answer = json.dumps(bench.do(job), allow_nan=False)
        except BaseRefused as refused:
            answer = json.dumps({**job, "failed": str(refused), "traceback": ""})
        except FAILURES as error:
            answer = json.dumps({**job, "failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})
        answers.write(answer + "\n")
        answers.flush()
