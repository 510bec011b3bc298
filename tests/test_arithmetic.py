"""Sums: the results by Python's own arithmetic, the rule of the last number by hand; and the table that finds tasks by name."""

import re
import subprocess
import sys
import textwrap

import pytest

from jominy.tasks.arithmetic import last_number, make
from jominy.tasks.loading import TASKS, load_task


@pytest.mark.parametrize("options", ["", "digits=1", "digits=3,operators=+-", "digits=2,operators=*-,terms=5", "operators=-,terms=3"])
def test_targets_are_what_python_computes(options):
    task = make(options)
    prompts = task.prompts(200, 3)
    assert len({prompt.id for prompt in prompts}) == len(prompts) == 200
    for prompt in prompts:
        expression = prompt.messages[0].content.removeprefix("What is ").partition("?")[0]
        assert prompt.target == str(eval(expression))
        assert task.reward(prompt, str(prompt.gold_answer)).value == 1.0
        assert task.reward(prompt, str(prompt.wrong_answer)).value == 0.0


def test_options_set_digits_terms_and_operators():
    for prompt in make("digits=3,operators=+*,terms=4").prompts(100, 0):
        words = prompt.info["expression"].split()
        assert all(re.fullmatch("[1-9][0-9]{2}", number) for number in words[::2])
        assert len(words[::2]) == 4
        assert set(words[1::2]) <= {"+", "*"}


def test_seeds_and_exhaustion():
    task = make("digits=1,operators=+")
    assert task.prompts(20, 0) == task.prompts(20, 0)
    assert task.prompts(20, 0) != task.prompts(20, 1)
    everything = task.prompts(1000, 5)
    assert len(everything) == 100  # 10 x 10 numbers, one operator
    assert {prompt.target for prompt in everything} == {str(a + b) for a in range(10) for b in range(10)}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 42.", "42"),
        ("41 + 1 = 42", "42"),
        ("-7", "-7"),
        ("it is \u22127", "-7"),
        ("10-3", "3"),
        ("1,234,567", "1234567"),
        ("007", "7"),
        ("-0", "0"),
        ("3.0", "3"),
        ("3.50", "3.5"),
        ("1, 2, 3", "3"),
        ("", None),
        ("none", None),
        ("\u0664\u0662", None),  # Arabic-Indic digits are not read
        ("9" * 1_000_000, "9" * 1_000_000),  # beyond what int() takes
    ],
)
def test_last_number(text, number):
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("digits=0", "digits is a whole number of at least 1; got '0'"),
        ("digits=two", "digits is a whole number"),
        ("terms=1", "terms is a whole number of at least 2"),
        ("operators=/", "operators are taken from"),
        ("operators=", "operators are taken from"),
        ("digit=3", r"no option 'digit'; did you mean digits\? there are digits, operators, terms"),
        ("3", "option '3' has no value"),
        ("digits=1,digits=2", "given twice"),
        ("digits=9,terms=9", "lower one of them"),
    ],
)
def test_wrong_options_say_what_to_do(options, message):
    with pytest.raises(ValueError, match=message):
        make(options)


def test_load_task_by_name():
    task = load_task("arithmetic:digits=3")
    assert task.name == "arithmetic:digits=3"
    assert load_task(task.name).prompts(5, 0) == task.prompts(5, 0)


def test_an_unknown_task_lists_what_exists():
    with pytest.raises(ValueError, match=r"no task 'arithmetics'; did you mean arithmetic\?") as caught:
        load_task("arithmetics")
    assert all(name in str(caught.value) for name in TASKS)
    with pytest.raises(ValueError, match="target column belongs to a file"):
        load_task("arithmetic", target_column="answer")


def test_a_task_of_ones_own(tmp_path):
    path = tmp_path / "my_tasks.py"
    path.write_text(
        textwrap.dedent("""
        from jominy.tasks.arithmetic import make

        ready = make("digits=1")

        def made():
            return make("digits=2")

        def other():
            return 5
        """)
    )
    assert load_task(f"{path}:ready").name == "arithmetic:digits=1"
    assert load_task(f"{path}:made").name == "arithmetic:digits=2"
    with pytest.raises(ValueError, match="other is a int; a task is"):
        load_task(f"{path}:other")


def test_listing_the_tasks_imports_none_of_them():
    script = (
        "import sys; from jominy.tasks.loading import TASKS; assert len(TASKS) >= 6; "
        "heavy = {'torch', 'math_verify', 'reasoning_gym', 'sympy', 'pyarrow', 'datasets', 'if_verifiable'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
