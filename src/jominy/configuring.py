"""A training run from a file: a TOML file with fields of `RunSpec`, or a Python file with a RunSpec.

steps = 100                      fields of RunSpec and of its parts, flat or under [data], [update], [evaluate]
[update]
learning_rate = 2e-6
"""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from jominy.specs import DataSpec, EvaluateSpec, RunSpec, UpdateSpec

PARTS: dict[str, type[DataSpec] | type[UpdateSpec] | type[EvaluateSpec]] = {
    "data": DataSpec,
    "update": UpdateSpec,
    "evaluate": EvaluateSpec,
}


def load_run_spec(source: str) -> RunSpec:
    """The run that `file.toml` or `file.py:name` describes.

    Raises:
        ValueError: the file is missing or broken, or a field is unknown or of the wrong type; names file and field.
    """
    path, _, name = source.partition(":")
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"--config {source}: there is no file {path}")
    if file.suffix == ".py":
        return _from_python(file, name)
    if file.suffix != ".toml":
        raise ValueError(f"--config {source}: give a .toml file, or my_run.py:spec")
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not readable TOML: {error}") from error
    return run_spec_of(table, str(file))


def run_spec_of(table: Mapping[str, Any], where: str = "the table") -> RunSpec:
    """A RunSpec of fields that stand flat or under the names of its parts; the others keep their defaults.

    >>> run_spec_of({"steps": 5, "learning_rate": 2e-6}).update.learning_rate
    2e-06
    """
    flat: dict[str, Any] = {}
    for name, value in table.items():
        inner = value if name in PARTS and isinstance(value, Mapping) else {name: value}
        for key, each in inner.items():
            if key in flat:
                raise ValueError(f"{where}: `{key}` is given twice")
            flat[key] = each
    made = {name: _take(kind, flat, where) for name, kind in PARTS.items()}
    spec: RunSpec = _take(RunSpec, flat, where, made)
    if flat:
        known = [field.name for kind in (RunSpec, *PARTS.values()) for field in fields(kind) if field.name not in PARTS]
        raise ValueError(f"{where}: no field `{next(iter(flat))}`; there are {', '.join(known)}")
    return spec


def _take(kind: Any, flat: dict[str, Any], where: str, made: Mapping[str, Any] | None = None) -> Any:
    """An instance of `kind` with the fields of `flat` that it has, which are taken out."""
    given = {field.name: flat.pop(field.name) for field in fields(kind) if field.name in flat}
    default = kind()
    for field in fields(kind):
        if field.name in given:
            given[field.name] = _as(given[field.name], type(getattr(default, field.name)), f"{where}: `{field.name}`")
    return kind(**given, **(made or {}))


def _as(value: Any, kind: type, where: str) -> Any:
    """The value as its field wants it: whole numbers pass as numbers, text where the default is text or nothing."""
    wanted = str if kind is type(None) else kind
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"{where} is {type(value).__name__} {value!r}, expected {wanted.__name__}")
    return value


def _from_python(file: Path, name: str) -> RunSpec:
    spec = importlib.util.spec_from_file_location(f"jominy_config_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    name = name or "spec"
    if name not in vars(module):
        there = ", ".join(key for key, value in vars(module).items() if isinstance(value, RunSpec)) or "no RunSpec"
        raise ValueError(f"{file} has no `{name}`; it has {there}")
    found = vars(module)[name]
    if not isinstance(found, RunSpec):
        raise ValueError(f"{file}:{name} is {type(found).__name__}, expected a jominy.RunSpec")
    return found
