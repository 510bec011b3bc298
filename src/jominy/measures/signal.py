"""Signal and noise of the gradients of the two stages, from inner products over M micro-batches that backward passes stream.

    C = M / (M - 1) * (mean_m <g_p^m, g_q^m> - <mean_m g_p^m, mean_m g_q^m>)      [p, q] trace of the covariance of one micro-batch's parts
    noise_p  = C[p, p]             signal_p = ||mean g_p||^2 - C[p, p] / M        unbiased ||E g_p||^2, so it can come out below 0
    snr_p    = signal_p / noise_p      cosine = <g_s, g_d> / (||g_s|| ||g_d||)    of the means
    share_p  = <g_p, g> / ||g||^2,     g = sum of the parts                       of the means; the shares add up to 1

Scores of tokens are martingale differences, so a stage's gradient grows with the root of its tokens from noise alone: raw norms of one
batch compare lengths. Cosine and share are of the means as they are, noise included; `signal_share_decision` is the share with C / M taken
off both sides, which is right on average and wild where there is little signal. Left out on purpose: the gradients themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jominy.measures.attempts import DECISION, NONE, SAMPLING
from jominy.records import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalAndNoise:
    """What the gradients of the two stages are made of.

    Example: signal_and_noise(within_33, of_means_33, num_batches=8).share_decision
    """

    signal_sampling: float
    """Unbiased ||E g_s||^2; below 0 means that none was seen."""
    signal_decision: float
    """Unbiased ||E g_d||^2."""
    noise_sampling: float
    """tr(cov) of a micro-batch's g_s."""
    noise_decision: float
    """tr(cov) of a micro-batch's g_d."""
    snr_sampling: float | None
    """signal / noise a micro-batch; None without noise."""
    snr_decision: float | None
    """The same of the decision."""
    cosine: float | None
    """Between the two mean gradients; None where one is 0."""
    share_sampling: float | None
    """<g_s, g> / ||g||^2; None where the mean gradient is 0."""
    share_decision: float | None
    """<g_d, g> / ||g||^2."""
    share_none: float | None
    """What tokens in no stage have; the three add up to 1."""
    signal_share_decision: float | None
    """The decision's share of the gradient without its noise; None where no signal is left."""
    num_batches: int
    """M."""


def signal_and_noise(within_33: Floats, of_means_33: Floats, *, num_batches: int) -> SignalAndNoise:
    """Signal, noise, cosine and shares. Rows and columns are stages as `attempts` numbers them: none, sampling, decision.

    Args:
        within_33: [3, 3] mean over the micro-batches of the inner products of their parts.
        of_means_33: [3, 3] inner products of the parts' means over the micro-batches.
        num_batches: M, at least 2.

    Raises:
        ValueError: one micro-batch has no spread to tell signal from noise.

    >>> found = signal_and_noise(np.diag([0.0, 4.0, 2.0]), np.diag([0.0, 4.0, 1.0]), num_batches=2)
    >>> found.share_decision, found.noise_decision, found.signal_decision      # 1 / 5;  2 (2 - 1);  1 - 2 / 2
    (0.2, 2.0, 0.0)
    """
    if within_33.shape != (3, 3) or of_means_33.shape != (3, 3):
        raise ValueError(f"both tables of inner products must be [3, 3], got {within_33.shape} and {of_means_33.shape}")
    if num_batches < 2:
        raise ValueError(f"signal and noise need at least two micro-batches, got {num_batches}; split the batch")
    covariance_33 = num_batches / (num_batches - 1) * (within_33 - of_means_33)
    signal_33 = of_means_33 - covariance_33 / num_batches
    # The trace of a covariance is not below 0 but for rounding.
    noises = [max(float(covariance_33[part, part]), 0.0) for part in (SAMPLING, DECISION)]
    signals = [float(signal_33[part, part]) for part in (SAMPLING, DECISION)]
    lengths = math.sqrt(float(of_means_33[SAMPLING, SAMPLING] * of_means_33[DECISION, DECISION]))
    return SignalAndNoise(
        signal_sampling=signals[0],
        signal_decision=signals[1],
        noise_sampling=noises[0],
        noise_decision=noises[1],
        snr_sampling=signals[0] / noises[0] if noises[0] > 0 else None,
        snr_decision=signals[1] / noises[1] if noises[1] > 0 else None,
        cosine=max(min(float(of_means_33[SAMPLING, DECISION]) / lengths, 1.0), -1.0) if lengths > 0 else None,
        share_sampling=_share(of_means_33, SAMPLING),
        share_decision=_share(of_means_33, DECISION),
        share_none=_share(of_means_33, NONE),
        signal_share_decision=_share(signal_33, DECISION),
        num_batches=num_batches,
    )


def _share(inner_33: Floats, part: int) -> float | None:
    """<part, whole> / <whole, whole>."""
    whole = float(np.sum(inner_33))
    return float(inner_33[part].sum()) / whole if whole > 0 else None
