"""Precision against diversity: the same prompts said hard, softly and mixed, paid by code or by a judge that errs.

    lead       gain of one condition minus another's on further prompts: seen and unseen types, said hard and softly, all prompts in a row
    followed   gain minus the gain on the same requests without the constraint said: a style that is used on everything counts for nothing

What the paper counts are satisfied prompts, so its leads are of those, with what was followed beside; that something is learned about
constraints (`follows`, `transfers`, `to-soft`) is a claim about what is followed. Left out on purpose: how a lead is estimated (`told`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jominy.conclusion import Claim
from jominy.papers import PRECISION
from jominy.records import Paper
from jominy.studies.outcomes import points
from jominy.studies.precision.design import HARD_BLIND, HARD_CODE, HARD_JUDGE, MIXED_JUDGE, SEEN_BY_SEED, SOFT_CODE, SOFT_JUDGE
from jominy.studies.precision.paper import OURS, SMALL
from jominy.studies.precision.told import (
    NAMES,
    RULE,
    RULE_OF_GAINS,
    SEEDS_NEEDED,
    Further,
    Gained,
    among,
    conditions,
    exploded,
    lead_on,
    moved_on,
    on_further,
    tests_of,
    verdict_of,
)
from jominy.studies.reading import Contrast, StudyRuns


def rendering_claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """Those whose conditions the design has."""
    view, everything = on_further(runs), tests_of(runs)
    made = [
        _lead(
            runs,
            view,
            "hard-over-soft",
            {HARD_CODE: 1.0, SOFT_JUDGE: -1.0},
            everything,
            says="Training on hard constraints alone generalises better than on soft ones alone.",
            numbers="Qwen2.5-7B, mean of five benchmarks: 57.9 hard only, 55.2 soft only (base 51.6).",
        ),
        _lead(
            runs,
            view,
            "hard-over-mix",
            {HARD_CODE: 1.0, MIXED_JUDGE: -1.0},
            everything,
            says="Training on hard constraints alone generalises better than on hard and soft ones mixed.",
            numbers="Qwen2.5-7B, mean of five benchmarks: 57.9 hard only, 57.3 mixed; on CFBench 49 against 51, and near parity at other "
            "sizes: the abstract says more than the tables.",
            would_take="Many times the seeds: the paper's own difference is 0.6 points, far less than four seeds can tell.",
            none_below=0.0,
        ),
        _lead(
            runs,
            view,
            "follows",
            {HARD_CODE: 1.0},
            among(runs, "seen"),
            says="Training on hard constraints teaches to follow them, beyond a style that is used whether they are said or not.",
            numbers="None: a control of ours.",
            gained="followed",
            paper=OURS,
        ),
        _lead(
            runs,
            view,
            "transfers",
            {HARD_CODE: 1.0},
            among(runs, "unseen"),
            says="What is learned on hard constraints carries over to constraint types that were not trained on.",
            numbers="IFBench, whose constraints are unseen: 28.9 to 40.1 with the whole method (Qwen2.5-7B); hard only is not known.",
            gained="followed",
        ),
        _lead(
            runs,
            view,
            "to-soft",
            {HARD_CODE: 1.0},
            among(runs, "soft"),
            says="What is learned on hard constraints carries over to soft ones.",
            numbers="CFBench, which is mixed: 44 to 49 with hard only (Qwen2.5-7B).",
            gained="followed",
        ),
        _lead(
            runs,
            view,
            "precision-on-hard",
            {HARD_CODE: 1.0, HARD_JUDGE: -1.0},
            everything,
            says="With the prompts unchanged, a reward that misses violations gains less.",
            numbers="A curve over noise in the reward of hard constraints, without numbers.",
        ),
        _lead(
            runs,
            view,
            "precision-on-soft",
            {SOFT_CODE: 1.0, SOFT_JUDGE: -1.0},
            everything,
            says="With soft words unchanged, a reward without error gains more than the judge.",
            numbers="None: a control of ours.",
            paper=OURS,
        ),
        _lead(
            runs,
            view,
            "wording",
            {HARD_CODE: 1.0, SOFT_CODE: -1.0},
            everything,
            says="Hard words themselves train better than soft ones, both paid by code.",
            numbers="None: a control of ours.",
            paper=OURS,
        ),
        _lead(
            runs,
            view,
            "blind-types",
            {HARD_JUDGE: 1.0, HARD_BLIND: -1.0},
            everything,
            says=f"At the same rate of errors, a judge that is blind to all types but one ({' or '.join(SEEN_BY_SEED)}, by seed), which "
            "can be learned, trains worse than one that errs by chance, though of the one type it sees all.",
            numbers="None: the paper's noise is one-sided, and whether it can be learned is not said.",
            paper=OURS,
        ),
    ]
    return tuple(claim for claim in made if claim is not None)


def _lead(
    runs: StudyRuns,
    view: Further,
    code: str,
    contrast: Contrast,
    tests: Sequence[str],
    *,
    says: str,
    numbers: str,
    gained: Gained = "satisfied",
    would_take: str = SEEDS_NEEDED,
    none_below: float = SMALL,
    paper: Paper = PRECISION,
) -> Claim | None:
    """A claim about a contrast of conditions; None where the design lacks one of them."""
    if not set(contrast) <= set(conditions(runs)):
        return None
    lead, num_seeds = lead_on(view, contrast, tests, gained)
    is_lead = len(contrast) > 1
    moved = not is_lead or moved_on(view, contrast, tests, gained)
    rule = RULE_OF_GAINS if not is_lead else RULE if none_below else RULE.replace(f"below {100 * SMALL:g} points", "below 0")
    return Claim(
        code=code,
        says=says,
        numbers=numbers,
        ran=f"{num_seeds} seeds of {' and '.join(contrast)}{exploded(runs, contrast)}; "
        f"{len(tests)} further tasks ({'; '.join(tests)}), graded by code",
        found=_found(view, contrast, tests),
        verdict=verdict_of(lead, num_seeds, moved=moved, none_below=none_below),
        rule=f"of the {'lead' if is_lead else 'gain'} in {NAMES[gained]}, over the further tasks: {rule}",
        would_take=would_take,
        paper=paper,
    )


def _found(view: Further, contrast: Contrast, tests: Sequence[str]) -> str:
    """The lead either way, of which gains, and on each further task."""
    whole = "Lead" if len(contrast) > 1 else "Gain"
    either = "; ".join(f"{name} {points(lead_on(view, contrast, tests, gained)[0])}" for gained, name in NAMES.items())
    gains: Mapping[str, str] = {name: points(lead_on(view, {name: 1.0}, tests)[0]) for name in contrast}
    parts = f" Satisfied prompts of each: {'; '.join(f'{name} {gain}' for name, gain in gains.items())}." if len(contrast) > 1 else ""
    single = "; ".join(f"{name} {points(lead_on(view, contrast, [name])[0])}" for name in tests)
    return f"{whole}: {either}.{parts} Satisfied prompts by task: {single}."
