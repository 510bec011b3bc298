"""Which tokens of a step train, which spans and stages each belongs to.

    stage_of     attempt -> sampling;  check, verdict -> decision;  any other kind -> its own name          (2601.01580, B.4 of our notes)
    inside_NT    the response reaches this far, and the token lies in a wanted span (all tokens when none is asked for)
    segment_NT   0 outside any span, else 1 + the position of the span's stage among the stages of the step, in alphabetical order

A span is wanted by its full kind (`attempt.right`), by what stands before the dot (`attempt`), or by its stage (`sampling`). That no
rollout of a step has a wanted span is no mistake: a model that does not decide yet has nothing there to train, and other steps may have.
Decided here: where spans overlap the later one names the segment. Rollouts cut at the token limit that a recipe drops keep their place in
the baseline of their group (as in TRL): they say what the policy does, and dropping them there would reward finishing nothing.
Left out on purpose: padding for an engine; these arrays serve `divide` and are cut to rows again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from jominy.groups import Groups
from jominy.records import Bools, Ints, Rollout

SAMPLING, DECISION = "sampling", "decision"
STAGE_OF = {"attempt": SAMPLING, "check": DECISION, "verdict": DECISION}
"""Kind before the dot -> stage; what is not here is a stage of its own."""
LABELS = {"attempt": ("right", "wrong"), "verdict": ("accept", "retry"), SAMPLING: (), DECISION: ()}
"""What can stand behind the dot, where only certain words can: a stage has none, and other kinds are their author's."""


def proper(kind: str) -> str:
    """The kind without what is known of the span.

    >>> proper("attempt.right"), proper("check")
    ('attempt', 'check')
    """
    return kind.partition(".")[0]


def stage_of(kind: str) -> str:
    """The stage that a span belongs to.

    >>> stage_of("attempt.right"), stage_of("check"), stage_of("verdict.retry"), stage_of("plan.long")
    ('sampling', 'decision', 'decision', 'plan')
    """
    kind_proper = proper(kind)
    return STAGE_OF.get(kind_proper, kind_proper)


def is_wanted(kind: str, names: Collection[str]) -> bool:
    """Whether a span of this kind goes by one of the names.

    >>> [is_wanted("attempt.right", (name,)) for name in ("attempt.right", "attempt", "sampling", "attempt.wrong", "decision")]
    [True, True, True, False, False]
    """
    return kind in names or proper(kind) in names or stage_of(kind) in names


def kinds_of(names: Collection[str]) -> tuple[str, ...]:
    """The names with each stage replaced by its kinds.

    >>> kinds_of(["decision", "attempt.right"])
    ('check', 'verdict', 'attempt.right')
    """
    return tuple(kind for name in names for kind in [each for each, stage in STAGE_OF.items() if stage == name] or [name])


def meet(names: Collection[str], others: Collection[str]) -> bool:
    """Whether a span can go by one of `names` and by one of `others`.

    >>> meet(["check", "attempt"], ["decision"]), meet(["attempt.right"], ["attempt.wrong", "decision"])
    (True, False)
    """
    return any(is_wanted(one, (other,)) or is_wanted(other, (one,)) for one in names for other in others)


def layout(rollouts: Sequence[Rollout], names: Collection[str] = ()) -> tuple[Bools, Ints]:
    """inside_NT and segment_NT of the rollouts of a step, T the longest of them.

    Args:
        rollouts: [N] those that are kept.
        names: `Recipe.spans`.

    >>> from jominy.records import Span
    >>> rollout = Rollout(prompt_id="p", index=0, text="", token_ids=np.arange(3), logprobs=None, logprobs_t1=None, stop="eos",
    ...                   policy="m", temperature=1.0, top_p=1.0, seed=0, spans=(Span(kind="verdict", start=2, end=3),))
    >>> layout([rollout], ("verdict",))
    (array([[False, False,  True]]), array([[0, 0, 1]]))
    """
    stages = sorted({stage_of(span.kind) for rollout in rollouts for span in rollout.spans})
    segment_NT = np.zeros((len(rollouts), _longest(rollouts)), dtype=np.int64)
    reached_NT = np.zeros(segment_NT.shape, dtype=bool)
    for row, rollout in enumerate(rollouts):
        length = len(rollout.token_ids)
        reached_NT[row, :length] = True
        for span in rollout.spans:
            segment_NT[row, span.start : min(span.end, length)] = 1 + stages.index(stage_of(span.kind))
    return lying_in(rollouts, names) if names else reached_NT, segment_NT


def lying_in(rollouts: Sequence[Rollout], names: Collection[str]) -> Bools:
    """[N, T] tokens inside spans that go by one of the names, T the longest rollout; all False where nobody has any.

    Args:
        rollouts: [N] those that are kept.
        names: kinds, with or without what is known of them, or stages.
    """
    inside_NT = np.zeros((len(rollouts), _longest(rollouts)), dtype=bool)
    for row, rollout in enumerate(rollouts):
        for span in rollout.spans:
            inside_NT[row, span.start : min(span.end, len(rollout.token_ids))] |= is_wanted(span.kind, names)
    return inside_NT


def not_truncated(groups: Groups) -> Bools:
    """[N] rollouts that ended by themselves.

    Raises:
        ValueError: it is not known which were cut.
    """
    if groups.truncated_N is None:
        raise ValueError("truncated=drop needs to know which responses were cut at the token limit (column `stop`); use truncated=keep")
    return ~groups.truncated_N


def _longest(rollouts: Sequence[Rollout]) -> int:
    return max((len(rollout.token_ids) for rollout in rollouts), default=0)
