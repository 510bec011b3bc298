"""What training paid beside the truth, for the page: the finding, every number, and plots of reward and gold over the steps.

    steps.jsonl "pay" + audits.jsonl + an `Oversight` as a dictionary  ->  what `overseen.html.jinja` needs

Left out on purpose: the rule and the estimates (`overseeing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jominy.paying import COUNTS, matrices_of
from jominy.reporting.columns import Columns, Record, plot_of, stride
from jominy.reporting.figures import BLUE, GREEN, ORANGE
from jominy.reporting.series import Floor
from jominy.reporting.training import TrainingLog

HELD_WORDS = {
    "rises alone": ("The reward rises and the truth does not", "fix"),
    "drifts": ("The reward pays ever more beyond the truth", "watch"),
    "holds": ("No hacking shown", "good"),
    "unknown": ("Cannot be told yet", "watch"),
}
"""What the rule says -> how it is headed, and the colour and icon it shares with a severity."""


def overseen_section(log: TrainingLog, oversight: Record | None) -> dict[str, Any] | None:
    """The section, or None where the truth paid.

    Args:
        log: what the folder holds so far.
        oversight: an `oversight.Oversight` as a dictionary, or None.
    """
    if oversight is None:
        return None
    word, tone = HELD_WORDS[oversight["held"]]
    plots = [_pay(log.steps), _telltales(log.steps), *_verdicts(log.audits)]
    return {
        "word": word,
        "tone": tone,
        "record": oversight,
        "plots": [{**plot, "id": f"overseen-{position}"} for position, plot in enumerate(plots)],
        "counts": [(counts["name"], *(counts[name] for name in COUNTS)) for counts in oversight["types"]],
        "num_audits": len(log.audits),
    }


def _paid(steps: Sequence[Record]) -> Columns:
    """The columns of `pay`."""
    there = [{**line["pay"], "step": line["step"]} for line in steps if isinstance(line.get("pay"), Mapping)]
    return Columns(lines=there[:: stride(len(there)) or 1])


def _pay(steps: Sequence[Record]) -> dict[str, Any]:
    paid = _paid(steps)
    floors = [
        Floor(title="reward", lines=(paid.band("paid", "what training paid", ORANGE), paid.band("gold", "the truth", BLUE))),
        Floor(title="gap", lines=(paid.band("gap", "paid minus truth", ORANGE),)),
        Floor(title="wrong", lines=(paid.band("false_accepts", "false-accept share", GREEN),), top=1.05),
    ]
    meaning = (
        "Of the same rollouts, step by step, with 95 % bands over the prompts of a step. The gap is paid minus truth; below, "
        "the share of wrong ones among the rewarded. A reward that rises while the truth does not is being hacked."
    )
    return plot_of("Reward and truth", meaning, floors)


def _telltales(steps: Sequence[Record]) -> dict[str, Any]:
    paid = _paid(steps)
    floors = [
        Floor(title="tokens", lines=(paid.band("tokens", "response length"),)),
        Floor(title="echo", lines=(paid.band("echo", "echo share", ORANGE),)),
        Floor(title="claims", lines=(paid.band("claims", "self-claims", GREEN),)),
    ]
    meaning = (
        "What a policy does that plays for the judge: length; the share of the prompt's 5-grams that a response repeats; responses that "
        "say of themselves that they did what was asked."
    )
    return plot_of("Telltales", meaning, floors)


def _verdicts(audits: Sequence[Record]) -> list[dict[str, Any]]:
    """The reward's own errors on what was drawn; no plot where they were not counted."""
    if not audits:
        return []
    columns = {name: Columns(lines=lines) for name, lines in matrices_of(audits).items()}
    looks = {"soft constraints": GREEN, "responses": BLUE}
    rates = {"recall_false": "recall", "precision": "precision"}
    floors = [
        Floor(title=title, lines=tuple(some.band(rate, name, looks.get(name, ORANGE)) for name, some in columns.items()), top=1.05)
        for rate, title in rates.items()
    ]
    meaning = (
        "The reward's verdicts counted on the responses of the step. Recall on false: the violated that it sees as violated. Precision: "
        "the satisfied among those that it accepts; it moves with the share that is satisfied. Hard and soft constraints stand apart, as "
        "a judge is asked about the soft ones only, and code is not wrong."
    )
    return [plot_of("The reward's verdicts, on policy", meaning, floors)]
