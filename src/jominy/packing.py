"""From rollouts and advantages to the rows an engine scores or steps on. The only masking rule of jominy stands here.

    w_t = A_i for every token t of rollout i, the stop token included; no row where nothing is to be learned:
    unscored rollouts, and rollouts whose weights are all zero, are not computed at all. That is exact: a zero weight
    contributes a zero gradient.

Left out on purpose: padding and batching. Rows are ragged; an engine lays them out as its memory allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jominy.records import Floats, Ints, Rollout, Row


def rows_to_score(prompt_ids: Mapping[str, Sequence[int]], completions: Sequence[tuple[str, Sequence[int]]]) -> list[Row]:
    """One row a completion, in order, without weights: for `engine.logprobs`.

    Args:
        prompt_ids: prompt tokens by `Prompt.id`, as `engine.encode` gives them.
        completions: (`Prompt.id`, completion tokens), at least one token each.
    """
    return [Row(prompt_ids=np.asarray(prompt_ids[prompt_id]), completion_ids=np.asarray(tokens)) for prompt_id, tokens in completions]


def rows_to_train(
    prompt_ids: Mapping[str, Sequence[int]], rollouts: Sequence[Rollout], advantages_N: Floats, *, keep_truncated: bool = True
) -> tuple[list[Row], Ints]:
    """Rows with the advantage on every completion token, and which rollouts they are.

    Args:
        prompt_ids: prompt tokens by `Prompt.id`.
        rollouts: [N].
        advantages_N: [N] advantages; what stands at an unscored rollout is ignored.
        keep_truncated: False leaves out rollouts that were cut at the token limit.

    Returns:
        rows and the [R] positions in `rollouts` they belong to, increasing.

    >>> rollout = Rollout(prompt_id="p", index=0, text="5", token_ids=np.array([44, 2]), logprobs=None, logprobs_t1=None,
    ...                   stop="eos", policy="m", temperature=1.0, top_p=1.0, seed=0)
    >>> rows_to_train({"p": [1]}, [rollout], np.array([0.5]))       # not graded yet: no row
    ([], array([], dtype=int64))
    """
    if len(advantages_N) != len(rollouts):
        raise ValueError(f"advantages_N has {len(advantages_N)} entries for {len(rollouts)} rollouts")
    rows, positions = [], []
    for position, (rollout, advantage) in enumerate(zip(rollouts, advantages_N, strict=True)):
        unscored = rollout.reward is None or rollout.reward.value is None
        if unscored or advantage == 0 or (rollout.stop == "length" and not keep_truncated):
            continue
        row = Row(
            prompt_ids=np.asarray(prompt_ids[rollout.prompt_id]),
            completion_ids=np.asarray(rollout.token_ids),
            weights=np.full(len(rollout.token_ids), float(advantage)),
        )
        rows.append(row)
        positions.append(position)
    return rows, np.array(positions, dtype=np.int64)
