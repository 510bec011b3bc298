"""Staying close to where training began: the KL to a reference policy, in the reward or in the loss. l_t = logp_t - reference_t.

    k1_reward   A_t - beta * sum_{u>=t} l_u (old policy's l)    mean on policy: -beta * exact gradient of KL(pi || reference)
    k2          w_t - beta * l_t                                mean on policy: -beta * local gradient of KL(pi || reference)
    k3          w_t - beta * (1 - exp(-l_t))                    mean on policy: -beta * local gradient of KL(reference || pi)

k2 = l^2 / 2 and k3 = exp(-l) - 1 + l are the loss terms (Schulman's estimators); w_t is minus their derivative. *Local* means at each
context, contexts held where the policy went: it drops how a token changes which contexts come later. Exact means all of it. Decided here:
k1_reward uses the log-probabilities of the policy that drew (the penalty is part of the reward, so it stays put when a step is repeated)
and is added to the advantage after baseline and scale, token by token, as OpenRLHF does; so it goes through ratio and clip. The means are
for a divisor that does not depend on what was drawn (budget, sequences).

Factors f_t, where there are some, multiply the KL of each token: beta f_t l_t, beta f_t (1 - exp(-l_t)), beta sum_{u>=t} f_u l_u. What the
means then are depends on what decides f_t:

    the context alone   the gradients above, of the KL summed over the chosen positions; in the reward a token still answers for chosen
                        ones that come later. So with stages and kinds (`sampling`, `verdict`), but for the token that opens a span
    the drawn token     biased by the chance P of a chosen token, at each context: that KL's gradient minus grad P with k2 and k1_reward,
                        plus grad P with k3. So with `verdict.accept`, `verdict.retry`
    later tokens        biased: in the loss f_t acts as its mean given the tokens up to t, in the reward tokens behind t do not answer for
                        it. So with `attempt.right`, `attempt.wrong` and with `balanced`, in the reward and in the loss

`kl_spans=balanced` is

    f_t = n / (2 n_s) on the n_s sampling tokens of the response, n / (2 n_d) on its n_d decision tokens, n = n_s + n_d;     else 1

so that both stages count half of the whole, whatever their lengths (2601.01580 has no such variant: it is ours). Left out on purpose: k1 as
a loss. Its weight is -beta on every token whatever the policies are, which has mean 0: pure noise.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from jominy.recipes.ratios import LARGEST_LOG_RATIO, masked_difference
from jominy.recipes.recipe import Array
from jominy.records import Bools, Floats


def balanced_factors(sampling_NT: Bools, decision_NT: Bools) -> Floats:
    """[N, T] n / (2 n_stage) of each row; 1 in neither stage, and in rows that have but one.

    Args:
        sampling_NT: [N, T] trained tokens that write a solution.
        decision_NT: [N, T] trained tokens that decide about one.

    >>> balanced_factors(np.array([[True, True, True, False, False]]), np.array([[False, False, False, True, False]])).round(3)
    array([[0.667, 0.667, 0.667, 2.   , 1.   ]])
    """
    num_sampling_N1 = sampling_NT.sum(axis=1, keepdims=True)
    num_decision_N1 = decision_NT.sum(axis=1, keepdims=True)
    both_N1 = (num_sampling_N1 > 0) & (num_decision_N1 > 0)
    factors_NT: Floats = np.ones(sampling_NT.shape)
    for stage_NT, num_N1 in ((sampling_NT, num_sampling_N1), (decision_NT, num_decision_N1)):
        factors_NT = np.where(stage_NT & both_N1, (num_sampling_N1 + num_decision_N1) / (2 * np.maximum(num_N1, 1)), factors_NT)
    return factors_NT


def to_go(old_BT: Array, reference_BT: Array, inside_BT: Array, factors_BT: Array | None = None) -> Array:
    """[B, T] sum of f * (old - reference) over this token and all later ones: the part of the KL that this token answers for.

    >>> to_go(np.array([[0.5, -0.25, 9.0]]), np.zeros((1, 3)), np.array([[True, True, False]]))
    array([[ 0.25, -0.25,  0.  ]])
    """
    xp = array_namespace(old_BT)
    log_ratio_BT = _multiplied(masked_difference(old_BT, reference_BT, inside_BT), inside_BT, factors_BT)
    return xp.flip(xp.cumulative_sum(xp.flip(log_ratio_BT, axis=1), axis=1), axis=1)


def k2_weights(logp_BT: Array, reference_BT: Array, inside_BT: Array, factors_BT: Array | None = None) -> Array:
    """[B, T] minus the derivative of f * (logp - reference)^2 / 2."""
    return _multiplied(-masked_difference(logp_BT, reference_BT, inside_BT), inside_BT, factors_BT)


def k3_weights(logp_BT: Array, reference_BT: Array, inside_BT: Array, factors_BT: Array | None = None) -> Array:
    """[B, T] minus the derivative of f * (exp(reference - logp) - 1 - (reference - logp))."""
    xp = array_namespace(logp_BT)
    log_ratio_BT = masked_difference(reference_BT, logp_BT, inside_BT)
    weights_BT = xp.exp(xp.clip(log_ratio_BT, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)) - 1.0
    return _multiplied(weights_BT, inside_BT, factors_BT)


def _multiplied(values_BT: Array, inside_BT: Array, factors_BT: Array | None) -> Array:
    """[B, T] values times factors, 0 outside, whatever the factors are there; as they are without factors."""
    if factors_BT is None:
        return values_BT
    xp = array_namespace(values_BT)
    return values_BT * xp.where(inside_BT, xp.astype(factors_BT, values_BT.dtype), xp.zeros_like(values_BT))
