"""Rewards by the group's own vote: the most common answer stands in for the truth.

    label = the most common of the first N answers; of equally common ones the one that was said first
    majority          r = F * 1[answer = label]                                          (TTRL, 2504.16084)
    incorrect_label   r = F * 1[answer = label] where the label is wrong, else 0         (2506.10947)

An answer is what the task's reward extracted, compared by spelling. A response without one cannot win and earns 0; one that could not be
graded does not vote and is unscored. `majority` brings the diagnostics of TTRL as parts, the same for every rollout of a group:

    label_right          1 where the label is right           (its label_accuracy)
    majority_share       voters who gave it                   (its majority_ratio)
    ground_truth_share   rollouts that are right              (its ground_truth_ratio)

Left out on purpose: voting by value. TTRL, too, counts spellings, though it then grades by value: here 1/2 does not earn what 0.5 won.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jominy.records import GroupReward, Paper, Prompt, Reward, Rollout, Task
from jominy.rewards.boundary import Grader
from jominy.rewards.gates import Gate, gate_of, paid, unscored

TTRL = Paper(arxiv="2504.16084", title="TTRL: Test-Time Reinforcement Learning", where="section 2")
SHAO = Paper(arxiv="2506.10947", title="Spurious Rewards: Rethinking Training Signals in RLVR", where="section 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """What a group has voted.

    Example: Election(label="13", right=True, share=0.625)
    """

    label: str | None
    """The most common answer; None where nobody gave one."""
    right: bool
    """Whether it is right; False without one."""
    share: float
    """Voters who gave it, out of all who could be graded; 0 without one."""


def elect(gate: Gate, prompt: Prompt, voters: Sequence[Rollout]) -> Election:
    """The vote of these rollouts, in order."""
    graded = [rollout for rollout in voters if _is_graded(rollout)]
    answers = [answer for rollout in graded if (answer := _answer_of(rollout)) is not None]
    if not answers:
        return Election(label=None, right=False, share=0.0)
    counts = Counter(answers)
    label = max(counts, key=counts.__getitem__)  # the first of equals: a Counter keeps the order in which answers came
    first = next(rollout for rollout in graded if _answer_of(rollout) == label)
    return Election(label=label, right=gate.is_right(prompt, first) is True, share=counts[label] / len(graded))


def make_majority(settings: Mapping[str, str], task: Task) -> GroupReward:
    """Pay agreement with the most common answer; `votes` rollouts vote and `trained` train, empty for all."""
    gate = gate_of("majority", settings["gate"], task)
    votes, trained = (_count("majority", name, settings[name]) for name in ("votes", "trained"))
    require_answers("majority", task)

    def judge(prompt: Prompt, rollouts: Sequence[Rollout]) -> list[Reward]:
        election = elect(gate, prompt, rollouts[:votes])
        known = [right for rollout in rollouts if (right := gate.is_right(prompt, rollout)) is not None]
        parts = {"label_right": float(election.right), "majority_share": election.share}
        if known:
            parts["ground_truth_share"] = sum(known) / len(known)
        return [_agreeing(gate, prompt, rollout, election.label, parts) for rollout in rollouts]

    return GroupReward(
        name="majority",
        summary="1 for the most common answer of the group",
        judge=judge,
        smallest_group=max(votes or 1, trained or 1),
        trained=trained,
        paper=TTRL,
    )


def make_incorrect_label(settings: Mapping[str, str], task: Task) -> GroupReward:
    """Pay agreement with the most common answer where that is wrong; a group whose majority is right earns 0 everywhere."""
    gate = gate_of("incorrect_label", settings["gate"], task)
    require_answers("incorrect_label", task)

    def judge(prompt: Prompt, rollouts: Sequence[Rollout]) -> list[Reward]:
        election = elect(gate, prompt, rollouts)
        parts = {"label_right": float(election.right), "majority_share": election.share}
        label = None if election.right else election.label
        return [_agreeing(gate, prompt, rollout, label, parts) for rollout in rollouts]

    return GroupReward(
        name="incorrect_label", summary="1 for the most common answer of the group where that is wrong, else 0", judge=judge, paper=SHAO
    )


def require_answers(reward: str, task: Task) -> None:
    """Raises ValueError when the task's reward extracts no answer even from a gold one: nobody could vote.

    Asked behind the grading boundary, of one prompt that has a gold answer; without one nothing is known, and nothing refused.
    """
    asked = [(prompt, prompt.gold_answer) for prompt in task.prompts(1, 0) if prompt.gold_answer is not None]
    if not asked:
        return
    with Grader(task.reward, num_workers=1) as grader:
        (graded,) = grader.grade(asked)
    if graded.value is not None and graded.answer is None:
        raise ValueError(
            f"{reward} counts answers, and the reward of task {task.name!r} extracts none (it judges the whole text); use it on a task "
            "with answers, such as arithmetic, math or logic, or take another reward here: jominy rewards"
        )


def _agreeing(gate: Gate, prompt: Prompt, rollout: Rollout, label: str | None, parts: Mapping[str, float]) -> Reward:
    if not _is_graded(rollout):
        return unscored(rollout)
    return paid(rollout, label is not None and _answer_of(rollout) == label and gate.has_form(prompt, rollout), **parts)


def _is_graded(rollout: Rollout) -> bool:
    assert rollout.reward is not None, "a group reward judges what is graded"
    return rollout.reward.value is not None


def _answer_of(rollout: Rollout) -> str | None:
    """The answer, None where there is none or an empty one."""
    assert rollout.reward is not None
    return (rollout.reward.answer or "").strip() or None


def _count(reward: str, name: str, text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{reward}: {name} is a whole number of at least 1; got {text!r}")
    return int(text)
