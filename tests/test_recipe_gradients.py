"""What the mean gradient of each recipe equals: all groups of a small exact policy enumerated, against what the docstrings claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from jominy.engines import tabular
from jominy.engines.tabular import Tree
from jominy.groups import Groups
from jominy.recipes.loading import load_recipe
from jominy.recipes.recipe import Recipe

TREE = Tree.of(vocabulary_size=3, max_length=2, stop_token=0)
"""Seven responses: the stop token alone, or one of two words and then anything."""
LOGITS = np.random.default_rng(3).normal(size=(len(TREE.contexts), 3))
REFERENCE = np.random.default_rng(4).normal(size=LOGITS.shape)
GRADED = np.random.default_rng(5).normal(size=7)
BINARY = np.array([1.0, 0, 0, 1, 0, 0, 1])
LENGTHS = TREE.inside_ST.sum(axis=1)
G = 3
MAX_TOKENS = 2

ONE_TOKEN = Tree.of(vocabulary_size=4, max_length=1, stop_token=0)
ONE_TOKEN_LOGITS = np.random.default_rng(6).normal(size=(1, 4))
ONE_TOKEN_REWARDS = np.array([1.0, 0, 0, 1])


def step_weights(recipe: Recipe, members_MG: np.ndarray, rewards_S: np.ndarray, tree: Tree, logits: np.ndarray) -> np.ndarray:
    """[M, S, T] scale * w of one optimiser step on each of M groups, added up by response; each group is a step of its own."""
    num_groups, size = members_MG.shape
    members_N = members_MG.ravel()
    groups = Groups(
        offsets_P1=np.arange(num_groups + 1) * size,
        rewards_N=rewards_S[members_N],
        scored_N=np.ones(len(members_N), dtype=bool),
        correct_N=rewards_S[members_N] >= 1,
        num_tokens_N=tree.inside_ST.sum(axis=1)[members_N],
        truncated_N=np.zeros(len(members_N), dtype=bool),
    )
    kept_N, advantages_N = recipe.keep(groups), recipe.credit(groups)
    inside_NT = tree.inside_ST[members_N]
    logp_NT = tabular.token_logps(tree, logits)[members_N]
    reference_NT = None if not recipe.needs_reference else tabular.token_logps(tree, REFERENCE)[members_N]
    weights_NT = recipe.weigh(logp_NT, logp_NT, reference_NT, advantages_N[:, None] * np.ones(inside_NT.shape), inside_NT)
    total_MST = np.zeros((num_groups, len(tree.sequences), tree.max_length))
    for m in range(num_groups):
        kept = np.flatnonzero(kept_N[m * size : (m + 1) * size]) + m * size
        scale_KT = recipe.divide(inside_NT[kept], np.zeros(inside_NT[kept].shape, dtype=np.int64))
        np.add.at(total_MST[m], members_N[kept], scale_KT * weights_NT[kept])
    return total_MST


def mean_gradient(
    text: str, rewards_S: np.ndarray, *, group_size: int = G, tree: Tree = TREE, logits: np.ndarray = LOGITS, max_tokens: int = MAX_TOKENS
) -> np.ndarray:
    """[C, V] exact mean of the gradient of a step of one group, over all groups there are."""
    recipe = load_recipe(text, max_tokens=max_tokens)
    weights_ST = tabular.expectation_over_groups(
        tree, logits, group_size, lambda members_MG: step_weights(recipe, members_MG, rewards_S, tree, logits)
    )
    return tabular.weighted_gradient(tree, logits, weights_ST)


def value_gradient(values_S: np.ndarray) -> np.ndarray:
    """[C, V] exact gradient of the expectation of a value of responses."""
    return tabular.expectation_gradient(TREE, LOGITS, values_S)


def pass_rate() -> float:
    return tabular.expectation(TREE, LOGITS, BINARY)


def z_scores(num_right: int, size: int, epsilon: float, ddof: int = 1) -> tuple[float, float]:
    """(right, wrong) z-scores of a group with that many right ones, by NumPy's own std."""
    rewards = np.array([1.0] * num_right + [0.0] * (size - num_right))
    spread = rewards.std(ddof=ddof) + epsilon
    return (1 - rewards.mean()) / spread, (0 - rewards.mean()) / spread


def multiple_of_pass_rate_gradient(epsilon: float, ddof: int, p: float, size: int = G) -> float:
    """m of `grpo`, from the distribution of the number of right answers, not from groups of responses."""
    values = [0.0] + [c / size * z_scores(c, size, epsilon, ddof)[0] for c in range(1, size)] + [0.0]
    return tabular.expectation_over_counts(values, p) / (p * (1 - p))


@pytest.mark.parametrize("rewards", [GRADED, BINARY], ids=["graded", "binary"])
@pytest.mark.parametrize("group_size", [2, 3])
@pytest.mark.parametrize(
    ("text", "multiple"),
    [
        ("reinforce", lambda size: 1 / MAX_TOKENS),
        ("reinforce:divide=sequences", lambda size: 1.0),
        ("rloo", lambda size: 1 / MAX_TOKENS),
        ("rloo:divide=sequences", lambda size: 1.0),
        ("rloo:ratio=token,divide=sequences", lambda size: 1.0),
        ("dr_grpo", lambda size: (size - 1) / size / MAX_TOKENS),
        ("dr_grpo:baseline=leave_one_out", lambda size: 1 / MAX_TOKENS),
        ("gspo:scale=none,divide=sequences", lambda size: (size - 1) / size),
        ("cispo:scale=none,divide=budget", lambda size: (size - 1) / size / MAX_TOKENS),
    ],
)
def test_a_constant_divisor_gives_the_stated_multiple_of_the_policy_gradient(text, multiple, group_size, rewards):
    exact = multiple(group_size) * value_gradient(rewards)
    np.testing.assert_allclose(mean_gradient(text, rewards, group_size=group_size), exact, atol=1e-13)


def test_reinforce_needs_no_group():
    np.testing.assert_allclose(mean_gradient("reinforce:divide=sequences", GRADED, group_size=1), value_gradient(GRADED), atol=1e-13)


def test_dividing_by_the_own_length_weighs_a_response_by_one_over_it():
    # Not grad E[r]: a response of reward r counts r / |s|. The baseline shrinks it by (G - 1) / G and, divided by |s|, does not cancel.
    expected = (G - 1) / G * value_gradient((GRADED - tabular.expectation(TREE, LOGITS, GRADED)) / LENGTHS)
    np.testing.assert_allclose(mean_gradient("grpo:scale=none", GRADED), expected, atol=1e-13)
    assert np.abs(expected - (G - 1) / G * value_gradient(GRADED)).max() > 0.01


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("epsilon", [0.0, 1e-4, 0.5])
def test_the_std_multiplies_the_gradient_of_the_pass_rate(epsilon, ddof, capsys):
    p = pass_rate()
    multiple = multiple_of_pass_rate_gradient(epsilon, ddof, p, size=4)
    measured = mean_gradient(f"grpo:divide=sequences,epsilon={epsilon},ddof={ddof}", BINARY, group_size=4)
    exact = value_gradient(BINARY)
    np.testing.assert_allclose(measured, multiple * exact, atol=1e-13)
    share = float((measured * exact).sum() / (exact * exact).sum())
    with capsys.disabled():
        print(
            f"\n  std, ddof={ddof}, epsilon={epsilon:g}, p={p:.3f}, G=4: {share:.4f} grad p; 1/sqrt(p(1-p)) = {(p * (1 - p)) ** -0.5:.4f}"
        )


def test_the_std_multiplies_more_where_the_pass_rate_is_extreme():
    # At large G the multiple is 1 / sqrt(p (1 - p)): 2 at one half, 3.33 at one tenth.
    assert multiple_of_pass_rate_gradient(0.0, 0, 0.5, size=400) == pytest.approx(2.0, rel=0.01)
    assert multiple_of_pass_rate_gradient(0.0, 0, 0.1, size=400) == pytest.approx(10 / 3, rel=0.01)


def test_grpo_as_it_stands_weighs_by_mean_z_and_length():
    # a(r): the mean z of a response of reward r when the G - 1 others are drawn at random.
    p = pass_rate()
    right = tabular.expectation_over_counts([z_scores(c + 1, G, 1e-4)[0] if c + 1 < G else 0.0 for c in range(G)], p)
    wrong = tabular.expectation_over_counts([0.0] + [z_scores(c, G, 1e-4)[1] for c in range(1, G)], p)
    values_S = np.where(BINARY == 1, right, wrong) / LENGTHS
    np.testing.assert_allclose(mean_gradient("grpo", BINARY), value_gradient(values_S), atol=1e-13)
    np.testing.assert_allclose(mean_gradient("gspo", BINARY), value_gradient(values_S), atol=1e-13)


def test_dapo_is_grpo_where_all_responses_have_one_length():
    p = tabular.expectation(ONE_TOKEN, ONE_TOKEN_LOGITS, ONE_TOKEN_REWARDS)
    exact = tabular.expectation_gradient(ONE_TOKEN, ONE_TOKEN_LOGITS, ONE_TOKEN_REWARDS)
    for text in ("dapo:overlong=off", "cispo:epsilon=1e-6"):
        measured = mean_gradient(text, ONE_TOKEN_REWARDS, tree=ONE_TOKEN, logits=ONE_TOKEN_LOGITS, max_tokens=1)
        np.testing.assert_allclose(measured, multiple_of_pass_rate_gradient(1e-6, 1, p) * exact, atol=1e-13)


def test_dividing_by_all_tokens_is_biased_and_equals_a_plain_loop():
    """No closed form: a response's share depends on the lengths of the others. Groups of two, added up one by one."""
    chances, loop = tabular.probabilities(TREE, LOGITS), np.zeros(LOGITS.shape)
    for one in range(7):
        for two in range(7):
            if BINARY[one] == BINARY[two]:
                continue
            # Two unequal rewards have a sample std of sqrt(1/2): z is +-0.5 / (0.7071 + 1e-6).
            z = 0.5 / (0.5**0.5 + 1e-6) * (1 if BINARY[one] else -1)
            weights_S = np.zeros(7)
            weights_S[one], weights_S[two] = z, -z
            gradient = tabular.weighted_gradient(TREE, LOGITS, weights_S[:, None])
            loop += chances[one] * chances[two] * gradient / (LENGTHS[one] + LENGTHS[two])
    measured = mean_gradient("dapo:overlong=off", BINARY, group_size=2)
    np.testing.assert_allclose(measured, loop, atol=1e-13)
    exact = value_gradient(BINARY)
    # Whatever multiple of grad p is subtracted, over a hundredth of the gradient is left.
    rest = measured - (measured * exact).sum() / (exact * exact).sum() * exact
    assert np.linalg.norm(rest) > 0.01 * np.linalg.norm(measured)


def test_clarity_weights_of_strength_zero_are_dapo():
    probability_S = np.exp(tabular.token_logps(TREE, LOGITS).sum(axis=1) / LENGTHS)
    groups = Groups.of(rewards=[[1, 0, 0, 1], [0, 1, 1, 1]], probability=[list(probability_S[:4]), list(probability_S[3:7])])
    none = load_recipe("clarity_weighted:weight_beta=0").credit(groups)
    np.testing.assert_array_equal(none, load_recipe("dapo:overlong=off").credit(groups))
    assert np.abs(load_recipe("clarity_weighted").credit(groups) - none).max() > 0.01


def test_constant_signs_have_the_gradients_they_claim():
    p, exact = pass_rate(), value_gradient(BINARY)
    any_right, any_wrong = 1 - (1 - p) ** G, 1 - p**G
    by_sequence = "divide=sequences"
    np.testing.assert_allclose(mean_gradient(f"positive_only:{by_sequence}", BINARY), any_right * exact / p, atol=1e-13)
    np.testing.assert_allclose(mean_gradient(f"rft:{by_sequence}", BINARY), any_right * exact / p, atol=1e-13)
    np.testing.assert_allclose(mean_gradient(f"negative_only:{by_sequence}", BINARY), any_wrong * exact / (1 - p), atol=1e-13)
    np.testing.assert_allclose(mean_gradient(f"w_reinforce:{by_sequence}", BINARY), 1.1 * exact, atol=1e-13)
    np.testing.assert_allclose(mean_gradient(f"w_reinforce:lambda=0.5,{by_sequence}", BINARY), 1.5 * exact, atol=1e-13)


def test_masked_signs_are_the_two_halves_of_grpo():
    p, exact = pass_rate(), value_gradient(BINARY)
    options = "divide=sequences,fill=off"
    positive, negative = (mean_gradient(f"{sign}_only_masked:{options}", BINARY) for sign in ("positive", "negative"))
    right = tabular.expectation_over_counts([z_scores(c + 1, G, 1e-6)[0] if c + 1 < G else 0.0 for c in range(G)], p)
    np.testing.assert_allclose(positive, right * exact, atol=1e-13)
    np.testing.assert_allclose(positive + negative, multiple_of_pass_rate_gradient(1e-6, 1, p) * exact, atol=1e-13)


def test_sft_follows_the_log_likelihood_of_the_demonstrations():
    recipe = load_recipe("sft")
    rows = [1, 4, 4, 0]
    inside_NT, logp_NT = TREE.inside_ST[rows], tabular.token_logps(TREE, LOGITS)[rows]
    credit_N = recipe.credit(Groups.of(rewards=[[1], [1], [1], [1]]))
    weights_NT = recipe.weigh(logp_NT, logp_NT, None, credit_N[:, None] * np.ones(inside_NT.shape), inside_NT)
    total_ST = np.zeros(TREE.inside_ST.shape)
    np.add.at(total_ST, rows, recipe.divide(inside_NT, 0 * inside_NT) * weights_NT)
    table = torch.tensor(LOGITS, requires_grad=True)
    logp = torch.log_softmax(table, dim=1)
    # Responses 1 and 4 have two tokens each, response 0 has one: 7 tokens.
    mean = sum(logp[c, v] for s in rows for c, v, i in zip(TREE.context_ST[s], TREE.token_ST[s], TREE.inside_ST[s], strict=True) if i) / 7
    assert isinstance(mean, torch.Tensor)
    (exact,) = torch.autograd.grad(mean, table)
    np.testing.assert_allclose(tabular.weighted_gradient(TREE, LOGITS, total_ST), exact.numpy(), atol=1e-13)


def test_kl_in_the_reward_is_the_exact_gradient_of_the_kl():
    beta = 0.3
    expected = value_gradient(GRADED) - beta * tabular.kl_gradient(TREE, LOGITS, REFERENCE)
    for text in ("reinforce", "rloo"):
        measured = mean_gradient(f"{text}:divide=sequences,kl=k1_reward,beta={beta}", GRADED)
        np.testing.assert_allclose(measured, expected, atol=1e-13)


@pytest.mark.parametrize(("kl", "forward"), [("k2", False), ("k3", True)])
def test_kl_in_the_loss_is_the_local_gradient(kl, forward):
    """At each context the KL of the next token, weighted by how often the policy gets there, that chance held fixed; by autograd."""
    beta = 0.3
    reach_C = np.zeros(len(TREE.contexts))
    np.add.at(reach_C, TREE.context_ST[TREE.inside_ST], np.repeat(tabular.probabilities(TREE, LOGITS), LENGTHS))
    table = torch.tensor(LOGITS, requires_grad=True)
    logp, reference = torch.log_softmax(table, dim=1), torch.log_softmax(torch.tensor(REFERENCE), dim=1)
    kl_C = (reference.exp() * (reference - logp)).sum(dim=1) if forward else (logp.exp() * (logp - reference)).sum(dim=1)
    (local,) = torch.autograd.grad((torch.tensor(reach_C) * kl_C).sum(), table)
    expected = value_gradient(GRADED) - beta * local.numpy()
    np.testing.assert_allclose(mean_gradient(f"rloo:divide=sequences,kl={kl},beta={beta}", GRADED), expected, atol=1e-13)
    exact = value_gradient(GRADED) - beta * tabular.kl_gradient(TREE, LOGITS, REFERENCE)
    assert np.abs(expected - exact).max() > 1e-3


def test_nothing_moves_once_every_token_is_clipped():
    recipe = load_recipe("dapo:overlong=off")
    old = tabular.token_logps(TREE, LOGITS)
    shift_ST = np.where(BINARY[:, None] == 1, np.log(1.29), np.log(0.79)) * TREE.inside_ST
    advantage_ST = np.where(BINARY[:, None] == 1, 1.0, -1.0) * np.ones(old.shape)
    assert not recipe.weigh(old + shift_ST, old, None, advantage_ST, TREE.inside_ST).any()
    assert recipe.clipped is not None
    np.testing.assert_array_equal(recipe.clipped(old + shift_ST, old, None, advantage_ST, TREE.inside_ST), TREE.inside_ST)
    nearer_ST = np.where(BINARY[:, None] == 1, np.log(1.27), np.log(0.81)) * TREE.inside_ST
    assert (recipe.weigh(old + nearer_ST, old, None, advantage_ST, TREE.inside_ST) != 0)[TREE.inside_ST].all()


def test_splitting_a_step_moves_nothing():
    """The scale is computed once for the step, so any split of its rows adds up to the same gradient."""
    rng = np.random.default_rng(9)
    rows_N = rng.integers(0, 7, size=8)
    groups = replace(
        Groups.of(rewards=[list(GRADED[rows_N[:4]]), list(GRADED[rows_N[4:]])]),
        num_tokens_N=LENGTHS[rows_N],
        probability_N=rng.uniform(size=8),
    )
    inside_NT, logp_NT = TREE.inside_ST[rows_N], tabular.token_logps(TREE, LOGITS)[rows_N]
    old_NT, reference_NT = logp_NT + rng.normal(scale=0.3, size=logp_NT.shape), tabular.token_logps(TREE, REFERENCE)[rows_N]
    for text in ("grpo", "dapo", "dr_grpo", "gspo:kl=k3", "cispo:kl=k1_reward", "grpo:divide=segments", "clarity_weighted:success=0"):
        recipe = load_recipe(text, max_tokens=2)
        scale_NT = recipe.divide(inside_NT, TREE.token_ST[rows_N])
        advantage_NT = recipe.credit(groups)[:, None] * np.ones(inside_NT.shape)
        totals = []
        for parts in (1, 2, 4, 8):
            gradient = np.zeros(LOGITS.shape)
            for piece in np.array_split(np.arange(8), parts):
                weights = recipe.weigh(logp_NT[piece], old_NT[piece], reference_NT[piece], advantage_NT[piece], inside_NT[piece])
                total_ST = np.zeros(TREE.inside_ST.shape)
                np.add.at(total_ST, rows_N[piece], scale_NT[piece] * weights)
                gradient += tabular.weighted_gradient(TREE, LOGITS, total_ST)
            totals.append(gradient)
        assert np.abs(totals[0]).max() > 1e-3, text
        for other in totals[1:]:
            np.testing.assert_allclose(other, totals[0], atol=1e-14)
