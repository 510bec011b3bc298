"""What 2601.06911 says, in its own numbers, our thresholds, and what should be known before our runs are held against it.

Its full text was not at hand: numbers are those of a digest whose averages recompute. Left out: its benchmarks one by one.
"""

from __future__ import annotations

from jominy.records import Paper
from jominy.results import Threshold

TITLE = "Does clarity say what RL gains, and does weighting by it help?"
OURS = Paper(arxiv="", title="our control of 2601.06911")

P_SURE = 0.05
SMALLEST = 0.009
"""The smallest average gain of the paper: 0.9 points."""
FEWEST_SEEDS = 3
SAME_RATE, APART = 0.03, 0.1
"""Models of one pass rate that differ in S: the most and the least that they differ by."""
NAMES = {"silhouette": "S", "balanced": "class-balanced S"}
PRIMARY = ("predicts", "matched", "weighting")
"""Codes of the claims that the study is about, named before it was run."""
THRESHOLDS = (
    Threshold(name="p_sure", value=P_SURE, meaning="a correlation over models is sure below this p-value"),
    Threshold(
        name="smallest", value=SMALLEST, meaning="weighting does not help where its lead is surely below the paper's smallest average"
    ),
    Threshold(name="same_rate", value=SAME_RATE, meaning="models whose pass rates differ by this at most make a matched pair"),
    Threshold(name="apart", value=APART, meaning="where their S differs by this at least"),
    Threshold(name="fewest_seeds", value=FEWEST_SEEDS, meaning="finished seeds in every cell that a verdict on weighting takes"),
)

PAPER_LEADS = {
    "clarity": "+2.3 (OctoThinker-8B; +0.9 Qwen2.5-7B, +1.0 Llama-3.1-8B)",
    "clarity_weak": "+1.0",
    "clarity_strong": "+3.0",
    "fisher": "+2.0",
    "separation": "+1.0",
    "pass_rate": "+0.9",
    "random": "-0.3",
}
"""Arm -> its average over six benchmarks minus DAPO's, in points: table 2, OctoThinker-8B unless it says so."""

PAPER_OVER = {"random": "+2.6"}
"""Arm -> the lead of S' at beta 0.2 over it, in points, in the same table: 30.1 against 27.5."""

LIMITS = (
    f"Three claims are primary, named before the study was run: {', '.join(PRIMARY)} (on lab models); all others are secondary. Every "
    "interval and p-value stands by itself at 95 %: of many without effect, one in twenty would look as if it had one.",
    "The models are toys: about a million parameters made to order, and SmolLM2-135M; the paper's have 7 to 8 billion.",
    "Lab models of a family were made alike and stopped at different pass rates; they share not all else: how long they were trained "
    "differs, and in `noise` the share of wrong answers varies with the level besides. Families, not models, change places and are left "
    "out in turn, and there are six.",
    "Before any run four models of the families were ordered anew for their pass rate, when S of the first ones was known: three that "
    "passed more often than their level, and one that was below it after all its steps. Models of one level still differ in pass rate, "
    "which the claims hold fixed.",
    "Held-out prompts are among the 8,100 sums of two digits that lab models are trained on: a model may have been "
    "shown some of them before RL.",
    "The writer of family `noise` was shown wrong steps of our making, so its mix of severities is partly planted.",
    "SmolLM2's responses end at 32 tokens, which cuts 43 to 89 % of them off, by constraint; S of whole answers alone stands beside S. On "
    "SmolLM2 the base recipe, S' at two betas and weights of other groups are run; the other weightings on lab models alone.",
    "Runs of lab models name commit e6c31cc, which was put on another base before it became part of the project; recipes, measures and "
    "lab models are the same in 6bcb4fe.",
    "S of a lab model is over prompts with right and wrong answers alone; where few prompts have both, it is the mean of few.",
    "Gains are on held-out prompts of the task that was trained on, at temperature 1, after a fixed number of steps.",
    "The paper does not print its formulas of the separation-only, pass-rate and random ablations: these are our choice (docs/choices.md).",
    "Learning rates are those of the alignment study; nothing was tuned for weighting.",
)
