"""CFBench (2408.01122): 1,000 Chinese prompts, each with the criteria that its authors list, as constraints for a judge.

A row is {"prompt", "criteria": [[text, priority, class, subclass], ...], "split": easy or hard, ...} in a JSON list, as published.
A constraint's type is its class in English (`CLASSES`); `params` keep the priority (primary, secondary) and the subclass as published.
All are soft without truth: even a count of characters is asked in free words, and the set does not say what counts as one. So the
task's own reward is unscored and names the judge reward; a number from this set belongs to its judge and is never compared across judges.
Left out: the published aggregate PSR, which weighs primary criteria; `all_pass` is its ISR, `mean` over a set its CSR.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jominy.records import Message, Paper, Prompt, Task
from jominy.rewards.constraints import grade
from jominy.tasks.identity import identify
from jominy.tasks.published import find, missing, read_json_rows, sample

PAPER = Paper(arxiv="2408.01122", title="CFBench: A Comprehensive Constraints-Following Benchmark for LLMs")
FILE = "cfbench.json"
SOURCE = "github.com/PKU-Baichuan-MLSystemLab/CFBench"
SPLITS = ("easy", "hard")
CLASSES = {
    "内容约束": "content",
    "数值约束": "numerical",
    "风格约束": "style",
    "格式约束": "format",
    "语言约束": "linguistic",
    "场景约束": "situation",
    "example约束": "example",
    "否定约束": "inverse",
    "不合理约束": "contradictory",
    "指定动作约束/其他专业约束": "rule",
    "": "unnamed",
}
"""{class as published: in English}; 129 criteria of the published file name none."""
PRIORITIES = {"主需": "primary", "次需": "secondary"}


def make(options: str = "") -> Task:
    """The task. Options, comma-separated: `easy` or `hard` (default both), and the path of the file.

    Without a path: `cfbench.json` in the folder that JOMINY_DATA names, then in `../shared/data`.

    Raises:
        ValueError: an option is unknown, there is no file, or it is not in the published form.
    """
    splits: tuple[str, ...] = SPLITS
    given: Path | None = None
    for option in filter(None, (part.strip() for part in options.split(","))):
        if option in SPLITS:
            splits = (option,)
        elif given is None and (option.endswith(".json") or Path(option).exists()):
            given = Path(option)
        else:
            raise ValueError(f"cfbench: cannot read option {option!r}; give easy or hard, and at most one .json file")
    path = find("cfbench", [FILE], given)
    if path is None:
        raise missing("cfbench", FILE, SOURCE)
    name = f"cfbench:{options}" if options else "cfbench"
    rows = read_json_rows(path, {"prompt": str, "criteria": list, "split": str})
    drawn = (_prompt(name, row, f"{path}, row {at}") for at, row in enumerate(rows) if row["split"] in splits)
    prompts = {prompt.id: prompt for prompt in drawn}
    if not prompts:
        raise ValueError(f"cfbench: {path} has no prompts of split {' or '.join(splits)}")
    return Task(
        name=name,
        summary=f"{len(prompts)} Chinese prompts with criteria for a judge, all of them met",
        prompts=functools.partial(sample, "cfbench", list(prompts.values())),
        reward=grade,
        paper=PAPER,
    )


def _prompt(task: str, row: dict[str, Any], where: str) -> Prompt:
    criteria = row["criteria"]
    if not criteria or any(not isinstance(criterion, list) or len(criterion) != 4 for criterion in criteria):
        raise ValueError(f"{where}: each criterion must be [text, priority, class, subclass], and there must be one")
    messages = (Message(role="user", content=row["prompt"]),)
    constraints = [_constraint(row["prompt"], *criterion) for criterion in criteria]
    return Prompt(
        id=identify("cfbench", messages, None),
        task=task,
        messages=messages,
        info={
            "key": row.get("idx"),
            "constraints": constraints,
            "types": [constraint["type"] for constraint in constraints],
            "split": row["split"],
        },
    )


def _constraint(prompt: str, text: str, priority: str, group: str, subgroup: str) -> dict[str, Any]:
    start = prompt.find(text)
    return {
        "type": CLASSES.get(group, group),
        "params": {"priority": PRIORITIES.get(priority, priority), "subclass": subgroup},
        "text": text,
        "kind": "soft",
        "span": [start, start + len(text)] if text and start >= 0 else None,
        "truth": False,
    }
