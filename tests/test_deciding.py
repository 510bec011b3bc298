"""explain on responses that try again: small folders by hand, credit by objective, the square on disk, and what cannot be said."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from jominy.cli import main, parse
from jominy.decided import OURS, SECTIONS, Decided
from jominy.deciding.coefficients import OBJECTIVES, coefficients, rows_of
from jominy.deciding.columns import tables_of
from jominy.deciding.explain import decide, explain_decisions
from jominy.deciding.folders import compared_in, model_of
from jominy.deciding.rollouts import read_stored
from jominy.engines import ContinuingEngine
from jominy.explanation import Change
from jominy.printing_decisions import print_decisions
from jominy.records import Prompt, Reward, Rollout, Sampling, Skipped, Stop
from jominy.sampling import model_path_of
from jominy.specs import DecisionSpec
from jominy.steplog import EVALUATIONS_FILE, append_line, write_start_logprobs
from jominy.store import RunFolder, read_json
from jominy.tasks.loading import load_task
from jominy.tracing import marked
from jominy.trainfolder import TrainFolder
from jominy.verbs.explain import Explain
from tests.coin_task import grade, task
from tests.coins import CoinEngine
from tests.coins import prompt as coin_prompt
from tests.training_fixture import graded, write_run

TASK = "retry:attempts=2,digits=1,operators=+"
PROMPTS = load_task(TASK).prompts(3, 0)
NO_SWAP = DecisionSpec(no_swap=True)
LOGP = -0.5


def attempt(prompt: Prompt, right: bool) -> str:
    """An attempt with an answer."""
    answer = prompt.target if right else f"{int(prompt.target or 0) + 1}"
    return f"<attempt>it is {answer}<answer>{answer}</answer></attempt>"


def decision(accepts: bool) -> str:
    """A check and a verdict."""
    return f"<check>hm</check><verdict>{'ACCEPT' if accepts else 'RETRY'}</verdict>"


def written(prompt: Prompt, shorthand: str) -> str:
    """`wr cf`: wrong and tried again, then right and forced; `-` breaks off."""
    parts = [attempt(prompt, word[0] == "c") + (decision(word[1] == "a") if word[1] in "ar" else "") for word in shorthand.split()]
    return "".join(parts)


def response(prompt: Prompt, index: int, shorthand: str, **changes: Any) -> Rollout:
    """One token a character, then the stop token; graded by the task."""
    text = written(prompt, shorthand)
    stop: Stop = "length" if shorthand.endswith("-") else "eos"
    pieces = (*text, *(["</s>"] if stop == "eos" else []))
    logprobs = np.full(len(pieces), LOGP)
    fields: dict[str, Any] = {"token_ids": np.arange(len(pieces)), "pieces": pieces, "logprobs": logprobs, "logprobs_t1": logprobs}
    return graded(prompt, index, load_task(TASK).reward(prompt, text), text=text, stop=stop, **{**fields, **changes})


def folder_of(path: Path, responses: Sequence[Sequence[str]], *, spec: str = TASK, **changes: Any) -> Path:
    """A run folder, one inner list a prompt."""
    rollouts = [response(PROMPTS[p], index, text, **changes) for p, texts in enumerate(responses) for index, text in enumerate(texts)]
    return write_run(path, PROMPTS[: len(responses)], rollouts, task=spec, rollouts=len(responses[0]), max_tokens=400)


BEFORE = [["wa", "wr wf"], ["ca", "wa"], ["wr cf", "cr wf"]]
AFTER = [["wr cf", "wr wf"], ["ca", "wr cf"], ["ca", "w-"]]


def change(found: Decided, section: str, name: str) -> Change:
    """By name."""
    changes = next(one.changes for one in found.sections if one.name == section)
    return next(one for one in changes if one.name == name)


def two(tmp_path: Path) -> Decided:
    """BEFORE against AFTER."""
    folder_of(tmp_path / "a", BEFORE)
    folder_of(tmp_path / "b", AFTER, policy="lab+step 9")
    found, why = decide(compared_in(tmp_path / "a", tmp_path / "b"), NO_SWAP, quiet=True)
    assert why == ""
    assert found is not None
    return found


# ---- metrics


def test_metrics_by_hand(tmp_path: Path) -> None:
    found = two(tmp_path)
    assert tuple(section.name for section in found.sections) == (*SECTIONS, "attempt 1")
    # before: decided about right ca, cr (one accepted); about wrong wa, wr, wa, wr (two accepted)
    assert change(found, "decision", "accept right").before.value == 1 / 2
    false_accept = change(found, "decision", "false accept")
    # after: wr, wr, wr, none accepted; w- broke off undecided
    assert (false_accept.before.value, false_accept.after.value, false_accept.difference.value) == (1 / 2, 0.0, -1 / 2)
    # first attempts: 2 of 6 right before (ca, cr), 2 of 6 after
    assert change(found, "sampling", "first attempt right").difference.value == 0.0
    # final answers: before ca and cf of 6; after cf, ca, cf, ca of 6
    assert change(found, "transitions", "final accuracy").difference.value == pytest.approx(4 / 6 - 2 / 6)
    assert [(problem.name, problem.before, problem.after) for problem in found.problems] == [
        ("", 6, 5),
        ("cut at the token limit", 0, 1),
    ]
    assert (found.num_attempts, found.why_no_decisions, found.num_prompts) == (2, "", 3)
    assert (found.num_rollouts_before, found.num_rollouts_after) == (6, 6)
    assert (found.source["before_policy"], found.source["after_policy"]) == ("lab", "lab+step 9")
    assert found.definitions == OURS


def test_one_attempt_says_that_there_are_no_decisions(tmp_path: Path) -> None:
    prompts = load_task("retry:attempts=1,digits=1,operators=+").prompts(2, 0)
    for name in "ab":
        rollouts = [graded(one, 0, Reward(value=1.0), text=attempt(one, True), token_ids=np.arange(2)) for one in prompts]
        write_run(tmp_path / name, prompts, rollouts, task="retry:attempts=1,digits=1,operators=+", rollouts=1)
    found, _ = decide(compared_in(tmp_path / "a", tmp_path / "b"), DecisionSpec(), quiet=True)
    assert found is not None
    assert "every answer stands" in found.why_no_decisions
    assert (found.credit_share, found.swap, found.why_no_swap) == (None, None, found.why_no_decisions)
    assert change(found, "sampling", "first attempt right").after.value == 1.0


def test_a_run_folder_alone(tmp_path: Path) -> None:
    told = explain_decisions(folder_of(tmp_path / "b", AFTER), None, None, DecisionSpec(), quiet=True)
    assert told.explanation is None
    assert told.decisions is not None
    assert told.decisions["sections"][0]["changes"][0]["difference"]["why_none"] == "only one folder is read"
    assert "--against" in told.decisions["why_no_swap"]
    assert [one["objective"] for one in told.decisions["credits"]] == ["grpo", "sft", "rft"]


# ---- credit


def test_credit_of_the_objectives(tmp_path: Path) -> None:
    found = two(tmp_path)
    assert [one.code for one in found.skipped] == list(OBJECTIVES[3:])
    assert all("starting policy" in one.missing for one in found.skipped)
    grpo, sft, rft = found.credits
    # on policy one advantage and one divisor in a response: the ratio is 1, the share that of the tokens
    assert grpo.attribution.masses.per_token_ratio.value == 1.0
    assert grpo.attribution.masses.mass_share.value == grpo.attribution.masses.token_share.value
    # group 1 is all right, so it has no advantage; in groups 0 and 2 one of two is right
    assert grpo.attribution.masses.num_zero == 2
    shares = []
    for one, text in ((PROMPTS[0], "wr cf"), (PROMPTS[0], "wr wf"), (PROMPTS[2], "ca"), (PROMPTS[2], "w-")):
        sampling = sum(len(attempt(one, word[0] == "c")) for word in text.split())
        # the stop token behind ACCEPT belongs to the verdict
        decided = sum(len(decision(word[1] == "a")) + (word[1] == "a") for word in text.split() if word[1] in "ar")
        shares.append(decided / (sampling + decided))
    assert grpo.attribution.masses.token_share.value == pytest.approx(np.mean(shares))
    assert (sft.attribution.attempt_contrast.value, sft.attribution.masses.num_zero) == (0.0, 0)
    # wrong attempts were only retried, so their contrast needs the other decision
    assert sft.attribution.wrong_contrast.value is None
    assert "needs both decisions" in sft.attribution.wrong_contrast.why_none
    assert "gold answers" in sft.notes[0]
    assert (rft.num_kept, rft.num_rollouts) == (4, 6)
    # all tokens are equally surprising: the NLL lies where the tokens are
    nll, kl = found.value_shares
    assert (kl.value, "under the starting policy" in kl.why_none) == (None, True)
    tables = tables_of(read_stored(tmp_path / "b").rollouts, {one.id: one for one in PROMPTS}, task_reader(), 1.0)
    stages = tables.tokens.stage_M
    assert nll.value == pytest.approx(np.sum(stages == 2) / np.sum(stages > 0))


def task_reader() -> Any:
    """Of the task."""
    retrying = load_task(TASK).retrying
    assert retrying is not None
    return retrying.read


def test_sft_knows_no_outcome_where_all_cells_are_filled(tmp_path: Path) -> None:
    folder_of(tmp_path / "b", [["ca", "cr cf"], ["wa", "wr wf"], ["ca", "wa"]])
    found, _ = decide(compared_in(tmp_path / "b"), DecisionSpec(credit=("sft", "grpo")), quiet=True)
    assert found is not None
    sft, grpo = (one.attribution for one in found.credits)
    assert (sft.right_contrast.value, sft.wrong_contrast.value, sft.attempt_contrast.value) == (0.0, 0.0, 0.0)
    assert (grpo.attempt_contrast.value or 0) > 0


def test_kl_by_hand_on_the_responses_that_were_scored(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "b", AFTER)
    rollouts = read_stored(path).rollouts
    first = [rollout for rollout in rollouts if rollout.index == 0]
    gap = 0.3
    start = [np.full(len(rollout.token_ids), LOGP - gap) for rollout in first]
    write_start_logprobs(path, [rollout.prompt_id for rollout in first], [0] * 3, start)
    found, _ = decide(compared_in(path), DecisionSpec(credit=("grpo:kl=k3,beta=0.5", "grpo:kl=k1_reward")), quiet=True)
    assert found is not None
    k3, k1 = found.credits
    assert (k3.num_rollouts, k3.num_kept, k1.num_rollouts) == (3, 3, 3)
    assert "scored under the starting policy" in k3.notes[0]
    # prompt 1 is right throughout, A = 0: c = -beta (1 - exp(-l)) / (6 responses * its tokens), as grpo divides
    prompts = {one.id: one for one in PROMPTS}
    table = {(r.prompt_id, r.index): s for r, s in zip(first, start, strict=True)}
    rows = rows_of("grpo:kl=k3,beta=0.5", rollouts, success=1.0, max_tokens=400, start=table)
    assert not isinstance(rows, Skipped)
    tables = tables_of(first, prompts, task_reader(), 1.0)
    values = coefficients(rows, tables.rollouts)
    lengths = [len(rollout.token_ids) for rollout in first]
    of_second = values[lengths[0] : lengths[0] + lengths[1]]
    assert of_second == pytest.approx(np.full(lengths[1], -0.5 * (1 - math.exp(-gap)) / (6 * lengths[1])), rel=1e-6)
    # KL a token is the same everywhere: its share is that of the tokens, and in the reward earlier tokens carry longer sums
    kl = found.value_shares[1]
    stages = tables.tokens.stage_M
    assert kl.value == pytest.approx(np.sum(stages == 2) / np.sum(stages > 0))
    no_advantage = rows_of("grpo:kl=k1_reward", rollouts, success=1.0, max_tokens=400, start=table)
    assert not isinstance(no_advantage, Skipped)
    falling = np.abs(coefficients(no_advantage, tables.rollouts)[lengths[0] : lengths[0] + lengths[1]])
    assert np.all(np.diff(falling) < 0)


def test_what_an_objective_needs(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "b", AFTER, temperature=0.7)
    rollouts = read_stored(path).rollouts
    write_start_logprobs(path, [rollouts[0].prompt_id], [0], [np.full(len(rollouts[0].token_ids), -1.0)])
    asked = DecisionSpec(credit=("grpo:kl=k3", "corrected", "grpo"))
    found, _ = decide(compared_in(path), asked, quiet=True)
    assert found is not None
    assert [one.code for one in found.skipped] == ["grpo:kl=k3", "corrected"]
    assert "drawn at 0.7" in found.skipped[0].missing
    with pytest.raises(ValueError, match="no recipe 'grop'"):
        decide(compared_in(path), DecisionSpec(credit=("grop",)), quiet=True)
    write_start_logprobs(path, [rollouts[0].prompt_id], [0], [np.array([-1.0])])
    folder_of(tmp_path / "c", AFTER)
    write_start_logprobs(tmp_path / "c", [rollouts[0].prompt_id], [0], [np.array([-1.0])])
    with pytest.raises(ValueError, match=r"start_logprobs\.parquet is of other rollouts"):
        decide(compared_in(tmp_path / "c"), DecisionSpec(), quiet=True)


def test_without_the_text_of_tokens_there_are_attempts_and_no_credit(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "b", AFTER, pieces=None)
    found, _ = decide(compared_in(path), DecisionSpec(), quiet=True)
    assert found is not None
    assert change(found, "decision", "false accept").after.value == 0.0
    assert found.credits == ()
    assert {one.missing for one in found.skipped} == {"the text of each token (column `pieces`), to know which tokens try and which decide"}
    assert "6 of 6 responses after have no text" in found.notes[0]


# ---- readers


def test_other_readers_and_none(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "b", AFTER, spec="arithmetic:digits=1,operators=+")
    found, why = decide(compared_in(path), DecisionSpec(), quiet=True)
    assert found is None
    assert "--spans lexical" in why
    with pytest.raises(ValueError, match="one run folder and explain compares two"):
        explain_decisions(path, None, None, DecisionSpec(), quiet=True)
    found, _ = decide(compared_in(path), DecisionSpec(spans="lexical:words=hm"), quiet=True)
    assert found is not None
    assert "words of doubt" in found.notes[0]
    # nothing limits attempts, so K is what was seen and nothing is computed from it
    assert (found.num_attempts, found.why_no_limit) == (3, "this reader has no limit of attempts")
    optimality = {one.name: one.after for one in next(section for section in found.sections if section.name == "optimality").changes}
    assert optimality["oracle on the attempts made"].value is not None
    for name in ("oracle on fresh attempts", "oracle, all prompts alike", "random decider", "decision efficiency on fresh attempts"):
        assert (optimality[name].value, optimality[name].why_none) == (None, found.why_no_limit)
    assert found.credit_share is not None
    assert (found.credit_share.decision.value, found.credit_share.decision.why_none) == (None, found.why_no_limit)
    tags = "markers:attempt=<attempt>...</attempt>,check=<check>...</check>,verdict=<verdict>...</verdict>,accept=ACCEPT,retry=RETRY"
    found, _ = decide(compared_in(path), DecisionSpec(spans=f"{tags},attempts=5"), quiet=True)
    assert found is not None
    assert (found.num_attempts, found.why_no_limit) == (5, "")
    own = tmp_path / "own.py"
    own.write_text(
        "from jominy.traces import Attempt, TextSpan, Trace\n"
        "def read(prompt, text, stop):\n"
        "    spans = (TextSpan(kind='attempt', start=0, end=9), TextSpan(kind='check', start=5, end=12))\n"
        "    return Trace(attempts=(Attempt(answer=None, correct=None, decision='none'),), spans=spans, problem='')\n"
        "def nothing(prompt, text, stop):\n"
        "    return Trace(attempts=(), spans=(), problem='no attempt')\n"
    )
    with pytest.raises(ValueError, match="spans stand in order and do not overlap"):
        decide(compared_in(path), DecisionSpec(spans=f"{own}:read"), quiet=True)
    found, why = decide(compared_in(path), DecisionSpec(spans=f"{own}:nothing"), quiet=True)
    assert found is None
    assert "finds no attempt" in why
    with pytest.raises(ValueError, match="no task 'retri'"):
        decide(compared_in(folder_of(tmp_path / "d", AFTER, spec="retri")), DecisionSpec(spans="task"), quiet=True)


def test_a_folder_runs_no_code(tmp_path: Path) -> None:
    drawn = coin_folder(tmp_path / "a", CoinEngine(name="m"))
    found, why = decide(compared_in(drawn), DecisionSpec(), quiet=True)
    assert found is None
    assert "code of your own" in why
    found, _ = decide(compared_in(drawn), DecisionSpec(spans="task"), quiet=True)
    assert found is not None


# ---- the square


ONE = CoinEngine(name="one", right=0.3, accept_right=0.6, accept_wrong=0.8)
OTHER = CoinEngine(name="other", right=0.5, accept_right=0.9, accept_wrong=0.1)
COINS = DecisionSpec(spans="task", swap_prompts=6, swap_rollouts=30, bank=8)


def coin_folder(path: Path, engine: CoinEngine, num_prompts: int = 8) -> Path:
    """Responses of a policy of coins."""
    assert task.retrying is not None
    prompts = [coin_prompt(number) for number in range(num_prompts)]
    groups = list(engine.sample(prompts, 10, Sampling(max_tokens=40), seed=1))
    rollouts = [replace(one, reward=grade(prompts[0], one.text)) for group in groups[::-1] for one in group]
    rollouts = marked(rollouts, {one.id: one for one in prompts}, task.retrying)
    spec = {"task": task.name, "model": engine.name, "rollouts": 10, "max_tokens": 40}
    return write_run(path, prompts, rollouts, **spec)


def loader(*engines: CoinEngine) -> Callable[[str, str], ContinuingEngine]:
    """By name."""
    return lambda model, device: {engine.name: engine for engine in engines}[model]


def nobody(model: str, device: str) -> ContinuingEngine:
    """Nothing is left to draw."""
    raise AssertionError(f"{model} was loaded")


def closed_form(sampler: CoinEngine, decider: CoinEngine) -> float:
    """V_1 of three attempts."""
    chance = sampler.right
    for _ in range(2):
        again = (1 - sampler.right) * (1 - decider.accept_wrong) * chance
        chance = sampler.right * (decider.accept_right + (1 - decider.accept_right) * chance) + again
    return chance


def test_the_square_is_kept(tmp_path: Path) -> None:
    before, after = coin_folder(tmp_path / "a", ONE), coin_folder(tmp_path / "b", OTHER)
    asked = compared_in(before, after)
    found, _ = decide(asked, COINS, load_engine=loader(ONE, OTHER), quiet=True)
    assert found is not None
    assert (found.why_no_swap, found.why_no_bank) == ("", "")
    assert found.swap is not None
    assert (found.swap.before, found.swap.after, found.swap.num_prompts, found.swap.num_rollouts) == ("one", "other", 6, 30)
    assert (found.swap.prompts, found.swap.prompt_ids[:2]) == ("6 of the prompts of both folders", ("p0", "p1"))
    # within four standard errors of 180 responses of what two coins make
    pairs = [(ONE, ONE), (ONE, OTHER), (OTHER, ONE), (OTHER, OTHER)]
    for cell, pair in zip(found.swap.measured.cells, pairs, strict=True):
        expected = closed_form(*pair)
        assert abs((cell.value or 0) - expected) < 4 * math.sqrt(expected * (1 - expected) / 180)
    split = found.swap.measured
    assert (split.sampling.value or 0) + (split.decision.value or 0) == pytest.approx(split.total.value)
    assert found.swap.analytic.total.value is not None
    again, _ = decide(asked, COINS, load_engine=nobody, quiet=True)
    assert again is not None
    assert (again.swap, again.bank) == (found.swap, found.bank)
    # who draws nothing sees what was asked for last
    kept, _ = decide(asked, DecisionSpec(spans="task", no_swap=True), load_engine=nobody, quiet=True)
    assert kept is not None
    assert (kept.swap, kept.bank) == (found.swap, found.bank)
    more, _ = decide(asked, replace(COINS, swap_prompts=8, swap_rollouts=31), load_engine=loader(ONE, OTHER), quiet=True)
    assert more is not None
    assert more.swap is not None
    assert (more.swap.num_prompts, more.swap.num_rollouts, more.bank) == (8, 31, found.bank)
    fewer, _ = decide(asked, COINS, load_engine=nobody, quiet=True)
    assert fewer is not None
    assert fewer.swap == found.swap
    (square,) = (one for one in (after / "swap").iterdir() if one.is_dir())
    for folder in ("before-before", "before-after", "after-before", "after-after"):
        stored = read_stored(square / folder)
        assert [(one.prompt_id, one.index) for one in stored.rollouts] == [(f"p{p}", index) for p in range(8) for index in range(31)]
        sampler, decider = folder.split("-")
        names = {"before": "one", "after": "other"}
        run = stored.run
        assert (run["status"], run["verb"], run["spec"]["prompts"], run["spec"]["rollouts"]) == ("finished", "swap", 8, 31)
        assert (run["spec"]["model"], run["decider_model"], run["policy"]) == (
            names[sampler],
            names[decider],
            f"{names[sampler]}|{names[decider]}",
        )
        assert run["environment"]
    check_bank(found)
    check_prints(found)


def check_bank(found: Decided) -> None:
    """Coins accept by the truth alone, so every state's chance is that of the policy."""
    assert found.bank is not None
    assert (found.bank.num_states, found.bank.missing_right, found.bank.missing_wrong) == (8, 0, 0)
    values = [(side.rates.accept_right.value, side.rates.accept_wrong.value) for side in (found.bank.before, found.bank.after)]
    assert values[0] == pytest.approx((0.6, 0.8))
    assert values[1] == pytest.approx((0.9, 0.1))
    assert found.bank.after.auroc.value == 1.0
    assert found.bank.num_used == 8
    # one state of a kind is like the other: the differences are those of the policies
    moved = {one.name: one.difference.value for one in found.bank.changes}
    assert moved["accept right"] == pytest.approx(0.3)
    assert moved["false accept"] == pytest.approx(-0.7)
    assert moved["Youden's J"] == pytest.approx(1.0)
    assert moved["AUROC of the verdict"] == pytest.approx(1.0)
    first, sides = found.bank.changes[0], (found.bank.before.rates.accept_right, found.bank.after.rates.accept_right)
    assert (first.before, first.after) == sides


def check_prints(found: Decided) -> None:
    """The terminal shows everything that JSON holds, and whose definitions they are."""
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    out = StringIO()
    print_decisions(record, "", Console(file=out, width=200))
    text = " ".join(out.getvalue().split())
    for words in (
        "false accept",
        "per-token ratio",
        "attempts by",
        "gain by decisions",
        "same 8 attempts",
        "derivations and choices of ours",
        "Decisions about attempt 2",
    ):
        assert words in text


def test_policies_that_cannot_be_exchanged(tmp_path: Path) -> None:
    before, after = coin_folder(tmp_path / "a", ONE), coin_folder(tmp_path / "b", OTHER)
    other = replace(OTHER, vocabulary="notes")
    found, _ = decide(compared_in(before, after), replace(COINS, bank=0), load_engine=loader(ONE, other), quiet=True)
    assert found is not None
    assert found.swap is None
    assert "their tokenizers differ" in found.why_no_swap
    assert found.why_no_bank == "`--bank 0` was said"
    with pytest.raises(ValueError, match="even number"):
        decide(compared_in(before, after), replace(COINS, bank=3), quiet=True)
    elsewhere = replace(COINS, swap_task="arithmetic:digits=1,operators=+")
    with pytest.raises(ValueError, match="do not try again"):
        decide(compared_in(before, after), elsewhere, load_engine=loader(ONE, OTHER), quiet=True)


def test_the_swap_is_not_on_prompts_that_were_trained_on(tmp_path: Path) -> None:
    """The coins' prompts are p0, p1 ... whatever the seed, and p0 to p2 were trained on."""
    root = tmp_path / "rl"
    RunFolder(root).write_run({"verb": "train", "status": "finished", "spec": {"task": task.name, "model": "one"}, "policy": "one"})
    RunFolder(root).write_prompts([coin_prompt(number) for number in range(3)])
    before, after = (coin_folder(root / f"evaluations/{name}", engine, 4) for name, engine in (("a", ONE), ("b", OTHER)))
    asked = compared_in(before, after)
    small = replace(COINS, swap_prompts=2, swap_rollouts=2, bank=0)
    found, _ = decide(asked, replace(small, swap_task=task.name), load_engine=loader(ONE, OTHER), quiet=True)
    assert found is not None
    assert found.swap is not None
    assert found.swap.prompt_ids == ("p3", "p4")
    assert found.swap.prompts.startswith(f"2 of those of {task.name} of seed ")
    assert found.swap.prompts.endswith("none of them trained on")
    assert found.source["swap_task"] == task.name
    held_out, _ = decide(asked, small, load_engine=loader(ONE, OTHER), quiet=True)
    assert held_out is not None
    assert held_out.swap is not None
    assert held_out.swap.prompt_ids == ("p3",)
    RunFolder(root).write_prompts([coin_prompt(number) for number in range(4)])
    none, _ = decide(asked, small, load_engine=loader(ONE, OTHER), quiet=True)
    assert none is not None
    assert none.swap is None
    assert "were trained on" in none.why_no_swap


def test_what_is_left_out_is_told_of_both_sides(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", BEFORE, pieces=None)
    folder_of(tmp_path / "b", AFTER[:2])
    found, _ = decide(compared_in(tmp_path / "a", tmp_path / "b"), NO_SWAP, quiet=True)
    assert found is not None
    assert (found.num_prompts, found.num_only_before, found.num_only_after) == (2, 1, 0)
    assert "1 prompts of the folder before alone and 0 of that after alone" in found.notes[0]
    assert "4 of 4 responses before have no text" in found.notes[1]


# ---- training folders


def training(path: Path, *sides: Sequence[Sequence[str]]) -> Path:
    """A training folder whose evaluations hold these."""
    spec = {"task": TASK, "model": "nobody/nothing", "steps": len(sides) - 1}
    RunFolder(path).write_run({"verb": "train", "status": "finished", "spec": spec, "policy": "lab"})
    for step, side in enumerate(sides):
        folder_of(path / f"evaluations/step-{step:05d}", side, policy=f"lab+step {step}")
        append_line(path / EVALUATIONS_FILE, {"step": step, "folder": f"evaluations/step-{step:05d}"})
    return path


def test_a_training_folder_keeps_it(tmp_path: Path) -> None:
    folder = training(tmp_path / "rl", BEFORE, AFTER)
    told = explain_decisions(folder, None, None, NO_SWAP, quiet=True)
    kept = read_json(folder / "explanation.json")
    assert kept["decisions"] == json.loads(json.dumps(told.decisions))
    assert kept["decisions"]["source"]["after_policy"] == "lab+step 1"
    assert (kept["source"]["before_step"], kept["source"]["after_step"]) == (0, 1)
    # the model was not kept: everything else is there, with the reason
    told = explain_decisions(folder, None, None, DecisionSpec(), quiet=True)
    assert told.decisions is not None
    assert "did not keep the model of step 1" in told.decisions["why_no_swap"]
    with pytest.raises(ValueError, match="did not keep the model of step 1"):
        explain_decisions(folder, None, None, DecisionSpec(gradients=True), quiet=True)


def test_how_train_ends(tmp_path: Path) -> None:
    folder = training(tmp_path / "rl", BEFORE, AFTER)
    told = explain_decisions(folder, None, None, DecisionSpec(), drawing=False, quiet=True)
    assert told.decisions is not None
    assert told.decisions["why_no_swap"] == f"not drawn yet: `jominy explain {folder}`"
    # what cannot be said is a reason there, and leaves what is kept where it is asked for
    mistake = DecisionSpec(credit=("grop",))
    kept = (folder / "explanation.json").read_bytes()
    with pytest.raises(ValueError, match="no recipe 'grop'"):
        explain_decisions(folder, None, None, mistake, quiet=True)
    assert (folder / "explanation.json").read_bytes() == kept
    told = explain_decisions(folder, None, None, mistake, drawing=False, quiet=True)
    assert told.decisions is None
    assert "no recipe 'grop'" in told.why
    assert told.explanation is not None
    assert read_json(folder / "explanation.json")["why_no_decisions"] == told.why


def test_against_another_run(tmp_path: Path) -> None:
    rl, sft = training(tmp_path / "rl", BEFORE, AFTER), training(tmp_path / "sft", BEFORE, BEFORE)
    told = explain_decisions(rl, None, sft, NO_SWAP, quiet=True)
    assert told.explanation is not None
    assert told.decisions is not None
    assert told.explanation.source["before"] == str(sft / "evaluations/step-00001")
    assert told.decisions["source"]["before"] == str(sft / "evaluations/step-00001")
    kept = read_json(rl / "explanation.json")
    # the file is about the run itself, but for its decisions
    assert kept["source"]["before"] == str(rl / "evaluations/step-00000")
    assert kept["decisions"]["source"]["before"] == str(sft / "evaluations/step-00001")
    with pytest.raises(ValueError, match="name the other policy once"):
        compared_in(rl, rl, sft)
    with pytest.raises(ValueError, match="is no run folder"):
        compared_in(rl, None, tmp_path / "gone")


def test_which_model_drew_a_folder(tmp_path: Path) -> None:
    folder = training(tmp_path / "rl", BEFORE, AFTER)
    assert model_of(folder / "evaluations/step-00000") == "nobody/nothing"
    (folder / "model").mkdir()
    assert model_of(folder / "evaluations/step-00001") == str(folder / "model")
    # it goes on to a second step: what was the last evaluation still is, and model/ is not known to be its
    run = RunFolder(folder).read_run()
    for changed in ({"status": "running"}, {"spec": {**run["spec"], "steps": 2}}):
        RunFolder(folder).write_run({**run, **changed})
        with pytest.raises(ValueError, match="did not keep the model of step 1"):
            model_of(folder / "evaluations/step-00001")
    (folder / "checkpoints/best").mkdir(parents=True)
    TrainFolder(folder).note_best(2)
    with pytest.raises(ValueError, match="did not keep the model of step 1"):
        model_of(folder / "evaluations/step-00001")
    TrainFolder(folder).note_best(1)
    assert model_of(folder / "evaluations/step-00001") == str(folder / "checkpoints/best")
    checkpoint = folder / "checkpoints/step-00001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    assert model_of(folder / "evaluations/step-00001") == str(checkpoint)
    with pytest.raises(ValueError, match="does not say which model"):
        model_of(folder_of(tmp_path / "b", AFTER))
    moved = folder_of(tmp_path / "c", AFTER)
    RunFolder(moved).write_run({**RunFolder(moved).read_run(), "policy": "lab+step 30"})
    with pytest.raises(ValueError, match="in the middle of a training run"):
        model_of(moved)


def test_a_model_that_was_named_by_its_folder_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "runs/sft/model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    recorded = model_path_of("runs/sft/model")
    assert (recorded, model_path_of("smollm2")) == (str(model), None)
    folder = write_run(tmp_path / "runs/a", PROMPTS, [], task=TASK, model="runs/sft/model")
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    # seen from where the run lies; an older folder records nothing
    assert model_of(folder) == str(model)
    elsewhere = write_run(tmp_path / "else/a", PROMPTS, [], task=TASK, model="sft/model")
    assert model_of(elsewhere) == "sft/model"
    RunFolder(elsewhere).write_run({**RunFolder(elsewhere).read_run(), "model_path": recorded})
    assert model_of(elsewhere) == str(model)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [str(folder_of(tmp_path / name, responses)) for name, responses in (("a", BEFORE), ("b", AFTER))]
    assert main(["explain", *sides, "--no-swap", "--credit", "sft", "--quiet"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Solving and deciding" in text
    assert "Swap of sampler and decider: `--no-swap` was said" in text
    assert main(["explain", *sides, "--no-swap", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["objective"] for one in record["decisions"]["credits"]] == ["grpo", "sft", "rft"]
    assert main(["explain", sides[1], "--no-swap", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["decisions"]["num_rollouts_before"] is None
    assert main(["explain", *sides, "--spans", "lexcal"]) == 2
    assert "lexical" in capsys.readouterr().err
    plain = [str(folder_of(tmp_path / name, BEFORE, spec="arithmetic")) for name in "cd"]
    assert main(["explain", *plain]) == 0
    assert "--spans lexical" in capsys.readouterr().out


def test_flags() -> None:
    words = ["explain", "rl", "--against", "sft", "--credit", "grpo", "--credit", "sft", "--no-swap", "--bank", "0", "--spans", "lexical"]
    command = parse(words)
    assert isinstance(command, Explain)
    assert command.against == Path("sft")
    assert command.deciding == DecisionSpec(credit=("grpo", "sft"), no_swap=True, bank=0, spans="lexical")
    assert parse(["explain", "a", "b"]).after == Path("b")
