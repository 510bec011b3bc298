"""Which prompts a one-shot run trains on: pass rates of an earlier run in, an order of its prompts out.

    history:RUN         v = mean_e (rate_e - mean rate)^2 over the visits e of a training run, highest first            (2504.20571)
    max_variance:RUN    c (n - c) / (n (n - 1)), unbiased for p (1 - p), of a sampled or diagnosed run, highest first
    hardest:RUN         c / n, lowest first
    random              an order of the task's own pool, by the run's seed
    id:9f2c+a01b        the prompts of the task with these ids, or starts of ids

    each but `id` with `,count=N` (1) and `,rank=K` (1): N prompts from place K of the order on; ties stand in the order of their ids

Only prompts with a score above 0 are ordered. A visit is all that one step drew of a prompt: in the paper an epoch. The paper's code takes
the population std of a list of epoch means, which orders equally; divided by the visits, not by one less, so that two lucky visits do not
go before ten. Fractions are kept exact, so that ties are ties.
Left out on purpose: the score LIM of the released code, and drawing anew: a rule reads what a run left.
LIMIT: of few rollouts a visit, v is mostly the noise of drawing, p (1 - p) / G, and prefers what max_variance prefers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import pvariance
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jominy.formatting import brief
from jominy.recipes.options import SEPARATOR, number, read_options
from jominy.records import Prompt
from jominy.store import RunFolder
from jominy.tables import groups_of
from jominy.trainfolder import TrainFolder

RULES = {
    "history": "history:RUN        variance of a prompt's pass rate over the steps of the training run RUN, highest first",
    "max_variance": "max_variance:RUN   p (1 - p) in the sampled or diagnosed run RUN, highest first",
    "hardest": "hardest:RUN        pass rate above 0 in the sampled or diagnosed run RUN, lowest first",
    "random": "random             by the run's seed",
    "id": "id:9f2c+a01b       by prompt id or the start of one",
}
"""Name -> how it is written and what it does."""
WITH_RUN = ("history", "max_variance", "hardest")
SHOWN = 4
"""Prompts that a note names."""

Counts = tuple[int, int]
"""(right, scored) rollouts."""


class NothingToSelect(ValueError):
    """No prompt, or too few, qualify for the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as it was read.

    Example: Rule(name="max_variance", argument="runs/d", count=1, rank=2)
    """

    name: str
    """A key of `RULES`."""
    argument: str
    """The run folder, or ids joined by +; empty for random."""
    count: int = 1
    """Prompts to take."""
    rank: int = 1
    """Place in the order of the first one, 1 the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The prompts that were chosen, and why these.

    Example: Selection(rule="max_variance:runs/d", prompts=(prompt,), scores=(0.263,), num_candidates=21)
    """

    rule: str
    """As it was typed."""
    prompts: tuple[Prompt, ...]
    """The chosen ones, best first."""
    scores: tuple[float | None, ...]
    """What the rule saw in each; None of random and id, which score nothing."""
    num_candidates: int
    """Prompts that could have been chosen."""

    def to_json(self) -> dict[str, Any]:
        """What `run.json` says under `selected`; the prompts themselves are in `prompts.parquet`."""
        ids = [prompt.id for prompt in self.prompts]
        return {"rule": self.rule, "ids": ids, "scores": list(self.scores), "num_candidates": self.num_candidates}

    def text(self) -> str:
        """The same for a person."""
        pairs = list(zip(self.prompts, self.scores, strict=True))
        named = [prompt.id + ("" if score is None else f" (score {brief(score)})") for prompt, score in pairs[:SHOWN]]
        more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
        return f"training on {len(pairs)} of {self.num_candidates} prompts, --select {self.rule}: {', '.join(named)}{more}"


def history_scores(visits: Mapping[str, Sequence[Counts]]) -> dict[str, float]:
    """The historical variance score (2504.20571) by prompt; undefined, and left out, with fewer than two visits that have scored rollouts.

    >>> history_scores({"a": [(0, 4), (2, 4), (4, 4)], "b": [(1, 2)]})      # rates 0, 1/2, 1: (1/4 + 0 + 1/4) / 3
    {'a': 0.16666666666666666}
    """
    rates = {key: [Fraction(right, scored) for right, scored in each if scored] for key, each in visits.items()}
    return {key: float(pvariance(each)) for key, each in rates.items() if len(each) > 1}


def variance_scores(counts: Mapping[str, Counts]) -> dict[str, float]:
    """c (n - c) / (n (n - 1)) by prompt; undefined, and left out, with fewer than two scored rollouts.

    >>> variance_scores({"a": (1, 4), "b": (1, 1)})      # 1 * 3 / (4 * 3)
    {'a': 0.25}
    """
    return {key: right * (scored - right) / (scored * (scored - 1)) for key, (right, scored) in counts.items() if scored > 1}


def pass_rates(counts: Mapping[str, Counts]) -> dict[str, float]:
    """c / n by prompt; undefined, and left out, without a scored rollout."""
    return {key: right / scored for key, (right, scored) in counts.items() if scored}


def in_order(scores: Mapping[str, float], *, lowest_first: bool) -> list[str]:
    """The prompts with a score above 0, the best first, ties by id.

    >>> in_order({"b": 0.2, "a": 0.2, "c": 0.1, "d": 0.0}, lowest_first=False)
    ['a', 'b', 'c']
    """
    sign = 1 if lowest_first else -1
    return sorted((key for key, score in scores.items() if score > 0), key=lambda key: (sign * scores[key], key))


def shuffled(ids: Iterable[str], seed: int) -> list[str]:
    """An order by seed, whatever order they come in."""
    there = sorted(ids)
    return [there[place] for place in np.random.default_rng(seed).permutation(len(there)).tolist()]


def ids_that_start(starts: Sequence[str], ids: Sequence[str], where: str) -> list[str]:
    """The whole ids that are meant; one that is written whole is meant even where another starts with it.

    Raises:
        ValueError: none or several start so; `where` says what was looked through.

    >>> ids_that_start(["9f", "a0"], ["a01b", "9f2c"], "the task")
    ['9f2c', 'a01b']
    """
    found = []
    for start in starts:
        meant = [start] if start in ids else [key for key in ids if start and key.startswith(start)]
        if not meant:
            close = difflib.get_close_matches(start, ids, n=3)
            raise ValueError(f"--select id: no prompt {start!r} among {where}" + (f"; did you mean {' or '.join(close)}?" if close else ""))
        if len(meant) > 1:
            raise ValueError(
                f"--select id: {len(meant)} prompts start with {start!r}, {', '.join(meant[:3])} among them; write more of the id"
            )
        found += meant
    return list(dict.fromkeys(found))


def read_rule(text: str) -> Rule:
    """The rule behind `--select`.

    Raises:
        ValueError: an unknown rule (near misses and all rules are listed), or one without what it needs or with what it does not take.

    >>> read_rule("max_variance:runs/d,rank=2")
    Rule(name='max_variance', argument='runs/d', count=1, rank=2)
    """
    head, *rest = SEPARATOR.split(text.strip())
    name, _, argument = head.partition(":")
    if name not in RULES:
        close = difflib.get_close_matches(name, RULES, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        listed = "\n".join(f"  {line}" for line in RULES.values())
        raise ValueError(f"--select: no rule {name!r}{hint}\nThere are\n{listed}\neach but id with ,count=N and ,rank=K")
    if name in WITH_RUN and not argument:
        raise ValueError(f"--select {name} needs a run folder: {name}:runs/NAME")
    if name == "id" and not all(argument.split("+")):
        raise ValueError("--select id needs prompt ids, or starts of them, joined by +: id:9f2c+a01b")
    if name == "random" and argument:
        raise ValueError(f"--select random takes no {argument!r}: it goes by the run's --seed")
    if name == "id" and rest:
        raise ValueError(f"--select id takes the prompts that it names; leave {','.join(rest)} out")
    given = read_options(f"--select {name}", ",".join(rest), ("count", "rank"))
    numbers = {key: number(f"--select {name}: {key}", word, lowest=1) for key, word in given.items()}
    for key, value in numbers.items():
        if value != int(value):
            raise ValueError(f"--select {name}: {key} is a whole number; got {given[key]!r}")
    return Rule(name=name, argument=argument, **{key: int(value) for key, value in numbers.items()})


def select(text: str, pool: Sequence[Prompt], held_out: Sequence[Prompt], *, seed: int, success: float) -> Selection:
    """The prompts that the rule chooses.

    Args:
        text: the rule.
        pool: prompts of the task that are not held out: what `random` draws from.
        held_out: those that are: `id` may name one.
        seed: of `random`.
        success: a response is right when its gold, or else its reward, is at least this.

    Raises:
        ValueError: see `read_rule`; the run is not there, of another kind or of another task.
        NothingToSelect: no prompt, or too few, qualify.
    """
    rule, own = read_rule(text), {prompt.id: prompt for prompt in (*pool, *held_out)}
    if rule.name == "id":
        where = f"the {len(own)} prompts of the task (the seed and the size of the pool choose them)"
        ids = ids_that_start(rule.argument.split("+"), list(own), where)
        return Selection(rule=text, prompts=tuple(own[key] for key in ids), scores=(None,) * len(ids), num_candidates=len(own))
    if rule.name == "random":
        order = shuffled((prompt.id for prompt in pool), seed)
        taken = _taken(rule, order, "the pool")
        return Selection(rule=text, prompts=tuple(own[key] for key in taken), scores=(None,) * len(taken), num_candidates=len(order))
    folder = _folder_of(rule)
    there = {prompt.id: prompt for prompt in folder.read_prompts()}
    strangers = {prompt.task for prompt in there.values()} - {prompt.task for prompt in own.values()}
    if strangers:
        ours = ", ".join(sorted({prompt.task for prompt in own.values()}))
        raise ValueError(f"--select {rule.name}: {folder.path} holds prompts of {', '.join(sorted(strangers))}, this run trains on {ours}")
    scores = _scores(rule, folder, success)
    order = [key for key in in_order(scores, lowest_first=rule.name == "hardest") if key in there]
    if not order:
        raise NothingToSelect(f"--select {rule.name}: no prompt of {folder.path} {WHY_NONE[rule.name]}")
    taken = _taken(rule, order, str(folder.path))
    prompts = tuple(there[key] for key in taken)
    return Selection(rule=text, prompts=prompts, scores=tuple(scores[key] for key in taken), num_candidates=len(order))


WHY_NONE = {
    "history": "was visited at two steps with different pass rates: train RUN for more epochs (more --steps, or a smaller --pool)",
    "max_variance": "has right and wrong answers, so RL on any of them would never get a gradient; sample more rollouts, or another task",
    "hardest": "was ever answered right, so RL on any of them would never get a gradient; sample more rollouts, or an easier task",
}


def _taken(rule: Rule, order: Sequence[str], where: str) -> Sequence[str]:
    last = rule.rank + rule.count - 1
    if last > len(order):
        wanted = f"rank={rule.rank}" + (f",count={rule.count}" if rule.count > 1 else "")
        raise NothingToSelect(f"--select {rule.name}: {wanted} reaches place {last}, and {len(order)} prompts of {where} qualify")
    return order[rule.rank - 1 : last]


def _folder_of(rule: Rule) -> RunFolder:
    """The run, of the kind that the rule reads."""
    folder = RunFolder(Path(rule.argument))
    if not folder.exists():
        raise ValueError(f"--select {rule.name}: {folder.path} is no run folder (it has no run.json)")
    trained = folder.read_run().get("verb") == "train"
    if rule.name == "history" and not trained:
        raise ValueError(f"--select history reads a training run, and {folder.path} was sampled once; use max_variance:{folder.path}")
    if rule.name != "history" and trained:
        raise ValueError(
            f"--select {rule.name} reads rollouts of one policy, and {folder.path} is a training run, whose policy moved; use "
            f"history:{folder.path}, or a run of `jominy sample`"
        )
    if not folder.parts():
        raise ValueError(f"--select {rule.name}: {folder.path} holds no rollouts yet")
    return folder


def _scores(rule: Rule, folder: RunFolder, success: float) -> dict[str, float]:
    if rule.name == "history":
        return history_scores(visits_of(folder, success))
    counts = counts_of(folder.rollouts(["prompt_id", "reward", "gold"]), success)
    return variance_scores(counts) if rule.name == "max_variance" else pass_rates(counts)


def counts_of(table: pa.Table, success: float) -> dict[str, Counts]:
    """(right, scored) by `prompt_id`, in the order of first appearance."""
    groups = groups_of(table, success)
    return dict(
        zip(groups.prompt_ids or (), zip(groups.num_correct_P().tolist(), groups.num_scored_P().tolist(), strict=True), strict=True)
    )


def visits_of(folder: RunFolder, success: float) -> dict[str, list[Counts]]:
    """(right, scored) of each visit by prompt: all that one step, and so one policy, drew of it."""
    table = folder.rollouts(["prompt_id", "reward", "gold", "policy"])
    keys = pc.binary_join_element_wise(table["prompt_id"], table["policy"], "\n")
    visits: dict[str, list[Counts]] = {}
    for key, counts in counts_of(table.select(["reward", "gold"]).append_column("prompt_id", keys), success).items():
        visits.setdefault(key.rpartition("\n")[0], []).append(counts)
    return visits


def kept_selection(folder: TrainFolder, rule: str | None) -> Selection | None:
    """What the run in the folder chose by this rule, from its own files, so that it goes on when RUN is gone; None when it did not."""
    found = folder.run.read_run().get("selected") if folder.run.exists() else None
    if not isinstance(found, dict) or found["rule"] != rule:
        return None
    prompts = {prompt.id: prompt for prompt in folder.run.read_prompts()}
    chosen = tuple(prompts[key] for key in found["ids"])
    return Selection(rule=found["rule"], prompts=chosen, scores=tuple(found["scores"]), num_candidates=found["num_candidates"])
