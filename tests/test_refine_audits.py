"""What `refine` makes of the audit of somebody useless, unread, or asked in other words than those that are paid."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from jominy.audited import AUDIT_FILE, Audit
from jominy.auditing.tally import audit_of
from jominy.printing_refine import print_refined
from jominy.refined import Refined
from jominy.refining import refine
from jominy.refining.simplifying import CUT, CUT_UNAUDITED
from jominy.refining.standings import asked_otherwise, standings, trust_by_type
from jominy.reporting import report
from jominy.sampling import sample
from jominy.specs import SampleSpec
from jominy.store import write_json
from tests.scripted import ScriptedEngine
from tests.test_auditing import heard, pairs_of, setting
from tests.test_refine_verb import spec_of

TYPES = "no_commas,no_digits,question,highlight"
TASK = f"constraints:{TYPES},rendering=soft"
Says = Callable[[bool, str, str, int], bool | None]
"""(truth, type, kind, number of the response) -> verdict."""


def audit_at(folder: Path, says: Says, rendering: str = "soft") -> tuple[Path, Audit]:
    """The folder of an audit of somebody who says this."""
    source = pairs_of(f"{TYPES},rendering={rendering}", pairs=8)
    verdicts = [
        [
            says(bool(truth), constraint["type"], constraint["kind"], number)
            for truth, constraint in zip(item.truths, item.prompt.info["constraints"], strict=True)
        ]
        for number, item in enumerate(source.items)
    ]
    found = audit_of(heard(source, verdicts), setting(source={"who": "judge local:somebody", "repeats": 1}))
    folder.mkdir()
    write_json(folder / AUDIT_FILE, found.to_json())
    return folder, found


def shown(refined: Refined) -> str:
    file = io.StringIO()
    print_refined(refined, None, Console(file=file, width=220))
    return file.getvalue()


def test_who_says_no_to_everything_is_not_taken_for_perfect(tmp_path):
    said_yes: list[str] = []

    def refuses(truth: bool, type: str, kind: str, number: int) -> bool:
        """No, but for one right yes a type, which makes its precision 1."""
        if truth and type not in said_yes:
            said_yes.append(type)
            return True
        return False

    folder, audit = audit_at(tmp_path / "audit", refuses)
    assert audit.trust.value == "do not train on it"
    found = refine(spec_of(TASK, pilot="none", audit=folder, min_recall_false=0.9, min_precision=0.9), tmp_path / "out", quiet=True)
    assert {row.recall_false for row in found.standings} == {1.0} == {row.precision for row in found.standings}
    assert all((row.recall_true or 0.0) < 0.2 for row in found.standings)
    assert {row.no_trust_for.partition(":")[0] for row in found.standings} == {"hardly ever accepted"}
    assert trust_by_type(found.standings) == {}
    assert found.audit_says == "do not train on it"
    (note,) = [note for note in found.notes if "says" in note]
    assert note.startswith("the audit of judge local:somebody says: do not train on it. ")
    assert "The audit says: do not train on it" in shown(found)
    page = report(tmp_path / "out").read_text()
    assert "Of all together: <b>do not train on it</b>" in page
    assert "hardly ever accepted: recall on true" in page
    trusted = refine(spec_of(TASK, pilot="none", audit=folder, keep_soft="trusted"), tmp_path / "trusted", quiet=True)
    assert set(trusted.steps[2].reasons) == {CUT_UNAUDITED}, "none is preferred"


def test_a_type_that_is_hardly_read_stays_and_is_not_preferred(tmp_path):
    def says(truth: bool, type: str, kind: str, number: int) -> bool | None:
        """Yes to two types, of which one is unread half of the time; right about the others."""
        if type == "highlight" and number % 4 < 2:
            return None
        return True if type in ("highlight", "question") else truth

    folder, _ = audit_at(tmp_path / "audit", says)
    found = refine(spec_of(TASK, pilot="none", audit=folder, min_recall_false=0.5), tmp_path / "out", quiet=True)
    standing = {row.type: row for row in found.standings}
    assert standing["highlight"].recall_false == standing["question"].recall_false == 0.0
    assert (bool(standing["question"].removed_for), standing["highlight"].removed_for) == (True, "")
    unread, items = standing["highlight"].num_unread, standing["highlight"].num_items
    assert 0.3 < unread / items < 0.7
    assert standing["highlight"].no_trust_for == f"cannot tell: kept, {unread} of {items} unread"
    trust = trust_by_type(found.standings)
    assert (set(trust), trust["question"]) == ({"no_commas", "no_digits", "question"}, 0.0)
    kept = {row.type: row.kept for row in found.types}
    assert (kept["question"], kept["highlight"] > 0) == (0, True)
    assert f"{unread} of {items}" in shown(found)
    # the bound is the audit's own: one that allows it can tell
    lax = refine(spec_of(TASK, pilot="none", audit=allowing(folder, unscored=1.0), min_recall_false=0.5), tmp_path / "lax", quiet=True)
    assert {row.type for row in lax.standings if row.removed_for} == {"highlight", "question"}


def test_a_type_that_no_missing_verdict_could_lift_goes(tmp_path):
    """An eighth of its verdicts is missing, and of the others it sees no violation: at best a fifth or so."""

    def says(truth: bool, type: str, kind: str, number: int) -> bool | None:
        if type in ("highlight", "question"):
            return None if number % 8 < (1 if type == "highlight" else 6) else True
        return truth

    folder, _ = audit_at(tmp_path / "audit", says)
    found = refine(spec_of(TASK, pilot="none", audit=folder, min_recall_false=0.5), tmp_path / "out", quiet=True)
    standing = {row.type: row for row in found.standings}
    few, many = standing["highlight"], standing["question"]
    assert 0.1 < few.num_unread / few.num_items < 0.2
    assert many.num_unread / many.num_items > 0.6
    assert few.recall_false == many.recall_false == 0.0
    # nothing is said to be violated, so the violated are the false accepts; all that is unread might be, and be seen
    audited = json.loads((folder / AUDIT_FILE).read_text())["precision"]["by_type"]
    violated = next(cell["false_accepts"] for cell in audited if cell["name"] == "highlight")
    best = few.num_unread / (violated + few.num_unread)
    assert few.removed_for == f"recall on false 0.00 < 0.5 (with the unread, {best:.2f} at best)"
    assert few.no_trust_for == f"cannot tell: {few.num_unread} of {few.num_items} unread"
    assert (many.removed_for, many.no_trust_for) == ("", f"cannot tell: kept, {many.num_unread} of {many.num_items} unread")
    precise = refine(spec_of(TASK, pilot="none", audit=folder, min_precision=0.8), tmp_path / "precise", quiet=True)
    by_precision = {row.type: row for row in precise.standings}
    # at best all satisfied pass, and of the violated 1 - best: 1 / (1 + 1 - best)
    said = f"precision at even odds 0.50 < 0.8 (with the unread, {1 / (2 - best):.2f} at best)"
    assert (by_precision["highlight"].removed_for, by_precision["question"].removed_for) == (said, "")


def allowing(folder: Path, **bounds: float) -> Path:
    """The same audit with other bounds."""
    content = json.loads((folder / AUDIT_FILE).read_text())
    content["thresholds"] = [{**one, "value": bounds.get(one["name"], one["value"])} for one in content["thresholds"]]
    other = folder.with_name("allowing")
    other.mkdir()
    write_json(other / AUDIT_FILE, content)
    return other


def waves_soft_through(truth: bool, type: str, kind: str, number: int) -> bool:
    """Sees every violation in hard words, and in soft ones those of a highlight alone."""
    return truth or (kind == "soft" and type != "highlight")


def test_the_words_that_are_paid_decide(tmp_path):
    folder, audit = audit_at(tmp_path / "audit", waves_soft_through, "mixed")
    together = {cell.name: cell.recall_false.value or 0.0 for cell in audit.precision.by_type}
    assert all(0.2 < together[name] < 0.9 for name in ("no_commas", "question")), "together they would pass a bound of 0.2"
    found = refine(spec_of(TASK, pilot="none", audit=folder, min_recall_false=0.2), tmp_path / "out", quiet=True)
    assert [row.type for row in found.standings if not row.removed_for] == ["highlight"]
    assert {row.asked_as for row in found.standings} == {"soft"}
    assert not any("words of" in note for note in found.notes)
    hard = {name: {"hard"} for name in TYPES.split(",")}
    assert {row.recall_false for row in standings(audit, hard, None, 0.2)} == {1.0}
    both = {name: {"hard", "soft"} for name in TYPES.split(",")}
    assert {row.type: row.recall_false for row in standings(audit, both, None, None)} == together
    assert {row.asked_as for row in standings(audit, both, None, None)} == {"both"}


def test_an_audit_in_hard_words_is_used_and_said_to_be_that(tmp_path):
    folder, audit = audit_at(tmp_path / "audit", waves_soft_through, "hard")
    found = refine(spec_of(TASK, pilot="none", audit=folder, min_recall_false=0.5), tmp_path / "out", quiet=True)
    assert {row.asked_as for row in found.standings} == {"hard"}
    assert {row.recall_false for row in found.standings} == {1.0}
    (note,) = [note for note in found.notes if "words of" in note]
    assert note.startswith("the audit asked in hard words of highlight, no_commas,")
    assert "--constraints rendering=soft" in note
    assert "asked in hard words" in report(tmp_path / "out").read_text()
    assert asked_otherwise(found.standings, {name: {"hard"} for name in TYPES.split(",")}) == {}
    unknown = replace(audit, precision=replace(audit.precision, by_kind=()))
    assert {row.asked_as for row in standings(unknown, {"highlight": {"soft"}}, None, None)} == {""}


def test_a_page_of_a_set_from_before_is_still_drawn(tmp_path):
    folder, _ = audit_at(tmp_path / "audit", waves_soft_through)
    refine(spec_of(TASK, pilot="none", audit=folder), tmp_path / "out", quiet=True)
    content = json.loads((tmp_path / "out" / "refined.json").read_text())
    del content["audit_says"]
    for row in content["standings"]:
        for name in ("recall_true", "num_items", "num_unread", "asked_as", "no_trust_for"):
            del row[name]
    write_json(tmp_path / "out" / "refined.json", content)
    page = report(tmp_path / "out").read_text()
    assert "What the audit says of the types" in page
    assert "Of all together" not in page


@pytest.mark.parametrize(("reward", "never_right"), [("noisy:false_accept=1", 12), (None, None)])
def test_what_learnability_would_drop_if_the_truth_paid(tmp_path, reward, never_right):
    """Nobody is ever right: a reward that takes everything keeps all prompts, the truth would drop all."""

    class Wrong(ScriptedEngine):
        def _rollout(self, prompt, index, sampling, seed):
            return replace(super()._rollout(prompt, 1, sampling, seed), index=index)

    drawn = SampleSpec(task=TASK, prompts=12, rollouts=2, reward=reward, seed=7)
    sample(drawn, tmp_path / "pilot", load_engine=lambda model, device: Wrong(), quiet=True)
    spec = spec_of(TASK, pilot=str(tmp_path / "pilot"), prompts=12)
    if reward is None:
        with pytest.raises(ValueError, match="nothing is left of 12 prompts: learnability: never rewarded 12"):
            refine(spec, tmp_path / "out", quiet=True)
        return
    found = refine(replace(spec, drawing=replace(spec.drawing, reward=reward)), tmp_path / "out", quiet=True)
    assert found.pilot is not None
    assert (found.pilot.num_never, found.pilot.num_never_right) == (0, never_right)
    assert any("12 never right by gold" in note for note in found.notes)
    assert found.steps[2].reasons.get(CUT, 0) > 0, "prompts with more than one soft constraint are among them"
    assert "0 prompts; 12 never right by gold" in report(tmp_path / "out").read_text()
