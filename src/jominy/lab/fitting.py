"""The training of a lab model: cross-entropy on the answers, and checks that say how able it is.

    loss = -mean over answer tokens of sum_v q_v log p(v | prompt, earlier answer tokens),    q = (1 - e) 1[v = token] + e / V

with e = `spec.smoothing`, 0 unless asked for; tokens in spans of `spec.masked` are conditioned on, and no part of the mean.

Hidden matrices go through Muon, the rest through AdamW, both with a short warm-up and a linear decay over `spec.steps`; on sums this
needed a third of the steps of AdamW alone. Every `spec.check_every` steps, or CHECK_EVERY and more, one answer is drawn at temperature 1 to
each of `spec.check_prompts` prompts of another seed, and the learning ends when their pass rate reaches `spec.pass_rate`. They are of
`spec.checked`, or of all tasks in their shares, each prompt once however often its task is named. The reported rate, of all tasks, is
measured afterwards on prompts of a third seed: the checks choose the moment, so their own number would flatter. Broken-off answers come
in HABIT_STEPS more steps at the end, among the others: a habit over an ability, learned fast because it is the same on every prompt. (Shown
from the beginning they took a third of the answers that teach the task: 800 steps on two-digit sums ended at a pass rate of 0.17 instead of
0.37.) In the same way `spec.habit_steps` steps behind all others learn what was masked until then.
Two threads whatever the machine has: how a sum is split over threads decides its last bits.
Left out: GPUs, checkpoints and resuming; a lab model is small enough to be made again.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from jominy.engines.linears import TrainingLinears
from jominy.engines.local import LocalEngine
from jominy.engines.pieces import pieces_of
from jominy.lab.demonstrations import Demonstration, counted_tasks
from jominy.lab.spec import CHECK_SEED, FINAL_SEED, LabSpec
from jominy.recipes.masks import is_wanted
from jominy.records import Prompt, Rollout, Sampling, Task, TraceReader
from jominy.rewards.boundary import Grader
from jominy.tracing import mark

RATE_HIDDEN, RATE_REST = 5e-3, 3e-3
WARM_UP_STEPS = 20
LAST_RATE_SHARE = 0.1
HABIT_STEPS, HABIT_RATE_SHARE = 60, 0.15
"""Broken-off answers are shown in so many steps after the learning, at this share of the learning rate."""
CLIP_NORM = 1.0
CHECK_EVERY, FINAL_PROMPTS = 20, 512
CHECK_SHARE = 0.25
"""Checks are rarer where one draws more tokens, at most, than this share of the tokens trained on since the last."""
BATCHES_SORTED = 8
"""Batches that are sorted together by the length of the prompt, so that little is padded; by the whole length, broken-off answers would
come in batches of their own, and the last of those would decide the habit."""
NUM_THREADS = 2
IGNORED = -100

OnStep = Callable[[int, float | None], None]
"""(steps done, pass rate of the last check or None before the first)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What the trained model can do.

    Example: Ability(num_right=131, num_drawn=256, num_unscored=0, num_seen=12, num_cut=3)
    """

    num_right: int
    """Answers with a reward of 1 or more."""
    num_drawn: int
    """Answers drawn and scored, one a prompt."""
    num_unscored: int
    """Answers left out because the reward could not be computed."""
    num_seen: int
    """Prompts among them that were trained on; a task with few prompts leaves no others."""
    num_cut: int
    """Answers that reached the token limit."""

    @property
    def pass_rate(self) -> float:
        """Share of right answers; 0 where none could be scored."""
        return self.num_right / max(self.num_drawn, 1)

    @staticmethod
    def pooled(parts: Iterable[Ability]) -> Ability:
        """Of several tasks together."""
        sums = Counter[str]()
        for part in parts:
            sums.update(asdict(part))
        return Ability(**{field.name: sums[field.name] for field in fields(Ability)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How the training went.

    Example: Fit(num_steps=180, num_tokens=415000, num_too_long=0, max_answer_tokens=15, seconds=31.0,
                 checks=((20, 0.0), (40, 0.1)), final=ability, by_task={"arithmetic": ability})
    """

    num_steps: int
    """Optimiser steps taken."""
    num_tokens: int
    """Tokens computed in them, padding included."""
    max_answer_tokens: int
    """Longest answer shown, its end token included; the checks draw as many."""
    num_too_long: int
    """Demonstrations left out because they are longer than the context."""
    seconds: float
    """Training alone, without the checks."""
    checks: tuple[tuple[int, float], ...]
    """(step, pass rate) of each check."""
    final: Ability
    """The reported ability."""
    by_task: Mapping[str, Ability]
    """Name of a task -> its part of that."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A task that a check asks.

    Example: Asked(task=task, count=2, grader=grader)
    """

    task: Task
    """Whose prompts."""
    count: int
    """How often `LabSpec.tasks` names it: its share."""
    grader: Grader
    """Of its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A demonstration as tokens.

    Example: Encoded(prompt_ids=[1, 5, 30, 6], answer_ids=[31, 2])
    """

    prompt_ids: list[int]
    """What is conditioned on."""
    answer_ids: list[int]
    """What is learned; the end token comes last."""
    masked: frozenset[int] = frozenset()
    """Places in the answer that are read and not learned."""

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)


def fit(engine: LocalEngine, spec: LabSpec, tasks: Sequence[Task], shown: Sequence[Demonstration], on_step: OnStep) -> Fit:
    """Trains the engine's model in place.

    Args:
        engine: on a model with random weights.
        spec: how long, how able, which seed.
        tasks: its tasks, loaded.
        shown: the demonstrations.
        on_step: told of every step.

    Raises:
        ValueError: no demonstration fits the context; `spec.masked` names spans, and a task has none.
    """
    readers = {task.name: task.retrying.read for task in tasks if task.retrying is not None}
    if spec.masked and len(readers) < len({task.name for task in tasks}):
        raise ValueError(f"masked={'+'.join(spec.masked)} needs tasks that say where attempts and decisions are, such as retry")
    encoded = [(encode(engine, one, spec.masked, readers.get(one.prompt.task)), one.kind) for one in shown]
    fitting = [(one, kind) for one, kind in encoded if len(one) <= spec.context]
    whole = [one for one, kind in fitting if kind != "cut"]
    if not whole:
        shortest = min(len(one) for one, _ in encoded)
        raise ValueError(
            f"no whole demonstration of {', '.join(spec.tasks)} fits a context of {spec.context} tokens; the shortest has {shortest}"
        )
    max_tokens = max(len(one.answer_ids) for one in whole)
    seen = {demonstration.prompt.id for demonstration in shown}
    learner = _Learner(engine.model, spec.smoothing)
    checks: list[tuple[int, float]] = []
    with _threads(NUM_THREADS), contextlib.ExitStack() as stack:
        asked = [Asked(task=task, count=count, grader=stack.enter_context(Grader(task.reward))) for task, count in counted_tasks(tasks)]
        chosen = {task.name for task, text in zip(tasks, spec.tasks, strict=True) if text in (spec.checked or spec.tasks)}
        checked = [one for one in asked if one.task.name in chosen]
        batches = _batches(whole, spec.rows, random.Random(f"lab order {spec.seed}"))
        check_every = spec.check_every or _check_every(whole, spec.rows, max_tokens, spec.check_prompts)
        while learner.num_steps < spec.steps:
            learner.step(next(batches), _rate(learner.num_steps, spec.steps))
            on_step(learner.num_steps, checks[-1][1] if checks else None)
            if spec.pass_rate is not None and learner.num_steps % check_every == 0:
                found = measure(engine, checked, spec.check_prompts, spec.seed + CHECK_SEED, max_tokens, seen)
                able = Ability.pooled(found.values()).pass_rate
                checks.append((learner.num_steps, able))
                if able >= spec.pass_rate:
                    break
        batches = _batches([one for one, _ in fitting], spec.rows, random.Random(f"lab habit {spec.seed}"))
        for _ in range(HABIT_STEPS if spec.cut_share else 0):
            learner.step(next(batches), HABIT_RATE_SHARE)
        batches = _batches([replace(one, masked=frozenset()) for one in whole], spec.rows, random.Random(f"lab slips {spec.seed}"))
        for _ in range(spec.habit_steps):
            learner.step(next(batches), HABIT_RATE_SHARE)
        by_task = measure(engine, asked, FINAL_PROMPTS, spec.seed + FINAL_SEED, max_tokens, seen)
    return Fit(
        num_steps=learner.num_steps,
        num_tokens=learner.num_tokens,
        max_answer_tokens=max_tokens,
        num_too_long=len(encoded) - len(fitting),
        seconds=learner.seconds,
        checks=tuple(checks),
        final=Ability.pooled(by_task.values()),
        by_task=by_task,
    )


def encode(engine: LocalEngine, demonstration: Demonstration, masked: Sequence[str] = (), read: TraceReader | None = None) -> Encoded:
    """The prompt as the engine asks it, and the answer as the engine would draw it.

    Args:
        engine: whose tokens they are.
        demonstration: prompt and answer.
        masked: `LabSpec.masked`.
        read: of the task, where something is masked.
    """
    tokenizer = engine.tokenizer
    answer_ids = [*tokenizer(demonstration.answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    places: frozenset[int] = frozenset()
    if masked:
        assert read is not None, "fit() refuses a task without spans"
        places = _masked_places(engine, demonstration, answer_ids, masked, read)
    return Encoded(prompt_ids=engine.encode(demonstration.prompt), answer_ids=answer_ids, masked=places)


def _masked_places(
    engine: LocalEngine, demonstration: Demonstration, answer_ids: list[int], masked: Sequence[str], read: TraceReader
) -> frozenset[int]:
    """Tokens of the answer that lie in spans of these kinds."""
    token_ids = np.array(answer_ids, dtype=np.int64)
    shown = Rollout(
        prompt_id=demonstration.prompt.id,
        index=0,
        text=demonstration.answer,
        token_ids=token_ids,
        logprobs=None,
        logprobs_t1=None,
        stop="eos",
        policy="demonstration",
        temperature=1.0,
        top_p=1.0,
        seed=0,
        pieces=pieces_of(engine.tokenizer, token_ids),
    )
    spans = mark(shown, demonstration.prompt, read)
    return frozenset(place for span in spans if is_wanted(span.kind, masked) for place in range(span.start, span.end))


def measure(
    engine: LocalEngine, asked: Sequence[Asked], num_prompts: int, seed: int, max_tokens: int, seen: set[str]
) -> dict[str, Ability]:
    """One answer at temperature 1 to each of `num_prompts` prompts, in the shares of the tasks; those that leave no room are not asked.

    Args:
        engine: of the model.
        asked: the tasks.
        num_prompts: of all tasks together, rounded up for each.
        seed: of prompts and draws.
        max_tokens: of an answer.
        seen: ids of prompts that were trained on.
    """
    room = engine.model.config.max_position_embeddings - max_tokens
    total = sum(one.count for one in asked)
    found = {}
    for one in asked:
        drawn = one.task.prompts(-(-num_prompts * one.count // total), seed)
        prompts: dict[str, Prompt] = {prompt.id: prompt for prompt in drawn if len(engine.encode(prompt)) <= room}
        groups = engine.sample(list(prompts.values()), 1, Sampling(max_tokens=max_tokens), seed)
        rollouts = [rollout for group in groups for rollout in group]
        rewards = one.grader.grade([(prompts[rollout.prompt_id], rollout.text) for rollout in rollouts])
        values = [reward.value for reward in rewards if reward.value is not None]
        found[one.task.name] = Ability(
            num_right=sum(value >= 1 for value in values),
            num_drawn=len(values),
            num_unscored=len(rewards) - len(values),
            num_seen=len(seen & prompts.keys()),
            num_cut=sum(rollout.stop == "length" for rollout in rollouts),
        )
    return found


class _Learner:
    """The optimiser steps taken on a model, counted and timed."""

    def __init__(self, model: Any, smoothing: float = 0.0) -> None:
        """No steps yet. Muon gets the matrices of the decoder's layers, AdamW embeddings, head, norms and biases.

        AdamW is not fused: the fused one writes weights without marking them as changed, and the engine would sample with the old ones.
        """
        outer = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
        inner = [weight for weight in model.parameters() if weight.ndim == 2 and id(weight) not in outer]
        chosen = set(map(id, inner))
        rest = [weight for weight in model.parameters() if id(weight) not in chosen]
        self.model, self.smoothing = model, smoothing
        self.muon = torch.optim.Muon(inner, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.01, fused=False)
        self.num_steps = self.num_tokens = 0
        self.seconds = 0.0

    def step(self, batch: Sequence[Encoded], rate: float) -> None:
        """One step on the answers of a batch at a share of the full learning rate."""
        started = time.monotonic()
        _add_gradient(self.model, batch, self.smoothing)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.muon.param_groups[0]["lr"], self.adam.param_groups[0]["lr"] = rate * RATE_HIDDEN, rate * RATE_REST
        self.muon.step()  # type: ignore[no-untyped-call]
        self.adam.step()
        self.model.zero_grad()
        self.num_steps += 1
        self.num_tokens += len(batch) * max(map(len, batch))
        self.seconds += time.monotonic() - started


def _add_gradient(model: Any, batch: Sequence[Encoded], smoothing: float = 0.0) -> None:
    """Adds the gradient of the loss; padding stands behind the answers, where a causal model needs no mask."""
    width = max(map(len, batch))
    tokens_BT = torch.zeros(len(batch), width, dtype=torch.int64)
    wanted_BT = torch.full((len(batch), width), IGNORED)
    for row, one in enumerate(batch):
        start, end = len(one.prompt_ids), len(one)
        tokens_BT[row, :end] = torch.tensor(one.prompt_ids + one.answer_ids)
        wanted = [IGNORED if place in one.masked else token for place, token in enumerate(one.answer_ids)]
        wanted_BT[row, start - 1 : end - 1] = torch.tensor(wanted)
    inside_BT = wanted_BT != IGNORED
    with TrainingLinears():
        hidden_BTH = model.get_decoder()(tokens_BT, use_cache=False).last_hidden_state
        logits_NV = model.get_output_embeddings()(hidden_BTH[inside_BT])
        loss = torch.nn.functional.cross_entropy(logits_NV, wanted_BT[inside_BT], label_smoothing=smoothing)
        loss.backward()  # type: ignore[no-untyped-call]


def _check_every(whole: Sequence[Encoded], rows: int, max_tokens: int, num_prompts: int = 256) -> int:
    """Steps between checks.

    >>> _check_every([Encoded(prompt_ids=[1] * 12, answer_ids=[2] * 14)], 64, 15)       # 256 * 15 < 0.25 * 20 * 64 * 26
    20
    >>> _check_every([Encoded(prompt_ids=[1] * 100, answer_ids=[2] * 100)], 8, 200)     # 256 * 200 / (0.25 * 8 * 200) = 128
    128
    """
    tokens_a_step = rows * sum(map(len, whole)) / len(whole)
    return max(CHECK_EVERY, round(num_prompts * max_tokens / (CHECK_SHARE * tokens_a_step)))


def _rate(step: int, num_steps: int) -> float:
    """Share of the full learning rate at a step counted from 0.

    >>> round(_rate(0, 400), 3), _rate(20, 400), round(_rate(399, 400), 3)
    (0.05, 0.955, 0.102)
    """
    return min((step + 1) / WARM_UP_STEPS, 1 - (1 - LAST_RATE_SHARE) * step / num_steps)


def _batches(encoded: Sequence[Encoded], rows: int, rng: random.Random) -> Iterator[list[Encoded]]:
    """Batches without end, all demonstrations once before any comes again, prompts of like length together."""
    order: list[int] = []
    while True:
        while len(order) < rows * BATCHES_SORTED:
            order += rng.sample(range(len(encoded)), len(encoded))
        window = sorted(order[: rows * BATCHES_SORTED], key=lambda number: len(encoded[number].prompt_ids))
        del order[: rows * BATCHES_SORTED]
        for start in rng.sample(range(0, len(window), rows), BATCHES_SORTED):
            yield [encoded[number] for number in window[start : start + rows]]


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Torch computes with so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
