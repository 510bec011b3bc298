"""What an audit says to a diagnosis: may the reward be trained on?

    do not train on it      fix       training finds what is wrongly accepted; or verdicts are missing, and it pays for the others alone;
                                      watch where it is only too few to tell
    trust for these types   watch     train on those, drop or judge otherwise the rest
    trust                   good

The bounds are those of the audit itself (`measures.trust`), which stand in its file. An audit that lies in a run folder may be of a reward
that the run is not paid by, but a later one would be: then it is something to watch, and the finding says so.
Left out on purpose: the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from jominy.audited import BEFORE_CHOICES, Audit
from jominy.evidence import Evidence, percent
from jominy.measures.trust import TrustValue
from jominy.papers import PRECISION
from jominy.records import Finding, Severity
from jominy.rewards.judge import LOCAL_OPTIONS, address_of
from jominy.rewards.judged import DEFAULTS
from jominy.rewards.options import read_options
from jominy.rewards.spurious import JUDGE
from jominy.thresholds import Thresholds

MOST_NAMED = 8
CODES: Mapping[TrustValue, tuple[str, Severity]] = {
    "trust": ("reward-trusted", "good"),
    "trust for these types": ("reward-partly-trusted", "watch"),
    "do not train on it": ("reward-distrusted", "fix"),
}
PRESCRIPTIONS: Mapping[TrustValue, str] = {
    "trust": "Nothing to do: train on it.",
    "trust for these types": "Train on those types; drop the others (`jominy refine --audit`), check them by code, or ask about one "
    "constraint at a time and audit again.",
    "do not train on it": "RL will find what it wrongly accepts. Check by code what code can check, take a stronger judge or ask it about "
    "one constraint at a time (--mode pointwise), and audit again.",
}
UNREAD_CODE: tuple[str, Severity] = ("reward-unread", "fix")
UNREAD = (
    "What it does say decides nothing: responses whose verdicts are missing go unpaid, and the others are no fair draw of all. Let a "
    "local model choose among the replies that can be read (answers=choice), give an endpoint a larger max_tokens=, ask about one "
    "constraint at a time (--mode pointwise), or take another judge; then audit again."
)
ALIKE: Mapping[str, str] = {"numbered": "batch"}
"""Ways of asking that are the same questions about two constraints and more; of a single one only the form of the reply differs."""
UNTOLD_CODE: tuple[str, Severity] = ("reward-untold", "watch")
UNTOLD = (
    "Nothing is surely wrong with it, and nothing surely right. Audit more responses, each of a prompt of its own: --pairs, --labelled, "
    "or --run."
)


def check_audit(evidence: Evidence, limit: Thresholds) -> Finding | None:
    """May the reward be trained on, as far as an audit could tell?"""
    audit = evidence.probed.audit
    if audit is None:
        return None
    cell, errors = audit.precision.responses, audit.errors
    (code, severity), prescription = _told(audit)
    other = evidence.probed.paid_by
    return Finding(
        code=code,
        severity="watch" if other and severity == "fix" else severity,
        title=_title(audit),
        evidence=(cell.recall_false, cell.recall_true, cell.precision, errors.shrink, errors.paid_wrong, errors.swapped),
        prescription=(f"It is not what pays here, which is {other}. For a run that it would pay: " if other else "") + prescription,
        rule=audit.trust.rule,
        reference=PRECISION,
    )


def _told(audit: Audit) -> tuple[tuple[str, Severity], str]:
    """(code and severity, prescription)."""
    if audit.trust.too_few:
        return UNTOLD_CODE, UNTOLD
    return (UNREAD_CODE, UNREAD) if audit.trust.unread else (CODES[audit.trust.value], PRESCRIPTIONS[audit.trust.value])


def paid_by_another(audit: Audit, reward: str | None) -> str:
    """What pays in a run, where that is not who was audited; empty where it is.

    Args:
        audit: of somebody.
        reward: of the run, as `--reward` takes it; None is the task's own.
    """
    auditee = {**BEFORE_CHOICES, **audit.source.get("auditee", {})}
    if reward is None:
        return "the task's own reward"
    name, _, options = reward.partition(":")
    if name == JUDGE and "judge" in auditee:
        asked = {**DEFAULTS, **read_options(JUDGE, f"who={options}", DEFAULTS)}
        address = address_of(asked["who"])
        model = asked["model"] if address else asked["who"].partition(":")[2]
        answers = "free" if address else asked["answers"] or LOCAL_OPTIONS["answers"]
        mode, audited = (ALIKE.get(one, one) for one in (asked["mode"], auditee["mode"]))
        same = (address or "local", model, mode, answers) == (auditee["judge"], auditee["named"], audited, auditee["answers"])
    else:
        same = reward == auditee.get("reward")
    return "" if same else reward.partition(",")[0]


def _title(audit: Audit) -> str:
    who, seen = audit.source["who"], percent(audit.precision.responses.recall_false)
    if audit.trust.value == "trust":
        return f"Audited: {who} sees {seen} of the wrong responses, and every bound holds"
    if audit.trust.value == "trust for these types":
        return f"Audited: {who} can be trusted for {len(audit.trust.types)} of {len(audit.types)} types: {_named(audit.trust.types)}"
    if audit.trust.too_few:
        return f"Audited: too few responses to tell whether to train on {who}; of these it sees {seen} of the wrong ones"
    if audit.trust.unread:
        return f"Audited: do not train on {who}; {audit.num_unscored:,} of its {audit.num_verdicts:,} verdicts are missing"
    fooled = ", ".join(cell.name for cell in audit.trust.fooled_by)
    return f"Audited: do not train on {who}; it sees {seen} of the wrong responses" + (f" and is fooled by {fooled}" if fooled else "")


def _named(types: tuple[str, ...]) -> str:
    rest = len(types) - MOST_NAMED
    return ", ".join(types[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
