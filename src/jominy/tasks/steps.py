"""Sums with their steps written down: how they are written, and what a program sees in steps that somebody else wrote.

    47 + 85      highest_first   47 + 80 = 127; 127 + 5 = 132; 132
                 lowest_first    47 + 5 = 52; 52 + 80 = 132; 132
                 by_place        40 + 80 = 120; 7 + 5 = 12; 120 + 12 = 132; 132
                 in_one_step     47 + 85 = 132; 132                              (seen, never shown)

A method is which numbers are added in which order; parts that are 0 are written too, so no two methods ever look alike. Results are taken
as they are stated, so a slip does not hide the method. Another order that adds up is a method of its own, named by its numbers.

Statements stand between semicolons, line ends, or commas and full stops with a space behind; thousands commas, the numbers of a list and a
line end before "=" say nothing. A right response with a statement that is no step and no number has no method: it is not to be told.

The error of a wrong response, in the codes of `rewards.taxonomy`, is the one that stands first: a wrong step, a third repetition (E5.1), or
a statement that is no step and no number (E5.2 where no step is read at all, else not to be told). What is missing is told at the end.

    E1.1   complete steps of a method for other numbers than asked         E1.2   no steps although they are asked for
    E2.2   every step is right, but they do not add up what was asked; or a step is no addition
    E3.1   a step's result is wrong                                        E3.2   a number that neither question nor an earlier step gives
    E4.1   the right answer is stated and another number stands behind it  E4.2   begins a method, right as far as it goes, and ends there
    E5.1   one statement three times or more, outside a method             E5.2   signs and numbers, and no step among them

E2.1 is never given: a sum needs no knowledge. A text with words in it is unclear (neither method nor error), for a program cannot read it.
Left out on purpose: other operations and more terms; carried digits, which say the same as by_place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jominy.records import Working

METHODS = ("highest_first", "lowest_first", "by_place")
"""Those that demonstrations use."""
SEEN_METHODS = (*METHODS, "in_one_step")
NO_STEPS = "no_steps"
REPEATED = 3

LINE_END_BEFORE_EQUALS = re.compile(r"[^\S\n]*\n\s*(?==)")
THOUSANDS = re.compile(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?!,?\d)")
LIST_NUMBER = re.compile(r"(?:^|(?<=[;,])) *\(?\d{1,2}[.)] +(?=[\dA-Za-z])", re.MULTILINE)
BETWEEN_STATEMENTS = re.compile(r"[;\n]|[,.]\s")
STEP = re.compile(r"(\d{1,18}(?: ?[-+*/] ?\d{1,18})+) ?= ?(\d{1,18})")
FINAL = re.compile(r"(?:(?:so )?(?:the )?answer(?: is|:)? ?)?(-?\d{1,18})", re.IGNORECASE)
FRAGMENT = re.compile(r"\d{1,18}(?: ?[-+*/] ?\d{1,18})*(?: ?[-+*/=] ?)?")
SIGNS_ONLY = re.compile(r"[-+*/=\d\s.,:()]*")


@dataclass(frozen=True, slots=True)
class Step:
    """One written addition.

    Example: Step((47, 80), 127, "+")
    """

    operands: tuple[int, ...]
    """In the order written."""
    result: int
    """As stated, right or wrong."""
    signs: str
    """The distinct signs between the operands."""

    @property
    def text(self) -> str:
        """As a person would write it."""
        return f"{' + '.join(map(str, self.operands))} = {self.result}"


def write_steps(first: int, second: int, method: str, *, slip_at: int | None = None) -> str:
    """The sum by a method, its answer at the end; with a slip, that step's result is one too large and carried on.

    >>> write_steps(47, 85, "by_place")
    '40 + 80 = 120; 7 + 5 = 12; 120 + 12 = 132; 132'
    >>> write_steps(47, 85, "lowest_first", slip_at=0)
    '47 + 5 = 53; 53 + 80 = 133; 133'
    """
    steps: list[Step] = []
    while (operands := _next_operands(method, first, second, [step.result for step in steps])) is not None:
        steps.append(Step(operands, sum(operands) + (len(steps) == slip_at), "+"))
    return "; ".join([*(step.text for step in steps), str(steps[-1].result)])


def num_steps(first: int, second: int, method: str) -> int:
    """How many steps a method takes."""
    return write_steps(first, second, method).count("=")


def read_sum(first: int, second: int, text: str, *, is_right: bool, is_cut: bool) -> Working:
    """What the text's steps for `first + second` are, and where they go wrong.

    Args:
        first: the first number asked for.
        second: the second one.
        text: a response.
        is_right: whether its answer is.
        is_cut: whether it ends at the token limit, so that its last statement may be unfinished.

    >>> read_sum(47, 85, "47 + 80 = 128; 128 + 5 = 133; 133", is_right=False, is_cut=False)
    Working(method='highest_first', error='E3.1', note='47 + 80 = 128')
    """
    statements = _statements(text)
    kinds = [_kind(statement) for statement in statements]
    if "words" in kinds:
        return Working(method=None, error=None, note=f"words, which a program cannot read: {statements[kinds.index('words')][:60]!r}")
    steps = [_step(statement) for statement, kind in zip(statements, kinds, strict=True) if kind == "step"]
    unread = next((statement for statement, kind in zip(statements, kinds, strict=True) if kind in ("garbled", "fragment")), None)
    method = _method(first, second, steps) if unread is None else None
    if is_right:
        why = "no steps that lead to the answer" if unread is None else f"neither a step nor a number: {unread[:60]!r}"
        return Working(method=method, error=None, note="" if method else why)
    error, note = _error(first, second, statements, kinds, steps, is_cut=is_cut)
    return Working(method=method, error=error, note=note)


def _statements(text: str) -> list[str]:
    """What stands between the separators, without what says nothing.

    >>> _statements("1. 1,200 + 30\\n= 1,230, 1,230 + 4 = 1,234.")
    ['1200 + 30 = 1230', '1230 + 4 = 1234']
    """
    text = LIST_NUMBER.sub(" ", LINE_END_BEFORE_EQUALS.sub(" ", text))
    text = THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    parts = (" ".join(part.split()).rstrip(" .,") for part in BETWEEN_STATEMENTS.split(text))
    return [part for part in parts if part]


def _kind(statement: str) -> str:
    for kind, form in (("step", STEP), ("final", FINAL), ("fragment", FRAGMENT), ("garbled", SIGNS_ONLY)):
        if form.fullmatch(statement):
            return kind
    return "words"


def _step(statement: str) -> Step:
    found = STEP.fullmatch(statement)
    assert found is not None
    operands = tuple(int(number) for number in re.findall(r"\d+", found[1]))
    return Step(operands, int(found[2]), "".join(sorted(set(re.findall(r"[-+*/]", found[1])))))


def _parts(number: int, num_places: int) -> list[int]:
    """Its digits at their places, highest first: 407 is 400, 0, 7."""
    return [number // 10**place % 10 * 10**place for place in range(num_places - 1, -1, -1)]


def _next_operands(method: str, first: int, second: int, results: Sequence[int]) -> tuple[int, int] | None:
    """What the method adds next, given the results stated so far; None when it is done."""
    num_places, done = max(len(str(first)), len(str(second))), len(results)
    if method == "in_one_step":
        return (first, second) if done == 0 else None
    if method == "by_place":
        if done < num_places:
            return _parts(first, num_places)[done], _parts(second, num_places)[done]
        following = done - num_places + 1
        so_far = results[0] if following == 1 else results[-1]
        return (so_far, results[following]) if following < num_places else None
    parts = _parts(second, num_places)
    if method == "lowest_first":
        parts.reverse()
    return (results[-1] if results else first, parts[done]) if done < num_places else None


def _follows(method: str, first: int, second: int, steps: Sequence[Step]) -> tuple[bool, bool]:
    """(whether every step is the method's, whether it is done)."""
    results: list[int] = []
    for step in steps:
        wanted = _next_operands(method, first, second, results)
        if wanted is None or sorted(wanted) != sorted(step.operands) or step.signs != "+":
            return False, False
        results.append(step.result)
    return True, _next_operands(method, first, second, results) is None


def _on_a_method(first: int, second: int, steps: Sequence[Step]) -> bool:
    return any(_follows(method, first, second, steps)[0] for method in SEEN_METHODS)


def _method(first: int, second: int, steps: Sequence[Step]) -> str | None:
    """The method, whole or as far as it goes if only one goes so; another order by its numbers; None where there are other numbers."""
    if not steps:
        return NO_STEPS
    found = {method: _follows(method, first, second, steps) for method in SEEN_METHODS}
    whole = [method for method, (_, done) in found.items() if done]
    begun = [method for method, (follows, _) in found.items() if follows]
    if whole or begun:
        return (whole or begun)[0] if whole or len(begun) == 1 else None
    known = _given(first, second)
    for step in steps:
        if not known.issuperset(step.operands) or step.signs != "+":
            return None
        known.add(step.result)
    return "another way: " + ", ".join("+".join(map(str, sorted(step.operands))) for step in steps)


def _given(first: int, second: int) -> set[int]:
    num_places = max(len(str(first)), len(str(second)))
    return {first, second, *_parts(first, num_places), *_parts(second, num_places)}


def _error(
    first: int, second: int, statements: Sequence[str], kinds: Sequence[str], steps: Sequence[Step], *, is_cut: bool
) -> tuple[str | None, str]:
    """(code, where) of a wrong response; None and why where it is not to be told; see the top of this file."""
    if not statements:
        return ("E4.2", "nothing") if is_cut else ("E5.2", "nothing")
    found: list[tuple[int, str | None, str] | None] = [
        _unread(statements, kinds, is_cut=is_cut),
        _repeated(first, second, statements, kinds, steps),
    ]
    wrong = _wrong_step(first, second, steps, last_is_end=kinds[-1] == "step")
    if wrong is not None:
        number, code, where = wrong
        found.append(([place for place, kind in enumerate(kinds) if kind == "step"][number], code, where))
    stands_first = min((one for one in found if one is not None), key=lambda one: one[0], default=None)
    if stands_first is not None:
        return stands_first[1:]
    is_open = is_cut or kinds[-1] == "fragment"
    if not steps:
        return ("E4.2", statements[-1]) if is_open else ("E1.2", "no step is written down")
    begins_a_method = _on_a_method(first, second, steps)
    return _wrong_ending(first + second, statements, kinds, steps[-1].result, begins_a_method=begins_a_method, is_cut=is_open)


def _unread(statements: Sequence[str], kinds: Sequence[str], *, is_cut: bool) -> tuple[int, str | None, str] | None:
    """(place, code, where) of the first statement that is no step and no number; a last one may be a step that breaks off."""
    places = [place for place, kind in enumerate(kinds) if kind == "garbled" or (kind == "fragment" and place < len(kinds) - 1)]
    if not places:
        return None
    if "step" in kinds:
        return places[0], None, f"neither a step nor a number: {statements[places[0]][:60]!r}"
    return places[0], "E4.2" if is_cut and len(statements) == 1 else "E5.2", " ".join(statements)[:60]


def _repeated(
    first: int, second: int, statements: Sequence[str], kinds: Sequence[str], steps: Sequence[Step]
) -> tuple[int, str | None, str] | None:
    """(place, code, where) of the third time that a statement is made; a method may make a step as often, e.g. 0 + 0 = 0."""
    times: Counter[str] = Counter()
    num_steps_so_far = 0
    for place, (statement, kind) in enumerate(zip(statements, kinds, strict=True)):
        times[statement] += 1
        num_steps_so_far += kind == "step"
        if times[statement] == REPEATED and not (kind == "step" and _on_a_method(first, second, steps[:num_steps_so_far])):
            return place, "E5.1", f"{statements.count(statement)} times: {statement[:60]}"
    return None


def _wrong_step(first: int, second: int, steps: Sequence[Step], *, last_is_end: bool) -> tuple[int, str, str] | None:
    """(number of the step, code, where) of the first step that is wrong in itself."""
    known = _given(first, second)
    for number, step in enumerate(steps):
        if not known.issuperset(step.operands):
            return number, "E1.1" if _for_other_numbers(steps) else "E3.2", step.text
        if step.signs != "+":
            return number, "E2.2", f"{step.signs} in place of +"
        total = str(sum(step.operands))
        if str(step.result) != total:
            broken_off = last_is_end and number == len(steps) - 1 and total.startswith(str(step.result))
            return number, "E4.2" if broken_off else "E3.1", step.text
        known.add(step.result)
    return None


def _for_other_numbers(steps: Sequence[Step]) -> bool:
    """Whether the steps are a whole method for some other pair of numbers, as after a misreading."""
    if any(len(step.operands) != 2 for step in steps):
        return False
    heads, tails = [step.operands[0] for step in steps], [step.operands[1] for step in steps]
    num_places = (len(steps) + 1) // 2
    candidates = (
        ("highest_first", heads[0], sum(tails)),
        ("lowest_first", heads[0], sum(tails)),
        ("by_place", sum(heads[:num_places]), sum(tails[:num_places])),
        ("in_one_step", heads[0], tails[0]),
    )
    return any(_follows(method, first, second, steps)[1] for method, first, second in candidates)


def _wrong_ending(
    target: int, statements: Sequence[str], kinds: Sequence[str], last_result: int, *, begins_a_method: bool, is_cut: bool
) -> tuple[str, str]:
    """What is wrong when every step is right."""
    finals = [statement for statement, kind in zip(statements, kinds, strict=True) if kind == "final"]
    stated = [int(re.findall(r"-?\d+", final)[-1]) for final in finals]
    if target in stated:
        return "E4.1", f"{target} is stated, and something behind it"
    if not stated or is_cut or (stated[-1] == last_result and begins_a_method):
        return "E4.2", f"ends behind {last_result}"
    if stated[-1] == last_result:
        return "E2.2", f"the steps lead to {last_result}"
    if str(last_result).startswith(str(stated[-1])):
        return "E4.2", f"breaks off at {stated[-1]}"
    return "E3.2", f"{stated[-1]} is stated behind {last_result}"
