"""Readers for anybody's traces: words of doubt by hand, tags of one's own, functions of one's own and what is said of wrong ones."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from jominy.readers import WORDS, limit_of, load_reader, read_markers
from jominy.records import Prompt, Reward, Rollout, Stop, Task
from jominy.tasks.arithmetic import make
from jominy.tasks.loading import load_task
from jominy.traces import Trace
from jominy.tracing import mark, trace_of

SUMS = make("digits=1,operators=+")
PROMPT = SUMS.prompts(1, 0)[0]  # 9 + 4
TAGS = "markers:attempt=<try>...</try>,check=[...],verdict=<v>...</v>,accept=YES,retry=NO"


def parts(trace: Trace, text: str) -> list[tuple[str, str, int]]:
    return [(span.kind, text[span.start : span.end], span.index) for span in trace.spans]


def decided(trace: Trace) -> list[tuple[str | None, bool | None, str]]:
    return [(one.answer, one.correct, one.decision) for one in trace.attempts]


def test_words_of_doubt_by_hand():
    text = "Hmm, 9 + 4 = 12. Wait, actually: 14. Let  me\nverify... 13."
    trace = load_reader("lexical", SUMS)(PROMPT, text, "eos")
    assert parts(trace, text) == [
        ("attempt.wrong", "Hmm, 9 + 4 = 12. ", 0),
        ("verdict.retry", "Wait, actually", 0),  # nothing between them: one decision
        ("attempt.wrong", ": 14. ", 1),
        ("verdict.retry", "Let  me\nverify", 1),
        ("attempt.right", "... 13.", 2),
        ("verdict.accept", "", 2),
    ]
    assert decided(trace) == [("12", False, "retry"), ("14", False, "retry"), ("13", True, "accept")]
    assert trace.problem == ""


@pytest.mark.parametrize(
    ("text", "stop", "decisions", "problem"),
    [
        ("13", "eos", ["accept"], ""),
        ("13", "length", ["none"], "cut at the token limit"),
        ("12, wait", "eos", ["retry"], "no attempt after RETRY"),
        ("12 awaits 13", "eos", ["accept"], ""),  # words are whole
        ("WAIT", "eos", [], "no attempt"),
        ("", "eos", [], "no attempt"),
        ("wait, hmm: 13", "eos", ["accept"], ""),  # nothing was said that could be doubted
    ],
)
def test_ends_of_a_lexical_trace(text: str, stop: Stop, decisions: list[str], problem: str):
    trace = load_reader("lexical", SUMS)(PROMPT, text, stop)
    assert ([one.decision for one in trace.attempts], trace.problem) == (decisions, problem)


def test_an_attempt_without_an_answer_is_not_known():
    text = "Let us see. Wait, 13"
    assert decided(load_reader("lexical", SUMS)(PROMPT, text, "eos")) == [(None, None, "retry"), ("13", True, "accept")]
    assert parts(load_reader("lexical", SUMS)(PROMPT, text, "eos"), text)[0] == ("attempt", "Let us see. ", 0)

    def crash(prompt: Prompt, text: str) -> Reward:
        raise KeyError("target")

    broken = Task(name="broken", summary="", prompts=SUMS.prompts, reward=crash)
    assert decided(load_reader("lexical", broken)(PROMPT, "12", "eos")) == [(None, None, "accept")]


def test_ones_own_words():
    read = load_reader("lexical:words=oh no+c'est", SUMS)
    assert [one.decision for one in read(PROMPT, "12. Wait. Oh no, 14. C'est 13", "eos").attempts] == ["retry", "retry", "accept"]
    assert "try again" in WORDS
    for words in ("", "wait++hmm"):
        with pytest.raises(ValueError, match="words are joined by"):
            load_reader(f"lexical:words={words}", SUMS)


def test_the_stop_token_accepts_where_nothing_else_does():
    pieces = ("12.", " Wait", ", 13", "<eos>")
    one = Rollout(
        prompt_id=PROMPT.id, index=0, text="".join(pieces[:-1]), token_ids=np.arange(4), logprobs=None, logprobs_t1=None, stop="eos",
        policy="m", temperature=1.0, top_p=1.0, seed=0, pieces=pieces,
    )  # fmt: skip
    spans = mark(one, PROMPT, load_reader("lexical", SUMS))
    # the space before "Wait" is the attempt's, four of five characters are the decision's
    assert [(span.kind, span.start, span.end) for span in spans] == [
        ("attempt.wrong", 0, 1),
        ("verdict.retry", 1, 2),
        ("attempt.right", 2, 3),
        ("verdict.accept", 3, 4),
    ]


def test_blanks_behind_an_acceptance_leave_it_the_stop_token():
    pieces = ("<try>13</try>", "<v>YES</v>", "\n", " ", "<eos>")
    one = Rollout(
        prompt_id=PROMPT.id, index=0, text="".join(pieces[:-1]), token_ids=np.arange(5), logprobs=None, logprobs_t1=None, stop="eos",
        policy="m", temperature=1.0, top_p=1.0, seed=0, pieces=pieces,
    )  # fmt: skip
    spans = mark(one, PROMPT, load_reader(TAGS, SUMS))
    assert [(span.kind, span.start, span.end) for span in spans] == [("attempt.right", 0, 1), ("verdict.accept", 1, 5)]


def test_the_tasks_own_reader():
    task = load_task("retry")
    assert task.retrying is not None
    assert load_reader("task", task) is task.retrying.read
    with pytest.raises(ValueError, match="task 'arithmetic:digits=1,operators=\\+' says nothing about attempts"):
        load_reader("task", SUMS)


def test_tags_of_another_form():
    text = "So <try>9 + 4 = 12</try> then [hm] <v>NO</v> and <try>13</try> <v> YES </v>."
    trace = load_reader(TAGS, SUMS)(PROMPT, text, "eos")
    assert parts(trace, text) == [
        ("attempt.wrong", "<try>9 + 4 = 12</try>", 0),
        ("check", "[hm]", 0),
        ("verdict.retry", "<v>NO</v>", 0),
        ("attempt.right", "<try>13</try>", 1),
        ("verdict.accept", "<v> YES </v>", 1),
    ]
    assert decided(trace) == [("12", False, "retry"), ("13", True, "accept")]
    assert trace.problem == ""


@pytest.mark.parametrize(
    ("text", "stop", "decisions", "problem"),
    [
        ("13", "eos", [], "no attempt"),
        ("13", "length", [], "cut at the token limit"),
        ("<try>13</try>", "eos", ["none"], "no verdict"),
        ("<try>13</try><v>YES and NO</v>", "eos", ["none"], "no verdict"),
        ("<try>13</try><v>PERHAPS</v>", "eos", ["none"], "no verdict"),
        ("<try>13</try><v>YESTERDAY</v>", "eos", ["none"], "no verdict"),  # words are whole
        ("<try>13</try><v>NOT BAD: YES</v>", "eos", ["accept"], ""),
        ("<v>NO</v><try>13</try><v>YES</v>", "eos", ["accept"], "verdict before an attempt"),
        ("<try>13<v>YES</v>", "eos", ["accept"], "unclosed tag"),
        ("<try>13", "length", ["none"], "cut at the token limit"),
        ("<try>13</try><v>YES</v><try>14</try>", "eos", ["accept"], "goes on after ACCEPT"),
        ("<try>12</try><try>13</try><v>YES</v>", "eos", ["none", "accept"], "no verdict"),
        ("</try></v>]", "eos", [], "no attempt"),
    ],
)
def test_broken_forms_of_other_tags(text: str, stop: Stop, decisions: list[str], problem: str):
    trace = load_reader(TAGS, SUMS)(PROMPT, text, stop)
    assert ([one.decision for one in trace.attempts], trace.problem) == (decisions, problem)


def test_a_limit_on_attempts_makes_the_last_one_forced():
    trace = load_reader(f"{TAGS},attempts=2", SUMS)(PROMPT, "<try>12</try><v>NO</v><try>13</try>", "eos")
    assert ([one.decision for one in trace.attempts], trace.problem) == (["retry", "forced"], "")
    trace = load_reader(f"{TAGS},attempts=1", SUMS)(PROMPT, "<try>12</try><v>NO</v>", "eos")
    assert ([one.decision for one in trace.attempts], trace.problem) == (["forced"], "goes on after the last attempt")


def test_a_word_inside_the_other_is_told_apart():
    read = load_reader("markers:attempt=<t>...</t>,verdict=<v>...</v>,accept=correct,retry=incorrect", SUMS)
    said = "<t>1</t><v>incorrect</v><t>13</t><v>correct</v>"
    assert [one.decision for one in read(PROMPT, said, "eos").attempts] == ["retry", "accept"]


def test_signs_need_no_blanks_around_them():
    read = load_reader("markers:attempt=<t>...</t>,verdict=<v>...</v>,accept=+,retry=-", SUMS)
    assert [one.decision for one in read(PROMPT, "<t>1</t><v>a-b</v><t>13</t><v>+1</v>", "eos").attempts] == ["retry", "accept"]


def test_one_text_may_open_and_close():
    read = load_reader("markers:attempt=|...|,verdict=*...*,accept=Y,retry=N", SUMS)
    assert [one.decision for one in read(PROMPT, "|12|*N*|13|*Y*", "eos").attempts] == ["retry", "accept"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "needs attempt, verdict, accept, retry"),
        ("attempt=<t>,verdict=<v>...</v>,accept=Y,retry=N", "three dots"),
        ("attempt=<t>...</t>,verdict=<t>...</v>,accept=Y,retry=N", "open with different texts"),
        ("attempt=<t>...</t>,verdict=<v>...</v>,accept=Y,retry=Y", "no verdict could be told"),
        ("attempt=<t>...</t>,verdict=<v>...</v>,accept=Y,retry=N,attempts=0", "at least 1; got '0'"),
        ("attempts=<t>...</t>,checks=[...]", r"no option 'checks'; did you mean check\?"),
    ],
)
def test_wrong_markers(options, message):
    with pytest.raises(ValueError, match=message):
        read_markers(options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lexicle", r"no reader 'lexicle'; did you mean lexical\? there are task, lexical, markers, or your own"),
        ("lexical:word=wait", "did you mean words"),
        ("task:fast", "reader task has no options"),
        ("nowhere.py:read", "no file"),
    ],
)
def test_names_that_mean_nothing(name, message):
    with pytest.raises(ValueError, match=message):
        load_reader(name, SUMS)


def test_a_function_of_ones_own(tmp_path: Path):
    file = tmp_path / "my_readers.py"
    file.write_text(
        textwrap.dedent("""
        from jominy.traces import Attempt, TextSpan, Trace

        NUMBER = 5

        def halves(prompt, text, stop):
            middle = len(text) // 2
            spans = (TextSpan(kind="attempt", start=0, end=middle), TextSpan(kind="verdict.accept", start=middle, end=len(text)))
            return Trace(attempts=(Attempt(answer=None, correct=None, decision="accept"),), spans=spans, problem="")

        def overlapping(prompt, text, stop):
            spans = (TextSpan(kind="plan", start=0, end=2), TextSpan(kind="plan", start=1, end=2))
            return Trace(attempts=(), spans=spans, problem="")

        def two(prompt, text):
            return None

        def nothing(prompt, text, stop):
            return None

        def failing(prompt, text, stop):
            return text[NUMBER]
        """)
    )
    one = Rollout(
        prompt_id="p", index=0, text="abcd", token_ids=np.arange(1), logprobs=None, logprobs_t1=None, stop="length", policy="m",
        temperature=1.0, top_p=1.0, seed=0,
    )  # fmt: skip
    assert [span.end for span in trace_of(one, PROMPT, load_reader(f"{file}:halves", SUMS)).spans] == [2, 4]
    with pytest.raises(ValueError, match=f"prompt {PROMPT.id}: span 1 of the trace, 'plan' from 1 to 2, begins before"):
        trace_of(one, PROMPT, load_reader(f"{file}:overlapping", SUMS))
    with pytest.raises(ValueError, match="nothing returned None for prompt"):
        trace_of(one, PROMPT, load_reader(f"{file}:nothing", SUMS))
    with pytest.raises(
        ValueError, match=rf"failing failed on a response to prompt {PROMPT.id}: IndexError: .* \(.*my_readers.py, line 22\)"
    ):
        trace_of(one, PROMPT, load_reader(f"{file}:failing", SUMS))
    with pytest.raises(ValueError, match=r"cannot be called with \(prompt, text, stop\): too many positional arguments"):
        load_reader(f"{file}:two", SUMS)
    with pytest.raises(ValueError, match="is 5; a reader is a function"):
        load_reader(f"{file}:NUMBER", SUMS)
    with pytest.raises(ValueError, match="did you mean halves"):
        load_reader(f"{file}:halve", SUMS)


def test_nothing_is_read_behind_the_last_attempt_that_there_may_be() -> None:
    """Also where that attempt is not closed: K attempts are never more than K."""
    name = "markers:attempt=<a>...</a>,verdict=<v>...</v>,accept=Y,retry=N,attempts=2"
    one_task = load_task("arithmetic:digits=1,operators=+")
    read, (asked,) = load_reader(name, one_task), one_task.prompts(1, 0)
    trace = read(asked, "<a>1</a><v>N</v><a>2<a>3</a><v>Y</v>", "eos")
    assert [one.decision for one in trace.attempts] == ["retry", "none"]
    assert trace.problem
    assert (limit_of(name, one_task), limit_of("lexical", one_task), limit_of("task", load_task("retry:attempts=4"))) == (2, None, 4)
