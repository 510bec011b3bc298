"""Does training on hard constraints move attention to constraints, seen and unseen, hard and soft, beyond the controls; and does it matter?

    change   c(trained) - c(start) of the constraint, minus the same of the control; also in logarithms, which a factor on all leaves at 0
    control  two stretches of the same prompts, and training on the same prompts that a judge with errors pays
    fall     passes with the stretch in sight minus passes with it hidden, of the constraint beyond that of the neutral sentence

Means over seeds and prompts, with the two-level bootstrap of `gains`. The p-value beside is of signs tossed by prompt over means of seeds:
it tests these models, not training, and decides nothing. Where a change is in times even, its interval may leave [-1, 1]. Left out on
purpose: single heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.measures.attention import changes_beyond, sign_flip_test
from jominy.papers import PRECISION
from jominy.records import Measure
from jominy.studies.bases import SEED
from jominy.studies.gains import Doubles, Resampled, resample, stretched, widening
from jominy.studies.outcomes import bounds, points
from jominy.studies.precision.design import JUDGE_ALL, TRUE
from jominy.studies.precision.paper import FEWEST_SEEDS, OURS
from jominy.studies.precision.told import among, cell_of, drawn, mores, tests_of
from jominy.studies.reading import Record, StudyRuns

CONSTRAINT, NEUTRAL, IRRELEVANT = "constraint 0", "neutral", "irrelevant"
TIMES_EVEN = "times even"
CHECKED: Mapping[Agreement, str] = {
    "agrees": "agrees: what training added depends on seeing the constraint",
    "disagrees": "does not agree: training made it depend less on seeing the constraint",
    "cannot tell": "cannot tell whether what training added depends on seeing the constraint",
}
"""What the check by hiding says beside a verdict on attention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A change over seeds and prompts.

    Example: beyond(runs, tests, "neutral").plain.low
    """

    plain: Measure
    """In times even."""
    relative: Measure
    """In logarithms."""
    p_value: float | None
    """Of the plain one."""


def looking_claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """None where the design looks at no attention."""
    cell = cell_of(runs, "hard")
    if cell is None or not runs.results["settings"]["hard"].get("attention_prompts"):
        return ()
    return attends_more(runs), hiding_hurts(runs)


def looks(runs: StudyRuns, arm: str = TRUE) -> dict[int, Record]:
    """Seed -> attention of an arm's run on hard constraints, of the one that code paid unless another is named."""
    return {seed: more["attention"] for seed, more in mores(runs, cell_of(runs, "hard"), arm).items() if more.get("attention")}


def attends_more(runs: StudyRuns) -> Claim:
    """Attention to soft and unseen constraints rises beyond both controls."""
    tests = tuple(name for name in tests_of(runs) if name in {*among(runs, "soft"), *among(runs, "unseen")})
    neutral, irrelevant = (beyond(runs, tests, control) for control in (NEUTRAL, IRRELEVANT))
    training = beyond_training(runs, tests)
    sides = [_side(neutral), _side(irrelevant), _sign(training)]
    verdict: Agreement = "cannot tell"
    if len(looks(runs)) >= FEWEST_SEEDS:
        verdict = "agrees" if sides == [1, 1, 1] else "disagrees" if -1 in sides else "cannot tell"
    alone, hidden = alone_of(runs, tests), hiding_hurts(runs)
    return Claim(
        code="attends-more",
        says="Training on hard constraints alone raises attention to soft and unseen constraints: a skill that carries over.",
        numbers="A figure: attention is named as the mechanism, without a definition or a number.",
        ran=f"{len(looks(runs))} seeds; further tasks {'; '.join(tests)}, on the start's own responses",
        found=f"Change of attention to the constraint {_said(alone)}; beyond the neutral sentence {_said_look(neutral)}; beyond the "
        f"irrelevant constraint {_said_look(irrelevant)}. Beyond the neutral sentence, where code pays minus where the judge pays: "
        f"{_said(training)}. The causal check (`{hidden.code}`, over all further tasks) {CHECKED[hidden.verdict]}.",
        verdict=verdict,
        rule="agrees when the change beyond either control is surely above 0, plain and in logarithms, and beyond the neutral sentence "
        "surely larger than where a judge with errors pays for the same prompts; disagrees when the change is surely below 0 in both ways "
        "beyond one control, or surely smaller than where the judge pays",
        would_take="More prompts and seeds; and a definition of what is meant.",
        paper=PRECISION,
    )


def hiding_hurts(runs: StudyRuns) -> Claim:
    """The trained policy needs the constraint in sight more than the start does, beyond the control."""
    tests = tests_of(runs)
    trained, start = (fall_of(runs, tests, who) for who in ("trained", "start"))
    more = fall_of(runs, tests, "trained", minus="start")
    verdict: Agreement = "cannot tell"
    if len(looks(runs)) >= FEWEST_SEEDS and more.low is not None and more.high is not None:
        verdict = "agrees" if more.low > 0 else "disagrees" if more.high < 0 else "cannot tell"
    return Claim(
        code="hiding-hurts",
        says="What training adds depends on seeing the constraint: hiding it costs the trained policy more than it costs the start.",
        numbers="None: a causal check of ours.",
        ran=f"{len(looks(runs))} seeds; further tasks {'; '.join(tests)}, the most likely response, with attention to a stretch masked out",
        found=f"Fall of passes by hiding the constraint, beyond hiding the neutral sentence: trained {points(trained)}, start "
        f"{points(start)}, difference {points(more)}.",
        verdict=verdict,
        rule="agrees when the difference of the falls is surely above 0, disagrees when it is surely below",
        would_take="More prompts: passes are 0 or 1, and most do not change.",
        paper=OURS,
    )


def corrected(runs: StudyRuns, tests: Sequence[str], stretch: str, arm: str = TRUE) -> dict[int, tuple[Doubles, Doubles]]:
    """Seed -> ([P] before, [P] after) of all these tasks' prompts in a row."""
    if not tests:
        return {}
    whole = {seed: found for seed, found in looks(runs, arm).items() if all(found[name]["corrected"] for name in tests)}
    return {seed: (_row(found, tests, stretch, 0), _row(found, tests, stretch, 1)) for seed, found in whole.items()}


def _row(found: Record, tests: Sequence[str], stretch: str, side: int) -> Doubles:
    return np.concatenate([np.array(found[name]["corrected"][stretch][side], dtype=np.float64) for name in tests])


def sides_of(runs: StudyRuns, tests: Sequence[str], stretch: str) -> tuple[Doubles, Doubles]:
    """([S, P] before, [S, P] after); empty where no seed has them."""
    rows = list(corrected(runs, tests, stretch).values())
    return (np.stack([one for one, _ in rows]), np.stack([one for _, one in rows])) if rows else (np.zeros((0, 0)), np.zeros((0, 0)))


def levels_of(runs: StudyRuns, tests: Sequence[str], stretch: str) -> tuple[Measure, Measure]:
    """Attention to a stretch before and after, over seeds and prompts."""
    before_SP, after_SP = sides_of(runs, tests, stretch)
    return _mean("attention before", before_SP[:1], TIMES_EVEN), _mean("attention after", after_SP, TIMES_EVEN)


def beyond(runs: StudyRuns, tests: Sequence[str], control: str) -> Look:
    """Change of the constraint minus change of the control."""
    plain_SP, relative_SP = changes_beyond(*sides_of(runs, tests, CONSTRAINT), *sides_of(runs, tests, control))
    return Look(
        plain=_mean("attention beyond a control", plain_SP, TIMES_EVEN),
        relative=_mean("the same in logarithms", relative_SP, "log ratio"),
        p_value=sign_flip_test(plain_SP.mean(axis=0), np.random.default_rng(SEED)) if plain_SP.size else None,
    )


def beyond_training(runs: StudyRuns, tests: Sequence[str]) -> Measure:
    """Change beyond the neutral sentence where code pays, minus the same where the judge pays; seeds that have both."""
    sides = [(corrected(runs, tests, CONSTRAINT, arm), corrected(runs, tests, NEUTRAL, arm)) for arm in (TRUE, JUDGE_ALL)]
    seeds = sorted(set.intersection(*(set(one) for side in sides for one in side)))
    rows = [[changes_beyond(*one[seed], *control[seed])[0] for one, control in sides] for seed in seeds]
    values_SP = np.stack([code_P - judge_P for code_P, judge_P in rows]) if rows else np.zeros((0, 0))
    return _mean("attention beyond training with errors", values_SP, TIMES_EVEN)


def alone_of(runs: StudyRuns, tests: Sequence[str]) -> Measure:
    """Change of attention to the constraint by itself."""
    before_SP, after_SP = sides_of(runs, tests, CONSTRAINT)
    return _mean("attention to the constraint", after_SP - before_SP, TIMES_EVEN)


def fall_of(runs: StudyRuns, tests: Sequence[str], who: str, *, minus: str | None = None) -> Measure:
    """Fall of passes by hiding the constraint beyond hiding the neutral sentence; of one policy, or minus another's."""
    rows = [_falls(found, tests, who) - (0.0 if minus is None else _falls(found, tests, minus)) for found in looks(runs).values()]
    falls_SP = np.stack(rows) if rows else np.zeros((0, 0))
    return _mean("fall of passes", falls_SP[:, np.isfinite(falls_SP).all(axis=0)], "share")


def _falls(found: Record, tests: Sequence[str], who: str) -> Doubles:
    """[P] passes with the neutral sentence hidden minus passes with the constraint hidden; NaN where either is unknown."""
    neutral_P, constraint_P = (
        np.concatenate([np.array([np.nan if one is None else one for one in found[name]["passes"][who][what]]) for name in tests])
        for what in (NEUTRAL, CONSTRAINT)
    )
    falls_P: Doubles = neutral_P - constraint_P
    return falls_P


def _mean(name: str, values_SP: Doubles, unit: str) -> Measure:
    """Over seeds and prompts, with its interval; no interval where nothing varies."""
    if not values_SP.size or not np.isfinite(values_SP).all():
        return Measure(name=name, value=None, unit=unit, why_none="no run has looked" if not values_SP.size else "a mass is 0")
    found: Resampled = resample(values_SP, drawn(*values_SP.shape))
    low: float | None = None
    high: float | None = None
    if np.ptp(found.drawn_B) > 1e-12 and max(found.shape) > 1:
        low, high = stretched(found.mean, found.drawn_B, widening([found.shape[0]], [found.shape[1]]))
    return Measure(name=name, value=found.mean, low=low, high=high, unit=unit, num_prompts=found.shape[1])


def _side(look: Look) -> int:
    """1 where both ways are surely above 0, -1 where both are surely below, else 0."""
    signs = {_sign(look.plain), _sign(look.relative)}
    return signs.pop() if len(signs) == 1 else 0


def _sign(measure: Measure) -> int:
    """Of the whole interval."""
    if measure.low is not None and measure.low > 0:
        return 1
    return -1 if measure.high is not None and measure.high < 0 else 0


def _said(measure: Measure) -> str:
    return f"undefined ({measure.why_none})" if measure.value is None else f"{number(measure.value)} {measure.unit} {bounds(measure)}"


def _said_look(look: Look) -> str:
    p_value = "" if look.p_value is None else f", p {look.p_value:.2g}"
    return f"{_said(look.plain)}, {_said(look.relative)}{p_value}"
