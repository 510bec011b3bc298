"""Hard and soft apart in an audit, missing verdicts told as what they are, and whose audit lies in a run folder."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from jominy.audited import AUDIT_FILE, Audit, Part, load_audit
from jominy.auditing import audit
from jominy.auditing.pairs import make_pairs
from jominy.auditing.sources import Source
from jominy.auditing.tally import audit_of, combined
from jominy.confusion import constraint_table, response_table
from jominy.diagnosis import diagnose_path
from jominy.measures.precision import ConfusionTable, Counts, measure_confusion, measure_precision
from jominy.measures.trust import decide_trust
from jominy.printing_audit import print_audit
from jominy.reporting import report
from jominy.specs import DiagnosisSpec
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.store import write_json
from tests.test_auditing import TWO, heard, pairs_of, run_of, setting, yes_man

MIXED = "no_commas,question,rendering=mixed"
ROWS = [
    # truth, said (None: unread), type, kind
    (True, True, 0, 0),
    (False, False, 0, 0),
    (False, True, 0, 1),
    (True, True, 0, 1),
    (False, None, 0, 1),
    (False, True, 1, 1),
    (True, False, 1, -1),
]


def table() -> ConfusionTable:
    truth, said, types, kinds = zip(*ROWS, strict=True)
    places = np.arange(len(ROWS))
    return ConfusionTable(
        truth_M=np.array(truth),
        said_M=np.array([one is True for one in said]),
        scored_M=np.array([one is not None for one in said]),
        type_M=np.array(types),
        count_M=np.ones(len(ROWS), dtype=int),
        prompt_M=places,
        response_M=places,
        type_names=("title", "json"),
        kind_M=np.array(kinds),
        kind_names=("hard", "soft"),
    )


def test_each_kind_has_its_own_matrix_by_type():
    found = measure_precision(table())
    assert [(one.kind, one.constraints.num_scored, [cell.name for cell in one.by_type]) for one in found.by_kind] == [
        ("hard", 2, ["title"]),
        ("soft", 3, ["title", "json"]),
    ]
    hard, soft = (next(cell for cell in one.by_type if cell.name == "title") for one in found.by_kind)
    assert (hard.recall_false.value, soft.recall_false.value) == (1.0, 0.0)
    assert (soft.num_unscored, soft.recall_true.value) == (1, 1.0)
    both = next(cell for cell in found.by_type if cell.name == "title")
    assert both.recall_false.value == 0.5, "together they are neither"
    assert table().responses().kind_M is None
    assert measure_precision(replace(table(), kind_M=None)).by_kind == ()
    with pytest.raises(ValueError, match=r"kind_M must lie in -1\.\.1"):
        replace(table(), kind_M=np.full(len(ROWS), 2))
    with pytest.raises(ValueError, match="one length M"):
        replace(table(), kind_M=np.zeros(2, dtype=int))


def test_counts_are_those_of_the_matrix_and_can_be_added_up():
    counts, whole = Counts.of(table()), measure_confusion(table(), "all")
    assert counts == Counts(true_accepts=2, false_accepts=2, false_rejects=1, true_rejects=1, num_unscored=1)
    assert (counts.recall_false, counts.precision) == (whole.recall_false.value, whole.precision.value) == (1 / 3, 1 / 2)
    nothing = Counts(true_accepts=0, false_accepts=0, false_rejects=3, true_rejects=0, num_unscored=0)
    assert (nothing.recall_false, nothing.precision) == (None, None)


def test_kinds_come_from_the_prompts():
    items = make_pairs(0, pairs_per_cell=6, options=MIXED)
    found = constraint_table(items, [list(item.truths) for item in items])
    kinds = [constraint["kind"] for item in items for constraint in item.prompt.info["constraints"]]
    assert found.kind_M is not None
    assert [found.kind_names[place] for place in found.kind_M] == kinds
    assert set(kinds) == {"hard", "soft"}
    whole = response_table(items, [item.truth for item in items])
    assert whole.kind_M is not None
    about = [next(c["kind"] for c in item.prompt.info["constraints"] if c["type"] == item.about) for item in items]
    assert [whole.kind_names[place] for place in whole.kind_M] == about
    several = response_table([replace(item, about="several constraints") for item in items], [True for _ in items])
    assert set(several.kind_M.tolist() if several.kind_M is not None else []) == {-1}


def soft_is_waved_through(options: str = MIXED) -> Audit:
    """Of somebody who sees every violation in hard words and none in soft ones."""
    source = pairs_of(options, pairs=12)
    verdicts = [
        [truth or constraint["kind"] == "soft" for truth, constraint in zip(item.truths, item.prompt.info["constraints"], strict=True)]
        for item in source.items
    ]
    return audit_of(heard(source, verdicts), setting())


def test_terminal_and_page_show_them_apart(tmp_path):
    found = soft_is_waved_through()
    recalls = {one.kind: one.constraints.recall_false.value for one in found.precision.by_kind}
    assert recalls == {"hard": 1.0, "soft": 0.0}
    assert 0 < (found.precision.constraints.recall_false.value or 0.0) < 1
    file = io.StringIO()
    print_audit(found, None, Console(file=file, width=160))
    lines = [line.split() for line in file.getvalue().splitlines()]
    shown = [line[1:3] for line in lines if len(line) > 2 and line[1] in ("hard", "soft")]
    assert len(shown) == 2 + 2 * 2, "of all constraints, and of both types"
    assert "precision, even odds" in file.getvalue()
    base, precision = found.precision.constraints.base_rate.value, found.precision.constraints.precision.value
    assert base is not None
    assert precision is not None
    assert f"At a base rate of {100 * base:.0f} [" in file.getvalue()
    assert f"precision {100 * precision:.0f} [" in file.getvalue()
    write_json(tmp_path / AUDIT_FILE, found.to_json())
    page = report(tmp_path).read_text()
    assert "Precision at even odds, %" in page
    for part in ("constraints, hard", "constraints, soft", "question, in hard words", "question, in soft words"):
        assert part in page
    hard_only = soft_is_waved_through(TWO)
    write_json(tmp_path / AUDIT_FILE, hard_only.to_json())
    assert "words</span>" not in report(tmp_path).read_text()


def test_whole_responses_are_counted_by_the_type_that_they_break():
    """Somebody who waves soft words through sees a wrong response where what it breaks was said in hard ones."""
    source = pairs_of(MIXED, pairs=12)
    found = soft_is_waved_through()
    seen: dict[str, list[bool]] = {}
    for item in source.items:
        for truth, constraint in zip(item.truths, item.prompt.info["constraints"], strict=True):
            if not truth:
                seen.setdefault(item.about, []).append(constraint["kind"] == "hard")
    told = {cell.name: (cell.true_rejects, cell.false_accepts, cell.false_rejects) for cell in found.responses_by_type}
    assert told == {name: (sum(hard), len(hard) - sum(hard), 0) for name, hard in seen.items()}
    assert any(0 < sum(hard) < len(hard) for hard in seen.values())
    cells = {cell.name: cell for cell in found.by_type_and_count}
    counts = {len(item.prompt.info["constraints"]) for item in source.items}
    assert len(cells) == len(seen) * len(counts)
    assert sum(cell.num_scored for cell in cells.values()) == found.precision.constraints.num_scored


def test_the_page_has_both_tables_and_an_older_audit_neither(tmp_path):
    content = soft_is_waved_through().to_json()
    write_json(tmp_path / AUDIT_FILE, content)
    titles = ("Whole responses, by the type that they are about", "By type and number of constraints")
    page = report(tmp_path).read_text()
    assert all(title in page for title in titles)
    del content["responses_by_type"], content["by_type_and_count"]
    write_json(tmp_path / AUDIT_FILE, content)
    page = report(tmp_path).read_text()
    assert not any(title in page for title in titles)


def test_an_audit_from_before_there_were_kinds_is_read_and_shown(tmp_path):
    content = json.loads(json.dumps(soft_is_waved_through().to_json()))
    for precision in (content["precision"], *(part["precision"] for part in content["parts"])):
        del precision["by_kind"]
    for trust in (content["trust"], *(part["trust"] for part in content["parts"])):
        del trust["unread"]
        for cell in (trust["constraints"], trust["responses"], *trust["cells"], *trust["fooled_by"]):
            del cell["unread"]
    write_json(tmp_path / AUDIT_FILE, content)
    found = load_audit(tmp_path)
    assert (found.precision.by_kind, found.trust.unread) == ((), False)
    assert "constraints, soft" not in report(tmp_path).read_text()


def half_unread(source: Source) -> list[list[bool | None]]:
    """The truth, of every second response nothing."""
    return [list(item.truths) if place % 2 else [None] * len(item.truths) for place, item in enumerate(source.items)]


def test_missing_verdicts_are_told_as_that(tmp_path):
    source = pairs_of(pairs=12)
    found = audit_of(heard(source, half_unread(source)), setting())
    assert (found.trust.value, found.trust.unread, found.trust.too_few) == ("do not train on it", True, False)
    write_json(tmp_path / AUDIT_FILE, found.to_json())
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"prompt": p, "reward": p % 2}) + "\n" for p in range(4) for _ in range(4)))
    finding = next(one for one in diagnose_path(log, DiagnosisSpec(), audit=tmp_path).findings if one.code.startswith("reward-"))
    assert (finding.code, finding.severity) == ("reward-unread", "fix")
    assert finding.title.endswith(f"{found.num_unscored} of its {found.num_verdicts} verdicts are missing")
    assert "wrongly accepts" not in finding.prescription
    assert "answers=choice" in finding.prescription
    assert (
        f"{found.num_unscored} of its {found.num_verdicts} verdicts are missing, so the rest decides nothing"
        in report(tmp_path).read_text()
    )
    # who errs surely and is read is told as before
    blind = audit_of(heard(source, [[True] * len(item.truths) for item in source.items]), setting())
    assert (blind.trust.value, blind.trust.unread) == ("do not train on it", False)


def test_own_responses_that_are_not_read_take_back_the_trust_for_that(tmp_path):
    source = pairs_of(pairs=20)

    def part(name, verdicts):
        precision = measure_precision(constraint_table(source.items, verdicts))
        return Part(name=name, what="", num_responses=1, num_unknown=0, precision=precision, trust=decide_trust(precision))

    good = part("pairs", [item.truths for item in source.items])
    taken = combined(good.trust, [good, part("run", half_unread(source))])
    assert (taken.value, taken.unread) == ("do not train on it", True)
    assert "have no verdict" in taken.rule


def test_a_run_that_a_local_judge_pays_knows_the_audit_of_it_again(tmp_path):
    run = run_of(tmp_path / "run", "no_commas,title,count=1,rendering=soft")
    content = json.loads((run / "run.json").read_text())
    content["spec"]["reward"] = "judge:local:scripted"
    write_json(run / "run.json", content)
    truth = TruthSpec(pairs=0, run=run)
    for name, other in (("local:scripted", ""), ("local:another", "judge:local:scripted")):
        found = audit(AuditSpec(judge=name, truth=truth), run / "audit", load_engine=yes_man, overwrite=True, quiet=True)
        assert found.source["auditee"]["model"] != name.partition(":")[2], "with what it was made of"
        finding = next(one for one in diagnose_path(run, DiagnosisSpec()).findings if one.code == "reward-distrusted")
        assert finding.severity == ("watch" if other else "fix")
        assert finding.prescription.startswith(f"It is not what pays here, which is {other}" if other else "RL will find")
