"""The rollouts of a run folder as records again, in the order of its prompts.

Left out on purpose: columns (`tables`, `pairing`), which is what numbers about many rollouts are computed from; here are the few that a
reader of texts and tokens looks at one by one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from jominy.records import Prompt, Reward, Rollout, Span
from jominy.specs import SampleSpec
from jominy.store import RunFolder

TEXTS = "prompt_id index text answer token_ids pieces logprobs logprobs_t1 spans stop reward reward_parts note gold policy"
COLUMNS = f"{TEXTS} temperature top_p seed".split()

Key = tuple[str, int]
"""(prompt id, index): names a response among those of a policy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stored:
    """What a run folder holds.

    Example: read_stored(Path("runs/demo/evaluations/step-00030")).rollouts[0].text
    """

    folder: Path
    """Where it is from."""
    run: Mapping[str, Any]
    """`run.json`."""
    prompts: Mapping[str, Prompt]
    """By id, those that have rollouts, in their order."""
    rollouts: tuple[Rollout, ...]
    """In the order of the prompts, then of their index."""

    @property
    def task(self) -> str:
        """Name of the task, as `load_task` takes it; empty where the folder does not say."""
        return str(self.run["spec"].get("task") or "")

    @property
    def policy(self) -> str:
        """Who drew them."""
        return self.rollouts[0].policy

    def groups(self) -> list[list[Rollout]]:
        """The rollouts of each prompt."""
        return groups_of_stored(self.rollouts)

    def only(self, ids: Sequence[str]) -> Stored:
        """The same of these prompts, in their order."""
        of_prompt: dict[str, list[Rollout]] = {key: [] for key in ids}
        for rollout in self.rollouts:
            if rollout.prompt_id in of_prompt:
                of_prompt[rollout.prompt_id].append(rollout)
        rollouts = tuple(rollout for group in of_prompt.values() for rollout in group)
        return Stored(folder=self.folder, run=self.run, prompts={key: self.prompts[key] for key in ids}, rollouts=rollouts)


def sample_spec_of(run: Mapping[str, Any]) -> SampleSpec:
    """How a run folder was drawn, as far as its `run.json` says; else the defaults."""
    spec = run["spec"]
    return SampleSpec(**{field.name: spec[field.name] for field in fields(SampleSpec) if field.name in spec})


def key_of(rollout: Rollout) -> Key:
    """Its name."""
    return rollout.prompt_id, rollout.index


def groups_of_stored(rollouts: Sequence[Rollout]) -> list[list[Rollout]]:
    """Runs of neighbours with the same prompt."""
    return [list(group) for _, group in groupby(rollouts, key=lambda rollout: rollout.prompt_id)]


def read_stored(path: Path) -> Stored:
    """Prompts and rollouts of a run folder.

    Raises:
        ValueError: no run folder, no rollouts, a file or column is missing, or prompts.parquet lacks a prompt; says what to do.
    """
    folder = RunFolder(path)
    if not folder.exists():
        raise ValueError(f"{path} is no run folder (it has no run.json); was it made by `jominy sample` or `jominy train`?")
    rows = folder.rollouts(COLUMNS).to_pylist()
    if not rows:
        raise ValueError(f"{path} holds no rollouts; run the command that made it again to go on from there")
    drawn = {row["prompt_id"] for row in rows}
    prompts = {prompt.id: prompt for prompt in folder.read_prompts() if prompt.id in drawn}
    missing = [key for key in dict.fromkeys(row["prompt_id"] for row in rows) if key not in prompts]
    if missing:
        raise ValueError(f"{path}: prompts.parquet lacks {len(missing)} prompts of the rollouts, e.g. {missing[0]}; restore the file")
    place = {key: number for number, key in enumerate(prompts)}
    rows.sort(key=lambda row: (place[row["prompt_id"]], row["index"]))
    return Stored(folder=path, run=folder.read_run(), prompts=prompts, rollouts=tuple(map(_rollout, rows)))


def pair_stored(before: Stored, after: Stored) -> tuple[Stored, Stored]:
    """Both on their common prompts, in the order of the first.

    Raises:
        ValueError: there are none.
    """
    common = [key for key in before.prompts if key in after.prompts]
    if not common:
        raise ValueError(f"{before.folder} and {after.folder} have no prompt in common; explain compares two policies on the same prompts")
    return before.only(common), after.only(common)


def _rollout(row: Mapping[str, Any]) -> Rollout:
    graded = row["reward"] is not None or row["note"]
    parts = json.loads(row["reward_parts"]) if row["reward_parts"] else {}
    return Rollout(
        prompt_id=row["prompt_id"],
        index=row["index"],
        text=row["text"] or "",
        token_ids=np.array(row["token_ids"] or [], dtype=np.int64),
        logprobs=None if row["logprobs"] is None else np.array(row["logprobs"], dtype=np.float64),
        logprobs_t1=None if row["logprobs_t1"] is None else np.array(row["logprobs_t1"], dtype=np.float64),
        stop=row["stop"],
        policy=row["policy"] or "",
        temperature=1.0 if row["temperature"] is None else row["temperature"],
        top_p=1.0 if row["top_p"] is None else row["top_p"],
        seed=row["seed"] or 0,
        pieces=None if row["pieces"] is None else tuple(row["pieces"]),
        spans=tuple(Span(**span) for span in row["spans"] or ()),
        reward=Reward(value=row["reward"], parts=parts, answer=row["answer"], note=row["note"] or "") if graded else None,
        gold=row["gold"],
    )
