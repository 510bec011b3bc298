"""From a run folder to one self-contained page; computes no numbers.

    diagnosis.json + run.json + rollouts/*.parquet  ->  report.html

Everything the page says stands in those files; here it is only checked, formatted and drawn. The page opens offline, asks nothing of a
network, and treats every text of a model, a task or a log as data.
Left out on purpose: measures, thresholds, advice (`diagnosis` owns them).
"""

from __future__ import annotations

from pathlib import Path

from jominy.reporting.page import page_of
from jominy.reporting.reading import MAX_ROLLOUTS, read_rows
from jominy.store import RunFolder, read_json, write_bytes

__all__ = ["MAX_ROLLOUTS", "page_of", "report"]


def report(folder: Path) -> Path:
    """Write `report.html` into a run folder that holds a diagnosis, and return its path.

    The rollouts to read are at most `MAX_ROLLOUTS`, spread evenly over the prompts; the page says how many of how many. A folder without
    rollouts (the diagnosis of somebody else's file) gives a page without them.

    Args:
        folder: a run folder with `diagnosis.json`; `run.json`, `prompts.parquet` and `rollouts/` are used where they exist.

    Raises:
        ValueError: there is no diagnosis, or a file is broken or of a newer jominy; names the file, the field and what to do.

    Example: report(Path("runs/demo"))      # runs/demo/report.html
    """
    store = RunFolder(Path(folder))
    diagnosis = read_json(store.diagnosis_file, f"run `jominy diagnose {folder}` first")
    run = store.read_run() if store.exists() else None
    rows = read_rows(store, MAX_ROLLOUTS)
    try:
        page = page_of(diagnosis, rows, run)
    except ValueError as error:
        raise ValueError(f"{store.diagnosis_file}: {error}. Run `jominy diagnose {folder}` again to make it anew") from error
    write_bytes(store.report_file, page.encode("utf-8", "replace"))
    return store.report_file
