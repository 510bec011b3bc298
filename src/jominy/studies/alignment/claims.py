"""The claims of 2508.21188, one of 2506.10947 and one of ours, each a rule from the runs of the alignment study to a verdict.

A claim that strong and weak cells differ agrees when the trick worked in the strong cells and did not in the weak ones (`outcomes`),
disagrees when either is the other way round, and else cannot be told. Cells of a side are pooled, each resampled by itself.
Left out on purpose: how gains are estimated (`gains`), and a verdict by looking at pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.papers import ALIGNMENT
from jominy.records import Measure
from jominy.studies.alignment.following import ONE_SHOT, SPURIOUS, advice
from jominy.studies.alignment.ordering import order_of_cells
from jominy.studies.alignment.paper import PAPER_SAYS, SPURIOUS_REWARDS
from jominy.studies.outcomes import FEWEST_SEEDS, KEEPS_UP, NO_BETTER, SMALL_GAIN, WORTHWHILE, Outcome, outcome_of, percent, points, ran
from jominy.studies.reading import TRUTH, Contrast, StudyRuns

FORMS = {"constant": ("positive_only", "negative_only"), "masked z-scores": ("positive_only_masked", "negative_only_masked")}
FORM, GATED = "format", ("random_format", "incorrect_any")
"""What is paid for the form alone, and what is paid only in that form: these can gain by teaching the form."""


def claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Every claim, in the order of the README."""
    found = [true_reward(runs), *(spurious(runs, arm) for arm in SPURIOUS if runs.knows(arm)), one_example(runs), which_example(runs)]
    found += [negative_only(runs, form) for form, arms in FORMS.items() if any(runs.knows(arm) for arm in arms)]
    return (*found, order_of_cells(runs), clipping(runs), advice(runs))


def _side(runs: StudyRuns, side: str, arms: Sequence[str]) -> dict[str, Contrast]:
    """The mean of the arms in each cell of a side that has any of them, on the seeds that these share."""
    means = {cell: runs.among(cell, arms) for cell in runs.names_of(side)}
    return {cell: contrast for cell, contrast in means.items() if contrast and runs.together(cell, tuple(contrast))}


def _cells(names: Sequence[str], side: str) -> str:
    return f"{len(names) or 'no'} {side} cell{'' if len(names) == 1 else 's'}"


NOT_RUN = "no finished runs"


def _few(runs: StudyRuns, contrasts: Mapping[str, Contrast]) -> str:
    """A word where a verdict lacks seeds."""
    return " (one seed only)" if contrasts and runs.num_seeds(contrasts) < FEWEST_SEEDS else ""


def _opposed(strong: Outcome, weak: Outcome) -> Agreement:
    """Strong cells work and weak ones do not."""
    if strong == "worked" and weak == "did not":
        return "agrees"
    return "disagrees" if strong == "did not" or weak == "worked" else "cannot tell"


OPPOSED_RULE = (
    f"agrees when it worked in the strong cells (gain surely above 0 and at least {WORTHWHILE:g} of the true gain) and did not in the weak "
    f"ones (share surely below {WORTHWHILE:g}, or a gain surely below {100 * SMALL_GAIN:g} points where the true reward has no sure one)"
)


def _sides(runs: StudyRuns, arms: Sequence[str], enough: float) -> tuple[str, Outcome, Outcome]:
    """(what was found on both sides in words, outcome in strong cells, outcome in weak cells)."""
    texts, outcomes = [], []
    for side in ("strong", "weak"):
        contrasts = _side(runs, side, arms)
        gain = runs.mean_gain("gain", contrasts)
        share, _ = runs.share("share", contrasts)
        outcomes.append(outcome_of(gain, share, runs.num_seeds(contrasts), enough))
        found = f"{points(gain)}, {percent(share)} of the true gain: {outcomes[-1]}{_few(runs, contrasts)}" if contrasts else NOT_RUN
        texts.append(f"{_cells(list(contrasts), side)}: {found}")
    return ". ".join(text[0].upper() + text[1:] for text in texts) + ".", outcomes[0], outcomes[1]


def true_reward(runs: StudyRuns) -> Claim:
    """Standard RL works everywhere."""
    gains = {cell.name: runs.gain("gain", [cell.name], {TRUTH: 1}) for cell in runs.cells if runs.has(cell.name, TRUTH)}
    enough = {cell: gain for cell, gain in gains.items() if runs.num_seeds({cell: {TRUTH: 1}}) >= FEWEST_SEEDS}
    sure = [cell for cell, gain in enough.items() if gain.low is not None and gain.low > 0]
    none = [cell for cell, gain in enough.items() if gain.high is not None and gain.high < SMALL_GAIN]
    left = [cell for cell in gains if cell not in sure and cell not in none]
    verdict: Agreement = "disagrees" if none else "agrees" if gains and len(sure) == len(runs.cells) else "cannot tell"
    found = f"The gain is surely above 0 in {len(sure)} of {len(runs.cells)} cells."
    found += f" Surely none: {_listed(none, gains)}." * bool(none) + f" Open: {_listed(left, gains)}." * bool(left)
    missing = len(runs.cells) - len(gains)
    found += f" {missing} cell{'' if missing == 1 else 's'} without finished runs." * bool(missing)
    return Claim(
        code="true-reward",
        says="RL with the correct reward works for every model and task, strong or weak.",
        numbers="Qwen: MATH500 40.8 to 71.0, SynLogic 1.5 to 42.6, Operation 27.2 to 82.4, Cipher 4.8 to 20.4.",
        ran=ran(runs, (TRUTH,)),
        found=found,
        verdict=verdict,
        rule=f"agrees when the gain is surely above 0 in every cell; disagrees when it is surely below {100 * SMALL_GAIN:g} points in any",
        would_take="More steps where the gain is open; where the base model is never right, nothing carries a gradient: teach first.",
        paper=ALIGNMENT,
    )


def _listed(names: Sequence[str], gains: Mapping[str, Measure]) -> str:
    return "; ".join(f"{name} {points(gains[name])}" for name in names)


def spurious(runs: StudyRuns, arm: str) -> Claim:
    """A spurious reward works in strong cells and not in weak ones."""
    found, strong, weak = _sides(runs, (arm,), WORTHWHILE)
    found += f" {_beyond_form(runs, arm)}" if arm in GATED and runs.knows(FORM) else ""
    aside, numbers = PAPER_SAYS[arm]
    return Claim(
        code=f"spurious-{arm.replace('_', '-')}",
        says=f"A spurious reward works where alignment is strong and not where it is weak: {runs.title(arm)}{aside}.",
        numbers=numbers,
        ran=ran(runs, (arm, TRUTH)),
        found=found,
        verdict=_opposed(strong, weak),
        rule=OPPOSED_RULE,
        would_take="A base model with a way of answering that is right more often than the others and that sampling noise can amplify, "
        "more steps, and cells surely on either side of the thresholds.",
        paper=SPURIOUS_REWARDS if arm == "random" else ALIGNMENT,
    )


def _beyond_form(runs: StudyRuns, arm: str) -> str:
    """What a gated arm gained in strong cells that the form alone did not, on the same seeds."""
    cells = [cell for cell in runs.names_of("strong") if runs.together(cell, (arm, FORM))]
    contrast: Contrast = {arm: 1.0, FORM: -1.0}
    beyond = runs.gain("gain beyond form", cells, contrast)
    found = f"{points(beyond)}{_few(runs, dict.fromkeys(cells, contrast))}" if cells else NOT_RUN
    return f"Beyond the form (its gain minus that of: {runs.title(FORM)}), {_cells(cells, 'strong')}: {found}."


def one_example(runs: StudyRuns) -> Claim:
    """One example works in strong cells only."""
    found, strong, weak = _sides(runs, ONE_SHOT, WORTHWHILE)
    return Claim(
        code="one-example",
        says="Training on one example works where alignment is strong and not where it is weak.",
        numbers="Qwen, MATH500: 40.8 to 65.2 with one example, 71.0 with all. Llama, Operation: 60.4 to 69.2. Logic: no gain.",
        ran=ran(runs, (*ONE_SHOT, TRUTH)) + "; the mean over the examples that the cell has",
        found=found + _no_example(runs),
        verdict=_opposed(strong, weak),
        rule=OPPOSED_RULE,
        would_take="More steps (the paper ran 300 on one example), and other examples.",
        paper=ALIGNMENT,
    )


def which_example(runs: StudyRuns) -> Claim:
    """The selected example is no better than others."""
    selected, *others = ONE_SHOT
    contrasts: dict[str, Contrast] = {}
    for cell in runs.cells:
        rest = runs.among(cell.name, others)
        if rest and runs.together(cell.name, (selected, *rest)):
            contrasts[cell.name] = {selected: 1.0, **{arm: -weight for arm, weight in rest.items()}}
    lead = runs.mean_gain("lead of the selected example", contrasts)
    verdict: Agreement = "cannot tell"
    if lead.low is not None and lead.high is not None and runs.num_seeds(contrasts) >= FEWEST_SEEDS:
        verdict = "disagrees" if lead.low > 0 else "agrees" if lead.high < NO_BETTER else "cannot tell"
    single = [(arm, [cell.name for cell in runs.cells if runs.together(cell.name, (selected, arm))]) for arm in others if runs.knows(arm)]
    leads = [
        f"{runs.title(arm)}: {points(runs.gain('lead', cells, {selected: 1.0, arm: -1.0})) if cells else NOT_RUN}" for arm, cells in single
    ]
    return Claim(
        code="which-example",
        says="The selected example does no better than another one.",
        numbers="In logic the selected and a random example did the same.",
        ran=ran(runs, ONE_SHOT) + "; selected: most p (1 - p) among the base model's prompts; hardest: the smallest p above 0",
        found=f"The selected example leads the mean of the others by {points(lead)} over {len(contrasts)} cells{_few(runs, contrasts)}; of "
        f"{'; of '.join(leads)}.{_no_example(runs)}"
        if contrasts
        else f"No cell with finished runs of the selected example and another.{_no_example(runs)}",
        verdict=verdict,
        rule=f"agrees when the lead of the selected example over the mean of the others is surely below {100 * NO_BETTER:g} points; "
        "disagrees when it is surely above 0",
        would_take="Several selected examples a cell, since one stands for all seeds here, and more seeds.",
        paper=ALIGNMENT,
    )


def _no_example(runs: StudyRuns) -> str:
    """Where a rule found nothing to train on, which is no gain of 0."""
    lost = {arm: [cell.name for cell in runs.cells if (cell.name, arm) in runs.without_example] for arm in ONE_SHOT}
    texts = [f"{runs.title(arm)} in " + " and ".join(f'"{cell}"' for cell in cells) for arm, cells in lost.items() if cells]
    return f" No example to train on, so left out: {'; '.join(texts)}." if texts else ""


def negative_only(runs: StudyRuns, form: str) -> Claim:
    """Negative-only keeps up in strong cells; in weak ones positive-only beats it."""
    positive, negative = FORMS[form]
    strong_cells, weak_cells = _side(runs, "strong", (negative,)), _side(runs, "weak", (negative,))
    gain = runs.mean_gain("gain", strong_cells)
    share, _ = runs.share("share", strong_cells)
    kept = outcome_of(gain, share, runs.num_seeds(strong_cells), KEEPS_UP)
    both = [cell for cell in weak_cells if runs.together(cell, (positive, negative))]
    contrast: Contrast = {positive: 1.0, negative: -1.0}
    lead = runs.gain("lead of positive-only", both, contrast)
    ahead: Outcome = "open"
    if lead.low is not None and lead.high is not None and runs.num_seeds(dict.fromkeys(both, contrast)) >= FEWEST_SEEDS:
        ahead = "worked" if lead.low > 0 else "did not" if lead.high <= 0 else "open"
    verdict: Agreement = "cannot tell"
    if "did not" in (kept, ahead):
        verdict = "disagrees"
    elif kept == ahead == "worked":
        verdict = "agrees"
    strong_text = f"negative-only gains {points(gain)}, {percent(share)} of the true gain" if strong_cells else NOT_RUN
    weak_text = f"positive-only leads by {points(lead)}" if both else NOT_RUN
    found = f"{_cells(list(strong_cells), 'strong')}: {strong_text}{_few(runs, strong_cells)}. "
    found += f"{_cells(both, 'weak')}: {weak_text}{_few(runs, dict.fromkeys(both, contrast))}."
    return Claim(
        code=f"negative-only-{form.split()[0]}",
        says=f"Negative-only keeps up with the full reward where alignment is strong; where it is weak, positive-only beats it ({form}).",
        numbers="Qwen, MATH500: 68.7 with negative-only, 71.0 with all. SynLogic: 1.5 with negative-only, 24.8 with positive-only.",
        ran=ran(runs, (positive, negative, TRUTH)),
        found=found[0].upper() + found[1:],
        verdict=verdict,
        rule=f"agrees when negative-only surely gains in the strong cells, at least {KEEPS_UP:g} of the true gain, and positive-only "
        "surely leads in the weak cells; disagrees when its share is surely below, or positive-only surely does not lead",
        would_take="More steps, and a learning rate for each sign: a constant and a masked z-score differ in scale, and one rate "
        "serves both.",
        paper=ALIGNMENT,
    )


def clipping(runs: StudyRuns) -> Claim:
    """Without clipping the gain of random vanishes."""
    clipped, free = "random", "random_no_clip"
    cells = [cell for cell in runs.names_of("strong") if runs.together(cell, (clipped, free))]
    with_clip, without = runs.gain("gain", cells, {clipped: 1.0}), runs.gain("gain", cells, {free: 1.0})
    pair: Contrast = {clipped: 1.0, free: -1.0}
    lost, enough = runs.gain("lost", cells, pair), runs.num_seeds(dict.fromkeys(cells, pair)) >= FEWEST_SEEDS
    verdict: Agreement = "cannot tell"
    if with_clip.low is not None and with_clip.low > 0 and without.low is not None and lost.low is not None and enough:
        if without.low > 0 and lost.low <= 0:
            verdict = "disagrees"
        elif without.low <= 0 and lost.low > 0:
            verdict = "agrees"
    found = f"{points(with_clip)} with clipping, {points(without)} without; difference {points(lost)}" if cells else NOT_RUN
    found = f"{_cells(cells, 'strong')}: {found}{_few(runs, dict.fromkeys(cells, pair))}.{_alike(runs, clipped, free)}"
    return Claim(
        code="no-clip",
        says="The gain of a random reward comes from clipping: without it, it vanishes.",
        numbers="MATH500 +21.4 points with clipping (Qwen2.5-Math-7B), no robust gain without.",
        ran=ran(runs, [arm for arm in (clipped, free) if runs.knows(arm)]),
        found=found[0].upper() + found[1:],
        verdict=verdict,
        rule="agrees when random surely gains with clipping, not surely without, and the difference is sure; disagrees when it surely "
        "gains without, and the difference is not sure; else, and where random does not gain at all, it cannot be told",
        would_take="A random reward that gains in the first place, and enough updates on one batch for the clip to act.",
        paper=SPURIOUS_REWARDS,
    )


def _alike(runs: StudyRuns, first: str, second: str) -> str:
    """How many pairs of runs gained the same on every prompt: two ways of training that never differed are no test of their difference."""
    pairs = [
        np.array_equal(runs.differences[cell.name, first][seed], runs.differences[cell.name, second][seed])
        for cell in runs.cells
        if runs.together(cell.name, (first, second))
        for seed in sorted(set(runs.differences[cell.name, first]) & set(runs.differences[cell.name, second]))
    ]
    if not any(pairs):
        return ""
    return f" {sum(pairs)} of {len(pairs)} pairs of runs are alike in every answer: there no ratio ever left the range of the clip."
