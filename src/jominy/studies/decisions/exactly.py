"""What no training run bears on: the identities, coefficients on the warm start's rollouts, verification against generation.

The first two are checks and no evidence: they follow from definitions, and could come out otherwise only if our code were wrong.

    verification    J on the bank minus accuracy of first attempts, both of the warm start; 0 for a blind guesser, 1 at best

The bank holds attempts at prompts that the warm start was not shown, so first attempts are counted on such prompts alone too: what is known
by heart needs no search.

Left out on purpose: the identities themselves (`theory`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jominy.conclusion import Agreement, Claim
from jominy.formatting import number
from jominy.measures.clustered import Label, Ratio, share
from jominy.measures.decisions import bank_metrics
from jominy.papers import DECISIONS
from jominy.records import Measure
from jominy.studies.decisions.estimating import AGREEMENTS, side
from jominy.studies.decisions.paper import EXACT, NO_NUMBERS, OURS
from jominy.studies.decisions.theory import identities
from jominy.studies.decisions.told import base_more, hits_and_cases, unshown
from jominy.studies.outcomes import percent
from jominy.studies.reading import Record, StudyRuns

CONTRASTS = ("right_contrast", "wrong_contrast")


def exact_theory() -> Claim:
    """The closed forms are right."""
    found = identities()
    broken = [one.says for one in found if not one.holds]
    exact = max(one.difference for one in found if one.allowed <= EXACT)
    return Claim(
        code="theory",
        check=True,
        says="Check: surrogates, SFT and KL penalties attribute their gradients to attempts and decisions as our closed forms say.",
        numbers="The paper's theorems were not at hand; these are derivations of ours.",
        ran=f"{len(found)} identities on exact policies in which every response is written down; no model is trained",
        found=f"{len(found) - len(broken)} of {len(found)} hold; the largest difference of those without a limit is {exact:.1g}."
        + (f" Broken: {'; '.join(broken)}." if broken else ""),
        verdict="disagrees" if broken else "agrees",
        rule="agrees when every identity holds up to rounding (the one about a limit of small moves up to its rest); it cannot come out "
        "otherwise unless our code is wrong",
        would_take="Nothing more: it is exact, and bears on no run.",
        paper=OURS,
    )


def balanced(runs: StudyRuns) -> Claim:
    """GRPO weighs tokens alike and knows outcomes; SFT weighs alike too and knows none."""
    told = {cell.name: base["coefficients"] for cell in runs.cells if (base := base_more(runs, cell.name)) is not None}
    sides = [_balance(of) for of in told.values()]
    verdict: Agreement = "cannot tell"
    if -1 in sides:
        verdict = "disagrees"
    elif sides and len(sides) == len(runs.cells) and set(sides) == {1}:
        verdict = "agrees"
    texts = []
    for cell, of in told.items():
        contrasts = [f"{number(of['grpo'][name]['value'])} {_between(of['grpo'][name])}".strip() for name in CONTRASTS]
        texts.append(
            f"{cell}: GRPO's ratio {number(of['grpo']['per_token_ratio']['value'])}, contrasts {contrasts[0]} on right and {contrasts[1]} "
            f"on wrong attempts; SFT's ratio {number(of['sft']['per_token_ratio']['value'])}, contrasts "
            + " and ".join(number(of["sft"][name]["value"]) for name in CONTRASTS)
        )
    return Claim(
        code="balanced-coefficients",
        check=True,
        says="Check: RL credits a token of a decision as much as one of an attempt, and by the outcome; SFT credits by none.",
        numbers=NO_NUMBERS,
        ran=f"coefficients on rollouts of {len(told)} of {len(runs.cells)} warm starts; no model is trained",
        found="; ".join(texts) + "." if texts else "No warm start is measured.",
        verdict=verdict,
        rule=f"agrees when in every cell GRPO's ratio a token is 1 and SFT's contrasts are 0 (both within {EXACT:g}), and GRPO's "
        "contrasts are surely above 0; disagrees when one of these is surely otherwise. All of it follows from how the objectives are "
        "defined, so it is no evidence about training",
        would_take="More rollouts of the warm start where a contrast is open.",
        paper=DECISIONS,
    )


def _balance(of: Record) -> int:
    """1 where all is as claimed, -1 where something surely is not, else 0."""
    ratio, grpo, sft = of["grpo"]["per_token_ratio"]["value"], of["grpo"], of["sft"]
    zeros, size = [sft[name]["value"] for name in CONTRASTS], sft["on_accept"]["value"] or 1.0
    if (ratio is not None and abs(ratio - 1) > EXACT) or any(zero is not None and abs(zero) > EXACT * size for zero in zeros):
        return -1
    sides = [0 if grpo[name]["low"] is None else 1 if grpo[name]["low"] > 0 else -1 if grpo[name]["high"] < 0 else 0 for name in CONTRASTS]
    if -1 in sides:
        return -1
    return int(ratio is not None and None not in zeros and set(sides) == {1})


def _between(measure: Record) -> str:
    return "" if measure["low"] is None else f"[{number(measure['low'])}, {number(measure['high'])}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How well a warm start verifies, beside how well it solves.

    Example: verified(runs, "sums").easier.value
    """

    balanced: Measure
    """Balanced accuracy on the bank; 1/2 is blind."""
    youden: Measure
    """J, twice that minus 1; 0 is blind."""
    first: Measure
    """Accuracy of first attempts at prompts that it was not shown."""
    num_unshown: int
    """How many prompts these are."""
    easier: Measure
    """J minus accuracy."""
    accept_right: Measure
    """Chance of accepting right states of the bank."""
    accept_wrong: Measure
    """Chance of accepting wrong ones."""


def verified(runs: StudyRuns, cell: str) -> Verified | None:
    """Of a cell; None where the warm start is not measured, or its bank is empty."""
    base = base_more(runs, cell)
    known = [] if base is None else [place for place, chance in enumerate(base["bank"]["accept"]) if chance is not None]
    if base is None or not known:
        return None
    bank = base["bank"]
    correct_B = np.array([bank["correct"][place] for place in known], dtype=bool)
    chance_B = np.array([bank["accept"][place] for place in known], dtype=np.float64)
    rates = bank_metrics(correct_B, chance_B, np.array([bank["prompt"][place] for place in known])).rates
    first, unshown_P = first_unshown(base), unshown(base)
    return Verified(
        balanced=rates.balanced,
        youden=rates.youden,
        first=first,
        num_unshown=int(unshown_P.sum()),
        easier=_apart(rates.youden, first),
        accept_right=rates.accept_right,
        accept_wrong=rates.accept_wrong,
    )


def first_unshown(base: Record) -> Measure:
    """Share of a warm start's first attempts that are right, at the prompts of the base that it was not shown."""
    hits_P, cases_P = hits_and_cases(base["counts"], "first")
    kept_P = unshown(base)
    meaning = "Share of first attempts that are right, at prompts that the warm start was not shown."
    label = Label(name="first attempt right", meaning=meaning, why_none="every prompt of the base was shown to the warm start")
    return share(Ratio(sum_P=hits_P[kept_P], count_P=cases_P[kept_P]), label)


def _apart(one: Measure, other: Measure) -> Measure:
    """one - other, their errors taken to be independent (MOVER without correlation)."""
    meaning = "Youden's J on the bank minus accuracy of first attempts."
    if one.value is None or other.value is None:
        return Measure(name="easier", value=None, why_none=one.why_none or other.why_none, meaning=meaning)
    value = one.value - other.value
    low: float | None = None
    high: float | None = None
    if one.low is not None and one.high is not None and other.low is not None and other.high is not None:
        low = value - math.hypot(one.value - one.low, other.high - other.value)
        high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Measure(name="easier", value=value, low=low, high=high, meaning=meaning)


def verification(runs: StudyRuns) -> Claim:
    """Verification is easier than generation here."""
    found = {cell.name: one for cell in runs.cells if (one := verified(runs, cell.name)) is not None}
    sides = [side(one.easier) for one in found.values()]
    verdict: Agreement = "cannot tell"
    if sides and len(sides) == len(runs.cells) and len(set(sides)) == 1:
        verdict = AGREEMENTS[sides[0]]
    texts = [
        f"{cell}: balanced accuracy on the bank {percent(one.balanced)} (50 % is blind), J "
        f"{percent(one.youden)}; first attempts right {percent(one.first)} ({one.num_unshown} prompts that it was not shown); J minus that "
        f"{percent(one.easier)}"
        for cell, one in found.items()
    ]
    return Claim(
        code="verification-easier",
        says="Verifying an attempt is easier than making a right one, for the warm start.",
        numbers="None: the premise of the setting, not a claim of the paper.",
        ran=f"{len(found)} of {len(runs.cells)} warm starts on a fixed bank of their own attempts, half of them right; bank and first "
        "attempts at prompts that they were not shown",
        found="; ".join(texts) + "." if texts else "No warm start has a bank.",
        verdict=verdict,
        rule="agrees when Youden's J on the bank is surely above the accuracy of first attempts in every cell, disagrees when it is surely "
        "below in every cell; balanced accuracy itself is above most accuracies by guessing",
        would_take="A task whose check is shorter than its search, or a warm start that was shown more checks.",
        paper=OURS,
    )
