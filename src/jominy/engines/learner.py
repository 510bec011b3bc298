"""A training step: rows and a recipe's `weigh` in, a step of AdamW up the weighted log-likelihood out.

Rows whose scale times advantage is zero are the caller's to leave out: a step without rows runs no forward pass and changes no bit.
Weights that are not float32 (a GPU's bfloat16) get a float32 master copy, since steps of 1e-6 vanish in 8 bits of mantissa.
Left out: learning-rate schedules (the loop's), several devices, loss scaling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from jominy.engines import Explosion, Seen, StepReport, TokenFunction
from jominy.engines.memory import keep_freed_memory
from jominy.engines.passes import Passes
from jominy.records import TrainRow

BETAS = (0.9, 0.99)


NOTHING = StepReport(grad_norm=0.0, seen=Seen(logprobs=(), weights=(), clipped=None, num_tokens=0))


class Learner:
    """A network with an optimiser."""

    def __init__(self, passes: Passes, *, weight_decay: float = 0.0, max_grad_norm: float = 1.0) -> None:
        """Every parameter that requires a gradient is trained.

        Args:
            passes: the network and how rows go through it.
            weight_decay: AdamW's, a step times the learning rate.
            max_grad_norm: the gradient is scaled down to this norm.
        """
        keep_freed_memory()
        self.passes, self.max_grad_norm = passes, max_grad_norm
        self.parameters = [parameter for parameter in passes.network.model.parameters() if parameter.requires_grad]
        self.masters = [p if p.dtype == torch.float32 else p.detach().float() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(self.masters, lr=0.0, betas=BETAS, weight_decay=weight_decay, fused=True)

    def step(
        self,
        rows: Sequence[TrainRow],
        weigh: TokenFunction,
        learning_rate: float,
        *,
        clipped: TokenFunction | None = None,
        norm_limit: float = math.inf,
    ) -> StepReport:
        """One optimiser step.

        Args:
            rows: those that train; neighbours with the same prompt share its computation.
            weigh: the recipe's.
            learning_rate: of this step.
            clipped: the recipe's, for the report.
            norm_limit: a gradient norm above this is an explosion.

        Raises:
            Explosion: the gradient is not finite, or its norm is above the limit; no weight has changed.
        """
        if not rows:
            return NOTHING
        report = self.gradient(rows, weigh, clipped=clipped)
        self._check(report, norm_limit)
        torch.nn.utils.clip_grads_with_norm_(self.masters, self.max_grad_norm, torch.tensor(report.grad_norm))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        # the fused step writes without announcing it, and who keeps packed copies of the weights has to hear of it
        torch.autograd.graph.increment_version(self.masters)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for master, parameter in zip(self.masters, self.parameters, strict=True):
                if master is not parameter:
                    parameter.copy_(master)
        return report

    def gradient(self, rows: Sequence[TrainRow], weigh: TokenFunction, *, clipped: TokenFunction | None = None) -> StepReport:
        """Fills every master's `.grad` with that of -sum scale * w * logp; the weights stay."""
        self.passes.network.release()
        self.forget()
        seen = self.passes.backward(rows, weigh, clipped, self._to_masters)
        norm = torch.nn.utils.get_total_norm([master.grad for master in self.masters if master.grad is not None])
        return StepReport(grad_norm=float(norm), seen=seen)

    def _to_masters(self) -> None:
        """Adds up in float32 what a micro-batch left in fewer bits: sums of many small terms would stand still there."""
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if master is not parameter and parameter.grad is not None:
                gradient = parameter.grad.float()
                master.grad, parameter.grad = gradient if master.grad is None else master.grad.add_(gradient), None

    def forget(self) -> None:
        """Lets all gradients go; who called `gradient` does so when it has read them."""
        for each in (*self.masters, *self.parameters):
            each.grad = None

    def state(self) -> dict[str, Any]:
        """What the next steps depend on beside the model's weights: the optimiser's moments, and float32 masters where there are any."""
        masters = [m for m, p in zip(self.masters, self.parameters, strict=True) if m is not p]
        return {"optimizer": self.optimizer.state_dict(), "masters": masters}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes `state` back."""
        self.optimizer.load_state_dict(state["optimizer"])
        apart = [m for m, p in zip(self.masters, self.parameters, strict=True) if m is not p]
        if len(apart) != len(state["masters"]):
            raise ValueError("the checkpoint was written in another precision; go on with the --device that the run began on")
        with torch.no_grad():
            for master, saved in zip(apart, state["masters"], strict=True):
                master.copy_(saved)

    def _check(self, report: StepReport, norm_limit: float) -> None:
        """Raises `Explosion` and lets the gradient go."""
        if math.isfinite(report.grad_norm) and report.grad_norm <= norm_limit:
            return
        self.forget()
        if math.isfinite(report.grad_norm):
            raise Explosion(f"the gradient's norm is {report.grad_norm:.4g}, above the limit of {norm_limit:.4g}")
        wrong = [number for number, logp in enumerate(report.seen.logprobs) if not np.isfinite(logp).all()]
        raise Explosion(f"the gradient is not finite (rows with log-probabilities that are not finite: {wrong or 'none'})")
