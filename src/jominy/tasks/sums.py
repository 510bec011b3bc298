"""Which sums there are: so many numbers of so many digits, joined by some of + - *, counted through so that none is drawn twice.

    number of problems = values ** terms * operators ** (terms - 1)           values = 10 for one digit, 9 * 10 ** (digits - 1) for more

Shared by `arithmetic` and `retry`, so that equal options are equal problems in both.
Left out on purpose: division (its rounding would need a rule of its own), and how a prompt asks.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULTS = {"digits": "2", "operators": "+-*", "terms": "2"}
MOST_PROBLEMS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """All problems of a setting.

    Example: Sums(digits=2, terms=2, operators="+-")
    """

    digits: int
    """Of every number, >= 1; numbers of one digit are 0 to 9, of more have no leading zero."""
    terms: int
    """Numbers of a problem, >= 2."""
    operators: str
    """Distinct, out of + - *."""

    @property
    def lowest(self) -> int:
        """The smallest number."""
        return 0 if self.digits == 1 else int(10 ** (self.digits - 1))

    @property
    def num_values(self) -> int:
        """How many numbers there are."""
        return int(10**self.digits) - self.lowest

    @property
    def num_problems(self) -> int:
        """How many problems there are."""
        return int(self.num_values**self.terms) * int(len(self.operators) ** (self.terms - 1))

    @property
    def summary(self) -> str:
        """In words.

        >>> Sums(digits=1, terms=2, operators="+").summary
        '2 numbers of 1 digit, +'
        """
        return f"{self.terms} numbers of {self.digits} digit{'s' * (self.digits > 1)}, {' '.join(self.operators)}"

    def draw(self, num_problems: int, seed: int) -> list[tuple[list[int], str]]:
        """(numbers, signs between them) of distinct problems, by seed; all there are when fewer than asked for.

        >>> Sums(digits=1, terms=2, operators="+").draw(1, 0)
        [([9, 4], '+')]
        """
        chosen = random.Random(seed).sample(range(self.num_problems), min(num_problems, self.num_problems))
        return [self._problem(number) for number in chosen]

    def _problem(self, number: int) -> tuple[list[int], str]:
        """The numbers and the signs of problem `number`, counted through all of them."""
        values, signs = [], ""
        for _ in range(self.terms):
            number, value = divmod(number, self.num_values)
            values.append(self.lowest + value)
        for _ in range(self.terms - 1):
            number, sign = divmod(number, len(self.operators))
            signs += self.operators[sign]
        return values, signs


def read_sums(task: str, settings: Mapping[str, str]) -> Sums:
    """The setting that the options `digits`, `terms` and `operators` of a task describe.

    Raises:
        ValueError: one is out of range, or there are more problems than can be drawn.
    """
    digits, terms = read_whole(task, "digits", settings["digits"], least=1), read_whole(task, "terms", settings["terms"], least=2)
    operators = "".join(dict.fromkeys(settings["operators"]))
    if not operators or set(operators) - set("+-*"):
        raise ValueError(f"{task}: operators are taken from + - *, e.g. operators=+-; got {settings['operators']!r}")
    sums = Sums(digits=digits, terms=terms, operators=operators)
    if sums.num_problems > MOST_PROBLEMS:
        raise ValueError(f"{task}: digits={digits} with terms={terms} has more problems than can be drawn; lower one of them")
    return sums


def write_sum(values: list[int], signs: str) -> str:
    """As a person would write it.

    >>> write_sum([2, 3, 4], "+*")
    '2 + 3 * 4'
    """
    return str(values[0]) + "".join(f" {sign} {value}" for sign, value in zip(signs, values[1:], strict=True))


def evaluate(values: list[int], signs: str) -> int:
    """Products first, then sums, from left to right.

    >>> evaluate([2, 3, 4], "-*")
    -10
    """
    total, product = 0, values[0]
    for sign, value in zip(signs, values[1:], strict=True):
        if sign == "*":
            product *= value
        else:
            total, product = total + product, value if sign == "+" else -value
    return total + product


def read_whole(task: str, name: str, text: str, *, least: int) -> int:
    """The whole number of an option.

    Raises:
        ValueError: it is none, or below `least`.
    """
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ValueError(f"{task}: {name} is a whole number of at least {least}; got {text!r}")
    return int(text)
