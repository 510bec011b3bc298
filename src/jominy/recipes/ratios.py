"""Importance ratios and their clips: the weight that an advantage puts on a token's log-probability.

    none       w_t = A                                                          (REINFORCE; on policy the same as the others)
    token      w_t = r_t A  where the clip is not active, else 0,               r_t = exp(logp_t - old_t)           (1707.06347, eq. 7)
    sequence   w_t = s A    where the clip is not active, else 0,               s = exp(mean_t(logp_t - old_t))     (2507.18071)
    capped     w_t = min(r_t, 1 + high) A                                                                           (2506.13585, CISPO)
    active     A > 0 and r > 1 + high,  A < 0 and r < 1 - low,  A < 0 and r > dual                                  (dual: 1912.09729)

min(r A, clip(r) A) is flat in r exactly where the clip is active and has slope A elsewhere, and d r / d logp = r: hence r A or 0.
Decided here: a ratio outside exp(+-20) counts as exp(+-20), as in verl, so that no weight is infinite; the sequence ratio's mean is over
the tokens that train; `capped` takes a lower bound too, `max(r, 1 - low)`, where one is set.
Left out on purpose: the KL terms (`penalties`), which are added afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

from array_api_compat import array_namespace

from jominy.recipes.recipe import Array
from jominy.recipes.settings import Ratio

LARGEST_LOG_RATIO = 20.0
"""nats; exp(20) is 5e8, and float32 overflows at 88."""


def weights(logp_BT: Array, old_BT: Array, advantage_BT: Array, inside_BT: Array, how: Ratio) -> Array:
    """[B, T] w_t; what stands outside `inside_BT` is meaningless.

    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> weights(np.log(1.3) * one, 0 * one, 2 * one, one > 0, Ratio(kind="token", clip_low=0.2, clip_high=0.2))      # clipped
    array([[0.]])
    """
    xp = array_namespace(logp_BT)
    if how.kind == "none":
        return advantage_BT
    ratio_BT = RATIO[how.kind](logp_BT, old_BT, inside_BT)
    if how.kind == "capped":
        return _capped(ratio_BT, how) * advantage_BT
    return xp.where(_is_active(ratio_BT, advantage_BT, how), xp.zeros_like(advantage_BT), ratio_BT * advantage_BT)


def clipped(logp_BT: Array, old_BT: Array, advantage_BT: Array, inside_BT: Array, how: Ratio) -> Array:
    """[B, T] bools: tokens inside whose weight would be another without the clip."""
    ratio_BT = RATIO[how.kind](logp_BT, old_BT, inside_BT)
    if how.kind == "capped":
        return inside_BT & (advantage_BT != 0) & (_capped(ratio_BT, how) != ratio_BT)
    return inside_BT & _is_active(ratio_BT, advantage_BT, how)


def token_ratio(logp_BT: Array, old_BT: Array, inside_BT: Array) -> Array:
    """[B, T] exp(logp - old), 1 outside."""
    xp = array_namespace(logp_BT)
    log_ratio_BT = masked_difference(logp_BT, old_BT, inside_BT)
    return xp.exp(xp.clip(log_ratio_BT, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO))


def sequence_ratio(logp_BT: Array, old_BT: Array, inside_BT: Array) -> Array:
    """[B, T] exp of the mean of logp - old over a row's tokens, the same on all of them."""
    xp = array_namespace(logp_BT)
    log_ratio_BT = masked_difference(logp_BT, old_BT, inside_BT)
    num_tokens_B1 = xp.sum(xp.astype(inside_BT, log_ratio_BT.dtype), axis=1, keepdims=True)
    mean_B1 = xp.sum(log_ratio_BT, axis=1, keepdims=True) / xp.clip(num_tokens_B1, 1.0)
    return xp.exp(xp.clip(mean_B1, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)) + xp.zeros_like(log_ratio_BT)


def masked_difference(one_BT: Array, other_BT: Array, inside_BT: Array) -> Array:
    """[B, T] one - other, 0 outside, whatever stands there."""
    xp = array_namespace(one_BT)
    zero_BT = xp.zeros_like(one_BT)
    return xp.where(inside_BT, one_BT, zero_BT) - xp.where(inside_BT, other_BT, zero_BT)


def _is_active(ratio_BT: Array, advantage_BT: Array, how: Ratio) -> Array:
    """[B, T] bools: the surrogate is flat here."""
    up_BT, down_BT = advantage_BT > 0, advantage_BT < 0
    active_BT = up_BT & down_BT
    if how.clip_high is not None:
        active_BT = active_BT | (up_BT & (ratio_BT > 1.0 + how.clip_high))
    if how.clip_low is not None:
        active_BT = active_BT | (down_BT & (ratio_BT < 1.0 - how.clip_low))
    if how.dual is not None:
        active_BT = active_BT | (down_BT & (ratio_BT > how.dual))
    return active_BT


def _capped(ratio_BT: Array, how: Ratio) -> Array:
    xp = array_namespace(ratio_BT)
    if how.clip_high is not None:
        ratio_BT = xp.where(ratio_BT > 1.0 + how.clip_high, xp.ones_like(ratio_BT) * (1.0 + how.clip_high), ratio_BT)
    if how.clip_low is not None:
        ratio_BT = xp.where(ratio_BT < 1.0 - how.clip_low, xp.ones_like(ratio_BT) * (1.0 - how.clip_low), ratio_BT)
    return ratio_BT


RATIO: dict[str, Callable[[Array, Array, Array], Array]] = {"token": token_ratio, "sequence": sequence_ratio, "capped": token_ratio}
"""Kind -> the ratio itself."""
