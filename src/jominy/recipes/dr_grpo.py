"""Dr. GRPO: GRPO without the two divisions that bias it, by the std and by the length (2503.20783, section 3).

    A_i = r_i - mean_j r_j;   w_t = r_t A where not clipped;   sum over all tokens / (N * max_tokens)

The mean gradient on policy is (G-1)/G * grad E[r] / max_tokens: exact but for the factor, which comes from a reward's share in its own mean
(`baseline=leave_one_out` removes it). verl's `seq-mean-token-sum-norm` leaves the N out; TRL's `dr_grpo` is as here. Clip 0.2, no KL.
"""

from __future__ import annotations

from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.records import Paper

PAPER = Paper(arxiv="2503.20783", title="Understanding R1-Zero-Like Training", where="section 3")
SUMMARY = "GRPO without its biases: no std, a constant instead of the length"
DEFAULTS = Settings(advantage=Advantage(baseline="mean", scale="none"), ratio=Ratio(kind="token"), divide="budget")


def make(options: str, max_tokens: int | None) -> Recipe:
    """Dr. GRPO with the options of `options.py`; needs `max_tokens`.

    >>> from jominy.groups import Groups
    >>> make("", 64).credit(Groups.of(rewards=[[1, 0, 0, 0]]))
    array([ 0.75, -0.25, -0.25, -0.25])
    """
    return build("dr_grpo", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
