"""Learning by example: SFT on the gold answers of the task, rejection fine-tuning on the policy's own right answers, and SFT on its own
decisions put right.

    sft         w_t = 1 on every token of a demonstration
    rft         w_t = 1 where r >= success, wrong answers left out                                                     (2308.01825)
    corrected   w_t = 1 on the verdicts of the policy's own responses, each cut behind its first wrong verdict and that put right

Sum over all tokens / their number, as everywhere in SFT. No ratio and no clip: a demonstration was not drawn by any policy of ours.
The mean gradient of sft is that of the mean log-likelihood a token of the demonstrations. That of rft with divide=sequences, on policy, one
prompt, pass rate p, group G, is (1 - (1-p)^G) * grad log p: what `positive_only` does on policy. There is no contrast with wrong answers.

Variants for responses that try, decide and try again (`Task.retrying`), to tell apart why SFT leaves deciding behind (2601.01580; the arms
are ours):
    sft:divide=segments,spans=sampling+decision   decisions weighted up: half of each response, however short they are
    sft:spans=attempt.right+check+verdict         wrong attempts masked: they are read and judged, but not imitated
    corrected                                     the policy's own states with an oracle's verdicts: only the states differ from sft
    corrected:spans=decision                      the same with the checks, which are the policy's own, right or wrong
Tokens in no span (the stop token behind a last attempt that nobody judges) do not train where `spans` is given.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jominy.groups import Groups
from jominy.recipes.policy_gradient import build
from jominy.recipes.recipe import Recipe
from jominy.recipes.settings import Advantage, Ratio, Settings
from jominy.recipes.shaping import right
from jominy.records import Bools, Floats, Paper

SFT_PAPER = Paper(arxiv="", title="maximum likelihood")
RFT_PAPER = Paper(
    arxiv="2308.01825", title="Scaling Relationship on Learning Mathematical Reasoning", where="rejection sampling fine-tuning"
)
CORRECTED_PAPER = Paper(
    arxiv="2601.01580", title="The Two-Stage Decision-Sampling Hypothesis", where="an arm of ours, to separate states from objective"
)
DEFAULTS = Settings(advantage=Advantage(baseline="none", scale="none"), ratio=Ratio(kind="none"), divide="tokens")
COMPARING = ("baseline", "scale", "ddof", "epsilon", "ratio", "clip_low", "clip_high", "dual", "overlong", "lambda")
NOT_GIVEN = (*COMPARING, "weight", "weight_beta", "w_norm", "success", "truncated", "fill")
"""Options about rewards and drawing, where all that is there is learned."""


def sft(options: str, max_tokens: int | None) -> Recipe:
    """The gold answers of the prompts, every token alike.

    >>> recipe = sft("", None)
    >>> recipe.source, recipe.credit(Groups.of(rewards=[[1], [0], [None]]))      # what a reward says of a demonstration plays no part
    ('demonstrations', array([1., 1., 0.]))
    """
    summary = "learn the task's gold answers by heart"
    recipe = build("sft", summary, SFT_PAPER, DEFAULTS, options, max_tokens, without=NOT_GIVEN, raw=_one, constant_is_zero=False)
    return replace(recipe, source="demonstrations")


def corrected(options: str, max_tokens: int | None) -> Recipe:
    """The policy's own responses with the first wrong verdict put right; the reward plays no part, but the ungraded are left out.

    >>> corrected("", None).spans, corrected("spans=decision", None).spans, corrected("", None).source
    (('verdict',), ('decision',), 'corrected')
    """
    summary = "learn right verdicts on the model's own attempts (tasks that try again)"
    defaults = replace(DEFAULTS, spans=("verdict",))
    recipe = build(
        "corrected", summary, CORRECTED_PAPER, defaults, options, max_tokens, without=NOT_GIVEN, raw=_one, constant_is_zero=False
    )
    return replace(recipe, source="corrected")


def rft(options: str, max_tokens: int | None) -> Recipe:
    """The policy's own right answers, every token alike.

    >>> rft("success=0.5", None).keep(Groups.of(rewards=[[0.75, 0.25, None]]))
    array([ True, False, False])
    """
    summary = "learn the model's own right answers by heart"
    return build(
        "rft", summary, RFT_PAPER, DEFAULTS, options, max_tokens, without=COMPARING, raw=_right, choose=_is_right, constant_is_zero=False
    )


def _one(groups: Groups, rewards_N: Floats, settings: Settings) -> Floats:
    return np.ones(groups.num_rollouts)


def _right(groups: Groups, rewards_N: Floats, settings: Settings) -> Floats:
    return right(groups, settings.success).astype(np.float64)


def _is_right(groups: Groups, settings: Settings) -> Bools:
    return right(groups, settings.success)
