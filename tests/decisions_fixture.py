"""A training folder whose explanation has every part about decisions: two policies of coins, exchanged, with tagged responses to look at.

`python -m tests.decisions_fixture DIR` leaves the folder with its page for a look.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from jominy.deciding.explain import decide, explain_decisions
from jominy.deciding.folders import compared_in
from jominy.engines import ContinuingEngine
from jominy.records import Sampling
from jominy.specs import DecisionSpec
from jominy.steplog import EVALUATIONS_FILE, EXPLANATION_FILE, append_line, write_start_logprobs
from jominy.store import RunFolder, read_json, write_json
from jominy.tracing import marked
from tests.coin_task import grade, task
from tests.coins import CoinEngine
from tests.coins import prompt as coin_prompt
from tests.test_deciding import folder_of
from tests.training_fixture import write_run

BEFORE = CoinEngine(name="one", right=0.3, accept_right=0.6, accept_wrong=0.8)
AFTER = CoinEngine(name="other", right=0.5, accept_right=0.9, accept_wrong=0.1)
ASKED = DecisionSpec(spans="task", swap_prompts=10, swap_rollouts=16, bank=8)
TAGGED = [["ca", "wr cf"], ["wa", "cr wf"], ["wr wf", "ca"]]


def write_evaluation(folder: Path, step: int, engine: CoinEngine) -> Path:
    """Ten responses to each of ten prompts, the first of each scored under the start."""
    assert task.retrying is not None
    prompts = [coin_prompt(number) for number in range(10)]
    groups = list(engine.sample(prompts, 10, Sampling(max_tokens=40), seed=step))[::-1]
    drawn = [replace(one, reward=grade(prompts[0], one.text), logprobs_t1=one.logprobs) for group in groups for one in group]
    rollouts = marked(drawn, {one.id: one for one in prompts}, task.retrying)
    name = f"evaluations/step-{step:05d}"
    write_run(folder / name, prompts, rollouts, task=task.name, model="one", rollouts=10, max_tokens=40)
    first = [one for one in rollouts if one.index == 0]
    start = [np.asarray(one.logprobs) - 0.2 + 0.1 * np.cos(np.arange(len(one.token_ids))) for one in first]
    write_start_logprobs(folder / name, [one.prompt_id for one in first], [0] * len(first), start)
    append_line(folder / EVALUATIONS_FILE, {"step": step, "folder": name, "pass_at_1": None, "kl_nats": None})
    return folder / name


def write_decisions_folder(path: Path) -> Path:
    """The folder with its `explanation.json`, without its page."""
    RunFolder(path).write_run(
        {"verb": "train", "status": "finished", "spec": {"task": task.name, "model": "one", "steps": 1}, "policy": "one"}
    )
    for step, engine in enumerate((BEFORE, AFTER)):
        write_evaluation(path, step, engine)
    (path / "model").mkdir()
    explain_decisions(path, None, None, ASKED, load_engine=_load, quiet=True)
    tagged = folder_of(path.parent / f"{path.name}-tagged", TAGGED)
    found, _ = decide(compared_in(tagged), DecisionSpec(), quiet=True)
    assert found is not None
    stored = read_json(path / EXPLANATION_FILE)
    stored["decisions"]["exhibits"] += found.to_json()["exhibits"]
    write_json(path / EXPLANATION_FILE, stored)
    return path


def _load(model: str, device: str) -> ContinuingEngine:
    return BEFORE if model == "one" else AFTER


if __name__ == "__main__":
    from jominy.reporting import report

    print(report(write_decisions_folder(Path(sys.argv[1]))))
