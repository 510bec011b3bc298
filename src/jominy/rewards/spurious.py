"""Rewards that do not know the answer, or know it and pay something else: a table of names, and how each judges a group.

    ground_truth      F * C                 the truth, behind a form                                     (2508.21188)
    format            F                     the form alone                                               (2508.21188)
    random            Bernoulli(gamma)      a coin                                                       (2506.10947)
    random_format     F * Bernoulli(gamma)  a coin behind a form: what 2508.21188 calls random           (2508.21188, released code)
    incorrect_any     F * (1 - C)           any wrong answer in good form                                (2508.21188)
    incorrect_label   1[answer = label]     the group's most common answer where it is wrong: `votes`    (2506.10947)
    majority          1[answer = label]     the group's most common answer: `votes`                      (2504.16084)
    entropy           mean log p            how sure the policy was: mean log-probability a token, or minus the mean entropy
    noisy             C, flipped            at two stated rates: `noise`
    judge             aggregate(verdicts)   code on hard constraints, a judge on soft ones: `judged`             (2601.04954)

F and C are defined in `gates`. Coins are a function of who the rollout is (`noise.uniform`). The truth is graded first and kept as gold.
Left out on purpose: rewards of one text that need no group (`contains_python`, `no_repetition`): a function of your own does that.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.records import GroupReward, Paper, Prompt, Reward, Rollout, Task
from jominy.rewards.gates import GATES, Gate, gate_of, paid, unscored
from jominy.rewards.judged import DEFAULTS, PRECISION, OpenJudge, load_judged
from jominy.rewards.noise import DEFAULTS as NOISY
from jominy.rewards.noise import make_noisy, share_in, toss
from jominy.rewards.options import read_options
from jominy.rewards.votes import SHAO, TTRL, make_incorrect_label, make_majority

MIRAGE = Paper(arxiv="2508.21188", title="Mirage or Method?", where="section 3; released rewards")
AGARWAL = Paper(arxiv="2505.15134", title="The Unreasonable Effectiveness of Entropy Minimization in LLM Reasoning", where="EM-RL")
JUDGE = "judge"
FORMS = GATES[:-1]
"""Gates of the rewards that are nothing without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardEntry:
    """A line of the table.

    Example: RewardEntry(make=make_random, summary="a coin", defaults={"gamma": "0.5"}, paper=SHAO)
    """

    make: Callable[[Mapping[str, str], Task], GroupReward]
    """(options, task) -> the reward."""
    summary: str
    """One line for the listing."""
    defaults: Mapping[str, str]
    """Every option with its default; empty text for none."""
    paper: Paper | None
    """Where it comes from; None for ours."""


def names_reward(spec: str) -> bool:
    """Whether `spec` names a reward of the table, with or without options, and not a function of the user's.

    Raises:
        ValueError: it can be neither; near misses and the table are listed.
    """
    name, colon, rest = spec.partition(":")
    if name in REWARDS:
        return True
    if colon and "=" not in rest:
        return False
    close = difflib.get_close_matches(name, REWARDS, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    known = "\n".join(f"  {reward:16} {entry.summary}" for reward, entry in REWARDS.items())
    raise ValueError(f"no reward {spec!r}{hint}\nThere are\n{known}\nor your own as my_rewards.py:fn")


def load_group_reward(spec: str, task: Task, open_judge: OpenJudge | None = None) -> GroupReward:
    """The reward that `NAME` or `NAME:option=value,option=value` means on a task; `judge:WHO,option=value` names somebody first.

    Args:
        spec: as `--reward` takes it.
        task: what it is to judge.
        open_judge: how a judge is opened, for the reward that has one.

    Raises:
        ValueError: an option is unknown or out of range, or the task lacks what the reward needs.

    >>> from jominy.tasks.arithmetic import make
    >>> load_group_reward("random:gamma=0.3", make("")).summary
    '1 with chance 0.3, whatever is said'
    """
    name, _, options = spec.partition(":")
    entry = REWARDS[name]
    if name == JUDGE:
        given = read_options(name, f"who={options}", entry.defaults)
        return replace(load_judged({**entry.defaults, **given}, task, open_judge), name=spec)
    return replace(entry.make({**entry.defaults, **read_options(name, options, entry.defaults)}, task), name=spec)


def make_ground_truth(settings: Mapping[str, str], task: Task) -> GroupReward:
    """r = F * C."""
    gate = gate_of("ground_truth", settings["gate"], task)
    return GroupReward(name="ground_truth", summary=f"right and in form ({gate.name})", judge=_each(_right_in_form(gate)), paper=MIRAGE)


def make_format(settings: Mapping[str, str], task: Task) -> GroupReward:
    """r = F."""
    gate = gate_of("format", settings["gate"], task, FORMS)

    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        return paid(rollout, gate.has_form(prompt, rollout))

    return GroupReward(name="format", summary=f"in form ({gate.name}), right or wrong", judge=_each(judge), paper=MIRAGE)


def make_random(settings: Mapping[str, str], task: Task) -> GroupReward:
    """r = Bernoulli(gamma)."""
    gamma = share_in("random", "gamma", settings["gamma"])

    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        return paid(rollout, toss("random", rollout) < gamma)

    return GroupReward(name="random", summary=f"1 with chance {gamma:g}, whatever is said", judge=_each(judge), paper=SHAO)


def make_random_format(settings: Mapping[str, str], task: Task) -> GroupReward:
    """r = F * Bernoulli(gamma)."""
    gamma = share_in("random_format", "gamma", settings["gamma"])
    gate = gate_of("random_format", settings["gate"], task, FORMS)

    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        form = gate.has_form(prompt, rollout)
        return paid(rollout, form and toss("random_format", rollout) < gamma, format=form)

    return GroupReward(name="random_format", summary=f"1 with chance {gamma:g} when in form", judge=_each(judge), paper=MIRAGE)


def make_incorrect_any(settings: Mapping[str, str], task: Task) -> GroupReward:
    """r = F * (1 - C), or F * C as 2508.21188 released it for mathematics, where a second definition undoes the first."""
    gate = gate_of("incorrect_any", settings["gate"], task)
    released = settings["released"]
    if released not in ("yes", "no"):
        raise ValueError(f"incorrect_any: released is yes or no; got {released!r}")

    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        right, form = gate.is_right(prompt, rollout), gate.has_form(prompt, rollout)
        return unscored(rollout) if right is None else paid(rollout, form and not right, format=form)

    pays = _right_in_form(gate) if released == "yes" else judge
    summary = "right answers in form: the fault of the released code" if released == "yes" else f"wrong answers in form ({gate.name})"
    return GroupReward(name="incorrect_any", summary=summary, judge=_each(pays), paper=MIRAGE)


def make_entropy(settings: Mapping[str, str], task: Task) -> GroupReward:
    """Mean log-probability a token (`form=sequence`) or minus the mean entropy a token (`form=token`), nats at the sampling temperature."""
    form = settings["form"]
    if form not in ("sequence", "token"):
        raise ValueError(f"entropy: form is sequence or token; got {form!r}")

    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        numbers = rollout.logprobs if form == "sequence" else rollout.entropies
        if numbers is None:
            return unscored(rollout, f"the engine gives no {'log-probabilities' if form == 'sequence' else 'entropies'} of its tokens")
        if not len(numbers):
            return unscored(rollout, "a response without tokens has no mean over them")
        mean = float(np.mean(numbers))
        return paid(rollout, mean if form == "sequence" else -mean)

    summary = "mean log-probability a token" if form == "sequence" else "minus the mean entropy a token"
    return GroupReward(name="entropy", summary=summary, judge=_each(judge), needs_entropies=form == "token", paper=AGARWAL)


def _right_in_form(gate: Gate) -> Callable[[Prompt, Rollout], Reward]:
    """F * C with F as a part."""

    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        right, form = gate.is_right(prompt, rollout), gate.has_form(prompt, rollout)
        return unscored(rollout) if right is None else paid(rollout, form and right, format=form)

    return judge


def _each(judge: Callable[[Prompt, Rollout], Reward]) -> Callable[[Prompt, Sequence[Rollout]], list[Reward]]:
    """A judgement of one response as one of a group."""
    return lambda prompt, rollouts: [judge(prompt, rollout) for rollout in rollouts]


REWARDS: dict[str, RewardEntry] = {
    "ground_truth": RewardEntry(make=make_ground_truth, summary="right answers in the asked form", defaults={"gate": "task"}, paper=MIRAGE),
    "format": RewardEntry(make=make_format, summary="the asked form, right or wrong", defaults={"gate": "task"}, paper=MIRAGE),
    "random": RewardEntry(make=make_random, summary="a coin, whatever is said", defaults={"gamma": "0.5"}, paper=SHAO),
    "random_format": RewardEntry(
        make=make_random_format, summary="a coin for responses in the asked form", defaults={"gamma": "0.5", "gate": "task"}, paper=MIRAGE
    ),
    "incorrect_any": RewardEntry(
        make=make_incorrect_any,
        summary="wrong answers in the asked form; released=yes pays right ones, as the released code does",
        defaults={"gate": "task", "released": "no"},
        paper=MIRAGE,
    ),
    "incorrect_label": RewardEntry(
        make=make_incorrect_label,
        summary="the group's most common answer where that is wrong",
        defaults={"gate": "none"},
        paper=SHAO,
    ),
    "majority": RewardEntry(
        make=make_majority,
        summary="the group's most common answer; the first `votes` vote, the first `trained` train (TTRL: 64 and 32)",
        defaults={"gate": "none", "votes": "", "trained": ""},
        paper=TTRL,
    ),
    "entropy": RewardEntry(
        make=make_entropy,
        summary="how sure the policy was: form=sequence mean log-probability, form=token minus the mean entropy",
        defaults={"form": "sequence"},
        paper=AGARWAL,
    ),
    "noisy": RewardEntry(
        make=make_noisy,
        summary="the task's reward, or of=my_rewards.py:fn, flipped at stated rates (mode=iid, per_constraint, systematic, matched:FILE)",
        defaults=NOISY,
        paper=None,
    ),
    JUDGE: RewardEntry(
        make=lambda settings, task: load_judged(settings, task, None),
        summary="constraints: soft ones as a judge sees them (judge:http://HOST/v1,model=NAME or judge:local:MODEL), hard ones by code",
        defaults=DEFAULTS,
        paper=PRECISION,
    ),
}
"""{name: how it is made}, in the order of the listing."""
