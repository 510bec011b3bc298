"""How numbers, intervals, names and addresses read, in the terminal and on the page: pure text, the same everywhere.

Left out on purpose: escaping, which belongs to the template, and rounding of anything that is stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

ARXIV = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+/\d{7})(v\d+)?")
WHOLE_UNITS = ("prompts", "rollouts", "tokens", "groups", "steps", "answers", "count")


def number(value: float | None, unit: str = "") -> str:
    """A number without its unit: shares in per cent, else three decimals below ten, whole above a thousand, counts whole.

    >>> number(0.51234), number(0.51234, "share"), number(32.0, "prompts"), number(-12345.6), number(None)
    ('0.512', '51.2', '32', '−12,346', '–')
    """
    if value is None:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f}".replace("-", "−")
    size = abs(value)
    if isinstance(value, int) or size >= 1000 or (unit in WHOLE_UNITS and size == int(size)):
        text = f"{value:,.0f}"
    elif 0 < size < 0.0005:
        text = f"{value:.1g}"
    else:
        text = f"{value:.3f}" if size < 10 else f"{value:.1f}"
    return text.replace("-", "−") if value < 0 else text


def unit_sign(unit: str) -> str:
    """The unit as it stands behind a number: shares are in per cent.

    >>> unit_sign("share"), unit_sign("nats")
    ('%', 'nats')
    """
    return "%" if unit == "share" else unit


def hours(value: float) -> str:
    """A duration, in minutes below an hour.

    >>> hours(3.68), hours(0.25)
    ('3.7 h', '15 min')
    """
    return f"{value:.1f} h" if value >= 1 else f"{60 * value:.0f} min"


def clock(seconds: float | None) -> str:
    """A duration as a clock shows it.

    >>> clock(9.7), clock(220), clock(3725), clock(None)
    ('0:09', '3:40', '1:02:05', '–')
    """
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def brief(value: float) -> str:
    """A setting or a rough size as a person would write it: three digits, nothing trailing.

    >>> brief(0.8), brief(1556480.0), brief(512.4)
    ('0.8', '1,556,480', '512')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interval(measure: Record) -> str:
    """`[low, high]` of a measure, or a dash where no interval exists."""
    low, high, unit = measure.get("low"), measure.get("high"), measure.get("unit", "")
    return "–" if low is None or high is None else f"[{number(low, unit)}, {number(high, unit)}]"


def arxiv_address(paper: Record) -> str:
    """The address of a paper; empty when it has no arXiv identifier, so that nothing else can become a link.

    >>> arxiv_address({"arxiv": "2508.21188"}), arxiv_address({"arxiv": "javascript:alert(1)"})
    ('https://arxiv.org/abs/2508.21188', '')
    """
    found = ARXIV.fullmatch(paper.get("arxiv") or "")
    return f"https://arxiv.org/abs/{found.group()}" if found else ""


def spaced(name: str) -> str:
    """A name of code as words: `clarity_weighted` as `clarity weighted`."""
    return name.replace("_", " ")


def date(text: str) -> str:
    """`2026-11-21T20:34:14Z` as `2026-11-21 20:34 UTC`; anything else as it is."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(\.\d+)?(Z|\+00:00)$", r"\1 \2 UTC", text)


def plain(value: Any) -> str:
    """Any JSON value as text on one line.

    >>> plain({"temperature": 1.0, "max_tokens": 64})
    'temperature 1, max tokens 64'
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{spaced(str(name))} {plain(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def flat(value: Record, prefix: str = "") -> list[tuple[str, str]]:
    """A nested object as (dotted name, text) pairs, empty values left out."""
    pairs: list[tuple[str, str]] = []
    for name, part in value.items():
        if isinstance(part, Mapping):
            pairs += flat(part, f"{prefix}{name}.")
        elif part not in (None, "", []):
            pairs.append((f"{prefix}{name}", plain(part)))
    return pairs
