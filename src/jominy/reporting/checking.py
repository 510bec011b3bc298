"""Whether a JSON object holds a record: every field there, every value of its type, no NaN.

    check(value, Diagnosis, "diagnosis")        # silent, or a ValueError such as: diagnosis.findings[2].title is missing

The type hints of the dataclass are the schema, so it cannot drift from `records`. Further keys are allowed: a later version may add some.
Left out on purpose: building the records (the page reads plain dictionaries) and coercion of any kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def check(value: Any, hint: Any, where: str) -> None:
    """Compare a value from a JSON file with a type.

    Args:
        value: what `json.loads` gave.
        hint: a dataclass, or a type made of str, int, float, bool, None, Any, Literal, tuple[X, ...], tuple[X, Y], Mapping[str, X] and
            unions of them.
        where: how to call the value in an error.

    Raises:
        ValueError: names the field, says what it holds and what it should.

    >>> check([1, 2.5], tuple[float, ...], "x")
    """
    origin = get_origin(hint)
    if hint is Any:
        return
    if is_dataclass(hint):
        _check_record(value, hint, where)
    elif origin is tuple:
        _check_list(value, get_args(hint), where)
    elif origin is Mapping:
        _expect(isinstance(value, Mapping), value, "an object", where)
        for key, item in value.items():
            check(item, get_args(hint)[1], f"{where}.{key}")
    elif origin in (Union, UnionType):
        _check_union(value, get_args(hint), where)
    elif origin is Literal:
        _expect(value in get_args(hint), value, f"one of {', '.join(get_args(hint))}", where)
    else:
        _check_scalar(value, hint, where)


def _check_record(value: Any, hint: Any, where: str) -> None:
    _expect(isinstance(value, Mapping), value, "an object", where)
    types = get_type_hints(hint)
    for field in fields(hint):
        if field.name in value:
            check(value[field.name], types[field.name], f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{where}.{field.name} is missing")


def _check_list(value: Any, hints: tuple[Any, ...], where: str) -> None:
    """tuple[X, ...] is any number of X; tuple[X, Y] is one of each."""
    _expect(isinstance(value, list | tuple), value, "a list", where)
    if hints[-1] is not Ellipsis:
        _expect(len(value) == len(hints), value, f"a list of {len(hints)}", where)
    for position, item in enumerate(value):
        check(item, hints[0] if hints[-1] is Ellipsis else hints[position], f"{where}[{position}]")


def _check_union(value: Any, hints: tuple[Any, ...], where: str) -> None:
    if value is None and NoneType in hints:
        return
    others = [hint for hint in hints if hint is not NoneType]
    assert len(others) == 1, "the records hold optional values only, no other unions"
    check(value, others[0], where)


def _check_scalar(value: Any, hint: Any, where: str) -> None:
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        _expect(is_number, value, "a finite number", where)
    elif hint is int:
        _expect(isinstance(value, int) and not isinstance(value, bool), value, "a whole number", where)
    else:
        _expect(isinstance(value, hint), value, {str: "text", bool: "true or false"}[hint], where)


def _expect(holds: bool, value: Any, wanted: str, where: str) -> None:
    if not holds:
        raise ValueError(f"{where} is {str(value)[:60]!r}, expected {wanted}")
