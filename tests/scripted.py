"""An engine whose answers are written down beforehand, for tests of the verbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from jominy.engines import OnProgress
from jominy.records import Floats, Prompt, Rollout, Row, Sampling

LOGP = -0.5


class ScriptedEngine:
    """Says the gold answer on every `right_every`-th rollout and the known-wrong one else; can be stopped after some groups."""

    context: int | None = None

    def __init__(self, right_every: int = 2, stop_after: int | None = None, logp_of_scorer: float = LOGP) -> None:
        self.name = "scripted"
        self.right_every = right_every
        self.stop_after = stop_after
        self.logp_of_scorer = logp_of_scorer
        self.prompts_asked: list[str] = []

    @property
    def device(self) -> str:
        return "nowhere"

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        for number, prompt in enumerate(prompts):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.prompts_asked.append(prompt.id)
            yield [self._rollout(prompt, index, sampling, seed) for index in range(num_rollouts)]

    def _rollout(self, prompt: Prompt, index: int, sampling: Sampling, seed: int) -> Rollout:
        right = index % self.right_every == 0
        text = (prompt.gold_answer if right else prompt.wrong_answer) or ""
        return Rollout(
            prompt_id=prompt.id,
            index=index,
            text=text,
            token_ids=np.array([7, 8, 2]),
            logprobs=np.full(3, LOGP, dtype=np.float32),
            logprobs_t1=np.full(3, LOGP if right else 3 * LOGP, dtype=np.float32),
            stop="eos",
            policy=self.name,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
        )

    def logprobs(self, rows: Sequence[Row]) -> list[Floats]:
        return [np.full(len(row.completion_ids), self.logp_of_scorer) for row in rows]

    def encode(self, prompt: Prompt) -> list[int]:
        return [1, 5]

    def encode_text(self, text: str) -> list[int]:
        return list(map(ord, text))
