"""Who is audited: a judge that is asked about every constraint, or a reward that pays a response or not.

    judge     yes or no on each constraint of a response, blind: it sees neither the truth nor which constraints code could decide
    reward    1[reward >= success] on the whole response, behind the boundary where rewards may crash

Both are asked in the same way and answer in the same form. Each repeat of a judge has a memory of its own, so that it is asked again; each
repeat of a reward is drawn with another seed, which only a reward with chance in it notices.
Left out on purpose: what the truth is, and numbers.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jominy.audited import Level
from jominy.confusion import AuditItem
from jominy.grading import Graders, check_group_size
from jominy.records import AnyReward, Prompt, RewardFunction, Rollout
from jominy.rewards.judge import Judge, LocalJudge, address_of, read_judge
from jominy.rewards.judged import Judged, judge_constraints
from jominy.rewards.loading import load_reward
from jominy.rewards.metering import Spent
from jominy.rewards.questions import words_asked
from jominy.rewards.spurious import load_group_reward, names_reward
from jominy.sampling import LoadJudge, open_judge, sources_of
from jominy.specs import SampleSpec
from jominy.specs.auditing import AuditSpec
from jominy.tasks.constraints import make

TASK = "constraints"
Said = tuple[Judged, ...]
"""One verdict a constraint, or one of the whole response."""
OnReply = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditee:
    """Somebody who gives verdicts.

    Example: Auditee(who="judge local:smollm2, batch", identity={...}, level="constraint", ask=ask, num_questions=len, spent=None)
    """

    who: str
    """In short, for titles."""
    identity: Mapping[str, Any]
    """What verdicts depend on beside the response: those of another identity are another auditee's."""
    level: Level
    """What one verdict is about."""
    ask: Callable[[Sequence[AuditItem], int, OnReply], list[Said]]
    """(responses, repeat, told of progress) -> the verdicts on each. Raises ValueError where nobody answers."""
    num_questions: Callable[[Sequence[AuditItem]], int]
    """How many steps of progress that is."""
    spent: Callable[[], Spent | None]
    """What asking has cost since the last call; None of somebody who counts nothing."""


@contextmanager
def opened(spec: AuditSpec, out: Path, load_engine: LoadJudge) -> Iterator[Auditee]:
    """Who is to be audited, until the end of the block.

    Raises:
        ValueError: nobody by that name, or a reward that looks at whole groups.
    """
    if spec.judge is not None:
        yield _judge(spec, spec.judge, out, load_engine)
        return
    assert spec.reward is not None, "AuditSpec.check has seen to it"
    reward, gold = _load(spec, spec.reward)
    with Graders(reward, gold, timeout_s=spec.reward_timeout) as graders:
        yield _reward(spec, spec.reward, graders)


def _judge(spec: AuditSpec, name: str, out: Path, load_engine: LoadJudge) -> Auditee:
    load = functools.cache(load_engine)
    folders = [out / "judge" if repeat == 0 else out / "judge" / f"repeat-{repeat + 1}" for repeat in range(spec.repeats)]
    wanted, judges = read_judge(name), [open_judge(name, TASK, folder, load) for folder in folders]

    def ask(items: Sequence[AuditItem], repeat: int, on_reply: OnReply) -> list[Said]:
        told = judge_constraints(judges[repeat], [(item.prompt, item.text) for item in items], spec.mode, on_reply)
        return [tuple(verdicts) for verdicts in told]

    def num_questions(items: Sequence[AuditItem]) -> int:
        return sum(len(item.truths) for item in items) if spec.mode == "pointwise" else len(items)

    freely = ", free answers" if isinstance(wanted, LocalJudge) and wanted.answers == "free" else ""
    return Auditee(
        who=f"judge {_shown(name, judges[0])}, {spec.mode}{freely}",
        identity={
            "judge": address_of(name) or "local",
            "named": wanted.model if isinstance(wanted, LocalJudge) else wanted.endpoint.model,
            "model": judges[0].model,
            "max_tokens": judges[0].max_tokens,
            "mode": spec.mode,
            "answers": judges[0].answers,
            "words": words_asked(),
        },
        level="constraint",
        ask=ask,
        num_questions=num_questions,
        spent=lambda: functools.reduce(Spent.plus, [judge.meter.take() for judge in judges]),
    )


def _shown(name: str, judge: Judge) -> str:
    """Model and address, without the other options."""
    where = address_of(name)
    return f"{judge.model} at {where}" if where else name.partition(",")[0]


def _load(spec: AuditSpec, name: str) -> tuple[AnyReward, RewardFunction | None]:
    """The reward, and the truth that a reward of the table is made from."""
    if not names_reward(name):
        return load_reward(name), None
    task = make(spec.truth.constraints)
    reward = load_group_reward(name, task, open_judge)
    try:
        check_group_size(reward, 1)
    except ValueError as error:
        raise ValueError(f"reward {name} compares the responses of a group, and an audit asks about one at a time ({error})") from error
    return reward, task.reward


def _reward(spec: AuditSpec, name: str, graders: Graders) -> Auditee:
    def ask(items: Sequence[AuditItem], repeat: int, on_reply: OnReply) -> list[Said]:
        prompts: dict[str, Prompt] = {item.prompt.id: item.prompt for item in items}
        graded = graders.grade([[_rollout_of(item, spec.seed + repeat)] for item in items], prompts)
        on_reply(len(items))
        return [(_paid(rollout, spec.success),) for (rollout,) in graded]

    def spent() -> Spent | None:
        counted = graders.spent()
        return None if counted is None else Spent.of_json(counted)

    return Auditee(
        who=f"reward {_without_options(name)}",
        identity={
            "reward": name,
            "success": spec.success,
            "seed": spec.seed,
            "constraints": spec.truth.constraints,
            "sources": sources_of(SampleSpec(task=TASK, reward=name)),
        },
        level="response",
        ask=ask,
        num_questions=len,
        spent=spent,
    )


def _without_options(name: str) -> str:
    """A judge behind a reward may be named with options that nobody needs in a title."""
    return name.partition(",")[0] if name.startswith("judge:") else name


def _rollout_of(item: AuditItem, seed: int) -> Rollout:
    """The response as a reward takes it; its number goes by its text, so that the same text is always the same rollout."""
    number = int(hashlib.sha256(item.text.encode("utf-8", "surrogatepass")).hexdigest()[:7], 16)
    return Rollout(
        prompt_id=item.prompt.id,
        index=number,
        text=item.text,
        token_ids=np.zeros(0, dtype=np.int64),
        logprobs=None,
        logprobs_t1=None,
        stop="eos",
        policy="audit",
        temperature=1.0,
        top_p=1.0,
        seed=seed,
    )


def _paid(rollout: Rollout, success: float) -> Judged:
    assert rollout.reward is not None, "it has been graded"
    if rollout.reward.value is None:
        return Judged(verdict=None, note=rollout.reward.note)
    return Judged(verdict=rollout.reward.value >= success)
