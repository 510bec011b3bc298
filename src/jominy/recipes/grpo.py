"""GRPO: the reward against its group, in units of the group's spread (2402.03300, section 4.1).

    A_i = (r_i - mean_j r_j) / (std_j r_j + epsilon);   w_t = r_t A where not clipped;   mean over tokens of a response, then over responses

Where the paper and the libraries differ, decided here: the std has n - 1 (torch's default, so TRL and verl; the paper does not say) and
epsilon is TRL's 1e-4 (verl 1e-6, open-instruct 1e-8 with n); there is no KL, as in TRL 1.16 (the paper: kl=k3, beta=0.04, written
`grpo:kl=k3`); the divisor is the paper's (TRL 1.16 and verl divide by all tokens: `grpo:divide=tokens`); clip 0.2 on both sides as
everywhere.

What the mean gradient equals, on policy, rewards 0 and 1, pass rate p, c right of G:

    divide=budget:   m * grad p / max_tokens,    m = E_c[ (c/G) (1 - c/G) / (std_c + epsilon) ] / (p (1 - p)),   about 1 / sqrt(p (1 - p))
    divide=rows:     sum_s pi(s) a(r_s) / |s| * grad log pi(s),   a(r) the mean advantage of a response of reward r in a random group

So the std makes a sure prompt count more than the expected reward says, and rows makes a token of a short response count more. With
`scale=none` a(r) = (G-1)/G * (r - mean reward).
"""

from __future__ import annotations

from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.records import Paper

PAPER = Paper(arxiv="2402.03300", title="DeepSeekMath", where="section 4.1, eq. 3")
SUMMARY = "rewards against the mean of their group, divided by its std"
DEFAULTS = Settings(advantage=Advantage(baseline="mean", scale="group"), ratio=Ratio(kind="token"), divide="rows")


def make(options: str, max_tokens: int | None) -> Recipe:
    """GRPO with the options of `options.py`.

    >>> from jominy.groups import Groups
    >>> make("epsilon=0", None).credit(Groups.of(rewards=[[1, 0, 0, 0], [1, 1, 1, 1]]))
    array([ 1.5, -0.5, -0.5, -0.5,  0. ,  0. ,  0. ,  0. ])
    """
    return build("grpo", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
