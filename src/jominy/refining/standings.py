"""What an audit says of the constraint types of a training set: which are below a bound, and which is trusted most.

    trust of a type = lower end of the 95 % interval of its recall on false; types with few items are trusted less
    below a bound   = the estimate is; where the audit could not tell, the type stays and is counted
    precision       = that at even odds, which does not move with how many of an audit's items are satisfied

Left out on purpose: the audit's own verdict (`measures.trust`), which has bounds of its own on the lower ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from jominy.audited import Audit
from jominy.measures.precision import Confusion
from jominy.records import Measure
from jominy.refined import TypeStanding


def standings(
    audit: Audit, types: Collection[str], min_precision: float | None, min_recall_false: float | None
) -> tuple[TypeStanding, ...]:
    """How the types stand in the audit, those that it knows, by name.

    Args:
        audit: of who pays.
        types: of the training set.
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
    return tuple(_standing(known[name], min_precision, min_recall_false) for name in sorted(known))


def below_a_bound(found: Sequence[TypeStanding]) -> tuple[str, ...]:
    """The types that are to be removed."""
    return tuple(standing.type for standing in found if standing.removed_for)


def trust_by_type(found: Sequence[TypeStanding]) -> Mapping[str, float]:
    """How far each type is trusted; those of which the audit has no interval are left out."""
    return {standing.type: standing.recall_false_low for standing in found if standing.recall_false_low is not None}


def _standing(cell: Confusion, min_precision: float | None, min_recall_false: float | None) -> TypeStanding:
    why = [_below(cell.even_precision, min_precision), _below(cell.recall_false, min_recall_false)]
    return TypeStanding(
        type=cell.name,
        precision=cell.even_precision.value,
        precision_low=cell.even_precision.low,
        recall_false=cell.recall_false.value,
        recall_false_low=cell.recall_false.low,
        removed_for="; ".join(filter(None, why)),
    )


def _below(measure: Measure, bound: float | None) -> str:
    if bound is None or measure.value is None or measure.value >= bound:
        return ""
    return f"{measure.name} {measure.value:.2f} < {bound:g}"
