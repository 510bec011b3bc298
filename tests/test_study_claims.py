"""What a study concludes from planted gains: every verdict both ways, and what it says of a study that was killed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jominy.conclusion import Conclusion
from jominy.studies.concluding import conclude
from jominy.studies.reading import TRUTH
from tests.study_results import PASS_RATES, SHARES, planted, run_of

PROMPTS = 32


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Any]:
    return planted(tmp_path_factory.mktemp("planted"), prompts=PROMPTS)


@pytest.fixture(scope="module")
def found(results) -> Conclusion:
    return conclude(results)


@pytest.fixture(scope="module")
def opposite(tmp_path_factory) -> Conclusion:
    """The tricks work everywhere, also random without the clip; signs are the wrong way round, and the selected example leads."""
    shares = dict.fromkeys(SHARES, (0.9, 0.9))
    shares |= {"one_shot_2": (0.3, 0.3), "one_shot_3": (0.3, 0.3), "negative_only": (0.0, 0.9), "negative_only_masked": (0.9, 0.9)}
    shares |= {"positive_only_masked": (0.0, 0.0)}
    return conclude(planted(tmp_path_factory.mktemp("opposite"), prompts=PROMPTS, shares=shares))


def verdicts(conclusion: Conclusion) -> dict[str, str]:
    return {claim.code: claim.verdict for claim in conclusion.claims}


def test_planted_claims_agree(found):
    assert set(verdicts(found).values()) == {"agrees"}


def test_the_opposite_disagrees(opposite):
    spurious = [code for code in verdicts(opposite) if code.startswith("spurious")]
    expected = ["which-example", "one-example", "negative-only-constant", "negative-only-masked", "no-clip", *spurious]
    assert {code for code, verdict in verdicts(opposite).items() if verdict == "disagrees"} >= set(expected)
    assert len(spurious) == 6
    assert verdicts(opposite)["true-reward"] == "agrees"


def test_a_true_reward_that_never_had_a_gradient_is_said(tmp_path):
    results = planted(tmp_path, prompts=PROMPTS)
    for run in results["runs"]:
        if run["cell"] == "misled, sums" and run["arm"] == TRUTH:
            run.update(status="no gradient", after=run["before"])
    claim = conclude(results).claims[0]
    assert (claim.code, claim.verdict) == ("true-reward", "disagrees")
    assert "misled, sums" in claim.found


def test_gains_are_near_what_was_planted(found):
    for gain in found.gains:
        strong = PASS_RATES[gain.cell] >= 0.3
        rate, share = PASS_RATES[gain.cell], SHARES[gain.arm][0 if strong else 1]
        expected = max(rate + 0.3 * share, 0.0) - rate
        assert gain.measure.value == pytest.approx(expected, abs=0.06)
        assert gain.measure.value == pytest.approx(np.mean(gain.per_seed))


def test_stopped_runs_are_counted_and_left_out(results, found):
    first = next(gain for gain in found.gains if gain.num_stopped)
    assert (first.cell, first.arm, len(first.seeds), first.num_stopped) == ("adder, sums", "entropy", 4, 1)
    assert [one.why for one in found.stopped if one.status == "exploded"] == ["the loss is NaN at step 4"]
    still = next(gain for gain in found.gains if gain.num_no_gradient)
    assert (still.cell, still.arm, still.per_seed[0]) == ("speller, sums", "one_shot_2", 0.0)
    # 5 lab cells x 15 arms x 5 seeds and 4 smollm2 cells x 14 arms (no majority) x 3 seeds
    assert found.num_planned == 5 * 15 * 5 + 4 * 14 * 3 == len(results["runs"])
    assert (found.num_finished, found.num_no_gradient, found.num_exploded) == (found.num_planned - 1, 1, 1)


def test_majority_is_not_defined_without_answers(found):
    pairs = [(one.cell, one.arm) for one in found.stopped if one.status == "not defined"]
    assert pairs == [(cell, "majority") for cell in PASS_RATES if cell.startswith("smollm2")]
    share = next(share for share in found.shares if share.arm == "majority" and share.where == "strong")
    assert share.cells == ("adder, sums", "speller, spelling")


def test_the_paper_s_shares_are_its_accuracies(found):
    shares = {(one.arm, one.setting): one.share for one in found.reported}
    # (57.5 - 40.8) / (71.0 - 40.8) = 16.7 / 30.2; (3.6 - 4.8) / (20.4 - 4.8) = -1.2 / 15.6
    assert shares["random_format", "Qwen, MATH500"] == pytest.approx(0.553)
    assert shares["random_format", "Qwen, Cipher"] == pytest.approx(-0.077)


def test_the_order_of_the_runs_does_not_matter(results, found):
    order = np.random.default_rng(0).permutation(len(results["runs"]))
    shuffled = results | {"runs": [results["runs"][position] for position in order]}
    assert conclude(shuffled).to_json() == found.to_json()


def test_a_conclusion_is_plain_json(found):
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["study"] == "alignment"


def test_nothing_run_yet_cannot_tell(results):
    cells = [{**cell, "base": None} for cell in results["cells"]]
    nothing = conclude(results | {"runs": [], "cells": cells})
    assert set(verdicts(nothing).values()) == {"cannot tell"}
    assert (nothing.gains, nothing.followed, nothing.num_finished) == ((), (), 0)
    assert all(measure.why_none for cell in nothing.cells for measure in cell.measures)


@pytest.mark.parametrize("kept", [1, 17, 60, 200])
def test_a_killed_study_is_read(results, kept):
    part = conclude(results | {"runs": results["runs"][:kept]})
    assert part.num_finished + part.num_exploded == kept
    assert verdicts(part)["true-reward"] == "cannot tell"


def test_one_seed_is_no_verdict(results):
    first = conclude(results | {"runs": [run for run in results["runs"] if run["seed"] == 0]})
    assert {verdict for code, verdict in verdicts(first).items() if code != "order-of-cells"} == {"cannot tell"}
    spurious = next(claim for claim in first.claims if claim.code == "spurious-format")
    assert "one seed only" in spurious.found
    assert {line.outcome for line in first.followed} == {"open"}


def test_runs_without_a_base_have_gains_and_no_side(results):
    cells = [{**cell, "base": None} for cell in results["cells"]]
    blind = conclude(results | {"cells": cells})
    assert len(blind.gains) == 9 * 15 - 4
    assert all(share.measure.value is None for share in blind.shares if share.pooled)
    assert all(one.measure.value is None for one in blind.correlations)


def test_advice_is_judged_by_what_happened(found, opposite):
    judged = {(line.cell, line.arm): line for line in found.followed}
    assert judged["adder, sums", "one_shot_1"].judged == "right"
    assert judged["adder, spelling", "one_shot_1"].judged == "right"
    assert judged["adder, sums", "positive_only"].judged == "not judged"
    assert verdicts(opposite)["advice"] == "disagrees"
    wrong = {(line.cell, line.arm): line for line in opposite.followed}
    assert (wrong["adder, spelling", "one_shot_1"].advice, wrong["adder, spelling", "one_shot_1"].judged) == ("futile", "wrong")
    assert (wrong["adder, sums", "negative_only"].advice, wrong["adder, sums", "negative_only"].judged) == ("fits", "wrong")


def test_pairing_uses_the_seeds_that_both_have(results):
    runs = [run for run in results["runs"] if not (run["arm"] == TRUTH and run["seed"] > 2)]
    shares = {(share.arm, share.where): share for share in conclude(results | {"runs": runs}).shares}
    cell, arm = "adder, sums", "one_shot_1"
    mean = {
        name: np.mean(
            [
                (np.array(run["after"]) - run["before"]).mean() / 16
                for run in runs
                if (run["cell"], run["arm"]) == (cell, name) and run["seed"] < 3
            ]
        )
        for name in (arm, TRUTH)
    }
    measure = shares[arm, cell].measure
    assert measure.value == pytest.approx(mean[arm] / mean[TRUTH])


def test_clear_errors(results):
    with pytest.raises(ValueError, match="alignment"):
        conclude(results | {"study": "astrology"})
    with pytest.raises(ValueError, match="'model_title'"):
        conclude(results | {"cells": [{"name": "a", "group": "lab", "task": "t", "seeds": [0]}]})
    uneven = run_of("adder, sums", TRUTH, 0, [1, 2], [1], 16)
    with pytest.raises(ValueError, match="seed 0 has 2 prompts before and 1 after"):
        conclude(results | {"runs": [uneven]})
