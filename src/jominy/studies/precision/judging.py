"""The base model as a judge, as `jominy audit` finds it: what it says of constraints whose truth code knows, one or several a question.

    pairs    responses made to satisfy all constraints, and edits that violate exactly one; half of what can be said softly is
    run      the model's own responses to the cell's prompts
    probe    answers that nobody wants: empty, an echo, a claim ...
    prices   seconds a question by the number of constraints in it, in rounds, of questions that nobody has asked before

One call is asked in numbered form, a single constraint too, so that numbers of constraints can be held against each other. Its verdicts are
chosen by their probabilities; fewer pairs are asked about in its own words as well, which shows what a free answer is worth.
Kept are columns of verdicts, so that every table and interval can be computed again. The audits lie beside the base's folder: a study that
is killed here asks only what is left. What that second try finds remembered would be free, so prices are taken apart, with an empty memory.
Left out on purpose: repeats, as a judge here is greedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from jominy.auditing import audit
from jominy.auditing.pairs import make_pairs
from jominy.confusion import AuditItem
from jominy.rewards.judged import judge_constraints
from jominy.sampling import open_judge
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.studies.design import Cell, Settings
from jominy.studies.measuring import start_of
from jominy.studies.precision.columns import told_in
from jominy.studies.precision.witnesses import OWN

SEED = 7_000_031
MOST_TOKENS = 24
"""A free verdict on three constraints has about half of it; who says more is not read anyway."""
FEWER_FREELY = 4
"""Of so many pairs one is asked about in free words."""
NUM_PROBED = 3
"""Prompts of the probes."""
NUM_TIMED, NUM_ROUNDS = 6, 6
"""Questions of each number of constraints whose time is taken in a round, and rounds."""
MODES: tuple[Literal["numbered", "pointwise"], ...] = ("numbered", "pointwise")


def judge_of(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """`told`: each way of asking with its verdicts in columns by source, and why some have none; `prices`.

    Args:
        folder: rollouts of the base model.
        cell: whose model judges; its task is that of the own responses and the pairs.
        settings: how many pairs.
    """
    types = [part for part in cell.task.partition(":")[2].split(",") if part and "=" not in part]
    options = ",".join([*types, "rendering=mixed"])
    chosen = TruthSpec(pairs=settings.audit_pairs, probes=NUM_PROBED, constraints=options, run=folder, responses=settings.base_rollouts)
    freely = TruthSpec(pairs=max(settings.audit_pairs // FEWER_FREELY, 1), probes=0, constraints=options)
    told = []
    for mode in MODES:
        for answers, truth in (("choice", chosen), ("free", freely)):
            out = folder.parent / f"{cell.folder}-audit-{mode}-{answers}"
            audit(AuditSpec(judge=_named(cell, answers), mode=mode, seed=SEED, truth=truth), out, quiet=True)
            told.append({"judge": OWN, "mode": mode, "answers": answers, **told_in(out)})
    return {"told": told, "prices": prices_of(_named(cell, "choice"), make_pairs(SEED, pairs_per_cell=1, options=options))}


def _named(cell: Cell, answers: str) -> str:
    return f"local:{start_of(cell)},max_tokens={MOST_TOKENS},answers={answers}"


def prices_of(judge: str, items: Sequence[AuditItem]) -> dict[str, list[float]]:
    """Number of constraints -> seconds a question that asks about so many at once, in each of NUM_ROUNDS rounds.

    The numbers take turns within a round, and another one begins each: what slows the machine for a while slows all.

    Args:
        judge: as `--judge` takes it.
        items: responses to prompts with various numbers of constraints.
    """
    counts = sorted({len(item.truths) for item in items})
    chosen = {count: [(item.prompt, item.text) for item in items if len(item.truths) == count][:NUM_TIMED] for count in counts}
    found: dict[str, list[float]] = {str(count): [] for count in counts}
    with TemporaryDirectory() as empty:
        # loads the model, and meets each length once
        judge_constraints(open_judge(judge, "constraints", Path(empty) / "first"), [chosen[count][0] for count in counts])
        for number in range(NUM_ROUNDS):
            asked = open_judge(judge, "constraints", Path(empty) / str(number))
            start = number % len(counts)
            for count in counts[start:] + counts[:start]:
                judge_constraints(asked, chosen[count])
                spent = asked.meter.take()
                assert spent.asked, "nothing of this round is remembered"
                found[str(count)].append(round(spent.asking_s / spent.asked, 5))
    return found
