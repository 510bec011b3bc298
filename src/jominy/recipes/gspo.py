"""GSPO: one ratio a response, because the reward judges responses (2507.18071, section 4).

    s_i = exp( mean_t (logp_t - old_t) );   w_t = s_i A_i where s_i is not clipped;   mean over tokens of a response, then over responses

The weight on a token is s A and not s A / |y|: the 1 / |y| from the derivative of the mean is the one of `divide=rows`. Advantages as in
`grpo`. Clip 3e-4 below and 4e-4 above, from section 5.1: a mean over tokens moves far less than a token does. No KL. The mean gradient on
policy is that of `grpo`, since all ratios are 1.
"""

from __future__ import annotations

from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.records import Paper

PAPER = Paper(arxiv="2507.18071", title="Group Sequence Policy Optimization", where="section 4; clip: section 5.1")
SUMMARY = "GRPO with one importance ratio a response, clipped tightly"
DEFAULTS = Settings(
    advantage=Advantage(baseline="mean", scale="group"), ratio=Ratio(kind="sequence", clip_low=3e-4, clip_high=4e-4), divide="rows"
)


def make(options: str, max_tokens: int | None) -> Recipe:
    """GSPO with the options of `options.py`.

    >>> import numpy as np
    >>> logp = np.array([[0.0004, 0.0]])                                     # s = exp(0.0002): inside the clip
    >>> make("", None).weigh(logp, 0 * logp, None, np.ones((1, 2)), np.ones((1, 2), dtype=bool)).round(4)
    array([[1.0002, 1.0002]])
    """
    return build("gspo", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
