"""Does S of the base model say what RL gains? Over models that come in families, beyond what the pass rate says.

    predicts     correlation with the pass rate held fixed, and again with the live share fixed besides (gain bends with the pass rate)
    matched      the same within levels of the pass rate, and pairs of models of one pass rate that differ in S
    left-out     families that were left out are predicted better

Left out on purpose: how a correlation is estimated (`predicting`).
"""

from __future__ import annotations

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import CLARITY
from jominy.records import Floats, Measure
from jominy.studies.bases import SEED
from jominy.studies.clarity.design import CONSTRAINED, FAMILIES
from jominy.studies.clarity.models import BASE, Models, models_of, only
from jominy.studies.clarity.paper import APART, NAMES, OURS, P_SURE, SAME_RATE
from jominy.studies.outcomes import bounds, percent, points, ran
from jominy.studies.predicting import lead_of_pairs, levels, pairs_apart, partial_correlation, skill_added
from jominy.studies.reading import StudyRuns

WOULD_TAKE = "More families, and models that differ in clarity for other reasons than how lab models are made."


def foretells(runs: StudyRuns) -> tuple[Claim, ...]:
    """Lab models first, then SmolLM2's constraints."""
    lab, real = models_of(runs, FAMILIES), models_of(runs, CONSTRAINED)
    found = [
        predicts(runs, lab, "silhouette", ""),
        predicts(runs, lab, "balanced", "-balanced"),
        matched(runs, lab),
        left_out(runs, lab, ""),
    ]
    if any(cell.group == CONSTRAINED for cell in runs.cells):
        found += [predicts(runs, real, "silhouette", "-smollm2"), left_out(runs, real, "-smollm2")]
    return tuple(found)


def correlated(models: Models, score_M: Floats, fixed_MK: Floats) -> tuple[Measure, float | None]:
    """A number of the base models and their gain, other columns held fixed."""
    rng = np.random.default_rng(SEED)
    return partial_correlation("r", score_M, models.gain_M, fixed_MK, rng, family_M=models.family_M, member_M=models.level_M)


def score_of(models: Models, score: str) -> Floats:
    """[M] silhouette or balanced."""
    return {"silhouette": models.silhouette_M, "balanced": models.balanced_M}[score]


def fixed_columns(models: Models) -> tuple[Floats, Floats]:
    """[M, 1] the pass rate, [M, 2] the live share besides."""
    return models.pass_rate_M[:, None], np.column_stack([models.pass_rate_M, models.live_M])


def said(measure: Measure, p_value: float | None) -> str:
    """A correlation in words."""
    if measure.value is None:
        return f"undefined ({measure.why_none})"
    between = "" if measure.low is None else f" {bounds(measure)}"
    return f"r {number(measure.value)}{between}, p {p_value:.2g}"


def _side(measure: Measure, p_value: float | None) -> int:
    """1 for positive and sure, -1 for negative and sure, else 0."""
    if measure.value is None or p_value is None or p_value >= P_SURE:
        return 0
    return 1 if measure.value > 0 else -1


def _together(*sides: int) -> Agreement:
    if set(sides) == {1}:
        return "agrees"
    return "disagrees" if set(sides) == {-1} else "cannot tell"


def _models(runs: StudyRuns, models: Models) -> str:
    kind = "SmolLM2 on constraints, each a family" if models.group == CONSTRAINED else "lab models"
    fallen = f" Left out {len(models.left_out)}: {'; '.join(models.left_out)}." if models.left_out else ""
    return f"{len(models)} models ({kind}) in {len(set(models.families))} families; {ran(only(runs, models.names), (BASE,))}.{fallen}"


def predicts(runs: StudyRuns, models: Models, score: str, suffix: str) -> Claim:
    """The score of the base model goes with the gain, the pass rate held fixed."""
    score_M, none_M0 = score_of(models, score), np.zeros((len(models), 0))
    straight, bent = (correlated(models, score_M, fixed_MK) for fixed_MK in fixed_columns(models))
    return Claim(
        code=f"predicts{suffix}",
        says=f"{NAMES[score]} of the base model goes with what RL gains, also at one pass rate.",
        numbers="High S goes with RL performance; no correlation with the gain is given, and three model families are compared.",
        ran=_models(runs, models),
        found=f"{NAMES[score]} and gain: {said(*correlated(models, score_M, none_M0))}; with the pass rate held fixed: {said(*straight)}; "
        f"with the live share fixed besides: {said(*bent)}. Pass rate and gain: {said(*correlated(models, models.pass_rate_M, none_M0))}.",
        verdict=_together(_side(*straight), _side(*bent)),
        rule="agrees when both correlations, with the pass rate held fixed and with the live share besides, are positive with "
        f"p < {P_SURE:g} by orders of whole families; disagrees when both are negative with such p",
        would_take=WOULD_TAKE,
        paper=OURS if score == "balanced" else CLARITY,
    )


def matched(runs: StudyRuns, models: Models) -> Claim:
    """Among models of one pass rate, the clearer one gains more."""
    within = correlated(models, models.silhouette_M, np.column_stack([levels(models.level_M), models.pass_rate_M]))
    pair_Q2 = pairs_apart(models.pass_rate_M, models.silhouette_M, models.family_M, nearest=SAME_RATE, furthest=APART)
    lead = lead_of_pairs("lead", models.gain_M, pair_Q2, models.family_M)
    spread = [
        f"{level} ({_range(models.pass_rate_M[of_level_M])} pass rate, {_range(models.silhouette_M[of_level_M])} S)"
        for place, level in enumerate(np.unique(models.levels))
        if (of_level_M := models.level_M == place).any()
    ]
    return Claim(
        code="matched",
        says="Of models with one pass rate, the one of higher S gains more from RL.",
        numbers="None: the paper matches no models.",
        ran=_models(runs, models),
        found=f"Within levels, the measured pass rate held fixed: {said(*within)}. {len(pair_Q2)} pairs of models of different families "
        f"with pass rates within {100 * SAME_RATE:g} points and S apart by {APART:g} or more: the clearer one gains {points(lead)} more. "
        f"Levels: {'; '.join(spread) or 'none'}.",
        verdict=_together(_side(*within), _surely(lead)),
        rule=f"agrees when the correlation within levels is positive with p < {P_SURE:g} by orders of whole families and the clearer one "
        "of a pair surely gains more; disagrees when both are surely negative",
        would_take="More families, and a wider spread of S at one pass rate.",
        paper=CLARITY,
    )


def _surely(measure: Measure) -> int:
    """1 where the interval lies above 0, -1 below, else 0."""
    if measure.low is None or measure.high is None:
        return 0
    return 1 if measure.low > 0 else -1 if measure.high < 0 else 0


def _range(values: Floats) -> str:
    return f"{number(float(values.min()))} to {number(float(values.max()))}"


def left_out(runs: StudyRuns, models: Models, suffix: str) -> Claim:
    """S beside the pass rate predicts the gain of a family it has not seen."""
    added = skill_added("added", models.gain_M, [models.pass_rate_M], [models.silhouette_M], models.family_M)
    alone = skill_added("added", models.gain_M, [], [models.pass_rate_M], models.family_M)
    verdict: Agreement = "cannot tell"
    if added.low is not None and added.high is not None:
        verdict = "agrees" if added.low > 0 else "disagrees" if added.high <= 0 else "cannot tell"
    return Claim(
        code=f"left-out{suffix}",
        says="S predicts the gain of a family of models that was left out better than the pass rate alone does.",
        numbers="None: the paper predicts nothing.",
        ran=_models(runs, models),
        found=f"S beside the pass rate lowers the squared error by {percent(added)} of that of the mean; the pass rate alone by "
        f"{percent(alone)}.",
        verdict=verdict,
        rule="agrees when the fall of the error is surely above 0, disagrees when it is surely not",
        would_take="More families.",
        paper=OURS,
    )


def share(measure: Measure) -> str:
    """A number with its interval, or why there is none."""
    return f"undefined ({measure.why_none})" if measure.value is None else f"{number(measure.value)} {bounds(measure)}"
