"""The nouns of a diagnosis: verdict, advice, curves, histograms, cost, and `Diagnosis`, which holds them all.

`diagnosis.json` is a `Diagnosis` as JSON; the page and the terminal show it and compute nothing.
Left out on purpose: what a single estimate or finding is; those are `records`, for measures speak of them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jominy.records import Finding, Measure, Paper, Skipped

SCHEMA_VERSION = 1
"""Of `diagnosis.json`."""

Fit = Literal["recommended", "fits", "risky", "futile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """How well one training recipe fits, and what decided it.

    Example: Advice(recipe="one_shot", fit="risky", because="pass@16 0.35 [0.27, 0.44] is below 0.4 ...",
                    would_change="pass@16 above 0.8", paper=paper)
    """

    recipe: str
    """grpo, clarity_weighted, one_shot, ..."""
    fit: Fit
    """recommended, fits, risky or futile."""
    because: str
    """The evidence with its interval and the threshold it was held against."""
    would_change: str
    """Which evidence would change the advice."""
    paper: Paper | None = None
    """Who found that this evidence decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A number against which evidence is held. No paper gives them: they are ours, printed with every result, and can be set.

    Example: Threshold(name="strong_pass", value=0.8, meaning="pass@16 at or above this is strong alignment")
    """

    name: str
    """As `--thresholds name=value` takes it."""
    value: float
    """Current value."""
    meaning: str
    """What happens on either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The one-line answer.

    Example: Verdict(value="go", rule="no finding of severity stop or fix", headline="RL has something to work with: ...")
    """

    value: Literal["go", "fix first", "stop"]
    """Spend, change something first, or do not spend."""
    rule: str
    """The rule that fired, with the codes of the findings behind it."""
    headline: str
    """A sentence with the deciding numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A measure along one axis, with its band.

    Example: Curve(name="pass@k", x_name="k", x=(1, 2, 4), value=(0.2, 0.3, 0.4), low=(...), high=(...), num_prompts=(32, 32, 32))
    """

    name: str
    """What is drawn."""
    x_name: str
    """What runs along the axis."""
    x: tuple[float, ...]
    """[K] positions."""
    value: tuple[float, ...]
    """[K] estimates."""
    low: tuple[float | None, ...]
    """[K] lower ends of the 95 % intervals; None where none exists."""
    high: tuple[float | None, ...]
    """[K] upper ends."""
    num_prompts: tuple[int, ...]
    """[K] prompts behind each point."""
    meaning: str = ""
    """One sentence for the reader of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts in bins, one series a class.

    Example: Histogram(name="pass rate", unit="share", edges=(0, 0.5, 1), series={"prompts": (20, 12)})
    """

    name: str
    """What is binned."""
    unit: str
    """Unit of the edges."""
    edges: tuple[float, ...]
    """[B+1] bin edges, increasing."""
    series: Mapping[str, tuple[float, ...]]
    """Name -> [B] counts (of an expected histogram: real numbers)."""
    meaning: str = ""
    """One sentence for the reader of the page."""


Side = Literal["above", "within", "below"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One point a prompt, and the band in which noise alone would put them.

    Example: Cloud(name="silhouette and pass rate", x_name="pass rate", y_name="S", prompts=(0, 3), x=(0.25, 0.5), y=(0.31, -0.02),
                   side=("above", "within"), band_x=(0.25, 0.5), band_mean=(-0.04, 0.0), band_low=(-0.3, -0.1), band_high=(0.3, 0.2))
    """

    name: str
    """What is drawn."""
    x_name: str
    """What runs along the axis."""
    y_name: str
    """What goes up."""
    prompts: tuple[int, ...]
    """[W] positions of the prompts in the table, from 0."""
    x: tuple[float, ...]
    """[W] where each stands."""
    y: tuple[float, ...]
    """[W] its value."""
    side: tuple[Side, ...]
    """[W] where that lies against the 95 % of the prompt's own permuted labels."""
    band_x: tuple[float, ...]
    """[B] positions of the band, ascending."""
    band_mean: tuple[float, ...]
    """[B] mean of noise."""
    band_low: tuple[float, ...]
    """[B] 2.5 % of noise lie below."""
    band_high: tuple[float, ...]
    """[B] 2.5 % of noise lie above."""
    meaning: str = ""
    """One sentence for the reader of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSummary:
    """One prompt's line in a diagnosis.

    Example: PromptSummary(prompt_id="9f2c...", num_scored=16, num_correct=3, silhouette=0.12)
    """

    prompt_id: str
    """`Prompt.id`, or what the log calls it."""
    num_scored: int
    """n."""
    num_correct: int
    """c."""
    silhouette: float | None = None
    """S of 2601.06911; None when the group has one class only or no probabilities."""
    balanced: float | None = None
    """The class-balanced S; None likewise."""
    z: float | None = None
    """(S - mean) / deviation of S under permuted labels of this prompt; None likewise, where permuting changes nothing, and for prompts
    beyond the sample that was permuted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """One task of a mix.

    Example: TaskSummary(task="math:aime24", num_problems=30, num_samples=256, pass_rate=..., passk=(...), coverage=..., ...)
    """

    task: str
    """As the rollouts call it."""
    num_problems: int
    """Its prompts."""
    num_samples: int
    """K: rollouts that at least half of its prompts have."""
    pass_rate: Measure
    """avg@K."""
    passk: tuple[Measure, ...]
    """pass@k for k = 1, 8, 16, 32 ... up to the scored rollouts that at least half of its prompts have; below 8 for 1 and the largest
    power of two."""
    coverage: Measure
    """Share of its prompts on which S is defined."""
    silhouette: Measure
    """Mean S."""
    balanced: Measure
    """Mean of the class-balanced S."""
    truncated: Measure
    """Share of its rollouts that were cut at the token limit."""
    unscored: Measure
    """Share of its rollouts without a reward."""
    null_silhouette: Measure | None = None
    """Mean S under permuted labels, of those of its prompts that were permuted; None in a diagnosis from before there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByTask:
    """The same rollouts task by task.

    Example: ByTask(tasks=(aime24, math500), average=(Measure(name="mean of avg@K over tasks", value=0.28),))
    """

    tasks: tuple[TaskSummary, ...]
    """By name."""
    average: tuple[Measure, ...]
    """Unweighted means over the tasks: of avg@K, then of pass@k for every k that all tasks have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a training run would cost on the machine that was measured.

    Example: Cost(num_steps=100, prompts_per_step=32, rollouts_per_prompt=16, num_tokens=3.1e6, hours=2.4,
                  sampling_tokens_per_s=800.0, scoring_tokens_per_s=900.0, num_live_prompts=18.2, assumption="...")
    """

    num_steps: int
    """Optimiser steps assumed."""
    prompts_per_step: int
    """Groups a step."""
    rollouts_per_prompt: int
    """G."""
    num_tokens: float
    """Sampled tokens in the whole run."""
    hours: float
    """Wall clock on this machine."""
    sampling_tokens_per_s: float
    """Measured while sampling for this diagnosis."""
    scoring_tokens_per_s: float
    """Measured by re-scoring some of the rollouts."""
    assumption: str
    """How the hours follow from the speeds, in words; hours and tokens are an extrapolation and have no interval."""
    num_live_prompts: float
    """Of the prompts of a step, how many are expected to carry a gradient."""
    num_live_prompts_low: float | None = None
    """Lower end of its 95 % interval."""
    num_live_prompts_high: float | None = None
    """Upper end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything `diagnose` found; `diagnosis.json` is this record as JSON.

    Example: see `jominy diagnose --json`.
    """

    source: Mapping[str, Any]
    """What was diagnosed: path, model, task, sampling, seed, device, success threshold."""
    verdict: Verdict
    """The answer."""
    num_prompts: int
    """P."""
    num_rollouts: int
    """N."""
    num_unscored: int
    """Rollouts without a reward, left out everywhere."""
    first_failure: str
    """The first traceback or reason why a rollout is unscored; empty when none is."""
    findings: tuple[Finding, ...]
    """Most severe first."""
    skipped: tuple[Skipped, ...]
    """Checks that could not run."""
    advice: tuple[Advice, ...]
    """The recipe table."""
    measures: tuple[Measure, ...]
    """Every number."""
    curves: tuple[Curve, ...]
    """pass@k over k, live share over G."""
    histograms: tuple[Histogram, ...]
    """Pass rates, probabilities of right and wrong answers, silhouettes."""
    prompts: tuple[PromptSummary, ...]
    """At most 2,000, in the order of the table."""
    thresholds: tuple[Threshold, ...]
    """Ours, as they were set."""
    cost: Cost | None
    """None when nothing was timed."""
    evaluation: tuple[Measure, ...] = ()
    """pass@k and live shares on the prompts of `--eval-task`, under the names that `measures` has; empty where none were sampled."""
    clouds: tuple[Cloud, ...] = ()
    """Silhouettes by prompt and against the pass rate, with what noise gives; empty without probabilities."""
    by_task: ByTask | None = None
    """The same rollouts task by task; None where they are of one task, of more than can be read, or do not say."""

    def to_json(self) -> dict[str, Any]:
        """The content of `diagnosis.json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}
