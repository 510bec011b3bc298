"""Chance that can be drawn again, and a reward whose verdicts flip at stated rates.

    noisy verdict:  1[u >= false_reject] if right else 1[u < false_accept]

    mode            what flips            u is a hash of                             the rates are
    iid             the response          name, prompt, seed, index                  stated
    per_constraint  each constraint       the same and which constraint              stated; the verdicts are then put together
    systematic      the response          the text                                   stated on average over a cue of the text (`cues`)
                    or each constraint    the text and which constraint              stated on average over the types (cue=type)
    matched:FILE    each constraint       as per_constraint                          what an audit found for the type of the constraint
                    or the response       as iid, where a task has no constraints    what it found for whole responses

The first hash says who the rollout is, so a run that goes on, or is drawn again, tosses the same, and nothing in the text can learn it.
The second looks at the text alone: the same words are always paid the same, and the cue can be learned. Right answers are rejected by the
text's hash, never by the cue. The clean verdict stands in the part `clean`, and the task's truth stays as gold.
Left out on purpose: errors that come and go with the step. They would be one more thing that two runs differ in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jominy.records import GroupReward, Prompt, Reward, Rollout, Task
from jominy.rewards.aggregating import AGGREGATIONS, aggregate
from jominy.rewards.constraints import kinds_of, part_names, truths_of
from jominy.rewards.cues import FORMS, accept_rates, blind_types, read_cue
from jominy.rewards.gates import paid, truth_of, unscored
from jominy.rewards.loading import load_reward
from jominy.rewards.options import one_of

MODES = "iid, per_constraint, systematic or matched:AUDIT.json"
DEFAULTS: Mapping[str, str] = {
    "false_accept": "0",
    "false_reject": "0",
    "of": "",
    "mode": "iid",
    "cue": "",
    "cue_share": "1",
    "flips": "all",
    "aggregate": "all_pass",
}
"""Every option of `noisy` with its default."""
ONLY_FOR = {"cue": "mode=systematic", "cue_share": "mode=systematic with a cue of the text"}
ONLY_BY_CONSTRAINT = ("flips", "aggregate")
NUM_TYPE_PROMPTS = 256
"""So many prompts of the task say how common each constraint type is."""


def uniform(name: str, prompt_id: str, seed: int, index: int) -> float:
    """A number in [0, 1) that belongs to one rollout under one name: the first 53 bits of a SHA-256.

    >>> uniform("random", "9f2c", 0, 3) == uniform("random", "9f2c", 0, 3) != uniform("random", "9f2c", 0, 4)
    True
    """
    digest = hashlib.sha256(f"{name}|{seed}|{index}|{prompt_id}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def toss(name: str, rollout: Rollout) -> float:
    """The rollout's `uniform` under this name."""
    return uniform(name, rollout.prompt_id, rollout.seed, rollout.index)


def toss_text(name: str, rollout: Rollout) -> float:
    """The same for its text alone, whoever says it and when."""
    return uniform(name, rollout.text, 0, 0)


def share_in(reward: str, name: str, text: str) -> float:
    """An option that is a probability.

    Raises:
        ValueError: it is no number in [0, 1].

    >>> share_in("random", "gamma", "0.25")
    0.25
    """
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{reward}: {name} is a probability from 0 to 1; got {text!r}")
    return share


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often a verdict errs.

    Example: Rates(false_accept=0.3, false_reject=0.05)
    """

    false_accept: float
    """Chance that what is wrong passes."""
    false_reject: float
    """Chance that what is right fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What flips, how often, and by which coin.

    Example: Noise(summary="...", by_constraint=False, rates=lambda type, text: Rates(...), chance=toss)
    """

    summary: str
    """For the listing, after `the task reward; `."""
    by_constraint: bool
    """Whether each constraint's verdict flips, or the response's."""
    rates: Callable[[str, str], Rates]
    """(type of the constraint, or no text for the whole response; the response's text) -> the rates."""
    chance: Callable[[str, Rollout], float]
    """(name of the coin, rollout) -> u in [0, 1)."""


def make_noisy(settings: Mapping[str, str], task: Task) -> GroupReward:
    """The task's own reward, or the one at `of` (FILE:FUNCTION), flipped in one of the modes.

    LIMIT: a file of prompts needs a target column even with `of`, since the gold is compared with it.

    Raises:
        ValueError: an option is out of range or has no meaning in this mode, or the task has no constraints and the mode flips them.
    """
    noise = _noise_of(settings, task)
    if noise.by_constraint and settings["of"]:
        raise ValueError(f"noisy: mode={settings['mode']} flips the verdicts of code on the single constraints; leave of= out")
    if not noise.by_constraint:
        for name in ONLY_BY_CONSTRAINT:
            if settings[name] != DEFAULTS[name]:
                raise ValueError(f"noisy: {name}={settings[name]} is for modes that flip single constraints; this one flips responses")
    judge = _constraints_judge(noise, settings["aggregate"], _flipped_kinds(settings)) if noise.by_constraint else _response_judge(noise)
    return GroupReward(
        name="noisy",
        summary=f"{settings['of'] or 'the task reward'}; {noise.summary}",
        judge=judge,
        base=load_reward(settings["of"]) if settings["of"] else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRates:
    """What an audit found.

    Example: read_audit("runs/judge/audit.json").types["title"].false_accept
    """

    types: Mapping[str, Rates]
    """Single constraints, by type; a rate that the audit could not tell is that of all."""
    all: Rates
    """Of all types together."""
    responses: Rates
    """Whole responses; a rate that the audit could not tell is that of all."""


def read_audit(path: str | Path) -> AuditRates:
    """The error rates out of an audit's file.

    The file: {"types": {NAME: rates}, "all": rates, "responses": rates}, rates = {"false_accept": 0.3, "false_reject": null}; `responses`
    may be left out.

    Raises:
        ValueError: no such file, no JSON, no `types` or `all`, or a rate that is none.
    """
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"noisy: cannot read the audit {path}: {error.strerror}; `jominy audit` writes one") from error
    except ValueError as error:
        raise ValueError(f"noisy: {path} is no JSON: {error}") from error
    if not (isinstance(table, dict) and isinstance(table.get("types"), dict) and isinstance(table.get("all"), dict)):
        raise ValueError(f"noisy: {path} needs 'types' and 'all', each with false_accept and false_reject; it is not an audit's file")
    every = _read_rates(path, "all", table["all"], None)
    return AuditRates(
        types={name: _read_rates(path, name, entry, every) for name, entry in table["types"].items()},
        all=every,
        responses=_read_rates(path, "responses", table.get("responses", {}), every),
    )


def _read_rates(path: str | Path, name: str, entry: Any, otherwise: Rates | None) -> Rates:
    if not isinstance(entry, dict):
        raise ValueError(f"noisy: {path}: {name} is a {type(entry).__name__}; it needs false_accept and false_reject")
    known = {} if otherwise is None else {"false_accept": otherwise.false_accept, "false_reject": otherwise.false_reject}
    rates: dict[str, float] = {}
    for error in ("false_accept", "false_reject"):
        rate = known.get(error) if entry.get(error) is None else entry[error]
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(f"noisy: {path}: {error} of {name} is a number from 0 to 1; got {rate!r}")
        rates[error] = float(rate)
    return Rates(**rates)


def _noise_of(settings: Mapping[str, str], task: Task) -> Noise:
    stated = Rates(**{name: share_in("noisy", name, settings[name]) for name in ("false_accept", "false_reject")})
    mode, _, path = settings["mode"].partition(":")
    if settings["mode"] not in ("iid", "per_constraint", "systematic") and not (mode == "matched" and path):
        raise ValueError(f"noisy: mode is {MODES}; got {settings['mode']!r}")
    if mode != "systematic":
        for name, needed in ONLY_FOR.items():
            if settings[name] != DEFAULTS[name]:
                raise ValueError(f"noisy: {name}={settings[name]} is for {needed}")
    if mode == "matched":
        return _matched(read_audit(path), stated, path, task)
    if mode == "systematic":
        return _systematic(settings, stated, task)
    if mode == "per_constraint":
        _require_constraints(f"mode={mode}", task)
    subject = "wrong answers pay" if mode == "iid" else "each violated constraint passes"
    summary = f"{subject} with chance {stated.false_accept:g}, right ones fail with {stated.false_reject:g}"
    return Noise(summary=summary, by_constraint=mode == "per_constraint", rates=lambda type, text: stated, chance=toss)


def _systematic(settings: Mapping[str, str], stated: Rates, task: Task) -> Noise:
    cue, rejects = settings["cue"], stated.false_reject
    name, colon, names = cue.partition(":")
    if not cue:
        raise ValueError(f"noisy: mode=systematic needs cue=, one of {FORMS}")
    share = share_in("noisy", "cue_share", settings["cue_share"])
    if name == "type":
        if settings["cue_share"] != DEFAULTS["cue_share"]:
            raise ValueError(f"noisy: cue_share={settings['cue_share']} is for {ONLY_FOR['cue_share']}; cue=type counts the task's prompts")
        _require_constraints(f"cue={cue}", task)
        accepts = _chosen_types(names, stated.false_accept, task) if colon else blind_types(_types_of(task), stated.false_accept)
        blind = ", ".join(f"{type} {rate:g}" for type, rate in accepts.items() if rate > 0)
        return Noise(
            summary=f"violations pass by type ({blind or 'none'}), right ones fail with {rejects:g}, both by the text alone",
            by_constraint=True,
            rates=lambda type, text: Rates(false_accept=accepts.get(type, 0.0), false_reject=rejects),
            chance=toss_text,
        )
    shows, (given, otherwise) = read_cue(cue), accept_rates(stated.false_accept, share)
    return Noise(
        summary=f"wrong answers pay with chance {given:g} given {cue} and {otherwise:g} without, right ones fail with {rejects:g}",
        by_constraint=False,
        rates=lambda type, text: Rates(false_accept=given if shows(text) else otherwise, false_reject=rejects),
        chance=toss_text,
    )


def _matched(audit: AuditRates, stated: Rates, path: str, task: Task) -> Noise:
    if stated != Rates(false_accept=0.0, false_reject=0.0):
        raise ValueError(f"noisy: mode=matched takes its rates from {path}; leave false_accept and false_reject out")
    if not _has_constraints(task):
        return Noise(
            summary=f"responses flip at the rates of whole responses in {path}",
            by_constraint=False,
            rates=lambda type, text: audit.responses,
            chance=toss,
        )
    return Noise(
        summary=f"constraints flip at the rates of their types in {path} ({len(audit.types)} types)",
        by_constraint=True,
        rates=lambda type, text: audit.types.get(type, audit.all),
        chance=toss,
    )


def _chosen_types(names: str, accepts: float, task: Task) -> dict[str, float]:
    chosen, known = [name.strip() for name in names.split("+") if name.strip()], set(_types_of(task))
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise ValueError(f"noisy: cue=type:NAME+NAME names types of task {task.name!r}: {', '.join(sorted(known))}; got {names!r}")
    return dict.fromkeys(chosen, accepts)


def _types_of(task: Task) -> list[str]:
    return [constraint["type"] for prompt in task.prompts(NUM_TYPE_PROMPTS, 0) for constraint in prompt.info["constraints"]]


def _has_constraints(task: Task) -> bool:
    return all(prompt.info.get("constraints") for prompt in task.prompts(1, 0))


def _require_constraints(option: str, task: Task) -> None:
    if not _has_constraints(task):
        raise ValueError(f"noisy: {option} flips single constraints, and the prompts of task {task.name!r} have none; use mode=iid")


def _flipped_kinds(settings: Mapping[str, str]) -> tuple[str, ...]:
    flips = settings["flips"]
    if flips not in ("all", "soft"):
        raise ValueError(f"noisy: flips is all or soft (hard constraints then stay as code decides); got {flips!r}")
    return ("hard", "soft") if flips == "all" else ("soft",)


def _response_judge(noise: Noise) -> Callable[[Prompt, Sequence[Rollout]], list[Reward]]:
    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        right = truth_of(prompt, rollout)
        return unscored(rollout) if right is None else paid(rollout, _flipped(noise, "noisy", "", rollout, right), clean=right)

    return lambda prompt, rollouts: [judge(prompt, rollout) for rollout in rollouts]


def _constraints_judge(noise: Noise, name: str, kinds: tuple[str, ...]) -> Callable[[Prompt, Sequence[Rollout]], list[Reward]]:
    one_of("noisy", "aggregate", name, AGGREGATIONS)

    def judge(prompt: Prompt, rollout: Rollout) -> Reward:
        if truth_of(prompt, rollout) is None:
            return unscored(rollout)
        constraints = prompt.info["constraints"]
        clean = truths_of(prompt, rollout.text)
        kind_of = kinds_of(prompt)
        said = [
            right if right is None or kind not in kinds else _flipped(noise, f"noisy {k}", constraint["type"], rollout, right)
            for k, (constraint, kind, right) in enumerate(zip(constraints, kind_of, clean, strict=True))
        ]
        value, truth = (aggregate(name, kind_of, _as_numbers(verdicts)) for verdicts in (said, clean))
        if value is None or truth is None:
            return unscored(rollout, "code cannot tell whether every constraint holds; there is nothing to flip")
        heard = {part: float(verdict) for part, verdict in zip(part_names(constraints), said, strict=True) if verdict is not None}
        return paid(rollout, value, clean=truth, **heard)

    return lambda prompt, rollouts: [judge(prompt, rollout) for rollout in rollouts]


def _flipped(noise: Noise, coin: str, type: str, rollout: Rollout, right: bool) -> bool:
    chance, rates = noise.chance(coin, rollout), noise.rates(type, rollout.text)
    return chance >= rates.false_reject if right else chance < rates.false_accept


def _as_numbers(verdicts: Sequence[bool | None]) -> list[float | None]:
    return [None if verdict is None else float(verdict) for verdict in verdicts]
