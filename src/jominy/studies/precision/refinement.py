"""Refined prompts against all of them: gain at equal steps, time of a run, time to one score, with and without the pilot.

    time        seconds of drawing, grading and updating, and of a judge: one question a response, whose price goes by how many
                constraints it asks about                                                                                       (`costs`)
    to a score  time x share of the steps after which a run is first as good as the one on all prompts ends, on the same held-out prompts

Both runs are charged up to there: one that levels off early is not charged for what it went on.

The paper's number leaves the pilot out, so verdicts do. What it takes stands beside, counted once a run, as it would for whoever refines
for one run. Left out on purpose: estimates of gains (`told`, `gains`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.papers import PRECISION
from jominy.records import Floats, Measure
from jominy.studies.outcomes import percent, points
from jominy.studies.precision.costs import cost_of, paired_costs, prices, reduction, step_of_score
from jominy.studies.precision.design import FULL_MIX, MIX_FULL, MIX_REFINED, REFINE, REFINED
from jominy.studies.precision.over_runs import mean_over
from jominy.studies.precision.paper import FEWEST_SEEDS, LEAST_SAVING, LESS_TIME
from jominy.studies.precision.told import (
    RULE,
    SEEDS_NEEDED,
    base_more,
    cell_of,
    exploded,
    lead_on,
    moved_on,
    on_further,
    tests_of,
    verdict_of,
)
from jominy.studies.reading import Record, StudyRuns

WITHOUT, WITH = "without the pilot", "with the pilot"


def refinement_claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Those that the design has the arms for."""
    if not (runs.knows(REFINED) and runs.knows(FULL_MIX)):
        return ()
    return refined_better(runs), refined_faster(runs), refined_to_score(runs)


def refined_better(runs: StudyRuns) -> Claim:
    """At equal steps the refined set trains the better model."""
    view, tests, contrast = on_further(runs), tests_of(runs), {MIX_REFINED: 1.0, MIX_FULL: -1.0}
    lead, num_seeds = lead_on(view, contrast, tests)
    cell = cell_of(runs, REFINE)
    own = runs.gain("lead", [] if cell is None else [cell], {REFINED: 1.0, FULL_MIX: -1.0})
    gains = "; ".join(f"{name} {points(lead_on(view, {name: 1.0}, tests)[0])}" for name in contrast)
    single = "; ".join(f"{name} {points(lead_on(view, contrast, [name])[0])}" for name in tests)
    verdict = verdict_of(lead, num_seeds, moved=moved_on(view, contrast, tests))
    return Claim(
        code="refined-better",
        says="Refined for precision (learnable prompts, at most one soft constraint each), the data trains a better model.",
        numbers="Qwen2.5-7B: IFEval 87.3 against 78.4 with the mix, IFBench 40.1; mean of five benchmarks about 64.9 against 57.3.",
        ran=f"{num_seeds} seeds of both, equal steps, the same judge{exploded(runs, contrast)}; {len(tests)} further tasks, graded by "
        f"code. {refined_words(runs)}",
        found=f"Refined leads by {points(lead)} ({gains}). By task: {single}. On held-out prompts of the mix: {points(own)}. "
        "Refined prompts have fewer constraints, as the further prompts do, which favours them there; the mix is what the other one was "
        "trained on.",
        verdict="cannot tell" if verdict == "agrees" and surely_below(own) else verdict,
        rule=f"of the lead over the further tasks: {RULE}; never agrees where it is surely behind on held-out prompts of the mix",
        would_take=SEEDS_NEEDED,
        paper=PRECISION,
    )


def surely_below(measure: Measure) -> bool:
    """Whether the whole interval is below 0."""
    return measure.high is not None and measure.high < 0


def refined_words(runs: StudyRuns) -> str:
    """What refining did, in a sentence; empty before it was done."""
    base = base_more(runs, REFINE)
    if base is None:
        return ""
    pool = base["pool"]
    soft = {arm: f"{counts.get('soft', 0)} soft and {counts.get('hard', 0)} hard" for arm, counts in pool["constraints"].items()}
    return (
        f"Of {pool['num_prompts']} prompts {pool['num_learnable']} were ever paid in the pilot, by a judge that lets most pass"
        f"{', so that the filter for learnability did nothing' if pool['num_learnable'] == pool['num_prompts'] else ''}; "
        f"by code {_or_none(pool['pilot'].get('num_never_right'))} were never right in it, which the filter would drop if code paid; "
        f"{pool['num_refined']} are left; "
        f"constraints: {soft[FULL_MIX]} before, {soft[REFINED]} after."
    )


def _or_none(number: int | None) -> str:
    return "an unknown number" if number is None else str(number)


def paired_seconds(runs: StudyRuns) -> dict[int, tuple[Floats, Floats]]:
    """Seed -> [R] seconds of a run on all prompts and on the refined ones, a judge's included; empty where its price is not known."""
    known = prices(runs)
    pairs = {seed: (cost_of(whole["spent"], known), cost_of(left["spent"], known)) for seed, (whole, left) in paired_costs(runs).items()}
    return {seed: (whole, left) for seed, (whole, left) in pairs.items() if whole is not None and left is not None}


def pilot_seconds(runs: StudyRuns) -> Floats | None:
    """[R] of the pilot, a judge's included; None where it was not made, or the price is not known."""
    base = base_more(runs, REFINE)
    return None if base is None else cost_of(base["pool"]["pilot"], prices(runs))


def time_reductions(runs: StudyRuns) -> Mapping[str, Measure]:
    """With and without the pilot: by how much less a run on the refined prompts takes."""
    costs = list(paired_seconds(runs).values())
    return {WITHOUT: reduction("reduction", costs), WITH: _with_pilot("reduction with the pilot", costs, pilot_seconds(runs))}


def _with_pilot(name: str, costs: Sequence[tuple[Floats, Floats]], pilot: Floats | None) -> Measure:
    return reduction(name, [] if pilot is None else [(whole, left + pilot) for whole, left in costs])


def pays_after(runs: StudyRuns) -> str:
    """How many runs the pilot has to serve until it pays for itself, in words."""
    costs, pilot = list(paired_seconds(runs).values()), pilot_seconds(runs)
    if not costs or pilot is None:
        return ""
    saved = mean_over([float((whole - left).mean()) for whole, left in costs], "seconds")
    taken = float(pilot.mean())
    return f" The pilot takes {taken:.0f} s, measured once, and pays for itself {_in_runs(taken, saved)}."


def _in_runs(taken: float, saved: Measure) -> str:
    """After how many runs something is saved by them, with the ends that the interval of what one run saves gives.

    >>> _in_runs(60, Measure(name="saved", value=30, low=20, high=40)), _in_runs(60, Measure(name="saved", value=30, low=-5, high=40))
    ('in 2.0 runs [1.5, 3.0]', 'in 2.0 runs [1.5, never]')
    """
    if saved.value is None or saved.value <= 0:
        return "in no number of runs"
    if saved.low is None or saved.high is None:
        return f"in {taken / saved.value:.1f} runs"
    most = "never" if saved.low <= 0 else f"{taken / saved.low:.1f}"
    return f"in {taken / saved.value:.1f} runs [{taken / saved.high:.1f}, {most}]"


def price_words(runs: StudyRuns) -> str:
    """What a judge is taken to need."""
    known = prices(runs)
    said = "; ".join(
        f"{number}: {rounds_R.mean():.2f} s ({rounds_R.min():.2f} to {rounds_R.max():.2f})" for number, rounds_R in known.items()
    )
    rounds = f", {len(next(iter(known.values())))} rounds" if known else ""
    return (
        f"a judge as slow as SmolLM2, seconds to read a question and one reply, by the constraints in it{rounds}: {said or 'not measured'}"
    )


def size_words(less: Measure) -> str:
    """How large a reduction is beside the paper's; empty where it is not surely one.

    >>> size_words(Measure(name="x", value=0.1, low=0.05, high=0.15))
    ' Less, and surely less than the 58 % of the paper.'
    """
    if less.low is None or less.high is None or less.low <= 0:
        return ""
    if less.high < LESS_TIME:
        return f" Less, and surely less than the {100 * LESS_TIME:.0f} % of the paper."
    beyond = less.low > LESS_TIME
    return (
        f" Less by surely more than the {100 * LESS_TIME:.0f} % of the paper."
        if beyond
        else (f" Less, and the {100 * LESS_TIME:.0f} % of the paper may be it.")
    )


def _said(found: Mapping[str, Measure]) -> str:
    return "; ".join(f"{how} {percent(measure)}" for how, measure in found.items())


def score_reductions(runs: StudyRuns) -> tuple[Mapping[str, Measure], int, int]:
    """The same to equal score, over the seeds that reach it; how many do, of how many whose run on all prompts ended above its start."""
    seconds, pairs, reached = paired_seconds(runs), [], 0
    rising = {seed: pair for seed, pair in paired_costs(runs).items() if seed in seconds and rose(pair[0]["evaluations"])}
    for seed, (whole, left) in rising.items():
        part = part_to_score(whole["evaluations"], left["evaluations"])
        if part is not None:
            reached += 1
            # nothing takes no time at all, and a ratio of logs would have no end
            own = part_to_score(whole["evaluations"], whole["evaluations"])
            assert own is not None, "it ends as it ends"
            pairs.append((max(own, 0.01) * seconds[seed][0], max(part, 0.01) * seconds[seed][1]))
    pilot = pilot_seconds(runs)
    found = {WITHOUT: reduction("reduction to equal score", pairs), WITH: _with_pilot("the same with the pilot", pairs, pilot)}
    return found, reached, len(rising)


def rose(evaluations: Sequence[Record]) -> bool:
    """Whether more was right at the end than at the start."""
    return bool(evaluations) and sum(evaluations[-1]["right"]) > sum(evaluations[0]["right"])


def part_to_score(whole: Sequence[Record], left: Sequence[Record]) -> float | None:
    """Share of its steps after which the second run is as good as the first one ends; None where it never is."""
    if not whole or not left or not left[-1]["step"]:
        return None
    step = step_of_score(left, float(np.mean(whole[-1]["right"])))
    return None if step is None else step / float(left[-1]["step"])


def refined_faster(runs: StudyRuns) -> Claim:
    """A run on the refined set takes less time."""
    found, num_seeds = time_reductions(runs), len(paired_seconds(runs))
    less = found[WITHOUT]
    verdict: Agreement = "cannot tell"
    if num_seeds >= FEWEST_SEEDS and less.low is not None and less.high is not None:
        verdict = "agrees" if less.low > LEAST_SAVING else "disagrees" if less.high < LEAST_SAVING else "cannot tell"
    return Claim(
        code="refined-faster",
        says="Training on the refined data takes less time for as many steps.",
        numbers="58 % less; a reader notes that this leaves out the pilot, and from what it is taken is not known.",
        ran=f"{num_seeds} seeds of both; {price_words(runs)}",
        found=f"Reduction {_said(found)}.{size_words(less)}{pays_after(runs)}",
        verdict=verdict,
        rule=f"agrees when the reduction without the pilot, as in the paper, is surely above {100 * LEAST_SAVING:g} % (its size beside the "
        "paper's is said), disagrees when it is surely below; Student's interval over seeds and rounds of pricing",
        would_take="Longer prompts and a judge that is large beside the policy, whose time is then most of a run.",
        paper=PRECISION,
    )


def refined_to_score(runs: StudyRuns) -> Claim:
    """A run on the refined set is as good as the other one ends in less time."""
    found, reached, num_seeds = score_reductions(runs)
    less = found[WITHOUT]
    verdict: Agreement = "cannot tell"
    if num_seeds >= FEWEST_SEEDS:
        if reached == 0 or (less.high is not None and less.high < LEAST_SAVING):
            verdict = "disagrees"
        elif reached == num_seeds and less.low is not None and less.low > LEAST_SAVING:
            verdict = "agrees"
    return Claim(
        code="refined-to-score",
        says="Training on the refined data is as good as training on all of it ends, in less time.",
        numbers="58 % less time, and a better model.",
        ran=f"{len(paired_costs(runs))} seeds of both, held-out prompts of the mix every few steps",
        found=f"{reached} of {num_seeds} seeds with something to reach come to the score; of these, reduction {_said(found)}."
        + size_words(less),
        verdict=verdict,
        rule="of the seeds whose run on all prompts ends above its start, either run charged up to where it first comes to that end: "
        f"agrees when every one comes to the score and the reduction without the pilot is surely above {100 * LEAST_SAVING:g} %; disagrees "
        "when none does, or it is surely below",
        would_take="More held-out prompts, so that a score between two evaluations is known better.",
        paper=PRECISION,
    )
