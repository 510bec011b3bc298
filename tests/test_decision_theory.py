"""Values, gradients and credit of retrying policies against an exact policy in which every response is written down; KL identities."""

from __future__ import annotations

import numpy as np
import pytest

from jominy.engines import tabular
from jominy.engines.tabular import Tree
from jominy.measures.chain import Chances, walk
from jominy.measures.values import move_ratio, regularised_move, retry_theory
from jominy.recipes import penalties

STOP, RIGHT, WRONG, AGAIN = 0, 1, 2, 3
NEVER = -80.0
"""A logit that leaves e-35 of chance."""
ALIKE = [(0.4, 0.6, 0.6), (0.3, 0.9, 0.2), (0.75, 0.35, 0.8)]


def logit(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def world(chances: Chances, num_attempts: int) -> tuple[Tree, np.ndarray, np.ndarray]:
    """(responses, logits, rewards): attempt, decision, attempt ...; the last attempt there may be is cut, so it stands."""
    tree = Tree.of(vocabulary_size=4, max_length=2 * num_attempts - 1, stop_token=STOP)
    logits = np.full((len(tree.contexts), 4), NEVER)
    for number, context in enumerate(tree.contexts):
        if len(context) % 2 == 0:
            before = context[-2] if context else 0
            chance = {RIGHT: chances.after_right, WRONG: chances.after_wrong}.get(before, chances.first)
            logits[number, [RIGHT, WRONG]] = logit(float(chance)), 0.0
        else:
            chance = chances.accept_right if context[-1] == RIGHT else chances.accept_wrong
            logits[number, [STOP, AGAIN]] = logit(float(chance)), 0.0
    standing = [(sequence[:-1] if sequence[-1] == STOP else sequence) or (STOP,) for sequence in tree.sequences]
    return tree, logits, np.array([float(sequence[-1] == RIGHT) for sequence in standing])


def alike(right: float, accept_right: float, accept_wrong: float) -> Chances:
    return Chances.alike(right, accept_right=accept_right, accept_wrong=accept_wrong)


def context_values(tree: Tree, logits: np.ndarray, rewards_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([C] mean reward of the responses that pass a context, [C] chance to pass it)."""
    chance_S = tabular.probabilities(tree, logits)
    reward_C, reach_C = np.zeros(len(tree.contexts)), np.zeros(len(tree.contexts))
    inside = tree.inside_ST
    np.add.at(reward_C, tree.context_ST[inside], np.broadcast_to((chance_S * rewards_S)[:, None], inside.shape)[inside])
    np.add.at(reach_C, tree.context_ST[inside], np.broadcast_to(chance_S[:, None], inside.shape)[inside])
    return reward_C / reach_C, reach_C


def enumerated_credit(tree: Tree, logits: np.ndarray, rewards_S: np.ndarray) -> tuple[float, float]:
    """Mean squared steps of the value at attempts and at decisions, along every response."""
    value_C, _ = context_values(tree, logits, rewards_S)
    chance_S = tabular.probabilities(tree, logits)
    credit = [0.0, 0.0]
    for s, sequence in enumerate(tree.sequences):
        for t in range(len(sequence)):
            after = rewards_S[s] if t + 1 == len(sequence) else value_C[tree.context_ST[s, t + 1]]
            credit[t % 2] += chance_S[s] * (after - value_C[tree.context_ST[s, t]]) ** 2
    return credit[0], credit[1]


@pytest.mark.parametrize("num_attempts", [1, 2, 3])
@pytest.mark.parametrize("chances", ALIKE)
def test_values_and_reach_are_those_of_every_response(chances, num_attempts):
    theory = retry_theory(chances[0], accept_right=chances[1], accept_wrong=chances[2], num_attempts=num_attempts)
    tree, logits, rewards_S = world(alike(*chances), num_attempts)
    value_C, reach_C = context_values(tree, logits, rewards_S)
    assert theory.value == pytest.approx(tabular.expectation(tree, logits, rewards_S), abs=1e-12)
    for k in range(num_attempts):
        wrong_so_far = (WRONG, AGAIN) * k
        assert theory.value_K[k] == pytest.approx(value_C[tree.contexts.index(wrong_so_far)], abs=1e-12)
        assert theory.reach_K[k] == pytest.approx(sum(reach_C[c] for c, seen in enumerate(tree.contexts) if len(seen) == 2 * k), abs=1e-12)
        if k < num_attempts - 1:
            assert theory.right_K[k] == pytest.approx(value_C[tree.contexts.index((*wrong_so_far, RIGHT))], abs=1e-12)
            assert theory.wrong_K[k] == pytest.approx(value_C[tree.contexts.index((*wrong_so_far, WRONG))], abs=1e-12)
    assert (theory.right_K[-1], theory.wrong_K[-1]) == (1.0, 0.0)


@pytest.mark.parametrize("num_attempts", [1, 2, 3])
@pytest.mark.parametrize("chances", ALIKE)
def test_gradients_are_those_of_the_exact_policy(chances, num_attempts):
    theory = retry_theory(chances[0], accept_right=chances[1], accept_wrong=chances[2], num_attempts=num_attempts)
    tree, logits, rewards_S = world(alike(*chances), num_attempts)
    gradient_CV = tabular.expectation_gradient(tree, logits, rewards_S)
    of = {"attempt": 0.0, RIGHT: 0.0, WRONG: 0.0}
    for number, context in enumerate(tree.contexts):
        if len(context) % 2 == 0:
            of["attempt"] += gradient_CV[number, RIGHT]
        elif context[-1] in (RIGHT, WRONG):
            of[context[-1]] += gradient_CV[number, STOP]
    found = (theory.gradient_right, theory.gradient_accept_right, theory.gradient_accept_wrong)
    np.testing.assert_allclose(found, (of["attempt"], of[RIGHT], of[WRONG]), atol=1e-12)
    assert found[1] >= 0 >= found[2]


@pytest.mark.parametrize("num_attempts", [1, 2, 3])
@pytest.mark.parametrize("chances", [*[(p, p, p, c, i) for p, c, i in ALIKE], (0.5, 0.8, 0.3, 0.7, 0.25), (0.2, 0.1, 0.6, 0.5, 0.5)])
def test_credit_is_the_variance_along_every_response(chances, num_attempts):
    first, after_right, after_wrong, accept_right, accept_wrong = (np.asarray(chance) for chance in chances)
    policy = Chances(first=first, after_right=after_right, after_wrong=after_wrong, accept_right=accept_right, accept_wrong=accept_wrong)
    walked = walk(policy, num_attempts)
    tree, logits, rewards_S = world(policy, num_attempts)
    value = tabular.expectation(tree, logits, rewards_S)
    assert float(walked.value) == pytest.approx(value, abs=1e-12)
    credit = enumerated_credit(tree, logits, rewards_S)
    np.testing.assert_allclose((walked.sampling_credit, walked.decision_credit), credit, atol=1e-12)
    assert sum(credit) == pytest.approx(value * (1 - value), abs=1e-12)


def test_the_example_of_the_derivation():
    theory = retry_theory(0.4, accept_right=0.6, accept_wrong=0.6, num_attempts=4)
    assert theory.decision_share == pytest.approx(0.374, abs=5e-4)
    assert theory.oracle == pytest.approx(1 - 0.6**4)
    assert retry_theory(0.4, accept_right=1.0, accept_wrong=0.0, num_attempts=4).value == pytest.approx(theory.oracle)


def test_ends_of_the_range():
    assert retry_theory(0.4, accept_right=0.5, accept_wrong=0.5, num_attempts=1).decision_share == 0.0
    assert retry_theory(1.0, accept_right=1.0, accept_wrong=0.5, num_attempts=3).decision_share is None  # nothing is uncertain
    with pytest.raises(ValueError, match="accept_wrong must lie in"):
        retry_theory(0.5, accept_right=0.5, accept_wrong=1.5, num_attempts=2)
    with pytest.raises(ValueError, match="num_attempts must be at least 1"):
        retry_theory(0.5, accept_right=0.5, accept_wrong=0.5, num_attempts=0)
    never_reached = Chances.of_columns(np.array([4.0, 8, 0, 0, 0, 0, 4, 4, 4, 4]), merged=False)  # nobody retried
    assert float(walk(never_reached, 3).value) == 0.5


# KL: what each estimator's gradient is on average -------------------------------------------------------------------------------------

POLICY, REFERENCE = alike(0.4, 0.7, 0.35), alike(0.55, 0.5, 0.6)


def kl_of_contexts(logits: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[C] sum_v pi (log pi - log ref) of each row."""
    logp, log_reference = tabular.log_softmax(logits), tabular.log_softmax(reference)
    kl_C: np.ndarray = (np.exp(logp) * (logp - log_reference)).sum(axis=1)
    return kl_C


def numerical_gradient(function, logits: np.ndarray) -> np.ndarray:
    """Central differences, one logit at a time."""
    gradient, step = np.zeros(logits.shape), 1e-5
    for place in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (function(up) - function(down)) / (2 * step)
    return gradient


def setting() -> tuple[Tree, np.ndarray, np.ndarray, np.ndarray]:
    tree, logits, rewards_S = world(POLICY, 2)
    _, reference, _ = world(REFERENCE, 2)
    return tree, logits, reference, context_values(tree, logits, rewards_S)[1]


def mean_of_weights(tree: Tree, logits: np.ndarray, weights_ST: np.ndarray) -> np.ndarray:
    """Exact mean of sum_t w_t grad log pi_t."""
    return tabular.weighted_gradient(tree, logits, tabular.probabilities(tree, logits)[:, None] * weights_ST)


def test_k2_is_the_local_reverse_kl_and_k3_the_local_forward_kl():
    tree, logits, reference, reach_C = setting()
    logp, log_reference = tabular.token_logps(tree, logits), tabular.token_logps(tree, reference)
    reverse = numerical_gradient(lambda table: reach_C @ kl_of_contexts(table, reference), logits)
    forward = numerical_gradient(lambda table: reach_C @ kl_of_contexts(reference, table), logits)
    k2 = mean_of_weights(tree, logits, penalties.k2_weights(logp, log_reference, tree.inside_ST))
    k3 = mean_of_weights(tree, logits, penalties.k3_weights(logp, log_reference, tree.inside_ST))
    np.testing.assert_allclose(k2, -reverse, atol=1e-9)
    np.testing.assert_allclose(k3, -forward, atol=1e-9)
    assert np.abs(reverse).max() > 0.01


def test_k1_as_a_loss_is_noise_around_nothing():
    tree, logits, _, _ = setting()
    np.testing.assert_allclose(mean_of_weights(tree, logits, -np.ones(tree.inside_ST.shape)), 0.0, atol=1e-14)


def test_the_exact_gradient_is_the_local_one_and_what_comes_later():
    tree, logits, reference, reach_C = setting()
    logp, log_reference = tabular.token_logps(tree, logits), tabular.token_logps(tree, reference)
    local = numerical_gradient(lambda table: reach_C @ kl_of_contexts(table, reference), logits)
    kl_ST = np.where(tree.inside_ST, kl_of_contexts(logits, reference)[tree.context_ST], 0.0)
    later_ST = kl_ST.sum(axis=1, keepdims=True) - np.cumsum(kl_ST, axis=1)
    future = mean_of_weights(tree, logits, later_ST)
    exact = tabular.kl_gradient(tree, logits, reference)
    np.testing.assert_allclose(exact, local + future, atol=1e-9)
    np.testing.assert_allclose(exact, numerical_gradient(lambda table: tabular.kl(tree, table, reference), logits), atol=1e-9)
    in_the_reward = mean_of_weights(tree, logits, penalties.to_go(logp, log_reference, tree.inside_ST))
    np.testing.assert_allclose(in_the_reward, exact, atol=1e-12)
    assert np.abs(future).max() > 0.01


def test_kl_in_the_reward_pushes_towards_stopping_and_kl_in_the_loss_does_not():
    tree, logits, _ = world(POLICY, 2)
    _, reference, _ = world(alike(0.55, 0.7, 0.35), 2)  # decides as the policy does; only its attempts are others
    _, reach_C = context_values(tree, logits, np.ones(len(tree.sequences)))
    logp, log_reference = tabular.token_logps(tree, logits), tabular.token_logps(tree, reference)
    reward = -mean_of_weights(tree, logits, penalties.to_go(logp, log_reference, tree.inside_ST))
    loss = mean_of_weights(tree, logits, penalties.k2_weights(logp, log_reference, tree.inside_ST))
    # The attempt that a retry opens costs this much; accepting costs nothing.
    attempt = 0.4 * np.log(0.4 / 0.55) + 0.6 * np.log(0.6 / 0.45)
    for truth, accept in ((RIGHT, 0.7), (WRONG, 0.35)):
        context = tree.contexts.index((truth,))
        push = reach_C[context] * accept * (1 - accept) * attempt
        assert reward[context, AGAIN] == pytest.approx(-push, abs=1e-12)
        assert reward[context, STOP] == pytest.approx(push, abs=1e-12)
        np.testing.assert_allclose(loss[context], 0.0, atol=1e-12)


def test_a_policy_that_has_not_moved_pays_nothing():
    tree, logits, _ = world(POLICY, 2)
    logp = tabular.token_logps(tree, logits)
    for weights in (penalties.k2_weights, penalties.k3_weights, penalties.to_go):
        np.testing.assert_array_equal(weights(logp, logp, tree.inside_ST), np.zeros(logp.shape))


# What a KL penalty lets move -----------------------------------------------------------------------------------------------------------


def best_move(gain: float, beta: float, num_tokens: int, chance: float) -> float:
    """Of a fine grid: the shift of the logit of `num_tokens` coins that gains most minus beta times their true KL."""
    shift = np.linspace(-0.1, 0.1, 200_001)
    moved = 1 / (1 + np.exp(-logit(chance) - shift))
    kl = moved * np.log(moved / chance) + (1 - moved) * np.log((1 - moved) / (1 - chance))
    return float(shift[np.argmax(gain * shift - beta * num_tokens * kl)])


def test_the_penalty_lets_the_short_stage_move_more():
    fishers = (0.3 * 0.7, 0.5 * 0.5)  # p (1 - p), of a coin's logit
    sampling, decision = best_move(0.25, 1.0, 60, 0.3), best_move(0.015, 1.0, 3, 0.5)
    assert sampling == pytest.approx(regularised_move(0.25, beta=1.0, num_tokens=60, fisher=fishers[0]), rel=0.02)
    assert decision / sampling == pytest.approx(move_ratio(0.25, 0.015, 60, 3, fishers), rel=0.02)
    # Both divided by one length, or twice the penalty: the same ratio. A mean a token in each stage: that of gains and Fishers alone.
    assert best_move(0.015, 2.0, 3, 0.5) / best_move(0.25, 2.0, 60, 0.3) == pytest.approx(decision / sampling, rel=0.02)
    assert best_move(0.003, 1.0, 1, 0.5) / best_move(0.003, 1.0, 1, 0.3) == pytest.approx(move_ratio(1, 1, 1, 1, fishers), rel=0.02)


def test_moves_that_are_not_bounded_or_not_there():
    with pytest.raises(ValueError, match="beta, num_tokens and fisher must be above 0"):
        regularised_move(1.0, beta=0.0, num_tokens=3, fisher=0.25)
    with pytest.raises(ValueError, match="sampling does not move"):
        move_ratio(0.0, 1.0, 60, 3, (0.25, 0.25))


def test_the_tree_of_the_tests_is_what_it_says():
    tree, logits, rewards_S = world(alike(0.5, 0.5, 0.5), 2)
    likely = {tree.sequences[s] for s in np.flatnonzero(tabular.probabilities(tree, logits) > 1e-6)}
    assert likely == {(a, STOP) for a in (RIGHT, WRONG)} | {(a, AGAIN, b) for a in (RIGHT, WRONG) for b in (RIGHT, WRONG)}
    assert rewards_S[tree.sequences.index((WRONG, AGAIN, RIGHT))] == 1
    assert rewards_S[tree.sequences.index((WRONG, STOP))] == 0
