"""REINFORCE: the reward itself, with nothing subtracted (Williams 1992).

    A_i = r_i;   w_t = A;   sum over all tokens / (N * max_tokens)

The mean gradient on policy is grad E[r] / max_tokens, exactly, for groups of any size, one included; its variance is the highest of all. A
constant reward still moves the weights at every step, though not on average. `baseline` and `scale=batch` make it the other recipes.
"""

from __future__ import annotations

from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.records import Paper

PAPER = Paper(arxiv="", title="Williams 1992, Simple statistical gradient-following algorithms")
SUMMARY = "the reward itself as advantage; works with one rollout a prompt"
DEFAULTS = Settings(advantage=Advantage(baseline="none", scale="none"), ratio=Ratio(kind="none"), divide="budget")


def make(options: str, max_tokens: int | None) -> Recipe:
    """REINFORCE with the options of `options.py`; needs `max_tokens`.

    >>> from jominy.groups import Groups
    >>> make("", 64).credit(Groups.of(rewards=[[0.5], [None]]))
    array([0.5, 0. ])
    """
    return build("reinforce", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
