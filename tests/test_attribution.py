"""Coefficients by stage: exact for GRPO and SFT, by hand for contrasts, and signal told from noise."""

from __future__ import annotations

import numpy as np
import pytest

from jominy.groups import Groups
from jominy.measures.attempts import DECISION, SAMPLING, AttemptTable, TokenTable
from jominy.measures.attribution import Attribution, attempt_rows, attribute, logit_attribution, masses
from jominy.measures.signal import signal_and_noise
from jominy.recipes import divisors
from jominy.recipes.loading import load_recipe

TRACES = [["wr ca", "ca", "wa", "wr wf"], ["cr cf", "wr ca", "ca", "cr wf"]]
LAYOUT = [["sssdvssdv", "sssssdv", "ssdv", "sssdvs-"], ["sdvsss", "sssdvssssdv", "ssdv", "ssdvs"]]
ATTEMPTS, TOKENS = AttemptTable.of(TRACES), TokenTable.of(LAYOUT)
REWARDS = [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]]


def on_policy(recipe_text: str) -> np.ndarray:
    """[M] what a step of the recipe on policy multiplies each token's score with."""
    recipe = load_recipe(recipe_text)
    inside_NT, segment_NT = grid()
    logp_NT = np.where(inside_NT, np.log(np.random.default_rng(2).random(inside_NT.shape)), 0.0)
    advantages_N = recipe.credit(Groups.of(rewards=REWARDS))
    weights_NT = recipe.weigh(logp_NT, logp_NT, None, advantages_N[:, None] * np.ones(inside_NT.shape), inside_NT)
    coefficients: np.ndarray = (weights_NT * recipe.divide(inside_NT, segment_NT))[inside_NT]
    return coefficients


def grid() -> tuple[np.ndarray, np.ndarray]:
    """[N, T] whether a response reaches so far, and the stage."""
    lengths = np.bincount(TOKENS.rollout_M)
    inside_NT = np.arange(lengths.max()) < lengths[:, None]
    segment_NT = np.zeros(inside_NT.shape, dtype=np.int64)
    segment_NT[inside_NT] = TOKENS.stage_M
    return inside_NT, segment_NT


def contrasts(found: Attribution) -> list[float | None]:
    return [found.right_contrast.value, found.wrong_contrast.value, found.attempt_contrast.value]


@pytest.mark.parametrize("recipe", ["grpo", "dapo:fill=off,overlong=off", "dr_grpo:divide=sequences", "sft"])
def test_an_advantage_a_response_credits_every_token_alike(recipe):
    found = attribute(TOKENS, ATTEMPTS, on_policy(recipe)).masses
    assert found.per_token_ratio.value == 1.0
    assert found.mass_share.value == found.token_share.value
    # by counting letters: d and v over s, d and v
    letters = [text.replace("-", "") for group in LAYOUT for text in group]
    assert found.token_share.value == pytest.approx(np.mean([1 - text.count("s") / len(text) for text in letters]))
    assert found.verdict_share.value == pytest.approx(np.mean([text.count("v") / len(text) for text in letters]))


def test_sums_over_responses_would_say_otherwise():
    found = attribute(TOKENS, ATTEMPTS, on_policy("grpo")).masses
    assert found.decision.value is not None
    assert found.sampling.value is not None
    assert abs(found.decision.value / found.sampling.value - 1) > 0.02


def test_segments_give_decisions_half():
    # Every response of the layout has both stages; the one with a token in no stage gives a third to each of three kinds.
    inside_NT, segment_NT = grid()
    found = attribute(TOKENS, ATTEMPTS, divisors.per_segment(inside_NT, segment_NT)[inside_NT]).masses
    assert found.mass_share.value == pytest.approx(0.5)
    # three and two tokens: 1/2 over 3 and 1/2 over 2
    by_hand = masses(TokenTable.of([["sssdv"]]), np.array([1 / 6, 1 / 6, 1 / 6, 1 / 4, 1 / 4]))
    assert by_hand.mass_share.value == pytest.approx(0.5)
    assert by_hand.per_token_ratio.value == pytest.approx(1.5)


def test_learning_by_heart_knows_no_outcome():
    for coefficient in (on_policy("sft"), np.full(len(TOKENS.stage_M), 0.1)):
        found = attribute(TOKENS, ATTEMPTS, coefficient)
        assert contrasts(found) == [0.0, 0.0, 0.0]
    assert found.right_accept.value == pytest.approx(0.1)
    assert found.on_retry.value == pytest.approx(0.1)


def test_cells_and_contrasts_by_hand():
    # One number a response: its coefficient. Right accepted: 2, 3 (second prompt: -1, 4). Wrong retried: 2, 0 (-1). And so on.
    by_response = np.array([2.0, 3.0, -1.5, 0.5, 1.0, -1.0, 4.0, -2.0])
    found = attribute(TOKENS, ATTEMPTS, by_response[TOKENS.rollout_M])
    assert found.right_accept.value == pytest.approx((2 + 3 - 1 + 4) / 4)
    assert found.right_retry.value == pytest.approx((1 - 2) / 2)
    assert found.wrong_accept.value == pytest.approx(-1.5)
    assert found.wrong_retry.value == pytest.approx((2 + 0.5 - 1) / 3)
    assert found.right_contrast.value == pytest.approx(2 + 0.5)
    assert found.wrong_contrast.value == pytest.approx(0.5 + 1.5)
    # Attempts: right in 1 (second), 2, 5 (both), 6 (second), 7, 8 (first); wrong in 1, 3, 4 (both), 6, 8 (second)
    right, wrong = [2, 3, 1, 1, -1, 4, -2], [2, -1.5, 0.5, 0.5, -1, -2]
    assert found.attempt_contrast.value == pytest.approx(np.mean(right) - np.mean(wrong))
    assert found.on_accept.value == pytest.approx((2 + 3 + 1.5 + 1 + 4) / 5)
    assert found.on_retry.value == pytest.approx((2 + 0.5 + 1 + 1 + 2) / 5)
    assert found.num_without_verdict == 0


def test_a_verdict_of_two_tokens_counts_once():
    tokens, attempts = TokenTable.of([["svv", "sv"]]), AttemptTable.of([["ca", "ca"]])
    found = attribute(tokens, attempts, np.array([0.0, 1.0, 3.0, 0.0, 5.0]))
    assert found.right_accept.value == pytest.approx((2 + 5) / 2)
    assert attribute(TokenTable.of([["ss", "sv"]]), attempts, np.ones(4)).num_without_verdict == 1


def test_reinforce_contrasts_are_the_advantages_of_deciding():
    # Baseline b = V and no division: right, accepted pays 1 - V; wrong, accepted 0 - V; a retry the value that follows, minus V.
    # Of 4 retries after a wrong one 1 comes out right: .25 - V; of 4 after a right one 3: .75 - V.
    traces = [["ca", "wa"] + ["wr cf"] + ["wr wf"] * 3 + ["cr cf"] * 3 + ["cr wf"]]
    rewards = np.array([1, 0, 1, 0, 0, 0, 1, 1, 1, 0], dtype=float)
    tokens = TokenTable.of([["sv", "sv"] + ["svs"] * 8])
    found = attribute(tokens, AttemptTable.of(traces), (rewards - rewards.mean())[tokens.rollout_M])
    assert found.right_contrast.value == pytest.approx(1 - 0.75)
    assert found.wrong_contrast.value == pytest.approx(0.25)


def test_the_clip_is_counted_by_stage():
    clipped = np.zeros(len(TOKENS.stage_M), dtype=bool)
    clipped[np.flatnonzero(TOKENS.stage_M == SAMPLING)[:3]] = True
    clipped[np.flatnonzero(TOKENS.stage_M == DECISION)[:1]] = True
    found = attribute(TOKENS, ATTEMPTS, on_policy("grpo"), clipped)
    text = "".join("".join(group) for group in LAYOUT)
    assert found.clipped_sampling.value == pytest.approx(3 / text.count("s"))
    assert found.clipped_decision.value == pytest.approx(1 / (text.count("d") + text.count("v")))
    unknown = attribute(TOKENS, ATTEMPTS, on_policy("grpo"))
    assert (unknown.clipped_sampling.value, unknown.clipped_sampling.why_none) == (None, "the objective has no clip")


def test_responses_without_size_or_stage_are_counted():
    tokens = TokenTable.of([["ssdv", "--", "ssdv"], ["ss", "dv"]])
    size = np.repeat([1.0, 5.0, 0.0, 2.0, 3.0], [4, 2, 4, 2, 2])
    found = masses(tokens, size)
    assert (found.num_empty, found.num_zero) == (1, 1)
    assert found.mass_share.value == pytest.approx((0.5 + 0 + 1) / 3)
    assert found.per_token_ratio.value == 1.0
    assert found.per_token_ratio.num_left_out == 1
    only_decisions = masses(TokenTable.of([["ssdv"]]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert (only_decisions.mass_share.value, only_decisions.per_token_ratio.value) == (1.0, None)
    nothing = masses(TokenTable.of([["--"]]), np.ones(2))
    assert nothing.mass_share.value is None
    assert nothing.mass_share.why_none


def test_logits_weigh_what_the_policy_was_unsure_of():
    # |c| sqrt(1 - 2 pi_a + ||pi||^2): a sure token (pi_a = 1) reaches no logit; a coin has sqrt(1 - 1 + 1/2)
    tokens = TokenTable.of([["sv"]])
    found = logit_attribution(tokens, np.array([2.0, -2.0]), np.array([np.sqrt(0.5), 0.0]))
    assert found.sampling.value == pytest.approx(2 * np.sqrt(0.5))
    assert (found.mass_share.value, found.token_share.value) == (0.0, 0.5)


def test_rows_of_attempts():
    rows = attempt_rows(TokenTable.of([["svs-", "ssv"]]), AttemptTable.of([["wr cf", "ca"]]))
    np.testing.assert_array_equal(rows, [0, 0, 1, -1, 2, 2, 2])
    fewer = attempt_rows(TokenTable.of([["svsv"]]), AttemptTable.of([["wr"]]))
    np.testing.assert_array_equal(fewer, [0, 0, -1, -1])


def test_the_order_of_responses_does_not_matter():
    backward = attribute(
        TokenTable.of([group[::-1] for group in LAYOUT[::-1]]),
        AttemptTable.of([group[::-1] for group in TRACES[::-1]]),
        np.arange(8.0)[::-1][TokenTable.of([group[::-1] for group in LAYOUT[::-1]]).rollout_M],
    )
    forward = attribute(TOKENS, ATTEMPTS, np.arange(8.0)[TOKENS.rollout_M])
    for name in ("right_contrast", "wrong_contrast", "attempt_contrast", "on_accept"):
        one, other = getattr(forward, name), getattr(backward, name)
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert forward.masses.mass_share.value == pytest.approx(backward.masses.mass_share.value)


def test_tables_and_columns_that_do_not_fit():
    with pytest.raises(ValueError, match="same rollouts in the same order"):
        attribute(TOKENS, AttemptTable.of([["ca"]]), np.ones(len(TOKENS.stage_M)))
    with pytest.raises(ValueError, match="coefficient_M has 3 entries"):
        attribute(TOKENS, ATTEMPTS, np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        attribute(TOKENS, ATTEMPTS, np.full(len(TOKENS.stage_M), np.nan))
    with pytest.raises(ValueError, match="must not be below 0"):
        masses(TOKENS, -np.ones(len(TOKENS.stage_M)))
    with pytest.raises(ValueError, match="clipped_M has 1 entries"):
        attribute(TOKENS, ATTEMPTS, np.ones(len(TOKENS.stage_M)), np.ones(1, dtype=bool))


# Signal and noise ----------------------------------------------------------------------------------------------------------------------


def inner_products(parts_M3X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two tables that are streamed."""
    mean_3X = parts_M3X.mean(axis=0)
    return np.einsum("mpx,mqx->pq", parts_M3X, parts_M3X) / len(parts_M3X), mean_3X @ mean_3X.T


def test_signal_and_noise_against_the_gradients_themselves():
    parts_M3X = np.random.default_rng(3).normal(0.3, 1.0, size=(6, 3, 5))
    found = signal_and_noise(*inner_products(parts_M3X), num_batches=6)
    sampling, decision = parts_M3X[:, SAMPLING], parts_M3X[:, DECISION]
    assert found.noise_sampling == pytest.approx(np.trace(np.cov(sampling.T)))
    assert found.noise_decision == pytest.approx(np.trace(np.cov(decision.T)))
    mean_s, mean_d, mean = sampling.mean(axis=0), decision.mean(axis=0), parts_M3X.sum(axis=1).mean(axis=0)
    assert found.signal_decision == pytest.approx(mean_d @ mean_d - np.trace(np.cov(decision.T)) / 6)
    assert found.cosine == pytest.approx(mean_s @ mean_d / np.linalg.norm(mean_s) / np.linalg.norm(mean_d))
    assert found.share_decision == pytest.approx(mean_d @ mean / (mean @ mean))
    assert found.share_sampling is not None
    assert found.share_decision is not None
    assert found.share_none is not None
    assert found.share_sampling + found.share_decision + found.share_none == pytest.approx(1.0)


def test_the_signal_is_right_on_average_where_raw_norms_are_not():
    draw, truth = np.random.default_rng(4), np.zeros((3, 20))
    truth[SAMPLING, 0], truth[DECISION, 1] = 1.0, 2.0
    signals, raw, shares = [], [], []
    for _ in range(400):
        tables = inner_products(truth + draw.normal(size=(5, 3, 20)) * np.array([0.0, 2.0, 0.5])[:, None])
        found = signal_and_noise(*tables, num_batches=5)
        signals.append((found.signal_sampling, found.signal_decision))
        raw.append((tables[1][SAMPLING, SAMPLING], tables[1][DECISION, DECISION]))
        assert found.share_decision is not None
        shares.append(found.share_decision)
    np.testing.assert_allclose(np.mean(signals, axis=0), [1.0, 4.0], atol=0.4)
    # ||mean||^2 has tr(cov) / M on top: 20 * 4 / 5 and 20 * .25 / 5
    np.testing.assert_allclose(np.mean(raw, axis=0), [17.0, 5.0], atol=0.9)
    # By raw norms sampling seems to have most of a gradient that is four fifths the decision's.
    assert np.mean(shares) < 0.5
    signal_sampling, signal_decision = np.mean(signals, axis=0)
    assert signal_decision / (signal_sampling + signal_decision) == pytest.approx(0.8, abs=0.05)


def test_signal_needs_batches_and_tables():
    with pytest.raises(ValueError, match="at least two micro-batches, got 1"):
        signal_and_noise(np.eye(3), np.eye(3), num_batches=1)
    with pytest.raises(ValueError, match=r"must be \[3, 3\]"):
        signal_and_noise(np.eye(2), np.eye(2), num_batches=4)
    nothing = signal_and_noise(np.zeros((3, 3)), np.zeros((3, 3)), num_batches=4)
    assert (nothing.cosine, nothing.share_decision, nothing.snr_sampling, nothing.signal_share_decision) == (None, None, None, None)
