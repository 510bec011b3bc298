"""The study of 2601.01580: what is run where.

    cells   lab models warm-started on the form of `retry` (wrong attempts are read, not imitated), on sums and on countdown
    arms    from the same warm start: SFT and its variants, GRPO, GRPO with credit for one stage, GRPO with a KL in loss or reward

Budgets are matched in unique prompts (the pool is steps x prompts, so RL sees each once) and, as near as can be, in optimiser tokens: a
step of SFT learns as many demonstrations as a step of RL draws responses. Where they do not match (rft, corrected and credit for one stage
learn a part of what they draw; RL passes groups over that are all right or all wrong), the table of budgets says so.
Out of distribution: of further tasks the warm start saw a few, and no arm is trained on them. All orders stand in the table below. A group
`smollm2` is not planned: see `paper.LIMITS`. Left out: the paper's task and models, which are not known to us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jominy.lab.spec import LabSpec
from jominy.studies.design import Arm, Cell, Design, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A setting: what is trained on, what else is tested, how far the warm start goes.

    Example: Order(task="retry:digits=2", further={"longer numbers": "retry:digits=3"}, times=8, pass_rate=0.5, steps=800)
    """

    task: str
    """As `--task` takes it."""
    further: Mapping[str, str]
    """Name -> task that no arm trains on."""
    times: int
    """Demonstrations of the task for each one of a further task, in the warm start."""
    pass_rate: float
    """At which the warm start ends; some of it comes from trying again, so first attempts are right less often."""
    steps: int
    """At most."""

    @property
    def lab(self) -> LabSpec:
        """The warm start."""
        tasks = (self.task,) * self.times + tuple(self.further.values())
        return LabSpec(tasks=tasks, masked=("attempt.wrong",), pass_rate=self.pass_rate, steps=self.steps, check_every=8, check_prompts=512)


SUMS = "retry:attempts=3,digits=2,operators=+"
COUNTDOWN = "retry:problem=countdown,attempts=3,numbers=3,largest=10"
ORDERS: Mapping[str, Order] = {
    "sums": Order(
        task=SUMS,
        further={"longer numbers": "retry:attempts=3,digits=3,operators=+", "a new operator": "retry:attempts=3,digits=2,operators=-"},
        times=8,
        pass_rate=0.55,
        steps=800,
    ),
    "countdown": Order(
        task=COUNTDOWN,
        further={"more numbers": "retry:problem=countdown,attempts=3,numbers=4,largest=10"},
        times=8,
        pass_rate=0.5,
        steps=1600,
    ),
}
"""Cell -> its setting; first attempts are to be right in 30 to 60 % of the cases."""

STEPS, PROMPTS, ROLLOUTS = 30, 16, 8
POOL = STEPS * PROMPTS
DEMONSTRATIONS = PROMPTS * ROLLOUTS
"""A step of SFT learns so many, from the same pool: as many as a step of RL draws."""
STRENGTHS: Mapping[str, float] = {"weak": 0.03, "middle": 0.1, "strong": 0.3}
"""Name -> beta of a KL."""
TRUE = "ground_truth:gate=none"

RL, SFT = "grpo", "sft"
RL_SAMPLING, RL_DECISION = "grpo_sampling", "grpo_decision"
VARIANTS = ("sft_balanced", "sft_masked", "corrected", "rft")
"""SFT arms that could close the gap to RL, each by another cause."""
KL_WHERE = ("kl_sampling", "kl_decision", "kl_balanced")


def kl_arm(where: str, strength: str) -> str:
    """Name of an arm: `kl_arm("loss", "weak")`."""
    return f"kl_{where}_{strength}"


def _sft(name: str, title: str, recipe: str) -> Arm:
    return Arm(name=name, title=title, family="sft", recipe=recipe, reward=TRUE, prompts=DEMONSTRATIONS)


def _rl(name: str, title: str, family: str, options: str) -> Arm:
    return Arm(name=name, title=title, family=family, recipe=f"grpo:{options}", reward=TRUE)


_MIDDLE = f"kl=k3,beta={STRENGTHS['middle']:g}"
ARMS = (
    # first, because the model that it leaves is exchanged with that of GRPO
    _sft(SFT, "SFT", "sft"),
    _sft("sft_balanced", "SFT, both stages alike", "sft:divide=segments,spans=sampling+decision"),
    _sft("sft_masked", "SFT, no wrong attempts", "sft:spans=attempt.right+check+verdict"),
    Arm(name="corrected", title="own attempts, true verdicts", family="sft", recipe="corrected", reward=TRUE),
    Arm(name="rft", title="own right responses", family="sft", recipe="rft", reward=TRUE),
    Arm(name=RL, title="GRPO", family="true", recipe="grpo", reward=TRUE),
    _rl(RL_SAMPLING, "GRPO, credit for attempts", "credit", "credit_spans=sampling"),
    _rl(RL_DECISION, "GRPO, credit for decisions", "credit", "credit_spans=decision"),
    *(_rl(kl_arm("loss", name), f"KL in the loss, {beta:g}", "kl", f"kl=k3,beta={beta:g}") for name, beta in STRENGTHS.items()),
    *(_rl(kl_arm("reward", name), f"KL in the reward, {beta:g}", "kl", f"kl=k1_reward,beta={beta:g}") for name, beta in STRENGTHS.items()),
    _rl("kl_sampling", "KL in the loss, on attempts", "kl where", f"{_MIDDLE},kl_spans=sampling"),
    _rl("kl_decision", "KL in the loss, on decisions", "kl where", f"{_MIDDLE},kl_spans=decision"),
    _rl("kl_balanced", "KL in the loss, both alike", "kl where", f"{_MIDDLE},kl_spans=balanced"),
)

CELLS = tuple(
    Cell(name=name, group="lab", model=f"warm start, {name}", task=order.task, lab=order.lab, further=order.further)
    for name, order in ORDERS.items()
)
LAB = Settings(
    seeds=5,
    steps=STEPS,
    prompts=PROMPTS,
    rollouts=ROLLOUTS,
    max_tokens=192,
    learning_rate=3e-5,
    minibatches=1,
    eval_prompts=64,
    eval_rollouts=8,
    base_prompts=64,
    base_rollouts=16,
    workers=2,
    threads=1,
    pool=POOL,
    further_prompts=48,
    further_rollouts=4,
    bank_states=64,
    bank_checks=2,
)
TINY = replace(
    LAB,
    seeds=1,
    steps=2,
    prompts=4,
    rollouts=4,
    max_tokens=64,
    learning_rate=1e-3,
    eval_prompts=6,
    eval_rollouts=4,
    base_prompts=6,
    base_rollouts=8,
    workers=1,
    pool=8,
    further_prompts=4,
    further_rollouts=2,
    bank_states=4,
)
SMOKE_ARMS = (SFT, RL, RL_DECISION)


def design(scale: str) -> Design:
    """The study at `smoke` (a tiny model, three arms, one seed: the machinery, no evidence) or `full`."""
    if scale == "full":
        return Design(study="decisions", scale=scale, cells=CELLS, arms=ARMS, settings={"lab": LAB})
    tiny = Order(
        task="retry:attempts=2,digits=1,operators=+",
        further={"longer numbers": "retry:attempts=2,digits=2,operators=+"},
        times=3,
        pass_rate=1.0,
        steps=120,
    )
    lab = replace(tiny.lab, pass_rate=None, check_every=0, rows=16, width=32, depth=1)
    cell = Cell(name="tiny", group="lab", model="tiny", task=tiny.task, lab=lab, further=tiny.further)
    arms = tuple(replace(arm, prompts=None if arm.prompts is None else 16) for arm in ARMS if arm.name in SMOKE_ARMS)
    return Design(study="decisions", scale=scale, cells=(cell,), arms=arms, settings={"lab": TINY})
