"""What a base model could do before training, from the counts of right responses in `results.json`.

    pass@1, pass@16, live share      of `scored` responses to each prompt, `correct` of them right
    share in form                    `in_form` of all responses
    format gap                       lenient minus strict pass@1: right wherever the answer stands, but lost by its form

The last two are undefined, with the reason, where the task has no form or no lenient grader.
Left out on purpose: what the strength of a cell does to a claim (each study's claims).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jominy.conclusion import CellBase
from jominy.groups import Groups
from jominy.measures.formatgap import Counts, measure_format_gap
from jominy.measures.liveness import measure_liveness
from jominy.measures.passk import measure_passk
from jominy.measures.shares import share_of_rollouts
from jominy.records import Ints, Measure

Record = Mapping[str, Any]

ALIGNMENT_K = 16
SEED = 20250821
"""Of every resample, so that the same results give the same page."""
IN_FORM, FORMAT_GAP = "share in form", "format gap at pass@1"
NAMES = ("pass@1", f"pass@{ALIGNMENT_K}", "live share", IN_FORM, FORMAT_GAP)


def base_of(cell: Record, settings: Record) -> CellBase:
    """A cell's line of `results.json` as tables show it; its measures are undefined until the base model is measured.

    Args:
        cell: of `cells`.
        settings: of its group.
    """
    base = cell.get("base")
    return CellBase(
        name=cell["name"],
        group=cell["group"],
        model=cell["model_title"],
        task=cell["task"],
        num_seeds=len(cell["seeds"]),
        strength="unknown" if base is None else base["strength"],
        measures=_undefined() if base is None else _measures_of(base, int(settings.get("rollouts", 2))),
        advice={} if base is None else base["advice"],
    )


def _undefined() -> tuple[Measure, ...]:
    return tuple(Measure(name=name, value=None, why_none="the base model is not measured yet") for name in NAMES)


def _measures_of(base: Record, group_size: int) -> tuple[Measure, ...]:
    """Those of `NAMES`; the live share is at the group size of the runs."""
    scored_P, correct_P = np.asarray(base["scored"], dtype=np.int64), np.asarray(base["correct"], dtype=np.int64)
    groups = _groups_of(scored_P, correct_P)
    passk = measure_passk(groups, ks=(1, ALIGNMENT_K)).curve
    live = measure_liveness(groups, np.random.default_rng(SEED), group_size=max(group_size, 2)).live
    return (*passk, live, _in_form(base), _format_gap(scored_P, correct_P, base.get("lenient")))


def _groups_of(num_P: Ints, hits_P: Ints) -> Groups:
    """Groups of so many responses, the first so many of them right: measures do not depend on their order."""
    offsets_P1 = np.concatenate(([0], np.cumsum(num_P)))
    hit_N = np.arange(offsets_P1[-1]) - np.repeat(offsets_P1[:-1], num_P) < np.repeat(hits_P, num_P)
    return Groups(offsets_P1=offsets_P1, rewards_N=hit_N.astype(np.float64), scored_N=np.ones(len(hit_N), dtype=bool), correct_N=hit_N)


def _in_form(base: Record) -> Measure:
    """Share of responses in the form that the gated rewards ask for."""
    if base.get("in_form") is None:
        return Measure(name=IN_FORM, value=None, why_none="the form was not judged")
    hits_P = np.asarray(base["in_form"], dtype=np.int64)
    groups = _groups_of(np.full(len(hits_P), base["num_rollouts"], dtype=np.int64), hits_P)
    meaning = "Share of responses in the form that the gated rewards (random in form, wrong in form) ask for."
    return share_of_rollouts(groups, groups.correct_N, groups.scored_N, name=IN_FORM, meaning=meaning, why_none="no responses")


def _format_gap(scored_P: Ints, correct_P: Ints, lenient: list[int] | None) -> Measure:
    """Lenient minus strict pass@1; what is strictly right is leniently right, also where the lenient grader gave no verdict."""
    lenient_P = correct_P if lenient is None else np.maximum(np.asarray(lenient, dtype=np.int64), correct_P)
    return measure_format_gap(
        (1,),
        Counts(num_scored_P=scored_P, num_right_P=correct_P),
        None if lenient is None else Counts(num_scored_P=scored_P, num_right_P=lenient_P),
        None,
        why_no_lenient="the task has no lenient grader",
        why_no_few_shot="",
    ).gap[0]
