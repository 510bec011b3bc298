"""An exact policy in NumPy: a softmax table for every context, small enough to write down every response with its probability.

    pi(s) = prod_t softmax(z[context_t])[token_t],      d log pi(token | c) / d z[c, v] = 1[v = token] - pi(v | c)

So expected rewards, pass@k, KL and their gradients are sums, not samples: the oracle that recipes, losses and engines are held against,
and an engine that makes documentation and tests instant. A response ends with the stop token or is cut at `max_length` tokens.
Sizes: (W^T - 1) / (W - 1) contexts for W = vocabulary - 1 words and T tokens; a thousand responses are comfortable, a million are not.
Left out on purpose: shared parameters between contexts. Without them every gradient can be checked by eye, and none generalises.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jominy.engines import OnProgress
from jominy.records import Floats, Ints, Prompt, Rollout, Row, Sampling

Doubles = NDArray[np.float64]
MAX_SEQUENCES = 1_000_000
MAX_GROUPS = 4_000_000
GROUPS_AT_A_TIME = 1 << 16
END = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """Every response over a vocabulary, as paths through contexts.

    Example: Tree.of(vocabulary_size=2, max_length=2, stop_token=0).sequences == ((0,), (1, 0), (1, 1))      # (1, 1) is cut
    """

    vocabulary_size: int
    """V, the stop token included."""
    max_length: int
    """T, the longest response in tokens."""
    stop_token: int
    """Ends a response; 0 <= stop_token < V."""
    contexts: tuple[tuple[int, ...], ...]
    """[C] what was said before a token, shortest first; context 0 is empty."""
    next_context_CV: Ints
    """[C, V] the context after each token; END where the response is over."""
    sequences: tuple[tuple[int, ...], ...]
    """[S] all responses, in lexical order of their contexts."""
    context_ST: Ints
    """[S, T] the context in which each token was chosen; 0 beyond the end."""
    token_ST: Ints
    """[S, T] the tokens; 0 beyond the end."""
    inside_ST: NDArray[np.bool_]
    """[S, T] whether the response reaches this far."""

    @staticmethod
    def of(*, vocabulary_size: int, max_length: int, stop_token: int = 0) -> Tree:
        """All contexts and responses.

        Raises:
            ValueError: there are none, or more than a million.
        """
        if vocabulary_size < 2 or max_length < 1 or not 0 <= stop_token < vocabulary_size:
            raise ValueError("a tree needs a word beside the stop token, max_length >= 1 and a stop token inside the vocabulary")
        words = [token for token in range(vocabulary_size) if token != stop_token]
        if sum(len(words) ** length for length in range(max_length)) * vocabulary_size > MAX_SEQUENCES:
            raise ValueError(f"{vocabulary_size} tokens and length {max_length} give over {MAX_SEQUENCES} responses; use a smaller table")
        contexts = tuple(context for length in range(max_length) for context in itertools.product(words, repeat=length))
        number = {context: index for index, context in enumerate(contexts)}
        next_context_CV = np.full((len(contexts), vocabulary_size), END, dtype=np.int64)
        sequences = []
        for index, context in enumerate(contexts):
            for token in range(vocabulary_size):
                longer = (*context, token)
                if token == stop_token or len(longer) == max_length:
                    sequences.append(longer)
                else:
                    next_context_CV[index, token] = number[longer]
        context_ST = np.zeros((len(sequences), max_length), dtype=np.int64)
        token_ST = np.zeros((len(sequences), max_length), dtype=np.int64)
        inside_ST = np.zeros((len(sequences), max_length), dtype=bool)
        for s, sequence in enumerate(sequences):
            context_ST[s, : len(sequence)] = [number[sequence[:t]] for t in range(len(sequence))]
            token_ST[s, : len(sequence)] = sequence
            inside_ST[s, : len(sequence)] = True
        return Tree(
            vocabulary_size=vocabulary_size,
            max_length=max_length,
            stop_token=stop_token,
            contexts=contexts,
            next_context_CV=next_context_CV,
            sequences=tuple(sequences),
            context_ST=context_ST,
            token_ST=token_ST,
            inside_ST=inside_ST,
        )

    def path(self, tokens: Sequence[int]) -> list[int]:
        """[T] the context of each token of a response or the beginning of one.

        Raises:
            ValueError: the tokens go on after the response has ended, or are not in the vocabulary.
        """
        contexts, current = [], 0
        for position, token in enumerate(tokens):
            if current == END:
                raise ValueError(
                    f"the response is over before token {position}; it stops at {self.stop_token} or after {self.max_length} tokens"
                )
            if not 0 <= token < self.vocabulary_size:
                raise ValueError(f"token {token} at position {position} is outside the vocabulary of {self.vocabulary_size}")
            contexts.append(current)
            current = int(self.next_context_CV[current, token])
        return contexts


def log_softmax(logits: Floats) -> Doubles:
    """Log-probabilities along the last axis, in nats."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def token_logps(tree: Tree, logits_CV: Floats) -> Doubles:
    """[S, T] nats of each token of each response; 0 beyond the end."""
    return np.where(tree.inside_ST, log_softmax(logits_CV)[tree.context_ST, tree.token_ST], 0.0)


def probabilities(tree: Tree, logits_CV: Floats) -> Doubles:
    """[S] chance of each response; they sum to 1."""
    return np.asarray(np.exp(token_logps(tree, logits_CV).sum(axis=1)), dtype=np.float64)


def weighted_gradient(tree: Tree, logits_CV: Floats, weights_ST: Floats) -> Doubles:
    """[C, V] gradient of sum_{s,t} w_{s,t} log pi(token_{s,t} | context) with respect to the logits, the weights held constant.

    Every policy-gradient surrogate has a gradient of this form, so this is what a training step must equal.
    """
    gradient_CV = np.zeros(logits_CV.shape)
    inside_ST = tree.inside_ST
    np.add.at(gradient_CV, (tree.context_ST[inside_ST], tree.token_ST[inside_ST]), np.broadcast_to(weights_ST, inside_ST.shape)[inside_ST])
    return np.asarray(gradient_CV - gradient_CV.sum(axis=1, keepdims=True) * np.exp(log_softmax(logits_CV)), dtype=np.float64)


def expectation(tree: Tree, logits_CV: Floats, values_S: Floats) -> float:
    """Mean of a value over responses, sum_s pi(s) value(s): the expected reward when the values are rewards."""
    return float(probabilities(tree, logits_CV) @ values_S)


def expectation_gradient(tree: Tree, logits_CV: Floats, values_S: Floats) -> Doubles:
    """[C, V] exact policy gradient sum_s pi(s) value(s) d log pi(s)."""
    return weighted_gradient(tree, logits_CV, (probabilities(tree, logits_CV) * values_S)[:, None])


def pass_at_k(tree: Tree, logits_CV: Floats, right_S: NDArray[np.bool_], k: int) -> float:
    """Chance that at least one of k independent responses is right: 1 - (1 - p)^k."""
    return 1.0 - (1.0 - expectation(tree, logits_CV, right_S.astype(np.float64))) ** k


def kl(tree: Tree, logits_CV: Floats, reference_CV: Floats) -> float:
    """KL(pi || reference) of whole responses, in nats: sum_s pi(s) (log pi(s) - log ref(s))."""
    return expectation(tree, logits_CV, _log_ratio(tree, logits_CV, reference_CV))


def kl_gradient(tree: Tree, logits_CV: Floats, reference_CV: Floats) -> Doubles:
    """[C, V] its exact gradient: sum_s pi(s) (log pi(s) - log ref(s)) d log pi(s); the +1 of the product rule has mean 0."""
    return expectation_gradient(tree, logits_CV, _log_ratio(tree, logits_CV, reference_CV))


def _log_ratio(tree: Tree, logits_CV: Floats, reference_CV: Floats) -> Doubles:
    return np.asarray((token_logps(tree, logits_CV) - token_logps(tree, reference_CV)).sum(axis=1), dtype=np.float64)


def expectation_over_counts(values: Sequence[float], pass_rate: float) -> float:
    """Mean of a function of the number of right answers in a group of G: sum_c Binomial(c; G, p) values[c].

    Args:
        values: [G+1] the function at 0, 1, ..., G right answers.
        pass_rate: p in [0, 1].

    >>> expectation_over_counts([0, 1, 0], 0.5)      # one of two right: 2 * 0.5 * 0.5
    0.5
    """
    size = len(values) - 1
    return sum(math.comb(size, c) * pass_rate**c * (1.0 - pass_rate) ** (size - c) * values[c] for c in range(size + 1))


def expectation_over_groups(tree: Tree, logits_CV: Floats, group_size: int, function: Callable[[Ints], NDArray[Any]]) -> NDArray[Any]:
    """Exact mean of any function of a group of G independent responses, by going through all S^G ordered groups.

    Args:
        tree: the responses.
        logits_CV: [C, V] the policy.
        group_size: G.
        function: [M, G] numbers of responses -> [M, ...] values.

    Raises:
        ValueError: there are over four million groups.
    """
    num_groups = len(tree.sequences) ** group_size
    if num_groups > MAX_GROUPS:
        raise ValueError(f"{len(tree.sequences)}^{group_size} groups are too many to enumerate; use a smaller tree or group")
    chance_S = probabilities(tree, logits_CV)
    total: NDArray[Any] | None = None
    for first in range(0, num_groups, GROUPS_AT_A_TIME):
        numbers_M = np.arange(first, min(first + GROUPS_AT_A_TIME, num_groups))
        members_MG = np.stack(np.unravel_index(numbers_M, (len(tree.sequences),) * group_size), axis=1)
        part = np.tensordot(chance_S[members_MG].prod(axis=1), function(members_MG), axes=1)
        total = part if total is None else total + part
    assert total is not None
    return np.asarray(total)


class TabularEngine:
    """An engine over one table for all prompts, or one a prompt (`Prompt.info["table"]`).

    Example: TabularEngine(Tree.of(vocabulary_size=3, max_length=2), np.zeros((1, 3, 3)), words=("", "a", "b"))
    """

    name: str

    def __init__(self, tree: Tree, logits_QCV: Floats, *, words: Sequence[str] | None = None, name: str = "tabular") -> None:
        """Takes a copy of the tables.

        Args:
            tree: the responses there are.
            logits_QCV: [Q, C, V] one table of logits for each kind of prompt.
            words: [V] how tokens read; default their numbers. The stop token is never written.
            name: as recorded in `Rollout.policy`.
        """
        shape = (len(tree.contexts), tree.vocabulary_size)
        if logits_QCV.ndim != 3 or logits_QCV.shape[1:] != shape or len(logits_QCV) < 1:
            raise ValueError(f"logits_QCV must be [Q, {shape[0]}, {shape[1]}] for this tree, got {logits_QCV.shape}")
        if words is not None and len(words) != tree.vocabulary_size:
            raise ValueError(f"words must name all {tree.vocabulary_size} tokens, got {len(words)}")
        self.name = name
        self.tree = tree
        self.logits_QCV = np.array(logits_QCV, dtype=np.float64)
        self.words = tuple(str(token) for token in range(tree.vocabulary_size)) if words is None else tuple(words)

    @property
    def device(self) -> str:
        """Where it computes."""
        return "numpy, float64"

    @property
    def context(self) -> int | None:
        """None: a table has all the responses that there are."""
        return None

    def encode(self, prompt: Prompt) -> list[int]:
        """The number of the prompt's table: `prompt.info["table"]`, or 0."""
        table = int(prompt.info.get("table", 0))
        if not 0 <= table < len(self.logits_QCV):
            raise ValueError(f"prompt {prompt.id} asks for table {table}, but there are {len(self.logits_QCV)}")
        return [table]

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        """Groups of ungraded rollouts, one a prompt; each is a function of (seed, prompt id) and the table alone."""
        if num_rollouts < 1 or sampling.temperature < 0 or not 0 < sampling.top_p <= 1 or sampling.max_tokens < 1:
            raise ValueError("sampling needs a rollout and a token at least, a temperature of 0 or above and top_p in (0, 1]")
        if sampling.stops:
            raise ValueError("the tabular engine has no texts to stop at; leave `Sampling.stops` empty")
        for prompt in prompts:
            group = self._sample_group(prompt, num_rollouts, sampling, seed)
            if on_progress is not None:
                on_progress(len(group), sum(len(rollout.token_ids) for rollout in group))
            yield group

    def logprobs(self, rows: Sequence[Row]) -> list[Floats]:
        """[T] nats of each row's completion tokens at temperature 1."""
        logps_QCV = log_softmax(self.logits_QCV)
        return [logps_QCV[self._table(row), self.tree.path(row.completion_ids.tolist()), row.completion_ids] for row in rows]

    def gradient(self, rows: Sequence[Row]) -> Doubles:
        """[Q, C, V] gradient of sum over rows and tokens of w_t log pi(token_t | context_t)."""
        gradient_QCV = np.zeros(self.logits_QCV.shape)
        for row in rows:
            if row.weights is None or len(row.weights) != len(row.completion_ids):
                raise ValueError("a row that is stepped on needs a weight for each completion token")
            contexts_T = np.array(self.tree.path(row.completion_ids.tolist()), dtype=np.int64)
            np.add.at(gradient_QCV[self._table(row)], (contexts_T, row.completion_ids), row.weights)
        return np.asarray(gradient_QCV - gradient_QCV.sum(axis=2, keepdims=True) * np.exp(log_softmax(self.logits_QCV)), dtype=np.float64)

    def step(self, rows: Sequence[Row], learning_rate: float, *, divide: float = 1.0) -> None:
        """One step up the weighted log-likelihood, divided by `divide`; weights of zero leave the tables bit-identical."""
        gradient_QCV = self.gradient(rows)
        moved_QCV = self.logits_QCV + (learning_rate / divide) * gradient_QCV
        self.logits_QCV = np.where(gradient_QCV == 0.0, self.logits_QCV, moved_QCV)

    def _table(self, row: Row) -> int:
        if len(row.prompt_ids) != 1 or not 0 <= int(row.prompt_ids[0]) < len(self.logits_QCV):
            raise ValueError(f"a row's prompt must be the number of one of {len(self.logits_QCV)} tables, got {row.prompt_ids.tolist()}")
        return int(row.prompt_ids[0])

    def _sample_group(self, prompt: Prompt, num_rollouts: int, sampling: Sampling, seed: int) -> list[Rollout]:
        logits_CV = self.logits_QCV[self.encode(prompt)[0]]
        drawn_CV = _drawing_weights(logits_CV, sampling)
        length = min(sampling.max_tokens, self.tree.max_length)
        uniform_GT = _generator(seed, prompt.id).random((num_rollouts, self.tree.max_length))
        token_GT = np.full((num_rollouts, length), END, dtype=np.int64)
        context_GT = np.zeros((num_rollouts, length), dtype=np.int64)
        current_G = np.zeros(num_rollouts, dtype=np.int64)
        for t in range(length):
            alive = np.flatnonzero(current_G != END)
            running = np.cumsum(drawn_CV[current_G[alive]], axis=1)
            token_GT[alive, t] = (running <= uniform_GT[alive, t, None] * running[:, -1:]).sum(axis=1)
            context_GT[alive, t] = current_G[alive]
            current_G[alive] = self.tree.next_context_CV[current_G[alive], token_GT[alive, t]]
        return [self._rollout(prompt, g, token_GT[g], context_GT[g], logits_CV, sampling, seed) for g in range(num_rollouts)]

    def _rollout(
        self, prompt: Prompt, index: int, token_T: Ints, context_T: Ints, logits_CV: Doubles, sampling: Sampling, seed: int
    ) -> Rollout:
        length = int(np.count_nonzero(token_T != END))
        tokens, contexts = token_T[:length], context_T[:length]
        stopped = int(tokens[-1]) == self.tree.stop_token
        greedy = sampling.temperature == 0
        logps_CV = np.zeros(logits_CV.shape) if greedy else log_softmax(logits_CV / sampling.temperature)
        entropies_C = np.zeros(len(logits_CV)) if greedy else -(np.exp(logps_CV) * logps_CV).sum(axis=1)
        return Rollout(
            prompt_id=prompt.id,
            index=index,
            text=" ".join(self.words[token] for token in tokens if token != self.tree.stop_token),
            token_ids=tokens,
            logprobs=logps_CV[contexts, tokens],
            logprobs_t1=log_softmax(logits_CV)[contexts, tokens],
            stop="eos" if stopped else "length",
            policy=self.name,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
            entropies=entropies_C[contexts] if sampling.entropies else None,
        )


def _drawing_weights(logits_CV: Doubles, sampling: Sampling) -> Doubles:
    """[C, V] chances to draw with: tempered, and 0 outside the smallest set that reaches top_p; 0/1 when greedy."""
    if sampling.temperature == 0:
        return np.asarray(np.eye(logits_CV.shape[1])[logits_CV.argmax(axis=1)], dtype=np.float64)
    chance_CV = np.exp(log_softmax(logits_CV / sampling.temperature))
    if sampling.top_p < 1:
        order_CV = np.argsort(-chance_CV, axis=1, kind="stable")
        sorted_CV = np.take_along_axis(chance_CV, order_CV, axis=1)
        before_CV = np.cumsum(sorted_CV, axis=1) - sorted_CV
        np.put_along_axis(chance_CV, order_CV, np.where(before_CV < sampling.top_p, sorted_CV, 0.0), axis=1)
    return np.asarray(chance_CV, dtype=np.float64)


def _generator(seed: int, prompt_id: str) -> np.random.Generator:
    identity = hashlib.sha256(f"{seed}|{prompt_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(identity[:16], "little"))
