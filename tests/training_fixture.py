"""A training folder as `train` would leave one: steps, four held-out evaluations with their rollouts, the start's log-probabilities.

The policy learns additions: it answers more often, and more often right, its responses get shorter and surer. All is drawn by a seeded
rule. `python tests/training_fixture.py DIR` leaves the folder with its page for a look.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jominy.records import Message, Prompt, Reward, Rollout, Stop
from jominy.steplog import EVALUATIONS_FILE, STEPS_FILE, append_line, write_start_logprobs
from jominy.store import RunFolder

CREATED = "2026-11-22T09:12:40Z"
SPEC = {
    "task": "arithmetic:digits=2",
    "model": "lab",
    "recipe": "grpo",
    "steps": 30,
    "prompts": 16,
    "rollouts": 8,
    "max_tokens": 24,
    "temperature": 1.0,
    "seed": 0,
    "data": {"reward": None, "pool": 1024, "success": 1.0},
    "update": {"learning_rate": 1e-5, "warmup": 5, "max_grad_norm": 1.0},
    "evaluate": {"eval_every": 10, "eval_prompts": 48, "eval_rollouts": 16},
}


def make_prompts(count: int = 48) -> list[Prompt]:
    """So many sums of two numbers."""
    pairs = [(11 + 7 * i % 89, 13 + 29 * i % 83) for i in range(count)]
    return [
        Prompt(
            id=f"sum-{i:03d}",
            task="arithmetic:digits=2",
            messages=(Message(role="user", content=f"What is {a} + {b}? End with the number."),),
            target=str(a + b),
        )
        for i, (a, b) in enumerate(pairs)
    ]


def graded(prompt: Prompt, index: int, reward: Reward, **changes: Any) -> Rollout:
    """A rollout of four tokens with a reward; `changes` set other fields."""
    logprobs = np.full(4, -0.5)
    fields: dict[str, Any] = {
        "text": f"response {index}",
        "token_ids": np.arange(4),
        "logprobs": logprobs,
        "logprobs_t1": logprobs,
        "stop": "eos",
        "policy": "lab",
        "temperature": 1.0,
        "top_p": 1.0,
        "seed": 0,
    }
    return Rollout(prompt_id=prompt.id, index=index, reward=reward, **{**fields, **changes})


def write_run(path: Path, prompts: Sequence[Prompt], responses: Sequence[Rollout], **spec: Any) -> Path:
    """A run folder as `sample` leaves it."""
    store = RunFolder(path)
    store.write_run({"status": "finished", "spec": {"task": "arithmetic", "rollouts": 4, **spec}, "created": CREATED, "policy": "lab"})
    store.write_prompts(prompts)
    store.append_rollouts(responses, {prompt.id: prompt for prompt in prompts})
    return path


def make_rollouts(prompts: Sequence[Prompt], progress: float, step: int, num_rollouts: int = 16) -> list[Rollout]:
    """Responses of a policy that has come so far, from 0 (start) to 1."""
    ease, rng = np.random.default_rng(1).normal(-1.6, 1.8, size=len(prompts)), np.random.default_rng(100 + step)
    found = []
    for prompt, easy in zip(prompts, ease, strict=True):
        right_share = 1 / (1 + np.exp(-(easy + 3.2 * progress)))
        for index in range(num_rollouts):
            answers = bool(rng.random() < 0.7 + 0.28 * progress)
            right = answers and bool(rng.random() < right_share)
            length = int(rng.integers(6, 24 - int(8 * progress)))
            stop: Stop = "eos" if answers else "length"
            length = length if answers else 24
            target = prompt.target or "0"
            answer = None if not answers else target if right else str(int(target) + int(rng.integers(1, 9)))
            words = ["Let", " me", " add", " the", " ones", " first", ",", " then", " the", " tens", "."] * 3
            pieces = (*words[: length - 1], f" {answer}" if answers else " and")
            logprobs = -rng.gamma(0.4, 1.1 - 0.6 * progress - 0.2 * right, size=length)
            reward = Reward(value=float(right), parts={"ends with a number": float(answers), "right": float(right)}, answer=answer)
            policy = f"lab+step {step}" if step else "lab"
            drawn = {"token_ids": np.arange(length), "logprobs": logprobs, "logprobs_t1": logprobs, "pieces": pieces, "stop": stop}
            found.append(graded(prompt, index, reward, text="".join(pieces), policy=policy, **drawn))
    return found


def step_line(step: int, num_steps: int) -> dict[str, Any]:
    """One line of steps.jsonl."""
    rng, progress = np.random.default_rng(step), min(1.0, step / num_steps)
    rate = float(np.clip(0.22 + 0.52 * progress**0.8 + rng.normal(0, 0.04), 0, 1))
    wrong, right = max(0.02, 0.42 - 0.36 * progress + rng.normal(0, 0.03)), max(0.0, 0.04 + 0.3 * progress**2 + rng.normal(0, 0.02))
    sampling_s, update_s = 2.1 - 0.5 * progress + rng.random() * 0.3, 3.0 * (1 - wrong - right) + 0.4
    tokens = int(16 * 8 * (17 - 5 * progress))
    return {
        "step": step,
        "policy": f"lab+step {step - 1}" if step > 1 else "lab",
        "num_prompts": 16,
        "num_rollouts": 128,
        "num_unscored": 0,
        "num_batches": 1,
        "reward": rate,
        "gold": None,
        "pass_rate": rate,
        "live_share": 1 - wrong - right,
        "all_right_share": right,
        "all_wrong_share": wrong,
        "mean_length": 17 - 5 * progress + rng.normal(0, 0.4),
        "truncated_share": max(0.0, 0.3 - 0.27 * progress + rng.normal(0, 0.02)),
        "entropy_nats": 0.46 - 0.22 * progress + rng.normal(0, 0.01),
        "kl_nats": 0.05 * progress**1.5 if step % 2 == 0 else None,
        "clip_share": None,
        "ess": 70.0,
        "num_rows": int(128 * (1 - wrong - right)),
        "num_credited": int(128 * (1 - wrong - right)),
        "num_tokens": tokens,
        "grad_norm": 1.4 * np.exp(-progress) + rng.random() * 0.4,
        "learning_rate": 1e-5 * min(1.0, step / 5),
        "gap_nats": 2e-5,
        "max_gap_nats": 4e-4,
        "sampling_s": sampling_s,
        "grading_s": 0.05,
        "update_s": update_s,
        "step_s": sampling_s + update_s + 0.12,
        "sampling_tokens_per_s": tokens / sampling_s,
        "update_tokens_per_s": tokens / update_s,
        "memory_gib": 1.2,
    }


def add_evaluation(folder: Path, step: int, progress: float, prompts: Sequence[Prompt], num_rollouts: int = 16) -> None:
    """One held-out evaluation with its line."""
    rollouts, name = make_rollouts(prompts, progress, step, num_rollouts), f"evaluations/step-{step:05d}"
    write_run(folder / name, prompts, rollouts, task=SPEC["task"], model="lab", rollouts=num_rollouts)
    rng, kl = np.random.default_rng(step), None
    if step:
        start = [np.asarray(r.logprobs_t1) - rng.gamma(0.1, 0.8 * progress, len(r.token_ids)) for r in rollouts]
        write_start_logprobs(folder / name, [r.prompt_id for r in rollouts], [r.index for r in rollouts], start)
        kl = {"value": 0.08 * progress, "low": 0.07 * progress, "high": 0.09 * progress}
    rate = float(np.mean([r.reward is not None and r.reward.value == 1.0 for r in rollouts]))
    line = {"step": step, "folder": name, "pass_at_1": {"value": rate, "low": rate - 0.07, "high": rate + 0.07}, "kl_nats": kl}
    lengths = {"mean_length": float(np.mean([len(r.token_ids) for r in rollouts])), "truncated_share": 0.3 * (1 - progress)}
    append_line(folder / EVALUATIONS_FILE, {**line, **lengths, "seconds": 3.1})


def write_training_folder(path: Path, *, num_steps: int = 30, evaluated: Sequence[int] = (0, 10, 20, 30), status: str = "finished") -> Path:
    """A training folder with so many steps and these evaluations, without its explanation and its page."""
    prompts = make_prompts()
    RunFolder(path).write_run({"verb": "train", "status": status, "spec": SPEC, "created": CREATED, "policy": "lab", "device": "cpu"})
    RunFolder(path).write_prompts(prompts)
    for step in range(1, num_steps + 1):
        append_line(path / STEPS_FILE, step_line(step, 30))
    for step in evaluated:
        add_evaluation(path, step, step / 30, prompts)
    return path


if __name__ == "__main__":
    from jominy.reporting import report

    print(report(write_training_folder(Path(sys.argv[1]))))
