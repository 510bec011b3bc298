"""Countdown: make a target from numbers, each used exactly once, with + - * and brackets. Hard to find, easy to check.

A problem is made from an expression, so there is always a solution; its numbers are shown in order of size, which tells nothing of it.
Graded by reading the expression and working it out in whole numbers; nothing is ever executed.
Left out on purpose: division, and solving.

LIMIT: problems are drawn until DRAWS_IN_VAIN draws in a row bring nothing new, so a setting with few problems may miss a rare one.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

MOST_TARGET = 999
LONGEST = 200
"""Characters of an expression that is still read."""
DRAWS_IN_VAIN = 2000
SLIPS = 20
PRECEDENCE = {"+": 1, "-": 1, "*": 2}
TOKENS = re.compile(r"[0-9]+|\S")


@dataclass(frozen=True, slots=True)
class Node:
    """Two expressions joined by an operator.

    Example: Node("-", Node("*", 9, 3), 5)
    """

    operator: str
    """+, - or *."""
    left: int | Node
    right: int | Node


Expression = int | Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Countdown:
    """A problem with one of its solutions.

    Example: Countdown(numbers=(3, 5, 9), target=22, solution="9 * 3 - 5")
    """

    numbers: tuple[int, ...]
    """In order of size."""
    target: int
    """From 1 to MOST_TARGET."""
    solution: str
    """An expression that reaches it."""


def draw_problems(num_numbers: int, largest: int, num_problems: int, seed: int) -> list[Countdown]:
    """Distinct problems by seed, at most so many.

    Args:
        num_numbers: of each problem, >= 2.
        largest: numbers are 1 to this.
        num_problems: how many.
        seed: same seed, same problems.

    >>> problem = draw_problems(3, 9, 1, 0)[0]
    >>> reaches(problem.solution, problem.numbers, problem.target)
    True
    """
    rng = random.Random(f"countdown {seed}")
    made: dict[tuple[tuple[int, ...], int], Countdown] = {}
    in_vain = 0
    while len(made) < num_problems and in_vain < DRAWS_IN_VAIN:
        numbers = [rng.randint(1, largest) for _ in range(num_numbers)]
        expression = any_expression(numbers, rng)
        key = (tuple(sorted(numbers)), value_of(expression))
        in_vain += 1
        if key not in made and 0 < key[1] <= MOST_TARGET:
            made[key] = Countdown(numbers=key[0], target=key[1], solution=write(expression))
            in_vain = 0
    return list(made.values())


def any_expression(numbers: list[int] | tuple[int, ...], rng: random.Random) -> Expression:
    """The numbers in any order, joined two by two in any way."""
    parts: list[Expression] = list(numbers)
    rng.shuffle(parts)
    while len(parts) > 1:
        left, right = parts.pop(rng.randrange(len(parts))), parts.pop(rng.randrange(len(parts)))
        parts.append(Node(rng.choice("+-*"), left, right))
    return parts[0]


def slip(problem: Countdown, rng: random.Random) -> str:
    """Another expression of the same numbers, which surely misses the target."""
    for _ in range(SLIPS):
        expression = any_expression(problem.numbers, rng)
        if value_of(expression) != problem.target:
            return write(expression)
    # numbers are at least 1, so these two differ, and one of them is wrong
    total = " + ".join(map(str, problem.numbers))
    return total if sum(problem.numbers) != problem.target else " - ".join(total.rsplit(" + ", 1))


def reaches(text: str, numbers: tuple[int, ...] | list[int], target: int) -> bool:
    """Whether the text is an expression that uses each number exactly once and has the value of the target.

    >>> [reaches(text, (3, 5, 9), 22) for text in ("9 * 3 - 5", "(9*3)-5", "5 - 3 * 9", "22", "9 * 3 - 5 = 22")]
    [True, True, False, False, False]
    """
    expression = parse(text)
    return expression is not None and sorted(_numbers_in(expression)) == sorted(numbers) and value_of(expression) == target


def steps_of(text: str) -> list[str]:
    """The value of an expression worked out operation by operation.

    >>> steps_of("(9 - 5) * 3")
    ['9 - 5 = 4', '4 * 3 = 12']
    """
    expression = parse(text)
    assert expression is not None, "only what was written here is worked out"
    found: list[str] = []
    _work_out(expression, found)
    return found


def parse(text: str) -> Expression | None:
    """An expression of whole numbers, + - * and brackets; None where the text is none, or is longer than LONGEST.

    >>> parse("2 - 3 - 4 * 5") == Node("-", Node("-", 2, 3), Node("*", 4, 5))
    True
    >>> [parse(text) for text in ("", "2 +", "(2", "2)", "2 3", "2 / 3", "-2")]
    [None, None, None, None, None, None, None]
    """
    if len(text) > LONGEST:
        return None
    values: list[Expression] = []
    waiting: list[str] = []
    wants_value = True
    for token in TOKENS.findall(text):
        if wants_value != (token == "(" or token[0] in "0123456789"):
            return None
        if token == "(":
            waiting.append(token)
        elif token == ")":
            _join(values, waiting, 0)
            if not waiting:
                return None
            waiting.pop()
        elif token in PRECEDENCE:
            _join(values, waiting, PRECEDENCE[token])
            waiting.append(token)
            wants_value = True
        elif wants_value:
            values.append(int(token))
            wants_value = False
        else:
            return None
    if wants_value or "(" in waiting:
        return None
    _join(values, waiting, 0)
    return values[0]


def write(expression: Expression) -> str:
    """With as few brackets as keep the value.

    >>> write(Node("*", Node("-", 9, 5), 3)), write(Node("+", 9, Node("-", 5, 3))), write(Node("-", 9, Node("-", 5, 3)))
    ('(9 - 5) * 3', '9 + 5 - 3', '9 - (5 - 3)')
    """
    if isinstance(expression, int):
        return str(expression)
    own = PRECEDENCE[expression.operator]
    sides = []
    for side, least in ((expression.left, own), (expression.right, own + (expression.operator == "-"))):
        binds = isinstance(side, int) or PRECEDENCE[side.operator] >= least
        sides.append(write(side) if binds else f"({write(side)})")
    return f"{sides[0]} {expression.operator} {sides[1]}"


def value_of(expression: Expression) -> int:
    """Its value."""
    return _work_out(expression, [])


def _join(values: list[Expression], waiting: list[str], least: int) -> None:
    """Applies the waiting operators that bind at least so strongly, back to the last open bracket."""
    while waiting and waiting[-1] != "(" and PRECEDENCE[waiting[-1]] >= least:
        right, left = values.pop(), values.pop()
        values.append(Node(waiting.pop(), left, right))


def _work_out(expression: Expression, found: list[str]) -> int:
    """The value; every operation on the way goes into `found`."""
    if isinstance(expression, int):
        return expression
    left, right = _work_out(expression.left, found), _work_out(expression.right, found)
    value = {"+": left + right, "-": left - right, "*": left * right}[expression.operator]
    found.append(f"{left} {expression.operator} {right} = {value}")
    return value


def _numbers_in(expression: Expression) -> list[int]:
    return [expression] if isinstance(expression, int) else _numbers_in(expression.left) + _numbers_in(expression.right)
