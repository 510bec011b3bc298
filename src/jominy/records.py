"""The nouns of jominy: what a prompt, a rollout, a reward, a measure and a finding are.

Frozen values, passed between all parts; every other module imports this one and it imports none of them but `traces`.
`reward`, `advantage` and `weight` are three names on three records: a reward judges a text, an advantage compares
it with its group, a weight multiplies one token's log-probability in a training step.
Left out on purpose: behaviour. Anything that computes lives with the measure, recipe or verb it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jominy.traces import Trace

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

Severity = Literal["stop", "fix", "watch", "good"]
Stop = Literal["eos", "length", "text", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """Where a formula or a claim comes from.

    Example: Paper(arxiv="2508.21188", title="Mirage or Method?", where="section 3, eq. 1")
    """

    arxiv: str
    """arXiv identifier without version, e.g. `2508.21188`; empty for a choice of our own."""
    title: str
    """Short title, as a person would say it."""
    where: str = ""
    """Section, equation or table inside the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation.

    Example: Message(role="user", content="What is 2 + 3?")
    """

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    content: str
    """What is said, plain text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question of a task, with what is needed to grade answers to it.

    Example: Prompt(id="9f2c...", task="arithmetic", messages=(Message(role="user", content="2 + 3 = ?"),),
                    target="5", gold_answer="5", wrong_answer="6")
    """

    id: str
    """Content hash (see `identify` in tasks); equal prompts of equal tasks have equal ids."""
    task: str
    """Name of the task that made it, as `--task` takes it."""
    messages: tuple[Message, ...]
    """The conversation so far; the model writes the next assistant turn."""
    target: str | None = None
    """What the reward compares with, where the task has such a thing."""
    gold_answer: str | None = None
    """A full response that must score 1; lets `jominy check` test the reward without a model."""
    wrong_answer: str | None = None
    """A full response that must score below 1."""
    num_choices: int | None = None
    """Size of the answer space when a blind guess can be right (2 for yes/no); None when guessing is hopeless."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Further columns of the task, JSON-serialisable, e.g. the constraint types."""
    raw: bool = False
    """The model goes on with the text of the messages as it stands: no chat template, no assistant's turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A named stretch of a rollout's tokens.

    Example: Span(kind="attempt", start=0, end=57, index=0)
    """

    kind: str
    """attempt.right, attempt.wrong, check, verdict.accept, verdict.retry ...: a kind and, behind a dot, what is known of it."""
    start: int
    """First token, counted in the completion."""
    end: int
    """One past the last token."""
    index: int = 0
    """Which of several spans of this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """The judgement of one response.

    Example: Reward(value=0.0, parts={"no_commas": 1.0, "three_bullets": 0.0})
    Example: Reward(value=None, note="timed out after 5 s")        # unscored: in no baseline, in every count
    """

    value: float | None
    """The reward; None when it could not be computed, and then `note` says why."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Named contributions, e.g. one per constraint."""
    answer: str | None = None
    """The answer that was extracted from the text, where the task extracts one."""
    note: str = ""
    """Why there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rollout:
    """One sampled response with everything the sampler knew.

    Example: Rollout(prompt_id="9f2c...", index=3, text="5", token_ids=np.array([44, 2]),
                     logprobs=np.array([-0.1, -0.02]), logprobs_t1=np.array([-0.1, -0.02]), stop="eos",
                     policy="smollm2", temperature=1.0, top_p=1.0, seed=0)
    """

    prompt_id: str
    """The `Prompt.id` this answers."""
    index: int
    """0..G-1 inside its group."""
    text: str
    """The decoded response without special tokens."""
    token_ids: Ints
    """[T] drawn tokens, the stop token included when one was drawn."""
    logprobs: Floats | None
    """[T] nats, of each drawn token under the full-vocabulary softmax at the sampling temperature (before top-p)."""
    logprobs_t1: Floats | None
    """[T] nats, the same at temperature 1: what clarity and re-scoring compare with."""
    stop: Stop
    """eos: a stop token was drawn; length: cut at the token limit; text: one of `Sampling.stops` was written; error: the engine failed."""
    policy: str
    """Model and revision or step that drew it."""
    temperature: float
    top_p: float
    seed: int
    pieces: tuple[str, ...] | None = None
    """[T] the text that each token contributed; joined they are the text with its special tokens."""
    spans: tuple[Span, ...] = ()
    """Named stretches, e.g. attempts and verdicts."""
    reward: Reward | None = None
    """None until graded."""
    gold: float | None = None
    """True correctness in [0, 1] where the training reward may differ from it; None where it is the reward."""
    entropies: Floats | None = None
    """[T] nats, entropy of the full-vocabulary softmax that each token was drawn from, at the sampling temperature and before top-p; None
    unless `Sampling.entropies` asked for it. Never stored."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """What an engine scores or steps on: a prompt, a completion, and a weight for each completion token.

    Example: Row(prompt_ids=np.array([1, 5, 9]), completion_ids=np.array([44, 2]), weights=np.array([1.0, 1.0]))
    """

    prompt_ids: Ints
    """[S] tokens that are conditioned on and never trained."""
    completion_ids: Ints
    """[T] tokens that are scored."""
    weights: Floats | None = None
    """[T] `w_t` of the weighted log-likelihood; None when the row is only scored."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainRow:
    """One response as a training step takes it: what `weigh` needs to say what each token weighs, and what the sum is divided by.

    Example: TrainRow(prompt_ids=np.array([1, 5, 9]), completion_ids=np.array([44, 2]), advantages=np.array([0.5, 0.5]),
                      inside=np.array([True, True]), scale=np.array([0.25, 0.25]))
    """

    prompt_ids: Ints
    """[S] tokens that are conditioned on, at least one; neighbours with the same prompt share its computation."""
    completion_ids: Ints
    """[T] tokens that are trained, at least one."""
    advantages: Floats
    """[T] credit of each token; 0 outside the spans that a recipe credits."""
    inside: Bools
    """[T] whether the token trains; the recipe's masks are in here."""
    scale: Floats
    """[T] one over the divisor of the whole step, 0 where nothing trains."""
    old_logprobs: Floats | None = None
    """[T] nats under the policy that drew it, at the sampling temperature; None on policy, where they are the present ones."""
    reference_logprobs: Floats | None = None
    """[T] nats under the policy that training started from; None when the recipe has no KL."""
    kl_factors: Floats | None = None
    """[T] what the KL term of each token is multiplied by, at least 0; None is 1 everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How responses are drawn.

    Example: Sampling(temperature=1.0, top_p=1.0, max_tokens=64)
    """

    temperature: float = 1.0
    """Softmax temperature, > 0 draws, 0 takes the most likely token."""
    top_p: float = 1.0
    """Smallest set of words whose probability reaches this; 1 keeps all."""
    max_tokens: int = 64
    """Longest response in tokens."""
    entropies: bool = False
    """Whether to keep the entropy of the softmax behind each token; costs a pass over the logits."""
    stops: tuple[str, ...] = ()
    """A row also ends with the token that completes one of these texts; what that token says behind the text stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number we would sign: an estimate with its interval and what was left out.

    Example: Measure(name="pass@16", value=0.62, low=0.55, high=0.69, unit="share", num_prompts=64, num_unscored=3)
    """

    name: str
    """The field's own term: pass@16, live share, silhouette ..."""
    value: float | None
    """The estimate; None when undefined, and then `why_none` says why."""
    low: float | None = None
    """Lower end of the 95 % interval, in `unit`; None when no interval exists (a count, or one prompt)."""
    high: float | None = None
    """Upper end of the 95 % interval, in `unit`."""
    unit: str = "share"
    """share, nats, tokens, prompts, z, ..."""
    num_prompts: int = 0
    """Prompts that entered; they are the resampling unit."""
    num_unscored: int = 0
    """Rollouts left out because no reward could be computed."""
    num_left_out: int = 0
    """Prompts left out because the measure is undefined on them, e.g. one class only."""
    why_none: str = ""
    """Why there is no value."""
    meaning: str = ""
    """One sentence a reader of the page needs to understand the number."""
    paper: Paper | None = None
    """Source of the formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing a diagnosis has to say: what was seen, how sure, what to do.

    Example: Finding(code="few-live", severity="fix", title="Only 21 % of the groups would carry a gradient",
                     evidence=(measure,), prescription="Drop the 19 prompts that never pass ...", reference=paper)
    """

    code: str
    """Stable kebab-case name, for `--fail-on` scripts and for grep."""
    severity: Severity
    """stop: RL cannot work; fix: change something first; watch: keep an eye on it; good: evidence that it will work."""
    title: str
    """One line with the number in it."""
    evidence: tuple[Measure, ...]
    """The measures that decided it."""
    prescription: str
    """What to do, concretely."""
    rule: str = ""
    """The comparison that fired, with numbers: `gradient share 0.21 < live_fix 0.3`."""
    reference: Paper | None = None
    """Why this matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A check that could not run.

    Example: Skipped(code="clarity", missing="log-probabilities of the rollouts (column `logprobs`)")
    """

    code: str
    """The check that did not run."""
    missing: str
    """What it needs."""


RewardFunction = Callable[[Prompt, str], Reward]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReward:
    """A reward that looks at the whole group: at what the others answered, at log-probabilities, at the truth, or at chance.

    Example: GroupReward(name="random:gamma=0.3", summary="1 with chance gamma, whatever was said", judge=toss)
    """

    name: str
    """As `--reward` takes it, options included."""
    summary: str
    """One line for the listing."""
    judge: Callable[[Prompt, Sequence[Rollout]], list[Reward]]
    """(prompt, the rollouts of ONE group in order) -> a reward each. Every rollout is graded already: `rollout.reward` is what `base` says,
    with `.value` and `.answer`. Pure, and called in this process: a crash in it stops the run."""
    base: RewardFunction | None = None
    """What grades each rollout before `judge`; None is the task's own reward, the truth. The truth is kept as gold either way."""
    smallest_group: int = 1
    """Rollouts a prompt that a training batch needs at least; an evaluation may have fewer, and they are then all that is judged."""
    trained: int | None = None
    """Only the first so many rollouts of a group train, though all take part in the judgement; None trains all."""
    needs_entropies: bool = False
    """Whether it reads `Rollout.entropies`."""
    paper: Paper | None = None
    """Where it comes from."""
    judge_all: Callable[[Sequence[tuple[Prompt, Sequence[Rollout]]]], list[list[Reward]]] | None = None
    """Judges many groups at once, in place of `judge`, where that is faster: a judge is asked about all of them side by side."""
    spent: Callable[[], Mapping[str, Any]] | None = None
    """What judging has cost since the last call (`rewards.metering.Spent` as JSON); None where there is nothing to count."""


AnyReward = RewardFunction | GroupReward


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """What a program sees in the steps that a response writes down.

    Example: Working(method="highest first", error="E3.1", note="47 + 80 = 128")
    """

    method: str | None
    """Name of the way of solving; None when there is none to see."""
    error: str | None
    """Code of the error (`rewards.taxonomy`) that makes it wrong; None when nothing is wrong with it."""
    note: str = ""
    """Where the error is, or why there is no method."""


TraceReader = Callable[[Prompt, str, Stop], Trace]
"""(prompt, text without the stop token, how it ended) -> what was tried and decided in it. Pure; never raises on any text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """How the responses of a task alternate between solving and deciding.

    Example: load_task("retry").retrying.num_attempts == 3
    """

    num_attempts: int
    """K, the most attempts there may be; the answer of the K-th stands without a decision."""
    read: TraceReader
    """What was tried and decided in a response."""
    solution_end: str
    """Text that ends an attempt: here the word passes from solving to deciding."""
    decision_end: str
    """Text that ends a decision: here the word passes back."""
    verdicts: tuple[str, str]
    """(accept, retry) as the text writes them, from the first character that differs."""
    put_right: Callable[[Prompt, str, Stop], str | None]
    """The response with its first wrong decision replaced by the right one and cut behind it; the response itself, cut behind the last
    decision, when all are right; None when it holds no decision."""
    markers: tuple[str, ...] = ()
    """Texts that stand in every response; a made-to-order model reads each as one token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Prompts and how responses to them are graded.

    Example: Task(name="arithmetic", summary="sums with carries", prompts=make_prompts, reward=grade)
    """

    name: str
    """The name under which `load_task` makes it again, options included: `arithmetic:digits=3`."""
    summary: str
    """One line for the listing."""
    prompts: Callable[[int, int], list[Prompt]]
    """(num_prompts, seed) -> at most that many prompts with distinct ids; a finite set returns a seeded sample of itself."""
    reward: RewardFunction
    """Pure and deterministic; may raise, which the grading boundary turns into unscored."""
    format: Callable[[Prompt, str], bool] | None = None
    """Whether a response has the form that the prompt asks for, right or wrong; called in this process. None where there is none."""
    lenient: RewardFunction | None = None
    """The reward of the answer wherever it stands in the text, by the best rule there is for finding it: what the model can do, whatever
    form it writes in. For measuring only, never for training; None where the task has no such rule."""
    read_steps: Callable[[Prompt, str, Stop], Working] | None = None
    """What a program sees in a response's written steps: its method and its error, exactly. None where no program can tell."""
    retrying: Retrying | None = None
    """How its responses alternate between attempts and decisions about them; None where they do not."""
    paper: Paper | None = None
    """Source of the data or of the checkers."""
