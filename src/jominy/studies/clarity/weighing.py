"""Does weighting help, do better than its ablations, and raise S more? Lab models and SmolLM2 apart.

    lead     mean over seeds and prompts of a weighting's gain minus another arm's, on the same seeds and prompts
    dose     of the weights of a step: standard deviation over mean, sqrt(1 / e - 1), effective share of the groups e; median over steps
    rise     S at the last evaluation minus S at the first, one recipe's minus the other's, seed by seed

Left out on purpose: how a gain is estimated (`gains`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.papers import CLARITY
from jominy.records import Measure, Paper
from jominy.stats import LEVEL, student_quantile
from jominy.studies.clarity.foretelling import share
from jominy.studies.clarity.models import BASE, by_area, evaluations, only, without_area
from jominy.studies.clarity.paper import FEWEST_SEEDS, OURS, SMALLEST
from jominy.studies.outcomes import points, ran
from jominy.studies.reading import Contrast, StudyRuns

REAL = "real"
"""Group of SmolLM2's cells with weightings; every other cell is a lab model's."""
SUFFIX = {"lab models": "", "SmolLM2": "-smollm2"}
"""Where -> what the codes of its claims end in."""
ABLATIONS = ("separation", "pass_rate", "random")
"""What the paper holds S' against."""
HELPS_RULE = f"agrees when the lead is surely above 0, disagrees when it is surely below {100 * SMALLEST:g} points (the paper's smallest)"
AVERAGES = "Averages of six benchmarks over DAPO: Qwen2.5-7B +0.9, OctoThinker-8B +2.3, Llama-3.1-8B +1.0 (4, 17 and 40 % of DAPO's gain)"
WOULD_TAKE = "More seeds: the spread between seeds decides the width."


def weighs(runs: StudyRuns) -> tuple[Claim, ...]:
    """Lab models first; SmolLM2 where the design has it, and of the arms that it plans there."""
    found: list[Claim] = []
    for where in SUFFIX:
        if not planned(runs, where, "clarity"):
            continue
        found += [weighting(runs, where), weighting_area(runs, where), over_ablations(runs, where)]
        found += [control(runs, where, arm) for arm in ("balanced", "auroc") if planned(runs, where, arm)]
        found.append(raises_clarity(runs, where))
    return tuple(found)


def cells_at(runs: StudyRuns, where: str) -> tuple[str, ...]:
    """Names of the cells of lab models, or of SmolLM2, that are to be weighted."""
    skipped = _skipped(runs)
    cells = [cell for cell in runs.cells if (cell.group == REAL) == (where == "SmolLM2")]
    return tuple(cell.name for cell in cells if (cell.name, "clarity") not in skipped)


def planned(runs: StudyRuns, where: str, arm: str) -> bool:
    """Whether some cell there is to have runs of the arm."""
    skipped = _skipped(runs)
    return runs.knows(arm) and any((cell, arm) not in skipped for cell in cells_at(runs, where))


def _skipped(runs: StudyRuns) -> set[tuple[str, str]]:
    return {(pair["cell"], pair["arm"]) for pair in runs.results["not_defined"]}


def lead_of(runs: StudyRuns, where: str, contrast: Contrast) -> tuple[Measure, Mapping[str, Contrast]]:
    """Over the cells there that have every arm of it."""
    cells = {cell: contrast for cell in cells_at(runs, where) if runs.together(cell, tuple(contrast))}
    return runs.mean_gain("lead", cells), cells


def helps(lead: Measure, num_seeds: int) -> Agreement:
    """By `HELPS_RULE`, from enough seeds."""
    if lead.low is None or lead.high is None or num_seeds < FEWEST_SEEDS:
        return "cannot tell"
    return "agrees" if lead.low > 0 else "disagrees" if lead.high < SMALLEST else "cannot tell"


def of_gain(runs: StudyRuns, lead: Measure, cells: Sequence[str]) -> str:
    """A lead as a share of the base recipe's gain in the same cells; empty where that gain is not surely above 0."""
    gain = runs.gain("gain", cells, {BASE: 1.0})
    if lead.value is None or gain.value is None or gain.low is None or gain.low <= 0:
        return ""
    return f"{number(lead.value / gain.value, 'share')} % of the base recipe's gain"


def dose(runs: StudyRuns, cells: Sequence[str], arm: str) -> str:
    """How far the weights of an arm went, in words; empty where no step says so."""
    lines = [run for run in runs.results["runs"] if run["cell"] in cells and run["arm"] == arm]
    weights = [step["group_weights"] or {} for run in lines for step in (run.get("more") or {}).get("steps", [])]
    shares = [one["ess_share"] for one in weights if one.get("ess_share")]
    if not shares:
        return ""
    spread = median(math.sqrt(max(1 / one - 1, 0.0)) for one in shares)
    return (
        f" Dose, median of {len(shares)} steps: weights vary by {number(spread)} of their mean, {number(median(shares), 'share')} % of "
        "the groups in effect."
    )


def _claim(runs: StudyRuns, where: str, code: str, says: str, numbers: str, contrast: Contrast, paper: Paper) -> Claim:
    lead, cells = lead_of(runs, where, contrast)
    arms = tuple(contrast)[::-1]
    single = [f"{cell} {points(runs.gain('lead', [cell], contrast))}" for cell in cells]
    relative = of_gain(runs, lead, tuple(cells))
    found = "No cell with finished runs of both."
    if cells:
        where_from = f"over {len(cells)} cell{'s' if len(cells) > 1 else ''}: {'; '.join(single)}."
        found = f"Lead {points(lead)}{f', {relative},' if relative else ''} {where_from}"
    return Claim(
        code=f"{code}{SUFFIX[where]}",
        says=f"{says} ({where}).",
        numbers=numbers,
        ran=ran(only(runs, cells_at(runs, where)), arms),
        found=found + dose(runs, tuple(cells), arms[-1]),
        verdict=helps(lead, runs.num_seeds(cells)),
        rule=HELPS_RULE,
        would_take=WOULD_TAKE,
        paper=paper,
    )


def weighting(runs: StudyRuns, where: str) -> Claim:
    """Weighting by S' beats the base recipe at the end."""
    says = "Weighting prompts of low S up improves the final pass rate"
    return _claim(runs, where, "weighting", says, f"{AVERAGES}; single ones from -2.1 to +5.9.", {"clarity": 1.0, BASE: -1.0}, CLARITY)


def weighting_area(runs: StudyRuns, where: str) -> Claim:
    """The same of the mean over the run."""
    says = "Weighting prompts of low S up improves the pass rate over the run"
    found = _claim(by_area(runs), where, "weighting-area", says, f"{AVERAGES}, at the end.", {"clarity": 1.0, BASE: -1.0}, CLARITY)
    missing = without_area(only(runs, cells_at(runs, where)), (BASE, "clarity"))
    return replace(found, found=f"{found.found} {missing} finished runs without evaluations are left out.") if missing else found


def over_ablations(runs: StudyRuns, where: str) -> Claim:
    """S' beats each of what is left of it."""
    asked = [arm for arm in ABLATIONS if planned(runs, where, arm)]
    leads = {arm: lead_of(runs, where, {"clarity": 1.0, arm: -1.0}) for arm in asked}
    sides = {helps(lead, runs.num_seeds(cells)) for lead, cells in leads.values()}
    verdict: Agreement = "agrees" if sides == {"agrees"} else "disagrees" if "disagrees" in sides else "cannot tell"
    said = [f"{runs.title(arm)} {points(lead)}{_bracketed(of_gain(runs, lead, tuple(cells)))}" for arm, (lead, cells) in leads.items()]
    return Claim(
        code=f"over-ablations{SUFFIX[where]}",
        says=f"Weighting by S' does better than by {' and by '.join(runs.title(arm) for arm in asked)} ({where}).",
        numbers="OctoThinker-8B, averages: 30.1 against 28.8, 28.7 and 27.5.",
        ran=ran(only(runs, cells_at(runs, where)), ("clarity", *asked)),
        found=f"Leads over {'; '.join(said)}." if said else "No ablation is planned.",
        verdict=verdict,
        rule=f"agrees when the lead over each of them is surely above 0, disagrees when one is surely below {100 * SMALLEST:g} points",
        would_take=WOULD_TAKE,
        paper=CLARITY,
    )


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""


def control(runs: StudyRuns, where: str, arm: str) -> Claim:
    """A control of ours against the base recipe."""
    says = f"Weighting by {runs.title(arm)}, which class sizes do not enter, improves RL"
    return _claim(runs, where, f"weighting-{arm}", says, "None: a control of ours.", {arm: 1.0, BASE: -1.0}, OURS)


def raises_clarity(runs: StudyRuns, where: str) -> Claim:
    """Weighting raises S more than the base recipe does."""
    by_cell = {cell: found for cell in cells_at(runs, where) if (found := rises_of(runs, cell))}
    more = mean_rise(list(by_cell.values()))
    verdict: Agreement = "cannot tell"
    if more.low is not None and more.high is not None and min(len(found) for found in by_cell.values()) >= FEWEST_SEEDS:
        verdict = "agrees" if more.low > 0 else "disagrees" if more.high < 0 else "cannot tell"
    return Claim(
        code=f"raises-clarity{SUFFIX[where]}",
        says=f"Weighting by S' raises S on held-out prompts more than the base recipe does ({where}).",
        numbers="A figure: plain DAPO hardly moves S, the weighted one raises it.",
        ran=ran(only(runs, cells_at(runs, where)), (BASE, "clarity")),
        found=f"S rises by {share(more)} more; "
        + "; ".join(f"{cell} {number(float(np.mean(found)))} over {len(found)} seeds" for cell, found in by_cell.items())
        + "."
        if by_cell
        else "No seed has S at the start and at the end of both.",
        verdict=verdict,
        rule="agrees when the difference of the rises is surely above 0, disagrees when it is surely below; paired by seed",
        would_take=WOULD_TAKE,
        paper=CLARITY,
    )


def rises_of(runs: StudyRuns, cell: str) -> list[float]:
    """Of each seed that has both: the rise of S by weighting minus that by the base recipe."""
    rise: dict[tuple[str, int], float] = {}
    for run in runs.results["runs"]:
        way = [one["silhouette"] for one in evaluations(run)]
        if run["cell"] == cell and run["arm"] in (BASE, "clarity") and len(way) > 1 and way[0] is not None and way[-1] is not None:
            rise[run["arm"], run["seed"]] = way[-1] - way[0]
    return [more - rise[BASE, seed] for (arm, seed), more in rise.items() if arm == "clarity" and (BASE, seed) in rise]


def mean_rise(cells: Sequence[Sequence[float]]) -> Measure:
    """Mean over cells of the mean over seeds; Student's interval over seeds, cells independent. None with one seed in a cell."""
    meaning = "Rise of S along training by weighting minus that by the base recipe, mean over cells and seeds."
    if not cells:
        return Measure(name="rise", value=None, why_none="no cell has both", meaning=meaning)
    value = float(np.mean([np.mean(found) for found in cells]))
    if min(len(found) for found in cells) < 2:
        return Measure(name="rise", value=value, unit="S", meaning=meaning)
    error = math.sqrt(sum(float(np.var(found, ddof=1)) / len(found) for found in cells)) / len(cells)
    reach = student_quantile(0.5 + LEVEL / 2, sum(len(found) - 1 for found in cells)) * error
    return Measure(name="rise", value=value, low=value - reach, high=value + reach, unit="S", meaning=meaning)
