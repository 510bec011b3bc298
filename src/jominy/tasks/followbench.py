"""FollowBench (2310.20410): instructions that grow by one constraint a level, one to five, in English.

A folder holds NAME_constraints.json for each category, lists of {"example_id", "category", "source", "level", "instruction", "target"} as
published; level 0 is the plain instruction and no prompt. Three sorts of prompts come of it:

    a source with a target (`ANSWER_CHECKS`)      one hard constraint: the output is the target      code decides, as the published rules do
    a source with rules (`RULES`)                 a constraint a level, hard where code can decide   the rest needs a judge
    every other                                   a soft constraint a level                          a judge decides

What a level asks is not written down anywhere: levels are rewritten as a whole. Where a level only adds a sentence, that sentence is the
constraint's text and has a span; else the text shows both levels and asks for what the second adds, as the published judge sees the path.
A prompt that needs a judge is unscored by the task's own reward, which names the judge reward; a number belongs to its judge.
The checks are ours after the published rules: words and sentences are counted as in `rewards.constraints`, and blanks around an output
are forgiven. Left out: the two format examples with published rules (a judge decides them here), and the category `example`, whose file
is made by a program of the authors.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jominy.records import Message, Paper, Prompt, Task
from jominy.rewards.constraints import grade
from jominy.tasks.identity import identify
from jominy.tasks.published import find, missing, read_json_rows, sample

PAPER = Paper(arxiv="2310.20410", title="FollowBench: A Multi-level Fine-grained Constraints Following Benchmark")
FOLDER = "followbench"
SOURCE = "github.com/YJiangcm/FollowBench (its folder data)"
CATEGORIES = ("content", "format", "mixed", "situation", "style")
LEVELS = (1, 2, 3, 4, 5)
COLUMNS: dict[str, type] = {"example_id": int, "category": str, "source": str, "level": int, "instruction": str, "target": str}

ANSWER_CHECKS: Mapping[str, str] = {
    "E2E": "exact_output",
    "text_editing": "exact_output",
    "WIKIEVENTS": "lines_among",
    "CONLL2003": "one_of",
    "BBH_logical": "last_option",
    "BBH_time": "last_date",
    "gsm_8k": "last_amount",
    "self_made_space": "contains",
}
"""{source: type of the check of the whole output against the row's target}."""

Rule = tuple[str, dict[str, Any], str]
RULES: Mapping[str, tuple[Rule | None, ...]] = {
    "cnn_dailymail": (
        ("sentences", {"count": 3}, "3 sentences"),
        ("short_sentences", {"count": 15}, "each sentence should contain less than 15 words"),
        (
            "words_by_sentence",
            {"words": ["Potter", "actor", "films"]},
            "'Potter', 'actor', 'films' in the first, second, and third sentence",
        ),
        ("sentence_without", {"number": 2, "word": "lavish"}, "The word 'lavish' should not appear in the second sentence."),
        None,
    ),
    "xsum": (
        ("sentences", {"count": 1}, "one sentence"),
        ("under_words", {"count": 20}, "less than 20 words"),
        ("forbid_word", {"word": "Newton Stewart"}, "Make sure 'Newton Stewart' does not appear in the summarization."),
        None,
        ("include_word", {"word": "operation"}, "Make sure 'operation' appears in the summarization."),
    ),
    "samsum": (
        ("sentences", {"count": 1}, "one sentence"),
        ("under_words", {"count": 15}, "less than 15 words"),
        ("include_word", {"word": "stuff"}, "The summary must contain the word 'stuff'."),
        ("no_stem", {"stem": "procrast"}, "No variations of the word 'procrast' can appear."),
        ("punctuation", {"count": 1}, "There should be only one punctuation in the summary."),
    ),
    "gigaword": (
        ("exact_words", {"count": 8}, "8-word"),
        ("punctuation", {"count": 0}, "Do not use any punctuation."),
        ("all_lowercase", {}, "Make sure all words are lowercase."),
        ("forbid_word", {"word": "bus"}, "Do not use the word 'bus'."),
        ("include_word", {"word": "in"}, "The summary should contain the word 'in'."),
    ),
    "arxiv": (
        ("sentences", {"count": 1}, "one sentence"),
        ("under_words", {"count": 21}, "within 20 words"),
        ("starts_with", {"phrase": "We"}, "begin with the word 'We'"),
        ("include_word", {"word": "activations"}, "contain the word 'activations'"),
        ("forbid_word", {"word": "transformer"}, "The word 'transformer' must not appear in the summary."),
    ),
}
"""{source: what each level adds, by the published rules; None where they ask for a tense, which a judge decides here}."""


def make(options: str = "") -> Task:
    """The task. Options, comma-separated: categories (default all), `level=1` to 5 (default all), `code` for the prompts that code decides
    whole, and the path of the folder.

    Without a path: the folder `followbench` in the one that JOMINY_DATA names, then in `../shared/data`.

    Raises:
        ValueError: an option is unknown, there is no folder or file, a file is not in the published form, or nothing is left.
    """
    categories, levels, only_code, given = _read_options(options)
    folder = find("followbench", [FOLDER], given)
    if folder is None:
        raise missing("followbench", FOLDER, SOURCE)
    name = f"followbench:{options}" if options else "followbench"
    prompts = {prompt.id: prompt for category in categories for prompt in _prompts(name, folder / f"{category}_constraints.json", category)}
    kept = [p for p in prompts.values() if p.info["level"] in levels and (p.wrong_answer is not None or not only_code)]
    if not kept:
        raise ValueError(f"followbench: no prompts of {', '.join(categories)} at these levels{' that code decides' if only_code else ''}")
    num_code = sum(prompt.wrong_answer is not None for prompt in kept)
    return Task(
        name=name,
        summary=f"{len(kept)} prompts with one to five constraints, {num_code} decided by code, the others by a judge",
        prompts=functools.partial(sample, "followbench", kept),
        reward=grade,
        paper=PAPER,
    )


def _read_options(options: str) -> tuple[Sequence[str], Sequence[int], bool, Path | None]:
    categories: list[str] = []
    levels: Sequence[int] = LEVELS
    only_code, given = False, None
    for option in filter(None, (part.strip() for part in options.split(","))):
        key, _, value = option.partition("=")
        if option in CATEGORIES:
            categories += [option] * (option not in categories)
        elif key == "level" and value in map(str, LEVELS):
            levels = (int(value),)
        elif option == "code":
            only_code = True
        elif given is None and Path(option).is_dir():
            given = Path(option)
        else:
            raise ValueError(f"followbench: cannot read option {option!r}; give {', '.join(CATEGORIES)}, level=1 to 5, code, or a folder")
    return categories or CATEGORIES, levels, only_code, given


def _prompts(task: str, path: Path, category: str) -> list[Prompt]:
    if not path.is_file():
        raise ValueError(f"followbench: there is no file {path}; the set has one for each of {', '.join(CATEGORIES)}, as published")
    examples: dict[int, dict[int, dict[str, Any]]] = {}
    for row in read_json_rows(path, COLUMNS):
        examples.setdefault(row["example_id"], {})[row["level"]] = row
    for key, rows in examples.items():
        if sorted(rows) != list(range(len(rows))) or len(rows) < 2:
            raise ValueError(f"{path}: example {key} has levels {sorted(rows)}; they must count up from 0 without a gap, at least to 1")
    return [_prompt(task, category, rows, level) for rows in examples.values() for level in sorted(rows) if level > 0]


def _prompt(task: str, category: str, rows: Mapping[int, Mapping[str, Any]], level: int) -> Prompt:
    row = rows[level]
    messages = (Message(role="user", content=row["instruction"]),)
    check = ANSWER_CHECKS.get(row["source"])
    if check is not None and row["target"]:
        constraints = [_hard(row["instruction"], (check, _answer(check, row["target"]), f"Is the output right? {row['instruction']}"))]
    else:
        rules = RULES.get(row["source"], ()) if category == "mixed" else ()
        constraints = [
            _hard(row["instruction"], rule) if rule is not None else _soft(row["instruction"], category, rows, at)
            for at in range(1, level + 1)
            for rule in [rules[at - 1] if at <= len(rules) else None]
        ]
    decided = all(constraint["truth"] for constraint in constraints)
    return Prompt(
        id=identify("followbench", messages, row["target"] or None),
        task=task,
        messages=messages,
        gold_answer=_gold(check, row["target"]) if check is not None and row["target"] else None,
        wrong_answer="" if decided else None,
        info={
            "key": f"{category}-{row['example_id']}-{level}",
            "constraints": constraints,
            "types": [constraint["type"] for constraint in constraints],
            "category": category,
            "source": row["source"],
            "level": level,
        },
    )


def _answer(check: str, target: str) -> dict[str, Any]:
    """Parameters of the check; several allowed answers stand in the file as a Python list or as lines."""
    if check == "one_of":
        return {"targets": _listed(target)}
    return {"targets": [line.strip() for line in target.split("\n")]} if check == "lines_among" else {"target": target}


def _listed(target: str) -> list[str]:
    """The texts of a list that is written as Python writes it.

    >>> _listed("['a b', 'c']")
    ['a b', 'c']
    """
    try:
        found = ast.literal_eval(target)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"followbench: {target[:80]!r} must be a list of the answers that are right") from error
    return [str(answer) for answer in found]


def _gold(check: str, target: str) -> str:
    return _listed(target)[0] if check == "one_of" else target


def _hard(instruction: str, rule: Rule) -> dict[str, Any]:
    name, params, text = rule
    return {"type": name, "params": params, "text": text, "kind": "hard", "span": _span(instruction, text), "truth": True}


def _soft(instruction: str, category: str, rows: Mapping[int, Mapping[str, Any]], level: int) -> dict[str, Any]:
    """The constraint that a level adds; in a mixed example its type is the last that the level names."""
    before, after = rows[level - 1]["instruction"], rows[level]["instruction"]
    name = rows[level]["category"].split(",")[-1].strip() if category == "mixed" else category
    text = added_sentence(before, after) or f"What the second instruction asks beyond the first.\nFirst: {before}\nSecond: {after}"
    return {
        "type": name,
        "params": {"level": level},
        "text": text,
        "kind": "soft",
        "span": _span(instruction, text),
        "truth": False,
    }


def _span(instruction: str, text: str) -> list[int] | None:
    start = instruction.find(text)
    return [start, start + len(text)] if start >= 0 else None


def added_sentence(before: str, after: str) -> str | None:
    """Whole sentences that `after` has and `before` has not, where nothing else differs; None where more differs.

    >>> added_sentence("Tell a joke.", "Tell a joke. Use no commas."), added_sentence("Tell a joke.", "Tell a sad joke.")
    ('Use no commas.', None)
    """
    start = next((at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), min(len(before), len(after)))
    if len(after) <= len(before) or before[start:] != after[len(after) - len(before) + start :]:
        return None
    text = after[start : len(after) - len(before) + start].strip()
    ends_before = before[:start].rstrip()
    is_whole = text[:1].isupper() and text[-1:] in ".!?" and (not ends_before or ends_before[-1] in ".!?")
    return text if is_whole else None
