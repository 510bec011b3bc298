"""Responses with their first wrong verdict put right: which tokens stay, where a stop token stands, what trains, what is left out.

The form of these tests: an attempt is digits, a verdict is Y or N, and 13 is right; `12N13Y` tries twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jominy.batches import Batch, Drawer
from jominy.correcting import corrected, corrected_group
from jominy.crediting import groups_of_rollouts
from jominy.engines import Seen, StepReport
from jominy.preparing import prepare
from jominy.records import Ints, Message, Prompt, Reward, Rollout, Span
from jominy.steplog import read_steps
from jominy.tasks.loading import load_task
from jominy.tracing import marked
from jominy.training import train
from jominy.updating import update
from jominy.watching import Silent
from tests.training_world import spec_of

FORM = r"""
import re
from dataclasses import replace
from jominy.records import Message, Prompt, Retrying, Reward, Task
from jominy.traces import Attempt, TextSpan, Trace

DECISIONS = {"Y": "accept", "N": "retry", "": "none"}

def read(prompt, text, stop):
    attempts, spans = [], []
    for index, found in enumerate(re.finditer(r"(\d+)([YN]?)", text)):
        right = found[1] == prompt.target
        attempts.append(Attempt(answer=found[1], correct=right, decision=DECISIONS[found[2]]))
        kind = "attempt.right" if right else "attempt.wrong"
        spans.append(TextSpan(kind=kind, start=found.start(1), end=found.end(1), index=index))
        if found[2]:
            kind = "verdict." + DECISIONS[found[2]]
            spans.append(TextSpan(kind=kind, start=found.start(2), end=found.end(2), index=index))
    return Trace(attempts=tuple(attempts), spans=tuple(spans), problem="")

def put_right(prompt, text, stop):
    end = None
    for found in re.finditer(r"(\d+)([YN])", text):
        verdict = "Y" if found[1] == prompt.target else "N"
        if found[2] != verdict:
            return text[: found.end(1)] + verdict
        end = found.end()
    return None if end is None else text[:end]

def make_prompts(num_prompts, seed):
    return [Prompt(id=f"p{number}", task="letters", messages=(Message(role="user", content="13?"),), target="13", gold_answer="13Y")
            for number in range(num_prompts)]

def reward(prompt, text):
    return Reward(value=float(text.endswith(("13Y", "13"))))

retrying = Retrying(num_attempts=3, read=read, solution_end="", decision_end="", verdicts=("Y", "N"), put_right=put_right)
task = Task(name="letters", summary="", prompts=make_prompts, reward=reward, retrying=retrying)
alone = Task(name="alone", summary="", prompts=make_prompts, reward=reward, retrying=replace(retrying, num_attempts=1))
no_retrying = Task(name="plain", summary="", prompts=make_prompts, reward=reward)
"""
MADE: dict[str, Any] = {}
exec(FORM, MADE)
RETRYING = MADE["retrying"]
PROMPT = Prompt(id="p0", task="letters", messages=(Message(role="user", content="13?"),), target="13")
STOP = 0


class Speller:
    """An engine whose words are `words` and single characters; it tokenises by the longest word, 0 is its stop token."""

    policy = name = "speller"
    device = "nowhere"

    def __init__(self, *words: str, say: Sequence[Sequence[str]] = ()) -> None:
        self.words, self.say, self.steps = words, say, list[Any]()

    def spell(self, text: str) -> list[int]:
        ids = []
        while text:
            word = max((word for word in self.words if text.startswith(word)), key=len, default="")
            ids.append(1000 + self.words.index(word) if word else ord(text[0]))
            text = text[max(len(word), 1) :]
        return ids

    def encode_completion(self, text: str) -> Ints:
        return np.array([*self.spell(text), STOP], dtype=np.int64)

    def pieces(self, token_ids: Ints) -> tuple[str, ...]:
        return tuple("!" if token == STOP else self.words[token - 1000] if token >= 1000 else chr(token) for token in token_ids)

    def rollout(self, *pieces: str, index: int = 0, prompt: str = "p0") -> Rollout:
        """A response of these pieces; one that ends in "!" has ended by itself."""
        stopped = pieces[-1] == "!"
        ids = [STOP if piece == "!" else 1000 + self.words.index(piece) if piece in self.words else ord(piece) for piece in pieces]
        return Rollout(
            prompt_id=prompt, index=index, text="".join(pieces).removesuffix("!"), token_ids=np.array(ids),
            logprobs=np.full(len(ids), -1.0), logprobs_t1=np.full(len(ids), -1.0), stop="eos" if stopped else "length",
            policy="speller", temperature=1.0, top_p=1.0, seed=0, pieces=pieces, reward=Reward(value=0.5),
        )  # fmt: skip

    def encode(self, prompt: Prompt) -> list[int]:
        return [1, 5]

    def check(self, prompts: Sequence[Prompt], max_tokens: int) -> None:
        """Everything fits."""

    def logprobs(self, rows: Any) -> list[np.ndarray]:
        return [np.full(len(row.completion_ids), -1.0) for row in rows]

    def start_logprobs(self, rows: Any, temperature: float) -> list[np.ndarray]:
        return self.logprobs(rows)

    def sampler(self, step: int) -> Speller:
        return self

    def sample(self, prompts: Sequence[Prompt], num_rollouts: int, *rest: Any) -> Iterator[list[Rollout]]:
        for prompt in prompts:
            yield [self.rollout(*self.say[index], index=index, prompt=prompt.id) for index in range(num_rollouts)]

    def step(self, rows: Any, *rest: Any) -> StepReport:
        self.steps.append(rows)
        ones = tuple(np.ones(len(row.completion_ids)) for row in rows)
        return StepReport(grad_norm=0.0, seen=Seen(logprobs=ones, weights=ones, clipped=None, num_tokens=0))


class Spaced(Speller):
    """Begins every text that it tokenises with a space, which it does not say at the beginning of a response."""

    def encode_completion(self, text: str) -> Ints:
        return np.array([*self.spell(" " + text), STOP], dtype=np.int64)

    def pieces(self, token_ids: Ints) -> tuple[str, ...]:
        said = super().pieces(token_ids)
        return ("", *said[1:]) if said[:1] == (" ",) else said


def put_right(engine: Any, *pieces: str) -> Rollout:
    made = corrected(engine.rollout(*pieces), PROMPT, RETRYING, engine, max_tokens=64)
    assert isinstance(made, Rollout), made
    return made


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (("12", "Y", "!"), ("12", "N")),  # a wrong attempt was accepted: now it is not, and nothing has ended
        (("13", "N", "1", "4", "Y", "!"), ("13", "Y", "!")),  # a right one was not: now it is, and the response ends
        (("1", "2", "N", "13", "Y", "!"), ("1", "2", "N", "13", "Y", "!")),  # all is right
        (("12", "N", "1", "4", "N", "13"), ("12", "N", "1", "4", "N")),  # the last attempt was not judged
        (("12", "N", "1", "4Y", "!"), ("12", "N", "1", "4", "N")),  # half of a token is wrong: that token is spelled anew
        (("12", "N", "13", "Y"), ("12", "N", "13", "Y", "!")),  # cut before its stop token, which then stands there
        (("13", "Y", "7", "N", "!"), ("13", "Y", "7", "N")),  # went on after it had accepted; the last verdict is right
    ],
)
def test_the_first_wrong_verdict_is_put_right_and_the_own_tokens_stay(pieces, expected):
    engine = Speller("12", "13", "4Y", "1")
    made = put_right(engine, *pieces)
    assert made.pieces == expected
    assert engine.pieces(made.token_ids) == expected
    assert made.text == "".join(expected).removesuffix("!")
    assert made.stop == ("eos" if expected[-1] == "!" else "length")
    assert (made.logprobs, made.logprobs_t1) == (None, None), "those of the response as it was drawn"
    assert made.reward == Reward(value=0.5)


def test_spans_are_those_of_the_new_text_and_acceptance_takes_the_stop_token():
    engine = Speller("12", "13")
    accepted, rejected = put_right(engine, "12", "N", "13", "N", "!"), put_right(engine, "1", "4", "Y", "!")
    assert accepted.spans == (
        Span(kind="attempt.wrong", start=0, end=1, index=0),
        Span(kind="verdict.retry", start=1, end=2, index=0),
        Span(kind="attempt.right", start=2, end=3, index=1),
        Span(kind="verdict.accept", start=3, end=5, index=1),
    )
    assert rejected.spans == (Span(kind="attempt.wrong", start=0, end=2), Span(kind="verdict.retry", start=2, end=3))


def test_what_decides_nothing_is_left_out():
    engine: Any = Speller("12")
    group = [engine.rollout("12", "!"), engine.rollout("1", "4", "Y", "!"), engine.rollout("1", "3", "Y", index=2)]
    made, left_out = corrected_group(group, PROMPT, RETRYING, engine, max_tokens=4)
    assert [(rollout.text, rollout.stop) for rollout in made] == [("14N", "length"), ("13Y", "eos")]
    assert left_out == {"undecided": 1}
    # With its stop token the last one has four tokens, one more than there may be now: it is learned as it was drawn.
    made, left_out = corrected_group(group, PROMPT, RETRYING, engine, max_tokens=3)
    assert [(rollout.text, rollout.stop) for rollout in made] == [("14N", "length"), ("13Y", "length")]
    assert made[1].pieces == ("1", "3", "Y")
    assert made[1].spans == (Span(kind="attempt.right", start=0, end=2), Span(kind="verdict.accept", start=2, end=3))
    assert left_out == {"undecided": 1}
    assert corrected_group(group, PROMPT, RETRYING, engine, max_tokens=2) == ((), {"undecided": 1, "too_long": 2})


def test_where_own_and_fresh_tokens_do_not_join_all_is_spelled_anew():
    made = put_right(Spaced(), "1", "2", "Y", "!")
    assert made.pieces == ("", "1", "2", "N"), "not 12, space, N"
    assert made.spans == (Span(kind="attempt.wrong", start=0, end=3), Span(kind="verdict.retry", start=3, end=4))


def test_a_response_without_pieces_is_spelled_anew_and_one_that_cannot_be_spelled_is_left_out():
    engine: Any = Speller("12", "13")
    whole = engine.rollout("1", "2", "Y", "!")
    without = Rollout(
        prompt_id="p0", index=0, text="12Y", token_ids=whole.token_ids, logprobs=None, logprobs_t1=None, stop="eos", policy="m",
        temperature=1.0, top_p=1.0, seed=0,
    )  # fmt: skip
    made = corrected(without, PROMPT, RETRYING, engine, 64)
    assert isinstance(made, Rollout)
    assert made.pieces == ("12", "N")
    engine.encode_completion = lambda text: np.array([ord("?"), STOP])
    assert corrected(without, PROMPT, RETRYING, engine, 64) == "unspelled"
    assert corrected_group([without, without], PROMPT, RETRYING, engine, 64) == ((), {"unspelled": 2})


def test_demonstrations_of_the_task_retry_are_right_and_tampered_ones_are_put_right():
    task = load_task("retry")
    assert task.retrying is not None
    engine: Any = Speller(*task.retrying.markers)
    seen = set()
    for prompt in task.prompts(24, 0):
        gold = str(prompt.gold_answer)
        ends = "<verdict>ACCEPT</verdict>" in gold
        seen.add((ends, "RETRY" in gold))
        cut = gold[: gold.rindex("</verdict>") + len("</verdict>")]
        # A demonstration's verdicts are true; one that nobody accepts ends with its last attempt, behind a RETRY.
        for text in (gold, gold.replace("ACCEPT", "RETRY")):
            drawn = engine.rollout(*engine.pieces(engine.encode_completion(text)))
            made = corrected(drawn, prompt, task.retrying, engine, 512)
            assert isinstance(made, Rollout)
            assert (made.text, made.stop) == (cut, "eos" if ends else "length")
            assert made.token_ids.tolist() == [*engine.spell(cut), *[STOP] * ends]
            verdicts = [span for span in made.spans if span.kind.startswith("verdict")]
            assert [span.kind for span in verdicts][-1] == ("verdict.accept" if ends else "verdict.retry")
            assert verdicts[-1].end == len(made.token_ids), "the stop token belongs to the acceptance"
    assert seen == {(True, False), (True, True), (False, True)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("letters")
    (folder / "tasks.py").write_text(FORM)
    return folder


def test_a_step_learns_the_verdicts_of_its_own_responses(world):
    engine: Any = Speller("12", "13", say=[("12", "Y", "!"), ("13", "N", "7", "Y"), ("12", "!"), ("12", "N", "13", "Y", "!")])
    plan = prepare(spec_of(world, recipe="corrected", prompts=1, rollouts=4, max_tokens=8, pool=1))
    with Drawer(plan, engine, Silent()) as drawer:
        batch = drawer.draw(1, 0)
    assert [rollout.text for rollout in batch.drawn[0]] == ["12Y", "13N7Y", "12", "12N13Y"], "what was drawn stays as it was"
    assert [rollout.reward.value for rollout in batch.drawn[0] if rollout.reward is not None] == [0, 0, 0, 1]
    assert [rollout.text for rollout in batch.trained[0]] == ["12N", "13Y", "12N13Y"]
    assert (batch.left_out, batch.num_live_prompts) == ({"undecided": 1, "unspelled": 0, "too_long": 0}, 1)
    seen = update(engine, plan, batch, 0.1, float("inf"), {"p0": [1, 5]})
    assert (seen["num_rows"], seen["num_credited"], seen["gap_nats"]) == (3, 3, None)
    (rows,) = engine.steps
    assert [row.inside.tolist() for row in rows] == [[False, True], [False, True, True], [False, True, False, True, True]]
    # six tokens of verdicts in the step, each of weight 1
    assert all(row.advantages.tolist() == [1.0] * len(row.inside) for row in rows)
    assert {float(scale) for row in rows for scale in row.scale[row.inside]} == {1 / 6}


@pytest.mark.parametrize(
    ("recipe", "say", "left_out"),
    [
        ("corrected", [("12", "!"), ("13",)], {"undecided": 2, "unspelled": 0, "too_long": 0}),
        ("grpo:credit_spans=decision", [("12", "!"), ("13", "!")], None),
        ("sft:spans=check", [("12", "!")] * 2, None),
    ],
)
def test_steps_without_decisions_train_nothing_and_patience_stops_a_run_of_them(world, tmp_path, recipe, say, left_out):
    engine: Any = Speller("12", "13", say=say)
    spec = spec_of(world, recipe=recipe, prompts=1, rollouts=2, max_tokens=8, pool=1, steps=5, patience=3, kl_rollouts=0)
    with pytest.raises(ValueError, match=r"first 3 steps had anything in the spans .* train the model on the form first"):
        train(spec, tmp_path / "out", quiet=True, load_trainer=lambda *_: engine)
    lines = read_steps(tmp_path / "out")
    assert [(line["num_rows"], line["grad_norm"], line["left_out"]) for line in lines] == [(0, 0.0, left_out)] * 3
    assert engine.steps == [[]] * 3


def test_a_kl_alone_does_not_keep_a_run_going(world, tmp_path):
    recipe = "grpo:credit_spans=decision,kl=k3"
    spec = spec_of(world, recipe=recipe, prompts=1, rollouts=2, max_tokens=8, pool=1, steps=5, patience=3, kl_rollouts=0)
    undecided: Any = Speller("12", "13", say=[("12", "!"), ("13", "!")])
    with pytest.raises(ValueError, match=r"first 3 steps had anything in the spans .* \(decision\)"):
        train(spec, tmp_path / "out", quiet=True, load_trainer=lambda *_: undecided)
    lines = read_steps(tmp_path / "out")
    assert [(line["live_share"], line["num_rows"], line["num_credited"]) for line in lines] == [(1.0, 2, 0)] * 3
    assert [len(rows) for rows in undecided.steps] == [2, 2, 2], "the KL holds both responses of each step"
    # where one of two responses decides, the reward moves that one
    half: Any = Speller("12", "13", say=[("12", "!"), ("13", "Y", "!")])
    plan = prepare(spec)
    with Drawer(plan, half, Silent()) as drawer:
        batch = drawer.draw(1, 0)
    seen = update(half, plan, batch, 0.1, float("inf"), {"p0": [1, 5]})
    assert (seen["num_rows"], seen["num_credited"]) == (2, 1)


@pytest.mark.parametrize("undecided_first", [True, False])
def test_a_mini_batch_without_a_decision_trains_nothing_and_the_other_one_does(world, undecided_first):
    engine: Any = Speller("12", "13")
    plan = prepare(spec_of(world, recipe="grpo:credit_spans=decision", prompts=2, rollouts=2, max_tokens=8, pool=2, minibatches=2))
    said: list[list[tuple[str, ...]]] = [[("12", "!"), ("13", "!")], [("13", "N", "!"), ("13", "Y", "!")]]
    prompts = {prompt.id: prompt for prompt in plan.pool}
    groups = []
    for key, texts in zip(prompts, said if undecided_first else said[::-1], strict=True):
        # each group holds a reward of 0 and one of 1
        group = [engine.rollout(*pieces, index=index, prompt=key) for index, pieces in enumerate(texts)]
        paid = [replace(rollout, reward=Reward(value=float(index))) for index, rollout in enumerate(group)]
        groups.append(tuple(marked(paid, prompts, plan.retrying)))
    batch = Batch(
        drawn=tuple(groups), trained=tuple(groups), groups=groups_of_rollouts(groups, 1.0), num_batches=1, num_places=2,
        num_live_prompts=2, left_out=None, sampling_s=0.0, grading_s=0.0,
    )  # fmt: skip
    seen = update(engine, plan, batch, 0.1, float("inf"), {key: [1, 5] for key in prompts})
    assert seen["num_rows"] == seen["num_credited"] == 2
    assert [len(rows) for rows in engine.steps] == ([0, 2] if undecided_first else [2, 0])
    credited = [np.flatnonzero(row.advantages).tolist() for rows in engine.steps for row in rows]
    assert credited == [[1], [1, 2]], "the verdicts, and the stop token of the acceptance"


def test_what_can_never_train_is_refused_before_anything_is_loaded(world, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import replace\nfrom jominy.recipes.loading import load_recipe\n"
        "judged = replace(load_recipe('grpo'), name='judged', credit_spans=('verdict',))\n"
    )
    asked = {
        "corrected": "decisions put right",
        "grpo:credit_spans=decision": "credit_spans=decision",
        "grpo:spans=check+verdict.retry": r"spans=check\+verdict.retry",
        "grpo:kl=k3,kl_spans=verdict": "kl_spans=verdict",
        "grpo:kl=k3,kl_spans=balanced": "kl_spans=balanced",
        f"{own}:judged": "credit_spans=verdict",
    }
    for recipe, what in asked.items():
        way_out = "take another recipe" if recipe == "corrected" else "leave that out"
        with pytest.raises(ValueError, match=f"asks for {what}, and responses to task .* have no spans; {way_out}, or use task retry"):
            prepare(spec_of(world, task="no_retrying", recipe=recipe, prompts=1, rollouts=2, pool=1))
        with pytest.raises(ValueError, match=f"asks for {what}, and one attempt, .* leaves nothing to decide; {way_out}, or give it att"):
            prepare(spec_of(world, task="alone", recipe=recipe, prompts=1, rollouts=2, pool=1))
        assert prepare(spec_of(world, recipe=recipe, prompts=1, rollouts=2, pool=1)).retrying is not None
    # One attempt has its sampling, and without spans all tokens are one segment.
    for task, recipe in (
        ("alone", "grpo:credit_spans=sampling"),
        ("alone", "sft:spans=attempt.right+check+verdict"),
        ("alone", "sft:divide=segments"),
        ("no_retrying", "sft:divide=segments"),
        ("no_retrying", "grpo:divide=segments"),
    ):
        assert prepare(spec_of(world, task=task, recipe=recipe, prompts=1, rollouts=2, pool=1)).recipe.name == recipe
