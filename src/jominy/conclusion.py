"""The nouns of a study's conclusion: cells, gains, claims, and the sections and plots in which a study shows what is its own.

`conclusion.json` is a `Conclusion` as JSON, made from `results.json` alone; the README and the page of a study show it and compute nothing.
What every study has is a field here; what one study has is set in tables of text and in plots, so that whoever shows them knows no study.
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
Tone = Literal["", "sure", "good", "stop", "watch", "muted", "code"]
PlotKind = Literal["dots", "scatter", "line"]


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
    check: bool = False
    """Whether it could only come out otherwise if our code were wrong: no evidence, and not counted among the claims."""


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
class Entry:
    """What stands in one place of a table.

    Example: Entry(text="+14.2", tone="sure", rest="[+10.8, +19.1]; 4 of 5 seeds")
    """

    text: str
    """What is read first; a number, a word."""
    tone: Tone = ""
    """sure: bold; good, stop, watch: a verdict in its colour; muted: nothing is there; code: a name as a machine takes it."""
    rest: str = ""
    """What stands behind it without the tone: an interval, a count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of entries under a header.

    Example: Table(caption="Cells of `lab`", header=("arm", "adder, sums"), rows=((Entry(text="random"), Entry(text="+0.3")),))
    """

    header: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[tuple[Entry, ...], ...]
    """As many entries each as the header has names; the first says what the row is of."""
    caption: str = ""
    """What it is of; empty where the section says so."""
    note: str = ""
    """A sentence below it; `code` and **bold** are marked as in Markdown, here as in captions, items and the text of a section."""
    items: tuple[str, ...] = ()
    """A list below the note."""
    folded: bool = False
    """Whether it is detail: the page shows it folded, the README leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A question about the runs, answered by tables.

    Example: Section(code="shares", title="Share of the true reward's gain", tables=(table,))
    """

    code: str
    """Stable kebab-case name; its place on the page."""
    title: str
    """Its heading."""
    text: str = ""
    """What to know before reading the tables, or why there are none."""
    tables: tuple[Table, ...] = ()
    """In their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A number in a plot with its interval.

    Example: Point(label="adder, sums", x=0.97, y=14.2, low=10.8, high=19.1, group="lab", side="strong", text="+14.2 [+10.8, +19.1]")
    """

    label: str
    """What it is of."""
    y: float
    """The number, in the unit of the plot's `y_label`."""
    x: float | None = None
    """Its place in a plot of kind scatter or line."""
    category: str = ""
    """Its place in a plot of kind dots."""
    low: float | None = None
    """Lower end of the interval of y; None where there is none."""
    high: float | None = None
    """Upper end."""
    group: str = ""
    """Points of a group share a symbol; in a plot of kind line also a colour and the line that joins them in the order of x."""
    side: str = ""
    """Points of a side share a colour: strong, weak, unknown, or another."""
    shade: float | None = None
    """Where a figure colours by a number instead: in [0, 1]."""
    text: str = ""
    """The number in words, with its interval."""
    singles: tuple[float, ...] = ()
    """What it is the mean of, such as single seeds; drawn as small strokes where the kind is dots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line to hold points against: a fit, an end of a band.

    Example: Line(label="no effect", x=(0.0, 1.0), y=(0.0, 0.0))
    """

    label: str
    """What it is."""
    x: tuple[float, ...]
    """Its corners."""
    y: tuple[float, ...]
    """The same, as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One of the pictures in a plot; in a figure they share their axes.

    Example: Panel(title="random", subtitle="rho 0.83, p 0.0092", points=(point,))
    """

    title: str
    """What it is of."""
    points: tuple[Point, ...]
    """None: the page says `missing`, a figure leaves the panel out."""
    subtitle: str = ""
    """What to know of it."""
    lines: tuple[Line, ...] = ()
    """Where the kind is not dots."""
    missing: str = ""
    """Why there are no points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Panels of one kind: a file in the README, as many plots as panels on the page.

    Example: Plot(code="gains", section="gains", title="Gains by cell", caption="...", kind="dots", x_label="arm", y_label="gain, points",
                  panels=(panel,))
    """

    code: str
    """Stable kebab-case name; its file is `figures/CODE.svg`."""
    section: str
    """Code of the section in which it stands."""
    title: str
    """Its heading."""
    caption: str
    """What it shows, for those who do not see it too."""
    kind: PlotKind
    """dots: a line a category, y to the right; scatter: y over x; line: the same, points of a group joined."""
    x_label: str
    """Of x or of the categories."""
    y_label: str
    """Of y."""
    panels: tuple[Panel, ...]
    """In their order."""
    intervals: str = ""
    """What `low` and `high` of its points are."""
    shades: str = ""
    """What `shade` of its points is, where a bar of colours is to say so."""
    categories: tuple[str, ...] = ()
    """Their order from the top; those without a point are left out."""
    x_low: float | None = None
    """Where the axis of x begins; None where the points decide."""
    x_high: float | None = None
    """Where it ends."""


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
    claims: tuple[Claim, ...]
    """In the order of the README."""
    stopped: tuple[Stopped, ...]
    """Runs that did not finish as planned."""
    not_planned: tuple[NotPlanned, ...]
    """Arms that the design leaves out of some cells."""
    thresholds: tuple[Threshold, ...]
    """Behind the verdicts; ours."""
    limits: tuple[str, ...]
    """What a careful reader should know before believing it."""
    sections: tuple[Section, ...] = ()
    """What every study shows (base models, gains, how far arms moved the model), then the study's own."""
    plots: tuple[Plot, ...] = ()
    """Each in one of the sections."""

    def to_json(self) -> dict[str, Any]:
        """The content of `conclusion.json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}
