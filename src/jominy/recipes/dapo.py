"""DAPO: GRPO with a higher upper clip, agreeing groups drawn again, all tokens alike, a soft limit on length (2503.14476, section 3).

    A_i = (r_i + overlong_i - mean) / (std + 1e-6);   clip 0.2 below, 0.28 above;   sum over all tokens of the step / their number

Decided here: std and epsilon are verl's, in which the paper's runs were made; the overlong buffer is the paper's share, 4096 of 20480
tokens (`overlong=off` without; 2508.21188 has it off); which groups agree is judged on the rewards before the overlong
penalty. `fill` has three modes: until_full (the paper), two_then_repeat (2508.21188: two batches of draws, then the groups that are kept
are repeated until the step is full, which raises the learning rate of few prompts silently) and off.

What the mean gradient equals: for responses of one length, overlong off, m * grad p / length with the m of `grpo`, over the groups that
were kept. Otherwise a response's share depends on the lengths of all others, and no fixed objective has this gradient: biased, by the
covariance of a step's gradient with one over its number of tokens.
"""

from __future__ import annotations

from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.records import Paper

PAPER = Paper(arxiv="2503.14476", title="DAPO", where="section 3")
SUMMARY = "GRPO with clip-higher, dynamic sampling, token mean and soft overlong"
DEFAULTS = Settings(
    advantage=Advantage(baseline="mean", scale="group", epsilon=1e-6),
    ratio=Ratio(kind="token", clip_low=0.2, clip_high=0.28),
    divide="tokens",
    overlong=0.2,
    fill="until_full",
)


def make(options: str, max_tokens: int | None) -> Recipe:
    """DAPO with the options of `options.py`; needs `max_tokens` unless overlong=off.

    >>> make("overlong=off", None).fill
    'until_full'
    """
    return build("dapo", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
