"""The nouns of an interpretation: which errors wrong responses make and how many methods right ones take, split by the sign of S.

`interpretation.json` is an `Interpretation` as JSON; the page and the terminal show it and compute nothing.
Left out on purpose: how any of it is estimated (`measures.interpretation`) and who tells errors and methods (`judging`, `tasks.steps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from jominy.records import Measure
from jominy.steplog import read_evaluations
from jominy.store import RunFolder, read_json

SCHEMA_VERSION = 1
"""Of `interpretation.json`."""

PARTS = ("all", "S < 0", "S >= 0", "S undefined")
"""Of the prompts, by the sign of their silhouette."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The errors of the wrong responses of one part of the prompts.

    Example: Errors(part="S < 0", num_told=210, num_untold=3, codes={"E3.1": 150, "E4.2": 60}, severities=(...))
    """

    part: str
    """One of PARTS."""
    num_told: int
    """Wrong responses whose error could be told."""
    num_untold: int
    """Wrong responses whose error could not; in no share."""
    codes: Mapping[str, int]
    """Code of the taxonomy -> responses."""
    severities: tuple[Measure, ...]
    """Shares of high, mid and low severity among the told ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """How many methods the right responses of one part of the prompts take.

    Example: Methods(part="S < 0", num_told=120, num_untold=0, ratio=Measure(value=0.41, ...), of_two=Measure(value=0.55, ...))
    """

    part: str
    """One of PARTS."""
    num_told: int
    """Right responses whose method could be told."""
    num_untold: int
    """Right responses whose method could not; in no ratio."""
    ratio: Measure
    """Distinct-solution ratio: methods / right responses, mean over the prompts with two of them."""
    of_two: Measure
    """The same expected for two right responses of each of these prompts: (1 + chance that two differ in method) / 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """S < 0 minus S >= 0.

    Example: Contrast(difference=Measure(name="high severity", value=0.21, low=0.10, high=0.33), null_mean=0.02, null_low=-0.09,
                      null_high=0.13, p_value=0.001)
    """

    difference: Measure
    """With its interval over prompts."""
    null_mean: float | None
    """Its mean when as many prompts are below 0, by the odds that permuted labels give them; None where there is no such null."""
    null_low: float | None
    """2.5 % quantile of that."""
    null_high: float | None
    """97.5 % quantile."""
    p_value: float | None
    """Two-sided chance of so much under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confused:
    """A cell of the table of judge against program.

    Example: Confused(program="E3.1", judge="E3.2", count=17)
    """

    program: str
    """Code that the program tells."""
    judge: str
    """Code that the judge tells, or `unscored`."""
    count: int
    """Wrong responses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far a judge says what the program says.

    Example: Agreement(confusion=(Confused(program="E3.1", judge="E3.1", count=80),), measures=(Measure(name="same code", value=0.8, ...),))
    """

    confusion: tuple[Confused, ...]
    """Wrong responses that the program could tell, by what both say."""
    measures: tuple[Measure, ...]
    """Same code, same severity, pairs of right responses told alike, and what judges reach who read nothing and always say one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One response, told.

    Example: Told(prompt_id="9f2c...", index=3, right=False, program="E3.1", judge="E3.2", note="47 + 80 = 128")
    """

    prompt_id: str
    """`Prompt.id`."""
    index: int
    """Of the rollout."""
    right: bool
    """Whether it is; then methods are told, else errors."""
    program: str | None
    """Code or method by the program; None where it could not or there is none."""
    judge: str | None
    """Code, or number of the method within the prompt, by the judge; None where it could not or was not asked."""
    note: str
    """Where the error is, or why nothing is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """Everything `interpret` found.

    Example: see `jominy interpret --help`.
    """

    source: Mapping[str, Any]
    """What was interpreted: folder, policy, task, success threshold, seed, judge, responses a prompt that the judge was asked about."""
    by: Literal["program", "judge"]
    """Who told what `errors` and `methods` count."""
    num_prompts: int
    """Prompts of the run."""
    num_unscored: int
    """Rollouts without a reward: neither right nor wrong."""
    errors: tuple[Errors, ...]
    """By PARTS."""
    high_on_negative: Measure
    """Share of the high-severity errors that lie on prompts with S < 0, among prompts with an S."""
    wrong_on_negative: Measure
    """The same of all errors that could be told: what to hold it against."""
    methods: tuple[Methods, ...]
    """By PARTS."""
    contrasts: tuple[Contrast, ...]
    """S < 0 against S >= 0: severities, and the ratio of two."""
    agreement: Agreement | None
    """Judge against program, where both told."""
    notes: tuple[str, ...]
    """What a careful reader should know."""
    responses: tuple[Told, ...]
    """At most 2,000, in the order of the run."""

    def to_json(self) -> dict[str, Any]:
        """The content of `interpretation.json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def stored_interpretations(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """(what it is of, `interpretation.json`) of a run folder, or of the first and the last evaluation of a training folder.

    Raises:
        ValueError: a file is broken; names it.
    """
    found = [(name, RunFolder(one).interpretation_file) for name, one in folders_to_interpret(folder)]
    return [(name, read_json(file)) for name, file in found if file.is_file()]


def folders_to_interpret(folder: Path) -> list[tuple[str, Path]]:
    """The folder itself, or the first and the last evaluation of a training folder, with their names."""
    lines = [line for line in read_evaluations(folder) if isinstance(line.get("folder"), str)]
    ends = lines if len(lines) < 2 else [lines[0], lines[-1]]
    return [(f"step {line['step']}", folder / line["folder"]) for line in ends] or [("", folder)]
