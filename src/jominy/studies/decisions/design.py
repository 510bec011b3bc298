"""The study of 2601.01580: what is run where.

    cells   lab models warm-started on the form of `retry`, on sums and on countdown; wrong attempts are read and not imitated, on sums
            until the last steps, in which to slip becomes a habit
    arms    from the same warm start: SFT and its variants, GRPO, GRPO with credit for one stage, GRPO with a KL in loss or reward

Budgets are matched in unique prompts (the pool is steps x prompts, so RL sees each once) and, as near as can be, in optimiser tokens: a
step of SFT learns as many demonstrations as a step of RL draws responses. Where they do not match (rft, corrected and credit for one stage
learn a part of what they draw; RL passes groups over that are all right or all wrong), the table of budgets says so. Learning rates are not
matched, for equal rates are no equal moves: each family has its own.
Out of distribution: no arm trains on the further tasks, but the warm start was shown some of their prompts, else it would never be right
there; those prompts are left out of the tests. What was tuned stands first, in names; by what rule says `paper.LIMITS`. A group `smollm2`
is not planned: see there, too. Left out: the paper's task and models, which are not known to us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jominy.lab.spec import LabSpec
from jominy.studies.decisions.gating import Gate
from jominy.studies.design import Arm, Cell, Design, Settings

STEPS, PROMPTS, ROLLOUTS = 30, 16, 8
RATES: Mapping[str, float] = {"rl": 3e-4, "sft": 3e-5, "corrected": 1e-5}
"""Learning rates: of every arm of GRPO; of SFT, its variants and rft; of the own states with true verdicts."""
DIVIDE = "tokens"
"""Of every arm of GRPO; a KL at `rows` would weigh tokens by the length that was drawn, and so penalise retries for their length."""
STRENGTHS: Mapping[str, float] = {"weak": 0.1, "middle": 0.3, "strong": 1.0}
"""Name -> beta of a KL in the loss (k2: its gradient is that of KL(pi || start) at each context, which the one in the reward has too)."""
REWARD_STRENGTHS: Mapping[str, float] = {"weak": 0.2, "middle": 0.6, "strong": 2.0}
"""Name -> beta of a KL in the reward, which takes about as much of the move."""
ROWS, CHECK_EVERY, CHECK_PROMPTS = 32, 32, 128
"""Of a warm start: demonstrations a step, steps between checks, prompts of a check; a check asks the cell's own task alone."""
FURTHER_PROMPTS, SQUARE_PROMPTS, FEW_ROLLOUTS = 160, 48, 4
"""Of each further task and each square of two arms; of each square with the start; responses to each."""
GATE = Gate(
    first=(0.2, 0.65),
    further=(0.1, 0.8),
    least_room=0.12,
    least_room_further=0.03,
    most_cut=0.02,
    least_verdicts=0.9,
    least_judging=0.1,
)
"""What a warm start has to be (`gating`); else no run of either cell is begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A setting: what is trained on, what else is tested, how far the warm start goes.

    Example: Order(task="retry:digits=2", further={"longer numbers": "retry:digits=3"}, parts=(1, 2), shown=4096,
        wrong_share=0.2, pass_rate=0.5, steps=800)
    """

    task: str
    """As `--task` takes it."""
    further: Mapping[str, str]
    """Name -> task that no arm trains on."""
    parts: tuple[int, ...]
    """Of the warm start's demonstrations, for the task and each further one in turn; to as many prompts."""
    shown: int
    """Demonstrations of the warm start."""
    wrong_share: float
    """Of them accept a wrong attempt, so that the decider has something to learn; with the slips that others retry (`wrong` of the tasks)
    0.2 makes 4 of 9 wrong attempts accepted, 0.35 makes it 5 of 8. The wrong attempts themselves are learned in `habit_steps` alone."""
    pass_rate: float
    """Of the task alone, at which the warm start ends; some of it comes from trying again, so first attempts are right less often."""
    steps: int
    """At most."""
    habit_steps: int = 0
    """Behind them, in which wrong attempts are imitated: where the own errors are the same at every draw, trying again gains nothing."""

    @property
    def lab(self) -> LabSpec:
        """The warm start."""
        return LabSpec(
            tasks=tuple(task for task, part in zip((self.task, *self.further.values()), self.parts, strict=True) for _ in range(part)),
            distinct_prompts=True,
            demonstrations=self.shown,
            wrong_share=self.wrong_share,
            masked=("attempt.wrong",),
            habit_steps=self.habit_steps,
            pass_rate=self.pass_rate,
            checked=(self.task,),
            steps=self.steps,
            rows=ROWS,
            check_every=CHECK_EVERY,
            check_prompts=CHECK_PROMPTS,
        )


SUMS = "retry:attempts=3,digits=2,operators=+,wrong=0.25"
COUNTDOWN = "retry:problem=countdown,attempts=3,numbers=3,largest=25,wrong=0.25"
ORDERS: Mapping[str, Order] = {
    "sums": Order(
        task=SUMS,
        further={
            "longer numbers": "retry:attempts=3,digits=3,operators=+,wrong=0.25",
            "a new operator": "retry:attempts=3,digits=2,operators=-,wrong=0.25",
        },
        parts=(1, 2, 2),
        shown=8_192,
        wrong_share=0.35,
        pass_rate=0.8,
        steps=3200,
        habit_steps=100,
    ),
    "countdown": Order(
        task=COUNTDOWN,
        further={"larger numbers": "retry:problem=countdown,attempts=3,numbers=3,largest=50,wrong=0.25"},
        parts=(2, 1),
        shown=8_192,
        wrong_share=0.2,
        pass_rate=0.45,
        steps=2000,
    ),
}
"""Cell -> its setting; first attempts are to be right in 20 to 65 % of the cases, further tasks in 10 to 80 % (`GATE`)."""
TINY_GATE = Gate(
    first=(0.02, 1.0), further=(0.0, 1.0), least_room=0.0, least_room_further=0.0, most_cut=1.0, least_verdicts=0.5, least_judging=-1.0
)
GATES: Mapping[str, Gate] = {**dict.fromkeys(ORDERS, GATE), "tiny": TINY_GATE}
"""Cell -> what its warm start has to be."""

POOL = STEPS * PROMPTS
DEMONSTRATIONS = PROMPTS * ROLLOUTS
"""A step of SFT learns so many, from the same pool: as many as a step of RL draws."""
TRUE = "ground_truth:gate=none"

RL, SFT, SFT_MASKED = "grpo", "sft", "sft_masked"
OPPONENTS = (SFT, SFT_MASKED)
"""Arms whose models are exchanged with GRPO's: plain SFT imitates wrong attempts, the other one does not."""
RL_SAMPLING, RL_DECISION = "grpo_sampling", "grpo_decision"
VARIANTS = ("sft_balanced", SFT_MASKED, "corrected", "rft")
"""SFT arms that could close the gap to RL, each by another cause."""
KL_WHERE = ("kl_sampling", "kl_decision", "kl_balanced")


def kl_arm(where: str, strength: str) -> str:
    """Name of an arm: `kl_arm("loss", "weak")`."""
    return f"kl_{where}_{strength}"


def _sft(name: str, title: str, recipe: str) -> Arm:
    return Arm(name=name, title=title, family="sft", recipe=recipe, reward=TRUE, prompts=DEMONSTRATIONS, learning_rate=RATES["sft"])


def _rl(name: str, title: str, family: str, options: str = "", against: tuple[str, ...] = ()) -> Arm:
    """At the learning rate of the settings."""
    recipe = f"grpo:divide={DIVIDE}" + (f",{options}" if options else "")
    return Arm(name=name, title=title, family=family, recipe=recipe, reward=TRUE, against=against)


def _kl(where: str, kind: str, strengths: Mapping[str, float]) -> tuple[Arm, ...]:
    """An arm a strength."""
    return tuple(
        _rl(kl_arm(where, name), f"KL in the {where}, {beta:g}", "kl", f"kl={kind},beta={beta:g}") for name, beta in strengths.items()
    )


_MIDDLE = f"kl=k2,beta={STRENGTHS['middle']:g}"
ARMS = (
    # first, because the models that they leave are exchanged with that of GRPO
    _sft(SFT, "SFT", "sft"),
    _sft(SFT_MASKED, "SFT, no wrong attempts", "sft:spans=attempt.right+check+verdict"),
    _sft("sft_balanced", "SFT, both stages alike", "sft:divide=segments,spans=sampling+decision"),
    Arm(
        name="corrected",
        title="own attempts, true verdicts",
        family="sft",
        recipe="corrected",
        reward=TRUE,
        learning_rate=RATES["corrected"],
    ),
    Arm(name="rft", title="own right responses", family="sft", recipe="rft", reward=TRUE, learning_rate=RATES["sft"]),
    _rl(RL, "GRPO", "true", against=OPPONENTS),
    _rl(RL_SAMPLING, "GRPO, credit for attempts", "credit", "credit_spans=sampling"),
    _rl(RL_DECISION, "GRPO, credit for decisions", "credit", "credit_spans=decision"),
    *_kl("loss", "k2", STRENGTHS),
    *_kl("reward", "k1_reward", REWARD_STRENGTHS),
    _rl("kl_sampling", "KL in the loss, on attempts", "kl where", f"{_MIDDLE},kl_spans=sampling"),
    _rl("kl_decision", "KL in the loss, on decisions", "kl where", f"{_MIDDLE},kl_spans=decision"),
    _rl("kl_balanced", "KL in the loss, both alike", "kl where", f"{_MIDDLE},kl_spans=balanced"),
)
SQUARED = tuple(arm.name for arm in ARMS if not arm.family.startswith("kl"))
"""Arms that are exchanged with the warm start; no claim asks it of the others."""

CELLS = tuple(
    Cell(name=name, group="lab", model=f"warm start, {name}", task=order.task, lab=order.lab, further=order.further)
    for name, order in ORDERS.items()
)
LAB = Settings(
    seeds=5,
    steps=STEPS,
    prompts=PROMPTS,
    rollouts=ROLLOUTS,
    max_tokens=256,
    learning_rate=RATES["rl"],
    minibatches=1,
    eval_prompts=64,
    eval_rollouts=8,
    base_prompts=160,
    base_rollouts=16,
    workers=2,
    threads=1,
    pool=POOL,
    further_prompts=FURTHER_PROMPTS,
    further_rollouts=FEW_ROLLOUTS,
    bank_states=64,
    bank_checks=2,
    square_prompts=SQUARE_PROMPTS,
)
TINY = replace(
    LAB,
    seeds=1,
    steps=2,
    prompts=4,
    rollouts=4,
    max_tokens=96,
    learning_rate=1e-3,
    eval_prompts=6,
    eval_rollouts=4,
    base_prompts=100,
    base_rollouts=4,
    workers=1,
    pool=8,
    further_prompts=6,
    further_rollouts=2,
    bank_states=4,
    square_prompts=4,
)
SMOKE_ARMS = (*OPPONENTS, "corrected", RL, RL_DECISION, "kl_loss_middle", "kl_reward_middle", "kl_balanced")
TINY_ORDER = Order(
    task="retry:attempts=2,digits=1,operators=+",
    further={"a new operator": "retry:attempts=2,digits=1,operators=-"},
    parts=(2, 1),
    shown=120,
    wrong_share=0.2,
    pass_rate=1.0,
    steps=300,
)


def design(scale: str) -> Design:
    """The study at `smoke` (a tiny model, an arm of each kind, one seed: the machinery, no evidence) or `full`."""
    if scale == "full":
        return Design(study="decisions", scale=scale, cells=CELLS, arms=ARMS, settings={"lab": LAB})
    order = TINY_ORDER
    lab = replace(order.lab, pass_rate=None, check_every=0, rows=32, width=64, depth=2)
    cell = Cell(name="tiny", group="lab", model="tiny", task=order.task, lab=lab, further=order.further)
    chosen = [arm for arm in ARMS if arm.name in SMOKE_ARMS]
    arms = tuple(replace(arm, prompts=None if arm.prompts is None else 16, learning_rate=None) for arm in chosen)
    return Design(study="decisions", scale=scale, cells=(cell,), arms=arms, settings={"lab": TINY})
