"""What a step learns from: groups that are drawn and graded until the recipe has what it asks for.

    off               one batch of P prompts, as it comes
    until_full        batch after batch until P groups keep a rollout, ten batches at most           (2503.14476, dynamic sampling)
    two_then_repeat   two batches at most, then the groups that keep one are repeated until full      (2508.21188, released code)

Where ten batches are not enough the step learns from what there is: stopping a run because the prompts have become too easy helps nobody,
and the line in steps.jsonl says how many groups were live. Repeating raises the effective learning rate on the few live prompts, which is
why `num_live_prompts` is written too. A pool smaller than a batch fills it with several groups of each prompt. A recipe whose source is
"corrected" learns from the drawn responses with their decisions put right (`correcting`); what was drawn is written down as it was drawn.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from jominy.correcting import REASONS, Reason, corrected_group
from jominy.crediting import groups_of_rollouts, live_groups
from jominy.engines import TrainingEngine
from jominy.grading import Graders, needs_entropies, trained_of
from jominy.groups import Groups
from jominy.preparing import Plan
from jominy.records import Floats, Prompt, Reward, Rollout, Sampling
from jominy.schedule import draw_seed, prompts_at
from jominy.tracing import marked
from jominy.watching import Panel

MOST_BATCHES = {"off": 1, "until_full": 10, "two_then_repeat": 2}

Drawn = tuple[tuple[Rollout, ...], ...]
"""Graded groups."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """The groups of a step.

    Example: drawer.draw(step=1, first_place=0).groups.num_prompts
    """

    drawn: Drawn
    """Everything that was drawn and graded."""
    trained: Drawn
    """The groups that the step learns from; one may stand there several times, and of each only the rollouts that train, put right where
    that is what is learned."""
    groups: Groups
    """`trained` as columns."""
    num_batches: int
    """Batches that were drawn."""
    num_places: int
    """Places of the schedule that they used."""
    num_live_prompts: int
    """Distinct prompts of which something is kept."""
    left_out: Mapping[Reason, int] | None
    """Responses that are not learned from although they were drawn for it, by reason; None where the recipe puts no decisions right."""
    sampling_s: float
    """Seconds in the sampler."""
    grading_s: float
    """Seconds in the reward."""


class Drawer:
    """Draws batches; a context manager, since rewards run in processes of their own."""

    def __init__(self, plan: Plan, engine: TrainingEngine, panel: Panel) -> None:
        """Nothing is drawn yet."""
        self.plan, self.engine, self.panel = plan, engine, panel
        self.spec = plan.spec
        self.sampling = Sampling(
            temperature=plan.spec.temperature, top_p=1.0, max_tokens=plan.spec.max_tokens, entropies=needs_entropies(plan.reward)
        )
        self.stack = ExitStack()

    def __enter__(self) -> Drawer:
        """Starts the rewards' first processes."""
        self.graders = self.stack.enter_context(Graders(self.plan.reward, self.plan.gold, timeout_s=self.spec.data.reward_timeout))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends them."""
        self.stack.close()

    def draw(self, step: int, first_place: int) -> Batch:
        """The batch of a step.

        Args:
            step: 1, 2, ...; seeds the draws.
            first_place: the first place of the schedule that is not used yet.
        """
        wanted, fill = self.spec.prompts, self.plan.recipe.fill
        drawn: list[tuple[Rollout, ...]] = []
        parts: list[tuple[Rollout, ...]] = []
        left_out: Counter[Reason] = Counter()
        seconds: Floats = np.zeros(2)
        num_batches = 0
        while num_batches < MOST_BATCHES[fill] and (num_batches == 0 or len(self._live(parts)) < wanted):
            prompts = prompts_at(self.plan.pool, first_place + num_batches * wanted, wanted, self.spec.seed)
            if self.plan.recipe.source == "demonstrations":
                groups = self._demonstrations(prompts)
            else:
                groups, spent = self._sample(prompts, step, num_batches)
                seconds = seconds + spent
            drawn += groups
            some, reasons = self._trained_parts(groups, {prompt.id: prompt for prompt in prompts})
            parts += some
            left_out += reasons
            num_batches += 1
        live = parts if fill == "off" else self._live(parts)
        trained = live[:wanted]
        if fill == "two_then_repeat" and live:
            trained = [live[number * min(len(live), wanted) // wanted] for number in range(wanted)]
        return Batch(
            drawn=tuple(drawn),
            trained=tuple(trained),
            groups=groups_of_rollouts(trained, self.spec.data.success),
            num_batches=num_batches,
            num_places=num_batches * wanted,
            num_live_prompts=len({part[0].prompt_id for part in self._live(parts)}),
            left_out={reason: left_out[reason] for reason in REASONS} if self.plan.recipe.source == "corrected" else None,
            sampling_s=float(seconds[0]),
            grading_s=float(seconds[1]),
        )

    def _live(self, parts: Sequence[tuple[Rollout, ...]]) -> list[tuple[Rollout, ...]]:
        """The groups, cut to the rollouts that train, of which the recipe keeps something."""
        groups = groups_of_rollouts(parts, self.spec.data.success)
        live_P = live_groups(self.plan.recipe.keep(groups), groups)
        return [part for part, live in zip(parts, live_P.tolist(), strict=True) if live]

    def _trained_parts(
        self, drawn: Sequence[tuple[Rollout, ...]], prompts: Mapping[str, Prompt]
    ) -> tuple[list[tuple[Rollout, ...]], Counter[Reason]]:
        """Of each group what the recipe sees: the rollouts that train, put right where it learns that; and why some are left out.

        Groups without any are not there. That no response of a batch decides anything is no mistake of the run: the step learns nothing.
        """
        parts = [group[: trained_of(self.plan.reward)] for group in drawn]
        left_out: Counter[Reason] = Counter()
        if self.plan.recipe.source != "corrected":
            return parts, left_out
        retrying = self.plan.retrying
        assert retrying is not None, "prepare() refuses a task that does not say how its responses alternate"
        right: list[tuple[Rollout, ...]] = []
        for part in parts:
            made, reasons = corrected_group(part, prompts[part[0].prompt_id], retrying, self.engine, self.spec.max_tokens)
            left_out += reasons
            right += [made] if made else []
        return right, left_out

    def _sample(self, prompts: Sequence[Prompt], step: int, batch: int) -> tuple[list[tuple[Rollout, ...]], Floats]:
        """One batch of graded groups in the order of `prompts`, and the seconds of sampling and grading."""
        distinct = {prompt.id: prompt for prompt in prompts}
        times = {key: sum(prompt.id == key for prompt in prompts) for key in distinct}
        seconds: Floats = np.zeros(2)
        of_prompt: dict[str, list[Rollout]] = {}
        size = self.spec.rollouts
        self.panel.stage("sampling", len(prompts) * size)
        for copies in sorted(set(times.values())):
            some = [prompt for key, prompt in distinct.items() if times[key] == copies]
            started = time.monotonic()
            drawings = self.engine.sampler(step - 1).sample(
                some, size * copies, self.sampling, draw_seed(self.spec.seed, step, batch), self.panel.advance
            )
            for group in drawings:
                of_prompt[group[0].prompt_id] = group
            seconds[0] += time.monotonic() - started
        self.panel.stage("grading")
        started = time.monotonic()
        groups = []
        for prompt in prompts:
            groups.append(of_prompt[prompt.id][:size])
            of_prompt[prompt.id] = of_prompt[prompt.id][size:]
        graded = [tuple(marked(group, distinct, self.plan.retrying)) for group in self.graders.grade(groups, distinct)]
        seconds[1] += time.monotonic() - started
        return graded, seconds

    def _demonstrations(self, prompts: Sequence[Prompt]) -> list[tuple[Rollout, ...]]:
        """The gold answers as groups of one."""
        return [(self._demonstration(prompt),) for prompt in prompts if prompt.gold_answer is not None]

    def _demonstration(self, prompt: Prompt) -> Rollout:
        assert prompt.gold_answer is not None
        token_ids = self.engine.encode_completion(prompt.gold_answer)
        rollout = Rollout(
            prompt_id=prompt.id,
            index=0,
            text=prompt.gold_answer,
            token_ids=token_ids,
            logprobs=None,
            logprobs_t1=None,
            stop="eos",
            policy="demonstration",
            temperature=self.sampling.temperature,
            top_p=1.0,
            seed=self.spec.seed,
            pieces=None if self.plan.retrying is None else self.engine.pieces(token_ids),
        )
        return marked([replace(rollout, reward=Reward(value=1.0))], {prompt.id: prompt}, self.plan.retrying)[0]
