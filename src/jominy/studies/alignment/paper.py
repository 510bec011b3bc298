"""What 2508.21188 says, in its own numbers, and what should be known before our runs are held against it.

    share = (after - base) / (truth - base)         of accuracies in per cent

Random rewards of the paper are gated by the form, its sign-only arms are masked z-scores; it has no number for our other forms.
Left out: Llama's shares (its accuracy with the correct reward is not in our notes) and the appendices.
"""

from __future__ import annotations

from dataclasses import dataclass

from jominy.records import Paper

TITLE = "When do the cheap tricks work?"
SPURIOUS_REWARDS = Paper(arxiv="2506.10947", title="Spurious Rewards: Rethinking Training Signals in RLVR")


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


def _reported(arm: str, side: str, setting: str, base: float, truth: float, after: float) -> Reported:
    return Reported(
        arm=arm, side=side, setting=setting, base=base, truth=truth, after=after, share=round((after - base) / (truth - base), 3)
    )


REPORTED = (
    _reported("random_format", "strong", "Qwen, AIME24", 3.3, 14.2, 10.0),
    _reported("random_format", "strong", "Qwen, MATH500", 40.8, 71.0, 57.5),
    _reported("random_format", "strong", "Qwen, Operation", 27.2, 82.4, 53.6),
    _reported("random_format", "weak", "Qwen, SynLogic", 1.5, 42.6, 10.2),
    _reported("random_format", "weak", "Qwen, Cipher", 4.8, 20.4, 3.6),
    _reported("incorrect_any", "strong", "Qwen, AIME24", 3.3, 14.2, 6.7),
    _reported("incorrect_any", "strong", "Qwen, MATH500", 40.8, 71.0, 57.0),
    _reported("incorrect_any", "strong", "Qwen, Operation", 27.2, 82.4, 60.8),
    _reported("incorrect_any", "weak", "Qwen, SynLogic", 1.5, 42.6, 0.0),
    _reported("incorrect_any", "weak", "Qwen, Cipher", 4.8, 20.4, 3.2),
    _reported("majority", "strong", "Qwen, MATH500", 40.8, 71.0, 62.1),
    _reported("majority", "strong", "Qwen, Operation", 27.2, 82.4, 55.6),
    _reported("majority", "weak", "Qwen, SynLogic", 1.5, 42.6, 1.8),
    _reported("one_shot_max_variance", "strong", "Qwen, MATH500", 40.8, 71.0, 65.2),
    _reported("negative_only_masked", "strong", "Qwen, MATH500", 40.8, 71.0, 68.7),
    _reported("negative_only_masked", "weak", "Qwen, SynLogic", 1.5, 42.6, 1.5),
    _reported("positive_only_masked", "weak", "Qwen, SynLogic", 1.5, 42.6, 24.8),
)
"""2508.21188, ICLR version, accuracy in per cent. Its random reward is gated by the form, its sign-only arms are masked z-scores."""

PAPER_SAYS = {
    "random": ("", "Ungated, as in 2506.10947: MATH500 +21.4 points with random, +29.1 with the true reward (Qwen2.5-Math-7B)."),
    "random_format": ("", "Qwen: MATH500 40.8 to 57.5, Operation 27.2 to 53.6; Cipher 4.8 to 3.6, but SynLogic 1.5 to 10.2."),
    "format": (" (a control)", "No number of its own in our sheet; the paper's random and incorrect rewards are gated by the form."),
    "incorrect_any": ("", "Qwen: MATH500 40.8 to 57.0, Operation 27.2 to 60.8; SynLogic 1.5 to 0.0, Cipher 4.8 to 3.2."),
    "majority": (
        "",
        "Qwen: MATH500 40.8 to 62.1, Operation 27.2 to 55.6; SynLogic 1.5 to 1.8. It also helps Llama on math, which is weak.",
    ),
    "entropy": ("", "Self-rewarded RL goes with alignment, with one exception that the paper's tables show: Llama on math."),
}
"""Arm -> (what to add to its name, the paper's numbers in words)."""

LIMITS = (
    "The models are toys: under a few million parameters made to order, and SmolLM2-135M. The paper's have 7 to 8 billion and were trained "
    "on the web; what a spurious reward brings out of such a model, these may not hold at all.",
    "The horizon is short: a fixed number of steps for all arms. An arm that needs more looks futile.",
    "Lab models and settings were chosen after trials with one seed, some of them of arms that are judged here (see the study's module).",
    "Learning rates were chosen, on one to three trials, so that an ungated random reward does not by itself cost the model what it can "
    "do; the true reward would gain more at a higher one. That random neither gains nor loses much is in part this choice.",
    "The lab models break off in part of their answers, as they were made to (cut_share), and RL can remove that: part of every gain is "
    "form. What an arm gated by the form gains beyond it is its gain minus that of the arm form.",
    "The study's true reward pays a right answer in any form (gate=none); the paper's pays it in form only.",
    "The example of most variance and the hardest one are one prompt a cell, the same in all seeds: their intervals say nothing of "
    "another. A random one is drawn anew with each seed.",
    "Strong and weak are our bins of pass@16; the paper gives no number. The thresholds behind the verdicts are ours too.",
    "Intervals are over seeds and held-out prompts of the cells that were run. Cells share models, and a model or task is never resampled.",
    "Every interval stands by itself at 95 %: of many arms without effect, one in twenty would look as if it had one.",
    "Runs that exploded have no evaluation after training, and runs whose rule found no example to train on were never begun: both are "
    "left out of the gains, not counted as gains of 0, and listed.",
)
