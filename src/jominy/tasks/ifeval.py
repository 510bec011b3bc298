"""The published instruction-following sets IFEval (about 540 prompts, 2311.07911) and IFBench (300 prompts, 2507.02833).

A row is {"key", "prompt", "instruction_id_list": [id, ...], "kwargs": [{...}, ...]}, as both sets are published: a JSON Lines
file, or the hub. The prompts stay unchanged and the verdicts are those of the published checkers (`rewards.instructions`).
Left out: gold answers. Most prompts ask for a text on a subject as well as a form, and no program writes that; the
wrong answer is an empty one, which follows nothing by the published protocol.
"""

from __future__ import annotations

import functools
import json
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jominy.records import Message, Paper, Prompt, Task
from jominy.rewards.instructions import INSTALL, Benchmark, InstructionReward
from jominy.tasks.identity import identify

HUB_SETS: dict[Benchmark, tuple[str, str]] = {"ifeval": ("google/IFEval", "train"), "ifbench": ("allenai/IFBench_test", "train")}
"""{benchmark: (name on the hub, split)}."""
PAPERS: dict[Benchmark, Paper] = {
    "ifeval": Paper(arxiv="2311.07911", title="Instruction-Following Evaluation for Large Language Models"),
    "ifbench": Paper(arxiv="2507.02833", title="Generalizing Verifiable Instruction Following"),
}
MODES = ("strict", "loose")


def make_ifeval(options: str = "") -> Task:
    """IFEval. Options, comma-separated: `strict` (default) or `loose`, and the path of a JSON Lines file.

    Without a path: `ifeval.jsonl` in the folder that JOMINY_DATA names, then in `../shared/data`, then the hub.

    Raises:
        ValueError: an option is unknown, or no source can be read; the message lists what was tried.
    """
    return _make("ifeval", options)


def make_ifbench(options: str = "") -> Task:
    """IFBench. Options as for `make_ifeval`; the file is `ifbench.jsonl`."""
    return _make("ifbench", options)


def _make(benchmark: Benchmark, options: str) -> Task:
    mode, path = "strict", None
    for option in filter(None, (part.strip() for part in options.split(","))):
        if option in MODES:
            mode = option
        elif path is None and (option.endswith(".jsonl") or Path(option).exists()):
            path = Path(option)
        else:
            raise ValueError(f"{benchmark}: cannot read option {option!r}; give strict or loose, and at most one .jsonl file")
    name = f"{benchmark}:{options}" if options else benchmark
    prompts = _read_prompts(benchmark, name, path)
    return Task(
        name=name,
        summary=f"{len(prompts)} prompts with verifiable instructions, {mode}, all of them followed",
        prompts=functools.partial(_draw, prompts),
        reward=InstructionReward(benchmark, loose=mode == "loose"),
        lenient=InstructionReward(benchmark, loose=True),
        paper=PAPERS[benchmark],
    )


def _draw(prompts: tuple[Prompt, ...], num_prompts: int, seed: int) -> list[Prompt]:
    """A seeded sample without repetition; all of them, shuffled, when more are asked for."""
    return random.Random(f"ifeval {seed}").sample(prompts, min(num_prompts, len(prompts)))


def _read_prompts(benchmark: Benchmark, task: str, path: Path | None) -> tuple[Prompt, ...]:
    folders = [os.environ.get("JOMINY_DATA", ""), "../shared/data"]
    candidates = [path] if path else [Path(folder) / f"{benchmark}.jsonl" for folder in folders if folder]
    source = next((candidate for candidate in candidates if candidate.is_file()), None)
    if source is not None:
        rows = _rows_of_file(source)
    elif path is not None:
        raise ValueError(f"{benchmark}: there is no file {path}")
    else:
        rows = _rows_of_hub(benchmark, candidates)
    prompts = {prompt.id: prompt for prompt in (_prompt(benchmark, task, row, where) for where, row in rows)}
    if not prompts:
        raise ValueError(f"{benchmark}: {source or 'the hub'} has no prompts")
    return tuple(prompts.values())


def _rows_of_file(path: Path) -> Iterable[tuple[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield f"{path}, line {number}", json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error}); each line must be one JSON object") from error


def _rows_of_hub(benchmark: Benchmark, tried: Iterable[Path]) -> Iterable[tuple[str, Any]]:
    name, split = HUB_SETS[benchmark]
    by_file = f"put {benchmark}.jsonl in a folder and set JOMINY_DATA to it, or give the file: {benchmark}:path/to/{benchmark}.jsonl"
    looked = ", ".join(str(path) for path in tried)
    try:
        import datasets
    except ModuleNotFoundError as missing:
        raise ValueError(
            f"{benchmark}: no file at {looked}, and the hub needs the package 'datasets': {INSTALL}; or {by_file}"
        ) from missing
    try:
        rows = datasets.load_dataset(name, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"{benchmark}: no file at {looked}, and {name} cannot be read from the hub ({error}); {by_file}") from error
    return ((f"{name}, row {number}", row) for number, row in enumerate(rows))


def _prompt(benchmark: Benchmark, task: str, row: Any, where: str) -> Prompt:
    needed = {"prompt": str, "instruction_id_list": list, "kwargs": list}
    if not isinstance(row, dict) or any(not isinstance(row.get(column), kind) for column, kind in needed.items()):
        raise ValueError(f"{where}: an {benchmark} row needs a text 'prompt' and lists 'instruction_id_list' and 'kwargs'")
    identifiers = row["instruction_id_list"]
    if not identifiers or len(identifiers) != len(row["kwargs"]):
        raise ValueError(
            f"{where}: {len(identifiers)} instructions and {len(row['kwargs'])} kwargs; there must be one of each, at least one"
        )
    settings = [{key: value for key, value in given.items() if value is not None} for given in row["kwargs"]]
    messages = (Message(role="user", content=row["prompt"]),)
    return Prompt(
        id=identify(benchmark, messages, json.dumps([identifiers, settings], sort_keys=True)),
        task=task,
        messages=messages,
        wrong_answer="",
        info={"key": row.get("key"), "instruction_id_list": identifiers, "kwargs": settings, "types": identifiers},
    )
