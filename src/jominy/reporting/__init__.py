"""From a run folder to one self-contained page; computes no numbers.

    diagnosis.json + run.json + rollouts/*.parquet                                       ->  report.html
    run.json + steps.jsonl + evaluations.jsonl + explanation.json (+ diagnosis.json)     ->  report.html, of a training folder
    steps.jsonl + audits.jsonl, where another thing than the truth paid                  ->  a section of it
    interpretation.json, of either where it is there                                     ->  a section of it
    conclusion.json                                                                      ->  report.html, of a study
    audit.json                                                                           ->  report.html, of an audit
    refined.json                                                                         ->  report.html, of a refined training set

Everything the page says stands in those files; here it is only checked, formatted and drawn. The page opens offline, asks nothing of a
network, and treats every text of a model, a task or a log as data. Of a training folder with two evaluations `explanation.json` is made
first where it is missing or of an earlier step, and what the steps say of the reward (`overseeing`) is read off them each time, so that
the page of a run that goes on is never behind.
Left out on purpose: measures, thresholds, advice (`diagnosis` and `explaining` own them).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jominy.audited import AUDIT_FILE
from jominy.explaining import explain_path
from jominy.interpretation import Interpretation, stored_interpretations
from jominy.overseeing import oversee
from jominy.refined import REFINED_FILE
from jominy.reporting.auditing import audit_page_of
from jominy.reporting.checking import check
from jominy.reporting.page import page_of, training_page_of
from jominy.reporting.reading import MAX_ROLLOUTS, read_rows, read_rows_of
from jominy.reporting.refining import refined_page_of
from jominy.reporting.study import CONCLUSION_FILE, study_page_of
from jominy.reporting.training import TrainingLog, is_training, read_training
from jominy.steplog import EXPLANATION_FILE
from jominy.store import RunFolder, read_json, write_bytes

__all__ = ["MAX_ROLLOUTS", "can_report", "page_of", "report", "study_page_of", "training_page_of"]


def report(folder: Path) -> Path:
    """Write `report.html` into a folder that holds a diagnosis, a training run or a study, and return its path.

    The rollouts to read are at most `MAX_ROLLOUTS`, spread evenly over the prompts; the page says how many of how many. A folder without
    rollouts (the diagnosis of somebody else's file) gives a page without them. A training folder may be of a run that was killed at any
    moment: the page shows what there is and says what is missing.

    Args:
        folder: a run folder with `diagnosis.json`, one of `train`, or one of `study`; `run.json`, `prompts.parquet` and `rollouts/` are
            used where they exist.

    Raises:
        ValueError: there is no diagnosis, or a file is broken or of a newer jominy; names the file, the field and what to do.

    Example: report(Path("runs/demo"))      # runs/demo/report.html
    """
    store = RunFolder(Path(folder))
    run = store.read_run() if store.exists() else None
    if (store.path / CONCLUSION_FILE).is_file():
        page = _study_page(store)
    elif run is None and (store.path / AUDIT_FILE).is_file():
        page = _audit_page(store)
    elif run is None and (store.path / REFINED_FILE).is_file():
        page = _refined_page(store)
    else:
        page = _training_page(store, run) if run is not None and is_training(run) else _diagnosis_page(store, run)
    write_bytes(store.report_file, page.encode("utf-8", "replace"))
    return store.report_file


def can_report(folder: Path) -> bool:
    """Whether `report` has something to show of a folder: a diagnosis, a training run, a study, an audit or a refined set."""
    store = RunFolder(Path(folder))
    training = store.exists() and is_training(store.read_run())
    others = (store.diagnosis_file, store.path / CONCLUSION_FILE, store.path / AUDIT_FILE, store.path / REFINED_FILE)
    return training or any(file.is_file() for file in others)


def _study_page(store: RunFolder) -> str:
    try:
        return study_page_of(read_json(store.path / CONCLUSION_FILE))
    except ValueError as error:
        raise ValueError(f"{store.path}: {error}. Run `jominy study` into it again to make it anew") from error


def _audit_page(store: RunFolder) -> str:
    file = store.path / AUDIT_FILE
    try:
        return audit_page_of(read_json(file))
    except ValueError as error:
        raise ValueError(f"{file}: {error}. Run `jominy audit` into it again to make it anew") from error


def _refined_page(store: RunFolder) -> str:
    file = store.path / REFINED_FILE
    try:
        return refined_page_of(read_json(file))
    except ValueError as error:
        raise ValueError(f"{file}: {error}. Run `jominy refine` into it again to make it anew") from error


def _diagnosis_page(store: RunFolder, run: Mapping[str, Any] | None) -> str:
    diagnosis = read_json(store.diagnosis_file, f"run `jominy diagnose {store.path}` first")
    rows, interpretations = read_rows(store, MAX_ROLLOUTS), _interpretations(store)
    try:
        return page_of(diagnosis, rows, run, interpretations)
    except ValueError as error:
        raise ValueError(f"{store.diagnosis_file}: {error}. Run `jominy diagnose {store.path}` again to make it anew") from error


def _training_page(store: RunFolder, run: Mapping[str, Any]) -> str:
    log = read_training(store.path, run)
    explanation, why = _explanation_of(store, log)
    diagnosis = read_json(store.diagnosis_file) if store.diagnosis_file.is_file() else None
    ends = [log.evaluations[0], log.evaluations[-1]] if len(log.evaluations) > 1 else list(log.evaluations)
    folders = [RunFolder(store.path / str(line["folder"])) for line in ends if line.get("folder")]
    rows, num_stored = read_rows_of(folders, MAX_ROLLOUTS) if folders else ([], 0)
    interpretations, watched = _interpretations(store), oversee(store.path)
    oversight = None if watched is None else watched.to_json()
    try:
        return training_page_of(log, explanation, why, diagnosis, rows, num_stored, interpretations, oversight)
    except ValueError as error:
        raise ValueError(f"{store.path}: {error}. Run `jominy explain {store.path}` again to make it anew") from error


def _interpretations(store: RunFolder) -> list[tuple[str, dict[str, Any]]]:
    """Checked here, so that the remedy names the verb that makes them."""
    try:
        found = stored_interpretations(store.path)
        for _, record in found:
            check(record, Interpretation, "interpretation")
    except ValueError as error:
        raise ValueError(f"{store.path}: {error}. Run `jominy interpret {store.path}` again to make it anew") from error
    return found


def _explanation_of(store: RunFolder, log: TrainingLog) -> tuple[Mapping[str, Any] | None, str]:
    """`explanation.json` of the first and the last evaluation, made where it is missing or of others; or None and why."""
    if len(log.evaluations) < 2:
        found = "no evaluation is finished yet" if not log.evaluations else "only one evaluation is finished yet"
        return None, f"What training changed cannot be said: it takes two evaluations of the held-out prompts, and {found}."
    file = store.path / EXPLANATION_FILE
    found_steps = _steps_of(read_json(file)) if file.is_file() else None
    if found_steps != (log.evaluations[0]["step"], log.evaluations[-1]["step"]):
        try:
            explain_path(store.path)
        except ValueError as error:
            return None, f"What training changed cannot be said: {error}"
    return read_json(file), ""


def _steps_of(explanation: Mapping[str, Any]) -> tuple[Any, Any] | None:
    source = explanation.get("source")
    return (source.get("before_step"), source.get("after_step")) if isinstance(source, Mapping) else None
