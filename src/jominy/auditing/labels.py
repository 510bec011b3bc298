"""A person's own labelled responses, as the audit takes them: a .jsonl, .csv or .parquet file.

    prompt      what was asked: text, or a conversation as a list of {"role": ..., "content": ...} (in CSV as JSON text)
    response    the text to judge; it may be empty
    label       whether it is right: true, yes, satisfied, correct, pass, 1 or false, no, violated, incorrect, wrong, fail, 0
    type        optional: a name by which the results are split
    target      optional, or another of `tasks.file.TARGET_COLUMNS` but label: what a reward compares with

Every further column reaches a reward by its name, as from a file of prompts (`tasks.file`), but `constraints`: to a judge of constraints a
row has one constraint, the whole prompt, and the label is its truth. Rows of one prompt and target go together in every interval.
Left out on purpose: labels between right and wrong, for which there is no confusion matrix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jominy.confusion import AuditItem
from jominy.files import read_rows
from jominy.records import Prompt
from jominy.tasks.file import TARGET_COLUMNS, as_messages, as_text, plain, value_of
from jominy.tasks.identity import identify

COLUMNS = ("prompt", "response", "label")
RIGHT = ("true", "yes", "satisfied", "correct", "right", "pass", "passed", "1", "1.0")
WRONG = ("false", "no", "violated", "incorrect", "wrong", "fail", "failed", "0", "0.0")
UNTYPED = "labelled"


def read_labelled(path: str | Path) -> list[AuditItem]:
    """The rows of a labelled file.

    Returns:
        One item a row, in their order; `about` is its type, UNTYPED where the file gives none.

    Raises:
        ValueError: the file cannot be read, lacks a column (those it has are named), or a row has an unknown label, no prompt or a response
            that is no text; names file and line.
    """
    path = Path(path)
    rows = list(read_rows(path))
    there = dict.fromkeys(name for _, row in rows for name in row)
    if missing := [name for name in COLUMNS if name not in there]:
        raise ValueError(
            f"{path} has no column {', '.join(repr(name) for name in missing)}; its columns are {', '.join(there)}; "
            "a labelled file has prompt, response, label and, if you like, type"
        )
    return [_item(path, f"{path}, {where}", row) for where, row in rows]


def _item(path: Path, where: str, row: Mapping[str, Any]) -> AuditItem:
    response, kind = row.get("response"), row.get("type")
    if not isinstance(response, str):
        raise ValueError(f"{where}: the response must be text, not {response!r}")
    if kind is not None and not isinstance(kind, str):
        raise ValueError(f"{where}: the type must be a name, not {kind!r}")
    about = (kind or "").strip() or UNTYPED
    return AuditItem(
        prompt=_prompt(path, where, row, about), text=response, truths=(read_label(row.get("label"), where),),
        kind="labelled", about=about,
    )  # fmt: skip


def _prompt(path: Path, where: str, row: Mapping[str, Any], about: str) -> Prompt:
    value = row.get("prompt")
    if path.suffix == ".csv" and isinstance(value, str) and value.startswith("[{"):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: the prompt starts like a list of messages but is not JSON ({error.msg})") from error
    messages = as_messages(value, where)
    text = messages[-1].content
    constraint = {"type": about, "params": {}, "text": text, "kind": "soft", "span": [0, len(text)], "truth": False}
    info = {name: plain(one) for name, one in row.items() if name not in COLUMNS}
    target = target_of(row)
    return Prompt(
        id=identify("labelled", messages, target),
        task=str(path),
        messages=messages,
        target=target,
        info={**info, "constraints": [constraint]},
    )


def target_of(row: Mapping[str, Any]) -> str | None:
    """What a reward compares with, from the first target column that has something; the label is none.

    >>> target_of({"label": True, "answer": 27.0})
    '27'
    """
    found = next((value for name in TARGET_COLUMNS if name != "label" and (value := value_of(row, name)) is not None), None)
    return None if found is None else as_text(found)


def read_label(value: object, where: str) -> bool:
    """A label as true or false.

    Raises:
        ValueError: it is neither; lists what is known.

    >>> read_label("Yes", "line 2"), read_label(0, "line 3")
    (True, False)
    """
    word = "" if value is None else str(value).strip().lower()
    if word in RIGHT:
        return True
    if word in WRONG:
        return False
    raise ValueError(f"{where}: cannot read label {value!r}; right is one of {', '.join(RIGHT)}, wrong is one of {', '.join(WRONG)}")
