"""The smallest world in which training can be watched: a random model of 300 words, prompts of three words, a reward that looks at one.

    reward = 1 when the first word of the response has a number that 4 divides          (a quarter of the words)

`write_world(folder)` leaves `model/` and `tasks.py`, whose tasks and rewards are named in `SOURCE`; `spec_of` is the run that learns it in
seconds, `SECONDS` are the keys of steps.jsonl that no two runs share.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from jominy.configuring import run_spec_of
from jominy.engines import OnProgress, Seen, StepReport, TokenFunction
from jominy.records import Floats, Ints, Prompt, Rollout, Row, Sampling, TrainRow
from jominy.specs import RunSpec
from jominy.steplog import read_evaluations, read_steps
from jominy.trainfolder import TrainFolder
from tests import tiny

SOURCE = """
from jominy.records import Message, Prompt, Reward, Task

def make_prompts(num_prompts, seed):
    return [prompt(number, seed) for number in range(min(num_prompts, 40))]

def prompt(number, seed):
    text = f"w{(number + 40 * seed) % 290} w100 w101 w102"
    return Prompt(id=f"prompt-{seed}-{number}", task="fourth", messages=(Message(role="user", content=text),),
                  gold_answer=f"w{4 * (number % 5)} w1 w2", wrong_answer="w1")

def first_number(text):
    words = text.split()
    return int(words[0][1:]) if words and words[0][1:].isdigit() else -1

def fourth(prompt, text):
    return Reward(value=float(first_number(text) % 4 == 0))

def even(prompt, text):
    return Reward(value=float(first_number(text) % 2 == 0))

def constant(prompt, text):
    return Reward(value=0.5)

def crash(prompt, text):
    raise KeyError("no such thing")

def long_prompts(num_prompts, seed):
    made = make_prompts(num_prompts, seed)
    words = " ".join(["w1"] * 200)
    return [*made[:-1], Prompt(id="the-long-one", task="fourth", messages=(Message(role="user", content=words),))]

def with_gold(answer_of):
    def make(num_prompts, seed):
        return [Prompt(id=p.id, task=p.task, messages=p.messages, gold_answer=answer_of(number, p))
                for number, p in enumerate(make_prompts(num_prompts, seed))]
    return make

task = Task(name="fourth", summary="", prompts=make_prompts, reward=fourth)
constant_task = Task(name="constant", summary="", prompts=make_prompts, reward=constant)
crash_task = Task(name="crash", summary="", prompts=make_prompts, reward=crash)
long_task = Task(name="long", summary="", prompts=long_prompts, reward=fourth)
half_gold_task = Task(name="half gold", summary="", prompts=with_gold(lambda n, p: p.gold_answer if n % 2 else None), reward=fourth)
no_gold_task = Task(name="no gold", summary="", prompts=with_gold(lambda n, p: None), reward=fourth)
long_gold_task = Task(name="long gold", summary="", prompts=with_gold(lambda n, p: "w4 " * 200), reward=fourth)
one_task = Task(name="one", summary="", prompts=lambda n, seed: make_prompts(1, seed), reward=fourth)
empty_task = Task(name="empty", summary="", prompts=lambda n, seed: [], reward=fourth)
other_task = Task(name="other", summary="", prompts=lambda n, seed: make_prompts(n, seed + 1000), reward=even)
"""

SECONDS = ("sampling_s", "grading_s", "update_s", "step_s", "sampling_tokens_per_s", "update_tokens_per_s", "memory_gib")
"""Keys of a line of steps.jsonl that depend on the machine and the moment."""


def write_world(folder: Path) -> Path:
    """Model and tasks."""
    tiny.save("llama", folder / "model")
    (folder / "tasks.py").write_text(SOURCE)
    return folder


def spec_of(world: Path, *, task: str = "task", **fields: Any) -> RunSpec:
    """4 prompts a step, 8 responses of 4 tokens; no evaluation, no checkpoint but the last, unless asked for."""
    usual = {"prompts": 4, "rollouts": 8, "max_tokens": 4, "steps": 2, "learning_rate": 0.01, "pool": 8}
    usual |= {"eval_every": 0, "eval_prompts": 8, "eval_rollouts": 8, "save_every": 100}
    return run_spec_of({**usual, "model": str(world / "model"), "task": f"{world / 'tasks.py'}:{task}", **fields})


def learning(world: Path, **fields: Any) -> RunSpec:
    """The run that learns: 10 steps of 8 prompts and 16 responses, held-out prompts every 5."""
    return spec_of(world, **{"steps": 10, "prompts": 8, "rollouts": 16, "pool": 32, "eval_every": 5, **fields})


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """steps.jsonl without what depends on the moment."""
    return [{key: value for key, value in line.items() if key not in SECONDS} for line in read_steps(folder)]


def evaluations_of(folder: Path) -> list[dict[str, Any]]:
    """evaluations.jsonl without the seconds."""
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read_evaluations(folder)]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a Hugging Face folder."""
    return dict(load_file(folder / "model.safetensors"))


def tensors_in(value: Any) -> list[torch.Tensor]:
    """All tensors of a nested state, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for each in inner for tensor in tensors_in(each)]


def assert_same_run(found: Path, expected: Path, step: int) -> None:
    """Weights, optimiser, lines, rollouts and evaluations of two folders are the same bits."""
    one, other = TrainFolder(found), TrainFolder(expected)
    for here, there in ((one.model, other.model), (one.checkpoint(step), other.checkpoint(step))):
        mine, theirs = weights_of(here), weights_of(there)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    states = [torch.load(folder.checkpoint(step) / "trainer.pt", weights_only=True) for folder in (one, other)]
    tensors = [tensors_in(state) for state in states]
    assert len(tensors[0]) == len(tensors[1]) > 0
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*tensors, strict=True))
    assert lines_of(found) == lines_of(expected)
    assert evaluations_of(found) == evaluations_of(expected)
    assert one.run.rollouts().equals(other.run.rollouts())
    assert json.loads(one.run.run_file.read_text())["status"] == "finished"


class ScriptedTrainer:
    """A training engine without a model: says what `say(prompt id, call, index)` says, call 0 being the first batch it is asked for."""

    context: int | None = None

    def __init__(self, say: Callable[[str, int, int], str]) -> None:
        self.policy, self.name, self.device, self.say = "scripted", "scripted", "nowhere", say
        self.asked: list[list[tuple[str, int]]] = []
        self.steps: list[list[TrainRow]] = []

    def sampler(self, step: int) -> ScriptedTrainer:
        return self

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        call = len(self.asked)
        self.asked.append([(prompt.id, num_rollouts) for prompt in prompts])
        for prompt in reversed(prompts):
            yield [self._rollout(prompt, index, self.say(prompt.id, call, index), seed) for index in range(num_rollouts)]

    def _rollout(self, prompt: Prompt, index: int, text: str, seed: int) -> Rollout:
        logprobs = np.full(2, -1.0)
        common: dict[str, Any] = {"policy": self.name, "temperature": 1.0, "top_p": 1.0, "seed": seed, "stop": "eos"}
        return Rollout(
            prompt_id=prompt.id, index=index, text=text, token_ids=np.array([7, 1]), logprobs=logprobs, logprobs_t1=logprobs, **common
        )

    def check(self, prompts: Sequence[Prompt], max_tokens: int) -> None:
        """Everything fits."""

    def rows_to_score(self, prompts: Sequence[Prompt], completions: Sequence[Sequence[int] | Ints]) -> list[TrainRow]:
        raise AssertionError

    def step(
        self, rows: Sequence[TrainRow], weigh: TokenFunction, learning_rate: float, clipped: TokenFunction | None, norm_limit: float
    ) -> StepReport:
        self.steps.append(list(rows))
        ones = tuple(np.ones(len(row.completion_ids)) for row in rows)
        return StepReport(grad_norm=0.0, seen=Seen(logprobs=ones, weights=ones, clipped=None, num_tokens=0))

    def logprobs(self, rows: Sequence[TrainRow] | Sequence[Row]) -> list[Floats]:
        raise AssertionError

    def start_logprobs(self, rows: Sequence[TrainRow], temperature: float) -> list[Floats]:
        raise AssertionError

    def encode(self, prompt: Prompt) -> list[int]:
        return [1, 5]

    def encode_completion(self, text: str) -> Ints:
        return np.array([7, 1])

    def pieces(self, token_ids: Ints) -> tuple[str, ...]:
        raise AssertionError

    def save_checkpoint(self, folder: Path, state: dict[str, Any]) -> None:
        """Nothing to save."""

    def save_model(self, folder: Path) -> None:
        """Nothing to save."""

    def link(self, checkpoint: Path, folder: Path) -> None:
        """Nothing to link."""
