"""Matrix products of the training step on oneDNN: forward, input gradient and weight gradient, without packed copies.

    y = x W^T + b,      dx = dy W,      dW = dy^T x,      db = sum dy;          e = E[ids],      dE[ids] += de

On a CPU in float32 autograd's own `linear` calls MKL three times. oneDNN, which ships inside torch, takes the transposed operands as
strided views and does all three about twice as fast on an AMD processor with AVX-512 (bench/README.md). Same float32 arithmetic, another
order of summation. Embeddings add to the rows of `.grad` that were fed: autograd makes a gradient of the whole vocabulary for every
micro-batch, a tenth of an update. The model is not touched: a `TorchFunctionMode` sees each `linear` with a two-dimensional weight.
Left out: GPUs and bfloat16 (their libraries do it), and packing: weights change at every step, so a packed copy would serve once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from jominy.engines.packed import can_pack


def product(x_NI: torch.Tensor, weight_OI: torch.Tensor, bias_O: torch.Tensor | None = None) -> torch.Tensor:
    """x W^T + b on oneDNN; operands may be strided views."""
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x_NI, weight_OI, bias_O, "none", [], None)
    return y


class _Linear(torch.autograd.Function):
    """`linear` with the three products above."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        # a frozen weight, as under LoRA, needs no input kept for its gradient
        ctx.save_for_backward(x if weight.requires_grad else None, weight)
        ctx.has_bias = bias is not None
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dx, dW and db, those that are asked for."""
        x, weight = ctx.saved_tensors
        dy_NO = dy.reshape(-1, dy.shape[-1])
        dx = product(dy_NO, weight.t()).view(*dy.shape[:-1], weight.shape[1]) if ctx.needs_input_grad[0] else None
        dweight = product(dy_NO.t(), x.reshape(-1, x.shape[-1]).t()) if ctx.needs_input_grad[1] else None
        dbias = dy_NO.sum(0) if ctx.has_bias and ctx.needs_input_grad[2] else None
        return dx, dweight, dbias


class _Embedding(torch.autograd.Function):
    """`embedding` of a leaf, whose `.grad` it adds to by itself; the padding word's row gets none, as in torch."""

    @staticmethod
    def forward(ctx: Any, ids: torch.Tensor, weight: torch.Tensor, padding: int | None) -> torch.Tensor:
        ctx.save_for_backward(ids, weight)
        ctx.padding = padding
        return weight[ids]

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[None, None, None]:
        """dE, straight into `.grad`."""
        ids, weight = ctx.saved_tensors
        ids_N, dy_NH = ids.flatten(), dy.reshape(-1, dy.shape[-1])
        if ctx.padding is not None:
            ids_N, dy_NH = ids_N[ids_N != ctx.padding], dy_NH[ids_N != ctx.padding]
        grad_of(weight).index_add_(0, ids_N, dy_NH)
        return None, None, None


def grad_of(parameter: torch.Tensor) -> torch.Tensor:
    """`parameter.grad`, made when absent."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


class TrainingLinears(TorchFunctionMode):
    """Inside `with`, every `linear` that oneDNN can do runs there, forward and backward, and plain embeddings; all else is as before."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replaces `linear` and `embedding`; everything else passes through."""
        if func is torch.nn.functional.linear and not kwargs and len(args) > 1:
            x, weight, bias = args[0], args[1], args[2] if len(args) > 2 else None
            if weight.dim() == 2 and x.dtype == torch.float32 and can_pack(weight):
                return _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        if func is torch.nn.functional.embedding and kwargs and len(args) == 2:
            ids, weight = args
            plain = kwargs["max_norm"] is None and not kwargs["scale_grad_by_freq"] and not kwargs["sparse"]
            if plain and weight.requires_grad and weight.is_leaf and can_pack(weight):
                return _Embedding.apply(ids, weight, kwargs["padding_idx"])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))
