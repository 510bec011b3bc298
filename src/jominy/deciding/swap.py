"""Two policies write one response: one the attempts, the other the decisions about them.

    sampler: attempt -> decider: check, verdict -> RETRY -> sampler: attempt -> ... -> ACCEPT, or the K-th attempt

The 2 x 2 square of a policy before and after training, each as sampler and as decider, says whether a gain lies in the solving or in the
deciding (2601.01580; that the exchange happens at the ends of attempts and decisions is our choice). Whoever has written what makes it
the other's turn has no further say; whoever has not writes on to the end of the response: the decider behind ACCEPT and behind
anything that is no verdict, the sampler behind the K-th attempt and where it never ends an attempt. So a response that goes astray ends
as it would have ended, and is graded and labelled like any other.

A token depends on the seed, its prompt, index and place, and on what stands before it. With one policy in both places the responses are
therefore those that `sample` draws, and the four combinations share their luck, which makes their differences less noisy.
Left out: grading; what the square says (`measures.swap`).
LIMIT: where one token holds the end of an attempt and the beginning of what follows, the sampler has written both. Models without shared
lanes go on with one response at a time (`LocalEngine.continue_from`), which takes as many times longer as there are responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jominy.engines import ContinuingEngine, OnProgress
from jominy.records import Prompt, Retrying, Rollout, Sampling
from jominy.tracing import mark, trace_of


def swap(
    sampler: ContinuingEngine,
    decider: ContinuingEngine,
    prompts: Sequence[Prompt],
    retrying: Retrying,
    num_rollouts: int,
    sampling: Sampling,
    seed: int,
    on_progress: OnProgress | None = None,
) -> list[list[Rollout]]:
    """Ungraded groups with their spans, in the order of `prompts`; their policy is `sampler|decider`.

    Args:
        sampler: writes the attempts.
        decider: writes checks and verdicts.
        prompts: distinct ids.
        retrying: of the task; with num_attempts 1 the sampler writes everything.
        num_rollouts: G, at least 1.
        sampling: of both; `max_tokens` counts the whole response, and `stops` must be empty.
        seed: the same for all four combinations.
        on_progress: called with (finished responses, drawn tokens) since the last call.

    Raises:
        ValueError: the two have different vocabularies, or `sampling.stops` is not empty.
    """
    _check(sampler, decider, sampling)
    by_id = {prompt.id: prompt for prompt in prompts}

    def drawn(_finished: int, num_tokens: int) -> None:
        if on_progress is not None:
            on_progress(0, num_tokens)

    def turn(engine: ContinuingEngine, begun: list[Rollout], stops: tuple[str, ...]) -> list[Rollout]:
        asked = [by_id[identity] for identity in dict.fromkeys(rollout.prompt_id for rollout in begun)]
        return engine.continue_from(asked, begun, replace(sampling, stops=stops), seed, drawn) if begun else []

    def solving(attempt: int) -> tuple[str, ...]:
        return (retrying.solution_end,) if attempt < retrying.num_attempts else ()

    groups = sampler.sample(prompts, num_rollouts, replace(sampling, stops=solving(1)), seed, drawn)
    written = [rollout for group in groups for rollout in group]
    finished: list[Rollout] = []
    for attempt in range(1, retrying.num_attempts + 1):
        before = len(finished)
        solved = _go_on(written, sampling.max_tokens, finished)
        decided = _go_on(turn(decider, solved, (retrying.decision_end,)), sampling.max_tokens, finished)
        again = [_tries_again(rollout, by_id, retrying, attempt) for rollout in decided]
        finished += turn(decider, [rollout for rollout, retry in zip(decided, again, strict=True) if not retry], ())
        written = turn(sampler, [rollout for rollout, retry in zip(decided, again, strict=True) if retry], solving(attempt + 1))
        if on_progress is not None and len(finished) > before:
            on_progress(len(finished) - before, 0)
    return _grouped(finished, by_id, f"{sampler.name}|{decider.name}", retrying)


def _check(sampler: ContinuingEngine, decider: ContinuingEngine, sampling: Sampling) -> None:
    """They can read each other."""
    if sampler.vocabulary != decider.vocabulary:
        raise ValueError(
            f"{sampler.name} and {decider.name} cannot write one response: their tokenizers differ ({sampler.vocabulary} and "
            f"{decider.vocabulary}), so neither can read the other's tokens; swap policies that were trained from the same model"
        )
    if sampling.stops:
        raise ValueError(f"the swap sets the texts to stop at itself; leave `Sampling.stops` empty, it is {sampling.stops}")


def _go_on(rollouts: Sequence[Rollout], max_tokens: int, finished: list[Rollout]) -> list[Rollout]:
    """Those whose turn is over and that have room left; the others join `finished`."""
    handed = []
    for rollout in rollouts:
        if rollout.stop != "text":
            finished.append(rollout)
        elif len(rollout.token_ids) >= max_tokens:
            finished.append(replace(rollout, stop="length"))
        else:
            handed.append(rollout)
    return handed


def _tries_again(rollout: Rollout, prompts: Mapping[str, Prompt], retrying: Retrying, attempt: int) -> bool:
    """Whether the `attempt`-th decision, which the text ends with, is to try again."""
    attempts = trace_of(rollout, prompts[rollout.prompt_id], retrying.read).attempts
    return len(attempts) >= attempt and attempts[attempt - 1].decision == "retry"


def _grouped(rollouts: Sequence[Rollout], prompts: Mapping[str, Prompt], policy: str, retrying: Retrying) -> list[list[Rollout]]:
    """A group a prompt, in order of index, with policy and spans."""
    groups: dict[str, list[Rollout]] = {identity: [] for identity in prompts}
    for rollout in sorted(rollouts, key=lambda rollout: rollout.index):
        spans = mark(rollout, prompts[rollout.prompt_id], retrying.read)
        groups[rollout.prompt_id].append(replace(rollout, policy=policy, spans=spans))
    return list(groups.values())
