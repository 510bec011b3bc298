"""What run.json says: the fields that verbs read, their types, and the defaults of what another tool may leave out.

    needed      `status`;  `spec.rollouts` where `timing.num_groups` is above 0
    defaults    `spec` {}, `created` "", `policy` None, `rescoring` None, `timing` zeros (so no cost),
                `grading` {"unscored": {}, "first_failure": ""}

Left out on purpose: reading and writing the file, and its schema version (`store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

NONE = type(None)
NUMBER = (int, float)
JSON_NAMES: dict[type, str] = {str: "text", dict: "an object", int: "a whole number", NONE: "null"}


def complete_run(file: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """`run` with the defaults of what is absent.

    Args:
        file: for the message.
        run: what it says.

    Raises:
        ValueError: a field is missing or of another type; names file and field.
    """
    nothing: dict[str, Any] = {"spec": {}, "created": "", "policy": None, "rescoring": None, "timing": {}, "grading": {}}
    whole: dict[str, Any] = {**nothing, **run}
    _check_fields(file, "", whole, {"status": (str,), "spec": (dict,), "created": (str,), "policy": (str, NONE)})
    _check_fields(file, "", whole, {"rescoring": (dict, NONE), "timing": (dict,), "grading": (dict,)})
    timing = whole["timing"] = {"sampling_s": 0.0, "grading_s": 0.0, "num_tokens": 0, "num_groups": 0, **whole["timing"]}
    _check_fields(file, "timing.", timing, dict.fromkeys(("sampling_s", "grading_s", "num_tokens", "num_groups"), NUMBER))
    whole["grading"] = {"unscored": {}, "first_failure": "", **whole["grading"]}
    _check_fields(file, "grading.", whole["grading"], {"unscored": (dict,), "first_failure": (str,)})
    if whole["rescoring"] is not None:
        names = ("num_prompts", "num_rollouts", "num_tokens", "tokens_per_s", "max_gap_nats")
        _check_fields(file, "rescoring.", whole["rescoring"], dict.fromkeys(names, NUMBER))
    rollouts = whole["spec"].get("rollouts")
    if rollouts is not None or whole["timing"]["num_groups"]:
        _check_fields(file, "spec.", whole["spec"], {"rollouts": (int,)})
    if rollouts is not None and rollouts < 1:
        raise ValueError(f"{file}: `spec.rollouts` is {rollouts}, expected the rollouts of each prompt, at least 1")
    timing.setdefault("num_rollouts", timing["num_groups"] * (rollouts or 0))
    _check_fields(file, "timing.", timing, {"num_rollouts": NUMBER})
    return whole


def _check_fields(file: Path, within: str, found: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    for name, kind in kinds.items():
        expected = "a number" if kind == NUMBER else " or ".join(JSON_NAMES[one] for one in kind)
        if name not in found:
            raise ValueError(f"{file} has no `{within}{name}`, expected {expected}; write it, or restore the file")
        if not isinstance(found[name], kind) or isinstance(found[name], bool):
            shown = f"{type(found[name]).__name__} {str(found[name])[:60]!r}"
            raise ValueError(f"{file}: `{within}{name}` is {shown}, expected {expected}; mend it, or restore the file")
