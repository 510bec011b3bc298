"""Mathematics: equality against hand-made pairs, the published files, and text made to break the grader."""

import json
import os
import random
from pathlib import Path

import pytest

pytest.importorskip("math_verify", reason="needs math-verify (the tasks extra)")

from jominy.records import Message, Prompt
from jominy.rewards.answers import equal, extract_answer, grade
from jominy.rewards.boundary import Grader
from jominy.tasks.file import different
from jominy.tasks.math import BENCHMARKS, answer_of, make

DATA = Path(os.environ.get("JOMINY_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "gsm8k.jsonl").is_file(), reason="needs the benchmark files; set JOMINY_DATA to their folder")


def question(target: str) -> Prompt:
    return Prompt(id="p", task="math", messages=(Message(role="user", content="?"),), target=target)


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("1/2", "0.5"),
        (r"\frac{1}{2}", r"\dfrac12"),
        (r"\frac{1}{2}", r"50\%"),
        ("p - q", "-q + p"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"),
        ("1,3,5", "5, 3, 1"),
        (r"90^{\circ},60^{\circ}", r"60^{\circ}, 90^{\circ}"),
        ("[0,1)", r"[0, 1)"),
        ("x=5", "5"),
        ("5", "x = 5"),
        ("4.5e33", r"4.5 \times 10^{33}"),
        ("1000", "1,000"),
        ("18", r"\$18.00"),
        ("25", "025"),
        (r"\text{Evelyn}", "evelyn"),
        ("Paris", " paris. "),
    ],
)
def test_equal(target, answer):
    assert equal(target, answer)


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("2", "3"),
        ("1.6", "1.61"),
        ("{2,3}", "2"),
        ("[0,1)", "[0,1]"),
        ("(1,2)", "(2,1)"),
        ("4.5e33", r"4.5 \times 10^{32}"),
        ("x^2", "2x"),
        ("eve", "vee"),  # the same product of letters, not the same word
        ("Paris", "London"),
        ("2", "9" * 3000),
        ("2", ""),
    ],
)
def test_not_equal(target, answer):
    assert not equal(target, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} no \boxed{\frac{1}{\sqrt{2}}}.", r"\frac{1}{\sqrt{2}}"),
        (r"\fbox{7}", "7"),
        (r"\boxed {7}", "7"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{7", None),
        ("<answer> 3 </answer> or <answer>4</answer>\n5", "4"),
        ("work\n#### 18\n", "18"),
        ("The answer is 12 apples. I hope that helps.", "12"),
        ("**Answer:** $\\frac{10}{2}$", r"\frac{10}{2}"),
        ("so\n\nx = 12", "12"),
        ("There are 12 apples.", "12"),
        ("Paris", "Paris"),
        ("", None),
        (" \n ", None),
    ],
)
def test_where_the_answer_is(text, answer):
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"answer": "3 + 4 = <<3+4=7>>7\n#### 1,007"}, "1007"),
        ({"answer": 27.0}, "27"),
        ({"answer": r"\left(1,2\right)"}, r"\left(1,2\right)"),
        ({"final_answer": ["$90^{\\circ}$,$60^{\\circ}$"]}, r"90^{\circ},60^{\circ}"),
        ({"solution": r"first \boxed{1} then \boxed{4.5e33} ergs"}, "4.5e33"),
        ({"problem": "?"}, None),
    ],
)
def test_the_answer_of_a_row(row, answer):
    assert answer_of(row) == answer


def test_hostile_answers_end_as_zero_or_unscored_and_the_next_one_is_graded():
    hostile = [
        r"\boxed{10^{10^{10}}}",
        r"\boxed{10000000!}",
        r"\boxed{" + "{" * 900 + "1" + "}" * 900 + "}",
        r"\boxed{" + "(" * 300 + "1" + ")" * 300 + "}",
        "10**10**10",
    ]
    with Grader(grade, timeout_s=1.0, num_workers=2) as grader:
        rewards = grader.grade([(question("5"), text) for text in [*hostile, r"\boxed{5}"]])
        assert all(one.value in (0.0, None) for one in rewards[:-1])
        assert rewards[-1].value == 1.0
        assert 3 <= grader.counts["timed out after 1 s"] <= len(hostile)


@pytest.mark.parametrize("piece", ["a", "1", r"\boxed{", "<answer>", "the answer is ", "\n", "$", "#### ", "\x00\ud800"])
def test_a_megabyte_of_anything_is_graded_within_its_limit(piece):
    with Grader(grade, timeout_s=5.0, num_workers=1) as grader:
        (one,) = grader.grade([(question("5"), piece * (1_000_000 // len(piece)))])
    assert one.value == 0.0


def test_a_file_of_ones_own_and_its_mistakes(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"problem": "1 + 1", "answer": 2, "level": 1}\n\n{"question": "half of one", "solution": "\\\\boxed{1/2}"}\n')
    task = make(str(path))
    prompts = sorted(task.prompts(10, 0), key=lambda prompt: str(prompt.target))
    assert [prompt.target for prompt in prompts] == ["1/2", "2"]
    assert prompts[1].info == {"benchmark": str(path), "level": 1}
    assert r"\boxed{}" in prompts[0].messages[0].content
    assert task.reward(prompts[0], "0.5").value == 1.0
    path.write_text('{"problem": "1 + 1"}\n')
    with pytest.raises(ValueError, match=r"mine.jsonl, line 1: no answer"):
        make(str(path))
    path.write_text('{"answer": "2"}\n')
    with pytest.raises(ValueError, match=r"mine.jsonl, line 1: no question"):
        make(str(path))


def test_unknown_names_say_what_there_is():
    for options in ("", "math501"):
        with pytest.raises(ValueError, match=r"aime24.*gsm8k and any \.jsonl"):
            make(options)


def test_without_file_and_hub_the_remedy_is_named(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="needs datasets (the tasks extra)")

    def offline(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setenv("JOMINY_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(ValueError, match=r"HuggingFaceH4/MATH-500 .*no network.*math500.jsonl, or set JOMINY_DATA"):
        make("math500")


def test_the_hub_is_asked_when_there_is_no_file(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="needs datasets (the tasks extra)")
    asked = []

    def hub(path, name, split):
        asked.append((path, name, split))
        return datasets.Dataset.from_list([{"question": "3 + 4", "answer": "so\n#### 7"}])

    monkeypatch.setenv("JOMINY_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "load_dataset", hub)
    assert make("gsm8k").prompts(5, 0)[0].target == "7"
    assert asked == [("openai/gsm8k", "main", "test")]


@needs_data
@pytest.mark.parametrize(
    ("name", "rows"), [("aime24", 30), ("aime25", 30), ("amc23", 40), ("math500", 500), ("minerva", 272), ("gsm8k", 1319)]
)
def test_published_sizes(name, rows, monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(DATA))
    assert len(make(name).prompts(10_000, 0)) == rows


@needs_data
def test_gold_and_wrong_answers_of_every_benchmark(monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(DATA))
    prompts = [prompt for name in BENCHMARKS for prompt in make(name).prompts(12, 1)]
    assert {prompt.info["benchmark"] for prompt in prompts} == set(BENCHMARKS)
    with Grader(grade, num_workers=2) as grader:
        assert all(one.value == 1.0 for one in grader.grade([(prompt, str(prompt.gold_answer)) for prompt in prompts]))
        assert all(one.value == 0.0 for one in grader.grade([(prompt, str(prompt.wrong_answer)) for prompt in prompts]))


@needs_data
def test_reference_solutions_are_right(monkeypatch):
    """An oracle that is not ours: the published solutions, graded as responses, agree with the published answers."""
    monkeypatch.setenv("JOMINY_DATA", str(DATA))
    rows = [json.loads(line) for line in (DATA / "math500.jsonl").read_text().splitlines()]
    rows = random.Random(0).sample([row for row in rows if r"\boxed" in row["solution"]], 60)
    with Grader(grade, num_workers=2) as grader:
        rewards = grader.grade([(question(row["answer"]), row["solution"]) for row in rows])
    assert sum(one.value == 1.0 for one in rewards) >= 59


@needs_data
def test_samples_are_seeded_and_joined(monkeypatch):
    monkeypatch.setenv("JOMINY_DATA", str(DATA))
    task = make("aime24,amc23")
    assert task.prompts(20, 0) == task.prompts(20, 0)
    assert task.prompts(20, 0) != task.prompts(20, 1)
    assert len({prompt.id for prompt in task.prompts(100, 0)}) == 70


def test_a_different_answer_differs():
    assert [different(answer) for answer in ("41", "-1", "0.5", r"\frac{12345}{2}")] == ["42", "0", "12345", "54321"]
