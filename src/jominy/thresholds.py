"""The numbers against which a diagnosis holds its evidence. No paper gives them: they are ours, are printed with every result, and can
be set.

`--thresholds strong_pass=0.7 live_fix=0.2` on the command line, `thresholds_with({"strong_pass": 0.7})` in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jominy.results import Threshold

Thresholds = Mapping[str, Threshold]

DEFAULTS: tuple[Threshold, ...] = (
    Threshold(name="live_stop", value=0.02, meaning="stop when the gradient share is surely below this; no go until it is surely above"),
    Threshold(name="live_fix", value=0.3, meaning="fix first when the gradient share is below this: most sampling would be wasted"),
    Threshold(name="saturated", value=0.7, meaning="above this all-right share, too few live groups mean that little is left to learn"),
    Threshold(name="unscored_stop", value=0.5, meaning="stop when more than this share of the rollouts has no reward"),
    Threshold(name="unscored_fix", value=0.05, meaning="fix first when more than this share of the rollouts has no reward"),
    Threshold(name="graded", value=0.3, meaning="partial credit carries the signal when the gradient share exceeds the live share by this"),
    Threshold(name="truncated", value=0.3, meaning="speak up when more than this share of the rollouts is cut at the token limit"),
    Threshold(name="truncated_harm", value=0.5, meaning="a cut does harm when cut answers are right less than this times as often"),
    Threshold(name="truncated_most", value=0.8, meaning="above this truncated share, finished answers are too few to compare with"),
    Threshold(name="truncated_right", value=0.2, meaning="mostly cut answers that are right less often than this may fail by being cut"),
    Threshold(name="repetitive", value=0.2, meaning="speak up when more than this share of the rollouts repeats itself"),
    Threshold(name="wide", value=0.3, meaning="the gradient share is known badly when its 95 % interval is wider than this"),
    Threshold(name="guess", value=0.1, meaning="fix first when the chance-corrected pass@1 is surely below this"),
    Threshold(name="false_pay", value=0.05, meaning="fix first when surely more than this share of the paid rollouts is wrong by gold"),
    Threshold(name="gap_nats", value=0.05, meaning="fix first when sampler and scorer disagree by more than this on a token, on average"),
    Threshold(name="strong_pass", value=0.8, meaning="pass@16 surely at or above this is strong alignment"),
    Threshold(name="weak_pass", value=0.4, meaning="pass@16 surely at or below this is weak alignment; else it is undecided"),
    Threshold(name="format_gap", value=0.05, meaning="speak up when surely more than this share of the responses is lost by form"),
    Threshold(name="contamination_exact", value=0.05, meaning="possible above this share of exact matches from 60 % of a prompt"),
    Threshold(name="contamination_errors", value=3.0, meaning="or when answers beat fresh prompts by more standard errors than this"),
    Threshold(name="no_probability", value=0.05, meaning="speak up when clarity leaves out more than this share of the scored rollouts"),
    Threshold(name="coverage", value=0.3, meaning="clarity can weigh prompts when at least this share of them has right and wrong answers"),
)


LARGEST = {"contamination_errors": 100.0}
"""What a threshold can be at most, where it is no share."""


def thresholds_with(changes: Mapping[str, float] | None = None) -> dict[str, Threshold]:
    """The thresholds by name, some of them set anew.

    Raises:
        ValueError: an unknown name; lists those that exist.

    >>> thresholds_with({"strong_pass": 0.7})["strong_pass"].value
    0.7
    """
    known = {threshold.name: threshold for threshold in DEFAULTS}
    for name, value in (changes or {}).items():
        if name not in known:
            raise ValueError(f"no threshold {name!r}; there are {', '.join(known)}")
        if not 0.0 <= value <= LARGEST.get(name, 1.0):
            raise ValueError(f"threshold {name} must be in [0, {LARGEST.get(name, 1.0):g}]; got {value:g}")
        known[name] = replace(known[name], value=value)
    return known
