"""What `retry` asks, and what its demonstrations say: a sum or a countdown with its solution, slips, work and checks.

    arithmetic   attempt   12 + 34 = 46               check   3 + 7 = 10, 10 is 1, 46 is 1, 1 is 1     casting out nines
    countdown    attempt   (the answer says it all)   check   9 * 3 = 27, 27 - 5 = 22, 22 is 22

A check is worked out truly for whatever answer it is about, and ends by saying whether it came out: `is` or `is not`. (Where that was left
to the verdict, small models learned to solve before they looked at their checks at all.) Casting out nines reckons with the remainders by 9
of the numbers and compares what remains of that with what remains of the answer. (Where the sum of the remainders was left out, small
models copied what remains of the answer.) It is easier than the sum and misses every error that is a multiple of 9, two swapped digits for
one; the slips of demonstrations (1 or 2 too many or too few in one place, as when a carry is lost) are none of these, so in a demonstration
check and verdict never disagree. In a countdown the search is in the answer and the sums are in the check, so checking is surely the easier
half.
Left out on purpose: tags and verdicts (`retry_form`) and whether to slip (`retry`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jominy.tasks.countdown import Countdown, draw_problems, reaches, slip, steps_of
from jominy.tasks.sums import Sums, evaluate, write_sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question with all that is needed to show how it is answered, rightly or wrongly.

    Example: sum_problems(Sums(digits=2, terms=2, operators="+"), 1, 0)[0].check("46")
    """

    question: str
    """What the prompt begins with."""
    target: str
    """What is to be found, or to be reached."""
    solution: str
    """An answer that is right."""
    info: Mapping[str, Any]
    """Further columns of the prompt; what `is_right` needs."""
    slip: Callable[[random.Random], str]
    """An answer that is surely wrong."""
    work: Callable[[str], str]
    """What stands in an attempt before this answer."""
    check: Callable[[str], str]
    """What stands in the check of this answer."""


def sum_problems(sums: Sums, num_problems: int, seed: int) -> list[Problem]:
    """Sums of a setting, those of `arithmetic` with the same options and seed.

    >>> problem = sum_problems(Sums(digits=1, terms=2, operators="+"), 1, 0)[0]
    >>> problem.question, problem.work("13"), problem.check("13"), problem.check("14")
    ('What is 9 + 4?', '9 + 4 = 13', '0 + 4 = 4, 4 is 4, 13 is 4, 4 is 4', '0 + 4 = 4, 4 is 4, 14 is 5, 5 is not 4')
    """
    return [_sum_problem(values, signs) for values, signs in sums.draw(num_problems, seed)]


def countdown_problems(num_numbers: int, largest: int, num_problems: int, seed: int) -> list[Problem]:
    """Countdowns of a setting.

    >>> problem = countdown_problems(3, 9, 1, 0)[0]
    >>> problem.check(problem.solution).endswith(f"{problem.target} is {problem.target}")
    True
    """
    return [_countdown_problem(problem) for problem in draw_problems(num_numbers, largest, num_problems, seed)]


def is_right(target: str, info: Mapping[str, Any], answer: str) -> bool:
    """Whether an answer is right; a number is written as `arithmetic.last_number` writes it, anything else without blanks around it.

    Args:
        target: of the prompt.
        info: of the prompt; countdowns have their `numbers` there.
        answer: what stands in the answer tags.
    """
    numbers = info.get("numbers")
    return answer == target if numbers is None else reaches(answer, numbers, int(target))


def _sum_problem(values: list[int], signs: str) -> Problem:
    expression, result = write_sum(values, signs), evaluate(values, signs)
    remainders = [value % 9 for value in values]
    total = evaluate(remainders, signs)
    remainder = total % 9
    cast_out = f"{write_sum(remainders, signs)} = {total}, {total} is {remainder}"

    def check(answer: str) -> str:
        found = int(answer) % 9
        return f"{cast_out}, {answer} is {found}, {found} {_is(found == remainder)} {remainder}"

    def miss(rng: random.Random) -> str:
        return str(result + rng.choice((1, -1, 2, -2)) * 10 ** rng.randrange(len(str(abs(result)))))

    return Problem(
        question=f"What is {expression}?",
        target=str(result),
        solution=str(result),
        info={"expression": expression},
        slip=miss,
        work=lambda answer: f"{expression} = {answer}",
        check=check,
    )


def _countdown_problem(problem: Countdown) -> Problem:
    def check(answer: str) -> str:
        steps = steps_of(answer)
        value = steps[-1].rpartition(" = ")[2]
        return f"{', '.join(steps)}, {value} {_is(int(value) == problem.target)} {problem.target}"

    return Problem(
        question=f"Which expression makes {problem.target} from {', '.join(map(str, problem.numbers))}, with + - * and each number once?",
        target=str(problem.target),
        solution=problem.solution,
        info={"expression": problem.solution, "numbers": list(problem.numbers)},
        slip=lambda rng: slip(problem, rng),
        work=lambda answer: "",
        check=check,
    )


def _is(same: bool) -> str:
    return "is" if same else "is not"
