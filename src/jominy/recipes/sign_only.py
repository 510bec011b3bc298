"""Reinforce only right answers, or push down only wrong ones: two papers, two forms, two sets of names.

    constant form, 2506.01347, only the named rollouts are kept      masked z-score, 2508.21188 (RQ3), all rollouts are kept
    positive_only    A = +1 where right                              positive_only_masked    A = z where r > 0, else 0
    negative_only    A = -1 where wrong                              negative_only_masked    A = z where r < 1, else 0
    w_reinforce      A = +lambda where right, -1 where wrong         z = (r - mean) / (std + 1e-6) of the whole group

Right is a training reward of at least `success` (1). lambda = 0.1, clip 0.2, sum over the tokens of what is kept / their number: the
authors'. The masked forms divide by all tokens, the masked ones too, clip 0.2 / 0.28 with a dual clip at 10, and draw twice, then repeat:
that paper's.

What the mean gradient equals, on policy, one prompt, pass rate p, group G, divide=sequences:

    positive_only          (1 - (1-p)^G) * grad log p            likelihood of being right, given that any is
    negative_only          -(1 - p^G) * grad log(1-p)
    w_reinforce            (1 + lambda) * grad p                 on policy and on average the same direction as REINFORCE
    positive_only_masked   a(1) * grad p                         a(r): mean z of a response of reward r; a(1) - a(0) is the m of `grpo`
    negative_only_masked   -a(0) * grad p
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from jominy.groups import Groups
from jominy.recipes.policy_gradient import build, compared
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.recipes.shaping import right
from jominy.records import Bools, Floats, Paper

CONSTANT_PAPER = Paper(
    arxiv="2506.01347", title="The Surprising Effectiveness of Negative Reinforcement", where="PSR, NSR; code: core_algos.py"
)
MASKED_PAPER = Paper(arxiv="2508.21188", title="Mirage or Method?", where="RQ3; code: core_algos.py")
CONSTANT = Settings(advantage=Advantage(baseline="none", scale="none"), ratio=Ratio(kind="token"), divide="tokens")
MASKED = Settings(
    advantage=Advantage(baseline="mean", scale="group", epsilon=1e-6),
    ratio=Ratio(kind="token", clip_low=0.2, clip_high=0.28, dual=10.0),
    divide="tokens",
    fill="two_then_repeat",
)
NOT_CONSTANT = ("baseline", "scale", "ddof", "epsilon", "overlong")
"""Options that compare rewards, which constants do not."""


def positive_only(options: str, max_tokens: int | None) -> Recipe:
    """Right answers with +1, nothing else.

    >>> recipe = positive_only("", None)
    >>> recipe.keep(Groups.of(rewards=[[1, 0, None]])), recipe.credit(Groups.of(rewards=[[1, 0, None]]))
    (array([ True, False, False]), array([1., 0., 0.]))
    """
    without = (*NOT_CONSTANT, "lambda")
    summary = "right answers with weight 1, the others left out"
    return _constant("positive_only", summary, CONSTANT, options, max_tokens, without=without, wrong_weight=0.0)


def negative_only(options: str, max_tokens: int | None) -> Recipe:
    """Wrong answers with -1, nothing else."""
    without = (*NOT_CONSTANT, "lambda")
    summary = "wrong answers with weight -1, the others left out"
    settings = replace(CONSTANT, right_weight=0.0)
    return _constant("negative_only", summary, settings, options, max_tokens, without=without, wrong_weight=-1.0)


def w_reinforce(options: str, max_tokens: int | None) -> Recipe:
    """Right answers with `lambda` (0.1), wrong ones with -1.

    >>> w_reinforce("lambda=0.25", None).credit(Groups.of(rewards=[[1, 0]]))
    array([ 0.25, -1.  ])
    """
    settings = replace(CONSTANT, right_weight=0.1)
    summary = "right answers with weight lambda = 0.1, wrong ones with -1"
    return _constant("w_reinforce", summary, settings, options, max_tokens, without=NOT_CONSTANT, wrong_weight=-1.0)


def positive_only_masked(options: str, max_tokens: int | None) -> Recipe:
    """The z-scores of rewards above 0.

    >>> positive_only_masked("epsilon=0", None).credit(Groups.of(rewards=[[1, 0, 0, 0]]))
    array([1.5, 0. , 0. , 0. ])
    """

    def raw(groups: Groups, rewards_N: Floats, settings: Settings) -> Floats:
        return np.where(groups.rewards_N > 0, compared(groups, rewards_N, settings), 0.0)

    summary = "GRPO's z-scores, those of wrong answers set to 0"
    return build("positive_only_masked", summary, MASKED_PAPER, MASKED, options, max_tokens, raw=raw)


def negative_only_masked(options: str, max_tokens: int | None) -> Recipe:
    """The z-scores of rewards below 1.

    >>> negative_only_masked("epsilon=0", None).credit(Groups.of(rewards=[[1, 0, 0, 0]]))
    array([ 0. , -0.5, -0.5, -0.5])
    """

    def raw(groups: Groups, rewards_N: Floats, settings: Settings) -> Floats:
        return np.where(groups.rewards_N < 1, compared(groups, rewards_N, settings), 0.0)

    summary = "GRPO's z-scores, those of right answers set to 0"
    return build("negative_only_masked", summary, MASKED_PAPER, MASKED, options, max_tokens, raw=raw)


def _constant(
    name: str, summary: str, settings: Settings, options: str, max_tokens: int | None, *, without: Collection[str], wrong_weight: float
) -> Recipe:
    """Two constants; rollouts whose constant is 0 are not kept."""

    def raw(groups: Groups, rewards_N: Floats, settings: Settings) -> Floats:
        return np.where(right(groups, settings.success), settings.right_weight, wrong_weight)

    def choose(groups: Groups, settings: Settings) -> Bools:
        right_N = right(groups, settings.success)
        return (right_N & (settings.right_weight != 0)) | (~right_N & (wrong_weight != 0))

    return build(
        name, summary, CONSTANT_PAPER, settings, options, max_tokens, without=without, raw=raw, choose=choose, constant_is_zero=False
    )
