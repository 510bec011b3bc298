"""The local engine in training: one model that samples, steps and is saved, and beside it the policy it started from.

The starting policy is loaded when it is first asked for: a second copy of the weights; with LoRA the same weights, adapters off.
Left out: what to train on and when (`training`); several devices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jominy.engines import StepReport, TokenFunction, models
from jominy.engines.checkpoints import link_model, load_policy, load_trainer, save_checkpoint, save_model
from jominy.engines.learner import Learner
from jominy.engines.local import LocalEngine
from jominy.engines.passes import Passes
from jominy.engines.pieces import pieces_of
from jominy.records import Floats, Ints, Prompt, TrainRow


class LocalTrainer:
    """A model under training."""

    def __init__(self, start: str, *, checkpoint: Path | None, temperature: float, settings: Any) -> None:
        """Loads the starting model, or the checkpoint that an earlier run of it left.

        Args:
            start: name of the starting model, as `load_model` takes it.
            checkpoint: folder of `save_checkpoint`; None begins at the start.
            temperature: of drawing and training.
            settings: an UpdateSpec.
        """
        self.start, self.device, self.lora = start, settings.device, settings.lora_rank > 0
        source = start if checkpoint is None or self.lora else str(checkpoint)
        model, tokenizer = models.load_model(source, settings.device)
        self.policy = models.policy_name(start, model) if checkpoint is None else load_policy(checkpoint)
        self.adapters: Any = _adapters(model, settings.lora_rank) if self.lora else None
        self.engine = LocalEngine.of(model, tokenizer, name=self.policy)
        sizes = {"tokens": settings.microbatch, "recompute": settings.recompute}
        self.passes = Passes(self.engine.network, temperature=temperature, **sizes)
        self.learner = Learner(self.passes, weight_decay=settings.weight_decay, max_grad_norm=settings.max_grad_norm)
        self.sizes = sizes
        self.start_passes: dict[float, Passes] = {}
        if checkpoint is not None:
            state = load_trainer(checkpoint)
            self.learner.restore(state["learner"])
            if self.adapters is not None:
                self.adapters.load_state(state["adapters"])

    def sampler(self, step: int) -> LocalEngine:
        """The engine as it stands after `step` steps, named so."""
        return self.engine if step == 0 else replace(self.engine, name=f"{self.policy}+step {step}")

    def check(self, prompts: Sequence[Prompt], max_tokens: int) -> None:
        """Raises ValueError when a prompt has no tokens or leaves no room for `max_tokens`."""
        self.engine.check_lengths(prompts, [self.engine.encode(prompt) for prompt in prompts], max_tokens)

    def step(
        self, rows: Sequence[TrainRow], weigh: TokenFunction, learning_rate: float, clipped: TokenFunction | None, norm_limit: float
    ) -> StepReport:
        """One optimiser step; see `Learner.step`."""
        return self.learner.step(rows, weigh, learning_rate, clipped=clipped, norm_limit=norm_limit)

    def logprobs(self, rows: Sequence[TrainRow]) -> list[Floats]:
        """[T] nats of each row under the present policy, at the training temperature."""
        return self.passes.logprobs(rows)

    def start_logprobs(self, rows: Sequence[TrainRow], temperature: float) -> list[Floats]:
        """[T] nats of each row under the policy that training started from."""
        if not self.start_passes:
            network = self.engine.network if self.lora else LocalEngine.load(self.start, self.device).network
            network.release()
            self.start_passes[1.0] = Passes(network, **self.sizes)
        if temperature not in self.start_passes:
            self.start_passes[temperature] = Passes(self.start_passes[1.0].network, temperature=temperature, **self.sizes)
        with contextlib.nullcontext() if self.adapters is None else self.adapters.off():
            return self.start_passes[temperature].logprobs(rows)

    def rows_to_score(self, prompts: Sequence[Prompt], completions: Sequence[Any]) -> list[TrainRow]:
        """Rows without weights: one completion each of `prompts`, for `logprobs` and `start_logprobs`."""
        encoded = {prompt.id: np.asarray(self.engine.encode(prompt), dtype=np.int64) for prompt in prompts}
        return [
            TrainRow(
                prompt_ids=encoded[prompt.id],
                completion_ids=np.asarray(tokens, dtype=np.int64),
                advantages=np.zeros(len(tokens)),
                inside=np.ones(len(tokens), dtype=bool),
                scale=np.zeros(len(tokens)),
            )
            for prompt, tokens in zip(prompts, completions, strict=True)
        ]

    def save_checkpoint(self, folder: Path, state: dict[str, Any]) -> None:
        """Model, tokenizer, optimiser and `state`, whole or not at all."""
        trainer: dict[str, Any] = {"learner": self.learner.state()}
        if self.adapters is None:
            save_checkpoint(self.engine.model, self.engine.tokenizer, trainer, {**state, "policy": self.policy}, folder)
        else:
            trainer["adapters"] = self.adapters.state()
            save_checkpoint(self.adapters.merged(), self.engine.tokenizer, trainer, {**state, "policy": self.policy}, folder)

    def save_model(self, folder: Path) -> None:
        """A folder that transformers, vLLM and TRL load."""
        save_model(self.engine.model if self.adapters is None else self.adapters.merged(), self.engine.tokenizer, folder)

    def encode_completion(self, text: str) -> Ints:
        """[T] tokens of a response with the token that ends it."""
        ids = self.engine.tokenizer(text, add_special_tokens=False)["input_ids"]
        return np.array([*ids, self._ending()], dtype=np.int64)

    def pieces(self, token_ids: Ints) -> tuple[str, ...]:
        """[T] the text that each token of a response contributes."""
        return pieces_of(self.engine.tokenizer, token_ids)

    def _ending(self) -> int:
        """The stop token that ends an assistant's turn in the chat template; without one there, the tokenizer's end of sequence."""
        tokenizer, stops = self.engine.tokenizer, self.engine.stop_ids
        if tokenizer.chat_template is not None:
            turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
            opened = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, tokenize=True, return_dict=False)
            whole = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
            for token in whole[len(opened) :]:
                if token in stops:
                    return int(token)
        if tokenizer.eos_token_id is None and not stops:
            raise ValueError(
                "the model has no stop token, so it cannot learn where an answer ends; set eos_token_id in its generation config"
            )
        return int(stops[0] if tokenizer.eos_token_id is None else tokenizer.eos_token_id)

    def link(self, checkpoint: Path, folder: Path) -> None:
        """The model of a checkpoint under another name."""
        link_model(checkpoint, folder)


def _adapters(model: Any, rank: int) -> Any:
    """LoRA adapters on the model; peft is imported only here."""
    from jominy.engines.adapters import add_adapters

    return add_adapters(model, rank)
