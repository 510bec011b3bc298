"""What of attempts and decisions moved: the prompts' parts make up the measures, and the interval knows what the sides share."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from jominy.measures.attempts import AttemptTable
from jominy.measures.decision_changes import ONE_FOLDER, change_between, decision_changes, kinds_of
from jominy.measures.decisions import rate_sums
from jominy.measures.summed import Summed
from jominy.records import Measure

WORDS = ("wr ca", "wr wf", "ca", "wa", "cr wf", "cr cf", "wr", "w-", "?a", "?r cf", "")


def table(seed: int, num_prompts: int = 8, size: int = 5) -> AttemptTable:
    """Responses drawn from all kinds, with answers; a few unscored ones and broken forms."""
    rng = np.random.default_rng(seed)
    texts = [[WORDS[int(rng.integers(len(WORDS)))] for _ in range(size)] for _ in range(num_prompts)]
    flat = [text for group in texts for text in group]
    plain = AttemptTable.of(
        texts, scored=(rng.random(len(flat)) < 0.9).tolist(), problems=["" if rng.random() < 0.8 else "no verdict" for _ in flat]
    )
    return replace(plain, answer_A=rng.integers(-1, 2, size=len(plain.rollout_A)))


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_of_the_prompts_make_up_every_measure(seed: int) -> None:
    """What a measure says is what its function makes of the sums over prompts, which is all that leaving one out looks at."""
    kinds = kinds_of(table(seed), 2, np.random.default_rng(0))
    found = [side for sides in kinds.values() for side in sides]
    assert len(found) > 25
    for side in found:
        value = float(np.squeeze(side.value(side.sums_PM.sum(axis=0))))
        if side.measure.value is None:
            assert math.isnan(value), side.measure.name
        else:
            assert value == pytest.approx(side.measure.value), side.measure.name


def test_differences_are_after_minus_before() -> None:
    found = decision_changes(table(0), table(1), num_attempts=2, rng=np.random.default_rng(0))
    assert [name for name, _ in found] == ["sampling", "decision", "transitions", "optimality", "attempt 1"]
    for _, changes in found:
        for change in changes:
            if change.before.value is None or change.after.value is None:
                assert change.difference.value is None
                assert change.difference.why_none
                continue
            moved = change.difference
            assert moved.value is not None
            assert moved.value == pytest.approx(change.after.value - change.before.value)
            if moved.low is not None and moved.high is not None:
                assert moved.low <= moved.value <= moved.high
                assert change.name != "false accept" or -1 <= moved.low <= moved.high <= 1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_is_that_of_leaving_one_prompt_out_of_both(sign: int) -> None:
    """Prompts that fool one policy fool the other too, or do just not: the spread of the difference itself, against the interval."""
    draw, num_prompts = np.random.default_rng(7), 60
    lean_P, prompt = draw.normal(0, 0.2, num_prompts), np.repeat(np.arange(num_prompts), 20)
    accepted = [draw.random(1200) < np.clip(mean + side * lean_P[prompt], 0, 1) for mean, side in ((0.6, 1), (0.35, sign))]

    def moved(keep: np.ndarray) -> Measure:
        wrong = np.zeros(int(keep.sum()), dtype=bool)
        sides = [rate_sums(hit[keep].astype(np.float64), wrong, prompt[keep], num_prompts)["accept_wrong"] for hit in accepted]
        return change_between(*sides).difference

    without = np.array([moved(prompt != p).value for p in range(num_prompts)])
    jackknife = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    measure = moved(np.ones(1200, dtype=bool))
    assert measure.low is not None
    assert measure.high is not None
    assert (measure.high - measure.low) / 2 == pytest.approx(2.001 * jackknife, rel=0.12)  # t of 59 degrees


def test_coverage_of_the_difference_of_false_accepts() -> None:
    """Prompts of which some fool both policies: s_i is 0.6 -+ 0.3 before and 0.3 -+ 0.2 after, 24 prompts of 6 wrong attempts."""
    held, total = 0, 200
    wrong, prompt = np.zeros(144, dtype=bool), np.repeat(np.arange(24), 6)
    for seed in range(total):
        rng = np.random.default_rng(seed)
        hard = rng.choice([-1.0, 1.0], size=24)
        sides: list[Summed] = []
        for mean, spread in ((0.6, 0.3), (0.3, 0.2)):
            accepted = rng.random((24, 6)) < (mean + spread * hard)[:, None]
            sides.append(rate_sums(accepted.ravel().astype(np.float64), wrong, prompt, 24)["accept_wrong"])
        found = change_between(*sides).difference
        assert found.low is not None
        assert found.high is not None
        held += found.low <= -0.3 <= found.high
    assert 184 <= held <= 198  # 190 expected of 200, standard deviation 3.1


def test_sides_of_other_prompts_say_so() -> None:
    before, after = AttemptTable.of([["wa", "wr cf"]] * 6), AttemptTable.of([["wa", "wr cf"]] * 2 + [["ca", "ca"]] * 4)
    changes = dict(decision_changes(before, after, num_attempts=2, rng=np.random.default_rng(0)))
    found = {change.name: change for change in changes["decision"]}
    false_accept = found["false accept"]
    assert (false_accept.before.num_prompts, false_accept.after.num_prompts, false_accept.difference.num_prompts) == (6, 2, 6)
    assert false_accept.difference.meaning.endswith("From 6 prompts before and 2 after, 2 of them the same.")
    assert "From" not in found["decision accuracy"].difference.meaning


def test_one_side_does_not_hang_on_the_other() -> None:
    alone, beside = (decision_changes(before, table(1), num_attempts=2, rng=np.random.default_rng(0)) for before in (None, table(0)))
    assert [change.after for _, changes in alone for change in changes] == [change.after for _, changes in beside for change in changes]


def test_one_attempt_decides_nothing_and_one_folder_moves_nothing() -> None:
    single = AttemptTable.of([["cf", "wf"], ["cf", "cf"]])
    found = dict(decision_changes(None, single, num_attempts=1, rng=np.random.default_rng(0)))
    assert found["decision"] == ()
    assert found["optimality"] == ()
    assert list(found) == ["sampling", "decision", "transitions", "optimality"]
    first = found["sampling"][0]
    assert first.after.value == 0.75
    assert (first.before.value, first.before.why_none, first.difference.why_none) == (None, ONE_FOLDER, ONE_FOLDER)
    with pytest.raises(ValueError, match="same prompts; got 2 before and 1 after"):
        decision_changes(single, AttemptTable.of([["cf"]]), num_attempts=1, rng=np.random.default_rng(0))


def test_the_order_of_rollouts_says_nothing() -> None:
    one = [["wa", "wr ca", "ca"], ["wa", "wr cf", "ca"]]
    turned = [group[::-1] for group in one]
    other = AttemptTable.of([["ca"], ["wr ca"]])
    found = [decision_changes(AttemptTable.of(side), other, num_attempts=2, rng=np.random.default_rng(3)) for side in (one, turned)]
    assert found[0] == found[1]
