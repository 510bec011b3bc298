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
THRESHOLDS = (
    Threshold(name="p_sure", value=P_SURE, meaning="a correlation over models is sure below this p-value"),
    Threshold(
        name="smallest", value=SMALLEST, meaning="weighting does not help where its lead is surely below the paper's smallest average"
    ),
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

LIMITS = (
    "The models are toys: about a million parameters made to order, and SmolLM2-135M; the paper's have 7 to 8 billion.",
    "Lab models of a family differ in their pass rate and share all else; families, not models, are what was left out in turn, and there "
    "are few.",
    "S of a lab model is over prompts with right and wrong answers alone; where few prompts have both, it is the mean of few.",
    "Gains are on held-out prompts of the task that was trained on, at temperature 1, after a fixed number of steps.",
    "The paper does not print its formulas of the separation-only, pass-rate and random ablations: these are our choice (docs/choices.md).",
    "Learning rates and batches are those of the alignment study; nothing was tuned for weighting.",
    "Every interval and p-value stands by itself at 95 %: of many without effect, one in twenty would look as if it had one.",
)
