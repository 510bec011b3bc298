"""Did training move attention to the constraints: length-corrected mass, trained minus base, on the same fixed answers, and its controls.

    c_p,lh = A_p,lh(S) / (|S_p| / prompt length)          1: as much as an even look over the prompt alone would give
    c_p    = mean over layers and heads;  change d_p = c_p(trained) - c_p(base)
    beyond the control    e_p = d_p(span) - d_p(control),   and the same with log c in place of c
    permutation test      two-sided; under the null the sign of e_p (or d_p) is a coin toss: span and control (trained and base) swap in p

The plain difference grows with the mass that is there already, so a prompt that is looked at more as a whole moves a well-attended span
more than a dull control; the log difference does not. Believe a change that shows in both. 2601.04954 names attention as the mechanism and
fixes no definition (method sheet, C.3 row 8): all of this is our choice. A change of attention is no proof of cause: `fall_in_pass` says
what happens when the span cannot be seen.
Left out on purpose: tests of single heads; there are hundreds, and nobody has said which.
LIMIT: `heads_moved` thresholds means over prompts, so heads whose mass is noise cross it either way: hold the risen against the fallen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jominy.explanation import Change
from jominy.measures.paired import paired_change
from jominy.records import Floats, Ints, Measure, Paper
from jominy.stats import bootstrap_interval, mean_interval

OURS = Paper(arxiv="2601.04954", title="Precision over Diversity", where="attention analysis; the definition is ours")
RISE = 0.10
"""A head moved when its corrected mass changed by more than this share."""
NUM_PERMUTATIONS = 10_000
UNIT = "times even"

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpanMass:
    """Attention to one kind of span by two models on the same answers.

    Example: SpanMass(name="soft constraints", before_PLH=np.full((32, 30, 9), 0.02), after_PLH=..., share_P=np.full(32, 0.1))
    """

    name: str
    """Of the kind: soft constraints, unseen types, neutral sentence ..."""
    before_PLH: Floats
    """[P, layers, heads] A under the base, a mean over the prompt's answers; NaN where the prompt has no such span."""
    after_PLH: Floats
    """[P, layers, heads] A under the trained model."""
    share_P: Floats
    """[P] |S| / prompt length, in (0, 1]."""

    def __post_init__(self) -> None:
        """Shapes that fit."""
        if self.before_PLH.ndim != 3 or self.before_PLH.shape != self.after_PLH.shape:
            raise ValueError(
                f"before_PLH and after_PLH must both be [P, layers, heads], not {self.before_PLH.shape}, {self.after_PLH.shape}"
            )
        if self.share_P.shape != self.before_PLH.shape[:1] or not (self.share_P[self.present_P] > 0).all():
            raise ValueError(f"share_P must be [{len(self.before_PLH)}] and above 0; got shape {self.share_P.shape}")

    @property
    def present_P(self) -> NDArray[np.bool_]:
        """[P] prompts with such a span."""
        finite_PLH = np.isfinite(self.before_PLH) & np.isfinite(self.after_PLH)
        present: NDArray[np.bool_] = np.logical_and.reduce(finite_PLH, axis=(1, 2))
        return present

    @property
    def corrected(self) -> tuple[Doubles, Doubles]:
        """[P, L, H] c before and after."""
        return self.before_PLH / self.share_P[:, None, None], self.after_PLH / self.share_P[:, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A mean over prompts with its permutation test.

    Example: Tested(mean=Measure(name="...", value=0.2, low=0.1, high=0.3, unit="times even"), p_value=0.0004)
    """

    mean: Measure
    """With its interval over prompts."""
    p_value: float | None
    """Two-sided; None without prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeyondControl:
    """How much more a span gained than its control.

    Example: BeyondControl(plain=Tested(...), relative=Tested(...))
    """

    plain: Tested
    """Of e_p."""
    relative: Tested
    """Of e_p in logs: what a change of attention to the whole prompt by one factor leaves at 0."""


def mean_by_prompt(mass_NLH: Floats, prompt_N: Ints, num_prompts: int) -> Doubles:
    """[P, L, H] means over the answers of each prompt; NaN where there is none.

    >>> mean_by_prompt(np.array([[[1.0]], [[3.0]]]), np.array([1, 1]), 2).ravel()
    array([nan,  2.])
    """
    sums_PLH, count_P = np.zeros((num_prompts, *mass_NLH.shape[1:])), np.bincount(prompt_N, minlength=num_prompts)
    np.add.at(sums_PLH, prompt_N, mass_NLH)
    sums_PLH[count_P == 0] = np.nan
    means: Doubles = sums_PLH / np.maximum(count_P, 1)[:, None, None]
    return means


def mass_change(mass: SpanMass, rng: np.random.Generator) -> tuple[Change, float | None]:
    """Mean corrected mass over all layers and heads before and after, and the p-value of the permutation test of the difference."""
    before_P, after_P = (side.mean((1, 2)) for side in mass.corrected)
    change = paired_change(
        f"attention to {mass.name}",
        before_P,
        after_P,
        unit=UNIT,
        meaning=f"Attention mass on {mass.name}, divided by their share of the prompt's tokens; 1 is an even look over the prompt.",
        why_none=f"no prompt has {mass.name}",
        bounds=(0.0, math.inf),
        paper=OURS,
    )
    return change, sign_flip_test((after_P - before_P)[mass.present_P], rng)


def change_by_layer(mass: SpanMass) -> tuple[Measure, ...]:
    """[L] the change of each layer's mean over heads, first layer first."""
    before_PLH, after_PLH = mass.corrected
    change_PL = (after_PLH - before_PLH).mean(2)
    meaning = f"Change of the layer's attention to {mass.name}, corrected for length."
    return tuple(
        _mean(f"attention to {mass.name}, layer {layer}", change_PL[:, layer], meaning=meaning) for layer in range(change_PL.shape[1])
    )


def heads_moved(mass: SpanMass, rng: np.random.Generator, rise: float = RISE) -> tuple[Measure, Measure]:
    """Shares of heads whose mean corrected mass over prompts rose, and fell, by more than `rise` of what it was.

        risen: after_lh > (1 + rise) before_lh            fallen: before_lh > (1 + rise) after_lh

    Args:
        mass: of the span.
        rng: of the bootstrap over prompts.
        rise: 0.1 is 10 %; at least 0.
    """
    if rise < 0:
        raise ValueError(f"rise must be at least 0, got {rise:g}; both directions are reported anyway")
    present_P = mass.present_P
    num_heads = math.prod(mass.before_PLH.shape[1:])
    before_PM, after_PM = (side[present_P].reshape(-1, num_heads) for side in mass.corrected)
    columns = np.concatenate([before_PM, after_PM], axis=1)

    def risen(means: Doubles) -> Doubles:
        share: Doubles = (means[..., num_heads:] > (1 + rise) * means[..., :num_heads]).mean(-1)
        return share

    def fallen(means: Doubles) -> Doubles:
        share: Doubles = (means[..., :num_heads] > (1 + rise) * means[..., num_heads:]).mean(-1)
        return share

    measures = []
    for word, statistic in (("rose", risen), ("fell", fallen)):
        shell = Measure(
            name=f"heads whose attention to {mass.name} {word}",
            value=None,
            num_prompts=len(columns),
            num_left_out=len(present_P) - len(columns),
            meaning=f"Share of heads whose length-corrected attention to {mass.name} {word} by more than {rise:.0%}.",
            paper=OURS,
        )
        if not len(columns):
            measures.append(replace(shell, why_none="no prompt has such a span"))
            continue
        interval = bootstrap_interval(columns, statistic, rng, bounds=(0.0, 1.0))
        measures.append(replace(shell, value=float(statistic(columns.mean(0))), low=interval.low, high=interval.high))
    return measures[0], measures[1]


def beyond_control(mass: SpanMass, control: SpanMass, rng: np.random.Generator) -> BeyondControl:
    """Change of the span less change of the control, over the prompts that have both.

    Args:
        mass: of the span.
        control: of a neutral sentence or an irrelevant constraint in the same P prompts.
        rng: of the permutation test.
    """
    if mass.before_PLH.shape != control.before_PLH.shape:
        raise ValueError(f"'{mass.name}' and '{control.name}' must come from the same prompts, layers and heads")
    (before_P, after_P), (control_before_P, control_after_P) = [[side.mean((1, 2)) for side in one.corrected] for one in (mass, control)]
    plain_P, relative_P = changes_beyond(before_P, after_P, control_before_P, control_after_P)
    name = f"attention to {mass.name} beyond {control.name}"
    meaning = f"How much more attention to {mass.name} changed than attention to {control.name}, both corrected for length."
    return BeyondControl(
        plain=_tested(name, plain_P, rng, unit=UNIT, meaning=meaning),
        relative=_tested(f"{name}, relative", relative_P, rng, unit="log ratio", meaning=f"{meaning} As a difference of logarithms."),
    )


def changes_beyond(before: Doubles, after: Doubles, control_before: Doubles, control_after: Doubles) -> tuple[Doubles, Doubles]:
    """(e, the same in logs) of corrected masses, in any shape: change of the span less change of the control.

    >>> plain, relative = changes_beyond(np.array([1.0]), np.array([3.0]), np.array([2.0]), np.array([2.0]))
    >>> float(plain[0]), round(float(relative[0]), 4)               # log 3
    (2.0, 1.0986)
    """
    plain: Doubles = (after - before) - (control_after - control_before)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative: Doubles = np.log(after / before) - np.log(control_after / control_before)
    return plain, relative


def fall_in_pass(name: str, open_P: Floats, masked_P: Floats, num_unscored: tuple[int, int] = (0, 0)) -> Change:
    """The causal check: pass rates with a span in sight and hidden, paired by prompt; a fall is a difference below 0.

    To hold it against a control, give as `open_P` the rates with the control hidden.

    Args:
        name: of what is hidden.
        open_P: [P] in [0, 1], NaN where undefined.
        masked_P: [P] of the same prompts.
        num_unscored: responses without a reward, in sight and hidden.
    """
    return paired_change(
        f"pass rate without {name}",
        open_P,
        masked_P,
        unit="share",
        meaning=f"Pass rate when attention to {name} is masked out, against the same draws with it in sight.",
        why_none="no prompt was scored both ways",
        paper=OURS,
        num_unscored=num_unscored,
    )


def sign_flip_test(values_P: Floats, rng: np.random.Generator, num_permutations: int = NUM_PERMUTATIONS) -> float | None:
    """Two-sided chance of a mean at least so far from 0 when each prompt's sign is a coin toss; None without prompts.

    All 2^P signs where there are no more than `num_permutations`; else that many random ones, the observed one counted among them.

    >>> sign_flip_test(np.array([1.0, 2.0, 3.0]), np.random.default_rng(0))     # only +++ and --- of 8
    0.25
    """
    num_prompts = len(values_P)
    if num_prompts == 0:
        return None
    values = values_P.astype(np.float64)
    reached = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if 2**num_prompts <= num_permutations:
        signs = 1 - 2 * (np.arange(2**num_prompts)[:, None] >> np.arange(num_prompts) & 1)
        return float(np.mean(np.abs(signs @ values) >= reached))
    as_far = 0
    for first in range(0, num_permutations, 1000):
        signs = 1 - 2 * rng.integers(0, 2, size=(min(1000, num_permutations - first), num_prompts))
        as_far += int(np.count_nonzero(np.abs(signs @ values) >= reached))
    return (as_far + 1) / (num_permutations + 1)


def _tested(name: str, values_P: Floats, rng: np.random.Generator, *, unit: str, meaning: str) -> Tested:
    """Mean, interval and test over the prompts where it is defined."""
    return Tested(mean=_mean(name, values_P, unit=unit, meaning=meaning), p_value=sign_flip_test(values_P[np.isfinite(values_P)], rng))


def _mean(name: str, values_P: Floats, *, unit: str = UNIT, meaning: str) -> Measure:
    """Over the prompts where it is defined."""
    defined = values_P[np.isfinite(values_P)]
    shell = Measure(
        name=name,
        value=None,
        unit=unit,
        num_prompts=len(defined),
        num_left_out=len(values_P) - len(defined),
        meaning=meaning,
        paper=OURS,
    )
    if not len(defined):
        return replace(shell, why_none="no prompt has such a span")
    interval = mean_interval(defined)
    return replace(shell, value=float(defined.mean()), low=interval.low, high=interval.high)
