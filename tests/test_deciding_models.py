"""explain with two models on disk that solve and decide: a square with a gain, a bank, gradients, all made once."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from jominy.deciding.explain import decide
from jominy.deciding.folders import compared_in
from jominy.engines import ContinuingEngine
from jominy.engines.local import LocalEngine
from jominy.printing_decisions import print_decisions
from jominy.records import Sampling
from jominy.specs import DecisionSpec
from jominy.tracing import marked
from tests.coin_task import grade, task
from tests.coins import CoinEngine
from tests.coins import prompt as coin_prompt
from tests.test_deciding import closed_form
from tests.tiny import TEMPLATE
from tests.training_fixture import write_run

WORDS = ("<s>", "</s>", "<pad>", "<unk>", "r/", "w/", "a.", "n.", "a", "n", ".", "+")
ONE = CoinEngine(name="one", right=0.3, accept_right=0.6, accept_wrong=0.8)
OTHER = CoinEngine(name="other", right=0.5, accept_right=0.9, accept_wrong=0.1)
RARELY = 1e-6
"""Chance of a verdict in single characters, so that it has one."""


def save(coins: CoinEngine, folder: Path) -> Path:
    """A network without attention: the next token depends on the last alone, with the chances of the coins."""

    def decides(accept: float) -> dict[str, float]:
        return {"a.": accept, "n.": 1 - accept, "a": RARELY * accept, "n": RARELY * (1 - accept)}

    tries = {"r/": coins.right, "w/": 1 - coins.right}
    after = {"r/": decides(coins.accept_right), "w/": decides(coins.accept_wrong), "n.": tries, "n": {".": 1.0}, "a": {".": 1.0}}
    size = len(WORDS)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=size,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    model: Any = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        for last, word in enumerate(WORDS):
            chances = tries if word == "<unk>" else after.get(word, {"</s>": 1.0})
            # the last norm makes a unit vector sqrt(size) long
            column = [math.log(chances[one]) if one in chances else -40.0 for one in WORDS]
            model.lm_head.weight[:, last] = torch.tensor(column) / math.sqrt(size)
    model.save_pretrained(folder)
    core = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = Split(Regex(r"[rw]/|[an]\.|."), behavior="isolated")
    core.decoder = Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", bos_token="<s>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def drawn(path: Path, model: Path) -> Path:
    """A run folder that the model drew; three attempts fit."""
    assert task.retrying is not None
    prompts = [coin_prompt(number) for number in range(8)]
    groups = LocalEngine.load(str(model), "cpu").sample(prompts, 10, Sampling(max_tokens=5), seed=1)
    rollouts = [replace(one, reward=grade(prompts[0], one.text)) for group in groups for one in group]
    rollouts = marked(rollouts, {one.id: one for one in prompts}, task.retrying)
    return write_run(path, prompts, rollouts, task=task.name, model=str(model), rollouts=10, max_tokens=5, device="cpu")


def nobody(model: str, device: str) -> ContinuingEngine:
    """Everything is kept."""
    raise AssertionError(f"{model} was loaded")


def test_explain_with_models_that_solve_and_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [save(coins, tmp_path / coins.name) for coins in (ONE, OTHER)]
    folders = [drawn(tmp_path / name, model) for name, model in zip("ab", models, strict=True)]
    asked = DecisionSpec(spans="task", credit=("grpo", "sft"), gradients=True, swap_prompts=8, swap_rollouts=16, bank=8)
    found, _ = decide(compared_in(*folders), asked, quiet=True)
    assert found is not None
    assert (found.why_no_swap, found.why_no_bank) == ("", "")
    assert found.swap is not None
    pairs = [(ONE, ONE), (ONE, OTHER), (OTHER, ONE), (OTHER, OTHER)]
    for cell, pair in zip(found.swap.measured.cells, pairs, strict=True):
        expected = closed_form(*pair)
        assert abs((cell.value or 0) - expected) < 4 * math.sqrt(expected * (1 - expected) / 128)
    # .46 against .71 in the closed form, most of it by decisions
    assert (found.swap.measured.total.low or 0) > 0
    assert (found.swap.measured.decision.value or 0) > (found.swap.measured.sampling.value or 0) > 0
    assert found.bank is not None
    assert (found.bank.num_states, found.bank.num_used) == (8, 8)
    for side, coins in ((found.bank.before, ONE), (found.bank.after, OTHER)):
        assert side.rates.accept_right.value == pytest.approx(coins.accept_right, abs=1e-3)
        assert side.rates.accept_wrong.value == pytest.approx(coins.accept_wrong, abs=1e-3)
    assert [one.gradient is not None and one.logits is not None for one in found.credits] == [True, True]
    # nothing is made twice, by whoever may not make it or may
    monkeypatch.setattr(LocalEngine, "load", nobody)
    for again in (asked, DecisionSpec(spans="task", credit=("grpo", "sft"), no_swap=True)):
        kept, _ = decide(compared_in(*folders), again, load_engine=nobody, quiet=True)
        assert kept is not None
        assert (kept.swap, kept.bank) == (found.swap, found.bank)
        assert [asdict(one) for one in kept.credits] == [asdict(one) for one in found.credits]
    out = StringIO()
    print_decisions(json.loads(json.dumps(found.to_json(), allow_nan=False)), "", Console(file=out, width=200))
    assert "signal / noise" in out.getvalue()
    assert "95 % paired" in out.getvalue()
