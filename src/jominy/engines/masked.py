"""The gradient of a step in parts: what sampling tokens, decision tokens and all others contribute, with signal and noise kept apart.

    g = g_none + g_sampling + g_decision,       g_part = -sum_{t in part} scale_t * w_t * dlogp_t / dtheta

One backward pass a part and micro-batch, the divisors and the recipe's weights being those of the whole, so that the parts add up to the
gradient exactly. Scores are martingale differences: the length of g_part grows with the square root of its tokens from noise alone, so
over M micro-batches two 3 x 3 tables are kept, from which signal and noise can be told apart (`measures.signal`):

    within[p, q]   = mean_m n / n_m <g_p^m, g_q^m>            of_means[p, q] = <mean_m g_p^m, mean_m g_q^m>

n_m says how many draws (prompts) micro-batch m is the sum of, n is their mean; n / n_m is 1 where all are of one size. With it the spread
that `measures.signal` works out is that of a micro-batch of n draws, however unequal they are.

The second attribution level of 2601.01580 as we read it; the paper's own procedure is not available to us.
Left out: what the numbers mean, several devices, and gradients of anything that is not a weighted log-likelihood.
LIMIT: without a projection up to seven float32 copies of the trained parameters exist at a time, five where every token has a stage;
a projection keeps one int32 for each parameter. A GPU draws other buckets and signs than the CPU from one seed, so sketches of the two
must not be compared with each other; their inner products may be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from jominy.engines import Explosion, TokenFunction
from jominy.engines.learner import Learner
from jominy.records import Floats, Ints, TrainRow

NUM_PARTS = 3
"""0: in no stage; 1: sampling; 2: decision. The numbers of the stages in `measures.attempts`."""
CHUNK = 1 << 22
"""Parameters taken at a time."""
LARGEST_SIZE = 1 << 30
"""Of a projection: a bucket and a sign fit in an int32."""

Read = Callable[[Sequence[torch.Tensor]], torch.Tensor]
"""Gradients of all parameters -> one vector."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GradientSums:
    """What M micro-batches say about the parts of the gradient; rows and columns are stages (0 none, 1 sampling, 2 decision).

    Example: GradientSums(num_batches=16, within_33=np.eye(3), of_means_33=np.eye(3) / 16, num_numbers=4096, num_parameters=134_515_008)
    """

    num_batches: int
    """M."""
    within_33: Floats
    """[3, 3] mean over the micro-batches of the inner products of their parts, unequal ones to scale (the top of this file)."""
    of_means_33: Floats
    """[3, 3] inner products of the parts' means over the micro-batches."""
    num_numbers: int
    """Length of the vectors that were compared: all trained parameters, or what they were projected to."""
    num_parameters: int
    """Trained parameters."""


class CountSketch:
    """A seeded linear map of long vectors to short ones that keeps inner products in expectation (Charikar, Chen, Farach-Colton 2002).

    (S x)_b = sum_{j: h(j) = b} sign_j x_j,     E <S x, S y> = <x, y>,     Var <= (|x|^2 |y|^2 + <x, y>^2) / size
    """

    def __init__(self, size: int, seed: int) -> None:
        """`size`: numbers to keep, 1 to 2^30; `seed` decides buckets and signs, which are drawn once for tensors of the same sizes."""
        if not 1 <= size <= LARGEST_SIZE:
            raise ValueError(f"a projection must keep at least one number and at most {LARGEST_SIZE}, got {size}")
        self.size, self.seed = size, seed
        self.drawn: list[torch.Tensor] = []

    def of(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """[size] float64 sketch of the tensors, laid end to end; tensors of the same sizes get the same buckets and signs."""
        if [(len(drawn), drawn.device) for drawn in self.drawn] != [(part.numel(), part.device) for part in parts]:
            self.drawn = self._draw(parts)
        sums = torch.zeros(self.size, dtype=torch.float64, device=parts[0].device)
        for part, drawn in zip(parts, self.drawn, strict=True):
            for piece, numbers in zip(torch.split(part.flatten(), CHUNK), torch.split(drawn, CHUNK), strict=True):
                sums.index_add_(0, numbers >> 1, torch.where((numbers & 1).bool(), piece, -piece).double())
        return sums

    def _draw(self, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """[numbers] int32 of each tensor: twice the bucket, and one more for a plus."""
        device = parts[0].device
        generator = torch.Generator(device).manual_seed(self.seed)
        return [torch.randint(2 * self.size, (part.numel(),), generator=generator, device=device, dtype=torch.int32) for part in parts]


def end_to_end(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """[number of parameters] float32, the tensors in a row."""
    return torch.cat([part.flatten().float() for part in parts])


def masked_gradients(
    learner: Learner,
    batches: Iterable[Sequence[TrainRow]],
    stages: Iterable[Sequence[Ints]],
    weigh: TokenFunction,
    *,
    sizes: Sequence[int] | None = None,
    projection: int | None = None,
    seed: int = 0,
) -> GradientSums:
    """Sums over micro-batches of the parts of the gradient; no weight changes and no gradient stays behind, whatever happens.

    Args:
        learner: whose trained parameters are looked at; LoRA's where it has adapters.
        batches: M micro-batches, each a draw of its own; their `scale` is used as it stands.
        stages: of each micro-batch, of each row, [T] 0, 1 or 2.
        weigh: the recipe's; give that of the reward's part or of the KL's alone to look at either.
        sizes: [M] how many draws each micro-batch is the sum of, at least 1; None where all are of one size.
        projection: None compares whole gradients; else their CountSketch of so many numbers.
        seed: of the sketch.

    Raises:
        ValueError: there is no micro-batch, the stages do not fit the rows, or the sizes do not fit the micro-batches.
        Explosion: a gradient is not finite.
    """
    read: Read = end_to_end if projection is None else CountSketch(projection, seed).of
    totals: dict[int, torch.Tensor] = {}
    products: list[Floats] = []
    for rows, stages_of_rows in zip(batches, stages, strict=True):
        parts = gradient_parts(learner, rows, stages_of_rows, weigh, read)
        products.append(_inner_products(parts))
        for part, vector in parts.items():
            totals[part] = totals[part].add_(vector) if part in totals else vector
    num_batches = len(products)
    if not num_batches:
        raise ValueError("masked gradients need at least one micro-batch")
    if sizes is not None and (len(sizes) != num_batches or min(sizes) < 1):
        raise ValueError(f"each of the {num_batches} micro-batches needs a size of at least 1, got {list(sizes)}")
    to_scale_M = np.ones(num_batches) if sizes is None else np.mean(sizes) / np.array(sizes)
    num_parameters = sum(master.numel() for master in learner.masters)
    return GradientSums(
        num_batches=num_batches,
        within_33=np.mean(to_scale_M[:, None, None] * np.array(products), axis=0),
        of_means_33=_inner_products(totals) / num_batches**2,
        num_numbers=num_parameters if projection is None else projection,
        num_parameters=num_parameters,
    )


def gradient_parts(
    learner: Learner, rows: Sequence[TrainRow], stages: Sequence[Ints], weigh: TokenFunction, read: Read = end_to_end
) -> dict[int, torch.Tensor]:
    """Stage -> the gradient of its tokens as one vector; a stage whose tokens have no weight is left out, its gradient being 0.

    Args:
        learner: whose parameters.
        rows: of one micro-batch.
        stages: [T] of each row.
        weigh: the recipe's; it sees whole rows, and only then are the weights outside the stage put to 0.
        read: what to make of the gradients.
    """
    _check(rows, stages)
    parts: dict[int, torch.Tensor] = {}
    for part in range(NUM_PARTS):
        scales = [np.where(stage_T == part, row.scale, 0.0) for row, stage_T in zip(rows, stages, strict=True)]
        kept = [replace(row, scale=scale) for row, scale in zip(rows, scales, strict=True) if scale.any()]
        if not kept:
            continue
        try:
            report = learner.gradient(kept, weigh)
            if not math.isfinite(report.grad_norm):
                raise Explosion("the gradient of a part is not finite; look at the log-probabilities of its rows")
            parts[part] = read([torch.zeros_like(master) if master.grad is None else master.grad for master in learner.masters])
        finally:
            learner.forget()
    return parts


def _check(rows: Sequence[TrainRow], stages: Sequence[Ints]) -> None:
    """A stage for every token."""
    if len(rows) != len(stages):
        raise ValueError(f"{len(rows)} rows came with the stages of {len(stages)}")
    for number, (row, stage_T) in enumerate(zip(rows, stages, strict=True)):
        if np.shape(stage_T) != np.shape(row.completion_ids):
            raise ValueError(f"row {number} has {len(row.completion_ids)} tokens and stages of shape {np.shape(stage_T)}")
        if not np.isin(stage_T, range(NUM_PARTS)).all():
            raise ValueError(f"the stages of row {number} must be 0 (none), 1 (sampling) or 2 (decision)")


def _inner_products(parts: Mapping[int, torch.Tensor]) -> Floats:
    """[3, 3] float64; 0 where a part is missing."""
    products_33 = np.zeros((NUM_PARTS, NUM_PARTS))
    for one, x in parts.items():
        for other, y in parts.items():
            if one <= other:
                pairs = zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True)
                products_33[one, other] = products_33[other, one] = sum(float(torch.dot(a.double(), b.double())) for a, b in pairs)
    return products_33
