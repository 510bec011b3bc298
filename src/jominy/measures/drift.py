"""How far the policy went from its start, and what the gain is made of: divergence, format against skill.

    KL(policy || start) = E[ sum_t logp_t - start_t ]       over responses drawn from the policy at temperature 1, full vocabulary   (k1)

    p = f * s       f share with an answer, s share of right ones among these
    delta p = delta f * (s0 + s1) / 2 + (f0 + f1) / 2 * delta s                                             exact, ours

The k1 estimator has no bias and may come out below 0; its interval says how much that means.
Left out on purpose: k3, which never comes out below 0 and has the same mean, but whose rare large terms hide from small samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jominy.explanation import Change, FormatSkill
from jominy.measures.paired import paired_change
from jominy.records import Floats, Measure, Paper
from jominy.stats import Statistic, bootstrap_interval, mean_interval, share_interval

OURS = Paper(arxiv="", title="our drift measure")

Doubles = NDArray[np.float64]


def kl_to_start(sums_P: Floats, tokens_P: Floats, responses_P: Floats, rng: np.random.Generator) -> tuple[Measure, Measure]:
    """Divergence from the start in nats: a response (mean over prompts) and a token (all nats over all tokens).

    Args:
        sums_P: [P] sum over a prompt's responses and tokens of log-probability minus log-probability under the start.
        tokens_P: [P] tokens of these responses.
        responses_P: [P] these responses; prompts with none are left out and counted.
        rng: source of the bootstrap.
    """
    used_P = responses_P > 0
    num_left_out = int(len(used_P) - used_P.sum())
    shell = Measure(name="KL to the start", value=None, unit="nats", num_prompts=int(used_P.sum()), num_left_out=num_left_out, paper=OURS)
    response = replace(shell, name="KL to the start a response", meaning="How far a whole response's probability moved from the start.")
    token = replace(shell, name="KL to the start a token", meaning="The same for one token.")
    if not used_P.any():
        why = "no response was scored again under the start"
        return replace(response, why_none=why), replace(token, why_none=why)
    means_P = sums_P[used_P] / responses_P[used_P]
    by_response = mean_interval(means_P)
    by_token = bootstrap_interval(np.stack([sums_P[used_P], tokens_P[used_P]], axis=1), lambda means: means[..., 0] / means[..., 1], rng)
    value = float(sums_P[used_P].sum() / tokens_P[used_P].sum())
    return (
        replace(response, value=float(means_P.mean()), low=by_response.low, high=by_response.high),
        replace(token, value=value, low=by_token.low, high=by_token.high),
    )


def format_and_skill(
    answered_before_P: Floats, right_before_P: Floats, answered_after_P: Floats, right_after_P: Floats, rng: np.random.Generator
) -> FormatSkill:
    """The pass@1 gain, parted by the identity at the top.

    Args:
        answered_before_P: [P] share of a prompt's scored responses that hold an answer.
        right_before_P: [P] share of right ones, never above it.
        answered_after_P: [P] the same after.
        right_after_P: [P] the same after.
        rng: source of the bootstrap.

    Raises:
        ValueError: somewhere more responses are right than answered, or on one side nothing is answered, so that s does not exist.

    >>> f = format_and_skill(np.array([0.5]), np.array([0.25]), np.array([1.0]), np.array([1.0]), np.random.default_rng(0))
    >>> f.format_part.value, f.skill_part.value         # 0.5 * (0.5 + 1) / 2 and (0.5 + 1) / 2 * 0.5
    (0.375, 0.375)
    """
    columns_P4: Doubles = np.stack([answered_before_P, right_before_P, answered_after_P, right_after_P], axis=1).astype(np.float64)
    if np.any(right_before_P > answered_before_P) or np.any(right_after_P > answered_after_P):
        raise ValueError("a response without an answer is right, so giving one is no format that counts; format and skill cannot be parted")
    if len(columns_P4) == 0 or columns_P4[:, 0].sum() == 0 or columns_P4[:, 2].sum() == 0:
        raise ValueError("on one side no response holds an answer, so how often answers are right is undefined there")
    answered = paired_change(
        "with an answer",
        answered_before_P,
        answered_after_P,
        unit="share",
        meaning="Share of the responses from which an answer could be extracted: format.",
        why_none="no prompt has scored responses on both sides",
        paper=OURS,
    )
    shell = replace(answered.difference, value=None, low=None, high=None, meaning="", why_none="", num_left_out=0)
    accuracy = Change(
        name="right among answered",
        before=_accuracy(shell, answered_before_P, right_before_P),
        after=_accuracy(shell, answered_after_P, right_after_P),
        difference=_estimate(replace(shell, name="change of right among answered"), columns_P4, _skill_change, rng),
    )
    format_part = replace(shell, name="format part", meaning="The part of the pass@1 gain that comes from giving an answer at all.")
    skill_part = replace(shell, name="skill part", meaning="The part of the pass@1 gain that comes from answers being right.")
    return FormatSkill(
        answered=answered,
        accuracy=accuracy,
        format_part=_estimate(format_part, columns_P4, _format_part, rng),
        skill_part=_estimate(skill_part, columns_P4, _skill_part, rng),
    )


def _accuracy(shell: Measure, answered_P: Floats, right_P: Floats) -> Measure:
    used_P = answered_P > 0
    interval = share_interval(right_P[used_P] / answered_P[used_P], weights_T=answered_P[used_P])
    return replace(
        shell,
        name="right among answered",
        value=float(right_P.sum() / answered_P.sum()),
        low=interval.low,
        high=interval.high,
        num_prompts=int(used_P.sum()),
        num_left_out=int(len(used_P) - used_P.sum()),
        meaning="Share of right ones among the responses with an answer: skill.",
    )


def _estimate(shell: Measure, columns_P4: Doubles, statistic: Statistic, rng: np.random.Generator) -> Measure:
    interval = bootstrap_interval(columns_P4, statistic, rng, bounds=(-1.0, 1.0))
    return replace(shell, value=float(statistic(columns_P4.mean(axis=0))), low=interval.low, high=interval.high)


def _parts_of(means: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """f0, s0, f1, s1 from [..., 4] means of answered and right, before and after; s is NaN where nothing is answered."""
    answered_before, right_before, answered_after, right_after = np.moveaxis(means, -1, 0)
    skill_before = right_before / np.where(answered_before > 0, answered_before, np.nan)
    return answered_before, skill_before, answered_after, right_after / np.where(answered_after > 0, answered_after, np.nan)


def _skill_change(means: Doubles) -> Doubles:
    _, before, _, after = _parts_of(means)
    return after - before


def _format_part(means: Doubles) -> Doubles:
    answered_before, skill_before, answered_after, skill_after = _parts_of(means)
    return (answered_after - answered_before) * (skill_before + skill_after) / 2


def _skill_part(means: Doubles) -> Doubles:
    answered_before, skill_before, answered_after, skill_after = _parts_of(means)
    return (answered_before + answered_after) / 2 * (skill_after - skill_before)
