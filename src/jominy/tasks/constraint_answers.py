"""Texts made to order for a set of constraints: one that follows them all, and one that breaks a given one and only that.

A text is laid out as [title] [opening] units [closing or postscript], where units are bullets, items, paragraphs or plain
sentences, and then cased, quoted or wrapped as JSON. Each constraint adds its own small clause or layout step, and breaking
it is leaving that step out or adding the clause it forbids. The stock phrases have no comma, digit, rare letter, forbidden
word, question or exclamation mark of their own, which is what makes the steps independent of each other.
Left out: sense. These texts test the reward without a model; nobody should train on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Constraint = Mapping[str, Any]

WORD_WITH_LETTER = {"q": "quick", "x": "next", "z": "lazy", "j": "just"}
FILLER = "with one more plain clause that only adds length"
FILLER_WORDS = 9


def gold_text(word: str, constraints: Sequence[Constraint]) -> str:
    """A text about `word` that follows all constraints ({"type", "params"} each, of compatible types).

    >>> gold_text("honey", [{"type": "three_bullets", "params": {}}, {"type": "title", "params": {}}])
    '<<Notes>>\\n* About honey.\\n* More.\\n* More.'
    """
    return _lay_out(word, {constraint["type"]: constraint["params"] for constraint in constraints}, broken=None)


def wrong_text(word: str, constraints: Sequence[Constraint], broken: str) -> str:
    """A text that follows all constraints but the one of type `broken`.

    >>> wrong_text("honey", [{"type": "three_bullets", "params": {}}, {"type": "title", "params": {}}], "title")
    '* About honey.\\n* More.\\n* More.'
    """
    wanted = {constraint["type"]: constraint["params"] for constraint in constraints}
    if broken not in wanted:
        raise ValueError(f"cannot break {broken!r}: the constraints are {', '.join(wanted)}")
    return _lay_out(word, wanted, broken)


def _lay_out(word: str, wanted: Mapping[str, Mapping[str, Any]], broken: str | None) -> str:
    kept = {name: params for name, params in wanted.items() if name != broken}
    lines = []
    if "starts_with" in kept:
        lines.append(kept["starts_with"]["phrase"] + ":")
    if "title" in kept:
        lines.append("<<Notes>>")
    lines.append(_body(word, wanted, kept, broken))
    if "ends_with" in kept:
        lines.append(kept["ends_with"]["phrase"])
    if "postscript" in kept:
        lines.append("P.S. Thanks.")
    return _dress("\n".join(lines), wanted, kept)


def _body(word: str, wanted: Mapping[str, Mapping[str, Any]], kept: Mapping[str, Mapping[str, Any]], broken: str | None) -> str:
    """The units, each a sentence, joined as the layout asks."""
    num_units = _num_units(wanted, broken)
    units = [_opening_clause(word, wanted, broken), *["more"] * (num_units - 1)]
    units[-1] = " ".join([units[-1], *_clauses(wanted, kept, broken)])
    units = [unit[0].upper() + unit[1:] + "." for unit in units]
    if "question" in kept:
        units[-1] += " Is it clear?"
    if "exclamation" in kept:
        units[-1] += " Well done!"
    if "three_bullets" in wanted:
        return "\n".join(f"* {unit}" for unit in units)
    if "numbered_list" in wanted:
        return "\n".join(f"{number}. {unit}" for number, unit in enumerate(units, start=1))
    return ("\n\n" if "two_paragraphs" in wanted else " ").join(units)


def _num_units(wanted: Mapping[str, Mapping[str, Any]], broken: str | None) -> int:
    """Bullets, items, paragraphs or sentences: as many as asked, one more when that is what has to be broken."""
    for name, count in (("three_bullets", 3), ("two_paragraphs", 2)):
        if name in wanted:
            return count + (name == broken)
    for name in ("numbered_list", "sentences"):
        if name in wanted:
            return int(wanted[name]["count"]) + (name == broken)
    return 1


def _opening_clause(word: str, wanted: Mapping[str, Mapping[str, Any]], broken: str | None) -> str:
    if broken == "include_word":
        return "about this"
    mentions = wanted["repeat_word"]["count"] if "repeat_word" in wanted and broken != "repeat_word" else 1
    return "about " + " ".join([word] * mentions)


def _clauses(wanted: Mapping[str, Mapping[str, Any]], kept: Mapping[str, Mapping[str, Any]], broken: str | None) -> list[str]:
    """What the last unit has to say besides: what is asked for, or what is forbidden when that is to be broken."""
    clauses = []
    if "include_digit" in kept or broken == "no_digits":
        clauses.append("see step 2")
    if "highlight" in kept:
        clauses.append("in **bold**")
    if "placeholder" in kept:
        clauses.append("by [name]")
    if broken == "no_commas":
        clauses.append("here, there")
    if broken == "forbid_word":
        clauses.append(wanted["forbid_word"]["word"])
    if broken == "no_letter":
        clauses.append(WORD_WITH_LETTER[wanted["no_letter"]["letter"]])
    if broken == "under_15_words":
        clauses += [FILLER] * 2
    if "at_least_words" in kept:
        clauses += [FILLER] * -(-kept["at_least_words"]["count"] // FILLER_WORDS)
    return clauses


def _dress(text: str, wanted: Mapping[str, Mapping[str, Any]], kept: Mapping[str, Mapping[str, Any]]) -> str:
    """Quotation marks, JSON and case; broken JSON lacks its end."""
    if "json" in wanted:
        text = json.dumps({"Answer": text})
        text = text if "json" in kept else text.removesuffix("}")
    if "quoted" in kept:
        text = f'"\n{text}\n"' if "\n" in text else f'"{text}"'
    if "all_lowercase" in kept:
        return text.lower()
    return text.upper() if "all_capitals" in kept else text
