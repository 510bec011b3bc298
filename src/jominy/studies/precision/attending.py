"""Where responses look, before and after training, with two controls in the prompt; and what becomes of them when a stretch is hidden.

    c_p    length-corrected mass on a stretch, mean over layers and heads: 1 is an even look over the prompt       (`measures.attention`)
    controls    a neutral sentence as long as the constraint, and a constraint that no response has to do with, in the same prompt,
                in every other prompt before the constraint and else behind it
    hidden      the constraint, or the neutral sentence, is masked out of attention while the policy answers; the constraint is graded

Responses are the start's own, one a prompt at temperature 0, and the same for all policies: what is the start's is found once for all runs
of a process. Left out: single heads, but for the shares of them that moved.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jominy.engines.attending import Attended, attention_masses, masked_pass, stacked
from jominy.engines.local import LocalEngine
from jominy.engines.promptspans import (
    IRRELEVANT,
    CharSpan,
    PromptSpans,
    constraint_spans,
    insert_sentence,
    neutral_sentence,
    prompt_spans,
)
from jominy.measures.attention import SpanMass, heads_moved
from jominy.records import Floats, Measure, Prompt, Row, Sampling
from jominy.rewards.constraints import grade
from jominy.studies.design import Settings
from jominy.tasks.loading import load_task

SEED = 7_000_043
CONSTRAINT, NEUTRAL, IRRELEVANT_ONE = "constraint 0", "neutral", "irrelevant"
STRETCHES = (CONSTRAINT, NEUTRAL, IRRELEVANT_ONE)
HIDDEN = (CONSTRAINT, NEUTRAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prompt with its controls put in.

    Example: Asked(prompt=prompt, spans={"constraint 0": (8, 17), "neutral": (18, 27), "irrelevant": (28, 60)})
    """

    prompt: Prompt
    """With one constraint."""
    spans: Mapping[str, CharSpan]
    """Of `STRETCHES`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Started:
    """The start on one further task.

    Example: starts("smollm2", (("seen, hard", "constraints:question"),), 12, 32)["seen, hard"].passes["open"]
    """

    asked: Sequence[Asked]
    """[P] prompts with their controls."""
    rows: Sequence[Row]
    """Prompts and the start's responses, those that hold a token."""
    placed: Sequence[PromptSpans]
    """Of each row, where the stretches lie."""
    masses: Sequence[Attended]
    """Of each row, where the start looks."""
    passes: Mapping[str, list[float | None]]
    """Of the start."""


def attention_of(start: str, trained: Any, further: Mapping[str, str], settings: Settings) -> dict[str, dict[str, Any]]:
    """Further task -> corrected masses before and after, and heads that moved.

    Args:
        start: the policy before training, as it is loaded.
        trained: the one behind it; of this machine.
        further: name -> task; one constraint a prompt.
        settings: how many prompts of each.
    """
    assert isinstance(trained, LocalEngine), "attention is looked at on this machine"
    before = _starts(start, further, settings)
    return {name: _moved(one, attention_masses(trained, one.rows, one.placed)) for name, one in before.items()}


def hiding_of(start: str, trained: Any, further: Mapping[str, str], settings: Settings) -> dict[str, dict[str, Any]]:
    """Further task -> `start`, `trained` -> passes in sight and hidden; arguments as above."""
    assert isinstance(trained, LocalEngine), "stretches are hidden on this machine"
    return {
        name: {"start": dict(one.passes), "trained": _passes(trained, one.asked, _greedy(settings.max_tokens))}
        for name, one in _starts(start, further, settings).items()
    }


def _starts(start: str, further: Mapping[str, str], settings: Settings) -> Mapping[str, Started]:
    return starts(start, tuple(further.items()), settings.attention_prompts, settings.max_tokens)


@functools.lru_cache(maxsize=1)
def starts(model: str, further: tuple[tuple[str, str], ...], num_prompts: int, max_tokens: int) -> Mapping[str, Started]:
    """Further task -> the start on it; the last one asked for is kept, its model is not.

    Args:
        model: as it is loaded.
        further: (name, task); one constraint a prompt.
        num_prompts: of each.
        max_tokens: longest response.
    """
    engine = LocalEngine.load(model)
    return {name: _started(engine, task, num_prompts, _greedy(max_tokens)) for name, task in further}


def _greedy(max_tokens: int) -> Sampling:
    return Sampling(temperature=0.0, max_tokens=max_tokens)


def with_controls(engine: LocalEngine, prompt: Prompt, *, before: bool) -> Asked:
    """Both controls beside the constraint, on one side of it."""
    spans = constraint_spans(prompt)
    first, last = spans[CONSTRAINT]
    num_tokens = len(engine.encode_text(" " + prompt.messages[-1].content[first:last]))
    for name, sentence in ((NEUTRAL, neutral_sentence(engine, num_tokens)), (IRRELEVANT_ONE, IRRELEVANT)):
        at = spans[CONSTRAINT][0] if before else len(prompt.messages[-1].content)
        prompt, spans = insert_sentence(prompt, spans, name, sentence, at)
    return Asked(prompt=prompt, spans=spans)


def _started(start: LocalEngine, task: str, num_prompts: int, greedy: Sampling) -> Started:
    prompts = load_task(task).prompts(num_prompts, SEED)
    asked = [with_controls(start, prompt, before=number % 2 == 0) for number, prompt in enumerate(prompts)]
    said = {group[0].prompt_id: group[0] for group in start.sample([one.prompt for one in asked], 1, greedy, SEED)}
    there = [one for one in asked if len(said[one.prompt.id].token_ids)]
    rows = [
        Row(prompt_ids=np.array(start.encode(one.prompt), dtype=np.int64), completion_ids=said[one.prompt.id].token_ids) for one in there
    ]
    placed = [prompt_spans(start, one.prompt, one.spans) for one in there]
    return Started(
        asked=asked, rows=rows, placed=placed, masses=attention_masses(start, rows, placed), passes=_passes(start, asked, greedy)
    )


def _moved(before: Started, after: Sequence[Attended]) -> dict[str, Any]:
    masses = {stretch: _mass_of(stretch, before.masses, after) for stretch in STRETCHES} if after else {}
    return {
        "corrected": {stretch: _corrected(mass) for stretch, mass in masses.items()},
        "heads": {stretch: [_rounded(one) for one in heads_moved(mass, _rng())] for stretch, mass in masses.items()},
    }


def _rounded(measure: Measure) -> float | None:
    return None if measure.value is None else round(measure.value, 4)


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _mass_of(stretch: str, before: Sequence[Attended], after: Sequence[Attended]) -> SpanMass:
    names = [[stretch]] * len(before)
    (before_PLH, share_P), (after_PLH, _) = stacked(before, names), stacked(after, names)
    return SpanMass(name=stretch, before_PLH=before_PLH, after_PLH=after_PLH, share_P=share_P)


def _corrected(mass: SpanMass) -> list[list[float]]:
    """[P] before and [P] after."""
    return [side_PLH.mean((1, 2)).round(5).tolist() for side_PLH in mass.corrected]


def _passes(engine: LocalEngine, asked: Sequence[Asked], sampling: Sampling) -> dict[str, list[float | None]]:
    """What is hidden -> [P] whether the constraint was followed; `open` hides nothing."""
    hidden = {stretch: [[one.spans[stretch]] for one in asked] for stretch in HIDDEN}
    prompts = [one.prompt for one in asked]
    found = masked_pass(engine, prompts, hidden, grade, num_rollouts=1, sampling=sampling, seed=SEED)
    return {"open": _plain(found.open_P), **{stretch: _plain(found.masked_P[stretch]) for stretch in HIDDEN}}


def _plain(rates_P: Floats) -> list[float | None]:
    return [None if np.isnan(rate) else round(float(rate), 4) for rate in rates_P]
