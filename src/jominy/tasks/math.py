r"""Mathematics with answers that can be checked: the six benchmarks of 2601.06911 and GSM8K, or a file of the same form.

`math:math500,gsm8k` or `math:my_problems.jsonl`. A row needs a question (`problem` or `question`) and an answer, the first there is of

    final_answer (text or a list of it)     answer (after `####` where it has that)     the last \boxed{} of solution

A benchmark is read from the folder in JOMINY_DATA, else from ../shared/data beside the working folder, else from the hub with
`datasets`. The prompt asks for the answer in \boxed{}; `rewards.answers` compares. Left out on purpose: few-shot examples and system
prompts, which belong to the model, and Minerva's tolerance for rounded numbers: 1.6 and 1.61 differ here.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jominy.records import Message, Paper, Prompt, Task
from jominy.rewards.extraction import last_box
from jominy.tasks.file import as_text, boxed, default_reward, different, has_closed_box, read_rows, reference_answer
from jominy.tasks.identity import identify

INSTRUCTION = "Reason step by step, and put the final answer in \\boxed{}."
DATA_VARIABLE = "JOMINY_DATA"
DATA_FOLDER = Path("../shared/data")
KEPT = ("level", "subject", "type", "subfield", "answer_type", "unit", "id", "unique_id", "idx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Where a benchmark lies.

    Example: Benchmark(file="gsm8k.jsonl", hub="openai/gsm8k", configuration="main", split="test")
    """

    file: str
    """Its name in a folder of data."""
    hub: str
    """Its id on the hub."""
    split: str = "test"
    configuration: str | None = None
    samples: int | None = None
    """Samples a problem in 2601.06911, appendix (evaluation); None: not among its six."""


BENCHMARKS: dict[str, Benchmark] = {
    "aime24": Benchmark(file="aime24.jsonl", hub="HuggingFaceH4/aime_2024", split="train", samples=256),
    "aime25": Benchmark(file="aime25.jsonl", hub="math-ai/aime25", samples=256),
    "amc23": Benchmark(file="amc23.jsonl", hub="math-ai/amc23", samples=16),
    "math500": Benchmark(file="math500.jsonl", hub="HuggingFaceH4/MATH-500", samples=32),
    "minerva": Benchmark(file="minerva_math.jsonl", hub="math-ai/minervamath", samples=16),
    "olympiadbench": Benchmark(file="olympiadbench.jsonl", hub="math-ai/olympiadbench", samples=16),
    "gsm8k": Benchmark(file="gsm8k.jsonl", hub="openai/gsm8k", configuration="main"),
}


def make(options: str) -> Task:
    """The problems of one or several benchmarks or files, names joined by commas.

    Raises:
        ValueError: no name is given or one is unknown, a file or row cannot be read, or the `tasks` extra is missing.
    """
    names = [name.strip() for name in options.split(",") if name.strip()]
    unknown = [name for name in names if name not in BENCHMARKS and Path(name).suffix != ".jsonl"]
    if unknown or not names:
        said = f"no benchmark {unknown[0]!r}" if unknown else "which problems"
        raise ValueError(f"math: {said}; there are {', '.join(BENCHMARKS)} and any .jsonl file, e.g. math:math500,gsm8k")
    reward = default_reward()
    problems = [_prompt(name, where, row) for name in dict.fromkeys(names) for where, row in _rows(name)]
    distinct = list({prompt.id: prompt for prompt in problems}.values())

    def prompts(num_prompts: int, seed: int) -> list[Prompt]:
        return random.Random(seed).sample(distinct, min(num_prompts, len(distinct)))

    return Task(
        name=f"math:{options}",
        summary=f"{len(distinct)} problems of {', '.join(names)}",
        prompts=prompts,
        reward=reward,
        format=has_closed_box,
        lenient=reward,
        paper=Paper(arxiv="2601.06911", title="Distributional clarity", where="the six benchmarks"),
    )


def _rows(name: str) -> list[tuple[str, dict[str, Any]]]:
    """(where it stands, row) of a benchmark or a file."""
    if name not in BENCHMARKS:
        return [(f"{name}, {where}", row) for where, row in read_rows(name)]
    benchmark = BENCHMARKS[name]
    path = Path(os.environ.get(DATA_VARIABLE, DATA_FOLDER)) / benchmark.file
    if path.is_file():
        return [(f"{path}, {where}", row) for where, row in read_rows(path)]
    return _hub_rows(name, benchmark, path)


def _hub_rows(name: str, benchmark: Benchmark, path: Path) -> list[tuple[str, dict[str, Any]]]:
    remedy = f"put it at {path}, or set {DATA_VARIABLE} to the folder that has {benchmark.file}"
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise ValueError(f"math: {name} from the hub needs {error.name}: pip install 'jominy[tasks]'; or {remedy}") from error
    try:
        rows = datasets.load_dataset(benchmark.hub, benchmark.configuration, split=benchmark.split)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"math: {benchmark.hub} cannot be loaded from the hub ({str(error).splitlines()[0]}); {remedy}") from error
    return [(f"{benchmark.hub}, row {number}", dict(row)) for number, row in enumerate(rows, start=1)]


def _prompt(name: str, where: str, row: Mapping[str, Any]) -> Prompt:
    question = row.get("problem") or row.get("question")
    if not isinstance(question, str):
        raise ValueError(f"{where}: no question in `problem` or `question`; the columns are {', '.join(row)}")
    if row.get("context"):
        question = f"{row['context']}\n{question}"
    target = answer_of(row)
    if not target:
        raise ValueError(f"{where}: no answer in `final_answer`, `answer` or a \\boxed{{}} of `solution`; the columns are {', '.join(row)}")
    messages = (Message(role="user", content=f"{question}\n\n{INSTRUCTION}"),)
    return Prompt(
        id=identify("math", messages, target),
        task=f"math:{name}",
        messages=messages,
        target=target,
        gold_answer=boxed(target),
        wrong_answer=boxed(different(target)),
        info={"benchmark": name} | {column: row[column] for column in KEPT if row.get(column) is not None},
    )


def answer_of(row: Mapping[str, Any]) -> str | None:
    r"""The reference answer of a row by the rule at the top of this file, without dollar signs; None where there is none.

    >>> answer_of({"answer": "3 + 4 = <<3+4=7>>7\n#### 7"}), answer_of({"answer": 27.0}), answer_of({"final_answer": ["$1$,$2$"]})
    ('7', '27', '1,2')
    """
    final = row.get("final_answer")
    if final is not None:
        return ", ".join(map(str, final if isinstance(final, list) else [final])).replace("$", "").strip()
    if row.get("answer") is not None:
        return reference_answer(as_text(row["answer"]))
    return last_box(str(row.get("solution", "")))
