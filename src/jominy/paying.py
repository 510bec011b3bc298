"""What one step paid beside the truth: its part of the step's line and, now and then, the reward's verdicts counted on what it drew.

    steps.jsonl   "pay": {"paid", "gold", "gap", "excess", "false_accepts", "tokens", "echo", "claims", "partial"}
    audits.jsonl  {"step", "responses", "constraints": matrix or null, "by_kind": {kind: matrix}, "by_type": {name: counts}}

    each of "pay" = {"value", "low", "high"}; partial: share of a response's constraints that hold
    counts = {"true_accepts", "false_accepts", "false_rejects", "true_rejects", "num_unscored"},   matrix = counts and their rates

Nothing is asked and nothing is drawn for it: the truth is gold, of single constraints what code says (`truths_of`), and what the reward
said is its value and its parts. What code decided for the reward (the hard constraints of `judge`) counts too, so each kind has a matrix
of its own, and a type that is judged is another one than the same type decided by code: "soft question" beside "question".
The numbers of `pay` are those of `measures.hacking`, the counts those of `measures.precision`.
Left out on purpose: what steps say together (`overseeing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from jominy.confusion import AuditItem, Verdict, constraint_table, response_table
from jominy.measures.hacking import PaidRollouts, measure_step
from jominy.measures.precision import Confusion, ConfusionTable, Counts, measure_confusion
from jominy.measures.telltales import claims_success, echo_share
from jominy.records import Measure, Prompt, Rollout
from jominy.rewards.aggregating import KINDS
from jominy.rewards.constraints import BENCHMARK_CHECKERS, CHECKERS, constraints_of, part_names, truths_of

Drawn = Sequence[Sequence[Rollout]]
"""Graded groups."""

COUNTS = tuple(field.name for field in fields(Counts))
"""Names of the counts of a matrix, in this order."""


def pay_line(drawn: Drawn, prompts: Mapping[str, Prompt], success: float) -> dict[str, Any]:
    """`pay` of a step's line.

    Args:
        drawn: everything that the step drew, graded by a reward that is not the truth.
        prompts: by id.
        success: a reward, and a gold, of at least this counts as right.
    """
    flat = [rollout for group in drawn for rollout in group]
    ids = {key: place for place, key in enumerate(dict.fromkeys(rollout.prompt_id for rollout in flat))}
    asked = {key: "\n".join(message.content for message in prompts[key].messages) for key in ids}
    found = measure_step(
        PaidRollouts(
            prompt_N=np.array([ids[rollout.prompt_id] for rollout in flat]),
            paid_N=_column([None if rollout.reward is None else rollout.reward.value for rollout in flat]),
            gold_N=_column([rollout.gold for rollout in flat]),
            tokens_N=np.array([len(rollout.token_ids) for rollout in flat]),
            echo_N=_column([echo_share(asked[rollout.prompt_id], rollout.text) for rollout in flat]),
            claims_N=np.array([claims_success(rollout.text) for rollout in flat]),
            partial_N=_column([_share_held(prompts[rollout.prompt_id], rollout.text) for rollout in flat]),
        ),
        success,
    )
    measures = {"paid": found.paid, "gold": found.gold, "gap": found.gap, "excess": found.excess}
    measures |= {
        "false_accepts": found.false_accepts,
        "tokens": found.tokens,
        "echo": found.echo,
        "claims": found.claims,
        "partial": found.partial,
    }
    return {name: _estimate(measure) for name, measure in measures.items()}


def _share_held(prompt: Prompt, text: str) -> float | None:
    """Share of the constraints that hold, of those that code can decide; None where it can decide none."""
    if not _of_our_form(prompt):
        return None
    known = [truth for truth in truths_of(prompt, text) if truth is not None]
    return sum(known) / len(known) if known else None


def _column(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _estimate(measure: Measure) -> dict[str, float | None]:
    return {"value": measure.value, "low": measure.low, "high": measure.high}


def audit_line(step: int, drawn: Drawn, prompts: Mapping[str, Prompt], success: float) -> dict[str, Any] | None:
    """The line of audits.jsonl, or None where no truth is known or the reward gives no verdicts.

    Args:
        step: that drew.
        drawn: as in `pay_line`.
        prompts: by id.
        success: a reward, and a gold, of at least this is a yes.
    """
    flat = [rollout for group in drawn for rollout in group if rollout.reward is not None]
    responses, constraints = _response_table(flat, prompts, success), _constraint_table(flat, prompts)
    if responses is None and constraints is None:
        return None
    line: dict[str, Any] = {
        "step": step,
        "responses": None if responses is None else _matrix(responses, "responses"),
        "constraints": None,
        "by_kind": {},
        "by_type": {},
    }
    if constraints is not None:
        kinds = {kind: part for place, kind in enumerate(constraints.kind_names) if (part := constraints.of_kind(place)).num_items}
        line["constraints"] = _matrix(constraints, "constraints")
        line["by_kind"] = {kind: _matrix(part, kind) for kind, part in kinds.items()}
        # without rates: a step has few of each
        line["by_type"] = {
            name if kind == "hard" else f"{kind} {name}": asdict(Counts.of(cell))
            for kind, part in kinds.items()
            for place, name in enumerate(part.type_names)
            if (cell := part.where(part.type_M == place)).num_items
        }
    return line


def matrices_of(audits: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What was counted, by what it was counted of: name -> matrices with their steps.

    "constraints", or each kind by itself where there are both ("soft constraints" first): the hard ones of reward `judge` are decided by
    code and never wrong, so together with them a judge looks better than it is. And "responses".

    Args:
        audits: of audits.jsonl.
    """
    kinds = sorted({kind for line in audits for kind in line.get("by_kind") or {}}, reverse=True)
    if len(kinds) > 1:
        found = {f"{kind} constraints": [(line["step"], (line.get("by_kind") or {}).get(kind)) for line in audits] for kind in kinds}
    else:
        found = {"constraints": [(line["step"], line.get("constraints")) for line in audits]}
    found["responses"] = [(line["step"], line.get("responses")) for line in audits]
    there = {name: [{**_rated(one), "step": step} for step, one in lines if isinstance(one, Mapping)] for name, lines in found.items()}
    return {name: lines for name, lines in there.items() if lines}


def _rated(matrix: Mapping[str, Any]) -> Mapping[str, Any]:
    """With its rates: lines of runs that began before kinds had any hold counts alone."""
    if "recall_false" in matrix:
        return matrix
    counts = Counts(**{name: int(matrix.get(name) or 0) for name in COUNTS})
    return {**matrix, "recall_false": {"value": counts.recall_false}, "precision": {"value": counts.precision}}


def _response_table(rollouts: Sequence[Rollout], prompts: Mapping[str, Prompt], success: float) -> ConfusionTable | None:
    """Whether it pays against whether it is right; None where rewards leave [0, 1]: a mean log-probability says neither yes nor no."""
    known = [(rollout, rollout.reward, rollout.gold) for rollout in rollouts if rollout.reward is not None and rollout.gold is not None]
    values = [reward.value for _, reward, _ in known]
    if not known or any(value is not None and not 0 <= value <= 1 for value in values):
        return None
    items = [
        AuditItem(prompt=prompts[rollout.prompt_id], text=rollout.text, truths=(gold >= success,), kind="sampled", about="responses")
        for rollout, _, gold in known
    ]
    return response_table(items, [None if value is None else value >= success for value in values])


def _constraint_table(rollouts: Sequence[Rollout], prompts: Mapping[str, Prompt]) -> ConfusionTable | None:
    """Single constraints that code can decide, by type and kind; None where the reward says nothing of any."""
    items: list[AuditItem] = []
    verdicts: list[list[Verdict]] = []
    for rollout in rollouts:
        prompt = prompts[rollout.prompt_id]
        if rollout.reward is None or not _of_our_form(prompt):
            continue
        names, parts = part_names(constraints_of(prompt)), rollout.reward.parts
        truths = tuple(truths_of(prompt, rollout.text))
        items.append(AuditItem(prompt=prompt, text=rollout.text, truths=truths, kind="sampled", about="constraints"))
        verdicts.append([parts[name] >= 0.5 if name in parts else None for name in names])
    known = any(truth is not None for item in items for truth in item.truths)
    if not known or all(verdict is None for said in verdicts for verdict in said):
        return None
    return constraint_table(items, verdicts)


def _of_our_form(prompt: Prompt) -> bool:
    """Whether the constraints of a prompt, which may be anybody's, are such as our checkers decide."""
    constraints = prompt.info.get("constraints")
    if not isinstance(constraints, Sequence) or isinstance(constraints, str) or not constraints:
        return False
    return all(
        isinstance(constraint, Mapping)
        and isinstance(kind := constraint.get("type"), str)
        and constraint.get("kind", "hard") in KINDS
        and (not constraint.get("truth", True) or ("params" in constraint and (kind in CHECKERS or kind in BENCHMARK_CHECKERS)))
        for constraint in constraints
    )


def _matrix(table: ConfusionTable, name: str) -> dict[str, Any]:
    """Counts with their rates."""
    found: Confusion = measure_confusion(table, name)
    rates = {"recall_false": found.recall_false, "recall_true": found.recall_true, "precision": found.precision}
    rates |= {"accuracy": found.accuracy, "base_rate": found.base_rate}
    return {**asdict(Counts.of(table)), **{rate: _estimate(measure) for rate, measure in rates.items()}}
