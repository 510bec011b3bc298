"""From responses that were told one by one to the numbers of an interpretation.

    row -> prompt, right or wrong, code or method, sign of S    ->    Errors and Methods by part, contrasts, agreement

Left out on purpose: reading, asking, writing (`interpreting`); what each number means (`measures.interpretation`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jominy.interpretation import PARTS, Agreement, Confused, Contrast, Errors, Interpretation, Methods, Told
from jominy.judging import Opinion
from jominy.measures.interpretation import (
    ERRORS,
    METHODS,
    OURS,
    agreeing_pairs,
    distinct_ratios,
    mean_share,
    null_of_contrast,
    ratios_of_two,
    share_of,
    sign_contrast,
)
from jominy.records import Bools, Floats, Ints, Measure, Paper, Working
from jominy.rewards.taxonomy import SEVERITIES, TAXONOMY

UNSCORED = "unscored"
MOST_LISTED = 2000
"""Responses that are written down one by one."""
RATIO_OF_TWO = "distinct-solution ratio of two"
"""Name of the measure and of its contrast."""
SEVERITY_MEANING = {
    "high": "Fundamental errors: the approach is wrong.",
    "mid": "Errors of execution: the approach is right, a step is not.",
    "low": "Errors of presentation only.",
}
ORDER_NOTE = "methods are told apart one response after the other, so the ratio depends on their order; it is the order of the run"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signs:
    """The silhouettes of the prompts.

    Example: Signs(silhouette_P=np.array([0.4, -0.1, np.nan]), null_negative_P=np.array([0.5, 0.7, np.nan]))
    """

    silhouette_P: Floats
    """[P] S; NaN where it is undefined."""
    null_negative_P: Floats
    """[P] chance of S < 0 under permuted labels; NaN where S is undefined."""

    def parts(self) -> dict[str, Bools]:
        """[P] the prompts of each of PARTS."""
        negative_P, defined_P = self.silhouette_P < 0, np.isfinite(self.silhouette_P)
        return dict(zip(PARTS, (np.ones_like(defined_P), negative_P, defined_P & ~negative_P, ~defined_P), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sorted:
    """Every response that is right or wrong, and what was told of it.

    Example: Sorted(prompt_N=np.array([0, 0]), texts=("5", "6"), right=[0], wrong=[1], program={0: Working(...), ...}, judge=None)
    """

    prompt_N: Ints
    """[N] number of the prompt of each row."""
    texts: Sequence[str]
    """[N] responses."""
    right: list[int]
    """Rows."""
    wrong: list[int]
    """Rows."""
    program: Mapping[int, Working] | None
    """Row -> what the program sees; every row, or None without a program."""
    judge: Mapping[int, Opinion] | None
    """Row -> what the judge says; the rows that it was asked about, or None without a judge."""

    def codes(self) -> dict[int, str | None]:
        """Wrong row -> its error by whoever decides; None where it could not be told."""
        if self.program is not None:
            return {row: self.program[row].error for row in self.wrong}
        assert self.judge is not None
        return {row: self.judge[row].value for row in self.wrong if row in self.judge}

    def methods(self) -> dict[int, str | None]:
        """Right row -> its method by whoever decides."""
        if self.program is not None:
            return {row: self.program[row].method for row in self.right}
        assert self.judge is not None
        return {row: self.judge[row].value for row in self.right if row in self.judge}


def interpretation_of(
    told: Sorted,
    signs: Signs,
    why_no_signs: str,
    num_unscored: int,
    source: Mapping[str, Any],
    listed: Sequence[Told],
    rng: np.random.Generator,
) -> Interpretation:
    """All numbers of an interpretation.

    Args:
        told: the responses.
        signs: of the prompts.
        why_no_signs: why no prompt has an S; empty where some have.
        num_unscored: rollouts that are neither right nor wrong.
        source: what was interpreted.
        listed: the first MOST_LISTED responses one by one.
        rng: of the null.
    """
    codes, methods, parts = told.codes(), told.methods(), signs.parts()
    counts_PK = _counts(codes, told.prompt_N, len(signs.silhouette_P))
    methods_P = _by_prompt(methods, told.prompt_N, len(signs.silhouette_P))
    ratios_P, of_two_P = distinct_ratios(methods_P), ratios_of_two(methods_P)
    why = why_no_signs or "there are no such errors on prompts with an S"
    return Interpretation(
        source=source,
        by="judge" if told.program is None else "program",
        num_prompts=len(methods_P),
        num_unscored=num_unscored,
        errors=tuple(_errors(part, among_P, codes, counts_PK, told.prompt_N) for part, among_P in parts.items()),
        high_on_negative=_on_negative(
            counts_PK[:, 0],
            signs,
            why,
            name="high-severity errors on S < 0",
            meaning="Share of the fundamental errors that lie on prompts with S < 0.",
            paper=ERRORS,
        ),
        wrong_on_negative=_on_negative(
            counts_PK.sum(axis=1),
            signs,
            why,
            name="all errors on S < 0",
            meaning="The same of all errors: without a tie to the sign of S both are alike.",
            paper=OURS,
        ),
        methods=tuple(_methods(part, among_P, methods, told.prompt_N, ratios_P, of_two_P) for part, among_P in parts.items()),
        contrasts=_contrasts(counts_PK, of_two_P, signs, rng),
        agreement=None if told.program is None or told.judge is None else _agreement(told, told.program, told.judge, len(methods_P)),
        notes=_notes(told, why_no_signs, any_ratio=bool(np.isfinite(ratios_P).any())),
        responses=tuple(listed),
    )


def _on_negative(counts_P: Ints, signs: Signs, why_none: str, *, name: str, meaning: str, paper: Paper) -> Measure:
    """Share of the errors, on prompts with an S, that lie on S < 0."""
    negative_P, defined_P = signs.silhouette_P < 0, np.isfinite(signs.silhouette_P)
    return share_of(counts_P * negative_P, counts_P, defined_P, name=name, meaning=meaning, why_none=why_none, paper=paper)


def _counts(codes: Mapping[int, str | None], prompt_N: Ints, num_prompts: int) -> Ints:
    """[P, severities] errors of each severity."""
    counts_PK = np.zeros((num_prompts, len(SEVERITIES)), dtype=np.int64)
    for row, code in codes.items():
        if code is not None:
            counts_PK[prompt_N[row], SEVERITIES.index(TAXONOMY[code].severity)] += 1
    return counts_PK


def _by_prompt(methods: Mapping[int, str | None], prompt_N: Ints, num_prompts: int) -> list[list[str]]:
    """[P] the methods that could be told."""
    found: list[list[str]] = [[] for _ in range(num_prompts)]
    for row, method in methods.items():
        if method is not None:
            found[prompt_N[row]].append(method)
    return found


def _errors(part: str, among_P: Bools, codes: Mapping[int, str | None], counts_PK: Ints, prompt_N: Ints) -> Errors:
    here = [code for row, code in codes.items() if among_P[prompt_N[row]]]
    counted = Counter(code for code in here if code is not None)
    return Errors(
        part=part,
        num_told=counted.total(),
        num_untold=len(here) - counted.total(),
        codes={code: counted[code] for code in TAXONOMY if counted[code]},
        severities=tuple(
            share_of(
                counts_PK[:, place],
                counts_PK.sum(axis=1),
                among_P,
                name=f"{severity} severity",
                meaning=SEVERITY_MEANING[severity],
                why_none="no wrong response here has an error that could be told",
                paper=ERRORS,
            )
            for place, severity in enumerate(SEVERITIES)
        ),
    )


def _methods(
    part: str,
    among_P: Bools,
    methods: Mapping[int, str | None],
    prompt_N: Ints,
    ratios_P: Floats,
    of_two_P: Floats,
) -> Methods:
    here = [method for row, method in methods.items() if among_P[prompt_N[row]]]
    num_told = sum(method is not None for method in here)
    why = "no prompt here has two right responses whose method could be told"
    return Methods(
        part=part,
        num_told=num_told,
        num_untold=len(here) - num_told,
        ratio=mean_share(
            ratios_P,
            among_P,
            name="distinct-solution ratio",
            meaning="Methods among the right responses of a prompt, divided by their number.",
            why_none=why,
            paper=METHODS,
        ),
        of_two=mean_share(
            of_two_P,
            among_P,
            name=RATIO_OF_TWO,
            meaning="The same expected for two right responses of each prompt: (1 + chance that two differ in method) / 2.",
            why_none=why,
            paper=OURS,
        ),
    )


def _contrasts(counts_PK: Ints, of_two_P: Floats, signs: Signs, rng: np.random.Generator) -> tuple[Contrast, ...]:
    """S < 0 minus S >= 0."""
    told_P = counts_PK.sum(axis=1)
    rows: list[tuple[str, Floats, Ints]] = [
        (f"{severity} severity", np.where(told_P > 0, counts_PK[:, place] / np.maximum(told_P, 1), np.nan), told_P)
        for place, severity in enumerate(SEVERITIES)
    ]
    rows.append((RATIO_OF_TWO, of_two_P, np.ones_like(told_P)))
    negative_P, defined_P = signs.silhouette_P < 0, np.isfinite(signs.silhouette_P)
    contrasts = []
    for name, values_P, weights_P in rows:
        difference = sign_contrast(values_P, weights_P, negative_P, defined_P, name=name, meaning="S < 0 minus S >= 0.")
        null = None
        if difference.value is not None:
            null = null_of_contrast(difference.value, values_P, weights_P, negative_P, signs.null_negative_P, rng)
        contrasts.append(
            Contrast(
                difference=difference,
                null_mean=None if null is None else null.mean,
                null_low=None if null is None else null.low,
                null_high=None if null is None else null.high,
                p_value=None if null is None else null.p_value,
            )
        )
    return tuple(contrasts)


def _agreement(told: Sorted, program: Mapping[int, Working], judge: Mapping[int, Opinion], num_prompts: int) -> Agreement:
    """Over the wrong responses whose error the program tells and the judge was asked; an unscored reply is not the same code."""
    compared = [(row, str(program[row].error), judge[row].value) for row in told.wrong if row in judge and program[row].error is not None]
    confusion = Counter((ours, theirs or UNSCORED) for _, ours, theirs in compared)
    commonest = Counter(ours for _, ours, _ in compared).most_common(1)
    scored = [(row, ours, theirs) for row, ours, theirs in compared if theirs is not None]

    def share(rows: Sequence[tuple[int, bool]], name: str, meaning: str) -> Measure:
        base_P, hits_P = np.zeros((2, num_prompts), dtype=np.int64)
        for row, hit in rows:
            base_P[told.prompt_N[row]] += 1
            hits_P[told.prompt_N[row]] += hit
        why = "the judge told no error that the program tells as well"
        return share_of(hits_P, base_P, np.ones(num_prompts, dtype=bool), name=name, meaning=meaning, why_none=why, paper=OURS)

    severity = [(row, TAXONOMY[ours].severity == TAXONOMY[theirs].severity) for row, ours, theirs in scored]
    guess = [(row, ours == commonest[0][0]) for row, ours, _ in scored]
    return Agreement(
        confusion=tuple(Confused(program=ours, judge=theirs, count=count) for (ours, theirs), count in sorted(confusion.items())),
        measures=(
            share(
                [(row, theirs is not None) for row, _, theirs in compared],
                "replies that name a code",
                "Share of the replies in the form asked for.",
            ),
            share([(row, ours == theirs) for row, ours, theirs in scored], "same code", "Judge and program, where the judge names a code."),
            share(
                guess, "same code by always saying the commonest", "What a judge reaches who reads nothing and knows the commonest code."
            ),
            share(severity, "same severity", "Judge and program name errors of one severity."),
            *_pairs_alike(told, program, judge, num_prompts),
        ),
    )


def _pairs_alike(told: Sorted, program: Mapping[int, Working], judge: Mapping[int, Opinion], num_prompts: int) -> tuple[Measure, ...]:
    """Pairs of right responses of a prompt that both tell apart or both do not (Rand index), and what two judges reach who read nothing.

    Same words need no judge and do not count.
    """
    labels: list[list[tuple[str, str, str]]] = [[] for _ in range(num_prompts)]
    for row in told.right:
        method, opinion = program[row].method, judge.get(row)
        if method is not None and opinion is not None and opinion.value is not None:
            labels[told.prompt_N[row]].append((method, opinion.value, told.texts[row]))
    columns = [list(zip(*found, strict=True)) or [(), (), ()] for found in labels]
    alike = "pairs of right responses told alike"
    said: dict[str, tuple[str, Sequence[Sequence[str]]]] = {
        alike: (
            "Pairs of right responses in other words that both call one method, or both call two.",
            [theirs for _, theirs, _ in columns],
        ),
        f"{alike} by always saying new": ("What a judge reaches who calls every response a new method.", [texts for *_, texts in columns]),
        f"{alike} by always saying same": ("What a judge reaches who calls all one method.", [[""] * len(texts) for *_, texts in columns]),
    }
    measures = []
    for name, (meaning, labels_P) in said.items():
        pairs = [agreeing_pairs(ours, theirs, texts) for (ours, _, texts), theirs in zip(columns, labels_P, strict=True)]
        hits_P, base_P = np.array(pairs).reshape(-1, 2).T
        why = "no prompt has two right responses in other words whose methods both tell"
        everywhere_P = np.ones(num_prompts, dtype=bool)
        measures.append(share_of(hits_P, base_P, everywhere_P, name=name, meaning=meaning, why_none=why, paper=OURS))
    return tuple(measures)


def _notes(told: Sorted, why_no_signs: str, *, any_ratio: bool) -> tuple[str, ...]:
    notes = []
    if why_no_signs:
        notes.append(f"no prompt has a silhouette, so nothing is split by its sign: {why_no_signs}")
    if told.program is None:
        notes.append("a judge told errors and methods, and nothing here measures the judge; it is measured on a task with written steps")
        notes.append(ORDER_NOTE)
    elif told.judge is not None:
        notes.append(f"of the judge's methods: {ORDER_NOTE}")
    if not any_ratio:
        notes.append("no prompt has two right responses whose method could be told, so there is no distinct-solution ratio")
    if why_no_signs == "":
        notes.append(
            "S < 0 happens to most noise, most of all where right answers are few: hold a difference against its null, not against 0"
        )
    return tuple(notes)
