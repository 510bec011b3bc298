"""A judge as a reward: code decides the hard constraints of a prompt, a judge the soft ones, and one number is made of both.

    --reward judge:http://localhost:8000/v1,model=NAME,mode=pointwise,aggregate=all_pass        --reward judge:local:smollm2

    verdict_c = judge's yes or no (asks=soft: of the soft ones; asks=all: of every one, and code decides nothing), else truth by code
    reward    = aggregate(kinds, verdicts)                                                                     (`aggregating`)

    batch       all constraints of a response in one question: "1: yes" ... "m: no"        the usual baseline
    pointwise   one question each: "yes" or "no"                                           m questions; misses fewer violations (2601.04954)
    numbered    batch, and a single constraint in that form, too: "1: yes"                 so that numbers of constraints can be compared

A single constraint is the same question in the first two. A reply that is not of the form, or for another number of constraints, leaves
its constraints without verdict and the response unscored; nothing is guessed. A judge that chooses among the replies that can be read (a
local model, `answers=choice`) leaves none out, and gives log odds. What code knows of a soft constraint is kept from the judge.
Who is down is an error: a first call of which nothing is answered, or as many failures in a row as `FIRST_FAILURES`. Single failures are
unscored. The order of the constraints in a batch is that of the prompt, and the words of the questions are ours (`questions`).
Left out on purpose: several replies and a vote; a judge's order effects (audit measures them).
LIMIT: `sample` grades one prompt at a time, so an endpoint sees the questions of one group side by side; a step of `train`, of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jominy.records import GroupReward, Paper, Prompt, Reward, Rollout, Task
from jominy.rewards.aggregating import AGGREGATIONS, aggregate
from jominy.rewards.constraints import constraints_of, kinds_of, part_names, truths_of
from jominy.rewards.endpoint import Reply
from jominy.rewards.judge import ENDPOINT_OPTIONS, FIRST_FAILURES, FORMS, LOCAL_OPTIONS, Judge
from jominy.rewards.options import one_of
from jominy.rewards.questions import Form, Messages, constraint_question, constraints_question

MODES = ("batch", "pointwise", "numbered")
ASKS = ("soft", "all")
PRECISION = Paper(arxiv="2601.04954", title="Precision over Diversity", where="reward of the controlled experiment")
DEFAULTS: Mapping[str, str] = {
    "who": "",
    "mode": "batch",
    "aggregate": "all_pass",
    "asks": "soft",
    "folder": "",
    **dict.fromkeys((*ENDPOINT_OPTIONS, *LOCAL_OPTIONS), ""),
}
"""Options of the reward and their defaults; the last ones are the judge's own, and empty is what `judge` takes then."""
SHOWN_CHARACTERS = 80

OpenJudge = Callable[[str, str, Path | None], Judge]
"""(judge as `--judge` takes it, task, folder of its memory or None for the usual one) -> the judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a judge says of one constraint.

    Example: Judged(verdict=False, log_odds=-1.3)
    Example: Judged(verdict=None, note="2 verdicts for 3 constraints", said="1: yes 2: yes")
    """

    verdict: bool | None
    """Whether it is met; None when it is unscored, and then `note` says why."""
    note: str = ""
    """Why there is no verdict."""
    said: str = ""
    """The beginning of a reply that could not be read."""
    log_odds: float | None = None
    """Of yes against no, in nats; None of a free answer. Of several constraints that were asked about together it is marginal, and the
    verdicts are the likeliest reply: where these hang together, a sign may differ from its verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Messages, and which constraints they ask about in which form."""

    response: int
    places: Sequence[int]
    messages: Messages
    form: Form


def judge_constraints(
    judge: Judge,
    asked: Sequence[tuple[Prompt, str]],
    mode: str = "batch",
    on_reply: Callable[[int], None] = lambda finished: None,
    places: Sequence[Sequence[int]] | None = None,
) -> list[list[Judged]]:
    """What the judge says of constraints of responses, hard or soft alike: it is not told which, nor what code knows.

    Args:
        judge: who is asked; what it remembers is not asked again.
        asked: (prompt with constraints, response).
        mode: batch, pointwise or numbered.
        on_reply: called with the number of questions that are answered since the last call.
        places: of each response the constraints to ask about, counted from 0; None asks about all.

    Returns:
        Of each response one for each constraint that was asked about, in that order.

    Raises:
        ValueError: a prompt without constraints, a constraint without text, or a judge that is down.
    """
    one_of("judge", "mode", mode, MODES)
    chosen = [range(len(constraints_of(prompt))) for prompt, _ in asked] if places is None else places
    questions: list[_Question] = []
    for response, ((prompt, text), wanted) in enumerate(zip(asked, chosen, strict=True)):
        questions += _questions(response, prompt, text, wanted, mode)
    replies = judge.ask([question.messages for question in questions], on_reply, [question.form for question in questions])
    _refuse_who_is_down(judge, replies)
    found: list[dict[int, Judged]] = [{} for _ in asked]
    for question, reply in zip(questions, replies, strict=True):
        found[question.response].update(zip(question.places, _judged(reply, question.form), strict=True))
    return [[told[place] for place in wanted] for told, wanted in zip(found, chosen, strict=True)]


def load_judged(settings: Mapping[str, str], task: Task, open_judge: OpenJudge | None) -> GroupReward:
    """The reward `judge`.

    Args:
        settings: an option of `DEFAULTS` each.
        task: its prompts have constraints; its own reward is kept as gold.
        open_judge: makes the judge, since a model of this machine cannot be loaded from here.

    Raises:
        ValueError: nobody is named, an option is unknown, or the task has no constraints.
    """
    one_of("judge", "mode", settings["mode"], MODES)
    one_of("judge", "aggregate", settings["aggregate"], AGGREGATIONS)
    one_of("judge", "asks", settings["asks"], ASKS)
    if not settings["who"]:
        raise ValueError(f"reward judge names nobody; write judge: and {FORMS}")
    if any(not prompt.info.get("constraints") for prompt in task.prompts(1, 0)):
        raise ValueError(f"reward judge judges constraints, and the prompts of task {task.name!r} have none; use task constraints")
    assert open_judge is not None, "who loads the reward `judge` says how a judge is opened"
    own = "".join(f",{name}={settings[name]}" for name in dict.fromkeys((*ENDPOINT_OPTIONS, *LOCAL_OPTIONS)) if settings[name])
    judge = open_judge(settings["who"] + own, task.name, Path(settings["folder"]) if settings["folder"] else None)
    return judged_reward(judge, mode=settings["mode"], aggregation=settings["aggregate"], asks=settings["asks"])


def judged_reward(judge: Judge, *, mode: str = "batch", aggregation: str = "all_pass", asks: str = "soft") -> GroupReward:
    """The reward of a judge that is there already.

    Args:
        judge: who decides the soft constraints.
        mode: batch, pointwise or numbered.
        aggregation: one of `AGGREGATIONS`.
        asks: soft, or all: then the judge decides the hard ones, too.
    """

    def judge_all(groups: Sequence[tuple[Prompt, Sequence[Rollout]]]) -> list[list[Reward]]:
        """All responses of all groups in one round."""
        responses = [(prompt, rollout) for prompt, rollouts in groups for rollout in rollouts]
        places = [_places(prompt, asks) for prompt, _ in responses]
        told = judge_constraints(judge, [(prompt, rollout.text) for prompt, rollout in responses], mode, places=places)
        by_place = [dict(zip(where, said, strict=True)) for where, said in zip(places, told, strict=True)]
        rewards = iter([_reward(*response, said, aggregation) for response, said in zip(responses, by_place, strict=True)])
        return [[next(rewards) for _ in rollouts] for _, rollouts in groups]

    whose = "soft constraints" if asks == "soft" else "all constraints"
    return GroupReward(
        name="judge",
        summary=f"{whose} as {judge.name.partition(',')[0]} sees them, {mode}, {aggregation}",
        judge=lambda prompt, rollouts: judge_all([(prompt, rollouts)])[0],
        judge_all=judge_all,
        spent=lambda: judge.meter.take().to_json(),
        paper=PRECISION,
    )


def _places(prompt: Prompt, asks: str) -> list[int]:
    return [place for place, kind in enumerate(kinds_of(prompt)) if asks == "all" or kind == "soft"]


def _reward(prompt: Prompt, rollout: Rollout, told: Mapping[int, Judged], aggregation: str) -> Reward:
    """The reward of one response; code decides what the judge was not asked."""
    assert rollout.reward is not None, "a group reward judges what is graded"
    constraints, kinds = constraints_of(prompt), kinds_of(prompt)
    decided: list[bool | None] = [None] * len(constraints) if len(told) == len(constraints) else truths_of(prompt, rollout.text)
    verdicts = [told[place].verdict if place in told else truth for place, truth in enumerate(decided)]
    names = part_names(constraints)
    parts = {name: float(verdict) for name, verdict in zip(names, verdicts, strict=True) if verdict is not None}
    value = aggregate(aggregation, kinds, [None if verdict is None else float(verdict) for verdict in verdicts])
    if value is not None:
        return Reward(value=value, parts=parts, answer=rollout.reward.answer)
    first = verdicts.index(None)
    undecided = f"constraint {names[first]!r} is hard, and code cannot decide it; asks=all gives it to the judge"
    why = f"judge: {told[first].note}" if first in told else undecided
    return Reward(value=None, parts=parts, answer=rollout.reward.answer, note=why)


def _questions(response: int, prompt: Prompt, text: str, places: Sequence[int], mode: str) -> list[_Question]:
    constraints = constraints_of(prompt)
    texts = {place: _text_of(prompt, constraints, place) for place in places}
    if texts and (mode == "numbered" or (mode == "batch" and len(texts) > 1)):
        together = constraints_question(prompt, text, list(texts.values()))
        return [_Question(response=response, places=places, messages=together, form=Form(num_constraints=len(texts), numbered=True))]
    alone = Form(num_constraints=1, numbered=False)
    return [
        _Question(response=response, places=(place,), messages=constraint_question(prompt, text, said), form=alone)
        for place, said in texts.items()
    ]


def _text_of(prompt: Prompt, constraints: Sequence[Mapping[str, Any]], place: int) -> str:
    text = constraints[place].get("text")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(
            f"constraint {place} of prompt {prompt.id} of task {prompt.task!r} has no text to ask a judge about; give it one that says "
            f"all that is asked, in info['constraints'][{place}]['text']"
        )
    return text.strip()


def _judged(reply: Reply, form: Form) -> list[Judged]:
    """One for each constraint of the question."""
    if reply.text is None:
        return [Judged(verdict=None, note=reply.note)] * form.num_constraints
    verdicts, why = form.read(reply.text)
    if verdicts is None:
        said = " ".join(reply.text.split())[:SHOWN_CHARACTERS]
        return [Judged(verdict=None, note=why, said=said)] * form.num_constraints
    odds = [None] * len(verdicts) if reply.log_odds is None else reply.log_odds
    return [Judged(verdict=verdict, log_odds=one) for verdict, one in zip(verdicts, odds, strict=True)]


def _refuse_who_is_down(judge: Judge, replies: Sequence[Reply]) -> None:
    """Raises ValueError where it is not the questions."""
    failed = [reply for reply in replies if reply.kind == "failed"]
    if not failed:
        return
    never = len(failed) == len(replies) and not judge.meter.has_answered
    if never or judge.meter.failed_in_a_row >= FIRST_FAILURES:
        who, times = judge.name.partition(",")[0], judge.meter.failed_in_a_row
        raise ValueError(
            f"judge {judge.model} at {who} is down: {times} questions in a row failed, the last one: {failed[-1].note}. See that it runs "
            "and start again; replies so far are kept"
        )
