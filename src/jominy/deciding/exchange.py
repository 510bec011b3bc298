"""Square and bank of two run folders: what both policies make together, or why there is none.

    why not    one policy only, a task that does not say whose turn it is, K = 1, a model that was not kept, `--no-swap`
    prompts    those of both folders, or of `--swap-task`, none of them trained on

Where nothing is to be drawn, what an earlier call kept of the same two policies is shown, and what that call was asked for counts.
Left out on purpose: how a square is drawn (`square`), and how a bank is judged (`judged_bank`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from jominy.decided import BankDecided, Swapped
from jominy.deciding.cache import SWAP, Pair, digest_of, pair_of, remember, remembered
from jominy.deciding.folders import Compared, Sides, model_of, trained_on
from jominy.deciding.judged_bank import bank_decided
from jominy.deciding.policies import LoadContinuing, Policies
from jominy.deciding.rollouts import sample_spec_of
from jominy.deciding.square import swapped
from jominy.measures.decisions import NO_DECISION
from jominy.records import Retrying, Rollout, Task
from jominy.sampling import load_task_and_rewards
from jominy.specs import DecisionSpec, SampleSpec

NO_BANK = "`--bank 0` was said"
REMEMBERED = ("swap_prompts", "swap_rollouts", "swap_task", "bank")
"""What square and bank are asked for by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Square and bank, or why there are none.

    Example: Exchange(spec=DecisionSpec(), why_no_swap=NO_DECISION, why_no_bank=NO_DECISION)
    """

    spec: DecisionSpec
    """What was asked for: by this call or, where nothing is drawn, by the last that drew."""
    square: Swapped | None = None
    """Each policy as sampler and as decider."""
    why_no_swap: str = ""
    """Why `square` is None; else empty."""
    bank: BankDecided | None = None
    """Both policies on the same attempts."""
    why_no_bank: str = ""
    """Why `bank` is None; else empty."""


def exchanged(
    asked: Compared,
    sides: Sides,
    spec: DecisionSpec,
    seed: int,
    rng: np.random.Generator,
    load_engine: LoadContinuing,
    why_not: str,
    *,
    quiet: bool,
) -> Exchange:
    """What both policies make together; with `why_not` what an earlier call kept of it.

    Args:
        asked: folders and models.
        sides: their rollouts.
        spec: what to swap on, how much of it, and how large a bank.
        seed: of the bank.
        rng: of the square's intervals.
        load_engine: makes the policies.
        why_not: why nothing is to be drawn; empty where it is.
        quiet: no progress bar.

    Raises:
        ValueError: `--swap-task` gives no prompts, or its responses do not try again.
    """
    retrying, why = sides.task.retrying, ""
    if asked.before is None or sides.before is None:
        why = "it takes two policies; name the other one with `--against`"
    elif retrying is None or spec.spans not in (None, "task"):
        why = "it takes a task that says where attempts and decisions end (`Task.retrying`), and its own reader"
    elif retrying.num_attempts == 1:
        why = NO_DECISION
    elif why_not and not (asked.root / SWAP).is_dir():
        why = why_not
    if why:
        return Exchange(spec=spec, why_no_swap=why, why_no_bank=why)
    assert asked.before is not None
    assert retrying is not None
    try:
        drawn = replace(sample_spec_of(sides.after.run), rollouts=spec.swap_rollouts, samples=None)
        pair = pair_of(model_of(asked.before), model_of(asked.after), drawn, asked.root / SWAP)
    except ValueError as error:
        return Exchange(spec=spec, why_no_swap=why_not or str(error), why_no_bank=why_not or str(error))
    if why_not:
        spec = replace(spec, **(remembered(pair) or {}))
        pair = replace(pair, spec=replace(pair.spec, rollouts=spec.swap_rollouts))
    policies = Policies(pair, load_engine, quiet=quiet, why_not=why_not)
    square, why_no_swap = _square(pair, retrying, asked, sides, spec, policies, rng)
    bank, why_no_bank = _bank(pair, retrying, sides, spec, policies, seed)
    if not why_not and (square is not None or bank is not None):
        remember(pair, {name: value for name, value in asdict(spec).items() if name in REMEMBERED})
    return Exchange(spec=spec, square=square, why_no_swap=why_no_swap, bank=bank, why_no_bank=why_no_bank)


def _square(
    pair: Pair, retrying: Retrying, asked: Compared, sides: Sides, spec: DecisionSpec, policies: Policies, rng: np.random.Generator
) -> tuple[Swapped | None, str]:
    """On the first prompts of the folders, or on those of another task, none of them trained on; or None and why."""
    trained = trained_on(asked)
    if spec.swap_task is None:
        prompts, which = list(sides.prompts.values()), "the prompts of both folders"
    else:
        other, drawn = _task_of(pair.spec, spec.swap_task)
        if other.retrying is None:
            raise ValueError(f"--swap-task {spec.swap_task!r}: responses to it do not try again; take `retry` with other options")
        # the training's own seed would give the prompts that it trained on
        seed = int(digest_of(["swap", drawn.seed]), 16) % 2**31
        pair, retrying = pair_of(pair.before, pair.after, drawn, pair.root, pair.stamps), other.retrying
        prompts, which = other.prompts(spec.swap_prompts + len(trained), seed), f"those of {spec.swap_task} of seed {seed}"
        if not prompts:
            raise ValueError(f"--swap-task {spec.swap_task!r} gave no prompts")
    unseen = [prompt for prompt in prompts if prompt.id not in trained][: spec.swap_prompts]
    if not unseen:
        return None, f"all of {which} were trained on; name others with `--swap-task`"
    which = f"{len(unseen):,} of {which}" + (", none of them trained on" if trained else "")
    try:
        return swapped(pair, unseen, retrying, sides.success, policies, rng, which), ""
    except ValueError as error:
        return None, str(error)


def _bank(
    pair: Pair, retrying: Retrying, sides: Sides, spec: DecisionSpec, policies: Policies, seed: int
) -> tuple[BankDecided | None, str]:
    """Attempts of both sides; or None and why."""
    if not spec.bank:
        return None, NO_BANK
    assert sides.before is not None
    both: list[Rollout] = [*sides.before.rollouts, *sides.after.rollouts]
    try:
        return bank_decided(pair, both, list(sides.prompts.values()), retrying, spec.bank, policies, seed), ""
    except ValueError as error:
        return None, str(error)


def _task_of(spec: SampleSpec, name: str) -> tuple[Task, SampleSpec]:
    """Another task to swap on, and how it is drawn."""
    other = replace(spec, task=name, target_column=None, samples=None)
    return load_task_and_rewards(other)[0], other
