"""Whether the model's own probability tells right answers from wrong ones: the silhouette of 2601.06911 with its controls.

    P = exp(mean_t logp_t)                      the geometric mean of the token probabilities, in (0, 1]       (eq. 1)
    S = mean of s_i over all answers of a prompt, s_i as in `silhouette`                                       (eq. 2-4)
    S' = S where right answers have the higher mean P, else -|S|                                               (rectified)

Where the paper is silent (ours): a class of one and max(a, b) = 0 have s_i = 0 (Rousseeuw, scikit-learn); prompts with one class only
are undefined and counted, which is the coverage. P is at temperature 1, whatever the sampling temperature was.

From prompts to a model (the paper does not say how; ours): S of a model is the plain mean over the prompts that have both classes, each
counting once however many answers it has; beside it stand the median, the share with S > 0 and the mean of S'. The paper's "intra-class
compactness" has no formula either: it is read as the mean |P_i - P_j| of two answers of one class, the mean of their a_i, right and wrong
apart; "inter-class separation" as mean P of right minus mean P of wrong answers.

S is majority-weighted, so pass rate leaks into it, and S < 0 happens to most noise (0.6-0.7 of the time). Hence the controls, also ours:
S balanced over the classes, AUROC, d', S without truncated rollouts (a repetition loop has a very high P), and S under permuted labels.
Permutations are drawn, not solved: s_i is a ratio, and no closed form is known to us for its mean.
Left out on purpose: the weight exp(-beta S'), which is a recipe, and comparing token by token, which is `attribution`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from jominy.groups import Groups
from jominy.measures.shares import share_among
from jominy.measures.silhouette import NO_PROBABILITY, Doubles, PermutedClarity, PromptClarity, permuted_clarity, prompt_clarity
from jominy.records import Bools, Floats, Measure, Paper
from jominy.stats import Interval, bootstrap_interval, mean_interval, median_interval, share_interval

CLARITY = Paper(arxiv="2601.06911", title="Distributional Clarity", where="eq. 1-4")
READING = Paper(arxiv="", title="our reading of 2601.06911")
CONTROL = Paper(arxiv="", title="our control of 2601.06911")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clarity:
    """What the probabilities of right and wrong answers say about a model on a prompt set.

    Example: measure_clarity(groups, rng).silhouette.value      # 0.31
    """

    coverage: Measure
    """Share of the prompts that have right and wrong answers; all else is over these."""
    silhouette: Measure
    """Mean S."""
    median: Measure
    """Median S."""
    positive: Measure
    """Share of the prompts with S > 0."""
    negative: Measure
    """Share of the prompts with S < 0; read it beside `null_negative`."""
    rectified: Measure
    """Mean S'."""
    balanced: Measure
    """Mean of the class-balanced S."""
    separation: Measure
    """Mean of (mean P of right - mean P of wrong answers), in probability."""
    spread_right: Measure
    """Mean over prompts of the mean |P_i - P_j| of two right answers: the smaller, the more compact."""
    spread_wrong: Measure
    """The same of two wrong answers."""
    auroc: Measure
    """Mean chance that a right answer is more probable than a wrong one; 0.5 is chance."""
    dprime: Measure
    """Median d' in standard deviations."""
    pass_rate_correlation: Measure
    """Pearson correlation of S and pass rate over prompts."""
    balanced_correlation: Measure
    """The same for the class-balanced S: the part of the correlation that is not class balance."""
    two_of_each: Measure
    """Mean S of the prompts with two right and two wrong answers at least: without the classes of one, whose s_i is 0 by convention."""
    untruncated: Measure
    """Mean S without truncated rollouts."""
    null_silhouette: Measure
    """Mean S under permuted labels: what noise alone gives at these class sizes."""
    null_negative: Measure
    """Share of S < 0 under permuted labels."""
    excess: Measure
    """Mean of S minus its own null mean."""
    pooled_z: Measure
    """sum(S - null mean) / sqrt(sum null variance): about standard normal when labels and probabilities are unrelated."""
    without_probability: Measure
    """Share of the scored rollouts that are left out because their probability is unknown."""
    per_prompt: PromptClarity
    """The same numbers prompt by prompt."""
    permuted: PermutedClarity
    """The permutation null prompt by prompt, on at most `max_prompts` prompts."""
    num_without_probability: int
    """Scored rollouts left out because their probability is unknown."""
    num_permutations: int
    """Permutations drawn for each prompt."""


def measure_clarity(
    groups: Groups, rng: np.random.Generator, *, min_class_size: int = 1, num_permutations: int = 200, max_prompts: int = 1024
) -> Clarity:
    """Silhouette, controls and permutation null of a prompt set, with 95 % intervals over prompts.

    Args:
        groups: P prompts with `probability_N`; rollouts that are unscored or lack a probability are ignored and counted.
        rng: source of permutations and bootstrap resamples.
        min_class_size: prompts with fewer right or fewer wrong answers are left out; 1 as in the paper, 2 drops the classes whose
            s_i is 0 by convention.
        num_permutations: label permutations for each prompt.
        max_prompts: the permutation null uses at most so many prompts, drawn at random; `Clarity.permuted` says how many.

    Returns:
        Measures whose value is None, with the reason, when no prompt has right and wrong answers.

    Raises:
        ValueError: there is no column of probabilities, or one outside [0, 1].

    >>> measure_clarity(Groups.of(rewards=[[1, 1, 0, 0]], probability=[[0.9, 0.9, 0.1, 0.1]]), np.random.default_rng(0)).silhouette.value
    1.0
    """
    if min_class_size < 1:
        raise ValueError(f"min_class_size must be at least 1, got {min_class_size}")
    if groups.probability_N is None:
        raise ValueError(NO_PROBABILITY)
    known_N = np.isfinite(groups.probability_N)
    keep_N = groups.scored_N & known_N
    prompts = prompt_clarity(groups, keep_N, min_class_size=min_class_size)
    permuted = permuted_clarity(groups, keep_N, prompts, rng, num_permutations=num_permutations, max_prompts=max_prompts)
    maker = _Maker(num_all=groups.num_prompts, num_unscored=groups.num_unscored, min_class_size=min_class_size)
    silhouette_V, pass_rate_V = prompts.silhouette_V, prompts.pass_rate_V
    return Clarity(
        coverage=_coverage(len(silhouette_V), maker),
        silhouette=maker.mean("silhouette", silhouette_V),
        median=maker.median("median silhouette", silhouette_V, unit="S"),
        positive=maker.share("share with S > 0", silhouette_V > 0),
        negative=maker.share("share with S < 0", silhouette_V < 0),
        rectified=maker.mean("rectified silhouette", prompts.rectified_V),
        balanced=maker.mean("balanced silhouette", prompts.balanced_V),
        separation=maker.mean("separation", prompts.separation_V, unit="probability"),
        spread_right=_spread("right", prompts.spread_right_V, maker),
        spread_wrong=_spread("wrong", prompts.spread_wrong_V, maker),
        auroc=maker.mean("AUROC", prompts.auroc_V, unit="probability", bounds=(0.0, 1.0)),
        dprime=_dprime(prompts, maker),
        pass_rate_correlation=_correlation("correlation of S with pass rate", silhouette_V, pass_rate_V, rng, maker),
        balanced_correlation=_correlation("correlation of balanced S with pass rate", prompts.balanced_V, pass_rate_V, rng, maker),
        two_of_each=_two_of_each(groups, keep_N, prompts, maker),
        untruncated=_untruncated(groups, keep_N, maker),
        null_silhouette=maker.mean("silhouette of permuted labels", permuted.null_mean_W),
        null_negative=maker.mean("share with S < 0 under permuted labels", permuted.null_negative_W, unit="share", bounds=(0.0, 1.0)),
        # S and its null mean both lie in [-1, 1], so their difference can leave it: S = 1 above a null of -0.12.
        excess=maker.mean("silhouette above permuted labels", permuted.silhouette_W - permuted.null_mean_W, bounds=(-2.0, 2.0)),
        pooled_z=_pooled_z(permuted, maker),
        without_probability=_without_probability(groups, known_N),
        per_prompt=prompts,
        permuted=permuted,
        num_without_probability=int(np.count_nonzero(groups.scored_N & ~known_N)),
        num_permutations=num_permutations,
    )


_MEANING = {
    "clarity coverage": "Share of the prompts that have right and wrong answers, on which the silhouette exists.",
    "silhouette": "How well probability tells right answers from wrong ones: 1 fully, 0 not at all, below 0 mixed up. "
    "The mean over the prompts that have both, each counting once.",
    "median silhouette": "The silhouette of the middle prompt.",
    "share with S > 0": "Prompts whose right and wrong answers lie apart in probability.",
    "share with S < 0": "Prompts below zero; most of pure noise is, too: compare with permuted labels.",
    "rectified silhouette": "The mean over prompts of the silhouette made negative wherever wrong answers are the more probable ones.",
    "balanced silhouette": "The silhouette with right and wrong answers weighing the same.",
    "separation": "Mean probability of right answers minus that of wrong ones.",
    "spread of right answers": "How far two right answers of a prompt lie apart in probability: small is compact.",
    "spread of wrong answers": "How far two wrong answers of a prompt lie apart in probability.",
    "AUROC": "Chance that a right answer is more probable than a wrong one; one half is chance.",
    "d'": "Separation of the middle prompt in standard deviations, where both classes have spread.",
    "correlation of S with pass rate": "Pearson correlation over prompts; part of it is class balance, not skill.",
    "correlation of balanced S with pass rate": "The same without the class balance.",
    "silhouette, two of each class": "The silhouette of the prompts with two right and two wrong answers at least: of a single answer the "
    "spread is unknown, and the paper counts it as 0.",
    "silhouette without truncated rollouts": "The silhouette of finished answers only: a repetition loop can be probable.",
    "share without a probability": "Scored rollouts that clarity leaves out because their probability at temperature 1 is unknown; if the "
    "answer decides which these are, S is that of the others only.",
    "silhouette of permuted labels": "What noise alone gives at these class sizes.",
    "share with S < 0 under permuted labels": "How often noise alone is below zero: what to hold the observed share against.",
    "silhouette above permuted labels": "The part of the silhouette that is not noise.",
    "pooled permutation z": "How far all silhouettes together lie above permuted labels; beyond 2 is more than noise. "
    "A test statistic: it has no interval.",
}
"""One sentence a measure, for the reader of the page."""

_PAPERS = {
    "silhouette": CLARITY,
    "median silhouette": CLARITY,
    "share with S > 0": CLARITY,
    "share with S < 0": CLARITY,
    "rectified silhouette": CLARITY,
    "separation": READING,
    "spread of right answers": READING,
    "spread of wrong answers": READING,
    "correlation of S with pass rate": CLARITY,
}
"""Measures that the paper has, or names without a formula; the others are our controls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Makes the measures of one prompt set, so that all of them count alike."""

    num_all: int
    num_unscored: int
    min_class_size: int

    def shell(self, name: str, num_used: int, *, unit: str) -> Measure:
        """A measure without a value yet."""
        least = self.min_class_size
        needed = "right and wrong answers" if least == 1 else f"{least} right and {least} wrong answers"
        return Measure(
            name=name,
            value=None,
            unit=unit,
            num_prompts=num_used,
            num_unscored=self.num_unscored,
            num_left_out=self.num_all - num_used,
            why_none=f"no prompt has {needed} with known probabilities" if num_used == 0 else "",
            meaning=_MEANING[name],
            paper=_PAPERS.get(name, CONTROL),
        )

    def filled(self, shell: Measure, value: float, interval: Interval) -> Measure:
        """The measure with its number."""
        return replace(shell, value=value, low=interval.low, high=interval.high)

    def mean(self, name: str, values_V: Floats, *, unit: str = "S", bounds: tuple[float, float] = (-1.0, 1.0)) -> Measure:
        """The mean over prompts of values within the bounds; where there is no spread at all, the interval of as many 0/1 values."""
        shell = self.shell(name, len(values_V), unit=unit)
        if len(values_V) == 0:
            return shell
        interval = mean_interval(values_V, bounds=bounds)
        if interval.low is None or interval.high is None:
            lowest, width = bounds[0], bounds[1] - bounds[0]
            unit_interval = share_interval(np.clip((values_V - lowest) / width, 0.0, 1.0))
            if unit_interval.low is not None and unit_interval.high is not None:
                interval = Interval(low=lowest + width * unit_interval.low, high=lowest + width * unit_interval.high)
        return self.filled(shell, float(values_V.mean()), interval)

    def median(self, name: str, values_V: Floats, *, unit: str) -> Measure:
        """The median over prompts."""
        shell = self.shell(name, len(values_V), unit=unit)
        return shell if len(values_V) == 0 else self.filled(shell, float(np.median(values_V)), median_interval(values_V))

    def share(self, name: str, held_V: Bools) -> Measure:
        """A share of prompts."""
        shell = self.shell(name, len(held_V), unit="share")
        return shell if len(held_V) == 0 else self.filled(shell, float(held_V.mean()), share_interval(held_V.astype(np.float64)))


def _coverage(num_defined: int, maker: _Maker) -> Measure:
    """Over all prompts, so nothing is left out."""
    shell = replace(maker.shell("clarity coverage", maker.num_all, unit="share"), num_left_out=0)
    if maker.num_all == 0:
        return replace(shell, why_none="there are no prompts")
    counts = np.array([maker.num_all - num_defined, num_defined])
    return maker.filled(shell, num_defined / maker.num_all, share_interval(np.array([0.0, 1.0]), counts))


def _dprime(prompts: PromptClarity, maker: _Maker) -> Measure:
    defined_D = prompts.dprime_V[np.isfinite(prompts.dprime_V)]
    measure = maker.median("d'", defined_D, unit="standard deviations")
    if len(defined_D) == 0 and len(prompts.dprime_V) > 0:
        return replace(measure, why_none="no prompt has two right and two wrong answers whose probabilities differ")
    return measure


def _spread(which: str, spread_V: Doubles, maker: _Maker) -> Measure:
    """Over the prompts with two answers of the class at least."""
    defined_D = spread_V[np.isfinite(spread_V)]
    measure = maker.mean(f"spread of {which} answers", defined_D, unit="probability", bounds=(0.0, 1.0))
    if len(defined_D) == 0 and len(spread_V) > 0:
        return replace(measure, why_none=f"no prompt with right and wrong answers has two {which} ones")
    return measure


def _two_of_each(groups: Groups, keep_N: Bools, prompts: PromptClarity, maker: _Maker) -> Measure:
    fewest_P = np.minimum(groups.count_P(keep_N & groups.correct_N), groups.count_P(keep_N & ~groups.correct_N))
    measure = maker.mean("silhouette, two of each class", prompts.silhouette_V[fewest_P[prompts.prompts_V] >= 2])
    return measure if measure.value is not None else replace(measure, why_none="no prompt has two right and two wrong answers")


def _without_probability(groups: Groups, known_N: Bools) -> Measure:
    name = "share without a probability"
    why = "no rollout is scored"
    return share_among(groups, ~known_N, groups.scored_N, name=name, meaning=_MEANING[name], why_none=why, paper=CONTROL)


def _untruncated(groups: Groups, keep_N: Bools, maker: _Maker) -> Measure:
    if groups.truncated_N is None:
        shell = maker.shell("silhouette without truncated rollouts", 0, unit="S")
        return replace(shell, why_none="the rollouts have no column `truncated`")
    finished = prompt_clarity(groups, keep_N & ~groups.truncated_N, min_class_size=maker.min_class_size)
    return maker.mean("silhouette without truncated rollouts", finished.silhouette_V)


def _pooled_z(permuted: PermutedClarity, maker: _Maker) -> Measure:
    shell = maker.shell("pooled permutation z", len(permuted.prompts_W), unit="z")
    if shell.num_prompts == 0:
        return shell
    spread = math.sqrt(float((permuted.null_deviation_W**2).sum()))
    if spread <= 0:
        return replace(shell, why_none="permuting labels changes no silhouette: all probabilities are equal")
    return replace(shell, value=float((permuted.silhouette_W - permuted.null_mean_W).sum()) / spread)


def pearson(means: Doubles) -> Doubles:
    """Correlation from [..., 5] means of x, y, x^2, y^2 and xy; NaN where one of them has no spread."""
    x, y, xx, yy, xy = np.moveaxis(means, -1, 0)
    spread = np.maximum(xx - x**2, 0.0) * np.maximum(yy - y**2, 0.0)
    defined = spread > 1e-24
    return np.where(defined, np.clip((xy - x * y) / np.sqrt(np.where(defined, spread, 1.0)), -1.0, 1.0), np.nan)


def _correlation(name: str, x_V: Floats, y_V: Floats, rng: np.random.Generator, maker: _Maker) -> Measure:
    shell = maker.shell(name, len(x_V), unit="correlation")
    if len(x_V) == 0:
        return shell
    if len(x_V) < 3:
        return replace(shell, why_none="a correlation needs three prompts with right and wrong answers")
    columns_V5 = np.stack([x_V, y_V, x_V**2, y_V**2, x_V * y_V], axis=1)
    value = float(pearson(columns_V5.mean(axis=0)))
    if not math.isfinite(value):
        return replace(shell, why_none="all silhouettes or all pass rates are equal")
    return maker.filled(shell, value, bootstrap_interval(columns_V5, pearson, rng, bounds=(-1.0, 1.0)))
