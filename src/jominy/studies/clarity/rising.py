"""Does S go with the pass rate: over moments of training, and over prompts by the sign of S? And is that more than noise gives?

The paper's r is over checkpoints and models together, so its claim is judged on that; within models, class-balanced S and S beyond that of
permuted labels are ours.
Left out on purpose: the estimates (`moments`, `signs`).
"""

from __future__ import annotations

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import CLARITY
from jominy.records import Floats, Measure
from jominy.studies.bases import SEED
from jominy.studies.clarity.design import CONSTRAINED, FAMILIES
from jominy.studies.clarity.foretelling import share
from jominy.studies.clarity.models import BASE, Moments, moments_of, only, signs_of
from jominy.studies.clarity.moments import moment_correlation
from jominy.studies.clarity.paper import OURS
from jominy.studies.clarity.signs import by_signs
from jominy.studies.outcomes import ran
from jominy.studies.reading import StudyRuns


def rises(runs: StudyRuns) -> tuple[Claim, ...]:
    """Along training, then by sign, lab models and SmolLM2 apart."""
    moments = moments_of(runs, FAMILIES)
    beyond_K = moments.silhouette_K - moments.null_K
    found = [
        _along(runs, moments, moments.silhouette_K, "S", "along-training", within=False),
        _along(runs, moments, moments.silhouette_K, "S", "along-training-within", within=True),
        _along(runs, moments, moments.balanced_K, "class-balanced S", "along-training-balanced", within=True),
        _along(runs, moments, beyond_K, "S beyond that of permuted labels", "along-training-beyond-noise", within=True),
        by_sign(runs, FAMILIES, ""),
    ]
    if any(cell.group == CONSTRAINED for cell in runs.cells):
        found.append(by_sign(runs, CONSTRAINED, "-smollm2"))
    return tuple(found)


def _along(runs: StudyRuns, moments: Moments, score_K: Floats, name: str, code: str, *, within: bool) -> Claim:
    """The score and the pass rate rise together along training."""
    known_K = np.isfinite(score_K)
    whole, inside = (
        moment_correlation(
            "r", score_K[known_K], moments.pass_rate_K[known_K], moments.model_K[known_K], family_K=moments.family_K[known_K], within=one
        )
        for one in (False, True)
    )
    judged = inside if within else whole
    numbers = "r = 0.815 between S and pass rate over checkpoints and models."
    if within:
        numbers = "None. Class sizes alone can give such an r: 0.75 with 16 answers a prompt, where nothing but the pass rate varies."
    return Claim(
        code=code,
        says=f"{name[0].upper()}{name[1:]} and pass rate rise together along RL training{' of a model' if within else ''}.",
        numbers=numbers,
        ran=f"{int(known_K.sum())} moments of {len(np.unique(moments.model_K[known_K]))} lab models; {ran(_lab(runs), (BASE,))}",
        found=f"Over all moments r {share(whole)}; within models r {share(inside)}.",
        verdict=_above(judged, 0.0),
        rule=f"agrees when the correlation {'within models' if within else 'over all moments'} is surely above 0, disagrees when it is "
        "surely below; intervals by leaving families out",
        would_take="More families, and longer runs.",
        paper=OURS if within else CLARITY,
    )


def _lab(runs: StudyRuns) -> StudyRuns:
    return only(runs, [cell.name for cell in runs.cells if cell.group == FAMILIES])


def _above(measure: Measure, border: float) -> Agreement:
    if measure.low is None or measure.high is None:
        return "cannot tell"
    return "agrees" if measure.low > border else "disagrees" if measure.high < border else "cannot tell"


def by_sign(runs: StudyRuns, group: str, suffix: str) -> Claim:
    """Prompts of S above 0 pass more often than the noise of S gives."""
    signs = signs_of(runs, group)
    ratio = by_signs(signs, np.random.default_rng(SEED))
    found = f"No ratio: {ratio.beyond.why_none}."
    if ratio.seen is not None:
        found = f"{number(ratio.seen)} times; noise alone gives {number(ratio.noise)} times; beyond it {share(ratio.beyond)} times."
    below, num_prompts = sum(int(model.below_P.sum()) for model in signs), sum(len(model.below_P) for model in signs)
    return Claim(
        code=f"by-sign{suffix}",
        says="Prompts with S of 0 or more pass more often than those below, beyond what the noise of S gives.",
        numbers="Qwen 52.3 % against 6.5 %, OctoThinker 40.8 % against 3.1 %: 8 and 13 times, not held against noise.",
        ran=f"{ratio.num_models} of {len(signs)} base models with prompts on both sides; {below} of {num_prompts} prompts below 0",
        found=found,
        verdict=_above(ratio.beyond, 1.0),
        rule="agrees when the ratio over that of signs drawn by their chance under permuted labels is surely above 1, disagrees when it is "
        "surely below; compared within models, intervals by leaving families out",
        would_take="More prompts with right and wrong answers.",
        paper=CLARITY,
    )
