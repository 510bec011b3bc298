"""The exact policy against finite differences, brute force and its own samples: the oracle is itself held to an oracle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from jominy.engines import Engine, tabular
from jominy.engines.tabular import TabularEngine, Tree
from jominy.records import Message, Prompt, Rollout, Row, Sampling


def make_prompt(name: str = "p", table: int = 0) -> Prompt:
    return Prompt(id=name, task="toy", messages=(Message(role="user", content=name),), info={"table": table})


@pytest.fixture
def tree() -> Tree:
    return Tree.of(vocabulary_size=3, max_length=3, stop_token=0)


@pytest.fixture
def logits(tree: Tree) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(len(tree.contexts), tree.vocabulary_size))


def finite_differences(function, logits: np.ndarray, step: float = 1e-5) -> np.ndarray:
    gradient = np.zeros_like(logits)
    for index in np.ndindex(*logits.shape):
        up, down = logits.copy(), logits.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


def plain_probability(tree: Tree, logits: np.ndarray, sequence: tuple[int, ...]) -> float:
    """The same number with a loop and math.exp, no logarithms."""
    chance = 1.0
    for position, token in enumerate(sequence):
        row = [math.exp(value) for value in logits[tree.contexts.index(sequence[:position])]]
        chance *= row[token] / sum(row)
    return chance


def test_tree_lists_every_response_once(tree: Tree) -> None:
    # Two words: 1 + 2 + 4 contexts; ended responses 1 + 2 + 4, cut ones 2^3.
    assert len(tree.contexts) == 7
    assert len(tree.sequences) == 15
    brute = {s for n in (1, 2, 3) for s in itertools.product(range(3), repeat=n) if 0 not in s[:-1] and (s[-1] == 0 or n == 3)}
    assert set(tree.sequences) == brute


def test_probabilities_equal_a_plain_loop_and_sum_to_one(tree: Tree, logits: np.ndarray) -> None:
    chance = tabular.probabilities(tree, logits)
    np.testing.assert_allclose(chance, [plain_probability(tree, logits, s) for s in tree.sequences], rtol=1e-12)
    assert chance.sum() == pytest.approx(1.0, abs=1e-12)


def test_expected_reward_gradient_equals_finite_differences(tree: Tree, logits: np.ndarray) -> None:
    rewards = np.random.default_rng(6).normal(size=len(tree.sequences))
    exact = tabular.expectation_gradient(tree, logits, rewards)
    numeric = finite_differences(
        lambda z: sum(plain_probability(tree, z, s) * r for s, r in zip(tree.sequences, rewards, strict=True)), logits
    )
    np.testing.assert_allclose(exact, numeric, atol=1e-8)


def test_weighted_gradient_equals_finite_differences(tree: Tree, logits: np.ndarray) -> None:
    weights = np.random.default_rng(7).normal(size=tree.inside_ST.shape)
    exact = tabular.weighted_gradient(tree, logits, weights)
    numeric = finite_differences(lambda z: float((weights * tabular.token_logps(tree, z)).sum()), logits)
    np.testing.assert_allclose(exact, numeric, atol=1e-7)


def test_kl_and_its_gradient(tree: Tree, logits: np.ndarray) -> None:
    reference = np.random.default_rng(8).normal(size=logits.shape)
    p = [plain_probability(tree, logits, s) for s in tree.sequences]
    q = [plain_probability(tree, reference, s) for s in tree.sequences]
    assert tabular.kl(tree, logits, reference) == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)), rel=1e-10)
    assert tabular.kl(tree, logits, logits) == 0.0
    numeric = finite_differences(lambda z: tabular.kl(tree, z, reference), logits)
    np.testing.assert_allclose(tabular.kl_gradient(tree, logits, reference), numeric, atol=1e-8)


def test_pass_at_k_by_enumerating_groups(tree: Tree, logits: np.ndarray) -> None:
    right = np.array([s[0] == 1 for s in tree.sequences])
    enumerated = tabular.expectation_over_groups(tree, logits, 3, lambda members: np.asarray(right[members].any(axis=1)))
    assert tabular.pass_at_k(tree, logits, right, 3) == pytest.approx(float(enumerated), rel=1e-12)


def test_counts_and_groups_agree(tree: Tree, logits: np.ndarray) -> None:
    right = np.array([len(s) == 2 for s in tree.sequences])
    rate = tabular.expectation(tree, logits, right.astype(float))
    values = [0.3, -1.0, 2.0, 5.0]
    by_groups = tabular.expectation_over_groups(tree, logits, 3, lambda members: np.array(values)[right[members].sum(axis=1)])
    assert tabular.expectation_over_counts(values, rate) == pytest.approx(float(by_groups), rel=1e-12)


def test_too_many_groups_are_refused(tree: Tree, logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="too many to enumerate"):
        tabular.expectation_over_groups(tree, logits, 8, lambda members: members)
    with pytest.raises(ValueError, match="smaller table"):
        Tree.of(vocabulary_size=1000, max_length=5)


def test_leave_one_out_gradient_is_unbiased_exactly(logits: np.ndarray) -> None:
    # The mean over all groups of (1/G) sum_i (r_i - mean of the others) d log pi(s_i) is the policy gradient; nothing is sampled here.
    tree = Tree.of(vocabulary_size=3, max_length=2)
    table = logits[: len(tree.contexts)]
    rewards = np.random.default_rng(9).normal(size=len(tree.sequences))
    directions = np.stack(
        [tabular.weighted_gradient(tree, table, np.eye(len(tree.sequences))[s][:, None]) for s in range(len(tree.sequences))]
    )

    def estimate(members: np.ndarray) -> np.ndarray:
        drawn = rewards[members]
        advantages = drawn - (drawn.sum(axis=1, keepdims=True) - drawn) / (members.shape[1] - 1)
        return np.asarray(np.einsum("mg,mgcv->mcv", advantages, directions[members]) / members.shape[1])

    mean = tabular.expectation_over_groups(tree, table, 3, estimate)
    np.testing.assert_allclose(mean, tabular.expectation_gradient(tree, table, rewards), atol=1e-12)


def test_sampled_frequencies_match_probabilities(tree: Tree, logits: np.ndarray) -> None:
    engine: Engine = TabularEngine(tree, logits[None])
    [group] = engine.sample([make_prompt()], 20_000, Sampling(max_tokens=3), seed=1)
    number = {sequence: s for s, sequence in enumerate(tree.sequences)}
    counts = np.bincount([number[tuple(rollout.token_ids.tolist())] for rollout in group], minlength=len(tree.sequences))
    expected = 20_000 * np.array([plain_probability(tree, logits, s) for s in tree.sequences])
    # chi-square with 14 degrees of freedom: the 99.9 % quantile is 36.1.
    assert float(((counts - expected) ** 2 / expected).sum()) < 36.1
    assert {r.stop for r in group} == {"eos", "length"}
    assert all((r.token_ids[-1] == 0) == (r.stop == "eos") for r in group)


def test_reinforce_from_samples_agrees_with_the_exact_gradient(tree: Tree, logits: np.ndarray) -> None:
    engine = TabularEngine(tree, logits[None])
    [group] = engine.sample([make_prompt()], 4_000, Sampling(max_tokens=3), seed=2)
    number = {sequence: s for s, sequence in enumerate(tree.sequences)}
    rewards = np.random.default_rng(10).normal(size=len(tree.sequences))

    def one(rollout: Rollout) -> np.ndarray:
        reward = rewards[number[tuple(rollout.token_ids.tolist())]]
        row = Row(prompt_ids=np.array([0]), completion_ids=rollout.token_ids, weights=np.full(len(rollout.token_ids), reward))
        return np.asarray(engine.gradient([row])[0])

    estimates = np.stack([one(rollout) for rollout in group])
    error = estimates.mean(axis=0) - tabular.expectation_gradient(tree, logits, rewards)
    # 21 entries: four standard errors leave a false alarm in 750.
    assert np.all(np.abs(error) <= 4 * estimates.std(axis=0, ddof=1) / math.sqrt(len(group)))


def test_rescored_logprobs_equal_the_sampled_ones(tree: Tree, logits: np.ndarray) -> None:
    engine = TabularEngine(tree, logits[None])
    [group] = engine.sample([make_prompt()], 50, Sampling(temperature=0.7, max_tokens=3), seed=3)
    rows = [Row(prompt_ids=np.array([0]), completion_ids=rollout.token_ids) for rollout in group]
    for rollout, scored in zip(group, engine.logprobs(rows), strict=True):
        assert rollout.logprobs_t1 is not None
        assert rollout.logprobs is not None
        np.testing.assert_allclose(scored, rollout.logprobs_t1, rtol=1e-12)
        first = np.exp(logits[0] / 0.7)
        assert rollout.logprobs[0] == pytest.approx(math.log(first[rollout.token_ids[0]] / first.sum()))


def test_same_seed_same_rollouts_in_any_company(tree: Tree, logits: np.ndarray) -> None:
    engine = TabularEngine(tree, np.stack([logits, -logits]))
    sampling = Sampling(max_tokens=3)

    def texts(prompts: list[Prompt], count: int, seed: int) -> dict[str, list[str]]:
        return {group[0].prompt_id: [rollout.text for rollout in group] for group in engine.sample(prompts, count, sampling, seed)}

    a, b = make_prompt("a"), make_prompt("b", table=1)
    both = texts([a, b], 8, 4)
    assert texts([b], 8, 4)["b"] == both["b"]
    assert texts([a], 5, 4)["a"] == both["a"][:5]
    assert texts([a], 8, 5)["a"] != both["a"]


def test_greedy_and_nucleus_sampling() -> None:
    tree = Tree.of(vocabulary_size=4, max_length=1)
    logits = np.log([[0.4, 0.3, 0.2, 0.1]])
    engine = TabularEngine(tree, logits[None], words=("", "a", "b", "c"))
    [greedy] = engine.sample([make_prompt()], 5, Sampling(temperature=0.0), seed=0)
    assert {int(rollout.token_ids[0]) for rollout in greedy} == {0}
    assert greedy[0].text == ""
    [nucleus] = engine.sample([make_prompt()], 4_000, Sampling(top_p=0.65), seed=0)
    drawn = np.bincount([int(rollout.token_ids[0]) for rollout in nucleus], minlength=4) / 4_000
    # 0.4 + 0.3 is the smallest set that reaches 0.65: 4/7 and 3/7, four standard errors of sqrt(.245 / 4000) = .0078.
    np.testing.assert_allclose(drawn, [4 / 7, 3 / 7, 0, 0], atol=0.032)
    # The log-probability is the full-vocabulary one, before top-p.
    assert nucleus[0].logprobs is not None
    assert np.exp(nucleus[0].logprobs[0]) == pytest.approx([0.4, 0.3][int(nucleus[0].token_ids[0])])


def test_max_tokens_cuts(tree: Tree, logits: np.ndarray) -> None:
    calls: list[tuple[int, int]] = []
    engine = TabularEngine(tree, logits[None])
    [group] = engine.sample(
        [make_prompt()], 6, Sampling(max_tokens=1), 0, on_progress=lambda rollouts, tokens: calls.append((rollouts, tokens))
    )
    assert all(len(rollout.token_ids) == 1 for rollout in group)
    assert all((rollout.stop == "eos") == (rollout.token_ids[0] == 0) for rollout in group)
    assert calls == [(6, 6)]


def test_step_is_the_gradient_of_the_weighted_likelihood(tree: Tree, logits: np.ndarray) -> None:
    tables = np.stack([logits, 2 * logits])
    engine = TabularEngine(tree, tables)
    rows = [
        Row(prompt_ids=np.array([0]), completion_ids=np.array([1, 2, 0]), weights=np.array([0.5, -1.0, 2.0])),
        Row(prompt_ids=np.array([1]), completion_ids=np.array([2, 0]), weights=np.array([1.0, 0.25])),
        Row(prompt_ids=np.array([0]), completion_ids=np.array([1, 0]), weights=np.array([3.0, 1.0])),
    ]

    def likelihood(z: np.ndarray) -> float:
        found = TabularEngine(tree, z).logprobs(rows)
        return float(sum((row.weights * scored).sum() for row, scored in zip(rows, found, strict=True) if row.weights is not None))

    engine.step(rows, 0.1, divide=4.0)
    np.testing.assert_allclose(engine.logits_QCV, tables + 0.1 / 4 * finite_differences(likelihood, tables), atol=1e-8)
    assert likelihood(engine.logits_QCV) > likelihood(tables)


def test_zero_weights_leave_the_tables_bit_identical(tree: Tree, logits: np.ndarray) -> None:
    engine = TabularEngine(tree, logits[None])
    engine.step([Row(prompt_ids=np.array([0]), completion_ids=np.array([1, 0]), weights=np.zeros(2))], 1.0)
    assert engine.logits_QCV.tobytes() == logits[None].tobytes()


@pytest.mark.parametrize(
    ("prompt_ids", "completion_ids", "message"),
    [
        ([0], [0, 1], "over before token 1"),
        ([0], [7], "outside the vocabulary"),
        ([3], [0], "number of one of 1 tables"),
        ([0, 0], [0], "tables"),
    ],
)
def test_impossible_rows_are_named(tree: Tree, logits: np.ndarray, prompt_ids: list[int], completion_ids: list[int], message: str) -> None:
    row = Row(prompt_ids=np.array(prompt_ids), completion_ids=np.array(completion_ids))
    with pytest.raises(ValueError, match=message):
        TabularEngine(tree, logits[None]).logprobs([row])


def test_bad_tables_and_prompts_are_refused(tree: Tree, logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="logits_QCV must be"):
        TabularEngine(tree, logits)
    with pytest.raises(ValueError, match="words must name all 3"):
        TabularEngine(tree, logits[None], words=("a",))
    with pytest.raises(ValueError, match="asks for table 2"):
        TabularEngine(tree, logits[None]).encode(make_prompt(table=2))
    with pytest.raises(ValueError, match="needs a weight"):
        TabularEngine(tree, logits[None]).gradient([Row(prompt_ids=np.array([0]), completion_ids=np.array([0]))])
