"""From findings to the one-line answer: stop, fix first or go."""

from __future__ import annotations

from typing import Literal

from jominy.evidence import Evidence, percent
from jominy.records import Finding, Severity
from jominy.results import Verdict


def decide(findings: tuple[Finding, ...], evidence: Evidence) -> Verdict:
    """The verdict: `stop` when a finding says stop, else `fix first` when one says fix, else `go`; never `go` without a gradient share."""
    answers: dict[Severity, Literal["stop", "fix first"]] = {"stop": "stop", "fix": "fix first"}
    for severity, value in answers.items():
        if deciding := [finding for finding in findings if finding.severity == severity]:
            rule = "; ".join(f"{finding.code}: {finding.rule}" for finding in deciding)
            return Verdict(value=value, rule=rule, headline=deciding[0].title + ".")
    share = evidence.liveness.gradient
    if share.value is None:
        return Verdict(
            value="fix first", rule="the gradient share is undefined", headline=f"Nothing can be said about signal: {share.why_none}."
        )
    reach = f"pass@1 is {percent(evidence.pass_rate)}, {evidence.alignment.name} is {percent(evidence.alignment)}"
    good = "; ".join(f"{finding.code}: {finding.rule}" for finding in findings if finding.code in ("live", "live-unsure"))
    return Verdict(
        value="go",
        rule=f"no finding says stop or fix; {good}",
        headline=f"RL has something to work with: {percent(share)} of the groups would carry a gradient, "
        + ("what counts as right is not known." if evidence.off_the_line else f"{reach}."),
    )
