"""The closed forms held against policies of which every response is written down: identity, largest difference, what is allowed.

    chains    p, s_c, s_i drawn by a seed, K = 1, 2, 3 attempts; a response is attempt, decision, attempt ... in an exact policy (`tabular`)
    KL        two such policies: what each estimator's weights are on average, against the gradients of the divergences themselves

Each side is worked out without the other: a chance is a sum over responses, a gradient one over responses and tokens. The last identity is
a limit of small moves, held against the root of the true KL's slope, and so only nearly an equality. The derivations are ours.
Left out on purpose: sampling; nothing here is random but the choice of the chains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from jominy.engines import tabular
from jominy.engines.tabular import Tree
from jominy.measures.values import RetryTheory, move_ratio, retry_theory
from jominy.recipes import penalties

Doubles = NDArray[np.float64]
Chain = tuple[float, float, float]
"""(p, s_c, s_i)."""
ACCEPT, RIGHT, WRONG, RETRY = 0, 1, 2, 3
"""Tokens; to accept is to stop."""
NEVER = -60.0
"""Logit of a token that has no place there."""
SEED, NUM_CHAINS, MOST_ATTEMPTS = 2601, 5, 3
EXACT, NEARLY = 1e-9, 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Two ways to one number.

    Example: Identity(says="value V_1", difference=2e-16, allowed=1e-9)
    """

    says: str
    """What is equal."""
    difference: float
    """The largest between the two, over all chains."""
    allowed: float
    """What it may be: rounding, or the rest of a limit."""

    @property
    def holds(self) -> bool:
        """Whether it is so."""
        return self.difference <= self.allowed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """A retrying policy with all its responses.

    Example: world((0.4, 0.6, 0.6), 2).tree.sequences
    """

    tree: Tree
    """All responses."""
    logits_CV: Doubles
    """The policy."""
    rewards_S: Doubles
    """1 where the answer that stands is right."""

    @property
    def chance_S(self) -> Doubles:
        """Of each response."""
        return tabular.probabilities(self.tree, self.logits_CV)

    @property
    def passes_CS(self) -> NDArray[np.bool_]:
        """[C, S] whether a response passes a context."""
        passes_CS = np.zeros((len(self.tree.contexts), len(self.tree.sequences)), dtype=bool)
        place_S, _ = np.nonzero(self.tree.inside_ST)
        passes_CS[self.tree.context_ST[self.tree.inside_ST], place_S] = True
        return passes_CS

    @property
    def reach_C(self) -> Doubles:
        """Chance to pass a context."""
        return np.asarray(self.passes_CS @ self.chance_S, dtype=np.float64)

    @property
    def value_C(self) -> Doubles:
        """Mean reward of the responses that pass a context."""
        return np.asarray((self.passes_CS @ (self.chance_S * self.rewards_S)) / self.reach_C, dtype=np.float64)

    def mean_of(self, weights_ST: Doubles) -> Doubles:
        """[C, V] mean over responses of sum_t w_t grad log pi_t."""
        return tabular.weighted_gradient(self.tree, self.logits_CV, self.chance_S[:, None] * weights_ST)


@cache
def _tree(num_attempts: int) -> Tree:
    return Tree.of(vocabulary_size=4, max_length=2 * num_attempts - 1, stop_token=ACCEPT)


def world(chain: Chain, num_attempts: int) -> World:
    """Attempts that are all alike, decisions that know the truth."""
    tree = _tree(num_attempts)
    right, accept_right, accept_wrong = chain
    logits_CV = np.full((len(tree.contexts), 4), NEVER)
    for number, context in enumerate(tree.contexts):
        if len(context) % 2 == 0:
            logits_CV[number, [RIGHT, WRONG]] = np.log([right, 1 - right])
        else:
            accept = accept_right if context[-1] == RIGHT else accept_wrong
            logits_CV[number, [ACCEPT, RETRY]] = np.log([accept, 1 - accept])
    said = [[token for token in sequence if token != ACCEPT] for sequence in tree.sequences]
    rewards_S = np.array([float(bool(tokens) and tokens[-1] == RIGHT) for tokens in said])
    return World(tree=tree, logits_CV=logits_CV, rewards_S=rewards_S)


def identities() -> tuple[Identity, ...]:
    """All of them; well under a second."""
    rng = np.random.default_rng(SEED)
    chains: list[Chain] = [(float(p), float(s_c), float(s_i)) for p, s_c, s_i in rng.uniform(0.1, 0.9, size=(NUM_CHAINS, 3))]
    pairs = [(chain, attempts) for chain in chains for attempts in range(1, MOST_ATTEMPTS + 1)]
    forms: dict[str, Callable[[Chain, int], float]] = {
        "value V_1, and V_1 (1 - V_1) = credit of attempts + credit of decisions": _value,
        "dV_1 / dlogit p, dlogit s_c, dlogit s_i": _gradients,
        "credit of attempts and of decisions, mean squared steps of the value": _credits,
        "value under true decisions, 1 - (1 - p)^K": _oracle,
    }
    found = [Identity(says=says, difference=max(gap(*pair) for pair in pairs), allowed=EXACT) for says, gap in forms.items()]
    both = list(zip(chains, [*chains[1:], chains[0]], strict=True))
    moved: dict[str, Callable[[Chain, Chain], float]] = {
        "KL in the loss, k1: mean gradient 0": _k1,
        "KL in the loss, k2: local gradient of KL(pi || start)": _k2,
        "KL in the loss, k3: local gradient of KL(start || pi)": _k3,
        "KL in the reward: whole gradient of KL(pi || start), local + future": _in_reward,
        "KL in the reward pushes to stop by the KL of the attempt that a retry opens; k2 does not": _stopping,
    }
    found += [Identity(says=says, difference=max(gap(*pair) for pair in both), allowed=EXACT) for says, gap in moved.items()]
    says = "moves under one KL, x_d / x_s = (r_d / r_s) (n_s F_s) / (n_d F_d), relative, for small moves"
    return (*found, Identity(says=says, difference=max(map(_moves, chains)), allowed=NEARLY))


def _theory(chain: Chain, num_attempts: int) -> RetryTheory:
    right, accept_right, accept_wrong = chain
    return retry_theory(right, accept_right=accept_right, accept_wrong=accept_wrong, num_attempts=num_attempts)


def _value(chain: Chain, num_attempts: int) -> float:
    theory, exact = _theory(chain, num_attempts), world(chain, num_attempts)
    value = tabular.expectation(exact.tree, exact.logits_CV, exact.rewards_S)
    return max(abs(theory.value - value), abs(theory.sampling_credit + theory.decision_credit - value * (1 - value)))


def _gradients(chain: Chain, num_attempts: int) -> float:
    """A chance is one number for all contexts that share it, so its gradient is the sum over them."""
    theory, exact = _theory(chain, num_attempts), world(chain, num_attempts)
    gradient_CV = tabular.expectation_gradient(exact.tree, exact.logits_CV, exact.rewards_S)
    ends = [context[-1] if len(context) % 2 else 0 for context in exact.tree.contexts]
    tokens = {0: RIGHT, RIGHT: ACCEPT, WRONG: ACCEPT}
    sums = {end: sum(gradient_CV[number, token] for number, one in enumerate(ends) if one == end) for end, token in tokens.items()}
    told = {0: theory.gradient_right, RIGHT: theory.gradient_accept_right, WRONG: theory.gradient_accept_wrong}
    return float(max(abs(sums[end] - told[end]) for end in tokens))


def _credits(chain: Chain, num_attempts: int) -> float:
    """Steps of the value along every response: odd ones are attempts."""
    theory, exact = _theory(chain, num_attempts), world(chain, num_attempts)
    value_C, chance_S, credit = exact.value_C, exact.chance_S, [0.0, 0.0]
    for number, sequence in enumerate(exact.tree.sequences):
        values = [*value_C[exact.tree.context_ST[number, : len(sequence)]].tolist(), float(exact.rewards_S[number])]
        for place in range(len(sequence)):
            credit[place % 2] += float(chance_S[number]) * (values[place + 1] - values[place]) ** 2
    return max(abs(theory.sampling_credit - credit[0]), abs(theory.decision_credit - credit[1]))


def _oracle(chain: Chain, num_attempts: int) -> float:
    nearly = 1 - 1e-15
    exact = world((chain[0], nearly, 1 - nearly), num_attempts)
    return abs(_theory(chain, num_attempts).oracle - tabular.expectation(exact.tree, exact.logits_CV, exact.rewards_S))


def _logps(policy: World, start: World) -> tuple[Doubles, Doubles]:
    return tabular.token_logps(policy.tree, policy.logits_CV), tabular.token_logps(start.tree, start.logits_CV)


def _chances(policy: World) -> Doubles:
    return np.asarray(np.exp(tabular.log_softmax(policy.logits_CV)), dtype=np.float64)


def _divergence(policy: World, start: World) -> tuple[Doubles, Doubles]:
    """([C] KL(pi || start) of each context, [C, V] its gradient by the logits there: pi (log pi / start - KL))."""
    gap_CV = tabular.log_softmax(policy.logits_CV) - tabular.log_softmax(start.logits_CV)
    kl_C = (_chances(policy) * gap_CV).sum(axis=1)
    return kl_C, _chances(policy) * (gap_CV - kl_C[:, None])


def _k1(chain: Chain, other: Chain) -> float:
    policy = world(chain, 2)
    return float(np.abs(policy.mean_of(-np.ones(policy.tree.inside_ST.shape))).max())


def _k2(chain: Chain, other: Chain) -> float:
    policy, start = world(chain, 2), world(other, 2)
    logp_ST, start_ST = _logps(policy, start)
    mean_CV = policy.mean_of(penalties.k2_weights(logp_ST, start_ST, policy.tree.inside_ST))
    return float(np.abs(mean_CV + policy.reach_C[:, None] * _divergence(policy, start)[1]).max())


def _k3(chain: Chain, other: Chain) -> float:
    """The gradient of KL(start || pi) by the logits of a context is pi - start."""
    policy, start = world(chain, 2), world(other, 2)
    logp_ST, start_ST = _logps(policy, start)
    mean_CV = policy.mean_of(penalties.k3_weights(logp_ST, start_ST, policy.tree.inside_ST))
    return float(np.abs(mean_CV + policy.reach_C[:, None] * (_chances(policy) - _chances(start))).max())


def _in_reward(chain: Chain, other: Chain) -> float:
    policy, start = world(chain, 2), world(other, 2)
    logp_ST, start_ST = _logps(policy, start)
    inside_ST = policy.tree.inside_ST
    kl_C, gradient_CV = _divergence(policy, start)
    kl_ST = np.where(inside_ST, kl_C[policy.tree.context_ST], 0.0)
    later_ST = kl_ST.sum(axis=1, keepdims=True) - np.cumsum(kl_ST, axis=1)
    whole_CV = policy.reach_C[:, None] * gradient_CV + policy.mean_of(later_ST)
    exact_CV = tabular.kl_gradient(policy.tree, policy.logits_CV, start.logits_CV)
    mean_CV = policy.mean_of(penalties.to_go(logp_ST, start_ST, inside_ST))
    return float(max(np.abs(mean_CV - exact_CV).max(), np.abs(whole_CV - exact_CV).max()))


def _stopping(chain: Chain, other: Chain) -> float:
    """A start that decides alike and only attempts otherwise."""
    right, accept_right, accept_wrong = chain
    policy, start = world(chain, 2), world((other[0], accept_right, accept_wrong), 2)
    logp_ST, start_ST = _logps(policy, start)
    reward_CV = -policy.mean_of(penalties.to_go(logp_ST, start_ST, policy.tree.inside_ST))
    loss_CV = policy.mean_of(penalties.k2_weights(logp_ST, start_ST, policy.tree.inside_ST))
    attempt = right * np.log(right / other[0]) + (1 - right) * np.log((1 - right) / (1 - other[0]))
    gaps = []
    for truth, reach, accept in ((RIGHT, right, accept_right), (WRONG, 1 - right, accept_wrong)):
        context = policy.tree.contexts.index((truth,))
        push = reach * accept * (1 - accept) * attempt
        gaps += [abs(reward_CV[context, ACCEPT] - push), abs(reward_CV[context, RETRY] + push), float(np.abs(loss_CV[context]).max())]
    return float(max(gaps))


def _moves(chain: Chain) -> float:
    """n coins whose logits a gain pulls on, against n times their KL: at the best shift x, with coin q, gain = beta n x q (1 - q)."""
    gains, numbers, chances = (1e-5, 1e-6), (60.0, 3.0), (chain[0], chain[1])
    shifts = [_best(gain, number, chance) for gain, number, chance in zip(gains, numbers, chances, strict=True)]
    fishers = (chances[0] * (1 - chances[0]), chances[1] * (1 - chances[1]))
    return abs(shifts[1] / shifts[0] / move_ratio(gains[0], gains[1], numbers[0], numbers[1], fishers) - 1)


def _best(gain: float, number: float, chance: float) -> float:
    """The root between 0 and 1, by halves: the slope of the true KL rises there."""
    low, high = 0.0, 1.0
    for _ in range(200):
        shift = (low + high) / 2
        moved = 1 / (1 + (1 - chance) / chance * np.exp(-shift))
        low, high = (low, shift) if number * shift * moved * (1 - moved) > gain else (shift, high)
    return low
