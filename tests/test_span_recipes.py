"""Where advantage and KL act: masks by span against the exact policy, whose positions are the spans; hand arithmetic; torch and autograd.

The responses of the exact policy have up to three tokens. The first two are an attempt, the third is a verdict, so a context belongs to a
span by its length alone: leaving out the scores of a span's tokens is leaving out the rows of the gradient of contexts of that length.
`labelled` says more of them, so that what is drawn decides: an attempt is right when its second token is 1, a verdict accepts with token 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from jominy.crediting import groups_of_rollouts, rows_to_step
from jominy.engines import tabular
from jominy.engines.learner import Learner
from jominy.engines.tabular import Tree
from jominy.recipes.battery import example_rows
from jominy.recipes.loading import load_recipe
from jominy.recipes.masks import layout, lying_in
from jominy.records import Reward, Rollout, Span, TrainRow
from tests import tiny
from tests.gradients import clip_loss, compare, gradient_of, log_probabilities, off_policy, passes_of, rows_of
from tests.test_recipe_surrogates import as_torch

TREE = Tree.of(vocabulary_size=3, max_length=3, stop_token=0)
LOGITS = np.random.default_rng(1).normal(size=(len(TREE.contexts), 3))
REFERENCE = np.random.default_rng(2).normal(size=LOGITS.shape)
LOGP, REFERENCE_LOGP = tabular.token_logps(TREE, LOGITS), tabular.token_logps(TREE, REFERENCE)
PROBABILITY = tabular.probabilities(TREE, LOGITS)
LENGTHS = TREE.inside_ST.sum(axis=1)
NUM_RESPONSES = len(LENGTHS)
REWARDS = np.random.default_rng(3).normal(size=NUM_RESPONSES)
DEPTH_C = np.array([len(context) for context in TREE.contexts])
POSITIONS = {
    "sampling": (0, 1),
    "attempt": (0, 1),
    "decision": (2,),
    "verdict": (2,),
    "sampling+decision": (0, 1, 2),
}
SECOND_S, THIRD_S = (np.where(place < LENGTHS, TREE.token_ST[:, place], -1) for place in (1, 2))
RIGHT_S, ACCEPTS_S = SECOND_S == 1, THIRD_S == 1
BETA = 0.3
# A response of three tokens has two of an attempt and one of a verdict: 3 / (2 * 2) and 3 / (2 * 1). The others have one stage.
FACTORS_BY_LENGTH = {1: [1.0, 0.0, 0.0], 2: [1.0, 1.0, 0.0], 3: [0.75, 0.75, 1.5]}


def make_rollout(num_tokens: int, *spans: Span, reward: float = 0.0) -> Rollout:
    return Rollout(
        prompt_id="p", index=0, text="", token_ids=np.arange(num_tokens), logprobs=None, logprobs_t1=None, stop="eos", policy="m",
        temperature=1.0, top_p=1.0, seed=0, spans=spans, reward=Reward(value=reward),
    )  # fmt: skip


def response(s: int, reward: float) -> Rollout:
    length = int(LENGTHS[s])
    verdict = (Span(kind="verdict.retry", start=2, end=3),) if length == 3 else ()
    return make_rollout(length, Span(kind="attempt.right", start=0, end=min(length, 2)), *verdict, reward=reward)


def labelled(s: int, reward: float) -> Rollout:
    length = int(LENGTHS[s])
    verdict = (Span(kind="verdict.accept" if ACCEPTS_S[s] else "verdict.retry", start=2, end=3),) if length == 3 else ()
    attempt = Span(kind="attempt.right" if RIGHT_S[s] else "attempt.wrong", start=0, end=min(length, 2))
    return make_rollout(length, attempt, *verdict, reward=reward)


def rows_for(text: str, rollouts: list[Rollout]) -> list[TrainRow]:
    recipe = load_recipe(text, 8)
    groups = groups_of_rollouts([rollouts], 1.0)
    return rows_to_step(recipe, [rollouts], groups, recipe.credit(groups), {"p": [1]})[0]


def mean_gradient(
    options: str,
    rewards_S: np.ndarray,
    reference_ST: np.ndarray = REFERENCE_LOGP,
    respond: Callable[[int, float], Rollout] = response,
) -> np.ndarray:
    """[C, V] exact mean of the gradient of a step of one response.

    The sum of a step of all responses is divided by their number, so each row times that number and its chance adds up to the mean.
    """
    recipe = load_recipe(f"reinforce:divide=sequences,{options}", 3)
    rollouts = [respond(s, reward) for s, reward in enumerate(rewards_S)]
    groups = groups_of_rollouts([rollouts], 1.0)
    rows, positions = rows_to_step(recipe, [rollouts], groups, recipe.credit(groups), {"p": [1]})
    total_ST = np.zeros(TREE.inside_ST.shape)
    for row, s in zip(rows, positions.tolist(), strict=True):
        length = len(row.completion_ids)
        logp, reference = LOGP[s : s + 1, :length], reference_ST[s : s + 1, :length]
        factors = None if row.kl_factors is None else row.kl_factors[None]
        weights = recipe.weigh(logp, logp, reference, row.advantages[None], row.inside[None], factors)
        total_ST[s, :length] = PROBABILITY[s] * NUM_RESPONSES * row.scale * weights[0]
    return tabular.weighted_gradient(TREE, LOGITS, total_ST)


def at_positions(gradient: np.ndarray, positions: tuple[int, ...]) -> np.ndarray:
    """The gradient without the scores of tokens elsewhere."""
    return gradient * np.isin(DEPTH_C, positions)[:, None]


def reward_gradient() -> np.ndarray:
    return tabular.expectation_gradient(TREE, LOGITS, REWARDS)


def chances_to_get_to() -> np.ndarray:
    """[C] chance that a response comes through each context."""
    reach_C = np.zeros(len(TREE.contexts))
    np.add.at(reach_C, TREE.context_ST[TREE.inside_ST], np.repeat(PROBABILITY, LENGTHS))
    return reach_C


def local_kl_gradient(positions: tuple[int, ...], *, forward: bool) -> np.ndarray:
    """Of the KL of the next token in each context of these lengths, times the chance to get there, held fixed; by autograd."""
    table = torch.tensor(LOGITS, requires_grad=True)
    logp, reference = torch.log_softmax(table, dim=1), torch.log_softmax(torch.tensor(REFERENCE), dim=1)
    kl_C = (reference.exp() * (reference - logp)).sum(dim=1) if forward else (logp.exp() * (logp - reference)).sum(dim=1)
    chosen_C = torch.tensor(chances_to_get_to() * np.isin(DEPTH_C, positions))
    (gradient,) = torch.autograd.grad((chosen_C * kl_C).sum(), table)
    return gradient.numpy()


def torch_logps() -> tuple[torch.Tensor, torch.Tensor]:
    """(the table, [S, T] log-probabilities of the tokens, 0 beyond the end)."""
    table = torch.tensor(LOGITS, requires_grad=True)
    logp = torch.log_softmax(table, dim=1)[torch.tensor(TREE.context_ST), torch.tensor(TREE.token_ST)]
    return table, torch.where(torch.tensor(TREE.inside_ST), logp, 0.0)


@pytest.mark.parametrize("name", ["sampling", "attempt", "decision", "verdict"])
def test_credit_by_span_is_the_gradient_without_the_other_scores(name):
    expected = at_positions(reward_gradient(), POSITIONS[name])
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(mean_gradient(f"credit_spans={name}", REWARDS), expected, atol=1e-13)
    np.testing.assert_allclose(mean_gradient(f"spans={name}", REWARDS), expected, atol=1e-13)


def test_the_parts_of_the_credit_add_up():
    parts = [mean_gradient(f"credit_spans={name}", REWARDS) for name in ("sampling", "decision")]
    np.testing.assert_allclose(parts[0] + parts[1], reward_gradient(), atol=1e-13)


def test_credit_by_what_is_drawn_is_that_of_a_reward_which_only_such_responses_have():
    expected = at_positions(tabular.expectation_gradient(TREE, LOGITS, REWARDS * RIGHT_S), (0, 1))
    measured = mean_gradient("credit_spans=attempt.right", REWARDS, respond=labelled)
    np.testing.assert_allclose(measured, expected, atol=1e-13)
    np.testing.assert_allclose(mean_gradient("spans=attempt.right", REWARDS, respond=labelled), expected, atol=1e-13)
    assert np.abs(measured - at_positions(reward_gradient(), (0, 1))).max() > 0.01, "not the attempts' part of the whole"
    wrong = mean_gradient("credit_spans=attempt.wrong", REWARDS, respond=labelled)
    np.testing.assert_allclose(measured + wrong, at_positions(reward_gradient(), (0, 1)), atol=1e-13)


def test_a_constant_drops_out_by_kind_and_not_by_what_is_drawn():
    """A baseline of 1 on verdicts has mean 0; on acceptances it pushes toward accepting."""
    ones = np.ones(NUM_RESPONSES)
    np.testing.assert_allclose(mean_gradient("credit_spans=verdict", ones, respond=labelled), 0.0, atol=1e-13)
    pushed = mean_gradient("credit_spans=verdict.accept", ones, respond=labelled)
    np.testing.assert_allclose(pushed, accepting(lambda logp, _: logp.exp()), atol=1e-13)
    assert (pushed[DEPTH_C == 2, 1] > 1e-3).all()


def accepting(of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> np.ndarray:
    """[C, V] gradient of a function of log p and log p_ref of accepting, mean over the verdicts, the ways there held fixed; by autograd."""
    table = torch.tensor(LOGITS, requires_grad=True)
    logp, reference = torch.log_softmax(table, dim=1), torch.log_softmax(torch.tensor(REFERENCE), dim=1)
    at_verdicts_C = torch.tensor(chances_to_get_to() * (DEPTH_C == 2))
    (gradient,) = torch.autograd.grad((at_verdicts_C * of(logp[:, 1], reference[:, 1])).sum(), table)
    return gradient.numpy()


def kl_of_acceptances() -> np.ndarray:
    """[C, V] exact gradient of the mean over responses of log p / p_ref of an accepting token, by autograd."""
    table, logp_ST = torch_logps()
    on_accept_S = torch.tensor(ACCEPTS_S) * (logp_ST - torch.tensor(REFERENCE_LOGP))[:, 2]
    (gradient,) = torch.autograd.grad((logp_ST.sum(dim=1).exp() * on_accept_S).sum(), table)
    return gradient.numpy()


@pytest.mark.parametrize(
    ("kl", "wanted", "sign"),
    [
        ("k2", lambda: accepting(lambda logp, reference: logp.exp() * (logp - reference)), -1.0),
        ("k3", lambda: accepting(lambda logp, reference: reference.exp() * (reference - logp)), 1.0),
        ("k1_reward", kl_of_acceptances, -1.0),
    ],
)
def test_where_the_drawn_token_decides_the_mean_of_the_kl_is_off_by_the_chance_of_the_label(kl, wanted, sign):
    measured = (reward_gradient() - mean_gradient(f"kl={kl},beta={BETA},kl_spans=verdict.accept", REWARDS, respond=labelled)) / BETA
    chance = accepting(lambda logp, _: logp.exp())
    np.testing.assert_allclose(measured - wanted(), sign * chance, atol=1e-12)
    assert np.abs(chance).max() > 1e-2


def test_where_the_credit_is_says_nothing_about_the_kl():
    expected = at_positions(reward_gradient(), (2,)) - BETA * local_kl_gradient((0, 1, 2), forward=False)
    np.testing.assert_allclose(mean_gradient(f"credit_spans=verdict,kl=k2,beta={BETA}", REWARDS), expected, atol=1e-13)


@pytest.mark.parametrize(("kl", "forward"), [("k2", False), ("k3", True)])
@pytest.mark.parametrize("name", ["attempt", "decision", "sampling+decision"])
def test_kl_in_the_loss_by_span_is_the_sum_of_the_local_gradients_there(kl, forward, name):
    local = local_kl_gradient(POSITIONS[name], forward=forward)
    assert np.abs(local).max() > 1e-3
    measured = mean_gradient(f"kl={kl},beta={BETA},kl_spans={name}", REWARDS)
    np.testing.assert_allclose(measured, reward_gradient() - BETA * local, atol=1e-13)


@pytest.mark.parametrize("name", ["attempt", "verdict"])
def test_kl_in_the_reward_by_span_is_the_exact_gradient_of_the_kl_there(name):
    table, logp_ST = torch_logps()
    chosen_T = torch.tensor(np.isin(np.arange(3), POSITIONS[name]))
    kl_S = ((logp_ST - torch.tensor(REFERENCE_LOGP)) * chosen_T).sum(dim=1)
    (exact,) = torch.autograd.grad((logp_ST.sum(dim=1).exp() * kl_S).sum(), table)
    measured = mean_gradient(f"kl=k1_reward,beta={BETA},kl_spans={name}", REWARDS)
    np.testing.assert_allclose(measured, reward_gradient() - BETA * exact.numpy(), atol=1e-13)
    if name == "verdict":
        # in the reward, the tokens before answer for the KL of a verdict that they lead to; in the loss they do not
        assert np.abs(at_positions(exact.numpy(), (0, 1))).max() > 1e-3
        assert not at_positions(mean_gradient("kl=k2,kl_spans=verdict", np.zeros(NUM_RESPONSES)), (0, 1)).any()


@pytest.mark.parametrize("kl", ["k2", "k3", "k1_reward"])
def test_balanced_factors_multiply_the_kl_of_each_token(kl):
    """Each response enumerated, the factors written out above; the loss differentiated, the sum to go a plain loop."""
    table, logp_ST = torch_logps()
    gap_ST = logp_ST - torch.tensor(REFERENCE_LOGP)
    factors_ST = torch.tensor(np.array([FACTORS_BY_LENGTH[int(length)] for length in LENGTHS]))
    if kl == "k1_reward":
        to_go_ST = torch.zeros(TREE.inside_ST.shape, dtype=torch.float64)
        for s, length in enumerate(LENGTHS.tolist()):
            for t in range(length):
                to_go_ST[s, t] = sum(float(factors_ST[s, u] * gap_ST[s, u].detach()) for u in range(t, length))
        loss_ST = logp_ST * to_go_ST
    else:
        loss_ST = factors_ST * (gap_ST**2 / 2 if kl == "k2" else torch.exp(-gap_ST) - 1 + gap_ST)
    (slope,) = torch.autograd.grad((torch.tensor(PROBABILITY)[:, None] * loss_ST).sum(), table)
    measured = mean_gradient(f"kl={kl},beta={BETA},kl_spans=balanced", REWARDS)
    np.testing.assert_allclose(measured, reward_gradient() - BETA * slope.numpy(), atol=1e-13)
    assert np.abs(measured - mean_gradient(f"kl={kl},beta={BETA}", REWARDS)).max() > 1e-3


@pytest.mark.parametrize("options", ["kl=k2", "kl=k3,kl_spans=verdict", "kl=k3,kl_spans=balanced", "kl=k1_reward,kl_spans=balanced"])
def test_at_the_starting_policy_no_token_has_a_kl(options):
    assert not mean_gradient(options, np.zeros(NUM_RESPONSES), reference_ST=LOGP).any()
    assert np.abs(mean_gradient(options, np.zeros(NUM_RESPONSES))).max() > 1e-3


def test_balanced_factors_by_hand():
    # 3 tokens of an attempt and 1 of a verdict: 4 / (2 * 3) and 4 / (2 * 1), which sum to 4; the last token is in no span.
    both = make_rollout(5, Span(kind="attempt", start=0, end=3), Span(kind="verdict", start=3, end=4))
    forced = make_rollout(2, Span(kind="attempt", start=0, end=1))
    rows = rows_for("grpo:kl=k3,kl_spans=balanced", [both, forced])
    assert [row.kl_factors is None for row in rows] == [False, False]
    np.testing.assert_allclose(np.asarray(rows[0].kl_factors), [2 / 3, 2 / 3, 2 / 3, 2, 1])
    np.testing.assert_allclose(np.asarray(rows[1].kl_factors), [1, 1])
    # Only what trains is counted: 2 tokens of the right attempt, 2 of verdicts, 1 of a check: 5 / (2 * 2) and 5 / (2 * 3).
    spans = [("attempt.wrong", 0, 4), ("check", 4, 5), ("verdict.retry", 5, 6), ("attempt.right", 6, 8), ("verdict.accept", 8, 9)]
    retried = make_rollout(9, *(Span(kind=kind, start=start, end=end) for kind, start, end in spans))
    (row,) = rows_for("sft:spans=attempt.right+check+verdict,kl=k3,kl_spans=balanced", [retried])
    assert row.inside.tolist() == [False] * 4 + [True] * 5, "the wrong attempt is masked"
    np.testing.assert_allclose(np.asarray(row.kl_factors), [1] * 4 + [5 / 6, 5 / 6, 5 / 4, 5 / 4, 5 / 6])
    assert rows_for("grpo:kl=k3", [both, forced])[0].kl_factors is None


def test_segments_give_decisions_half_of_each_response():
    spans = [("attempt.wrong", 0, 40), ("check", 40, 44), ("verdict.retry", 44, 45), ("attempt.right", 45, 85), ("verdict.accept", 85, 87)]
    retried = make_rollout(87, *(Span(kind=kind, start=start, end=end) for kind, start, end in spans), reward=1.0)
    forced = make_rollout(
        9, *(Span(kind=kind, start=5 * (kind == "verdict"), end=5 + (kind == "verdict")) for kind in ("attempt", "verdict"))
    )
    for text in ("sft:divide=segments,spans=sampling+decision", "grpo:divide=segments,spans=attempt+check+verdict"):
        rows = rows_for(text, [retried, forced])
        decision_NT = lying_in([retried, forced], ("decision",))
        for row, decision_T in zip(rows, decision_NT, strict=True):
            scale = row.scale / row.scale.sum()
            assert scale[decision_T[: len(scale)]].sum() == pytest.approx(0.5, abs=1e-15)
        assert [row.scale.sum() for row in rows] == pytest.approx([0.5, 0.5])
    # Tokens in no span train too unless they are left out, and are then a third stage.
    rows = rows_for("sft:divide=segments", [retried, forced])
    np.testing.assert_allclose(rows[1].scale, [1 / 30] * 5 + [1 / 6] + [1 / 18] * 3)
    # By tokens, decisions have 7 of 87.
    rows = rows_for("sft", [retried])
    assert rows[0].scale[decision_NT[0]].sum() == pytest.approx(7 / 87)


def test_rollouts_without_credit_do_not_train_and_count_in_the_divisor():
    judged = make_rollout(4, Span(kind="attempt", start=0, end=3), Span(kind="verdict", start=3, end=4), reward=1.0)
    rows = rows_for("grpo:scale=none,divide=tokens,credit_spans=decision", [judged, make_rollout(4)])
    assert len(rows) == 1
    assert rows[0].advantages.tolist() == [0, 0, 0, 0.5]  # 1 minus the mean of 1 and 0
    assert rows[0].inside.all()
    np.testing.assert_allclose(rows[0].scale, [1 / 8] * 4)
    rows = rows_for("grpo:scale=none,kl=k3,kl_spans=decision,credit_spans=decision", [judged, make_rollout(4)])
    assert [np.asarray(row.kl_factors).tolist() for row in rows] == [[0, 0, 0, 1], [0, 0, 0, 0]]


def test_spans_that_no_rollout_has_train_nothing():
    rollouts = [make_rollout(3, Span(kind="attempt.wrong", start=0, end=3), reward=1.0), make_rollout(2)]
    for text in ("spans=verdict", "spans=attempt.right", "credit_spans=decision", "credit_spans=plan", "spans=verdict,kl=k3"):
        assert rows_for(f"grpo:{text}", rollouts) == [], text
    # The reward still pays where only the KL has no place, and with one stage there is nothing to balance.
    for text, factor in (("kl_spans=check", 0), ("kl_spans=balanced", 1)):
        rows = rows_for(f"grpo:kl=k3,{text}", rollouts)
        assert [np.unique(np.asarray(row.kl_factors)).tolist() for row in rows] == [[factor], [factor]]
        assert all(row.advantages.all() for row in rows)


def test_a_kind_of_ones_own_is_a_stage_of_its_own():
    rollout = make_rollout(
        4, Span(kind="plan.long", start=0, end=2), Span(kind="check", start=2, end=3), Span(kind="verdict", start=3, end=4)
    )
    assert layout([rollout])[1].tolist() == [[2, 2, 1, 1]]
    assert lying_in([rollout], ("plan",)).tolist() == [[True, True, False, False]]


FACTORED = [
    "grpo:kl=k2,kl_spans=decision",
    "grpo:kl=k3,kl_spans=decision",
    "cispo:kl=k3,kl_spans=balanced",
    "dapo:kl=k1_reward,kl_spans=attempt",
]


@pytest.mark.parametrize("text", FACTORED)
def test_numpy_and_torch_agree_with_factors(text):
    rows = example_rows(5)
    rows = replace(rows, kl_factors_BT=np.random.default_rng(6).uniform(0, 3, size=rows.logp_BT.shape))
    recipe = load_recipe(text, 64)
    weights_BT = as_torch(rows).through(recipe.weigh)
    assert weights_BT.dtype == torch.float64
    np.testing.assert_allclose(weights_BT.numpy(), rows.through(recipe.weigh), rtol=1e-12, atol=1e-15)
    assert recipe.clipped is not None
    np.testing.assert_array_equal(as_torch(rows).through(recipe.clipped).numpy(), rows.through(recipe.clipped))
    ones = replace(rows, kl_factors_BT=np.ones(rows.logp_BT.shape))
    np.testing.assert_array_equal(ones.through(recipe.weigh), replace(rows, kl_factors_BT=None).through(recipe.weigh))


def test_a_factored_kl_in_the_reward_goes_through_ratio_and_clip():
    """The same as the recipe without a KL on rewards that carry it, clipped tokens included."""
    factors_BT = np.random.default_rng(8).choice([0.0, 1.0, 4.0], size=(24, 8))
    rows = replace(example_rows(7, num_rows=24), kl_factors_BT=factors_BT)
    returns_BT = rows.advantage_BT.copy()
    for b, t in np.argwhere(rows.inside_BT):
        for later in range(t, 8):
            if rows.inside_BT[b, later]:
                returns_BT[b, t] -= 0.5 * factors_BT[b, later] * (rows.old_BT[b, later] - rows.reference_BT[b, later])
    with_kl, without = load_recipe("dapo:kl=k1_reward,beta=0.5,kl_spans=attempt", 64), load_recipe("dapo", 64)
    plain = replace(rows, advantage_BT=returns_BT, kl_factors_BT=None)
    np.testing.assert_allclose(rows.through(with_kl.weigh), plain.through(without.weigh), atol=1e-12)
    assert with_kl.clipped is not None
    assert without.clipped is not None
    np.testing.assert_array_equal(rows.through(with_kl.clipped), plain.through(without.clipped))
    assert rows.through(with_kl.clipped).any()


def test_the_engine_steps_along_the_factored_loss():
    """Micro-batches on a tiny model, rows with and without factors side by side, against autograd of the textbook loss in float64."""
    torch.set_num_threads(2)
    rng = np.random.default_rng(9)
    oracle: Any = tiny.model("llama").double()
    rows = off_policy(oracle, rows_of(0, [5, 2], [[4, 3], [6]]), 1.0)
    rows = [replace(row, kl_factors=None if number == 1 else rng.uniform(0, 3, len(row.inside))) for number, row in enumerate(rows)]
    rows[0].inside[1] = False
    rows[2].advantages[:3] = 0.0
    total = torch.zeros((), dtype=torch.float64)
    for row, logp in zip(rows, log_probabilities(oracle, rows, 1.0), strict=True):
        assert row.old_logprobs is not None
        assert row.reference_logprobs is not None
        old, reference = torch.from_numpy(row.old_logprobs), torch.from_numpy(row.reference_logprobs)
        factors = torch.from_numpy(np.ones(len(row.inside)) if row.kl_factors is None else row.kl_factors)
        k3 = torch.exp(reference - logp) - 1 - (reference - logp)
        of_tokens = clip_loss(0.2, 0.2)(logp, old, reference, torch.from_numpy(row.advantages)) + 0.1 * factors * k3
        total = total + (torch.from_numpy(row.scale * row.inside) * of_tokens).sum()
    oracle.zero_grad()
    total.backward()
    recipe = load_recipe("grpo:kl=k3,beta=0.1,kl_spans=decision")
    model = tiny.model("llama")
    Learner(passes_of(model, tokens=12)).gradient(rows, recipe.weigh, clipped=recipe.clipped)
    angle, length = compare(gradient_of(model), gradient_of(oracle))
    assert angle < 1e-6
    assert length < 1e-4
