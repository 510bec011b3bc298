"""What a study concludes from planted gains: every verdict both ways, and what it says of a study that was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.conclusion import Conclusion
from jominy.studies.alignment.design import design
from jominy.studies.alignment.following import followed
from jominy.studies.alignment.ordering import Correlation, correlations
from jominy.studies.alignment.paper import REPORTED
from jominy.studies.alignment.sections import shares
from jominy.studies.concluding import conclude
from jominy.studies.reading import TRUTH, read_runs
from tests.study_results import NO_EXAMPLE, PASS_RATES, SHARES, planted, run_of

PROMPTS = 32


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, Any]:
    return planted(tmp_path_factory.mktemp("planted"), prompts=PROMPTS)


@pytest.fixture(scope="module")
def found(results) -> Conclusion:
    return conclude(results)


@pytest.fixture(scope="module")
def opposite_results(tmp_path_factory) -> dict[str, Any]:
    """The tricks work everywhere, also random without the clip; signs are the wrong way round, and the selected example leads."""
    reached = dict.fromkeys(SHARES, (0.9, 0.9))
    reached |= {
        "one_shot_random": (0.3, 0.3),
        "one_shot_hardest": (0.3, 0.3),
        "negative_only": (0.0, 0.9),
        "negative_only_masked": (0.9, 0.9),
    }
    reached |= {"positive_only_masked": (0.0, 0.0)}
    return planted(tmp_path_factory.mktemp("opposite"), prompts=PROMPTS, shares=reached)


@pytest.fixture(scope="module")
def opposite(opposite_results) -> Conclusion:
    return conclude(opposite_results)


def verdicts(conclusion: Conclusion) -> dict[str, str]:
    return {claim.code: claim.verdict for claim in conclusion.claims}


def said(conclusion: Conclusion, code: str) -> str:
    return next(claim.found for claim in conclusion.claims if claim.code == code)


def tricks_of(results: dict[str, Any]) -> Correlation:
    """Of the mean over the tricks."""
    return next(one for one in correlations(read_runs(results)) if one.arm == "tricks")


def without(results: dict[str, Any], *pairs: tuple[str, str]) -> dict[str, Any]:
    """The study before any run of these (cell, arm)."""
    return results | {"runs": [run for run in results["runs"] if (run["cell"], run["arm"]) not in pairs]}


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
    for gain in (one for one in found.gains if one.measure.value is not None):
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
    assert (still.cell, still.arm, still.per_seed[0]) == ("speller, sums", "one_shot_random", 0.0)
    # 5 lab cells x 15 arms x 5 seeds and 4 smollm2 cells x 14 arms (no majority) x 3 seeds
    assert found.num_planned == 5 * 15 * 5 + 4 * 14 * 3 == len(results["runs"])
    # one exploded, and one arm found no example in any of its 5 seeds
    assert found.num_finished == found.num_planned - 1 - 5
    assert (found.num_no_gradient, found.num_exploded, found.num_no_example) == (1, 1, 5)


def test_majority_is_not_defined_without_answers(results, found):
    assert [(one.arm, one.cells) for one in found.not_planned] == [("majority", tuple(cell for cell in PASS_RATES if "smollm2" in cell))]
    share = next(share for share in shares(read_runs(results)) if share.arm == "majority" and share.where == "strong")
    assert share.cells == ("adder, sums", "speller, spelling")


def test_the_paper_s_shares_are_its_accuracies():
    reported = {(one.arm, one.setting): one.share for one in REPORTED}
    # (57.5 - 40.8) / (71.0 - 40.8) = 16.7 / 30.2; (3.6 - 4.8) / (20.4 - 4.8) = -1.2 / 15.6
    assert reported["random_format", "Qwen, MATH500"] == pytest.approx(0.553)
    assert reported["random_format", "Qwen, Cipher"] == pytest.approx(-0.077)


def test_the_order_of_the_runs_does_not_matter(results, found):
    order = np.random.default_rng(0).permutation(len(results["runs"]))
    shuffled = results | {"runs": [results["runs"][position] for position in order]}
    assert conclude(shuffled).to_json() == found.to_json()


def test_a_conclusion_is_plain_json(found):
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["study"] == "alignment"


def test_nothing_run_yet_cannot_tell(results):
    cells = [{**cell, "base": None} for cell in results["cells"]]
    nothing = conclude(results | {"runs": [], "cells": cells})
    assert followed(read_runs(results | {"runs": [], "cells": cells})) == ()
    assert set(verdicts(nothing).values()) == {"cannot tell"}
    assert (nothing.gains, nothing.num_finished) == ((), 0)
    assert all(measure.why_none for cell in nothing.cells for measure in cell.measures)


@pytest.mark.parametrize("kept", [1, 17, 60, 200])
def test_a_killed_study_is_read(results, kept):
    part = conclude(results | {"runs": results["runs"][:kept]})
    assert part.num_finished + part.num_exploded + part.num_no_example == kept
    assert verdicts(part)["true-reward"] == "cannot tell"


def test_one_seed_is_no_verdict(results):
    one_seed = results | {"runs": [run for run in results["runs"] if run["seed"] == 0]}
    first = conclude(one_seed)
    assert {verdict for code, verdict in verdicts(first).items() if code != "order-of-cells"} == {"cannot tell"}
    spurious = next(claim for claim in first.claims if claim.code == "spurious-format")
    assert "one seed only" in spurious.found
    assert {line.outcome for line in followed(read_runs(one_seed))} == {"open"}


def test_runs_without_a_base_have_gains_and_no_side(results):
    cells = [{**cell, "base": None} for cell in results["cells"]]
    blind, runs = conclude(results | {"cells": cells}), read_runs(results | {"cells": cells})
    assert len(blind.gains) == 9 * 15 - 4
    assert all(share.measure.value is None for share in shares(runs) if share.pooled)
    assert all(one.measure.value is None for one in correlations(runs))


def test_advice_is_judged_by_what_happened(results, opposite_results, opposite):
    judged = {(line.cell, line.arm): line for line in followed(read_runs(results))}
    assert judged["adder, sums", "one_shot_max_variance"].judged == "right"
    assert judged["adder, spelling", "one_shot_max_variance"].judged == "right"
    assert judged["adder, sums", "positive_only"].judged == "not judged"
    assert verdicts(opposite)["advice"] == "disagrees"
    wrong = {(line.cell, line.arm): line for line in followed(read_runs(opposite_results))}
    assert (wrong["adder, spelling", "one_shot_max_variance"].advice, wrong["adder, spelling", "one_shot_max_variance"].judged) == (
        "futile",
        "wrong",
    )
    assert (wrong["adder, sums", "negative_only"].advice, wrong["adder, sums", "negative_only"].judged) == ("fits", "wrong")


def test_pairing_uses_the_seeds_that_both_have(results):
    runs = [run for run in results["runs"] if not (run["arm"] == TRUTH and run["seed"] > 2)]
    found = {(share.arm, share.where): share for share in shares(read_runs(results | {"runs": runs}))}
    cell, arm = "adder, sums", "one_shot_max_variance"
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
    measure = found[arm, cell].measure
    assert measure.value == pytest.approx(mean[arm] / mean[TRUTH])


def test_an_arm_without_example_has_no_gain(results, found):
    arm = NO_EXAMPLE[1]
    gain = next(one for one in found.gains if (one.cell, one.arm) == NO_EXAMPLE)
    assert (gain.measure.value, gain.measure.why_none) == (None, "no run found an example to train on")
    assert (gain.seeds, gain.num_no_example, gain.kl_nats, gain.unique_live_prompts) == ((), 5, None, None)
    assert [one.seeds for one in found.stopped if one.status == "no example"] == [(0, 1, 2, 3, 4)]
    assert 'No example to train on, so left out: one example, hardest in "speller, sums".' in said(found, "one-example")
    # Left out of the pooled weak cells, not a 0 among them: three of four cells remain.
    pooled = next(share for share in shares(read_runs(results)) if share.arm == arm and share.where == "weak")
    assert pooled.cells == ("adder, spelling", "misled, sums", "smollm2, all_lowercase")
    assert pooled.gain.value == pytest.approx(np.mean([g.measure.value for g in found.gains if g.arm == arm and g.cell in pooled.cells]))


def test_no_example_anywhere_cannot_tell(results):
    lost: dict[str, Any] = {"status": "no example", "why": "no base prompt is mixed", "before": [], "after": None}
    runs = [run | lost if run["arm"].startswith("one_shot") else run for run in results["runs"]]
    nothing = conclude(results | {"runs": runs})
    assert verdicts(nothing)["one-example"] == verdicts(nothing)["which-example"] == "cannot tell"
    # 3 arms x (5 cells x 5 seeds + 4 cells x 3 seeds)
    assert nothing.num_no_example == 3 * 37
    assert "one example, most variance; one example, random; one example, hardest" in said(nothing, "order-of-cells").split(" By itself")[0]


def test_the_selected_example_is_held_against_each_other(tmp_path):
    reached = SHARES | {"one_shot_max_variance": (0.8, 0.5), "one_shot_random": (0.8, 0.5), "one_shot_hardest": (0.0, 0.0)}
    shown = conclude(planted(tmp_path, prompts=PROMPTS, shares=reached))
    leads = said(shown, "which-example").split("; of ")
    assert verdicts(shown)["which-example"] == "disagrees"
    # Planted: none over the random one. Over the hardest 0.8 of 30 points in the strong cells and 0.5 in the others, but nothing where it
    # found no example: (4 x 24 + 4 x 15) / 8 = 19.5
    assert float(leads[1].split(": ")[1].split(" points")[0].replace("−", "-")) == pytest.approx(0.0, abs=2)
    assert float(leads[2].split(": ")[1].split(" points")[0]) == pytest.approx(19.5, abs=2.5)


@pytest.mark.parametrize(("form_share", "expected"), [(0.4, 3.0), (0.0, 15.0)])
def test_a_gated_reward_is_held_against_the_form(tmp_path, form_share, expected):
    shown = conclude(planted(tmp_path, prompts=PROMPTS, shares=SHARES | {"format": (form_share, 0.0)}))
    text = said(shown, "spurious-random-format")
    # Planted in strong cells: (0.5 - form_share) x 30 points
    beyond = text.split("Beyond the form (its gain minus that of: form), 4 strong cells: ")[1]
    assert float(beyond.split(" points")[0]) == pytest.approx(expected, abs=1.5)
    assert "Beyond the form" in said(shown, "spurious-incorrect-any")
    assert "Beyond the form" not in said(shown, "spurious-random")


def test_the_form_contrast_is_on_the_same_seeds(results):
    early = [run for run in results["runs"] if not (run["arm"] == "format" and run["seed"] > 0)]
    assert "(one seed only)" in said(conclude(results | {"runs": early}), "spurious-random-format").split("Beyond")[1]
    never = [run for run in results["runs"] if run["arm"] != "format"]
    assert "no strong cells: no finished runs." in said(conclude(results | {"runs": never}), "spurious-random-format").split("Beyond")[1]


def test_the_tricks_are_averaged_over_arms_that_all_cells_have(results):
    """A trick that gains much, and that only cells of low alignment have, must not turn their order."""
    weak = [cell for cell, rate in PASS_RATES.items() if rate < 0.3]
    strong = [(cell, "random") for cell in PASS_RATES if cell not in weak]
    runs = [
        run | {"after": [16] * PROMPTS} if run["arm"] == "random" and run["cell"] in weak else run
        for run in without(results, *strong)["runs"]
    ]
    shown, tricks = conclude(results | {"runs": runs}), tricks_of(results | {"runs": runs})
    assert "random" not in tricks.arms
    assert {"majority", "one_shot_hardest"}.isdisjoint(tricks.arms)
    assert len(tricks.arms) == 8
    assert verdicts(shown)["order-of-cells"] == "agrees"
    left_out = "Left out of the mean, as not every cell has it: random; majority vote; one example, hardest."
    assert left_out in said(shown, "order-of-cells")


def test_without_a_common_trick_the_order_is_undefined(results):
    first, *others = PASS_RATES
    pairs = [(first, arm) for arm in SHARES if arm != "random"] + [(cell, "random") for cell in others]
    tricks = tricks_of(without(results, *pairs))
    assert (tricks.measure.value, tricks.measure.why_none) == (None, "none of them has runs in all 9 cells")


def test_a_mean_over_tricks_is_the_mean_of_their_gains(results, found):
    tricks = tricks_of(results)
    alignment = {cell.name: cell.measures[1].value for cell in found.cells}
    gains = {cell: [g.measure.value for g in found.gains if g.cell == cell and g.arm in tricks.arms] for cell in tricks.cells}
    from scipy.stats import spearmanr

    expected = spearmanr([alignment[cell] for cell in tricks.cells], [np.mean(gains[cell]) for cell in tricks.cells]).statistic
    assert tricks.measure.value == pytest.approx(expected)


def test_kl_to_the_start_is_a_mean_over_seeds(results):
    runs = []
    for run in results["runs"]:
        if (run["cell"], run["arm"]) == ("misled, sums", "random"):
            run = run | {"kl_nats": 0.1 * run["seed"]} | ({"status": "exploded", "after": None, "kl_nats": 9.0} if run["seed"] == 4 else {})
        if (run["cell"], run["arm"]) == ("misled, sums", "entropy"):
            run = run | {"kl_nats": None}
        if (run["cell"], run["arm"]) == ("misled, sums", "format"):
            run = run | {"kl_nats": [0.5, 0.25]}
        runs.append(run)
    gains = {(gain.cell, gain.arm): gain.kl_nats for gain in conclude(results | {"runs": runs}).gains}
    # seeds 0 to 3: (0.0 + 0.1 + 0.2 + 0.3) / 4; the exploded one is left out
    assert gains["misled, sums", "random"] == pytest.approx(0.15)
    assert gains["misled, sums", "entropy"] is None
    assert gains["misled, sums", "format"] == 0.25
    # four runs of 0.02 and one without gradient, which never left the start
    assert gains["speller, sums", "one_shot_random"] == pytest.approx(0.016)


def test_the_base_says_form_and_format_gap(results, found):
    lab = {measure.name: measure for measure in next(cell for cell in found.cells if cell.name == "misled, sums").measures}
    # 24 of 32 responses to every prompt; 4 of 32 more are leniently right
    assert lab["share in form"].value == 0.75
    assert lab["format gap at pass@1"].value == pytest.approx(0.125)
    assert lab["format gap at pass@1"].low < 0.125 < lab["format gap at pass@1"].high
    real = {measure.name: measure for measure in next(cell for cell in found.cells if cell.name == "smollm2, all_lowercase").measures}
    gap = real["format gap at pass@1"]
    assert (gap.value, gap.why_none) == (None, "the task has no lenient grader")
    cells = [{**cell, "base": {**cell["base"], "in_form": None, "lenient": [0] * 64}} for cell in results["cells"]]
    measures = conclude(results | {"cells": cells}).cells[0].measures
    assert (measures[3].value, measures[3].why_none) == (None, "the form was not judged")
    # The lenient grader gave no verdict; what is strictly right is leniently right all the same.
    assert measures[4].value == 0.0


def test_environments_and_seconds_are_counted(results, found):
    assert [(one.facts["python"], one.num_runs) for one in found.environments] == [("3.11.0", 543)]
    assert (found.seconds, found.cpu_seconds) == (543 * 12.5, 543 * 20.0)
    moved = [run | {"environment": 1 if run["seed"] == 2 else 0} for run in results["runs"]]
    both = conclude(results | {"runs": moved, "environments": [*results["environments"], {"python": "3.12.1"}]})
    # seed 2: 5 cells x 15 arms + 4 cells x 14 arms
    assert [one.num_runs for one in both.environments] == [543 - 131, 131]
    assert conclude(results | {"runs": [results["runs"][0] | {"cpu_seconds": None}]}).cpu_seconds is None


def test_claims_agree_with_the_arms_that_the_study_runs(tmp_path):
    chosen = design("full").settings["smollm2"].arms
    assert chosen
    results = planted(tmp_path, prompts=PROMPTS, on_smollm2=chosen)
    shown = conclude(results)
    assert set(verdicts(shown).values()) == {"agrees"}
    # 5 lab cells x 15 arms x 5 seeds and 4 smollm2 cells x the chosen arms x 3 seeds
    assert shown.num_planned == 5 * 15 * 5 + 4 * len(chosen) * 3
    tricks = tricks_of(results)
    assert set(tricks.arms) < set(chosen)
    assert len(tricks.cells) == 9


def test_an_arm_of_some_cells_alone_is_planned_there_alone(results):
    why = "not run in this group: it takes too long"
    pairs = [(cell, "entropy") for cell in PASS_RATES if cell.startswith("smollm2")]
    limited = without(results, *pairs) | {
        "not_defined": [*results["not_defined"], *({"cell": cell, "arm": arm, "why": why} for cell, arm in pairs)]
    }
    shown = conclude(limited)
    assert shown.num_planned == 543 - 4 * 3
    assert [(one.arm, one.why) for one in shown.not_planned][1] == ("entropy", why)
    assert verdicts(shown)["spurious-entropy"] == "agrees"
    assert "low entropy" in said(shown, "order-of-cells").split("By itself")[0]


def test_clear_errors(results):
    with pytest.raises(ValueError, match="alignment"):
        conclude(results | {"study": "astrology"})
    with pytest.raises(ValueError, match="'model_title'"):
        conclude(results | {"cells": [{"name": "a", "group": "lab", "task": "t", "seeds": [0]}]})
    uneven = run_of("adder, sums", TRUTH, 0, [1, 2], [1], 16)
    with pytest.raises(ValueError, match="seed 0 has 2 prompts before and 1 after"):
        conclude(results | {"runs": [uneven]})


def test_pairs_that_never_differed_are_said_to_be_no_test(tmp_path: Path) -> None:
    results = planted(tmp_path)

    def num_alike() -> int:
        found = next(claim for claim in conclude(results).claims if claim.code == "no-clip").found
        return int(found.split(" pairs of runs are alike")[0].split(". ")[-1].split(" of ")[0]) if "alike" in found else 0

    before = num_alike()
    clipped = {(run["cell"], run["seed"]): run for run in results["runs"] if run["arm"] == "random"}
    changed = [run for run in results["runs"] if run["arm"] == "random_no_clip" and run["cell"] == "adder, sums"]
    for run in changed:
        run["after"] = clipped[run["cell"], run["seed"]]["after"]
    assert len(changed) == 5
    assert num_alike() == before + 5
