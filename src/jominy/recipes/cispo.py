"""CISPO: the ratio is capped instead of the token dropped, so every token keeps its gradient (2506.13585, section 3.1).

    w_t = min(r_t, 1 + high) A,   the ratio held constant;   sum over all tokens of the step / their number

Advantages as in `grpo`. The paper bounds the ratio from above only and we know of no number in it; high = 4, a cap of 5, is the value that
TRL 1.16 recommends from 2510.13786 (there `epsilon_high=5.0` is the cap itself). A lower bound is set by `clip_low`.
The mean gradient on policy is that of `grpo` with divide=tokens.
"""

from __future__ import annotations

from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.records import Paper

PAPER = Paper(arxiv="2506.13585", title="MiniMax-M1", where="section 3.1; cap: 2510.13786")
SUMMARY = "GRPO with capped ratios instead of dropped tokens"
DEFAULTS = Settings(
    advantage=Advantage(baseline="mean", scale="group"), ratio=Ratio(kind="capped", clip_low=None, clip_high=4.0), divide="tokens"
)


def make(options: str, max_tokens: int | None) -> Recipe:
    """CISPO with the options of `options.py`.

    >>> import numpy as np
    >>> logp = np.log([[7.0, 2.0]])
    >>> make("", None).weigh(logp, 0 * logp, None, np.ones((1, 2)), np.ones((1, 2), dtype=bool))
    array([[5., 2.]])
    """
    return build("cispo", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
