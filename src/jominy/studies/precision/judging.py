"""The base model as a judge, as `jominy audit` finds it: what it says of constraints whose truth code knows, one or several a question.

    pairs    responses made to satisfy all constraints, and edits that violate exactly one; half of what can be said softly is
    run      the model's own responses to the cell's prompts
    probe    answers that nobody wants: empty, an echo, a claim ...
    prices   seconds a question by the number of constraints in it, of questions that nobody has asked before

Kept are columns of verdicts, so that every table and interval can be computed again. The audits lie beside the base's folder: a study that
is killed here asks only what is left. What that second try finds remembered would be free, so prices are taken apart, with an empty memory.
Left out on purpose: repeats, as a judge here is greedy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jominy.auditing import audit
from jominy.auditing.sources import Source, sources_for
from jominy.auditing.store import VERDICT_SCHEMA, VERDICTS_FILE
from jominy.confusion import AuditItem
from jominy.rewards.judged import judge_constraints
from jominy.sampling import open_judge
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.store import read_parquet
from jominy.studies.design import Cell, Settings
from jominy.studies.measuring import start_of
from jominy.studies.precision.columns import UNSCORED

SEED = 7_000_031
MOST_TOKENS = 24
"""A verdict on three constraints has about half of it; who says more is not read anyway."""
NUM_PROBED = 3
"""Prompts of the probes."""
NUM_TIMED = 16
"""Questions of each number of constraints whose time is taken."""
MODES = ("batch", "pointwise")


def judge_of(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """`modes`: mode -> source -> verdicts in columns, and why some have none; `prices`.

    Args:
        folder: rollouts of the base model.
        cell: whose model judges; its task is that of the own responses and the pairs.
        settings: how many pairs.
    """
    types = [part for part in cell.task.partition(":")[2].split(",") if part and "=" not in part]
    truth = TruthSpec(
        pairs=settings.audit_pairs,
        probes=NUM_PROBED,
        constraints=",".join([*types, "rendering=mixed"]),
        run=folder,
        responses=settings.base_rollouts,
    )
    judge = f"local:{start_of(cell)},max_tokens={MOST_TOKENS}"
    specs = [AuditSpec(judge=judge, mode="batch", seed=SEED, truth=truth), AuditSpec(judge=judge, mode="pointwise", seed=SEED, truth=truth)]
    found = {}
    for spec in specs:
        out = folder.parent / f"{cell.folder}-audit-{spec.mode}"
        audit(spec, out, quiet=True)
        found[spec.mode] = told_in(out, sources_for(spec))
    pairs = next(source for source in sources_for(specs[0]) if source.name == "pairs")
    return {"modes": found, "prices": prices_of(judge, pairs.items)}


def told_in(out: Path, sources: Sequence[Source]) -> dict[str, Any]:
    """The verdicts of an audit's folder as plain columns by source; `columns.table_of_columns` is the way back.

    Args:
        out: the folder.
        sources: what was judged, as `sources_for` puts it together.
    """
    rows = read_parquet(out / VERDICTS_FILE, VERDICT_SCHEMA).to_pylist()
    items = [item for source in sources for item in source.items]
    kinds = [[constraint.get("kind", "hard") for constraint in item.prompt.info["constraints"]] for item in items]
    known = [row for row in rows if row["truth"] is not None]
    told: dict[str, Any] = {source.name: _columns([row for row in known if row["source"] == source.name], kinds) for source in sources}
    notes = Counter(row["note"] for row in rows if row["said"] is None)
    return {**told, "notes": dict(notes.most_common(3))}


def _columns(rows: Sequence[dict[str, Any]], kinds: Sequence[Sequence[str]]) -> dict[str, list[Any]]:
    """One entry a constraint."""
    types = sorted({row["type"] for row in rows})
    prompts = {key: place for place, key in enumerate(dict.fromkeys(row["prompt_id"] for row in rows))}
    return {
        "truth": [int(row["truth"]) for row in rows],
        "said": [UNSCORED if row["said"] is None else int(row["said"]) for row in rows],
        "type": [types.index(row["type"]) for row in rows],
        "count": [row["count"] for row in rows],
        "prompt": [prompts[row["prompt_id"]] for row in rows],
        "response": [row["item"] for row in rows],
        "soft": [int(kinds[row["item"]][row["constraint"]] == "soft") for row in rows],
        "types": types,
    }


def prices_of(judge: str, items: Sequence[AuditItem]) -> dict[str, float]:
    """Number of constraints -> seconds a question that asks about so many at once.

    Args:
        judge: as `--judge` takes it.
        items: responses to prompts with various numbers of constraints.
    """
    found: dict[str, float] = {}
    with TemporaryDirectory() as empty:
        asked = open_judge(judge, "constraints", Path(empty))
        judge_constraints(asked, [(items[0].prompt, items[0].text)])  # loads the model
        for count in sorted({len(item.truths) for item in items}):
            chosen = [item for item in items[1:] if len(item.truths) == count][:NUM_TIMED]
            asked.meter.take()
            judge_constraints(asked, [(item.prompt, item.text) for item in chosen])
            spent = asked.meter.take()
            if spent.asked:
                found[str(count)] = round(spent.asking_s / spent.asked, 5)
    return found
