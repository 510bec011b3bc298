"""A square that is killed at any moment and gone on with is the square of one that was not; what else is the same and what is another."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.deciding.cache import Pair, pair_of, stamp_of
from jominy.deciding.judged_bank import bank_decided
from jominy.deciding.policies import SIDES, Policies
from jominy.deciding.rollouts import read_stored
from jominy.deciding.square import swapped
from jominy.engines import ContinuingEngine, OnProgress
from jominy.records import Prompt, Rollout, Sampling
from jominy.specs import SampleSpec
from tests.coin_task import grade, task
from tests.coins import CoinEngine, prompt, said

ONE = CoinEngine(name="one", right=0.4, accept_right=0.6, accept_wrong=0.5)
OTHER = CoinEngine(name="other", right=0.6, accept_right=0.9, accept_wrong=0.2)
PROMPTS = [prompt(number) for number in range(2)]
assert task.retrying is not None
RETRYING = task.retrying


@dataclass
class Clock:
    """Calls that are left before the process is killed."""

    left: int


class Mortal:
    """A policy whose process is killed at a call; both policies have one clock."""

    def __init__(self, engine: CoinEngine, clock: Clock) -> None:
        self.engine, self.clock = engine, clock
        self.name, self.device, self.vocabulary, self.context = engine.name, engine.device, engine.vocabulary, engine.context
        self.sample, self.encode, self.encode_text, self.logprobs = engine.sample, engine.encode, engine.encode_text, engine.logprobs

    def continue_from(
        self,
        prompts: Sequence[Prompt],
        begun: Sequence[Rollout],
        sampling: Sampling,
        seed: int,
        on_progress: OnProgress | None = None,
        tag: str = "",
    ) -> list[Rollout]:
        """Counts down."""
        if not self.clock.left:
            raise KeyboardInterrupt
        self.clock.left -= 1
        return self.engine.continue_from(prompts, begun, sampling, seed, on_progress, tag)


class Here:
    """Grades without a process of its own."""

    def __init__(self, *_: Any, timeout_s: float) -> None:
        pass

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def grade(self, groups: Sequence[Sequence[Rollout]], prompts: Mapping[str, Prompt]) -> list[list[Rollout]]:
        """The task's own reward."""
        return [[replace(one, reward=grade(prompts[one.prompt_id], one.text)) for one in group] for group in groups]


def pair(root: Path, **changes: Any) -> Pair:
    """Of the two policies of coins."""
    fields: dict[str, Any] = {"task": task.name, "rollouts": 3, "max_tokens": 40, **changes}
    return pair_of("one", "other", SampleSpec(**fields), root)


def engines(of: Pair, clock: Clock) -> Policies:
    """Both, with so many calls left."""

    def load(model: str, device: str) -> ContinuingEngine:
        return Mortal(ONE if model == "one" else OTHER, clock)

    return Policies(of, load, quiet=True)


def square(of: Pair, clock: Clock) -> None:
    """Draws what is missing."""
    swapped(of, PROMPTS, RETRYING, 1.0, engines(of, clock), np.random.default_rng(0), "all")


def drawn(of: Pair) -> list[tuple[str, str, str, int, list[int]]]:
    """Every response of the four cells."""
    return [
        (sampler, decider, one.prompt_id, one.index, one.token_ids.tolist())
        for sampler in SIDES
        for decider in SIDES
        for one in read_stored(of.cell(sampler, decider).path).rollouts
    ]


def test_killed_at_every_call_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jominy.deciding.square.RESPONSES_AT_A_TIME", 3)
    monkeypatch.setattr("jominy.deciding.square.Graders", Here)
    monkeypatch.setattr("jominy.store.os.fsync", lambda _: None)
    monkeypatch.setattr("jominy.sampling.environment", dict)
    monkeypatch.setattr("jominy.deciding.square.measure_swap", lambda *_, **__: None)
    monkeypatch.setattr("jominy.deciding.square.analytic_swap", lambda *_, **__: None)
    clock = Clock(1000)
    square(pair(tmp_path / "whole"), clock)
    num_calls, whole = 1000 - clock.left, drawn(pair(tmp_path / "whole"))
    assert len(whole) == 4 * 2 * 3
    assert num_calls > 20
    for calls in range(num_calls):
        killed = pair(tmp_path / str(calls))
        with pytest.raises(KeyboardInterrupt):
            square(killed, Clock(calls))
        runs = [killed.cell(s, d).read_run() for s in SIDES for d in SIDES]
        assert {run["status"] for run in runs} == {"interrupted"}
        square(killed, Clock(1000))
        assert drawn(killed) == whole
        assert {killed.cell(s, d).read_run()["status"] for s in SIDES for d in SIDES} == {"finished"}


STATES = [
    replace(said(one, text, stop="eos", index=index), reward=grade(one, text))
    for one in PROMPTS
    for index, text in enumerate(("w/n.r/a.", "r/a.", "w/a.", "w/n.w/n.w/n.r/a."))
]


def test_a_bank_that_is_killed_is_judged_anew(tmp_path: Path) -> None:
    def bank(of: Pair, clock: Clock) -> Any:
        return bank_decided(of, STATES, PROMPTS, RETRYING, 4, engines(of, clock), 0)

    whole = bank(pair(tmp_path / "whole"), Clock(2))
    for calls in range(2):
        with pytest.raises(KeyboardInterrupt):
            bank(pair(tmp_path / str(calls)), Clock(calls))
        assert bank(pair(tmp_path / str(calls)), Clock(2)) == whole
    # kept: no call is made, also where more responses a prompt are asked for
    assert bank(pair(tmp_path / "whole", rollouts=9), Clock(0)) == whole


def test_one_long_state_does_not_cost_the_bank(tmp_path: Path) -> None:
    """Six tokens are all there may be, so behind `w/n.r/` and `w/n.w/` of either prompt no check fits."""
    short = pair(tmp_path, max_tokens=6)
    found = bank_decided(short, STATES, PROMPTS, RETRYING, 4, engines(short, Clock(2)), 0)
    assert (found.num_states, found.num_without_room, found.missing_right, found.missing_wrong) == (4, 4, 0, 0)
    again = bank_decided(short, STATES, PROMPTS, RETRYING, 4, engines(short, Clock(0)), 0)
    assert again == found
    none = pair(tmp_path, max_tokens=2)
    with pytest.raises(ValueError, match="behind 8 attempts no check fits"):
        bank_decided(none, STATES, PROMPTS, RETRYING, 4, engines(none, Clock(2)), 0)


def test_pairs_with_a_silent_state_are_left_out_of_both(tmp_path: Path) -> None:
    """A policy that often comes to no verdict: the bank stays half and half."""
    of = pair(tmp_path)
    both = Policies(of, lambda model, device: Mortal(replace(ONE, name=model, muddle=0.8), Clock(9)), quiet=True)
    many = [prompt(number) for number in range(12)]
    rollouts = [said(one, text, stop="eos", index=index) for one in many for index, text in enumerate(("r/a.", "w/a."))]
    found = bank_decided(of, rollouts, many, RETRYING, 24, both, 0)
    # both policies draw the same checks: .8^4 = .41 of 24 states are silent
    assert found.num_silent_before == found.num_silent_after > 0
    assert found.num_used % 2 == 0
    assert 24 - 2 * found.num_silent_before <= found.num_used <= 24 - found.num_silent_before
    assert found.num_paired == found.num_used // 2
    assert found.before.rates.base_rate.value == 0.5


def test_what_makes_another_square(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
    models, spec = (str(tmp_path / "a"), str(tmp_path / "b")), SampleSpec(task="retry")

    def key(**changes: Any) -> str:
        return pair_of(*models, replace(spec, **changes), tmp_path).key

    first = key()
    assert key(prompts=99, rollouts=99, device="cpu") == first
    changes: list[dict[str, Any]] = [{"temperature": 0.5}, {"top_p": 0.9}, {"max_tokens": 9}, {"seed": 1}, {"task": "retry:attempts=2"}]
    assert len({first, *(key(**change) for change in changes)}) == 6
    assert pair_of(models[1], models[0], spec, tmp_path).key != first
    # where it lies and when it was written is not what it is
    shutil.copytree(tmp_path / "b", tmp_path / "moved")
    (tmp_path / "moved/state.json").write_text("{}")
    (tmp_path / "moved/trainer.pt").write_bytes(b"optimiser")
    assert pair_of(models[0], str(tmp_path / "moved"), spec, tmp_path).key == first
    (tmp_path / "b/model.safetensors").write_bytes(b"c")
    assert key() != first
    assert stamp_of("smollm2") == "smollm2"
