"""reasoning-gym through jominy: gold and wrong answers by its own verifiers, settings, and answers made to break them."""

import json
import re
import warnings

import pytest

pytest.importorskip("reasoning_gym", reason="needs reasoning-gym (the tasks extra)")

from jominy.records import Reward
from jominy.rewards.boundary import Grader
from jominy.rewards.reasoning import extract_answer, grade
from jominy.tasks.logic import make

QUICK = [
    "knights_knaves",
    "zebra_puzzles",
    "countdown",
    "graph_color",
    "propositional_logic",
    "prime_factorization",
    "syllogism",
    "course_schedule",
    "binary_matrix",
    "tower_of_hanoi",
]


def below_one(reward: Reward) -> bool:
    return reward.value is not None and reward.value < 1.0


@pytest.mark.parametrize("name", QUICK)
def test_gold_scores_one_and_wrong_below(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, not ours
        task = make(name)
        prompts = task.prompts(6, 0)
    assert len({prompt.id for prompt in prompts}) == 6
    for prompt in prompts:
        assert task.reward(prompt, str(prompt.gold_answer)).value == 1.0
        assert below_one(task.reward(prompt, str(prompt.wrong_answer)))
        assert "<answer>" in prompt.messages[0].content
        json.dumps(dict(prompt.info))


def test_countdown_by_hand():
    """An oracle of our own: the expression in the gold answer uses the given numbers and makes the target."""
    task = make("countdown,max_numbers=4,max_value=20")
    for prompt in task.prompts(5, 3):
        question = prompt.messages[0].content
        sentence = question.split("\n")[0]
        numbers = max(re.findall(r"\d+(?:, \d+)+", sentence), key=len)
        (target,) = re.findall(r"\d+", sentence.replace(numbers, ""))
        expression = str(prompt.gold_answer).removeprefix("<answer>").removesuffix("</answer>")
        assert eval(expression) == int(target)
        assert sorted(re.findall(r"\d+", expression)) == sorted(re.findall(r"\d+", numbers))
        assert len(re.findall(r"\d+", numbers)) <= 4
        assert task.reward(prompt, f"I try.\n{expression}\n").value == 1.0
        assert below_one(task.reward(prompt, f"<answer>{expression} + 1</answer>"))


def test_seeds_do_not_overlap_and_repeat():
    task = make("countdown")
    first, again, other = task.prompts(20, 0), task.prompts(20, 0), task.prompts(20, 1)
    assert first == again
    assert not {prompt.id for prompt in first} & {prompt.id for prompt in other}


def test_items_are_made_again_in_another_process():
    task = make("knights_knaves,n_people=3")
    prompts = task.prompts(8, 5)
    assert {prompt.num_choices for prompt in prompts} == {8}  # 2 roles, 3 people
    with Grader(task.reward, num_workers=1) as grader:
        assert [one.value for one in grader.grade([(prompt, str(prompt.gold_answer)) for prompt in prompts])] == [1.0] * 8


def test_answers_are_found_by_the_stated_rule():
    assert extract_answer("a <answer>1</answer> b <ANSWER>\n2\n</ANSWER> c") == "2"
    assert extract_answer("thinking\n  the end  \n\n") == "the end"
    assert extract_answer("<answer>never closed") == "<answer>never closed"
    assert extract_answer("") is None


def test_what_a_verifier_cannot_read_is_wrong():
    (prompt,) = make("prime_factorization").prompts(1, 0)
    for text in ("", "I do not know", "\x00\ud800", "9" * 1_000_000, "(" * 5000):
        assert below_one(grade(prompt, text))


def test_a_verifier_that_accepts_everything_is_not_hidden():
    """game_of_life_halting compares bool(answer): `jominy check` must be able to see it."""
    task = make("game_of_life_halting")
    (prompt,) = task.prompts(1, 0)
    assert task.reward(prompt, str(prompt.wrong_answer)).value == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("knight_knaves", r"did you mean knights_knaves.* reasoning-gym has \d{3}"),
        ("", "which dataset"),
        ("countdown,max_number=4", r"no option 'max_number'; did you mean max_numbers"),
        ("countdown,max_numbers=-1", "countdown does not accept max_numbers=-1"),
        ("countdown,max_numbers=many", "countdown does not accept max_numbers=many"),
    ],
)
def test_mistakes_say_what_there_is(options, message):
    with pytest.raises(ValueError, match=message):
        make(options)
