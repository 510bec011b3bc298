"""The study of 2601.06911: what is run where.

    families     lab models in six families that differ in how they were trained, three pass rates each, all by the base recipe: does S of
                 the base model go with the gain, among models of one pass rate?
    weights      two of them, every weighting of groups
    steps        three lab models that write their steps down, whose errors and methods a program tells: do prompts of low S fail otherwise?
    constraints  SmolLM2 on eight families of constraints, base recipe alone
    real         SmolLM2 on four of them together, the main weightings

Families: `early` stopped learning when it passed often enough; `noise` was shown known-wrong answers too; `cut` breaks off; `formats` was
shown four ways of saying it; `smooth` had its labels smoothed; `few` saw few sums often. All were stopped at the same three pass rates, so
that models of one pass rate differ in how right and wrong answers lie in probability. Settings follow the paper where they fit (DAPO: two
updates a step, clip-higher, dynamic sampling, token mean, no KL); steps, batches and learning rates are ours, those of the alignment study.
Left out: the paper's models, and evaluation on other tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jominy.lab.spec import LabSpec
from jominy.studies.design import Arm, Cell, Design, Settings

FAMILIES, CONSTRAINED = "families", "constraints"
"""Groups of cells whose models are compared with each other."""
SUMS = "arithmetic:digits=2,operators=+"
LEVELS = {"low": 0.15, "middle": 0.3, "high": 0.5}
"""Name -> the pass rate that a lab model's training aims at."""
CUT_AT = {"low": 0.12, "middle": 0.5, "high": 0.83}
FEW_AT = {"low": 0.12, "middle": 0.24, "high": 0.5}
"""Where to stop so that these two end at the level: the one goes on learning while it is taught to break off, the other, which sees its few
sums again and again, rises within a few steps."""
SMOOTHING = {"low": 0.1, "middle": 0.1, "high": 0.05}
"""Label smoothing; with 0.1 the model was still below the high level after all its steps."""
LEARNS = LabSpec(tasks=(SUMS,), steps=800, check_every=4, check_prompts=512)
"""What all lab models share: few steps between checks, for the pass rate doubles within twenty."""
FEW = 1024
"""Sums that the models of `few` have seen; the others up to all 8,100 that there are."""


def _orders(level: str) -> Mapping[str, Mapping[str, Any]]:
    """Family -> what its model of this level is ordered with."""
    rate = LEVELS[level]
    return {
        "early": {},
        "noise": {"wrong_share": round(0.95 - rate, 2)},
        "cut": {"cut_share": 0.4, "pass_rate": CUT_AT[level]},
        "formats": {"answers": ("{gold}", "{target}", "The answer is {target}.", "It is {target}.")},
        "smooth": {"smoothing": SMOOTHING[level]},
        "few": {"demonstrations": FEW, "pass_rate": FEW_AT[level]},
    }


def _ordered(level: str, order: Mapping[str, Any]) -> LabSpec:
    return replace(LEARNS, **{"pass_rate": LEVELS[level], **order})


FAMILY_CELLS = tuple(
    Cell(name=f"{family}, {level}", group=FAMILIES, model=family, task=SUMS, lab=_ordered(level, order))
    for level in LEVELS
    for family, order in _orders(level).items()
)
WEIGHT_CELLS = tuple(
    replace(cell, name=f"{cell.name}, weighted", group="weights")
    for cell in FAMILY_CELLS
    if cell.name in ("early, middle", "noise, middle")
)
WRITTEN = f"{SUMS},steps=yes"
WRITER = replace(LEARNS, tasks=(WRITTEN,), pass_rate=0.4)
STEP_CELLS = tuple(
    Cell(name=f"{family}, steps", group="steps", model=family, task=WRITTEN, lab=lab)
    for family, lab in (("early", WRITER), ("noise", replace(WRITER, wrong_share=0.5)), ("smooth", replace(WRITER, smoothing=0.05)))
)
CONSTRAINTS = ("title", "include_word", "placeholder", "under_15_words", "question", "repeat_word", "starts_with", "exclamation")
CONSTRAINT_CELLS = tuple(
    Cell(name=f"smollm2, {family}", group=CONSTRAINED, model="smollm2", task=f"constraints:{family},count=1", has_answers=False)
    for family in CONSTRAINTS
)
REAL_CELL = Cell(
    name="smollm2, four together",
    group="real",
    model="smollm2",
    task="constraints:title,placeholder,question,exclamation,count=1",
    has_answers=False,
)

CELLS = (*FAMILY_CELLS, *WEIGHT_CELLS, *STEP_CELLS, *CONSTRAINT_CELLS, REAL_CELL)

BASE = "dapo:fill=two_then_repeat,overlong=off"
REWARD = "ground_truth:gate=none"


def _arm(name: str, title: str, options: str) -> Arm:
    return Arm(name=name, title=title, family="weights", recipe=f"{BASE},{options}", reward=REWARD)


ARMS = (
    Arm(name="base", title="DAPO", family="true", recipe=BASE, reward=REWARD),
    _arm("clarity", "S', beta 0.2", "weight=clarity,weight_beta=0.2"),
    _arm("clarity_weak", "S', beta 0.1", "weight=clarity,weight_beta=0.1"),
    _arm("clarity_strong", "S', beta 0.5", "weight=clarity,weight_beta=0.5"),
    _arm("clarity_mean_1", "S', beta 0.2, mean 1", "weight=clarity,weight_beta=0.2,w_norm=mean_1"),
    _arm("fisher", "Fisher", "weight=fisher"),
    _arm("separation", "separation only", "weight=separation,weight_beta=0.2"),
    _arm("pass_rate", "pass rate", "weight=pass_rate,weight_beta=0.2"),
    _arm("random", "S' of other groups", "weight=random,weight_beta=0.2"),
    _arm("balanced", "balanced S", "weight=balanced,weight_beta=0.2"),
    _arm("auroc", "AUROC", "weight=auroc,weight_beta=0.2"),
)
ONLY_BASE = "it is for the gain of the base recipe alone"
LAB = Settings(
    seeds=3, steps=30, prompts=16, rollouts=8, max_tokens=32, learning_rate=1.5e-5, eval_every=10, base_rollouts=64, workers=2, threads=1
)
SMOLLM2 = Settings(
    seeds=2,
    steps=10,
    prompts=4,
    rollouts=8,
    max_tokens=32,
    learning_rate=1e-5,
    eval_every=5,
    eval_prompts=32,
    eval_rollouts=8,
    base_prompts=48,
    base_rollouts=32,
)
FULL = {
    FAMILIES: replace(LAB, arms=("base",), why_arms=ONLY_BASE),
    "weights": replace(LAB, seeds=8, prompts=8, rollouts=16),
    "steps": replace(LAB, seeds=1, max_tokens=64, base_prompts=128, arms=("base",), why_arms=ONLY_BASE),
    CONSTRAINED: replace(SMOLLM2, arms=("base",), why_arms=ONLY_BASE),
    "real": replace(SMOLLM2, seeds=5, steps=8, eval_every=4, rollouts=16, arms=("base", "clarity", "clarity_strong", "random")),
}
TINY = Settings(
    seeds=1,
    steps=2,
    prompts=4,
    rollouts=4,
    max_tokens=16,
    learning_rate=1e-3,
    eval_every=1,
    eval_prompts=8,
    eval_rollouts=8,
    base_prompts=8,
    base_rollouts=8,
)


def design(scale: str) -> Design:
    """The study at `smoke` (two tiny models, three arms, one seed: the machinery, no evidence) or `full`."""
    if scale == "full":
        return Design(study="clarity", scale=scale, cells=CELLS, arms=ARMS, settings=FULL)
    task = "arithmetic:digits=1,operators=+"
    cells = tuple(
        Cell(name=f"{family}, tiny", group=FAMILIES, model=family, task=task, lab=_tiny(task, order))
        for family, order in (("early", {}), ("noise", {"wrong_share": 0.5}))
    )
    arms = tuple(arm for arm in ARMS if arm.name in ("base", "clarity", "random"))
    return Design(study="clarity", scale=scale, cells=cells, arms=arms, settings={FAMILIES: TINY})


def _tiny(task: str, order: Mapping[str, Any]) -> LabSpec:
    return LabSpec(**{"tasks": (task,), "steps": 100, "rows": 16, "width": 32, "depth": 1, **order})
