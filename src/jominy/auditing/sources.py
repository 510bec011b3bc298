"""What an audit judges: responses whose truth is known, by where they are from.

    pairs       constructed, half of them right (`pairs`)
    probe       what nobody wants, of other prompts of the same task
    labelled    a person's file (`labels`)
    run         a model's own responses to prompts with constraints; code says what holds, the judge is not told

Left out on purpose: asking anybody, and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jominy.auditing.labels import read_labelled
from jominy.auditing.pairs import make_pairs, make_probes
from jominy.confusion import AuditItem
from jominy.interpretation import folders_to_interpret
from jominy.records import Prompt
from jominy.rewards.constraints import truths_of
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.store import RunFolder
from jominy.tasks.constraints import make

SEVERAL = "several constraints"
"""What a response of a run is about when its prompt has more than one."""
PROBE_SEED = 1_000_003
"""Added to the seed, so that probes are of other prompts than the pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Responses from one place.

    Example: Source(name="labelled", what="mine.jsonl", items=read_labelled("mine.jsonl"))
    """

    name: Literal["pairs", "probe", "labelled", "run"]
    """Which place."""
    what: str
    """Options, file or folder."""
    items: Sequence[AuditItem]
    """At least one."""


def sources_for(spec: AuditSpec) -> list[Source]:
    """All that is judged.

    Raises:
        ValueError: a file or folder that cannot be read, or a run without constraints; says what to do.
    """
    truth = spec.truth
    given = [] if truth.labelled is None else [_labelled(truth.labelled)]
    given += [] if truth.run is None else [_of_run(truth.run, truth)]
    if not truth.num_pairs:
        return given
    what = truth.constraints or "all constraint types"
    pairs = make_pairs(spec.seed, pairs_per_cell=truth.num_pairs, options=truth.constraints)
    made = [Source(name="pairs", what=what, items=pairs)]
    if truth.probes:
        prompts = make(truth.constraints).prompts(truth.probes, spec.seed + PROBE_SEED)
        made.append(Source(name="probe", what=what, items=make_probes(prompts)))
    return made + given


def _labelled(path: Path) -> Source:
    items = read_labelled(path)
    if not items:
        raise ValueError(f"{path} has no rows; a labelled file has prompt, response, label and, if you like, type")
    return Source(name="labelled", what=str(path), items=items)


def _of_run(path: Path, truth: TruthSpec) -> Source:
    _, last = folders_to_interpret(path)[-1]
    folder = RunFolder(last)
    if not folder.exists():
        raise ValueError(f"{path} is no run folder (it has no run.json); --run takes a folder of `sample`, `diagnose` or `train`")
    prompts = {prompt.id: prompt for prompt in folder.read_prompts()}
    with_constraints = {key: prompt for key, prompt in prompts.items() if prompt.info.get("constraints")}
    if not with_constraints:
        tasks = ", ".join(sorted({prompt.task for prompt in prompts.values()}))
        raise ValueError(
            f"{path}: the prompts of task {tasks} carry no constraints one by one (info['constraints']), as those of `constraints:` do, so "
            "there is nothing that could be judged and compared with code; give --labelled FILE"
        )
    rows = folder.rollouts(["prompt_id", "index", "text"]).to_pylist()
    rows = [row for row in rows if row["prompt_id"] in with_constraints and row["index"] < truth.responses]
    if not rows:
        raise ValueError(f"{path} holds no rollouts of prompts with constraints; run the command that made it again to go on from there")
    place = {key: position for position, key in enumerate(with_constraints)}
    rows.sort(key=lambda row: (place[row["prompt_id"]], row["index"]))
    return Source(name="run", what=str(path), items=[_own(with_constraints[row["prompt_id"]], row["text"] or "") for row in rows])


def _own(prompt: Prompt, text: str) -> AuditItem:
    types = [constraint["type"] for constraint in prompt.info["constraints"]]
    about = types[0] if len(types) == 1 else SEVERAL
    return AuditItem(prompt=prompt, text=text, truths=tuple(truths_of(prompt, text)), kind="run", about=about)
