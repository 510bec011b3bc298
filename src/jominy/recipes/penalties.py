"""Staying close to where training began: the KL to a reference policy, in the reward or in the loss. l_t = logp_t - reference_t.

    k1_reward   A_t - beta * sum_{u>=t} l_u (old policy's l)    mean on policy: -beta * exact gradient of KL(pi || reference)
    k2          w_t - beta * l_t                                mean on policy: -beta * local gradient of KL(pi || reference)
    k3          w_t - beta * (1 - exp(-l_t))                    mean on policy: -beta * local gradient of KL(reference || pi)

k2 = l^2 / 2 and k3 = exp(-l) - 1 + l are the loss terms (Schulman's estimators); w_t is minus their derivative. *Local* means at each
context, contexts held where the policy went: it drops how a token changes which contexts come later. Exact means all of it. Decided here:
k1_reward uses the log-probabilities of the policy that drew (the penalty is part of the reward, so it stays put when a step is repeated)
and is added to the advantage after baseline and scale, token by token, as OpenRLHF does; so it goes through ratio and clip. The means are
for a divisor that does not depend on what was drawn (budget, sequences). Left out on purpose: k1 as a loss. Its weight is -beta on every
token whatever the policies are, which has mean 0: pure noise.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from jominy.recipes.ratios import LARGEST_LOG_RATIO, masked_difference
from jominy.recipes.recipe import Array


def to_go(old_BT: Array, reference_BT: Array, inside_BT: Array) -> Array:
    """[B, T] sum of old - reference over this token and all later ones: the part of the KL that this token answers for.

    >>> import numpy as np
    >>> to_go(np.array([[0.5, -0.25, 9.0]]), np.zeros((1, 3)), np.array([[True, True, False]]))
    array([[ 0.25, -0.25,  0.  ]])
    """
    xp = array_namespace(old_BT)
    log_ratio_BT = masked_difference(old_BT, reference_BT, inside_BT)
    return xp.flip(xp.cumulative_sum(xp.flip(log_ratio_BT, axis=1), axis=1), axis=1)


def k2_weights(logp_BT: Array, reference_BT: Array, inside_BT: Array) -> Array:
    """[B, T] minus the derivative of (logp - reference)^2 / 2."""
    return -masked_difference(logp_BT, reference_BT, inside_BT)


def k3_weights(logp_BT: Array, reference_BT: Array, inside_BT: Array) -> Array:
    """[B, T] minus the derivative of exp(reference - logp) - 1 - (reference - logp)."""
    xp = array_namespace(logp_BT)
    log_ratio_BT = masked_difference(reference_BT, logp_BT, inside_BT)
    return xp.exp(xp.clip(log_ratio_BT, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)) - 1.0
