"""Claims of the study of decisions: planted gains come out as verdicts, what is missing as none, and its tables say both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.conclusion import Claim, Conclusion
from jominy.measures.attempts import AttemptTable
from jominy.measures.chain import counted
from jominy.measures.values import retry_theory
from jominy.studies.concluding import conclude
from jominy.studies.decisions import chained, claims, distances, exactly, paper, penalising, stopping, theory, told
from jominy.studies.decisions.design import OPPONENTS, RL, SFT, SFT_MASKED, STRENGTHS, kl_arm
from jominy.studies.decisions.estimating import verdict_at, verdict_of_share
from jominy.studies.reading import read_runs
from jominy.studies.writing import readme_of
from tests.decisions_results import AS_CLAIMED, CONTRARY, NATS, PROMPTS, UNSPARED, Parts, planted

Results = dict[str, Any]
Line = dict[str, Any]


def verdicts(results: Results) -> dict[str, Claim]:
    return {claim.code: claim for claim in claims.claims(read_runs(results))}


def changed(results: Results, change: Callable[[Line], Line]) -> Results:
    """The same with every run changed; a change returns a new line."""
    return results | {"runs": [change(run) for run in results["runs"]]}


@pytest.fixture(scope="module")
def as_claimed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def concluded(as_claimed: Results) -> Conclusion:
    return conclude(as_claimed)


@pytest.fixture(scope="module")
def found(as_claimed: Results) -> dict[str, Claim]:
    return verdicts(as_claimed)


def test_planted_claims_come_out(found: dict[str, Claim]) -> None:
    expected = dict.fromkeys(found, "agrees")
    # 0.02 of the 0.23 that GRPO leads by, and 0.17 of them
    expected |= {"length-closes-gap": "disagrees", "states-close-gap": "agrees"}
    assert {code: claim.verdict for code, claim in found.items()} == expected
    assert set(paper.PRIMARY) <= set(found)
    assert list(found)[:3] == list(paper.PRIMARY)
    assert found["states-close-gap"].found.count("it closes") == len(OPPONENTS)
    assert "GRPO rose and SFT rose" in found["rl-generalises"].found
    assert "GRPO rose and SFT, no wrong attempts rose" in found["rl-generalises"].found
    # what is decided needs no word about what would have been seen
    assert "smaller effect" not in found["mainly-decisions"].would_take


def test_the_contrary_comes_out(tmp_path: Path) -> None:
    contrary = {
        code: claim.verdict
        for code, claim in verdicts(planted(tmp_path, CONTRARY, stops=-0.15, blind=True, contrast=-1e-4, nats=UNSPARED)).items()
    }
    # identities do not depend on runs, and RL still leads SFT
    assert {code for code, verdict in contrary.items() if verdict != "disagrees"} == {"theory", "rl-generalises", "length-closes-gap"}
    assert contrary["length-closes-gap"] == "agrees"


@pytest.mark.parametrize("parts", [(0.25, 0.03), (0.05, 0.30)], ids=["attempts", "decisions"])
def test_both_opponents_must_be_led_in_the_same_way(tmp_path: Path, parts: tuple[float, float]) -> None:
    """Over SFT mainly by decisions; over SFT without wrong attempts by attempts, or by decisions too."""
    masked: Parts = {**AS_CLAIMED, "grpo": (0.10, 0.20), "sft_masked": (0.10 - parts[0], 0.20 - parts[1])}
    results = planted(tmp_path, masked)
    claim = verdicts(results)["mainly-decisions"]
    expected = "cannot tell" if parts[0] > parts[1] else "agrees"
    assert claim.verdict == expected
    assert "GRPO over SFT, no wrong attempts out of distribution" in claim.found


@pytest.mark.parametrize("masked", [(0.10, 0.20), (0.15, 0.30)], ids=["alike", "more"])
def test_a_lead_over_imitated_errors_alone_is_no_generalisation(tmp_path: Path, masked: tuple[float, float]) -> None:
    """SFT that does not learn planted errors gains as much as GRPO, or more: what GRPO leads plain SFT by is not learning them."""
    runs = read_runs(planted(tmp_path, {**AS_CLAIMED, "sft_masked": masked}))
    over_plain = told.gain_estimate(runs, told.cells_of(runs), {RL: 1.0, SFT: -1.0}, None)
    assert verdict_at(over_plain) == "agrees"
    assert claims.rl_generalises(runs).verdict == "cannot tell"


def test_a_gap_that_only_imitated_errors_make_is_not_closed(tmp_path: Path) -> None:
    """Plain SFT loses by planted errors; own attempts with true verdicts do no more than leave those out."""
    parts: Parts = {**AS_CLAIMED, "sft": (-0.10, 0.0), "sft_masked": (0.05, 0.10), "corrected": (0.05, 0.10)}
    runs = read_runs(planted(tmp_path, parts))
    # 0.25 of 0.40, and nothing of 0.15
    by_opponent = [verdict_of_share(*claims.part_and_gap(runs, "corrected", over), 0.5) for over in (SFT, SFT_MASKED)]
    assert by_opponent == ["agrees", "disagrees"]
    assert claims.closes_gap(runs, "corrected").verdict == "cannot tell"
    _, gap = claims.part_and_gap(runs, "corrected", SFT_MASKED)
    assert gap is not None
    assert gap.value == pytest.approx(0.15, abs=0.03)
    # an arm has nothing of the lead over itself
    itself, _ = claims.part_and_gap(runs, SFT_MASKED, SFT_MASKED)
    assert itself is not None
    assert itself.value == 0.0


def test_of_no_gain_nothing_is_recovered(tmp_path: Path) -> None:
    """Credit for attempts leads that for decisions, but GRPO itself gained nothing."""
    parts: Parts = {**AS_CLAIMED, "grpo": (0.0, 0.0), "grpo_decision": (0.0, 0.0), "grpo_sampling": (0.15, 0.0)}
    runs = read_runs(planted(tmp_path, parts))
    lead = told.gain_estimate(runs, told.cells_of(runs), {"grpo_decision": 1.0, "grpo_sampling": -1.0}, None)
    assert verdict_at(lead) == "disagrees"
    assert claims.decision_credit(runs).verdict == "cannot tell"


def test_a_gain_that_is_none_is_not_split(tmp_path: Path) -> None:
    claim = verdicts(planted(tmp_path, {**AS_CLAIMED, "sft": (0.20, 0.25), "sft_masked": (0.20, 0.25)}))
    assert claim["mainly-decisions"].verdict == "cannot tell"
    assert claim["mainly-decisions"].found.count("GRPO does not lead, so there is nothing to split.") == 2
    assert claim["rl-generalises"].verdict == "disagrees"


def test_losing_less_is_no_generalisation(tmp_path: Path) -> None:
    claim = verdicts(planted(tmp_path, {**AS_CLAIMED, "grpo": (-0.03, -0.05), "sft": (-0.08, -0.12), "sft_masked": (-0.08, -0.1)}))[
        "rl-generalises"
    ]
    assert claim.verdict == "cannot tell"
    assert "GRPO fell and SFT fell" in claim.found
    assert "GRPO itself surely lost" in claim.found


def test_a_cell_without_squares_or_runs_takes_the_verdict(as_claimed: Results) -> None:
    """An SFT that exploded in one cell: the other cell alone is no verdict, and the text names the one that lacks it."""
    why = "SFT exploded, so it left no model"

    def without_square(run: Line) -> Line:
        lost = {"square_sft": None, "why_no_square_sft": why} if run["cell"] == "countdown" and run["arm"] == RL else {}
        return run | {"more": run["more"] | lost}

    claim = verdicts(changed(as_claimed, without_square))["mainly-decisions"]
    assert claim.verdict == "cannot tell"
    assert f"no squares of countdown. {why}." in claim.found

    without = as_claimed | {"runs": [run for run in as_claimed["runs"] if (run["cell"], run["arm"]) != ("countdown", SFT)]}
    lacking = verdicts(without)
    assert lacking["rl-generalises"].verdict == "cannot tell"
    assert "not every cell has finished runs of it" in lacking["rl-generalises"].found
    assert lacking["length-closes-gap"].verdict == "cannot tell"
    # what needs no SFT stands
    assert lacking["decision-credit"].verdict == "agrees"


def test_one_seed_or_an_older_file_is_no_verdict(as_claimed: Results) -> None:
    one = as_claimed | {"runs": [run for run in as_claimed["runs"] if run["seed"] == 0]}
    found = verdicts(one)
    of_runs = set(found) - {"theory", "balanced-coefficients", "verification-easier"}
    assert {found[code].verdict for code in of_runs} == {"cannot tell"}
    masked = {"square_sft_masked", "why_no_square_sft_masked"}
    older = changed(as_claimed, lambda run: run | {"more": {key: value for key, value in run["more"].items() if key not in masked}})
    assert verdicts(older)["mainly-decisions"].verdict == "cannot tell"


def test_an_open_verdict_says_what_would_have_been_seen(tmp_path: Path) -> None:
    """Half by decisions, half by attempts: which of the two cannot be told, and how well the difference is known can."""
    even: Parts = {**AS_CLAIMED, "grpo": (0.20, 0.17), "sft": (0.05, 0.02), "sft_masked": (0.05, 0.02)}
    runs = read_runs(planted(tmp_path, even))
    claim = claims.mainly_decisions(runs)
    wide = []
    for arm in OPPONENTS:
        split = told.split_of(runs, told.cells_of(runs), RL, None, against=told.square_with(arm))
        assert split is not None
        measure = claims.gain_measure(split.lead)
        assert measure.low is not None
        assert measure.high is not None
        wide.append(50 * (measure.high - measure.low))
    assert claim.verdict == "cannot tell"
    assert f"known to {max(wide):.1f} points on either side" in claim.would_take


def test_a_broken_form_is_no_verdict_on_stopping(as_claimed: Results) -> None:
    """The strongest KL in the reward leaves checks without a verdict: what is left of the bank is not compared."""

    def broken(run: Line) -> Line:
        bank = [None if place % 4 == 0 else chance for place, chance in enumerate(run["more"]["bank"])]
        return run | {"more": run["more"] | {"bank": bank}} if run["arm"] == "kl_reward_strong" else run

    claim = verdicts(changed(as_claimed, broken))["kl-reward-stops"]
    assert claim.verdict == "cannot tell"
    # 8 of 32 states, the one that had none among them
    assert "on 75.0 % of the bank only" in claim.found
    whole = verdicts(as_claimed)["kl-reward-stops"].found
    assert whole.count("accepts right") == 2 * len(STRENGTHS)
    assert "known to" in claim.would_take


def test_kl_arms_are_paired_by_nats_and_not_by_name(tmp_path: Path) -> None:
    """Acceptance falls with nats alike under both kinds; of one name that in the reward is nearer to the start, so it accepts more."""
    nats: Parts = {**NATS, **{kl_arm("loss", name): (far, 0.0) for name, far in zip(STRENGTHS, (3.0, 2.0, 1.0), strict=True)}}
    nats |= {kl_arm("reward", name): (far, 0.0) for name, far in zip(STRENGTHS, (2.0, 1.0, 1.0), strict=True)}
    results = planted(tmp_path, nats=nats)

    def by_nats(more_accepted: float) -> Results:
        def accepting(run: Line) -> Line:
            far, rng = nats.get(run["arm"], (0.0, 0.0))[0], np.random.default_rng([*run["arm"].encode(), run["seed"]])
            push = more_accepted if run["arm"].startswith("kl_reward") else 0.0
            bank = 0.8 - 0.1 * far + push + rng.normal(0, 0.03, size=len(run["more"]["bank"]))
            return run | {"more": run["more"] | {"bank": bank.tolist()}}

        return changed(results, accepting)

    alike = read_runs(by_nats(0.0))
    pairs = distances.pairs_of(alike, "sums")
    assert [pair.reward for pair in pairs] == [kl_arm("reward", name) for name in STRENGTHS]
    assert [pair.loss for pair in pairs] == [kl_arm("loss", name) for name in ("middle", "strong", "strong")]
    assert all(pair.is_alike for pair in pairs)
    # by name the difference would be (0.1 + 0.1 + 0.0) / 3
    assert stopping.stops(alike).verdict == "cannot tell"
    found = stopping.stops(read_runs(by_nats(0.1)))
    assert found.verdict == "agrees"
    assert f"Paired by nats a response, sums: `{alike.title(kl_arm('reward', 'weak'))}` (" in found.found


def accepting(results: Results, right: float, wrong: float) -> Results:
    """Policies with a KL in the loss accept 0.9 of the right and 0.5 of the wrong attempts of the bank, one in the reward so much more."""

    def change(run: Line) -> Line:
        rng, half = np.random.default_rng([*run["arm"].encode(), run["seed"]]), len(run["more"]["bank"]) // 2
        push = (right, wrong) if run["arm"].startswith("kl_reward") else (0.0, 0.0)
        bank = np.concatenate([rng.normal(0.9 + push[0], 0.01, size=half), rng.normal(0.5 + push[1], 0.01, size=half)])
        return run | {"more": run["more"] | {"bank": bank.tolist()}}

    return changed(results, change)


@pytest.mark.parametrize(
    ("right", "wrong", "verdict"),
    [
        # accepted nearly always from the start, right attempts need not rise
        (0.0, 0.1, "agrees"),
        (0.05, 0.1, "agrees"),
        (0.0, -0.1, "disagrees"),
        (-0.05, -0.1, "disagrees"),
        # sharper or blunter decisions are no push to stop, and neither is what right attempts do alone
        (-0.05, 0.1, "cannot tell"),
        (0.05, -0.1, "cannot tell"),
        (0.05, 0.0, "cannot tell"),
        (-0.05, 0.0, "cannot tell"),
    ],
)
def test_stopping_is_told_by_wrong_attempts(as_claimed: Results, right: float, wrong: float, verdict: str) -> None:
    assert stopping.stops(read_runs(accepting(as_claimed, right, wrong))).verdict == verdict


def moving(results: Results, nats: dict[str, float]) -> Results:
    """Arms end at these nats a response, all of them on attempts."""

    def change(run: Line) -> Line:
        if run["arm"] not in nats:
            return run
        kl = {"sampling": {"nats": nats[run["arm"]], "tokens": 40.0}, "decision": {"nats": 0.0, "tokens": 30.0}}
        return run | {"more": run["more"] | {"kl": kl}}

    return changed(results, change)


def test_arms_that_moved_differently_are_not_held_against_each_other(as_claimed: Results) -> None:
    """The weak KL in the reward accepts far more, and moved far less; the middle one accepts as those in the loss do."""
    loss = {kl_arm("loss", name): nats for name, nats in zip(STRENGTHS, (4.0, 2.0, 1.0), strict=True)}

    def accepts_more(run: Line) -> Line:
        bank = [None if one is None else one + 0.3 * (run["arm"] == kl_arm("reward", "weak")) for one in run["more"]["bank"]]
        return run | {"more": run["more"] | {"bank": bank}}

    level = changed(accepting(as_claimed, 0.0, 0.0), accepts_more)
    # 0.49 is less than half of the nearest, 0.51 is not, 9 is more than twice; a KL that is not above 0 is none
    found = []
    for weak in (0.49, 0.51, 9.0, -0.1):
        reward = {kl_arm("reward", "weak"): weak, kl_arm("reward", "middle"): 2.0, kl_arm("reward", "strong"): 1.0}
        runs = read_runs(moving(level, {**loss, **reward}))
        assert [pair.is_alike for pair in distances.pairs_of(runs, "sums")] == [weak == 0.51, True, True]
        found.append(stopping.stops(runs))
    assert [claim.verdict for claim in found] == ["cannot tell", "agrees", "cannot tell", "cannot tell"]
    assert "left out `KL in the reward" in found[0].found
    assert "left out" not in found[1].found
    # with no pair in one of the cells there is no verdict, whatever the other says
    none = {kl_arm("reward", name): 50.0 for name in STRENGTHS}
    pushed = accepting(as_claimed, 0.05, 0.2)
    lone = moving(pushed, {**loss, **none})
    runs = read_runs(
        pushed | {"runs": [new if new["cell"] == "sums" else old for new, old in zip(lone["runs"], pushed["runs"], strict=True)]}
    )
    assert distances.pairs_of(runs, "countdown")[0].is_alike
    claim = stopping.stops(runs)
    assert claim.verdict == "cannot tell"
    assert "sums: none; left out" in claim.found
    assert stopping.NO_PAIRS in claim.found


def test_what_a_kl_leaves_of_each_stage(as_claimed: Results, tmp_path: Path) -> None:
    runs = read_runs(as_claimed)
    claim = penalising.spares(runs)
    # 5 % a run: every share is near what is planted, decisions keep (0.1 + 0.2 + 0.2) / 3 more
    spared = penalising._spared(runs, "sums")
    assert spared is not None
    assert spared.value == pytest.approx(0.5 / 3, abs=0.06)
    assert [(part.moved_SP.shape, part.shared) for part in spared.parts] == [((5, 1), False)]
    assert claim.found.count("on attempts and") == len(STRENGTHS)

    def lost(run: Line) -> Line:
        return run | {"more": run["more"] | {"kl": None}} if (run["arm"], run["seed"]) == ("kl_loss_weak", 0) else run

    assert penalising.spares(read_runs(changed(as_claimed, lost))).verdict == "cannot tell"
    still = planted(tmp_path, nats={**NATS, "grpo": (0.0, 1.5)})
    assert penalising.spares(read_runs(still)).verdict == "cannot tell"
    alike = planted(tmp_path, nats={**NATS, **{kl_arm("loss", name): (2.0, 0.75) for name in STRENGTHS}})
    assert penalising.spares(read_runs(alike)).verdict == "cannot tell"


def test_verification_is_held_against_first_attempts_at_new_prompts(as_claimed: Results) -> None:
    """Prompts that were shown are known by heart: all of them are right, and one in four of the others."""
    cells = []
    for cell in as_claimed["cells"]:
        more = cell["base"]["more"]
        right = [50 if shown else 12 for shown in more["shown"]]
        known = {**more["counts"], "attempts": {"1 right accept": right, "1 wrong accept": [50 - number for number in right]}}
        cells.append({**cell, "base": cell["base"] | {"more": more | {"counts": known}}})
    found = exactly.verified(read_runs(as_claimed | {"cells": cells}), "sums")
    assert found is not None
    # 12 of 16 prompts were not shown, with 12 of 50 right each; over all prompts it would be (4 * 50 + 12 * 12) / 800 = 0.43
    assert found.num_unshown == 12
    assert found.first.value == pytest.approx(0.24)
    everything = [
        {**cell, "base": cell["base"] | {"more": cell["base"]["more"] | {"shown": [True] * PROMPTS}}} for cell in as_claimed["cells"]
    ]
    none = read_runs(as_claimed | {"cells": everything})
    unknown = exactly.verified(none, "sums")
    assert unknown is not None
    assert unknown.first.value is None
    assert "every prompt of the base was shown" in unknown.first.why_none
    assert exactly.verification(none).verdict == "cannot tell"


def test_a_lead_is_told_on_prompts_that_were_not_shown(as_claimed: Results) -> None:
    """GRPO gets all that was shown right, and what was not shown as before; two prompts are shown, to the last seed three."""

    def by_heart(run: Line) -> Line:
        shown = [place < 2 + (run["seed"] == 4) for place in range(PROMPTS)]
        after = [50 if known else before for known, before in zip(shown, run["before"], strict=True)] if run["arm"] == RL else run["before"]
        return run | {"after": after, "more": run["more"] | {"shown": shown}}

    runs = read_runs(changed(as_claimed, by_heart))
    everything, new = (told.gain_estimate(runs, ["sums"], {RL: 1.0}, [told.IN]), told.unshown_gain(runs, ["sums"], {RL: 1.0}))
    assert everything is not None
    assert new is not None
    assert everything.value > 0.05
    assert new.value == 0.0
    lead = told.unshown_gain(read_runs(as_claimed), ["sums", "countdown"], {RL: 1.0, SFT: -1.0})
    assert lead is not None
    assert lead.value == pytest.approx(0.23, abs=0.03)
    no_run = as_claimed | {"runs": [run for run in as_claimed["runs"] if run["arm"] != SFT]}
    assert told.unshown_gain(read_runs(no_run), ["sums"], {RL: 1.0, SFT: -1.0}) is None


def test_any_moment_of_a_study_can_be_concluded(as_claimed: Results, found: dict[str, Claim]) -> None:
    codes = [list(verdicts(as_claimed | {"runs": as_claimed["runs"][:number]})) for number in (0, 1, 30)]
    assert all(some == list(found) for some in codes)
    nothing = conclude(as_claimed | {"runs": [], "cells": [{**cell, "base": None} for cell in as_claimed["cells"]]})
    assert {claim.verdict for claim in nothing.claims if claim.code != "theory"} == {"cannot tell"}


def test_estimates_are_near_what_was_planted(as_claimed: Results) -> None:
    runs = read_runs(as_claimed)
    cells = told.cells_of(runs)
    split = told.split_of(runs, cells, RL, None, against=told.square_with(SFT))
    assert split is not None
    # (0.10 - 0.05, 0.20 - 0.02)
    assert (split.sampling.value, split.decision.value) == pytest.approx((0.05, 0.18), abs=0.02)
    assert split.total.value == pytest.approx(split.sampling.value + split.decision.value)
    assert split.lead.value == pytest.approx(split.decision.value - split.sampling.value)
    out = told.gain_estimate(runs, ["sums"], {RL: 1.0}, None)
    assert out is not None
    assert out.value == pytest.approx(0.3, abs=0.03)
    # two further tasks of sums with the same prompts for all seeds, and held-out prompts of their own
    assert [(part.moved_SP.shape, part.shared) for part in out.parts] == [((5, 2 * PROMPTS), True)]
    inside = told.gain_estimate(runs, cells, {RL: 1.0}, [told.IN])
    assert inside is not None
    assert [(part.moved_SP.shape, part.shared) for part in inside.parts] == [((5, PROMPTS), False)] * 2
    one = told.gain_estimate(runs, ["sums"], {RL: 1.0}, ["longer numbers"])
    assert one is not None
    assert one.value == pytest.approx(told.beyond(runs, "longer numbers").gain("gain", ["sums"], {RL: 1.0}).value)
    right = told.rate_estimate(runs, "sums", "kl_reward_weak", "accept_right", range(5), [told.IN])
    assert right is not None
    assert right.value == pytest.approx(0.85, abs=0.03)


def test_columns_of_the_chain_are_those_of_the_table() -> None:
    """The counts that are kept hold all that the chain counts."""
    from jominy.studies.decisions.responding import counts_of

    table = AttemptTable.of([["wr cr wa", "ca", "cr wf"], ["wr wr ca", "w-", "wr cf"]], problems=["", "", "", "", "no verdict", ""])
    np.testing.assert_array_equal(chained.columns_of(counts_of(table, 3)), counted(table))


def test_the_chain_splits_what_decisions_alone_gain(as_claimed: Results) -> None:
    """A policy that attempts as before and decides better gains by decisions alone, as much as the chain's value says."""
    before, after = (0.6, 0.6), (0.9, 0.2)

    def exact(accept_right: float, accept_wrong: float) -> Line:
        """Expected counts of a million responses to each of two prompts."""
        million = 1_000_000
        cells = {"1 right accept": accept_right, "1 right retry": 1 - accept_right}
        cells |= {"1 wrong accept": accept_wrong, "1 wrong retry": 1 - accept_wrong}
        columns = {name: [round(million / 2 * chance)] * 2 for name, chance in cells.items()}
        retried = [[million // 2] * 2, [million] * 2]
        return {"num_rollouts": million, "right": [1, 1], "attempts": columns, "after_right": retried, "after_wrong": retried}

    def sharper(run: Line) -> Line:
        tests = run["more"]["further"]
        own = {"further": dict.fromkeys(tests, exact(*after)), "after": exact(*after), "before": exact(*before)}
        return run | {"more": run["more"] | own}

    results = changed(as_claimed, sharper)
    bases = [cell["base"] for cell in results["cells"]]
    cells = [
        {**cell, "base": base | {"more": base["more"] | {"further": dict.fromkeys(cell["further"], exact(*before))}}}
        for cell, base in zip(results["cells"], bases, strict=True)
    ]
    runs = read_runs(results | {"cells": cells})

    def value(accept_right: float, accept_wrong: float) -> float:
        return retry_theory(0.5, accept_right=accept_right, accept_wrong=accept_wrong, num_attempts=3).value

    gain = value(*after) - value(*before)
    for tests in ([told.IN], None):
        split = chained.chained_split(runs, ["sums", "countdown"], RL, tests)
        assert split is not None
        assert (split.total.value, split.decision.value, split.sampling.value) == pytest.approx((gain, gain, 0.0), abs=1e-5)
    against_sft = chained.chained_split(runs, ["sums"], RL, None, against=told.square_with(SFT))
    assert against_sft is not None
    assert against_sft.total.value == pytest.approx(0.0)


def test_every_section_says_what_is_there(concluded: Conclusion) -> None:
    tables = {section.code: section.tables for section in concluded.sections}
    budgets = {row[0].text: [entry.text for entry in row] for row in tables["budgets"][0].rows}
    assert len(budgets) == len(concluded.arms)
    assert {"480", "123", "3,840", "200,000", "100,000", "300,000"} <= set(budgets["SFT"])
    # two of 16 held-out prompts of each seed
    assert "It was shown 10 of the 80 held-out prompts of 5 seeds" in tables["decisions"][3].note
    # each variant over plain SFT, and over SFT without wrong attempts all but itself
    assert [row[0].text for row in tables["gap"][0].rows] == ["SFT"] * 4 + ["SFT, no wrong attempts"] * 3
    # the warm starts, then in and out of distribution for each cell, with a row of the warm start's own states in both
    by_caption = {table.caption: table for table in tables["decisions"]}
    inside, outside = by_caption["`sums`, in distribution"], by_caption["`sums`, on the further tasks"]
    assert [table.rows[0][0].text for table in (inside, outside)] == ["warm start", "warm start"]
    assert len(outside.rows) == 1 + len(concluded.arms)
    # 1 broken response of 50, half of them cut; 40 tokens each
    assert [entry.text for entry in inside.rows[-1][-4:]] == ["0.0 %", "2.0 %", "1.0 %", "40.0"]
    over_sft, over_start = tables["swap"][:2]
    where = [told.IN, "out of distribution", "longer numbers", "a new operator"]
    assert [(row[1].text, row[2].text) for row in over_sft.rows] == [
        (title, one) for title in ("SFT", "SFT, no wrong attempts") for one in where
    ]
    assert over_start.folded
    assert len(over_start.rows) == len(concluded.arms) * len(where)
    # the chain stands beside each
    assert all(entry.tone != "muted" for row in over_sft.rows for entry in row[-2:])
    assert [row[0].text for row in tables["coefficients"][0].rows] == ["grpo", "sft"]
    assert {row[-1].text for row in tables["identities"][0].rows} == {"holds"}
    assert {plot.code for plot in concluded.plots} == {"gains", "beyond", "swap", "kl"}
    assert all(panel.points for plot in concluded.plots for panel in plot.panels)


def test_checks_are_not_counted_among_the_claims(concluded: Conclusion) -> None:
    assert [claim.code for claim in concluded.claims if claim.check] == ["theory", "balanced-coefficients"]
    text = readme_of(concluded, ())
    # of the claims about runs and warm starts the planted gains deny one
    num_evidence = len(concluded.claims) - 2
    assert f"Of {num_evidence} claims, by rule: {num_evidence - 1} agree, 1 disagree, 0 cannot be told. Of 2 checks, 2 hold." in text


def test_identities_hold_and_a_wrong_form_breaks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(one.holds for one in theory.identities())

    def wrong(chance: float, *, accept_right: float, accept_wrong: float, num_attempts: int) -> Any:
        return retry_theory(chance, accept_right=accept_wrong, accept_wrong=accept_right, num_attempts=num_attempts)

    monkeypatch.setattr(theory, "retry_theory", wrong)
    claim = exactly.exact_theory()
    assert claim.verdict == "disagrees"
    # the KL identities and the oracle's value know nothing of the two
    assert claim.found.startswith("7 of 10 hold")
