"""What `explain` keeps beside a run, so that a later call which draws nothing loses nothing: how policies are told apart, what was found.

    stamp(model)              sha256 of weights, config and tokenizer of a folder; a model of the hub is its name
    swap/KEY/                 a square;      KEY = sha256(both stamps, task and way of drawing, contents of the user's files)
    swap/asked-PAIR.json      what was asked for last of these two policies, for a call that draws nothing
    gradients/KEY.json        logits and gradients of one objective;      KEY = sha256(stamp, tokens, stages, coefficients, seed)

A stamp is of contents: a copied or moved folder is the same policy, one that was written over is another. A key is of what the numbers are
computed from, so whatever is read back fits. Left out on purpose: how a square is drawn (`square`) and a bank judged (`judged_bank`).

LIMIT: weights are read whole once a call, which takes seconds from some billion parameters on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from jominy.decided import Credited
from jominy.records import Floats, Ints, Sampling
from jominy.sampling import sources_of
from jominy.specs import SampleSpec
from jominy.store import SCHEMA_VERSION, RunFolder, read_json, write_json

SWAP = "swap"
GRADIENTS = "gradients"
NOT_IN_THE_KEY = ("model", "prompts", "rollouts", "samples", "device")
"""Settings of a square that change how much is drawn, or nothing."""
CONTENTS = (".safetensors", ".bin", ".json", ".model", ".txt", ".jinja")
"""Endings of files that say what a model does."""
NOT_THE_MODEL = ("state.json",)
"""A checkpoint's own: its model under another name has none."""


def stamp_of(model: str) -> str:
    """Tells policies apart by what they are.

    Args:
        model: a folder, or what is loaded by name.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    whole = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in CONTENTS and file.name not in NOT_THE_MODEL:
            with open(file, "rb") as content:
                whole.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two policies that can be exchanged.

    Example: pair_of("runs/sft/model", "runs/rl/model", SampleSpec(task="retry"), Path("runs/rl/swap")).cell("before", "after")
    """

    before: str
    """What is loaded for the one."""
    after: str
    """What is loaded for the other."""
    spec: SampleSpec
    """Task, reward and way of drawing; `rollouts` a prompt and cell."""
    root: Path
    """Where the square is kept."""
    stamps: tuple[str, str]
    """What the two are, wherever they lie."""
    key: str
    """Names all that the draws depend on but how many there are."""

    @property
    def folder(self) -> Path:
        """Of this square."""
        return self.root / self.key

    @property
    def asked_file(self) -> Path:
        """What was asked for last of these two policies."""
        return self.root / f"asked-{digest_of(self.stamps)}.json"

    def cell(self, sampler: str, decider: str) -> RunFolder:
        """The run folder of one combination."""
        return RunFolder(self.folder / f"{sampler}-{decider}")

    @property
    def sampling(self) -> Sampling:
        """How is drawn."""
        return Sampling(temperature=self.spec.temperature, top_p=self.spec.top_p, max_tokens=self.spec.max_tokens)


def pair_of(before: str, after: str, spec: SampleSpec, root: Path, stamps: tuple[str, str] | None = None) -> Pair:
    """Two policies by what they are.

    Args:
        before: what is loaded for the one.
        after: for the other.
        spec: task, reward and way of drawing.
        root: where the square is kept.
        stamps: of the two, where they are known already; reading a model takes a while.
    """
    stamps = (stamp_of(before), stamp_of(after)) if stamps is None else stamps
    drawn = {name: value for name, value in asdict(spec).items() if name not in NOT_IN_THE_KEY}
    # by content: where task and reward lie is said by their names
    sources = sorted(content for name, content in sources_of(spec).items() if name != spec.model)
    return Pair(before=before, after=after, spec=spec, root=root, stamps=stamps, key=digest_of([stamps, drawn, sources]))


def remember(pair: Pair, asked: Mapping[str, Any]) -> None:
    """Keeps what was asked for of these two policies."""
    write_json(pair.asked_file, {"schema_version": SCHEMA_VERSION, **asked})


def remembered(pair: Pair) -> dict[str, Any] | None:
    """What was asked for last of these two policies; None where nothing was."""
    if not pair.asked_file.is_file():
        return None
    return {name: value for name, value in read_json(pair.asked_file).items() if name != "schema_version"}


def gradient_key(
    stamp: str,
    objective: str,
    temperature: float,
    token_ids: Sequence[Ints],
    prompt_ids: Sequence[str],
    stage_M: Ints,
    values_M: Floats,
    seed: int,
) -> str:
    """Names the gradients of an objective on responses.

    Args:
        stamp: of the policy.
        objective: its name: two whose coefficients are equal may have other parts.
        temperature: at which the responses were drawn, and the gradients are taken.
        token_ids: of each response.
        prompt_ids: `Prompt.id` of each response.
        stage_M: [M] of all tokens in a row.
        values_M: [M] coefficients.
        seed: of the sketch.
    """
    whole = hashlib.sha256(f"{stamp} {objective} {temperature!r} {seed} {' '.join(prompt_ids)} ".encode())
    for one in token_ids:
        whole.update(np.asarray(one, dtype=np.int64).tobytes() + b"|")
    whole.update(np.asarray(stage_M, dtype=np.int8).tobytes())
    whole.update(np.asarray(values_M, dtype=np.float64).tobytes())
    return whole.hexdigest()[:16]


def with_kept(root: Path, key: str, found: Credited) -> Credited | None:
    """The objective with the gradients that were kept; None where none were.

    Args:
        root: beside what they are kept.
        key: of these gradients.
        found: what needs no model.
    """
    file = root / GRADIENTS / f"{key}.json"
    return _with_gradients_of(found, rebuilt(Credited, read_json(file))) if file.is_file() else None


def keep(root: Path, key: str, found: Credited) -> None:
    """Keeps an objective with its gradients."""
    write_json(root / GRADIENTS / f"{key}.json", {"schema_version": SCHEMA_VERSION, **asdict(found)})


def _with_gradients_of(found: Credited, kept: Credited) -> Credited:
    return replace(
        found,
        logits=kept.logits,
        gradient=kept.gradient,
        gradient_asked=True,
        why_no_gradient=kept.why_no_gradient,
        notes=tuple(dict.fromkeys((*found.notes, *kept.notes))),
        parts=tuple(_with_gradients_of(part, other) for part, other in zip(found.parts, kept.parts, strict=True)),
    )


def rebuilt(hint: Any, value: Any) -> Any:
    """A record from the JSON that `asdict` makes of it; its type hints say what is what.

    >>> from jominy.records import Skipped
    >>> rebuilt(tuple[Skipped, ...], [{"code": "sft", "missing": "gold answers"}])
    (Skipped(code='sft', missing='gold answers'),)
    """
    if is_dataclass(hint) and isinstance(hint, type):
        types = get_type_hints(hint)
        return hint(**{field.name: rebuilt(types[field.name], value[field.name]) for field in fields(hint) if field.name in value})
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (only,) = (one for one in inner if one is not NoneType)
        return None if value is None else rebuilt(only, value)
    if origin is tuple:
        hints = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(rebuilt(one, item) for one, item in zip(hints, value, strict=True))
    return value


def digest_of(value: object) -> str:
    """A short name of anything that JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
