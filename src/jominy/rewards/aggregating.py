"""From the verdicts on a response's constraints to one reward: four ways that the literature pays for instruction following.

    all_pass       1 if every constraint holds, else 0                             (2601.04954; the default)
    mean           the share of constraints that hold
    verif_product  share of the hard ones that hold  x  1 if all soft ones hold    (what the code of VerIF, 2506.09942, pays)
    verif_mean     (1 if all hard ones hold + 1 if all soft ones hold) / 2         (what its paper says)

A side without constraints says nothing: the other one is the reward. Which of the two VerIF ways an author means has to be asked.
Left out on purpose: deciding early. Under `all_pass` one violation settles the reward whatever an unread verdict says, but scoring
only those responses would leave a sample of failures; a response with any verdict missing is unscored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

Kind = Literal["hard", "soft"]
KINDS: tuple[Kind, ...] = ("hard", "soft")


def aggregate(name: str, kinds: Sequence[str], verdicts: Sequence[float | None]) -> float | None:
    """The reward of a response from the verdict on each of its constraints.

    Args:
        name: one of `AGGREGATIONS`.
        kinds: hard (code decides what pays) or soft (a judge does), one a constraint.
        verdicts: 1 holds, 0 does not, None unknown; one a constraint, in [0, 1].

    Returns:
        In [0, 1]; None when any verdict is None.

    Raises:
        ValueError: unknown name or kind, no constraints, not as many kinds as verdicts, or a verdict outside [0, 1].

    >>> kinds, verdicts = ["hard", "hard", "soft"], [1.0, 0.0, 1.0]
    >>> [aggregate(name, kinds, verdicts) for name in ("all_pass", "mean", "verif_product", "verif_mean")]
    [0.0, 0.6666666666666666, 0.5, 0.5]
    """
    if name not in AGGREGATIONS:
        raise ValueError(f"no aggregation {name!r}; there are {', '.join(AGGREGATIONS)}")
    if not kinds or len(kinds) != len(verdicts):
        raise ValueError(f"{len(kinds)} kinds and {len(verdicts)} verdicts; there must be one of each for a constraint, at least one")
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise ValueError(f"a constraint is hard or soft, not {', '.join(unknown)}")
    known = [verdict for verdict in verdicts if verdict is not None]
    if any(not 0.0 <= verdict <= 1.0 for verdict in known):
        raise ValueError(f"verdicts must lie between 0 and 1; got {min(known)} to {max(known)}")
    if len(known) < len(verdicts):
        return None
    hard = [verdict for kind, verdict in zip(kinds, known, strict=True) if kind == "hard"]
    soft = [verdict for kind, verdict in zip(kinds, known, strict=True) if kind == "soft"]
    return AGGREGATIONS[name](hard, soft)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _verif_product(hard: Sequence[float], soft: Sequence[float]) -> float:
    return (_mean(hard) if hard else 1.0) * (min(soft) if soft else 1.0)


AGGREGATIONS: Mapping[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "all_pass": lambda hard, soft: min([*hard, *soft]),
    "mean": lambda hard, soft: _mean([*hard, *soft]),
    "verif_product": _verif_product,
    "verif_mean": lambda hard, soft: _mean([min(side) for side in (hard, soft) if side]),
}
"""{name: (verdicts on the hard ones, on the soft ones) -> reward}; one side may be empty, not both."""
