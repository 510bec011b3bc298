"""Where a response looks: attention to named stretches of the prompt, and what becomes of the answer when they cannot be seen.

    A_lh(S) = mean_t sum_{j in S} a_lh[t, j]            a_lh[t, j] = softmax_j(q_lh[t] k_lh[j] * scale), j <= t, computed eagerly
    t runs over the T places from which the response's tokens are drawn: the last token of the prompt and all but the last of the response

Layer after layer, and a few hundred queries at a time, so that of all weights only the sums over each stretch are kept. Every token that
a place can look at is in exactly one stretch (`promptspans`), so the masses of a head add up to 1.
The abstract of 2601.04954 speaks of attention and fixes no definition; all of this is our choice (method sheet, C.3 row 8).
LIMIT: the mask of a row is as large as its length squared: 256 MB at 8,192 tokens, 4 GB at 32,768.
Left out: what the masses mean and how they change (`measures.attention`), and attention by way of sinks or position biases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from jominy.engines.local import LocalEngine
from jominy.engines.promptspans import CharSpan, PromptSpans, hidden_tokens
from jominy.records import Floats, Ints, Prompt, RewardFunction, Rollout, Row, Sampling

NAME = "jominy_watched"
QUERIES = 256
"""Places whose weights exist at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attended:
    """Where one response looked.

    Example: Attended(names=("constraint 0", ...), mass_LHS=np.array(...), num_tokens_S=np.array([2, 2, 2, 1, 9]), prompt_length=7)
    """

    names: tuple[str, ...]
    """Of the stretches."""
    mass_LHS: Floats
    """[layers, heads, stretches] A; over the stretches they add up to 1."""
    num_tokens_S: Ints
    """[stretches] |S|; of the response, the tokens it has but the last."""
    prompt_length: int
    """Tokens of the prompt."""

    def over(self, names: Sequence[str]) -> tuple[Floats, float]:
        """([L, H] A of the stretches together, their |S| / prompt length); A divided by the second is corrected for length.

        Raises:
            ValueError: there is no such stretch, or it has no token.
        """
        missing = [name for name in names if name not in self.names]
        if missing or not names:
            raise ValueError(f"no stretch {', '.join(missing) or 'is named'}; there are {', '.join(self.names)}")
        chosen = [self.names.index(name) for name in names]
        num_tokens = int(self.num_tokens_S[chosen].sum())
        if num_tokens == 0:
            raise ValueError(f"{', '.join(names)}: no token of this prompt lies there, so there is nothing to correct for")
        return self.mass_LHS[..., chosen].sum(-1), num_tokens / self.prompt_length


def stacked(attended: Sequence[Attended], names: Sequence[Sequence[str]]) -> tuple[Floats, Floats]:
    """([N, L, H] A of the stretches named for each response, [N] their |S| / prompt length); NaN where none is named.

    Args:
        attended: N responses, at least one.
        names: of each response, e.g. the soft constraints of its prompt.
    """
    mass_NLH = np.full((len(attended), *attended[0].mass_LHS.shape[:2]), np.nan)
    share_N = np.full(len(attended), np.nan)
    for number, (one, chosen) in enumerate(zip(attended, names, strict=True)):
        if chosen:
            mass_NLH[number], share_N[number] = one.over(chosen)
    return mass_NLH, share_N


class Watch:
    """What the layers of one forward tell."""

    def __init__(self, first: int, name_K: torch.Tensor, num_names: int) -> None:
        """Queries from `first` on count; `name_K` is the stretch of each key."""
        self.first, self.name_K, self.num_names = first, name_K, num_names
        self.mass_LHS: list[torch.Tensor] = []

    def add(self, sums_HK: torch.Tensor) -> None:
        """One more layer: summed over the queries, for each key."""
        by_name_HS = torch.zeros(len(sums_HK), self.num_names, dtype=torch.float64, device=sums_HK.device)
        self.mass_LHS.append(by_name_HS.index_add_(1, self.name_K, sums_HK) / (len(self.name_K) - self.first))


def attention_masses(engine: LocalEngine, rows: Sequence[Row], spans: Sequence[PromptSpans]) -> list[Attended]:
    """Where each row's completion looked, teacher-forced, one row at a time.

    Args:
        engine: whose model; it computes as before when this returns.
        rows: prompt and completion, at least a token each.
        spans: of each row's prompt.

    Raises:
        ValueError: rows and spans do not fit, or the architecture does its attention where nobody can look.
    """
    _check_rows(engine, rows, spans)
    model = engine.model
    if not model.is_backend_compatible():
        raise ValueError(f"the attention of '{engine.name}' ({type(model).__name__}) cannot be watched from outside its layers")
    AttentionInterface.register(NAME, attend_watched)
    AttentionMaskInterface.register(NAME, eager_mask)
    before = model.config._attn_implementation
    engine.network.refresh()
    model.set_attn_implementation(NAME)
    try:
        return [_attended(engine, row, one) for row, one in zip(rows, spans, strict=True)]
    finally:
        model.set_attn_implementation(before)


def attend_watched(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The function that transformers calls: eager attention of one row, a block of queries after the other, that tells `watch`."""
    watch: Watch = kwargs["watch"]
    unknown = [name for name in ("s_aux", "position_bias") if kwargs.get(name) is not None]
    if unknown or attention_mask is None:
        raise ValueError(f"attention with {', '.join(unknown) or 'no mask'} cannot be watched")
    softcap = kwargs.get("softcap")
    repeats = query.shape[1] // key.shape[1]
    keys, values = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    sums_HK = torch.zeros(query.shape[1], key.shape[2], dtype=torch.float64, device=query.device)
    parts = []
    for first in range(0, query.shape[2], QUERIES):
        block = slice(first, first + QUERIES)
        scores = query[:, :, block] @ keys.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        weights = torch.softmax(scores + attention_mask[:, :, block, : key.shape[2]], -1, dtype=torch.float32)
        parts.append(weights.to(query.dtype) @ values)
        sums_HK += weights[0, :, max(watch.first - first, 0) :].sum(1, dtype=torch.float64)
    watch.add(sums_HK)
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


@torch.inference_mode()
def _attended(engine: LocalEngine, row: Row, spans: PromptSpans) -> Attended:
    """One forward over prompt and completion but its last token, from which nothing is drawn."""
    network, response = engine.network, len(spans.names) - 1
    tokens = np.concatenate([row.prompt_ids, row.completion_ids[:-1]]).astype(np.int64)
    name_K = np.concatenate([spans.name_S, np.full(len(row.completion_ids) - 1, response)]).astype(np.int64)
    watch = Watch(len(row.prompt_ids) - 1, torch.from_numpy(name_K).to(network.device), len(spans.names))
    with network.packed:
        network.decoder(input_ids=torch.from_numpy(tokens)[None].to(network.device), use_cache=False, watch=watch)
    if not watch.mass_LHS:
        raise ValueError(f"'{engine.name}' ({type(engine.model).__name__}) has no layer with attention to look at")
    return Attended(
        names=spans.names,
        mass_LHS=torch.stack(watch.mass_LHS).cpu().numpy(),
        num_tokens_S=np.bincount(name_K, minlength=len(spans.names)),
        prompt_length=len(row.prompt_ids),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedPass:
    """How often responses pass when nothing is hidden, and when a stretch of the prompt is.

    Example: MaskedPass(open_P=np.array([0.5, 1.0]), masked_P={"constraint": np.array([0.0, 0.25])}, num_unscored={"": 0, "constraint": 1})
    """

    open_P: Floats
    """[P] share of passes with the whole prompt in sight; NaN where no response was scored."""
    masked_P: Mapping[str, Floats]
    """What was hidden -> [P] the same without it; NaN also where the prompt has nothing of the kind."""
    num_unscored: Mapping[str, int]
    """Responses without a reward, by what was hidden; the empty name is for nothing."""


def masked_pass(
    engine: LocalEngine,
    prompts: Sequence[Prompt],
    hidden: Mapping[str, Sequence[Sequence[CharSpan]]],
    reward: RewardFunction,
    *,
    num_rollouts: int,
    sampling: Sampling,
    seed: int,
) -> MaskedPass:
    """The causal check: the same draws with and without attention to a stretch of the prompt.

    Args:
        engine: who answers.
        prompts: distinct ids.
        hidden: name -> of each prompt, the characters of its last message that nothing outside them can look at; none leaves it out.
        reward: (prompt, text) -> reward; its value is what is averaged. Give one that looks at the hidden constraint alone.
        num_rollouts: responses a prompt and condition.
        sampling: temperature 0 with one rollout is the cleanest.
        seed: the same for all conditions, so that they are paired draw by draw.
    """
    open_P, unscored = _rates(prompts, engine.sample(prompts, num_rollouts, sampling, seed), reward)
    masked: dict[str, Floats] = {}
    num_unscored = {"": unscored}
    for name, ranges in hidden.items():
        if len(ranges) != len(prompts):
            raise ValueError(f"'{name}' says what to hide in {len(ranges)} prompts, and there are {len(prompts)}")
        chosen = [(prompt, spans) for prompt, spans in zip(prompts, ranges, strict=True) if spans]
        marks = [hidden_tokens(engine, prompt, spans) for prompt, spans in chosen]
        groups = engine.sample_blind([prompt for prompt, _ in chosen], marks, num_rollouts, sampling, seed)
        masked[name], num_unscored[name] = _rates(prompts, groups, reward)
    return MaskedPass(open_P=open_P, masked_P=masked, num_unscored=num_unscored)


def _rates(prompts: Sequence[Prompt], groups: Iterable[Sequence[Rollout]], reward: RewardFunction) -> tuple[Floats, int]:
    """([P] mean reward of the scored responses, NaN without any; how many were not scored)."""
    by_id = {prompt.id: number for number, prompt in enumerate(prompts)}
    rates_P, num_unscored = np.full(len(prompts), np.nan), 0
    for group in groups:
        number = by_id[group[0].prompt_id]
        values = [reward(prompts[number], rollout.text).value for rollout in group]
        scored = [value for value in values if value is not None]
        num_unscored += len(values) - len(scored)
        if scored:
            rates_P[number] = np.mean(scored)
    return rates_P, num_unscored


def _check_rows(engine: LocalEngine, rows: Sequence[Row], spans: Sequence[PromptSpans]) -> None:
    """A stretch for every token of a prompt, a response to look from, and room for both."""
    if len(rows) != len(spans):
        raise ValueError(f"{len(rows)} rows came with the spans of {len(spans)}")
    for number, (row, one) in enumerate(zip(rows, spans, strict=True)):
        length = len(row.prompt_ids) + len(row.completion_ids)
        if not len(row.completion_ids) or not len(row.prompt_ids):
            raise ValueError(f"row {number} needs a prompt and a response of at least one token each")
        if len(row.prompt_ids) != len(one.name_S):
            raise ValueError(f"the prompt of row {number} has {len(row.prompt_ids)} tokens and its spans say {len(one.name_S)}")
        if engine.context is not None and length > engine.context:
            raise ValueError(f"row {number} has {length} tokens and the model's context is {engine.context}; shorten it")
