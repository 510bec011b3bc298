"""A transformers model made ready for sampling and scoring: its decoder, its head, packed weights, and which decode path it can take.

Nothing here trusts a list of architectures: a model decodes the shared-prefix way when all its layers keep plain full attention, its
attention goes through transformers' `AttentionInterface`, its logits are its head times its last hidden state, and a trial on a few
tokens gives the same logits as the model's own forward. Anything else decodes with transformers' own cache: slower, and correct by
construction.
Left out: quantised weights and several devices; such a model takes the plain path with whatever its own forward does.
LIMIT: a logit scale or cap after the head (Granite, Gemma 2) also means the plain path.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import CacheLayerMixin

from jominy.engines import attention
from jominy.engines.lanes import Lanes, PlainLanes, SharedLanes
from jominy.engines.memory import available_bytes
from jominy.engines.packed import Head, PackedLinears, can_pack

PACK_SHARE = 0.25
"""Packed copies of the weights may take this share of the free memory; else the products run unpacked."""


class Network:
    """A model with what the fast paths need; `refresh` before use, since somebody may have trained it in between."""

    def __init__(self, model: Any) -> None:
        """Tries the fast paths once (five tokens); the model's attention implementation is set to one that falls through to `sdpa`."""
        self.model = model.eval()
        self.device: torch.device = model.device
        self.decoder = model.get_decoder()
        self.takes_logits_to_keep = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.packed = PackedLinears({})
        self.head: Head | None = None
        self.head_is_plain = False
        self.fingerprint: tuple[tuple[int, int], ...] = ()
        self.num_words = 0
        self.shared = False
        self.bytes_per_position = 0
        self._try()

    def refresh(self) -> None:
        """Packs the weights again if any parameter was replaced or written to since the last time."""
        fingerprint = tuple((parameter.data_ptr(), parameter._version) for parameter in self.model.parameters())
        if fingerprint == self.fingerprint:
            return
        output = self.model.get_output_embeddings()
        linears = [layer.weight for layer in self.decoder.modules() if type(layer) is torch.nn.Linear]
        size = sum(weight.nbytes for weight in linears if can_pack(weight))
        packing = size <= PACK_SHARE * available_bytes(self.device)
        with torch.inference_mode():
            self.packed = PackedLinears.of(linears if packing else ())
            self.head = Head.of(output, packing) if type(output) is torch.nn.Linear else None
        self.fingerprint = fingerprint

    def release(self) -> None:
        """Lets the packed copies of the weights go; the next `refresh` makes them anew. A training step changes the weights anyway."""
        self.packed, self.head, self.fingerprint = PackedLinears({}), None, ()

    def lanes(self, capacity: int, max_tokens: int) -> Lanes:
        """Room for `capacity` rows of up to `max_tokens` drawn tokens."""
        if self.shared:
            return SharedLanes(self, capacity, max_tokens)
        return PlainLanes(self)

    def _try(self) -> None:
        """Measures the cache and finds out whether head and shared prefix are exact for this model."""
        self.refresh()
        with torch.inference_mode():
            cache = DynamicCache(config=self.model.config)
            tokens_15 = torch.tensor([[1, 3, 2, 5, 4]], device=self.device) % self.model.config.get_text_config().vocab_size
            logits_5V = self.model(tokens_15, past_key_values=cache, use_cache=True).logits[0].float()
            self.num_words = logits_5V.shape[1]
            plain_cache = not any(s or n or d for s, n, d in zip(cache.is_sliding, cache.is_linear, cache.is_dummy, strict=True))
            if self.head is not None and self.head.num_words == self.num_words:
                written_5V = torch.empty_like(logits_5V)
                self.head.write(self.decoder(tokens_15, use_cache=False).last_hidden_state[0], written_5V)
                self.head_is_plain = self.close(written_5V, logits_5V)
            keeping = [layer for layer in cache.layers if isinstance(layer, CacheLayerMixin) and layer.keys is not None]
            self.bytes_per_position = sum(layer.keys[0, :, 0].nbytes + layer.values[0, :, 0].nbytes for layer in keeping)
            self.shared = plain_cache and self.head_is_plain and self._shared_prefix_agrees(tokens_15[0].tolist(), logits_5V)

    def _shared_prefix_agrees(self, tokens_5: list[int], logits_5V: torch.Tensor) -> bool:
        """Decodes two rows each of two prompts of different lengths and compares with the plain forward."""
        if not self.model.is_backend_compatible():
            return False
        attention.register()
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation(attention.NAME)
        try:
            lanes = SharedLanes(self, 4, 3)
            first_2V = lanes.admit([tokens_5[:2], tokens_5[:3]], [2, 2]).clone()
            second_4V = lanes.step(torch.tensor([tokens_5[2], tokens_5[2], tokens_5[3], tokens_5[3]], device=self.device)).clone()
            third_4V = lanes.step(torch.tensor([tokens_5[3], tokens_5[3], tokens_5[4], tokens_5[4]], device=self.device))
        except (attention.UnsupportedAttention, AttributeError, TypeError, RuntimeError):
            # a layer did arithmetic on what the cache returned in place of keys and values
            agrees = False
        else:
            rows = torch.cat([first_2V, second_4V, third_4V])
            agrees = self.close(rows, logits_5V[[1, 2, 2, 2, 3, 3, 3, 3, 4, 4]])
        if not agrees:
            self.model.set_attn_implementation(before)
        return agrees

    def close(self, ours: torch.Tensor, theirs: torch.Tensor) -> bool:
        """Equal up to the rounding of the weights' precision."""
        tolerance = 1e-4 if self.model.dtype == torch.float32 else 5e-2
        return bool((ours - theirs).abs().max() <= tolerance * (1.0 + theirs.abs().max()))
