"""The options of a recipe as they stand behind its name: `dapo:clip_high=0.3,fill=off` becomes Settings.

    advantage   baseline=none|mean|leave_one_out  scale=none|group|batch  ddof=0|1  epsilon=1e-4
    ratio       ratio=none|token|sequence|capped  clip_low=0.2|off  clip_high=0.2|off  dual=3|off
    KL          kl=none|k1_reward|k2|k3  beta=0.04
    group       weight=none|clarity|fisher|separation|pass_rate|random|balanced|auroc  weight_beta=0.2  w_norm=none|mean_1
                success=1  lambda=0.1 (w_reinforce alone)
    step        divide=tokens|rows|budget|sequences|segments  max_tokens=64  truncated=keep|drop
    spans       spans=attempt+verdict (what trains)  credit_spans=decision (where the advantage is)  kl_spans=attempt|balanced (and the KL)
    drawing     fill=off|until_full|two_then_repeat  overlong=0.2|off

A span goes by its full kind (`attempt.right`), by what stands before the dot (`attempt`), or by its stage (`sampling`, `decision`). By a
full kind the mean gradient is that of no KL, and no baseline drops out of it: what is drawn decides whether it counts (`penalties`).
A comma starts a new option only where `name=` follows. Options that would do nothing are errors: who writes `beta=0.1` wants a KL.
Left out on purpose: one parser for tasks and recipes; a recipe knows its values, and the layers keep the two apart.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jominy.recipes.masks import DECISION, LABELS, SAMPLING, is_wanted, kinds_of, meet, stage_of
from jominy.recipes.settings import Settings

SEPARATOR = re.compile(r",(?=\s*\w+\s*=)")
LARGEST_WEIGHT_BETA = 100.0
"""Beyond any use; above it exp(beta) would come near the largest number there is."""


def read_settings(recipe: str, options: str, defaults: Settings, max_tokens: int | None, *, without: Collection[str] = ()) -> Settings:
    """The defaults with the given options put in.

    Args:
        recipe: for the error message.
        options: what stands behind the colon; may be empty.
        defaults: of the recipe.
        max_tokens: longest response of the run; an option `max_tokens` goes before it.
        without: options that this recipe does not have.

    Raises:
        ValueError: an option is unknown, malformed, out of range, or would do nothing; the message says what to write.

    >>> from jominy.recipes.grpo import DEFAULTS
    >>> settings = read_settings("grpo", "clip_high=0.28,kl=k3", DEFAULTS, None)
    >>> settings.ratio.clip_high, settings.penalty.kl, settings.penalty.beta
    (0.28, 'k3', 0.04)
    """
    known = [name for name in OPTIONS if name not in without]
    given = read_options(recipe, options, known)
    settings = replace(defaults, max_tokens=max_tokens)
    for name, text in given.items():
        value = OPTIONS[name].read(f"{recipe}: {name}", text)
        settings = OPTIONS[name].put(settings, value)
    if given.get("weight") == "fisher" and "weight_beta" not in given:
        settings = replace(settings, weight=replace(settings.weight, strength=0.01))
    _check(recipe, settings, given)
    return settings


def read_options(recipe: str, options: str, known: Collection[str]) -> dict[str, str]:
    """Names and texts of the options that are given.

    Raises:
        ValueError: an option has no `=`, is unknown (close matches are named) or is given twice.

    >>> read_options("sft", "divide=rows", ["divide", "spans"])
    {'divide': 'rows'}
    """
    given: dict[str, str] = {}
    for pair in SEPARATOR.split(options) if options.strip() else []:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ValueError(f"{recipe}: option {pair!r} has no value; write name=value, where a name is {', '.join(known)}")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise ValueError(f"{recipe}: no option {name!r}; {hint}there are {', '.join(known)}")
        if name in given:
            raise ValueError(f"{recipe}: option {name!r} is given twice")
        given[name] = value
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """How an option is read and where it goes.

    Example: Option(read=_number(0.0), put=lambda settings, value: replace(settings, success=value))
    """

    read: Callable[[str, str], Any]
    """(what it is, text) -> value; raises ValueError."""
    put: Callable[[Settings, Any], Settings]
    """(settings, value) -> settings."""


def number(what: str, text: str, *, lowest: float, highest: float = math.inf) -> float:
    """A finite number in [lowest, highest].

    Raises:
        ValueError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not lowest <= value <= highest or math.isinf(value):
        limits = f"at least {lowest:g}" if math.isinf(highest) else f"from {lowest:g} to {highest:g}"
        raise ValueError(f"{what} is a number, {limits}; got {text!r}")
    return value


def _number(lowest: float, highest: float = math.inf) -> Callable[[str, str], float]:
    return lambda what, text: number(what, text, lowest=lowest, highest=highest)


def _number_or_off(lowest: float, highest: float = math.inf) -> Callable[[str, str], float | None]:
    return lambda what, text: None if text == "off" else number(f"{what} (or off)", text, lowest=lowest, highest=highest)


def _whole(lowest: int, highest: float = math.inf) -> Callable[[str, str], int]:
    def read(what: str, text: str) -> int:
        value = number(what, text, lowest=lowest, highest=highest)
        if value != int(value):
            raise ValueError(f"{what} is a whole number; got {text!r}")
        return int(value)

    return read


def _choice(*values: str) -> Callable[[str, str], str]:
    def read(what: str, text: str) -> str:
        if text not in values:
            raise ValueError(f"{what} is {', '.join(values[:-1])} or {values[-1]}; got {text!r}")
        return text

    return read


def _kl(what: str, text: str) -> str:
    if text in ("k1", "k1_loss"):
        raise ValueError(f"{what}: k1 as a loss has a gradient of mean 0, pure noise; use k1_reward, k2 or k3")
    return _choice("none", "k1_reward", "k2", "k3")(what, text)


def _names(what: str, text: str) -> tuple[str, ...]:
    names = tuple(part for part in re.split(r"[+,\s]+", text) if part)
    if not names:
        raise ValueError(f"{what} is one or more kinds joined by +, such as attempt+verdict; got {text!r}")
    for name in names:
        _check_label(what, name)
    return names


def _check_label(what: str, name: str) -> None:
    """Raises ValueError when no span can have what stands behind the dot: a typing error would train nothing, silently."""
    kind, dot, label = name.partition(".")
    if not dot or kind not in LABELS or label in LABELS[kind]:
        return
    close = difflib.get_close_matches(label, LABELS[kind], n=1)
    hint = f"did you mean {kind}.{close[0]}? " if close else ""
    there = ", ".join([kind, *(f"{kind}.{each}" for each in LABELS[kind])])
    raise ValueError(f"{what}: no span is ever called {name!r}; {hint}there is {there}")


def _names_or_balanced(what: str, text: str) -> tuple[tuple[str, ...], bool]:
    """(kinds, whether balanced)."""
    names = _names(f"{what} (or balanced)", text)
    if "balanced" in names and len(names) > 1:
        raise ValueError(f"{what} is balanced, or kinds joined by +, and not both; got {text!r}")
    return ((), True) if names == ("balanced",) else (names, False)


OPTIONS: Mapping[str, Option] = {
    "baseline": Option(
        read=_choice("none", "mean", "leave_one_out"),
        put=lambda settings, value: replace(settings, advantage=replace(settings.advantage, baseline=value)),
    ),
    "scale": Option(
        read=_choice("none", "group", "batch"),
        put=lambda settings, value: replace(settings, advantage=replace(settings.advantage, scale=value)),
    ),
    "ddof": Option(read=_whole(0, 1), put=lambda settings, value: replace(settings, advantage=replace(settings.advantage, ddof=value))),
    "epsilon": Option(
        read=_number(0.0), put=lambda settings, value: replace(settings, advantage=replace(settings.advantage, epsilon=value))
    ),
    "ratio": Option(
        read=_choice("none", "token", "sequence", "capped"),
        put=lambda settings, value: replace(settings, ratio=replace(settings.ratio, kind=value)),
    ),
    "clip_low": Option(
        read=_number_or_off(0.0, 1.0), put=lambda settings, value: replace(settings, ratio=replace(settings.ratio, clip_low=value))
    ),
    "clip_high": Option(
        read=_number_or_off(0.0), put=lambda settings, value: replace(settings, ratio=replace(settings.ratio, clip_high=value))
    ),
    "dual": Option(read=_number_or_off(1.0), put=lambda settings, value: replace(settings, ratio=replace(settings.ratio, dual=value))),
    "kl": Option(read=_kl, put=lambda settings, value: replace(settings, penalty=replace(settings.penalty, kl=value))),
    "beta": Option(read=_number(0.0), put=lambda settings, value: replace(settings, penalty=replace(settings.penalty, beta=value))),
    "weight": Option(
        read=_choice("none", "clarity", "fisher", "separation", "pass_rate", "random", "balanced", "auroc"),
        put=lambda settings, value: replace(settings, weight=replace(settings.weight, kind=value)),
    ),
    "weight_beta": Option(
        read=_number(0.0, LARGEST_WEIGHT_BETA),
        put=lambda settings, value: replace(settings, weight=replace(settings.weight, strength=value)),
    ),
    "w_norm": Option(
        read=_choice("none", "mean_1"), put=lambda settings, value: replace(settings, weight=replace(settings.weight, norm=value))
    ),
    "divide": Option(
        read=_choice("tokens", "rows", "budget", "sequences", "segments"), put=lambda settings, value: replace(settings, divide=value)
    ),
    "max_tokens": Option(read=_whole(1), put=lambda settings, value: replace(settings, max_tokens=value)),
    "overlong": Option(read=_number_or_off(1e-6, 1.0), put=lambda settings, value: replace(settings, overlong=value)),
    "truncated": Option(read=_choice("keep", "drop"), put=lambda settings, value: replace(settings, truncated=value)),
    "fill": Option(read=_choice("off", "until_full", "two_then_repeat"), put=lambda settings, value: replace(settings, fill=value)),
    "spans": Option(read=_names, put=lambda settings, value: replace(settings, spans=value)),
    "credit_spans": Option(read=_names, put=lambda settings, value: replace(settings, advantage=replace(settings.advantage, spans=value))),
    "kl_spans": Option(
        read=_names_or_balanced,
        put=lambda settings, value: replace(settings, penalty=replace(settings.penalty, spans=value[0], balanced=value[1])),
    ),
    "lambda": Option(read=_number(0.0), put=lambda settings, value: replace(settings, right_weight=value)),
    "success": Option(read=_number(-math.inf), put=lambda settings, value: replace(settings, success=value)),
}
"""Name -> how it is read and where it goes; the order of the listings."""


def _check(recipe: str, settings: Settings, given: Mapping[str, str]) -> None:
    """Raises ValueError when choices contradict each other, or one that was given does nothing."""
    ratio = settings.ratio
    idle = {
        "beta": (settings.penalty.kl == "none", "add kl=k3 (or k2, k1_reward)"),
        "kl_spans": (settings.penalty.kl == "none", "add kl=k3 (or k2, k1_reward)"),
        "weight_beta": (settings.weight.kind == "none", "add weight=clarity (or another kind)"),
        "w_norm": (settings.weight.kind == "none", "add weight=clarity (or another kind)"),
        "ddof": (settings.advantage.scale == "none", "add scale=group (or batch)"),
        "epsilon": (settings.advantage.scale == "none", "add scale=group (or batch)"),
        "clip_low": (ratio.kind == "none", "add ratio=token"),
        "clip_high": (ratio.kind == "none", "add ratio=token"),
        "dual": (ratio.kind in ("none", "capped"), "add ratio=token"),
    }
    for name, (does_nothing, remedy) in idle.items():
        if name in given and does_nothing:
            raise ValueError(f"{recipe}: {name}={given[name]} would do nothing here; {remedy}, or leave it out")
    _check_spans(recipe, settings)
    if ratio.dual is not None and ratio.clip_high is not None and ratio.dual <= 1.0 + ratio.clip_high:
        raise ValueError(f"{recipe}: dual={ratio.dual:g} must lie above 1 + clip_high = {1 + ratio.clip_high:g}; 3 is usual")
    needs = [
        name for name, wanted in (("divide=budget", settings.divide == "budget"), ("overlong", settings.overlong is not None)) if wanted
    ]
    if needs and settings.max_tokens is None:
        raise ValueError(
            f"{recipe}: {' and '.join(needs)} need the longest response; add max_tokens=..., pass max_tokens to load_recipe, or choose "
            + ("divide=rows" if settings.divide == "budget" else "overlong=off")
        )


def _check_spans(recipe: str, settings: Settings) -> None:
    """Raises ValueError when tokens that do not train at all would get credit or a KL, or all that train would get it anyway."""
    if settings.penalty.balanced and settings.divide == "segments":
        raise ValueError(
            f"{recipe}: divide=segments gives both stages of a response the same weight already, and kl_spans=balanced would do it twice; "
            "leave one of them out"
        )
    if not settings.spans:
        return
    trained_kinds = kinds_of(settings.spans)
    trained = f"spans={'+'.join(settings.spans)}"
    for option, names in (("credit_spans", settings.advantage.spans), ("kl_spans", settings.penalty.spans)):
        given = f"{option}={'+'.join(names)}"
        if names and not meet(names, trained_kinds):
            raise ValueError(f"{recipe}: {given} and {trained} have no token in common, and only the latter train; name some of them")
        if names and all(is_wanted(kind, names) for kind in trained_kinds):
            raise ValueError(f"{recipe}: {given} would do nothing here, for only {trained} train; leave it out")
    if settings.penalty.balanced and not {SAMPLING, DECISION} <= {stage_of(kind) for kind in settings.spans}:
        raise ValueError(f"{recipe}: kl_spans=balanced would do nothing with {trained}, which is one stage; leave it out")
