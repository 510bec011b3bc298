"""The nouns of a study's conclusion: cells, gains, shares of the true gain, rank correlations, claims, and whether advice was right.

`conclusion.json` is a `Conclusion` as JSON, made from `results.json` alone; the README and the page of a study show it and compute nothing.
Left out on purpose: how any of it is estimated (`studies.gains`) and judged (each study's claims).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jominy.records import Measure, Paper
from jominy.results import Threshold

SCHEMA_VERSION = 1
"""Of `conclusion.json`."""

Agreement = Literal["agrees", "disagrees", "cannot tell"]
Outcome = Literal["worked", "did not", "open"]
Judged = Literal["right", "wrong", "open", "not judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellBase:
    """A cell before training: a model on a task, and how much it can already do.

    Example: CellBase(name="adder, sums", group="lab", model="adder", task="arithmetic:digits=2", num_seeds=5, strength="strong",
                      measures=(...), advice={"grpo": "recommended"})
    """

    name: str
    """What tables call it."""
    group: str
    """Cells of a group share their settings."""
    model: str
    """What tables call the model."""
    task: str
    """As `--task` takes it."""
    num_seeds: int
    """Runs of each arm that the design asks for."""
    strength: str
    """Side of our thresholds on which the interval of pass@16 lies: strong, weak, undecided or unknown."""
    measures: tuple[Measure, ...]
    """pass@1, pass@16, live share at the group size of the runs, share in form, format gap; undefined where the base was not measured."""
    advice: Mapping[str, str]
    """Recipe -> what `diagnose` says of it here; empty where the base was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTitle:
    """A way of training, as tables call it.

    Example: ArmTitle(name="random", title="random reward", family="spurious")
    """

    name: str
    """Of results."""
    title: str
    """As a person would say it."""
    family: str
    """true, spurious, one_shot or sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What an arm gained in a cell on held-out prompts.

    Example: Gain(cell="adder, sums", arm="random", measure=Measure(value=0.21, low=0.12, ...), seeds=(0, 1), per_seed=(0.2, 0.22))
    """

    cell: str
    """Name of the cell."""
    arm: str
    """Name of the arm."""
    measure: Measure
    """Mean of after minus before over seeds and prompts, in pass@1."""
    seeds: tuple[int, ...]
    """Seeds that entered."""
    per_seed: tuple[float, ...]
    """The same for each of them."""
    num_no_gradient: int = 0
    """Of them, runs in which no step had a live group: their gain is 0 by construction."""
    num_stopped: int = 0
    """Runs that exploded and are left out: they have no "after"."""
    num_no_example: int = 0
    """Runs that were never begun, as their rule found no example to train on; left out too."""
    kl_nats: float | None = None
    """Mean over the seeds of the last KL to the start, a token; a run without gradient never left it. None: none logged it."""
    unique_live_prompts: float | None = None
    """Mean over the runs of how many different prompts ever carried a gradient; None where no run logged it."""
    first_live_step: float | None = None
    """Mean first step with a live group over the runs that had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareOfTruth:
    """How much of the true reward's gain an arm reaches, in a cell or pooled over the cells of a side.

    Example: ShareOfTruth(arm="random", where="strong", pooled=True, cells=("adder, sums",), measure=..., gain=...)
    """

    arm: str
    """Name of the arm."""
    where: str
    """Name of the cell, or the side: strong or weak."""
    pooled: bool
    """Whether `where` is a side."""
    cells: tuple[str, ...]
    """Cells that entered: those where both arms have runs."""
    measure: Measure
    """Ratio of the mean gains; undefined where the true reward's gain is not surely above 0."""
    gain: Measure
    """The arm's mean gain over the same cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A number of the paper, to stand beside ours.

    Example: Reported(arm="random", side="strong", setting="Qwen, MATH500", base=40.8, truth=71.0, after=57.5, share=0.553)
    """

    arm: str
    """The arm of ours that it compares with."""
    side: str
    """strong or weak, as the paper calls it."""
    setting: str
    """Model and benchmark."""
    base: float
    """Accuracy in per cent before training."""
    truth: float
    """After training with the correct reward."""
    after: float
    """After training with the trick."""
    share: float
    """(after - base) / (truth - base)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Whether cells with a higher pass@16 gain more, for one arm.

    Example: Correlation(arm="random", measure=Measure(value=0.9, ...), p_value=0.03, cells=("adder, sums", ...), arms=("random",))
    """

    arm: str
    """Name of the arm, or `tricks`: the mean over them."""
    measure: Measure
    """Spearman's rank correlation over cells; undefined below four."""
    p_value: float | None
    """Two-sided, by permuting cells; None where the correlation is undefined."""
    cells: tuple[str, ...]
    """Cells that entered."""
    arms: tuple[str, ...]
    """Arms that entered: the arm itself, or those tricks that all of the cells have."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim of a paper, what we ran, what we found, and whether that agrees.

    Example: Claim(code="true-reward", says="Standard RL works everywhere.", numbers="...", ran="...", found="...", verdict="agrees",
                   rule="...", would_take="...", paper=paper)
    """

    code: str
    """Stable kebab-case name."""
    says: str
    """The claim."""
    numbers: str
    """The paper's own numbers for it."""
    ran: str
    """What we ran to test it."""
    found: str
    """A sentence made from our numbers with their intervals."""
    verdict: Agreement
    """By the rule alone."""
    rule: str
    """The rule, with its thresholds."""
    would_take: str
    """What it would take to decide it, or to see the effect."""
    paper: Paper
    """Whose claim it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Runs of a pair that did not finish as planned, for one reason.

    Example: Stopped(cell="speller, sums", arm="random", seeds=(0, 2), status="no gradient", why="all groups alike in 30 steps")
    """

    cell: str
    """Name of the cell."""
    arm: str
    """Name of the arm."""
    seeds: tuple[int, ...]
    """Of these runs."""
    status: str
    """no gradient, exploded, or no example."""
    why: str
    """In words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPlanned:
    """An arm that the design leaves out of some cells.

    Example: NotPlanned(arm="majority", cells=("smollm2, title",), why="the task extracts no answer that could be voted on")
    """

    arm: str
    """Name of the arm."""
    cells: tuple[str, ...]
    """Names of the cells."""
    why: str
    """In words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A machine with its versions, and how many runs were made there.

    Example: Surroundings(facts={"python": "3.11.0"}, num_runs=375)
    """

    facts: Mapping[str, Any]
    """Python, platform, versions."""
    num_runs: int
    """Runs made there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """Everything that a study says; `conclusion.json` is this record as JSON.

    Example: conclude(read_json(folder / "results.json")).claims[0].verdict
    """

    study: str
    """Name of the study."""
    title: str
    """What it asks."""
    scale: str
    """smoke or full."""
    created: str
    """When it was run, ISO 8601."""
    paper: Paper
    """Whose claims are tested."""
    seeds: tuple[int, ...]
    """Of all cells together."""
    settings: Mapping[str, Any]
    """By group of cells."""
    environments: tuple[Surroundings, ...]
    """Machines and versions; several where the study was gone on with elsewhere."""
    num_planned: int
    """Runs that the design asks for."""
    num_finished: int
    """Runs with an "after", also those that had no gradient."""
    num_no_gradient: int
    """Of them, runs whose weights never moved."""
    num_exploded: int
    """Runs that ended in numbers that are none."""
    num_no_example: int
    """Runs that were never begun: no example to train on."""
    seconds: float
    """Run time of all runs added up."""
    cpu_seconds: float | None
    """CPU time of all runs added up; None where a run did not log it."""
    cells: tuple[CellBase, ...]
    """In the order of the tables."""
    arms: tuple[ArmTitle, ...]
    """In the order of the tables."""
    gains: tuple[Gain, ...]
    """One a cell and arm with runs."""
    shares: tuple[ShareOfTruth, ...]
    """By cell, and pooled over strong and weak cells."""
    reported: tuple[Reported, ...]
    """The paper's numbers."""
    correlations: tuple[Correlation, ...]
    """One an arm, then the mean over the tricks."""
    claims: tuple[Claim, ...]
    """In the order of the README."""
    followed: tuple[Followed, ...]
    """Advice against outcome."""
    stopped: tuple[Stopped, ...]
    """Runs that did not finish as planned."""
    not_planned: tuple[NotPlanned, ...]
    """Arms that the design leaves out of some cells."""
    thresholds: tuple[Threshold, ...]
    """Behind the verdicts; ours."""
    limits: tuple[str, ...]
    """What a careful reader should know before believing it."""

    def to_json(self) -> dict[str, Any]:
        """The content of `conclusion.json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}
