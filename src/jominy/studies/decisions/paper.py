"""What 2601.01580 says as far as we know it, our thresholds, and what should be known before our runs are held against it.

Its full text was not at hand: no number of it is known to us, so every claim stands without one. Left out: anything that we would guess.
"""

from __future__ import annotations

from jominy.decided import OURS as DEFINITIONS
from jominy.records import Paper
from jominy.results import Threshold

TITLE = "Does RL improve the solving or the deciding?"
OURS = Paper(arxiv="", title="our test of 2601.01580")
NO_NUMBERS = "None at hand: the full text was not."

HALF = 0.5
EXACT = 1e-9
FEWEST_SEEDS = 3
PRIMARY = ("mainly-decisions", "rl-generalises", "decision-credit")
"""Codes of the claims that the study is about, named before it was run."""
THRESHOLDS = (
    Threshold(name="half", value=HALF, meaning="mainly, most, closes: surely more than this share"),
    Threshold(name="exact", value=EXACT, meaning="largest difference of a ratio of 1 or a contrast of 0, relative to the coefficients"),
    Threshold(name="fewest_seeds", value=FEWEST_SEEDS, meaning="finished seeds in every cell that a verdict on runs takes"),
)

LIMITS = (
    DEFINITIONS,
    f"Three claims are primary, named before the study was run: {', '.join(PRIMARY)}; all others are secondary. Every interval stands by "
    "itself at 95 %: of many without effect, one in twenty would look as if it had one.",
    "The models are toys: about a million parameters made to order. The paper's has 7 billion and learned to reflect by itself; ours were "
    "shown the form, with wrong attempts that they read and did not imitate.",
    "SmolLM2 was not run. It would take a warm start on the form (`jominy train --recipe sft --task retry:...`, some thousand "
    "demonstrations of about 150 of its tokens), whose model would then be a cell like any other, and about twenty times the time a run.",
    "Out of distribution means: no arm trains on it. The warm start saw a few demonstrations of these tasks, because without any it would "
    "never be right there and nothing could be decided.",
    "Further prompts, and the warm start's responses to them, are the same for all seeds; the interval over prompts covers their draw.",
    "Prompts in distribution are drawn from a finite set of which the warm start saw a part.",
    "Budgets match in unique prompts and, for SFT against GRPO, in responses a step; tokens match as far as the table of budgets says. "
    "`rft`, `corrected` and credit for one stage learn from a part of what they draw.",
    "SFT learns demonstrations of the task, which slip on half of the attempts before the last; another share would teach another rate "
    "of retries. One learning rate serves all arms.",
    "The swap exchanges policies at the ends of attempts and decisions; the Shapley split is exact for two players, and a share may lie "
    "outside 0 to 100 %.",
    "Verification and generation are compared on one scale only roughly: Youden's J and accuracy are both 0 for a blind guesser and 1 at "
    "best, and the states of the bank are the warm start's own attempts.",
)
