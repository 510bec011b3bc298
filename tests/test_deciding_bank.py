"""The bank of attempts, and how likely a policy of coins is to accept each: by hand and exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jominy.deciding.bank import State, _to_verdict, decide_on, make_bank
from jominy.readers import load_reader
from jominy.records import Sampling
from jominy.tasks.loading import load_task
from tests.coins import CoinEngine, prompt, retrying, said

SAMPLING = Sampling(max_tokens=20)
PROMPTS = [prompt(number) for number in range(3)]
ROLLOUTS = [
    said(PROMPTS[0], "w/n.r/a.", stop="eos"),
    said(PROMPTS[1], "r/a.", stop="eos"),
    # the third attempt is forced: nothing is decided about it
    said(PROMPTS[2], "w/n.w/n.r/", stop="eos"),
]
RIGHT = {("p0", "w/n.r/"), ("p1", "r/")}
WRONG = {("p0", "w/"), ("p2", "w/"), ("p2", "w/n.w/")}


def test_a_bank_is_half_and_half() -> None:
    bank = make_bank(ROLLOUTS, PROMPTS, retrying(), np.random.default_rng(0), 4)
    assert (bank.missing_right, bank.missing_wrong) == (0, 0)
    assert [state.correct for state in bank.states] == [True, True, False, False]
    assert {(state.prompt.id, state.text) for state in bank.states[:2]} == RIGHT
    wrong = {(state.prompt.id, state.text) for state in bank.states[2:]}
    assert wrong < WRONG
    assert {identity for identity, _ in wrong} == {"p0", "p2"}
    again = make_bank(ROLLOUTS[::-1], PROMPTS, retrying(), np.random.default_rng(0), 4)
    assert again == bank
    # p0 has both
    assert bank.num_paired == 1
    assert [bank.states[0].prompt.id, bank.states[2].prompt.id] == ["p0", "p0"]
    banks = [make_bank(ROLLOUTS, PROMPTS, retrying(), np.random.default_rng(seed), 4) for seed in range(20)]
    assert {text for bank in banks for text in [state.text for state in bank.states[2:]]} == {"w/", "w/n.w/"}


def test_right_and_wrong_are_of_the_same_prompts_and_attempts() -> None:
    prompts = [prompt(number) for number in range(8)]
    texts = ["r/a.", "r/n.w/n.r/", "r/a.", "r/a.", "r/a.", "w/n.w/n.r/", "w/n.w/n.r/", "w/n.w/n.r/"]
    rollouts = [said(one, text, stop="eos") for one, text in zip(prompts, texts, strict=True)] + [said(prompts[0], "w/n.r/a.", stop="eos")]
    for seed in range(20):
        bank = make_bank(rollouts, prompts, retrying(), np.random.default_rng(seed), 4)
        assert (bank.num_paired, bank.missing_right, bank.missing_wrong) == (2, 0, 0)
        # p0 has a right second attempt too, but no wrong one; p1 has a right first and a wrong second attempt
        found = [{state.prompt.id: state.text for state in half} for half in (bank.states[:2], bank.states[2:])]
        assert found == [{"p0": "r/", "p1": "r/"}, {"p0": "w/", "p1": "r/n.w/"}]
        assert [state.prompt.id for state in bank.states[:2]] == [state.prompt.id for state in bank.states[2:]]
        larger = make_bank(rollouts, prompts, retrying(), np.random.default_rng(seed), 8)
        assert (larger.num_paired, len(larger.states)) == (2, 8)
        ids = [[state.prompt.id for state in half] for half in (larger.states[:4], larger.states[4:])]
        assert ids[0][:2] == ids[1][:2]
        assert set(ids[0][2:]) < {"p2", "p3", "p4"}
        assert set(ids[1][2:]) < {"p5", "p6", "p7"}
        assert make_bank(rollouts, prompts, retrying(), np.random.default_rng(seed), 2).num_paired == 1


def test_what_is_missing_is_said() -> None:
    bank = make_bank(ROLLOUTS, PROMPTS, retrying(), np.random.default_rng(0), 10)
    assert (len(bank.states), bank.missing_right, bank.missing_wrong) == (4, 3, 3)
    bank = make_bank(ROLLOUTS[1:], PROMPTS, retrying(), np.random.default_rng(0), 2)
    assert (len(bank.states), bank.missing_right, bank.missing_wrong) == (2, 0, 0)
    bank = make_bank(ROLLOUTS[1:2], PROMPTS, retrying(), np.random.default_rng(0), 6)
    assert (bank.states, bank.missing_right, bank.missing_wrong) == ((), 2, 3)
    # with one attempt there is nothing to decide about
    bank = make_bank(ROLLOUTS, PROMPTS, retrying(1), np.random.default_rng(0), 2)
    assert (bank.states, bank.missing_right, bank.missing_wrong) == ((), 1, 1)
    with pytest.raises(ValueError, match="even and at least 2, got 3"):
        make_bank(ROLLOUTS, PROMPTS, retrying(), np.random.default_rng(0), 3)


def test_a_bank_of_the_retry_task() -> None:
    """Demonstrations: a state is right when the answer it ends with is the sum."""
    task = load_task("retry:attempts=3,operators=+")
    assert task.retrying is not None
    prompts = task.prompts(60, 0)
    rollouts = [said(one, one.gold_answer or "", stop="eos") for one in prompts]
    bank = make_bank(rollouts, prompts, task.retrying, np.random.default_rng(0), 20)
    assert len(bank.states) == 20
    for state in bank.states:
        assert state.text.endswith("</answer></attempt>")
        answer = state.text.split("<answer>")[-1].removesuffix("</answer></attempt>")
        assert (answer == state.prompt.target) == state.correct
    # what a decider has written when it hands over
    for one in prompts:
        text = (one.gold_answer or "").partition("</verdict>")[0] + "</verdict>"
        decision = task.retrying.read(one, text, "text").attempts[0].decision
        assert decision == ("retry" if "RETRY" in text else "accept")


BANK = [State(prompt=PROMPTS[0], text="r/", correct=True), State(prompt=PROMPTS[0], text="w/", correct=False)]


def test_chances_are_read_off_the_policy() -> None:
    """A fifth of the chance goes to `x.`; of the rest .9 and .3 to accepting."""
    engine = CoinEngine(name="m", accept_right=0.9, accept_wrong=0.3, muddle=0.2)
    decided = decide_on(engine, BANK, retrying(), num_checks=3, sampling=SAMPLING, seed=0)
    assert decided.num_states == 2
    assert decided.state_D.tolist() == [0, 1]
    assert decided.accept_probability_D == pytest.approx([0.9, 0.3])
    assert decided.by_state() == pytest.approx([0.9, 0.3])


def test_chances_are_averaged_over_checks() -> None:
    engine = CoinEngine(name="m", accept_right=0.9, accept_wrong=0.2, good_check=0.25)
    decided = decide_on(engine, BANK, retrying(), num_checks=800, sampling=SAMPLING, seed=0)
    # .25 * .9 + .75 * .2 = .375, and the standard error is .7 * sqrt(.25 * .75 / 800) = .0107
    assert decided.accept_probability_D == pytest.approx([0.375, 0.375], abs=0.043)
    assert decided.accept_probability_D[0] != decided.accept_probability_D[1], "two states of a prompt do not share their checks"
    assert decided.num_checks_D.tolist() == [800, 800]


def test_checks_without_a_verdict_are_left_out() -> None:
    engine = CoinEngine(name="m", accept_right=0.9, accept_wrong=0.3, muddle=0.5)
    bank = BANK * 20
    decided = decide_on(engine, bank, retrying(), num_checks=2, sampling=SAMPLING, seed=0)
    # of 40 states a quarter has no verdict behind either check, a half behind one: 10 +- 2.7 and 20 +- 3.2
    assert 0 < len(bank) - len(decided.state_D) < 22
    assert set(decided.num_checks_D.tolist()) == {1, 2}
    assert decided.accept_probability_D == pytest.approx([0.9 if bank[state].correct else 0.3 for state in decided.state_D])
    none = decide_on(replace(engine, muddle=1.0), bank, retrying(), num_checks=2, sampling=SAMPLING, seed=0)
    assert (len(none.state_D), len(none.accept_probability_D), none.num_states) == (0, 0, 40)
    assert none.by_state() == [None] * 40
    silent = [state for state, chance in enumerate(decided.by_state()) if chance is None]
    assert silent == sorted(set(range(40)) - set(decided.state_D.tolist()))
    cut = decide_on(engine, BANK, retrying(), num_checks=2, sampling=Sampling(max_tokens=3), seed=0)
    assert len(cut.state_D) == 0


TASK = load_task("retry:attempts=3,operators=+")
(SUM,) = TASK.prompts(1, 0)
RIGHT_ATTEMPT = f"<attempt>x<answer>{SUM.target}</answer></attempt>"
AGAIN = "<attempt>x<answer>0</answer></attempt><check>x</check><verdict>RETRY</verdict>"


@pytest.mark.parametrize(
    ("text", "is_state"),
    [
        (f"{RIGHT_ATTEMPT}<check>", True),
        # it breaks off, and the end that stands later is not its own
        (f"<attempt>x<answer>{SUM.target}</answer><check>x</check></attempt>", False),
        (f"<attempt>x<answer>{SUM.target}</answer>", False),
        ("<attempt>x</attempt><check>x</check><verdict>RETRY</verdict>", False),
    ],
)
def test_only_whole_attempts_are_states(text: str, is_state: bool) -> None:
    assert TASK.retrying is not None
    bank = make_bank([said(SUM, AGAIN), said(SUM, text)], [SUM], TASK.retrying, np.random.default_rng(0), 2)
    assert bank.missing_wrong == 0, "the first attempt of the other response"
    assert bank.missing_right == (0 if is_state else 1)
    if is_state:
        assert bank.states[0].text == RIGHT_ATTEMPT
    broken = make_bank([said(SUM, text)], [SUM], TASK.retrying, np.random.default_rng(0), 2)
    assert broken.missing_wrong == 1


@pytest.mark.parametrize(
    ("state", "pieces", "num_tokens", "left_over"),
    [
        (RIGHT_ATTEMPT, ("<check>so</check>", "<verdict>", "ACC", "EPT", "</verdict>"), 3, ""),
        (RIGHT_ATTEMPT, ("<check>so</check><ver", "dict>ACC", "EPT</verdict>"), 2, "dict>"),
        # what a check says is no verdict
        (RIGHT_ATTEMPT, ("<check>I ", "ACCEPT", "</check>", "<verdict>RETRY</verdict>"), 4, "<verdict>"),
        (RIGHT_ATTEMPT, ("<check>RETRY?", " ACCEPT!</check>", "<verdict>ACCEPT</verdict>"), 3, "<verdict>"),
        (RIGHT_ATTEMPT, ("<check>I ACCEPT</check>", "<verdict>OK</verdict>"), None, ""),
        (RIGHT_ATTEMPT, ("<check>I ACCEPT", "</verdict>"), None, ""),
        # it is the second attempt that is decided about
        (AGAIN + RIGHT_ATTEMPT, ("<check>x</check>", "<verdict>ACCEPT</verdict>"), 2, "<verdict>"),
        (AGAIN + RIGHT_ATTEMPT, ("<verdict>RETRY</verdict>",), None, ""),
        # two tokens of one character that stands before the verdict
        (RIGHT_ATTEMPT, ("<check>x", "", "é</check><verdict>ACCEPT</verdict>"), 2, "é</check><verdict>"),
        # a special token is not in the text
        (RIGHT_ATTEMPT, ("<check>x", "<pad>", "y</check>", "<verdict>", "ACCEPT", "</verdict>"), 5, ""),
    ],
)
def test_where_the_verdict_begins(state: str, pieces: tuple[str, ...], num_tokens: int | None, left_over: str) -> None:
    assert TASK.retrying is not None
    begun, text = said(SUM, state, stop="text"), state + "".join(pieces).replace("<pad>", "")
    begun = replace(begun, pieces=None, token_ids=np.zeros(1, dtype=np.int64))
    rollout = replace(said(SUM, text, stop="text"), pieces=(state, *pieces), token_ids=np.arange(1 + len(pieces)))
    found = _to_verdict(rollout, begun, SUM, TASK.retrying)
    if num_tokens is None:
        assert found is None
    else:
        assert found is not None
        assert (found[0].tolist(), found[1]) == (list(range(num_tokens)), left_over)


def test_a_verdict_that_ends_like_the_other() -> None:
    """NOT ACCEPT is one verdict and ACCEPT, its end, the other."""
    read = load_reader("markers:attempt=<a>...</a>,verdict=<v>...</v>,accept=ACCEPT,retry=NOT ACCEPT", TASK)
    form = replace(retrying(), read=read, verdicts=("ACCEPT", "NOT ACCEPT"))
    pieces = ("<a>x</a>", "<v>", "NOT ", "ACCEPT", "</v>")
    rollout = replace(said(SUM, "".join(pieces), stop="text"), pieces=pieces, token_ids=np.arange(5))
    begun = replace(said(SUM, pieces[0], stop="text"), pieces=None, token_ids=np.arange(1))
    found = _to_verdict(rollout, begun, SUM, form)
    assert found is not None
    assert (found[0].tolist(), found[1]) == ([0, 1], "")


def test_errors_say_what_is_wrong() -> None:
    engine = CoinEngine(name="m")
    for num_checks, sampling in [(0, SAMPLING), (1, Sampling(stops=("/",)))]:
        with pytest.raises(ValueError, match=r"num_checks must be at least 1 and `Sampling\.stops` empty"):
            decide_on(engine, BANK, retrying(), num_checks=num_checks, sampling=sampling, seed=0)


def test_states_without_room_are_named() -> None:
    engine = CoinEngine(name="m", context=7)
    bank = [BANK[0], State(prompt=PROMPTS[1], text="w/n.w/", correct=False)]
    with pytest.raises(ValueError, match=r"state 1 of the bank \(prompt p1, 'w/n\.w/'\) has 6 tokens and max_tokens is 6"):
        decide_on(engine, bank, retrying(), num_checks=1, sampling=Sampling(max_tokens=6), seed=0)
    # 1 token of the prompt, 6 of the state, 1 of the verdict
    with pytest.raises(ValueError, match=r"state 1 of the bank .* has 8 tokens .* the model's context is 7"):
        decide_on(engine, bank, retrying(), num_checks=1, sampling=SAMPLING, seed=0)


def test_checks_behind_which_no_verdict_fits_are_left_out() -> None:
    """Prompt 1, state 2, check 1: the verdict of one token fits into ten, that of seven does not."""
    engine = CoinEngine(name="m", good_check=1.0, accept_right=1.0, context=10)
    decided = decide_on(engine, BANK, replace(retrying(), verdicts=("a", "n......")), num_checks=2, sampling=SAMPLING, seed=0)
    assert len(decided.state_D) == 0
