"""Multi-IF (2410.15553): IFEval's checkable instructions over three turns and eight languages, from the hub or a file.

A row has `key`, `language` and, for k = 1, 2, 3, `turn_k_prompt` (JSON of a message), `turn_k_instruction_id_list` (JSON list) and
`turn_k_kwargs` (JSON list of JSON objects), as published: `multiif.csv` or `multiif.jsonl` in the folder that JOMINY_DATA names, else
facebook/Multi-IF on the hub. With turns=k the prompt holds the first k requests, judged by the instructions that the set lists for turn k.
LIMIT: the published protocol answers turn by turn with the model's own answers in between. Here the k requests stand in one message, so
only turns=1 is the published measurement; 2 and 3 are harder or easier by what an own answer would have done.
LIMIT: the checkers are IFEval's, made for English; counts of words and sentences mean little in Chinese or Hindi. English is the default.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jominy.records import Message, Paper, Prompt, Task
from jominy.rewards.instructions import INSTALL, InstructionReward
from jominy.tasks.identity import identify
from jominy.tasks.published import candidates, check_row, find, read_lines, sample

PAPER = Paper(arxiv="2410.15553", title="Multi-IF: Benchmarking LLMs on Multi-Turn and Multilingual Instructions Following")
HUB_NAME = "facebook/Multi-IF"
FILES = ("multiif.csv", "multiif.jsonl")
COLUMNS = ("prompt", "instruction_id_list", "kwargs")
MODES = ("strict", "loose")
OPTIONS = "turns=1, 2 or 3, language=English (or another, or all), strict or loose, and at most one .csv or .jsonl file"


def make(options: str = "") -> Task:
    """The task. Options, comma-separated: `turns=1` (default) to 3, `language=English` (default), another or `all`, `strict` (default) or
    `loose`, and the path of a file.

    Raises:
        ValueError: an option is unknown, no source can be read (says what was tried), or a row is not in the published form.
    """
    mode, turns, language, given = "strict", 1, "English", None
    for option in filter(None, (part.strip() for part in options.split(","))):
        key, _, value = option.partition("=")
        if option in MODES:
            mode = option
        elif key == "turns" and value in ("1", "2", "3"):
            turns = int(value)
        elif key == "language" and value:
            language = value
        elif given is None and (option.endswith((".csv", ".jsonl")) or Path(option).exists()):
            given = Path(option)
        else:
            raise ValueError(f"multiif: cannot read option {option!r}; give {OPTIONS}")
    name = f"multiif:{options}" if options else "multiif"
    prompts, languages = _prompts(name, _rows(given), turns, language)
    if not prompts:
        known = ", ".join(sorted(languages)) or "no rows"
        raise ValueError(f"multiif: no prompts in language {language!r} with {turns} turns; there are {known}")
    asked = f"{turns} requests in one message (published turn by turn)" if turns > 1 else "the first turn"
    return Task(
        name=name,
        summary=f"{len(prompts)} prompts, {asked}, with verifiable instructions, {mode}, all of them followed",
        prompts=functools.partial(sample, "multiif", prompts),
        reward=InstructionReward("ifeval", loose=mode == "loose"),
        lenient=InstructionReward("ifeval", loose=True),
        paper=PAPER,
    )


def _prompts(task: str, rows: Iterable[tuple[str, Any]], turns: int, language: str) -> tuple[list[Prompt], set[str]]:
    """(prompts of the language, every language there is)."""
    prompts: dict[str, Prompt] = {}
    languages = set()
    for where, row in rows:
        check_row(where, row, {"language": str, **{f"turn_{k}_{column}": str for k in range(1, turns + 1) for column in COLUMNS}})
        languages.add(row["language"])
        if language in ("all", row["language"]) and row[f"turn_{turns}_prompt"] not in ("", "None"):
            prompt = _prompt(task, row, turns, where)
            prompts[prompt.id] = prompt
    return list(prompts.values()), languages


def _prompt(task: str, row: Any, turns: int, where: str) -> Prompt:
    try:
        requests = [json.loads(row[f"turn_{turn}_prompt"])["content"] for turn in range(1, turns + 1)]
        identifiers = json.loads(row[f"turn_{turns}_instruction_id_list"])
        given = [json.loads(kwargs) if isinstance(kwargs, str) else kwargs for kwargs in json.loads(row[f"turn_{turns}_kwargs"])]
        settings = [{key: value for key, value in each.items() if value is not None} for each in given]
        content = "\n\n".join(requests)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: turn {turns} is not in the published form ({type(error).__name__}: {error})") from error
    if not identifiers or len(identifiers) != len(settings):
        raise ValueError(f"{where}: {len(identifiers)} instructions and {len(settings)} kwargs; there must be one of each, at least one")
    messages = (Message(role="user", content=content),)
    return Prompt(
        id=identify("multiif", messages, json.dumps([identifiers, settings], sort_keys=True)),
        task=task,
        messages=messages,
        wrong_answer="",
        info={
            "key": row.get("key"),
            "instruction_id_list": identifiers,
            "kwargs": settings,
            "types": identifiers,
            "language": row["language"],
            "turns": turns,
        },
    )


def _rows(given: Path | None) -> Iterable[tuple[str, Any]]:
    path = find("multiif", FILES, given)
    if path is not None:
        return read_lines(path)
    looked = ", ".join(str(place) for name in FILES for place in candidates(name))
    by_file = f"put {FILES[0]} in a folder and set JOMINY_DATA to it, or give the file: multiif:path/to/{FILES[0]}"
    try:
        import datasets
    except ModuleNotFoundError as missing:
        raise ValueError(f"multiif: no file at {looked}, and the hub needs the package 'datasets': {INSTALL}; or {by_file}") from missing
    try:
        splits = datasets.load_dataset(HUB_NAME)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"multiif: no file at {looked}, and {HUB_NAME} cannot be read from the hub ({error}); {by_file}") from error
    return ((f"{HUB_NAME}, {split} row {number}", row) for split, rows in splits.items() for number, row in enumerate(rows))
