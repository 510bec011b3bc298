"""How far an objective's credit reaches, on a tiny model: shares of the gradient against whole gradients put together by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from jominy.deciding import gradients
from jominy.deciding.coefficients import coefficients, credited, rows_of, with_start
from jominy.deciding.columns import part_of, tables_of
from jominy.deciding.explain import decide
from jominy.deciding.folders import compared_in
from jominy.deciding.gradients import learner_of, logit_norms_of, with_gradients
from jominy.engines.masked import end_to_end
from jominy.measures.attempts import DECISION
from jominy.printing_decisions import print_decisions
from jominy.records import Ints, Reward, Rollout, Row, Skipped, TrainRow
from jominy.specs import DecisionSpec
from jominy.tracing import marked
from tests import tiny
from tests.coin_task import task
from tests.coins import prompt as coin_prompt
from tests.coins import retrying, said
from tests.gradients import gradient_of, log_probabilities
from tests.test_masked import lengths_by_autograd
from tests.training_fixture import write_run

TEXTS = (("w/n.r/a.", 1.0), ("w/a.", 0.0), ("r/n.w/n.w/", 0.0), ("r/a.", 1.0))
PROMPTS = {one.id: one for one in (tiny.prompt(number) for number in range(3))}


def responses() -> list[Rollout]:
    """Four a prompt, their tokens drawn at random, one a character and the stop token."""
    rng = np.random.default_rng(0)
    found = []
    for one in PROMPTS.values():
        for index, (text, value) in enumerate(TEXTS):
            rollout = said(one, text, stop="eos", index=index)
            token_ids = np.append(rng.integers(7, 300, size=len(text)), 1)
            found.append(replace(rollout, token_ids=token_ids, reward=Reward(value=value)))
    return marked(found, PROMPTS, retrying())


@pytest.mark.parametrize("objective", ["sft", "grpo"])
def test_shares_of_the_gradient(objective: str) -> None:
    engine = tiny.engine()
    rollouts = responses()
    prompt_ids = {key: engine.encode(one) for key, one in PROMPTS.items()}
    tables = tables_of(rollouts, PROMPTS, retrying().read, 1.0)
    rows = rows_of(objective, rollouts, success=1.0, max_tokens=20, start=None, prompt_ids=prompt_ids)
    assert not isinstance(rows, Skipped)
    learner = learner_of(engine, 1.0)
    norms = logit_norms_of(engine, tables, prompt_ids)
    found = with_gradients(credited(objective, rows, tables), rows, tables, norms, learner, 0)
    assert found.gradient is not None
    assert (found.gradient.num_batches, found.gradient_asked, found.why_no_gradient) == (3, True, "")
    starts = np.cumsum([0, *(len(rollout.token_ids) for rollout in rollouts)])
    stages = [tables.tokens.stage_M[starts[position] : starts[position + 1]] for position in rows.positions]
    parts = []
    for only in (False, True):
        masked = [
            replace(row, scale=np.where(stage_T == DECISION, row.scale, 0.0) if only else row.scale)
            for row, stage_T in zip(rows.rows, stages, strict=True)
        ]
        learner.gradient(masked, rows.recipe.weigh)
        parts.append(end_to_end([master.grad for master in learner.masters if master.grad is not None]).double())
    whole, decision = parts
    assert found.gradient.share_decision == pytest.approx(float(torch.dot(decision, whole) / torch.dot(whole, whole)), rel=1e-3)
    shares = [found.gradient.share_decision, found.gradient.share_sampling, found.gradient.share_none]
    assert sum(share for share in shares if share is not None) == pytest.approx(1.0)
    # at the logits: |c| times the length, each response for itself
    assert found.logits is not None
    assert norms is not None
    size_M = np.abs(coefficients(rows, rollouts)) * norms
    inside_M = tables.tokens.stage_M > 0
    by_rollout = [size_M[a:b][tables.tokens.stage_M[a:b] == DECISION].sum() / size_M[a:b][inside_M[a:b]].sum() for a, b in pairwise(starts)]
    assert found.logits.mass_share.value == pytest.approx(np.mean(by_rollout))


Loss = Callable[[torch.Tensor, TrainRow], torch.Tensor]


def paid(logp: torch.Tensor, row: TrainRow) -> torch.Tensor:
    """What the reward asks for."""
    return -torch.from_numpy(row.advantages) * logp


def held(logp: torch.Tensor, row: TrainRow) -> torch.Tensor:
    """Half of Schulman's third estimator."""
    assert row.reference_logprobs is not None
    gap = torch.from_numpy(row.reference_logprobs) - logp
    return 0.5 * (gap.exp() - 1 - gap)


def share_by_autograd(rows: Sequence[TrainRow], stages: Sequence[Ints], loss: Loss, temperature: float) -> float:
    """<decision's gradient, whole gradient> / |whole|^2 in float64."""
    found = []
    for only in (False, True):
        model = tiny.model("llama").double()
        total = torch.zeros((), dtype=torch.float64)
        for row, stage_T, logp in zip(rows, stages, log_probabilities(model, rows, temperature), strict=True):
            factor_T = torch.from_numpy(np.where((stage_T == DECISION) | (not only), row.scale, 0.0))
            total = total + (factor_T * loss(logp, row)).sum()
        total.backward()
        found.append(torch.cat([gradient.flatten() for gradient in gradient_of(model).values()]))
    return float(torch.dot(found[1], found[0]) / torch.dot(found[0], found[0]))


def test_reward_and_kl_apart() -> None:
    """On the responses that were scored; the whole, the reward alone and the KL alone have different shares."""
    engine, rng = tiny.engine(), np.random.default_rng(1)
    prompt_ids = {key: engine.encode(one) for key, one in PROMPTS.items()}
    bare = responses()
    drawn = engine.logprobs([Row(prompt_ids=np.array(prompt_ids[one.prompt_id]), completion_ids=one.token_ids) for one in bare])
    rollouts = [replace(one, logprobs=logprobs) for one, logprobs in zip(bare, drawn, strict=True)]
    start = {
        (one.prompt_id, one.index): logp + rng.normal(0, 0.5, len(logp)) for one, logp in zip(rollouts, drawn, strict=True) if one.index
    }
    rows = rows_of("grpo:kl=k3,beta=0.5", rollouts, success=1.0, max_tokens=20, start=start, prompt_ids=prompt_ids)
    assert not isinstance(rows, Skipped)
    tables = part_of(tables_of(rollouts, PROMPTS, retrying().read, 1.0), with_start(rollouts, start)[0])
    norms = logit_norms_of(engine, tables, prompt_ids)
    found = with_gradients(credited("kl", rows, tables), rows, tables, norms, learner_of(engine, 1.0), 0)
    starts = np.cumsum([0, *(len(rollout.token_ids) for rollout in tables.rollouts)])
    stages = [tables.tokens.stage_M[starts[position] : starts[position + 1]] for position in rows.positions]
    losses: list[Loss] = [lambda logp, row: paid(logp, row) + held(logp, row), paid, held]
    expected = [share_by_autograd(rows.rows, stages, loss, 1.0) for loss in losses]
    shares = [one.gradient.share_decision for one in (found, *found.parts) if one.gradient is not None]
    assert shares == pytest.approx(expected, rel=1e-3)
    assert min(abs(one - other) for one, other in ((expected[0], expected[1]), (expected[1], expected[2]))) > 0.01
    assert [one.part for one in found.parts] == ["reward alone", "KL alone"]
    assert all(one.logits is not None for one in found.parts)


def test_at_the_temperature_they_were_drawn_at() -> None:
    engine = tiny.engine()
    rollouts = [replace(one, temperature=0.7) for one in responses()]
    prompt_ids = {key: engine.encode(one) for key, one in PROMPTS.items()}
    tables = tables_of(rollouts, PROMPTS, retrying().read, 1.0)
    rows = rows_of("grpo", rollouts, success=1.0, max_tokens=20, start=None, prompt_ids=prompt_ids)
    assert not isinstance(rows, Skipped)
    norms = logit_norms_of(engine, tables, prompt_ids)
    asked = [Row(prompt_ids=np.array(prompt_ids[one.prompt_id]), completion_ids=one.token_ids) for one in rollouts]
    assert norms == pytest.approx(np.concatenate([lengths_by_autograd(engine.model, row, 0.7) for row in asked]), rel=2e-3)
    found = with_gradients(credited("grpo", rows, tables), rows, tables, norms, learner_of(engine, 0.7), 0)
    starts = np.cumsum([0, *(len(rollout.token_ids) for rollout in rollouts)])
    stages = [tables.tokens.stage_M[starts[position] : starts[position + 1]] for position in rows.positions]
    expected, other = (share_by_autograd(rows.rows, stages, paid, temperature) for temperature in (0.7, 1.0))
    assert found.gradient is not None
    assert found.gradient.share_decision == pytest.approx(expected, rel=1e-3)
    assert abs(expected - other) > 0.003
    # greedy responses, and those of several policies, have no gradient, and say so
    for temperatures, why in (((0.0,) * 12, "greedy"), ((0.7,) * 6 + (1.0,) * 6, "several temperatures")):
        mixed = replace(tables, rollouts=tuple(replace(one, temperature=at) for one, at in zip(rollouts, temperatures, strict=True)))
        assert logit_norms_of(engine, mixed, prompt_ids) is None
        found = with_gradients(credited("grpo", rows, mixed), rows, mixed, None, learner_of(engine, 0.7), 0)
        assert (found.logits, found.gradient) == (None, None)
        assert why in found.why_no_gradient


def test_equal_prompts_do_not_spread_over_unequal_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three prompts that are one and the same, in batches of two and one."""
    monkeypatch.setattr(gradients, "MOST_BATCHES", 2)
    engine = tiny.engine()
    ids = engine.encode(tiny.prompt(0))
    first = responses()[:4]
    rollouts = [replace(one, prompt_id=key) for key in PROMPTS for one in first]
    tables = tables_of(rollouts, PROMPTS, retrying().read, 1.0)
    prompt_ids = dict.fromkeys(PROMPTS, ids)
    rows = rows_of("sft", rollouts, success=1.0, max_tokens=20, start=None, prompt_ids=prompt_ids)
    assert not isinstance(rows, Skipped)
    norms = logit_norms_of(engine, tables, prompt_ids)
    found = with_gradients(credited("sft", rows, tables), rows, tables, norms, learner_of(engine, 1.0), 0).gradient
    assert found is not None
    assert found.num_batches == 2
    assert found.noise_sampling < 1e-4 * found.signal_sampling
    assert found.noise_decision < 1e-4 * found.signal_decision


def test_one_prompt_has_no_spread() -> None:
    engine = tiny.engine()
    rollouts = responses()[:4]
    prompt_ids = {key: engine.encode(one) for key, one in PROMPTS.items()}
    tables = tables_of(rollouts, PROMPTS, retrying().read, 1.0)
    rows = rows_of("sft", rollouts, success=1.0, max_tokens=20, start=None, prompt_ids=prompt_ids)
    assert not isinstance(rows, Skipped)
    norms = logit_norms_of(engine, tables, prompt_ids)
    found = with_gradients(credited("sft", rows, tables), rows, tables, norms, learner_of(engine, 1.0), 0)
    assert found.gradient is None
    assert "at least two prompts" in found.why_no_gradient
    assert found.logits is not None


def test_explain_with_models_on_disk(tmp_path: Path) -> None:
    """A tiny model that never ends an attempt: its square is all wrong, its bank silent, and its gradients are those of its own folder."""
    start = tiny.save("llama", tmp_path / "model")
    prompts = [coin_prompt(number) for number in range(3)]
    rng = np.random.default_rng(0)
    rollouts = []
    for one in prompts:
        for index, (text, value) in enumerate(TEXTS):
            token_ids = np.append(rng.integers(7, 300, size=len(text)), 1)
            logprobs = np.full(len(token_ids), -2.0)
            rollout = said(one, text, stop="eos", index=index)
            rollouts.append(replace(rollout, token_ids=token_ids, logprobs=logprobs, reward=Reward(value=value)))
    for name in "ab":
        write_run(tmp_path / name, prompts, rollouts, task=task.name, model=str(start), rollouts=4, max_tokens=12, device="cpu")
    asked = DecisionSpec(spans="task", credit=("grpo", "sft"), gradients=True, swap_prompts=2, swap_rollouts=2, bank=2)
    found, _ = decide(compared_in(tmp_path / "a", tmp_path / "b"), asked, quiet=True)
    assert found is not None
    assert found.swap is not None
    assert [cell.value for cell in found.swap.measured.cells] == [0.0] * 4
    assert "holds 0" in found.swap.measured.decision_share.why_none
    assert found.swap.analytic.total.value is None
    assert found.why_no_bank == "no check of both policies came to a verdict on any pair of states"
    assert [one.gradient is not None and one.logits is not None for one in found.credits] == [True, True]
    out = StringIO()
    print_decisions(json.loads(json.dumps(found.to_json(), allow_nan=False)), "", Console(file=out, width=200))
    assert "signal / noise" in out.getvalue()
