"""Was following the recipe table of `diagnose` right? Each line of it, in each cell, against what the arms that follow it gained.

    recommended, fits   must work: gain surely above 0, and at least HALF of the true gain (the true reward itself: surely above 0)
    futile              must not
    risky               promises nothing and is not judged

Left out on purpose: the lines that no arm follows (clarity weighting, SFT first).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jominy.conclusion import Agreement, Claim
from jominy.records import Paper
from jominy.studies.outcomes import (
    FEWEST_JUDGED,
    FEWEST_SEEDS,
    HALF,
    MOSTLY_RIGHT,
    MOSTLY_WRONG,
    SMALL_GAIN,
    Outcome,
    outcome_of,
    percent,
    points,
)
from jominy.studies.reading import TRUTH, StudyRuns

Judged = Literal["right", "wrong", "open", "not judged"]

OURS = Paper(arxiv="", title="ours: the recipe table of jominy diagnose")

SPURIOUS = ("random", "random_format", "format", "incorrect_any", "majority", "entropy")
ONE_SHOT = ("one_shot_max_variance", "one_shot_random", "one_shot_hardest")
"""The selected example first."""
ADVISED = {
    "grpo": (TRUTH,),
    "one_shot": ONE_SHOT,
    "spurious_reward": SPURIOUS,
    "positive_only": ("positive_only", "positive_only_masked"),
    "negative_only": ("negative_only", "negative_only_masked"),
}
"""Line of the recipe table -> the arms that follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What `diagnose` advised for one arm in one cell, and what happened.

    Example: Followed(cell="adder, sums", arm="random", trick="spurious_reward", advice="fits", outcome="worked", judged="right", why="...")
    """

    cell: str
    """Name of the cell."""
    arm: str
    """Name of the arm."""
    trick: str
    """The line of the recipe table that it belongs to."""
    advice: str
    """recommended, fits, risky or futile."""
    outcome: Outcome
    """What the runs show."""
    judged: Judged
    """right or wrong; open where the runs cannot tell; not judged for `risky`, which promises nothing."""
    why: str
    """The numbers behind the outcome."""


def followed(runs: StudyRuns) -> tuple[Followed, ...]:
    """What `diagnose` advised for each arm and cell, and what happened."""
    return tuple(
        _followed(runs, cell.name, arm, trick, cell.advice[trick])
        for cell in runs.cells
        for trick, arms in ADVISED.items()
        if trick in cell.advice
        for arm in arms
        if runs.has(cell.name, arm)
    )


def _followed(runs: StudyRuns, cell: str, arm: str, trick: str, fit: str) -> Followed:
    gain = runs.gain("gain", [cell], {arm: 1.0})
    share, _ = runs.share("share", {cell: {arm: 1.0}})
    num_seeds = runs.num_seeds({cell: {arm: 1.0}})
    if arm == TRUTH:
        # Its share of itself is 1 by definition: a sure gain is all that is promised.
        known = gain.low is not None and gain.high is not None and num_seeds >= FEWEST_SEEDS
        outcome: Outcome = "open"
        if known:
            outcome = "worked" if (gain.low or 0.0) > 0 else "did not" if (gain.high or 0.0) < SMALL_GAIN else "open"
        why = points(gain)
    else:
        outcome, why = outcome_of(gain, share, num_seeds, HALF), f"{points(gain)}, {percent(share)} of the true gain"
    promised = {"recommended": "worked", "fits": "worked", "futile": "did not"}
    judged: Judged = (
        "not judged" if fit not in promised else "open" if outcome == "open" else "right" if promised[fit] == outcome else "wrong"
    )
    return Followed(cell=cell, arm=arm, trick=trick, advice=fit, outcome=outcome, judged=judged, why=why)


def advice(runs: StudyRuns) -> Claim:
    """Was following the recipe table right?"""
    lines = followed(runs)
    verdict: Agreement = "cannot tell"
    kinds = {"promised to work": ("recommended", "fits"), "called futile": ("futile",)}
    texts, shares = [], []
    for kind, fits in kinds.items():
        of_kind = [line.judged for line in lines if line.advice in fits]
        right, decided = of_kind.count("right"), of_kind.count("right") + of_kind.count("wrong")
        texts.append(f"{kind}: right {right}, wrong {decided - right}, open {of_kind.count('open')}")
        shares += [right / decided] if decided >= FEWEST_JUDGED else []
    if len(shares) == len(kinds):
        verdict = "agrees" if min(shares) >= MOSTLY_RIGHT else "disagrees" if min(shares) < MOSTLY_WRONG else "cannot tell"
    wrong = [f"{runs.title(line.arm)} in {line.cell} ({line.advice}, {line.outcome})" for line in lines if line.judged == "wrong"]
    found = "; ".join(texts) + f"; risky, which promises nothing: {sum(line.judged == 'not judged' for line in lines)}."
    return Claim(
        code="advice",
        says="Following the recipe table of jominy diagnose is right: what it calls recommended or fits works, "
        "what it calls futile does not.",
        numbers="None: the table is ours, made from the paper's findings.",
        ran=f"{len(lines)} lines: every arm in every cell with advice",
        found=found[0].upper() + found[1:] + (f" Wrong: {'; '.join(wrong)}." if wrong else ""),
        verdict=verdict,
        rule=f"a line that fits must surely gain, and at least {HALF:g} of the true gain; a futile one must not; agrees when at least "
        f"{MOSTLY_RIGHT:g} of the judged lines of either kind are right ({FEWEST_JUDGED} of each at least), disagrees when fewer than "
        f"{MOSTLY_WRONG:g} of one kind are",
        would_take="Cells surely strong or surely weak, and enough seeds to close the open lines.",
        paper=OURS,
    )
