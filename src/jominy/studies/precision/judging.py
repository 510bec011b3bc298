"""The base model as a judge, as `jominy audit` finds it: what it says of constraints whose truth code knows, one or several a question.

    pairs    responses made to satisfy all constraints, and edits that violate exactly one; half of what can be said softly is
    run      the model's own responses to the cell's prompts
    probe    answers that nobody wants: empty, an echo, a claim ...
    prices   seconds to read a question and one reply to it, by the number of soft constraints, in rounds

One call is asked in numbered form, a single constraint too, so that numbers of constraints can be held against each other. Its verdicts are
chosen by their probabilities; in one call, fewer pairs are asked about in its own words as well, which shows what a free answer is worth.
A choice scores every reply, which nobody who answers has to do, and more of them the more constraints there are; so a price is of one.
Kept are columns of verdicts, so that every table and interval can be computed again. The audits lie beside the base's folder: a study that
is killed here asks only what is left. What that second try finds remembered would be free, so prices are taken apart, with an empty memory.
LIMIT: a reply is read in one pass, as a prompt is; who writes it token by token takes longer, the more so the more constraints.
Left out on purpose: repeats, as a judge here is greedy.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from jominy.auditing import audit
from jominy.localjudge import JudgingEngine, answers_of, tokens_of
from jominy.records import Prompt, Row
from jominy.rewards.endpoint import Reply
from jominy.rewards.judge import Choose, Judge, LocalJudge, address_of, read_judge
from jominy.rewards.judged import judge_constraints
from jominy.rewards.questions import Form, Messages
from jominy.sampling import load_local_engine
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.store import RunFolder
from jominy.studies.design import Cell, Design, Settings
from jominy.studies.measuring import start_of
from jominy.studies.precision.columns import told_in
from jominy.studies.precision.design import JUDGES, MIX
from jominy.studies.precision.witnesses import AUDITS_FOLDER, OWN
from jominy.tasks.loading import load_task

SEED = 7_000_031
MOST_TOKENS = 24
"""A free verdict on three constraints has about half of it; who says more is not read anyway."""
FREE_PAIRS = 1
"""Pairs of each type and number of constraints that are asked about in free words."""
NUM_PROBED = 3
"""Prompts of the probes."""
NUM_TIMED, NUM_ROUNDS = 12, 6
"""Questions of each number of constraints whose time is taken in a round, at most, and rounds."""
PRICED_PROMPTS = 96
"""Of the task whose prompts are refined, from which those questions are taken."""
WAYS: tuple[tuple[Literal["numbered", "pointwise"], Literal["choice", "free"]], ...] = (
    ("numbered", "choice"),
    ("numbered", "free"),
    ("pointwise", "choice"),
)
"""(mode, answers)."""
FURTHER_MODES: tuple[Literal["numbered", "pointwise"], ...] = ("numbered", "pointwise")
"""In which a further judge is asked."""


def judge_of(folder: Path, cell: Cell, settings: Settings) -> dict[str, Any]:
    """`told`: each way of asking with its verdicts in columns by source, and why some have none; `prices`.

    Args:
        folder: rollouts of the base model.
        cell: whose model judges; its task is that of the own responses and the pairs.
        settings: how many pairs.
    """
    options = _pairs_of(cell)
    chosen = TruthSpec(pairs=settings.audit_pairs, probes=NUM_PROBED, constraints=options, run=folder, responses=settings.base_rollouts)
    truths = {"choice": chosen, "free": TruthSpec(pairs=FREE_PAIRS, probes=0, constraints=options)}
    model, told = start_of(cell), []
    for mode, answers in WAYS:
        out = folder.parent / f"{_begins(cell)}{mode}-{answers}"
        judge = f"local:{model},max_tokens={MOST_TOKENS},answers={answers}"
        audit(AuditSpec(judge=judge, mode=mode, seed=SEED, truth=truths[answers]), out, quiet=True)
        told.append({"judge": OWN, "mode": mode, "answers": answers, **told_in(out)})
    load = functools.partial(load_local_engine, model, "auto")
    return {"told": told, "prices": prices_of(load, soft_questions(folder))}


def ask_further(judge: str, out: Path, design: Design, *, quiet: bool) -> None:
    """Audits a judge that a person names on the pairs and probes of the study's own, in one call and one each, into OUT/audits.

    Args:
        judge: as `--judge` takes it.
        out: the study's folder.
        design: says how many pairs, of which types.
        quiet: no progress.

    Raises:
        ValueError: the judge cannot be read or reached; says what to do.
    """
    cell = next(cell for cell in design.cells if cell.group == JUDGES)
    truth = TruthSpec(pairs=design.settings[JUDGES].audit_pairs, probes=NUM_PROBED, constraints=_pairs_of(cell))
    wanted = read_judge(judge)
    model = wanted.model if isinstance(wanted, LocalJudge) else wanted.endpoint.model
    name = re.sub(r"[^\w.-]+", "-", Path(model).name if Path(model).is_absolute() else model)
    # one name may be served at several addresses, or answer in several ways
    which = hashlib.sha256(f"{address_of(judge)} {model} {isinstance(wanted, LocalJudge) and wanted.answers}".encode()).hexdigest()[:6]
    for mode in FURTHER_MODES:
        folder = out / AUDITS_FOLDER / f"{name}-{which}-{mode}"
        audit(AuditSpec(judge=judge, mode=mode, seed=SEED, truth=truth), folder, quiet=quiet)


def _pairs_of(cell: Cell) -> str:
    """Options of the task whose pairs are made."""
    types = [part for part in cell.task.partition(":")[2].split(",") if part and "=" not in part]
    return ",".join([*types, "rendering=mixed"])


def _begins(cell: Cell) -> str:
    """Of the names of its audits' folders."""
    return f"{cell.folder}-audit-"


def under_way(folder: Path, cell: Cell) -> str:
    """How many questions are answered so far, by way of asking: each leaves a file.

    Args:
        folder: of the cell's base.
        cell: whose model judges.
    """
    found = {out.name: sum(1 for _ in (out / "judge").glob("*/*.json")) for out in sorted(folder.parent.glob(f"{_begins(cell)}*"))}
    return ", ".join(f"{name.removeprefix(_begins(cell))} {number:,} questions" for name, number in found.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftQuestion:
    """What a judge is asked about a response in training.

    Example: SoftQuestion(prompt=prompt, text="Paris.", places=(0, 2))
    """

    prompt: Prompt
    """With all its constraints."""
    text: str
    """Of the response."""
    places: tuple[int, ...]
    """Of its soft constraints, which are asked about."""


def soft_questions(folder: Path) -> list[SoftQuestion]:
    """Prompts of the mix that is refined, each with a response of the start: as long as what a judge reads in training.

    Args:
        folder: rollouts of the base model, of the length of training.
    """
    texts = RunFolder(folder).rollouts(["text"])["text"].to_pylist()
    prompts = load_task(MIX).prompts(PRICED_PROMPTS, SEED)
    found = []
    for number, prompt in enumerate(prompts):
        places = tuple(place for place, one in enumerate(prompt.info["constraints"]) if one["kind"] == "soft")
        found.append(SoftQuestion(prompt=prompt, text=texts[number % len(texts)], places=places))
    return found


def prices_of(load: Callable[[], JudgingEngine], questions: Sequence[SoftQuestion]) -> dict[str, list[float]]:
    """Number of soft constraints -> seconds to read a question that asks about so many at once, in each of NUM_ROUNDS rounds.

    The numbers take turns within a round, and another one begins each: what slows the machine for a while slows all.

    Args:
        load: loads who judges.
        questions: with various numbers of soft constraints; those without are left out.
    """
    counts = sorted({len(one.places) for one in questions} - {0})
    chosen = {count: [one for one in questions if len(one.places) == count][:NUM_TIMED] for count in counts}
    found: dict[str, list[float]] = {str(count): [] for count in counts}
    engine = functools.cache(load)

    def with_memory_in(memory: Path) -> Judge:
        return Judge(
            name="local", model="", max_tokens=MOST_TOKENS, answer=answers_of(engine, MOST_TOKENS), folder=memory, choose=reads_of(engine)
        )

    with TemporaryDirectory() as empty:
        # loads the model, and meets each length once
        _ask(with_memory_in(Path(empty) / "first"), [chosen[count][0] for count in counts])
        for number in range(NUM_ROUNDS):
            asked = with_memory_in(Path(empty) / str(number))
            start = number % len(counts)
            for count in counts[start:] + counts[:start]:
                _ask(asked, chosen[count])
                spent = asked.meter.take()
                assert spent.asked, "nothing of this round is remembered"
                found[str(count)].append(round(spent.asking_s / spent.asked, 5))
    return found


def _ask(judge: Judge, questions: Sequence[SoftQuestion]) -> None:
    judge_constraints(judge, [(one.prompt, one.text) for one in questions], places=[one.places for one in questions])


def reads_of(engine: Callable[[], JudgingEngine]) -> Choose:
    """Reads each question with one reply behind it, always the same: the work of an answer, whatever it says.

    Args:
        engine: called when something is asked.
    """

    def read(questions: Sequence[Messages], forms: Sequence[Form]) -> Iterator[tuple[int, Reply]]:
        model = engine()
        for place, (messages, form) in enumerate(zip(questions, forms, strict=True)):
            prompt, text = Prompt(id=str(place), task="judge", messages=messages), form.reply((True,) * form.num_constraints)
            row = Row(prompt_ids=np.array(model.encode(prompt)), completion_ids=np.array(tokens_of(model, text), dtype=np.int64))
            model.logprobs([row])
            yield place, Reply(text=text, log_odds=(0.0,) * form.num_constraints)

    return read
