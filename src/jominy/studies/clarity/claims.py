"""The claims of 2601.06911, and ours about them, each a rule from the runs of the study to a verdict.

Does S say what RL gains: over lab models, plain, with the pass rate held fixed, among models of one pass rate, and on families left out.
Does S go with the pass rate along training; is that more than class sizes. Does weighting help; does S' do better than its ablations.
Whether prompts of low S fail otherwise stands in `failing`.
Left out on purpose: how a correlation is estimated (`predicting`, `moments`) and how a gain is (`gains`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import CLARITY
from jominy.records import Floats, Measure, Paper
from jominy.studies.bases import SEED
from jominy.studies.clarity.design import FAMILIES
from jominy.studies.clarity.failing import fails_otherwise
from jominy.studies.clarity.models import BASE, Models, Moments, by_area, models_of, moments_of, of_sign
from jominy.studies.clarity.moments import moment_correlation, ratio_of_means
from jominy.studies.clarity.paper import FEWEST_SEEDS, OURS, P_SURE, SMALLEST
from jominy.studies.outcomes import bounds, points, ran
from jominy.studies.predicting import partial_correlation, skill_added
from jominy.studies.reading import Contrast, StudyRuns

ABLATIONS = ("separation", "pass_rate", "random")
"""What the paper holds S' against."""
NAMES = {"silhouette": "S", "balanced": "class-balanced S"}


def claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Every claim, in the order of the README."""
    models, moments = models_of(runs, FAMILIES), moments_of(runs, FAMILIES)
    found = [predicts(runs, models, "silhouette"), predicts(runs, models, "balanced"), matched(runs, models), left_out(runs, models)]
    found += [along(runs, moments, "silhouette"), along(runs, moments, "balanced"), by_sign(runs, "silhouette"), by_sign(runs, "balanced")]
    areas = by_area(runs)
    found += [weighting(runs, "weighting", "final pass rate"), weighting(areas, "weighting-area", "pass rate over the run")]
    found += [over_ablations(runs), *(control(runs, arm) for arm in ("balanced", "auroc") if runs.knows(arm))]
    return (*found, *fails_otherwise(runs))


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _score(models: Models, score: str) -> Floats:
    return {"silhouette": models.silhouette_M, "balanced": models.balanced_M}[score]


def said(measure: Measure, p_value: float | None) -> str:
    """A correlation in words."""
    if measure.value is None:
        return f"undefined ({measure.why_none})"
    interval = "" if measure.low is None else f" {bounds(measure)}"
    return f"r {number(measure.value)}{interval}, p {p_value:.2g}"


def _by_p(measure: Measure, p_value: float | None) -> Agreement:
    """Positive and sure, negative and sure, or neither."""
    if measure.value is None or p_value is None or p_value >= P_SURE:
        return "cannot tell"
    return "agrees" if measure.value > 0 else "disagrees"


def _models(runs: StudyRuns, models: Models) -> str:
    return f"{len(models)} lab models in {len(set(models.families))} families; {ran(runs, (BASE,))}"


def predicts(runs: StudyRuns, models: Models, score: str) -> Claim:
    """The score of the base model goes with the gain, the pass rate held fixed."""
    score_M, none_M0 = _score(models, score), np.zeros((len(models), 0))
    plain, plain_p = partial_correlation("r", score_M, models.gain_M, none_M0, _rng())
    fixed, fixed_p = partial_correlation("r", score_M, models.gain_M, models.pass_rate_M[:, None], _rng())
    rate, rate_p = partial_correlation("r", models.pass_rate_M, models.gain_M, none_M0, _rng())
    return Claim(
        code="predicts" if score == "silhouette" else "predicts-balanced",
        says=f"{NAMES[score]} of the base model goes with what RL gains, also at one pass rate.",
        numbers="High S goes with RL performance; no correlation with the gain is given, and three model families are compared.",
        ran=_models(runs, models),
        found=f"{NAMES[score]} and gain: {said(plain, plain_p)}; with the pass rate held fixed: {said(fixed, fixed_p)}. "
        f"Pass rate and gain: {said(rate, rate_p)}.",
        verdict=_by_p(fixed, fixed_p),
        rule=f"agrees when the correlation with the pass rate held fixed is positive with p < {P_SURE:g}, disagrees when negative with "
        "such p",
        would_take="More families, and models that differ in clarity for other reasons than how lab models are made.",
        paper=CLARITY if score == "silhouette" else OURS,
    )


def matched(runs: StudyRuns, models: Models) -> Claim:
    """Among models of one pass rate, the clearer one gains more."""
    none_M0 = np.zeros((len(models), 0))
    found, chance = partial_correlation("r", models.silhouette_M, models.gain_M, none_M0, _rng(), stratum_M=models.level_M)
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
        found=f"Within levels of the pass rate: {said(found, chance)}. Levels: {'; '.join(spread) or 'none'}.",
        verdict=_by_p(found, chance),
        rule=f"agrees when the correlation within levels is positive with p < {P_SURE:g} by permutation within levels, disagrees when "
        "negative with such p",
        would_take="More models a level, and a wider spread of S in it.",
        paper=CLARITY,
    )


def _range(values: Floats) -> str:
    return f"{number(float(values.min()))} to {number(float(values.max()))}"


def left_out(runs: StudyRuns, models: Models) -> Claim:
    """S beside the pass rate predicts the gain of a family it has not seen."""
    added = skill_added("added", models.gain_M, [models.pass_rate_M], [models.silhouette_M], models.family_M)
    alone = skill_added("added", models.gain_M, [], [models.pass_rate_M], models.family_M)
    verdict: Agreement = "cannot tell"
    if added.low is not None and added.high is not None:
        verdict = "agrees" if added.low > 0 else "disagrees" if added.high <= 0 else "cannot tell"
    return Claim(
        code="left-out",
        says="S predicts the gain of a family of models that was left out better than the pass rate alone does.",
        numbers="None: the paper predicts nothing.",
        ran=_models(runs, models),
        found=f"S beside the pass rate lowers the squared error by {_share(added)} of that of the mean; the pass rate alone by "
        f"{_share(alone)}.",
        verdict=verdict,
        rule="agrees when the fall of the error is surely above 0, disagrees when it is surely not",
        would_take="More families.",
        paper=OURS,
    )


def _share(measure: Measure) -> str:
    return f"undefined ({measure.why_none})" if measure.value is None else f"{number(measure.value)} {bounds(measure)}"


def along(runs: StudyRuns, moments: Moments, score: str) -> Claim:
    """The score and the pass rate rise together along training."""
    score_K = moments.silhouette_K if score == "silhouette" else moments.balanced_K
    whole = moment_correlation("r", score_K, moments.pass_rate_K, moments.model_K, _rng(), within=False)
    inside = moment_correlation("r", score_K, moments.pass_rate_K, moments.model_K, _rng(), within=True)
    verdict: Agreement = "cannot tell"
    if inside.low is not None and inside.high is not None:
        verdict = "agrees" if inside.low > 0 else "disagrees" if inside.high < 0 else "cannot tell"
    return Claim(
        code="along-training" if score == "silhouette" else "along-training-balanced",
        says=f"{NAMES[score]} and pass rate rise together along RL training.",
        numbers="r = 0.815 between S and pass rate over checkpoints and models."
        if score == "silhouette"
        else "None. Class sizes alone can give such an r: 0.75 with 16 answers a prompt, where nothing but the pass rate varies.",
        ran=f"{len(moments.model_K)} moments of {len(np.unique(moments.model_K))} lab models; {ran(runs, (BASE,))}",
        found=f"Over all moments r {_share(whole)}; within models r {_share(inside)}.",
        verdict=verdict,
        rule="agrees when the correlation within models is surely above 0, disagrees when it is surely below",
        would_take="More models, and longer runs.",
        paper=CLARITY if score == "silhouette" else OURS,
    )


def by_sign(runs: StudyRuns, score: str) -> Claim:
    """Prompts of S above 0 pass more often."""
    above, below = of_sign(runs, score)
    ratio = ratio_of_means("ratio", above, below, _rng())
    verdict: Agreement = "cannot tell"
    if ratio.low is not None and ratio.high is not None:
        verdict = "agrees" if ratio.low > 1 else "disagrees" if ratio.high <= 1 else "cannot tell"
    return Claim(
        code="by-sign" if score == "silhouette" else "by-sign-balanced",
        says=f"Prompts with {NAMES[score]} above 0 pass several times as often as those below.",
        numbers="Qwen 52.3 % against 6.5 %, OctoThinker 40.8 % against 3.1 %: 8 and 13 times."
        if score == "silhouette"
        else "None. S leans on the larger class, so part of that ratio is class sizes; the balanced one does not.",
        ran=f"{len(above)} prompts above and {len(below)} below 0, of base models",
        found=f"{number(100 * float(above.mean()))} % against {number(100 * float(below.mean()))} %: {_share(ratio)} times."
        if len(above) and len(below)
        else "No prompts on one of the sides.",
        verdict=verdict,
        rule="agrees when the ratio is surely above 1, disagrees when it is surely not",
        would_take="More prompts with right and wrong answers.",
        paper=CLARITY if score == "silhouette" else OURS,
    )


def _lead(runs: StudyRuns, contrast: Contrast) -> tuple[Measure, Mapping[str, Contrast]]:
    cells = {cell.name: contrast for cell in runs.cells if runs.together(cell.name, tuple(contrast))}
    return runs.mean_gain("lead", cells), cells


def _helps(lead: Measure, num_seeds: int) -> Agreement:
    if lead.low is None or lead.high is None or num_seeds < FEWEST_SEEDS:
        return "cannot tell"
    return "agrees" if lead.low > 0 else "disagrees" if lead.high < SMALLEST else "cannot tell"


HELPS_RULE = f"agrees when the lead is surely above 0, disagrees when it is surely below {100 * SMALLEST:g} points (the paper's smallest)"


def _weighting_claim(runs: StudyRuns, code: str, says: str, numbers: str, arms: Sequence[str], contrast: Contrast, paper: Paper) -> Claim:
    lead, cells = _lead(runs, contrast)
    single = [f"{cell} {points(runs.gain('lead', [cell], contrast))}" for cell in cells]
    return Claim(
        code=code,
        says=says,
        numbers=numbers,
        ran=ran(runs, arms),
        found=f"Lead {points(lead)} over {len(cells)} cells: {'; '.join(single)}." if cells else "No cell with finished runs of both.",
        verdict=_helps(lead, runs.num_seeds(cells)),
        rule=HELPS_RULE,
        would_take="More seeds: the spread between seeds decides the width.",
        paper=paper,
    )


def weighting(runs: StudyRuns, code: str, outcome: str) -> Claim:
    """Weighting by S' beats the base recipe."""
    says = f"Weighting prompts of low S up improves RL ({outcome})."
    numbers = (
        "Averages of six benchmarks over DAPO: Qwen2.5-7B +0.9, OctoThinker-8B +2.3, Llama-3.1-8B +1.0; single ones from -2.1 to +5.9."
    )
    return _weighting_claim(runs, code, says, numbers, (BASE, "clarity"), {"clarity": 1.0, BASE: -1.0}, CLARITY)


def over_ablations(runs: StudyRuns) -> Claim:
    """S' beats what is left of it."""
    known = [arm for arm in ABLATIONS if runs.knows(arm)]
    contrast = {"clarity": 1.0, **{arm: -1.0 / len(known) for arm in known}}
    says = "Weighting by S' does better than by its parts: separation only, the pass rate, S' of other groups."
    numbers = "OctoThinker-8B, averages: 30.1 against 28.8, 28.7 and 27.5."
    return _weighting_claim(runs, "over-ablations", says, numbers, ("clarity", *known), contrast, CLARITY)


def control(runs: StudyRuns, arm: str) -> Claim:
    """A control of ours against the base recipe."""
    says = f"Weighting by {runs.title(arm)}, which class sizes do not enter, improves RL."
    return _weighting_claim(runs, f"weighting-{arm}", says, "None: a control of ours.", (BASE, arm), {arm: 1.0, BASE: -1.0}, OURS)
