"""A process that works off jobs of a study: one JSON object a line in, one out. Started by `running`.

Whatever a job prints goes to standard error, so that standard output holds answers alone.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Arguments: study, scale, folder, threads."""
    from jominy.studies.running import load_design

    study, scale, out, threads = sys.argv[1:5]
    answers, sys.stdout = sys.stdout, sys.stderr

    import torch

    from jominy.studies.jobs import Bench

    torch.set_num_threads(int(threads))
    bench = Bench(load_design(study, scale), Path(out))
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            job = json.loads(line)
            try:
                answer = bench.do(job)
            except (ValueError, OSError, RuntimeError) as error:
                answer = {**job, "failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
