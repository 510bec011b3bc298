"""Matrix products of the training step on oneDNN: forward, input gradient and weight gradient, without packed copies.

    y = x W^T + b,      dx = dy W,      dW = dy^T x,      db = sum dy

On a CPU in float32 autograd's own `linear` calls MKL three times. oneDNN, which ships inside torch, takes the transposed operands as
strided views and does all three about twice as fast on an AMD processor with AVX-512 (bench/README.md). Same float32 arithmetic, another
order of summation. The model is not touched: a `TorchFunctionMode` sees each `linear` with a two-dimensional weight.
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
        x, weight = ctx.saved_tensors
        dy_NO = dy.reshape(-1, dy.shape[-1])
        dx = product(dy_NO, weight.t()).view(*dy.shape[:-1], weight.shape[1]) if ctx.needs_input_grad[0] else None
        dweight = product(dy_NO.t(), x.reshape(-1, x.shape[-1]).t()) if ctx.needs_input_grad[1] else None
        dbias = dy_NO.sum(0) if ctx.has_bias and ctx.needs_input_grad[2] else None
        return dx, dweight, dbias


class TrainingLinears(TorchFunctionMode):
    """Inside `with`, every `linear` that oneDNN can do runs there, forward and backward; everything else is as before."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replaces `linear`; everything else passes through."""
        if func is torch.nn.functional.linear and not kwargs and len(args) > 1:
            x, weight, bias = args[0], args[1], args[2] if len(args) > 2 else None
            if weight.dim() == 2 and x.dtype == torch.float32 and can_pack(weight):
                return _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))
