"""Written steps: methods and errors of sums by hand, and every method of every two-digit sum by brute force."""

from __future__ import annotations

from itertools import product

import pytest

from jominy.checking import check
from jominy.rewards.taxonomy import TAXONOMY
from jominy.tasks.arithmetic import last_number, make
from jominy.tasks.steps import METHODS, SEEN_METHODS, read_sum, write_steps

# 47 + 85 = 132: 47 + 80 = 127, 127 + 5 = 132; 47 + 5 = 52, 52 + 80 = 132; 40 + 80 = 120, 7 + 5 = 12, 120 + 12 = 132
RIGHT = {
    "47 + 80 = 127; 127 + 5 = 132; 132": "highest_first",
    "47 + 5 = 52; 52 + 80 = 132; 132": "lowest_first",
    "5 + 47 = 52\n80+52=132\nThe answer is 132.": "lowest_first",
    "40 + 80 = 120; 7 + 5 = 12; 120 + 12 = 132; 132": "by_place",
    "47 + 85 = 132; 132": "in_one_step",
    "132": "no_steps",
    "7 + 5 = 12; 12 + 40 = 52; 52 + 80 = 132; 132": "another way: 5+7, 12+40, 52+80",
    "47 + 80 = 128; 128 + 5 = 132; 132": "highest_first",  # two slips that cancel: the method is still to be seen
    "1. 47 + 80 = 127\n2. 127 + 5 = 132\n132": "highest_first",
    "(1) 47 + 5 = 52, (2) 52 + 80 = 132, 132": "lowest_first",
    "47 + 80\n= 127\n127 + 5\n  = 132. 132": "highest_first",
    "47 + 13 = 60; 60 + 72 = 132; 132": None,  # 13 and 72 stand nowhere
    "47 80 127 5 132": None,  # perhaps steps, but none that could be read
    "47 + 85; 132": None,
    "= =; 47 + 80 = 127; 127 + 5 = 132; 132": None,
    "Well, that makes 132": None,
}
WRONG = {
    "": "E5.2",
    "= = 4 7": "E5.2",
    "4 7; + + 3": "E5.2",
    "123": "E1.2",
    "47 + 30 = 77; 77 + 5 = 82; 82": "E1.1",  # 47 + 35
    "90 + 80 = 170; 7 + 5 = 12; 170 + 12 = 182; 182": "E1.1",  # 97 + 85
    "47 + 80 = 128; 128 + 5 = 133; 133": "E3.1",
    "47 + 80 = 127; 127 + 5 = 131; 131": "E3.1",
    "47 + 80 = 127; 137 + 5 = 142; 142": "E3.2",  # 137 comes from nowhere
    "47 + 80 = 127; 127 + 5 = 132; 123": "E3.2",
    "47 + 80 = 127; 127 + 80 = 207; 207": "E2.2",  # a part twice, all sums right
    "40 + 80 = 120; 120 + 7 = 127; 127": "E2.2",  # a part left out, on no method's way
    "47 * 85 = 3995; 3995": "E2.2",
    "47 + 80 = 127": "E4.2",
    "47 + 80 = 127; 127": "E4.2",
    "47 + 80 = 127; 127 +": "E4.2",
    "47 + 80 = 127; 127 + 5 = 13": "E4.2",
    "47 + 80 = 127; 127 + 5 = 132; 132; 7": "E4.1",
    "47 + 80 = 127; 47 + 80 = 127; 47 + 80 = 127; 127": "E5.1",
    "1. 47 + 80 = 128\n2. 128 + 5 = 133\n133": "E3.1",
    "47 + 80 = 127, 127 + 5 = 131, 131": "E3.1",
    "47 + 80\n= 128\n128 + 5\n= 133": "E3.1",
    "47 + 80 = 128; 128 + 5 = 133; 133; = =": "E3.1",  # what stands first decides
    "47 + 80 = 128; 128 + 5 = 133; 133; 133; 133": "E3.1",
    "47 + 80 = 127; 47 + 80 = 127; 47 + 80 = 127; 127 + 5 = 131; 131": "E5.1",
    "7; 7; 7; 47 + 80 = 128; 128 + 5 = 133; 133": "E5.1",
    "47 + 80 = 127; = =; 127 + 5 = 131; 131": None,  # steps, and something between them that might be one
    "47 + 80 = 127; 127 + 5; 5": None,
    "9; 9; 9; 9": "E5.1",
    "I would guess 130": None,
}


@pytest.mark.parametrize(("text", "method"), RIGHT.items())
def test_methods_of_right_responses(text, method):
    found = read_sum(47, 85, text, is_right=True, is_cut=False)
    assert (found.method, found.error) == (method, None)
    assert bool(found.note) == (method is None)


@pytest.mark.parametrize(("text", "code"), WRONG.items())
def test_errors_of_wrong_responses(text, code):
    assert last_number(text) != "132"
    found = read_sum(47, 85, text, is_right=False, is_cut=False)
    assert found.error == code
    assert code is None or code in TAXONOMY
    assert found.note or code == "E5.2"


def test_the_first_error_counts():
    both = "47 + 80 = 128; 128 + 6 = 134; 134"  # a slip, and then a number from nowhere that no other sum explains: 47 + 86
    assert read_sum(47, 85, both, is_right=False, is_cut=False).error == "E3.1"


def test_thousands_commas_are_no_separators():
    # 1234 + 4321: 1000 + 4000, 200 + 300, 30 + 20, 4 + 1
    text = "1,234 + 4,000 = 5,234, 5,234 + 300 = 5,534, 5,534 + 20 = 5,554, 5,554 + 1 = 5,555, 5,555."
    assert read_sum(1234, 4321, text, is_right=True, is_cut=False).method == "highest_first"
    wrong = text.replace("5,555", "5,556")
    assert read_sum(1234, 4321, wrong, is_right=False, is_cut=False).error == "E3.1"


def test_a_method_may_make_a_step_three_times():
    # 4000 + 5000 by places: 0 + 0 = 0 three times, which is no loop; the slip behind it is the error
    text = "4000 + 5000 = 9000; 0 + 0 = 0; 0 + 0 = 0; 0 + 0 = 0; 9000 + 0 = 9001; 9001"
    assert read_sum(4000, 5000, text, is_right=False, is_cut=False).error == "E3.1"
    assert read_sum(4000, 5000, text.replace("9000 + 0", "77 + 8"), is_right=False, is_cut=False).error == "E3.2"


def test_every_method_of_every_sum_is_read_as_itself():
    for first, second in product(range(10, 100, 3), range(10, 100)):
        written = {method: write_steps(first, second, method) for method in SEEN_METHODS}
        assert len(set(written.values())) == len(SEEN_METHODS)
        for method, text in written.items():
            assert last_number(text) == str(first + second)
            assert all(eval(step.replace("=", "==")) for step in text.split("; ")[:-1])
            assert read_sum(first, second, text, is_right=True, is_cut=False).method == method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("first", "second"), [(47, 85), (10, 10), (900, 500), (123, 456), (4321, 5000)])
def test_any_beginning_that_is_cut_is_a_premature_stop(method, first, second):
    whole = write_steps(first, second, method)
    for length in range(1, len(whole)):
        text = whole[:length]
        if last_number(text) != str(first + second):
            assert read_sum(first, second, text, is_right=False, is_cut=True).error == "E4.2", text


@pytest.mark.parametrize("steps", ["yes", *METHODS])
def test_the_task_with_steps(steps):
    name = f"arithmetic:operators=+,steps={steps}"
    assert check(name, num_prompts=32).passed
    task = make(f"operators=+,steps={steps}")
    assert task.read_steps is not None
    prompts = task.prompts(300, 0)
    seen = set()
    for prompt in prompts:
        gold = task.read_steps(prompt, str(prompt.gold_answer), "eos")
        wrong = task.read_steps(prompt, str(prompt.wrong_answer), "eos")
        assert (gold.error, wrong.error) == (None, "E3.1")
        assert gold.method == wrong.method == prompt.info["method"]
        seen.add(gold.method)
    assert seen == (set(METHODS) if steps == "yes" else {steps})
    assert [prompt.id for prompt in prompts] == [prompt.id for prompt in make("operators=+,steps=yes").prompts(300, 0)]


def test_without_steps_no_program_reads_them():
    assert make("").read_steps is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("steps=yes", r"writes sums of two numbers of 2 to 12 digits; add operators=\+"),
        ("operators=+,terms=3,steps=yes", "leave terms at 2"),
        ("operators=+,digits=1,steps=yes", "2 to 12 digits"),
        ("operators=+,steps=ja", "steps is one of no, yes, highest_first"),
    ],
)
def test_what_has_no_steps(options, message):
    with pytest.raises(ValueError, match=message):
        make(options)
