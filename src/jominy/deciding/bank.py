"""A fixed bank of attempts, half right and half wrong, and how likely a policy is to accept each.

A policy that samples better sees fewer wrong attempts of its own, so its decisions on its own attempts say little about how well it
decides; the same bank for every policy removes that (2601.01580; the bank is our choice). Right attempts are more often to easy prompts and
made early, so they are paired with wrong ones to the same prompt and made as early, as far as there are such: else a policy that accepts
what looks easy would pass for one that tells right from wrong. The chance of accepting is read off the log-probabilities of the two verdict
texts behind a check that the policy writes itself:

    p = mean_m P(accept | state, check_m) / (P(accept | state, check_m) + P(retry | state, check_m))

Left out: what the chances say (`measures.decisions`); K-th attempts, which are not decided about; attempts without an answer or an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.engines import ContinuingEngine, OnProgress
from jominy.records import Floats, Ints, Prompt, Retrying, Rollout, Row, Sampling
from jominy.tracing import stretches_of, text_of, trace_of

TAG = "|bank"
"""Makes the checks other draws than those that made the attempts."""

Texts = dict[int, set[str]]
"""Index of an attempt -> responses up to the end of such an attempt, all to one prompt and of one class."""
HasRoom = Callable[[Prompt, str], bool]
"""(prompt, response up to the end of an attempt) -> whether a check and a verdict can follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A response up to the end of an attempt that has to be decided about.

    Example: State(prompt=prompt, text="<attempt>12 + 34 = 47<answer>47</answer></attempt>", correct=False)
    """

    prompt: Prompt
    """What was asked."""
    text: str
    """The response so far, the end of the attempt included; earlier attempts and decisions too."""
    correct: bool
    """Whether the attempt is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """States, as many right as wrong, at most one of each a prompt.

    Example: Bank(states=(right, wrong), num_paired=1, missing_right=0, missing_wrong=3)
    """

    states: tuple[State, ...]
    """The right ones first; the first `num_paired` right and the first `num_paired` wrong ones are to the same prompts, in one order."""
    num_paired: int
    """Prompts of which there is a right and a wrong state; with the others goes what is easy about a prompt."""
    missing_right: int
    """Right attempts that were asked for and not found."""
    missing_wrong: int
    """Wrong attempts that were asked for and not found."""
    without_room: tuple[tuple[str, str], ...] = ()
    """(prompt id, text) of attempts that could not be states, for nothing more fits behind them; increasing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BankDecisions:
    """How likely each state of a bank is to be accepted; states behind which no check came to a verdict are left out.

    Example: BankDecisions(state_D=np.array([0, 2]), accept_probability_D=np.array([0.9, 0.4]), num_checks_D=np.array([4, 3]), num_states=3)
    """

    state_D: Ints
    """[D] which states, increasing."""
    accept_probability_D: Floats
    """[D] in [0, 1], mean over the checks that came to a verdict."""
    num_checks_D: Ints
    """[D] those checks."""
    num_states: int
    """States asked about."""

    def by_state(self) -> list[float | None]:
        """The chance of accepting each state asked about, None where no check came to a verdict.

        >>> BankDecisions(state_D=np.array([1]), accept_probability_D=np.array([0.4]), num_checks_D=np.array([3]), num_states=2).by_state()
        [None, 0.4]
        """
        chances = dict(zip(self.state_D.tolist(), self.accept_probability_D.tolist(), strict=True))
        return [chances.get(state) for state in range(self.num_states)]


def make_bank(
    rollouts: Sequence[Rollout],
    prompts: Sequence[Prompt],
    retrying: Retrying,
    rng: np.random.Generator,
    num_states: int,
    has_room: HasRoom | None = None,
) -> Bank:
    """A bank from the attempts of any rollouts; a function of the set of rollouts and `rng`, not of their order.

    Attempts before the K-th whose truth is known, wherever they stand in their response. Prompts with attempts of both classes are drawn
    first and give one of each, made equally early (the same number of attempts before them) where the prompt has such. What is still wanted
    is drawn for each class by itself; where a class has too few prompts the other is cut to as many, so the bank stays half and half.

    Args:
        rollouts: of whatever policies.
        prompts: those that they answer.
        retrying: of the task.
        rng: draws.
        num_states: states wanted, even, at least 2.
        has_room: attempts without room are left out before anything is drawn; None takes all.
    """
    if num_states < 2 or num_states % 2:
        raise ValueError(f"a bank holds as many right as wrong attempts; num_states must be even and at least 2, got {num_states}")
    by_id = {prompt.id: prompt for prompt in prompts}
    found: dict[bool, dict[str, Texts]] = {True: {}, False: {}}
    full: set[tuple[str, str]] = set()
    for rollout in rollouts:
        for index, text, correct in _undecided(rollout, by_id[rollout.prompt_id], retrying):
            if has_room is not None and not has_room(by_id[rollout.prompt_id], text):
                full.add((rollout.prompt_id, text))
                continue
            found[correct].setdefault(rollout.prompt_id, {}).setdefault(index, set()).add(text)
    half = num_states // 2
    states: dict[bool, list[State]] = {True: [], False: []}
    paired = rng.permutation(sorted(found[True].keys() & found[False].keys()))[:half].tolist()
    for identity in paired:
        indices = sorted(found[True][identity].keys() & found[False][identity].keys())
        shared = indices[int(rng.integers(len(indices)))] if indices else None
        for correct, of_class in states.items():
            of_class.append(State(prompt=by_id[identity], text=_drawn(found[correct][identity], shared, rng), correct=correct))
    for correct, of_class in states.items():
        others = rng.permutation(sorted(found[correct].keys() - set(paired)))[: half - len(paired)].tolist()
        of_class += [State(prompt=by_id[one], text=_drawn(found[correct][one], None, rng), correct=correct) for one in others]
    each = min(map(len, states.values()))
    return Bank(
        states=(*states[True][:each], *states[False][:each]),
        num_paired=len(paired),
        missing_right=half - len(states[True]),
        missing_wrong=half - len(states[False]),
        without_room=tuple(sorted(full)),
    )


def room_of(engine: ContinuingEngine, retrying: Retrying, max_tokens: int) -> HasRoom:
    """Whether the policy can write a check behind an attempt, and a verdict after that still fits its context.

    Args:
        engine: the policy.
        retrying: of the task.
        max_tokens: of a whole response.
    """
    longest = max(len(engine.encode_text(verdict)) for verdict in retrying.verdicts)
    known: dict[str, int] = {}

    def has_room(prompt: Prompt, text: str) -> bool:
        length = len(engine.encode_text(text))
        if prompt.id not in known:
            known[prompt.id] = len(engine.encode(prompt))
        fits = engine.context is None or known[prompt.id] + length + longest <= engine.context
        return fits and length < max_tokens

    return has_room


def decide_on(
    engine: ContinuingEngine,
    bank: Sequence[State],
    retrying: Retrying,
    *,
    num_checks: int,
    sampling: Sampling,
    seed: int,
    on_progress: OnProgress | None = None,
) -> BankDecisions:
    """How likely the policy is to accept each state, the two verdicts being all there is to choose from.

    A check counts when the task's reader finds a verdict on the state's attempt behind it, and when either verdict fits the context there.

    Args:
        engine: the policy.
        bank: states.
        retrying: of the task.
        num_checks: M, checks that the policy writes to each state, at least 1.
        sampling: of the checks; `max_tokens` counts the whole response, and `stops` must be empty.
        seed: the same for all policies.
        on_progress: called with (finished checks, drawn tokens) since the last call.

    Raises:
        ValueError: num_checks is below 1, `sampling.stops` is not empty, or a state has no room left.
    """
    if num_checks < 1 or sampling.stops:
        raise ValueError(f"num_checks must be at least 1 and `Sampling.stops` empty; they are {num_checks} and {sampling.stops}")
    prompts = {state.prompt.id: state.prompt for state in bank}
    encoded = {identity: engine.encode(prompt) for identity, prompt in prompts.items()}
    begun = _begun(engine, bank, num_checks, sampling, seed)
    _check_room(engine, bank, begun[::num_checks], encoded, retrying, sampling.max_tokens)
    checking = replace(sampling, stops=(retrying.decision_end,))
    written = engine.continue_from(list(prompts.values()), begun, checking, seed, on_progress, TAG)
    openings = [_to_verdict(rollout, start, prompts[start.prompt_id], retrying) for rollout, start in zip(written, begun, strict=True)]
    asked = [_rows(engine, encoded[start.prompt_id], found, retrying) for start, found in zip(begun, openings, strict=True)]
    accept_C = _accept_probability(engine, [row for rows in asked for row in rows])
    state_C = np.flatnonzero([len(rows) > 0 for rows in asked]) // num_checks
    num_checks_B = np.bincount(state_C, minlength=len(bank))
    state_D = np.flatnonzero(num_checks_B)
    return BankDecisions(
        state_D=state_D,
        accept_probability_D=np.bincount(state_C, weights=accept_C, minlength=len(bank))[state_D] / num_checks_B[state_D],
        num_checks_D=num_checks_B[state_D],
        num_states=len(bank),
    )


def _undecided(rollout: Rollout, prompt: Prompt, retrying: Retrying) -> Iterator[tuple[int, str, bool]]:
    """(which, response up to its end, whether it is right) for each attempt that has an answer and an end and is to be decided about."""
    text, trace = text_of(rollout), trace_of(rollout, prompt, retrying.read)
    for span in trace.spans:
        if span.kind.partition(".")[0] != "attempt" or span.index >= retrying.num_attempts - 1:
            continue
        attempt, before = trace.attempts[span.index], text[: span.end]
        if attempt.correct is not None and attempt.answer is not None and before.endswith(retrying.solution_end):
            yield span.index, before, attempt.correct


def _drawn(texts: Texts, index: int | None, rng: np.random.Generator) -> str:
    """One of the texts of a prompt and class: of attempts with this index, or of any."""
    among = sorted({text for number, some in texts.items() for text in some if index in (None, number)})
    return among[int(rng.integers(len(among)))]


def _begun(engine: ContinuingEngine, bank: Sequence[State], num_checks: int, sampling: Sampling, seed: int) -> list[Rollout]:
    """`num_checks` responses a state that end with it; their indices go on over the states of a prompt, so that no two share their luck."""
    seen: dict[str, int] = {}
    begun = []
    for state in bank:
        token_ids = np.array(engine.encode_text(state.text), dtype=np.int64)
        first = seen.get(state.prompt.id, 0)
        seen[state.prompt.id] = first + num_checks
        begun += [
            Rollout(
                prompt_id=state.prompt.id,
                index=index,
                text=state.text,
                token_ids=token_ids,
                logprobs=None,
                logprobs_t1=None,
                stop="text",
                policy=engine.name,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=seed,
            )
            for index in range(first, first + num_checks)
        ]
    return begun


def _check_room(
    engine: ContinuingEngine,
    bank: Sequence[State],
    begun: Sequence[Rollout],
    encoded: Mapping[str, list[int]],
    retrying: Retrying,
    max_tokens: int,
) -> None:
    """Each state leaves room for a check and for either verdict."""
    longest = max(len(engine.encode_text(verdict)) for verdict in retrying.verdicts)
    for number, (state, start) in enumerate(zip(bank, begun, strict=True)):
        name = f"state {number} of the bank (prompt {state.prompt.id}, {state.text[:40]!r})"
        length = len(start.token_ids)
        if length >= max_tokens:
            raise ValueError(
                f"{name} has {length} tokens and max_tokens is {max_tokens}, so no check can be written; raise it or leave the state out"
            )
        whole = len(encoded[state.prompt.id]) + length + longest
        if engine.context is not None and whole > engine.context:
            raise ValueError(
                f"{name} has {whole} tokens with its prompt and a verdict, and the model's context is {engine.context}; leave the state out"
            )


def _to_verdict(rollout: Rollout, begun: Rollout, prompt: Prompt, retrying: Retrying) -> tuple[Ints, str] | None:
    """(the tokens before the one in which the verdict begins, what that token says before the verdict); None without a verdict.

    Args:
        rollout: with a check and what came behind it.
        begun: the state, whose last attempt the verdict must be about.
        prompt: of both.
        retrying: of the task.
    """
    if rollout.stop != "text" or rollout.pieces is None:
        return None
    index = len(trace_of(begun, prompt, retrying.read).attempts) - 1
    trace = trace_of(rollout, prompt, retrying.read)
    decision = trace.attempts[index].decision if 0 <= index < len(trace.attempts) else "none"
    if decision not in ("accept", "retry"):
        return None
    text, said = text_of(rollout), retrying.verdicts[decision == "retry"]
    spans = [span for span in trace.spans if span.kind == f"verdict.{decision}" and span.index == index]
    # only inside the verdict's span: a check may well say ACCEPT
    verdict = max((text.find(said, span.start, span.end) for span in spans), default=-1)
    if verdict < 0:
        return None
    starts = np.array([first for first, _ in stretches_of(rollout)[len(begun.token_ids) :]], dtype=np.int64)
    start = int(starts[starts <= verdict].max())
    # of several tokens that start there all but the last say nothing: special ones, or the first bytes of a character
    token = int(np.searchsorted(starts, start))
    return rollout.token_ids[: len(begun.token_ids) + token], text[start:verdict]


def _rows(engine: ContinuingEngine, prompt_ids: Sequence[int], opening: tuple[Ints, str] | None, retrying: Retrying) -> list[Row]:
    """The two verdict texts behind an opening; none where there is no opening, or where one of them does not fit the context."""
    if opening is None:
        return []
    token_ids, left_over = opening
    asked = np.array([*prompt_ids, *token_ids.tolist()], dtype=np.int64)
    rows = [
        Row(prompt_ids=asked, completion_ids=np.array(engine.encode_text(left_over + verdict), dtype=np.int64))
        for verdict in retrying.verdicts
    ]
    fits = engine.context is None or max(len(asked) + len(row.completion_ids) for row in rows) <= engine.context
    return rows if fits else []


def _accept_probability(engine: ContinuingEngine, rows: Sequence[Row]) -> Floats:
    """[C] chance of the first verdict text against the second, two rows each."""
    logp_C2 = np.array([float(np.sum(logp)) for logp in engine.logprobs(rows)]).reshape(-1, 2)
    accept_C: Floats = np.exp(-np.logaddexp(0.0, logp_C2[:, 1] - logp_C2[:, 0]))
    return accept_C
