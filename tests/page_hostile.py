"""A run folder in which every text tries to break out of the page."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jominy.records import Message
from jominy.store import RunFolder, write_json
from tests.page_fixture import make_diagnosis, make_prompts, make_rollouts

HOSTILE = (
    "</script><script>window.pwned=1</script><img src=x onerror=\"window.pwned=2\"><a href='javascript:window.pwned=3'>x</a>{{7*7}}\u2028"
)


def poisoned(value: Any) -> Any:
    """The same structure with every free text replaced by the hostile one; what selects a look (fit, severity, names of plots) stays."""
    kept = {"value", "severity", "fit", "name", "x_name", "code", "arxiv", "stop", "prompt_id"}
    if isinstance(value, dict):
        return {key: part if key == "side" or (key in kept and isinstance(part, str)) else poisoned(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [poisoned(part) for part in value]
    return HOSTILE if isinstance(value, str) and value else value


def write_hostile_folder(path: Path) -> Path:
    """A run whose task, prompts, texts, pieces, answers, notes, reward parts and findings are all hostile."""
    store, prompts = RunFolder(path), make_prompts()[:4]
    rollouts = make_rollouts(prompts, num_rollouts=4)
    evil_prompts = [replace(p, task=HOSTILE, messages=(Message(role="user", content=HOSTILE),), target=HOSTILE) for p in prompts]
    evil = []
    for rollout in rollouts:
        reward = rollout.reward
        assert reward is not None
        assert rollout.pieces is not None
        pieces = (HOSTILE[:40], HOSTILE[40:], *("" for _ in rollout.pieces[2:]))
        judged = replace(reward, parts={HOSTILE: 1.0, "__proto__": 0.5}, answer=HOSTILE, note=HOSTILE)
        evil.append(replace(rollout, text=HOSTILE, pieces=pieces, reward=judged))
    store.write_run({"status": HOSTILE, "created": HOSTILE, "spec": {HOSTILE: HOSTILE}})
    store.write_prompts(evil_prompts)
    store.append_rollouts(evil, {prompt.id: prompt for prompt in evil_prompts})
    record = poisoned(asdict(make_diagnosis(prompts, rollouts)))
    record["source"][HOSTILE] = HOSTILE
    record["curves"] = [*record["curves"], {**record["curves"][0], "name": HOSTILE, "x_name": HOSTILE}]
    record["histograms"] = [*record["histograms"], {**record["histograms"][1], "name": HOSTILE, "series": {HOSTILE: [1.0] * 20}}]
    write_json(store.diagnosis_file, {"schema_version": 1, **record})
    return path
