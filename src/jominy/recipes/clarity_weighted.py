"""Silhouette-aware reweighting: DAPO with groups weighing more where right and wrong answers are mixed up (2601.06911, eq. 5-8).

    A_i = exp(-beta S') * (r_i - mean) / (std + 1e-6),    beta = 0.2, so a weight lies in [0.82, 1.22]

S' is computed from the probabilities of the responses at temperature 1, as `diagnose` does, and right means the training reward. Everything
else is `dapo`, but without the overlong penalty, of which the paper's table says nothing. The weights are those of the groups of the step,
taken once, before its mini-batches, as constants; groups that dynamic sampling drew in surplus play no part.
Its ablations (table 2) are options: weight=fisher|separation|pass_rate|random, weight_beta=0.1|0.5; ours are weight=balanced|auroc and
w_norm=mean_1 (`weighting` has the formulas, and says which the paper does not give). Any recipe takes them: `grpo:weight=clarity`.
The mean gradient has no closed form: the weight depends on the whole group. At weight_beta=0 it is that of `dapo:overlong=off`.
"""

from __future__ import annotations

from dataclasses import replace

from jominy.recipes import dapo
from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import GroupWeight
from jominy.records import Paper

PAPER = Paper(arxiv="2601.06911", title="Distributional Clarity", where="eq. 5-8")
SUMMARY = "DAPO with groups of low silhouette weighing more"
DEFAULTS = replace(dapo.DEFAULTS, overlong=None, weight=GroupWeight(kind="clarity", strength=0.2))


def make(options: str, max_tokens: int | None) -> Recipe:
    """DAPO with clarity weights and the options of `options.py`.

    >>> from jominy.groups import Groups
    >>> groups = Groups.of(rewards=[[1, 1, 0, 0]], probability=[[0.9, 0.9, 0.1, 0.1]])      # S' = 1: as clear as can be
    >>> make("epsilon=0", None).credit(groups).round(3)                                     # 0.866 * exp(-0.2)
    array([ 0.709,  0.709, -0.709, -0.709])
    """
    return build("clarity_weighted", SUMMARY, PAPER, DEFAULTS, options, max_tokens)
