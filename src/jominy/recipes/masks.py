"""Which tokens of a step train, and which kind of span each belongs to.

    inside_NT    the response reaches this far, and the token lies in a span of a wanted kind (all tokens when none is asked for)
    segment_NT   0 outside any span, else 1 + the position of the span's kind among the kinds of the step, in alphabetical order

Decided here: where spans overlap the later one names the segment. Rollouts cut at the token limit that a recipe drops keep their place in
the baseline of their group (as in TRL): they say what the policy does, and dropping them there would reward finishing nothing.
Left out on purpose: padding for an engine; these arrays serve `divide` and are cut to rows again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jominy.groups import Groups
from jominy.records import Bools, Ints, Rollout


def layout(rollouts: Sequence[Rollout], kinds: tuple[str, ...] = ()) -> tuple[Bools, Ints]:
    """inside_NT and segment_NT of the rollouts of a step, T the longest of them.

    Args:
        rollouts: [N] those that are kept.
        kinds: `Recipe.spans`.

    Raises:
        ValueError: spans are asked for and no rollout has any: nothing would train.

    >>> from jominy.records import Span
    >>> rollout = Rollout(prompt_id="p", index=0, text="", token_ids=np.arange(3), logprobs=None, logprobs_t1=None, stop="eos",
    ...                   policy="m", temperature=1.0, top_p=1.0, seed=0, spans=(Span(kind="verdict", start=2, end=3),))
    >>> layout([rollout], ("verdict",))
    (array([[False, False,  True]]), array([[0, 0, 1]]))
    """
    there = sorted({span.kind for rollout in rollouts for span in rollout.spans})
    if kinds and rollouts and not there:
        raise ValueError(f"the recipe trains spans of kind {', '.join(kinds)}, but no rollout has spans; drop the option, or name them")
    longest = max((len(rollout.token_ids) for rollout in rollouts), default=0)
    inside_NT = np.zeros((len(rollouts), longest), dtype=bool)
    segment_NT = np.zeros((len(rollouts), longest), dtype=np.int64)
    for row, rollout in enumerate(rollouts):
        length = len(rollout.token_ids)
        inside_NT[row, :length] = not kinds
        for span in rollout.spans:
            inside_NT[row, span.start : min(span.end, length)] |= span.kind in kinds
            segment_NT[row, span.start : min(span.end, length)] = 1 + there.index(span.kind)
    return inside_NT, segment_NT


def not_truncated(groups: Groups) -> Bools:
    """[N] rollouts that ended by themselves.

    Raises:
        ValueError: it is not known which were cut.
    """
    if groups.truncated_N is None:
        raise ValueError("truncated=drop needs to know which responses were cut at the token limit (column `stop`); use truncated=keep")
    return ~groups.truncated_N
