"""What an audit says of the constraint types of a training set: which are below a bound, and which is trusted most.

    cell of a type  = its items of the kind that is paid here, hard or soft; where the audit asked in no such words, all of its items
    trust of a type = lower end of the 95 % interval of its recall on false; types with few items are trusted less
    below a bound   = the estimate is; where too many verdicts are missing, the type goes only if it would be below with every one of them
                      right, and else stays and is counted
    precision       = that at even odds, which does not move with how many of an audit's items are satisfied

Recall on false alone would take who says no to everything, or is hardly ever read, for perfect. So no trust is in a type of which more
verdicts are missing than the audit allows, nor in one whose recall on true surely lies below the audit's bound: it is paid by luck.
Left out on purpose: the audit's own verdict (`measures.trust`), which has bounds of its own on the lower ends, and stands beside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from jominy.audited import Audit
from jominy.measures.precision import Confusion
from jominy.measures.trust import trust_thresholds
from jominy.records import Measure
from jominy.refined import TypeStanding

ALL_KINDS = ("hard", "soft")


def standings(
    audit: Audit, types: Mapping[str, Collection[str]], min_precision: float | None, min_recall_false: float | None
) -> tuple[TypeStanding, ...]:
    """How the types stand in the audit, those that it knows, by name.

    Args:
        audit: of who pays.
        types: {type of the training set: the kinds in which it is paid by who was audited}.
        min_precision: bound, None for none.
        min_recall_false: likewise.

    Raises:
        ValueError: the audit knows none of them.
    """
    known = {cell.name: cell for cell in audit.precision.by_type if cell.name in types}
    if not known:
        raise ValueError(
            f"the audit knows none of the types {', '.join(sorted(types)) or '(none)'}; it is of "
            f"{', '.join(cell.name for cell in audit.precision.by_type)}. Audit the types that you train on"
        )
    bounds = {name: threshold.value for name, threshold in trust_thresholds().items()}
    bounds |= {threshold.name: threshold.value for threshold in audit.thresholds}
    found = []
    for name in sorted(known):
        cell, asked_as = _cell(audit, known[name], types[name])
        found.append(_standing(cell, asked_as, bounds, {"precision": min_precision, "recall on false": min_recall_false}))
    return tuple(found)


def below_a_bound(found: Sequence[TypeStanding]) -> tuple[str, ...]:
    """The types that are to be removed."""
    return tuple(standing.type for standing in found if standing.removed_for)


def trust_by_type(found: Sequence[TypeStanding]) -> Mapping[str, float]:
    """How far each type is trusted; left out are those that are not, and those of which the audit has no interval."""
    return {
        standing.type: standing.recall_false_low
        for standing in found
        if standing.recall_false_low is not None and not standing.no_trust_for
    }


def asked_otherwise(found: Sequence[TypeStanding], types: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """{kind in which an audit asked: types of which it knows nothing in the kind that is paid}."""
    others: dict[str, list[str]] = {}
    for standing in found:
        if standing.asked_as in ALL_KINDS and set(types[standing.type]) - {standing.asked_as}:
            others.setdefault(standing.asked_as, []).append(standing.type)
    return {kind: tuple(names) for kind, names in others.items()}


def _cell(audit: Audit, whole: Confusion, kinds: Collection[str]) -> tuple[Confusion, str]:
    """(what counts of a type, in which words it was asked): of the one kind that is paid, or all where both are or the audit has not it."""
    of_kind = {one.kind: cell for one in audit.precision.by_kind for cell in one.by_type if cell.name == whole.name}
    if len(kinds) == 1 and (kind := next(iter(kinds))) in of_kind:
        return of_kind[kind], kind
    return whole, next(iter(of_kind)) if len(of_kind) == 1 else "both" if of_kind else ""


def _standing(cell: Confusion, asked_as: str, bounds: Mapping[str, float], least: Mapping[str, float | None]) -> TypeStanding:
    num_items = cell.num_scored + cell.num_unscored
    unread = cell.num_unscored > bounds["unscored"] * num_items
    best = _at_best(cell) if unread else {}
    why = [_below(measure, least[name], best.get(name)) for name, measure in _bounded(cell).items()]
    removed_for = "; ".join(filter(None, why))
    kept = "" if removed_for else "kept, "
    return TypeStanding(
        type=cell.name,
        precision=cell.even_precision.value,
        precision_low=cell.even_precision.low,
        recall_false=cell.recall_false.value,
        recall_false_low=cell.recall_false.low,
        recall_true=cell.recall_true.value,
        num_items=num_items,
        num_unread=cell.num_unscored,
        asked_as=asked_as,
        no_trust_for=f"cannot tell: {kept}{cell.num_unscored:,} of {num_items:,} unread" if unread else _refuses(cell, bounds),
        removed_for=removed_for,
        precision_high=cell.even_precision.high,
        recall_false_high=cell.recall_false.high,
        recall_true_low=cell.recall_true.low,
        recall_true_high=cell.recall_true.high,
    )


def _bounded(cell: Confusion) -> dict[str, Measure]:
    """What a person may set a bound on."""
    return {"precision": cell.even_precision, "recall on false": cell.recall_false}


def _at_best(cell: Confusion) -> dict[str, float]:
    """The highest that each could be were all missing verdicts there, and right: as if every missing one were of its side."""
    unread = cell.num_unscored
    violated, satisfied = cell.false_accepts + cell.true_rejects + unread, cell.true_accepts + cell.false_rejects + unread
    accepts, passes = (cell.true_accepts + unread) / satisfied, cell.false_accepts / violated
    return {"precision": accepts / (accepts + passes), "recall on false": (cell.true_rejects + unread) / violated}


def _refuses(cell: Confusion, bounds: Mapping[str, float]) -> str:
    """How rarely the satisfied are accepted, where that is surely too rarely."""
    found, bound = cell.recall_true, bounds["recall_true"]
    if found.value is None or found.high is None or found.high >= bound:
        return ""
    return f"hardly ever accepted: {found.name} {found.value:.2f}, surely < {bound:g}"


def _below(measure: Measure, bound: float | None, best: float | None) -> str:
    """Why a type goes; empty where it stays.

    Args:
        measure: the estimate.
        bound: None for none.
        best: what it could be with the missing verdicts; None where too few are missing to ask.
    """
    if bound is None or measure.value is None or measure.value >= bound or (best is not None and best >= bound):
        return ""
    at_best = "" if best is None else f" (with the unread, {best:.2f} at best)"
    return f"{measure.name} {measure.value:.2f} < {bound:g}{at_best}"
