"""One step of grpo, dapo and dr_grpo has the parameter gradient that TRL's GRPOTrainer computes on the same completions and rewards.

TRL samples and grades; its completions and rewards go through jominy's own way from there: keep, credit, divide, rows, `Learner.gradient`.
TRL's defaults are not those of the papers: `loss_type="dapo"` stands over a symmetric clip of 0.2, the std has 1e-4 added where DAPO's code
adds 1e-6, nothing is drawn again for constant groups, and there is no penalty on length; the recipe strings below say so. With `beta`, TRL
1.16 multiplies the KL term by the ratio (`use_bias_correction_kl=True`, 2512.02556), which no recipe of jominy does: it is off here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jominy.crediting import groups_of_rollouts, rows_to_step
from jominy.engines.learner import Learner
from jominy.engines.local import LocalEngine
from jominy.engines.passes import Passes
from jominy.recipes.loading import load_recipe
from jominy.records import Reward, Rollout, TrainRow
from tests import tiny
from tests.gradients import compare, gradient_of

pytest.importorskip("trl", reason="trl is not installed (pip install 'trl>=1.16,<2')")
pytest.importorskip("datasets", reason="datasets is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

PROMPTS, ROLLOUTS, MAX_TOKENS = 3, 4, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The same step in two vocabularies.

    Example: CASES["grpo"]
    """

    trl: dict[str, Any]
    """Settings of GRPOConfig."""
    recipe: str
    """What `load_recipe` takes."""


CASES = {
    "grpo": Case(trl={"loss_type": "grpo"}, recipe="grpo"),
    "dapo": Case(trl={"loss_type": "dapo", "epsilon_high": 0.28}, recipe="dapo:epsilon=1e-4,fill=off,overlong=off"),
    "dr_grpo": Case(trl={"loss_type": "dr_grpo", "scale_rewards": "none"}, recipe="dr_grpo"),
    "defaults": Case(trl={}, recipe="grpo:divide=tokens"),
    "grpo, kl": Case(trl={"loss_type": "grpo", "beta": 0.1, "use_bias_correction_kl": False}, recipe="grpo:kl=k3,beta=0.1"),
    "dapo, kl": Case(trl={"loss_type": "dapo", "beta": 0.1, "use_bias_correction_kl": False}, recipe="grpo:divide=tokens,kl=k3,beta=0.1"),
    "gspo": Case(
        trl={"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.1, "epsilon_high": 0.1},
        recipe="gspo:epsilon=1e-4,clip_low=0.1,clip_high=0.1",
    ),
    "cispo": Case(trl={"loss_type": "cispo", "epsilon_high": 1.2}, recipe="cispo:epsilon=1e-4,clip_high=0.2"),
}


def reward_of(tokens: list[int], prompt: str) -> float:
    """Share of even words; the second prompt's group is constant."""
    return 0.5 if prompt == tiny.prompt(1).messages[0].content else sum(token % 2 == 0 for token in tokens) / len(tokens)


def reward(prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float]:
    """The same as TRL calls it."""
    return [reward_of(tokens, prompt[0]["content"]) for prompt, tokens in zip(prompts, completion_ids, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama that ends its responses at different lengths."""
    where = tmp_path_factory.mktemp("llama")
    model = tiny.model("llama")
    with torch.no_grad():
        model.lm_head.weight[1] *= 3.0
    model.save_pretrained(where)
    tiny.tokenizer().save_pretrained(where)
    return where


def trainer_of(folder: Path, case: Case, temperature: float) -> Any:
    """TRL's trainer in the middle of a step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer

    prompts = [[{"role": "user", "content": tiny.prompt(number, 2 + 3 * number).messages[0].content}] for number in range(PROMPTS)]
    prompts[1] = [{"role": "user", "content": tiny.prompt(1).messages[0].content}]
    settings = GRPOConfig(
        output_dir=str(folder / "out"), use_cpu=True, bf16=False, report_to=[], save_strategy="no", temperature=temperature,
        per_device_train_batch_size=PROMPTS * ROLLOUTS, num_generations=ROLLOUTS, max_completion_length=MAX_TOKENS,
        gradient_checkpointing=False, disable_tqdm=True, seed=0, **case.trl,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=str(folder), reward_funcs=reward, args=settings, train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts])
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    torch.manual_seed(0)
    return trainer


def rows_of_trl(scored: dict[str, torch.Tensor], trainer: Any, case: Case) -> list[TrainRow]:
    """TRL's completions and rewards as jominy's loop would take them."""
    rollouts, prompt_ids = [], {}
    for number in range(PROMPTS * ROLLOUTS):
        prompt = scored["prompt_ids"][number][scored["prompt_mask"][number].bool()].tolist()
        tokens = scored["completion_ids"][number][scored["completion_mask"][number].bool()].numpy()
        name = str(number // ROLLOUTS)
        text = trainer.train_dataset[number // ROLLOUTS]["prompt"][0]["content"]
        prompt_ids[name] = prompt
        rollout = Rollout(
            prompt_id=name, index=number % ROLLOUTS, text="", token_ids=tokens, logprobs=None, logprobs_t1=None,
            stop="eos" if tokens[-1] == 1 else "length", policy="m", temperature=1.0, top_p=1.0, seed=0,
            reward=Reward(value=reward_of(tokens.tolist(), text)),
        )  # fmt: skip
        rollouts.append(rollout)
    batch = [rollouts[first : first + ROLLOUTS] for first in range(0, len(rollouts), ROLLOUTS)]
    recipe = load_recipe(case.recipe, max_tokens=MAX_TOKENS)
    groups = groups_of_rollouts(batch, success=1.0)
    rows, positions = rows_to_step(recipe, batch, groups, recipe.credit(groups), prompt_ids)
    expected = ROLLOUTS * (PROMPTS - 1) if recipe.zero_stays_zero else ROLLOUTS * PROMPTS
    assert len(rows) == expected, "the constant group is not computed, unless the KL holds it"
    return [replace(row, **columns_at(scored, position, len(row.inside))) for row, position in zip(rows, positions.tolist(), strict=True)]


def columns_at(scored: dict[str, torch.Tensor], position: int, length: int) -> dict[str, Any]:
    """Old and reference log-probabilities of one rollout, where TRL has them."""
    names = {"old_logprobs": "old_per_token_logps", "reference_logprobs": "ref_per_token_logps"}
    return {ours: scored[theirs][position, :length].double().numpy() for ours, theirs in names.items() if theirs in scored}


def move_away(scored: dict[str, torch.Tensor], model: Any, temperature: float) -> None:
    """Old and reference log-probabilities about 0.3 nats away from the present ones, so that the clip is active on some tokens."""
    ids, mask = (torch.cat([scored[f"prompt_{kind}"], scored[f"completion_{kind}"]], 1) for kind in ("ids", "mask"))
    with torch.no_grad():
        logits = model(ids, mask).logits[:, scored["prompt_ids"].shape[1] - 1 : -1] / temperature
    present = torch.log_softmax(logits, -1).gather(2, scored["completion_ids"][..., None])[..., 0]
    generator = torch.Generator().manual_seed(1)
    scored["old_per_token_logps"] = present + 0.3 * torch.randn(present.shape, generator=generator)
    if "ref_per_token_logps" in scored:
        scored["ref_per_token_logps"] = present + 0.3 * torch.randn(present.shape, generator=generator)


@pytest.mark.parametrize("off_policy", [False, True], ids=["on policy", "off policy"])
@pytest.mark.parametrize("name", CASES)
def test_gradient_is_that_of_trl(name: str, off_policy: bool, folder: Path) -> None:
    case, temperature = CASES[name], 0.9 if off_policy else 1.0
    trainer = trainer_of(folder, case, temperature)
    examples = [{"prompt": trainer.train_dataset[number]["prompt"]} for number in range(PROMPTS) for _ in range(ROLLOUTS)]
    scored = trainer._generate_and_score_completions(examples)
    lengths = scored["completion_mask"].sum(1)
    assert len(set(lengths.tolist())) > 2
    if off_policy:
        move_away(scored, trainer.model, temperature)
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, scored).backward()
    theirs = gradient_of(trainer.model)

    engine = LocalEngine.load(str(folder), "cpu")
    recipe = load_recipe(case.recipe, max_tokens=MAX_TOKENS)
    learner = Learner(Passes(engine.network, temperature=temperature, tokens=60))
    seen = learner.gradient(rows_of_trl(scored, trainer, case), recipe.weigh, clipped=recipe.clipped).seen
    if off_policy:
        assert seen.clipped is not None
        assert np.concatenate(seen.clipped).any()
    angle, length = compare(gradient_of(engine.model), theirs)
    assert angle < 1e-6
    assert length < 1e-4
