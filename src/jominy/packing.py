"""From completions to the rows an engine scores. Rows are ragged; an engine lays them out as its memory allows.

Left out on purpose: advantages and masks. What a training step takes is made by `crediting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jominy.records import Row


def rows_to_score(prompt_ids: Mapping[str, Sequence[int]], completions: Sequence[tuple[str, Sequence[int]]]) -> list[Row]:
    """One row a completion, in order, without weights: for `engine.logprobs`.

    Args:
        prompt_ids: prompt tokens by `Prompt.id`, as `engine.encode` gives them.
        completions: (`Prompt.id`, completion tokens), at least one token each.
    """
    return [Row(prompt_ids=np.asarray(prompt_ids[prompt_id]), completion_ids=np.asarray(tokens)) for prompt_id, tokens in completions]
