"""Trains with several seeds and writes one small file of results: held-out pass@1 before and after, paired, and the curve of each seed.

    python bench/training_result.py --out docs/results/constraints_grpo.json --seeds 0 1 2 -- \\
        --model smollm2 --task constraints:no_commas,three_bullets,under_15_words,title,all_lowercase,count=1 --steps 30

What stands behind `--` goes to `jominy train` as it is. Runs that are there are gone on with, so the command can be killed and given again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jominy.explaining import explain_path
from jominy.steplog import read_evaluations, read_steps
from jominy.store import RunFolder, write_json

CURVE = ("step", "reward", "live_share", "mean_length", "entropy_nats", "kl_nats", "grad_norm", "step_s")


def main() -> None:
    """Trains what is missing, then gathers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file of results to write")
    parser.add_argument("--runs", type=Path, default=Path("runs/results"), help="where the run folders go")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("flags", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    flags = [flag for flag in arguments.flags if flag != "--"]
    results = []
    for seed in arguments.seeds:
        folder = arguments.runs / f"{arguments.out.stem}-seed{seed}"
        if not RunFolder(folder).exists() or RunFolder(folder).read_run()["status"] != "finished":
            command = [sys.executable, "-m", "jominy", "train", *flags, "--seed", str(seed), "--out", str(folder), "--resume"]
            started = time.monotonic()
            subprocess.run(command, check=True)
            note = folder / "wall_s.json"
            note.write_text(json.dumps(time.monotonic() - started))
        results.append(result_of(folder, seed))
    write_json(arguments.out, {"schema_version": 1, "command": ["jominy", "train", *flags], "results": results})
    for result in results:
        change = result["pass@1"]
        print(
            f"seed {result['seed']}: pass@1 {change['before']:.3f} -> {change['after']:.3f}, difference {change['difference']:.3f} "
            f"[{change['low']:.3f}, {change['high']:.3f}], {result['wall_s']:.0f} s"
        )


def result_of(folder: Path, seed: int) -> dict[str, Any]:
    """One run in short."""
    run, explanation = RunFolder(folder).read_run(), explain_path(folder)
    changes = {
        change.name: {
            "before": change.before.value,
            "after": change.after.value,
            "difference": change.difference.value,
            "low": change.difference.low,
            "high": change.difference.high,
        }
        for change in explanation.passk
    }
    return {
        "seed": seed,
        "device": run.get("device"),
        "versions": run["environment"]["versions"],
        "wall_s": json.loads((folder / "wall_s.json").read_text()),
        "reading": explanation.reading.value,
        **changes,
        "evaluations": read_evaluations(folder),
        "steps": [{name: line[name] for name in CURVE} for line in read_steps(folder)],
    }


if __name__ == "__main__":
    main()
