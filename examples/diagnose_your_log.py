"""Diagnose rollouts that another trainer wrote: a table with a prompt and a reward column is enough.

Run: python examples/diagnose_your_log.py
"""

import json
import random
import tempfile
from pathlib import Path

from jominy import DiagnosisSpec, diagnose_path

random.seed(0)


def write_a_log(path: Path) -> None:
    """Stands for the log of your trainer: 40 prompts, 8 rollouts each, most prompts hopeless."""
    with open(path, "w") as file:
        for prompt in range(40):
            pass_rate = 0.5 if prompt < 8 else 0.0
            for _ in range(8):
                row = {"input": f"question {prompt}", "score": float(random.random() < pass_rate), "step": 0}
                file.write(json.dumps(row) + "\n")


with tempfile.TemporaryDirectory() as folder:
    log = Path(folder) / "rollouts.jsonl"
    write_a_log(log)
    diagnosis = diagnose_path(log, DiagnosisSpec(group_size=8), columns={"prompt": "input", "reward": "score"})

print(diagnosis.verdict.value, "-", diagnosis.verdict.headline)
for finding in diagnosis.findings:
    print(f"[{finding.severity}] {finding.title}\n    {finding.prescription}")
for advice in diagnosis.advice:
    print(f"{advice.recipe:18} {advice.fit}")
