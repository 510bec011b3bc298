"""RLOO: each reward against the mean of the others, the unbiased group baseline (2402.14740).

    A_i = r_i - mean_{j != i} r_j;   w_t = A;   sum over all tokens / (N * max_tokens)

The mean gradient on policy is grad E[r] / max_tokens, exactly: the baseline of a response does not depend on it. `divide=sequences` drops
the constant, and is the paper's. Decided here: no ratio, as in the paper (TRL's RLOOTrainer clips the ratio of whole responses, verl that
of tokens: `ratio=token`); the constant keeps the gradient's size beside that of the other recipes. With several updates a batch, ask for a
ratio.
"""

from __future__ import annotations

from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.records import Paper

PAPER = Paper(arxiv="2402.14740", title="Back to Basics", where="RLOO")
SUMMARY = "rewards against the mean of the others in the group: unbiased"
DEFAULTS = Settings(advantage=Advantage(baseline="leave_one_out", scale="none"), ratio=Ratio(kind="none"), divide="budget")


def make(options: str, max_tokens: int | None) -> Recipe:
    """RLOO with the options of `options.py`; needs `max_tokens`.

    >>> from jominy.groups import Groups
    >>> make("", 64).credit(Groups.of(rewards=[[1, 0, 1]]))
    array([ 0.5, -1. ,  0.5])
    """
    return build("rloo", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
