"""The study of 2601.04954: what is run where, and what it costs on two cores.

    judges    SmolLM2 judges constraints whose truth code knows, in one question and in one each; nobody is trained        about 20 min
    refine    SmolLM2 on prompts with several constraints, most of them soft, as they are and refined                     about 75 min
    sums, spelling    two lab models of the alignment study, the true reward and the noise grid: false accepts that look
              at nothing, false rejects, both at the rates of the paper's judge, false accepts that a cue of the text
              decides                                                                                                     about 20 min
    hard, soft, mixed    SmolLM2 on the same prompts in three renderings, paid by code or by a judge that errs             about 2 h

The judge that pays in training is simulated: it errs at the rates that the paper measured on its own judge, independently from constraint
to constraint, so that its errors are known and what it costs in gain is not mixed with what a judge of 135 million parameters knows. The
same rates on hard words (`judge_all`), the same on all types but one, which the seed decides (`judge_blind`), and code's truth on soft
words (`ground_truth` in `soft`), tell precision, what can be learned of errors, and wording apart.
Two pairs of the types that are trained on exclude each other, and every prompt has two constraints at least, so one style for all prompts
earns at most about half: who gains more has read what is asked. Every condition has the same requests, types, order, number of prompts and
steps; further prompts, seen and unseen types said hard and softly, are drawn from the trained policy and graded by code, once as they are
and once without the constraint said. SmolLM2's learning rate and steps were chosen by the held-out prompts of `hard` under the true reward,
with a seed that the study does not have (docs/log.md); the rate of the lab models is that of the studies before.
Groups are gone through whole. `judges` comes first, as five claims take its verdicts or its prices, and then the newest code; with
`--seeds 3` first and then without, a night that is cut short has verdicts on everything. The minutes are of four seeds on two
cores with nothing else on them, of the first two groups and the lab models as measured, of the others as reckoned from single runs.
Left out: an endpoint, unless a person names one (`--judge`), lab models on constraints, of which they know no words, soft
shares of .25 and .75 of the matched prompts in training, false rejects of .2 and .7, and the paper's models and data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jominy.lab.spec import LabSpec
from jominy.studies.alignment.design import ADDER, SPELLER, SPELLING, SUMS
from jominy.studies.design import Arm, Cell, Design, Settings

SEEN = ("under_15_words", "at_least_words", "include_digit", "no_digits", "no_commas", "question")
"""Types that are trained on: each has a soft wording, SmolLM2 follows it now and then (docs/constraints.md), and the first four are two
pairs that exclude each other."""
UNSEEN = ("include_word", "exclamation", "sentences", "repeat_word")
"""Types that nobody trains on; they too can be said both ways, and SmolLM2 meets them now and then within 32 tokens. Shortness helps some
and hurts others. Types that need a layout or an ending are left out: within so few tokens they are hardly ever met, so nothing could be
seen."""
SEVERAL = 2
"""Fewest constraints of a prompt that is trained on or held out."""
RENDERED = {"hard": "rendering=hard", "soft": "rendering=soft"}
MIX_SHARE = 0.75
"""Soft share of the mix that is refined: 77.7 % of the constraints of the paper's data are soft."""


def constraints(types: tuple[str, ...], count: int, rendering: str, least: int = 1) -> str:
    """A task: `constraints(("question",), 1, "rendering=soft")`."""
    fewest = "" if least == 1 else f",least={least}"
    return f"constraints:{','.join(types)},count={count}{fewest},{rendering}"


MIX = constraints(SEEN, 3, f"rendering=mixed,soft_share={MIX_SHARE:g}", SEVERAL)
"""The task whose prompts are refined."""


def further_tasks(seen: tuple[str, ...], unseen: tuple[str, ...]) -> Mapping[str, str]:
    """Name -> task of the further prompts; their two renderings are of the same requests."""
    return {
        f"{name}, {said}": constraints(types, 1, how)
        for name, types in (("seen", seen), ("unseen", unseen))
        for said, how in RENDERED.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRates:
    """How often a judge errs on one constraint.

    Example: JudgeRates(false_accept=0.79, false_reject=0.03)
    """

    false_accept: float
    """1 - recall on false."""
    false_reject: float
    """1 - recall on true."""

    def reward(self, flips: str) -> str:
        """As `--reward` takes it; `flips` says whether it pays all constraints or those that are soft."""
        return f"noisy:mode=per_constraint,false_accept={self.false_accept:g},false_reject={self.false_reject:g},flips={flips}"


BATCH = JudgeRates(false_accept=0.79, false_reject=0.03)
"""Qwen3-32B on soft constraints in one call: recall on false 20.9 %, recall on true about 97 %, which follows from its precision and recall
on false (sheet C.2)."""

TRUE = "ground_truth"
JUDGE, JUDGE_ALL, JUDGE_BLIND = "judge", "judge_all", "judge_blind"
FULL_MIX, REFINED = "full_mix", "refined"
ACCEPTS = (0.1, 0.2, 0.3, 0.5, 0.7)
"""Rates of false accepts that look at nothing."""
REJECTS = (0.1, 0.3, 0.5)
"""Rates of false rejects, of those rates."""
MATCHED = "matched"
"""The arm with both rates of the paper's judge, on whole responses."""
CUED = (0.1, 0.3, 0.5)
"""Rates of false accepts that a cue decides."""
JUDGES, REFINE = "judges", "refine"
LAB_GROUPS = ("sums", "spelling")


@dataclass(frozen=True, slots=True, kw_only=True)
class CueShare:
    """A cue that decides false accepts.

    Example: CueShare(cue="says:= 1", share=0.1)
    """

    cue: str
    """As `noisy` takes it."""
    share: float
    """Of the wrong responses of the start that show it."""


CUES: Mapping[str, CueShare] = {
    "sums": CueShare(cue="says:= 1", share=0.1),
    "spelling": CueShare(cue="says:<answer>s", share=0.07),
}
"""Group -> an answer that begins with a certain character: one token to learn. Shares over 96 prompts x 16 responses, once, before the run;
each run says which rate it met (`watch`)."""


def noise_arm(kind: str, rate: float, group: str = "") -> str:
    """Name of an arm of the noise grid: `noise_arm("accept", 0.3)`, `noise_arm("cue", 0.3, "sums")`."""
    return f"{kind}_{round(100 * rate)}{f'_{group}' if group else ''}"


def _noisy(kind: str, rate: float, title: str, options: str, group: str = "") -> Arm:
    return Arm(name=noise_arm(kind, rate, group), title=f"{title} {rate:g}", family="noise", recipe="grpo", reward=f"noisy:{options}")


def _cued(rate: float, group: str) -> Arm:
    cue = CUES[group]
    options = f"mode=systematic,false_accept={rate:g},cue_share={cue.share:g},cue={cue.cue}"
    return _noisy("cue", rate, f"false accepts by the text, a cue of {group} first,", options, group)


GRID = (
    *(_noisy("accept", rate, "false accepts", f"false_accept={rate:g}") for rate in ACCEPTS),
    *(_noisy("reject", rate, "false rejects", f"false_reject={rate:g}") for rate in REJECTS),
    Arm(
        name=MATCHED,
        title=f"the paper's judge: false accepts {BATCH.false_accept:g}, false rejects {BATCH.false_reject:g}",
        family="noise",
        recipe="grpo",
        reward=f"noisy:false_accept={BATCH.false_accept:g},false_reject={BATCH.false_reject:g}",
    ),
)
CUE_ARMS = tuple(_cued(rate, group) for group in LAB_GROUPS for rate in CUED)
SEEN_BY_SEED = ("question", "no_commas")
"""The type of which a judge that is blind to the others sees every violation: the first of even seeds, the second of odd ones. Neither
excludes another type, so that both of every pair that does are blind, and no half of a pair is paid by luck."""
BLIND_RATE = BATCH.false_accept * len(SEEN) / (len(SEEN) - 1)
"""Of violations of the blind types, so that the mean over types is that of the judge that errs by chance."""


def blind_rewards(types: tuple[str, ...]) -> tuple[str, ...]:
    """By seed: violations of all types but one pass, and of that one never."""
    rates = f"false_accept={min(BLIND_RATE, 1):.3f},false_reject={BATCH.false_reject:g}"
    return tuple(f"noisy:mode=systematic,cue=type:{'+'.join(name for name in types if name != seen)},{rates}" for seen in SEEN_BY_SEED)


BLIND = f"a judge blind to all types but {' or '.join(SEEN_BY_SEED)}, by seed,"
SMOLLM2_ARMS = (
    Arm(name=JUDGE, title="the judge pays what is soft", family="judge", recipe="grpo", reward=BATCH.reward("soft")),
    Arm(name=JUDGE_ALL, title="the judge pays everything", family="judge", recipe="grpo", reward=BATCH.reward("all")),
    Arm(
        name=JUDGE_BLIND,
        title=f"{BLIND} pays everything",
        family="judge",
        recipe="grpo",
        reward=blind_rewards(SEEN)[0],
        rewards=blind_rewards(SEEN),
    ),
)
FILES: Mapping[str, str] = {FULL_MIX: f"{FULL_MIX}.jsonl", REFINED: f"{REFINED}/prompts.jsonl"}
"""Arm -> the prompts it trains on, in the folder of its base."""
REFINE_ARMS = (
    Arm(name=FULL_MIX, title="all prompts", family="refine", recipe="grpo", reward=BATCH.reward("soft"), prompts_file=FILES[FULL_MIX]),
    Arm(name=REFINED, title="refined", family="refine", recipe="grpo", reward=BATCH.reward("soft"), prompts_file=FILES[REFINED]),
)
ARMS = (
    Arm(name=TRUE, title="code pays", family="true", recipe="grpo", reward="ground_truth:gate=none"),
    *SMOLLM2_ARMS,
    *REFINE_ARMS,
    *GRID,
    *CUE_ARMS,
)
ARMS_OF: Mapping[str, tuple[str, ...]] = {
    JUDGES: ("nobody",),
    **{group: (TRUE, *(arm.name for arm in GRID), *(noise_arm("cue", rate, group) for rate in CUED)) for group in LAB_GROUPS},
    "hard": (TRUE, JUDGE_ALL, JUDGE_BLIND),
    "mixed": (JUDGE,),
    "soft": (TRUE, JUDGE),
    REFINE: (FULL_MIX, REFINED),
}
"""Group -> its arms. In `hard` nothing is soft, so that a judge of what is soft pays nothing there; in `soft` it pays everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A way of training SmolLM2, over cells.

    Example: Condition(title="hard, code pays", group="hard", arm="ground_truth")
    """

    title: str
    """What tables call it."""
    group: str
    """The group of its only cell."""
    arm: str
    """Name of the arm."""


HARD_CODE, HARD_JUDGE, HARD_BLIND = "hard, code pays", "hard, the judge pays", f"hard, {BLIND} pays"
MIXED_JUDGE, SOFT_CODE, SOFT_JUDGE = "mixed, the judge pays what is soft", "soft, code pays", "soft, the judge pays"
MIX_FULL, MIX_REFINED = "mix, all prompts", "mix, refined"
CONDITIONS = (
    Condition(title=HARD_CODE, group="hard", arm=TRUE),
    Condition(title=HARD_JUDGE, group="hard", arm=JUDGE_ALL),
    Condition(title=HARD_BLIND, group="hard", arm=JUDGE_BLIND),
    Condition(title=MIXED_JUDGE, group="mixed", arm=JUDGE),
    Condition(title=SOFT_CODE, group="soft", arm=TRUE),
    Condition(title=SOFT_JUDGE, group="soft", arm=JUDGE),
    Condition(title=MIX_FULL, group=REFINE, arm=FULL_MIX),
    Condition(title=MIX_REFINED, group=REFINE, arm=REFINED),
)

FURTHER = further_tasks(SEEN, UNSEEN)


def _smollm2(name: str, group: str, task: str, further: Mapping[str, str]) -> Cell:
    return Cell(name=f"smollm2, {name}", group=group, model="smollm2", task=task, has_answers=False, further=further)


CELLS = (
    _smollm2("judge", JUDGES, "constraints:count=3", {}),
    Cell(name="adder, sums", group="sums", model="adder", task=SUMS, lab=ADDER),
    Cell(name="speller, spelling", group="spelling", model="speller", task=SPELLING, lab=SPELLER),
    _smollm2("hard", "hard", constraints(SEEN, 2, RENDERED["hard"], SEVERAL), FURTHER),
    _smollm2("mixed", "mixed", constraints(SEEN, 2, "rendering=mixed", SEVERAL), FURTHER),
    _smollm2("soft", "soft", constraints(SEEN, 2, RENDERED["soft"], SEVERAL), FURTHER),
    _smollm2("mix", REFINE, MIX, FURTHER),
)
LAB = Settings(seeds=4, steps=30, prompts=16, rollouts=8, max_tokens=32, learning_rate=1.5e-5, eval_rollouts=16, workers=2, threads=1)
JUDGING = Settings(
    seeds=0,
    steps=20,
    prompts=4,
    rollouts=8,
    max_tokens=32,
    learning_rate=1e-5,
    eval_prompts=8,
    eval_rollouts=8,
    base_prompts=8,
    base_rollouts=4,
    further_prompts=36,
    further_rollouts=4,
    audit_pairs=3,
)
"""Nobody is trained: of these the judge's audit reads `max_tokens`, `base_prompts`, `base_rollouts` and `audit_pairs`."""
SMOLLM2 = replace(JUDGING, seeds=4, steps=30, prompts=8, learning_rate=3e-5, base_prompts=24, base_rollouts=8, audit_pairs=0)
"""Four seeds, so that the two halves of `judge_blind` have as many each. Held-out prompts of the own task are read by no claim but those of
`refine`, which has more; the outcome are the further prompts."""
BESIDE = replace(SMOLLM2, workers=2, threads=1)
"""Two runs at a time, of a thread each: no claim is about their seconds, and they take little more than half of the time."""
NOBODY = "nobody is trained on what is judged here"
FULL = {
    JUDGES: JUDGING,
    REFINE: replace(SMOLLM2, eval_prompts=24, eval_every=10, pilot_prompts=128, pilot_rollouts=4),
    **dict.fromkeys(LAB_GROUPS, LAB),
    "hard": replace(BESIDE, attention_prompts=12),
    "soft": BESIDE,
    "mixed": BESIDE,
}
"""In the order in which groups are run."""
ELSEWHERE = "it belongs to the comparisons of other groups"
TINY = Settings(
    seeds=1,
    steps=2,
    prompts=2,
    rollouts=4,
    max_tokens=24,
    learning_rate=1e-3,
    eval_prompts=4,
    eval_rollouts=2,
    base_prompts=4,
    base_rollouts=4,
    further_prompts=3,
    further_rollouts=2,
    threads=1,
)
TINY_SEEN = ("question", "exclamation", "no_commas")
TINY_BLIND = blind_rewards(TINY_SEEN)
TINY_GRID = (TRUE, noise_arm("accept", 0.3), noise_arm("cue", 0.3, "sums"))


def design(scale: str) -> Design:
    """The study at `smoke` (tiny lab models, one seed, two steps: the machinery, no evidence) or `full`."""
    cells, settings, arms_of = (CELLS, FULL, ARMS_OF) if scale == "full" else _smoke()
    used = {name for names in arms_of.values() for name in names}
    arms = tuple(arm for arm in ARMS if arm.name in used)
    if scale != "full":
        arms = tuple(replace(arm, reward=TINY_BLIND[0], rewards=TINY_BLIND) if arm.name == JUDGE_BLIND else arm for arm in arms)
    limited = {
        group: replace(one, arms=arms_of[group], why_arms=NOBODY if group == JUDGES else ELSEWHERE) for group, one in settings.items()
    }
    return Design(study="precision", scale=scale, cells=cells, arms=arms, settings=limited)


def _smoke() -> tuple[tuple[Cell, ...], Mapping[str, Settings], Mapping[str, tuple[str, ...]]]:
    """Cells, settings and arms; a tiny model that has seen three types of constraints stands in for SmolLM2, also as judge."""
    seen, unseen = TINY_SEEN, ("include_digit", "no_digits")
    further = further_tasks(seen, unseen)
    follower = LabSpec(
        tasks=(f"constraints:{','.join(seen)},count=2",), steps=40, rows=16, demonstrations=512, width=32, depth=1, context=4096
    )
    adder = LabSpec(tasks=("arithmetic:digits=1,operators=+",), steps=100, rows=16, width=32, depth=1)

    def tiny(name: str, group: str, task: str, further: Mapping[str, str] = further) -> Cell:
        return Cell(name=f"tiny, {name}", group=group, model="tiny", task=task, lab=follower, has_answers=False, further=further)

    cells = (
        tiny("judge", JUDGES, constraints(seen, 2, RENDERED["hard"]), {}),
        Cell(name="tiny, sums", group="sums", model="tiny", task=adder.tasks[0], lab=adder),
        *(tiny(name, name, constraints(seen, 2, f"rendering={name}", SEVERAL)) for name in ("hard", "mixed", "soft")),
        tiny("mix", REFINE, constraints(seen, 3, f"rendering=mixed,soft_share={MIX_SHARE:g}", SEVERAL)),
    )
    settings = {
        JUDGES: replace(TINY, seeds=0, audit_pairs=1),
        REFINE: replace(TINY, eval_every=1, pilot_prompts=8, pilot_rollouts=4),
        "sums": replace(TINY, steps=10, prompts=4),
        "hard": replace(TINY, attention_prompts=2),
        "soft": TINY,
        "mixed": TINY,
    }
    arms_of = {**ARMS_OF, "sums": TINY_GRID}
    return cells, settings, {group: arms_of[group] for group in settings}
