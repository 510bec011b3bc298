"""Matrix products with weights laid out once for the processor, and the output head in slices of the vocabulary.

On a CPU in float32 `torch.nn.functional.linear` calls MKL. oneDNN, which ships inside torch, multiplies with a weight packed
beforehand 2.3 times as fast on an AMD processor with AVX-512 (bench/README.md). Same float32 arithmetic, another order of summation.
The model is not touched: a `TorchFunctionMode` sees each `linear` on a known weight and runs the packed product instead.
Left out: packing for GPUs and for bfloat16 (their libraries do it), and layers that are not `linear` (they run as they are).
LIMIT: a weight written through `.data` does not announce the change; call `PackedLinears.of` anew after such a write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

CHUNK_ELEMENTS = 3 << 19
"""Logits made at a time: 6 MiB of float32, which stay in the cache until they are used and in memory that malloc keeps."""


class PackedLinears(TorchFunctionMode):
    """Inside `with`, products with the packed weights run on oneDNN; everything else is as before."""

    def __init__(self, packed: dict[int, torch.Tensor]) -> None:
        """`packed`: id of a weight -> its packed copy; empty switches the mode off."""
        super().__init__()
        self.packed = packed

    @staticmethod
    def of(weights: Sequence[torch.Tensor]) -> PackedLinears:
        """Packs the weights [out, in] that can be (CPU, float32, oneDNN present)."""
        return PackedLinears({id(weight): pack(weight) for weight in weights if can_pack(weight)})

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replaces `linear` where the weight is known; everything else passes through."""
        if func is torch.nn.functional.linear and len(args) > 1:
            packed = self.packed.get(id(args[1]))
            if packed is not None:
                bias = args[2] if len(args) > 2 else (kwargs or {}).get("bias")
                return torch.ops.mkldnn._linear_pointwise(args[0], packed, bias, "none", [], None)
        return func(*args, **(kwargs or {}))


def can_pack(weight: torch.Tensor) -> bool:
    """Whether oneDNN can hold this weight for us."""
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def pack(weight: torch.Tensor) -> torch.Tensor:
    """The weight [out, in] in oneDNN's own layout; as large as the original."""
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
    return packed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """The product of hidden states with the vocabulary, one slice of words after the other: [B, V] exists only where the caller keeps it.

    Example: Head.of(model.get_output_embeddings(), packed=True)
    """

    slices: tuple[tuple[int, torch.Tensor, torch.Tensor | None], ...]
    """(first word, weight [words, hidden] or its packed copy, bias [words] or None) in order."""
    packed: bool
    """Whether the weights of `slices` are packed."""
    num_words: int
    """V."""

    @staticmethod
    def of(layer: torch.nn.Linear, packed: bool, words: int = 6144) -> Head:
        """Cuts the output layer into slices of `words`."""
        packed = packed and can_pack(layer.weight)
        slices = []
        for first in range(0, layer.weight.shape[0], words):
            weight = layer.weight.detach()[first : first + words]
            bias = None if layer.bias is None else layer.bias.detach()[first : first + words]
            slices.append((first, pack(weight.contiguous()) if packed else weight, bias))
        return Head(slices=tuple(slices), packed=packed, num_words=layer.weight.shape[0])

    def each(self, hidden_BH: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """(first word, logits [B, words] float32) for each slice."""
        for first, weight, bias in self.slices:
            if self.packed:
                yield first, torch.ops.mkldnn._linear_pointwise(hidden_BH, weight, bias, "none", [], None)
            else:
                yield first, torch.nn.functional.linear(hidden_BH, weight, bias).float()

    def write(self, hidden_BH: torch.Tensor, logits_BV: torch.Tensor) -> None:
        """Fills logits_BV [B, V] float32."""
        for first, logits in self.each(hidden_BH):
            logits_BV[:, first : first + logits.shape[1]] = logits
