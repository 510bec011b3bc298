"""What is run in the study of 2508.21188: cells on both sides, every trick as an arm, and how much of it at each scale.

Crossed: each of two lab models is strong on one task and weak on the other, so that neither model nor task explains a result. A third lab
model was shown wrong sums nearly always: weak by pass@k, though it can add. SmolLM2 follows four families of constraints, from often
to hardly ever. Settings follow the paper where they fit (two updates a step, clip-higher, dynamic sampling of two batches, token mean, no
KL, no overlong penalty); steps, batches and learning rates are ours.

What was looked at before these settings stood, with one or two seeds. Lab: at a rate of 1e-4 the true reward gained about 48 points in
`adder, sums` and the ungated random reward lost 18 to 34 in two cells; at 3e-5 they gained 47 and lost 4; at 1.5e-5 the true reward gained
43 and random moved by -1, +4 and 0 points. So 1.5e-5 is the largest of the three that does not by itself destroy what the model can do. At
1e-4 one seed of most arms in the lab cells had been seen too. SmolLM2: the true reward in three families and random in `title`, at 2e-5
(random lost 11 points) and at 1e-5 (gained 9); the families were chosen by their pass rates. No other arm was tried at these rates.
Left out: evaluation on other tasks, and models large enough to have seen the benchmark.
"""

from __future__ import annotations

from dataclasses import replace

from jominy.lab.spec import LabSpec
from jominy.studies.design import Arm, Cell, Design, Settings

SUMS = "arithmetic:digits=2,operators=+"
SPELLING = "logic:spell_backward,min_word_len=6,max_word_len=8"
ADDER = LabSpec(tasks=(SUMS,) * 12 + (SPELLING,), steps=300, cut_share=0.45)
"""Adds, and has seen few words spelled; breaks off in nearly half of its answers, which is what RL can remove."""
SPELLER = LabSpec(tasks=(SPELLING,) * 4 + (SUMS,), steps=220, cut_share=0.45)
"""The other way round."""
MISLED = LabSpec(tasks=(SUMS, SPELLING), steps=400, wrong_share=0.975)
"""Was shown the right sum in one of forty cases."""

LAB_CELLS = (
    Cell(name="adder, sums", group="lab", model="adder", task=SUMS, lab=ADDER),
    Cell(name="adder, spelling", group="lab", model="adder", task=SPELLING, lab=ADDER),
    Cell(name="speller, spelling", group="lab", model="speller", task=SPELLING, lab=SPELLER),
    Cell(name="speller, sums", group="lab", model="speller", task=SUMS, lab=SPELLER),
    Cell(name="misled, sums", group="lab", model="misled", task=SUMS, lab=MISLED),
)
FAMILIES = ("title", "under_15_words", "highlight", "all_lowercase")
SMOLLM2_CELLS = tuple(
    Cell(name=f"smollm2, {family}", group="smollm2", model="smollm2", task=f"constraints:{family},count=1", has_answers=False)
    for family in FAMILIES
)

BASE = "fill=two_then_repeat,overlong=off"
DAPO = f"dapo:{BASE}"
TRUE = "ground_truth:gate=none"
MASKED = "clip_high=0.28,divide=tokens,fill=two_then_repeat"

ARMS = (
    Arm(name="ground_truth", title="true reward", family="true", recipe=DAPO, reward=TRUE),
    Arm(name="random", title="random", family="spurious", recipe=DAPO, reward="random"),
    Arm(name="random_no_clip", title="random, no clip", family="spurious", recipe=f"{DAPO},clip_low=off,clip_high=off", reward="random"),
    Arm(name="random_format", title="random in form", family="spurious", recipe=DAPO, reward="random_format"),
    Arm(name="format", title="form", family="spurious", recipe=DAPO, reward="format"),
    Arm(name="incorrect_any", title="wrong in form", family="spurious", recipe=DAPO, reward="incorrect_any"),
    Arm(name="majority", title="majority vote", family="spurious", recipe=DAPO, reward="majority", needs_answers=True),
    Arm(name="entropy", title="low entropy", family="spurious", recipe=DAPO, reward="entropy"),
    Arm(
        name="one_shot_max_variance", title="one example, most variance", family="one_shot", recipe=DAPO, reward=TRUE, select="max_variance"
    ),
    Arm(name="one_shot_random", title="one example, random", family="one_shot", recipe=DAPO, reward=TRUE, select="random"),
    Arm(name="one_shot_hardest", title="one example, hardest", family="one_shot", recipe=DAPO, reward=TRUE, select="hardest"),
    Arm(name="positive_only", title="positive only, +1", family="sign", recipe="positive_only", reward=TRUE),
    Arm(name="positive_only_masked", title="positive only, z", family="sign", recipe=f"positive_only_masked:{MASKED}", reward=TRUE),
    Arm(name="negative_only", title="negative only, -1", family="sign", recipe="negative_only", reward=TRUE),
    Arm(name="negative_only_masked", title="negative only, z", family="sign", recipe=f"negative_only_masked:{MASKED}", reward=TRUE),
)

ON_SMOLLM2 = (
    "ground_truth",
    "random",
    "random_format",
    "incorrect_any",
    "entropy",
    "one_shot_max_variance",
    "positive_only_masked",
    "negative_only_masked",
)
"""One arm of each kind: a run takes ten times as long as one of a lab model."""
FULL = {
    "lab": Settings(seeds=5, steps=30, prompts=16, rollouts=8, max_tokens=32, learning_rate=1.5e-5, workers=2, threads=1),
    "smollm2": Settings(
        seeds=3,
        steps=10,
        prompts=4,
        rollouts=8,
        max_tokens=32,
        learning_rate=1e-5,
        eval_prompts=32,
        eval_rollouts=8,
        base_rollouts=16,
        arms=ON_SMOLLM2,
    ),
}
TINY = Settings(
    seeds=2,
    steps=2,
    prompts=4,
    rollouts=4,
    max_tokens=16,
    learning_rate=1e-3,
    eval_prompts=8,
    eval_rollouts=4,
    base_prompts=8,
    base_rollouts=8,
)
SMOKE_ARMS = ("ground_truth", "random", "majority", "one_shot_max_variance", "negative_only_masked")


def design(scale: str) -> Design:
    """The study at `smoke` (two tiny cells, five arms, two steps: the machinery, no evidence) or `full` (the table of the README)."""
    if scale == "full":
        return Design(study="alignment", scale=scale, cells=LAB_CELLS + SMOLLM2_CELLS, arms=ARMS, settings=FULL)
    easy = LabSpec(tasks=("arithmetic:digits=1,operators=+",), steps=120, rows=16, width=32, depth=1, cut_share=0.3)
    cells = (
        replace(LAB_CELLS[0], name="tiny, sums", model="tiny", task="arithmetic:digits=1,operators=+", lab=easy),
        replace(LAB_CELLS[1], name="tiny, products", model="tiny", task="arithmetic:digits=1,operators=*", lab=easy),
    )
    arms = tuple(arm for arm in ARMS if arm.name in SMOKE_ARMS)
    return Design(study="alignment", scale=scale, cells=cells, arms=arms, settings={"lab": TINY})
