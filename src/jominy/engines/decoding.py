"""The sampling loop: which rows are in flight, what they drew, when they leave, who comes next.

Rows are admitted a group at a time, as soon as a whole one fits; a finished row leaves after the step that finished it; a group is
yielded when its last row has left. What a row draws depends on its own uniforms and its own prompt only, so the schedule moves rollouts
by float noise at most. A response that is begun already goes on with the uniforms of its next positions: drawn in pieces it is the
response that is drawn at once.
Left out: the model (lanes.py), the draw (drawing.py), text and records (local.py).
LIMIT: a group larger than the batch is decoded in portions, and its prompt is read once a portion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jominy.engines import OnProgress
from jominy.engines.drawing import Drawn, draw, uniforms
from jominy.engines.lanes import Lanes
from jominy.engines.stopping import TextStops
from jominy.records import Bools, Floats, Ints, Sampling, Stop

PROGRESS_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawing:
    """What one row drew.

    Example: Drawing(index=3, token_ids=np.array([44, 2]), logprobs=np.array([-0.1, -0.02]),
                     logprobs_t1=np.array([-0.1, -0.02]), stop="eos")
    """

    index: int
    """0..G-1 inside its group."""
    token_ids: Ints
    """[T]."""
    logprobs: Floats
    """[T] nats at the sampling temperature."""
    logprobs_t1: Floats
    """[T] nats at temperature 1."""
    stop: Stop
    """Why it ends: eos, text or length."""
    entropies: Floats | None = None
    """[T] nats; None unless asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Rows of one group that are admitted together.

    Example: Portion(group=0, indices=(0, 1, 2, 3))
    """

    group: int
    """Number of the prompt in the call."""
    indices: tuple[int, ...]
    """Which rollouts of the group."""


class Columns:
    """The rows in flight as parallel arrays, in the order of the lanes."""

    def __init__(self, max_tokens: int, *, entropies: bool) -> None:
        """No rows yet; `entropies` says whether there will be any to record."""
        self.group_B: Ints = np.zeros(0, dtype=np.int64)
        self.index_B: Ints = np.zeros(0, dtype=np.int64)
        self.length_B: Ints = np.zeros(0, dtype=np.int64)
        self.uniforms_BT: NDArray[np.float64] = np.zeros((0, max_tokens))
        self.tokens_BT: Ints = np.zeros((0, max_tokens), dtype=np.int64)
        self.logprobs_BT: NDArray[np.float64] = np.zeros((0, max_tokens))
        self.logprobs_t1_BT: NDArray[np.float64] = np.zeros((0, max_tokens))
        self.entropies_BT: NDArray[np.float64] | None = np.zeros((0, max_tokens)) if entropies else None

    def __len__(self) -> int:
        """B."""
        return len(self.group_B)

    def append(self, portion: Portion, uniforms_nT: NDArray[np.float64]) -> None:
        """Adds the rows of a portion at the end."""
        count, max_tokens = uniforms_nT.shape
        self.group_B = np.append(self.group_B, np.full(count, portion.group))
        self.index_B = np.append(self.index_B, np.array(portion.indices, dtype=np.int64))
        self.length_B = np.append(self.length_B, np.zeros(count, dtype=np.int64))
        self.uniforms_BT = np.concatenate([self.uniforms_BT, uniforms_nT])
        self.tokens_BT = np.concatenate([self.tokens_BT, np.zeros((count, max_tokens), dtype=np.int64)])
        self.logprobs_BT = np.concatenate([self.logprobs_BT, np.zeros((count, max_tokens))])
        self.logprobs_t1_BT = np.concatenate([self.logprobs_t1_BT, np.zeros((count, max_tokens))])
        if self.entropies_BT is not None:
            self.entropies_BT = np.concatenate([self.entropies_BT, np.zeros((count, max_tokens))])

    def reorder(self, order_B: Ints) -> None:
        """Row i becomes what row order_B[i] was."""
        self.group_B, self.index_B, self.length_B = self.group_B[order_B], self.index_B[order_B], self.length_B[order_B]
        self.uniforms_BT, self.tokens_BT = self.uniforms_BT[order_B], self.tokens_BT[order_B]
        self.logprobs_BT, self.logprobs_t1_BT = self.logprobs_BT[order_B], self.logprobs_t1_BT[order_B]
        if self.entropies_BT is not None:
            self.entropies_BT = self.entropies_BT[order_B]

    def record(self, rows: Ints, drawn: Drawn) -> Ints:
        """Writes one drawn token for each of `rows`; returns the tokens."""
        at = self.length_B[rows]
        tokens = drawn.tokens_N.cpu().numpy()
        self.tokens_BT[rows, at] = tokens
        self.logprobs_BT[rows, at], self.logprobs_t1_BT[rows, at] = drawn.logprobs_N.cpu().numpy(), drawn.logprobs_t1_N.cpu().numpy()
        if self.entropies_BT is not None and drawn.entropies_N is not None:
            self.entropies_BT[rows, at] = drawn.entropies_N.cpu().numpy()
        self.length_B[rows] += 1
        return tokens

    def drawing(self, row: int, stop: Stop) -> Drawing:
        """What one row drew, copied out."""
        end = self.length_B[row]
        return Drawing(
            index=int(self.index_B[row]),
            token_ids=self.tokens_BT[row, :end].copy(),
            logprobs=self.logprobs_BT[row, :end].copy(),
            logprobs_t1=self.logprobs_t1_BT[row, :end].copy(),
            stop=stop,
            entropies=None if self.entropies_BT is None else self.entropies_BT[row, :end].copy(),
        )


class Loop:
    """One sampling call: `run` yields (group number, its drawings in order of index)."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        capacity: int,
        prompts: Sequence[list[int]],
        prompt_ids: Sequence[str],
        rollouts: Sequence[Sequence[int]],
        begun: Sequence[int],
        sampling: Sampling,
        seed: int,
        stop_ids: Sequence[int],
        text_stops: TextStops | None,
        device: torch.device,
        on_progress: OnProgress | None,
        positions: Sequence[list[int]] | None = None,
    ) -> None:
        """Longer prompts go first, so that neighbours have like lengths and the padding is small.

        Args:
            lanes: room for `capacity` rows.
            capacity: rows in flight at most.
            prompts: token ids of each prompt, with what there is of its response behind them.
            prompt_ids: who they are; part of what the uniforms depend on.
            rollouts: of each prompt, the numbers of the rollouts to draw, increasing.
            begun: of each prompt, how many of its tokens belong to the response.
            sampling: `max_tokens` counts the whole response, what is begun included.
            seed: of the uniforms.
            stop_ids: tokens that end a row.
            text_stops: texts that do; None without any.
            device: of the logits.
            on_progress: called every few steps.
            positions: of each prompt, where its tokens stand when some were left out; None is 0, 1, 2, ...
        """
        self.positions = positions
        self.lanes, self.capacity, self.prompts, self.prompt_ids = lanes, capacity, prompts, prompt_ids
        self.rollouts, self.begun, self.sampling, self.seed, self.device = rollouts, begun, sampling, seed, device
        self.limit_G = sampling.max_tokens - np.array(begun, dtype=np.int64)
        self.text_stops = text_stops
        self.stop_ids = np.array(sorted(stop_ids), dtype=np.int64)
        self.on_progress = on_progress
        self.columns = Columns(int(self.limit_G.max()), entropies=sampling.entropies)
        by_length = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
        self.waiting = deque(
            Portion(group=group, indices=tuple(rollouts[group][first : first + capacity]))
            for group in by_length
            for first in range(0, len(rollouts[group]), capacity)
        )
        self.finished: dict[int, list[Drawing]] = {group: [] for group in by_length}
        self.news = np.zeros(2, dtype=np.int64)

    def run(self) -> Iterator[tuple[int, list[Drawing]]]:
        """Draws until every group is finished."""
        steps = 0
        while self.waiting or len(self.columns):
            portions = self._next_portions()
            if portions:
                yield from self._after(self._admit(portions))
            if len(self.columns):
                rows = np.arange(len(self.columns))
                last = self.columns.tokens_BT[rows, self.columns.length_B - 1]
                logits_BV = self.lanes.step(torch.from_numpy(last).to(self.device))
                yield from self._after(self._draw(logits_BV, rows, rows))
            steps += 1
            if steps % PROGRESS_STEPS == 0:
                self._tell()
        self._tell()

    def _next_portions(self) -> list[Portion]:
        """Takes from the queue what fits now."""
        room = self.capacity - len(self.columns)
        portions: list[Portion] = []
        if self.lanes.one_prompt_at_a_time:
            return [self.waiting.popleft()] if self.waiting and not len(self.columns) else []
        while self.waiting and len(self.waiting[0].indices) <= room:
            room -= len(self.waiting[0].indices)
            portions.append(self.waiting.popleft())
        return portions

    def _admit(self, portions: list[Portion]) -> Bools:
        """Reads the prompts, appends the rows and draws their first tokens."""
        first_row = len(self.columns)
        counts = [len(portion.indices) for portion in portions]
        places = None if self.positions is None else [self.positions[portion.group] for portion in portions]
        logits_PV = self.lanes.admit([self.prompts[portion.group] for portion in portions], counts, places)
        for portion in portions:
            self.columns.append(portion, self._uniforms(portion))
        return self._draw(logits_PV, np.repeat(np.arange(len(portions)), counts), np.arange(first_row, len(self.columns)))

    def _uniforms(self, portion: Portion) -> NDArray[np.float64]:
        """[rows, most tokens of any row]: the numbers of the positions that are still to be drawn, zeros behind them."""
        identity, begun, limit = self.prompt_ids[portion.group], self.begun[portion.group], int(self.limit_G[portion.group])
        uniforms_nT = np.zeros((len(portion.indices), int(self.limit_G.max())))
        for row, index in enumerate(portion.indices):
            uniforms_nT[row, :limit] = uniforms(self.seed, identity, index, self.sampling.max_tokens)[begun:]
        return uniforms_nT

    def _draw(self, logits: torch.Tensor, source: Ints, rows: Ints) -> Bools:
        """Draws and records one token for each of `rows` from logits[source]; returns [B] which rows are finished."""
        columns = self.columns
        uniforms_N = torch.from_numpy(columns.uniforms_BT[rows, columns.length_B[rows]]).to(self.device)
        with torch.inference_mode():
            drawn = draw(logits, torch.from_numpy(source).to(self.device), uniforms_N, self.sampling)
        tokens = columns.record(rows, drawn)
        self.news[1] += len(rows)
        finished_B = np.zeros(len(columns), dtype=bool)
        finished_B[rows] = np.isin(tokens, self.stop_ids) | (columns.length_B[rows] == self.limit_G[columns.group_B[rows]])
        if self.text_stops is not None:
            for row in rows[self.text_stops.may_end(tokens) & ~finished_B[rows]].tolist():
                finished_B[row] = self.text_stops.ended(columns.tokens_BT[row, : columns.length_B[row]])
        return finished_B

    def _why(self, row: int) -> Stop:
        """Why a finished row ends."""
        tokens = self.columns.tokens_BT[row, : self.columns.length_B[row]]
        if np.isin(tokens[-1], self.stop_ids):
            return "eos"
        return "text" if self.text_stops is not None and self.text_stops.ended(tokens) else "length"

    def _after(self, finished_B: Bools) -> Iterator[tuple[int, list[Drawing]]]:
        """Takes finished rows out and yields the groups that this completes."""
        if not finished_B.any():
            return
        complete = []
        for row in np.flatnonzero(finished_B).tolist():
            group = int(self.columns.group_B[row])
            self.finished[group].append(self.columns.drawing(row, self._why(row)))
            if len(self.finished[group]) == len(self.rollouts[group]):
                complete.append(group)
        self.news[0] += int(np.count_nonzero(finished_B))
        self.columns.reorder(self.lanes.leave(finished_B))
        for group in complete:
            self._tell()
            yield group, sorted(self.finished.pop(group), key=lambda drawing: drawing.index)

    def _tell(self) -> None:
        """Reports what is new since the last report."""
        if self.on_progress is not None and self.news.any():
            finished, tokens = self.news.tolist()
            self.news[:] = 0
            self.on_progress(finished, tokens)


def stop_token_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end a response: the generation config's, one or several, and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({token for token in [*listed, tokenizer.eos_token_id] if token is not None}))
