"""The study of precision: planted gains, errors and looks come out as verdicts, and its own arithmetic agrees with hands."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.auditing import audit
from jominy.conclusion import Claim, Entry
from jominy.engines.local import LocalEngine
from jominy.measures.attention import SpanMass, beyond_control
from jominy.records import Measure
from jominy.rewards.spurious import load_group_reward
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.store import read_json
from jominy.studies import precision, running
from jominy.studies.concluding import conclude
from jominy.studies.jobs import Bench
from jominy.studies.precision import (
    attending,
    claims,
    costs,
    design,
    grid,
    judging,
    knowing,
    looking,
    measuring,
    paper,
    refinement,
    told,
    witnesses,
)
from jominy.studies.precision.attending import CONSTRAINT, IRRELEVANT_ONE, NEUTRAL, with_controls
from jominy.studies.precision.columns import columns_of, table_of_columns, told_in
from jominy.studies.precision.design import (
    CONDITIONS,
    CUED,
    HARD_BLIND,
    HARD_CODE,
    JUDGE_ALL,
    LAB_GROUPS,
    REFINED,
    TRUE,
)
from jominy.studies.reading import read_runs
from jominy.studies.running import StudyFailed, study
from jominy.tasks.loading import load_task
from tests import tiny
from tests.precision_results import CONTRARY, Planted, planted
from tests.scripted import ScriptedEngine
from tests.test_judge import said, served
from tests.test_judged import asked_in

FOLLOWING = ("follows", "transfers", "to-soft")
LEADING = ("hard-over-soft", "hard-over-mix", "precision-on-hard", "precision-on-soft", "wording", "blind-types")


def verdicts(results: dict[str, Any]) -> dict[str, Claim]:
    return {claim.code: claim for claim in claims.claims(read_runs(results))}


def test_what_is_planted_as_claimed_agrees(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path))
    assert {code: claim.verdict for code, claim in found.items()} == dict.fromkeys(found, "agrees")
    assert set(paper.PRIMARY) <= set(found)
    # two lab cells, thirteen arms, four seeds
    assert found["iid-shrinks"].ran.startswith("104 runs in 2 cells")
    # 4 seeds, 2 cells, 3 rates
    assert "by a cue 24 of 24; without 0 of 24" in found["systematic-hacked"].found
    assert "9 were never right in it" in found["refined-better"].ran
    assert "100 soft and 40 hard before, 60 soft and 38 hard after" in found["refined-better"].ran
    # seed s: 200 (1 + s / 100) + 26 + 48 + 40 s of a judge against 60 (1 + s / 100) + 60 s; at s = 1.5 317 and 120.9, so 61.9 % less;
    # the pilot: 20 + 12 + 16 + 16 = 64 s, which makes it 41.7 %, and pays for itself in 64 / 196.1 runs
    assert "Reduction without the pilot 61.9 %" in found["refined-faster"].found
    assert "with the pilot 41.7 %" in found["refined-faster"].found
    assert "The pilot takes 64 s, measured once, and pays for itself in 0.3 runs" in found["refined-faster"].found
    assert "4 of 4 seeds with something to reach" in found["refined-to-score"].found


def test_the_contrary_disagrees(tmp_path: Path) -> None:
    how = Planted(further=CONTRARY, cue_cost=-0.2, reject_lead=-0.2, held=("holds", "holds"), seconds=(60.0, 300.0), look=-0.4, hidden=0.0)
    how = replace(how, cue_end=0.1)
    found = verdicts(planted(tmp_path, replace(how, misses=0.2, sees=0.0, refuses=0.5, harder=False)))
    expected: tuple[str, ...] = (*LEADING, *FOLLOWING, "systematic-hacked", "systematic-loses-more", "accepts-or-rejects")
    expected += ("judge-misses", "pointwise-sees-more", "refined-better", "refined-faster", "refined-to-score", "attends-more")
    assert {code: found[code].verdict for code in expected} == dict.fromkeys(expected, "disagrees")
    assert found["hiding-hurts"].verdict == found["more-is-harder"].verdict == "cannot tell"


def test_runs_that_did_not_move_disagree_with_no_lead(tmp_path: Path) -> None:
    """One response of 576 moves in each run, another in each: intervals are narrow, and there was no training to compare."""
    results = planted(tmp_path)
    starts = {cell["name"]: cell["base"]["more"] for cell in results["cells"]}
    places = np.random.default_rng(0)
    for run in results["runs"]:
        for what in ("further", "unasked"):
            run["more"][what] = {name: list(right) for name, right in starts[run["cell"]].get(what, {}).items()}
        for right in list(run["more"]["further"].values())[:1]:
            right[places.integers(36)] += 1
    found = verdicts(results)
    assert {found[code].verdict for code in (*LEADING, "refined-better")} == {"cannot tell"}
    # a gain that is surely none is none
    assert {found[code].verdict for code in ("follows", "to-soft")} == {"disagrees"}


def test_a_lead_that_is_surely_small_is_still_one() -> None:
    small = Measure(name="lead", value=0.006, low=-0.004, high=0.016)
    assert told.verdict_of(small, 4) == "disagrees"
    assert told.verdict_of(small, 4, moved=False) == told.verdict_of(small, 4, none_below=0.0) == "cannot tell"
    assert told.verdict_of(small, 2) == "cannot tell"


def test_a_cue_that_is_learned_where_the_truth_rises_too_is_no_contradiction(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path, Planted(held=("holds", "holds"))))["systematic-hacked"]
    assert found.verdict == "cannot tell"
    # 0.5 + 0.01 x seed - 0.1, mean of seeds 0 to 3
    assert "share of the responses rises by +41.5 points" in found.found
    for seeds, verdict in ((2, "cannot tell"), (3, "agrees")):
        results = planted(tmp_path)
        results["runs"] = [run for run in results["runs"] if run["seed"] < seeds]
        assert verdicts(results)["systematic-hacked"].verdict == verdict


def test_what_is_better_elsewhere_and_worse_on_its_own_is_not_better(tmp_path: Path) -> None:
    results = planted(tmp_path)
    for run in results["runs"]:
        if run["arm"] == REFINED:
            run["after"] = [0] * len(run["after"])
    found = verdicts(results)["refined-better"]
    assert found.verdict == "cannot tell"
    assert "Refined leads by +" in found.found


def test_runs_that_are_alike_and_level_off_come_to_a_score_at_one_time(tmp_path: Path) -> None:
    """Half of the steps are for nothing in both; were one charged for them and the other not, a quarter of such studies would agree."""
    results, rng, verdict = planted(tmp_path), np.random.default_rng(0), list[str]()
    pair = [run for run in results["runs"] if run["arm"] in (design.FULL_MIX, REFINED)]
    for run in pair:
        run["more"]["spent"] = {"seconds": {"sampling": 100.0 + run["seed"], "grading": 0.0, "update": 0.0}, "asked": {"1": 640}}
    for _ in range(60):
        for run in pair:
            ways = zip((0, 7, 14, 20), (0.2, 0.5, 0.5, 0.5), strict=True)
            run["more"]["evaluations"] = [{"step": step, "right": rng.binomial(8, rate, size=24).tolist()} for step, rate in ways]
        verdict.append(refinement.refined_to_score(read_runs(results)).verdict)
    assert verdict.count("agrees") <= 4


def test_a_run_that_exploded_is_named_where_it_is_missing(tmp_path: Path) -> None:
    results = planted(tmp_path)
    gone = next(run for run in results["runs"] if (run["arm"], run["seed"]) == (design.JUDGE_BLIND, 3))
    gone |= {"status": "exploded", "why": "step 12: the loss is NaN", "after": None, "more": None}
    found = verdicts(results)
    assert found["blind-types"].ran.startswith(f"3 seeds of {design.HARD_JUDGE} and {design.HARD_BLIND}; left out, as it exploded: ")
    assert f"exploded: {design.HARD_BLIND} with seed 3; 4 further tasks" in found["blind-types"].ran
    assert [code for code, claim in found.items() if "exploded" in claim.ran] == ["blind-types"]


def test_a_style_that_is_used_on_everything_follows_nothing(tmp_path: Path) -> None:
    """The bare requests gain as much: what benchmarks count rises as before, and nothing is followed."""
    found = verdicts(planted(tmp_path, Planted(anyway=1.0)))
    assert {found[code].verdict for code in LEADING} == {"agrees"}
    assert "agrees" not in {found[code].verdict for code in FOLLOWING}
    # from 1 of 4 responses to 70 %: 45 points; 36 prompts x 4 responses x 2 tasks x 5 seeds: an error of a point or two
    assert any(f"satisfied prompts +{value}" in found["transfers"].found for value in range(42, 49))
    assert any(f"what is followed {sign}{value}." in found["transfers"].found for value in range(4) for sign in "+−")


def test_attention_that_any_training_moves_is_no_skill(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path, Planted(look_anyway=0.4)))["attends-more"]
    assert found.verdict == "cannot tell"
    assert verdicts(planted(tmp_path, Planted(look_anyway=0.8)))["attends-more"].verdict == "disagrees"
    assert "The causal check (`hiding-hurts`, over all further tasks) agrees: what training added" in found.found
    blind = verdicts(planted(tmp_path, Planted(hidden=0.0)))["attends-more"]
    assert "The causal check (`hiding-hurts`, over all further tasks) cannot tell" in blind.found


def test_without_prices_nothing_is_said_of_time(tmp_path: Path) -> None:
    results = planted(tmp_path)
    judges_of(results)["prices"] = {}
    found = verdicts(results)
    assert {found[code].verdict for code in ("refined-faster", "refined-to-score")} <= {"cannot tell", "disagrees"}
    assert found["refined-faster"].verdict == "cannot tell"
    assert "not measured" in found["refined-faster"].ran


@pytest.mark.parametrize(("swings", "verdict"), [(False, "agrees"), (True, "cannot tell")])
def test_prices_that_swing_leave_open_who_is_faster(tmp_path: Path, swings: bool, verdict: str) -> None:
    """Runs of 10 s beside a judge, 600 questions each: those about several cost twice as much, or more and less by turns."""
    results = planted(tmp_path, Planted(seconds=(10.0, 10.0)))
    one, more = ([0.1, 0.9, 0.1, 0.9, 0.1], [0.9, 0.1, 0.9, 0.1, 0.9]) if swings else ([0.1] * 5, [0.2] * 5)
    judges_of(results)["prices"] = {"1": one, "2": more, "3": more}
    assert verdicts(results)["refined-faster"].verdict == verdict


def test_gains_that_do_not_follow_the_factor_are_told(tmp_path: Path) -> None:
    results = planted(tmp_path)
    for run in results["runs"]:
        if run["arm"].startswith("accept"):
            twin = next(one for one in results["runs"] if (one["cell"], one["arm"], one["seed"]) == (run["cell"], TRUE, run["seed"]))
            run["after"] = twin["after"]
    found = verdicts(results)
    assert found["iid-factor"].verdict == "disagrees"
    # as large as the true reward's: not shrunk, and no harm
    assert found["iid-shrinks"].verdict == "cannot tell"


JUDGE_CLAIMS = ("judge-misses", "pointwise-sees-more", "more-is-harder")


@pytest.mark.parametrize("said", [0, 1])
def test_a_judge_that_always_says_the_same_is_not_judged_by_it(tmp_path: Path, said: int) -> None:
    results = planted(tmp_path)
    for one in told_of(results):
        one["sources"]["pairs"] |= {"said": [said] * 960, "odds": [(-1.0, 1.0)[said]] * 960}
    found = verdicts(results)
    assert {found[code].verdict for code in JUDGE_CLAIMS} == {"cannot tell"}
    assert ("as it stands recall on false 100.0 %" in found["judge-misses"].found) == (said == 0)
    # 240 pairs, each a tie
    assert "SmolLM2 tells 50.0 %" in found["judge-misses"].found


def judges_of(results: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(cell for cell in results["cells"] if cell["group"] == "judges")["base"]["more"]["judges"]
    return found


def told_of(results: dict[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = judges_of(results)["told"]
    return told


def test_odds_that_see_no_more_at_the_bound_than_a_coin_miss_nothing_by_it(tmp_path: Path) -> None:
    """Odds go by the prompt, and within each the violated is a hair below: all pairs are told apart, and a bound sees 3 % of anything."""
    results = planted(tmp_path)
    for one in told_of(results):
        pairs = one["sources"]["pairs"]
        if one["answers"] == "choice":
            ways = zip(pairs["prompt"], pairs["truth"], strict=True)
            pairs["odds"] = [prompt * 37 % 240 / 24 - (0.0 if truth else 0.001) for prompt, truth in ways]
    found = verdicts(results)["judge-misses"]
    assert found.verdict == "cannot tell"
    assert "SmolLM2 tells 100.0 %" in found.found
    assert "(a coin that passes as many: 3 %)" in found.found
    seen = float(found.found.partition("at the bound recall on false ")[2].split()[0])
    assert seen < 8


def test_free_answers_that_lean_to_no_do_not_disagree(tmp_path: Path) -> None:
    """It accepts a tenth of what is satisfied and nothing that is violated: all violations are seen, as by who always says no."""
    results = planted(tmp_path)
    pairs = told_of(results)[0]["sources"]["pairs"]
    sources = {}
    for name, one_in in (("no", 10), ("mostly_yes", 1)):
        said = [int(truth == 1 and prompt % one_in == 0) for truth, prompt in zip(pairs["truth"], pairs["prompt"], strict=True)]
        sources[name] = {**pairs, "said": said, "odds": [None] * len(said)}
    results["cells"] = [{**cell, "base": None} for cell in results["cells"]]
    found = {}
    for name, columns in sources.items():
        one = {"judge": name, "mode": "batch", "answers": "free", "folder": name, "notes": {}, "sources": {"pairs": columns}}
        found[name] = verdicts({**results, "more": {"audits": [one]}})["judge-misses"]
    # 24 of 240 pairs are won and the others ties
    assert "no tells 55.0 %" in found["no"].found
    assert "recall on false 100.0 %" in found["no"].found
    assert {name: claim.verdict for name, claim in found.items()} == {"no": "cannot tell", "mostly_yes": "disagrees"}


def test_a_judge_that_leans_to_no_is_judged_by_what_it_knows(tmp_path: Path) -> None:
    """All is said to be violated, 3 nats below: a recall on false of 1 that says nothing, and pairs told apart as before."""
    plain, leaning = (verdicts(planted(tmp_path, Planted(lean=lean))) for lean in (0.0, 3.0))
    assert {leaning[code].verdict for code in JUDGE_CLAIMS} == {plain[code].verdict for code in JUDGE_CLAIMS} == {"agrees"}
    assert "as it stands recall on false 100.0 %" in leaning["judge-misses"].found
    # of 240 violations 180 x 20 % are below the bound, and none of those among three
    for found in (plain, leaning):
        assert "at the bound recall on false 15.0 %" in found["judge-misses"].found
        # two constraints: 24 of 120 pairs told apart, the others ties
        assert "1: 60.0 %" in found["more-is-harder"].found


def test_a_way_of_asking_that_brings_out_more_noes_tells_no_more(tmp_path: Path) -> None:
    """One at a time it refuses half of all prompts, whatever is true: recall on false rises by as much as recall on true falls."""
    found = verdicts(planted(tmp_path, Planted(misses=1.0, sees=0.0, refuses=0.5, harder=False)))["pointwise-sees-more"]
    assert found.verdict == "cannot tell"
    assert "pointwise: recall on false 50.0 %" in found.found
    assert "one call: recall on false 0.0 %" in found.found


def test_another_judge_is_a_further_witness(tmp_path: Path) -> None:
    """One who sees everything disagrees; beside one who agrees that is no verdict, and a folder that cannot be used says why."""
    results = planted(tmp_path)
    pairs = told_of(results)[0]["sources"]["pairs"]
    seer = {"judge": "seer", "mode": "batch", "answers": "free", "folder": "seer", "notes": {}}
    sees = {**pairs, "said": pairs["truth"], "odds": [None] * 960}
    other = {"folder": "old", "why": "it holds verdicts on whole responses"}
    again = {**seer, "mode": "numbered", "folder": "seer-2", "sources": {"pairs": pairs}}
    results["more"] = {"audits": [other, {**seer, "sources": {"pairs": sees}}, again]}
    found = verdicts(results)
    assert found["judge-misses"].verdict == "cannot tell"
    assert "seer tells 100.0 %" in found["judge-misses"].found
    assert "seer" not in found["pointwise-sees-more"].found, "it was asked in one way"
    # a single constraint in another form stays out: 2 minus 3
    assert "seer, share of pairs by number of constraints in a question 2: 100.0 %" in found["more-is-harder"].found
    alone = {**results, "cells": [{**cell, "base": None} for cell in results["cells"]]}
    assert verdicts(alone)["judge-misses"].verdict == "disagrees"
    text = {section.code: section for section in conclude(results).sections}["judge"]
    assert "`audits/old` is no further judge: it holds verdicts on whole responses." in text.text
    assert "`audits/seer-2` asks as `audits/seer` does, so it decides no claim." in text.text
    assert [table.caption for table in text.tables[1:]] == ["SmolLM2 by constraint type, pairs", "seer by constraint type, pairs"]
    # the type, and two recalls in each of three ways, and of two
    assert [len(table.header) for table in text.tables[1:]] == [7, 5]
    rows = [row[0].text for row in text.tables[0].rows]
    assert {"seer, one call: pairs", "SmolLM2, one call, in its own words: pairs"} <= set(rows)
    assert "SmolLM2, pointwise, chosen: pairs, at recall on true 97 %" in rows
    assert "seer, one call: probes" not in rows


class Yes(ScriptedEngine):
    """Says yes, and is asked about its odds."""

    def logprobs(self, rows: Any) -> Any:
        return [np.array([-2.0 if chr(token) in "nN" else 0.0 for token in row.completion_ids]) for row in rows]


def test_audits_in_the_folder_are_read_and_remembered(tmp_path: Path) -> None:
    truth = TruthSpec(pairs=2, probes=1, constraints="no_commas,question,rendering=mixed")
    out = tmp_path / "audits"
    judge = AuditSpec(judge="local:someone", mode="numbered", truth=truth)
    audit(judge, out / "yes", load_engine=lambda model, device: Yes(), quiet=True)
    audit(AuditSpec(reward="random", truth=truth), out / "reward", quiet=True)
    audit(AuditSpec(reward="random", truth=truth), tmp_path / "elsewhere", quiet=True)
    found = witnesses.more_of_folder(tmp_path, {})
    by_name = {one["folder"]: one for one in found["audits"]}
    assert by_name.keys() == {"yes", "reward"}
    assert "audit of a reward; audit a judge" in by_name["reward"]["why"]
    pairs = by_name["yes"]["sources"]["pairs"]
    assert (by_name["yes"]["judge"], by_name["yes"]["mode"], by_name["yes"]["answers"]) == ("someone", "numbered", "choice")
    assert set(pairs["said"]) == {1}
    assert pairs["odds"] == pytest.approx([2.0] * len(pairs["said"]))
    assert set(pairs["soft"]) == {0, 1}
    # half of the responses violate one constraint each
    assert pairs["truth"].count(0) == len(set(pairs["response"])) // 2 == len(pairs["ids"])
    assert len(by_name["yes"]["sources"]["probe"]["said"]) > 0
    content = read_json(out / "yes" / "audit.json")
    named = content["source"]["auditee"]
    del named["answers"]
    (out / "yes" / "audit.json").write_text(json.dumps(content).replace('"local"', '"http://node7:8000/v1"'))
    before = witnesses.more_of_folder(tmp_path, {})["audits"][1]
    assert (before["judge"], before["answers"]) == ("someone", "free"), "as an earlier version wrote it"
    assert "node7" not in json.dumps(before)
    del named["mode"]
    (out / "yes" / "audit.json").write_text(json.dumps(content))
    unsaid = witnesses.more_of_folder(tmp_path, {})["audits"][1]
    assert unsaid == {"folder": "yes", "why": "yes/audit.json does not say mode of its judge; audit once more, --overwrite"}
    shutil.rmtree(out)
    assert witnesses.more_of_folder(tmp_path, found) == found, "results without their folder keep what they had"
    assert witnesses.more_of_folder(tmp_path, {}) == {}
    with pytest.raises(ValueError, match="verdicts on whole responses"):
        told_in(tmp_path / "elsewhere")


def test_two_seeds_are_too_few(tmp_path: Path) -> None:
    results = planted(tmp_path)
    results["runs"] = [run for run in results["runs"] if run["seed"] < 2]
    found = verdicts(results)
    judged_codes = ("judge-misses", "pointwise-sees-more", "more-is-harder", "systematic-hacked")
    assert {claim.verdict for code, claim in found.items() if code not in judged_codes} == {"cannot tell"}


def bare(entry: Entry) -> str:
    """Its text without intervals."""
    return re.sub(r" \[[^]]*\]", "", entry.text)


def test_any_moment_of_a_study_can_be_concluded(tmp_path: Path) -> None:
    whole = planted(tmp_path)
    moments = [conclude({**whole, "runs": whole["runs"][:number]}) for number in (0, 30, len(whole["runs"]))]
    codes = [[claim.code for claim in moment.claims] for moment in moments]
    assert all(some == codes[0] for some in codes)
    assert len(set(codes[0])) == len(codes[0])
    nothing = conclude({**whole, "runs": [], "cells": [{**cell, "base": None} for cell in whole["cells"]]})
    assert {claim.verdict for claim in nothing.claims} == {"cannot tell"}
    tables = {section.code: section.tables for section in moments[-1].sections}
    grid = {row[0].text: row for row in tables["grid"][0].rows}
    # by hand: 10 of 98 wrong were paid in the first step, 50 of 196 in both
    assert [bare(entry) for entry in grid["false accepts 0.3"][4:6]] == ["10.2 / 0.0", "25.5 / 0.0"]
    # two intervals each; 40 of 392 by Wilson: 7.6 to 13.6 %
    assert all(entry.text.count("[") == 2 for entry in grid["false accepts 0.3"][4:6])
    assert grid["false accepts 0.3"][4].text.split()[:3] == ["10.2", "[7.6,", "13.6]"]
    assert grid["code pays"][-1].text == "0 of 4"
    # 1 - .79 - .03
    assert grid["the paper's judge: false accepts 0.79, false rejects 0.03"][1].text == "18.0"
    *types, paid = [table for table in tables["further"] if table.folded]
    by_condition = {row[0].text: row for row in paid.rows}
    # the rule of hacking is planted to hold wherever no cue decides; rises are of 30 points and of none
    assert [bare(entry) for entry in by_condition[HARD_BLIND][1:]] == ["10.2 / 0.0", "25.5 / 0.0", "+30.0", "0.0", "0 of 4"]
    # two further tasks that are said hard, of six and of four types; once satisfied, once followed
    assert [len(table.rows) for table in types] == [10, 10]
    assert types[0].rows[0][0].text == "seen, hard: under_15_words"
    assert bare(types[0].rows[0][1]) == "25.0 / 25.0"
    assert bare(grid["false accepts by the text, a cue of sums first, 0.5"][6]) == "10.0 to 51.5"
    assert grid["false accepts by the text, a cue of sums first, 0.5"][-1].text == "4 of 4"


def test_tests_of_one_policy_are_no_seeds_of_their_own(tmp_path: Path) -> None:
    """Each seed gains alike on all further tasks: four tasks then know the mean of the seeds no better than one."""
    results = planted(tmp_path)
    for run in results["runs"]:
        if run["cell"] == "smollm2, hard":
            run["more"]["further"] = {name: [1 + (run["seed"] > 1)] * 36 for name in run["more"]["further"]}
    runs = read_runs(results)
    view, tests = told.on_further(runs), told.tests_of(runs)
    (one, seeds), (four, _) = (told.lead_on(view, {HARD_CODE: 1.0}, of) for of in (tests[:1], tests))
    # before: round(4 * 0.3) = 1 of 4 responses; after: 1 and 2, so gains are 0, 0, 1/4, 1/4
    assert one.value == pytest.approx(0.125)
    assert four.value == pytest.approx(0.125)
    assert seeds == 4
    assert four.low == pytest.approx(one.low)
    assert four.low is not None
    # Student over seeds: sd = 0.1443, error 0.0722, t_3 = 3.18
    assert four.low == pytest.approx(0.125 - 3.18 * 0.0722, abs=0.08)
    by_type = told.lead_on(view, {HARD_CODE: 1.0}, tests[:1], type="question")[0]
    assert by_type.value == pytest.approx(0.125)
    assert by_type.num_prompts == 6


def rows_by_hand(said: list[bool | None], odds: list[float | None]) -> dict[str, Any]:
    """Two constraints in the prompts 0 and 1, one in 2; each broken once, the soft one of prompt 1."""
    what = [*((item // 2, item, name) for item in range(4) for name in "ab"), (2, 4, "a"), (2, 5, "a")]
    broken = {(1, "a"), (3, "b"), (5, "a")}
    return columns_of(
        [
            {
                "prompt_id": f"p{prompt}",
                "item": item,
                "type": type,
                "truth": (item, type) not in broken,
                "said": one,
                "log_odds": rated,
                "count": 1 if prompt == 2 else 2,
                "constraint_kind": "soft" if type == "b" else "hard",
            }
            for (prompt, item, type), one, rated in zip(what, said, odds, strict=True)
        ]
    )


def test_pairs_by_hand() -> None:
    yes: list[bool | None] = [True] * 10
    # the broken ones: item 1 a at -1 against 0.5; item 3 b at 3 against 2; item 5 a at 1 against 1
    chosen = rows_by_hand(yes, [0.5, 9, -1, 9, 9, 2, 9, 3, 1, 1])
    wins = knowing.wins_of(chosen)
    assert (wins.ids, wins.win_P.tolist()) == (("p0", "p1", "p2"), [1.0, 0.0, 0.5])
    assert (wins.count_P.tolist(), wins.soft_P.tolist(), wins.num_left_out) == ([2, 2, 1], [False, True, False], 0)
    # free: said 0 against 1, unread, 1 against 1
    free = rows_by_hand([True, True, False, True, True, None, True, True, True, True], [None] * 10)
    words = knowing.wins_of(free)
    assert (words.ids, words.win_P.tolist(), words.num_left_out) == (("p0", "p2"), [1.0, 0.5], 1)
    lead = knowing.paired_lead(wins, words)
    assert (lead.value, lead.num_prompts, lead.num_left_out) == (0.0, 2, 1)
    several = wins.where(wins.count_P > 1)
    assert knowing.paired_lead(several, words).value == 0.0
    # 1/2 with one constraint, 1/2 with two
    assert knowing.fall_between(wins, 1, 2).value == 0.0
    assert knowing.fall_between(wins, 1, 3).value is None
    assert knowing.bounded(free) is None
    table = table_of_columns(chosen)
    assert table.kind_names == ("hard", "soft")
    assert table.kind_M is not None
    assert table.kind_M.tolist() == [0, 1] * 4 + [0, 0]


def test_the_bound_of_a_fold_comes_from_the_others() -> None:
    """Satisfied odds rise by prompt: prompt p has p. Each fold's bound is the third lowest of the 32 others, at nine tenths of them."""
    num = 40
    rows = [
        {
            "prompt_id": str(prompt),
            "item": 2 * prompt + wrong,
            "type": "a",
            "truth": not wrong,
            "said": True,
            "log_odds": float(prompt - 100 * wrong),
            "count": 1,
            "constraint_kind": "hard",
        }
        for prompt in range(num)
        for wrong in (0, 1)
    ]
    table = knowing.bounded(columns_of(rows), recall_true=0.9)
    assert table is not None
    said = dict(zip(zip(table.prompt_M.tolist(), table.truth_M.tolist(), strict=True), table.said_M.tolist(), strict=True))
    for prompt in range(num):
        others = [other for other in range(num) if other % knowing.FOLDS != prompt % knowing.FOLDS]
        # ceil(.9 * 32) = 29 of 32 pass, so 3 do not
        assert said[prompt, True] == (prompt >= others[3])
        assert not said[prompt, False]
    assert knowing.bounded(columns_of(rows[:8]), recall_true=0.9) is None


def test_the_share_of_pairs_covers_what_a_judge_knows() -> None:
    """Odds of the satisfied and the violated one are normal, a nat apart with spread 1 each: P(higher) = Phi(1 / sqrt 2) = 0.760."""
    rng, truth, covered = np.random.default_rng(5), 0.7602, 0
    for _ in range(300):
        win_P = (rng.normal(1, 1, 80) > rng.normal(0, 1, 80)).astype(np.float64)
        count_P, soft_P = np.ones(80, dtype=np.int64), np.zeros(80, dtype=bool)
        found = knowing.Wins(ids=tuple(map(str, range(80))), win_P=win_P, count_P=count_P, soft_P=soft_P, num_left_out=0).share()
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    # 95 % of 300 with a standard error of 1.3 points
    assert covered / 300 > 0.91


def test_time_to_a_score_by_hand() -> None:
    """Whole ends at 3 of 4 a prompt; the other one passes 3 midway from step 8 (2) to step 16 (4)."""
    whole = [{"step": 0, "right": [1, 1]}, {"step": 16, "right": [2, 4]}]
    left = [{"step": 0, "right": [1, 1]}, {"step": 8, "right": [2, 2]}, {"step": 16, "right": [4, 4]}]
    assert refinement.part_to_score(whole, left) == pytest.approx(12 / 16)
    assert refinement.part_to_score(left, whole) is None
    assert refinement.rose(whole)
    assert not refinement.rose([whole[1], whole[0]])
    spent = {"seconds": {"sampling": 2.0, "update": 3.0}, "asked": {"0": 7, "1": 10, "3": 2}}
    # 5 + 10 x .5 + 2 x 2, and 5 + 10 x .6 + 2 x 3
    rounds = {"1": np.array([0.5, 0.6]), "3": np.array([2.0, 3.0])}
    whole_cost = costs.cost_of(spent, rounds)
    assert whole_cost is not None
    assert whole_cost.tolist() == [14.0, 17.0]
    assert costs.cost_of(spent, {"1": rounds["1"]}) is None
    # log(1/2), log(1/4): mean log(sqrt(1/8))
    two = np.ones(2)
    assert costs.reduction("x", [(2 * two, two), (4 * two, two)]).value == pytest.approx(1 - 8**-0.5)


def test_what_prices_are_off_by_does_not_shrink_with_seeds() -> None:
    """Seeds alike, rounds not: the interval is that of the rounds alone, however many seeds there are."""
    of_rounds = np.log([0.8, 0.9, 1.0, 1.1, 1.2])
    few, many = (costs.crossed_interval(np.tile(of_rounds, (num, 1))) for num in (3, 30))
    # Student over five rounds: t_4 = 2.776
    half = 2.776 * float(np.std(of_rounds, ddof=1)) / 5**0.5
    for found in (few, many):
        assert found.high is not None
        assert found.high - of_rounds.mean() == pytest.approx(half, rel=0.01)
    # rounds alike: Student over seeds, t_2 = 4.303
    seeds = np.array([-0.5, -0.4, -0.6])
    alike = costs.crossed_interval(np.tile(seeds[:, None], (1, 5)))
    assert alike.high == pytest.approx(-0.5 + 4.303 * 0.1 / 3**0.5, abs=1e-3)
    assert costs.crossed_interval(seeds[:, None]).low is None, "one round says nothing of its error"


def test_an_interval_of_time_covers_where_seeds_and_prices_both_move() -> None:
    rng, covered = np.random.default_rng(3), 0
    for _ in range(400):
        values = rng.normal(0, 0.05, (5, 1)) + rng.normal(0, 0.08, (1, 6)) - 0.4
        found = costs.crossed_interval(values)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= -0.4 <= found.high
    assert covered / 400 > 0.92


def test_looks_by_hand(tmp_path: Path) -> None:
    runs = read_runs(planted(tmp_path))
    tests = told.tests_of(runs)
    # 10 of 12 prompts (those below 0.8 * 12 = 9.6) lose their pass
    assert looking.fall_of(runs, tests, "trained").value == pytest.approx(10 / 12)
    assert looking.fall_of(runs, tests, "start").value == 0
    beyond = looking.beyond(runs, tests, NEUTRAL)
    assert beyond.plain.value == pytest.approx(0.4, abs=0.02)
    assert looking.beyond_training(runs, tests).value == pytest.approx(0.3, abs=0.03)
    assert beyond.p_value is not None
    assert beyond.p_value < 0.01


def test_looks_are_those_of_the_measure(tmp_path: Path) -> None:
    """One seed, one layer, one head: the study's numbers are `beyond_control`'s."""
    results = planted(tmp_path)
    results["runs"] = [run for run in results["runs"] if run["seed"] == 0]
    runs, name = read_runs(results), "unseen, soft"
    found = looking.looks(runs)[0][name]["corrected"]

    def mass(stretch: str) -> SpanMass:
        before, after = (np.array(side)[:, None, None] for side in found[stretch])
        return SpanMass(name=stretch, before_PLH=before, after_PLH=after, share_P=np.ones(len(before)))

    measured = beyond_control(mass(CONSTRAINT), mass(NEUTRAL), np.random.default_rng(0))
    mine = looking.beyond(runs, [name], NEUTRAL)
    assert mine.plain.value == pytest.approx(measured.plain.mean.value)
    assert mine.relative.value == pytest.approx(measured.relative.mean.value)


def test_a_share_that_could_be_anything_agrees_with_no_factor(tmp_path: Path) -> None:
    """Both sides of the share move by 30 points from seed to seed: every interval holds its factor, and says nothing."""
    results = planted(tmp_path)
    for run in results["runs"]:
        if run["arm"].startswith("accept"):
            move = (-5, -2, 2, 5)[run["seed"]]
            run["after"] = np.clip(np.array(run["after"]) + move, 0, run["num_rollouts"]).tolist()
    assert verdicts(results)["iid-factor"].verdict == "cannot tell"


def test_intervals_that_hold_together_by_hand(tmp_path: Path) -> None:
    runs = read_runs(planted(tmp_path))
    arms = grid.everywhere(runs, "accept_30")
    one = grid.share_of(runs, arms)
    all_five = grid.together(one, runs)
    assert None not in (one.low, one.value, all_five.low)
    # 6 degrees of freedom: t at 1 - .025 / 5 is 3.707, at .975 it is 2.447
    assert (all_five.low - one.value) / (one.low - one.value) == pytest.approx(3.707 / 2.447, rel=0.01)  # type: ignore[operator]


def test_the_full_design_has_every_arm_that_its_claims_read() -> None:
    full = design.design("full")
    arms = {group: set(one.arms) for group, one in full.settings.items()}
    rewards = {arm.name: arm.reward for arm in full.arms}
    rates = {arm.name: arm.reward for arm in full.arms if arm.family == "noise"}
    assert sum("accept" in name for name in rates) == 5
    for group in LAB_GROUPS:
        cell = next(cell for cell in full.cells if cell.group == group)
        task = load_task(cell.task)
        assert len(arms[group]) == 13
        for name in arms[group] & set(rates):
            load_group_reward(rates[name], task)
        assert full.settings[group].seeds == 4
    assert {(one.group, one.arm) for one in CONDITIONS} == {
        (group, arm) for group in ("hard", "mixed", "soft", "refine") for arm in arms[group]
    }
    planned = sum(len(one.arms) * one.seeds for one in full.settings.values())
    assert planned == 4 * 2 * 13 + 4 * (3 + 1 + 2 + 2)
    assert all(f"false_accept={rate:g}" in rates[design.noise_arm("cue", rate, "sums")] for rate in CUED)
    # one rate of errors: by chance, by type, on what is soft
    assert all("false_accept=0.79,false_reject=0.03" in rewards[name] for name in (JUDGE_ALL, design.JUDGE))
    # SmolLM2 judges, one call and one each, and its attention is looked at before and after both ways of paying
    assert full.settings["judges"].audit_pairs > 0
    assert full.settings["hard"].attention_prompts > 0
    assert set(measuring.LOOKED_AT) <= arms["hard"]
    assert measuring.HIDDEN_FROM in measuring.LOOKED_AT
    assert list(full.settings) == ["judges", "refine", *LAB_GROUPS, "hard", "soft", "mixed"]
    # both halves of the judge that is blind by seed
    assert full.settings["hard"].seeds % len(design.SEEN_BY_SEED) == 0


def test_blind_types_are_balanced_and_by_seed() -> None:
    """Every type but one is blind, never half of a pair that excludes each other, and the mean over types is the judge's rate."""
    full = design.design("full")
    arm, cell = full.arm(design.JUDGE_BLIND), next(cell for cell in full.cells if cell.group == "hard")
    sets = []
    for seed in range(4):
        reward = Bench(full, Path("nowhere"), Path("nowhere")).spec_of(cell, arm, seed).data.reward
        assert reward is not None
        load_group_reward(reward, load_task(cell.task))
        options = dict(part.split("=") for part in reward.partition(":")[2].split(","))
        sets.append(set(options["cue"].removeprefix("type:").split("+")))
        assert float(options["false_accept"]) * len(sets[-1]) / len(design.SEEN) == pytest.approx(design.BATCH.false_accept, abs=1e-3)
        assert all(len(sets[-1] & pair) == 2 for pair in ({"under_15_words", "at_least_words"}, {"include_digit", "no_digits"}))
    assert [set(design.SEEN) - blind for blind in sets] == [{"question"}, {"no_commas"}] * 2
    assert "question" in arm.title
    assert "no_commas" in HARD_BLIND
    assert any("question in even seeds and no_commas in odd ones" in limit for limit in paper.LIMITS)


def test_no_style_earns_much_more_than_half() -> None:
    """Of the sets of types that a response can meet at once, the best meets less than half of the prompts."""
    for cell in design.CELLS:
        if cell.group in ("hard", "mixed", "soft", "refine"):
            asked = [set(prompt.info["types"]) for prompt in load_task(cell.task).prompts(300, 2)]
            assert all(len(types) >= 2 for types in asked)
            styles = [
                {length, digits, "no_commas", "question"}
                for length in ("under_15_words", "at_least_words")
                for digits in ("include_digit", "no_digits")
            ]
            assert max(sum(types <= style for types in asked) for style in styles) < 0.52 * len(asked)


def test_the_blind_judge_has_exact_signal_where_its_type_is_asked() -> None:
    prompts = load_task(next(cell.task for cell in design.CELLS if cell.group == "hard")).prompts(600, 2)
    for name in design.SEEN_BY_SEED:
        # two of six types, of which two pairs exclude each other
        assert sum(name in prompt.info["types"] for prompt in prompts) / len(prompts) == pytest.approx(0.37, abs=0.06)


def test_bare_requests_ask_for_nothing() -> None:
    prompts = load_task(design.FURTHER["seen, soft"]).prompts(12, 5)
    for prompt in prompts:
        bare = measuring.unsaid(prompt)
        assert (bare.id, bare.info) == (prompt.id, prompt.info)
        assert bare.messages[-1].content == prompt.info["base"]
        assert prompt.info["constraints"][0]["text"] not in bare.messages[-1].content


def test_renderings_are_matched() -> None:
    """The same requests and types in the same order, and the further tasks too."""
    cells = {cell.group: cell for cell in design.CELLS}
    prompts = {group: load_task(cells[group].task).prompts(60, 3) for group in ("hard", "mixed", "soft")}
    for group in ("mixed", "soft"):
        for hard, other in zip(prompts["hard"], prompts[group], strict=True):
            assert other.info["matched"] == hard.id
            assert other.info["types"] == hard.info["types"]
    assert all(constraint["kind"] == "soft" for prompt in prompts["soft"] for constraint in prompt.info["constraints"])
    further = [load_task(task).prompts(20, 5) for task in design.FURTHER.values()]
    assert [prompt.info["base"] for prompt in further[0]] == [prompt.info["base"] for prompt in further[1]]
    assert {name for prompt in further[2] for name in prompt.info["types"]} == set(design.UNSEEN)


def test_controls_stand_beside_the_constraint() -> None:
    engine = LocalEngine.of(tiny.model("llama"), tiny.tokenizer(), name="tiny")
    for number, prompt in enumerate(load_task(design.FURTHER["unseen, hard"]).prompts(4, 0)):
        asked = with_controls(engine, prompt, before=number % 2 == 0)
        content = asked.prompt.messages[-1].content
        first, last = asked.spans[CONSTRAINT]
        assert content[first:last] == prompt.info["constraints"][0]["text"]
        assert list(asked.prompt.info["constraints"][0]["span"]) == [first, last]
        assert (asked.spans[NEUTRAL][0] < first) == (asked.spans[IRRELEVANT_ONE][0] < first) == (number % 2 == 0)


class Reader(ScriptedEngine):
    """Counts what is scored."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[Any]] = []

    def logprobs(self, rows: Any) -> Any:
        self.calls.append(list(rows))
        return super().logprobs(rows)


def test_a_price_is_of_a_question_and_one_reply() -> None:
    """However many replies there are to choose from."""
    reader = Reader()
    prompts = load_task("constraints:question,no_commas,exclamation,count=3,rendering=mixed,soft_share=0.75").prompts(60, 1)
    places = [tuple(place for place, one in enumerate(prompt.info["constraints"]) if one["kind"] == "soft") for prompt in prompts]
    questions = [judging.SoftQuestion(prompt=prompt, text="Yes!", places=soft) for prompt, soft in zip(prompts, places, strict=True)]
    assert () in places
    prices = judging.prices_of(lambda: reader, questions)
    assert {number: len(rounds) for number, rounds in prices.items()} == {"1": 6, "2": 6, "3": 6}
    assert {len(rows) for rows in reader.calls} == {1}
    # once each to begin with, then at most twelve questions of each number in six rounds
    of_each = [min(sum(len(one) == number for one in places), 12) for number in (1, 2, 3)]
    assert len(reader.calls) == 3 + sum(of_each) * 6
    said = {"".join(map(chr, rows[0].completion_ids)) for rows in reader.calls}
    assert said == {"yes", "1: yes\n2: yes", "1: yes\n2: yes\n3: yes"}


def test_a_judge_at_work_shows_how_far_it_is(tmp_path: Path) -> None:
    cell = next(cell for cell in design.CELLS if cell.group == "judges")
    folder = tmp_path / cell.folder
    assert precision.STUDY.under_way is not None
    assert precision.STUDY.under_way(folder, cell) == ""
    for name in ("a", "b", "c"):
        file = tmp_path / f"{cell.folder}-audit-numbered-choice" / "judge" / name / f"{name}.json"
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    (tmp_path / f"{cell.folder}-audit-pointwise-choice").mkdir()
    assert precision.STUDY.under_way(folder, cell) == "numbered-choice 3 questions, pointwise-choice 0 questions"


def test_what_is_the_starts_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, loaded = LocalEngine.of(tiny.model("llama"), tiny.tokenizer(), name="tiny"), list[str]()

    def load(name: str) -> LocalEngine:
        loaded.append(name)
        return engine

    monkeypatch.setattr(LocalEngine, "load", staticmethod(load))
    settings = replace(design.TINY, attention_prompts=2, max_tokens=4)
    further = {name: design.FURTHER[name] for name in ("seen, hard", "unseen, soft")}
    looks = [attending.attention_of("someone", engine, further, settings) for _ in range(2)]
    hiding = attending.hiding_of("someone", engine, further, settings)
    assert loaded == ["someone"]
    assert looks[0] == looks[1]
    for look in looks[0].values():
        for before, after in look["corrected"].values():
            assert before == after, "nobody has trained it"
            assert len(before) == 2
    assert all(both["start"] == both["trained"] for both in hiding.values())
    attending.starts.cache_clear()
    found = [measuring.further_of_start(tmp_path, "someone", further, settings) for _ in range(2)]
    assert loaded == ["someone"] * 2
    assert found[0] == found[1] == measuring.further_of(engine, further, settings)
    measuring.further_of_start(tmp_path, "someone", further, replace(settings, further_rollouts=1))
    assert len(loaded) == 3


def yes_to_all(body: dict[str, Any]) -> tuple[int, object, dict[str, str]]:
    """A judge that accepts everything, in the form that is asked for."""
    numbered, count = " CONSTRAINT 1\n" in body["messages"][0]["content"], len(asked_in(body)[1])
    return 200, said("\n".join(f"{k}: yes" for k in range(1, count + 1)) if numbered else "yes"), {}


@pytest.mark.parametrize("name", ["alignment", "clarity", "decisions"])
def test_only_the_study_of_judges_asks_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="makes no claim about judges; leave --judge out"):
        study(name, tmp_path / "out", judge="local:smollm2", quiet=True)
    assert not (tmp_path / "out").exists()


def test_the_smoke_scale_runs_whole_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "base" / "tiny-judge-audit-numbered-choice"
    there.mkdir(parents=True)
    (there / "run.json").write_text("{}")
    with pytest.raises(StudyFailed, match="holds a run; an audit has a folder of its own"):
        study("precision", tmp_path, scale="smoke", quiet=True)
    results = read_json(tmp_path / "results.json")
    unpriced = {claim.code: claim for claim in claims.claims(read_runs(results))}
    assert "not measured" in unpriced["refined-faster"].ran
    assert "no judge" not in unpriced["refined-better"].ran
    assert {unpriced[code].verdict for code in ("refined-faster", "judge-misses")} == {"cannot tell"}
    assert {run["cell"] for run in results["runs"]} == {cell.name for cell in design.design("smoke").cells if cell.group != "judges"}
    shutil.rmtree(there)
    study("precision", tmp_path, scale="smoke", quiet=True)
    results = read_json(tmp_path / "results.json")
    smoke = design.design("smoke")
    assert {(run["cell"], run["arm"]) for run in results["runs"]} == {
        (cell.name, arm) for cell in smoke.cells for arm in smoke.settings[cell.group].arms if smoke.settings[cell.group].seeds
    }
    bases = {cell["group"]: cell["base"]["more"] for cell in results["cells"]}
    told_there = {(one["mode"], one["answers"]): one["sources"] for one in bases["judges"]["judges"]["told"]}
    assert told_there.keys() == {("numbered", "choice"), ("numbered", "free"), ("pointwise", "choice")}
    for (_, answers), sources in told_there.items():
        pairs = sources["pairs"]
        assert set(pairs["count"]) == {1, 2, 3}
        # half of the responses of pairs violate one constraint
        assert pairs["truth"].count(0) == len(set(pairs["response"])) // 2
        assert set(pairs["soft"]) == {0, 1}
        if answers == "choice":
            assert set(sources["run"]["count"]) <= {1, 2}
            assert all(set(sources[name]["said"]) <= {0, 1} for name in ("pairs", "run")), "every verdict is read"
            # of the probes, all but one that is longer than the context
            assert sources["probe"]["said"].count(-1) < len(sources["probe"]["said"]) / 4
            assert all(len(set(one["odds"])) > 5 for one in sources.values()), "and goes by what was asked"
        else:
            assert sources.keys() == {"pairs"}
    assert {number: len(rounds) for number, rounds in bases["judges"]["judges"]["prices"].items()} == {"1": 6, "2": 6, "3": 6}
    known = {claim.code: claim for claim in claims.claims(read_runs(results))}
    assert {"hard-over-soft", "hard-over-mix", "wording", "precision-on-soft", "blind-types"} <= known.keys()
    # chosen verdicts: two ends of a pair in each of 1 to 3 constraints, each of 25 types once
    num_asked = len(told_there["numbered", "choice"]["pairs"]["said"])
    assert f"0 of {num_asked} without a verdict" in known["judge-misses"].found
    assert "SmolLM2: " in known["pointwise-sees-more"].found
    assert "of the pairs one at a time" in known["pointwise-sees-more"].found
    assert bases["refine"]["pool"]["constraints"][REFINED]["soft"] <= bases["refine"]["pool"]["num_refined"]
    assert 0 <= bases["refine"]["pool"]["pilot"]["num_never_right"] <= 8
    assert bases["refine"]["trained_on"].keys() == {design.FULL_MIX, REFINED}
    assert len(list((tmp_path / "base").glob("further-*.json"))) == 1, "drawn once for four cells"
    assert all(bases[group]["further"] == bases["hard"]["further"] for group in ("soft", "mixed", "refine"))
    assert sum(bases["refine"]["pool"]["pilot"]["asked"].values()) == bases["refine"]["pool"]["pilot"]["num_responses"] == 8 * 4
    assert bases["hard"]["types"].keys() == bases["hard"]["unasked"].keys() == bases["hard"]["further"].keys()
    for run in results["runs"]:
        settings = smoke.settings[smoke.cell(run["cell"]).group]
        # every rollout of a counted step is in one cell of its matrix; where code pays, in no wrong one
        assert {sum(line[1:]) for line in run["more"]["watch"]["met"]} == {settings.prompts * settings.rollouts}
        assert len(run["more"]["watch"]["series"]["paid"]) == settings.steps
        if run["arm"] == TRUE:
            assert all(line[2] == line[3] == 0 for line in run["more"]["watch"]["met"])
        assert (run["more"]["cue"] is not None) == (run["cell"] == "tiny, sums")
        assert sum(run["more"]["spent"]["asked"].values()) == settings.steps * settings.prompts * settings.rollouts
        assert run["more"]["unasked"].keys() == run["more"]["further"].keys()
        assert run["more"]["evaluations"][0]["right"] == run["before"]
        if run["status"] == "finished":
            assert run["more"]["evaluations"][-1]["right"] == run["after"]
        looked = run["cell"] == "tiny, hard" and run["arm"] in measuring.LOOKED_AT
        assert ("attention" in run["more"]) == looked
        if looked:
            hidden = run["arm"] == measuring.HIDDEN_FROM
            assert all(("passes" in one) == hidden for one in run["more"]["attention"].values())
    look = next(run["more"]["attention"] for run in results["runs"] if "attention" in run["more"])
    assert len(look["unseen, soft"]["corrected"][NEUTRAL][1]) == 2
    assert {"README.md", "report.html", "conclusion.json"} <= {path.name for path in tmp_path.iterdir()}
    readme = (tmp_path / "README.md").read_text()
    assert all(f"## {title}" in readme for title in ("The noise grid", "Refinement", "Attention", "Language models as judges"))
    kept = (tmp_path / "results.json").read_bytes()
    study("precision", tmp_path, scale="smoke", quiet=True)
    assert (tmp_path / "results.json").read_bytes() == kept
    assert json.loads(kept)["study"] == "precision"
    shutil.copytree(there, tmp_path / "audits" / "again")
    study("precision", tmp_path, scale="smoke", quiet=True)
    further = read_json(tmp_path / "results.json")["more"]["audits"]
    assert [one["folder"] for one in further] == ["again"]
    assert further[0]["sources"]["pairs"] == told_there["numbered", "choice"]["pairs"]
    assert f"{further[0]['judge']}, one call: pairs" in (tmp_path / "README.md").read_text()
    with served(yes_to_all) as (url, seen):
        study("precision", tmp_path, scale="smoke", judge=f"{url},model=org/wise", quiet=True)
        num_asked = len(seen)
        study("precision", tmp_path, scale="smoke", judge=f"{url},model=org/wise", quiet=True)
        assert len(seen) == num_asked, "it remembers"
    wise = {one["mode"]: one for one in read_json(tmp_path / "results.json")["more"]["audits"] if one["judge"] == "org/wise"}
    assert wise.keys() == {"numbered", "pointwise"}
    assert all(one["folder"].startswith("org-wise-") for one in wise.values())
    for one in wise.values():
        mine, own = one["sources"]["pairs"], told_there["numbered", "choice"]["pairs"]
        assert (mine["truth"], mine["type"], mine["count"]) == (own["truth"], own["type"], own["count"]), "the same pairs"
        assert set(mine["said"]) == {1}
    text = (tmp_path / "README.md").read_text()
    assert "org/wise, one call: pairs" in text
    assert url.partition("//")[2].partition("/")[0] not in text
    (tmp_path / "README.md").unlink()
    (tmp_path / "audits" / "again" / "audit.json").write_text("{}")

    def broken(out: Path, known: Any) -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr(running, "load_study", lambda name: replace(precision.STUDY, more_of_folder=broken))
    with pytest.raises(OSError, match="the disk is gone"):
        study("precision", tmp_path, scale="smoke", quiet=True)
    assert (tmp_path / "README.md").read_text() != "", "the runs are written whatever lies beside them"
