"""The noise grid: false accepts and false rejects that look at nothing, and false accepts that a cue of the text decides.

    factor    1 - FPR - FNR: what independent errors leave of the expected advantage                      (sheet row 6)
    share     gain of an arm over the gain of the true reward, same seeds and prompts
    hacked    runs of which the rule of `measures.hacking` says that the reward goes away from the truth
    learned   share of the responses that show the cue, last third of the steps minus first

A claim about every rate takes intervals that hold together: of k rates each at 1 - 0.05 / k (Bonferroni). Cells count alike. Left out on
purpose: how gains and shares are estimated (`gains`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.records import Measure, Paper
from jominy.stats import LEVEL, Interval, mean_interval, student_quantile, wilson
from jominy.studies.outcomes import percent, points
from jominy.studies.precision.design import ACCEPTS, BATCH, CUED, CUES, LAB_GROUPS, MATCHED, REJECTS, TRUE, noise_arm
from jominy.studies.precision.paper import FEWEST_SEEDS, LEARNED, MOST, NARROW, OURS, SISTER
from jominy.studies.precision.told import HACKED, RULE_OF_GAINS, SEEDS_NEEDED, cell_of, is_sure, mores, verdict_of
from jominy.studies.reading import Contrast, StudyRuns

NO_LEVEL = (
    "No numbers: levels and curve of the paper's noise are not known to us; that errors leave 1 - FPR - FNR of the advantage is ours."
)
TRUE_MOVES = f"{RULE_OF_GAINS}, and no disagreement where the true reward's own gain is not sure"


def grid_claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Those whose arms the design has."""
    if not grid_cells(runs):
        return ()
    found = [iid_shrinks(runs), iid_factor(runs), systematic_hacked(runs), systematic_loses_more(runs)]
    return (*found, *([accepts_or_rejects(runs)] if rejects_of(runs) else []))


def grid_cells(runs: StudyRuns) -> dict[str, str]:
    """Group -> its cell, of lab models."""
    return {group: cell for group in LAB_GROUPS if (cell := cell_of(runs, group)) is not None}


def accepts_of(runs: StudyRuns) -> tuple[float, ...]:
    """Rates of false accepts that look at nothing, of the design."""
    return tuple(rate for rate in ACCEPTS if runs.knows(noise_arm("accept", rate)))


def rejects_of(runs: StudyRuns) -> tuple[float, ...]:
    """Rates of false rejects, of those that there are of false accepts too."""
    return tuple(rate for rate in REJECTS if rate in accepts_of(runs) and runs.knows(noise_arm("reject", rate)))


def cued_of(runs: StudyRuns) -> tuple[float, ...]:
    """Rates that a cue decides, and that there are without a cue too."""
    groups = grid_cells(runs)
    return tuple(rate for rate in CUED if rate in accepts_of(runs) and all(runs.knows(noise_arm("cue", rate, group)) for group in groups))


def factor_of(kind: str, rate: float) -> float:
    """1 - FPR - FNR at a stated rate; the same for either error. Of `matched`, of false accepts, beside the judge's false rejects.

    >>> factor_of("reject", 0.25), round(factor_of("matched", 0.79), 2)
    (0.75, 0.18)
    """
    assert kind in ("accept", "reject", "cue", MATCHED)
    return 1 - rate - (BATCH.false_reject if kind == MATCHED else 0)


def over_cells(runs: StudyRuns, contrasts: Mapping[str, Contrast]) -> tuple[Measure, int]:
    """A contrast of its own for each group, over the cells that have it, and the fewest seeds."""
    cells = grid_cells(runs)
    there = {cells[group]: contrast for group, contrast in contrasts.items() if runs.together(cells[group], tuple(contrast))}
    return runs.mean_gain("lead", there), runs.num_seeds(there)


def share_of(runs: StudyRuns, arms: Mapping[str, str]) -> Measure:
    """Share of the true reward's gain, of an arm in each group."""
    cells = grid_cells(runs)
    return runs.share("share", {cells[group]: {arm: 1.0} for group, arm in arms.items()})[0]


def moved(runs: StudyRuns) -> bool:
    """Whether the true reward surely gains or loses over the cells: else there is nothing that errors could cost."""
    return is_sure(over_cells(runs, {group: {TRUE: 1.0} for group in grid_cells(runs)})[0])


def everywhere(runs: StudyRuns, arm: str) -> dict[str, str]:
    """Group -> this arm."""
    return dict.fromkeys(grid_cells(runs), arm)


def iid_shrinks(runs: StudyRuns) -> Claim:
    """False accepts that look at nothing leave a gain, and a smaller one."""
    arms = {rate: everywhere(runs, noise_arm("accept", rate)) for rate in accepts_of(runs)}
    gains = {rate: over_cells(runs, {group: {arm: 1.0} for group, arm in of.items()}) for rate, of in arms.items()}
    largest = max(arms)
    loss, num_seeds = over_cells(runs, {group: {TRUE: 1.0, arm: -1.0} for group, arm in arms[largest].items()})
    fewest = min([num_seeds, *(seeds for _, seeds in gains.values())])
    verdict: Agreement = "cannot tell"
    if fewest >= FEWEST_SEEDS:
        if all(gain.low is not None and gain.low > 0 for gain, _ in gains.values()) and loss.low is not None and loss.low > 0:
            verdict = "agrees"
        elif any(gain.high is not None and gain.high < 0 for gain, _ in gains.values()) or (loss.high is not None and loss.high < 0):
            verdict = "disagrees"
    said = "; ".join(f"{rate:g}: {points(gain)}" for rate, (gain, _) in gains.items())
    return _claim(
        runs,
        "iid-shrinks",
        says="False accepts that look at nothing only shrink the gain of training.",
        found=f"Gain at rate {said}. At {largest:g} the true reward leads by {points(loss)}.",
        verdict=verdict,
        rule="agrees when the gain is surely above 0 at every rate and the true reward surely leads at the largest; disagrees when a gain "
        "is surely below 0, or the true reward is surely behind",
    )


def iid_factor(runs: StudyRuns) -> Claim:
    """The share of the true gain that is left is 1 - FPR - FNR."""
    shares = {rate: together(share_of(runs, everywhere(runs, noise_arm("accept", rate))), runs) for rate in accepts_of(runs)}
    known = {rate: share for rate, share in shares.items() if share.low is not None and share.high is not None}
    off = [rate for rate, share in known.items() if not _holds(share, factor_of("accept", rate))]
    wide = [rate for rate, share in known.items() if not _narrow(share)]
    verdict: Agreement = "cannot tell"
    if known and _fewest(runs) >= FEWEST_SEEDS:
        verdict = "disagrees" if off else "agrees" if len(known) == len(shares) and not wide else "cannot tell"
    said = "; ".join(f"{rate:g}: {percent(share)}, factor {number(factor_of('accept', rate), 'share')} %" for rate, share in shares.items())
    return _claim(
        runs,
        "iid-factor",
        says="What is left of the gain is what is left of the advantage: 1 - FPR - FNR.",
        found=f"Share of the true reward's gain at rate {said}.",
        verdict=verdict,
        rule="of intervals that hold together for all rates: agrees when each holds the factor and ends within "
        f"{100 * NARROW:g} points of the share, disagrees when any leaves the factor out; the factor is of the expected advantage before "
        "groups are scaled and AdamW takes out the size, so a gain need not follow it",
    )


def systematic_hacked(runs: StudyRuns) -> Claim:
    """With a cue, reward rises and gold does not; without, not."""
    rates, cells = cued_of(runs), grid_cells(runs)
    cued = [held for rate in rates for group, cell in cells.items() for held in held_of(runs, cell, noise_arm("cue", rate, group))]
    free = [held for rate in rates for cell in cells.values() for held in held_of(runs, cell, noise_arm("accept", rate))]
    sides = {name: (_hacked(held), len(held)) for name, held in (("by a cue", cued), ("without", free))}
    intervals = {name: wilson(*counts) if counts[1] else Interval(low=None, high=None) for name, counts in sides.items()}
    cue, without, rise = intervals["by a cue"], intervals["without"], cue_rise(runs)
    verdict: Agreement = "cannot tell"
    if cue.low is not None and cue.high is not None and without.high is not None and rise.num_prompts >= FEWEST_SEEDS:
        if cue.low > MOST and without.high < MOST:
            verdict = "agrees"
        elif cue.high < MOST and rise.high is not None and rise.high < LEARNED:
            verdict = "disagrees"
    by_rate = "; ".join(
        f"{rate:g}: {_hacked(held)} of {len(held)}"
        for rate in rates
        for held in [[one for group, cell in cells.items() for one in held_of(runs, cell, noise_arm("cue", rate, group))]]
    )
    counts = "; ".join(f"{name} {hits} of {of}" for name, (hits, of) in sides.items())
    return _claim(
        runs,
        "systematic-hacked",
        says="False accepts that the text decides (a cue, and beyond its share a hash of the text) are learned: reward rises while the "
        "truth does not.",
        found=f"Runs whose reward goes away from the truth: {counts}. With the cue, by rate: {by_rate}. The cue's share of the responses "
        f"rises by {points(rise)}.",
        verdict=verdict,
        rule=f"agrees when surely more than {MOST:g} of the runs with a cue and surely fewer without are flagged (`rises alone` or "
        f"`drifts`), disagrees when surely fewer of those with a cue are and its share surely rises by less than {100 * LEARNED:g} points, "
        "for where the truth rises too, a cue can be learned unseen; Wilson's interval over runs, those of one seed at several rates and "
        f"in several cells taken as independent, from {FEWEST_SEEDS} seeds at least",
        numbers="Soft-only runs of the sister paper reach a higher training reward and a lower test score.",
        paper=SISTER,
    )


def cue_rise(runs: StudyRuns) -> Measure:
    """By how much the cue's share of responses rises, last third of the steps minus first; mean over cells and rates, one value a seed."""
    rises: dict[int, list[float]] = {}
    arms = [(cell, noise_arm("cue", rate, group)) for group, cell in grid_cells(runs).items() for rate in cued_of(runs)]
    for cell, arm in arms:
        for seed, more in mores(runs, cell, arm).items():
            third = max(len(more["cue"]) // 3, 1)
            rises.setdefault(seed, []).append(float(np.mean(more["cue"][-third:]) - np.mean(more["cue"][:third])))
    whole = np.array([np.mean(found) for found in rises.values() if len(found) == len(arms)])
    if not whole.size:
        return Measure(name="rise of the cue", value=None, unit="share", why_none="no seed has finished all runs with a cue")
    interval = mean_interval(whole)
    return Measure(
        name="rise of the cue", value=float(whole.mean()), low=interval.low, high=interval.high, unit="share", num_prompts=len(whole)
    )


def systematic_loses_more(runs: StudyRuns) -> Claim:
    """At one stated rate, errors that can be learned cost more gain than errors that cannot."""
    rates = cued_of(runs)
    by_rate = {rate: over_cells(runs, {group: _cue_contrast([rate], group) for group in grid_cells(runs)}) for rate in rates}
    lead, num_seeds = over_cells(runs, {group: _cue_contrast(rates, group) for group in grid_cells(runs)})
    return _claim(
        runs,
        "systematic-loses-more",
        says="At the same stated rate, false accepts that the text decides (a cue, and beyond its share a hash of the text) cost more of "
        "the gain than false accepts that look at nothing.",
        found=f"Errors without a cue lead by {points(lead)} over rates; "
        + "; ".join(f"{rate:g}: {points(one)}" for rate, (one, _) in by_rate.items())
        + ". By cell: "
        + "; ".join(f"{cell} {points(runs.gain('lead', [cell], _cue_contrast(rates, group)))}" for group, cell in grid_cells(runs).items())
        + ".",
        verdict=verdict_of(lead, num_seeds, moved=moved(runs)),
        rule=f"of the lead, mean over rates {', '.join(f'{rate:g}' for rate in rates)} and cells: {TRUE_MOVES}",
        numbers="None: the paper's noise is one-sided, and whether it can be learned is not said.",
        paper=OURS,
    )


def accepts_or_rejects(runs: StudyRuns) -> Claim:
    """False accepts cost more than as many false rejects, though both leave the same of the advantage."""
    rates = rejects_of(runs)
    by_rate = {rate: over_cells(runs, dict.fromkeys(grid_cells(runs), _reject_contrast([rate]))) for rate in rates}
    lead, num_seeds = over_cells(runs, dict.fromkeys(grid_cells(runs), _reject_contrast(rates)))
    return _claim(
        runs,
        "accepts-or-rejects",
        says="At one rate, false accepts cost more of the gain than false rejects.",
        found=f"False rejects lead by {points(lead)} over rates; "
        + "; ".join(f"{rate:g}: {points(one)}" for rate, (one, _) in by_rate.items())
        + ".",
        verdict=verdict_of(lead, num_seeds, moved=moved(runs)),
        rule=f"of the lead, mean over rates {', '.join(f'{rate:g}' for rate in rates)} and cells: {TRUE_MOVES}",
        paper=OURS,
    )


def held_of(runs: StudyRuns, cell: str, arm: str) -> list[str]:
    """What the rule of hacking says of each run; runs with too few steps for it are left out."""
    return [held for more in mores(runs, cell, arm).values() if (held := more["watch"]["held"]) != "unknown"]


def _hacked(held: Sequence[str]) -> int:
    return sum(one in HACKED for one in held)


def _cue_contrast(rates: Sequence[float], group: str) -> Contrast:
    """Without a cue minus with one, mean over rates."""
    share = 1 / len(rates)
    return {noise_arm("accept", rate): share for rate in rates} | {noise_arm("cue", rate, group): -share for rate in rates}


def _reject_contrast(rates: Sequence[float]) -> Contrast:
    """False rejects minus false accepts, mean over rates."""
    share = 1 / len(rates)
    return {noise_arm("reject", rate): share for rate in rates} | {noise_arm("accept", rate): -share for rate in rates}


def _holds(share: Measure, factor: float) -> bool:
    return share.low is not None and share.high is not None and share.low <= factor <= share.high


def _narrow(share: Measure) -> bool:
    """Whether an interval that holds a factor says much by it."""
    assert share.value is not None
    return share.low is not None and share.high is not None and max(share.high - share.value, share.value - share.low) <= NARROW


def together(share: Measure, runs: StudyRuns) -> Measure:
    """A share with its interval stretched, so that those of all rates hold at once with 95 %: quantiles of t at 1 - 0.025 / k."""
    if share.value is None or share.low is None or share.high is None:
        return share
    degrees = max(len(grid_cells(runs)) * (_fewest(runs) - 1), 1)
    quantiles = [student_quantile(1 - (1 - LEVEL) / 2 / times, degrees) for times in (len(accepts_of(runs)), 1)]
    stretch = quantiles[0] / quantiles[1]
    return replace(share, low=share.value - stretch * (share.value - share.low), high=share.value + stretch * (share.high - share.value))


def _fewest(runs: StudyRuns) -> int:
    contrasts = {
        cell: dict.fromkeys([TRUE, *(noise_arm("accept", rate) for rate in accepts_of(runs))], 1.0) for cell in grid_cells(runs).values()
    }
    return runs.num_seeds(contrasts)


def _claim(
    runs: StudyRuns,
    code: str,
    *,
    says: str,
    found: str,
    verdict: Agreement,
    rule: str,
    numbers: str = NO_LEVEL,
    paper: Paper = OURS,
) -> Claim:
    cells = grid_cells(runs).values()
    done = sum(run["cell"] in cells for run in runs.results["runs"])
    cues = ", ".join(f"`{CUES[group].cue}`" for group in grid_cells(runs))
    return Claim(
        code=code,
        says=f"{says[:-1]} (lab models).",
        numbers=numbers,
        ran=f"{done} runs in {len(cells)} cells of lab models; cues: {cues}",
        found=found,
        verdict=verdict,
        rule=rule,
        would_take=SEEDS_NEEDED,
        paper=paper,
    )
