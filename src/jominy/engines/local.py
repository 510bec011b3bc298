"""The local engine: a transformers model in this process that samples and scores, on the CPU or one GPU.

It owns no arithmetic: prompts become tokens here, drawings become `Rollout`s, rows become log-probabilities; the rest is next door
(models: names to weights; network and lanes: the forward; decoding: the loop; drawing: the draw; scoring: teacher forcing).
Left out: training steps (`trainer`), several GPUs, and servers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from jominy.engines import OnProgress, models
from jominy.engines.decoding import Drawing, Loop, stop_token_ids
from jominy.engines.memory import MAX_ROWS, MAX_ROWS_GPU, budget_bytes, rows_that_fit
from jominy.engines.network import Network
from jominy.engines.pieces import pieces_of
from jominy.engines.scoring import logit_norms, score
from jominy.engines.stopping import TextStops
from jominy.records import Bools, Floats, Prompt, Rollout, Row, Sampling


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalEngine:
    """A causal language model held by this process.

    Example: LocalEngine.load("smollm2")
    """

    name: str
    """Model and revision, as recorded in `Rollout.policy`."""
    model: Any
    """The transformers model; its parameters are read here, and changed by nobody but a `Learner`."""
    tokenizer: Any
    """Its tokenizer."""
    network: Network
    """The model made ready."""
    stop_ids: tuple[int, ...]
    """Tokens that end a response."""
    memory_gib: float | None = None
    """Memory for rows in flight, GiB; None takes half of what is free."""

    @staticmethod
    def load(name: str, device: str = "auto", memory_gib: float | None = None) -> LocalEngine:
        """Loads an alias, a folder or a hub id (see `models.load_model`).

        Args:
            name: `smollm2`, a folder, or owner/model.
            device: auto (a GPU where torch sees one, else the CPU), cpu, cuda or cuda:N.
            memory_gib: budget for rows in flight, above 0; None takes half of what is free.
        """
        model, tokenizer = models.load_model(name, device)
        return LocalEngine.of(model, tokenizer, name=models.policy_name(name, model), memory_gib=memory_gib)

    @staticmethod
    def of(model: Any, tokenizer: Any, name: str, memory_gib: float | None = None) -> LocalEngine:
        """An engine on a model that is already in memory."""
        if memory_gib is not None and memory_gib <= 0:
            raise ValueError(f"memory_gib must be above 0, got {memory_gib}")
        return LocalEngine(
            name=name,
            model=model,
            tokenizer=tokenizer,
            network=Network(model),
            stop_ids=stop_token_ids(model, tokenizer),
            memory_gib=memory_gib,
        )

    @property
    def device(self) -> str:
        """Where and how it computes, e.g. `cpu, float32, 2 threads`."""
        where, precision = self.network.device, str(self.model.dtype).removeprefix("torch.")
        threads = f", {torch.get_num_threads()} threads" if where.type == "cpu" else f", {torch.cuda.get_device_name(where)}"
        return f"{where}, {precision}{threads}"

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens: its chat template with the assistant's turn opened; without a template, or raw, the contents in a row."""
        messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
        if prompt.raw or self.tokenizer.chat_template is None:
            ids = self.tokenizer("".join(message["content"] for message in messages))["input_ids"]
        else:
            ids = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        return list(ids)

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        """Groups of ungraded rollouts, each as soon as it is finished, in any order.

        Args:
            prompts: distinct ids; two prompts with one id would draw the same words.
            num_rollouts: G, at least 1.
            sampling: temperature >= 0, 0 < top_p <= 1, max_tokens >= 1.
            seed: same seed, same device, same call: the same bits. Another company of prompts moves logits by float noise only.
            on_progress: called every few steps with (finished rollouts, drawn tokens) since the last call.

        Raises:
            ValueError: a setting is out of range, or a prompt is empty or too long for the model.
        """
        _check(num_rollouts, sampling)
        encoded = [self.encode(prompt) for prompt in prompts]
        self.check_lengths(prompts, encoded, sampling.max_tokens)
        if not prompts:
            return
        identities, indices = [prompt.id for prompt in prompts], [range(num_rollouts)] * len(prompts)
        for group, drawings in self._loop(encoded, identities, indices, [0] * len(prompts), sampling, seed, on_progress).run():
            yield [self._rollout(prompts[group], drawing, sampling, seed) for drawing in drawings]

    def sample_blind(
        self,
        prompts: Sequence[Prompt],
        hidden: Sequence[Bools],
        num_rollouts: int,
        sampling: Sampling,
        seed: int,
        on_progress: OnProgress | None = None,
    ) -> Iterator[list[Rollout]]:
        """As `sample`, but no token outside the hidden ones attends to them: what the model writes when it cannot see them.

        Since no other token looks at them, they are left out of the forward, and the others keep their positions: the same numbers as a
        mask gives. The draws have the uniforms that `sample` has for the same seed, so the two are paired. Not to be stored or trained on.

        Args:
            prompts: distinct ids.
            hidden: of each prompt, [S] which of its tokens (`encode`) are hidden; never the last, from which the response is drawn.
            num_rollouts: G, at least 1.
            sampling: as in `sample`.
            seed: as in `sample`.
            on_progress: as in `sample`.

        Raises:
            ValueError: as `sample`; what is hidden does not fit the prompt; or the model has windows or states, which count tokens.
        """
        _check(num_rollouts, sampling)
        encoded = [self.encode(prompt) for prompt in prompts]
        self.check_lengths(prompts, encoded, sampling.max_tokens)
        _check_hidden(prompts, encoded, hidden)
        if not self.network.shared:
            raise ValueError(f"'{self.name}' has windows, caps or states; tokens can be hidden only from a model with plain full attention")
        if not prompts:
            return
        positions = [np.flatnonzero(~hidden_S).tolist() for hidden_S in hidden]
        kept = [[tokens[place] for place in places] for tokens, places in zip(encoded, positions, strict=True)]
        identities, indices = [prompt.id for prompt in prompts], [range(num_rollouts)] * len(prompts)
        loop = self._loop(kept, identities, indices, [0] * len(prompts), sampling, seed, on_progress, positions)
        for group, drawings in loop.run():
            yield [self._rollout(prompts[group], drawing, sampling, seed) for drawing in drawings]

    def continue_from(
        self,
        prompts: Sequence[Prompt],
        begun: Sequence[Rollout],
        sampling: Sampling,
        seed: int,
        on_progress: OnProgress | None = None,
        tag: str = "",
    ) -> list[Rollout]:
        """Each of `begun` with more tokens; see `ContinuingEngine`. Those with the same prompt and the same tokens are read once.

        LIMIT: a model without shared lanes (`Network.shared`: windows, soft caps, states) takes one prompt at a time, so responses that
        begin differently go on one after the other.

        Raises:
            ValueError: a setting is out of range, a response has ended or has no room left, its prompt is not given or is too long.
        """
        _check(1, sampling)
        by_id = {prompt.id: prompt for prompt in prompts}
        encoded = {prompt.id: self.encode(prompt) for prompt in prompts}
        self.check_lengths(list(by_id.values()), list(encoded.values()), sampling.max_tokens)
        _check_begun(begun, by_id, sampling.max_tokens)
        if not begun:
            return []
        groups = _alike(begun)
        first = [begun[positions[0]] for positions in groups]
        loop = self._loop(
            [encoded[one.prompt_id] + one.token_ids.tolist() for one in first],
            [one.prompt_id + tag for one in first],
            [[begun[position].index for position in positions] for positions in groups],
            [len(one.token_ids) for one in first],
            sampling,
            seed,
            on_progress,
        )
        whole: dict[int, Rollout] = {}
        for group, drawings in loop.run():
            for position, drawing in zip(groups[group], drawings, strict=True):
                whole[position] = self._longer(begun[position], by_id[first[group].prompt_id], drawing, sampling, seed)
        return [whole[position] for position in range(len(begun))]

    @property
    def vocabulary(self) -> str:
        """Size and fingerprint of the tokenizer's vocabulary, e.g. `49152 tokens (1f0a3c9b)`."""
        words = self.tokenizer.get_vocab()
        return f"{len(words)} tokens ({hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:8]})"

    def encode_text(self, text: str) -> list[int]:
        """The tokens of a stretch of a response.

        LIMIT: a tokenizer that puts a space before every text (SentencePiece's dummy prefix) puts one here too.
        """
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def logprobs(self, rows: Sequence[Row]) -> list[Floats]:
        """[T] nats of each row's completion at temperature 1, teacher-forced; see `scoring.score`.

        Raises:
            ValueError: a row has no prompt tokens, or is longer than the model's context.
        """
        self._check_rows(rows)
        self.network.refresh()
        return score(self.network, rows)

    def logit_norms(self, rows: Sequence[Row], temperature: float = 1.0) -> list[Floats]:
        """[T] how long the gradient of each token's log-probability is with respect to its logits; see `scoring.logit_norms`.

        Raises:
            ValueError: as `logprobs`, or the temperature is not above 0.
        """
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature:g}: greedy decoding has no distribution with a gradient")
        self._check_rows(rows)
        self.network.refresh()
        return logit_norms(self.network, rows, temperature)

    def _check_rows(self, rows: Sequence[Row]) -> None:
        """Each has something to follow and fits into the context."""
        context = self.context
        for number, row in enumerate(rows):
            length = len(row.prompt_ids) + len(row.completion_ids)
            if not len(row.prompt_ids):
                raise ValueError(f"row {number} has no prompt tokens; the first completion token needs something to follow")
            if context is not None and length > context:
                raise ValueError(f"row {number} has {length} tokens and the model's context is {context}; shorten it")

    @property
    def context(self) -> int | None:
        """Longest sequence of the model in tokens; None where its config names none."""
        config = self.model.config.get_text_config()
        name = config.attribute_map.get("max_position_embeddings", "max_position_embeddings")
        value = config.to_dict().get(name)
        return None if value is None else int(value)

    def _loop(
        self,
        prompts: list[list[int]],
        prompt_ids: list[str],
        rollouts: Sequence[Sequence[int]],
        begun: list[int],
        sampling: Sampling,
        seed: int,
        on_progress: OnProgress | None,
        positions: Sequence[list[int]] | None = None,
    ) -> Loop:
        """The loop of one call; see `Loop`."""
        self.network.refresh()
        to_draw = sampling.max_tokens - min(begun)
        capacity = min(self._capacity(max(map(len, prompts)), min(map(len, rollouts)), to_draw), sum(map(len, rollouts)))
        return Loop(
            lanes=self.network.lanes(capacity, to_draw),
            capacity=capacity,
            prompts=prompts,
            prompt_ids=prompt_ids,
            rollouts=rollouts,
            begun=begun,
            sampling=sampling,
            seed=seed,
            stop_ids=self.stop_ids,
            text_stops=TextStops(self.tokenizer, sampling.stops) if sampling.stops else None,
            device=self.network.device,
            on_progress=on_progress,
            positions=positions,
        )

    def _capacity(self, prompt_tokens: int, num_rollouts: int, max_tokens: int) -> int:
        """Rows in flight under the memory budget."""
        device = self.network.device
        return rows_that_fit(
            bytes_per_position=self.network.bytes_per_position,
            num_words=self.network.num_words,
            max_tokens=max_tokens,
            prompt_tokens=prompt_tokens,
            num_rollouts=num_rollouts,
            budget_bytes=budget_bytes(device, self.memory_gib),
            most=MAX_ROWS if device.type == "cpu" else MAX_ROWS_GPU,
        )

    def check_lengths(self, prompts: Sequence[Prompt], encoded: list[list[int]], max_tokens: int) -> None:
        """Each prompt has tokens and leaves room for the response."""
        context = self.context
        for prompt, tokens in zip(prompts, encoded, strict=True):
            if not tokens:
                raise ValueError(f"prompt {prompt.id} of task {prompt.task} has no tokens; a model without a chat template needs some text")
            if context is not None and len(tokens) + max_tokens > context:
                raise ValueError(
                    f"prompt {prompt.id} of task {prompt.task} has {len(tokens)} tokens; with max_tokens {max_tokens} that is more than "
                    f"the model's context of {context}; shorten the prompt or ask for at most {max(0, context - len(tokens))} tokens"
                )

    def _rollout(self, prompt: Prompt, drawing: Drawing, sampling: Sampling, seed: int, known: Sequence[str] = ()) -> Rollout:
        """The record of one drawing; `known` are the pieces of its first tokens, as far as there are any."""
        spoken = drawing.token_ids[:-1] if drawing.stop == "eos" else drawing.token_ids
        return Rollout(
            prompt_id=prompt.id,
            index=drawing.index,
            text=self.tokenizer.decode(spoken.tolist(), skip_special_tokens=True),
            token_ids=drawing.token_ids,
            logprobs=drawing.logprobs,
            logprobs_t1=drawing.logprobs_t1,
            stop=drawing.stop,
            policy=self.name,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
            pieces=pieces_of(self.tokenizer, drawing.token_ids, known),
            entropies=drawing.entropies,
        )

    def _longer(self, begun: Rollout, prompt: Prompt, drawing: Drawing, sampling: Sampling, seed: int) -> Rollout:
        """The record of what was begun with one drawing behind it."""
        whole = replace(drawing, token_ids=np.concatenate([begun.token_ids, drawing.token_ids]).astype(np.int64))
        return replace(
            self._rollout(prompt, whole, sampling, seed, begun.pieces or ()),
            logprobs=_joined(begun.logprobs, drawing.logprobs),
            logprobs_t1=_joined(begun.logprobs_t1, drawing.logprobs_t1),
            entropies=_joined(begun.entropies, drawing.entropies),
        )


def _joined(before: Floats | None, after: Floats | None) -> Floats | None:
    """One behind the other; None when either is not known."""
    return None if before is None or after is None else np.concatenate([before, after])


def _alike(begun: Sequence[Rollout]) -> list[list[int]]:
    """Positions of those with the same prompt and the same tokens, in order of their index."""
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for position, rollout in enumerate(begun):
        groups.setdefault((rollout.prompt_id, tuple(rollout.token_ids.tolist())), []).append(position)
    return [sorted(positions, key=lambda position: begun[position].index) for positions in groups.values()]


def _check_hidden(prompts: Sequence[Prompt], encoded: Sequence[Sequence[int]], hidden: Sequence[Bools]) -> None:
    """A mark for each token, and something left to draw from."""
    if len(prompts) != len(hidden):
        raise ValueError(f"{len(prompts)} prompts came with the hidden tokens of {len(hidden)}")
    for prompt, tokens, hidden_S in zip(prompts, encoded, hidden, strict=True):
        if hidden_S.dtype != np.bool_ or hidden_S.shape != (len(tokens),):
            raise ValueError(
                f"prompt {prompt.id} has {len(tokens)} tokens; each needs true or false, not {hidden_S.dtype} {hidden_S.shape}"
            )
        if hidden_S[-1]:
            raise ValueError(f"the last token of prompt {prompt.id} cannot be hidden; the response is drawn from it")


def _check_begun(begun: Sequence[Rollout], prompts: Mapping[str, Prompt], max_tokens: int) -> None:
    """Each can go on."""
    for rollout in begun:
        name = f"rollout {rollout.index} of prompt {rollout.prompt_id}"
        if rollout.prompt_id not in prompts:
            raise ValueError(f"{name} cannot be continued without its prompt; give it among `prompts`")
        if rollout.stop == "eos":
            raise ValueError(f"{name} ended by itself; take its stop token off to go on with it")
        if len(rollout.token_ids) >= max_tokens:
            raise ValueError(f"{name} has {len(rollout.token_ids)} tokens already and max_tokens is {max_tokens}; raise it")


def _check(num_rollouts: int, sampling: Sampling) -> None:
    """Settings in range."""
    if num_rollouts < 1:
        raise ValueError(f"num_rollouts must be at least 1, got {num_rollouts}")
    if not 0 <= sampling.temperature < float("inf"):
        raise ValueError(f"temperature must be 0 (greedy) or above, got {sampling.temperature}")
    if not 0 < sampling.top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {sampling.top_p}")
    if sampling.max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, got {sampling.max_tokens}")
    if not all(sampling.stops):
        raise ValueError("a text to stop at is empty; every text ends with it")
