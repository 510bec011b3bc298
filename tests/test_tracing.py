"""From text to tokens: by hand, and for random tokenisations against counting characters one by one; tables; rollouts that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jominy.batches import Drawer
from jominy.configuring import run_spec_of
from jominy.engines.pieces import pieces_of
from jominy.lab.building import half_able_spec
from jominy.lab.characters import make_tokenizer
from jominy.lab.demonstrations import shared_phrases
from jominy.lab.spec import LabSpec, markers_of, name_of
from jominy.measures.attempts import ACCEPT, DECISION, FORCED, NONE, RETRY, SAMPLING
from jominy.preparing import prepare
from jominy.records import Ints, Prompt, Reward, Rollout, Sampling, Span, Stop, TraceReader
from jominy.sampling import sample
from jominy.specs import SampleSpec
from jominy.tasks.loading import load_task
from jominy.tasks.retry import grade, make, read
from jominy.traces import Attempt, TextSpan, Trace
from jominy.tracing import attempt_table, mark, marked, stretches_of, text_of, token_table, trace_of
from jominy.watching import Silent
from tests.scripted import ScriptedEngine
from tests.training_world import ScriptedTrainer

YES, NO, CHECKED = "<verdict>ACCEPT</verdict>", "<verdict>RETRY</verdict>", "<check>3 + 7 = 1</check>"
RIGHT = "<attempt>12 + 34 = 46<answer>46</answer></attempt>"
WRONG = "<attempt>12 + 34 = 47<answer>47</answer></attempt>"
PROMPT = Prompt(id="p", task="retry", messages=(), target="46", info={"attempts": 2})


def rollout(pieces: Sequence[str] | None, stop: Stop = "eos", text: str | None = None, prompt_id: str = "p", **fields: Any) -> Rollout:
    """A rollout of these pieces; with "eos" the last one is the stop token's. Its text is theirs unless given."""
    length = len(pieces) if pieces is not None else 3
    said_T = [] if pieces is None else pieces[:-1] if stop == "eos" else pieces
    return Rollout(
        prompt_id=prompt_id,
        index=0,
        text="".join(said_T) if text is None else text,
        token_ids=np.arange(length),
        logprobs=None,
        logprobs_t1=None,
        stop=stop,
        policy="m",
        temperature=1.0,
        top_p=1.0,
        seed=0,
        pieces=None if pieces is None else tuple(pieces),
        **fields,
    )


def said(*spans: TextSpan) -> TraceReader:
    """A reader that always says this, of one attempt."""
    return lambda prompt, text, stop: Trace(attempts=(Attempt(answer=None, correct=None, decision="none"),), spans=spans, problem="")


def spans_of(*texts: str, kinds: str = "abcdefgh") -> TraceReader:
    """A reader of neighbouring stretches of these texts, of kinds a, b, c ..."""
    ends = np.cumsum([0, *map(len, texts)]).tolist()
    return said(*(TextSpan(kind=kind, start=start, end=end) for kind, start, end in zip(kinds, ends, ends[1:], strict=False)))


def found(reader: TraceReader, pieces: Sequence[str], stop: Stop = "length") -> dict[str, tuple[int, int]]:
    return {span.kind: (span.start, span.end) for span in mark(rollout(pieces, stop), PROMPT, reader)}


def test_tokens_that_straddle_go_where_most_of_them_is():
    reader = spans_of("aaaa", "bbbb", "cccc")
    assert found(reader, ["aaaa", "bbbb", "cccc"]) == {"a": (0, 1), "b": (1, 2), "c": (2, 3)}
    assert found(reader, ["aaa", "abbb", "bcccc"]) == {"a": (0, 1), "b": (1, 2), "c": (2, 3)}
    assert found(reader, ["aaa", "ab", "bbbcccc"]) == {"a": (0, 2), "c": (2, 3)}, "of equals the earlier; b has no token left"
    assert found(reader, ["aaaabbbbcccc"]) == {"a": (0, 1)}
    assert found(reader, ["aa", "aabbbbcc", "cc"]) == {"a": (0, 1), "b": (1, 2), "c": (2, 3)}


def test_text_between_spans_is_in_none_and_hides_no_span():
    reader = said(TextSpan(kind="a", start=1, end=3), TextSpan(kind="b", start=6, end=7))
    assert found(reader, list("-aa---b--")) == {"a": (1, 3), "b": (6, 7)}
    assert found(reader, ["-a", "a---", "b--"]) == {"a": (0, 2), "b": (2, 3)}, "a token with one character of a span is in it"


def test_tokens_without_characters():
    reader = spans_of("aa", "bb")
    assert found(reader, ["", "aa", "", "", "b", "b", ""]) == {"a": (0, 2), "b": (2, 7)}, (
        "with the token behind, at the end with the one before"
    )
    assert found(said(), ["", "", ""]) == {}


def test_special_tokens_say_nothing():
    pieces = ["<attempt>12 + 34 = 46<answer>4", "<pad>", "6</answer>", "</attempt>", "<pad>", CHECKED, YES, "<pad>", "<eos>"]
    one = rollout(pieces, text=RIGHT + CHECKED + YES)
    assert text_of(one) == one.text
    lengths = [end - start for start, end in stretches_of(one)]
    assert lengths == [30, 0, 10, 10, 0, len(CHECKED), len(YES), 0, 0]
    assert [(span.kind, span.start, span.end) for span in mark(one, PROMPT, read)] == [
        ("attempt.right", 0, 4),
        ("check", 4, 6),
        ("verdict.accept", 6, 9),
    ]
    assert grade(PROMPT, one.text).value == 1.0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_trace_and_reward_agree_whatever_special_tokens_stand_between(data):
    text = data.draw(st.sampled_from([WRONG + CHECKED + NO + RIGHT, RIGHT + CHECKED + YES, WRONG + CHECKED + YES, RIGHT + CHECKED]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=20)))
    plain = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    specials = data.draw(st.lists(st.integers(0, 2), min_size=len(plain), max_size=len(plain)))
    pieces = [piece for number, one in zip(specials, plain, strict=True) for piece in (*["<pad>"] * number, one)]
    one = rollout([*pieces, "<eos>"], text=text)
    last = trace_of(one, PROMPT, read).attempts[-1]
    assert grade(PROMPT, one.text).value == float(last.decision in ("accept", "forced") and last.correct is True)
    without = mark(rollout([*plain, "<eos>"]), PROMPT, read)
    place_of = [place for place, piece in enumerate([*pieces, "<eos>"]) if piece != "<pad>"]
    spans = mark(one, PROMPT, read)
    assert [span.kind for span in spans] == [span.kind for span in without]
    for span, expected in zip(spans, without, strict=True):
        held = [token for token, place in enumerate(place_of) if span.start <= place < span.end]
        assert held == list(range(expected.start, expected.end))


@pytest.mark.parametrize(
    ("pieces", "text", "stretches"),
    [
        ([" So", " it", " is", " ."], "So it is.", [(0, 2), (2, 5), (5, 8), (8, 9)]),  # blanks that decoding takes away
        (["So", "it", ".\n"], "So it.", [(0, 2), (2, 5), (5, 6)]),  # and that it puts in, or drops at the end
        (["a", "\ufffd", "<pad>", "\ufffd", "b", "c"], "aébc", [(0, 1), (1, 1), (1, 1), (1, 1), (1, 3), (3, 4)]),  # halves of a character
        (["", "", "é", "", "x"], "éx", [(0, 0), (0, 0), (0, 1), (1, 1), (1, 2)]),
        (["<pad>", "<pad>"], "", [(0, 0), (0, 0)]),
        (["a", "z"], "a and what nobody said", [(0, 1), (1, 1)]),
    ],
)
def test_pieces_find_their_place_in_a_text_that_was_decoded_otherwise(pieces, text, stretches):
    assert stretches_of(rollout(pieces, "length", text=text)) == tuple(stretches)


def test_many_tokens_that_say_nothing():
    many = 20_000
    pieces = ["x", *["<pad>", " "] * (many // 2), *["-"] * many]
    one = rollout(pieces, "length", text="x" + "-" * many)
    reader = said(TextSpan(kind="attempt", start=0, end=1), TextSpan(kind="verdict.retry", start=1, end=many + 1))
    assert mark(one, PROMPT, reader) == (Span(kind="attempt", start=0, end=1), Span(kind="verdict.retry", start=1, end=2 * many + 1))


def test_special_tokens_of_a_tokenizer():
    prompt = make("wrong=1,attempts=2").prompts(1, 0)[0]
    gold = str(prompt.gold_answer)
    tokenizer = make_tokenizer([gold], markers_of([make("")]), 512)
    ids = tokenizer(gold, add_special_tokens=False)["input_ids"]
    spread = [token for one in ids for token in (tokenizer.pad_token_id, one, tokenizer.unk_token_id)]
    one = rollout(pieces_of(tokenizer, np.array(spread)), "length", text=tokenizer.decode(spread, skip_special_tokens=True))
    assert one.text == gold
    plain = mark(rollout(pieces_of(tokenizer, np.array(ids)), "length"), prompt, read)
    kinds = [(span.kind, span.index) for span in plain]
    assert [kind for kind, _ in kinds] == ["attempt.wrong", "check", "verdict.retry", "attempt.right"]
    found = mark(one, prompt, read)
    assert [(span.kind, span.index) for span in found] == kinds
    # each token has become three; the <unk> behind a span's last token goes with the next one
    assert [span.end for span in found] == [3 * span.end - (number < 3) for number, span in enumerate(plain)]


def test_the_stop_token_belongs_to_an_acceptance_that_ends_the_text():
    accepted = [RIGHT, CHECKED, YES, "<eos>"]
    assert [(span.kind, span.end) for span in mark(rollout(accepted), PROMPT, read)][-1] == ("verdict.accept", 4)
    assert mark(rollout([RIGHT, CHECKED, YES, "\n", " ", "<eos>"]), PROMPT, read)[-1] == Span(kind="verdict.accept", start=2, end=6)
    assert mark(rollout([RIGHT, CHECKED, YES], "length"), PROMPT, read)[-1] == Span(kind="verdict.accept", start=2, end=3)
    assert mark(rollout([RIGHT, CHECKED, YES, "more", "<eos>"]), PROMPT, read)[-1] == Span(kind="verdict.accept", start=2, end=3)
    forced = mark(rollout([WRONG, CHECKED, NO, RIGHT, "<eos>"]), PROMPT, read)
    assert [(span.kind, span.start, span.end, span.index) for span in forced] == [
        ("attempt.wrong", 0, 1, 0),
        ("check", 1, 2, 0),
        ("verdict.retry", 2, 3, 0),
        ("attempt.right", 3, 4, 1),
    ]
    only_the_stop = said(TextSpan(kind="attempt", start=0, end=2), TextSpan(kind="verdict.accept", start=2, end=2))
    assert found(only_the_stop, ["4", "6", "<eos>"], "eos") == {"attempt": (0, 2), "verdict.accept": (2, 3)}
    assert found(only_the_stop, ["4", "6"]) == {"attempt": (0, 2)}, "a decision without a token"


def test_rollouts_without_pieces_have_a_trace_and_no_spans():
    one = rollout(None, text=RIGHT + CHECKED + YES)
    assert mark(one, PROMPT, read) == ()
    assert [attempt.decision for attempt in trace_of(one, PROMPT, read).attempts] == ["accept"]
    assert marked([one], {"p": PROMPT}, None) == [one]
    with pytest.raises(ValueError, match="2 pieces for 3 tokens"):
        mark(replace(rollout(("a", "b")), token_ids=np.arange(3)), PROMPT, read)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_random_tokenisations_against_counting_characters(data):
    text = WRONG + CHECKED + NO + " " + RIGHT
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=40)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    kind_of: dict[int, int] = {}
    trace = read(PROMPT, text, "length")
    for number, span in enumerate(trace.spans):
        kind_of.update(dict.fromkeys(range(span.start, span.end), number))
    expected: list[int | None] = []
    position = 0
    for piece in pieces:
        inside = [kind_of[place] for place in range(position, position + len(piece)) if place in kind_of]
        most = max((inside.count(number) for number in inside), default=0)
        expected.append(None if not piece else min((number for number in inside if inside.count(number) == most), default=-1))
        position += len(piece)
    spans = mark(rollout(pieces, "length"), PROMPT, read)
    owners = {token: trace.spans.index(_same(trace, span)) for span in spans for token in range(span.start, span.end)}
    for token, owner in enumerate(expected):
        if owner is not None:
            assert owners.get(token, -1) == owner
    assert all(one.end <= other.start for one, other in pairwise(spans))


def _same(trace: Trace, span: Span) -> TextSpan:
    return next(one for one in trace.spans if (one.kind, one.index) == (span.kind, span.index))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_where_tokens_end_with_the_spans_they_join_to_them(data):
    text = WRONG + CHECKED + NO + RIGHT
    trace = read(PROMPT, text, "length")
    edges = {span.start for span in trace.spans} | set(data.draw(st.lists(st.integers(1, len(text) - 1), max_size=30)))
    ordered = sorted(edges | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(ordered)]
    for span, of_text in zip(mark(rollout(pieces, "length"), PROMPT, read), trace.spans, strict=True):
        assert "".join(pieces[span.start : span.end]) == text[of_text.start : of_text.end]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ((TextSpan(kind="attempt", start=3, end=1),), "prompt p: span 0 of the trace, 'attempt' from 3 to 1, ends before it begins"),
        ((TextSpan(kind="attempt", start=1, end=1),), "is empty"),
        ((TextSpan(kind="attempt", start=0, end=9),), "lies outside the text of 4 characters"),
        ((TextSpan(kind="x", start=-1, end=2),), "lies outside"),
        ((TextSpan(kind="x", start=0, end=3), TextSpan(kind="y", start=2, end=4)), "span 1 of the trace, 'y' from 2 to 4, begins before"),
        ((TextSpan(kind="x", start=2, end=3), TextSpan(kind="y", start=0, end=1)), "stand in order and do not overlap"),
        ((TextSpan(kind="check", start=0, end=1, index=1),), "belongs to attempt 1, and the trace has 1"),
    ],
)
def test_spans_of_a_reader_that_breaks_its_promise(spans, message):
    with pytest.raises(ValueError, match=message):
        trace_of(rollout(["ab", "cd"], "length"), PROMPT, said(*spans))


def table_rollouts() -> list[Rollout]:
    """Two responses to p and one to q: retried and forced, accepted, broken off and unscored."""
    right, wrong = Reward(value=1.0), Reward(value=0.0)
    return [
        rollout([WRONG, CHECKED, NO, RIGHT, "<eos>"], reward=right),
        rollout([WRONG, CHECKED, YES, "<eos>"], reward=wrong),
        rollout(["<attempt>", "12"], "length", prompt_id="q", reward=Reward(value=None, note="timed out")),
        rollout(None, text=RIGHT + CHECKED + NO + RIGHT, prompt_id="q", reward=wrong, gold=1.0),
    ]


def test_the_table_of_attempts():
    table = attempt_table(table_rollouts(), {"p": PROMPT, "q": PROMPT}, read)
    assert table.rollout_A.tolist() == [0, 0, 1, 2, 3, 3]
    assert table.index_A.tolist() == [0, 1, 0, 0, 0, 1]
    assert table.correct_A.tolist() == [False, True, False, False, True, True]
    assert table.known_A.tolist() == [True, True, True, False, True, True]
    assert table.decision_A.tolist() == [RETRY, FORCED, ACCEPT, NONE, RETRY, FORCED]
    assert table.prompt_R.tolist() == [0, 0, 1, 1]
    assert table.final_R.tolist() == [True, False, False, True], "the gold where there is one"
    assert table.scored_R.tolist() == [True, True, False, True]
    assert table.num_tokens_R.tolist() == [5, 4, 2, 3]
    assert table.problem_R == ("", "", "cut at the token limit", "")
    assert table.num_prompts == 2
    assert table.answer_A is not None
    assert table.answer_A.tolist() == [0, 1, 0, -1, 0, 0]


def test_the_table_of_tokens():
    table = token_table(table_rollouts(), {"p": PROMPT, "q": PROMPT}, read)
    s, d, n = SAMPLING, DECISION, NONE
    assert table.rollout_M.tolist() == [0] * 5 + [1] * 4 + [2] * 2 + [3] * 3
    assert table.stage_M.tolist() == [s, d, d, s, n, s, d, d, d, s, s, n, n, n]
    assert table.verdict_M.tolist() == [False, False, True, False, False, False, False, True, True, *[False] * 5]
    assert table.attempt_M.tolist() == [0, 0, 0, 1, -1, 0, 0, 0, 0, 0, 0, -1, -1, -1]
    own = said(TextSpan(kind="plan.long", start=0, end=1))
    assert token_table([rollout(["ab"], "length")], {"p": PROMPT}, own).stage_M.tolist() == [NONE], "a stage of its own is neither"
    assert len(token_table([], {}, read).stage_M) == len(attempt_table([], {}, read).rollout_A) == 0


class Spelling(ScriptedTrainer):
    """Says what is written down, one token a character and a stop token."""

    def _rollout(self, prompt: Prompt, index: int, text: str, seed: int) -> Rollout:
        logprobs = np.full(len(text) + 1, -1.0)
        drawn: dict[str, Any] = {
            "index": index,
            "token_ids": self.encode_completion(text),
            "logprobs": logprobs,
            "logprobs_t1": logprobs,
            "seed": seed,
        }
        return replace(rollout([*text, "<eos>"], text=text, prompt_id=prompt.id), **drawn)

    def encode_completion(self, text: str) -> Ints:
        return np.array([*map(ord, text), 0])

    def pieces(self, token_ids: Ints) -> tuple[str, ...]:
        return tuple(chr(token) if token else "<eos>" for token in token_ids.tolist())


def joined(one: Rollout) -> list[tuple[str, str]]:
    """(kind, text) of every span."""
    assert one.pieces is not None
    return [(span.kind, "".join(one.pieces[span.start : span.end])) for span in one.spans]


@pytest.mark.parametrize(("recipe", "task"), [("grpo", "retry:wrong=0"), ("sft", "retry:wrong=0")])
def test_a_training_batch_has_its_spans(recipe, task):
    spec = run_spec_of({"model": "nowhere", "task": task, "recipe": recipe, "prompts": 2, "rollouts": 2, "pool": 4, "eval_every": 0})
    plan = prepare(spec)
    golds = {prompt.id: str(prompt.gold_answer) for prompt in plan.pool}
    with Drawer(plan, Spelling(lambda prompt, call, index: golds[prompt]), Silent()) as drawer:
        batch = drawer.draw(1, 0)
    for one in (one for group in batch.drawn for one in group):
        attempt, rest = golds[one.prompt_id].split("<check>")
        inner, verdict = rest.split("</check>")
        assert joined(one) == [("attempt.right", attempt), ("check", f"<check>{inner}</check>"), ("verdict.accept", f"{verdict}<eos>")]
        assert one.reward is not None
        assert one.reward.value == 1.0


def test_sampled_rollouts_are_stored_with_their_spans(tmp_path: Path):
    class Whole(ScriptedEngine):
        """One token for the whole response and one to stop."""

        def _rollout(self, prompt: Prompt, index: int, sampling: Sampling, seed: int) -> Rollout:
            text, logprobs = str(prompt.wrong_answer if index % 2 else prompt.gold_answer), np.full(2, -0.5, dtype=np.float32)
            drawn: dict[str, Any] = {"index": index, "logprobs": logprobs, "logprobs_t1": logprobs}
            return replace(rollout([text, "<eos>"], text=text, prompt_id=prompt.id), **drawn)

    spec = SampleSpec(model="m", task="retry:attempts=1", prompts=2, rollouts=2)
    folder = sample(spec, tmp_path / "run", load_engine=lambda model, device: Whole(), quiet=True)
    rows = folder.rollouts(["index", "spans", "reward"]).to_pylist()
    assert sorted((row["index"], row["reward"], row["spans"][0]["kind"]) for row in rows) == [
        (0, 1.0, "attempt.right"),
        (0, 1.0, "attempt.right"),
        (1, 0.0, "attempt.wrong"),
        (1, 0.0, "attempt.wrong"),
    ]


def test_spans_need_a_task_that_has_some():
    fields = {"model": "nowhere", "recipe": "grpo:spans=verdict", "prompts": 2, "rollouts": 2, "pool": 4, "eval_every": 0}
    assert prepare(run_spec_of({**fields, "task": "retry"})).retrying is not None
    with pytest.raises(ValueError, match="responses to task 'arithmetic' have no spans"):
        prepare(run_spec_of({**fields, "task": "arithmetic"}))


def test_a_lab_model_reads_each_marker_as_one_token():
    task = load_task("retry:wrong=1")
    prompts = task.prompts(20, 0)
    texts = [text for prompt in prompts for text in (str(prompt.gold_answer), prompt.messages[0].content)]
    phrases = shared_phrases([prompts])
    tokenizer = make_tokenizer(texts, [*phrases, *markers_of([task])], 512)
    gold = str(prompts[0].gold_answer)
    ids = tokenizer(gold, add_special_tokens=False)["input_ids"]
    pieces = tokenizer.batch_decode([[token] for token in ids])
    assert "".join(pieces) == gold
    assert {piece for piece in pieces if len(piece) > 1} == set(markers_of([task])) - {"ACCEPT"}
    assert len(tokenizer(prompts[0].messages[0].content)["input_ids"]) == len(prompts[0].info["expression"]) + 2
    trace = read(prompts[0], gold, "length")
    for span, of_text in zip(mark(rollout(pieces, "length"), prompts[0], read), trace.spans, strict=True):
        assert "".join(pieces[span.start : span.end]) == gold[of_text.start : of_text.end]


def test_markers_enter_the_name_of_a_lab_model_only_where_there_are_some():
    assert markers_of([load_task("arithmetic")]) == []
    task = make("")
    assert task.retrying is not None
    spec = LabSpec(tasks=("retry",))
    assert name_of(spec, [task]) != name_of(spec, [replace(task, retrying=replace(task.retrying, markers=()))])
    assert half_able_spec("retry").rows < half_able_spec("arithmetic").rows
