"""How much of pass@k is form: the same prompts judged strictly, leniently, and with solved examples in front.

    strict      the reward, paid only in the form that the prompt asks for
    lenient     right by the strict judgement, or by the best rule there is for finding the answer anywhere in the same texts
    few-shot    strict, of new responses to the same prompts behind solved examples

    format gap at pass@k = mean over prompts of lenient_p - strict_p;        few-shot gain = mean of few-shot_p - strict_p

A model that is often right in the wrong form has a format gap, and the first thing that any reward gated by form teaches is the form
(2508.21188 measures strictly only; keeping both apart is ours). What is strictly right is leniently right, so the gap is a mean of values
in [0, 1] and has the score interval of a share; the few-shot gain can have either sign and has the paired interval of `measures.paired`.
Left out: judging texts (`rewards.forms`) and drawing them (`probing`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jominy.measures.paired import difference_interval
from jominy.measures.passk import pass_at_k
from jominy.records import Ints, Measure, Paper
from jominy.stats import Interval, share_interval

MIRAGE = Paper(arxiv="2508.21188", title="Mirage or Method?", where="pass@k; format against extraction is ours")
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatGap:
    """pass@k by form, and the gaps.

    Example: measure_format_gap((1, 16), num_P, strict_P, lenient_P, None, why_no_lenient="").gap[0].value
    """

    strict: tuple[Measure, ...]
    """[K] pass@k in the form that is asked for."""
    lenient: tuple[Measure, ...]
    """[K] pass@k of the answer wherever it stands; undefined, with the reason, where the task has no lenient grader."""
    gap: tuple[Measure, ...]
    """[K] lenient minus strict."""
    few_shot: tuple[Measure, ...]
    """[K] strict pass@k behind solved examples; undefined where that was not sampled."""
    gain: tuple[Measure, ...]
    """[K] few-shot minus strict."""

    def measures(self) -> tuple[Measure, ...]:
        """All of them, those that say nothing left out."""
        columns = (self.strict, self.lenient, self.gap, self.few_shot, self.gain)
        return tuple(measure for column in columns for measure in column if measure.value is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counts:
    """How often each prompt was right.

    Example: Counts(num_scored_P=np.array([4, 4]), num_right_P=np.array([1, 0]))
    """

    num_scored_P: Ints
    """[P] judged responses n; 0 where there are none."""
    num_right_P: Ints
    """[P] right ones, 0 <= c <= n."""

    def pass_at(self, k: int) -> Doubles:
        """[P] unbiased pass@k; NaN where n < k."""
        enough_P = self.num_scored_P >= k
        passed_P = np.full(len(enough_P), np.nan)
        if enough_P.any():
            passed_P[enough_P] = pass_at_k(self.num_right_P[enough_P], self.num_scored_P[enough_P], k)
        return passed_P


def measure_format_gap(
    ks: Sequence[int], strict: Counts, lenient: Counts | None, few_shot: Counts | None, *, why_no_lenient: str, why_no_few_shot: str
) -> FormatGap:
    """pass@k by form on the same prompts.

    Args:
        ks: which k, ascending.
        strict: [P] prompts of the run.
        lenient: of the same responses, so nowhere fewer right ones; None where the task cannot be graded so.
        few_shot: of other responses to the same prompts, in the same order; None where there are none.
        why_no_lenient: what to say then.
        why_no_few_shot: what to say then.
    """
    if lenient is not None and np.any(lenient.num_right_P < strict.num_right_P):
        raise ValueError("what is strictly right is leniently right: no prompt can have fewer lenient than strict right answers")
    strict_KP = [strict.pass_at(k) for k in ks]
    nothing = np.full(len(strict.num_scored_P), np.nan)
    lenient_KP = [nothing if lenient is None else lenient.pass_at(k) for k in ks]
    few_KP = [nothing if few_shot is None else few_shot.pass_at(k) for k in ks]
    small = "no prompt has as many judged responses"
    whys = (small if lenient is not None else why_no_lenient, small if few_shot is not None else why_no_few_shot)
    pairs = [(k, strict_P, lenient_P, few_P) for k, strict_P, lenient_P, few_P in zip(ks, strict_KP, lenient_KP, few_KP, strict=True)]
    return FormatGap(
        strict=tuple(_level(f"strict pass@{k}", strict_P, small, "in the form that the prompt asks for") for k, strict_P, _, _ in pairs),
        lenient=tuple(_level(f"lenient pass@{k}", lenient_P, whys[0], "of the answer wherever it stands") for k, _, lenient_P, _ in pairs),
        gap=tuple(_gap(k, strict_P, lenient_P, whys[0]) for k, strict_P, lenient_P, _ in pairs),
        few_shot=tuple(_level(f"few-shot pass@{k}", few_P, whys[1], "in that form, behind solved examples") for k, _, _, few_P in pairs),
        gain=tuple(_gain(k, strict_P, few_P, whys[1]) for k, strict_P, _, few_P in pairs),
    )


def _level(name: str, passed_P: Doubles, why_none: str, how: str) -> Measure:
    values = passed_P[np.isfinite(passed_P)]
    k = name.rpartition("@")[2]
    meaning = f"Chance that at least one of {k} responses is right {how}."
    return _mean(name, values, len(passed_P), share_interval(values), why_none, meaning)


def _gap(k: int, strict_P: Doubles, lenient_P: Doubles, why_none: str) -> Measure:
    differences = lenient_P - strict_P
    values = differences[np.isfinite(differences)]
    meaning = f"Lenient minus strict pass@{k}, each prompt against itself: what is lost by form alone."
    return _mean(f"format gap at pass@{k}", values, len(differences), share_interval(values), why_none, meaning)


def _gain(k: int, strict_P: Doubles, few_P: Doubles, why_none: str) -> Measure:
    differences = few_P - strict_P
    values = differences[np.isfinite(differences)]
    meaning = f"Strict pass@{k} with solved examples in front minus without, each prompt against itself."
    return _mean(f"few-shot gain at pass@{k}", values, len(differences), difference_interval(values), why_none, meaning)


def _mean(name: str, values: Doubles, num_all: int, interval: Interval, why_none: str, meaning: str) -> Measure:
    used = len(values)
    value = math.fsum(values) / used if used else None
    return Measure(
        name=name,
        value=value,
        low=interval.low if used else None,
        high=interval.high if used else None,
        num_prompts=used,
        num_left_out=num_all - used,
        why_none="" if used else why_none,
        meaning=meaning,
        paper=MIRAGE,
    )
