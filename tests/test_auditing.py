"""The verb `audit`: planted error rates are recovered, nothing is asked twice, and what is broken is said or counted."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jominy import auditing
from jominy.audited import Audit, Part, load_audit
from jominy.auditing import audit
from jominy.auditing.asking import Auditee
from jominy.auditing.pairs import make_pairs, make_probes
from jominy.auditing.sources import PROBE_SEED, Source
from jominy.auditing.tally import Heard, Setting, audit_of, combined
from jominy.cli import EXIT_USER_ERROR, main
from jominy.confusion import constraint_table
from jominy.diagnosis import diagnose_path
from jominy.measures.precision import measure_precision
from jominy.measures.trust import decide_trust, trust_thresholds
from jominy.records import Rollout
from jominy.reporting import report
from jominy.rewards.judged import Judged
from jominy.rewards.noise import read_audit
from jominy.sampling import sample
from jominy.specs import DiagnosisSpec, SampleSpec
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.store import RunFolder
from jominy.tasks.constraints import make
from jominy.trusting import paid_by_another
from jominy.verbs.words import EXIT_VERDICT
from tests.scripted import ScriptedEngine
from tests.test_judge import said, served
from tests.test_judged import asked_in

SECRET = "sk-do-not-show-me"
GRADE = "jominy.rewards.constraints:grade"
TWO = "no_commas,title"
NUM_WORLDS = 150


def judged(*verdicts):
    return tuple(Judged(verdict=verdict) for verdict in verdicts)


def pairs_of(options=TWO, pairs=6):
    return Source(name="pairs", what=options, items=make_pairs(0, pairs_per_cell=pairs, options=options))


def setting(**changes):
    usual = Setting(
        source={"who": "somebody", "repeats": 1},
        pass_rates_P=np.array([0.5]),
        pass_rates_are="a pass rate",
        group_size=2,
        thresholds=trust_thresholds(),
        spent=None,
        seed=0,
        notes=(),
    )
    return replace(usual, **changes)


def heard(source, truths):
    """What somebody is heard to say who says these things."""
    return Heard(level="constraint", sources=(source,), said=([[judged(*one) for one in truths]],))


def coin(*words):
    return int(hashlib.sha256("|".join(words).encode()).hexdigest()[:8], 16) / 16**8


def planted(false_accept, false_reject, options, seed=0, **more):
    """A server that knows the truth of every question of the audit, and errs at these rates by (response, constraint)."""
    items = make_pairs(seed, pairs_per_cell=more.pop("pairs", 6), options=options)
    items += make_probes(make(options).prompts(more.pop("probes", 12), seed + PROBE_SEED))
    items += more.pop("items", [])
    truths = {
        (item.text.rstrip("\n"), constraint["text"]): truth
        for item in items
        for constraint, truth in zip(item.prompt.info["constraints"], item.truths, strict=True)
    }

    def answer(body):
        response, constraints = asked_in(body)
        verdicts = []
        for text in constraints:
            right = truths[response.rstrip("\n"), text]
            u = coin(response, text)
            verdicts.append(u >= false_reject if right else u < false_accept)
        words = ["yes" if verdict else "no" for verdict in verdicts]
        text = words[0] if len(words) == 1 else "\n".join(f"{place}: {word}" for place, word in enumerate(words, start=1))
        return 200, {**said(text), "usage": {"prompt_tokens": 100, "completion_tokens": len(words)}}, {}

    return answer


def covers(measure, value):
    return measure.low is not None and measure.low <= value <= measure.high


def test_planted_rates_lie_within_the_intervals_of_many_audits():
    false_accept, false_reject = 0.35, 0.1
    source = pairs_of()
    # As many prompts with one constraint as with two, since two types allow no more: a violated response of two is accepted where the
    # violated constraint is and the other one is not refused, .35 * .9; a satisfied one where both are accepted, .9 ** 2.
    wrong, right = false_accept * (1 + 0.9) / 2, (0.9 + 0.9**2) / 2
    planned = {
        "recall_false": 1 - false_accept,
        "by type": 1 - false_accept,
        "false_reject": false_reject,
        "responses": 1 - wrong,
        "shrink": right - wrong,
    }
    hits = dict.fromkeys(planned, 0)

    def flipped(truth, u):
        return bool(u >= false_reject if truth else u < false_accept)

    for world in range(NUM_WORLDS):
        rng = np.random.default_rng(world)
        verdicts = [[flipped(truth, rng.random()) for truth in item.truths] for item in source.items]
        found = audit_of(heard(source, verdicts), setting())
        measures = {
            "recall_false": found.precision.constraints.recall_false,
            "by type": next(cell.recall_false for cell in found.precision.by_type if cell.name == "title"),
            "false_reject": found.precision.constraints.false_reject,
            "responses": found.precision.responses.recall_false,
            "shrink": found.errors.shrink,
        }
        for name, measure in measures.items():
            hits[name] += covers(measure, planned[name])
    # 150 worlds at 95 % have a standard error of 1.8 points.
    assert all(count >= 0.91 * NUM_WORLDS for count in hits.values()), hits


def test_a_judge_that_never_answered_does_not_keep_its_folder(tmp_path, capsys):
    out = tmp_path / "audit"
    with served(lambda body: (401, {"error": "no"}, {})) as (url, _):
        assert main(["audit", "--judge", f"{url},model=a", "--pairs", "1", "--constraints", TWO, "--out", str(out)]) == EXIT_USER_ERROR
    assert not (out / "audit.json").exists()
    with served(planted(0.0, 0.0, TWO, pairs=1)) as (url, _):
        assert main(["audit", "--judge", f"{url},model=b", "--pairs", "1", "--constraints", TWO, "--out", str(out), "--json"]) == 0
    found = Audit.from_json(json.loads(capsys.readouterr().out))
    assert found.source["auditee"]["model"] == "b"


def test_a_planted_judge_is_found_out_through_the_verb_and_asked_nothing_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MY_KEY", SECRET)
    options, out = "no_commas,title,exclamation,question", tmp_path / "audit"
    with served(planted(0.6, 0.1, options, pairs=8)) as (url, seen):
        command = ["audit", "--judge", f"{url},model=planted,key=MY_KEY", "--constraints", options, "--pairs", "8", "--out", str(out)]
        assert main([*command, "--json", "--fail-on", "types"]) == EXIT_VERDICT
        printed = capsys.readouterr()
        num_asked = len(seen)
        assert {one["key"] for one in seen} == {f"Bearer {SECRET}"}
        assert main([*command, "--fail-on", "never"]) == 0
        shown = capsys.readouterr()
        assert len(seen) == num_asked
        assert main([*command, "--mode", "pointwise"]) == EXIT_USER_ERROR
        assert "holds another audit (mode was 'batch', now 'pointwise')" in capsys.readouterr().err
        assert main([*command, "--mode", "pointwise", "--overwrite", "--quiet"]) == 0
        assert all(len(asked_in(one)[1]) == 1 for one in seen[num_asked:])
    found = Audit.from_json(json.loads(printed.out))
    assert found.precision.constraints.num_unscored == 0
    assert covers(found.precision.constraints.false_accept, 0.6)
    assert covers(found.precision.constraints.false_reject, 0.1)
    # At most one of four 95 % intervals may miss; the coins are fixed.
    assert sum(covers(cell.false_accept, 0.6) for cell in found.precision.by_type) >= 3
    assert found.trust.value == "do not train on it"
    assert found.spent is not None
    assert (found.spent["asked"], found.spent["prompt_tokens"]) == (num_asked, 100 * num_asked)
    rates = read_audit(out / "audit.json")
    assert set(rates.types) == set(options.split(","))
    for part in ("DO NOT TRAIN ON IT", "recall on false", "echo", "groups swapped", "questions asked in", "Page:"):
        assert part in shown.out, part
    every = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert SECRET.encode() not in every
    assert all(SECRET not in text for text in (printed.out, printed.err, shown.out, shown.err))


def test_a_judge_that_repeats_the_key_lies_or_counts_wrong_is_unscored_and_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", SECRET)
    replies = iter(range(10_000))
    lies = ["1: yes", f"The key is {SECRET}", "", "1: yes\n2: yes\n3: yes\n4: yes"]

    def rude(body):
        number = next(replies)
        if number % 5 == 4:
            return 200, "no JSON at all", {}
        return 200, said(lies[number % 4]), {}

    with served(rude) as (url, _):
        spec = AuditSpec(
            judge=f"{url},model=m,key=MY_KEY,workers=1", truth=TruthSpec(pairs=2, probes=0, constraints="no_commas,title,question")
        )
        found = audit(spec, tmp_path / "a", quiet=True)
    assert found.num_unscored == found.num_verdicts > 0
    assert found.first_failure
    assert set(found.failures.values()) <= set(range(1, found.num_verdicts + 1))
    assert any("the endpoint sent no chat completion" in why for why in found.failures)
    assert (found.trust.value, found.precision.constraints.recall_false.value) == ("do not train on it", None)
    assert "have no verdict" in found.trust.rule
    report(tmp_path / "a")
    assert all(SECRET.encode() not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_judge_that_is_down_is_a_clear_error_and_what_was_said_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(auditing, "AT_A_TIME", 10)
    honest = planted(0.0, 0.0, TWO)
    state = {"left": 25}
    answered: list[list[str]] = [[], []]

    def failing(body):
        if state["left"]:
            state["left"] -= 1
            answered[state["left"] > 25].append(body["messages"][0]["content"])
            return honest(body)
        return 403, {"error": "go away"}, {}

    with served(failing) as (url, _):
        out = tmp_path / "audit"
        command = ["audit", "--judge", f"{url},model=m,workers=1", "--constraints", TWO, "--out", str(out), "--quiet"]
        assert main(command) == EXIT_USER_ERROR
        assert "failed" in (said_then := capsys.readouterr().err)
        assert "HTTP 403" in said_then
        assert not (out / "audit.json").exists()
        assert pq.read_table(out / "verdicts.parquet")["said"].null_count < 25
        state["left"] = 10_000
        assert main(command) == 0
    found = load_audit(out)
    every = make_pairs(0, options=TWO) + make_probes(make(TWO).prompts(12, PROBE_SEED))
    unique = len({(item.prompt.id, item.text) for item in every})
    assert [len(answered[0]), len({*answered[0], *answered[1]})] == [25, unique]
    # the worker may still be asking when the first audit ends; that question is then answered twice, and no other
    assert not set(answered[0]) & set(answered[1])
    assert (found.num_unscored, found.precision.constraints.recall_false.value) == (0, 1.0)
    assert found.trust.value == "trust"
    assert found.spent is not None
    assert found.spent["failed"] > 0


class Interrupted:
    """An auditee that is always right, and stopped in its third round."""

    def __init__(self, stop_after):
        self.rounds, self.stop_after, self.asked = 0, stop_after, []

    @contextmanager
    def opened(self, spec, out, load):
        yield Auditee(who="x", identity={"x": 1}, level="constraint", ask=self.ask, num_questions=len, spent=lambda: None)

    def ask(self, items, repeat, on_reply):
        if self.rounds == self.stop_after:
            raise KeyboardInterrupt
        self.rounds += 1
        self.asked += [(item.prompt.id, item.text, repeat) for item in items]
        on_reply(len(items))
        return [judged(*item.truths) for item in items]


def test_an_interrupted_audit_goes_on_and_a_larger_one_asks_what_is_new(tmp_path, monkeypatch):
    monkeypatch.setattr(auditing, "AT_A_TIME", 7)
    spec = AuditSpec(judge="local:nobody", truth=TruthSpec(pairs=2, constraints=TWO), repeats=2)
    whole, cut, rest, more = Interrupted(None), Interrupted(3), Interrupted(None), Interrupted(None)
    monkeypatch.setattr(auditing, "opened", whole.opened)
    expected = audit(spec, tmp_path / "whole", quiet=True)
    monkeypatch.setattr(auditing, "opened", cut.opened)
    with pytest.raises(KeyboardInterrupt):
        audit(spec, tmp_path / "a", quiet=True)
    monkeypatch.setattr(auditing, "opened", rest.opened)
    found = audit(spec, tmp_path / "a", quiet=True)
    assert len(cut.asked) == 21
    assert sorted(cut.asked + rest.asked) == sorted(whole.asked)
    assert replace(found, source={}) == replace(expected, source={})
    assert found.agreement is not None
    assert found.agreement.unanimous.value == 1.0
    monkeypatch.setattr(auditing, "opened", more.opened)
    larger = replace(spec, truth=replace(spec.truth, pairs=3))
    audit(larger, tmp_path / "a", quiet=True)
    assert not set(more.asked) & set(whole.asked)
    assert more.asked


def test_a_reward_is_audited_as_it_pays_and_chance_shows_in_repeats(tmp_path):
    truth = TruthSpec(pairs=20, probes=0, constraints=TWO)
    right = audit(AuditSpec(reward=GRADE, truth=truth, repeats=2), tmp_path / "right", quiet=True)
    assert (right.level, right.trust.value, right.errors.shrink.value) == ("response", "trust", 1.0)
    assert right.agreement is not None
    assert right.agreement.unanimous.value == 1.0
    noisy = "noisy:false_accept=0.5,false_reject=0.2"
    found = audit(AuditSpec(reward=noisy, truth=truth, repeats=3), tmp_path / "noisy", quiet=True)
    assert covers(found.precision.responses.false_accept, 0.5)
    assert covers(found.precision.responses.false_reject, 0.2)
    assert found.agreement is not None
    # Two verdicts on a wrong response agree with chance .5, three with .25; on a right one three with .8 ** 3 + .2 ** 3 = .52.
    assert covers(found.agreement.unanimous, (0.25 + 0.52) / 2)
    assert read_audit(tmp_path / "noisy" / "audit.json").types["title"].false_accept == found.types["title"].false_accept


def run_of(folder, options=f"{TWO},count=1"):
    spec = SampleSpec(task=f"constraints:{options}", model="scripted", prompts=40, rollouts=4)
    return sample(spec, folder, load_engine=lambda model, device: ScriptedEngine(), quiet=True).path


def test_own_responses_are_judged_blind_and_a_diagnosis_finds_the_audit(tmp_path, capsys):
    run = run_of(tmp_path / "run")
    assert main(["audit", "--reward", "noisy:false_accept=0.9", "--run", str(run), "--quiet"]) == 0
    assert "DO NOT TRAIN ON IT" in capsys.readouterr().out
    found = load_audit(run)
    assert (run / "audit" / "report.html").is_file()
    # Half of the scripted responses are right: 40 prompts x 4.
    assert (found.num_responses, found.precision.responses.base_rate.value) == (160, 0.5)
    assert found.errors_at.startswith("the pass rates of 40 prompts in")
    assert found.errors.pass_rate == 0.5
    assert [part.name for part in found.parts] == ["run"], "pairs only where nothing else is given"

    def finding_of(path, **named):
        return next(one for one in diagnose_path(path, DiagnosisSpec(), **named).findings if one.code == "reward-distrusted")

    finding = finding_of(run, audit=run)
    assert (finding.severity, finding.prescription.startswith("RL will find")) == ("fix", True)
    assert "noisy:false_accept=0.9" in finding.title
    assert finding.evidence[0] == found.precision.responses.recall_false
    other = finding_of(run)  # nobody said that this reward will pay, and it does not
    assert (other.severity, other.title) == ("watch", finding.title)
    assert other.prescription.startswith("It is not what pays here, which is the task's own reward. For a run that it would pay: RL will")
    elsewhere = tmp_path / "good"
    audit(AuditSpec(reward=GRADE, truth=TruthSpec(constraints=TWO)), elsewhere, quiet=True)
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"prompt": p, "reward": p % 2}) + "\n" for p in range(4) for _ in range(4)))
    codes = {one.code for one in diagnose_path(log, DiagnosisSpec(), audit=elsewhere).findings}
    assert "reward-trusted" in codes
    assert not any(one.code.startswith("reward-") for one in diagnose_path(log, DiagnosisSpec()).findings)
    assert main(["diagnose", str(log), "--audit", str(tmp_path)]) == EXIT_USER_ERROR
    assert "holds no audit.json; `jominy audit` writes one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reward", "other"),
    [
        ("judge:local:small", ""),
        ("judge:local:small,aggregate=mean", ""),
        ("judge:local:small,mode=numbered", ""),
        ("judge:local:small,mode=pointwise", "judge:local:small"),
        ("judge:local:small,answers=free", "judge:local:small"),
        ("judge:local:large", "judge:local:large"),
        ("judge:http://localhost:1/v1,model=small", "judge:http://localhost:1/v1"),
        ("noisy:false_accept=0.1", "noisy:false_accept=0.1"),
        (None, "the task's own reward"),
    ],
)
def test_a_judge_is_known_again_in_the_reward_of_a_run(reward, other):
    items = pairs_of(pairs=1)
    auditee = {"judge": "local", "named": "small", "answers": "choice", "mode": "batch"}
    found = audit_of(heard(items, [item.truths for item in items.items]), setting(source={"who": "x", "auditee": auditee}))
    assert paid_by_another(found, reward) == other
    own = replace(found, source={"who": "x", "auditee": {"reward": "noisy:false_accept=0.1"}})
    assert (paid_by_another(own, "noisy:false_accept=0.1"), bool(paid_by_another(own, "judge:local:small"))) == ("", True)


@pytest.mark.parametrize(
    ("auditee", "reward", "other"),
    [
        ({"judge": "http://h/v1", "mode": "numbered"}, "judge:http://h/v1,model=small", ""),
        ({"judge": "local", "mode": "batch"}, "judge:local:small,answers=free", ""),
        ({"judge": "local", "mode": "batch"}, "judge:local:small", "judge:local:small"),
    ],
)
def test_a_judge_that_an_earlier_version_audited_answered_freely(auditee, reward, other):
    items = pairs_of(pairs=1)
    source = {"who": "x", "auditee": {"named": "small", **auditee}}
    found = audit_of(heard(items, [item.truths for item in items.items]), setting(source=source))
    assert paid_by_another(found, reward) == other


def test_a_local_judge_is_known_again_as_an_audit_writes_it_down(tmp_path):
    found = audit(AuditSpec(judge="local:scripted", truth=TruthSpec(pairs=1, probes=0)), tmp_path, load_engine=yes_man, quiet=True)
    assert found.source["auditee"]["model"] != "scripted", "with what it was made of"
    assert paid_by_another(found, "judge:local:scripted") == ""
    assert paid_by_another(found, "judge:local:another") == "judge:local:another"


def test_soft_constraints_without_truth_are_judged_and_counted(tmp_path):
    run = run_of(tmp_path / "run")
    folder = RunFolder(run)
    prompts = folder.read_prompts()
    style = {"type": "style", "params": {}, "text": "Be warm.", "kind": "soft", "truth": False}
    folder.write_prompts([replace(prompt, info={**prompt.info, "constraints": [*prompt.info["constraints"], style]}) for prompt in prompts])
    found = audit(AuditSpec(judge="local:scripted", truth=TruthSpec(pairs=0, run=run)), tmp_path / "a", load_engine=yes_man, quiet=True)
    assert found.parts[0].num_unknown == 160
    assert set(found.types) == set(TWO.split(","))
    assert found.precision.constraints.num_scored == 160
    assert found.types["title"].false_accept == 1.0
    assert any("160 constraints have no truth" in note for note in found.notes)


class YesMan(ScriptedEngine):
    """Says yes to everything."""

    def _rollout(self, prompt, index, sampling, seed) -> Rollout:
        rollout = super()._rollout(prompt, index, sampling, seed)
        asked = prompt.messages[0].content.count(" CONSTRAINT ")
        return replace(rollout, text="yes" if asked < 2 else "\n".join(f"{number}: yes" for number in range(1, asked + 1)))

    def logprobs(self, rows):
        return [np.array([-9.0 if chr(token) in "nN" else -0.5 for token in row.completion_ids]) for row in rows]


def yes_man(model, device):
    return YesMan()


def test_a_source_that_is_surely_bad_takes_back_the_trust():
    items = pairs_of(pairs=20).items
    truths = [item.truths for item in items]
    blind = [[truth or c["type"] == "title" for c, truth in zip(i.prompt.info["constraints"], i.truths, strict=True)] for i in items]

    def part(name, verdicts):
        precision = measure_precision(constraint_table(items, verdicts))
        return Part(name=name, what="", num_responses=len(items), num_unknown=0, precision=precision, trust=decide_trust(precision))

    good, bad = part("pairs", truths), part("run", blind)
    assert good.trust.value == "trust"
    assert combined(good.trust, [good, good]) is good.trust
    taken = combined(good.trust, [good, bad])
    assert (taken.value, taken.types) == ("trust for these types", ("no_commas",))
    assert "run, title: recall on false is 0%" in taken.rule
    assert combined(good.trust, [bad]) is good.trust


def test_own_responses_have_the_last_word():
    items = pairs_of(pairs=20).items

    def part(name, chosen, verdicts):
        precision = measure_precision(constraint_table(chosen, verdicts))
        return Part(name=name, what="", num_responses=len(chosen), num_unknown=0, precision=precision, trust=decide_trust(precision))

    def blinded(seen_of_ten, kind):
        """Sees so many of ten violations of a type, and all of the other."""
        verdicts, number = [], 0
        for item in few:
            number += item.kind == "violated" and item.about == kind
            missed = item.about == kind and number % 10 >= seen_of_ten
            types = [constraint["type"] for constraint in item.prompt.info["constraints"]]
            verdicts.append([truth or (name == kind and missed) for name, truth in zip(types, item.truths, strict=True)])
        return verdicts

    few = [item for item in items if len(item.truths) == 1]
    made = part("pairs", items, [item.truths for item in items])
    own = part("run", few, blinded(6, "title"))
    # 12 of 20 are seen, 60 % [39 %, 78 %]: not surely below 75 %, and of the pairs all are seen
    assert (made.trust.value, next(cell.standing for cell in own.trust.cells if cell.name == "title")) == ("trust", "unsure")
    for name, expected in (("run", ("no_commas",)), ("labelled", ("no_commas",))):
        taken = combined(made.trust, [made, replace(own, name=name)])
        assert (taken.value, taken.types, taken.too_few) == ("trust for these types", expected, False)
        assert f"{name}, title: recall on false is 60%" in taken.rule
    # the same said of pairs by an audit with good own ones takes nothing back: it is not surely bad
    assert combined(made.trust, [replace(own, name="pairs"), replace(made, name="run")]) is made.trust
    # whole responses that own ones leave unsure are not trusted, whatever the pairs say; a type of which they say little stays
    scarce = part("run", few[:8], [item.truths for item in few[:8]])
    assert combined(made.trust, [made, scarce]).value == "trust for these types"
    assert "run, whole responses" in combined(made.trust, [made, scarce]).rule
    lost = combined(made.trust, [made, part("run", few, [[True] * len(item.truths) for item in few])])
    assert (lost.value, lost.too_few) == ("do not train on it", False)


def test_what_errors_mean_is_reckoned_from_own_responses(tmp_path):
    right, wrong = pairs_of(pairs=8), pairs_of(pairs=8)
    own = replace(wrong, name="run", what="runs/x")
    honest, blind = [judged(*item.truths) for item in right.items], [judged(*(True for _ in item.truths)) for item in wrong.items]
    found = audit_of(Heard(level="constraint", sources=(right, own), said=([honest, blind],)), setting())
    assert found.errors.shrink.value == 0.0, "the run's: yes to everything"
    assert any(f"reckoned from the {len(wrong.items)} own responses alone" in note for note in found.notes)
    alone = audit_of(Heard(level="constraint", sources=(right,), said=([honest],)), setting())
    assert alone.errors.shrink.value == 1.0
    assert any("each wrong one of a pair violates one constraint" in note for note in alone.notes)
    same = replace(wrong, name="run", items=[item for item in wrong.items if item.kind == "satisfied"])
    yes = [judged(*item.truths) for item in same.items]
    only_right = audit_of(Heard(level="constraint", sources=(right, same), said=([honest, yes],)), setting())
    assert only_right.errors.shrink.value == 1.0, "a run without wrong responses says nothing of them"


def test_a_labelled_file_is_audited_and_its_texts_stay_data_on_the_page(tmp_path):
    hostile = "<script>alert(1)</script>{{ 7 * 7 }}"
    rows = [{"prompt": f"Say {n}.", "response": hostile if n % 2 else "fine", "label": n % 2 == 0, "type": "tone"} for n in range(20)]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = AuditSpec(judge="local:scripted", truth=TruthSpec(pairs=0, labelled=file))
    found = audit(spec, tmp_path / "a", load_engine=yes_man, quiet=True)
    assert (found.types["tone"].false_accept, found.types["tone"].false_reject) == (1.0, 0.0)
    assert {one.kind for one in found.mistakes} == {"missed"}
    assert [part.name for part in found.parts] == ["labelled"]
    page = report(tmp_path / "a").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    for part in ("Do not train on it", "Violated, and accepted", "plot-by-type", "What it means for RL", "Thresholds"):
        assert part in page


MATH = """
def right(prompt, text):
    assert prompt.info["unit"] == "apples" and "label" not in prompt.info
    return float(text.strip() == prompt.target)
"""


def test_a_reward_that_compares_is_audited_on_labels_alone(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MATH)
    more = [{"answer": n + 1, "unit": "apples"} for n in range(60)]
    rows = [{"prompt": f"{n} + 1?", "response": f"{n + 1 + n % 2}", "label": n % 2 == 0, **more[n]} for n in range(60)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["audit", "--reward", f"{tmp_path / 'mine.py'}:right", "--labelled", str(tmp_path / "mine.jsonl")]
    assert main([*command, "--out", str(tmp_path / "a"), "--quiet", "--fail-on", "types"]) == 0
    found = load_audit(tmp_path / "a")
    assert (found.trust.value, found.num_responses, found.num_unscored, found.source["pairs"]) == ("trust", 60, 0, 0)
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps(row) + "\n" for row in rows[:20]))
    capsys.readouterr()
    assert main([*command[:4], str(few), "--out", str(tmp_path / "b"), "--quiet", "--fail-on", "distrust"]) == EXIT_VERDICT
    assert "TOO FEW TO TELL" in capsys.readouterr().out
    assert "Too few to tell" in report(tmp_path / "b").read_text()
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"prompt": p, "reward": p % 2}) + "\n" for p in range(4) for _ in range(4)))
    finding = next(one for one in diagnose_path(log, DiagnosisSpec(), audit=tmp_path / "b").findings if one.code.startswith("reward-"))
    assert (finding.code, finding.severity) == ("reward-untold", "watch")
    assert "too few responses to tell" in finding.title


def test_what_is_written_is_read_back_and_a_broken_file_is_named(tmp_path):
    found = audit_of(heard(pairs_of(pairs=1), [item.truths for item in pairs_of(pairs=1).items]), setting())
    assert Audit.from_json(json.loads(json.dumps(found.to_json()))) == found
    for change, message in (({"precision": None}, "audit.precision is no object"), ({"parts": 3}, "audit.parts is no list")):
        (tmp_path / "audit.json").write_text(json.dumps({**found.to_json(), **change}))
        with pytest.raises(ValueError, match=message):
            load_audit(tmp_path)
        with pytest.raises(ValueError, match="audit"):
            report(tmp_path)
    less = found.to_json()
    del less["trust"]["rule"]
    (tmp_path / "audit.json").write_text(json.dumps(less))
    with pytest.raises(ValueError, match=r"audit\.trust lacks a field .*rule"):
        load_audit(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name who is audited"),
        (["--judge", "local:x", "--reward", "random"], "name who is audited"),
        (["--judge", "http://localhost:1/v1"], "names no model"),
        (["--judge", "local:x", "--pairs", "0"], "nothing whose truth is known"),
        (["--judge", "local:x", "--repeats", "0"], "--repeats must be at least 1"),
        (["--judge", "local:x", "--group-size", "1"], "--group-size must be at least 2"),
        (["--judge", "local:x", "--thresholds", "nope=1"], "no threshold 'nope' of an audit"),
        (["--reward", "judge:local:x", "--repeats", "2"], "remembers its replies"),
        (["--reward", "majority"], "use it on a task with answers"),
        (["--reward", "nosuch"], "no reward 'nosuch'"),
        (["--reward", GRADE, "--constraints", "nosuch"], "nosuch"),
        (["--reward", GRADE, "--constraints", "count=2"], "leave count= out"),
        (["--reward", GRADE, "--labelled", "{folder}/bad.jsonl"], "has no column 'label'; its columns are prompt, response"),
        (["--reward", GRADE, "--run", "{folder}"], "is no run folder"),
        (["--reward", GRADE, "--run", "{folder}/sums"], "carry no constraints one by one"),
        (["--reward", GRADE, "--pass-rates", "{folder}/nowhere"], "nowhere"),
        (["--reward", GRADE, "--out", "{folder}/sums"], "holds a run; an audit has a folder of its own"),
    ],
)
def test_mistakes_are_said(tmp_path, capsys, words, message):
    (tmp_path / "bad.jsonl").write_text(json.dumps({"prompt": "a", "response": "b"}) + "\n")
    spec = SampleSpec(task="arithmetic", model="scripted", prompts=2, rollouts=2)
    sample(spec, tmp_path / "sums", load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    words = [word.replace("{folder}", str(tmp_path)) for word in words]
    out = [] if "--out" in words else ["--out", str(tmp_path / "a")]
    assert main(["audit", *words, *out, "--quiet"]) == EXIT_USER_ERROR
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a" / "audit.json").exists()


def test_the_folder_of_a_run_is_the_default_place():
    from jominy.verbs.audit import default_folder

    assert default_folder(AuditSpec(reward=GRADE, truth=TruthSpec(run=Path("runs/x")))) == Path("runs/x/audit")
    long = f"http://localhost:8000/v1,model={'m' * 60}"
    folders = {default_folder(AuditSpec(judge=judge, mode=mode)) for judge in (long, long + "x") for mode in ("batch", "pointwise")}
    assert len(folders) == 4
    assert all(len(folder.name) < 80 for folder in folders)
